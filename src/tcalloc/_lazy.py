"""Names of a package that are imported when they are asked for, so that importing it needs no extra."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from tcalloc._checks import did_you_mean

__all__ = ["lazily"]


def lazily(
    package: str, names: Sequence[str], places: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package : str
        Its name.
    names : sequence of str
        All its public names: its ``__all__``.
    places : mapping of str to str
        Of the names that are imported late, the modules that hold them. They say what is missing if they need an extra
        that is not installed.

    Returns
    -------
    tuple of callable
        ``__getattr__`` and ``__dir__``. A name that does not exist is an AttributeError that suggests a similar one.
    """

    def get(name: str) -> object:
        if name not in places:
            words = f"module {package!r} has no attribute {name!r}.{did_you_mean(name, names)}"
            raise AttributeError(words.removesuffix("."), name=name)
        return getattr(import_module(places[name]), name)

    return get, lambda: sorted(names)

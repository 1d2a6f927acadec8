"""Public names of a package that are imported when they are first used, so that importing the package costs little.

This is the one place where a name stands for an import. All other imports stand at the top of a module, but for extras
and the command line (`tests/test_imports.py` checks that). A type checker and a reader see the names of a package below
its ``if TYPE_CHECKING``.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazily"]


def lazily(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    Parameters
    ----------
    package : str
        Its name. Its ``__all__`` must be defined when one of the two functions is called.
    places : mapping of str to str
        The name of each object that is imported late, and the module that holds it. A module of the package itself is
        its own place. The module says what is missing if it needs an extra that is not installed.

    Returns
    -------
    tuple of callable
        ``__getattr__`` and ``__dir__``. A name that does not exist is an AttributeError that suggests a similar one.
        A name that was found is stored in the package, so that the next use of it costs nothing.
    """

    def __getattr__(name: str) -> object:
        if name not in places:
            words = f"module {package!r} has no attribute {name!r}"
            if not name.startswith("_"):  # Python itself asks for such names, and for private modules
                words += f".{import_module('tcalloc._checks').did_you_mean(name, __dir__())}"
            raise AttributeError(words.removesuffix("."), name=name)
        module = import_module(places[name])
        value = module if module.__name__ == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return __getattr__, __dir__

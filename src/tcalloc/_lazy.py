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
    """Return a package's ``__getattr__`` and ``__dir__``; its ``__all__`` must be defined when one of them is called.

    `places` holds the name of each object that is imported late, and its module. A module of the package itself is its
    own place. If the module needs an extra that is not installed, the name stands for a class that says so when it is
    called. So ``help(tcalloc)`` and ``from tcalloc import *`` work without extras. A name that does not exist is an
    AttributeError that suggests a similar one. A name that was found is stored in the package, so that the next use of
    it costs nothing.
    """

    def __getattr__(name: str) -> object:
        if name not in places:
            words = f"module {package!r} has no attribute {name!r}"
            if not name.startswith("_"):  # Python itself asks for such names, and for private modules
                words += f".{import_module('tcalloc._checks').did_you_mean(name, __dir__())}"
            raise AttributeError(words.removesuffix("."), name=name)
        try:
            module = import_module(places[name])
        except import_module("tcalloc.errors").MissingExtraError as missing:  # imported only if there was an error
            return _stand_in(package, name, missing)
        value = module if module.__name__ == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted(sys.modules[package].__all__)

    return __getattr__, __dir__


def _stand_in(package: str, name: str, missing: ImportError) -> type:
    """Return a class that only raises the error of a missing extra."""

    def refuse(cls: type, *arguments: object, **named: object) -> object:
        raise type(missing)(str(missing))

    return type(name, (), {"__new__": refuse, "__module__": package, "__doc__": f"Not installed: {missing}"})

"""What a user can reach: the public modules, their names, and the classes that public signatures mention."""

import ast
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from syntax import tree_of

import tcalloc


def public_modules() -> list[types.ModuleType]:
    """Return tcalloc and all modules whose paths have no underscore, but for those of a stack that is not here."""
    names = [
        found.name
        for found in pkgutil.walk_packages(tcalloc.__path__, "tcalloc.")
        if not any(part.startswith("_") for part in found.name.split("."))
        and not (found.name.startswith("tcalloc.serve.litellm") and find_spec("litellm") is None)
    ]
    return [tcalloc, *(import_module(name) for name in names)]


def functions_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Return a public callable, or the public methods and properties that a class defines itself, by name."""
    if not isinstance(value, type):
        yield value.__name__, value
        return
    for name, member in vars(value).items():
        found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if (not name.startswith("_") or name in ("__init__", "__call__")) and inspect.isfunction(found):
            yield f"{value.__name__}.{name}", found


def hints_of(function: Any) -> dict[str, Any]:
    """Return the annotations of a function; names that are imported for type checking alone are looked up."""
    module = sys.modules[function.__module__]
    return typing.get_type_hints(function, vars(module), late_names(module))


@cache
def late_names(module: types.ModuleType) -> dict[str, Any]:
    """Return what a module imports below ``if TYPE_CHECKING``."""
    found: dict[str, Any] = {}
    for node in tree_of(inspect.getsourcefile(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                if isinstance(each, ast.Import):
                    found |= {name.name: import_module(name.name) for name in each.names}
                if isinstance(each, ast.ImportFrom) and each.module:
                    for name in each.names:
                        found[name.asname or name.name] = getattr(import_module(each.module), name.name)
    return found


def classes_in(hint: Any) -> Iterator[type]:
    """Return the classes that an annotation mentions, however deep."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        yield hint
    for inner in typing.get_args(hint):
        yield from classes_in(inner)
    if isinstance(hint, list):
        for inner in hint:
            yield from classes_in(inner)

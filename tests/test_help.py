"""What `help()` shows of every public name: each parameter, each field, and what a function returns."""

import inspect
import re

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")
pytest.importorskip("aiohttp")
pytest.importorskip("matplotlib")

import tcalloc
from tcalloc import datasets, learn, measure
from tcalloc.learn import rivals

PACKAGES = (tcalloc, learn, measure, datasets, rivals)
PUBLIC = {getattr(package, name): name for package in PACKAGES for name in package.__all__ if name != "__version__"}
PUBLIC = {value: name for value, name in PUBLIC.items() if callable(value)}
# A line that names one or more parameters, at the left margin of a section.
NAMED = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : .*)?")


def sections(doc):
    """Return the sections of a numpydoc docstring: title and lines."""
    lines = inspect.cleandoc(doc or "").splitlines()
    heads = [i for i in range(len(lines) - 1) if lines[i] and set(lines[i + 1]) == {"-"}]
    return {lines[i]: lines[i + 2 : end] for i, end in zip(heads, [*heads[1:], len(lines)][: len(heads)], strict=True)}


def parameters(value):
    """Return the names of a callable's parameters, but for the object itself."""
    if isinstance(value, type) and issubclass(value, Exception) and "__init__" not in vars(value):
        return set()
    return {name for name in inspect.signature(value).parameters if name not in ("self", "cls")}


def documented(doc):
    """Return the names that the sections of parameters and attributes hold; None where there is neither."""
    found = sections(doc)
    if not {"Parameters", "Attributes"} & set(found):
        return None
    named = (NAMED.fullmatch(line) for title in ("Parameters", "Attributes") for line in found.get(title, ()))
    return {name.lstrip("*") for match in named if match for name in match[1].split(", ")}


def callables():
    """Return every public callable with its label: functions, classes, and the public methods of classes."""
    for value, name in PUBLIC.items():
        yield name, value
        if isinstance(value, type):
            for member in (member for member in dir(value) if not member.startswith("_")):
                found = inspect.getattr_static(value, member)
                function = getattr(found, "__func__", found)
                if inspect.isfunction(function) and function.__module__.startswith("tcalloc"):
                    yield f"{name}.{member}", function


def test_help_documents_every_parameter():
    lacking = []
    for label, value in callables():
        if getattr(value, "_is_protocol", False):
            continue
        names = {name for name in parameters(value) if not name.startswith("_")}
        known = documented(value.__doc__)
        if names and known is None:
            lacking.append(f"{label}: no section of parameters")
        elif names - (known or set()):
            lacking.append(f"{label}: {sorted(names - known)}")
    assert lacking == []


def test_help_documents_no_parameter_that_is_not_there():
    wrong = []
    for label, value in callables():
        listed = sections(value.__doc__).get("Parameters", ())
        named = [match for match in map(NAMED.fullmatch, listed) if match]
        known = {name.lstrip("*") for match in named for name in match[1].split(", ")}
        if not getattr(value, "_is_protocol", False) and known - parameters(value):
            wrong.append(f"{label}: {sorted(known - parameters(value))}")
    assert wrong == []


def test_the_test_sees_what_is_missing():
    doc = """Do it.

    Parameters
    ----------
    one, two : int
        Numbers.
    **more
        Others.

    Returns
    -------
    int
    """
    assert documented(doc) == {"one", "two", "more"}
    assert documented("Do it.") is None

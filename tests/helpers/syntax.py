"""Syntax trees of the package's modules and of the tests: each file is parsed once in a process."""

import ast
from functools import cache
from pathlib import Path

import tcalloc

PACKAGE = Path(tcalloc.__file__).parent


@cache
def tree_of(path):
    """Return the syntax tree of a file. All callers share it, so nobody changes it."""
    return ast.parse(Path(path).read_text(encoding="utf-8"))


@cache
def modules():
    """Return all modules of the package, as pairs of a path within the package and a syntax tree."""
    return [(path.relative_to(PACKAGE), tree_of(path)) for path in sorted(PACKAGE.rglob("*.py"))]

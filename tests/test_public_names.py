"""`__all__` of every module is complete: what other modules and users can reach of it is in it, and exists."""

import ast
import inspect
import sys

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")
pytest.importorskip("aiohttp")
pytest.importorskip("matplotlib")

from public_names import classes_in, functions_of, hints_of, late_names, public_modules
from syntax import modules

import tcalloc
from tcalloc import learn, measure


def trees():
    """Return the syntax trees of the package, by the names of its modules."""
    return {
        ".".join(["tcalloc", *path.with_suffix("").parts]).removesuffix(".__init__"): tree for path, tree in modules()
    }


def listed(tree):
    """Return the names of a module's `__all__`, without importing it; all names where it holds constants alone."""
    nodes = tree.body
    constants = {
        name: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for name in ast.unparse(node.targets[0]).strip("()").split(", ")
    }
    if "__all__" in constants:
        return ast.literal_eval(constants["__all__"])
    defined = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [] if defined else list(constants)


def test_what_a_module_imports_from_another_is_in_its_all():
    found = trees()
    names = {module: listed(tree) for module, tree in found.items()}
    lacking = set()
    for tree in found.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in names:
                for each in node.names:
                    if f"{node.module}.{each.name}" not in found and each.name not in names[node.module]:
                        lacking.add(f"{node.module}: {each.name}")
    assert sorted(lacking) == []


@pytest.mark.parametrize("package", [tcalloc, learn, measure])
def test_dir_shows_what_all_lists(package):
    assert dir(package) == sorted(package.__all__)
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    late = late_names(package)
    assert set(late) == set(package._LAZY)
    for name, value in late.items():
        assert getattr(package, name) is value
    own = {name for name, value in vars(package).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert own - set(package.__all__) <= {"TYPE_CHECKING", "lazily"}


def test_every_name_in_all_is_there():
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{module.__name__}.{name}"


def test_classes_that_public_signatures_mention_can_be_imported():
    hidden = set()
    for module in public_modules():
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not (inspect.isfunction(value) or isinstance(value, type)) or not value.__module__.startswith("tcalloc"):
                continue
            for label, function in functions_of(value):
                for found in (found for hint in hints_of(function).values() for found in classes_in(hint)):
                    where = sys.modules[found.__module__]
                    if where.__name__.startswith("tcalloc") and found.__qualname__ not in getattr(where, "__all__", ()):
                        hidden.add(f"{module.__name__}.{label} mentions {found.__module__}.{found.__qualname__}")
    assert sorted(hidden) == []


def test_a_misspelt_name_is_answered_with_the_right_one():
    for package, name, meant in (
        (tcalloc, "slove", "solve"),
        (tcalloc, "chatclient", "ChatClient"),
        (learn, "Mixtur", "Mixture"),
    ):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'. Did you mean '{meant}'"):
            getattr(package, name)
    with pytest.raises(AttributeError, match=r"^module 'tcalloc' has no attribute 'nothing_like_it'$"):
        _ = tcalloc.nothing_like_it

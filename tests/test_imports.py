"""Imports stand at the top of a module, and private names stay in their folder.

``lint-imports`` checks layers, circles and private modules, by ``[tool.importlinter]`` in pyproject.toml. This file
checks what it cannot see: imports that are hidden in a function, modules that are imported by name, and names with a
leading underscore.
"""

import ast
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from places import ENVIRONMENT
from syntax import PACKAGE, modules

# What the extras bring: such a package is imported where it is used, and its absence names the extra.
EXTRAS = {
    "aiohttp", "anyio", "certifi", "dspy", "fastapi", "inspect_ai", "jinja2", "langchain", "litellm", "markupsafe",
    "math_verify", "matplotlib", "openai", "pandas", "polars", "pyarrow", "redis", "scipy", "sklearn", "threadpoolctl",
    "xgboost", "xllamacpp", "yarl",
}  # fmt: skip
# Modules of the standard library that some systems lack.
OF_SOME_SYSTEMS = {"fcntl", "msvcrt", "resource"}
# Of the standard library, what takes long and is seldom needed.
LARGE = {"concurrent.futures"}
# Each subcommand imports its work when it runs: nobody who asks for --help waits for it.
SUBCOMMANDS = "cli"
# Which kernels run is chosen when the program starts, and the others are not loaded.
CHOICE = Path("_kernel.py")
# Where a module is imported by its name, and what is so imported.
BY_NAME = {
    "_diagnosis.py": "the kernels, each by itself, to say which of them cannot be loaded",
    "_lazy.py": "the public names of a package, when they are first used",
    "learn/registry.py": "the policy that is asked for, by its name in the registry",
    "learn/saving/policy_folder.py": "the class of a saved policy",
    "llm/local/_llama.py": "an extra, in a process of its own",
    "llm/graders/_worker.py": "an extra, in a process of its own",
    "llm/graders/custom.py": "the user's own module",
}


def imported(node):
    """Return the modules and names that a statement imports, as (module, name); the name is "" of a whole module."""
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "", alias.name) for alias in node.names]
    return []


def hidden():
    """Return what is imported in functions, outside of the subcommands: {module: places}."""
    found = defaultdict(set)
    for path, tree in modules():
        if path.parts[0] == SUBCOMMANDS or path == CHOICE:
            continue
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    for module, _ in imported(node):
                        found[module].add(f"{path}:{node.lineno}")
    return found


# In a process where no extra is installed: which of the modules can be imported?
PROBE = """
import importlib, json, sys
extras, wanted = json.load(sys.stdin)
for name in extras:
    sys.modules[name] = None
found = []
for name in wanted:
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    found.append(name)
print(json.dumps(found))
"""


def without_extras(names, there=frozenset()):
    """Return those of the modules that need no extra but the packages that are there."""
    told = json.dumps([sorted(EXTRAS - there), sorted(names)])
    done = subprocess.run(
        [sys.executable, "-c", PROBE], input=told, capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    return set(json.loads(done.stdout))


def test_no_import_is_hidden_but_that_of_an_extra():
    found = hidden()
    outside = {name for name in found if name.partition(".")[0] not in EXTRAS | OF_SOME_SYSTEMS} - LARGE
    needless = {name: sorted(found[name]) for name in sorted(without_extras(outside))}
    assert needless == {}, "import these at the top of the module"
    assert any(name.startswith("tcalloc.learn.features") for name in outside)  # which needs scikit-learn


def test_the_gateway_needs_its_own_extra_alone():
    wanted = {"tcalloc.serve.gateway.server", "tcalloc.cli.serve", "tcalloc.serve.gateway.page.figures"}
    assert without_extras(wanted, {"aiohttp", "certifi", "jinja2", "markupsafe", "redis", "yarl"}) == wanted


def test_modules_are_imported_by_name_in_a_few_places():
    found = {
        path.as_posix()
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
    }
    assert {path for path in found if not path.startswith(SUBCOMMANDS)} == set(BY_NAME)


def test_private_names_stay_in_their_folder():
    wrong = []
    for path, tree in modules():
        folder = ("tcalloc", *path.parts[:-1])
        for node in ast.walk(tree):
            for module, name in imported(node):
                parts = tuple(module.split("."))
                if parts[0] != "tcalloc" or not name.startswith("_") or name.startswith("__"):
                    continue
                # "from tcalloc import _amounts": those at the root of the package serve all.
                home = parts if (PACKAGE.joinpath(*parts[1:]) / "__init__.py").exists() else parts[:-1]
                if parts != ("tcalloc",) and folder[: len(home)] != home:
                    wrong.append(f"{path}:{node.lineno} imports {name} of {module}")
    assert wrong == []

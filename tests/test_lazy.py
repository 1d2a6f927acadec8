"""Public names are imported when they are first used: what is not used is not loaded, and nothing else changes."""

import json
import pickle
import subprocess
import sys

import pytest
from places import ENVIRONMENT

import tcalloc
from tcalloc import learn, measure

LAZY = (tcalloc, learn, measure)
# What their names need beside NumPy.
EXTRAS = ("aiohttp", "sklearn", "xgboost")
# What neither a table nor a plan needs: a server's answers, a file's, a policy's, and other packages.
HEAVY = {
    *("aiohttp", "jinja2", "matplotlib", "numpy.ma", "numpy.random", "pandas", "polars", "pyarrow", "scipy"),
    *("sklearn", "xgboost"),
    *("asyncio", "concurrent.futures", "csv", "email", "gzip", "hashlib", "http", "importlib.resources", "logging"),
    *(
        "secrets",
        "shutil",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "urllib.request",
        "xgboost",
        "zipfile",
        "zoneinfo",
    ),
    *(f"tcalloc.{room}" for room in ("datasets", "evaluate", "importing", "learn", "llm", "measure", "runs", "serve")),
}


def run(code, *argv):
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout


def loaded(code):
    """Return the modules that a new process has after this code, but for those that NumPy alone brings."""
    modules = "import json, sys; {} ; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(run(modules.format(code)))) - set(json.loads(run(modules.format("import numpy"))))


def test_names_are_found():
    for package in EXTRAS:
        pytest.importorskip(package)
    for module in LAZY:
        for name in module._LAZY:
            assert name in dir(module)
            found = getattr(module, name)
            assert found is vars(module)[name]  # stored, so that the next use asks nobody
            assert callable(found) or found is sys.modules[f"{module.__name__}.{name}"]
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = module.Nothing
        with pytest.raises(AttributeError, match=r"has no attribute '_nothing'$"):
            _ = module._nothing


def test_importing_the_package_imports_nothing_of_it():
    assert {name for name in loaded("import tcalloc") if name.startswith(("tcalloc", "numpy"))} == {
        "tcalloc",
        "tcalloc._lazy",
        "tcalloc._version",
    }
    assert "numpy" not in json.loads(run("import json, sys, tcalloc; print(json.dumps(sorted(sys.modules)))"))


def test_a_plan_loads_nothing_heavy():
    found = loaded("import tcalloc; tcalloc.solve([[0.5, 0.9]], [[1.0, 4.0]], 4.0); repr(tcalloc.frontier([[1]], [1]))")
    assert "tcalloc._frontier" in found  # the test sees what is loaded
    assert sorted(found & HEAVY) == []


def test_live_answers_load_neither_scikit_learn_nor_scipy():
    pytest.importorskip("aiohttp")
    found = loaded("from tcalloc import Sequential, answer_async, load_policy; import aiohttp")
    assert "tcalloc.llm.client" in found
    heavy = {"matplotlib", "pandas", "scipy", "sklearn", "xgboost", "tcalloc.datasets", "tcalloc.evaluate"}
    assert sorted(found & heavy) == []


def test_threads_find_the_same_objects():
    """Each thread is the first to ask for one name; all of them ask for all names at once."""
    code = """
import sys, threading
import tcalloc
names = [name for name in tcalloc.__all__ if tcalloc._LAZY.get(name, "").startswith(("tcalloc.measure", "tcalloc._"))]
start, found = threading.Barrier(len(names)), {}
def work(i):
    start.wait()
    found[i] = [getattr(tcalloc, name) for name in names[i:] + names[:i]]
threads = [threading.Thread(target=work, args=(i,)) for i in range(len(names))]
for thread in threads: thread.start()
for thread in threads: thread.join()
want = [getattr(tcalloc, name) for name in names]
print(len(names) > 10, all(found[i] == want[i:] + want[:i] for i in range(len(names))))
"""
    assert run(code) == "True True\n"


def test_objects_survive_pickling_before_their_modules_are_loaded():
    plan = tcalloc.solve([[0.5, 0.9]], [[1.0, 4.0]], 4.0)
    code = "import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])))"
    assert run(code, pickle.dumps(plan).hex()) == f"{plan}\n"
    assert pickle.loads(pickle.dumps(tcalloc.solve)) is tcalloc.solve


def test_a_star_import_brings_all_names():
    for package in EXTRAS:
        pytest.importorskip(package)
    names = {}
    exec("from tcalloc import *", names)
    assert set(tcalloc.__all__) <= set(names)


def test_modules_can_be_reached_after_importing_the_package():
    code = "print(len(tcalloc.datasets.load_recorded().models), tcalloc.measure.Vote(3).name, dir(tcalloc.learn)[0])"
    assert run(f"import tcalloc; {code}") == "3 vote3 ByCategory\n"


def test_without_the_extra():
    code = """
import sys
sys.modules["sklearn"] = sys.modules["sklearn.base"] = sys.modules["xgboost"] = None
import tcalloc
for name in ("PricedPolicy", "Imitator", "Features"):
    try:
        getattr(tcalloc, name)()
    except tcalloc.MissingExtraError as error:
        print(error)
answers = [[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]] * 8
print(tcalloc.Sequential(budget=2.0).fit(None, tcalloc.Samples(answers)).start("x").next().n)
"""
    lines = run(code).splitlines()
    assert len(lines) == 4
    assert all("pip install 'tcalloc[learn]'" in line for line in lines[:3])
    assert lines[3] == "1"


def test_help_and_a_star_import_work_without_extras():
    code = """
import sys
for name in ("sklearn", "sklearn.base", "xgboost", "aiohttp", "matplotlib", "pyarrow"):
    sys.modules[name] = None
from tcalloc import *
import pydoc, tcalloc
print(solve([[0.5, 0.9]], [[1.0, 4.0]], 4.0).accuracy)
for package in (tcalloc, tcalloc.learn, tcalloc.measure):
    text = pydoc.plain(pydoc.render_doc(package))
    print(all(name in text for name in package.__all__ if name != "__version__"), "Not installed: " in text)
"""
    assert run(code).splitlines() == ["0.9", "True True", "True True", "True False"]

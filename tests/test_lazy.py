"""Names that need an extra: there when asked for, and a clear word where the extra is missing."""

import subprocess
import sys

import pytest

import tcalloc
from tcalloc import learn


def test_names_are_found():
    for module in (tcalloc, learn):
        for name in module._LAZY:
            assert name in dir(module)
            assert callable(getattr(module, name))
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            _ = module.Nothing


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_core_imports_none_of_the_extras():
    extras = ("sklearn", "scipy", "xgboost", "aiohttp", "pandas")
    assert run(f"import sys, tcalloc; print([m for m in {extras} if m in sys.modules])") == "[]\n"


def test_without_the_extra():
    code = """
import sys
sys.modules["sklearn"] = sys.modules["sklearn.base"] = sys.modules["xgboost"] = None
import tcalloc
for name in ("PricedPolicy", "Imitator", "Features"):
    try:
        getattr(tcalloc, name)
    except tcalloc.MissingExtraError as error:
        print(error)
answers = [[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]] * 8
print(tcalloc.Sequential(budget=2.0).fit(None, tcalloc.Samples(answers)).start("x").next().n)
"""
    lines = run(code).splitlines()
    assert len(lines) == 4
    assert all("pip install 'tcalloc[learn]'" in line for line in lines[:3])
    assert lines[3] == "1"

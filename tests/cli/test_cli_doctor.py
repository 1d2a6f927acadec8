"""`tcalloc doctor`: what it says of a sound installation, and of broken ones."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from places import ENVIRONMENT

import tcalloc
from tcalloc import _diagnosis, _oracle
from tcalloc.cli import main


def python(code):
    return subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True)


def test_a_sound_installation(capsys):
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    assert f"tcalloc    {tcalloc.__version__}\n" in page
    assert "exact arithmetic" in page
    assert page.endswith("\nNothing is broken.\n")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["numpy"] == np.__version__
    assert found["kernel"]["simd"] == ("AVX2" if _oracle.USES_AVX2 else None)
    assert sorted(found["kernel"]["files"]) == ["_oracle", "_stopping", "_votes"]
    assert found["problems"] == []


def test_it_tells_no_path_and_no_secret(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret")
    main(["doctor", "--json"])
    page = capsys.readouterr().out
    assert "sk-a-secret" not in page
    for folder in (tmp_path, Path.cwd(), Path(tcalloc.__file__).parent, Path(sys.prefix)):
        assert str(folder) not in page


def test_other_arithmetic_is_noticed():
    def one_ulp_off(acc, cost, available, weights, price, *rest):
        return _oracle.best_at(acc, cost, available, weights, price * (1 + 2.0**-52), *rest)

    assert _diagnosis._agrees(_oracle)
    assert not _diagnosis._agrees(SimpleNamespace(best_at=one_ulp_off))
    diagnosis = _diagnosis.diagnose()
    diagnosis["kernel"]["exact"] = False
    [sentence] = _diagnosis.problems(diagnosis)
    assert "-ffp-contract=off" in sentence


def test_a_module_that_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tcalloc._votes", None)
    assert main(["doctor"]) == 1
    assert "The compiled module _votes cannot be imported (ModuleNotFoundError)." in capsys.readouterr().out


def test_without_its_kernels_tcalloc_says_what_to_do():
    done = python("import sys; sys.modules['tcalloc._votes'] = None; import tcalloc; tcalloc.solve")
    assert done.returncode == 1
    assert "TCALLOC_KERNEL=reference" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("version", "bounds", "holds"),
    [
        ("2.4.6", ">=1.26", True),
        ("1.9", ">=1.26", False),
        ("3.12.14", "<4,>=3.12.14", True),
        ("4.0rc1", "<4,>=3.12.14", False),
        ("3.12.13.post1", "<4,>=3.12.14", False),
        ("2026.10.19.post1", ">=2024.7.4", True),
        ("1.0", "", True),
    ],
)
def test_bounds(version, bounds, holds):
    assert _diagnosis._within(version, bounds) is holds


def test_what_an_extra_lacks(monkeypatch):
    declared = [
        "numpy>=1.26",
        "aiohttp<4,>=3.12.14; extra == 'llm'",
        "nowhere-to-be-had>=1; extra == 'local'",
        "tcalloc[llm]; extra == 'local'",
        f'not-here; sys_platform != "{sys.platform}" and extra == "llm"',
        "pytest>=8; extra == 'test'",
    ]
    versions = {"numpy": "1.20", "aiohttp": "4.0", "pytest": "9"}
    monkeypatch.setattr(_diagnosis.metadata, "requires", lambda name: declared)
    monkeypatch.setattr(_diagnosis, "_version", versions.get)
    diagnosis = _diagnosis.diagnose()
    assert diagnosis["extras"] == {
        "core": {"missing": [], "wrong": {"numpy": ">=1.26"}},
        "llm": {"missing": [], "wrong": {"aiohttp": "<4,>=3.12.14"}},
        "local": {"missing": ["nowhere-to-be-had"], "wrong": {"aiohttp": "<4,>=3.12.14"}},
    }
    assert [sentence.split(":")[0] for sentence in _diagnosis.problems(diagnosis)] == [
        "aiohttp 4.0 is installed, but <4,>=3.12.14 is needed",
        "numpy 1.20 is installed, but >=1.26 is needed",
    ]

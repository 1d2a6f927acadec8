"""The run folder: every sample that was paid for, one line each, safe against kill -9 at any point.

    run.json       schema version, tcalloc version, sha256 of the questions, and the arms: what was asked of which model
    questions.jsonl  one object per question (id, gold, accept, ...), written once
    samples.jsonl    one line per finished sample, only ever appended to
    lock             held by the one process that writes

A line of samples.jsonl is a JSON object whose last field is a checksum of all before it, so that a torn or damaged line
is noticed; the sample it held is simply not there, and is drawn again. A line is written by one call in append mode:
a process that dies leaves whole lines, and a machine that dies leaves at most a torn end. The kernel drops the lock of
a dead process, so no lock is ever stale.

Questions and samples are plain JSON lines, which ``pandas.read_json("run/samples.jsonl", lines=True)`` reads as well.
"""

import contextlib
import gc
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO

from tcalloc._version import __version__
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.measure._lines import HEAD, Damage, damage_words, dumps, read_lines, read_samples, seal
from tcalloc.measure._locking import lock_file
from tcalloc.measure._writing import replacing

__all__ = ["SCHEMA", "Run", "Store", "read_run"]

SCHEMA = 1
# How much may be lost if the machine (not the process) dies: lines, seconds.
_SYNC_LINES, _SYNC_SECONDS = 256, 1.0


class Store:
    """A run folder, open for writing; the only writer there is. Threads may share it.

    Get one from `Store.create` or `Store.open`; close it, or use it as a context manager.

    Attributes
    ----------
    path : str
        The folder.
    manifest : dict
        What run.json says.
    notes : list of str
        What was wrong with the folder and is repaired, each told once.
    """

    def __init__(self, path: str, manifest: dict[str, Any], lock: BinaryIO):
        self.path = path
        self.manifest = manifest
        self.notes: list[str] = []
        self._lock_file = lock
        self._guard = threading.Lock()
        self._file = -1
        self._size = 0
        self._unsynced = 0
        self._synced_at = time.monotonic()
        self._held: dict[tuple[str, str], int] = {}
        try:
            self._repair()
            self._file = os.open(_samples(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            self._size = os.fstat(self._file).st_size
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------------------ opening

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], manifest: Mapping[str, Any], questions: Iterable[Mapping[str, Any]]
    ) -> "Store":
        """Make a new run folder.

        Parameters
        ----------
        path : path
            The folder; made if it does not exist. One that holds a run already is refused.
        manifest : mapping
            What run.json shall say besides the versions; ``arms`` is a list of mappings with the key ``arm``.
        questions : iterable of mapping
            One object per question, each with its ``id``.

        Returns
        -------
        Store
            The open store.
        """
        path = os.fspath(path)
        lock = _take(path, make=True)
        try:
            if os.path.exists(_manifest(path)):
                raise InputError(f"{path}: holds a run already. Open that run, or write to another folder.")
            if os.path.exists(_samples(path)):
                raise InputError(
                    f"{path}: holds samples.jsonl but no run.json, so it is not known of what. Use another folder."
                )
            with replacing(_questions(path)) as file:
                for question in questions:
                    file.write(dumps(question) + b"\n")
                _sync(file)
            whole = {"schema": SCHEMA, "tcalloc": __version__, "arms": []} | dict(manifest)
            _write_manifest(path, whole)  # last: a folder without it is not yet a run
            return cls(path, whole, lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Store":
        """Open a run folder to go on with it.

        Parameters
        ----------
        path : path
            The folder. One that another process writes to is refused, as is one of a newer schema.

        Returns
        -------
        Store
            The open store; its `notes` say what was damaged.
        """
        path = os.fspath(path)
        manifest = _read_manifest(path)
        lock = _take(path, make=False)
        try:
            return cls(path, manifest, lock)
        except BaseException:
            lock.close()
            raise

    @staticmethod
    def exists(path: str | os.PathLike[str]) -> bool:
        """Say whether the folder holds a run."""
        return os.path.exists(_manifest(os.fspath(path)))

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Bring everything to the disk and let go of the lock; more than once does no harm."""
        with self._guard:
            file, self._file = self._file, -1
            if file >= 0:
                with contextlib.suppress(OSError):  # what does not sync is still written
                    os.fsync(file)
                os.close(file)
        self._lock_file.close()

    # ------------------------------------------------------------------------------------------ writing

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one finished sample; when this returns, the process may die and the sample is there.

        Parameters
        ----------
        record : mapping
            The sample, with at least ``id``, ``sample`` (from 0) and ``params``. One that is there already is refused.
        """
        line = seal(record)
        key, bit = (str(record["id"]), str(record["params"])), 1 << int(record["sample"])
        with self._guard:
            if self._file < 0:
                raise InputError(f"{self.path}: the run is closed. Open it again to go on.")
            if self._held.get(key, 0) & bit:
                raise InputError(f"{self.path}: sample {record['sample']} of question {key[0]!r} is there already.")
            self._write(line)
            self._held[key] = self._held.get(key, 0) | bit
            self._unsynced += 1
            now = time.monotonic()
            due = self._unsynced >= _SYNC_LINES or now - self._synced_at >= _SYNC_SECONDS
            if due:
                self._unsynced, self._synced_at = 0, now
                file = os.dup(self._file)
        if due:  # other threads go on writing meanwhile
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def _write(self, line: bytes) -> None:
        """Write a whole line or nothing: half of one is what a full disk leaves."""
        size = self._size  # nobody else writes
        try:
            written = os.write(self._file, line)
            if written < len(line):
                written += os.write(self._file, line[written:])  # raises the reason: no space, quota
            if written < len(line):
                raise OSError(f"{_samples(self.path)}: only half of a line could be written.")
            self._size += written
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise

    def add_arm(self, arm: Mapping[str, Any]) -> None:
        """Say in run.json what is asked of which model; an arm whose key ``arm`` is there already stays as it is."""
        if any(known.get("arm") == arm["arm"] for known in self.manifest["arms"]):
            return
        self.manifest = self.manifest | {"arms": [*self.manifest["arms"], dict(arm)]}
        _write_manifest(self.path, self.manifest)

    def change_manifest(self, **changes: Any) -> None:
        """Change what run.json says; None takes a field out."""
        kept = {
            key: value for key, value in (self.manifest | changes).items() if value is not None or key not in changes
        }
        _write_manifest(self.path, kept)
        self.manifest = kept

    # ------------------------------------------------------------------------------------------ reading

    def records(self) -> Iterator[dict[str, Any]]:
        """Read the samples one by one, in the order they were finished."""
        yield from read_samples(_samples(self.path), [])

    def held(self, question: str, params: str) -> int:
        """Return which samples of a question are there: bit j of the number is sample j."""
        return self._held.get((question, params), 0)

    def done(self) -> set[tuple[str, int, str]]:
        """Return the keys (question id, sample, params) of all samples that are there."""
        with self._guard:
            return {(i, j, params) for (i, params), bits in self._held.items() for j in _bits(bits)}

    def _repair(self) -> None:
        """Learn what is there; set aside what is damaged, so that it is told once and drawn again."""
        path = _samples(self.path)
        if not os.path.exists(path):
            return
        damaged: list[Damage] = []
        for line in read_lines(path, damaged):
            head = HEAD.match(line)
            if head is not None:  # always, after unseal
                key = json.loads(head[1]), head[3].decode()
                self._held[key] = self._held.get(key, 0) | 1 << int(head[2])
        if damaged:
            with open(os.path.join(self.path, "samples.damaged"), "ab") as aside:
                for damage in damaged:
                    aside.write(damage.text + b"\n")
                _sync(aside)
            with open(path, "r+b") as file:
                for damage in damaged:
                    file.seek(damage.offset)
                    if damage.torn:
                        file.truncate()
                    else:
                        file.write(b" " * len(damage.text))  # a blank line is no line
                _sync(file)
            self.notes.append(damage_words(path, damaged) + " Set aside in samples.damaged.")
        with open(path, "r+b") as file:  # a last line that lacks only its line feed
            if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                file.write(b"\n")


@dataclass(frozen=True)
class Run:
    """A run folder as it was read.

    Attributes
    ----------
    manifest : dict
        What run.json says.
    questions : list of dict
        The questions, in their order.
    records : list of dict
        The samples, in the order they were finished; no key (id, sample, params) twice.
    notes : list of str
        What was damaged and is left out.
    """

    manifest: dict[str, Any]
    questions: list[dict[str, Any]] = field(repr=False)
    records: list[dict[str, Any]] = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def to_frame(self) -> Any:
        """Return the samples as a pandas DataFrame, one row each."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("to_frame: needs pandas: pip install pandas") from None
        return pd.DataFrame.from_records(self.records)

    def to_arrow(self) -> Any:
        """Return the samples as a pyarrow Table, one row each."""
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingExtraError("to_arrow: needs pyarrow: pip install 'tcalloc[parquet]'") from None
        return pa.Table.from_pylist(self.records)


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run folder, also one that is being written to.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    Run
        The manifest, the questions and the samples.
    """
    path = os.fspath(path)
    manifest = _read_manifest(path)
    questions = []
    with open(_questions(path), "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                questions.append(json.loads(line))
            except ValueError:
                raise InputError(
                    f"{_questions(path)}: line {number} is not JSON. The file was changed; restore it."
                ) from None
    damaged: list[Damage] = []
    seen: dict[tuple[str, str], int] = {}
    records = []
    # The collector would look again and again at what can hold no cycle: that is most of the time for 1e6 lines.
    collecting = gc.isenabled()
    gc.disable()
    try:
        for record in read_samples(_samples(path), damaged):
            key, bit = (record["id"], record["params"]), 1 << record["sample"]
            bits = seen.get(key, 0)
            if not bits & bit:
                seen[key] = bits | bit
                records.append(record)
    finally:
        if collecting:
            gc.enable()
    # A torn end may be a line that is being written just now: not damage, but not there yet.
    damaged = [damage for damage in damaged if not damage.torn]
    return Run(manifest, questions, records, [damage_words(_samples(path), damaged)] if damaged else [])


# ---------------------------------------------------------------------------------------------- files


def _manifest(path: str) -> str:
    return os.path.join(path, "run.json")


def _questions(path: str) -> str:
    return os.path.join(path, "questions.jsonl")


def _samples(path: str) -> str:
    return os.path.join(path, "samples.jsonl")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _take(path: str, *, make: bool) -> BinaryIO:
    if os.path.exists(path) and not os.path.isdir(path):
        raise InputError(f"{path}: not a folder; a run is a folder. Choose another name.")
    if make:
        os.makedirs(path, exist_ok=True)
    lock = lock_file(os.path.join(path, "lock"))
    if lock is None:
        raise InputError(f"{path}: another process is writing to this run. Wait for it, or stop it.")
    return lock


def _write_manifest(path: str, manifest: Mapping[str, Any]) -> None:
    with replacing(_manifest(path)) as file:
        file.write(json.dumps(manifest, indent=2, allow_nan=False).encode() + b"\n")
        _sync(file)


def _read_manifest(path: str) -> dict[str, Any]:
    name = _manifest(path)
    try:
        with open(name, "rb") as file:
            manifest: Any = json.load(file)
    except FileNotFoundError:
        raise InputError(
            f"{path}: not a run folder, since it has no run.json. `tcalloc sample --out` makes one."
        ) from None
    except ValueError:
        raise InputError(f"{name}: not JSON. The file was changed; restore it.") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA or isinstance(schema, bool):
        raise InputError(
            f"{name}: schema {schema!r}; this tcalloc ({__version__}) reads {SCHEMA}. "
            "Use the version of tcalloc that wrote it (the file names it)."
        )
    if not isinstance(manifest.setdefault("arms", []), list):
        raise InputError(f"{name}: arms must be a list. The file was changed; restore it.")
    whole: dict[str, Any] = manifest
    return whole


def _bits(bits: int) -> Iterator[int]:
    return (j for j in range(bits.bit_length()) if bits >> j & 1)

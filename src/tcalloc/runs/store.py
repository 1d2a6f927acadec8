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
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from tcalloc._files import MOST_LINE, naming, open_regular, replacing
from tcalloc._version import __version__
from tcalloc.errors import InputError
from tcalloc.runs.held_samples import HeldSamples
from tcalloc.runs.lines import Damage, damage_words, dumps, read_keys, read_samples, refuse_foreign_lines, seal
from tcalloc.runs.reading import Run, read_questions, read_run
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import (
    SCHEMA,
    claim,
    is_run,
    questions_of,
    read_manifest,
    refuse_foreign,
    refuse_taken,
    remove_rests,
    samples_of,
    sync,
    take,
    write_manifest,
    write_whole,
)
from tcalloc.runs.syncing import Syncing

__all__ = ["SCHEMA", "Run", "Store", "read_run"]


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
        What was wrong with the folder and is repaired, each reported once.
    """

    def __init__(self, path: str, manifest: dict[str, Any], lock: BinaryIO):
        self.path = path
        self.manifest = manifest
        self.notes: list[str] = []
        self._lock_file = lock
        self._guard = threading.Lock()
        self._file = -1
        self._size = 0
        self._syncing = Syncing(samples_of(path))
        self._held = HeldSamples()
        try:
            refuse_taken(path, manifest)
            remove_rests(path)
            self._repair()
            with open_regular(samples_of(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, follow=False) as file:
                self._file = os.dup(file.fileno())
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
        _refuse_used(path)
        lock = take(path, make=True)
        try:
            _refuse_used(path)
            whole = {"schema": SCHEMA, "tcalloc": __version__, "files": [], "arms": []} | dict(manifest)
            # First: a process that is killed here leaves files that are known to be tcalloc's.
            write_manifest(path, whole | {"unfinished": True})
            with replacing(questions_of(path)) as file:
                for question in questions:
                    line = dumps(question) + b"\n"
                    if len(line) > MOST_LINE:
                        raise InputError(
                            f"the question {str(question['id'])[:40]!r} has {len(line):,} bytes; at most "
                            f"{MOST_LINE:,} can be stored. Shorten it."
                        )
                    file.write(line)
                sync(file)
            write_manifest(path, whole)
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
        refuse_taken(path, read_manifest(path))
        lock = take(path, make=False)
        try:
            return cls(path, read_manifest(path), lock)
        except BaseException:
            lock.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Bring everything to the disk and let go of the lock; more than once does no harm."""
        self._syncing.finish()
        with self._guard:
            file, self._file = self._file, -1
            if file >= 0:
                with contextlib.suppress(OSError):  # what does not sync is still written
                    os.fsync(file)
                with naming(samples_of(self.path)):
                    os.close(file)
        self._lock_file.close()

    # ------------------------------------------------------------------------------------------ writing

    def append(self, record: SampleRecord) -> None:
        """Add one finished sample; when this returns, the process may die and the sample is there.

        Parameters
        ----------
        record : SampleRecord
            The sample, with at least ``id``, ``sample`` (from 0) and ``params``. One that is there already is refused.
        """
        line = seal(record)
        if len(line) > MOST_LINE and "text" in record:  # a reply that no reader would take; its answer is kept
            line = seal({key: value for key, value in record.items() if key != "text"})
        if len(line) > MOST_LINE:
            raise InputError(f"a sample of {len(line):,} bytes cannot be stored; at most {MOST_LINE:,} can.")
        key, number = (str(record["id"]), str(record["params"])), int(record["sample"])
        with self._guard:
            self._refuse_closed()
            self._syncing.check()
            if self._held.has(key, number):
                raise InputError(f"{self.path}: sample {number} of question {key[0]!r} is there already.")
            with naming(samples_of(self.path)):
                self._size += write_whole(self._file, line, self._size)  # this process holds the lock
            self._held.add(key, number)
            self._syncing.wrote(self._file)

    def add_question(self, question: Mapping[str, Any]) -> None:
        """Add a question, for runs whose questions come one by one.

        Parameters
        ----------
        question : mapping
            One object with an ``id`` that no other question has.
        """
        line = dumps(question) + b"\n"
        if len(line) > MOST_LINE:
            raise InputError(f"a question of {len(line):,} bytes cannot be stored; at most {MOST_LINE:,} can.")
        path = questions_of(self.path)
        with self._guard, naming(path), open_regular(path, os.O_WRONLY | os.O_APPEND, follow=False) as file:
            write_whole(file.fileno(), line, file.seek(0, os.SEEK_END))

    def rewrite(
        self,
        question: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        record: Callable[[SampleRecord], SampleRecord],
    ) -> None:
        """Write all questions and samples anew; what writes to the run meanwhile waits.

        A process that dies leaves each of the two files as it was or as it shall be, the questions first.

        Parameters
        ----------
        question, record : callable
            Each takes a question or a sample, and returns what shall stand in its place, with the same id.
        """
        with self._guard:
            self._refuse_closed()
            self._syncing.finish()
            with replacing(questions_of(self.path)) as file:
                for one in self.questions():
                    file.write(dumps(question(one)) + b"\n")
                sync(file)
            held = HeldSamples()
            with replacing(samples_of(self.path)) as file:
                for sample in read_samples(samples_of(self.path), []):
                    changed = record(sample)
                    if held.add((str(changed["id"]), str(changed["params"])), int(changed["sample"])):
                        file.write(seal(changed))
                sync(file)
                size = file.tell()
            with open_regular(samples_of(self.path), os.O_WRONLY | os.O_APPEND, follow=False) as file:
                os.dup2(file.fileno(), self._file)
            self._held, self._size = held, size

    def _refuse_closed(self) -> None:
        """Refuse to write without the lock, which others may hold by now."""
        if self._file < 0:
            raise InputError(f"{self.path}: the run is closed. Open it again to go on.")

    def add_arm(self, arm: Mapping[str, Any]) -> None:
        """Say in run.json what is asked of which model; an arm whose key ``arm`` is there already stays as it is."""
        if any(known.get("arm") == arm["arm"] for known in self.manifest["arms"]):
            return
        self.manifest = self.manifest | {"arms": [*self.manifest["arms"], dict(arm)]}
        write_manifest(self.path, self.manifest)

    def claim(self, *names: str) -> None:
        """Say in run.json that files of these names in the folder are tcalloc's; needed before they are written.

        Raises
        ------
        InputError
            If there is such a file already that is the user's, or a symbolic link.
        """
        self.manifest = claim(self.path, self.manifest, *names)

    def change_manifest(self, **changes: Any) -> None:
        """Change what run.json says; None takes a field out."""
        changed = self.manifest | changes
        kept = {key: value for key, value in changed.items() if value is not None or key not in changes}
        write_manifest(self.path, kept)
        self.manifest = kept

    # ------------------------------------------------------------------------------------------ reading

    def records(self) -> Iterator[SampleRecord]:
        """Read the samples one by one, in the order they were finished."""
        return read_samples(samples_of(self.path), [])

    def questions(self) -> list[dict[str, Any]]:
        """Return the questions, in their order."""
        return read_questions(questions_of(self.path))

    def held(self, question: str, params: str) -> int:
        """Return which samples of a question are there: bit j of the number is sample j."""
        return self._held.bits((question, params))

    def _repair(self) -> None:
        """Learn what is there; set aside what is damaged, so that it is reported once and drawn again."""
        path = samples_of(self.path)
        if not os.path.lexists(path):
            return
        damaged: list[Damage] = []
        for question, number, params in read_keys(path, damaged):
            self._held.add((question, params), number)
        if damaged:
            refuse_foreign_lines(path, damaged)
            aside_path = os.path.join(self.path, "samples.damaged")
            self.claim("samples.damaged")
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with naming(aside_path), open_regular(aside_path, flags, follow=False) as aside:
                with open_regular(path) as file:
                    for damage in damaged:
                        file.seek(damage.offset)
                        aside.write(file.read(damage.size) + b"\n")
                sync(aside)
            with naming(path), open_regular(path, os.O_RDWR, follow=False) as file:
                for damage in damaged:
                    file.seek(damage.offset)
                    if damage.torn:
                        file.truncate()
                    else:
                        file.write(b" " * damage.size)  # a blank line is no line
                sync(file)
            self.notes.append(damage_words(path, damaged) + " Set aside in samples.damaged.")
        with naming(path), open_regular(path, os.O_RDWR, follow=False) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a last line that lacks only its line feed
                    file.write(b"\n")


def _refuse_used(path: str) -> None:
    """Refuse a folder for a new run that holds a run, or anything of the user's."""
    if is_run(path):
        raise InputError(f"{path}: holds a run already. Open that run, or write to another folder.")
    refuse_foreign(path)

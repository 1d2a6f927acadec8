"""What graders said of the samples of a run folder: what could not be graded, and how verdicts are replaced.

A verdict is what a grader says of one sample: the answer that was found, whether it is right, and why grading failed.
A sample whose grading failed is paid for and stored. It counts as neither right nor wrong until it is graded again.

    samples.jsonl    holds the verdicts that count
    verdicts.jsonl   one line per verdict of a later grading, as soon as it is there; and before them, the verdicts that
                     they are to replace. It is only ever appended to: no verdict is lost.

A later grading (a session) first stores the verdicts that it may replace, then its own, one by one. At the end it
replaces samples.jsonl in one step. run.json names a session that is under way, so that a killed one goes on.
"""

import contextlib
import json
import math
import os
import shlex
import threading
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from tcalloc._counts import agreeing, counted
from tcalloc._files import naming, replacing
from tcalloc._printing import cleaned
from tcalloc.errors import InputError
from tcalloc.runs.lines import read_lines, read_samples, seal
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import samples_of, sync, write_whole
from tcalloc.runs.store import Store

__all__ = ["Failures", "Key", "Session", "failed", "failures_of", "key_of", "refuse_half_graded"]

Key: TypeAlias = tuple[str, int, str]
# Reasons that are kept; the others are counted.
REASONS = 20


def failed(record: SampleRecord) -> bool:
    """Say whether grading a sample failed."""
    return record.get("error") is not None


@dataclass(slots=True)
class Failures:
    """How many samples could not be graded, and why.

    Attributes
    ----------
    count : int
        How many.
    reasons : dict
        How many for each reason; the reasons that came first.
    """

    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, reason: Any) -> None:
        """Count one sample."""
        self.count += 1
        if reason in self.reasons or len(self.reasons) < REASONS:
            self.reasons[str(reason)] = self.reasons.get(str(reason), 0) + 1

    @cleaned
    def words(self, out: str | None = None) -> str:
        """Return a sentence with the most frequent reason, and how to grade the run folder `out` again."""
        reason = max(self.reasons, key=lambda one: self.reasons[one], default="no reason is known").rstrip(".")
        others = f" (the most frequent of {counted(len(self.reasons), 'reason')})" if len(self.reasons) > 1 else ""
        again = agreeing(self.count, " It counts", " They count") + " as neither right nor wrong"
        again += "." if out is None else f" until graded again: tcalloc grade {shlex.quote(out)}"
        return f"{counted(self.count, 'answer')} could not be graded: {reason}{others}.{again}"


def failures_of(path: str, arms: Container[str] | None = None) -> Failures:
    """Count the samples of a run folder, or of some of its arms, that could not be graded."""
    found = Failures()
    for _, line in read_lines(samples_of(path), []):
        if b',"error":null' in line:  # no text can hold that: a quotation mark in one is escaped
            continue
        record = json.loads(line)
        if failed(record) and (arms is None or record.get("arm") in arms):
            found.add(record["error"])
    return found


def refuse_half_graded(path: str, manifest: Mapping[str, Any]) -> None:
    """Refuse a folder where a later grading was killed in its last step: it may hold the old or the new verdicts."""
    under_way = manifest.get("regrading")
    if isinstance(under_way, dict) and under_way.get("applying"):
        raise InputError(
            f"{path}: grading it again by {under_way.get('grader')!r} was killed in its last step. Run the same "
            "`tcalloc grade` once more; nothing is graded twice."
        )


def key_of(record: SampleRecord) -> Key:
    """Return what a sample is known by."""
    return str(record["id"]), int(record["sample"]), str(record["params"])


class _Verdict(SampleRecord, total=False):
    """One line of verdicts.jsonl: a verdict on a sample."""

    session: int
    """In which call it was given."""
    by: str
    """"session", or the judge that was paid for it."""


class Session:
    """One later grading of a run folder, perhaps over several calls. Threads may share it.

    Parameters
    ----------
    store : Store
        The folder, open.
    grader : str
        The name of the grader.
    everything : bool
        Whether all samples are graded again, also those that this grader has graded.

    Attributes
    ----------
    verdicts : dict
        The session's verdicts (answer, correct, error) by sample. Those of earlier calls whose grading failed are left
        out: they are tried again.
    spent : float
        What all verdicts of all sessions cost, where a judge was paid for them.
    """

    def __init__(self, store: Store, grader: str, everything: bool):
        self._store, self._grader = store, grader
        self._path = os.path.join(store.path, "verdicts.jsonl")
        self._guard = threading.Lock()
        self.verdicts: dict[Key, tuple[str | None, bool | None, str | None]] = {}
        known = {"grader": grader, "everything": everything}
        under_way = store.manifest.get("regrading")
        under_way = under_way if isinstance(under_way, dict) else {}
        self.resumed = {name: under_way.get(name) for name in known} == known and isinstance(
            under_way.get("session"), int
        )
        if not self.resumed:
            refuse_half_graded(store.path, store.manifest)
        last = 0
        costs = []
        for line in self._lines():
            last = max(last, line["session"])
            costs.append(line.get("cost") or 0.0)
            if self.resumed and line["session"] == under_way["session"] and line["by"] == "session":
                if failed(line):
                    self.verdicts.pop(key_of(line), None)
                else:
                    self.verdicts[key_of(line)] = cast("str | None", line["answer"]), line["correct"], None
        self.spent = math.fsum(costs)
        self._number = under_way["session"] if self.resumed else last + 1
        self._known = known | {"session": self._number}
        self._file = self._opened()

    def _lines(self) -> Iterator[_Verdict]:
        for line in cast("Iterator[_Verdict]", read_samples(self._path, [])):
            right = isinstance(line.get("session"), int) and {"by", "answer", "correct", "error"} <= line.keys()
            if right and isinstance(line["correct"], bool | None) and isinstance(line["answer"], str | None):
                yield line

    def _opened(self) -> int:
        self._store.claim("verdicts.jsonl")
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            file = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror}). Move it away.") from None
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":  # a torn end, of a machine that died
            os.write(file, b"\n")
        return file

    def begin(self, replaced: Iterator[SampleRecord]) -> None:
        """Store the verdicts that are to be replaced, unless an earlier call did; from then on the session goes on.

        The field ``grader`` of each sample says who graded it before.
        """
        if self.resumed:
            return
        for record in replaced:
            if not failed(record):
                self._append(record, "before", record.get("grader"))
        os.fsync(self._file)
        self._store.change_manifest(regrading=self._known)

    def add(
        self,
        record: SampleRecord,
        answer: str | None,
        correct: bool | None,
        error: str | None,
        cost: float | None = None,
    ) -> bool:
        """Store one verdict, and what a judge was paid for it.

        When this returns True, the process may die and the verdict is there.
        """
        with self._guard:
            if self._file < 0:
                return False  # of a request that was dropped
            verdict = record.copy()
            verdict["answer"], verdict["correct"], verdict["error"] = answer, correct, error
            self._append(verdict, "session", self._grader, cost)
            self.verdicts[key_of(record)] = answer, correct, error
            return True

    def _append(self, record: SampleRecord, by: str, grader: Any, cost: float | None = None) -> None:
        names = ("id", "sample", "params", "answer", "correct", "error")
        verdict = {name: record.get(name) for name in names}
        verdict |= {"session": self._number, "by": by, "grader": grader}
        line = seal(verdict if cost is None else verdict | {"cost": cost})
        with naming(self._path):
            write_whole(self._file, line, os.fstat(self._file).st_size)  # this process holds the lock

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        with self._guard:
            file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                os.fsync(file)
            os.close(file)

    def apply(self, manifest: Mapping[str, Any]) -> int:
        """Write the session's verdicts into samples.jsonl, in one step, and close the store.

        `manifest` is what else changes in run.json. Returns how many verdicts differ from those before.
        """
        path = samples_of(self._store.path)
        if os.path.islink(path):
            raise InputError(f"{path}: a symbolic link, and is not written through. Copy the file into the folder.")
        self._store.change_manifest(regrading=self._known | {"applying": True})
        changed = 0
        with replacing(path) as file:
            for record in self._store.records():
                verdict = self.verdicts.get(key_of(record))
                if verdict is not None:
                    changed += (record.get("answer"), record.get("correct"), record.get("error")) != verdict
                    record["answer"], record["correct"], record["error"] = verdict
                file.write(seal(record))
            sync(file)
        self._store.change_manifest(regrading=None, **manifest)
        self._store.close()  # what it has open is the file before
        return changed

    def drop(self) -> None:
        """End the session without changing a sample."""
        self._store.change_manifest(regrading=None)

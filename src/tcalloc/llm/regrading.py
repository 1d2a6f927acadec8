"""Grading the samples of a run folder again: those that could not be graded, or all with another grader.

    result = grade("run/")                      # what could not be graded, by the same grader
    result = grade("run/", "math")              # everything, by another
    print(result)

No model is asked for answers, so only a judge costs money. Verdicts are stored as they come, in verdicts.jsonl,
together with those that they replace; see `tcalloc.runs.verdicts`.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

from tcalloc._amounts import amount
from tcalloc._checks import whole
from tcalloc._counts import agreeing, counted
from tcalloc._printing import cleaned, shown_shortly
from tcalloc.errors import InputError
from tcalloc.llm.concurrency.event_loop import Call, crew, supervise
from tcalloc.llm.drawing import graded
from tcalloc.llm.failures import LimitReached
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.graders.judge import JudgeGrader
from tcalloc.llm.judge_books import JudgeBooks, priced_judge
from tcalloc.llm.money.bill import Bill
from tcalloc.llm.progress import Progress
from tcalloc.llm.questions import Question, question_from
from tcalloc.llm.run_folder import journal_of
from tcalloc.runs.jsonl import read_objects, snippet
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import LIVE
from tcalloc.runs.store import Store
from tcalloc.runs.verdicts import Failures, Session, failed, key_of

__all__ = ["Grading", "grade"]

# If a judge could not grade this many answers in a row, and none before, it is down.
_HOPELESS = 16
# Number of answers that a thread takes at a time if grading one takes less time than passing it on.
_CHUNK = 256


@dataclass(frozen=True, slots=True, repr=False)
class Grading:
    """The result of one call of `grade`.

    Attributes
    ----------
    out : str
        The run folder.
    grader : str
        The name of the grader.
    samples : int
        Samples in the folder.
    graded, changed : int
        Number of samples in this grading, and of verdicts that differ from those before.
    marked, right : int
        Number of all samples that are marked right or wrong now, and of those that are right.
    failures : Failures
        The samples that could not be graded, and why. They count as neither right nor wrong.
    applied : bool
        Whether the folder holds the new verdicts. False if nothing could be graded, or the call ended early.
    stopped : str or None
        The reason of an early end.
    interrupted : bool
        Whether ctrl-C ended it; the same call continues.
    notes : tuple of str
        Further remarks.
    spent : float or None
        Cost of the judges of this folder by their rates, earlier calls included; None without rates.
    lost : float
        The most that lost replies of judges may have cost, earlier calls included.
    """

    out: str
    grader: str
    samples: int
    graded: int
    changed: int
    marked: int
    right: int
    failures: Failures = field(default_factory=Failures)
    applied: bool = True
    stopped: str | None = None
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    spent: float | None = None
    lost: float = 0.0

    __repr__ = shown_shortly

    @property
    def accuracy(self) -> float | None:
        """Share of right samples among those that are marked; None if there is none."""
        return self.right / self.marked if self.marked else None

    @cleaned
    def __str__(self) -> str:
        right = "" if self.accuracy is None else f" {self.right:,} of {self.marked:,} that could be marked are right."
        done = (
            f"{self.graded:,} of {counted(self.samples, 'sample')} graded by {self.grader}, "
            f"{counted(self.changed, 'verdict')} changed."
        )
        lost = f" (and up to {amount(self.lost)} for lost replies)" if self.lost else ""
        paid = "" if self.spent is None else f" The judge cost {amount(self.spent)} in all{lost}."
        kept = "" if self.applied else " The folder holds the verdicts that it had."
        return f"{self.out}: {done}{right}{paid}{kept}"


def grade(
    run: str | os.PathLike[str],
    grader: str | Callable[..., Any] | None = None,
    *,
    everything: bool = False,
    max_cost: float | None = None,
    concurrency: int = 8,
    progress: bool = False,
    grace: float = 10.0,
    say: Callable[[str], object] = lambda message: None,
) -> Grading:
    """Grade the samples of a run folder again.

    Parameters
    ----------
    run : path
        The run folder, of ``tcalloc sample``, ``import`` or ``answer``.
    grader : str, callable or Grader, optional
        See `make_grader`. Default: the grader that the folder names; then only samples whose grading failed are graded.
        With another grader, all are graded.
    everything : bool
        Whether to grade all samples although the grader is the same, for example after a change of your own function.
    max_cost : float, optional
        The most that judges of this folder may cost in all, earlier calls and lost replies included. Needs a judge that
        is asked through a `ChatClient` with rates and max_tokens. When the limit is reached, the verdicts so far are
        kept, and the same call with a higher limit continues.
    concurrency : int
        Number of answers that are graded at one time.
    progress : bool
        Whether to show on standard error how far it is.
    grace : float
        After ctrl-C, number of seconds in which open verdicts may still finish.
    say : callable
        Called with one line when ctrl-C came.

    Returns
    -------
    Grading
        The result. If no answer at all could be graded, the folder keeps its verdicts. Replaced verdicts stay in
        verdicts.jsonl.

    Raises
    ------
    InputError
        If the folder holds no run, is being written to, or holds no text to grade; if it does not name the grader; if a
        gold answer is not of the grader's kind; if `max_cost` could not be kept.

    Examples
    --------
    >>> import tcalloc
    >>> tcalloc.grade("nowhere/")
    Traceback (most recent call last):
    tcalloc.errors.InputError: nowhere/: not a run folder, since it has no run.json. `tcalloc sample --out` makes one.
    """
    path = os.fspath(run)
    whole("concurrency", concurrency, 1)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(path))
        given = grader
        grader = make_grader(_known_grader(path, store.manifest) if grader is None else grader)
        if given is not grader and (close := getattr(grader, "close", None)) is not None:
            stack.callback(close)  # processes of a grader that was made here
        job = _Job(store, grader, everything, concurrency, max_cost)
        stack.callback(job.close)
        return job.run(progress, grace, say)


class _Job:
    """One call of `grade`."""

    def __init__(self, store: Store, grader: Any, everything: bool, concurrency: int, max_cost: float | None):
        self.store, self.grader, self.everything = store, grader, everything
        self.judge, self.max_cost = priced_judge(grader, max_cost), max_cost
        self.books: JudgeBooks | None = None
        self.name = str(getattr(grader, "name", type(grader).__name__))
        # A grader that needs only the interpreter gains nothing from threads.
        self.concurrency, self.chunk = (1, _CHUNK) if getattr(grader, "quick", False) else (concurrency, 1)
        self.before = graders_of(store.manifest)
        self.blind = any(os.path.exists(os.path.join(store.path, name)) for name in LIVE)
        self.questions = _questions(store.path)
        self.samples, self.wanted = self._survey()
        self.session: Session | None = None
        self.guard = threading.Lock()
        self.done = 0
        self.good = False
        self.call = Call()
        self.failures = Failures()
        self.notes: list[str] = list(store.notes)
        self.applied = True
        self.stopped: str | None = None
        self.broken: Exception | None = None

    def close(self) -> None:
        """Close the files of verdicts and requests."""
        if self.books is not None:
            self.books.close()
        if self.session is not None:
            self.session.close()

    def _to_grade(self) -> Iterator[SampleRecord]:
        for record in self.store.records():
            by = self.before.get(str(record.get("arm")), self.before.get(""))
            if self.everything or failed(record) or by != self.name:
                yield cast("SampleRecord", record | {"grader": by})

    def _survey(self) -> tuple[int, int]:
        """Return the number of samples and of those to be graded; raise an error if a sample cannot be graded."""
        silent: SampleRecord | None = None
        asked: dict[str, Question] = {}
        count = missing = 0
        for record in self._to_grade():
            count += 1
            if not isinstance(record.get("text"), str):
                silent, missing = silent or record, missing + 1
            name = str(record["id"])
            if name not in self.questions:
                raise InputError(
                    f"{self.store.path}: holds a sample of {name!r}, which questions.jsonl does not. Restore it."
                )
            asked[name] = self.questions[name]
        if silent is not None:
            raise InputError(
                f"{self.store.path}: {missing:,} of {counted(count, 'sample')} to grade "
                f"{agreeing(missing, 'has', 'have')} no text (question {silent['id']!r}, sample {silent['sample']}). "
                "They were stored with --no-text, or imported as answers. Draw or import them again with their texts."
            )
        check_golds(self.grader, asked.values())
        return sum(1 for _ in self.store.records()), count

    def run(self, progress: bool, grace: float, say: Callable[[str], object]) -> Grading:
        """Grade the samples that need it, and write the verdicts."""
        if not self.wanted and "regrading" not in self.store.manifest:
            self.notes.append(
                "there is nothing to grade: this grader has graded every sample. To grade all again, use --all."
            )
            return self._result(0)
        self.session = session = Session(self.store, self.name, self.everything)
        session.begin(self._to_grade())
        if self.judge is not None:
            self.books = JudgeBooks(self.grader, self.judge, journal_of(self.store), session.spent, self.max_cost)
        there = set(session.verdicts)
        if there:
            are = agreeing(len(there), "is", "are")
            self.notes.append(f"{counted(len(there), 'verdict')} {are} from an earlier call, which did not end.")
        tasks = (record for record in self._to_grade() if key_of(record) not in there)
        self.done, self.good = len(there), bool(there)
        bar = Progress(self.wanted, self.done, None, False, what="answers") if progress else None
        look = None if bar is None else lambda: bar.show(self.done, self.failures.count)
        work = self.call.side_by_side([self._work(tasks) for _ in range(self.concurrency)], look)
        supervise(work, self.call, grace, say, "verdicts")
        session.close()  # later verdicts are not stored
        if bar is not None:
            bar.show(self.done, self.failures.count, last=True)
        if self.broken is not None:
            raise self.broken
        return self._finish(session)

    def _finish(self, session: Session) -> Grading:
        complete = not self.call.interrupted and self.stopped is None
        self.applied = complete and (self.good or not self.failures.count)
        changed = 0
        if self.applied:
            changed = session.apply(self._manifest())
        elif complete or not session.verdicts:
            session.drop()  # not one answer could be graded: the folder stays as it is
        if changed and os.path.exists(os.path.join(self.store.path, "answers.jsonl")):
            self.notes.append(
                "answers.jsonl holds the answers by the verdicts before. Run the same `tcalloc answer` again to write "
                "it anew; no stored sample is drawn again."
            )
        return self._result(changed)

    def _result(self, changed: int) -> Grading:
        marked = right = 0
        for record in self.store.records():
            if record.get("correct") is not None and not failed(record):
                marked, right = marked + 1, right + bool(record["correct"])
        return Grading(
            self.store.path,
            self.name,
            self.samples,
            self.done - self.failures.count,
            changed,
            marked,
            right,
            self.failures,
            self.applied,
            self.stopped,
            self.call.interrupted,
            tuple(self.notes),
            None if self.books is None else self.books.meter.spent,
            0.0 if self.books is None else self.books.meter.lost,
        )

    def _manifest(self) -> dict[str, Any]:
        """Return the grader's entry in run.json from now on."""
        manifest = self.store.manifest
        if "" in self.before:  # an import
            return {"grader": self.name}
        return {"arms": [arm | {"grader": self.name} if isinstance(arm, dict) else arm for arm in manifest["arms"]]}

    async def _work(self, tasks: Iterator[SampleRecord]) -> None:
        try:
            while not self.call.stop.on and (records := list(islice(tasks, self.chunk))):
                await crew().run(self._grade_all, records)
        except LimitReached as error:
            self.stopped = str(error)
            self.call.stop.set()
        except Exception as error:  # a full disk, a bug: nothing goes on, and the caller gets it
            self.broken = self.broken or error
            self.call.stop.set()

    def _grade_all(self, records: list[SampleRecord]) -> None:
        for record in records:
            if self.call.stop.on:
                return
            self._grade(record)

    def _grade(self, record: SampleRecord) -> None:
        assert self.session is not None
        nothing: AbstractContextManager[list[Bill]] = nullcontext([])
        with nothing if self.books is None else self.books.verdict() as bills:
            verdict = graded(self.grader, self.questions[str(record["id"])], record["text"] or "", blind=self.blind)
            cost = None if self.books is None else math.fsum(bill.cost for bill in bills)
            if not self.session.add(record, verdict.answer, verdict.correct, verdict.error, cost):
                bills.clear()  # paid, and not stored
        with self.guard:
            self.done += 1
            self.good |= verdict.error is None
            if verdict.error is not None:
                self.failures.add(verdict.error)
                if isinstance(self.grader, JudgeGrader) and not self.good and self.failures.count >= _HOPELESS:
                    self.stopped = f"the judge could grade none of the first {counted(self.failures.count, 'answer')}"
                    self.call.stop.set()


def graders_of(manifest: dict[str, Any]) -> dict[str, str | None]:
    """Return the name of the grader of each arm; for an import, under the name "", of the grader of all samples."""
    if "imported" in manifest or "grader" in manifest:
        return {"": manifest.get("grader")}
    return {str(arm.get("arm")): arm.get("grader") for arm in manifest["arms"] if isinstance(arm, dict)}


def _known_grader(path: str, manifest: dict[str, Any]) -> str:
    """Return the name of the grader that a folder names, if a grader can be made of it."""
    names = sorted({str(name) for name in graders_of(manifest).values() if name is not None})
    if len(names) != 1:
        what = "does not say who graded it" if not names else f"was graded by {', '.join(names)}"
        raise InputError(f"{path}: {what}. Name a grader (--grader).")
    head = names[0].partition(":")[0]
    if head in ("judge", "function"):
        what = "a judge model" if head == "judge" else "a function of your own"
        raise InputError(f"{path}: was graded by {names[0]!r}, {what}. Give it again (--grader, or grader= in Python).")
    return names[0]


def _questions(path: str) -> dict[str, Question]:
    """Return the questions of a folder by their ids."""
    name = os.path.join(path, "questions.jsonl")
    found = {}
    for number, row in read_objects(name, '{"id": "q1", "question": "6 times 7?", "gold": "42"}'):
        # Any other field of a question is a category, whatever its name.
        plain = {key: row[key] for key in ("id", "question", "gold", "accept", "choices") if row.get(key) is not None}
        question = question_from(plain | {"id": str(row.get("id"))}, f"{name}, line {number}", str(number))
        if question.id in found:
            raise InputError(
                f"{name}, line {number}: the id {snippet(question.id)} was given on an earlier line. The file was "
                "changed; restore it."
            )
        found[question.id] = question
    return found

"""Sampling: every question n times, each sample graded and stored at once; stored samples are not drawn again."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tcalloc._checks import whole
from tcalloc._printing import shown_shortly
from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency.event_loop import Call, supervise
from tcalloc.llm.concurrency.limits import affordable
from tcalloc.llm.drawing import Drawer
from tcalloc.llm.failures import LimitReached, LlmError, RefusedError, Stopped
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.money.journal import Journal
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.progress import Progress
from tcalloc.llm.questions import Question, QuestionsLike, as_questions, refuse_half_pairs
from tcalloc.llm.run_folder import journal_of, open_run, spent_before, spread
from tcalloc.runs.held_samples import refuse_count
from tcalloc.runs.store import Store
from tcalloc.runs.verdicts import failures_of

__all__ = ["Outcome", "sample"]

Task: TypeAlias = tuple[Question, str, list[int]]
# If this many requests are refused before any answer, the server will refuse all.
_HOPELESS = 8
# Number of samples asked for one by one, to learn the tokens of a text, before a request brings several.
_SINGLES = 3


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """The result of one call of `sample`.

    Attributes
    ----------
    out : str
        The run folder.
    arm : str
        The key of model, host and parameters in it.
    wanted, there, drawn, failed : int
        Numbers of samples: asked for; there before; new; failed and still missing.
    requests : int
        Requests sent, retries included.
    spent : float or None
        Cost of all samples of the folder, earlier calls included; None without prices.
    lost : float
        The most that requests without a usable reply may have cost in addition, earlier calls included.
    seconds : float
        Duration of the call.
    stopped : str or None
        The reason of an early end: a limit, or an error that all requests would meet.
    interrupted : bool
        Whether ctrl-C ended it.
    reasons : tuple of str
        The reasons why samples failed, each once.
    notes : tuple of str
        Remarks about the folder and the server.
    ungraded : int
        Samples of this arm in the folder that could not be graded, those of earlier calls included.
    ungraded_words : str or None
        The reason, and how to grade them again.
    """

    out: str
    arm: str
    wanted: int
    there: int
    drawn: int
    failed: int
    requests: int
    spent: float | None
    lost: float
    seconds: float
    stopped: str | None = None
    interrupted: bool = False
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ungraded: int = 0
    ungraded_words: str | None = None

    __repr__ = shown_shortly

    @property
    def complete(self) -> bool:
        """Whether every sample is there."""
        return self.there + self.drawn >= self.wanted


def sample(
    questions: QuestionsLike,
    client: ChatClient,
    grader: Any,
    n: int,
    *,
    out: str,
    max_cost: float | None = None,
    max_requests: int | None = None,
    concurrency: int = 8,
    n_per_request: int = 1,
    text: bool = True,
    progress: bool = False,
    pilot: int | None = None,
    grace: float = 10.0,
    say: Callable[[str], object] = lambda message: None,
) -> Outcome:
    """Draw the missing samples of n per question, grade and store them.

    Parameters
    ----------
    questions : path, or iterable of str, mapping or Question
        A questions file, or texts, or objects as in its lines; see `tcalloc.llm.questions.as_questions`.
    client : ChatClient
        The client of the model.
    grader : str, callable or Grader
        See `tcalloc.llm.graders.make_grader`; threads share it, unless it is ``quick``.
    n : int
        Number of samples per question.
    out : str
        The run folder: new, or one to continue.
    max_cost : float, optional
        The most that the folder's requests may cost, earlier calls and lost replies included. Needs the client's
        rates and max_tokens.
    max_requests : int, optional
        The most requests that this call may send, retries included.
    concurrency : int, optional
        The largest number of open requests; fewer, with a note, if the process may not open as many connections.
    n_per_request : int, optional
        Choices per request, if the server supports them; the prompt is then paid once.
    text : bool, optional
        Whether to store the completions besides their answers.
    progress : bool, optional
        Whether to show progress on standard error.
    pilot : int, optional
        Draw only one sample each for this many questions, spread over all.
    grace : float, optional
        After ctrl-C, number of seconds in which open requests may still finish; a second ctrl-C drops them.
    say : callable, optional
        Called with one line after ctrl-C.

    Returns
    -------
    Outcome
        What was done. A limit, ctrl-C or a server that fails end it early and raise nothing: `stopped` and
        `interrupted` say so, and the same call continues.

    Raises
    ------
    InputError
        If something cannot be asked or graded, before anything is sent: no questions, ids that are given twice, a gold
        answer that the grader can never find, a limit of cost without prices.
    """
    for name, value in (("n", n), ("concurrency", concurrency), ("n_per_request", n_per_request)):
        whole(name, value, 1)
    refuse_count(n, "n")
    asked = as_questions(questions)
    refuse_half_pairs(asked)
    grader = make_grader(grader)
    check_golds(grader, asked)
    if max_cost is not None:
        if client.rates is None:
            raise InputError(
                "max_cost needs prices: without them the cost is not known. Give rates (--price-in, --price-out)."
            )
        if client.parameters.max_tokens is None:
            raise InputError(
                "max_cost needs max_tokens: without it no request has a highest cost. Set it (--max-tokens)."
            )
    with (
        open_run(out, asked, client, grader) as store,
        contextlib.closing(journal_of(store)) as journal,
    ):
        meter = Meter(max_cost, max_requests, spent_before(store, client) + journal.cut_cost(), journal.lost_cost())
        job = _Job(asked, client, grader, n, store, journal, meter, concurrency, n_per_request, text)
        outcome = job.run(progress, pilot, grace, say)
    failures = failures_of(out, {client.arm})
    if not failures.count:
        return outcome
    return replace(outcome, ungraded=failures.count, ungraded_words=failures.words(out))


class _Job:
    """One call of `sample`."""

    def __init__(
        self,
        questions: Sequence[Question],
        client: ChatClient,
        grader: Any,
        n: int,
        store: Store,
        journal: Journal,
        meter: Meter,
        concurrency: int,
        n_per_request: int,
        text: bool,
    ):
        self.questions, self.client, self.n = questions, client, n
        self.store, self.meter, self.n_per_request = store, meter, n_per_request
        self.concurrency, self.fewer = affordable(concurrency)
        self.drawer = Drawer(client, grader, meter, store.append, text=text, journal=journal)
        self.call = Call()
        self.drawn = self.failed = self.refused = self.gave_up = 0
        self.reasons: dict[str, None] = {}
        self.stopped: str | None = None
        self.broken: Exception | None = None

    def run(self, progress: bool, pilot: int | None, grace: float, say: Callable[[str], object]) -> Outcome:
        started = time.monotonic()
        client = self.client
        if pilot is None:
            wanted = self.n * len(self.questions)
            missing = sum(len(samples) for _, _, samples in self._missing(self.n))
            # A few requests first, so that an error of the URL, the key or the model shows before all are sent.
            singles = _SINGLES if self.n_per_request > 1 and not client.counter.calibrated else 1
            phases = [
                (singles, itertools.islice(self._missing(1), singles)),
                (self.concurrency, self._missing(self.n_per_request)),
            ]
        else:
            chosen = spread(self.questions, pilot)
            first = [(q, params, samples) for q, params, samples in self._missing(1, chosen) if samples == [0]]
            wanted, missing = len(chosen), len(first)
            phases = [(1, iter(first[:1])), (self.concurrency, iter(first[1:]))]
        there = wanted - missing
        bar = Progress(wanted, there, self.meter, client.rates is not None) if progress else None
        look = None if bar is None else lambda: bar.show(there + self.drawn, self.failed)
        supervise(self._phases(phases, look), self.call, grace, say)
        if bar is not None:
            bar.show(there + self.drawn, self.failed, last=True)
        if self.broken is not None:
            raise self.broken
        if self.stopped is None and self.gave_up and not self.drawn:
            self.stopped = next(iter(self.reasons))
        return Outcome(
            self.store.path,
            client.arm,
            wanted,
            there,
            self.drawn,
            self.failed,
            self.meter.requests,
            None if client.rates is None else self.meter.spent,
            self.meter.lost,
            time.monotonic() - started,
            self.stopped,
            self.call.interrupted,
            tuple(self.reasons),
            (*self.store.notes, *client.notes, *([self.fewer] if self.fewer else [])),
        )

    def _missing(self, size: int, questions: Iterable[Question] | None = None) -> Iterator[Task]:
        """Return the missing samples, in groups of at most `size` samples of one question."""
        for question in self.questions if questions is None else questions:
            params = self.client.params(question.messages)
            held = self.store.held(question.id, params)
            samples = [j for j in range(self.n) if not held >> j & 1]
            for start in range(0, len(samples), size):
                yield question, params, samples[start : start + size]

    async def _phases(self, phases: list[tuple[int, Iterator[Task]]], look: Callable[[], object] | None) -> None:
        for width, tasks in phases:
            if self.call.stop.on or (not self.drawn and self.gave_up):
                return
            await self.call.side_by_side([self._work(tasks) for _ in range(width)], look)

    async def _work(self, tasks: Iterator[Task]) -> None:
        samples: list[int] = []
        while not self.call.stop.on:
            try:
                question, params, samples = next(tasks)
                await self._draw(question, params, samples)  # this removes stored samples from the list
            except (StopIteration, Stopped):
                return
            except LlmError as error:
                self._fail(error, samples)
            except Exception as error:  # a full disk, a bug: everything stops, and the caller gets it
                self.broken = self.broken or error
                self.call.stop.set()

    async def _draw(self, question: Question, params: str, samples: list[int]) -> None:
        while samples:
            records = await self.drawer.ask(question, params, samples, self.call.stop)
            self.refused = self.gave_up = 0
            del samples[: len(records)]
            self.drawn += len(records)

    def _fail(self, error: LlmError, samples: list[int]) -> None:
        stop = error.fatal
        if not isinstance(error, LimitReached):
            self.failed += len(samples)
            if len(self.reasons) < 20:
                self.reasons.setdefault(str(error))
            if isinstance(error, RefusedError):
                self.refused += 1
                stop = stop or (not self.drawn and self.refused >= _HOPELESS)
            else:
                self.gave_up += 1
                stop = stop or self.gave_up >= max(3, self.concurrency)
        if stop:
            self.stopped = self.stopped or str(error)
            self.call.stop.set()

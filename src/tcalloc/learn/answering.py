"""Answering questions by a policy, live: what it asks for is drawn from real models, within a budget.

    with ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(max_tokens=256)) as client:
        answers = answer("questions.jsonl", policy, client, budget=3.0, out="run/")
    print(answers)

Samples go to a run folder as those of ``tcalloc sample`` do, so that a run that was killed goes on: a policy decides
the same on the same samples, and those that are stored are not drawn again.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn._answers import Answered, Answers
from tcalloc.learn._decisions import Decisions
from tcalloc.learn._ledger import Ledger
from tcalloc.learn.protocol import Draw, Policy, Result, Run
from tcalloc.llm._drawing import Drawer
from tcalloc.llm._folder import arm_of, open_run, spent_before
from tcalloc.llm.client import ChatClient
from tcalloc.llm.failures import LimitReached, LlmError, Stopped
from tcalloc.llm.graders import make_grader
from tcalloc.llm.meter import Meter
from tcalloc.llm.progress import Progress
from tcalloc.llm.questions import Question, question_from, read_questions
from tcalloc.measure.actions import Action
from tcalloc.measure.store import Store

__all__ = ["answer", "answer_async"]

Records = dict[tuple[str, str], dict[int, dict[str, Any]]]
# So many questions in a row without any reply: the server will give none to the others either.
_HOPELESS = 8
# A sample that costs so many times what it did in training is priced in another unit, or by another list.
_OTHER_UNIT = 3.0


def answer(
    questions: Any,
    policy: Policy,
    client: ChatClient | Mapping[str, ChatClient],
    *,
    budget: float | None = None,
    X: Any = None,
    grader: Any = "numeric",
    verifier: Callable[[str, str], bool] | None = None,
    costs: Mapping[str, float] | None = None,
    out: str | None = None,
    max_cost: float | None = None,
    max_requests: int | None = None,
    concurrency: int = 8,
    progress: bool = False,
    grace: float = 10.0,
    say: Callable[[str], object] = lambda message: None,
) -> Answers:
    """Answer questions by a policy.

    Parameters
    ----------
    questions : path, or sequence of str, mapping or Question
        A questions file, or texts, or what its lines hold. Gold answers, where given, only score; neither policy nor
        vote sees them.
    policy : Policy
        What decides; see `tcalloc.learn.protocol`.
    client : ChatClient or mapping of str to ChatClient
        Whom to ask; by model's name if the policy chooses between several.
    budget : float, optional
        Average cost per question, in the unit of `costs`. The policy is set to it (its ``at(budget)``), and it is held:
        a draw that would leave too little for the first draws of the questions that still wait is cut, and in the end
        left out. With prices that are only known afterwards the total can be exceeded by what one sample costs more
        than the mean.
    X : array_like, optional
        What the policy looks at, a row per question; the questions' texts if not given.
    grader : str or Grader
        Finds the answer in a completion (and scores it, where there is a gold answer); see `make_grader`.
    verifier : callable, optional
        Called with question and completion: whether it is right. For policies that stop at a success.
    costs : mapping of str to float, optional
        What one sample of each model costs, in the unit that the policy was trained with. If not given: the price by
        the client's rates where it has some; else what it cost on average where the policy was trained, as far as the
        policy knows, else 1.
    out : str, optional
        A run folder, made or gone on with: samples in it are not drawn again, and count as spent. A call that is
        repeated asks for nothing new: what was decided for each finished question is kept there too.
    max_cost, max_requests
        As in `tcalloc.llm.sampler.sample`: money and requests, whatever the budget.
    concurrency : int
        Requests under way at one time.
    progress : bool
        Whether to show on standard error how far it is.
    grace : float
        After ctrl-C, seconds in which requests under way may come back.
    say : callable
        Told one line when ctrl-C came.

    Returns
    -------
    Answers
        An answer per question, and what they cost. Limits, ctrl-C and servers that fail end it early and raise nothing.

    Raises
    ------
    InputError
        For what cannot be asked: no questions, a model that no client has, a budget that is no number.
    """
    if concurrency < 1:
        raise InputError("concurrency must be at least 1.")
    if max_requests is not None and max_requests < 1:
        raise InputError(f"max_requests is {max_requests!r}; expected at least 1, or leave it out for no limit.")
    if max_cost is not None and any(c.rates is None or c.parameters.max_tokens is None for c in _clients(client)):
        raise InputError(
            "max_cost needs rates and max_tokens of every client: without them no request has a highest cost."
        )
    asked = _questions(questions)
    rows = [question.text for question in asked] if X is None else list(X)
    if len(rows) != len(asked):
        raise InputError(f"X has {len(rows)} rows, but there are {len(asked)} questions.")
    if budget is not None:
        at = getattr(policy, "at", None)
        policy = policy if at is None else at(budget)
    with ExitStack() as stack:
        store = None
        grader = make_grader(grader) if isinstance(grader, str) else grader
        if out is not None:
            store = stack.enter_context(open_run(out, asked, _clients(client)[0], grader))
            for other in _clients(client)[1:]:
                store.add_arm(arm_of(other, grader))
        spent = spent_before(store, _clients(client)[0]) if store is not None else 0.0
        meter = Meter(max_cost, max_requests, spent)
        trained = _trained_costs(policy, client)
        unpriced = all(one.rates is None for one in _clients(client))
        given = trained if unpriced and costs is None else costs
        ledger = Ledger(budget, len(asked), given, 1.0 if unpriced and given is None else None)
        decisions = Decisions(out, budget)
        job = _Job(asked, rows, policy, client, grader, verifier, store, meter, ledger, decisions, concurrency)
        job.trained = trained or {}
        return job.run(progress, grace, say)


async def answer_async(questions: Any, policy: Policy, client: Any, **options: Any) -> Answers:
    """Answer questions by a policy without blocking the event loop: `answer` in a thread.

    If the task is cancelled, nothing more is sent; what comes back is stored.
    """
    try:
        return await asyncio.to_thread(answer, questions, policy, client, **options)
    except asyncio.CancelledError:
        for one in _clients(client):
            one.stop()
        raise


def _clients(client: Any) -> list[ChatClient]:
    found = list(client.values()) if isinstance(client, Mapping) else [client]
    if not found or not all(isinstance(one, ChatClient) for one in found):
        raise InputError("client must be a ChatClient, or a mapping of models' names to such.")
    return found


def _questions(given: Any) -> list[Question]:
    if isinstance(given, str) or hasattr(given, "__fspath__"):
        return read_questions(given)
    if not isinstance(given, Iterable):
        raise InputError(f"questions is {given!r}; expected a questions file, or texts in a list.")
    found = []
    for i, one in enumerate(given):
        if isinstance(one, Question):
            found.append(one)
        elif not isinstance(one, (str, Mapping)):
            raise InputError(f"questions[{i}] is {one!r}; expected a text, or what a line of a questions file holds.")
        else:
            row = {"question": one} if isinstance(one, str) else one
            found.append(question_from(row, f"questions[{i}]", str(i)))
    if not found:
        raise InputError("questions is empty; expected at least one.")
    seen: dict[str, int] = {}
    for i, question in enumerate(found):
        if seen.setdefault(question.id, i) != i:
            raise InputError(f"questions[{i}] has the id {question.id!r} like questions[{seen[question.id]}].")
    return found


def _models_of(policy: Any) -> set[str]:
    """Return the models that a policy is known to choose between."""
    actions = getattr(policy, "actions_", None) or ()
    named = [action.model for action in actions if action is not None]
    return {name for name in (*named, *getattr(policy, "arms_", ())) if name}


def _trained_costs(policy: Any, client: ChatClient | Mapping[str, ChatClient]) -> dict[str, float] | None:
    """Return what a sample of each model that can be asked cost where the policy was trained; None: not known."""
    known = dict(getattr(policy, "sample_costs_", None) or {})
    if isinstance(client, ChatClient):
        return {client.model: next(iter(known.values()))} if len(known) == 1 else None
    return {name: known[name] for name in client} if known and set(client) <= set(known) else None


@dataclass(slots=True)
class _Drawn:
    """What one question has so far."""

    records: list[dict[str, Any]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    """Per client's arm: samples taken."""
    draws: list[tuple[str, int, int]] = field(default_factory=list)
    """Of whom, asked for, had."""
    failed: bool = False
    """Whether a request failed: what is missing may be had later."""
    halted: bool = False
    """Whether one was not sent, because all is to stop."""


class _Job:
    """One call of `answer`."""

    def __init__(
        self,
        questions: Sequence[Question],
        rows: Sequence[Any],
        policy: Policy,
        client: ChatClient | Mapping[str, ChatClient],
        grader: Any,
        verifier: Callable[[str, str], bool] | None,
        store: Store | None,
        meter: Meter,
        ledger: Ledger,
        decisions: Decisions,
        concurrency: int,
    ):
        self.questions, self.rows, self.policy, self.client = questions, rows, policy, client
        self.verifier, self.store, self.meter, self.ledger = verifier, store, meter, ledger
        self.decisions, self.concurrency = decisions, concurrency
        self.trained: Mapping[str, float] = {}
        self.drawers = {one.arm: Drawer(one, grader, meter, blind=True) for one in _clients(client)}
        self.stored: Records = {}
        self.begun_before: set[str] = set()
        if store is not None:
            self._read(store)
        self.models = _models_of(policy)
        self.guard = threading.Lock()
        self.slots = threading.Semaphore(concurrency)  # requests, where a question has several at a time
        self.done: dict[int, Answered] = {}
        self.working = self.silent = 0
        self.stopped: str | None = None
        self.broken: BaseException | None = None
        self.interrupted = self.abandoned = False
        self.reasons: dict[str, None] = {}

    def run(self, progress: bool, grace: float, say: Callable[[str], object]) -> Answers:
        started = time.monotonic()
        for client in _clients(self.client):
            client.go_on()
        priced = all(client.rates is not None for client in _clients(self.client))
        bar = Progress(len(self.questions), 0, self.meter, priced, what="questions") if progress else None
        order = iter(range(len(self.questions)))
        self.working = min(self.concurrency, len(self.questions))
        for _ in range(self.working):  # daemons: a request that was dropped must not keep the process
            threading.Thread(target=self._work, args=(order,), daemon=True).start()
        self._wait(bar, grace, say)
        if bar is not None:
            bar.show(len(self.done), last=True)
        if self.broken is not None:
            raise self.broken
        if self.stopped is None and self.reasons and not any(one.samples for one in self.done.values()):
            self.stopped = f"no request brought an answer: {next(iter(self.reasons))}"
        return Answers(
            tuple(self.done[i] for i in sorted(self.done)),
            len(self.questions),
            self.ledger.budget,
            self.meter.requests,
            self.meter.spent if priced else None,
            time.monotonic() - started,
            self.stopped,
            self.interrupted,
            tuple(self.reasons),
            (*(note for client in _clients(self.client) for note in client.notes), *self._units()),
        )

    def _units(self) -> Iterator[str]:
        """Say where a sample costs something else than where the policy was trained."""
        for model, mean in self.ledger.means.items():
            usual = self.trained.get(model, 0.0)
            if min(mean, usual) > 0 and max(mean / usual, usual / mean) > _OTHER_UNIT:
                yield (
                    f"a sample of {model} cost {mean:.3g} here on average, {usual:.3g} where the policy was trained. "
                    "If that is another unit, the budget does not mean what it says: give costs, or rates, in that of "
                    "training."
                )

    def _wait(self, bar: Progress | None, grace: float, say: Callable[[str], object]) -> None:
        deadline = None
        while True:
            try:
                if not self.working or (deadline is not None and time.monotonic() > deadline):
                    break
                time.sleep(0.02)  # not a join, which ctrl-C breaks
                if bar is not None and deadline is None:
                    bar.show(len(self.done))
            except KeyboardInterrupt:
                self._stop()
                if self.interrupted:
                    break
                self.interrupted = True
                deadline = time.monotonic() + grace
                say(f"interrupted: waiting up to {grace:g} s for requests under way; ctrl-C again drops them.")
        with self.guard:
            self.abandoned = self.working > 0

    def _stop(self) -> None:
        for client in _clients(self.client):
            client.stop()

    def _stopping(self) -> bool:
        return any(client.stopped for client in _clients(self.client))

    def _work(self, order: Iterator[int]) -> None:
        try:
            while not self._stopping():
                with self.guard:
                    i = next(order, None)
                if i is None:
                    return
                self._question(i)
        except BaseException as error:  # a full disk, a bug, a policy that fails: nothing goes on, the caller gets it
            with self.guard:
                if not self.abandoned and self.broken is None:
                    self.broken = error
            self._stop()
        finally:
            with self.guard:
                self.working -= 1

    def _read(self, store: Store) -> None:
        """Take up the samples that are there: they are paid for."""
        named = self.client.items() if isinstance(self.client, Mapping) else [(self.client.model, self.client)]
        models = {client.arm: name for name, client in named}
        for record in store.records():
            self.stored.setdefault((record["id"], record["params"]), {})[record["sample"]] = record
            if (model := models.get(record.get("arm", ""))) is not None:
                self.ledger.paid(model, self.ledger.cost(model, record))
                self.begun_before.add(record["id"])
        self.ledger.skip(sum(question.id in self.begun_before for question in self.questions))

    def _question(self, i: int) -> None:
        question = self.questions[i]
        run = self.policy.start(self.rows[i])
        drawn = _Drawn()
        decided = self.decisions.of(question.id)
        if question.id not in self.begun_before:
            self.ledger.begin()
        while (draw := run.next()) is not None:
            client, model = self._client(draw.action)
            at = len(drawn.draws)
            if decided is not None and at < len(decided) and decided[at][:2] == (client.arm, draw.n):
                had: int | None = decided[at][2]
            else:  # not decided before, or otherwise, by another policy
                had, decided = None, None
            results = self._paid(question, client, model, draw, drawn, had)
            if results:
                run.add(results)
            if not results or drawn.halted:
                break
        if not drawn.failed and not drawn.halted:
            self.decisions.keep(question.id, drawn.draws)
        with self.guard:
            if self._stopping() and (drawn.failed or drawn.halted) and (self.store is not None or not drawn.records):
                return  # its samples are stored; the same call goes on with it
            self.done[i] = self._answered(question, run, drawn)
            self.silent = 0 if drawn.records or not self.reasons else self.silent + 1
            if self.silent >= _HOPELESS and self.stopped is None:
                self.stopped = next(iter(self.reasons))
        if self.stopped is not None:
            self._stop()

    def _paid(
        self, question: Question, client: ChatClient, model: str, draw: Draw, drawn: _Drawn, had: int | None
    ) -> list[Result]:
        """Return what there is and may be had of a draw; of one that was decided before, so much."""
        first = drawn.numbers.get(client.arm, 0)
        numbers = range(first, first + draw.n)
        there = self.stored.get((question.id, client.params(question.messages)), {})
        missing = [j for j in numbers if j not in there]
        aside, few = (0.0, 0.0), len(missing)
        if had is not None and draw.n - len(missing) >= had:
            few = 0
        elif missing:
            few, aside = self.ledger.grant(
                Draw(draw.action, len(missing)), model, not drawn.records and few == draw.n, self._stopping
            )
            drawn.halted |= few == 0 and self._stopping()
        fresh: dict[int, dict[str, Any]] = {}
        try:
            asked = self._together(client, question, missing[:few])
            drawn.failed |= any(isinstance(one, LlmError) for one in asked)
            drawn.halted |= any(isinstance(one, Stopped | LimitReached) for one in asked)
            fresh = {record["sample"]: record for record in asked if isinstance(record, dict)}
        finally:
            self.ledger.settle(model, aside, [self.ledger.cost(model, record) for record in fresh.values()])
        records = [there.get(j) or fresh[j] for j in numbers if j in there or j in fresh]
        drawn.numbers[client.arm] = first + draw.n
        drawn.records.extend(records)
        drawn.draws.append((client.arm, draw.n, len(records)))
        return [self._result(question, model, record) for record in records]

    def _client(self, action: Action) -> tuple[ChatClient, str]:
        """Return whom to ask, and what the model is called in `costs`; refuse what cannot be done live."""
        if action.combine == "best" and (action.by == "score" or self.verifier is None):
            what = "scores, which no server gives" if action.by == "score" else "a verifier (verifier=)"
            raise InputError(f"the policy asks for {action.name!r}, which needs {what}. Use votes, or give one.")
        model = action.model
        if isinstance(self.client, Mapping):
            if model is not None and model in self.client:
                return self.client[model], model
            what = "no model by name" if model is None else f"the model {model!r}"
            raise InputError(f"the policy asks for {what}; clients are given for {', '.join(self.client)}.")
        with self.guard:
            if model is not None:
                self.models.add(model)
            if len(self.models) > 1:
                names = ", ".join(sorted(self.models))
                raise InputError(f"the policy chooses between {names}, but there is one client. Give one for each.")
        return self.client, self.client.model

    def _together(self, client: ChatClient, question: Question, numbers: list[int]) -> list[Any]:
        """Ask for some samples at the same time; return a record or an error for each."""
        params = client.params(question.messages)
        asked: list[Any] = [None] * len(numbers)

        def ask(place: int) -> None:
            try:
                with self.slots:
                    asked[place] = self.drawers[client.arm].ask(question, params, [numbers[place]])[0]
                if self.store is not None:
                    self.store.append(asked[place])
            except BaseException as error:
                asked[place] = error

        threads = [threading.Thread(target=ask, args=(place,), daemon=True) for place in range(1, len(numbers))]
        for thread in threads:
            thread.start()
        if numbers:
            ask(0)
        for thread in threads:
            thread.join()
        for one in asked:
            if isinstance(one, LlmError):
                self._fail(one)
            elif isinstance(one, BaseException):
                raise one
        return asked

    def _fail(self, error: LlmError) -> None:
        if isinstance(error, Stopped):
            return
        with self.guard:
            if not isinstance(error, LimitReached) and len(self.reasons) < 20:
                self.reasons.setdefault(str(error))
            if error.fatal and self.stopped is None:
                self.stopped = str(error)
        if error.fatal:
            self._stop()

    def _result(self, question: Question, model: str, record: dict[str, Any]) -> Result:
        return Result(
            record["answer"],
            self.ledger.cost(model, record),
            None if self.verifier is None else bool(self.verifier(question.text, record["text"])),
            logprob=record.get("logprob"),
            tokens=record.get("output_tokens"),
            truncated=bool(record.get("truncated")),
        )

    def _answered(self, question: Question, run: Run, drawn: _Drawn) -> Answered:
        with_it = next((r for r in drawn.records if r["answer"] is not None and r["answer"] == run.answer), None)
        return Answered(
            question.id,
            None if run.answer is None else str(run.answer),
            None if with_it is None else with_it.get("text"),
            run.spend,
            len(drawn.records),
            sum(had > 0 for _, _, had in drawn.draws),
            run.confidence,
            (with_it["correct"] if with_it is not None else False) if question.golds else None,
        )

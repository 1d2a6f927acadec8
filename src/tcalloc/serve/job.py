"""One call of `answer`: tasks draw what a policy asks for, and store and report it."""

import asyncio
import contextlib
import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from tcalloc.learn.protocol import DecidedRun, Draw, Policy, Result, Run
from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.event_loop import Call
from tcalloc.llm.concurrency.limits import affordable
from tcalloc.llm.drawing import Drawer
from tcalloc.llm.failures import BudgetSpent, LimitReached, LlmError, Stopped
from tcalloc.llm.money.journal import Journal
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.progress import Progress
from tcalloc.llm.questions import Question
from tcalloc.measure.actions import Action
from tcalloc.runs.lines import read_complete
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import samples_of
from tcalloc.runs.store import Store
from tcalloc.serve.answers import Answered, Answers
from tcalloc.serve.clients import Clients, decides_quickly
from tcalloc.serve.decisions import Decision, Decisions
from tcalloc.serve.drawn import Drawn, answered_of, result_of
from tcalloc.serve.live_costs import LiveCosts
from tcalloc.serve.payments import Hold, Payments
from tcalloc.serve.wave import Wave

__all__ = ["Job"]

Records = dict[tuple[str, str], dict[int, SampleRecord]]
# After this many questions in a row without any reply, the server will give none to the others either.
_HOPELESS = 8
# If a sample costs this many times what it did in training, it has another unit or another price list.
_OTHER_UNIT = 3.0


# A question that continues later: its run, its current draw, what it has, and its earlier decisions.
_Parked: TypeAlias = tuple[Run, Draw | None, Drawn, list[Decision] | None]


class Job:
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
        journal: Journal | None,
        meter: Meter,
        payments: Payments,
        decisions: Decisions,
        costs: LiveCosts,
        trained: LiveCosts,
        ladder: Sequence[Action],
        concurrency: int,
        call: Call,
        *,
        at_once: int = 1,
        cancel: bool = False,
        deadline: float | None = None,
        per_second: float = 0.0,
        looks: float = 0.0,
        keep: Callable[[SampleRecord], object] = lambda record: None,
    ):
        self.questions, self.rows, self.policy = questions, rows, policy
        self.clients = Clients(client, policy, verifier)
        self.verifier, self.store, self.meter, self.payments = verifier, store, meter, payments
        self.decisions, self.call, self.stop = decisions, call, call.stop
        self.at_once, self.cancel, self.deadline, self.per_second = at_once, cancel, deadline, per_second
        self.looks = looks
        self.concurrency, self.fewer = affordable(concurrency)
        self.costs, self.trained, self.ladder = costs, trained, ladder
        keep = keep if store is None else store.append
        self.drawers = {
            one.arm: Drawer(one, grader, meter, keep, journal=journal, blind=True) for one in self.clients.all
        }
        self.stored: Records = {}
        self.begun_before: set[str] = set()
        if store is not None:
            self._read(store, journal)
        self.slots = asyncio.Semaphore(self.concurrency)  # for requests, because a question may have several at a time
        self.settled = asyncio.Event()  # set when money may have become free since the last check
        self.begun: dict[int, tuple[Run, Draw | None]] = {}  # decided, but nothing drawn yet
        self.left_out: list[int] = []  # too little money; checked again when all others have a first sample
        self.parked: OrderedDict[int, _Parked] = OrderedDict()  # have a first sample, and continue later
        self.first_draws = 0  # questions whose first samples are not settled
        self.done: dict[int, Answered] = {}
        self.silent = 0
        self.stopped: str | None = None
        self.broken: Exception | None = None
        self.reasons: dict[str, None] = {}

    async def run(self, progress: bool) -> Answers:
        """Answer all questions, on the loop of `tcalloc.llm.concurrency.event_loop`."""
        started = time.monotonic()
        bar = Progress(len(self.questions), 0, self.meter, self.clients.priced, what="questions") if progress else None
        look = None if bar is None else lambda: bar.show(len(self.done))
        width = min(self.concurrency, len(self.questions))
        if self.payments.budget is not None:  # before anything is paid: what the first draws need
            await self._all(self._expect, range(len(self.questions)), width, look)
        self.first_draws = len(self.questions)
        await self._all(self._first, range(len(self.questions)), width, look, self._meanwhile)
        sent = -1
        while self.left_out:  # until the money does not even cover one more try
            do, sent = (self._question if self.meter.requests > sent else self._again), self.meter.requests
            again, self.left_out = self.left_out, []
            await self._all(do, again, width, look)
        await self._all(self._again, list(self.parked), width, look)
        if self.stop.on and self.store is None and self.broken is None:  # what they have is stored nowhere
            for i in list(self.parked):
                await self._again(i)
        if bar is not None:
            bar.show(len(self.done), last=True)
        if self.broken is not None:
            raise self.broken
        if self.stopped is None and self.reasons and not any(one.samples for one in self.done.values()):
            self.stopped = f"no request brought an answer: {next(iter(self.reasons))}"
        return Answers(
            tuple(self.done[i] for i in sorted(self.done)),
            len(self.questions),
            self.payments.budget,
            self.meter.requests,
            self.meter.spent if self.clients.priced else None,
            time.monotonic() - started,
            self.stopped,
            self.call.interrupted,
            tuple(self.reasons),
            tuple(self._notes()),
            self.payments.lost,
        )

    def _notes(self) -> Iterator[str]:
        for client in self.clients.all:
            yield from client.notes
        if self.fewer is not None:
            yield self.fewer
        yield from self._units()

    def _units(self) -> Iterator[str]:
        """Yield a note for each model whose samples cost much more or less than in the policy's training."""
        for model, mean in self.payments.prices.means.items():
            usual = self.trained.by_model.get(model, 0.0) + self.trained.rounds.get(model, (0.0, 0.0))[0]
            if min(mean, usual) > 0 and max(mean / usual, usual / mean) > _OTHER_UNIT:
                yield (
                    f"a sample of {model} cost {mean:.3g} here on average, {usual:.3g} where the policy was trained. "
                    "If that is another unit, the budget has the wrong unit too: give costs, or rates, in the unit of "
                    "training."
                )

    async def _all(
        self,
        do: Callable[[int], Coroutine[Any, Any, None]],
        which: Iterable[int],
        width: int,
        look: Callable[[], object] | None,
        then: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Do something for each of these questions, `width` at a time; each worker then calls `then`."""
        order = iter(which)
        await self.call.side_by_side([self._work(do, order, then) for _ in range(width)], look)

    async def _work(
        self,
        do: Callable[[int], Coroutine[Any, Any, None]],
        order: Iterator[int],
        then: Callable[[], Coroutine[Any, Any, None]] | None,
    ) -> None:
        try:
            while not self.stop.on and (i := next(order, None)) is not None:
                await do(i)
            if then is not None:
                await then()
        except Exception as error:  # a full disk, a bug, a policy that fails: everything stops, and the caller gets it
            self.broken = self.broken or error
            self.stop.set()

    def _read(self, store: Store, journal: Journal | None) -> None:
        """Read the stored samples, which are paid for."""
        models = self.clients.names
        needed = ["answer", "correct"] if self.verifier is None else ["answer", "correct", "text"]
        for record in read_complete(samples_of(store.path), needed):
            if (model := models.get(record.get("arm") or "")) is not None:
                self.stored.setdefault((record["id"], record["params"]), {})[record["sample"]] = record
                self.payments.count(model, record)
                self.begun_before.add(record["id"])
        for lost in () if journal is None else journal.lost:
            if (model := models.get(lost.arm)) is not None:
                count = self.payments.count_cut if lost.cut else self.payments.count_lost
                count(model, lost.n, lost.most)

    def _begin(self, i: int) -> tuple[Run, Draw | None]:
        run = self.policy.start(self.rows[i])
        return run, run.next()

    def _go_on(
        self, question: Question, run: Run, model: str, records: list[SampleRecord], extra: float
    ) -> Draw | None:
        results = [self._result(question, model, record) for record in records]
        if extra:  # what the draw cost besides these samples
            results[0] = replace(results[0], cost=results[0].cost + extra)
        run.add(results)
        return run.next()

    async def _expect(self, i: int) -> None:
        """Let the policy decide, and keep the price of the cheapest sample that the question can have."""
        question = self.questions[i]
        if question.id in self.begun_before:
            return
        self.begun[i] = await event_loop.crew().run(self._begin, i)
        draw = self.begun[i][1]
        if draw is not None:
            client, model = self.clients.of(draw.action)
            keys = [self.costs.key(draw.action, model)]
            for action in self.ladder[:1]:
                other, model = self.clients.of(action)
                if other is not client:
                    keys.insert(0, self.costs.key(action, model))
            self.payments.expect(question.id, self.payments.cheapest(keys))

    async def _first(self, i: int) -> None:
        try:
            await self._question(i)
        finally:
            self.first_draws -= 1
            self.settled.set()

    async def _meanwhile(self) -> None:
        """Continue parked questions while first samples of others are open, if there is money for both."""
        while self.first_draws and not self.stop.on:
            self.settled.clear()
            i = next(iter(self.parked), None)
            if i is not None:
                await self._question(i)
            if i is None or i in self.parked:
                await self._wait()

    async def _again(self, i: int) -> None:
        await self._question(i, last=True)

    async def _question(self, i: int, last: bool = False) -> None:
        question = self.questions[i]
        quick = self.verifier is None and decides_quickly(self.policy, question.text)
        aside = functools.partial(event_loop.crew().call, quick)  # others may take long
        parked = self.parked.pop(i, None)
        if parked is not None:
            run, draw, drawn, decided = parked
        else:
            begun = self.begun.pop(i, None)
            run, draw = await aside(self._begin, i) if begun is None else begun
            drawn, decided = Drawn(), self.decisions.of(question.id)
        while draw is not None:
            client, model = self.clients.of(draw.action)
            at = len(drawn.draws)
            if decided is not None and (at >= len(decided) or decided[at][:2] != (client.arm, draw.n)):
                decided = None  # decided otherwise before, by another policy
            model = self.costs.key(draw.action, model)
            records = await self._paid(question, client, model, draw, drawn, run, decided)
            if records is None:
                self.parked[i] = run, draw, drawn, decided
                self.silent = 0
                return
            if records:
                billed = drawn.draws[-1][3]
                draw = await aside(self._go_on, question, run, model, records, drawn.drawing + (billed or 0.0))
                if billed is not None and not drawn.late:
                    break  # it is settled
                if self.deadline is not None and (drawn.late or drawn.seconds >= self.deadline):
                    drawn.late |= draw is not None
                    break
            elif drawn.late:
                break
            elif (other := self._instead(draw.action, client, drawn)) is not None:
                run = DecidedRun(other)
                draw = run.next()
            else:
                break
            if drawn.halted:
                break
        if decided is None and not last and drawn.status == "left out":
            self.left_out.append(i)  # others may need less than what is kept for them
            return
        self.payments.drop(question.id)
        self.settled.set()
        if not drawn.failed and not drawn.halted:
            self.decisions.keep(question.id, drawn.draws)
        if self.stop.on and (drawn.failed or drawn.halted) and (self.store is not None or not drawn.records):
            return  # its samples are stored; the same call continues
        self.done[i] = answered_of(question, run, drawn, self.looks)
        self.silent = 0 if drawn.records or not self.reasons else self.silent + 1
        if self.silent >= _HOPELESS and self.stopped is None:
            self.stopped = next(iter(self.reasons))
        if self.stopped is not None:
            self.stop.set()

    def _instead(self, refused: Action, client: ChatClient, drawn: Drawn) -> Action | None:
        """Return the next cheaper action for a question that cannot pay for one sample; None: there is none."""
        if drawn.records or drawn.failed or drawn.halted:
            return None
        models = [action.model for action in self.ladder]
        below = models.index(refused.model) if refused.model in models else len(models)
        # The most that another model can do for less money; of the same model not even one sample was granted.
        return next(
            (action for action in reversed(self.ladder[:below]) if self.clients.of(action)[0] is not client), None
        )

    async def _paid(
        self,
        question: Question,
        client: ChatClient,
        model: str,
        draw: Draw,
        drawn: Drawn,
        run: Run,
        decided: Sequence[Decision] | None,
    ) -> list[SampleRecord] | None:
        """Return the samples of a draw that are there or granted; of an earlier decision, as many; None: comes later.

        `model` is the name by which `Prices` knows the cost of a sample: the model's or the action's.
        """
        start, at = drawn.numbers.get(client.arm, 0), len(drawn.draws)
        numbers = range(start, start + draw.n)
        key = question.id, client.params(question.messages)
        there = self.stored.get(key, {})
        missing = [j for j in numbers if j not in there]
        billed: float | None = None  # of samples that were cut off; None: none was
        if decided is not None and draw.n - len(missing) >= decided[at][2]:
            missing, billed = [], decided[at][3]
        # What the draw costs besides its samples, where replies do not say it.
        drawn.drawing = owed = self.costs.round_cost(model, start > 0)
        asking = bool(missing)
        began, fresh = time.monotonic(), dict[int, SampleRecord]()
        left = None if self.deadline is None else self.deadline - drawn.seconds
        wave = Wave(
            question,
            self.drawers[client.arm],
            run,
            functools.partial(self._result, question, model),
            len(missing),
            self.stop,
            self.slots,
            left,
            at_once=self.at_once,
            cancel=self.cancel,
        )
        with wave:
            await wave.had([there[j] for j in numbers if j in there])
            while missing and not drawn.failed and not drawn.halted and not wave.cut.on:
                if not self.stop.on and self.payments.comes_later(question.id, model, len(missing)):
                    self.stored[key] = there | fresh
                    drawn.seconds += time.monotonic() - began
                    return None
                holds = await self._granted(question, client, model, len(missing), wave, owed)
                owed = 0.0 if holds else owed  # the first of them pays for the draw
                drawn.halted |= not holds and self.stop.on
                if not holds:
                    break
                now, missing = missing[: len(holds)], missing[len(holds) :]
                try:
                    asked = await wave.ask(key[1], now, holds)
                    cost = self.payments.cut(model, holds, wave.cut)
                    billed = (billed or 0.0) + cost if wave.cut.on else None
                finally:
                    for hold in holds:
                        hold.release()
                    self.payments.tried(model)
                    self.settled.set()
                self._take(asked, drawn)
                fresh |= {record["sample"]: record for record in asked if isinstance(record, dict)}
                missing = [j for j in now if j not in fresh] + missing  # of a server that gives fewer than asked for
                if any(isinstance(one, BudgetSpent) for one in asked):
                    break
        records = [there.get(j) or fresh[j] for j in numbers if j in there or j in fresh]
        drawn.numbers[client.arm] = start + draw.n
        waited = time.monotonic() - began if asking else 0.0
        drawn.seconds += waited
        if self.per_second and fresh:
            self.payments.ledger.count(self.per_second * waited)
            drawn.drawing += self.per_second * waited
        if owed and records:  # all of it was there already
            self.payments.ledger.count(owed)
        if wave.cut.on:
            billed = billed or 0.0
        drawn.cheaper |= len(records) < draw.n and billed is None
        drawn.late |= wave.late
        drawn.cut += wave.cut.samples
        drawn.records.extend(records)
        drawn.draws.append((client.arm, draw.n, len(records), billed))
        return records

    def _take(self, asked: list[Any], drawn: Drawn) -> None:
        """Note what went wrong with requests; raise what is no failure of theirs."""
        for one in {id(one): one for one in asked if isinstance(one, BaseException)}.values():
            if not isinstance(one, LlmError):
                raise one
            self._fail(one)
        drawn.failed |= any(isinstance(one, LlmError) and not isinstance(one, BudgetSpent) for one in asked)
        drawn.halted |= any(isinstance(one, Stopped | LimitReached) for one in asked)

    def _result(self, question: Question, model: str, record: SampleRecord) -> Result:
        """Return what a run gets of a sample."""
        return result_of(question, record, self.payments.prices.cost(model, record), self.verifier)

    async def _granted(
        self, question: Question, client: ChatClient, model: str, n: int, wave: Wave, round_cost: float
    ) -> list[Hold]:
        """Return the samples that are granted; where others may give money back, wait without blocking the loop."""
        most = None
        if client.n_limit is not None:
            self.payments.brings(client.n_limit)
        if self.payments.varies(model):
            most = client.most_cost(question.messages, min(n, self.at_once))
            most = None if most is None else most * -(-n // self.at_once) if self.at_once > 1 else most
        while True:
            self.settled.clear()
            holds = self.payments.grant(question.id, model, n, most, round_cost)
            if holds is not None:
                return holds
            if self.stop.on or wave.cut.on:
                return []
            await self._wait()

    async def _wait(self) -> None:
        """Wait until something has settled, or for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.settled.wait()

    def _fail(self, error: LlmError) -> None:
        if isinstance(error, Stopped | BudgetSpent):
            return
        if not isinstance(error, LimitReached) and len(self.reasons) < 20:
            self.reasons.setdefault(str(error))
        if error.fatal:
            self.stopped = self.stopped or str(error)
            self.stop.set()

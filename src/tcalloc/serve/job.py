"""One call of `answer`: the order in which tasks draw for its questions, and what is reported."""

import functools
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tcalloc.learn.protocol import DecidedRun, Draw, Policy
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.event_loop import Call
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.progress import Progress
from tcalloc.llm.questions import Question
from tcalloc.measure.actions import Action
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.answers import Answered, Answers
from tcalloc.serve.clients import decides_quickly
from tcalloc.serve.decisions import Decisions
from tcalloc.serve.drawn import Drawn, answered_of
from tcalloc.serve.draws import Draws
from tcalloc.serve.live_costs import LiveCosts

__all__ = ["Job"]

# After this many questions in a row without any reply, the server will give none to the others either.
_HOPELESS = 8
# If a sample costs this many times what it did in training, it has another unit or another price list.
_OTHER_UNIT = 3.0


class Job:
    """One call of `answer`.

    `note` is what has to be said of the concurrency; `looks` is what the policy pays for each row of X. If samples are
    `stored`, the same call can continue.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        rows: Sequence[Any],
        policy: Policy,
        draws: Draws,
        decisions: Decisions,
        meter: Meter,
        trained: LiveCosts,
        ladder: Sequence[Action],
        call: Call,
        *,
        concurrency: int,
        note: str | None,
        looks: float,
        stored: bool,
    ):
        self.questions, self.rows, self.policy = questions, rows, policy
        self.draws, self.clients, self.payments = draws, draws.clients, draws.payments
        self.decisions, self.meter, self.trained, self.ladder = decisions, meter, trained, ladder
        self.call, self.stop = call, call.stop
        self.concurrency, self.note, self.looks, self.stored = concurrency, note, looks, stored
        self.begun: dict[int, Drawn] = {}  # decided, but nothing drawn yet
        self.left_out: list[int] = []  # too little money; checked again when all others have a first sample
        self.parked: OrderedDict[int, Drawn] = OrderedDict()  # have a first sample, and continue later
        self.first_draws = 0  # questions whose first samples are not settled
        self.done: dict[int, Answered] = {}
        self.silent = 0
        self.broken: Exception | None = None

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
        if self.stop.on and not self.stored and self.broken is None:  # what they have is stored nowhere
            for i in list(self.parked):
                await self._again(i)
        if bar is not None:
            bar.show(len(self.done), last=True)
        if self.broken is not None:
            raise self.broken
        stopped, reasons = self.draws.stopped, self.draws.reasons
        if stopped is None and reasons and not any(one.samples for one in self.done.values()):
            stopped = f"no request brought an answer: {next(iter(reasons))}"
        return Answers(
            tuple(self.done[i] for i in sorted(self.done)),
            len(self.questions),
            self.payments.budget,
            self.meter.requests,
            self.meter.spent if self.clients.priced else None,
            time.monotonic() - started,
            stopped,
            self.call.interrupted,
            tuple(reasons),
            tuple(self._notes()),
            self.payments.lost,
        )

    def _notes(self) -> Iterator[str]:
        for client in self.clients.all:
            yield from client.notes
        if self.note is not None:
            yield self.note
        # Models whose samples cost much more or less than in the policy's training.
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

    def _begin(self, i: int) -> Drawn:
        run = self.policy.start(self.rows[i])
        question = self.questions[i]
        return Drawn(question, run, run.next(), self.decisions.of(question.id))

    def _go_on(self, drawn: Drawn, records: list[SampleRecord], extra: float) -> Draw | None:
        results = self.draws.results(drawn, records)
        if extra:  # what the draw cost besides these samples
            results[0] = replace(results[0], cost=results[0].cost + extra)
        drawn.run.add(results)
        return drawn.run.next()

    async def _expect(self, i: int) -> None:
        """Let the policy decide, and keep the price of the cheapest sample that the question can have."""
        question = self.questions[i]
        if question.id in self.draws.begun_before:
            return
        self.begun[i] = await event_loop.crew().run(self._begin, i)
        draw = self.begun[i].draw
        if draw is not None:
            client, _ = self.clients.of(draw.action)
            keys = [self.draws.priced_as(draw.action)]
            for action in self.ladder[:1]:
                if self.clients.of(action)[0] is not client:
                    keys.insert(0, self.draws.priced_as(action))
            self.payments.expect(question.id, self.payments.cheapest(keys))

    async def _first(self, i: int) -> None:
        try:
            await self._question(i)
        finally:
            self.first_draws -= 1
            self.draws.settled.set()

    async def _meanwhile(self) -> None:
        """Continue parked questions while first samples of others are open, if there is money for both."""
        while self.first_draws and not self.stop.on:
            self.draws.settled.clear()
            i = next(iter(self.parked), None)
            if i is not None:
                await self._question(i)
            if i is None or i in self.parked:
                await self.draws.wait()

    async def _again(self, i: int) -> None:
        await self._question(i, last=True)

    async def _question(self, i: int, last: bool = False) -> None:
        question = self.questions[i]
        quick = self.draws.verifier is None and decides_quickly(self.policy, question.text)
        aside = functools.partial(event_loop.crew().call, quick)  # others may take long
        drawn = self.parked.pop(i, None) or self.begun.pop(i, None)
        if drawn is None:
            drawn = await aside(self._begin, i)
        while drawn.draw is not None:
            records = await self.draws.take(drawn)
            if records is None:
                self.parked[i] = drawn
                self.silent = 0
                return
            if records:
                billed = drawn.draws[-1][3]
                drawn.draw = await aside(self._go_on, drawn, records, drawn.drawing + (billed or 0.0))
                if billed is not None and not drawn.late:
                    break  # it is settled
                if self.draws.too_late(drawn):
                    drawn.late |= drawn.draw is not None
                    break
            elif drawn.late:
                break
            elif (other := self._instead(drawn)) is not None:
                drawn.run = DecidedRun(other)
                drawn.draw = drawn.run.next()
            else:
                break
            if drawn.halted:
                break
        if drawn.decided is None and not last and drawn.status == "left out":
            self.left_out.append(i)  # others may need less than what is kept for them
            return
        self.payments.drop(question.id)
        self.draws.settled.set()
        if not drawn.failed and not drawn.halted:
            self.decisions.keep(question.id, drawn.draws)
        if self.stop.on and (drawn.failed or drawn.halted) and (self.stored or not drawn.records):
            return  # its samples are stored; the same call continues
        self.done[i] = answered_of(drawn, self.looks)
        self.silent = 0 if drawn.records or not self.draws.reasons else self.silent + 1
        if self.silent >= _HOPELESS and self.draws.stopped is None:
            self.draws.stopped = next(iter(self.draws.reasons))
        if self.draws.stopped is not None:
            self.stop.set()

    def _instead(self, drawn: Drawn) -> Action | None:
        """Return the next cheaper action for a question that cannot pay for one sample; None: there is none."""
        if drawn.records or drawn.failed or drawn.halted or drawn.draw is None:
            return None
        refused = drawn.draw.action
        client, _ = self.clients.of(refused)
        models = [action.model for action in self.ladder]
        below = models.index(refused.model) if refused.model in models else len(models)
        # The most that another model can do for less money; of the same model not even one sample was granted.
        return next(
            (action for action in reversed(self.ladder[:below]) if self.clients.of(action)[0] is not client), None
        )

"""The draws of a call: samples that are stored, or are granted and asked for, within its budget."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from tcalloc.learn.protocol import Result
from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency.event_loop import Stop
from tcalloc.llm.drawing import Drawer
from tcalloc.llm.failures import BudgetSpent, LimitReached, LlmError, Stopped
from tcalloc.llm.money.journal import Journal
from tcalloc.measure.actions import Action
from tcalloc.runs.lines import read_complete
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import samples_of
from tcalloc.serve.clients import Clients
from tcalloc.serve.drawn import Drawn, result_of
from tcalloc.serve.live_costs import LiveCosts
from tcalloc.serve.payments import Hold, Payments
from tcalloc.serve.wave import Wave

__all__ = ["Draws"]

# Reasons of failed requests that are kept.
_REASONS = 20


class Draws:
    """Draws what policies ask for, on the loop of `tcalloc.llm.concurrency.event_loop`.

    `drawers` are known by the arms of their clients; the other arguments are those of `answer`.
    """

    def __init__(
        self,
        clients: Clients,
        drawers: Mapping[str, Drawer],
        payments: Payments,
        costs: LiveCosts,
        verifier: Callable[[str, str], bool] | None,
        stop: Stop,
        concurrency: int,
        *,
        at_once: int,
        cancel: bool,
        deadline: float | None,
        per_second: float,
    ):
        self.clients, self.payments, self.verifier = clients, payments, verifier
        self._drawers, self._costs, self._stop = drawers, costs, stop
        self._at_once, self._cancel, self._deadline, self._per_second = at_once, cancel, deadline, per_second
        self._slots = asyncio.Semaphore(concurrency)  # for requests, because a question may have several at a time
        self._stored: dict[tuple[str, str], dict[int, SampleRecord]] = {}
        self.settled = asyncio.Event()
        """Set when money may have become free since the last check."""
        self.begun_before: set[str] = set()
        """Questions of which samples are stored."""
        self.reasons: dict[str, None] = {}
        """Why requests failed, each once."""
        self.stopped: str | None = None
        """Why the call ends early."""

    def read(self, folder: str, journal: Journal) -> None:
        """Read the samples of a run folder, which are paid for, and its requests that were paid and lost."""
        models = self.clients.names
        needed = ["answer", "correct"] if self.verifier is None else ["answer", "correct", "text"]
        for record in read_complete(samples_of(folder), needed):
            if (model := models.get(record.get("arm") or "")) is not None:
                self._stored.setdefault((record["id"], record["params"]), {})[record["sample"]] = record
                self.payments.count(model, record)
                self.begun_before.add(record["id"])
        for lost in journal.lost:
            if (model := models.get(lost.arm)) is not None:
                count = self.payments.count_cut if lost.cut else self.payments.count_lost
                count(model, lost.n, lost.most)

    def priced_as(self, action: Action) -> str:
        """Return the name by which `Prices` knows the cost of an action's samples: the model's or the action's."""
        return self._costs.key(action, self.clients.of(action)[1])

    def results(self, drawn: Drawn, records: list[SampleRecord]) -> list[Result]:
        """Return what a run gets of samples of its draw; a verifier may take long."""
        assert drawn.draw is not None
        model = self.priced_as(drawn.draw.action)
        return [self._result(drawn, model, record) for record in records]

    def _result(self, drawn: Drawn, model: str, record: SampleRecord) -> Result:
        return result_of(drawn.question, record, self.payments.prices.cost(model, record), self.verifier)

    def too_late(self, drawn: Drawn) -> bool:
        """Return whether nothing more is waited for."""
        return self._deadline is not None and (drawn.late or drawn.seconds >= self._deadline)

    async def take(self, drawn: Drawn) -> list[SampleRecord] | None:
        """Return the samples of a question's draw that are there or granted; None: it comes later.

        Of an earlier decision, there are as many as were there then.
        """
        draw, question = drawn.draw, drawn.question
        assert draw is not None
        client, _ = self.clients.of(draw.action)
        model = self.priced_as(draw.action)
        start, at = drawn.numbers.get(client.arm, 0), len(drawn.draws)
        if drawn.decided is not None and (at >= len(drawn.decided) or drawn.decided[at][:2] != (client.arm, draw.n)):
            drawn.decided = None  # decided otherwise before, by another policy
        numbers = range(start, start + draw.n)
        key = question.id, client.params(question.messages)
        there = self._stored.get(key, {})
        missing = [j for j in numbers if j not in there]
        billed: float | None = None  # of samples that were cut off; None: none was
        if drawn.decided is not None and draw.n - len(missing) >= drawn.decided[at][2]:
            missing, billed = [], drawn.decided[at][3]
        # What the draw costs besides its samples, where replies do not say it.
        drawn.drawing = owed = self._costs.round_cost(model, start > 0)
        asking = bool(missing)
        began, fresh = time.monotonic(), dict[int, SampleRecord]()
        wave = Wave(
            question,
            self._drawers[client.arm],
            drawn.run,
            functools.partial(self._result, drawn, model),
            len(missing),
            self._stop,
            self._slots,
            None if self._deadline is None else self._deadline - drawn.seconds,
            at_once=self._at_once,
            cancel=self._cancel,
        )
        with wave:
            await wave.had([there[j] for j in numbers if j in there])
            while missing and not drawn.failed and not drawn.halted and not wave.cut.on:
                if not self._stop.on and self.payments.comes_later(question.id, model, len(missing)):
                    self._stored[key] = there | fresh
                    drawn.seconds += time.monotonic() - began
                    return None
                holds = await self._granted(drawn, client, model, len(missing), wave, owed)
                owed = 0.0 if holds else owed  # the first of them pays for the draw
                drawn.halted |= not holds and self._stop.on
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
                self._note(asked, drawn)
                fresh |= {record["sample"]: record for record in asked if isinstance(record, dict)}
                missing = [j for j in now if j not in fresh] + missing  # of a server that gives fewer than asked for
                if any(isinstance(one, BudgetSpent) for one in asked):
                    break
        records = [there.get(j) or fresh[j] for j in numbers if j in there or j in fresh]
        drawn.numbers[client.arm] = start + draw.n
        waited = time.monotonic() - began if asking else 0.0
        drawn.seconds += waited
        if self._per_second and fresh:
            self.payments.ledger.count(self._per_second * waited)
            drawn.drawing += self._per_second * waited
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

    async def _granted(
        self, drawn: Drawn, client: ChatClient, model: str, n: int, wave: Wave, round_cost: float
    ) -> list[Hold]:
        """Return the samples that are granted; where others may give money back, wait without blocking the loop."""
        question, most = drawn.question, None
        if client.n_limit is not None:
            self.payments.brings(client.n_limit)
        if self.payments.varies(model):
            most = client.most_cost(question.messages, min(n, self._at_once))
            most = None if most is None else most * -(-n // self._at_once) if self._at_once > 1 else most
        while True:
            self.settled.clear()
            holds = self.payments.grant(question.id, model, n, most, round_cost)
            if holds is not None:
                return holds
            if self._stop.on or wave.cut.on:
                return []
            await self.wait()

    async def wait(self) -> None:
        """Wait until something has settled, or for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.settled.wait()

    def _note(self, asked: list[Any], drawn: Drawn) -> None:
        """Note what went wrong with requests; raise what is no failure of theirs."""
        for one in {id(one): one for one in asked if isinstance(one, BaseException)}.values():
            if not isinstance(one, LlmError):
                raise one
            drawn.failed |= not isinstance(one, BudgetSpent)
            drawn.halted |= isinstance(one, Stopped | LimitReached)
            if isinstance(one, Stopped | BudgetSpent):
                continue
            if not isinstance(one, LimitReached) and len(self.reasons) < _REASONS:
                self.reasons.setdefault(str(one))
            if one.fatal:
                self.stopped = self.stopped or str(one)
                self._stop.set()

"""One request of a client: decided, drawn, settled and counted."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tcalloc.llm.concurrency.event_loop import Stop, crew
from tcalloc.llm.graders import Grader
from tcalloc.serve.gateway.asked import Asked
from tcalloc.serve.gateway.completions import Events, event, events_of
from tcalloc.serve.gateway.deciding import decided, headers_of, settled, to_the_end
from tcalloc.serve.gateway.decisions import Decision, NoMoney, ServedPolicy
from tcalloc.serve.gateway.drawing import (
    NO_RETRY,
    SPENT,
    Drawn,
    Refused,
    Sending,
    Spending,
    draw_one,
    draw_vote,
    most_cost,
)
from tcalloc.serve.gateway.history import Served
from tcalloc.serve.gateway.learning import Learning
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.upstream import TOO_LARGE, Upstream
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

__all__ = ["BROKEN", "Answering", "Reply"]

_log = logging.getLogger("tcalloc.gateway")

T = TypeVar("T")
BROKEN = {"message": "the gateway failed.", "type": "gateway_error", "code": "gateway_error"}
BROKE_OFF = {"message": "the server's reply broke off.", "type": "upstream_error"}


@dataclass(slots=True)
class Reply:
    """What a client gets."""

    status: int
    document: Mapping[str, Any] | None
    """The body; None: it is the stream."""
    headers: dict[str, str]
    stream: AsyncIterator[bytes] | None = None
    end: Callable[[], Coroutine[Any, Any, None]] | None = None
    """To be awaited when the stream has ended, or the client has left it."""


@dataclass(slots=True)
class Answering:
    """How requests are answered. `served` may be changed at any time; requests under way keep what they began with."""

    upstream: Upstream
    served: ServedPolicy
    sending: Sending
    keeper: BudgetKeeper | None
    metrics: Metrics
    learning: Learning | None = None
    share: float = 0.0
    """The share of the requests that are explored."""

    async def reply(self, asked: Asked, grader: Grader | None) -> Reply:
        """Return the reply to a request. The grader finds the answers; without one, there is no vote."""
        started = time.monotonic()
        self.metrics.open += 1
        spending = Spending()
        served = self.served
        decision, outcome, handed = None, "cancelled", False
        try:
            decision = await self._decision(asked, grader, served)
            if asked.stream and decision.run is None:
                first = _Relayed(self, asked, decision, served, spending, started)
                found = await first.begin()
                handed = True  # it settles at its end
                return found
            drawn = await self._drawn(asked, grader, served, decision, spending)
            outcome = "answered"
            headers = self._headers(decision, drawn)
            self._count(decision, drawn, spending)
            if decision.explored and self.learning is not None and grader is not None:
                await self._store(asked, drawn, served, grader)
            elif self.learning is not None and decision.reason in ("policy", "budget"):
                self.learning.paid(served, drawn.spend)
            if not asked.stream:
                return Reply(200, drawn.document, headers)
            return Reply(200, None, headers, _pieces(drawn.document, asked.usage))
        except NoMoney:
            outcome = "refused"
            spending.reason = "no money"
            self.metrics.fallback(spending.reason)
            return Reply(429, {"error": SPENT}, dict(NO_RETRY))
        except Refused as error:
            outcome = "refused"
            return Reply(error.status, {"error": error.error}, dict(error.headers))
        except Exception as error:
            outcome = "failed"
            _log.warning("a request failed (%s)", type(error).__name__)
            return Reply(500, {"error": BROKEN}, {})
        finally:
            if not handed:
                await self.end(decision, spending, outcome, started)

    async def end(self, decision: Decision | None, spending: Spending, outcome: str, started: float) -> None:
        """Settle and count a request, once, whatever became of it."""
        grant = None if decision is None else decision.grant
        self.metrics.open -= 1
        self.metrics.request(self._served(decision, spending, outcome, time.monotonic() - started))
        if grant is not None and grant.open:
            await to_the_end(settled(grant, spending.total, self.keeper))

    def _served(self, decision: Decision | None, spending: Spending, outcome: str, seconds: float) -> Served:
        drawn = spending.drawn
        action = reason = price = None
        if decision is not None:
            action, reason = decision.action, decision.reason
            price = None if decision.grant is None else decision.grant.price
        # Without prices, the policy counts what is spent.
        spend = drawn.spend if drawn is not None and self.upstream.rates is None else spending.total
        samples, share = (0, None) if drawn is None else (drawn.samples, drawn.vote_share)
        return Served(time.time(), action, outcome, spending.reason or reason, samples, spend, share, seconds, price)

    # ------------------------------------------------------------------------------------------ deciding

    async def _decision(self, asked: Asked, grader: Grader | None, served: ServedPolicy) -> Decision:
        """Let the policy decide; if it or the budget's keeper fails, one plain sample is drawn."""
        why = asked.unvoted or ("not voted on" if grader is None else None)

        def most(model: str | None, n: int) -> float:
            return most_cost(self.upstream, asked, self.sending, model, n)

        explore = self.learning is not None and random.random() < self.share
        return await decided(served, self.keeper, asked, why, most, explore, self.metrics.fallback)

    # ------------------------------------------------------------------------------------------ drawing

    async def _drawn(
        self, asked: Asked, grader: Grader | None, served: ServedPolicy, decision: Decision, spending: Spending
    ) -> Drawn:
        if decision.run is None or grader is None:
            return await draw_one(self.upstream, asked, self.sending, decision, served, spending)
        try:
            return await draw_vote(self.upstream, asked, self.sending, decision, served, grader, spending)
        except Refused:
            raise
        except Exception as error:
            _log.warning("the policy failed (%s); one plain sample is drawn", type(error).__name__)
            self.metrics.fallback("policy failed")
        return await draw_one(self.upstream, asked, self.sending, decision, served, spending)

    async def _store(self, asked: Asked, drawn: Drawn, served: ServedPolicy, grader: Grader) -> None:
        assert self.learning is not None
        clients = [self.upstream.client(model) for model in served.models or (asked.model,)]
        try:
            priced = self.upstream.rates is not None
            await crew().run(self.learning.add, served, asked.text, drawn.records, clients, grader.name, priced)
            self.learning.noted()
        except Exception as error:  # a full disk costs no answer
            _log.warning("an explored request could not be stored (%s)", type(error).__name__)
            self.metrics.fallback("not stored")

    def _headers(self, decision: Decision, drawn: Drawn | None) -> dict[str, str]:
        if drawn is None:
            return headers_of(decision.action, decision.reason)
        return headers_of(
            decision.action, drawn.reason or decision.reason, drawn.samples, drawn.spend, drawn.vote_share
        )

    def _count(self, decision: Decision, drawn: Drawn, spending: Spending) -> None:
        spending.drawn, spending.reason = drawn, drawn.reason
        self.metrics.action(decision.action, drawn.samples, drawn.vote_share)
        if drawn.reason is not None:
            self.metrics.fallback(drawn.reason)


class _Relayed:
    """One plain sample whose chunks are passed on as they come."""

    def __init__(
        self, answering: Answering, asked: Asked, decision: Decision, served: ServedPolicy, spending: Spending,
        started: float,
    ):  # fmt: skip
        self._on, self._asked, self._decision, self._served = answering, asked, decision, served
        self._spending, self._started = spending, started
        self._events = Events(asked.usage, answering.upstream.redact)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._stop = Stop()
        self._began, self._outcome = False, "cancelled"

    def _relay(self, piece: bytes) -> None:
        for one in self._events.take(piece):
            if not self._began:
                self._began = True
                self._stop.set()  # what the client has seen cannot be sent once more
            self._queue.put_nowait(one)

    async def begin(self) -> Reply:
        """Wait for the first chunk, or for the refusal of the request."""
        on = self._on
        self._task = asyncio.ensure_future(self._draw())
        try:
            first = await self._queue.get()
        except asyncio.CancelledError:
            await _cancelled(self._task)
            raise
        if first is None:
            drawn = await self._task  # raises the refusal, if it was refused
            on._count(self._decision, drawn, self._spending)
            self._outcome = "answered"  # the server does not stream
            pieces = _pieces(drawn.document, self._asked.usage)
            return Reply(200, None, on._headers(self._decision, drawn), pieces, self._end)
        return Reply(200, None, on._headers(self._decision, None), self._chunks(first), self._end)

    async def _end(self) -> None:
        """Settle it; what is still under way is dropped."""

        async def end() -> None:
            await _cancelled(self._task)
            await self._on.end(self._decision, self._spending, self._outcome, self._started)

        await to_the_end(end())

    async def _draw(self) -> Drawn:
        try:
            return await draw_one(
                self._on.upstream,
                self._asked,
                self._on.sending,
                self._decision,
                self._served,
                self._spending,
                self._relay,
                self._stop,
            )
        finally:
            self._queue.put_nowait(None)

    async def _chunks(self, one: bytes | None) -> AsyncIterator[bytes]:
        while one is not None:
            yield one
            one = await self._queue.get()
        try:
            self._on._count(self._decision, await self._task, self._spending)
            self._outcome = "answered"
        except Exception as error:
            self._outcome = "failed"
            said = error.error if isinstance(error, Refused) else {}
            yield event({"error": said if said.get("code") == TOO_LARGE else BROKE_OFF})


async def _pieces(document: Mapping[str, Any], usage: bool) -> AsyncIterator[bytes]:
    for one in events_of(document, usage):
        yield one


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    """End a task and wait until it has settled."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()

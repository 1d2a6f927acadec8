"""One request of a `ChatClient` over all its tries: sent, judged, paid for, and sent again if need be."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tcalloc.llm.concurrency.cut import Cut
from tcalloc.llm.concurrency.event_loop import Stop
from tcalloc.llm.failures import RefusedError, Stopped
from tcalloc.llm.http.attempts import Adapted, Failed
from tcalloc.llm.http.partial_reply import PartialReply
from tcalloc.llm.http.replies import Reply
from tcalloc.llm.money.bill import Bill
from tcalloc.llm.money.meter import Meter

if TYPE_CHECKING:
    from tcalloc.llm.client import ChatClient

__all__ = ["Asking"]

# Fields that a server may refuse, one after the other, before a request is given up.
_MOST_ADAPTED = 20


class Asking:
    """One request, on the loop of `tcalloc.llm.concurrency.event_loop`.

    Parameters
    ----------
    client : ChatClient
        The client whose request it is.
    messages, n, seed, meter, stop, cut, look
        As in `ChatClient.complete_async`.
    """

    def __init__(
        self,
        client: "ChatClient",
        messages: Sequence[Mapping[str, Any]],
        n: int,
        seed: int | None,
        meter: Meter | Bill | None,
        stop: Stop | None = None,
        cut: Cut | None = None,
        look: Callable[[str], object] | None = None,
    ):
        self._client, self._known = client, client._known
        self._messages = client.messages(messages)
        self._n = n if client.n_limit is None else min(n, client.n_limit)
        self._seed, self._meter, self._stop = seed, meter, stop or Stop()
        self._cut, self._look = cut, look
        self._doubted: set[str] = set()

    async def reply(self) -> Reply:
        """Return the reply; see `ChatClient.complete_async`."""
        known, backoff = self._known, self._client._backoff
        wanted = self._n
        adapted = tries = bad = 0
        while True:
            await self._wait(max(0.0, known.not_before - time.monotonic()))
            if self._cut is not None and self._cut.on:
                return self._unsent()
            outcome = await self._once()
            if isinstance(outcome, Reply):
                if not outcome.cut:
                    known.take_note(outcome, wanted)
                return outcome
            if isinstance(outcome, Adapted):
                self._n, adapted = outcome.n, adapted + 1
                if adapted > _MOST_ADAPTED:
                    raise RefusedError(outcome.said)
                continue
            if not outcome.again:
                raise outcome.error
            if outcome.bad:
                bad += 1
            else:
                tries += 1
            # A server that never answered probably has a wrong URL: report that before minutes have passed.
            most = backoff.retries if known.succeeded or not outcome.gone else min(3, backoff.retries)
            if tries > most or bad > backoff.bad_replies:
                raise outcome.error
            if outcome.after is not None:  # the server's pause holds for all other requests too
                until = time.monotonic() + min(outcome.after, backoff.longest)
                known.not_before = max(known.not_before, until)
            await self._wait(backoff.pause(tries + bad - 1, outcome.after))

    async def _once(self) -> Reply | Failed | Adapted:
        """Send the request and settle its cost."""
        client, meter = self._client, self._meter
        rates, parameters = client.rates, client.parameters
        body = self._known.body(parameters, self._messages, self._n, self._seed, stream=self._cut is not None)
        most = 0.0 if rates is None else rates.most(len(body), self._n, parameters.max_tokens or 0)
        # While other requests may give money back, this one waits without blocking.
        while meter is not None and not meter.try_reserve(most):
            await self._wait(0.02)
        if self._cut is not None and self._cut.on:
            if meter is not None:
                meter.settle(most)
            return self._unsent()
        billed = True
        try:
            started = time.monotonic()
            outcome = await self._exchange(body)
            if isinstance(outcome, Failed) and outcome.repeated:
                client.transport.reconnect()
            if isinstance(outcome, Reply):
                outcome = replace(outcome, seconds=time.monotonic() - started, seed=self._seed)
                billed = False  # it is settled at its real cost, not at the highest possible cost
                if meter is not None:
                    meter.pay(client.cost(outcome) or 0.0)
            else:
                billed = isinstance(outcome, Failed) and outcome.billed
            return outcome
        finally:
            if meter is not None:
                meter.settle(most, lost=billed)

    async def _exchange(self, body: bytes) -> Reply | Failed | Adapted:
        """Send a body once; a reply that may be cut off is cut off while it comes."""
        if self._cut is None:
            exchange = await self._client.transport.exchange(body)
        else:
            partial = PartialReply(self._look)
            came = await self._cut.race(self._client.transport.exchange(body, partial.take))
            if came is None:
                known, counter = self._known, self._client.counter
                return partial.reply(self._n, self._messages, known.prompts, counter, known.usual_tokens)
            exchange = came
        return self._known.judge(exchange, self._messages, self._n, self._doubted)

    def _unsent(self) -> Reply:
        """Return the reply to a request that was cut off before it was sent."""
        return Reply((), 0, False, "", self._client.model, cut=(0,) * self._n)

    async def _wait(self, seconds: float) -> None:
        if await self._stop.wait(seconds):
            raise Stopped("interrupted before the request was sent.")

"""What the gateway learns from the requests that it explores: they are stored, and figures are made of them.

`Learning.review` makes the figures in a thread, so that no request waits for it: every hour, and when there are a
quarter more requests than the last time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency.event_loop import crew
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.gateway.decisions import ServedPolicy
from tcalloc.serve.gateway.drift import Drift
from tcalloc.serve.gateway.exploring import Explored, Seen
from tcalloc.serve.gateway.savings import Savings

__all__ = ["Learning"]

_log = logging.getLogger("tcalloc.gateway")

# Seconds between two reviews.
HOUR = 3600.0
# An earlier review needs this many times as many explored requests as the last one; the first one needs this many.
GROWTH, FIRST = 1.25, 20


class Learning:
    """The explored requests, and what they say. Threads may share it; close it."""

    def __init__(self, explored: Explored, served: ServedPolicy):
        self._explored = explored
        self.savings, self.drift = Savings(served), Drift(served)
        self._count, self._due = 0, FIRST
        self._wake = asyncio.Event()

    def serve(self, served: ServedPolicy) -> None:
        """Begin anew with another policy."""
        self.savings.serve(served)
        self.drift.serve(served)
        self._count, self._due = 0, FIRST

    def add(
        self,
        served: ServedPolicy,
        text: str,
        records: Sequence[SampleRecord],
        clients: Sequence[ChatClient],
        grader: str,
        priced: bool,
    ) -> None:
        """Store an explored request with its samples, one client for each model, and the grader's name; may block.

        It is `priced` if its samples have costs.
        """
        seen = Seen.of(served, text, records, priced)
        self.savings.add(served, seen)
        for said in self.drift.add(served, seen, priced):
            _log.warning("%s", said)
        self._explored.add(text, records, clients, grader, served.origin)

    def paid(self, served: ServedPolicy, spend: float) -> None:
        """Count the cost of a request that the policy decided."""
        self.savings.paid(served, spend)

    def noted(self) -> None:
        """Count an explored request; on the event loop."""
        self._count += 1
        if self._count >= self._due:
            self._wake.set()

    def review(self) -> None:
        """Remove texts that are too old, and make the figures anew; takes up to some seconds."""
        self._explored.forget()
        self.savings.measure()

    async def run(self) -> None:
        """Review every hour, and earlier if many requests came, until it is cancelled."""
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), HOUR)
            self._wake.clear()
            self._due = max(FIRST, round(GROWTH * self._count))
            try:
                await crew().run(self.review)
            except Exception as error:  # the old figures stay
                _log.warning("the explored requests could not be reviewed (%s)", type(error).__name__)

    def close(self) -> None:
        """Write everything to the disk."""
        self._explored.close()

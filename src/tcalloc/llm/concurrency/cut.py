"""Requests under way whose replies are no longer needed: cut off, not waited for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Cut"]

T = TypeVar("T")


class Cut:
    """Ends the requests of one draw; for one event loop.

    Attributes
    ----------
    samples : int
        How many samples were cut off, those included that were not sent any more.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.samples = 0
        self._sent, self._cost = 0, 0.0

    @property
    def on(self) -> bool:
        """Whether it is set."""
        return self._event.is_set()

    def set(self) -> None:
        """Cut off what is under way, and let nothing more be sent."""
        self._event.set()

    def count(self, samples: int, sent: int, cost: float) -> None:
        """Count samples that were cut off, how many of them had been sent, and what was billed of those."""
        self.samples += samples
        self._sent += sent
        self._cost += cost

    def taken(self) -> tuple[int, float]:
        """Return how many samples had been sent, and what was billed of them, since this was asked last."""
        found = self._sent, self._cost
        self._sent, self._cost = 0, 0.0
        return found

    async def race(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what a coroutine returns; None, and the coroutine is cancelled, if it is cut off before that."""
        task, cut = asyncio.ensure_future(work), asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait((task, cut), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            cut.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

"""The epochs of one question: which are under way, what they brought, and whether another is wanted."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from tcalloc.learn.protocol import Result, Run

__all__ = ["Epoch", "QuestionEpochs", "needed"]

Wish = Literal["run", "wait", "stop"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch brought."""

    result: Result
    """The answer and what it cost."""
    value: float | None
    """Its score as a number, 1 for right; None if it has none."""
    priced: bool = True
    """Whether the cost is known. It is not for epochs that were taken from an earlier log."""


class QuestionEpochs:
    """The epochs of one question, as a run of a policy asks for them.

    Epochs are drawn at any time and end in any order. They are told to the run in the order of their numbers. The run
    ends when another epoch is not worth its price.
    """

    __slots__ = ("_asked", "_running", "_told", "done", "failed", "run", "seen", "stopped", "unpaid")

    def __init__(self, run: Run):
        self.run = run
        self.done: dict[int, Epoch] = {}
        """What came, by the number of the epoch."""
        self.seen: set[int] = set()
        """Epochs that were begun."""
        self.stopped: set[int] = set()
        """Epochs that were not worth their price."""
        self.unpaid: set[int] = set()
        """Epochs for which there was no money."""
        self.failed: set[int] = set()
        """Epochs that ended without a score."""
        self._running: set[int] = set()
        self._told: set[int] = set()
        self._asked = self._ask()

    def wish(self) -> Wish:
        """Return whether another epoch should run now, wait for those under way, or be left out."""
        while self._asked:
            fresh = sorted(self.done.keys() - self._told)
            came = [self.done[number].result for number in fresh]
            if len(came) < self._asked:
                break
            self._told.update(fresh[: self._asked])
            self.run.add(came[: self._asked])
            self._asked = self._ask()
        if not self._asked:
            return "stop"
        settled = getattr(self.run, "settled", None)
        if came and settled is not None and settled(came, self._asked - len(came)):
            self._asked = 0
            return "stop"
        return "run" if len(came) + len(self._running) < self._asked else "wait"

    def _ask(self) -> int:
        """Ask the run, once per draw, how many epochs it wants next; 0: it has ended."""
        draw = self.run.next()
        return 0 if draw is None else draw.n

    def begin(self, epoch: int) -> None:
        """Note that an epoch runs, perhaps once more."""
        self.seen.add(epoch)
        self._running.add(epoch)
        self.failed.discard(epoch)

    def leave(self, epoch: int, *, paid: bool = True) -> None:
        """Note that an epoch ended without a score, or could not be paid."""
        self._running.discard(epoch)
        (self.failed if paid else self.unpaid).add(epoch)

    def finish(self, epoch: int, found: Epoch) -> None:
        """Take what an epoch brought."""
        self._running.discard(epoch)
        self.failed.discard(epoch)
        if epoch not in self._told:  # a repeated epoch cannot be taken back from the run
            self.done[epoch] = found

    @property
    def in_order(self) -> list[Epoch]:
        """What came, in the order of the epochs."""
        return [self.done[epoch] for epoch in sorted(self.done)]

    @property
    def answers(self) -> list[Hashable | None]:
        """The answers that came, in the order of the epochs."""
        return [epoch.result.answer for epoch in self.in_order]


def needed(run: Run, results: list[Result]) -> tuple[int, bool]:
    """Return after how many of these results a new run ends, and whether it ends; all of them if it would go on."""
    settled = getattr(run, "settled", None)
    told = 0
    while (draw := run.next()) is not None:
        for n in range(1, draw.n):
            if told + n > len(results):
                return len(results), False
            if settled is not None and settled(results[told : told + n], draw.n - n):
                return told + n, True
        if told + draw.n > len(results):
            return len(results), False
        run.add(results[told : told + draw.n])
        told += draw.n
    return told, True

"""Ledger time: seconds that only go forward, whatever the clocks of the machines do.

Within a process, ledger time runs with the machine's monotonic clock. Processes agree because each one that uses a
state takes over the later time (`follow`). The wall clock is asked once, when a process joins a state: it shows for
how long no process has used it. A wall clock that jumps while processes are running changes nothing for them. They
correct the difference between wall clock and ledger time that the state holds for those that join later.
"""

import time
from collections.abc import Callable
from functools import partial

__all__ = ["LedgerClock"]


# Seconds since the machine started, also while it slept, if the system counts these.
_monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class LedgerClock:
    """The ledger time of one process, by the machine's two clocks; tests have their own."""

    def __init__(self, monotonic: Callable[[], float] = _monotonic, wall: Callable[[], float] = time.time):
        self._monotonic, self._wall = monotonic, wall
        self._ahead = wall() - monotonic()

    def now(self) -> float:
        """Return ledger time."""
        return self._monotonic() + self._ahead

    def follow(self, ledger_time: float) -> None:
        """Go forward to a time that another process has reached."""
        behind = ledger_time - self.now()
        if behind > 0:
            self._ahead += behind

    def join(self, ledger_time: float, difference: float) -> None:
        """Begin with a state: the ledger time that it has reached, and this time minus the wall clock, as last seen."""
        self._ahead = max(ledger_time, self._wall() + difference) - self._monotonic()

    @property
    def difference(self) -> float:
        """Ledger time minus wall clock, as of now."""
        return self.now() - self._wall()

"""How long a comparison still takes, and the line of progress that says so."""

import heapq
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TextIO

from tcalloc._printing import StatusLine
from tcalloc.learn.registry import HINDSIGHT, ORACLE
from tcalloc.llm.progress import clock

__all__ = ["Bar", "Forecast"]

# What one training of a group takes, in seconds: (what a process computes once, every training). Their ratios count,
# until a training of the group is done. Measured on the recorded table and on GSM8K.
USUAL = {
    "stopping": (1.0, 24.0),
    "counting": (50.0, 0.1),
    "text": (8.0, 6.0),
    ORACLE: (3.0, 0.1),
    HINDSIGHT: (0.4, 0.1),
}
# Of any other contestant.
SMALL = (0.0, 0.1)


class Forecast:
    """Forecasts the time that is left.

    Trainings differ a thousandfold, so that their number says little. Each group of contestants is known by its own
    trainings as soon as one is done; before that, by what it usually takes in comparison with those that are. What is
    left is then dealt out to the processes, in order. `pieces` is the group of each training, in the order in which
    they are begun.
    """

    def __init__(self, pieces: Sequence[str], workers: int = 1, clock: Callable[[], float] = time.monotonic):
        self._ahead = list(pieces)
        self._workers, self._clock = max(1, workers), clock
        self._began = clock()
        # Of each group: what trainings took that were a process's first, and others.
        self._first: dict[str, list[float]] = defaultdict(list)
        self._later: dict[str, list[float]] = defaultdict(list)
        # Of each process: when it was last done, and what it has trained.
        self._free: dict[int, float] = {}
        self._seen: dict[int, set[str]] = defaultdict(set)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._began

    def done(self, group: str, seconds: float, process: int = 0) -> None:
        """Count one training of a group as done: what it took, and which process did it."""
        (self._later if group in self._seen[process] else self._first)[group].append(seconds)
        self._seen[process].add(group)
        self._free[process] = self.seconds
        self._ahead.remove(group)

    def left(self) -> float | None:
        """Return the seconds that are left; None: nothing is known yet."""
        if not self._first:
            return None
        # What others take says nothing of the groups that are known, and the other way round.
        usual = spent = 0.0
        for group in self._first.keys() & USUAL.keys():
            once, each = USUAL[group]
            firsts, later = self._first[group], self._later[group]
            usual += len(firsts) * (once + each) + len(later) * each
            spent += sum([*firsts, *later])
        now, scale = self.seconds, spent / usual if usual else 1.0
        takes = {group: self._of(group, scale) for group in set(self._ahead)}
        # The first trainings are under way, since their processes were last done.
        known = sorted((at, process) for process, at in self._free.items())[: self._workers]
        free = [*((0.0, -1 - number) for number in range(self._workers - len(known))), *known]
        heapq.heapify(free)
        seen = {process: set(groups) for process, groups in self._seen.items()}
        for group in self._ahead:
            at, process = heapq.heappop(free)
            first, again = takes[group]
            trained = seen.setdefault(process, set())
            end = at + (again if group in trained else first)
            trained.add(group)
            heapq.heappush(free, (max(end, now), process))
        return max(0.0, max(at for at, _ in free) - now)

    def _of(self, group: str, scale: float) -> tuple[float, float]:
        """Return what a process's first training of a group takes, and each later one."""
        once, each = USUAL.get(group, SMALL)
        firsts, later = self._first[group], self._later[group]
        first = sum(firsts) / len(firsts) if firsts else 0.0
        every = first * each / (once + each) if firsts else each * scale
        if later:
            every = sum(later) / len(later)
        return (first if firsts else every + once * scale), every


class Bar:
    """How far it is, on standard error: one line that changes on a terminal, else a line now and then.

    It is shown while its block runs. However that ends, what is printed next begins a new line.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        wanted: bool,
        workers: int = 1,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._total, self._done = len(pieces), 0
        self._forecast = Forecast(pieces, workers, clock)
        self._line = StatusLine((sys.stderr if stream is None else stream) if wanted else None)
        self._every = 0.2 if self._line.live else 30.0
        self._shown = 0.0

    def step(self, group: str, seconds: float, process: int = 0) -> None:
        """Count one training as done; see `Forecast.done`."""
        self._done += 1
        self._forecast.done(group, seconds, process)
        now = self._forecast.seconds
        if now - self._shown >= self._every:
            self._shown = now
            self._line.show(self.line())

    def __enter__(self) -> "Bar":
        if self._line.live:
            self._line.show(self.line())
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line, so that what is said next has one of its own."""
        if self._line.live:
            self._line.show(self.line(), "\n")

    def line(self) -> str:
        """Return what is shown."""
        left = self._forecast.left()
        ahead = "" if left is None or self._done == self._total else f", about {clock(left)} left"
        return f"tcalloc: compare: {self._done:,} of {self._total:,} trainings ({clock(self._forecast.seconds)}{ahead})"

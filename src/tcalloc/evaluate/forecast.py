"""How long a comparison still takes, and the line of progress that says so.

What to use when
----------------
`Forecast`
    The time that is left, from the trainings that are done.
`Bar`
    One line on standard error, with the forecast.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TextIO

__all__ = ["Bar", "Forecast"]

# What one training of a group takes, in some unit: (what a process computes once, every training). Only their ratios
# count, and only until a training of the group is done. Measured on the recorded table and on GSM8K.
USUAL = {
    "stopping": (1.0, 24.0),
    "counting": (50.0, 0.1),
    "text": (8.0, 6.0),
    "oracle, held out": (3.0, 0.1),
    "hindsight bound": (0.4, 0.1),
}
# Of any other contestant.
SMALL = (0.0, 0.1)


class Forecast:
    """Forecasts the time that is left.

    Trainings differ a thousandfold, so that their number says little. Each group of contestants is known by its own
    trainings as soon as one is done; before that, by what it usually takes in comparison with those that are.

    Parameters
    ----------
    pieces : sequence of str
        The group of each training.
    workers : int
        Processes. Each computes once what the trainings of a group share.
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, pieces: Sequence[str], workers: int = 1, clock: Callable[[], float] = time.monotonic):
        self._left = Counter(pieces)
        self._workers, self._clock = max(1, workers), clock
        # A process that gets no training of a group computes nothing of it.
        self._firsts = Counter({group: min(self._workers, count) for group, count in self._left.items()})
        self._began = clock()
        self._first: dict[str, list[float]] = defaultdict(list)
        self._later: dict[str, list[float]] = defaultdict(list)
        self._seen: set[tuple[str, int]] = set()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._began

    def done(self, group: str, seconds: float, process: int = 0) -> None:
        """Count one training as done.

        Parameters
        ----------
        group : str
            Of the contestants.
        seconds : float
            What it took.
        process : int
            Which process did it.
        """
        new = (group, process) not in self._seen
        self._seen.add((group, process))
        (self._first if new else self._later)[group].append(seconds)
        self._left[group] -= 1
        if new:
            self._firsts[group] -= 1

    def left(self) -> float | None:
        """Return the seconds that are left; None: nothing is known yet."""
        usual = spent = 0.0
        for group in {*self._first, *self._later}:
            once, each = USUAL.get(group, SMALL)
            firsts, later = self._first[group], self._later[group]
            usual += len(firsts) * (once + each) + len(later) * each
            spent += sum(firsts) + sum(later)
        if spent <= 0:
            return None
        ahead = sum(self._of(group, spent / usual) for group in self._left)
        # What the processes have begun and not yet finished is not ahead of them any more.
        begun = max(0.0, min(self._workers * self.seconds - spent, ahead))
        return (ahead - begun) / self._workers

    def _of(self, group: str, scale: float) -> float:
        """Return what all trainings of a group that are left take, in seconds of one process."""
        once, each = USUAL.get(group, SMALL)
        firsts, later = self._first[group], self._later[group]
        first = sum(firsts) / len(firsts) if firsts else 0.0
        every = first * each / (once + each) if firsts else each * scale
        if later:
            every = sum(later) / len(later)
        if not firsts:
            first = every + once * scale
        left = max(self._left[group], 0)
        anew = min(max(self._firsts[group], 0), left)
        return anew * first + (left - anew) * every


class Bar:
    """How far it is, on standard error: one line that changes on a terminal, else a line now and then.

    Parameters
    ----------
    pieces : sequence of str
        The group of each training.
    wanted : bool
        Whether anything is shown.
    workers : int
        Processes.
    stream : file, optional
        Standard error if not given.
    clock : callable
        Returns the time in seconds.
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
        self._stream = (sys.stderr if stream is None else stream) if wanted else None
        self._live = self._stream is not None and self._stream.isatty()
        self._every = 0.2 if self._live else 30.0
        self._shown = 0.0
        self._width = 0
        if self._live:
            self._write()

    def step(self, group: str, seconds: float, process: int = 0) -> None:
        """Count one training as done; see `Forecast.done`."""
        self._done += 1
        self._forecast.done(group, seconds, process)
        now = self._forecast.seconds
        if self._stream is not None and now - self._shown >= self._every:
            self._shown = now
            self._write()

    def end(self) -> None:
        """Leave the line."""
        if self._live:
            self._write("\n")

    def line(self) -> str:
        """Return what is shown."""
        from tcalloc.llm.progress import clock

        left = self._forecast.left()
        ahead = "" if left is None or self._done == self._total else f", about {clock(left)} left"
        return f"tcalloc: compare: {self._done:,} of {self._total:,} trainings ({clock(self._forecast.seconds)}{ahead})"

    def _write(self, end: str = "") -> None:
        assert self._stream is not None
        text = self.line()
        try:
            self._stream.write(f"\r{text.ljust(self._width)}{end}" if self._live else f"{text}\n")
            self._stream.flush()
            self._width = len(text)
        except (OSError, ValueError):
            self._stream, self._live = None, False  # nobody looks any more

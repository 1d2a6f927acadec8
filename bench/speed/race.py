"""Timing side by side, and the tables that come of it.

Machines are shared and clocks drift, so a time means little and a ratio only if both were taken at the same moment.
A round therefore runs each rival, then one read of the inputs, then tcalloc; what is reported is the median over the
rounds of the ratio within a round. Before each of them the inputs are read once untimed, so that all start with the
same cache.
"""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Board", "Race", "Times", "one_read"]


def one_read(*arrays: NDArray[Any]) -> Callable[[], None]:
    """Return a function that reads each array once: what no solver can do without.

    The unit is the fastest read that NumPy offers on one thread: a BLAS dot product of two arrays of one size, which
    are two streams for the prefetcher (1.3 times faster than a maximum or a sum of each). An array without a partner of
    its size and type is multiplied half by half. conftest.py keeps BLAS at one thread.
    """
    flat = [_memory(array) for array in arrays]
    if len(flat) == 2 and (flat[0].size, flat[0].dtype) == (flat[1].size, flat[1].dtype):
        pairs = [(flat[0], flat[1])]
    else:
        halves = [(array, array.size // 2) for array in flat]
        pairs = [(array[:half], array[half : 2 * half]) for array, half in halves]

    def read() -> None:
        for x, y in pairs:
            np.dot(x, y)

    return read


def _memory(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array as one row, in the order of its memory (a strided one is packed: its own cells are read)."""
    return array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1)


@dataclass(slots=True)
class Times:
    """Seconds of each contestant in each round; rivals that are slow have fewer rounds."""

    subject: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    rivals: dict[str, list[float]] = field(default_factory=dict)

    @property
    def reads(self) -> float:
        """The subject in reads of its inputs."""
        return median(s / r for s, r in zip(self.subject, self.read, strict=True))

    def ratio(self, name: str) -> float:
        """How many times longer the rival takes than the subject."""
        return median(r / s for r, s in zip(self.rivals[name], self.subject, strict=False))

    @property
    def ratios(self) -> dict[str, float]:
        """All of them."""
        return {name: self.ratio(name) for name in self.rivals}


@dataclass(slots=True)
class Race:
    """One subject against its rivals; pytest-benchmark times the subject, the rivals run in its set-up."""

    fixture: Callable[[], Any]  # gives pytest-benchmark's fixture
    cpu_time: bool  # of the calling thread: all contestants run on one
    allowance: float  # seconds that one rival may use; it runs at least once

    def run(
        self,
        subject: Callable[[], Any],
        rivals: Mapping[str, Callable[[], Any]],
        read: Callable[[], None],
        rounds: int,
    ) -> tuple[Any, dict[str, Any], Times]:
        """Return the subject's result, the rivals' results, and the times."""
        times = Times(rivals={name: [] for name in rivals})
        clock = thread_time if self.cpu_time else perf_counter
        results: dict[str, Any] = {}
        subject()  # imports and first calls are not what is compared

        def others() -> None:
            for name, rival in rivals.items():
                spent = times.rivals[name]
                if spent and sum(spent) + spent[-1] > self.allowance:
                    continue
                results[name] = _timed(rival, read, spent, clock)
            _timed(read, read, times.read, clock)
            read()

        def timed_subject() -> Any:
            start = clock()
            result = subject()
            times.subject.append(clock() - start)
            return result

        benchmark = self.fixture()
        result = benchmark.pedantic(timed_subject, setup=others, rounds=rounds)
        benchmark.extra_info.update({"reads": times.reads, **times.ratios})
        return result, results, times


def _timed(function: Callable[[], Any], warm: Callable[[], None], into: list[float], clock: Callable[[], float]) -> Any:
    warm()
    start = clock()
    result = function()
    into.append(clock() - start)
    return result


# ---------------------------------------------------------------------------------------------- the tables


@dataclass(slots=True)
class Board:
    """What is printed at the end: tables of rows, with a note below each."""

    notes: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def add(self, title: str, note: str, row: Mapping[str, str]) -> None:
        """Add a row to the table of that title."""
        self.notes[title] = note
        self.rows.setdefault(title, []).append(dict(row))

    def markdown(self) -> str:
        """Return all tables, aligned, so that they read well as they are."""
        parts = [machine()]
        for title in sorted(self.rows):
            parts += [f"### {title}", _table(self.rows[title]), self.notes[title]]
        if self.absent:
            parts.append("Not run: " + "; ".join(sorted(self.absent)) + ".")
        return "\n\n".join([*parts, *self.remarks]) + "\n"


def _table(rows: list[dict[str, str]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    widths = [max(3, *(len(line[i]) for line in cells)) for i in range(len(columns))]

    def line(values: list[str]) -> str:
        first = values[0].ljust(widths[0])
        return "| " + " | ".join([first, *(v.rjust(w) for v, w in zip(values[1:], widths[1:], strict=True))]) + " |"

    rule = "| " + " | ".join(["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]) + " |"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def machine() -> str:
    """Say what the figures were taken on."""
    from tcalloc import __version__
    from tcalloc._kernel import kernel

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = next((name for name in named if name and not name.isdigit()), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {platform.python_version()}"]
    for package, name in (("numpy", "NumPy"), ("numba", "numba"), ("scipy", "SciPy")):
        try:
            versions.append(f"{name} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    compiled = "compiled kernel" if kernel.__name__.endswith("_oracle") else "reference kernel"
    return f"{cpu}, {cores} cores, {platform.system()}; tcalloc {__version__} ({compiled}), {', '.join(versions)}."


def seconds(value: float) -> str:
    """Word a time: three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{_digits(value / scale)} {unit}"
    return f"{_digits(value / 1e-9)} ns"


def times_as_long(value: float) -> str:
    """Word a ratio: three digits at most."""
    return _digits(value)


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{round(value, 2 - len(str(int(value)))) if value >= 1000 else value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(value: int) -> str:
    """Word a number of rows: 1000 → 1e3, 1318 → 1,318."""
    text = f"{value:.0e}".replace("e+0", "e")
    return text if value >= 1000 and int(float(text)) == value else f"{value:,}"

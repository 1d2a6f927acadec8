"""The way along all hull steps of a table: what is spent and reached after each, exactly, and the actions there.

All numbers are in scaled units (`_units.py`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import Labels
from tcalloc._kernel import kernel
from tcalloc._search import FILL, Steps, Sums, as_pair, canonical_order, exactly

__all__ = ["HullPath"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class HullPath:
    """The M hull steps of N rows in the canonical order, and the M + 1 vertices between them."""

    cheapest: NDArray[np.int32]
    """(N,) the actions at the first vertex."""
    weight: tuple[float, float]
    """Σ w, high and low."""
    steps: Steps
    """Efficiencies fall; of several steps of one row the later ones go on from the earlier ones."""
    sums: NDArray[np.float64]
    """(M + 1, 4) Σ w·cost and Σ w·acc at each vertex: high, low, high, low. Their differences may lose small steps."""

    @classmethod
    def of(cls, cheapest: NDArray[np.int32], totals: Sums, steps: Steps) -> "HullPath":
        """Add the steps up, from the sums of the cheapest actions on."""
        sums = np.empty((len(steps) + 1, 4))
        sums[0] = (*totals.spend, *totals.gain)
        kernel.running(steps.delta, sums)
        return cls(cheapest, totals.weight, steps, sums)

    @property
    def base(self) -> Sums:
        """The sums of the cheapest actions."""
        c, cl, a, al = self.sums[0].tolist()
        return Sums((c, cl), (a, al), self.weight)

    # ------------------------------------------------------------------------------------------ vertices

    def at(self, vertex: int) -> tuple[Fraction, Fraction]:
        """Return Σ w·cost and Σ w·acc at a vertex."""
        return self._sum_at(vertex, 0), self._sum_at(vertex, 2)

    def first_above(self, spend: tuple[float, float]) -> int:
        """Return the first vertex whose Σ w·cost is above `spend` (both exact), M + 1 if none is."""
        if spend[0] == math.inf:
            return len(self.sums)
        return self._first(0, spend[0], lambda found: found > exactly(spend))

    def first_reaching(self, gain: Fraction) -> int:
        """Return the first vertex whose Σ w·acc is at least `gain`; the last one if none is."""
        if gain <= self._sum_at(0, 2):
            return 0
        return min(self._first(2, as_pair(gain)[0], lambda found: found >= gain), len(self.steps))

    def _first(self, column: int, near: float, enough: Callable[[Fraction], bool]) -> int:
        """Return the first vertex whose exact sum is enough, which is decided near a value."""
        high = self.sums[:, column]
        margin = abs(near) * 2.0**-40
        first, last = int(np.searchsorted(high, near - margin)), int(np.searchsorted(high, near + margin, side="right"))
        while first < last:
            middle = (first + last) // 2
            if enough(self._sum_at(middle, column)):
                last = middle
            else:
                first = middle + 1
        return first

    def _sum_at(self, vertex: int, column: int) -> Fraction:
        return exactly((float(self.sums[vertex, column]), float(self.sums[vertex, column + 1])))

    def stand_at(self, vertex: int) -> tuple[NDArray[np.int32], Steps, NDArray[np.float64]]:
        """Return the actions at a vertex, the next steps that the fill may try, and the state of `kernel.walk`."""
        actions = self.cheapest.copy()
        # Of several steps of one row the last one counts: NumPy assigns in order.
        actions[self.steps.row[:vertex]] = self.steps.hop[:vertex, 1]
        steps = self.steps.mapped(lambda column: column[vertex : vertex + 1 + FILL])
        return actions, steps, np.concatenate([self.sums[vertex], np.zeros(4)])

    def reach(self, gain: Fraction) -> tuple[NDArray[np.int32], int, tuple[float, float], tuple[float, float]]:
        """Take steps until Σ w·acc is at least `gain`; the last step is the cheapest that suffices.

        Returned are the actions, the first step that is not taken, Σ w·cost and Σ w·acc.
        """
        # The last vertex below the target; from there one step is enough.
        short = max(0, self.first_reaching(gain) - 1)
        actions, steps, state = self.stand_at(short)
        c, cl, a, al = state[:4].tolist()
        split = short
        if exactly((a, al)) < gain and len(steps):
            missing = float(gain - exactly((a, al)))
            open_steps = actions[steps.row] == steps.hop[:, 0]
            enough = open_steps & (steps.delta[:, 2] + steps.delta[:, 3] >= missing)
            enough[0] = True
            pick = int(np.where(enough, steps.delta[:, 0], np.inf).argmin())
            split += pick == 0
            actions[steps.row[pick]] = steps.hop[pick, 1]
            d = steps.delta[pick].tolist()
            c, cl = as_pair(exactly((c, cl)) + exactly((d[0], d[1])))
            a, al = as_pair(exactly((a, al)) + exactly((d[2], d[3])))
        return actions, split, (c, cl), (a, al)

    # ------------------------------------------------------------------------------------------ merging

    @classmethod
    def merged(cls, paths: Sequence["HullPath"]) -> "HullPath":
        """Join the paths of blocks of rows, all in the same units, in the order of their rows."""
        offsets = np.cumsum([0, *(len(path.cheapest) for path in paths)])
        moved = zip(paths, offsets[:-1], strict=True)
        steps = Steps.joined([replace(path.steps, row=path.steps.row + offset) for path, offset in moved])
        steps = steps.taken(canonical_order(steps.efficiency))
        spend, gain = (sum(parts, Fraction(0)) for parts in zip(*(path.at(0) for path in paths), strict=True))
        weight = sum((exactly(path.weight) for path in paths), Fraction(0))
        cheapest = np.concatenate([path.cheapest for path in paths])
        return cls.of(cheapest, Sums(as_pair(spend), as_pair(gain), as_pair(weight)), steps)

    def rescaled(self, own: Labels, other: Labels) -> "HullPath":
        """Return the same path in the units of other labels than its own."""
        acc = own.acc_exponent - other.acc_exponent
        cost = own.cost_exponent - other.cost_exponent
        weight = own.weight_exponent - other.weight_exponent
        if (acc, cost, weight) == (0, 0, 0):
            return self
        powers = [cost + weight, cost + weight, acc + weight, acc + weight]
        efficiency, delta = np.ldexp(self.steps.efficiency, acc - cost), np.ldexp(self.steps.delta, powers)
        steps = replace(self.steps, efficiency=efficiency, delta=delta)
        high, low = (math.ldexp(part, weight) for part in self.weight)
        return HullPath(self.cheapest, (high, low), steps, np.ldexp(self.sums, powers))

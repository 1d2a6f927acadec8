"""Means over questions, with intervals that are wide enough, or open if nothing limits them.

(A) If the values are even enough: Student's t. Even enough is n ≥ 25·skewness² (Cochran, Sampling Techniques, 1977,
    section 2.15); then the mean does not depend on a few questions. n is the effective number of questions, (Σw)²/Σw².
(B) Otherwise a few questions decide the mean, and a sample may contain none of them. If n questions contain none of a
    kind, its share is at most q = 1 − (α/2)^(1/n) with confidence 1 − α/2. If values are known to lie in [least, most],
    the ends of (A) are moved by what such a share can change: q·(mean − least) and q·(most − mean). If all values equal
    an end, this is the interval of Clopper and Pearson. If an end is not known, the interval is open there.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc._student import quantile

__all__ = ["Estimate", "Over"]

Floats = NDArray[np.float64]

# A mean is nearly normal from this number of questions per squared skewness on.
EVEN = 25.0


class Estimate(NamedTuple):
    """A figure and its interval."""

    value: float
    low: float
    high: float


class Over:
    """Means over questions, with intervals.

    Parameters
    ----------
    weights : ndarray, (N,)
        Weights of the questions; they add up to 1.
    level : float
        Confidence level of the intervals.
    """

    def __init__(self, weights: Floats, level: float):
        self.weights = weights
        self.level = level
        self.n = 1 / float(weights @ weights)
        """Effective number of questions."""
        self.t = quantile(self.n - 1, level) if self.n > 1 + 1e-9 else math.inf

    def variance(self, values: Floats) -> float:
        """Return the variance of the weighted mean."""
        if not self.n > 1 + 1e-9:
            return math.inf
        around = values - self.weights @ values
        return float(self.weights**2 @ around**2) * self.n / (self.n - 1)

    def skewness(self, values: Floats) -> float:
        """Return the skewness; NaN if all values are equal, which says nothing about unseen values."""
        around = values - self.weights @ values
        square = float(self.weights @ around**2)
        if not square > 1e-24 * max(float(np.abs(values).max()) ** 2, 1e-300):
            return math.nan
        return float(self.weights @ around**3 / square**1.5)

    def even(self, values: Floats) -> bool:
        """Return whether the mean does not depend on a few questions, as far as these values show."""
        return bool(self.n >= EVEN * self.skewness(values) ** 2)

    def mean(self, values: Floats, least: float = -math.inf, most: float = math.inf) -> Estimate:
        """Return the mean; values lie between `least` and `most`."""
        middle = min(max(float(self.weights @ values), least), most)
        if least == most or math.isinf(self.t) or not np.isfinite(values).all():
            return Estimate(middle, least, most)
        width = self.t * math.sqrt(self.variance(values))
        low, high = middle - width, middle + width
        if not self.even(values):
            unseen = 1 - ((1 - self.level) / 2) ** (1 / self.n)
            low, high = low - unseen * (middle - least), high + unseen * (most - middle)
        return Estimate(middle, max(low, least), min(high, most))

    def of_some(self, some: tuple[Floats, NDArray[np.bool_]] | None) -> Estimate | None:
        """Return the mean share over some questions."""
        if some is None:
            return None
        values, rows = some
        weights = self.weights[rows]
        return Over(weights / weights.sum(), self.level).mean(values, 0.0, 1.0)

    def share(self, values: Floats) -> Estimate:
        """Return the mean of zeros and ones, with Wilson's interval by Student's t."""
        p = min(float(self.weights @ values), 1.0)
        if math.isinf(self.t):
            return Estimate(p, 0.0, 1.0)
        square = self.t**2 / self.n
        middle = (p + square / 2) / (1 + square)
        width = math.sqrt(square * (p * (1 - p) + square / 4)) / (1 + square)
        return Estimate(p, max(min(middle - width, p), 0.0), min(max(middle + width, p), 1.0))

    def ratio(self, above: Floats, below: Floats) -> Estimate | None:
        """Return the ratio of two means, with Fieller's interval; None if the lower one is hardly above 0.

        If a few questions decide how the two differ, the interval is open on their side.
        """
        a, b = float(self.weights @ above), float(self.weights @ below)
        spread = self.variance(below)
        if math.isinf(self.t) or b <= 1e-12 or b <= self.t * math.sqrt(spread):
            return None
        # All r with (a − r·b)² ≤ t²·var(above − r·below): between the roots of a quadratic that opens upwards.
        square = self.t**2
        both = (self.variance(above + below) - self.variance(above) - spread) / 2
        p, q, r = b * b - square * spread, a * b - square * both, a * a - square * self.variance(above)
        width = math.sqrt(max(q * q - p * r, 0.0))
        low, high = (q - width) / p, (q + width) / p
        # The part that few questions decide may lie further on their side, so the interval is open there.
        skew = self.skewness(above - a / b * below)
        if not self.n >= EVEN * skew**2:
            low, high = low if skew > 0 else -math.inf, high if skew < 0 else math.inf
        return Estimate(a / b, low, high)

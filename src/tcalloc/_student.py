"""Student's t in 20 lines, so that intervals need only NumPy (SciPy is no dependency of the core)."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVEL", "beyond", "quantile"]

Floats = NDArray[np.float64]

# The confidence level of all intervals.
LEVEL = 0.95


def beyond(t: float, df: float) -> float:
    """Return the probability that Student's |t| exceeds t ≥ 0.

    With T = √df·tan θ the density is proportional to cos^(df−1) θ. Its integral from θ to π/2 is computed by
    Gauss–Legendre quadrature. From df = 1,000 on, the normal distribution is used.
    """
    if not df < 1000:
        return math.erfc(t / math.sqrt(2))
    start = math.atan(t / math.sqrt(df))
    nodes, weights = _gauss()
    half = (math.pi / 2 - start) / 2
    part = half * float(weights @ np.cos(start + half * (nodes + 1)) ** (df - 1))
    whole = math.exp(math.lgamma(df / 2) - math.lgamma((df + 1) / 2)) * math.sqrt(math.pi) / 2
    return min(part / whole, 1.0)


@cache
def _gauss() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return nodes, weights


@cache
def quantile(df: float, level: float = LEVEL) -> float:
    """Return the t that Student's |t| exceeds with probability 1 − level."""
    low, high = 0.0, 1.0
    while beyond(high, df) > 1 - level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle, df) > 1 - level else (low, middle)
    return low

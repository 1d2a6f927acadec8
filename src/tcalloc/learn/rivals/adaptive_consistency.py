"""Adaptive-Consistency (Aggarwal, Madaan, Yang and Mausam 2023, arXiv 2305.11860): stop when the majority is stable.

After each sample: how likely is it, given the counts and a uniform prior, that the leading answer is the most probable
one? Stop when this probability reaches a threshold (0.95 in the paper) or at the cap (40 in the paper).

- Beta criterion: P(p > ½) with p ~ Beta(c₁ + 1, c₂ + 1), from the two leading answers alone. For whole counts that is a
  binomial tail, P(Binomial(c₁ + c₂ + 1, ½) ≤ c₁).
- Dirichlet criterion: P(p₁ is the largest) with p ~ Dirichlet(c₁ + 1, …, c_m + 1) over the m answers seen. Only the
  five most frequent count; with fewer than three answers it is the Beta criterion. Written with independent gamma
  variables it is one integral, ∫ g(x; c₁ + 1) Π_j G(x; c_j + 1) dx. It replaces the authors' Monte Carlo estimate.

A sample without an answer does not vote (in the authors' package it counts as an answer like any other).
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import number, one_of
from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["AdaptiveConsistency", "beta_criterion", "dirichlet_criterion"]

Floats = NDArray[np.float64]
CRITERIA = ("beta", "dirichlet")
PER_PANEL = 16


def beta_criterion(first: NDArray[np.int64], second: NDArray[np.int64]) -> Floats:
    """Return P(p > ½) with p ~ Beta(first + 1, second + 1), for whole numbers, elementwise."""
    most = int(max((first + second).max(initial=0), 0)) + 2
    table = np.full((most, most), np.nan)
    for total in range(1, most):  # first + second + 1
        chances = np.array([math.comb(total, j) / 2**total for j in range(total)])
        table[total - 1, :total] = np.minimum(np.cumsum(chances), 1.0)
    return np.asarray(table[first + second, first])


def dirichlet_criterion(counts: NDArray[np.int64]) -> Floats:
    """Return P(p₁ is the largest) with p ~ Dirichlet(counts + 1) over the counts above 0, the first being the largest.

    Parameters
    ----------
    counts : ndarray of int, (M, m)
        Counts of the answers, descending.
    """
    rows, which = np.unique(counts, axis=0, return_inverse=True)
    weights, density, below = _gammas(int(rows.max(initial=0)))
    result = np.empty(len(rows))
    few = (rows > 0).sum(axis=1) < 3
    result[few] = beta_criterion(rows[few, 0], rows[few, 1])
    for start in range(0, len(rows), 2048):
        some = np.flatnonzero(~few[start : start + 2048]) + start
        inside = density[rows[some, 0]] * weights
        for column in range(1, rows.shape[1]):
            inside *= np.where(rows[some, column, None] > 0, below[rows[some, column]], 1.0)
        result[some] = inside.sum(axis=1)
    return np.clip(result, 0.0, 1.0)[which.reshape(-1)]


@lru_cache(maxsize=4)
def _gammas(most: int) -> tuple[Floats, Floats, Floats]:
    """Return a quadrature's weights, and g(x; c + 1) and G(x; c + 1) at its nodes for c = 0 … most."""
    nodes, weights = np.polynomial.legendre.leggauss(PER_PANEL)
    # A gamma variable of shape c + 1 exceeds this with probability below 1e-20.
    end = most + 1 + 10 * math.sqrt(most + 1) + 40
    edges = np.linspace(0.0, end, max(8, math.ceil(end / 2)) + 1)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    x = (middle[:, None] + half[:, None] * nodes).ravel()
    density = np.empty((most + 1, len(x)))
    for c in range(most + 1):
        density[c] = np.exp(c * np.log(x) - x - math.lgamma(c + 1))
    # The probability of more than c events at rate x.
    below = np.clip(1.0 - np.cumsum(density, axis=0), 0.0, 1.0)
    return (half[:, None] * weights).ravel(), density, below


@dataclass(frozen=True, slots=True)
class AdaptiveConsistency(Counting):
    """Sample until the majority is stable with some confidence.

    Parameters
    ----------
    confident : float
        The confidence at which it stops; with 1 it never does.
    cap : int
        The largest number of samples.
    criterion : str
        "beta" or "dirichlet".
    action : Action
        The model to sample from.

    Examples
    --------
    Three equal answers give a confidence of 0.94, four give 0.97:

    >>> import numpy as np
    >>> from tcalloc.learn.rivals.adaptive_consistency import beta_criterion
    >>> beta_criterion(np.array([3, 4]), np.array([0, 0])).round(2).tolist()
    [0.94, 0.97]
    """

    confident: float = 0.95
    cap: int = 40
    criterion: str = "beta"
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self)
        object.__setattr__(self, "confident", number("confident", self.confident, 0.0, 1.0, ends=True))
        one_of("criterion", self.criterion, CRITERIA)

    @property
    def threshold(self) -> float:
        """The confidence at which it stops."""
        return self.confident

    @property
    def key(self) -> Hashable:
        """One measure for all confidences."""
        return self.criterion

    def measure(self, states: States) -> Floats:
        """Return the probability that the leader is the most probable answer; 0 before any answer.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        counts = states.counts
        sure = beta_criterion(counts[:, 0], counts[:, 1]) if self.criterion == "beta" else dirichlet_criterion(counts)
        return np.where(states.voted > 0, sure, 0.0)

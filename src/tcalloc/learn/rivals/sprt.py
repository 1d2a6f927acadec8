"""SPRT, the sequential probability ratio test of ConSol (Lee et al. 2025, arXiv 2503.17587).

The two leading answers are compared as in Wald's test. H₀: each new vote for one of them goes to either with chance ½.
H₁: it goes to the leader with chance p₁ > ½. After each batch the log-likelihood ratio

    L = c₁·ln(p₁/½) + c₂·ln((1 − p₁)/½)

is compared with two bounds. At A = ln((1 − β)/α), H₁ is accepted: the leader is the answer. At B = ln(β/(1 − α)), H₀ is
accepted: the two answers do not differ, and more samples would not help. Both stop. As in the authors' package, a batch
is the smallest one that can stop. Here it also considers B, so that it stops where single samples would stop.

Wald's bounds on the errors hold for two answers that are fixed beforehand. Here the data choose the two leading
answers, so α and β are free parameters, as they are in the paper (p₁ = 0.5001, α = 0.05, β = 0.949976).
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import number
from tcalloc.errors import InputError
from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["SPRT"]

# A difference of sums of logarithms below this is a rounding error.
SLACK = 1e-12


@dataclass(frozen=True, slots=True)
class SPRT(Counting):
    """Sample until the leader is accepted, or until it is accepted that the two leading answers do not differ.

    Parameters
    ----------
    p1 : float
        The leader's share under H₁, above ½.
    alpha : float
        Probability of accepting H₁ although H₀ holds.
    beta : float
        Probability of accepting H₀ although H₁ holds. The sum of the two must be below 1.
    cap : int
        The largest number of samples (256 in the authors' package).
    action : Action
        The model to sample from.
    """

    p1: float = 0.5001
    alpha: float = 0.05
    beta: float = 0.949976
    cap: int = 40
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self)
        for name, low, high in (("p1", 0.5, 1.0), ("alpha", 0.0, 1.0), ("beta", 0.0, 1.0)):
            object.__setattr__(self, name, number(name, getattr(self, name), low, high))
        if self.alpha + self.beta >= 1:
            raise InputError(
                f"alpha + beta is {self.alpha + self.beta:g}; expected less than 1, or the bounds cross. "
                "Use smaller errors."
            )

    @property
    def key(self) -> Hashable:
        """One measure per setting."""
        return self.p1, self.alpha, self.beta

    @property
    def bounds(self) -> tuple[float, float]:
        """B and A: a ratio of B or less accepts H₀, a ratio of A or more accepts H₁."""
        return math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)

    def ratio(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log-likelihood ratio L.

        Parameters
        ----------
        first, second : ndarray of int
            Votes for the two leading answers.
        """
        up, down = math.log(2 * self.p1), math.log(2 * (1 - self.p1))
        return first * up + second * down

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return 1 if one of the two is accepted; never before any answer.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        low, high = self.bounds
        found = self.ratio(states.counts[:, 0], states.counts[:, 1])
        return (((found >= high - SLACK) | (found <= low + SLACK)) & (states.voted > 0)).astype(np.float64)

    def batch(self, states: States) -> NDArray[np.int64]:
        """Return the smallest number of votes after which it could stop.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        low, high = self.bounds
        found = self.ratio(states.counts[:, 0], states.counts[:, 1])
        up = np.ceil((high - SLACK - found) / math.log(2 * self.p1))
        # Downwards each vote for the second counts. It has to catch up before another answer can count.
        down = np.ceil((found - low - SLACK) / -math.log(2 * (1 - self.p1)))
        return np.maximum(np.minimum(up, down), 1).astype(np.int64)

"""Margin + cap: stop when the leader is m votes ahead, or at the cap.

It has the form of a sequential test between two answers, without its theory. If wrong answers differ from each other,
it comes close to optimal stopping.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["MarginCap"]


@dataclass(frozen=True, slots=True)
class MarginCap(Counting):
    """Sample until c₁ − c₂ ≥ m or n = cap.

    Parameters
    ----------
    margin : int
        The lead m in votes at which it stops.
    cap : int
        The largest number of samples.
    action : Action
        The model to sample from.
    """

    margin: int = 3
    cap: int = 40
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self)
        object.__setattr__(self, "margin", whole("margin", self.margin, 1))

    @property
    def threshold(self) -> float:
        """The margin."""
        return float(self.margin)

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return c₁ − c₂.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return (states.counts[:, 0] - states.counts[:, 1]).astype(np.float64)

    def batch(self, states: States) -> NDArray[np.int64]:
        """Return how many votes the leader lacks; the rule cannot stop earlier.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return np.asarray(np.maximum(self.margin - (states.counts[:, 0] - states.counts[:, 1]), 1))

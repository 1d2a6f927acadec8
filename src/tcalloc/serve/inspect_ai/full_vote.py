"""The rule without a policy: a vote over all epochs, which ends as soon as the others cannot change its answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["FullVote"]


@dataclass(frozen=True, slots=True)
class FullVote(Counting):
    """Sample until the leader's lead is larger than the number of samples that are left: c₁ − c₂ > cap − n.

    Its answer is always that of the vote over all samples.

    Parameters
    ----------
    cap : int
        Samples of the whole vote.
    action : Action
        The model to sample from.
    """

    cap: int = 8
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self)

    @property
    def threshold(self) -> float:
        """By how much the lead must be larger."""
        return 1.0

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return c₁ − c₂ − (cap − n) of M runs."""
        return self._lead(states) - (self.cap - states.n).astype(np.float64)

    def batch(self, states: States) -> NDArray[np.int64]:
        """Return how many samples each of M runs needs at least; the rule cannot stop earlier."""
        return np.asarray((self.cap - states.n - self._lead(states)) // 2 + 1, np.int64)

    @staticmethod
    def _lead(states: States) -> NDArray[np.float64]:
        return (states.counts[:, 0] - states.counts[:, 1]).astype(np.float64)

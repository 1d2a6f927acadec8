"""The probability that an answer is right, by its votes; learned from samples that are marked right or wrong.

What to use when
----------------
`Belief.fit`
    From recorded runs: how often the leading answer was right, by samples and the two highest counts of votes.
`Belief.at`
    That share in some states.
`levelled`
    The same for the runs that a rule stops in a state, which are not all runs that pass through it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.sequential.states.simulated_runs import Drawn, SimulatedRuns

__all__ = ["Belief", "levelled"]

Floats = NDArray[np.float64]

# Weight, in questions, by which a state is shrunk to its margin, and a margin to all states after as many samples.
PSEUDO = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """The share of right answers in each state."""

    share: Floats
    """(nodes, votes + 1, votes//2 + 1) by samples of each model, and by the two highest counts."""
    caps: Drawn
    """The most samples of each model; nodes are in the order of their numbers of samples."""

    @classmethod
    def fit(cls, simulated: SimulatedRuns, caps: Drawn) -> "Belief":
        """Count how often the answer was right along recorded runs.

        Parameters
        ----------
        simulated : SimulatedRuns
            The runs; all runs of one question count as one question.
        caps : tuple of int
            The number of samples of each model up to which states are distinguished.
        """
        most = sum(caps)
        first, second = np.ogrid[: most + 1, : most // 2 + 1]
        margin = np.maximum(first - second, 0).ravel()
        nodes = list(product(*(range(cap + 1) for cap in caps)))
        share = np.zeros((len(nodes), most + 1, most // 2 + 1))
        for k, at in enumerate(nodes):
            node = simulated.nodes[at]
            there = simulated.there(at)
            place = (node.first[there].astype(np.intp) * (most // 2 + 1)) + node.second[there]
            mass = np.bincount(place, minlength=share[k].size) / simulated.orders
            right = np.bincount(place, node.score[there], share[k].size) / simulated.orders
            level = right.sum() / mass.sum() if mass.sum() else 0.0
            by = (np.bincount(margin, right) + PSEUDO * level) / (np.bincount(margin, mass) + PSEUDO)
            share[k] = ((right + PSEUDO * by[margin]) / (mass + PSEUDO)).reshape(share[k].shape)
        return cls(share, caps)

    def at(self, drawn: Sequence[int], first: Any, second: Any) -> Floats:
        """Return the share of right answers after `drawn` samples of each model, by the two highest counts, (M,)."""
        node = np.ravel_multi_index([min(n, cap) for n, cap in zip(drawn, self.caps, strict=True)],
                                    [cap + 1 for cap in self.caps])  # fmt: skip
        rows, columns = self.share.shape[1:]
        return np.asarray(self.share[node, np.minimum(first, rows - 1), np.minimum(second, columns - 1)])

    def along(self, simulated: SimulatedRuns) -> SimulatedRuns:
        """Return the runs, with the belief in each state as its score."""
        nodes = {at: replace(node, score=self.at(at, node.first, node.second).astype(np.float32))
                 for at, node in simulated.nodes.items()}  # fmt: skip
        return replace(simulated, nodes=nodes)


def levelled(share: Any, believed: Any, reached: Any) -> Floats:
    """Return shares, adjusted so that their mean is the accuracy reached.

    Parameters
    ----------
    share : float or ndarray
        The belief in some states.
    believed, reached : float
        The mean belief where a rule stopped, and the accuracy that it reached while questions were held out.

    Returns
    -------
    ndarray
        In [0, 1], in the same order. If shares are too high on average, they are scaled down. If they are too low, the
        probabilities of being wrong are scaled down.
    """
    share = np.asarray(share, np.float64)
    if reached <= believed:
        return np.asarray(share * (reached / believed if believed > 0 else 1.0))
    return np.asarray(1.0 - (1.0 - share) * ((1.0 - reached) / (1.0 - believed)))

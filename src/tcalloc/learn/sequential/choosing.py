"""Which family of rules to use at a budget: judged on questions that it was not trained on.

What to use when
----------------
`Candidate`
    A family, fitted, with what its rules did on the training questions while those were held out.
`Choices`
    From candidates to the mixture of two neighbouring rules that spends a budget.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.folds import Frontier
from tcalloc.learn.sequential.rules import Family, Outcomes

__all__ = ["Candidate", "Choices", "Mixture"]

Floats = NDArray[np.float64]

# Rules that read more than counts take the place of the best rules of counts where their gain exceeds so many standard
# errors. Rules of counts are chosen among by their means alone: they differ by little, and none can be far off.
GATE = 1.0
# Budgets of the printed frontier.
STEPS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A family and how it did."""

    name: str
    family: Family
    inner: Outcomes
    """(J, N) on the training questions, each while it was held out."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Two neighbouring rules of one family."""

    candidate: int
    """Which family."""
    low: int
    """The cheaper rule."""
    high: int
    """The dearer one."""
    share: float
    """How often the dearer one is used."""


class Choices:
    """The candidates and their hulls.

    Parameters
    ----------
    candidates : list of Candidate
        The first, or the best that looks at counts alone, is used unless another is clearly better.
    round_cost : float
        What a round costs besides its samples: it is no part of the spend, but counts where families are compared.
    """

    def __init__(self, candidates: list[Candidate], round_cost: float = 0.0):
        self.candidates, self.round_cost = candidates, round_cost
        self.hulls = [Frontier.of(c.inner.spend.mean(axis=1), c.inner.accuracy.mean(axis=1)) for c in candidates]

    @property
    def most(self) -> float:
        """The largest spend that any family finds a use for."""
        return max(float(hull.spend[-1]) for hull in self.hulls)

    def at(self, budget: float) -> Mixture:
        """Return the mixture for a budget."""
        found = [Mixture(i, *hull.mix(budget)) for i, hull in enumerate(self.hulls)]
        own = [self.expected(mixture, "accuracy") for mixture in found]
        if self.round_cost:
            charge = self.hulls[0].slope(budget) * self.round_cost
            own = [score - charge * self.expected(m, "rounds") for score, m in zip(own, found, strict=True)]
        level = [i for i, c in enumerate(self.candidates) if i == 0 or c.family.blind]
        base = max(level, key=lambda i: float(own[i].mean()))
        best, most = base, 0.0
        for i in range(len(found)):
            if i in level:
                continue
            gain = own[i] - own[base]
            mean, n = float(gain.mean()), len(gain)
            error = float(gain.std(ddof=1)) / np.sqrt(n) if n > 1 else np.inf
            if mean > GATE * error and mean > most:
                best, most = i, mean
        return found[best]

    def expected(self, mixture: Mixture, what: str = "accuracy") -> Floats:
        """Return "accuracy", "spend" or "rounds" of a mixture on each training question while held out, (N,)."""
        values = getattr(self.candidates[mixture.candidate].inner, what)
        return np.asarray((1 - mixture.share) * values[mixture.low] + mixture.share * values[mixture.high])

    def budgets(self) -> Floats:
        """Return budgets from the smallest to the largest use, closer together where they are small."""
        smallest = min(float(s) for hull in self.hulls for s in hull.spend if s > 0) if self.most > 0 else 0.0
        if self.most <= 0:
            return np.zeros(1)
        low = np.linspace(0.0, smallest, 9)[1:-1]
        grid = np.geomspace(smallest, max(self.most, smallest), STEPS)
        # With every corner of the hulls among them, mixing two neighbours never cuts one off.
        corners = np.concatenate([hull.spend[hull.spend > 0] for hull in self.hulls])
        return np.unique(np.concatenate([low, grid, corners]))

    def replayed(self, mixture: Mixture, outcomes: dict[int, tuple[Any, Outcomes]]) -> Outcomes:
        """Return what a mixture does, from outcomes of the rules that are used (numbers, outcomes) by candidate."""
        numbers, done = outcomes[mixture.candidate]
        low, high = np.searchsorted(numbers, [mixture.low, mixture.high])
        parts = [(1 - mixture.share) * values[low] + mixture.share * values[high]
                 for values in (done.spend, done.accuracy, done.rounds)]  # fmt: skip
        return Outcomes(*parts)

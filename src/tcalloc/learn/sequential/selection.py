"""Which family of rules to use at a budget: judged on questions that it was not trained on.

What to use when
----------------
`Candidate`
    A family, fitted, with what its rules did on the training questions while those were held out.
`Choices`
    From candidates to the mixture of two neighbouring rules that spends a budget.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.sequential.rules.families import Family, Outcomes

__all__ = ["Candidate", "Choices", "Mixture"]

Floats = NDArray[np.float64]

# Rules of counts are chosen among by their means: they differ by little, and none can be far off. Rules that read more
# have to be better than the best of them by so many standard errors at some budget …
PROOF = 2.5
# … and are then used wherever they are better by so many. One gate for both lets noise in, or keeps gains out.
HERE = 0.75
# Gains below are rounding.
LEAST_GAIN = 1e-9
# Budgets of the printed frontier.
STEPS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A family and how it did."""

    name: str
    family: Family
    inner: Outcomes
    """(J, N) on the training questions, each while it was held out."""

    believed: Floats | None = None
    """(J,) the mean belief in its answers, of the rules on the hull (`belief`); None: not known, or a verifier's."""
    nested: Outcomes | None = None
    """(J, N) as `inner`, where predictions from texts were also learned without the question that they are for. It is
    what may be claimed; None: `inner` needs no such predictions."""

    @property
    def claimed(self) -> Outcomes:
        """(J, N) what may be claimed of its rules on each question."""
        return self.inner if self.nested is None else self.nested

    def take(self, rows: NDArray[np.intp]) -> "Candidate":
        """Return it with what it did on some of the questions."""
        nested = None if self.nested is None else self.nested.of(rows)
        return replace(self, inner=self.inner.of(rows), believed=None, nested=nested)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Two neighbouring rules of one family."""

    candidate: int
    """Which family."""
    low: int
    """The cheaper rule."""
    high: int
    """The more expensive one."""
    share: float
    """How often the more expensive one is used."""
    limit: float | None = None
    """The most that a question may cost, where a guarantee limits it."""


class Choices:
    """The candidates and their hulls.

    Parameters
    ----------
    candidates : list of Candidate
        The first, or the best that looks at counts alone, is used unless another has proven to be better.
    sample : float
        What a sample of the cheapest model costs.
    round_cost : float
        What a round costs besides its samples: it is no part of the spend, but counts where families are compared.
    """

    def __init__(self, candidates: list[Candidate], sample: float, round_cost: float = 0.0):
        self.candidates, self.sample, self.round_cost = candidates, sample, round_cost
        self.hulls = [Frontier.of(c.inner.spend.mean(axis=1), c.inner.accuracy.mean(axis=1)) for c in candidates]
        self.level = [i for i, c in enumerate(candidates) if i == 0 or c.family.blind]
        self.proven = self._proven()

    @property
    def most(self) -> float:
        """The largest spend that any family finds a use for."""
        return max(float(hull.spend[-1]) for hull in self.hulls)

    def at(self, budget: float) -> Mixture:
        """Return the mixture for a budget."""
        return self.mixtures(np.array([budget]))[0]

    def mixtures(self, budgets: Floats) -> list[Mixture]:
        """Return the mixture for each budget.

        A larger budget never takes rules that were less accurate than those of a smaller budget: it then spends less.
        """
        picked = self._picked(np.asarray(budgets, np.float64))
        for b, budget in enumerate(np.asarray(budgets).tolist()):
            accuracy = float(self.expected(picked[b]).mean())
            cheaper = np.searchsorted(self._steps[0], budget, "right")
            if cheaper:
                best = int(np.argmax(self._steps[2][:cheaper]))
                if self._steps[2][best] > accuracy + LEAST_GAIN:
                    picked[b] = self._steps[1][best]
        return picked

    @cached_property
    def _steps(self) -> tuple[Floats, list[Mixture], Floats]:
        """The budgets of the frontier, what is picked for each, and how accurate that was."""
        budgets = self.budgets()
        picked = self._picked(budgets)
        return budgets, picked, np.array([self.expected(mixture).mean() for mixture in picked])

    def _picked(self, budgets: Floats) -> list[Mixture]:
        """Return the best mixture for each budget, whatever smaller budgets have."""
        found, scores = self._compared(budgets)
        picked = []
        for b, budget in enumerate(budgets.tolist()):
            here = [score[b] for score in scores]
            base = self._best(self.level, here)
            better = [i for i in self.proven[budget > self.sample] if _clear(here[i] - here[base], HERE)]
            picked.append(found[self._best([base, *better], here)][b])
        return picked

    def _compared(self, budgets: Floats) -> tuple[list[list[Mixture]], list[Floats]]:
        """Return each family's mixtures for the budgets, and their accuracy less what rounds cost, (B, N) each."""
        found = [[Mixture(i, *hull.mix(b)) for b in budgets.tolist()] for i, hull in enumerate(self.hulls)]
        scores = [self.mixed(mixtures, "accuracy") for mixtures in found]
        if self.round_cost:
            charge = self.round_cost * np.array([self.hulls[0].slope(b) for b in budgets.tolist()])[:, None]
            scores = [score - charge * self.mixed(m, "rounds") for score, m in zip(scores, found, strict=True)]
        return found, scores

    def _best(self, some: list[int], scores: list[Floats]) -> int:
        """Return the best of some families; the first of them if none is better."""
        means = [float(scores[i].mean()) for i in some]
        best = 0
        for i in range(1, len(some)):
            if means[i] - means[best] > LEAST_GAIN:
                best = i
        return some[best]

    def _proven(self) -> tuple[list[int], list[int]]:
        """Return the families that read more and are clearly better somewhere: below one sample each, and above.

        Below, what counts is which questions to try at all, above, when to stop: who knows the one need not know the
        other.
        """
        others = [i for i in range(len(self.candidates)) if i not in self.level]
        proven: tuple[set[int], set[int]] = (set(), set())
        budgets = self.budgets() if others else np.zeros(0)
        scores = self._compared(budgets)[1] if others else []
        for b, budget in enumerate(budgets.tolist()):
            here = [score[b] for score in scores]
            base = self._best(self.level, here)
            for i in others:
                if _clear(here[i] - here[base], PROOF):
                    proven[budget > self.sample].add(i)
        return sorted(proven[0]), sorted(proven[1])

    def mixed(self, mixtures: list[Mixture], what: str = "accuracy", of: str = "inner") -> Floats:
        """Return "accuracy", "spend" or "rounds" of mixtures on each training question while held out, (B, N)."""
        return np.stack([self.expected(mixture, what, of) for mixture in mixtures])

    def expected(self, mixture: Mixture, what: str = "accuracy", of: str = "inner") -> Floats:
        """Return "accuracy", "spend" or "rounds" of a mixture on each training question while held out, (N,).

        Parameters
        ----------
        mixture : Mixture
            Two rules of a candidate.
        what : {"accuracy", "spend", "rounds"}
            Of which figure.
        of : {"inner", "claimed"}
            What rules are chosen by, or what may be claimed of them (see `Candidate`).
        """
        values = getattr(getattr(self.candidates[mixture.candidate], of), what)
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


def _clear(gain: Floats, errors: float) -> bool:
    """Return whether a mean gain exceeds so many of its standard errors."""
    error = float(gain.std(ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else np.inf
    return float(gain.mean()) > max(errors * error, LEAST_GAIN)

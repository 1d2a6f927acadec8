"""The choice of a family of rules at a budget, judged on questions that it was not trained on.

What to use when
----------------
`Candidate`
    A fitted family, with the figures of its rules on the training questions while those were held out.
`Choices`
    Chooses among candidates the mixture of two neighbouring rules that spends a budget.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.holdout.folds import Frontier, mixed
from tcalloc.learn.sequential.rules.families import Family, Outcomes

__all__ = ["Candidate", "Choices", "Mixture"]

Floats = NDArray[np.float64]

# Rules of counts are chosen by their means, because they differ little and none can be far off. Rules that read more
# have to be better than the best of them by this many standard errors at some budget …
PROOF = 2.5
# … and are then used wherever they are better by this many. One gate for both lets noise in, or keeps gains out.
HERE = 0.75
# Gains below this are rounding errors.
LEAST_GAIN = 1e-9
# Number of budgets of the printed frontier.
STEPS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A family of rules and its figures."""

    name: str
    family: Family
    inner: Outcomes
    """(J, N) figures on the training questions, each while it was held out."""

    believed: Floats | None = None
    """(J,) mean belief in the answers of the rules on the hull (`belief`); None: not known, or a verifier decides."""
    nested: Outcomes | None = None
    """(J, N) as `inner`, but predictions from texts are also learned without their own question. These figures may be
    claimed; None: `inner` needs no such predictions."""

    @property
    def claimed(self) -> Outcomes:
        """(J, N) the figures that may be claimed for its rules on each question."""
        return self.inner if self.nested is None else self.nested

    def take(self, rows: NDArray[np.intp]) -> "Candidate":
        """Return the candidate with its figures on some of the questions."""
        nested = None if self.nested is None else self.nested.of(rows)
        return replace(self, inner=self.inner.of(rows), believed=None, nested=nested)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Two neighbouring rules of one family."""

    candidate: int
    """The number of the family."""
    low: int
    """The cheaper rule."""
    high: int
    """The more expensive one."""
    share: float
    """The share of the more expensive rule."""
    limit: float | None = None
    """The most that a question may cost, if a guarantee limits it."""


class Choices:
    """The candidates and their hulls.

    Parameters
    ----------
    candidates : list of Candidate
        The first one, or the best that looks at counts only, is used unless another has proven to be better.
    sample : float
        The cost of a first draw of one sample of the cheapest model.
    """

    def __init__(self, candidates: list[Candidate], sample: float):
        self.candidates, self.sample = candidates, sample
        self.hulls = [Frontier.of(c.inner.spend.mean(axis=1), c.inner.accuracy.mean(axis=1)) for c in candidates]
        self.level = [i for i, c in enumerate(candidates) if i == 0 or c.family.blind]
        self.others = [i for i in range(len(candidates)) if i not in self.level]

    def at(self, budget: float) -> Mixture:
        """Return the mixture for a budget."""
        return self.mixtures(np.array([budget]))[0]

    def mixtures(self, budgets: Floats) -> list[Mixture]:
        """Return the mixture for each budget.

        A larger budget never takes rules that were less accurate than those of a smaller budget: it then spends less.
        """
        asked = np.asarray(budgets, np.float64)
        own = self._own
        if np.array_equal(asked, own.budgets):
            picked = list(own.picked)
        else:
            picked = self._chosen(asked, *self._compared(asked), own.proven)
        accuracy = self.mixed(picked).mean(axis=1)
        cheaper = np.searchsorted(own.budgets, asked, "right")
        for b in np.flatnonzero(cheaper).tolist():
            best = own.best[cheaper[b] - 1]
            if own.accuracy[best] > accuracy[b] + LEAST_GAIN:
                picked[b] = own.picked[best]
        return picked

    @cached_property
    def _own(self) -> "_Own":
        """What is chosen at the budgets of the frontier."""
        budgets = self.budgets()
        mixtures, scores = self._compared(budgets)
        proven = self._proven(budgets, scores)
        picked = self._chosen(budgets, mixtures, scores, proven)
        accuracy = self.mixed(picked).mean(axis=1)
        record = np.append(True, accuracy[1:] > np.maximum.accumulate(accuracy)[:-1])
        best = np.maximum.accumulate(np.where(record, np.arange(len(budgets)), 0))
        return _Own(budgets, picked, accuracy, best, proven)

    def _chosen(self, budgets: Floats, mixtures: list[Any], scores: list[Floats], proven: Any) -> list[Mixture]:
        """Return the best of the families' mixtures for each budget, whatever smaller budgets have."""
        means = [score.mean(axis=1) for score in scores]
        base = _best(self.level, means)
        reference, best = _rows(scores, base), base.copy()
        above = (budgets > self.sample).astype(int)
        for i in self.others:
            able = proven[above, i] & _clear(scores[i] - reference, HERE)
            best[able & _exceeds(means, i, best)] = i
        found = []
        for b, i in enumerate(best.tolist()):
            low, high, share = (part[b].item() for part in mixtures[i])
            found.append(Mixture(i, low, high, share))
        return found

    def _compared(self, budgets: Floats) -> tuple[list[Any], list[Floats]]:
        """Return each family's mixtures for the budgets, and their accuracy, (B, N) each."""
        mixed = [hull.mix_each(budgets) for hull in self.hulls]
        return mixed, [self._means(i, *parts) for i, parts in enumerate(mixed)]

    def _proven(self, budgets: Floats, scores: list[Floats]) -> NDArray[np.bool_]:
        """Return which families read more and are clearly better somewhere: below one sample each, and above, (2, I).

        Below one sample each, the choice is which questions to try at all; above, it is when to stop. A family may be
        good at one and not at the other.
        """
        proven = np.zeros((2, len(self.candidates)), bool)
        if self.others:
            reference = _rows(scores, _best(self.level, [score.mean(axis=1) for score in scores]))
            above = budgets > self.sample
            for i in self.others:
                clear = _clear(scores[i] - reference, PROOF)
                proven[:, i] = (clear & ~above).any(), (clear & above).any()
        return proven

    def mixed(self, mixtures: list[Mixture], what: str = "accuracy", of: str = "inner") -> Floats:
        """Return a figure of mixtures on each training question while held out, (B, N).

        Parameters
        ----------
        mixtures : list of Mixture
            Each of two rules of a candidate.
        what : {"accuracy", "spend", "rounds"}
            The figure to return.
        of : {"inner", "claimed"}
            The figures that choose the rules, or those that may be claimed (see `Candidate`).
        """
        parts = []
        for i in sorted({mixture.candidate for mixture in mixtures}):
            rows = [b for b, mixture in enumerate(mixtures) if mixture.candidate == i]
            low, high = (np.array([getattr(mixtures[b], end) for b in rows]) for end in ("low", "high"))
            share = np.array([mixtures[b].share for b in rows])
            parts.append((rows, self._means(i, low, high, share, what, of)))
        found = np.empty((len(mixtures), parts[0][1].shape[1]), parts[0][1].dtype)
        for rows, part in parts:
            found[rows] = part
        return found

    def _means(self, candidate: int, low: Any, high: Any, share: Any, what: str = "accuracy", of: str = "inner") -> Any:
        """Return what `mixed` returns, of mixtures of one candidate."""
        values = getattr(getattr(self.candidates[candidate], of), what)
        return mixed(values, low, high, share)

    def budgets(self) -> Floats:
        """Return budgets from the smallest to the largest useful one, closer together where they are small."""
        most = max(float(hull.spend[-1]) for hull in self.hulls)
        if most <= 0:
            return np.zeros(1)
        smallest = min(float(s) for hull in self.hulls for s in hull.spend if s > 0)
        low = np.linspace(0.0, smallest, 9)[1:-1]
        grid = np.geomspace(smallest, most, STEPS)
        # They include every corner of the hulls, so mixing two neighbours never cuts a corner off.
        corners = np.concatenate([hull.spend[hull.spend > 0] for hull in self.hulls])
        return np.unique(np.concatenate([low, grid, corners]))

    def replayed(self, mixture: Mixture, outcomes: dict[int, tuple[Any, Outcomes]]) -> Outcomes:
        """Return the figures of a mixture, from outcomes of the rules in use (numbers, outcomes) by candidate."""
        numbers, done = outcomes[mixture.candidate]
        low, high = np.searchsorted(numbers, [mixture.low, mixture.high])
        parts = [(1 - mixture.share) * values[low] + mixture.share * values[high]
                 for values in (done.spend, done.accuracy, done.rounds)]  # fmt: skip
        return Outcomes(*parts)


@dataclass(frozen=True, slots=True)
class _Own:
    """What `Choices` takes at its own budgets."""

    budgets: Floats
    picked: list[Mixture]
    """For each budget, whatever smaller ones have."""
    accuracy: Floats
    """Accuracy of each of them."""
    best: NDArray[np.intp]
    """The most accurate up to each budget; the first of equals."""
    proven: NDArray[np.bool_]
    """(2, I) which families have proven to be better: below one sample each, and above."""


def _best(some: list[int], means: list[Floats]) -> NDArray[np.intp]:
    """Return the best of some families at each budget; the first of them if none is better."""
    best = np.full(len(means[0]), some[0])
    for i in some[1:]:
        best[_exceeds(means, i, best)] = i
    return best


def _exceeds(means: list[Floats], i: int, best: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return at which budgets a family is better than the best so far."""
    return np.asarray(means[i] - np.choose(best, means) > LEAST_GAIN)


def _rows(scores: list[Floats], family: NDArray[np.intp]) -> Floats:
    """Return at each budget the scores of one of the families, (B, N)."""
    found = np.empty_like(scores[0])
    for i in np.unique(family).tolist():
        found[family == i] = scores[i][family == i]
    return found


def _clear(gain: Floats, errors: float) -> NDArray[np.bool_]:
    """Return where a mean gain exceeds so many of its standard errors; the gains of each budget are a row."""
    n = gain.shape[1]
    error = gain.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(gain), np.inf)
    return np.asarray(gain.mean(axis=1) > np.maximum(errors * error, LEAST_GAIN))

"""Which policies are better, and which one of equally good policies is recommended.

What to use when
----------------
`trusted`, `affords`, `shown`
    Whether a policy may be recommended at all, keeps a budget, and is shown to be better than the best fixed mixture.
`difference`
    Two policies at one budget, or over several, paired.
`leaders`
    The policies that may be recommended at each budget.
`chosen`, `chosen_at`
    The policy that is recommended for all budgets, and at one of them.

Many policies are often equally good: no test on these questions shows a difference, and which one happens to lead
depends on the random seed. The recommendation does not follow that. `tcalloc.learn.registry.PREFERENCE` is one order of
all policies, and the first one that is better than the mixture is the default. Another one is recommended only if it is
better than the default by 0.1 points, beyond a 95 % interval that is paired by question.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants import COUNTING
from tcalloc.evaluate.contestants.base import rounding
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.evaluate.statistics import dependence
from tcalloc.evaluate.thresholds import ALPHA, CLOSE, MARGIN, WINDOW, WORTH
from tcalloc.learn.registry import PREFERENCE, SUCCESS_STOP

__all__ = [
    "affords",
    "apart",
    "by_construction",
    "chosen",
    "chosen_at",
    "difference",
    "leaders",
    "learns",
    "likely",
    "shown",
    "trusted",
]

Floats = NDArray[np.float64]

# How marks begin that say that the policy may have seen the answers.
DOUBTFUL = ("suspicious", "not trained here")


def trusted(standing: Standing) -> bool:
    """Return whether a policy can be deployed, and nothing says that it saw the answers."""
    return standing.kind in ("policy", "own") and not any(mark.startswith(DOUBTFUL) for mark in standing.marks)


def affords(standing: Standing, budget: float, b: int) -> bool:
    """Return whether what it really spends at the b-th budget keeps it."""
    most = budget * (1 + CLOSE) + rounding([budget, *standing.spend])
    return bool(np.isfinite(standing.accuracy[b]) and standing.spend[b] <= most)


def shown(standing: Standing, b: int) -> bool:
    """Return whether it is shown to be better than the mixture at the same spend, after correction, by 0.05 points.

    The interval must exclude 0 and the corrected p be below 5 %: on few questions the two may differ.
    """
    return bool(standing.p[b] < ALPHA and standing.gain_low[b] > 0 and standing.gain[b] >= WORTH)


def likely(standing: Standing, b: int) -> bool:
    """Return whether the interval of its own gain excludes 0, before any correction for the number of policies."""
    return bool(standing.gain_low[b] > 0 and standing.gain[b] >= WORTH)


def by_construction(result: ComparisonFigures, standing: Standing) -> bool:
    """Return whether a policy needs no test: it stops at the first success, which a verifier recognises.

    It is right as often as the same number of samples drawn at once, and pays only for those up to the first success.
    """
    return result.verifier and standing.name == SUCCESS_STOP


def leaders(result: ComparisonFigures) -> list[list[Standing]]:
    """Return the policies that may be recommended at each budget, in the order of `PREFERENCE`.

    They are trusted, keep the budget, and are shown to be better than the mixture. A policy that spends less than the
    budget must still reach what the mixture reaches with all of it.
    """
    mixture = result[result.reference]
    found = []
    for b, budget in enumerate(result.budgets.tolist()):
        able = [
            standing
            for standing in result.standings
            if trusted(standing)
            and affords(standing, budget, b)
            and (shown(standing, b) or by_construction(result, standing))
            and not standing.accuracy[b] < mixture.accuracy[b] - (WORTH if by_construction(result, standing) else 0.0)
        ]
        found.append(preferred(able))
    return found


def preferred(standings: Sequence[Standing]) -> list[Standing]:
    """Return them in the order of recommendation among equally good ones; the user's own come last."""

    def place(standing: Standing) -> tuple[int, str]:
        known = standing.name in PREFERENCE
        return PREFERENCE.index(standing.name) if known else len(PREFERENCE), standing.name

    return sorted(standings, key=place)


def chosen(result: ComparisonFigures) -> Standing | None:
    """Return the policy that is recommended for all budgets; None: nothing is shown to be better than the mixture.

    The default is the first in `PREFERENCE` that gains over the mixture. Its own gain need not be shown: that of the
    best policy is, and no test shows a difference between the two. A later policy takes its place only if it is better
    over the budgets, beyond an interval that allows for the number of policies.
    """
    able = leaders(result)
    if not any(able):
        return None
    leading = {standing.name for row in able for standing in row}
    budgets = [b for b, row in enumerate(able) if row]

    def gains(standing: Standing) -> bool:
        kept = [b for b in budgets if affords(standing, float(result.budgets[b]), b)]
        return bool(kept) and float(np.mean([standing.gain[b] for b in kept])) >= WORTH

    candidates = [
        standing
        for standing in preferred(result.standings)
        if trusted(standing) and (standing.name in leading or gains(standing))
    ]
    found = candidates[0]
    for other in candidates[1:]:
        both = [b for b in budgets if affords(other, float(result.budgets[b]), b)]
        # At a budget that the default cannot keep, it is no alternative.
        both = [b for b in both if affords(found, float(result.budgets[b]), b)] or both
        if apart(other, found, both, len(candidates) - 1, result.folds):
            found = other
    return found


def chosen_at(result: ComparisonFigures, b: int, able: Sequence[Standing], overall: Standing | None) -> Standing | None:
    """Return the policy that is recommended at the b-th budget; None: the best fixed mixture.

    It is the one for all budgets (`overall`, of `chosen`), unless that cannot keep this budget or gains nothing there,
    or another one of those that are `able` (of `leaders`) is shown to be better than it there, allowing for the number
    of policies and budgets.
    """
    if not able:
        return None
    fits = overall is not None and affords(overall, float(result.budgets[b]), b)
    use = overall if fits and overall is not None and (overall in able or overall.gain[b] >= WORTH) else able[0]
    for other in able:
        if other is not use and apart(other, use, [b], max(1, len(able) - 1) * len(result.budgets), result.folds):
            use = other
    return use


def apart(one: Standing, other: Standing, budgets: Sequence[int], tests: int, folds: int) -> bool:
    """Return whether one is better than another over some budgets, beyond a 95 % interval for this many tests.

    The interval must lie above `MARGIN`. It holds for the policies as they were trained: with other folds, two rules
    that are nearly the same can differ by about that much.
    """
    mean, error = difference(one, other, budgets, folds)
    return mean - NormalDist().inv_cdf(1 - ALPHA / 2 / max(1, tests)) * error > MARGIN


def difference(one: Standing, other: Standing, budgets: int | Sequence[int], folds: int = 5) -> tuple[float, float]:
    """Return one policy's accuracy minus another's, and its standard error, paired by question.

    Both were brought to the same spend on these very questions, so accuracies are scored at that spend: minus slope
    times what the question spends above the mean (delta method). Where one does not reach the budget, they are compared
    as they are. Where one of them learns, the error is wider by what its folds have in common, as that of a gain is
    (`tcalloc.evaluate.statistics.dependence`). Of several budgets it is the mean.
    """
    places = [budgets] if isinstance(budgets, int) else list(budgets)
    gap = np.mean([_scores(one, b) - _scores(other, b) for b in places], axis=0)
    n = len(gap)
    mean = float(np.mean([one.accuracy[b] - other.accuracy[b] for b in places]))
    wider = dependence(folds, learns(one) or learns(other))
    return mean, wider * float(gap.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf


def learns(standing: Standing) -> bool:
    """Return whether a policy learns more from its training questions than which of its settings to use."""
    return standing.kind in ("policy", "own") and standing.name not in COUNTING


def _scores(standing: Standing, b: int) -> Floats:
    spend, accuracy = standing.question_spend[b], standing.question_accuracy[b]
    middle = float(spend.mean())
    if not standing.reached[b] or len(standing.curve_spend) < 2:
        return np.asarray(accuracy)
    ends = np.clip([middle * (1 - WINDOW), middle * (1 + WINDOW)], standing.curve_spend[0], standing.curve_spend[-1])
    rise = np.diff(np.interp(ends, standing.curve_spend, standing.curve_accuracy))[0]
    run = ends[1] - ends[0]
    slope = float(rise / run) if run > 0 else 0.0
    return np.asarray(accuracy - slope * (spend - middle))

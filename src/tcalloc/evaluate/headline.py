"""What a comparison says in one sentence: `headline`, and what it is made from.

What to use when
----------------
`trusted`, `shown`
    Whether a policy may be recommended at all, and whether it is shown to be better than the best fixed mixture.
`difference`
    Two policies at one budget, paired.
`spend_for`
    The inverse of a policy's held-out curve.
`headline`
    The dearest sensible fixed action, and the least spend that a policy shown to be better needs for its accuracy.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate import saying
from tcalloc.evaluate.contestants import COUNTING
from tcalloc.evaluate.contestants.base import rounding
from tcalloc.evaluate.figures import dependence
from tcalloc.evaluate.result import Comparison, Standing
from tcalloc.learn._training import NOTHING
from tcalloc.learn.folds import Frontier

__all__ = [
    "WORTH",
    "Saving",
    "Span",
    "affords",
    "difference",
    "headline",
    "leaders",
    "saving",
    "shown",
    "spend_for",
    "trusted",
]

Floats = NDArray[np.float64]

ALPHA = 0.05
# A gain below this (.05 points) is none, however sure it is.
WORTH = 0.0005
# A spend that is as close as this to the budget keeps it.
CLOSE = 0.005
# The dearest sensible fixed action has so much of all that fixed actions gain: beyond, compute buys next to nothing.
SENSIBLE = 0.9
# A saving below this share is not worth a sentence.
SAVED = 0.02
# Slopes are taken over so much of a spend, to both sides.
WINDOW = 0.05
# Marks that begin so: the figures may be flattered by having seen the answers.
DOUBTFUL = ("suspicious", "not trained here")


@dataclass(frozen=True, slots=True)
class Span:
    """The spend that a held-out curve needs for an accuracy; NaN: that is not reached."""

    spend: float
    low: float
    """Where the upper end of the 95 % band reaches it."""
    high: float
    """Where the lower end does."""
    at_least: bool
    """The curve begins above: `spend` is the least that is known of this policy."""


@dataclass(frozen=True, slots=True)
class Saving:
    """A fixed action, and what a policy needs for the same accuracy."""

    action: str
    """In words: 8 samples."""
    accuracy: float
    """Of the action, over all questions."""
    action_spend: float
    policy: str
    spend: float
    """What the policy needs for that accuracy."""
    mixture_spend: float
    """What the best fixed mixture needs; NaN where it does not reach it."""
    budget: int
    """Place of the budget nearest to `spend`, where the policy is shown to be better than the mixture."""


# ---------------------------------------------------------------------------------------------- who is better


def trusted(standing: Standing) -> bool:
    """Return whether a policy can be deployed, and nothing says that it saw the answers."""
    return standing.kind in ("policy", "own") and not any(mark.startswith(DOUBTFUL) for mark in standing.marks)


def affords(standing: Standing, budget: float, b: int) -> bool:
    """Return whether what it really spends at the b-th budget keeps it."""
    most = budget * (1 + CLOSE) + rounding([budget, *standing.spend])
    return bool(np.isfinite(standing.accuracy[b]) and standing.spend[b] <= most)


def shown(standing: Standing, b: int) -> bool:
    """Return whether it is shown to be better than the mixture at the same spend, after correction, by enough to count.

    The interval must exclude 0 and the corrected p be below 5 %: on few questions the two may differ.
    """
    return bool(standing.p[b] < ALPHA and standing.gain_low[b] > 0 and standing.gain[b] >= WORTH)


def leaders(result: Comparison) -> list[list[Standing]]:
    """Return for each budget who may be recommended: trusted, affordable, shown to be better; best first.

    Who spends less than the budget must still reach what the mixture reaches with all of it.
    """
    mixture = result[result.reference]
    found = []
    for b, budget in enumerate(result.budgets.tolist()):
        able = [
            standing
            for standing in result.standings
            if trusted(standing)
            and affords(standing, budget, b)
            and shown(standing, b)
            and not standing.accuracy[b] < mixture.accuracy[b]
        ]
        found.append(sorted(able, key=lambda standing: -float(standing.accuracy[b])))
    return found


def difference(one: Standing, other: Standing, b: int, folds: int = 5) -> tuple[float, float]:
    """Return one policy's accuracy minus another's at the b-th budget, and its standard error, paired by question.

    Both were brought to the same spend on these very questions, so accuracies are scored at that spend: minus slope
    times what the question spends above the mean (delta method). Where one does not reach the budget, they are compared
    as they are. Where one of them learns, the error is wider by what its folds have in common, as that of a gain is
    (`tcalloc.evaluate.figures.dependence`).

    Parameters
    ----------
    one, other : Standing
        Of one comparison.
    b : int
        Place of the budget.
    folds : int
        `Comparison.folds`.
    """
    gap = _scores(one, b) - _scores(other, b)
    n = len(gap)
    mean = float(one.accuracy[b] - other.accuracy[b])
    wider = dependence(folds, learns(one) or learns(other))
    return mean, wider * float(gap.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf


def learns(standing: Standing) -> bool:
    """Return whether a policy learns more of its training questions than which of its settings to use."""
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


# ---------------------------------------------------------------------------------------------- curves


def spend_for(standing: Standing, accuracy: float) -> Span:
    """Return the least spend at which a held-out curve reaches an accuracy, with an interval.

    The interval is where the ends of the curve's 95 % band reach it; an end that never does is NaN.
    """
    spend = standing.curve_spend
    middle = crossing(spend, standing.curve_accuracy, accuracy)
    begins = len(spend) > 0 and bool(standing.curve_accuracy[0] >= accuracy)
    low = crossing(spend, standing.curve_high, accuracy)
    return Span(middle, low, crossing(spend, standing.curve_low, accuracy), begins)


def crossing(spend: Floats, accuracy: Floats, target: float) -> float:
    """Return where a curve first reaches a target, straight between its points; NaN: nowhere."""
    known = np.isfinite(spend) & np.isfinite(accuracy)
    x, y = spend[known], accuracy[known]
    above = np.flatnonzero(y >= target)
    if not len(above):
        return float("nan")
    at = int(above[0])
    if at == 0 or y[at] == y[at - 1]:
        return float(x[at])
    share = (target - y[at - 1]) / (y[at] - y[at - 1])
    return float(x[at - 1] + share * (x[at] - x[at - 1]))


# ---------------------------------------------------------------------------------------------- the sentence


def fixed(result: Comparison) -> list[tuple[str, float, float]]:
    """Return (in words, spend, accuracy) of each fixed action, cheapest first; nothing at all is none.

    The spend is what it really costs: 16 samples cost less where some questions have fewer.
    """
    if result.votes and result.unit == "samples":
        # The votes are the first of the fixed actions.
        paid = result.action_spend[: len(result.votes)]
        rows = zip(map(saying.of_answer, result.votes), paid, result.vote_accuracy, strict=True)
        found = [(name, float(spend), float(accuracy)) for name, spend, accuracy in rows]
    else:
        actions = zip(result.actions, result.action_spend, result.action_accuracy, strict=True)
        found = [
            (name, float(spend), float(accuracy))
            for name, spend, accuracy in actions
            if spend > 0 or name != NOTHING  # what is free and answers is an action
        ]
    finite = [row for row in found if np.isfinite(row[1:]).all()]
    return sorted(finite, key=lambda row: (row[1], -row[2]))


def sensible(result: Comparison) -> list[tuple[str, float, float]]:
    """Return the fixed actions that are worth their cost, up to the dearest sensible one: each better than all cheaper.

    The dearest sensible one is the first that has nine tenths of all that fixed actions gain over the cheapest.
    """
    rows = fixed(result)
    if not rows:
        return []
    hull = Frontier.of([row[1] for row in rows], [row[2] for row in rows])
    # A vote of 3 may lie below the line from 1 to 8: a mixture is better, but it is what many people pay for.
    kept, best = [], -np.inf
    for row in rows:
        if row[2] >= best + WORTH:
            kept.append(row)
            best = row[2]
    enough = hull.accuracy[0] + SENSIBLE * (hull.accuracy[-1] - hull.accuracy[0])
    last = next((place for place, row in enumerate(kept) if row[2] >= enough - 1e-12), len(kept) - 1)
    return kept[: last + 1]


def saving(result: Comparison) -> Saving | None:
    """Return the dearest sensible fixed action that a policy reaches for less, and the policy that needs least for it.

    Only policies that are shown to be better than the mixture at the budget nearest to that spend are looked at, and
    only spends that the budgets span: beyond them nothing was tested. Where no policy reaches the dearest sensible
    action there, the next dearest is tried. Of policies that need the same, to two parts in a hundred, it is the one
    that does best over all budgets.
    """
    able = leaders(result)
    budgets = result.budgets
    mixture = result[result.reference]
    names = {standing.name for row in able for standing in row}
    for action, action_spend, accuracy in reversed(sensible(result)[1:]):
        needed = spend_for(mixture, accuracy).spend
        least = min(action_spend, needed if np.isfinite(needed) else action_spend)
        found = []
        for standing in result.standings:
            spend = spend_for(standing, accuracy).spend if standing.name in names else float("nan")
            if not budgets[0] * (1 - CLOSE) <= spend <= min(budgets[-1] * (1 + CLOSE), (1 - SAVED) * least):
                continue
            near = _nearest(budgets, spend)
            if standing in able[near]:
                found.append(Saving(action, accuracy, action_spend, standing.name, spend, needed, near))
        if found:
            enough = min(one.spend for one in found) * (1 + SAVED)
            return next(one for one in found if one.spend <= enough)
    return None


def _nearest(budgets: Floats, spend: float) -> int:
    """Return the place of the budget nearest to a spend, by ratio: 0 is near to nothing but 0."""
    paid = np.flatnonzero(budgets > 0)
    if spend <= 0 or not len(paid):
        return 0
    return int(paid[np.argmin(np.abs(np.log(budgets[paid] / spend)))])


def headline(result: Comparison) -> list[str]:
    """Return what matters first, in one or two sentences, from figures that are held out."""
    who = f"On your {saying.counted(result.questions, 'question')}"
    able = leaders(result)
    if not any(able):
        return _none_shown(result, who)
    found = saving(result)
    if found is None:
        return _most(result, able, who)
    standing = result[found.policy]
    action = found.action if result.votes and result.unit == "samples" else saying.action(found.action)
    # "8 samples" says what it costs, unless some questions have fewer.
    priced = result.votes and result.unit == "samples" and action == saying.of_answer(round(found.action_spend))
    instead = "" if priced else f" instead of {saying.about_price(found.action_spend, result.unit)}"
    first = (
        f"{who}, {saying.phrase(found.policy)} gives the accuracy of {action} ({saying.percent(found.accuracy)}) for "
        f"{saying.about_price(found.spend, result.unit)}{instead}: "
        f"{saying.saved(found.action_spend - found.spend, result.unit)}."
    )
    if np.isfinite(found.mixture_spend):
        mixture = f"The best fixed mixture needs {saying.about_price(found.mixture_spend, result.unit)} for it"
    else:
        mixture = "The best fixed mixture does not reach it"
    return [first, f"{mixture}. {_gain(result, standing, found.budget)}"]


def _gain(result: Comparison, standing: Standing, b: int) -> str:
    """Return how much better than the mixture, and how sure that is."""
    return (
        f"{saying.at_spend(float(standing.spend[b]), result.unit).capitalize()} "
        f"{saying.clean(standing.name, saying.LONGEST)} gains {saying.points(float(standing.gain[b]))} points "
        f"{saying.interval(standing.gain_low[b], standing.gain_high[b])} over the mixture that spends the same (95 % "
        f"interval; {saying.chance(float(standing.p[b]))}, corrected)."
    )


def _most(result: Comparison, able: list[list[Standing]], who: str) -> list[str]:
    """Return the largest gain that is shown, where it saves nothing against a fixed action."""
    pairs = [(standing, b) for b, row in enumerate(able) for standing in row]
    standing, b = max(pairs, key=lambda pair: float(pair[0].gain[pair[1]]))
    return [
        f"{who}, {saying.phrase(standing.name)} answers {saying.percent(float(standing.accuracy[b]))} right "
        f"{saying.at_spend(float(standing.spend[b]), result.unit)}, {saying.points(float(standing.gain[b]))} points "
        "against the best fixed mixture that spends the same.",
        f"Its 95 % interval is {saying.interval(standing.gain_low[b], standing.gain_high[b])} points, "
        f"{saying.chance(float(standing.p[b]))} (corrected).",
    ]


def _none_shown(result: Comparison, who: str) -> list[str]:
    """Return that nothing is shown to be better, and what comes nearest."""
    first = f"{who}, no policy is shown to be better than the best fixed mixture that spends the same."
    rows = fixed(result)
    if rows and max(row[2] for row in rows) - rows[0][2] < WORTH:
        name = rows[0][0] if result.votes and result.unit == "samples" else saying.action(rows[0][0])
        cheapest = f"The cheapest fixed action ({name}, {saying.percent(rows[0][2])}) is as good as any dearer one."
        return [first, cheapest]
    return [first]

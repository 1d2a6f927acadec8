"""What a comparison says in one sentence: `headline`, and what it is made from.

What to use when
----------------
`spend_for`
    The inverse of a policy's held-out curve.
`fixed`, `sensible`
    The fixed actions, and those that are worth their cost.
`saving`
    What the recommended policy needs for the accuracy of the most expensive sensible fixed action.
`headline`
    The first sentences, about the recommended policy.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc._rounding import SUMMED
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.choice import by_construction, chosen, leaders, likely
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.evaluate.statistics import first_reached
from tcalloc.evaluate.thresholds import CLOSE, SAVED, SENSIBLE, WORTH
from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.training import NOTHING

__all__ = ["UNTESTED", "Fixed", "Saving", "Span", "fixed", "headline", "saving", "sensible", "spend_for"]

Floats = NDArray[np.float64]

# Why stopping at the first success is recommended.
UNTESTED = (
    "It needs no test: it is right as often as the same number of samples drawn at once, and does not pay for samples "
    "after the first success."
)


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
    """Accuracy of the action over all questions."""
    action_spend: float
    policy: str
    spend: float
    """What the policy needs for that accuracy."""
    mixture_spend: float
    """What the best fixed mixture needs; NaN where it does not reach it."""
    budget: int
    """Place of the budget nearest to `spend`."""
    share: float
    """Share of the action's cost that is saved."""
    low: float
    """Lower end of its 95 % interval; NaN: unknown."""
    high: float
    """Upper end."""


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
    if not known.any():
        return math.nan
    found = float(first_reached(spend[known], accuracy[None, known], np.array([target]))[0])
    return found if math.isfinite(found) else math.nan


# ---------------------------------------------------------------------------------------------- the sentence


class Fixed(NamedTuple):
    """A fixed action."""

    name: str
    """In words."""
    spend: float
    """What it really costs: 16 samples cost less where some questions have fewer."""
    accuracy: float
    """Over all questions."""
    place: int
    """Its number among `Comparison.actions`."""


def fixed(result: ComparisonFigures) -> list[Fixed]:
    """Return the fixed actions, cheapest first; nothing at all is none."""
    names, accuracies = result.actions, result.action_accuracy
    if result.votes and result.unit == "samples":
        # The votes are the first of the fixed actions.
        names, accuracies = tuple(map(phrases.of_answer, result.votes)), result.vote_accuracy
    rows = zip(names, result.action_spend[: len(names)], accuracies, strict=True)
    found = [Fixed(name, float(spend), float(accuracy), place) for place, (name, spend, accuracy) in enumerate(rows)]
    finite = [
        row
        for row in found
        if np.isfinite([row.spend, row.accuracy]).all() and (row.spend > 0 or row.name != NOTHING)  # free answers stay
    ]
    return sorted(finite, key=lambda row: (row.spend, -row.accuracy))


def sensible(result: ComparisonFigures) -> list[Fixed]:
    """Return the fixed actions that are worth their cost, cheapest first, each more accurate than all before it.

    The last one is the first that has nine tenths of all that fixed actions gain over the cheapest.
    """
    rows = fixed(result)
    if not rows:
        return []
    hull = Frontier.of([row.spend for row in rows], [row.accuracy for row in rows])
    # A vote of 3 may lie below the line from 1 to 8: a mixture is better, but it is what many people pay for.
    kept, best = [], -np.inf
    for row in rows:
        if row.accuracy >= best + WORTH:
            kept.append(row)
            best = row.accuracy
    enough = hull.accuracy[0] + SENSIBLE * (hull.accuracy[-1] - hull.accuracy[0])
    last = next((place for place, row in enumerate(kept) if row.accuracy >= enough - SUMMED), len(kept) - 1)
    return kept[: last + 1]


def saving(result: ComparisonFigures) -> Saving | None:
    """Return the most expensive sensible fixed action that the recommended policy reaches for less.

    Only spends that the budgets span are looked at, beyond them nothing was tested, and only savings whose interval is
    above 0. At the nearest budget the policy must be better than the mixture. Where the most expensive sensible action
    is not reached so, the next one is tried.
    """
    policy = chosen(result)
    if policy is None:
        return None
    able, budgets, mixture = leaders(result), result.budgets, result[result.reference]
    for action in reversed(sensible(result)[1:]):
        needed = spend_for(mixture, action.accuracy).spend
        least = min(action.spend, needed if np.isfinite(needed) else action.spend)
        spend = spend_for(policy, action.accuracy).spend
        if not budgets[0] * (1 - CLOSE) <= spend <= min(budgets[-1] * (1 + CLOSE), (1 - SAVED) * least):
            continue
        near = _nearest(budgets, spend)
        low = high = float("nan")
        if len(policy.saved):
            low, high = float(policy.saved_low[action.place]), float(policy.saved_high[action.place])
            if not low > 0:
                continue
        if policy in able[near] or likely(policy, near):
            share = 1 - spend / action.spend
            return Saving(
                action.name, action.accuracy, action.spend, policy.name, spend, needed, near, share, low, high
            )
    return None


def _nearest(budgets: Floats, spend: float) -> int:
    """Return the place of the budget nearest to a spend, by ratio: 0 is near to nothing but 0."""
    paid = np.flatnonzero(budgets > 0)
    if spend <= 0 or not len(paid):
        return 0
    return int(paid[np.argmin(np.abs(np.log(budgets[paid] / spend)))])


def headline(result: ComparisonFigures) -> list[str]:
    """Return what matters first, in two or three sentences, from figures that are held out.

    It is about the policy that `tcalloc.evaluate.conclusions.recommend.recommend` recommends.
    """
    who = f"On your {phrases.counted(result.questions, 'question')}{phrases.with_verifier(result.verifier)}"
    if not result.labels.gold:
        who += ", by agreement with the reference"
    standing = chosen(result)
    if standing is None:
        return _none_shown(result, who)
    found = saving(result)
    if found is None:
        return _most(result, standing, who)
    action = found.action if result.votes and result.unit == "samples" else phrases.action(found.action)
    # "8 samples" says what it costs, unless some questions have fewer.
    priced = result.votes and result.unit == "samples" and action == phrases.of_answer(round(found.action_spend))
    instead = "" if priced else f" instead of {phrases.about_price(found.action_spend, result.unit)}"
    first = (
        f"{who}, {phrases.phrase(found.policy)} reaches {phrases.percent(found.accuracy)}, the {result.words.noun} of "
        f"{action} on every question, for {phrases.about_price(found.spend, result.unit)}{instead}. "
        f"That is {phrases.saved(found.action_spend - found.spend, result.unit)} ({_saved(found)})."
    )
    if np.isfinite(found.mixture_spend):
        needed = phrases.about_price(found.mixture_spend, result.unit)
        mixture = f"The best fixed mixture needs {needed} for that {result.words.noun}"
    else:
        mixture = f"The best fixed mixture does not reach that {result.words.noun}"
    return [first, f"{mixture}. {_gain(result, standing, found.budget)}", *_untested(result, standing)]


def _saved(found: Saving) -> str:
    """Return the share that is saved, with its interval."""
    share = f"saving {phrases.percent(found.share, 0)}"
    if not np.isfinite(found.low):
        return share
    return f"{share}, 95 % interval {100 * found.low:.0f} to {100 * found.high:.0f} %"


def _untested(result: ComparisonFigures, standing: Standing) -> list[str]:
    """Return why a policy is recommended without a test."""
    return [UNTESTED] if by_construction(result, standing) else []


def _gain(result: ComparisonFigures, standing: Standing, b: int) -> str:
    """Return how much better than the mixture, and how sure that is."""
    return (
        f"{phrases.at_spend(float(standing.spend[b]), result.unit).capitalize()} "
        f"{phrases.clean(standing.name, phrases.LONGEST)} gains {phrases.points(float(standing.gain[b]))} points "
        f"{phrases.interval(standing.gain_low[b], standing.gain_high[b])} over the mixture that spends the same (95 % "
        f"interval; {phrases.chance(float(standing.p[b]))}, corrected)."
    )


def _most(result: ComparisonFigures, standing: Standing, who: str) -> list[str]:
    """Return the recommended policy's largest gain, where it saves nothing against a fixed action."""
    able = leaders(result)
    places = [b for b, row in enumerate(able) if standing in row] or [b for b, row in enumerate(able) if row]
    b = max(places, key=lambda place: float(standing.gain[place]))
    return [
        f"{who}, {phrases.phrase(standing.name)} answers {phrases.percent(float(standing.accuracy[b]))} "
        f"{result.words.right} {phrases.at_spend(float(standing.spend[b]), result.unit)}: "
        f"{phrases.points(float(standing.gain[b]))} points over the best fixed mixture that spends the same.",
        f"Its 95 % interval is {phrases.interval(standing.gain_low[b], standing.gain_high[b])} points, "
        f"{phrases.chance(float(standing.p[b]))} (corrected).",
        *_untested(result, standing),
    ]


def _none_shown(result: ComparisonFigures, who: str) -> list[str]:
    """Return that nothing is shown to be better, and what comes nearest."""
    first = f"{who}, no policy is shown to be better than the best fixed mixture that spends the same."
    rows = fixed(result)
    if rows and max(row.accuracy for row in rows) - rows[0].accuracy < WORTH:
        name = rows[0].name if result.votes and result.unit == "samples" else phrases.action(rows[0].name)
        cheapest = (
            f"The cheapest fixed action ({name}, {phrases.percent(rows[0].accuracy)}) {result.words.as_good_as} any "
            "more expensive one."
        )
        return [first, cheapest]
    return [first]

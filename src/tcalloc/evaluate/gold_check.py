"""What a few gold answers say about a policy that learned without them.

What to use when
----------------
`check_by_gold`
    The accuracy on the questions whose gold answer is known, held out, and whether learning from them differs.
`GoldCheck`
    What came of it, with its sentences.
`answers_needed`
    How many gold answers would show a difference.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._amounts import amount
from tcalloc._student import quantile
from tcalloc.evaluate.phrases import counted, interval, percent, points, rounded
from tcalloc.evaluate.recipe import Recipe
from tcalloc.evaluate.result import plain
from tcalloc.evaluate.statistics import half_width
from tcalloc.evaluate.thresholds import ALPHA, FEWEST, POWER
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.rows import take_rows
from tcalloc.measure.samples import Samples

__all__ = ["FEWEST_GOLD", "GoldCheck", "answers_needed", "at_spend", "check_by_gold"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# With fewer gold answers, no policy is trained on them to compare with.
FEWEST_GOLD = 30
# Below this share of right references, learning from them was not tested to be as good as learning from gold answers.
RIGHT_ENOUGH = 0.45
# A difference that is worth knowing: one point.
POINT = 0.01
# Of the budget: each policy is replayed at these spends too, so that two of them are compared at the same spend.
BESIDE = (0.7, 0.85, 1.0, 1.2, 1.45)


@dataclass(frozen=True, slots=True)
class GoldCheck:
    """Accuracy on the questions whose gold answer is known. All figures are held out.

    Attributes
    ----------
    questions : int
        Questions with a gold answer.
    spend : float
        What the policy spends on them.
    accuracy, low, high : float
        The policy's accuracy with its 95 % interval; it learned from the reference.
    samples : int
        All recorded samples of a question of the most expensive model, or of the only one.
    whole_accuracy, whole_low, whole_high : float
        Accuracy of a vote over all of these.
    difference, difference_low, difference_high : float
        The policy's accuracy minus that of the same policy trained on gold answers, at the same spend, paired by
        question; NaN where there are too few gold answers to learn from.
    needed : int or None
        Gold answers that would show a difference of one point, in four of five cases.
    """

    questions: int
    spend: float
    accuracy: float
    low: float
    high: float
    samples: int
    whole_accuracy: float
    whole_low: float
    whole_high: float
    difference: float
    difference_low: float
    difference_high: float
    needed: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; null (None) where there is no number."""
        return {name: plain(getattr(self, name)) for name in self.__slots__}

    def text(self, unit: str | None = None) -> str:
        """Return it in sentences; `unit` is what costs are counted in, such as "usd"."""
        own = f"{percent(self.accuracy)} (95 % interval {percent(self.low)} to {percent(self.high)})"
        whole = f"{percent(self.whole_accuracy)} ({percent(self.whole_low)} to {percent(self.whole_high)})"
        found = [
            f"Gold answers are known for {counted(self.questions, 'question')}. On these, held out, the policy is "
            f"right on {own} at a spend of {amount(self.spend, unit, 3)}. A vote over {self.samples} samples is right "
            f"on {whole}."
        ]
        if self.whole_accuracy < RIGHT_ENOUGH:
            found.append(
                f"That is below {percent(RIGHT_ENOUGH, 0)}: the most frequent answer is a poor reference here, and "
                "what is learned from it may mislead. Learn from gold answers, or from a stronger model's."
            )
        if math.isfinite(self.difference):
            span = interval(self.difference_low, self.difference_high)
            differs = "differs" if self.difference_low > 0 or self.difference_high < 0 else "does not differ"
            found.append(
                f"It {differs} significantly from the same policy trained on these gold answers: "
                f"{points(self.difference)} points {span} at the same spend (95 % interval, paired by question)."
            )
        else:
            found.append(
                f"These are too few to train a policy on them and to compare: {FEWEST_GOLD} gold answers are needed."
            )
        if self.needed is not None:
            other = (
                "the two" if math.isfinite(self.difference) else f"the policy and the vote over {self.samples} samples"
            )
            found.append(
                f"About {self.needed:,} gold answers would show a difference of 1 point between {other} in four of "
                "five cases (two-sided test at 5 %, if questions scatter as these do)."
            )
        return " ".join(found)


def check_by_gold(
    recipe: Recipe,
    samples: Samples,
    X: Any,
    *,
    budget: float,
    folds: int,
    random_state: int,
) -> GoldCheck | None:
    """Return what the gold answers say about a policy that learned from a reference; None without gold answers.

    The samples are labelled by the reference, with the gold answers kept aside.
    """
    right, rows = samples.by_gold()
    n = len(rows)
    if n < 2:
        return None
    budgets = budget * np.array(BESIDE)
    known = take_rows(X, rows)
    folded = split(n, min(folds, n), random_state)
    others = np.setdiff1d(np.arange(len(samples)), rows)

    def held_out(parts: list[tuple[Samples, Any, Rows]]) -> tuple[Floats, Floats]:
        spend, accuracy = np.zeros((2, len(budgets), n))
        for some, x, held in parts:
            policy = recipe.fit(x, some, budget=budget, random_state=random_state)
            done = policy.replay(take_rows(known, held), right.take(held), budgets)
            spend[:, held], accuracy[:, held] = done.spend, done.accuracy
        return spend, accuracy

    if len(others) >= max(n, FEWEST):  # one training is enough
        parts = [(samples.take(others), take_rows(X, others), np.arange(n))]
    else:
        kept = [(np.concatenate([others, rows[train]]), held) for train, held in folded]
        parts = [(samples.take(train), take_rows(X, train), held) for train, held in kept]
    spend, accuracy = held_out(parts)
    at = BESIDE.index(1.0)
    own, paid = accuracy[at], float(spend[at].mean())
    whole, size = _whole(right)
    gaps, difference = own - whole, (math.nan,) * 3
    if n >= FEWEST_GOLD:
        trained = held_out([(right.take(train), take_rows(known, train), held) for train, held in folded])
        gaps = own - at_spend(paid, *trained)
        difference = _interval(gaps)
    return GoldCheck(n, paid, *_share(own), size, *_share(whole), *difference, answers_needed(gaps))


def answers_needed(gaps: Floats, difference: float = POINT) -> int | None:
    """Return how many questions would show a mean difference in four of five cases; None where nothing scatters.

    The test is two-sided at 5 %, paired by question, and its errors are normal. `gaps` are differences of single
    questions.

    Examples
    --------
    >>> answers_needed(np.array([0.0, 0.0, 0.1, -0.1]))
    530
    """
    scatter = float(np.std(gaps, ddof=1)) if len(gaps) > 1 else 0.0
    if scatter == 0:
        return None
    normal = NormalDist()
    return rounded((scatter / difference * (normal.inv_cdf(1 - ALPHA / 2) + normal.inv_cdf(POWER))) ** 2)


def _whole(right: Samples) -> tuple[Floats, int]:
    """Return how often a vote over all samples is right, by question, and how many these are."""
    arms = right.by_model
    means = {name: 0.0 if arm.cost is None else float(np.nanmean(arm.cost)) for name, arm in arms.items()}
    name = max(arms, key=lambda one: means[one])
    sizes = arms[name].drawn.sum(axis=1)
    found = np.zeros(len(right))
    for size in np.unique(sizes[sizes > 0]).tolist():
        some = np.flatnonzero(sizes == size)
        made = right.take(some).actions_of(name, [size])
        if made:
            found[some] = right.take(some).table(made, shrink=False).acc[:, 0]
    return found, int(np.median(sizes))


def at_spend(target: float, spend: Floats, accuracy: Floats) -> Floats:
    """Return each question's accuracy at a mean spend: two neighbouring budgets mixed."""
    means = spend.mean(axis=1)
    order = np.argsort(means, kind="stable")
    low = int(np.clip(np.searchsorted(means[order], target) - 1, 0, len(order) - 2))
    one, other = order[low], order[low + 1]
    step = float(means[other] - means[one])
    part = float(np.clip((target - means[one]) / step, 0.0, 1.0)) if step > 0 else 0.0
    return np.asarray((1 - part) * accuracy[one] + part * accuracy[other])


def _interval(values: Floats) -> tuple[float, float, float]:
    mean = float(values.mean())
    half = quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _share(values: Floats) -> tuple[float, float, float]:
    """Return a mean of shares with its interval: the widest that such a mean can have, within 0 and 1."""
    mean = float(values.mean())
    half = half_width(mean, len(values))
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)

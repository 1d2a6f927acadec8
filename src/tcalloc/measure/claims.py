"""What a plan may claim: the accuracy of its actions, with the interval that belongs to it.

Two intervals answer two questions, and both take the plan's choices as made:

- *these questions*: how accurate are the chosen actions on these questions, if all samples are drawn afresh? The
  uncertainty is that of the samples: per question the standard error of the chosen action (or of the plan's mixture of
  actions, if larger), independent between questions.
- *questions like these*: how accurate would the same way of choosing be on other questions of the kind? Then
  the questions are a sample too, and their differences come on top.

Both use Student's t. Both add `UNSEEN` imagined questions that are as uncertain as a question can be. They hardly
matter among hundreds of questions, and keep the interval open where all of a few questions were answered alike.

A plan over several models gets a correction. Their joint estimate is good for choosing, but its classes may be wrong
about the very questions that a plan picks for a model. So each quarter of the samples is left out once: the others
choose at the same budget, and the share of right samples in the quarter is unbiased for what they chose. The quarters
together see each sample once, so the luck of the models' means cancels. Only single samples are compared, since a
quarter cannot vote; a vote moves by its slope, which a cubic over questions estimates. Three quarters of the gap count.

There is no interval where a plan chose between models by single outcomes. Such a plan knows which model happened to be
right, and one sample cannot separate luck from skill.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import level_of
from tcalloc._counts import counted
from tcalloc._printing import cleaned
from tcalloc._rounding import SUMMED
from tcalloc._solve import Allocation, solve
from tcalloc._student import quantile
from tcalloc.errors import InputError

if TYPE_CHECKING:
    from tcalloc.measure.table import Table

__all__ = ["Check", "Claim", "Trial", "claim"]

Floats = NDArray[np.float64]

# Questions that are imagined beside the real ones, each with the variance of a fair coin.
UNSEEN, COIN = 4.0, 0.25
# Errors of choosing fall with the number of samples: this part of the excess that three quarters of the samples have
# remains with all of them.
KEPT = 0.75
# Levels that differ by less than this tell no slope.
FLAT = 1e-3
KNOWS_OUTCOMES = (
    "no interval: the plan chooses between models by single outcomes, so it knows which model was right, and one "
    "sample cannot tell luck from skill. `tcalloc compare` says what is attainable on new questions; `tcalloc fit` "
    "makes a policy for them"
)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One direction of a cross-fit: estimates from one half of the samples choose, those from the other score."""

    choosing: Floats
    """(N, K) NaN where the half has too few samples."""
    scoring: Floats
    """(N, K) likewise."""
    cost: Floats
    """(N, K) or (K,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One part of the samples, left out: what the other parts choose and claim, and what the part itself says."""

    choosing: Floats
    """(R, K) estimates of the actions from the other parts; NaN where there are too few samples."""
    gaps: Floats
    """(R, M) one sample of each model: what the other parts claim minus what the part says; NaN without samples."""
    levels: Floats
    """(R, M) one sample of each model, by the other parts."""
    model: NDArray[np.intp]
    """(K,) the actions' models."""
    rows: NDArray[np.intp]
    """(R,) the table's rows."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A plan's accuracy with its intervals. ``str()`` says it in one line.

    Attributes
    ----------
    accuracy : float
        Mean expected accuracy of the chosen actions: cross-fitted if the table is, else with the `correction`.
    low, high : float
        The interval for these questions, with fresh samples; NaN if the table has no standard errors, or see `why`.
    population_low, population_high : float
        The interval for questions like these; NaN: see `why`.
    level : float
        How often intervals made like these hold, 0.95 if not asked otherwise.
    cross_fitted : bool
        Whether the accuracy was chosen on one half of the samples and scored on the other.
    correction : float
        What was added to the plan's own accuracy since left-out samples disagreed with it; 0 with a single model.
    why : str
        Why there is no interval; empty if there is one.
    measures : str
        What `accuracy` is a share of: "accuracy" or, without gold answers, "agreement with the reference".
    """

    accuracy: float
    low: float
    high: float
    population_low: float
    population_high: float
    level: float
    cross_fitted: bool
    correction: float = 0.0
    why: str = ""
    measures: str = "accuracy"

    @cleaned
    def __str__(self) -> str:
        how = ", cross-fitted" if self.cross_fitted else ""
        if self.why:
            return f"{self.measures} {self.accuracy:.4f}{how} ({self.why})"
        parts = [
            f"{low:.4f} to {high:.4f} on {of}"
            for low, high, of in (
                (self.low, self.high, "these questions"),
                (self.population_low, self.population_high, "questions like these"),
            )
            if math.isfinite(low) and math.isfinite(high)
        ]
        if not parts:
            return f"{self.measures} {self.accuracy:.4f}{how} (no interval: one question says nothing about others)"
        return f"{self.measures} {self.accuracy:.4f}{how} ({self.level:.0%} interval: {', '.join(parts)})"


def claim(table: "Table", plan: Allocation, level: float = 0.95) -> Claim:
    """Return what `plan`, made from `table`, may claim. See `Table.claim`."""
    n, k = table.acc.shape
    if len(plan.actions) != n or plan.n_actions != k:
        raise InputError(
            f"plan has {counted(len(plan.actions), 'instance')} and {counted(plan.n_actions, 'action')}, but the "
            f"table has {n} and {k}: it was not made from this table."
        )
    level = level_of("level", level)
    rows = np.arange(n)
    weights = (
        np.ones(n) if table.weights is None else np.asarray(table.weights, np.float64) / float(table.weights.max())
    )
    weights = weights / weights.sum()
    chosen = table.acc[rows, plan.actions].astype(np.float64)
    if table.trials:
        chosen = _cross_fitted(table, plan)
    planned = float(weights @ chosen)
    excess = _excess(table, plan)
    accuracy = planned if excess == 0 else min(max(planned - KEPT * excess, 0.0), 1.0)
    if _knows_outcomes(table, plan):
        none = math.nan
        return Claim(
            accuracy, none, none, none, none, float(level), bool(table.trials), why=KNOWS_OUTCOMES,
            measures=table.labels.words.full,
        )  # fmt: skip
    # An interval of shares ends at 0 and 1; utilities on other scales have no such ends.
    shares = bool(((chosen >= 0) & (chosen <= 1)).all())
    size = 1 / float(weights @ weights)  # how many questions of equal weight say as much
    t = quantile(max(size - 1, 1.0), float(level))
    unseen = UNSEEN * COIN / size**2 if shares else 0.0
    samples = math.nan
    if table.se is not None:
        # A shrunk estimate also carries the errors of what it was drawn towards, the actions' means over all questions:
        # they err as if every question had the plan's mixture of actions. The larger of the two is the honest one.
        mixture = np.bincount(plan.actions, weights, k)
        alone, shared = table.se[rows, plan.actions], table.se @ mixture
        # An imagined question is sampled as often as the plan samples the others.
        drawn = float(weights @ (chosen * (1 - chosen))) / max(float(weights @ alone**2), 1e-300) if shares else 1.0
        samples = max(float(weights**2 @ alone**2), float(weights**2 @ shared**2)) + unseen / max(drawn, 1.0)
    # Other questions are never better known than these.
    others = np.fmax(_between(table, plan, chosen, weights, size, samples) + unseen, samples if size > 1 else math.nan)
    return Claim(
        accuracy,
        *_around(accuracy, t * math.sqrt(samples), shares),
        *_around(accuracy, t * math.sqrt(others), shares),
        level=float(level),
        cross_fitted=bool(table.trials),
        correction=accuracy - planned,
        measures=table.labels.words.full,
    )


def _excess(table: "Table", plan: Allocation) -> float:
    """Return by how much plans at this budget claim more than they reach, by samples that chose nothing."""
    if table.checks is None or (plan.actions == plan.actions[0]).all():
        return 0.0  # nothing was chosen by the questions' samples
    gaps = []
    for check in table.checks():
        there = np.isfinite(check.choosing) & np.isfinite(check.gaps[:, check.model])
        if table.available is not None:
            there &= table.available[check.rows]
        able = np.flatnonzero(there.any(axis=1))
        if not len(able):
            continue
        there = there[able]
        weights = np.ones(len(able)) if table.weights is None else table.weights[check.rows[able]].astype(np.float64)
        cost = table.cost if table.cost.ndim == 1 else table.cost[check.rows[able]]
        cheapest = np.where(there, cost, np.inf).min(axis=1)
        made = solve(
            np.where(there, check.choosing[able], 0.0),
            np.where(there, cost, 0.0) if cost.ndim == 2 else cost,
            max(plan.budget, float(weights @ cheapest / weights.sum()) * (1 + SUMMED)),
            available=there,
            weights=weights,
        )
        chosen = np.asarray(made.actions, np.intp)
        gap = sum(float(weights[chosen == a] @ _gap(check, able, a)[chosen == a]) for a in np.unique(chosen).tolist())
        gaps.append(gap / float(weights.sum()))
    return float(np.mean(gaps)) if gaps else 0.0


def _gap(check: Check, rows: NDArray[np.intp], a: int) -> Floats:
    """Return by how much an action's estimates exceed what the part says: what its model's do, times its slope."""
    values, levels, gap = (
        part[rows] for part in (check.choosing[:, a], check.levels[:, check.model[a]], check.gaps[:, check.model[a]])
    )
    there = np.isfinite(values) & np.isfinite(gap)
    kinds = len(np.unique(levels[there]))
    slope = np.ones(len(rows))
    if kinds > 1 and np.ptp(levels[there]) > FLAT:
        cubic = np.polynomial.Polynomial.fit(levels[there], values[there], min(3, kinds - 1))
        slope = np.clip(cubic.deriv()(levels), 0.0, None)
    # An action's mean over questions is that of its exact expectation, so gaps that are larger where the slope is
    # steeper do not move it.
    return np.asarray(slope * gap - np.cov(slope[there], gap[there], bias=True)[0, 1])


def _knows_outcomes(table: "Table", plan: Allocation) -> bool:
    """Return whether the plan chose between actions by single outcomes, which it could only do knowing them."""
    if table.single is None or (plan.actions == plan.actions[0]).all():
        return False
    # Where no estimate differs between questions, by however little, nothing was chosen by their samples.
    return bool(table.single[np.unique(plan.actions)].any() and (np.ptp(table.acc, axis=0) > 0)[table.single].any())


def _between(table: "Table", plan: Allocation, chosen: Floats, weights: Floats, size: float, samples: float) -> float:
    """Return the variance of the accuracy over draws of questions, and of their samples."""
    if size <= 1 + 1e-9:
        return math.nan  # one question says nothing about others

    def scatter(values: Floats) -> float:
        # n/(n − 1), as for any variance about an estimated mean.
        return float(weights**2 @ (values - weights @ values) ** 2) * size / (size - 1)

    unshrunk = chosen if table.exact is None else table.exact[np.arange(len(chosen)), plan.actions]
    # Estimates that are not shrunk scatter by the questions and by their samples: no more is needed. Shrunk ones
    # scatter less, and those that were chosen for their luck do so too; the larger counts.
    if table.exact is not None and np.array_equal(chosen, unshrunk):
        return scatter(unshrunk)
    return max(scatter(unshrunk), scatter(chosen) + (samples if math.isfinite(samples) else 0.0))


def _around(middle: float, width: float, shares: bool) -> tuple[float, float]:
    low, high = middle - width, middle + width
    return (max(low, 0.0), min(high, 1.0)) if shares and math.isfinite(width) else (low, high)


def _cross_fitted(table: "Table", plan: Allocation) -> Floats:
    """Return each question's score: chosen at the plan's budget on one half, scored on the other."""
    scores = []
    for trial in table.trials:
        there = np.isfinite(trial.choosing) & np.isfinite(trial.scoring)
        able: NDArray[np.bool_] = np.asarray(there.any(axis=1))
        lost = np.full(len(able), np.nan)
        made = solve(
            np.where(there, trial.choosing, 0.0)[able],
            trial.cost if trial.cost.ndim == 1 else trial.cost[able],
            plan.budget,
            available=there[able],
            weights=None if table.weights is None else table.weights[able],
        )
        lost[able] = trial.scoring[able][np.arange(int(able.sum())), made.actions]
        scores.append(lost)
    found: Any = np.array(scores)
    known = np.isfinite(found)
    mean = np.where(known, found, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    # Questions with one sample cannot be halved: they keep the table's estimate.
    own = table.acc[np.arange(len(plan.actions)), plan.actions]
    return np.asarray(np.where(known.any(axis=0), mean, own), np.float64)

"""What a plan may claim: the accuracy of its actions, with the interval that belongs to it.

Two intervals answer two questions, and both take the plan's choices as made:

- *these questions*: how accurate are the chosen actions on these questions, if all samples are drawn afresh? The
  uncertainty is that of the samples: per question the jackknife's standard error of the chosen action (or of the
  plan's mixture of actions, if larger), independent between questions.
- *questions like these*: how accurate would the same way of choosing be on other questions of the kind? Then
  the questions are a sample too, and their differences come on top.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.solve import Allocation, solve

if TYPE_CHECKING:
    from tcalloc.measure.table import Table

__all__ = ["Claim", "Trial", "claim"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One direction of a cross-fit: estimates from one half of the samples choose, those from the other score."""

    choosing: Floats
    """(N, K) NaN where the half has too few samples."""
    scoring: Floats
    """(N, K) likewise."""
    cost: Floats
    """(N, K) or (K,)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A plan's accuracy with its intervals. ``str()`` says it in one line."""

    accuracy: float
    """Mean expected accuracy of the chosen actions; cross-fitted if the table is."""
    low: float
    high: float
    """The interval for these questions, with fresh samples; NaN if the table has no standard errors."""
    population_low: float
    population_high: float
    """The interval for questions like these."""
    level: float
    """How often intervals made like these hold, .95 if not asked otherwise."""
    cross_fitted: bool
    """Whether the accuracy was chosen on one half of the samples and scored on the other."""

    def __str__(self) -> str:
        how = ", cross-fitted" if self.cross_fitted else ""
        these = ""
        if math.isfinite(self.low):
            these = f" {self.low:.4f} to {self.high:.4f} on these questions,"
        return (
            f"accuracy {self.accuracy:.4f}{how} ({self.level:.0%} interval:{these} {self.population_low:.4f} to "
            f"{self.population_high:.4f} on questions like these)"
        )


def claim(table: "Table", plan: Allocation, level: float = 0.95) -> Claim:
    """Return what `plan`, made from `table`, may claim. See `Table.claim`."""
    n, k = table.acc.shape
    if len(plan.actions) != n or plan.n_actions != k:
        raise InputError(
            f"plan has {len(plan.actions)} instances and {plan.n_actions} actions, but the table has {n} and {k}: it "
            "was not made from this table."
        )
    if isinstance(level, bool) or not isinstance(level, (int, float, np.floating)) or not 0 < level < 1:
        raise InputError(f"level is {level!r}; expected a number between 0 and 1, such as 0.95.")
    rows = np.arange(n)
    weights = (
        np.ones(n) if table.weights is None else np.asarray(table.weights, np.float64) / float(table.weights.max())
    )
    weights = weights / weights.sum()
    chosen = table.acc[rows, plan.actions].astype(np.float64)
    if table.trials:
        chosen = _cross_fitted(table, plan)
    accuracy = float(weights @ chosen)
    z = NormalDist().inv_cdf((1 + level) / 2)
    samples = float("nan")
    if table.se is not None:
        # A shrunk estimate also carries the errors of what it was drawn towards, the actions' means over all questions:
        # they err as if every question had the plan's mixture of actions. The larger of the two is the honest one.
        mixture = np.bincount(plan.actions, weights, k)
        alone, shared = table.se[rows, plan.actions], table.se @ mixture
        samples = float(np.sqrt(max(weights**2 @ alone**2, weights**2 @ shared**2)))
    # n/(n − 1), as for any variance about an estimated mean.
    questions = float(weights**2 @ (chosen - accuracy) ** 2) * (n / (n - 1) if n > 1 else math.nan)
    both = math.sqrt(questions + (samples**2 if math.isfinite(samples) else 0.0))
    # An interval of shares ends at 0 and 1; utilities on other scales have no such ends.
    shares = bool(((chosen >= 0) & (chosen <= 1)).all())
    return Claim(
        accuracy,
        *_around(accuracy, z * samples, shares),
        *_around(accuracy, z * both, shares),
        level=float(level),
        cross_fitted=bool(table.trials),
    )


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
    told = np.isfinite(found)
    mean = np.where(told, found, 0.0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
    # Questions with one sample cannot be halved: they keep the table's estimate.
    own = table.acc[np.arange(len(plan.actions)), plan.actions]
    return np.asarray(np.where(told.any(axis=0), mean, own), np.float64)

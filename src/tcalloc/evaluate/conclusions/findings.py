"""What the report says, as figures: where the compute goes, what claims are worth, what targets take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tcalloc.evaluate.conclusions.headline import Span, fixed, spend_for
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.evaluate.thresholds import OFF

__all__ = ["Claim", "Group", "Target", "claims", "elsewhere", "groups", "targets"]

# Steps between target accuracies, in points, and how many targets there are at most within reach.
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
TARGETS = 6


def elsewhere(spend: float, budget: float) -> bool:
    """Return whether what was really spent is not the budget: more than 1 % above or below it."""
    return abs(spend - budget) > OFF * budget


# ---------------------------------------------------------------------------------------------- where compute goes


@dataclass(frozen=True, slots=True)
class Group:
    """Questions of one difficulty, at one budget. NaN: there are none, or nothing is spent."""

    name: str
    share: float
    """Share of the questions, 0 to 1."""
    spent: float
    """Share of the policy's spend."""
    mixture_spent: float
    """Share of the mixture's."""
    accuracy: float
    """Accuracy of the policy on these questions."""
    mixture_accuracy: float


def groups(result: ComparisonFigures, standing: Standing, b: int) -> list[Group]:
    """Return where the policy and the mixture spend at the b-th budget, and what comes of it."""
    both = standing, result[result.reference]
    totals = [float(one.question_spend[b].sum()) for one in both]
    found = []
    for code, name in enumerate(result.difficulty_names):
        rows = result.difficulty == code
        paid = [float(one.question_spend[b][rows].sum()) for one in both]
        spent = [part / total if total > 0 else math.nan for part, total in zip(paid, totals, strict=True)]
        right = [float(one.question_accuracy[b][rows].mean()) if rows.any() else math.nan for one in both]
        found.append(Group(name, float(rows.mean()), *spent, *right))
    return found


# ---------------------------------------------------------------------------------------------- claims


@dataclass(frozen=True, slots=True)
class Claim:
    """What a policy promised for a budget from training questions alone, and what came of it.

    There is no interval. Both figures come from the same questions, each of which serves for training and is held out,
    and what single questions contributed to a claim is not recorded. The interval of the held-out accuracy is no
    substitute: it holds the luck that both figures share, and is so wide that hardly any claim lies outside.
    """

    policy: str
    budget: float
    """The budget that was asked for."""
    spend: float
    """What the held-out questions really spent."""
    claimed: float
    accuracy: float
    """Held out."""

    @property
    def off(self) -> float:
        """Claimed minus held out."""
        return self.claimed - self.accuracy


def claims(result: ComparisonFigures) -> list[Claim]:
    """Return all claims of policies and baselines, policy by policy."""
    found = [
        Claim(one.name, budget, float(one.spend[b]), float(one.claimed[b]), float(one.accuracy[b]))
        for one in result.standings
        for b, budget in enumerate(result.budgets.tolist())
        if one.kind != "bound"
    ]
    return [claim for claim in found if np.isfinite([claim.spend, claim.claimed, claim.accuracy]).all()]


# ---------------------------------------------------------------------------------------------- targets


@dataclass(frozen=True, slots=True)
class Target:
    """What an accuracy takes."""

    accuracy: float
    spans: tuple[Span, ...]
    """One for each standing that was asked for."""
    action: str | None
    """The cheapest fixed action that reaches it; None: none does."""
    action_spend: float


def targets(result: ComparisonFigures, standings: Sequence[Standing]) -> list[Target]:
    """Return what round accuracies take, from the cheapest action's up; the last one is beyond everybody."""
    curves = [standing.curve_accuracy[np.isfinite(standing.curve_accuracy)] for standing in standings]
    tops = [float(curve.max()) for curve in curves if len(curve)]
    rows = fixed(result)
    if not tops or not rows:
        return []
    low, high = rows[0][2], max(tops)
    step = next((step for step in STEPS if 100 * (high - low) / step <= TARGETS), STEPS[-1])
    if 100 * (high - low) < STEPS[0]:
        return []
    first, last = math.floor(100 * low / step + 1e-9) + 1, math.floor(100 * high / step + 1e-9) + 1
    found = []
    for level in range(first, last + 1):
        accuracy = level * step / 100
        if accuracy > 1:
            break
        action = next((row for row in rows if row[2] >= accuracy), None)
        spans = tuple(spend_for(standing, accuracy) for standing in standings)
        found.append(Target(accuracy, spans, *((None, math.nan) if action is None else action[:2])))
    return found

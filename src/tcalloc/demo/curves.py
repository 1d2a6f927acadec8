"""What the demonstration's parts share: curves, the best fixed mixtures, and paired intervals."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._frontier import Frontier, frontier
from tcalloc.errors import BudgetError

__all__ = ["Curve", "Mixture", "Needed", "interval", "needed"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """What the plot draws: accuracy over spend."""

    spend: list[float]
    accuracy: list[float]
    low: list[float] | None = None
    high: list[float] | None = None
    """Accuracy ± half the width of the lead's interval."""


class Mixture:
    """The best fixed mixtures of a table: what everyone may get, drawn without looking at the question."""

    def __init__(self, acc: Floats, cost: Floats):
        self.curve: Frontier = frontier(acc.mean(axis=0)[None, :], cost)
        self.vertices = [int(self.curve.allocate(budget).actions[0]) for budget in self.curve.budgets]
        self.pure = acc[:, self.vertices]

    def per_question(self, spend: float) -> Floats:
        """Return each question's expected accuracy in the best mixture of that spend."""
        return np.asarray(self.pure @ self.shares(spend))

    def shares(self, spend: "float | Floats") -> Floats:
        """Return how much of each vertex (a row) the mixture has: all of one, or parts of two neighbours."""
        budgets = self.curve.budgets
        return np.array([np.interp(spend, budgets, unit) for unit in np.eye(len(budgets))])


def interval(differences: Floats) -> tuple[Any, Any]:
    """Return mean and half width of the 95 % interval over questions (the first axis)."""
    error = differences.std(axis=0, ddof=1) / math.sqrt(len(differences))
    return differences.mean(axis=0), 1.96 * error


Needed = tuple[float | None, float | None, float | None]


def needed(chosen: Floats, fixed: Mixture) -> Needed:
    """Return what the best fixed mixture must spend to be as accurate as a policy that reaches `chosen` (N,).

    The spend comes with the two ends of its interval. None: no spend is enough.
    """
    spends = np.linspace(fixed.curve.budgets[0], fixed.curve.budgets[-1], 4000)
    behind, half_width = interval(chosen[:, None] - fixed.pure @ fixed.shares(spends))

    def first(enough: NDArray[np.bool_]) -> float | None:
        return float(spends[enough.argmax()]) if enough.any() else None

    try:
        enough = float(fixed.curve.budget_for(float(chosen.mean())))
    except BudgetError:
        enough = None
    return enough, first(behind <= half_width), first(behind <= -half_width)

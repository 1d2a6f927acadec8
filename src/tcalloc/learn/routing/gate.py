"""The gate: is a policy better than the best fixed mixture? It is decided for each budget, on the training questions.

At a budget, the policy chooses by out-of-fold predictions, and is scored against the mixture of the same real spend.
If the mean gain is under 1.64 standard errors (one-sided 5 %), the gate is closed there: the policy serves the mixture.
If looking at X has a cost, what the mixture would gain for the same money is deducted from the gain.

This is the only gate: `compare` judges policies that use it themselves.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._frontier import frontier
from tcalloc.errors import InputError
from tcalloc.learn.training import Mix, Training, fallback

__all__ = ["BUDGETS", "Gate", "difference", "fixed_outcomes", "gains"]

Floats = NDArray[np.float64]

# The standard errors that a gain must have to open the gate.
ENOUGH = 1.64
# Number of budgets on the grid: half of them evenly spaced, half of them close to the cheapest.
BUDGETS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Gains over the mixture on a grid of budgets, out of fold."""

    budgets: Floats
    """(B,) budgets, rising."""
    prices: Floats
    """(B,) the prices that spend these budgets on the training questions, falling."""
    gain: Floats
    """(B,) mean gain in accuracy."""
    error: Floats
    """(B,) standard error of the gain; 0 if both choose the same."""
    used: bool
    """False: the gate is always open, whatever the gains are."""
    mix: Mix
    """The mixture that is served where the gate is closed."""
    looks: float = 0.0
    """What looking at X costs per question."""

    @classmethod
    def fit(
        cls,
        predicted: Floats,
        planned: Floats,
        training: Training,
        *,
        used: bool,
        also: tuple[float, ...],
        looks: float = 0.0,
    ) -> "Gate":
        """Measure the gains on the training questions.

        Parameters
        ----------
        predicted : ndarray, (N, M)
            Out-of-fold predictions of the first M actions, in the form in which they would be priced.
        planned : ndarray, (N, M)
            Costs that were known before sampling.
        training : Training
            The true outcomes. Only the mixture may use actions beyond the first M.
        used : bool
            False: only the prices are wanted.
        also : tuple of float
            Budgets to measure besides the grid.
        looks : float
            What looking at X costs per question.
        """
        priced = predicted.shape[1]
        there = None if training.available is None else training.available[:, :priced]
        curve = frontier(predicted, planned, available=there, weights=training.weights)
        low, high = float(curve.budgets[0]), float(curve.budgets[-1])
        span = high - low
        grid = np.concatenate([np.linspace(low, high, BUDGETS // 2), low + span * np.geomspace(1e-3, 1, BUDGETS // 2)])
        budgets = np.unique(np.clip(np.concatenate([grid, [b for b in also if np.isfinite(b)]]), low, high))
        prices = curve.price_at(budgets)
        gain, error = np.zeros(len(budgets)), np.zeros(len(budgets))
        # If the features say nothing, every question has the same row, and only the order of the rows would choose.
        same = training.available is None and bool((np.ptp(predicted - predicted[:, :1], axis=0) < 1e-12).all())
        if used and not same:
            for b, budget in enumerate(budgets.tolist()):
                gain[b], error[b] = gains(curve.allocate(budget).actions, training)
        mix = Mix.of(training.mean_acc, training.mean_cost)
        return cls(budgets, np.asarray(prices, float), gain, error, used, mix, looks)

    def open_at(self, budget: float) -> bool:
        """Return whether the policy may decide at a budget."""
        gain, error = self.at(budget)
        left = gain - (self.mix.reached(budget + self.looks) - self.mix.reached(budget))
        return not self.used or (left > 0 and left >= ENOUGH * error)

    def at(self, budget: float) -> tuple[float, float]:
        """Return the gain at a budget and its standard error, interpolated on the grid."""
        return float(np.interp(budget, self.budgets, self.gain)), float(np.interp(budget, self.budgets, self.error))

    def budget_of(self, price: float) -> float:
        """Return the mean cost that a price spends on the training questions."""
        # The prices fall, but the search needs rising numbers.
        return float(self.budgets[min(int(np.searchsorted(-self.prices, -price)), len(self.budgets) - 1)])

    def price_of(self, budget: float) -> float:
        """Return the price of a budget, interpolated on the grid."""
        return float(np.interp(budget, self.budgets, self.prices))

    def open_budgets(self) -> list[tuple[float, float]]:
        """Return the ranges of budgets in which the gate is open, as (from, to)."""
        spans: list[tuple[float, float]] = []
        start = None
        for budget in self.budgets.tolist():
            if self.open_at(budget):
                start, last = (budget if start is None else start), budget
            elif start is not None:
                spans.append((start, last))
                start = None
        return spans if start is None else [*spans, (start, last)]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the gate as arrays for a file."""
        return {"budgets": self.budgets, "prices": self.prices, "gain": self.gain, "error": self.error}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], *, used: bool, mix: Mix, looks: float) -> "Gate":
        """Return the gate that `to_arrays` wrote, checked."""
        budgets, prices, gain, error = found = tuple(
            np.asarray(arrays[name], np.float64) for name in ("budgets", "prices", "gain", "error")
        )
        if budgets.ndim != 1 or not len(budgets) or any(x.shape != budgets.shape for x in found):
            raise InputError("budgets, prices, gain and error: expected lists of one length.")
        if any(not np.isfinite(x).all() for x in found) or (np.diff(budgets) < 0).any() or (np.diff(prices) > 0).any():
            raise InputError(
                "budgets, prices, gain and error: expected finite numbers, budgets rising, prices falling."
            )
        return cls(budgets, prices, gain, error, used, mix, looks)


def gains(actions: NDArray[Any], training: Training) -> tuple[float, float]:
    """Return the mean gain of actions over the best fixed mixture at the same real spend, and its standard error."""
    every = np.arange(len(actions))
    acc, cost = fixed_outcomes(training)
    return difference(training.acc[every, actions], training.cost[every, actions], acc, cost, training.weights)


def fixed_outcomes(training: Training) -> tuple[Floats, Floats]:
    """Return what each fixed action reaches and costs on each question, (N, K), replaced where a question lacks it."""
    n = len(training.acc)
    to = fallback(training.available, training.order, n)
    acc, cost = (np.nan_to_num(values[np.arange(n)[:, None], to]) for values in (training.acc, training.cost))
    return acc, cost


def difference(mine: Floats, paid: Floats, acc: Floats, cost: Floats, weights: Floats) -> tuple[float, float]:
    """Return the mean gain over the best fixed mixture at the same spend, and its standard error.

    The mixture is the best one of these very questions. The error is paired, and allows for the spend being a sample
    mean too: with v = acc − mixture − price·(cost − mixture's cost), the error of the mean gain is sd(v)/√n.

    Parameters
    ----------
    mine, paid : ndarray, (N,)
        The accuracy reached and the cost paid, by the policy.
    acc, cost : ndarray, (N, K)
        What each fixed action reaches and costs.
    weights : ndarray, (N,)
    """
    share_of = weights / weights.sum()
    mix = Mix.of(share_of @ acc, share_of @ cost)
    spend = float(share_of @ paid)
    low, high, share = mix.at(spend)
    theirs = (1 - share) * acc[:, low] + share * acc[:, high]
    owed = (1 - share) * cost[:, low] + share * cost[:, high]
    price = mix.price(spend) if spend >= mix.cost[0] else 0.0
    v = mine - theirs - price * (paid - owed)
    mean = float(share_of @ v)
    return mean, float(np.sqrt((share_of**2 * (v - mean) ** 2).sum()))

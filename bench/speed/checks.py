"""Whether an answer is as good as it says: every benchmark checks what it times.

Nothing here uses the package's own arithmetic. Weak duality makes the bound checkable at any size: at any price λ,
mean(max_a acc − λ·cost) + λ·budget is at least the linear program's optimum, and at the optimal price it equals it.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.speed.instances import Instance

__all__ = ["check_plan", "dual_value", "mean_of", "spend_is_kept"]

FEASIBLE = 1 + Fraction(1, 2**50)  # design.md §4
EQUAL = 1e-12  # relative: two ways to add up a million numbers
LP = 1e-9  # relative: against HiGHS


def _picked(values: NDArray[Any], actions: NDArray[Any]) -> NDArray[np.float64]:
    n = len(actions)
    chosen = values[actions] if values.ndim == 1 else values[np.arange(n), actions]
    return chosen.astype(np.float64)


def _exact_sum(terms: NDArray[np.float64]) -> Fraction:
    """Sum exactly, but for what is below 2⁻¹⁰⁶ of it."""
    values = terms.tolist()
    high = math.fsum(values)
    return Fraction(high) + Fraction(math.fsum([*values, -high]))


def _exact_dot(weights: NDArray[np.float64] | None, values: NDArray[np.float64]) -> Fraction:
    if weights is None:
        return _exact_sum(values)
    # w·v exactly: w in two parts of 26 bits, v likewise, and each of the four products is a float64.
    total = Fraction(0)
    for w in _halves(weights.astype(np.float64)):
        for v in _halves(values):
            total += _exact_sum(w * v)
    return total


def _halves(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split into a part of 26 bits and the rest, 26 bits as well (Veltkamp)."""
    t = 134217729.0 * x
    high = t - (t - x)
    return high, x - high


def mean_of(values: NDArray[Any], actions: NDArray[Any], weights: NDArray[np.float64] | None = None) -> float:
    """Return the exact weighted mean of the chosen cells, rounded once."""
    total = Fraction(len(actions)) if weights is None else _exact_sum(weights.astype(np.float64))
    return float(_exact_dot(weights, _picked(values, actions)) / total)


def spend_is_kept(instance: Instance, actions: NDArray[Any]) -> bool:
    """Whether Σ w·cost ≤ budget·Σ w·(1 + 2⁻⁵⁰), exactly."""
    if instance.budget == math.inf:
        return True
    weights = instance.weights
    total = Fraction(len(actions)) if weights is None else _exact_sum(weights)
    return _exact_dot(weights, _picked(instance.cost, actions)) <= Fraction(instance.budget) * total * FEASIBLE


def dual_value(instance: Instance, price: float) -> float:
    """Return the dual function at a price: an upper bound of what any choice within the budget reaches."""
    acc, cost = instance.acc.astype(np.float64), instance.cost.astype(np.float64)
    utility = acc - price * cost
    if instance.available is not None:
        utility[~instance.available] = -math.inf
    best = utility.max(axis=1)
    mean = best.mean() if instance.weights is None else np.dot(instance.weights, best) / instance.weights.sum()
    return float(mean) + (price * instance.budget if price else 0.0)


def check_plan(plan: Any, instance: Instance) -> None:
    """Assert the contract of tcalloc.solve on its answer."""
    n, k = instance.acc.shape
    actions = plan.actions
    assert actions.shape == (n,)
    assert actions.min() >= 0
    assert actions.max() < k
    if instance.available is not None:
        assert instance.available[np.arange(n), actions].all()
    assert spend_is_kept(instance, actions)
    accuracy = mean_of(instance.acc, actions, instance.weights)
    scale = max(abs(plan.upper_bound), 1e-300)
    assert abs(plan.spend - mean_of(instance.cost, actions, instance.weights)) <= EQUAL * plan.spend
    assert abs(plan.accuracy - accuracy) <= EQUAL * scale
    assert plan.upper_bound >= accuracy - EQUAL * scale
    # The bound is the dual optimum: it equals the dual function at the price, and no other price gives less.
    near = EQUAL * scale + 2.0**-50 * plan.price * float(instance.cost.max())  # utilities are that far from exact
    assert abs(plan.upper_bound - dual_value(instance, plan.price)) <= near
    for other in (plan.price * 0.999, plan.price * 1.001, plan.price * 2):
        assert dual_value(instance, other) >= plan.upper_bound - 2 * near
    # The gap is at most what the one divided step would bring.
    weights = np.ones(n) if instance.weights is None else instance.weights
    step = 0.0
    if plan.split is not None:
        row, lower, upper, fraction = plan.split
        cost = np.broadcast_to(instance.cost, (n, k))
        assert 0 < fraction < 1
        gained = float(instance.acc[row, upper]) - float(instance.acc[row, lower])
        paid = float(cost[row, upper]) - float(cost[row, lower])
        assert abs(gained - plan.price * paid) <= 1e-9 * gained
        step = weights[row] * gained / weights.sum()
    assert plan.gap <= step * (1 + 1e-9) + EQUAL * scale

"""What is said of a plan or of a curve: how often each action is used, and what giving everyone the same reaches.

What to use when
----------------
`action_uses`
    For each action: how many questions get it, what it costs and reaches there.
`fixed_mixture`
    The best fixed mixture of a table at every budget, as a `Frontier`.
`mixture_beside`
    The best fixed mixture at the spend of a plan, and what it would need for the plan's accuracy.
`curve_points`
    A few budgets that show a curve, with what they reach.
"""

import contextlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc._frontier import Frontier, frontier
from tcalloc._rounding import SUMMED
from tcalloc._solve import Allocation
from tcalloc.errors import BudgetError
from tcalloc.measure.table import Table

__all__ = ["ActionUse", "MixtureBeside", "action_uses", "curve_points", "fixed_mixture", "mixture_beside"]

Floats = NDArray[np.float64]


class ActionUse(NamedTuple):
    """What a plan uses one action for; means are weighted, NaN where no question gets it."""

    action: str
    """Its name, or its number where actions have no names."""
    instances: int
    """How many questions get it."""
    share: float
    """Their share of all questions, weighted."""
    mean_cost: float
    mean_accuracy: float


def action_uses(table: Table, plan: Allocation) -> list[ActionUse]:
    """Return what each action of a table is used for by a plan.

    Parameters
    ----------
    table : Table
        What was solved.
    plan : Allocation
        As ``table.solve`` returned it.

    Examples
    --------
    >>> from tcalloc import Table
    >>> table = Table([[0.9, 0.95], [0.3, 0.8]], [1, 4], action_names=("vote1", "vote4"))
    >>> [(use.action, use.instances, use.mean_accuracy) for use in action_uses(table, table.solve(2.5))]
    [('vote1', 1, 0.9), ('vote4', 1, 0.8)]
    """
    rows, k = np.arange(len(plan.actions)), len(plan.counts)
    cost = table.cost[plan.actions] if table.cost.ndim == 1 else table.cost[rows, plan.actions]
    weights = _weights(table)
    with np.errstate(all="ignore"):
        weight = np.bincount(plan.actions, weights, k)
        means = []
        for values in (cost, table.acc[rows, plan.actions]):
            exponent = _exponent(values)
            scaled = np.ldexp(values.astype(np.float64), -exponent)
            means.append(np.ldexp(np.bincount(plan.actions, weights * scaled, k) / weight, exponent))
    return [
        ActionUse(
            _name(table, a),
            int(plan.counts[a]),
            float(weight[a] / weight.sum()),
            float(means[0][a]),
            float(means[1][a]),
        )
        for a in range(k)
    ]


# ---------------------------------------------------------------------------------------------- the fixed mixture


def fixed_mixture(table: Table) -> Frontier | None:
    """Return what the best fixed mixture of a table reaches at every budget; None if some question lacks an action.

    A fixed mixture gives the same one or two actions to all questions at random, without looking at them.

    Parameters
    ----------
    table : Table
        Accuracies and costs.

    Examples
    --------
    >>> from tcalloc import Table
    >>> fixed_mixture(Table([[0.9, 0.95], [0.3, 0.8]], [1, 4])).accuracy_at(4.0)
    0.875
    """
    if table.available is not None and not table.available.all():
        return None
    weights = _weights(table)
    acc, cost = (_column_means(values, weights) for values in (table.acc, np.broadcast_to(table.cost, table.acc.shape)))
    return frontier(acc[None, :], cost[None, :], action_names=table.action_names)


class MixtureBeside(NamedTuple):
    """The best fixed mixture at the spend of a plan."""

    accuracy: float
    parts: tuple[tuple[str, float], ...]
    """The action's name, and the share of questions that get it."""
    gain: float
    """The plan's accuracy minus that of the mixture."""
    spend_for_the_same_accuracy: float | None
    """What the mixture must spend to be as accurate as the plan; None where it never is, or where there is no gain."""


def mixture_beside(table: Table, plan: Allocation) -> MixtureBeside | None:
    """Return the best fixed mixture at the spend of a plan; None if some question lacks an action.

    Parameters
    ----------
    table : Table
        What was solved.
    plan : Allocation
        As ``table.solve`` returned it.

    Raises
    ------
    BudgetError
        If no fixed mixture is this cheap; its ``limit`` is what the cheapest action for everyone costs.

    Examples
    --------
    >>> from tcalloc import Table
    >>> table = Table([[0.9, 0.95], [0.3, 0.8]], [1, 4], action_names=("vote1", "vote4"))
    >>> mixture_beside(table, table.solve(2.5)).parts
    (('vote1', 0.5), ('vote4', 0.5))
    """
    curve = fixed_mixture(table)
    if curve is None:
        return None
    mixed = curve.allocate(_affordable(plan.spend, curve))
    parts = {int(mixed.actions[0]): 1.0}
    if mixed.split is not None:
        parts = {mixed.split.lower: 1.0 - mixed.split.fraction, mixed.split.upper: mixed.split.fraction}
    # Where both are the same choice, their sums may round differently.
    gain = plan.accuracy - mixed.upper_bound
    gain = 0.0 if abs(gain) < SUMMED * abs(plan.accuracy) else gain
    needed = None
    if gain > 0:
        with contextlib.suppress(BudgetError):
            needed = float(curve.budget_for(plan.accuracy))
    return MixtureBeside(mixed.upper_bound, tuple((_name(table, a), share) for a, share in parts.items()), gain, needed)


# ---------------------------------------------------------------------------------------------- a curve


def curve_points(curve: Frontier, mixture: Frontier | None = None, points: int = 12) -> dict[str, Floats]:
    """Return budgets from the smallest to the last useful one, with what they reach.

    Parameters
    ----------
    curve : Frontier
        Of a table.
    mixture : Frontier, optional
        The best fixed mixture of the same table: `fixed_mixture`.
    points : int
        About how many budgets, at least 2.

    Returns
    -------
    dict of str to ndarray
        "budget", "accuracy", "price" (of the next unit of cost) and, with a mixture, "best_fixed_mixture": its
        accuracy, NaN where it cannot be this cheap.
    """
    vertices, reached = curve.budgets, curve.accuracies
    low, high = vertices[[0, -1]].tolist()
    span, rise = high - low, reached[-1] - reached[0]
    budgets = np.array([low])
    if span > 0 and rise > 0:
        # From point to point the shares of budget and accuracy rise by the same sum: many points where the curve is
        # steep, and some where it is flat.
        way = (vertices - low) / span + (reached - reached[0]) / rise
        between = np.interp(np.linspace(0.0, way[-1], points)[1:-1], way, vertices)
        digits = 4 + math.ceil(math.log10(high / span))  # enough to tell them apart
        between = np.array([float(f"{budget:.{digits}g}") for budget in between.tolist()])
        budgets = np.unique([low, *between[(between > low) & (between < high)], high])
    found = {"budget": budgets, "accuracy": curve.accuracy_at(budgets), "price": curve.price_at(budgets)}
    if mixture is not None:
        found["best_fixed_mixture"] = np.array([_accuracy(mixture, budget) for budget in budgets.tolist()])
    return found


def _accuracy(mixture: Frontier, budget: float) -> float:
    try:
        return float(mixture.accuracy_at(_affordable(budget, mixture)))
    except BudgetError:  # instances differ in which action is the cheapest
        return float("nan")


def _affordable(spend: float, mixture: Frontier) -> float:
    """Return the spend, or what the cheapest action costs if both are the same but for the rounding of sums."""
    least = float(mixture.budgets.min())
    return least if least * (1 - SUMMED) <= spend < least else spend


def _weights(table: Table) -> Floats:
    return np.ones(len(table.acc)) if table.weights is None else table.weights / table.weights.max()


def _column_means(values: NDArray[Any], weights: Floats) -> Floats:
    """Return the weighted mean of each column."""
    exponent = _exponent(values)
    with np.errstate(under="ignore"):
        scaled = np.ldexp(values.astype(np.float64), -exponent)
        return np.asarray(np.ldexp(np.average(scaled, axis=0, weights=weights), exponent))


def _exponent(values: NDArray[Any]) -> int:
    """Return the power of two that keeps sums of the values within float64."""
    return math.frexp(float(np.abs(values).max()))[1]


def _name(table: Table, a: int) -> str:
    return str(a) if table.action_names is None else table.action_names[a]

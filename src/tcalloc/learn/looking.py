"""What having X costs, for policies that read it.

What to use when
----------------
`feature_cost_of`
    The parameter ``feature_cost``, checked.
`looking_cost`
    What a fitted policy pays for X per question, as it is set now.
`spending`
    A policy set so that its samples and X together spend a budget.
"""

import math
from typing import Any

from tcalloc._inputs import scalar
from tcalloc.errors import BudgetError, InputError

__all__ = ["feature_cost_of", "looking_cost", "spending"]


def feature_cost_of(value: Any) -> float:
    """Return what having X costs per question, checked.

    Raises
    ------
    InputError
        If it is not a finite number of at least 0.
    """
    found = scalar(value, "feature_cost")
    if not 0 <= found < math.inf:
        raise InputError(
            f"feature_cost is {found:g}; expected a finite number of at least 0, in the unit of the costs: what having "
            "X costs per question."
        )
    return found


def looking_cost(policy: Any) -> float:
    """Return what a policy pays for X per question, as it is set now; 0 for policies that do not read X."""
    return float(getattr(policy, "looking_cost_", 0.0))


def spending(policy: Any, budget: float) -> Any:
    """Return a policy set so that its samples and X together spend a budget.

    Policies that decide beforehand have budgets without the cost of X. Where such a policy serves the best fixed
    mixture, X is not needed, and the samples get the whole budget.

    Parameters
    ----------
    policy : policy
        Any fitted policy with ``at(budget)``; others are returned as they are.
    budget : float
        Mean cost per question, with that of X.

    Raises
    ------
    BudgetError
        If the budget does not cover X and the cheapest action.
    """
    at = getattr(policy, "at", None)
    if at is None:
        return policy
    price = float(getattr(policy, "feature_cost", 0.0))
    if not price or getattr(policy, "looks_within_budget", False):
        return at(budget)
    try:
        made = at(budget - price)
    except BudgetError as error:
        made = at(budget)
        if not looking_cost(made):
            return made
        raise BudgetError(
            f"budget is {budget:g}, and having X costs {price:g} of it per question. Without that: {error}",
            error.limit + price,
        ) from None
    return made if looking_cost(made) else at(budget)

"""Questions that are to be decided, and what fixed actions, and mixtures of them, become on these questions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean, is_whole
from tcalloc.errors import InputError
from tcalloc.learn.outcomes import Part, Served
from tcalloc.learn.rows import Rows
from tcalloc.learn.training import Mix, fallback
from tcalloc.measure.actions import Action

__all__ = ["Batch", "checked_available", "mixed", "named", "obtainable"]

Floats = NDArray[np.float64]


class Batch:
    """Questions that are to be decided, with what is known about them before sampling."""

    __slots__ = ("available", "cost", "numbers", "rows")

    def __init__(self, rows: Rows, cost: Floats, available: NDArray[np.bool_] | None):
        self.rows = rows
        self.cost = cost
        """(n, K) or (K,) costs that are known before sampling."""
        self.available = available
        self.numbers: Floats | None = None
        """(n,) random numbers, drawn when a mixture first needs them."""

    @property
    def mean_cost(self) -> Floats:
        """(K,) the mean cost of each action."""
        return self.cost if self.cost.ndim == 1 else np.asarray(self.cost.mean(axis=0))


def checked_available(available: Any, n: int, k: int) -> NDArray[np.bool_] | None:
    """Return a mask of the actions that each question has; raise an error if a question has none."""
    if available is None:
        return None
    there = np.asarray(available)
    if there.dtype != np.bool_ or there.shape != (n, k):
        raise InputError(
            f"available has dtype {there.dtype} and shape {there.shape}; expected booleans of shape ({n}, {k})."
        )
    if not there.any(axis=1).all():
        row = int(there.any(axis=1).argmin())
        raise InputError(f"available[{row}] is False everywhere: the question has no action. Drop it.")
    return there


def named(names: tuple[str, ...], chosen: Any, what: str) -> int:
    """Return the number of a column, which is given by its number or its name."""
    if isinstance(chosen, str):
        if chosen in names:
            return names.index(chosen)
    elif isinstance(chosen, Action):
        if chosen.name in names:
            return names.index(chosen.name)
    elif is_whole(chosen) and 0 <= chosen < len(names):
        return int(chosen)
    raise InputError(
        f"{what} is {chosen!r}; expected one of {', '.join(names)}, or a column from 0 to {len(names) - 1}."
        f"{did_you_mean(chosen, names)}"
    )


def obtainable(chosen: NDArray[Any], batch: Batch) -> NDArray[np.int32]:
    """Replace an action that a question does not have by the next cheaper action that it has."""
    actions = np.asarray(chosen, np.int32)
    if batch.available is None:
        return actions
    costs = batch.mean_cost
    to = fallback(batch.available, np.argsort(costs, kind="stable"), len(actions))
    return np.asarray(to[np.arange(len(actions)), actions], np.int32)


def mixed(mix: Mix, batch: Batch, budget: float) -> Served:
    """Return what a mixture serves at a budget: a random share of the questions gets the more expensive action.

    Raises
    ------
    BudgetError
        If even the cheapest action costs more than the budget.
    """
    mix.check(budget)
    low, high, share = mix.at(budget)
    actions = [obtainable(np.full(batch.rows.n, column), batch) for column in (high, low)]
    parts = [Part(share, actions[0]), Part(1.0 - share, actions[1])] if share else [Part(1.0, actions[1])]
    return Served(parts, mix.reached(budget), looks=False)

"""What fixed actions, and mixtures of them, become on a batch of questions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.outcomes import Part, Served
from tcalloc.learn.routing.batch import Batch
from tcalloc.learn.training import Mix, fallback

__all__ = ["mixed", "obtainable"]


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

"""`Sequential`, trained without the held-out questions and replayed on them; of several models a cascade."""

from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import concave, rounding
from tcalloc.evaluate.contestants.cache import once
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Tuned
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.sequential import Sequential

__all__ = ["Stopping"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Stopping:
    """`Sequential` at all its budgets."""

    problem: Problem
    """The comparison that it takes part in. It has samples."""
    policy: Sequential | None = None
    """The user's own: its parameters are used. None: all that are usual."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        problem = self.problem
        # The rows as they are: made of features, whose columns would be scaled again, it predicts worse.
        rows = problem.rows
        samples = problem.samples
        assert samples is not None
        if self.policy is None:
            policy = Sequential(
                answer_by="verifier" if problem.verifier else None, feature_cost=problem.feature_cost, random_state=seed
            )
        else:
            policy = copy(self.policy)
            policy.feature_cost = problem.feature_cost or policy.feature_cost
        policy.fit(None if rows is None else rows.take(train), samples.take(train))
        frontier = policy.frontier()
        keep = np.append(True, np.diff(frontier.spend) > rounding(frontier.spend))
        budgets = frontier.spend[keep]
        if budgets[-1] <= 0:  # nothing was ever right: it draws nothing
            nothing = np.zeros((1, len(held)))
            return Tuned(np.zeros(1), np.zeros(1), nothing, nothing, np.zeros(1))
        orders = once((problem.token, "orders"), lambda: _orders(problem))
        columns = {arm: order[:, held] for arm, order in orders.items()}
        found = policy.replay(
            None if rows is None else rows.take(held), samples.take(held), budgets=budgets, columns=columns
        )
        return Tuned(budgets, concave(budgets), found.spend, found.accuracy, frontier.accuracy[keep])


def _orders(problem: Problem) -> dict[str, NDArray[np.intp]]:
    assert problem.samples is not None
    return {
        arm: random_orders(model.drawn, problem.orders, a)
        for a, (arm, model) in enumerate(problem.samples.by_model.items())
    }

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
        known = problem.rows is not None
        found = [self._of(train, held, seed, known)]
        if known and problem.feature_cost:
            # Looking at X is charged: whether it pays is seen out of fold among the training questions.
            found.append(self._of(train, held, seed, False))
        spend, claimed, held_spend, held_accuracy = (np.concatenate([part[i] for part in found]) for i in range(4))
        order = claimed if len(found) > 1 else concave(spend)
        return Tuned(spend, order, held_spend, held_accuracy, claimed)

    def _of(self, train: Rows, held: Rows, seed: int, known: bool) -> tuple[Floats, Floats, Floats, Floats]:
        """Return what each budget spends and promises on the training questions, and does on the held-out ones."""
        problem, samples = self.problem, self.problem.samples
        assert samples is not None
        # The rows as they are: made of features, whose columns would be scaled again, it predicts worse.
        rows = problem.rows if known else None
        if self.policy is None:
            policy = Sequential(answer_by="verifier" if problem.verifier else None, random_state=seed)
        else:
            policy = copy(self.policy)
        policy.fit(None if rows is None else rows.take(train), samples.take(train))
        frontier = policy.frontier()
        keep = np.append(True, np.diff(frontier.spend) > rounding(frontier.spend))
        budgets = frontier.spend[keep]
        if budgets[-1] <= 0:  # nothing was ever right: it draws nothing
            nothing = np.zeros((1, len(held)))
            return np.zeros(1), np.zeros(1), nothing, nothing
        orders = once((problem.token, "orders"), lambda: _orders(problem))
        columns = {arm: order[:, held] for arm, order in orders.items()}
        found = policy.replay(
            None if rows is None else rows.take(held), samples.take(held), budgets=budgets, columns=columns
        )
        looks = np.zeros(len(budgets))
        if known and problem.feature_cost:
            candidates = policy._fitted().choices
            families = [candidates.candidates[candidates.at(float(b)).candidate].family for b in budgets]
            looks = problem.feature_cost * np.array([float(family.predicts) for family in families])
        return budgets + looks, frontier.accuracy[keep], found.spend + looks[:, None], found.accuracy


def _orders(problem: Problem) -> dict[str, NDArray[np.intp]]:
    assert problem.samples is not None
    return {
        arm: random_orders(model.drawn, problem.orders, a)
        for a, (arm, model) in enumerate(problem.samples.by_model.items())
    }

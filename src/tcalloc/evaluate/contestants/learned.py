"""Policies that decide beforehand by what X says: priced regressions (ridge, kNN) and imitators of the oracle."""

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import OfRegistry, concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.contestants.features import Given, matrix
from tcalloc.evaluate.contestants.tables import beyond, wide_table
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Tuned
from tcalloc.learn.training import Mix
from tcalloc.measure.table import Table

__all__ = ["Imitating", "Pricing"]

Rows = NDArray[np.intp]


class Pricing(OfRegistry):
    """Predict the row, shrink, gate, price: `PricedPolicy` does it all."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        problem, menu = self.problem, self.problem.menu
        x = matrix(problem, train, seed)
        base = hull(problem, train)
        columns = beyond(problem, base)
        policy = self.entry.policy(
            features=Given(), known_costs=_costs(problem), feature_cost=problem.feature_cost, random_state=seed
        )
        policy.fit(x[train], wide_table(problem, columns, train), predicted=len(menu.names))
        table = wide_table(problem, columns, held)
        known = np.asarray(table.cost) if problem.costs_known else None
        dial = dial_of(base, self.budgets)
        # The dial is of training questions. Where costs are known, the cheapest action may cost more on these.
        feasible = dial if known is None else np.maximum(dial, known.mean(axis=0).min())
        done = policy.replay(x[held], table, feasible, cost=known)
        nominal = done.budgets + (dial - feasible)
        return Tuned(nominal, concave(nominal), done.spend, done.accuracy, done.claimed)


def _costs(problem: Problem) -> str:
    if problem.costs_known:
        return "given"
    return "predicted" if np.ptp(problem.menu.cost, axis=0).any() else "mean"


class Imitating(OfRegistry):
    """A classifier of the oracle's actions, trained for each asked spend; between two of them it is a mixture.

    It may spend far less than the budget it is trained for, since it prefers what the oracle does most often; what it
    does not reach when it is trained for the largest spend asked for, it does not reach.
    """

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget, and below them the cheapest action."""
        from tcalloc.learn.routing.imitator import imitated_columns

        problem = self.problem
        x = matrix(problem, train, seed)
        columns = imitated_columns(problem.menu.take(train), self.budgets, nothing=not problem.usual)
        table, done_by = (self._table(columns, rows) for rows in (train, held))
        acc, cost = (np.asarray(of)[:, columns] for of in problem.menu_filled)
        ends = Mix.of(acc[train].mean(axis=0), cost[train].mean(axis=0))
        low, high = float(ends.cost[0]), float(ends.cost[-1])
        # (nominal spend, spend, accuracy); the cheapest action for all does not look.
        cheapest = int(ends.hull[0])
        settings = [(low, cost[held, cheapest], acc[held, cheapest])]
        # Above the cheapest action, and no more than is of use.
        for budget in sorted({min(budget, high) for budget in self.budgets if budget > low}):
            policy = self.entry.policy(
                budget=budget,
                features=Given(),
                known_costs="given" if problem.costs_known else "mean",
                random_state=seed,
            ).fit(x[train], table)
            known = cost[held] if problem.costs_known else None
            done = policy.replay(x[held], done_by, cost=known)
            looks = problem.feature_cost
            settings.append((budget + looks, done.spend[0] + looks, done.accuracy[0]))
        settings.sort(key=lambda setting: setting[0])
        nominal, spend, accuracy = (np.array(column) for column in zip(*settings, strict=True))
        return Tuned(nominal, concave(nominal), spend, accuracy)

    def _table(self, columns: NDArray[np.intp], rows: Rows) -> Table:
        acc, cost = (of[np.ix_(rows, columns)] for of in self.problem.menu_filled)
        there = self.problem.menu.available
        return Table(acc, cost, available=None if there is None else there[np.ix_(rows, columns)])

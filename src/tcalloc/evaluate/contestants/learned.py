"""Policies that decide beforehand by what X says: priced regressions (ridge, kNN) and imitators of the oracle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants._features import Given, matrix
from tcalloc.evaluate.contestants.base import concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.problem import Problem
from tcalloc.frontier import frontier
from tcalloc.learn._training import NOTHING, Mix, Training
from tcalloc.learn.folds import Frontier, Tuned
from tcalloc.measure.table import Table
from tcalloc.solve import solve

__all__ = ["MOST", "Imitating", "Pricing", "mixtures"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Actions that an imitator tells apart: boosted classifiers take as long as there are classes.
MOST = 8
BINS = 32


def mixtures(problem: Problem, frontier: Frontier, dial: Floats, rows: Rows) -> tuple[Floats, Floats]:
    """Return what the best fixed mixture spends and reaches at each spend, in expectation, (D, rows) each."""
    parts = [frontier.mix(float(spend)) for spend in dial]
    low, high = (np.array([part[i] for part in parts]) for i in (0, 1))
    share = np.array([part[2] for part in parts])[:, None]
    cost, acc = ((1 - share) * of[rows][:, low].T + share * of[rows][:, high].T
                 for of in (problem.fixed_cost, problem.fixed_accuracy))  # fmt: skip
    return cost, acc


@dataclass(frozen=True, slots=True, eq=False)
class Pricing:
    """Predict the row, shrink, gate, price. Where the gate is closed the best fixed mixture is served."""

    problem: Problem
    """Of which; with X."""
    regressor: str
    """"ridge" or "knn"."""
    budgets: tuple[float, ...]
    """Asked for: on the dial in any case."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        from tcalloc.learn.base import Batch
        from tcalloc.learn.inputs import as_rows
        from tcalloc.learn.priced import PricedRegressor

        problem, menu = self.problem, self.problem.menu
        x = matrix(problem, train, seed)
        policy = PricedRegressor(self.regressor, features=Given(), costs=_costs(problem), random_state=seed)
        policy.fit(x[train], problem.table(train))
        there = None if menu.available is None else menu.available[held]
        known = menu.cost[held] if problem.costs_known else policy.cost_
        predicted, planned = policy._seen(Batch(as_rows(x[held]), known, there))
        curve = frontier(predicted, planned, available=there)
        base = hull(problem, train)
        dial = dial_of(base, self.budgets)
        spend, accuracy = mixtures(problem, base, dial, held)
        claimed = np.interp(dial, base.spend, base.accuracy)
        nominal = dial.copy()
        # Looking at X costs: that must be gained as well, and is paid only where the gate is open.
        dearer = np.interp(dial + problem.feature_cost, base.spend, base.accuracy) - claimed
        acc, cost = problem.menu_filled
        for d, budget in enumerate(dial.tolist()):
            gain, error = policy.gate_.at(budget)
            if budget < curve.budgets[0] or gain <= dearer[d] or gain - dearer[d] < ENOUGH * error:
                continue
            chosen = curve.allocate(budget).actions
            spend[d] = cost[held, chosen] + problem.feature_cost
            accuracy[d] = acc[held, chosen]
            nominal[d] += problem.feature_cost
            claimed[d] += gain
        return Tuned(nominal, concave(nominal), spend, accuracy, claimed)


# As `tcalloc.learn.gate` asks for: standard errors that a gain must have.
ENOUGH = 1.64


def _costs(problem: Problem) -> str:
    if problem.costs_known:
        return "given"
    return "predicted" if np.ptp(problem.menu.cost, axis=0).any() else "mean"


@dataclass(frozen=True, slots=True, eq=False)
class Imitating:
    """A classifier of the oracle's actions, trained for each asked spend; between two of them it is a mixture.

    It may spend far less than the budget it is trained for, since it prefers what the oracle does most often; what it
    does not reach when it is trained for the largest spend asked for, it does not reach.
    """

    problem: Problem
    """Of which; with X."""
    weights: str
    """"plain" or "regret"."""
    budgets: tuple[float, ...]
    """For which it is trained."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget, and below them the cheapest action."""
        from tcalloc.learn.imitator import Imitator

        problem = self.problem
        x = matrix(problem, train, seed)
        columns = kept(problem.menu.take(train), self.budgets, nothing=not problem.usual)
        acc, cost = (of[:, columns] for of in problem.menu_filled)
        available = None if problem.menu.available is None else problem.menu.available[:, columns]
        there = (None, None) if available is None else (available[train], available[held])
        table = Table(acc[train], cost[train], available=there[0])
        ends = Mix.of(acc[train].mean(axis=0), cost[train].mean(axis=0))
        # (nominal spend, what looking at X costs, actions); the cheapest action for all does not look.
        settings = [(float(ends.cost[0]), 0.0, np.full(len(held), int(ends.hull[0])))]
        for budget in trained_for(self.budgets, float(ends.cost[0]), float(ends.cost[-1])):
            policy = Imitator(
                budget,
                boosted(seed),
                weights=self.weights,
                features=Given(),
                costs="given" if problem.costs_known else "mean",
                random_state=seed,
            ).fit(x[train], table)
            known = cost[held] if problem.costs_known else None
            actions = policy.decide(x[held], cost=known, available=there[1])
            settings.append((budget + problem.feature_cost, problem.feature_cost, actions))
        settings.sort(key=lambda setting: setting[0])
        nominal = np.array([setting[0] for setting in settings])
        spend = np.array([cost[held, actions] + looks for _, looks, actions in settings])
        return Tuned(nominal, concave(nominal), spend, np.array([acc[held, actions] for _, _, actions in settings]))


def trained_for(budgets: tuple[float, ...], low: float, high: float) -> list[float]:
    """Return the budgets to train for: above the cheapest action, and no more than is of use."""
    return sorted({min(budget, high) for budget in budgets if budget > low})


def boosted(seed: int) -> Any:
    """Return the paper's classifier: XGBoost, 100 trees of depth 5. Fewer bins take a quarter of the time."""
    from tcalloc.errors import MissingExtraError

    try:
        from xgboost import XGBClassifier
    except ImportError:
        raise MissingExtraError("an Imitator needs XGBoost: pip install 'tcalloc[learn]'") from None
    return XGBClassifier(n_estimators=100, max_depth=5, max_bin=BINS, n_jobs=1, random_state=seed)


def kept(menu: Training, budgets: tuple[float, ...], *, nothing: bool = True) -> NDArray[np.intp]:
    """Return the columns that an imitator tells apart: of many those on the hull, then those its oracle uses most.

    Parameters
    ----------
    menu : Training
        Of the training questions.
    budgets : tuple of float
        At which the oracle is asked.
    nothing : bool
        Whether leaving a question without an answer is among them. In the paper it is not, and the oracle of noisy
        labels would do that to all that look hopeless.
    """
    columns = np.array([a for a, name in enumerate(menu.names) if nothing or name != NOTHING])
    if len(columns) <= MOST:
        return columns
    acc, cost = np.nan_to_num(menu.acc)[:, columns], menu.mean_cost[columns]
    there = None if menu.available is None else menu.available[:, columns]
    hulled = Mix.of(menu.mean_acc[columns], cost).hull
    used = np.zeros(len(columns))
    for budget in budgets:
        if budget >= cost.min():
            plan = solve(acc, np.broadcast_to(cost, acc.shape), budget, available=there)
            used += np.bincount(plan.actions, minlength=len(columns))
    used[hulled] += len(acc) * len(budgets) + 1.0
    return np.sort(columns[np.argsort(-used, kind="stable")[:MOST]])

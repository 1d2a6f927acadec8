"""Baselines that look at little: all actions by lot, the prompt's length, a difficulty label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import concave, hull
from tcalloc.evaluate.problem import Problem
from tcalloc.learn._training import NOTHING, Mix
from tcalloc.learn.folds import Frontier, Tuned

__all__ = ["ByLabel", "ByLength", "ByLot", "dial_of"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Steps of a dial between the cheapest spend and the dearest.
STEPS = 24
# Questions' worth of all questions' means that each label's means start from.
PSEUDO = 10.0


def dial_of(frontier: Frontier, budgets: tuple[float, ...] = ()) -> Floats:
    """Return spends to try: the corners of a hull, so that mixing two neighbours never cuts one off, and a grid."""
    low, high = float(frontier.spend[0]), float(frontier.spend[-1])
    grid = low + (high - low) * np.concatenate([np.linspace(0, 1, STEPS), np.geomspace(1e-3, 1, STEPS)])
    asked = [b for b in budgets if low <= b <= high]
    dial = np.unique(np.concatenate([grid, frontier.spend, asked]))
    apart = np.append(True, np.diff(dial) > 1e-9 * max(high - low, 1e-300))
    return np.asarray(dial[apart])


@dataclass(frozen=True, slots=True, eq=False)
class ByLot:
    """All actions by lot, tilted towards cheap or dear ones: its expectation, no lots are drawn."""

    problem: Problem
    """Of which."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per mean cost of the lots."""
        from tcalloc.learn.baselines import Random

        problem = self.problem
        acc, cost = problem.menu_filled
        # Who answers by lot does answer.
        real = [a for a, name in enumerate(problem.menu.names) if name != NOTHING] or [0]
        acc, cost = acc[:, real], cost[:, real]
        means = cost[train].mean(axis=0)
        dial = np.unique(np.linspace(means.min(), means.max(), STEPS))
        policy = Random().fit(np.zeros((len(train), 1)), acc[train], cost=cost[train])
        chances = np.array([policy.chances(float(budget), means) for budget in dial])
        claimed = chances @ acc[train].mean(axis=0)
        return Tuned(dial, concave(dial), chances @ cost[held].T, chances @ acc[held].T, claimed)


@dataclass(frozen=True, slots=True, eq=False)
class ByLength:
    """The mixture's two actions, the dearer one for the longest questions."""

    problem: Problem
    """Of which; with texts."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per spend."""
        from tcalloc.learn.baselines import LengthHeuristic

        problem, texts = self.problem, self.problem.texts
        assert texts is not None
        acc, cost = problem.fixed_accuracy, problem.fixed_cost
        policy = LengthHeuristic().fit([texts[i] for i in train], acc[train], cost=cost[train])
        dial = dial_of(hull(problem, train))
        parts = []
        for rows in (train, held):
            some = [texts[i] for i in rows]
            chosen = np.array([policy.decide(some, budget=float(budget)) for budget in dial])
            parts.append((cost[rows, chosen] + problem.feature_cost, acc[rows, chosen]))
        (_, reached), (spend, accuracy) = parts
        nominal = dial + problem.feature_cost
        return Tuned(nominal, concave(nominal), spend, accuracy, reached.mean(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class ByLabel:
    """Each label's own best action at a price, by the training means of its questions."""

    problem: Problem
    """Of which; with labels."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per price at which a label changes its action."""
        problem, labels = self.problem, self.problem.labels
        assert labels is not None
        acc, cost = problem.fixed_accuracy, problem.fixed_cost
        count = np.bincount(labels[train], minlength=len(problem.label_names)).astype(np.float64)
        means = []
        for values in (acc[train], cost[train]):
            overall = values.mean(axis=0)
            total = np.zeros((len(count), values.shape[1]))
            np.add.at(total, labels[train], values)
            # A label that few questions have is known little of; one that none has is like all.
            means.append((total + PSEUDO * overall) / (count + PSEUDO)[:, None])
        of_label, paid = means
        slopes = []
        for row in range(len(count)):
            mix = Mix.of(of_label[row], paid[row])
            if len(mix.hull) > 1:
                slopes.append(np.diff(mix.acc) / np.diff(mix.cost))
        steps = np.unique(np.concatenate(slopes)) if slopes else np.empty(0)
        steps = steps[steps > 0]
        # Just beside each price at which some label is undecided, and beyond the first and the last one.
        prices = np.concatenate([[0.0], steps * (1 + 1e-9), steps[:1] / 2]) if len(steps) else np.zeros(1)
        chosen = np.unique([_best(of_label - price * paid, paid) for price in prices], axis=0)
        spends, reached = ([values[rows, choice[labels[rows]]] for choice in chosen]
                           for values, rows in ((cost, train), (acc, train)))  # fmt: skip
        accuracy = np.mean(reached, axis=1)
        return Tuned(
            np.mean(spends, axis=1),
            accuracy,
            np.array([cost[held, choice[labels[held]]] for choice in chosen]),
            np.array([acc[held, choice[labels[held]]] for choice in chosen]),
            accuracy,
        )


def _best(utility: Floats, cost: Floats) -> NDArray[np.intp]:
    """Return each row's best column, of equals the cheapest."""
    top = utility.max(axis=1, keepdims=True)
    return np.asarray(np.where(utility >= top - 1e-12, cost, np.inf).argmin(axis=1))

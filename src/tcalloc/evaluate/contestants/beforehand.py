"""Baselines that look at little: all actions at random, the prompt's length, a difficulty label."""

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import OfRegistry, concave, hull
from tcalloc.evaluate.contestants.tables import fixed_table
from tcalloc.learn.holdout.folds import Frontier, Tuned
from tcalloc.learn.training import NOTHING
from tcalloc.measure.table import Table

__all__ = ["AtRandom", "ByLabel", "ByLength", "dial_of"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Steps of a dial between the cheapest spend and the most expensive.
STEPS = 24


def dial_of(frontier: Frontier, budgets: tuple[float, ...] = ()) -> Floats:
    """Return spends to try: the corners of a hull, so that mixing two neighbours never cuts one off, and a grid."""
    low, high = float(frontier.spend[0]), float(frontier.spend[-1])
    grid = low + (high - low) * np.concatenate([np.linspace(0, 1, STEPS), np.geomspace(1e-3, 1, STEPS)])
    asked = [b for b in budgets if low <= b <= high]
    dial = np.unique(np.concatenate([grid, frontier.spend, asked]))
    apart = np.append(True, np.diff(dial) > 1e-9 * max(high - low, 1e-300))
    return np.asarray(dial[apart])


class AtRandom(OfRegistry):
    """All actions at random, tilted towards cheap or expensive ones, in expectation."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per mean cost."""
        problem = self.problem
        acc, cost = problem.menu_filled
        # Whoever answers at random does answer.
        real = [a for a, name in enumerate(problem.menu.names) if name != NOTHING] or [0]
        train_table, held_table = (Table(acc[rows][:, real], cost[rows][:, real]) for rows in (train, held))
        policy = self.entry.policy(random_state=seed).fit(None, train_table)
        dial = np.unique(np.linspace(policy.cost_.min(), policy.cost_.max(), STEPS))
        done = policy.replay(None, held_table, dial)
        return Tuned(dial, concave(dial), done.spend, done.accuracy, done.claimed)


class ByLength(OfRegistry):
    """The mixture's two actions, the more expensive one for the longest questions."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per spend."""
        problem, texts = self.problem, self.problem.texts
        assert texts is not None
        policy = self.entry.policy(random_state=seed)
        policy.fit([texts[i] for i in train], fixed_table(problem, train))
        dial = dial_of(hull(problem, train))
        seen, done = (
            policy.replay([texts[i] for i in rows], fixed_table(problem, rows), dial) for rows in (train, held)
        )
        nominal, looks = dial + problem.feature_cost, problem.feature_cost
        return Tuned(nominal, concave(nominal), done.spend + looks, done.accuracy, seen.accuracy.mean(axis=1))


class ByLabel(OfRegistry):
    """Each label's own best action at a price, by the training means of its questions."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per price at which a label changes its action."""
        problem, labels = self.problem, self.problem.labels
        assert labels is not None
        x = labels[:, None].astype(np.float64)
        policy = self.entry.policy(column=0, random_state=seed).fit(x[train], fixed_table(problem, train))
        done = policy.replay(x[held], fixed_table(problem, held), policy.settings())
        return Tuned(done.budgets, done.claimed, done.spend, done.accuracy, done.claimed)

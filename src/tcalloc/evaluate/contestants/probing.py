"""The priced policy that may pay for two samples first, and decides by what they show."""

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import OfRegistry, concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.contestants.features import Given, matrix
from tcalloc.evaluate.contestants.tables import actions_beyond, beyond
from tcalloc.learn.holdout.folds import Tuned

__all__ = ["Probing"]

Rows = NDArray[np.intp]

# Orders in which held-out questions are replayed (at most).
ORDERS = 40


class Probing(OfRegistry):
    """`PricedPolicy` with a probe; every question has as many samples as its largest action."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        problem, samples = self.problem, self.problem.samples
        assert samples is not None
        known = problem.rows is not None
        x = matrix(problem, train, seed) if known else None
        base = hull(problem, train)
        menu = list(problem.menu.actions or ())
        policy = self.entry.policy(
            features=Given() if known else False, feature_cost=problem.feature_cost, random_state=seed
        )
        policy.fit(
            None if x is None else x[train],
            samples.take(train),
            actions=[*menu, *actions_beyond(problem, beyond(problem, base))],
            predicted=len(menu),
        )
        spends = policy.probed_.spends
        top = max(float(base.spend[-1]), float(spends[-1]))
        dial = np.unique(np.concatenate([dial_of(base, self.budgets), spends[spends < top]]))
        done = policy.replay(
            None if x is None else x[held],
            samples.take(held),
            dial,
            orders=min(problem.orders, ORDERS),
            random_state=problem.seed,
        )
        return Tuned(done.budgets, concave(done.budgets), done.spend, done.accuracy, done.claimed)

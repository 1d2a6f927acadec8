"""The priced policy that may pay for two samples first, and decides by what they show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants._features import Given, matrix
from tcalloc.evaluate.contestants.base import concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.contestants.learned import mixtures
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.folds import Tuned

__all__ = ["PROBE", "Probing"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Samples of a probe, and orders in which held-out questions are replayed (at most).
PROBE, ORDERS = 2, 40


@dataclass(frozen=True, slots=True, eq=False)
class Probing:
    """`PricedRegressor` with a probe; where its gate is closed the best fixed mixture is served."""

    problem: Problem
    """Of which; with samples, of which every question has as many as its largest action."""
    budgets: tuple[float, ...]
    """Asked for."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        from tcalloc.learn._training import as_table
        from tcalloc.learn.inputs import as_rows
        from tcalloc.learn.priced import PricedRegressor
        from tcalloc.learn.probing import draws_of

        problem, samples = self.problem, self.problem.samples
        assert samples is not None
        told = problem.rows is not None
        x = matrix(problem, train, seed) if told else np.zeros((len(problem), 1))
        actions = list(problem.menu.actions or ())
        policy = PricedRegressor(probe=PROBE, features=Given() if told else False, random_state=seed)
        policy.fit(x[train], samples.take(train), actions=actions)
        probed = policy.probed_
        assert probed is not None
        rows, there = as_rows(x[held]), as_table(samples.take(held), len(held), policy.actions_, None)
        orders = min(problem.orders, ORDERS)
        draws = draws_of(samples.take(held), probed.plan, there.acc, there.cost, orders, problem.seed)
        predicted, seen = policy._predicted(rows), policy._x(rows)
        looks = problem.feature_cost if told else 0.0
        done = np.array([policy._replayed(draws, there, predicted, seen, float(price)) for price in probed.prices])
        base = hull(problem, train)
        top = max(float(base.spend[-1]), float(probed.spends[-1]))
        dial = np.unique(np.concatenate([dial_of(base, self.budgets), probed.spends[probed.spends < top]]))
        spend, accuracy = mixtures(problem, base, dial, held)
        claimed = np.interp(dial, base.spend, base.accuracy)
        dearer = np.interp(dial + looks, base.spend, base.accuracy) - claimed
        nominal = dial.copy()
        for d, budget in enumerate(dial.tolist()):
            gain, error = policy.gate_.at(budget)
            if budget < probed.spends[0] or gain <= dearer[d] or gain - dearer[d] < ENOUGH * error:
                continue
            one, other, share = probed.between(budget)
            reached, paid = (1 - share) * done[one] + share * done[other]
            spend[d], accuracy[d] = paid + looks, reached
            nominal[d] += looks
            claimed[d] = (1 - share) * probed.scores[one] + share * probed.scores[other]
        return Tuned(nominal, concave(nominal), spend, accuracy, claimed)


# As `tcalloc.learn.gate` asks for: standard errors that a gain must have.
ENOUGH = 1.64

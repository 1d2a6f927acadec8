"""One action for all questions, chosen by the budget."""

from typing import Any, Self

import numpy as np

from tcalloc._rounding import AFFORDED
from tcalloc.learn.outcomes import Part, Served
from tcalloc.learn.routing.baselines import Mixture
from tcalloc.learn.routing.batch import Batch, obtainable
from tcalloc.learn.rows import Rows
from tcalloc.learn.training import Training, affordable

__all__ = ["FixedChoice"]


class FixedChoice(Mixture):
    """The same action for all questions: the most accurate one that the budget affords.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default.
    random_state : int
        Not used; all policies have it.

    Notes
    -----
    It mixes nothing, so it usually spends less than the budget. It takes a more expensive action only if that is more
    accurate by at least 0.1 points on the training questions.

    Examples
    --------
    >>> from tcalloc.learn.routing.fixed_choice import FixedChoice
    >>> policy = FixedChoice(budget=3).fit(None, [[0.5, 0.6, 0.7], [0.2, 0.9, 0.9]], cost=[1, 2, 4])
    >>> policy.decide(["any question"]).tolist()
    [1]
    """

    def _learn(self, rows: Rows, training: Training) -> None:
        super()._learn(rows, training)
        self.steps_ = affordable(self.mean_acc_, self.cost_)

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        made = []
        for budget in budgets:
            self.mix_.check(budget)
            column = self._column(budget)
            chosen = obtainable(np.full(batch.rows.n, column), batch)
            made.append(Served([Part(1.0, chosen)], float(self.mean_acc_[column]), looks=False))
        return made

    def _column(self, budget: float) -> int:
        return [a for a in self.steps_ if a == self.steps_[0] or self.cost_[a] <= budget * (1 + AFFORDED)][-1]

    def _repr_lines(self) -> list[str]:
        return [] if self.setting_ is None else [f"always {self.action_names_[self._column(self.setting_)]}"]

    @classmethod
    def _from_state(cls, meta: Any, arrays: Any, boosters: Any) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        made.steps_ = affordable(made.mean_acc_, made.cost_)
        return made

"""What a policy that decides before sampling serves at a budget, and what that reaches on recorded questions."""

import math
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.outcomes import Part, PolicyOutcomes, Served, budgets_of, drawn, outcomes_of
from tcalloc.learn.protocol import uniform
from tcalloc.learn.routing.batch import Batch
from tcalloc.learn.rows import Rows, RowsLike, Schema, as_rows, unseen
from tcalloc.learn.training import Mix, SamplesLike, Training, as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.table import Table

__all__ = ["Serving"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int32]


class Serving:
    """The part of `tcalloc.learn.routing.base.LearnedPolicy` that determines what is served at which budget."""

    blind = False  # whether it decides without looking at the question, so that X may be None
    feature_cost: float = 0.0  # policies that can be charged for looking at X have it as a parameter

    if TYPE_CHECKING:
        schema_: Schema
        actions_: tuple[Action | None, ...] | None
        cost_: Floats
        mean_acc_: Floats
        mix_: Mix
        budget_: float | None
        random_state: int

        def _check_fitted(self) -> None: ...

        def _known_costs(self, cost: Any, n: int) -> Floats: ...

        def _own(self) -> tuple[float | None, float | None]: ...

        def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions: ...

    @property
    def quick(self) -> bool:
        """Whether it decides in about a millisecond, by computing alone: without embeddings or features of others."""
        features = getattr(self, "features_", None)
        return features is None or bool(getattr(features, "quick", False))

    def replay(
        self,
        X: RowsLike | None,
        samples: SamplesLike,
        budgets: ArrayLike | None = None,
        *,
        cost: ArrayLike | None = None,
        orders: int = 32,
        random_state: int = 0,
    ) -> PolicyOutcomes:
        """Return what the policy does at several budgets on recorded questions.

        Mixtures count in expectation over their random choices. `compare` judges policies by this method.

        Parameters
        ----------
        X : like that of `fit`
            None is allowed for policies that do not look at the question.
        samples : Samples, Table or array_like (n, K)
            What the policy's actions reach and cost on these questions. It is looked up only after the decision.
        budgets : array_like, (B,), optional
            Mean costs per question, solved on what is known about these questions before sampling, as in `decide`.
            Default: the policy's own setting.
        cost : array_like, (K,) or (n, K), optional
            Costs that are known before sampling; needed if ``known_costs="given"``.
        orders, random_state : int
            Number of random orders of each question's samples, and their seed: for policies with a probe.

        Returns
        -------
        PolicyOutcomes
            (B, n) spend and accuracy.

        Raises
        ------
        InputError
            If an argument is not allowed, or X and samples do not fit the policy.
        BudgetError
            If a budget cannot be kept.
        """
        self._check_fitted()
        rows = self._rows(X, samples)
        held = self._held(samples, rows.n)
        batch = Batch(rows, self._known_costs(cost, rows.n), held.available)
        if budgets is None:
            asked = [math.nan if self.budget_ is None else self.budget_]
            return outcomes_of([self._served_by_itself(batch)], asked, held, self.feature_cost)
        asked = budgets_of(budgets)
        return outcomes_of(self._served(batch, asked), asked, held, self.feature_cost)

    def _held(self, samples: SamplesLike, n: int) -> Training:
        """Return the held-out outcomes of the policy's actions."""
        held = as_table(samples, n, self.actions_, None)
        if held.acc.shape[1] != len(self.cost_):
            raise InputError(
                f"samples has {counted(held.acc.shape[1], 'action')}; expected the policy's {len(self.cost_)}."
            )
        return held

    def _rows(self, X: RowsLike | None, samples: SamplesLike) -> Rows:
        """Return the rows of X; if X is None, the names of the questions, which determine the random choices."""
        if X is not None:
            return as_rows(X, expected=self.schema_)
        n, ids = self._unseen(samples).n, getattr(samples, "ids", None)
        return as_rows([str(name) for name in (range(n) if ids is None else ids)], expected=self.schema_)

    def _unseen(self, samples: SamplesLike) -> Rows:
        """Return the rows if X is None; only policies that do not look at X allow that."""
        if not self.blind:
            raise InputError(
                f"X is None, but a {type(self).__name__} decides by the questions. Pass their texts or features, or "
                "use a policy that does not need them, such as Mixture or Sequential."
            )
        return unseen(len(samples.acc) if isinstance(samples, Table) else len(cast(Sized, samples)))

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        """Return what the policy serves at each budget; policies that share work between budgets do it here."""
        return [Served([Part(1.0, self._choose(batch, None, budget))]) for budget in budgets]

    def _served_by_itself(self, batch: Batch) -> Served:
        price, budget = self._own()
        if budget is not None:
            return self._served(batch, [budget])[0]
        return Served([Part(1.0, self._choose(batch, price, budget))])

    def _mix_for(self, batch: Batch) -> Mix:
        """Return the mixtures of fixed actions at the batch's costs."""
        return self.mix_ if batch.cost is self.cost_ else Mix.of(self.mean_acc_, batch.mean_cost)

    def _drawn(self, batch: Batch, parts: list[Part]) -> Actions:
        """Return one of the parts for each question, by a random number that depends on seed and question alone."""
        if len(parts) > 1 and batch.numbers is None:
            batch.numbers = self._order(batch.rows)
        return drawn(parts, batch.numbers)

    def _order(self, rows: Rows) -> Floats:
        """Return a number in [0, 1) per question; the lowest get the more expensive action."""
        return self._random_numbers(rows)

    def _random_numbers(self, rows: Rows) -> Floats:
        """Return a random number in [0, 1) per question, the same for the same question."""
        seed = int(self.random_state)
        return np.array([uniform(seed, key) for key in rows.keys()])  # noqa: SIM118 (not a dictionary)

"""How a policy that decides before sampling is replayed, calibrated and certified on recorded questions."""

import math
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import calibrate_price
from tcalloc.learn.holdout.certify import Certificate, certify
from tcalloc.learn.holdout.cost_range import CostRange, same_costs
from tcalloc.learn.outcomes import Part, PolicyOutcomes, Served, budgets_of, drawn, outcomes_of
from tcalloc.learn.protocol import uniform
from tcalloc.learn.routing.batch import Batch
from tcalloc.learn.rows import Rows, RowsLike, Schema, as_rows, unseen
from tcalloc.learn.training import Mix, SamplesLike, Training, as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.table import Table

__all__ = ["Judging"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int32]

# The number of prices that `calibrate` tries.
GRID = 200


class Judging:
    """The part of `tcalloc.learn.routing.base.LearnedPolicy` that replays, calibrates and certifies a policy."""

    known_costs = "mean"  # policies that can use known costs have it as a parameter
    blind = False  # whether it decides without looking at the question, so that X may be None
    feature_cost: float = 0.0  # policies that can be charged for looking at X have it as a parameter

    if TYPE_CHECKING:
        schema_: Schema
        actions_: tuple[Action | None, ...] | None
        cost_: Floats
        mean_acc_: Floats
        mix_: Mix
        price_: float | None
        budget_: float | None
        cost_range_: tuple[float, float]
        shared_costs_: bool
        guarantee_: Any
        random_state: int

        def _check_fitted(self) -> None: ...

        def _known_costs(self, cost: Any, n: int) -> Floats: ...

        def _own(self) -> tuple[float | None, float | None]: ...

        def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions: ...

        def _price_of(self, budget: float) -> float: ...

        def _decide(self, rows: Rows, budget: Any, price: Any, cost: Any, available: Any) -> Actions: ...

    # ------------------------------------------------------------------------------------------ replay

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
        return self._replay(X, samples, budgets, cost, orders, random_state)

    def _replay(
        self, X: RowsLike | None, samples: SamplesLike, budgets: Any, cost: Any, orders: int, random_state: int
    ) -> PolicyOutcomes:
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
        """Return a number in [0, 1) per question, the same for the same question; the lowest get the first part."""
        seed = int(self.random_state)
        return np.array([uniform(seed, key) for key in rows.keys()])  # noqa: SIM118 (not a dictionary)

    # ------------------------------------------------------------------------------------------ calibrate and certify

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        """Return the prices that `calibrate` tries, descending, and what to pass to `_choose` for each."""
        budgets = np.linspace(float(self.cost_.min()), float(self.cost_.max()), GRID)
        prices = np.array([self._price_of(budget) for budget in budgets])
        prices = np.unique(np.concatenate([[math.inf, 0.0], prices]))[::-1]
        return prices, [{"price": float(price)} for price in prices]

    def _worth(self) -> float | None:
        """Return the policy's price in accuracy per unit of cost, for the certificate."""
        return self.price_

    def calibrate(
        self,
        X: RowsLike | None,
        samples: SamplesLike,
        *,
        budget: float,
        confidence: float | None = None,
        cost: ArrayLike | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Self:
        """Set the price on held-out questions, so that the policy keeps the budget there.

        Parameters
        ----------
        X, samples : as in `fit`
            Questions that were not trained on, with what each action costs there; Samples if there is a probe. The
            weights of a Table weight the means.
        budget : float
            Mean cost per question.
        confidence : float, optional
            With it, P(expected spend > budget) ≤ 1 − confidence over the draw of the held-out questions, under the
            assumptions that `guarantee_` lists. Without it, the held-out mean keeps the budget.
        cost : array_like, (n, K), optional
            Costs known before sampling, if ``known_costs="given"`` and they differ from those of `samples`.
        low, high : float, optional
            The least and the most that one question may cost, future questions and a probe included; the guarantee
            rests on them.
            They are known without being given if one cost per action was given for all questions, or if all actions
            have rates without a charge for the prompt, and max_tokens. Otherwise pass `high`, because the highest cost
            seen is not the highest possible. The default of `low` is 0.

        Returns
        -------
        self

        Raises
        ------
        BudgetError
            If no price keeps the budget (with that confidence).
        InputError
            If an argument is not allowed, a cost lies outside [low, high], or the highest cost of a question is needed
            but not known.
        """
        self._check_fitted()
        rows = self._rows(X, samples)
        held = self._held(samples, rows.n)
        limits = self._limits(held, confidence, low, high)
        if cost is not None and self.known_costs != "given":
            raise InputError(
                f"cost given, but known_costs is {self.known_costs!r}: this policy does not look at a question's own "
                "costs. Leave cost out; the costs that are paid are in the samples or the table."
            )
        prices, settings = self._dial()
        known = self._known_costs(held.cost if cost is None and self.known_costs == "given" else cost, rows.n)
        spends = self._spends(samples, Batch(rows, known, held.available), held, settings)
        found = calibrate_price(prices, spends, budget, confidence, weights=held.weights, **limits)
        self._set_dial(found, settings[int(np.flatnonzero(prices == found.price)[0])])
        return self

    def _limits(self, held: Training, confidence: Any, low: Any, high: Any) -> dict[str, Any]:
        """Return the least and the most that one question may cost; nothing if neither is needed nor given."""
        if confidence is None and high is None:
            return {}
        known = self._same_range() if same_costs(self.shared_costs_, self.cost_, held) else None
        before = self._drawn_first()
        found = CostRange.of(known, self.actions_, held, low, high, self.cost_range_[1], before)
        return {"low": found.low, "high": found.high}

    def _same_range(self) -> tuple[float, float]:
        """Return the least and the most that a question costs, if every question costs the same."""
        return float(self.cost_.min()), float(self.cost_.max())

    def _drawn_first(self) -> Action | None:
        """Return the action that is drawn before any other; None if there is none."""
        return None

    def _spends(self, samples: SamplesLike, batch: Batch, held: Training, settings: list[dict[str, float]]) -> Floats:
        """Return what each held-out question costs in each setting of the dial, (n, P)."""
        every = np.arange(batch.rows.n)
        return np.column_stack([held.cost[every, chosen] for chosen in self._choices(batch, settings)])

    def _choices(self, batch: Batch, settings: list[dict[str, float]]) -> list[Actions]:
        return [self._choose(batch, setting.get("price"), setting.get("budget")) for setting in settings]

    def _set_dial(self, found: Any, setting: dict[str, float]) -> None:
        self.guarantee_ = found
        self.price_, self.budget_ = setting["price"], found.budget

    def certify(
        self,
        X: RowsLike | None,
        samples: SamplesLike,
        *,
        price: float | None = None,
        cost: ArrayLike | None = None,
        budget: float | None = None,
        splits: int = 4,
        level: float = 0.95,
        random_state: int = 0,
    ) -> Certificate:
        """Return how much the policy loses on held-out questions: see `tcalloc.learn.holdout.certify.certify`.

        Parameters
        ----------
        X, samples : as in `fit`
            Questions that were neither trained nor calibrated on.
        price : float, optional
            Default: the policy's.
        cost : array_like, (n, K), optional
            Costs known before sampling, if ``known_costs="given"`` and they differ from those of `samples`.
        budget : float, optional
            Mean cost per question that could have been spent. Default: the policy's budget; if it has none, the spend.
        splits : int
            Number of random halvings of the samples.
        level : float
            Confidence level of the intervals.
        random_state : int
            Seed of the halvings.

        Returns
        -------
        Certificate

        Raises
        ------
        InputError
            If an argument is not allowed, or X and samples do not fit the policy.
        """
        self._check_fitted()
        asked = self._worth() if price is None else price
        known = getattr(samples, "cost", None) if cost is None and self.known_costs == "given" else cost
        chosen = self._decide(self._rows(X, samples), None, price, known, None)
        return certify(
            chosen,
            samples,
            asked,
            budget=self.budget_ if budget is None else budget,
            actions=self.actions_,
            splits=splits,
            level=level,
            random_state=random_state,
        )

"""How a policy that decides before sampling is calibrated and judged on held-out questions."""

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import calibrate_price
from tcalloc.learn.holdout.certify import Certificate, certify
from tcalloc.learn.holdout.cost_range import CostRange, same_costs
from tcalloc.learn.routing.batch import Batch
from tcalloc.learn.routing.serving import Serving
from tcalloc.learn.rows import Rows, RowsLike
from tcalloc.learn.training import SamplesLike, Training
from tcalloc.measure.actions import Action

__all__ = ["Judging"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int32]

# The number of prices that `calibrate` tries.
GRID = 200


class Judging(Serving):
    """The part of `tcalloc.learn.routing.base.LearnedPolicy` that keeps budgets, and measures what a policy loses."""

    known_costs = "mean"  # policies that can use known costs have it as a parameter

    if TYPE_CHECKING:
        price_: float | None
        cost_range_: tuple[float, float]
        shared_costs_: bool
        guarantee_: Any

        def _price_of(self, budget: float) -> float: ...

        def _decide(self, rows: Rows, budget: Any, price: Any, cost: Any, available: Any) -> Actions: ...

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        """Return the prices that `calibrate` tries, descending, and what to pass to `_choose` for each."""
        prices = np.array([self._price_of(budget) for budget in self._budgets()])
        prices = np.unique(np.concatenate([[math.inf, 0.0], prices]))[::-1]
        return prices, [{"price": float(price)} for price in prices]

    def _budgets(self) -> Floats:
        low, high = float(self.cost_.min()), float(self.cost_.max())
        return np.linspace(low, high, GRID)

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
            Questions that were not trained on, with what each action costs there. The weights of a Table weight the
            means.
        budget : float
            Mean cost per question.
        confidence : float, optional
            With it, P(expected spend > budget) ≤ 1 − confidence over the draw of the held-out questions, under the
            assumptions that `guarantee_` lists. Without it, the held-out mean keeps the budget.
        cost : array_like, (n, K), optional
            Costs known before sampling, if ``known_costs="given"`` and they differ from those of `samples`.
        low, high : float, optional
            The least and the most that one question may cost, future questions included; the guarantee rests on them.
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
        batch = Batch(rows, known, held.available)
        every = np.arange(rows.n)
        spends = np.column_stack([held.cost[every, chosen] for chosen in self._choices(batch, settings)])
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

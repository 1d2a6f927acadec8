"""What a policy with a probe needs besides deciding: runs, their replay, calibration on samples."""

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import calibrate_price
from tcalloc.learn.outcomes import PolicyOutcomes, budgets_of, outcomes_of
from tcalloc.learn.protocol import DecidedRun, Run
from tcalloc.learn.routing.base import Actions, LearnedPolicy
from tcalloc.learn.routing.batch import Batch, mixed
from tcalloc.learn.routing.gate import Gate
from tcalloc.learn.routing.probe_patterns import Draws, draws_of
from tcalloc.learn.routing.probe_value import PROBE, Probed, ProbedRun
from tcalloc.learn.rows import RowLike, Rows, RowsLike, as_row
from tcalloc.learn.training import Mix, SamplesLike, Training, as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["ProbingPolicy"]

Floats = NDArray[np.float64]

# Random orders of each held-out question's samples on which a probe is calibrated.
ORDERS = 8


class ProbingPolicy(LearnedPolicy):
    """The part of `PricedPolicy` that concerns its probe; not a policy itself."""

    probed_: Probed | None
    gate_: Gate
    mix_: Mix
    predicted_: int
    width_: int

    if TYPE_CHECKING:

        def _predicted(self, rows: Rows) -> Floats: ...

        def _x(self, rows: Rows) -> Floats: ...

        def _mixed(self, batch: Batch, budget: float) -> Actions: ...

    def start(self, x: RowLike | None) -> Run:
        """Begin with one question; with a probe, first decide whether to draw it.

        Errors as in `LearnedPolicy.start`.

        Parameters
        ----------
        x : str, vector or mapping
            One row of X.
        """
        self._check_fitted()
        probed = self.probed_
        if probed is None:
            return super().start(x)
        assert self.actions_ is not None
        row = as_row(x, expected=self.schema_)
        price, budget = self._own()
        spend = self.gate_.budget_of(price) if price is not None else budget
        assert spend is not None
        if not self.gate_.open_at(spend):
            batch = Batch(row, self.cost_, None)
            return DecidedRun(self.actions_[int(self._mixed(batch, spend)[0])])
        if price is None:
            one, other, share = probed.between(spend)
            price = float(probed.prices[other if share and self._random_numbers(row)[0] < share else one])
        features = self._x(row)
        first = int(probed.first(self._predicted(row), features, price, self.cost_[: self.predicted_])[0])
        if first == PROBE:
            return ProbedRun(probed, features, price, self.actions_)
        return DecidedRun(self.actions_[first])

    def _replayed_at(
        self,
        X: RowsLike | None,
        samples: Samples,
        *,
        price: float | None = None,
        budget: float | None = None,
        orders: int,
        random_state: int,
    ) -> PolicyOutcomes:
        """Return what the runs at one setting reach and spend, as `replay` does."""
        if price is not None:
            budget = self.gate_.budget_of(price)
            if self.gate_.open_at(budget):
                rows, held, draws = self._drawn_from(X, samples, orders, random_state)
                accuracy, spend = self._replayed(draws, held, self._predicted(rows), self._x(rows), price)
                unknown = np.array([np.nan])
                return PolicyOutcomes(unknown, spend[None], accuracy[None], unknown)
        assert budget is not None
        return self.replay(X, samples, [budget], orders=orders, random_state=random_state)

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

        Parameters
        ----------
        X : like that of `fit`
            The questions; None is allowed for policies that do not look at them.
        samples : Samples or Table
            Recorded outcomes of the same questions: Samples if there is a probe.
        budgets : array_like, (B,), optional
            Mean costs per question. Default: the policy's own setting.
        cost : array_like, (K,) or (n, K), optional
            Costs that are known before sampling; needed if ``known_costs="given"``.
        orders, random_state : int
            Number of random orders of each question's samples, and their seed.
        """
        self._check_fitted()
        probed = self.probed_
        if probed is None:
            return super().replay(X, samples, budgets, cost=cost)
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; a policy with a probe is replayed on Samples.")
        if budgets is None:
            price, budget = self._own()
            return self._replayed_at(X, samples, price=price, budget=budget, orders=orders, random_state=random_state)
        rows, held, draws = self._drawn_from(X, samples, orders, random_state)
        batch = Batch(rows, self.cost_, None)
        predicted, x = self._predicted(rows), self._x(rows)
        known: dict[int, Floats] = {}

        def at(place: int) -> Floats:
            if place not in known:
                known[place] = self._replayed(draws, held, predicted, x, float(probed.prices[place]))
            return known[place]

        asked = budgets_of(budgets)
        looks = self.feature_cost if self.width_ else 0.0
        parts = []
        for budget in asked:
            if budget < probed.spends[0] or not self.gate_.open_at(budget):
                parts.append(outcomes_of([mixed(self.mix_, batch, budget)], [budget], held, looks))
                continue
            one, other, share = probed.between(budget)
            reached, paid = (1 - share) * at(one) + share * at(other)
            claimed = (1 - share) * probed.scores[one] + share * probed.scores[other]
            made = np.array([budget + looks]), paid[None] + looks, reached[None], np.array([float(claimed)])
            parts.append(PolicyOutcomes(*made))
        names = ("budgets", "spend", "accuracy", "claimed")
        return PolicyOutcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def _drawn_from(self, X: RowsLike | None, samples: Samples, orders: int, seed: int) -> tuple[Rows, Training, Draws]:
        """Return the rows, what their actions reach, and recorded probes in random orders."""
        assert self.probed_ is not None
        rows = self._rows(X, samples)
        held = as_table(samples, rows.n, self.actions_, None)
        return rows, held, draws_of(samples, self.probed_.plan, held.acc, held.cost, orders, seed)

    def _replayed(self, draws: Draws, held: Training, predicted: Floats, x: Floats, price: float) -> Floats:
        """Return accuracy and spend at a price, (2, n)."""
        probed = self.probed_
        assert probed is not None
        r, n = draws.key.shape
        first = probed.first(predicted, x, price, self.cost_[: self.predicted_])
        every = np.arange(n)
        found = np.array([values[every, np.maximum(first, 0)] for values in (held.acc, held.cost)])
        some = np.flatnonzero(first == PROBE)
        if len(some):
            key, extra = draws.key[:, some].reshape(-1), draws.extra[:, some].reshape(r * len(some), -1)
            then = probed.then(key, np.tile(x[some], (r, 1)), extra, price).reshape(r, len(some), 1)
            for row, values in enumerate((draws.acc, draws.paid)):
                found[row, some] = np.take_along_axis(values[:, some], then, axis=2)[:, :, 0].mean(axis=0)
        return found

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
        """Set the price on held-out questions; as in `LearnedPolicy.calibrate`, with Samples if there is a probe.

        Parameters
        ----------
        X, samples, budget, confidence, cost, low, high
            As in `LearnedPolicy.calibrate`. The range holds for a whole question, its probe included.

        Raises
        ------
        BudgetError
            If no price keeps the budget (with that confidence).
        InputError
            If an argument is not allowed, or the most that a question may cost is needed and not known.
        """
        self._check_fitted()
        if self.probed_ is None:
            return super().calibrate(X, samples, budget=budget, confidence=confidence, cost=cost, low=low, high=high)
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; a policy with a probe is calibrated on Samples.")
        limits = self._limits(self._held(samples, len(samples)), confidence, low, high)
        steps, settings = self._dial()
        # A question's mean over orders has the expected cost of the next question, and varies less than one draw.
        spends = np.column_stack(
            [self._replayed_at(X, samples, **setting, orders=ORDERS, random_state=1).spend[0] for setting in settings]
        )
        found = calibrate_price(steps, spends, budget, confidence, **limits)
        self._set_dial(found, settings[int(np.flatnonzero(steps == found.price)[0])])
        return self

    def _same_range(self) -> tuple[float, float]:
        low, high = super()._same_range()
        return low, high if self.probed_ is None else max(high, *self.probed_.plan.cost)

    def _drawn_first(self) -> Action | None:
        return None if self.probed_ is None else self.probed_.plan.action

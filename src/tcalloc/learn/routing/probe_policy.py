"""What a policy with a probe needs besides deciding: runs, their replay, calibration on samples."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.outcomes import PolicyOutcomes, budgets_of, outcomes_of
from tcalloc.learn.protocol import DecidedRun, Run
from tcalloc.learn.routing.base import Actions, LearnedPolicy
from tcalloc.learn.routing.batch import Batch, mixed
from tcalloc.learn.routing.gate import Gate
from tcalloc.learn.routing.probe_patterns import Draws, draws_of
from tcalloc.learn.routing.probe_value import PROBE, Probed, ProbedRun
from tcalloc.learn.rows import Rows, RowsLike
from tcalloc.learn.training import Mix, SamplesLike, Training
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

    def _run(self, row: Rows, actions: tuple[Action | None, ...]) -> Run:
        """Begin with one question; with a probe, first decide whether to draw it."""
        probed = self.probed_
        if probed is None:
            return super()._run(row, actions)
        price, budget = self._own()
        spend = self.gate_.budget_of(price) if price is not None else budget
        assert spend is not None
        if not self.gate_.open_at(spend):
            batch = Batch(row, self.cost_, None)
            return DecidedRun(actions[int(self._mixed(batch, spend)[0])])
        if price is None:
            one, other, share = probed.between(spend)
            price = float(probed.prices[other if share and self._order(row)[0] < share else one])
        features = self._x(row)
        first = int(probed.first(self._predicted(row), features, price, self.cost_[: self.predicted_])[0])
        if first == PROBE:
            return ProbedRun(probed, features, price, actions)
        return DecidedRun(actions[first])

    def _replay(
        self, X: RowsLike | None, samples: SamplesLike, budgets: Any, cost: Any, orders: int, random_state: int
    ) -> PolicyOutcomes:
        if self.probed_ is None:
            return super()._replay(X, samples, budgets, cost, orders, random_state)
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; a policy with a probe is replayed on Samples.")
        rows = self._rows(X, samples)
        served = self._serving(rows, samples, self._held(samples, rows.n), orders, random_state)
        asked = [self._own()] if budgets is None else [(None, budget) for budget in budgets_of(budgets)]
        parts = [served(price, budget) for price, budget in asked]
        names = ("budgets", "spend", "accuracy", "claimed")
        return PolicyOutcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def _spends(self, samples: SamplesLike, batch: Batch, held: Training, settings: list[dict[str, float]]) -> Floats:
        if self.probed_ is None:
            return super()._spends(samples, batch, held, settings)
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; a policy with a probe is calibrated on Samples.")
        # A question's mean over orders has the expected cost of the next question, and varies less than one draw.
        served = self._serving(batch.rows, samples, held, ORDERS, 1)
        return np.column_stack([served(setting.get("price"), setting.get("budget")).spend[0] for setting in settings])

    def _serving(
        self, rows: Rows, samples: Samples, held: Training, orders: int, seed: int
    ) -> Callable[[float | None, float | None], PolicyOutcomes]:
        """Return a function from a price or a budget to what the runs reach and spend, in the same random orders."""
        probed, gate = self.probed_, self.gate_
        assert probed is not None
        draws = draws_of(samples, probed.plan, held.acc, held.cost, orders, seed)
        predicted, x = self._predicted(rows), self._x(rows)
        looks = self.feature_cost if self.width_ else 0.0
        known: dict[float, Floats] = {}

        def at(price: float) -> Floats:
            if price not in known:
                known[price] = self._replayed(draws, held, predicted, x, price)
            return known[price]

        def served(price: float | None, budget: float | None) -> PolicyOutcomes:
            if price is not None:
                budget = gate.budget_of(price)
                if gate.open_at(budget):
                    reached, paid = at(price)
                    unknown = np.array([np.nan])
                    return PolicyOutcomes(unknown, paid[None], reached[None], unknown)
            assert budget is not None
            if budget < probed.spends[0] or not gate.open_at(budget):
                return outcomes_of([mixed(self.mix_, Batch(rows, self.cost_, None), budget)], [budget], held, looks)
            one, other, share = probed.between(budget)
            first, second = (at(float(probed.prices[place])) for place in (one, other))
            reached, paid = (1 - share) * first + share * second
            claimed = (1 - share) * probed.scores[one] + share * probed.scores[other]
            return PolicyOutcomes(np.array([budget + looks]), paid[None] + looks, reached[None], np.array([claimed]))

        return served

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

    def _same_range(self) -> tuple[float, float]:
        low, high = super()._same_range()
        return low, high if self.probed_ is None else max(high, *self.probed_.plan.cost)

    def _drawn_first(self) -> Action | None:
        return None if self.probed_ is None else self.probed_.plan.action

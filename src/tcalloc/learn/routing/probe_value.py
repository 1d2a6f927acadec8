"""Decide after a few paid samples: which questions to probe, and how to go on.

At a price λ a question gets either a fixed action, by its predicted row, or a probe. The value of a probe is what
probing and then continuing in the best known way gained on similar questions. It is predicted by a shrunk ridge for
each λ of a grid. After the probe, the continuations are priced by what the samples showed (`probe_patterns.py`); one of
them is to stop with the probe's samples as the answer. The probe's cost is always charged.

Budgets lie between the prices of a grid: a random number of the question chooses between two neighbouring prices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._solve import decide
from tcalloc.errors import InputError
from tcalloc.learn.hull import neighbours
from tcalloc.learn.protocol import DecidedRun, Draw, Result, checked
from tcalloc.learn.regression.ridge_and_neighbours import Ridge, ridge_of
from tcalloc.learn.routing.gate import BUDGETS, Gate, difference, fixed_outcomes
from tcalloc.learn.routing.probe_patterns import AfterProbe, Draws, ProbePlan, shown_by
from tcalloc.learn.routing.shrinkage import slope_of
from tcalloc.learn.saving.arrays import part_of, with_prefix
from tcalloc.learn.training import Mix, Training
from tcalloc.measure.actions import Action

__all__ = ["PROBE", "Probed", "ProbedRun"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int64]

PROBE = -1
"""In place of a column: probe first."""
# The number of prices that are tried.
PRICES = 60
# The arrays of a file, with an entry per price of the hull and of the grid.
OF_HULL, OF_GRID = ("prices", "spends", "scores"), ("grid", "slopes", "centre", "mean")


class Probed:
    """What a fitted `PricedPolicy` with a probe knows beyond its predicted rows.

    Attributes
    ----------
    prices : ndarray, (P,)
        The grid, falling: the prices whose spend and accuracy are on the hull, out of fold.
    spends, scores : ndarray, (P,)
        Mean real cost and accuracy of the training questions there, out of fold.
    """

    prices: Floats
    spends: Floats
    scores: Floats
    grid: Floats
    """(Q,) all prices that were tried, falling; `worth`, `slopes`, `centre` and `mean` belong to these."""
    slopes: Floats
    centre: Floats
    mean: Floats
    worth: Ridge

    def __init__(self, plan: ProbePlan, after: AfterProbe):
        self.plan, self.after = plan, after

    # ------------------------------------------------------------------------------------------ fit

    @classmethod
    def fit(
        cls,
        plan: ProbePlan,
        after: AfterProbe,
        draws: Draws,
        going: Floats,
        rows: Floats,
        x: Floats,
        training: Training,
        folds: NDArray[np.intp],
        *,
        shrink: bool,
        gate: bool,
        looks: float = 0.0,
    ) -> tuple["Probed", Gate]:
        """Fit the value of probing, and the gate.

        Parameters
        ----------
        going : ndarray, (R, n, C)
            Out-of-fold predictions after the probe.
        rows : ndarray, (n, M)
            Out-of-fold predictions before it, of the first M actions.
        x : ndarray, (n, d)
            Features.
        training : Training
            The training table. Only the mixture may use actions beyond the first M.
        looks : float
            What looking at X costs per question.
        """
        made = cls(plan, after)
        weights = training.weights / training.weights.sum()
        prices = made._candidates(training)
        base = training.acc[:, plan.reference]
        value = np.empty((len(base), len(prices)))
        every = np.ix_(*map(np.arange, draws.key.shape))
        chosen_after = []
        for p, price in enumerate(prices):
            chosen = made._best_way(going.reshape(-1, going.shape[2]), price).reshape(going.shape[:2])
            chosen_after.append(chosen)
            value[:, p] = (draws.acc[*every, chosen] - price * np.asarray(plan.cost)[chosen]).mean(axis=0) - base
        made.worth = Ridge()
        predicted = made.worth.out_of_fold(x, value, training.weights, folds) if x.shape[1] else np.zeros(value.shape)
        if x.shape[1]:
            made.worth.fit(x, value, training.weights)
        made.slopes = np.array(
            [
                slope_of(predicted[:, p], value[:, p], training.weights) if shrink else 1.0 * bool(x.shape[1])
                for p in range(len(prices))
            ]
        )
        made.centre, made.mean = weights @ predicted, weights @ value
        made.grid = prices
        worth = made.mean + made.slopes * (predicted - made.centre)
        acc, paid = np.empty(value.shape), np.empty(value.shape)
        rows_index = np.arange(len(base))
        for p, price in enumerate(prices):
            first = made._first(rows, worth[:, p], price, training.mean_cost[: rows.shape[1]])
            probed = first == PROBE
            acc[:, p], paid[:, p] = (
                values[rows_index, np.maximum(first, 0)] for values in (training.acc, training.cost)
            )
            after_probe = (values[*every, chosen_after[p]].mean(axis=0) for values in (draws.acc, draws.paid))
            for target, values in zip((acc, paid), after_probe, strict=True):
                target[probed, p] = values[probed]
        hull = Mix.of(weights @ acc, weights @ paid)
        kept = hull.hull
        made.prices, made.spends, made.scores = prices[kept], hull.cost, hull.acc
        return made, made._asked(acc[:, kept], paid[:, kept], training, used=gate, looks=looks)

    def _candidates(self, training: Training) -> Floats:
        """Return the prices to try, falling: just beside each price at which a pattern's choice changes, and a grid."""
        cost = np.asarray(self.plan.cost)
        curves = [(curve, cost) for curve in self.after.curves] + [(training.mean_acc, training.mean_cost)]
        found = [Mix.of(acc, costs) for acc, costs in curves]
        steps = np.concatenate(
            [np.diff(mix.acc) / np.diff(mix.cost) for mix in found if len(mix.hull) > 1] or [np.ones(1)]
        )
        steps = np.sort(steps[steps > 0])
        top, low = float(steps[-1]) * 2, max(float(steps[0]) / 2, 1e-6)
        grid = np.geomspace(top, low, PRICES)
        beside = np.unique(np.quantile(steps, np.linspace(0, 1, PRICES // 2))) if len(steps) > PRICES // 2 else steps
        return np.unique(np.concatenate([grid, beside * (1 + 1e-6), beside * (1 - 1e-6), [0.0]]))[::-1].copy()

    def _asked(self, acc: Floats, paid: Floats, training: Training, *, used: bool, looks: float) -> Gate:
        """Return the gate, measured on a grid of budgets."""
        fixed_acc, fixed_cost = fixed_outcomes(training)
        low, high = float(self.spends[0]), float(self.spends[-1])
        budgets = np.unique(np.concatenate([np.linspace(low, high, BUDGETS), self.spends]))
        gain, error, prices = (np.zeros(len(budgets)) for _ in range(3))
        for b, budget in enumerate(budgets.tolist()):
            one, other, share = self.between(budget)
            mine, cost = ((1 - share) * values[:, one] + share * values[:, other] for values in (acc, paid))
            prices[b] = (1 - share) * self.prices[one] + share * self.prices[other]
            if used:
                gain[b], error[b] = difference(mine, cost, fixed_acc, fixed_cost, training.weights)
        mix = Mix.of(training.mean_acc, training.mean_cost)
        return Gate(budgets, np.minimum.accumulate(prices), gain, error, used, mix, looks)

    # ------------------------------------------------------------------------------------------ decide

    def between(self, budget: float) -> tuple[int, int, float]:
        """Return the places of two neighbouring prices of the hull, and the second one's share, for a budget."""
        return neighbours(self.spends, budget)

    def _first(self, rows: Floats, worth: Floats, price: float, cost: Floats) -> Actions:
        """Return the first step of each question: a column, or PROBE if that is better."""
        best = np.asarray(decide(rows, cost, price))
        fixed = rows[np.arange(len(rows)), best] - price * cost[best] - rows[:, self.plan.reference]
        return np.asarray(np.where(worth > fixed, PROBE, best), np.int64)

    def _best_way(self, going: Floats, price: float) -> Actions:
        """Return the best continuation of the plan at a price, (M,), by predictions (M, C)."""
        return np.asarray(decide(going, np.asarray(self.plan.cost), price), np.int64)

    def first(self, rows: Floats, x: Floats, price: float, cost: Floats) -> Actions:
        """Return the first step of each question at a price, (n,): a column, or PROBE."""
        if not np.isfinite(price):
            return np.asarray(decide(rows, cost, price), np.int64)
        rising = self.grid[::-1]
        predicted = self.worth.predict(x) if x.shape[1] else np.zeros((len(rows), len(self.grid)))
        worths = (self.mean + self.slopes * (predicted - self.centre))[:, ::-1]
        j = int(np.clip(np.searchsorted(rising, price, side="right") - 1, 0, max(len(rising) - 2, 0)))
        right = min(j + 1, len(rising) - 1)
        span = rising[right] - rising[j]
        share = min((price - rising[j]) / span, 1.0) if span > 0 else 0.0
        worth = (1 - share) * worths[:, j] + share * worths[:, right]
        if price > rising[-1]:  # beyond the grid a probe costs at least its samples
            worth = worth - (price - rising[-1]) * min(self.plan.cost)
        return self._first(rows, worth, price, cost)

    def then(self, key: Any, x: Floats, extra: Floats, price: float) -> Actions:
        """Return the continuation to take, (M,), as a place in the plan. If two are equal, it is the cheaper."""
        return self._best_way(self.after.predict(key, x, extra), price)

    # ------------------------------------------------------------------------------------------ files

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what a file needs."""
        meta, arrays = self.after.state()
        found = with_prefix("after/", arrays) | {name: getattr(self, name) for name in (*OF_HULL, *OF_GRID)}
        alpha = None
        if hasattr(self.worth, "coefficients"):
            alpha = self.worth.alpha
            found |= with_prefix("worth/", self.worth.state()[1])
        return {"plan": self.plan.to_dict(), "after": meta, "alpha": alpha}, found

    @classmethod
    def from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], width: int, k: int) -> "Probed":
        """Return the object that `state` described, checked."""
        given = meta["plan"]
        plan = ProbePlan(
            str(given["arm"]),
            Action.from_dict(given["action"]),
            tuple(int(c) for c in given["columns"]),
            tuple(int(d) for d in given["draws"]),
            tuple(float(c) for c in given["cost"]),
            int(given["reference"]),
        )
        fine = len(plan.columns) == len(plan.draws) == len(plan.cost) > 0 and plan.columns[0] == -1
        if not fine or not all(0 <= c < k for c in (*plan.columns[1:], plan.reference)):
            raise InputError("plan: columns, draws and cost do not fit.")
        if not all(np.isfinite(c) and c >= 0 for c in plan.cost) or any(d < 0 for d in plan.draws):
            raise InputError("plan: expected costs and draws that are at least 0.")
        made = cls(plan, AfterProbe.from_state(meta["after"], part_of("after/", arrays), plan))
        if made.after.width != width:
            raise InputError(f"after: made for {counted(made.after.width, 'feature')}; expected {width}.")
        h, p = len(arrays["prices"]), len(arrays["grid"])
        for name, size in (*((name, h) for name in OF_HULL), *((name, p) for name in OF_GRID)):
            values = np.asarray(arrays[name], np.float64)
            if values.shape != (size,) or size == 0 or not np.isfinite(values).all():
                raise InputError(f"{name}: expected finite numbers.")
            setattr(made, name, values)
        if (np.diff(made.spends) <= 0).any() or (np.diff(made.grid) >= 0).any():
            raise InputError("spends must rise, and the grid of prices must fall.")
        made.worth = Ridge()
        if meta["alpha"] is not None:
            made.worth = ridge_of(meta["alpha"], part_of("worth/", arrays), width, p)
        return made


class ProbedRun:
    """The run of one question: draw the probe, look at it, continue.

    Parameters
    ----------
    probed : Probed
    x : ndarray, (1, d)
        The question's features.
    price : float
    actions : sequence of Action or None
        The actions of the table.
    """

    __slots__ = ("_actions", "_asked", "_other", "_price", "_probed", "_results", "_stage", "_x")

    def __init__(self, probed: Probed, x: Floats, price: float, actions: Sequence[Action | None]):
        self._probed, self._x, self._price, self._actions = probed, x, price, actions
        self._results: list[Result] = []
        self._other: DecidedRun | None = None
        self._stage = 0
        self._asked = probed.plan.action

    def next(self) -> Draw | None:
        """Return the probe, then its continuation, then None."""
        plan = self._probed.plan
        if self._other is not None:
            return self._other.next()
        self._stage += 1
        if self._stage == 1:
            return Draw(plan.action, plan.action.samples)
        if self._stage > 2 or not self._results:
            return None
        key, extra = shown_by(self._results, plan, self._probed.after.extra)
        c = int(self._probed.then(np.array([key]), self._x, extra[None], self._price)[0])
        if c == 0:
            return None
        action = self._actions[plan.columns[c]]
        assert action is not None
        if plan.draws[c] == 0:
            self._other = DecidedRun(action)
            return self._other.next()
        self._asked = action
        return Draw(action, max(plan.draws[c] - len(self._results), 1))

    def add(self, results: Sequence[Result]) -> None:
        """Take the results of the last draw."""
        if self._stage == 0:
            raise InputError("add: nothing was drawn yet. Call next() first.")
        if self._other is not None:
            self._other.add(results)
        else:
            self._results.extend(checked(results))

    def settled(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether these results of the draw under way decide the answer, whatever the missing ones are.

        A probe is never settled: what follows depends on all of its samples.

        Parameters
        ----------
        results : sequence of Result
            Those of the draw that came so far.
        missing : int
            How many have not come yet.
        """
        if self._other is not None:
            return self._other.settled(results, missing)
        return self._stage > 1 and self._asked.kind.decided([*self._results, *results], missing)

    @property
    def answer(self) -> Any:
        """The answer so far."""
        if self._other is not None and self._other.answer is not None:
            return self._other.answer
        return self._asked.kind.answer(self._results)[0]

    @property
    def spend(self) -> float:
        """What was paid so far, the probe included."""
        return sum(result.cost for result in self._results) + (0.0 if self._other is None else self._other.spend)

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples."""
        if self._other is not None and self._other.answer is not None:
            return self._other.vote_share
        return self._asked.kind.answer(self._results)[1]

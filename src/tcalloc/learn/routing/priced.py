"""Predict the accuracy of each action on a question, then weigh it against its price: one model for all budgets.

What happens in fit:

(1) a regression predicts acc[i, :] from the features (`learn/regression/`), also out of fold;
(2) the predictions are shrunk towards the mean curve as far as they fail out of fold (`shrinkage.py`);
(3) the gate decides for each budget whether these predictions beat the best fixed mixture (`gate.py`).

With ``probe=m`` a question may first be given m samples, and is then decided by what they show (`probe_value.py`).

A new question gets the action with the largest prediction − price·cost. For a batch and a budget, the price comes from
`tcalloc.solve` on the predicted table. If the gate is closed, the policy serves the mixture of the same spend.
"""

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import flag, one_of, whole
from tcalloc._counts import counted
from tcalloc._frontier import frontier
from tcalloc._solve import decide, solve
from tcalloc.errors import InputError
from tcalloc.learn.features.matrix import fitted_features, transformed
from tcalloc.learn.looking import feature_cost_of
from tcalloc.learn.outcomes import Part, Served
from tcalloc.learn.regression.ridge_and_neighbours import Ridge, folds_of, make_model
from tcalloc.learn.routing.base import Actions
from tcalloc.learn.routing.batch import Batch, mixed
from tcalloc.learn.routing.gate import Gate
from tcalloc.learn.routing.probe_patterns import AfterProbe, draws_of, plan_of
from tcalloc.learn.routing.probe_policy import ProbingPolicy
from tcalloc.learn.routing.probe_value import Probed
from tcalloc.learn.routing.serialize import pack, predicted_of, unpack
from tcalloc.learn.routing.shrinkage import Shrinkage
from tcalloc.learn.rows import RowLike, Rows, RowsLike, as_row
from tcalloc.learn.training import ActionsLike, Mix, SamplesLike, Training
from tcalloc.measure.samples import Samples

__all__ = ["PricedPolicy"]

Floats = NDArray[np.float64]

# Random orders of each question's samples from which a probe is learned.
ORDERS = 16
# The least predicted cost of an action, as a share of its mean cost.
LEAST = 0.05


class PricedPolicy(ProbingPolicy):
    """Predicts what each action would reach on a question, and takes the one that is worth its price.

    Parameters
    ----------
    regressor : {"ridge", "xgboost", "knn"} or estimator
        The model that predicts; an estimator is cloned, and fitted once per action.
    budget : float, optional
        The budget at which it decides by default.
    features : transformer, optional
        For example ``Features(text=None)``; default: ``Features()``. False: no features, only the probe counts.
    probe : int
        m: how many samples may be drawn, and paid for, before deciding. They come from the cheapest action's model. A
        probe needs Samples in fit; such a policy decides in runs (`start`), and `replay` replays them.
    shrink : bool
        Whether predictions are shrunk towards the mean curve as far as they fail out of fold.
    gate : bool
        Whether the best fixed mixture is served if the gain over it is not significant out of fold.
    known_costs : {"mean", "predicted", "given"}
        What is known about costs before deciding. "mean": each action's mean. "predicted": a ridge's prediction for
        each question; if costs differ between questions, this gains, and keeps budgets better. "given": each
        question's own costs (then `decide` needs ``cost=``).
    feature_cost : float
        What having X costs per question, in the unit of the costs. The gate opens only if the gain is more than the
        mixture would gain for that money. Budgets of this class do not include it; those of `tcalloc.fit` and
        `tcalloc.answer` do.
    random_state : int
        Seed of the folds, the features and the random choices.

    Attributes
    ----------
    features_, model_, shrinkage_, gate_, mix_
        The fitted parts.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.routing.priced import PricedPolicy
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((500, 2))  # the first feature says how much an expensive action would help
    >>> acc = np.column_stack([0.9 - 0.8 * X[:, 0], np.full(500, 0.9)])
    >>> policy = PricedPolicy(budget=2).fit(X, acc, cost=[1, 4])
    >>> policy.decide([[0.1, 0.5], [0.9, 0.5]]).tolist()
    [0, 1]
    """

    def __init__(
        self,
        regressor: Any = "ridge",
        budget: float | None = None,
        features: Any = None,
        probe: int = 0,
        shrink: bool = True,
        gate: bool = True,
        known_costs: str = "mean",
        feature_cost: float = 0.0,
        random_state: int = 0,
    ):
        self.regressor = regressor
        self.budget = budget
        self.features = features
        self.probe = probe
        self.shrink = shrink
        self.gate = gate
        self.known_costs = known_costs
        self.feature_cost = feature_cost
        self.random_state = random_state

    @property
    def blind(self) -> bool:  # type: ignore[override]
        """Whether it decides without looking at the question, so that X may be None in fit."""
        return self.features is False

    def _check_parameters(self) -> None:
        one_of("known_costs", self.known_costs, ("mean", "predicted", "given"))
        for name in ("shrink", "gate"):
            flag(name, getattr(self, name))
        whole("probe", self.probe, of="samples", hint=" (none)")
        if self.probe and self.known_costs != "mean":
            raise InputError(
                f"probe and known_costs={self.known_costs!r} do not go together; expected known_costs='mean'."
            )
        feature_cost_of(self.feature_cost)
        make_model(self.regressor, 0)

    # ------------------------------------------------------------------------------------------ fit

    def fit(
        self,
        X: RowsLike | None,
        samples: SamplesLike,
        *,
        actions: ActionsLike | None = None,
        cost: ArrayLike | None = None,
        predicted: int | None = None,
    ) -> Self:
        """Learn from questions whose outcomes are known.

        Parameters
        ----------
        X, samples, actions, cost : as in `LearnedPolicy.fit`
            Samples if there is a probe.
        predicted : int, optional
            How many actions, from the first one on, are predicted and priced. The others belong only to the mixture
            that is served if the gate is closed. Default: all.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If an argument is not allowed, or X and samples do not fit each other.
        """
        self._check_parameters()
        if self.probe and not isinstance(samples, Samples):
            raise InputError(
                f"probe is {self.probe}, but samples is {type(samples).__name__}: only Samples show what the first "
                "samples of a question say. Pass them, with actions=[…], or use probe=0."
            )
        self._samples = samples if self.probe and isinstance(samples, Samples) else None
        self._asked = predicted
        try:
            super().fit(X, samples, actions=actions, cost=cost)
        finally:
            del self._samples, self._asked
        return self

    def _setting_at(self, budget: float) -> float | None:
        # A mixture (of fixed actions, or of two prices with a probe) can keep a budget that no price keeps.
        return budget if self.probed_ is not None or not self.gate_.open_at(budget) else None

    def _learn(self, rows: Rows, training: Training) -> None:
        if rows.n < 2:
            raise InputError("X has n_samples = 1; expected at least 2 questions, better hundreds.")
        seed = int(self.random_state)
        # False stands for no features at all.
        self.features_ = None if self.features is False else fitted_features(self.features, rows, seed)
        x = self._x(rows)
        self.width_ = x.shape[1]
        self.predicted_ = predicted_of(self._asked, len(self.cost_))
        menu = training.columns(self.predicted_)
        self.model_ = make_model(self.regressor, seed) if self.width_ else Ridge()
        folds = folds_of(rows.n, [seed, 1])
        predicted = self.model_.out_of_fold(x, menu.acc, menu.weights, folds)
        self.model_.fit(x, menu.acc, menu.weights)
        shrink, gate, looks = bool(self.shrink), bool(self.gate), float(self.feature_cost)
        self.shrinkage_ = Shrinkage.fit(predicted, menu.acc, menu.order, menu.weights, shrink=shrink)
        shrunk = self.shrinkage_.apply(predicted)
        self.mix_ = Mix.of(self.mean_acc_, self.cost_)
        self.probed_: Probed | None = None
        self.costing_: Ridge | None = None
        if self._samples is None:
            planned = menu.cost if self.known_costs == "given" else np.broadcast_to(self._priced_costs, menu.cost.shape)
            if self.known_costs == "predicted" and np.ptp(menu.cost, axis=0).any():
                paid = np.where(np.isfinite(menu.acc), menu.cost, np.nan)
                self.costing_ = Ridge()
                planned = self._floored(self.costing_.out_of_fold(x, paid, menu.weights, folds))
                self.costing_.fit(x, paid, menu.weights)
            also = () if self.budget is None else (float(self.budget),)
            self.gate_ = Gate.fit(shrunk, planned, training, used=gate, also=also, looks=looks)
            return
        if training.actions is None or training.available is not None:
            raise InputError("probe: every question must have every action. Leave out the others, or use probe=0.")
        plan = plan_of(self._samples, menu, int(self.probe))
        draws = draws_of(self._samples, plan, menu.acc, menu.cost, ORDERS, seed)
        after = AfterProbe(plan, self.width_, draws.extra.shape[2])
        going = after.fit(draws, x, menu.weights, folds, shrink=shrink)
        self.probed_, self.gate_ = Probed.fit(
            plan, after, draws, going, shrunk, x, training, folds, shrink=shrink, gate=gate, looks=looks
        )

    @property
    def _priced_costs(self) -> Floats:
        return self.cost_[: self.predicted_]

    def _x(self, rows: Rows) -> Floats:
        return np.empty((rows.n, 0)) if self.features_ is None else transformed(self.features_, rows)

    def _price_of(self, budget: float) -> float:
        self.mix_.check(budget)
        return self.gate_.price_of(budget)

    @property
    def looking_cost_(self) -> float:
        """What is paid for X per question, as the policy is set: nothing where it serves the mixture."""
        price, budget = self._own()
        spend = budget if price is None else self.gate_.budget_of(price)
        looks = self.width_ and spend is not None and self.gate_.open_at(spend)
        return float(self.feature_cost) if looks else 0.0

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        grid = self.gate_.budgets
        budgets = np.unique(np.concatenate([grid, *((1 - t) * grid[:-1] + t * grid[1:] for t in (0.25, 0.5, 0.75))]))
        settings: list[dict[str, float]] = [{"price": np.inf}]
        for budget in budgets.tolist():
            by_price = self._setting_at(budget) is None
            settings.append({"price": self.gate_.price_of(budget)} if by_price else {"budget": budget})
        # Any falling numbers will do: if the gate is closed, what is calibrated is the share of a mixture.
        return np.arange(len(settings), 0.0, -1.0), settings

    def _set_dial(self, found: Any, setting: dict[str, float]) -> None:
        self.setting_ = setting.get("budget")
        self.price_ = setting["price"] if self.setting_ is None else self.gate_.price_of(self.setting_)
        self.budget_, self.guarantee_ = found.budget, replace(found, price=self.price_)

    # ------------------------------------------------------------------------------------------ decide

    def _predicted(self, rows: Rows) -> Floats:
        return self.shrinkage_.apply(self.model_.predict(self._x(rows)))

    def _floored(self, costs: Floats) -> Floats:
        # A line may fall below 0, but an action that is expensive on average is never nearly free.
        return np.maximum(costs, LEAST * self._priced_costs)

    def _seen(self, batch: Batch) -> tuple[Floats, Floats]:
        """Return the predicted rows, and the costs of their actions as far as they are known, both (n, M)."""
        x = self._x(batch.rows)
        predicted = self.shrinkage_.apply(self.model_.predict(x))
        if self.costing_ is not None and batch.cost is self.cost_:
            return predicted, self._floored(self.costing_.predict(x))
        return predicted, np.broadcast_to(batch.cost[..., : self.predicted_], predicted.shape)

    def expected(self, question: RowLike, price: float | None = None) -> tuple[Floats, Floats]:
        """Return what each action is expected to reach and to cost on one question, both (M,).

        Parameters
        ----------
        question : str, vector or mapping
            One row of X.
        price : float, optional
            Where the gate is closed at this price, all questions have the mean row. Default: the policy's own price.

        Raises
        ------
        InputError
            If the policy must see samples before it decides, or costs are given for each question.
        """
        self._check_fitted()
        if self.probed_ is not None:
            raise InputError("this policy decides after its first samples, so the question alone is not enough.")
        batch = Batch(as_row(question, expected=self.schema_), self._known_costs(None, 1), None)
        asked = self.price_ if price is None else price
        if asked is not None and not self.gate_.open_at(self.gate_.budget_of(asked)):
            return self.mean_acc_, self.cost_
        predicted, costs = self._seen(batch)
        return predicted[0], costs[0]

    def _there(self, batch: Batch) -> Any:
        return None if batch.available is None else batch.available[:, : self.predicted_]

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        if self.probed_ is not None:
            raise InputError(
                f"this policy decides after {counted(self.probe, 'sample')}, so the question alone is not enough. "
                "Use start(x), or replay(X, samples) on recorded samples."
            )
        if budget is not None:
            if not self.gate_.open_at(budget):
                return self._mixed(batch, budget)
            return solve(*self._seen(batch), budget, available=self._there(batch)).actions
        assert price is not None
        return self._priced(batch, *self._seen(batch), price)

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        curve = frontier(*self._seen(batch), available=self._there(batch))
        made = []
        for budget in budgets:
            # With costs known for each question, the mixture can cost less than any choice.
            if budget < curve.budgets[0] or not self.gate_.open_at(budget):
                made.append(mixed(self._mix_for(batch), batch, budget))
            else:
                claimed = self.mix_.reached(budget) + self.gate_.at(budget)[0]
                made.append(Served([Part(1.0, curve.allocate(budget).actions)], claimed))
        return made

    def _priced(self, batch: Batch, predicted: Floats, costs: Floats, price: float) -> Actions:
        spend = self.gate_.budget_of(price)
        if not self.gate_.open_at(spend):
            return self._mixed(batch, spend, self.mix_)
        return np.asarray(decide(predicted, costs, price, available=self._there(batch)), np.int32)

    def _choices(self, batch: Batch, settings: list[dict[str, float]]) -> list[Actions]:
        seen = self._seen(batch)
        return [
            self._mixed(batch, setting["budget"], self.mix_)
            if "budget" in setting
            else self._priced(batch, *seen, setting["price"])
            for setting in settings
        ]

    def _choose_by_itself(self, batch: Batch) -> Actions:
        if self.setting_ is not None and self.known_costs == "given":
            # The setting is a budget on the training questions. It says nothing about a batch with its own costs.
            return self._mixed(batch, self.setting_, self.mix_)
        return super()._choose_by_itself(batch)

    def _served_by_itself(self, batch: Batch) -> Served:
        if self.setting_ is not None and self.known_costs == "given":
            return mixed(self.mix_, batch, self.setting_)
        return super()._served_by_itself(batch)

    def _mixed(self, batch: Batch, budget: float, mix: Mix | None = None) -> Actions:
        """Return the best fixed mixture at a budget: by default the mixture at the batch's own costs."""
        return self._drawn(batch, mixed(self._mix_for(batch) if mix is None else mix, batch, budget).parts)

    # ------------------------------------------------------------------------------------------ words and files

    def _repr_lines(self) -> list[str]:
        slopes = ", ".join(f"{slope:.2f}" for slope in self.shrinkage_.slopes[1:])
        lines = [
            f"{self.model_.description()}, {counted(self.width_, 'feature')}; slopes of the increments: "
            f"{slopes or 'none'}"
        ]
        if self.costing_ is not None:
            lines.append(f"costs predicted by ridge, alpha {self.costing_.alpha:.3g}")
        if self.probed_ is not None:
            plan = self.probed_.plan
            ways = ("enough" if column < 0 else self.action_names_[column] for column in plan.columns)
            lines.append(f"probe: {plan.action.name}, then {', '.join(ways)}")
        if not self.gate_.used:
            return [*lines, "gate: none"]
        spans = self.gate_.open_budgets()
        if not spans:
            lines.append("gate: closed at every budget, no significant gain out of fold; serves the best fixed mixture")
        else:
            where = ", ".join(f"{low:.3g} to {high:.3g}" if high > 1.005 * low else f"{low:.3g}" for low, high in spans)
            lines.append(f"gate: open at budgets {where}; elsewhere serves the best fixed mixture")
        if self.budget_ is not None:
            gain, error = self.gate_.at(self.budget_)
            state = "open" if self.gate_.open_at(self.budget_) else "closed"
            lines.append(
                f"at budget {self.budget_:g}: {state}, gain {100 * gain:+.2f} ± {196 * error:.2f} points out of fold"
            )
            if state == "closed":
                spend = self.budget_ if self.setting_ is None else self.setting_
                lines.append(f"mixture: {self.mix_.described(spend, self.action_names_)}")
        return lines

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        own, arrays, boosters = pack(self)
        return super()._state()[0] | own, arrays, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes]) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        unpack(made, meta, arrays, boosters)
        return made

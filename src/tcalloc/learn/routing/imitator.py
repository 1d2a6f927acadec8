"""Imitate the oracle: a classifier learns its actions from features, as in arXiv 2604.14853.

The oracle's actions at one budget are the labels; the policy is made for that budget. Plain imitation counts every
mistake alike. Cost-sensitive imitation weights each question by the loss of a mistake there, at the oracle's price. A
high share of right labels does not mean a high gain: compare with `tcalloc.learn.routing.priced.PricedPolicy`.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import one_of
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._solve import decide, solve
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.features.matrix import features_from_state, features_state, fitted_features, transformed
from tcalloc.learn.looking import feature_cost_of
from tcalloc.learn.regression.boosted import booster_of
from tcalloc.learn.routing.base import Actions, LearnedPolicy
from tcalloc.learn.routing.batch import Batch
from tcalloc.learn.rows import Rows, RowsLike, as_rows
from tcalloc.learn.saving.arrays import part_of, with_prefix
from tcalloc.learn.training import MOST_IMITATED, NOTHING, Mix, Training

__all__ = ["Imitator", "imitated_columns"]

Floats = NDArray[np.float64]


# From this many questions on, each feature has this many bins; they take a quarter of the time of XGBoost's 256.
MANY, BINS = 2000, 32


class Imitator(LearnedPolicy):
    """A classifier of the oracle's actions.

    Parameters
    ----------
    budget : float
        The budget at which the oracle chooses.
    classifier : estimator, optional
        Any scikit-learn classifier; it is cloned. Default: XGBoost, 100 trees of depth 5, as in the paper; from 2,000
        questions on with 32 bins.
    loss : {"plain", "regret"}
        "regret": the weight of a question is how much better the oracle's action is there than the mean of the other
        actions, at the oracle's price.
    features : transformer, optional
        For example ``Features(text=None)``; default: ``Features()``.
    known_costs : {"mean", "given"}
        The costs that the oracle and `decide` use: each action's mean cost, or each question's own (then `decide` needs
        ``cost=`` if it is given a price).
    feature_cost : float
        What having X costs per question, in the unit of the costs. `replay` counts it in the spend; the budget, at
        which the oracle chooses, does not include it.
    random_state : int
        Seed of the features and the classifier.

    Attributes
    ----------
    labels_ : ndarray
        The columns that the oracle chose at least once; no other column is ever chosen.
    oracle_price_ : float
        The oracle's price.
    classifier_
        The fitted classifier; None if the oracle chose the same action for every question.

    Notes
    -----
    Its price is no price of accuracy: decide(X, price=p) takes the largest probability − p·cost. This lets `calibrate`
    keep a budget that imitation alone would exceed. At price 0, the default, it takes the most probable action.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.routing.imitator import Imitator
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((500, 2))
    >>> acc = np.column_stack([0.9 - 0.8 * X[:, 0], np.full(500, 0.9)])
    >>> Imitator(budget=2).fit(X, acc, cost=[1, 4]).decide([[0.1, 0.5], [0.9, 0.5]]).tolist()
    [0, 1]
    """

    def __init__(
        self,
        budget: float | None = None,
        classifier: Any = None,
        loss: str = "plain",
        features: Any = None,
        known_costs: str = "mean",
        feature_cost: float = 0.0,
        random_state: int = 0,
    ):
        self.budget = budget
        self.classifier = classifier
        self.loss = loss
        self.features = features
        self.known_costs = known_costs
        self.feature_cost = feature_cost
        self.random_state = random_state

    @property
    def looking_cost_(self) -> float:
        """What is paid for X per question: it always looks."""
        return float(self.feature_cost)

    def _check_parameters(self) -> None:
        if self.budget is None:
            raise InputError("an Imitator needs a budget, at which the oracle chooses: Imitator(budget=…).")
        scalar(self.budget, "budget")
        one_of("loss", self.loss, ("plain", "regret"))
        one_of("known_costs", self.known_costs, ("mean", "given"))
        feature_cost_of(self.feature_cost)
        found = self.classifier
        if found is not None and (
            isinstance(found, type) or not hasattr(found, "fit") or not hasattr(found, "predict")
        ):
            raise InputError(f"classifier is {found!r}; expected a scikit-learn classifier, or None (XGBoost).")

    def _learn(self, rows: Rows, training: Training) -> None:
        assert self.budget is not None
        acc = np.nan_to_num(training.acc)
        planned = training.cost if self.known_costs == "given" else np.broadcast_to(self.cost_, training.cost.shape)
        there = training.available
        plan = solve(acc, planned, self.budget, available=there, weights=training.weights)
        self.oracle_price_ = plan.price
        self.labels_: NDArray[Any]
        self.labels_, labels = np.unique(plan.actions, return_inverse=True)
        share = np.bincount(labels, weights=training.weights) / training.weights.sum()
        self.shares_ = share
        self.features_ = fitted_features(self.features, rows, int(self.random_state))
        x = transformed(self.features_, rows)
        self.width_ = x.shape[1]
        self.classifier_: Any = None
        if len(self.labels_) == 1:
            return
        weights = training.weights
        if self.loss == "regret":
            weights = weights * _regret(acc - plan.price * planned, plan.actions, there)
        self.classifier_ = self._fitted(x, labels, weights)

    def _fitted(self, x: Floats, labels: NDArray[Any], weights: Floats) -> Any:
        from sklearn.base import clone
        from sklearn.utils.validation import has_fit_parameter

        if self.classifier is None:
            try:
                from xgboost import XGBClassifier
            except ImportError:
                raise MissingExtraError("an Imitator needs XGBoost: pip install 'tcalloc[learn]'") from None
            bins = None if len(x) < MANY else BINS
            made = XGBClassifier(
                n_estimators=100, max_depth=5, max_bin=bins, n_jobs=1, random_state=int(self.random_state)
            )
        else:
            made = clone(self.classifier)
        if np.ptp(weights) <= 1e-12:
            return made.fit(x, labels)
        if not has_fit_parameter(made, "sample_weight"):
            raise InputError(
                f"{type(made).__name__} takes no sample_weight, which loss='regret' and weighted tables need. Use "
                "loss='plain', or another classifier."
            )
        # If all weights of a class were zero, the classifier would not know the class.
        return made.fit(x, labels, sample_weight=np.maximum(weights, 1e-6 * weights.max()))

    # ------------------------------------------------------------------------------------------ decide

    def _price_of(self, budget: float) -> float:
        return 0.0

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        spread = np.diff(np.unique(self.cost_))
        most = 1 / spread.min() if len(spread) else 1.0
        prices = np.concatenate([[np.inf], np.geomspace(most, 1e-4 * most, 199), [0.0]])
        return prices, [{"price": float(price)} for price in prices]

    def chances(self, X: RowsLike | None) -> Floats:
        """Return the classifier's probability of each action, (n, K); 0 for actions that the oracle never chose.

        Parameters
        ----------
        X : like that of `fit`
            The questions.
        """
        self._check_fitted()
        return self._chances(as_rows(X, expected=self.schema_))

    def _chances(self, rows: Rows) -> Floats:
        found = np.zeros((rows.n, len(self.cost_)))
        if self.classifier_ is None:
            found[:, self.labels_[0]] = 1.0
            return found
        x = transformed(self.features_, rows)
        if type(self.classifier_).__name__ == "Booster":
            dense = np.ascontiguousarray(x, np.float32)
            given = np.asarray(self.classifier_.inplace_predict(dense), float)
            given = np.column_stack([1 - given, given]) if given.ndim == 1 else given
        elif hasattr(self.classifier_, "predict_proba"):
            given = np.asarray(self.classifier_.predict_proba(x), float)
        else:
            given = np.eye(len(self.labels_))[np.asarray(self.classifier_.predict(x), int)]
        found[:, self.labels_] = given
        return found

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        return self._priced(batch, self._chances(batch.rows), price, budget)

    def _priced(self, batch: Batch, chances: Floats, price: float | None, budget: float | None) -> Actions:
        # An action that the oracle never chose is chosen only if the question has no other.
        there = np.zeros(chances.shape, bool)
        there[:, self.labels_] = True
        if batch.available is not None:
            there &= batch.available
            lost = ~there.any(axis=1)
            there[lost] = batch.available[lost]
        costs = np.broadcast_to(batch.cost, chances.shape)
        if budget is not None:
            return solve(chances, costs, budget, available=there).actions
        assert price is not None
        return np.asarray(decide(chances, costs, price, available=there), np.int32)

    def _choices(self, batch: Batch, settings: list[dict[str, float]]) -> list[Actions]:
        chances = self._chances(batch.rows)
        return [self._priced(batch, chances, setting["price"], None) for setting in settings]

    def _known_costs(self, cost: Any, n: int) -> Floats:
        if cost is None and self.price_ == 0:  # at price 0 costs do not matter
            return self.cost_
        return super()._known_costs(cost, n)

    def _worth(self) -> float | None:
        return self.oracle_price_

    # ------------------------------------------------------------------------------------------ words and files

    def _repr_lines(self) -> list[str]:
        shares = ", ".join(
            f"{self.action_names_[a]} {share:.0%}" for a, share in zip(self.labels_.tolist(), self.shares_, strict=True)
        )
        return [f"the oracle's actions at budget {self.budget:g}: {shares}; {counted(self.width_, 'feature')}"]

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        booster = self.classifier_
        if booster is not None and type(booster).__name__ != "Booster":
            if type(booster).__name__ != "XGBClassifier":
                raise InputError(
                    f"{type(booster).__name__} cannot be saved without pickle. Use classifier=None (XGBoost)."
                )
            booster = booster.get_booster()
        features, kept = features_state(self.features_)
        meta, _, boosters = super()._state()
        if booster is not None:
            boosters["classifier"] = bytes(booster.save_raw("json"))
        arrays = with_prefix("features/", kept) | {"labels": self.labels_.astype(np.int64), "shares": self.shares_}
        params = meta["params"] | {"features": None, "classifier": None}
        more = {"params": params, "features": features, "oracle_price": float(self.oracle_price_).hex()}
        return meta | more, arrays, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes]) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        k = len(made.action_names_)
        made.features_, made.width_ = features_from_state(meta["features"], part_of("features/", arrays))
        made.features = made.features_
        made.oracle_price_ = scalar(float.fromhex(meta["oracle_price"]), "oracle_price")
        labels: NDArray[Any] = np.asarray(arrays["labels"], np.int64)
        shares = np.asarray(arrays["shares"], float)
        if labels.ndim != 1 or not len(labels) or (np.diff(labels) <= 0).any() or labels[0] < 0 or labels[-1] >= k:
            raise InputError(f"labels: expected rising columns from 0 to {k - 1}.")
        if shares.shape != labels.shape or not np.isfinite(shares).all():
            raise InputError("shares: expected one finite number per label.")
        made.labels_, made.shares_ = labels, shares
        made.classifier_ = None
        if len(labels) > 1:
            if "classifier" not in boosters:
                raise InputError("the classifier's file is missing.")
            made.classifier_ = booster_of(boosters["classifier"], made.width_)
            given = np.asarray(made.classifier_.inplace_predict(np.zeros((1, made.width_), np.float32)))
            if (given.shape[1] if given.ndim == 2 else 2) != len(labels):
                raise InputError(f"the classifier has other classes than the {counted(len(labels), 'label')}.")
        return made


def _regret(utility: Floats, chosen: NDArray[Any], available: NDArray[np.bool_] | None) -> Floats:
    """Return how much better the chosen action is than the mean of the others, (N,), at least 0."""
    there = np.ones(utility.shape, bool) if available is None else available.copy()
    every = np.arange(len(chosen))
    there[every, chosen] = False
    others = there.sum(axis=1)
    mean = np.where(there, utility, 0.0).sum(axis=1) / np.maximum(others, 1)
    return np.asarray(np.where(others > 0, np.maximum(utility[every, chosen] - mean, 0.0), 0.0))


def imitated_columns(menu: Training, budgets: Iterable[float], *, nothing: bool = True) -> NDArray[np.intp]:
    """Return the columns that an imitator distinguishes: if there are many, the hull, then those its oracle uses most.

    Parameters
    ----------
    menu : Training
        The training questions' table.
    budgets : iterable of float
        Budgets at which the oracle chooses.
    nothing : bool
        Whether leaving a question without an answer is one of the actions. In the paper it is not. An oracle of noisy
        labels would do that to all questions that look hopeless.
    """
    columns = np.array([a for a, name in enumerate(menu.names) if nothing or name != NOTHING])
    if len(columns) <= MOST_IMITATED:
        return columns
    acc, cost = np.nan_to_num(menu.acc)[:, columns], menu.mean_cost[columns]
    there = None if menu.available is None else menu.available[:, columns]
    asked = [budget for budget in budgets if budget >= cost.min()]
    used = np.zeros(len(columns))
    for budget in asked:
        plan = solve(acc, np.broadcast_to(cost, acc.shape), budget, available=there)
        used += np.bincount(plan.actions, minlength=len(columns))
    used[Mix.of(menu.mean_acc[columns], cost).hull] += len(acc) * len(asked) + 1.0
    return np.sort(columns[np.argsort(-used, kind="stable")[:MOST_IMITATED]])

"""What all policies that decide before sampling share: fit on a table, decide at a price or a budget, start a run.

What to use when
----------------
`LearnedPolicy`
    The base class for a policy of your own: fill in `_learn` and `_choose`.

A policy sees X and the costs that are known before sampling, nothing else. The price controls how much it spends. A
budget is turned into a price (or into the share of a mixture) on the training questions, on held-out ones
(`calibrate`), or on the very questions that are to be decided (``decide(X, budget=...)``).
"""

import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._printing import cleaned
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.protocol import DecidedRun, Run
from tcalloc.learn.routing.batch import Batch, checked_available
from tcalloc.learn.routing.judging import Judging
from tcalloc.learn.rows import RowLike, Rows, RowsLike, Schema, as_row, as_rows
from tcalloc.learn.saving.common_state import Stored
from tcalloc.learn.training import ActionsLike, SamplesLike, Training, as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.labels import labels_of

try:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
except ImportError:
    raise MissingExtraError("policies need scikit-learn: pip install 'tcalloc[learn]'") from None

__all__ = ["Actions", "LearnedPolicy"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int32]


class LearnedPolicy(Judging, Stored, BaseEstimator):  # type: ignore[misc]
    """What all policies that decide before sampling share; not a policy itself.

    Attributes
    ----------
    n_ : int
        Number of training questions.
    action_names_ : tuple of str, (K,)
        Names of the columns.
    actions_ : tuple of Action or None
        What the columns mean (an entry None: do nothing); None if their names stand for no action of tcalloc.
    cost_ : ndarray, (K,)
        Mean training cost of each action: what is known about costs before sampling.
    mean_acc_ : ndarray, (K,)
        Mean training accuracy of each action.
    price_ : float or None
        The price λ at which it decides by default.
    budget_ : float or None
        The mean cost per question that this price is meant to spend.
    guarantee_ : Calibration or None
        The result of `calibrate`.
    n_features_in_, feature_names_in_
        As in scikit-learn; names only if the columns of X had names.
    """

    random_state: int
    setting_: float | None = None

    # ------------------------------------------------------------------------------------------ for subclasses

    def _learn(self, rows: Rows, training: Training) -> None:
        """Learn from checked rows; check the parameters too."""
        raise NotImplementedError

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        """Decide at a price or at a budget, one of which is given."""
        raise NotImplementedError

    def _price_of(self, budget: float) -> float:
        """Return the price that spends a budget on the training questions."""
        raise NotImplementedError

    def _setting_at(self, budget: float) -> float | None:
        """Return the budget to serve in place of a price, where no price spends it exactly."""
        return None

    def _repr_lines(self) -> list[str]:
        """Return what `repr` adds after fit."""
        return []

    # ------------------------------------------------------------------------------------------ fit

    def fit(
        self,
        X: RowsLike | None,
        samples: SamplesLike,
        *,
        actions: ActionsLike | None = None,
        cost: ArrayLike | None = None,
    ) -> Self:
        """Learn from questions whose outcomes are known.

        Parameters
        ----------
        X : sequence of str, array_like (n, d), DataFrame
            One row per question. None is allowed for policies that do not look at the question (`blind`). Such a
            policy then accepts any question later.
        samples : Samples, Table or array_like (n, K)
            What each action reaches and costs on each question. From Samples the exact (unbiased) expectation is
            taken. An array of accuracies needs `cost`.
        actions : list of Action, optional
            For Samples: the actions (default: `Samples.usual_actions`). For a table: what its columns mean, if their
            names do not say it. None in the list: do nothing.
        cost : array_like, (K,) or (n, K), optional
            Costs to use instead of the table's.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If an argument is not allowed, or X and samples do not fit each other.
        """
        self._check_parameters()
        rows = as_rows(X) if X is not None else self._unseen(samples)
        training = as_table(samples, rows.n, actions, cost)
        self.trained_on_ = labels_of(samples)
        self._begin(rows.schema, training)
        self._learn(rows, training)
        asked = getattr(self, "budget", None)
        if asked is not None:
            self._set_budget(scalar(asked, "budget"))
        return self

    def _set_budget(self, budget: float) -> None:
        """Decide at a budget from now on; this guarantees nothing."""
        self.guarantee_: Any = None
        self.budget_ = budget
        self.price_ = self._price_of(budget)
        self.setting_ = self._setting_at(budget)

    def _begin(self, schema: Schema, training: Training) -> None:
        schema.set_on(self)
        self.n_ = len(training.acc)
        self.action_names_ = training.names
        self.actions_ = training.actions
        self.cost_, self.mean_acc_ = training.mean_cost, training.mean_acc
        self.cost_range_ = training.cost_range
        self.shared_costs_ = training.shared
        self.price_: float | None = None
        self.budget_: float | None = None
        self.guarantee_, self.setting_ = None, None

    # ------------------------------------------------------------------------------------------ decide

    def decide(
        self,
        X: RowsLike | None,
        *,
        budget: float | None = None,
        price: float | None = None,
        cost: ArrayLike | None = None,
        available: ArrayLike | None = None,
    ) -> Actions:
        """Choose an action for each question.

        Parameters
        ----------
        X : like that of `fit`
        budget : float, optional
            Mean cost per question of this batch; the price is solved for on what is known before sampling. For single
            questions use the price, because a budget says nothing about one question.
        price : float, optional
            λ: the accuracy that one more unit of cost must gain. Default: the calibrated price, or that of the budget
            in fit.
        cost : array_like, (K,) or (n, K), optional
            Costs that are known before sampling; needed if ``known_costs="given"``.
        available : array_like of bool, (n, K), optional
            False if a question does not have an action.

        Returns
        -------
        ndarray of int32, (n,)
            Columns; `action_names_` holds their names.

        Raises
        ------
        InputError
            If X does not look like that of `fit`, or an argument is not allowed.
        BudgetError
            If even the cheapest actions cost more than the budget.
        """
        self._check_fitted()
        return self._decide(as_rows(X, expected=self.schema_), budget, price, cost, available)

    def predict(self, X: RowsLike | None) -> Actions:
        """Choose an action for each question at the price of the policy; scikit-learn's name for `decide`.

        Parameters
        ----------
        X : like that of `fit`
            The questions.
        """
        return self.decide(X)

    def _decide(self, rows: Rows, budget: Any, price: Any, cost: Any, available: Any) -> Actions:
        if budget is not None and price is not None:
            raise InputError("budget and price given; expected at most one of them.")
        known = self._known_costs(cost, rows.n)
        there = checked_available(available, rows.n, len(self.cost_))
        batch = Batch(rows, known, there)
        if budget is not None:
            return self._choose(batch, None, scalar(budget, "budget"))
        if price is not None:
            asked = scalar(price, "price")
            if asked < 0:
                raise InputError(f"price is {asked!r}; expected at least 0 (accuracy per unit of cost).")
            return self._choose(batch, asked, None)
        return self._choose_by_itself(batch)

    def _choose_by_itself(self, batch: Batch) -> Actions:
        """Decide at the policy's own price or budget."""
        return self._choose(batch, *self._own())

    def _own(self) -> tuple[float | None, float | None]:
        """Return the price (or budget) at which it decides by default."""
        if self.setting_ is not None:
            return None, self.setting_
        if self.price_ is None:
            raise InputError(
                "neither budget nor price given, and this policy has none of its own. Pass decide(X, budget=…) or "
                "price=…, or set one: calibrate(X_held, samples_held, budget=…)."
            )
        return self.price_, None

    def _known_costs(self, cost: Any, n: int) -> Floats:
        if cost is None:
            if self.known_costs == "given":
                raise InputError("known_costs is 'given', but no cost given; expected cost=, (n, K), known beforehand.")
            return self.cost_
        known = np.asarray(cost, np.float64)
        if known.shape not in ((len(self.cost_),), (n, len(self.cost_))):
            raise InputError(
                f"cost has shape {known.shape}; expected ({n}, {len(self.cost_)}) or ({len(self.cost_)},): a column "
                "per action."
            )
        bad = ~(np.isfinite(known) & (known >= 0))
        if bad.any():
            place = np.argwhere(bad)[0].tolist()
            raise InputError(f"cost{place} is {known[tuple(place)]}; expected a finite number, at least 0.")
        return known

    def at(self, budget: float) -> Self:
        """Return the same policy for another budget: at the price that spends it on the training questions.

        Parameters
        ----------
        budget : float
            Mean cost per question.

        Returns
        -------
        LearnedPolicy
            This same object, if that is its budget already.
        """
        self._check_fitted()
        asked = scalar(budget, "budget")
        if asked == self.budget_ and self.price_ is not None:
            return self
        made = copy.copy(self)
        made._set_budget(asked)
        return made

    def start(self, x: RowLike | None) -> Run:
        """Begin with one question: the run decides at the policy's price and draws once.

        Parameters
        ----------
        x : str, vector, mapping
            One row of X.

        Returns
        -------
        Run

        Raises
        ------
        InputError
            If the policy has no price, or it is not known what its actions mean.
        """
        self._check_fitted()
        if self.actions_ is None:
            names = ", ".join(self.action_names_[:4])
            raise InputError(
                f"it is not known what the actions ({names}, …) mean, so nothing can be drawn. Pass them to fit: "
                "fit(X, samples, actions=[Vote(1), …])."
            )
        return self._run(as_row(x, expected=self.schema_), self.actions_)

    def _run(self, row: Rows, actions: tuple[Action | None, ...]) -> Run:
        return DecidedRun(actions[self._decide_one(row)])

    def route(self, question: RowLike, *, cost: ArrayLike | None = None) -> str:
        """Return the action for one request, by its name.

        Parameters
        ----------
        question : str, vector or mapping
            One row of X. The same question always gets the same action.
        cost : array_like, (K,), optional
            Costs that are known before sampling; needed if ``known_costs="given"``.

        Returns
        -------
        str
            One of `action_names_`; "nothing" leaves the question without an answer.

        Raises
        ------
        InputError
            If the policy has neither budget nor price, must see samples before it decides, or the question does not
            look like those of `fit`.
        """
        self._check_fitted()
        return self.action_names_[self._decide_one(as_row(question, expected=self.schema_), cost)]

    def _decide_one(self, row: Rows, cost: ArrayLike | None = None) -> int:
        return int(self._choose(Batch(row, self._known_costs(cost, 1), None), *self._own())[0])

    # ------------------------------------------------------------------------------------------ files and words

    def _check_fitted(self) -> None:
        if not hasattr(self, "action_names_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet. Call fit(X, samples) first.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "action_names_")

    @cleaned
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        head = str(super().__repr__(N_CHAR_MAX))
        if not hasattr(self, "action_names_"):
            return head
        names = ", ".join(self.action_names_[:8]) + (", …" if len(self.action_names_) > 8 else "")
        lines = [f"fitted on {counted(self.n_, 'question')}; actions: {names}", *self._repr_lines()]
        if self.guarantee_ is not None:
            lines.append(str(self.guarantee_))
        elif self.price_ is not None:
            of = "" if self.budget_ is None else f", that of budget {self.budget_:g}"
            lines.append(f"decides at price {self.price_:.4g}{of}")
        return head + "".join(f"\n  {line}" for line in lines)

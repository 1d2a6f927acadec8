"""A rule from the papers as a policy: its settings are tuned on recorded samples, and two are mixed for a budget.

What to use when
----------------
`TunedRule`
    Any family of `tcalloc.learn.rivals.settings.families`, as a policy for a budget.

A rule of counts stops by the votes alone, so only the best settings have to be learned. All settings of all models are
replayed on the same random orders of the training samples. Those on the upper concave hull of accuracy over spend are
kept. A budget between two of them is met by a random choice between the two.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import one_of
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._printing import cleaned
from tcalloc._rounding import AFFORDED
from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.estimator import StoppingEstimator
from tcalloc.learn.holdout.calibrate import Calibration, calibrate_rising
from tcalloc.learn.holdout.cost_range import cost_phrase, sample_costs
from tcalloc.learn.holdout.folds import Frontier, mixed
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.outcomes import PolicyOutcomes, budgets_of
from tcalloc.learn.protocol import uniform
from tcalloc.learn.registry import MARGIN_CAP, SUCCESS_STOP
from tcalloc.learn.replay.all_orders import draw_costs
from tcalloc.learn.rivals.counting import Counting, CountingRun
from tcalloc.learn.rivals.replayed import ORDERS, Replayed, described, outcomes_of, unknown
from tcalloc.learn.rivals.serialize import pack, unpack
from tcalloc.learn.rivals.settings import families
from tcalloc.learn.rows import RowLike, RowsLike, as_row
from tcalloc.measure.labels import labels_of
from tcalloc.measure.samples import Samples

__all__ = ["TunedRule"]

# Number of budgets that `calibrate` tries.
GRID = 200


class TunedRule(StoppingEstimator):
    """A rule of vote counts from the papers, tuned on recorded samples.

    Parameters
    ----------
    family : str
        The name of the rule, as `tcalloc.learn.rivals.families` lists them, such as "AC Beta", "ESC" or "margin + cap".
    budget : float, optional
        Mean cost per question, in the unit of the samples' costs. Can be given later: ``policy.at(budget)``.
    verifier : bool, optional
        Whether a verifier marks right samples. Default: True for "fixed k, success stop", which needs one.
    orders : int
        Random orders of each question's samples on which the settings are tuned.
    random_state : int
        Seed of the random choices between two settings. The same question always gets the same setting.

    Attributes
    ----------
    rules_ : tuple of Counting, (H,)
        The settings on the hull, from the cheapest to the most accurate.
    spend_, accuracy_ : ndarray, (H,)
        Mean spend and accuracy of each setting on the training questions.
    arms_ : tuple of str
        The models that the settings draw from.
    sample_costs_ : dict of str to float
        Mean cost of a recorded sample of each model, in the unit of all costs and budgets.
    round_costs_ : dict of str to (float, float)
        What a question's first draw of each model and its later draws cost besides their samples, on average.
    budget_ : float or None
        The mean cost per question for which it is set, by `fit`, `at` or `calibrate`.
    guarantee_ : Calibration or None
        The result of `calibrate`.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc import Samples
    >>> from tcalloc.learn.rivals import TunedRule
    >>> rng = np.random.default_rng(0)
    >>> chance = rng.uniform(0.3, 1.0, (60, 1))
    >>> samples = Samples(np.where(rng.random((60, 12)) < chance, 0, rng.integers(1, 4, (60, 12))))
    >>> policy = TunedRule("margin + cap", budget=3.0).fit(None, samples)
    >>> run = policy.start("Which number is larger, 5 or 1?")
    >>> run.next().n >= 1
    True
    """

    rules_: tuple[Counting, ...]

    def __init__(
        self,
        family: str = MARGIN_CAP,
        budget: float | None = None,
        *,
        verifier: bool | None = None,
        orders: int = ORDERS,
        random_state: int = 0,
    ):
        self.family = family
        self.budget = budget
        self.verifier = verifier
        self.orders = orders
        self.random_state = random_state

    # ------------------------------------------------------------------------------------------ fit

    def fit(self, X: RowsLike | None, samples: Samples) -> Self:
        """Tune the settings.

        Parameters
        ----------
        X : ignored
            The questions; a rule of counts does not look at them. None is allowed.
        samples : Samples
            Samples of one model or of several. If of several, each setting draws from one of them.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the family is unknown, or the samples do not hold what it needs.
        BudgetError
            If the budget is below the cheapest setting.
        """
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; expected Samples, because the rule is replayed.")
        checked = self._verified()
        if not checked and not samples.answered:
            raise InputError(
                f"samples has no answers, only right and wrong, so {self.family!r} has nothing to vote on. Record the "
                f"answers, or use {SUCCESS_STOP!r} if a verifier recognises right answers live."
            )
        replayed = Replayed.of(samples, self.family, orders=self.orders, verifier=checked)
        self.tune(replayed)
        self.n_ = len(samples)
        self.trained_on_ = labels_of(samples)
        self.held_ = replayed.held_out(self.spend_, self.accuracy_)
        costs = draw_costs(samples)
        self.sample_costs_ = {arm: of.mean for arm, of in costs.items() if of.mean is not None}
        self.round_costs_ = {arm: of.rounds for arm, of in costs.items()}
        self.highest_costs_ = {arm: costs[arm].highest + costs[arm].highest_round for arm in self.sample_costs_}
        if self.budget_ is not None:
            self._check(self.budget_)
        return self

    def tune(self, replayed: Replayed, rows: Any = None) -> Self:
        """Choose the settings on the hull, on questions that were replayed already; `fit` calls it.

        Parameters
        ----------
        replayed : Replayed
            All settings.
        rows : array_like of int, optional
            The training questions. Default: all.
        """
        picked = np.arange(replayed.spend.shape[1]) if rows is None else np.asarray(rows)
        spend, accuracy = replayed.spend[:, picked], replayed.accuracy[:, picked]
        hull = Frontier.of(spend.mean(axis=1), accuracy.mean(axis=1))
        self.settings_ = hull.settings
        self.rules_ = tuple(replayed.rules[j] for j in hull.settings.tolist())
        self.rule_arms_ = tuple(replayed.arms[j] for j in hull.settings.tolist())
        self.spend_, self.accuracy_ = hull.spend, hull.accuracy
        self._hull = Frontier(np.arange(len(self.rules_)), hull.spend, hull.accuracy)
        self._begin(None if self.budget is None else scalar(self.budget, "budget"))
        return self

    def _begin(self, budget: float | None) -> None:
        """Set the budget to spend; this guarantees nothing."""
        self.budget_ = budget
        self._spending = budget
        self.guarantee_: Calibration | None = None
        self._numbers = np.random.default_rng(int(self.random_state))

    def _verified(self) -> bool:
        one_of("family", self.family, (*families(1), SUCCESS_STOP))
        checked = self.family == SUCCESS_STOP if self.verifier is None else bool(self.verifier)
        if self.family not in families(1, verifier=checked):
            raise InputError(unknown(self.family, checked))
        return checked

    # ------------------------------------------------------------------------------------------ use

    def at(self, budget: float) -> Self:
        """Return the same policy for another budget; nothing is tuned again.

        Parameters
        ----------
        budget : float
            Mean cost per question.

        Raises
        ------
        BudgetError
            If even the cheapest setting costs more.
        """
        self._check_fitted()
        made, asked = copy(self), scalar(budget, "budget")
        made._check(asked)
        made._begin(asked)
        return made

    def _check(self, budget: float) -> None:
        least = float(self.spend_[0])
        if budget < least * (1 - AFFORDED):
            raise BudgetError(
                f"budget is {budget!r}, but the cheapest setting of {self.family!r} spends {least:.6g} per question. "
                "Raise the budget.",
                least,
            )

    def start(self, x: RowLike | None = None) -> CountingRun:
        """Begin with one question.

        Parameters
        ----------
        x : str, vector or mapping
            One row of X. It only decides which of two neighbouring settings is used, so that the same question always
            gets the same setting. Without it the setting is drawn at random for each run.

        Raises
        ------
        InputError
            If the policy is not fitted, or has no budget.
        """
        self._check_fitted()
        if self._spending is None:
            raise InputError("this policy has no budget. Set one: policy.at(budget), or TunedRule(…, budget=…).")
        low, high, share = self._hull.mix(self._spending)
        if low == high:
            return self.rules_[low].start(x)
        number = float(self._numbers.random()) if x is None else uniform(int(self.random_state), as_row(x).keys()[0])
        return self.rules_[high if number < share else low].start(x)

    def frontier(self) -> StoppingFrontier:
        """Return spend and accuracy of each setting on the hull, from questions that the tuning had not seen."""
        self._check_fitted()
        rounds = np.full(len(self.rules_), np.nan)
        words = tuple(described(rule) for rule in self.rules_)
        return StoppingFrontier(self.held_[0], self.held_[1], rounds, words)

    def replay(
        self,
        X: RowsLike | None,
        samples: Samples,
        budgets: ArrayLike | None = None,
        *,
        orders: int = ORDERS,
        replayed: Replayed | None = None,
    ) -> PolicyOutcomes:
        """Return what the policy does at several budgets on recorded questions.

        Random choices between two settings count in expectation.

        Parameters
        ----------
        X : ignored
            The questions.
        samples : Samples
            Recorded samples.
        budgets : array_like, (B,), optional
            Mean costs per question. Default: the policy's own.
        orders : int
            Random orders of each question's samples.
        replayed : Replayed, optional
            All settings on these samples, if they are computed already.

        Returns
        -------
        PolicyOutcomes
            (B, n) spend and accuracy.

        Raises
        ------
        BudgetError
            If a budget is below the cheapest setting.
        """
        self._check_fitted()
        asked = [self._own()] if budgets is None else budgets_of(budgets)
        if replayed is None:
            settings = outcomes_of(self.rules_, self.rule_arms_, samples, orders, verifier=self._verified())
        else:
            settings = replayed.spend[self.settings_], replayed.accuracy[self.settings_]
        for budget in asked:
            self._check(budget)
        mixtures = self._hull.mix_each(np.array(asked))
        spend, accuracy = (mixed(values, *mixtures) for values in settings)
        return PolicyOutcomes(np.array(asked), spend, accuracy, np.interp(asked, self.spend_, self.accuracy_))

    def _own(self) -> float:
        if self._spending is None:
            raise InputError("this policy has no budget. Set one: policy.at(budget), or pass budgets.")
        return self._spending

    def calibrate(
        self,
        X: RowsLike | None,
        samples: Samples,
        *,
        budget: float,
        confidence: float | None = None,
        low: float | None = None,
        high: float | Mapping[str, float] | None = None,
        orders: int = ORDERS,
    ) -> Self:
        """Set on held-out questions what may be spent, so that the policy keeps the budget there.

        Parameters
        ----------
        X : ignored
            The questions.
        samples : Samples
            Samples of questions that the settings were not tuned on.
        budget : float
            Mean cost per question.
        confidence : float, optional
            With it, P(expected spend > budget) ≤ 1 − confidence over the draw of the held-out questions, under the
            assumptions that `guarantee_` lists.
        low : float, optional
            The least that one question may cost; default: 0.
        high : float or mapping of str to float, optional
            The most that one sample may cost, future questions included; per model if models differ. It is known
            without being given if one cost was given for all samples of a model.
        orders : int
            Random orders of each question's samples.

        Returns
        -------
        self

        Raises
        ------
        BudgetError
            If no setting keeps the budget (with that confidence).
        InputError
            If an argument is not allowed, or the highest cost of a sample is needed but not known.
        """
        self._check_fitted()
        budgets = np.unique(np.concatenate([np.linspace(self.spend_[0], self.spend_[-1], GRID), self.spend_]))
        arms, limits = self.arms_, dict[str, Any]()
        phrase: str | None = None
        if confidence is not None:
            seen = np.array([self.highest_costs_[arm] for arm in arms])
            most = sample_costs(arms, seen, samples, {}, high)
            each = dict(zip(arms, most.tolist(), strict=True))
            costs = np.array([rule.cap * each[arm] for rule, arm in zip(self.rules_, self.rule_arms_, strict=True)])
            limits = {"low": low or 0.0, "high": mixed(costs[:, None], *self._hull.mix_each(budgets))[:, 0]}
            phrase = cost_phrase(arms, most)
        spends = self.replay(None, samples, budgets, orders=orders).spend
        place, found = calibrate_rising(spends, budget, confidence, phrase, **limits)
        self._spending = float(budgets[place])
        self.budget_, self.guarantee_ = scalar(budget, "budget"), found
        return self

    # ------------------------------------------------------------------------------------------ files and words

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return the state to save: values for JSON, and arrays; there are no boosters."""
        return (*pack(self), {})

    @property
    def arms_(self) -> tuple[str, ...]:
        """The models that the settings draw from."""
        return tuple(dict.fromkeys(self.rule_arms_))

    @classmethod
    def _from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], boosters: Any) -> Self:
        """Return the policy with this state; everything is checked as if a stranger had written it."""
        made = cls(**meta["parameters"])
        made._verified()
        unpack(made, meta, arrays)
        return made

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "rules_")

    @cleaned
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        if not self.__sklearn_is_fitted__():
            return f"TunedRule({self.family!r}{'' if self.budget is None else f', budget={self.budget}'}), not fitted"
        head = f"TunedRule({self.family!r}{'' if self.budget_ is None else f', budget={self.budget_:g}'})"
        lines = [f"{head}, tuned on {counted(self.n_, 'question')}; {counted(len(self.rules_), 'setting')} on the hull"]
        if self._spending is not None:
            low, high, share = self._hull.mix(self._spending)
            one, other = described(self.rules_[low]), described(self.rules_[high])
            lines.append(f"  always {one}" if low == high else f"  {1 - share:.0%} {one}, {share:.0%} {other}")
        if self.guarantee_ is not None:
            lines.append(f"  {self.guarantee_}")
        return "\n".join(lines)

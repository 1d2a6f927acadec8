"""`Sequential`: stop sampling where the next sample is no longer worth its price."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._printing import cleaned
from tcalloc._threads import one_thread
from tcalloc.errors import InputError
from tcalloc.learn.estimator import StoppingEstimator
from tcalloc.learn.holdout.calibrate import Calibration
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.looking import feature_cost_of
from tcalloc.learn.protocol import uniform
from tcalloc.learn.rows import RowLike, RowsLike
from tcalloc.learn.sequential.bounds import budget_of, budgets_of, limit_of
from tcalloc.learn.sequential.reach import calibrated
from tcalloc.learn.sequential.replay import replayed
from tcalloc.learn.sequential.rules.families import Outcomes
from tcalloc.learn.sequential.run import SequentialRun
from tcalloc.learn.sequential.selection import Mixture
from tcalloc.learn.sequential.serialize import pack, unpack
from tcalloc.learn.sequential.settings import Settings, check_actions
from tcalloc.learn.sequential.training import Trained, train
from tcalloc.measure.actions import Action
from tcalloc.measure.labels import labels_of
from tcalloc.measure.samples import Samples

__all__ = ["Sequential", "StoppingFrontier"]


class Sequential(StoppingEstimator):
    """Draw samples until another is no longer worth its cost.

    Learns from recorded samples by backward induction at many prices at once. For rules that look at counts of votes
    only, the chances of the next vote are exact means over all orders of the samples, pooled over questions. For rules
    that see more, the advantage of another sample is a regression. Rules with a threshold and a cap (margin + cap,
    fixed k) compete with them. All are judged on held-out questions, and two neighbouring rules are mixed to spend the
    budget. With a verifier, a run always stops at the first success.

    Parameters
    ----------
    budget : float, optional
        Mean cost per question, in the unit of the samples' costs (samples, if none were recorded). Can be given later:
        ``policy.at(budget)``.
    answer_by : {"vote", "verifier", "score"}, optional
        What determines the answer: the most votes, the first sample that a verifier accepts, or the highest score.
        Default: votes. A verifier is never assumed.
    waves : tuple of int, optional
        How many samples may be drawn at once. Several at once share what their draw costs (``Samples(round_cost=…)``,
        the prompt of a request), which is part of the spend. Default: 1, and where later draws cost something besides
        their samples 1, 2, 4 or 8, whichever suits the state.
    most : int or mapping of str to int, optional
        The most samples per question, of each model. Default: all that were recorded; for several models 8 of the
        cheapest and 4 of the others. For one model, only rules with a threshold and a cap continue beyond 40 samples.
    cap : float, optional
        The most that one question may cost: nothing is drawn that could exceed it at the highest cost recorded.
    deadline : float, optional
        Seconds, above 0, after which a run draws nothing more. Replays and all figures ignore it.
    actions : mapping of str to Action, optional
        The action of a draw from each model, with all its parameters; default: just its name.
    feature_cost : float
        What having X costs per question, in the unit of the costs. Rules that read X are charged it for each question,
        and are used only if they are worth it. It is a part of budgets, spends and `cap`.
    random_state : int
        Random seed of orders, folds and mixtures.

    Attributes
    ----------
    arms_ : tuple of str
        The models, from the cheapest on, which is the order of the draws.
    sample_costs_ : dict of str to float
        Mean cost of a recorded sample of each model, in the unit of all costs and budgets.
    round_costs_ : dict of str to (float, float)
        What a question's first draw of each model and its later draws cost besides their samples, on average.
    looking_cost_ : float
        What is paid for X per question at the present budget: `feature_cost`, or 0 if its rules do not read X.
    budget_ : float or None
        The mean cost per question for which it is set, by `fit`, `at` or `calibrate`.
    guarantee_ : Calibration or None
        The result of `calibrate`.

    Examples
    --------
    >>> import numpy as np
    >>> import tcalloc
    >>> from tcalloc.learn.sequential import Sequential
    >>> from tcalloc.measure import Samples
    >>> rng = np.random.default_rng(0)
    >>> codes = np.where(rng.random((60, 12)) < rng.uniform(0.3, 1.0, (60, 1)), 0, rng.integers(1, 4, (60, 12)))
    >>> policy = Sequential(budget=3.0).fit(None, Samples(codes))
    >>> run = policy.start("Which number is larger, 5 or 1?")
    >>> run.next().n
    1
    >>> run.add([tcalloc.Result(answer="5", cost=1.0)])
    >>> run.vote_share, round(run.probability, 1)
    (1.0, 0.6)
    """

    def __init__(
        self,
        budget: float | None = None,
        *,
        answer_by: str | None = None,
        waves: Sequence[int] | None = None,
        most: int | Mapping[str, int] | None = None,
        cap: float | None = None,
        deadline: float | None = None,
        actions: Mapping[str, Action] | None = None,
        feature_cost: float = 0.0,
        random_state: int = 0,
    ):
        self.budget = budget
        self.answer_by = answer_by
        self.waves = waves
        self.most = most
        self.cap = cap
        self.deadline = deadline
        self.actions = actions
        self.feature_cost = feature_cost
        self.random_state = random_state

    # ------------------------------------------------------------------------------------------ fit

    def fit(self, X: RowsLike | None, samples: Samples) -> Self:
        """Learn from recorded samples.

        Parameters
        ----------
        X : sequence of str, matrix, frame or None
            The questions, as they will be given to `start`; needs the [learn] extra. With None a question is not
            looked at.
        samples : Samples
            Samples of one model or of several; with tokens, logprobs and scores if there are any.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If the samples do not hold what `answer_by` needs, X does not fit them, or a parameter is not allowed.
        """
        budget, cap, _ = self._limits()
        looks = feature_cost_of(self.feature_cost)
        settings = Settings.of(samples, self.answer_by, self.waves, self.most, cap, self.random_state, looks)
        check_actions(self.actions, settings.arms)
        self.trained_on_ = labels_of(samples)
        with one_thread():
            trained = train(samples, X, settings)
        return self._begin(trained, budget)

    def _limits(self) -> tuple[float | None, float | None, float | None]:
        """Return the budget, the cap and the deadline, checked; None if there is none."""
        budget = None if self.budget is None else budget_of(self.budget)
        cap = limit_of(self.cap, "cap", "the most that a question may cost")
        return budget, cap, limit_of(self.deadline, "deadline", "seconds after which nothing more is drawn")

    def _begin(self, trained: Trained, budget: float | None) -> Self:
        """Set what was learned, and the budget to spend."""
        self._trained = trained
        self.arms_ = trained.settings.arms
        self.guarantee_: Calibration | None = None
        self.budget_ = budget
        self._numbers = np.random.default_rng(trained.settings.seed)
        self._mixture: Mixture | None = None if budget is None else trained.choices.at(budget)
        return self

    def at(self, budget: float) -> Self:
        """Return the same policy for another budget; nothing is learned again.

        Parameters
        ----------
        budget : float
            Mean cost of a question.

        Raises
        ------
        InputError
            If it is not a number above 0, or the policy is not fitted.
        """
        return copy(self)._begin(self._fitted(), budget_of(budget))

    def calibrate(
        self,
        X: RowsLike | None,
        samples: Samples,
        *,
        budget: float,
        confidence: float | None = None,
        low: float | None = None,
        high: float | Mapping[str, float] | None = None,
        orders: int = 8,
    ) -> Self:
        """Set on held-out questions what may be spent, so that the policy keeps the budget there.

        Parameters
        ----------
        X, samples : as in `fit`
            Samples of questions that were not trained on.
        budget : float
            Mean cost of a question.
        confidence : float, optional
            With it, P(expected spend > budget) ≤ 1 − confidence over the draw of the held-out questions, under the
            assumptions that `guarantee_` lists. Rules then stop at a limit on the cost of one question, which suits the
            number of held-out questions: few questions can only guarantee a budget that no question exceeds by far.
        low : float, optional
            The least that one question may cost; default: 0.
        high : float or mapping of str to float, optional
            The most that one sample may cost, its draw and future questions included; per model if models differ. It is
            known without being given if one cost was given for all samples of a model, or if `actions` have max_tokens
            and rates without a charge for the prompt. What a question may cost follows from the most samples that its
            rule draws.
        orders : int
            Random orders of each question's samples.

        Returns
        -------
        self

        Raises
        ------
        BudgetError
            If no rule keeps the budget (with that confidence).
        InputError
            If an argument is not allowed, or the highest cost of a sample is needed but not known.
        """
        trained, asked = self._fitted(), budget_of(budget)
        found = calibrated(trained, X, samples, asked, confidence, low, high, orders, self.actions or {})
        self._mixture, self.guarantee_ = found
        self.budget_ = asked
        return self

    looks_within_budget = True

    @property
    def quick(self) -> bool:
        """Whether it decides in about a millisecond, by computing alone: without embeddings of the question."""
        asking = self._fitted().asking
        return asking is None or asking.features.quick

    @property
    def schema_(self) -> Any:
        """What X looked like in `fit` (`tcalloc.learn.rows.Schema`); None: there was none."""
        asking = self._fitted().asking
        return None if asking is None else asking.features.schema_

    @property
    def looking_cost_(self) -> float:
        """What is paid for X per question at the present budget."""
        trained = self._fitted()
        return trained.settings.looks * trained.choices.candidates[self._own().candidate].family.predicts

    @property
    def sample_costs_(self) -> dict[str, float]:
        """Mean cost of a recorded sample of each model."""
        settings = self._fitted().settings
        return {arm: cost for arm, cost in zip(settings.arms, settings.usual, strict=True) if cost is not None}

    @property
    def round_costs_(self) -> dict[str, tuple[float, float]]:
        """What a question's first draw of each model and its later ones cost besides their samples, on average."""
        settings = self._fitted().settings
        return dict(zip(settings.arms, settings.usual_rounds, strict=True))

    # ------------------------------------------------------------------------------------------ use

    def start(self, x: RowLike | None = None) -> SequentialRun:
        """Begin with one question.

        A run of this policy also has `probability`, the probability that its answer is right.

        Parameters
        ----------
        x : str, vector or mapping, optional
            One row of X. It also decides which of two neighbouring rules is used, so that the same question always gets
            the same rule. Without it the rule is drawn at random for each run; `random_state` fixes the sequence.

        Raises
        ------
        InputError
            If the policy is not fitted, has no budget, or was fitted with X and gets none.
        """
        trained, mixture = self._fitted(), self._own()
        settings, candidate = trained.settings, trained.choices.candidates[mixture.candidate]
        predictions = None
        if trained.asking is not None:
            if x is None:
                raise InputError("x is missing: the policy was fitted with X. Pass the question: start(x).")
            predictions = trained.asking.predict_one(x) if candidate.family.predicts else None
        number = float(self._numbers.random()) if x is None else uniform(settings.seed, x)
        setting = mixture.high if number < mixture.share else mixture.low
        actions, limit = settings.actions(self.actions or {}), settings.room(candidate.family, mixture.limit)
        deadline, believing = self._limits()[2], trained.believing(candidate, setting)
        return SequentialRun(
            settings, trained.reading, candidate.family, setting, actions, predictions, limit, deadline, believing
        )

    def _own(self) -> Mixture:
        """Return the setting that a budget has chosen."""
        if self._mixture is None:
            raise InputError("this policy has no budget. Give it one: policy.at(budget), or Sequential(budget=…).")
        return self._mixture

    def frontier(self) -> StoppingFrontier:
        """Return spend and accuracy at many budgets, on training questions that were held out.

        A question is scored by rules, hull and mixture that were learned and chosen without it, and so are predictions
        from X. Only the weights of votes are learned from all questions; from 60 questions on, that changes a figure by
        less than 0.1 points.
        """
        return self._fitted().frontier

    def replay(
        self,
        X: RowsLike | None,
        samples: Samples,
        budgets: Sequence[float] | None = None,
        *,
        orders: int = 8,
        random_state: int = 0,
        columns: dict[str, NDArray[np.intp]] | None = None,
    ) -> Outcomes:
        """Return what the policy does at several budgets on recorded samples of other questions.

        It replays all states of all runs at once. The result is that of `tcalloc.learn.replay.metered.replay`, except
        that mixtures are averaged, not drawn, and that ties of votes count in even shares.

        Parameters
        ----------
        X, samples : as in `fit`
            Recorded samples.
        budgets : sequence of float, optional
            Mean costs of a question. Default: the policy's own setting.
        orders, random_state : int
            Random orders of each question's samples, and their seed.
        columns : mapping of str to ndarray, (orders, N, S), optional
            The orders themselves, per model (see `tcalloc.learn.replay.all_orders.random_orders`).

        Returns
        -------
        Outcomes
            (budgets, questions) spend, accuracy, rounds.

        Raises
        ------
        InputError
            If the samples are not from the policy's models or lack what it needs, X does not fit them, or budgets,
            orders, random_state or columns are not allowed.
        """
        trained = self._fitted()
        mixtures = [self._own()] if budgets is None else [trained.choices.at(budget) for budget in budgets_of(budgets)]
        return replayed(trained, mixtures, samples, X, orders, random_state, columns)

    # ------------------------------------------------------------------------------------------ files

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return the state to save: values for JSON, and arrays; there are no boosters."""
        return (*pack(self), {})

    @classmethod
    def _from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], boosters: Any) -> Self:
        """Return the policy with this state; everything is checked as if a stranger had written it."""
        given = meta["actions"]
        actions = None if given is None else {arm: Action.from_dict(action) for arm, action in given.items()}
        made = cls(**meta["parameters"], actions=actions)
        unpack(made, meta, arrays)
        return made

    def _fitted(self) -> Trained:
        self._check_fitted()
        return self._trained

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_trained")

    @cleaned
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        if not self.__sklearn_is_fitted__():
            return f"Sequential({'' if self.budget is None else f'budget={self.budget}'}), not fitted"
        trained, budget = self._trained, "" if self.budget_ is None else f"budget={self.budget_:g}"
        _, cap, deadline = self._limits()
        names = ", ".join(candidate.name for candidate in trained.choices.candidates)
        lines = [f"Sequential({budget}), fitted on {counted(trained.questions, 'question')}; rules: {names}"]
        if self._mixture is not None:
            lines += trained.described(self._mixture, gold=labels_of(self).gold)
        if trained.settings.arms != ("",):
            lines.append(f"  models: {', '.join(trained.settings.arms)}")
        if cap is not None:
            lines.append(f"  a question costs at most {cap:g}")
        if deadline is not None:
            lines.append(f"  a run ends after {deadline:g} s, which no figure counts in")
        if self.guarantee_ is not None:
            lines.append(f"  {self.guarantee_}")
        return "\n".join(lines)

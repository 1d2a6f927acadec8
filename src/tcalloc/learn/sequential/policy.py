"""`Sequential`: stop sampling where the next sample is no longer worth its price."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import astuple, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import level_of
from tcalloc._counts import counted
from tcalloc._printing import cleaned
from tcalloc._threads import one_thread
from tcalloc.errors import InputError
from tcalloc.learn.estimator import StoppingEstimator
from tcalloc.learn.holdout.calibrate import Calibration, calibrate_rising
from tcalloc.learn.holdout.cost_range import cost_phrase, sample_costs
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.looking import feature_cost_of
from tcalloc.learn.protocol import uniform
from tcalloc.learn.rows import RowLike, RowsLike
from tcalloc.learn.sequential.bounds import budget_of, budgets_of, limit_of
from tcalloc.learn.sequential.reach import highest_costs, room
from tcalloc.learn.sequential.replay import replayed, samples_of
from tcalloc.learn.sequential.rules.families import Outcomes
from tcalloc.learn.sequential.run import SequentialRun
from tcalloc.learn.sequential.selection import Candidate, Mixture
from tcalloc.learn.sequential.serialize import pack, unpack
from tcalloc.learn.sequential.states.belief import levelled
from tcalloc.learn.sequential.training import Settings, Trained, train, unknown_arm
from tcalloc.measure.actions import Action
from tcalloc.measure.labels import labels_of
from tcalloc.measure.samples import Samples

__all__ = ["Sequential", "StoppingFrontier"]

Floats = NDArray[np.float64]


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
        if not isinstance(self.actions, Mapping | None):
            raise InputError(f"actions is {type(self.actions).__name__}; expected a mapping of models to actions.")
        for arm, action in (self.actions or {}).items():
            if arm not in settings.arms:
                raise InputError(f"actions: {unknown_arm(arm, settings.arms)}")
            if not isinstance(action, Action):
                raise InputError(f"actions[{arm!r}] is {action!r}; expected an Action such as tcalloc.Vote(1).")
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
        trained = self._fitted()
        asked = budget_of(budget)
        budgets = trained.choices.budgets()
        mixtures = trained.choices.mixtures(budgets)
        limits: dict[str, Any] = {}
        if confidence is not None:
            settings = trained.settings
            named, _ = samples_of(samples, None, settings.arms)
            most = sample_costs(settings.arms, settings.highest_draw_costs, named, self.actions or {}, high)
            limit = room(settings, most, asked, level_of("confidence", confidence), len(named))
            mixtures = [replace(mixture, limit=limit) for mixture in mixtures]
            limits = {"low": low or 0.0, "high": highest_costs(trained, mixtures, most)}
        spends = self._replayed(mixtures, samples, X, orders, 0).spend
        said = None if confidence is None else cost_phrase(trained.settings.arms, most)
        place, found = calibrate_rising(spends, asked, confidence, said, **limits)
        self._mixture = mixtures[place]
        self.budget_, self.guarantee_ = asked, found
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
        trained = self._fitted()
        mixture = self._own()
        candidate = trained.choices.candidates[mixture.candidate]
        predictions = None
        if trained.asking is not None:
            if x is None:
                raise InputError("x is missing: the policy was fitted with X. Pass the question: start(x).")
            predictions = trained.asking.predict_one(x) if candidate.family.predicts else None
        settings = trained.settings
        number = float(self._numbers.random()) if x is None else uniform(settings.seed, x)
        setting = mixture.high if number < mixture.share else mixture.low
        return SequentialRun(
            candidate.family,
            setting,
            trained.reading,
            self._actions(),
            settings.combine,
            predictions,
            settings.caps,
            settings.highest_cost,
            settings.highest_round_cost,
            settings.room(candidate.family, mixture.limit),
            self._limits()[2],
            self._believing(candidate, setting),
        )

    def _own(self) -> Mixture:
        """Return the setting that a budget has chosen."""
        if self._mixture is None:
            raise InputError("this policy has no budget. Give it one: policy.at(budget), or Sequential(budget=…).")
        return self._mixture

    def _believing(self, candidate: Candidate, setting: int) -> Callable[[Any, Any, Any], float] | None:
        """Return a function from a run's state to the probability that its answer is right."""
        belief = self._fitted().belief
        if belief is None or candidate.believed is None:
            return None
        mean, reached = float(candidate.believed[setting]), float(candidate.claimed.accuracy[setting].mean())
        return lambda drawn, first, second: float(levelled(belief.at(drawn, first, second), mean, reached)[0])

    def _actions(self) -> tuple[Action, ...]:
        settings = self._fitted().settings
        combine, by = {"vote": ("vote", None), "verifier": ("best", "verifier"), "score": ("best", "score")}[
            settings.combine
        ]
        given = self.actions or {}
        return tuple(
            given.get(arm, Action(samples=1, combine=combine, by=by, model=arm or None)) for arm in settings.arms
        )

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
        choices = self._fitted().choices
        mixtures = [self._own()] if budgets is None else [choices.at(budget) for budget in budgets_of(budgets)]
        return self._replayed(mixtures, samples, X, orders, random_state, columns)

    def _replayed(
        self, mixtures: list[Mixture], samples: Samples, X: RowsLike | None, orders: int, seed: int, columns: Any = None
    ) -> Outcomes:
        return replayed(self._fitted(), mixtures, samples, X, orders, seed, columns)

    # ------------------------------------------------------------------------------------------ files

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return the state to save: values for JSON, and arrays; there are no boosters."""
        trained, arrays = pack(self._fitted())
        most = dict(self.most) if isinstance(self.most, Mapping) else self.most
        budget, cap, deadline = self._limits()
        meta = {
            "parameters": {
                "budget": budget,
                "answer_by": self.answer_by,
                "waves": list(trained["waves"]),
                "most": most,
                "cap": cap,
                "deadline": deadline,
                "feature_cost": feature_cost_of(self.feature_cost),
                "random_state": int(self.random_state),
            },
            "budget": self.budget_,
            "actions": None if self.actions is None else {arm: a.to_dict() for arm, a in self.actions.items()},
            "mixture": None if self._mixture is None else [*astuple(self._mixture)],
            "guarantee": None if self.guarantee_ is None else self.guarantee_.to_dict(),
            "trained": trained,
        }
        return meta, arrays, {}

    @classmethod
    def _from_state(
        cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes]
    ) -> "Sequential":
        """Return the policy with this state; everything is checked as if a stranger had written it."""
        actions = meta["actions"]
        made = cls(
            **meta["parameters"],
            actions=None if actions is None else {arm: Action.from_dict(action) for arm, action in actions.items()},
        )
        made._limits()
        trained = unpack(meta["trained"], arrays, feature_cost_of(made.feature_cost))
        made._begin(trained, None)
        made.budget_ = None if meta["budget"] is None else budget_of(meta["budget"])
        if meta["mixture"] is not None:
            mixture = Mixture(*meta["mixture"])
            choices = trained.choices.candidates
            fine = all(type(v) is int and v >= 0 for v in (mixture.candidate, mixture.low, mixture.high))
            if not fine or mixture.candidate >= len(choices) or not 0.0 <= mixture.share <= 1.0:
                raise InputError("the mixture of rules is not one.")
            if (
                mixture.limit is not None
                and limit_of(mixture.limit, "limit", "the most that a question may cost") is None
            ):
                raise InputError("the limit of the mixture is not one.")
            if max(mixture.low, mixture.high) >= choices[mixture.candidate].family.settings:
                raise InputError("the mixture is of rules that are not there.")
            made._mixture = mixture
        made.guarantee_ = None if meta["guarantee"] is None else Calibration.from_dict(meta["guarantee"])
        return made

    def _fitted(self) -> Trained:
        self._check_fitted()
        return self._trained

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise InputError("this Sequential is not fitted yet. Call fit(X, samples) first; X may be None.")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_trained")

    @cleaned
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        if not self.__sklearn_is_fitted__():
            return f"Sequential({'' if self.budget is None else f'budget={self.budget}'}), not fitted"
        budget = "" if self.budget_ is None else f"budget={self.budget_:g}"
        _, cap, deadline = self._limits()
        settings = self._trained.settings
        names = ", ".join(c.name for c in self._trained.choices.candidates)
        lines = [f"Sequential({budget}), fitted on {counted(self._trained.questions, 'question')}; rules: {names}"]
        if self._mixture is not None:
            choices, m = self._trained.choices, self._mixture
            spend, rounds = (float(choices.expected(m, what).mean()) for what in ("spend", "rounds"))
            curve = self._trained.frontier
            # By a reference of its own samples, a policy agrees with itself: only other samples tell its agreement.
            accuracy = float(np.interp(spend, curve.spend, curve.accuracy))
            reached = f"accuracy {accuracy:.4f} at " if labels_of(self).gold else ""
            lines.append(
                f"  {choices.candidates[m.candidate].name}: {reached}spend {spend:.4g}, "
                f"{rounds:.3g} rounds (held out{')' if m.limit is None else ', without the limit below)'}"
            )
            if m.limit is not None:
                lines.append(f"  a question costs at most {m.limit:.6g}, which makes the guarantee sharper")
        if settings.arms != ("",):
            lines.append(f"  models: {', '.join(settings.arms)}")
        if cap is not None:
            lines.append(f"  a question costs at most {cap:g}")
        if deadline is not None:
            lines.append(f"  a run ends after {deadline:g} s, which no figure counts in")
        if self.guarantee_ is not None:
            lines.append(f"  {self.guarantee_}")
        return "\n".join(lines)

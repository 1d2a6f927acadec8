"""Fit any policy on samples, and say what it reaches on questions that it has not seen.

What to use when
----------------
`fit`
    The policy, and a report on it: what ``tcalloc fit`` prints.
`Fitting`
    The same in two steps: `Fitting.of` checks everything, ``report`` does the work.
`refuse_few`
    The fewest questions.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, whole
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc.errors import InputError
from tcalloc.evaluate.fit_report import FitReport, FixedNumbers, RoutingReport, StoppingReport
from tcalloc.evaluate.gold_check import GoldCheck, check_by_gold
from tcalloc.evaluate.problem import checked_rows, labelled_rows
from tcalloc.evaluate.recipe import Recipe, held_out_curve
from tcalloc.evaluate.thresholds import FEWEST
from tcalloc.learn.holdout.certify import certify
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.looking import feature_cost_of, looking_cost
from tcalloc.learn.question_rows import TEXT, texts_of_run
from tcalloc.learn.registry import PRICED, REFERENCE, entry_of
from tcalloc.learn.rows import RowsLike, take_rows
from tcalloc.learn.saving.policy_folder import refuse_out
from tcalloc.measure.labels import refuse_verifier
from tcalloc.measure.referee import judged
from tcalloc.measure.samples import Samples

__all__ = ["CALIBRATE", "Fitting", "fit", "refuse_few"]

# Share of the questions that set the price where the budget is guaranteed with a confidence.
CALIBRATE = 0.25
# Budgets of a held-out curve, beside the budget itself.
POINTS = 7
# Numbers of samples that stopping is shown beside.
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

Rows = NDArray[np.intp]


def fit(
    samples: Samples | str | os.PathLike[str],
    budget: float,
    policy: str | None = None,
    *,
    labels: str = "gold",
    X: RowsLike | None = None,
    feature_cost: float = 0.0,
    verifier: bool = False,
    answer_all: bool = False,
    confidence: float | None = None,
    low: float | None = None,
    high: float | None = None,
    folds: int = 5,
    random_state: int = 0,
    place: str = "samples",
    out: str | os.PathLike[str] | None = None,
) -> FitReport:
    """Fit a policy on recorded samples, and report what it reaches on held-out questions.

    This is what ``tcalloc fit`` does. The policy has the actions and the settings that `tcalloc.compare` judges it
    with. The figures are from cross-validation: every question is decided by a policy that has not seen it.

    Parameters
    ----------
    samples : Samples or path
        Recorded samples with marks, or the path of a run folder. Questions that some model was not asked are left out.
    budget : float
        Mean cost per question that may be spent, in the unit of the samples' costs.
    policy : str, optional
        A name of `tcalloc.learn.registry`, as `tcalloc.compare` prints it. Default: "priced"; where nothing is known
        of the questions, the best fixed mixture.
    labels : str
        What counts as the right answer. "gold": the gold answer. "agreement": the samples' own most frequent answer,
        for questions without gold answers; `tcalloc.Samples.labelled` names all kinds. The policy learns from the
        reference of all samples. The report judges one random half of the samples by the reference of the other half.
    X : sequence of str, matrix or frame, optional
        What is known of each question beforehand, one row per question of `samples`. Default: of a run folder, the
        texts that it holds.
    feature_cost : float
        What having X costs per question, in the unit of the costs: a probe of hidden states, a reward model's score of
        the prompt. It is a part of the budget and of all spends. A policy reads X only if that is worth it.
    verifier : bool
        Whether a verifier recognises right answers live. It is never assumed.
    answer_all : bool
        Whether no question may be left without an answer. Policies that decide while sampling are not concerned.
    confidence : float, optional
        Guarantee the expected spend with this confidence, such as 0.95. A quarter of the questions then sets the price,
        and nothing is learned from them.
    low, high : float, optional
        With `confidence`: the least and the most that one question may cost, also of those to come. For policies that
        decide while sampling they limit the cost of one sample.
    folds : int
        Folds of the cross-validation, at least 2.
    random_state : int
        Seed of the folds, the features and the random choices.
    place : str
        What messages call the samples. The path of a run folder is used by itself.
    out : path, optional
        The folder for the policy. It is stored before it is measured, so that an interruption does not lose it.

    Returns
    -------
    FitReport
        The fitted policy is its ``policy``, ``str(report)`` prints the figures, and ``report.save(folder)`` stores the
        policy.

    Raises
    ------
    InputError
        If an argument is not allowed, if there are too few questions, or if the policy cannot do without something
        that is missing. The message says what helps.
    MissingExtraError
        If the policy needs an extra that is not installed.

    Examples
    --------
    Sixty questions with 8 samples each. 0 is the right answer, and every second question is hard:

    >>> import numpy as np, tcalloc
    >>> rng = np.random.default_rng(0)
    >>> chance = np.where(np.arange(60) % 2, 0.5, 0.95)[:, None]
    >>> samples = tcalloc.Samples(np.where(rng.random((60, 8)) < chance, 0, rng.integers(1, 5, (60, 8))))
    >>> report = tcalloc.fit(samples, budget=3.0, policy="margin + cap")
    >>> report
    StoppingReport('margin + cap', 60 questions, budget=3)
    >>> report.policy.start("Any question").next().n
    2
    >>> point = report.at(3.0)
    >>> point.accuracy > point.fixed_number
    True
    """
    if isinstance(samples, (str, os.PathLike)):
        place, samples = os.fspath(samples), Samples.load(samples, labels)
        X = texts_of_run(place, samples.ids) if X is None else X
    elif isinstance(samples, Samples):
        samples, kept = labelled_rows(samples, labels)
        X = take_rows(X, kept)
    return Fitting.of(
        samples,
        budget,
        policy,
        X=X,
        feature_cost=feature_cost,
        verifier=verifier,
        answer_all=answer_all,
        confidence=confidence,
        low=low,
        high=high,
        folds=folds,
        random_state=random_state,
        place=place,
    ).report(out)


def refuse_few(n: int, folds: int, place: str) -> None:
    """Refuse to fit on fewer than 20 questions, or fewer than two per fold."""
    fewest = max(FEWEST, 2 * folds)
    if n < fewest:
        raise InputError(
            f"{place}: {counted(n, 'question')}; at least {fewest} are needed to learn and to be held out. Sample more "
            "questions."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fitting:
    """A policy that is about to be fitted on samples: everything is checked, nothing was learned yet."""

    recipe: Recipe
    samples: Samples
    X: Any
    categories: tuple[str, ...]
    """The columns of X beside the text."""
    budget: float
    limits: dict[str, float | None] | None
    """The confidence, and the limits of costs; None: no guarantee."""
    folds: int
    seed: int
    judged: Samples
    """What figures are made from: the samples or, without gold answers, a random half judged by the other half."""
    measured: Recipe
    """How the policies are fitted whose figures are shown: half of the samples allow fewer actions."""

    @classmethod
    def of(
        cls,
        samples: Samples,
        budget: float,
        policy: str | None = None,
        *,
        X: RowsLike | None = None,
        feature_cost: float = 0.0,
        verifier: bool = False,
        answer_all: bool = False,
        confidence: float | None = None,
        low: float | None = None,
        high: float | None = None,
        folds: int = 5,
        random_state: int = 0,
        place: str = "samples",
    ) -> "Fitting":
        """Check what `fit` was given; its arguments are those of `fit`."""
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; expected Samples, or the path of a run folder.")
        whole("folds", folds, 2)
        whole("random_state", random_state)
        flag("verifier", verifier)
        flag("answer_all", answer_all)
        if confidence is None and (low is not None or high is not None):
            raise InputError("low and high belong to confidence, which is None. Give it, such as confidence=0.95.")
        budget = scalar(budget, "budget")
        looks = feature_cost_of(feature_cost)
        if looks and looks >= budget:
            raise InputError(
                f"feature_cost is {looks:g}, which leaves nothing of the budget, {budget:g}, for samples. Give a "
                "larger budget, or leave the features out."
            )
        rows = checked_rows(X, len(samples))
        refuse_verifier(samples, verifier)
        columns = () if rows is None or rows.feature_names is None else rows.feature_names
        categories = tuple(name for name in columns if name != TEXT)
        samples, kept = samples.of_every_model()
        X = take_rows(X, kept)
        refuse_few(len(samples), folds, place)
        usual = REFERENCE if X is None else PRICED
        entry = entry_of(usual if policy is None else policy, deployable=True)
        half = judged(samples, 1, random_state)[0]
        try:
            recipes = [
                Recipe.of(
                    entry,
                    some,
                    text=rows is not None and (bool(rows.texts) or "text" not in entry.needs),
                    label=bool(categories),
                    budget=budget,
                    verifier=verifier,
                    answer_all=answer_all,
                    feature_cost=0.0 if rows is None else looks,
                )
                for some in ([samples] if half is samples else [samples, half])
            ]
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        limits = None if confidence is None else {"confidence": confidence, "low": low, "high": high}
        return cls(recipes[0], samples, X, categories, budget, limits, folds, random_state, half, recipes[-1])

    def report(self, out: str | os.PathLike[str] | None = None) -> FitReport:
        """Fit the policy, and measure it on questions that it has not seen.

        The policy is stored before it is measured, so that an interruption does not lose it.
        """
        beforehand = self.recipe.actions is not None and self.recipe.entry.family != "probed"
        if out is not None:
            refuse_out(os.fspath(out))
        everyone = np.arange(len(self.samples))
        policy, learned = self._fitted(everyone, self.recipe, self.samples)
        if out is not None:
            policy.save(out)
        if beforehand:
            return self._routing(policy)
        if self.judged is self.samples:
            return self._stopping(policy, policy, learned)
        return self._stopping(policy, *self._fitted(everyone, self.measured, self.judged))

    def _routing(self, policy: Any) -> RoutingReport:
        """Report on a policy that decides beforehand."""
        n = len(self.samples)
        names = [str(i) for i in range(n)] if self.X is None else self.X
        chosen = np.empty(n, np.int32)
        shown = policy
        for train, held in split(n, self.folds, self.seed):
            one = self._fitted(train, self.measured, self.judged)[0]
            chosen[held] = one.decide(take_rows(names, held))
            shown = shown if self.judged is self.samples else one
        # An imitator's own price is no rate of accuracy; the oracle's that it imitates is.
        price = getattr(shown, "oracle_price_", shown.price_)
        actions = list(shown.actions_)
        return RoutingReport(
            policy=policy,
            name=self.recipe.entry.name,
            questions=n,
            budget=self.budget,
            verifier=self.recipe.verifier,
            certificate=certify(
                chosen,
                self.judged,
                price,
                budget=self.budget - looking_cost(policy),
                actions=actions,
                random_state=self.seed,
            ),
            unanswered=int((chosen == actions.index(None)).sum()) if None in actions else 0,
            categories=self.categories,
            folds=self.folds,
            looks=looking_cost(policy),
            labels=self.judged.labels,
            gold=self._by_gold(),
        )

    def _stopping(self, policy: Any, measured: Any, learned: Rows) -> StoppingReport:
        """Report on a policy that decides while sampling, by the figures of one fitted on what is judged."""
        samples, X = self.judged.take(learned), take_rows(self.X, learned)
        return StoppingReport(
            policy=policy,
            name=self.recipe.entry.name,
            questions=len(self.samples),
            budget=self.budget,
            verifier=self.recipe.verifier,
            frontier=measured.frontier() if hasattr(measured, "frontier") else self._curve(measured, samples, X),
            fixed=_fixed_numbers(samples, self.recipe.verifier),
            learned_from=len(learned),
            one_sample=_cheapest_sample(samples, self.recipe.verifier),
            looks=looking_cost(policy),
            labels=self.judged.labels,
            gold=self._by_gold(),
        )

    def _by_gold(self) -> GoldCheck | None:
        """Return what gold answers say of a policy that learned without them."""
        if self.samples.labels.gold:
            return None
        return check_by_gold(
            self.recipe, self.samples, self.X, budget=self.budget, folds=self.folds, random_state=self.seed
        )

    def _fitted(self, rows: Rows, recipe: Recipe, samples: Samples) -> tuple[Any, Rows]:
        """Return the policy of some questions, and those that it learned from.

        With a guarantee, the price is set on a part of them that it does not learn from.
        """
        held = rows[:0]
        if self.limits is not None:
            order = np.random.default_rng([self.seed, 1]).permutation(rows)
            size = max(int(CALIBRATE * len(rows)), 1)
            rows, held = np.sort(order[size:]), np.sort(order[:size])
        policy = recipe.fit(take_rows(self.X, rows), samples.take(rows), budget=self.budget, random_state=self.seed)
        if self.limits is not None:
            recipe.calibrate(policy, take_rows(self.X, held), samples.take(held), budget=self.budget, **self.limits)
        return policy, rows

    def _curve(self, policy: Any, samples: Samples, X: Any) -> StoppingFrontier:
        """Return what a policy without a frontier of its own spends and reaches, held out."""
        low, high = float(policy.mix_.cost[0]), max(float(policy.probed_.spends[-1]), self.budget)
        budgets = np.unique(np.append(np.geomspace(max(low, high / 50), high, POINTS), self.budget))
        spend, accuracy = held_out_curve(self.measured, samples, X, budgets, folds=self.folds, random_state=self.seed)
        rules = ["probe" if policy.gate_.open_at(float(budget)) else REFERENCE for budget in budgets]
        order = np.argsort(spend, kind="stable")
        nothing = np.full(len(budgets), np.nan)
        return StoppingFrontier(spend[order], accuracy[order], nothing, tuple(rules[b] for b in order))


def _cheapest_sample(samples: Samples, verifier: bool) -> float:
    """Return what one sample of the cheapest model costs on average."""
    actions = [action for model in samples.by_model for action in samples.actions_of(model, [1], verifier)]
    return float(samples.table(actions, shrink=False).cost.min())


def _fixed_numbers(samples: Samples, verifier: bool) -> FixedNumbers | None:
    """Return what fixed numbers of samples spend and reach on the same questions; None for several models."""
    if len(samples.by_model) != 1:
        return None
    sizes = [k for k in SIZES if k <= int(samples.sizes.min())]
    actions = samples.actions_of(next(iter(samples.by_model)), sizes, verifier)
    if not actions:
        return None
    table = samples.table(actions, shrink=False)
    cost = np.broadcast_to(table.cost, table.acc.shape).mean(axis=0)
    return FixedNumbers(tuple(action.samples for action in actions), cost, table.acc.mean(axis=0))

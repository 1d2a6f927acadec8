"""`compare`: all policies on the same questions, held out, at the same spends."""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._amounts import amount, check_unit
from tcalloc._checks import whole
from tcalloc._counts import counted
from tcalloc._rounding import COMPUTED
from tcalloc._version import __version__
from tcalloc.errors import InputError
from tcalloc.evaluate.caveats import remarks
from tcalloc.evaluate.comparison import Comparison
from tcalloc.evaluate.contestants import contestants_of
from tcalloc.evaluate.gold_check import check_by_gold
from tcalloc.evaluate.problem import Problem, checked_rows
from tcalloc.evaluate.recipe import Recipe
from tcalloc.evaluate.run_folds import run, workers
from tcalloc.evaluate.standings import standings
from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.registry import REFERENCE, entry_of
from tcalloc.learn.rows import RowsLike
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table

if TYPE_CHECKING:
    from tcalloc.measure.actions import Action

__all__ = ["compare", "default_budgets", "difficulty_of"]

Floats = NDArray[np.float64]

# Of the default budgets: how many, and up to which share of all that spending can gain.
BUDGETS, MOST = 4, 0.9
# A comparison of 1000 repeats takes days; more is a slip, and would take all memory before it began.
MOST_REPEATS = 1000
# Significant digits that a float64 can hold.
DIGITS = 17
GROUPS = ("easy", "medium", "hopeless")
# A question is easy if a single sample is right so often, and hopeless if nothing is right more often than this.
EASY, HOPELESS = 0.9, 0.1


def compare(
    data: "Samples | Table | str",
    policies: "str | Iterable[str]" = "all",
    budgets: "ArrayLike | None" = None,
    *,
    labels: str = "gold",
    X: RowsLike | None = None,
    difficulty: "ArrayLike | None" = None,
    actions: "Iterable[Action | None] | None" = None,
    verifier: bool = False,
    own: Mapping[str, Any] | None = None,
    folds: int = 5,
    repeats: int = 1,
    random_state: int = 0,
    feature_cost: float = 0.0,
    costs_known: bool = False,
    unit: str | None = None,
    orders: int | None = None,
    n_jobs: int = 1,
    progress: bool = False,
) -> Comparison:
    """Compare policies on your own questions: held out, paired, at the same spend, with intervals.

    Every question is scored by policies that were trained without it. All are compared at the same real spend: samples,
    probes and features (`feature_cost`) are charged to the policies that use them. A gain is over the best fixed
    mixture that really spends the same. Intervals are bootstrapped over questions and hold for the policies as they
    were trained; `repeats` measures how much other folds change.

    Parameters
    ----------
    data : Samples, Table, or path
        Recorded answers, or a table of accuracies and costs; a path names a run folder or a table's file.
    policies : "all" or iterable of str
        Names as they are printed (`tcalloc.evaluate.contestants.NAMES`). The best fixed mixture and the bounds always
        take part. Who cannot take part is in `Comparison.skipped`, with the reason.
    budgets : array_like, optional
        Mean spends per question. Default: four, where more compute still pays.
    labels : str
        What counts as the right answer. "gold": the gold answer. "agreement": the samples' own most frequent answer,
        for questions without gold answers; `tcalloc.Samples.labelled` names all kinds. Accuracies are then agreement
        with the reference of other samples: random halves of each question's samples judge each other, so that no
        policy draws more than half of them. Where some questions have a gold answer, the accuracy of the recommended
        policy on these is added.
    X : sequence of str, matrix or frame, optional
        What may be known of each question beforehand: its text, or features. Without it no policy decides by the text.
    difficulty : array_like, (N,), optional
        A label of each question that is known beforehand; adds the policy "difficulty label".
    actions : iterable of Action or None, optional
        What policies choose from that decide beforehand. Default: the samples' usual actions, and no answer.
    verifier : bool
        Whether a verifier recognises right answers live, as unit tests do. It is never assumed: without it no policy
        sees which samples are right.
    own : mapping of str to policy, optional
        Yours, by name: an estimator with ``fit(X, samples)`` and ``decide(X)``, refitted in every fold; a function
        ``(X, samples, budget) -> policy`` of the training questions; or a policy with ``start``, trained elsewhere.
    folds, repeats : int
        Folds over questions, and how often all is done, each time with other folds: up to 1000 times.
    random_state : int
        Seed of the folds and of all random choices. The same seed gives the same result, for any number of processes.
    feature_cost : float
        What looking at X costs per question, in the unit of the costs.
    costs_known : bool
        Whether each question's own costs are known before deciding.
    unit : str, optional
        What costs are counted in, for what is printed: a currency ("usd", "eur", ...), or a word such as "tokens".
    orders : int, optional
        Random orders in which each question's samples are replayed. Default: about 50,000 runs in all.
    n_jobs : int
        Processes; -1: one per processor. There are never many more than processors. With more than one, a program's own
        work must stand under ``if __name__ == "__main__":``.
    progress : bool
        Whether to show on standard error how far it is.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If an argument is not allowed, or they do not fit each other.

    Examples
    --------
    >>> import numpy as np, tcalloc
    >>> rng = np.random.default_rng(0)
    >>> chance = rng.random((100, 1))
    >>> wrong = rng.integers(1, 5, (100, 8))
    >>> samples = tcalloc.Samples(np.where(rng.random((100, 8)) < chance, 0, wrong))
    >>> result = tcalloc.compare(samples, policies=["ESC", "AC Beta"], budgets=[2, 4])
    >>> result
    Comparison(100 questions, 3 policies at spends 2, 4; print it for the table)
    >>> bool((result["AC Beta"].gain > 0).all())
    True
    """
    began = time.perf_counter()
    whole("folds", folds, 2)
    whole("repeats", repeats, 1, MOST_REPEATS)
    whole("random_state", random_state, 0)
    if isinstance(data, Samples) and len(data) == 0:
        raise InputError("data has 0 questions; a comparison needs at least 2.")
    workers(n_jobs)
    problem = Problem.of(
        data, X=X, difficulty=difficulty, actions=actions, verifier=verifier, feature_cost=feature_cost,
        costs_known=costs_known, orders=orders, seed=random_state, labels=labels,
    )  # fmt: skip
    counted_in = problem.unit if unit is None else _unit(unit, problem)
    n = problem.questions
    if n < 2:
        raise InputError(f"data has {counted(n, 'question')}; a comparison needs at least 2.")
    notes = []
    if n < folds:
        notes.append(
            f"With {counted(n, 'question')} there are {counted(n, 'fold')} instead of {folds}: each is held out alone."
        )
        folds = n
    spends = default_budgets(problem) if budgets is None else _budgets(budgets)
    contestants, skipped = contestants_of(problem, spends, policies, own)
    fixed = problem.fixed_cost, problem.fixed_accuracy
    ran = run(
        contestants, n, folds=folds, repeats=repeats, seed=random_state, n_jobs=n_jobs, progress=progress, fixed=fixed,
        copies=problem.copies,
    )  # fmt: skip
    skipped |= ran.skipped
    taking = [contestant for contestant in contestants if contestant.name in ran.parts]
    means = problem.per_question(fixed[0]), problem.per_question(fixed[1])
    found = standings(taking, ran.parts, spends, n, random_state, means)
    made = Comparison(
        budgets=spends,
        standings=found,
        reference=REFERENCE,
        skipped=skipped,
        questions=n,
        folds=folds,
        repeats=repeats,
        seed=random_state,
        unit=counted_in,
        data=problem.data,
        verifier=problem.verifier,
        actions=problem.fixed_names,
        action_spend=problem.fixed_cost.mean(axis=0),
        action_accuracy=problem.fixed_accuracy.mean(axis=0),
        votes=problem.votes,
        vote_accuracy=problem.vote_accuracy,
        difficulty=difficulty_of(problem),
        difficulty_names=GROUPS,
        remarks=(*notes, *ran.notes, *remarks(problem, found, spends, repeats)),
        seconds=time.perf_counter() - began,
        versions=versions(),
        from_table=problem.samples is None,
        labels=problem.reference,
    )
    return replace(made, **checked) if (checked := _by_gold(made, problem)) else made


def _by_gold(made: Comparison, problem: Problem) -> dict[str, Any]:
    """Return what gold answers say of the recommended policy, as fields of a comparison; empty if there are none."""
    advice = made.recommend()
    if problem.unjudged is None or not advice.fits:
        return {}
    samples, X = problem.unjudged
    rows = checked_rows(X, len(samples))
    budget = advice.budget
    try:
        recipe = Recipe.of(
            entry_of(advice.policy, deployable=True), samples, text=rows is not None, label=problem.labels is not None,
            budget=budget, feature_cost=problem.feature_cost,
        )  # fmt: skip
        found = check_by_gold(recipe, samples, X, budget=budget, folds=made.folds, random_state=made.seed)
    except InputError as error:
        return {"remarks": (*made.remarks, f"The gold answers could not be used: {error}")}
    if found is None:
        return {}
    unit = None if made.unit in ("samples", "cost") else made.unit
    said = f"{advice.policy}, at a budget of {amount(budget, unit, 4)}. {found.text(unit)}"
    return {"gold": found, "remarks": (*made.remarks, said)}


def default_budgets(problem: Problem) -> Floats:
    """Return spends between the cheapest fixed action and the one with nine tenths of all that spending can gain.

    They lie at equal ratios, rounded to two digits, or as many as keep them between the two; where nothing can be
    gained it is the cheapest spend alone.
    """
    cost, acc = problem.fixed_cost.mean(axis=0), problem.fixed_accuracy.mean(axis=0)
    hull = Frontier.of(cost, acc)
    paid = hull.spend > 0
    if not paid.any():
        return np.array([float(cost[cost > 0].min())])
    spend, accuracy = hull.spend[paid], hull.accuracy[paid]
    enough = accuracy[0] + MOST * (accuracy[-1] - accuracy[0])
    first, last = float(spend[0]), float(np.interp(enough, accuracy, spend))
    if not last > first * 1.01:
        return np.array([first])
    steps = np.arange(1, BUDGETS + 1) / (BUDGETS + 1)
    exact = first * (last / first) ** steps
    for digits in range(2, DIGITS):
        found = np.unique([float(f"{value:.{digits}g}") for value in exact])
        # Where the two are close, rounding to two digits may give spends that no policy can reach.
        if first < found[0] and found[-1] < last:
            return found
    return np.asarray(exact)


def difficulty_of(problem: Problem) -> NDArray[np.intp]:
    """Return each question's group, (N,): 0 a single sample is nearly always right, 2 nothing helps, 1 between."""
    best = problem.per_question(problem.fixed_accuracy).max(axis=1)
    single = problem.per_question(problem.single)
    codes = np.where(single >= EASY - COMPUTED, 0, np.where(best <= HOPELESS + COMPUTED, 2, 1))
    return np.asarray(codes, np.intp)


def versions() -> dict[str, str]:
    """Return what it was computed with."""
    found = {"Python": python_version(), "tcalloc": __version__, "NumPy": np.__version__}
    for shown, name in (("scikit-learn", "scikit-learn"), ("XGBoost", "xgboost"), ("XGBoost", "xgboost-cpu")):
        with suppress(metadata.PackageNotFoundError):
            found[shown] = metadata.version(name)
    return found


# ---------------------------------------------------------------------------------------------- checks


def _unit(unit: Any, problem: Problem) -> str:
    """Return the unit that the user names; refuse one that contradicts the data."""
    named = check_unit(unit)
    counts = problem.unit == "samples"
    if counts and named != "samples":
        raise InputError(
            f"unit is {unit!r}, but data holds no costs: what is spent is counted in samples. Give the samples of each "
            "model their cost, Samples(..., cost=...), or leave unit out."
        )
    if named == "samples" and problem.samples is not None and not counts:
        raise InputError("unit is 'samples', but data holds costs of its own. Name their unit, or leave unit out.")
    return named


def _budgets(budgets: Any) -> Floats:
    """Return them rising, each once."""
    try:
        given = np.asarray(budgets)
        found = np.atleast_1d(given.astype(np.float64))
        if given.dtype == np.bool_:
            raise TypeError
    except (TypeError, ValueError):
        raise InputError(f"budgets is {budgets!r}; expected numbers: mean spends per question.") from None
    if found.ndim != 1 or not len(found):
        raise InputError(f"budgets has shape {found.shape}; expected at least one number, in one row.")
    for place, value in enumerate(found.tolist()):
        if not np.isfinite(value) or value < 0:
            raise InputError(f"budgets[{place}] is {value:g}; expected a finite mean spend per question, at least 0.")
    return np.unique(found)

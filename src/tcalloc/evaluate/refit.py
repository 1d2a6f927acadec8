"""The next policy, from what a gateway explored, beside the one that is served."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._rounding import COMPUTED
from tcalloc.errors import BudgetError, InputError
from tcalloc.evaluate.gold_check import answers_needed
from tcalloc.evaluate.judged_replay import outcomes_on
from tcalloc.evaluate.recipe import Recipe
from tcalloc.evaluate.refit_report import WORST, Refit
from tcalloc.evaluate.run_folds import Part
from tcalloc.evaluate.statistics import Family, dependence, resampled
from tcalloc.evaluate.thresholds import CLOSE, FAR, FEWEST, HALVES
from tcalloc.evaluate.traffic import Traffic
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.protocol import Always, Policy
from tcalloc.learn.registry import SEQUENTIAL, Entry, entry_for, entry_of
from tcalloc.learn.rows import take_rows
from tcalloc.learn.saving.policy_folder import load_policy, refuse_new
from tcalloc.measure.referee import judged
from tcalloc.measure.samples import Samples

__all__ = ["refit"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Shares of the budget at which the new policy is replayed, so that both can be compared at the same spend.
BESIDE = (0.5, 0.7, 0.85, 1.0, 1.2, 1.45)
# Arguments of a policy that are no settings of its kind.
OWN = ("budget", "random_state")


def refit(
    policy: Policy | str | os.PathLike[str],
    traffic: str | os.PathLike[str],
    budget: float | None = None,
    kind: str | None = None,
    *,
    labels: str = "agreement",
    folds: int = 5,
    random_state: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> Refit:
    """Fit the next policy on what a gateway explored, and compare it with the policy that is served.

    The new policy has the kind and the settings of the one that is served. It learns from the most frequent answers, so
    no gold answers are needed. Both policies are compared on requests that neither has learned from: the new one by
    cross-validation, the served one on the requests that were explored while it was served. Random halves of the
    samples of each request judge each other, so that no figure counts more than half of them.

    Parameters
    ----------
    policy : Policy or path
        The policy that is served, or its folder.
    traffic : path
        The run folder of ``tcalloc serve --explore``.
    budget : float, optional
        Mean cost per request of the new policy, in the unit of the recorded costs. Default: what the served policy
        spends on these requests; then both are compared at the same spend, if the new one can spend as much.
    kind : str, optional
        A name of `tcalloc.learn.registry`, for a policy of another kind. Default: the kind of the served one. For one
        that always does the same, it is "Sequential".
    labels : str
        What counts as the right answer: "agreement", "agreement:MODEL", "model:MODEL", "teacher:MODEL", "score" or
        "gold".
    folds : int
        Folds of the cross-validation, at least 2.
    random_state : int
        Seed of the folds, the halves and the random choices.
    out : path, optional
        A new folder for the policy. Nothing that exists is overwritten.

    Returns
    -------
    Refit
        The new policy is its ``policy``. ``swap`` says whether it should replace the other one, and ``str`` prints all.

    Raises
    ------
    InputError
        If an argument is not allowed, there are too few requests, or the policy needs what the folder does not hold.
    BudgetError
        If no policy of this kind can spend as little.

    Examples
    --------
    >>> import tcalloc
    >>> tcalloc.refit("policy", "nowhere")
    Traceback (most recent call last):
        ...
    tcalloc.errors.InputError: policy: no such folder; expected one that a policy was saved to.
    """
    whole("folds", folds, 2)
    whole("random_state", random_state, 0)
    if out is not None:
        refuse_new(os.fspath(out))
    if isinstance(policy, (str, os.PathLike)):
        policy = load_policy(policy)
    entry = entry_for(policy) if kind is None else entry_of(kind, deployable=True)
    if entry is None:
        if not isinstance(policy, Always):
            raise InputError(
                f"policy is a {type(policy).__name__}, which tcalloc cannot fit. Name a kind that it can: kind=... "
                "(--policy NAME)."
            )
        entry = entry_of(SEQUENTIAL)
    place = os.fspath(traffic)
    found = Traffic.read(place, policy, labels, bool({"x", "text"} & set(entry.needs)))
    n, judging = len(found.samples), found.judging
    fewest = max(FEWEST, 2 * folds)
    if len(judging) < fewest:
        while_served = "" if len(judging) == n else f", {len(judging):,} of them while this policy was served"
        raise InputError(
            f"{place}: {counted(n, 'explored request')}{while_served}; at least {fewest} are needed to fit a policy "
            "and to compare it. Let the gateway explore more."
        )
    running = _Served(policy, found, random_state)
    asked = running.spend_of_all if budget is None else scalar(budget, "budget")
    # Figures of a policy with a probe need actions that half of the samples allow.
    recipe, measured = (
        _recipe(entry, some, found.X, asked, policy if kind is None else None)
        for some in (found.samples, running.parts[0] if entry.family == "probed" else found.samples)
    )
    made = recipe.fit(found.X, found.samples, budget=asked, random_state=random_state)
    if out is not None:
        made.save(out)
    beside = [asked] if budget is not None else [asked * share for share in BESIDE]
    family = _held_out(measured, found, running.parts, beside, asked, folds, random_state)
    spend = float(running.spend.mean()) if budget is None else asked
    at = family.at([spend])
    reached = float(at.spend[0].mean())
    around = at.spend[0] - reached - (running.spend - running.spend.mean() if budget is None else 0.0)
    gains = at.accuracy[0] - at.slope[0] * around - running.accuracy
    if np.abs(gains).max() <= COMPUTED:
        low = high = 0.0
    else:
        low, high = (float(end[0]) for end in resampled(gains[None], random_state))
    gain, wider = float(gains.mean()), dependence(folds, True)
    short = gain - WORST
    needed = answers_needed(gains, short) if short > 0 else None
    return Refit(
        policy=made,
        kind=entry.name,
        requests=n,
        compared=len(judging),
        budget=asked,
        same_spend=budget is None and abs(reached - spend) <= CLOSE * spend,
        spend=reached,
        agreement=float(at.accuracy[0].mean()),
        served_spend=float(running.spend.mean()),
        served_agreement=float(running.accuracy.mean()),
        gain=gain,
        low=gain - wider * (gain - low),
        high=gain + wider * (high - gain),
        needed=None if needed is None or needed > FAR * len(judging) else needed,
        labels=running.parts[0].labels,
        notes=(*found.notes, *running.notes),
    )


class _Served:
    """What the served policy does on the requests that it has not learned from."""

    def __init__(self, policy: Any, found: Traffic, seed: int):
        X = take_rows(found.X, found.judging)
        samples = found.samples.take(found.judging)
        self.parts = judged(samples, HALVES, seed)
        try:
            spend, accuracy = outcomes_on(policy, self.parts, X)
            paid = outcomes_on(policy, [samples], X)[0]
        except InputError as error:
            if getattr(policy, "probed_", None) is not None:
                raise InputError(
                    f"the policy that is served draws more than half of the samples of a request, and one half judges "
                    f"the other: {error} Explore with more samples (--explore-samples)."
                ) from None
            raise
        self.spend, self.accuracy, self.spend_of_all = spend[0], accuracy[0], float(paid.mean())

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures do not show, each a sentence."""
        if self.spend_of_all <= self.spend.mean() * (1 + CLOSE):
            return ()
        size = min(int(arm.drawn.sum(axis=1).min()) for arm in self.parts[0].by_model.values())
        return (
            f"one half of the samples judges the other, so that the figures count at most {counted(size, 'sample')} of "
            "a request, of both policies. With twice as many samples (--explore-samples) they would count all.",
        )


def _recipe(entry: Entry, samples: Samples, X: Any, budget: float, like: Any) -> Recipe:
    """Return how the new policy is fitted: by what follows from the samples, else like another policy, if any."""
    there = X is not None and (isinstance(X[0], str) or "text" not in entry.needs)
    recipe = Recipe.of(entry, samples, text=there, label=False, budget=budget, answer_all=True)
    if not hasattr(like, "get_params"):
        return recipe
    fixed = {*OWN, *dict(entry.options)}
    given = {name: value for name, value in like.get_params(deep=False).items() if name not in fixed}
    return replace(recipe, options=tuple((given | dict(recipe.options)).items()))


def _held_out(
    recipe: Recipe, found: Traffic, parts: Sequence[Samples], budgets: list[float], budget: float, folds: int, seed: int
) -> Family:
    """Return what policies do on requests that they have not learned from, at several budgets."""
    judging = found.judging
    others = np.setdiff1d(np.arange(len(found.samples)), judging)
    made = []
    for train, held in split(len(judging), folds, seed):
        rows = np.sort(np.concatenate([others, judging[train]]))
        policy = recipe.fit(take_rows(found.X, rows), found.samples.take(rows), budget=budget, random_state=seed)
        some, X = [part.take(held) for part in parts], take_rows(found.X, judging[held])
        asked, spend, accuracy = _at(policy, some, X, budgets)
        made.append(Part(asked, spend, accuracy, np.full(len(asked), np.nan), held))
    return Family(made, len(judging), len(budgets) > 1)


def _at(policy: Any, parts: Sequence[Samples], X: Any, budgets: list[float]) -> tuple[Floats, Floats, Floats]:
    """Return budgets, spends and accuracies; budgets below what the policy can spend are left out."""
    while True:
        try:
            return np.asarray(budgets, np.float64), *outcomes_on(policy, parts, X, budgets)
        except BudgetError:
            if len(budgets) == 1:
                raise
            budgets = budgets[1:]

"""Fit any policy of the registry on samples, with the actions and settings that `compare` judges it with.

What to use when
----------------
`Recipe.of`
    What a policy needs for these samples: its actions, its options; refuses what it cannot do without.
`Recipe.fit`
    The policy, fitted.
`held_out_curve`
    What it spends and reaches at several budgets, while every question was held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError
from tcalloc.evaluate.menu import dense_actions, menu_actions
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.looking import looking_cost, spending
from tcalloc.learn.registry import REFERENCE, Entry
from tcalloc.learn.rows import take_rows
from tcalloc.learn.training import Mix, Training, affordable, as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["Recipe", "held_out_curve"]


Floats = NDArray[np.float64]
Offered = tuple[Action | None, ...]

# What each need is called where it is missing, and what helps.
_IF = "If a verifier recognises right answers live, say verifier=True (--verifier)"
MISSING = {
    "x": "it decides by the questions, and it has no texts. Give the file that was sampled (--questions FILE)",
    "label": "it decides by a category of each question. Name the field that holds it (--category FIELD)",
    "verifier": f"it needs a verifier. {_IF}",
    "answers": f"it compares answers, and only right and wrong were recorded. {_IF}",
    "votes": "it votes, and with a verifier the first right sample is the answer. Leave the verifier out, use "
    "'fixed k, success stop'",
}


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How a policy is fitted on samples."""

    entry: Entry
    """Which policy."""
    verifier: bool
    """Whether a verifier recognises right answers live."""
    actions: Offered | None
    """What it decides among, for policies that decide beforehand."""
    predicted: int | None
    """How many of the actions are predicted and priced; the others only belong to the mixture. None: all."""
    options: tuple[tuple[str, Any], ...]
    """Arguments of its class that follow from the samples."""

    @classmethod
    def of(
        cls,
        entry: Entry,
        samples: Samples,
        *,
        text: bool,
        label: bool,
        budget: float,
        verifier: bool = False,
        answer_all: bool = False,
        feature_cost: float = 0.0,
    ) -> "Recipe":
        """Return how a policy is fitted on these samples; refuse what lacks something that it needs.

        `text` and `label` say whether texts, and categories, of the questions will be given. `answer_all` leaves no
        question without an answer; policies that stop while sampling are not concerned. `feature_cost` is what having X
        costs per question, a part of the budget.
        """
        there = {
            "x": text, "text": text, "label": label, "verifier": verifier, "answers": samples.answered or verifier,
            "votes": not verifier,
        }  # fmt: skip
        for need in entry.needs:
            if not there.get(need, True):
                why = MISSING["x" if need == "text" else need]
                raise InputError(f"the policy {entry.name!r} cannot be fitted: {why}, or use {REFERENCE!r}.")
        charged: tuple[tuple[str, Any], ...] = (("feature_cost", feature_cost),) if feature_cost else ()
        if entry.family == "sequential":
            options: tuple[tuple[str, Any], ...] = (("answer_by", "verifier"),) if verifier else ()
            options += charged
            return cls(entry, verifier, None, None, options)
        if entry.family == "rule":
            return cls(entry, verifier, None, None, (("verifier", verifier),))
        menu = menu_actions(samples, None, verifier)
        fixed: Offered = (*dense_actions(samples, verifier), None)
        if answer_all:
            menu, fixed = (tuple(action for action in each if action is not None) for each in (menu, fixed))
        known = as_table(samples, len(samples), fixed, None)
        if entry.family in ("priced", "probed"):
            mixed = [fixed[j] for j in Mix.of(known.mean_acc, known.mean_cost).hull.tolist()]
            more = [action for action in mixed if action not in menu]
            options = ()
            if entry.family == "probed":
                sizes = {name: int(arm.drawn.sum(axis=1).min()) for name, arm in samples.by_model.items()}
                least = min(sizes.values())
                more = [a for a in more if a is None or a.samples <= sizes.get(a.model or "", least)]
                options = () if text else (("features", False),)
            elif bool(np.ptp(_costs(known), axis=0).any()):
                options = (("known_costs", "predicted"),)
            options += charged
            return cls(entry, verifier, (*menu, *more), len(menu), options)
        options = charged if entry.family == "imitator" else ()
        return cls(entry, verifier, _offered(entry, menu, fixed, known, samples, budget), None, options)

    def fit(self, X: Sequence[Any] | None, samples: Samples, *, budget: float, random_state: int = 0) -> Any:
        """Return the policy, fitted; the budget includes what X costs.

        Policies that do not look at the question are fitted without X, so that they take any question later.
        """
        options = dict(self.options)
        looks = options.get("feature_cost", 0.0) if self.entry.family == "imitator" else 0.0
        policy = self.entry.policy(budget=budget - looks, random_state=random_state, **options)
        if self.entry.family == "sequential":
            return policy.fit(X, samples)
        if self.actions is None:
            return policy.fit(None, samples)
        known = None if getattr(policy, "blind", False) else X
        more = {} if self.predicted is None else {"predicted": self.predicted}
        return spending(policy.fit(known, samples, actions=list(self.actions), **more), budget)

    def calibrate(
        self, policy: Any, X: Sequence[Any] | None, samples: Samples, *, budget: float, **limits: float | None
    ) -> None:
        """Set a fitted policy on held-out questions, so that the budget is kept with a confidence.

        The limits are the confidence, and `low` and `high` of costs; see the policy's own `calibrate`.
        """
        inside = getattr(policy, "looks_within_budget", False)
        policy.calibrate(X, samples, budget=budget - (0.0 if inside else looking_cost(policy)), **limits)


def held_out_curve(
    recipe: Recipe,
    samples: Samples,
    X: Sequence[Any] | None,
    budgets: ArrayLike,
    *,
    folds: int = 5,
    random_state: int = 0,
) -> tuple[Floats, Floats]:
    """Return mean spend and accuracy at several budgets, every question by a policy that has not seen it, (B,) each."""
    asked = np.asarray(budgets, np.float64)
    spend, accuracy = (np.zeros((len(asked), len(samples))) for _ in range(2))
    for train, held in split(len(samples), folds, random_state):
        policy = recipe.fit(take_rows(X, train), samples.take(train), budget=float(asked[0]), random_state=random_state)
        done = policy.replay(take_rows(X, held), samples.take(held), asked)
        spend[:, held], accuracy[:, held] = done.spend, done.accuracy
    return spend.mean(axis=1), accuracy.mean(axis=1)


def _offered(entry: Entry, menu: Offered, fixed: Offered, known: Training, samples: Samples, budget: float) -> Offered:
    """Return what a policy decides among that is neither priced nor stops while sampling."""
    if entry.family == "imitator":
        from tcalloc.learn.routing.imitator import imitated_columns

        # Whoever imitates always answers, as in the paper.
        usual = tuple(action for action in menu if action is not None)
        training = as_table(samples, len(samples), usual, None)
        return tuple(usual[j] for j in imitated_columns(training, [budget]).tolist())
    if entry.family == "random":
        return tuple(action for action in menu if action is not None)
    if entry.family == "fixed":
        worth = affordable(known.mean_acc, known.mean_cost)
    elif entry.family in ("mixture", "length"):
        worth = Mix.of(known.mean_acc, known.mean_cost).hull.tolist()
    else:
        return fixed
    found = tuple(fixed[j] for j in worth)
    if found != (None,):
        return found
    # Nothing was ever right, so that doing nothing is best; the cheapest action stands beside it.
    drawn = [j for j, action in enumerate(fixed) if action is not None]
    return (None, fixed[min(drawn, key=lambda j: float(known.mean_cost[j]))])


def _costs(known: Training) -> Floats:
    return known.cost if known.available is None else np.where(known.available, known.cost, known.mean_cost)

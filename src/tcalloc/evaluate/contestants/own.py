"""The user's own policies: trained in every fold, replayed through the meter, charged what they draw.

What may be given
-----------------
An estimator with ``fit(X, samples)`` and ``decide(X)``
    It is cloned and trained in every fold. If `decide` takes ``budget=``, or there is ``at(budget)``, it is asked for
    each budget; otherwise it does one thing, and is scored at what that spends.
A function ``(X, samples, budget) -> policy``
    `train` are the Samples of the training questions, X what is known of them beforehand. What it returns has
    ``start(x)``.
A policy with ``start(x)``
    It is replayed as it is. Where it has ``at(budget)`` it is asked for each budget. x is one question as it was given;
    of a frame, a dictionary by column.

None of them is handed a held-out question's samples, accuracies or costs: a decision is a column, which is looked up
here; a run gets the samples it pays for, one by one, and what it says it spent is not asked.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import BudgetError, InputError
from tcalloc.evaluate.contestants.base import Contestant, concave
from tcalloc.evaluate.contestants.stopping import Stopping
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Fit, Tuned
from tcalloc.learn.protocol import Always
from tcalloc.learn.replay.metered import Outcome, replay
from tcalloc.learn.rivals import Counting
from tcalloc.learn.rows import columnar
from tcalloc.learn.sequential import Sequential

__all__ = ["Estimating", "Making", "Ready", "owned"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Orders in which a run is replayed, question by question: at most.
ORDERS = 8
# Of a budget: an estimator is asked beside it too, so that a mixture of neighbours can spend exactly so much.
BESIDE = (0.8, 0.9, 1.0, 1.1, 1.25)
EXPECTED = (
    "an estimator with fit(X, samples) and decide(X), a function (X, samples, budget) -> policy, or a policy with "
    "start(x)"
)
AGAIN = "it was fitted before; here a copy is trained anew in every fold"
COPIED = "it is copied with all it holds, then trained in every fold; what it learned before may still be in it"
UNTRAINED = "not trained here: if it has seen these questions before, its figures are too good"


def owned(
    problem: Problem, budgets: tuple[float, ...], own: Mapping[str, Any], taken: tuple[str, ...]
) -> list[Contestant]:
    """Return the user's own policies as contestants."""
    if not isinstance(own, Mapping):
        raise InputError(f"own is {type(own).__name__}; expected a dictionary of names to policies: {EXPECTED}.")
    found = []
    for name, policy in own.items():
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"own: the name {name!r} is not a text, or empty.")
        if name in taken:
            raise InputError(f"own: the name {name!r} is taken by one of tcalloc's; choose another.")
        found.append(_contestant(problem, budgets, name, policy))
    return found


def _contestant(problem: Problem, budgets: tuple[float, ...], name: str, policy: Any) -> Contestant:
    def needs_samples() -> None:
        if problem.samples is None:
            raise InputError(f"own[{name!r}] draws samples, and data is a table. Pass Samples, or an estimator.")

    if isinstance(policy, Sequential):
        needs_samples()
        if policy.answer_by == "verifier" and not problem.verifier:
            raise InputError(
                f"own[{name!r}] stops at what a verifier accepts (answer_by='verifier'), and none was given. If a "
                "verifier recognises right answers live, say compare(…, verifier=True)."
            )
        return Contestant(name, "own", Stopping(problem, policy), _before(policy))
    if not isinstance(policy, type) and hasattr(policy, "fit") and hasattr(policy, "decide"):
        if problem.given is None:
            raise InputError(f"own[{name!r}] decides by the questions, and they were not given. Pass X=….")
        probing = bool(getattr(policy, "probe", 0))
        if probing:
            needs_samples()
        fit: Fit = Estimating(problem, policy, budgets, name)
        return Contestant(name, "own", fit, _before(policy), beforehand=not probing)
    if not isinstance(policy, type) and hasattr(policy, "start"):
        needs_samples()
        marks = () if isinstance(policy, (Counting, Always)) else (UNTRAINED,)
        return Contestant(name, "own", Ready(problem, policy, budgets, name), marks)
    if callable(policy):
        needs_samples()
        return Contestant(name, "own", Making(problem, policy, budgets, name))
    raise InputError(f"own[{name!r}] is {type(policy).__name__}; expected {EXPECTED}.")


def _before(policy: Any) -> tuple[str, ...]:
    """Return what must be said of what a policy learned before it came here."""
    learned = any(key.endswith("_") and not key.startswith("_") for key in getattr(policy, "__dict__", {}))
    if not hasattr(policy, "get_params"):
        return (COPIED,)
    return (AGAIN,) if learned else ()


def fresh(policy: Any) -> Any:
    """Return a copy that has learned nothing, as far as that can be had."""
    if hasattr(policy, "get_params"):
        from sklearn.base import clone

        return clone(policy)
    return deepcopy(policy)


def takes(function: Any, name: str) -> bool:
    """Say whether a function takes an argument of this name."""
    try:
        parameters = signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())


@dataclass(frozen=True, slots=True, eq=False)
class Own:
    """What the user gave; never trained itself."""

    problem: Problem
    """The comparison that it takes part in."""
    policy: Any
    """A policy, or a function that makes one."""
    budgets: tuple[float, ...]
    """The spends that are compared, rising."""
    name: str
    """As the user calls it."""


class Estimating(Own):
    """An estimator with fit and decide."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget, or the only one there is."""
        problem = self.problem
        policy = fresh(self.policy)
        known = problem.said(train)
        if getattr(policy, "probe", 0):
            assert problem.samples is not None
            policy.fit(known, problem.samples.take(train), actions=list(problem.menu.actions or ()))
            return replayed(problem, feasible(self.budgets, policy.at, self.name), held)
        policy.fit(known, problem.table(train))
        acc, cost = problem.menu_filled
        settings = []
        if takes(policy.decide, "budget") or hasattr(policy, "at"):
            for budget in sorted({b * factor for b in self.budgets for factor in BESIDE}):
                try:
                    settings.append((budget, self._chosen(policy, held, budget)))
                except BudgetError:
                    continue  # it cannot be had for so little
        if not settings:
            paid = cost[train, self._chosen(policy, train, None)]
            settings = [(float(paid.mean()), self._chosen(policy, held, None))]
        dial = np.array([budget for budget, _ in settings]) + problem.feature_cost
        spend = np.array([cost[held, chosen] for _, chosen in settings]) + problem.feature_cost
        return Tuned(dial, concave(dial), spend, np.array([acc[held, chosen] for _, chosen in settings]))

    def _chosen(self, policy: Any, rows: Rows, budget: float | None) -> NDArray[np.intp]:
        """Return the columns it chooses, checked; it sees X and, if they are known, costs, and nothing else."""
        problem, menu = self.problem, self.problem.menu
        options: dict[str, Any] = {}
        if problem.costs_known and takes(policy.decide, "cost"):
            options["cost"] = menu.cost[rows].copy()
        if menu.available is not None and takes(policy.decide, "available"):
            options["available"] = menu.available[rows].copy()
        if budget is not None:
            if takes(policy.decide, "budget"):
                options["budget"] = budget
            else:
                policy = policy.at(budget)
        chosen = np.asarray(policy.decide(problem.said(rows), **options))
        k = len(menu.names)
        if chosen.shape != (len(rows),) or chosen.dtype.kind not in "iu" or ((chosen < 0) | (chosen >= k)).any():
            raise InputError(
                f"own[{self.name!r}].decide returned {chosen.dtype} of shape {chosen.shape}; expected whole numbers "
                f"of shape ({len(rows)},), each a column from 0 to {k - 1} ({', '.join(menu.names[:4])}, …)."
            )
        return chosen.astype(np.intp)


class Making(Own):
    """A function that makes a policy of training samples, for each budget."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget that it makes a policy for."""

        def made(budget: float) -> Any:
            assert self.problem.samples is not None
            policy = self.policy(self.problem.said(train), self.problem.samples.take(train), budget)
            if not hasattr(policy, "start"):
                raise InputError(
                    f"own[{self.name!r}] returned {type(policy).__name__}; expected a policy with start(x)."
                )
            return policy

        return replayed(self.problem, feasible(self.budgets, made, self.name), held)


class Ready(Own):
    """A policy that is there already."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget that it can be set to, or the only one there is."""
        settings = [(self.budgets[0], self.policy)]
        if hasattr(self.policy, "at"):
            settings = feasible(self.budgets, self.policy.at, self.name)
        found = replayed(self.problem, settings, held)
        # It learns nothing here: a budget is the same setting in every fold.
        return replace(found, places=found.spend)


def feasible(budgets: tuple[float, ...], at: Callable[[float], Any], name: str) -> list[tuple[float, Any]]:
    """Return the policy for each budget that can be kept; those that are too small (`BudgetError`) are left out."""
    found, refused = [], None
    for budget in budgets:
        try:
            found.append((budget, at(budget)))
        except BudgetError as error:
            refused = error
    if not found:
        raise InputError(f"own[{name!r}] cannot keep any of the budgets {list(budgets)}: {refused}") from refused
    return found


def replayed(problem: Problem, settings: list[tuple[float, Any]], held: Rows) -> Tuned:
    """Return what policies do on held-out questions, as the meter charges them and the record grades them."""
    assert problem.samples is not None
    looks = 0.0 if problem.given is None else problem.feature_cost
    # One question of a frame is a dictionary by column; of what is taken apart by columns alone, a vector.
    rows = problem.rows
    whole = rows is None or (rows.kind != "frame" and not columnar(problem.given))
    known = problem.given if rows is None or whole else [rows.row(i) for i in range(len(rows))]
    done: list[Outcome] = [
        replay(
            policy,
            problem.samples,
            known,
            rows=held,
            orders=min(problem.orders, ORDERS),
            random_state=problem.seed,
            rated=False,  # costs are those recorded: a policy does not set the prices of its draws
            verifier=problem.verifier,
        )
        for _, policy in settings
    ]
    dial = np.array([budget for budget, _ in settings]) + looks
    return Tuned(
        dial, concave(dial), np.array([one.spend for one in done]) + looks, np.array([one.accuracy for one in done])
    )

"""What policies are trained on: a table, checked against X, and the best fixed mixture of its actions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc._rounding import AFFORDED
from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.hull import neighbours, upper_hull
from tcalloc.measure.actions import Action, action_names
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table
from tcalloc.measure.tabulate import tabulate

__all__ = [
    "LEAST_STEP",
    "MOST_IMITATED",
    "NOTHING",
    "ActionsLike",
    "Mix",
    "SamplesLike",
    "Training",
    "affordable",
    "as_table",
    "fallback",
    "parsed",
]

# What a user may pass as samples (an array holds the accuracy of each action), and as actions (None: no answer).
SamplesLike: TypeAlias = Samples | Table | ArrayLike
ActionsLike: TypeAlias = Iterable[Action | None]


Floats = NDArray[np.float64]

NOTHING = "nothing"
"""The name of the action that spends nothing and leaves the question without an answer. Lists of actions hold None."""


LEAST_STEP = 1e-3
"""Accuracy that a more expensive action must add to be chosen as the one fixed action: 0.1 points. A vote of 2 equals
one sample up to rounding; without this step chance would make people pay twice for it."""

MOST_IMITATED = 8
"""The most actions that an imitator should distinguish: boosted classifiers take time for each class."""


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A table in the form that policies use; all arrays are float64."""

    acc: Floats
    """(N, K) accuracy; NaN if the question does not have the action."""
    cost: Floats
    """(N, K) what is really paid."""
    weights: Floats
    """(N,) weights with mean 1."""
    names: tuple[str, ...]
    """(K,)"""
    actions: tuple[Action | None, ...] | None
    """(K,) what each column means; None for all of them if only names are known."""
    available: NDArray[np.bool_] | None = None
    """(N, K) whether a question has an action; None: every question has all."""
    shared: bool = False
    """Whether one cost per action was given, the same for every question."""

    @property
    def mean_cost(self) -> Floats:
        """(K,) mean cost of each action over the questions that have it."""
        return self._mean(self.cost)

    @property
    def mean_acc(self) -> Floats:
        """(K,) mean accuracy of each action over the questions that have it."""
        return self._mean(self.acc)

    @property
    def cost_range(self) -> tuple[float, float]:
        """The least and the most that a question pays for an action."""
        paid = self.cost if self.available is None else self.cost[self.available]
        return float(paid.min()), float(paid.max())

    def _mean(self, values: Floats) -> Floats:
        there = np.ones(values.shape) if self.available is None else self.available.astype(float)
        weight = self.weights[:, None] * there
        return np.asarray((weight * np.nan_to_num(values)).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-300))

    @property
    def order(self) -> NDArray[np.intp]:
        """(K,) the actions from the cheapest to the most expensive; if costs are equal, the less accurate first."""
        return np.lexsort((self.mean_acc, self.mean_cost))

    def columns(self, count: int) -> "Training":
        """Return the table with the first actions only."""
        if count == len(self.names):
            return self
        actions = None if self.actions is None else self.actions[:count]
        there = None if self.available is None else self.available[:, :count]
        there = None if there is None or there.all() else there
        return Training(self.acc[:, :count], self.cost[:, :count], self.weights, self.names[:count], actions, there)

    def take(self, rows: Any) -> "Training":
        """Return the table with some of the questions only."""
        available = None if self.available is None else self.available[rows]
        some = self.acc[rows], self.cost[rows], self.weights[rows]
        return Training(*some, self.names, self.actions, available, self.shared)


def as_table(table: Any, n: int, actions: Any, cost: Any, *, argument: str = "samples") -> Training:
    """Return the table that a policy is trained on.

    Parameters
    ----------
    table : Table, Samples or array_like (n, K)
        An array of accuracies needs `cost`.
    n : int
        The number of rows of X.
    actions : list of Action or None, optional
        For Samples: the actions to make a table of; default: its `usual_actions`. For a table: what its columns mean.
        None in the list is the action that does nothing.
    cost : array_like, (K,) or (n, K), optional
        Costs to use instead of the table's.
    argument : str
        The name of the table in messages.

    Raises
    ------
    InputError
        If X, the table, the actions and the costs do not fit each other.
    """
    known = None if actions is None else _actions(actions)
    if isinstance(table, Samples):
        known = tuple(table.usual_actions()) if known is None else known
        # What is paid is each question's own mean. What is known before sampling is the mean over questions.
        made = tabulate(table, [action for action in known if action is not None], False, cost_per="question")
        found = _with_nothing(made, known)
        shared = all(_one_cost(table, action) for action in known if action is not None)
    elif isinstance(table, Table):
        found, shared = table, np.ndim(table.cost) == 1
    else:
        if cost is None:
            raise InputError(
                f"{argument} is {type(table).__name__}; expected Samples, a Table, or an array of accuracies (n, K) "
                "together with cost=."
            )
        found, shared = Table(np.asarray(table), np.asarray(cost)), False
    if cost is not None:
        shared = np.ndim(cost) == 1
    k = found.acc.shape[1]
    if len(found.acc) != n:
        raise InputError(
            f"X has {counted(n, 'row')}, but {argument} has {len(found.acc)}; found input variables with "
            "inconsistent numbers of samples. Give the same questions in the same order."
        )
    if known is None:
        known = getattr(found, "actions", None)
    if known is not None and len(known) != k:
        raise InputError(
            f"actions has {counted(len(known), 'entry')}, but {argument} has {counted(k, 'column')}; expected one "
            "for each."
        )
    names = found.action_names
    if names is None:
        names = tuple(str(a) for a in range(k)) if known is None else _names(known)
    if known is None:
        known = parsed(names)
    paid = np.asarray(found.cost if cost is None else Table(found.acc, cost, available=found.available).cost, float)
    available = found.available
    weights = np.ones(n) if found.weights is None else np.asarray(found.weights, float) / np.mean(found.weights)
    acc = np.array(found.acc, float)
    if available is not None:
        if available.all():
            available = None
        else:
            acc[~available] = np.nan
            for a in np.flatnonzero(~available.any(axis=0)):
                raise InputError(
                    f"no question has the action {names[a]!r}, so nothing can be learned about it. Leave it out."
                )
    cost_rows = np.ascontiguousarray(np.broadcast_to(paid, acc.shape))
    return Training(acc, cost_rows, weights, tuple(names), known, available, shared)


def _one_cost(samples: Samples, action: Action) -> bool:
    """Return whether one cost was given for all samples of an action's model."""
    arms = samples.by_model
    arm = next((arms[name] for name in (action.arm, action.model, "") if name in arms), next(iter(arms.values())))
    return action.rates is None and all(np.ndim(cost) == 0 for cost in (arm.cost, arm.round_cost) if cost is not None)


def _actions(actions: Any) -> tuple[Action | None, ...]:
    if isinstance(actions, (Action, str, bytes)) or not isinstance(actions, Iterable):
        raise InputError(f"actions is {actions!r}; expected a list, such as [Vote(1), Vote(4)] (None: do nothing).")
    found = tuple(actions)
    if not found:
        raise InputError("actions is empty; expected at least one, such as [Vote(1), Vote(4)].")
    for a, action in enumerate(found):
        if action is not None and not isinstance(action, Action):
            raise InputError(f"actions[{a}] is {action!r}; expected an action, such as Vote(4), or None (do nothing).")
    if found.count(None) > 1 or found == (None,):
        raise InputError("actions: None (do nothing) may stand in the list once, beside at least one action.")
    return found


def _names(actions: tuple[Action | None, ...]) -> tuple[str, ...]:
    names = iter(action_names(tuple(action for action in actions if action is not None)))
    return tuple(NOTHING if action is None else next(names) for action in actions)


def _with_nothing(made: Table, actions: tuple[Action | None, ...]) -> Table:
    """Insert a column of zeros where the action is None."""
    names = _names(actions)
    if None not in actions:
        return made
    at = actions.index(None)
    available = None if made.available is None else np.insert(made.available, at, True, axis=1)
    return Table(
        np.insert(made.acc, at, 0.0, axis=1),
        np.insert(made.cost, at, 0.0, axis=-1),
        ids=made.ids,
        action_names=names,
        available=available,
    )


def parsed(names: tuple[str, ...]) -> tuple[Action | None, ...] | None:
    """Return the actions with names such as "vote4 qwen", "best8" or "nothing"; None if a name stands for no action."""
    try:
        return tuple(None if name == NOTHING else Action.parse(name) for name in names)
    except InputError:
        return None


def fallback(available: NDArray[np.bool_] | None, order: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    """Return which action replaces each fixed action on each question, (n, K).

    It is the action itself if the question has it, else the next cheaper action that it has. If there is no cheaper
    one, it is the cheapest that the question has.
    """
    k = len(order)
    if available is None:
        return np.broadcast_to(np.arange(k), (n, k))
    ranked = available[:, order]
    place = np.where(ranked, np.arange(k), -1)
    last = np.maximum.accumulate(place, axis=1)
    last = np.where(last < 0, ranked.argmax(axis=1)[:, None], last)
    found = np.empty((n, k), np.intp)
    found[:, order] = order[last]
    return found


def affordable(acc: ArrayLike, cost: ArrayLike) -> list[int]:
    """Return the actions that are worth choosing as the one fixed action, from the cheapest on.

    Parameters
    ----------
    acc, cost : array_like, (K,)
        Mean accuracy and mean cost of each action.

    Returns
    -------
    list of int
        Columns. Each is more expensive than the one before, and more accurate than it by at least `LEAST_STEP`. For a
        budget, take the last one that the budget affords.
    """
    means, costs = np.asarray(acc, float), np.asarray(cost, float)
    steps: list[int] = []
    for a in np.lexsort((-means, costs)).tolist():
        if not steps or means[a] - means[steps[-1]] >= LEAST_STEP:
            steps.append(a)
    return steps


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """Fixed actions on the upper concave hull of their means; they make all best fixed mixtures.

    A mixture gives one action to a random share of the questions, and the next action to the others.
    """

    hull: NDArray[np.intp]
    """(H,) columns, from the cheapest to the most accurate."""
    cost: Floats
    """(H,) their mean costs, rising."""
    acc: Floats
    """(H,) their mean accuracies, rising."""

    @classmethod
    def of(cls, acc: ArrayLike, cost: ArrayLike) -> "Mix":
        """Build it from the actions' mean accuracies and costs, both (K,)."""
        means, costs = np.asarray(acc, float), np.asarray(cost, float)
        hull = upper_hull(costs, means)
        return cls(hull, costs[hull], means[hull])

    def at(self, spend: float) -> tuple[int, int, float]:
        """Return two columns and the second one's share, for a mean cost. Outside the hull it is the nearest end."""
        low, high, share = neighbours(self.cost, spend)
        return int(self.hull[low]), int(self.hull[high]), share

    def described(self, spend: float, names: Sequence[str]) -> str:
        """Return in words the mixture with a mean cost: the actions' names and their shares."""
        low, high, share = self.at(spend)
        return f"{1 - share:.0%} {names[low]}, {share:.0%} {names[high]}" if share else f"always {names[low]}"

    def reached(self, spend: float) -> float:
        """Return the mean accuracy of the mixture with a mean cost. Outside the hull it is that of the nearest end."""
        return float(np.interp(spend, self.cost, self.acc))

    def price(self, spend: float) -> float:
        """Return the accuracy that one more unit of cost buys at a mean cost; 0 at the end of the hull."""
        j = int(np.searchsorted(self.cost, spend, side="right")) - 1
        j = max(j, 0)
        if j >= len(self.hull) - 1:
            return 0.0
        return float((self.acc[j + 1] - self.acc[j]) / (self.cost[j + 1] - self.cost[j]))

    def check(self, budget: float) -> None:
        """Raise an error if the budget is below the cheapest action."""
        least = float(self.cost[0])
        if budget < least * (1 - AFFORDED):
            raise BudgetError(
                f"budget is {budget!r}, but the cheapest action costs {least!r} per instance: that is the smallest "
                "feasible budget. Raise it, or offer cheaper actions (a cost of 0 means: not answered).",
                least,
            )

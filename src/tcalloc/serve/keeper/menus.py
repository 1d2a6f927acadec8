"""What a policy offers for one question: actions, what each is expected to reach and to cost, and its highest cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.learn.hull import upper_hull
from tcalloc.learn.protocol import DecidedRun, Run
from tcalloc.measure.actions import Action
from tcalloc.serve.keeper.account import amount_of

__all__ = ["Bounds", "Menu", "decides_while_sampling", "menu_of", "stated_menu"]

# For each policy that decides while sampling: spend, accuracy and policy at some of its budgets.
_curves: WeakKeyDictionary[Any, list[tuple[float, float, Any]]] = WeakKeyDictionary()
# How many settings of a policy that decides while sampling are offered.
SETTINGS = 12


@dataclass(frozen=True, slots=True)
class Menu:
    """The actions for one question."""

    names: Sequence[str]
    accuracy: Sequence[float]
    """What each is expected to reach."""
    costs: Sequence[float]
    """What each is expected to cost."""
    most: Sequence[float]
    """The most that each can cost."""
    models: Sequence[str]
    """What bills are compared by: the model of each, or the action's name."""
    start: Callable[[int], Run] | None = None
    """Returns the run that carries out the action at a place; None: there is none."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that actions can cost: by rates and the most tokens of a completion, of one model or by model."""

    rates: Rates | Mapping[str, Rates]
    max_tokens: int | Mapping[str, int]

    def most(self, action: Action, question: Any) -> float:
        """Return the most that an action can cost on a question."""
        if not isinstance(question, str):
            raise InputError(
                "rates bound a bill by the bytes of the question, but the question is no text. Pass "
                "grant(…, maximum=…)."
            )
        rates, tokens = _of("rates", self.rates, action.model), _of("max_tokens", self.max_tokens, action.model)
        return float(rates.most(len(question.encode("utf-8", "surrogatepass")), action.samples, tokens))


def _of(name: str, given: Any, model: str | None) -> Any:
    if not isinstance(given, Mapping):
        return given
    if model not in given:
        what = "an action without a model" if model is None else f"the model {model!r}"
        raise InputError(f"{name} has no entry for {what}; it has {', '.join(map(repr, given)) or 'none'}. Add one.")
    return given[model]


def menu_of(policy: Any, question: Any, maximum: Any, bounds: Bounds | None, price: float | None) -> Menu:
    """Return the menu of a policy for one question.

    The policy predicts (`expected`), decides while sampling (a probe, or `frontier` and `at`), or has `mean_acc_` and
    `cost_`. Of the last kind, nothing more expensive than its own decision is offered. `maximum` is as in
    `BudgetKeeper.grant`; `bounds` are used where it is None.
    """
    if decides_while_sampling(policy):
        return _while_sampling(policy, question, maximum)
    if not hasattr(policy, "mean_acc_") or not hasattr(policy, "cost_"):
        raise InputError(
            f"{type(policy).__name__} does not say what its actions reach and cost. Use a policy of tcalloc, or "
            "keeper.choose(actions, accuracy, costs, …)."
        )
    names, actions = list(policy.action_names_), policy.actions_
    costs = [float(cost) for cost in policy.cost_]
    if hasattr(policy, "expected"):
        accuracy, expected = (values.tolist() for values in policy.expected(question, price))
        offered = list(range(len(accuracy)))
        costs[: len(offered)] = expected
    else:
        accuracy = [float(acc) for acc in policy.mean_acc_]
        decided = names.index(policy.route(question))
        offered = [j for j in range(len(names)) if costs[j] <= costs[decided]]
    known: list[Action | None] = [None] * len(names) if actions is None else list(actions)
    most = [_most(names[j], known[j], costs[j], policy, question, maximum, bounds) for j in offered]
    models = [getattr(known[j], "model", None) or names[j] for j in offered]
    start = None if actions is None else lambda place: DecidedRun(known[offered[place]])
    return Menu(
        [names[j] for j in offered], [accuracy[j] for j in offered], [costs[j] for j in offered], most, models, start
    )


def stated_menu(
    actions: Sequence[str], accuracy: Sequence[float], costs: Sequence[float], maximum: Sequence[float] | None
) -> Menu:
    """Return the menu of a caller who predicts by other means; arguments as in `BudgetKeeper.choose`."""
    most = costs if maximum is None else maximum
    if not len(actions) == len(accuracy) == len(costs) == len(most) or not len(actions):
        raise InputError(
            f"there are {len(actions)} actions, {len(accuracy)} accuracies, {len(costs)} costs and {len(most)} maxima; "
            "expected as many of each, at least 1."
        )
    for j, name in enumerate(actions):
        if not math.isfinite(accuracy[j]):
            raise InputError(f"accuracy[{j}] ({name!r}) is {accuracy[j]!r}; expected a finite number.")
        amount_of(f"costs[{j}] ({name!r})", costs[j])
        amount_of(f"maximum[{j}] ({name!r})", most[j])
    return Menu(actions, accuracy, costs, most, actions)


def decides_while_sampling(policy: Any) -> bool:
    """Return whether a policy stops while sampling, or has a probe; it can be set to one of many budgets."""
    return getattr(policy, "probed_", None) is not None or (hasattr(policy, "frontier") and hasattr(policy, "at"))


def _while_sampling(policy: Any, question: Any, maximum: Any) -> Menu:
    """Return the menu of a policy that decides while sampling: some of its budgets."""
    curve = _curves.get(policy)
    if curve is None:
        probed = getattr(policy, "probed_", None)
        if probed is None:
            frontier = policy.frontier()
            spend, accuracy = np.asarray(frontier.spend, float), np.asarray(frontier.accuracy, float)
        else:
            spend, accuracy = probed.spends, probed.scores
        kept = upper_hull(spend, accuracy)
        kept = kept[np.unique(np.linspace(0, len(kept) - 1, SETTINGS).round().astype(int))]
        settings = [(float(spend[j]), float(accuracy[j]), policy.at(float(spend[j]))) for j in kept]
        curve = _curves[policy] = settings
    names = [f"budget {spend:.6g}" for spend, _, _ in curve]
    if maximum is None:
        raise InputError(
            "a policy that decides while sampling has no highest cost of its own. Pass grant(…, maximum=…): what one "
            "question may cost at most."
        )
    most = [_given(maximum, name) for name in names]
    return Menu(
        names,
        [accuracy for _, accuracy, _ in curve],
        [spend for spend, _, _ in curve],
        most,
        ["samples"] * len(names),
        lambda place: curve[place][2].start(question),
    )


def _most(
    name: str, action: Action | None, cost: float, policy: Any, question: Any, maximum: Any, bounds: Bounds | None
) -> float:
    if maximum is not None:
        return _given(maximum, name)
    if bounds is not None:
        return bounds.most(action, question) if action is not None else 0.0
    return cost if policy.shared_costs_ or action is None else max(cost, float(policy.cost_range_[1]))


def _given(maximum: Any, name: str) -> float:
    if callable(maximum):
        return amount_of(f"the maximum of {name!r}", maximum(name))
    if isinstance(maximum, Mapping):
        if name not in maximum:
            raise InputError(f"maximum has no entry for the action {name!r}; it has {', '.join(map(repr, maximum))}.")
        return amount_of(f"the maximum of {name!r}", maximum[name])
    return amount_of("maximum", maximum)

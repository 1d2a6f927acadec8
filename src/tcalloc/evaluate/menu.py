"""From samples or a table to what can be done: the menu and the fixed actions, what each reaches and really costs.

What to use when
----------------
`of_samples`, `of_table`
    The fields of a `tcalloc.evaluate.problem.Problem` that follow from the data.
`filled`
    A menu without gaps: what a question lacks is replaced by the next cheaper action.
`menu_actions`, `dense_actions`
    What policies choose from that decide beforehand, and all fixed numbers of samples.
`paid`, `arm_of`
    What actions really cost on each question, and whose samples they draw.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.replay.all_orders import arm_costs, round_costs
from tcalloc.learn.training import NOTHING, Training, as_table, fallback
from tcalloc.measure.actions import Action, action_names
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table, only_outcomes
from tcalloc.measure.tabulate import tabulate
from tcalloc.runs.recorded_answers import notes_for

__all__ = ["arm_of", "dense_actions", "filled", "menu_actions", "of_samples", "of_table", "paid"]

Floats = NDArray[np.float64]


def filled(menu: Training) -> tuple[Floats, Floats]:
    """Return accuracies and costs of a menu, (N, K), without gaps: a missing action is the next cheaper one."""
    to = fallback(menu.available, menu.order, len(menu.acc))
    every = np.arange(len(menu.acc))[:, None]
    return np.nan_to_num(menu.acc)[every, to], np.asarray(menu.cost)[every, to]


def of_table(table: Table, actions: Any, verifier: bool) -> dict[str, Any]:
    """Return a problem's fields, of a table; refuse weights that differ, a verifier, and actions that do not fit."""
    if verifier:
        raise InputError("verifier=True needs Samples: a table has no samples that could be checked.")
    weights = table.weights
    if weights is not None and np.ptp(np.asarray(weights, np.float64)) > 0:
        raise InputError("data has weights that differ; every question counts once here. Leave the weights out.")
    menu = as_table(table, len(table.acc), actions, None)
    acc, cost = filled(menu)
    return {
        "samples": None,
        "menu": menu,
        "fixed_names": menu.names,
        "fixed_accuracy": acc,
        "fixed_cost": cost,
        "votes": (),
        "vote_accuracy": np.empty(0),
        "single": np.asarray(acc.mean(axis=1)),
        "unit": "cost",
        "data": "single answers" if only_outcomes(table) else "table",
        "verifier": False,
        "notes": table.notes,
    }


def of_samples(samples: Samples, actions: Any, verifier: bool) -> dict[str, Any]:
    """Return a problem's fields, of samples; refuse questions without any."""
    arms = samples.by_model
    empty = np.flatnonzero(~samples.drawn.any(axis=1))
    if len(empty):
        raise InputError(
            f"question {empty[0]} has no samples ({len(empty)} of {len(samples)} have none). Leave them out: "
            "samples.take(samples.drawn.any(axis=1)), and the same rows of X."
        )
    known = menu_actions(samples, actions, verifier)
    dense = dense_actions(samples, verifier)
    listed = [*dense, *(action for action in known if action is not None and action not in dense)]
    made = tabulate(samples, listed, False)
    cost = paid(samples, listed)
    there = None if made.available is None else np.asarray(made.available)
    acc = np.asarray(made.acc, np.float64)
    if there is not None:
        acc = np.where(there, acc, np.nan)
    whole = _with_nothing(acc, cost, there, (*listed, None))
    places = [(*listed, None).index(action) for action in known]
    available = None if whole.available is None else whole.available[:, places]
    menu = Training(
        np.ascontiguousarray(whole.acc[:, places]),
        np.ascontiguousarray(whole.cost[:, places]),
        whole.weights,
        tuple(whole.names[p] for p in places),
        known,
        None if available is None or available.all() else available,
    )
    filled_acc, filled_cost = filled(whole)
    one = len(arms) == 1
    votes = tuple(action.samples for action in dense) if one else ()
    first = [place for place, action in enumerate(dense) if action.samples == 1]
    sizes = max(int(arm.drawn.sum(axis=1).max()) for arm in arms.values())
    return {
        "samples": samples,
        "menu": menu,
        "fixed_names": whole.names,
        "fixed_accuracy": filled_acc,
        "fixed_cost": filled_cost,
        "votes": votes,
        "vote_accuracy": np.asarray(filled_acc[:, : len(votes)].mean(axis=0)),
        "single": np.asarray(np.nanmax(acc[:, first], axis=1)),
        "unit": "samples" if all(arm.cost is None for arm in arms.values()) else "cost",
        "data": "single answers" if sizes == 1 else "samples",
        "verifier": verifier,
        "notes": notes_for(samples.notes, verifier),
    }


def menu_actions(samples: Samples, actions: Any, verifier: bool) -> tuple[Action | None, ...]:
    """Return what policies choose from that decide beforehand: the actions given, or nothing and the usual ones."""
    if actions is None:
        return (None, *samples.usual_actions(verifier))
    # Checks the list; its table is made with all others.
    found = as_table(samples, len(samples), actions, None).actions
    assert found is not None
    for a, action in enumerate(found):
        if action is not None and action.rates is not None:
            raise InputError(
                f"actions[{a}] ({action.name}) has rates, but samples are charged what was recorded. Put the costs "
                "into Samples(cost=…), and leave the rates out."
            )
        if action is not None and "verifier" in action.kind.needs and not verifier:
            instead = f"Vote({action.samples})" if samples.answered else "One()"
            raise InputError(
                f"actions[{a}] is {action.name}, which needs a verifier that recognises right answers live. If there "
                f"is one, say verifier=True (--verifier); else use {instead}."
            )
    return found


def dense_actions(samples: Samples, verifier: bool) -> list[Action]:
    """Return what can be done with every number of samples of every model."""
    return [
        action
        for name, arm in samples.by_model.items()
        for action in samples.actions_of(name, range(1, int(arm.drawn.sum(axis=1).max()) + 1), verifier)
    ]


def paid(samples: Samples, actions: list[Action]) -> Floats:
    """Return what actions really cost on each question (N, len(actions)): one draw, and its samples at their mean."""
    means, rounds = {}, round_costs(samples)
    for name, cost in arm_costs(samples).items():
        drawn = samples.by_model[name].drawn
        size = drawn.sum(axis=1)
        total = np.where(drawn, cost, 0.0).sum(axis=1)
        # Where the model was not asked the action is not available, whatever its cost.
        means[name] = np.where(size > 0, total / np.maximum(size, 1), total.sum() / max(size.sum(), 1))
    arms = [arm_of(action, samples) for action in actions]
    return np.column_stack([a.samples * means[arm] + rounds[arm].first for a, arm in zip(actions, arms, strict=True)])


def arm_of(action: Action, samples: Samples) -> str:
    """Return the model whose samples an action draws; the only one, if it names none."""
    arms = samples.by_model
    return next((name for name in (action.arm, action.model) if name in arms), next(iter(arms)))


def _with_nothing(
    acc: Floats, cost: Floats, there: NDArray[np.bool_] | None, actions: tuple[Action | None, ...]
) -> Training:
    """Return the actions and, last, the one that does nothing."""
    n = len(acc)
    names = (*action_names(tuple(action for action in actions if action is not None)), NOTHING)
    available = None if there is None else np.column_stack([there, np.ones(n, bool)])
    return Training(
        np.column_stack([acc, np.zeros(n)]), np.column_stack([cost, np.zeros(n)]), np.ones(n), names, actions, available
    )

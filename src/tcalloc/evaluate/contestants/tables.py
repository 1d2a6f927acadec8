"""What was recorded, as tables that a policy is trained on and looked up in."""

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.training import parsed
from tcalloc.measure.actions import Action
from tcalloc.measure.table import Table

__all__ = ["actions_beyond", "beyond", "fixed_table", "wide_table"]

Rows = NDArray[np.intp]


def beyond(problem: Problem, base: Frontier) -> list[int]:
    """Return the fixed actions of the best mixtures that are not on the menu: what a policy mixes, but does not price.

    `base` is the hull of the fixed actions on the training questions.
    """
    menu = set(problem.menu.names)
    return [j for j in base.settings.tolist() if problem.fixed_names[j] not in menu]


def actions_beyond(problem: Problem, columns: list[int]) -> list[Action]:
    """Return these fixed actions, those that every question has."""
    assert problem.samples is not None
    names = tuple(problem.fixed_names[j] for j in columns)
    sizes = {name: int(arm.drawn.sum(axis=1).min()) for name, arm in problem.samples.by_model.items()}
    found = parsed(names) or ()
    return [a for a in found if a is not None and a.samples <= sizes.get(a.model or "", min(sizes.values()))]


def wide_table(problem: Problem, columns: list[int], rows: Rows) -> Table:
    """Return the menu of some questions, and beside it some fixed actions."""
    menu = problem.menu.take(rows)
    fixed = [values[rows][:, columns] for values in (problem.fixed_accuracy, problem.fixed_cost)]
    there = menu.available
    return Table(
        np.column_stack([np.nan_to_num(menu.acc), fixed[0]]),
        np.column_stack([menu.cost, fixed[1]]),
        action_names=(*menu.names, *(problem.fixed_names[j] for j in columns)),
        available=None if there is None else np.column_stack([there, np.ones((len(rows), len(columns)), bool)]),
    )


def fixed_table(problem: Problem, rows: Rows) -> Table:
    """Return the fixed actions of some questions."""
    return Table(problem.fixed_accuracy[rows], problem.fixed_cost[rows], action_names=problem.fixed_names)

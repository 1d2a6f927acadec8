"""Budgets and limits, checked.

What to use when
----------------
`budget_of`, `budgets_of`
    One mean cost per question, and several.
`limit_of`
    A limit on something; None if there is none.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tcalloc._inputs import scalar
from tcalloc.errors import InputError

__all__ = ["budget_of", "budgets_of", "limit_of"]


def budget_of(budget: Any) -> float:
    """Return a budget, checked.

    Raises
    ------
    InputError
        If it is not a finite number above 0.
    """
    try:
        found = float(budget)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"budget is {budget!r}; expected a number: the mean cost of a question, above 0.") from None
    if not 0 < found < np.inf:
        raise InputError(f"budget is {found:g}; expected the mean cost of a question, a finite number above 0.")
    return found


def budgets_of(budgets: Any) -> list[float]:
    """Return several budgets, checked.

    Raises
    ------
    InputError
        If it is no sequence, is empty, or holds something that is not a budget.
    """
    if isinstance(budgets, (str, bytes)) or not isinstance(budgets, Iterable):
        raise InputError(
            f"budgets is {budgets!r}; expected a sequence of mean costs of a question, such as [1.0, 3.0]."
        )
    found = [budget_of(budget) for budget in budgets]
    if not found:
        raise InputError("budgets is empty; expected at least one mean cost of a question, such as [1.0, 3.0].")
    return found


def limit_of(value: Any, name: str, what: str) -> float | None:
    """Return a limit; None if there is none.

    Parameters
    ----------
    value : float or None
        The limit; infinity means none.
    name, what : str
        The name of the argument, and what it limits, for messages.

    Raises
    ------
    InputError
        If it is not a number above 0.
    """
    if value is None or (found := scalar(value, name)) == np.inf:
        return None
    if found <= 0:
        raise InputError(f"{name} is {found:g}; expected {what}, above 0, or None for no limit.")
    return found

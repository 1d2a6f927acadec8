"""What a policy spends and reaches on recorded questions at several budgets. All policies are judged in this form.

What to use when
----------------
`PolicyOutcomes`
    What ``policy.replay(X, samples, budgets)`` returns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import scalar
from tcalloc.errors import InputError
from tcalloc.learn.training import Training

__all__ = ["Part", "PolicyOutcomes", "Served", "budgets_of", "drawn", "outcomes_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PolicyOutcomes:
    """What a policy does at B budgets on n recorded questions.

    Attributes
    ----------
    budgets : ndarray
        (B,) what each setting is meant to spend per question, the cost of looking at X included; NaN if unknown.
    spend : ndarray
        (B, n) what is paid for each question.
    accuracy : ndarray
        (B, n) the accuracy reached on each question.
    claimed : ndarray
        (B,) the mean accuracy that the policy predicts from its training questions; NaN if it predicts none.
    """

    budgets: Floats
    spend: Floats
    accuracy: Floats
    claimed: Floats


class Part(NamedTuple):
    """A share of the questions, chosen at random, and the columns that they get."""

    share: float
    """In [0, 1]; the shares of all parts add up to 1."""
    actions: NDArray[Any]
    """(n,) the column that each question gets if it falls into this part."""


class Served(NamedTuple):
    """What a policy serves at one budget."""

    parts: list[Part]
    """The first part is for the questions with the smallest random numbers."""
    claimed: float = math.nan
    """The mean accuracy that the policy predicts."""
    looks: bool = True
    """Whether X is looked at, so that looking must be paid for."""


def drawn(parts: Sequence[Part], numbers: Floats | None) -> NDArray[np.int32]:
    """Return the column that each question gets, (n,), by its random number in [0, 1)."""
    if len(parts) == 1:
        return np.asarray(parts[0].actions, np.int32)
    assert numbers is not None
    edges = np.cumsum([part.share for part in parts])[:-1]
    which = np.searchsorted(edges, numbers, side="right")
    return np.asarray(np.array([part.actions for part in parts])[which, np.arange(len(numbers))], np.int32)


def outcomes_of(served: Sequence[Served], budgets: Sequence[float], held: Training, looks: float) -> PolicyOutcomes:
    """Look up in a table what was served; `looks` is the cost of looking at X, per question."""
    every = np.arange(len(held.acc))
    spend, accuracy = (np.zeros((len(served), len(every))) for _ in range(2))
    paid = np.array([looks if each.looks else 0.0 for each in served])
    for b, each in enumerate(served):
        for part in each.parts:
            spend[b] += part.share * held.cost[every, part.actions]
            accuracy[b] += part.share * held.acc[every, part.actions]
    claimed = np.array([each.claimed for each in served])
    return PolicyOutcomes(np.asarray(budgets, np.float64) + paid, spend + paid[:, None], accuracy, claimed)


def budgets_of(budgets: Any) -> list[float]:
    """Return budgets as a list of numbers.

    Raises
    ------
    InputError
        If a budget is not a number, or there is none.
    """
    listed = np.atleast_1d(np.asarray(budgets, object))
    if listed.ndim != 1 or not len(listed):
        raise InputError(f"budgets has shape {listed.shape}; expected at least one number, in one row.")
    return [scalar(value, f"budgets[{b}]") for b, value in enumerate(listed.tolist())]

"""What is compared: the responses to the questions of one data set by one model, and the paper's actions."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.measure import Samples, Vote
from tcalloc.measure.actions import Action

__all__ = ["BUDGETS", "LEAST", "VOTES", "Data", "actions_of", "budgets_of"]

VOTES = (1, 2, 4, 8, 16, 48)
"""The paper's actions: a majority vote over this many responses."""
BUDGETS = (1.5, 2.0, 3.0, 4.0, 8.0, 16.0)
"""Mean responses per question, if nothing is said."""
LEAST = 10
"""Questions: fewer cannot be split into five folds that train anything."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """One data set answered by one model.

    Attributes
    ----------
    dataset, model : str
        What the tables call them.
    texts : list of str
        The questions.
    samples : Samples
        One model's; without costs, so that a response costs 1.
    levels : list of str or None
        The questions' levels, where the data set has them.
    notes : tuple of str
        What to know of it; each is a sentence.
    dollars : float or None
        Mean price of a response.
    """

    dataset: str
    model: str
    texts: list[str]
    samples: Samples
    levels: list[str] | None = None
    notes: tuple[str, ...] = ()
    dollars: float | None = None

    def __post_init__(self) -> None:
        if len(self.texts) < LEAST:
            raise InputError(
                f"{self.name}: {len(self.texts)} questions; at least {LEAST} are needed to train on some and score on "
                "others. Give a larger --limit, or more questions."
            )
        if self.most < 2:
            raise InputError(f"{self.name}: one response per question; votes need more. Give --responses 8 or more.")

    @property
    def name(self) -> str:
        """Data set and model."""
        return f"{self.dataset} x {self.model}"

    @property
    def most(self) -> int:
        """Responses that every question has."""
        return int(self.samples.sizes.min())

    def take(self, limit: int | None) -> "Data":
        """Return at most this many questions, spread evenly over all; None: all."""
        if limit is None or limit >= len(self.texts):
            return self
        rows: NDArray[np.intp] = ((np.arange(limit) + 0.5) * len(self.texts) / limit).astype(np.intp)
        return replace(
            self,
            texts=[self.texts[i] for i in rows],
            samples=self.samples.take(rows),
            levels=None if self.levels is None else [self.levels[i] for i in rows],
        )


def actions_of(most: int) -> list[Action]:
    """Return the paper's actions for this many responses: a larger vote becomes one over all of them."""
    return [Vote(k) for k in dict.fromkeys(min(k, most) for k in VOTES)]


def budgets_of(asked: tuple[float, ...] | None, most: int) -> tuple[float, ...]:
    """Return the budgets that leave something to decide, ascending.

    Raises
    ------
    InputError
        If one that was asked for does not.
    """
    if asked is None:
        return tuple(b for b in BUDGETS if b < most) or (0.5 * (1 + most),)
    for budget in asked:
        if not 1 < budget < most:
            raise InputError(
                f"--budgets: {budget:g} leaves nothing to decide; with {most} responses per question expected more "
                f"than 1 and less than {most}."
            )
    return tuple(sorted(set(asked)))

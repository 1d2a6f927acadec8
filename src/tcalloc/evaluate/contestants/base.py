"""What a contestant is, and what those that need no learning do."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.problem import Problem
from tcalloc.learn.folds import Fit, Frontier, Tuned

__all__ = ["Contestant", "FixedAction", "FixedMixture", "concave", "hull"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Of the range of spends: so far before a step ends the next one may begin to be mixed in.
EDGE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """A policy that takes part.

    ``fit(train rows, held rows, seed) -> Tuned`` trains it without the held-out questions and says what each of its
    settings does on them; it can be pickled (own policies where what the user gave can be), its result depends on
    nothing but its arguments, and all spends in it are real ones.
    """

    name: str
    """As it is printed."""
    kind: str
    """"policy" (deployable), "baseline", "bound" or "own"."""
    fit: Fit
    """See above."""
    marks: tuple[str, ...] = ()
    """What must be said about it, in plain words."""
    group: str = field(default="", kw_only=True)
    """Contestants of one group share what is computed of a fold: run them one after the other in one process, fold by
    fold, and it is computed once. It is faster, and changes no result."""
    beforehand: bool = field(default=False, kw_only=True)
    """Whether it decides before any sample is drawn. Then it cannot know more of a question than the oracle that knows
    half of its samples; one that seems to may have been told the answers (in X, in the label, or by memory)."""
    matched: bool = field(default=True, kw_only=True)
    """Whether its nominal spend may be moved until the real one is as asked. False: it plays what its training
    questions say for the spend as asked (fixed k: it mixes nothing, and spends less)."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedMixture:
    """The best fixed mixture: the hull of the fixed actions' training means."""

    problem: Problem
    """Of which."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return every fixed action as a setting."""
        acc, cost = self.problem.fixed_accuracy, self.problem.fixed_cost
        spend, accuracy = cost[train].mean(axis=0), acc[train].mean(axis=0)
        return Tuned(spend, accuracy, cost[held].T.copy(), acc[held].T.copy(), accuracy)


@dataclass(frozen=True, slots=True, eq=False)
class FixedAction:
    """One fixed action: the most accurate one of the training questions that the spend affords."""

    problem: Problem
    """Of which."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return a staircase: every step is an action, from its own training cost to just below the next one's."""
        acc, cost = self.problem.fixed_accuracy, self.problem.fixed_cost
        spend, accuracy = cost[train].mean(axis=0), acc[train].mean(axis=0)
        steps: list[int] = []
        for j in np.lexsort((-accuracy, spend)).tolist():
            if not steps or accuracy[j] > accuracy[steps[-1]]:
                steps.append(j)
        first = spend[steps]
        gap = EDGE * max(float(np.ptp(first)), 1.0)
        last = np.append(first[1:], first[-1] + 2 * gap) - gap
        dial, played = np.column_stack([first, np.maximum(last, first)]).ravel(), np.repeat(steps, 2)
        # A rising concave curve in place of accuracies: every step stays on the hull.
        return Tuned(dial, concave(dial), cost[held][:, played].T, acc[held][:, played].T, accuracy[played])


def concave(dial: Floats) -> Floats:
    """Return a rising, strictly concave curve over a dial, so that every setting stays on the hull."""
    low = float(dial.min())
    span = max(float(dial.max()) - low, 1e-300)
    return np.asarray(np.log1p((dial - low) / span))


def hull(problem: Problem, train: Rows) -> Frontier:
    """Return the hull of the fixed actions on the training questions."""
    return Frontier.of(problem.fixed_cost[train].mean(axis=0), problem.fixed_accuracy[train].mean(axis=0))

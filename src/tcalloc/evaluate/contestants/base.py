"""What a contestant is, and what those that need no learning do."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._rounding import COMPUTED
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Fit, Frontier, Tuned
from tcalloc.learn.registry import Entry
from tcalloc.learn.training import affordable

__all__ = ["Contestant", "FixedAction", "FixedMixture", "OfRegistry", "concave", "hull", "rounding"]

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
    """Whether it decides before any sample is drawn. Such a policy can do better than the oracle that knows half of
    each question's samples only if it has seen the answers (in X, in the label, or by memory), or if X holds the exact
    chances. One that gains nearly what hindsight does knows luck, so it has seen the answers."""
    matched: bool = field(default=True, kw_only=True)
    """Whether its nominal spend may be moved until the real one is as asked. False: it plays what its training
    questions say for the spend as asked (fixed k: it mixes nothing, and spends less)."""


@dataclass(frozen=True, slots=True, eq=False)
class OfRegistry:
    """A policy of the registry in a comparison; a `Fit`, by the `__call__` of each of its kinds."""

    problem: Problem
    """The comparison that it takes part in."""
    entry: Entry
    """Which policy it is."""
    budgets: tuple[float, ...] = ()
    """The spends that are compared, rising."""


@dataclass(frozen=True, slots=True, eq=False)
class FixedMixture:
    """The best fixed mixture: the hull of the fixed actions' training means."""

    problem: Problem
    """The comparison that it takes part in."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return every fixed action as a setting."""
        acc, cost = self.problem.fixed_accuracy, self.problem.fixed_cost
        spend, accuracy = cost[train].mean(axis=0), acc[train].mean(axis=0)
        return Tuned(spend, accuracy, cost[held].T.copy(), acc[held].T.copy(), accuracy, places=cost.mean(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class FixedAction:
    """One fixed action: the most accurate one of the training questions that the spend affords.

    The rule is that of `tcalloc.learn.routing.fixed_choice.FixedChoice`. What an action costs is its mean over all
    questions here, as it is for the mixture: in folds that know only their own mean, some could not pay for an action
    that the budget affords.
    """

    problem: Problem
    """The comparison that it takes part in."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return a staircase: every step is an action, from its own cost to just below the next one's."""
        acc, cost = self.problem.fixed_accuracy, self.problem.fixed_cost
        spend, accuracy = cost.mean(axis=0), acc[train].mean(axis=0)
        # A budget that is a rounded mean affords the action whose mean it is.
        spend = spend - np.minimum(rounding(spend), spend)
        steps = affordable(accuracy, spend)
        first = spend[steps]
        # In the unit of the costs, whatever that is, and never as far back as where the step begins.
        gap = min([EDGE * float(np.ptp(first)), *(np.diff(first) / 2)])
        last = np.append(first[1:], first[-1] + 2 * gap) - gap
        dial, played = np.column_stack([first, last]).ravel(), np.repeat(steps, 2)
        # A rising concave curve in place of accuracies: every step stays on the hull.
        return Tuned(dial, concave(dial), cost[held][:, played].T, acc[held][:, played].T, accuracy[played])


def concave(dial: Floats) -> Floats:
    """Return a rising, strictly concave curve over a dial, so that every setting stays on the hull."""
    low = float(dial.min())
    span = max(float(dial.max()) - low, 1e-300)
    return np.asarray(np.log1p((dial - low) / span))


def rounding(spends: ArrayLike) -> float:
    """Return what is rounding in these spends; two that differ by less are one."""
    return COMPUTED * float(np.max(np.abs(np.asarray(spends, np.float64)), initial=0.0))


def hull(problem: Problem, train: Rows) -> Frontier:
    """Return the hull of the fixed actions on the training questions."""
    return Frontier.of(problem.fixed_cost[train].mean(axis=0), problem.fixed_accuracy[train].mean(axis=0))

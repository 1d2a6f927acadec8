"""Rules that stop by counts of votes: every rival at all its settings, on the same orders, tuned in fold.

Nothing of them depends on the training questions but the choice among settings, so each family is replayed once on all
questions and every fold picks its hull.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants._cache import once
from tcalloc.evaluate.contestants.base import Contestant
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.folds import Tuned
from tcalloc.learn.paths import Paths
from tcalloc.learn.rivals import families

__all__ = ["CountingFamily", "counting"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# The fixed actions do the same, in exact expectation.
LEFT_OUT = "fixed k"


@dataclass(frozen=True, slots=True, eq=False)
class CountingFamily:
    """One family of rules."""

    problem: Problem
    """Of which."""
    family: str
    """Its name in `tcalloc.learn.rivals.families`."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return all settings of all models."""
        spend, score = once((self.problem.token, "counting"), lambda: replayed(self.problem))[self.family]
        paid, reached = spend[:, train].mean(axis=1), score[:, train].mean(axis=1)
        return Tuned(paid, reached, spend[:, held], score[:, held], reached)


def replayed(problem: Problem) -> dict[str, tuple[Floats, Floats]]:
    """Return each family's spend and score, (settings, N), the settings of all models one after the other."""
    assert problem.samples is not None
    parts: dict[str, list[tuple[Floats, Floats]]] = {}
    for a, (model, arm) in enumerate(problem.samples.by_model.items()):
        # The same orders as those in which `Sequential` is replayed: what is compared is paired to the sample.
        paths = Paths(arm, problem.orders, a, verifier=problem.verifier)
        listed = families(arm.drawn.shape[1], verifier=problem.verifier, model=model or None)
        for name, rules in listed.items():
            if name != LEFT_OUT:
                parts.setdefault(name, []).append(paths.outcomes(rules))
    return {
        name: (np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found]))
        for name, found in parts.items()
    }


def counting(problem: Problem) -> list[Contestant]:
    """Return the rivals that take part."""
    assert problem.samples is not None
    names = [name for name in families(1, verifier=problem.verifier) if name != LEFT_OUT]
    marks: tuple[str, ...] = ()
    if len(problem.models) > 1:
        marks = (f"uses one of the {len(problem.models)} models at a time, whichever does best in training",)
    return [Contestant(name, "policy", CountingFamily(problem, name), marks, group="counting") for name in names]

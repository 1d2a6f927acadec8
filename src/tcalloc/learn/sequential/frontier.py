"""What a `Sequential` policy can have for which spend.

What to use when
----------------
`StoppingFrontier`
    The figures of a fitted policy.
`crossfitted`
    Those figures from its candidates: whatever was chosen was chosen without the questions that it is scored on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.folds import Tuned, held_out
from tcalloc.learn.sequential.choosing import Choices

__all__ = ["StoppingFrontier", "crossfitted"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Folds of the choice, and how often they are drawn anew: more often where there are few questions.
FOLDS, TIMES, QUESTIONS = 10, 4, 500
# A budget has to be above 0.
LEAST = 1e-9


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StoppingFrontier:
    """What can be had for which spend; every figure is from questions that chose neither rule nor mixture."""

    spend: Floats
    """(B,) mean cost of a question."""
    accuracy: Floats
    """(B,) held out. It need not rise: it is measured on questions that did not choose."""
    rounds: Floats
    """(B,) draws of one or more samples at once."""
    family: tuple[str, ...]
    """(B,) which rules the policy uses."""

    def __len__(self) -> int:
        return len(self.spend)

    def __repr__(self) -> str:
        picked = np.unique(np.linspace(0, len(self) - 1, 9).round().astype(int))
        lines = [
            f"StoppingFrontier({len(self)} budgets, held out)",
            f"{'spend':>10} {'accuracy':>9} {'rounds':>7}  rules",
        ]
        lines += [
            f"{self.spend[b]:10.4g} {self.accuracy[b]:9.4f} {self.rounds[b]:7.2f}  {self.family[b]}" for b in picked
        ]
        return "\n".join(lines)


def crossfitted(choices: Choices, seed: int) -> StoppingFrontier:
    """Return what the choices are worth on questions that they were not made on.

    Every candidate was judged on each question while it was trained without it. Picking the hull, the family and the
    mixture on those same figures overstates them. So the whole choice is made again on nine tenths of the questions and
    scored on the others, at the same real spend (`tcalloc.learn.folds.held_out`).

    Parameters
    ----------
    choices : Choices
        The candidates, and the choice among them on all questions.
    seed : int
        Random seed of the folds.
    """
    budgets = choices.budgets()
    mixtures = choices.mixtures(budgets)
    spend, rounds = (choices.mixed(mixtures, what).mean(axis=1) for what in ("spend", "rounds"))
    accuracy = choices.mixed(mixtures).mean(axis=1)
    n = choices.candidates[0].inner.spend.shape[1]
    if n >= 2:

        def fit(train: Rows, held: Rows, _: int) -> Tuned:
            some = Choices([c.take(train) for c in choices.candidates], choices.sample, choices.round_cost)
            own = np.maximum(some.budgets(), LEAST)
            made = some.mixtures(own)
            # A concave curve over the budgets in place of accuracies: every budget stays on the hull.
            return Tuned(own, np.log(own), choices.mixed(made, "spend")[:, held], choices.mixed(made)[:, held])

        times = int(np.clip(QUESTIONS // n, 1, TIMES))
        seeds = [seed * TIMES + t for t in range(times)]
        accuracy = held_out(fit, n, spend, folds=min(FOLDS, n), seeds=seeds).accuracy.mean(axis=1)
    return StoppingFrontier(spend, accuracy, rounds, tuple(choices.candidates[m.candidate].name for m in mixtures))

"""The held-out figures of a `Sequential`: every choice is made without the questions that score it.

What to use when
----------------
`crossfitted`
    Spend and accuracy at many budgets, from the candidates of a fitted policy.
"""

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.holdout.folds import Tuned, held_out
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.sequential.selection import Choices

__all__ = ["crossfitted"]

Rows = NDArray[np.intp]

# Number of folds, and of repetitions of the choice: more if there are few questions.
FOLDS, TIMES, QUESTIONS = 10, 4, 500
# A budget has to be above 0.
LEAST = 1e-9


def crossfitted(choices: Choices, seed: int) -> StoppingFrontier:
    """Return spend and accuracy of the choices on questions that did not choose.

    Every candidate was judged on each question while it was trained without it (`Candidate.claimed`). Choosing the
    hull, the family and the mixture by those same figures overstates accuracy. So the whole choice is repeated on nine
    tenths of the questions and scored on the others, at the same real spend (`tcalloc.learn.holdout.folds.held_out`).
    All folds share one dial: what a mixture spends on all questions. If questions differ in cost, the folds' own spends
    would cut off the corners of their hulls.

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
            some = Choices([c.take(train) for c in choices.candidates], choices.sample)
            own = np.maximum(some.budgets(), LEAST)
            made = some.mixtures(own)
            spent, reached = (choices.mixed(made, what, "claimed") for what in ("spend", "accuracy"))
            # A concave curve over the budgets in place of accuracies: every budget stays on the hull.
            return Tuned(own, np.log(own), spent[:, held], reached[:, held], places=spent.mean(axis=1))

        times = int(np.clip(QUESTIONS // n, 1, TIMES))
        seeds = [seed * TIMES + t for t in range(times)]
        accuracy = held_out(fit, n, spend, folds=min(FOLDS, n), seeds=seeds).accuracy.mean(axis=1)
    return StoppingFrontier(spend, accuracy, rounds, tuple(choices.candidates[m.candidate].name for m in mixtures))

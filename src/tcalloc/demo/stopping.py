"""What the demonstration says about stopping while sampling: how many samples buy the accuracy of a fixed number.

Five folds over the questions: `Sequential` is fitted on the recorded answers of four and replayed on the fifth at many
budgets; means over three divisions into folds, since one alone is lucky or not by a point. A vote over a fixed number
of samples, on the same questions, is the exact expectation.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.demo.curves import Curve
from tcalloc.demo.learned import FOLDS
from tcalloc.demo.progress import Progress
from tcalloc.evaluate.statistics import first_reached
from tcalloc.learn.sequential import Sequential
from tcalloc.measure import Samples, vote_accuracy

__all__ = ["FIXED", "Stopping", "stopping"]

# Half of what was recorded of most models.
FIXED = 8
BUDGETS = 24
DIVISIONS = 3


@dataclass(frozen=True, slots=True)
class Stopping:
    """One model; spends are samples per question."""

    model: str
    samples: int
    """The fixed number."""
    accuracy: float
    """Accuracy of its vote."""
    needed: float | None
    """What stopping spends for that accuracy, held out; None if it does not reach it."""
    needed_low: float | None
    needed_high: float | None
    """Its 95 % interval: the spends at which the two cannot be distinguished; None as above."""
    cost: float
    """What one of its samples costs, in the unit of all costs."""
    curve: Curve
    """Held-out accuracy over spend, in the unit of all costs."""


def stopping(
    model: str,
    answers: NDArray[Any],
    fixed: int = FIXED,
    cost: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stopping:
    """Fit on four folds and replay the fifth: of a model with the answer codes (N, S) and the cost of one sample."""
    shown_to = Progress() if progress is None else progress
    shown_to.begin("a policy that stops while samples come in", FOLDS * DIVISIONS)
    n = len(answers)
    random = np.random.default_rng(seed)
    budgets = np.geomspace(1.0, answers.shape[1], BUDGETS)
    spend, reached = np.zeros((BUDGETS, n)), np.zeros((BUDGETS, n))
    for _ in range(DIVISIONS):
        fold = random.permutation(n) % FOLDS
        for f in range(FOLDS):
            policy = Sequential(random_state=seed).fit(None, Samples(answers[fold != f]))
            done = policy.replay(None, Samples(answers[fold == f]), budgets=budgets.tolist(), random_state=seed)
            spend[:, fold == f] += done.spend / DIVISIONS
            reached[:, fold == f] += done.accuracy / DIVISIONS
            shown_to.step()
    alone = vote_accuracy(answers, fixed)
    ahead = reached - alone
    half = 1.96 * ahead.std(axis=1, ddof=1) / np.sqrt(n)
    means, spends = ahead.mean(axis=1), spend.mean(axis=1)
    # Where the lead first becomes 0, and where the ends of its interval do.
    reached_at = first_reached(spends, np.stack([means, means + half, means - half]), np.zeros(3)).tolist()
    needed, low, high = (None if math.isinf(spend) else spend for spend in reached_at)
    return Stopping(
        model,
        fixed,
        float(alone.mean()),
        needed,
        low,
        high,
        cost,
        Curve((cost * spends).tolist(), reached.mean(axis=1).tolist()),
    )

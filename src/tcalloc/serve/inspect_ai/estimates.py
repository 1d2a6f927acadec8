"""What an evaluation with stopped epochs says: the money saved, and accuracies that stopping does not bias.

What to use when
----------------
`saved`
    What the epochs that were left out would have cost, with a 95 % interval.
`one_epoch`
    The accuracy of one epoch on one question, without bias, whatever rule stopped its epochs.
`mean_of`
    A mean over questions, with a 95 % interval.

A rule that looks at answers stops at some results sooner than at others. The mean of the epochs that ran is then
biased: with a rule that stops at the first agreement, a question that is right 7 times in 10 looks better than it is.
The first epoch is not biased, because it always runs. `one_epoch` is its expectation over all orders
in which the same epochs could have come and been stopped at the same place (Rao and Blackwell; for yes and no,
Girshick, Mosteller and Savage). It is unbiased too, and varies less.

References
----------
Girshick, Mosteller and Savage, "Unbiased estimates for certain binomial sampling problems with applications", Annals of
Mathematical Statistics 17 (1946).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from tcalloc._student import quantile
from tcalloc.learn.protocol import Result, Run
from tcalloc.serve.inspect_ai.question_epochs import needed

__all__ = ["Estimate", "mean_of", "one_epoch", "saved"]

# All orders of at most so many epochs are tried; of more, so many at random.
EXACT, DRAWN = 4, 32


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; None if there are too few questions for one."""

    value: float
    low: float | None
    high: float | None


def mean_of(values: Sequence[float]) -> Estimate | None:
    """Return the mean over questions, with an interval by Student's t; None if there are none."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    if n < 2:
        return Estimate(mean, None, None)
    half = quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half)


def saved(costs: Sequence[Sequence[float]], stopped: Sequence[int]) -> Estimate:
    """Return what the epochs that were left out would have cost.

    Each would have cost what its question's epochs cost on average. The interval covers what epochs of one question
    differ by: that of the epochs that ran, and that of those that would have run.

    Parameters
    ----------
    costs : sequence of sequences of float
        What each question's epochs cost.
    stopped : sequence of int
        How many of its epochs were left out.
    """
    known = [float(np.mean(some)) for some in costs if len(some)]
    usual = math.fsum(known) / len(known) if known else 0.0
    means = [float(np.mean(some)) if len(some) else usual for some in costs]
    amount = math.fsum(k * mean for k, mean in zip(stopped, means, strict=True))
    freedom = sum(len(some) - 1 for some in costs if len(some) > 1)
    if freedom:
        variance = math.fsum(float(np.var(some)) * len(some) for some in costs if len(some) > 1) / freedom
    elif len(known) > 1:  # no question has two epochs: what questions differ by is more
        freedom, variance = len(known) - 1, float(np.var(known, ddof=1))
    else:
        return Estimate(amount, None, None)
    spread = math.fsum(k + k * k / max(len(some), 1) for k, some in zip(stopped, costs, strict=True))
    half = quantile(freedom) * math.sqrt(variance * spread)
    return Estimate(amount, max(amount - half, 0.0), amount + half)


def one_epoch(start: Callable[[], Run], results: Sequence[Result], values: Sequence[float], seed: int) -> float:
    """Return an unbiased estimate of the mean value of one epoch, although a rule chose when to stop.

    Parameters
    ----------
    start : callable
        Begins a new run of the question by the same rule.
    results : sequence of Result
        Those of its epochs, in the order of their numbers. Epochs beyond where the rule ends are not used.
    values : sequence of float
        Their values: 1 for right.
    seed : int
        Random seed of the orders, if there are too many to try all. Each question needs one of its own: with the same
        orders everywhere, their errors would add up.
    """
    found = needed(start(), list(results))
    n, _ = found
    if len(set(values[:n])) < 2:
        return float(values[0])
    firsts = []
    for order in _orders(n, seed):
        if needed(start(), [results[k] for k in order]) == found:
            firsts.append(float(values[order[0]]))
    return math.fsum(firsts) / len(firsts)


def _orders(n: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Yield all orders of few epochs; of more, the one that came, and others at random."""
    if n <= EXACT:
        yield from permutations(range(n))
        return
    yield tuple(range(n))
    rng = np.random.default_rng(seed)
    for _ in range(DRAWN):
        yield tuple(int(k) for k in rng.permutation(n))

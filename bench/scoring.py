"""How benchmarks score: paired differences over the same questions, and the hull that only hindsight could pick."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tcalloc._printing import cleaned
from tcalloc._student import quantile
from tcalloc.errors import InputError
from tcalloc.learn.holdout.folds import Frontier, Held, mixed

__all__ = ["Difference", "on_test", "paired"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference between two policies over the same questions, with a 95 % interval."""

    mean: float
    """First minus second."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    n: int
    """Questions."""

    @property
    def below(self) -> bool:
        """Whether the first is worse beyond the interval."""
        return self.high < 0

    @property
    def above(self) -> bool:
        """Whether the first is better beyond the interval."""
        return self.low > 0

    @cleaned
    def __str__(self) -> str:
        return f"{100 * self.mean:+.2f} [{100 * self.low:+.2f}, {100 * self.high:+.2f}]"


def paired(first: ArrayLike, second: ArrayLike, *, bootstrap: int = 0, seed: int = 0) -> Difference:
    """Return the mean difference of two scores of the same questions, with a 95 % interval over questions.

    Parameters
    ----------
    first, second : array_like, (N,)
        Scores per question, each the mean over seeds and orders.
    bootstrap : int
        So many resamples of the questions (percentiles); 0: Student's interval, mean ± t standard errors.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If the two differ in length, or there is only one question.

    Examples
    --------
    >>> from bench.scoring import paired
    >>> print(paired([1, 1, 0, 1], [1, 0, 0, 1]))
    +25.00 [-54.56, +104.56]
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 1 or one.shape != two.shape:
        raise InputError(f"first has shape {one.shape}, second {two.shape}; expected one score per question in both.")
    n = len(one)
    if n < 2:
        raise InputError(f"{n} question: an interval needs at least two.")
    difference = one - two
    mean = float(difference.mean())
    if bootstrap:
        rng = np.random.default_rng(seed)
        means = [float(difference[rng.integers(n, size=n)].mean()) for _ in range(bootstrap)]
        low, high = np.quantile(means, [0.025, 0.975])
        return Difference(mean, float(low), float(high), n)
    half = quantile(n - 1) * float(difference.std(ddof=1)) / float(np.sqrt(n))
    return Difference(mean, mean - half, mean + half, n)


def on_test(spend: ArrayLike, accuracy: ArrayLike, spends: Iterable[float]) -> Held:
    """Return what a family reaches with the hull picked on the questions it is scored on: flattering, for orientation.

    `spend` and `accuracy` are (J, N).
    """
    x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)
    frontier = Frontier.of(x.mean(axis=1), y.mean(axis=1))
    asked = np.array([float(s) for s in spends])
    mixtures = frontier.mix_each(asked)
    return Held(asked, mixed(x, *mixtures), mixed(y, *mixtures))

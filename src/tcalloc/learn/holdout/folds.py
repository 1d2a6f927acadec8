"""Comparisons out of fold: frontiers tuned on the training questions, held to one spend, paired by question.

What to use when
----------------
`split`
    Folds over questions from a fixed seed.
`Frontier`
    The settings on the hull of what they spend and reach, and the mixture of two neighbours for a spend.
`held_out`
    A family of settings, tuned in fold, at given spends: accuracy and spend of every question while it was held out.
`on_test`
    The same with the hull picked on the questions it is scored on: what hindsight would make of the family.
`Dial`
    What a spend on one fold's training questions is on a dial that all folds share.
`crossing`
    Where what is really spent, over the nominal spend, is what was asked.
`paired`
    The difference of two such results, with an interval over questions.

A mixture tuned to a spend on the training questions spends a little more or less on others, and accuracy follows
spend. `held_out` therefore turns one dial, which all folds share, until the spend over all held-out questions is the
one asked for: that takes no label, and it is done to all sides alike.

Where costs vary, the same setting costs more on the training questions of one fold than on those of another. The dial
is therefore not the spend in training. It is the setting's position: the same setting stands at the same place in all
folds (`Dial`). Otherwise one fold would already play the next setting where another has not reached this one, and a
mixture of them would be below the setting that it contains.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._printing import cleaned
from tcalloc._rounding import SUMMED
from tcalloc._student import quantile
from tcalloc.errors import InputError
from tcalloc.learn.hull import neighbours, neighbours_of_each, upper_hull

__all__ = [
    "SEEDS",
    "Dial",
    "Difference",
    "Fit",
    "Frontier",
    "Held",
    "Tuned",
    "crossing",
    "held_out",
    "mixed",
    "on_test",
    "paired",
    "placed",
    "split",
    "tabled",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# The seeds of all documented comparisons.
SEEDS = (0, 1, 2, 3, 4)


def split(n: int, folds: int = 5, seed: int = 0) -> list[tuple[Rows, Rows]]:
    """Return (training rows, held-out rows) of each fold; every question is held out once.

    Raises
    ------
    InputError
        If there are fewer questions than folds, or fewer than two folds.
    """
    if not 2 <= folds <= n:
        raise InputError(f"folds is {folds}; expected 2 to {n}, the number of questions.")
    order = np.random.default_rng(seed).permutation(n)
    parts = np.array_split(order, folds)
    return [(np.sort(np.concatenate([*parts[:f], *parts[f + 1 :]])), np.sort(parts[f])) for f in range(folds)]


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """The settings on the upper concave hull of accuracy over spend, up to the most accurate."""

    settings: NDArray[np.intp]
    """(H,) their numbers."""
    spend: Floats
    """(H,) ascending."""
    accuracy: Floats
    """(H,) ascending."""

    @classmethod
    def of(cls, spend: ArrayLike, accuracy: ArrayLike) -> "Frontier":
        """Return the hull of settings that spend and reach so much, (J,) each.

        Examples
        --------
        >>> from tcalloc.learn.holdout.folds import Frontier
        >>> Frontier.of([1, 2, 3, 4], [0.5, 0.6, 0.8, 0.7]).settings.tolist()
        [0, 2]
        """
        x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)
        if x.ndim != 1 or x.shape != y.shape or not len(x):
            raise InputError(f"spend has shape {x.shape} and accuracy {y.shape}; expected one number each per setting.")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise InputError("spend or accuracy is not finite; expected numbers.")
        found = upper_hull(x, y)
        return cls(found, x[found], y[found])

    def mix(self, spend: float) -> tuple[int, int, float]:
        """Return two neighbouring settings, and the second's share, that spend so much; the ends beyond the hull."""
        low, high, share = neighbours(self.spend, spend)
        return int(self.settings[low]), int(self.settings[high]), share

    def mix_each(self, spends: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Return what `mix` returns, for each of several spends: three arrays."""
        low, high, share = neighbours_of_each(self.spend, spends)
        return self.settings[low], self.settings[high], share

    def slope(self, spend: float) -> float:
        """Return what a unit of spend brings on the step that leads to a spend; 0 beyond the last."""
        at = int(np.searchsorted(self.spend, spend))
        if at == len(self.spend) or len(self.spend) < 2:
            return 0.0
        at = max(at, 1)
        return float((self.accuracy[at] - self.accuracy[at - 1]) / (self.spend[at] - self.spend[at - 1]))


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """What a family of settings does after one training."""

    spend: Floats
    """(J,) mean spend of each setting, on the training questions (or cross-validated among them)."""
    accuracy: Floats
    """(J,) the same for accuracy: these two choose."""
    held_spend: Floats
    """(J, m) each setting's spend on each held-out question."""
    held_accuracy: Floats
    """(J, m) its accuracy there: looked at only for scoring."""
    claimed: Floats | None = None
    """(J,) the accuracy that each setting promises from the training questions alone; None, or NaN: it promises none.
    `accuracy` may be anything that orders the settings, this is meant in earnest."""
    places: Floats | None = None
    """(J,) where each setting stands on the dial that all folds share, where the settings are the same in all folds:
    what each spends on all questions, for example. None: its spend in training says where."""


@dataclass(frozen=True, slots=True, eq=False)
class Dial:
    """What a spend on one fold's training questions is on a dial that all folds share: straight between its knots.

    Parameters
    ----------
    spend : ndarray, (H,)
        Spends on the training questions, strictly rising.
    place : ndarray, (H,)
        The same settings on the shared dial, strictly rising.
    """

    spend: Floats
    place: Floats

    @classmethod
    def of(cls, spend: ArrayLike, place: ArrayLike) -> "Dial":
        """Return the dial of settings that spend so much in training, (H,) rising, and stand at such places.

        Two settings may change their order: what is more expensive on these training questions may be cheaper on all
        questions. The dial must not turn back, so it skips a setting whose place is not beyond the one before.

        Examples
        --------
        >>> from tcalloc.learn.holdout.folds import Dial
        >>> Dial.of([1.1, 2.0, 4.0], [1.0, 2.0, 4.0])([0.55, 1.1, 3.0, 8.0]).tolist()
        [0.5, 1.0, 3.0, 8.0]
        """
        x, y = np.asarray(spend, np.float64), np.asarray(place, np.float64)
        kept: list[int] = []
        for h in range(len(x)):
            if not kept or (x[h] > x[kept[-1]] and y[h] > y[kept[-1]]):
                kept.append(h)
        return cls(x[kept], y[kept])

    def __call__(self, spends: ArrayLike) -> Floats:
        """Return the places of spends; beyond the knots they keep the ratio of the last one."""
        asked = np.asarray(spends, np.float64)
        found = np.interp(asked, self.spend, self.place)
        for end, beyond in ((0, asked < self.spend[0]), (-1, asked > self.spend[-1])):
            if self.spend[end] > 0 and self.place[end] > 0:
                found = np.where(beyond, asked / self.spend[end] * self.place[end], found)
            else:
                found = np.where(beyond, asked - self.spend[end] + self.place[end], found)
        return np.asarray(found)


def placed(tuned: Tuned, frontier: Frontier, dial: Dial | None = None) -> Floats:
    """Return where the settings of a hull stand on the dial that all folds share, (H,) rising.

    Parameters
    ----------
    tuned : Tuned
        One fold's training. Its own `places` are used where it has them.
    frontier : Frontier
        Its hull.
    dial : Dial, optional
        The fold's, for what has no places of its own; without it their spends in training are taken.
    """
    if tuned.places is not None:
        dial = Dial.of(frontier.spend, np.asarray(tuned.places, np.float64)[frontier.settings])
    return frontier.spend if dial is None else dial(frontier.spend)


Fit = Callable[[Rows, Rows, int], Tuned]
"""From training rows, held-out rows and a seed to what was learned and what it does."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Accuracy and spend of every question while it was held out, mean over the seeds; (B, N) for B spends."""

    asked: Floats
    """(B,) the spends that were asked for."""
    spend: Floats
    """(B, N)."""
    accuracy: Floats
    """(B, N)."""


def tabled(spend: ArrayLike, accuracy: ArrayLike) -> Fit:
    """Return a family whose settings need no training but the choice among them.

    Parameters
    ----------
    spend, accuracy : array_like, (J, N)
        Of each setting on each question.
    """
    x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)

    def fit(train: Rows, held: Rows, seed: int) -> Tuned:
        spend, reached = x[:, train].mean(axis=1), y[:, train].mean(axis=1)
        return Tuned(spend, reached, x[:, held], y[:, held], places=x.mean(axis=1))

    return fit


def held_out(
    fit: Fit, n: int, spends: Iterable[float], *, folds: int = 5, seeds: Iterable[int] = SEEDS, match: bool = True
) -> Held:
    """Return what a family reaches at given spends, tuned without the questions it is scored on.

    Parameters
    ----------
    fit : callable
        ``fit(training rows, held-out rows, seed) -> Tuned``; `tabled` makes one of a table.
    n : int
        Questions.
    spends : iterable of float
        Mean spend per question. Where a family cannot spend so much, or finds nothing to spend it on, it spends less.
    folds : int
        Of each seed.
    seeds : iterable of int
        One split into folds each.
    match : bool
        Whether the dial is turned until the real spend is as asked (see above). False: the spend in training is.

    Returns
    -------
    Held
    """
    asked = np.array([float(s) for s in spends])
    listed = list(seeds)
    total_spend, total_accuracy = np.zeros((len(asked), n)), np.zeros((len(asked), n))
    for seed in listed:
        parts = []
        for train, held in split(n, folds, seed):
            tuned = fit(train, held, seed)
            frontier = Frontier.of(tuned.spend, tuned.accuracy)
            if match:
                frontier = replace(frontier, spend=placed(tuned, frontier))
            parts.append((frontier, tuned, held))
        moved = _nominal(parts, n, asked) if match else asked
        for frontier, tuned, held in parts:
            mixtures = frontier.mix_each(moved)
            total_spend[:, held] += mixed(tuned.held_spend, *mixtures)
            total_accuracy[:, held] += mixed(tuned.held_accuracy, *mixtures)
    return Held(asked, total_spend / len(listed), total_accuracy / len(listed))


def on_test(spend: ArrayLike, accuracy: ArrayLike, spends: Iterable[float]) -> Held:
    """Return the same with the hull picked on the questions it is scored on: flattering, for orientation.

    `spend` and `accuracy` are (J, N).
    """
    x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)
    frontier = Frontier.of(x.mean(axis=1), y.mean(axis=1))
    asked = np.array([float(s) for s in spends])
    mixtures = frontier.mix_each(asked)
    return Held(asked, mixed(x, *mixtures), mixed(y, *mixtures))


def mixed(values: Floats, low: NDArray[np.intp], high: NDArray[np.intp], share: Floats) -> Floats:
    """Return what mixtures of two settings do on each question, (B, N); `values` is (J, N), the others (B,)."""
    kind = np.result_type(values, 1.0)
    return np.asarray((1 - share).astype(kind)[:, None] * values[low] + share.astype(kind)[:, None] * values[high])


def _nominal(parts: list[Any], n: int, asked: Floats) -> Floats:
    """Return the places on the dial at which the held-out questions of all folds together spend what was asked."""
    nominal = np.unique(np.concatenate([frontier.spend for frontier, _, _ in parts]))
    real = np.zeros(len(nominal))
    for frontier, tuned, _ in parts:
        real += np.interp(nominal, frontier.spend, tuned.held_spend[frontier.settings].sum(axis=1)) / n
    return crossing(nominal, real, asked)


def crossing(nominal: Floats, real: Floats, asked: Floats) -> Floats:
    """Return the nominal spends at which what is asked is really spent.

    Parameters
    ----------
    nominal : ndarray, (M,)
        Rising.
    real : ndarray, (M,)
        What is spent there, straight in between. It need not rise: a setting that is dearer on the training questions
        may be cheaper on others.
    asked : ndarray, (T,)
        Real spends.

    Returns
    -------
    ndarray, (T,)
        The first crossing, in either direction; where all that is spent is less (more), where most (least) is spent.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.holdout.folds import crossing
    >>> crossing(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), np.array([0.5, 2.5, 9.0])).tolist()
    [1.0, 1.75, 2.0]
    """
    least, most = float(real.min()), float(real.max())
    slack = SUMMED * max(abs(least), abs(most))
    # Where a spend stays the same for a while, the last place of it: dearer by the training questions, and free here.
    lowest, highest = nominal[int(real.argmin())], nominal[int(np.flatnonzero(real >= most - slack)[-1])]
    found = np.full(len(asked), lowest)
    if len(nominal) > 1:
        before, after = real[None, :-1], real[None, 1:]
        target = asked[:, None]
        met = ((before <= target) & (target < after)) | ((before > target) & (target >= after))
        at = met.argmax(axis=1)
        run = real[at + 1] - real[at]
        with np.errstate(over="ignore"):  # a spend that is far beyond all of them
            share = np.divide(asked - real[at], run, out=np.zeros(len(asked)), where=run != 0)
        found = nominal[at] + np.clip(share, 0.0, 1.0) * (nominal[at + 1] - nominal[at])
    return np.asarray(np.where(asked >= most - slack, highest, np.where(asked <= least, lowest, found)))


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
    >>> from tcalloc.learn.holdout.folds import paired
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

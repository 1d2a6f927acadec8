"""Comparisons out of fold: frontiers are tuned on training questions and brought to one spend.

What to use when
----------------
`split`
    Folds over questions from a fixed random seed.
`Frontier`
    The settings on the hull of spend and accuracy, and the mixture of two neighbours for a spend.
`held_out`
    A family of settings, tuned in fold, at given spends: accuracy and spend of every question when it was held out.
`Dial`
    A scale that all folds share, and the place on it of a spend on one fold's training questions.
`crossing`
    The nominal spends at which the real spend is as asked.

A mixture tuned to a spend on the training questions spends a little more or less on others, and accuracy follows
spend. `held_out` therefore turns one dial, which all folds share, until the spend over all held-out questions is as
asked. That needs no label, and it is done for all families alike.

If costs vary, the same setting costs more on the training questions of one fold than on those of another. Therefore
the dial is not the spend in training but the position of the setting: each setting stands at the same place in all
folds (`Dial`). Otherwise one fold could already play the next setting while another has not reached this one. A mixture
of the two would be below the setting that it contains.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._rounding import SUMMED
from tcalloc.errors import InputError
from tcalloc.learn.hull import neighbours, neighbours_of_each, upper_hull

__all__ = [
    "SEEDS",
    "Dial",
    "Fit",
    "Frontier",
    "Held",
    "Tuned",
    "crossing",
    "held_out",
    "mixed",
    "placed",
    "split",
    "tabled",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# The random seeds of all documented comparisons.
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
    """(H,) the numbers of the settings."""
    spend: Floats
    """(H,) their spends, ascending."""
    accuracy: Floats
    """(H,) their accuracies, ascending."""

    @classmethod
    def of(cls, spend: ArrayLike, accuracy: ArrayLike) -> "Frontier":
        """Return the hull of settings with these spends and accuracies, (J,) each.

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
        """Return two neighbouring settings whose mixture has this spend, and the second's share.

        Beyond the hull it is the nearest end.
        """
        low, high, share = neighbours(self.spend, spend)
        return int(self.settings[low]), int(self.settings[high]), share

    def mix_each(self, spends: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
        """Return what `mix` returns, for each of several spends: three arrays."""
        low, high, share = neighbours_of_each(self.spend, spends)
        return self.settings[low], self.settings[high], share


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """The figures of a family of settings after one training."""

    spend: Floats
    """(J,) mean spend of each setting, on the training questions (or cross-validated among them)."""
    accuracy: Floats
    """(J,) mean accuracy, likewise; these two choose the hull."""
    held_spend: Floats
    """(J, m) each setting's spend on each held-out question."""
    held_accuracy: Floats
    """(J, m) its accuracy there, used only for scoring."""
    claimed: Floats | None = None
    """(J,) the accuracy that each setting predicts from the training questions alone; None or NaN if it predicts none.
    `accuracy` may be any score that orders the settings; this one is a real estimate."""
    places: Floats | None = None
    """(J,) the place of each setting on the dial that all folds share, for settings that are the same in all folds:
    for example, what each spends on all questions. None: its spend in training gives the place."""


@dataclass(frozen=True, slots=True, eq=False)
class Dial:
    """Maps a spend on one fold's training questions to the dial that all folds share, linearly between its knots.

    Parameters
    ----------
    spend : ndarray, (H,)
        Spends on the training questions, strictly rising.
    place : ndarray, (H,)
        The places of the same settings on the shared dial, strictly rising.
    """

    spend: Floats
    place: Floats

    @classmethod
    def of(cls, spend: ArrayLike, place: ArrayLike) -> "Dial":
        """Return the dial of settings with these spends in training, (H,) rising, and these places.

        Two settings may change their order: the more expensive on these training questions may be the cheaper on all
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
        """Return the places of spends; beyond the knots they keep the ratio of the last knot."""
        asked = np.asarray(spends, np.float64)
        found = np.interp(asked, self.spend, self.place)
        for end, beyond in ((0, asked < self.spend[0]), (-1, asked > self.spend[-1])):
            if self.spend[end] > 0 and self.place[end] > 0:
                found = np.where(beyond, asked / self.spend[end] * self.place[end], found)
            else:
                found = np.where(beyond, asked - self.spend[end] + self.place[end], found)
        return np.asarray(found)


def placed(tuned: Tuned, frontier: Frontier, dial: Dial | None = None) -> Floats:
    """Return the places of a hull's settings on the dial that all folds share, (H,) rising.

    Parameters
    ----------
    tuned : Tuned
        The training of one fold. Its own `places` are used if it has them.
    frontier : Frontier
        Its hull.
    dial : Dial, optional
        The dial of the fold, for settings without places of their own. Without it, their spends in training are used.
    """
    if tuned.places is not None:
        dial = Dial.of(frontier.spend, np.asarray(tuned.places, np.float64)[frontier.settings])
    return frontier.spend if dial is None else dial(frontier.spend)


Fit = Callable[[Rows, Rows, int], Tuned]
"""A function of training rows, held-out rows and a random seed that returns the figures of a training."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Accuracy and spend of every question when it was held out, mean over the seeds; (B, N) for B spends."""

    asked: Floats
    """(B,) the spends that were asked for."""
    spend: Floats
    """(B, N) accuracy of each question."""
    accuracy: Floats
    """(B, N) spend on each question."""


def tabled(spend: ArrayLike, accuracy: ArrayLike) -> Fit:
    """Return a family whose settings need no training except the choice among them.

    Parameters
    ----------
    spend, accuracy : array_like, (J, N)
        Spend and accuracy of each setting on each question.
    """
    x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)

    def fit(train: Rows, held: Rows, seed: int) -> Tuned:
        spend, reached = x[:, train].mean(axis=1), y[:, train].mean(axis=1)
        return Tuned(spend, reached, x[:, held], y[:, held], places=x.mean(axis=1))

    return fit


def held_out(
    fit: Fit, n: int, spends: Iterable[float], *, folds: int = 5, seeds: Iterable[int] = SEEDS, match: bool = True
) -> Held:
    """Return what a family reaches at given spends when it is tuned without the questions that score it.

    Parameters
    ----------
    fit : callable
        ``fit(training rows, held-out rows, seed) -> Tuned``; `tabled` makes one from a table.
    n : int
        Number of questions.
    spends : iterable of float
        Mean spends per question. A family that cannot spend as much, or gains nothing by it, spends less.
    folds : int
        Number of folds for each seed.
    seeds : iterable of int
        Each seed gives one split into folds.
    match : bool
        Whether the dial is turned until the real spend is as asked (see above). False: the spend in training is used.

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


def mixed(values: Floats, low: NDArray[np.intp], high: NDArray[np.intp], share: Floats) -> Floats:
    """Return what mixtures of two settings do on each question, (B, N); `values` is (J, N), the others (B,)."""
    kind = np.result_type(values, 1.0)
    return np.asarray((1 - share).astype(kind)[:, None] * values[low] + share.astype(kind)[:, None] * values[high])


def _nominal(parts: list[Any], n: int, asked: Floats) -> Floats:
    """Return the places on the dial at which the held-out questions of all folds together spend as asked."""
    nominal = np.unique(np.concatenate([frontier.spend for frontier, _, _ in parts]))
    real = np.zeros(len(nominal))
    for frontier, tuned, _ in parts:
        real += np.interp(nominal, frontier.spend, tuned.held_spend[frontier.settings].sum(axis=1)) / n
    return crossing(nominal, real, asked)


def crossing(nominal: Floats, real: Floats, asked: Floats) -> Floats:
    """Return the nominal spends at which the real spend is as asked.

    Parameters
    ----------
    nominal : ndarray, (M,)
        Nominal spends, rising.
    real : ndarray, (M,)
        The real spends there, linear in between. They need not rise: a setting that is more expensive on the training
        questions may be cheaper on others.
    asked : ndarray, (T,)
        The real spends that are wanted.

    Returns
    -------
    ndarray, (T,)
        The first crossing, in either direction. If no spend is high (low) enough, the place of the highest (lowest).

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.holdout.folds import crossing
    >>> crossing(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]), np.array([0.5, 2.5, 9.0])).tolist()
    [1.0, 1.75, 2.0]
    """
    least, most = float(real.min()), float(real.max())
    slack = SUMMED * max(abs(least), abs(most))
    # If the real spend stays the same over a range, take its end: it costs more only on the training questions.
    lowest, highest = nominal[int(real.argmin())], nominal[int(np.flatnonzero(real >= most - slack)[-1])]
    found = np.full(len(asked), lowest)
    if len(nominal) > 1:
        before, after = real[None, :-1], real[None, 1:]
        target = asked[:, None]
        met = ((before <= target) & (target < after)) | ((before > target) & (target >= after))
        at = met.argmax(axis=1)
        run = real[at + 1] - real[at]
        with np.errstate(over="ignore"):  # for a spend that is far beyond all others
            share = np.divide(asked - real[at], run, out=np.zeros(len(asked)), where=run != 0)
        found = nominal[at] + np.clip(share, 0.0, 1.0) * (nominal[at + 1] - nominal[at])
    return np.asarray(np.where(asked >= most - slack, highest, np.where(asked <= least, lowest, found)))

"""Figures: spends matched, intervals over questions, corrected p-values, curves.

What to use when
----------------
`Family`
    One contestant over all its folds: what it does at a spend, question by question.
`resampled`
    Intervals of many means at once, by a bootstrap over questions.
`half_width`
    How far an accuracy may be off, at most.
`saved`
    What a policy saves against a fixed action, with its interval.
`two_sided`, `holm`
    p-values of means, and their correction for how many there are.

Matching
--------
A family's settings are mixed so that the *held-out* questions of all folds together spend what was asked: one dial,
which all folds share, is turned until they do (`tcalloc.learn.holdout.folds.placed`). The accuracy so found depends on
the spends of the very questions: in a sample of expensive questions less is bought. To first order (delta method) it is
the mean of the *scores*

    accuracy_i - slope * (spend_i - spend),    slope = d accuracy / d spend at the match,

and these are what is resampled: intervals without the second term are as much as a fifth too wide or too narrow
(``bench/studies/compare_coverage.py`` measures it). A gain is the difference of the two scores, question by question.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._student import LEVEL, beyond, quantile
from tcalloc.evaluate.run_folds import Part
from tcalloc.evaluate.thresholds import CLOSE, WINDOW
from tcalloc.learn.holdout.folds import crossing

__all__ = [
    "At",
    "Family",
    "bootstrap",
    "dependence",
    "ends",
    "expansion",
    "first_reached",
    "half_width",
    "holm",
    "resampled",
    "saved",
    "two_sided",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Resamples of the questions: the ends of an interval then jitter by about a fiftieth of its width.
RESAMPLES = 2000
# How many of their weights are held at a time: 64 MB.
ROOM = 8_000_000
# Points of a curve.
POINTS = 32
# How many of a policy's own corners are drawn too; of a mixture all are.
CORNERS = 100


@dataclass(frozen=True, slots=True, eq=False)
class At:
    """What a family does at T spends."""

    spend: Floats
    """(T, N) on each question while it was held out."""
    accuracy: Floats
    """(T, N)."""
    slope: Floats
    """(T,) of accuracy in spend; 0 where the spend could not be matched."""
    reached: Bools
    """(T,) whether it could."""
    claimed: Floats
    """(T,) accuracy promised."""
    turned: Bools
    """(T,) whether the dial was turned to reach it. False: what it spends is what it happens to spend."""

    @property
    def scores(self) -> Floats:
        """(T, N) whose mean is the accuracy, and whose variation is that of the accuracy at a matched spend."""
        around = self.spend - self.spend.mean(axis=1, keepdims=True)
        return np.asarray(self.accuracy - self.slope[:, None] * around)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One contestant in all folds of one repeat."""

    parts: Sequence[Part]
    n: int
    matched: bool = True
    """False: the nominal spend is the one asked for, whatever is really spent."""
    means: list[tuple[float, Floats, Floats, Floats]] = field(init=False)
    """For each fold: its share of the questions, nominal spends, mean held-out spends and accuracies."""
    knots: tuple[Floats, Floats] = field(init=False)
    """The nominal spends of all folds' settings, rising, and what the held-out questions spend there."""

    def __post_init__(self) -> None:
        found = [(len(p.held) / self.n, p.nominal, p.spend.mean(axis=1), p.accuracy.mean(axis=1)) for p in self.parts]
        object.__setattr__(self, "means", found)
        knots = np.unique(np.concatenate([p.nominal for p in self.parts]))
        object.__setattr__(self, "knots", (knots, self._means(knots)[0]))

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most that it can really spend: the two ends of its dial, unless spends turn on the way."""
        return float(self.knots[1].min()), float(self.knots[1].max())

    def at(self, targets: ArrayLike) -> At:
        """Return what it does at mean spends, (T,): where it cannot spend so, at the nearest it can."""
        asked = np.asarray(targets, np.float64)
        nominal = self._nominal(asked)
        spend, accuracy = np.empty((len(asked), self.n)), np.empty((len(asked), self.n))
        claimed = np.zeros(len(asked))
        for part in self.parts:
            low, high, share = _places(part.nominal, nominal)
            for into, values in ((spend, part.spend), (accuracy, part.accuracy)):
                into[:, part.held] = (1 - share)[:, None] * values[low] + share[:, None] * values[high]
            claimed += len(part.held) * ((1 - share) * part.claimed[low] + share * part.claimed[high])
        reached = np.abs(spend.mean(axis=1) - asked) <= CLOSE * np.abs(asked)
        # Of a single setting there is no dial to turn, whatever it happens to spend.
        turned = reached & self.matched & (self.ends[1] > self.ends[0])
        slope = np.where(turned, self._slope(asked), 0.0)
        return At(spend, accuracy, slope, reached, claimed / self.n, turned)

    def _means(self, nominal: Floats) -> tuple[Floats, Floats]:
        """Return the mean held-out spend and accuracy at nominal spends."""
        spend, accuracy = np.zeros_like(nominal), np.zeros_like(nominal)
        for share, dial, spends, accuracies in self.means:
            spend += share * np.interp(nominal, dial, spends)
            accuracy += share * np.interp(nominal, dial, accuracies)
        return spend, accuracy

    def _nominal(self, asked: Floats) -> Floats:
        """Return the nominal spends at which the held-out questions spend so much, or come nearest to it."""
        # Between two settings of any fold everything is linear in the nominal spend: the crossing is exact.
        return crossing(*self.knots, asked) if self.matched else asked

    def _slope(self, asked: Floats) -> Floats:
        around = [self._means(self._nominal(asked * (1 + sign * WINDOW))) for sign in (-1, 1)]
        run, rise = around[1][0] - around[0][0], around[1][1] - around[0][1]
        enough = run > 1e-9 * np.maximum(np.abs(asked), 1e-300)
        return np.asarray(np.divide(rise, run, out=np.zeros_like(run), where=enough))

    def curve(self, low: float, also: Floats) -> Floats:
        """Return rising spends that it reaches, from `low` or the least of its own up, for a plot.

        Those of `also` are among them, and its own corners if they are not many: drawn between other points, a curve
        would cut them off.
        """
        least, most = self.ends if self.matched else (float(self.knots[0][0]), float(self.knots[0][-1]))
        if not most > least:
            return np.array([least])
        first = min(max(least, low), most)
        if first <= 0:
            return np.linspace(least, most, POINTS)
        corners = self.knots[1] if self.matched and len(self.knots[1]) <= CORNERS else np.zeros(0)
        more = np.concatenate([also, corners])
        more = more[(more >= first) & (more <= most)]
        return np.unique(np.concatenate([np.geomspace(first, most, POINTS).clip(first, most), more]))


def _places(settings: Floats, nominal: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Return two neighbouring settings and the second's share, as `Frontier.mix` does for one spend."""
    at = np.searchsorted(settings, nominal)
    high = np.clip(at, 0, len(settings) - 1)
    low = np.clip(at - 1, 0, len(settings) - 1)
    run = settings[high] - settings[low]
    share = np.divide(nominal - settings[low], run, out=np.zeros(len(at)), where=run > 0)
    return low, high, np.clip(share, 0.0, 1.0)


# ---------------------------------------------------------------------------------------------- over questions


def dependence(folds: int, learns: bool) -> float:
    """Return by how much the errors of gains are larger than those of the same number of independent questions.

    A fold's policy was trained on the other folds' questions: where it leans on what they happen to show, the folds'
    errors go together, and no cross-validation can tell by how much (Y. Bengio and Y. Grandvalet, "No Unbiased
    Estimator of the Variance of K-Fold Cross-Validation", JMLR 5 (2004)). For policies that learn, questions therefore
    count as (K - 1)/K each: no theorem, but about what ``bench/studies/compare_coverage.py`` measures. Rules that
    only choose among settings are not affected.
    """
    return math.sqrt(folds / (folds - 1)) if learns and folds > 1 else 1.0


def resampled(scores: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return 95 % intervals of the means of scores, (M, N), by a bootstrap over the N questions; see `ends`."""
    return ends(scores, bootstrap(scores, seed))


def bootstrap(scores: Floats, seed: int) -> Floats:
    """Return the means of scores, (M, N), in each resample of the N questions: (RESAMPLES, M).

    All rows share the resamples.
    """
    n = scores.shape[1]
    return np.asarray(np.concatenate([weights @ scores.T for weights in _weights(n, seed)]) / n)


def ends(scores: Floats, means: Floats, scale: float = 1.0) -> tuple[Floats, Floats]:
    """Return 95 % intervals of the means of scores, (M, N), from their means in each resample.

    Ends are percentiles, expanded about the mean by ``t / z · √(N / (N − 1))``, without which those of few questions
    are too close together (T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69
    (2015), section 3.4).

    Scores that are all alike say nothing of those not seen, so resampling them gives no interval. The interval then
    reaches `1 − 0.025^(1/N)` to both sides: the share of questions of which none would have been met. (0 alone stays 0
    where the caller compares a thing with itself; see `two_sided`.) It counts in units of `scale`, by how much scores
    can differ: 1 where they are shares.
    """
    rows, n = scores.shape
    mean = scores.mean(axis=1)
    if n < 2:
        return np.full(rows, -math.inf), np.full(rows, math.inf)
    tail = (1 - LEVEL) / 2
    wider = expansion(n)
    low, high = (mean + (end - mean) * wider for end in np.quantile(means, [tail, 1 - tail], axis=0))
    alike = np.ptp(scores, axis=1) <= 1e-12
    unseen = scale * (1 - tail ** (1 / n))
    # The mean is within its own interval, whatever rounding says.
    low = np.where(alike, mean - unseen, np.minimum(low, mean))
    return low, np.where(alike, mean + unseen, np.maximum(high, mean))


def expansion(n: int) -> float:
    """Return by how much percentiles of this number of questions are expanded; see `ends`."""
    return quantile(n - 1) / quantile(math.inf) * math.sqrt(n / (n - 1))


def half_width(accuracy: float, n: int) -> float:
    """Return half of the widest 95 % interval that an accuracy over n questions (at least 2) can have.

    Accuracies of single questions lie between 0 and 1; with the mean p their variance is p(1 - p) at most. Agresti
    and Coull's p keeps 0 and 1 from looking certain.
    """
    p = (n * accuracy + 2) / (n + 4)
    return quantile(n - 1) * math.sqrt(p * (1 - p) / (n - 1))


def first_reached(spend: Floats, curves: Floats, targets: Floats) -> Floats:
    """Return where curves (R, G) first reach their targets (R,), straight between their points; infinite: nowhere.

    The spends rise, (G,) of all curves or (R, G) of each.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.evaluate.statistics import first_reached
    >>> curve = np.array([0.5, 0.7, 0.8])
    >>> first_reached(np.array([1.0, 2.0, 4.0]), np.tile(curve, (3, 1)), np.array([0.4, 0.75, 0.9])).tolist()
    [1.0, 3.0, inf]
    """
    reached = curves >= targets[:, None]
    at = reached.argmax(axis=1)
    every, before = np.arange(len(curves)), np.maximum(at - 1, 0)
    low, high = curves[every, before], curves[every, at]
    share = np.divide(targets - low, high - low, out=np.ones(len(at)), where=(high > low) & (at > 0))
    spends = np.broadcast_to(spend, curves.shape)
    found = spends[every, before] + share * (spends[every, at] - spends[every, before])
    return np.asarray(np.where(reached.any(axis=1), np.where(at > 0, found, spends[:, 0]), np.inf))


def saved(
    spend: Floats,
    curve: Floats,
    curves: Floats,
    action: tuple[float, float],
    actions: tuple[Floats, Floats],
    wider: float,
) -> tuple[float, float, float]:
    """Return the share of a fixed action's cost that a policy saves at the same accuracy, with its 95 % interval.

    The policy's curve is (G,), and (RESAMPLES, G) in each resample of the questions. An action is its accuracy and
    cost: two numbers, and (RESAMPLES,) each. `wider` is by how much the interval is wider than that of independent
    questions (`dependence`, `expansion`). NaN: the policy does not reach that accuracy, or no such end can be had.
    """
    accuracy, cost = action
    needed = first_reached(spend, curve[None], np.array([accuracy]))[0]
    if not (math.isfinite(needed) and cost > 0):
        return (math.nan,) * 3
    share = 1 - needed / cost
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = 1 - first_reached(spend, curves, actions[0]) / actions[1]
    shares[np.isnan(shares)] = -math.inf
    tail = (1 - LEVEL) / 2
    # As an order statistic: where the accuracy is not reached in a resample, nothing is saved, whatever is spent.
    low, high = np.quantile(shares, [tail, 1 - tail], method="inverted_cdf")
    found = (share + wider * (end - share) if math.isfinite(end) else math.nan for end in (low, high))
    return share, *found


def _weights(n: int, seed: int) -> Iterator[Floats]:
    """Yield how often each question is in each resample, some resamples at a time."""
    rng = np.random.default_rng([seed, n])
    size = max(1, min(RESAMPLES, ROOM // n))
    for start in range(0, RESAMPLES, size):
        count = min(size, RESAMPLES - start)
        drawn = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def two_sided(scores: Floats, wider: float = 1.0) -> Floats:
    """Return p-values of "the mean is 0" for scores, (M, N): Student's t, and no less than signs alone could give.

    If only d of the questions differ from 0, their signs are all alike with chance 2^(1−d): more than that no number
    of questions says. 1 where none differs. Errors are `wider` than those of independent questions.
    """
    n = scores.shape[1]
    found = np.ones(len(scores))
    for m, row in enumerate(scores):
        differ = int(np.count_nonzero(np.abs(row) > 1e-12))
        if differ and n > 1:
            error = wider * float(row.std(ddof=1)) / math.sqrt(n)
            t = abs(float(row.mean())) / error if error > 0 else math.inf
            found[m] = max(beyond(t, n - 1), 2.0 ** (1 - differ))
    return np.minimum(found, 1.0)


def holm(p: Floats) -> Floats:
    """Return Holm's corrected p-values; NaN stays out.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
    """
    found = np.asarray(p, np.float64).copy()
    places = np.flatnonzero(np.isfinite(found))
    order = places[np.argsort(found[places], kind="stable")]
    times = found[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(times), 1.0)
    return found

"""Latent classes of questions, by how often each of several models is right on them.

A class is a kind at a level. A kind says how the models compare: in which order, and how far apart. A level says how
hard the question is, for all models alike: it adds to the log-odds of each. So models that differ nowhere need one kind
and several levels, and models that are each right on their own sort of question need several kinds. Kinds cost one rate
per model and levels one number, which keeps the models from differing by chance where they need not. All are fitted by
EM. How many there are is what explains held-out questions best.

A leaderboard may have hundreds of models. The `MANY` with the most samples then choose the classes. The other models'
rates follow from these, and a few last steps of EM look at all models.

References
----------
G. Rasch (1960), Probabilistic models for some intelligence and attainment tests. J. Rost (1990), Rasch models in latent
classes.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.shrink import ENOUGH

__all__ = ["Classes", "fit_classes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Numbers of kinds and of levels that are tried, steps of EM, and the pseudo-samples that smooth a class's rates.
KINDS, LEVELS, STEPS, SMOOTHING = (1, 2, 3, 4, 6, 8, 12), (1, 2, 4, 8), 40, 0.5
# Models that choose the classes, and the steps of EM with all models where there are more.
MANY, LAST_STEPS = 64, 10
# Steps end where no rate moves further than this.
SMALL = 1e-3
# Questions of a half that chooses the numbers; standard errors by which more kinds must explain the other half better.
CHOOSING, SURE = 600, 1.64


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Latent classes of questions: kinds times levels."""

    rates: Floats
    """(C, M) success rates of each model; the levels of a kind stand together."""
    shares: Floats
    """(C,) of the questions."""
    heights: Floats = field(default_factory=lambda: np.zeros(1))
    """(T,) what each level of a kind adds to the log-odds."""

    @property
    def levels(self) -> int:
        """How many levels each kind has."""
        return len(self.heights)

    def fit(self, right: Floats | Ints, drawn: Floats | Ints, models: slice = slice(None)) -> Floats:
        """Return the log-likelihood of the samples of some models, (N, M), under each class, (N, C)."""
        return _fit(self.rates[:, models], right[:, models], drawn[:, models], _same(drawn[:, models]))

    def chances(self, fit: Floats) -> Floats:
        """Return the chances of the classes, (N, C), from the log-likelihood of samples, (N, C)."""
        return _chances(fit, self.shares)


def fit_classes(right: Ints, drawn: Ints, seed: int = 0, structure: tuple[int, int] | None = None) -> Classes:
    """Return latent classes, fitted to the right samples and samples of each question and model, (N, M).

    `structure` holds the numbers of kinds and of levels; None: as many as explain held-out questions best.
    """
    rng = np.random.default_rng(seed)
    some = np.flatnonzero(drawn.sum(axis=1) > 0)
    if len(some) > ENOUGH:
        some = rng.choice(some, ENOUGH, replace=False)
    hits, size = right[some].astype(float), drawn[some].astype(float)
    if hits.shape[1] <= MANY:
        return _fitted(hits, size, structure, rng)
    few = rng.permutation(hits.shape[1])
    few = np.sort(few[np.argsort(-size.sum(axis=0)[few], kind="stable")[:MANY]])
    return _extended(_fitted(hits[:, few], size[:, few], structure, rng), few, hits, size)


def _fitted(hits: Floats, size: Floats, structure: tuple[int, int] | None, rng: np.random.Generator) -> Classes:
    """Return classes of these questions, as many as `structure` says or as explain held-out questions best."""
    if structure is not None:
        return _em(hits, size, *structure, rng)
    order = rng.permutation(len(hits))[: 2 * CHOOSING]
    hits, size, every = hits[order], size[order], (hits, size)
    halves = np.arange(len(order) // 2), np.arange(len(order) // 2, len(order))
    best, chosen, lost = np.full(len(hits), -np.inf), (1, 1), 0
    for kinds in KINDS:
        if 8 * kinds > len(hits):
            break
        found, levels = _best_levels(hits, size, halves, kinds, rng)
        gain = found - best
        # Levels alone have fewer rates, so more kinds must be clearly better.
        if kinds == 1 or gain.sum() > SURE * gain.std() * math.sqrt(len(gain)):
            best, chosen, lost = found, (kinds, levels), 0
        else:
            lost += 1
            if lost == 3:
                break
    return _em(*every, *chosen, rng)


def _best_levels(
    hits: Floats, size: Floats, halves: tuple[Ints, Ints], kinds: int, rng: np.random.Generator
) -> tuple[Floats, int]:
    """Return what the best number of levels for these kinds explains of held-out questions, and that number."""
    best, chosen = _held_out(hits, size, halves, kinds, 1, rng), 1
    for levels in LEVELS[1:]:
        if 8 * kinds * levels > len(hits):
            break
        found = _held_out(hits, size, halves, kinds, levels, rng)
        if found.sum() <= best.sum():
            break
        best, chosen = found, levels
    return best, chosen


def _held_out(
    hits: Floats, size: Floats, halves: tuple[Ints, Ints], kinds: int, levels: int, rng: np.random.Generator
) -> Floats:
    """Return each question's log-likelihood under the classes of the other half."""
    found = np.zeros(len(hits))
    for own, other in (halves, halves[::-1]):
        if len(own) and len(other):
            found[other] = _likelihood(_em(hits[own], size[own], kinds, levels, rng), hits[other], size[other])
    return found


def _likelihood(classes: Classes, hits: Floats, size: Floats) -> Floats:
    fit = classes.fit(hits, size) + np.log(classes.shares)
    top = fit.max(axis=1)
    return np.asarray(top + np.log(np.exp(fit - top[:, None]).sum(axis=1)))


def _em(hits: Floats, size: Floats, kinds: int, levels: int, rng: np.random.Generator) -> Classes:
    """Fit by EM from three starts: of each kind, a question that differs from those of the other kinds."""
    common = _common(hits, size)
    usual = np.log(common / (1 - common))
    if kinds * levels == 1:
        return Classes(common[None], np.ones(1))
    smooth = (hits + 2 * common) / (size + 2)
    logit = np.log(smooth / (1 - smooth)) - usual
    level = logit.mean(axis=1)
    height = np.quantile(level, (np.arange(levels) + 0.5) / levels) if levels > 1 else np.zeros(1)
    own = logit - level[:, None] if levels > 1 else logit
    found = []
    for _ in range(3):
        chosen = [int(rng.integers(len(hits)))]
        for _ in range(kinds - 1):
            distance = ((own[:, None] - own[chosen]) ** 2).sum(axis=2).min(axis=1) + 1e-9
            chosen.append(int(rng.choice(len(hits), p=distance / distance.sum())))
        found.append(_steps(hits, size, usual + own[chosen] if kinds > 1 else usual[None], height))
        if kinds == 1:
            break
    return max(found, key=lambda one: float(_likelihood(one, hits, size).sum()))


def _steps(
    hits: Floats, size: Floats, base: Floats, height: Floats, shares: Floats | None = None, steps: int = STEPS
) -> Classes:
    """Go on with EM from the kinds' logits (G, M), the levels' (T,) and the classes' shares, equal if not given."""
    count = len(base) * len(height)
    shares = np.full(count, 1 / count) if shares is None else shares
    common, same = _common(hits, size), _same(size)
    now = _rates(base, height)
    for _ in range(steps):
        chance = _chances(_fit(now.reshape(count, -1), hits, size, same), shares)
        shares = (chance.sum(axis=0) + 0.1) / (len(hits) + 0.1 * count)
        right, drawn = _counts(chance, hits, size, same, common, now.shape)
        # One step of Newton's method for the kinds, one for the levels, held back.
        base = base + _step(right, drawn, now, 1)
        before, now = now, _rates(base, height)
        if len(height) > 1:
            height = height + _step(right, drawn, now, (0, 2))
            now = _rates(base, height)
        if np.abs(now - before).max() < SMALL:
            break
    return Classes(now.reshape(count, -1), shares, height)


def _extended(found: Classes, few: Ints, hits: Floats, size: Floats) -> Classes:
    """Return classes that were fitted to a few models with the rates of all models, (N, M)."""
    chance = found.chances(found.fit(hits[:, few], size[:, few]))
    common = _common(hits, size)
    base = np.repeat(np.log(common / (1 - common))[None], len(found.shares) // found.levels, axis=0)
    now = _rates(base, found.heights)
    right, drawn = _counts(chance, hits, size, _same(size), common, now.shape)
    for _ in range(STEPS):
        base = base + _step(right, drawn, now, 1)
        before, now = now, _rates(base, found.heights)
        if np.abs(now - before).max() < SMALL:
            break
    return _steps(hits, size, base, found.heights, found.shares, LAST_STEPS)


def _common(hits: Floats, size: Floats) -> Floats:
    """Return the models' success rates over all questions, never 0 or 1."""
    return np.asarray((hits.sum(axis=0) + 0.5) / (size.sum(axis=0) + 1.0))


def _rates(base: Floats, height: Floats) -> Floats:
    """Return the success rates (G, T, M) of kinds' logits (G, M) at levels (T,)."""
    logit = base[:, None] + height[:, None]
    return np.asarray(1 / (1 + np.exp(-_within(logit, 8.0))))


def _within(values: Floats, most: float) -> Floats:
    """Return values from -most to most. np.clip takes ten times as long for a few values, and this is done often."""
    return np.asarray(np.minimum(np.maximum(values, -most), most))


def _fit(rates: Floats, hits: Floats | Ints, size: Floats | Ints, same: bool) -> Floats:
    """Return the log-likelihood of samples, (N, M), under classes of some rates, (N, C)."""
    wrong = np.log1p(-rates)
    found = hits @ (np.log(rates) - wrong).T
    if same:  # mostly; a product of matrices less
        return np.asarray(found + float(size.flat[0]) * wrong.sum(axis=1))
    return np.asarray(found + size @ wrong.T)


def _chances(fit: Floats, shares: Floats) -> Floats:
    fit = fit + np.log(shares)
    chance = np.exp(fit - fit.max(axis=1, keepdims=True))
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _counts(
    chance: Floats, hits: Floats, size: Floats, same: bool, common: Floats, shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Return the classes' right samples and samples of each model, smoothed, (G, T, M)."""
    drawn = np.outer(chance.sum(axis=0), size[0]) if same else chance.T @ size
    return (chance.T @ hits + SMOOTHING * common).reshape(shape), (drawn + SMOOTHING).reshape(shape)


def _same(size: Floats | Ints) -> bool:
    """Return whether every question has as many samples of every model."""
    return bool(size.size) and bool((size == size.flat[0]).all())


def _step(right: Floats, drawn: Floats, now: Floats, over: int | tuple[int, ...]) -> Floats:
    """Return a step of Newton's method for logits that have the rates `now`, summed over axes, held back."""
    expected = drawn * now
    gap, curve = (right - expected).sum(over), (expected * (1 - now)).sum(over)
    return _within(gap / np.maximum(curve, 1e-9), 1.0)

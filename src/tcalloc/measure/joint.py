"""Several models on the same questions: what the samples of one tell about another.

A question that large models get wrong is hard for small ones too; a question in French may be easy for one model alone.
So the questions belong to latent classes with one success rate per model, fitted to all models' counts (`classes.py`).
`Together` goes from there to estimates that may choose between models:

1. A class is coarse, so it does not replace what a model's own samples say, but changes where they start. Each model
   has, for each class, its own mixture of kinds of questions (those of `shrink.Mixture`). A question starts with the
   mixture of the classes that the *other* models' samples put it in. One class is the same as one model on its own.
2. Differences between models on one question are partly luck. Classes are fitted to half of the questions; each sample
   of the other half is left out once; the slope of what it was on what the others predict says what part to keep.
3. Means over questions are noisy too: the best of five equal models looks better than it is. The models' means are
   drawn towards each other, as far as their differences may be chance, by nonparametric empirical Bayes
   (`drawn_together`). Means that may be equal become equal; means that differ clearly stay.
4. Actions follow their model's success rate: the posterior over kinds is tilted until its mean is that rate.

A model with one sample per question has no mixture, since single outcomes do not tell how success rates scatter. It has
the classes' rates alone.

References
----------
J. Kiefer and J. Wolfowitz (1956), Consistency of the maximum likelihood estimator in the presence of infinitely many
incidental parameters. W. Jiang and C.-H. Zhang (2009), General maximum likelihood empirical Bayes estimation of normal
means.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.classes import Classes, fit_classes
from tcalloc.measure.estimates import success_errors
from tcalloc.measure.shrink import (
    CHUNK,
    ENOUGH,
    GRID,
    Mixture,
    binomial,
    column_means,
    drawn_together,
    matched,
    success_mixture,
)

__all__ = ["Together", "conditional_means", "conditional_weights", "evened"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Pseudo-questions with the mixture of all questions, which steady a class's own mixture; steps of its EM.
STEADY, MIXING_STEPS = 5.0, 60
# How far the success rates of kinds may be from that of a class to stand for it.
WIDTH = 0.04
# How far rates are moved to see how what actions reach depends on them.
STEP = 0.01
# Steps of the search that tilts a posterior to its mean, the largest tilt, and how near the mean must come.
TILTING, TILT, CLOSE = 60, 500.0, 1e-5
# Questions of a half whose samples are left out, and models of whom they are.
FEW, FEW_MODELS = 1000, 8


# ---------------------------------------------------------------------------------------------- one model's mixture


def conditional_weights(mixture: Mixture, chances: Floats) -> Floats:
    """Return each class's mixture of a model's kinds, (C, A), by EM.

    `chances` are those of the classes, (N, C), by the other models' samples.
    """
    n, count = chances.shape
    weights = np.repeat(mixture.weights[None], count, axis=0)
    if count == 1:
        return weights
    some = np.arange(n)
    if n > ENOUGH:
        some = np.random.default_rng(0).choice(n, ENOUGH, replace=False)
    # Questions with the same pattern stand together, so that their sums are those of stretches.
    order = some[np.argsort(mixture.which[some], kind="stable")]
    patterns, first, own = np.unique(mixture.which[order], return_index=True, return_inverse=True)
    chance, likelihood = chances[order], mixture.likelihood()[patterns]
    for _ in range(MIXING_STEPS):
        explained = (likelihood @ weights.T)[own]
        share = chance / np.maximum((chance * explained).sum(axis=1, keepdims=True), 1e-300)
        gathered = np.add.reduceat(share, first, axis=0)
        weights = weights * (gathered.T @ likelihood) + STEADY * mixture.weights
        weights /= weights.sum(axis=1, keepdims=True)
    return weights


def conditional_means(
    mixture: Mixture, chances: Floats, weights: Floats, levels: Floats, *, own: bool = True
) -> Floats:
    """Return posterior mean accuracies, (N, K), where each question starts with its classes' mixtures.

    Parameters
    ----------
    mixture, chances, weights
        As in `conditional_weights`, and what that returned. The mixture's last action is one sample.
    levels : ndarray, (N,)
        What one sample shall reach. The posterior over kinds is tilted exponentially until its mean does.
    own : bool
        Whether the model's own samples count; if not, `chances` must know them.
    """
    result = np.empty((len(chances), mixture.reached.shape[1]))
    rates = mixture.reached[:, -1]
    fit = np.log(np.maximum(mixture.likelihood(), 1e-300))
    for start in range(0, len(chances), CHUNK):
        part = slice(start, start + CHUNK)
        base = np.log(np.maximum(chances[part] @ weights, 1e-300))
        if own:
            base += fit[mixture.which[part]]
        tilt = _tilts(base, rates, np.clip(levels[part], 1e-4, 1 - 1e-4))
        chance = _tilted(base, rates, tilt)
        result[part] = chance @ mixture.reached
    return result


def _tilted(base: Floats, rates: Floats, tilt: Floats) -> Floats:
    """Return the chances of kinds, (N, A), from their logarithms plus a multiple of the kinds' rates."""
    chance = base + tilt[:, None] * rates
    chance -= chance.max(axis=1, keepdims=True)
    np.exp(chance, out=chance)
    chance /= chance.sum(axis=1, keepdims=True)
    return np.asarray(chance)


def _tilts(base: Floats, rates: Floats, target: Floats) -> Floats:
    """Return the multiples of the rates, (N,), with which the mean rate is the target, as far as `TILT` reaches."""
    tilts = np.zeros(len(base))
    # Targets out of reach get the largest tilt at once: the search would end there.
    lowest, highest = (_tilted(base, rates, np.full(len(base), end)) @ rates for end in (-TILT, TILT))
    under, over = target <= lowest + CLOSE, target >= highest - CLOSE
    tilts[under], tilts[over] = -TILT, TILT
    rows = np.flatnonzero(~under & ~over)
    tilt = np.zeros(len(rows))
    low, high, before = np.full(len(rows), -TILT), np.full(len(rows), TILT), np.full(len(rows), np.inf)
    for _ in range(TILTING):
        chance = _tilted(base[rows], rates, tilt)
        mean = chance @ rates
        gap = target[rows] - mean
        tilts[rows] = tilt
        low, high = np.where(gap > 0, tilt, low), np.where(gap > 0, high, tilt)
        newton = tilt + gap / np.maximum(chance @ rates**2 - mean**2, 1e-9)
        # Newton's step where it stays within the bracket and the last one halved the gap, else the middle.
        good = (newton > low) & (newton < high) & (np.abs(gap) < before / 2)
        tilt, before = np.where(good, newton, (low + high) / 2), np.where(good, np.abs(gap), np.inf)
        on = np.abs(gap) >= CLOSE
        if not on.any():
            break
        rows, tilt, before, low, high = rows[on], tilt[on], before[on], low[on], high[on]
    return tilts


def narrow(mixture: Mixture, rates: Floats) -> Floats:
    """Return mixtures (C, A) of those kinds of a model whose success rate is about that of a class, (C,)."""
    logs = np.log(np.maximum(mixture.weights, 1e-300)) - 0.5 * ((mixture.reached[:, -1] - rates[:, None]) / WIDTH) ** 2
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------------------------------------- levels


def evened(levels: Floats, errors: Floats, chances: Floats) -> Floats:
    """Return by how much the levels of models move, (N, M), when those of each class are drawn together.

    Levels and errors are each question's expected accuracy at one sample and the standard error of its own samples; NaN
    where a model has no samples. `chances` are those of the classes, (N, C), by all samples.
    """
    there = np.isfinite(levels)
    size = np.maximum(chances.T @ there, 1e-9)
    means = (chances.T @ np.where(there, levels, 0.0)) / size
    spread = np.sqrt((chances.T**2) @ np.where(there, errors, 0.0) ** 2) / size
    return np.asarray(chances @ (drawn_together(means, spread) - means))


# ---------------------------------------------------------------------------------------------- all of it


def _slopes(weights: Floats, values: Floats, predictors: Floats, models: Ints) -> Floats:
    """Return the slopes of values on predictors within models, each from 0 to 1, less where they may be 0."""
    for m in np.unique(models):
        own = models == m
        values[own] -= np.average(values[own], weights=weights[own])
        predictors[own] -= np.average(predictors[own], axis=0, weights=weights[own])
    noise = float(weights @ values**2) / float(weights.sum())
    square = (predictors * weights[:, None]).T @ predictors
    # A slope's prior has the standard deviation 1.
    half = np.clip(np.linalg.solve(square + noise * np.eye(2), predictors.T @ (weights * values)), 0.0, 1.0)
    # Of fits to half of the questions: those to all of them overfit half as much.
    return np.asarray(2 * half / (1 + half))


@dataclass(frozen=True, eq=False)
class Together:
    """The classes of questions that several models' samples have in common, with what each model says about them."""

    right: Ints
    drawn: Ints
    classes: Classes
    fit: Floats
    """(N, C) log-likelihood of all models' samples."""
    single: NDArray[np.bool_]
    """(M,) whether no question has two samples of the model."""
    errors: Floats
    """(N, M) standard errors of the models' shares of right samples."""
    weights: list[Floats | None]
    """Of each model, each class's mixture of success rates; None for single samples."""
    known: Floats | None = None
    """The `slopes`, where they are known from a fit to more samples; None: they are computed."""

    @classmethod
    def of(
        cls, right: Ints, drawn: Ints, structure: tuple[int, int] | None = None, known: Floats | None = None
    ) -> "Together":
        """Fit the classes to right samples and samples, (N, M); `structure` as in `fit_classes`."""
        classes = fit_classes(right, drawn, structure=structure)
        fit = classes.fit(right, drawn)
        errors = np.column_stack([success_errors(r, d, [1])[:, 0] for r, d in zip(right.T, drawn.T, strict=True)])
        single = drawn.max(axis=0) < 2
        weights = [
            None
            if alone
            else conditional_weights(
                success_mixture(right[:, m], drawn[:, m], [1]), _by_others(classes, fit, right, drawn, m)
            )
            for m, alone in enumerate(single)
        ]
        return cls(right, drawn, classes, fit, single, errors, weights, known)

    @property
    def structure(self) -> tuple[int, int]:
        """Numbers of kinds and of levels."""
        return len(self.classes.shares) // self.classes.levels, self.classes.levels

    @property
    def chances(self) -> Floats:
        """(N, C) of the classes, by all samples."""
        return self.classes.chances(self.fit)

    def means(self, m: int, mixture: Mixture | None, exact: Floats) -> Floats:
        """Return the posterior mean accuracies of a model's actions, (N, K), matched to their exact expectations.

        The last action is one sample. A model with one sample per question needs no mixture.
        """
        levels, shift = self.final[0][:, m], self.final[1][m]
        if mixture is None:
            found = np.repeat(levels[:, None], exact.shape[1], axis=1)
            return matched(found, exact, np.clip(column_means(exact) + shift, 0.0, 1.0))
        others = _by_others(self.classes, self.fit, self.right, self.drawn, m)
        own = conditional_weights(mixture, others)
        kept = float(self.slopes[1])
        by_class, steepness = self._by_class(m, mixture)
        expected = self.chances @ self.classes.rates[:, m]

        def at(level: Floats) -> Floats:
            # As far as own samples add nothing to the class, a question is as its class is.
            alike = self.chances @ by_class + (level - expected)[:, None] * (self.chances @ steepness)
            return kept * conditional_means(mixture, others, own, level) + (1 - kept) * np.clip(alike, 0.0, 1.0)

        found, moved = at(levels + shift), np.zeros(exact.shape[1])
        if abs(shift) > 1e-6:
            moved = column_means(found - at(levels))
        return matched(found, exact, np.clip(column_means(exact) + moved, 0.0, 1.0))

    def _by_class(self, m: int, mixture: Mixture) -> tuple[Floats, Floats]:
        """Return what a model's actions reach in each class, (C, K), and by how much more at a higher success rate."""
        rates = self.classes.rates[:, m]
        each = np.eye(len(rates))
        low, middle, high = (
            conditional_means(mixture, each, narrow(mixture, rates), rates + step, own=False)
            for step in (-STEP, 0.0, STEP)
        )
        return middle, (high - low) / (2 * STEP)

    @cached_property
    def final(self) -> tuple[Floats, Floats]:
        """Success rates (N, M) without luck, evened within classes; and how far each model's mean moves, (M,)."""
        there = self.drawn > 0
        levels = np.where(there, self._own_levels[1] - self.luck(), np.nan)
        count = np.maximum(there.sum(axis=0), 1)
        means = (np.where(there, self.right / np.maximum(self.drawn, 1), 0.0)).sum(axis=0) / count
        errors = np.sqrt((np.where(there, self.errors, 0.0) ** 2).sum(axis=0)) / count
        kinds = self.chances.reshape(len(levels), -1, self.classes.levels).sum(axis=2)
        levels = levels + evened(levels, self.errors, kinds)
        levels += means - column_means(levels)
        return np.clip(np.nan_to_num(levels), 0.0, 1.0), drawn_together(means, errors) - means

    @cached_property
    def _own_levels(self) -> tuple[Floats, Floats]:
        """The `levels` of the questions that were fitted."""
        return self.levels(self.right, self.drawn)

    def levels(self, right: Ints, drawn: Ints, models: Ints | None = None) -> tuple[Floats, Floats]:
        """Return success rates (N, M) of some models, by the questions' classes alone and with own samples too."""
        asked = range(right.shape[1]) if models is None else models.tolist()
        shared, own = np.empty((2, len(right), len(asked)))
        for start in range(0, len(right), CHUNK):
            part = slice(start, start + CHUNK)
            hits, size = right[part], drawn[part]
            fit = self.classes.fit(hits, size)
            shared[part] = own[part] = self.classes.chances(fit) @ self.classes.rates[:, asked]
            for at, m in enumerate(asked):
                weights = self.weights[m]
                if weights is not None:
                    others = _by_others(self.classes, fit, hits, size, m)
                    chance = (others @ weights) * binomial(hits[:, m], size[:, m])
                    own[part, at] = (chance @ GRID) / chance.sum(axis=1)
        return shared, own

    @cached_property
    def slopes(self) -> Floats:
        """What to keep, 0 to 1, of the two parts of differences between models on a question.

        Differences between models have two parts: those between the rates of a question's class, and those that each
        model's own samples add. Each is kept as far as it predicts samples that it was not computed from: classes are
        fitted to half of the questions, each sample of the other half is left out once, and the slope of what it was on
        what the others predict says what to keep.
        """
        if self.known is not None:
            return self.known
        if self.single.all():
            return np.ones(2)  # nothing can be left out
        order = np.random.default_rng(0).permutation(len(self.right))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        samples: list[tuple[Floats, ...]] = []
        for own, other in (halves, halves[::-1]):
            if (self.drawn[own].sum(axis=0) > 0).all():
                samples += Together.of(self.right[own], self.drawn[own], self.structure)._left_out(
                    self.right[other[:FEW]], self.drawn[other[:FEW]]
                )
        return _slopes(*map(np.concatenate, zip(*samples, strict=True))) if samples else np.ones(2)

    def luck(self) -> Floats:
        """Return what part of the differences between models on a question is luck, (N, M); to be subtracted."""
        # Means over questions are compared by `drawn_together`.
        parts = _differences(*self._own_levels, self.drawn)[:2]
        lost = [(1 - slope) * (part - column_means(part)) for slope, part in zip(self.slopes, parts, strict=True)]
        return np.asarray(np.nan_to_num(lost[0] + lost[1]))

    def _left_out(self, right: Ints, drawn: Ints) -> list[tuple[Floats, ...]]:
        """Return weights, values, the two predictors and the models of samples that are left out one at a time."""
        found: list[tuple[Floats, ...]] = []
        models = np.flatnonzero(drawn.max(axis=0, initial=0) > 1)
        compared = np.arange(drawn.shape[1])
        if len(compared) > FEW_MODELS:  # a few stand for all: each is compared with each
            rng = np.random.default_rng(0)
            models = np.sort(rng.permutation(models)[:FEW_MODELS])
            compared = np.union1d(models, rng.permutation(compared)[: FEW_MODELS - len(models)])
        for m in models.tolist():
            at = int(np.searchsorted(compared, m))
            for outcome in (0, 1):
                hits = right[:, m] if outcome else drawn[:, m] - right[:, m]
                rows = np.flatnonzero((hits > 0) & (drawn[:, m] > 1))
                less, size = right[rows].copy(), drawn[rows].copy()
                less[:, m] -= outcome
                size[:, m] -= 1
                shared, own, mean = _differences(*self.levels(less, size, compared), size[:, compared])
                predictors = np.column_stack([shared[:, at], own[:, at]])
                found.append((hits[rows] / drawn[rows, m], outcome - mean, predictors, np.full(len(rows), m)))
        return found


def _by_others(classes: Classes, fit: Floats, right: Ints, drawn: Ints, m: int) -> Floats:
    """Return the chances of the classes, (N, C), by the samples of all models but one; `fit` is that of all."""
    return classes.chances(fit - classes.fit(right, drawn, slice(m, m + 1)))


def _differences(shared: Floats, own: Floats, drawn: Ints) -> tuple[Floats, Floats, Floats]:
    """Return each model's difference from the mean, by classes (N, M) and by own samples (N, M); and the mean.

    `shared` and `own` are what `Together.levels` returns.
    """
    parts, means = [], []
    for part in (np.where(drawn > 0, shared, np.nan), np.where(drawn > 0, own - shared, np.nan)):
        mean = column_means(part.T)
        parts.append(part - mean[:, None])
        means.append(mean)
    return parts[0], parts[1], means[0] + means[1]

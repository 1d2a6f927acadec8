"""Against the winner's curse: estimates that may choose and still say what comes true.

Choosing the best of several noisy estimates per question takes the luckiest: the exact expectation, unbiased for every
action, then claims 1 to 6 points too much. A posterior mean does not: E[truth | data] is right whatever is chosen by
the data. So each question's estimate is drawn towards what questions have in common, by as much as its samples deserve.
Column means stay those of the exact expectation: what an action reaches for everyone is known far better.

(A) Votes: a tenth of (1), the rest of (2); their errors differ, and (1) assumes less. Not more of (1): the mean of two
    honest estimates that disagree spreads less than the truth, so its choices are worth more than it claims (a quarter
    of (1): up to .5 points more, where k comes near S and (1) has to go by smaller k).
    (1) `linear`. The deviation of a vote from one sample, dev[k] = U[k] − U[1], is shrunk towards its mean by w, the
        reliability of deviations: how well those from one half of the samples predict those from the other
        (Spearman-Brown). U[1] stays: its errors average out over questions, however the votes choose.
    (2) `vote_mixture`. Questions belong to latent classes, each with its shares of right answers, of the most
        frequent wrong one, of the rest and of silence: a mixture of multinomials, fitted by EM from the questions' own
        smoothed shares (nonparametric maximum likelihood, approximately). A question's estimate is the mean over
        classes, weighted by how well they explain its counts, of the class's vote accuracy. EM moves the classes'
        shares, not their weights alone: the questions' own shares scatter more than the truth does, by chance, and
        classes that stay there claim too much. A class's accuracy is half what its shares imply (too little where wrong
        answers vary: the most frequent of them is so by chance) and half the mean exact expectation of its members (too
        much: members are members by chance). How wrong answers split is evidence to the power `EVIDENCE` only: again,
        the most frequent is so by chance, and a multinomial would take that for a difference between questions.
(B) pass@k: (2) with one share, its mixing distribution on a grid, by EM from the beta distribution of the same mean and
    variance (`success_mixture`).
(C) Best of k by score: (1) alone, since nothing is known of how scores and right answers depend on each other.
(D) Several models: what the other models' samples tell about a question changes where its mixtures in (A) and (B)
    start; see `joint.py`. (C) is moved by as much as the model's level.

What was tried and is worse: see bench/README.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.estimates import beta_moments, distinct_counts
from tcalloc.measure.halves import halves
from tcalloc.measure.votes import Tally, independent_votes

__all__ = [
    "CHUNK",
    "ENOUGH",
    "GRID",
    "LINEAR",
    "Mixture",
    "binomial",
    "column_means",
    "drawn_together",
    "linear",
    "matched",
    "reliability",
    "success_mixture",
    "vote_mixture",
]

Floats = NDArray[np.float64]

# Latent classes at the start of EM, its steps, and the pseudo-samples that smooth a class's first shares. More classes
# or steps change claims by less than their noise.
CLASSES, STEPS, SMOOTHING = 120, 60, 1.0
# Questions that are fitted: a mixture gains nothing from more.
ENOUGH = 4000
# Of (1) in the estimate for votes.
LINEAR = 0.1
# The power of the likelihood of how wrong answers split: 1 claims up to .6 points too much at 8 samples, 0 (only right,
# wrong and silent) chooses worse where wrong answers gather on one.
EVIDENCE = 0.7
# Questions at a time.
CHUNK = 8192
# Random halvings of the samples for (1): the reliability's noise from them is below that over questions.
HALVINGS = 8
GRID = np.concatenate([[0.0], np.linspace(0.0025, 0.9975, 200), [1.0]])
GRID_STEPS = 200
# Differences between means are taken for chance up to this many of their standard errors; atoms and steps of the EM.
CAUTION, ATOMS, MEAN_STEPS = 1.3, 60, 400
# Steps of Newton's method that bring columns to their means.
MATCHING = 25


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A model's questions as a mixture of kinds: how well each kind explains a question, and what it reaches.

    Rows of `fit` are patterns of samples, not questions: many questions have the same.
    """

    fit: Floats
    """(P, A) log-likelihood of a pattern under each kind."""
    weights: Floats
    """(A,) how frequent a kind is among all questions."""
    reached: Floats
    """(A, K) accuracy of each action on a question of the kind."""
    which: NDArray[np.intp]
    """(N,) each question's pattern."""

    def likelihood(self, start: int = 0, stop: int | None = None) -> Floats:
        """Return the likelihood of patterns, the largest of each being 1."""
        fit = self.fit[start:stop]
        return np.asarray(np.exp(fit - fit.max(axis=1, keepdims=True)))

    def means(self) -> Floats:
        """Return the posterior mean accuracies of all questions, (N, K)."""
        result = np.empty((len(self.fit), self.reached.shape[1]))
        for start in range(0, len(self.fit), CHUNK):
            chance = self.likelihood(start, start + CHUNK) * self.weights
            result[start : start + CHUNK] = (chance / chance.sum(axis=1, keepdims=True)) @ self.reached
        return np.asarray(result[self.which])


# ---------------------------------------------------------------------------------------------- (1)


def reliability(estimate: Callable[[NDArray[np.intp]], Floats], drawn: NDArray[np.bool_]) -> float:
    """Return how well deviations from one half of the samples predict those from the other: a correlation, 0 to 1.

    `estimate` goes from the columns of a half (see `halves`) to the deviations (N, K), NaN where there are too few.
    Without variance the result is NaN.
    """
    rng = np.random.default_rng(0)
    together = apart = 0.0
    for _ in range(HALVINGS):
        a, b = (estimate(half) for half in halves(drawn, rng))
        both = np.isfinite(a) & np.isfinite(b)
        a, b = (np.where(both, x, 0.0) for x in (a, b))
        count = np.maximum(both.sum(axis=0), 1)
        a, b = (np.where(both, x - x.sum(axis=0) / count, 0.0) for x in (a, b))
        together += float((a * b).sum())
        apart += float((a * a).sum() + (b * b).sum()) / 2
    return float("nan") if apart == 0 else min(max(together / apart, 0.0), 1.0)


def linear(exact: Floats, base: Floats, halves: float, drawn: NDArray[np.bool_]) -> Floats:
    """Return base + mean deviation + w·(deviation − its mean), (N, K), w from the reliability of halves.

    The deviations are those of `exact` (NaN where there is no estimate) from `base`, the estimate for one sample. If
    `halves` is NaN, w is 1/2.
    """
    size = drawn.sum(axis=1)
    deviation = exact - base[:, None]
    mean = column_means(deviation)
    # Questions with more samples than others are more reliable: f is how many halves' worth of samples one has.
    f = size / max(float((size // 2).mean()), 0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        w = f * halves / (1 + (f - 1) * halves) if np.isfinite(halves) else np.full(len(size), 0.5)
    return np.asarray(base[:, None] + mean + np.clip(w, 0.0, 1.0)[:, None] * (deviation - mean))


def column_means(values: Floats) -> Floats:
    """Return the means of columns over the rows that have a value there."""
    there = np.isfinite(values)
    return np.asarray(np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))


# ---------------------------------------------------------------------------------------------- (2)


def vote_mixture(counts: Tally, exact: Floats, ks: Sequence[int], threads: int = 1) -> Mixture:
    """Return latent classes of questions, fitted to the counts of their answers.

    `exact` holds the exact expectations of votes over `ks` samples, (N, len(ks)); NaN where k is above S.
    """
    rng = np.random.default_rng(0)
    full = np.column_stack([counts.gold, counts.silent, counts.rivals]).astype(np.float64)
    # What distinguishes classes: right, silent, the most frequent wrong answer, the rest.
    narrow = np.column_stack([full[:, :3], full[:, 3:].sum(axis=1)])
    some = counts.which[counts.samples[counts.which] > 0]
    if len(some) > ENOUGH:
        some = rng.choice(some, ENOUGH, replace=False)
    frequency = np.bincount(some, minlength=len(full)).astype(np.float64)
    seen = np.flatnonzero(frequency)
    shares, weights, answers = _fit(narrow[seen], full[seen], frequency[seen], rng)
    modelled = independent_votes(answers[:, 0], answers[:, 1], answers[:, 2:], ks, threads)
    first = np.zeros(len(full), np.intp)
    first[counts.which] = np.arange(len(counts.which))
    members = frequency[seen, None] * _belonging(narrow[seen], shares, weights)
    reached = (modelled + _observed(members, exact[first[seen]], modelled)) / 2
    return Mixture(_log_likelihood(narrow, shares), weights, reached, counts.which)


def _observed(members: Floats, exact: Floats, otherwise: Floats) -> Floats:
    """Return the classes' means of the exact expectations, by membership; `otherwise` where no class has one."""
    there = np.isfinite(exact)
    size = members.T @ there
    total = members.T @ np.where(there, exact, 0.0)
    return np.asarray(np.where(size > 1e-9, total / np.maximum(size, 1e-9), otherwise))


def _fit(narrow: Floats, full: Floats, frequency: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Fit classes by EM; return their shares in the narrow categories, their weights, their shares of all answers."""
    samples = full.sum(axis=1)
    few = np.arange(len(full))
    if len(full) > CLASSES:
        few = rng.choice(len(full), CLASSES, replace=False, p=frequency / frequency.sum())
    common, common_full = (frequency @ (x / samples[:, None]) / frequency.sum() for x in (narrow, full))
    shares = (narrow[few] + SMOOTHING * common) / (samples[few] + SMOOTHING)[:, None]
    weights = frequency[few] / frequency[few].sum()
    for _ in range(STEPS):
        part = frequency[:, None] * _belonging(narrow, shares, weights)
        weights = part.sum(axis=0) / frequency.sum()
        drawn = part.T @ samples + 0.01  # a hundredth of a sample for classes without members
        shares = (part.T @ narrow + 0.01 * common) / drawn[:, None]
    return shares, weights, (part.T @ full + 0.01 * common_full) / drawn[:, None]


def _log_likelihood(narrow: Floats, shares: Floats) -> Floats:
    """Return how well classes explain patterns; columns of `narrow` from 2 are wrong answers."""
    shares = np.maximum(shares, 1e-12)
    wrong = np.log(shares[:, 2:].sum(axis=1, keepdims=True))
    logs = np.log(shares)
    logs[:, 2:] = wrong + EVIDENCE * (logs[:, 2:] - wrong)
    return np.asarray(narrow @ logs.T)


def _belonging(narrow: Floats, shares: Floats, weights: Floats) -> Floats:
    """Return the chances with which patterns belong to classes."""
    with np.errstate(divide="ignore"):
        fit = _log_likelihood(narrow, shares) + np.log(weights)
    fit -= fit.max(axis=1, keepdims=True)
    chance = np.exp(fit, out=fit)
    chance /= chance.sum(axis=1, keepdims=True)
    return np.asarray(chance)


def success_mixture(right: NDArray[np.int64], drawn: NDArray[np.int64], ks: Sequence[int]) -> Mixture:
    """Return a mixture of success rates of a grid, fitted to the questions' right samples and samples, (N,) each."""
    first, which = distinct_counts(right, drawn)
    kinds = np.column_stack([right, drawn])[first]
    frequency = np.where(kinds[:, 1] > 0, np.bincount(which), 0).astype(np.float64)
    fit = _log_binomial(kinds[:, 0], kinds[:, 1])
    weights = _first_guess(kinds[:, 0], kinds[:, 1], frequency)
    reached = np.column_stack([1.0 - (1.0 - GRID) ** k for k in ks])
    found = Mixture(fit, weights, reached, which)
    likelihood = found.likelihood()
    for _ in range(GRID_STEPS):
        part = likelihood * weights
        part /= part.sum(axis=1, keepdims=True)
        weights = frequency @ part / frequency.sum()
    return Mixture(fit, weights, reached, which)


def _log_binomial(right: NDArray[np.int64], drawn: NDArray[np.int64]) -> Floats:
    hits, misses = right[:, None].astype(np.float64), (drawn - right)[:, None].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0·log 0 is 0: no miss says nothing against a rate of 1.
        return np.where(hits > 0, hits * np.log(GRID), 0.0) + np.where(misses > 0, misses * np.log1p(-GRID), 0.0)


def binomial(right: NDArray[np.int64], drawn: NDArray[np.int64]) -> Floats:
    """Return the likelihood of counts (N,) under the rates of `GRID`, (N, rates), the largest of each being 1."""
    first, which = distinct_counts(right, drawn)
    fit = _log_binomial(right[first], drawn[first])
    return np.asarray(np.exp(fit - fit.max(axis=1, keepdims=True))[which])


def _first_guess(right: NDArray[np.int64], drawn: NDArray[np.int64], frequency: Floats) -> Floats:
    """Return the beta distribution of the rates' mean and variance, on the grid.

    From there EM has a short way, and stops before it fits chance: from a flat start, or run to its end, it gives a
    few isolated rates, whose ripples choose badly where there are five samples a question.
    """
    found = beta_moments(right, drawn, frequency)
    if found is None:  # single samples do not tell how rates scatter
        return np.full(len(GRID), 1 / len(GRID))
    a, b = (max(x, 0.02) for x in found)
    edges = np.concatenate([[0.0], (GRID[1:] + GRID[:-1]) / 2, [1.0]])
    inner = np.clip(GRID, 1e-3, 1 - 1e-3)
    density = inner ** (a - 1) * (1 - inner) ** (b - 1) * np.diff(edges)
    density[0], density[-1] = edges[1] ** a / a, (1 - edges[-2]) ** b / b
    return np.asarray(density / density.sum())


def matched(estimate: Floats, exact: Floats, target: Floats | None = None) -> Floats:
    """Shift columns to the exact expectation's means, or to `target`; leave out what that leaves out.

    Shifted are the logits: what is sure, 0 or 1, stays so, and what is doubtful moves most.
    """
    there = np.isfinite(exact)
    target = column_means(exact) if target is None else target
    sure = 1e-9
    estimate = np.clip(estimate, sure, 1 - sure)
    logits = np.log(estimate / (1 - estimate))
    shift = np.zeros(exact.shape[1])
    for _ in range(MATCHING):
        slope = column_means(np.where(there, estimate * (1 - estimate), np.nan))
        gap = target - column_means(np.where(there, estimate, np.nan))
        # Newton's steps, held back: from far off they would overshoot.
        shift += np.clip(gap / np.maximum(slope, sure), -1.0, 1.0)
        estimate = 1.0 / (1.0 + np.exp(-np.clip(logits + shift, -30.0, 30.0)))
        if np.abs(gap).max() < sure:
            break
    return np.where(there, estimate, np.nan)


def drawn_together(means: Floats, errors: Floats) -> Floats:
    """Return noisy means, drawn towards each other as far as their differences may be chance.

    Parameters
    ----------
    means, errors : ndarray, (..., M)
        The means and their standard errors. Each row stands alone.

    Returns
    -------
    ndarray, (..., M)
        Posterior means under the distribution of true means that explains the noisy ones best.

    Notes
    -----
    True means are looked for on a grid between the lowest and the highest one, and at each noisy mean. What should meet
    at 0.505 in the example meets at the nearest place of the grid.

    Examples
    --------
    >>> drawn_together(np.array([0.50, 0.51, 0.90]), np.full(3, 0.01)).round(3).tolist()
    [0.507, 0.507, 0.9]
    """
    errors = np.maximum(CAUTION * errors, 1e-9)
    low, high = means.min(axis=-1, keepdims=True), means.max(axis=-1, keepdims=True)
    common = (means / errors**2).sum(axis=-1, keepdims=True) / (errors**-2.0).sum(axis=-1, keepdims=True)
    own = means
    if means.shape[-1] > ATOMS:  # some of the means stand for all
        own = np.moveaxis(np.quantile(means, np.linspace(0, 1, ATOMS), axis=-1), 0, -1)
    atoms = np.sort(np.concatenate([low + (high - low) * np.linspace(0, 1, ATOMS), own, common], axis=-1), axis=-1)
    fit = np.exp(-0.5 * ((means[..., :, None] - atoms[..., None, :]) / errors[..., :, None]) ** 2)
    # An atom that is there twice counts once.
    weights = np.diff(atoms, axis=-1, prepend=-np.inf) > 0
    weights = weights / weights.sum(axis=-1, keepdims=True)
    for _ in range(MEAN_STEPS):
        # Each mean's share of an atom is fit · weight / its sum over atoms; an atom's new weight is the mean share.
        scale = 1 / (fit @ weights[..., None])
        last = weights
        weights = weights * (fit.swapaxes(-1, -2) @ scale)[..., 0] / means.shape[-1]
        if np.abs(weights - last).max(initial=0.0) < 1e-7:
            break
    part = fit * weights[..., None, :]
    return np.asarray((part @ atoms[..., :, None])[..., 0] / part.sum(axis=-1))

"""Unbiased estimates of what an action reaches, and how far they are from it by chance.

All are means over the k-subsets of a question's S samples, computed exactly: majority votes (`votes.py`), pass@k, and
the best of k by score. None exists for k > S: those cells are NaN.

Standard errors say how far fresh samples of the same question would scatter the estimate. None is 0: a question that
was answered right four times of four may be answered wrong the fifth time.

- pass@k has a closed form. Two k-subsets that share j samples all fail with probability q^(2k − j), where q is the
  question's rate of failures. Its powers are averaged over what the samples leave possible: a beta distribution with
  the mean and variance of all questions' rates, updated by the question's own samples. Where no question has two
  samples, the rates' variance is unknown and is taken for 0; this overstates the error, since p(1 − p) is concave.
- Votes and the best by score: the delete-one jackknife. (Deleting any one of c equal samples leaves the same counts, so
  a question needs as many evaluations as it has distinct answers.) Where k = S, no sample can be spared: such a cell
  has the error of k = S − 1. Where all samples agree, the jackknife is 0, and Hoeffding's bound on such means stands
  in: the variance is at most k/S of that of one subset's score, which is at most V(1 − V) for a mean score V between 0
  and 1. `tabulate` uses the same bound for votes where k is above S/2, since there the jackknife overstates.

References
----------
W. Hoeffding (1948), A class of statistics with asymptotically normal distribution.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.votes import Tally, pattern_votes, patterns_of

__all__ = [
    "best_by_score",
    "beta_moments",
    "distinct_counts",
    "jackknife_errors",
    "pass_at_k",
    "success_errors",
    "vote_errors",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _ratio(top: NDArray[np.int64], bottom: NDArray[np.int64], k: int) -> Floats:
    """Return C(top, k)/C(bottom, k), as a product that stays within the floats; NaN where k > bottom."""
    result = np.ones(np.broadcast_shapes(top.shape, bottom.shape))
    for j in range(k):
        result *= np.maximum(top - j, 0) / np.maximum(bottom - j, 1)
    return np.where(k <= bottom, result, np.nan)


def pass_at_k(right: Ints, drawn: Ints, ks: Sequence[int]) -> Floats:
    """Return 1 − C(S − c, k)/C(S, k), (N, len(ks)): how often at least one of k samples is right. NaN where k > S."""
    right, drawn = np.asarray(right, np.int64), np.asarray(drawn, np.int64)
    return np.column_stack([1.0 - _ratio(drawn - right, drawn, k) for k in ks])


def distinct_counts(right: Ints, drawn: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return a question for each distinct pair of counts, and each question's number among these."""
    _, first, which = np.unique(right * (int(drawn.max(initial=0)) + 1) + drawn, return_index=True, return_inverse=True)
    return first, which.reshape(-1)


def beta_moments(right: Ints, drawn: Ints, frequency: Floats | None = None) -> tuple[float, float] | None:
    """Return the parameters (a, b) of the beta distribution with the mean and variance of the questions' success rates.

    `frequency` says how often each question counts (None: once). The result is None if no question has two samples:
    single samples do not tell how rates scatter.
    """
    weight = np.where(drawn > 0, 1.0 if frequency is None else frequency, 0.0)
    several = drawn > 1
    if not (several & (weight > 0)).any():
        return None
    mean = float(weight @ (right / np.maximum(drawn, 1)) / weight.sum())
    # c(c − 1)/S(S − 1) is unbiased for the square of a rate.
    pairs = right[several] * (right[several] - 1) / (drawn[several] * (drawn[several] - 1))
    square = float(weight[several] @ pairs / weight[several].sum())
    spread = max(square - mean**2, 1e-6)
    total = min(max(mean * (1 - mean) / spread - 1, 0.05), 200.0)
    return mean * total, (1 - mean) * total


def _beta_posteriors(right: Ints, drawn: Ints) -> tuple[Floats, Floats]:
    """Return each question's beta distribution of its success rate, given its samples."""
    # Half a right and half a wrong question beside those recorded: no rate is sure to be 0 or 1.
    there = drawn > 0
    mean = (float((right[there] / drawn[there]).sum()) + 0.5) / (int(there.sum()) + 1.0)
    found = beta_moments(right, drawn)
    total = 1e6 if found is None else sum(found)
    total = max(total, 0.5)
    return np.asarray(mean * total + right, np.float64), np.asarray((1 - mean) * total + (drawn - right), np.float64)


def success_errors(right: Ints, drawn: Ints, ks: Sequence[int]) -> Floats:
    """Return the standard errors of `pass_at_k`, (N, len(ks)); NaN where k > S."""
    right, drawn = np.asarray(right, np.int64), np.asarray(drawn, np.int64)
    first, which = distinct_counts(right, drawn)
    kinds = np.column_stack([right, drawn])[first]
    a, b = (part[first, None] for part in _beta_posteriors(right, drawn))
    most = 2 * max(ks)
    # E[q^t] of q ~ Beta(b, a), for t = 0, 1, …, 2k: a product of ratios.
    steps = np.arange(most)
    powers = np.cumprod(np.column_stack([np.ones(len(kinds)), (b + steps) / (a + b + steps)]), axis=1)
    result = np.full((len(kinds), len(ks)), np.nan)
    for q, k in enumerate(ks):
        for s in np.unique(kinds[:, 1][kinds[:, 1] >= k]).tolist():
            at = kinds[:, 1] == s
            # Two k-subsets share j samples with these chances.
            share = np.array([math.comb(k, j) * math.comb(s - k, k - j) / math.comb(s, k) for j in range(k + 1)])
            variance = powers[at][:, 2 * k - np.arange(k + 1)] @ share - powers[at, 2 * k]
            result[at, q] = np.sqrt(np.maximum(variance, 0.0))
    return result[which]


def _never_zero(jackknife: Floats, value: Floats, right: Ints, drawn: Ints, ks: Sequence[int]) -> Floats:
    """Return the jackknife's variances, with Hoeffding's bound where they are 0 and the closed form for k = 1."""
    a, b = _beta_posteriors(right, drawn)
    size = drawn[:, None].astype(float)
    # The estimate and one more sample, which is right as often as the question's samples lead to expect.
    mean = (size * value + (a / (a + b))[:, None]) / (size + 1)
    bound = np.asarray(ks) / np.maximum(size, 1) * mean * (1 - mean)
    one = success_errors(right, drawn, [1]) ** 2
    return np.where(np.asarray(ks) == 1, one, np.where(jackknife > 0, jackknife, bound))


def best_by_score(correct: NDArray[np.bool_], scores: Floats, drawn: NDArray[np.bool_], ks: Sequence[int]) -> Floats:
    """Return the expected correctness of the highest-scored of k samples, (N, len(ks)); NaN where k > S.

    Equal scores are equally likely to be taken; a sample without a score (NaN) ranks below all others.
    """
    n, width = correct.shape
    worth = np.where(drawn, np.where(np.isnan(scores), -np.inf, scores), np.nan)
    order = np.argsort(-worth, axis=1, kind="stable")  # what was not drawn (NaN) goes last
    ranked = np.take_along_axis(worth, order, axis=1)
    right = np.take_along_axis(correct & drawn, order, axis=1).astype(float)
    size = drawn.sum(axis=1)
    # Groups of equal scores: each sample stands for the mean of its group.
    run = np.zeros((n, width), np.int64)
    np.cumsum(ranked[:, 1:] != ranked[:, :-1], axis=1, out=run[:, 1:])
    cell = (run + width * np.arange(n)[:, None]).reshape(-1)
    mean = np.bincount(cell, right.reshape(-1), n * width) / np.maximum(np.bincount(cell, minlength=n * width), 1)
    right = mean[cell].reshape(n, width)
    rank = np.arange(width)
    columns = []
    for k in ks:
        # The top of a k-subset has rank r with chance C(S − 1 − r, k − 1)/C(S, k): k/S for r = 0, then a ratio.
        below = np.maximum(size[:, None] - 1 - rank, 0)
        ratio = np.maximum(below[:, :-1] - k + 1, 0) / np.maximum(below[:, :-1], 1)
        chance = np.cumprod(np.column_stack([k / np.maximum(size, 1), ratio]), axis=1)
        columns.append(np.where(size >= k, (np.where(rank < size[:, None], chance, 0.0) * right).sum(axis=1), np.nan))
    return np.column_stack(columns)


def jackknife_errors(
    estimate: Callable[[NDArray[np.bool_], Sequence[int]], Floats],
    right: Ints,
    drawn: NDArray[np.bool_],
    ks: Sequence[int],
) -> Floats:
    """Return the standard errors of an estimate by the delete-one jackknife, (N, len(ks)); NaN where k > S.

    `estimate` goes from the samples that are kept, (N, S) of bool, and some ks to the estimates, (N, len(ks)). `right`
    are the numbers of right samples, (N,), `drawn` says which samples there are, (N, S).
    """
    size = drawn.sum(axis=1)
    total, squares = np.zeros((2, len(size), len(ks)))
    for j in range(drawn.shape[1]):
        kept = drawn.copy()
        kept[:, j] = False
        value = np.asarray(estimate(kept, ks))
        for q, k in enumerate(ks):
            short = np.flatnonzero(size == k)
            if len(short):  # no sample can be spared
                value[short, q] = estimate(kept, [max(k - 1, 1)])[short, 0]
        value = np.where(drawn[:, j, None], value, 0.0)
        total += value
        squares += value**2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(squares - total**2 / size[:, None], 0.0)
        spread *= (size[:, None] - 1) / size[:, None]
    return np.sqrt(_never_zero(spread, estimate(drawn, ks), right, size, ks))


def vote_errors(counts: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
    """Return the standard errors of a vote over k samples, per question (N, len(ks)); NaN where k > S."""
    samples = counts.samples
    table = np.column_stack([counts.gold, counts.silent, counts.rivals])
    rows, columns = np.nonzero(table)
    multiplicity = table[rows, columns].astype(float)
    deleted = table[rows]
    deleted[np.arange(len(rows)), columns] -= 1
    deleted[:, 2:] = -np.sort(-deleted[:, 2:], axis=1)
    less = patterns_of(deleted)
    wider = sorted({*ks, *(k - 1 for k in ks if k > 1 and (samples == k).any())})
    value = pattern_votes(less, wider, threads)[less.which]
    result = np.empty((len(samples), len(ks)))
    size = np.maximum(samples, 1)
    for q, k in enumerate(ks):
        x = value[:, wider.index(k)].copy()
        short = samples[rows] == k
        if short.any() and k > 1:
            x[short] = value[short, wider.index(k - 1)]
        x[samples[rows] < k] = 0.0  # not available: said below
        mean = np.bincount(rows, multiplicity * x, len(samples)) / size
        spread = np.bincount(rows, multiplicity * (x - mean[rows]) ** 2, len(samples))
        result[:, q] = spread * np.maximum(samples - 1, 0) / size
    which = counts.which
    right, drawn = counts.gold[which].astype(np.int64), samples[which].astype(np.int64)
    return np.sqrt(_never_zero(result[which], pattern_votes(counts, ks, threads)[which], right, drawn, ks))

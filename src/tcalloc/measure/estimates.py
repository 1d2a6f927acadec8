"""Unbiased estimates of what an action reaches, and how far they are from it by chance.

All are means over the k-subsets of a question's S samples, computed exactly: majority votes (`votes.py`), pass@k, and
the best of k by score. None exists for k > S: those cells are NaN.

Standard errors are those of fresh samples of the same question: delete-one jackknife. (Deleting any one of c equal
samples leaves the same counts, so a question needs as many evaluations as it has distinct answers.) Where k = S, no
sample can be spared: such a cell has the error of k = S − 1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.votes import Tally, binomials, pattern_votes, patterns_of

__all__ = ["best_by_score", "pass_at_k", "score_errors", "success_errors", "vote_errors"]

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


def success_errors(right: Ints, drawn: Ints, ks: Sequence[int]) -> Floats:
    """Return the jackknife's standard errors of `pass_at_k`; NaN where k > S or S = 1."""
    right, drawn = np.asarray(right, np.int64), np.asarray(drawn, np.int64)
    result = np.empty((len(right), len(ks)))
    for q, k in enumerate(ks):
        spared = np.minimum(k, drawn - 1)  # differs between questions where samples are ragged
        for j in np.unique(spared):
            at = np.flatnonzero(spared == j)
            if j < 1:
                result[at, q] = np.nan
                continue
            c, s = right[at], drawn[at]
            less = pass_at_k(np.maximum(c - 1, 0), s - 1, [int(j)])[:, 0]
            same = pass_at_k(np.minimum(c, s - 1), s - 1, [int(j)])[:, 0]
            # c deletions of one kind, S − c of the other: their variance in closed form.
            result[at, q] = np.sqrt((s - 1) * (c / s) * (1 - c / s)) * np.abs(same - less)
        result[drawn < k, q] = np.nan
    return result


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
    choose = binomials(width, max(ks))
    columns = []
    for k in ks:
        # The top of a k-subset has rank r with chance C(S − 1 − r, k − 1)/C(S, k).
        below = size[:, None] - 1 - rank
        chance = np.where(below >= 0, choose[np.maximum(below, 0), k - 1], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.append(np.where(size >= k, (chance * right).sum(axis=1) / choose[size, k], np.nan))
    return np.column_stack(columns)


def score_errors(correct: NDArray[np.bool_], scores: Floats, drawn: NDArray[np.bool_], ks: Sequence[int]) -> Floats:
    """Return the jackknife's standard errors of `best_by_score`; NaN where k > S or S = 1."""
    size = drawn.sum(axis=1)
    total, squares = np.zeros((2, len(size), len(ks)))
    for j in range(drawn.shape[1]):
        kept = drawn.copy()
        kept[:, j] = False
        value = _largest(lambda some, kept=kept: best_by_score(correct, scores, kept, some), size, ks)
        value = np.where(drawn[:, j, None], value, 0.0)
        total += value
        squares += value**2
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(squares - total**2 / size[:, None], 0.0)
        error = np.sqrt(spread * (size[:, None] - 1) / size[:, None])
    return np.where((size[:, None] >= np.asarray(ks)) & (size[:, None] > 1), error, np.nan)


def _largest(estimate, size: Ints, ks: Sequence[int]) -> Floats:  # type: ignore[no-untyped-def]
    """Return the estimates from one sample less, with k = S − 1 for k = S."""
    value = np.asarray(estimate(ks))
    for q, k in enumerate(ks):
        short = np.flatnonzero(size == k)
        if len(short):
            value[short, q] = estimate([max(k - 1, 1)])[short, 0]
    return value


def vote_errors(counts: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
    """Return the jackknife's standard errors of a vote over k samples, per pattern (P, len(ks)); NaN where k > S."""
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
        result[:, q] = np.sqrt(spread * np.maximum(samples - 1, 0) / size)
        result[(samples < k) | (samples < 2), q] = np.nan
    return result

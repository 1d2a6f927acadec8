"""How often a majority vote over k of S recorded samples is right: the exact expectation, no drawing.

The votes of k samples drawn without replacement are multivariate hypergeometric: of the C(S, k) subsets, those with
n_a votes for answer a number Π C(count_a, n_a). `vote_accuracy` adds up, for each number g of gold votes, the
subsets in which no other answer (a rival) has more than g, by a dynamic programme over the rivals whose state is
(samples used, rivals that tie with gold). Its work is polynomial, and it counts in whole numbers: where C(S, k) is
below 2⁵³, equal chances come out as equal floats, so that ties between actions stay ties.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError

__all__ = ["vote_accuracy"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def vote_accuracy(answers: ArrayLike, k: int) -> Floats:
    """Return the expected accuracy of a majority vote over k of each question's samples.

    The mean over all k-subsets of the question's S samples (drawn without replacement) of the vote's score: 1 if the
    gold answer has the most votes, 1/(1 + t) if t other answers tie with it at the top, 0 otherwise. A sample without
    an answer does not vote; where nothing voted the score is 0.

    Parameters
    ----------
    answers : array_like of int, (N, S)
        Answer codes, one row per question, one column per sample: 0 the gold answer, 1, 2, … the other distinct
        answers of that question, −1 no answer. A table of right and wrong is not enough: how the wrong answers
        split decides the vote.
    k : int
        Samples that vote, 1 ≤ k ≤ S.

    Returns
    -------
    ndarray of float64, (N,)
        One expectation per question.

    Raises
    ------
    InputError
        If `answers` is not such a table, or if k exceeds S: more samples than were drawn have no unbiased estimate.

    Notes
    -----
    Ties are split evenly, so two samples vote no better than one wherever every sample has an answer.

    Examples
    --------
    Two right samples, one wrong; and one right against two that disagree:

    >>> from tcalloc.measure import vote_accuracy
    >>> vote_accuracy([[0, 0, 1], [0, 1, 2]], k=3).round(3).tolist()
    [1.0, 0.333]
    """
    codes, votes = _check(answers, k)
    choose = _binomials(codes.shape[1], votes)
    everything = choose[codes.shape[1], votes]
    if not np.isfinite(choose).all():
        raise InputError(
            f"k is {votes} of {codes.shape[1]} samples: the number of subsets does not fit a float. "
            "Use at most 1029 of the samples, or a smaller k."
        )
    # Few count patterns are distinct: many questions are answered always right, or in the same way.
    patterns, which = np.unique(_tally(codes), axis=0, return_inverse=True)
    gold, silent, rivals = patterns[:, 0], patterns[:, 1], patterns[:, 2:]
    won = np.zeros(len(patterns))
    for g in range(1, votes + 1):
        rows = np.flatnonzero(gold >= g)
        if len(rows):
            won[rows] += choose[gold[rows], g] * _unbeaten(silent[rows], rivals[rows], g, votes - g, choose)
    return np.asarray((won / everything)[which.reshape(-1)])


def _check(answers: Any, k: Any) -> tuple[Counts, int]:
    """Refuse what is not a table of answer codes, or not a number of its samples."""
    try:
        codes = np.asarray(answers)
    except (ValueError, TypeError) as error:
        raise InputError(f"answers cannot be made an array of shape (N, S): {error}") from error
    if codes.ndim != 2:
        raise InputError(
            f"answers has shape {codes.shape}; expected (N, S): one row per question, one column per sample."
        )
    if 0 in codes.shape:
        raise InputError(f"answers has shape {codes.shape}: an empty table. At least one question and one sample.")
    if codes.dtype.kind not in "iu":
        raise InputError(
            f"answers has dtype {codes.dtype}; expected integer codes: 0 the gold answer, 1, 2, … the other distinct "
            "answers of the question, -1 no answer."
        )
    if (codes < -1).any():
        row, column = np.argwhere(codes < -1)[0].tolist()
        raise InputError(
            f"answers[{row}, {column}] is {codes[row, column]}; allowed are -1 (no answer), 0 (gold) and above."
        )
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise InputError(f"k is {k!r}; expected a whole number of samples, at least 1.")
    if k > codes.shape[1]:
        raise InputError(
            f"k is {k}, but answers has only {codes.shape[1]} samples per question: a vote over more samples than were "
            "drawn cannot be estimated. Draw more, or use a smaller k."
        )
    return codes, int(k)


def _binomials(n: int, k: int) -> Floats:
    """Return C(i, j) for i up to n, j up to k, by Pascal's triangle; inf where a float ends."""
    table = np.zeros((n + 1, k + 1))
    table[:, 0] = 1.0
    with np.errstate(over="ignore"):
        for i in range(1, n + 1):
            table[i, 1:] = table[i - 1, 1:] + table[i - 1, :-1]
    return table


def _tally(codes: Counts) -> Counts:
    """Count each row's votes: gold, none, then its other answers in descending order."""
    n, s = codes.shape
    ordered = np.sort(codes, axis=1)
    run = np.zeros((n, s), np.int64)  # equal answers stand together: number the runs
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=run[:, 1:])
    cell = run + s * np.arange(n)[:, None]
    others = np.bincount(cell[ordered > 0], minlength=n * s).reshape(n, s)
    others = -np.sort(-others, axis=1)
    most = int((others > 0).sum(axis=1).max())
    return np.column_stack([(codes == 0).sum(axis=1), (codes == -1).sum(axis=1), others[:, :most]])


def _unbeaten(silent: Counts, rivals: Counts, g: int, room: int, choose: Floats) -> Floats:
    """Return the subsets of `room` samples, gold's aside, in which no rival has more than g; ties at g count a part.

    ``ways[i, n, t]`` are the subsets of n samples among the answers met so far in which t rivals have exactly g votes.
    """
    ties = room // g
    ways = np.zeros((len(silent), room + 1, ties + 1))
    ways[:, :, 0] = choose[silent, : room + 1]  # samples without an answer: any number of them
    for count in rivals.T:
        rows = np.flatnonzero(count)
        before, after = ways[rows], np.zeros((len(rows), room + 1, ties + 1))
        for n in range(min(g, room, int(count.max())) + 1):
            drawn = choose[count[rows], n, None, None] * before[:, : room + 1 - n]
            if n < g:
                after[:, n:] += drawn
            else:
                after[:, n:, 1:] += drawn[:, :, :-1]
        ways[rows] = after
    return np.asarray(ways[:, room] @ (1.0 / np.arange(1, ties + 2)))

"""How often a majority vote over k of S recorded samples is right: the exact expectation, no drawing.

The votes of k samples drawn without replacement are multivariate hypergeometric: of the C(S, k) subsets, those with
n_a votes for answer a number Π C(count_a, n_a). The kernel (`_votes.pyx`; in plain NumPy: `_reference_votes.py`) adds
up, for each number g of gold votes, the subsets in which no other answer (a rival) has more than g, by a dynamic
programme over the rivals. Its work is polynomial, and it counts in whole numbers: where C(S, k) is below 2⁵³, equal
chances come out as equal floats, so that ties between actions stay ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import whole
from tcalloc._counts import counted
from tcalloc._kernel import votes_kernel
from tcalloc._threads import each
from tcalloc.errors import InputError

__all__ = [
    "Tally",
    "binomials",
    "expected_votes",
    "independent_votes",
    "pattern_votes",
    "patterns_of",
    "tally",
    "vote_accuracy",
]

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

# Rows per task of a thread: some milliseconds.
CHUNK = 4096


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
    return np.asarray(expected_votes(tally(codes), [votes])[:, 0])


def _check(answers: Any, k: Any) -> tuple[NDArray[Any], int]:
    """Refuse what is not a table of answer codes, or not a number of its samples."""
    try:
        codes = np.asarray(answers)
    except (ValueError, TypeError) as error:
        raise InputError(f"answers cannot be converted to an array of shape (N, S): {error}") from error
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
    whole("k", k, 1, of="samples")
    if k > codes.shape[1]:
        raise InputError(
            f"k is {k}, but answers has only {counted(codes.shape[1], 'sample')} per question: a vote over more "
            "samples than were drawn cannot be estimated. Draw more, or use a smaller k."
        )
    return codes, int(k)


# ---------------------------------------------------------------------------------------------- counts


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What a vote depends on: how often each answer was given. One row per distinct pattern, not per question.

    Few patterns are distinct: many questions are answered always right, or in the same way.
    """

    gold: Counts
    """(P,) right votes."""
    silent: Counts
    """(P,) samples without an answer."""
    rivals: Counts
    """(P, R) votes of the other answers, descending, filled up with 0."""
    which: NDArray[np.intp]
    """(N,) each question's pattern."""

    @property
    def samples(self) -> Counts:
        """(P,) samples of a pattern."""
        return np.asarray(self.gold + self.silent + self.rivals.sum(axis=1, dtype=np.int32), np.int32)

    @property
    def frequency(self) -> NDArray[np.intp]:
        """(P,) questions that have a pattern."""
        return np.bincount(self.which, minlength=len(self.gold))


def tally(codes: NDArray[Any]) -> Tally:
    """Count each question's answers. Codes below −1 are samples that were not drawn."""
    n, s = codes.shape
    ordered = np.sort(codes, axis=1)
    run = np.zeros((n, s), np.int64)  # equal answers stand together: number the runs
    np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1, out=run[:, 1:])
    run += s * np.arange(n)[:, None]
    others = np.bincount(run[ordered > 0], minlength=n * s).reshape(n, s)
    most = max(1, int((others > 0).sum(axis=1).max(initial=0)))
    others = -np.sort(-others, axis=1)[:, :most]
    return patterns_of(np.column_stack([(codes == 0).sum(axis=1), (codes == -1).sum(axis=1), others]))


def patterns_of(counts: NDArray[Any]) -> Tally:
    """Make a tally of rows that hold gold, silent and the rivals' counts in descending order."""
    rows = np.ascontiguousarray(counts, np.int16 if counts.max(initial=0) < 2**15 else np.int32)
    # One opaque item per row: sorting those is several times faster than np.unique(axis=0).
    _, first, which = np.unique(
        rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1),
        return_index=True,
        return_inverse=True,
    )
    kept = rows[first].astype(np.int32)
    return Tally(
        np.ascontiguousarray(kept[:, 0]),
        np.ascontiguousarray(kept[:, 1]),
        np.ascontiguousarray(kept[:, 2:]),
        which.reshape(-1),
    )


def binomials(n: int, k: int) -> Floats:
    """Return C(i, j) for i up to n, j up to k, by Pascal's triangle; inf where a float ends."""
    table = np.zeros((n + 1, k + 1))
    table[:, 0] = 1.0
    with np.errstate(over="ignore"):
        for i in range(1, n + 1):
            table[i, 1:] = table[i - 1, 1:] + table[i - 1, :-1]
    return table


# ---------------------------------------------------------------------------------------------- expectations


def expected_votes(counts: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
    """Return the accuracy of a vote over each k of `ks` without replacement, (N, len(ks)); NaN where k is above S."""
    return np.asarray(pattern_votes(counts, ks, threads)[counts.which])


def pattern_votes(counts: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
    """Return the same per pattern, (P, len(ks))."""
    most, top = int(counts.samples.max(initial=0)), max(ks)
    choose = binomials(most, top)
    if not np.isfinite(choose).all():
        raise InputError(
            f"k is {top} of {counted(most, 'sample')}: the number of subsets does not fit a float. Use at most 1029 "
            "of the samples, or a smaller k."
        )
    out = np.empty((len(counts.gold), len(ks)))
    wanted = np.asarray(ks, np.int32)

    def work(start: int, stop: int) -> int:
        return votes_kernel.hypergeometric(counts.gold, counts.silent, counts.rivals, wanted, choose, start, stop, out)  # type: ignore[no-any-return]

    _in_chunks(work, len(out), threads)
    return out


def independent_votes(gold: Floats, silent: Floats, rivals: Floats, ks: Sequence[int], threads: int = 1) -> Floats:
    """Return the accuracy of a vote over each k of `ks` independent draws from shares that add up to 1 per row."""
    out = np.empty((len(gold), len(ks)))
    shares = [np.ascontiguousarray(x, np.float64) for x in (gold, silent, -np.sort(-rivals, axis=1))]
    wanted = np.asarray(ks, np.int32)

    def work(start: int, stop: int) -> int:
        return votes_kernel.multinomial(*shares, wanted, start, stop, out)  # type: ignore[no-any-return]

    _in_chunks(work, len(out), threads)
    return out


def _in_chunks(work: Any, rows: int, threads: int) -> None:
    """Run `work` on all rows, shared among threads (the kernel lets go of the interpreter)."""
    if any(each(work, [(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)], threads)):
        raise MemoryError("no memory for counting votes")

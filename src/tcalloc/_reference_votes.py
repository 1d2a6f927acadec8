"""The readable twin of `_votes.pyx`: the same functions in NumPy, as plainly as they can be said.

Tests compare the two, and ``TCALLOC_KERNEL=reference`` makes the package run on this one. For each number g of gold
votes, a dynamic programme over the rivals counts the subsets in which no rival has more than g; its state is (samples
used, rivals that tie with gold). Here every k and every rival is treated alike, one after another.
"""

import math

import numpy as np
from numpy.typing import NDArray

OK, NO_MEMORY = 0, 3

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


def hypergeometric(
    gold: Ints, silent: Ints, rivals: Ints, ks: Ints, choose: Floats, start: int, stop: int, out: Floats
) -> int:
    """Write the accuracy of a vote over each k of `ks` of each row's samples; NaN where k is larger."""
    rows = np.arange(start, stop)
    samples = gold[rows] + silent[rows] + rivals[rows].sum(axis=1)
    for q, k in enumerate(ks.tolist()):
        won = np.zeros(len(rows))
        for g in range(1, k + 1):
            some = np.flatnonzero(gold[rows] >= g)
            if len(some):
                at = rows[some]
                weights = [choose[counts, : k - g + 1] for counts in rivals[at].T]
                ways = _unbeaten(choose[silent[at], : k - g + 1], weights, g)
                won[some] += choose[gold[at], g] * ways
        enough = samples >= k
        out[rows[enough], q] = won[enough] / choose[samples[enough], k]
        out[rows[~enough], q] = np.nan
    return OK


def multinomial(gold: Floats, silent: Floats, rivals: Floats, ks: Ints, start: int, stop: int, out: Floats) -> int:
    """Write the accuracy of a vote over k independent draws from each row's shares."""
    rows = slice(start, stop)
    for q, k in enumerate(ks.tolist()):
        n = np.arange(k + 1)
        # k!·Π pⁿ/n!, the factorials taken in equal parts so that none leaves the floats.
        log_factorial = np.array([math.lgamma(j + 1) for j in range(k + 1)])
        scale = np.exp(n * log_factorial[k] / k - log_factorial)

        def weights(share: Floats, n: NDArray[np.int64] = n, scale: Floats = scale) -> Floats:
            return np.asarray(share[:, None] ** n * scale)

        voting, quiet = weights(gold[rows]), weights(silent[rows])
        others = [weights(share) for share in rivals[rows].T]
        out[rows, q] = sum(
            voting[:, g] * _unbeaten(quiet[:, : k - g + 1], [w[:, : k - g + 1] for w in others], g)
            for g in range(1, k + 1)
        )
    return OK


def _unbeaten(quiet: Floats, rivals: list[Floats], g: int) -> Floats:
    """Return the ways to fill the room beside g gold votes in which no rival has more than g; ties count a part.

    ``quiet[i, n]`` and ``rivals[r][i, n]`` are the weights of n such samples; ``ways[i, n, t]`` those of n samples
    among the answers met so far in which t rivals have exactly g votes.
    """
    room = quiet.shape[1] - 1
    ties = room // g
    ways = np.zeros((len(quiet), room + 1, ties + 1))
    ways[:, :, 0] = quiet
    for weight in rivals:
        after = np.zeros_like(ways)
        for n in range(min(g, room) + 1):
            drawn = weight[:, n, None, None] * ways[:, : room + 1 - n]
            if n < g:
                after[:, n:] += drawn
            else:
                after[:, n:, 1:] += drawn[:, :, :-1]
        ways = after
    return np.asarray(ways[:, room] @ (1.0 / np.arange(1, ties + 2)))

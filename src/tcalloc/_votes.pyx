# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: autotestdict=False, freethreading_compatible=True, embedsignature=False
"""The kernel of votes: how often a majority of k votes is right, for many k at once.

It trusts its caller (`measure/votes.py`, `measure/shrink.py`): counts are not negative, k is not above a row's samples,
binomials are finite. Its twin in NumPy, same names and signatures, is `_reference_votes.py`.

(A) What is counted.  A row has `gold` right votes, `silent` samples that do not vote, and rivals (other answers) with
    counts c_1 ≥ c_2 ≥ …. Of the C(S, k) subsets of k samples, those with g gold votes and n_r votes for rival r number
    C(gold, g)·Π C(c_r, n_r)·C(silent, rest). Gold wins if all n_r ≤ g, and wins 1/(1 + t) if t of them equal g.

(B) One table for all k.  For one g, ``ways[n, t]`` counts the subsets of n samples, gold's aside, in which no rival has
    more than g votes and t have exactly g. It does not depend on k: the vote over k reads n = k − g. So the work is
    that of the largest k.

(C) Small rivals are free.  A rival with fewer than g samples can neither win nor tie, whatever is drawn: with the
    silent samples it forms one pool of m, C(m, n) ways (Vandermonde). Only rivals with c_r ≥ g, at most (S − gold)/g
    of them, need the programme, each g·room·ties steps.

(D) Whole numbers.  Below 2⁵³ every count is exact, so equal chances are equal floats and ties between actions stay.

(E) With replacement.  `multinomial` asks the same of k independent draws from shares p: a rival's weights C(c_r, n)
    become (λ·p_r)ⁿ/n! and the total λᵏ/k!; λ is of the order of k, so that neither end leaves the floats.
"""

from libc.math cimport NAN, exp
from libc.stdlib cimport free, malloc

OK, NO_MEMORY = 0, 3

cdef enum:
    C_OK = 0
    C_NO_MEMORY = 3


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline void meet(double* ways, Py_ssize_t room, Py_ssize_t ties, const double* weight, Py_ssize_t most,
                      Py_ssize_t g) noexcept nogil:
    """Let one more rival vote 0 to `most` times (weight[0] is 1); `ways` in place, from many samples to few."""
    cdef Py_ssize_t n, j, t, width = ties + 1, end
    cdef double* to
    cdef const double* source
    cdef double w
    for n in range(room, 0, -1):
        to = ways + n * width
        end = least(least(g - 1, most), n)
        for j in range(1, end + 1):
            w = weight[j]
            source = ways + (n - j) * width
            for t in range(width):
                to[t] += w * source[t]
        if most >= g and n >= g:
            w = weight[g]
            source = ways + (n - g) * width
            for t in range(1, width):
                to[t] += w * source[t - 1]


cdef inline void settle(const double* ways, Py_ssize_t room, Py_ssize_t ties, double weight, Py_ssize_t g,
                        const int[::1] ks, Py_ssize_t limit, double* won) noexcept nogil:
    """Add the subsets with g gold votes to each k of `ks` up to `limit`."""
    cdef Py_ssize_t q, n, t, width = ties + 1
    cdef double part
    for q in range(ks.shape[0]):
        n = ks[q] - g
        if n >= 0 and n <= room and ks[q] <= limit:
            part = 0.0
            for t in range(width):
                part += ways[n * width + t] / (t + 1)
            won[q] += weight * part


def hypergeometric(const int[::1] gold, const int[::1] silent, const int[:, ::1] rivals, const int[::1] ks,
                   const double[:, ::1] choose, Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out):
    """Write the accuracy of a vote over each k of `ks` of each row's samples, rows start..stop; NaN where k is larger.

    `rivals` hold their counts in descending order, filled up with 0; `choose[i, j]` is C(i, j), j up to the largest k.
    """
    cdef Py_ssize_t i, r, g, n, q, samples, others, count, room, ties, pool, top = 0, widest = choose.shape[0] - 1
    cdef double* ways
    for q in range(ks.shape[0]):
        top = ks[q] if ks[q] > top else top
    # Rooms are at most `widest`, ties at most `widest` / g: the table of g = 1 is the largest.
    ways = <double*> malloc((widest + 1) * (widest + 2) * sizeof(double))
    if ways == NULL:
        return C_NO_MEMORY
    with nogil:
        for i in range(start, stop):
            for q in range(ks.shape[0]):
                out[i, q] = 0.0
            count = 0
            others = silent[i]
            while count < rivals.shape[1] and rivals[i, count] > 0:
                others += rivals[i, count]
                count += 1
            samples = gold[i] + others
            pool = silent[i]
            # From many gold votes to few: rivals that can tie are added as g falls, the others stay in the pool.
            for g in range(1, least(gold[i], top) + 1):
                room = least(top - g, others)
                r = 0
                pool = others
                while r < count and rivals[i, r] >= g:
                    pool -= rivals[i, r]
                    r += 1
                ties = least(r, room // g)
                for n in range(room + 1):
                    ways[n * (ties + 1)] = choose[pool, n] if n <= pool else 0.0
                    for q in range(1, ties + 1):
                        ways[n * (ties + 1) + q] = 0.0
                for q in range(r):
                    meet(ways, room, ties, &choose[rivals[i, q], 0], least(rivals[i, q], room), g)
                settle(ways, room, ties, choose[gold[i], g], g, ks, samples, &out[i, 0])
            for q in range(ks.shape[0]):
                if ks[q] <= samples:
                    out[i, q] /= choose[samples, ks[q]]
                else:
                    out[i, q] = NAN
        free(ways)
    return C_OK


def multinomial(const double[::1] gold, const double[::1] silent, const double[:, ::1] rivals, const int[::1] ks,
                Py_ssize_t start, Py_ssize_t stop, double[:, ::1] out):
    """Write the accuracy of a vote over k independent draws from each row's shares, rows start..stop.

    Shares of a row add up to 1; `rivals` are in descending order, filled up with 0.
    """
    cdef Py_ssize_t i, r, g, n, q, count, room, ties, top = 0, width = rivals.shape[1]
    cdef double scale, total
    cdef double* ways
    cdef double* weights
    for q in range(ks.shape[0]):
        top = ks[q] if ks[q] > top else top
    scale = top / exp(1.0) if top > 2 else 1.0
    ways = <double*> malloc((top + 1) * (top + 2) * sizeof(double))
    weights = <double*> malloc((width + 2) * (top + 1) * sizeof(double))
    if ways == NULL or weights == NULL:
        free(ways)
        free(weights)
        return C_NO_MEMORY
    with nogil:
        for i in range(start, stop):
            count = 0
            while count < width and rivals[i, count] > 0.0:
                count += 1
            for n in range(top + 1):
                for r in range(count + 2):
                    if n == 0:
                        weights[r * (top + 1)] = 1.0
                    else:
                        total = gold[i] if r == count else silent[i] if r == count + 1 else rivals[i, r]
                        weights[r * (top + 1) + n] = weights[r * (top + 1) + n - 1] * (scale * total) / n
            for q in range(ks.shape[0]):
                out[i, q] = 0.0
            for g in range(1, top + 1):
                room = top - g
                ties = least(count, room // g)
                for n in range(room + 1):
                    ways[n * (ties + 1)] = weights[(count + 1) * (top + 1) + n]
                    for q in range(1, ties + 1):
                        ways[n * (ties + 1) + q] = 0.0
                for r in range(count):
                    meet(ways, room, ties, weights + r * (top + 1), room, g)
                settle(ways, room, ties, weights[count * (top + 1) + g], g, ks, top, &out[i, 0])
            for q in range(ks.shape[0]):
                total = 1.0
                for n in range(1, ks[q] + 1):
                    total = total * scale / n
                out[i, q] /= total
        free(ways)
        free(weights)
    return C_OK

# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: autotestdict=False, freethreading_compatible=True, embedsignature=False
"""The kernel of stopping: which states of a vote are met how often, and when to stop at a price.

It trusts its caller, `learn/sequential/rules/exact_votes.py`: counts are not negative, binomials are finite, and shapes
fit. Its twin in NumPy, same names and signatures, is `_reference_stopping.py`.

(A) States.  After n samples a vote is at (n, c1, c2): the votes of the leading answer and of the one behind it. Arrays
    over states are dense, [n, c1, c2] with n, c1 up to `cap` and c2 up to cap/2; impossible states hold 0.

(B) Subsets for orders.  In random order the first n of a question's S samples are any of its C(S, n) subsets, so the
    chance of a state is a count of subsets, not a mean over some orders. For a leader with c1 votes and a second with
    c2 < c1 they number C(m, c1)·ways, ways those in which the others take n − c1 samples, at most c2 each, t ≥ 1 of
    them exactly c2. Only answers with m ≥ c2 samples need the programme, the others join the silent samples
    (Vandermonde).

(C) Moves for free.  Take one of n + 1 samples back at random: it was one of the leader's with chance (c1 + 1)/(n + 1),
    and one of the only second's with (c2 + 1)/(n + 1). So how often a step leads from a state at n to one at n + 1
    follows from the chances of states at n + 1 (and of those in which the second is alone: `alone`), with no second
    count.

(D) Induction.  From the last layer back: a wave of k samples is worth the mean value k layers on less price·cost; the
    advantage over stopping, per state, is shrunk to the mean of its margin c1 − c2, that to the mean of its layer
    (`pseudo` questions' worth each), and the best positive one is chosen. Values are not shrunk: they are what the
    choice brings.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

OK, NO_MEMORY = 0, 3

cdef enum:
    C_OK = 0
    C_NO_MEMORY = 3


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline void admit(double* ways, Py_ssize_t room, Py_ssize_t width, const double* weight, Py_ssize_t most,
                       Py_ssize_t b) noexcept nogil:
    """Let one more answer take 0 to min(most, b) samples; ``ways[n, t]`` in place, the last t holding all above it."""
    cdef Py_ssize_t n, j, t, end
    cdef double* to
    cdef const double* source
    for n in range(room, 0, -1):
        to = ways + n * width
        end = least(least(b - 1, most), n)
        for j in range(1, end + 1):
            source = ways + (n - j) * width
            for t in range(width):
                to[t] += weight[j] * source[t]
        if most >= b and n >= b:
            source = ways + (n - b) * width
            for t in range(1, width):
                to[t] += weight[b] * source[t - 1]
            to[width - 1] += weight[b] * source[width - 1]


cdef inline void pour(double* ways, Py_ssize_t room, Py_ssize_t width, const double* choose,
                      Py_ssize_t pool) noexcept nogil:
    """Begin with the samples that decide nothing."""
    cdef Py_ssize_t n
    memset(ways, 0, (room + 1) * width * sizeof(double))
    for n in range(least(room, pool) + 1):
        ways[n * width] = choose[n]


def subsets(const int[::1] gold, const int[::1] silent, const int[:, ::1] rivals, const double[::1] weight,
            const double[::1] dear, const double[:, ::1] choose, double[:, :, ::1] mass, double[:, :, ::1] right,
            double[:, :, ::1] alone, double[:, :, ::1] going, double[:, :, ::1] outlay):
    """Add to each state how often it is met (`mass`), of that the part in which its answer is right (`right`, ties
    split evenly), the part in which one answer alone is second, or two tie at the top (`alone`), the part that has more
    samples to draw (`going`), and of that the cost of one (`outlay`).

    Row i counts `weight[i]` times, its samples cost ``dear[i] / weight[i]``. `rivals` hold their counts in descending
    order, filled up with 0; ``choose[i, j]`` is C(i, j), j up to the cap.
    """
    cdef Py_ssize_t rows = gold.shape[0], cap = mass.shape[0] - 1
    cdef Py_ssize_t i, b, c1, n, r, t, j, k, many, count, samples, pool, room, width, taken, most, ties, deep
    cdef double part, sure, one, scale
    cdef double* ways = <double*> malloc((cap + 1) * (cap + 4) * sizeof(double))
    if ways == NULL:
        return C_NO_MEMORY
    with nogil:
        for i in range(rows):
            count, samples = 0, gold[i] + silent[i]
            while count < rivals.shape[1] and rivals[i, count] > 0:
                samples += rivals[i, count]
                count += 1
            deep = least(samples, cap)
            # Nobody voted.
            for n in range(least(silent[i], deep) + 1):
                put(mass, going, outlay, n, 0, 0, choose[silent[i], n] / choose[samples, n], weight[i], dear[i],
                    n < samples)
            for b in range(deep // 2 + 1):
                # One leads: gold (j = −1), or one of `many` rivals with equally many samples.
                j = -1
                while j < count:
                    most = gold[i] if j < 0 else rivals[i, j]
                    many = 1
                    while j >= 0 and j + many < count and rivals[i, j + many] == most:
                        many += 1
                    if most > b:
                        room, width = deep - b - 1, 3
                        if b == 0:
                            pour(ways, room, width, &choose[silent[i], 0], silent[i])
                        else:
                            pool = samples - most
                            k = 0
                            while k < count and rivals[i, k] >= b:
                                pool -= rivals[i, k] if k != j else 0
                                k += 1
                            pool -= gold[i] if j >= 0 and gold[i] >= b else 0
                            pour(ways, room, width, &choose[pool, 0], pool)
                            for r in range(k):
                                if r != j:
                                    admit(ways, room, width, &choose[rivals[i, r], 0], rivals[i, r], b)
                            if j >= 0 and gold[i] >= b:
                                admit(ways, room, width, &choose[gold[i], 0], gold[i], b)
                        for c1 in range(b + 1, least(most, deep) + 1):
                            for n in range(c1, deep + 1):
                                one = ways[(n - c1) * width + 1]
                                part = ways[(n - c1) * width] if b == 0 else one + ways[(n - c1) * width + 2]
                                if part > 0.0:
                                    scale = many * choose[most, c1] / choose[samples, n]
                                    put(mass, going, outlay, n, c1, b, part * scale, weight[i], dear[i], n < samples)
                                    alone[n, c1, b] += weight[i] * one * scale
                                    if j < 0:
                                        right[n, c1, b] += weight[i] * part * scale
                    elif j >= 0:
                        break  # rivals descend: no later one can lead
                    j += many
                if b == 0:
                    continue
                # Two or more tie at b: `t` rivals with or without gold.
                k, pool = 0, samples - gold[i]
                while k < count and rivals[i, k] >= b:
                    pool -= rivals[i, k]
                    k += 1
                room = deep
                ties = least(k, deep // b)
                width = ties + 2  # the last is never reached
                pour(ways, room, width, &choose[pool, 0], pool)
                for r in range(k):
                    admit(ways, room, width, &choose[rivals[i, r], 0], rivals[i, r], b)
                for n in range(b, deep + 1):
                    scale = 1.0 / choose[samples, n]
                    part = one = sure = 0.0
                    if gold[i] >= b:
                        for t in range(1, ties + 1):
                            part += choose[gold[i], b] * ways[(n - b) * width + t]
                            sure += choose[gold[i], b] * ways[(n - b) * width + t] / (t + 1)
                        if ties >= 1:
                            one += choose[gold[i], b] * ways[(n - b) * width + 1]
                    for taken in range(least(least(b - 1, gold[i]), n) + 1):
                        for t in range(2, ties + 1):
                            part += choose[gold[i], taken] * ways[(n - taken) * width + t]
                        if ties >= 2:
                            one += choose[gold[i], taken] * ways[(n - taken) * width + 2]
                    if part > 0.0:
                        put(mass, going, outlay, n, b, b, part * scale, weight[i], dear[i], n < samples)
                        right[n, b, b] += weight[i] * sure * scale
                        alone[n, b, b] += weight[i] * one * scale
        free(ways)
    return C_OK


cdef inline void put(double[:, :, ::1] mass, double[:, :, ::1] going, double[:, :, ::1] outlay, Py_ssize_t n,
                     Py_ssize_t c1, Py_ssize_t c2, double chance, double weight, double dear, bint more) noexcept nogil:
    mass[n, c1, c2] += weight * chance
    if more:
        going[n, c1, c2] += weight * chance
        outlay[n, c1, c2] += dear * chance


cdef inline void step(double* value, const double* up, const double* side, const double* cost, double price,
                      Py_ssize_t n, Py_ssize_t wide) noexcept nogil:
    """Take the values of layer n + 1 back to layer n, in place: a state's successors stand behind it."""
    cdef Py_ssize_t c1, c2, at
    cdef double a, b, rest
    for c1 in range(n + 1):
        for c2 in range(least(c1, n - c1) + 1):
            at = c1 * wide + c2
            a, b = up[at], side[at]
            rest = (1.0 - a - b) * value[at]
            if a > 0.0:
                rest += a * value[at + wide]
            if b > 0.0:
                rest += b * value[at + 1]
            value[at] = rest - price * cost[at]


def induct(const double[:, :, ::1] going, const double[:, :, ::1] stop, const double[:, :, ::1] up,
           const double[:, :, ::1] side, const double[:, :, ::1] cost, const double[::1] prices, const int[::1] waves,
           double round_cost, double pseudo, unsigned char[:, :, :, ::1] choice, double[::1] worth):
    """Write the wave to draw in each state at each price (0: stop), and what the start is worth.

    `going` weighs a state, `stop` is its accuracy, `up` and `side` the chances that one more sample votes for the
    leader or for the second, `cost` that of one sample. `waves` ascend.
    """
    cdef Py_ssize_t cap = going.shape[0] - 1, high = going.shape[1], wide = going.shape[2], layer = high * wide
    cdef Py_ssize_t p, n, m, q, c1, c2, at, d, best
    cdef double price, total, sum_all, gain, most
    cdef double* value = <double*> malloc((cap + 1) * layer * sizeof(double))
    cdef double* after = <double*> malloc(waves.shape[0] * layer * sizeof(double))
    cdef double* sums = <double*> malloc(waves.shape[0] * (cap + 1) * sizeof(double))
    cdef double* counts = <double*> malloc((cap + 1) * sizeof(double))
    cdef double* means = <double*> malloc(waves.shape[0] * sizeof(double))
    if value == NULL or after == NULL or sums == NULL or counts == NULL or means == NULL:
        free(value)
        free(after)
        free(sums)
        free(counts)
        free(means)
        return C_NO_MEMORY
    with nogil:
        for p in range(prices.shape[0]):
            price = prices[p]
            memcpy(value + cap * layer, &stop[cap, 0, 0], layer * sizeof(double))
            memset(&choice[p, cap, 0, 0], 0, layer)
            for n in range(cap - 1, -1, -1):
                memset(&choice[p, n, 0, 0], 0, layer)
                memset(counts, 0, (cap + 1) * sizeof(double))
                memset(sums, 0, waves.shape[0] * (cap + 1) * sizeof(double))
                for c1 in range(n + 1):
                    for c2 in range(least(c1, n - c1) + 1):
                        counts[c1 - c2] += going[n, c1, c2]
                for q in range(waves.shape[0]):
                    if waves[q] > cap - n:
                        continue
                    memcpy(after + q * layer, value + (n + waves[q]) * layer, layer * sizeof(double))
                    for m in range(n + waves[q] - 1, n - 1, -1):
                        step(after + q * layer, &up[m, 0, 0], &side[m, 0, 0], &cost[m, 0, 0], price, m, wide)
                    sum_all = total = 0.0
                    for c1 in range(n + 1):
                        for c2 in range(least(c1, n - c1) + 1):
                            at = q * layer + c1 * wide + c2
                            after[at] -= price * round_cost
                            gain = going[n, c1, c2] * (after[at] - stop[n, c1, c2])
                            sums[q * (cap + 1) + c1 - c2] += gain
                            sum_all += gain
                            total += going[n, c1, c2]
                    means[q] = sum_all / total if total > 0.0 else -1.0
                    for d in range(n + 1):
                        at = q * (cap + 1) + d
                        sums[at] = ((sums[at] + pseudo * means[q]) / (counts[d] + pseudo)
                                    if counts[d] + pseudo > 0.0 else means[q])
                for c1 in range(n + 1):
                    for c2 in range(least(c1, n - c1) + 1):
                        most, best = 0.0, -1
                        for q in range(waves.shape[0]):
                            if waves[q] > cap - n:
                                continue
                            total = going[n, c1, c2]
                            gain = sums[q * (cap + 1) + c1 - c2]
                            if total > 0.0:
                                gain = ((total * (after[q * layer + c1 * wide + c2] - stop[n, c1, c2]) + pseudo * gain)
                                        / (total + pseudo))
                            if gain > most:
                                most, best = gain, q
                        at = n * layer + c1 * wide + c2
                        value[at] = stop[n, c1, c2]
                        if best >= 0:
                            choice[p, n, c1, c2] = <unsigned char> waves[best]
                            if going[n, c1, c2] > 0.0:
                                value[at] = after[best * layer + c1 * wide + c2]
            worth[p] = value[0]
        free(value)
        free(after)
        free(sums)
        free(counts)
        free(means)
    return C_OK


def follow(const double[:, :, ::1] going, const double[:, :, ::1] stop, const double[:, :, ::1] up,
           const double[:, :, ::1] side, const double[:, :, ::1] cost, const unsigned char[:, :, :, ::1] choice,
           double[::1] accuracy, double[::1] spend, double[::1] rounds):
    """Write what each rule of `choice` reaches, spends, and how many rounds it takes, from the start on."""
    cdef Py_ssize_t cap = going.shape[0] - 1, high = going.shape[1], wide = going.shape[2], layer = high * wide
    cdef Py_ssize_t p, n, m, c1, c2, at, k, wave, longest
    cdef double here, paid, won, turns
    # Behind each layer's mass that is free to choose: that which is under way, by the samples still to come.
    cdef double* alive
    longest = 1
    for p in range(choice.shape[0]):
        for n in range(cap + 1):
            for c1 in range(high):
                for c2 in range(wide):
                    longest = choice[p, n, c1, c2] if choice[p, n, c1, c2] > longest else longest
    alive = <double*> malloc(2 * (longest + 1) * layer * sizeof(double))
    if alive == NULL:
        return C_NO_MEMORY
    with nogil:
        for p in range(choice.shape[0]):
            memset(alive, 0, 2 * (longest + 1) * layer * sizeof(double))
            alive[0] = 1.0
            won = paid = turns = 0.0
            for n in range(cap + 1):
                m = (longest + 1) * layer
                memset(alive + ((n + 1) % 2) * m, 0, m * sizeof(double))
                for c1 in range(n + 1):
                    for c2 in range(least(c1, n - c1) + 1):
                        at = (n % 2) * m + c1 * wide + c2
                        wave = choice[p, n, c1, c2] if n < cap and going[n, c1, c2] > 0.0 else 0
                        here = alive[at]
                        if here > 0.0:
                            if wave == 0:
                                won += here * stop[n, c1, c2]
                            else:
                                turns += here
                                alive[at + wave * layer] += here
                        for k in range(1, longest + 1):
                            here = alive[at + k * layer]
                            if here > 0.0:
                                if n == cap or going[n, c1, c2] <= 0.0:
                                    won += here * stop[n, c1, c2]
                                    continue
                                paid += here * cost[n, c1, c2]
                                at = ((n + 1) % 2) * m + (k - 1) * layer + c1 * wide + c2
                                alive[at] += here * (1.0 - up[n, c1, c2] - side[n, c1, c2])
                                if up[n, c1, c2] > 0.0:
                                    alive[at + wide] += here * up[n, c1, c2]
                                if side[n, c1, c2] > 0.0:
                                    alive[at + 1] += here * side[n, c1, c2]
                                at = (n % 2) * m + c1 * wide + c2
            accuracy[p], spend[p], rounds[p] = won, paid, turns
        free(alive)
    return C_OK

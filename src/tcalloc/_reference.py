"""The kernel's readable twin: the same functions in NumPy, as plainly as they can be said.

Each function here has the name, the arguments and the results of one in `_oracle.pyx`, whose module docstring
explains the algorithm. Tests compare the two; ``TCALLOC_KERNEL=reference`` makes the whole package run on this
one. Where the kernel goes row by row with a bracket, this says what the answer is and takes its time.
"""

from fractions import Fraction

import numpy as np

BLOCK = 4096
OK, NOT_FINITE, NEGATIVE, NO_MEMORY, CHANGED = 0, 1, 2, 3, 4
USES_AVX2 = False


def within(bits, tiny, huge, signed):
    """Whether every bit pattern, its sign bit dropped, is 0 or in tiny..huge (signed=False: and none is negative)."""
    magnitude = bits & np.iinfo(bits.dtype).max
    good = (magnitude == 0) | ((magnitude >= tiny) & (magnitude <= huge))
    return bool(good.all() and (signed or (bits >= 0).all()))


def survey(values, available, signed):
    """Find the first value that is not allowed, and the range of the magnitudes."""
    values = np.asarray(values, dtype=np.float64)
    seen = np.ones(values.shape, dtype=bool) if available is None else np.asarray(available, dtype=bool)
    bad = seen & ~np.isfinite(values)
    if not signed:
        bad |= seen & (values < 0)
    magnitude = np.abs(values)
    code, row, column, stop = OK, -1, -1, values.size
    if bad.any():
        stop = int(bad.argmax())
        row, column = (int(x) for x in np.unravel_index(stop, values.shape))
        code = NEGATIVE if np.isfinite(values[row, column]) else NOT_FINITE
    before = magnitude.ravel()[:stop][seen.ravel()[:stop]]
    largest = float(before.max(initial=0.0))
    smallest = float(before[before > 0].min(initial=np.inf))
    return code, row, column, largest, smallest


def _argmax(acc, cost, price):
    """Return the first action in the order: utility falling, cost rising, column.

    Before the column comes acc, falling, where the utility is the cost alone: at an infinite price, or at one so large
    that acc vanishes in the rounding.
    """
    paid = -cost if price == np.inf else -(price * cost)
    utility = paid if price == np.inf else acc - price * cost
    vanished = np.where(utility == paid, -acc, np.inf)
    # lexsort is stable and sorts by its last key first.
    return int(np.lexsort((vanished, cost, -utility))[0])


def decide_row(acc, cost, price):
    """Return the action for one row, or −1 where the kernel does: what is not allowed or must be scaled first."""
    acc, cost = np.asarray(acc, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    numbers = np.abs([*acc, *cost, *([] if price == np.inf else [price])])
    plain = (numbers == 0) | ((numbers >= 2.0**-200) & (numbers <= 2.0**200))
    if not (plain.all() and (cost >= 0).all() and price >= 0):
        return -1
    return _argmax(acc, cost, price)


def _row(acc, cost, available, i):
    """Return row i as (columns, acc, cost), of the available actions only."""
    columns = np.arange(acc.shape[1]) if available is None else np.flatnonzero(available[i])
    return columns, acc[i, columns].astype(np.float64), cost[i, columns].astype(np.float64)


def _allowed(acc, cost):
    """Return whether a choice has numbers that are allowed: they may have changed since they were checked."""
    return len(acc) > 0 and bool((np.isfinite(acc) & np.isfinite(cost) & (cost >= 0)).all())


def _exactly(terms):
    """Return the sum of Fractions as a high and a low float64."""
    total = sum(terms, Fraction(0))
    high = float(total)
    return high, float(total - Fraction(high))


def _tally(acc, cost, weights, actions, start, stop, sums):
    for first in range(start, stop, BLOCK):
        rows = range(first, min(first + BLOCK, stop))
        w = [Fraction(1) if weights is None else Fraction(float(weights[i])) for i in rows]
        c = [Fraction(float(cost[i, actions[i]])) for i in rows]
        a = [Fraction(float(acc[i, actions[i]])) for i in rows]
        sums[first // BLOCK] = (
            *_exactly([x * y for x, y in zip(w, c, strict=True)]),
            *_exactly([x * y for x, y in zip(w, a, strict=True)]),
            *_exactly(w),
        )


def best_at(acc, cost, available, weights, price, start, stop, actions, sums):
    """Write the argmax at `price` for the rows start..stop; add up each block unless `sums` is None.

    Return the code: CHANGED if a row has a number that is not allowed.
    """
    with np.errstate(over="ignore"):
        for i in range(start, stop):
            columns, a, c = _row(acc, cost, available, i)
            if not _allowed(a, c):
                return CHANGED
            actions[i] = columns[_argmax(a, c, price)]
    if sums is not None:
        _tally(acc, cost, weights, actions, start, stop, sums)
    return OK


def hull(acc, cost):
    """Return one row's vertices (indices) and the efficiencies of the steps between them.

    From the cheapest action (ties: the most accurate, then the first), go to the more expensive and better one of
    the largest computed efficiency (ties: the cheaper, then the more accurate, then the first), as long as there is
    one. A running minimum keeps the efficiencies from rising by a rounding error.
    """
    vertices, efficiencies = [_argmax(acc, cost, np.inf)], []
    while True:
        j = vertices[-1]
        onward = np.flatnonzero((acc > acc[j]) & (cost > cost[j]))
        if onward.size == 0:
            return vertices, efficiencies
        slope = (acc[onward] - acc[j]) / (cost[onward] - cost[j])
        k = np.lexsort((-acc[onward], cost[onward], -slope))[0]
        vertices.append(int(onward[k]))
        efficiencies.append(float(min([slope[k], *efficiencies[-1:]])))


def scan(
    acc,
    cost,
    available,
    weights,
    lo,
    hi,
    slack_lo,
    slack_hi,
    start,
    stop,
    actions,
    sums,
    efficiency,
    row,
    hop,
    delta,
):
    """Set each row's action after all steps of efficiency > hi, and emit its steps in [lo, hi].

    Return their number, or −CHANGED if a row has a number that is not allowed. The slacks only matter to a kernel that
    takes short cuts.
    """
    m = 0
    for i in range(start, stop):
        columns, a, c = _row(acc, cost, available, i)
        if not _allowed(a, c):
            return -CHANGED
        w = Fraction(1) if weights is None else Fraction(float(weights[i]))
        vertices, efficiencies = hull(a, c)
        actions[i] = columns[vertices[0]]
        for p, q, e in zip(vertices[:-1], vertices[1:], efficiencies, strict=True):
            if e > hi:
                actions[i] = columns[q]
            elif e >= lo:
                efficiency[m], row[m], hop[m] = e, i, (columns[p], columns[q])
                delta[m, :2] = _exactly([w * Fraction(c[q]), -w * Fraction(c[p])])
                delta[m, 2:] = _exactly([w * Fraction(a[q]), -w * Fraction(a[p])])
                m += 1
    _tally(acc, cost, weights, actions, start, stop, sums)
    return m


def walk(row, hop, delta, state, limit_hi, limit_lo, fill, actions):
    """Take steps until the next would exceed the limit, then go on through the `fill` steps behind it."""
    limit = limit_hi if limit_hi == np.inf else Fraction(limit_hi) + Fraction(limit_lo)
    spend = Fraction(state[0]) + Fraction(state[1])
    gain = Fraction(state[2]) + Fraction(state[3])
    split = None
    for s in range(len(row)):
        if split is not None and (s > split + fill or actions[row[s]] != hop[s, 0]):
            continue
        after = spend + Fraction(delta[s, 0]) + Fraction(delta[s, 1])
        if after <= limit:
            spend = after
            gain += Fraction(delta[s, 2]) + Fraction(delta[s, 3])
            actions[row[s]] = hop[s, 1]
        elif split is None:
            split = s
            state[:4] = (*_exactly([spend]), *_exactly([gain]))
    state[4:] = (*_exactly([spend]), *_exactly([gain]))
    if split is None:
        state[:4] = state[4:]
        split = len(row)
    return split


def running(delta, path):
    """Fill path[1:] with the running sums path[0] + delta[0] + ... (high, low, high, low)."""
    spend, gain = ([Fraction(x), Fraction(y)] for x, y in (path[0, :2], path[0, 2:]))
    for s in range(len(delta)):
        spend = [*_exactly([*map(Fraction, spend), *map(Fraction, delta[s, :2])])]
        gain = [*_exactly([*map(Fraction, gain), *map(Fraction, delta[s, 2:])])]
        path[s + 1] = (*spend, *gain)

# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: autotestdict=False, freethreading_compatible=True, embedsignature=False
"""The kernel: what is done once per row, at the speed of memory.

It trusts its caller. Shapes, dtypes, signs, finiteness and magnitudes were checked before (`_inputs.py`); there is
no error text here, no global state and no Python object inside a loop. Each function has a readable NumPy twin of the
same name and signature in `_reference.py`, and tests compare the two.

One thing it cannot trust: other threads may write into acc and cost while they are read. So no address may depend on
two readings of one cell. Rows are copied before their hull is walked, and a row in which nothing can be chosen, or
whose choice has a number that is not allowed, ends the pass with the code CHANGED.

The problem.  Row i has actions a with acc[i, a], cost[i, a] and occurs w[i] times. Choose one action per row so that
Σ w·acc is largest while Σ w·cost stays within a limit. Relaxing the limit with a price λ splits the problem into one
argmax per row, of the utility acc − λ·cost, and the spend this induces falls as λ rises (arXiv 2604.14853, section 3).

(A) Hulls and steps.  As λ falls from ∞ to 0, a row's argmax walks along the vertices of its upper concave envelope
    over cost, from its cheapest action to its best one. One segment of the envelope is a *step*: pay Δcost, gain
    Δacc; its efficiency Δacc/Δcost is the price at which the row is indifferent. So a price λ takes exactly the steps
    of efficiency > λ, and the linear program's optimum takes all steps of all rows in one order (efficiency falling,
    then row, then position) until the limit is met. No tolerance, no iteration: one order and one cut.
    From a vertex the next one is the more expensive, better action of the largest efficiency *as computed in float64*
    (ties: the cheaper). A running minimum keeps a row's efficiencies from rising by a rounding error.
    Looking at every action for every vertex is the fastest way for rows with few vertices, but takes K²/2 divisions
    for a concave row. From `MANY` vertices on, a row's remaining actions are therefore sorted once (`climb`), and those
    that another action dominates are dropped. The search for the next vertex then ends at a point behind which no
    efficiency can be as large as the largest so far: seen from the vertex, what lies behind a point p is at most as
    efficient as p itself, or as the best step from p onward (`ahead`), whichever is larger. Those steps are found for
    all points in one pass from the last to the first. Computed efficiencies err by less than 3.1 units in the last
    place; the pass adds up to twice that for each point that it drops. A margin covers both, so both ways find the same
    vertices. Where all differences are exact (counts, say), division keeps the order, and the steepest piece between
    neighbours is a bound without a margin: points on one line, all of which tie, take no longer than others.

(B) Not sorting what need not be sorted.  The caller guesses a bracket lo < λ* < hi from a sample. One pass (`scan`)
    then keeps, for each row, the best two utilities at both ends. If the same action wins at both ends it wins in
    between, because utilities are linear in λ: the row costs one argmax (`classify`). Only the other rows walk
    their hull and emit the steps inside the bracket; the caller sorts those few. A wrong guess is noticed (the limit
    is not met inside the bracket) and costs another pass, never a wrong answer.

(C) Why the two ways agree to the last bit.  Utilities carry an absolute rounding error of a few ulps of
    |acc| + λ·cost; efficiencies carry a relative one. "Wins" in (B) therefore means: by more than `slack`, which
    bounds the former generously (2⁻⁴⁸ of the largest magnitudes). A row that is nearer to a tie than that walks its
    hull from the cheapest action, where only computed efficiencies are compared. At lo = 0 utilities are the inputs
    themselves, so there no slack is needed, and saturated rows (acc = 1, 1, 1) stay fixed.

(D) Sums.  Spend and accuracy are compensated sums (a high and a low float64, about 106 bits) over fixed blocks of
    `BLOCK` rows, so they do not depend on how the rows were shared among threads, and a budget that is the rounded
    mean of a feasible choice is feasible. Steps carry w·Δcost and w·Δacc in the same form.

(E) Reading.  Float64 rows without gaps are read where they lie; others are first copied to small float64 arrays.
    This is where float32, strides and unavailable actions (acc = −∞) end, and the loops behind it know none of them
    (a cost shared by all rows is a row stride of 0). Those loops are branch-free where the data decide: a mispredicted
    branch costs as much as the whole argmax. The walk along a hull, which few rows take, keeps its branches: on rows
    sorted by cost they are foreseen, and save divisions.
"""

from libc.math cimport INFINITY, fabs, floor, frexp, ldexp
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy

cdef extern from "_simd.h" nogil:
    int tcalloc_has_avx2()
    int tcalloc_within_avx2(const long long* bits, Py_ssize_t size, long long tiny, long long huge, long long signs)
    void tcalloc_classify_avx2(const double* a, Py_ssize_t row_a, const double* c, Py_ssize_t row_c, Py_ssize_t rows,
                               Py_ssize_t n, double lo, double hi, double slack_lo, double slack_hi, int* best,
                               unsigned char* state)

BLOCK = 4096

cdef enum:
    ROWS_PER_BLOCK = 4096
    TILE = 64  # rows that are classified at a time: they stay in the first cache
    SURE = 1  # bits of a row's state, note (B)
    STAYS = 2
    MANY = 24  # vertices of a row after which the rest of it is sorted, note (A)

# 2^200: `COMFORT` of _inputs.py.
cdef double LARGE = ldexp(1.0, 200)
cdef bint AVX2 = tcalloc_has_avx2()
USES_AVX2 = AVX2  # for `tcalloc doctor`

OK, NOT_FINITE, NEGATIVE, NO_MEMORY, CHANGED = 0, 1, 2, 3, 4

cdef enum:
    C_OK = 0
    C_NOT_FINITE = 1
    C_NEGATIVE = 2
    C_NO_MEMORY = 3
    C_CHANGED = 4

ctypedef fused real:
    float
    double

# The cost's own type: two fused names give all four combinations.
ctypedef fused real2:
    float
    double

# A float's bits, as an integer of its size.
ctypedef long long longlong

ctypedef fused integer:
    int
    longlong


# ---------------------------------------------------------------------------------------------- double-double (D)

cdef inline void add(double* hi, double* lo, double x) noexcept nogil:
    """Add x to hi + lo: Knuth's two-sum, the error kept in lo."""
    cdef double s = hi[0] + x
    cdef double b = s - hi[0]
    lo[0] += (hi[0] - (s - b)) + (x - b)
    hi[0] = s


cdef inline void product(double x, double y, double* hi, double* lo) noexcept nogil:
    """Set hi + lo = x·y exactly: Dekker's product with Veltkamp's split (no fused multiply-add is assumed)."""
    cdef double t, x1, x2, y1, y2
    t = 134217729.0 * x
    x1 = t - (t - x)
    x2 = x - x1
    t = 134217729.0 * y
    y1 = t - (t - y)
    y2 = y - y1
    hi[0] = x * y
    lo[0] = ((x1 * y1 - hi[0]) + x1 * y2 + x2 * y1) + x2 * y2


cdef inline void add_product(double* hi, double* lo, double w, double x) noexcept nogil:
    cdef double p, e
    product(w, x, &p, &e)
    add(hi, lo, p)
    lo[0] += e


cdef inline void weighted_difference(double w, double x, double y, double* hi, double* lo) noexcept nogil:
    """Set hi + lo = w·x − w·y, normalized (hi is the sum rounded)."""
    cdef double p, e, q, f, s
    if w == 1.0:
        p, e, q, f = x, 0.0, y, 0.0
    else:
        product(w, x, &p, &e)
        product(w, y, &q, &f)
    hi[0] = p
    lo[0] = e - f
    add(hi, lo, -q)
    s = hi[0] + lo[0]
    lo[0] = lo[0] - (s - hi[0])
    hi[0] = s


# ------------------------------------------------------------------------------------------------- one row (A)

cdef inline bint readable(const real[:, :] acc, const real2[:, :] cost, bint masked) noexcept nogil:
    """Whether rows can be read where they lie, which is a quarter faster."""
    if real is double and real2 is double:
        return not masked and acc.strides[1] == sizeof(double) and cost.strides[1] == sizeof(double)
    else:
        return False


cdef inline void load(const real[:, :] acc, const real2[:, :] cost, const unsigned char[:, :] available,
                      bint masked, Py_ssize_t i, Py_ssize_t n, double* a, double* c) noexcept nogil:
    """Copy row i to a and c as float64; an unavailable action becomes acc = −∞, cost = 0."""
    cdef Py_ssize_t k
    for k in range(n):
        a[k] = acc[i, k]
        c[k] = cost[i, k]
    if masked:
        for k in range(n):
            if not available[i, k]:
                a[k] = -INFINITY
                c[k] = 0.0


cdef inline Py_ssize_t cheapest(const double* a, const double* c, Py_ssize_t n) noexcept nogil:
    """The first vertex: the cheapest action, then the most accurate, then the lowest column."""
    cdef Py_ssize_t k, j = -1
    for k in range(n):
        if a[k] == -INFINITY:
            continue
        if j < 0 or c[k] < c[j] or (c[k] == c[j] and a[k] > a[j]):
            j = k
    return j


cdef inline Py_ssize_t next_vertex(const double* a, const double* c, Py_ssize_t n, Py_ssize_t j,
                                   double* efficiency) noexcept nogil:
    """The vertex after j and the step's efficiency, or −1 at the last vertex."""
    cdef Py_ssize_t k, best = -1
    cdef double e, top = 0.0
    for k in range(n):
        if a[k] > a[j] and c[k] > c[j]:
            e = (a[k] - a[j]) / (c[k] - c[j])
            if e > top or (e == top and best >= 0 and (c[k] < c[best] or (c[k] == c[best] and a[k] > a[best]))):
                top = e
                best = k
    efficiency[0] = top
    return best


cdef struct Point:
    double cost
    double acc
    double efficiency  # of the step to this vertex
    double ahead  # the largest efficiency from here to any later point
    double steepest  # the largest efficiency between neighbours from here on
    Py_ssize_t column
    Py_ssize_t next  # the later point that `ahead` leads to


cdef int in_order(const void* first, const void* second) noexcept nogil:
    """The order of `climb`: cost rising, accuracy falling, column rising."""
    cdef const Point* x = <const Point*> first
    cdef const Point* y = <const Point*> second
    if x.cost != y.cost:
        return -1 if x.cost < y.cost else 1
    if x.acc != y.acc:
        return -1 if x.acc > y.acc else 1
    return -1 if x.column < y.column else 1


cdef bint on_grid(const double* values, Py_ssize_t stride, Py_ssize_t n) noexcept nogil:
    """Whether all are multiples of 2⁻⁵² times a power of 2 above the largest: then all differences are exact."""
    cdef Py_ssize_t i
    cdef double x, largest = 0.0
    cdef int exponent
    for i in range(n):
        x = fabs(values[i * stride])
        largest = x if x > largest else largest
    frexp(largest, &exponent)
    x = ldexp(1.0, 52 - exponent)
    for i in range(n):
        if x * values[i * stride] != floor(x * values[i * stride]):
            return False
    return True


cdef inline double between(const Point* low, const Point* high) noexcept nogil:
    return (high.acc - low.acc) / (high.cost - low.cost)


cdef Py_ssize_t climb(const double* a, const double* c, Py_ssize_t n, Py_ssize_t j, Point* points) noexcept nogil:
    """Write the vertices after j, with the efficiencies of the steps to them; return their number.

    They are those that `next_vertex` finds, one after the other: note (A). `points` has room for n + 1.
    """
    cdef Py_ssize_t k, q, best, m = 1, size = 1, here = 0, found = 0, stride = sizeof(Point) // sizeof(double)
    cdef double e, top, margin
    cdef bint grid
    points[0].cost, points[0].acc = c[j], a[j]
    for k in range(n):
        if a[k] > a[j] and c[k] > c[j]:
            points[m].cost, points[m].acc, points[m].column = c[k], a[k], k
            m += 1
    qsort(points + 1, m - 1, sizeof(Point), in_order)
    for k in range(1, m):
        if points[k].acc > points[size - 1].acc:
            points[size] = points[k]
            size += 1
    # From the last point to the first: the hull of what lies behind a point is a chain of `next`.
    points[size - 1].ahead = points[size - 1].steepest = 0.0
    points[size - 1].next = size
    for k in range(size - 2, -1, -1):
        q = k + 1
        top = between(&points[k], &points[q])
        points[k].steepest = top if top > points[q].steepest else points[q].steepest
        while points[q].next < size:
            e = between(&points[k], &points[points[q].next])
            if e < top:
                break
            q, top = points[q].next, e
        points[k].ahead, points[k].next = top, q
    margin = 1.0 + size * 2.0 ** -49
    grid = on_grid(&points[0].cost, stride, size) and on_grid(&points[0].acc, stride, size)
    while here + 1 < size:
        best, top = here, 0.0
        for k in range(here + 1, size):
            e = between(&points[here], &points[k])
            if e > top:
                top, best = e, k
            # What ties with the top further on is more expensive, and not taken.
            if (e if e > points[k].ahead else points[k].ahead) * margin < top or (
                    grid and points[k].steepest <= top):
                break
        if best == here:
            break  # nothing is better: only where a number is not finite
        # Written behind what is still read: at least one point has been passed for each vertex.
        points[found].efficiency, points[found].column = top, points[best].column
        found += 1
        here = best
    return found


cdef inline Py_ssize_t argmax(const double* a, const double* c, Py_ssize_t n, double price,
                              bint infinite) noexcept nogil:
    """The action of the largest utility; ties go to the cheaper, then to the lower column.

    At an infinite price utility is −cost, and ties go to the more accurate.
    """
    cdef Py_ssize_t k, j = 0
    cdef double u, s, best = -INFINITY, second = -INFINITY
    if not infinite:
        for k in range(n):
            u = a[k] - price * c[k]
            j = k if u > best else j
            s = u if u < best else best
            second = s if s > second else second
            best = u if u > best else best
        if best > second:
            return j
    return tied_argmax(a, c, n, price, infinite)


cdef inline bint allowed(double a, double c) noexcept nogil:
    """Whether an action may be chosen: what was checked before may have changed since."""
    return (fabs(a) < INFINITY) & (c >= 0.0) & (c < INFINITY)


cdef inline bint wins(double u, double a, double c, double best_u, double best_a, double best_c, bint infinite,
                      double price) noexcept nogil:
    """Whether an action comes before the best so far.

    Larger utility, then cheaper; at an infinite price, or at one so large that accuracies vanish in the rounding of the
    utility, then more accurate. The lower column, which came first, keeps what remains.
    """
    if u != best_u:
        return u > best_u
    if c != best_c:
        return c < best_c
    return a > best_a and (infinite or (u == -price * c and best_u == -price * best_c))


cdef Py_ssize_t tied_argmax(const double* a, const double* c, Py_ssize_t n, double price,
                            bint infinite) noexcept nogil:
    """The same with every rule; the bulk of the rows is spared it."""
    cdef Py_ssize_t k, j = -1
    cdef double u, best_u = -INFINITY
    for k in range(n):
        if a[k] == -INFINITY:
            continue
        u = -c[k] if infinite else a[k] - price * c[k]
        if j < 0 or wins(u, a[k], c[k], best_u, a[j], c[j], infinite, price):
            j = k
            best_u = u
    return j


# ------------------------------------------------------------------------------------------------- validation

def within(const integer[::1] bits, integer tiny, integer huge, bint signed):
    """Whether every bit pattern, its sign bit dropped, is 0 or in tiny..huge (signed=False: and no sign bit is set).

    The patterns of non-negative floats are ordered as the floats are, infinities and NaNs above all. The sign bit of
    a difference is the comparison: integers without branches, because these the compiler makes SIMD of, and a first
    look at every input must cost no more than its reading.
    """
    cdef Py_ssize_t i
    cdef integer y, bad = 0, mask = (<integer> 1 << (8 * sizeof(integer) - 2)) - 1
    mask = 2 * mask + 1
    cdef integer signs = 0 if signed else ~mask
    if integer is longlong:
        if AVX2 and bits.shape[0] > 0:
            with nogil:
                bad = tcalloc_within_avx2(&bits[0], bits.shape[0], tiny, huge, signs)
            return bad != 0
    with nogil:
        for i in range(bits.shape[0]):
            y = bits[i] & mask
            bad |= ((y - tiny) | (huge - y)) & -y | (bits[i] & signs)
    return bad >= 0


def survey(const real[:, :] values, const unsigned char[:, :] available, bint signed):
    """Find the first value that is not allowed, and the range of the magnitudes.

    Returns (code, row, column, largest magnitude, smallest nonzero magnitude or inf).
    Unavailable cells are not looked at.
    """
    cdef Py_ssize_t i, k, row = -1, column = -1
    cdef bint masked = available is not None
    cdef double v, m, largest = 0.0, smallest = INFINITY
    cdef int code = C_OK
    with nogil:
        for i in range(values.shape[0]):
            for k in range(values.shape[1]):
                if masked and not available[i, k]:
                    continue
                v = values[i, k]
                m = fabs(v)
                if not m < INFINITY:
                    code = C_NOT_FINITE
                elif v < 0.0 and not signed:
                    code = C_NEGATIVE
                if code != C_OK:
                    row, column = i, k
                    break
                largest = m if m > largest else largest
                smallest = m if (m < smallest) & (m > 0.0) else smallest
            if code != C_OK:
                break
    return code, row, column, largest, smallest


# ------------------------------------------------------------------------------------------------- at a price

cdef inline bint plain(double x) noexcept nogil:
    """Whether a number is 0, or of a size whose products and quotients with others stay normal numbers."""
    return (fabs(x) <= LARGE) & ((fabs(x) >= 1.0 / LARGE) | (x == 0.0))


def decide_row(const double[:] acc, const double[:] cost, double price):
    """The action for one row, or −1 if a cost is negative, or a number not finite, or so large or small that the row
    must be scaled first.
    """
    cdef Py_ssize_t k, j = -1
    cdef bint infinite = price == INFINITY
    cdef bint good = infinite | (plain(price) & (price >= 0.0))
    cdef double u, best_u = -INFINITY, best_c = INFINITY, best_a = -INFINITY, a, c
    for k in range(acc.shape[0]):
        a, c = acc[k], cost[k]
        good &= plain(a) & plain(c) & (c >= 0.0)
        u = -c if infinite else a - price * c
        if wins(u, a, c, best_u, best_a, best_c, infinite, price):
            j, best_u, best_c, best_a = k, u, c, a
    return j if good else -1


def best_at(const real[:, :] acc, const real2[:, :] cost, const unsigned char[:, :] available,
            const double[:] weights, double price, Py_ssize_t start, Py_ssize_t stop,
            int[::1] actions, double[:, ::1] sums):
    """Write the argmax at `price` for the rows start..stop; add up each block unless `sums` is None.

    `sums[b]` receives the compensated w·cost, w·acc and w of block b (high, low, high, low, high, low). The code is
    returned: CHANGED if a row's choice has a number that is not allowed.
    """
    cdef Py_ssize_t i, j, n = acc.shape[1]
    cdef int code = C_OK
    cdef double a_j, c_j
    cdef bint masked = available is not None, weighted = weights is not None, summed = sums is not None
    cdef bint infinite = price == INFINITY
    cdef bint direct = readable(acc, cost, masked)
    cdef double* scratch = <double*> malloc(2 * n * sizeof(double))
    cdef const double* a = scratch
    cdef const double* c = scratch + n
    cdef double[6] t
    if scratch == NULL:
        return C_NO_MEMORY
    with nogil:
        t[0] = t[1] = t[2] = t[3] = t[4] = t[5] = 0.0
        for i in range(start, stop):
            if direct:
                a = <const double*> &acc[i, 0]
                c = <const double*> &cost[i, 0]
            else:
                load(acc, cost, available, masked, i, n, scratch, scratch + n)
            j = argmax(a, c, n, price, infinite)
            if j < 0:
                code = C_CHANGED
                break
            actions[i] = <int> j
            a_j, c_j = a[j], c[j]
            if not allowed(a_j, c_j):
                code = C_CHANGED
                break
            if summed:
                tally(t, weights[i] if weighted else 1.0, weighted, c_j, a_j)
                if (i + 1) % ROWS_PER_BLOCK == 0 or i + 1 == stop:
                    settle(t, &sums[i // ROWS_PER_BLOCK, 0])
        free(scratch)
    return code


cdef inline void tally(double* t, double w, bint weighted, double c, double a) noexcept nogil:
    if weighted:
        add_product(&t[0], &t[1], w, c)
        add_product(&t[2], &t[3], w, a)
        add(&t[4], &t[5], w)
    else:
        add(&t[0], &t[1], c)
        add(&t[2], &t[3], a)
        t[4] += 1.0


cdef inline void settle(double* t, double* out) noexcept nogil:
    """Write a finished block's six numbers and begin the next."""
    cdef int k
    for k in range(6):
        out[k] = t[k]
        t[k] = 0.0


# ------------------------------------------------------------------------------------------------- the scan (B, C)

cdef inline void classify(const double* a, const double* c, Py_ssize_t n, double lo, double hi, double slack_lo,
                          double slack_hi, int* best, unsigned char* state) noexcept nogil:
    """The winner at hi, and whether it is sure of that and stays so until lo; four rows at once: _simd.h."""
    cdef Py_ssize_t k, j = 0
    cdef double u, v, s, at_lo = 0.0
    cdef double best_hi = -INFINITY, next_hi = -INFINITY, best_lo = -INFINITY, next_lo = -INFINITY
    for k in range(n):
        u = a[k] - hi * c[k]
        v = a[k] - lo * c[k]
        j = k if u > best_hi else j
        at_lo = v if u > best_hi else at_lo
        s = u if u < best_hi else best_hi
        next_hi = s if s > next_hi else next_hi
        best_hi = u if u > best_hi else best_hi
        s = v if v < best_lo else best_lo
        next_lo = s if s > next_lo else next_lo
        best_lo = v if v > best_lo else best_lo
    best[0] = <int> j
    state[0] = SURE if best_hi - next_hi > slack_hi else 0
    if (at_lo == best_lo) & (best_lo - next_lo >= slack_lo):
        state[0] |= STAYS


def scan(const real[:, :] acc, const real2[:, :] cost, const unsigned char[:, :] available,
         const double[:] weights, double lo, double hi, double slack_lo, double slack_hi,
         Py_ssize_t start, Py_ssize_t stop, int[::1] actions, double[:, ::1] sums,
         double[::1] efficiency, long long[::1] row, int[:, ::1] hop, double[:, ::1] delta):
    """Set each row's action after all steps of efficiency > hi, and emit its steps in [lo, hi].

    The outputs have room for (stop − start)·(K − 1) steps; their number is returned, or −NO_MEMORY, or −CHANGED if a
    row's action has a number that is not allowed. A step is its efficiency, row, hop (from, to) and delta (w·Δcost
    high, low, w·Δacc high, low). hi = inf: every row starts at its cheapest action. lo = 0: all the rest is emitted.
    `sums` as in best_at.
    """
    cdef Py_ssize_t first, rows, r, i, j, k, q, m = 0, n = acc.shape[1], row_a = n, row_c = n
    cdef bint masked = available is not None, weighted = weights is not None
    cdef bint everything = hi == INFINITY
    cdef bint direct = readable(acc, cost, masked)
    cdef double* scratch = <double*> malloc(2 * TILE * n * sizeof(double))
    cdef const double* a = scratch
    cdef const double* c = scratch + TILE * n
    cdef const double* tile_a = a
    cdef const double* tile_c = c
    cdef int[TILE] best
    cdef unsigned char[TILE] state
    cdef double[6] t
    cdef double w, e, last, a_j, c_j
    cdef Py_ssize_t seen, ready
    cdef bint good = True
    cdef Point* points = <Point*> malloc((n + 1) * sizeof(Point)) if n > MANY else NULL
    if scratch == NULL or (points == NULL and n > MANY):
        free(scratch)
        free(points)
        return -C_NO_MEMORY
    with nogil:
        t[0] = t[1] = t[2] = t[3] = t[4] = t[5] = 0.0
        first = start
        while first < stop and good:
            rows = TILE if TILE < stop - first else stop - first
            if direct:
                tile_a = <const double*> &acc[first, 0]
                tile_c = <const double*> &cost[first, 0]
                row_a = acc.strides[0] // <Py_ssize_t> sizeof(double)
                row_c = cost.strides[0] // <Py_ssize_t> sizeof(double)
            else:
                for r in range(rows):
                    load(acc, cost, available, masked, first + r, n, scratch + r * n, scratch + (TILE + r) * n)
            if everything:
                for r in range(rows):
                    state[r] = 0
            else:
                r = 0
                if AVX2:
                    r = rows & ~<Py_ssize_t> 3
                    tcalloc_classify_avx2(tile_a, row_a, tile_c, row_c, r, n, lo, hi, slack_lo, slack_hi, best, state)
                while r < rows:
                    classify(tile_a + r * row_a, tile_c + r * row_c, n, lo, hi, slack_lo, slack_hi, &best[r],
                             &state[r])
                    r += 1
            for r in range(rows):
                i = first + r
                a = tile_a + r * row_a
                c = tile_c + r * row_c
                w = weights[i] if weighted else 1.0
                j = best[r]
                if state[r] != SURE + STAYS:
                    if direct:
                        # A hull ends, and its steps have room, only if no number changes on the way.
                        memcpy(scratch, a, n * sizeof(double))
                        memcpy(scratch + TILE * n, c, n * sizeof(double))
                        a, c = scratch, scratch + TILE * n
                    if not state[r] & SURE:
                        j = cheapest(a, c, n)
                        if j < 0:
                            good = False
                            break
                    last = INFINITY
                    k = j
                    seen = ready = 0
                    while True:
                        if seen < MANY:
                            q = next_vertex(a, c, n, k, &e)
                        else:
                            if seen == MANY:
                                ready = climb(a, c, n, k, points)
                            q = -1
                            if seen - MANY < ready:
                                q, e = points[seen - MANY].column, points[seen - MANY].efficiency
                        seen += 1
                        if q < 0:
                            break
                        last = e if e < last else last
                        if last > hi:
                            j = q
                        elif last >= lo:
                            efficiency[m] = last
                            row[m] = i
                            hop[m, 0] = <int> k
                            hop[m, 1] = <int> q
                            weighted_difference(w, c[q], c[k], &delta[m, 0], &delta[m, 1])
                            weighted_difference(w, a[q], a[k], &delta[m, 2], &delta[m, 3])
                            m += 1
                        else:
                            break
                        k = q
                actions[i] = <int> j
                a_j, c_j = a[j], c[j]
                good &= allowed(a_j, c_j)
                tally(t, w, weighted, c_j, a_j)
            first += rows
            # Tiles divide blocks, and chunks begin with a block.
            if first % ROWS_PER_BLOCK == 0 or first == stop:
                settle(t, &sums[(first - 1) // ROWS_PER_BLOCK, 0])
        free(scratch)
        free(points)
    return m if good else -C_CHANGED


# ------------------------------------------------------------------------------------------------- along the order

cdef inline bint exceeds(double hi, double lo, double limit_hi, double limit_lo) noexcept nogil:
    """Whether hi + lo > limit; neither need be normalized (hi − limit_hi is exact where it matters)."""
    return (hi - limit_hi) + (lo - limit_lo) > 0.0


def walk(const long long[::1] row, const int[:, ::1] hop, const double[:, ::1] delta, double[::1] state,
         double limit_hi, double limit_lo, Py_ssize_t fill, int[::1] actions):
    """Take steps, which stand in the canonical order, until the next would exceed the limit; then fill.

    `state` holds the spend and accuracy sums before (high, low, high, low): in place it becomes those at the split,
    followed by those after the fill (8 numbers). The fill goes on through the `fill` steps behind the split and
    takes each that fits and whose predecessor in its row was taken. `actions` follows. Returns the split's index (the
    number of steps taken before it).
    """
    cdef Py_ssize_t s, split, n = row.shape[0], end
    cdef double hi = state[0], lo = state[1], gain_hi = state[2], gain_lo = state[3], h, e
    with nogil:
        s = 0
        while s < n:
            h, e = hi, lo
            add(&h, &e, delta[s, 0])
            e += delta[s, 1]
            if exceeds(h, e, limit_hi, limit_lo):
                break
            hi, lo = h, e
            add(&gain_hi, &gain_lo, delta[s, 2])
            gain_lo += delta[s, 3]
            actions[row[s]] = hop[s, 1]
            s += 1
        split = s
        state[0], state[1], state[2], state[3] = hi, lo, gain_hi, gain_lo
        end = n if fill > n - split - 1 else split + 1 + fill
        s = split + 1
        while s < end:
            if actions[row[s]] == hop[s, 0]:
                h, e = hi, lo
                add(&h, &e, delta[s, 0])
                e += delta[s, 1]
                if not exceeds(h, e, limit_hi, limit_lo):
                    hi, lo = h, e
                    add(&gain_hi, &gain_lo, delta[s, 2])
                    gain_lo += delta[s, 3]
                    actions[row[s]] = hop[s, 1]
            s += 1
        state[4], state[5], state[6], state[7] = hi, lo, gain_hi, gain_lo
    return split


def running(const double[:, ::1] delta, double[:, ::1] path):
    """Fill path[1:] with the compensated sums path[0] + delta[0] + ... (high, low, high, low)."""
    cdef Py_ssize_t s
    cdef double spend, spend_low, gain, gain_low
    with nogil:
        spend, spend_low, gain, gain_low = path[0, 0], path[0, 1], path[0, 2], path[0, 3]
        for s in range(delta.shape[0]):
            add(&spend, &spend_low, delta[s, 0])
            spend_low += delta[s, 1]
            add(&gain, &gain_low, delta[s, 2])
            gain_low += delta[s, 3]
            path[s + 1, 0], path[s + 1, 1], path[s + 1, 2], path[s + 1, 3] = spend, spend_low, gain, gain_low

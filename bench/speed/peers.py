"""The rivals, each written as well as its tool allows, on the same float64 arrays.

NumPy bisection
    The procedure of arXiv 2604.14853: halve the price's interval, one vectorized argmax over the table per pass.
blocked NumPy bisection
    The same as fast as NumPy gets: in blocks of rows whose temporaries stay in the cache, into buffers allocated once.
numba bisection
    The same, compiled: one thread, utility, argmax and spend fused into one loop without temporaries. Compile time is
    not counted.
HiGHS
    The linear program through scipy.optimize.linprog, presolve at its default. The sparse constraint matrix is built
    before the clock starts. ``method="highs"`` (which takes the dual simplex here) and ``"highs-ipm"`` (interior point
    with crossover, five to fifty times faster on these programs).

Bisections stop after `PASSES` passes over the table (the search for an upper end included) and write the actions with
one more.
"""

import importlib.util
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PASSES",
    "Answer",
    "LinearProgram",
    "blocked_bisection",
    "missing",
    "numba_argmax",
    "numba_bisection",
    "numba_decide",
    "numba_frontier",
    "numpy_bisection",
    "numpy_sweep",
]

PASSES = 50
ROWS = 8192  # of a block of the NumPy loops: fastest of 2,048 to all at 8 and at 16 columns

Floats = NDArray[np.float64]


class Answer(NamedTuple):
    """What a bisection found: the actions at the smallest price tried whose spend keeps the budget."""

    actions: NDArray[np.int64]
    price: float


def missing(module: str) -> str | None:
    """Return why a rival cannot run, None if it can."""
    if importlib.util.find_spec(module) is None:
        return f"{module} is not installed (dependency group `bench`)"
    return None


def first_price(acc: Floats, budget: float) -> float:
    """Return where the search for an upper end of the price begins: what the whole span of accuracy costs at most."""
    return float(acc.max() - acc.min()) / budget if budget > 0 else 1.0


# ---------------------------------------------------------------------------------------------- NumPy


class _Argmax:
    """argmax of acc − price·cost per row, with the spend it induces, in blocks and without new arrays."""

    def __init__(self, acc: Floats, cost: Floats) -> None:
        self.acc, self.cost, self.shared = acc, cost, cost.ndim == 1
        self.n, self.k = acc.shape
        rows = min(ROWS, self.n)
        self.utility = np.empty((rows, self.k))
        self.chosen = np.empty(rows, np.intp)
        self.first = np.arange(rows) * self.k

    def spend(self, price: float, actions: NDArray[np.int64] | None = None) -> float:
        """Return the mean spend; write the actions if asked to."""
        total = 0.0
        penalty = price * self.cost if self.shared else None
        for start in range(0, self.n, ROWS):
            stop = min(start + ROWS, self.n)
            u, chosen = self.utility[: stop - start], self.chosen[: stop - start]
            if penalty is None:
                np.multiply(self.cost[start:stop], -price, out=u)
                np.add(u, self.acc[start:stop], out=u)
            else:
                np.subtract(self.acc[start:stop], penalty, out=u)
            np.argmax(u, axis=1, out=chosen)
            if actions is not None:
                actions[start:stop] = chosen
            if self.shared:
                total += self.cost.take(chosen).sum()
            else:
                np.add(chosen, self.first[: stop - start], out=chosen)
                total += self.cost[start:stop].reshape(-1).take(chosen).sum()
        return float(total / self.n)


def _bisect(spend: Callable[..., float], acc: Floats, budget: float) -> Answer:
    """Halve the price's interval in `PASSES` passes; spend(price, actions=None) is one, and writes the actions."""
    actions = np.empty(len(acc), np.int64)
    if spend(0.0, actions) <= budget:
        return Answer(actions, 0.0)
    low, high, found = 0.0, first_price(acc, budget), False
    for _ in range(PASSES - 1):
        price = 0.5 * (low + high) if found else high
        if spend(price) <= budget:
            high, found = price, True
        else:
            low, high = price, high if found else 4.0 * high
    spend(high, actions)
    return Answer(actions, high)


def numpy_bisection(acc: Floats, cost: Floats, budget: float) -> Answer:
    """Bisect the price in vectorized passes over the whole table."""
    rows, full = np.arange(len(acc)), np.broadcast_to(cost, acc.shape)

    def spend(price: float, actions: NDArray[np.int64] | None = None) -> float:
        chosen = np.argmax(acc - price * cost, axis=1)
        if actions is not None:
            actions[:] = chosen
        return float(full[rows, chosen].mean())

    return _bisect(spend, acc, budget)


def blocked_bisection(acc: Floats, cost: Floats, budget: float) -> Answer:
    """Bisect the price in vectorized passes by blocks of rows."""
    return _bisect(_Argmax(acc, cost).spend, acc, budget)


def numpy_sweep(acc: Floats, cost: Floats, prices: Floats) -> tuple[Floats, Floats]:
    """Return spend and accuracy at each price: the paper's way to a frontier, as many points as passes."""
    at = _Argmax(acc, cost)
    actions = np.empty(len(acc), np.int64)
    spends, accuracies = np.empty(len(prices)), np.empty(len(prices))
    rows = np.arange(len(acc)) * acc.shape[1]
    flat = acc.reshape(-1)
    for i, price in enumerate(prices):
        spends[i] = at.spend(price, actions)
        accuracies[i] = flat.take(actions + rows).mean()
    return spends, accuracies


# ---------------------------------------------------------------------------------------------- numba


@cache
def _compiled() -> dict[str, Callable[..., Any]]:
    """Compile the loops for float64. A shared cost is one row that is read again and again (stride 0 in rows)."""
    from numba import njit

    @njit(nogil=True)
    def spend(acc, cost, stride, price):
        total = 0.0
        for i in range(acc.shape[0]):
            best, paid = acc[i, 0] - price * cost[i * stride, 0], cost[i * stride, 0]
            for k in range(1, acc.shape[1]):
                c = cost[i * stride, k]
                u = acc[i, k] - price * c
                if u > best:
                    best, paid = u, c
            total += paid
        return total / acc.shape[0]

    @njit(nogil=True)
    def argmax(acc, cost, stride, price, actions):
        for i in range(acc.shape[0]):
            best, at = acc[i, 0] - price * cost[i * stride, 0], 0
            for k in range(1, acc.shape[1]):
                u = acc[i, k] - price * cost[i * stride, k]
                if u > best:
                    best, at = u, k
            actions[i] = at

    @njit(nogil=True)
    def bisection(acc, cost, stride, budget, first, passes, actions):
        low, high, found = 0.0, 0.0, True
        if spend(acc, cost, stride, 0.0) > budget:
            high, found = first, False
            for _ in range(passes - 1):
                price = 0.5 * (low + high) if found else high
                if spend(acc, cost, stride, price) <= budget:
                    high, found = price, True
                else:
                    low = price
                    if not found:
                        high = 4.0 * high
        argmax(acc, cost, stride, high, actions)
        return high

    @njit(nogil=True)
    def steps(acc, cost, stride, efficiency, dcost, dacc):
        """Emit every row's hull steps; return their number and the totals of the cheapest actions."""
        n, m = acc.shape[1], 0
        spent = gained = 0.0
        for i in range(acc.shape[0]):
            c = cost[i * stride]
            a = acc[i]
            at = 0
            for k in range(1, n):
                if c[k] < c[at] or (c[k] == c[at] and a[k] > a[at]):
                    at = k
            spent += c[at]
            gained += a[at]
            while True:
                top, to = 0.0, -1
                for k in range(n):
                    if a[k] > a[at] and c[k] > c[at]:
                        e = (a[k] - a[at]) / (c[k] - c[at])
                        if e > top:
                            top, to = e, k
                if to < 0:
                    break
                efficiency[m], dcost[m], dacc[m] = top, c[to] - c[at], a[to] - a[at]
                m += 1
                at = to
        return m, spent, gained

    @njit
    def decide(acc, cost, price):
        best, at = acc[0] - price * cost[0], 0
        for k in range(1, acc.shape[0]):
            u = acc[k] - price * cost[k]
            if u > best:
                best, at = u, k
        return at

    tiny = np.ones((2, 2))
    spend(tiny, tiny, 1, 0.5)
    argmax(tiny, tiny, 1, 0.5, np.empty(2, np.int64))
    bisection(tiny, tiny, 1, 1.0, 1.0, 3, np.empty(2, np.int64))
    steps(tiny, tiny, 1, np.empty(2), np.empty(2), np.empty(2))
    decide(tiny[0], tiny[0], 0.5)
    return {"argmax": argmax, "bisection": bisection, "steps": steps, "decide": decide}


def _rows(cost: Floats) -> tuple[Floats, int]:
    return (cost.reshape(1, -1), 0) if cost.ndim == 1 else (cost, 1)


def numba_bisection(acc: Floats, cost: Floats, budget: float) -> Answer:
    """Bisect the price in `PASSES` compiled passes."""
    actions = np.empty(len(acc), np.int64)
    price = _compiled()["bisection"](acc, *_rows(cost), budget, first_price(acc, budget), PASSES, actions)
    return Answer(actions, price)


def numba_argmax(acc: Floats, cost: Floats, price: float) -> NDArray[np.int64]:
    """Return the argmax of every row at one price."""
    actions = np.empty(len(acc), np.int64)
    _compiled()["argmax"](acc, *_rows(cost), price, actions)
    return actions


def numba_decide() -> Callable[[Floats, Floats, float], int]:
    """Return the compiled decision for one row."""
    return _compiled()["decide"]


def numba_frontier(acc: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """Return the budgets and accuracies of the linear program's curve: hulls compiled, sort and sums in NumPy."""
    room = acc.shape[0] * (acc.shape[1] - 1)
    efficiency, dcost, dacc = np.empty(room), np.empty(room), np.empty(room)
    m, spent, gained = _compiled()["steps"](acc, *_rows(cost), efficiency, dcost, dacc)
    order = np.argsort(-efficiency[:m], kind="stable")
    budgets, accuracies = np.empty(m + 1), np.empty(m + 1)
    budgets[0], accuracies[0] = spent, gained
    for curve, delta in ((budgets, dcost), (accuracies, dacc)):
        np.take(delta, order, out=curve[1:])
        np.cumsum(curve, out=curve)
        curve /= acc.shape[0]
    return budgets, accuracies


# ---------------------------------------------------------------------------------------------- HiGHS


class LinearProgram:
    """max Σ acc·x  s.t.  Σ_a x[i, a] = 1,  Σ cost·x ≤ N·budget,  x ≥ 0.

    Sums and not means: HiGHS's tolerances are absolute, and on means its optimum was seen 2e-7 off.
    """

    def __init__(self, acc: Floats, cost: Floats, budget: float) -> None:
        from scipy.sparse import csr_array

        self.n, self.k = acc.shape
        cells = self.n * self.k
        ends = np.arange(0, cells + 1, self.k)
        self.program = {
            "c": -acc.ravel(),
            "A_ub": csr_array(np.broadcast_to(cost, acc.shape).reshape(1, -1)),
            "b_ub": np.array([budget * self.n]),
            "A_eq": csr_array((np.ones(cells), np.arange(cells), ends), shape=(self.n, cells)),
            "b_eq": np.ones(self.n),
            "bounds": (0, None),
        }

    def solve(self, method: str) -> float:
        """Return the optimum as a mean accuracy."""
        from scipy.optimize import linprog

        result = linprog(**self.program, method=method)
        if result.status != 0:
            raise RuntimeError(f"HiGHS: {result.message}")
        return -result.fun / self.n if math.isfinite(result.fun) else math.nan

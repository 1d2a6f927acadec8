"""Random tables full of what breaks solvers: ties, duplicates, zeros, collinear steps, sorted rows, odd magnitudes."""

from dataclasses import dataclass

import numpy as np
from exact import mean_cost
from hypothesis import strategies as st


@dataclass
class Table:
    acc: np.ndarray
    cost: np.ndarray  # (N, K) or (K,)
    available: np.ndarray | None
    weights: np.ndarray | None

    @property
    def full_cost(self) -> np.ndarray:
        return np.broadcast_to(self.cost, self.acc.shape)

    @property
    def mask(self) -> np.ndarray:
        return np.ones(self.acc.shape, bool) if self.available is None else self.available

    @property
    def w(self) -> np.ndarray:
        return np.ones(len(self.acc)) if self.weights is None else self.weights

    @property
    def inputs(self) -> dict:
        return {"acc": self.acc, "cost": self.cost, "available": self.available, "weights": self.weights}

    def repro(self) -> str:
        return f"acc={self.acc!r}, cost={self.cost!r}, available={self.available!r}, weights={self.weights!r}"

    __repr__ = repro


ACC = ("uniform", "grid", "binary", "curve", "negative", "near", "constant")
COST = ("uniform", "integers", "zeros", "curve", "near", "constant", "collinear")


def _acc(kind, rng, n, k):
    if kind == "uniform":
        return rng.random((n, k))
    if kind == "grid":
        return rng.integers(0, 5, (n, k)) / 4
    if kind == "binary":
        return rng.integers(0, 2, (n, k)).astype(float)
    if kind == "curve":  # pass@k: saturating, many exact ones
        p = rng.choice([0.0, 0.25, 0.5, 0.9, 1.0], (n, 1))
        return 1 - (1 - p) ** np.arange(1, k + 1)
    if kind == "negative":
        return rng.normal(size=(n, k)) * 10
    if kind == "near":  # a few ulps apart
        return 0.7 + rng.integers(0, 4, (n, k)) * 2.0**-52
    return np.full((n, k), 0.5)


def _cost(kind, rng, n, k):
    if kind == "uniform":
        return rng.random((n, k)) + 0.01
    if kind == "integers":
        return rng.integers(1, 5, (n, k)).astype(float)
    if kind == "zeros":
        return rng.integers(0, 3, (n, k)).astype(float)
    if kind == "curve":
        return 2.0 ** np.arange(k) * rng.lognormal(0, 1, (n, 1))
    if kind == "near":
        return 3.0 + rng.integers(0, 4, (n, k)) * 2.0**-50
    if kind == "constant":
        return np.full((n, k), 2.0)
    return np.tile(np.arange(1.0, k + 1), (n, 1))


class _Drawn:
    """Choices that hypothesis makes, and shrinks where a test fails."""

    def __init__(self, draw):
        self._draw = draw

    def integer(self, low, high):
        return self._draw(st.integers(low, high))

    def among(self, values):
        return self._draw(st.sampled_from(values))

    def flag(self):
        return self._draw(st.booleans())


class _Seeded:
    """The same choices from a random seed: eight times as fast, for tests of thousands of tables."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def integer(self, low, high):
        return int(self._rng.integers(low, high, endpoint=True))

    def among(self, values):
        return values[self._rng.integers(len(values))]

    def flag(self):
        return bool(self._rng.integers(2))


def _table(choose, max_rows=7, max_actions=5, plain=False, magnitudes=True):
    """Make a small table; `plain`: without masks and weights."""
    rng = np.random.default_rng(choose.integer(0, 2**32 - 1))
    n, k = choose.integer(1, max_rows), choose.integer(1, max_actions)
    kinds = choose.among(ACC), choose.among(COST)
    acc, cost = _acc(kinds[0], rng, n, k), _cost(kinds[1], rng, n, k)
    change = choose.among(["", "", "", "duplicate", "collinear", "sorted", "repeat"])
    if change == "duplicate" and k > 1:
        acc[:, -1], cost[:, -1] = acc[:, 0], cost[:, 0]
    elif change == "collinear":
        acc = cost * 0.125
    elif change == "sorted":
        acc, cost = np.sort(acc, axis=1), np.sort(cost, axis=1)
        order = np.argsort(acc[:, 0], kind="stable")
        acc, cost = acc[order], cost[order]
    elif change == "repeat":
        acc, cost = np.repeat(acc[:1], n, axis=0), np.repeat(cost[:1], n, axis=0)
    if choose.integer(0, 3) == 0:
        cost = cost[0].copy()
    if magnitudes and "near" not in kinds:  # near at 1e±150 would need prices beyond 1e308: refused, with its own test
        acc = acc * 10.0 ** choose.among([0, 0, 0, 0, 150, -150, 3, -7])
        cost = cost * 10.0 ** choose.among([0, 0, 0, 0, 150, -150, 4, -5])
    if choose.integer(0, 4) == 0 and not (magnitudes and (abs(acc).max() > 1e30 or abs(cost).max() > 1e30)):
        acc = acc.astype(np.float32)
        if choose.flag():
            cost = cost.astype(np.float32)
    available = weights = None
    if not plain and choose.integer(0, 2) == 0:
        available = rng.random((n, k)) < 0.7
        available[np.arange(n), rng.integers(0, k, n)] = True
        if choose.flag():
            acc = np.where(available, acc, np.nan).astype(acc.dtype)
    if not plain and choose.integer(0, 2) == 0:
        weights = choose.among(
            [rng.integers(0, 4, n).astype(float), rng.random(n), rng.random(n) * 1e150, rng.random(n) * 1e-3]
        )
        if not weights.any():
            weights[0] = 1.0
    return Table(acc, cost, available, weights)


def _problem(choose, **options):
    """Make a table and a budget: at the ends, on vertices (rounded means of choices), between, and beyond."""
    table = _table(choose, **options)
    rng = np.random.default_rng(choose.integer(0, 2**32 - 1))
    cost = np.where(table.mask, table.full_cost.astype(np.float64), np.nan)

    def end(pick):
        return mean_cost(table, pick(cost, axis=1))

    kind = choose.among(["low", "high", "between", "between", "choice", "choice", "above", "inf"])
    if kind == "low":
        return table, end(np.nanargmin)
    if kind == "high":
        return table, end(np.nanargmax)
    if kind == "choice":
        pick = np.array([rng.choice(np.flatnonzero(m)) for m in table.mask])
        return table, mean_cost(table, pick)
    if kind == "above":
        return table, end(np.nanargmax) * 2 + 1
    if kind == "inf":
        return table, float("inf")
    low = end(np.nanargmin)
    return table, max(low, low + (end(np.nanargmax) - low) * rng.random())


@st.composite
def tables(draw, **options):
    """Small random tables; see `_table` for the options."""
    return _table(_Drawn(draw), **options)


@st.composite
def problems(draw, **options):
    """Small random tables, each with a budget; see `_problem`."""
    return _problem(_Drawn(draw), **options)


def seeded_problem(seed, **options):
    """Return the table and the budget of a random seed; see `_problem`."""
    return _problem(_Seeded(seed), **options)

"""Random tables full of what breaks solvers: ties, duplicates, zeros, collinear steps, sorted rows, odd magnitudes."""

from dataclasses import dataclass

import numpy as np
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


@st.composite
def tables(draw, max_rows=7, max_actions=5, plain=False, magnitudes=True):
    """Small random tables; `plain`: without masks and weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(1, max_rows)), draw(st.integers(1, max_actions))
    kinds = draw(st.sampled_from(ACC)), draw(st.sampled_from(COST))
    acc, cost = _acc(kinds[0], rng, n, k), _cost(kinds[1], rng, n, k)
    change = draw(st.sampled_from(["", "", "", "duplicate", "collinear", "sorted", "repeat"]))
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
    if draw(st.integers(0, 3)) == 0:
        cost = cost[0].copy()
    if magnitudes and "near" not in kinds:  # near at 1e±150 would need prices beyond 1e308: refused, with its own test
        acc = acc * 10.0 ** draw(st.sampled_from([0, 0, 0, 0, 150, -150, 3, -7]))
        cost = cost * 10.0 ** draw(st.sampled_from([0, 0, 0, 0, 150, -150, 4, -5]))
    if draw(st.integers(0, 4)) == 0 and not (magnitudes and (abs(acc).max() > 1e30 or abs(cost).max() > 1e30)):
        acc = acc.astype(np.float32)
        if draw(st.booleans()):
            cost = cost.astype(np.float32)
    available = weights = None
    if not plain and draw(st.integers(0, 2)) == 0:
        available = rng.random((n, k)) < 0.7
        available[np.arange(n), rng.integers(0, k, n)] = True
        if draw(st.booleans()):
            acc = np.where(available, acc, np.nan).astype(acc.dtype)
    if not plain and draw(st.integers(0, 2)) == 0:
        weights = draw(
            st.sampled_from(
                [rng.integers(0, 4, n).astype(float), rng.random(n), rng.random(n) * 1e150, rng.random(n) * 1e-3]
            )
        )
        if not weights.any():
            weights[0] = 1.0
    return Table(acc, cost, available, weights)


@st.composite
def problems(draw, **options):
    """A table and a budget: at the ends, on vertices (rounded means of feasible choices), between, and beyond."""
    table = draw(tables(**options))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    from exact import mean_cost  # the tests' own exact arithmetic

    cost = np.where(table.mask, table.full_cost.astype(np.float64), np.nan)
    low = mean_cost(table, np.nanargmin(cost, axis=1))
    high = mean_cost(table, np.nanargmax(cost, axis=1))
    kind = draw(st.sampled_from(["low", "high", "between", "between", "choice", "choice", "above", "inf"]))
    if kind == "low":
        return table, low
    if kind == "high":
        return table, high
    if kind == "choice":
        pick = np.array([rng.choice(np.flatnonzero(m)) for m in table.mask])
        return table, mean_cost(table, pick)
    if kind == "above":
        return table, high * 2 + 1
    if kind == "inf":
        return table, float("inf")
    return table, max(low, low + (high - low) * rng.random())

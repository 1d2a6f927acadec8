"""Magnitudes from 1e-320 to 1.7e308, mixed: every answer is right by exact arithmetic, or refused in words."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from exact import concave_hull, exact_rows, sums
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Table

import tcalloc

POWERS = (-320, -300, -200, -160, -100, -62, -30, 0, 0, 0, 30, 62, 100, 160, 200, 300, 307)
LARGEST = 1.797e308
SMALLEST = Fraction(5e-324)


def numbers(rng, shape, *, signed):
    """Random numbers of one magnitude, or of several."""
    values = (
        rng.random(shape)
        if rng.random() < 0.4
        else rng.choice([0.0, 0.25, 0.3, 0.5, 0.8, 1.0, 1.7], shape)
        if rng.random() < 0.5
        else np.cumsum(rng.random(shape), axis=-1)
    )
    if signed and rng.random() < 0.3:
        values = values * rng.choice([-1, 1], shape)
    power = float(rng.choice(POWERS))
    powers = power + rng.choice([0, -60, -119, 5, -20], shape) if rng.random() < 0.3 else np.full(shape, power)
    with np.errstate(all="ignore"):
        return np.clip(values * 10.0**powers, -LARGEST, LARGEST)


@st.composite
def extremes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = rng.integers(1, 6, 2)
    acc = numbers(rng, (n, k), signed=True)
    cost = numbers(rng, (n, k) if rng.random() < 0.7 else (k,), signed=False)
    weights = numbers(rng, (n,), signed=False) if rng.random() < 0.4 else None
    if weights is not None and not weights.all():
        weights = None
    available = None
    if rng.random() < 0.2:
        available = rng.random((n, k)) < 0.7
        available[np.arange(n), rng.integers(0, k, n)] = True
    if rng.random() < 0.15:
        acc = np.clip(acc, -3.4e38, 3.4e38).astype(np.float32)
    return Table(acc, cost, available, weights)


def part(table, i):
    cost = table.cost if table.cost.ndim == 1 else table.cost[i : i + 1]
    available = None if table.available is None else table.available[i : i + 1]
    weights = None if table.weights is None else table.weights[i : i + 1]
    return tcalloc.frontier(table.acc[i : i + 1], cost, available=available, weights=weights)


class Curve:
    """The linear program's curve, exactly."""

    def __init__(self, table):
        rows, weights = exact_rows(table)
        hulls = [concave_hull(points) for points in rows]
        self.weight = sum(weights)
        self.low = sum(w * hull[0][0] for w, hull in zip(weights, hulls, strict=True))
        self.worst = sum(w * hull[0][1] for w, hull in zip(weights, hulls, strict=True))
        steps = [
            (w * (d - c), w * (b - a))
            for w, hull in zip(weights, hulls, strict=True)
            for (c, a), (d, b) in itertools.pairwise(hull)
        ]
        self.steps = sorted(steps, key=lambda step: -step[1] / step[0])
        self.high = self.low + sum(step[0] for step in steps)
        self.best = self.worst + sum(step[1] for step in steps)

    def _along(self, start, other, limit, this):
        for step in self.steps:
            share = min(max((limit - start) / step[this], Fraction(0)), Fraction(1))
            start, other = start + share * step[this], other + share * step[1 - this]
        return other / self.weight

    def accuracy(self, budget):
        return self._along(self.low, self.worst, budget * self.weight, 0)

    def budget(self, accuracy):
        return self._along(self.worst, self.low, accuracy * self.weight, 1)


@settings(max_examples=60)
@given(extremes(), st.floats(0, 1))
def test_curves_plans_and_merges_are_right_or_refused(table, share):
    n = len(table.acc)
    try:
        curve = tcalloc.frontier(**table.inputs)
    except tcalloc.InputError as refused:
        assert "holds magnitudes from" in str(refused)  # noqa: PT017
        try:
            parts = [part(table, i) for i in range(n)]
        except tcalloc.InputError:
            return
        with pytest.raises(tcalloc.InputError, match="of the frontiers together holds magnitudes from"):
            tcalloc.Frontier.merge(parts)
        return
    true = Curve(table)
    scale = max(abs(Fraction(float(x))) for x in table.acc[table.mask])
    merged = tcalloc.Frontier.merge([part(table, i) for i in range(n)])
    assert merged._path.steps.efficiency.tolist() == curve._path.steps.efficiency.tolist()
    np.testing.assert_allclose(merged.budgets, curve.budgets, rtol=1e-12)

    budget = max(float((true.low + Fraction(share) * (true.high - true.low)) / true.weight), float(curve.budgets[0]))
    near = Fraction(2.0**-49) * Fraction(budget) + SMALLEST
    slop = scale / 10**12 + SMALLEST
    found = Fraction(curve.accuracy_at(budget))
    assert true.accuracy(Fraction(budget) - near) - slop <= found <= true.accuracy(Fraction(budget) + near) + slop
    target = min(float((true.worst + Fraction(share) * (true.best - true.worst)) / true.weight), curve.accuracies[-1])
    near = Fraction(2.0**-49) * (abs(Fraction(target)) + scale / 2) + SMALLEST
    found = Fraction(curve.budget_for(target))
    low, high = true.budget(Fraction(target) - near), true.budget(Fraction(target) + near)
    assert low * (1 - Fraction(2.0**-48)) - SMALLEST <= found <= high * (1 + Fraction(2.0**-48)) + SMALLEST

    for make in (
        lambda: tcalloc.solve(**table.inputs, budget=budget),
        lambda: tcalloc.solve(**table.inputs, budget=budget, method="bisect"),
        lambda: curve.allocate(budget),
        lambda: curve.allocate(accuracy=target),
    ):
        try:
            plan = make()
        except tcalloc.InputError as refused:
            # The price is no float64; the mean of costs near 5e-324 is rounded to one that is too low.
            assert "beyond 1e308 or below 1e-308" in str(refused) or budget < 1e-300  # noqa: PT017
            continue
        spend, gain, weight = sums(table, plan.actions)
        assert abs(Fraction(plan.spend) - spend / weight) <= Fraction(2.0**-50) * spend / weight + SMALLEST
        assert abs(Fraction(plan.accuracy) - gain / weight) <= Fraction(2.0**-50) * scale + SMALLEST
        assert spend / weight <= Fraction(plan.budget) * (1 + Fraction(2.0**-49)) + SMALLEST
        assert Fraction(plan.upper_bound) >= gain / weight - slop
        assert plan.price >= 0
    assert curve.accuracy_at(LARGEST) == curve.accuracies[-1]
    assert curve.budget_for(-LARGEST) == curve.budgets[0]


@settings(max_examples=200)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 5e-324, 1e-300, 1e-160, 1e-10, 0.1, 1.0, 1e10, 1e160, 1e300, 1.7e308, math.inf]),
)
def test_decisions_are_right_or_refused(seed, price):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 6))
    acc, cost = numbers(rng, k, signed=True), numbers(rng, k, signed=False)
    try:
        chosen = tcalloc.decide(acc, cost, price)
    except tcalloc.InputError as refused:
        assert "holds magnitudes from" in str(refused)  # noqa: PT017
        return
    exact = [(Fraction(a), Fraction(c)) for a, c in zip(acc.tolist(), cost.tolist(), strict=True)]
    if price == math.inf:
        assert chosen == min(range(k), key=lambda i: (exact[i][1], -exact[i][0], i))
        return
    utility = [a - Fraction(price) * c for a, c in exact]
    best = max(range(k), key=lambda i: utility[i])
    # What the rounding of a utility may hide.
    sizes = [abs(exact[i][0]) + Fraction(price) * exact[i][1] for i in (best, chosen)]
    assert utility[best] - utility[chosen] <= Fraction(2.0**-51) * max(sizes)
    assert list(tcalloc.decide(np.array([acc, acc]), cost, price)) == [chosen] * 2

"""The tests' own solver, exact and without any idea of the package: short, and right.

Every float is a whole multiple of a power of two. So all sums run on whole numbers of such units, which is many times
faster than Fractions; results are Fractions.
"""

import itertools
from fractions import Fraction

import numpy as np


def whole(values):
    """Return floats as whole numbers of one unit, and this unit."""
    ratios = [value.as_integer_ratio() for value in np.asarray(values, np.float64).tolist()]
    parts = max((low for _, low in ratios), default=1)
    return [high * (parts // low) for high, low in ratios], Fraction(1, parts)


class Exact:
    """A table in whole numbers. `rows`: lists of (cost, acc, column) of the available actions; `weights`.

    `spend_unit` and `gain_unit` are the units of weight times cost, and of weight times accuracy.
    """

    def __init__(self, table):
        mask = np.asarray(table.mask)
        costs, cost_unit = whole(table.full_cost[mask])
        accuracies, acc_unit = whole(table.acc[mask])
        self.weights, self.weight_unit = whole(table.w)
        self.spend_unit, self.gain_unit = self.weight_unit * cost_unit, self.weight_unit * acc_unit
        self.rows = [[] for _ in mask]
        for i, a, c, u in zip(*(at.tolist() for at in np.nonzero(mask)), costs, accuracies, strict=True):
            self.rows[i].append((c, u, a))


def exact_rows(table):
    """Rows as lists of (cost, acc, column) of the available actions, and the weights, all Fractions."""
    exact = Exact(table)
    cost_unit, acc_unit = exact.spend_unit / exact.weight_unit, exact.gain_unit / exact.weight_unit
    rows = [[(c * cost_unit, u * acc_unit, a) for c, u, a in row] for row in exact.rows]
    return rows, [w * exact.weight_unit for w in exact.weights]


def sums(table, actions):
    """Exact Σ w·cost, Σ w·acc, Σ w of a choice."""
    at = np.arange(len(table.acc)), actions
    weights, weight_unit = whole(table.w)
    costs, cost_unit = whole(table.full_cost[at])
    accuracies, acc_unit = whole(table.acc[at])
    spend = sum(w * c for w, c in zip(weights, costs, strict=True))
    gain = sum(w * u for w, u in zip(weights, accuracies, strict=True))
    return spend * cost_unit * weight_unit, gain * acc_unit * weight_unit, sum(weights) * weight_unit


def mean_cost(table, actions):
    spend, _, weight = sums(table, actions)
    return float(spend / weight)


def concave_hull(points):
    """Vertices of the upper concave envelope of (cost, acc) from the cheapest to the best, by the definition."""
    points = sorted({(c, a) for c, a, _ in points}, key=lambda p: (p[0], -p[1]))
    hull = [points[0]]
    while True:
        c, a = hull[-1]
        onward = [p for p in points if p[0] > c and p[1] > a]
        if not onward:
            return hull
        hull.append(max(onward, key=lambda p: (Fraction(p[1] - a) / (p[0] - c), p[0])))


def lp_values(table, limits):
    """The linear program's optima Σ w·acc at Σ w·cost ≤ each limit, and the largest w·Δacc of a step."""
    exact = Exact(table)
    cheapest = worst = 0
    steps = []
    for points, w in zip(exact.rows, exact.weights, strict=True):
        hull = concave_hull(points)
        cheapest += w * hull[0][0]
        worst += w * hull[0][1]
        for (c, a), (d, b) in itertools.pairwise(hull):
            steps.append((Fraction(b - a, d - c), w * (d - c), w * (b - a)))
    steps.sort(key=lambda step: -step[0])
    found = []
    for limit in limits:
        if cheapest * exact.spend_unit > limit * (1 + Fraction(1, 2**48)):
            raise ValueError("infeasible")
        left, gain = max(Fraction(0), limit / exact.spend_unit - cheapest), worst
        for _, dc, da in steps:
            if dc > left:
                gain += left / dc * da
                break
            left, gain = left - dc, gain + da
        found.append(gain * exact.gain_unit)
    return found, max((da for _, _, da in steps), default=0) * exact.gain_unit


def best_choice(table, limit):
    """The best integer choice by trying all: (gain), or None."""
    exact = Exact(table)
    most, best = limit / exact.spend_unit, None
    for choice in itertools.product(*exact.rows):
        spend = sum(w * c for w, (c, _, _) in zip(exact.weights, choice, strict=True))
        if spend <= most:
            gain = sum(w * a for w, (_, a, _) in zip(exact.weights, choice, strict=True))
            best = gain if best is None or gain > best else best
    return None if best is None else best * exact.gain_unit

"""The tests' own solver, in exact rationals and without any idea of the package: slow, short, and right."""

import itertools
from fractions import Fraction

import numpy as np


def exact_rows(table):
    """Rows as lists of (cost, acc, column) of the available actions, and the weights, all Fractions."""
    cost = table.full_cost
    rows = [
        [(Fraction(float(cost[i, a])), Fraction(float(table.acc[i, a])), a) for a in np.flatnonzero(table.mask[i])]
        for i in range(len(table.acc))
    ]
    return rows, [Fraction(float(w)) for w in table.w]


def sums(table, actions):
    """Exact Σ w·cost, Σ w·acc, Σ w of a choice."""
    cost = table.full_cost
    w = [Fraction(float(x)) for x in table.w]
    spend = sum(x * Fraction(float(cost[i, a])) for i, (x, a) in enumerate(zip(w, actions, strict=True)))
    gain = sum(x * Fraction(float(table.acc[i, a])) for i, (x, a) in enumerate(zip(w, actions, strict=True)))
    return spend, gain, sum(w)


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
        hull.append(max(onward, key=lambda p: ((p[1] - a) / (p[0] - c), p[0])))


def lp_value(table, limit):
    """The linear program's optimum Σ w·acc at Σ w·cost ≤ limit, and the largest w·Δacc of a step."""
    rows, weights = exact_rows(table)
    spend = gain = Fraction(0)
    steps = []
    for points, w in zip(rows, weights, strict=True):
        hull = concave_hull(points)
        spend += w * hull[0][0]
        gain += w * hull[0][1]
        for (c, a), (d, b) in itertools.pairwise(hull):
            steps.append(((b - a) / (d - c), w * (d - c), w * (b - a)))
    if spend > limit * (1 + Fraction(1, 2**48)):
        raise ValueError("infeasible")
    largest = max((s[2] for s in steps), default=Fraction(0))
    for _, dc, da in sorted(steps, key=lambda s: -s[0]):
        if dc > 0:
            part = max(Fraction(0), min(Fraction(1), (limit - spend) / dc))
            spend, gain = spend + part * dc, gain + part * da
    return gain, largest


def best_choice(table, limit):
    """The best integer choice by trying all: (gain), or None."""
    best = None
    rows, weights = exact_rows(table)
    for choice in itertools.product(*rows):
        spend = sum(w * c for w, (c, _, _) in zip(weights, choice, strict=True))
        if spend <= limit:
            gain = sum(w * a for w, (_, a, _) in zip(weights, choice, strict=True))
            best = gain if best is None or gain > best else best
    return best

"""Runs a rule on a stream, and compares it with the best price in hindsight."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from bench.streams.worlds import Stream

__all__ = ["Outcome", "hindsight", "run"]


@dataclass(frozen=True)
class Outcome:
    """What a rule reached."""

    accuracy: float
    spend: float
    """All bills over the budget."""
    refused: int
    """Requests without an action."""
    path: list[float]
    """Bills so far over the budget, at a hundred places."""
    prices: list[float]


def run(rule, stream: Stream) -> Outcome:
    acc, cost = stream.acc.tolist(), stream.cost.tolist()
    waiting: deque[tuple[int, float]] = deque()
    total = stream.budget * len(stream)
    reached = paid = 0.0
    refused, path, prices = 0, [], []
    for i in range(len(stream)):
        while waiting and waiting[0][0] <= i - stream.lag:
            rule.bill(*waiting.popleft())
        j = rule.decide(i, acc[i], cost[i])
        if j < 0:
            refused += 1
        else:
            reached += acc[i][j]
            bill = cost[i][j] * float(stream.bill[i])
            paid += bill
            waiting.append((i, bill))
        if i % max(len(stream) // 100, 1) == 0:
            path.append(paid / total)
            prices.append(getattr(rule, "price", 0.0))
    while waiting:
        rule.bill(*waiting.popleft())
    rule.end()
    return Outcome(reached / len(stream), paid / total, refused, path, prices)


def hindsight(stream: Stream) -> float:
    """Return the accuracy of the best fixed price, which knows all requests and bills."""
    real = stream.cost * stream.bill[:, None]
    # A price that doubles is known to it; what single bills will be is not, so it decides by expected costs.
    level = np.ones(len(stream))
    half = len(stream) // 2
    if stream.bill[half:].mean() > 1.5 * stream.bill[:half].mean():
        level[half:] = 2.0
    known = stream.cost * level[:, None]
    rows = np.arange(len(stream))
    low, high = 1e-9 / stream.budget, 1e3 / stream.budget

    def at(price: float) -> tuple[float, float]:
        chosen = np.argmax(stream.acc - price * known, axis=1)
        return float(stream.acc[rows, chosen].mean()), float(real[rows, chosen].mean())

    if at(low)[1] <= stream.budget:
        return at(low)[0]
    for _ in range(200):
        price = np.sqrt(low * high)
        if at(price)[1] > stream.budget:
            low = price
        else:
            high = price
    (above, more), (below, less) = at(low), at(high)
    share = (stream.budget - less) / (more - less) if more > less else 0.0
    return below + share * (above - below)

"""Runs a rule on a stream, and compares it with the best price in hindsight."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from bench.streams.worlds import Stream

__all__ = ["Outcome", "hindsight", "run", "under_cap"]


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
    real, known = stream.cost * stream.bill[:, None], known_costs(stream)
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


def known_costs(stream: Stream) -> np.ndarray:
    """Return expected costs as hindsight knows them: a price that doubles, but not what single bills will be."""
    level = np.ones(len(stream))
    half = len(stream) // 2
    if stream.bill[half:].mean() > 1.5 * stream.bill[:half].mean():
        level[half:] = 2.0
    return stream.cost * level[:, None]


def under_cap(stream: Stream, spend: float = 0.0) -> tuple[float, float]:
    """Return accuracy and spend over budget of the best in hindsight that keeps the hard cap.

    At the last decision, the bills of the last `lag` requests have not come, and each holds its maximum. So

        bills before + maxima of the last <= budget,

    and what these maxima exceed their bills by stays unspent. The best choice counts them as their maxima: the last
    requests have a higher price, by the ratio of maximum and expected cost.

    Parameters
    ----------
    stream : Stream
        The stream.
    spend : float
        The share of the budget that must be spent. The price of the last requests is raised until it is.
    """
    real, known = stream.cost * stream.bill[:, None], known_costs(stream)
    rows, total = np.arange(len(stream)), stream.budget * len(stream)
    late = rows >= len(stream) - stream.lag

    def at(price: float, factor: float) -> tuple[float, float, float]:
        chosen = np.argmax(stream.acc - np.where(late[:, None], factor * price, price) * known, axis=1)
        paid, most = real[rows, chosen], np.maximum(known[rows, chosen] * stream.most, real[rows, chosen])
        held = paid[~late].sum() + most[late].sum()
        return float(stream.acc[rows, chosen].mean()), float(paid.sum() / total), float(held / total)

    factor = stream.most
    while True:
        low, high = 1e-9 / stream.budget, 1e3 / stream.budget
        for _ in range(60):
            price = np.sqrt(low * high)
            low, high = (price, high) if at(price, factor)[2] > 1.0 else (low, price)
        accuracy, spent, _ = at(high, factor)
        if spent >= spend or factor > 100.0:
            return accuracy, spent
        factor *= 1.2

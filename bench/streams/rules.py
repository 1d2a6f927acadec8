"""The rules that are compared: the keeper, and what others do. A rule decides requests, and is told their bills."""

import math

import numpy as np

from bench.streams.worlds import DAYS, Stream
from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import WHOLE, Book
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.demand import ladder_of
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.pacing import Pace, Pacer
from tcalloc.serve.keeper.period import period_of
from tcalloc.serve.keeper.store import MemoryStore

__all__ = ["RULES", "VARIANTS", "Keeper", "Rule", "price_for"]


def best(acc: list[float], cost: list[float], price: float) -> int:
    """Return the action with the highest accuracy minus price times cost; on a tie, the cheapest."""
    values = [a - price * c for a, c in zip(acc, cost, strict=True)]
    return values.index(max(values))


def price_for(acc: np.ndarray, cost: np.ndarray, budget: float) -> float:
    """Return the lowest price at which requests spend a budget on average, by bisection."""
    low, high = 0.0, 1e3 / budget
    for _ in range(100):
        price = math.sqrt(max(low, 1e-12) * high)
        chosen = np.argmax(acc - price * cost, axis=1)
        if cost[np.arange(len(cost)), chosen].mean() > budget:
            low = price
        else:
            high = price
    return high


class Rule:
    """The frozen price: calibrated once, never changed."""

    def __init__(self, stream: Stream, wrong: float = 1.0):
        self.stream, self.budget = stream, stream.budget
        self.price = price_for(*stream.calibration, budget=stream.budget) * wrong

    def decide(self, i: int, acc: list[float], cost: list[float]) -> int:
        """Return the action of a request; −1: none."""
        return best(acc, cost, self.price)

    def bill(self, i: int, bill: float) -> None:
        """Take note of the bill of request i."""

    def end(self) -> None:
        """Take note that the stream has ended."""


class DualSteps(Rule):
    """A fixed step of the price per bill, as a share of it: λ ← λ·exp(η·(bill / budget − 1))."""

    def __init__(self, stream: Stream, step: float):
        super().__init__(stream)
        self.step = step

    def bill(self, i, bill):
        self.price = min(self.price * math.exp(self.step * (bill / self.budget - 1.0)), 1e6)


class PI(Rule):
    """Proportional and integral control of the logarithm of the price, on the mean of the last bills (1/100 a bill)."""

    def __init__(self, stream: Stream):
        super().__init__(stream)
        self.first, self.mean, self.sum = self.price, stream.budget, 0.0

    def bill(self, i, bill):
        self.mean += 0.01 * (bill - self.mean)
        off = self.mean / self.budget - 1.0
        self.sum += off
        self.price = self.first * math.exp(min(max(0.5 * off + 0.002 * self.sum, -20.0), 20.0))


class ReSolve(Rule):
    """Re-solve alone: the price at which recent demand meets (budget − bills so far) / requests left."""

    def __init__(self, stream: Stream):
        super().__init__(stream)
        self.pacer = Pacer(len(stream) / 20)
        self.left = float(stream.budget * len(stream))

    def decide(self, i, acc, cost):
        self.pacer.demand.add(ladder_of(acc, cost), float(i))
        if i % 20 == 0 and i >= 20:
            self.pacer.set_price(Pace(max(self.left, 0.0), float(len(self.stream) - i)))
            self.price = self.pacer.price
        return best(acc, cost, self.price) if self.price < math.inf else int(np.argmin(cost))

    def bill(self, i, bill):
        self.left -= bill


class ParetoBandit(Rule):
    """The pacer of ParetoBandit (arXiv 2604.00136), with the accuracies known instead of learned.

    λ ← min(5, max(0, λ + 0.05·(m/budget − 1))), where m is the mean of bills with weight 0.05 of the latest. The score
    of an action is accuracy − λ·(log cost, scaled to [0, 1]). Actions that cost more than max cost / (1 + λ) are left
    out.
    """

    def __init__(self, stream: Stream):
        super().__init__(stream)
        self.weight, self.mean = 0.0, stream.budget
        self.floor, self.ceiling = float(stream.cost.min()), float(stream.cost.max())

    def decide(self, i, acc, cost):
        span = math.log(self.ceiling / self.floor)
        limit = self.ceiling / (1.0 + self.weight)
        scores = [
            a - self.weight * math.log(c / self.floor) / span if c <= limit else -math.inf
            for a, c in zip(acc, cost, strict=True)
        ]
        top = max(scores)
        return scores.index(top) if top > -math.inf else int(np.argmin(cost))

    def bill(self, i, bill):
        self.mean += 0.05 * (bill - self.mean)
        self.weight = min(5.0, max(0.0, self.weight + 0.05 * (self.mean / self.budget - 1.0)))


class Uncapped(MemoryStore):
    """A book that reserves nothing, so that its cap refuses nothing."""

    def reserve(self, grant, tenant, options, lifetime, came=1):
        return super().reserve(grant, tenant, [(0, likely) for _, likely in options], lifetime, came)


class Keeper(Rule):
    """`tcalloc.BudgetKeeper`, which is told nothing but the total and the period."""

    def __init__(
        self, stream: Stream, wrong: float | None = None, cap: bool = True, replicas: int = 1, forecast: bool = False
    ):
        self.stream = stream
        self.now = 0.0
        total = stream.budget * len(stream)
        period = len(stream) if stream.times is None else f"{DAYS}d"
        clock = LedgerClock(lambda: self.now, lambda: 0.0)
        price = None if wrong is None else price_for(*stream.calibration, budget=stream.budget) * wrong
        store = (MemoryStore if cap else Uncapped)(Book(Units(total, BITS).limit, period_of(period, False)), clock)
        self.keepers = [
            BudgetKeeper(total, period=period, lifetime=1e9, price=price, store=store) for _ in range(replicas)
        ]
        if forecast:
            some = np.random.default_rng(1).choice(len(stream), 2000, replace=False)
            self.keepers[0].forecast(stream.acc[some], stream.cost[some])
        self.cap = cap
        if not cap:  # expected costs are all that counts
            for pacer in self.keepers[0]._learned.pacers.values():
                pacer.caution, pacer.note_grant = (lambda left: 0.0), (lambda likely, most: None)
        self.grants: dict[int, Grant] = {}
        self.last = 0.0
        self.names = [str(j) for j in range(stream.acc.shape[1])]

    @property
    def price(self) -> float:
        """The latest price of the first replica."""
        return self.last

    def decide(self, i, acc, cost):
        """Ask the keeper (one replica after the other)."""
        if self.stream.times is not None:
            self.now = float(self.stream.times[i])
        factor = self.stream.most if self.cap else 1.0
        keeper = self.keepers[i % len(self.keepers)]
        grant = keeper.choose(self.names, acc, cost, [c * factor for c in cost])
        self.last = grant.price
        if grant.action is None:
            return -1
        self.grants[i] = grant
        return int(grant.action)

    def bill(self, i, bill):
        """Settle the grant of request i; the cap must hold after every bill."""
        self.grants.pop(i).settle(bill)
        book = self.keepers[0].store.book
        whole = book.accounts[WHOLE]
        assert whole.settled + whole.reserved <= book.limit or not self.cap, "the cap was crossed"


RULES = {
    "frozen price": Rule,
    "dual steps 0.001": lambda stream: DualSteps(stream, 0.001),
    "dual steps 0.01": lambda stream: DualSteps(stream, 0.01),
    "PI": PI,
    "re-solve alone": ReSolve,
    "ParetoBandit": ParetoBandit,
    "keeper": Keeper,
}
# The keeper in other circumstances, and (parts of the names of) the streams that it is run on so.
VARIANTS = {
    "keeper without its cap": (lambda stream: Keeper(stream, cap=False), ("harder half", "Pareto", "5,000", "lag")),
    "keeper, first price × 100": (lambda stream: Keeper(stream, wrong=100.0), ("harder half", "daily")),
    "keeper, first price / 100": (lambda stream: Keeper(stream, wrong=0.01), ("harder half", "daily")),
    "keeper, 8 replicas": (lambda stream: Keeper(stream, replicas=8), ("harder half", "daily", "price doubles")),
    "keeper with a forecast": (lambda stream: Keeper(stream, forecast=True), ("sorted",)),
}

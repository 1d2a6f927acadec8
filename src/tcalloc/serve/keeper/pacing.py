"""The pacing rule: at which price the money lasts until the end of the period.

The price is where the demand at that price, times the requests that are left, meets the money that is left. It has no
step size. Two things make it exact enough for a total that must not be exceeded:

1. An open grant counts with its expected bill; only the cap counts its maximum. A grant so late in the period that its
   bill comes after the last request cannot give anything back, so it counts with its maximum here too.
2. Expected costs are corrected by what bills have been so far (`bills.py`). Demand is remembered in stated costs, so
   that a correction holds for it at once.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc.serve.keeper.demand import BINS, PER_DECADE, Demand, Ladder, price_of

__all__ = ["Pace", "Pacer"]

# Weight of the latest bill in the mean lag, and of the latest grant in the mean ratio of maximum and expected cost.
LATEST = 0.01
# When this share of the requests of a forecast is left, the sample is too coarse for the rest.
FORECAST_ENDS = 0.01
# The width of a bin of the demand, in natural logarithms: prices are spread over one, so that requests that are all
# alike are split as the money allows.
SPREAD = math.log(10.0) / PER_DECADE


class Pace(NamedTuple):
    """What is left of a period, for one account."""

    money: float
    """Money that is neither settled nor expected to be spent by open grants."""
    left: float
    """Requests that will still come, the one that is decided included."""


class Pacer:
    """The price of one account. After a distance of `half_life`, a request counts half in the demand."""

    def __init__(self, half_life: float):
        self.demand = Demand(half_life)
        self.price: float | None = None
        """The current price; None: nothing is known yet."""
        self.level = 1.0
        """What bills are at present as a multiple of stated costs; demand is remembered in stated costs."""
        self.lag = 0.0
        """Mean number of requests between a grant and its bill."""
        self._spread = 1.0  # mean maximum over mean expected cost
        self._bills = 0
        self._coming: Demand | None = None
        self._expected = 0.0

    def expect(self, ladders: Sequence[Ladder], requests: float) -> None:
        """Plan with a forecast of the requests that a period still has, instead of with recent ones.

        The ladders are those of a sample; `requests` is how many will come.
        """
        self._coming = Demand(math.inf)
        self._expected = requests
        for ladder in ladders:
            self._coming.add(ladder, 0.0, requests / len(ladders))

    def forget_forecast(self) -> None:
        """Plan with recent requests again."""
        self._coming = None

    def note_request(self, ladder: Ladder, position: float) -> None:
        """Take note of a request that came at a position of the period."""
        self.demand.add(ladder, position, level=self.level)
        if self._coming is not None:
            self._coming.add(ladder, 0.0, -1.0, self.level)  # it will not come any more
            if self._coming.count < FORECAST_ENDS * self._expected:
                self._coming = None

    def note_grant(self, likely: float, most: float) -> None:
        """Take note of a grant's expected and highest cost."""
        if likely > 0:
            self._spread += LATEST * (most / likely - self._spread)

    def note_bill(self, requests: int) -> None:
        """Take note of how many requests came until a bill did."""
        self._bills += 1
        self.lag += max(LATEST, 1.0 / self._bills) * (requests - self.lag)

    def caution(self, left: float) -> float:
        """Return how far the maximum of a grant counts instead of its expected cost, from 0 to 1."""
        return 0.0 if left == np.inf else min(max(2.0 - left / max(self.lag, 1.0), 0.0), 1.0)

    def set_price(self, pace: Pace) -> None:
        """Set the price at which the money lasts for the requests that are left."""
        spends, first = (self.demand if self._coming is None else self._coming).curve()
        if pace.left <= 0 or not spends.any():
            return
        careful = min(self.lag, pace.left) if pace.left < np.inf else 0.0
        planned = (1.0 - careful / pace.left if pace.left < np.inf else 1.0) * spends
        if careful:
            planned = planned + careful / pace.left * self._spread * _shifted(spends, self._spread)
        target = pace.money / pace.left if pace.left < np.inf else pace.money
        self.price = _crossing(planned, first, target / self.level) / self.level

    def spend_at(self, price: float) -> float:
        """Return the mean expected spend of a request at a price, by recent demand and at the level of bills."""
        return self.level * self.demand.spend_at(price * self.level)

    def places(self, pace: Pace, ladder: Ladder, counted: list[float], luck: float) -> tuple[list[int], bool]:
        """Return the places of a ladder to try, the best first, and whether there is too little money for the best.

        `counted` is what each action counts as: its expected cost, and near the end of the period up to its highest
        cost. `luck` is a random number in [0, 1).
        """
        price = self.price or 0.0
        if price < math.inf:
            price *= math.exp(SPREAD * (luck - 0.5))
        if counted != ladder.costs:
            steps = zip(ladder.efficiencies, pairwise(ladder.costs), pairwise(counted), strict=True)
            efficiencies = [e * (b - a) / (d - c) if d > c else math.inf for e, (a, b), (c, d) in steps]
            ladder = Ladder(ladder.actions, counted, efficiencies)
        wanted = chosen = ladder.at(price)
        if pace.left < math.inf:  # something must be left for the cheapest action of each request to come
            room = pace.money - counted[0] * (pace.left - 1.0)
            while chosen > 0 and counted[chosen] > room:
                chosen -= 1
        return list(range(chosen, -1, -1)), chosen < wanted


def _shifted(spends: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return the curve of demand at prices that are higher by a factor."""
    places = np.arange(BINS + 1) + PER_DECADE * np.log10(factor)
    return np.asarray(np.interp(places, np.arange(BINS + 1), spends))


def _crossing(planned: NDArray[np.float64], first: int, target: float) -> float:
    """Return the price at which a falling curve crosses a target."""
    if planned[0] <= target:
        return 0.0
    if planned[BINS] >= target:
        return np.inf
    bin_ = int(np.searchsorted(-planned, -target, side="left")) - 1  # planned[bin_] > target >= planned[bin_ + 1]
    step = planned[bin_] - planned[bin_ + 1]
    return price_of(bin_ + (planned[bin_] - target) / step, first)

"""What requests would spend at each price: a histogram of their hull steps, which forgets.

Each request has a ladder of actions (the vertices of its hull): the cheapest one, and steps that cost more and reach
more. At price λ a request takes all steps whose efficiency is at least λ. So the mean spend at λ is the cost of the
cheapest actions plus that of all such steps, and one histogram of costs over log efficiency answers it for all prices.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.hull import upper_hull

__all__ = ["BINS", "PER_DECADE", "Demand", "Ladder", "ladder_of", "ladders_of", "price_of"]

# Bins of log efficiency, and how many of them a decade has: eight decades.
BINS = 400
PER_DECADE = 50
# Requests that are remembered at least, however little traffic there is.
LEAST = 50.0

_LOG = PER_DECADE / math.log(10.0)


class Ladder(NamedTuple):
    """The actions of one request that are worth taking at some price, from the cheapest on."""

    actions: list[int]
    """Their columns."""
    costs: list[float]
    """Their expected costs."""
    efficiencies: list[float]
    """For each action but the first: accuracy per cost of the step to it; they fall."""

    def at(self, price: float) -> int:
        """Return the place of the action to take at a price."""
        place = 0
        for efficiency in self.efficiencies:
            if efficiency < price:
                break
            place += 1
        return place


def ladder_of(accuracy: Sequence[float], costs: Sequence[float]) -> Ladder:
    """Return the ladder of one request.

    Parameters
    ----------
    accuracy, costs : sequence of float, (K,)
        What each action is expected to reach and to cost.

    Examples
    --------
    >>> from tcalloc.serve.keeper.demand import ladder_of
    >>> ladder_of([0.5, 0.8, 0.7], [1.0, 3.0, 2.5]).actions
    [0, 1]
    """
    kept = upper_hull(costs, accuracy).tolist()
    found = [float(costs[j]) for j in kept]
    reached = [float(accuracy[j]) for j in kept]
    steps = [
        (reached[i + 1] - reached[i]) / (found[i + 1] - found[i]) if found[i + 1] > found[i] else math.inf
        for i in range(len(kept) - 1)
    ]
    return Ladder(kept, found, steps)


def ladders_of(accuracy: Any, costs: Any) -> list[Ladder]:
    """Return the ladders of a table of requests, (M, K); the costs may be those of all requests, (K,).

    Raises
    ------
    InputError
        If these are no tables of numbers.
    """
    reached = _numbers("accuracy", accuracy)
    if reached.ndim != 2 or not reached.size:
        raise InputError(f"accuracy has shape {reached.shape}; expected (M, K): a row per request of a sample.")
    paid = _numbers("costs", costs)
    if paid.shape not in (reached.shape, reached.shape[1:]) or (paid < 0).any():
        raise InputError(
            f"costs has shape {paid.shape}; expected {reached.shape} or {reached.shape[1:]}, like accuracy, and "
            "numbers of at least 0."
        )
    rows = np.broadcast_to(paid, reached.shape).tolist()
    return [ladder_of(row, cost) for row, cost in zip(reached.tolist(), rows, strict=True)]


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} holds what is no number, or rows of several lengths; expected a table.") from None
    if not np.isfinite(found).all():
        raise InputError(f"{name} holds NaN or infinity; expected numbers.")
    return found


class Demand:
    """The demand of recent requests. After a distance of `half_life`, in seconds or requests, one counts half."""

    def __init__(self, half_life: float):
        self._half_life = half_life
        self._position = 0.0
        self._first: int | None = None
        self.count = 0.0
        """How many requests it remembers."""
        self._base = 0.0
        self._steps: NDArray[np.float64] = np.zeros(BINS)
        self._weight = 1.0  # of a request now; growing weights spare the fading of all bins
        self._others: list[Demand] = []

    def add(self, ladder: Ladder, position: float, weight: float = 1.0, level: float = 1.0) -> None:
        """Remember a request at a position of the period; `weight` is how many it stands for.

        `level` is what one unit of cost is here: costs are divided by it. See `Learned.level`.
        """
        self._go(position)
        each = weight * self._weight
        self.count += each
        each /= level
        self._base += each * ladder.costs[0]
        costs = ladder.costs
        for i, efficiency in enumerate(ladder.efficiencies):
            if efficiency <= 0:
                break
            place = math.floor(math.log(efficiency * level) * _LOG) if efficiency < math.inf else None
            if self._first is None:
                self._first = (0 if place is None else place) - BINS // 2
            bin_ = BINS - 1 if place is None else min(max(place - self._first, 0), BINS - 1)
            self._steps[bin_] += each * (costs[i + 1] - costs[i])

    def _go(self, position: float) -> None:
        """Go on to a position: what was added before counts less from now on."""
        gone = position - self._position
        if gone <= 0:
            return
        self._position = position
        factor = 2.0 ** min(gone / self._half_life, 1000.0)
        self._weight *= min(factor, max(self.count / self._weight / LEAST, 1.0))
        if self._weight > 1e6:
            self._rescale()

    def _rescale(self) -> None:
        self.count /= self._weight
        self._base /= self._weight
        self._steps /= self._weight
        self._weight = 1.0

    @property
    def seen(self) -> float:
        """How many requests count at present, those of other keepers included."""
        return self.count / self._weight + sum(other.seen for other in self._others)

    def absorb(self, other: "Demand") -> None:
        """Take over what another keeper has seen, so that it need not be remembered on its own."""
        if other._first is not None:
            if self._first is None:
                self._first = other._first
            places = np.clip(np.arange(BINS) + other._first - self._first, 0, BINS - 1)
            np.add.at(self._steps, places, other._steps * (self._weight / other._weight))
        self._base += other._base * (self._weight / other._weight)
        self.count += other.count * (self._weight / other._weight)

    def join(self, others: Sequence["Demand"]) -> None:
        """Take account of what other keepers have seen, in place of what they had seen before."""
        self._others = [other for other in others if other.count > 0]

    def curve(self) -> tuple[NDArray[np.float64], int]:
        """Return the mean spend at the lower edge of each bin, with that above all bins last, and the first bin."""
        first = self._first
        for other in self._others:
            if first is None:
                first = other._first
        first = -BINS // 2 if first is None else first
        steps, base, count = np.zeros(BINS), 0.0, 0.0
        for one in (self, *self._others):
            share = 1.0 / one._weight
            if one._first == first or one._first is None:
                steps += one._steps * share
            else:
                np.add.at(steps, np.clip(np.arange(BINS) + one._first - first, 0, BINS - 1), one._steps * share)
            base += one._base * share
            count += one.count * share
        if count <= 0:
            return np.zeros(BINS + 1), first
        spends = np.empty(BINS + 1)
        spends[BINS] = base / count
        # A forecast from which requests are taken may be below zero in single bins.
        spends[:BINS] = np.maximum.accumulate(base + np.cumsum(steps[::-1]))[::-1] / count
        return spends, first

    def spend_at(self, price: float) -> float:
        """Return the mean expected spend of a request at a price."""
        spends, first = self.curve()
        if price <= 0:
            return float(spends[0])
        if price == np.inf:
            return float(spends[BINS])
        return float(np.interp(np.log(price) * PER_DECADE / np.log(10.0) - first, np.arange(BINS + 1), spends))

    def state(self) -> dict[str, Any]:
        """Return what other keepers need."""
        self._rescale()
        filled = np.flatnonzero(self._steps).tolist()
        return {
            "position": self._position,
            "first": self._first,
            "count": self.count,
            "base": self._base,
            "steps": [[place, float(self._steps[place])] for place in filled],
        }

    @classmethod
    def of_state(cls, state: Any, half_life: float, position: float) -> "Demand":
        """Return the demand that another keeper has seen, as it counts at a position."""
        made = cls(half_life)
        made._position = float(state["position"])
        made._first = None if state["first"] is None else int(state["first"])
        made.count, made._base = float(state["count"]), float(state["base"])
        for place, cost in state["steps"]:
            made._steps[int(place)] = float(cost)
        made._go(position)
        return made


def price_of(place: float, first: int) -> float:
    """Return the price at a place of the histogram, in bins from its first edge."""
    return math.exp((first + place) / _LOG)

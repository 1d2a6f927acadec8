"""How many requests will come in the rest of a period of time: by their rate so far at each time of the day."""

import math
from typing import Any

import numpy as np

__all__ = ["Arrivals"]

# Slots of a day that have a rate of their own, once a whole day was seen.
SLOTS = 24
DAY = 86400.0
# A slot's rate is drawn towards the mean rate, as if this share of the slot had been seen at the mean rate.
SHRINKAGE = 0.25
# Days after which what was seen counts half; a tenth of the period, if that is longer.
REMEMBERED_DAYS = 7.0
# A rate is read as if this long had passed before, without a request: the time that this many requests have if the
# money pays for the best of each, but at least and at most these shares of the period.
DOUBTED = 20.0
LEAST_DOUBT, MOST_DOUBT = 1 / 1000, 1 / 20


class Arrivals:
    """Counts requests over ledger time, and forecasts them.

    Two requests within a second of a month do not show how many the month will have: they may be somebody's first try.
    So a rate is believed little by little, see `doubt`.

    Parameters
    ----------
    length : float
        The length of the period, in seconds.
    """

    def __init__(self, length: float):
        self._length, self._half_life = length, max(length / 10.0, REMEMBERED_DAYS * DAY)
        self._doubt = length * LEAST_DOUBT
        self._counts = np.zeros(SLOTS)
        self._seconds = np.zeros(SLOTS)
        self._time: float | None = None
        self._count = 0

    def doubt(self, share: float) -> None:
        """Set how slowly a rate is believed.

        Parameters
        ----------
        share : float
            The share of the period's money that one request costs if it gets the best. With much money for few
            requests, few of them say little; with a share of 0, time alone counts.
        """
        self._doubt = self._length * min(max(DOUBTED * share, LEAST_DOUBT), MOST_DOUBT)

    def note(self, time: float, count: int) -> None:
        """Take note of how many requests had come at a time."""
        if self._time is None:
            self._time, self._count = time, count
            return
        gone = time - self._time
        if gone <= 0:
            self._count, came = count, count - self._count
            self._counts[_slot(time)] += max(came, 0)
            return
        came = max(count - self._count, 0)
        fade = 0.5 ** (gone / self._half_life)
        self._counts *= fade
        self._seconds *= fade
        shares = _shares(self._time, time)
        self._seconds += shares
        self._counts += came * shares / gone
        self._time, self._count = time, count

    def expected(self, time: float, end: float) -> float | None:
        """Return how many requests will come between two times; None: nothing is known."""
        seen, came = float(self._seconds.sum()), float(self._counts.sum())
        if seen <= 0 or came <= 0 or end <= time:
            return None if end > time else 0.0
        mean = came / (seen + self._doubt)
        if seen < 0.9 * DAY or end - time > 1e4 * DAY:
            return mean * (end - time)
        extra = SHRINKAGE * DAY / SLOTS
        rates = (self._counts + mean * extra) / (self._seconds + extra)
        return float(rates @ _shares(time, end))

    def state(self) -> dict[str, Any]:
        """Return what other keepers need."""
        return {"counts": self._counts.tolist(), "seconds": self._seconds.tolist()}

    def take(self, state: Any) -> None:
        """Go on with what another keeper has seen, if this one has seen less."""
        seconds = np.asarray(state["seconds"], np.float64)
        if seconds.shape == (SLOTS,) and seconds.sum() > self._seconds.sum():
            self._seconds = seconds
            self._counts = np.asarray(state["counts"], np.float64)


def _slot(time: float) -> int:
    return math.floor(time % DAY / (DAY / SLOTS)) % SLOTS


def _shares(begin: float, end: float) -> Any:
    """Return how many of the seconds between two times lie in each slot of the day."""
    width = DAY / SLOTS
    days, rest = divmod(end - begin, DAY)
    shares = np.full(SLOTS, days * width)
    at = begin
    while rest > 0:
        slot = _slot(at)
        step = min(rest, width - at % width) or rest
        shares[slot] += step
        at, rest = at + step, rest - step
    return shares

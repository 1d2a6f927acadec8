"""What a gateway remembers of its requests: a bounded course over time, the last ones, and how long they took.

No prompts, no answers, no keys. Memory does not grow with requests or with time: `MOST` places of the course, each as
long as is needed to hold all of it, and `LAST` requests.
"""

import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["History", "Place", "Served"]

# Places of the course. If it has outgrown them, two become one.
MOST = 500
# Requests that are listed.
LAST = 50
# Answered requests whose seconds are known one by one: enough for a current 99 % quantile.
TIMED = 1000


class Served(NamedTuple):
    """One request that has ended.

    Attributes
    ----------
    time : float
        When, in seconds since 1970.
    action : str or None
        What was done; None: the request ended before that was decided.
    outcome : str
        answered, refused, failed or cancelled (its client left).
    reason : str or None
        Why this was done.
    samples : int
        Samples that came.
    spend : float
        What it cost.
    vote_share : float or None
        The share of the samples that gave the answer; None: there was no vote.
    seconds : float
        From the request to the end of its reply.
    price : float or None
        The budget's price when it was decided; None: no budget is kept.
    """

    time: float
    action: str | None
    outcome: str
    reason: str | None
    samples: int
    spend: float
    vote_share: float | None
    seconds: float
    price: float | None


@dataclass(slots=True)
class Place:
    """What ended within one place of the course."""

    number: int
    """Its place: it begins `number` widths after the start."""
    requests: int = 0
    answered: int = 0
    samples: int = 0
    spend: float = 0.0
    votes: int = 0
    shares: float = 0.0
    """The sum of the votes' shares."""
    price: float | None = None
    """The last price."""

    def add(self, one: "Place") -> None:
        """Add what ended later."""
        self.requests += one.requests
        self.answered += one.answered
        self.samples += one.samples
        self.spend += one.spend
        self.votes += one.votes
        self.shares += one.shares
        self.price = self.price if one.price is None else one.price


class History:
    """The course of one gateway since its start, in seconds since 1970. Threads may share it."""

    def __init__(self, since: float):
        self.since, self._guard = since, threading.Lock()
        self._width = 1.0
        self._course: list[Place] = []
        self._last: deque[Served] = deque(maxlen=LAST)
        self._seconds: deque[float] = deque(maxlen=TIMED)

    def add(self, one: Served) -> None:
        """Note a request that has just ended."""
        with self._guard:
            self._last.append(one)
            place = self._place(one.time)
            place.requests += 1
            place.samples += one.samples
            place.spend += one.spend
            if one.outcome == "answered":
                place.answered += 1
                self._seconds.append(one.seconds)
            if one.vote_share is not None:
                place.votes += 1
                place.shares += one.vote_share
            if one.price is not None:
                place.price = one.price

    def _place(self, now: float) -> Place:
        """Return the current place; a clock that is set back does not open an earlier one."""
        course = self._course
        number = max(int((now - self.since) / self._width), course[-1].number if course else 0)
        while number >= MOST:
            self._width *= 2
            self._course = course = _joined(course, 2)
            number = max(int((now - self.since) / self._width), course[-1].number if course else 0)
        if not course or course[-1].number != number:
            course.append(Place(number))
        return course[-1]

    # ------------------------------------------------------------------------------------------ what it says

    def quantiles(self) -> dict[str, float | int | None]:
        """Return the seconds that half, 90 % and 99 % of the last answered requests took at most, and their number."""
        with self._guard:
            ordered = sorted(self._seconds)
        found: dict[str, float | int | None] = {"requests": len(ordered)}
        for share in (50, 90, 99):
            place = max(math.ceil(share / 100 * len(ordered)) - 1, 0)
            found[f"p{share}"] = ordered[place] if ordered else None
        return found

    def last(self) -> list[dict[str, Any]]:
        """Return the last requests, the newest first."""
        with self._guard:
            return [one._asdict() for one in reversed(self._last)]

    def course(self, most: int = MOST) -> tuple[float, list[Place]]:
        """Return how long a place is, in seconds, and the places at which requests ended.

        Neighbours are put together until there are no more than `most`.
        """
        with self._guard:
            width, course = self._width, _joined(self._course, 1)
        last = course[-1].number + 1 if course else 1
        together = math.ceil(last / most)
        return width * together, _joined(course, together)


def _joined(course: list[Place], together: int) -> list[Place]:
    """Return new places, each of which holds `together` neighbours."""
    joined: list[Place] = []
    for one in course:
        number = one.number // together
        if not joined or joined[-1].number != number:
            joined.append(Place(number))
        joined[-1].add(one)
    return joined

"""The accounting period: what a total is for, in requests or in seconds, and the buckets that it is divided into."""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from tcalloc._checks import is_number, is_whole
from tcalloc._counts import counted
from tcalloc.errors import InputError

__all__ = ["BUCKETS", "Period", "period_of"]

# A period is divided into this many buckets: the steps of a rolling window, of plots, and of reports between keepers.
BUCKETS = 60

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, slots=True)
class Period:
    """An accounting period; an infinite one is for all time.

    If it is `rolling`, the total holds for every window of its length. Otherwise periods follow each other.
    """

    length: float
    in_requests: bool
    rolling: bool

    @property
    def width(self) -> float:
        """The length of one bucket."""
        return self.length / BUCKETS

    def bucket(self, position: float) -> int:
        """Return the number of the bucket that a position lies in."""
        return 0 if self.length == math.inf else math.floor(position / self.width)

    @property
    def words(self) -> str:
        """The period in words."""
        if self.length == math.inf:
            return "all time"
        if self.in_requests:
            size = counted(int(self.length), "request")
        else:
            days = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0))
            name, seconds = next((pair for pair in days if self.length % pair[1] == 0), days[-1])
            number = self.length / seconds
            size = counted(int(number), name) if number == int(number) else f"{number:g} {name}s"
        return f"every {size}" if self.rolling else size

    def as_dict(self) -> dict[str, Any]:
        """Return the period as a state stores it."""
        return asdict(self) | {"length": None if self.length == math.inf else self.length}


def period_of(period: Any, rolling: bool) -> Period:
    """Return a period from what a user wrote.

    Examples
    --------
    >>> from tcalloc.serve.keeper.period import period_of
    >>> period_of("12h", False).length, period_of(5000, False).in_requests
    (43200.0, True)
    """
    if period is None:
        if rolling:
            raise InputError("rolling is True, but there is no period. Give its length, such as period='30d'.")
        return Period(math.inf, True, False)
    if is_whole(period) and period >= 1:
        return Period(float(period), True, rolling)
    found = re.fullmatch(r"\s*([0-9.]+)\s*(s|min|h|d|w)\s*", period) if isinstance(period, str) else None
    if found is not None:
        try:
            seconds = float(found[1]) * _SECONDS[found[2]]
        except ValueError:
            seconds = 0.0
        if 0 < seconds < math.inf:
            return Period(seconds, False, rolling)
    hint = " For seconds write a text, such as '3600s'." if is_number(period) else ""
    raise InputError(
        f"period is {period!r}; expected a length of time such as '30d', '12h', '90min' or '3600s', a whole number of "
        f"requests of at least 1, or None for all time.{hint}"
    )

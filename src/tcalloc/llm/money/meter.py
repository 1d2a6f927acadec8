"""Money and requests: what may be spent, what is promised to requests under way, what was spent.

A request reserves the most it can cost before it is sent, and settles when its reply is there; so a limit holds
whatever the number of requests under way. A request whose reply was lost may have been billed: it keeps what it
reserved. One that the server refused (4xx, 5xx) is not billed and gives all of it back.
"""

import math
import threading

from tcalloc._counts import agreeing, counted
from tcalloc.llm.failures import LimitReached

__all__ = ["Meter"]


class Meter:
    """Keeps a run within its limits. Threads share it.

    Parameters
    ----------
    max_cost : float, optional
        What may be spent, `spent` before included.
    max_requests : int, optional
        How many requests may be sent, retries included.
    spent : float, optional
        What was spent before.
    lost : float, optional
        What requests without a usable reply may have cost before, at most; it counts like `spent`.

    Attributes
    ----------
    spent : float
        What replies cost.
    lost : float
        What requests without a usable reply may have cost at most, those before included.
    requests : int
        How many were sent.
    """

    def __init__(
        self,
        max_cost: float | None = None,
        max_requests: int | None = None,
        spent: float = 0.0,
        lost: float = 0.0,
    ):
        self.max_cost = math.inf if max_cost is None else max_cost
        self.max_requests = max_requests
        self.spent = spent
        self.lost = lost
        self.requests = 0
        self._reserved = 0.0
        self._under_way = 0
        self._guard = threading.Lock()

    def try_reserve(self, most: float) -> bool:
        """Take the right to send one request that costs at most `most`.

        Returns
        -------
        bool
            False if there is too little money now, and more once requests under way have settled.

        Raises
        ------
        LimitReached
            If there will not be enough.
        """
        with self._guard:
            if self.max_requests is not None and self.requests >= self.max_requests:
                sent = f"{counted(self.requests, 'request')} {agreeing(self.requests, 'was', 'were')} sent"
                raise LimitReached(f"{sent}, and no more are allowed (max_requests).")
            if self.spent + self.lost + self._reserved + most > self.max_cost:
                if self._under_way:
                    return False
                lost = f" and up to {self.lost:.6g} on lost replies" if self.lost else ""
                raise LimitReached(
                    f"{self.spent:.6g} is spent{lost}; the next request may cost {most:.3g}, more than is left of "
                    f"max_cost = {self.max_cost:.6g}."
                )
            self.requests += 1
            self._reserved += most
            self._under_way += 1
            return True

    def settle(self, most: float, *, lost: bool = False) -> None:
        """Give back what a request reserved; `lost` if it may have been billed and nothing came of it."""
        with self._guard:
            self._under_way -= 1
            # Sums of floats that return to nothing return to zero.
            self._reserved = self._reserved - most if self._under_way else 0.0
            if lost:
                self.lost += most

    def pay(self, cost: float) -> None:
        """Count what a reply cost, before its request settles."""
        with self._guard:
            self.spent += cost

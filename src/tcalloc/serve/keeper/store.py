"""Where a budget's book is kept: what every store can do, and the one in memory."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from tcalloc.errors import InputError
from tcalloc.serve.keeper.account import Account
from tcalloc.serve.keeper.book import Book, Settled
from tcalloc.serve.keeper.clock import LedgerClock

__all__ = ["LostState", "MemoryStore", "Store"]


class LostState(InputError):
    """What this process spends is not seen by others any more; so nothing more must be spent."""


class Store(Protocol):
    """A book that threads, processes or hosts share. Amounts are whole units; see `Book` for the arguments."""

    clock: LedgerClock

    @property
    def book(self) -> Book:
        """The book as this process saw it last; only the accounts that it used need be in it."""

    def reserve(
        self, grant: str, tenant: str, options: Sequence[tuple[int, int]], lifetime: float, came: int = 1
    ) -> int:
        """Reserve money for the first option that fits; return its place, or −1."""

    def settle(self, grant: str, bill: int) -> Settled | None:
        """Replace what was reserved by the bill."""

    def change_limit(self, limit: int) -> bool:
        """Allow more or less from now on, for all that share the book; see `Book.change_limit`."""

    def accounts(self) -> Mapping[str, Account]:
        """Return the accounts of the whole and of all tenants, as of now."""

    def read(self) -> Book:
        """Return a copy of the whole book, as of now."""

    def tell(self, replica: str, news: str | None, price: float | None) -> Mapping[str, str]:
        """Tell other keepers what this one has learned, and the current price; return what all of them have told.

        Parameters
        ----------
        replica : str
            The name of this keeper.
        news : str or None
            What it has learned, as a text; it takes the place of what it told before. None: it has nothing to tell.
        price : float or None
            The price in the current bucket, for the plot of the period.
        """

    def close(self) -> None:
        """Close files and connections."""


class MemoryStore:
    """A book in the memory of one process; threads share it.

    Parameters
    ----------
    book : Book
        The new book.
    clock : LedgerClock, optional
        Its clock.
    """

    def __init__(self, book: Book, clock: LedgerClock | None = None):
        self.clock = LedgerClock() if clock is None else clock
        book.begin(self.clock.now())
        self.book = book
        self._guard = threading.Lock()
        self._news: dict[str, str] = {}

    def reserve(
        self, grant: str, tenant: str, options: Sequence[tuple[int, int]], lifetime: float, came: int = 1
    ) -> int:
        """Reserve money for the first option that fits; see `Store`."""
        now = self.clock.now()
        with self._guard:
            return self.book.reserve(grant, tenant, options, now, lifetime, came)

    def settle(self, grant: str, bill: int) -> Settled | None:
        """Replace what was reserved by the bill."""
        now = self.clock.now()
        with self._guard:
            return self.book.settle(grant, bill, now)

    def change_limit(self, limit: int) -> bool:
        """Allow more or less from now on; see `Book.change_limit`."""
        with self._guard:
            return self.book.change_limit(limit, self.clock.now())

    def accounts(self) -> Mapping[str, Account]:
        """Return the accounts of the whole and of all tenants."""
        return self.book.accounts

    def read(self) -> Book:
        """Return a copy of the book."""
        with self._guard:
            self.book.pass_time(self.clock.now())
            return self.book.copied()

    def tell(self, replica: str, news: str | None, price: float | None) -> Mapping[str, str]:
        """Tell other keepers of this process what was learned."""
        with self._guard:
            if news is None:
                self._news.pop(replica, None)
            else:
                self._news[replica] = news
            if price is not None and math.isfinite(price):
                self.book.prices[self.book.bucket] = price
            return dict(self._news)

    def close(self) -> None:
        """Do nothing."""

"""How much money and how many requests an account still has in its period."""

import math
from collections.abc import Mapping

from tcalloc.serve.keeper.account import Units
from tcalloc.serve.keeper.book import WHOLE
from tcalloc.serve.keeper.fair_shares import fair_shares
from tcalloc.serve.keeper.learned import Learned
from tcalloc.serve.keeper.pacing import Pace
from tcalloc.serve.keeper.period import BUCKETS
from tcalloc.serve.keeper.store import Store

__all__ = ["Horizon"]

# In a rolling window, the plan for a request is at most this share above or below the average.
CORRECTION = 0.5


class Horizon:
    """The rest of the period.

    Parameters
    ----------
    store : Store
        The book.
    units : Units
        Its unit of money.
    tenants : mapping of str to float
        Their weights; empty: there is one account, that of the whole.
    learned : Learned
        The demand of the tenants, and when requests come.
    """

    def __init__(self, store: Store, units: Units, tenants: Mapping[str, float], learned: Learned):
        self._store, self._units, self._tenants, self._learned = store, units, dict(tenants), learned
        self._shares: dict[str, float] = {}

    @property
    def total(self) -> float:
        """The total of the period, as it is now."""
        return self._units.total_of(self._store.book.limit)

    def pace(self, account: str) -> Pace:
        """Return the money and the requests that are left for an account, the present request included.

        Without a period, or as long as nothing is known about how often requests come, infinitely many are left.
        """
        if self._store.book.period.rolling:
            return self._rolling(account)
        money = self._shares.get(account, self.total) - self.used(account)
        return Pace(max(money, 0.0), max(self.left(account), 1.0))

    def used(self, account: str) -> float:
        """Return what an account has spent in the period, and will probably spend on open grants."""
        found = self._store.book.accounts.get(account)
        return 0.0 if found is None else self._units.amount(found.settled + found.likely)

    def left(self, account: str, *, present: bool = True) -> float:
        """Return how many requests are expected until the end of the period.

        Parameters
        ----------
        account : str
            Whose requests.
        present : bool
            Whether there is a present request, which counts too. It begins a new period if the last one is full.
        """
        book = self._store.book
        length = book.period.length
        if length == math.inf:
            return math.inf
        if self._learned.arrivals is None:
            left = length - (book.count - book.start)
            if left <= 0 and present:
                left = length
        else:
            now = self._store.clock.now()
            end = book.start + length
            left = present + self._coming(now, end if now < end else now + length)
        return left * self._part(account)

    def _coming(self, now: float, end: float) -> float:
        arrivals = self._learned.arrivals
        assert arrivals is not None, "a period in requests knows what is left"
        arrivals.note(now, self._store.book.count)
        found = arrivals.expected(now, end)
        return math.inf if found is None else found

    def _part(self, account: str) -> float:
        """Return the share of the requests that are an account's."""
        if account == WHOLE:
            return 1.0
        accounts = self._store.book.accounts
        mine = accounts.get(account)
        return (1.0 + (mine.requests if mine else 0)) / (len(self._tenants) + accounts[WHOLE].requests)

    def _rolling(self, account: str) -> Pace:
        """Return what one request may spend: the average, more or less by what the window has left."""
        book, amount = self._store.book, self._units.amount
        whole = book.accounts[WHOLE]
        length = book.period.length
        if self._learned.arrivals is not None:
            now = self._store.clock.now()
            length = self._coming(now, now + length)
            if length == math.inf:
                return Pace(math.inf, math.inf)
        # Open grants hold more than they will cost, and the window is up to a bucket longer than the period.
        free = max(self.total - amount(whole.reserved - whole.likely), 0.0)
        each = free / (max(length, 1.0) * (1 + 1 / BUCKETS))
        off = (each * whole.requests - amount(whole.settled + whole.likely)) / self.total
        paced = each * (1.0 + min(max(off, -CORRECTION), CORRECTION))
        if account == WHOLE:
            return Pace(paced, math.inf)
        return Pace(paced * self._shares.get(account, self.total) / self.total / self._part(account), math.inf)

    def plan(self) -> None:
        """Compute how fast a rate of requests is believed, and what each tenant may spend in the period."""
        if self._learned.arrivals is not None:
            self._learned.arrivals.doubt(self._learned.best_spend() / self.total)
        if not self._tenants:
            return
        self._store.accounts()
        spent, needs = [], []
        for name, pacer in self._learned.pacers.items():
            left = self.left(name)
            spent.append(self.used(name))
            needs.append(pacer.spend_at(0.0) * left if left < math.inf else 0.0)
        weights = list(self._tenants.values())
        shares = fair_shares(self.total, weights, spent, needs)
        spare = max(self.total - sum(shares), 0.0) / sum(weights)  # nobody is known to need it
        self._shares = {
            name: share + spare * weight for (name, weight), share in zip(self._tenants.items(), shares, strict=True)
        }

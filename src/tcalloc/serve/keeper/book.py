"""The book of a budget: accounts, open grants, and the period that moves on. No locks, files or clocks.

Every store keeps one book, in memory or elsewhere, and asks it. At any time, for the whole and for each tenant,

    settled (in this period) + reserved (by open grants) <= total

as long as no bill is higher than the stated maximum of its grant, and lost grants count as their maximum. Positions are
in the unit of the period: seconds of ledger time, or requests.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tcalloc.serve.keeper.account import Account
from tcalloc.serve.keeper.period import BUCKETS, Period

__all__ = ["WHOLE", "Book", "Held", "Lost", "Past", "Settled"]

# The account of everything. Tenants have accounts of their own beside it.
WHOLE = ""
# _tuple(Held, (...)) is Held(...) in half the time.
_tuple = tuple.__new__
# This many lost grants can still be settled late. Older ones keep the amount that they were lost with.
_REMEMBERED = 10_000


class Held(NamedTuple):
    """One open grant, in units."""

    tenant: str
    most: int
    likely: int
    expires: float
    """Ledger time at which it is lost."""
    began: int
    """How many requests had come when it was granted."""


class Settled(NamedTuple):
    """What became of a grant that was settled."""

    held: Held
    requests: int
    """How many requests came between grant and bill."""
    late: bool
    """Whether it had been counted as lost before."""


class Lost(NamedTuple):
    """A grant whose bill never came."""

    held: Held
    bucket: int
    """The bucket in which it was lost."""


@dataclass(slots=True)
class Past:
    """One bucket of the period, for one account."""

    settled: int = 0
    requests: int = 0


@dataclass(slots=True)
class Book:
    """The state of a budget.

    `limit` is the most that may be settled and reserved in a period, in units; see `change_limit`. If `lost_counts`, a
    grant whose bill never came counts as its maximum, otherwise as nothing.
    """

    limit: int
    period: Period
    lost_counts: bool = True
    time: float = 0.0
    """Ledger time in seconds; it never goes back."""
    start: float = 0.0
    """The position at which the current period began."""
    count: int = 0
    """All requests that ever came."""
    due: float = -math.inf
    """Ledger time from which `advance` must be called; -inf: at once."""
    due_count: float = 0.0
    """The same in requests."""
    bucket: int = 0
    """The current bucket."""
    accounts: dict[str, Account] = field(default_factory=lambda: {WHOLE: Account()})
    grants: dict[str, Held] = field(default_factory=dict)
    """Open grants, in the order of their expiry as long as all have the same lifetime."""
    lost: dict[str, Lost] = field(default_factory=dict)
    """Grants that expired in this period; their bills may still come."""
    past: dict[int, dict[str, Past]] = field(default_factory=dict)
    """Finished buckets of the period: their number, and what was settled in them by account."""
    prices: dict[int, float] = field(default_factory=dict)
    """The price in each bucket, as keepers reported it."""

    def reserve(
        self, grant: str, tenant: str, options: Iterable[tuple[int, int]], now: float, lifetime: float, came: int = 1
    ) -> int:
        """Reserve money for the first of several options that fits; return its place, or −1 if none does.

        An option is the most that it can cost, and its probable cost. The tenant is the account that it counts for
        besides the whole ("": none). The grant is lost after its lifetime, in seconds; `came` is how many requests it
        counts as.
        """
        if now > self.time:
            self.time = now
        else:
            now = self.time
        began = self.count
        if now >= self.due or began >= self.due_count:
            self.advance()
        whole = self.accounts[WHOLE]
        self.count = began + came
        whole.requests += came
        part = None
        if tenant:
            part = self.account(tenant)
            part.requests += came
        free = self.limit - whole.settled - whole.reserved
        for place, (most, likely) in enumerate(options):
            if most <= free or not most:
                whole.reserved += most
                whole.likely += likely
                if part is not None:
                    part.hold(most, likely)
                expires = now + lifetime
                self.grants[grant] = _tuple(Held, (tenant, most, likely, expires, began))
                if expires < self.due:
                    self.due = expires
                return place
        return -1

    def settle(self, grant: str, bill: int, now: float) -> Settled | None:
        """Replace what a grant reserved by its bill; None: there is no such grant (any more).

        A grant that is lost can still be settled in the period in which it was lost.
        """
        if now > self.time:  # as pass_time(now), without the call
            self.time = now
            if now >= self.due:
                self.advance()
        held = self.grants.pop(grant, None)
        if held is not None:
            tenant, most, likely, _, began = held
            whole = self.accounts[WHOLE]  # as pay(...), without the call
            whole.reserved -= most
            whole.likely -= likely
            whole.settled += bill
            whole.fresh += bill
            if tenant:
                self.accounts[tenant].pay(most, likely, bill)
            return _tuple(Settled, (held, self.count - began, False))
        lost = self.lost.pop(grant, None)
        if lost is None:
            return None
        self._correct(lost, bill - (lost.held.most if self.lost_counts else 0))
        return Settled(lost.held, self.count - lost.held.began, True)

    def _of(self, held: Held) -> list[Account]:
        """Return the accounts that a grant counts for."""
        return [self.accounts[WHOLE], self.account(held.tenant)] if held.tenant else [self.accounts[WHOLE]]

    def _correct(self, lost: Lost, change: int) -> None:
        """Change what a lost grant counts as, in the bucket where it was lost, so that a window forgets all of it."""
        for name in {WHOLE, lost.held.tenant}:
            account = self.account(name)
            account.settled += change
            past = self.past.get(lost.bucket, {}).get(name)
            if past is None:
                account.fresh += change
            else:
                past.settled += change

    def change_limit(self, limit: int, now: float) -> bool:
        """Allow more or less from now on; False, and nothing is changed, if more is settled and reserved already."""
        self.pass_time(now)
        whole = self.accounts[WHOLE]
        if whole.settled + whole.reserved > limit:
            return False
        self.limit = limit
        return True

    def account(self, name: str) -> Account:
        """Return the account of a tenant; a new one if there is none."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = Account()
        return found

    # ------------------------------------------------------------------------------------------ the period

    @property
    def position(self) -> float:
        """Where the period stands, in seconds or requests."""
        return float(self.count) if self.period.in_requests else self.time

    def pass_time(self, now: float) -> None:
        """Go forward to a ledger time."""
        if now > self.time:
            self.time = now
        if self.time >= self.due:
            self.advance()

    def advance(self) -> None:
        """Lose grants that are past their expiry, and begin new buckets and periods."""
        self._expire()
        position, length = self.position, self.period.length
        bucket = self.period.bucket(position)
        if bucket != self.bucket:
            self._close(bucket)
        if not self.period.rolling and position - self.start >= length:
            self.start += math.floor((position - self.start) / length) * length
            self._renew()
        elif self.period.rolling:
            for number in [number for number in self.past if number < bucket - BUCKETS]:
                self._forget(number)
        ends = (bucket + 1) * self.period.width
        if not self.period.rolling:
            ends = min(ends, self.start + length)
        self.due_count = ends if self.period.in_requests else math.inf
        self.due = min((held.expires for held in self.grants.values()), default=math.inf)
        if not self.period.in_requests:
            self.due = min(self.due, ends)

    def _expire(self) -> None:
        for name in [name for name, held in self.grants.items() if held.expires <= self.time]:
            held = self.grants.pop(name)
            for account in self._of(held):
                account.pay(held.most, held.likely, held.most if self.lost_counts else 0)
            self.lost[name] = Lost(held, self.bucket)
        for name in list(self.lost)[: max(len(self.lost) - _REMEMBERED, 0)]:
            del self.lost[name]

    def _close(self, bucket: int) -> None:
        """Move what is fresh into the bucket that has ended."""
        done = self.past.setdefault(self.bucket, {})
        for name, account in self.accounts.items():
            before = sum(each[name].requests for each in self.past.values() if name in each)
            done[name] = Past(account.fresh, account.requests - before)
            account.fresh = 0
        self.bucket = bucket

    def begin(self, now: float) -> None:
        """Begin at a ledger time, with nothing spent."""
        self.time = now
        self.start = self.position
        self.bucket = self.period.bucket(self.start)

    def _renew(self) -> None:
        """Begin another period with the whole total; what is reserved stays reserved."""
        self.past.clear()
        self.prices.clear()
        self.lost.clear()
        for account in self.accounts.values():
            account.settled = account.fresh = account.requests = 0

    def _forget(self, number: int) -> None:
        """Let a bucket leave the rolling window."""
        for name, past in self.past.pop(number).items():
            account = self.accounts[name]
            account.settled -= past.settled
            account.requests -= past.requests
        self.prices.pop(number, None)
        self.lost = {name: lost for name, lost in self.lost.items() if lost.bucket != number}

    @property
    def missing(self) -> int:
        """The part of what is settled that is assumed, because the bills of lost grants never came."""
        return sum(lost.held.most for lost in self.lost.values()) if self.lost_counts else 0

    def spent(self, name: str = WHOLE) -> Sequence[tuple[int, int]]:
        """Return the buckets of the period with what was settled in each, the current one last."""
        found = [(number, each[name].settled) for number, each in sorted(self.past.items()) if name in each]
        return [*found, (self.bucket, self.accounts[name].fresh if name in self.accounts else 0)]

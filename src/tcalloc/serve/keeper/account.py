"""The core of every ledger in `serve/`: amounts as whole numbers, and what an account has settled and reserved.

`BudgetLedger` (the budget of one call of `answer`) and `Book` (the budget of live traffic) are built on these two
classes. Sums of whole numbers are exact in any order, so nothing is lost between settled, reserved and free.
"""

import math
from typing import Any

from tcalloc.errors import InputError

__all__ = ["BITS", "RAISED", "Account", "Units", "amount_of"]

# The total may be exceeded by a share of 2**-40, because 0.1 + 0.2 is more than 0.3 in floating point.
_TOLERANCE_BITS = 40
# With this many bits for the first total of a state, sums of money are exact in SQLite and in Redis (which has 53) ...
BITS = 46
# ... also if the total is raised, up to this multiple of the first one.
RAISED = 100


class Units:
    """Amounts of money as whole multiples of a small unit, about total / 2**bits. Without a total there is no limit.

    With `BITS`, all sums fit into the numbers of SQLite and of Redis scripts.
    """

    __slots__ = ("_shift", "limit", "total", "whole")

    def __init__(self, total: float | None, bits: int = 100):
        self.total = total
        self._shift = bits - math.frexp(total)[1] if total else 2 * bits
        self.whole = 0 if total is None else self.of(total)
        self.limit = 0 if total is None else self.limit_of(total)

    def of(self, amount: float) -> int:
        """Return an amount in units, rounded up."""
        try:
            return math.ceil(math.ldexp(amount, self._shift))
        except OverflowError:  # an amount far beyond the total
            above, below = amount.as_integer_ratio()
            return -((-above << self._shift) // below)

    def limit_of(self, total: float) -> int:
        """Return the most that a total allows, in units."""
        whole = self.of(total)
        return whole + (whole >> _TOLERANCE_BITS)

    def total_of(self, limit: int) -> float:
        """Return the total that allows a number of units."""
        if limit == self.limit and self.total is not None:
            return self.total
        return float(f"{self.amount(limit - (limit >> _TOLERANCE_BITS)):.12g}")

    def amount(self, units: int) -> float:
        """Return units as an amount of money."""
        return math.ldexp(units, -self._shift)


class Account:
    """What is settled and what is reserved, in units."""

    __slots__ = ("fresh", "likely", "requests", "reserved", "settled")

    def __init__(self, settled: int = 0, reserved: int = 0, likely: int = 0, fresh: int = 0, requests: int = 0):
        self.settled = settled
        """The sum of all bills that count."""
        self.reserved = reserved
        """The most that open grants can cost."""
        self.likely = likely
        """What open grants will probably cost."""
        self.fresh = fresh
        """The part of `settled` that belongs to the current bucket of the period."""
        self.requests = requests
        """How many requests came."""

    def hold(self, most: int, likely: int) -> None:
        """Reserve `most`; `likely` is the probable cost."""
        self.reserved += most
        self.likely += likely

    def pay(self, most: int, likely: int, bill: int) -> None:
        """Replace what was reserved by the bill."""
        self.reserved -= most
        self.likely -= likely
        self.settled += bill
        self.fresh += bill


def amount_of(name: str, amount: Any) -> float:
    """Return an amount of money, checked: a finite number of at least 0."""
    if not (isinstance(amount, (int, float)) and math.isfinite(amount) and amount >= 0):
        raise InputError(f"{name} is {amount!r}; expected a finite number of at least 0.")
    return amount

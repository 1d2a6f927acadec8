"""The budget of live traffic: what is spent, what is reserved, and what is kept for questions that still wait.

    ledger = BudgetLedger(total=50.0)
    ledger.set_price("small", 1.0)
    for question in waiting:
        ledger.expect(question, "small")           # the price of one sample is kept for it
    n = ledger.reserve(question, cost=1.0, n=8)    # the number of samples, up to 8, that the money covers
    ledger.settle(reserved=n * 1.0, bill=5.0)      # the bill replaces what was reserved

The ledger knows no policies, no requests and no event loop. Every method holds a plain lock for microseconds and never
waits, so threads and event loops may share one ledger.
"""

import math
import threading

from tcalloc.errors import InputError
from tcalloc.serve.keeper.account import Account, Units, amount_of

__all__ = ["BudgetLedger"]


class BudgetLedger:
    """Grants samples within a total, and keeps money for a first sample of every question that is expected.

    Sums are exact. At any time ``settled + reserved + free == total``, whatever the order of the calls. The total is
    not exceeded as long as no bill is higher than what was reserved for it.

    A question has no sample from `expect` until `drop`: it waits, or its first sample is open (requested, but not
    settled). An open sample may be paid and lost, up to `tries` times. Three rules decide what `reserve` grants:

    1. A question that is expected is granted one sample if that leaves enough for all others that are expected.
       Otherwise it is granted one for at most the price that was kept for it, as long as there is money.
    2. A question is expected again if its first sample was paid and lost. It is granted one sample if that leaves
       enough for all others that are expected. Otherwise it is granted one for at most the price that was kept for it,
       if that leaves enough for those that had no grant at all.
    3. More than one sample, or samples of any other question, are granted if they leave enough for all questions
       without a sample, even if each of these needs all its tries.

    Parameters
    ----------
    total : float or None
        The amount that may be spent in all; None: no limit.
    tries : int
        How often one sample may be paid at most; all tries but the last are then lost.

    Raises
    ------
    InputError
        If the total is not a finite number of at least 0.
    """

    def __init__(self, total: float | None, tries: int = 1):
        if total is not None:
            amount_of("total", total)
        self.total, self.tries = total, tries
        self._units, self._account = Units(total), Account()
        self._price: dict[str, tuple[int, int]] = {}  # kind: price of one sample, amount kept for a waiting one
        self._waiting: dict[str, tuple[str, bool]] = {}  # question: the kind of its sample, whether expected again
        self._count: dict[tuple[str, bool], int] = {}
        self._sent: dict[str, tuple[str, int]] = {}  # question whose first sample is open: kind, price of one try
        self._tried = 0  # the sum of these prices
        self._sent_count: dict[str, int] = {}
        self._guard = threading.Lock()

    def set_price(self, kind: str, price: float, kept: float | None = None) -> None:
        """Set the price of one sample of a kind; it holds for all questions that are expected with this kind.

        Parameters
        ----------
        kind : str
            For example the name of a model.
        price : float
            At least 0. A kind without a price counts as free.
        kept : float, optional
            The amount kept for each waiting question, if it is more than the price, because some tries may be lost.
        """
        unit = self._units.of(amount_of(f"the price of {kind!r}", price))
        most = unit if kept is None else self._units.of(amount_of(f"what is kept for {kind!r}", kept))
        with self._guard:
            self._price[kind] = unit, max(unit, most)

    def expect(self, question: str, kind: str, *, again: bool = False) -> None:
        """Keep the price of one sample for a question without a sample, until `reserve` grants it something.

        Parameters
        ----------
        question : str
            Its name. A question that is expected already is not counted twice.
        kind : str
            The least that it would draw: a sample of its cheapest model. See `set_price`.
        again : bool
            Whether the question had a grant whose sample was paid and lost.
        """
        with self._guard:
            self._forget(question)
            self._waiting[question] = kind, again
            self._count[kind, again] = self._count.get((kind, again), 0) + 1

    def first(self, question: str) -> bool:
        """Return whether a first sample is kept for a question."""
        with self._guard:
            return question in self._waiting

    @property
    def without(self) -> int:
        """Return how many questions have no sample yet: they are expected, or their first sample is open."""
        with self._guard:
            return len(self._waiting) + len(self._sent)

    def waiting(self, kind: str) -> int:
        """Return how many questions are expected with this kind."""
        with self._guard:
            return self._count.get((kind, False), 0) + self._count.get((kind, True), 0)

    def reserve(self, question: str, cost: float, n: int = 1, *, likely: float | None = None) -> int:
        """Reserve money for samples of a question.

        Parameters
        ----------
        question : str
            Its name.
        cost : float
            The most that one sample can cost.
        n : int
            The number of samples wanted.
        likely : float, optional
            The probable cost of one sample, if that is less. The total holds for `cost`; what is left for others is
            computed with this.

        Returns
        -------
        int
            The number granted, from 0 to n. ``granted * cost`` is reserved. If at least one is granted, the question
            is no longer expected; its first sample counts as open until `drop`.
        """
        most, unit = self._both(cost, likely)
        with self._guard:
            granted = self._room(
                question, most, unit, n, self._units.limit - self._account.settled - self._account.reserved
            )
            if granted:
                self._account.hold(granted * most, granted * unit)
                if (first := self._waiting.get(question)) is not None:
                    self._forget(question)
                    self._sent[question] = first[0], max(unit, self._price.get(first[0], (0, 0))[0])
                    self._tried += self._sent[question][1]
                    self._sent_count[first[0]] = self._sent_count.get(first[0], 0) + 1
            return granted

    def room(self, question: str, cost: float, n: int, *, likely: float | None = None, hopeful: bool = False) -> int:
        """Return what `reserve` would grant; nothing is reserved.

        Parameters
        ----------
        question, cost, n, likely
            As in `reserve`.
        hopeful : bool
            Whether open samples count with their probable cost, not with the highest possible cost.
        """
        most, unit = self._both(cost, likely)
        with self._guard:
            held = self._account.likely if hopeful else self._account.reserved
            return self._room(question, most, unit, n, self._units.limit - self._account.settled - held)

    def settle(self, reserved: float, bill: float, n: int = 1, *, likely: float | None = None) -> None:
        """Replace what was reserved for n samples by their bill.

        Parameters
        ----------
        reserved : float
            What was reserved for each of the samples: the `cost` of `reserve`.
        bill : float
            Their cost in all. It counts as it is, even if it is more than was reserved.
        n : int
            The number of samples.
        likely : float, optional
            As given to `reserve`.

        Raises
        ------
        InputError
            If more is settled than is reserved.
        """
        (each, unit), paid = self._both(reserved, likely), self._units.of(amount_of("bill", bill))
        with self._guard:
            if each * n > self._account.reserved:
                raise InputError(
                    f"{n} times {reserved:g} is settled, but only {self.reserved:g} is reserved. Settle every grant "
                    "once, with the cost that it was reserved with."
                )
            self._account.pay(each * n, unit * n, paid)

    def count(self, bill: float) -> None:
        """Count a bill that was paid without a grant, such as by an earlier process."""
        self.settle(0.0, bill, 0)

    def drop(self, question: str) -> None:
        """Keep nothing more for a question: it has a sample, draws nothing, or its request failed for good."""
        with self._guard:
            self._forget(question)

    @property
    def settled(self) -> float:
        """The sum of all bills."""
        return self._units.amount(self._account.settled)

    @property
    def reserved(self) -> float:
        """The amount reserved for open samples."""
        return self._units.amount(self._account.reserved)

    @property
    def free(self) -> float:
        """The amount neither settled nor reserved; infinite without a limit, negative if bills exceeded the total."""
        with self._guard:
            if self.total is None:
                return math.inf
            return self._units.amount(self._units.whole - self._account.settled - self._account.reserved)

    def _room(self, question: str, most: int, unit: int, n: int, surely: int) -> int:
        """Return how many samples are granted; see the rules of the class.

        Parameters
        ----------
        most, unit
            The highest and the probable cost of one sample.
        surely
            The amount left if open samples cost what is reserved for them.
        """
        if self.total is None or not most or not n:
            return n
        n = max(0, min(n, surely // most))
        free = self._units.limit - self._account.settled - self._account.likely
        first = self._waiting.get(question)
        price, own = (0, 0) if first is None else self._price.get(first[0], (0, 0))
        # One try of each open first sample is reserved already. That of this question is among the n.
        tried = self._tried + (0 if first is None else max(unit, price))
        worst = self.tries * (self._all_prices() - price) + (self.tries - 1) * tried
        granted = max(0, min(n, (free - worst) // max(unit, 1)))
        if granted or first is None or not n:
            return granted
        if free - self._kept(both=True) + own >= unit:
            return 1
        return int(unit <= own and (not first[1] or free - self._kept(both=False) >= unit))

    def _kept(self, *, both: bool) -> int:
        """Return the amount kept for all questions without a sample, or only for those that had no grant at all."""
        prices = self._price
        waiting = sum(
            count * prices.get(kind, (0, 0))[1] for (kind, again), count in self._count.items() if both or not again
        )
        if not both:
            return waiting
        # An open first sample has one try reserved. The amount kept is higher if some tries are lost.
        return waiting + sum(
            count * (prices[kind][1] - prices[kind][0]) for kind, count in self._sent_count.items() if kind in prices
        )

    def _all_prices(self) -> int:
        """Return the sum of the prices of one sample for each question that is expected."""
        return sum(count * self._price.get(kind, (0, 0))[0] for (kind, _), count in self._count.items())

    def _forget(self, question: str) -> None:
        sent = self._sent.pop(question, None)
        if sent is not None:
            self._tried -= sent[1]
            self._sent_count[sent[0]] -= 1
        known = self._waiting.pop(question, None)
        if known is not None:
            self._count[known] -= 1
            if not self._count[known]:
                del self._count[known]

    def _both(self, cost: float, likely: float | None) -> tuple[int, int]:
        """Return the highest and the probable cost of a sample, in units."""
        most = self._units.of(amount_of("cost", cost))
        return most, most if likely is None else min(most, self._units.of(amount_of("likely", likely)))

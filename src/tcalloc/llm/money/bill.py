"""What one request costs over all its tries, in all books: the meter of the call and the journal of the folder."""

from collections.abc import Callable

from tcalloc.llm.failures import BudgetSpent
from tcalloc.llm.money.journal import Journal, Lost
from tcalloc.llm.money.meter import Meter

__all__ = ["Bill"]


class Bill:
    """The books of one request. A client takes it in place of a meter.

    Parameters
    ----------
    meter : Meter
        Counts the requests of the call, and what they cost.
    journal : Journal or None
        Keeps in the run folder what was paid and lost; None: nothing is kept.
    arm : str
        Whom the request goes to.
    n : int
        Samples that it asks for.
    lost : callable
        Called with the highest possible bill when a reply was paid and lost.
    another : callable
        Called before a try that follows a lost one; returns whether there is money for it.

    Attributes
    ----------
    cost : float
        What the reply cost.
    """

    def __init__(
        self,
        meter: Meter,
        journal: Journal | None,
        arm: str,
        n: int,
        lost: Callable[[float], object] = lambda most: None,
        another: Callable[[], bool] = lambda: True,
    ):
        self._meter, self._journal, self._arm, self._n = meter, journal, arm, n
        self._lost, self._another = lost, another
        self.cost = 0.0
        self._number: int | None = None
        self._unpaid = self._paid = False

    def try_reserve(self, most: float) -> bool:
        """Take the right to send one try that costs at most `most`; see `Meter.try_reserve`.

        Raises
        ------
        BudgetSpent
            If a try before this one was paid and lost, and the budget does not pay for another.
        LimitReached
            As of `Meter.try_reserve`.
        """
        if self._unpaid:
            if not self._another():
                raise BudgetSpent("a reply was paid for and lost, and the budget does not pay for another.")
            self._unpaid = False
        if not self._meter.try_reserve(most):
            return False
        if self._journal is not None:
            try:
                self._number = self._journal.sent(Lost(self._arm, self._n, most))
            except BaseException:
                self._meter.settle(most)
                raise
        return True

    def pay(self, cost: float) -> None:
        """Count what the reply cost, before its try settles."""
        self._meter.pay(cost)
        self.cost += cost
        self._paid = True

    def settle(self, most: float, *, lost: bool = False) -> None:
        """End a try; `lost` if it may have been billed and nothing came of it."""
        self._meter.settle(most, lost=lost)
        if lost:
            self._unpaid = True
            self._lost(most)
        elif not self._paid:
            self.stored()

    def cut(self, n: int, cost: float) -> None:
        """Note what was billed of samples that were cut off, before the try is crossed out."""
        if self._journal is not None and n > 0:
            self._journal.sent(Lost(self._arm, n, cost, cut=True))

    def stored(self) -> None:
        """Cross the last try out in the journal: its samples are stored, or it was not billed."""
        if self._journal is not None and self._number is not None:
            self._journal.ended(self._number)
            self._number = None

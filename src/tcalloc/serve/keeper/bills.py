"""What bills really are, by model: their ratio to what was expected, and how far they exceed the stated maximum."""

from collections.abc import Iterable
from typing import Any

__all__ = ["Bills"]

# The share of the earlier bills that is forgotten with each request, whichever keeper it came to.
FORGOTTEN = 1e-3


class Bills:
    """The bills of one model (or action).

    The less significant the ratio is, the nearer to 1 it is drawn: r = 1 + max(0, 1 − 4/z²)(ΣC/ΣP − 1), where C are
    bills, P are expected costs, and z² = (ΣC − ΣP)² / Σ(C − P)². So one bill alone changes nothing, as it may be wrong.
    """

    __slots__ = ("_at", "_expected", "_others", "_paid", "_ratio", "_squares", "_top", "excess")

    def __init__(self) -> None:
        self._paid = self._expected = self._squares = 0.0
        self._at = 0
        self._others = (0.0, 0.0, 0.0)
        self._ratio: float | None = 1.0  # None: to be computed anew
        self._top = [1.0, 1.0]  # the two highest bills so far as multiples of their stated maxima
        self.excess = 1.0
        """The second highest bill so far as a multiple of its stated maximum; at least 1. The highest may be wrong."""

    def add(self, bill: float, expected: float, maximum: float, at: int) -> bool:
        """Take note of a bill; return whether it is above its stated maximum.

        Parameters
        ----------
        bill, expected, maximum : float
            The bill, and what was stated for it.
        at : int
            How many requests have come until now.
        """
        self._fade(at)
        self._paid += bill
        self._expected += expected
        self._squares += (bill - expected) ** 2
        self._ratio = None
        if bill <= maximum * (1 + 1e-9):
            return False
        if maximum > 0:
            self._exceeded([bill / maximum])
        return True

    def _exceeded(self, multiples: Iterable[float]) -> None:
        self._top = sorted([*self._top, *multiples])[-2:]
        self.excess = self._top[0]

    def _fade(self, at: int) -> None:
        if at > self._at:
            keep = (1.0 - FORGOTTEN) ** (at - self._at)
            self._paid *= keep
            self._expected *= keep
            self._squares *= keep
            paid, expected, squares = self._others  # what others report grows old, too
            self._others = keep * paid, keep * expected, keep * squares
            self._at = at

    @property
    def ratio(self) -> float:
        """Bill over expected cost, as far as it is significant."""
        if self._ratio is None:
            paid, expected, squares = self._paid, self._expected, self._squares
            paid, expected, squares = paid + self._others[0], expected + self._others[1], squares + self._others[2]
            off = paid - expected
            certain = max(0.0, 1.0 - 4.0 * squares / (off * off)) if off else 0.0
            self._ratio = 1.0 + certain * (paid / expected - 1.0) if expected > 0 and squares > 0 else 1.0
        return self._ratio

    def state(self) -> list[float]:
        """Return what other keepers need."""
        return [self._paid, self._expected, self._squares, *self._top, self._at]

    @classmethod
    def of_state(cls, state: Any, at: int) -> "Bills":
        """Return the bills that another keeper has seen, as they count when `at` requests have come."""
        made = cls()
        made._paid, made._expected, made._squares, *top = (float(value) for value in state[:5])
        made._exceeded(top)
        made._at = int(state[5])
        made._fade(at)
        return made

    def absorb(self, other: "Bills") -> None:
        """Take over what another keeper has seen."""
        self._paid += other._paid
        self._expected += other._expected
        self._squares += other._squares
        self._at = max(self._at, other._at)
        self._exceeded(other._top)
        self._ratio = None

    def join(self, others: list["Bills"]) -> None:
        """Take account of what other keepers have seen, in place of what they had seen before."""
        self._others = (
            sum(other._paid for other in others),
            sum(other._expected for other in others),
            sum(other._squares for other in others),
        )
        told = {multiple for other in others for multiple in other._top}  # the same bill may be reported twice
        self._exceeded(told.difference(self._top))
        self._ratio = None

"""What bills really are: their ratio to what was expected, and how far they exceed the stated maximum."""

from collections.abc import Iterable
from typing import Any

__all__ = ["Bills"]

# The share of the earlier bills that is forgotten with each request, whichever keeper it came to.
FORGOTTEN = 1e-3
# Sums that are kept of bills C and expected costs P: C, P, C², C·P and P².
SUMS = 5


class Bills:
    """The bills of one model (or action), or of all.

    The less significantly the ratio differs from that of all models, the nearer to that it is drawn:
    r = R + max(0, 1 − 4/z²)(ΣC/ΣP − R), where C are bills, P are expected costs, R is the ratio of all models, and
    z² = (ΣC − RΣP)² / Σ(C − RP)². The ratio of all models is drawn to 1. So one bill alone changes nothing, as it
    may be wrong, and a model with few bills follows the others.
    """

    __slots__ = ("_at", "_others", "_ratio", "_sums", "_top", "excess")

    def __init__(self) -> None:
        self._sums = [0.0] * SUMS
        self._at = 0
        self._others = [0.0] * SUMS
        self._ratio: tuple[float, float] | None = (1.0, 1.0)  # the R that it was computed for, and the ratio
        self._top = [1.0, 1.0]  # the two highest bills so far as multiples of their stated maxima
        self.excess = 1.0
        """The second highest bill so far as a multiple of its stated maximum; at least 1. The highest may be wrong."""

    def add(self, bill: float, expected: float, maximum: float, at: int) -> bool:
        """Take note of a bill when `at` requests had come; return whether it is above its stated maximum."""
        self._fade(at)
        sums = self._sums
        sums[0] += bill
        sums[1] += expected
        sums[2] += bill * bill
        sums[3] += bill * expected
        sums[4] += expected * expected
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
            self._sums = [keep * value for value in self._sums]
            self._others = [keep * value for value in self._others]  # what others report grows old, too
            self._at = at

    def ratio(self, common: float = 1.0) -> float:
        """Return bill over expected cost, as far as it differs significantly from the ratio of all models."""
        if self._ratio is None or self._ratio[0] != common:
            paid, expected, *products = map(sum, zip(self._sums, self._others, strict=True))
            off = paid - common * expected
            squares = products[0] - 2.0 * common * products[1] + common * common * products[2]
            certain = max(0.0, 1.0 - 4.0 * squares / (off * off)) if off and expected > 0 else 0.0
            found = common + certain * (paid / expected - common) if certain and squares > 0 else common
            self._ratio = common, found
        return self._ratio[1]

    def state(self) -> list[float]:
        """Return what other keepers need."""
        return [*self._sums, *self._top, self._at]

    @classmethod
    def of_state(cls, state: Any, at: int) -> "Bills":
        """Return the bills that another keeper has seen, as they count when `at` requests have come."""
        made = cls()
        *sums, first, second, told_at = (float(value) for value in state)
        made._sums = sums
        made._exceeded([first, second])
        made._at = int(told_at)
        made._fade(at)
        return made

    def absorb(self, other: "Bills") -> None:
        """Take over what another keeper has seen."""
        self._sums = [mine + its for mine, its in zip(self._sums, other._sums, strict=True)]
        self._at = max(self._at, other._at)
        self._exceeded(other._top)
        self._ratio = None

    def join(self, others: list["Bills"]) -> None:
        """Take account of what other keepers have seen, in place of what they had seen before."""
        self._others = [sum(values) for values in zip(*(other._sums for other in others), strict=True)] or [0.0] * SUMS
        told = {multiple for other in others for multiple in other._top}  # the same bill may be reported twice
        self._exceeded(told.difference(self._top))
        self._ratio = None

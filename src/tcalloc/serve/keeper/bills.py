"""What bills really are, by model: their ratio to what was expected, and how often they exceed the stated maximum."""

from typing import Any

__all__ = ["Bills"]

# Of what earlier bills say, this share is forgotten with each bill.
FORGOTTEN = 1e-3


class Bills:
    """The bills of one model (or action).

    The ratio is shrunk towards 1 as far as it is not significant: r = 1 + max(0, 1 − 4/z²)(ΣC/ΣP − 1), where C are
    bills, P are expected costs, and z² = (ΣC − ΣP)² / Σ(C − P)².
    """

    __slots__ = ("_expected", "_others", "_paid", "_ratio", "_squares", "excess")

    def __init__(self) -> None:
        self._paid = self._expected = self._squares = 0.0
        self._others = (0.0, 0.0, 0.0)
        self._ratio: float | None = 1.0  # None: to be computed anew
        self.excess = 1.0
        """The highest bill so far as a multiple of its stated maximum; at least 1."""

    def add(self, bill: float, expected: float, maximum: float) -> bool:
        """Take note of a bill; return whether it is above its stated maximum."""
        keep = 1.0 - FORGOTTEN
        self._paid = keep * self._paid + bill
        self._expected = keep * self._expected + expected
        self._squares = keep * self._squares + (bill - expected) ** 2
        self._ratio = None
        if bill <= maximum * (1 + 1e-9):
            return False
        if maximum > 0:
            self.excess = max(self.excess, bill / maximum)
        return True

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
        """Return what other replicas need."""
        return [self._paid, self._expected, self._squares, self.excess]

    def absorb(self, state: Any) -> None:
        """Take over what another has seen."""
        self._paid += float(state[0])
        self._expected += float(state[1])
        self._squares += float(state[2])
        self.excess, self._ratio = max(self.excess, float(state[3])), None

    def join(self, others: list[Any]) -> None:
        """Take account of the states of other replicas, in place of what they had said before."""
        sums = [[float(value) for value in other] for other in others]
        self._others = (sum(o[0] for o in sums), sum(o[1] for o in sums), sum(o[2] for o in sums))
        self.excess, self._ratio = max([self.excess, *(o[3] for o in sums)]), None

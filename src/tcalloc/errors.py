"""The errors of tcalloc: one root, and one class for each kind that a caller may want to catch.

Every message names the argument, the place, what is allowed and the remedy.
"""

from tcalloc._printing import cleaned

__all__ = ["BudgetError", "InputError", "MissingExtraError", "TcallocError"]


class TcallocError(Exception):
    """The root of all errors that tcalloc raises on purpose."""

    @cleaned
    def __str__(self) -> str:
        return super().__str__()


class InputError(TcallocError, ValueError):
    """An argument or a file holds something that is not allowed; nothing was computed."""


class BudgetError(InputError):
    """No choice of actions meets the budget (or the target accuracy).

    Parameters
    ----------
    message : str
        The sentence that is printed.
    limit : float
        The nearest value that can be met.

    Attributes
    ----------
    limit : float
        The nearest value that can be met: the smallest feasible budget (a mean for ``budget=``, a sum for
        ``total=``), or the highest accuracy that can be reached.
    """

    def __init__(self, message: str, limit: float):
        super().__init__(message)
        self.limit = limit

    def __reduce__(self):  # type: ignore[no-untyped-def]  # default pickling fails for two arguments
        return type(self), (self.args[0], self.limit), self.__dict__  # with notes that were added


class MissingExtraError(TcallocError, ImportError):
    """An optional dependency is not installed; the message names the extra that contains it."""

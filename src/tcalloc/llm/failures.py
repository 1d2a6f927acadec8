"""The errors of requests to a server, in the classes that a caller may want to distinguish."""

from tcalloc.errors import TcallocError

__all__ = [
    "AccessError",
    "BudgetSpent",
    "LimitReached",
    "LlmError",
    "QuotaError",
    "RefusedError",
    "Stopped",
    "UnreachableError",
]


class LlmError(TcallocError):
    """A request failed for good. `fatal` says whether all others would fail in the same way."""

    fatal = False


class RefusedError(LlmError):
    """The server refused this request (4xx); another try would be refused too."""


class AccessError(LlmError):
    """The key, the model or the URL is wrong."""

    fatal = True


class QuotaError(LlmError):
    """The account has no money left."""

    fatal = True


class UnreachableError(LlmError):
    """No usable reply after all retries."""


class LimitReached(LlmError):
    """The next request could exceed ``max_cost`` or ``max_requests``; it was not sent."""

    fatal = True


class BudgetSpent(LlmError):
    """A reply was paid and lost, and the budget does not pay for another try of this request; others continue."""


class Stopped(LlmError):
    """The run was interrupted while this request waited for its turn or its retry."""

    fatal = True

"""Retries: after which replies, and how long to wait, by our own back-off and the server's Retry-After."""

import email.utils
import math
import random
import time
from dataclasses import dataclass

__all__ = ["Backoff", "is_busy", "retry_after"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often, and after what pauses, a request is sent again.

    Attributes
    ----------
    retries : int
        Number of retries of a request when the server is busy or gone (`is_busy`, lost connections).
    bad_replies : int
        The same for replies that are no answer (broken JSON, an error under status 200): they may have been billed.
    base, cap : float
        Seconds before the first retry, and the longest pause; each pause is twice the one before it.
    longest : float
        The longest Retry-After that is honoured, in seconds.
    """

    retries: int = 8
    bad_replies: int = 2
    base: float = 0.5
    cap: float = 60.0
    longest: float = 300.0

    def pause(self, attempt: int, asked: float | None = None) -> float:
        """Return the seconds to wait before retry number `attempt` (from 0), at least what the server asked for."""
        # Jitter over the upper half, so that clients that failed together do not return together or at once.
        wait = min(self.cap, self.base * 2.0 ** min(attempt, 60)) * random.uniform(0.5, 1.0)
        if asked is None:
            return wait
        # A server may ask for a longer pause than our back-off, never for a shorter one (0, or a time in the past). The
        # pause is slightly longer than asked for, so that the waiting requests do not all come at the same instant.
        least = min(max(asked, 0.0), self.longest)
        return max(wait, least + min(wait, 0.1 * self.base + 0.1 * least))


def is_busy(status: int) -> bool:
    """Return whether a status means that the same request may succeed later.

    These are 408 (Request Timeout), 409 (Conflict), 425 (Too Early), 429 (Too Many Requests) and 5xx, except 501 (Not
    Implemented).
    """
    return status in (408, 409, 425, 429) or (status >= 500 and status != 501)


def retry_after(value: str | None, milliseconds: str | None = None) -> float | None:
    """Return the seconds that a server asks to wait; None if it does not say so in a valid form.

    Parameters
    ----------
    value : str or None
        The header Retry-After: seconds, or an HTTP date.
    milliseconds : str or None
        The header retry-after-ms, which some servers send besides; it is the more exact one.
    """
    exact = _number(milliseconds)
    if exact is not None:
        return max(0.0, exact / 1000.0)
    seconds = _number(value)
    if seconds is None:
        try:
            date = email.utils.parsedate_to_datetime((value or "").strip())
            seconds = date.timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return None
    return max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").strip())
    except ValueError:
        return None
    return number if math.isfinite(number) else None

"""When to try again: jittered exponential backoff, and what a server's Retry-After asks for."""

import email.utils
import math
import random
import time
from dataclasses import dataclass

__all__ = ["Backoff", "retry_after"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often, and after what pauses, a request is sent again.

    Attributes
    ----------
    retries : int
        Times after the first try that a request is sent when the server is busy or gone (429, 5xx, lost connections).
    bad_replies : int
        The same for replies that are no answer (broken JSON, an error under status 200): they may have been billed.
    base, cap : float
        Seconds before the first retry, and at most; each is twice the one before it.
    longest : float
        The longest Retry-After that is honoured, in seconds.
    """

    retries: int = 8
    bad_replies: int = 2
    base: float = 0.5
    cap: float = 60.0
    longest: float = 300.0

    def pause(self, attempt: int, asked: float | None = None) -> float:
        """Return the seconds to wait before retry number `attempt` (from 0)."""
        # Jitter over the upper half: clients that failed together do not come back together, and none comes at once.
        wait = min(self.cap, self.base * 2.0 ** min(attempt, 60)) * random.uniform(0.5, 1.0)
        if asked is None:
            return wait
        # What the server asks for is a least; a little more, so that not all that wait come in the same instant.
        return min(max(asked, 0.0), self.longest) + min(wait, 0.1 * self.base + 0.1 * max(asked, 0.0))


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it asks for nothing sensible.

    Parameters
    ----------
    value : str or None
        Seconds, or an HTTP date.
    now : float, optional
        The time since the epoch that a date is compared with.
    """
    if not value:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - (time.time() if now is None else now)
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None

"""The progress of a run on standard error: one changing line on a terminal, otherwise a line now and then."""

import sys
import time

from tcalloc._counts import counted
from tcalloc._printing import uncleaned
from tcalloc.llm.money.meter import Meter

__all__ = ["Progress", "clock"]


class Progress:
    """Shows samples, rate, spend and the time that is left; `there` of the samples were there before.

    The meter knows the spend. Without prices the number of requests is shown.
    """

    def __init__(self, total: int, there: int, meter: Meter | None, priced: bool, what: str = "samples"):
        self._what = what
        self._total, self._there, self._meter, self._priced = total, there, meter, priced
        self._stream = uncleaned(sys.stderr)
        self._live = bool(self._stream is not None and self._stream.isatty())
        self._every = 0.2 if self._live else 30.0
        self._started = self._shown = time.monotonic()
        self._width = 0

    def line(self, done: int, failed: int = 0) -> str:
        """Return the line for `done` samples, those that were there before included."""
        seconds = time.monotonic() - self._started
        rate = (done - self._there) / seconds if seconds > 0 else 0.0
        parts = [f"{done:,}/{self._total:,} {self._what} ({100 * done / max(1, self._total):.1f} %)"]
        parts.append(f"{rate:.3g}/s" if rate < 100 else f"{rate:,.0f}/s")
        if self._meter is not None:
            parts.append(f"spent {self._meter.spent:.4g}" if self._priced else counted(self._meter.requests, "request"))
        if rate > 0 and done < self._total:
            parts.append(f"{clock((self._total - done) / rate)} left")
        if failed:
            parts.append(f"{failed:,} failed")
        return ", ".join(parts)

    def show(self, done: int, failed: int = 0, *, last: bool = False) -> None:
        """Show the line if it is time to."""
        now = time.monotonic()
        if self._stream is None or (not last and now - self._shown < self._every):
            return
        if last and not self._live and now - self._started < self._every:
            return  # the run is too short for lines of progress
        self._shown = now
        text = "tcalloc: " + self.line(done, failed)
        try:
            if self._live:
                self._stream.write("\r" + text.ljust(self._width) + ("\n" if last else ""))
                self._width = len(text)
            else:
                self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # the output was closed


def clock(seconds: float) -> str:
    """Return a time as 0:05, 12:34 or 3:02:01."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""Bringing what was written to the disk now and then, without holding up who writes."""

import os
import threading
import time

from tcalloc._files import naming

__all__ = ["Syncing"]

# How much may be lost if the machine (not the process) dies: lines, seconds.
_LINES, _SECONDS = 256, 1.0


class Syncing:
    """Syncs a file that is appended to, in a thread of its own: a disk may take long, and who writes may be a loop.

    The path of the file is for messages.
    """

    def __init__(self, path: str):
        self._path = path
        self._lines, self._at = 0, time.monotonic()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise what an earlier sync has raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wrote(self, file: int) -> None:
        """Count a line that was written to an open file, and sync if that is due. One thread at a time may call it."""
        self._lines += 1
        now = time.monotonic()
        under_way = self._thread is not None and self._thread.is_alive()
        if under_way or (self._lines < _LINES and now - self._at < _SECONDS):
            return
        self._lines, self._at = 0, now
        own = os.dup(file)
        self._thread = threading.Thread(target=self._sync, args=(own,), name="tcalloc sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the process may have no more threads
            self._sync(own)

    def finish(self) -> None:
        """Wait for a sync that is under way."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _sync(self, file: int) -> None:
        try:
            with naming(self._path):
                os.fsync(file)
        except OSError as error:
            self._error = error
        finally:
            os.close(file)

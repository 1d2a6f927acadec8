"""How far the demonstration is, on standard error: one line that changes on a terminal, else one per part."""

from typing import TextIO

from tcalloc._printing import StatusLine

__all__ = ["Progress"]


class Progress:
    """Shows on a stream (None: nowhere) the part that is worked on."""

    def __init__(self, stream: TextIO | None = None):
        self._line = StatusLine(stream)
        self._what, self._total, self._done = "", 0, 0

    def begin(self, what: str, total: int, *, brief: bool = False) -> None:
        """Begin a part of so many steps; one that is brief has no line of its own in a file."""
        self._what, self._total, self._done = what, total, 0
        if self._line.live:
            self._show()
        elif not brief:
            self._line.show(f"tcalloc: {what} ({total} steps)")

    def step(self) -> None:
        """Count one step of the part."""
        self._done += 1
        if self._line.live:
            self._show()

    def end(self) -> None:
        """Clear the line."""
        self._line.clear()

    def _show(self) -> None:
        self._line.show(f"tcalloc: {self._what}, {self._done} of {self._total}")

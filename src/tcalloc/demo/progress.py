"""How far the demonstration is, on standard error: one line that changes on a terminal, else one per part."""

from typing import TextIO

from tcalloc._printing import uncleaned

__all__ = ["Progress"]


class Progress:
    """Shows on a stream (None: nowhere) the part that is worked on."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = uncleaned(stream)
        self._live = bool(stream is not None and stream.isatty())
        self._what, self._total, self._done, self._width = "", 0, 0, 0

    def begin(self, what: str, total: int, *, brief: bool = False) -> None:
        """Begin a part of so many steps; one that is brief has no line of its own in a file."""
        self._what, self._total, self._done = what, total, 0
        if self._live or not brief:
            self._show()

    def step(self) -> None:
        """Count one step of the part."""
        self._done += 1
        if self._live:
            self._show()

    def end(self) -> None:
        """Clear the line."""
        if self._live:
            self._write("\r" + " " * self._width + "\r")

    def _show(self) -> None:
        text = f"tcalloc: {self._what}"
        if self._live:
            text = f"\r{f'{text}, {self._done} of {self._total}'.ljust(self._width)}"
            self._width = len(text) - 1
            self._write(text)
        else:
            self._write(f"{text} ({self._total} steps)\n")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # nobody looks any more

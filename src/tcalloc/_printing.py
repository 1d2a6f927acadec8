"""Printed text: names, answers and errors come from servers and strangers, and must not control a terminal.

`clean` does this everywhere. The command line sends all of standard output and standard error through it, and the
results and errors that users print in their own scripts are `cleaned`.
"""

import dataclasses
import re
import reprlib
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TextIO, cast

__all__ = [
    "StatusLine",
    "clean",
    "clean_line",
    "cleaned",
    "cleaned_streams",
    "page_line",
    "shown_shortly",
    "text_table",
    "uncleaned",
    "whole_characters",
]

_P = ParamSpec("_P")

# Control characters (ESC and the C1 codes that terminals obey, carriage return, backspace), line and paragraph
# separators, characters that change the direction of text, and halves of surrogate pairs. Line feed and tab are text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

# Printed for a name that holds no printable character.
NAMELESS = "(no name)"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:  # two halves, as in JSON
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def clean(text: str) -> str:
    r"""Return text in which every character that a terminal would obey is written as an escape.

    It may have several lines. Valid JSON stays valid, with the same meaning.

    Examples
    --------
    >>> clean("red: \x1b[31m")
    'red: \\u001b[31m'
    """
    return _UNSAFE.sub(_escape, text)


def clean_line(text: str) -> str:
    """Return text for one line, such as a name in a table: line feeds and tabs are escaped too."""
    return clean(text.replace("\n", "\\n").replace("\t", "\\t"))


def page_line(text: object, longest: int = 0) -> str:
    """Return anything as text that any page can hold: one line, without control or direction characters.

    A text longer than `longest` ends in an ellipsis; 0: keep all.
    """
    # Cc: control, Cf: format (bidirectional overrides too), Cs: half of a pair, Zl and Zp: ends of lines.
    kinds = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    kept = "".join(" " if unicodedata.category(letter) in kinds else letter for letter in str(text))
    found = " ".join(kept.split()) or NAMELESS
    return found if not longest or len(found) <= longest else found[: longest - 1].rstrip() + "…"


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align columns: the first `left` to the left, the others to the right."""
    lines = [[clean_line(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def cleaned(method: Callable[_P, str]) -> Callable[_P, str]:
    """Clean the result of a method such as ``__str__``, because users print it (decorator)."""

    @wraps(method)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> str:
        return clean(method(*args, **kwargs))

    return wrapped


class _Shortener(reprlib.Repr):
    """What fits on a line or two, whatever an object holds."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 3
        self.maxlevel = 2

    def repr_ndarray(self, array: Any, level: int) -> str:
        return f"array of shape {array.shape}"


_shorten = _Shortener().repr


def shown_shortly(it: Any) -> str:
    """Return the `repr` of a data class with long texts, lists and arrays cut: a user types its name in a notebook."""
    fields = (f for f in dataclasses.fields(it) if f.repr)
    return clean(f"{type(it).__name__}({', '.join(f'{f.name}={_shorten(getattr(it, f.name))}' for f in fields)})")


def whole_characters(value: Any) -> Any:
    r"""Return text that UTF-8 can hold: half of a surrogate pair is written as an escape such as ``\ud800``.

    JSON can escape such halves, so ids and texts of strangers may hold some. pandas and pyarrow fail on them. Anything
    but a text is returned as it is.
    """
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode()


class _CleanStream:
    """A text stream that cleans what is written; its errors contain the name of the stream."""

    def __init__(self, stream: TextIO, name: str):
        self.uncleaned, self._name = stream, name

    def write(self, text: str) -> int:
        with self._naming():
            self.uncleaned.write(clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._naming():
            self.uncleaned.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.uncleaned, name)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is not None:
                error.filename = self._name
            raise


def uncleaned(stream: TextIO | None) -> TextIO | None:
    """Return the stream itself, for lines of progress, which move the cursor on purpose."""
    return getattr(stream, "uncleaned", stream)


class StatusLine:
    """Lines of progress: on a terminal each takes the place of the one before. Without a stream nothing is written."""

    def __init__(self, stream: TextIO | None):
        self._stream = uncleaned(stream)
        self.live = self._stream is not None and self._stream.isatty()
        self._width = 0

    def show(self, text: str, end: str = "") -> None:
        """Write a line; `end` follows it on a terminal."""
        padded, self._width = text.ljust(self._width), len(text)
        self._write(f"\r{padded}{end}" if self.live else f"{text}\n")

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self.live:
            self._write(f"\r{' ' * self._width}\r")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._stream, self.live = None, False  # the terminal is gone


@contextmanager
def cleaned_streams() -> Iterator[None]:
    """Clean everything that is written to standard output and standard error inside the block."""
    out, err = sys.stdout, sys.stderr
    if out is not None:
        sys.stdout = cast("TextIO", _CleanStream(out, "standard output"))
    if err is not None:
        sys.stderr = cast("TextIO", _CleanStream(err, "standard error"))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err

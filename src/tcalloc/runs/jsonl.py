"""JSON lines, in: one object a line, compressed with gzip or not, and what is said about a malformed line."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NoReturn, cast

from tcalloc._files import bounded_lines
from tcalloc.errors import InputError

__all__ = ["opened", "read_objects", "refuse_constant", "snippet"]


def snippet(value: object, limit: int = 40) -> str:
    """Return a value as a short quotation."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def read_objects(
    path: str, example: str, on_bad: Callable[[int, InputError], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a file of JSON objects, one a line; empty lines are none.

    Parameters
    ----------
    path : str
        The file; gzip is seen by its first bytes, whatever the name says.
    example : str
        What a line looks like, for the messages.
    on_bad : callable, optional
        Takes the line number and the error of a line that is no JSON object, and reading goes on; without it, the
        error is raised. What is wrong with the file as a whole is always raised.

    Yields
    ------
    tuple of int and dict
        The line number (from 1) and the object.
    """
    number = 0
    try:
        with opened(path) as file:
            for number, line in enumerate(bounded_lines(file, path), 1):
                if number == 1:
                    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                        raise InputError(f"{path}: not UTF-8 text (it seems to be UTF-16). Save it as UTF-8.")
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.strip():
                    continue
                try:
                    found = _object(path, number, line, example)
                except InputError as error:
                    if on_bad is None:
                        raise
                    on_bad(number, error)
                else:
                    yield number, found
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise InputError(
            f"{path}: damaged gzip data after line {number} ({reason}). Copy or compress the file again."
        ) from None
    if not number:
        raise InputError(f"{path}: the file is empty; expected one JSON object a line, like {example}.")


def opened(path: str) -> BinaryIO:
    """Open a file for reading; gzip is seen by its first bytes, whatever the name says."""
    try:
        file = open(path, "rb", buffering=1 << 20)  # noqa: SIM115  # the caller closes it
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        if os.path.isdir(path):
            raise InputError(f"{path}: a folder; expected a .jsonl or .jsonl.gz file.") from None
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if cast("io.BufferedReader", file).peek(2)[:2] == b"\x1f\x8b":
        return cast("BinaryIO", _Gzip(file))
    return file


class _Gzip(gzip.GzipFile):
    """A GzipFile that closes the file it was given."""

    def __init__(self, file: BinaryIO):
        super().__init__(fileobj=file)
        self._given = file

    def close(self) -> None:
        super().close()
        self._given.close()


def _object(path: str, number: int, line: bytes, example: str) -> dict[str, Any]:
    try:
        value = _decode(line.decode())
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise InputError(
            f"{path}, line {number}: not UTF-8 text (byte 0x{byte:02x}). Save the file as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        if number == 1 and line.strip() in (b"[", b"{"):
            raise InputError(
                f"{path}, line 1: one JSON document over many lines, not one object a line. Write each object on a "
                f"line of its own, like {example}."
            ) from None
        if number == 1 and path.lower().endswith((".csv", ".tsv")):
            raise InputError(
                f"{path}: a table of comma- or tab-separated values. Write one object a line, like {example}."
            ) from None
        raise InputError(
            f"{path}, line {number}: not JSON ({error.msg}, character {error.colno}). Write one object a line, like "
            f"{example}."
        ) from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0].rstrip(".")
        raise InputError(
            f"{path}, line {number}: not usable JSON ({reason}). Write numbers and text plainly."
        ) from None
    if not isinstance(value, dict):
        what = {list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")
        raise InputError(f"{path}, line {number}: {what}, not an object. Write one object a line, like {example}.")
    return value


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(f"{name} is no JSON")


# One for all lines: json.loads with an option would make a new one for each.
_decode = json.JSONDecoder(parse_constant=refuse_constant).decode

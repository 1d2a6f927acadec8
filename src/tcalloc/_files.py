"""Files: reading files that anyone may have made (regular, bounded, strict JSON), and writing a file as a whole."""

import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, NoReturn, cast

from tcalloc.errors import InputError

__all__ = [
    "MOST_JSON",
    "MOST_LINE",
    "bounded_lines",
    "finite_number",
    "lines_of",
    "naming",
    "open_regular",
    "parse_json",
    "read_at_most",
    "read_bounded",
    "refuse_constant",
    "replaced_by",
    "replacing",
    "strict_json",
    "target_of",
]

# The most bytes of one line, and of a whole document. In memory, JSON becomes up to 25 times as large.
MOST_LINE = 1 << 24
MOST_JSON = 1 << 24
_TEMPORARY = re.compile(r"(.+)\.[0-9a-f]{8}\.tmp", re.DOTALL)
_ASIDE = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def open_regular(path: str, flags: int = os.O_RDONLY, *, follow: bool = True) -> BinaryIO:
    """Open a regular file, with the flags of `os.open`; `follow` says whether it may be a symbolic link.

    Pipes and devices raise an error at once; a plain open would wait for them.
    """
    if not follow and os.path.islink(path):
        raise InputError(f"{path}: a symbolic link, which tcalloc does not follow. Put a regular file in its place.")
    never_wait = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    try:
        handle = os.open(path, flags | never_wait | _ASIDE, 0o666)
    except FileNotFoundError:
        raise InputError(f"{path}: cannot be read (no such file). Check the path.") from None
    except OSError as error:
        if os.path.exists(path) and not os.path.isfile(path):  # a folder, or a pipe without a reader
            raise InputError(f"{path}: not a regular file.") from None
        what = "read" if flags & (os.O_WRONLY | os.O_RDWR) == 0 else "written"
        raise InputError(f"{path}: cannot be {what} ({error.strerror or error}).") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path}: not a regular file.")
    access = flags & (os.O_WRONLY | os.O_RDWR)
    mode = "rb" if access == os.O_RDONLY else "r+b" if access == os.O_RDWR else "ab" if flags & os.O_APPEND else "wb"
    return cast("BinaryIO", os.fdopen(handle, mode))


def read_bounded(path: str, most: int) -> bytes:
    """Read a whole regular file of at most `most` bytes."""
    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise _too_large(path, most)
            return read_at_most(file, path, most)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None


def read_at_most(file: BinaryIO, path: str, most: int, remedy: str = "") -> bytes:
    """Read an open file of at most `most` bytes, such as one that is compressed; see `read_bounded`."""
    data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, most, remedy)
    return data


def _too_large(path: str, most: int, remedy: str = "") -> InputError:
    end = f". {remedy}." if remedy else "."
    return InputError(f"{path}: larger than {most:,} bytes, the most that tcalloc reads{end}")


def lines_of(path: str) -> Iterator[bytes]:
    """Yield the lines of a regular file, each with its line feed and at most `MOST_LINE` bytes."""
    with open_regular(path) as file:
        yield from bounded_lines(file, path)


def bounded_lines(file: BinaryIO, path: str) -> Iterator[bytes]:
    """Yield the lines of an open file, such as a compressed one; see `lines_of`."""
    number = 0
    while line := file.readline(MOST_LINE + 1):
        number += 1
        if len(line) > MOST_LINE:
            raise InputError(f"{path}, line {number}: longer than {MOST_LINE:,} bytes, the most that tcalloc reads.")
        yield line


def refuse_constant(word: str) -> NoReturn:
    """Raise an error for NaN and infinity, which are no JSON."""
    raise ValueError(f"{word} is not allowed")


def finite_number(word: str) -> float:
    """Return a number; raise an error if a float does not hold it."""
    value = float(word)
    if value - value != 0:
        raise ValueError(f"{word[:40]} is too large")
    return value


_decode = json.JSONDecoder(parse_constant=refuse_constant, parse_float=finite_number).decode


def strict_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    A ValueError says why it has none: it is not JSON, holds a number that is not finite, or is nested too deeply.
    """
    try:
        return _decode(text.decode() if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, line {error.lineno}, character {error.colno}") from None
    except ValueError as error:  # Python's own limit of digits; not finite
        raise ValueError(str(error).partition(";")[0].rstrip(".")) from None


def parse_json(data: str | bytes, place: str) -> Any:
    """Return the value of the JSON text at `place`; an InputError says why it has none."""
    try:
        return strict_json(data)
    except ValueError as error:
        raise InputError(f"{place}: not readable as JSON ({error}). The file was changed; restore it.") from None


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Add the name of the file to errors of the operating system (no space, no permission)."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename, error.filename2 = path, None
        raise


def target_of(path: str) -> str:
    """Return the file that writing to `path` writes; raise an error if it cannot be written."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise InputError(f"{path}: the folder {folder} does not exist. Create it first.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise InputError(f"{path}: not a regular file; expected the name of a file to write.")
    return target


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that replaces it at the end if there was no error.

    Whatever happens, Ctrl-C included, `path` holds the old contents or the new, never half.
    """
    target = target_of(path)
    temporary = f"{target}.{secrets.token_hex(4)}.tmp"
    try:
        with naming(path):
            with open(temporary, "xb") as file:
                yield file
            if os.path.exists(target):
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def replaced_by(name: str) -> str | None:
    """Return the name of the file that a temporary file of `replacing` belongs to; None if it is no such file.

    A process that is killed leaves such a file behind.
    """
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else found[1]

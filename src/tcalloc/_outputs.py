"""Output files with names from the user: earlier outputs of tcalloc are replaced, other files are not."""

import csv
import io
import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tcalloc._files import MOST_LINE, open_regular, replacing, target_of
from tcalloc.errors import InputError

__all__ = ["MARK", "PAGES", "PICTURES", "refuse_to_replace", "save_picture"]

# This text is in every picture and report that tcalloc writes.
MARK = "Made by tcalloc"
_FIELDS = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}
# The suffixes of pictures and of pages.
PICTURES, PAGES = tuple(_FIELDS), (".html", ".htm")
_MOST = 1 << 28


def save_picture(figure: Any, path: str) -> None:
    """Save a Matplotlib figure with tcalloc's mark in it, in the format that the suffix names."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FIELDS:
        raise InputError(f"{path}: allowed are names that end in .png, .svg or .pdf.")
    with replacing(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a character of a name
        figure.savefig(file, format=suffix[1:], dpi=150, metadata={_FIELDS[suffix]: MARK})


def refuse_to_replace(path: str, heads: Sequence[str] = (), *, force: bool = False) -> None:
    """Raise an error for a file that exists and that tcalloc did not write, unless any may be replaced (`force`).

    `heads` are the names of the columns of a table, or of the fields of JSON lines; they identify an earlier output.
    """
    target = target_of(path)
    if force or not os.path.exists(target) or not os.path.getsize(target) or _written_before(target, list(heads)):
        return
    raise InputError(
        f"{path}: exists already, and tcalloc did not write it with the same kind of content. Name another file, or "
        "use --force to replace it."
    )


def _written_before(path: str, heads: list[str]) -> bool:
    with suppress(InputError, OSError, ValueError, csv.Error, zipfile.BadZipFile, RecursionError):
        if not heads:
            with open_regular(path) as file:
                return os.path.getsize(path) <= _MOST and MARK.encode() in file.read(_MOST)
        suffix = os.path.splitext(path)[1].lower()
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()] == heads
        if suffix == ".parquet":
            return _parquet_heads(path) == heads
        with open_regular(path) as file:
            line = file.readline(MOST_LINE).decode("utf-8-sig")
        if suffix == ".csv":
            return next(csv.reader(io.StringIO(line)), []) == heads
        row = json.loads(line)
        return isinstance(row, dict) and list(row) == heads
    return False


def _parquet_heads(path: str) -> list[str]:
    try:
        import pyarrow.parquet as pq
    except ImportError:
        return []
    try:
        return list(pq.read_schema(path).names)
    except Exception:  # whatever pyarrow raises for a file of another kind
        return []

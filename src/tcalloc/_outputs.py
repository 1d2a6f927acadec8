"""Files by names that the user gave: what tcalloc wrote before is replaced, anything else is refused."""

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

# Stands in every picture and report that tcalloc writes.
MARK = "Made by tcalloc"
_FIELDS = {".png": "Description", ".svg": "Description", ".pdf": "Subject"}
# How the names of pictures and of pages end.
PICTURES, PAGES = tuple(_FIELDS), (".html", ".htm")
_MOST = 1 << 28


def save_picture(figure: Any, path: str) -> None:
    """Save a Matplotlib figure with tcalloc's mark in it; the suffix says the format.

    Raises
    ------
    InputError
        If the suffix is none of .png, .svg, .pdf, or the file cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _FIELDS:
        raise InputError(f"{path}: allowed are names that end in .png, .svg or .pdf.")
    with replacing(path) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a sign of a name
        figure.savefig(file, format=suffix[1:], dpi=150, metadata={_FIELDS[suffix]: MARK})


def refuse_to_replace(path: str, heads: Sequence[str] = (), *, force: bool = False) -> None:
    """Refuse a file that exists and that tcalloc did not write.

    Parameters
    ----------
    path : str
        Where something is to be written.
    heads : sequence of str
        Of a table or of JSON lines: the names of the columns or fields, by which an earlier output is known.
    force : bool
        Whether any file may be replaced.

    Raises
    ------
    InputError
        If the file is not known as an earlier output.
    """
    target = target_of(path)
    if force or not os.path.exists(target) or not os.path.getsize(target) or _written_before(target, list(heads)):
        return
    raise InputError(
        f"{path}: exists already, and tcalloc did not write it as what it would write now. Name another file, or say "
        "--force to replace it."
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
    except Exception:  # whatever pyarrow says of a file that is none
        return []

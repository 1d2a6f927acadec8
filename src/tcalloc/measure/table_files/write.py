"""Tables, out: named columns as CSV, Parquet or NPZ."""

import csv
import io
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._files import replacing
from tcalloc.errors import InputError, MissingExtraError

__all__ = [
    "SUFFIXES",
    "defused",
    "formulas",
    "plain_text",
    "suffix_of",
    "write_columns",
    "write_csv",
]

SUFFIXES = (".csv", ".parquet", ".npz")
# Rows that are Python objects at one time: enough to be fast, little enough to be small.
BLOCK = 1 << 14
# What a spreadsheet takes for a formula begins with one of these; so does what has apostrophes before them.
_SIGNS = "=+@\t\r\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
_BEGINS = frozenset(f"-'{_SIGNS}")
_FORMULA = re.compile(f"'*[-{_SIGNS}]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def suffix_of(path: str) -> str:
    """Return the suffix that says a table file's format; others are refused."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        if suffix in (".gz", ".zst", ".bz2", ".xz", ".zip"):
            raise InputError(f"{path}: compressed files ({suffix}) are not read or written; decompress it first.")
        got = f"unknown suffix {suffix!r}" if suffix else "a name without a suffix"
        log = f" A log is imported first: tcalloc import {shlex.quote(path)} --out run/"
        logged = log if path.lower().endswith((".jsonl", ".json")) and os.path.isfile(path) else ""
        raise InputError(f"{path}: {got}; allowed are .csv, .parquet and .npz.{logged}")
    return suffix


def write_columns(path: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write named columns of one length; the suffix says the format. NaN is an empty cell (a null in Parquet)."""
    suffix = suffix_of(path)
    if suffix == ".npz":
        with replacing(path) as file:
            plain: dict[str, Any] = {name: _plain(values) for name, values in columns.items()}
            np.savez(file, **plain)  # no allow_pickle: before NumPy 2.1 that would be one more array
    elif suffix == ".parquet":
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise MissingExtraError(f"{path}: writing Parquet needs pyarrow: pip install 'tcalloc[parquet]'") from None
        with _encodable(path), replacing(path) as file:
            arrays = [
                pa.array(values.tolist(), pa.string())
                if values.dtype.kind in "OU"
                else pa.array(values, from_pandas=True)
                for values in columns.values()
            ]
            pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), file)
    else:
        with replacing(path) as file, _encodable(path):
            write_csv(file, columns)


def write_csv(file: IO[bytes], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write named columns as CSV: UTF-8, lines end in a line feed, floats read back the same.

    Texts that a spreadsheet would run as a formula get an apostrophe in front, which `load_table` takes away again.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        # The csv module quotes a line feed, which ends its lines, but (before Python 3.13) not a carriage return, which
        # readers take for the end of a line too.
        odd = any("\r" in cell for v in columns.values() if v.dtype.kind in "OU" for cell in v.tolist())
        odd = odd or any("\r" in name for name in columns)
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL)
        writer.writerow(columns)
        for start in range(0, len(next(iter(columns.values()))), BLOCK):
            writer.writerows(zip(*(_cells(v[start : start + BLOCK]) for v in columns.values()), strict=True))
        text.flush()
    finally:
        text.detach()


def defused(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with an apostrophe in front if it begins like one.

    Numbers are left as they are. What begins with apostrophes and then like a formula gets one more, so that
    `plain_text` returns every cell as it was.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def plain_text(cell: str) -> str:
    """Return the text that `defused` was given."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def formulas(columns: Mapping[str, NDArray[Any]]) -> int:
    """Return how many cells `write_csv` puts an apostrophe in front of."""
    texts = (cell for values in columns.values() if values.dtype.kind in "OU" for cell in values.tolist())
    return sum(isinstance(cell, str) and cell[:1] in _BEGINS and defused(cell) != cell for cell in texts)


def _cells(values: NDArray[Any]) -> list[Any]:
    cells: list[Any] = values.tolist()
    if values.dtype.kind in "OU":
        return [defused(cell) if isinstance(cell, str) and cell[:1] in _BEGINS else cell for cell in cells]
    if values.dtype.kind == "f" and np.isnan(values).any():
        return [cell if cell == cell else "" for cell in cells]
    return cells


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return what NPZ holds without pickle: text as NumPy's fixed-width strings."""
    return values.astype(np.str_) if values.dtype.kind in "OT" else values


@contextmanager
def _encodable(path: str) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as error:
        part = error.object[error.start : error.end]
        raise InputError(f"{path}: {part!r} in an id or a name is not text that UTF-8 can hold. Rename it.") from None

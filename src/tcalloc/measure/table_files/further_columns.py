"""Columns of a table's file that are no part of the table: texts of the questions, their kind, a difficulty label.

What to use when
----------------
`read_column`
    One of the columns that ``load_table(path).ignored`` names.
"""

import csv
from typing import Any

import numpy as np

from tcalloc.errors import InputError, MissingExtraError

__all__ = ["read_column"]


def read_column(path: str, name: str, n: int) -> list[str]:
    """Return a further column of a table's file as text.

    Parameters
    ----------
    path : str
        The file, which `tcalloc.load_table` has read, so that it is known to be sound.
    name : str
        The column, or the array of a .npz file.
    n : int
        How many rows the table has.

    Raises
    ------
    InputError
        If the column does not hold one text, number or mark per row.
    MissingExtraError
        If the file is Parquet, and pyarrow is not installed.
    """
    if path.lower().endswith(".npz"):
        with np.load(path, allow_pickle=False) as archive:
            try:
                values: list[Any] = archive[name].tolist()
            except ValueError:
                raise InputError(f"{path}: the array {name} holds Python objects. Save it as text.") from None
    elif path.lower().endswith(".parquet"):
        try:
            import pyarrow.parquet as pq
        except ImportError:
            raise MissingExtraError(f"{path}: reading Parquet needs pyarrow: pip install 'tcalloc[parquet]'") from None
        values = pq.read_table(path, columns=[name]).column(0).to_pylist()
    else:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
        at = rows[0].index(name)
        values = [row[at] for row in rows[1:]]
    if not isinstance(values, list) or len(values) != n:
        raise InputError(f"{path}: {name} does not hold one value per instance ({n:,}).")
    for row, value in enumerate(values):
        if isinstance(value, (list, dict)) or value is None or not str(value).strip():
            raise InputError(f"{path}, instance {row}: {name} is empty or no text. Fill it in, or compare without it.")
    return [str(value) for value in values]

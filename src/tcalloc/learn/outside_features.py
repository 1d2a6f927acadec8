"""Columns of numbers about the questions from outside, read from a file and matched by the questions' ids.

What to use when
----------------
`read_features`
    The columns of a CSV or NPZ file, in the order of some questions.

A probe of hidden states, a reward model's score of the prompt, an embedding: whatever is computed outside comes in
here. Nothing is unpickled.
"""

import csv
import os
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError

__all__ = ["read_features"]

Floats = NDArray[np.float64]

ID = "id"
LAYOUT = (
    "expected a .csv file with the columns id and one or more of numbers, or an .npz file with the array id and arrays "
    "of numbers, one row per question"
)
# More columns than any embedding has.
MOST_COLUMNS = 65_536


def read_features(path: str | os.PathLike[str], ids: Sequence[str]) -> dict[str, list[float]]:
    r"""Return columns of numbers, one value per question.

    Parameters
    ----------
    path : path
        A .csv file, whose first line names the columns: ``id`` and any others. Or an .npz file with the array ``id`` of
        N ids and arrays of N numbers, or of N rows of numbers (an embedding): their columns are called name.0, name.1…
        Lines of other questions are allowed.
    ids : sequence of str
        The ids of the questions that are wanted, in order.

    Returns
    -------
    dict of str to list of float
        The columns by name.

    Raises
    ------
    InputError
        If the file cannot be read, a value is no finite number, an id occurs twice, or a question is missing.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "features.csv")
    ...     _ = path.write_text("id,reward\nq2,0.5\nq1,-1\n")
    ...     read_features(path, ["q1", "q2"])
    {'reward': [-1.0, 0.5]}
    """
    name = os.fspath(path)
    ending = name.lower().rpartition(".")[2]
    if ending not in ("csv", "npz"):
        raise InputError(f"{name}: is neither .csv nor .npz; {LAYOUT}.")
    try:
        known, columns = _from_csv(name) if ending == "csv" else _from_npz(name)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}.") from None
    place: dict[str, int] = {}
    for row, one in enumerate(known):
        if place.setdefault(one, row) != row:
            raise InputError(f"{name}: the id {one!r} occurs in the rows {place[one]} and {row} (from 0). Keep one.")
    missing = [one for one in ids if one not in place]
    if missing:
        more = f" and {counted(len(missing) - 1, 'other')}" if len(missing) > 1 else ""
        raise InputError(
            f"{name}: holds no features of the question {missing[0]!r}{more}. Every question needs a row with its id."
        )
    rows = np.array([place[one] for one in ids], np.intp)
    for column, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values[rows]))
        if len(bad):
            row = int(rows[bad[0]])
            raise InputError(
                f"{name}: {column!r} of the question {known[row]!r} is {values[row]}; expected a finite number. Fill "
                "it in, or leave the column out."
            )
    return {column: values[rows].tolist() for column, values in columns.items()}


def _from_csv(name: str) -> tuple[list[str], dict[str, Floats]]:
    with open(name, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            head = next(lines, [])
            if ID not in head or len(head) < 2 or len(set(head)) < len(head) or not all(head):
                raise InputError(f"{name}: its first line is {','.join(head)[:80]!r}; {LAYOUT}.")
            at = head.index(ID)
            known, cells = [], []
            for row in lines:
                if not row:
                    continue
                if len(row) != len(head):
                    raise InputError(
                        f"{name}, line {lines.line_num}: {counted(len(row), 'field')}; expected {len(head)}, as in the "
                        "first line."
                    )
                known.append(row[at])
                cells.append([_number(name, lines.line_num, head[j], row[j]) for j in range(len(head)) if j != at])
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{name}: is no CSV file of UTF-8 text: {error}.") from None
    if not known:
        raise InputError(f"{name}: holds no rows; {LAYOUT}.")
    values = np.array(cells, np.float64)
    return known, {column: values[:, j] for j, column in enumerate(one for one in head if one != ID)}


def _number(name: str, line: int, column: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"{name}, line {line}: {column!r} is {cell[:40]!r}; expected a number. A kind of question is no number: "
            "--category names a field of the questions file."
        ) from None


def _from_npz(name: str) -> tuple[list[str], dict[str, Floats]]:
    try:
        with np.load(name, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{name}: is no .npz file of plain arrays: {error}.") from None
    given = arrays.pop(ID, None)
    if given is None or given.ndim != 1 or given.dtype.kind not in "UTiu" or not len(given) or not arrays:
        there = ", ".join([*(() if given is None else (ID,)), *arrays]) or "nothing"
        raise InputError(f"{name}: holds {there}; {LAYOUT}.")
    columns: dict[str, Floats] = {}
    for key, array in arrays.items():
        fine = array.ndim in (1, 2) and len(array) == len(given) and array.dtype.kind in "fiub"
        if not fine or (array.ndim == 2 and not 1 <= array.shape[1] <= MOST_COLUMNS):
            raise InputError(
                f"{name}: the array {key!r} has shape {array.shape} and dtype {array.dtype}; expected "
                f"{counted(len(given), 'number')}, or as many rows of numbers."
            )
        values = array.astype(np.float64)
        found = {key: values} if array.ndim == 1 else {f"{key}.{j}": values[:, j] for j in range(array.shape[1])}
        for column in found.keys() & columns.keys():
            raise InputError(f"{name}: two columns are called {column!r}. Rename one of the arrays.")
        columns |= found
    return [str(one) for one in given.tolist()], columns

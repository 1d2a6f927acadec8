"""`load_table` and `save_table`: a table from a file and into one."""

import json
import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.measure.labels import GOLD, Labels
from tcalloc.measure.table import Table
from tcalloc.measure.table_files.columns import shown
from tcalloc.measure.table_files.further_columns import read_column
from tcalloc.measure.table_files.read import read_csv, read_npz, read_parquet
from tcalloc.measure.table_files.write import suffix_of, write_columns

__all__ = ["load_table", "save_table"]

# The column that says what accuracies are shares of, where no gold answers were used: one JSON object per row.
LABELS = "tcalloc_labels"


def load_table(path: str | os.PathLike[str]) -> Table:
    """Read a table from a CSV, Parquet or NPZ file.

    Parameters
    ----------
    path : path
        Its suffix says the format: .csv, .parquet or .npz. The layouts are those of `tcalloc.measure.table_files`.

    Returns
    -------
    Table
        Its ``ignored`` lists the columns that were not read.

    Raises
    ------
    InputError
        If the file is missing or malformed; names the file, the place and the remedy.
    MissingExtraError
        If it is Parquet and pyarrow is not installed.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise InputError(f"{name}: a folder; expected a .csv, .parquet or .npz file.")
    if not os.path.exists(name):
        raise InputError(f"{name}: no such file. Check the path.")
    read = {".csv": read_csv, ".parquet": read_parquet, ".npz": read_npz}[suffix_of(name)]
    try:
        found = read(name)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror or error}).") from None
    if LABELS in found.get("ignored", ()):
        found["labels"] = _labels(name, read_column(name, LABELS, len(found["acc"])))
        found["ignored"] = tuple(column for column in found["ignored"] if column != LABELS)
    try:
        return Table(**found)
    except InputError as error:
        # In an NPZ file the names of the actions are the array "actions".
        message = _with_labels(str(error), found).replace("action_names", "actions")
        raise InputError(f"{name}: {message}") from None


def _with_labels(message: str, found: dict[str, Any]) -> str:
    """Add the id and the action's name to a message that begins with a place in an array."""
    place = re.match(r"(\w+)\[(\d+)(?:, (\d+))?\]", message)
    if place is None:
        return message
    labels = []
    if found.get("ids") is not None:
        labels.append(f"id {shown(str(found['ids'][int(place[2])]))}")
    if found.get("action_names") is not None and place[3] is not None:
        labels.append(f"action {shown(found['action_names'][int(place[3])])}")
    return f"{place[0]} ({', '.join(labels)}){message[place.end() :]}" if labels else message


def _labels(path: str, cells: list[str]) -> Labels:
    """Return what the column of labels says.

    Raises
    ------
    InputError
        If its cells differ, or are not what `save_table` writes.
    """
    try:
        [said] = set(cells)
        found = json.loads(said)
        return Labels.from_dict(GOLD.to_dict() | found)
    except (ValueError, TypeError, InputError):
        raise InputError(
            f"{path}: the column {LABELS} is not what tcalloc writes: the same JSON object in each row. Drop it if the "
            "accuracies are shares of gold answers."
        ) from None


def save_table(table: Table, path: str | os.PathLike[str]) -> None:
    """Write a table to a CSV, Parquet or NPZ file, which `load_table` reads back.

    Parameters
    ----------
    table : Table
        Ids are written as text, actions without names under their column numbers. CSV and Parquet repeat costs that all
        instances share; the values of actions that a row does not have are not kept there.
    path : path
        Its suffix says the format: .csv, .parquet or .npz. An existing file is replaced, at once or not at all.

    Raises
    ------
    InputError
        If the path cannot be written, or an id or a name could not be read back.
    MissingExtraError
        If it is Parquet and pyarrow is not installed.
    """
    name = os.fspath(path)
    suffix = suffix_of(name)
    names = _writable_names(table)
    columns: dict[str, NDArray[Any]] = {}
    if table.ids is not None:
        columns["ids" if suffix == ".npz" else "id"] = _writable_ids(table.ids)
    if not table.labels.gold:
        said = {key: value for key, value in table.labels.to_dict().items() if value != GOLD.to_dict()[key]}
        columns[LABELS] = np.full(len(table.acc), json.dumps(said), object)
    if suffix == ".npz":
        columns |= {"acc": table.acc, "cost": table.cost}
        if table.action_names is not None:
            columns["actions"] = np.array(names, dtype=np.str_)
        if table.available is not None:
            columns["available"] = table.available
        if table.weights is not None:
            columns["weights"] = table.weights
    else:
        if table.weights is not None:
            columns["weight"] = table.weights
        for kind, values in (("acc", table.acc), ("cost", np.broadcast_to(table.cost, table.acc.shape))):
            for k, action in enumerate(names):
                here = values[:, k]
                if table.available is not None:
                    here = np.where(table.available[:, k], here, np.nan)
                columns[f"{kind}:{action}"] = here
    write_columns(name, columns)


def _writable_ids(ids: NDArray[Any]) -> NDArray[Any]:
    """Return the ids as text; refuse what would not be read back."""
    texts = [str(value) for value in ids.tolist()]
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if not text.strip() or "\0" in text:
            raise InputError(f"ids[{row}] is {shown(text)}; a file needs ids that are not empty and hold no NUL.")
        if first.setdefault(text, row) != row:
            raise InputError(
                f"ids[{row}] is {shown(text)} like ids[{first[text]}]; a file needs ids that differ. "
                "For how often an instance occurs there are weights."
            )
    return np.array(texts, dtype=object)


def _writable_names(table: Table) -> tuple[str, ...]:
    """Return the actions' names (their column numbers if they have none); refuse what would not be read back."""
    if table.action_names is None:
        return tuple(str(k) for k in range(table.acc.shape[1]))
    for name in table.action_names:
        if name != name.strip() or not name or "\0" in name:
            raise InputError(
                f"the action name {shown(name)} cannot be read back from a file: it is empty, begins or ends with a "
                "blank, or holds a NUL. Rename the action."
            )
    return table.action_names

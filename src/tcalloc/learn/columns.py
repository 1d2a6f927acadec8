"""Columns as users hold them (lists, arrays, pandas, polars) as lists of texts and arrays of numbers."""

import numbers as abstract
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError

__all__ = ["COUNT", "are_counts", "column_of", "columns_of", "kind_of", "role_of"]

COUNT = "lexical:"
"""How the names of columns begin that hold a count of a text: `tcalloc.learn.features.lexical.COLUMNS`."""

# A column of short texts is a column of categories if it has at most this many different values, each value occurs
# twice on average, and no value is longer than a name would be.
MOST_CATEGORIES = 50
LONGEST_CATEGORY = 64


def are_counts(names: Collection[Any] | None) -> bool:
    """Return whether these are the names of columns that hold counts of a text, and of no others."""
    return bool(names) and all(str(name).startswith(COUNT) for name in names or ())


def module_of(value: Any) -> str:
    """Return the name of the package that an object's class comes from."""
    return type(value).__module__.partition(".")[0]


def kind_of(X: Any) -> str:
    """Return what X looks like: "texts", "matrix" or "frame"."""
    if hasattr(X, "toarray") and not isinstance(X, np.ndarray):
        raise InputError("X is a sparse matrix; sparse input is not supported. Pass X.toarray().")
    if isinstance(X, str | bytes | Mapping):
        raise InputError(f"X is {type(X).__name__}; expected one row per question: put it into a list, or use as_row.")
    if hasattr(X, "columns") and module_of(X) in ("pandas", "polars"):
        return "matrix" if _unnamed(X) else "frame"
    if isinstance(X, np.ndarray):
        one = X.ndim == 1 and (X.dtype.kind in "UT" or (X.dtype.kind == "O" and (not X.size or _texty(X[0]))))
        return "texts" if one else "matrix"
    if module_of(X) in ("pandas", "polars"):  # a Series
        return "texts" if len(X) and all(_texty(value) for value in X.head(1).to_list()) else "matrix"
    if isinstance(X, list | tuple) and X:
        if isinstance(X[0], Mapping):
            return "frame"
        if _texty(X[0]):
            return "texts"
    return "matrix"


def _texty(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _unnamed(X: Any) -> bool:
    """Return whether all columns of a pandas frame are named by numbers only."""
    return module_of(X) == "pandas" and len(X.columns) > 0 and not any(isinstance(name, str) for name in X.columns)


def columns_of(X: Any) -> tuple[int, dict[str, Any]]:
    """Return the number of rows of a frame (or of a list of dictionaries), and its columns by name."""
    if isinstance(X, list | tuple):
        first = X[0]
        for i, row in enumerate(X):
            if not isinstance(row, Mapping):
                raise InputError(f"X[{i}] is {type(row).__name__}; expected a dictionary like X[0].")
            if row.keys() != first.keys():
                odd = sorted(map(str, row.keys() ^ first.keys()))
                raise InputError(f"X[{i}] has other columns than X[0] ({', '.join(odd)}). Give all rows the same.")
        names, columns = list(first), [[row[name] for row in X] for name in first]
    else:
        names, columns = (
            list(X.columns),
            [X.iloc[:, j] for j in range(X.shape[1])] if module_of(X) == "pandas" else list(X),
        )
    for j, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(f"X: the name of column {j} is {name!r}; expected a text. Rename it: X.columns = [...].")
        if name in names[:j]:
            raise InputError(f"X: two columns are called {name!r}. Rename or drop one.")
    if not names:
        raise InputError("X has no columns.")
    return len(X), dict(zip(names, columns, strict=True))


def role_of(values: Any, name: str) -> str:
    """Return the role of a frame's column: "text", "category" or "number"."""
    kind = _dtype(values)
    if kind in ("category", "number"):
        return kind
    cells = _cells(values)
    if kind == "object":
        for i, cell in enumerate(cells):
            if not isinstance(cell, str) and not _missing(cell):
                if isinstance(cell, abstract.Real | np.bool_) and all(
                    isinstance(c, abstract.Real | np.bool_) for c in cells
                ):
                    return "number"
                raise InputError(
                    f"X: row {i}, column {name!r} is of type {type(cell).__name__}; expected texts or numbers only."
                )
    distinct = set(cells)
    few = len(distinct) <= MOST_CATEGORIES and 2 * len(distinct) <= len(cells)
    return "category" if few and all(len(str(cell)) <= LONGEST_CATEGORY for cell in distinct) else "text"


def _dtype(values: Any) -> str:
    """Return "category", "number", "text", or "object" if its cells must be inspected."""
    if isinstance(values, list):
        return "object"
    dtype = values.dtype
    if module_of(values) == "polars":
        word = str(dtype).partition("(")[0]
        if word in ("Categorical", "Enum"):
            return "category"
        if dtype.is_numeric() or word == "Boolean":
            return "number"
        return "text" if word == "String" else "object"
    if type(dtype).__name__ == "CategoricalDtype":
        return "category"
    if type(dtype).__name__ in ("StringDtype", "StringDType"):
        return "text"
    kind = getattr(dtype, "kind", "O")
    return "number" if kind in "fiub" else "text" if kind in "UT" else "object"


def _cells(values: Any) -> list[Any]:
    return (
        values
        if isinstance(values, list)
        else list(values.to_list() if hasattr(values, "to_list") else values.tolist())
    )


def _missing(cell: Any) -> bool:
    if cell is None:
        return True
    try:
        return bool(cell != cell)
    except TypeError:  # the truth value of pandas' NA is undefined
        return True


def column_of(values: Any, name: str, role: str) -> Any:
    """Return a column's texts (a list of str) or its numbers ((n,) float64).

    Raises
    ------
    InputError
        If a cell is missing or has the wrong type; the message names the row.
    """
    place = "X[{}]" if name == "X" else f"X: row {{}}, column {name!r}"
    if role == "number":
        return _floats(values, name)
    cells = list(values) if isinstance(values, list | tuple) else _cells(values)
    # Every text passes here, so the check is one C loop. Only if it fails is the row searched for.
    if set(map(type, cells)) <= {str}:
        return cells
    found = []
    for i, cell in enumerate(cells):
        if isinstance(cell, str):
            found.append(str(cell))
        elif _missing(cell):
            raise InputError(
                f"{place.format(i)} is missing ({cell!r}). Fill it in (an empty text '' will do), or drop the row."
            )
        elif role == "category" and isinstance(cell, int | np.integer | bool | np.bool_):
            found.append(str(cell))
        else:
            raise InputError(f"{place.format(i)} is of type {type(cell).__name__}; expected a text.")
    return found


def _floats(values: Any, name: str) -> NDArray[np.float64]:
    try:
        if module_of(values) == "pandas":
            return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
        if isinstance(values, list) and any(isinstance(cell, str) for cell in values):
            raise ValueError("it holds texts")
        return np.asarray(values, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"X: column {name!r} cannot be converted to numbers: {error}.") from None

"""Checked rows of X of every kind: texts, a matrix of numbers, or a data frame of columns of both.

What to use when
----------------
`as_rows`
    From what a user passes as X: a list (array, Series) of texts, a matrix, a pandas or polars data frame, or a list
    of dictionaries.
`as_row`
    From one question: a text, a vector, a dictionary or a frame of one row.
`take_rows`
    Some rows of X, as the same kind of object.

The `Schema` records what X looked like in fit. Later X must look the same; an error says what is missing, new or in
another order. All checks are made here, before any work; an error about a value names its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.columns import column_of, columns_of, kind_of, role_of

__all__ = ["RowLike", "Rows", "RowsLike", "Schema", "as_row", "as_rows", "columnar", "take_rows", "unseen"]

EXPECTED = "a list of texts, a matrix of numbers (n, d), or a data frame"


@dataclass(frozen=True, slots=True)
class Schema:
    """What X looked like in fit, in enough detail to refuse X of another form.

    Attributes
    ----------
    kind : {"texts", "matrix", "frame", "none"}
        What X was; "none": it was not looked at, so any X is accepted later.
    names : tuple of str or None
        The columns of a frame, in order; None for texts and for a matrix.
    roles : tuple of {"text", "category", "number"}
        What each column is; texts are one column, a matrix has one role for each of its columns.
    """

    kind: str
    names: tuple[str, ...] | None
    roles: tuple[str, ...]

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.roles)

    def set_on(self, estimator: Any) -> None:
        """Set what an estimator of scikit-learn's kind says about X after fit."""
        estimator.schema_, estimator.n_features_in_ = self, self.width
        if self.names is not None:
            estimator.feature_names_in_ = np.array(self.names, object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as a dictionary for JSON."""
        return {
            "kind": self.kind,
            "names": None if self.names is None else list(self.names),
            "roles": list(self.roles) if self.kind == "frame" else len(self.roles),
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Schema":
        """Return the schema that `to_dict` wrote.

        Raises
        ------
        InputError
            If `data` is not such a dictionary.
        """
        if not isinstance(data, Mapping) or set(data) != {"kind", "names", "roles"}:
            raise InputError("the schema of X is not an object of kind, names and roles.")
        kind, names, roles = data["kind"], data["names"], data["roles"]
        if kind == "frame":
            fine = (
                isinstance(names, list | tuple)
                and isinstance(roles, list | tuple)
                and len(names) == len(roles) > 0
                and all(isinstance(name, str) for name in names)
                and len(set(names)) == len(names)
                and all(role in ("text", "category", "number") for role in roles)
            )
            if fine:
                return cls("frame", tuple(names), tuple(roles))
        elif kind == "none" and names is None and type(roles) is int and roles == 0:
            return NOTHING
        elif kind == "texts" and names is None and type(roles) is int and roles == 1:
            return cls("texts", None, ("text",))
        elif kind == "matrix" and names is None and type(roles) is int and 1 <= roles <= 1 << 20:
            return cls("matrix", None, ("number",) * roles)
        raise InputError("the schema of X has a kind, names or roles that do not fit together.")


NOTHING = Schema("none", None, ())
"""The schema of a policy that was fitted without X: it accepts any question."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Checked rows of X.

    Attributes
    ----------
    n : int
        The number of rows.
    kind : {"texts", "matrix", "frame"}
        What X was.
    texts : dict of str to list of str
        The texts by column; those of a plain list are called "text". Empty where there are none.
    categories : dict of str to list of str
        The categories by column.
    numbers : ndarray of shape (n, d)
        The numeric columns, finite.
    number_names : tuple of str
        The names of the numeric columns; x0, x1, ... in a matrix.
    schema : Schema
        What X looked like.
    """

    n: int
    kind: str
    texts: dict[str, list[str]]
    categories: dict[str, list[str]]
    numbers: NDArray[np.float64]
    number_names: tuple[str, ...]
    schema: Schema

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The columns of a frame, in order; None for texts and for a matrix."""
        return self.schema.names

    def __len__(self) -> int:
        return self.n

    def row(self, i: int) -> Any:
        """Return one row as `as_row` takes it: a text, a vector, or a dictionary by column."""
        if self.kind == "texts":
            return self.texts["text"][i]
        if self.kind == "matrix":
            return self.numbers[i]
        place = {name: position for position, name in enumerate(self.number_names)}
        found: dict[str, Any] = {}
        for name, role in zip(self.schema.names or (), self.schema.roles, strict=True):
            if role == "number":
                found[name] = float(self.numbers[i, place[name]])
            else:
                found[name] = (self.texts if role == "text" else self.categories)[name][i]
        return found

    def keys(self) -> list[Any]:
        """Return one key per row for `tcalloc.learn.protocol.uniform`; equal rows have equal keys."""
        if self.kind == "texts":
            return list(self.texts["text"])
        if self.kind == "matrix":
            return list(self.numbers)
        words = [*self.texts.values(), *self.categories.values()]
        numbers = [row.tobytes().hex() for row in np.ascontiguousarray(self.numbers + 0.0, "<f8")]
        return ["\x1f".join([*(column[i] for column in words), numbers[i]]) for i in range(self.n)]

    def take(self, rows: Any) -> "Rows":
        """Return some of the rows, by position or by a mask, in that order."""
        index = np.asarray(rows)
        positions = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.intp)
        chosen = positions.tolist()
        return Rows(
            n=len(chosen),
            kind=self.kind,
            texts={name: [column[i] for i in chosen] for name, column in self.texts.items()},
            categories={name: [column[i] for i in chosen] for name, column in self.categories.items()},
            numbers=self.numbers[positions],
            number_names=self.number_names,
            schema=self.schema,
        )


# What a user may pass as X (data frames are array-like, since they convert to arrays), and as one question.
RowsLike: TypeAlias = Rows | ArrayLike | Mapping[str, ArrayLike] | Sequence[Mapping[str, Any]]
RowLike: TypeAlias = Rows | ArrayLike | Mapping[str, Any]


def as_rows(X: Any, *, expected: Schema | None = None) -> Rows:
    """Check X of any kind and return it as rows.

    Parameters
    ----------
    X : sequence of str, array_like of shape (n, d), DataFrame, sequence of dict, or Rows
        One row per question. In a frame, numeric and boolean columns are numbers. Categorical columns, and columns of
        short texts with few different values, are categories. All other columns of texts are texts.
    expected : Schema, optional
        What X must look like.

    Returns
    -------
    Rows

    Raises
    ------
    InputError
        If X is none of these, is empty, has missing or non-finite values, or does not look as expected.
    """
    expected = None if expected == NOTHING else expected
    if isinstance(X, Rows):
        if expected is not None and X.schema != expected:
            _refuse_other(X.schema, expected)
        return X
    kind = kind_of(X)
    if kind == "frame":
        n, columns = columns_of(X)
        if isinstance(X, list | tuple) and expected is not None and set(columns) == set(expected.names or ()):
            columns = {name: columns[name] for name in expected.names or ()}  # dictionaries have no order to keep
        rows = _from_frame(n, columns, expected)
    elif kind == "texts":
        texts = column_of(X, "X", "text")
        rows = Rows(len(texts), "texts", {"text": texts}, {}, np.empty((len(texts), 0)), (), _TEXTS)
    else:
        rows = _from_matrix(X, expected)
    if rows.n == 0:
        raise InputError(f"X is empty (0 sample(s)) while a minimum of 1 is required; expected {EXPECTED}.")
    if expected is not None and rows.schema != expected:
        _refuse_other(rows.schema, expected)
    return rows


def unseen(n: int) -> Rows:
    """Return n questions about which nothing is known, for policies that do not look at them."""
    return Rows(n, "none", {}, {}, np.empty((n, 0)), (), NOTHING)


def as_row(x: Any, *, expected: Schema | None = None) -> Rows:
    """Check one question: a text, a vector of numbers, a dictionary by column, or a frame or matrix of one row.

    Raises
    ------
    InputError
        If it is none of these, or does not look as expected.
    """
    expected = None if expected == NOTHING else expected
    if type(x) is str:  # the fast path of live traffic
        if expected is not None and expected.kind != "texts":
            _refuse_other(_TEXTS, expected)
        return Rows(1, "texts", {"text": [x]}, {}, np.empty((1, 0)), (), _TEXTS)
    if isinstance(x, str):
        return as_rows([str(x)], expected=expected)
    if isinstance(x, Mapping):
        return as_rows([x], expected=expected)
    if isinstance(x, Rows) or kind_of(x) == "frame":
        rows = as_rows(x, expected=expected)
    else:
        array = np.asarray(x)
        if array.ndim == 0:
            raise InputError(f"x is {x!r}; expected one question: a text, a vector of numbers or a dictionary.")
        rows = as_rows(array if array.ndim == 2 or array.dtype.kind in "OUT" else array[None, :], expected=expected)
    if rows.n != 1:
        raise InputError(
            f"x holds {counted(rows.n, 'row')}; expected one question. For several questions use decide(X)."
        )
    return rows


def columnar(X: Any) -> bool:
    """Return whether X is indexed by column, so that ``take`` selects rows: a pyarrow table, or checked rows."""
    return isinstance(X, Rows) or type(X).__module__.partition(".")[0] == "pyarrow"


def take_rows(X: Any, rows: Any) -> Any:
    """Return some rows of X, as the same kind of object.

    Parameters
    ----------
    X : sequence, matrix, frame or None
        What is known about each question; None (nothing is known) is returned as it is.
    rows : array_like of int
        Positions of the questions.
    """
    if X is None:
        return None
    positions = np.asarray(rows)
    if hasattr(X, "iloc"):
        return X.iloc[positions]
    if isinstance(X, (list, tuple)):
        return [X[i] for i in positions.tolist()]
    if columnar(X):
        return X.take(positions)
    return X[positions]


_TEXTS = Schema("texts", None, ("text",))


def _from_matrix(X: Any, expected: Schema | None) -> Rows:
    try:
        array = np.asarray(X)
    except (ValueError, TypeError) as error:
        raise InputError(f"X cannot be converted to a matrix: {error}. Expected {EXPECTED}.") from None
    if array.dtype.kind == "c":
        raise InputError(
            "X holds complex numbers. Complex data not supported; pass real and imaginary part as columns."
        )
    if array.ndim != 2:
        raise InputError(
            f"X has shape {array.shape}; expected {EXPECTED}. Reshape your data: X.reshape(-1, 1) if it is one "
            "feature, X.reshape(1, -1) if it is one question."
        )
    n, d = array.shape
    if array.dtype.kind in "OUST":
        try:
            array = array.astype(np.float64)
        except (ValueError, TypeError) as error:
            raise InputError(f"X cannot be converted to a matrix of numbers: {error}. Expected {EXPECTED}.") from None
    if array.dtype.kind not in "fiub":
        raise InputError(f"X has dtype {array.dtype}; expected numbers. Convert it first: X.astype(float).")
    if d == 0:
        raise InputError(f"X has 0 feature(s) (shape=({n}, 0)) while a minimum of 1 is required.")
    numbers = array.astype(np.float64)
    refuse_infinite(numbers, None)
    if expected is not None and expected.kind == "frame" and set(expected.roles) == {"number"} and d == expected.width:
        return Rows(n, "frame", {}, {}, numbers, expected.names or (), expected)
    names = tuple(f"x{j}" for j in range(d))
    return Rows(n, "matrix", {}, {}, numbers, names, Schema("matrix", None, ("number",) * d))


def _from_frame(n: int, columns: dict[str, Any], expected: Schema | None) -> Rows:
    if expected is not None and expected.kind == "frame" and expected.names != tuple(columns):
        _refuse_names(tuple(columns), expected.names or ())
    if expected is not None and expected.kind == "matrix" and len(columns) != expected.width:
        raise InputError(f"X has {counted(len(columns), 'feature')}, but it had {expected.width} in fit.")
    texts: dict[str, list[str]] = {}
    categories: dict[str, list[str]] = {}
    numbers: dict[str, NDArray[np.float64]] = {}
    roles = []
    for position, (name, values) in enumerate(columns.items()):
        seen = None if expected is None or expected.kind == "texts" else expected.roles[position]
        role = role_of(values, name) if seen is None else seen
        roles.append(role)
        column = column_of(values, name, role)
        (numbers if role == "number" else texts if role == "text" else categories)[name] = column
    block = np.column_stack(list(numbers.values())) if numbers else np.empty((n, 0))
    refuse_infinite(block, tuple(numbers))
    if expected is not None and expected.kind == "matrix":
        return Rows(n, "matrix", {}, {}, block, tuple(f"x{j}" for j in range(block.shape[1])), expected)
    schema = Schema("frame", tuple(columns), tuple(roles))
    return Rows(n, "frame", texts, categories, block, tuple(numbers), schema)


def refuse_infinite(numbers: NDArray[np.float64], names: Sequence[str] | None) -> None:
    """Raise an error for the first value that is not finite, with its place."""
    fine = np.isfinite(numbers)
    if fine.all():
        return
    row, column = np.argwhere(~fine)[0].tolist()
    value = float(numbers[row, column])
    said = "NaN" if value != value else "infinity (inf)" if value > 0 else "infinity (-inf)"
    place = f"X[{row}, {column}]" if names is None else f"X: row {row}, column {names[column]!r}"
    raise InputError(f"{place} is {said}. Features must be finite; fill the value in, or drop the row.")


def _refuse_other(got: Schema, expected: Schema) -> None:
    words = {"texts": "a list of texts", "matrix": "a matrix of {} columns", "frame": "a frame with the columns {}"}

    def described(schema: Schema) -> str:
        names = ", ".join(schema.names) if schema.names else schema.width
        return words[schema.kind].format(names)

    if got.kind == expected.kind == "matrix":
        raise InputError(
            f"X has {got.width} features, but it is expecting {expected.width} features as input, as in fit."
        )
    if got.kind == expected.kind == "frame" and got.names != expected.names:
        _refuse_names(got.names or (), expected.names or ())
    if got.kind == expected.kind == "frame":
        for name, was, now in zip(got.names or (), expected.roles, got.roles, strict=True):
            if was != now:
                raise InputError(f"X: column {name!r} is of the kind {now}, but was {was} in fit.")
    raise InputError(f"X is {described(got)}, but was {described(expected)} in fit. Pass the same kind.")


def _refuse_names(got: tuple[str, ...], expected: tuple[str, ...]) -> None:
    missing = [name for name in expected if name not in got]
    extra = [name for name in got if name not in expected]
    lines = ["The feature names should match those that were passed during fit."]
    if extra:
        lines.append("Feature names unseen at fit time:\n" + "".join(f"- {name}\n" for name in sorted(extra)))
    if missing:
        lines.append(
            "Feature names seen at fit time, yet now missing:\n" + "".join(f"- {name}\n" for name in sorted(missing))
        )
    if not missing and not extra:
        lines.append(f"Feature names must be in the same order as they were in fit: {', '.join(expected)}.\n")
    raise InputError("X: " + "\n".join(lines))

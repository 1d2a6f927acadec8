"""The matrix that a policy learns from: made of checked rows, by `Features` or any other transformer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.rows import Rows

__all__ = ["features_from_state", "features_state", "fitted_features", "transformed"]

Floats = NDArray[np.float64]


def fitted_features(features: Any, rows: Rows, seed: int) -> Any:
    """Return fitted features: a clone of the given transformer, or the default one.

    Raises
    ------
    InputError
        If `features` is no transformer.
    """
    from sklearn.base import clone

    from tcalloc.learn.features import Features

    if features is None:
        return Features(random_state=seed).fit(rows)
    if not (hasattr(features, "fit") and hasattr(features, "transform")) or isinstance(features, type):
        raise InputError(
            f"features is {features!r}; expected Features(…), a scikit-learn transformer, or None (default)."
        )
    made = clone(features)
    return made.fit(rows if isinstance(made, Features) else plain(rows))


def plain(rows: Rows) -> Any:
    """Return rows in the form that other transformers take: a list of texts or a matrix."""
    if rows.kind == "texts":
        return rows.texts["text"]
    if rows.kind == "matrix":
        return rows.numbers
    raise InputError("a data frame needs Features(…) as features; other transformers get texts or a matrix.")


def transformed(features: Any, rows: Rows) -> Floats:
    """Return the features of rows, checked: all finite, one row per question."""
    from tcalloc.learn.features import Features

    if isinstance(features, Features):
        return np.asarray(features.transform(rows), np.float64)
    found = features.transform(plain(rows))
    found = np.asarray(found.toarray() if hasattr(found, "toarray") else found, np.float64)
    if found.ndim != 2 or len(found) != rows.n:
        raise InputError(
            f"features returned shape {found.shape} for {counted(rows.n, 'question')}; expected ({rows.n}, d)."
        )
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0].tolist()
        raise InputError(
            f"features returned {found[row, column]} in row {row}, column {column}; expected finite numbers."
        )
    return found


def features_state(features: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what a file needs of fitted features: values for JSON, and arrays.

    Raises
    ------
    InputError
        If only pickle could store them.
    """
    if not hasattr(features, "_state"):
        raise InputError(f"{type(features).__name__} cannot be saved without pickle. Use Features(…).")
    meta, arrays, _ = features._state()
    return meta, arrays


def features_from_state(meta: Any, arrays: dict[str, NDArray[Any]]) -> tuple[Any, int]:
    """Return the features that `features_state` described, checked, and the number of their columns."""
    from tcalloc.learn.features import Features

    made = Features._from_state(meta, arrays, {})
    return made, len(made.get_feature_names_out())

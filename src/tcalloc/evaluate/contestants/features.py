"""The features of a fold: learned on its training questions, computed once for all policies that look at X."""

from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.cache import once
from tcalloc.evaluate.problem import Problem

__all__ = ["Given", "mark_of", "matrix"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


class Given:
    """Takes features as they are: a transformer of what is a matrix of features already."""

    def __sklearn_clone__(self) -> "Given":
        return self

    def fit(self, x: Any, y: Any = None) -> "Given":
        """Learn nothing."""
        return self

    def transform(self, x: Floats) -> Floats:
        """Return what was given."""
        return x


def matrix(problem: Problem, train: Rows, seed: int) -> Floats:
    """Return the features of all questions, (N, d), fitted on the training questions alone."""
    import tcalloc.learn.routing.base  # noqa: F401  (says which extra is missing, where one is)
    from tcalloc.learn.features.matrix import fitted_features, transformed

    rows = problem.rows
    assert rows is not None

    def made() -> Floats:
        found = transformed(fitted_features(None, rows.take(train), seed), rows)
        found.setflags(write=False)
        return found

    return once((problem.token, "features", mark_of(train), seed), made)


def mark_of(train: Rows) -> str:
    """Return a key that differs between sets of training questions."""
    return sha256(np.ascontiguousarray(train, np.int64).tobytes()).hexdigest()

"""Models that predict rows of a table from features: ridge, nearest neighbours, XGBoost, any scikit-learn regressor.

Each is fitted on (N, d) features and (N, K) accuracies, NaN if a question does not have the action. `out_of_fold` says
what it would have predicted for questions that it did not see. The folds are over questions. They also choose the
parameters (the ridge's alpha, the number of neighbours).
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import one_of
from tcalloc.errors import InputError
from tcalloc.learn.regression.boosted import Boosted, Estimator
from tcalloc.learn.saving.arrays import finite

__all__ = ["KINDS", "Ridge", "RowModel", "folds_of", "make_model", "model_from_state", "ridge_of"]

Floats = NDArray[np.float64]
KINDS = ("ridge", "xgboost", "knn")
FOLDS = 5


class RowModel(Protocol):
    """A model that predicts rows."""

    kind: str

    def out_of_fold(self, x: Floats, y: Floats, weights: Floats, folds: NDArray[np.intp]) -> Floats:
        """Choose the parameters; return (N, K) predictions, each by a model that did not see its question."""

    def fit(self, x: Floats, y: Floats, weights: Floats) -> None:
        """Fit on all questions."""

    def predict(self, x: Floats) -> Floats:
        """Return predictions, (n, K)."""

    def description(self) -> str:
        """Return a few words for `repr`."""

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return what a file needs."""


def folds_of(n: int, seed: Any) -> NDArray[np.intp]:
    """Return the fold of each row, 0 to FOLDS − 1 (fewer for very few rows), in random order and of equal sizes."""
    folds = np.arange(n) % max(2, min(FOLDS, n))
    np.random.default_rng(seed).shuffle(folds)
    return folds


def make_model(regressor: Any, seed: int) -> RowModel:
    """Return an unfitted model.

    Raises
    ------
    InputError
        If `regressor` is neither one of the names nor a scikit-learn regressor.
    """
    if hasattr(regressor, "fit") and hasattr(regressor, "predict") and not isinstance(regressor, type):
        return Estimator(regressor)
    name = one_of("regressor", regressor, KINDS, "scikit-learn regressors")
    return Ridge() if name == "ridge" else Neighbours() if name == "knn" else Boosted(seed)


def model_from_state(
    meta: Any, arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes], width: int, k: int
) -> RowModel:
    """Return the model that `state` described, checked: for `width` features and `k` actions."""
    made: dict[str, Any] = {"ridge": Ridge, "knn": Neighbours, "xgboost": Boosted}
    if not isinstance(meta, dict) or meta.get("kind") not in made:
        raise InputError(f"regressor: expected one of {', '.join(made)}.")
    found: RowModel = made[meta["kind"]].from_state(meta, arrays, boosters, width, k)
    return found


def _same_rows(y: Floats) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Return groups of columns that are known for the same rows, with those rows."""
    there = np.isfinite(y)
    if there.all():
        return [(np.arange(y.shape[1]), there[:, 0])]
    patterns, which = np.unique(there, axis=1, return_inverse=True)
    return [(np.flatnonzero(which.reshape(-1) == p), patterns[:, p]) for p in range(patterns.shape[1])]


def _least_error(tried: Floats, y: Floats, weights: Floats) -> int:
    """Return which of several out-of-fold predictions, (T, N, K), is the best."""
    there = np.isfinite(y)
    errors = [float((weights[:, None] * np.where(there, p - np.where(there, y, 0.0), 0.0) ** 2).sum()) for p in tried]
    return int(np.argmin(errors))


# ---------------------------------------------------------------------------------------------- ridge


class Ridge:
    """A linear model with a penalty on the squared weights; alpha is chosen out of fold, in steps of half a decade.

    One eigendecomposition of the d × d moments serves all alphas and actions.
    """

    kind = "ridge"
    alphas = 10.0 ** np.arange(-2, 5.25, 0.5)

    def __init__(self) -> None:
        self.alpha = float("nan")

    def out_of_fold(self, x: Floats, y: Floats, weights: Floats, folds: NDArray[np.intp]) -> Floats:
        """Choose alpha; return out-of-fold predictions."""
        paths = np.empty((len(self.alphas), *y.shape))
        for columns, rows in _same_rows(y):
            for fold in np.unique(folds):
                held = folds == fold
                seen = rows & ~held
                path = self._path(x[seen], y[np.ix_(seen, columns)], weights[seen], x[held])
                paths[np.ix_(np.arange(len(self.alphas)), np.flatnonzero(held), columns)] = path
        best = _least_error(paths, y, weights)
        self.alpha = float(self.alphas[best])
        return np.asarray(paths[best])

    @staticmethod
    def _moments(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        total = weights.sum()
        centre, mean = weights @ x / total, weights @ y / total
        scaled = np.sqrt(weights)[:, None] * (x - centre)
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        projected = vectors.T @ (scaled.T @ (np.sqrt(weights)[:, None] * (y - mean)))
        return centre, mean, np.maximum(values, 0.0), vectors, projected

    def _path(self, x: Floats, y: Floats, weights: Floats, new: Floats) -> Floats:
        if not len(x):
            return np.zeros((len(self.alphas), len(new), y.shape[1]))
        centre, mean, values, vectors, projected = self._moments(x, y, weights)
        turned = (new - centre) @ vectors
        return np.stack([mean + turned @ (projected / (values + alpha)[:, None]) for alpha in self.alphas])

    def fit(self, x: Floats, y: Floats, weights: Floats) -> None:
        """Fit with the chosen alpha."""
        self.coefficients = np.zeros((x.shape[1], y.shape[1]))
        self.intercept = np.zeros(y.shape[1])
        for columns, rows in _same_rows(y):
            centre, mean, values, vectors, projected = self._moments(x[rows], y[np.ix_(rows, columns)], weights[rows])
            found = vectors @ (projected / (values + self.alpha)[:, None])
            self.coefficients[:, columns] = found
            self.intercept[columns] = mean - centre @ found

    def predict(self, x: Floats) -> Floats:
        """Return predictions."""
        return np.asarray(x @ self.coefficients + self.intercept)

    def description(self) -> str:
        """Return a few words for `repr`."""
        return f"ridge, alpha {self.alpha:.3g}"

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return what a file needs."""
        arrays = {"coefficients": self.coefficients, "intercept": self.intercept}
        return {"kind": self.kind, "alpha": self.alpha}, arrays, {}

    @classmethod
    def from_state(cls, meta: Any, arrays: Any, boosters: Any, width: int, k: int) -> "Ridge":
        """Return the model that `state` described, checked."""
        return ridge_of(meta["alpha"], arrays, width, k)


def ridge_of(alpha: Any, arrays: dict[str, NDArray[Any]], width: int, k: int) -> Ridge:
    """Return a ridge from its arrays, checked."""
    made = Ridge()
    made.alpha = float(alpha)
    made.coefficients = finite(arrays, "coefficients", (width, k))
    made.intercept = finite(arrays, "intercept", (k,))
    return made


# ---------------------------------------------------------------------------------------------- nearest neighbours


class Neighbours:
    """Means over the nearest training questions; their number is chosen out of fold."""

    kind = "knn"
    counts = (5, 10, 20, 40, 80, 160)

    def __init__(self) -> None:
        self.count = 0

    def out_of_fold(self, x: Floats, y: Floats, weights: Floats, folds: NDArray[np.intp]) -> Floats:
        """Choose the number of neighbours; return out-of-fold predictions."""
        smallest = min(int((folds != fold).sum()) for fold in np.unique(folds))
        counts = [count for count in self.counts if count <= smallest] or [smallest]
        found = np.empty((len(counts), *y.shape))
        for fold in np.unique(folds):
            held = folds == fold
            found[:, held] = _neighbour_means(x[~held], y[~held], weights[~held], x[held], counts)
        best = _least_error(found, y, weights)
        self.count = counts[best]
        return np.asarray(found[best])

    def fit(self, x: Floats, y: Floats, weights: Floats) -> None:
        """Keep the training questions."""
        self.x, self.y, self.weights = x.astype(np.float32).astype(np.float64), y, weights

    def predict(self, x: Floats) -> Floats:
        """Return predictions."""
        return np.asarray(_neighbour_means(self.x, self.y, self.weights, x, [self.count])[0])

    def description(self) -> str:
        """Return a few words for `repr`."""
        return f"{self.count} nearest neighbours"

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return what a file needs."""
        arrays: dict[str, NDArray[Any]] = {"x": self.x.astype(np.float32), "y": self.y, "weights": self.weights}
        return {"kind": self.kind, "count": self.count}, arrays, {}

    @classmethod
    def from_state(cls, meta: Any, arrays: Any, boosters: Any, width: int, k: int) -> "Neighbours":
        """Return the model that `state` described, checked."""
        made = cls()
        n = len(arrays["x"])
        made.x = finite(arrays, "x", (n, width))
        made.weights = finite(arrays, "weights", (n,))
        made.y = np.asarray(arrays["y"], np.float64)
        made.count = int(meta["count"])
        if made.y.shape != (n, k) or np.isinf(made.y).any() or not 1 <= made.count <= n or (made.weights < 0).any():
            raise InputError("y, weights or count of the neighbours do not fit.")
        return made


def _neighbour_means(x: Floats, y: Floats, weights: Floats, new: Floats, counts: list[int]) -> Floats:
    there = np.isfinite(y)
    known = np.where(there, y, 0.0)
    overall = (weights[:, None] * known).sum(axis=0) / np.maximum((weights[:, None] * there).sum(axis=0), 1e-300)
    found = np.empty((len(counts), len(new), y.shape[1]))
    most = max(counts)
    squares = (x * x).sum(axis=1)
    for start in range(0, len(new), 1024):
        block = new[start : start + 1024]
        distance = squares - 2 * (block @ x.T)
        near = (
            np.argpartition(distance, most - 1, axis=1)[:, :most]
            if most < len(x)
            else np.tile(np.arange(len(x)), (len(block), 1))
        )
        near = np.take_along_axis(near, np.argsort(np.take_along_axis(distance, near, 1), axis=1, kind="stable"), 1)
        share = weights[near][:, :, None] * there[near]
        totals, sums = np.cumsum(share, axis=1), np.cumsum(share * known[near], axis=1)
        for c, count in enumerate(counts):
            total = totals[:, count - 1]
            means = sums[:, count - 1] / np.maximum(total, 1e-300)
            found[c, start : start + len(block)] = np.where(total > 0, means, overall)
    return found

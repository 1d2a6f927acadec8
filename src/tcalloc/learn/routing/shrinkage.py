"""How far predicted rows can be trusted: one slope per increment between neighbouring actions.

A regression predicts acc[i, :] from features. If the features say little, the predictions still differ between
questions by chance, and a choice among them takes the luckiest. Out-of-fold predictions show how much of a predicted
difference is real:

    slope_j = cov(predicted increment, true increment) / var(predicted increment),    in [0, 1],

The slope is 0 if it is below its own standard error. Increments (what the next more expensive action adds) matter, not
levels: no spending helps a question that is hopeless with every action. The shrunk prediction is the mean curve plus
the increments' deviations, each times its slope, added up in the order of cost. If all slopes are 0, every question
has the mean curve, and all get the same action.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError

__all__ = ["Shrinkage", "slope_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shrinkage:
    """Slopes, and the means that predictions are shrunk towards."""

    order: NDArray[np.intp]
    """(K,) columns from the cheapest to the most expensive."""
    slopes: Floats
    """(K,) the first slope is for the cheapest action's level, the others are for the increments, in that order."""
    centre: Floats
    """(K,) mean prediction."""
    mean: Floats
    """(K,) mean of the truth."""

    @classmethod
    def fit(
        cls,
        predicted: Floats,
        truth: Floats,
        order: NDArray[np.intp],
        weights: Floats,
        *,
        shrink: bool = True,
        clusters: NDArray[np.intp] | None = None,
    ) -> "Shrinkage":
        """Find the slopes on out-of-fold predictions.

        Parameters
        ----------
        predicted, truth : ndarray, (N, K)
            NaN in `truth` where a question does not have the action.
        order : ndarray, (K,)
            Columns from the cheapest to the most expensive.
        weights : ndarray, (N,)
        shrink : bool
            False: all slopes are 1.
        clusters : ndarray of int, (N,), optional
            Rows with the same number belong together (draws of one question), so their errors are not independent.
        """
        k = truth.shape[1]
        there = np.isfinite(truth)
        centre, mean = (
            np.array([np.average(values[there[:, a], a], weights=weights[there[:, a]]) for a in range(k)])
            for values in (predicted, truth)
        )
        slopes = np.ones(k)
        if shrink:
            for j in range(k):
                a = order[j]
                x, y = predicted[:, a], truth[:, a]
                if j:
                    before = order[j - 1]
                    x, y = x - predicted[:, before], y - truth[:, before]
                both = np.isfinite(y)
                slopes[j] = slope_of(x[both], y[both], weights[both], None if clusters is None else clusters[both])
        return cls(np.asarray(order, np.intp), slopes, centre, mean)

    def apply(self, predicted: Floats) -> Floats:
        """Return the shrunk predictions, like `predicted`: (K,) or (N, K)."""
        deviations = (predicted - self.centre)[..., self.order]
        deviations[..., 1:] = np.diff(deviations, axis=-1)
        found = np.empty_like(deviations)
        found[..., self.order] = np.cumsum(deviations * self.slopes, axis=-1)
        return np.asarray(found + self.mean)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the slopes and means as arrays for a file."""
        return {"order": self.order.astype(np.int64), "slopes": self.slopes, "centre": self.centre, "mean": self.mean}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], k: int) -> "Shrinkage":
        """Return the object that `to_arrays` wrote, checked."""
        order = np.asarray(arrays["order"], np.intp)
        slopes, centre, mean = (np.asarray(arrays[name], np.float64) for name in ("slopes", "centre", "mean"))
        if order.shape != (k,) or sorted(order.tolist()) != list(range(k)):
            raise InputError(f"order: expected the columns 0 to {k - 1}, each once.")
        for name, values in (("slopes", slopes), ("centre", centre), ("mean", mean)):
            if values.shape != (k,) or not np.isfinite(values).all():
                raise InputError(f"{name}: expected {k} finite numbers.")
        return cls(order, slopes, centre, mean)


def slope_of(x: Floats, y: Floats, weights: Floats, clusters: NDArray[np.intp] | None = None) -> float:
    """Return the slope of y on x, in [0, 1]; 0 if below its standard error, which is consistent under clusters."""
    if len(x) < 3:
        return 0.0
    x = x - np.average(x, weights=weights)
    y = y - np.average(y, weights=weights)
    power = float(weights @ (x * x))
    if power <= 1e-14 * float(weights.sum()):
        return 0.0
    slope = float(weights @ (x * y)) / power
    scores = weights * x * (y - slope * x)
    if clusters is not None:
        scores = np.asarray(np.bincount(clusters, weights=scores), np.float64)
    error = float(np.sqrt((scores**2).sum())) / power
    return 0.0 if slope <= error else min(slope, 1.0)

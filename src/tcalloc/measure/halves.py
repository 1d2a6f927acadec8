"""Random orders and random halves of each question's samples."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["halves", "mask_of", "random_order"]


def random_order(drawn: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return each question's columns in a random order, (N, S); those without a sample come last."""
    return np.argsort(np.where(drawn, rng.random(drawn.shape), 2.0), axis=1)


def halves(drawn: NDArray[np.bool_], rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the columns of two random halves of each question's samples, (N, S // 2) each.

    A question with 2h or 2h + 1 samples gives h to each half; the other columns are −1.
    """
    order = random_order(drawn, rng)
    columns = np.arange(drawn.shape[1] // 2)
    size = drawn.sum(axis=1)[:, None] // 2
    first = np.where(columns < size, order[:, : len(columns)], -1)
    second = np.take_along_axis(order, np.minimum(columns + size, order.shape[1] - 1), axis=1)
    return first, np.where(columns < size, second, -1)


def mask_of(columns: NDArray[np.intp], width: int) -> NDArray[np.bool_]:
    """Return which of `width` columns are among some, of which −1 is none, (N, width)."""
    found = np.zeros((len(columns), width + 1), bool)
    np.put_along_axis(found, columns, True, axis=1)  # −1 is the last column, which is cut off
    return found[:, :width]

"""The upper concave hull of points (spend, accuracy), and the mixture of two neighbours on it.

The kernel has its own hull for the rows of a table, because it goes through millions of them. All other hulls are made
here: those of actions' means, of a rule's settings, and of a policy's prices.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["neighbours", "neighbours_of_each", "upper_hull"]


def upper_hull(spend: ArrayLike, accuracy: ArrayLike) -> NDArray[np.intp]:
    """Return which points are on the hull, from the cheapest to the most accurate.

    Parameters
    ----------
    spend, accuracy : array_like, (J,)
        Spend and accuracy of each point, finite. If points spend the same, the most accurate one counts, then the
        first one. A point on the straight line between two others is left out.

    Examples
    --------
    >>> from tcalloc.learn.hull import upper_hull
    >>> upper_hull([1, 2, 3, 4], [0.5, 0.6, 0.8, 0.7]).tolist()
    [0, 2]
    """
    x, y = np.asarray(spend, np.float64), np.asarray(accuracy, np.float64)
    kept: list[int] = []
    for j in np.lexsort((-y, x)).tolist():
        if kept and y[j] <= y[kept[-1]]:
            continue  # more expensive and no better
        while len(kept) > 1:
            before, last = kept[-2], kept[-1]
            if (y[last] - y[before]) * (x[j] - x[last]) > (y[j] - y[last]) * (x[last] - x[before]):
                break
            kept.pop()
        kept.append(j)
    return np.array(kept, np.intp)


def neighbours(spends: NDArray[np.float64], spend: float) -> tuple[int, int, float]:
    """Return the two places of a rising list whose mixture spends `spend`, and the share of the second.

    If `spend` equals an entry, or lies outside the list, both places are that entry (or the nearest end), and the
    share is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.hull import neighbours
    >>> neighbours(np.array([1.0, 3.0]), 2.5), neighbours(np.array([1.0, 3.0]), 9.0)
    ((0, 1, 0.75), (1, 1, 0.0))
    """
    low, high, share = neighbours_of_each(spends, np.array([spend]))
    return int(low[0]), int(high[0]), float(share[0])


def neighbours_of_each(
    spends: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return what `neighbours` returns, for each of several wanted spends: three arrays."""
    low = np.maximum(np.searchsorted(spends, wanted, side="right") - 1, 0)
    high = np.where((low == len(spends) - 1) | (wanted <= spends[low]), low, low + 1)
    step = spends[high] - spends[low]
    share = np.divide(wanted - spends[low], step, out=np.zeros(len(low)), where=high > low)
    return low, high, share

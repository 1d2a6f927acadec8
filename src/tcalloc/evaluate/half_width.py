"""How far a mean of shares may be off, at most.

What to use when
----------------
`half_width`
    Half of an interval that holds whatever single questions reach between 0 and 1.
"""

import math

from tcalloc._student import quantile

__all__ = ["half_width"]


def half_width(accuracy: float, n: int) -> float:
    """Return half of the widest 95 % interval that an accuracy over n questions (at least 2) can have.

    Accuracies of single questions lie between 0 and 1; with the mean p their variance is p(1 - p) at most. Agresti and
    Coull's p keeps 0 and 1 from looking certain.
    """
    p = (n * accuracy + 2) / (n + 4)
    return quantile(n - 1) * math.sqrt(p * (1 - p) / (n - 1))

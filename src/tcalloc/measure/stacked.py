"""Several versions of the same questions, one below the other.

What to use when
----------------
`stacked`
    From the halves of samples that judge each other to one set of samples.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.sample_arrays import NOT_DRAWN, PER_SAMPLE, SampleArrays

__all__ = ["stacked"]

Some = TypeVar("Some", bound=SampleArrays)


def stacked(parts: Sequence[Some]) -> Some:
    """Return samples whose rows are those of all parts, in this order.

    Parameters
    ----------
    parts : sequence of Samples
        Of the same questions and models, with answers, as `tcalloc.measure.referee.judged` returned them.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if first.arms is None:
        return _stacked(parts)
    arms = {name: _stacked([part.by_model[name] for part in parts]) for name in first.by_model}
    ids, gold = (
        None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "gold")
    )
    return replace(first, arms=arms, ids=ids, gold=gold)


def _stacked(parts: Sequence[Some]) -> Some:
    width = max(part.drawn.shape[1] for part in parts)

    def below(values: Sequence[Any], empty: float) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {key: below([value[key] for value in values], empty) for key in values[0]}
        if np.ndim(values[0]) < 2:
            return values[0] if np.ndim(values[0]) == 0 else np.concatenate(values)
        return np.concatenate([_padded(value, width, empty) for value in values])

    numbers = {name: below([getattr(part, name) for part in parts], np.nan) for name in (*PER_SAMPLE, "ids", "gold")}
    return replace(parts[0], answers=below([part.answers for part in parts], NOT_DRAWN), correct=None, **numbers)


def _padded(values: NDArray[Any], width: int, empty: float) -> NDArray[Any]:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=empty)

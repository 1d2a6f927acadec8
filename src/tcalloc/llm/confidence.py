"""How sure a model was while it wrote an answer, from the log-probabilities of the likeliest tokens.

What to use when
----------------
`token_confidences`
    One number per token.
`Confidence`
    The three figures that are stored with a sample: the mean, that of the end, and the lowest of any stretch.
`stored`, `restored`
    The three figures as fields of a stored sample, and back.
`groups`
    The mean over a window that slides over the tokens; the lowest of them stops a stream early in DeepConf.

References
----------
Fu, Wang, Tian and Zhao, "Deep Think with Confidence", arXiv 2508.15260.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import is_number

__all__ = ["Confidence", "Stored", "groups", "restored", "stored", "token_confidences", "window_of"]

Floats = NDArray[np.float64]

# The window of the paper, whose answers have tens of thousands of tokens. Of shorter answers it is a quarter.
LARGEST_WINDOW = 2048
SMALLEST_WINDOW = 8
# One likeliest token says nothing about the others: a token's confidence is a mean over at least this many.
FEWEST = 2
# Servers write -inf, or a huge number, for a token that cannot follow.
LOWEST = -100.0
# Decimal places of what is stored.
DIGITS = 4


def token_confidences(entries: Sequence[Any]) -> Floats | None:
    """Return each token's confidence: minus the mean log-probability of the likeliest tokens at its place.

    It is high where one token has nearly all of the probability, since the others are then very unlikely.

    Parameters
    ----------
    entries : sequence
        ``logprobs.content`` of a choice, as OpenAI-compatible servers send it, with ``top_logprobs`` of at least 2.

    Returns
    -------
    ndarray or None
        (tokens,), natural logarithm; None if the server sent no such lists.

    Examples
    --------
    >>> top = [{"logprob": -0.5}, {"logprob": -1.5}]
    >>> token_confidences([{"logprob": -0.5, "top_logprobs": top}]).tolist()
    [1.0]
    """
    found = []
    for entry in entries:
        top = entry.get("top_logprobs") if isinstance(entry, dict) else None
        values: list[Any] = (
            [one.get("logprob") if isinstance(one, dict) else None for one in top] if isinstance(top, list) else []
        )
        if len(values) < FEWEST or not all(is_number(value) and value < np.inf for value in values):
            return None
        found.append(-float(np.mean([min(max(float(value), LOWEST), 0.0) for value in values])))
    return np.array(found) if found else None


def window_of(tokens: int) -> int:
    """Return the window of an answer: a quarter of its tokens, from 8 to 2048, and no more than there are."""
    return min(tokens, max(SMALLEST_WINDOW, min(LARGEST_WINDOW, tokens // 4)))


def groups(confidences: Floats, window: int) -> Floats:
    """Return the mean over each window of neighbouring tokens; of fewer tokens than the window, the one mean."""
    size = min(window, len(confidences))
    sums = np.cumsum(np.concatenate([[0.0], confidences]))
    return np.asarray((sums[size:] - sums[:-size]) / size)


class Confidence(NamedTuple):
    """How sure the model was of one answer; all are means of token confidences, natural logarithm.

    Examples
    --------
    >>> Confidence.of(np.repeat([4.0, 1.0, 4.0, 3.0], 8))
    Confidence(mean=3.0, tail=3.0, lowest=1.0)
    """

    mean: float
    """Over all tokens."""
    tail: float
    """Over the last window."""
    lowest: float
    """Over the window where it is lowest."""

    @classmethod
    def of(cls, confidences: Floats) -> "Confidence":
        """Return the figures of an answer with at least one token."""
        over = groups(confidences, window_of(len(confidences)))
        return cls(float(confidences.mean()), float(over[-1]), float(over.min()))


class Stored(TypedDict, total=False):
    """The fields of a stored sample that hold them."""

    confidence_mean: float | None
    confidence_tail: float | None
    confidence_lowest: float | None


def stored(confidence: Confidence | None) -> Stored:
    """Return the fields of a stored sample; none where nothing is known."""
    if confidence is None:
        return {}
    return {
        "confidence_mean": round(confidence.mean, DIGITS),
        "confidence_tail": round(confidence.tail, DIGITS),
        "confidence_lowest": round(confidence.lowest, DIGITS),
    }


def restored(record: Mapping[str, Any]) -> Confidence | None:
    """Return what `stored` wrote into a sample; None where it lacks a figure."""
    mean, tail, lowest = (record.get(f"confidence_{name}") for name in Confidence._fields)
    return None if mean is None or tail is None or lowest is None else Confidence(mean, tail, lowest)

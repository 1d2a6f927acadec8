"""One cheap call: what the first response shows before anything is decided, and what votes that begin with it reach.

The call is charged because it is a response like the others: whoever looks at it has drawn it, and the vote that
follows counts it. What such a vote reaches is therefore not the expectation over all responses but that of the very
order in which they came. Each question is replayed in many orders (`tcalloc.learn.replay.all_orders.random_orders`): in
as many as there are responses each of them comes first once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.measure import vote_accuracy
from tcalloc.measure.samples import Samples

__all__ = ["Calls", "calls_of", "shown"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Replays that begin with one call.

    Attributes
    ----------
    what : str
        What the call shows, for people.
    seen : ndarray, (R, N)
        What it showed in each order.
    accuracy : ndarray, (R, N, K)
        Of the votes over the first k responses of that order.
    """

    what: str
    seen: Floats
    accuracy: Floats


def shown(samples: Samples) -> tuple[str, Floats]:
    """Return what each response shows besides its answer, (N, S), and what that is.

    The mean −log p of its tokens where they were recorded: for tokens drawn at temperature 1 its expectation is their
    mean entropy. Else log(1 + length); 0 where not even lengths are known.
    """
    drawn = samples.drawn
    tokens = samples.tokens
    length = tokens.get("output") if isinstance(tokens, dict) else tokens
    if samples.logprobs is not None and length is not None:
        entropy = -np.asarray(samples.logprobs, np.float64) / np.maximum(length, 1)
        if np.isfinite(entropy[drawn]).all():
            return "mean -log p of the first response's tokens", np.where(drawn, entropy, 0.0)
    if length is not None and np.isfinite(np.asarray(length, np.float64)[drawn]).all():
        return "length of the first response (no log-probabilities were recorded)", np.where(
            drawn, np.log1p(np.asarray(length, np.float64)), 0.0
        )
    return "nothing (neither log-probabilities nor lengths were recorded)", np.zeros(drawn.shape)


def calls_of(samples: Samples, votes: list[int], orders: int, seed: int) -> Calls:
    """Replay every question in `orders` random orders.

    Parameters
    ----------
    samples : Samples
        Of one model, at least max(votes) per question.
    votes : list of int
        The actions' responses.
    orders, seed : int
        R; the same seed gives the same orders.
    """
    what, values = shown(samples)
    columns = random_orders(samples.drawn, orders, seed)
    codes = np.asarray(samples.answers)
    accuracy = np.empty((orders, len(samples), len(votes)))
    seen = np.empty((orders, len(samples)))
    for r, order in enumerate(columns):
        turned = np.take_along_axis(codes, order, axis=1)
        seen[r] = np.take_along_axis(values, order[:, :1], axis=1)[:, 0]
        for a, k in enumerate(votes):
            accuracy[r, :, a] = vote_accuracy(np.ascontiguousarray(turned[:, :k]), k)
    return Calls(what, seen, accuracy)

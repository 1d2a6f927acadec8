"""What a draw costs besides its samples: the prompt, and a price per request.

A question's first draw of a model pays the prompt in full. Later ones pay the price of cached tokens where the provider
reports them. Samples that are drawn at once share what their draw costs.

What to use when
----------------
`RoundCosts.of`
    What was given for recorded samples; nothing where nothing was.
`RoundCosts.by_rates`
    The same at an action's rates, from recorded tokens.
`RoundCosts.of_requests`
    The same from what each recorded request cost.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._rates import Rates
from tcalloc.measure.sample_arrays import SampleArrays

__all__ = ["RoundCosts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RoundCosts:
    """What draws of one model cost on each question besides their samples; both are (N,)."""

    first: Floats
    """The first draw of a question."""
    later: Floats
    """Each draw after it."""

    @property
    def any(self) -> bool:
        """Whether a draw of any question costs anything."""
        return bool(self.first.any() or self.later.any())

    def take(self, rows: Any) -> "RoundCosts":
        """Return those of some questions."""
        return RoundCosts(self.first[rows], self.later[rows])

    def of_rounds(self, rounds: Any) -> Floats:
        """Return what so many draws cost on each question; `rounds` is (…, N) or one number."""
        count = np.asarray(rounds)
        return np.asarray(np.where(count > 0, self.first + self.later * np.maximum(count - 1, 0), 0.0))

    @classmethod
    def of(cls, arm: SampleArrays) -> "RoundCosts":
        """Return what was given for the samples of one model; 0 where nothing was."""
        n = len(arm)
        first = np.zeros(n) if arm.round_cost is None else np.broadcast_to(np.asarray(arm.round_cost, np.float64), (n,))
        given = arm.later_round_cost
        later = first if given is None else np.broadcast_to(np.asarray(given, np.float64), (n,))
        return cls(np.array(first), np.array(later))

    @classmethod
    def by_rates(cls, rates: Rates, tokens: dict[str, Floats], drawn: NDArray[np.bool_]) -> "RoundCosts":
        """Return what requests cost at some rates, from the tokens of recorded samples.

        Parameters
        ----------
        rates : Rates
            The prices.
        tokens : mapping of str to ndarray, (N, S)
            Recorded, as `Samples` holds them.
        drawn : ndarray of bool, (N, S)
            Which samples there are. Tokens of a question's first sample are those of its first request.
        """
        nothing = np.zeros(drawn.shape)
        parts = [np.nan_to_num(tokens.get(name, nothing)) for name in ("cached", "cache_write", "cache_write_1h")]
        whole = tokens.get("input", nothing)
        return cls.of_requests(np.where(drawn, rates.request_cost(whole, *parts), np.nan))

    @classmethod
    def of_requests(cls, requests: Floats) -> "RoundCosts":
        """Return first and later costs from those of recorded requests, (N, S); NaN where there was none.

        The first request of a question is its first column that has one. Questions with a single request are taken to
        pay as much less for later ones as the others do.
        """
        there = np.isfinite(requests)
        every, column = np.arange(len(requests)), there.argmax(axis=1)
        known, first = there.any(axis=1), requests[np.arange(len(requests)), column]
        rest = there.copy()
        rest[every, column] = False
        several = rest.any(axis=1)
        total = np.where(rest, requests, 0.0).sum(axis=1)
        later = np.divide(total, rest.sum(axis=1), out=np.full(len(requests), np.nan), where=several)
        paid = float(first[several].sum())
        ratio = float(later[several].sum()) / paid if paid > 0 else 1.0
        later = np.where(several, later, first * ratio)
        if known.any():
            usual, again = float(first[known].mean()), float(later[known].mean())
            first, later = np.where(known, first, usual), np.where(known, later, again)
        return cls(first, later)

"""Rules for votes only: the chances of every state, and the best rule at each price.

What to use when
----------------
`Chances.of`
    The course of a vote by recorded answers: exact means over all orders in which they could have come.
`Chances.rules`
    When to stop, at many prices: tables of states that a replay can look up, with their real spend and accuracy.
`Chances.tables`
    The tables alone, by backward induction on the chances.

Backward induction on pooled chances is exact if the state (n, c1, c2) holds all that matters. This is so if no
question has more than three answers, or more than two if some samples have none. Otherwise it is an approximation, and
the worth of a rule is measured along the orders of the recorded samples (`tcalloc.learn.sequential.rules.orders`).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._kernel import stopping_kernel
from tcalloc.errors import InputError
from tcalloc.learn.sequential.rules.orders import Orders, sufficient
from tcalloc.measure.votes import binomials, tally

__all__ = ["Chances", "Rules"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """When to stop, per price: ``wave[p, n, c1, c2]`` is the number of samples to draw next; 0 means stop.

    n samples were drawn; c1 of them voted for the leading answer, c2 for the second.
    """

    prices: Floats
    """(P,) prices of one unit of cost, in accuracy."""
    wave: NDArray[np.uint8]
    """(P, cap + 1, cap + 1, cap//2 + 1)."""
    accuracy: Floats
    """(P,) accuracy of each rule; see `Chances.follow`."""
    spend: Floats
    """(P,) spend of each rule."""
    rounds: Floats
    """(P,) number of draws, each of one or more samples at once."""

    @property
    def cap(self) -> int:
        """The most samples per question."""
        return int(self.wave.shape[1] - 1)


@dataclass(frozen=True, eq=False)
class Chances:
    """The course of a vote, all questions pooled; all arrays are [n, c1, c2] (see `Rules`)."""

    mass: Floats
    """Number of questions in a state after n samples."""
    going: Floats
    """The part of these questions with samples left to draw."""
    stop: Floats
    """The accuracy of the leading answer; ties split evenly."""
    up: Floats
    """The probability that one more sample votes for the leader (any leader, at a tie)."""
    side: Floats
    """The probability that it votes for the only second answer; 0 at ties."""
    cost: Floats
    """The cost of one more sample."""
    recorded: tuple[NDArray[Any], Floats] | None = None
    """Answer codes and sample costs of each question, if the state does not hold all that matters; None: it does."""

    @cached_property
    def orders(self) -> Orders | None:
        """Orders of the recorded samples along which rules are judged, if the state does not hold all that matters."""
        return self._orders(1)

    def _orders(self, seed: int) -> Orders | None:
        if self.recorded is None:
            return None
        return Orders.of(self.recorded[0], len(self.mass) - 1, self.recorded[1], seed)

    @classmethod
    def of(cls, codes: NDArray[Any], cap: int, cost: Floats | None = None) -> "Chances":
        """Return the exact chances, the mean over all orders of each question's samples.

        Parameters
        ----------
        codes : ndarray of int, (N, S)
            Answer codes: 0 gold, 1, 2, … others, −1 none, −2 not drawn.
        cap : int
            The most samples of a question, 1 to 255.
        cost : ndarray, (N,), optional
            Cost of one sample of each question; None: 1.

        Raises
        ------
        InputError
            If the number of subsets does not fit a float (above about a thousand samples of a question).
        """
        counts = tally(codes)
        samples = int(counts.samples.max(initial=0))
        cap = min(cap, samples)
        choose = binomials(samples, cap)
        if not np.isfinite(choose).all():
            raise InputError(
                f"cap is {cap} of {counted(samples, 'sample')}: the number of subsets does not fit a float. Use at "
                "most 1029 of the samples, or a smaller cap."
            )
        patterns = len(counts.gold)
        each = np.ones(len(codes)) if cost is None else np.asarray(cost, np.float64)
        shape = (cap + 1, cap + 1, cap // 2 + 1)
        mass, right, alone, going, outlay = (np.zeros(shape) for _ in range(5))
        code = stopping_kernel.subsets(
            counts.gold,
            counts.silent,
            counts.rivals,
            counts.frequency.astype(np.float64),
            np.bincount(counts.which, each, patterns),
            choose,
            mass,
            right,
            alone,
            going,
            outlay,
        )
        if code:
            raise MemoryError("no memory for counting subsets")
        found = cls.from_masses(mass, right, alone, going, outlay)
        return found if sufficient(codes) else replace(found, recorded=(np.asarray(codes), each))

    @classmethod
    def from_masses(cls, mass: Floats, right: Floats, alone: Floats, going: Floats, outlay: Floats) -> "Chances":
        """Return the chances of a step from how often states are met; see (C) in `_stopping.pyx`.

        `right` is the part of `mass` whose leader is right, `alone` that in which one answer alone is second (at c1 =
        c2: in which two tie), `going` that with samples left, `outlay` the cost of one sample summed over `going`.
        """
        shape = mass.shape
        n, c1, c2 = np.ogrid[: shape[0], : shape[1], : shape[2]]
        up, side = np.zeros(shape), np.zeros(shape)
        up[:-1, :-1] = mass[1:, 1:] * ((c1[:, 1:] / n[1:]) * (c1[:, 1:] > c2))
        two_tie = c1 == c2[:, :, 1:]
        side[:-1, :, :-1] = alone[1:, :, 1:] * (c2[:, :, 1:] / n[1:]) * np.where(two_tie, 2.0, 1.0)
        return cls(
            mass,
            going,
            _share(right, mass),
            _share(up, going),
            _share(side * (c1 > c2), going),
            _share(outlay, going),
        )

    def rules(
        self,
        prices: Floats,
        waves: tuple[int, ...] = (1,),
        round_cost: float = 0.0,
        pseudo: float = 10.0,
        later_round_cost: float | None = None,
    ) -> Rules:
        """Return the rule of each price, by backward induction on the chances.

        Without shrinkage, and if the state does not hold all that matters, the induction's table and the best margin +
        cap are then improved along the recorded orders. The better one is returned, which is a local optimum.

        Parameters
        ----------
        prices : ndarray, (P,)
            Accuracy per unit of cost.
        waves : tuple of int
            How many samples may be drawn at once, ascending.
        round_cost : float
            What a question's first draw costs besides its samples, in their unit.
        pseudo : float
            Advantages are shrunk to the mean of their margin c1 − c2, and that to the mean of all after n samples,
            with the weight of this many questions. 0 if the chances are the truth.
        later_round_cost : float, optional
            What each later draw costs besides its samples; default: as the first.
        """
        rounds = round_cost, round_cost if later_round_cost is None else later_round_cost
        prices = np.ascontiguousarray(prices, np.float64)
        better = self.orders is not None and not pseudo
        if better and not rounds[1]:
            waves = (min(waves),)  # several samples at once only save rounds
        wave = self.tables(prices, waves, rounds[0], pseudo, rounds[1])
        if self.orders is not None and better:
            wave = self._bettered(self.orders, prices, wave, waves, rounds)
        return self.follow(prices, wave, *rounds)

    def tables(
        self,
        prices: Floats,
        waves: tuple[int, ...],
        round_cost: float,
        pseudo: float,
        later_round_cost: float | None = None,
    ) -> NDArray[np.uint8]:
        """Return the tables of backward induction on the pooled chances; parameters as in `rules`."""
        later = round_cost if later_round_cost is None else later_round_cost
        prices = np.ascontiguousarray(prices, np.float64)
        cap = len(self.mass) - 1
        wave = np.zeros((len(prices), *self.mass.shape), np.uint8)
        worth = np.empty(len(prices))
        steps = (self.going, self.stop, self.up, self.side, self.cost)
        sizes = np.array([k for k in waves if k <= cap], np.int32)
        if stopping_kernel.induct(*steps, prices, sizes, later, pseudo, wave, worth):
            raise MemoryError("no memory for the induction")
        # The first draw comes before all states, and costs as much more whatever its size: it only decides whether to
        # begin at all.
        wave[worth - prices * (round_cost - later) <= self.stop[0, 0, 0], 0, 0, 0] = 0
        return wave

    def _bettered(
        self,
        orders: Orders,
        prices: Floats,
        wave: NDArray[np.uint8],
        waves: tuple[int, ...],
        rounds: tuple[float, float],
    ) -> NDArray[np.uint8]:
        """Return the best of four tables per price: that of the induction, margin + cap, and both improved.

        They are improved along other orders than those along which they are judged.
        """
        n, c1, c2 = np.ogrid[: wave.shape[1], : wave.shape[2], : wave.shape[3]]
        cap, step = wave.shape[1] - 1, min(waves)
        caps = sorted({*range(min(cap, 8)), *np.linspace(0, cap, 12).round().astype(int).tolist()})
        plain = np.stack([((c1 - c2 < m) & (n < k)) * np.minimum(step, np.maximum(k - n, 0))
                          for m in (*range(1, min(cap, 6) + 1), cap + 1) for k in caps]).astype(np.uint8)  # fmt: skip
        worth = self._worth(orders, plain, prices[:, None], rounds)
        starts, others = [wave, plain[worth.argmax(axis=1)]], self._orders(0)
        assert others is not None
        tables = np.stack([*starts, *(others.improved(start, prices, waves, *rounds) for start in starts)])
        values = np.stack([np.diagonal(self._worth(orders, some, prices[:, None], rounds)) for some in tables])
        return np.asarray(tables[values.argmax(axis=0), np.arange(len(prices))])

    @staticmethod
    def _worth(orders: Orders, wave: NDArray[np.uint8], prices: Floats, rounds: tuple[float, float]) -> Floats:
        """Return the worth of tables at prices, (P, tables)."""
        accuracy, spend, _ = _charged(orders.follow(wave), wave, *rounds)
        return accuracy - prices * spend

    def follow(
        self, prices: Floats, wave: NDArray[np.uint8], round_cost: float = 0.0, later_round_cost: float = 0.0
    ) -> Rules:
        """Return accuracy and spend of rules.

        If the chances are from recorded samples and the state does not hold all that matters, this is a replay of these
        samples in many orders (`Orders`). Otherwise it follows from the chances, and is exact.
        """
        if self.orders is not None:
            return Rules(prices, wave, *_charged(self.orders.follow(wave), wave, round_cost, later_round_cost))
        accuracy, spend, rounds = (np.empty(len(prices)) for _ in range(3))
        steps = (self.going, self.stop, self.up, self.side, self.cost)
        if stopping_kernel.follow(*steps, np.ascontiguousarray(wave, np.uint8), accuracy, spend, rounds):
            raise MemoryError("no memory for following the rules")
        return Rules(prices, wave, *_charged((accuracy, spend, rounds), wave, round_cost, later_round_cost))


def _charged(
    found: tuple[Floats, Floats, Floats], wave: NDArray[np.uint8], first: float, later: float
) -> tuple[Floats, Floats, Floats]:
    """Return accuracy, spend and rounds of rules, with what draws cost in the spend."""
    accuracy, spend, rounds = found
    begun = wave[:, 0, 0, 0] > 0
    return accuracy, spend + np.where(begun, first + later * (rounds - 1), 0.0), rounds


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part/whole; 0 if whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

"""Recorded questions in many orders: the real spend and accuracy of a stopping table, and how to improve it.

What to use when
----------------
`Orders.of`
    The orders: all orders of a question that has few, random ones of a question that has many.
`Orders.follow`
    Spend and accuracy of tables along these orders.
`Orders.improved`
    Tables that are worth at least as much along these orders, at their prices.

The counts (n, c1, c2) do not hold all that matters if a question has more than three answers. The questions that a rule
stops in a state then differ from those that pass through it. So chances that are pooled over all courses of a vote
overstate a rule's worth. Along the orders themselves nothing is pooled.

References
----------
Howard, R. A. (1960). Dynamic Programming and Markov Processes. MIT Press: policy improvement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._rounding import SUMMED
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.replay.vote_states import Walk

__all__ = ["Orders", "sufficient"]

Floats = NDArray[np.float64]
Waves = NDArray[np.uint8]

# Number of runs in all, and the least number per question. Questions with fewer orders are followed through all.
RUNS, LEAST = 8000, 4


def sufficient(codes: NDArray[Any]) -> bool:
    """Return whether (n, c1, c2) suffices: up to three answers per question, or two and samples without an answer."""
    ordered = np.sort(np.maximum(codes, -1), axis=1)
    answers = (np.diff(ordered, axis=1, prepend=-1) > 0).sum(axis=1).max(initial=0)
    return bool(answers <= 2 or (answers == 3 and not (codes == -1).any()))


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """M runs of recorded questions; each stands for a share of its question's orders."""

    state: NDArray[np.int64]
    """(cap + 1, M) the state after n samples, as a place in a table of one rule."""
    stop: Floats
    """(cap + 1, M) the accuracy of stopping there; ties split evenly."""
    length: NDArray[np.int64]
    """(M,) number of recorded samples."""
    cost: Floats
    """(M,) cost of one sample."""
    share: Floats
    """(M,) share of all questions; the sum is 1."""
    shape: tuple[int, ...]
    """The shape of a table of one rule: (cap + 1, cap + 1, cap//2 + 1)."""

    @classmethod
    def of(cls, codes: NDArray[Any], cap: int, cost: Floats, seed: int = 0) -> "Orders":
        """Return the orders of recorded answers.

        Parameters
        ----------
        codes : ndarray of int, (N, S)
            Answer codes, as in `Chances.of`.
        cap : int
            The most samples of a question.
        cost : ndarray, (N,)
            Cost of one sample of each question.
        seed : int
            Random seed of the orders of questions that have too many orders.
        """
        n, s = codes.shape
        rows, owner, weight = [], [], []
        many, times = [], max(RUNS // n, LEAST)
        for i, row in enumerate(codes.astype(np.int64)):
            drawn = row[row > -2]
            if _count(drawn) > times:
                many.append(i)
                continue
            found = np.full((_count(drawn), s), -2, np.int64)
            found[:, : len(drawn)] = np.array(list(_arrangements(np.sort(drawn))), np.int64).reshape(len(found), -1)
            rows.append(found)
            owner.append(np.full(len(found), i))
            weight.append(np.full(len(found), 1.0 / len(found)))
        if many:
            some = codes[many].astype(np.int64)
            taken = np.take_along_axis(some[None], random_orders(some > -2, times, seed), axis=2)
            rows.append(np.where(np.arange(s) < (some > -2).sum(axis=1)[None, :, None], taken, -2).reshape(-1, s))
            owner.append(np.tile(many, times))
            weight.append(np.full(len(many) * times, 1.0 / times))
        sequence, of = np.concatenate(rows), np.concatenate(owner)
        cap = min(cap, s)
        walk = Walk(sequence[:, :cap])
        shape = (cap + 1, cap + 1, cap // 2 + 1)
        state, stop = np.zeros((cap + 1, len(of)), np.int64), np.zeros((cap + 1, len(of)))
        top = np.moveaxis(walk.counts[:, :, :2].astype(np.int64), 0, 1)
        state[1:] = np.ravel_multi_index((np.arange(1, cap + 1)[:, None], top[..., 0], top[..., 1]), shape)
        right = walk.even.T > 0
        stop[1:][right] = 1.0 / np.rint(1.0 / walk.even.T[right].astype(np.float64))  # 1 of so many that tie
        length = np.minimum((sequence > -2).sum(axis=1), cap)
        return cls(state, stop, length, cost[of], np.concatenate(weight) / n, shape)

    def follow(self, wave: Waves) -> tuple[Floats, Floats, Floats]:
        """Return accuracy, spend and rounds of tables, (P,) each."""
        found = np.zeros((3, len(wave)))
        every = np.arange(len(self.share))
        for p, table in enumerate(wave.reshape(len(wave), -1)):
            at, rounds = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
            for n in range(self.shape[0] - 1):
                here = np.flatnonzero((at == n) & (n < self.length))
                draw = table[self.state[n, here]].astype(np.int64)
                at[here] = np.minimum(n + draw, self.length[here])
                rounds[here] += draw > 0
            parts = self.stop[at, every], self.cost * at, rounds
            found[:, p] = [float(self.share @ part) for part in parts]
        return found[0], found[1], found[2]

    def improved(
        self,
        wave: Waves,
        prices: Floats,
        waves: Sequence[int],
        round_cost: float,
        later_round_cost: float,
        rounds: int = 4,
    ) -> Waves:
        """Return tables that are worth at least as much at their prices.

        A run is in one state after n samples, so the worth of the choices after n samples is a sum over states. All
        these choices are made again at once, given which runs come there and what they do later. This is done from the
        last n to the first, and repeated until nothing changes. States that no run reaches keep their choice.

        Parameters
        ----------
        wave : ndarray, (P, cap + 1, cap + 1, cap//2 + 1)
            The initial tables, one per price.
        prices : ndarray, (P,)
            Accuracy per unit of cost.
        waves, round_cost, later_round_cost
            As in `Chances.rules`.
        rounds : int
            The most rounds of improvement.
        """
        better = wave.copy()
        sizes = [k for k in sorted(waves) if k < self.shape[0]]
        for p, price in enumerate(prices.tolist()):
            table = better[p].reshape(self.shape[0], -1)
            for _ in range(rounds):
                if not self._improve(table, price, sizes, round_cost, later_round_cost):
                    break
        return better

    def _improve(self, table: Waves, price: float, waves: list[int], first: float, later: float) -> bool:
        cap, span, every = self.shape[0] - 1, table.shape[1], np.arange(len(self.share))
        value, comes = self.stop.copy(), self._comes(table)
        draws = np.array([0, *waves], np.uint8)
        changed = False
        for n in range(cap - 1, -1, -1):
            place, open_ = self.state[n] - n * span, self.length > n
            options = [self.stop[n]]
            for k in waves:
                to = np.minimum(n + k, self.length)
                going = value[to, every] - price * (self.cost * (to - n) + (later if n else first))
                options.append(np.where(open_, going, self.stop[n]))
            present = np.flatnonzero(comes[n])
            old = np.searchsorted(draws, table[n])
            if len(present):
                there, share = place[present], self.share[present]
                gains = np.stack([np.bincount(there, share * (option - self.stop[n])[present], span)
                                  for option in options])  # fmt: skip
                best = np.where(gains.max(axis=0) > gains[old, np.arange(span)] + SUMMED, gains.argmax(axis=0), old)
                changed |= bool((best != old).any())
                table[n], old = draws[best], best
            value[n] = np.stack(options)[old[place], every]
        return changed

    def _comes(self, table: Waves) -> NDArray[np.bool_]:
        """Return which runs choose after n samples, (cap + 1, M)."""
        found = np.zeros(self.state.shape, bool)
        at = np.zeros(len(self.share), np.int64)
        for n in range(self.shape[0] - 1):
            here = np.flatnonzero((at == n) & (n < self.length))
            found[n, here] = True
            draw = table[n, self.state[n, here] - n * table.shape[1]]
            at[here] = np.minimum(n + draw, self.length[here])
        return found


def _count(drawn: NDArray[np.int64]) -> int:
    """Return the number of distinct orders of some samples."""
    found = factorial(len(drawn))
    for times in np.unique(drawn, return_counts=True)[1].tolist():
        found //= factorial(times)
    return found


def _arrangements(ordered: NDArray[np.int64]) -> Iterator[tuple[int, ...]]:
    """Yield all distinct orders of some samples."""
    if not len(ordered):
        yield ()
        return
    for first in np.unique(ordered).tolist():
        at = int(np.flatnonzero(ordered == first)[0])
        for rest in _arrangements(np.delete(ordered, at)):
            yield (first, *rest)

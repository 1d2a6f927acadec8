"""All prefixes of many random orders at once: the counts that a rule would see there, and the score of a vote.

What to use when
----------------
`random_orders`
    Seeded random orders of each question's samples, which are exchangeable.
`Paths`
    The samples of one model along such orders, after each draw. `Paths.outcome` replays a rule of counts without a loop
    over questions, with the results of the metered replay (`tcalloc.learn.replay.metered`).
`States`
    What such a rule sees. It never knows which question or which order a state is from, nor what comes after.

A rule of counts is evaluated once per distinct state, not once per sample: 1,318 questions × 40 orders × 40 samples are
2.1 million prefixes, but only about ten thousand distinct states.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError
from tcalloc.learn.replay.vote_states import TOP, States, Walk, distinct_states
from tcalloc.measure.halves import random_order
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.samples import Samples

__all__ = [
    "TOP",
    "CountRule",
    "DrawCosts",
    "Paths",
    "States",
    "arm_costs",
    "draw_costs",
    "random_orders",
    "round_costs",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Separates the orders from a user's random numbers, because NumPy's generators of 0 and of [0, 0] are the same.
ORDERS = 3


class CountRule(Protocol):
    """A rule that `Paths` can replay: see `tcalloc.learn.rivals`."""

    @property
    def cap(self) -> int:
        """Number of samples after which it stops in any case."""

    @property
    def threshold(self) -> float:
        """The rule stops when the measure reaches this."""

    @property
    def key(self) -> Any:
        """Hashable settings that the measure reads. Rules of one class with the same key share a measure."""

    def measure(self, states: States) -> Floats:
        """Return the number that is compared with the threshold, (M,)."""

    def batch(self, states: States) -> Ints:
        """Return how many samples are drawn at once from each state, (M,)."""


def random_orders(drawn: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.intp]:
    """Return random orders of each question's samples; samples that were not drawn come last.

    Parameters
    ----------
    drawn : ndarray of bool, (N, S)
        Which samples were drawn.
    count : int
        Number of orders, R.
    seed : int
        The same seed gives the same orders. Order r does not depend on how many orders follow it.

    Returns
    -------
    ndarray of intp, (R, N, S)
        Columns of the samples.

    Notes
    -----
    Each order is uniformly random, so means over orders are unbiased. Each S orders in sequence are the rotations of
    one shuffle. Every sample then stands once in every place, so the accuracy of one sample is exact. With independent
    orders its error would be the largest part of the noise.
    """
    s = drawn.shape[1]
    size = np.maximum(drawn.sum(axis=1), 1)[:, None]
    place = np.arange(s)[None]
    found = np.empty((count, *drawn.shape), np.intp)
    for r in range(count):
        if r % s == 0:
            rng = np.random.default_rng([seed, r // s, ORDERS])
            shuffled = random_order(drawn, rng)
            turns = rng.permutation(s)
        turned = np.where(place < size, (place + turns[r % s] * size // s) % size, place)
        found[r] = np.take_along_axis(shuffled, turned, axis=1)
    return found


def arm_costs(samples: Samples) -> dict[str, Floats]:
    """Return the cost of each sample of each model, (N, S); 1 if no model has recorded costs.

    Raises
    ------
    InputError
        If a drawn sample has an unknown cost (a replay charges what was really paid), or only some of the models have
        costs.
    """
    arms = samples.by_model
    without = [name for name, arm in arms.items() if arm.cost is None]
    if 0 < len(without) < len(arms):
        raise InputError(f"{without[0]!r} has no cost, but other models have. Give every model one, in the same unit.")
    return {name: _sample_costs(arm, name) for name, arm in arms.items()}


def round_costs(samples: Samples) -> dict[str, RoundCosts]:
    """Return what draws of each model cost besides their samples; nothing where nothing was recorded."""
    return {name: RoundCosts.of(arm) for name, arm in samples.by_model.items()}


class DrawCosts(NamedTuple):
    """What samples and draws of one model cost."""

    mean: float | None
    """The mean cost of a recorded sample; None if there is no sample."""
    highest: float
    """The cost of the most expensive recorded sample."""
    rounds: tuple[float, float]
    """What a question's first draw and its later ones cost besides their samples, on average."""
    highest_round: float
    """What the most expensive draw costs besides its samples."""


def draw_costs(samples: Samples) -> dict[str, DrawCosts]:
    """Return what samples and draws of each model cost; errors as in `arm_costs`."""
    found = {}
    for (name, cost), arm in zip(arm_costs(samples).items(), samples.by_model.values(), strict=True):
        rounds = RoundCosts.of(arm)
        found[name] = DrawCosts(
            float(cost[arm.drawn].mean()) if arm.drawn.any() else None,
            float(cost.max(initial=0.0)),
            (float(rounds.first.mean()), float(rounds.later.mean())),
            float(max(rounds.first.max(), rounds.later.max())),
        )
    return found


def _sample_costs(arm: Samples, name: str) -> Floats:
    shape = arm.drawn.shape
    if arm.cost is None:
        return np.ones(shape)
    cost = np.asarray(arm.cost, np.float64)
    full = np.broadcast_to(cost[:, None] if cost.ndim == 1 else cost, shape)
    unknown = arm.drawn & np.isnan(full)
    if unknown.any():
        row, column = np.argwhere(unknown)[0].tolist()
        raise InputError(
            f"cost[{row}, {column}]{f' of {name}' if name else ''} is NaN (unknown), but a replay charges what each "
            "sample cost. Fill it in, or leave cost out to count samples."
        )
    return np.asarray(np.where(arm.drawn, full, 0.0))


class Paths:
    """The samples of one model along random orders, after each draw.

    Parameters
    ----------
    samples : Samples
        Samples of one model.
    count : int
        Number of orders per question, R.
    seed : int
        Seed of the orders.
    verifier : bool
        Whether a verifier that knows right answers checks each sample. Then the first right sample is the answer.

    Attributes
    ----------
    shape : tuple of int
        (R, n, S).
    states : States
        The distinct states.
    state : ndarray of int32, (R, n, S)
        The number of the state after each draw.
    size : ndarray, (n,)
        Number of samples of each question; entries beyond it must not be used.
    even : ndarray of float32, (R, n, S)
        The score of the answer after each draw, with ties split evenly (verifier: whether a right one was found).
    first : ndarray of float32, (R, n, S)
        The score if a tie goes to the answer that came first, as in a live run.
    paid : ndarray of float64, (R, n, S)
        What the samples cost until then.
    rounds_cost : RoundCosts
        What draws cost besides.

    Notes
    -----
    Both scores have the same expectation for every rule that looks at counts alone. Of two tied answers, each came
    first equally often, whatever the counts were on the way. `even` has less noise.
    """

    def __init__(self, samples: Samples, count: int = 8, seed: int = 0, *, verifier: bool = False):
        if samples.arms is not None:
            raise InputError("samples has several arms; expected those of one model, such as samples.arms['small'].")
        if not verifier and samples.answers is None:
            raise InputError(
                "samples has no answers, only right and wrong: a vote needs answers. If a verifier recognises right "
                "answers live, pass verifier=True."
            )
        order = random_orders(samples.drawn, count, seed)
        self.shape = order.shape
        self.size = np.asarray(samples.drawn.sum(axis=1), np.int64)
        cost = arm_costs(samples)[""]
        self.rounds_cost = RoundCosts.of(samples)
        self._counted = samples.cost is None  # if so, the spend is the number of samples
        self.paid = np.cumsum(np.take_along_axis(cost[None], order, axis=2), axis=2)
        if verifier:
            right = np.take_along_axis((samples.correct & samples.drawn)[None], order, axis=2)
            success = np.maximum.accumulate(right, axis=2)
        else:
            success = np.zeros(order.shape, bool)
        if samples.answers is None:
            codes = np.zeros(order.shape, np.int64)  # no votes: every sample is an answer, and all look the same
        else:
            codes = np.take_along_axis(samples.answers[None], order, axis=2).astype(np.int64)
        flat = (order.shape[0] * order.shape[1], order.shape[2])
        walk = Walk(codes.reshape(flat))
        if verifier:
            self.even = self.first = success.astype(np.float32)
        else:
            self.even, self.first = walk.even.reshape(order.shape), walk.first.reshape(order.shape)
        self.states, which = distinct_states(walk, success.reshape(flat))
        self.state = which.reshape(order.shape)
        self._after = np.ascontiguousarray(which.reshape(flat).T)
        self._measures: dict[Any, Floats] = {}

    def outcome(self, rule: CountRule, *, ties: str = "even") -> tuple[Floats, Floats]:
        """Return spend and score of a rule on each question, means over the orders: two arrays (n,).

        Parameters
        ----------
        rule : CountRule
            For example one of `tcalloc.learn.rivals`.
        ties : {"even", "first"}
            "first" gives exactly the result of the metered replay of the same orders.
        """
        spends, scores = self.outcomes([rule], ties=ties)
        return spends[0], scores[0]

    def outcomes(self, rules: Any, *, ties: str = "even") -> tuple[Floats, Floats]:
        """Return the same for several rules, two arrays (len(rules), n); fast if they share key and threshold."""
        if ties not in ("even", "first"):
            raise InputError(f"ties is {ties!r}; allowed are 'even' and 'first'.")
        right = self.even if ties == "even" else self.first
        listed = list(rules)
        spends, scores = np.empty((len(listed), self.shape[1])), np.empty((len(listed), self.shape[1]))
        # Rules that stop in the same states (no state lies between their thresholds) are one rule at several caps.
        alike: dict[bytes, list[int]] = {}
        for j, rule in enumerate(listed):
            alike.setdefault(np.packbits(self._stop(rule)).tobytes(), []).append(j)
        for same in alike.values():
            drawn = self._first(self._stop(listed[same[0]]))
            for j in same:
                spends[j], scores[j] = self.at(np.minimum(drawn, listed[j].cap), right)
                if self.rounds_cost.any:
                    spends[j] += self.rounds_cost.of_rounds(self._rounds(listed[j])).mean(axis=0)
        return spends, scores

    def at(self, drawn: Ints, right: NDArray[np.float32] | None = None) -> tuple[Floats, Floats]:
        """Return the cost and the score of the first `drawn` samples, (R, n), means over the orders."""
        right = self.even if right is None else right
        place = np.minimum(drawn, self.size) - 1
        r, n, s = self.shape
        index = np.maximum(place, 0) + s * np.arange(r * n).reshape(r, n)
        there = place >= 0
        spend = place + 1.0 if self._counted else np.where(there, self.paid.reshape(-1)[index], 0.0)
        score = np.where(there, right.reshape(-1)[index], np.float32(0.0))
        return spend.mean(axis=0), score.mean(axis=0, dtype=np.float64)

    def _rounds(self, rule: CountRule) -> Ints:
        """Return the number of draws (of one or several samples at once) of a rule, (R, n)."""
        batches = np.where(self._stop(rule), 0, np.maximum(rule.batch(self.states), 1))
        zero = np.zeros(1, np.int64)
        nothing = States(zero, zero, np.zeros((1, TOP), np.int64), zero, zero, zero > 0)
        first = min(int(max(rule.batch(nothing)[0], 1)), rule.cap)
        left = np.maximum(rule.cap - self.states.n, 0)
        return self.walk(np.minimum(batches, left), first)[1]

    def walk(self, draws: ArrayLike, first: int) -> tuple[Ints, Ints]:
        """Follow a plan that decides only at the end of each draw, as one that draws several samples at once does.

        Parameters
        ----------
        draws : array_like of int, (M,)
            The number of samples to draw next in each of `states`; 0: it stops there.
        first : int
            The number of samples of the first draw.

        Returns
        -------
        drawn : ndarray of int, (R, n)
            Number of samples; `at` returns their spend and score.
        rounds : ndarray of int, (R, n)
            Number of draws.
        """
        steps = np.asarray(draws, np.int64)
        r, n, _ = self.shape
        limit = np.broadcast_to(self.size, (r, n)).reshape(-1)
        at = np.minimum(first, limit)
        count = (at > 0).astype(np.int64)
        going = np.flatnonzero((at > 0) & (at < limit))
        while len(going):
            more = steps[self._after[at[going] - 1, going]]
            going, more = going[more > 0], more[more > 0]
            at[going] = np.minimum(at[going] + more, limit[going])
            count[going] += 1
            going = going[at[going] < limit[going]]
        return at.reshape(r, n), count.reshape(r, n)

    def _stop(self, rule: CountRule) -> NDArray[np.bool_]:
        """Return whether a rule stops in each state, (M,), without regard to its cap."""
        key = type(rule), rule.key
        if key not in self._measures:
            self._measures[key] = np.asarray(rule.measure(self.states), np.float64)
        return np.asarray(self._measures[key] >= rule.threshold)

    def _first(self, stop: NDArray[np.bool_]) -> Ints:
        """Return the number of draws until a state in which to stop is first met, (R, n); S if there is none."""
        r, n, s = self.shape
        found = np.full(r * n, s, np.int64)
        going = np.arange(r * n)
        # Sample by sample over the orders that have not stopped: most stop after a few samples.
        for j in range(s):
            hit = stop[self._after[j][going]]
            found[going[hit]] = j + 1
            going = going[~hit]
            if not len(going):
                break
        return found.reshape(r, n)

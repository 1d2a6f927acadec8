"""The driver: it gets from a checked problem and a limit to actions, by passes of the kernel.

Here are the loops over chunks and threads, the sampled bracket, and the decision what to do when a guess was wrong. The
kernel does the work per row; `_solve.py` and `_frontier.py` hold what users see.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import Problem, changed
from tcalloc._kernel import kernel
from tcalloc._rounding import FEASIBLE
from tcalloc._threads import each

__all__ = [
    "FILL",
    "Infeasible",
    "Outcome",
    "Split",
    "Steps",
    "Sums",
    "as_pair",
    "bisect",
    "canonical_order",
    "exact",
    "exactly",
    "ordered_steps",
    "slack_limit",
    "sum_of",
]

FILL = 4096  # number of steps behind the split that are tried (part of the canonical answer)
SMALL = 2048  # below this many rows, sorting all steps is cheaper than guessing a bracket
RUN = 8  # number of neighbouring rows that a sample takes together
CHUNK = 1 << 19  # cells per kernel call; ctrl-C is noticed between two calls

# The canonical tolerance of "feasible": a budget that is the rounded mean of a feasible choice is feasible.
TOLERANCE = Fraction(FEASIBLE)


@dataclass(slots=True)
class Sums:
    """Exact totals over all rows: Σ w·cost, Σ w·acc and Σ w, each a high and a low float64."""

    spend: tuple[float, float]
    gain: tuple[float, float]
    weight: tuple[float, float]

    @classmethod
    def of(cls, blocks: NDArray[np.float64]) -> "Sums":
        """Add up the sums of the blocks; the order does not matter, because fsum rounds once."""
        if not np.isfinite(blocks).all():
            raise changed()
        return cls(*(sum_of(blocks[:, q : q + 2]) for q in (0, 2, 4)))


@dataclass(slots=True)
class Steps:
    """Hull steps, in the canonical order (efficiency falling, then row, then position)."""

    efficiency: NDArray[np.float64]  # (M,)
    row: NDArray[np.int64]  # (M,)
    hop: NDArray[np.int32]  # (M, 2): from action, to action
    delta: NDArray[np.float64]  # (M, 4): w·Δcost high, low, w·Δacc high, low

    def __len__(self) -> int:
        return len(self.efficiency)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        """All four arrays."""
        return self.efficiency, self.row, self.hop, self.delta

    @classmethod
    def joined(cls, parts: Sequence["Steps"]) -> "Steps":
        """Return all steps, part by part."""
        return parts[0] if len(parts) == 1 else cls(*map(np.concatenate, zip(*(p.columns for p in parts), strict=True)))

    def mapped(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Steps":
        """Return the steps with all four arrays changed alike."""
        return Steps(*map(change, self.columns))

    def taken(self, order: NDArray[np.intp]) -> "Steps":
        """Return steps by their places."""
        # take, not indexing: twenty times faster on arrays of short rows.
        return self.mapped(lambda column: np.take(column, order, axis=0))


class Split(NamedTuple):
    """The one instance that the linear program divides between two actions.

    Parameters
    ----------
    row : int
        Its row.
    lower, upper : int
        The cheaper and the more expensive action (columns).
    fraction : float
        How much of the step from lower to upper the budget pays, in (0, 1).
    """

    row: int
    lower: int
    upper: int
    fraction: float


@dataclass(slots=True)
class Outcome:
    """The result of a method, in the problem's (scaled) units; the sums are over all rows."""

    actions: NDArray[np.int32]
    price: float
    weight: tuple[float, float]
    spend: tuple[float, float]
    gain: tuple[float, float]
    bound: Fraction | float  # upper bound of the gain (exact, or inf)
    split: Split | None


class Infeasible(Exception):
    """The limit is below the cheapest choice of all rows. An internal signal; users see a BudgetError."""

    def __init__(self, cheapest: Sums):
        super().__init__(cheapest)
        self.cheapest = cheapest


def exactly(pair: tuple[float, float]) -> Fraction:
    """Return the exact value of a high and a low float64."""
    return Fraction(pair[0]) + Fraction(pair[1]) if pair[1] else Fraction(pair[0])


def sum_of(terms: NDArray[np.float64]) -> tuple[float, float]:
    """Return the sum of all terms, rounded to a high and a low float64."""
    listed = terms.ravel().tolist()
    high = math.fsum(listed)
    return high, math.fsum([*listed, -high])


def as_pair(value: Fraction) -> tuple[float, float]:
    """Round to a high and a low float64."""
    try:
        high = float(value)
    except OverflowError:
        return math.inf, 0.0
    return high, float(value - Fraction(high))


def slack_limit(limit: Fraction | float) -> tuple[float, float]:
    """Return the limit with the tolerance of feasibility added, as a pair."""
    return (math.inf, 0.0) if limit == math.inf else as_pair(Fraction(limit) * (1 + TOLERANCE))


def exceeds(totals: Sums, allowed: tuple[float, float]) -> bool:
    """Return whether the spend is above the allowed one, exactly."""
    if allowed[0] == math.inf or abs(totals.spend[0] - allowed[0]) > 2.0**-40 * allowed[0]:
        return totals.spend[0] > allowed[0]  # nearly always plain
    return exactly(totals.spend) > exactly(allowed)


# ---------------------------------------------------------------------------------------------- passes


def _chunks(problem: Problem) -> list[tuple[int, int]]:
    n, k = problem.shape
    size = max(1, CHUNK // k // kernel.BLOCK) * kernel.BLOCK
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _blocks(n: int) -> NDArray[np.float64]:
    return np.zeros((-(-n // kernel.BLOCK), 6))


def _obey(code: int) -> int:
    if abs(code) == kernel.NO_MEMORY:
        raise MemoryError("no memory for one row's scratch space")
    if abs(code) == kernel.CHANGED:
        raise changed()
    return code


def sweep(problem: Problem, lo: float, hi: float, actions: NDArray[np.int32], threads: int) -> tuple[Sums, Steps]:
    """Set `actions` to each row's after all steps above hi; return the totals there and the steps in [lo, hi]."""
    n, k = problem.shape
    blocks = _blocks(n)
    # Note (C) of the kernel: a bound that the rounding error of a utility never reaches.
    slack_lo, slack_hi = (2.0**-48 * (problem.acc_bound + p * problem.cost_bound) for p in (lo, hi))

    def work(start: int, stop: int) -> Steps:
        room = (stop - start) * (k - 1)  # reserved, not touched: only what is written takes memory
        out = Steps(np.empty(room), np.empty(room, np.int64), np.empty((room, 2), np.int32), np.empty((room, 4)))
        count = kernel.scan(
            problem.acc, problem.cost, problem.available, problem.weights,
            lo, hi, slack_lo if lo > 0 else 0.0, slack_hi, start, stop, actions, blocks,
            out.efficiency, out.row, out.hop, out.delta,
        )  # fmt: skip
        _obey(min(count, 0))
        return out if count == room else out.mapped(lambda column: column[:count].copy())

    steps = Steps.joined(each(work, _chunks(problem), threads))
    return Sums.of(blocks), steps.taken(canonical_order(steps.efficiency))


def canonical_order(efficiency: NDArray[np.float64]) -> NDArray[np.intp]:
    """Sort by efficiency, falling, keeping the order of equal ones: they were emitted by row and position."""
    # An unstable sort is several times faster; only ties have to be put back in order.
    order = np.argsort(-efficiency)
    found = efficiency[order]
    with_next = found[1:] == found[:-1]
    if with_next.any():
        tied = np.flatnonzero(np.append(with_next, False) | np.append(False, with_next))
        run = np.cumsum(np.append(0, ~with_next))[tied]
        # One integer per step, ordered by run, then by place: runs stay where they are.
        order[tied] = np.sort(run * len(order) + order[tied]) % len(order)
    return order


def ordered_steps(problem: Problem, threads: int) -> tuple[NDArray[np.int32], Sums, Steps]:
    """Return all hull steps of all rows in the canonical order, with the cheapest actions and their totals."""
    actions = np.empty(problem.shape[0], np.int32)
    return actions, *sweep(problem, 0.0, math.inf, actions, threads)


# ---------------------------------------------------------------------------------------------- the exact method


def _brackets(problem: Problem, budget: float, threads: int) -> Iterator[tuple[float, float]]:
    """Guess lo < λ* < hi, ever more cautiously; the last guess cannot fail."""
    if problem.shape[0] > SMALL:
        for caution in (2.5, 8.0):
            yield _guess(problem, budget, caution, threads)
    yield 0.0, math.inf


def _guess(problem: Problem, budget: float, caution: float, threads: int) -> tuple[float, float]:
    """Bracket the price by the price that a sample of rows would pay, ± `caution` standard errors."""
    n = problem.shape[0]
    runs = max(1, min(n // 4, 2 * math.ceil(n ** (2 / 3))) // RUN)
    # A few neighbouring rows at a random place in each of equal strata. So a sorted table is as good as a shuffled one,
    # and neighbours are fast to read. The seed cannot change the answer, only (slightly) the time.
    starts = (np.arange(runs) + np.random.default_rng(runs).random(runs)) * ((n - RUN) / runs)
    rows = (starts.astype(np.intp)[:, None] + np.arange(RUN)).ravel()
    size = len(rows)
    sample = problem.take(rows)
    actions = np.empty(size, np.int32)
    lo, hi = _guess(sample, budget, 8.0, threads) if size > SMALL else (0.0, math.inf)
    totals, steps = sweep(sample, lo, hi, actions, threads)
    if len(steps) == 0:
        return lo, hi
    spent = totals.spend[0] + np.cumsum(steps.delta[:, 0])
    limit = budget * totals.weight[0]
    taken = int(np.searchsorted(spent, limit))
    actions[steps.row[:taken]] = steps.hop[:taken, 1]  # the sample's actions at its own price
    weights = 1.0 if sample.weights is None else sample.weights
    chosen = sample.cost[np.arange(size), actions].astype(np.float64)
    if chosen.max() > problem.cost_bound:
        raise changed("cost")
    # Without a limit all steps are taken, and there is no error. (Infinity times a weight of 0 would be no number.)
    off = weights * (chosen - (budget if math.isfinite(budget) else 0.0))
    # Neighbours may be similar, so the runs are the independent observations.
    error = caution * math.sqrt(float((off.reshape(runs, RUN).sum(axis=1) ** 2).sum()))
    first = int(np.searchsorted(spent, limit - error))
    # The fill needs FILL steps of the whole table behind the split.
    last = int(np.searchsorted(spent, limit + error)) + math.ceil(1.5 * FILL * size / n) + 16
    # A small odd factor moves the ends off the breakpoints: a row whose step ties with an end takes the slow way.
    top = hi if first == 0 else float(steps.efficiency[min(first, len(steps)) - 1]) * (1 + 3.1e-6)
    bottom = lo if last >= len(steps) else float(steps.efficiency[last]) * (1 - 3.7e-6)
    return bottom, top


def exact(problem: Problem, limit: Fraction | float, threads: int) -> Outcome:
    """Take all steps in the canonical order until the limit, then fill (design: `_oracle.pyx`, A to C)."""
    n = problem.shape[0]
    actions = np.empty(n, np.int32)
    allowed = slack_limit(limit)
    for lo, hi in _brackets(problem, _mean(problem, limit), threads):
        totals, steps = sweep(problem, lo, hi, actions, threads)
        if exceeds(totals, allowed):
            if hi < math.inf:
                continue
            raise Infeasible(totals)
        state = np.array([*totals.spend, *totals.gain, 0.0, 0.0, 0.0, 0.0])
        split = kernel.walk(steps.row, steps.hop, steps.delta, state, *allowed, FILL, actions)
        if lo > 0 and split + 1 + FILL > len(steps):
            continue
        return outcome(actions, steps, split, state, totals.weight, limit)
    raise AssertionError("the last bracket is (0, inf)")


def _mean(problem: Problem, limit: Fraction | float) -> float:
    """Return the budget per unit of weight, for a guess."""
    weight = problem.shape[0] if problem.weights is None else float(problem.weights.sum())
    return (limit if isinstance(limit, float) else as_pair(limit)[0]) / weight


def outcome(
    actions: NDArray[np.int32],
    steps: Steps,
    split: int,
    state: NDArray[np.float64],
    weight: tuple[float, float],
    limit: Fraction | float,
) -> Outcome:
    """Return the linear program's optimum at the split, and the result of the fill."""
    if not np.isfinite(state).all():
        raise changed()
    numbers = state.tolist()
    before, after = numbers[:4], numbers[4:]
    price, bound, divided = 0.0, exactly((before[2], before[3])), None
    if split < len(steps):
        price = float(steps.efficiency[split])
        d = steps.delta[split].tolist()
        fraction = (Fraction(limit) - exactly((before[0], before[1]))) / exactly((d[0], d[1]))
        if fraction > 0:
            bound += fraction * exactly((d[2], d[3]))
            lower, upper = steps.hop[split].tolist()
            divided = Split(int(steps.row[split]), lower, upper, float(fraction))
    return Outcome(
        actions=actions,
        price=price,
        weight=weight,
        spend=(after[0], after[1]),
        gain=(after[2], after[3]),
        bound=max(bound, exactly((after[2], after[3]))),
        split=divided,
    )


# ---------------------------------------------------------------------------------------------- the paper's method


def bisect(problem: Problem, limit: Fraction | float, threads: int) -> Outcome:
    """Find the largest spend within the limit that one price induces, by halving the price's interval.

    arXiv 2604.14853, section 3. The halving is on the bit pattern of the float. So it ends exactly, after at most 63
    passes over the table, at two neighbouring prices.
    """
    n = problem.shape[0]
    allowed = slack_limit(limit)

    def at(price: float) -> tuple[NDArray[np.int32], Sums]:
        actions, blocks = np.empty(n, np.int32), _blocks(n)

        def work(start: int, stop: int) -> None:
            _obey(
                kernel.best_at(
                    problem.acc, problem.cost, problem.available, problem.weights,
                    price, start, stop, actions, blocks,
                )
            )  # fmt: skip

        each(work, _chunks(problem), threads)
        return actions, Sums.of(blocks)

    price = 0.0
    actions, totals = at(price)
    if exceeds(totals, allowed):
        low, high = 0, int(np.float64(math.inf).view(np.int64))
        price = math.inf
        actions, totals = at(price)
        if exceeds(totals, allowed):
            raise Infeasible(totals)
        while high - low > 1:
            middle = (low + high) // 2
            tried = float(np.int64(middle).view(np.float64))
            found = at(tried)
            if exceeds(found[1], allowed):
                low = middle
            else:
                high, price, (actions, totals) = middle, tried, found
    # The dual value at the final price is an upper bound of the linear program by weak duality.
    bound: Fraction | float = math.inf
    if price == 0:
        bound = exactly(totals.gain)
    elif price < math.inf:
        bound = exactly(totals.gain) + Fraction(price) * max(Fraction(0), Fraction(limit) - exactly(totals.spend))
    return Outcome(actions, price, totals.weight, totals.spend, totals.gain, bound, None)

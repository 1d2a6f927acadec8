"""The readable twin of `_stopping.pyx`: the same functions in NumPy, as plainly as they can be said.

Tests compare the two, and ``TCALLOC_KERNEL=reference`` makes the package run on this one. `subsets` adds one answer
after another to a dictionary of how many subsets are in which state; the rest are the textbook's backward and forward
passes.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

OK, NO_MEMORY = 0, 3

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


def subsets(
    gold: Ints,
    silent: Ints,
    rivals: Ints,
    weight: Floats,
    dear: Floats,
    choose: Floats,
    mass: Floats,
    right: Floats,
    alone: Floats,
    going: Floats,
    outlay: Floats,
) -> int:
    """Add to each state how often it is met, right, with a lone second, with samples left, and what one costs."""
    cap = len(mass) - 1
    for i in range(len(gold)):
        samples = int(gold[i] + silent[i] + rivals[i].sum())
        deep = min(samples, cap)
        # (samples used, first, second, how many share the second place, or the top if it is shared) -> subsets
        ways = {(n, 0, 0, 0): choose[silent[i], n] for n in range(min(int(silent[i]), deep) + 1)}
        for count in rivals[i][rivals[i] > 0].tolist():
            after: dict[tuple[int, int, int, int], float] = defaultdict(float)
            for (n, first, second, share), number in ways.items():
                for votes in range(min(count, deep - n) + 1):
                    state = _with(first, second, share, votes)
                    after[(n + votes, *state)] += number * choose[count, votes]
            ways = after
        for (n, first, second, share), number in ways.items():
            for votes in range(min(int(gold[i]), deep - n) + 1):
                top, behind, sharing = _with(first, second, share, votes)
                at = (n + votes, top, behind)
                chance = number * choose[gold[i], votes] / choose[samples, n + votes]
                mass[at] += weight[i] * chance
                if top > 0 and votes == top:
                    right[at] += weight[i] * chance / (sharing if top == behind else 1)
                if sharing == (2 if top == behind else 1):
                    alone[at] += weight[i] * chance
                if n + votes < samples:
                    going[at] += weight[i] * chance
                    outlay[at] += dear[i] * chance
    return OK


def _with(first: int, second: int, share: int, votes: int) -> tuple[int, int, int]:
    """Return the two top counts, and how many hold the second (the top, if it is shared), with one more answer."""
    if votes == 0:
        return first, second, share
    if votes > first:
        return votes, first, 1 if first > 0 and first > second else share if first > 0 else 0
    if votes == first:
        return first, first, share + 1 if first == second else 2
    if votes > second:
        return first, votes, 1
    if votes == second:
        return first, second, share + 1
    return first, second, share


def _expect(value: Floats, up: Floats, side: Floats) -> Floats:
    """Return the mean value one sample on, for each state of a layer."""
    leader = np.vstack([value[1:], np.zeros((1, value.shape[1]))])
    second = np.column_stack([value[:, 1:], np.zeros(len(value))])
    return np.asarray(up * leader + side * second + (1.0 - up - side) * value)


def induct(
    going: Floats,
    stop: Floats,
    up: Floats,
    side: Floats,
    cost: Floats,
    prices: Floats,
    waves: Ints,
    round_cost: float,
    pseudo: float,
    choice: NDArray[np.uint8],
    worth: Floats,
) -> int:
    """Write the wave to draw in each state at each price (0: stop), and what the start is worth."""
    cap, high, wide = len(going) - 1, going.shape[1], going.shape[2]
    margin = np.arange(high)[:, None] - np.arange(wide)
    real = (margin >= 0) & (np.arange(high)[:, None] + np.arange(wide) <= np.arange(cap + 1)[:, None, None])
    choice[:] = 0
    for p, price in enumerate(prices.tolist()):
        value = stop.copy()
        for n in range(cap - 1, -1, -1):
            states, weight = real[n], going[n]
            best = np.zeros((high, wide))
            for wave in waves.tolist():
                if wave > cap - n:
                    continue
                after = value[n + wave]
                for m in range(n + wave - 1, n - 1, -1):
                    after = _expect(after, up[m], side[m]) - price * cost[m]
                after = after - price * round_cost
                gain = np.where(states, weight * (after - stop[n]), 0.0)
                layer = gain.sum() / weight.sum() if weight.sum() > 0 else -1.0
                shrunk = np.zeros((high, wide))
                for d in range(n + 1):
                    there = states & (margin == d)
                    count = weight[there].sum() + pseudo
                    mean = (gain[there].sum() + pseudo * layer) / count if count > 0 else layer
                    total = np.maximum(weight[there] + pseudo, np.finfo(float).tiny)
                    shrunk[there] = np.where(weight[there] > 0, (gain[there] + pseudo * mean) / total, mean)
                better = states & (shrunk > best)
                best[better] = shrunk[better]
                choice[p, n][better] = wave
                followed = better & (weight > 0)
                value[n][followed] = after[followed]
        worth[p] = value[0, 0, 0]
    return OK


def follow(
    going: Floats,
    stop: Floats,
    up: Floats,
    side: Floats,
    cost: Floats,
    choice: NDArray[np.uint8],
    accuracy: Floats,
    spend: Floats,
    rounds: Floats,
) -> int:
    """Write what each rule of `choice` reaches, spends, and how many rounds it takes, from the start on."""
    cap = len(going) - 1
    for p in range(len(choice)):
        free = np.zeros_like(stop)  # the share of questions that choose in a state
        free[0, 0, 0] = 1.0
        accuracy[p] = spend[p] = rounds[p] = 0.0
        for n in range(cap + 1):
            waves = np.where(going[n] > 0, choice[p, n], 0) if n < cap else np.zeros_like(choice[p, n])
            accuracy[p] += (free[n] * stop[n])[waves == 0].sum()
            for wave in np.unique(waves[waves > 0]).tolist():
                moving = np.where(waves == wave, free[n], 0.0)
                rounds[p] += moving.sum()
                for m in range(n, n + wave):
                    ended = going[m] <= 0  # no question had more samples there
                    accuracy[p] += (moving * stop[m])[ended].sum()
                    moving = np.where(ended, 0.0, moving)
                    spend[p] += (moving * cost[m]).sum()
                    after = moving * (1.0 - up[m] - side[m])
                    after[1:] += (moving * up[m])[:-1]
                    after[:, 1:] += (moving * side[m])[:, :-1]
                    moving = after
                free[n + wave] += moving
    return OK

"""The gain of a policy at its spend, and of an oracle that chooses on half of the samples, scored on the others."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._rounding import SUMMED
from tcalloc._solve import decide, solve
from tcalloc.errors import InputError
from tcalloc.learn.training import Mix, Training, fallback
from tcalloc.measure.actions import Action
from tcalloc.measure.halves import random_order
from tcalloc.measure.samples import Samples
from tcalloc.measure.tabulate import tabulate

__all__ = ["Halves", "gains_at", "halvings"]

Floats = NDArray[np.float64]
Actions = NDArray[np.int32]


def gains_at(
    choosing: Floats, scoring: Floats, picked: Actions, found: Training, spend: float
) -> tuple[Floats, Floats]:
    """Return the gains of the policy and of the oracle over the best fixed mixture of the same spend, by question.

    `choosing` chooses oracle and mixture. If their cost on a question differs from the policy's, the difference is
    charged at the price that holds there. So the means compare equal spends, and the intervals include the uncertainty
    of the spend.
    """
    n = len(picked)
    every = np.arange(n)
    paid = found.cost[every, picked]
    whole = np.where(np.isfinite(found.acc), choosing, np.nan)
    means = Training(whole, found.cost, found.weights, found.names, None, found.available)
    mix = Mix.of(means.mean_acc, means.mean_cost)
    lower, upper, share = mix.at(spend)
    fixed = fallback(found.available, np.lexsort((means.mean_acc, means.mean_cost)), n)[:, [lower, upper]]
    mixed_acc, mixed_cost = (
        (1 - share) * values[every, fixed[:, 0]] + share * values[every, fixed[:, 1]]
        for values in (scoring, found.cost)
    )
    mixed = mixed_acc + mix.price(spend) * (paid - mixed_cost)
    plan = solve(choosing, found.cost, max(spend, _cheapest(found)), available=found.available, weights=found.weights)
    best = scoring[every, plan.actions] + plan.price * (paid - found.cost[every, plan.actions])
    return scoring[every, picked] - mixed, best - mixed


def _cheapest(found: Training) -> float:
    """Return the least spend, slightly increased because sums may round differently."""
    cost = found.cost if found.available is None else np.where(found.available, found.cost, math.inf)
    return float(found.weights @ cost.min(axis=1) / found.weights.sum()) * (1 + SUMMED)


class Halves:
    """Pairs of accuracies (N, K), each from one half of the samples."""

    def __init__(self, pairs: list[tuple[Floats, Floats]], enough: NDArray[np.bool_], found: Training):
        self.pairs = pairs
        self.enough = enough
        """(N, K) whether half of the samples is enough for the action."""
        self.found = found

    @classmethod
    def of(cls, samples: Samples, found: Training, splits: int, random_state: int) -> "Halves":
        """Halve the samples `splits` times."""
        if len(samples) != len(found.acc):
            raise InputError(f"samples has {counted(len(samples), 'question')}, but the table has {len(found.acc)}.")
        if found.actions is None:
            raise InputError("it is not known what the table's actions are; pass them: actions=[Vote(1), …].")
        pairs = []
        enough = np.isfinite(found.acc)
        for pair in halvings(samples, splits, np.random.default_rng(random_state)):
            one, other = (_accuracies(half, found.actions) for half in pair)
            enough &= np.isfinite(one) & np.isfinite(other)
            pairs.append((np.nan_to_num(one), np.nan_to_num(other)))
        return cls(pairs, enough if pairs else np.zeros(enough.shape, bool), found)

    @property
    def whole(self) -> bool:
        """Whether half of the samples is enough for all actions of the table."""
        return bool((self.enough == np.isfinite(self.found.acc)).all())

    def agreement(self, price: float) -> tuple[Floats, NDArray[np.bool_]] | None:
        """Return how often the oracles of two halves agree, by question, among the actions that halves suffice for.

        The mask beside it says which questions count: those that choose between as many actions as most questions do.
        None: no question counts.
        """
        choices = self.enough.sum(axis=1)
        rows: NDArray[np.bool_] = np.asarray(choices >= max(2, int(np.median(choices))))
        if not rows.any():
            return None
        agreed = np.zeros(int(rows.sum()))
        for pair in self.pairs:
            there, cost = self.enough[rows], self.found.cost[rows]
            one, other = (decide(half[rows], cost, price, available=there) for half in pair)
            agreed += np.asarray(one) == np.asarray(other)
        return agreed / len(self.pairs), rows

    def gains(self, picked: Actions, spend: float) -> tuple[Floats, Floats]:
        """Return the gains of the policy and of an oracle from other samples over the mixture, by question."""
        total = np.zeros((2, len(picked)))
        for one, other in self.pairs:
            for choosing, scoring in ((one, other), (other, one)):
                total += gains_at(choosing, scoring, picked, self.found, spend)
        policy, oracle = total / (2 * len(self.pairs))
        return policy, oracle


def _accuracies(samples: Samples, actions: tuple[Action | None, ...]) -> Floats:
    """Return the exact expectations, (N, K); NaN if there are too few samples."""
    acc = np.full((len(samples), len(actions)), np.nan)
    sizes = {name: int(arm.drawn.sum(axis=1).max()) for name, arm in samples.by_model.items()}
    most = max(sizes.values())
    able = [
        a
        for a, action in enumerate(actions)
        if action is not None and action.samples <= sizes.get(action.model or "", most)
    ]
    made = tabulate(samples, [action for a in able if (action := actions[a]) is not None], False) if able else None
    if made is not None:
        acc[:, able] = np.where(True if made.available is None else made.available, made.acc, np.nan)
    acc[:, [a for a, action in enumerate(actions) if action is None]] = 0.0  # doing nothing reaches 0
    return acc


def halvings(samples: Samples, splits: int, rng: np.random.Generator) -> Iterator[tuple[Samples, Samples]]:
    """Yield random halves of every question's samples; of an odd number, one sample is in neither or the first half."""
    for _ in range(splits):
        parts: tuple[dict[str, Samples], dict[str, Samples]] = ({}, {})
        for name, arm in samples.by_model.items():
            # The drawn samples come first, in random order. They go to the halves in turn; an odd one goes to neither.
            order = random_order(arm.drawn, rng)
            width = arm.drawn.shape[1] // 2
            if width == 0:
                return
            for half, part in enumerate(parts):
                part[name] = arm.columns(order[:, half : 2 * width : 2])
        yield tuple(p[""] if samples.arms is None else Samples(arms=p, labels=samples.labels) for p in parts)  # type: ignore[misc]

"""Bounds: who knows what no policy knows. They say how much there is to gain, and what is too good to be true."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants._cache import once
from tcalloc.evaluate.contestants.base import concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.offering import paid as costs_of
from tcalloc.evaluate.problem import Problem
from tcalloc.frontier import frontier
from tcalloc.learn.folds import Frontier, Tuned
from tcalloc.learn.paths import arm_costs, random_orders
from tcalloc.measure.samples import Samples

__all__ = ["Halved", "Hindsight", "halves"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Random halves of the samples, each chooses once and scores once.
SPLITS = 4
# Numbers of samples that the oracle chooses among, as far as a half has so many.
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40)
# Steps of the bounds' dials.
STEPS = 60
# Where the oracle gives more of the questions than this the largest action that a half allows, it would give them more.
BINDS = 0.1
# With fewer samples per question, a question that was always right may have been lucky.
FEW = 4


def halves(problem: Problem) -> int:
    """Return how many samples half of a question's have, of the model that has fewest; 0: there are no halves."""
    if problem.samples is None:
        return 0
    return min(int(arm.drawn.sum(axis=1).min()) // 2 for arm in problem.samples.by_model.values())


@dataclass(frozen=True, slots=True, eq=False)
class Halved:
    """The oracle, held out: it decides beforehand, by one half of each question's samples; the other half scores."""

    problem: Problem
    """Of which; with at least two samples of every model for every question."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per budget."""
        dial, spend, accuracy, _ = self._made()
        return Tuned(dial, concave(dial), spend[:, held], accuracy[:, held], places=dial)

    def limit(self) -> float:
        """Return the mean spend beyond which it is short of samples; infinite if it never is.

        It draws at most half of a question's samples, however many there are. Where that binds on more than a tenth of
        the questions, what it gains says how many samples were recorded, not how much there is to gain.
        """
        _, spend, _, largest = self._made()
        short = np.flatnonzero(largest > BINDS)
        if not len(short):
            return float("inf")
        at = int(short[0])
        if at == 0:
            return 0.0
        return float(np.interp(BINDS, largest[at - 1 : at + 1], spend[at - 1 : at + 1].mean(axis=1)))

    def _made(self) -> tuple[Floats, Floats, Floats, Floats]:
        found: tuple[Floats, Floats, Floats, Floats] = once(
            (self.problem.token, "halves"), lambda: _halved(self.problem)
        )
        return found


def _halved(problem: Problem) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the dial, spends and accuracies (D, N), and which share of the questions gets the largest action (D,)."""
    samples = problem.samples
    assert samples is not None
    size = halves(problem)
    fitting = [k for k in COUNTS if k <= size]
    actions = [a for name in samples.by_model for a in samples.actions_of(name, fitting, problem.verifier)]
    top = max(action.samples for action in actions)
    # Of any model: who is given all of one model's samples might have been given more of them.
    full = np.append([action.samples == top for action in actions], False)
    every = np.arange(len(problem))
    dial = dial_of(hull(problem, every))
    spend, accuracy = np.zeros((len(dial), len(every))), np.zeros((len(dial), len(every)))
    largest = np.zeros(len(dial))
    for split in range(SPLITS):
        parts = _split(samples, size, np.random.default_rng([problem.seed, split]))
        known = [part.table(actions, shrink=True) for part in parts]
        true = [part.table(actions, shrink=False).acc for part in parts]
        for choosing, scoring in ((0, 1), (1, 0)):
            # Nothing is an action too, and the last column.
            planned = np.append(np.asarray(known[choosing].cost, np.float64), 0.0)
            curve = frontier(np.column_stack([known[choosing].acc, np.zeros(len(every))]), planned)
            paid = np.column_stack([costs_of(parts[scoring], actions), np.zeros(len(every))])
            right = np.column_stack([true[scoring], np.zeros(len(every))])
            for d, budget in enumerate(dial.tolist()):
                chosen = curve.allocate(max(budget, 0.0)).actions
                spend[d] += paid[every, chosen]
                accuracy[d] += right[every, chosen]
                largest[d] += full[chosen].mean()
    return dial, spend / (2 * SPLITS), accuracy / (2 * SPLITS), largest / (2 * SPLITS)


def _split(samples: Samples, size: int, rng: np.random.Generator) -> list[Samples]:
    """Return two halves of each question's samples."""
    found: list[dict[str, Samples]] = [{}, {}]
    for name, arm in samples.by_model.items():
        order = np.argsort(np.where(arm.drawn, rng.random(arm.drawn.shape), 2.0), axis=1)
        found[0][name], found[1][name] = arm.columns(order[:, :size]), arm.columns(order[:, size : 2 * size])
    return [part[""] if samples.arms is None else Samples(arms=part) for part in found]


@dataclass(frozen=True, slots=True, eq=False)
class Hindsight:
    """The bound: it sees what was drawn before it pays for it, and pays only for what will be right."""

    problem: Problem
    """Of which."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per step."""
        spend, accuracy = once((self.problem.token, "hindsight"), lambda: _seen(self.problem))
        paid, reached = spend[:, train].mean(axis=1), accuracy[:, train].mean(axis=1)
        return Tuned(paid, reached, spend[:, held], accuracy[:, held], places=spend.mean(axis=1))

    def luck(self) -> float:
        """Return how much of what is right is luck that hindsight knows and that no knowledge of chances tells, 0 to 1.

        Of samples it is the share of the variance of a sample's being right that lies within questions (unbiased); of
        single answers it cannot be told, and is taken to be all. It is 0 of a table of expectations; and of 4 samples
        per question or more, since who decides beforehand is then scored on so many draws of each question that hardly
        one of them is lucky: who gains what hindsight does chose questions that are surely right.
        """
        if self.problem.data == "single answers":
            return 1.0
        samples = self.problem.samples
        if samples is None or min(int(arm.drawn.sum(axis=1).min()) for arm in samples.by_model.values()) >= FEW:
            return 0.0
        within = total = 0.0
        for arm in samples.by_model.values():
            drawn = arm.drawn.sum(axis=1)
            several = drawn > 1
            if not several.any():
                return 1.0
            share = (arm.correct & arm.drawn).sum(axis=1)[several] / drawn[several]
            within += float((share * (1 - share) * drawn[several] / (drawn[several] - 1)).mean())
            total += float(share.mean() * (1 - share.mean()))
        return min(within / total, 1.0) if total > 0 else 0.0


def _seen(problem: Problem) -> tuple[Floats, Floats]:
    if problem.samples is not None:
        return _first_right(problem)
    menu, every = problem.menu, np.arange(len(problem))
    acc, cost = problem.menu_filled
    curve = frontier(acc, cost, available=menu.available)
    base = Frontier.of(cost.mean(axis=0), acc.mean(axis=0))
    low, high = float(curve.budgets[0]), max(float(curve.budgets[-1]), float(base.spend[-1]))
    dial = np.unique(np.concatenate([np.linspace(low, high, STEPS), low + (high - low) * np.geomspace(1e-3, 1, STEPS)]))
    chosen = [curve.allocate(float(budget)).actions for budget in dial]
    return np.array([cost[every, c] for c in chosen]), np.array([acc[every, c] for c in chosen])


def _first_right(problem: Problem) -> tuple[Floats, Floats]:
    """Buy, of all runs, those whose first right sample is cheapest: whatever a policy does, it pays for one that is.

    A policy's answer is right only if a right sample was drawn, and everything drawn before it was paid for.
    """
    samples = problem.samples
    assert samples is not None
    costs = arm_costs(samples)
    least = np.full((problem.orders, len(problem)), np.inf)
    for a, (name, arm) in enumerate(samples.by_model.items()):
        order = random_orders(arm.drawn, problem.orders, a)
        paid = np.cumsum(np.take_along_axis(costs[name][None], order, axis=2), axis=2)
        right = np.take_along_axis((arm.correct & arm.drawn)[None], order, axis=2)
        where = right.argmax(axis=2)[:, :, None]
        first = np.take_along_axis(paid, where, axis=2)[:, :, 0]
        least = np.minimum(least, np.where(right.any(axis=2), first, np.inf))
    known = np.sort(least[np.isfinite(least)])
    if not len(known):
        return np.zeros((1, len(problem))), np.zeros((1, len(problem)))
    limits = np.unique(np.quantile(known, np.linspace(0, 1, STEPS), method="inverted_cdf"))
    spend, accuracy = [np.zeros(len(problem))], [np.zeros(len(problem))]
    for limit in limits:
        bought = least <= limit
        spend.append(np.where(bought, least, 0.0).mean(axis=0))
        accuracy.append(bought.mean(axis=0))
    return np.array(spend), np.array(accuracy)

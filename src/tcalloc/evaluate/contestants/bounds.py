"""Bounds: who knows what no policy knows. They say how much there is to gain, and what is too good to be true."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._frontier import frontier
from tcalloc.evaluate.contestants.base import concave, hull
from tcalloc.evaluate.contestants.beforehand import dial_of
from tcalloc.evaluate.contestants.cache import once
from tcalloc.evaluate.menu import paid as costs_of
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.thresholds import BINDS, LUCKY
from tcalloc.learn.holdout.folds import Frontier, Tuned
from tcalloc.learn.holdout.half_samples import halvings
from tcalloc.learn.replay.all_orders import arm_costs, random_orders, round_costs
from tcalloc.learn.training import LEAST_STEP
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["Halved", "Hindsight", "halves"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Random halves of the samples, each chooses once and scores once.
SPLITS = 4
# Numbers of samples that the oracle chooses among, as far as half of the samples are enough.
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 26, 32, 40)
# Steps of the bounds' dials.
STEPS = 60
# NumPy takes the seeds 0 and [0, 0] for the same: halves of data that was simulated with seed 0 would not be random.
OWN = 0x6F7261636C65


def halves(problem: Problem) -> int:
    """Return how many questions have two samples of some model, so that one half can choose and the other score.

    It is 0 where more than a tenth of the questions have none: an oracle that is blind there would not say how much
    there is to gain.
    """
    if problem.samples is None:
        return 0
    able = np.any([arm.drawn.sum(axis=1) >= 2 for arm in problem.samples.by_model.values()], axis=0)
    return int(able.sum()) if able.mean() >= 1 - BINDS else 0


@dataclass(frozen=True, slots=True, eq=False)
class Halved:
    """The oracle, held out: it decides beforehand, by one half of each question's samples; the other half scores.

    Each question and model has the actions that its own halves allow. A model with one sample of a question is not
    known there: what it reaches is predicted from the other models' halves, and its sample scores.
    """

    problem: Problem
    """The comparison that it takes part in. Nearly all questions have at least two samples of some model."""

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
        return once((self.problem.token, "halves"), lambda: _halved(self.problem))


def _halved(problem: Problem) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the dial, spends and accuracies (D, N), and which share of the questions the halves hold back (D,)."""
    samples = problem.samples
    assert samples is not None
    arms = samples.by_model
    # (N,) of each arm: how many samples the smaller half of each question's has.
    sizes = {name: arm.drawn.sum(axis=1) // 2 for name, arm in arms.items()}
    able = [name for name, size in sizes.items() if size.any()]
    # Without a verifier, a model with only right and wrong recorded has one action: a single sample.
    actions, listed = [], []
    for name, size in sizes.items():
        made = samples.actions_of(name, [k for k in COUNTS if k <= max(1, int(size.max()))], problem.verifier)
        actions += made
        listed += [(name, action.samples) for action in made]
    enough = np.column_stack([k <= sizes[name] for name, k in listed])
    blind = np.column_stack([(sizes[name] == 0) & arms[name].drawn.any(axis=1) & (k == 1) for name, k in listed])
    held_back = np.column_stack([enough, np.zeros(len(samples), bool)]) & _largest(problem, listed, sizes)
    whole = np.nan_to_num(samples.table(actions, shrink=False).acc)
    whole_paid = costs_of(samples, actions)
    every = np.arange(len(problem))
    dial = dial_of(hull(problem, every))
    spend, accuracy = np.zeros((len(dial), len(every))), np.zeros((len(dial), len(every)))
    largest = np.zeros(len(dial))
    some = samples if samples.arms is None else Samples(arms={name: arms[name] for name in able})
    columns = [a for a, (name, _) in enumerate(listed) if name in able]
    asked = [actions[a] for a in columns]
    for split in range(SPLITS):
        [parts] = halvings(some, 1, np.random.default_rng([problem.seed, split, OWN]))
        known = [_table(part, asked, True) for part in parts]
        true = [_table(part, asked, False) for part in parts]
        for choosing, scoring in ((0, 1), (1, 0)):
            planned, right, paid = np.zeros_like(whole), whole.copy(), whole_paid.copy()
            planned[:, columns] = np.nan_to_num(known[choosing])
            right[:, columns] = np.where(enough[:, columns], true[scoring], whole[:, columns])
            paid[:, columns] = np.where(enough[:, columns], costs_of(parts[scoring], asked), whole_paid[:, columns])
            for a in np.flatnonzero(blind.any(axis=0)).tolist():
                planned[blind[:, a], a] = _guessed(planned, enough, listed, whole[:, a], blind[:, a], a)
            # Nothing is an action too, and the last column. What is planned costs what it costs on average.
            there = np.column_stack([enough | blind, np.ones(len(every), bool)])
            curve = frontier(_with_nothing(planned), np.append(whole_paid.mean(axis=0), 0.0), available=there)
            paid, right = _with_nothing(paid), _with_nothing(right)
            for d, budget in enumerate(dial.tolist()):
                chosen = curve.allocate(max(budget, 0.0)).actions
                spend[d] += paid[every, chosen]
                accuracy[d] += right[every, chosen]
                largest[d] += held_back[every, chosen].mean()
    return dial, spend / (2 * SPLITS), accuracy / (2 * SPLITS), largest / (2 * SPLITS)


def _with_nothing(values: Floats) -> Floats:
    return np.column_stack([values, np.zeros(len(values))])


def _largest(problem: Problem, listed: list[tuple[str, int]], sizes: dict[str, Rows]) -> NDArray[np.bool_]:
    """Return where an action is the largest that a question's halves allow, and more samples would reach more."""
    found = np.zeros((len(problem), len(listed) + 1), bool)
    assert problem.samples is not None
    means = dict(zip(problem.fixed_names, problem.fixed_accuracy.mean(axis=0).tolist(), strict=True))
    for a, (name, k) in enumerate(listed):
        following = next((more for more in COUNTS if more > k), np.inf)
        top = (k <= sizes[name]) & (sizes[name] < following)
        count = int(problem.samples.by_model[name].drawn.sum(axis=1).max())
        own, *more = problem.samples.actions_of(name, range(k, count + 1), problem.verifier)
        beyond = max((means.get(action.name, 0.0) for action in more), default=0.0)
        if beyond - means.get(own.name, 0.0) >= LEAST_STEP:
            found[:, a] = top
    return found


def _table(part: Samples, actions: list[Action], shrink: bool) -> Floats:
    """Return what actions reach by some samples, (N, K); NaN where there are too few."""
    found = np.full((len(part), len(actions)), np.nan)
    most = [int(part.by_model[action.model or ""].drawn.sum(axis=1).max()) for action in actions]
    columns = [a for a, action in enumerate(actions) if action.samples <= most[a]]
    made = part.table([actions[a] for a in columns], shrink=shrink)
    acc = np.asarray(made.acc, np.float64)
    if made.available is not None:
        acc = np.where(made.available, acc, np.nan)
    # Questions without any sample are left out of a table.
    found[np.ix_(np.flatnonzero(part.drawn.any(axis=1)), np.array(columns, np.intp))] = acc
    return found


def _guessed(
    planned: Floats,
    enough: NDArray[np.bool_],
    listed: list[tuple[str, int]],
    reached: Floats,
    rows: NDArray[np.bool_],
    a: int,
) -> Floats:
    """Return what a model is predicted to reach without samples of its own, from the halves of the others.

    It is a regression over the questions where it was recorded, on the other models at a single sample. A question
    where no other model is known has the mean.
    """
    others = [c for c, (name, k) in enumerate(listed) if k == 1 and name != listed[a][0] and enough[:, c].any()]
    recorded = rows | enough[:, a]
    mean = float(reached[recorded].mean())
    seen = enough[:, others]
    level = [float(planned[enough[:, c], c].mean()) for c in others]
    x = np.column_stack([np.where(seen, planned[:, others] - level, 0.0), np.ones(len(planned))])
    slopes, *_ = np.linalg.lstsq(x[recorded], reached[recorded] - mean, rcond=None)
    return np.asarray(np.clip(mean + x[rows] @ slopes, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Hindsight:
    """The bound: it sees what was drawn before it pays for it, and pays only for what will be right."""

    problem: Problem
    """The comparison that it takes part in."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return one setting per step."""
        spend, accuracy = once((self.problem.token, "hindsight"), lambda: _seen(self.problem))
        paid, reached = spend[:, train].mean(axis=1), accuracy[:, train].mean(axis=1)
        return Tuned(paid, reached, spend[:, held], accuracy[:, held], places=spend.mean(axis=1))

    def luck(self) -> float:
        """Return how much of what is right is luck that hindsight knows and that no knowledge of chances tells, 0 to 1.

        Of samples it is the share of the variance of a sample's being right that lies within questions (unbiased); of
        single answers it cannot be known, and is taken to be all. It is 0 of a table of expectations; and of 4 samples
        per question or more, since who decides beforehand is then scored on so many draws of each question that hardly
        one of them is lucky: who gains what hindsight does chose questions that are surely right.
        """
        if self.problem.data == "single answers":
            return 1.0
        samples = self.problem.samples
        if samples is None or all(
            float((arm.drawn.sum(axis=1) < LUCKY).mean()) <= BINDS for arm in samples.by_model.values()
        ):
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
    costs, rounds = arm_costs(samples), round_costs(samples)
    least = np.full((problem.orders, len(problem)), np.inf)
    for a, (name, arm) in enumerate(samples.by_model.items()):
        order = random_orders(arm.drawn, problem.orders, a)
        paid = np.cumsum(np.take_along_axis(costs[name][None], order, axis=2), axis=2)
        right = np.take_along_axis((arm.correct & arm.drawn)[None], order, axis=2)
        where = right.argmax(axis=2)[:, :, None]
        first = np.take_along_axis(paid, where, axis=2)[:, :, 0] + rounds[name].first  # all in one draw
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

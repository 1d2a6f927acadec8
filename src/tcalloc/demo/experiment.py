"""What the demonstration computes.

How the held-out figures come about: the samples of every question are split at random into halves. The oracle
chooses on the estimates from one half, and its choice is scored by the exact vote expectation on the other; then the
halves swap roles. The best fixed mixture is taken on the scoring half, at the spend that the oracle's choice really
incurred: both are compared on the same samples at the same cost, and the mixture has the advantage of hindsight.
Means are over all splits. Intervals are over questions, paired: ±1.96 standard errors of a question's difference.
That the budget would be kept on any other set of questions is not used: at small budgets they are too wide rather
than too narrow.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._frontier import frontier
from tcalloc.datasets import Recorded, load_recorded
from tcalloc.demo.curves import Curve, Mixture, interval, needed
from tcalloc.demo.learned import Learned, learned
from tcalloc.demo.progress import Progress
from tcalloc.demo.stopping import Stopping, stopping
from tcalloc.errors import MissingExtraError
from tcalloc.measure import vote_accuracy

__all__ = ["BUDGETS", "NAMES", "SPLITS", "VOTES", "Action", "Curve", "Figures", "Line", "Spending", "figures"]

# In SmolLM2 samples per question, as all costs here. Below 1 nothing is feasible; beyond 4.5 the oracle has nothing to
# buy.
BUDGETS = (1.25, 1.5, 2.0, 3.0, 4.0)
# A vote of 2 is a dead action (ties split evenly: as good as 1 where every sample answers); a half has 8 samples.
VOTES = (1, 3, 5, 8)
# 20 splits leave 0.05 to 0.1 points of noise, a twentieth of the intervals' half widths.
SPLITS = 20
# The budget whose spending is shown.
SHOWN = 2.0
NAMES = {"smollm2_135m": "SmolLM2", "gemma3_270m": "Gemma3", "qwen25_0p5b": "Qwen2.5"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Action:
    """One way to answer: a majority vote over some samples of one model."""

    name: str
    """What people read."""
    model: str
    samples: int
    cost: float
    """Cost of all its samples, in SmolLM2 samples."""
    accuracy: float
    """Mean over the questions, if every one gets it."""


@dataclass(frozen=True, slots=True)
class Line:
    """The oracle at one budget: a bound. Accuracies are means over questions, costs are per question."""

    budget: float
    spend: float
    """What the oracle's choice, held out, really spends."""
    mixture: float
    """Accuracy of the best fixed mixture at that same spend, on the same samples."""
    in_sample: float
    """Accuracy that the oracle claims on the samples it chose on: it flatters itself."""
    held_out: float
    """Accuracy of the oracle's choice on samples that did not choose."""
    lead: float
    """Of held_out over mixture, their difference."""
    lead_low: float
    lead_high: float
    """Its paired 95 % interval over questions."""
    needed: float | None
    """What the best fixed mixture has to spend for the accuracy held_out; None if none reaches it."""
    needed_low: float | None
    needed_high: float | None
    """Its 95 % interval: the spends at which the two accuracies cannot be distinguished; None as above."""
    needed_mixture: dict[str, float]
    """That mixture: the share of the questions that get an action."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Where a budget goes, held out."""

    budget: float
    actions: dict[str, float]
    """Share of the questions that get an action, the most frequent first."""
    families: dict[str, float]
    """Mean spend per question in a family of questions, the largest first."""
    difficulty: dict[int, float]
    """The same per grade of difficulty."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the demonstration says."""

    questions: int
    samples: dict[str, int]
    """Recorded samples per question of each model."""
    splits: int
    seed: int
    actions: list[Action]
    lines: list[Line]
    spending: Spending
    mixture: Curve
    in_sample: Curve
    held_out: Curve
    learned: list[Learned] | None
    """A policy that decides from the question's text; None without the extra learn."""
    stopping: Stopping | None
    """A policy that decides while samples of the most expensive model come in; None if it was not asked for."""

    @property
    def best_action(self) -> Action:
        """The fixed action that no fixed mixture exceeds."""
        return max(self.actions, key=lambda action: action.accuracy)


# ---------------------------------------------------------------------------------------------- computation


def figures(
    recorded: Recorded | None = None,
    budgets: Sequence[float] = BUDGETS,
    splits: int = SPLITS,
    seed: int = 0,
    learn: bool = True,
    progress: Progress | None = None,
) -> Figures:
    """Compute everything, in about half a minute for the shipped table.

    `recorded` is that table, or part of it; `splits` is how often its samples are split into halves at random. `learn`
    says whether policies are learned too, which takes most of the time.
    """
    whole("splits", splits, 1)
    table = load_recorded() if recorded is None else recorded
    kinds = [(model, k) for model in table.models for k in VOTES]
    cost = np.array([table.relative_cost[model] * k for model, k in kinds])

    shown_to = Progress() if progress is None else progress
    shown_to.begin("the oracle on halves of the recorded answers", 2 * splits, brief=True)
    everything = _estimates([table.answers[model] for model in table.models])
    claimed = frontier(everything, cost)
    fixed = Mixture(everything, cost)
    trials = []
    for halves in _halves(table, splits, seed):
        trials.append(_Trial(*halves, cost))
        shown_to.step()
    useful = np.geomspace(cost.min(), claimed.budgets[-1], 40)
    enough = np.mean([trial.choices.budgets[-1] for trial in trials])
    means = [_held_out(trials, budget) for budget in np.geomspace(cost.min(), enough, 30).tolist()]
    plans = [trial.choices.allocate(SHOWN) for trial in trials]
    shown = np.mean([cost[plan.actions] for plan in plans], axis=0)
    counts = np.mean([plan.counts for plan in plans], axis=0) / len(shown)

    names = [f"{NAMES.get(model, model)} x{k}" for model, k in kinds]
    policy = stops = None
    if learn:
        with contextlib.suppress(MissingExtraError):
            texts = [str(row["question"]) for row in table.questions]
            policy = learned(texts, everything, cost, budgets, seed, shown_to)
        costs = table.relative_cost
        last = max(table.models, key=lambda model: costs[model])
        stops = stopping(NAMES.get(last, last), table.answers[last], cost=costs[last], seed=seed, progress=shown_to)
    shown_to.end()
    actions = [
        Action(name, model, k, float(c), float(a))
        for name, (model, k), c, a in zip(names, kinds, cost, everything.mean(axis=0), strict=True)
    ]
    return Figures(
        questions=len(table.ids),
        samples={model: table.answers[model].shape[1] for model in table.models},
        splits=splits,
        seed=seed,
        actions=actions,
        lines=[_line(_held_out(trials, b), claimed.allocate(b).accuracy, fixed, names, b) for b in budgets],
        spending=Spending(
            budget=SHOWN,
            actions={names[a]: float(counts[a]) for a in np.argsort(-counts, kind="stable")},
            families=_by_group(table.families, shown, descending=True),
            difficulty=_by_group(table.difficulty, shown),
        ),
        mixture=Curve(fixed.curve.budgets.tolist(), fixed.curve.accuracies.tolist()),
        in_sample=Curve(useful.tolist(), claimed.accuracy_at(useful).tolist()),
        held_out=Curve(
            [m.spend for m in means],
            [m.accuracy for m in means],
            [m.accuracy - m.lead[1] for m in means],
            [m.accuracy + m.lead[1] for m in means],
        ),
        learned=policy,
        stopping=stops,
    )


def _estimates(answers: list[NDArray[np.int16]]) -> Floats:
    """Return (N, K): the expected accuracy of each model's votes, from all the samples given."""
    return np.column_stack([vote_accuracy(samples, k) for samples in answers for k in VOTES])


def _halves(table: Recorded, splits: int, seed: int) -> list[tuple[Floats, Floats]]:
    """Return (estimates that choose, estimates that score) for each split, in both directions."""
    random = np.random.default_rng(seed)
    first, second = [], []
    for model in table.models:
        samples = table.answers[model]
        half = samples.shape[1] // 2
        # All splits below one another: the vote's expectation is computed once per pattern of votes.
        shuffled = random.permuted(np.tile(samples, (splits, 1)), axis=1)
        first.append(shuffled[:, :half])
        second.append(shuffled[:, half : 2 * half])
    one, other = (_estimates(half).reshape(splits, len(table.ids), -1) for half in (first, second))
    return [*zip(one, other, strict=True), *zip(other, one, strict=True)]


class _Trial:
    """One direction of one split: choose on one half of the samples, score on the other."""

    def __init__(self, choosing: Floats, scoring: Floats, cost: Floats):
        self.choices = frontier(choosing, cost)
        self.scoring = scoring
        self.mixture = Mixture(scoring, cost)


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Means over all trials at one budget."""

    spend: float
    chosen: Floats  # (N,) each question's expected accuracy in the oracle's choice,
    mixed: Floats  # and in the best fixed mixture at the same spend

    @property
    def accuracy(self) -> float:
        return float(self.chosen.mean())

    @property
    def lead(self) -> tuple[float, float]:
        """Oracle minus mixture, and half the width of its paired interval."""
        mean, half_width = interval(self.chosen - self.mixed)
        return float(mean), float(half_width)


def _held_out(trials: list[_Trial], budget: float) -> _HeldOut:
    spends, chosen, mixed = [], [], []
    for trial in trials:
        plan = trial.choices.allocate(budget)
        spends.append(plan.spend)
        chosen.append(trial.scoring[np.arange(len(plan.actions)), plan.actions])
        mixed.append(trial.mixture.per_question(plan.spend))
    return _HeldOut(float(np.mean(spends)), np.mean(chosen, axis=0), np.mean(mixed, axis=0))


def _line(held_out: _HeldOut, in_sample: float, fixed: Mixture, names: list[str], budget: float) -> Line:
    lead, half_width = held_out.lead
    enough, low, high = needed(held_out.chosen, fixed)
    shares = {} if enough is None else dict(zip(fixed.vertices, fixed.shares(enough).tolist(), strict=True))
    return Line(
        budget=budget,
        spend=held_out.spend,
        mixture=float(held_out.mixed.mean()),
        in_sample=in_sample,
        held_out=held_out.accuracy,
        lead=lead,
        lead_low=lead - half_width,
        lead_high=lead + half_width,
        needed=enough,
        needed_low=low,
        needed_high=high,
        needed_mixture={names[a]: shares[a] for a in sorted(shares, key=lambda a: -shares[a]) if shares[a] > 0},
    )


def _by_group(groups: NDArray[Any], values: Floats, *, descending: bool = False) -> dict[Any, float]:
    means = {group.item(): float(values[groups == group].mean()) for group in np.unique(groups)}
    return dict(sorted(means.items(), key=lambda item: -item[1])) if descending else means

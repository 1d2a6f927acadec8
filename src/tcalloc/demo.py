"""The demonstration on a recorded table: ``tcalloc demo``.

Three layers, each usable alone: `figures` computes, `show` words, `draw` plots; `run` does all three.

How the held-out figures come about: the samples of every question are split at random into halves. The oracle chooses
on the estimates from one half; its choice is scored by the exact vote expectation on the other; then the halves swap
roles. The best fixed mixture is taken on the scoring half, at the spend that the oracle's choice really incurred, so that
both are compared on the same samples and at the same cost (and the mixture has the advantage of hindsight). Means are over
all splits. Intervals are over questions, paired: ±1.96 standard errors of a question's difference; that the budget is kept
on any set of questions is not used, which makes them wide rather than narrow at small budgets.
"""

import json
import math
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tcalloc.datasets import Recorded, load_recorded
from tcalloc.errors import BudgetError, InputError, MissingExtraError
from tcalloc.frontier import Frontier, frontier
from tcalloc.measure import vote_accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Action", "Curve", "Figures", "Line", "Spending", "draw", "figures", "run", "show"]

# In SmolLM2 samples per question, as all costs here. Below 1 nothing is feasible; beyond 4.4 the oracle finds nothing to buy.
BUDGETS = (1.25, 1.5, 2.0, 3.0, 4.0)
# A vote of 2 is a dead action (ties split evenly: as good as 1 where every sample answers); a half has 8 samples.
VOTES = (1, 3, 5, 8)
# 10 splits leave 0.1 points of noise, a twentieth of the intervals' half width.
SPLITS = 10
# The budget whose spending is shown.
SHOWN = 2.0
WIDTH = 96
NAMES = {"smollm2_135m": "SmolLM2", "gemma3_270m": "Gemma3", "qwen25_0p5b": "Qwen2.5"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Action:
    """One way to answer: a majority vote over some samples of one model."""

    model: str
    samples: int
    cost: float
    """Of all its samples, in SmolLM2 samples."""
    accuracy: float
    """Mean over the questions, if everyone gets it."""

    @property
    def name(self) -> str:
        """What people read."""
        return f"{NAMES.get(self.model, self.model)} x{self.samples}"


@dataclass(frozen=True, slots=True)
class Line:
    """One budget. Accuracies are means over questions, costs are per question."""

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
    """held_out − mixture."""
    lead_low: float
    lead_high: float
    """Its paired 95 % interval over questions."""
    needed: float | None
    """What the best fixed mixture has to spend for the accuracy held_out; None if none reaches it."""
    needed_low: float | None
    needed_high: float | None
    """The same at both ends of the lead's interval."""
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
class Curve:
    """What the plot draws: accuracy over spend."""

    spend: list[float]
    accuracy: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


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
) -> Figures:
    """Compute everything: about a second for the shipped table.

    Parameters
    ----------
    recorded : Recorded, optional
        The samples; the shipped table if not given.
    budgets : sequence of float
        Mean costs per question, in samples of the cheapest model.
    splits : int
        Random splits of the samples into halves.
    seed : int
        Of the splits.

    Returns
    -------
    Figures

    Raises
    ------
    InputError
        If an argument is not allowed.
    BudgetError
        If a budget is below the cost of the cheapest action.
    """
    if isinstance(splits, bool) or not isinstance(splits, (int, np.integer)) or splits < 1:
        raise InputError(f"splits is {splits!r}; expected a whole number of at least 1.")
    table = load_recorded() if recorded is None else recorded
    kinds = [(model, k) for model in table.models for k in VOTES]
    cost = np.array([table.relative_cost[model] * k for model, k in kinds])

    everything = _estimates(table.answers)
    claimed = frontier(everything, cost)
    fixed = _Mixture(everything, cost)
    grid = np.unique([*budgets, *np.geomspace(cost.min(), claimed.budgets[-1], 25)])
    grid = grid[np.isfinite(grid)]
    trials = [_Trial(*halves, cost) for halves in _halves(table, splits, seed)]
    means = [_held_out(trials, float(budget)) for budget in grid]
    shown = np.mean([cost[trial.choices.allocate(SHOWN).actions] for trial in trials], axis=0)
    counts = np.mean([trial.choices.allocate(SHOWN).counts for trial in trials], axis=0) / len(shown)

    actions = [
        Action(model, k, float(c), float(a))
        for (model, k), c, a in zip(kinds, cost, everything.mean(axis=0), strict=True)
    ]
    names = [action.name for action in actions]
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
        in_sample=Curve(claimed.budgets.tolist(), claimed.accuracies.tolist()),
        held_out=Curve(
            [m.spend for m in means],
            [m.accuracy for m in means],
            [m.accuracy - m.half_width for m in means],
            [m.accuracy + m.half_width for m in means],
        ),
    )


def _estimates(answers: Any) -> Floats:
    """Return (N, K): the expected accuracy of each model's votes, from all the samples given."""
    return np.column_stack([vote_accuracy(samples, k) for samples in answers.values() for k in VOTES])


def _halves(table: Recorded, splits: int, seed: int) -> list[tuple[Floats, Floats]]:
    """Return (estimates that choose, estimates that score) for each split, in both directions."""
    random = np.random.default_rng(seed)
    first, second = {}, {}
    for model, samples in table.answers.items():
        half, n = samples.shape[1] // 2, len(samples)
        # All splits below one another: the vote's expectation is computed once per pattern of votes.
        shuffled = random.permuted(np.tile(samples, (splits, 1)), axis=1)
        first[model], second[model] = shuffled[:, :half], shuffled[:, half : 2 * half]
    one, other = (_estimates(half).reshape(splits, n, -1) for half in (first, second))
    return [*zip(one, other, strict=True), *zip(other, one, strict=True)]


class _Mixture:
    """The best fixed mixtures of a table: what everyone may get, drawn without looking at the question."""

    def __init__(self, acc: Floats, cost: Floats):
        self.curve: Frontier = frontier(acc.mean(axis=0)[None, :], cost)
        self.vertices = [int(self.curve.allocate(budget).actions[0]) for budget in self.curve.budgets]
        self.pure = acc[:, self.vertices]

    def per_question(self, spend: float) -> Floats:
        """Return each question's expected accuracy in the best mixture of that spend."""
        budgets = self.curve.budgets
        return self.pure @ self.shares(spend)

    def shares(self, spend: float) -> Floats:
        """Return how much of each vertex the mixture has: one, or two neighbours."""
        budgets = self.curve.budgets
        return np.array([np.interp(spend, budgets, unit) for unit in np.eye(len(budgets))])


class _Trial:
    """One direction of one split: choose on one half of the samples, score on the other."""

    def __init__(self, choosing: Floats, scoring: Floats, cost: Floats):
        self.choices = frontier(choosing, cost)
        self.scoring = scoring
        self.mixture = _Mixture(scoring, cost)


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Means over all trials at one budget."""

    spend: float
    accuracy: float
    mixture: float
    half_width: float  # of the paired 95 % interval of accuracy − mixture


def _held_out(trials: list[_Trial], budget: float) -> _HeldOut:
    spends, chosen, mixed = [], [], []
    for trial in trials:
        plan = trial.choices.allocate(budget)
        spends.append(plan.spend)
        chosen.append(trial.scoring[np.arange(len(plan.actions)), plan.actions])
        mixed.append(trial.mixture.per_question(plan.spend))
    accuracy, mixture = np.mean(chosen, axis=0), np.mean(mixed, axis=0)
    error = np.std(accuracy - mixture, ddof=1) / math.sqrt(len(accuracy))
    return _HeldOut(
        float(np.mean(spends)), float(accuracy.mean()), float(mixture.mean()), float(1.96 * error)
    )


def _line(held_out: _HeldOut, in_sample: float, fixed: _Mixture, names: list[str], budget: float) -> Line:
    def needed(accuracy: float) -> float | None:
        try:
            return float(fixed.curve.budget_for(accuracy))
        except BudgetError:
            return None

    lead, half_width = held_out.accuracy - held_out.mixture, held_out.half_width
    spend = needed(held_out.accuracy)
    shares = [] if spend is None else fixed.shares(spend).tolist()
    return Line(
        budget=budget,
        spend=held_out.spend,
        mixture=held_out.mixture,
        in_sample=in_sample,
        held_out=held_out.accuracy,
        lead=lead,
        lead_low=lead - half_width,
        lead_high=lead + half_width,
        needed=spend,
        needed_low=needed(held_out.accuracy - half_width),
        needed_high=needed(held_out.accuracy + half_width),
        needed_mixture={names[a]: share for a, share in zip(fixed.vertices, shares, strict=False) if share > 0},
    )


def _by_group(groups: NDArray[Any], values: Floats, *, descending: bool = False) -> dict[Any, float]:
    means = {group.item(): float(values[groups == group].mean()) for group in np.unique(groups)}
    return dict(sorted(means.items(), key=lambda item: -item[1])) if descending else means


# ---------------------------------------------------------------------------------------------- words


def show(result: Figures) -> str:
    """Return the figures as text for people, in ASCII, at most 100 columns wide."""
    return "\n\n".join([_intro(result), _table(result), _saving(result), _destinations(result), _NEXT])


_NEXT = """\
Mind: the oracle, held out, knows each question from other answers to that same question. It is the
target for a policy that decides from the question alone, not yet a policy that you can deploy.

Next, your own table: a row per question, columns acc:NAME and cost:NAME for every action you have.
    tcalloc solve table.csv --budget 4
"""


def _intro(result: Figures) -> str:
    samples = sorted(set(result.samples.values()))
    single = [action for action in result.actions if action.samples == 1]
    costs = ", ".join(f"{a.cost:g} for {NAMES.get(a.model, a.model)}" for a in single)
    votes = sorted({action.samples for action in result.actions} - {1})
    return f"""\
Which questions deserve more compute? {len(single)} small models answered {result.questions} questions {_either(samples)} times each
(recorded; nothing runs now). Each question may get one sample of one of them, or the majority
vote of {_either(votes)}. One sample costs {costs}.
The budget is what a question may cost on average. How many are answered right, and for what?"""


def _either(values: list[int]) -> str:
    return ", ".join(map(str, values[:-1])) + f" or {values[-1]}" if len(values) > 1 else str(values[0])


def _table(result: Figures) -> str:
    rows = [
        "          best fixed    oracle,      oracle,    lead held out    the mixture needs,",
        "  budget   mixture     in sample    held out    (95 % interval)  for oracle held out",
    ]
    for line in result.lines:
        lead = f"{100 * line.lead_low:+.1f} to {100 * line.lead_high:+.1f}"
        rows.append(
            f"{line.budget:8g} {_percent(line.mixture):>9} {_percent(line.in_sample):>13} {_percent(line.held_out):>12}"
            f"   {lead:>16}   {_needs(line)}"
        )
    return "\n".join(rows) + """

  best fixed mixture  blind to the question: the best one or two actions, dealt at random
  oracle, in sample   picks an action per question, scored on the answers it picked by: flatters itself
  oracle, held out    picks by one half of the recorded answers, scored on the other half"""


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _needs(line: Line) -> str:
    if line.needed is None:
        return "more than exists"
    return f"{line.needed:.2f}" + (f"  ({_less(line, line.needed)} more)" if False else "")


def _headline(result: Figures) -> Line | None:
    """Return the line whose saving is told: the largest budget at which both ends of it are known."""
    sure = [line for line in result.lines if line.needed_high is not None and line.lead_low > 0]
    return max(sure, key=lambda line: line.budget, default=None)


def _less(line: Line, needed: float | None) -> float:
    """Return the share of the compute that is saved against a mixture that needs so much."""
    return 1.0 if needed is None else 1.0 - line.spend / needed


def _saving(result: Figures) -> str:
    line, best = _headline(result), result.best_action
    beyond = [line.budget for line in result.lines if line.needed is None]
    said = []
    if line is not None:
        shares = [f"{name} for {100 * share:.0f} %" for name, share in line.needed_mixture.items()]
        said = [
            f"The saving: at a budget of {line.budget:g}, the oracle held out has the accuracy of the best fixed mixture",
            f"at {line.needed:.2f} ({', '.join(shares)} of the questions)",
            f"for {_percent(_less(line, line.needed), 0)} less compute "
            f"(95 % interval {_percent(_less(line, line.needed_low), 0)} to {_percent(_less(line, line.needed_high), 0)}).",
        ]
    else:
        said = ["The saving: none that the intervals leave standing at these budgets."]
    if beyond:
        said.append(
            f"From a budget of {min(beyond):g} on no fixed mixture reaches it: the best, {best.name} for everyone, "
            f"has {_percent(best.accuracy)} for {best.cost:g}."
        )
    return textwrap.fill(" ".join(said), WIDTH)


def _destinations(result: Figures) -> str:
    spending = result.spending
    families = list(spending.families.items())
    (first, a), (second, b) = list(spending.actions.items())[:2]
    return f"""\
Where a budget of {spending.budget:g} goes (oracle, held out):
    {_percent(a, 0)} of the questions get {first}, {_percent(b, 0)} {second}, the others another action
    most per question:   {_per_group(families[:3])}
    least per question:  {_per_group(families[:-4:-1])}"""


def _per_group(families: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {spend:.1f}" for name, spend in families)


# ---------------------------------------------------------------------------------------------- picture


def draw(result: Figures, ax: "Axes") -> None:
    """Draw accuracy over mean cost on Matplotlib axes."""
    colors = dict(zip(result.samples, ("#b26a00", "#6b6b6b", "#8e3b8e"), strict=False))
    grey, blue = "#444444", "#1257a8"
    mixture, claimed, held_out = result.mixture, result.in_sample, result.held_out

    percent = 100.0
    ax.plot(mixture.spend, np.multiply(percent, mixture.accuracy), color=grey, lw=2, zorder=3)
    ax.plot(claimed.spend, np.multiply(percent, claimed.accuracy), color=blue, lw=1.5, ls=(0, (4, 3)), alpha=0.8)
    ax.fill_between(
        held_out.spend,
        np.multiply(percent, held_out.low or []),
        np.multiply(percent, held_out.high or []),
        color=blue,
        alpha=0.15,
        lw=0,
    )
    ax.plot(held_out.spend, np.multiply(percent, held_out.accuracy), color=blue, lw=2.5, zorder=4)
    for action in result.actions:
        ax.plot(action.cost, percent * action.accuracy, "o", color=colors[action.model], ms=6, zorder=5)


def run(
    plot_path: "str | Path | None" = "tcalloc-demo.png",
    splits: int = SPLITS,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> dict[str, Any]:
    raise NotImplementedError

"""The demonstration on a recorded table: ``tcalloc demo``.

Three layers, each usable alone: `figures` computes, `show` words, `draw` plots; `run` does all three.

How the held-out figures come about: the samples of every question are split at random into halves. The oracle
chooses on the estimates from one half, and its choice is scored by the exact vote expectation on the other; then the
halves swap roles. The best fixed mixture is taken on the scoring half, at the spend that the oracle's choice really
incurred: both are compared on the same samples at the same cost, and the mixture has the advantage of hindsight.
Means are over all splits. Intervals are over questions, paired: ±1.96 standard errors of a question's difference.
That the budget would be kept on any other set of questions is not used: at small budgets they are too wide rather
than too narrow.
"""

import itertools
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

# In SmolLM2 samples per question, as all costs here. Below 1 nothing is feasible; beyond 4.5 the oracle has nothing to
# buy.
BUDGETS = (1.25, 1.5, 2.0, 3.0, 4.0)
# A vote of 2 is a dead action (ties split evenly: as good as 1 where every sample answers); a half has 8 samples.
VOTES = (1, 3, 5, 8)
# 20 splits leave 0.05 to 0.1 points of noise, a twentieth of the intervals' half widths.
SPLITS = 20
# The budget whose spending is shown.
SHOWN = 2.0
WIDTH = 98
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
    """Of all its samples, in SmolLM2 samples."""
    accuracy: float
    """Mean over the questions, if every one gets it."""


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
    """Of held_out over mixture, their difference."""
    lead_low: float
    lead_high: float
    """Its paired 95 % interval over questions."""
    needed: float | None
    """What the best fixed mixture has to spend for the accuracy held_out; None if none reaches it."""
    needed_low: float | None
    needed_high: float | None
    """Its 95 % interval: the spends at which the mixture's accuracy is not told apart from held_out; None as above."""
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
    """Accuracy ± half the width of the lead's interval."""


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

    everything = _estimates([table.answers[model] for model in table.models])
    claimed = frontier(everything, cost)
    fixed = _Mixture(everything, cost)
    trials = [_Trial(*halves, cost) for halves in _halves(table, splits, seed)]
    useful = np.geomspace(cost.min(), claimed.budgets[-1], 40)
    enough = np.mean([trial.choices.budgets[-1] for trial in trials])
    means = [_held_out(trials, budget) for budget in np.geomspace(cost.min(), enough, 30).tolist()]
    shown = np.mean([cost[trial.choices.allocate(SHOWN).actions] for trial in trials], axis=0)
    counts = np.mean([trial.choices.allocate(SHOWN).counts for trial in trials], axis=0) / len(shown)

    names = [f"{NAMES.get(model, model)} x{k}" for model, k in kinds]
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


class _Mixture:
    """The best fixed mixtures of a table: what everyone may get, drawn without looking at the question."""

    def __init__(self, acc: Floats, cost: Floats):
        self.curve: Frontier = frontier(acc.mean(axis=0)[None, :], cost)
        self.vertices = [int(self.curve.allocate(budget).actions[0]) for budget in self.curve.budgets]
        self.pure = acc[:, self.vertices]

    def per_question(self, spend: float) -> Floats:
        """Return each question's expected accuracy in the best mixture of that spend."""
        return np.asarray(self.pure @ self.shares(spend))

    def shares(self, spend: "float | Floats") -> Floats:
        """Return how much of each vertex (a row) the mixture has: all of one, or parts of two neighbours."""
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
    chosen: Floats  # (N,) each question's expected accuracy in the oracle's choice,
    mixed: Floats  # and in the best fixed mixture at the same spend

    @property
    def accuracy(self) -> float:
        return float(self.chosen.mean())

    @property
    def lead(self) -> tuple[float, float]:
        """Oracle minus mixture, and half the width of its paired interval."""
        mean, half_width = _interval(self.chosen - self.mixed)
        return float(mean), float(half_width)


def _interval(differences: Floats) -> tuple[Any, Any]:
    """Return mean and half width of the 95 % interval over questions (the first axis)."""
    error = differences.std(axis=0, ddof=1) / math.sqrt(len(differences))
    return differences.mean(axis=0), 1.96 * error


def _held_out(trials: list[_Trial], budget: float) -> _HeldOut:
    spends, chosen, mixed = [], [], []
    for trial in trials:
        plan = trial.choices.allocate(budget)
        spends.append(plan.spend)
        chosen.append(trial.scoring[np.arange(len(plan.actions)), plan.actions])
        mixed.append(trial.mixture.per_question(plan.spend))
    return _HeldOut(float(np.mean(spends)), np.mean(chosen, axis=0), np.mean(mixed, axis=0))


def _line(held_out: _HeldOut, in_sample: float, fixed: _Mixture, names: list[str], budget: float) -> Line:
    lead, half_width = held_out.lead
    needed, low, high = _needed(held_out.chosen, fixed)
    shares = {} if needed is None else dict(zip(fixed.vertices, fixed.shares(needed).tolist(), strict=True))
    return Line(
        budget=budget,
        spend=held_out.spend,
        mixture=float(held_out.mixed.mean()),
        in_sample=in_sample,
        held_out=held_out.accuracy,
        lead=lead,
        lead_low=lead - half_width,
        lead_high=lead + half_width,
        needed=needed,
        needed_low=low,
        needed_high=high,
        needed_mixture={names[a]: shares[a] for a in sorted(shares, key=lambda a: -shares[a]) if shares[a] > 0},
    )


def _needed(chosen: Floats, fixed: _Mixture) -> tuple[float | None, float | None, float | None]:
    """Return what the best fixed mixture must spend to be as accurate, with its interval; None: no spend is enough."""
    spends = np.linspace(fixed.curve.budgets[0], fixed.curve.budgets[-1], 4000)
    behind, half_width = _interval(chosen[:, None] - fixed.pure @ fixed.shares(spends))

    def first(enough: NDArray[np.bool_]) -> float | None:
        return float(spends[enough.argmax()]) if enough.any() else None

    try:
        needed = float(fixed.curve.budget_for(float(chosen.mean())))
    except BudgetError:
        needed = None
    return needed, first(behind <= half_width), first(behind <= -half_width)


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
    models = [action for action in result.actions if action.samples == 1]
    costs = _either([f"{a.cost:g} ({NAMES.get(a.model, a.model)})" for a in models])
    times = _either(sorted(set(result.samples.values())))
    votes = _either(sorted({action.samples for action in result.actions} - {1}))
    return "Which questions deserve more compute?\n\n" + _fill(
        f"{result.questions} short questions, each answered {times} times by {len(models)} small language models "
        "(recorded: nothing runs now). A question may get 1 sample of one model, or the majority vote of "
        f"{votes}. A sample costs {costs}. A budget of 2 means: 2 per question on average, more where it pays "
        "and less where it does not."
    )


def _table(result: Figures) -> str:
    rows = [
        "         best fixed   oracle     lead, in points        a mixture needs       oracle in sample",
        "  budget mixture      held out   (95 % interval)        for that accuracy     (flatters itself)",
    ]
    for line in result.lines:
        lead = f"{100 * line.lead:+.1f} ({100 * line.lead_low:.1f} to {100 * line.lead_high:.1f})"
        needs = _cost(line.needed)
        if line.needed_low is not None:
            needs += f" ({_cost(line.needed_low)} to {_cost(line.needed_high)})"
        rows.append(
            f"{line.budget:7g} {_percent(line.mixture, 1):>9} {_percent(line.held_out, 1):>12}   {lead:<22} "
            f"{needs:<24} {_percent(line.in_sample, 1):>10}"
        )
    return "\n".join([*rows, "", _LEGEND])


_LEGEND = """\
  best fixed mixture  blind to the question: the best one or two actions, at random, same spend
  oracle              picks an action per question, knowing how often each is right on it:
    held out          picks by one half of the recorded answers, is scored on the other half
    in sample         is scored on the answers that it picked by
  none                no fixed mixture is that accurate, at any cost"""


def _headline(result: Figures) -> Line | None:
    """Return the line whose saving is told: the largest budget at which both ends of its interval are known."""
    sure = [line for line in result.lines if line.needed_high is not None and line.lead_low > 0]
    return max(sure, key=lambda line: line.budget, default=None)


def _saved(line: Line, needed: float | None) -> str:
    """Return the share of the compute that is saved against a mixture that needs so much."""
    return _percent(1.0 if needed is None else 1.0 - line.spend / needed)


def _saving(result: Figures) -> str:
    line, best = _headline(result), result.best_action
    if line is None:
        said = "The saving: none at these budgets that the intervals leave standing."
    else:
        parts = [f"{name} on {_percent(share)}" for name, share in line.needed_mixture.items()]
        said = (
            f"The saving: at a budget of {line.budget:g} the oracle held out has the accuracy of the best fixed "
            f"mixture at {_cost(line.needed)} ({_either(parts, 'and')} of the questions) for "
            f"{_saved(line, line.needed)} less compute (95 % interval: {_saved(line, line.needed_low)} to "
            f"{_saved(line, line.needed_high)})."
        )
    beyond = [line.budget for line in result.lines if line.needed_low is None]
    if beyond:
        said += (
            f" From {min(beyond):g} on, no fixed mixture can buy its accuracy: the best, {best.name} on every "
            f"question, has {_percent(best.accuracy, 1)} for {best.cost:g}."
        )
    return _fill(said)


def _destinations(result: Figures) -> str:
    spending = result.spending
    families = list(spending.families.items())
    (first, a), (second, b) = list(spending.actions.items())[:2]
    return f"""\
Where a budget of {spending.budget:g} goes (oracle held out):
    {_percent(a)} of the questions get {first}, {_percent(b)} {second}, the others another action
    most per question:  {_per_group(families[:3])}
    least per question: {_per_group(families[:-4:-1])}"""


def _per_group(families: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {spend:.1f}" for name, spend in families)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _cost(spend: float | None) -> str:
    return "none" if spend is None else f"{spend:.3g}"


def _either(values: Sequence[Any], last: str = "or") -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _fill(text: str) -> str:
    """Break lines, but never between a number and its percent sign."""
    return textwrap.fill(text.replace(" %", "~%"), WIDTH, break_on_hyphens=False).replace("~%", " %")


# ---------------------------------------------------------------------------------------------- picture

MODEL_COLORS = ("#b35c00", "#7a7a7a", "#8a3a8c")
ORACLE = "#1257a8"
MIXTURE = "#333333"


def draw(result: Figures, ax: "Axes") -> None:
    """Draw accuracy over mean cost on Matplotlib axes (made for about 8.5 by 5.6 inches)."""
    from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, StrMethodFormatter

    ax.set_xscale("log")
    _draw_curves(result, ax)
    _draw_actions(result, ax)
    _draw_saving(result, ax)

    ax.margins(y=0.08)
    ax.set_xlim(right=1.2 * max(action.cost for action in result.actions))
    ax.xaxis.set_major_locator(FixedLocator([1, 2, 3, 5, 10, 20]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ax.grid(alpha=0.25, lw=0.7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    unit = NAMES.get(result.actions[0].model, result.actions[0].model)
    ax.set_xlabel(f"mean cost per question, in samples of {unit} (log scale)")
    ax.set_ylabel("questions answered right")


def _draw_curves(result: Figures, ax: "Axes") -> None:
    mixture, claimed, held_out = result.mixture, result.in_sample, result.held_out
    # Straight between its vertices, and so bent on a log scale.
    for curve, color, width, dashes in ((mixture, MIXTURE, 2.0, "-"), (claimed, ORACLE, 1.5, "--")):
        spends = np.geomspace(curve.spend[0], curve.spend[-1], 400)
        ax.plot(spends, np.interp(spends, curve.spend, curve.accuracy), color=color, lw=width, ls=dashes, zorder=3)
    if held_out.low is not None and held_out.high is not None:
        ax.fill_between(held_out.spend, held_out.low, held_out.high, color=ORACLE, alpha=0.15, lw=0)
    ax.plot(held_out.spend, held_out.accuracy, color=ORACLE, lw=2.5, zorder=4)

    end = claimed.spend[-1], claimed.accuracy[-1]
    _label(ax, *end, "oracle in sample: flatters itself", (8, 0), ORACLE, va="center")
    end = held_out.spend[-1], held_out.accuracy[-1]
    _label(ax, *end, "oracle held out", (8, 1), ORACLE, va="bottom", weight="bold")
    _label(ax, *end, "band: 95 % interval of its lead over the mixture", (8, -1), ORACLE, va="top", size=8.5)
    if len(mixture.spend) > 2:
        middle = math.sqrt(mixture.spend[1] * mixture.spend[2])
        height = float(np.interp(middle, mixture.spend, mixture.accuracy))
        _label(ax, middle, height, "best fixed mixture", (0, -6), MIXTURE, ha="center", va="top", weight="bold")


def _draw_actions(result: Figures, ax: "Axes") -> None:
    for model, color in zip(result.samples, itertools.cycle(MODEL_COLORS), strict=False):
        own = [action for action in result.actions if action.model == model]
        for action in own:
            ax.plot(action.cost, action.accuracy, "o", color=color, ms=6, zorder=5)
            votes = f"×{action.samples}"  # noqa: RUF001
            _label(ax, action.cost, action.accuracy, votes, (0, -7), color, ha="center", va="top", size=8.5)
        last, name = own[-1], NAMES.get(model, model)
        _label(ax, last.cost, last.accuracy, name, (0, 7), color, ha="center", va="bottom", weight="bold")


def _draw_saving(result: Figures, ax: "Axes") -> None:
    line = _headline(result)
    if line is None or line.needed is None:
        return
    arrow = {"arrowstyle": "-|>", "color": MIXTURE, "lw": 1.2, "shrinkA": 0, "shrinkB": 3}
    ax.annotate("", (line.spend, line.held_out), (line.needed, line.held_out), arrowprops=arrow, zorder=6)
    text = f"{_saved(line, line.needed)} less\ncompute"
    _label(ax, line.spend, line.held_out, text, (13, -4), MIXTURE, va="top", weight="bold", size=9)


def _label(ax: "Axes", x: float, y: float, text: str, offset: tuple[float, float], color: str, **style: Any) -> None:
    """Write text at a distance (in points) from a place on the plot."""
    style = {"fontsize": style.pop("size", 9.5)} | style
    ax.annotate(text, (x, y), offset, textcoords="offset points", color=color, zorder=7, **style)


def _write(result: Figures, path: "str | Path") -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the demo's plot needs Matplotlib: pip install 'tcalloc[demo]'") from error
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    ax = figure.add_subplot()
    draw(result, ax)
    line = _headline(result)
    message = "Knowing where compute pays"
    if line is not None:
        message += f": the same accuracy for {_saved(line, line.needed)} less"
    ax.set_title(message, loc="left", fontsize=14, weight="bold", pad=25)
    subtitle = (
        f"{result.questions} questions, {len(result.samples)} small models, 1 sample or a vote of up to {max(VOTES)} "
        "(solid blue: scored on answers that did not choose)"
    )
    note = ax.annotate(subtitle, (0, 1), (0, 9), xycoords="axes fraction", textcoords="offset points")
    note.set(fontsize=9, color="#555555", in_layout=False)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(
            f"the plot cannot be written to {str(path)!r}: {error}. Give a path in a folder that exists, ending in "
            ".png, .pdf or .svg."
        ) from error


# ---------------------------------------------------------------------------------------------- all of it


def run(
    plot_path: "str | Path | None" = "tcalloc-demo.png",
    splits: int = SPLITS,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> dict[str, Any]:
    """Compute, print and plot: what ``tcalloc demo`` does.

    Parameters
    ----------
    plot_path : str or Path, optional
        Where the plot goes; None for no plot. What can be printed is printed before the plot is tried.
    splits : int
        Random splits of the samples into halves, from a fixed seed.
    as_json : bool
        Print JSON instead of text.
    out, err : text streams, optional
        Standard output (the figures) and standard error (where the plot went), if not given.

    Returns
    -------
    dict
        What JSON prints: the fields of `Figures`.

    Raises
    ------
    MissingExtraError
        If a plot is asked for and Matplotlib is not installed.
    InputError
        If `splits` is not a positive whole number, or the plot cannot be written.
    """
    out, err = out or sys.stdout, err or sys.stderr
    result = figures(splits=splits)
    fields = asdict(result)
    print(json.dumps(fields, indent=2, allow_nan=False) if as_json else show(result), file=out, flush=True)
    if plot_path is not None:
        _write(result, plot_path)
        print(f"plot written to {plot_path}", file=err)
    return fields

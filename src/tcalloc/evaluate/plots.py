"""A comparison as a picture: accuracy over spend, with bands; needs Matplotlib.

What to use when
----------------
`plot`
    On your own axes, or new ones.
`draw`
    The same in given colours, with or without names at the lines: what the report is made of.
`contenders`
    Which policies are drawn in colour: all of them would be a thicket.
`subject`
    Which policy all pictures and tables are about: the first of them, drawn with a band.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._frames import new_axes
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.choice import trusted
from tcalloc.evaluate.conclusions.headline import fixed, saving
from tcalloc.evaluate.conclusions.recommend import Recommendation, recommend
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.learn.registry import FIXED_K, ORACLE, RANDOM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PALETTE", "TENTHS", "Line", "Palette", "contenders", "draw", "frame", "plot", "stepwise", "subject"]

Floats = NDArray[np.float64]

# How many policies are drawn in colour, and how many of the user's own besides.
COLOURED, OWN = 3, 3
# Policies that differ by less at all budgets are one line; the better one is drawn.
ALIKE = 0.001
# A curve is cut off at this many times the largest budget, so that the picture shows what was asked for.
BEYOND = 1.35
# Spends that span more than this ratio stand on a log scale.
LOG = 3.0
# Ticks lie at such steps.
TENTHS = (1, 2, 2.5, 5, 10)
# Of a name at a line, characters.
NAME = 30


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by what they stand for, as Matplotlib takes them."""

    policies: tuple[str, ...]
    """The recommended one first."""
    mixture: str
    oracle: str
    other: str
    """All other policies."""
    ink: str
    """Text and axes."""
    grid: str


PALETTE = Palette(
    ("#0b62b8", "#b34700", "#00795e", "#8a3a8c", "#8c6d00", "#b3235f"),
    "#333333", "#6b6b6b", "#b8b8b8", "#333333", "#dddddd",
)  # fmt: skip
STYLES = ("-", (0, (7, 1.5)), (0, (4, 1.2, 1.2, 1.2)), (0, (1.5, 1.2)), (0, (9, 2, 2, 2)), (0, (2, 2)))


@dataclass(frozen=True, slots=True)
class Line:
    """One curve as it is drawn."""

    standing: Standing
    role: str
    """"policy", "mixture" or "oracle"."""
    color: str
    dashes: object
    width: float
    main: bool = False
    """Whether it is the `subject`."""


def subject(result: ComparisonFigures, advice: Recommendation) -> Standing | None:
    """Return the policy that pictures and tables are about: the recommended one, or else the best there is."""
    able = [standing for standing in result.standings if _drawable(standing)]
    advised = [standing for standing in able if standing.name == advice.policy and standing.name != result.reference]
    return next(iter([*advised, *filter(trusted, able)]), None)


def contenders(result: ComparisonFigures) -> list[Standing]:
    """Return the policies that are drawn in colour, the `subject` first.

    Then come that of the first sentence, those recommended at single budgets, the best others, and the user's own.
    """
    advice = recommend(result)
    about, cheapest = subject(result, advice), saving(result)
    able = [standing for standing in result.standings if standing.kind in ("policy", "own") and _drawable(standing)]
    first = [] if about is None else [about.name]
    wanted = [*first, *([] if cheapest is None else [cheapest.policy]), *(pick.policy for pick in advice.picks)]
    ranked = sorted(able, key=lambda standing: wanted.index(standing.name) if standing.name in wanted else len(wanted))
    coloured: list[Standing] = []
    for standing in ranked:
        if len(coloured) < COLOURED and not any(_alike(standing, other) for other in coloured):
            coloured.append(standing)
    own = [standing for standing in able if standing.kind == "own" and standing not in coloured]
    return [*coloured, *own[:OWN]]


def _alike(one: Standing, other: Standing) -> bool:
    """Return whether two curves would lie on each other."""
    return bool(np.nanmax(np.abs(one.accuracy - other.accuracy), initial=0.0) < ALIKE)


def stepwise(standing: Standing) -> bool:
    """Return whether a policy is drawn as steps.

    It mixes nothing: between two of its spends there is nothing, and a sloping line would promise a mixture.
    """
    return standing.kind == "baseline" and standing.name == FIXED_K


def _drawable(standing: Standing) -> bool:
    return bool((np.isfinite(standing.curve_spend) & np.isfinite(standing.curve_accuracy)).any())


def plot(result: ComparisonFigures, ax: "Axes | None" = None) -> "Axes":
    """Draw accuracy over spend, held out, with the 95 % bands of the best policy and of the best fixed mixture.

    The best policies, the user's own, the best fixed mixture and the held-out oracle are named; all other policies are
    thin lines; "fixed k", which mixes nothing, goes in steps. Fixed actions are dots. The hindsight bound is not drawn.
    """
    ax = new_axes((8.5, 5.4)) if ax is None else ax
    draw(result, ax)
    return ax


def draw(
    result: ComparisonFigures, ax: "Axes", palette: Palette = PALETTE, *, names: bool = True, size: float = 9.5
) -> list[Line]:
    """Draw on axes; return the lines in the order of a legend, the `subject` first.

    `names` says whether the lines' names stand at their ends; `size` is that of all text, in points.
    """
    lines = _lines(result, palette)
    right = _right(result, lines)
    left = _left(result)
    log = left > 0 and LOG < right / left < math.inf
    for other in result.standings:
        if other.kind != "bound" and other.name != RANDOM and all(other is not line.standing for line in lines):
            _curve(ax, other, (left, right), color=palette.other, lw=0.8, alpha=0.8, zorder=2)
    for line in lines:
        place = 4.0 if line.role == "policy" else 3.0
        _curve(ax, line.standing, (left, right), color=line.color, lw=line.width, ls=line.dashes, zorder=place)
        if line.main or line.role == "mixture":
            _band(ax, line, (left, right))
        if line.main:
            _marks(ax, line)
    _dots(ax, result, palette, right, size)
    ax.set_ylim(*_heights(lines, left, right))
    if log:
        ax.set_xscale("log")
    _dress(ax, result, palette, left, right, log=log, size=size)
    if names:
        _name(ax, lines, (left, right), size)
    return lines


def _lines(result: ComparisonFigures, palette: Palette) -> list[Line]:
    about = subject(result, recommend(result))
    found = [
        Line(one, "policy", palette.policies[place], STYLES[place], 2.4 if one is about else 1.7, one is about)
        for place, one in enumerate(contenders(result))
    ]
    for name, role, color, dashes in (
        (result.reference, "mixture", palette.mixture, "-"),
        (ORACLE, "oracle", palette.oracle, (0, (1, 1.6))),
    ):
        drawn = [standing for standing in result.standings if standing.name == name and _drawable(standing)]
        found += [Line(standing, role, color, dashes, 1.7) for standing in drawn]
    return found


# ---------------------------------------------------------------------------------------------- how far


def _right(result: ComparisonFigures, lines: Sequence[Line]) -> float:
    """Return where the picture ends: behind the largest budget, and behind the fixed action of the headline."""
    found = saving(result)
    wanted = max(BEYOND * float(result.budgets[-1]), 0.0 if found is None else 1.06 * found.action_spend)
    ends = [float(line.standing.curve_spend[-1]) for line in lines]
    dots = [row.spend for row in fixed(result)]
    return min(wanted, max([*ends, *dots])) if ends or dots else wanted


def _left(result: ComparisonFigures) -> float:
    """Return where it begins: at the cheapest action that is an action, or at the smallest budget."""
    return min([float(result.budgets[0]), *(row.spend for row in fixed(result)[:1])])


def _heights(lines: Sequence[Line], left: float, right: float) -> tuple[float, float]:
    """Return the ends of the axis of accuracies: of named lines and bands; what lies beyond is cut off."""
    found: list[float] = []
    for line in lines:
        standing = line.standing
        inside = (standing.curve_spend >= left) & (standing.curve_spend <= right)
        found += standing.curve_accuracy[inside].tolist()
        if line.main or line.role == "mixture":
            found += [*standing.curve_low[inside].tolist(), *standing.curve_high[inside].tolist()]
    found = [value for value in found if math.isfinite(value)]
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    room = max(0.05 * (high - low), 0.005)
    return max(low - room, -0.02), min(high + room, 1.02)


# ---------------------------------------------------------------------------------------------- what is drawn


def _cut(standing: Standing, values: Floats, ends: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return a curve between the ends of the picture, densely: straight lines bend on a log scale, steps do not."""
    known = np.isfinite(standing.curve_spend) & np.isfinite(values)
    x, y = standing.curve_spend[known], values[known]
    if not len(x) or x[0] > ends[1] or x[-1] < ends[0]:
        return x[:0], y[:0]
    if stepwise(standing):
        begin, end = np.maximum(np.searchsorted(x, ends, side="right") - [1, 0], 0).tolist()
        at, heights = np.maximum(x[begin:end], ends[0]), y[begin:end]
        return (np.append(at, ends[1]), np.append(heights, heights[-1])) if end < len(x) else (at, heights)
    first, last = max(float(x[0]), ends[0]), min(float(x[-1]), ends[1])
    dense = np.unique(np.concatenate([x[(x >= first) & (x <= last)], np.linspace(first, last, 60)]))
    return dense, np.interp(dense, x, y)


def _curve(ax: "Axes", standing: Standing, ends: tuple[float, float], **style: Any) -> None:
    x, y = _cut(standing, standing.curve_accuracy, ends)
    if len(x) == 1:
        ax.plot(x, y, marker="D", ms=5, color=style["color"], zorder=style["zorder"], ls="none")
    elif len(x):
        ax.plot(x, y, drawstyle="steps-post" if stepwise(standing) else "default", **style)


def _band(ax: "Axes", line: Line, ends: tuple[float, float]) -> None:
    x, low = _cut(line.standing, line.standing.curve_low, ends)
    _, high = _cut(line.standing, line.standing.curve_high, ends)
    if len(x) == len(high) == 1:  # it spends one thing only: a mark, and its interval
        ax.vlines(x, low, high, color=line.color, lw=1.6, zorder=3)
    elif len(x) == len(high):
        ax.fill_between(x, low, high, color=line.color, alpha=0.16 if line.role == "policy" else 0.09, lw=0, zorder=1)


def _marks(ax: "Axes", line: Line) -> None:
    """Mark the policy where it was asked for."""
    at = line.standing.reached & np.isfinite(line.standing.accuracy)
    ax.plot(
        line.standing.spend[at], line.standing.accuracy[at], "o", ms=5, color=line.color, zorder=5, clip_on=False
    )  # fmt: skip


def _dots(ax: "Axes", result: ComparisonFigures, palette: Palette, right: float, size: float) -> None:
    """Draw the fixed actions as dots; votes of 1, 2, 4, 8, … carry their number."""
    rows = [row for row in fixed(result) if row.spend <= right]
    if not rows:
        return
    ax.plot(
        [row.spend for row in rows], [row.accuracy for row in rows], "s", ms=3.2, color=palette.mixture, zorder=3.5,
        alpha=0.8,
    )  # fmt: skip
    numbers = {phrases.of_answer(votes): votes for votes in result.votes if votes & (votes - 1) == 0}
    for name, spend, accuracy, _ in rows:
        if result.unit == "samples" and name in numbers:
            ax.annotate(
                f"{numbers[name]}", (spend, accuracy), (3, -3),
                textcoords="offset points", color=palette.mixture, fontsize=0.88 * size, va="top", clip_on=True,
            )  # fmt: skip


def _dress(
    ax: "Axes", result: ComparisonFigures, palette: Palette, left: float, right: float, *, log: bool, size: float
) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    span = right / left if log else right - left
    if log:
        ax.set_xlim(left / span**0.03, right * span**0.03)
        ax.xaxis.set_major_locator(FixedLocator(_ticks(left, right)))
        ax.xaxis.set_minor_locator(NullLocator())
    elif span > 0:
        ax.set_xlim(left - 0.03 * span, right + 0.03 * span)
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=TENTHS))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: phrases.number(value)))
    ax.yaxis.set_major_locator(MaxNLocator(7, steps=TENTHS))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 2):g} %"))
    frame(ax, palette, size)
    ax.set_xlabel(f"{phrases.spending(result.unit)}{' (log scale)' if log else ''}", color=palette.ink, fontsize=size)
    ax.set_ylabel(f"{result.words.answered_right}, held out", color=palette.ink, fontsize=size)


def frame(ax: "Axes", palette: Palette, size: float) -> None:
    """Draw the grid, and the axes' lines to the left and below, in the palette's colours."""
    ax.grid(color=palette.grid, lw=0.7)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(palette.ink)
    ax.tick_params(colors=palette.ink, labelsize=size)


def _ticks(left: float, right: float) -> list[float]:
    """Return 1, 2, 3, 5 times powers of ten, or what is between where those are too few."""
    decades = range(math.floor(math.log10(left)) - 1, math.ceil(math.log10(right)) + 1)
    for steps in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        found = [step * 10.0**decade for decade in decades for step in steps]
        found = [tick for tick in found if left * 0.98 <= tick <= right * 1.02]
        if len(found) >= 5:
            break
    return found


def _name(ax: "Axes", lines: Sequence[Line], ends: tuple[float, float], size: float) -> None:
    """Write each line's name right of the axes, at the height where it ends, none over another."""
    low, high = ax.get_ylim()
    found = []
    for line in lines:
        x, y = _cut(line.standing, line.standing.curve_accuracy, ends)
        if len(x):
            found.append((float(np.clip((y[-1] - low) / (high - low), 0.0, 1.0)), line))
    # A line of text is so high, as a share of the axes.
    tall = 1.45 * size / (ax.get_position().height * ax.figure.get_figheight() * 72)  # type: ignore[union-attr]
    places = spread([place for place, _ in found], tall)
    for (_, line), place in zip(found, places, strict=True):
        note = ax.annotate(
            phrases.clean(line.standing.name, NAME), (1.0, place), (6, 0), xycoords="axes fraction",
            textcoords="offset points", color=line.color, fontsize=size, va="center", annotation_clip=False,
            weight="bold" if line.main else "normal", parse_math=False,
        )  # fmt: skip
        note.set_in_layout(True)


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Return places between 0 and 1 moved as little as need be so that none is nearer than `apart` to another."""
    groups: list[tuple[list[int], float]] = []  # members in order, and their centre
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        group, centre = [i], float(places[i])
        while True:
            half = apart * (len(group) - 1) / 2
            centre = min(max(centre, half), max(half, 1 - half))
            if not groups or centre - groups[-1][1] >= apart * (len(group) + len(groups[-1][0])) / 2:
                break
            before, middle = groups.pop()
            centre = (middle * len(before) + centre * len(group)) / (len(before) + len(group))
            group = before + group
        groups.append((group, centre))
    found = [0.0] * len(places)
    for group, centre in groups:
        for step, i in enumerate(group):
            found[i] = centre + apart * (step - (len(group) - 1) / 2)
    return found

"""A comparison as a picture: accuracy over spend, with bands; needs Matplotlib.

What to use when
----------------
`plot`
    On your own axes, or new ones.
`draw`
    The same in given colours, with or without names at the lines: what the report is made of.
`contenders`
    Which policies are drawn in colour: all of them would be a thicket.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import MissingExtraError
from tcalloc.evaluate import saying
from tcalloc.evaluate.advice import recommend
from tcalloc.evaluate.headline import fixed, saving
from tcalloc.evaluate.result import Comparison, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PALETTE", "Line", "Palette", "contenders", "draw", "plot"]

Floats = NDArray[np.float64]

ORACLE = "oracle, held out"
# So many policies are drawn in colour, and so many of the user's own besides.
COLOURED, OWN = 3, 3
# Policies that differ by less at all budgets are one line; the better one is drawn.
ALIKE = 0.001
# Beyond so many times the largest budget a curve is cut off: what was asked is what is shown.
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


def contenders(result: Comparison) -> list[Standing]:
    """Return the policies that are drawn in colour, the recommended one first.

    Then come those recommended at single budgets, the best others, and the user's own.
    """
    advice = recommend(result)
    cheapest = saving(result)
    able = [standing for standing in result.standings if standing.kind in ("policy", "own") and _drawable(standing)]
    wanted = [advice.policy, *(pick.policy for pick in advice.picks)]
    if cheapest is not None:
        wanted.insert(1, cheapest.policy)
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


def _drawable(standing: Standing) -> bool:
    return bool((np.isfinite(standing.curve_spend) & np.isfinite(standing.curve_accuracy)).any())


def plot(result: Comparison, ax: "Axes | None" = None) -> "Axes":
    """Draw accuracy over spend, held out, with the 95 % bands of the best policy and of the best fixed mixture.

    The best policies, the user's own, the best fixed mixture and the held-out oracle are named; all other policies are
    thin lines. Fixed actions are dots. The hindsight bound is not drawn.

    Parameters
    ----------
    result : Comparison
        Of `tcalloc.compare`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("plot needs Matplotlib: pip install 'tcalloc[plot]'") from error
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(8.5, 5.4), layout="constrained")
    del matplotlib
    draw(result, ax)
    return ax


def draw(
    result: Comparison, ax: "Axes", palette: Palette = PALETTE, *, names: bool = True, size: float = 9.5
) -> list[Line]:
    """Draw on axes; return the lines in the order of a legend, the recommended policy first.

    Parameters
    ----------
    result : Comparison
        What.
    ax : matplotlib.axes.Axes
        Where.
    palette : Palette
        The colours.
    names : bool
        Whether the lines' names stand at their ends.
    size : float
        Of all text, in points.
    """
    lines = _lines(result, palette)
    right = _right(result, lines)
    left = _left(result)
    ratio = right / left if left > 0 else math.inf
    log = LOG < ratio < math.inf
    for other in result.standings:
        if other.kind != "bound" and other.name != "random" and all(other is not line.standing for line in lines):
            _curve(ax, other, (left, right), color=palette.other, lw=0.8, alpha=0.8, zorder=2)
    for line in lines:
        place = 4.0 if line.role == "policy" else 3.0
        _curve(ax, line.standing, (left, right), color=line.color, lw=line.width, ls=line.dashes, zorder=place)
    for line in [*lines[:1], *(line for line in lines if line.role == "mixture")]:
        _band(ax, line, (left, right))
    if lines and lines[0].role == "policy":
        _marks(ax, result, lines[0])
    _dots(ax, result, palette, right, size)
    low, high = _heights(lines, left, right)
    ax.set_ylim(low, high)
    if log:
        ax.set_xscale("log")
    _dress(ax, result, palette, left, right, log=log, size=size)
    if names:
        _name(ax, lines, (left, right), size)
    return lines


def _lines(result: Comparison, palette: Palette) -> list[Line]:
    named = contenders(result)
    found = [
        Line(standing, "policy", palette.policies[place], STYLES[place], 2.4 if place == 0 else 1.7)
        for place, standing in enumerate(named)
    ]
    for standing in result.standings:
        if standing.name == result.reference and _drawable(standing):
            found.append(Line(standing, "mixture", palette.mixture, "-", 1.7))
    for standing in result.standings:
        if standing.name == ORACLE and _drawable(standing):
            found.append(Line(standing, "oracle", palette.oracle, (0, (1, 1.6)), 1.7))
    return found


# ---------------------------------------------------------------------------------------------- how far


def _right(result: Comparison, lines: Sequence[Line]) -> float:
    """Return where the picture ends: behind the largest budget, and behind the fixed action of the headline."""
    found = saving(result)
    wanted = max(BEYOND * float(result.budgets[-1]), 0.0 if found is None else 1.06 * found.action_spend)
    ends = [float(line.standing.curve_spend[-1]) for line in lines]
    dots = [spend for _, spend, _ in fixed(result)]
    return min(wanted, max([*ends, *dots])) if ends or dots else wanted


def _left(result: Comparison) -> float:
    """Return where it begins: at the cheapest action that is an action, or at the smallest budget."""
    return min([float(result.budgets[0]), *(spend for _, spend, _ in fixed(result)[:1])])


def _heights(lines: Sequence[Line], left: float, right: float) -> tuple[float, float]:
    """Return the ends of the axis of accuracies: of named lines and bands; what lies beyond is cut off."""
    found: list[float] = []
    for place, line in enumerate(lines):
        standing = line.standing
        inside = (standing.curve_spend >= left) & (standing.curve_spend <= right)
        found += standing.curve_accuracy[inside].tolist()
        if place == 0 or line.role == "mixture":
            found += [*standing.curve_low[inside].tolist(), *standing.curve_high[inside].tolist()]
    found = [value for value in found if math.isfinite(value)]
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    room = max(0.05 * (high - low), 0.005)
    return max(low - room, -0.02), min(high + room, 1.02)


# ---------------------------------------------------------------------------------------------- what is drawn


def _cut(standing: Standing, values: Floats, ends: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return a curve between the ends of the picture, densely: straight lines are bent on a log scale."""
    known = np.isfinite(standing.curve_spend) & np.isfinite(values)
    x, y = standing.curve_spend[known], values[known]
    if not len(x) or x[0] > ends[1] or x[-1] < ends[0]:
        return x[:0], y[:0]
    first, last = max(float(x[0]), ends[0]), min(float(x[-1]), ends[1])
    dense = np.unique(np.concatenate([x[(x >= first) & (x <= last)], np.linspace(first, last, 60)]))
    return dense, np.interp(dense, x, y)


def _curve(ax: "Axes", standing: Standing, ends: tuple[float, float], **style: Any) -> None:
    x, y = _cut(standing, standing.curve_accuracy, ends)
    if len(x) == 1:
        ax.plot(x, y, marker="D", ms=5, color=style["color"], zorder=style["zorder"], ls="none")
    elif len(x):
        ax.plot(x, y, **style)


def _band(ax: "Axes", line: Line, ends: tuple[float, float]) -> None:
    x, low = _cut(line.standing, line.standing.curve_low, ends)
    _, high = _cut(line.standing, line.standing.curve_high, ends)
    if 1 < len(x) == len(high):
        ax.fill_between(x, low, high, color=line.color, alpha=0.16 if line.role == "policy" else 0.09, lw=0, zorder=1)


def _marks(ax: "Axes", result: Comparison, line: Line) -> None:
    """Mark the policy where it was asked for."""
    at = line.standing.reached & np.isfinite(line.standing.accuracy)
    ax.plot(
        line.standing.spend[at], line.standing.accuracy[at], "o", ms=5, color=line.color, zorder=5, clip_on=False
    )  # fmt: skip


def _dots(ax: "Axes", result: Comparison, palette: Palette, right: float, size: float) -> None:
    """Draw the fixed actions as dots; votes of 1, 2, 4, 8, … carry their number."""
    rows = [row for row in fixed(result) if row[1] <= right]
    if not rows:
        return
    ax.plot(
        [row[1] for row in rows], [row[2] for row in rows], "s", ms=3.2, color=palette.mixture, zorder=3.5, alpha=0.8
    )  # fmt: skip
    for votes, spend, accuracy in zip(result.votes, result.votes, result.vote_accuracy, strict=True):
        if result.unit == "samples" and spend <= right and votes & (votes - 1) == 0:
            ax.annotate(
                f"{votes}", (spend, float(accuracy)), (3, -3),
                textcoords="offset points", color=palette.mixture, fontsize=0.88 * size, va="top", clip_on=True,
            )  # fmt: skip


def _dress(
    ax: "Axes", result: Comparison, palette: Palette, left: float, right: float, *, log: bool, size: float
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
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: saying.number(value)))
    ax.yaxis.set_major_locator(MaxNLocator(7, steps=TENTHS))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 2):g} %"))
    ax.grid(color=palette.grid, lw=0.7, zorder=0)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(palette.ink)
    ax.tick_params(colors=palette.ink, labelsize=size)
    ax.set_xlabel(f"{saying.spending(result.unit)}{' (log scale)' if log else ''}", color=palette.ink, fontsize=size)
    ax.set_ylabel("questions answered right, held out", color=palette.ink, fontsize=size)


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
            saying.clean(line.standing.name, NAME), (1.0, place), (6, 0), xycoords="axes fraction",
            textcoords="offset points", color=line.color, fontsize=size, va="center", annotation_clip=False,
            weight="bold" if line is lines[0] else "normal", parse_math=False,
        )  # fmt: skip
        note.set_in_layout(True)


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Return places between 0 and 1 moved as little as need be so that none is nearer than `apart` to another."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[tuple[list[int], float]] = []  # members in order, and their centre
    for i in order:
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

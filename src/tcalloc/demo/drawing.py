"""The demonstration as a picture."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tcalloc._outputs import save_picture
from tcalloc.demo.experiment import NAMES, Figures
from tcalloc.demo.learned import Learned
from tcalloc.demo.words import headline, percent, saved
from tcalloc.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "write"]

MODEL_COLORS = ("#b35c00", "#7a7a7a", "#8a3a8c")
TEXT = "#1257a8"
STOP = "#1b7a3d"
BOUND = "#8c8c8c"
MIXTURE = "#333333"
# How many points of a curve are drawn.
POINTS = 400


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
    mixture, bound = result.mixture, result.held_out
    # Straight between its vertices, and so bent on a log scale.
    spends = np.geomspace(mixture.spend[0], mixture.spend[-1], POINTS)
    ax.plot(spends, np.interp(spends, mixture.spend, mixture.accuracy), color=MIXTURE, lw=2.0, zorder=3)
    ax.plot(bound.spend, bound.accuracy, color=BOUND, lw=1.5, ls=(0, (4, 3)), zorder=3)
    end = bound.spend[-1], bound.accuracy[-1]
    _label(ax, *end, "bound: oracle held out, not deployable", (8, 0), BOUND, va="center")
    if len(mixture.spend) > 2:
        middle = math.sqrt(mixture.spend[1] * mixture.spend[2])
        height = float(np.interp(middle, mixture.spend, mixture.accuracy))
        _label(ax, middle, height, "best fixed mixture", (0, -7), MIXTURE, ha="center", va="top", weight="bold")
    if result.learned:
        _draw_learned(result.learned, ax)
    if result.stopping is not None:
        curve = result.stopping.curve
        ax.plot(curve.spend, curve.accuracy, color=STOP, lw=2.5, zorder=4)
        at = int(np.argmin(np.abs(np.log(np.array(curve.spend) / (3 * curve.spend[0])))))
        said = f"stopping while sampling {result.stopping.model}"
        _label(ax, curve.spend[at], curve.accuracy[at], said, (0, 8), STOP, ha="center", va="bottom", weight="bold")


def _draw_learned(learned: list[Learned], ax: "Axes") -> None:
    spends, accuracy, half = (
        np.array(values)
        for values in zip(*((one.spend, one.accuracy, one.lead_high - one.lead) for one in learned), strict=True)
    )
    ax.fill_between(spends, accuracy - half, accuracy + half, color=TEXT, alpha=0.15, lw=0)
    ax.plot(spends, accuracy, color=TEXT, lw=2.5, marker="D", ms=4, zorder=4)
    at = len(spends) // 2
    place = float(spends[at]), float(accuracy[at] + half[at])
    _label(ax, *place, "deciding by the text", (2, 3), TEXT, ha="left", va="bottom", weight="bold")


def _draw_actions(result: Figures, ax: "Axes") -> None:
    for model, color in zip(result.samples, itertools.cycle(MODEL_COLORS), strict=False):
        own = [action for action in result.actions if action.model == model]
        for action in own:
            ax.plot(action.cost, action.accuracy, "o", color=color, ms=6, zorder=5)
            votes = f"×{action.samples}"  # noqa: RUF001
            _label(ax, action.cost, action.accuracy, votes, (0, -7), color, ha="center", va="top", size=8.5)
        last, name = own[-1], NAMES.get(model, model)
        _label(ax, last.cost, last.accuracy, name, (0, -19), color, ha="center", va="top", weight="bold")


def _draw_saving(result: Figures, ax: "Axes") -> None:
    line = headline(result.learned or [])
    if line is None or line.needed is None:
        return
    arrow = {"arrowstyle": "-|>", "color": MIXTURE, "lw": 1.2, "shrinkA": 0, "shrinkB": 3}
    ax.annotate("", (line.spend, line.accuracy), (line.needed, line.accuracy), arrowprops=arrow, zorder=6)
    text = f"{saved(line, line.needed)} less\ncompute"
    _label(ax, line.needed, line.accuracy, text, (8, 2), MIXTURE, va="top", weight="bold", size=9)


def title(result: Figures) -> str:
    """Return what the plot shows first: what deciding by the text saves, or else what stopping saves."""
    line, stops = headline(result.learned or []), result.stopping
    if line is not None:
        return f"Deciding by the text of a question: the same accuracy for {saved(line, line.needed)} less"
    if stops is not None and stops.needed is not None:
        less = percent(1 - stops.needed / stops.samples)
        return f"Stopping while samples come in: the accuracy of {stops.samples} samples for {less} less"
    return "Knowing where compute pays"


def _label(ax: "Axes", x: float, y: float, text: str, offset: tuple[float, float], color: str, **style: Any) -> None:
    """Write text at a distance (in points) from a place on the plot."""
    style = {"fontsize": style.pop("size", 9.5)} | style
    ax.annotate(text, (x, y), offset, textcoords="offset points", color=color, zorder=7, **style)


def write(result: Figures, path: "str | Path") -> None:
    """Draw and save the picture; its suffix says the format."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the demo's plot needs Matplotlib: pip install 'tcalloc[demo]'") from error
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    ax = figure.add_subplot()
    draw(result, ax)
    ax.set_title(title(result), loc="left", fontsize=14, weight="bold", pad=25)
    subtitle = (
        f"{result.questions} questions, {len(result.samples)} small models. Thick lines: on questions that were not "
        "trained on"
    )
    if result.learned:
        subtitle += "; band: 95 % interval of the lead"
    note = ax.annotate(subtitle, (0, 1), (0, 9), xycoords="axes fraction", textcoords="offset points")
    note.set(fontsize=9, color="#555555", in_layout=False)
    try:
        save_picture(figure, str(path))
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise InputError(
            f"the plot cannot be written to {str(path)!r}: {reason}. Give a path in a folder that exists, ending in "
            ".png, .pdf or .svg."
        ) from error

"""The demonstration as a picture."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tcalloc.demo.experiment import NAMES, VOTES, Figures
from tcalloc.demo.words import headline, saved
from tcalloc.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "write"]

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
    line = headline(result)
    if line is None or line.needed is None:
        return
    arrow = {"arrowstyle": "-|>", "color": MIXTURE, "lw": 1.2, "shrinkA": 0, "shrinkB": 3}
    ax.annotate("", (line.spend, line.held_out), (line.needed, line.held_out), arrowprops=arrow, zorder=6)
    text = f"{saved(line, line.needed)} less\ncompute"
    _label(ax, line.spend, line.held_out, text, (13, -4), MIXTURE, va="top", weight="bold", size=9)


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
    line = headline(result)
    message = "Knowing where compute pays"
    if line is not None:
        message += f": the same accuracy for {saved(line, line.needed)} less"
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

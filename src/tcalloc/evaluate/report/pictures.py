"""The report's pictures: drawn by Matplotlib, written as SVG whose colours and letters are the page's.

Each picture is drawn in colours that stand for roles, and these are replaced by CSS variables: so one picture is right
on a light and on a dark page. Text stays text. Each is drawn twice, for wide and for narrow pages: a wide one shrunk to
a telephone could not be read.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.findings import Claim
from tcalloc.evaluate.plots import TENTHS, Palette, contenders, draw, frame
from tcalloc.evaluate.report.templating import Markup, macro, name
from tcalloc.evaluate.result import ComparisonFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["VARIABLES", "Line", "calibration", "curves", "gains"]

# What a colour stands for, in the page's words: the variable, and the colour that is drawn and then replaced.
VARIABLES = {
    "--line-1": "#f10a01",
    "--line-2": "#f10a02",
    "--line-3": "#f10a03",
    "--line-4": "#f10a04",
    "--line-5": "#f10a05",
    "--line-6": "#f10a06",
    "--mixture": "#f10a07",
    "--oracle": "#f10a08",
    "--other": "#f10a09",
    "--ink": "#f10a0a",
    "--rule": "#f10a0b",
}
ROLES = Palette(
    tuple(VARIABLES[f"--line-{place}"] for place in range(1, 7)),
    *(VARIABLES[role] for role in ("--mixture", "--oracle", "--other", "--ink", "--rule")),
)  # fmt: skip
# Inches, and points of text, so that text is as large as the page's when the picture is as wide as the page.
WIDE, NARROW = (8.4, 4.7), (3.9, 3.7)
WIDE_TEXT, NARROW_TEXT = 9.5, 9.0
MARKS = ("o", "s", "^", "D", "v", "P")
SETTINGS = {"svg.fonttype": "none", "font.family": "sans-serif", "axes.unicode_minus": True}


class Line(NamedTuple):
    """What the key below a picture says of a line or of a mark."""

    label: object
    color: str
    dashes: str = ""
    width: float = 1.2
    mark: str = ""


# ---------------------------------------------------------------------------------------------- the pictures


def curves(result: ComparisonFigures, title: str, words: str) -> tuple[Markup, list[Line]]:
    """Return the picture of accuracy over spend, and the key to its lines."""
    found: list[Any] = []

    def wide(ax: "Axes") -> None:
        found.extend(draw(result, ax, ROLES, size=WIDE_TEXT))

    def narrow(ax: "Axes") -> None:
        draw(result, ax, ROLES, names=False, size=NARROW_TEXT)

    picture = _both("curves", title, words, wide, narrow)
    dashed = {"policy": ("", "7 2", "5 2 2 2", "2 2", "9 3 3 3", "3 3"), "mixture": ("",), "oracle": ("1 2",)}
    dashes = {role: iter(kinds) for role, kinds in dashed.items()}
    lines = [
        Line(name(line.standing.name), _variable(line.color), next(dashes[line.role]), line.width) for line in found
    ]
    squares = "votes of that many samples" if result.votes and result.unit == "samples" else "single actions"
    lines.append(Line("other policies", "var(--other)"))
    lines.append(Line(squares, "var(--mixture)", mark="square"))
    return picture, lines


def gains(result: ComparisonFigures, title: str, words: str) -> tuple[Markup, list[Line]]:
    """Return the picture of gains over the best fixed mixture with their paired intervals, and its key."""
    standings = contenders(result)
    colours = dict(zip((s.name for s in standings), ROLES.policies, strict=False))

    def on(size: float) -> Callable[["Axes"], None]:
        def drawn(ax: "Axes") -> None:
            from matplotlib.ticker import FuncFormatter, MaxNLocator

            places = np.arange(len(result.budgets), dtype=np.float64)
            step = min(0.16, 0.7 / max(1, len(standings)))
            for i, standing in enumerate(standings):
                x = places + step * (i - (len(standings) - 1) / 2)
                known = np.isfinite(standing.gain + standing.gain_low + standing.gain_high)
                gain, low, high = (100 * v[known] for v in (standing.gain, standing.gain_low, standing.gain_high))
                ax.errorbar(
                    x[known], gain, np.maximum([gain - low, high - gain], 0), fmt=MARKS[i], ms=5.5 if i else 6.5,
                    color=colours[standing.name], elinewidth=1.8, capsize=3,
                )  # fmt: skip
            ax.axhline(0, color=ROLES.mixture, lw=1.5)
            ax.set_xticks(places, [phrases.number(float(budget)) for budget in result.budgets])
            ax.set_xlim(-0.6, len(places) - 0.4)
            ax.yaxis.set_major_locator(MaxNLocator(6, steps=TENTHS))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(float(value))))
            frame(ax, ROLES, size)
            ax.grid(False, axis="x")
            ax.set_xlabel(phrases.spending(result.unit), color=ROLES.ink, fontsize=size)
            ax.set_ylabel("gain over the mixture, in points", color=ROLES.ink, fontsize=size)

        return drawn

    picture = _both("gains", title, words, on(WIDE_TEXT), on(NARROW_TEXT), (8.4, 3.5), (3.9, 3.3))
    return picture, [
        Line(name(s.name), _variable(colours[s.name]), mark=mark) for s, mark in zip(standings, MARKS, strict=False)
    ]


def calibration(claims: list[Claim], policy: str, title: str, words: str) -> Markup:
    """Return the picture of held-out over claimed accuracy; one policy's in colour."""

    def on(ax: "Axes") -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        own = [claim for claim in claims if claim.policy == policy]
        values = [v for claim in claims for v in (claim.claimed, claim.accuracy)]
        low, high = min(values), max(values)
        room = max(0.05 * (high - low), 0.003)
        ends = (low - room, high + room)
        ax.plot(ends, ends, color=ROLES.mixture, lw=1.2)
        others = [claim for claim in claims if claim.policy != policy]
        ax.plot(
            [c.claimed for c in others], [c.accuracy for c in others], "o", ms=4.5, color=ROLES.other, ls="none"
        )  # fmt: skip
        if own:
            ax.plot(
                [c.claimed for c in own], [c.accuracy for c in own], "o", ms=6, color=ROLES.policies[0], zorder=4
            )  # fmt: skip
        ax.set_xlim(ends)
        ax.set_ylim(ends)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=TENTHS))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 2):g} %"))
        frame(ax, ROLES, NARROW_TEXT)
        ax.set_xlabel("claimed from training questions", color=ROLES.ink, fontsize=NARROW_TEXT)
        ax.set_ylabel("held out", color=ROLES.ink, fontsize=NARROW_TEXT)

    return _svg("claims", title, words, on, (3.9, 3.5), "small")


def _signed(value: float) -> str:
    return f"{round(value, 6):+g}".replace("-", "\N{MINUS SIGN}") if value else "0"


# ---------------------------------------------------------------------------------------------- SVG


def _both(
    identity: str, title: str, words: str, wide: Callable[["Axes"], None], narrow: Callable[["Axes"], None],
    wide_size: tuple[float, float] = WIDE, narrow_size: tuple[float, float] = NARROW,
) -> Markup:  # fmt: skip
    """Return a picture twice; the page shows the one that fits."""
    return Markup(
        _svg(f"{identity}-wide", title, words, wide, wide_size, "wide")
        + _svg(f"{identity}-narrow", title, words, narrow, narrow_size, "narrow")
    )


def _svg(
    identity: str, title: str, words: str, on: Callable[["Axes"], None], size: tuple[float, float], kind: str
) -> Markup:
    """Return what is drawn as an SVG element for the page."""
    import matplotlib.style
    from matplotlib.figure import Figure

    # The reader's own Matplotlib settings are for the reader's own plots; and a name in a script that the font lacks is
    # no harm, for the text stays text.
    with matplotlib.style.context(["default", {**SETTINGS, "svg.hashsalt": identity}]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = Figure(figsize=size, layout="constrained", facecolor="none")
        ax = shape.add_subplot(facecolor="none")
        on(ax)
        file = io.StringIO()
        shape.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="none")
    return _inlined(file.getvalue(), identity, title, words, kind)


def _inlined(drawn: str, identity: str, title: str, words: str, kind: str) -> Markup:
    """Return Matplotlib's file as an element among others: own names, the page's colours, no more digits than seen."""
    body = drawn[drawn.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', body)
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    # Tags only: names that stand in the picture are left as they are.
    body = re.sub(r"<[^>]*>", lambda tag: _own(tag[0], identity), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    found = box[1] if box else "0 0 1 1"
    return macro("svg", identity=identity, kind=kind, box=found, title=title, words=words, drawn=Markup(body))


def _own(tag: str, identity: str) -> str:
    """Return a tag with names of this picture alone, the page's colours and letters, and two decimals."""
    tag = re.sub(r'\bid="', f'id="{identity}-', tag).replace("url(#", f"url(#{identity}-")
    tag = tag.replace('xlink:href="#', f'href="#{identity}-')
    tag = re.sub(r"(font: (?:\w+ )*[\d.]+px )[^;\"]*", r"\1var(--sans)", tag)
    for variable, color in VARIABLES.items():
        tag = tag.replace(color, f"var({variable})")
    return re.sub(
        r'( (?:d|x|y|transform|points|width|height)=")([^"]*)"',
        lambda found: found[1] + re.sub(r"-?\d+\.\d{3,}", lambda one: f"{float(one[0]):.2f}", found[2]) + '"',
        tag,
    )


# ---------------------------------------------------------------------------------------------- the key


def _variable(color: str) -> str:
    return next(f"var({variable})" for variable, drawn in VARIABLES.items() if drawn == color)

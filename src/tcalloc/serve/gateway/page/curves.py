"""The page's pictures: curves as SVG that fit any width, while letters and strokes keep their size.

The picture has the width of the page, and places within it are percentages. Only the paths are stretched
(`preserveAspectRatio="none"`), and their strokes are not (`vector-effect`). Colours are those of the style sheet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tcalloc._templates import Markup

__all__ = ["Curve", "Line", "Tick", "line", "scale"]

# The side of the square that paths are drawn in, before it is stretched.
SIDE = 1000


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at an axis."""

    place: float
    """As a share of the axis."""
    label: str

    @property
    def anchor(self) -> str:
        """Which end of the label is there, so that it stays within the picture."""
        return "start" if self.place <= 0.01 else "end" if self.place >= 0.99 else "middle"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a picture."""

    kind: str
    """Its class in the style sheet."""
    label: str
    path: Markup
    area: Markup | None = None
    """What is filled below it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A picture with its words and its numbers."""

    title: str
    words: str
    """What it says, in a sentence."""
    lines: list[Line]
    down: list[Tick]
    """Labels of the vertical axis, at its lines."""
    across: list[Tick]
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    """The numbers as a table."""
    now: float | None = None
    """Where now is, if it is not the right end."""
    told: bool = True
    """Whether its words are shown; otherwise only screen readers have them."""
    key: bool = True
    """Whether the lines' labels are listed."""


def scale(highest: float) -> list[float]:
    """Return round numbers from 0 to at least the highest one that is drawn, three to six of them."""
    if not 0 < highest < math.inf:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(power * size for size in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if highest <= 5 * power * size * (1 + 1e-9))
    return [step * i for i in range(math.ceil(highest / step * (1 - 1e-9)) + 1)]


def line(kind: str, label: str, points: Sequence[tuple[float, float]], *, filled: bool = False) -> Line:
    """Return a line through points, which are shares of the two axes from the lower left corner.

    One point alone is drawn as a dot. If it is `filled`, so is the area below it.
    """
    places = [(round(SIDE * min(max(x, 0.0), 1.0), 1), round(SIDE * (1 - min(max(y, 0.0), 1.0)), 1)) for x, y in points]
    path = "M" + " L".join(f"{x:g},{y:g}" for x, y in places) if places else ""
    area = None
    if len(places) == 1:
        path, kind = path + " h0.01", f"{kind} dot"
    elif filled and places:
        area = Markup(f"{path} L{places[-1][0]:g},{SIDE} L{places[0][0]:g},{SIDE} Z")
    return Line(kind, label, Markup(path), area)

"""HTML from text: escaped, with headings of tables that screen readers can follow."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from tcalloc.evaluate import phrases

__all__ = ["Markup", "cell", "items", "join", "paragraph", "section", "table", "text"]


# Spaces at which a line must not end: 95 %, p < .001, [+1.0, +2.0].
WHOLE = re.compile(r"(?<=\d) (?=%)|(?<=\bp) (?=[<=] )|(?<=\bp [<=]) |(?<=,) (?=[-+\d.]+\])")

# A sign, not a hyphen: -1.0, [-1.0, -0.5].
MINUS = re.compile(r"(?<![^\s\[\N{NO-BREAK SPACE}])-(?=\d)")


class Markup(str):
    """A piece of HTML; everything else is text, and is escaped before it goes in."""

    __slots__ = ()


def text(value: object, longest: int = 0) -> Markup:
    """Return a text as HTML: one line, escaped."""
    if isinstance(value, Markup):
        return value
    kept = MINUS.sub("\N{MINUS SIGN}", WHOLE.sub("\N{NO-BREAK SPACE}", phrases.clean(value, longest)))
    return Markup(escape(kept, quote=True))


def figure(value: str) -> Markup:
    """Return a printed number as HTML, with true minus signs."""
    return Markup(text(value).replace("-", "\N{MINUS SIGN}"))


def name(value: object) -> Markup:
    """Return a policy's or an action's name; whatever its script, it does not turn the text around it."""
    return Markup(f"<bdi>{text(value, 80)}</bdi>")


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Return pieces in one; those that are no markup are escaped."""
    return Markup(between.join(text(part) for part in parts))


def paragraph(value: object, kind: str = "") -> Markup:
    """Return a paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return Markup(f"<p{attribute}>{text(value)}</p>\n")


def items(values: Iterable[object]) -> Markup:
    """Return a list; nothing for no items."""
    rows = "".join(f"<li>{text(value)}</li>\n" for value in values)
    return Markup(f"<ul>\n{rows}</ul>\n" if rows else "")


def section(identity: str, title: str, *parts: object) -> Markup:
    """Return a section with its heading."""
    return Markup(
        f'<section aria-labelledby="{identity}">\n<h2 id="{identity}">{text(title)}</h2>\n{join(parts)}</section>\n'
    )


def cell(main: object, below: object = "", kind: str = "") -> Markup:
    """Return a table's cell: a figure, and a smaller line below it."""
    attribute = f' class="{kind}"' if kind else ""
    small = f"<small>{text(below)}</small>" if below else ""
    return Markup(f"<td{attribute}>{text(main)}{small}</td>")


def table(
    label: str, caption: object, heads: Sequence[object], bodies: Sequence[tuple[object, Sequence[tuple[object, str]]]]
) -> Markup:
    """Return a table that scrolls sideways where the page is narrow.

    Parameters
    ----------
    label : str
        What it is called, for those who hear it.
    caption : text
        What it shows, above it.
    heads : sequence of text
        Of the columns; the first is that of the rows' heads.
    bodies : sequence of (title, rows)
        Groups of rows, each with a title ("": none); a row is its head and its cells, as HTML.
    """
    head = "".join(f'<th scope="col">{text(one)}</th>' for one in heads)
    parts = []
    for title, rows in bodies:
        span = f'<th scope="rowgroup" colspan="{len(heads)}"><span>{text(title)}</span></th>'
        over = f'<tr class="group">{span}</tr>\n' if title else ""
        lines = "".join(f'<tr><th scope="row">{text(row)}</th>{cells}</tr>\n' for row, cells in rows)
        parts.append(f"<tbody>\n{over}{lines}</tbody>\n")
    # What it shows stands outside: inside, it would scroll away with the columns.
    return Markup(
        f'<p class="note">{text(caption)}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">\n<table>\n'
        f'<caption class="heard">{text(label)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"{''.join(parts)}</table>\n</div>\n"
    )

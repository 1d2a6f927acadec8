"""Fills the templates of the page, with Jinja2: every value becomes one line of text, and is escaped."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tcalloc.evaluate import phrases

__all__ = ["Markup", "fill", "macro", "name", "page", "text"]

# Spaces at which a line must not end: 95 %, p < 0.001, [+1.0, +2.0].
WHOLE = re.compile(r"(?<=\d) (?=%)|(?<=\bp) (?=[<=] )|(?<=\bp [<=]) |(?<=,) (?=[-+\d.]+\])")

# A sign, not a hyphen: -1.0, [-1.0, -0.5].
MINUS = re.compile(r"(?<![^\s\[\N{NO-BREAK SPACE}])-(?=\d)")


def text(value: object, longest: int = 0) -> Markup:
    """Return a value as HTML: one line, escaped, with true minus signs; markup is returned as it is.

    Parameters
    ----------
    value : object
        Anything; `str` is taken of it.
    longest : int
        Characters kept; 0: all.
    """
    if isinstance(value, Markup):
        return value
    kept = WHOLE.sub("\N{NO-BREAK SPACE}", phrases.clean(value, longest))
    return escape(MINUS.sub("\N{MINUS SIGN}", kept))


def name(value: object) -> Markup:
    """Return a policy's or an action's name; whatever its script, it does not turn the text around it."""
    return Markup("<bdi>{}</bdi>").format(text(value, 80))


def fill(pattern: str, *values: object) -> Markup:
    """Return a sentence with values in the places of its braces; values that are no markup are escaped."""
    return Markup(pattern).format(*map(text, values))


def macro(called: str, **values: object) -> Markup:
    """Return what a macro of ``templates/sections.html`` makes of the values."""
    made: Markup = getattr(_environment().get_template("sections.html").module, called)(**values)
    return made


def page(**values: object) -> str:
    """Return the whole page, ``templates/page.html``."""
    return _environment().get_template("page.html").render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tcalloc.evaluate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"name": name, "text": text}
    return made

"""What pages share: templates that Jinja2 fills, where every value becomes one escaped line of text, and one style."""

import re

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from tcalloc._printing import page_line

__all__ = ["Markup", "environment", "fill", "name", "text"]

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
    kept = WHOLE.sub("\N{NO-BREAK SPACE}", page_line(value, longest))
    return escape(MINUS.sub("\N{MINUS SIGN}", kept))


def name(value: object) -> Markup:
    """Return a policy's or an action's name; whatever its script, it does not turn the text around it."""
    return Markup("<bdi>{}</bdi>").format(text(value, 80))


def fill(pattern: str, *values: object) -> Markup:
    """Return a sentence with values in the places of its braces; values that are no markup are escaped."""
    return Markup(pattern).format(*map(text, values))


def environment(package: str) -> Environment:
    """Return what fills the templates of a package; they may include ``base.css``, the style of all pages.

    Parameters
    ----------
    package : str
        The package that holds the folder ``templates``.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("tcalloc", "_templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"name": name, "text": text}
    return made

"""Fills the templates of the page; every value becomes one line of text, and is escaped (`tcalloc._templates`)."""

from functools import cache

from jinja2 import Environment

from tcalloc._templates import Markup, environment, fill, name, text

__all__ = ["Markup", "fill", "macro", "name", "page", "text"]


def macro(called: str, **values: object) -> Markup:
    """Return what a macro of ``templates/sections.html`` makes of the values."""
    made: Markup = getattr(_environment().get_template("sections.html").module, called)(**values)
    return made


def page(**values: object) -> str:
    """Return the whole page, ``templates/page.html``."""
    return _environment().get_template("page.html").render(**values)


@cache
def _environment() -> Environment:
    return environment("tcalloc.evaluate.report")

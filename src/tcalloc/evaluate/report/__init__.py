"""The report of a comparison: one HTML page that needs no network and no script."""

import os
from pathlib import Path

from tcalloc._files import replacing
from tcalloc._outputs import PAGES
from tcalloc.errors import InputError, MissingExtraError

try:
    import jinja2  # noqa: F401  # whether it is there
    import matplotlib  # noqa: F401
except ImportError as error:
    raise MissingExtraError("a report needs Matplotlib and Jinja2: pip install 'tcalloc[plot]'") from error

from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.headline import headline
from tcalloc.evaluate.conclusions.next_step import Source
from tcalloc.evaluate.conclusions.recommend import recommend
from tcalloc.evaluate.plots import subject
from tcalloc.evaluate.report import sections
from tcalloc.evaluate.report.templating import page
from tcalloc.evaluate.result import ComparisonFigures

__all__ = ["render", "write_report"]


def render(result: ComparisonFigures, source: Source | str = "run/") -> str:
    """Return the report as HTML; `source` is for the command that fits the policy."""
    advice = recommend(result)
    about = subject(result, advice)
    first, *more = headline(result)
    version = result.versions.get("tcalloc", "")
    return page(
        title=f"Policies compared on {phrases.counted(result.questions, 'question')}",
        over=f"Policies compared on your own data{phrases.with_verifier(result.verifier)}: held out, at the same spend",
        first=first,
        lead=[*([result.labels.sentence()] if result.labels.sentence() else []), *more],
        sections=[
            sections.advised(advice, source),
            sections.accuracy(result, about),
            sections.gained(result),
            sections.everyone(result, advice),
            sections.destinations(result, about),
            sections.claimed(result, about),
            sections.wanted(result, about),
            sections.caveats(result),
            sections.method(result),
        ],
        footer=f"Made by tcalloc {version}.".replace(" .", "."),
    )


def write_report(result: ComparisonFigures, path: str | Path, source: Source | str = "run/") -> None:
    """Write the report: one HTML page that needs no network and no script, for wide and narrow, light and dark.

    A file that exists is replaced when all went well. `source` is for the command that fits the policy.
    """
    if os.path.splitext(os.fspath(path))[1].lower() not in PAGES:
        raise InputError(f"{os.fspath(path)!r} is no name of a page; expected one that ends in {' or '.join(PAGES)}.")
    made = render(result, source)
    with replacing(os.fspath(path)) as file:
        file.write(made.encode("utf-8"))

"""The option that says what counts as the right answer, and what a run folder without gold answers can be used for."""

import argparse
import shlex
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure.labels import FEWEST, GOLD, parse_labels

__all__ = ["add_labels", "labels", "without_gold"]


def add_labels(parser: Any) -> None:
    """Add the option that says what counts as the right answer."""
    parser.add_argument(
        "--labels",
        metavar="KIND",
        type=labels,
        default=GOLD.kind,
        help="of a run folder: what counts as the right answer. gold (the default); without gold answers agreement: "
        "the most frequent answer of the most expensive model. Also agreement:MODEL, model:MODEL, teacher:MODEL (a "
        "model "
        "that only gives the reference), score",
    )


def labels(text: str) -> str:
    """Take a kind of labels."""
    try:
        parse_labels(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".").removeprefix("labels is ")) from None
    return text


def without_gold(run: str, samples: int) -> str:
    """Return the command that goes on with a run folder without gold answers.

    Parameters
    ----------
    run : str
        The run folder.
    samples : int
        Samples of each question.
    """
    if samples < FEWEST:
        return f"Without gold answers, a policy needs {FEWEST} samples per question: --samples {FEWEST}."
    return (
        "Without gold answers, policies learn from how often the samples agree:\n"
        f"  tcalloc fit {shlex.quote(run)} --budget 3 --out policy/ --labels agreement"
    )

"""What the commands share: types of arguments, numbers and tables as text, and notes."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tcalloc._amounts import amount, check_unit, digits, in_unit, per_thousand, unit_words
from tcalloc._amounts import column as columns_of
from tcalloc._counts import agreeing, counted
from tcalloc._files import target_of
from tcalloc._outputs import PAGES, PICTURES, refuse_to_replace
from tcalloc._printing import text_table
from tcalloc.cli._parser import EXIT_CODES, UsageError, say
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.measure.labels import GOLD, parse_labels
from tcalloc.measure.table_files.write import suffix_of

if TYPE_CHECKING:
    pass

__all__ = [
    "EXIT_CODES",
    "UsageError",
    "add_actions",
    "add_features",
    "add_force",
    "add_labels",
    "add_unit",
    "add_verifier",
    "agreeing",
    "budget",
    "charge",
    "check_output",
    "check_outputs",
    "columns_of",
    "cost",
    "count",
    "counted",
    "flag",
    "given",
    "in_unit",
    "labels",
    "number",
    "output",
    "page",
    "per_thousand",
    "picture",
    "print_json",
    "print_result",
    "real",
    "require_matplotlib",
    "say",
    "say_block",
    "share",
    "text_table",
    "unit_words",
]


def say_block(text: str) -> None:
    """Write text for people to standard error if standard output holds data."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr)


# ---------------------------------------------------------------------------------------------- arguments


def flag(name: str) -> str:
    """Return an option as it is typed."""
    return f"--{name.replace('_', '-')}"


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return those of some arguments that were given."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def real(text: str) -> float:
    """Convert a number; NaN stands for any other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def budget(text: str) -> float:
    """Convert an amount; NaN is an error."""
    value = real(text)
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def count(text: str, least: int = 1) -> int:
    """Convert a whole number of at least `least`."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def output(text: str) -> str:
    """Accept a file whose suffix names a known format, or - for standard output."""
    if text != "-":
        try:
            suffix_of(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(f"{str(error).rstrip('.')}; or - for CSV on standard output") from None
    return text


def picture(text: str) -> str:
    """Accept the file name of a picture."""
    return _ending(text, PICTURES, ".png, .svg or .pdf")


def page(text: str) -> str:
    """Accept the file name of a page."""
    return _ending(text, PAGES, ".html")


def _ending(text: str, allowed: tuple[str, ...], said: str) -> str:
    if os.path.splitext(text)[1].lower() not in allowed:
        raise argparse.ArgumentTypeError(f"{text}: allowed are names that end in {said}")
    return text


def add_per_second(parser: Any) -> None:
    """Add the option that prices waiting."""
    parser.add_argument(
        "--per-second",
        metavar="C",
        type=charge,
        default=0.0,
        help="cost of a second of waiting for a draw, of a run folder (default: 0)",
    )


def charge(text: str) -> float:
    """Return a cost that may be 0: of a second, or of a question's features."""
    value = real(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a cost: a number, at least 0")
    return value


def add_features(parser: Any, *, cost: bool) -> None:
    """Add the options that bring columns of numbers from outside, and what these cost."""
    parser.add_argument(
        "--features",
        metavar="FILE",
        help="numbers about the questions, by id: a .csv file with the columns id and others, or .npz",
    )
    if cost:
        parser.add_argument(
            "--feature-cost",
            metavar="C",
            type=charge,
            default=0.0,
            help="cost of having the features of one question, for policies that use them (default: 0)",
        )


def add_labels(parser: Any) -> None:
    """Add the option that says what counts as the right answer."""
    parser.add_argument(
        "--labels",
        metavar="KIND",
        type=labels,
        default=GOLD.kind,
        help="of a run folder: what counts as the right answer. gold (the default); without gold answers agreement: "
        "the most frequent answer of the most expensive model. Also agreement:MODEL, model:MODEL, teacher:MODEL (a "
        "model that only gives the reference), score",
    )


def labels(text: str) -> str:
    """Take a kind of labels."""
    try:
        parse_labels(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".").removeprefix("labels is ")) from None
    return text


def add_unit(parser: Any) -> None:
    """Add the option that names the unit of the costs."""
    parser.add_argument(
        "--unit",
        metavar="NAME",
        type=unit,
        help="unit of the costs, for the text that is printed: usd (or eur, gbp, ...), tokens, seconds, ...",
    )


def unit(text: str) -> str:
    """Accept a unit of cost."""
    try:
        return check_unit(text, "--unit")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".").removeprefix("--unit is ")) from None


def add_force(parser: Any) -> None:
    """Add the option that allows replacing a file that tcalloc did not write."""
    parser.add_argument(
        "--force", action="store_true", help="replace files that exist, even if tcalloc did not write them"
    )


def check_outputs(args: argparse.Namespace, heads: Sequence[str], *pictures: str | None) -> None:
    """Before the work, raise an error for an output that cannot be written or would replace a file of the user's.

    ``args.out`` is a table with the columns `heads`; the pictures carry tcalloc's mark.
    """
    if args.out == "-" and args.json:
        raise UsageError("--out - and --json both write to standard output; choose one.")
    check_output(None if args.out == "-" else args.out, args.table, heads, force=args.force)
    for path in pictures:
        check_output(path, args.table, force=args.force)


def check_output(
    path: str | None, read: str | None, heads: Sequence[str] = (), *, force: bool, what: str = "table"
) -> None:
    """Before the work, raise an error for a file that is the input or the user's, or that cannot be written."""
    if path is None:
        return
    target = target_of(path)
    if read is not None and os.path.exists(target) and os.path.exists(read) and os.path.samefile(target, read):
        raise UsageError(f"{path} is the {what} itself and would be overwritten; write to another file.")
    refuse_to_replace(path, heads, force=force)


# ---------------------------------------------------------------------------------------------- input, output


def add_actions(parser: Any) -> None:
    """Add the option that names the actions of a run folder."""
    parser.add_argument(
        "--actions",
        metavar="NAMES",
        help="for a run folder: the actions to choose from, by name (vote1,vote4,best8; with several models "
        "'vote4 qwen,...'). Default: votes over 1, 3, 5, 9, ... samples of each model; one sample of each model if "
        "only right and wrong was recorded; with --verifier the best of 1, 2, 4, 8, ...",
    )


def add_verifier(parser: Any) -> None:
    """Add the option that declares a verifier."""
    parser.add_argument(
        "--verifier",
        action="store_true",
        help="for a run folder: a verifier recognises right answers live, as unit tests do; it is never assumed",
    )


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document; a number that is not finite is null."""
    print(json.dumps(_finite(document), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_result(args: argparse.Namespace, document: Callable[[], dict[str, Any]], summary: Callable[[], str]) -> None:
    """Print the document (--json) or the summary; on standard error if --out writes data to standard output."""
    if args.json:
        print_json(document())
    elif args.out == "-":
        say_block(summary())
    else:
        print(summary())


def require_matplotlib(option: str) -> None:
    """Before the work, raise an error if there is no Matplotlib."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError(f"{option} needs Matplotlib: pip install 'tcalloc[plot]'") from None


# ---------------------------------------------------------------------------------------------- numbers


def cost(value: float, unit: str | None) -> str:
    """Return a cost as text, with four digits and its unit if that is known."""
    return amount(value, unit, 4)


def number(value: float) -> str:
    """Return one number as text, with four digits."""
    return digits(value, 4)


def share(value: float) -> str:
    """Return a share as text."""
    return f"{100 * value:.1f} %"

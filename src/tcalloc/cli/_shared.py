"""What the commands share: types of arguments, numbers and tables as text, and notes."""

import argparse
import errno
import io
import json
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tcalloc._amounts import amount, check_unit, digits, in_unit, per_thousand, unit_words
from tcalloc._amounts import column as columns_of
from tcalloc._counts import agreeing, counted
from tcalloc._files import naming, target_of
from tcalloc._outputs import PAGES, PICTURES, refuse_to_replace
from tcalloc._printing import text_table
from tcalloc.cli._parser import EXIT_CODES, UsageError, say
from tcalloc.errors import InputError
from tcalloc.measure.table_files.write import formulas, suffix_of, write_columns, write_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tcalloc.measure.table import Table

__all__ = [
    "EXIT_CODES",
    "LAYOUT",
    "UsageError",
    "add_actions",
    "add_features",
    "add_force",
    "add_unit",
    "add_verifier",
    "agreeing",
    "amount",
    "attainable",
    "budget",
    "charge",
    "check_output",
    "check_outputs",
    "columns_of",
    "cost",
    "count",
    "counted",
    "finite",
    "hindsight",
    "in_unit",
    "load",
    "number",
    "output",
    "page",
    "per_thousand",
    "picture",
    "print_json",
    "refuse_verifier",
    "say",
    "say_block",
    "share",
    "text_table",
    "unit",
    "unit_words",
    "write_output",
]

LAYOUT = """\
the table: one instance (question) per row. CSV or Parquet: columns acc:NAME and
cost:NAME for every action NAME, and optionally id (text) and weight (how often
the instance occurs):

  id,acc:vote1,acc:vote4,cost:vote1,cost:vote4
  q1,0.90,0.95,1,4
  q2,0.30,0.80,1,4

Both cells empty: the instance does not have that action. Costs are in any unit:
samples, tokens, dollars, seconds. NPZ: arrays acc (N, K), cost (N, K) or (K,),
and optionally ids, actions (their names), available (N, K) booleans, weights.
"""


def say_block(text: str) -> None:
    """Write text for people to standard error if standard output holds data."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr)


# ---------------------------------------------------------------------------------------------- arguments


def budget(text: str) -> float:
    """Convert an amount; NaN is an error."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
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
    try:
        value = float(text)
    except ValueError:
        value = -1.0
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

    Parameters
    ----------
    args : Namespace
        With ``out`` (a table with the columns `heads`), ``json``, ``table`` and ``force``.
    heads : sequence of str
        The columns of the table.
    *pictures : str or None
        Further files, which carry tcalloc's mark.

    Raises
    ------
    UsageError, InputError
        The message names the file.
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


def refuse_verifier(path: str) -> None:
    """Raise an error about --verifier if there are no samples.

    Raises
    ------
    UsageError
        Always.
    """
    raise UsageError(f"--verifier is for run folders: a verifier looks at samples, and {path} holds none.")


def load(path: str, actions: str | None = None, verifier: bool = False, labels: str = "gold") -> "Table":
    """Read a table, or make one from a run folder; print a note about what was ignored.

    Parameters
    ----------
    path : str
        A table's file, or a run folder.
    actions : str or None
        For a run folder: names of actions, separated by commas; None: the usual actions.
    verifier : bool
        For a run folder: whether a verifier recognises right answers live.
    labels : str
        For a run folder: what counts as the right answer.
    """
    from tcalloc.measure.actions import Action
    from tcalloc.measure.labels import GOLD
    from tcalloc.measure.labels import refuse_verifier as refuse_both
    from tcalloc.measure.referee import judged
    from tcalloc.measure.samples import Samples
    from tcalloc.measure.table_files.load_and_save import load_table
    from tcalloc.runs.recorded_answers import notes_for

    if os.path.isdir(path):
        samples = Samples.load(path, labels)
        refuse_both(samples, verifier)
        if actions is None:
            asked = judged(samples, 1)[0].usual_actions(verifier)
        else:
            asked = [Action.parse(name.strip()) for name in actions.split(",")]
        if checked := [action.name for action in asked if "verifier" in action.kind.needs]:
            say(
                f"note: {path}: {', '.join(checked)}: these actions need a verifier that recognises right answers "
                "live. Without one their accuracies cannot be reached."
            )
        table = samples.table(asked)
        recorded = all(arm.cost is not None for arm in samples.by_model.values())
        say(f"note: {path}: costs are {'those recorded with the samples' if recorded else 'numbers of samples'}.")
        for note in notes_for(table.notes, verifier):
            say(f"note: {path}: {note}")
        return table
    if actions is not None:
        raise UsageError(f"--actions is for run folders; the actions of {path} are its columns.")
    if verifier:
        refuse_verifier(path)
    if labels != GOLD.kind:
        raise UsageError(f"--labels is for run folders: {path} holds no answers that could be compared. Leave it out.")
    table = load_table(path)
    if table.ignored:
        names = [repr(name if len(name) <= 30 else name[:27] + "...") for name in table.ignored[:8]]
        more = f" and {len(table.ignored) - 8} more" if len(table.ignored) > 8 else ""
        what = "arrays" if path.lower().endswith(".npz") else "columns"
        say(f"note: {path}: ignored the {what} {', '.join(names)}{more}, which are no part of a table.")
    return table


def write_output(path: str, columns: Mapping[str, "NDArray[Any]"]) -> None:
    """Write named columns to a file, or as CSV to standard output."""
    if (path == "-" or suffix_of(path) == ".csv") and (found := formulas(columns)):
        say(
            f"note: {counted(found, 'cell')} would be run by a spreadsheet (beginning with =, +, - or @) and got an "
            "apostrophe in front. .parquet and .npz hold names as they are."
        )
    if path != "-":
        write_columns(path, columns)
        say(f"wrote {path}: {counted(len(next(iter(columns.values()))), 'row')} of {', '.join(columns)}.")
    elif sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    elif hasattr(sys.stdout, "buffer") and not sys.stdout.isatty():
        # Bytes, so that the data do not depend on the terminal's encoding.
        sys.stdout.flush()
        with naming("standard output"):
            write_csv(sys.stdout.buffer, columns)
    else:
        memory = io.BytesIO()
        write_csv(memory, columns)
        sys.stdout.write(memory.getvalue().decode())


def finite(value: float) -> float | None:
    """Return a value for JSON: null if it is not finite."""
    value = float(value)
    return value if math.isfinite(value) else None


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document."""
    print(json.dumps(document, allow_nan=False))


def hindsight(table: "Table", path: str, what: str, verifier: bool) -> str | None:
    """Return a warning if a plan or curve knows the outcomes, with the command for an attainable figure."""
    if not table.single_outcomes:
        return None
    return (
        f"Hindsight: {what} knows the outcomes, and no policy can attain its accuracy.\n"
        f"Every cell of {path} is a single answer, right or wrong.\n"
        f"For an accuracy that can be attained, run: {attainable(path, verifier)}"
    )


def attainable(path: str, verifier: bool) -> str:
    """Return the command that gives attainable figures for a table."""
    return f"tcalloc compare {shlex.quote(path)}{' --verifier' if verifier else ''}"


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

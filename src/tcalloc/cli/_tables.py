"""Tables in and out: a file or run folder as a table, columns as a file, and what is said of single outcomes."""

import argparse
import errno
import io
import os
import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tcalloc._counts import counted
from tcalloc._files import naming
from tcalloc.cli._parser import UsageError, say
from tcalloc.measure.labels import GOLD
from tcalloc.measure.table_files.write import formulas, suffix_of, write_columns, write_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tcalloc.measure.table import Table

__all__ = ["LAYOUT", "attainable", "hindsight", "load", "refuse_run_options", "write_output"]

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


def load(args: argparse.Namespace) -> "Table":
    """Read the table, or make one from the run folder, that the command line names; print notes about it."""
    from tcalloc.measure.actions import Action
    from tcalloc.measure.labels import refuse_verifier
    from tcalloc.measure.referee import judged
    from tcalloc.measure.samples import Samples
    from tcalloc.measure.table_files.load_and_save import load_table
    from tcalloc.runs.recorded_answers import notes_for

    path, verifier = args.table, args.verifier
    if os.path.isdir(path):
        samples = Samples.load(path, args.labels)
        refuse_verifier(samples, verifier)
        if args.actions is None:
            asked = judged(samples, 1)[0].usual_actions(verifier)
        else:
            asked = [Action.parse(name.strip()) for name in args.actions.split(",")]
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
    refuse_run_options(args)
    if args.labels != GOLD.kind:
        raise UsageError(f"--labels is for run folders: {path} holds no answers that could be compared. Leave it out.")
    table = load_table(path)
    if table.ignored:
        names = [repr(name if len(name) <= 30 else name[:27] + "...") for name in table.ignored[:8]]
        more = f" and {len(table.ignored) - 8} more" if len(table.ignored) > 8 else ""
        what = "arrays" if path.lower().endswith(".npz") else "columns"
        say(f"note: {path}: ignored the {what} {', '.join(names)}{more}, which are no part of a table.")
    return table


def refuse_run_options(args: argparse.Namespace) -> None:
    """Raise an error for options of run folders, where a table is given."""
    if args.actions is not None:
        raise UsageError(f"--actions is for run folders; the actions of {args.table} are its columns.")
    if args.verifier:
        raise UsageError(f"--verifier is for run folders: a verifier looks at samples, and {args.table} holds none.")


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

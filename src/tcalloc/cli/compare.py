"""``tcalloc compare``: every policy side by side on your own data, held out, at the same spend."""

import argparse
import math
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcalloc._checks import did_you_mean
from tcalloc._outputs import save_picture
from tcalloc.cli import _shared as shared
from tcalloc.errors import MissingExtraError

if TYPE_CHECKING:
    from tcalloc.cli._compared import Given
    from tcalloc.evaluate.comparison import Comparison

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Compare every policy on your own samples or table. Each is trained without the
questions that score it, and all spend the same. The gain of each over the best
fixed mixture has an interval. The end of the output says which policy to use,
and how sure that is.
"""

EPILOG = f"""\
examples:
  tcalloc compare --demo                       the recorded table
  tcalloc compare run/ --budgets 1.5,2,3,4 --report report.html
                                               write a page with pictures too
  tcalloc compare run/ --policies "Sequential,AC Beta,fixed k"
                                               some of the policies
  tcalloc compare run/ --verifier              a verifier recognises right
                                               answers live, as unit tests do;
                                               without it no policy sees them
  tcalloc compare table.csv --text question --difficulty level
                                               columns of the table's file
  tcalloc compare table.csv --questions questions.jsonl --category task
                                               texts from a questions file
  tcalloc compare run/ --features probe.csv --feature-cost 0.1
                                               columns of numbers by id, such as
                                               a reward model's scores
  tcalloc compare run/ --json > result.json    everything, for programs

run folders, from tcalloc sample or tcalloc import, let all policies take part.
With a table of expectations (layout: tcalloc solve --help), only policies that
decide before sampling take part. Policies that look at the question need its
text, and scikit-learn and XGBoost: pip install 'tcalloc[learn]'.

columns of the result: accuracy is measured on held-out questions. gain is
accuracy minus that of the best fixed mixture of actions at the same spend, on
the same questions, with a 95 % interval. Bounds come last; they know what no
policy can know. The same seed gives the same figures for any number of --jobs.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("table", metavar="TABLE", nargs="?", help="a run folder, or a .csv, .parquet or .npz file")
    parser.add_argument("--demo", action="store_true", help="the recorded table that ships with the package")
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--budgets", metavar="B,...", type=_budgets, help="mean spends per question (default: some that the data allow)"
    )
    what.add_argument(
        "--policies", metavar="NAMES", help="the policies to compare, separated by commas, by the names in the result"
    )
    shared.add_verifier(what)
    shared.add_labels(what)
    shared.add_actions(what)
    known = parser.add_argument_group("what is known about a question before sampling")
    known.add_argument("--questions", metavar="FILE", help="a questions file with the texts")
    known.add_argument("--text", metavar="COLUMN", help="for a table: the column of its file that holds the texts")
    known.add_argument(
        "--category",
        metavar="COLUMN",
        action="append",
        default=[],
        help="a column of the table's file, or a field of the questions, with their kind; may be repeated",
    )
    known.add_argument("--difficulty", metavar="COLUMN", help="the column or field that holds a difficulty label")
    shared.add_features(known, cost=True)
    known.add_argument(
        "--costs-known", action="store_true", help="each question's own costs are known before sampling, not only means"
    )
    shared.add_unit(known)
    shared.add_force(parser)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--folds", metavar="N", type=lambda text: shared.count(text, 2), default=5, help="over questions (default: 5)"
    )
    how.add_argument(
        "--repeats",
        metavar="N",
        type=shared.count,
        default=1,
        help="repetitions with other folds; from 2 on the noise of training is shown (default: 1)",
    )
    how.add_argument("--seed", metavar="N", type=lambda text: shared.count(text, 0), default=0, help="(default: 0)")
    shared.add_per_second(how)
    how.add_argument("--jobs", metavar="N", type=shared.count, help="processes (default: one per core)")
    out = parser.add_argument_group("what is written")
    out.add_argument("--report", metavar="PATH", type=shared.page, help="write a page that needs no network: .html")
    out.add_argument("--plot", metavar="PATH", type=shared.picture, help="draw accuracy over spend: .png, .svg or .pdf")
    out.add_argument("--json", action="store_true", help="print one JSON document instead of the table")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    _refuse(args)
    # These imports would slow --help down.
    from tcalloc.cli import _compared
    from tcalloc.evaluate.compare import compare
    from tcalloc.evaluate.contestants import NAMES

    policies = "all" if args.policies is None else _named(args.policies, NAMES)
    given = _compared.read(args)
    result = compare(
        given.data,
        policies,
        args.budgets,
        X=given.x,
        difficulty=given.difficulty,
        actions=given.actions,
        verifier=args.verifier,
        folds=args.folds,
        repeats=args.repeats,
        random_state=args.seed,
        feature_cost=args.feature_cost,
        costs_known=args.costs_known,
        unit=args.unit,
        n_jobs=-1 if args.jobs is None else args.jobs,
        progress=sys.stderr is not None,
    )
    try:
        _write(result, args, given)
    finally:  # a full disk must not lose the result of minutes
        if args.json:
            written = {"table": given.name, "report": args.report, "plot": args.plot}
            shared.print_json(written | result.to_dict() | {"recommendation": result.recommend().to_dict()})
        else:
            print(_summary(result, given))
        if sys.stdout is not None:
            sys.stdout.flush()  # if a file could not be written, unwritten output would be dropped
    return 0


# ---------------------------------------------------------------------------------------------- before the work


def _refuse(args: argparse.Namespace) -> None:
    """Before the work, raise an error for outputs that could not be written after it."""
    for path in (args.report, args.plot):
        shared.check_output(path, args.table, force=args.force)
    for option in shared.given(args, "report", "plot"):
        shared.require_matplotlib(f"--{option}")
    if args.report is not None:
        try:
            import jinja2  # noqa: F401
        except ImportError:
            raise MissingExtraError("--report needs Jinja2: pip install 'tcalloc[plot]'") from None


def _named(text: str, known: Iterable[str]) -> list[str]:
    """Return the policies that a text names; some of the names contain a comma."""
    names = {name.casefold(): name for name in known}
    parts = [" ".join(part.split()) for part in text.split(",")]
    found: list[str] = []
    while parts:
        # The longest name that fits here: "imitator, cost-sensitive" before "imitator".
        for size in range(len(parts), 0, -1):
            name = names.get(", ".join(parts[:size]).casefold())
            if name is not None:
                found.append(name)
                del parts[:size]
                break
        else:
            there = "; ".join(names.values())
            meant = did_you_mean(parts[0], names.values())
            raise shared.UsageError(f"--policies: there is no policy {parts[0]!r}; there are: {there}.{meant}")
    return list(dict.fromkeys(found))


# ---------------------------------------------------------------------------------------------- after the work


def _summary(result: "Comparison", given: "Given") -> str:
    head = f"{given.name}: {shared.counted(result.questions, 'question')}"
    return "\n\n".join([head, str(result), result.recommend().text(given.source)])


def _write(result: "Comparison", args: argparse.Namespace, given: "Given") -> None:
    if args.report is not None:
        result.report(args.report, given.source)
        shared.say(f"wrote {args.report}.")
    if args.plot is not None:
        _plot(result, args.plot, given.name)


def _plot(result: "Comparison", path: str, name: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.4), layout="constrained")
    ax = figure.add_subplot()
    result.plot(ax)
    if not ax.get_title() and not ax.get_title(loc="left"):
        title = f"{os.path.basename(name.rstrip('/'))}: {shared.counted(result.questions, 'question')}"
        ax.set_title(title, loc="left", parse_math=False)
    save_picture(figure, path)
    shared.say(f"wrote {path}.")


# ---------------------------------------------------------------------------------------------- arguments


def _budgets(text: str) -> list[float]:
    found = []
    for part in text.split(","):
        value = shared.real(part)
        if not 0 <= value < math.inf:
            raise argparse.ArgumentTypeError(
                f"{part.strip()!r} is not a budget; expected numbers of at least 0, with commas between them: 1.5,2,3"
            )
        found.append(value)
    return found

"""``tcalloc frontier``: the best accuracy at every budget."""

import argparse
import os
import textwrap
from typing import Any

import numpy as np

from tcalloc._amounts import digits
from tcalloc._frontier import Frontier
from tcalloc._outputs import save_picture
from tcalloc.cli import _shared as shared
from tcalloc.cli import _tables as tables
from tcalloc.learn.registry import REFERENCE
from tcalloc.measure import Table
from tcalloc.measure.summaries import curve_points, fixed_mixture

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
The highest mean accuracy at every mean budget, and the price at each: the
accuracy that one more unit of cost buys there. It shows what budget is worth
paying.
"""

EPILOG = f"""\
examples:
  tcalloc frontier table.csv                   from the cheapest to the last
                                               useful budget
  tcalloc frontier table.csv --points 30       more points
  tcalloc frontier table.npz --plot curve.png  a picture (.png, .svg, .pdf)
  tcalloc frontier table.csv --out curve.csv   every vertex of the curve
  tcalloc frontier table.csv --json            the points, for programs

The best fixed mixture gives the same one or two actions to all instances at
random. It is what a budget reaches without looking at the instances. --out
writes budget, accuracy and price (of the next unit) of the vertices. Between
them the curve is straight.

{tables.LAYOUT}
{shared.EXIT_CODES}"""

CAUTION = "If the accuracies are estimated on few samples, the curve is too high: it chooses on what it reports."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("table", metavar="TABLE", help="a .csv, .parquet or .npz file (layout: below)")
    parser.add_argument(
        "--points",
        metavar="N",
        type=lambda text: shared.count(text, 2),
        default=12,
        help="about this many budgets are printed (default: 12)",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=shared.output,
        help="write the whole curve: .csv, .parquet, .npz, or - for CSV on standard output (the table of points then "
        "goes to standard error)",
    )
    parser.add_argument("--plot", metavar="PATH", type=shared.picture, help="draw the curve: .png, .svg or .pdf")
    shared.add_actions(parser)
    shared.add_verifier(parser)
    shared.add_labels(parser)
    shared.add_unit(parser)
    shared.add_force(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table of points")
    parser.add_argument(
        "--threads", metavar="N", type=shared.count, default=1, help="worth it above 100,000 instances (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    shared.check_outputs(args, ("budget", "accuracy", "price"), args.plot)
    if args.plot is not None:
        shared.require_matplotlib("--plot")
    table = tables.load(args)
    curve = table.frontier(threads=args.threads)
    mixture = fixed_mixture(table)
    if args.out is not None:
        prices = np.append(curve.prices, 0.0)
        tables.write_output(args.out, {"budget": curve.budgets, "accuracy": curve.accuracies, "price": prices})
    if args.plot is not None:
        _plot(args, table, curve, mixture)
    points = curve_points(curve, mixture, args.points)
    shared.print_result(
        args, lambda: _document(args, table, curve, points), lambda: _summary(args, table, curve, points)
    )
    return 0


def _summary(args: argparse.Namespace, table: Table, curve: Frontier, points: dict[str, Any]) -> str:
    n, k = table.acc.shape
    heads = [
        "budget" if args.unit is None else f"budget ({shared.unit_words(args.unit)})",
        table.labels.words.noun,
        "price",
    ]
    accuracies = [points["accuracy"].tolist()]
    if "best_fixed_mixture" in points:
        heads.append(REFERENCE)
        accuracies.append(points["best_fixed_mixture"].tolist())
    said = shared.columns_of([value for values in accuracies for value in values], trim=False)
    size = len(points["budget"])
    columns = [
        [shared.number(budget) for budget in points["budget"].tolist()],
        said[:size],
        [digits(price) for price in points["price"].tolist()],
        *([said[size:]] if len(accuracies) > 1 else []),
    ]
    weighted = "" if table.weights is None else ", weighted"
    knows = tables.hindsight(table, args.table, "this curve", args.verifier)
    notes = [CAUTION] if table.se is None and knows is None else []
    if len(accuracies) == 1:
        notes.insert(0, "Best fixed mixture: not computed; some instances do not have every action.")
    elif "-" in said:
        notes.insert(0, "-: no fixed mixture is this cheap; instances differ in which action is the cheapest.")
    return "\n\n".join(
        [
            *([] if knows is None else [knows]),
            *([textwrap.fill(reference, 98)] if (reference := table.labels.sentence()) else []),
            f"{args.table}: {shared.counted(n, 'instance')}{weighted}, {shared.counted(k, 'action')}, "
            f"a curve of {shared.counted(len(curve.prices), 'step')}",
            shared.text_table(heads, [*zip(*columns, strict=True)], left=0),
            *(["\n".join(notes)] if notes else []),
        ]
    )


def _document(args: argparse.Namespace, table: Table, curve: Frontier, points: dict[str, Any]) -> dict[str, Any]:
    rows = zip(*(values.tolist() for values in points.values()), strict=True)
    return {
        "table": args.table,
        "labels": table.labels.to_dict(),
        "instances": table.acc.shape[0],
        "action_names": table.action_names,
        "smallest_budget": curve.budgets[0],
        "last_useful_budget": curve.budgets[-1],
        "vertices": len(curve.budgets),
        "single_outcomes": table.single_outcomes,
        "attainable": tables.attainable(args.table, args.verifier) if table.single_outcomes else None,
        "unit": args.unit,
        "points": [{"best_fixed_mixture": None} | dict(zip(points, row, strict=True)) for row in rows],
        "out": args.out,
        "plot": args.plot,
    }


def _plot(args: argparse.Namespace, table: Table, curve: Frontier, mixture: Frontier | None) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    ax = figure.add_subplot()
    label = "action per instance" + (", in hindsight (a bound)" if table.single_outcomes else "")
    _draw(ax, curve, color="#1257a8", lw=2.5, label=label)
    if mixture is not None:
        _draw(ax, mixture, color="#333333", lw=1.5, ls=(0, (4, 3)), label=REFERENCE)
    ends = np.concatenate([c.budgets[[0, -1]] for c in (curve, mixture) if c is not None])
    if ends.min() > 0 and ends.max() / ends.min() >= 30:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: digits(value)))
        ax.xaxis.set_minor_locator(NullLocator())
    counted = "" if args.unit is None else f", {shared.unit_words(args.unit)}"
    ax.set_xlabel(f"budget (mean cost per instance{counted})", parse_math=False)
    ax.set_ylabel(f"mean expected {table.labels.words.full}")
    n, k = table.acc.shape
    title = f"{os.path.basename(args.table)}: {shared.counted(n, 'instance')}, {shared.counted(k, 'action')}"
    ax.set_title(title, loc="left", parse_math=False)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, loc="lower right")
    save_picture(figure, args.plot)
    shared.say(f"wrote {args.plot}.")


def _draw(ax: Any, curve: Frontier, **style: Any) -> None:
    """Draw a curve with points between its vertices: on a logarithmic axis its straight parts are not straight."""
    low, high = curve.budgets[[0, -1]].tolist()
    budgets = (np.geomspace if low > 0 else np.linspace)(low, high, 1000) if high > low else np.array([low])
    style |= {"marker": "o"} if len(budgets) == 1 else {}
    ax.plot(budgets, np.interp(budgets, curve.budgets, curve.accuracies), **style)

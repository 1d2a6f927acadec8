"""``tcalloc solve``: one budget, one action per instance."""

import argparse
import math
import textwrap
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._solve import Allocation
from tcalloc.cli import _shared as shared
from tcalloc.cli import _tables as tables
from tcalloc.errors import BudgetError
from tcalloc.measure import Table
from tcalloc.measure.summaries import action_uses, mixture_beside

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Choose one action for every instance of a table: the highest mean accuracy whose
mean cost is within the budget. Prints a summary; --out writes the actions.
"""

EPILOG = f"""\
examples:
  tcalloc solve table.csv --budget 4           4 per instance on average
  tcalloc solve table.csv --total 5000         5000 for all instances together
  tcalloc solve table.csv --accuracy 0.92      reach that accuracy, at most one
                                               step above the cheapest spend
  tcalloc solve table.csv --budget 1.5 --unit usd
                                               costs are dollars
  tcalloc solve table.npz --budget 4 --out actions.csv
                                               id, action, accuracy, cost of all
  tcalloc solve table.csv --budget 4 --out - | head
                                               the same on standard output
  tcalloc solve table.csv --budget 4 --json    everything, for programs
  tcalloc solve run/ --budget 4                votes over 1, 3, 5, ... of the
                                               samples that a run folder holds;
                                               one sample of each model if it
                                               holds only right and wrong
  tcalloc solve run/ --budget 4 --verifier     best of 1, 2, 4, ... samples, if
                                               right answers are recognised live

{tables.LAYOUT}
the summary: the upper bound is the optimum of the linear program, which no
choice exceeds. The gap is the most that a better choice could gain. The price
is the accuracy that one more unit of cost must buy. The best fixed mixture
gives the same one or two actions to all instances at random, at the same spend.
It is what can be reached without looking at the instances. If every cell is a
single answer, right or wrong, the plan knows the outcomes: it is a bound, and
the first line names the command for an attainable figure.

{shared.EXIT_CODES}"""

CAUTION = (
    "Caution: accuracies estimated on the same samples that now choose are too high (by 1 to 9 points in real tables). "
    "Score the chosen actions on samples that did not choose."
)
# If there are more actions than this, only those in use are listed.
LISTED = 20
HEADS = ("id", "action", "accuracy", "cost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("table", metavar="TABLE", help="a .csv, .parquet or .npz file (layout: below), or a run folder")
    limit = parser.add_mutually_exclusive_group(required=True)
    limit.add_argument("--budget", metavar="B", type=shared.budget, help="mean cost per instance that may be spent")
    limit.add_argument("--total", metavar="T", type=shared.budget, help="sum of costs that may be spent")
    limit.add_argument(
        "--accuracy",
        metavar="A",
        type=shared.budget,
        help="the mean accuracy to reach, at most one step above the cheapest spend",
    )
    parser.add_argument(
        "--method",
        choices=("exact", "bisect"),
        default="exact",
        help="bisect is the procedure of arXiv 2604.14853, to compare with (default: exact)",
    )
    parser.add_argument(
        "--threads", metavar="N", type=shared.count, default=1, help="worth it above 100,000 instances (default: 1)"
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=shared.output,
        help="write id, action, accuracy, cost of every instance: .csv, .parquet, .npz, or - for CSV on standard "
        "output (the summary then goes to standard error)",
    )
    shared.add_actions(parser)
    shared.add_verifier(parser)
    shared.add_labels(parser)
    shared.add_unit(parser)
    shared.add_force(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.accuracy is not None and args.method != "exact":
        raise shared.UsageError("--method bisect works with --budget and --total only, not with --accuracy.")
    shared.check_outputs(args, HEADS)
    table = tables.load(args)
    least = None
    if args.accuracy is None:
        plan = table.solve(args.budget, total=args.total, method=args.method, threads=args.threads)
    else:
        curve = table.frontier(threads=args.threads)
        plan, least = curve.allocate(accuracy=args.accuracy), curve.budget_for(args.accuracy)
    chosen = _chosen(table, plan)
    if args.out is not None:
        tables.write_output(args.out, chosen)
    shared.print_result(args, lambda: _document(args, table, plan, least), lambda: _summary(args, table, plan, least))
    return 0


def _chosen(table: Table, plan: Allocation) -> dict[str, NDArray[Any]]:
    """Return the columns that --out writes."""
    n = len(plan.actions)
    rows = np.arange(n)
    return {
        "id": rows if table.ids is None else table.ids,
        "action": plan.actions
        if table.action_names is None
        else np.array(table.action_names, dtype=object)[plan.actions],
        "accuracy": table.acc[rows, plan.actions],
        "cost": table.cost[plan.actions] if table.cost.ndim == 1 else table.cost[rows, plan.actions],
    }


def _mixture_words(table: Table, plan: Allocation, unit: str | None) -> str:
    """Return sentences on the best fixed mixture at the same spend and at the same accuracy."""
    try:
        mixed = mixture_beside(table, plan)
    except BudgetError as error:
        return f"none is this cheap; giving all instances the cheapest action costs {shared.cost(error.limit, unit)}."
    if mixed is None:
        return "not computed; some instances do not have every action."
    parts = ", ".join(f"{shared.share(part)} {name}" for name, part in mixed.parts)
    text = (
        f"{table.labels.words.noun} {shared.columns_of([mixed.accuracy], trim=False)[0]} ({parts}); choosing per "
        f"instance: {'-' if mixed.gain < 0 else '+'}{shared.number(abs(mixed.gain))}."
    )
    if mixed.gain > 0 and unit is not None and not table.single_outcomes:
        needed = mixed.spend_for_the_same_accuracy
        text += f" For the {table.labels.words.noun} of this plan " + (
            "no fixed mixture is good enough."
            if needed is None
            else f"it needs {shared.cost(needed, unit)}: the plan saves "
            f"{shared.per_thousand(needed - plan.spend, unit)}."
        )
    return text


# ---------------------------------------------------------------------------------------------- for people


def _summary(args: argparse.Namespace, table: Table, plan: Allocation, least: float | None) -> str:
    n, k = table.acc.shape
    words = table.labels.words
    accuracy, bound = shared.columns_of([plan.accuracy, plan.upper_bound], trim=False)
    if least is not None:
        limits = f"asked for {shared.number(args.accuracy)}"
        spent = f"per instance; no choice that reaches it costs less than {shared.cost(least, args.unit)}"
    else:
        limits = f"upper bound {bound}, gap {plan.gap:.2g}"
        asked = f" ({shared.cost(args.total, args.unit)} in all)" if args.total is not None else ""
        spent = f"of {shared.cost(plan.budget, args.unit)} per instance{asked}"
        if math.isinf(plan.budget):
            spent = "per instance; no limit was given"
    if table.single_outcomes:
        limits = f"in hindsight, {limits}"
    facts = [
        (words.noun, accuracy, limits),
        ("spend", shared.cost(plan.spend, args.unit), spent),
        ("price", shared.number(plan.price), _price_words(plan.price, args.unit, words.noun)),
    ]
    listed = [use for use in action_uses(table, plan) if use.instances or k <= LISTED]
    rows = zip(
        [use.action for use in listed],
        [f"{use.instances:,}" for use in listed],
        [shared.share(use.share) for use in listed],
        shared.columns_of([use.mean_cost for use in listed]),
        shared.columns_of([use.mean_accuracy for use in listed], trim=False),
        strict=True,
    )
    counted = "" if args.unit is None else f" ({shared.unit_words(args.unit)})"
    heads = ("action", "instances", "share", f"mean cost{counted}", f"mean {words.noun}")
    weighted = "" if table.weights is None else ", weighted"
    said = table.labels.sentence()
    blocks = [
        f"{args.table}: {shared.counted(n, 'instance')}{weighted}, {shared.counted(k, 'action')}",
        *([textwrap.fill(said, 98)] if said else []),
        shared.text_table(("", "", ""), facts, left=3).lstrip("\n"),
        shared.text_table(heads, [*rows])
        + (f"\n({k - len(listed)} more actions are not used)" if len(listed) < k else ""),
    ]
    text = f"Best fixed mixture at the same spend: {_mixture_words(table, plan, args.unit)}"
    blocks.append(textwrap.fill(text, 98))
    knows = tables.hindsight(table, args.table, "this plan", args.verifier)
    return "\n\n".join([*blocks, textwrap.fill(_honesty(table, plan), 98)] if knows is None else [knows, *blocks])


def _honesty(table: Table, plan: Allocation) -> str:
    """Return how far the accuracy can be trusted."""
    if table.se is None:
        return CAUTION
    claim = table.claim(plan)
    if claim.why:
        return f"The {table.labels.words.noun} of {claim.accuracy:.4f} has {claim.why}."
    text = f"The {table.labels.words.noun} is estimated from samples, and corrected for choosing on them: {claim}."
    if abs(claim.correction) >= 0.00005:
        text += (
            f" Samples that chose nothing moved it by {100 * claim.correction:+.2f} points from the plan's own "
            f"{claim.accuracy - claim.correction:.4f}."
        )
    return text


def _price_words(price: float, unit: str | None, noun: str) -> str:
    if price == 0:
        return "spending more would gain nothing"
    if math.isinf(price):
        return "only the cheapest actions can be paid"
    one = "one more unit of cost" if unit is None else f"{shared.in_unit('1', unit)} more"
    return f"{one} must buy {shared.number(price)} {noun}"


# ---------------------------------------------------------------------------------------------- for programs


def _mixture_document(table: Table, plan: Allocation) -> dict[str, Any] | None:
    try:
        mixed = mixture_beside(table, plan)
    except BudgetError:
        return None
    if mixed is None:
        return None
    return {
        "accuracy": mixed.accuracy,
        "parts": [{"action": name, "share": part} for name, part in mixed.parts],
        "spend_for_the_same_accuracy": mixed.spend_for_the_same_accuracy,
    }


def _document(args: argparse.Namespace, table: Table, plan: Allocation, least: float | None) -> dict[str, Any]:
    return {
        "table": args.table,
        "labels": table.labels.to_dict(),
        "instances": len(plan.actions),
        "method": args.method,
        "asked": shared.given(args, "budget", "total", "accuracy"),
        "accuracy": plan.accuracy,
        "upper_bound": plan.upper_bound,
        "gap": plan.gap,
        "spend": plan.spend,
        "budget": plan.budget,
        "least_spend": least,
        "price": plan.price,
        "split": None if plan.split is None else plan.split._asdict(),
        "counts": plan.counts.tolist(),
        "by_action": [use._asdict() for use in action_uses(table, plan)],
        "best_fixed_mixture": _mixture_document(table, plan),
        "single_outcomes": table.single_outcomes,
        "attainable": tables.attainable(args.table, args.verifier) if table.single_outcomes else None,
        "unit": args.unit,
        "action_names": table.action_names,
        "ids": None if table.ids is None else table.ids.tolist(),
        "actions": plan.actions.tolist(),
        "claim": None if table.se is None else asdict(table.claim(plan)),
        "out": args.out,
    }

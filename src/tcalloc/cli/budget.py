"""``tcalloc budget``: what is spent of a budget on live traffic, and what will be at the end of its period."""

import argparse

from tcalloc.cli import _shared as shared

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Show the budget that services keep with tcalloc.BudgetKeeper(state=...): what is
spent and reserved, the current price, and what will be spent at the end of the
period if requests go on as they came. Services need not stop for it.
"""

EPILOG = f"""\
examples:
  tcalloc budget budget.db                     a state in a file
  tcalloc budget redis://127.0.0.1:6379/0#team a state in Redis
  tcalloc budget budget.db --json              one JSON document
  tcalloc budget budget.db --plot period.png   spending over the period
  tcalloc budget budget.db --total 800         raise or lower the total

spent: bills of this period, and the maximum of each grant whose bill never came
(nothing, if the keeper has lost="nothing").
reserved: the most that open grants can cost. Both together are never more than
the total. The price is the accuracy that one more unit of cost must buy.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("state", metavar="STATE", help="a file, or redis://HOST:PORT/DATABASE#NAME")
    parser.add_argument(
        "--total",
        metavar="AMOUNT",
        type=shared.budget,
        help="change the total, also for services that run; at least what is spent and reserved",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument("--plot", metavar="PATH", type=shared.picture, help="draw the period: .png, .svg or .pdf")
    shared.add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc._outputs import save_picture
    from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

    if args.plot is not None:
        shared.require_matplotlib("--plot")
        shared.check_output(args.plot, args.state, force=args.force, what="state")
    with BudgetKeeper.open(args.state) as keeper:
        if args.total is not None:
            keeper.change_total(args.total)
        status = keeper.status()
    if args.json:
        shared.print_json(status.as_dict())
    else:
        print(status)
    if args.plot is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        status.plot(figure.add_subplot())
        save_picture(figure, args.plot)
        shared.say(f"wrote {args.plot}.")
    return 0

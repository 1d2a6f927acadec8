"""``tcalloc demo``: the main job, on a recorded real table or live on a small real model."""

import argparse

from tcalloc.cli._shared import EXIT_CODES, UsageError, add_force

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Show the main job on a table that comes with the package: real answers of three
small language models, recorded. It shows what can be deployed: deciding by the
text of a question, and stopping while samples come in. The plot and --details
also show the bound: an oracle that has seen other answers.
Nothing is downloaded and no model runs; it takes about a quarter of a minute.

With --live a small real model answers 20 questions on this machine: sampled,
graded, estimated, solved, answered in about a minute. It needs the extras llm
and local, and on first use downloads the model (93 MB).
"""

PLOT = "tcalloc-demo.png"

EPILOG = f"""\
examples:
  tcalloc demo                        figures, and the plot tcalloc-demo.png
  tcalloc demo --plot /tmp/demo.svg   the plot elsewhere (.png, .svg, .pdf)
  tcalloc demo --details              all figures
  tcalloc demo --force                replace a plot that tcalloc did not write
  tcalloc demo --no-plot              figures only; needs no Matplotlib
  tcalloc demo --no-plot --json       the same figures for programs
  tcalloc demo --live                 all steps, on a model that runs here

{EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    plot = parser.add_mutually_exclusive_group()
    plot.add_argument("--plot", metavar="PATH", default=PLOT, help=f"where the plot goes (default: {PLOT})")
    plot.add_argument("--no-plot", dest="plot", action="store_const", const=None, help="no plot")
    add_force(parser)
    parser.add_argument("--live", action="store_true", help="sample a small real model now; draws no plot")
    parser.add_argument("--details", action="store_true", help="print all figures, the bound too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.live:
        if args.plot not in (PLOT, None):
            raise UsageError("--live draws no plot; leave --plot out.")
        if args.details:
            raise UsageError("--live has no details; leave --details out.")
        from tcalloc.demo.live import run as live

        live(as_json=args.json)
        return 0
    from tcalloc._outputs import refuse_to_replace
    from tcalloc.demo import run as demonstrate

    if args.plot is not None:
        refuse_to_replace(args.plot, force=args.force)
    demonstrate(plot_path=args.plot, as_json=args.json, in_detail=args.details)
    return 0

"""``tcalloc demo``: the main job on a recorded real table."""

import argparse
from typing import Any

from tcalloc.cli._shared import EXIT_CODES

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Show the main job on a table that comes with the package: real answers of three
small language models, recorded. Nothing is downloaded and no model runs; it
takes seconds.
"""

EPILOG = f"""\
examples:
  tcalloc demo                        figures, and the plot tcalloc-demo.png
  tcalloc demo --plot /tmp/demo.svg   the plot elsewhere (.png, .svg, .pdf)
  tcalloc demo --no-plot              figures only; needs no Matplotlib
  tcalloc demo --no-plot --json       the same figures for programs

{EXIT_CODES}"""


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        prog="tcalloc demo",
        help="the main job on a recorded real table",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    plot = parser.add_mutually_exclusive_group()
    plot.add_argument(
        "--plot", metavar="PATH", default="tcalloc-demo.png", help="where the plot goes (default: tcalloc-demo.png)"
    )
    plot.add_argument("--no-plot", dest="plot", action="store_const", const=None, help="no plot")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc.demo import run as demonstrate

    demonstrate(plot_path=args.plot, as_json=args.json)
    return 0

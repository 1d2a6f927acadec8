"""``tcalloc example``: small files to try every command on."""

import argparse

from tcalloc.cli._shared import EXIT_CODES, add_force

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Write three small files to try every command on, and print the next command for
each: a table of outcomes with prices in dollars, a log of graded answers, and
new questions. They are made from the recorded table that ships with the
package. The prices are not real: one answer of the smallest model costs
$0.0001, and the others cost more in proportion to the measured processor time.
"""

EPILOG = f"""\
examples:
  tcalloc example            into this folder
  tcalloc example try/       into another folder, which is created
  tcalloc example --force    replace files with these names

Existing files are not changed: the command then stops before it writes
anything. In Python: tcalloc.datasets.write_example("try/").

{EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="where to write (default: this folder)")
    add_force(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc.datasets import write_example

    for file in write_example(args.folder, force=args.force):
        print(f"{file.path}: {file.what}. Next: {file.command}")
    return 0

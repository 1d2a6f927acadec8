"""``tcalloc doctor``: a description of this installation, for a bug report."""

import argparse
from typing import Any

from tcalloc.cli._shared import EXIT_CODES, print_json

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Print the versions of tcalloc, Python and all dependencies, which kernels run,
whether their arithmetic is exact, which extras are complete, and the processor.
The output has no key and no path of a user: paste it into a bug report.
"""

EPILOG = f"""\
examples:
  tcalloc doctor
  tcalloc doctor --json

The exit code is 1 if something is broken. An extra that is not installed is not
broken. If tcalloc itself cannot be imported, run
  TCALLOC_KERNEL=reference tcalloc doctor

{EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc._diagnosis import diagnose, problems

    diagnosis = diagnose()
    found = problems(diagnosis)
    if args.json:
        print_json(diagnosis | {"problems": found})
    else:
        print(_page(diagnosis))
        print("\n".join(["", *found]) if found else "\nNothing is broken.")
    return int(bool(found))


def _page(diagnosis: dict[str, Any]) -> str:
    kernel, processor = diagnosis["kernel"], diagnosis["processor"]
    arithmetic = {True: "exact arithmetic", False: "INEXACT arithmetic", None: "not importable"}[kernel["exact"]]
    lines = [
        f"tcalloc    {diagnosis['tcalloc']}",
        f"Python     {diagnosis['python']}, {'with' if diagnosis['gil'] else 'without'} the GIL",
        f"platform   {diagnosis['platform']}",
        f"processor  {processor['name']}, {processor['usable']} usable",
        f"kernels    {kernel['runs']} ones run; compiled: {arithmetic}, {kernel['simd'] or 'no AVX2'}",
        *(f"           {name}" for name in kernel["files"].values()),
        *([] if diagnosis["extras"] else ["extras     unknown: this is a checkout that was not installed"]),
    ]
    for extra, state in diagnosis["extras"].items():
        lacking = [*state["missing"], *(f"{name} (wrong version)" for name in state["wrong"])]
        lines.append(f"extra      {extra}: {'lacks ' + ', '.join(lacking) if lacking else 'complete'}")
    lines += [f"package    {name} {version}" for name, version in diagnosis["packages"].items() if version]
    return "\n".join(lines)

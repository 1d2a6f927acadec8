"""``tcalloc grade``: grade the samples of a run folder again."""

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from tcalloc.cli import _models as models
from tcalloc.cli import _shared as shared

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Grade the samples of a run folder again: those whose grading failed, or all of
them with another grader. No model is asked for answers again.
"""

EPILOG = f"""\
examples:
  tcalloc grade run/                           samples that could not be graded,
                                               with the same grader
  tcalloc grade run/ --grader math             all samples, with another grader
  tcalloc grade run/ --grader python:mine:grade --all
                                               all samples, after a change of
                                               your own function
  tcalloc grade run/ --grader judge --base-url http://127.0.0.1:8080/v1 \\
      --model large                            a model compares the answers
  tcalloc grade run/ --grader judge ... --price-in 0.15 --price-out 0.6 \\
      --max-cost 2                             at most 2 in all

a sample can be graded if its text is stored. An answer that cannot be graded
counts as neither right nor wrong, and the exit code is 1.

--max-cost limits what judges of RUN cost in all, lost replies included. When
the limit is reached, the exit code is 1. The same command with a higher limit
continues.

nothing is lost: replaced verdicts stay in RUN/verdicts.jsonl, and new ones are
stored there as they come. The same command continues after ctrl-C or a crash.
If no answer at all can be graded, the folder stays as it is.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--grader",
        metavar="NAME",
        help="numeric, choice, exact, normalized, regex:PATTERN, math, python:MODULE:FUNCTION, or judge; default: the "
        "grader of the folder",
    )
    parser.add_argument("--all", action="store_true", help="grade also what this grader has graded already")
    parser.add_argument("--concurrency", type=shared.count, default=8, metavar="C", help="answers at one time (8)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the summary")
    models.add_model(parser)
    models.add_judged(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.grader == "judge":
        models.check(args)
    elif args.local or shared.given(args, "base_url", "model", *models.PRICES, "max_cost"):
        raise shared.UsageError("--base-url, --model, --local, --price-... and --max-cost need --grader judge.")
    from tcalloc.llm.graders import make_grader
    from tcalloc.llm.regrading import grade

    with ExitStack() as stack:
        grader: Any = args.grader
        if args.grader == "judge":
            grader = make_grader("judge", client=stack.enter_context(models.client_of(args)))
        result = grade(
            args.run_folder,
            grader,
            everything=args.all,
            max_cost=args.max_cost,
            concurrency=args.concurrency,
            progress=True,
            say=shared.say,
        )
    for note in result.notes:
        shared.say(f"note: {note}")
    if args.json:
        shared.print_json(asdict(result) | {"accuracy": result.accuracy})
    else:
        print(result)
    if result.interrupted:
        return shared.say("interrupted. The verdicts so far are stored. The same command continues.", 130)
    if result.failures.count:
        shared.say(f"error: {result.failures.words()}")
    if result.stopped is not None:
        shared.say(f"error: {result.stopped.rstrip('.')}. The verdicts so far are stored. The same command continues.")
    elif not result.applied:
        shared.say("note: nothing could be graded, so the folder keeps its verdicts.")
    return 1 if result.failures.count or result.stopped is not None else 0

"""The command line ``tcalloc``, with one module for each command.

Data go to standard output, messages to standard error. Exit codes: 0 done; 1 the work failed (a file that cannot be
read, a budget that cannot be kept, a missing extra); 2 wrong command line; 130 interrupted. If the reader of a pipe
closes it early (``| head``), the exit code is 0.

Each command is a module of this package with ``DESCRIPTION``, ``EPILOG``, ``add_arguments(parser)`` and
``run(args) -> exit code``. It is imported when the command line names it; `run` imports what the work needs.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from tcalloc._printing import cleaned_streams
from tcalloc._version import __version__
from tcalloc.cli._parser import EXIT_CODES, Parser, UsageError, say
from tcalloc.errors import TcallocError

__all__ = ["COMMANDS", "main"]

# Every command with its line of help, in the order of the help.
COMMANDS = {
    "demo": "the main job on a recorded real table",
    "example": "small files to try every command on",
    "solve": "one budget: one action for every instance",
    "frontier": "every budget at once",
    "sample": "draw, grade and store samples from a model",
    "import": "a run folder from answers that you have already",
    "grade": "grade a run folder again",
    "compare": "every policy side by side on your data, held out",
    "fit": "a policy that decides on new questions",
    "decide": "an action for every new question, with a policy",
    "answer": "answer questions with a policy, within a budget",
    "serve": "a server in front of a model's, which spends as a policy decides",
    "refit": "the next policy, from what a gateway explored",
    "budget": "what a budget on live traffic has spent, and what it will end with",
    "doctor": "versions, kernels, extras and processor, for a bug report",
}

DESCRIPTION = """\
Which questions deserve more LLM compute? Given a table of the accuracy and the
cost of every way to answer each question (1 sample, a vote of 16, a larger
model, ...), tcalloc chooses one way per question: the highest mean accuracy at
a mean budget, exactly, with a proven upper bound.
"""

EPILOG = f"""\
start here:
  tcalloc demo                                 the main job on a real table
  tcalloc example                              small files to try all this on
  tcalloc solve table.csv --budget 4           which action for which question
  tcalloc frontier table.csv --plot curve.png  every budget at once
  tcalloc sample questions.jsonl --local --out run/
                                               real answers, graded, stored
  tcalloc import logs.jsonl --out run/         answers that you have already
  tcalloc grade run/ --grader math             grade stored answers again
  tcalloc solve run/ --budget 4                a plan with its interval
  tcalloc compare run/ --report report.html    every policy, side by side
  tcalloc fit run/ --budget 4 --out policy/    learn to decide from the text
  tcalloc answer new.jsonl --policy policy/ --budget 4 --local
                                               answer new questions with it
  tcalloc doctor                               what is installed, for reports
  tcalloc solve --help                         the table's layout, examples

{EXIT_CODES}"""


def _parser(words: Sequence[str]) -> Parser:
    """Return the parser of a command line; only the commands that are named in it get their arguments."""
    parser = Parser("tcalloc", DESCRIPTION, EPILOG)
    parser.add_argument("--version", action="version", version=f"tcalloc {__version__}")
    # The parsers of the commands have the class and the arguments of Parser.
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=Parser)
    for name, line in COMMANDS.items():
        if name not in words:
            commands.add_parser(name, help=line, description="", epilog="")
            continue
        module = import_module(f"tcalloc.cli.{'import_' if name == 'import' else name}")
        command = commands.add_parser(
            name, prog=f"tcalloc {name}", help=line, description=module.DESCRIPTION, epilog=module.EPILOG
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name. Default: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    with cleaned_streams():
        return _code(argv)


def _code(argv: Sequence[str] | None) -> int:
    try:
        code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()  # if this fails here, there is still a message; at exit there is none
        return code
    except UsageError as error:
        return say(f"error: {error}", 2)
    except TcallocError as error:
        return say(f"error: {error}", 1)
    except BrokenPipeError:
        _abandon_stdout()
        return 0
    except OSError as error:
        _abandon_stdout()
        reason = error.strerror or str(error) or type(error).__name__
        where = "" if error.filename is None else f"{error.filename}: "
        return say(f"error: {where}{reason}.", 1)
    except MemoryError:
        return say("error: not enough memory for this table. Use float32, or fewer rows at a time.", 1)
    except KeyboardInterrupt:
        return say("interrupted.", 130)


def _run(argv: Sequence[str] | None) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        # Names from a table may contain characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if argv is None else argv
    parser = _parser(words)
    try:
        args = parser.parse_args(words)
    except SystemExit as stop:  # --help, --version, or a wrong command line, which argparse has reported
        return int(stop.code or 0)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    code: int = args.run(args)
    return code


def _abandon_stdout() -> None:
    """Discard what is still buffered; otherwise Python would complain about it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

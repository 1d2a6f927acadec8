"""The command line's parser and its errors. Modules that are slow to import are imported only when they are needed."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

__all__ = ["EXIT_CODES", "Parser", "UsageError", "say"]

EXIT_CODES = """\
exit codes: 0 done; 1 the work failed (unreadable file, budget below the
smallest feasible one, missing extra); 2 wrong command line; 130 interrupted.
Data go to standard output, messages to standard error.
"""


class UsageError(Exception):
    """The command line is wrong in a way that argparse cannot see."""


class Parser(argparse.ArgumentParser):
    """A parser that prints help as it is written, completes no abbreviations, and reports errors in one sentence."""

    def __init__(self, prog: str, description: str, epilog: str, **options: Any):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False, **options)
        self.color = False  # Python 3.14 would colour the help

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and report an unknown option in the command where it stands, so that its options are suggested."""
        words = sys.argv[1:] if args is None else list(args)
        if self._subparsers is None:  # before argparse reports the missing option that was misspelt
            self._refuse([word for word in words[: [*words, "--"].index("--")] if self._misspelt(word)])
        found, unknown = super().parse_known_args(words, namespace)
        self._refuse(unknown)
        return found, unknown

    def _misspelt(self, word: str) -> bool:
        return word[:2] == "--" and " " not in word and word.partition("=")[0] not in self._option_string_actions

    def _refuse(self, unknown: Sequence[str]) -> None:
        if unknown:
            meant = _meant(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant and f'.{meant}'}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            meant = _meant(value, action.choices or ())
            error.message += meant and f".{meant}"
            raise

    def error(self, message: str) -> NoReturn:
        """Report in one sentence what is wrong, and exit."""
        from tcalloc.llm.http.keys import hide_keys

        self.exit(2, f"tcalloc: error: {hide_keys(message)} (see: {self.prog} --help)\n")


def say(message: str, code: int = 0) -> int:
    """Write one line to standard error, if there is one; return the exit code."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print("tcalloc:", " ".join(message.split("\n")), file=sys.stderr)
    return code


def _meant(word: str, known: Iterable[str]) -> str:
    from tcalloc._checks import did_you_mean

    return did_you_mean(word, known)

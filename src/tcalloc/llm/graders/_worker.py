"""What runs in a worker process: one request a line in, one reply a line out, both JSON.

This file is run by its path, not imported, and imports nothing of tcalloc: a worker must start fast, and must not run
the user's main script again, as those of `multiprocessing` do. A worker ends when its input ends, that is, when the
process that started it is gone; if a request hangs just then, its own alarm ends it, which the kernel delivers however
busy Python is.
"""

import importlib
import json
import logging
import os
import re
import signal
import sys
from typing import Any


def main() -> None:
    """Serve requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # what a library prints is no reply
    hello = json.loads(sys.stdin.buffer.readline() or b"null")
    if hello is None:
        return

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    try:
        sys.path[:] = hello["path"]
        limit_memory(hello["memory"])
        jobs: dict[str, Any] = {"math": Maths, "regex": Search}
        serve = jobs[hello["job"]]()
    except ImportError as error:
        return reply({"missing": str(error)})
    except Exception as error:
        return reply({"failed": f"{type(error).__name__}: {error}"})
    reply({"ready": True})
    for line in sys.stdin.buffer:
        alarm(hello["limit"] * 1.5 + 1)
        try:
            message = serve(json.loads(line))
        except Exception as error:
            message = {"failed": f"{type(error).__name__}: {error}"[:300]}
        alarm(0)
        reply(message)


def alarm(seconds: float) -> None:
    """End this process after some seconds, if the system can."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def limit_memory(size: int) -> None:
    """Let a runaway number fail here rather than exhaust the machine, if the system can."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):
        pass


class Search:
    """Regular expressions."""

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what the pattern finds."""
        found = None
        for match in re.compile(request["pattern"], re.MULTILINE).finditer(request["text"]):
            named = "answer" in match.re.groupindex
            found = match["answer"] if named else match[1 if match.re.groups else 0]
            if not request["last"]:
                break
        return {"found": found}


class Maths:
    """math-verify."""

    def __init__(self) -> None:
        logging.disable(logging.CRITICAL)
        self.sympy: Any = importlib.import_module("sympy")
        library: Any = importlib.import_module("math_verify")
        self.parse, self.verify = library.parse, library.verify
        self.golds: dict[str, Any] = {}
        self.key(self.read("\\boxed{\\frac{1}{2}}"))  # what is loaded on first use is loaded before the clock runs

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the canonical answer and whether it is one of the gold answers."""
        answer = self.read(request["text"])
        if not answer:
            return {"key": None, "right": None}
        right = None
        for i, gold in enumerate(request["golds"]):
            if gold not in self.golds:
                if len(self.golds) > 10_000:
                    self.golds.clear()
                self.golds[gold] = self.read(gold)
            # Without its own time limits, which need the main thread and do not always hold; ours do.
            if self.verify(self.golds[gold], answer, timeout_seconds=None) or self.same(self.golds[gold], answer):
                right = i
                break
        return {"key": self.key(answer), "right": right}

    def read(self, text: str) -> Any:
        """Return what math-verify reads: the expression, and its text."""
        return self.parse(text, parsing_timeout=None)

    def same(self, gold: Any, answer: Any) -> bool:
        """Return whether two expressions with variables have the same canonical text; math-verify misses x + 0 = x."""
        expressions = (gold[:1] or [None])[0], answer[0]
        if not all(isinstance(e, self.sympy.Expr) and not e.is_number for e in expressions):
            return False
        key = self.key(answer)
        return key is not None and key == self.key(gold)

    def key(self, answer: Any) -> str | None:
        """Return the canonical text of an answer."""
        try:
            return self.canonical(answer[0])
        except Exception:
            return None

    def canonical(self, value: Any) -> str | None:
        """Return equal texts for equal expressions, as far as that is cheap."""
        sympy = self.sympy
        if isinstance(value, str):
            return None
        if isinstance(value, sympy.Equality) and isinstance(value.lhs, sympy.Symbol):
            return self.canonical(value.rhs)  # x = 5 is 5, as math-verify has it
        if isinstance(value, sympy.FiniteSet):
            return "{" + ", ".join(sorted(map(self.part, value.args))) + "}"
        if isinstance(value, sympy.Tuple):
            return "(" + ", ".join(map(self.part, value.args)) + ")"
        if isinstance(value, sympy.MatrixBase):
            return "[" + "; ".join(", ".join(map(self.part, row)) for row in value.tolist()) + "]"
        if not isinstance(value, sympy.Expr):
            return str(value)
        if any(p.exp.is_number and abs(p.exp) > 1000 for p in value.atoms(sympy.Pow)):
            return None  # would be worked out digit by digit
        value = value.doit().replace(lambda e: isinstance(e, sympy.Float), lambda e: sympy.Rational(str(e)))
        if value.is_Rational:
            return str(value)
        if value.is_number:
            return str(sympy.N(value, 12))
        if sympy.count_ops(value) <= 100:
            value = sympy.cancel(sympy.together(value))
        return str(value)

    def part(self, value: Any) -> str:
        """Return the text of one of several values."""
        return self.canonical(value) or str(value)


if __name__ == "__main__":
    main()

"""A user's own function as a grader."""

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Callable
from typing import Any

from tcalloc.errors import InputError
from tcalloc.llm.graders._base import Grade, mark, reason_of, settle
from tcalloc.llm.graders.text import any_key
from tcalloc.llm.questions import Question

__all__ = ["FunctionGrader", "imported"]


class FunctionGrader:
    """Calls ``function(question, text)``, which may return any of:

    - a `Grade`;
    - True or False: right or wrong; the normalized completion is the vote;
    - text or a number: the answer, which is normalized and compared with the gold answers; None: there is no answer;
    - a pair (answer, correct), where both may be None.

    It runs in this process and in the threads that sample, so it must not hang. Where it raises, exits, or returns
    anything else (NaN, for one), that answer counts as not graded, and the run goes on.

    Parameters
    ----------
    function : callable
        The function.
    name : str, optional
        How it is called in a run's manifest.
    """  # noqa: D400

    def __init__(self, function: Callable[[Question, str], Any], name: str | None = None):
        self.name = name or f"function:{getattr(function, '__qualname__', type(function).__name__)}"
        self._function = function

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        result = self._function(question, text)
        if isinstance(result, Grade):
            return result
        if isinstance(result, tuple) and len(result) == 2:
            answer, correct = result
            if correct is not None:
                return Grade(_answer(answer), mark(correct))
            result = answer
        if isinstance(result, bool) or type(result).__name__ in ("bool", "bool_"):
            return Grade(any_key(text), mark(result))
        return settle(question, _answer(result), any_key, "a text with letters or digits")


def _answer(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not (isinstance(value, int) or math.isfinite(value)):
        raise ValueError(f"the grader returned the number {value}; expected a finite number, text, or a bool")
    if isinstance(value, str | int | float):
        return any_key(str(value))
    raise TypeError(
        f"the grader returned {type(value).__name__}; expected a Grade, a bool, text, None, or (answer, correct)"
    )


def imported(spec: str) -> FunctionGrader:
    """Return the grader of ``python:MODULE:FUNCTION``; modules of the current folder are found too."""
    module, _, function = spec.removeprefix("python:").rpartition(":")
    if not module or not function:
        raise InputError(f"grader {spec!r}: expected python:MODULE:FUNCTION, e.g. python:my_grading:grade.")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except KeyboardInterrupt:
        raise
    except (ImportError, AttributeError) as error:
        raise InputError(f"grader {spec!r}: cannot be imported ({error}). Check the names.") from None
    except BaseException as error:  # also a module that exits
        raise InputError(f"grader {spec!r}: its module fails ({reason_of(error)}). Correct the module.") from None
    finally:
        with contextlib.suppress(ValueError):  # the module may have changed the path itself
            sys.path.remove(here)
    if not callable(found):
        raise InputError(f"grader {spec!r}: is a {type(found).__name__}, not a function.")
    return FunctionGrader(found, spec)

"""Graders: what answer a completion gives, and whether it is right.

A grader is called with a question and a completion, and returns a `Grade`: the normalized answer (equal strings
are the same vote), whether it is correct (None if that is not known), and why grading failed, if it did. Get one from
`make_grader`; `grade_safely` calls it so that its crash costs one grade and the run goes on.
"""

import inspect
from collections.abc import Callable
from typing import Any, cast

from tcalloc._checks import did_you_mean
from tcalloc.errors import InputError
from tcalloc.llm.graders._base import Grade, Grader, check_golds, grade_safely, settle, visible
from tcalloc.llm.graders.choice import ChoiceGrader
from tcalloc.llm.graders.custom import FunctionGrader, imported
from tcalloc.llm.graders.judge import JudgeClient, JudgeGrader
from tcalloc.llm.graders.match import ExactGrader, NormalizedGrader, RegexGrader
from tcalloc.llm.graders.maths import MathGrader
from tcalloc.llm.graders.numeric import NumericGrader

__all__ = [
    "Grade",
    "Grader",
    "JudgeClient",
    "check_golds",
    "grade_safely",
    "make_grader",
    "settle",
    "visible",
]

_KINDS: dict[str, Callable[..., Grader]] = {
    "numeric": NumericGrader,
    "choice": ChoiceGrader,
    "exact": ExactGrader,
    "normalized": NormalizedGrader,
    "math": MathGrader,
    "judge": JudgeGrader,
}


def make_grader(kind: str | Callable[..., Any], **options: Any) -> Grader:
    """Return a grader.

    Parameters
    ----------
    kind : str or callable
        "numeric", "choice", "exact", "normalized", "regex:PATTERN", "math", "judge" (with ``client=``), or
        "python:MODULE:FUNCTION"; or a function ``(question, text)`` (see `FunctionGrader`); or a grader, which is
        returned.
    options
        Those of the kind, e.g. ``tolerance=1e-6`` for "numeric".

    Returns
    -------
    Grader
        Threads may share it. One with a method `close` (regex, math) holds processes; they end at exit at the latest.

    Raises
    ------
    InputError
        For an unknown kind or option.
    MissingExtraError
        If "math" is asked for and math-verify is not installed.
    """
    make: Callable[..., Grader]
    arguments: tuple[Any, ...]
    if isinstance(kind, str):
        head, _, rest = kind.partition(":")
        if head == "regex" and rest:
            make, arguments = RegexGrader, (rest,)
        elif head == "python":
            make, arguments = imported, (kind,)
        elif kind in _KINDS:
            make, arguments = _KINDS[kind], ()
        else:
            hint = "regex needs its pattern, like regex:(\\d+)" if head == "regex" else "unknown"
            allowed = ", ".join([*_KINDS, "regex:PATTERN", "python:MODULE:FUNCTION"])
            raise InputError(f"grader {kind!r}: {hint}; allowed are {allowed}.{did_you_mean(kind, _KINDS)}")
    elif callable(kind):
        if isinstance(getattr(kind, "name", None), str) and not options:
            return cast("Grader", kind)  # a grader already
        make, arguments = FunctionGrader, (kind,)
    else:
        raise InputError(f"grader is a {type(kind).__name__}; expected one of its names or a function(question, text).")
    try:
        inspect.signature(make).bind(*arguments, **options)
    except TypeError as error:
        raise InputError(f"grader {kind if isinstance(kind, str) else make.__name__!r}: {error}.") from None
    return make(*arguments, **options)

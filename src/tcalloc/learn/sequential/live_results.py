"""The check of live results. All are checked before any is counted, so a refused one leaves its run unchanged.

What to use when
----------------
`accepted`
    Results in the form that a run takes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Result
from tcalloc.llm.confidence import Confidence

__all__ = ["accepted"]


def accepted(results: Sequence[Result], combine: str, unscored: bool) -> list[Result]:
    """Return results whose costs are finite, and which hold what the policy needs.

    Parameters
    ----------
    results : sequence of Result
        The results of a draw.
    combine : {"vote", "verifier", "score"}
        What determines the answer. If it is a verifier or scores, each answer must have its mark or score.
    unscored : bool
        Whether an answer may lack a score nevertheless; it then ranks last.

    Raises
    ------
    InputError
        If a cost is negative or not finite, an answer cannot be compared, or a mark or score is missing; names the
        place.
    """
    return [_accepted(result, f"add: results[{i}]", combine, unscored) for i, result in enumerate(results)]


def _accepted(result: Result, place: str, combine: str, unscored: bool) -> Result:
    cost = _number(result.cost)
    if cost is None or not 0 <= cost < np.inf:
        raise InputError(
            f"{place}.cost is {result.cost!r}; expected what the sample cost, a finite number, at least 0."
        )
    try:
        hash(result.answer)
    except TypeError:
        raise InputError(
            f"{place}.answer is {result.answer!r}, which cannot be hashed; expected a text, a number or a tuple, or "
            "None for no answer. Make it one, such as str(answer)."
        ) from None
    silent = result.answer is None
    correct: Any = result.correct
    judged = isinstance(correct, (bool, np.bool_, int, np.integer)) and correct in (0, 1)
    if combine == "verifier" and not judged and not (silent and correct is None):
        raise InputError(
            f"{place}.correct is {correct!r}, but this policy needs a verifier's marks; expected True or "
            "False. Pass Result(…, correct=…); to replay, replay(…, verifier=True)."
        )
    score = _optional(result.score, f"{place}.score")
    if combine == "score" and not silent and not unscored and (score is None or not np.isfinite(score)):
        raise InputError(
            f"{place}.score is {result.score!r}, but this policy decides by scores; expected a finite number, as each "
            "answer had that it was trained on. Pass Result(…, score=…), or answer=None for a sample to leave out."
        )
    tokens = _optional(result.tokens, f"{place}.tokens")
    if tokens is not None and tokens < 0:
        raise InputError(f"{place}.tokens is {result.tokens!r}; expected how many there were, at least 0, or None.")
    _optional(result.logprob, f"{place}.logprob")
    for name, value in zip(Confidence._fields, result.confidence or (), strict=False):
        _optional(value, f"{place}.confidence.{name}")
    return replace(result, cost=cost)


def _optional(value: Any, place: str) -> float | None:
    """Return a number that may be unknown: None, NaN, and as in records -inf."""
    if value is None:
        return None
    found = _number(value)
    if found is None or found == np.inf:
        raise InputError(f"{place} is {value!r}; expected a finite number, or None where it is unknown.")
    return found


def _number(value: Any) -> float | None:
    """Return a value as a number; None if it is none, like texts and truth values."""
    if isinstance(value, (str, bytes, bool, np.bool_)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None

"""Mathematics: answers are compared as expressions by math-verify, in processes that can be killed."""

import importlib.util
import re
from fractions import Fraction

from tcalloc.errors import MissingExtraError
from tcalloc.llm.final_answers import last_boxed
from tcalloc.llm.graders._base import Grade, visible
from tcalloc.llm.graders._pool import WorkerError, WorkerPool
from tcalloc.llm.graders.numbers import DIGITS, fraction_key
from tcalloc.llm.graders.text import bounded
from tcalloc.llm.questions import Question

__all__ = ["MathGrader"]

# Without a box, the answer is looked for near the end only: the patterns of math-verify are slow on long texts.
TAIL = 3000
_DECIMAL = re.compile(rf"-?[0-9]{{1,{DIGITS}}}(?:\.[0-9]{{1,{DIGITS}}})?")
_RATIONAL = re.compile(rf"-?[0-9]{{1,{DIGITS}}}(?:/[0-9]{{1,{DIGITS}}})?")
_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|,|;|!|quad|qquad)(?![A-Za-z])|[\s$]")
_DELIMITED = re.compile(r"\$|\\\(|\\\[|\\boxed|\\begin")


class MathGrader:
    r"""Compares expressions: ``\frac{1}{2}`` is 0.5, ``(x+1)^2`` is ``x^2+2x+1``, ``{1,3} \cup {2}`` is ``{1,2,3}``.

    The answer is the last ``\boxed{...}``, else what math-verify finds near the end of the completion. Votes are
    counted by a canonical form, where there is a cheap one: numbers exactly (or to 12 digits), fractions reduced.

    math-verify refuses threads (its time limits are signals) and can hang beyond its own limits (a signal waits until a
    step in C ends). Here it runs without them in processes that are killed at the limit, wherever they are.

    Parameters
    ----------
    limit : float
        Seconds that one answer may take; beyond it, grading failed, unless the answer equals a gold answer as text.
    workers : int, optional
        How many processes; by default one per processor, at most 4.
    """

    name = "math"

    def __init__(self, *, limit: float = 5.0, workers: int | None = None):
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtraError("grader math: needs math-verify: pip install 'tcalloc[math]'")
        self._pool = WorkerPool("math", limit=limit, workers=workers)

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        text = visible(text)
        box = last_boxed(text)
        golds = question.golds
        plain = box if box is not None else text.strip()
        first = _gold(golds[0]) if golds else ""
        if plain and any(_layout(plain) == _layout(_gold(gold)) for gold in golds):
            return Grade(_key(first), True)
        if all(_DECIMAL.fullmatch(part) for part in (plain, *map(_gold, golds))):
            # Most answers: no process is needed to compare decimal numbers.
            right = any(Fraction(plain) == Fraction(_gold(gold)) for gold in golds)
            return Grade(_key(first if right else plain), right if golds else None)
        wrong = False if golds else None
        if not plain:
            return Grade(None, wrong)
        found = f"\\boxed{{{box}}}" if box is not None else text[-TAIL:]
        try:
            reply = self._pool.call({"text": found, "golds": [_delimited(gold) for gold in golds]})
        except (TimeoutError, WorkerError) as error:
            # The box is what it voted for, whether that is right or not.
            return Grade(None if box is None else _layout(box), None, error=f"math-verify: {error}")
        key = reply["key"] or (None if box is None else _layout(box))
        if reply["right"] is not None:
            return Grade(_key(first), True)
        return Grade(None if key is None else _key(key), wrong)

    def close(self) -> None:
        """End the processes; the next call starts new ones."""
        self._pool.close()


def _gold(gold: str) -> str:
    return last_boxed(gold) or gold.strip()


def _delimited(gold: str) -> str:
    """Return a gold answer as math-verify reads LaTeX: between marks."""
    return gold if _DELIMITED.search(gold) else f"\\boxed{{{gold}}}"


def _layout(text: str) -> str:
    """Return LaTeX without what changes its looks only."""
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return bounded(_LAYOUT.sub("", text).rstrip("."))


def _key(text: str) -> str:
    """Return the key of an answer: of a number as the other graders write it."""
    if _DECIMAL.fullmatch(text) or (_RATIONAL.fullmatch(text) and not re.search("/0+$", text)):
        return fraction_key(Fraction(text))
    return _layout(text) if "\\" in text else bounded(text)

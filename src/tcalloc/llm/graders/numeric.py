"""Numbers: GSM8K's ``#### 42``, boxes, "the answer is 42", and else the last number of the completion."""

import re
from fractions import Fraction
from functools import lru_cache

from tcalloc._checks import is_number
from tcalloc.errors import InputError
from tcalloc.llm.final_answers import last_boxed
from tcalloc.llm.graders._base import Grade, gold_keys, visible
from tcalloc.llm.graders.numbers import Number, find_numbers, fraction_key, words_to_number
from tcalloc.llm.graders.text import after_answer
from tcalloc.llm.questions import Question

__all__ = ["NumericGrader"]

# The rest of the line may name a unit, but "#### 2. Add them up" is a heading, not an answer.
_MARK = re.compile(r"^[ \t]*####[ \t]*([^\n]{1,200})$", re.MULTILINE)
_HEADING = re.compile(r"\**\s*(?:[A-Za-z]|[0-9]+[.):]\s*[^\s0-9])")
# Without any digit, number words count where an answer is announced, or if there is little else.
SHORT = 80
# The last number is looked for in the last characters only.
TAIL = 20_000


class NumericGrader:
    """Compares numbers by value: 42, 42.0, $42, "42 apples" and forty-two are one answer, and so are 0.5 and 1/2.

    The number is taken from the first of: the line ``#### 42``; the last box; the last "answer is" or "Answer:";
    the last number of all. A percent sign does not matter to the vote; where only one of completion and gold answer has
    it, 50 % may stand for 50 and for 0.5.

    Parameters
    ----------
    tolerance : float
        How far a right number may be from the gold answer, relative to it; 0 is exact.
    decimal_comma : bool
        Whether completions write 1.234,5 rather than 1,234.5.
    """

    name = "numeric"
    quick = True

    def __init__(self, *, tolerance: float = 0.0, decimal_comma: bool = False):
        if not is_number(tolerance) or not 0 <= tolerance < 1:
            raise InputError(f"tolerance is {tolerance!r}; allowed are numbers from 0 (exact) to below 1, e.g. 1e-6.")
        self._tolerance = Fraction(tolerance)
        self._comma = decimal_comma
        # The samples of one question come close together, and finding its gold number costs as much as finding theirs.
        self._gold = lru_cache(maxsize=1024)(self._find)

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        number = self._find(visible(text))
        key = None if number is None else fraction_key(number.value)
        if not question.golds:
            return Grade(key, None)
        keys = gold_keys(question, self._gold_key, "a number")
        if number is None:
            return Grade(None, False)
        right = any(self._equal(number, gold) for gold in map(self._gold, question.golds) if gold is not None)
        return Grade(keys[0] if right else key, right)

    def check(self, question: Question) -> None:
        """Refuse a gold answer that is no number."""
        gold_keys(question, self._gold_key, "a number")

    def _gold_key(self, text: str) -> str | None:
        number = self._gold(text)
        return None if number is None else fraction_key(number.value)

    def _equal(self, found: Number, gold: Number) -> bool:
        values = [found.value]
        if found.percent != gold.percent:
            values.append(found.value / 100 if found.percent else found.value * 100)
        if gold.value in values:
            return True
        return any(abs(value - gold.value) <= self._tolerance * abs(gold.value) for value in values)

    def _find(self, text: str) -> Number | None:
        marked = [m[1] for m in _MARK.finditer(text) if not _HEADING.match(m[1])]
        # The first: what follows it may be a question that the model asks itself.
        for part in marked[:1]:
            if numbers := self._numbers(part):
                return numbers[0]
        box = last_boxed(text)
        if box is not None and (numbers := self._numbers(box)):
            return numbers[-1]
        announced = after_answer(text)
        for part in announced:
            # "The answer is 3 + 4 = 7 apples for 2 people": the first number behind the last equals sign.
            for side in (part.rpartition("=")[2], part):
                if numbers := self._numbers(side):
                    return numbers[0]
        if numbers := self._numbers(text[-TAIL:]):
            return numbers[-1]
        for part in [*announced, text] if len(text) <= SHORT else announced:
            if (value := words_to_number(part)) is not None:
                return Number(value, "percent" in part)
        return None

    def _numbers(self, text: str) -> list[Number]:
        return find_numbers(text, decimal_comma=self._comma)

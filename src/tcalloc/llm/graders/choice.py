"""Multiple choice: the letter in many phrasings, or the text of the choice."""

import re
from collections.abc import Callable

from tcalloc._checks import whole
from tcalloc.llm.final_answers import last_boxed
from tcalloc.llm.graders._base import Grade, gold_keys, settle, visible
from tcalloc.llm.graders.text import after_answer, text_key
from tcalloc.llm.questions import Question

__all__ = ["ChoiceGrader"]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# How many letters are allowed where the question does not list its choices.
DEFAULT_CHOICES = 10

_WRAP = r"(?:\\(?:text|mathrm|mathbf|textbf)\s*\{\s*)?"
# A letter at the beginning: "C", "(C)", "C.", "**C)** Paris", "\text{C}".
_LEADING = re.compile(rf"^[\s*_`\"'$\[]*{_WRAP}\(?\s*([A-Za-z])\s*[)\]}}.:,;*_`\"'$]*(?=\s|$|[-\u2013\u2014])(?!')")
# At most six words between, or a text of many thousand "choice" takes seconds.
_OPTION = re.compile(
    r"\b(?:answer|option|choice|choose|chose|select|pick|letter)\b(?:\s+(?:is|option|choice|letter|the|would\s+be)){0,6}"
    r"[\s:*_\"'$(\[]{1,6}([A-Z])(?![A-Za-z'])"
)
# "C is correct", "(C) is the right answer".
_IS_RIGHT = re.compile(
    r"(?<![A-Za-z])\(?([A-Z])\)?[*_]{0,2}\s+is\s+(?:the\s+)?(?:most\s+)?(?:correct|right|best|true|answer)\b"
)
_MARKED = re.compile(
    r"\(([A-Z])\)|\*\*([A-Z])[.):]?\*\*|^[ \t]*([A-Z])[.):](?=\s|$)|(?<![A-Za-z'])([A-Z])\.?\s*$", re.MULTILINE
)
# "A. London ... B. Paris ...": the choices are gone through, not chosen.
_LISTED = re.compile(r"^[ \t*(]*([A-Z])[.):](?=[\s*])", re.MULTILINE)
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_VERB = re.compile(r"(?:is|are|was|were|would|can|cannot)\b")
_NOT = re.compile(r"(?:n't|\bnot)\s*$", re.IGNORECASE)


class ChoiceGrader:
    """Finds which choice a completion takes; the answer is its letter.

    In this order: a box; what follows "answer is" or "Answer:"; a completion that begins with a letter; "option C",
    "C is correct"; the text of exactly one choice; the last letter that is marked as one, like (C) or **C**. The gold
    answer may be a letter, the text of a choice, or (if the question lists its choices) their position from 0.

    Parameters
    ----------
    choices : int
        How many letters are allowed where a question does not list its choices.
    """

    name = "choice"
    quick = True

    def __init__(self, *, choices: int = DEFAULT_CHOICES):
        self._default = whole("choices", choices, 2, 26, hint=" (A to Z)")

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        letters = self._letters(question)
        return settle(
            question, self._find(visible(text), letters, question.choices), self._key(question), self._kind(question)
        )

    def check(self, question: Question) -> None:
        """Refuse a gold answer that is none of the choices."""
        gold_keys(question, self._key(question), self._kind(question))

    def _letters(self, question: Question) -> str:
        return ALPHABET[: len(question.choices) or self._default]

    def _kind(self, question: Question) -> str:
        letters = self._letters(question)
        return f"one of the choices {letters[0]} to {letters[-1]}"

    def _key(self, question: Question) -> Callable[[str], str | None]:
        letters = self._letters(question)

        def key(gold: str) -> str | None:
            letter = gold.strip().strip("().").strip().upper()
            if len(letter) == 1 and letter in letters:
                return letter
            named = [i for i, choice in enumerate(question.choices) if text_key(choice) == text_key(gold)]
            if len(named) == 1:
                return letters[named[0]]
            position = int(gold) if gold.isdecimal() and len(gold) < 3 else len(letters)
            return letters[position] if question.choices and position < len(letters) else None

        return key

    def _find(self, text: str, letters: str, choices: tuple[str, ...]) -> str | None:
        text = text.translate(_QUOTES)
        box = last_boxed(text)
        for part in ([box] if box else []) + after_answer(text):
            found = _leading(part, letters, announced=True) or _by_text(part, choices, letters)
            if found:
                return found
            if (option := _OPTION.search(part)) and option[1] in letters:
                return option[1]
        listed = {match[1] for match in _LISTED.finditer(text)}
        if len(listed) < 2 and (found := _leading(text, letters, announced=False)):
            return found
        for pattern in (_OPTION, _IS_RIGHT):
            for match in reversed(list(pattern.finditer(text))):
                if match[1] in letters and not _NOT.search(text, max(0, match.start() - 8), match.start()):
                    return match[1]
        lines = [line for line in text.splitlines() if line.strip()]
        for somewhere in (lines[-1:], lines[:1], [text]):
            if somewhere and (found := _by_text(somewhere[0], choices, letters)):
                return found
        marked = ["".join(group for group in match.groups() if group) for match in _MARKED.finditer(text)]
        return next((letter for letter in reversed(marked) if letter in letters), None)


def _leading(text: str, letters: str, *, announced: bool) -> str | None:
    """Return the letter that a text begins with; "a" and "I" may be words."""
    text = text.strip()[:200]
    match = _LEADING.match(text)
    if match is None:
        return None
    letter, rest = match[1], text[match.end() :].strip()
    bare = match[0].strip() == letter  # no bracket, no full stop
    if letter.islower() and bare and rest:
        return None
    if bare and not announced and ((letter in "AI" and rest[:1].islower()) or _VERB.match(rest)):
        return None
    return letter.upper() if letter.upper() in letters else None


def _by_text(text: str, choices: tuple[str, ...], letters: str) -> str | None:
    """Return the letter of the one choice whose text stands in a text; a choice within a longer one does not count."""
    key = text_key(text)
    if key is None or not choices:
        return None
    padded = f" {key} "
    keys = [text_key(choice) for choice in choices]
    found = [i for i, choice in enumerate(keys) if choice is not None and f" {choice} " in padded]
    found = [
        i for i in found if not any(j != i and f" {keys[i]} " in f" {keys[j]} " and keys[i] != keys[j] for j in found)
    ]
    return letters[found[0]] if len(found) == 1 else None

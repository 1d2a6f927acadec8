"""Text: the exact answer, the normalized answer, and what a regular expression finds."""

import re
from typing import Literal

from tcalloc.errors import InputError
from tcalloc.llm.final_answers import last_boxed
from tcalloc.llm.graders._base import Grade, gold_keys, settle, visible
from tcalloc.llm.graders._pool import WorkerPool
from tcalloc.llm.graders.text import after_answer, any_key, exact_key, text_key
from tcalloc.llm.questions import Question

__all__ = ["ExactGrader", "NormalizedGrader", "RegexGrader"]


class ExactGrader:
    """The whole completion must be the gold answer; only spaces around it do not matter."""

    name = "exact"
    quick = True

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        return settle(question, exact_key(visible(text)), exact_key, "a text")

    def check(self, question: Question) -> None:
        """Refuse a gold answer that is empty."""
        gold_keys(question, exact_key, "a text")


class NormalizedGrader:
    """Case, punctuation, articles and Unicode variants do not matter: "The Eiffel Tower." is "eiffel tower".

    The whole completion is compared, and if it is none of the right answers, what follows "the answer is" or "Answer:"
    or stands in a box.

    Parameters
    ----------
    accents : bool
        Whether accents matter.
    """

    name = "normalized"
    quick = True

    def __init__(self, *, accents: bool = True):
        self._accents = accents

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""
        text = visible(text)
        box = last_boxed(text)
        parts = [text, *([box] if box else []), *after_answer(text)[:1]]
        keys = [key for part in parts if (key := self._key(part)) is not None]
        if not keys:
            return settle(question, None, self._key, "a text with letters or digits")
        right = set(gold_keys(question, self._key, "a text with letters or digits"))
        # Without a right one, the most precise part is the vote.
        chosen = next((key for key in keys if key in right), keys[1] if len(keys) > 1 else keys[0])
        return settle(question, chosen, self._key, "a text with letters or digits")

    def check(self, question: Question) -> None:
        """Refuse a gold answer of which nothing is left."""
        gold_keys(question, self._key, "a text with letters or digits")

    def _key(self, text: str) -> str | None:
        return text_key(text, accents=self._accents)


class RegexGrader:
    """The answer is what a regular expression finds: its group ``answer``, else its first group, else the whole match.

    The search runs in a process that is killed when it takes too long, since one unlucky pattern and completion can
    keep Python's engine busy for years, and nothing else stops it.

    Parameters
    ----------
    pattern : str
        As in Python's `re`; ``^`` and ``$`` match at lines.
    which : {"last", "first"}
        Which match counts.
    compare : {"any", "exact"}
        How answers are compared: as numbers if they are such and else normalized, or to the letter.
    limit : float
        Seconds that one search may take.
    workers : int, optional
        How many processes; by default one per processor, at most 4.
    """

    def __init__(
        self,
        pattern: str,
        *,
        which: Literal["last", "first"] = "last",
        compare: Literal["any", "exact"] = "any",
        limit: float = 2.0,
        workers: int | None = None,
    ):
        try:
            re.compile(pattern, re.MULTILINE)
        except (re.error, RecursionError, OverflowError) as error:
            raise InputError(
                f"regex:{pattern}: not a regular expression ({error}). Escape special characters by \\."
            ) from None
        if which not in ("last", "first") or compare not in ("any", "exact"):
            raise InputError("which must be 'last' or 'first', and compare 'any' or 'exact'.")
        self.name = f"regex:{pattern}"
        self._pattern = pattern
        self._which = which
        self._key = any_key if compare == "any" else exact_key
        self._pool = WorkerPool("regex", limit=limit, workers=workers)

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion; a search that takes too long raises TimeoutError."""
        request = {"pattern": self._pattern, "text": text, "last": self._which == "last"}
        found = self._pool.call(request)["found"]
        return settle(question, None if found is None else self._key(found), self._key, "a text with letters or digits")

    def check(self, question: Question) -> None:
        """Refuse a gold answer of which nothing is left."""
        gold_keys(question, self._key, "a text with letters or digits")

    def close(self) -> None:
        """End the processes; the next call starts new ones."""
        self._pool.close()

"""Text as votes are counted by it: upper and lower case, punctuation, articles and Unicode variants do not matter."""

import hashlib
import re
import unicodedata
from functools import lru_cache

from tcalloc.llm.graders.numbers import number_key

__all__ = ["after_answer", "any_key", "bounded", "exact_key", "text_key"]

# A longer key is cut, and its hash tells it from others: a run folder would hold every completion twice.
LONGEST = 200
# Of longer texts only the beginning is normalized.
WHOLE = 100_000
# Only the last phrases count, and what follows within so many characters.
PHRASES, AFTER = 20, 1000

# The longest run of combining marks, and the first of them.
MARKS, MARKS_FROM = 30, "\u0300"

_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-", "\u00a0": " "})
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# "answer is", "Answer:", "**Final answer**:", "the answer to the second question would be", ...
_PHRASE = re.compile(r"\banswers?\b[^.\n:=]{0,80}?(?:\bis\b|\bare\b|\bwas\b|\bequals\b|\bbe\b|:|=)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$|[*_]{1,2}(?:\s|$))")


def bounded(key: str) -> str:
    """Return a key; of a long one its beginning and its hash."""
    if len(key) <= LONGEST:
        return key
    return f"{key[: LONGEST - 20]}... {hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:16]}"


def exact_key(text: str) -> str | None:
    """Return a text but for spaces around it."""
    return bounded(text.strip()) or None


def text_key(text: str, *, accents: bool = True) -> str | None:
    """Return a text without case, punctuation, articles and needless spaces.

    What stands between digits stays (3.5 is not 35), as does the sign of a number.

    Parameters
    ----------
    text : str
        Any text.
    accents : bool
        Whether accents matter.

    Returns
    -------
    str or None
        The normalized text; None if nothing is left of it.
    """
    if len(text) > WHOLE:  # no gold answer is as long: what tells it apart from others is enough
        head = text_key(text[:LONGEST], accents=accents) or ""
        return f"{head[: LONGEST - 20]}... {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]}"
    text = unicodedata.normalize("NFKC", _stream_safe(text.translate(_QUOTES))).casefold()
    if not accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    kept = []
    for i, c in enumerate(text):
        if unicodedata.category(c)[0] in "PSC" and not c.isspace():
            before, after = text[i - 1 : i], text[i + 1 : i + 2]
            if c in "'`" or (c == "," and before.isdigit() and text[i + 1 : i + 4].isdigit()):
                continue  # don't, 1,000
            number = (c in ".:/" and before.isdigit() and after.isdigit()) or (
                c in "-." and after.isdigit() and not before.strip()
            )
            # Some signs tell things apart: C++ is not C, and 5 % is not 5.
            kept.append(c if number or c in "+#%=<>^" else " ")
        else:
            kept.append(c)
    normal = "".join(kept)
    without = _ARTICLES.sub(" ", normal)
    # The answer may be an article ("Which letter?" - "A").
    return bounded(" ".join((without if without.strip() else normal).split())) or None


def _stream_safe(text: str) -> str:
    """Return a text whose runs of combining marks are at most `MARKS` long.

    Normalizing sorts each run of marks, in time that grows with the square of its length. As in the Stream-Safe Text
    Format of Unicode (UAX 15), a combining grapheme joiner divides longer runs; no language has such.
    """
    if text.isascii():
        return text
    kept, run = [], 0
    for c in text:
        marks = 0 if c < MARKS_FROM else _marks(c)
        run = run + marks if marks else 0
        if run > MARKS:
            kept.append("\u034f")
            run = marks
        kept.append(c)
    return "".join(kept)


@lru_cache(maxsize=4096)
def _marks(c: str) -> int:
    """Return how many marks a character is made of if it is made of marks alone; else 0."""
    parts = unicodedata.normalize("NFKD", c)
    return len(parts) if unicodedata.combining(parts[0]) else 0


def any_key(text: str) -> str | None:
    """Return the number if a text is one, else the normalized text."""
    return number_key(text) or text_key(text)


def after_answer(text: str) -> list[str]:
    """Return what follows "the answer is", "Answer:" and the like up to the end of the sentence, the last one first."""
    found = []
    for phrase in list(_PHRASE.finditer(text))[: -PHRASES - 1 : -1]:
        rest = text[phrase.end() : phrase.end() + AFTER].lstrip(" \t\r\n*_:=")
        line = rest.partition("\n")[0]
        end = _SENTENCE_END.search(line)
        found.append((line[: end.start()] if end else line).strip(" \t\r*_"))
    return [part for part in found if part]

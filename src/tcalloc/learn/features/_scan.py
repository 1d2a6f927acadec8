r"""One pass over many texts: characters by class, words and their hashes, as arrays.

All texts of a block stand in one array of code points, each followed by a NUL. So NumPy loops over characters and words
where Python would. A word is a run of letters, digits and underscores (``\w+``), in lower case. It is identified by a
64-bit hash: the polynomial Σ code·B^i modulo 2⁶⁴, computed from prefix sums (B is odd, so B⁻ⁱ exists), then mixed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "Scan", "blocks", "hash_words", "pairs", "per_text", "scan"]

# Each character has one class; the first three are the classes of word characters.
CLASSES = ("letter", "capital", "digit", "other", "space", "newline", "stop", "question", "comma", "operator",
           "bracket", "backslash", "dollar", "percent")  # fmt: skip
LETTER, CAPITAL, DIGIT, OTHER, SPACE, NEWLINE, STOP, QUESTION = range(8)
DOLLAR = CLASSES.index("dollar")
MARKS = {"\n": "newline", "%": "percent", "\\": "backslash"}
for _name, _marks in {
    "stop": ".!。",
    "question": "?？",  # noqa: RUF001
    "comma": ",;:、，",  # noqa: RUF001
    "operator": "+-*/=<>^×÷±−√≤≥≠·∑∫",  # noqa: RUF001
    "bracket": "()[]{}",
    "dollar": "$€£¥",
}.items():
    MARKS |= dict.fromkeys(_marks, _name)

BASE = 0x9E3779B97F4A7C15
INVERSE = pow(BASE, -1, 1 << 64)
# Characters that are processed together: enough to make NumPy's calls cheap, few enough for the caches.
BLOCK = 1 << 17

_UNKNOWN = 255
_classes = np.full(0x110000, _UNKNOWN, np.uint8)
_lower = np.zeros(0x110000, np.uint32)


def _learn(codes: NDArray[Any]) -> None:
    """Fill in the tables for characters that have not occurred before."""
    for code in np.unique(codes).tolist():
        character = chr(code)
        lower = character.lower()
        _lower[code] = ord(lower[0])
        if character in MARKS:
            found = CLASSES.index(MARKS[character])
        elif character.isdecimal():
            found = DIGIT
        elif character.isalnum() or character == "_":
            found = CAPITAL if character.isupper() else LETTER
        else:
            found = SPACE if character.isspace() else OTHER
        # Last, and in one store: a thread that sees the class also finds the lower case.
        _classes[code] = found


_learn(np.arange(128))
_ascii_classes, _ascii_lower = _classes[:128].copy(), _lower[:128].astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Scan:
    """The counts and words of a block of n texts.

    Attributes
    ----------
    n : int
        Number of texts.
    counts : ndarray of shape (n, len(CLASSES))
        Characters of each class.
    words : ndarray of shape (n,)
        Number of words in each text.
    sentences, numbers, money : ndarray of shape (n,)
        Ends of sentences; runs of digits; dollar signs before a digit.
    hashes : ndarray of uint64
        Hashes of all words, in order.
    lengths : ndarray
        Lengths of all words, in characters.
    """

    n: int
    counts: NDArray[np.int64]
    words: NDArray[np.int64]
    sentences: NDArray[np.int64]
    numbers: NDArray[np.int64]
    money: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    lengths: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int64]:
        """The text of each word."""
        return np.repeat(np.arange(self.n), self.words)


def blocks(texts: list[str]) -> Iterator[list[str]]:
    """Split a list of texts so that no block holds many more characters than fit into the caches."""
    start = size = 0
    for stop, text in enumerate(texts):
        if size + len(text) > BLOCK and stop > start:
            yield texts[start:stop]
            start, size = stop, 0
        size += len(text)
    if start < len(texts):
        yield texts[start:]


_powers: tuple[NDArray[np.uint64], NDArray[np.uint64]] = (np.empty(0, np.uint64), np.empty(0, np.uint64))


def _power_tables(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return Bⁱ and B⁻ⁱ for i below `size`."""
    global _powers
    tables = _powers
    if len(tables[0]) < size:
        length = 1 << size.bit_length()
        made = []
        for base in (BASE, INVERSE):
            steps = np.full(length, base, np.uint64)
            steps[0] = 1
            made.append(np.cumprod(steps, dtype=np.uint64))
        tables = (made[0], made[1])
        if length <= 4 * BLOCK:  # tables for a giant text are not kept
            _powers = tables
    return tables


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread differences over all bits (the finalizer of splitmix64)."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def scan(texts: list[str]) -> Scan:
    """Read all characters of a block of texts once.

    Parameters
    ----------
    texts : list of str
        At least one text.

    Returns
    -------
    Scan
    """
    n = len(texts)
    joined = "\0" + "\0".join(texts) + "\0"
    lengths = np.fromiter(map(len, texts), np.int64, n) + 1
    if joined.isascii():
        codes: NDArray[Any] = np.frombuffer(joined.encode("ascii"), np.uint8)
        kinds, low = _ascii_classes[codes], _ascii_lower[codes]
    else:
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
        kinds = _classes[codes]
        if (kinds == _UNKNOWN).any():
            _learn(codes[kinds == _UNKNOWN])
            kinds = _classes[codes]
        low = _lower[codes].astype(np.uint64)

    ends = lengths.cumsum()  # the position of each text's NUL
    places: NDArray[Any] = kinds[1:]
    if n > 1:
        places = places + np.repeat(np.arange(0, n * len(CLASSES), len(CLASSES)), lengths)
    counts = np.bincount(places, minlength=n * len(CLASSES)).reshape(n, len(CLASSES))
    counts[:, OTHER] -= 1  # the NUL

    word = kinds <= DIGIT
    edges = (word[1:] != word[:-1]).nonzero()[0] + 1
    starts, stops = edges[0::2], edges[1::2]

    powers, inverses = _power_tables(len(codes))
    prefix = np.empty(len(codes) + 1, np.uint64)
    prefix[0] = 0
    np.cumsum(low * powers[: len(codes)], out=prefix[1:])
    hashes = _mixed((prefix[stops] - prefix[starts]) * inverses[starts])

    closing = (kinds == STOP) | (kinds == QUESTION)
    digit = kinds == DIGIT  # True > False: a run begins here
    # A full stop inside 3.5 or e.g. ends no sentence, and an ellipsis ends one.
    return Scan(
        n=n,
        counts=counts,
        words=per_text(starts, ends),
        sentences=per_text((closing[:-1] & ~(closing | word)[1:]).nonzero()[0], ends),
        numbers=per_text((digit[1:] > digit[:-1]).nonzero()[0] + 1, ends),
        money=per_text(((kinds[:-1] == DOLLAR) & digit[1:]).nonzero()[0], ends),
        hashes=hashes,
        lengths=stops - starts,
    )


def per_text(places: NDArray[Any], ends: NDArray[Any]) -> NDArray[np.int64]:
    """Count the places, in ascending order, that lie in each text; `ends` are the first places after each text."""
    if len(ends) == 1:
        return np.array([len(places)])
    found = places.searchsorted(ends)
    found[1:] -= found[:-1].copy()
    return found


def pairs(found: Scan) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of all pairs of neighbouring words, and the text of each pair."""
    owners = found.owners
    if found.n == 1:
        return _mixed(found.hashes[:-1] * np.uint64(BASE) + found.hashes[1:]), owners[1:]
    same = owners[1:] == owners[:-1]
    first, second = found.hashes[:-1][same], found.hashes[1:][same]
    return _mixed(first * np.uint64(BASE) + second), owners[1:][same]


def hash_words(words: list[str]) -> NDArray[np.uint64]:
    """Return the hashes of single words, sorted."""
    return np.unique(scan([" ".join(words)]).hashes)

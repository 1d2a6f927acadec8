"""Sixteen lexical and structural counts of a question, which need no understanding of its text."""

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.columns import COUNT
from tcalloc.learn.features._scan import CLASSES, Scan, blocks, hash_words, per_text, scan

__all__ = ["COLUMNS", "LEXICAL", "lexical_features", "lexical_rows", "of_scan"]

LEXICAL = {
    "characters": "log(1 + characters)",
    "words": "log(1 + words)",
    "sentences": "log(1 + ends of sentences)",
    "word_length": "mean characters of a word",
    "long_words": "share of words with 8 characters or more",
    "capitals": "capitals in 100 characters",
    "digits": "digits in 100 characters",
    "numbers": "log(1 + runs of digits)",
    "operators": "log(1 + signs of arithmetic and comparison)",
    "brackets": "log(1 + brackets)",
    "commas": "log(1 + commas, colons and semicolons)",
    "lines": "log(1 + line feeds)",
    "money_percent": "log(1 + amounts of money and per cent signs)",
    "latex": "log(1 + backslashes, and dollar signs that are not money)",
    "question_words": "log(1 + words that ask, and question marks)",
    "comparison_words": "log(1 + words that compare, share out or repeat)",
}
"""The names of the features, in order, with their meaning."""

COLUMNS = tuple(f"{COUNT}{name}" for name in LEXICAL)
"""What the columns of X are called that hold them: by the names that `Features` gives them."""

ASKING = """how what which who whom whose when where why is are was were do does did can could would should find
compute calculate determine evaluate solve prove explain name list choose select"""
COMPARING = """more less fewer than most least larger smaller greater bigger higher lower longer shorter older younger
faster slower twice thrice half third quarter double triple times each every per both same equal equally total
altogether remaining rest left ratio percent average another other maximum minimum max min"""
_LISTED = hash_words((ASKING + " " + COMPARING).split())
_ASKS, _COMPARES = (np.isin(_LISTED, hash_words(words.split())) for words in (ASKING, COMPARING))
_PLACE = {name: place for place, name in enumerate(CLASSES)}
_PUNCTUATION = [_PLACE[name] for name in ("operator", "bracket", "comma", "newline")]


def lexical_features(texts: list[str]) -> NDArray[np.float64]:
    """Return the counts of each text.

    Parameters
    ----------
    texts : list of str
        The questions.

    Returns
    -------
    ndarray of shape (n, 16)
        The counts before any standardization; the columns are those of `LEXICAL`.
    """
    if not texts:
        return np.empty((0, len(LEXICAL)))
    return np.concatenate([of_scan(scan(block)) for block in blocks(texts)])


def lexical_rows(texts: list[str]) -> list[dict[str, float]]:
    """Return the counts of each text as a row of X, for policies that are fitted on them in place of the text.

    Parameters
    ----------
    texts : list of str
        The questions.
    """
    return [dict(zip(COLUMNS, row, strict=True)) for row in lexical_features(texts).tolist()]


def of_scan(found: Scan) -> NDArray[np.float64]:
    """Return the features of texts that were scanned."""
    counts = found.counts
    characters = counts.sum(axis=1)
    letters = counts[:, _PLACE["letter"]] + counts[:, _PLACE["capital"]] + counts[:, _PLACE["digit"]]
    ends = found.words.cumsum()
    places = np.minimum(_LISTED.searchsorted(found.hashes), len(_LISTED) - 1)
    listed = _LISTED[places] == found.hashes

    values = np.empty((found.n, len(LEXICAL)))
    some_words, some_characters = np.maximum(found.words, 1), np.maximum(characters, 1)
    values[:, 0] = characters
    values[:, 1] = found.words
    values[:, 2] = found.sentences
    values[:, 3] = letters / some_words
    values[:, 4] = per_text((found.lengths >= 8).nonzero()[0], ends) / some_words
    values[:, 5] = 100.0 * counts[:, _PLACE["capital"]] / some_characters
    values[:, 6] = 100.0 * counts[:, _PLACE["digit"]] / some_characters
    values[:, 7] = found.numbers
    values[:, 8:12] = counts[:, _PUNCTUATION]
    values[:, 12] = found.money + counts[:, _PLACE["percent"]]
    values[:, 13] = counts[:, _PLACE["backslash"]] + counts[:, _PLACE["dollar"]] - found.money
    values[:, 14] = per_text((listed & _ASKS[places]).nonzero()[0], ends) + counts[:, _PLACE["question"]]
    values[:, 15] = per_text((listed & _COMPARES[places]).nonzero()[0], ends)
    for column in (slice(0, 3), slice(7, 16)):
        np.log1p(values[:, column], out=values[:, column])
    return values

"""Texts as numbers, by their words: tf-idf of words and pairs of words, reduced by an SVD; or hashing.

What to use when
----------------
`Tfidf`
    The default. It learns the words and pairs of words, how rare they are, and the directions in which the training
    texts differ most (latent semantic analysis).
`Hashing`
    Learns nothing and keeps no vocabulary: each word adds ±1 to the column of its hash.

Both see words as hashes of 64 bits (`_scan`), so no word of the training texts is kept in a saved policy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.features._scan import Scan, blocks, pairs, scan

__all__ = ["Hashing", "Tfidf"]


class Tfidf:
    r"""tf-idf of words and pairs of words, projected on the first directions of an SVD.

    The weight of a term in a text is (1 + log count)·idf, with idf = 1 + log((1 + n) / (1 + df)); rows have length 1.
    These are the weights of scikit-learn's
    ``TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\w+")``.

    Parameters
    ----------
    components : int
        The largest number of directions to keep.
    terms : int
        The largest number of terms to keep: those that occur in most texts.
    random_state : int
        Seed of the randomized SVD.
    """

    def __init__(self, components: int = 32, terms: int = 50_000, random_state: int = 0):
        self.components = components
        self.terms = terms
        self.random_state = random_state
        self.keys = np.empty(0, np.uint64)
        self.idf = np.empty(0)
        self.directions = np.empty((0, 0), np.float32)

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.directions.shape[1]

    def fit(self, texts: list[str]) -> "Tfidf":
        """Learn the terms and the directions from training texts."""
        from sklearn.utils.extmath import randomized_svd

        terms = []
        for block in blocks(texts):
            found = scan(block)
            second, theirs = pairs(found)
            # A term counts once per text.
            hashes = np.concatenate([found.hashes, second])
            owners = np.concatenate([found.owners, theirs])
            order = np.lexsort((owners, hashes))
            hashes, owners = hashes[order], owners[order]
            again = (hashes[1:] == hashes[:-1]) & (owners[1:] == owners[:-1])
            terms.append(hashes[np.append(True, ~again)] if len(hashes) else hashes)
        keys, frequency = np.unique(np.concatenate(terms), return_counts=True)
        kept = np.flatnonzero(frequency >= (2 if len(texts) > 2 else 1))
        if len(kept) > self.terms:
            kept = np.sort(kept[np.argsort(-frequency[kept], kind="stable")[: self.terms]])
        self.keys = keys[kept]
        self.idf = 1.0 + np.log((1.0 + len(texts)) / (1.0 + frequency[kept]))
        wanted = min(self.components, len(self.keys) - 1, len(texts) - 1)
        if wanted < 1:
            self.directions = np.zeros((len(self.keys), 0), np.float32)
            return self
        directions = randomized_svd(self._sparse(texts), wanted, n_iter=5, random_state=self.random_state)[2]
        self.directions = np.ascontiguousarray(directions.T, np.float32)
        return self

    def of_scan(self, found: Scan) -> NDArray[np.float64]:
        """Return the columns for scanned texts."""
        values = np.zeros((found.n, self.width))
        many, terms, weights = self._weights(found)
        there = many.nonzero()[0]
        if self.width and len(there):
            # Summed in the order of the terms, so that a text alone and the same text among others give equal bits.
            parts = self.directions[terms] * weights.astype(np.float32)[:, None]
            stops = many[there].cumsum()
            values[there] = np.add.reduceat(parts, stops - many[there], axis=0)
        return values

    def _weights(self, found: Scan) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.float64]]:
        """Return the number of known terms of each text; the terms, text by text and ascending; and their weights."""
        second, theirs = pairs(found)
        hashes = np.concatenate([found.hashes, second])
        size = len(self.keys)
        if not size:
            return np.zeros(found.n, np.int64), np.empty(0, np.intp), np.empty(0)
        terms = np.minimum(self.keys.searchsorted(hashes), size - 1)
        known = (self.keys[terms] == hashes).nonzero()[0]
        shift = size.bit_length()
        packed = np.concatenate([found.owners, theirs])[known] << shift | terms[known]
        packed.sort()
        first = np.empty(len(packed), np.bool_)
        first[:1] = True
        np.not_equal(packed[1:], packed[:-1], out=first[1:])
        starts = first.nonzero()[0]
        counts = np.empty(len(starts))
        counts[:-1] = starts[1:] - starts[:-1]
        counts[-1:] = len(packed) - starts[-1:]
        packed = packed[starts]
        rows, terms = packed >> shift, packed & ((1 << shift) - 1)
        weights = (1.0 + np.log(counts)) * self.idf[terms]
        length = np.sqrt(np.bincount(rows, weights * weights, found.n))
        return np.bincount(rows, minlength=found.n), terms, weights / length[rows]

    def _sparse(self, texts: list[str]) -> Any:
        """Return the tf-idf of texts as a sparse matrix of shape (n, terms)."""
        from scipy.sparse import csr_array

        parts = [self._weights(scan(block)) for block in blocks(texts)]
        many, terms, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        indptr = np.concatenate([[0], many.cumsum()])
        return csr_array((weights, terms, indptr), shape=(len(texts), len(self.keys)))

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        meta = {"components": self.components, "terms": self.terms, "random_state": self.random_state}
        return meta, {"keys": self.keys, "idf": self.idf, "directions": self.directions}

    @classmethod
    def _from_state(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "Tfidf":
        made = cls(*(_whole(meta, name) for name in ("components", "terms", "random_state")))
        keys, idf, directions = arrays["keys"], arrays["idf"], arrays["directions"]
        if keys.dtype != np.uint64 or keys.ndim != 1 or not (keys[1:] > keys[:-1]).all():
            raise InputError("the terms (keys) are not hashes in ascending order.")
        if idf.dtype != np.float64 or idf.shape != keys.shape or directions.dtype != np.float32:
            raise InputError("the terms' weights (idf) or directions have a wrong type, or not one entry per term.")
        if directions.ndim != 2 or len(directions) != len(keys) or not np.isfinite(idf).all():
            raise InputError("the directions do not have one row per term, or the weights are not finite.")
        if not np.isfinite(directions).all():
            raise InputError("the directions are not finite.")
        made.keys, made.idf, made.directions = keys, idf, np.ascontiguousarray(directions)
        return made


class Hashing:
    """Feature hashing: each word and pair of words adds ±(1 + log count) to a column; rows have length 1.

    Parameters
    ----------
    components : int
        The number of columns.
    """

    def __init__(self, components: int = 256):
        self.components = components

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.components

    def of_scan(self, found: Scan) -> NDArray[np.float64]:
        """Return the columns for scanned texts."""
        second, theirs = pairs(found)
        hashes = np.concatenate([found.hashes, second])
        rows = np.concatenate([found.owners, theirs])
        sign = 1.0 - 2.0 * (hashes & np.uint64(1)).astype(np.float64)
        columns = ((hashes >> np.uint64(1)) % np.uint64(self.components)).astype(np.int64)
        size = found.n * self.components
        values = np.bincount(rows * self.components + columns, weights=sign, minlength=size).reshape(found.n, -1)
        values = np.sign(values) * np.log1p(np.abs(values))
        length = np.sqrt((values * values).sum(axis=1, keepdims=True))
        return np.asarray(values / np.where(length > 0, length, 1.0))

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        return {"components": self.components}, {}

    @classmethod
    def _from_state(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "Hashing":
        return cls(max(1, _whole(meta, "components")))


def _whole(meta: Any, name: str) -> int:
    value = meta[name]
    if type(value) is not int or not 0 <= value < 1 << 31 or (name == "components" and value > 1 << 16):
        raise InputError(f"{name} of the texts' features is {value!r}; expected an allowed whole number.")
    return value

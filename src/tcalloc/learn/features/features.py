"""Features: one matrix of numbers from X of every kind; each column has a name that says what it is."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, one_of, whole
from tcalloc._counts import counted
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.features._scan import blocks, scan
from tcalloc.learn.features.lexical import LEXICAL, of_scan
from tcalloc.learn.features.text import Hashing, Tfidf
from tcalloc.learn.rows import RowLike, Rows, RowsLike, Schema, as_row, as_rows
from tcalloc.learn.saving.arrays import part_of, with_prefix

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise MissingExtraError("features need scikit-learn: pip install 'tcalloc[learn]'") from None

__all__ = ["Features"]

# Standardized values are cut off here, so that one question of a thousand lines does not outweigh a thousand questions.
CLIP = 4.0
LARGEST = (1 << 31) - 1  # the largest number in 32 bits
MOST_CATEGORIES = 256
# By out-of-fold error, 64 are better than 32 on questions of many kinds.
TFIDF_COLUMNS = 64
HASHING_COLUMNS = 256


class Features(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Cheap features of questions, as a scikit-learn transformer.

    Lexical counts, embeddings and numeric columns are standardized and clipped to ±4; tf-idf columns are the
    coordinates of the SVD; categories are one-hot (a category that was not seen in training is all zeros).

    Parameters
    ----------
    lexical : bool
        Whether to use the 16 counts of `tcalloc.learn.features.lexical.LEXICAL`.
    text : {"tfidf", "hashing", None}
        How to represent words and pairs of words.
    components : int or None
        Number of columns of `text`; None: 64 for tf-idf, 256 for hashing.
    categories : bool
        Whether to use the columns of categories.
    embed : callable, optional
        Takes a list of n texts, returns an array of shape (n, d); for instance an `EmbeddingsEndpoint`. If X has
        several columns of text, they are joined by blank lines.
    random_state : int
        Seed of the SVD.

    Attributes
    ----------
    schema_ : Schema
        What X looked like.
    n_features_in_, feature_names_in_
        As in scikit-learn; names only if the columns of X had names.

    Examples
    --------
    >>> features = Features(text=None).fit(["How many are 3 apples and 4 pears?", "Name the capital of France."])
    >>> features.transform(["What is 12 * 12?"]).shape
    (1, 16)
    >>> features.get_feature_names_out()[:3].tolist()
    ['lexical:characters', 'lexical:words', 'lexical:sentences']
    """

    schema_: Schema

    def __init__(
        self,
        lexical: bool = True,
        text: str | None = "tfidf",
        components: int | None = None,
        categories: bool = True,
        embed: Callable[[list[str]], Any] | None = None,
        random_state: int = 0,
    ):
        self.lexical = lexical
        self.text = text
        self.components = components
        self.categories = categories
        self.embed = embed
        self.random_state = random_state

    @property
    def quick(self) -> bool:
        """Whether it only computes: embeddings may come from elsewhere."""
        return self.embed is None

    # ------------------------------------------------------------------------------------------ fit

    def fit(self, X: RowsLike, y: object = None) -> "Features":
        """Learn terms, directions, means and categories from training questions.

        Parameters
        ----------
        X : sequence of str, array_like of shape (n, d), DataFrame
            As in `tcalloc.learn.rows.as_rows`.
        y : ignored

        Raises
        ------
        InputError
            If X or a parameter is not allowed, or no feature is left.
        """
        self._check()
        rows = as_rows(X)
        rows.schema.set_on(self)
        self.texts_: dict[str, Tfidf | Hashing] = {}
        for column, texts in rows.texts.items() if self.text is not None else ():
            self.texts_[column] = (
                Tfidf(self.components or TFIDF_COLUMNS, random_state=self.random_state).fit(texts)
                if self.text == "tfidf"
                else Hashing(self.components or HASHING_COLUMNS)
            )
        self.levels_ = {name: _levels(values) for name, values in rows.categories.items()} if self.categories else {}
        embedded = None if self.embed is None or not rows.texts else self._embedded(rows, None)
        self.embedding_width_ = 0 if embedded is None else embedded.shape[1]
        self._lay_out()
        raw = self._raw(rows, embedded)[:, self.scaled_]
        self.mean_ = raw.mean(axis=0)
        spread = raw.std(axis=0)
        # A column that does not vary says nothing, whatever it holds later. Rounding must not make it vary.
        flat = spread <= 1e-12 * np.maximum(1.0, np.abs(self.mean_))
        self.scale_ = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, spread))
        return self

    def _lay_out(self) -> None:
        """Set the names of the columns, and which of them are standardized."""
        names: list[str] = []
        scaled: list[str] = []
        texts, numbers = ([] for _ in range(2))  # type: list[str], list[str]
        for j, role in enumerate(self.schema_.roles):
            name = self.schema_.names[j] if self.schema_.names is not None else "text" if role == "text" else f"x{j}"
            if role != "category":
                (texts if role == "text" else numbers).append(name)
        for column in texts:
            head = f"{column}:" if len(texts) > 1 else ""
            if self.lexical:
                names += [f"{head}lexical:{name}" for name in LEXICAL]
                scaled += names[-len(LEXICAL) :]
            width = self.texts_[column].width if column in self.texts_ else 0
            word = "tfidf:svd" if self.text == "tfidf" else "hashing:"
            names += [f"{head}{word}{j:0{max(2, len(str(width - 1)))}d}" for j in range(width)]
        for column, levels in self.levels_.items():
            names += [f"{column}={level}" for level in levels]
        last = [*numbers, *(f"embedding:{j}" for j in range(self.embedding_width_))]
        names += last
        self.names_ = tuple(names)
        count = len(names) - len(last)
        which = np.isin(np.array(names[:count], object), np.array(scaled, object)) if scaled else np.zeros(count, bool)
        self.scaled_ = np.append(which, np.ones(len(last), bool)).nonzero()[0]
        if not names:
            raise InputError("no feature is left: X has no column that lexical, text, categories or embed use.")

    def _check(self) -> None:
        if self.text is not None:
            one_of("text", self.text, ("tfidf", "hashing"), "None")
        for name in ("lexical", "categories"):
            flag(name, getattr(self, name))
        if self.components is not None:
            whole("components", self.components, 1, LARGEST)
        whole("random_state", self.random_state, 0, LARGEST)
        if self.embed is not None and not callable(self.embed):
            raise InputError("embed is not callable; expected a function from a list of n texts to an array (n, d).")

    # ------------------------------------------------------------------------------------------ transform

    def transform(self, X: RowsLike) -> NDArray[np.float64]:
        """Return the features of questions.

        Parameters
        ----------
        X : like that of `fit`

        Returns
        -------
        ndarray of shape (n, d)
            float64, finite. The columns are those of `get_feature_names_out`.

        Raises
        ------
        InputError
            If X does not look like that of `fit`.
        """
        if not hasattr(self, "scale_"):
            check_is_fitted(self, "scale_")  # makes the error message; 40 times as slow as hasattr
        return self._standardized(as_rows(X, expected=self.schema_))

    def transform_one(self, x: RowLike) -> NDArray[np.float64]:
        """Return the features of one question, (d,): the same numbers as those of `transform`, but faster.

        Parameters
        ----------
        x : str, vector or mapping
            One row of X.
        """
        if not hasattr(self, "scale_"):
            raise NotFittedError("these features are not fitted yet. Call fit(X) first.")
        row: NDArray[np.float64] = self._standardized(as_row(x, expected=self.schema_))[0]
        return row

    def get_feature_names_out(self, input_features: object = None) -> NDArray[Any]:
        """Return the columns' names: ``lexical:words``, ``tfidf:svd03``, ``task=gsm8k``, ``embedding:12``.

        Parameters
        ----------
        input_features : ignored
            Only for compatibility with scikit-learn.
        """
        check_is_fitted(self, "scale_")
        return np.array(self.names_, object)

    def describe(self) -> dict[str, str]:
        """Return the feature table: the meaning of each column by its name, in the order of the columns."""
        check_is_fitted(self, "scale_")
        return {name: self._describe(name) for name in self.names_}

    def _describe(self, name: str) -> str:
        column, lexical, count = name.rpartition("lexical:")
        of = f" of {column.removesuffix(':')!r}" if column else ""
        if lexical and count in LEXICAL:
            return LEXICAL[count] + of
        for head, words in (("tfidf:svd", "coordinate of the SVD of"), ("hashing:", "bucket of hashed")):
            column, found, number = name.rpartition(head)
            if found and number.isdigit() and self.texts_:
                of = f" of {column.removesuffix(':')!r}" if column else ""
                return f"{words} words and pairs of words, number {int(number)}{of}"
        for column, levels in self.levels_.items():
            if name.startswith(f"{column}=") and name[len(column) + 1 :] in levels:
                return f"1 where {column!r} is {name[len(column) + 1 :]!r}, else 0"
        if self.embedding_width_ and name.startswith("embedding:"):
            return f"entry {int(name[len('embedding:') :])} of the embedding"
        return f"the column {name!r}"

    def _standardized(self, rows: Rows) -> NDArray[np.float64]:
        embedded = self._embedded(rows, self.embedding_width_) if self.embedding_width_ else None
        values = self._raw(rows, embedded)
        part = values if len(self.scaled_) == values.shape[1] else values[:, self.scaled_]
        part -= self.mean_
        part *= self.scale_
        np.maximum(part, -CLIP, out=part)
        np.minimum(part, CLIP, out=part)
        if part is not values:
            values[:, self.scaled_] = part
        return values

    def _raw(self, rows: Rows, embedded: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the columns before standardization."""
        values = np.empty((rows.n, len(self.names_)))
        at = 0
        for column, texts in rows.texts.items():
            words = self.texts_.get(column)
            middle = at + (len(LEXICAL) if self.lexical else 0)
            end = middle + (words.width if words is not None else 0)
            start = 0
            for block in blocks(texts) if end > at else ():
                found = scan(block)
                here = slice(start, start + len(block))
                if self.lexical:
                    values[here, at:middle] = of_scan(found)
                if words is not None:
                    values[here, middle:end] = words.of_scan(found)
                start += len(block)
            at = end
        for column, levels in self.levels_.items():
            place = {level: j for j, level in enumerate(levels)}
            which = np.fromiter((place.get(value, -1) for value in rows.categories[column]), np.int64, rows.n)
            values[:, at : at + len(levels)] = which[:, None] == np.arange(len(levels))
            at += len(levels)
        for numbers in (rows.numbers, embedded):
            if numbers is not None:
                values[:, at : at + numbers.shape[1]] = numbers
                at += numbers.shape[1]
        return values

    def _embedded(self, rows: Rows, width: int | None) -> NDArray[np.float64]:
        if self.embed is None:
            raise InputError("these features need the embeddings that they were fitted with; pass embed= again.")
        columns = list(rows.texts.values())
        texts = list(columns[0]) if len(columns) == 1 else ["\n\n".join(parts) for parts in zip(*columns, strict=True)]
        try:
            found = np.asarray(self.embed(texts), np.float64)
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"embed did not return an array of numbers (n, d): {error}") from error
        if found.ndim != 2 or len(found) != rows.n or found.shape[1] == 0 or width not in (None, found.shape[1]):
            wanted = "d" if width is None else str(width)
            raise InputError(
                f"embed returned shape {found.shape} for {counted(rows.n, 'text')}; expected ({rows.n}, {wanted})."
            )
        if not np.isfinite(found).all():
            row = int(np.argwhere(~np.isfinite(found))[0, 0])
            raise InputError(f"embed returned a value that is not finite for text {row}.")
        return found

    # ------------------------------------------------------------------------------------------ files

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return the state to save: values for JSON, and arrays; there are no boosters."""
        check_is_fitted(self, "scale_")
        meta: dict[str, Any] = {
            "lexical": bool(self.lexical),
            "text": self.text,
            "components": None if self.components is None else int(self.components),
            "categories": bool(self.categories),
            # Not the endpoint itself: a file must not decide which server gets to read the questions.
            "embed": None if self.embed is None else "given",
            "embedding": None if self.embed is None else repr(self.embed)[:200],
            "embedding_width": self.embedding_width_,
            "random_state": int(self.random_state),
            "schema": self.schema_.to_dict(),
            "levels": self.levels_,
            "texts": {column: words._state()[0] for column, words in self.texts_.items()},
            "names": list(self.names_),
        }
        arrays = {"mean": self.mean_, "scale": self.scale_}
        for number, words in enumerate(self.texts_.values()):
            arrays |= with_prefix(f"text{number}.", words._state()[1])
        return meta, arrays, {}

    @classmethod
    def _from_state(
        cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes]
    ) -> "Features":
        """Return the features with this state; everything is checked as if a stranger had written it."""
        made = cls(*(meta[name] for name in ("lexical", "text", "components", "categories", "embed", "random_state")))
        made._check()
        Schema.from_dict(meta["schema"]).set_on(made)
        roles = dict(zip(made.schema_.names or ("text",), made.schema_.roles, strict=made.schema_.kind == "frame"))
        kind: type[Tfidf] | type[Hashing] = Tfidf if made.text == "tfidf" else Hashing
        wanted = [name for name, role in roles.items() if role == "text"] if made.text is not None else []
        if list(meta["texts"]) != wanted:
            raise InputError("features: the columns of texts are not those of the schema.")
        made.texts_ = {
            column: kind._from_state(inner, part_of(f"text{number}.", arrays))
            for number, (column, inner) in enumerate(meta["texts"].items())
        }
        wanted = [name for name, role in roles.items() if role == "category"] if made.categories else []
        made.levels_ = meta["levels"]
        fine = isinstance(made.levels_, dict) and list(made.levels_) == wanted
        if not fine or not all(_are_levels(levels) for levels in made.levels_.values()):
            raise InputError(
                "features: the levels of the categories must be distinct texts, for each column of the schema."
            )
        made.embedding_width_ = meta["embedding_width"]
        if type(made.embedding_width_) is not int or not 0 <= made.embedding_width_ <= 1 << 16:
            raise InputError("features: embedding_width is not an allowed whole number.")
        made._lay_out()
        made.mean_, made.scale_ = arrays["mean"], arrays["scale"]
        for array in (made.mean_, made.scale_):
            if array.dtype != np.float64 or array.shape != made.scaled_.shape or not np.isfinite(array).all():
                raise InputError(f"features: mean or scale is not {len(made.scaled_)} finite numbers.")
        return made


def _are_levels(levels: Any) -> bool:
    fine = isinstance(levels, list) and all(isinstance(level, str) for level in levels)
    return fine and len(set(levels)) == len(levels) <= MOST_CATEGORIES


def _levels(values: list[str]) -> list[str]:
    """Return the categories that get a column: the most frequent, in order of their names."""
    levels, counts = np.unique(np.array(values, object), return_counts=True)
    kept = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
    return [str(level) for level in levels[np.sort(kept)]]

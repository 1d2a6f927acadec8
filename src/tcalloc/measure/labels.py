"""What the answer code 0 means: the gold answer or, where none is known, a reference that the samples themselves give.

What to use when
----------------
`Labels`
    What the code 0 of samples means, and the words that follow from it.
`GOLD`
    The labels of samples that are marked by gold answers.
`parse_labels`
    From what a user writes, such as "agreement" or "model:qwen".
`leading_codes`
    The most frequent answer of every question.
`relabelled`
    Codes whose 0 is the reference.

Words: the *reference* of a question is the answer that stands in for the gold answer. The *referee* is the model whose
samples give the reference.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean
from tcalloc.errors import InputError
from tcalloc.measure.vocabulary import ACCURACY, AGREEMENT, Vocabulary

__all__ = [
    "FEWEST",
    "GOLD",
    "KINDS",
    "NO_REFERENCE",
    "UNKNOWN",
    "Labels",
    "best_codes",
    "labels_of",
    "leading_codes",
    "median_of",
    "parse_labels",
    "refuse_verifier",
    "relabelled",
    "shares_of",
    "swapped",
]

Codes = NDArray[np.int64]

KINDS = ("gold", "agreement", "model", "teacher", "score")
EXAMPLES = (
    "'gold', 'agreement', 'agreement:MODEL', 'model:MODEL' (the model stays a choice), 'teacher:MODEL' (the model only "
    "gives the reference) and 'score'"
)
# Samples of a question from which on two halves of them can judge each other.
FEWEST = 4
# The reference of a question in which no sample has an answer, and a gold answer that is not known.
NO_REFERENCE, UNKNOWN = -1, -2
# Rows that are compared at once: a block of (rows, S, S) booleans stays within some megabytes.
BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Labels:
    """What the answer code 0 of samples means.

    Parameters
    ----------
    kind : {"gold", "agreement", "model", "teacher", "score"}
        "gold": the gold answer, or what a grader or verifier accepts. "agreement" and "model": the referee's most
        frequent answer. "teacher": the same, but the referee is no model that a policy may choose. "score": the
        referee's answer with the highest score.
    model : str
        The referee; "" where there is one model without a name.
    samples : int
        Samples of the referee that give a question's reference; the median over the questions.
    questions : int
        Questions that have a reference.
    left_out : int
        Questions without one: no sample, or too few, or no answer in any of them.
    unanimous : int
        Questions whose samples of the referee all give the same answer.
    divided : int
        Questions whose samples of the referee all give different answers, so that the first one is the reference.
    held_out : bool
        Whether the samples that are judged are others than those that give the reference.
    """

    kind: str = "gold"
    model: str = ""
    samples: int = 0
    questions: int = 0
    left_out: int = 0
    unanimous: int = 0
    divided: int = 0
    held_out: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"labels: the kind {self.kind!r} is not known; allowed are {', '.join(KINDS)}.")

    @property
    def gold(self) -> bool:
        """Whether the code 0 is the gold answer."""
        return self.kind == "gold"

    @property
    def words(self) -> Vocabulary:
        """What a share of samples with the code 0 is called."""
        return ACCURACY if self.gold else AGREEMENT

    @property
    def option(self) -> str:
        """What `parse_labels` takes: agreement:qwen."""
        return f"{self.kind}:{self.model}" if self.model else self.kind

    @property
    def reference(self) -> str:
        """What the reference is, in words: the most frequent of 16 answers of qwen."""
        of = f" of {self.model}" if self.model else ""
        if self.kind == "score":
            return f"the answer with the highest score among {self.samples} samples{of}"
        if self.samples <= 1:
            return f"the one recorded answer{of}"
        return f"the most frequent answer in {self.samples} {'other ' * self.held_out}samples{of}"

    def sentence(self) -> str:
        """Return what the reader must know first; "" of gold answers."""
        if self.gold:
            return ""
        said = f"No gold answers are used. The reference of a question is {self.reference}."
        if self.kind in ("agreement", "model") and self.samples <= 1:
            said += f" Where {self.model or 'the model'} answers, it agrees with itself by construction."
        return f"{said} All figures are agreement with the reference; they do not say how often answers are true."

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self) | {"measures": self.words.full}

    @classmethod
    def from_dict(cls, data: Any) -> "Labels":
        """Return what `to_dict` wrote down.

        Raises
        ------
        InputError
            If it is not that.
        """
        names = {f.name: f.type for f in fields(cls)}
        if not isinstance(data, Mapping) or not names.keys() <= data.keys():
            raise InputError(f"labels: expected an object with {', '.join(names)}.")
        found = {name: data[name] for name in names}
        for name, value in found.items():
            fine = {
                "kind": isinstance(value, str), "model": isinstance(value, str), "held_out": isinstance(value, bool)
            }.get(name, type(value) is int and 0 <= value < 1 << 53)  # fmt: skip
            if not fine:
                raise InputError(f"labels: {name} is {value!r}, which is not allowed.")
        return cls(**found)


GOLD = Labels()


def labels_of(data: Any) -> Labels:
    """Return the labels of samples or of a table, or what a policy was trained on; gold where nothing else is said."""
    found = getattr(data, "trained_on_", getattr(data, "labels", GOLD))
    return found if isinstance(found, Labels) else GOLD


def parse_labels(text: Any) -> tuple[str, str]:
    """Return the kind of labels that a text names, and the model in it ("": none is named).

    Parameters
    ----------
    text : str
        Such as "gold", "agreement", "agreement:qwen", "model:qwen", "teacher:qwen" or "score".

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> parse_labels("model:qwen"), parse_labels("agreement")
    (('model', 'qwen'), ('agreement', ''))
    """
    kind, mark, model = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind not in KINDS or (mark and not model.strip()) or (kind == "gold" and mark):
        meant = did_you_mean(kind, KINDS)
        raise InputError(f"labels is {text!r}; allowed are {EXAMPLES}.{meant}")
    if kind in ("model", "teacher") and not mark:
        raise InputError(f"labels is {text!r}, which names no model. Name it: '{kind}:MODEL'.")
    return kind, model.strip()


def refuse_verifier(data: Any, verifier: bool) -> None:
    """Refuse a verifier where no gold answers are used: it recognises right answers, and no sample is marked right."""
    labels = labels_of(data)
    if verifier and not labels.gold:
        raise InputError(
            f"verifier=True and labels={labels.kind!r} given; a verifier recognises right answers, and a reference is "
            "not known to be right. Use labels='gold' with a verifier, or leave the verifier out."
        )


def leading_codes(codes: NDArray[Any]) -> Codes:
    """Return the most frequent answer of every question, of equals the one that came first; −1 where nothing voted.

    The rule is that of `tcalloc.measure.kinds.leading`. Codes below 0 do not vote.

    Examples
    --------
    >>> leading_codes(np.array([[3, 1, 1, -1], [2, 1, 1, 2], [-1, -2, -1, -1]])).tolist()
    [1, 2, -1]
    """
    n, s = codes.shape
    found = np.full(n, NO_REFERENCE, np.int64)
    step = max(1, BLOCK // max(s * s, 1))
    for start in range(0, n, step):
        some = codes[start : start + step]
        votes = (some[:, :, None] == some[:, None, :]).sum(axis=2)
        votes[some < 0] = 0
        first = votes.argmax(axis=1)  # the first of equals
        rows = np.arange(len(some))
        found[start : start + step] = np.where(votes[rows, first] > 0, some[rows, first], NO_REFERENCE)
    return found


def best_codes(codes: NDArray[Any], scores: NDArray[np.float64]) -> Codes:
    """Return the answer with the highest score of every question, of equals the one that came first.

    NaN ranks below all other scores. The result is −1 where all codes are below 0.

    Examples
    --------
    >>> best_codes(np.array([[3, 1, -1]]), np.array([[0.1, 0.7, 0.9]])).tolist()
    [1]
    """
    worth = np.where(np.isnan(scores), -np.inf, scores)
    # An answer without a score still ranks above what is no answer.
    ranked = np.lexsort((np.broadcast_to(np.arange(codes.shape[1]), codes.shape), -worth, codes < 0), axis=1)[:, 0]
    rows = np.arange(len(codes))
    return np.where((codes >= 0).any(axis=1), codes[rows, ranked], NO_REFERENCE).astype(np.int64)


def swapped(codes: NDArray[Any], reference: Codes, spare: NDArray[Any]) -> NDArray[Any]:
    """Return codes, (N, S) or (N,), in which the reference is 0, and what was 0 has the reference's code.

    Where there is no reference (−1), what was 0 gets the code `spare`, which no answer of the question has.
    """
    shape = (len(codes),) + (1,) * (codes.ndim - 1)
    new = np.where(reference < 0, spare, reference).reshape(shape)
    old = reference.reshape(shape)
    return np.where((codes == old) & (old >= 0), 0, np.where(codes == 0, new, codes))


def relabelled(arms: Mapping[str, NDArray[Any]], reference: Codes, gold: Codes | None) -> tuple[dict[str, Any], Any]:
    """Return the codes of all models with the reference as 0, and the code of each gold answer among them.

    The same answer has the same code in all models. A reference of −1 is none, a gold answer of −2 is not known.
    """
    most = np.max([codes.max(axis=1) for codes in arms.values()], axis=0)
    if gold is not None:
        most = np.maximum(most, gold)
    spare = np.maximum(most, 0) + 1
    found = {name: swapped(codes, reference, spare) for name, codes in arms.items()}
    return found, None if gold is None else swapped(gold, reference, spare)


def shares_of(codes: NDArray[Any], reference: Codes) -> tuple[int, int]:
    """Return how many questions are unanimous, and in how many all answers differ although there are several."""
    voting = (codes >= 0).sum(axis=1)
    agreeing = (codes == reference[:, None]).sum(axis=1)
    there = reference >= 0
    return int((there & (agreeing == voting)).sum()), int((there & (voting > 1) & (agreeing == 1)).sum())


def median_of(sizes: NDArray[Any]) -> int:
    """Return the median of numbers of samples as a whole number."""
    return math.floor(float(np.median(sizes))) if len(sizes) else 0

"""The answers that were drawn, as arrays: checked, taken apart by model, by question and by sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import agreeing, counted
from tcalloc._printing import cleaned
from tcalloc.errors import InputError
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.labels import GOLD, UNKNOWN, Labels
from tcalloc.runs.records import LARGEST

__all__ = ["CONFIDENCE", "NOT_DRAWN", "NO_ANSWER", "PER_SAMPLE", "TOKENS", "SampleArrays"]

# What else is known of samples and of the draws that brought them.
PER_SAMPLE = ("cost", "scores", "tokens", "logprobs", "confidence", "round_cost", "later_round_cost")
TOKENS = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")
CONFIDENCE = Confidence._fields
# Answer codes below those of answers.
NO_ANSWER, NOT_DRAWN = -1, -2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SampleArrays:
    """What was drawn, as arrays: one row per question, one column per sample, of one model or of several.

    `Samples` adds tables and files; its documentation says what the fields hold.

    Raises
    ------
    InputError
        If the arrays do not fit each other or hold what is not allowed; names the place and the remedy.
    """

    answers: Any = None
    correct: Any = None
    cost: Any = None
    scores: Any = None
    tokens: Any = None
    logprobs: Any = None
    ids: Any = None
    arms: Mapping[str, "SampleArrays"] | None = None
    round_cost: Any = field(default=None, kw_only=True)
    later_round_cost: Any = field(default=None, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    labels: Labels = field(default=GOLD, kw_only=True)
    gold: Any = field(default=None, kw_only=True)
    confidence: Any = field(default=None, kw_only=True)
    drawn: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen for users, not for this
        if not isinstance(self.labels, Labels):
            raise InputError(f"labels is {self.labels!r}; expected Labels; of a text, labelled(text) makes them.")
        if self.arms is not None:
            self._check_arms()
            put(self, "gold", _golds(self.gold, len(self.drawn)))
            return
        answers, correct, drawn = _outcomes(self.answers, self.correct)
        put(self, "answers", answers)
        put(self, "correct", correct)
        put(self, "drawn", drawn)
        for name in ("scores", "logprobs"):
            if getattr(self, name) is not None:
                put(self, name, _like_samples(name, getattr(self, name), drawn))
        put(self, "cost", _costs(self.cost, drawn))
        put(self, "tokens", _by_kind("tokens", self.tokens, TOKENS, drawn))
        put(self, "confidence", _by_kind("confidence", self.confidence, CONFIDENCE, drawn))
        if self.round_cost is None and self.later_round_cost is not None:
            raise InputError(
                "later_round_cost is given without round_cost, what a question's first draw costs. Give both."
            )
        for name in ("round_cost", "later_round_cost"):
            put(self, name, _round_cost(name, getattr(self, name), len(drawn)))
        put(self, "ids", _ids(self.ids, len(drawn)))
        put(self, "gold", _golds(self.gold, len(drawn)))

    def _check_arms(self) -> None:
        put = object.__setattr__
        given = [name for name in ("answers", "correct", *PER_SAMPLE) if getattr(self, name) is not None]
        if given:
            raise InputError(f"{given[0]} and arms given; expected one of them. Each arm holds its own {given[0]}.")
        arms = self.arms
        if not isinstance(arms, Mapping) or not arms:
            raise InputError("arms is not a mapping of names to Samples, or empty.")
        for name, arm in arms.items():
            if not isinstance(name, str) or not name.strip():
                raise InputError(f"arms: the name {name!r} is not a text, or empty.")
            if not isinstance(arm, SampleArrays) or arm.arms is not None:
                raise InputError(f"arms[{name!r}] is {type(arm).__name__}; expected Samples of one model.")
        first = next(iter(arms))
        for name, arm in arms.items():
            if len(arm) != len(arms[first]):
                raise InputError(
                    f"arms[{name!r}] has {counted(len(arm), 'question')}, but arms[{first!r}] has "
                    f"{len(arms[first])}; expected the same questions in the same order. Samples that were not drawn "
                    "have the code -2."
                )
        ids = self.ids
        for name, arm in arms.items():
            if arm.ids is not None:
                ids = arm.ids if ids is None else ids
                if list(arm.ids) != list(ids):
                    raise InputError(f"arms[{name!r}].ids differ from the others'; expected the same order everywhere.")
        put(self, "ids", _ids(ids, len(arms[first])))
        put(self, "arms", dict(arms))
        put(self, "drawn", np.concatenate([arm.drawn for arm in arms.values()], axis=1))

    def __len__(self) -> int:
        return len(self.drawn)

    @cleaned
    def __repr__(self) -> str:
        n = len(self)
        parts = [counted(n, "question")]
        for name, arm in self.by_model.items():
            sizes = arm.drawn.sum(axis=1)
            low, high = int(sizes.min()), int(sizes.max())
            drawn = f"{low} to {counted(high, 'sample')}" if low < high else counted(high, "sample")
            parts.append((f"{name}: " if name else "") + drawn)
        return f"Samples({', '.join(parts)})"

    @property
    def by_model(self) -> dict[str, Self]:
        """The arms by name; samples of one model stand under an empty name."""
        return cast(dict[str, Self], dict(self.arms)) if self.arms is not None else {"": self}

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(N,) samples per question, all models together."""
        return np.asarray(self.drawn.sum(axis=1), np.int64)

    @property
    def answered(self) -> bool:
        """Whether the answers of all models were recorded, not only whether they are right."""
        return all(arm.answers is not None for arm in self.by_model.values())

    def take(self, rows: ArrayLike) -> Self:
        """Return the samples of some questions (indices or a mask), in that order.

        Parameters
        ----------
        rows : array_like
            Row numbers, or a mask.
        """
        if self.arms is not None:
            arms = {name: arm.take(rows) for name, arm in self.arms.items()}
            return self._joined(arms, rows, self.notes)
        return self._with(lambda values: values[rows])

    def _joined(self, arms: Mapping[str, "SampleArrays"], rows: Any, notes: tuple[str, ...]) -> Self:
        """Return several models' samples of some questions, which `arms` hold."""
        ids, gold = (None if values is None else values[rows] for values in (self.ids, self.gold))
        return type(self)(arms=arms, ids=ids, notes=notes, labels=self.labels, gold=gold)

    def of_every_model(self) -> tuple[Self, NDArray[np.intp]]:
        """Return the samples of the questions that every model was asked, and which questions these are.

        A model that was asked only some questions cannot be compared on the others. A note says what was left out.

        Raises
        ------
        InputError
            If no question was asked of every model.
        """
        asked = np.column_stack([arm.drawn.any(axis=1) for arm in self.by_model.values()])
        rows = np.flatnonzero(asked.all(axis=1))
        if self.arms is None or len(rows) == len(self):
            return self, np.arange(len(self))
        counts = ", ".join(f"{name}: {n:,}" for name, n in zip(self.by_model, asked.sum(axis=0), strict=True))
        if not len(rows):
            raise InputError(
                f"no question was asked of every model ({counts} of {counted(len(self), 'question')}). Models can "
                "only be compared on the same questions: ask them, or leave a model out."
            )
        left = len(self) - len(rows)
        note = (
            f"{left:,} of {counted(len(self), 'question')} {agreeing(left, 'is', 'are')} left out, because not every "
            f"model was asked ({counts}). The results hold for questions like the other {len(rows):,}."
        )
        arms = {name: arm.take(rows) for name, arm in self.arms.items()}
        return self._joined(arms, rows, (*self.notes, note)), rows

    def columns(self, order: NDArray[np.intp]) -> Self:
        """Return some of each question's samples of one model: column numbers, (N, fewer).

        Parameters
        ----------
        order : ndarray of int, (N, fewer)
            Column numbers of each question.
        """
        n = len(self)
        return self._with(lambda values: values if values.ndim == 1 else np.take_along_axis(values, order[:n], axis=1))

    def _with(self, pick: Any) -> Self:
        def some(values: Any) -> Any:
            if isinstance(values, dict):
                return {key: pick(value) for key, value in values.items()}
            return pick(values) if isinstance(values, np.ndarray) and values.ndim else values

        fields = {name: some(getattr(self, name)) for name in ("answers", "ids", "gold", *PER_SAMPLE)}
        correct = np.where(self.drawn, self.correct, -1).astype(np.int8)
        return type(self)(
            **fields,
            correct=None if self.answers is not None else pick(correct),
            notes=self.notes,
            labels=self.labels,
        )


def _outcomes(answers: Any, correct: Any) -> tuple[Any, NDArray[np.bool_], NDArray[np.bool_]]:
    """Check codes and marks; return the codes (or None), what is right and what was drawn."""
    if answers is None and correct is None:
        raise InputError("neither answers nor correct given; expected at least one, of shape (N, S).")
    codes = right = None
    drawn: Any = None
    if answers is not None:
        codes = _two_dimensional("answers", answers)
        if codes.dtype.kind not in "iu":
            raise InputError(
                f"answers has dtype {codes.dtype}; expected integer codes: 0 the gold answer, 1, 2, … other answers, "
                "-1 no answer, -2 not drawn."
            )
        _refuse(
            "answers",
            codes,
            (codes < NOT_DRAWN) & (codes.dtype.kind == "i"),
            "-2 (not drawn), -1 (no answer), 0 (gold) and up",
        )
        codes = codes.astype(np.int64) if codes.dtype.kind == "u" else codes
        drawn = codes != NOT_DRAWN
    if correct is not None:
        marks = _two_dimensional("correct", correct)
        if marks.dtype.kind not in "biu":
            raise InputError(f"correct has dtype {marks.dtype}; expected bool, or 1, 0 and -1 (not drawn).")
        _refuse("correct", marks, (marks.astype(np.int64) < -1) | (marks.astype(np.int64) > 1), "1, 0 and -1")
        right = marks == 1
        if codes is None:
            drawn = marks != -1 if marks.dtype.kind == "i" else np.ones(marks.shape, bool)
        else:
            if marks.shape != codes.shape:
                raise InputError(f"correct has shape {marks.shape}, but answers has {codes.shape}.")
            _refuse(
                "correct", marks, drawn & (right != (codes == 0)), "True where, and only where, the answer code is 0"
            )
    right = codes == 0 if right is None else right & drawn
    if not drawn.any():
        raise InputError("not one sample was drawn; expected at least one.")
    return codes, np.asarray(right, bool), np.asarray(drawn, bool)


def _two_dimensional(name: str, values: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} cannot be converted to an array of shape (N, S): {error}") from error
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"{name} has shape {array.shape}; expected (N, S), none of them 0: one row per question, one column "
            "per sample."
        )
    return array


def _refuse(name: str, values: NDArray[Any], bad: NDArray[np.bool_], allowed: str) -> None:
    if bad.any():
        place = np.argwhere(bad)[0].tolist()
        raise InputError(f"{name}{place or ''} is {values[tuple(place)]}; allowed are {allowed}.")


def _numbers(name: str, values: Any) -> Floats:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)  # None is NaN
        return np.asarray(array, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} cannot be converted to an array of numbers: {error}") from error


def _like_samples(name: str, values: Any, drawn: NDArray[np.bool_]) -> Floats:
    array = _numbers(name, values)
    if array.shape != drawn.shape:
        raise InputError(f"{name} has shape {array.shape}; expected {drawn.shape}, one per sample.")
    _refuse(name, array, np.isposinf(array) & drawn, "finite numbers, NaN (none) and -inf")
    return array


def _costs(cost: Any, drawn: NDArray[np.bool_]) -> Any:
    if cost is None:
        return None
    array = _numbers("cost", cost)
    if array.shape not in ((), (len(drawn),), drawn.shape):
        raise InputError(
            f"cost has shape {array.shape}; expected one number, ({len(drawn)},) per question or {drawn.shape} "
            "per sample."
        )
    there = drawn if array.ndim == 2 else np.ones(array.shape, bool)
    # Larger ones add up to infinity.
    bad = there & ((array > LARGEST) | (array < 0))
    _refuse("cost", array, bad, f"numbers from 0 to {LARGEST:g}, and NaN (unknown)")
    if not np.isfinite(array[there]).any():
        raise InputError("cost is NaN everywhere; leave it out to count samples.")
    return array


def _round_cost(name: str, cost: Any, n: int) -> Any:
    if cost is None:
        return None
    array = _numbers(name, cost)
    if array.shape not in ((), (n,)):
        raise InputError(f"{name} has shape {array.shape}; expected one number, or ({n},), one per question.")
    _refuse(name, array, ~((array >= 0) & (array <= LARGEST)), f"numbers from 0 to {LARGEST:g}")
    return array


def _by_kind(name: str, values: Any, kinds: tuple[str, ...], drawn: NDArray[np.bool_]) -> dict[str, Floats] | None:
    """Check tokens, or confidences, of several kinds; an array without kinds is of output tokens."""
    if values is None:
        return None
    if not isinstance(values, Mapping) and name == "confidence":
        raise InputError(f"confidence is {type(values).__name__}; expected a mapping of {', '.join(kinds)} to arrays.")
    given = values if isinstance(values, Mapping) else {"output": values}
    for key in given:
        if key not in kinds:
            raise InputError(f"{name}: unknown kind {key!r}; allowed are {', '.join(map(repr, kinds))}.")
    found = {}
    for key, value in given.items():
        array = _like_samples(f"{name}[{key!r}]", value, drawn)
        _refuse(f"{name}[{key!r}]", array, drawn & (array < 0), "numbers, at least 0, and NaN (unknown)")
        found[key] = array
    return found


def _golds(gold: Any, n: int) -> Any:
    if gold is None:
        return None
    array = np.asarray(gold)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise InputError(
            f"gold has shape {array.shape} and dtype {array.dtype}; expected ({n},), the code of each question's gold "
            f"answer, or {UNKNOWN} where it is not known."
        )
    return array


def _ids(ids: Any, n: int) -> Any:
    if ids is None:
        return None
    array = np.asarray(ids)
    if array.shape != (n,):
        raise InputError(f"ids has shape {array.shape}; expected ({n},), one per question.")
    return array

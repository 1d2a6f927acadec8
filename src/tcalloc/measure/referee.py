"""Samples without gold answers: the reference of each question, and halves of the samples that judge each other.

What to use when
----------------
`label`
    Samples whose code 0 is the reference: what policies learn from.
`judged`
    The same samples, each judged by the reference of others: what figures are made from. A vote over all samples agrees
    with itself, so it says nothing about the agreement that fresh samples would have.
`stacked`
    These, one below the other, as one set of samples.
`by_gold`
    The questions whose gold answer is known after all, marked by it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean
from tcalloc.errors import InputError
from tcalloc.measure.halves import halves
from tcalloc.measure.labels import (
    FEWEST,
    GOLD,
    UNKNOWN,
    Labels,
    best_codes,
    leading_codes,
    median_of,
    parse_labels,
    relabelled,
    shares_of,
)
from tcalloc.measure.sample_arrays import NOT_DRAWN, PER_SAMPLE, SampleArrays

__all__ = ["SPLITS", "by_gold", "judged", "label", "mean_cost", "stacked"]

Some = TypeVar("Some", bound=SampleArrays)
Codes = NDArray[np.int64]

# Random halves for one figure; each is used in both directions.
SPLITS = 4
# NumPy takes the seeds 0 and [0, 0] for the same: halves of data that was simulated with seed 0 would not be random.
OWN = 0x7265666572656E63


def label(samples: Some, labels: str, known: NDArray[np.bool_] | None = None) -> Some:
    """Return the samples with the reference as code 0; see `tcalloc.measure.Samples.labelled`."""
    kind, named = parse_labels(labels)
    if kind == "gold":
        if not samples.labels.gold:
            raise InputError("labels is 'gold', but these samples are labelled already. Label the samples as loaded.")
        return samples
    if not samples.labels.gold:
        raise InputError(f"labels is {labels!r}, but these samples are labelled already. Label the samples as loaded.")
    arms = samples.by_model
    silent = [name for name, arm in arms.items() if arm.answers is None]
    if silent:
        of = f" of {', '.join(silent)}" if silent[0] else ""
        raise InputError(
            f"labels is {labels!r}, which compares answers, but only right and wrong were recorded{of}. Record the "
            "answers too, or use labels='gold'."
        )
    referee = _referee(samples, labels, kind, named)
    if kind == "teacher" and len(arms) == 1:
        raise InputError(
            f"labels is {labels!r}, but there is no other model that could be chosen. Use 'agreement', or add the "
            "samples of the model that shall answer."
        )
    gold = None if known is None else np.where(known, 0, UNKNOWN)
    samples = replace(samples, gold=gold)
    judge = arms[referee]
    if kind == "score" and judge.scores is None:
        raise InputError(f"labels is 'score', but no scores were recorded{_of(referee)}. Give scores=, or 'agreement'.")
    sizes = judge.drawn.sum(axis=1)
    needed = {"teacher": 1, "model": min(2, max(1, int(sizes.max())))}.get(kind, FEWEST)
    reference = _reference(judge, kind)
    kept = (sizes >= needed) & (reference >= 0)
    if not kept.any():
        raise InputError(
            f"labels is {labels!r}: no question has {needed} samples{_of(referee)} with an answer (the most is "
            f"{int(sizes.max())}). One half of a question's samples judges the other half, so {needed} are needed. "
            "Draw more, or take a stronger model's answers: labels='model:MODEL'."
        )
    rows = np.flatnonzero(kept)
    notes = samples.notes
    if len(rows) < len(samples):
        notes = (
            *notes,
            f"{len(samples) - len(rows):,} of {len(samples):,} questions have no reference and were left out: they "
            f"have fewer than {needed} samples{_of(referee)}, or none of these has an answer.",
        )
    taken = samples.take(rows)
    unanimous, divided = shares_of(taken.by_model[referee].answers, reference[rows])
    found = Labels(
        kind=kind,
        model=referee,
        samples=median_of(sizes[rows]),
        questions=len(rows),
        left_out=len(samples) - len(rows),
        unanimous=unanimous,
        divided=divided,
    )
    if divided:
        notes = (
            *notes,
            f"in {divided:,} of {len(rows):,} questions all answers{_of(referee)} differ, so that the first one is the "
            "reference.",
        )
    marked = _marked(taken, reference[rows], found)
    if kind == "teacher":
        arms = {name: arm for name, arm in marked.by_model.items() if name != referee}
        marked = replace(marked, arms=arms)
    return replace(marked, notes=notes)


def judged(samples: Some, splits: int = SPLITS, seed: int = 0) -> tuple[Some, ...]:
    """Return the samples judged by others: for each random half of the referee's samples, and for the other half.

    Other models keep all their samples. Gold answers judge all samples, and so does a referee that is no choice: then
    there is one result.
    """
    labels = samples.labels
    arms = samples.by_model
    if labels.gold or labels.held_out or labels.model not in arms:
        return (samples,)
    judge = arms[labels.model]
    if int(judge.drawn.sum(axis=1).max()) < 2:
        return (samples,)  # a single answer agrees with itself, and `Labels.sentence` says so
    rng = np.random.default_rng([seed, OWN])
    found = []
    for _ in range(splits):
        pair = halves(judge.drawn, rng)
        for judging, used in (pair, pair[::-1]):
            reference = _reference(_only(judge, judging), labels.kind)
            held = replace(labels, held_out=True, samples=median_of((judging >= 0).sum(axis=1)))
            some = _only(judge, used)
            if samples.arms is not None:
                some = replace(samples, arms={**arms, labels.model: some})
            found.append(_marked(some, reference, held))
    return tuple(found)


def stacked(parts: Sequence[Some]) -> Some:
    """Return samples whose rows are those of all parts, in this order; the parts are what `judged` returned."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if first.arms is None:
        return _stacked(parts)
    arms = {name: _stacked([part.by_model[name] for part in parts]) for name in first.by_model}
    ids, gold = (
        None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "gold")
    )
    return replace(first, arms=arms, ids=ids, gold=gold)


def by_gold(samples: Some) -> tuple[Some, NDArray[np.intp]]:
    """Return the questions whose gold answer is known, marked by it, and which these are."""
    if samples.labels.gold:
        return samples, np.arange(len(samples))
    rows = np.flatnonzero(np.zeros(len(samples), bool) if samples.gold is None else samples.gold != UNKNOWN)
    if not len(rows):
        return samples, rows
    taken = samples.take(rows)
    return replace(_marked(taken, taken.gold, GOLD), gold=None), rows


def _referee(samples: SampleArrays, labels: str, kind: str, named: str) -> str:
    """Return the model that gives the reference."""
    arms = samples.by_model
    listed = ", ".join(arms)
    if samples.arms is None:
        if named:
            raise InputError(f"labels is {labels!r}, but there is one model, without a name. Use 'agreement'.")
        return ""
    if named:
        if named not in arms:
            raise InputError(
                f"labels is {labels!r}, but there is no such model; there are {listed}.{did_you_mean(named, arms)}"
            )
        return named
    if len(arms) == 1:
        return next(iter(arms))
    means = {name: mean_cost(arm) for name, arm in arms.items()}
    if any(mean is None for mean in means.values()):
        raise InputError(
            f"labels is {labels!r}, but there are several models ({listed}) and no costs that say which is the most "
            f"expensive. Name the model that gives the reference: '{kind}:{next(iter(arms))}'."
        )
    return max(means, key=lambda name: means[name] or 0.0)


def mean_cost(arm: SampleArrays) -> float | None:
    """Return what a sample of a model costs on average; None where that is not known."""
    if arm.cost is None:
        return None
    paid = np.asarray(arm.cost, np.float64)
    values = paid[arm.drawn] if paid.ndim == 2 else paid
    return float(np.nanmean(values))


def _reference(judge: SampleArrays, kind: str) -> Codes:
    return best_codes(judge.answers, judge.scores) if kind == "score" else leading_codes(judge.answers)


def _marked(samples: Some, reference: Codes, labels: Labels) -> Some:
    """Return the samples with another code 0."""
    codes = {name: arm.answers for name, arm in samples.by_model.items()}
    found, gold = relabelled(codes, reference, samples.gold)
    changed = {
        name: replace(arm, answers=found[name], correct=None, labels=labels, gold=gold)
        for name, arm in samples.by_model.items()
    }
    if samples.arms is None:
        return changed[""]
    return replace(samples, arms=changed, labels=labels, gold=gold)


def _only(arm: Some, columns: NDArray[np.intp]) -> Some:
    """Return some of each question's samples; −1 is none."""
    some = arm.columns(np.maximum(columns, 0))
    return replace(some, answers=np.where(columns < 0, NOT_DRAWN, some.answers), correct=None)


def _of(model: str) -> str:
    return f" of {model}" if model else ""


def _stacked(parts: Sequence[Some]) -> Some:
    width = max(part.drawn.shape[1] for part in parts)

    def below(values: Sequence[Any], empty: float) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {key: below([value[key] for value in values], empty) for key in values[0]}
        if np.ndim(values[0]) < 2:
            return values[0] if np.ndim(values[0]) == 0 else np.concatenate(values)
        return np.concatenate([_padded(value, width, empty) for value in values])

    numbers = {name: below([getattr(part, name) for part in parts], np.nan) for name in (*PER_SAMPLE, "ids", "gold")}
    return replace(parts[0], answers=below([part.answers for part in parts], NOT_DRAWN), correct=None, **numbers)


def _padded(values: NDArray[Any], width: int, empty: float) -> NDArray[Any]:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=empty)

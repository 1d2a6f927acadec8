"""Samples that choose nothing: halves that score what the others chose, and parts that check a joint estimate.

`trials` is for tables that are cross-fitted. `Checks` is for claims of plans over several models; see `claims.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.actions import Action
from tcalloc.measure.claims import Check, Trial
from tcalloc.measure.halves import halves, mask_of, random_order
from tcalloc.measure.joint import Together
from tcalloc.measure.sample_arrays import SampleArrays

__all__ = ["Checks", "trials"]

Floats = NDArray[np.float64]
Estimate = Callable[..., Any]

# Parts of the samples that check the claims of plans over several models, and questions that are used for it.
PARTS, CHECKED = 4, 1500


def trials(
    estimate: Estimate,
    samples: SampleArrays,
    actions: tuple[Action, ...],
    arms: list[str],
    shrink: bool | str,
    splits: int,
    cost: Floats,
    kept: NDArray[np.intp],
    threads: int,
) -> tuple[Trial, ...]:
    """Return, for both directions of each split, the estimates that choose and those that score."""
    rng = np.random.default_rng(0)
    paid = cost if cost.ndim == 1 else cost[kept]
    found = []
    for _ in range(splits):
        first: dict[str, SampleArrays] = {}
        second: dict[str, SampleArrays] = {}
        for name, arm in samples.by_model.items():
            for part, columns in zip((first, second), halves(arm.drawn, rng), strict=True):
                part[name] = _only(arm, mask_of(columns, arm.drawn.shape[1]))
        parts = [_joined(samples, part) for part in (first, second)]
        scores = [estimate(half, actions, arms, False, threads, errors=False).acc[kept] for half in parts]
        chosen = scores
        if shrink is not False:
            chosen = [estimate(half, actions, arms, shrink, threads, errors=False).acc[kept] for half in parts]
        found += [Trial(chosen[0], scores[1], paid), Trial(chosen[1], scores[0], paid)]
    return tuple(found)


@dataclass(frozen=True, eq=False, repr=False)
class Checks:
    """Parts of several models' samples that check what the other parts choose. Computed at the first call."""

    estimate: Estimate
    """The function that makes estimates, with the signature of `tabulate._estimates`."""
    samples: SampleArrays
    actions: tuple[Action, ...]
    arms: list[str]
    """The actions' models."""
    together: Together
    """The fit to all samples."""
    kept: NDArray[np.intp]
    """The questions that are rows of the table."""
    threads: int

    def __call__(self) -> tuple[Check, ...]:
        """Return one check for each part; none where a model has fewer samples than there are parts."""
        return self._found

    @cached_property
    def _found(self) -> tuple[Check, ...]:
        samples, arms, kept = self.samples, self.arms, self.kept
        used = list(dict.fromkeys(arms))
        most = {name: int(samples.by_model[name].drawn.sum(axis=1).max()) for name in used}
        if min(most.values()) < PARTS:
            return ()
        rng = np.random.default_rng(0)
        rows = np.arange(len(kept))  # the table's
        if len(rows) > CHECKED:
            rows = np.sort(rng.choice(rows, CHECKED, replace=False))
        some = samples.take(kept[rows])
        choosing = tuple(
            replace(action, samples=min(action.samples, most[arm] - -(-most[arm] // PARTS)))
            for action, arm in zip(self.actions, arms, strict=True)
        )
        singles = tuple(replace(self.actions[arms.index(name)], samples=1) for name in used)
        model = np.array([used.index(arm) for arm in arms])
        place = {name: _places(some.by_model[name], rng) for name in used}
        found = []
        for part in range(PARTS):
            held, others = (
                _joined(
                    some,
                    {
                        name: _only(arm, arm.drawn & ((place[name] % PARTS == part) == out))
                        for name, arm in some.by_model.items()
                        if name in used
                    },
                )
                for out in (True, False)
            )
            asked = (*choosing, *singles), [*arms, *used]
            said = self.estimate(others, *asked, True, self.threads, errors=False, like=self.together).acc
            with np.errstate(invalid="ignore"):
                score = np.column_stack(
                    [held.by_model[name].correct.sum(axis=1) / held.by_model[name].drawn.sum(axis=1) for name in used]
                )
            found.append(Check(said[:, : len(arms)], said[:, len(arms) :] - score, said[:, len(arms) :], model, rows))
        return tuple(found)


def _places(arm: SampleArrays, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return each sample's place in a random order of its question's samples, (N, S)."""
    order = random_order(arm.drawn, rng)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(order.shape[1])[None], axis=1)
    return place


def _only(arm: SampleArrays, some: NDArray[np.bool_]) -> SampleArrays:
    if arm.answers is not None:
        codes = np.where(some, arm.answers, -2)
        return SampleArrays(codes, scores=arm.scores)
    return SampleArrays(correct=np.where(some, arm.correct, -1).astype(np.int8), scores=arm.scores)


def _joined(samples: SampleArrays, parts: dict[str, SampleArrays]) -> SampleArrays:
    return parts[""] if samples.arms is None else SampleArrays(arms=parts)

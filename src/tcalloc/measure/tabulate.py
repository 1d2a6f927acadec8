"""From samples and actions to a table: which estimate goes where, what is available, what it costs.

Actions are sorted into groups that are estimated alike: one model, one kind (`kinds.py`). `_group` gives a group's
exact estimates, their standard errors and, if asked for, the shrunk ones. Several models are estimated together
(`joint.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tcalloc.measure.shrink as shrinking
from tcalloc._checks import did_you_mean, one_of, whole
from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.measure.actions import Action, Best, One, action_names, check_actions
from tcalloc.measure.claims import Check, Trial
from tcalloc.measure.costs import cost_columns
from tcalloc.measure.joint import Together
from tcalloc.measure.kinds import ONE, Graded, Kind
from tcalloc.measure.sample_arrays import SampleArrays
from tcalloc.measure.shrink import Mixture
from tcalloc.measure.splits import Checks
from tcalloc.measure.splits import trials as cross_fits
from tcalloc.measure.table import Table

__all__ = ["mean_table", "tabulate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Estimate:
    """Some actions' columns, (N, its actions); NaN where a question has fewer samples than an action needs."""

    acc: Floats
    exact: Floats
    """The exact expectations."""
    se: Floats | None
    """Their standard errors; None if they were not asked for."""
    together: Together | None = None
    """What several models' samples have in common."""


def tabulate(
    samples: SampleArrays,
    actions: Iterable[Action],
    shrink: bool | str = True,
    cross_fit: int | None = None,
    *,
    cost_per: str = "action",
    threads: int = 1,
) -> Table:
    """Return the table of `Samples.table`, which documents the arguments."""
    asked = check_actions(actions)
    if not (isinstance(shrink, (bool, np.bool_)) or shrink == "window"):
        raise InputError(f"shrink is {shrink!r}; allowed are True (the default), False and 'window'.")
    one_of("cost_per", cost_per, ("action", "question"))
    names = action_names(asked)
    arms = [_arm_of(samples, action, f"actions[{a}]") for a, action in enumerate(asked)]
    _check_recorded(samples, asked, arms)
    if cross_fit is not None:
        _check_cross_fit(samples, asked, arms, cross_fit)

    notes = list(samples.notes)
    single = np.array([len(set(arms)) > 1 and samples.by_model[arm].drawn.sum(axis=1).max() < 2 for arm in arms])
    estimate = _estimates(samples, asked, arms, shrink, threads, errors=True)
    acc, se, exact = estimate.acc, estimate.se, estimate.exact
    assert se is not None
    kept = np.flatnonzero(np.isfinite(acc).any(axis=1))
    if len(kept) < len(samples):
        few = len(samples) - len(kept)
        notes.append(
            f"{few:,} of {counted(len(samples), 'question')} {agreeing(few, 'has', 'have')} too few samples for any "
            "action."
        )
    cost, words = cost_columns(samples, asked, arms, cost_per)
    notes += words
    trials: tuple[Trial, ...] = ()
    if cross_fit is not None:
        trials = cross_fits(_estimates, samples, asked, arms, shrink, cross_fit, cost, kept, threads)
        notes.append(
            "Claims are cross-fitted: chosen on one half of the samples, scored on the other, "
            f"{counted(cross_fit, 'split')}."
        )
    available = np.isfinite(acc[kept])
    for a in np.flatnonzero(~available.all(axis=0)):
        lacking = int((~available[:, a]).sum())
        notes.append(
            f"{names[a]} is not available for {lacking:,} of {counted(len(kept), 'question')}, which "
            f"{agreeing(lacking, 'has', 'have')} "
            + ("no sample of it." if asked[a].samples == 1 else f"fewer than {counted(asked[a].samples, 'sample')}.")
        )
    if len(kept) < len(samples) and cost.ndim == 2:
        cost = cost[kept]
    ids = samples.ids if samples.ids is None or len(kept) == len(samples) else samples.ids[kept]
    if samples.ids is None and len(kept) < len(samples):
        ids = kept
    checks = None
    if estimate.together is not None and cross_fit is None:
        checks = Checks(_estimates, samples, asked, arms, estimate.together, kept, threads)
    return Table(
        np.where(available, acc[kept], 0.0),
        np.where(available, cost, 0.0) if cost.ndim == 2 else cost,
        ids=ids,
        action_names=names,
        available=None if available.all() else available,
        se=np.where(available, se[kept], 0.0),
        exact=np.where(available, exact[kept], 0.0),
        single=single,
        notes=tuple(notes),
        actions=asked,
        trials=trials,
        checks=checks,
        single_outcomes=all(int(samples.by_model[arm].drawn.sum(axis=1).max()) == 1 for arm in arms),
        labels=samples.labels,
    )


def mean_table(tables: list[Table]) -> Table:
    """Return the mean of several tables of the same questions and actions.

    They are of halves of the same samples, so their standard errors are not reduced by averaging: those of the mean are
    at most the mean of theirs.

    Parameters
    ----------
    tables : list of Table
        As `tabulate` made them.
    """
    first = tables[0]

    def mean(name: str) -> Any:
        return np.mean([getattr(table, name) for table in tables], axis=0)

    known = [table.checks for table in tables if table.checks is not None]
    return replace(
        first,
        acc=mean("acc"),
        cost=mean("cost"),
        se=mean("se"),
        exact=mean("exact"),
        trials=tuple(trial for table in tables for trial in table.trials),
        checks=partial(_all_checks, tuple(known)) if known else None,
    )


def _all_checks(checks: tuple[Callable[[], tuple[Check, ...]], ...]) -> tuple[Check, ...]:
    return tuple(found for check in checks for found in check())


# ---------------------------------------------------------------------------------------------- what is asked


def _arm_of(samples: SampleArrays, action: Action, where: str) -> str:
    arms = samples.by_model
    if action.model is None:
        if len(arms) == 1:
            return next(iter(arms))
        raise InputError(
            f"{where} ({action.name}) names no model, but there are several: {', '.join(arms)}. Say which, as in "
            f"Vote({action.samples}, model={next(iter(arms))!r})."
        )
    for name in (action.arm, action.model):
        if name in arms:
            return name
    if samples.arms is None:  # one model, without a name
        return ""
    meant = did_you_mean(action.model, arms)
    raise InputError(f"{where} asks for the model {action.model!r}; there are {', '.join(arms)}.{meant}")


def _check_recorded(samples: SampleArrays, actions: tuple[Action, ...], arms: list[str]) -> None:
    for a, (action, arm) in enumerate(zip(actions, arms, strict=True)):
        of = f" of {arm}" if arm else ""
        found = samples.by_model[arm]
        if "answers" in action.kind.needs and found.answers is None:
            raise InputError(
                f"actions[{a}] is {action.name}, but only right and wrong were recorded{of}: how the wrong answers "
                f"split decides a vote. Record the answers too, or use One(), called '{One(action.model).name}': a "
                f"single sample. '{Best(action.samples, action.model).name}' needs a verifier that recognises right "
                "answers live."
            )
        if "scores" in action.kind.needs and found.scores is None:
            raise InputError(
                f"actions[{a}] is {action.name}, but no scores were recorded{of}. Give scores=, or use by='verifier'."
            )
        most = int(found.drawn.sum(axis=1).max())
        if action.samples > most:
            raise InputError(
                f"actions[{a}] is {action.name}, but no question has more than {counted(most, 'sample')}{of}: what "
                "more samples than were drawn would reach cannot be estimated. Draw more, or use a smaller k."
            )


def _check_cross_fit(samples: SampleArrays, actions: tuple[Action, ...], arms: list[str], splits: Any) -> None:
    whole("cross_fit", splits, 1, of="splits", hint=", or None")
    for a, (action, arm) in enumerate(zip(actions, arms, strict=True)):
        most = int(samples.by_model[arm].drawn.sum(axis=1).max()) // 2
        if action.samples > most:
            raise InputError(
                f"cross_fit: actions[{a}] is {action.name}, but half of the samples are {most}: a half must choose and "
                "the other score. Use smaller k, or shrink=True, which needs no split."
            )


# ---------------------------------------------------------------------------------------------- estimates


def _estimates(
    samples: SampleArrays,
    actions: tuple[Action, ...],
    arms: list[str],
    shrink: bool | str,
    threads: int,
    *,
    errors: bool,
    like: Together | None = None,
) -> _Estimate:
    """Return what is known of all actions; several models together, with classes that are built as those of `like`."""
    n = len(samples)
    acc, exact, se = np.empty((3, n, len(actions)))
    used = list(dict.fromkeys(arms))
    graded = {arm: Graded.of(samples.by_model[arm]) for arm in used}
    groups: dict[tuple[str, Kind], list[int]] = {}
    for a, (action, arm) in enumerate(zip(actions, arms, strict=True)):
        groups.setdefault((arm, action.kind.estimated_as(graded[arm])), []).append(a)
    together = None
    if shrink is True and len(used) > 1:
        right = np.column_stack([graded[arm].right for arm in used])
        drawn = np.column_stack([graded[arm].sizes for arm in used])
        built = () if like is None else (like.structure, like.slopes)
        together = Together.of(right, drawn, *built)
    for (arm, kind), columns in groups.items():
        ks = [actions[a].samples for a in columns]
        means = None
        if together is not None:
            ks.append(1)  # a model's level, which joins it with the others
            means = partial(together.means, used.index(arm))
        found = _group(graded[arm], kind, ks, shrink, threads, means, errors=errors or together is not None)
        acc[:, columns], exact[:, columns] = found.acc[:, : len(columns)], found.exact[:, : len(columns)]
        if found.se is not None:
            se[:, columns] = found.se[:, : len(columns)]
    if together is not None:
        _draw_means_together(acc, exact, se, groups, actions)
    return _Estimate(acc, exact, se if errors else None, together)


def _draw_means_together(
    acc: Floats,
    exact: Floats,
    se: Floats,
    groups: dict[tuple[str, Kind], list[int]],
    actions: tuple[Action, ...],
) -> None:
    """Draw the means of models that do the same, such as votes over 4, towards each other: the best is so by luck."""
    alike: dict[tuple[Kind, int], list[int]] = {}
    for (_, kind), columns in groups.items():
        for a in columns:
            # One sample is one sample, however it would be combined.
            alike.setdefault((ONE if actions[a].samples == 1 else kind, actions[a].samples), []).append(a)
    for columns in alike.values():
        if len(columns) > 1:
            count = np.maximum(np.isfinite(exact[:, columns]).sum(axis=0), 1)
            errors = np.sqrt(np.nansum(se[:, columns] ** 2, axis=0)) / count
            target = shrinking.drawn_together(shrinking.column_means(exact[:, columns]), errors)
            acc[:, columns] = shrinking.matched(acc[:, columns], exact[:, columns], target)


def _group(
    graded: Graded,
    kind: Kind,
    ks: list[int],
    shrink: bool | str,
    threads: int,
    means: Callable[[Mixture | None, Floats], Floats] | None,
    *,
    errors: bool,
) -> _Estimate:
    """Return what is known of one model's actions of one kind; `means` are the mixture's, given the other models."""
    read = kind.read(graded)
    exact = kind.exact(read, ks, threads)
    se = kind.errors(read, ks, threads) if errors else None
    if shrink == "window":
        return _Estimate(_windows(graded, kind, ks), exact, se)
    sizes, alone = graded.sizes, means is None
    if not shrink or (alone and set(ks) == {1} and (kind.linear(alone) or sizes.max() == 1)):
        return _Estimate(exact, exact, se)  # nothing to choose between
    if means is not None and sizes.max() < 2:
        return _Estimate(np.clip(means(None, exact), 0.0, 1.0), exact, se)
    mixture = kind.mixture(read, exact, ks, threads)
    if se is not None:
        se = kind.bounded(se, mixture, ks, sizes)
    latent = shrinking.matched(mixture.means(), exact) if means is None else means(mixture, exact)
    weight = kind.linear(alone)
    if weight and max(ks) > 1:
        base = np.where(sizes > 0, graded.right / np.maximum(sizes, 1), np.nan)
        straight = shrinking.linear(exact, base, _halves(graded, kind, ks), graded.drawn)
        if not alone:
            straight += (latent[:, -1] - base)[:, None]
        latent = weight * straight + (1 - weight) * latent
    return _Estimate(np.clip(latent, 0.0, 1.0), exact, se)


def _halves(graded: Graded, kind: Kind, ks: list[int]) -> float:
    """Return the reliability of deviations, of the actions that halves of the samples can tell."""
    if len(graded.drawn) > shrinking.ENOUGH:
        some = np.random.default_rng(0).choice(len(graded.drawn), shrinking.ENOUGH, replace=False)
        graded = graded.take(some)
    known = [k for k in ks if 1 < k <= graded.drawn.shape[1] // 2]
    if not known:
        return float("nan")

    def deviations(columns: NDArray[np.intp]) -> Floats:
        values = kind.exact(kind.read(graded.columns(columns)), [1, *known])
        return np.asarray(values[:, 1:] - values[:, :1])

    return shrinking.reliability(deviations, graded.drawn)


def _windows(graded: Graded, kind: Kind, ks: list[int]) -> Floats:
    """Return means over each question's disjoint windows of k samples, in the order in which they were drawn."""
    size = graded.sizes
    order = np.argsort(~graded.drawn, axis=1, kind="stable")
    result = np.full((len(size), len(ks)), np.nan)
    for q, k in enumerate(ks):
        total = np.zeros(len(size))
        for w in range(int(size.max()) // k):
            rows = np.flatnonzero(size >= (w + 1) * k)
            part = graded.take(rows).columns(order[rows, w * k : (w + 1) * k])
            total[rows] += kind.exact(kind.read(part), [k])[:, 0]
        enough = size >= k
        result[enough, q] = total[enough] / (size[enough] // k)
    return result

"""A trained `Sequential` on recorded samples of other questions: the checks, and the outcomes.

What to use when
----------------
`samples_of`
    The samples by the names that the policy knows.
`replayed`
    Spend and accuracy of mixtures of rules, all runs at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.sequential.rules.families import FIGURES, Family, Outcomes
from tcalloc.learn.sequential.selection import Mixture
from tcalloc.learn.sequential.settings import names_of_arms
from tcalloc.learn.sequential.states.sample_features import without_score
from tcalloc.learn.sequential.states.simulated_runs import SimulatedRuns
from tcalloc.learn.sequential.training import Trained
from tcalloc.measure.samples import Samples

__all__ = ["replayed", "samples_of"]

Columns = Mapping[str, NDArray[np.intp]]


def replayed(
    trained: Trained,
    mixtures: Sequence[Mixture],
    samples: Samples,
    X: Any,
    orders: Any,
    seed: Any,
    columns: Columns | None = None,
) -> Outcomes:
    """Return the outcomes of mixtures of two rules on recorded samples, (mixtures, questions).

    Parameters
    ----------
    trained : Trained
        The rules.
    mixtures : sequence of Mixture
        The mixtures; all have the same limit.
    samples, X, orders, seed, columns
        As in `Sequential.replay`.

    Raises
    ------
    InputError
        If the samples are not from the same models or lack what decides, X does not fit them, or orders, seed or
        columns are not allowed.
    """
    settings = trained.settings
    samples, columns = samples_of(samples, columns, settings.arms)
    whole("orders", orders, 1)
    whole("random_state", seed)
    if columns is not None:
        _check_columns(columns, samples, settings.arms)
    _check_scores(samples, trained)
    (given,) = {mixture.limit for mixture in mixtures}
    used: dict[int, Any] = {}
    for c in sorted({mixture.candidate for mixture in mixtures}):
        family = trained.choices.candidates[c].family
        _check_answers(samples, trained, family)
        numbers = np.unique([n for m in mixtures if m.candidate == c for n in (m.low, m.high)])
        simulated = SimulatedRuns.walk(
            samples,
            trained.reading,
            _predictions(trained, X, len(samples)) if family.predicts else None,
            settings.caps,
            combine=settings.combine,
            weighted=family.weighted,
            orders=int(orders),
            seed=int(seed),
            counts_only=family.blind,
            columns=None if columns is None else dict(columns),
        )
        used[c] = numbers, settings.played(family, simulated, None, numbers, given)
    parts = [trained.choices.replayed(mixture, used) for mixture in mixtures]
    return Outcomes(*(np.stack([getattr(part, name) for part in parts]) for name in FIGURES))


def samples_of(samples: Any, columns: Any, arms: tuple[str, ...]) -> tuple[Samples, Columns | None]:
    """Return the samples by the policy's names; a single model without a name is the one that the policy knows."""
    if not isinstance(samples, Samples):
        raise InputError(f"samples is {type(samples).__name__}; expected Samples (see tcalloc.measure).")
    if columns is not None and not isinstance(columns, Mapping):
        raise InputError(f"columns is {type(columns).__name__}; expected a mapping of models to arrays (orders, N, S).")
    models = samples.by_model
    lacking = [arm for arm in arms if arm not in models]
    if not lacking:
        return samples, columns
    (only, *others) = models
    if others or len(arms) > 1 or "" not in (only, arms[0]):
        raise InputError(
            f"samples: the policy was trained on {names_of_arms(arms)}, but these are of {names_of_arms((*models,))}. "
            "Give samples of the same models, named alike: Samples(arms={name: Samples(…)})."
        )
    named = models[only] if not arms[0] else Samples(arms={arms[0]: models[only]})
    return named, None if columns is None else {arms[0] if arm == only else arm: c for arm, c in columns.items()}


def _check_columns(columns: Columns, samples: Samples, arms: tuple[str, ...]) -> None:
    count = None
    for arm in arms:
        size = samples.by_model[arm].drawn.shape
        order = np.asarray(columns[arm]) if arm in columns else np.zeros(0)
        count = len(order) if count is None else count
        if order.ndim != 3 or order.dtype.kind not in "iu" or not len(order) or order.shape[1] != size[0]:
            found = f"shape {order.shape} of {order.dtype}" if arm in columns else "nothing"
            raise InputError(f"columns[{arm!r}]: {found}; expected whole numbers (orders, {size[0]}, {size[1]}).")
        if len(order) != count or order.min(initial=0) < 0 or order.max(initial=0) >= size[1]:
            raise InputError(
                f"columns[{arm!r}]: expected as many orders of each model, of columns from 0 to {size[1] - 1}."
            )


def _check_scores(samples: Samples, trained: Trained) -> None:
    if trained.settings.combine != "score":
        return
    for arm in trained.settings.arms:
        model, of = samples.by_model[arm], f" of {arm}" if arm else ""
        if model.scores is None:
            raise InputError(
                f"samples{of}: the policy decides by scores, but none were recorded. Give Samples(scores=…)."
            )
        lacking = without_score(model)
        if lacking.any() and not trained.reading.unscored:
            row, column = np.argwhere(lacking)[0].tolist()
            raise InputError(
                f"scores[{row}, {column}]{of} is {model.scores[row, column]:g}, but every answer that the policy was "
                "trained on had a finite score. Score it, or train on samples of which some have none."
            )


def _check_answers(samples: Samples, trained: Trained, family: Family) -> None:
    """Raise an error if only right and wrong are known of the samples, but rules look at which answers agree."""
    if trained.reading.tells != "which" or (family.blind and trained.settings.combine != "vote"):
        return
    if any(samples.by_model[arm].answers is None for arm in trained.settings.arms):
        raise InputError(
            "samples: only right and wrong were recorded, but the policy looks at which answers agree. Give "
            "Samples(answers=…), or train on right and wrong alone."
        )


def _predictions(trained: Trained, X: Any, n: int) -> Any:
    if X is None:
        raise InputError("X is missing: the policy was fitted with X. Pass the questions.")
    if not hasattr(X, "__len__") or len(X) != n:
        found = f"has {counted(len(X), 'row')}" if hasattr(X, "__len__") else f"is {type(X).__name__}"
        raise InputError(f"X {found}, but samples has {counted(n, 'question')}; expected the same questions in order.")
    return None if trained.asking is None else trained.asking.predict(X)

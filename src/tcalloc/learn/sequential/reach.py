"""The most that a rule can draw, and what that can cost: a guarantee is the sharper, the less one question can cost.

What to use when
----------------
`most_drawn`
    How many samples each rule of a family can draw, whatever the samples show.
`highest_costs`
    The most that a question can cost under mixtures of two rules.
`sample_costs`, `costs_said`
    The most that one sample of each model can cost; the same in words.
`room`
    The limit on a question's cost that suits so many held-out questions.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import scalar
from tcalloc.errors import InputError
from tcalloc.learn._cost_range import ROUNDING, most_of
from tcalloc.learn.paths import arm_costs
from tcalloc.learn.sequential.choosing import Mixture
from tcalloc.learn.sequential.rules import Family, Tables, Thresholds
from tcalloc.learn.sequential.training import Settings, Trained, names_of_arms
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["costs_said", "highest_costs", "most_drawn", "room", "sample_costs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Share of the budget that stays unspent because a few questions may cost as much as the limit allows.
WASTE = 0.06


def most_drawn(family: Family, caps: Sequence[int]) -> Ints:
    """Return the most samples of each model that each rule can draw, (J, arms).

    Exact for rules that look at counts alone: all states are followed that some samples lead to. Of other rules only
    the most samples of each model are known.
    """
    if isinstance(family, Tables):
        return _followed(family.wave)[:, None]
    if isinstance(family, Thresholds):
        return np.minimum(family.caps, caps[0])[:, None]  # met by samples without an answer
    return np.tile(np.asarray(caps, np.int64), (family.settings, 1))


def _followed(wave: NDArray[np.uint8]) -> Ints:
    """Follow all states (samples, votes of the first and of the second answer) that rules can come to."""
    rules, size = wave.shape[0], wave.shape[1] - 1
    first, second = np.ogrid[: wave.shape[2], : wave.shape[3]]
    met = np.zeros(wave.shape, bool)
    met[:, 0, 0, 0] = True
    most = np.zeros(rules, np.int64)
    for n in range(size + 1):
        here = met[:, n]
        most[here.any(axis=(1, 2))] = n
        for k in np.unique(wave[:, n][here]).tolist() if here.any() else ():
            states = here & (wave[:, n] == k)
            for drawn in range(n + 1, min(n + k, size) + 1):
                # One more sample votes for the first answer, for the second, or for neither.
                after = states.copy()
                after[:, 1:] |= states[:, :-1]
                after[:, :, 1:] |= states[:, :, :-1]
                states = after & (second <= first) & (first + second <= drawn)
            if k:
                met[:, min(n + k, size)] |= states
    return most


def sample_costs(settings: Settings, samples: Samples, actions: Mapping[str, Action], high: Any) -> Floats:
    """Return the most that one sample of each model can cost, (arms,).

    Parameters
    ----------
    settings : Settings
        What the policy learned of its training samples.
    samples : Samples
        The held-out ones, under the policy's names.
    actions : mapping of str to Action
        What a draw is.
    high : float, mapping of str to float or None
        What the user says; it has precedence.

    Raises
    ------
    InputError
        If it is not known, or some recorded sample costs more.
    """
    if isinstance(high, Mapping) and (unknown := [arm for arm in high if arm not in settings.arms]):
        raise InputError(f"high: no model {unknown[0]!r} among the samples; there are {names_of_arms(settings.arms)}.")
    recorded = arm_costs(samples)
    found = []
    for a, arm in enumerate(settings.arms):
        of = f" of {arm}" if arm else ""
        model = samples.by_model[arm]
        given = high.get(arm) if isinstance(high, Mapping) else high
        most = None if given is None else scalar(given, f"high{of}")
        if most is None and (model.cost is None or np.ndim(model.cost) == 0):
            each = 1.0 if model.cost is None else float(model.cost)
            # One cost for all samples, which those that were learned from have had too.
            usual = settings.usual[a]
            same = usual is None or math.isclose(usual, each, rel_tol=ROUNDING)
            most = each if same and settings.dearest[a] <= each * (1 + ROUNDING) else None
        if most is None and arm in actions:
            most = most_of(actions[arm])
        if most is None:
            raise InputError(
                f"confidence needs the most that one sample{of} may cost, which is not known: samples cost different "
                "amounts (or were recorded one by one), and the highest cost seen is not the highest possible. Pass "
                "high=, one number or one per model: max_tokens * the rate of an output token + the longest prompt * "
                "the rate of an input token. If all samples cost the same, say so: Samples(..., cost=one number)."
            )
        seen = max(float(recorded[arm].max(initial=0.0)), float(settings.dearest[a]))
        if not 0 <= most < math.inf or seen > most * (1 + ROUNDING):
            raise InputError(
                f"high{of} is {most!r}, but a recorded sample cost {seen:.6g}; expected a finite number: the most that "
                "any sample may cost, also of those to come."
            )
        found.append(most)
    return np.array(found)


def costs_said(settings: Settings, most: Floats) -> str:
    """Return the assumption on costs in words."""
    parts = [f"of {arm} at most {each:.6g}" if arm else f"at most {each:.6g}"
             for arm, each in zip(settings.arms, most.tolist(), strict=True)]  # fmt: skip
    return f"a sample costs {', '.join(parts)}"


def room(settings: Settings, most: Floats, budget: float, confidence: float, n: int) -> float | None:
    """Return a limit on what a question may cost that suits n held-out questions; None where none is needed.

    Where one question can cost many times the budget, a guarantee from few questions must leave much of it unspent:
    about log(1/δ)·(limit − budget)/n. The limit keeps that to a small share of the budget. It never keeps a question
    that has spent less than twice the budget from one more sample.
    """
    fair = budget * (1 + WASTE * n / math.log(1 / (1 - confidence)))
    limit = max(fair, 2 * budget + float(most.max()))
    # A run draws while the dearest recorded sample fits; one that costs more than that may exceed the limit.
    limit -= _excess(settings, most)
    return None if limit >= settings.limit else max(limit, float(settings.dearest.min()))


def _excess(settings: Settings, most: Floats) -> float:
    """Return by how much the last draw of a run can exceed the limit on its cost."""
    return max(settings.waves) * max(float((most - settings.dearest).max()), 0.0)


def highest_costs(trained: Trained, mixtures: Sequence[Mixture], most: Floats) -> Floats:
    """Return the most that a question can cost under each mixture, as a mean over its two rules.

    Parameters
    ----------
    trained : Trained
        The rules.
    mixtures : sequence of Mixture
        Mixtures of two rules, each with its limit.
    most : ndarray, (arms,)
        The most that one sample of each model can cost.
    """
    settings = trained.settings
    drawn = {
        c: most_drawn(trained.choices.candidates[c].family, settings.caps) @ most
        for c in {mixture.candidate for mixture in mixtures}
    }
    found = []
    for mixture in mixtures:
        limit = min(settings.limit, math.inf if mixture.limit is None else mixture.limit) + _excess(settings, most)
        low, high = (min(float(drawn[mixture.candidate][rule]), limit) for rule in (mixture.low, mixture.high))
        found.append((1 - mixture.share) * low + mixture.share * high)
    return np.array(found)

"""The most that a rule can draw, and what that can cost; the lower this cost, the sharper a guarantee.

What to use when
----------------
`most_drawn`
    The most samples that each rule of a family can draw, whatever the samples show.
`highest_costs`
    The most that a question can cost under mixtures of two rules.
`room`
    A limit on a question's cost that suits the number of held-out questions.
`calibrated`
    The mixture of two rules that keeps a budget on held-out questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import level_of
from tcalloc.learn.holdout.calibrate import Calibration, calibrate_rising
from tcalloc.learn.holdout.cost_range import cost_phrase, sample_costs
from tcalloc.learn.sequential.replay import replayed, samples_of
from tcalloc.learn.sequential.rules.families import Family, Tables, Thresholds
from tcalloc.learn.sequential.selection import Mixture
from tcalloc.learn.sequential.settings import Settings
from tcalloc.learn.sequential.training import Trained
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["calibrated", "highest_costs", "most_drawn", "room"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Share of the budget that stays unspent because a few questions may cost as much as the limit allows.
WASTE = 0.06


def most_drawn(family: Family, caps: Sequence[int], rules: Ints) -> Ints:
    """Return the most samples of each model that rules can draw, (len(rules), arms).

    For rules with tables of counts, all states that samples can lead to are followed. Thresholds have their own cap.
    For other rules only the most samples of each model are known.
    """
    if isinstance(family, Tables):
        return np.minimum(_followed(family.wave[rules]), caps[0])[:, None]
    if isinstance(family, Thresholds):
        return np.minimum(family.caps[rules], caps[0])[:, None]
    return np.tile(np.asarray(caps, np.int64), (len(rules), 1))


def _followed(wave: NDArray[np.uint8]) -> Ints:
    """Follow all states (samples, votes of the first and of the second answer) that rules can reach."""
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


def room(settings: Settings, most: Floats, budget: float, confidence: float, n: int) -> float | None:
    """Return a limit on a question's cost that suits n held-out questions; None if none is needed.

    If one question can cost many times the budget, a guarantee from few questions must leave much of it unspent: about
    log(1/δ)·(limit − budget)/n. The limit keeps that to a small share of the budget. A question that has spent less
    than twice the budget can always have one more sample.
    """
    fair = budget * (1 + WASTE * n / math.log(1 / (1 - confidence)))
    limit = max(fair, 2 * budget + float(most.max()))
    # A run draws while the most expensive recorded sample fits; a sample that costs more may exceed the limit.
    limit -= _excess(settings, most)
    return None if limit >= settings.limit else max(limit, float(settings.highest_draw_costs.min()) + settings.looks)


def _excess(settings: Settings, most: Floats) -> float:
    """Return the amount by which the last draw of a run can exceed the limit on its cost."""
    return max(settings.waves) * max(float((most - settings.highest_draw_costs).max()), 0.0)


def highest_costs(trained: Trained, mixtures: Sequence[Mixture], most: Floats) -> Floats:
    """Return the most that a question can cost under each mixture, as a mean over its two rules.

    Parameters
    ----------
    trained : Trained
        The rules.
    mixtures : sequence of Mixture
        Mixtures of two rules, each with its limit.
    most : ndarray, (arms,)
        The most that one sample of each model can cost, with its draw. What X costs is added where rules read it.
    """
    settings = trained.settings
    drawn: dict[tuple[int, int], float] = {}
    for c in {mixture.candidate for mixture in mixtures}:
        rules = np.unique([rule for m in mixtures if m.candidate == c for rule in (m.low, m.high)])
        family = trained.choices.candidates[c].family
        costs = most_drawn(family, settings.caps, rules) @ most + settings.looking(family)
        drawn |= {(c, rule): cost for rule, cost in zip(rules.tolist(), costs.tolist(), strict=True)}
    found = []
    for mixture in mixtures:
        limit = min(settings.limit, math.inf if mixture.limit is None else mixture.limit) + _excess(settings, most)
        low, high = (min(drawn[mixture.candidate, rule], limit) for rule in (mixture.low, mixture.high))
        found.append((1 - mixture.share) * low + mixture.share * high)
    return np.array(found)


def calibrated(
    trained: Trained,
    X: Any,
    samples: Samples,
    budget: float,
    confidence: float | None,
    low: float | None,
    high: Any,
    orders: int,
    actions: Mapping[str, Action],
) -> tuple[Mixture, Calibration]:
    """Return the mixture that keeps a budget on held-out questions, and what is known about its spend.

    Parameters
    ----------
    trained : Trained
        The rules.
    X, samples, budget, confidence, low, high, orders
        As in `Sequential.calibrate`; the budget is checked.
    actions : mapping of str to Action
        The actions that were given for draws from some models.
    """
    settings = trained.settings
    mixtures = trained.choices.mixtures(trained.choices.budgets())
    limits: dict[str, Any] = {}
    said = None
    if confidence is not None:
        named, _ = samples_of(samples, None, settings.arms)
        most = sample_costs(settings.arms, settings.highest_draw_costs, named, actions, high)
        limit = room(settings, most, budget, level_of("confidence", confidence), len(named))
        mixtures = [replace(mixture, limit=limit) for mixture in mixtures]
        limits = {"low": low or 0.0, "high": highest_costs(trained, mixtures, most)}
        said = cost_phrase(settings.arms, most)
    spends = replayed(trained, mixtures, samples, X, orders, 0).spend
    place, found = calibrate_rising(spends, budget, confidence, said, **limits)
    return mixtures[place], found

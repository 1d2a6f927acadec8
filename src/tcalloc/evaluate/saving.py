"""What a policy that is served saves against a fixed choice, from requests whose samples judge each other."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._rounding import COMPUTED
from tcalloc._student import LEVEL
from tcalloc.evaluate.judged_replay import outcomes_on
from tcalloc.evaluate.statistics import bootstrap, expansion, first_reached
from tcalloc.evaluate.thresholds import HALVES
from tcalloc.learn.hull import upper_hull
from tcalloc.learn.training import as_table
from tcalloc.measure.referee import judged
from tcalloc.measure.samples import Samples

__all__ = ["Saving", "saving_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Saving:
    """What is saved against the cheapest fixed choice with the same agreement.

    A fixed choice draws the same number of samples of one model for every request, or mixes two such actions at random.
    If the policy agrees with the reference more often than all fixed choices do, it is compared with the one that does
    so most often.

    Attributes
    ----------
    share, low, high : float
        The share of the fixed choice's cost that is saved, with its 95 % interval. Below 0: the policy costs more.
    requests : int
        The number of requests that this was measured on.
    spend, spend_fixed : float
        Mean cost per request.
    agreement, agreement_fixed : float
        How often the answer is that of the reference.
    """

    share: float
    low: float
    high: float
    requests: int
    spend: float
    spend_fixed: float
    agreement: float
    agreement_fixed: float


def saving_of(policy: Any, samples: Samples, X: Any, seed: int = 0) -> Saving:
    """Return what a policy that has not learned from these requests saves at its own setting.

    The samples are labelled by a reference, and halves of them judge each other.
    """
    parts = judged(samples, HALVES, seed)
    (spend,), (agreement,) = outcomes_on(policy, parts, X)
    fixed_spend, fixed_agreement = _fixed(parts)
    means = bootstrap(np.vstack([spend, agreement, fixed_spend, fixed_agreement]), seed)
    k = len(fixed_spend)
    whole = np.concatenate([[spend.mean(), agreement.mean()], fixed_spend.mean(axis=1), fixed_agreement.mean(axis=1)])
    needed = _needed(whole[None], k)[0]
    share = float(1 - whole[0] / needed)
    tail = (1 - LEVEL) / 2
    ends = np.quantile(1 - means[:, 0] / _needed(means, k), [tail, 1 - tail])
    wider = expansion(len(spend)) if len(spend) > 1 else math.inf
    low, high = (share + wider * (float(end) - share) for end in ends)
    return Saving(
        share, low, high, len(spend), float(whole[0]), float(needed), float(whole[1]),
        float(min(whole[1], whole[2 + k :].max())),
    )  # fmt: skip


def _fixed(parts: tuple[Samples, ...]) -> tuple[Floats, Floats]:
    """Return costs and agreement of fixed choices by request, (K, n): those on the hull, by cost."""
    arms = parts[0].by_model
    sizes = {name: min(int(part.by_model[name].drawn.sum(axis=1).min()) for part in parts) for name in arms}
    actions = [action for name in arms for action in parts[0].actions_of(name, range(1, sizes[name] + 1))]
    tables = [as_table(part, len(part), actions, None) for part in parts]
    cost, acc = (np.mean([getattr(one, of) for one in tables], axis=0).T for of in ("cost", "acc"))
    kept = upper_hull(cost.mean(axis=1), acc.mean(axis=1))
    return cost[kept], acc[kept]


def _needed(means: Floats, k: int) -> Floats:
    """Return what the cheapest fixed choice with the policy's agreement costs, for rows of means."""
    spends, curves = means[:, 2 : 2 + k], means[:, 2 + k :]
    targets = np.minimum(means[:, 1], curves.max(axis=1)) - COMPUTED
    return first_reached(spends, curves, targets)

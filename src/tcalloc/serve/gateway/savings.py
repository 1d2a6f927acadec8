"""What the gateway saves, from the requests that it explored since its policy was loaded.

The last 1,000 are kept in memory, so that nothing is read from the disk while requests are answered.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tcalloc.errors import TcallocError
from tcalloc.evaluate.saving import saving_of
from tcalloc.evaluate.thresholds import FEWEST
from tcalloc.evaluate.traffic import whole_requests
from tcalloc.measure.sample_arrays import NOT_DRAWN
from tcalloc.measure.samples import Samples
from tcalloc.serve.gateway.decisions import ServedPolicy
from tcalloc.serve.gateway.exploring import Seen

__all__ = ["Savings"]

# Requests that are kept. More would hardly make the interval narrower.
MOST_KEPT = 1000


class Savings:
    """What is saved against the cheapest fixed choice with the same agreement. Threads may share it."""

    def __init__(self, served: ServedPolicy, clock: Any = time.time):
        self._guard, self._clock = threading.Lock(), clock
        self.serve(served)

    def serve(self, served: ServedPolicy) -> None:
        """Begin anew with another policy."""
        with self._guard:
            self._served = served
            self._kept: deque[Seen] = deque(maxlen=MOST_KEPT)
            self._spend, self._decided = 0.0, 0
            self._since = float(self._clock())
            self._summary: dict[str, float] | None = None

    @property
    def summary(self) -> Mapping[str, float] | None:
        """The figures; None until there are 20 requests, or if nothing can be measured on them.

        ``saved_share`` with the ends ``low`` and ``high`` of its 95 % interval, the ``requests`` that it was measured
        on, ``spend`` and ``spend_fixed`` per request, ``agreement`` and ``agreement_fixed`` with the reference, and
        ``since``, the time in seconds since 1970 from which requests count.
        """
        with self._guard:
            return None if self._summary is None else dict(self._summary)

    def add(self, served: ServedPolicy, seen: Seen) -> None:
        """Take an explored request; it is ignored if another policy than `served` is served by now."""
        with self._guard:
            if served is self._served and seen.codes:
                self._kept.append(seen)

    def paid(self, served: ServedPolicy, spend: float) -> None:
        """Count the cost of a request that the policy decided."""
        with self._guard:
            if served is self._served:
                self._spend += spend
                self._decided += 1

    def measure(self) -> None:
        """Measure what is saved; takes up to some seconds."""
        with self._guard:
            served, kept, since = self._served, list(self._kept), self._since
            usual = self._spend / self._decided if self._decided else None
        found = _measured(served, kept, usual)
        if found is not None:
            found |= {"since": since}
        with self._guard:
            if served is self._served:
                self._summary = found


def _measured(served: ServedPolicy, kept: Sequence[Seen], usual: float | None) -> dict[str, float] | None:
    models = served.models or ("",)
    kept = [one for one in kept if set(one.codes) == set(models)]
    if len(kept) < FEWEST:
        return None
    arms = {model: _arm([one.codes[model] for one in kept], [one.costs[model] for one in kept]) for model in models}
    ids = np.arange(len(kept))
    try:
        samples = Samples(arms=arms, ids=ids) if served.models else replace(arms[""], ids=ids)
        samples = samples.take(whole_requests(samples)).labelled("agreement")
        rows = [served.row(kept[int(row)].text) for row in np.asarray(samples.ids)]
        # A budget keeper sets the policy by its price. What requests cost on average stands for that here.
        policy = served.policy.at(usual) if served.kept and usual else served.policy  # type: ignore[attr-defined]
        saving = saving_of(policy, samples, rows)
    except TcallocError:  # such as too few samples with an answer
        return None
    return {
        "saved_share": saving.share,
        "low": saving.low,
        "high": saving.high,
        "requests": float(saving.requests),
        "spend": saving.spend,
        "spend_fixed": saving.spend_fixed,
        "agreement": saving.agreement,
        "agreement_fixed": saving.agreement_fixed,
    }


def _arm(codes: Sequence[Sequence[int]], costs: Sequence[Sequence[float]]) -> Samples:
    """Return the samples of one model, a row for each request."""
    width = max(map(len, codes))
    answers = [[*row, *[NOT_DRAWN] * (width - len(row))] for row in codes]
    paid = [[*row, *[0.0] * (width - len(row))] for row in costs]
    return Samples(np.array(answers), cost=np.array(paid))

"""Whether explored requests have changed since the policy was loaded: their price, difficulty and agreement.

The test
--------
The first explored requests give the usual mean of each figure, with a 99 % interval. From then on each figure, a number
x in [0, 1], is tested for a mean above the upper end u of that interval by Shiryaev-Roberts sums of bets,

    R ← (R + 1) · (1 + λ (x − u)),    for several λ in (0, 1/u),

and in the same way for a mean below the lower end. While the mean is at most u, the mean of R minus the number of
requests never grows, so that R stays below the threshold A for A requests on average, whatever the distribution is
(J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New England
Journal of Statistics in Data Science, 2023). The threshold is shared by all sums of the three figures.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from tcalloc._printing import clean_line
from tcalloc._student import quantile
from tcalloc.serve.gateway.decisions import ServedPolicy
from tcalloc.serve.gateway.exploring import Seen

__all__ = ["ARL", "Change", "Drift"]

KINDS = ("price", "difficulty", "agreement")
# The first requests that say what is usual, and the last ones that are shown beside them.
USUAL, RECENT = 100, 50
# A false alarm comes after this many explored requests on average, or later, given what is usual.
ARL = 10_000
# The confidence of the interval of the usual mean.
LEVEL = 0.99
# Bets, as shares of the highest that is possible.
BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
# A sample counts at most this many times its usual cost, so that one long answer is no change.
CLIP = 3.0
# Random halves of a request's samples.
HALVES = 4
# A difference from the costs of the policy's training is reported above this share of them.
OFF = 0.25


class Change:
    """Tests numbers in [0, 1] for another mean than that of the first ones.

    The threshold is the mean number of values before a false alarm, for each direction.
    """

    def __init__(self, threshold: float):
        self._threshold = threshold
        self._first: list[float] = []
        self._ends: tuple[float, float] | None = None
        self._sums = np.zeros((2, len(BETS)))
        self.usual = float("nan")
        self.direction = 0
        """1: it has risen; -1: it has fallen; 0: there is no change."""

    def add(self, value: float) -> bool:
        """Take a value; return whether it raises the alarm, which it does once."""
        if self._ends is None:
            self._first.append(value)
            if len(self._first) == USUAL:
                mean = self.usual = float(np.mean(self._first))
                # A figure that was the same in all of them may still vary, such as once in as many requests.
                spread = max(float(np.std(self._first, ddof=1)) / USUAL**0.5, 1 / USUAL)
                half = quantile(USUAL - 1, LEVEL) * spread
                self._ends = max(mean - half, 0.0), min(mean + half, 1.0)
            return False
        if self.direction:
            return False
        low, high = self._ends
        for row, (distance, most) in enumerate(((value - high, high), (low - value, 1 - low))):
            if most < 1:  # else it can never be beyond
                self._sums[row] = (self._sums[row] + 1) * (1 + BETS / max(most, 1e-9) * distance)
                if self._sums[row].mean() >= self._threshold:
                    self.direction = 1 if row == 0 else -1
                    return True
        return False


class Drift:
    """What has changed since the policy was loaded. Threads may share it."""

    def __init__(self, served: ServedPolicy, clock: Any = time.time):
        self._guard, self._clock = threading.Lock(), clock
        self.serve(served)

    def serve(self, served: ServedPolicy) -> None:
        """Begin anew with another policy."""
        with self._guard:
            self._served = served
            self._changes = {kind: Change(2 * len(KINDS) * ARL) for kind in KINDS}
            self._recent = {kind: deque[float](maxlen=RECENT) for kind in KINDS}
            self._since = dict.fromkeys(KINDS, float("nan"))
            self._costs: list[float] = []
            self._scale: float | None = None
            self._random = np.random.default_rng(0)

    @property
    def summary(self) -> Mapping[str, Mapping[str, float]]:
        """The figures by kind: price (what a sample costs), difficulty and agreement; empty until 100 requests came.

        Difficulty is the share of samples that do not give the most frequent answer. Agreement is how often the most
        frequent answers of two halves of the samples are the same. Each has its ``usual`` mean and that of the
        ``recent`` requests, ``alarm`` (1 if it has changed), ``direction`` (1: it has risen, -1: fallen) and ``since``,
        the time of the alarm in seconds since 1970.
        """
        with self._guard:
            if self._scale is None:
                return {}
            found = {}
            for kind, change in self._changes.items():
                scale = self._scale * CLIP if kind == "price" else 1.0
                found[kind] = {
                    "usual": scale * change.usual,
                    "recent": scale * float(np.mean(self._recent[kind])),
                    "alarm": float(change.direction != 0),
                    "direction": float(change.direction),
                    "since": self._since[kind],
                }
            return found

    def add(self, served: ServedPolicy, seen: Seen, priced: bool) -> list[str]:
        """Take an explored request; return what has changed by it, each as a sentence for the log.

        Nothing is tested if another policy than `served` is served by now. If the request is `priced`, its costs are
        those of bills.
        """
        model = served.models[-1] if served.models else ""  # the most expensive one gives the reference
        codes = np.array(seen.codes.get(model, ()))
        costs = [cost for arm in seen.costs.values() for cost in arm]
        if not len(codes) or set(seen.codes) != set(served.models or ("",)):
            return []
        said = []
        with self._guard:
            if served is not self._served:
                return []
            figures = {"difficulty": 1 - _leading(codes)[1], "agreement": self._agreement(codes)}
            prices = [float(np.mean(costs))]
            if self._scale is None:  # prices are tested as shares of what is usual
                self._costs += prices
                prices = []
                if len(self._costs) == USUAL:
                    self._scale = float(np.mean(self._costs)) or 1.0
                    prices = self._costs
                    said += self._beside_training(priced)
            for price in prices:
                self._add("price", min(price / (CLIP * self._scale), 1.0), said)  # type: ignore[operator]
            for kind, value in figures.items():
                self._add(kind, value, said)
        return said

    def _add(self, kind: str, value: float, said: list[str]) -> None:
        self._recent[kind].append(value)
        change = self._changes[kind]
        if change.add(value):
            self._since[kind] = float(self._clock())
            scale = (self._scale or 1.0) * CLIP if kind == "price" else 1.0
            usual, now = scale * change.usual, scale * float(np.mean(self._recent[kind]))
            how = "risen" if change.direction > 0 else "fallen"
            said.append(
                f"the {kind} of explored requests has {how}: {usual:.4g} was usual, the last {RECENT} have {now:.4g}. "
                "Fit the policy again: tcalloc refit."
            )

    def _agreement(self, codes: Any) -> float:
        """Return how often halves of the samples have the same most frequent answer."""
        half = len(codes) // 2
        same = 0
        for _ in range(HALVES if half else 0):
            mixed = self._random.permutation(codes)
            one, other = _leading(mixed[:half])[0], _leading(mixed[half : 2 * half])[0]
            same += one == other and one > 0
        return same / HALVES

    def _beside_training(self, priced: bool) -> list[str]:
        """Return a sentence if samples do not cost what they did in training; nothing if that is not known."""
        trained = {name: cost for name, cost in self._served.costs.items() if cost != 1.0}  # 1: samples were counted
        if not priced or not trained or self._scale is None:
            return []
        expected = float(np.mean(list(trained.values())))
        if abs(self._scale / expected - 1) <= OFF:
            return []
        names = clean_line(", ".join(name for name in trained if name))
        of = f" of {names}" if names else ""
        return [
            f"a sample{of} costs {self._scale:.4g}, and {expected:.4g} in the training of the policy. "
            "Fit the policy again: tcalloc refit."
        ]


def _leading(codes: Any) -> tuple[int, float]:
    """Return the most frequent answer and its share of the samples; 0 where there is none."""
    given, counts = np.unique(codes[codes > 0], return_counts=True)
    if not len(given):
        return 0, 0.0
    return int(given[counts.argmax()]), float(counts.max()) / len(codes)

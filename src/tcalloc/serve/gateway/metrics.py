"""What the gateway counts, in the text form of Prometheus: no prompts, no keys, no names of clients.

Written by hand: three kinds of numbers on one page. prometheus_client would add a registry of the whole process, in
which two gateways of one process collide.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tcalloc.serve.gateway.history import History, Served
from tcalloc.serve.keeper.status import Status

__all__ = ["Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# The gauges of what explored requests say. Without "saved_share_" they are the names in the summary.
SAVINGS = {
    "saved_share": "Saved share of the cost of the cheapest fixed choice with the same agreement.",
    "saved_share_low": "The lower end of its 95 % interval.",
    "saved_share_high": "The upper end.",
    "saved_share_requests": "Explored requests that it was measured on.",
    "saved_share_agreement": "How often the policy gives the answer of the reference.",
}
DRIFT = {
    "alarm": "1: explored requests have changed since the policy was loaded.",
    "usual": "The mean of the first explored requests with this policy.",
    "recent": "The mean of the last ones.",
}
# The most names of actions that are counted apart. Policies that are loaded later may bring more: these are "other".
MOST_NAMES = 200


class _Histogram:
    def __init__(self, bounds: Sequence[float]):
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        place = next((i for i, bound in enumerate(self.bounds) if value <= bound * (1 + 1e-9)), len(self.bounds))
        self.counts[place] += 1
        self.total += value

    def lines(self, name: str) -> Iterator[str]:
        seen = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{le="{bound}"}} {seen}'
        yield f"{name}_sum {self.total:.12g}"
        yield f"{name}_count {seen}"


class Metrics:
    """Counters of one gateway. Threads may share it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._requests: dict[str, int] = defaultdict(int)
        self._actions: dict[str, int] = defaultdict(int)
        self._fallbacks: dict[str, int] = defaultdict(int)
        self._samples, self._spend = 0, 0.0
        self._latency, self._share = _Histogram(SECONDS), _Histogram(SHARES)
        self.history = History(time.time())
        self.open = 0
        """Requests under way."""

    def request(self, one: Served) -> None:
        """Count a request that has ended, and what it cost."""
        with self._guard:
            self._requests[one.outcome] += 1
            self._latency.add(one.seconds)
            self._spend += one.spend
        self.history.add(one)

    def action(self, name: str, samples: int, share: float | None) -> None:
        """Count what was done for a request, and the share of its vote."""
        with self._guard:
            self._actions[name if name in self._actions or len(self._actions) < MOST_NAMES else "other"] += 1
            self._samples += samples
            if share is not None:
                self._share.add(share)

    def fallback(self, why: str) -> None:
        """Count a request that got something else than the policy decided."""
        with self._guard:
            self._fallbacks[why] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, as JSON can hold them."""
        with self._guard:
            votes = sum(self._share.counts)
            return {
                "requests": {"open": self.open, **self._requests},
                "samples": self._samples,
                "spend": self._spend,
                "actions": dict(self._actions),
                "fallbacks": dict(self._fallbacks),
                "vote_share": {"votes": votes, "mean": self._share.total / votes if votes else None},
            }

    def text(
        self,
        status: Status | None,
        savings: Mapping[str, float] | None = None,
        drift: Mapping[str, Mapping[str, float]] | None = None,
    ) -> str:
        """Return the page of metrics: with the budget, if one is kept, and the summaries of `Savings` and `Drift`."""
        with self._guard:
            lines = [
                *_labelled("tcalloc_requests_total", "Requests that have ended.", "outcome", self._requests),
                *_labelled("tcalloc_actions_total", "What was done for requests.", "action", self._actions),
                *_labelled("tcalloc_fallbacks_total", "Requests that got something else.", "reason", self._fallbacks),
                *_one("tcalloc_samples_total", "counter", "Samples that came.", self._samples),
                *_one("tcalloc_spend_total", "counter", "What requests have cost since the start.", self._spend),
                *_one("tcalloc_requests_open", "gauge", "Requests under way.", self.open),
                *_one("tcalloc_start_time_seconds", "gauge", "Start of the gateway, since 1970.", self.history.since),
                *_head("tcalloc_latency_seconds", "histogram", "From a request to the end of its reply."),
                *self._latency.lines("tcalloc_latency_seconds"),
                *_head("tcalloc_vote_share", "histogram", "The share of the samples that gave the answer."),
                *self._share.lines("tcalloc_vote_share"),
            ]
        for name, help_ in SAVINGS.items():
            if savings is None:
                break
            lines += _one(f"tcalloc_{name}", "gauge", help_, savings[name.removeprefix("saved_share_")])
        for name, help_ in DRIFT.items():
            if not drift:
                break
            values = {kind: figures[name] for kind, figures in drift.items()}
            lines += _labelled(f"tcalloc_drift_{name}", help_, "kind", values, "gauge")
        if status is not None:
            said = {
                "total": ("The budget of the period.", status.total),
                "spent": ("Spent in the period, with what lost grants count as.", status.spent),
                "reserved": ("The most that open requests can still cost.", status.reserved),
                "lost": ("The part of the spending that is assumed: its bills never came.", status.lost),
            }
            for name, (help_, value) in said.items():
                lines += _one(f"tcalloc_budget_{name}", "gauge", help_, value)
            if status.price is not None:
                lines += _one("tcalloc_price", "gauge", "Accuracy that a unit of cost must buy.", status.price)
            if status.forecast is not None:
                text = "What the period will have spent at its end."
                lines += _one("tcalloc_budget_forecast", "gauge", text, status.forecast)
            if status.elapsed is not None:
                text = "The share of the period that has passed."
                lines += _one("tcalloc_budget_elapsed", "gauge", text, status.elapsed)
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _one(name: str, kind: str, text: str, value: float) -> list[str]:
    return [*_head(name, kind, text), f"{name} {value:.12g}"]


def _labelled(name: str, text: str, label: str, values: Mapping[str, float], kind: str = "counter") -> Iterator[str]:
    yield from _head(name, kind, text)
    for value, count in sorted(values.items()):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield f'{name}{{{label}="{escaped}"}} {count:.12g}'

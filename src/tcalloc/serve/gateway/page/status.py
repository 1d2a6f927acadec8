"""What is known of a gateway, as one document that JSON can hold: no prompts, no answers, no keys."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._version import __version__
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.requests import Answering
from tcalloc.serve.keeper.status import Status, finite

__all__ = ["FORMAT", "Known", "Learned", "known_of", "status_document"]

# Grows if a field changes its meaning or goes away; new fields may come at any time.
FORMAT = 1


# The savings and the drift; None: nothing is known yet.
Learned = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Known:
    """What a gateway knows.

    Attributes
    ----------
    metrics : Metrics
        Its counters.
    policy : str
        The policy's name.
    unit : str or None
        The unit of what is spent.
    explore : float
        The share of the requests that are explored.
    budget : Status or None
        The state of the budget.
    budget_failed : bool
        Whether a budget is kept, and could not be read.
    period_seconds : float or None
        The length of the budget's period; None: it is not counted in seconds.
    savings, drift : mapping or None
        What was learned from the traffic; of the drift, the figures of each kind.
    """

    metrics: Metrics
    policy: str
    unit: str | None
    explore: float
    budget: Status | None
    budget_failed: bool
    period_seconds: float | None
    savings: Mapping[str, Any] | None
    drift: Mapping[str, Any] | None


def known_of(answering: Answering, budget: Status | None, failed: bool, learned: Learned) -> Known:
    """Return what a gateway knows.

    Parameters
    ----------
    answering : Answering
        How it answers.
    budget, failed
        The state of its budget, and whether it could not be read.
    learned : Learned
        What was learned from its traffic.
    """
    keeper, served = answering.keeper, answering.served
    unit = seconds = None
    if keeper is None:
        unit = "samples" if answering.upstream.rates is None and not served.costs else None
    else:
        unit = keeper.unit or None
        if not keeper.period.in_requests and keeper.period.length < math.inf:
            seconds = keeper.period.length
    return Known(answering.metrics, served.name, unit, answering.share, budget, failed, seconds, *learned)


def status_document(known: Known, now: float | None = None) -> dict[str, Any]:
    """Return the status of a gateway.

    Parameters
    ----------
    known : Known
        What is known.
    now : float, optional
        The time, in seconds since 1970; default: the current time.
    """
    history = known.metrics.history
    seconds, course = history.course()
    budget = None
    if known.budget is not None:
        # JSON has no infinite price.
        budget = known.budget.as_dict() | {
            "period_seconds": known.period_seconds,
            "cheapest_only": known.budget.price == math.inf,
        }
    found: dict[str, Any] = finite(
        {
            "format": FORMAT,
            "tcalloc": __version__,
            "since": history.since,
            "now": time.time() if now is None else now,
            "policy": known.policy,
            "explore": known.explore,
            "unit": known.unit,
            **known.metrics.as_dict(),
            "latency": history.quantiles(),
            "budget": budget,
            "budget_failed": known.budget_failed,
            "savings": None if known.savings is None else dict(known.savings),
            "drift": None if known.drift is None else dict(known.drift),
            "course": {
                "seconds": seconds,
                "places": [
                    {
                        "after": one.number * seconds,
                        "requests": one.requests,
                        "answered": one.answered,
                        "samples": one.samples,
                        "spend": one.spend,
                        "votes": one.votes,
                        "vote_share": one.shares / one.votes if one.votes else None,
                        "price": one.price,
                    }
                    for one in course
                ],
            },
            "last": history.last(),
        }
    )
    return found

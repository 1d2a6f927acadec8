"""Estimates of the cost, time and precision of a whole run, from the samples that are stored already."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tcalloc.runs.records import SampleRecord

__all__ = ["Forecast", "forecast"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The estimate for a run.

    Attributes
    ----------
    seen : int
        Number of samples on which the estimate is based.
    samples, requests : int
        Samples still to be drawn, and the requests for them if none fails.
    input_tokens, output_tokens : float
        Expected tokens of the samples still to be drawn.
    cost, cost_high : float or None
        Expected cost, and a high estimate (two standard errors more); None without prices.
    seconds : float
        Expected time, if the server is as fast for many requests at once as for those of the pilot.
    truncated : float
        Share of these samples that max_tokens cut off.
    accuracy : float or None
        Share of these samples that are right; None without gold answers.
    mean_interval : float
        Half the width, at most, of the 95 % interval of the mean accuracy of one sample.
    question_interval : float
        The same for the accuracy of one question.
    largest_vote : int
        Votes over more samples than this cannot be estimated.
    """

    seen: int
    samples: int
    requests: int
    input_tokens: float
    output_tokens: float
    cost: float | None
    cost_high: float | None
    seconds: float
    truncated: float
    accuracy: float | None
    mean_interval: float
    question_interval: float
    largest_vote: int


def forecast(
    records: Iterable[SampleRecord],
    arm: str,
    questions: int,
    n: int,
    *,
    n_per_request: int,
    n_limit: int | None = None,
    prompt_once: bool = True,
    concurrency: int,
) -> Forecast | None:
    """Estimate the rest of a run.

    Parameters
    ----------
    records : iterable of SampleRecord
        A run's samples.
    arm : str
        The arm whose samples count.
    questions, n : int
        Number of questions, and of samples for each.
    n_per_request : int
        Choices per request.
    n_limit : int or None
        The most choices that the server gave; None: not known.
    prompt_once : bool
        Whether all choices of a request pay its prompt once; see `Rates`.
    concurrency : int
        Requests at one time.

    Returns
    -------
    Forecast or None
        None if there is no sample.
    """
    seen = [record for record in records if record.get("arm") == arm]
    if not seen:
        return None
    missing = max(0, questions * n - sum(record["sample"] < n for record in seen))
    together = min(n_per_request, n_limit or n_per_request)
    requests = math.ceil(missing / together)
    inputs = _mean([record["input_tokens"] for record in seen])
    outputs = _mean([record["output_tokens"] for record in seen])
    costs = [_cost(record, together, prompt_once) for record in seen if record.get("cost") is not None]
    known = [bool(record["correct"]) for record in seen if record.get("correct") is not None]
    cost, error = _mean(costs), _error(costs)
    # With few samples the rate is shrunk towards one half, where the interval is widest.
    p = (sum(known) + 1) / (len(known) + 2) if len(known) >= 30 else 0.5
    return Forecast(
        seen=len(seen),
        samples=missing,
        requests=requests,
        input_tokens=inputs * requests,
        output_tokens=outputs * missing,
        cost=cost * missing if costs else None,
        cost_high=(cost + 2 * error) * missing if costs else None,
        seconds=_mean([record["seconds"] for record in seen]) * requests / concurrency,
        truncated=_mean([bool(record["truncated"]) for record in seen]),
        accuracy=_mean(known) if known else None,
        # If the samples of each question all agree, only the number of questions counts.
        mean_interval=1.96 * math.sqrt(p * (1 - p) / questions),
        question_interval=1.96 * math.sqrt(0.25 / n),
        largest_vote=n,
    )


def _cost(record: SampleRecord, together: int, prompt_once: bool) -> float:
    """Return the cost of a sample if one request brings so many."""
    share = record.get("request_cost") or 0.0
    own = share * (record.get("choices") or 1) / together if prompt_once else share
    return float(record["cost"] or 0.0) - share + own


def _mean(values: list[Any]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _error(values: list[float]) -> float:
    """Return the standard error of the mean; for a single value, half of it."""
    if len(values) < 2:
        return _mean(values) / 2
    mean = _mean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))

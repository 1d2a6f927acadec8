"""What is written into the log of an evaluation whose epochs were stopped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tcalloc.learn.protocol import Run
from tcalloc.serve.inspect_ai.epoch_bills import EpochBills
from tcalloc.serve.inspect_ai.estimates import Estimate, mean_of, one_epoch, saved
from tcalloc.serve.inspect_ai.question_epochs import QuestionEpochs
from tcalloc.serve.inspect_ai.votes import voted

__all__ = ["summary_of"]


def summary_of(
    questions: Sequence[QuestionEpochs], starts: Sequence[Callable[[], Run]], epochs: int, bills: EpochBills
) -> dict[str, Any]:
    """Return counts, amounts and accuracies, as JSON.

    `starts` begin a new run of each question; `epochs` were planned for each.
    """
    unit = "tokens" if bills.usd is None or not bills.usd else "usd"
    costs = [[epoch.result.cost for epoch in question.in_order if epoch.priced] for question in questions]
    found: dict[str, Any] = {
        "questions": len(questions),
        "epochs_planned": epochs * len(questions),
        "epochs_run": sum(len(question.done) for question in questions),
        "epochs_stopped": sum(len(question.stopped) for question in questions),
        "epochs_without_money": sum(len(question.unpaid) for question in questions),
        "epochs_failed": sum(len(question.failed) for question in questions),
        "unit": unit,
        "spent": bills.tokens if unit == "tokens" else bills.usd,
        "spent_tokens": bills.tokens,
        "saved": _as_json(saved(costs, [len(question.stopped) for question in questions])),
    }
    votes, means, single = [], [], []
    for seed, (question, start) in enumerate(zip(questions, starts, strict=True)):
        came = question.in_order
        values = [epoch.value for epoch in came if epoch.value is not None]
        if not came or len(values) < len(came):  # of an epoch without a number nothing can be said
            continue
        votes.append(values[voted(question.answers)])
        means.append(math.fsum(values) / len(values))
        single.append(one_epoch(start, [epoch.result for epoch in came], values, seed))
    found["accuracy_of_the_vote"] = _share(mean_of(votes))
    found["accuracy_of_one_epoch"] = _share(mean_of(single))
    found["mean_of_epochs_is_too_high_by"] = _as_json(mean_of([a - b for a, b in zip(means, single, strict=True)]))
    found["notes"] = []
    return found


def _as_json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate)


def _share(estimate: Estimate | None) -> dict[str, Any] | None:
    """Return an accuracy; its interval stays where accuracies can be."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return _as_json(estimate)
    return _as_json(Estimate(estimate.value, max(estimate.low, 0.0), min(estimate.high, 1.0)))

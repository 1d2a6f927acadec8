"""One explored request: the codes and the costs of its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tcalloc.measure.sample_arrays import NO_ANSWER
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.gateway.decisions import ServedPolicy

__all__ = ["Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """The samples of an explored request, by model; if the policy knows only one, its name is ""."""

    text: str
    """The question."""
    codes: Mapping[str, list[int]]
    """Equal numbers for equal answers, from 1 on; -1: no answer."""
    costs: Mapping[str, list[float]]
    """What each sample cost."""

    @classmethod
    def of(cls, served: ServedPolicy, text: str, records: Sequence[SampleRecord], priced: bool) -> Self:
        """Return a request with its samples.

        If they are `priced`, they have costs; otherwise they cost what they did in the training of the policy.
        """
        known: dict[str, int] = {}
        codes: dict[str, list[int]] = {}
        costs: dict[str, list[float]] = {}
        for record in records:
            model = str(record["model"]) if served.models else ""
            answer = record.get("answer")
            code = NO_ANSWER if answer is None else known.setdefault(str(answer), len(known) + 1)
            codes.setdefault(model, []).append(code)
            cost = float(record.get("cost") or 0.0) if priced else served.cost(str(record["model"]))
            costs.setdefault(model, []).append(cost)
        return cls(text, codes, costs)

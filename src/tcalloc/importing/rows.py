"""What is read of logs: rows with their samples, and what a reader of a format offers.

A reader learns a log by a first look (`Reader.survey`) and then turns one JSON object after the other into a `Row`: a
question's name, what the log knows of the question, and the samples in it (a line may hold many). What is wrong with a
row is raised as InputError without the place, which the caller adds.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["EXAMPLES", "Options", "Reader", "Row", "Rows", "Sample", "guess_format"]

EXAMPLES = {
    "jsonl": '{"id": "q1", "answer": "42", "correct": true, "cost": 0.002}',
    "lm-eval": '{"doc_id": 0, "target": "42", "resps": [["... 42"]], "filtered_resps": ["42"], "exact_match": 1.0}',
    "openai-batch": '{"custom_id": "q1", "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}',
    "anthropic-batch": '{"custom_id": "q1", "result": {"type": "succeeded", "message": {"content": [...]}}}',
}
# Yields place and row; what cannot be read is passed over.
Rows: TypeAlias = Callable[[], Iterator[tuple[str, Mapping[str, Any]]]]


@dataclass(slots=True)
class Sample:
    """One sample of a log; without text, answer and mark it is one that brought no answer."""

    text: str | None = None
    answer: str | None = None
    correct: bool | None = None
    number: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    silent: bool = False
    """Whether an answer was expected and there is none."""


@dataclass(slots=True)
class Row:
    """One line of a log."""

    id: str
    samples: list[Sample] = field(default_factory=list)
    model: str | None = None
    question: dict[str, Any] = field(default_factory=dict)
    asked: str | None = None
    """What identifies this question; two rows of one id must agree in it."""
    filter: str | None = None
    taken: list[tuple[str, str, Any]] = field(default_factory=list)
    """Our field, where it was found, and the value."""
    left: list[tuple[str, str, Any]] = field(default_factory=list)
    """Our field, a path whose value does not fit it and was left out, and that value."""

    def retake(self, name: str, path: str, value: Any) -> None:
        """Note that a field was found here, not elsewhere."""
        self.taken = [entry for entry in self.taken if entry[0] != name] + [(name, path, value)]


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are to be read."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Our fields to the paths that the user named; "" is a field that is not to be read."""
    graded: bool = False
    filters: tuple[str, ...] = ()
    metric: str | None = None
    model: str | None = None
    split: "re.Pattern[str] | None" = None
    golds: Mapping[str, str] | None = None
    """Gold answers by question, where a questions file gives them."""


class Reader(ABC):
    """Reads the rows of one log."""

    def __init__(self, options: Options):
        self.options = options
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.unread: dict[str, str] = {}
        """Fields that nothing was taken from, and the reason where there is one."""

    def survey(self, rows: Rows) -> None:
        """Learn what the log holds before any row is read."""
        del rows

    @abstractmethod
    def read(self, row: Mapping[str, Any]) -> Row | None:
        """Return what one row holds; None if it does not count."""

    def suggestion(self) -> str | None:
        """Return a field that was not read and equals the gold answer on some rows but not all; None if none does."""
        return None


def guess_format(row: Mapping[str, Any]) -> str:
    """Return the format that a first row is of."""
    if "custom_id" in row and ("response" in row or "error" in row):
        return "openai-batch"
    if "custom_id" in row and isinstance(row.get("result"), Mapping) and "type" in row["result"]:
        return "anthropic-batch"
    if "doc_id" in row and ("resps" in row or "filtered_resps" in row):
        return "lm-eval"
    return "jsonl"

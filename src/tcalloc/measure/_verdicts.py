"""Which samples of a run folder could not be graded.

A verdict is what a grader says of one sample: the answer that was found, whether it is right, and why grading failed.
A sample whose grading failed is paid for and stored. It counts as neither right nor wrong until it is graded again.
"""

import json
import os
import shlex
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcalloc.measure._lines import read_lines

__all__ = ["Failures", "failed", "failures_of"]
# Reasons that are kept; the others are counted.
REASONS = 20


def failed(record: Mapping[str, Any]) -> bool:
    """Say whether grading a sample failed."""
    return record.get("error") is not None


@dataclass(slots=True)
class Failures:
    """How many samples could not be graded, and why.

    Attributes
    ----------
    count : int
        How many.
    reasons : dict
        How many for each reason; the reasons that came first.
    """

    count: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, reason: Any) -> None:
        """Count one sample."""
        self.count += 1
        if reason in self.reasons or len(self.reasons) < REASONS:
            self.reasons[str(reason)] = self.reasons.get(str(reason), 0) + 1

    def words(self, out: str | None = None) -> str:
        """Return a sentence with the most frequent reason, and how to grade again.

        Parameters
        ----------
        out : str, optional
            The run folder.
        """
        reason = max(self.reasons, key=lambda one: self.reasons[one], default="no reason is known").rstrip(".")
        others = f" (the most frequent of {len(self.reasons)} reasons)" if len(self.reasons) > 1 else ""
        again = "" if out is None else f" To grade again what is stored, run: tcalloc grade {shlex.quote(out)}"
        answers = f"{self.count:,} answer{'s' * (self.count != 1)}"
        return f"{answers} could not be graded: {reason}{others}.{again}"


def failures_of(path: str, arms: Container[str] | None = None) -> Failures:
    """Count the samples of a run folder that could not be graded.

    Parameters
    ----------
    path : str
        The folder.
    arms : container of str, optional
        Only samples of these arms.
    """
    found = Failures()
    for line in read_lines(os.path.join(path, "samples.jsonl"), []):
        if b',"error":null' in line:  # no text can hold that: a quotation mark in one is escaped
            continue
        record = json.loads(line)
        if failed(record) and (arms is None or record.get("arm") in arms):
            found.add(record["error"])
    return found

"""The decisions for each question of a run folder, so that a repeated call asks for nothing new.

What a question may draw depends on the cost of the others so far, and so on the order in which they finish. For a
finished question, the draws and the samples granted for each are therefore kept beside its samples, in
``decisions.jsonl``. They are followed as long as policy and budget are the same.
"""

import json
import math
import os
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

from tcalloc._files import lines_of, naming, open_regular, strict_json

__all__ = ["Decision", "Decisions"]

# One draw: the model, samples asked for, samples had, and what was billed of samples that were cut off, if any were.
Decision: TypeAlias = tuple[str, int, int, float | None]


class Decisions:
    """The finished questions of a run folder; without a folder, nothing is kept. Threads share it.

    Decisions under another budget are not followed.
    """

    def __init__(self, out: str | None, budget: float | None):
        self._path = None if out is None else os.path.join(out, "decisions.jsonl")
        self._budget = budget
        self._guard = threading.Lock()
        self._known: dict[str, list[Decision]] = {}
        if self._path is not None and os.path.lexists(self._path):
            for line in lines_of(self._path):
                self._read(line)

    def of(self, question: str) -> list[Decision] | None:
        """Return the draws of a question that was finished; None if it was not."""
        return self._known.get(question)

    def keep(self, question: str, draws: Sequence[Decision]) -> None:
        """Keep what was drawn for a question that is finished."""
        if self._path is None or self._known.get(question) == list(draws):
            return
        line = json.dumps({"id": question, "budget": self._budget, "draws": draws})
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with self._guard, naming(self._path), open_regular(self._path, flags, follow=False) as file:
            file.write((line + "\n").encode())

    def _read(self, line: bytes) -> None:
        try:
            row: Any = strict_json(line)
            if row["budget"] == self._budget:
                draws = [
                    (str(arm), int(n), int(had), None if cut is None else float(cut))
                    for arm, n, had, cut in row["draws"]
                ]
                if all(cut is None or 0 <= cut < math.inf for _, _, _, cut in draws):
                    self._known[row["id"]] = draws
        except (ValueError, TypeError, KeyError, OverflowError):
            return  # a line that was cut off: that question is decided again

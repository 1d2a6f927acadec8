"""What answering by a policy returns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tcalloc.errors import MissingExtraError

__all__ = ["Answered", "Answers"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, answered."""

    id: str
    """Its name."""
    answer: str | None
    """The answer, normalized by the grader; None: none."""
    text: str | None
    """The first completion that gives it."""
    spend: float
    """What its samples cost, in the policy's unit."""
    samples: int
    """How many were drawn."""
    rounds: int
    """In how many draws, one after the other."""
    vote_share: float
    """The answer's share of the samples; by a verifier 1 or 0. It is no probability of being right."""
    correct: bool | None
    """Whether it is right; None without a gold answer."""


@dataclass(frozen=True, slots=True)
class Answers(Sequence[Answered]):
    """What `answer` did: a sequence of `Answered`, in the questions' order."""

    answered: tuple[Answered, ...]
    """Those questions that are finished; with samples or, where budget or policy left them out, without."""
    wanted: int
    """How many there are."""
    budget: float | None
    """What was allowed per question on average."""
    requests: int
    """Requests sent, retries included; samples that were stored before took none."""
    spent: float | None
    """Money by the clients' rates, earlier calls on the run folder included; None without rates."""
    seconds: float
    """How long it took."""
    stopped: str | None = None
    """Why it ended before its time."""
    interrupted: bool = False
    """Whether ctrl-C ended it."""
    reasons: tuple[str, ...] = ()
    """Why requests failed, each reason once."""
    notes: tuple[str, ...] = ()
    """What was noticed about the servers."""

    def __len__(self) -> int:
        return len(self.answered)

    def __getitem__(self, i: Any) -> Any:
        return self.answered[i]

    def __iter__(self) -> Iterator[Answered]:
        return iter(self.answered)

    @property
    def complete(self) -> bool:
        """Whether every question is finished."""
        return len(self.answered) == self.wanted

    @property
    def spend(self) -> float:
        """Mean per finished question, in the policy's unit; NaN if there is none."""
        return math.fsum(one.spend for one in self.answered) / len(self) if self.answered else math.nan

    @property
    def samples(self) -> float:
        """Mean per finished question; NaN if there is none."""
        return sum(one.samples for one in self.answered) / len(self) if self.answered else math.nan

    @property
    def accuracy(self) -> float | None:
        """Share of right answers among the questions with a gold answer; None if there is none."""
        known = [one.correct for one in self.answered if one.correct is not None]
        return sum(known) / len(known) if known else None

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row per question."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("to_frame: needs pandas: pip install pandas") from None
        return pd.DataFrame.from_records([asdict(one) for one in self.answered])

    def __str__(self) -> str:
        right = "" if self.accuracy is None else f", {100 * self.accuracy:.1f} % right"
        allowed = "" if self.budget is None else f" of {self.budget:g}"
        left_out = sum(not one.samples for one in self.answered)
        none = sum(one.answer is None for one in self.answered) - left_out
        parts = [(left_out, "not sampled"), (none, "without an answer in their samples"),
                 (self.wanted - len(self), "not finished")]  # fmt: skip
        others = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        begun = (
            f"{len(self) - left_out - none:,} of {self.wanted:,} questions answered{f' ({others})' if others else ''}"
        )
        if not self.answered:
            return f"{begun}."
        return f"{begun}{right}; {self.samples:.3g} samples and a spend of {self.spend:.4g}{allowed} per question."

    __repr__ = __str__

"""What answering by a policy returns."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tcalloc._amounts import amount
from tcalloc._printing import cleaned, shown_shortly
from tcalloc.errors import MissingExtraError
from tcalloc.runs.verdicts import Failures

__all__ = ["Answered", "Answers"]


@dataclass(frozen=True, slots=True, repr=False)
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
    """Whether it is right; None if that is not known: no gold answer, or grading failed."""
    status: str = "as decided"
    """What became of the policy's decision: "as decided"; "cheaper than decided" (fewer samples, or a cheaper action,
    because the budget did not allow more); "left out" (the budget was spent); "incomplete" (a request failed or was not
    sent)."""
    probability: float | None = None
    """How probable it is that the answer is right, where the policy has learned that (`Sequential`); else None."""
    ungraded: int = 0
    """How many of its samples could not be graded."""
    error: str | None = None
    """Why the first of them could not."""

    __repr__ = shown_shortly


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
    lost: float = 0.0
    """What replies count as that were paid and lost, in the policy's unit, earlier calls included. The budget covers it
    beside what the samples cost."""

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

    @property
    def unanswered(self) -> int:
        """How many questions have no answer, those included that are not finished."""
        return self.wanted - sum(one.answer is not None for one in self.answered)

    @property
    def failures(self) -> Failures:
        """How many samples could not be graded, and why."""
        found = Failures()
        for one in self.answered:
            for _ in range(one.ungraded):
                found.add(one.error)
        return found

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What questions did not get, and why: each entry is a sentence."""
        found = []
        cheaper = sum(one.status == "cheaper than decided" for one in self.answered)
        if cheaper:
            found.append(
                f"{_questions(cheaper)} got fewer samples or a cheaper action than the policy decided, because the "
                "budget did not allow more."
            )
        without = [one for one in self.answered if one.answer is None]
        reasons = [
            (sum(one.status == "left out" for one in without), "because the budget was spent"),
            (sum(one.status == "as decided" and not one.samples for one in without),
             "because the policy decided to draw nothing"),
            (sum(one.ungraded > 0 for one in without), "because their samples could not be graded"),
            (sum(one.samples > 0 and not one.ungraded for one in without),
             "because their samples hold no answer that the grader can read"),
            (sum(one.status == "incomplete" and not one.samples for one in without),
             "because requests failed or were not sent"),
            (self.wanted - len(self), "because the work ended before they were finished"),
        ]  # fmt: skip
        said = [f"{count:,} {why}" for count, why in reasons if count]
        if said:
            verb = "has" if self.unanswered == 1 else "have"
            found.append(f"{_questions(self.unanswered)} {verb} no answer: {'; '.join(said)}.")
        return tuple(found)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row per question."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("to_frame: needs pandas: pip install pandas") from None
        return pd.DataFrame.from_records([asdict(one) for one in self.answered])

    @cleaned
    def summary(self, unit: str | None = None) -> str:
        """Return how many questions were answered, at what spend, and what was left out and why.

        Parameters
        ----------
        unit : str, optional
            The unit of costs, such as "usd".
        """
        done = f"{self.wanted - self.unanswered:,} of {self.wanted:,} questions answered"
        if self.answered:
            right = "" if self.accuracy is None else f", {100 * self.accuracy:.1f} % right"
            allowed = "" if self.budget is None else f" of {amount(self.budget, unit, 4)}"
            drawn = f"{self.samples:.3g}"
            drawn += " sample" if drawn == "1" else " samples"
            done += f"{right}; {drawn} and a spend of {amount(self.spend, unit, 4)}{allowed} per question"
        if self.lost:
            done += f"; lost replies count as {amount(self.lost, unit, 4)} in all besides"
        return "\n".join([f"{done}.", *self.shortfalls])

    @cleaned
    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


def _questions(count: int) -> str:
    return f"{count:,} question{'s' * (count != 1)}"

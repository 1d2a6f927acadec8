"""The results of answering questions with a policy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tcalloc._amounts import amount, digits
from tcalloc._counts import agreeing, counted
from tcalloc._frames import frame_of
from tcalloc._printing import cleaned, shown_shortly, whole_characters
from tcalloc.runs.verdicts import Failures

__all__ = ["Answered", "Answers"]


@dataclass(frozen=True, slots=True, repr=False)
class Answered:
    """The result for one question."""

    id: str
    """The name of the question."""
    answer: str | None
    """The answer, normalized by the grader; None: there is none."""
    text: str | None
    """The first completion that gives the answer."""
    spend: float
    """The cost of its samples, and of its features where the policy pays for them, in the policy's unit."""
    samples: int
    """Number of samples drawn."""
    rounds: int
    """Number of draws, one after the other."""
    vote_share: float
    """The share of the samples that gave the answer; with a verifier 1 or 0. It is not a probability of being right."""
    correct: bool | None
    """Whether the answer is right; None if that is not known (no gold answer, or grading failed)."""
    status: str = "as decided"
    """What happened to the policy's decision. "as decided"; "cheaper than decided" (fewer samples, or a cheaper action,
    because the budget did not allow more); "left out" (the budget was spent); "late" (the deadline came first);
    "incomplete" (a request failed or was not sent)."""
    probability: float | None = None
    """Probability that the answer is right, if the policy has learned to predict it (`Sequential`); otherwise None."""
    ungraded: int = 0
    """Number of its samples that could not be graded."""
    error: str | None = None
    """The reason for the first of them."""
    seconds: float = field(default=0.0, compare=False)
    """How long its samples were waited for, in this call."""
    cut: int = field(default=0, compare=False)
    """How many samples were cut off in this call, since they were not needed any more."""
    cut_cost: float = 0.0
    """What was billed of samples that were cut off, in the policy's unit; a part of `spend`."""

    __repr__ = shown_shortly


@dataclass(frozen=True, slots=True)
class Answers(Sequence[Answered]):
    """The result of `answer`: a sequence of `Answered`, in the order of the questions."""

    answered: tuple[Answered, ...]
    """The finished questions; those that budget or policy left out have no samples."""
    wanted: int
    """Number of all questions."""
    budget: float | None
    """The average cost per question that was allowed."""
    requests: int
    """Requests sent, retries included; stored samples took none."""
    spent: float | None
    """Money by the clients' rates, with earlier calls on the run folder; None without rates."""
    seconds: float
    """Duration of the call in seconds."""
    stopped: str | None = None
    """The reason why the call ended early; None if it did not."""
    interrupted: bool = False
    """Whether ctrl-C ended it."""
    reasons: tuple[str, ...] = ()
    """The reasons why requests failed, each once."""
    notes: tuple[str, ...] = ()
    """Remarks about the servers."""
    lost: float = 0.0
    """The cost of replies that were paid and lost, in the policy's unit, with earlier calls. It is added to the cost of
    the samples, and the budget covers both."""

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
        """Mean cost per finished question, in the policy's unit; NaN if none is finished."""
        return math.fsum(one.spend for one in self.answered) / len(self) if self.answered else math.nan

    @property
    def samples(self) -> float:
        """Mean number of samples per finished question; NaN if none is finished."""
        return sum(one.samples for one in self.answered) / len(self) if self.answered else math.nan

    @property
    def latency(self) -> float:
        """Mean seconds that a finished question's samples were waited for; NaN if there is none."""
        return math.fsum(one.seconds for one in self.answered) / len(self) if self.answered else math.nan

    @property
    def latency_high(self) -> float:
        """The seconds within which 90 % of the finished questions had their samples; NaN if there is none."""
        waited = sorted(one.seconds for one in self.answered)
        return waited[math.ceil(0.9 * len(waited)) - 1] if waited else math.nan

    @property
    def cut(self) -> int:
        """How many samples were cut off, since they were not needed any more."""
        return sum(one.cut for one in self.answered)

    @property
    def cut_cost(self) -> float:
        """What was billed of samples that were cut off, in the policy's unit; a part of what was spent."""
        return math.fsum(one.cut_cost for one in self.answered)

    @property
    def accuracy(self) -> float | None:
        """Share of right answers among the questions with a gold answer; None if there is none."""
        known = [one.correct for one in self.answered if one.correct is not None]
        return sum(known) / len(known) if known else None

    @property
    def unanswered(self) -> int:
        """Number of questions without an answer, unfinished questions included."""
        return self.wanted - sum(one.answer is not None for one in self.answered)

    @property
    def failures(self) -> Failures:
        """The number of samples that could not be graded, and why."""
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
                f"{counted(cheaper, 'question')} got fewer samples or a cheaper action than the policy decided, "
                "because the budget did not allow more."
            )
        late = sum(one.status == "late" for one in self.answered)
        if late:
            found.append(
                f"{counted(late, 'question')} had less than the policy decided, because the deadline came first."
            )
        without = [one for one in self.answered if one.answer is None]
        reasons = [
            (sum(one.status == "left out" for one in without), "because the budget was spent"),
            (sum(one.status == "late" and not one.samples for one in without), "because the deadline came first"),
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
            verb = agreeing(self.unanswered, "has", "have")
            found.append(f"{counted(self.unanswered, 'question')} {verb} no answer: {'; '.join(said)}.")
        return tuple(found)

    def to_frame(self) -> Any:
        """Return a pandas DataFrame, one row per question."""
        rows = [{key: whole_characters(value) for key, value in asdict(one).items()} for one in self.answered]
        return frame_of(rows)

    @cleaned
    def summary(self, unit: str | None = None) -> str:
        """Return in words how many questions were answered, at what spend, and what was left out and why.

        Parameters
        ----------
        unit : str, optional
            The unit of costs, such as "usd".
        """
        done = f"{self.wanted - self.unanswered:,} of {counted(self.wanted, 'question')} answered"
        if self.answered:
            right = "" if self.accuracy is None else f", {100 * self.accuracy:.1f} % right"
            allowed = "" if self.budget is None else f" of {amount(self.budget, unit, 4)}"
            drawn = f"{self.samples:.3g}"
            drawn += " sample" if drawn == "1" else " samples"
            done += f"{right}; {drawn} and a spend of {amount(self.spend, unit, 4)}{allowed} per question"
        if self.cut:
            verb = "was" if self.cut == 1 else "were"
            done += (
                f"; {counted(self.cut, 'sample')} {verb} cut off because the answer was settled or the deadline came, "
                f"and cost {amount(self.cut_cost, unit, 4)} of the spend in all"
            )
        if self.lost:
            done += f"; lost replies count as {amount(self.lost, unit, 4)} in all besides"
        sentences = [f"{done}."]
        if self.latency > 0:
            high = digits(self.latency_high)
            sentences.append(f"A question took {digits(self.latency)} s on average, and 90 % took at most {high} s.")
        return "\n".join([*sentences, *self.shortfalls])

    @cleaned
    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__

"""What answering by a policy returns, and the ledger that holds its budget."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.protocol import Draw

__all__ = ["Answered", "Answers", "Ledger"]


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
    confidence: float
    """As the policy says."""
    correct: bool | None
    """Whether it is right; None without a gold answer."""


@dataclass(frozen=True, slots=True)
class Answers(Sequence[Answered]):
    """What `answer` did: a sequence of `Answered`, in the questions' order."""

    answered: tuple[Answered, ...]
    """Those questions that are finished."""
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
        without = sum(one.answer is None for one in self.answered)
        none = f" ({without:,} without an answer)" if without else ""
        return (
            f"{len(self):,} of {self.wanted:,} questions answered{none}{right}; {self.samples:.3g} samples and a spend "
            f"of {self.spend:.4g}{allowed} per question."
        )

    __repr__ = __str__


class Ledger:
    """Keeps the spend of many runs under way within an average. Threads share it.

    A draw is granted as far as it leaves one sample of the cheapest model for every question that still waits. What a
    sample will cost is what those before it did on average, or `costs`, or `usual`; while it is not known of a model,
    one draw goes ahead and the others wait for it.

    Parameters
    ----------
    budget : float or None
        Average per question; None: no limit.
    questions : int
        How many there are.
    costs : mapping of str to float or None
        What a sample of each model costs; None: as recorded, else 1.
    usual : float or None
        What a sample costs before any was seen; None: not known.
    """

    def __init__(
        self,
        budget: float | None,
        questions: int,
        costs: Mapping[str, float] | None = None,
        usual: float | None = None,
    ):
        if budget is not None and not (isinstance(budget, (int, float)) and math.isfinite(budget) and budget >= 0):
            raise InputError(f"budget is {budget!r}; expected the average cost per question, a number of at least 0.")
        for model, cost in (costs or {}).items():
            if not (isinstance(cost, (int, float)) and math.isfinite(cost) and cost >= 0):
                raise InputError(f"costs[{model!r}] is {cost!r}; expected what one sample costs, at least 0.")
        self.budget = budget
        self._total = math.inf if budget is None else budget * questions * (1 + 2**-40)
        self._waiting = questions
        self._costs = dict(costs or {})
        self._usual = usual
        self._seen: dict[str, tuple[float, int]] = {}
        self._spent = self._reserved = 0.0
        self._scouts: set[str] = set()
        self._guard = threading.Condition()

    def cost(self, model: str, record: Mapping[str, Any]) -> float:
        """Return what a sample cost, in the policy's unit."""
        if self._costs:
            if model in self._costs:
                return float(self._costs[model])
            raise InputError(f"costs has no entry for the model {model!r}; add one.")
        cost = record.get("cost")
        return 1.0 if cost is None else float(cost)

    def begin(self) -> None:
        """Begin with one question."""
        with self._guard:
            self._waiting -= 1

    def grant(self, draw: Draw, model: str, stopped: Callable[[], bool] = lambda: False) -> tuple[int, float]:
        """Return how many samples of a draw may be paid for, and what is put aside for them."""
        with self._guard:
            if self.budget is None:
                return draw.n, 0.0
            while (unit := self._unit(model)) is None:
                if model not in self._scouts:
                    self._scouts.add(model)
                    return draw.n, 0.0
                if stopped():
                    return 0, 0.0
                self._guard.wait(0.1)
            known = [total / n for total, n in self._seen.values()] + list(self._costs.values())
            floor = min(known, default=self._usual or 0.0) * self._waiting
            room = self._total - self._spent - self._reserved - floor
            n = draw.n if unit == 0 else max(0, min(draw.n, math.floor(room / unit)))
            self._reserved += n * unit
            return n, n * unit

    def settle(self, model: str, aside: float, costs: Sequence[float]) -> None:
        """Count what the samples cost, in place of what was put aside."""
        with self._guard:
            self._reserved -= aside
            self._spent += math.fsum(costs)
            total, n = self._seen.get(model, (0.0, 0))
            if costs:
                self._seen[model] = total + math.fsum(costs), n + len(costs)
            self._scouts.discard(model)
            self._guard.notify_all()

    def _unit(self, model: str) -> float | None:
        if model in self._costs:
            return self._costs[model]
        if model in self._seen:
            total, n = self._seen[model]
            return total / n
        return self._usual

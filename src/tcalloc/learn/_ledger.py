"""The budget of many runs under way: what may be drawn, and what is put aside for the questions that still wait."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Draw

__all__ = ["Ledger"]

# Standard errors of what the waiting questions' first draws may cost more than those before them.
MARGIN = 2.0


class Ledger:
    """Keeps the spend of many runs under way within an average. Threads share it.

    A question's first draw is granted while there is money: in full if that leaves enough for the first draws of all
    questions that still wait, else one sample of it. A sample that costs more than the cheapest action is only granted
    if what is left pays for the cheapest action of all that still wait. Later draws are granted as far as they leave
    enough for first draws. What first draws cost is learned from those before. Samples under way count as the most
    expensive of their model that was seen. A draw that could only be granted in part waits until it is known what
    those cost.

    So the total is not exceeded where costs are known. Else it is exceeded by what samples under way cost more than any
    seen before, and the last first draw more than the mean. While the cost of a model is not known, one draw goes ahead
    and the others wait for it.

    Parameters
    ----------
    budget : float or None
        Average per question; None: no limit.
    questions : int
        How many there are.
    costs : mapping of str to float or None
        What a sample of each model costs; of others what was recorded counts, else 1.
    usual : float or None
        What a sample costs before any was seen; None: not known.
    cheapest : (str, int) or None
        The policy's cheapest action: its model, as in `costs`, and how many samples it draws. None: not known.
    """

    def __init__(
        self,
        budget: float | None,
        questions: int,
        costs: Mapping[str, float] | None = None,
        usual: float | None = None,
        cheapest: tuple[str, int] | None = None,
    ):
        if budget is not None and not (isinstance(budget, (int, float)) and math.isfinite(budget) and budget >= 0):
            raise InputError(
                f"budget is {budget!r}; expected the average cost per question, a number of at least 0. Leave it out "
                "for no limit."
            )
        for model, cost in (costs or {}).items():
            if not (isinstance(cost, (int, float)) and math.isfinite(cost) and cost >= 0):
                raise InputError(f"costs[{model!r}] is {cost!r}; expected what one sample costs, at least 0.")
        self.budget = budget
        self._costs = dict(costs or {})
        least = min(self._costs.values(), default=usual or 0.0)
        if budget is not None and 0 < budget * questions < least * (1 - 2**-40):
            raise InputError(
                f"budget is {budget:g}: for {questions} questions that is {budget * questions:g} in all, less than one "
                f"sample costs ({least:g}). Give more, or costs in the budget's unit."
            )
        self._cheapest = cheapest
        self._total = math.inf if budget is None else budget * questions * (1 + 2**-40)
        self._waiting = questions
        self._usual = usual
        self._seen: dict[str, tuple[float, int, float]] = {}  # total, number, dearest
        self._spent = self._aside = self._expected = 0.0
        self._begun = self._asked = self._open = 0  # questions begun, those that asked for a draw, grants under way
        self._first = self._squares = 0.0  # of what first draws cost
        self._scouts: set[str] = set()
        self._unserved: set[str] = set()  # questions begun that ask for a draw and have none yet
        self._guard = threading.Condition()

    def cost(self, model: str, record: Mapping[str, Any]) -> float:
        """Return what a sample cost, in the policy's unit."""
        if model in self._costs:
            return float(self._costs[model])
        cost = record.get("cost")
        return 1.0 if cost is None else float(cost)

    def paid(self, model: str, cost: float) -> None:
        """Count a sample that an earlier call has paid for."""
        with self._guard:
            self._count(model, [cost])

    def skip(self, questions: int) -> None:
        """Put nothing aside for so many of the questions: they have samples."""
        with self._guard:
            self._waiting -= questions

    def begin(self, question: str, draws: bool = True) -> None:
        """Begin with a question that has no samples, and say whether the policy draws any for it."""
        with self._guard:
            self._waiting -= 1
            self._begun += 1
            if draws:
                self._asked += 1
                self._unserved.add(question)

    def end(self, question: str) -> None:
        """Reserve nothing more for a question, whether it got samples or not."""
        with self._guard:
            self._unserved.discard(question)
            self._guard.notify_all()

    def grant(
        self, draw: Draw, model: str, first: str | None, stopped: Callable[[], bool] = lambda: False
    ) -> tuple[int, tuple[float, float]]:
        """Return how many samples of a draw may be paid for, and what is put aside for them.

        Parameters
        ----------
        draw : Draw
            What is asked for.
        model : str
            Its model.
        first : str or None
            The question, if it has no samples yet.
        stopped : callable
            Whether to give up waiting for others.
        """
        with self._guard:
            while self.budget is not None:
                known = self._unit(model)
                if known is None:
                    if self._spent + self._aside >= self._total * (1 - 2**-39):
                        return 0, (0.0, 0.0)
                    if model not in self._scouts:
                        self._scouts.add(model)
                        self._unserved.discard(first or "")
                        break
                else:
                    n, hopeful = self._room(draw.n, first is not None, *known)
                    if (n >= hopeful and (n or first is None)) or not self._open:
                        if n and first is not None:
                            self._unserved.discard(first)
                        return self._put_aside(n, first is not None, *known)
                if stopped():
                    return 0, (0.0, 0.0)
                self._guard.wait(0.1)
            return draw.n, (0.0, 0.0)

    def settle(self, model: str, aside: tuple[float, float], costs: Sequence[float]) -> None:
        """Count what the samples cost, in place of what was put aside."""
        with self._guard:
            if aside[0] > 0:
                self._open -= 1
                self._aside -= aside[0]
                self._expected -= aside[1]
            self._count(model, costs)
            self._scouts.discard(model)
            self._guard.notify_all()

    @property
    def means(self) -> dict[str, float]:
        """What a sample of each model cost on average."""
        with self._guard:
            return {model: total / n for model, (total, n, _) in self._seen.items()}

    def _count(self, model: str, costs: Sequence[float]) -> None:
        self._spent += math.fsum(costs)
        if costs:
            total, n, dearest = self._seen.get(model, (0.0, 0, 0.0))
            self._seen[model] = total + math.fsum(costs), n + len(costs), max(dearest, *costs)

    def _unit(self, model: str) -> tuple[float, float] | None:
        """Return what a sample costs on average, and at most."""
        if model in self._costs:
            return self._costs[model], self._costs[model]
        if model in self._seen:
            total, n, dearest = self._seen[model]
            return total / n, dearest
        return None if self._usual is None else (self._usual, self._usual)

    def _room(self, asked: int, first: bool, mean: float, dearest: float) -> tuple[int, int]:
        """Return how many samples there is money for, and how many if those under way cost what is usual."""
        found = []
        reserved = self._reserved(mean) if first else 0.0
        floor = max(self._floor(), reserved)
        for under_way, unit in ((self._aside, dearest), (self._expected, mean)):
            free = self._total - self._spent - under_way
            n = asked if unit == 0 else min(asked, math.floor((free - floor) / unit))
            if first and n < 1:  # nobody is left out for what another has not drawn yet
                n = int(free - reserved >= mean)
            found.append(max(n, 0))
        return found[0], found[1]

    def _floor(self) -> float:
        """Return what the first draws of the questions that wait will cost."""
        return self._kept(self._first, self._squares)

    def _reserved(self, unit: float) -> float:
        """Return what a first sample of this cost must leave, so that all others can have the cheapest action."""
        known = None if self._cheapest is None else self._unit(self._cheapest[0])
        if self._cheapest is None or known is None:
            return 0.0
        least = self._cheapest[1] * known[0]
        if unit <= least * (1 + 2**-40):
            return 0.0
        begun = min(least, self.budget or 0.0) * (len(self._unserved) - 1)
        return max(begun, 0.0) + self._kept(self._asked * least, self._asked * least**2)

    def _kept(self, total: float, squares: float) -> float:
        """Return what the questions that wait will cost, by the sums over those that were begun."""
        if not self._begun or self._waiting <= 0:
            return 0.0
        mean = total / self._begun
        spread = math.sqrt(max(squares / self._begun - mean**2, 0.0) * self._waiting)
        # No more than is theirs: a budget below one sample leaves questions out, and others draw meanwhile.
        return min(mean * self._waiting + MARGIN * spread, (self.budget or 0.0) * self._waiting)

    def _put_aside(self, n: int, first: bool, mean: float, dearest: float) -> tuple[int, tuple[float, float]]:
        if first:
            self._first += n * mean
            self._squares += (n * mean) ** 2
        self._open += n * dearest > 0
        self._aside += n * dearest
        self._expected += n * mean
        return n, (n * dearest, n * mean)

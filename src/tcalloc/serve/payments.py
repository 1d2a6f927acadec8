"""The payments of a live call: prices as far as they are known, and samples that hold a share of the budget."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.serve.budget_ledger import BudgetLedger

__all__ = ["Hold", "Payments", "Prices"]

# Standard errors by which first samples of unknown price may cost more than those before them.
_MARGIN = 3.0
# Number of tries from which the highest cost and the share of lost replies are good estimates.
_FEW = 16


class Prices:
    """The cost of a sample of each model: as given, or as seen so far.

    Parameters
    ----------
    known : mapping of str to float
        Costs by model or action, which hold whatever a reply says.
    usual : float or None
        The cost of a sample of any other model before one was seen; None: not known.
    trained : mapping of str to float
        The cost of samples in training; only the ratios count, for models that were not seen yet.
    """

    def __init__(self, known: Mapping[str, float], usual: float | None, trained: Mapping[str, float]):
        for model, cost in known.items():
            if not (isinstance(cost, (int, float)) and math.isfinite(cost) and cost >= 0):
                raise InputError(f"costs[{model!r}] is {cost!r}; expected what one sample costs, at least 0.")
        self._known, self._usual, self._trained = dict(known), usual, dict(trained)
        self._seen: dict[str, tuple[float, float, int, float]] = {}  # sum, sum of squares, number, highest

    @property
    def least(self) -> float:
        """The least that a sample is known to cost."""
        return min(self._known.values(), default=self._usual or 0.0)

    @property
    def means(self) -> dict[str, float]:
        """The mean cost of a sample of each model so far."""
        return {model: total / n for model, (total, _, n, _) in self._seen.items()}

    def cost(self, model: str, record: Mapping[str, Any]) -> float:
        """Return the cost of a sample, in the policy's unit."""
        if model in self._known:
            return float(self._known[model])
        cost = record.get("cost")
        return 1.0 if cost is None else float(cost)

    def learn(self, model: str, cost: float) -> None:
        """Record the cost of a sample."""
        total, squares, n, highest = self._seen.get(model, (0.0, 0.0, 0, 0.0))
        self._seen[model] = total + cost, squares + cost * cost, n + 1, max(highest, cost)

    def unit(self, model: str) -> tuple[float, float] | None:
        """Return the mean cost of a sample, and the highest cost seen so far; None if nothing is known."""
        if model in self._known:
            return self._known[model], self._known[model]
        if model in self._seen:
            total, _, n, highest = self._seen[model]
            return min(total / n, highest), highest
        return None if self._usual is None else (self._usual, self._usual)

    def fixed(self, model: str) -> bool:
        """Return whether all samples of a model cost the same, whatever their replies say."""
        return model in self._known

    def few(self, model: str) -> bool:
        """Return whether costs vary, as far as is known, and too few samples were seen to say how much."""
        return model not in self._known and model in self._seen and self._seen[model][2] < _FEW

    def kept(self, model: str, waiting: int) -> float:
        """Return the amount to keep for each of `waiting` samples of a model; 0 if nothing is known."""
        unit = self.unit(model)
        if unit is None:
            ratios = [
                mean * (self._trained[model] / self._trained[seen] if self._both(model, seen) else 1.0)
                for seen, mean in self.means.items()
            ]
            return min(ratios, default=0.0)
        if model in self._known or model not in self._seen:
            return unit[0]
        total, squares, n, _ = self._seen[model]
        spread = math.sqrt(max(squares / n - (total / n) ** 2, 0.0))
        return min(unit[1], unit[0] + _MARGIN * spread / math.sqrt(max(waiting, 1)))

    def lost(self, model: str, most: float) -> float:
        """Return the cost of a lost reply: the highest cost seen of its model, else the highest possible bill."""
        unit = self.unit(model)
        return most if unit is None else unit[1]

    def _both(self, model: str, seen: str) -> bool:
        return self._trained.get(model, 0.0) > 0 and self._trained.get(seen, 0.0) > 0


class Hold:
    """One sample that may be drawn, with the share of the budget that is reserved for it."""

    def __init__(
        self,
        payments: "Payments",
        question: str,
        model: str,
        unit: float,
        likely: float,
        first: bool,
        round_cost: float = 0.0,
    ):
        self._payments, self._question, self._model = payments, question, model
        self._unit, self._likely, self._first = unit, likely, first
        self.round_cost = round_cost
        """What its draw costs besides its samples, if this one pays for it."""
        self._held = True
        payments.under_way += 1

    def paid(self, record: Mapping[str, Any]) -> None:
        """Settle with the sample that was received."""
        cost = self._payments.prices.cost(self._model, record)
        self._end(cost + self.round_cost)
        self._payments.drop(self._question)
        self._payments.came(self._model, cost)

    def lost(self, most: float) -> None:
        """Settle a try that was paid and lost; a question without samples is expected again."""
        cost = self._payments.prices.lost(self._model, most)
        self._end(cost)
        self._payments.gone(cost)
        if self._first:
            self._payments.expect_again(self._question)

    @property
    def held(self) -> bool:
        """Whether it is not settled."""
        return self._held

    def cut(self, bill: float) -> None:
        """Settle a sample that was cut off, with what was billed of it."""
        self._end(bill)

    def another(self) -> bool:
        """Reserve money for one more try; return whether there was enough."""
        ledger, alone = self._payments.ledger, not self._payments.under_way
        if not ledger.reserve(self._question, self._unit, likely=self._likely):
            if not (self._first and alone and ledger.reserve(self._question, self._likely)):
                return False
            self._unit = self._likely
        self._held = True
        self._payments.under_way += 1
        return True

    def release(self) -> None:
        """Give back what is still reserved; does nothing if the sample is settled."""
        self._end(0.0)

    def _end(self, bill: float) -> None:
        if self._held:
            self._held = False
            self._payments.ledger.settle(self._unit, bill, likely=self._likely)
            self._payments.under_way -= 1
        elif bill:
            self._payments.ledger.count(bill)


class Payments:
    """Grants the draws of one call within its budget. For one event loop.

    If costs are known, the total is exact, whatever requests are open. Otherwise an open sample counts as the most that
    it can cost, if rates and max_tokens limit that. Without such a limit it counts as the most expensive sample of its
    model so far. A first sample for which there is less money is still sent, alone, if the mean cost of a sample is
    left. As long as the cost of a model is not known, one sample is sent first and the others wait. A draw then gets
    its samples one by one until a few were received.

    Every question gets a first sample before any gets a second one. The exception is that the money suffices even if
    all first samples need all their tries; see `comes_later`.

    Parameters
    ----------
    budget : float or None
        Average cost per question; None: no limit.
    questions : int
        The number of questions.
    prices : Prices
        The cost of samples.
    tries : int
        How often one sample may be paid at most until it is received; see `BudgetLedger`.
    billed : bool
        Whether replies say what samples cost.
    rounds : mapping of str to float, optional
        What a question's first draw of each model costs besides its samples, where replies do not say it.
    """

    def __init__(
        self,
        budget: float | None,
        questions: int,
        prices: Prices,
        tries: int = 1,
        billed: bool = False,
        rounds: Mapping[str, float] | None = None,
    ):
        if budget is not None and not (isinstance(budget, (int, float)) and math.isfinite(budget) and budget >= 0):
            raise InputError(
                f"budget is {budget!r}; expected the average cost per question, a number of at least 0. Leave it out "
                "for no limit."
            )
        total = None if budget is None else float(budget) * questions
        if total is not None and not math.isfinite(total):
            raise InputError(
                f"budget is {budget!r}; for {counted(questions, 'question')} that is too large. Leave it out."
            )
        if total is not None and 0 < total < prices.least * (1 - 2**-40):
            raise InputError(
                f"budget is {budget:g}: for {counted(questions, 'question')} that is {total:g} in all, less than one "
                f"sample costs ({prices.least:g}). Raise the budget, or give costs in the budget's unit."
            )
        self.budget, self.prices, self.ledger = budget, prices, BudgetLedger(total, tries)
        self.lost = 0.0
        self._billed, self._rounds = billed, dict(rounds or {})
        self._scouts: set[str] = set()
        self._kinds: set[str] = set()
        self._kind_of: dict[str, str] = {}  # question without a sample: its kind
        self.under_way = 0  # samples that hold a share of the budget
        self._came = self._gone = 0  # tries of this call that brought a sample, and tries that were paid and lost

    def count(self, model: str, record: Mapping[str, Any]) -> None:
        """Count a sample that an earlier call has paid for."""
        cost = self.prices.cost(model, record)
        self.ledger.count(cost)
        self.learn(model, cost)

    def count_lost(self, model: str, n: int, most: float) -> None:
        """Count samples that an earlier call may have paid for and lost."""
        unit = self.prices.unit(model)
        cost = most if unit is None else n * unit[1]
        self.ledger.count(cost)
        self.lost += cost

    def count_cut(self, model: str, n: int, bill: float) -> None:
        """Count samples that an earlier call cut off, and what was billed of them."""
        self.ledger.count(self._cut_bill(model, n, bill))

    def cut(self, model: str, holds: Sequence[Hold], cut: Cut) -> float:
        """Settle the samples of a draw that were cut off; return what they cost, in the policy's unit.

        Parameters
        ----------
        model : str
            What they are priced by.
        holds : sequence of Hold
            What pays for the samples of the draw; those that are not settled were cut off, or failed.
        cut : Cut
            What was billed; it is emptied.
        """
        sent, billed = cut.taken()
        bill = self._cut_bill(model, sent, billed)
        waiting = [hold for hold in holds if hold.held]
        owed = bill + math.fsum(hold.round_cost for hold in waiting)  # a draw is paid for whichever samples came
        if waiting and owed:
            waiting[0].cut(owed)
        elif owed:
            self.ledger.count(owed)
        return bill

    def _cut_bill(self, model: str, sent: int, billed: float) -> float:
        # Where replies do not say what a sample costs, one that was cut off counts as a whole one.
        return billed if self._billed and not self.prices.fixed(model) else sent * self.prices.cost(model, {})

    def drop(self, question: str) -> None:
        """Keep nothing more for a question: it has a sample, or it will have none."""
        self.ledger.drop(question)
        self._kind_of.pop(question, None)

    def expect_again(self, question: str) -> None:
        """Keep the price of a sample for a question whose first one was paid and lost, unless it has one by now."""
        if (kind := self._kind_of.get(question)) is not None:
            self.ledger.expect(question, kind, again=True)

    def expect(self, question: str, model: str) -> None:
        """Keep the price of one sample of this model for a question; see `BudgetLedger.expect`."""
        self.ledger.expect(question, model)
        self._kind_of[question] = model
        if model not in self._kinds:
            self._kinds.add(model)
            self._reprice(model)

    def cheapest(self, models: Sequence[str]) -> str:
        """Return the cheapest of these models, as far as is known; on a tie, the first."""
        return min(models, key=lambda model: self.prices.kept(model, 1))

    def varies(self, model: str) -> bool:
        """Return whether the highest cost of a sample matters: there is a budget, and the model has no fixed cost."""
        return self.budget is not None and not self.prices.fixed(model)

    def comes_later(self, question: str, model: str, n: int) -> bool:
        """Return whether a question has to wait until others have their first samples."""
        if self.budget is None or self.ledger.first(question) or not self.ledger.without:
            return False
        unit = self.prices.unit(model)
        return unit is None or self.ledger.room(question, unit[1], n, hopeful=True) < n

    def grant(
        self, question: str, model: str, n: int, most: float | None = None, round_cost: float = 0.0
    ) -> list[Hold] | None:
        """Return the samples that the money covers; None: ask again when open samples have settled.

        Fewer than n may be granted although there is money: one while little is known about a model's price, and one
        while other questions have no sample yet.

        Parameters
        ----------
        question, model : str
            The question of the samples, and the name by which they are priced.
        n : int
            The number of samples wanted.
        most : float, optional
            The most that one sample can cost, if rates and max_tokens limit that.
        round_cost : float
            What the draw costs besides its samples, where samples have a fixed cost. The first one pays for it.
        """
        first = self.ledger.first(question)
        unit = self.prices.unit(model)
        if unit is not None and round_cost:
            return self._grant_draw(question, model, n, unit[0], round_cost, first)
        if self.budget is None:
            granted = self.ledger.reserve(question, 0.0, n)
            return [Hold(self, question, model, 0.0, 0.0, first) for _ in range(granted)]
        if unit is None:
            if self.ledger.free <= (self.ledger.total or 0.0) * 2**-39:
                return []
            if model in self._scouts:
                return None
            self._scouts.add(model)
            self.ledger.reserve(question, 0.0)
            return [Hold(self, question, model, 0.0, 0.0, first)]
        mean, highest = unit
        if most is not None and self.varies(model):
            highest = max(highest, most)
        if self.prices.few(model) or (first and self.ledger.room(question, mean, n, hopeful=True) < n):
            n = min(n, 1)
        if first and not self._seen_enough(question, mean):
            return None
        if self.under_way:  # open samples may give money back
            sure = self.ledger.room(question, highest, n, likely=mean)
            if sure < self.ledger.room(question, mean, n, hopeful=True) or (not sure and first):
                return None
        granted = self.ledger.reserve(question, highest, n, likely=mean)
        if not granted and first and self.ledger.reserve(question, mean):
            granted, highest = 1, mean  # no question is left out because of what a sample might cost at most
        return [Hold(self, question, model, highest, mean, first) for _ in range(granted)]

    def _grant_draw(
        self, question: str, model: str, n: int, each: float, round_cost: float, first: bool
    ) -> list[Hold] | None:
        """Return as many samples as there is money for, if each pays its share of what their draw costs."""
        for k in range(n, 0, -1):
            unit = 0.0 if self.budget is None else each + round_cost / k
            if self.ledger.room(question, unit, k) == k:
                self.ledger.reserve(question, unit, k)
                extras = [round_cost, *[0.0] * (k - 1)]
                return [Hold(self, question, model, unit, unit, first, extra) for extra in extras]
        return None if self.under_way and self.ledger.room(question, each + round_cost, 1, hopeful=True) else []

    def _seen_enough(self, question: str, cost: float) -> bool:
        """Return whether a first sample may cost more than what is kept for it; at the start only a few may."""
        kind, tries = self._kind_of.get(question), self._came + self._gone
        if kind is None or cost <= self.prices.kept(kind, 1):
            return True
        return tries >= _FEW or tries + self.under_way < _FEW

    def tried(self, model: str) -> None:
        """Let another sample be sent first if the price of a model is still not known."""
        self._scouts.discard(model)

    def came(self, model: str, cost: float) -> None:
        """Record a sample that was received."""
        self._came += 1
        self.learn(model, cost)

    def gone(self, cost: float) -> None:
        """Record a try that was paid and lost, and compute again what is kept."""
        self._gone += 1
        self.lost += cost
        for kind in self._kinds:
            self._reprice(kind)

    def learn(self, model: str, cost: float) -> None:
        """Record the cost of a sample, and compute again what is kept."""
        self.prices.learn(model, cost)
        for kind in self._kinds:
            self._reprice(kind)

    def _reprice(self, kind: str) -> None:
        waiting = self.ledger.waiting(kind)
        # Number of tries up to the first reply that is not lost: mean, and its standard error over those that wait.
        tries = 1.0 + self._gone / max(self._came, 1)
        tries += _MARGIN * math.sqrt(tries * (tries - 1.0) / max(waiting, 1))
        price = self.prices.kept(kind, waiting) + self._rounds.get(kind, 0.0)
        self.ledger.set_price(kind, price, price * tries)

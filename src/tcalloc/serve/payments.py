"""The payments of a live call: samples that hold a share of the budget."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.serve.budget_ledger import BudgetLedger
from tcalloc.serve.prices import FEW, MARGIN, Prices

__all__ = ["Hold", "Payments"]


class Hold:
    """One sample that may be drawn, with the share of the budget that is reserved for it.

    Of samples that share a request, one holds what is reserved for all `n` of them. The others hold nothing: their `n`
    is 0.
    """

    def __init__(
        self,
        payments: "Payments",
        question: str,
        model: str,
        unit: float,
        likely: float,
        first: bool,
        n: int = 1,
        round_cost: float = 0.0,
    ):
        self._payments, self._question, self._model = payments, question, model
        self._unit, self._likely, self._first = unit, likely, first
        self.n = n
        """Samples that it pays for."""
        self.round_cost = round_cost
        """What its draw costs besides its samples, if this one pays for it and replies do not say it."""
        self.held = True
        """Whether it is not settled."""
        payments.under_way += 1

    def paid(self, record: Mapping[str, Any]) -> None:
        """Settle with the sample that was received."""
        cost = self._payments.prices.cost(self._model, record)
        self.settle(cost + self.round_cost)
        self.round_cost = 0.0
        self._payments.drop(self._question)
        self._payments.came(self._model, record)

    def lost(self, most: float) -> None:
        """Settle a try that was paid and lost; a question without samples is expected again."""
        if not self.n:
            return
        cost = self._payments.prices.lost(self._model, most, self.n) + self.round_cost
        self._end(cost)
        self._payments.gone(cost)
        if self._first:
            self._payments.expect_again(self._question)

    def settle(self, bill: float) -> None:
        """Settle with what was billed. What is held for a whole draw is held until it is released."""
        if self.n > 1:
            self._payments.ledger.count(bill)
        else:
            self._end(bill)

    def another(self) -> bool:
        """Reserve money for one more try; return whether there was enough."""
        if not self.n:
            return True
        ledger, alone = self._payments.ledger, not self._payments.under_way
        if not ledger.reserve(self._question, self._unit, likely=self._likely):
            if not (self._first and alone and ledger.reserve(self._question, self._likely)):
                return False
            self._unit = self._likely
        self.held = True
        self._payments.under_way += 1
        return True

    def release(self) -> None:
        """Give back what is still reserved; does nothing if the sample is settled."""
        self._end(0.0)

    def _end(self, bill: float) -> None:
        if self.held:
            self.held = False
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
    at_once : int
        The most samples that one request asks for. Beyond 1, draws are granted and paid as a whole.
    """

    def __init__(
        self,
        budget: float | None,
        questions: int,
        prices: Prices,
        tries: int = 1,
        billed: bool = False,
        rounds: Mapping[str, float] | None = None,
        at_once: int = 1,
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
        self._billed, self._rounds, self._at_once = billed, dict(rounds or {}), at_once
        self._scouts: set[str] = set()
        self._kinds: set[str] = set()
        self._kind_of: dict[str, str] = {}  # question without a sample: its kind
        self.under_way = 0  # samples that hold a share of the budget
        self._came = self._gone = 0  # tries of this call that brought a sample, and tries that were paid and lost

    def count(self, model: str, record: Mapping[str, Any]) -> None:
        """Count a sample that an earlier call has paid for."""
        self.ledger.count(self.prices.cost(model, record))
        self.learn(model, record)

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

        Of `holds`, those that are not settled were cut off, or failed. `cut` holds what was billed; it is emptied.
        """
        sent, billed = cut.taken()
        bill = self._cut_bill(model, sent, billed)
        waiting = [hold for hold in holds if hold.held]
        owed = bill + math.fsum(hold.round_cost for hold in waiting)  # a draw is paid for whichever samples came
        if waiting and owed:
            waiting[0].settle(owed)
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
        if self._at_once > 1:
            draw = self._draw(model, n)
            return draw is None or not self.ledger.room(question, draw[1], 1, hopeful=True)
        unit = self.prices.unit(model)
        return unit is None or self.ledger.room(question, unit[1], n, hopeful=True) < n

    def brings(self, at_once: int) -> None:
        """Take note that a server gives at most so many samples per request."""
        self._at_once = min(self._at_once, at_once)

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
            The most that one sample can cost, if rates and max_tokens limit that; with `at_once`, the whole draw.
        round_cost : float
            What the draw costs besides its samples, where replies do not say it.
        """
        first = self.ledger.first(question)
        unit = self.prices.unit(model)
        if self.budget is not None and unit is None:  # one draw is sent first, and the others wait
            if self.ledger.free <= (self.ledger.total or 0.0) * 2**-39:
                return []
            if model in self._scouts:
                return None
            self._scouts.add(model)
            self.ledger.reserve(question, 0.0)
        if self._at_once > 1 or round_cost:
            return self._grant_draw(question, model, n, most, round_cost, first)
        if self.budget is None:
            granted = self.ledger.reserve(question, 0.0, n)
            return [Hold(self, question, model, 0.0, 0.0, first) for _ in range(granted)]
        if unit is None:
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
        self, question: str, model: str, n: int, most: float | None, round_cost: float, first: bool
    ) -> list[Hold] | None:
        """Return the samples of a draw, for which money is reserved as a whole; half of them, if it is too little."""
        mean = highest = 0.0
        if self.budget is None:
            self.ledger.reserve(question, 0.0)
        elif (draw := self._draw(model, n)) is not None:  # None: its price is not known yet
            mean, highest = (cost + round_cost for cost in draw)
            if most is not None and self.varies(model):
                highest = max(highest, most)
            one = self._draw(model, 1)
            if first and not self._seen_enough(question, mean if one is None else one[0]):
                return None
            if self.under_way:  # open samples may give money back
                sure = self.ledger.room(question, highest, 1, likely=mean)
                if sure < self.ledger.room(question, mean, 1, hopeful=True) or (not sure and first):
                    return None
            if not self.ledger.reserve(question, highest, likely=mean):
                if n > 1:
                    return self._grant_draw(question, model, n // 2, most, round_cost, first)
                if not first or not self.ledger.reserve(question, mean):
                    return []
                highest = mean  # no question is left out because of what a sample might cost at most
        rest = [Hold(self, question, model, 0.0, 0.0, first, 0) for _ in range(n - 1)]
        # The one that pays stands last, so that the money is held until the whole draw is there.
        return [*rest, Hold(self, question, model, highest, mean, first, n, round_cost)]

    def _draw(self, model: str, n: int) -> tuple[float, float] | None:
        """Return the mean and the highest cost of a draw; None: not known."""
        return self.prices.draw(model, n, -(-n // self._at_once))

    def _seen_enough(self, question: str, cost: float) -> bool:
        """Return whether a first sample may cost more than what is kept for it; at the start only a few may."""
        kind, tries = self._kind_of.get(question), self._came + self._gone
        if kind is None or cost <= self.prices.kept(kind, 1):
            return True
        return tries >= FEW or tries + self.under_way < FEW

    def tried(self, model: str) -> None:
        """Let another sample be sent first if the price of a model is still not known."""
        self._scouts.discard(model)

    def came(self, model: str, record: Mapping[str, Any]) -> None:
        """Record a sample that was received."""
        self._came += 1
        self.learn(model, record)

    def gone(self, cost: float) -> None:
        """Record a try that was paid and lost, and compute again what is kept."""
        self._gone += 1
        self.lost += cost
        for kind in self._kinds:
            self._reprice(kind)

    def learn(self, model: str, record: Mapping[str, Any]) -> None:
        """Record the cost of a sample, and compute again what is kept."""
        cost, share = self.prices.cost(model, record), record.get("request_cost")
        if self._at_once > 1 and share is not None and not self.prices.fixed(model):
            self.prices.learn(model, cost + share * ((record.get("choices") or 1) - 1), max(cost - share, 0.0))
        else:
            self.prices.learn(model, cost)
        for kind in self._kinds:
            self._reprice(kind)

    def _reprice(self, kind: str) -> None:
        waiting = self.ledger.waiting(kind)
        # Number of tries up to the first reply that is not lost: mean, and its standard error over those that wait.
        tries = 1.0 + self._gone / max(self._came, 1)
        tries += MARGIN * math.sqrt(tries * (tries - 1.0) / max(waiting, 1))
        price = self.prices.kept(kind, waiting) + self._rounds.get(kind, 0.0)
        self.ledger.set_price(kind, price, price * tries)

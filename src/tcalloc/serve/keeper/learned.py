"""What a keeper has learned from traffic, and what keepers tell each other of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tcalloc.serve.keeper.arrivals import Arrivals
from tcalloc.serve.keeper.bills import Bills
from tcalloc.serve.keeper.book import Settled
from tcalloc.serve.keeper.demand import Demand
from tcalloc.serve.keeper.menus import Menu
from tcalloc.serve.keeper.pacing import Pacer
from tcalloc.serve.keeper.period import Period

__all__ = ["Learned"]

# A request counts half in the demand after this share of the period.
FORGETS = 1 / 20
# The name under which the bills of all models are kept together.
ALL = ""


class Learned:
    """The demand of each account, the bills of each model, and when requests come.

    Parameters
    ----------
    period : Period
        The accounting period.
    accounts : iterable of str
        The accounts that are paced.
    """

    def __init__(self, period: Period, accounts: Iterable[str]):
        self._half_life = period.length * FORGETS
        self.pacers = {name: Pacer(self._half_life) for name in accounts}
        self.arrivals = None if period.in_requests else Arrivals(period.length)
        self.exceeded: dict[str, int] = {}
        """By action, how many bills were above their stated maximum."""
        self._bills: dict[str, Bills] = {}
        self._others_exceeded: dict[str, int] = {}

    def corrected(self, menu: Menu) -> tuple[list[float], list[float]]:
        """Return expected and highest costs, corrected by the bills so far."""
        if not self._bills:
            return list(menu.costs), list(menu.most)
        level, known = self.level, [self._bills.get(model) for model in menu.models]
        costs = [c * (level if b is None else b.ratio(level)) for c, b in zip(menu.costs, known, strict=True)]
        most = [m if b is None else m * b.excess for m, b in zip(menu.most, known, strict=True)]
        return costs, most

    def note_bill(
        self,
        account: str,
        action: str,
        model: str,
        cost: float,
        stated: tuple[float, float],
        settled: Settled | None,
        count: int,
    ) -> bool:
        """Take note of a bill.

        Parameters
        ----------
        account, action, model : str
            What it is for.
        cost : float
            The bill.
        stated : tuple of float
            The expected and the highest cost that were stated for it, before any correction.
        settled : Settled or None
            What the store said of the grant.
        count : int
            How many requests have come until now.

        Returns
        -------
        bool
            Whether it is the action's first bill above its stated maximum.
        """
        if settled is not None:
            self.pacers[account].note_bill(settled.requests)
        self._bills.setdefault(ALL, Bills()).add(cost, *stated, count)
        if not self._bills.setdefault(model, Bills()).add(cost, *stated, count):
            return False
        self.exceeded[action] = self.exceeded.get(action, 0) + 1
        return self.exceeded[action] == 1

    @property
    def level(self) -> float:
        """What bills are at present as a multiple of stated costs, over all models."""
        return self._bills[ALL].ratio() if ALL in self._bills else 1.0

    @property
    def has_seen(self) -> bool:
        """Whether it has learned anything by itself."""
        return any(pacer.demand.count for pacer in self.pacers.values())

    def best_spend(self) -> float:
        """Return the mean expected spend of a request that gets the best, whatever it costs; 0: none has come."""
        seen = {name: pacer.demand.seen for name, pacer in self.pacers.items()}
        spends = math.fsum(count * self.pacers[name].spend_at(0.0) for name, count in seen.items())
        return spends / math.fsum(seen.values()) if spends else 0.0

    def all_exceeded(self) -> dict[str, int]:
        """Return `exceeded` of all keepers that share the state."""
        names = sorted(self.exceeded.keys() | self._others_exceeded.keys())
        return {name: self.exceeded.get(name, 0) + self._others_exceeded.get(name, 0) for name in names}

    def news(self) -> dict[str, Any]:
        """Return what other keepers need."""
        return {
            "demand": {name: pacer.demand.state() for name, pacer in self.pacers.items()},
            "bills": {name: bills.state() for name, bills in self._bills.items()},
            "arrivals": None if self.arrivals is None else self.arrivals.state(),
            "exceeded": self.exceeded,
        }

    def absorb(self, told: Mapping[str, Any], position: float, count: int) -> None:
        """Take over what a keeper that ended has reported, as if it had been seen here."""
        for name, pacer in self.pacers.items():
            if name in told["demand"]:
                pacer.demand.absorb(Demand.of_state(told["demand"][name], self._half_life, position))
        for model, state in told["bills"].items():
            self._bills.setdefault(model, Bills()).absorb(Bills.of_state(state, count))
        for name, count in told["exceeded"].items():
            self.exceeded[name] = self.exceeded.get(name, 0) + int(count)
        if self.arrivals is not None and told["arrivals"] is not None:
            self.arrivals.take(told["arrivals"])

    def join(self, others: Sequence[Mapping[str, Any]], position: float, count: int) -> None:
        """Take account of what other keepers report, in place of what they reported before."""
        for name, pacer in self.pacers.items():
            told = [other["demand"][name] for other in others if name in other["demand"]]
            pacer.demand.join([Demand.of_state(state, self._half_life, position) for state in told])
        for model in {model for other in others for model in other["bills"]}:
            bills = self._bills.setdefault(model, Bills())
            told = [other["bills"][model] for other in others if model in other["bills"]]
            bills.join([Bills.of_state(state, count) for state in told])
        self._others_exceeded = {}
        for other in others:
            for name, count in other["exceeded"].items():
                self._others_exceeded[name] = self._others_exceeded.get(name, 0) + int(count)
            if self.arrivals is not None and other["arrivals"] is not None:
                self.arrivals.take(other["arrivals"])

"""What every keeper does with a request: it reserves money for one of its actions, and takes the bill.

`BudgetKeeper` is built on this. What is decided where: `pacing.py` says at which price the money lasts, `demand.py`
what requests would spend at a price, `horizon.py` what is left of the period and what each tenant may spend, and the
store (`store.py`) whether there is money at all.
"""

import itertools
import logging
import math
import os
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn.protocol import uniform
from tcalloc.serve.keeper.account import Units, amount_of
from tcalloc.serve.keeper.book import WHOLE
from tcalloc.serve.keeper.demand import ladder_of
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.horizon import Horizon
from tcalloc.serve.keeper.learned import Learned
from tcalloc.serve.keeper.menus import Menu
from tcalloc.serve.keeper.period import Period
from tcalloc.serve.keeper.pricing import Pricing
from tcalloc.serve.keeper.store import LostState, Store

__all__ = ["Granting"]

_log = logging.getLogger("tcalloc.keeper")

# A bill above this many totals is taken to be in another unit.
ABSURD = 1000.0
# Seconds between two lines of the log that say that the state is lost.
SAYS_LOST = 60.0


class Granting:
    """Grants money and settles bills, for threads that share it."""

    def __init__(
        self, store: Store, units: Units, period: Period, tenants: Mapping[str, float], first_price: float | None,
        cap_per_question: float, fallback: str | None, lifetime: float,
    ):  # fmt: skip
        self.store, self.period, self.tenants = store, period, tenants
        self.cap_per_question, self.fallback, self.lifetime = cap_per_question, fallback, lifetime
        self._units, self._learned = units, Learned(period, tenants or (WHOLE,))
        self._horizon = Horizon(store, units, tenants, self._learned)
        self._pricing = Pricing(store, self._learned, self._horizon, first_price)
        self._guard = threading.RLock()
        self._process, self._prefix, self._numbers = os.getpid(), self._pricing.replica, itertools.count()
        self._forecast_for = self._says_lost = -math.inf

    @property
    def total(self) -> float:
        """The amount that may be spent in a period, as it is now."""
        return self._horizon.total

    def _granted(self, menu: Menu, account: str, question: Any) -> Grant:
        with self._guard:
            grant_id, pacer = self._new_id(), self._learned.pacers[account]
            costs, most = self._learned.corrected(menu)
            try:
                j, short = self._reserved(grant_id, menu, costs, most, account, question)
            except LostState as error:
                self._say_lost(error)
                j, short = None, True
            price = pacer.price or 0.0
            if j is None:
                return Grant(self, grant_id, None, "", 0.0, 0.0, price, account, True, None)
            pacer.note_grant(costs[j], most[j])
        run = None if menu.start is None else menu.start(j)
        stated = menu.costs[j], menu.most[j]
        return Grant(
            self, grant_id, menu.names[j], menu.models[j], most[j], costs[j], price, account, short, run, stated
        )

    def _reserved(
        self, grant_id: str, menu: Menu, costs: list[float], most: list[float], account: str, question: Any
    ) -> tuple[int | None, bool]:
        """Reserve money; return the place of the action, if there is money for any, and whether it is less than due."""
        pacer = self._learned.pacers[account]
        counted, places, short = costs, list[int](), False
        allowed = [j for j, m in enumerate(most) if m <= self.cap_per_question * (1 + 2**-40)]
        if allowed:
            ladder = ladder_of([menu.accuracy[j] for j in allowed], [costs[j] for j in allowed])
            if self.store.book.start != self._forecast_for:
                pacer.forget_forecast()
            pacer.note_request(ladder, self.store.book.position)
            self._pricing.request(account)
            pace = self._horizon.pace(account)
            caution = 0.0 if self.period.rolling else pacer.caution(pace.left)
            counted = [c + caution * max(m - c, 0.0) for c, m in zip(costs, most, strict=True)]
            here = [counted[allowed[j]] for j in ladder.actions]
            luck = random.random() if question is None else uniform(0, question)
            tried, short = pacer.places(pace, ladder, here, luck)
            places = [allowed[ladder.actions[place]] for place in tried]
        back = menu.names.index(self.fallback) if self.fallback in menu.names else None
        if back in allowed and back not in places:
            places.append(back)
        of = self._units.of
        options = [(of(most[j]), of(counted[j])) for j in places]
        place = self.store.reserve(grant_id, account, options, self.lifetime)
        return (None, True) if place < 0 else (places[place], short or place > 0)

    def _say_lost(self, error: LostState) -> None:
        now = time.monotonic()
        if now >= self._says_lost:
            self._says_lost = now + SAYS_LOST
            _log.error("%s", error)

    def _new_id(self) -> str:
        if self._process != os.getpid():  # a fork: the parent goes on with the other names
            self._process, self._prefix = os.getpid(), f"{self._pricing.replica}-{os.getpid()}"
        return f"{self._prefix}:{next(self._numbers)}"

    def _bill(self, cost: float) -> int:
        bill = amount_of("cost", cost)
        if bill > ABSURD * self.total:
            raise InputError(
                f"cost is {bill:g}, more than 1,000 times the total ({self.total:g}). Give it in the unit of the total."
            )
        return self._units.of(bill)

    def _settle(self, grant: Grant, cost: float, stated: tuple[float, float]) -> None:
        """Settle a grant; `stated` are its expected and highest cost, before any correction."""
        settled = self.store.settle(grant.id, self._bill(cost))
        name = grant.action or ""
        with self._guard:
            count = self.store.book.count
            first = self._learned.note_bill(grant.tenant, name, grant.model, cost, stated, settled, count)
        if first:
            _log.warning(
                "a bill of %r is %.6g, above its stated maximum of %.6g; from the second such bill on, more is "
                "reserved for it; status() counts such bills",
                name,
                cost,
                stated[1],
            )

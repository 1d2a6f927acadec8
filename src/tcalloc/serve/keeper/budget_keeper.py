"""The keeper of a budget on live traffic: an average that is paced, and a cap that holds.

    keeper = BudgetKeeper(total=500, unit="usd", period="30d", cap_per_question=0.05)
    with keeper.grant(policy, question) as grant:
        cost = carry_out(grant.action)
        grant.settle(cost)

What is decided where: `pacing.py` says at which price the money lasts, `demand.py` what requests would spend at a price,
`fair_shares.py` what each tenant may spend, and the store (`store.py`) whether there is money at all.
"""

import itertools
import json
import logging
import math
import os
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc._checks import flag, number, one_of
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Run, uniform
from tcalloc.serve.keeper.account import Units, amount_of
from tcalloc.serve.keeper.arrivals import Arrivals
from tcalloc.serve.keeper.bills import Bills
from tcalloc.serve.keeper.book import WHOLE, Book
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.demand import PER_DECADE, Demand, Ladder, ladder_of
from tcalloc.serve.keeper.fair_shares import fair_shares
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.menus import Bounds, Menu, menu_of
from tcalloc.serve.keeper.pacing import Pace, Pacer
from tcalloc.serve.keeper.period import BUCKETS, period_of
from tcalloc.serve.keeper.store import MemoryStore, Store

__all__ = ["BudgetKeeper"]

_log = logging.getLogger("tcalloc.keeper")

# The price is set anew after so many requests, and after each of the first ones.
EVERY = 20
# The demand forgets half of what it knows after this share of the period.
FORGETS = 1 / 20
# The width of a bin of the demand, in natural logarithms: prices are spread over one, so that requests that are all
# alike are split as the money allows.
SPREAD = math.log(10.0) / PER_DECADE
BITS = 50


class BudgetKeeper:
    """Keeps a budget on live traffic.

    The price paces the average: it is set so that the money lasts until the end of the period. The cap is strict: what is
    settled in a period and what open grants may cost at most is never more than the total. Threads may share a keeper.

    Parameters
    ----------
    total : float
        The amount that may be spent in a period.
    unit : str
        The unit of all amounts, such as "usd".
    period : str, int or None
        Its length: a time such as "30d" or "12h", or a number of requests. Periods follow each other. None: the total is
        for all time, and only the cap holds.
    rolling : bool
        Whether the total holds for every window of this length instead.
    cap_per_question : float, optional
        The most that one question may cost. Actions whose maximum is higher are not taken.
    tenants : mapping of str to float, optional
        The weight of each tenant. Money that one does not need goes to the others, by their weights.
    fallback : str, optional
        The action to take if there is no money for any other: its name. Default: none, a grant without an action.
    rates : Rates, or mapping of str to Rates, optional
        Prices, by model if there are several; with `max_tokens` they say the most that an action can cost.
    max_tokens : int, or mapping of str to int, optional
        The most tokens of a completion.
    price : float, optional
        The price to begin with: accuracy per unit of cost. Default: what the first requests show.
    lifetime : float
        Seconds after which a grant that was not settled is lost.
    lost : {"maximum", "nothing"}
        What a lost grant counts as. With "nothing", bills that never came may exceed the total.

    Examples
    --------
    >>> from tcalloc import BudgetKeeper
    >>> keeper = BudgetKeeper(total=10, period=100)
    >>> with keeper.choose(["small", "large"], [0.6, 0.8], [0.02, 0.3]) as grant:
    ...     grant.settle(0.02)
    >>> round(keeper.status().spent, 6)
    0.02
    """

    def __init__(
        self,
        total: float,
        unit: str = "",
        period: str | int | None = None,
        *,
        rolling: bool = False,
        cap_per_question: float | None = None,
        tenants: Mapping[str, float] | None = None,
        fallback: str | None = None,
        rates: Rates | Mapping[str, Rates] | None = None,
        max_tokens: int | Mapping[str, int] | None = None,
        price: float | None = None,
        lifetime: float = 600.0,
        lost: str = "maximum",
        clock: LedgerClock | None = None,
        store: Store | None = None,
    ):
        self.total, self.unit = number("total", total), unit
        self.period = period_of(period, flag("rolling", rolling))
        self.cap_per_question = None if cap_per_question is None else number("cap_per_question", cap_per_question)
        self.tenants = {name: number(f"tenants[{name!r}]", w) for name, w in (tenants or {}).items()}
        if WHOLE in self.tenants:
            raise InputError('tenants has the name ""; expected names that are not empty.')
        if (rates is None) != (max_tokens is None):
            raise InputError("rates and max_tokens bound a bill together; expected both or none.")
        self._bounds = None if rates is None or max_tokens is None else Bounds(rates, max_tokens)
        self.fallback = fallback
        self.lifetime = number("lifetime", lifetime, of="seconds")
        self._first_price = None if price is None else number("price", price, ends=True)
        self._units = Units(self.total, BITS)
        lost_counts = one_of("lost", lost, ("maximum", "nothing")) == "maximum"
        self.store = MemoryStore(Book(self._units.limit, self.period, lost_counts), clock) if store is None else store
        self.replica = f"{os.getpid()}-{random.SystemRandom().getrandbits(32):08x}"
        self._prefix, self._numbers = f"{self.replica}:", itertools.count()
        half_life = self.period.length * FORGETS
        self._pacers = {name: Pacer(half_life) for name in self.tenants or (WHOLE,)}
        self._bills: dict[str, Bills] = {}
        self.exceeded: dict[str, int] = {}
        self._arrivals = None if self.period.in_requests else Arrivals(self.period.length)
        self._guard = threading.RLock()
        self._until_price = {name: 0 for name in self._pacers}
        self._told = self.store.book.bucket
        self._shares: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------ grants

    def grant(self, policy: Any, question: Any, *, tenant: str | None = None, maximum: Any = None) -> Grant:
        """Decide what may be spent on a question, and reserve the most that it can cost.

        Parameters
        ----------
        policy : Policy
            A fitted policy. `PricedPolicy` predicts for each question, and the price decides. A policy that stops while
            sampling is set to one of its budgets. Any other decides by itself, and gets something cheaper if the price
            or the money does not allow it.
        question : str, vector or mapping
            One row of X.
        tenant : str, optional
            Whose budget it counts for; needed if there are tenants.
        maximum : float, mapping of str to float, or callable, optional
            The most that an action can cost: one number, by the action's name, or a function of the name. Default: by
            `rates` and `max_tokens`. Without these, the highest cost in the policy's training, which bounds no bill.

        Returns
        -------
        Grant
            Its `action` is None if there is no money for anything.

        Raises
        ------
        InputError
            If the tenant is unknown, or the policy does not say what its actions reach and cost.
        """
        account = self._account(tenant)
        return self._granted(menu_of(policy, question, maximum, self._bounds), account, question)

    def choose(
        self,
        actions: Sequence[str],
        accuracy: Sequence[float],
        costs: Sequence[float],
        maximum: Sequence[float] | None = None,
        *,
        tenant: str | None = None,
        question: Any = None,
    ) -> Grant:
        """Decide between actions whose accuracy and cost you predict yourself; otherwise as `grant`.

        Parameters
        ----------
        actions : sequence of str
            Their names.
        accuracy, costs : sequence of float
            What each is expected to reach and to cost on this question.
        maximum : sequence of float, optional
            The most that each can cost; default: its expected cost.
        tenant : str, optional
            As in `grant`.
        question : str or vector, optional
            Requests with the same question get the same decision at the same price.

        Returns
        -------
        Grant
            As from `grant`.

        Raises
        ------
        InputError
            If the lengths differ, or a number is not finite.
        """
        account = self._account(tenant)
        most = costs if maximum is None else maximum
        if not len(actions) == len(accuracy) == len(costs) == len(most) or not len(actions):
            raise InputError(
                f"there are {len(actions)} actions, {len(accuracy)} accuracies, {len(costs)} costs and {len(most)} "
                "maxima; expected as many of each, at least 1."
            )
        for j, name in enumerate(actions):
            if not math.isfinite(accuracy[j]):
                raise InputError(f"accuracy[{j}] ({name!r}) is {accuracy[j]!r}; expected a finite number.")
            amount_of(f"costs[{j}] ({name!r})", costs[j])
            amount_of(f"maximum[{j}] ({name!r})", most[j])
        return self._granted(Menu(actions, accuracy, costs, most, actions), account, question)

    def settle(self, grant_id: str, cost: float) -> None:
        """Settle a grant by its name, such as one that another process was given.

        Parameters
        ----------
        grant_id : str
            `Grant.id`.
        cost : float
            The bill.

        Raises
        ------
        InputError
            If there is no such open grant: it was settled before, or lost in an earlier period.
        """
        if self.store.settle(grant_id, self._bill(cost)) is None:
            raise InputError(
                f"there is no open grant {grant_id!r}: it was settled before, or it was lost in an earlier period."
            )

    def close(self) -> None:
        """Tell the state what was learnt, and give back its files and connections."""
        with self._guard:
            self._tell()
            self.store.close()

    # ------------------------------------------------------------------------------------------ deciding

    def _account(self, tenant: str | None) -> str:
        if tenant is None and not self.tenants:
            return WHOLE
        if tenant is None:
            raise InputError(f"tenant is missing; expected one of {', '.join(map(repr, self.tenants))}.")
        return one_of("tenant", tenant, self.tenants)

    def _granted(self, menu: Menu, account: str, question: Any) -> Grant:
        with self._guard:
            pacer = self._pacers[account]
            costs, most = self._corrected(menu)
            allowed = self._allowed(most)
            ladder = ladder_of([menu.accuracy[j] for j in allowed], [costs[j] for j in allowed]) if allowed else None
            pace = self._pace(account)
            places: list[int] = []
            short, counted = False, costs
            if ladder is not None:
                pacer.demand.add(ladder, self.store.book.position)
                self._reprice(account, pacer, pace)
                caution = 0.0 if self.period.rolling else pacer.caution(pace.left)
                counted = [c + caution * max(m - c, 0.0) for c, m in zip(costs, most, strict=True)]
                here = [counted[allowed[j]] for j in ladder.actions]
                places, short = self._places(pacer, pace, ladder, here, question)
                places = [allowed[ladder.actions[place]] for place in places]
            if self.fallback in menu.names and (back := menu.names.index(self.fallback)) not in places:
                places.append(back)
            units = self._units
            options = [(units.of(most[j]), units.of(counted[j])) for j in places]
            grant_id = self._prefix + str(next(self._numbers))
            place = self.store.reserve(grant_id, account, options, self.lifetime)
            price = pacer.price or 0.0
            if place < 0:
                return Grant(self, grant_id, None, "", 0.0, 0.0, price, account, True, None)
            j = places[place]
            pacer.note_grant(costs[j], most[j])
        run: Run | None = None if menu.start is None else menu.start(j)
        return Grant(
            self,
            grant_id,
            menu.names[j],
            menu.models[j],
            most[j],
            costs[j],
            price,
            account,
            short or place > 0,
            run,
            (menu.costs[j], menu.most[j]),
        )

    def _corrected(self, menu: Menu) -> tuple[list[float], list[float]]:
        """Return expected and highest costs, corrected by the bills so far."""
        if not self._bills:
            return list(menu.costs), list(menu.most)
        known = [self._bills.get(model) for model in menu.models]
        costs = [c if b is None else c * b.ratio for c, b in zip(menu.costs, known, strict=True)]
        most = [m if b is None else m * b.excess for m, b in zip(menu.most, known, strict=True)]
        return costs, most

    def _allowed(self, most: Sequence[float]) -> list[int]:
        cap = self.cap_per_question
        return [j for j, m in enumerate(most) if cap is None or m <= cap * (1 + 2**-40)]

    def _pace(self, account: str) -> Pace:
        """Return the money and the requests that are left for an account."""
        book, amount = self.store.book, self._units.amount
        used = book.accounts.get(account)
        spent = 0.0 if used is None else amount(used.settled + used.likely)
        left = self._left(account)
        if self.period.rolling:
            return self._rolling_pace(account, spent)
        money = self._shares.get(account, self.total) - spent
        return Pace(max(money, 0.0), max(left, 1.0))

    def _left(self, account: str) -> float:
        """Return how many requests are expected until the end of the period, this one included."""
        book = self.store.book
        if self.period.length == math.inf:
            return math.inf
        if self._arrivals is None:
            left = self.period.length - (book.count - book.start)
            if left <= 0:  # this request begins a new period
                left = self.period.length
        else:
            now = self.store.clock.now()
            self._arrivals.note(now, book.count)
            end = book.start + self.period.length
            if now >= end:
                end = now + self.period.length
            found = self._arrivals.expected(now, end)
            left = math.inf if found is None else 1.0 + found
        if account and book.accounts[WHOLE].requests:
            mine = book.accounts.get(account)
            left *= (1.0 + (mine.requests if mine else 0)) / (len(self.tenants) + book.accounts[WHOLE].requests)
        return left

    def _rolling_pace(self, account: str, spent: float) -> Pace:
        """Return what one request may spend: the average, more or less by what the window has left."""
        book = self.store.book
        whole = book.accounts[WHOLE]
        came = whole.requests
        slack = self._units.amount(whole.reserved - whole.likely)
        share = self._shares.get(account, self.total) / self.total
        if self._arrivals is None:
            full = self.period.length
        else:
            self._left(account)
            now = self.store.clock.now()
            found = self._arrivals.expected(now, now + self.period.length)
            if found is None:
                return Pace(math.inf, math.inf)
            full = max(found, 1.0)
        each = max(self.total - slack, 0.0) / (full * (1 + 1 / BUCKETS))
        used = self._units.amount(whole.settled + whole.likely)
        off = min(max((each * came - used) / self.total, -0.5), 0.5)
        return Pace(each * (1.0 + off) * share, math.inf) if account == WHOLE else Pace(each * (1 + off), math.inf)

    def _reprice(self, account: str, pacer: Pacer, pace: Pace) -> None:
        self._until_price[account] -= 1
        if self._until_price[account] > 0:
            return
        if self.tenants:
            self._share_out()
            pace = self._pace(account)
        seen = pacer.demand.seen
        self._until_price[account] = EVERY if seen >= EVERY else 1
        if seen < EVERY and self._first_price is not None:
            pacer.price = self._first_price
        elif self.period.length < math.inf and not (pace.left == math.inf and not self.period.rolling):
            pacer.set_price(pace)
        bucket = self.store.book.bucket
        if bucket != self._told:
            self._told = bucket
            self._tell()

    def _places(
        self, pacer: Pacer, pace: Pace, ladder: Ladder, counted: list[float], question: Any
    ) -> tuple[list[int], bool]:
        """Return the places of the ladder to try, the best first, and whether the meter has cut it."""
        price = pacer.price or 0.0
        chance = random.random() if question is None else uniform(0, question)
        spread = price * math.exp(SPREAD * (chance - 0.5))
        if counted != ladder.costs:
            efficiencies = [
                e * (c - b) / (n - m) if n > m else math.inf
                for e, b, c, m, n in zip(
                    ladder.efficiencies, ladder.costs, ladder.costs[1:], counted, counted[1:], strict=False
                )
            ]
            ladder = Ladder(ladder.actions, counted, efficiencies)
        chosen = wanted = ladder.at(spread)
        if pace.left < math.inf:
            room = pace.money - ladder.costs[0] * (pace.left - 1.0)
            while chosen > 0 and counted[chosen] > room:
                chosen -= 1
        return list(range(chosen, -1, -1)), chosen < wanted

    def _share_out(self) -> None:
        """Compute what each tenant may spend in the period."""
        book = self.store.accounts()
        amount = self._units.amount
        spent, needs = [], []
        for name, pacer in self._pacers.items():
            used = book.get(name)
            spent.append(0.0 if used is None else amount(used.settled + used.likely))
            spends, _ = pacer.demand.curve()
            left = self._left(name)
            needs.append(float(spends[0]) * left if left < math.inf and spends.any() else 0.0)
        shares = fair_shares(self.total, list(self.tenants.values()), spent, needs)
        spare = max(self.total - sum(shares), 0.0)
        whole = sum(self.tenants.values())
        self._shares = {
            name: share + spare * self.tenants[name] / whole for name, share in zip(self._pacers, shares, strict=True)
        }

    # ------------------------------------------------------------------------------------------ bills and news

    def _bill(self, cost: float) -> int:
        bill = amount_of("cost", cost)
        if bill > 1000 * self.total:
            raise InputError(
                f"cost is {bill:g}, more than 1,000 times the total ({self.total:g}). Give it in the unit of the total."
            )
        return self._units.of(bill)

    def _settle(self, grant: Grant, cost: float, expected: float, maximum: float) -> None:
        """Settle a grant; `expected` and `maximum` are what was stated for it, before any correction."""
        settled = self.store.settle(grant.id, self._bill(cost))
        with self._guard:
            if settled is not None:
                self._pacers[grant.tenant].note_bill(settled.requests)
            bills = self._bills.get(grant.model)
            if bills is None:
                bills = self._bills[grant.model] = Bills()
            if bills.add(cost, expected, maximum):
                name = grant.action or ""
                self.exceeded[name] = self.exceeded.get(name, 0) + 1
                if self.exceeded[name] == 1:
                    _log.warning(
                        "a bill of %r is %.6g, above its stated maximum of %.6g; from now on more is reserved for it "
                        "(status() counts such bills)",
                        name,
                        cost,
                        maximum,
                    )

    def _tell(self) -> None:
        """Tell other keepers what this one has learnt, and learn what they have."""
        price = max((pacer.price or 0.0 for pacer in self._pacers.values()), default=None)
        news = {
            "demand": {name: pacer.demand.state() for name, pacer in self._pacers.items()},
            "bills": {name: bills.state() for name, bills in self._bills.items()},
            "arrivals": None if self._arrivals is None else self._arrivals.state(),
            "exceeded": self.exceeded,
        }
        told = self.store.tell(self.replica, json.dumps(news), price)
        self._learn([json.loads(text) for name, text in told.items() if name != self.replica])

    def _learn(self, others: list[Any]) -> None:
        position, half_life = self.store.book.position, self.period.length * FORGETS
        for name, pacer in self._pacers.items():
            pacer.demand.join(
                [
                    Demand.of_state(other["demand"][name], half_life, position)
                    for other in others
                    if name in other["demand"]
                ]
            )
        for model in {model for other in others for model in other["bills"]}:
            bills = self._bills.setdefault(model, Bills())
            bills.join([other["bills"][model] for other in others if model in other["bills"]])
        if self._arrivals is not None:
            for other in others:
                if other["arrivals"] is not None:
                    self._arrivals.take(other["arrivals"])

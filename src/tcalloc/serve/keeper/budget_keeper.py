"""The keeper of a budget on live traffic: an average that is paced, and a cap that holds.

    keeper = BudgetKeeper(total=500, unit="usd", period="30d", cap_per_question=0.05)
    with keeper.grant(policy, question) as grant:
        cost = carry_out(grant.action)
        grant.settle(cost)

What is decided where: `pacing.py` says at which price the money lasts, `demand.py` what requests would spend at a
price, `horizon.py` what is left of the period, `fair_shares.py` what each tenant may spend, and the store (`store.py`)
whether there is money at all.
"""

import itertools
import logging
import math
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._amounts import check_unit
from tcalloc._checks import flag, number, one_of
from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import uniform
from tcalloc.serve.keeper.account import BITS, RAISED, Units, amount_of
from tcalloc.serve.keeper.book import WHOLE, Book
from tcalloc.serve.keeper.demand import ladder_of
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.horizon import Horizon
from tcalloc.serve.keeper.learned import Learned
from tcalloc.serve.keeper.menus import Bounds, Menu, menu_of, stated_menu
from tcalloc.serve.keeper.open_state import open_state
from tcalloc.serve.keeper.period import period_of
from tcalloc.serve.keeper.pricing import Pricing
from tcalloc.serve.keeper.status import Status, status_of
from tcalloc.serve.keeper.store import LostState, MemoryStore, Store

__all__ = ["BudgetKeeper"]

_log = logging.getLogger("tcalloc.keeper")

# A bill above this many totals is taken to be in another unit.
ABSURD = 1000.0
# Seconds between two lines of the log that say that the state is lost.
SAYS_LOST = 60.0


class BudgetKeeper:
    """Keeps a budget on live traffic.

    The price paces the average: it is set so that the money lasts until the end of the period. The cap is strict: what
    is settled in a period and what open grants may cost at most is never more than the total. Threads may share a
    keeper; processes and hosts may share a state.

    Parameters
    ----------
    total : float
        The amount that may be spent in a period.
    unit : str
        The unit of all amounts, such as "usd".
    period : str, int or None
        Its length: a time such as "30d" or "12h", or a number of requests. Periods follow each other. None: the total
        is for all time, and only the cap holds.
    rolling : bool
        Whether the total holds for every window of this length instead.
    cap_per_question : float, optional
        The most that one question may cost. Actions whose maximum is higher are not taken.
    tenants : mapping of str to float, optional
        The weight of each tenant. Money that one does not need goes to the others, by their weights.
    fallback : str, optional
        The action to take if there is no money for any other: its name. Default: none, a grant without an action.
    rates : Rates, or mapping of str to Rates, optional
        What tokens cost, by model if there are several. With `max_tokens` they say the most that an action can cost.
    max_tokens : int, or mapping of str to int, optional
        The most tokens of a completion.
    price : float, optional
        The price to begin with: accuracy per unit of cost. Default: what the first requests show.
    lifetime : float
        Seconds after which a grant that was not settled is lost.
    lost : {"maximum", "nothing"}
        What a lost grant counts as. With "nothing", the bills of lost grants may exceed the total.
    state : path or str, optional
        Where the budget is kept: a file (SQLite) for the processes of one host, or ``redis://host:port/0#name`` for
        several hosts (extra ``serve``). It is made if it is not there. Default: in the memory of this process.
    store : Store, optional
        A store of your own in place of `state`.

    Raises
    ------
    InputError
        If an argument is not allowed, or the state was made with another total, unit, period or other tenants.

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
        state: str | os.PathLike[str] | None = None,
        store: Store | None = None,
    ):
        first_total, self.unit = number("total", total), unit and check_unit(unit)
        self.period = period_of(period, flag("rolling", rolling))
        cap = math.inf if cap_per_question is None else number("cap_per_question", cap_per_question)
        self.cap_per_question = cap
        self.tenants = {name: number(f"tenants[{name!r}]", w) for name, w in (tenants or {}).items()}
        if any(not isinstance(name, str) or not name.strip() for name in self.tenants):
            raise InputError(f"tenants has the names {list(self.tenants)!r}; expected texts that are not empty.")
        if (rates is None) != (max_tokens is None):
            raise InputError("rates and max_tokens bound a bill together; expected both or none.")
        if state is not None and store is not None:
            raise InputError("state and store given; expected at most one of them.")
        self._bounds = None if rates is None or max_tokens is None else Bounds(rates, max_tokens)
        self.fallback, self.lifetime = fallback, number("lifetime", lifetime, of="seconds")
        first_price = None if price is None else number("price", price, ends=True)
        counts = one_of("lost", lost, ("maximum", "nothing")) == "maximum"
        if store is None:
            book = Book(Units(first_total, BITS).limit, self.period, counts)
            config = {
                "total": first_total, "unit": self.unit, "period": self.period.as_dict(), "tenants": self.tenants,
                "lost": lost,
            }  # fmt: skip
            store = MemoryStore(book) if state is None else open_state(state, config, book)
        self.store = store
        # The unit of a state is that of the total that it was made with, even if that was changed since.
        self._units = Units(getattr(store, "config", {}).get("total", first_total), BITS)
        self._learned = Learned(self.period, self.tenants or (WHOLE,))
        self._horizon = Horizon(store, self._units, self.tenants, self._learned)
        self._pricing = Pricing(store, self._learned, self._horizon, first_price)
        self._guard = threading.RLock()
        self._process, self._prefix, self._numbers = os.getpid(), self._pricing.replica, itertools.count()
        self._forecast_for = self._says_lost = -math.inf

    @classmethod
    def open(cls, state: str | os.PathLike[str]) -> Self:
        """Open a state that exists, as the keepers that use it were made.

        Parameters
        ----------
        state : path or str
            The file, or ``redis://host:port/0#name``.

        Raises
        ------
        InputError
            If there is no such state.
        """
        store = open_state(state)
        config, period = store.config, store.book.period
        length: str | int | None = None
        if period.length < math.inf:
            length = int(period.length) if period.in_requests else f"{period.length!r}s"
        return cls(
            config["total"], config["unit"], length, rolling=period.rolling, tenants=config["tenants"],
            lost=config["lost"], store=store,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ grants

    def grant(self, policy: Any, question: Any, *, tenant: str | None = None, maximum: Any = None) -> Grant:
        """Decide what may be spent on a question, and reserve the most that it can cost.

        Parameters
        ----------
        policy : Policy
            A fitted policy. `PricedPolicy` predicts for each question, and the price decides. A policy that decides
            while sampling (`Sequential`, or one with a probe) is set to one of its budgets. Any other decides by
            itself, and gets something cheaper if the price or the money does not allow it.
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
        account = self.check_tenant(tenant)
        price = self._learned.pacers[account].price
        return self._granted(menu_of(policy, question, maximum, self._bounds, price), account, question)

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
        """Decide between actions whose accuracy and cost you predict, and reserve the most that the decision can cost.

        Parameters
        ----------
        actions : sequence of str
            Their names.
        accuracy, costs : sequence of float
            What each is expected to reach and to cost on this question.
        maximum : sequence of float, optional
            The most that each can cost; default: its expected cost.
        tenant : str, optional
            Whose budget it counts for; needed if there are tenants.
        question : str or vector, optional
            Requests with the same question get the same decision at the same price.

        Returns
        -------
        Grant
            Its `action` is None if there is no money for anything.

        Raises
        ------
        InputError
            If the lengths differ, or a number is not finite.
        """
        account = self.check_tenant(tenant)
        return self._granted(stated_menu(actions, accuracy, costs, maximum), account, question)

    def forecast(self, accuracy: Any, costs: Any, *, tenant: str | None = None) -> None:
        """Say what the requests of this period will be like, if they will not be like those that came before.

        Without a forecast, the demand of recent requests stands for those to come. That is wrong for work in an order,
        such as from easy to hard.

        Parameters
        ----------
        accuracy : array_like, (M, K)
            What each action is expected to reach, on a sample of all requests that are left in the period.
        costs : array_like, (M, K) or (K,)
            What each is expected to cost.
        tenant : str, optional
            Whose requests they are.

        Raises
        ------
        InputError
            If the period is not a number of requests or is rolling, or `accuracy` and `costs` are no tables of numbers.
        """
        account = self.check_tenant(tenant)
        if not self.period.in_requests or self.period.length == math.inf or self.period.rolling:
            raise InputError(f"the period is {self.period.words}; a forecast needs a number of requests, period=5000.")
        reached = _numbers("accuracy", accuracy)
        if reached.ndim != 2 or not reached.size:
            raise InputError(f"accuracy has shape {reached.shape}; expected (M, K): a row per request of a sample.")
        paid = _numbers("costs", costs)
        if paid.shape not in (reached.shape, reached.shape[1:]) or (paid < 0).any():
            raise InputError(
                f"costs has shape {paid.shape}; expected {reached.shape} or {reached.shape[1:]}, like accuracy, and "
                "numbers of at least 0."
            )
        rows = np.broadcast_to(paid, reached.shape).tolist()
        ladders = [ladder_of(row, cost) for row, cost in zip(reached.tolist(), rows, strict=True)]
        with self._guard:
            self._learned.pacers[account].expect(ladders, self._horizon.left(account))
            self._forecast_for = self.store.book.start

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

    @property
    def total(self) -> float:
        """The amount that may be spent in a period, as it is now."""
        return self._horizon.total

    def change_total(self, total: float) -> None:
        """Raise or lower the total, from now on and for all keepers that share the state.

        The state keeps it. Services may go on passing the total that the state was made with, or pass the new one.

        Parameters
        ----------
        total : float
            The new amount for a period, the current one included. At least what is spent and reserved in it, and at
            most 100 times the total that the state was made with.

        Raises
        ------
        InputError
            If it is less or more than that; nothing is changed then.

        Examples
        --------
        >>> from tcalloc import BudgetKeeper
        >>> keeper = BudgetKeeper(total=10, unit="usd", period="30d")
        >>> keeper.change_total(25)
        >>> keeper
        BudgetKeeper(25 usd for 30 days)
        """
        new, first = number("total", total), self._units.total or 0.0
        if new > RAISED * first:
            raise InputError(
                f"total is {new:g}; expected at most {RAISED * first:g}, which is {RAISED} times the total that this "
                "budget was made with. Make a new state for more."
            )
        with self._guard:
            if not self.store.change_limit(self._units.limit_of(new)):
                status = self.status()
                raise InputError(
                    f"total is {new:g}, but {status.spent:g} is spent and {status.reserved:g} is reserved in this "
                    f"period; expected at least {status.spent + status.reserved:g}. Wait until open grants are "
                    "settled, or for the next period."
                )
            self._pricing.now()

    def check_tenant(self, tenant: str | None) -> str:
        """Return the account of a tenant; "" if there are no tenants.

        Parameters
        ----------
        tenant : str or None
            One of the names, or None if there are no tenants.

        Raises
        ------
        InputError
            If it is neither.
        """
        if not self.tenants:
            if tenant is not None:
                raise InputError(f"tenant is {tenant!r}, but the keeper has no tenants. Name them: tenants={{…}}.")
            return WHOLE
        if tenant is None:
            raise InputError(f"tenant is missing; expected one of {', '.join(map(repr, self.tenants))}.")
        return one_of("tenant", tenant, self.tenants)

    def status(self) -> Status:
        """Return what is spent, reserved and expected, as of now, over all processes that share the state."""
        with self._guard:
            book = self.store.read()
            self._pricing.now()
            return status_of(book, self._units, self.unit, self.tenants, self._learned, self._horizon)

    def close(self) -> None:
        """Leave what was learned to the keepers that go on with the state, and close its files and connections."""
        with self._guard:
            try:
                self._pricing.leave()
            except LostState as error:
                _log.error("%s", error)
            finally:
                self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cleaned
    def __repr__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"BudgetKeeper({self.total:g}{unit} for {self.period.words})"

    # ------------------------------------------------------------------------------------------ deciding

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

    # ------------------------------------------------------------------------------------------ bills

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


def _numbers(name: str, values: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} holds what is no number, or rows of several lengths; expected a table.") from None
    if not np.isfinite(found).all():
        raise InputError(f"{name} holds NaN or infinity; expected numbers.")
    return found

"""The meter of a call whose requests take their money from a budget keeper, too."""

import threading
from typing import Any

from tcalloc.errors import InputError
from tcalloc.llm.failures import LimitReached
from tcalloc.llm.money.meter import Meter
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.grant import Grant

__all__ = ["KeptMeter", "checked_keeper"]

# The name of these requests in the keeper's status.
ACTION = "answer"


class KeptMeter(Meter):
    """Keeps a call within its limits, and within the cap that a keeper holds for all that share its budget.

    The keeper grants the most that each request can cost, to `tenant`; the other arguments are those of `Meter`. A
    request pays and settles at one go, as the client does it, so its bill is that of the settled request.
    """

    def __init__(
        self,
        keeper: BudgetKeeper,
        tenant: str | None,
        max_cost: float | None = None,
        max_requests: int | None = None,
        spent: float = 0.0,
        lost: float = 0.0,
    ):
        super().__init__(max_cost, max_requests, spent, lost)
        self._keeper, self._tenant = keeper, tenant
        self._grants: dict[float, list[Grant]] = {}
        self._bill = 0.0
        self._books = threading.Lock()

    def try_reserve(self, most: float) -> bool:
        """Take the right to send one request; see `Meter.try_reserve`.

        Raises
        ------
        LimitReached
            If the keeper has no money for it, and no open request of this call gives any back.
        """
        if not super().try_reserve(most):
            return False
        grant = self._keeper.choose([ACTION], [0.0], [most], tenant=self._tenant)
        with self._books:
            if grant.action is not None:
                self._grants.setdefault(most, []).append(grant)
                return True
            waits = any(self._grants.values())
        super().settle(most)
        self.requests -= 1
        if waits:
            return False
        raise LimitReached(f"the budget keeper has no {most:.3g} left for the next request.")

    def settle(self, most: float, *, lost: bool = False) -> None:
        """Give back what a request reserved; see `Meter.settle`."""
        super().settle(most, lost=lost)
        with self._books:
            bill, self._bill = self._bill, 0.0
            grant = self._grants[most].pop()
        grant.settle(most if lost else bill)

    def pay(self, cost: float) -> None:
        """Count what a reply cost, before its request settles."""
        super().pay(cost)
        with self._books:
            self._bill += cost


def checked_keeper(keeper: Any, tenant: Any, priced: bool) -> BudgetKeeper | None:
    """Return the keeper of a call, checked before anything is asked; `priced`: whether requests have a highest cost."""
    if keeper is None:
        if tenant is not None:
            raise InputError(f"tenant is {tenant!r}, but no keeper is given. Pass keeper= too.")
        return None
    if not isinstance(keeper, BudgetKeeper):
        raise InputError(f"keeper is {type(keeper).__name__}; expected a tcalloc.BudgetKeeper.")
    if not priced:
        raise InputError(
            "a keeper needs rates and max_tokens of every client: without them no request has a highest cost."
        )
    keeper.check_tenant(tenant)
    return keeper

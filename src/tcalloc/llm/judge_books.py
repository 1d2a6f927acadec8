"""The cost of a judge that grades a run folder again: one budget over all calls, lost replies included."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders.judge import JudgeGrader
from tcalloc.llm.money.bill import Bill
from tcalloc.llm.money.journal import JUDGE, Journal
from tcalloc.llm.money.meter import Meter

__all__ = ["JudgeBooks", "priced_judge"]


def priced_judge(grader: object, max_cost: float | None) -> ChatClient | None:
    """Return the client of a judge whose replies have prices; None if the grader is no such judge.

    Raises
    ------
    InputError
        If there is a `max_cost` that could not be kept.
    """
    client = grader.client if isinstance(grader, JudgeGrader) else None
    client = client if isinstance(client, ChatClient) else None
    if max_cost is not None:
        if not 0 <= max_cost < float("inf"):
            raise InputError(f"max_cost is {max_cost!r}; expected a finite number of at least 0.")
        if client is None:
            raise InputError("max_cost needs a judge that is asked through a ChatClient; other graders cost nothing.")
        if client.rates is None or client.parameters.max_tokens is None:
            raise InputError(
                "max_cost needs rates and max_tokens of the judge: without them no request has a highest cost."
            )
    return None if client is None or client.rates is None else client


class JudgeBooks:
    """The bills of a judge. Threads share it.

    A request is entered in the folder's journal before it is sent, and crossed out when its verdict is stored.

    Parameters
    ----------
    judge : JudgeGrader
        The judge whose calls are billed here until `close`.
    client : ChatClient
        The client of the judge model.
    journal : Journal
        The journal of the run folder.
    spent : float
        The cost of stored verdicts.
    max_cost : float or None
        The most that judges of this folder may cost in all; None: no limit.
    """

    def __init__(self, judge: JudgeGrader, client: ChatClient, journal: Journal, spent: float, max_cost: float | None):
        self.meter = Meter(max_cost, None, spent, journal.lost_cost(judges=True))
        self._judge, self._journal, self._arm = judge, journal, JUDGE + client.arm
        self._here = threading.local()
        judge.bill = self._bill

    def _bill(self) -> Bill:
        bill = Bill(self.meter, self._journal, self._arm, 1)
        self._here.bills.append(bill)
        return bill

    @contextmanager
    def verdict(self) -> Iterator[list[Bill]]:
        """Collect the bills of one verdict that is asked for in this thread; if it succeeds, it is stored."""
        bills: list[Bill] = []
        self._here.bills = bills
        yield bills
        for bill in bills:
            bill.stored()

    def close(self) -> None:
        """Stop billing the judge's calls."""
        self._judge.bill = None
        self._journal.close()

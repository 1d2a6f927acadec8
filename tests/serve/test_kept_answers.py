"""`answer` with a budget keeper: several calls share one cap, whatever the server does."""

import threading

import pytest
from chaos import Chaos

from tcalloc import BudgetKeeper, ChatClient, Parameters, Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.llm.http.retry import Backoff
from tcalloc.measure import Vote
from tcalloc.serve.answer import answer

pytest.importorskip("aiohttp")

RATES = Rates.per_million(1e5, 2e5)  # 20 tokens of the prompt and 5 of the answer: 3 for each sample


def client_of(server, rates=RATES):
    backoff = Backoff(retries=2, bad_replies=2, base=0.001, cap=0.01)
    return ChatClient(server.url, "tiny", Parameters(max_tokens=32), key=None, rates=rates, backoff=backoff)


def questions(n):
    return [f"{i} + 1" for i in range(n)]


def test_two_calls_share_a_cap(tmp_path):
    """Two calls at the same time, from a state that a third keeper reads; together they never exceed the total."""
    state = tmp_path / "budget.db"
    found = []
    with Chaos() as server:

        def call(tenant):
            keeper = BudgetKeeper(total=150.0, tenants={"a": 1, "b": 1}, state=state)
            with client_of(server) as client, keeper:
                answers = answer(questions(40), Always(Vote(1)), client, keeper=keeper, tenant=tenant, concurrency=4)
                found.append(answers)

        threads = [threading.Thread(target=call, args=(tenant,)) for tenant in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = len(server.requests)
    with BudgetKeeper.open(state) as keeper:
        status = keeper.status()
    assert status.spent == pytest.approx(3.0 * sent)
    assert 100.0 < status.spent <= 150.0
    assert status.reserved == 0.0
    assert sum(one.spent for one in status.tenants.values()) == pytest.approx(status.spent)
    assert any("the budget keeper has no" in (answers.stopped or "") for answers in found)


def test_replies_that_are_paid_and_lost_count_as_their_maximum():
    keeper = BudgetKeeper(total=1000.0)
    with Chaos(["truncated_json", "ok"]) as server, client_of(server) as client:
        answer(questions(1), Always(Vote(1)), client, keeper=keeper)
    status = keeper.status()
    most = RATES.most(0, 1, 32)
    assert status.spent > most + 3.0
    assert (status.reserved, status.open_grants) == (0.0, 0)


def test_what_is_refused_before_anything_is_asked():
    keeper = BudgetKeeper(total=10.0, tenants={"a": 1})
    with Chaos() as server:
        with client_of(server) as client:
            for given, words in (
                ({"keeper": keeper}, "tenant is missing"),
                ({"keeper": keeper, "tenant": "b"}, "tenant is 'b'"),
                ({"keeper": 5.0}, "keeper is float; expected a tcalloc.BudgetKeeper"),
                ({"tenant": "a"}, "no keeper is given"),
            ):
                with pytest.raises(InputError, match=words):
                    answer(questions(1), Always(Vote(1)), client, **given)
        with client_of(server, None) as client, pytest.raises(InputError, match="a keeper needs rates and max_tokens"):
            answer(questions(1), Always(Vote(1)), client, keeper=keeper, tenant="a")
        assert not server.requests

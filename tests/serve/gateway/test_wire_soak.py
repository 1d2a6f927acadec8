"""A crowd of requests with faults upstream: answers, spending and memory, by the books of the soak in bench/gateway."""

import asyncio
import gc
import time

import pytest

pytest.importorskip("aiohttp")

from chaos import Chaos

from bench.gateway.soak import FAULTS, LOST, MAX_TOKENS, RATES, Books, Crowd, counted, crowd, problems
from tcalloc import BudgetKeeper
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

AT_ONCE = 40
REQUESTS = 200
# Objects of this package that may be more after the last 200 requests than after those before.
LEFT = 20


def ours(thing):
    return isinstance(thing, asyncio.Task) or str(type(thing).__module__).startswith("tcalloc")


def size():
    gc.collect()
    return sum(ours(one) for one in gc.get_objects())


@pytest.mark.slow
def test_answers_spending_and_memory_of_a_crowd():
    books, sizes, crowds = Books(0.0), [], []
    sending = Sending(max_tokens=MAX_TOKENS)
    with (
        Chaos(default=books.act) as server,
        BudgetKeeper(total=1000.0, unit="usd") as keeper,
        Gateway(server.url, Always(Vote(3)), port=0, keeper=keeper, rates=RATES, sending=sending) as gateway,
    ):
        for start in range(3):
            first = start * REQUESTS
            ends = first + REQUESTS
            crowds.append(asyncio.run(crowd(gateway.url, AT_ONCE, lambda i, ends=ends: i < ends, first)))
            server.requests.clear()
            sizes.append(size())
            for _ in range(20):
                if start < 2 or sizes[2] - sizes[1] < LEFT:
                    break
                time.sleep(0.1)  # some connections are closed a moment later
                sizes[2] = size()
        metrics = asyncio.run(counted(gateway.url))
    for one in crowds:
        one.check(books)
        assert problems(books, one, metrics) == []
        assert sum(one.statuses.values()) == len(one.got) == REQUESTS
        assert one.statuses[200] > 0.85 * REQUESTS
    assert set(FAULTS) < set(books.kinds)
    assert sizes[2] - sizes[1] < LEFT, sizes  # nothing stays of a request


def test_what_must_not_be_is_said():
    books, right = (
        Books(0.0),
        {"tcalloc_budget_spent": 0.0, "tcalloc_budget_reserved": 0.0, "tcalloc_requests_open": 0.0},
    )
    books.answers["1+1"] = {"2"}
    found = Crowd()
    found.got = {"1+1": "2", "1+2": None}
    found.check(books)
    assert problems(books, found, right) == []
    found.got["1+1"] = None
    found.statuses[418] += 1
    found.check(books)
    books.bill = 1.0
    said = problems(books, found, right | {"tcalloc_requests_open": 1.0})
    assert [part in one for part, one in zip(("1+1", "booked", "still open", "418"), said, strict=True)] == [True] * 4


def test_the_faults_are_those_of_the_fault_matrix():
    from chaos import Handler

    known = {name.removeprefix("fault_") for name in vars(Handler) if name.startswith("fault_")}
    assert {name.partition(":")[0].replace("-", "_") for name in FAULTS} < known
    assert len(LOST) == 9

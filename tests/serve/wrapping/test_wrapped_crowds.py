"""Fifty requests at a time with faults: no answer is lost, and what the keeper counts is what the server billed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from chaos import Chaos
from crowd_books import AT_A_TIME, RATES, Books
from wrapped_clients import KEY, Awaiting, Blocking

from tcalloc import BudgetKeeper, wrap

REQUESTS = 200


def crowd(kind, server, keeper, policy):
    """Send all requests, and return the completions and the errors."""
    options = {"rates": RATES, "max_tokens": 50}

    def asked(i):
        return {"model": "tiny", "messages": [{"role": "user", "content": f"{i}+{i}"}]}

    if kind is Blocking:
        with openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=2) as plain:
            client = wrap(plain, policy, keeper, **options)

            def ask(i):
                try:
                    return client.chat.completions.create(**asked(i))
                except openai.RateLimitError as error:
                    return error

            with ThreadPoolExecutor(AT_A_TIME) as threads:
                return list(threads.map(ask, range(REQUESTS)))

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY, max_retries=2) as plain:
            client, turns = wrap(plain, policy, keeper, **options), asyncio.Semaphore(AT_A_TIME)

            async def ask(i):
                async with turns:
                    try:
                        return await client.chat.completions.create(**asked(i))
                    except openai.RateLimitError as error:
                        return error

            return await asyncio.gather(*(ask(i) for i in range(REQUESTS)))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("kind", [Blocking, Awaiting])
def test_the_keepers_books_are_the_servers(kind):
    books, keeper = Books(), BudgetKeeper(total=10.0, unit="usd")
    with Chaos(default=books) as server:
        got = crowd(kind, server, keeper, "vote2")
    status = keeper.status()
    assert all(not isinstance(one, Exception) for one in got)  # no answer is lost
    assert sum(one.tcalloc["samples"] for one in got) >= 2 * REQUESTS - 10
    assert status.spent == pytest.approx(books.bill / 1e6) == pytest.approx(sum(one.tcalloc["spend"] for one in got))
    assert sum(one.usage.prompt_tokens + 2 * one.usage.completion_tokens for one in got) == books.bill
    assert (status.open_grants, status.reserved) == (0, 0)


@pytest.mark.parametrize("kind", [Blocking, Awaiting])
def test_a_total_that_is_too_small_is_kept_to_the_cent(kind):
    books, keeper = Books(), BudgetKeeper(total=0.004, unit="usd")
    with Chaos(default=books) as server:
        got = crowd(kind, server, keeper, "vote2")
    status = keeper.status()
    refused = [one for one in got if isinstance(one, Exception)]
    assert refused
    assert len(refused) < REQUESTS
    assert {one.code for one in refused} == {"insufficient_quota"}
    assert books.bill / 1e6 == pytest.approx(status.spent)
    assert status.spent <= 0.004
    assert (status.open_grants, status.reserved) == (0, 0)


@pytest.mark.parametrize("kind", [Blocking, Awaiting])
def test_replies_that_are_lost_count_as_the_most_that_they_can_cost(kind):
    books, keeper = Books(lossy=True), BudgetKeeper(total=0.05, unit="usd")
    with Chaos(default=books) as server:
        got = crowd(kind, server, keeper, "vote2")
    status = keeper.status()
    assert sum(not isinstance(one, Exception) for one in got) > REQUESTS / 2
    assert books.bill / 1e6 < status.spent <= 0.05
    assert (status.open_grants, status.reserved) == (0, 0)

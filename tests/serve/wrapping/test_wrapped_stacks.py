"""Stacks that are given a wrapped client: fifty requests at a time with faults, through the stack's own interface.

What the stack says of its tokens, what the keeper says of its money and what the server has billed are the same.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import openai
import pytest
from chaos import Chaos
from crowd_books import AT_A_TIME, RATES, Books
from wrapped_clients import KEY

from tcalloc import BudgetKeeper, wrap

REQUESTS = 50


class Given:
    """What a stack is given: wrapped clients, or without a policy the server's URL alone."""

    def __init__(self, url, policy, keeper=None):
        self.url, self.policy, self.keeper = url, policy, keeper
        self.prices = {"rates": RATES, "max_tokens": 50} if keeper is not None else {}

    def client(self, sdk):
        plain = sdk(base_url=self.url, api_key=KEY, max_retries=4)
        return wrap(plain, self.policy, self.keeper, **self.prices)


def pydantic_ai(given):
    pytest.importorskip("pydantic_ai", reason="pydantic_ai is not installed; .ci/nightly runs this")
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    plain = openai.AsyncOpenAI(base_url=given.url, api_key=KEY)
    client = plain if given.policy is None else given.client(openai.AsyncOpenAI)
    agent = Agent(OpenAIChatModel("tiny", provider=OpenAIProvider(openai_client=client)))

    async def ask(question):
        result = await agent.run(question)
        return result.output, result.usage.input_tokens, result.usage.output_tokens

    return together(ask, client.close)


def langchain(given):
    """The model is given wrapped clients."""
    pytest.importorskip("langchain_openai", reason="langchain is not installed; .ci/nightly runs this")
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    fields = {"base_url": given.url, "api_key": KEY}
    if given.policy is not None:
        sync, later = given.client(openai.OpenAI), given.client(openai.AsyncOpenAI)
        fields = {"root_client": sync, "client": sync.chat.completions}
        fields |= {"root_async_client": later, "async_client": later.chat.completions}
    model = ChatOpenAI(model="tiny", **fields)
    return half_and_half(create_agent(model, tools=[]), model.root_async_client.close)


def langchain_by_middleware(given):
    """The agent is given middleware, and its model stays as it is."""
    pytest.importorskip("langchain_openai", reason="langchain is not installed; .ci/nightly runs this")
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    from tcalloc.serve.wrapping.langchain_middleware import langchain_middleware

    model = ChatOpenAI(model="tiny", base_url=given.url, api_key=KEY, max_retries=4)
    before, clients = dict(model), (model.root_client, model.client, model.root_async_client, model.async_client)
    added = [] if given.policy is None else [langchain_middleware(given.policy, given.keeper, **given.prices)]
    ask = half_and_half(create_agent(model, tools=[], middleware=added), model.root_async_client.close)

    def all_of_them(questions):
        found = ask(questions)
        assert dict(model) == before
        assert (model.root_client, model.client, model.root_async_client, model.async_client) == clients
        return found

    return all_of_them


def dspy(given):
    pytest.importorskip("dspy", reason="dspy is not installed; .ci/nightly runs this")
    import dspy

    from tcalloc.serve.wrapping.dspy_model import dspy_model

    client = None if given.policy is None else given.client(openai.OpenAI)

    def ask(question):
        if client is None:
            model = dspy.LM("openai/tiny", api_base=given.url, api_key=KEY, cache=False)
        else:
            model = dspy_model(client, "tiny", cache=False)
        text = model(question)[0]
        usage = model.history[-1]["usage"]
        return text, usage["prompt_tokens"], usage["completion_tokens"]

    def all_of_them(questions):
        with nullcontext() if client is None else client, ThreadPoolExecutor(AT_A_TIME) as threads:
            return list(threads.map(ask, questions))

    return all_of_them


def half_and_half(agent, close):
    """One half of the questions from threads, the other on an event loop."""

    def asked(question):
        return {"messages": [{"role": "user", "content": question}]}

    def told(state):
        message = state["messages"][-1]
        return message.content, message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]

    async def ask(question):
        return told(await agent.ainvoke(asked(question)))

    def both(questions):
        half = len(questions) // 2
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            found = list(threads.map(lambda one: told(agent.invoke(asked(one))), questions[:half]))
        return found + together(ask, close)(questions[half:])

    return both


def together(ask, close):
    async def all_of_them(questions):
        try:
            return await asyncio.gather(*(ask(one) for one in questions))
        finally:
            await close()

    return lambda questions: asyncio.run(all_of_them(questions))


STACKS = [pydantic_ai, langchain, langchain_by_middleware, dspy]


@pytest.mark.filterwarnings("default")  # of the stacks; they are not ours to fail on
@pytest.mark.parametrize("stack", STACKS)
def test_the_stacks_figures_are_the_keepers_and_the_servers(stack):
    books, keeper = Books(), BudgetKeeper(total=1.0, unit="usd")
    questions = [f"{i}+{i}" for i in range(REQUESTS)]
    with Chaos(default=books) as server:
        got = stack(Given(server.url, "vote2", keeper))(questions)
    assert all("The answer is" in text for text, _, _ in got)  # no answer is lost
    billed = sum(tokens_in + 2 * tokens_out for _, tokens_in, tokens_out in got)
    assert billed == books.bill
    assert books.answered >= REQUESTS * 1.9
    status = keeper.status()
    assert status.spent == pytest.approx(billed / 1e6)
    assert (status.open_grants, status.reserved) == (0, 0)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("stack", STACKS)
def test_with_tcalloc_removed_a_stack_asks_as_before(stack):
    """In one process: without tcalloc, with it, and without it again."""
    sent, got = [], []
    for policy in (None, "vote2", None):
        with Chaos() as server:
            got.append(stack(Given(server.url, policy))(["1+1", "2+2"]))
            requests = sorted(server.requests, key=lambda one: str(one["body"]["messages"]))
            sent.append([(one["path"], one["body"], steady(one["headers"])) for one in requests])
    assert [len(one) for one in sent] == [2, 4, 2]
    assert sent[0] == sent[2]
    assert got[0] == got[2]
    asked = [{body["model"]: body["messages"] for _, body, _ in one} for one in sent]
    assert asked[0] == asked[1]


def steady(headers):
    """Return the headers without those that differ from server to server."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in ("host", "content-length")}

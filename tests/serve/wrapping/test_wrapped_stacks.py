"""Stacks that are given a wrapped client: fifty requests at a time with faults, through the stack's own interface.

What the stack says of its tokens, what the keeper says of its money and what the server has billed are the same.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from chaos import Chaos
from crowd_books import AT_A_TIME, RATES, Books
from wrapped_clients import KEY

from tcalloc import BudgetKeeper, wrap

REQUESTS = 50


def pydantic_ai(sync, later):
    pytest.importorskip("pydantic_ai", reason="pydantic_ai is not installed; .ci/nightly runs this")
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("tiny", provider=OpenAIProvider(openai_client=later)))

    async def ask(question):
        result = await agent.run(question)
        return result.output, result.usage.input_tokens, result.usage.output_tokens

    return together(ask, later)


def langchain(sync, later):
    pytest.importorskip("langchain_openai", reason="langchain is not installed; .ci/nightly runs this")
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        model="tiny", root_client=sync, client=sync.chat.completions, root_async_client=later,
        async_client=later.chat.completions,
    )  # fmt: skip
    agent = create_agent(model, tools=[])

    def told(state):
        message = state["messages"][-1]
        return message.content, message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]

    def asked(question):
        return {"messages": [{"role": "user", "content": question}]}

    async def ask(question):
        return told(await agent.ainvoke(asked(question)))

    def both(questions):
        half = len(questions) // 2
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            found = list(threads.map(lambda one: told(agent.invoke(asked(one))), questions[:half]))
        return found + together(ask, later)(questions[half:])

    return both


def dspy(sync, later):
    pytest.importorskip("dspy", reason="dspy is not installed; .ci/nightly runs this")
    from tcalloc.serve.wrapping.dspy_model import dspy_model

    def ask(question):
        model = dspy_model(sync, "tiny", cache=False)
        text = model(question)[0]
        usage = model.history[-1]["usage"]
        return text, usage["prompt_tokens"], usage["completion_tokens"]

    def all_of_them(questions):
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            return list(threads.map(ask, questions))

    return all_of_them


def together(ask, client):
    async def all_of_them(questions):
        async with client:
            return await asyncio.gather(*(ask(one) for one in questions))

    return lambda questions: asyncio.run(all_of_them(questions))


@pytest.mark.filterwarnings("default")  # of the stacks; they are not ours to fail on
@pytest.mark.parametrize("stack", [pydantic_ai, langchain, dspy])
@pytest.mark.parametrize("policy", ["vote2", None])  # None: a plain client, and no faults, which stacks do not all bear
def test_the_stacks_figures_are_the_keepers_and_the_servers(stack, policy):
    books, keeper = Books(faults=policy is not None), BudgetKeeper(total=1.0, unit="usd")
    questions = [f"{i}+{i}" for i in range(REQUESTS)]
    with Chaos(default=books) as server:
        clients = [sdk(base_url=server.url, api_key=KEY, max_retries=4) for sdk in (openai.OpenAI, openai.AsyncOpenAI)]
        if policy is not None:
            clients = [wrap(one, policy, keeper, rates=RATES, max_tokens=50) for one in clients]
        with clients[0]:
            got = stack(*clients)(questions)
    assert all("The answer is" in text for text, _, _ in got)  # no answer is lost
    billed = sum(tokens_in + 2 * tokens_out for _, tokens_in, tokens_out in got)
    assert billed == books.bill
    assert books.answered >= REQUESTS * (1.9 if policy else 1)
    status = keeper.status()
    assert status.spent == pytest.approx(billed / 1e6 if policy else 0.0)
    assert (status.open_grants, status.reserved) == (0, 0)

"""The middleware for LangChain, in the real one: what it leaves alone, and what it refuses."""

import asyncio
import sys

import openai
import pytest
from chaos import Chaos
from crowd_books import RATES
from wrapped_clients import KEY

from tcalloc import BudgetKeeper
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.serve.wrapping.langchain_middleware import langchain_middleware

QUESTION = {"messages": [{"role": "user", "content": "6 * 7?"}]}


@pytest.fixture
def langchain():
    pytest.importorskip("langchain_openai", reason="langchain is not installed; .ci/nightly runs this")
    import langchain.agents

    return langchain.agents


@pytest.fixture
def model(langchain):
    from langchain_openai import ChatOpenAI

    with Chaos() as server, openai.DefaultHttpxClient() as http:

        def make(name="tiny", **fields):
            return ChatOpenAI(model=name, base_url=server.url, api_key=KEY, http_client=http, **fields)

        make.requests = server.requests
        yield make


def test_without_langchain_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    with pytest.raises(MissingExtraError, match="'langchain>=1'"):
        langchain_middleware("vote3")


def test_what_wrap_refuses_is_refused_when_the_middleware_is_made(langchain):
    with pytest.raises(InputError, match="needs rates= and max_tokens="):
        langchain_middleware("vote3", BudgetKeeper(1.0))
    with pytest.raises(InputError, match="policy is int"):
        langchain_middleware(3)


def test_a_stream_is_that_of_the_winner_and_headers_say_what_was_decided(langchain, model):
    with_headers = model(include_response_headers=True)
    agent = langchain.create_agent(with_headers, tools=[], middleware=[langchain_middleware("vote3")])
    pieces = [one.content for one, _ in agent.stream(QUESTION, stream_mode="messages")]
    message = agent.invoke(QUESTION)["messages"][-1]
    assert len(model.requests) == 6
    assert "".join(pieces) == "The answer is 42."
    assert message.response_metadata["headers"]["x-tcalloc-samples"] == "3"


def test_the_clients_of_a_model_are_wrapped_once(langchain, model):
    """So its calls share what is known of the server."""
    made, plain = [], model()
    agent = langchain.create_agent(plain, tools=[], middleware=[langchain_middleware("vote2"), watching(made)])
    for _ in range(3):
        agent.invoke(QUESTION)
    assert len(made) == 3
    assert {id(one.root_client) for one in made} == {id(made[0].root_client)}
    assert {id(one.root_async_client) for one in made} == {id(made[0].root_async_client)}
    assert made[0].root_client is not plain.root_client
    assert made[0].root_async_client is not plain.root_async_client


def watching(models):
    from langchain.agents.middleware import wrap_model_call

    @wrap_model_call
    def watch(request, handler):
        models.append(request.model)
        return handler(request)

    return watch


def test_a_model_that_is_chosen_for_one_call_is_adaptive_too(langchain, model):
    """Where the middleware stands after the one that chooses."""
    from langchain.agents.middleware import wrap_model_call

    other = model("other")

    @wrap_model_call
    def choose(request, handler):
        return handler(request.override(model=other))

    langchain.create_agent(model(), tools=[], middleware=[choose, langchain_middleware("vote3")]).invoke(QUESTION)
    assert [one["body"]["model"] for one in model.requests] == ["other"] * 3


@pytest.mark.parametrize("keeper", [None, BudgetKeeper(1.0, unit="usd")])
def test_a_model_without_a_client_of_openai_stays_plain_or_is_refused(langchain, keeper, caplog):
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    prices = {} if keeper is None else {"rates": RATES, "max_tokens": 9}
    middleware = langchain_middleware("vote3", keeper, **prices)
    agent = langchain.create_agent(FakeListChatModel(responses=["as before"]), tools=[], middleware=[middleware])
    if keeper is not None:
        for call in (agent.invoke, lambda asked: asyncio.run(agent.ainvoke(asked))):
            with pytest.raises(InputError, match="FakeListChatModel has no OpenAI client"):
                call(QUESTION)
        return
    for _ in range(2):
        assert agent.invoke(QUESTION)["messages"][-1].content == "as before"
    assert asyncio.run(agent.ainvoke(QUESTION))["messages"][-1].content == "as before"
    assert sum("FakeListChatModel" in record.message for record in caplog.records) == 1


def test_a_spent_budget_is_an_error_of_openai(langchain, model):
    keeper = BudgetKeeper(total=1e-9, unit="usd")
    middleware = langchain_middleware("vote2", keeper, rates=RATES, max_tokens=50)
    with pytest.raises(openai.RateLimitError) as caught:
        langchain.create_agent(model(), tools=[], middleware=[middleware]).invoke(QUESTION)
    assert caught.value.code == "insufficient_quota"
    assert not model.requests

"""The clients that people use, as they come from PyPI: nothing but the URL is told to them."""

import asyncio
import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from gateway_client import send
from gateway_forms import FORMS
from upstreams import Upstream, call, more, streamed, whole

from tcalloc import BudgetKeeper, Rates
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

KEY = "client-key-1"
ASKED = [{"role": "user", "content": "6 + 1?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
VOTED, PLAIN = ["It is 5.", "It is 7.", "So 7."], "The answer is 42."


@pytest.fixture
def openai():
    return pytest.importorskip("openai", reason="OpenAI's client is not installed (dependency group clients)")


@pytest.fixture
def anthropic():
    return pytest.importorskip("anthropic", reason="Anthropic's client is not installed (dependency group clients)")


def gate(server, policy=None, **options):
    return Gateway(server.url, policy or Always(Vote(3)), port=0, client_keys=[KEY], **options)


def at(gateway, client):
    """A client of Anthropic adds /v1 itself."""
    root = gateway.url if "openai" in client.__module__ else gateway.url.removesuffix("/v1")
    return client(base_url=root, api_key=KEY, max_retries=2)


def broken(server):
    async def answer(request, body):
        return await server.stream(request, body, "one two", breaks=True)

    return answer


# ---------------------------------------------------------------------------------------------- chat completions


def test_openai_chat(openai):
    with Upstream(VOTED) as server, gate(server) as gateway, at(gateway, openai.OpenAI) as client:
        voted = client.chat.completions.with_raw_response.create(model="tiny", messages=ASKED)
        assert voted.headers["x-tcalloc-samples"] == "3"
        assert "7" in voted.parse().choices[0].message.content
        assert voted.parse().usage.total_tokens == 51
        pieces = list(client.chat.completions.create(model="tiny", messages=ASKED, stream=True))
        assert "".join(one.choices[0].delta.content or "" for one in pieces) == PLAIN
        plain = list(client.chat.completions.create(model="tiny", messages=ASKED, n=2, stream=True))
        assert "".join(one.choices[0].delta.content or "" for one in plain if one.choices).strip() == PLAIN
        assert [one.id for one in client.models.list()] == ["tiny"]
        with pytest.raises(openai.BadRequestError, match="messages"):
            client.chat.completions.create(model="tiny", messages=[])


def test_openai_chat_asynchronously(openai):
    async def talk(client):
        async with client:
            got = await asyncio.gather(
                *(client.chat.completions.create(model="tiny", messages=ASKED) for _ in range(5))
            )
            stream = await client.chat.completions.create(model="tiny", messages=ASKED, stream=True)
            return got, [one async for one in stream]

    with Upstream() as server, gate(server) as gateway:
        got, pieces = asyncio.run(talk(at(gateway, openai.AsyncOpenAI)))
    assert {one.choices[0].message.content for one in got} == {PLAIN}
    assert "".join(one.choices[0].delta.content or "" for one in pieces) == PLAIN


# ---------------------------------------------------------------------------------------------- responses


@pytest.mark.parametrize("policy", [Always(Vote(3)), Always(One())])
def test_openai_responses(openai, policy):
    n = policy.action.samples
    with Upstream() as server, gate(server, policy) as gateway, at(gateway, openai.OpenAI) as client:
        raw = client.responses.with_raw_response.create(model="tiny", input="6 + 1?", instructions="Be brief.")
        assert raw.headers["x-tcalloc-samples"] == str(n)
        got = raw.parse()
        assert (got.output_text, got.status, got.store) == (PLAIN, "completed", False)
        usage = got.usage
        assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (10 * n, 2 * n)
        assert (usage.output_tokens, usage.total_tokens) == (7 * n, 17 * n)
        types = [one.type for one in client.responses.create(model="tiny", input=ASKED, stream=True)]
        assert (types[0], types[-1]) == ("response.created", "response.completed")
        with client.responses.stream(model="tiny", input="6 + 1?") as stream:
            pieces = [one.delta for one in stream if one.type == "response.output_text.delta"]
            whole = stream.get_final_response()
        assert "".join(pieces) == whole.output_text
        assert whole.output_text.strip() == PLAIN
        # What came is a part of the next question, as it is.
        client.responses.create(model="tiny", input=[*ASKED, *got.output, {"role": "user", "content": "Sure?"}])
    assert [one["role"] for one in server.bodies[-1]["messages"]] == ["user", "assistant", "user"]
    assert server.bodies[-1]["messages"][1]["content"] == PLAIN


def test_openai_responses_asynchronously(openai):
    async def talk(client):
        async with client:
            got = await asyncio.gather(*(client.responses.create(model="tiny", input="6 + 1?") for _ in range(5)))
            async with client.responses.stream(model="tiny", input="6 + 1?") as stream:
                return [one.output_text for one in got], await stream.get_final_response()

    with Upstream() as server, gate(server) as gateway:
        got, last = asyncio.run(talk(at(gateway, openai.AsyncOpenAI)))
    assert {*got, last.output_text} == {PLAIN}


@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses_with_tools(openai, stream):
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}]
    text = '{"city": "Bern"}'
    if stream:
        calling = streamed([{"tool_calls": [call("", index=0)]}, more(text[:5], 0), more(text[5:], 0)], "tool_calls")
    else:
        calling = whole({"content": None, "tool_calls": [call(text)]}, "tool_calls")
    with Upstream([calling]) as server, gate(server) as gateway, at(gateway, openai.OpenAI) as client:
        if stream:
            with client.responses.stream(model="tiny", input=ASKED, tools=tools) as found:
                got = found.get_final_response()
        else:
            got = client.responses.create(model="tiny", input=ASKED, tools=tools)
        (called,) = got.output
        assert (called.type, called.name, json.loads(called.arguments)) == (
            "function_call",
            "weather",
            {"city": "Bern"},
        )
        output = {"type": "function_call_output", "call_id": called.call_id, "output": "rain"}
        client.responses.create(model="tiny", input=[*ASKED, called, output], tools=tools)
    assert [one["role"] for one in server.bodies[-1]["messages"]] == ["user", "assistant", "tool"]
    assert server.bodies[-1]["messages"][1]["tool_calls"] == [call(text)]


def test_what_openais_client_makes_of_errors(openai):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        with at(gateway, openai.OpenAI) as client:
            with pytest.raises(openai.BadRequestError, match="earlier items") as caught:
                client.responses.create(model="tiny", input="?", previous_response_id="resp_1")
            assert caught.value.param == "previous_response_id"
            with pytest.raises(openai.NotFoundError, match="stores no responses"):
                client.responses.retrieve("resp_1")
            server.texts.append(broken(server))
            with pytest.raises(openai.APIError, match="broke off"):
                list(client.responses.create(model="tiny", input="?", stream=True))
        with openai.OpenAI(base_url=gateway.url, api_key="wrong") as client, pytest.raises(openai.AuthenticationError):
            client.responses.create(model="tiny", input="?")


# ---------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize("policy", [Always(Vote(3)), Always(One())])
def test_anthropic_messages(anthropic, policy):
    n = policy.action.samples
    asked = {"model": "tiny", "max_tokens": 50, "messages": ASKED}
    with Upstream() as server, gate(server, policy) as gateway, at(gateway, anthropic.Anthropic) as client:
        raw = client.messages.with_raw_response.create(**asked, system="Be brief.")
        assert raw.headers["x-tcalloc-samples"] == str(n)
        got = raw.parse()
        assert (got.content[0].text, got.stop_reason) == (PLAIN, "end_turn")
        usage = got.usage
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (8 * n, 2 * n, 7 * n)
        with client.messages.stream(**asked) as stream:
            text, last = "".join(stream.text_stream), stream.get_final_message()
        assert text == last.content[0].text
        assert text.strip() == PLAIN
        assert last.usage == usage
        types = [one.type for one in client.messages.create(**asked, stream=True)]
        assert (types[0], types[-1]) == ("message_start", "message_stop")
        later = [*ASKED, {"role": "assistant", "content": got.content}, {"role": "user", "content": "Sure?"}]
        client.messages.create(**asked | {"messages": later})
        assert [one.id for one in client.models.list()] == ["tiny"]
    assert server.bodies[-1]["messages"][1] == {"role": "assistant", "content": PLAIN}


def test_anthropic_messages_asynchronously(anthropic):
    asked = {"model": "tiny", "max_tokens": 50, "messages": ASKED}

    async def talk(client):
        async with client:
            got = await asyncio.gather(*(client.messages.create(**asked) for _ in range(5)))
            async with client.messages.stream(**asked) as stream:
                return [one.content[0].text for one in got], await stream.get_final_text()

    with Upstream() as server, gate(server) as gateway:
        got, last = asyncio.run(talk(at(gateway, anthropic.AsyncAnthropic)))
    assert {*got, last} == {PLAIN}


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_messages_with_tools(anthropic, stream):
    text = '{"city": "Bern"}'
    asked = {"model": "tiny", "max_tokens": 50, "tools": [{"name": "weather", "input_schema": SCHEMA}]}
    if stream:
        deltas = [{"content": "I ask."}, {"tool_calls": [call("", index=0)]}, more(text[:5], 0), more(text[5:], 0)]
        calling = streamed(deltas, "tool_calls")
    else:
        calling = whole({"content": "I ask.", "tool_calls": [call(text)]}, "tool_calls")
    with Upstream([calling]) as server, gate(server) as gateway, at(gateway, anthropic.Anthropic) as client:
        if stream:
            with client.messages.stream(**asked, messages=ASKED) as found:
                got = found.get_final_message()
        else:
            got = client.messages.create(**asked, messages=ASKED)
        assert got.stop_reason == "tool_use"
        said, called = got.content
        assert (said.text, called.name, called.input) == ("I ask.", "weather", {"city": "Bern"})
        result = {"type": "tool_result", "tool_use_id": called.id, "content": "rain"}
        later = [*ASKED, {"role": "assistant", "content": got.content}, {"role": "user", "content": [result]}]
        client.messages.create(**asked, messages=later)
    assert server.bodies[-1]["messages"][1] == {"role": "assistant", "content": "I ask.", "tool_calls": [call(text)]}
    assert server.bodies[-1]["messages"][2] == {"role": "tool", "tool_call_id": "c1", "content": "rain"}


def test_what_anthropics_client_makes_of_errors(anthropic):
    asked = {"model": "tiny", "max_tokens": 50, "messages": ASKED}
    with Upstream() as server, gate(server, Always(One())) as gateway:
        with at(gateway, anthropic.Anthropic) as client:
            with pytest.raises(anthropic.BadRequestError, match="at least one"):
                client.messages.create(**asked | {"messages": []})
            with pytest.raises(anthropic.NotFoundError, match="counts no tokens"):
                client.messages.count_tokens(model="tiny", messages=ASKED)
            server.texts.append(broken(server))
            with pytest.raises(anthropic.APIError, match="broke off"):
                list(client.messages.create(**asked, stream=True))
        root = gateway.url.removesuffix("/v1")
        with (
            anthropic.Anthropic(base_url=root, api_key="wrong") as client,
            pytest.raises(anthropic.AuthenticationError),
        ):
            client.messages.create(**asked)


# ---------------------------------------------------------------------------------------------- all


def ask_openai(module, gateway):
    with at(gateway, module.OpenAI) as client:
        client.responses.create(model="tiny", input="?")


def ask_anthropic(module, gateway):
    with at(gateway, module.Anthropic) as client:
        client.messages.create(model="tiny", max_tokens=50, messages=ASKED)


@pytest.mark.parametrize(("name", "ask"), [("openai", ask_openai), ("anthropic", ask_anthropic)])
def test_a_client_does_not_ask_again_for_money_that_is_spent(name, ask, request):
    module = request.getfixturevalue(name)
    keeper = BudgetKeeper(total=1e-6, unit="usd")
    paid = {"keeper": keeper, "rates": Rates.per_million(1.0, 2.0), "sending": Sending(max_tokens=50)}
    with Upstream() as server, gate(server, **paid) as gateway:
        with pytest.raises(module.RateLimitError, match="the budget is spent"):
            ask(module, gateway)
        page = send(gateway.url, "GET", "/metrics", None, {"x-api-key": KEY}).data.decode()
    assert 'tcalloc_requests_total{outcome="refused"} 1\n' in page
    assert not server.bodies


@pytest.mark.skipif(os.environ.get("TCALLOC_TEST_LOCAL") != "1", reason="TCALLOC_TEST_LOCAL=1 runs the local model")
def test_a_real_model_behind_both_clients(openai, anthropic):
    from tcalloc.llm.local import serve

    asked = {"model": "smollm2", "max_tokens": 24, "messages": ASKED}
    with serve(slots=4, threads=1) as model, gate(SimpleNamespace(url=model.base_url)) as gateway:
        with at(gateway, anthropic.Anthropic) as client:
            got = client.messages.create(**asked)
            with client.messages.stream(**asked, extra_headers={"x-tcalloc-extract": "none"}) as stream:
                pieces = list(stream.text_stream)
                plain = stream.get_final_message()
        with at(gateway, openai.OpenAI) as client:
            response = client.responses.create(model="smollm2", input=ASKED, max_output_tokens=24)
            chat = client.chat.completions.create(**asked)
    assert {len(got.content), len(response.output), len(chat.choices)} == {1}
    assert got.stop_reason in ("end_turn", "max_tokens")
    assert 1 <= plain.usage.output_tokens <= 24
    assert "".join(pieces) == plain.content[0].text
    prompts = got.usage.input_tokens + got.usage.cache_read_input_tokens
    assert prompts == response.usage.input_tokens == chat.usage.prompt_tokens  # of three samples each
    assert prompts == 3 * (plain.usage.input_tokens + plain.usage.cache_read_input_tokens)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_curl(form, stream):
    curl = shutil.which("curl") or pytest.skip("no curl")
    body = json.dumps(form.body("6 + 1?", stream=stream, max_tokens=50))
    with Upstream(VOTED) as server, gate(server) as gateway:
        url = gateway.url.removesuffix("/v1") + form.path
        sent = [curl, "-sSi", url, "-H", "Content-Type: application/json", "-d", body]
        refused = subprocess.run(sent, capture_output=True, text=True, timeout=20).stdout
        sent += ["-H", f"x-api-key: {KEY}"]
        answered = subprocess.run(sent, capture_output=True, text=True, timeout=20).stdout
    assert refused.startswith("HTTP/1.1 401")
    assert answered.startswith("HTTP/1.1 200")
    assert "x-tcalloc-vote-share: 0.6667" in answered
    assert "7." in answered.partition("\n\n")[2]

"""No body whatever brings a failure of the gateway to light: all are answered, or refused in words of ours."""

import json
from collections import Counter

import pytest
from aiohttp import web
from gateway_client import send
from gateway_forms import CHAT, FORMS, MESSAGES, RESPONSES
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_documents import ODD, changed, places
from upstreams import Upstream, call, document

from tcalloc.learn.protocol import Always
from tcalloc.llm.http.keys import Key
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.server import Gateway

SECRET = "sk-planted-0123456789abcdef"
# Bodies with all that a form knows.
FULL = {
    CHAT: {
        "model": "tiny", "stream": False, "n": 1, "seed": 3, "max_tokens": 5, "stop": ["END"],
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [call("{}")]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "user", "content": [{"type": "text", "text": "1+1"}]}],
    },
    MESSAGES: {
        "model": "tiny", "stream": False, "max_tokens": 5, "stop_sequences": ["END"], "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "Be brief."}], "thinking": {"type": "enabled"}, "service_tier": "auto",
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}}, "mcp_servers": None,
        "tools": [{"name": "f", "input_schema": {}, "strict": True}], "tool_choice": {"type": "tool", "name": "f"},
        "messages": [
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}},
                {"type": "document", "title": "a", "source": {"type": "text", "data": "b"}}]},
            {"role": "user", "content": "1+1"}],
    },
    RESPONSES: {
        "model": "tiny", "stream": False, "instructions": "Be brief.", "max_output_tokens": 5, "metadata": {"a": "b"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}, "verbosity": "low"}, "store": False,
        "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "truncation": "disabled",
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": {"type": "function", "name": "f"},
        "input": [
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "output_text", "text": "rain"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, {"type": "reasoning"},
            {"role": "user", "content": [
                {"type": "input_image", "image_url": "data:", "detail": "low"},
                {"type": "input_file", "file_data": "data:", "filename": "a"}]},
            {"role": "user", "content": "1+1"}],
    },
}  # fmt: skip


async def saying_it(request, body):
    """Say the key, in the way that was asked for."""
    text = f"It is {request.headers['Authorization']} 42."
    if body.get("stream"):
        return await SERVER.stream(request, body, text)
    return web.json_response(document(body, text))


SERVER = Upstream(default=saying_it)


@pytest.fixture(scope="module")
def gateway():
    with SERVER, Gateway(SERVER.url, Always(Vote(2)), port=0, key=Key(SECRET, "127.0.0.1")) as gateway:
        yield gateway


def check(form, got):
    """A refusal or an answer; nothing of the gateway's inside, and no key."""
    if got.status != 200:
        assert got.status == 400, got.data
        assert form.error(got)["message"].endswith(".")
    words = (b"Traceback", b"Error(", b"object is not", b"has no attribute", b"codec", b"recursion", SECRET.encode())
    assert not any(word in got.data for word in words), got.data


@settings(max_examples=100)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(ODD)), min_size=1, max_size=3),
    dropped=st.none() | st.integers(0, 1000), stream=st.booleans(),
)  # fmt: skip
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_bodies_that_are_nearly_right(gateway, form, changes, dropped, stream):
    body = FULL[form] | {"stream": stream}
    for at, value in [*changes, *([] if dropped is None else [(dropped, ...)])]:
        if found := list(places(body)):
            body = changed(body, found[at % len(found)], value)
    check(form, send(gateway.url, "POST", form.path, json.dumps(body).encode()))


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_every_odd_value_in_every_place(gateway, form):
    statuses = Counter()
    for place in places(FULL[form]):
        for value in [*ODD, ...]:
            got = send(gateway.url, "POST", form.path, json.dumps(changed(FULL[form], place, value)).encode())
            check(form, got)
            statuses[got.status] += 1
    assert min(statuses[200], statuses[400]) > 100  # both happen


@settings(max_examples=40)
@given(body=st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_bodies_that_are_anything(gateway, form, body):
    got = send(gateway.url, "POST", form.path, body)
    assert got.status == 400
    check(form, got)


@pytest.mark.parametrize("form", FORMS, ids=repr)
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("NaN", "the body is not JSON."),
        ("-Infinity", "the body is not JSON."),
        ("1e999", "a number in the body is too large; numbers are at most 1.8e308."),
        ("[-1e999]", "a number in the body is too large; numbers are at most 1.8e308."),
    ],
)
def test_what_json_has_no_numbers_for(gateway, form, word, message):
    text = json.dumps(form.body("1+1"))[:-1] + f', "temperature": {word}}}'
    got = send(gateway.url, "POST", form.path, text.encode())
    assert (got.status, form.error(got)["message"]) == (400, message)


@pytest.mark.parametrize("form", FORMS, ids=repr)
@pytest.mark.parametrize("depth", [100, 480, 900, 990, 2000])
def test_bodies_that_are_nested_deeply(gateway, form, depth):
    deep = "[" * depth + "]" * depth
    for name in ("tools", "metadata", "unknown"):
        text = json.dumps(form.body("1+1"))[:-1] + f', "{name}": {{"a": {deep}}}}}'
        check(form, send(gateway.url, "POST", form.path, text.encode()))

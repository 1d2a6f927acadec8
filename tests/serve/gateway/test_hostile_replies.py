"""Whatever the server sends, each form makes a document and a stream of it."""

import asyncio
import json
import math

import pytest
from aiohttp import web
from gateway_forms import CHAT, FORMS
from odd_documents import ODD, changed, places
from upstreams import Upstream, call

from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.forms.messages import MESSAGES
from tcalloc.serve.gateway.forms.responses import RESPONSES
from tcalloc.serve.gateway.requests import Reply
from tcalloc.serve.gateway.server import Gateway

MESSAGE = {
    "role": "assistant", "reasoning_content": "hm", "content": [{"type": "text", "text": "I ask."}], "refusal": "No.",
    "tool_calls": [call('{"a": 1}', index=0), call("[]", id="c2", index=1)],
}  # fmt: skip
WHOLE = {
    "id": "chatcmpl-1", "created": 1, "model": "tiny",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop", "stop_reason": "END"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
ASKED = {"thinking": {"type": "enabled"}, "reasoning": {}, "stop_sequences": ["END"]}
TYPES = {MESSAGES: ("message_start", "message_stop"), RESPONSES: ("response.created", "response.completed")}


def streamed(form, chunks):
    async def pieces():
        for chunk in chunks:
            yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
        yield b"data: not json\n\ndata: 5\n\ndata: [DONE]\n\n"

    async def read():
        reply = form.reply(ASKED, Reply(200, None, {}, pieces()))
        return b"".join([piece async for piece in reply.stream])

    lines = asyncio.run(read()).decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("form", TYPES, ids=["messages", "responses"])
def test_every_odd_value_in_every_place(form):
    first, last = TYPES[form]
    for place in places(WHOLE):
        for value in [*ODD, ...]:
            odd = changed(WHOLE, place, value)
            document = form.reply(ASKED, Reply(200, odd, {})).document
            assert document["usage"]["output_tokens"] in range(20)
            json.dumps(document)
            chunk = changed(odd, ("object",), "chat.completion.chunk")
            found = streamed(form, [chunk, chunk])
            ended = [data["type"] for data in found]
            assert (ended[0], ended[-1]) == (first, last)


@pytest.mark.parametrize("form", TYPES, ids=["messages", "responses"])
def test_the_document_and_the_stream_say_the_same(form):
    document = form.reply(ASKED, Reply(200, WHOLE, {})).document
    halves = [
        {"choices": [{"delta": {key: value}}]} | {"id": "chatcmpl-1", "created": 1, "model": "tiny"}
        for key, value in MESSAGE.items()
    ]
    found = streamed(form, [*halves, WHOLE | {"choices": [WHOLE["choices"][0] | {"message": {}}]}])
    if form is RESPONSES:
        assert found[-1]["response"] == document
        return
    blocks = [data["content_block"] for data in found if data["type"] == "content_block_start"]
    for data in found:
        if data["type"] == "content_block_delta":
            (value,) = (one for name, one in data["delta"].items() if name != "type")
            blocks[data["index"]]["said"] = blocks[data["index"]].get("said", "") + value
    for block, shown in zip(blocks, document["content"], strict=True):
        text = shown.get("text") or shown.get("thinking")
        assert block["said"] == text if text else json.loads(block["said"]) in (shown["input"], [])
        assert block["type"] == shown["type"]
    ended = found[-2]
    assert (ended["delta"]["stop_reason"], ended["usage"]) == (document["stop_reason"], document["usage"])


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_numbers_that_json_does_not_have(form):
    """A server in Python may send them; what the client gets is JSON all the same."""

    async def odd(request, body):
        text = json.dumps(WHOLE | {"created": math.nan, "x": [-math.inf, 1.5]}).replace("1.5", "1.5, 1e999")
        return web.Response(body=text.encode(), content_type="application/json")

    def refuse(word):
        raise AssertionError(word)

    with Upstream(default=odd) as server, Gateway(server.url, Always(Vote(2)), port=0) as gateway:
        got = form.ask(gateway)
        found = json.loads(got.data, parse_constant=refuse)
        streamed = form.ask(gateway, stream=True)
    assert got.status == 200
    if form is CHAT:
        assert (found["created"], found["x"]) == (None, [None, 1.5, None])
    for line in streamed.data.decode().split("\n"):
        if line.startswith("data: {"):
            json.loads(line[6:], parse_constant=refuse)

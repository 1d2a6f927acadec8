"""Anthropic's form: what a body of messages becomes for the server, and a completion as a message and as its events."""

import pytest
from gateway_forms import MESSAGES, events
from upstreams import Upstream, call, more, streamed, whole

from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.server import Gateway

TOOL = {
    "name": "weather",
    "description": "Of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}


def gate(server, policy):
    return Gateway(server.url, policy, port=0)


def test_a_whole_conversation():
    conversation = [
        {"role": "user", "content": [{"type": "text", "text": "Look:", "cache_control": {"type": "ephemeral"}}, PNG]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "I ask."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}},
            {"type": "tool_use", "id": "c2", "name": "weather", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "c2", "is_error": True},
            {"type": "text", "text": "and now?"},
            {"type": "document", "title": "a.pdf",
             "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}]},
    ]  # fmt: skip
    with Upstream() as server, gate(server, Always(Vote(3))) as gateway:
        got = MESSAGES.ask(
            gateway, messages=conversation, max_tokens=99, stop_sequences=["END"], tools=[TOOL | {"strict": True}],
            system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True}, metadata={"user_id": "u1", "more": "x"},
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            thinking={"type": "enabled", "budget_tokens": 1024}, service_tier="standard_only",
            cache_control={"type": "ephemeral"},
        )  # fmt: skip
    assert got.status == 200
    assert (got.headers["x-tcalloc-reason"], got.headers["x-tcalloc-samples"]) == ("tools", "1")
    (body,) = server.bodies
    assert body.pop("messages") == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}]},
        {"role": "assistant", "content": "I ask.", "tool_calls": [call('{"city": "Bern"}'), call("{}", id="c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": [
            {"type": "text", "text": "and now?"},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "text", "text": "plain"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    ]  # fmt: skip
    function = {"name": "weather", "description": "Of a city", "parameters": TOOL["input_schema"], "strict": True}
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert body == {
        "model": "tiny", "max_tokens": 99, "stop": ["END"], "tools": [{"type": "function", "function": function}],
        "tool_choice": "required", "parallel_tool_calls": False, "user": "u1", "metadata": {"more": "x"},
        "reasoning_effort": "low", "response_format": {"type": "json_schema", "json_schema": schema},
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "service_tier": "default",
    }  # fmt: skip


def test_a_text_and_one_block_of_it_are_the_same():
    with Upstream() as server, gate(server, Always(Vote(2))) as gateway:
        MESSAGES.ask(gateway, "6 * 7?", system="Be brief.")
        block = [{"type": "text", "text": "6 * 7?"}]
        got = MESSAGES.ask(
            gateway, messages=[{"role": "user", "content": block}], system=[{"type": "text", "text": "Be brief."}]
        )
    assert got.headers["x-tcalloc-samples"] == "2"
    assert server.bodies[0] == server.bodies[3]
    assert server.bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_only_what_a_tool_returned_is_no_message_of_the_user():
    returned = [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]
    with Upstream() as server, gate(server, Always(One())) as gateway:
        MESSAGES.ask(gateway, messages=[{"role": "user", "content": returned}])
    assert server.bodies[0]["messages"] == [{"role": "tool", "tool_call_id": "c1", "content": "rain"}]


@pytest.mark.parametrize(
    ("choice", "for_server"),
    [
        ({"type": "auto"}, "auto"), ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)  # fmt: skip
def test_the_choice_of_a_tool(choice, for_server):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        MESSAGES.ask(gateway, tools=[TOOL], tool_choice=choice)
    assert server.bodies[0]["tool_choice"] == for_server


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])  # some servers say stop
def test_a_call_of_tools(finish):
    calls = [call('{"city": "Bern"}'), call("no object", "clock", "c2")]
    message = {"content": "I ask.", "tool_calls": calls}
    with Upstream([whole(message, finish)]) as server, gate(server, Always(One())) as gateway:
        got = MESSAGES.ask(gateway, tools=[TOOL]).json
    assert got["content"] == [
        {"type": "text", "text": "I ask."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "c2", "name": "clock", "input": {"arguments": "no object"}},
    ]
    assert got["stop_reason"] == "tool_use"


def test_the_events_of_a_stream():
    deltas = [
        {"role": "assistant", "reasoning_content": "I think"}, {"reasoning_content": " so."}, {"content": "I "},
        {"content": "ask."}, {"tool_calls": [call("", index=0)]}, more('{"city":', 0), more(' "Bern"}', 0),
        {"tool_calls": [call("{}", "clock", "c2", index=1)]},
    ]  # fmt: skip
    with Upstream([streamed(deltas, "tool_calls")] * 2) as server, gate(server, Always(Vote(3))) as gateway:
        found = events(MESSAGES.ask(gateway, tools=[TOOL], stream=True, thinking={"type": "enabled"}))
        plain = events(MESSAGES.ask(gateway, tools=[TOOL], stream=True))
    assert [name for name, _ in found] == [
        "message_start",
        *["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"] * 3,
        "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    start = found[0][1]["message"]
    assert (start["id"], start["model"], start["content"], start["stop_reason"]) == ("msg_7", "tiny", [], None)
    blocks = [data["content_block"] for name, data in found if name == "content_block_start"]
    assert blocks == [
        {"type": "thinking", "thinking": "", "signature": ""}, {"type": "text", "text": ""},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
        {"type": "tool_use", "id": "c2", "name": "clock", "input": {}},
    ]  # fmt: skip
    pieces = [(data["index"], data["delta"]) for name, data in found if name == "content_block_delta"]
    assert pieces == [
        (0, {"type": "thinking_delta", "thinking": "I think"}), (0, {"type": "thinking_delta", "thinking": " so."}),
        (1, {"type": "text_delta", "text": "I "}), (1, {"type": "text_delta", "text": "ask."}),
        (2, {"type": "input_json_delta", "partial_json": '{"city":'}),
        (2, {"type": "input_json_delta", "partial_json": ' "Bern"}'}),
        (3, {"type": "input_json_delta", "partial_json": "{}"}),
    ]  # fmt: skip
    assert found[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    usage = {"input_tokens": 8, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 2, "output_tokens": 7}
    assert found[-2][1]["usage"] == usage
    assert "thinking" not in str(plain)  # it was not asked for


@pytest.mark.parametrize("ids", ["c{}", ""])
def test_calls_that_all_have_one_number(ids):
    deltas = [{"tool_calls": [call(f'{{"a": {i}}}', f"f{i}", ids.format(i), 0 if ids else i)]} for i in range(3)]
    with Upstream([streamed(deltas)]) as server, gate(server, Always(One())) as gateway:
        found = events(MESSAGES.ask(gateway, tools=[TOOL], stream=True))
    started = [data["content_block"] for name, data in found if name == "content_block_start"]
    assert [block["name"] for block in started] == ["f0", "f1", "f2"]
    assert len({block["id"] for block in started}) == 3
    pieces = [(data["index"], data["delta"]["partial_json"]) for name, data in found if name == "content_block_delta"]
    assert pieces == [(i, f'{{"a": {i}}}') for i in range(3)]


@pytest.mark.parametrize(
    ("message", "choice", "expected"),
    [
        ({"content": "a"}, {"stop_reason": "END"}, ("stop_sequence", "END")),  # as vLLM says it
        ({"content": "a"}, {"stop_reason": "another"}, ("end_turn", None)),
        ({"content": "a"}, {"stop_reason": 128001}, ("end_turn", None)),
        ({"content": "a"}, {"finish_reason": "content_filter"}, ("refusal", None)),
        ({"refusal": "I cannot."}, {}, ("refusal", None)),
        ({"content": "a"}, {"finish_reason": None}, ("end_turn", None)),
        ({"content": None}, {}, ("end_turn", None)),
    ],
)
def test_why_it_ended(message, choice, expected):
    with Upstream([whole(message, **choice)]) as server, gate(server, Always(One())) as gateway:
        got = MESSAGES.ask(gateway, stop_sequences=["END"]).json
    assert (got["stop_reason"], got["stop_sequence"]) == expected
    text = message.get("content") or message.get("refusal") or ""
    assert got["content"] == [{"type": "text", "text": text}]


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": []}, "messages", "at least one"),
        ({"messages": None}, "messages", "a list"),
        ({"messages": ["x"]}, "messages[0]", "an object"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "user, assistant, system"),
        ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "messages[0].content[0].type", "document"),
        ({"messages": [{"role": "user", "content": [PNG | {"source": {"type": "file", "file_id": "f"}}]}]},
         "messages[0].content[0].source.type", "keeps no files"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]}, "messages[0].content[0].type", "text"),
        ({"system": 5}, "system", "a text or a list"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type", "input_schema"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "an object"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type", "auto, any, tool, none"),
        ({"mcp_servers": [{}]}, "mcp_servers", "Call them in the client"),
        ({"container": "c"}, "container", "Leave it out"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id", "a text"),
        ({"stop_sequences": "END"}, "stop_sequences", "a list"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type", "json_schema"),
        ({"n": 2}, "n", "one answer"),
        ({"max_tokens": 0}, None, "'max_tokens'"),
        ({"model": None}, None, "'model'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_name(fields, param, said):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        got = MESSAGES.ask(gateway, **fields)
    assert got.status == 400
    error = MESSAGES.error(got)
    assert (error["type"], error.get("param")) == ("invalid_request_error", param)
    assert said in error["message"]
    assert param is None or f"'{param}'" in error["message"]
    assert not server.bodies

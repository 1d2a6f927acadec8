"""OpenAI's form of responses: what a body becomes for the server, and a completion as a response and as its events."""

import pytest
from gateway_forms import RESPONSES, events
from upstreams import Upstream, call, more, streamed, whole

from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.server import Gateway

FUNCTION = {"name": "weather", "description": "Of a city", "parameters": {"type": "object"}, "strict": True}
TOOL = {"type": "function"} | FUNCTION


def gate(server, policy):
    return Gateway(server.url, policy, port=0)


def test_a_whole_conversation():
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look:"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0=", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
         "content": [{"type": "output_text", "text": "I ask.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"city": "Bern"}'},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "and now?"},
    ]  # fmt: skip
    with Upstream() as server, gate(server, Always(Vote(3))) as gateway:
        got = RESPONSES.ask(
            gateway, input=items, instructions="Be brief.", max_output_tokens=99, tools=[TOOL],
            tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False, metadata={"a": "b"},
            reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"], store=False,
            text={"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": True}, "verbosity": "low"},
            truncation="disabled", user="u1", previous_response_id=None,
        )  # fmt: skip
    assert got.status == 200
    assert (got.headers["x-tcalloc-reason"], got.headers["x-tcalloc-samples"]) == ("tools", "1")
    (body,) = server.bodies
    assert body.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0=", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]},
        {"role": "assistant", "content": "I ask.", "tool_calls": [call('{"city": "Bern"}'), call("{}", id="c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": "sun"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "and now?"},
    ]  # fmt: skip
    schema = {"name": "s", "schema": {}, "strict": True}
    assert body == {
        "model": "tiny", "max_tokens": 99, "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": False,
        "reasoning_effort": "low", "response_format": {"type": "json_schema", "json_schema": schema},
        "verbosity": "low", "user": "u1",
    }  # fmt: skip
    shown = got.json
    assert (shown["instructions"], shown["max_output_tokens"], shown["metadata"]) == ("Be brief.", 99, {"a": "b"})
    assert (shown["tools"], shown["store"], shown["truncation"]) == ([TOOL], False, "disabled")


def test_calls_without_a_message_before_them():
    items = [
        {"role": "user", "content": "?"},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
    ]
    with Upstream() as server, gate(server, Always(One())) as gateway:
        RESPONSES.ask(gateway, input=items)
    assert [(one["role"], len(one.get("tool_calls", []))) for one in server.bodies[0]["messages"]] == [
        ("user", 0), ("assistant", 1), ("tool", 0), ("assistant", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("shape", ["text", "json_object"])
def test_the_format_of_a_text(shape):
    with Upstream() as server, gate(server, Always(Vote(2))) as gateway:
        got = RESPONSES.ask(gateway, text={"format": {"type": shape}})
    assert got.headers["x-tcalloc-samples"] == ("2" if shape == "text" else "1")
    assert server.bodies[0].get("response_format") == (None if shape == "text" else {"type": shape})


def test_a_text_and_a_list_with_it_are_the_same():
    with Upstream() as server, gate(server, Always(One())) as gateway:
        for given in ("?", [{"role": "user", "content": "?"}], [{"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "?"}]}]):  # fmt: skip
            RESPONSES.ask(gateway, given)
    assert server.bodies[0] == server.bodies[1] == server.bodies[2]


def test_parts_of_an_answer():
    message = {
        "reasoning_content": "hm", "content": "I ask.", "refusal": "No.",
        "tool_calls": [call('{"city": "Bern"}'), call({"a": 1}, "clock", "c2")],
    }  # fmt: skip
    with Upstream([whole(message, "tool_calls")] * 2) as server, gate(server, Always(One())) as gateway:
        got = RESPONSES.ask(gateway, tools=[TOOL], reasoning={}).json
        plain = RESPONSES.ask(gateway, tools=[TOOL]).json
    assert [item["type"] for item in plain["output"]] == ["message", "message", "function_call", "function_call"]
    assert [item["type"] for item in got["output"]] == ["reasoning", *(item["type"] for item in plain["output"])]
    assert got["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert plain["output"][0]["content"] == [
        {"type": "output_text", "text": "I ask.", "annotations": [], "logprobs": []}
    ]
    assert plain["output"][1]["content"] == [{"type": "refusal", "refusal": "No."}]
    first, second = plain["output"][2:]
    assert (first["call_id"], first["name"], first["arguments"]) == ("c1", "weather", '{"city": "Bern"}')
    assert (second["call_id"], second["name"], second["arguments"]) == ("c2", "clock", '{"a": 1}')
    assert plain["status"] == "completed"


@pytest.mark.parametrize("finish", ["stop", "length"])
def test_the_events_of_a_stream_make_the_response(finish):
    deltas = [
        {"role": "assistant", "reasoning": "I think"}, {"content": "I "}, {"content": "ask."},
        {"tool_calls": [call("", index=0)]}, more('{"city":', 0), more(' "Bern"}', 0), {"refusal": "No."},
    ]  # fmt: skip
    with Upstream([streamed(deltas, finish)]) as server, gate(server, Always(Vote(3))) as gateway:
        got = RESPONSES.ask(gateway, tools=[TOOL], stream=True, reasoning={"effort": "low"})
    found = events(got)

    def item(kind, pieces):
        inside = ["response.content_part.added"] if kind != "function_call_arguments" else []
        done = ["response.content_part.done"] if inside else []
        text = [f"response.{kind}.delta"] * pieces + [f"response.{kind}.done"]
        return ["response.output_item.added", *inside, *text, *done, "response.output_item.done"]

    status = "incomplete" if finish == "length" else "completed"
    assert [name for name, _ in found] == [
        "response.created", "response.in_progress", *item("reasoning_text", 1), *item("output_text", 2),
        *item("function_call_arguments", 2), *item("refusal", 1), f"response.{status}",
    ]  # fmt: skip
    whole = found[-1][1]["response"]
    assert (whole["id"], whole["status"]) == ("resp_7", status)
    done = [data["item"] for name, data in found if name == "response.output_item.done"]
    assert done == whole["output"]
    assert [one["status"] for one in done] == ["completed"] * 3 + [status]
    assert RESPONSES.streamed(got) == "I ask."
    for place, output in enumerate(whole["output"]):  # the pieces make what the end shows
        pieces = "".join(
            data["delta"] for name, data in found if name.endswith(".delta") and data["output_index"] == place
        )
        inner = output.get("content", [{"text": output.get("arguments")}])[0]
        assert pieces == (inner.get("text") or inner.get("refusal"))
        assert all(data["item_id"] == output["id"] for _, data in found if data.get("output_index") == place
                   and "item_id" in data)  # fmt: skip
    assert whole["usage"]["total_tokens"] == 17


def test_pieces_of_a_call_that_come_late():
    deltas = [
        {"tool_calls": [call('{"a":', "f", "c1", 0)]}, {"tool_calls": [call("{}", "g", "c2", 1)]}, more(" 1}", 0),
    ]  # fmt: skip
    with Upstream([streamed(deltas)]) as server, gate(server, Always(One())) as gateway:
        found = events(RESPONSES.ask(gateway, tools=[TOOL], stream=True))
    assert [item["arguments"] for item in found[-1][1]["response"]["output"]] == ['{"a": 1}', "{}"]


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"input": None}, "input", "a text, or a list"),
        ({"input": []}, "input", "at least one"),
        ({"input": [5]}, "input[0]", "an object"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "function_call_output"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
         "input[0].content[0].file_id", "keeps no files"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]},
         "input[0].content[0].file_data", "a text"),
        ({"input": [{"role": "user"}]}, "input[0].content", "a text or a list"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name", "a text"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "earlier items in 'input'"),
        ({"conversation": "c"}, "conversation", "earlier items in 'input'"),
        ({"store": True}, "store", '"store": false'),
        ({"background": True}, "background", "stream"),
        ({"prompt": {"id": "p"}}, "prompt", "instructions"),
        ({"truncation": "auto"}, "truncation", "disabled"),
        ({"top_logprobs": 3}, "top_logprobs", "/v1/chat/completions"),
        ({"include": ["message.output_text.logprobs"]}, "include", "/v1/chat/completions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
        ({"tool_choice": "some"}, "tool_choice", "none, auto, required"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type", "function"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
        ({"reasoning": "low"}, "reasoning", "an object"),
        ({"metadata": []}, "metadata", "an object"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"n": 2}, "n", "one answer"),
        ({"model": ""}, None, "'model'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_name(fields, param, said):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        got = RESPONSES.ask(gateway, **fields)
    assert got.status == 400
    error = RESPONSES.error(got)
    assert (error["type"], error.get("param")) == ("invalid_request_error", param)
    assert said in error["message"]
    assert param is None or f"'{param}'" in error["message"]
    assert not server.bodies

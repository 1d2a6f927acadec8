"""What a client of the gateway gets: votes, plain samples, streams; and what the server behind it is asked."""

import pytest
from answering_cases import Agree
from upstreams import Upstream, document

from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway


def gate(server, policy, **options):
    return Gateway(server.url, policy, port=0, **options)


def test_the_winner_of_a_vote_comes_with_the_usage_of_all(ask):
    with Upstream(["It is 5.", "It is 7.", "So 7."]) as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway, temperature=0.3, top_k=5, seed=9, metadata={"a": [1]})
    assert got.status == 200
    assert got.text in ("It is 7.", "So 7.")
    assert got.json["system_fingerprint"] == "fp_1"
    usage = {"prompt_tokens": 30, "completion_tokens": 21, "total_tokens": 51}
    assert got.json["usage"] == usage | {"prompt_tokens_details": {"cached_tokens": 6}}
    assert len(got.json["choices"]) == 1
    told = {name: got.headers[f"x-tcalloc-{name}"] for name in ("action", "samples", "spend", "vote-share", "reason")}
    assert told == {"action": "vote3", "samples": "3", "spend": "3", "vote-share": "0.6667", "reason": "policy"}
    assert all(body["top_k"] == 5 and body["metadata"] == {"a": [1]} for body in server.bodies)
    assert len({body["seed"] for body in server.bodies}) == 3  # one seed for all would be one sample
    assert all("n" not in body and "stream" not in body for body in server.bodies)


def test_a_policy_that_stops_while_sampling(ask):
    with Upstream(["5", "7", "9", "7", "8"]) as server, gate(server, Agree()) as gateway:
        got = ask(gateway)
    assert got.text == "7"
    assert got.headers["x-tcalloc-samples"] == "4" == str(len(server.bodies))


def test_cancellation_in_flight(ask):
    async def slow(request, body):
        return await server.stream(request, body, "one two three four five 5")

    with (
        Upstream(["7", "7", slow], pause=0.3) as server,
        gate(server, Always(Vote(3)), sending=Sending(cancel=True)) as gateway,
    ):
        got = ask(gateway)
    assert got.text.strip() == "7"
    assert server.cut == 1
    assert got.headers["x-tcalloc-samples"] == "2"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
         "parts that are no text"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, "no text"),
    ],
)  # fmt: skip
def test_what_cannot_be_voted_on_is_passed_on_once(ask, fields, reason):
    with Upstream() as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway, **fields)
    assert got.status == 200
    assert len(server.bodies) == 1
    assert {key: server.bodies[0][key] for key in fields} == fields
    assert got.headers["x-tcalloc-reason"] == reason
    assert len(got.json["choices"]) == fields.get("n", 1) == int(got.headers["x-tcalloc-samples"])


def test_calls_of_tools_come_through(ask):
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}

    async def calling(request, body):
        from aiohttp import web

        whole = document(body, None)
        whole["choices"][0]["message"]["tool_calls"] = [call]
        return web.json_response(whole)

    with Upstream([calling, calling]) as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway, tools=[{"type": "function", "function": {"name": "f"}}])
        streamed = ask(gateway, tools=[{"type": "function", "function": {"name": "f"}}], stream=True)
    assert got.json["choices"][0]["message"]["tool_calls"] == [call]
    assert streamed.chunks[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]


def test_prose_ends_after_the_first_draw(ask):
    with Upstream(default="A poem about spring.") as server, gate(server, Agree()) as gateway:
        got = ask(gateway, "Write a poem.")
    assert (got.text, got.headers["x-tcalloc-reason"]) == ("A poem about spring.", "no answer found")
    assert len(server.bodies) == 1


def test_the_extractor_of_a_request(ask):
    texts = ["The answer is (B) of 3", "The answer is (C) of 3", "The answer is (B) of 4"]
    with Upstream(texts + texts[:1]) as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway, headers={"x-tcalloc-extract": "choice"})
        plain = ask(gateway, headers={"x-tcalloc-extract": "none"})
        wrong = ask(gateway, headers={"x-tcalloc-extract": "python:os:system"})
    assert "(B)" in got.text
    assert got.headers["x-tcalloc-vote-share"] == "0.6667"
    assert plain.headers["x-tcalloc-samples"] == "1"
    assert wrong.status == 400
    assert len(server.bodies) == 4


def test_chunks_of_one_sample_pass_at_once(ask, get):
    import http.client
    import json
    import time
    from urllib.parse import urlsplit

    with Upstream(default="one two three 3", pause=0.2) as server, gate(server, Always(One())) as gateway:
        where = urlsplit(gateway.url)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "?"}], "stream": True}
        started = time.monotonic()
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json; charset=utf-8"}
        )
        reply = connection.getresponse()
        line = reply.readline()
        first = time.monotonic() - started
        reply.read()
        whole = time.monotonic() - started
        connection.close()
        assert b"one" in line
        assert first < 0.5 * whole
        assert reply.getheader("x-tcalloc-reason") == "policy"
        usage = ask(gateway, stream=True, stream_options={"include_usage": True})
        none = ask(gateway, stream=True)
    assert usage.chunks[-1]["usage"]["completion_tokens"] == 7
    assert none.streamed == "one two three 3 "
    assert all("usage" not in chunk for chunk in none.chunks)  # but it was asked for, for the bill
    assert all(body["stream_options"] == {"include_usage": True} for body in server.bodies)


def test_the_winner_is_streamed(ask):
    with Upstream(["It is 5.", "It is 7.", "So 7."]) as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway, stream=True, stream_options={"include_usage": True})
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.streamed in ("It is 7.", "So 7.")
    assert got.chunks[-1]["usage"]["completion_tokens"] == 21
    assert got.chunks[0]["object"] == "chat.completion.chunk"
    assert got.chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert got.headers["x-tcalloc-samples"] == "3"


def test_models_and_health(get):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        assert get(gateway, "/v1/models").json["data"][0]["id"] == "tiny"
        assert get(gateway, "/health").json == {"status": "ok"}


def test_a_policy_that_chooses_between_models(ask):
    class Router:
        arms_ = ("small", "large")

        def start(self, x):
            action = Vote(3, model="large") if "hard" in x else Vote(1, model="small")
            return Always(action).start(x)

    with Upstream() as server, gate(server, Router()) as gateway:
        ask(gateway, "easy")
        ask(gateway, "hard")
        ask(gateway, "hard", tools=[{"type": "function", "function": {"name": "f"}}])
    assert [body["model"] for body in server.bodies] == ["small", "large", "large", "large", "large"]

"""What holds for every form: the same question gets the same answer at the same cost; faults, keys, lost clients."""

import http.client
import json
import logging
import time
from urllib.parse import urlsplit

import pytest
from answering_cases import Agree
from chaos import Chaos
from gateway_client import send
from gateway_forms import CHAT, FORMS, MESSAGES, RESPONSES, events
from upstreams import Upstream, refusal

from tcalloc import BudgetKeeper, PricedPolicy, Rates, Samples
from tcalloc.learn.protocol import Always
from tcalloc.llm.http.keys import Key
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import MOST_BYTES, Gateway

SECRET = "sk-planted-0123456789abcdef"
RATES = Rates.per_million(1.0, 2.0)

pytestmark = pytest.mark.parametrize("form", FORMS, ids=repr)


def gate(server, policy, **options):
    return Gateway(server.url, policy, port=0, **options)


def kept(server, policy, total=1.0, **options):
    keeper = BudgetKeeper(total=total, unit="usd")
    return keeper, gate(server, policy, keeper=keeper, rates=RATES, sending=Sending(max_tokens=50), **options)


def by_text():
    """A policy that decides by the text of the question."""
    import numpy as np

    rng = np.random.default_rng(0)
    codes = np.where(
        rng.random((60, 8)) < np.where(np.arange(60) % 2, 0.4, 0.98)[:, None], 0, rng.integers(1, 9, (60, 8))
    )
    samples = Samples(codes, cost=np.full((60, 8), 24e-6))
    texts = [f"What is {i} plus {'a very long and hard number' if i % 2 else i}?" for i in range(60)]
    return PricedPolicy().fit(texts, samples.table([One(), Vote(3), Vote(8)])), texts


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_question_gets_the_same_action_answer_and_spend(form, stream):
    policy, texts = by_text()
    seen = []
    for one in (CHAT, form):
        with Chaos() as server:  # its answers are a function of the prompt
            keeper, gateway = kept(server, policy)
            with gateway:
                got = [one.ask(gateway, text, stream=stream, max_tokens=50) for text in texts[:6]]
            assert [reply.status for reply in got] == [200] * 6
            asked = [
                {name: entry["body"].get(name) for name in ("messages", "max_tokens")} for entry in server.requests
            ]
            names = ("action", "samples", "spend", "vote-share", "reason")
            told = [[reply.headers.get(f"x-tcalloc-{name}") for name in names] for reply in got]
            read = one.streamed if stream else one.text
            seen.append((told, [read(reply) for reply in got], asked, keeper.status().spent))
    assert seen[0] == seen[1]
    assert len({told[0] for told in seen[0][0]}) > 1  # more than one action


@pytest.mark.parametrize(("policy", "samples"), [(Always(One()), 1), (Always(Vote(3)), 3)])
@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_of_all_samples(form, policy, samples, stream):
    options = {"stream_options": {"include_usage": True}} if stream and form is CHAT else {}
    with Upstream() as server, gate(server, policy) as gateway:
        got = form.ask(gateway, stream=stream, **options)
    document = got.json if not stream else next(
        data.get("response", data) for _, data in reversed(events(got)) if data.get("usage") or "response" in data
    )  # fmt: skip
    assert form.tokens(document) == (10 * samples, 2 * samples, 7 * samples)


@pytest.mark.parametrize("policy", [Always(One()), Always(Vote(2))])
@pytest.mark.parametrize("stream", [False, True])
def test_the_servers_own_error(form, policy, stream):
    refused = refusal(400, "context length exceeded", code="context_length_exceeded")
    with Upstream([refused] * 2) as server, gate(server, policy) as gateway:
        got = form.ask(gateway, stream=stream)
    assert got.status == 400
    assert form.error(got)["message"] == "context length exceeded"
    assert form.error(got)["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_error"), (402, "billing_error"), (403, "permission_error"), (404, "not_found_error"),
     (422, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error"), (503, "overloaded_error")],
)  # fmt: skip
def test_the_status_of_a_refusal(form, status, kind):
    refused = refusal(status, "said by the server", {"Retry-After": "0"})
    with Upstream(default=refused) as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway)
    assert got.status == status
    assert form.error(got)["message"] == "said by the server"
    assert got.headers["retry-after"] == "0"
    if form is MESSAGES:
        assert form.error(got)["type"] == kind


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_is_down(form, stream):
    with Chaos(default="html") as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway, stream=stream)
    assert got.status == 502
    assert form.error(got)["message"] == "the server's reply is no completion."
    assert not any(word in got.data for word in (b"Traceback", b"Error(", b"127.0.0.1"))


def test_a_budget_that_is_spent(form):
    with Upstream() as server:
        keeper, gateway = kept(server, Always(Vote(2)), total=0.0002)
        with gateway:
            got = form.ask(gateway)
    assert got.status == 429
    assert got.headers["x-should-retry"] == "false"
    assert form.error(got)["code"] == "insufficient_quota"
    assert not server.bodies
    assert keeper.status().open_grants == 0


def test_keys_pages_and_large_bodies_are_refused_in_the_form(form, monkeypatch):
    with Upstream() as server, gate(server, Always(One()), client_keys=["first-key"]) as gateway:
        assert form.ask(gateway, headers={"x-api-key": "first-key"}).status == 200
        assert form.ask(gateway, headers={"Authorization": "Bearer first-key"}).status == 200
        got = form.ask(gateway, headers={"x-api-key": "wrong-key"})
        assert (got.status, form.error(got)["code"]) == (401, "invalid_api_key")
    assert MOST_BYTES == 64 << 20
    monkeypatch.setattr("tcalloc.serve.gateway.server.MOST_BYTES", 1000)
    with Upstream() as server, gate(server, Always(One())) as gateway:
        refused = [
            form.ask(gateway, headers={"Content-Type": "text/plain"}),
            form.ask(gateway, headers={"Host": "evil.example"}),
            form.ask(gateway, "x" * 2000),
            form.ask(gateway, headers={"x-tcalloc-extract": "python:os:system"}),
            send(gateway.url, "POST", form.path, b"{"),
        ]
        assert [got.status for got in refused] == [415, 403, 413, 400, 400]
        assert all(form.error(got)["message"].endswith(".") for got in refused)
    assert not server.bodies


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", [Always(One()), Always(Vote(3))])
def test_a_client_that_leaves(form, stream, policy):
    with Upstream(default="one two three", pause=1.0) as server:
        keeper, gateway = kept(server, policy)
        with gateway:
            where = urlsplit(gateway.url)
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
            body = json.dumps(form.body("?", stream=stream))
            connection.request("POST", form.path, body, {"Content-Type": "application/json"})
            until = time.monotonic() + 10
            while len(server.bodies) < policy.action.samples and time.monotonic() < until:
                time.sleep(0.01)
            connection.close()
            while keeper.status().open_grants and time.monotonic() < until:
                time.sleep(0.01)
            status = keeper.status()
            page = send(gateway.url, "GET", "/metrics").data.decode()
    assert status.open_grants == 0
    assert 0 < status.spent <= policy.action.samples * 0.002  # nothing came; it may have been billed
    assert server.cut == policy.action.samples
    assert 'tcalloc_requests_total{outcome="cancelled"} 1' in page


def test_a_stream_that_breaks_off(form):
    async def breaking(request, body):
        return await server.stream(request, body, "one two", breaks=True)

    with Upstream([breaking]) as server:
        keeper, gateway = kept(server, Always(One()))
        with gateway:
            got = form.ask(gateway, stream=True)
        status = keeper.status()
    assert b"one " in got.data
    assert "broke off" in str(events(got)[-1])
    if form is not CHAT:
        assert events(got)[-1][0] == "error"
    assert not form.ended(got)
    assert len(server.bodies) == 1
    assert status.open_grants == 0
    assert status.spent > 0


def test_a_server_that_does_not_stream(form):
    with Chaos() as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway, "3+4", stream=True)
    assert "The answer is" in form.streamed(got)
    assert form.ended(got)


def test_signs_of_life_and_an_error_inside_a_stream(form):
    async def failing(request, body):
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": alive\n\n")
        chunk = {"id": "c", "model": "tiny", "choices": [{"index": 0, "delta": {"content": "one "}}]}
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n')
        await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "never"}}]}\n\n')
        return response

    with Upstream([failing]) as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway, stream=True)
    assert got.data.startswith(b":")
    said = [data for _, data in events(got)]
    assert any("out of memory" in str(data) for data in said)
    if form is not CHAT:
        assert events(got)[-1][0] == "error"
        assert b"never" not in got.data


def test_a_planted_key_appears_nowhere(form, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)

    async def saying_it(request, body):
        return await server.stream(request, body, "You sent " + request.headers["Authorization"])

    key = Key(SECRET, "127.0.0.1")
    pieces = []
    with Chaos(["bad-key", "echo", "echo", "status:500"], default="echo") as server:
        with gate(server, Always(Vote(2)), key=key, explore=1.0, store=tmp_path / "seen", store_texts=True) as gateway:
            pieces += [form.ask(gateway, "1+1", stream=stream) for stream in (False, False, True, False)]
        assert all(SECRET in one["headers"]["Authorization"] for one in server.requests)
    with Upstream([saying_it]) as server, gate(server, Always(One()), key=key) as gateway:
        pieces.append(form.ask(gateway, stream=True))
    said = "".join(got.data.decode() + str(got.headers) for got in pieces) + caplog.text
    said += "".join(path.read_text() for path in (tmp_path / "seen").iterdir())
    assert SECRET not in said
    assert "[key]" in said


def test_what_stands_below_a_form_is_refused(form):
    with Upstream() as server, gate(server, Always(One()), client_keys=["first-key"]) as gateway:
        for method, path in (("POST", "count_tokens"), ("GET", "resp_1"), ("DELETE", "resp_1")):
            if form is CHAT:
                continue
            got = send(gateway.url, method, f"{form.path}/{path}", None, {"x-api-key": "first-key"})
            assert got.status == 404
            assert "no" in form.error(got)["message"]
            assert send(gateway.url, method, f"{form.path}/{path}", None, {"x-api-key": "other"}).status == 401


IMAGES = {
    CHAT: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
    MESSAGES: {
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "data:x"}}]}]},
    RESPONSES: {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]}]},
}  # fmt: skip
SHAPE = {"type": "json_schema", "schema": {}}
FORMATS = {
    CHAT: {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}},
    MESSAGES: {"output_config": {"format": SHAPE}},
    RESPONSES: {"text": {"format": SHAPE | {"name": "answer"}}},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fields", "reason"), [(IMAGES, "parts that are no text"), (FORMATS, "response_format")])
def test_what_cannot_be_voted_on_is_passed_on_once(form, fields, reason, stream):
    with Upstream() as server, gate(server, Always(Vote(3))) as gateway:
        got = form.ask(gateway, stream=stream, **fields[form])
    assert got.status == 200
    assert got.headers["x-tcalloc-reason"] == reason
    (body,) = server.bodies
    assert all(body[name] == value for name, value in fields[CHAT].items())


def test_prose_and_a_part_of_the_samples(form):
    with Upstream(default="A poem about spring.") as server, gate(server, Agree()) as gateway:
        got = form.ask(gateway, "Write a poem.")
    assert (form.text(got), got.headers["x-tcalloc-reason"]) == ("A poem about spring.", "no answer found")
    with Upstream(["It is 7.", refusal(400), "So 7."]) as server, gate(server, Always(Vote(3))) as gateway:
        got = form.ask(gateway)
    assert (got.headers["x-tcalloc-samples"], got.headers["x-tcalloc-reason"]) == ("2", "incomplete")


def test_a_vote_is_taken_by_the_extractor_of_the_request(form):
    texts = ["The answer is (B) of 3", "The answer is (C) of 3", "The answer is (B) of 4"]
    with Upstream(texts + texts[:1]) as server, gate(server, Always(Vote(3))) as gateway:
        got = form.ask(gateway, headers={"x-tcalloc-extract": "choice"})
        plain = form.ask(gateway, headers={"x-tcalloc-extract": "none"})
    assert "(B)" in form.text(got)
    assert got.headers["x-tcalloc-vote-share"] == "0.6667"
    assert plain.headers["x-tcalloc-samples"] == "1"


def test_what_the_server_may_know_goes_there(form):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway, temperature=0.3, top_k=5, seed=9, min_p=0.1, chat_template_kwargs={"a": [1]})
    assert got.status == 200
    body = server.bodies[0]
    assert (body["temperature"], body["top_k"], body["seed"], body["min_p"]) == (0.3, 5, 9, 0.1)
    assert body["chat_template_kwargs"] == {"a": [1]}
    assert {"input", "system", "instructions", "stream_options"}.isdisjoint(body)


def test_an_answer_that_was_cut_off_by_its_length(form):
    with Chaos(default="length") as server, gate(server, Always(One())) as gateway:
        got = form.ask(gateway, "3+4").json
    if form is MESSAGES:
        assert got["stop_reason"] == "max_tokens"
    elif form is RESPONSES:
        assert (got["status"], got["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    else:
        assert got["choices"][0]["finish_reason"] == "length"

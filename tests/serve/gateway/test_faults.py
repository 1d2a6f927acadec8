"""Faults of the server, of the policy and of clients: what is told, what is sent again, and what is settled."""

import asyncio
import http.client
import json
import logging
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
from chaos import Chaos
from gateway_client import send
from upstreams import Upstream, refusal

from tcalloc import BudgetKeeper, Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, DecidedRun
from tcalloc.llm.http.keys import Key
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

SECRET = "sk-planted-0123456789abcdef"
RATES = Rates.per_million(1.0, 2.0)
SHOWN = ("/", "/status", "/status.html", "/metrics")


def gate(server, policy, **options):
    return Gateway(server.url, policy, port=0, **options)


def kept(server, policy, total=1.0, **options):
    keeper = BudgetKeeper(total=total, unit="usd")
    return keeper, gate(server, policy, keeper=keeper, rates=RATES, sending=Sending(max_tokens=50), **options)


@pytest.mark.parametrize("policy", [Always(One()), Always(Vote(2))])
@pytest.mark.parametrize("stream", [False, True])
def test_the_servers_own_error(ask, policy, stream):
    refused = refusal(400, "context length exceeded", code="context_length_exceeded")
    with Upstream([refused] * 2) as server, gate(server, policy) as gateway:
        got = ask(gateway, stream=stream)
    assert got.status == 400
    assert got.json == {"error": {"message": "context length exceeded", "code": "context_length_exceeded"}}


def test_a_busy_server_is_asked_again_and_then_told(ask):
    busy = refusal(429, "slow down", {"Retry-After": "0"})
    with Upstream([busy, "42", *[busy] * 3]) as server, gate(server, Always(One())) as gateway:
        assert ask(gateway).text == "42"
        got = ask(gateway)
    assert (got.status, got.headers["retry-after"]) == (429, "0")
    assert len(server.bodies) == 5


def test_what_came_is_voted_on_if_some_samples_fail(ask):
    refused = refusal(400, "no")
    with Upstream(["It is 7.", refused, "So 7."]) as server, gate(server, Always(Vote(3))) as gateway:
        got = ask(gateway)
    assert got.status == 200
    assert (got.headers["x-tcalloc-samples"], got.headers["x-tcalloc-reason"]) == ("2", "incomplete")


@pytest.mark.parametrize("fault", ["reset", "cut", "html", "truncated-json", "no-choices", "error-200", "status:500"])
def test_a_fault_costs_no_answer_and_says_nothing_of_ours(ask, fault):
    with Chaos([fault]) as server, gate(server, Always(Vote(1))) as gateway:
        assert "The answer is" in ask(gateway, "3+4").text
    with Chaos(default=fault) as server, gate(server, Always(One())) as gateway:
        got = ask(gateway, "3+4")
    assert got.status >= 500
    assert not any(word in got.data for word in (b"Traceback", b"Error(", b"127.0.0.1", b"aiohttp"))


@pytest.mark.parametrize("policy", [Always(One()), Always(Vote(2))])
def test_a_lost_reply_that_uses_up_the_grant_is_the_servers_fault(ask, policy):
    with Chaos(default="reset") as server:
        keeper, gateway = kept(server, policy)
        with gateway:
            got = ask(gateway, "3+4")
        spent = keeper.status().spent
    assert got.status == 502  # not 429: there is money for another request
    assert "x-should-retry" not in got.headers
    assert got.json["error"]["code"] == "upstream_error"
    assert spent > 0


def test_a_server_that_does_not_stream(ask):
    with Chaos() as server, gate(server, Always(One())) as gateway:
        got = ask(gateway, "3+4", stream=True)
    assert "The answer is" in got.streamed
    assert got.headers["x-tcalloc-samples"] == "1"


def test_a_stream_that_breaks_off(ask):
    async def breaking(request, body):
        return await server.stream(request, body, "one two", breaks=True)

    with Upstream([breaking]) as server, gate(server, Always(One())) as gateway:
        assert b"broke off" in ask(gateway, stream=True).data
    assert len(server.bodies) == 1
    with Upstream([breaking]) as server:
        keeper, gateway = kept(server, Always(One()))
        with gateway:
            got = ask(gateway, stream=True)
        status = keeper.status()
    assert b"one " in got.data
    assert b"broke off" in got.data
    assert b"[DONE]" not in got.data
    assert len(server.bodies) == 1  # the client has seen a part: no second answer follows it
    assert status.open_grants == 0
    assert status.spent > 0  # it may have been billed


class Failing:
    """Fails at the start, or after the first draw; works when it is tried before anything is served."""

    def __init__(self, late):
        self.late, self.tried = late, False

    def start(self, x):
        if not self.tried or self.late:
            self.tried = True
            return FailingRun(Vote(2))
        raise ValueError("a secret of the policy")


class FailingRun(DecidedRun):
    __slots__ = ()

    def add(self, results):
        raise RuntimeError("a secret of the policy")


@pytest.mark.parametrize("late", [False, True])
def test_a_policy_that_fails(ask, get, caplog, late):
    with Upstream() as server, gate(server, Failing(late)) as gateway:
        got = ask(gateway)
        assert 'tcalloc_fallbacks_total{reason="policy failed"} 1' in get(gateway, "/metrics").data.decode()
    assert got.text == "The answer is 42."
    assert got.headers["x-tcalloc-reason"] == "policy failed"
    assert len(server.bodies) == (2 if late else 1)  # what came is the answer
    assert "secret" not in got.data.decode() + str(got.headers) + caplog.text


def test_a_keeper_that_fails(ask, monkeypatch):
    with Upstream() as server:
        keeper, gateway = kept(server, Always(Vote(3)))
        monkeypatch.setattr(keeper.store, "reserve", lambda *_: 1 / 0)
        with gateway:
            got = ask(gateway)
    assert (got.status, got.headers["x-tcalloc-samples"]) == (200, "1")
    assert got.headers["x-tcalloc-reason"] == "policy failed"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", [Always(One()), Always(Vote(3))])
def test_a_client_that_leaves(get, stream, policy):
    with Upstream(default="one two three", pause=1.0) as server:
        keeper, gateway = kept(server, policy)
        with gateway:
            where = urlsplit(gateway.url)
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
            body = {"model": "tiny", "messages": [{"role": "user", "content": "?"}], "stream": stream}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            until = time.monotonic() + 5
            while len(server.bodies) < (policy.action.samples) and time.monotonic() < until:
                time.sleep(0.01)
            connection.close()
            while keeper.status().open_grants and time.monotonic() < until:
                time.sleep(0.01)
            status, page = keeper.status(), get(gateway, "/metrics").data.decode()
    assert status.open_grants == 0
    assert 0 < status.spent <= policy.action.samples * 0.002  # nothing came; it may have been billed
    assert server.cut == policy.action.samples
    assert 'tcalloc_requests_total{outcome="cancelled"} 1' in page
    assert "tcalloc_requests_open 0" in page


def test_a_planted_key_appears_nowhere(ask, get, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    faults = ["bad-key", "echo", "echo", "status:500", "echo"]
    with Chaos(faults, default="echo") as server, Chaos() as other:
        key = Key(SECRET, "127.0.0.1")
        with gate(server, Always(Vote(2)), key=key, explore=1.0, store=tmp_path / "seen", store_texts=True) as gateway:
            pieces = [repr(gateway), repr(vars(gateway)), repr(vars(gateway._answering.upstream))]
            for fields in ({"n": 2}, {}, {}, {"stream": True}, {"tools": [{"a": 1}], "stream": True}):
                got = ask(gateway, "1+1", **fields)
                pieces += [got.data.decode(), str(got.headers)]
            server.script.append(f"redirect:{other.url}")
            got = ask(gateway, "1+1", n=2)
            assert got.status == 502
            pieces += [got.data.decode(), *(get(gateway, path).data.decode() for path in SHOWN)]
        assert not other.requests
    assert all(SECRET in one["headers"]["Authorization"] for one in server.requests)
    pieces += [path.read_text() for path in (tmp_path / "seen").iterdir()] + [caplog.text]
    assert SECRET not in "".join(pieces)
    assert "[key]" in "".join(pieces)


def test_a_key_in_a_stream(ask):
    async def saying_it(request, body):
        return await server.stream(request, body, "You sent " + request.headers["Authorization"])

    with Upstream([saying_it] * 2) as server:
        key = Key(SECRET, "127.0.0.1")
        with gate(server, Always(One()), key=key) as one, gate(server, Always(Vote(2)), key=key) as two:
            assert ask(one, stream=True).streamed == "You sent Bearer [key] "
            assert SECRET not in ask(two, stream=True).data.decode()


def test_a_client_that_leaves_while_the_policy_decides(get):
    class Slow:
        def start(self, x):
            time.sleep(0.3)
            return Always(Vote(2)).start(x)

    with Upstream() as server:
        keeper, gateway = kept(server, Slow())
        with gateway:
            where = urlsplit(gateway.url)
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
            body = {"model": "tiny", "messages": [{"role": "user", "content": "?"}]}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            time.sleep(0.1)
            connection.close()
            time.sleep(0.5)
            status = keeper.status()
    assert (status.requests, status.open_grants, status.spent) == (1, 0, 0)
    assert not server.bodies


def test_a_deadline(ask):
    async def slow(request, body):
        return await server.stream(request, body, "one two three four five six seven 5")

    with (
        Upstream(["7", slow, "7"], pause=0.2) as server,
        gate(server, Always(Vote(3)), sending=Sending(deadline=0.8)) as gateway,
    ):
        got = ask(gateway)
    assert got.text.strip() == "7"
    assert (got.headers["x-tcalloc-samples"], got.headers["x-tcalloc-reason"]) == ("2", "late")


def test_keys_of_clients(ask, get):
    with Upstream() as server, gate(server, Always(One()), client_keys=["first-key", "other-key"]) as gateway:
        for headers in ({"Authorization": "Bearer other-key"}, {"x-api-key": "first-key"}):
            assert ask(gateway, headers=headers).status == 200
        assert ask(gateway, headers={"Authorization": "Bearer wrong-key"}).status == 401
        paths = (*SHOWN, "/v1/models", "/health")
        assert [get(gateway, path).status for path in paths] == [200, 401, 401, 401, 401, 200]
        assert "first-key" not in repr(vars(gateway))
    assert len(server.bodies) == 2
    assert all("key" not in str(headers) for headers in server.headers)  # they go no further
    with pytest.raises(InputError, match="client-keys-env"):
        gate(server, Always(One()), host="0.0.0.0")


def test_pages_of_browsers_are_refused(ask):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        assert ask(gateway, headers={"Content-Type": "text/plain"}).status == 415
        assert ask(gateway, headers={"Host": "evil.example"}).status == 403
    assert not server.bodies


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\xff", b'{"model": "a"}', b'{"model": "a", "messages": []}', b'{"model": "a", "messages": ["x"]}',
     b'{"model": "a", "messages": [{"role": "user", "content": "x"}], "n": 0}', b"[" * 100000],
)  # fmt: skip
def test_what_is_no_request(body):
    with Upstream() as server, gate(server, Always(One())) as gateway:
        got = send(gateway.url, "POST", "/v1/chat/completions", body)
    assert got.status == 400
    assert got.json["error"]["message"].endswith(".")
    assert not server.bodies


def test_a_crowd_with_faults_in_every_fifth_request():
    """No answer is lost, and what is counted as spent is what the server billed."""
    import aiohttp

    faults, met = iter(range(10**6)), Counter()

    def sometimes(handler, body):
        i, asked = next(faults), body["messages"][0]["content"]
        # A sample is asked for three times: with two faults a question always gets an answer.
        if i % 5 == 0 and met[asked] < 2:
            met[asked] += 1
            name = ("429", "status:503", "error_200:500", "loading")[i // 5 % 4]
        else:
            name = "ok"
        word, _, argument = name.partition(":")
        getattr(handler, "fault_" + word)(body, argument)

    async def crowd(url):
        async with aiohttp.ClientSession() as session:

            async def one(i):
                body = {"model": "tiny", "messages": [{"role": "user", "content": f"{i}+{i}"}]}
                async with session.post(f"{url}/chat/completions", json=body) as reply:
                    return reply.status, await reply.json()

            return await asyncio.gather(*(one(i) for i in range(200)))

    with Chaos(default=sometimes) as server:
        keeper, gateway = kept(server, Always(Vote(2)), total=10.0)
        with gateway:
            got = asyncio.run(crowd(gateway.url))
        status = keeper.status()
    assert [code for code, _ in got] == [200] * 200
    assert [document["usage"]["prompt_tokens"] for _, document in got].count(40) >= 195  # both samples, or one
    billed = sum(document["usage"]["prompt_tokens"] + 2 * document["usage"]["completion_tokens"] for _, document in got)
    assert status.spent == pytest.approx(billed / 1e6)
    assert (status.open_grants, status.reserved) == (0, 0)

"""Faults around a wrapped client: of the server, the policy, the keeper and tcalloc itself; callers that leave."""

import asyncio
import logging
import os
import signal
import time

import openai
import pytest
from chaos import Chaos
from upstreams import Upstream, refusal
from wrapped_clients import HTTP, KEY, Awaiting, asked

from tcalloc import BudgetKeeper, Rates, wrap
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, DecidedRun
from tcalloc.measure.actions import Action, One, Vote
from tcalloc.serve.gateway.requests import Answering

RATES = Rates.per_million(1.0, 2.0)
# 10 tokens of the prompt and 7 of the answer.
BILL = 24e-6


def kept(total=1.0, **options):
    return BudgetKeeper(total, "usd", **options), {"rates": RATES, "max_tokens": 50}


def warnings_of(caplog):
    return [one.getMessage() for one in caplog.records if one.name.startswith("tcalloc")]


# ------------------------------------------------------------------------------------------ before anything is asked


@pytest.mark.parametrize(
    ("policy", "options", "said"),
    [
        ("no-such-folder", {}, "neither a policy's folder"),
        (7, {}, "policy is int"),
        (Always(Action(2, "best", "score")), {}, "needs scores"),
        ("vote3", {"keeper": BudgetKeeper(1.0)}, "rates= and max_tokens="),
        ("vote3", {"keeper": 5}, "keeper is int"),
        ("vote3", {"keeper": BudgetKeeper(1.0, tenants={"a": 1}), "rates": RATES, "max_tokens": 5}, "tenants"),
        ("vote3", {"extract": "numerik"}, "numeric"),
        ("vote3", {"max_tokens": 0}, "max_tokens"),
        ("vote3", {"deadline": -1}, "deadline"),
        ("vote3", {"cancel": "no"}, "cancel"),
    ],
)
def test_bad_input_is_refused_before_any_work(policy, options, said):
    with openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key=KEY) as client:
        with pytest.raises(InputError, match=said) as refused:
            wrap(client, policy, **options)
        assert KEY not in str(refused.value)


def test_what_is_no_client_and_what_is_wrapped_already():
    with pytest.raises(InputError, match="client is str; expected an openai"):
        wrap("client", "vote3")
    with openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key=KEY) as client:
        wrapped = wrap(client, "vote3")
        for again in (wrapped, wrapped.with_options(timeout=1.0)):
            with pytest.raises(InputError, match="wrapped already"):
                wrap(again, "vote3")


# ------------------------------------------------------------------------------------------ the server


@pytest.mark.parametrize("policy", ["one", "vote2"])
@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (401, openai.AuthenticationError), (404, openai.NotFoundError),
     (429, openai.RateLimitError), (500, openai.InternalServerError)],
)  # fmt: skip
def test_errors_of_the_server_are_the_sdks(wrapped, policy, status, error):
    refused = refusal(status, "not so", {"Retry-After": "0"}, code="some_code")
    with Upstream(default=refused) as server, wrapped(server.url, policy) as calls, pytest.raises(error) as raised:
        calls.ask()
    assert raised.value.code == "some_code"
    assert raised.value.response.headers.get("x-should-retry") is None


def test_a_server_that_is_not_there_or_sends_nothing(wrapped):
    keeper, priced = kept()
    with wrapped("http://127.0.0.1:9/v1", "vote2", keeper, **priced) as calls:
        with pytest.raises(openai.APIConnectionError):
            calls.ask()
        assert (keeper.status().spent, keeper.status().open_grants) == (0, 0)  # no server can have billed it
    with Upstream(pause=5.0) as server, wrapped(server.url, "vote2") as calls, pytest.raises(openai.APITimeoutError):
        calls.ask(timeout=0.2)


def test_what_came_is_voted_on_if_some_samples_fail(wrapped):
    with Upstream(["It is 7.", refusal(400), "So 7."]) as server, wrapped(server.url, "vote3") as calls:
        got = calls.ask()
    assert (got.tcalloc["samples"], got.tcalloc["reason"]) == (2, "incomplete")


@pytest.mark.parametrize("fault", ["reset", "cut", "html", "truncated-json", "no-choices", "error-200", "status:500"])
def test_a_fault_costs_no_answer(wrapped, fault):
    with Chaos([fault]) as server, wrapped(server.url, "one") as calls:
        assert "The answer is" in calls.ask("3+4").choices[0].message.content


def test_a_stream_that_breaks_off(wrapped):
    async def breaking(request, body):
        return await server.stream(request, body, "one two", breaks=True)

    keeper, priced = kept()
    with Upstream([breaking]) as server, wrapped(server.url, "one", keeper, **priced) as calls:
        with pytest.raises(openai.APIError, match="broke off"):
            calls.streamed()
        assert keeper.status().open_grants == 0
    assert len(server.bodies) == 1  # the caller has seen a part: no second answer follows it
    assert keeper.status().spent > 0  # it may have been billed


# ------------------------------------------------------------------------------------------ tcalloc itself


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
def test_a_policy_that_fails(wrapped, caplog, late):
    with Upstream() as server, wrapped(server.url, Failing(late)) as calls:
        got = calls.ask()
    assert got.choices[0].message.content == "The answer is 42."
    assert got.tcalloc["reason"] == "policy failed"
    assert len(server.bodies) == (2 if late else 1)
    assert "secret" not in caplog.text
    assert len(warnings_of(caplog)) == (0 if late else 1)


@pytest.mark.parametrize("stream", [False, True])
def test_tcalloc_itself_fails(wrapped, caplog, monkeypatch, stream):
    with Upstream() as server, wrapped(server.url, "vote3") as calls:

        async def broken(self, *_):
            raise RuntimeError("a secret of tcalloc")

        monkeypatch.setattr(Answering, "reply" if stream else "_decision", broken)
        if stream:
            assert len(calls.streamed()[1]) == 5
        else:
            assert not hasattr(calls.ask(), "tcalloc")
    assert len(server.bodies) == 1
    said = warnings_of(caplog)
    assert said[-1].startswith("a request is sent as it is, without tcalloc")
    assert "secret" not in caplog.text


def test_a_reply_that_cannot_be_made(wrapped, caplog, monkeypatch):
    monkeypatch.setattr("tcalloc.serve.wrapping.handling._decided", lambda headers: 1 / 0)
    with Upstream() as server, wrapped(server.url, "one") as calls:
        assert not hasattr(calls.ask(), "tcalloc")
    assert len(server.bodies) == 2
    assert warnings_of(caplog)[-1].endswith("its reply could not be made (ZeroDivisionError)")


def test_a_keeper_that_fails(wrapped, monkeypatch):
    keeper, priced = kept()
    with Upstream() as server, wrapped(server.url, "vote3", keeper, **priced) as calls:
        monkeypatch.setattr(keeper.store, "reserve", lambda *_: 1 / 0)
        got = calls.ask()
    assert (got.tcalloc["samples"], got.tcalloc["reason"]) == (1, "policy failed")


def test_a_budget_that_is_spent(wrapped):
    keeper, priced = kept(0.002)
    refused = []
    with Upstream() as server, wrapped(server.url, "vote2", keeper, max_retries=2, **priced) as calls:
        for _ in range(60):
            try:
                calls.ask()
            except openai.RateLimitError as error:
                refused.append(error.code)
    assert set(refused) == {"insufficient_quota"}
    assert len(refused) < 60
    assert keeper.status().spent == pytest.approx(len(server.bodies) * BILL)
    assert keeper.status().spent <= 0.002
    # One attempt each: the SDK is told not to ask again.
    assert keeper.status().requests == 60


def test_a_budget_is_kept_where_the_body_is_no_request(wrapped):
    keeper, priced = kept()
    with Upstream() as server:
        with (
            wrapped(server.url, "vote2", keeper, **priced) as calls,
            pytest.raises(openai.BadRequestError, match="'n'"),
        ):
            calls.ask(n=500)
        assert not server.bodies
        with wrapped(server.url, "vote2") as calls:
            calls.ask(n=500)  # without a budget the server has the last word
        assert len(server.bodies) == 1


# ------------------------------------------------------------------------------------------ callers that leave


@pytest.mark.parametrize("policy", ["one", "vote3"])
def test_a_task_that_is_cancelled_has_settled_when_it_ends(policy):
    keeper, priced = kept()

    async def leave(server):
        async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY) as plain:
            client = wrap(plain, policy, keeper, **priced)
            task = asyncio.ensure_future(client.chat.completions.create(**asked("?", {})))
            while len(server.bodies) < (3 if policy == "vote3" else 1):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return keeper.status()

    with Upstream(pause=20.0) as server:
        status = asyncio.run(leave(server))
    assert (status.open_grants, status.requests) == (0, 1)
    assert 0 < status.spent <= 3 * 0.002  # nothing came; it may have been billed
    assert server.cut == len(server.bodies)


def test_ctrl_c_settles():
    keeper, priced = kept()
    with Upstream(default=lambda *_: interrupt(server)) as server:

        async def interrupt(server):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(1.0)

        with wrap(openai.OpenAI(base_url=server.url, api_key=KEY), "one", keeper, **priced) as client:
            with pytest.raises(KeyboardInterrupt):
                client.chat.completions.create(**asked("?", {}))
            until = time.monotonic() + 5
            while keeper.status().open_grants and time.monotonic() < until:
                time.sleep(0.01)
    assert keeper.status().open_grants == 0
    assert keeper.status().spent > 0  # it may have been billed


def test_a_stream_that_is_left(wrapped):
    keeper, priced = kept()
    slow = Upstream(default="one two three four", pause=0.05)
    with slow as server, wrapped(server.url, "one", keeper, **priced) as calls:
        if wrapped.__name__ == "Blocking":
            with calls.client.chat.completions.create(stream=True, **asked("?", {})) as chunks:
                next(iter(chunks))
        else:
            calls.loop.run(_left(calls.client))
        assert keeper.status().open_grants == 0
    assert keeper.status().spent > 0


async def _left(client):
    async with await client.chat.completions.create(stream=True, **asked("?", {})) as chunks:
        await anext(aiter(chunks))


# ------------------------------------------------------------------------------------------ keys


def test_a_planted_key_appears_nowhere(wrapped, caplog):
    caplog.set_level(logging.DEBUG)
    keeper, priced = kept()
    said = []
    with (
        Chaos(["bad-key", "echo", "echo"], default="echo") as server,
        wrapped(server.url, "vote2", keeper, **priced) as calls,
    ):
        http = calls.client._client
        said += [repr(calls.client), repr(http), repr(vars(http)), repr(keeper)]
        for fields in ({"n": 2}, {}, {"tools": [{"type": "function", "function": {"name": "f"}}]}):
            try:
                said.append(calls.ask("1+1", **fields).model_dump_json())
            except openai.AuthenticationError as error:
                said += [str(error), str(error.body)]
    assert all(KEY in str(one["headers"]) for one in server.requests)
    said += [one.getMessage() for one in caplog.records if one.name.startswith("tcalloc")]
    assert KEY not in "".join(said)
    assert "[key]" in "".join(said)


def test_a_request_hook_that_fails_is_the_users_own_error():
    def failing(request):
        raise HTTP.ReadError("of the hook", request=request)

    http = HTTP.Client(event_hooks={"request": [failing]})
    with openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key=KEY, http_client=http, max_retries=0) as plain:
        client = wrap(plain, Always(One()))
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(**asked("?", {}))


def test_a_loop_that_is_not_asyncios_has_plain_calls(caplog):
    """Such as trio's: the coroutine runs outside of asyncio here."""
    with Upstream() as server, Awaiting(server.url, "vote3") as calls:
        http = calls.client._client

        async def sent(request, **options):
            return "as it is"

        calls.plain._client.send = sent
        sending = http.send(http.build_request("POST", server.url + "/chat/completions", json=asked("?", {})))
        with pytest.raises(StopIteration) as ended:
            sending.send(None)
        del calls.plain._client.send
    assert ended.value.value == "as it is"
    assert warnings_of(caplog) == ["a request is sent as it is, without tcalloc: its event loop is not one of asyncio"]

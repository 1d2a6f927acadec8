"""The adapter's parts: keys, retries, the meter, replies and their tokens."""

import copy
import io
import json
import pickle
import threading
import time

import pytest
from chaos import Chaos, completion
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.failures import AccessError, LimitReached
from tcalloc.llm.forecast import forecast
from tcalloc.llm.http.keys import Key, find_key
from tcalloc.llm.http.replies import BadReply, ServerError, TokenCounter, parse_reply
from tcalloc.llm.http.retry import Backoff, retry_after
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.progress import Progress, clock

OPENAI = "https://api.openai.com/v1/chat/completions"

# ---------------------------------------------------------------------------------------------- keys


def test_where_keys_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / ".config" / "tcalloc" / "keys.json"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({"api.openai.com": "from-file", "example.com": "other"}))
    own.chmod(0o600)
    named = tmp_path / "key"
    named.write_text("named\n")
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")
    monkeypatch.setenv("MINE", "mine")

    def secret(url=OPENAI, **options):
        key = find_key(url, **options)
        return None if key is None else key.header(url)

    assert secret(variable="MINE") == "Bearer mine"
    assert secret(file=str(named)) == "Bearer named"
    assert secret() == "Bearer from-env"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert secret() == "Bearer from-file"
    assert secret("https://example.com/v1") == "Bearer other"
    assert secret("https://elsewhere.org/v1") is None  # OPENAI_API_KEY never goes there
    with pytest.raises(InputError, match="unencrypted"):
        secret("http://example.com/v1")
    own.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        secret()
    own.unlink()
    with pytest.raises(InputError, match=r"no key for api\.openai\.com"):
        secret()


@pytest.mark.parametrize("secret", ["", "a b", "a\nb", "schlüssel", "x" * 20_000])
def test_bad_keys(secret):
    with pytest.raises(InputError) as caught:
        Key(secret, "example.com")
    assert not secret or secret not in str(caught.value)


def test_a_key_stays_where_it_is():
    key = Key("sk-secret", "example.com")
    assert "sk-secret" not in repr(key) + str(key) + f"{key}"
    for leak in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leak(key)
    with pytest.raises(InputError, match="does not go to"):
        key.header("https://example.com.evil.org/v1")
    with pytest.raises(InputError, match="does not go to"):
        ChatClient("https://evil.org/v1", "m", key=key)


# ---------------------------------------------------------------------------------------------- retries


def test_retry_after(monkeypatch):
    assert retry_after("7") == 7.0
    assert retry_after(" 0.5 ") == 0.5
    assert retry_after("-3") == 0.0
    assert retry_after("Wed, 21 Oct 2015 07:28:10 GMT") == 0.0
    assert retry_after("7", "250") == 0.25  # the more exact one
    assert retry_after(None, "-5") == 0.0
    assert retry_after("7", "soon") == 7.0
    for nothing in (None, "", "soon", "nan", "inf", "1e400", "Wed, 99 Oct"):
        assert retry_after(nothing) is None
    monkeypatch.setattr("time.time", lambda: 1445412480.0)
    assert retry_after("Wed, 21 Oct 2015 07:28:10 GMT") == 10.0


@given(st.integers(0, 10_000), st.none() | st.floats(0, 1e9))
def test_pauses(attempt, asked):
    backoff = Backoff()
    pause = backoff.pause(attempt, asked)
    assert pause >= 0.5 * min(60, 0.5 * 2.0 ** min(attempt, 60))  # whatever is asked, never less than our own
    assert pause <= 60 if asked is None else min(asked, 300) <= pause <= 360


# ---------------------------------------------------------------------------------------------- the meter


def test_the_meter_holds_under_threads():
    meter, admitted = Meter(max_cost=1.0), []

    def work():
        try:
            while True:
                while not meter.try_reserve(0.1):
                    time.sleep(0.0001)
                admitted.append(1)
                assert meter.spent + 0.05 <= 1.0
                meter.pay(0.05)
                meter.settle(0.1)
        except LimitReached:
            pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert meter.spent <= 1.0
    assert len(admitted) >= 18  # stops only when the most that one can cost no longer fits


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_bad_prices(price):
    with pytest.raises(InputError, match="price of output"):
        Rates.per_million(1.0, price)


def test_rates():
    assert Rates.per_million(1.0, 2.0, 10.0).of(100, 50, 20) == pytest.approx((100 + 60 + 200) / 1e6)
    assert Rates.per_million(1.0, 2.0).of(100, 50, 20) == pytest.approx(200 / 1e6)
    assert Rates.per_million(1.0, 2.0).most(100, 3, 10) == pytest.approx((100 + 3 * 20) / 1e6)
    assert Rates(1.0, 2.0, prompt_once=False).most(100, 3, 10) == pytest.approx(3 * 100 + 3 * 20)


# ---------------------------------------------------------------------------------------------- replies


def reply_to(n=1, *, usage=None, **choice):
    body = {"model": "m", "messages": [{"role": "user", "content": "1 + 1"}], "n": n, "seed": 1}
    document = completion(body)
    document["usage"] = usage
    for item in document["choices"]:
        item["message"] |= choice
    return json.dumps(document).encode()


def tokens(body, n=1, counter=None):
    choices = parse_reply(body, n, 10, counter or TokenCounter()).choices
    return [(c.output_tokens, c.reasoning_tokens, c.estimated) for c in choices]


def test_reasoning_tokens():
    usage = {"prompt_tokens": 5, "completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 80}}
    assert tokens(reply_to(usage=usage)) == [(100, 80, False)]
    beside = usage | {"completion_tokens": 20, "total_tokens": 105}  # reasoning is not among the completion's
    assert tokens(reply_to(usage=beside)) == [(100, 80, False)]
    [(out, reasoning, estimated)] = tokens(
        reply_to(usage={"prompt_tokens": 5, "completion_tokens": 100}, reasoning_content="x" * 1000)
    )
    assert (out, estimated) == (100, False)
    assert 95 <= reasoning < 100


@pytest.mark.parametrize("value", [None, 0, -5, "12", True, 1e30, {}, float("nan")])
def test_usage_that_is_none(value):
    usage = {"prompt_tokens": value, "completion_tokens": value}
    [(out, _, estimated)] = tokens(reply_to(usage=usage))
    assert estimated
    assert out >= 4


def test_usage_of_the_first_choice_only():
    counter = TokenCounter()
    for _ in range(10):
        tokens(reply_to(usage={"prompt_tokens": 5, "completion_tokens": 5}), counter=counter)
    for n in (2, 4, 16):
        counted = tokens(reply_to(n, usage={"prompt_tokens": 5, "completion_tokens": 5}), n, counter)
        assert all(estimated and 4 <= out <= 6 for out, _, estimated in counted)
        counted = tokens(reply_to(n, usage={"prompt_tokens": 5, "completion_tokens": 5 * n}), n, counter)
        assert sum(out for out, _, _ in counted) == 5 * n
        assert not any(estimated for _, _, estimated in counted)


@given(
    st.binary(max_size=50)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "usage", "error", "index", "code"]), inner, max_size=4
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_a_reply_or_a_clear_error(body):
    try:
        reply = parse_reply(body, 2, 10, TokenCounter())
    except (BadReply, ServerError):
        return
    assert reply.choices
    assert all(choice.output_tokens > 0 for choice in reply.choices)


def test_half_a_surrogate_pair():
    reply = parse_reply(reply_to(content="\ud800 7"), 1, 10, TokenCounter())
    assert reply.text.encode() == b"? 7"


# ---------------------------------------------------------------------------------------------- the client


def test_seeds_and_keys_are_stable_and_apart():
    client = ChatClient("http://127.0.0.1:1234/v1", "m")
    seeds = {client.seed(str(q), j) for q in range(100) for j in range(16)}
    assert len(seeds) == 1600
    assert not any(seed + 1 in seeds for seed in seeds)
    assert client.seed("0", 0) == ChatClient("http://localhost:1/v1", "other").seed("0", 0)
    messages = [{"role": "user", "content": "hi"}]
    same = ChatClient("http://localhost:1/v1", "m")  # after a restart on another port
    assert client.params(messages) == same.params(messages)
    zero = ChatClient("http://localhost:1/v1", "m", Parameters(temperature=0.0))
    others = {client.params(messages), zero.params(messages), client.params([{"role": "user", "content": "ho"}])}
    assert len(others) == 3


def test_errors_hold_no_request():
    """No exception, and none that it stems from, holds the headers."""
    with Chaos(default="bad_key") as server:
        key = Key("sk-0123456789", "127.0.0.1")
        with pytest.raises(AccessError) as caught:
            ChatClient(server.url, "m", key=key).complete([{"role": "user", "content": "hi"}])
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "0123456789" not in str(caught.value) + repr(caught.value)


def test_max_completion_tokens():
    def modern(handler, body):
        if "max_tokens" in body:
            handler.error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        else:
            handler.answer(body)

    with Chaos(default=modern) as server, ChatClient(server.url, "m", Parameters(max_tokens=9)) as client:
        for _ in range(3):
            client.complete([{"role": "user", "content": "1 + 1"}])
        assert len(server.requests) == 4
        assert server.requests[-1]["body"]["max_completion_tokens"] == 9


# ---------------------------------------------------------------------------------------------- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress(monkeypatch):
    meter = Meter(spent=1.25)
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr("sys.stderr", stream)
        bar = Progress(100, 10, meter, True)
        bar._started -= 90.0
        bar._shown -= 90.0
        bar.show(55, 2)
        bar.show(56, 2)  # too soon
        bar.show(100, 2, last=True)
        text = stream.getvalue()
        assert "55/100 samples (55.0 %), 0.5/s, spent 1.25, 1:30 left, 2 failed" in text
        assert text.count("\n") == (1 if stream.isatty() else 2)
        assert text.endswith("\n")
    assert (clock(5), clock(754), clock(10921)) == ("0:05", "12:34", "3:02:01")


def test_a_forecast_shares_prompts_as_the_run_will():
    alone = {"arm": "a", "sample": 0, "input_tokens": 10, "output_tokens": 5, "seconds": 1.0, "truncated": False,
             "choices": 1, "request_cost": 8.0, "cost": 10.0}  # fmt: skip
    four = alone | {"choices": 4, "request_cost": 2.0, "cost": 4.0}
    for record in (alone, four):
        for per_request, prompt_once, each in ((1, True, 10.0), (4, True, 4.0), (4, False, None)):
            plan = forecast([record], "a", 2, 4, n_per_request=per_request, prompt_once=prompt_once, concurrency=1)
            assert plan.cost == pytest.approx(7 * (record["cost"] if each is None else each))
    older = {key: value for key, value in alone.items() if key != "request_cost"}
    assert forecast([older], "a", 2, 4, n_per_request=4, concurrency=1).cost == 70.0

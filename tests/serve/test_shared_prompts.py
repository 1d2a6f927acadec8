"""Draws that share a prompt, from sampling to live answers: what was planned is what is paid."""

from collections import Counter
from hashlib import sha256

import pytest
from streams import PROMPT, Streams

from tcalloc import ChatClient, Parameters, Rates, Samples, answer
from tcalloc.learn.sequential import Sequential
from tcalloc.llm.graders import make_grader
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.questions import question_from
from tcalloc.llm.sampler import sample

RATES = Rates.per_million(0.15, 0.6)
# What a request costs before its answers: the server counts so many tokens of each prompt.
DRAW = RATES.request_cost(PROMPT)


def share_of(*parts):
    return int(sha256("|".join(map(str, parts)).encode()).hexdigest()[:8], 16) / 2**32


def say(body, choice):
    """Be right less often on some questions than on others."""
    text = body["messages"][-1]["content"]
    right = sum(int(part) for part in text.split("+"))
    draw = share_of(text, body.get("seed"), choice)
    return f"So the answer is {right + (draw < 0.6 * share_of(text)) * (1 + int(draw * 1000) % 5)}.", 0.0002


def questions(start, n):
    return [{"id": f"q{i}", "question": f"{i} + {start}", "answer": str(i + start)} for i in range(n)]


def client_of(server):
    fast = Backoff(retries=8, bad_replies=8, base=0.001, cap=0.01)
    return ChatClient(server.url, "tiny", Parameters(max_tokens=64), key=None, rates=RATES, backoff=fast)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    run = tmp_path_factory.mktemp("shared") / "run"
    asked = [question_from(row, "questions", row["id"]) for row in questions(1, 60)]
    with Streams(say) as server, client_of(server) as client:
        done = sample(asked, client, make_grader("numeric"), 8, out=str(run), n_per_request=8)
    assert done.complete
    samples = Samples.load(run)
    assert samples.round_cost == pytest.approx(DRAW)
    return Sequential().fit(None, samples)


def test_what_was_planned_is_what_is_paid(policy):
    with Streams(say) as server, client_of(server) as client:
        done = answer(questions(2, 60), policy, client, budget=1.2 * DRAW)
        asked = Counter(one["body"].get("n", 1) for one in server.requests)
    assert max(asked) == 8
    assert sum(asked[n] for n in asked if n >= 4) > 50  # not one after another, which pays the prompt each time
    assert done.spend <= 1.2 * DRAW
    assert done.accuracy > 0.9
    assert not done.shortfalls
    assert not any("another unit" in note or "wrong unit" in note for note in done.notes)
    assert done.spent == pytest.approx(sum(one.spend for one in done))


@pytest.mark.parametrize("budget", [1.05, 1.5])
@pytest.mark.parametrize("fault", [None, "ignored_n", "limited"])
def test_the_total_holds_whatever_the_server_makes_of_n(policy, budget, fault):
    class Limited(Streams):
        def _answer(self, handler, body):
            most = {"ignored_n": 1, "limited": 3, None: 128}[fault]
            if fault == "limited" and body.get("n", 1) > most:
                handler.error(400, "n is too large")
            else:
                super()._answer(handler, body | {"n": min(body.get("n", 1), most)})

    with Limited(say) as server, client_of(server) as client:
        server.script.extend(["reset", "429"] if fault is None else [])
        done = answer(questions(3, 40), policy, client, budget=budget * DRAW)
    assert done.spent + done.lost <= 40 * budget * DRAW * (1 + 1e-9)
    assert done.accuracy > 0.5
    assert sum(one.answer is not None for one in done) >= 38


def test_with_one_per_request_each_sample_pays(policy):
    with Streams(say) as server, client_of(server) as client:
        done = answer(questions(2, 20), policy, client, budget=4 * DRAW, n_per_request=1)
        assert {one["body"].get("n", 1) for one in server.requests} == {1}
    assert done.spend >= done.samples * DRAW
    assert done.spend <= 4 * DRAW

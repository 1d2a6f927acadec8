"""Samples that are not needed any more are cut off: streams are closed, what was billed counts, ledgers stay exact."""

import json
import math
import time

import numpy as np
import pytest
from streams import PROMPT, Streams

from tcalloc import InputError, Rates, answer
from tcalloc.cli import main
from tcalloc.learn.protocol import Always, Result
from tcalloc.learn.rivals import FixedK
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.sequential import Sequential
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.http.retry import Backoff
from tcalloc.measure import Best, Samples, Vote
from tcalloc.serve.payments import Payments

LONG = 400  # words of an answer that nobody waits for
RATES = Rates(input=1.0, output=10.0, request=5.0)


def quick_and_slow(slow, right="The answer is 4."):
    """Say the right answer at once, and a long one slowly in choices or requests from number `slow` on."""
    seen = {}

    def say(body, choice):
        asked = body["messages"][-1]["content"]
        place = (
            choice
            if body.get("n", 1) > 1
            else seen.setdefault(asked, {}).setdefault(body.get("seed"), len(seen[asked]))
        )
        return (right, 0.002) if place < slow else ("word " * LONG + right, 0.05)

    return say


def client_of(server, **options):
    options = {"rates": RATES} | options
    return ChatClient(server.url, "tiny", Parameters(max_tokens=1000), key=None, **options)


def questions(n):
    """Questions whose prompts have about as many tokens as the server counts."""
    return [
        {"id": f"q{i}", "question": f"2 + 2, and {i} " + "na " * (4 * PROMPT // 3), "answer": "4"} for i in range(n)
    ]


QUESTIONS = questions(3)


@pytest.mark.parametrize("n_per_request", [1, 4])
def test_three_of_four_that_agree_are_enough(n_per_request, tmp_path):
    with Streams(quick_and_slow(3)) as server, client_of(server) as client:
        began = time.monotonic()
        done = answer(
            QUESTIONS, Always(Vote(4)), client, cancel=True, n_per_request=n_per_request, out=tmp_path / "run"
        )
        assert time.monotonic() - began < 0.5 * 0.05 * LONG
        assert [one.answer for one in done] == ["4"] * 3
        assert (done.samples, done.cut) == (3, 3)
        assert all(one.status == "as decided" for one in done)
        assert server.hung_up + sum(sum(sent) < LONG for sent in server.sent) >= 3
        whole = sum(sum(sent) for sent in server.sent)
    # Of what was cut off, the prompt and the tokens that came are billed; all of it is in the spend.
    prompts = 4 if n_per_request == 1 else 1
    assert done.spent == pytest.approx(3 * done.spend)
    assert 0 < done.cut_cost < done.spent
    least = prompts * 0.95 * PROMPT + 3 * 5 * 10.0
    assert least <= done.spend <= 1.1 * least + (whole + 100) * 10.0
    assert "3 samples were cut off because the answer was settled" in str(done)
    assert "s on average" in str(done)
    # The same call asks for nothing, and says the same.
    with Streams(quick_and_slow(3)) as server, client_of(server) as client:
        again = answer(
            QUESTIONS, Always(Vote(4)), client, cancel=True, n_per_request=n_per_request, out=tmp_path / "run"
        )
        assert not server.requests
    assert [one.spend for one in again] == pytest.approx([one.spend for one in done])
    assert again.spent == pytest.approx(done.spent)
    assert [one.status for one in again] == [one.status for one in done]


def test_without_cancel_all_are_waited_for():
    with Streams(lambda body, choice: ("The answer is 4.", 0.001)) as server, client_of(server) as client:
        done = answer(QUESTIONS, Always(Vote(4)), client)
        assert (done.samples, done.cut, server.hung_up) == (4, 0, 0)
        assert not any("stream" in one["body"] for one in server.requests)


def test_an_answer_that_may_still_change_is_waited_for():
    def say(body, choice):
        return ("The answer is 4." if choice < 2 else "The answer is 5.", 0.001 + 0.02 * choice)

    with Streams(say) as server, client_of(server) as client:
        done = answer(QUESTIONS[:1], Always(Vote(5)), client, cancel=True, n_per_request=5)
    assert (done[0].answer, done[0].samples, done.cut) == ("5", 5, 0)


def test_a_success_by_a_verifier_is_enough():
    with Streams(quick_and_slow(1)) as server, client_of(server) as client:
        done = answer(
            QUESTIONS,
            Always(Best(4)),
            client,
            cancel=True,
            n_per_request=4,
            verifier=lambda question, text: "4" in text,
        )
    assert [(one.answer, one.samples, one.cut) for one in done] == [("4", 1, 3)] * 3


def test_a_learned_rule_ends_where_it_would():
    codes = [[0] * 8] * 30 + [[0, 1, 0, 2, 0, 3, 1, 0]] * 10
    policy = Sequential(budget=8.0, waves=(4,), most=8).fit(None, Samples(codes, round_cost=1.0))
    run = policy.start("q")
    assert run.next().n == 4
    alike = [Result("4", 1.0)] * 3
    before = repr(run)
    assert run.settled(alike, 1) == run.settled(alike, 1)
    assert repr(run) == before  # asking changes nothing
    assert not run.settled([Result("4", 1.0), Result("5", 1.0)], 2)
    assert FixedK(3).start("q").next().n == 3
    rule = FixedK(3).start("q")
    rule.next()
    assert rule.settled([Result("4", 1.0)] * 2, 1)
    assert not rule.settled([Result("4", 1.0), Result("5", 1.0)], 1)
    assert not rule.settled([Result("4", 1.0)], 2)


def test_a_probe_is_waited_for_and_what_follows_it_is_not():
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(80) % 2, 0.95, 0.5)[:, None]
    codes = np.where(rng.random((80, 9)) < chance, 0, rng.integers(1, 4, (80, 9)))
    texts = [f"q{i}" for i in range(80)]
    policy = PricedPolicy(probe=2, budget=5.0, features=False, gate=False).fit(
        texts, Samples(codes), actions=[Vote(1), Vote(3), Vote(9)]
    )
    run = policy.start("q1")
    assert run.next().n == 2
    assert not run.settled([Result("4", 1.0)], 1)
    run.add([Result("4", 1.0), Result("5", 1.0)])
    draw = run.next()
    assert draw.n > 0
    assert not run.settled([], draw.n)
    assert run.settled([Result("4", 1.0)] * (draw.n - 1), 1) == (draw.n > 1)
    assert run.settled([Result("4", 1.0)] * draw.n, 0)


def test_the_deadline_ends_a_question():
    with Streams(quick_and_slow(2)) as server, client_of(server) as client:
        began = time.monotonic()
        done = answer(QUESTIONS, Always(Vote(9)), client, deadline=0.6, n_per_request=9)
        assert time.monotonic() - began < 0.5 * 0.05 * LONG
    assert [(one.answer, one.samples, one.status) for one in done] == [("4", 2, "late")] * 3
    assert all(0.5 < one.seconds < 0.5 * 0.05 * LONG for one in done)
    assert done.latency_high < 3
    assert "because the deadline came first" in str(done)


def test_nothing_in_time_is_no_answer():
    with Streams(quick_and_slow(0)) as server, client_of(server) as client:
        done = answer(QUESTIONS[:1], Always(Vote(1)), client, deadline=0.3)
    assert (done[0].answer, done[0].samples, done[0].status) == (None, 0, "late")
    assert done[0].spend == 0.0
    assert done[0].cut_cost > 0
    assert "1 because the deadline came first" in str(done)


@pytest.mark.parametrize("n_per_request", [1, 3])
def test_the_budget_holds_to_the_last_unit(n_per_request):
    many = questions(12)
    with Streams(quick_and_slow(2)) as server, client_of(server) as client:
        budget = 2.5 * (PROMPT + 100)
        done = answer(many, Always(Vote(3)), client, budget=budget, cancel=True, n_per_request=n_per_request)
    assert done.spent == pytest.approx(math.fsum(one.spend for one in done))
    assert done.spent <= budget * len(many) * (1 + 1e-9)
    assert all(one.answer == "4" for one in done)


def test_servers_without_streams_are_cut_off_too():
    def say(body, choice):
        return ("The answer is 4.", 0.002 if body["seed"] % 2 else 1.0)

    class Plain(Streams):
        def _answer(self, handler, body):
            if body.pop("stream", None) and "stream_options" in body:
                handler.error(400, "Unrecognized request argument supplied: stream_options")
            else:
                super()._answer(handler, body)

    with Plain(say) as server, client_of(server) as client:
        done = answer(QUESTIONS[:1], Always(Vote(8)), client, cancel=True)
    assert done[0].answer == "4"
    assert "stream" in " ".join(done.notes)


def test_a_folder_counts_what_was_cut_off(tmp_path):
    with Streams(quick_and_slow(3)) as server, client_of(server) as client:
        done = answer(QUESTIONS[:1], Always(Vote(4)), client, cancel=True, n_per_request=4, out=tmp_path / "run")
        lines = (tmp_path / "run" / "requests.jsonl").read_text().splitlines()
        cut = [json.loads(line) for line in lines if "cut" in line]
        assert [line["n"] for line in cut] == [1]
        assert cut[0]["most"] == pytest.approx(done.cut_cost)
        # Another policy on the same folder: what was cut off before is spent.
        more = answer(QUESTIONS[:1], Always(Vote(2)), client, out=tmp_path / "run")
    assert more.spent == pytest.approx(done.spent)


def test_draws_are_charged_where_replies_do_not_say_what_they_cost():
    codes = [[0] * 8] * 30 + [[0, 1, 0, 2, 0, 3, 1, 0]] * 30
    samples = Samples(codes, cost=1.0, round_cost=5.0, later_round_cost=2.0)
    policy = Sequential(budget=9.0, waves=(2, 4), most=8).fit(None, samples)
    few = [{"id": f"q{i}", "question": f"2 + 2, and {i}", "answer": "4"} for i in range(20)]
    with Streams(lambda body, choice: (f"The answer is {4 + body['seed'] % 2}.", 0.001)) as server:
        with client_of(server, rates=None) as client:
            done = answer(few, policy, client, budget=9.0)
        assert all("stream" not in one["body"] for one in server.requests)
        assert any(one["body"].get("n", 1) > 1 for one in server.requests)  # a draw by one request, as it was trained
    for one in done:
        assert one.spend == pytest.approx(one.samples * 1.0 + 5.0 + 2.0 * (one.rounds - 1))
    assert done.spend <= 9.0 * (1 + 1e-9)


def test_waiting_has_a_price():
    with Streams(lambda body, choice: ("The answer is 4.", 0.05)) as server, client_of(server, rates=None) as client:
        plain, timed = (answer(QUESTIONS, Always(Vote(2)), client, per_second=price) for price in (0.0, 10.0))
    assert plain.spend == 2.0
    for one in timed:
        assert one.spend == pytest.approx(2.0 + 10.0 * one.seconds, abs=0.5)
        assert one.seconds > 0.15


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_per_request": 0}, "n_per_request is 0; expected a whole number of samples, at least 1"),
        ({"deadline": 0}, "deadline is 0; expected a number above 0: seconds per question"),
        ({"per_second": -1}, "per_second is -1; expected a cost per second, at least 0"),
        ({"cancel": "yes"}, "cancel is 'yes'; allowed are True and False"),
    ],
)
def test_bad_options_are_refused(given, message):
    with Streams(None) as server, client_of(server) as client, pytest.raises(InputError, match=message):
        answer(QUESTIONS, Always(Vote(2)), client, **given)


def test_the_command_reports_both_sides(capsys, tmp_path):
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in QUESTIONS))
    with Streams(quick_and_slow(3)) as server:
        command = ["answer", str(tmp_path / "questions.jsonl"), "--policy", "vote4", "--base-url", server.url]
        command += ["--model", "tiny", "--price-in", "1e6", "--price-out", "1e7", "--price-request", "5e6"]
        assert main([*command, "--cancel", "--n-per-request", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cut"] == 3
    assert 0 < found["cut_cost"] < found["spent"]
    assert 0 < found["latency"] <= found["latency_high"] < 10
    assert all(one["seconds"] > 0 for one in found["answers"])


@pytest.mark.parametrize("n_per_request", [1, 4])
def test_the_ledger_stays_exact_while_requests_fail(n_per_request, monkeypatch):
    kept = []

    def remember(*arguments, **options):
        kept.append(Payments(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr("tcalloc.serve.answer.Payments", remember)
    many = questions(10)
    fast = Backoff(retries=8, bad_replies=8, base=0.001, cap=0.01)
    with Streams(quick_and_slow(3)) as server, client_of(server, backoff=fast) as client:
        server.script.extend(["reset", "429", "cut", "status:500", "html"] * 4)
        done = answer(
            many, Always(Vote(4)), client, budget=40 * PROMPT, cancel=True, n_per_request=n_per_request, concurrency=4
        )
    [payments] = kept
    ledger = payments.ledger
    assert ledger.reserved == 0
    assert ledger.settled + ledger.free == pytest.approx(ledger.total, rel=1e-12)
    assert ledger.settled == pytest.approx(math.fsum(one.spend for one in done) + done.lost)
    assert ledger.settled <= ledger.total
    assert done.cut > 0
    assert payments.under_way == 0

"""Answering live by a policy: what is asked for, what it costs, what is stored, and the way back after a stop."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from answering_cases import QUESTIONS, Agree, Agreeing, client_of
from chaos import Chaos, completion
from places import ENVIRONMENT

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, DecidedRun, Draw
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential
from tcalloc.measure import Best, Samples, Vote
from tcalloc.runs.store import read_run
from tcalloc.serve.answer import answer, answer_async

pytest.importorskip("aiohttp")


def test_votes_and_money():
    with Chaos() as server, client_of(server, rates=Rates.per_million(1.0, 2.0)) as client:
        answers = answer(QUESTIONS, Always(Vote(4)), client)
    assert answers.complete
    assert len(server.requests) == answers.requests == 80
    assert [one.id for one in answers] == [row["id"] for row in QUESTIONS]
    assert 0.5 < answers.accuracy <= 1
    assert answers.spend * 20 == pytest.approx(answers.spent)
    assert all(one.samples == 4 and one.rounds == 1 for one in answers)
    for one in answers:
        assert one.correct == (one.answer == str(2 * int(one.id[1:])))
        assert one.answer in one.text
        assert one.vote_share in (0.25, 0.5, 0.75, 1.0)


def test_stopping_and_going_on(tmp_path):
    out = str(tmp_path / "run")
    with Chaos() as server, client_of(server) as client:
        first = answer(QUESTIONS, Agree(), client, out=out, max_requests=25, concurrency=3)
        assert not first.complete
        assert "max_requests" in first.stopped
        second = answer(QUESTIONS, Agree(), client, out=out)
        assert second.complete
        assert second.stopped is None
        assert first.requests + second.requests == len(server.requests) == len(read_run(out).records)
        assert second.spend * 20 == len(server.requests)
    with Chaos() as server, client_of(server) as client:
        clean = answer(QUESTIONS, Agree(), client)
    assert list(clean) == list(second)
    assert list(first) == [one for one in clean if one.id in {done.id for done in first}]
    assert 2 <= clean.spend <= 5
    assert all(one.rounds == one.samples for one in clean)
    assert Samples.load(out).table([Vote(1)]).acc.shape == (20, 1)  # a run folder like any other


def test_the_budget_holds():
    with Chaos() as server, client_of(server) as client:
        answers = answer(QUESTIONS, Always(Vote(8)), client, budget=2.5, concurrency=5)
        assert answers.complete
        assert answers.spend == 2.5
        assert all(one.samples >= 1 for one in answers)
        answers = answer(QUESTIONS, Always(Vote(1)), client, budget=0.5)
        assert answers.spend == 0.5
        assert sum(one.answer is None for one in answers) == 10


def test_policies_that_can_be_set_to_a_budget():
    class At(Always):
        def at(self, budget):
            return Always(Vote(int(budget)))

    with Chaos() as server, client_of(server) as client:
        assert answer(QUESTIONS, At(Vote(1)), client, budget=3).spend == 3


def test_nobody_sees_the_gold_answer():
    seen = []

    class Looking(Always):
        def start(self, x):
            run = super().start(x)
            add = run.add
            seen.append(x)

            class Run:
                next = run.next
                answer = vote_share = None
                spend = 0.0

                def add(self, results):
                    seen.extend(results)
                    add(results)

            return Run()

    with Chaos() as server, client_of(server) as client:
        answer(["1 + 1"], Looking(Vote(2)), client)
        answer([QUESTIONS[1]], Looking(Vote(2)), client)
    assert seen[0] == seen[3] == "1 + 1"
    assert seen[1:3] == seen[4:]  # with and without a gold answer: the same
    assert all(result.correct is None for result in seen[1:3])


def test_several_models_and_what_they_cost():
    class Route:
        def start(self, x):
            return DecidedRun(Vote(1, "big") if x.startswith("1") else Vote(2, "small"))

    with Chaos() as server, client_of(server, "a") as small, client_of(server, "b") as big:
        clients = {"small": small, "big": big}
        answers = answer(QUESTIONS, Route(), clients, costs={"small": 1, "big": 2.5})
        assert {r["body"]["model"] for r in server.requests} == {"a", "b"}
        assert answers.spend == pytest.approx((11 * 2.5 + 9 * 2) / 20)
        with pytest.raises(InputError, match="asks for the model 'big'; clients are given for small"):
            answer(QUESTIONS, Route(), {"small": small})
        with pytest.raises(InputError, match="costs has no entry"):
            answer(QUESTIONS, Route(), clients, costs={"small": 1})


def test_a_server_that_fails():
    with Chaos(["status:400"] * 3) as server, client_of(server) as client:
        answers = answer(QUESTIONS[:4], Always(Vote(1)), client, concurrency=1)
        assert [one.answer is None for one in answers] == [True, True, True, False]
        assert answers.complete
        assert answers.reasons
    with Chaos(default="status:400") as server, client_of(server) as client:
        answers = answer(QUESTIONS, Always(Vote(1)), client, concurrency=1)
        assert "400" in answers.stopped
        assert len(server.requests) < 20
    with Chaos(default="bad_key") as server, client_of(server) as client:
        assert "key" in answer(QUESTIONS, Always(Vote(1)), client).stopped


def test_a_verifier():
    seen = []

    class Verified(Always):
        def start(self, x):
            run = DecidedRun(self.action)
            add = run.add
            run_add = lambda results: (seen.extend(results), add(results))  # noqa: E731

            class Run:
                next, spend, vote_share = run.next, 0.0, 1.0
                answer = None

                def add(self, results):
                    run_add(results)

            return Run()

    with Chaos() as server, client_of(server) as client:
        answer(["2 + 2"], Verified(Vote(8)), client, verifier=lambda question, text: text == "The answer is 4.")
    assert {result.correct for result in seen} == {True, False}
    assert all(result.correct == (result.answer == "4") for result in seen)


def test_async():
    async def both():
        with Chaos() as server, client_of(server) as client:
            ticks = 0

            async def tick():
                nonlocal ticks
                while True:
                    await asyncio.sleep(0.001)
                    ticks += 1

            beside = asyncio.create_task(tick())
            answers = await answer_async(QUESTIONS, Always(Vote(2)), client)
            beside.cancel()
            return answers, ticks

    answers, ticks = asyncio.run(both())
    assert answers.complete
    assert ticks > 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"questions": []}, "questions is empty"),
        ({"questions": None}, "questions is None; expected a questions file"),
        ({"questions": ["1 + 1", 5]}, r"questions\[1\] is 5; expected a text"),
        ({"max_requests": 0}, "max_requests is 0"),
        ({"questions": [{"id": "a", "question": "1"}, {"id": "a", "question": "2"}]}, "like questions"),
        ({"budget": float("nan")}, "budget is nan"),
        ({"budget": -1}, "budget is -1"),
        ({"X": [1]}, "X has 1 row, but"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_cost": 1.0}, "max_cost needs rates"),
        ({"costs": {"tiny": -1}}, "costs"),
        ({"client": None}, "client must be"),
    ],
)
def test_bad_arguments(change, words):
    with client_of(type("Nowhere", (), {"url": "http://127.0.0.1:1/v1"})) as client:
        given = {"questions": QUESTIONS, "client": client} | change
        with pytest.raises(InputError, match=words):
            answer(given.pop("questions"), Always(Vote(1)), given.pop("client"), **given)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("costs", [{"tiny": 2.0}, None])
def test_the_budget_holds_whatever_a_sample_costs(concurrency, costs):
    rates = None if costs else Rates.per_million(1e5, 2e5)  # 2 for the prompt, 1 for the five tokens of an answer
    budget = 2.0 if costs else 4.5
    with Chaos(default="ok:0.02") as server, client_of(server, rates=rates) as client:
        answers = answer(QUESTIONS, Always(Vote(3)), client, budget=budget, costs=costs, concurrency=concurrency)
    assert answers.complete
    assert budget / 2 < answers.spend <= budget * (1 + 1e-9)


def test_what_cannot_be_done_live():
    with Chaos() as server, client_of(server) as client:
        with pytest.raises(InputError, match="needs a verifier"):
            answer(QUESTIONS, Always(Best(4)), client)
        with pytest.raises(InputError, match="no server gives"):
            answer(QUESTIONS, Always(Best(4, by="score")), client, verifier=lambda question, text: True)

        class Route:
            def start(self, x):
                return DecidedRun(Vote(1, "big" if x.startswith("1") else "small"))

        with pytest.raises(InputError, match="chooses between big, small, but there is one client"):
            answer(QUESTIONS, Route(), client)
    run = DecidedRun(Vote(1))
    run.next()
    with pytest.raises(InputError, match="'42' is no Result"):
        run.add(["42"])


SCRIPT = """
import sys
from answering_cases import Agree, QUESTIONS, client_of
from tcalloc.serve.answer import answer
class Server: url = {url!r}
with client_of(Server) as client:
    answers = answer(QUESTIONS, Agree(), client, out={out!r}, concurrency=4, say=lambda m: print(m, file=sys.stderr))
print(len(answers), answers.interrupted)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_gone_on(number, tmp_path):
    out = str(tmp_path / "run")
    with Chaos(default="ok:0.1") as server:
        script = SCRIPT.format(url=server.url, out=out)
        process = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        while len(server.requests) < 12:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, number)
        printed, _ = process.communicate(timeout=20)
        if number == signal.SIGINT:
            assert printed.endswith("True\n")
            assert len(read_run(out).records) == len(server.requests)
        before = {(r["id"], r["sample"]) for r in read_run(out).records}
        assert len(before) >= len(server.requests) - 4
        under_way = len(server.requests) - len(before)
        with client_of(server) as client:
            answers = answer(QUESTIONS, Agree(), client, out=out)
        assert answers.complete
        assert len(server.requests) == under_way + sum(one.samples for one in answers)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_call_that_is_repeated_asks_for_nothing(concurrency, tmp_path):
    """What a question got under a budget hangs on who was quicker; the second call must not decide anew."""
    out = str(tmp_path / "run")
    with Chaos(default="ok:0.005") as server, client_of(server) as client:
        first = answer(QUESTIONS, Agree(), client, budget=2.0, out=out, concurrency=concurrency)
        assert len(server.requests) == first.requests <= 40
        for _ in range(3):
            again = answer(QUESTIONS, Agree(), client, budget=2.0, out=out, concurrency=concurrency)
            assert again.requests == 0
            assert list(again) == list(first)
        # Another budget decides anew, from the samples that are there.
        more = answer(QUESTIONS, Agree(), client, budget=2.5, out=out, concurrency=concurrency)
        assert len(server.requests) == first.requests + more.requests <= 50


def test_samples_of_earlier_calls_count(tmp_path):
    out = str(tmp_path / "run")
    with Chaos(default="ok:0.005") as server, client_of(server) as client:
        while not answer(QUESTIONS, Agree(), client, budget=2.0, out=out, max_requests=7, concurrency=4).complete:
            assert len(server.requests) <= 40
        assert len(server.requests) == len(read_run(out).records) <= 40
        (tmp_path / "run" / "decisions.jsonl").unlink()  # cut off, or of another version: decided anew
        assert answer(QUESTIONS, Agree(), client, budget=2.0, out=out).complete
        assert len(server.requests) <= 40


def test_what_failed_is_asked_for_again(tmp_path):
    out = str(tmp_path / "run")
    with Chaos(["status:400"] * 2) as server, client_of(server) as client:
        first = answer(QUESTIONS, Always(Vote(2)), client, out=out, concurrency=1)
        assert sum(one.samples for one in first) == 38
        assert str(first).startswith("19 of 20 questions answered, ")
        assert str(first).endswith("1 question has no answer: 1 because requests failed or were not sent.")
        assert [one.status for one in first].count("incomplete") == 1
        second = answer(QUESTIONS, Always(Vote(2)), client, out=out, concurrency=1)
        assert second.requests == 2
        assert str(second).startswith("20 of 20 questions answered, ")


class Lots:
    """Of every ten questions the first draw of so many costs what others do not."""

    def __init__(self, asked, share, at_once=1):
        self.asked, self.share, self.at_once = asked, share, at_once

    def start(self, x):
        some = int(x.split()[0]) % 10 < 10 * self.share
        run = Agreeing()
        run.next = lambda: Draw(Vote(1), self.at_once) if some and len(run.results) < self.asked else None
        return run


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_budget_below_one_sample_is_spent(share):
    """The policy leaves questions out by itself; nothing is put aside for those."""
    questions = [f"{i} + 1" for i in range(100)]
    with Chaos() as server, client_of(server) as client:
        answers = answer(questions, Lots(1, share), client, budget=share)
    assert answers.spend == pytest.approx(share)
    left_out = 100 - round(100 * share)
    assert answers.shortfalls == (
        f"{left_out} questions have no answer: {left_out} because the policy decided to draw nothing.",
    )


@pytest.mark.parametrize("concurrency", [1, 8])
def test_prices_that_vary_leave_nobody_out(concurrency):
    """The first samples are dear: others must not be refused for what those cost."""
    questions = [f"{i} + 1" for i in range(100)]

    def dear(handler, body):
        document = completion(body)
        document["usage"] = {"prompt_tokens": 20, "completion_tokens": 180, "total_tokens": 200}
        handler.reply(200, document)

    with (
        Chaos([dear] * 3, default="ok:0.001") as server,
        client_of(server, rates=Rates.per_million(1e5, 1e5)) as client,
    ):
        answers = answer(questions, Lots(3, 1.0), client, budget=6.0, concurrency=concurrency)
    assert all(one.samples for one in answers)
    assert 5.5 < answers.spend < 6 + 17.5 / 100  # at most by what one sample costs more than the others


def test_two_models_first_draws_are_kept_for_all():
    class Route:
        def start(self, x):
            model, n = ("big", 1) if int(x.split()[0]) % 2 else ("small", 3)
            run = Agreeing()
            run.next = lambda: Draw(Vote(1, model), 1) if len(run.results) < 2 * n else None
            return run

    questions = [f"{i} + 1" for i in range(60)]
    with Chaos() as server, client_of(server, "a") as small, client_of(server, "b") as big:
        given = {"costs": {"small": 1, "big": 5}, "concurrency": 8}
        answers = answer(questions, Route(), {"small": small, "big": big}, budget=6.0, **given)
    assert all(one.samples for one in answers)
    assert 5.5 < answers.spend <= 6.0 * (1 + 1e-9)


def test_less_than_one_sample_is_refused():
    with (
        Chaos() as server,
        client_of(server) as client,
        pytest.raises(InputError, match=r"for 20 questions that is 0.02 in all, less than one sample costs \(1\)"),
    ):
        answer(QUESTIONS, Always(Vote(1)), client, budget=0.001)


def test_the_unit_of_training():
    class Trained(Always):
        @property
        def sample_costs_(self):
            return {"": 0.25}

    with Chaos() as server:
        with client_of(server) as client:  # neither rates nor costs: as in training
            found = answer(QUESTIONS, Trained(Vote(2)), client)
            assert found.spend == 0.5
            assert found.notes == ()
        with client_of(server, rates=Rates.per_million(1.0, 2.0)) as client:
            (note,) = answer(QUESTIONS, Trained(Vote(2)), client).notes
            assert "0.25 where the policy was trained" in note


def test_a_server_that_never_answers_is_told_of():
    with Chaos(default="status:400") as server, client_of(server) as client:
        answers = answer(QUESTIONS[:4], Always(Vote(1)), client)
    assert answers.stopped.startswith("no request brought an answer: ")
    assert str(answers).startswith("0 of 4 questions answered, ")
    assert answers.shortfalls == ("4 questions have no answer: 4 because requests failed or were not sent.",)


def test_a_policy_that_was_trained_in_dollars(tmp_path):
    rng = np.random.default_rng(0)
    codes = np.where(rng.random((80, 8)) < rng.uniform(0.2, 1, (80, 1)), 0, rng.integers(1, 4, (80, 8)))
    small = Samples(codes, cost=0.001 * rng.uniform(0.5, 1.5, codes.shape))
    policy = Sequential(budget=0.003).fit(None, small)
    policy.save(tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    assert policy.sample_costs_ == pytest.approx({"": 0.001}, rel=0.1)
    with Chaos() as server:
        with client_of(server) as client:  # no prices: a sample costs what it did
            answers = answer(QUESTIONS, policy, client, budget=0.003)
            assert all(one.samples for one in answers)
            assert all(0 < one.probability < 1 for one in answers if one.answer is not None)
            assert 0.001 < answers.spend <= 0.003 * (1 + 1e-9)
            with pytest.raises(InputError, match="less than one sample costs"):
                answer(QUESTIONS, policy, client, budget=1e-6)
        with client_of(server, "a") as one, client_of(server, "b") as other:
            big = Samples(codes, cost=0.01)
            both = Sequential(budget=0.02).fit(None, Samples(arms={"one": small, "other": big}))
            assert both.sample_costs_["other"] == pytest.approx(0.01)
            assert answer(QUESTIONS, both, {"one": one, "other": other}).spend < 0.1


def test_what_was_cut_stays_cut(tmp_path):
    """14 questions were cut to what the money paid, and six requests failed: they stay as they were answered."""
    out = str(tmp_path / "run")

    class Most:
        def start(self, x):
            run = Agreeing()
            most = 5 if int(x.split()[0]) < 14 else 1
            run.next = lambda: Draw(Vote(1), 1) if len(run.results) < most else None
            return run

    def refuse_some(handler, body):
        if int(body["messages"][-1]["content"].split()[0]) < 14:
            handler.answer(body)
        else:
            handler.error(400, "not this one")

    with Chaos(default=refuse_some) as server, client_of(server) as client:
        first = answer(QUESTIONS, Most(), client, budget=1.5, out=out, concurrency=1)
        assert sum(one.samples for one in first) == 30  # what was kept for the six went to the others
        assert {one.status for one in first[14:]} == {"incomplete"}
        assert min(one.samples for one in first[:14]) < 5
        again = answer(QUESTIONS, Most(), client, budget=1.5, out=out, concurrency=1)
        assert again.requests == 0  # no money is left
        assert list(again)[:14] == list(first)[:14]
        assert {one.status for one in again[14:]} == {"left out"}
    # Another budget and another policy are not held to it: those without a sample come first.
    with Chaos() as server, client_of(server) as client:
        more = answer(QUESTIONS, Always(Vote(2)), client, budget=1.8, out=out, concurrency=1)
        assert more.requests == 6
        assert [one.samples for one in more[14:]] == [1] * 6

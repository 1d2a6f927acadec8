"""What a judge costs: one budget over all calls, lost replies included, and no verdict that was paid for is lost."""

import random
import signal
import subprocess
import sys
import time

import pytest
from chaos import Chaos
from judges import Judge, honest
from sample_cli import ENVIRONMENT, main, write_questions

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.graders import make_grader
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.money.journal import Journal
from tcalloc.llm.questions import load_questions
from tcalloc.llm.regrading import grade
from tcalloc.llm.sampler import sample
from tcalloc.runs.lines import read_samples
from tcalloc.runs.store import read_run

pytest.importorskip("aiohttp")

RATES = Rates.per_million(0.0, 1e6)  # the replies have 5 tokens: 5 each, and 8 at most
PRICE, MOST = 5.0, 8.0
BILLED = ("cut", "close", "truncated_json")


def judged(handler, body):
    text = honest(body["messages"][-1]["content"].replace("The answer is ", "").replace('."\n', '"\n'))
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
    handler.reply(200, {"choices": [choice], "usage": usage})


def judge_of(server, **options):
    options = {"rates": RATES, "backoff": Backoff(retries=8, bad_replies=8, base=0.001, cap=0.01)} | options
    return ChatClient(server.url, "big", Parameters(max_tokens=8), key=None, **options)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of five questions, three samples each, graded as numbers."""
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "q.jsonl", 5)
    with Chaos() as server, ChatClient(server.url, "m", key=None) as client:
        sample(load_questions("q.jsonl"), client, make_grader("numeric"), 3, out="run")
    return tmp_path / "run"


def test_the_money_ends_and_the_same_call_goes_on(run):
    before = (run / "samples.jsonl").read_bytes()
    with Chaos(default=judged) as server, judge_of(server) as client:
        judge = make_grader("judge", client=client)
        first = grade(run, judge, max_cost=34.0, concurrency=4)
        assert (first.spent, first.lost, first.applied) == (30.0, 0.0, False)
        assert "more than is left of max_cost = 34" in first.stopped
        assert str(first).endswith("The judge cost 30 in all. The folder holds the verdicts that it had.")
        assert (run / "samples.jsonl").read_bytes() == before
        assert len(server.requests) == 6
        same = grade(run, judge, max_cost=34.0)  # nothing more can be paid
        assert (same.spent, same.graded, len(server.requests)) == (30.0, 6, 6)
        last = grade(run, judge, max_cost=80.0, concurrency=4)
        assert (last.spent, last.graded, last.stopped, last.applied) == (75.0, 15, None, True)
        assert len(server.requests) == 15
        everything = grade(run, judge, everything=True, max_cost=80.0)  # the limit holds for all that judges cost
        assert (everything.spent, everything.applied, len(server.requests)) == (75.0, False, 15)
    assert judge.bill is None
    # The samples' own books know nothing of it.
    assert {record.get("cost") for record in read_run(run).records} == {None}


@pytest.mark.parametrize("seed", range(3))
def test_lost_replies_count(seed, run):
    """30 % of the requests fail; over several calls the server never bills more than the books have."""
    rng = random.Random(seed)
    script = [rng.choice([*BILLED, "429"]) if rng.random() < 0.3 else judged for _ in range(100)]
    with Chaos(script, default=judged) as server, judge_of(server) as client:
        judge = make_grader("judge", client=client)
        for most in (30.0, 60.0, 90.0, 400.0):
            result = grade(run, judge, max_cost=most, concurrency=4)
            billed = sum(request["fault"] != "429" for request in server.requests)
            assert billed * PRICE <= result.spent + result.lost <= most
        assert result.applied
        assert result.spent == 75.0
        assert result.lost == (billed - 15) * MOST
    journal = Journal(str(run))
    journal.close()
    assert (journal.lost_cost(judges=True), journal.lost_cost()) == (result.lost, 0.0)  # sampling has its own budget


SLOW = """
import sys
from test_judge_money import grade, judge_of, make_grader
class Server: url = {url!r}
with judge_of(Server) as client:
    grade("run", make_grader("judge", client=client), max_cost=200.0, concurrency=4)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed(run):
    """What was under way counts as paid, and no verdict that is stored is asked for again."""

    def slow(handler, body):
        time.sleep(0.1)
        judged(handler, body)

    with Chaos(default=slow) as server:
        script = SLOW.format(url=server.url)
        with subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT) as process:
            while len(server.requests) < 7 and process.poll() is None:
                time.sleep(0.005)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        stored = len([line for line in read_samples("run/verdicts.jsonl", []) if line["by"] == "session"])
        sent = len(server.requests)
        with judge_of(server) as client:
            result = grade(run, make_grader("judge", client=client), max_cost=200.0)
        assert len(server.requests) - sent == 15 - stored
        assert result.spent == 75.0
        assert result.lost == (sent - stored) * MOST > 0


@pytest.mark.parametrize(
    ("grader", "options", "words"),
    [
        ("numeric", {}, "max_cost needs a judge"),
        ("other", {}, "max_cost needs a judge that is asked through a ChatClient"),
        ("judge", {"rates": None}, "max_cost needs rates and max_tokens"),
        ("judge", {"max_cost": -1.0}, "max_cost is -1.0; expected"),
    ],
)
def test_limits_that_cannot_be_held(grader, options, words, run):
    with Chaos(default=judged) as server:
        max_cost = options.pop("max_cost", 1.0)
        with judge_of(server, **options) as client:
            given = {"judge": {"client": client}, "other": {"client": Judge(honest)}}.get(grader)
            made = make_grader(grader) if given is None else make_grader("judge", **given)
            with pytest.raises(InputError, match=words):
                grade(run, made, max_cost=max_cost)
        assert not server.requests


def test_the_command_line(run, capsys):
    with Chaos(default=judged) as server:
        command = ["grade", "run", "--grader", "judge", "--base-url", server.url, "--model", "big", "--max-tokens", "8"]
        assert main([*command, "--max-cost", "34"]) == 2
        assert "--max-cost needs --price-in and --price-out" in capsys.readouterr().err
        assert main(["grade", "run", "--max-cost", "34"]) == 2
        assert "--max-cost need --grader judge" in capsys.readouterr().err
        command += ["--price-in", "0", "--price-out", "1e6", "--max-cost"]
        assert main([*command, "34"]) == 1
        out, err = capsys.readouterr()
        assert "6 of 15 samples graded by judge:big" in out
        assert err.splitlines()[-1].startswith("tcalloc: error: 30 is spent; the next request may cost 8, more than")
        assert err.endswith("max_cost = 34. The verdicts so far are stored. The same command continues.\n")
        assert main([*command, "75"]) == 1  # the last request might cost more than it does
        assert main([*command, "78", "--json"]) == 0
        assert '"spent": 75.0' in capsys.readouterr().out
        assert len(server.requests) == 15

"""Budgets against a server that fails: spend at the server ≤ books ≤ budget, and a first draw for every question."""

import math
import random
import subprocess
import sys
import threading
import time

import pytest
from chaos import Chaos, completion
from places import ENVIRONMENT

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, DecidedRun, Draw
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.graders import make_grader
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.http.transport import Timeouts
from tcalloc.llm.money.journal import Journal, Lost
from tcalloc.llm.questions import question_from
from tcalloc.llm.sampler import sample
from tcalloc.measure import Vote
from tcalloc.measure.actions import One
from tcalloc.runs.store import read_run
from tcalloc.serve.answer import answer

pytest.importorskip("aiohttp")

# What a server bills although the client gets nothing of it, and what it does not bill.
BILLED = ("cut", "close", "truncated_json", "reset")
FREE = ("status:503", "429")
RATES = Rates.per_million(1e5, 2e5)  # 20 tokens of the prompt and 5 of the answer: 3 for each sample
PRICE = 3.0


def questions(n):
    return [f"{i} + 1" for i in range(n)]


def client_of(server, model="tiny", *, bounded=True, **options):
    options = {"rates": None, "backoff": Backoff(retries=8, bad_replies=8, base=0.001, cap=0.01)} | options
    parameters = Parameters(max_tokens=32 if bounded else None)
    return ChatClient(server.url, model, parameters, key=None, timeouts=Timeouts(total=20), **options)


def faults(seed, n, share=0.3):
    """A script where this share of the requests fails, half of those after the server has done the work."""
    rng = random.Random(seed)
    return [rng.choice(BILLED + FREE) if rng.random() < share else "ok:0.002" for _ in range(n)]


def billed(server):
    """How many samples the server has billed."""
    return sum(request["fault"] not in FREE for request in server.requests)


@pytest.mark.parametrize(("n", "concurrency"), [(50, 1), (50, 8), (60, 64)])
def test_a_vote_is_cut_so_that_everyone_has_a_sample(n, concurrency):
    with Chaos(default="ok:0.005") as server, client_of(server) as client:
        answers = answer(questions(n), Always(Vote(50)), client, budget=1.0, concurrency=concurrency)
    assert [one.samples for one in answers] == [1] * n
    assert {one.status for one in answers} == {"cheaper than decided"}
    assert len(server.requests) == n
    assert answers.shortfalls[0].startswith(f"{n} questions got fewer samples")


def test_a_vote_of_unknown_price_is_cut_too():
    """The first sample goes ahead alone to learn the price; it does not take the whole vote with it."""
    with Chaos(default="ok:0.005") as server, client_of(server, rates=RATES) as client:
        answers = answer(questions(50), Always(Vote(50)), client, budget=PRICE, concurrency=16)
    assert [one.samples for one in answers] == [1] * 50
    assert answers.spent == pytest.approx(50 * PRICE)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("budget", [1.0, 1.6, 4.0])
def test_faults(seed, budget, tmp_path):
    """64 at one time, 30 % faults, known costs: the server never bills more than the books have."""
    out = str(tmp_path / "run")
    with Chaos(faults(seed, 1000), default="ok:0.002") as server, client_of(server) as client:
        answers = answer(questions(100), Always(Vote(3)), client, budget=budget, concurrency=64, out=out)
        assert answers.complete
        books = sum(one.spend for one in answers) + answers.lost
        assert billed(server) <= books <= 100 * budget
        assert answers.lost == billed(server) - len(read_run(out).records)
        without = sum(not one.samples for one in answers)
        if without:  # only because there was no money left
            assert books == 100 * budget
            assert {one.status for one in answers if not one.samples} == {"left out"}
        else:
            assert budget > 1
        # The same call once more pays for nothing that is there, and does not forget what was lost.
        sent = len(server.requests)
        again = answer(questions(100), Always(Vote(3)), client, budget=budget, concurrency=64, out=out)
        assert len(server.requests) == sent
        assert again.lost == answers.lost


@pytest.mark.parametrize("rates", [None, RATES])
@pytest.mark.parametrize("budget", [1.1, 1.3, 1.6])
@pytest.mark.parametrize("seed", [0, 4])
def test_every_question_has_a_first_sample_while_money_lasts(seed, budget, rates):
    """64 at one time, 30 % faults, and little more money than first samples need."""
    price = 1.0 if rates is None else PRICE
    with Chaos(faults(seed, 1000), default="ok:0.002") as server, client_of(server, rates=rates) as client:
        answers = answer(questions(100), Always(Vote(3)), client, budget=budget * price, concurrency=64)
    books = sum(one.spend for one in answers) + answers.lost
    assert billed(server) * price <= books * (1 + 1e-12)
    assert books <= 100 * budget * price * (1 + 1e-12)
    if not all(one.samples for one in answers):  # then nobody has two, and not one more sample is paid for
        assert max(one.samples for one in answers) == 1
        assert 100 * budget * price - books < price * (1 - 1e-12)
    else:  # what was kept for first samples goes to others; a request is sent if the most that it can cost is left
        assert 100 * budget * price - books < (price if rates is None else 20.0)


def test_first_samples_of_several_models_leave_enough_for_others():
    """Samples of the large model cost ten times as much, so lost ones would soon take what others need."""

    class Large:
        actions_, cost_ = (One("small"), One("large")), (1.0, 10.0)

        def start(self, x):
            return DecidedRun(One("large"))

    with (
        Chaos(faults(0, 1000), default="ok:0.002") as server,
        client_of(server, model="small") as small,
        client_of(server, model="large") as large,
    ):
        answers = answer(questions(100), Large(), {"small": small, "large": large}, budget=5.0, concurrency=64)
    assert min(one.samples for one in answers) == 1
    assert sum(one.spend == 10.0 for one in answers) > 20
    assert sum(one.spend for one in answers) + answers.lost <= 500


def test_a_slow_first_sample_holds_nothing_up():
    """The others go on with what is left, even if the slow one needs all its tries."""
    seen = []

    def slow(handler, body):
        until = time.monotonic() + 10
        while len(server.requests) < 70 and time.monotonic() < until:
            time.sleep(0.01)
        seen.append(len(server.requests))
        handler.answer(body)

    with Chaos(["ok", slow]) as server, client_of(server, backoff=Backoff(retries=2, bad_replies=2)) as client:
        answers = answer(questions(20), Always(Vote(4)), client, budget=4.0, concurrency=8)
    assert seen[0] >= 70
    assert sum(one.samples for one in answers) == 80
    assert min(one.samples for one in answers) >= 1


def test_stopped_between_first_samples_and_the_rest():
    """What has a first sample and no more is answered by that, where no folder keeps it for later."""
    with Chaos() as server, client_of(server) as client:
        answers = answer(questions(20), Always(Vote(3)), client, budget=2.0, concurrency=4, max_requests=12)
    assert [one.samples for one in answers] == [1] * 12
    assert {one.status for one in answers} == {"incomplete"}
    assert all(one.answer is not None for one in answers)


@pytest.mark.parametrize("known", [True, False])
def test_lost_replies_count_in_later_calls(known, tmp_path):
    """Six calls, each interrupted by a limit of requests: together they keep the budget."""
    out, rates, each = str(tmp_path / "run"), None if known else RATES, 1.0 if known else PRICE
    script = ["ok"] * 4 + faults(1, 600, 0.5)
    with Chaos(script) as server, client_of(server, rates=rates) as client:
        for limit in (25, 25, 25, 25, 25, None):
            answers = answer(
                questions(40), Always(Vote(4)), client, budget=2 * each, concurrency=8, out=out, max_requests=limit
            )
        assert answers.complete
        assert billed(server) * each <= sum(one.spend for one in answers) + answers.lost + 1e-9
        assert sum(one.spend for one in answers) + answers.lost <= 80 * each * (1 + 1e-9)
        assert answers.lost > 0


def test_max_cost_holds_over_calls(tmp_path):
    out = str(tmp_path / "run")
    asked = [question_from({"question": text}, "here", text) for text in questions(40)]
    with Chaos(faults(2, 900, 0.5)) as server, client_of(server, rates=RATES) as client:
        for limit in (20, 20, 20, None, None):
            outcome = sample(
                asked, client, make_grader("numeric"), 3, out=out, max_cost=150.0, max_requests=limit, concurrency=8
            )
            assert outcome.spent + outcome.lost <= 150.0 * (1 + 1e-12)
        assert billed(server) * PRICE <= outcome.spent + outcome.lost
        assert "max_cost" in outcome.stopped
        assert outcome.lost > 0


def test_a_question_whose_first_reply_was_lost_is_asked_again_at_the_end():
    """Its retry may not take what is kept for others; when others need less, it is served."""
    script = ["truncated_json", "status:400"]
    with Chaos(script) as server, client_of(server) as client:
        answers = answer(questions(10), Always(Vote(1)), client, budget=1.0, concurrency=1)
    assert [one.samples for one in answers] == [1, 0] + [1] * 8
    assert [one.status for one in answers] == ["as decided", "incomplete"] + ["as decided"] * 8
    assert answers.lost == 1.0
    assert str(answers).splitlines()[0].endswith("lost replies count as 1 in all besides.")


def test_first_draws_that_are_refused_do_not_block_the_money():
    """What was kept for a question that fails goes to those that come after it."""
    with Chaos(["status:400"] * 5) as server, client_of(server) as client:
        answers = answer(questions(10), Always(Vote(3)), client, budget=1.0, concurrency=1)
    assert [one.samples for one in answers][:2] == [0, 0]
    assert sum(one.samples for one in answers) == 10


def test_a_policy_that_stops_while_sampling_leaves_first_draws():
    class Greedy:
        def start(self, x):
            return Drawing()

    class Drawing:
        answer, vote_share = None, 0.0

        def __init__(self):
            self.results = []

        def next(self):
            return Draw(Vote(1), 1) if len(self.results) < 20 else None

        def add(self, results):
            self.results.extend(results)

        @property
        def spend(self):
            return sum(result.cost for result in self.results)

    with Chaos(default="ok:0.002") as server, client_of(server) as client:
        answers = answer(questions(100), Greedy(), client, budget=2.0, concurrency=64)
    assert min(one.samples for one in answers) >= 1
    assert answers.spend == 2.0


def varying(costs):
    """A server's fault: good replies with so many tokens, one after the other, then as the last one."""

    def some(handler, body):
        with lock:
            tokens = next(left, costs[-1])
        document = completion(body)
        document["usage"] = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
        handler.reply(200, document)

    left, lock = iter(costs), threading.Lock()
    return some


@pytest.mark.parametrize("bounded", [True, False])
def test_prices_that_vary_keep_first_draws(bounded):
    rng = random.Random(0)
    costs = [rng.choice([2, 5, 20]) for _ in range(1000)]
    with Chaos(default=varying(costs)) as server, client_of(server, rates=RATES, bounded=bounded) as client:
        answers = answer(questions(80), Always(Vote(8)), client, budget=8.0, concurrency=16)
    assert min(one.samples for one in answers) >= 1
    # Without a bound, at most what the samples under way cost more than any before.
    assert 7.0 < answers.spend <= 8.0 + (0 if bounded else 6.0 * 16 / 80)


@pytest.mark.parametrize("bounded", [True, False])
def test_prices_that_rise(bounded):
    """Samples get 2.5 times as expensive when most is spent: rates and max_tokens bound what is under way."""
    costs = [2] * 115 + [20]
    with Chaos(default=varying(costs)) as server, client_of(server, rates=RATES, bounded=bounded) as client:
        answers = answer(questions(80), Always(Vote(8)), client, budget=4.0, concurrency=64)
    assert min(one.samples for one in answers) >= 1
    assert (answers.spend <= 4.0) == bounded
    assert answers.spend > 3.6


def test_the_last_first_sample_is_sent_for_what_samples_cost():
    """No first sample is left out because it might cost more than is left; the total is exact if it does not."""
    with Chaos() as server, client_of(server, rates=RATES) as client:
        answers = answer(questions(12), Always(Vote(3)), client, budget=PRICE, concurrency=4)
        assert [one.samples for one in answers] == [1] * 12
        assert answers.spend == pytest.approx(PRICE)


SCRIPT = """
import sys
from test_live_budget import Always, Vote, answer, client_of, questions
class Server: url = {url!r}
with client_of(Server) as client:
    answer(questions(40), Always(Vote(3)), client, budget=2.0, out={out!r}, concurrency=16)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("after", [1, 15, 30])
def test_killed(after, tmp_path):
    """After kill -9 what was under way counts as paid, and nothing that is stored is asked for again."""
    out = str(tmp_path / "run")
    with Chaos(faults(after, 500), default="ok:0.05") as server:
        server.script = type(server.script)(f if f != "ok:0.002" else "ok:0.05" for f in server.script)
        for _ in range(2):
            seen = len(server.requests)
            script = SCRIPT.format(url=server.url, out=out)
            process = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT)
            while len(server.requests) < seen + after and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            assert process.wait() == -9
        time.sleep(0.2)
        stored = {(r["id"], r["seed"]) for r in read_run(out).records}
        seen = len(server.requests)
        with client_of(server) as client:
            answers = answer(questions(40), Always(Vote(3)), client, budget=2.0, out=out, concurrency=16)
        assert answers.complete
        later = {request["body"]["seed"] for request in server.requests[seen:]}
        assert not later & {seed for _, seed in stored}
        books = sum(one.spend for one in answers) + answers.lost
        assert billed(server) <= books <= 80
        assert billed(server) - len(read_run(out).records) <= answers.lost


def test_a_journal_that_is_the_users(tmp_path):
    out, theirs = tmp_path / "run", tmp_path / "theirs"
    theirs.write_text("mine\n")
    with Chaos() as server, client_of(server) as client:
        answer(questions(2), Always(Vote(1)), client, out=str(out))
        (out / "requests.jsonl").unlink()
        (out / "requests.jsonl").symlink_to(theirs)
        with pytest.raises(InputError, match=r"requests\.jsonl.*link"):
            answer(questions(2), Always(Vote(2)), client, out=str(out))
        assert len(server.requests) == 2
    assert theirs.read_text() == "mine\n"


def test_the_journal(tmp_path):
    journal = Journal(str(tmp_path))
    numbers = [journal.sent(Lost("arm", k + 1, 0.5 * k)) for k in range(4)]
    journal.ended(numbers[1])
    journal.close()
    journal.ended(numbers[2])  # of a call that was given up: no file is open, so it stays in the books
    path = tmp_path / "requests.jsonl"
    with open(path, "ab") as file:
        file.write(
            b'{"request": 9, "arm": "arm", "n": 1, "most": 1e999}\n[1]\n{"request": "\xff"}\n'
            + b"[" * 9999
            + b'\n{"req'
        )
    again = Journal(str(tmp_path))
    assert again.lost == [Lost("arm", 1, 0.0), Lost("arm", 3, 1.0), Lost("arm", 4, 1.5)]
    again.ended(again.sent(Lost("other", 1, 9.0)))
    again.close()
    third = Journal(str(tmp_path))
    third.close()
    assert third.lost == again.lost
    assert math.fsum(one.most for one in third.lost) == 2.5

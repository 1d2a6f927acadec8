"""The budget of a gateway, its metrics, and what is stored for the next policy."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from upstreams import Upstream

from tcalloc import BudgetKeeper, Rates, Samples, fit
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, DecidedRun
from tcalloc.learn.sequential import Sequential
from tcalloc.measure.actions import One, Vote
from tcalloc.runs.store import read_run
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

# 10 tokens of the prompt and 7 of the answer: 24 millionths.
RATES, BILL = Rates.per_million(1.0, 2.0), 24e-6


def gate(server, policy, keeper=None, **options):
    sending = Sending(max_tokens=50, n_per_request=options.pop("at_once", None))
    return Gateway(server.url, policy, port=0, keeper=keeper, rates=RATES, sending=sending, **options)


def numbers(page):
    return {name: float(value) for name, value in re.findall(r"^(tcalloc\S+) (\S+)$", page, re.M)}


def test_every_request_is_settled_at_its_bill(ask, get):
    keeper = BudgetKeeper(total=1.0, unit="usd", period=1000)
    with Upstream() as server, gate(server, Always(Vote(3)), keeper) as gateway:
        got = [ask(gateway), ask(gateway, stream=True), ask(gateway, n=2), ask(gateway, tools=[1], stream=True)]
        seen = numbers(get(gateway, "/metrics").data.decode())
    assert [one.status for one in got] == [200] * 4
    assert float(got[0].headers["x-tcalloc-spend"]) == pytest.approx(3 * BILL)
    status = keeper.status()
    # Two choices of one request: 10 tokens and twice 7.
    assert status.spent == pytest.approx(7 * BILL + 38e-6)
    assert (status.open_grants, status.reserved, status.requests) == (0, 0, 4)
    assert seen["tcalloc_budget_total"] == 1.0
    assert seen["tcalloc_budget_spent"] == pytest.approx(status.spent) == pytest.approx(seen["tcalloc_spend_total"])
    assert seen['tcalloc_actions_total{action="vote3"}'] == seen['tcalloc_actions_total{action="one"}'] == 2
    assert seen['tcalloc_vote_share_bucket{le="0.9"}'] == 0
    assert seen['tcalloc_vote_share_bucket{le="1.0"}'] == seen["tcalloc_vote_share_count"] == 2
    assert seen["tcalloc_latency_seconds_count"] == seen['tcalloc_requests_total{outcome="answered"}'] == 4
    assert seen["tcalloc_samples_total"] == 9


def test_a_budget_that_is_spent(ask):
    keeper = BudgetKeeper(total=0.002, unit="usd")
    with Upstream() as server, gate(server, Always(Vote(2)), keeper) as gateway:
        got = [ask(gateway) for _ in range(60)]
    answered = [one for one in got if one.status == 200]
    refused = [one for one in got if one.status == 429]
    assert len(answered) + len(refused) == 60
    assert refused
    assert refused[0].json["error"]["code"] == "insufficient_quota"
    assert refused[0].headers["x-should-retry"] == "false"
    assert keeper.status().spent == pytest.approx(len(server.bodies) * BILL)
    assert keeper.status().spent <= 0.002


def test_a_state_that_is_lost_is_no_licence_to_spend(ask, get, tmp_path, caplog):
    """What is spent then is seen by nobody else: no request goes to the server until the file is back."""
    with (
        BudgetKeeper(total=1.0, unit="usd", state=tmp_path / "budget.db") as keeper,
        Upstream() as server,
        gate(server, Always(Vote(2)), keeper) as gateway,
    ):
        assert ask(gateway).status == 200
        (tmp_path / "budget.db").rename(tmp_path / "aside")
        got = [ask(gateway), ask(gateway, stream=True), ask(gateway, tools=[1])]
        assert [(one.status, one.headers["x-should-retry"]) for one in got] == [(429, "false")] * 3
        assert len(server.bodies) == 2
        assert json.loads(get(gateway, "/status").data)["budget_failed"] is True
        (tmp_path / "aside").rename(tmp_path / "budget.db")
        assert ask(gateway).status == 200
        assert keeper.status().spent == pytest.approx(4 * BILL)
    assert "budget.db was deleted or replaced" in caplog.text


def test_a_priced_policy_and_one_that_stops(ask):
    from tcalloc import PricedPolicy

    rng = np.random.default_rng(0)
    codes = np.where(rng.random((60, 8)) < np.where(np.arange(60) % 2, 0.5, 0.95)[:, None], 0, 1)
    samples = Samples(codes, cost=np.full((60, 8), BILL))
    texts = [f"What is {i} plus {'a long number' if i % 2 else i}?" for i in range(60)]
    priced = PricedPolicy().fit(texts, samples.table([One(), Vote(3), Vote(5)]))
    stopping = Sequential().fit(None, samples)
    for policy, cap in ((priced, None), (stopping, 0.01)):
        keeper = BudgetKeeper(total=1.0, unit="usd", period=100, cap_per_question=cap)
        with Upstream() as server, gate(server, policy, keeper) as gateway:
            got = [ask(gateway, text) for text in texts[:8]]
        assert [one.status for one in got] == [200] * 8
        assert keeper.status().spent == pytest.approx(len(server.bodies) * BILL)
        assert sum(int(one.headers["x-tcalloc-samples"]) for one in got) == len(server.bodies)
    with Upstream() as server, pytest.raises(InputError, match="cap-per-question"):
        gate(server, stopping, BudgetKeeper(total=1.0))


def test_many_samples_by_one_request(ask):
    with Upstream() as server, gate(server, Always(Vote(4)), at_once=4) as gateway:
        got = ask(gateway)
    assert [body["n"] for body in server.bodies] == [4]
    assert got.headers["x-tcalloc-samples"] == "4"
    assert len(got.json["choices"]) == 1


@pytest.mark.parametrize("texts", [False, True])
def test_explored_requests_are_a_run_folder(ask, tmp_path, texts):
    seen = tmp_path / "seen"
    replies = [f"So it is {j % 3} secretly" for i in range(12) for j in (0, 0, 1, i)]
    for _ in range(2):  # the second gateway goes on with the folder
        with (
            Upstream(list(replies)) as server,
            gate(server, Always(Vote(4)), explore=1.0, explore_samples=4, store=seen, store_texts=texts) as gateway,
        ):
            got = [ask(gateway, f"a secret question {i}") for i in range(12)]
    assert {one.headers["x-tcalloc-reason"] for one in got} == {"explored"}
    run = read_run(seen)
    assert len(run.questions) == 24
    assert len(run.records) == 96
    stored = "".join(path.read_text() for path in seen.iterdir())
    assert ("secret" in stored) == texts
    if not texts:  # a hash of the prompt would let a guess be confirmed
        assert {record["params"] for record in run.records} == {run.manifest["arms"][0]["arm"]}
        assert {record["answer"] for record in run.records} <= {f"answer {i}" for i in range(1, 5)}
    if texts:
        assert run.questions[0]["question"] == "a secret question 0"
    samples = Samples.load(seen, labels="agreement")
    assert len(samples) == 24
    report = fit(samples, 2 * BILL, "sequential", labels="agreement")
    assert report.policy.start(None).next().n >= 1
    with Upstream() as server, pytest.raises(InputError, match="another folder"):
        gate(server, Always(One()), explore=1.0, store=seen, store_texts=not texts)


def test_explored_requests_are_paid_from_the_budget(ask, tmp_path):
    keeper = BudgetKeeper(total=0.002, unit="usd")
    with (
        Upstream() as server,
        gate(server, Always(Vote(4)), keeper, explore=1.0, explore_samples=4, store=tmp_path / "seen") as gateway,
    ):
        got = [ask(gateway) for _ in range(20)]
    assert keeper.status().spent == pytest.approx(len(server.bodies) * BILL)
    assert keeper.status().spent <= 0.002
    assert len(read_run(tmp_path / "seen").questions) == sum(one.status == 200 for one in got) > 0
    assert json.loads((tmp_path / "seen" / "run.json").read_text())["explored"] is True


def test_a_request_for_which_the_policy_draws_nothing_is_counted_once(ask):
    class Nothing:
        """Stops while sampling, and draws nothing."""

        def frontier(self):
            return SimpleNamespace(spend=np.array([0.0, 1e-4]), accuracy=np.array([0.1, 0.5]))

        def at(self, budget):
            return self

        def start(self, x):
            return DecidedRun(None)

    keeper = BudgetKeeper(total=1.0, unit="usd", period=10, cap_per_question=0.01)
    with (
        Upstream() as server,
        Gateway(server.url, Nothing(), port=0, keeper=keeper, rates=RATES, sending=Sending(max_tokens=50)) as gateway,
    ):
        got = [ask(gateway) for _ in range(3)]
        status = keeper.status()
    assert {one.headers["x-tcalloc-reason"] for one in got} == {"policy draws nothing"}
    assert (status.requests, status.open_grants) == (3, 0)
    assert status.spent == pytest.approx(3 * BILL)

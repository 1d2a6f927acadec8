"""What the gateway says that it saves: from explored requests, since the policy was loaded, without being asked."""

import re
import time

import numpy as np
import pytest
from upstreams import Simulated

from tcalloc import BudgetKeeper, Rates, Samples
from tcalloc.learn.protocol import Always
from tcalloc.learn.rivals import TunedRule
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.decisions import ServedPolicy
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.exploring import Seen
from tcalloc.serve.gateway.savings import Savings
from tcalloc.serve.gateway.server import Gateway

KEYS = {"saved_share", "low", "high", "requests", "spend", "spend_fixed", "agreement", "agreement_fixed", "since"}


def rule(budget=3.0, cost=1.0):
    rng = np.random.default_rng(1)
    chance = np.where(np.arange(120) % 2, 0.5, 0.95)[:, None]
    codes = np.where(rng.random((120, 8)) < chance, 0, rng.integers(1, 6, (120, 8)))
    return TunedRule("margin + cap", budget=budget).fit(None, Samples(codes, cost=np.full((120, 8), cost)))


def gate(server, policy, folder, **options):
    return Gateway(server.url, policy, port=0, explore=1.0, store=folder, **options)


def test_savings_come_from_explored_requests(ask, get, tmp_path):
    began = time.time()
    with Simulated() as server, gate(server, rule(), tmp_path / "seen") as gateway:
        for i in range(19):
            ask(gateway, f"{i} and more?")
        gateway.review()
        assert gateway.savings is None
        assert "tcalloc_saved_share" not in get(gateway, "/metrics").data.decode()
        for i in range(19, 80):
            ask(gateway, f"{i} and more?")
        gateway.review()
        found = gateway.savings
        page = get(gateway, "/metrics").data.decode()
        gateway.serve(Always(One()))  # what was explored before says nothing of it
        assert gateway.savings is None
        gateway.review()
        assert gateway.savings is None
    assert found.keys() == KEYS
    assert all(type(value) is float for value in found.values())
    assert found["requests"] == 80
    assert began - 1 <= found["since"] <= time.time() + 1
    assert 0.2 < found["low"] < found["saved_share"] < found["high"] < 0.8
    assert float(re.search(r"^tcalloc_saved_share (\S+)$", page, re.M)[1]) == pytest.approx(found["saved_share"])
    assert "tcalloc_saved_share_requests 80" in page


def test_the_gateway_measures_by_itself(ask, tmp_path):
    with Simulated() as server, gate(server, rule(), tmp_path / "seen") as gateway:
        for i in range(20):
            ask(gateway, f"{i} and more?")
        until = time.monotonic() + 60
        while gateway.savings is None and time.monotonic() < until:
            time.sleep(0.02)
        assert gateway.savings["requests"] == 20
        gateway.serve(rule(2.0))
        for i in range(20):
            ask(gateway, f"{i} and more?")
        while gateway.savings is None and time.monotonic() < until:
            time.sleep(0.02)
        assert gateway.savings["requests"] == 20


def test_costs_are_those_of_the_bills(ask, tmp_path):
    rates = Rates.per_million(1.0, 2.0)
    with Simulated() as server, gate(server, Always(Vote(3)), tmp_path / "seen", rates=rates) as gateway:
        for i in range(24):
            ask(gateway, f"{i} and more?")
        gateway.review()
        found = gateway.savings
    assert found["spend"] == pytest.approx(3 * 24e-6)
    assert abs(found["saved_share"]) < 0.05


def test_with_a_budget_the_policy_is_measured_at_what_requests_cost(ask, tmp_path):
    keeper = BudgetKeeper(total=1.0, unit="usd", period=1000, cap_per_question=0.01)
    rates, sending = Rates.per_million(1.0, 2.0), Sending(max_tokens=50)
    with (
        Simulated() as server,
        Gateway(
            server.url, rule(None, 24e-6), port=0, explore=0.5, store=tmp_path / "seen", rates=rates, keeper=keeper,
            sending=sending,
        ) as gateway,
    ):  # fmt: skip
        got = [ask(gateway, f"{i} and more?") for i in range(80)]
        gateway.review()
        found = gateway.savings
    spends = [float(one.headers["x-tcalloc-spend"]) for one in got if one.headers["x-tcalloc-reason"] != "explored"]
    assert 10 < len(spends) < 70
    assert found["spend"] == pytest.approx(np.mean(spends), rel=0.35)


def test_a_request_that_began_with_another_policy_does_not_count():
    old, new = ServedPolicy(Always(Vote(3))), ServedPolicy(rule())
    savings = Savings(new, clock=lambda: 5.0)
    for served, times in ((old, 30), (new, 21)):
        for i in range(times):
            savings.add(served, Seen("6 * 7?", {"": [1, 1, 1, 1, 2, 3, 1, i % 2 + 1]}, {"": [1.0] * 8}))
            savings.paid(old, 99.0)
    savings.measure()
    assert (savings.summary["requests"], savings.summary["since"]) == (21.0, 5.0)
    savings.serve(old)
    assert savings.summary is None

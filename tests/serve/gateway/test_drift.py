"""Drift of price, difficulty and agreement: the alarm comes soon after a change, and not without one."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from upstreams import Simulated

from tcalloc import Rates
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway import drift as drifts
from tcalloc.serve.gateway.drift import ARL, USUAL, Change, Drift
from tcalloc.serve.gateway.exploring import Seen
from tcalloc.serve.gateway.server import Gateway


def served(**more):
    return SimpleNamespace(**({"models": (), "costs": {}} | more))


def stream(drift, policy, count, seed, cost=1.0, chance=1.0, at=1e9):
    """Return the sentences for the log, each with the request at which it came."""
    rng = np.random.default_rng(seed)
    said = []
    for i in range(count):
        paid, right = (cost, chance) if i >= at else (1.0, 1.0)
        usual = rng.random(8) < rng.beta(2, 1) * right
        codes = np.where(usual, 1, rng.integers(2, 6, 8)).tolist()
        costs = (paid * 0.001 * rng.lognormal(0, 0.3, 8)).tolist()
        said += [(i, one) for one in drift.add(policy, Seen("", {"": codes}, {"": costs}), True)]
    return said


@pytest.mark.parametrize(
    ("change", "kind", "how", "soon"),
    [
        ({"cost": 1.5}, "price", "risen", 80),
        ({"cost": 0.5}, "price", "fallen", 120),
        ({"chance": 0.5}, "difficulty", "risen", 120),
    ],
)
def test_a_change_is_told_once(change, kind, how, soon):
    policy = served()
    drift = Drift(policy, clock=lambda: 7.0)
    said = stream(drift, policy, 600, 3, at=200, **change)
    at, sentence = said[0]
    assert 200 < at < 200 + soon
    assert sentence.startswith(f"the {kind} of explored requests has {how}: ")
    assert sum(kind in one for _, one in said) == 1
    found = drift.summary[kind]
    assert found["alarm"] == 1.0
    assert found["direction"] == (1.0 if how == "risen" else -1.0)
    assert found["since"] == 7.0
    assert (found["recent"] > found["usual"]) == (how == "risen")
    drift.serve(served())  # another policy: all begins anew
    assert drift.summary == {}


def test_no_change_no_alarm():
    for seed in range(5):
        policy = served()
        drift = Drift(policy)
        assert stream(drift, policy, 1000, seed) == []
    figures = drift.summary
    assert set(figures) == {"price", "difficulty", "agreement"}
    assert figures["price"]["usual"] == pytest.approx(0.001 * math.exp(0.045), rel=0.05)
    assert all(one["alarm"] == 0.0 and math.isnan(one["since"]) for one in figures.values())


def test_the_threshold_is_what_the_bound_needs():
    """With the usual mean at the upper end of its interval, the sums exceed a threshold as rarely as they should."""
    threshold, alarms = 500.0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        change = Change(threshold)
        for value in rng.random(USUAL):
            change.add(float(value))
        high = change._ends[1]
        alarms.append(any(change.add(float(rng.random() < high)) for _ in range(100)))
    # The chance of an alarm within 100 values is at most 100/500 on average; 40 streams scatter by 6 points.
    assert np.mean(alarms) <= 0.2 + 3 * 0.064
    assert ARL == 10_000


def test_requests_of_another_policy_and_broken_ones_do_not_count():
    policy = served()
    drift = Drift(policy)
    assert stream(drift, served(), 300, 1) == []
    assert drift.summary == {}
    two = served(models=("small", "large"))
    assert Drift(two).add(two, Seen("", {"small": [1, 1]}, {"small": [1.0, 1.0]}), True) == []


def test_the_price_beside_that_of_the_training():
    def said(costs, priced=True):
        policy = served(costs=costs)
        drift = Drift(policy)
        rows = [drift.add(policy, Seen("", {"": [1, 1]}, {"": [0.002, 0.002]}), priced) for _ in range(USUAL)]
        assert not any(rows[:-1])
        return rows[-1]

    assert said({"tiny": 0.001}) == [
        "a sample of tiny costs 0.002, and 0.001 in the training of the policy. Fit the policy again: tcalloc refit."
    ]
    assert said({"tiny": 0.0019}) == []
    assert said({"tiny": 1.0}) == []  # in training, samples were counted
    assert said({"tiny": 0.001}, priced=False) == []


def test_the_gateway_shows_it(ask, get, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(drifts, "USUAL", 20)
    monkeypatch.setattr(drifts, "RECENT", 10)
    monkeypatch.setattr(drifts, "ARL", 10)
    rates = Rates.per_million(1.0, 2.0)
    with (
        Simulated() as server,
        Gateway(server.url, Always(Vote(3)), port=0, rates=rates, explore=1.0, store=tmp_path / "seen") as gateway,
    ):
        for i in range(19):
            ask(gateway, f"{i}?")
        assert gateway.drift == {}
        ask(gateway, "19?")
        assert gateway.drift["price"] == {
            "usual": pytest.approx(24e-6),
            "recent": pytest.approx(24e-6),
            "alarm": 0.0,
            "direction": 0.0,
            "since": pytest.approx(math.nan, nan_ok=True),
        }
        server.tokens = 40  # the answers get longer
        for i in range(12):
            ask(gateway, f"{i}?")
        page = get(gateway, "/metrics").data.decode()
        assert re.search(r'^tcalloc_drift_alarm\{kind="price"\} 1$', page, re.M)
        assert re.search(r'^tcalloc_drift_alarm\{kind="agreement"\} 0$', page, re.M)
        assert float(re.search(r'^tcalloc_drift_recent\{kind="price"\} (\S+)$', page, re.M)[1]) > 60e-6
        gateway.serve(Always(Vote(5)))
        assert gateway.drift == {}
        assert "tcalloc_drift" not in get(gateway, "/metrics").data.decode()
    assert caplog.text.count("the price of explored requests has risen") == 1

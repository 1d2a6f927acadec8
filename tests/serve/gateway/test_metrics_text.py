"""The metrics as Prometheus' own client reads them."""

import math

import pytest
from upstreams import Upstream

from tcalloc import BudgetKeeper, Rates
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.history import Served
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.server import Gateway

parser = pytest.importorskip("prometheus_client.parser")


def families(text):
    found = {family.name: family for family in parser.text_string_to_metric_families(text)}
    for family in found.values():
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")
    return found


def test_all_that_the_documents_name(ask, get):
    keeper = BudgetKeeper(total=1.0, unit="usd", period="30d", price=0.25)
    rates = Rates.per_million(1.0, 2.0)
    with (
        Upstream(["5", "7", "7"]) as server,
        Gateway(
            server.url, Always(Vote(3)), port=0, keeper=keeper, rates=rates, sending=Sending(max_tokens=50)
        ) as gateway,
    ):
        ask(gateway)
        ask(gateway, "no number", messages=[{"role": "user", "content": "words"}], tools=[1])
        got = get(gateway, "/metrics")
    assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = families(got.data.decode())
    assert set(found) == {
        "tcalloc_requests", "tcalloc_actions", "tcalloc_fallbacks", "tcalloc_samples", "tcalloc_spend",
        "tcalloc_requests_open", "tcalloc_start_time_seconds", "tcalloc_latency_seconds", "tcalloc_vote_share",
        "tcalloc_budget_total", "tcalloc_budget_spent", "tcalloc_budget_reserved", "tcalloc_budget_lost",
        "tcalloc_budget_elapsed", "tcalloc_budget_forecast", "tcalloc_price",
    }  # fmt: skip
    values = {family.name: family.samples[0].value for family in found.values() if len(family.samples) == 1}
    assert values["tcalloc_price"] == 0.25
    assert values["tcalloc_samples"] == 4
    assert values["tcalloc_spend"] == pytest.approx(values["tcalloc_budget_spent"]) == pytest.approx(4 * 24e-6)
    assert {one.labels["action"]: one.value for one in found["tcalloc_actions"].samples} == {"vote3": 1, "one": 1}


def test_histograms_grow_to_their_count():
    metrics = Metrics()
    for i in range(100):
        metrics.request(Served(0.0, "vote3", "answered", "policy", 3, 0.1, 0.5, 0.001 * 1.2**i, None))
        metrics.action("vote3", 3, i / 99)
    found = families(metrics.text(None))
    for name in ("tcalloc_latency_seconds", "tcalloc_vote_share"):
        samples = found[name].samples
        buckets = [one for one in samples if one.name.endswith("_bucket")]
        bounds = [float(one.labels["le"]) for one in buckets]
        assert bounds == sorted(bounds)
        assert bounds[-1] == math.inf
        counts = [one.value for one in buckets]
        assert counts == sorted(counts)
        assert counts[-1] == 100 == next(one.value for one in samples if one.name.endswith("_count"))
        assert next(one.value for one in samples if one.name.endswith("_sum")) > 0


@pytest.mark.parametrize("name", ['say "no"', "a\\b", "a\\nb", "two\nlines", "", "{}", "é 漢字 😀", "x" * 5000])
def test_any_name_of_an_action_comes_back(name):
    metrics = Metrics()
    metrics.action(name, 1, None)
    metrics.fallback(name)
    found = families(metrics.text(None))
    assert [one.labels["action"] for one in found["tcalloc_actions"].samples] == [name]
    assert [one.labels["reason"] for one in found["tcalloc_fallbacks"].samples] == [name]

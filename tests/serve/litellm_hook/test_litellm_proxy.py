"""The hook in LiteLLM's real proxy, in front of a real server on the loopback. It runs in .ci/nightly."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from litellm_proxy import BILL, KEY, Proxy, plain, program
from places import CHECKOUT
from upstreams import Upstream, refusal

from tcalloc import BudgetKeeper, PricedPolicy, Samples
from tcalloc.measure.actions import Vote

pytest.importorskip("litellm", reason="LiteLLM is not installed; .ci/nightly installs it")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="LiteLLM's proxy is not installed; .ci/nightly installs it"),
]
CALLBACKS = ["tcalloc.serve.litellm.hook", "litellm_recorder.hook"]


def says(*numbers):
    return [f"The answer is {number}." for number in numbers]


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A proxy that votes and keeps a budget, and the server behind it."""
    folder = tmp_path_factory.mktemp("proxy")
    with Upstream() as server:
        models = {
            "tiny": {"api_base": server.url},
            "capped": {"api_base": server.url, "max_budget": 3 * BILL, "budget_duration": "1d"},
        }
        told = {"policy": "vote5", "total": 0.05, "max_tokens": 50, "state": str(folder / "budget.db")}
        with Proxy(folder, models, {"callbacks": CALLBACKS, "tcalloc": told}) as proxy:
            yield proxy, server


def test_a_vote_is_one_completion_with_the_cost_of_all(stack):
    proxy, server = stack
    server.bodies.clear()
    server.texts[:] = says(5, 7, 7, 7, 5)
    got = proxy.ask(temperature=0.7, seed=11)
    assert (got.status, got.text) == (200, "The answer is 7.")
    assert len(got.json["choices"]) == 1
    assert got.json["usage"]["completion_tokens"] == 35
    assert {name: got.headers[f"x-tcalloc-{name}"] for name in ("action", "reason", "samples", "vote-share")} == {
        "action": "vote5", "reason": "policy", "samples": "5", "vote-share": "0.6"
    }  # fmt: skip
    assert float(got.headers["x-litellm-response-cost"]) == pytest.approx(5 * BILL)
    assert float(got.headers["x-tcalloc-spend"]) == pytest.approx(5 * BILL)
    assert len(server.bodies) == 5
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in server.bodies} == {("tiny", 0.7, 50)}
    assert len({body["seed"] for body in server.bodies}) == 5


def test_the_winner_of_a_vote_is_streamed(stack):
    proxy, server = stack
    server.texts[:] = says(5, 7, 7, 7, 5)
    got = proxy.ask(stream=True, stream_options={"include_usage": True})
    assert got.streamed == "The answer is 7."
    assert got.headers["x-tcalloc-samples"] == "5"


def test_what_is_not_voted_on_is_passed_on(stack):
    proxy, server = stack
    server.bodies.clear()
    fields = {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    got = [
        proxy.ask(**fields),
        proxy.ask(n=2),
        proxy.ask(headers={"x-tcalloc-extract": "none"}),
        proxy.ask(logprobs=True),
    ]
    assert [one.status for one in got] == [200] * 4
    assert [one.headers["x-tcalloc-reason"] for one in got] == ["tools", "n", "not voted on", "logprobs"]
    assert len(server.bodies) == 4
    streamed = proxy.ask(stream=True, headers={"x-tcalloc-extract": "none"})
    assert streamed.streamed.strip() == "The answer is 42."
    assert streamed.headers["x-tcalloc-action"] == "one"


def test_the_budgets_of_litellm_count_all_samples(stack):
    proxy, _server = stack
    first = proxy.ask(model="capped")
    proxy.costs(1)
    for _ in range(100):  # it counts in the background
        again = proxy.ask(model="capped")
        if again.status != 200:
            break
    assert (first.status, again.status) == (200, 429)
    assert "budget" in again.data.decode().lower()


def test_fifty_requests_at_a_time_with_faults(tmp_path):
    """The server refuses, breaks off and rambles; what is spent is LiteLLM's own figure, and never above the total."""

    async def broken(request, body):
        request.transport.abort()

    faults = [refusal(500), broken, refusal(429, headers={"Retry-After": "0"}), "no number"]
    texts = [faults[i // 5 % 4] if i % 5 == 4 else f"The answer is {i % 3}." for i in range(600)]
    bill, total, state = 71e-6, 0.03, tmp_path / "budget.db"  # 50 votes of five reserve 0.027 at most
    with Upstream(texts) as server:
        told = {"policy": "vote5", "total": total, "max_tokens": 10, "state": str(state)}
        models = {"tiny": {"api_base": server.url, "input_cost_per_token": 1e-7, "output_cost_per_token": 1e-5}}
        with Proxy(tmp_path, models, {"callbacks": CALLBACKS, "tcalloc": told}) as proxy:
            ready = threading.Barrier(50)

            def ask(i):
                if i < 50:
                    ready.wait(60)
                return proxy.ask(f"{i} * 7?", stream=i % 7 == 3)

            with ThreadPoolExecutor(50) as pool:
                got = list(pool.map(ask, range(150)))
            answered = [one for one in got if one.status == 200]
            costs = proxy.costs(len(answered))
    statuses = {one.status for one in got}
    assert statuses <= {200, 429, 500, 503}, statuses
    spent_out = [one for one in got if b"the budget that tcalloc keeps is spent" in one.data]
    assert spent_out
    assert all(one.headers["x-should-retry"] == "false" for one in spent_out)
    status = BudgetKeeper.open(state).status()
    assert status.spent == pytest.approx(sum(costs), rel=1e-9)
    assert status.open_grants == 0
    assert 0 < status.spent <= total
    # Each reply that LiteLLM could read was billed to a request, but for those of requests that failed.
    assert sum(costs) <= bill * len(server.bodies)
    assert sum(int(one.headers["x-tcalloc-samples"]) for one in answered) == pytest.approx(sum(costs) / bill)


def test_a_policy_between_models_asks_for_them_by_the_names_of_the_proxy(tmp_path):
    pytest.importorskip("sklearn")
    hard = np.arange(40) % 2
    ones = np.zeros((40, 4), int)
    small = Samples(np.where(hard[:, None], 1, ones), cost=np.full((40, 4), 1.0))
    both = Samples(arms={"small": small, "large": Samples(ones, cost=np.full((40, 4), 3.0))})
    texts = [f"Prove that {i} is even, and why" if hard[i] else f"{i} + {i}?" for i in range(40)]
    policy = PricedPolicy(budget=5.0).fit(texts, both.table([Vote(1, model="small"), Vote(3, model="large")]))
    assert {policy.route(text) for text in texts[:8]} == {"vote1 small", "vote3 large"}
    policy.save(tmp_path / "policy")
    with Upstream() as one, Upstream() as other:
        models = {"small": {"api_base": one.url}, "large": {"api_base": other.url}}
        told = {"callbacks": CALLBACKS, "tcalloc": {"policy": str(tmp_path / "policy")}}
        with Proxy(tmp_path, models, told) as proxy:
            got = [proxy.ask(text, model="small") for text in texts[:8]]
    assert [one.status for one in got] == [200] * 8
    routed = [one.headers["x-tcalloc-action"] for one in got]
    assert routed == [policy.route(text) for text in texts[:8]]
    assert (len(one.bodies), len(other.bodies)) == (routed.count("vote1 small"), 3 * routed.count("vote3 large"))


def test_the_example_runs_as_it_stands(tmp_path):
    example = (CHECKOUT / "examples" / "litellm_proxy.yaml").read_text(encoding="utf-8")
    assert len(example.splitlines()) < 40
    with Upstream(says(5, 7, 7, 7, 5)) as server:
        environment = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "LITELLM_MASTER_KEY": KEY}
        with Proxy(tmp_path, environment=environment, config=example) as proxy:
            got = proxy.ask(model="qwen")
            cost = float(got.headers["x-litellm-response-cost"])
            for _ in range(100):  # LiteLLM computes the bill in the background
                status = BudgetKeeper.open(tmp_path / "budget.db").status()
                if not status.open_grants:
                    break
                time.sleep(0.05)
    assert got.text == "The answer is 7."
    assert cost == pytest.approx(5 * (10 * 0.15e-6 + 7 * 0.6e-6))
    assert status.spent == pytest.approx(cost)


def test_without_the_hook_or_with_a_broken_policy_all_is_as_before(tmp_path):
    told = {"policy": str(tmp_path / "missing")}
    replies, logs = [], []
    for i, settings in enumerate(({}, {"callbacks": CALLBACKS[:1], "tcalloc": told})):
        folder = tmp_path / str(i)
        folder.mkdir()
        with Upstream() as server, Proxy(folder, {"tiny": {"api_base": server.url}}, settings) as proxy:
            replies.append([plain(proxy.ask()) for _ in range(3)])
            assert len(server.bodies) == 3
            assert server.bodies[0] == {"model": "tiny", "messages": [{"role": "user", "content": "6 * 7?"}]}
            logs.append(proxy.log)
    assert replies[0] == replies[1]
    assert "tcalloc" not in logs[0].replace(str(tmp_path), "")
    lines = [line for line in logs[1].splitlines() if "TCALLOC_POLICY" in line]
    assert len(lines) == 1
    assert "one plain sample" in lines[0]

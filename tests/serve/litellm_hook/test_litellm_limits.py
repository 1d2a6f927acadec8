"""LiteLLM's own budgets and limits beside the hook, in its real proxy and SDK. It runs in .ci/nightly."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_client import send
from litellm_proxy import BILL, KEY, PRICES, Proxy, program
from upstreams import Upstream, refusal

from tcalloc import BudgetKeeper

litellm = pytest.importorskip("litellm", reason="LiteLLM is not installed; .ci/nightly installs it")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # LiteLLM's own
    pytest.mark.skipif(program() is None, reason="LiteLLM's proxy is not installed; .ci/nightly installs it"),
]
OURS = b"the budget that tcalloc keeps is spent"
AT_ONCE = 50
# LiteLLM compares before a request and counts in the background: votes under way, and some more, can exceed its budget.
BEHIND = 2 * AT_ONCE * 5 * BILL
# What the proxy asks who a client is; LIMITS has the limits of each key.
AUTH = """
import json, os
from litellm.proxy._types import UserAPIKeyAuth

async def user(request, api_key):
    return UserAPIKeyAuth(api_key=api_key, **json.loads(os.environ["LIMITS"])[api_key])
"""


def faulty(n):
    """Texts of a server that refuses, breaks off and rambles at times."""

    async def broken(request, body):
        request.transport.abort()

    faults = [refusal(500), broken, "no number"]
    return [faults[i // 5 % 3] if i % 5 == 4 else f"The answer is {i % 3}." for i in range(n)]


class Limited(Proxy):
    """A proxy with the hook, and with limits of LiteLLM's own."""

    def __init__(self, folder, server, total, params=(), router=(), keys=None):
        self.state = folder / "budget.db"
        told = {"policy": "vote5", "total": total, "max_tokens": 10, "state": str(self.state)}
        general = {"master_key": KEY}
        if keys is not None:
            (folder / "auth.py").write_text(AUTH)
            general |= {"custom_auth": "auth.user", "custom_auth_run_common_checks": True}
        deployment = {"model": "openai/tiny", "api_key": "sk-upstream", "api_base": server.url} | PRICES | dict(params)
        config = {
            "model_list": [{"model_name": "tiny", "litellm_params": deployment}],
            "litellm_settings": {
                "callbacks": ["tcalloc.serve.litellm.hook", "litellm_recorder.hook"], "tcalloc": told,
                "enable_post_custom_auth_checks": keys is not None,
            },
            "general_settings": general,
            "router_settings": {"num_retries": 2, "allowed_fails": 1000, "retry_after": 0} | dict(router),
        }  # fmt: skip
        super().__init__(folder, environment={"LIMITS": json.dumps(keys)}, config=json.dumps(config))

    def flood(self, n, **headers):
        """Send requests, 50 at a time; return the replies."""
        ready = threading.Barrier(AT_ONCE)

        def ask(i):
            if i < AT_ONCE:
                ready.wait(60)
            return self.ask(f"{i} * 7?", headers, stream=i % 7 == 3)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(ask, range(n)))

    def books(self, replies):
        """Return the keeper's status, after comparing it with what LiteLLM computed these requests to cost."""
        costs = self.costs(sum(one.status == 200 for one in replies))
        for _ in range(100):
            status = BudgetKeeper.open(self.state).status()
            if not status.open_grants:
                break
            time.sleep(0.1)
        assert status.open_grants == 0
        assert status.spent == pytest.approx(sum(costs), rel=1e-9)
        assert status.spent <= status.total
        return status


def theirs(replies):
    return [one for one in replies if one.status in (422, 429) and OURS not in one.data]


def ours(replies):
    return [one for one in replies if OURS in one.data]


@pytest.mark.parametrize("which", ["provider", "deployment"])
def test_a_budget_of_litellm_ends_first(tmp_path, which):
    limit = 30 * BILL
    params = {"max_budget": limit, "budget_duration": "1d"} if which == "deployment" else {}
    provider = {"provider_budget_config": {"openai": {"budget_limit": limit, "time_period": "1d"}}}
    provider = provider if which == "provider" else {}
    with Upstream(faulty(600)) as server, Limited(tmp_path, server, 1.0, params, provider) as proxy:
        got = proxy.flood(150)
        status = proxy.books(got)
        late = [proxy.ask() for _ in range(3)]
        if which == "provider":
            headers = {"Authorization": f"Bearer {KEY}"}
            own = send(proxy.url, "GET", "/provider/budgets", None, headers).json["providers"]["openai"]["spend"]
            assert own == pytest.approx(status.spent)
    assert {one.status for one in got} <= {200, 429, 500, 503}
    assert theirs(got)
    assert not ours(got)
    assert len(theirs(late)) == 3
    assert limit <= status.spent < limit + BEHIND


def test_the_keeper_ends_first(tmp_path):
    total = 50 * 5 * 60e-6  # 50 votes reserve somewhat less
    provider = {"provider_budget_config": {"openai": {"budget_limit": 1.0, "time_period": "1d"}}}
    with Upstream(faulty(3000)) as server, Limited(tmp_path, server, total, router=provider) as proxy:
        got = proxy.flood(300)
        status = proxy.books(got)
        headers = {"Authorization": f"Bearer {KEY}"}
        own = send(proxy.url, "GET", "/provider/budgets", None, headers).json["providers"]["openai"]["spend"]
    assert ours(got)
    assert not theirs(got)
    assert all(one.headers["x-should-retry"] == "false" for one in ours(got))
    assert own == pytest.approx(status.spent)


@pytest.mark.parametrize("which", ["max_budget", "model_max_budget"])
def test_the_budget_of_a_key(tmp_path, which):
    small, large = "sk-a-key-that-may-spend-little-01234", "sk-a-key-that-may-spend-much-012345"

    def limits(amount):
        models = {"tiny": {"budget_limit": amount, "time_period": "1d"}}
        return {which: amount if which == "max_budget" else models}

    keys = {small: limits(30 * BILL), large: limits(10.0)}
    with Upstream(faulty(2000)) as server, Limited(tmp_path, server, 1.0, keys=keys) as proxy:
        got = proxy.flood(150, Authorization=f"Bearer {small}")
        proxy.books(got)
        late = [proxy.ask(headers={"Authorization": f"Bearer {small}"}) for _ in range(3)]
        other = [proxy.ask(headers={"Authorization": f"Bearer {large}"}) for _ in range(3)]
        status = proxy.books(got + late + other)
    assert theirs(got)
    assert not ours(got)
    assert len(theirs(late)) == 3
    assert not theirs(other)
    assert status.spent < 30 * BILL + BEHIND + 3 * 5 * BILL


def test_rate_limits_of_a_key_count_a_vote_as_one_request(tmp_path):
    few, tight = "sk-a-key-with-few-requests-0123456", "sk-a-key-with-few-at-a-time-012345"
    keys = {few: {"rpm_limit": 20}, tight: {"max_parallel_requests": 5}}
    with Upstream(faulty(3000)) as server, Limited(tmp_path, server, 1.0, keys=keys) as proxy:
        got = proxy.flood(100, Authorization=f"Bearer {few}")
        proxy.books(got)
        more = proxy.flood(100, Authorization=f"Bearer {tight}")
        proxy.books(got + more)
        last = [proxy.ask(headers={"Authorization": f"Bearer {tight}"}) for _ in range(10)]
        proxy.books(got + more + last)
    assert len(theirs(got)) >= 80 - 20  # it may begin a new minute
    assert theirs(more)
    assert not theirs(last)  # every place is given back
    assert not ours(got + more + last)


def test_a_refusal_of_the_keeper_gives_a_place_of_the_key_back(tmp_path):
    key = "sk-a-key-with-few-at-a-time-012345"
    with Upstream() as server:
        with Limited(tmp_path, server, 1e-6, keys={key: {"max_parallel_requests": 2, "max_budget": 1.0}}) as proxy:
            got = [proxy.ask(headers={"Authorization": f"Bearer {key}"}) for _ in range(12)]
        assert not server.bodies
    assert len(ours(got)) == 12


def test_a_budget_manager_of_the_sdk_counts_all_samples(tmp_path, monkeypatch):
    from tcalloc.serve.litellm.callback import Hook
    from tcalloc.serve.litellm.settings import Settings

    monkeypatch.chdir(tmp_path)
    litellm.register_model({"tiny": {"litellm_provider": "openai", "mode": "chat"} | PRICES})
    manager = litellm.BudgetManager("test", client_type="local")
    manager.create_budget(total_budget=1.0, user="ann")
    state = tmp_path / "budget.db"
    hook = Hook(Settings("vote5", total=1.0, max_tokens=50, state=str(state)))
    litellm.logging_callback_manager._reset_all_callbacks()
    monkeypatch.setattr(litellm, "callbacks", [hook])
    texts = [refusal(500) if i % 5 == 4 else f"It is {i % 2}." for i in range(400)]

    async def ask(server, i):
        messages = [{"role": "user", "content": f"{i} * 7?"}]
        return await litellm.acompletion("openai/tiny", messages, api_base=server.url, api_key="sk-upstream")

    async def all_of_them(server):
        got = await asyncio.gather(*(ask(server, i) for i in range(AT_ONCE)), return_exceptions=True)
        for _ in range(200):
            if not BudgetKeeper.open(state).status().open_grants:
                break
            await asyncio.sleep(0.05)
        return got

    with Upstream(texts) as server:
        got = asyncio.run(all_of_them(server))
    answered = [one for one in got if not isinstance(one, Exception)]
    assert len(server.bodies) > 2 * AT_ONCE  # votes, although model and messages have no names here
    for one in answered:
        manager.update_cost(completion_obj=one, user="ann")
    litellm.logging_callback_manager._reset_all_callbacks()
    assert manager.get_current_cost("ann") == pytest.approx(BudgetKeeper.open(state).status().spent, rel=1e-9)

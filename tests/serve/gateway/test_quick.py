"""Where policies decide: on the event loop if they promise to be quick, else in a thread of their own."""

import threading

import pytest
from upstreams import Upstream

from tcalloc import BudgetKeeper, Rates, Result, load_policy
from tcalloc.learn.protocol import Always, DecidedRun
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

LOOP = "tcalloc requests"


class Noting:
    """Notes the threads in which it is asked."""

    def __init__(self, quick=None):
        self.threads = []
        if quick is not None:
            self.quick = quick

    def start(self, x):
        self.threads.append(threading.current_thread().name)
        return NotingRun(self.threads)


class NotingRun(DecidedRun):
    __slots__ = ("_threads",)

    def __init__(self, threads):
        super().__init__(Vote(2))
        self._threads = threads

    def add(self, results):
        self._threads.append(threading.current_thread().name)
        super().add(results)


@pytest.mark.parametrize(
    ("quick", "text", "here"), [(True, "1 + 1", True), (True, "1 + 1" * 5000, False), (False, "1 + 1", False),
                                (None, "1 + 1", False)],
)  # fmt: skip
def test_where_a_policy_is_asked(ask, quick, text, here):
    policy = Noting(quick)
    with Upstream() as server, Gateway(server.url, policy, port=0) as gateway:
        del policy.threads[:]  # it was tried at the start
        assert ask(gateway, text).headers["x-tcalloc-samples"] == "2"
    assert len(policy.threads) == 2
    assert all((name == LOOP) == here for name in policy.threads)


def test_a_state_in_a_file_is_asked_in_a_thread(ask, tmp_path):
    policy = Noting(quick=True)
    keeper = BudgetKeeper(total=1.0, unit="usd", state=tmp_path / "budget.db")
    sending, rates = Sending(max_tokens=50), Rates.per_million(1.0, 2.0)
    with (
        Upstream() as server, keeper,
        Gateway(server.url, policy, port=0, keeper=keeper, rates=rates, sending=sending) as gateway,
    ):  # fmt: skip
        del policy.threads[:]
        ask(gateway, "1 + 1")
    assert policy.threads[0] != LOOP  # the file may be locked
    assert policy.threads[1] == LOOP


def test_which_policies_are_quick(tmp_path):
    pytest.importorskip("sklearn")
    import numpy as np

    from tcalloc import Samples
    from tcalloc.learn.features import Features
    from tcalloc.learn.rivals import MarginCap
    from tcalloc.learn.routing.baselines import Mixture
    from tcalloc.learn.routing.priced import PricedPolicy
    from tcalloc.learn.sequential import Sequential

    rng = np.random.default_rng(0)
    texts = [f"What is {i} + {i}?" for i in range(60)]
    samples = Samples(rng.integers(0, 3, (60, 8)))
    embedding = Features(embed=lambda texts: np.array([[len(text), 1.0] for text in texts]))
    quick = [
        Always(Vote(2)), MarginCap(2, 8), Mixture(2.0).fit(None, samples), PricedPolicy(budget=2.0).fit(texts, samples),
        Sequential(budget=2.0).fit(texts, samples),
    ]  # fmt: skip
    assert all(policy.quick for policy in quick)
    assert not PricedPolicy(budget=2.0, features=embedding).fit(texts, samples).quick
    quick[-1].save(tmp_path / "policy")
    loaded = load_policy(tmp_path / "policy")
    assert loaded.quick
    run = loaded.start("1 + 1?")
    run.add([Result(answer="2", cost=1.0)] * run.next().n)
    assert run.answer == "2"

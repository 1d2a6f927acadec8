"""Policies that pay for a probe first."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")


from policy_cases import voted

from tcalloc import Best, InputError, Samples, Vote
from tcalloc.datasets import load_recorded
from tcalloc.learn.features import Features
from tcalloc.learn.protocol import Result
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.routing.probe_patterns import ProbePlan
from tcalloc.learn.routing.probe_value import Probed, ProbedRun
from tcalloc.learn.training import Mix


def test_a_probe_pays_where_text_says_nothing():
    texts, samples = voted()
    more, held = voted(seed=1)
    actions = [Vote(k) for k in (1, 3, 5, 9)]
    policy = PricedPolicy(probe=2, features=False, budget=3.0).fit(texts, samples, actions=actions)
    blind = PricedPolicy(features=Features(text=None)).fit(texts, samples, actions=actions)
    done = policy.replay(more, held)
    acc, spend = done.accuracy[0], done.spend[0]
    assert spend.mean() == pytest.approx(3.0, abs=0.15)
    table = held.table(actions, False)
    low, high, share = Mix.of(table.acc.mean(axis=0), table.cost).at(spend.mean())
    mixed = (1 - share) * table.acc[:, low].mean() + share * table.acc[:, high].mean()
    assert acc.mean() > mixed + 0.01
    assert "probe: vote2, then enough, vote3, vote5, vote9" in repr(policy)
    assert not blind.gate_.open_at(3.0)
    with pytest.raises(InputError, match="decides after 2 samples"):
        policy.decide(more)


def test_a_probe_is_not_calibrated_on_costs_that_it_does_not_look_at():
    texts, samples = voted(60)
    policy = PricedPolicy(probe=2, features=False).fit(texts, samples, actions=[Vote(k) for k in (1, 3, 5)])
    with pytest.raises(InputError, match="known_costs is 'mean'"):
        policy.calibrate(texts, samples, budget=2.0, cost=np.ones((60, 3)))


def test_simulation_is_replay():
    texts, samples = voted(120)
    policy = PricedPolicy(probe=2, features=False, budget=2.5).fit(
        texts, samples, actions=[Vote(k) for k in (1, 3, 5, 9)]
    )
    assert policy.gate_.open_at(2.5)
    done = policy.replay(texts, samples, orders=20)
    acc, spend = done.accuracy[0], done.spend[0]
    found = replay(policy, samples, texts, orders=20)
    # Mixing two prices: one by lot, the other in expectation; so on average only.
    assert found.spend.mean() == pytest.approx(spend.mean(), abs=0.3)
    assert found.accuracy.mean() == pytest.approx(acc.mean(), abs=0.02)
    policy.setting_, policy.price_ = None, float(policy.probed_.prices[len(policy.probed_.prices) // 2])
    done = policy.replay(texts, samples, orders=20)
    acc, spend = done.accuracy[0], done.spend[0]
    found = replay(policy, samples, texts, orders=20)
    probed = np.abs(spend - np.round(spend)) > 1e-9
    assert probed.any()
    assert found.spend == pytest.approx(spend)
    assert found.accuracy.mean() == pytest.approx(acc.mean(), abs=0.01)  # ties: first answer against evenly split


def test_a_probe_that_votes_is_continued_by_votes_alone():
    """The best of four is another action: what it reaches is not what a vote over four does."""
    texts, samples = voted()
    actions = [Vote(1), Vote(4), Best(4), Best(4, by="score")]
    scored = Samples(samples.answers, scores=np.random.default_rng(0).random(samples.answers.shape))
    plan = PricedPolicy(probe=2, features=False, budget=3.0).fit(texts, scored, actions=actions).probed_.plan
    assert dict(zip(plan.columns, plan.draws, strict=True)) == {-1: 2, 1: 4, 2: 0, 3: 0}


def test_a_probed_run_pays_for_its_probe_and_counts_it():
    texts, samples = voted()
    policy = PricedPolicy(probe=2, features=False, gate=False, budget=3.0)
    policy.fit(texts, samples, actions=[Vote(k) for k in (1, 3, 5, 9)])
    price = next(p for p in policy.probed_.prices if policy.probed_.first(np.tile(policy.mean_acc_, (1, 1)),
                 np.empty((1, 0)), p, policy.cost_)[0] == -1)  # fmt: skip
    for answers, more in ((("a", "a"), False), (("a", "b"), True)):
        run = ProbedRun(policy.probed_, np.empty((1, 0)), float(price), policy.actions_)
        draw = run.next()
        assert (draw.action, draw.n) == (Vote(2), 2)
        run.add([Result(answer, 1.0) for answer in answers])
        assert run.spend == 2
        following = run.next()
        if following is None:
            assert run.answer == "a"
            assert not more
            continue
        assert more
        assert following.n == following.action.samples - 2
        run.add([Result("b", 1.0)] * following.n)
        assert run.next() is None
        assert run.answer == "b"
        assert run.spend == following.action.samples
    empty = ProbedRun(policy.probed_, np.empty((1, 0)), float(price), policy.actions_)
    empty.next()
    empty.add([])
    assert empty.next() is None
    assert empty.answer is None


def test_a_verifier_stops_at_the_first_right_one():
    rng = np.random.default_rng(0)
    rate = np.where(rng.random(500) < 0.5, 0.9, 0.3)
    samples = Samples(correct=rng.random((500, 16)) < rate[:, None])
    texts = [f"question {i}" for i in range(500)]
    policy = PricedPolicy(probe=1, features=False, budget=3.0)
    policy.fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    done = policy.replay(texts, samples)
    acc, spend = done.accuracy[0], done.spend[0]
    table = samples.table([Best(k) for k in (1, 2, 4, 8)], False)
    low, high, share = Mix.of(table.acc.mean(axis=0), table.cost).at(spend.mean())
    assert acc.mean() > (1 - share) * table.acc[:, low].mean() + share * table.acc[:, high].mean() + 0.02
    run = ProbedRun(policy.probed_, np.empty((1, 0)), 1e-3, policy.actions_)
    run.next()
    run.add([Result("x", 1.0, correct=True)])
    assert run.next() is None
    run = ProbedRun(policy.probed_, np.empty((1, 0)), 1e-3, policy.actions_)
    run.next()
    run.add([Result("x", 1.0, correct=False)])
    assert run.next() is not None


def test_a_probe_of_one_model_may_go_on_with_another():
    recorded = load_recorded()
    arms = {
        m: Samples(
            recorded.answers[m].astype(int), cost=recorded.relative_cost[m], logprobs=recorded.logprobs[m].astype(float)
        )
        for m in ("smollm2_135m", "qwen25_0p5b")
    }
    samples = Samples(arms=arms)
    texts = [row["question"] for row in recorded.questions]
    actions = [None, *(Vote(k, m) for m in arms for k in (1, 4))]
    policy = PricedPolicy(probe=1, budget=2.0).fit(texts, samples, actions=actions)
    assert policy.action_names_[0] == "nothing"
    plan = policy.probed_.plan
    assert plan.arm == "smollm2_135m"
    assert [plan.draws[c] for c in range(len(plan.columns))] == [1, 4, 0, 0]
    assert plan.cost == pytest.approx((1.0, 4.0, 3.6, 11.4))
    done = policy.replay(texts, samples)
    acc, spend = done.accuracy[0], done.spend[0]
    assert spend.mean() == pytest.approx(2.0, abs=0.1)
    assert acc.mean() > 0.66
    spent = {float(s) for s in np.round(replay(policy, samples, texts).spend, 6)}
    assert spent <= {0.0, 1.0, 2.6, 3.6, 4.0, 10.4, 11.4}


def test_probe_needs_enough_samples_of_everything():
    texts, samples = voted(60)
    short = np.array(samples.answers)
    short[5, 4:] = -2
    with pytest.raises(InputError, match="every question needs at least 9 samples"):
        PricedPolicy(probe=9).fit(texts, Samples(short), actions=[Vote(1), Vote(3)])
    with pytest.raises(InputError, match="every question must have every action"):
        PricedPolicy(probe=2).fit(texts, Samples(short), actions=[Vote(1), Vote(9)])


@pytest.mark.parametrize("order", [1, -1])
def test_ties_after_a_probe_go_to_the_cheaper(order):
    """Equal utility goes to the cheaper, then to the lower column, wherever a policy chooses."""
    costs = [2.0, 3.0, 9.0][::order]
    plan = ProbePlan("", Vote(2), (-1, 0, 1), (2, 3, 9), tuple(costs), 0)
    probed = Probed(plan, SimpleNamespace(predict=lambda key, x, extra: np.full((len(key), 3), 0.5)))
    for price in (0.0, np.inf):
        chosen = probed.then(np.zeros(4, int), np.empty((4, 0)), np.empty((4, 0)), price)
        assert [costs[c] for c in chosen] == [2.0] * 4
    first = probed._first(np.full((4, 3), 0.5), np.full(4, -1.0), 0.0, np.array(costs))
    assert [costs[c] for c in first] == [2.0] * 4
    assert probed._first(np.full((1, 3), 0.5), np.zeros(1), 0.0, np.full(3, 1.0)).tolist() == [0]  # then the lower one

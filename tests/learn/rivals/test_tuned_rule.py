"""Rules from the papers as policies: tuned on recorded samples, mixed for a budget, saved without pickle."""

import numpy as np
import pytest

from tcalloc import BudgetError, InputError, Samples
from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.protocol import uniform
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.rivals import MarginCap, TunedRule, families
from tcalloc.learn.saving.policy_folder import load_policy

FAMILIES = ("AC Beta", "AC Dirichlet", "ESC", "SPRT", "margin + cap", "fixed k")


def coded(n=120, size=10, seed=0, p=None):
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.2, 1.0, (n, 1)) if p is None else p
    return np.where(rng.random((n, size)) < chance, 0, rng.integers(1, 4, (n, size)))


@pytest.fixture(scope="module")
def samples():
    return Samples(coded())


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_are_the_hull_of_the_family(family, samples):
    policy = TunedRule(family, 3.0).fit(None, samples)
    rules = families(10)[family]
    spend, accuracy = Paths(samples, policy.orders, 0).outcomes(rules)
    best = Frontier.of(spend.mean(axis=1), accuracy.mean(axis=1))
    assert policy.rules_ == tuple(rules[j] for j in best.settings)
    assert np.array_equal(policy.spend_, best.spend)
    found = policy.replay(None, samples, [*best.spend[1:3], 3.0])
    assert found.spend[0] == pytest.approx(spend[best.settings[1]])
    assert found.accuracy[1] == pytest.approx(accuracy[best.settings[2]])
    assert found.spend[2].mean() == pytest.approx(3.0)
    assert found.claimed[0] == pytest.approx(best.accuracy[1])


def test_a_run_does_what_is_claimed_and_the_same_question_gets_the_same(samples):
    policy = TunedRule("margin + cap", 3.0, random_state=7).fit(None, samples)
    low, high, share = policy._hull.mix(3.0)
    assert 0 < share < 1
    for i in range(40):
        question = f"question {i}"
        chosen = policy.start(question)._policy
        assert chosen == policy.rules_[high if uniform(7, question) < share else low]
    texts = [f"question {i}" for i in range(120)]
    live = replay(policy, samples, texts, orders=10)
    claimed = policy.replay(None, samples)
    assert live.spend.mean() == pytest.approx(claimed.spend.mean(), abs=0.35)
    assert live.accuracy.mean() == pytest.approx(claimed.accuracy.mean(), abs=0.03)
    assert len({policy.start()._policy for _ in range(40)}) == 2  # without a question it is drawn anew


def test_of_several_models_each_setting_has_one():
    arms = {"small": Samples(coded(60, 6), cost=1.0), "large": Samples(coded(60, 4, 1, 0.95), cost=3.0)}
    policy = TunedRule("ESC", 4.0).fit(None, Samples(arms=arms))
    assert set(policy.rule_arms_) == {"small", "large"}
    assert {rule.action.model for rule in policy.rules_} == {"small", "large"}
    assert policy.sample_costs_ == {"small": 1.0, "large": 3.0}
    assert policy.replay(None, Samples(arms=arms), [4.0]).spend.mean() == pytest.approx(4.0)
    with pytest.raises(InputError, match="samples has no model 'large'"):
        policy.replay(None, Samples(arms={"small": arms["small"]}))


def test_the_frontier_is_held_out():
    # Questions that are all alike: what was picked on the questions themselves would look better than it is.
    alike = Samples(coded(30, 12, 5, 0.55))
    policy = TunedRule("margin + cap").fit(None, alike)
    curve = policy.frontier()
    assert len(curve) == len(policy.rules_)
    assert curve.accuracy[-4:].mean() < policy.accuracy_[-4:].mean()
    assert "margin" in curve.family[-1]


def test_calibrate_keeps_the_budget(samples):
    held = Samples(coded(seed=9))
    policy = TunedRule("AC Beta").fit(None, samples)
    policy.calibrate(None, held, budget=3.0)
    assert 2.8 < policy.replay(None, held).spend.mean() <= 3.0 + 1e-9
    loose = policy._spending
    policy.calibrate(None, held, budget=3.0, confidence=0.9)
    assert policy._spending < loose
    assert "with confidence 0.9" in repr(policy)
    # The highest cost seen is not the highest possible.
    priced = Samples(coded(), cost=np.ones((120, 10)))
    policy = TunedRule("AC Beta").fit(None, priced)
    with pytest.raises(InputError, match="the most that one sample may cost, which is not known"):
        policy.calibrate(None, priced, budget=3.0, confidence=0.9)
    policy.calibrate(None, priced, budget=3.0, confidence=0.9, high=1.0)
    assert policy.guarantee_.confidence == 0.9
    assert "a sample costs at most 1" in repr(policy)
    policy.calibrate(None, held, budget=3.0, confidence=0.9, high=1.5)
    assert "a sample costs at most 1.5" in repr(policy)
    recorded = Samples(held.answers, cost=np.ones(held.answers.shape))
    with pytest.raises(InputError, match="the highest cost seen is not the highest possible"):
        policy.calibrate(None, recorded, budget=3.0, confidence=0.9)


@pytest.mark.parametrize("family", [*FAMILIES, "fixed k, success stop"])
def test_files(family, samples, tmp_path):
    policy = TunedRule(family, 2.5).fit(None, samples)
    policy.calibrate(None, samples, budget=2.5)
    policy.save(tmp_path / "p")
    again = load_policy(tmp_path / "p")
    assert repr(again) == repr(policy)
    assert again.rules_ == policy.rules_
    assert np.array_equal(again.frontier().accuracy, policy.frontier().accuracy)
    assert again.at(2.0).replay(None, samples).spend == pytest.approx(policy.at(2.0).replay(None, samples).spend)


def test_edited_states_are_refused(samples):
    meta, arrays, _ = TunedRule("margin + cap", 2.5).fit(None, samples)._state()
    TunedRule._from_state(meta, arrays, {})
    bad = [
        (meta | {"rules": [{"rule": "os.system"}]}, arrays),
        (meta | {"rules": [rule | {"cap": -1} for rule in meta["rules"]]}, arrays),
        (meta | {"rules": [rule | {"more": 1} for rule in meta["rules"]]}, arrays),
        (meta | {"rules": meta["rules"][:-1]}, arrays),
        (meta | {"arms": []}, arrays),
        (meta | {"parameters": meta["parameters"] | {"family": "none"}}, arrays),
        (meta | {"sample_costs": {"": "much"}}, arrays),
        (meta, arrays | {"spend": arrays["spend"][::-1]}),
        (meta, arrays | {"held": arrays["held"][:, :-1]}),
        (meta, arrays | {"accuracy": arrays["accuracy"] * np.nan}),
        (meta, arrays | {"settings": arrays["settings"][:-1]}),
    ]
    for state, values in bad:
        with pytest.raises(InputError):
            TunedRule._from_state(state, values, {})


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda s: TunedRule("best").fit(None, s), "family is 'best'; allowed are 'fixed k', 'AC Beta'"),
        (lambda s: TunedRule("ESC", verifier=True).fit(None, s), "family is 'ESC'; with a verifier"),
        (lambda s: TunedRule("fixed k, success stop", verifier=False).fit(None, s), "without a verifier allowed are"),
        (lambda s: TunedRule("ESC").fit(s, None), "expected Samples"),
        (lambda s: TunedRule("ESC").fit(None, Samples(correct=[[1, 0]])), "has nothing to vote on. Record the"),
        (lambda s: TunedRule("ESC").fit(None, s).start("a"), "has no budget"),
        (lambda s: TunedRule("ESC").fit(None, s).replay(None, s), "has no budget"),
        (lambda s: TunedRule("ESC").start("a"), "not fitted yet"),
    ],
)
def test_refusals(act, words, samples):
    with pytest.raises(InputError, match=words):
        act(samples)


def test_a_budget_below_the_cheapest_setting(samples):
    with pytest.raises(BudgetError, match="the cheapest setting of 'ESC' spends 1 per question") as caught:
        TunedRule("ESC", 0.5).fit(None, samples)
    assert caught.value.limit == 1.0
    policy = TunedRule("ESC", 2.0).fit(None, samples)
    with pytest.raises(BudgetError):
        policy.at(0.9)
    assert policy.at(99.0).start("a")._policy == policy.rules_[-1]  # no more than is of use
    assert isinstance(policy.rules_[0].start("a")._policy, type(policy.rules_[0]))
    assert not isinstance(policy.rules_[0], MarginCap)

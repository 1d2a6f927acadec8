"""Policies that decide by a category, and the one action that a budget affords."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from tcalloc import BudgetError, InputError, Table
from tcalloc.learn.routing.baselines import Mixture
from tcalloc.learn.routing.by_category import PSEUDO, ByCategory
from tcalloc.learn.routing.fixed_choice import FixedChoice
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.training import LEAST_STEP, Mix, affordable

COST = [1.0, 2.0, 4.0]


def kinds(n=200):
    """Return questions of two kinds, of which one needs the expensive action."""
    x = [{"text": f"question {i}", "kind": "proof" if i % 2 else "sum"} for i in range(n)]
    hard = np.arange(n) % 2 == 1
    acc = np.where(hard[:, None], [0.2, 0.3, 0.9], [0.9, 0.91, 0.92])
    return x, Table(acc, COST, action_names=("vote1", "vote2", "vote4"))


def test_each_category_gets_its_own_action():
    x, table = kinds()
    policy = ByCategory(2.5).fit(x, table)
    assert policy.categories_ == ("proof", "sum")
    chosen = policy.decide(x)
    assert chosen.tolist() == [0, 2] * 100
    found = policy.replay(x, table, policy.settings())
    assert found.spend.mean(axis=1) == pytest.approx(policy.settings())
    assert found.accuracy.mean(axis=1) == pytest.approx(found.claimed)
    for budget in policy.settings():  # never below the mixture that does not look
        best = Mix.of(table.acc.mean(axis=0), COST).reached(budget)
        assert policy.replay(x, table, [budget]).accuracy.mean() >= best - 1e-9
    assert "proof: vote4" in repr(policy)


def test_a_budget_between_two_prices_is_kept_at_random():
    x, table = kinds(2000)
    policy = ByCategory(2.0, random_state=3).fit(x, table)
    cost = np.array(COST)[policy.decide(x)]
    assert cost.mean() == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(policy.decide(x), policy.decide(x))
    assert policy.replay(x, table).spend.mean() == pytest.approx(2.0)
    assert policy.at(2.5).decide(x[:2]).tolist() == [0, 2]
    with pytest.raises(BudgetError):
        policy.at(0.5)


def test_means_of_few_questions_start_from_all():
    x, table = kinds(40)
    policy = ByCategory().fit(x, table)
    overall = table.acc.mean(axis=0)
    assert policy.means_[0] == pytest.approx((20 * np.array([0.2, 0.3, 0.9]) + PSEUDO * overall) / (20 + PSEUDO))
    assert policy.means_[-1] == pytest.approx(overall)
    # A category that was not seen is decided like all.
    price = 0.15
    new = policy.decide([{"text": "a", "kind": "riddle"}], price=price)
    assert new.tolist() == [int(np.argmax(overall - price * np.array(COST)))]


def test_columns_and_what_is_none():
    _, table = kinds(40)
    numbers = (np.arange(40.0) % 2)[:, None]
    assert ByCategory(2.5).fit(numbers, table).decide(numbers).tolist() == [0, 2] * 20
    noise = np.column_stack([np.arange(40.0), numbers[:, 0]])
    assert ByCategory(2.5, column=1).fit(noise, table).decide(noise).tolist() == [0, 2] * 20
    with pytest.raises(InputError, match="X has no column of categories"):
        ByCategory(2.5).fit([f"question {i}" for i in range(40)], table)
    with pytest.raises(InputError, match="column is 'color'; expected one of text, kind"):
        ByCategory(2.5, column="color").fit(kinds(40)[0], table)


def test_files(tmp_path):
    x, table = kinds()
    policy = ByCategory(2.0).fit(x, table).calibrate(x, table, budget=2.25)
    policy.save(tmp_path / "p")
    again = load_policy(tmp_path / "p")
    assert repr(again) == repr(policy)
    assert np.array_equal(again.decide(x), policy.decide(x))
    meta, arrays, _ = policy._state()
    for name, value in (
        ("choices", arrays["choices"] + 3),
        ("choices", arrays["choices"][:, :-1]),
        ("means", arrays["means"] * np.nan),
        ("paid", arrays["paid"][:-1]),
        ("spent", np.ones(len(arrays["spent"]))),
    ):
        with pytest.raises(InputError):
            ByCategory._from_state(meta, arrays | {name: value}, {})


def test_the_one_action_that_a_budget_affords(tmp_path):
    acc = np.tile([0.5, 0.5 + LEAST_STEP / 2, 0.7], (20, 1))
    policy = FixedChoice(3.0).fit(None, acc, cost=COST)
    assert affordable(acc.mean(axis=0), COST) == [0, 2]
    assert policy.decide(["a", "b"]).tolist() == [0, 0]  # a vote of 2 that adds nothing is not paid for
    assert policy.decide(["a"], budget=4.0).tolist() == [2]
    assert policy.replay(None, Table(acc, COST), [1.5, 4.0]).spend.mean(axis=1).tolist() == [1.0, 4.0]
    with pytest.raises(BudgetError):
        policy.decide(["a"], budget=0.5)
    policy.at(4.0).save(tmp_path / "p")
    assert load_policy(tmp_path / "p").decide(["any", "question"]).tolist() == [2, 2]


def test_without_x_any_question_fits_later():
    _, table = kinds(40)
    policy = Mixture(2.0).fit(None, table)
    for later in (["a text"], np.ones((1, 3)), [{"kind": "sum", "length": 3.0}]):
        assert policy.decide(later).shape == (1,)
    assert policy.n_features_in_ == 0
    with pytest.raises(InputError, match="X is None, but a ByCategory decides by the questions"):
        ByCategory().fit(None, table)


def test_at_sets_another_budget_for_good():
    _, table = kinds(40)
    policy = Mixture(1.5).fit(None, table)
    texts = [f"question {i}" for i in range(400)]
    for budget in (1.0, 3.0, 4.0):
        assert np.array(COST)[policy.at(budget).decide(texts)].mean() == pytest.approx(budget, abs=0.25)
    assert np.array(COST)[policy.decide(texts)].mean() == pytest.approx(1.5, abs=0.25)

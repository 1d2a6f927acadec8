"""`PricedPolicy`: regressors, slopes, gate, costs, on data whose truth is known."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import COST, NAMES, SEEING, clear, noise
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from tcalloc import InputError, Table, solve
from tcalloc.learn.regression.ridge_and_neighbours import Neighbours, Ridge, folds_of
from tcalloc.learn.routing.baselines import Mixture
from tcalloc.learn.routing.gate import Gate, gains
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.routing.shrinkage import Shrinkage, slope_of
from tcalloc.learn.rows import as_rows
from tcalloc.learn.training import Mix, Training, as_table, fallback


@pytest.mark.parametrize(
    "regressor", ["ridge", "knn", "xgboost", LinearRegression(), DecisionTreeRegressor(max_depth=3)]
)
def test_where_there_is_signal_it_is_used(regressor):
    x, table = clear()
    more, held = clear(seed=1)
    policy = PricedPolicy(regressor).fit(x, table)
    every = np.arange(len(more))
    for budget in (1.5, 2.0, 3.0):
        chosen = policy.decide(more, budget=budget)
        assert COST[chosen].mean() <= budget * (1 + 1e-12)
        reached = held.acc[every, chosen].mean()
        best = held.solve(budget).accuracy
        low, high, share = Mix.of(held.acc.mean(axis=0), COST).at(budget)
        uniformly = (1 - share) * held.acc[:, low].mean() + share * held.acc[:, high].mean()
        assert reached - uniformly > 0.8 * (best - uniformly)
    assert "gate: open" in repr(policy)


@pytest.mark.parametrize("seed", range(5))
def test_where_there_is_none_it_serves_the_mixture(seed):
    x, table = noise(seed=seed)
    policy = PricedPolicy(budget=2.0).fit(x, table)
    assert np.array_equal(policy.decide(x), Mixture(2.0).fit(x, table).decide(x))
    assert np.array_equal(policy.decide(x, budget=3.0), Mixture(3.0).fit(x, table).decide(x))
    assert "gate: closed at every budget" in repr(policy)
    assert "mixture: 67% vote1, 33% vote4" in repr(policy)


def test_without_gate_and_slopes_it_is_the_bare_regression():
    x, table = noise()
    policy = PricedPolicy("ridge", gate=False, shrink=False).fit(x, table)
    assert policy.shrinkage_.slopes.tolist() == [1.0, 1.0]
    assert policy.gate_.open_at(2.0)
    rows = policy.model_.predict(policy.features_.transform(x))
    # Centred where out-of-fold predictions are, to rounding of the folds.
    assert policy._predicted(as_rows(x, expected=policy.schema_)) == pytest.approx(rows, abs=5e-3)
    assert "gate: none" in repr(policy)


def test_a_price_and_the_budget_that_it_spends_agree():
    x, table = clear(2000)
    policy = PricedPolicy(budget=2.0).fit(x, table)
    assert COST[policy.decide(x)].mean() == pytest.approx(2.0, abs=0.06)
    assert COST[policy.decide(x, price=math.inf)].mean() == 1.0
    spends = [COST[policy.decide(x, price=p)].mean() for p in (0.25, 0.2, 0.1, 0.05, 0.0)]
    assert spends == sorted(spends)


def test_costs_that_are_given():
    rng = np.random.default_rng(0)
    x, table = clear(500)
    cost = np.column_stack([np.ones(500), 2 + 4 * rng.random(500)])
    policy = PricedPolicy(known_costs="given").fit(x, table.acc, cost=cost)
    chosen = policy.decide(x, budget=2.0, cost=cost)
    every = np.arange(500)
    spend = cost[every, chosen].mean()
    assert 1.98 < spend <= 2.0
    blind = PricedPolicy().fit(x, table.acc, cost=cost).decide(x, budget=2.0)
    assert table.acc[every, chosen].mean() > table.acc[every, blind].mean()
    policy.calibrate(x, Table(table.acc, cost), budget=2.0)
    assert cost[every, policy.decide(x, cost=cost)].mean() <= 2.0


def test_costs_that_are_predicted():
    rng = np.random.default_rng(0)
    x = rng.random((800, 2))  # one feature says what helps, the other what it costs
    acc = np.column_stack([0.9 - 0.5 * x[:, 0], np.full(800, 0.9)])
    cost = np.column_stack([np.ones(800), 1 + 6 * x[:, 1]]) + rng.random((800, 2)) * 0.1
    first, second = slice(0, 400), slice(400, 800)
    every = np.arange(400)
    scores = {}
    for known in ("mean", "predicted"):
        policy = PricedPolicy(known_costs=known).fit(x[first], acc[first], cost=cost[first])
        chosen = policy.decide(x[second], budget=2.5)
        scores[known] = acc[second][every, chosen].mean(), cost[second][every, chosen].mean()
    assert scores["predicted"][0] > scores["mean"][0] + 0.02
    assert scores["predicted"][1] == pytest.approx(2.5, abs=0.1)
    assert "costs predicted by ridge" in repr(policy)
    policy.calibrate(x[second], Table(acc[second], cost[second]), budget=2.5)
    meta, arrays, boosters = policy._state()
    again = PricedPolicy._from_state(json.loads(json.dumps(meta)), arrays, boosters)
    assert np.array_equal(again.decide(x), policy.decide(x))
    same = [PricedPolicy(known_costs=c, budget=2.0).fit(x, acc, cost=COST).decide(x) for c in ("mean", "predicted")]
    assert np.array_equal(*same)


def test_actions_that_some_questions_lack():
    x, table = clear(400)
    available = np.ones((400, 2), bool)
    available[::4, 1] = False
    available[1::8, 0] = False
    lacking = Table(table.acc, COST, action_names=NAMES, available=available)
    for policy in SEEING:
        fitted = clone(policy).fit(x, lacking)
        chosen = fitted.decide(x, available=available)
        assert available[np.arange(400), chosen].all()
    nobody = np.tile([True, False], (400, 1))
    with pytest.raises(InputError, match="no question has the action 'vote4'"):
        PricedPolicy().fit(x, Table(table.acc, COST, action_names=NAMES, available=nobody))
    there = np.array([[True, False, True], [False, False, True], [False, True, False]])
    assert fallback(there, np.array([0, 1, 2]), 3).tolist() == [[0, 0, 2], [2, 2, 2], [1, 1, 1]]


@pytest.mark.parametrize("regressor", ["ridge", "knn", "xgboost"])
def test_weights_count_like_repeated_rows(regressor):
    x, table = clear(150)
    weights = np.random.default_rng(0).integers(1, 4, 150).astype(float)
    weighted = as_table(Table(table.acc, COST, weights=weights), 150, None, None)
    assert weighted.weights.mean() == pytest.approx(1.0)
    rows = np.repeat(np.arange(150), weights.astype(int))
    assert weighted.mean_acc == pytest.approx(table.acc[rows].mean(axis=0))
    once, many = Ridge(), Ridge()
    once.alpha = many.alpha = 0.5
    once.fit(x, table.acc, weights)
    many.fit(x[rows], table.acc[rows], np.ones(len(rows)))
    assert once.predict(x) == pytest.approx(many.predict(x))
    policy = PricedPolicy(regressor, budget=2.0).fit(x, Table(table.acc, COST, weights=weights))
    assert policy.mean_acc_ == pytest.approx(weighted.mean_acc)


def test_ridge_is_ridge():
    from sklearn.linear_model import Ridge as Reference

    rng = np.random.default_rng(0)
    x, y, weights = rng.random((60, 4)), rng.random((60, 3)), rng.random(60)
    y[:20, 2] = np.nan
    ours = Ridge()
    folds = folds_of(60, 0)
    predicted = ours.out_of_fold(x, y, weights, folds)
    ours.fit(x, y, weights)
    for a in range(3):
        there = np.isfinite(y[:, a])
        theirs = Reference(alpha=ours.alpha).fit(x[there], y[there, a], sample_weight=weights[there])
        assert ours.predict(x)[:, a] == pytest.approx(theirs.predict(x))
        for fold in range(5):
            seen = there & (folds != fold)
            theirs = Reference(alpha=ours.alpha).fit(x[seen], y[seen, a], sample_weight=weights[seen])
            assert predicted[folds == fold, a] == pytest.approx(theirs.predict(x[folds == fold]))


def test_neighbours_are_the_nearest():
    from sklearn.neighbors import KNeighborsRegressor

    rng = np.random.default_rng(0)
    x, y = rng.random((80, 3)), rng.random((80, 2))
    ours = Neighbours()
    ours.out_of_fold(x, y, np.ones(80), folds_of(80, 0))
    ours.fit(x, y, np.ones(80))
    theirs = KNeighborsRegressor(ours.count).fit(ours.x, y)
    assert ours.predict(ours.x[:20]) == pytest.approx(theirs.predict(ours.x[:20]))


def test_slopes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    ones = np.ones(2000)
    assert slope_of(x, 0.4 * x + rng.normal(size=2000) * 0.1, ones) == pytest.approx(0.4, abs=0.01)
    assert slope_of(x, 3 * x, ones) == 1.0
    assert slope_of(x, -x, ones) == 0.0
    assert slope_of(np.zeros(2000), x, ones) == 0.0
    # Ten copies of 200 rows tell no more than these do.
    few, y = np.tile(x[:200], 10), np.tile(0.06 * x[:200] + rng.normal(size=200), 10)
    assert slope_of(few, y, ones, np.tile(np.arange(200), 10)) == slope_of(few[:200], y[:200], ones[:200])
    truth = np.column_stack([x, x + 1 + 0.5 * x])
    found = Shrinkage.fit(np.column_stack([x, 2 * x]), truth, np.array([0, 1]), ones)
    assert found.slopes == pytest.approx([1.0, 0.5])
    assert found.apply(np.column_stack([x, 2 * x])) == pytest.approx(truth)
    assert found.apply(np.array([x[3], 2 * x[3]])) == pytest.approx(truth[3])


@given(st.integers(0, 10_000))
def test_shrunk_to_nothing_every_question_is_the_mean(seed):
    rng = np.random.default_rng(seed)
    predicted, order = rng.random((6, 3)), rng.permutation(3)
    flat = Shrinkage(order, np.zeros(3), predicted.mean(axis=0), np.array([0.1, 0.2, 0.3]))
    assert flat.apply(predicted) == pytest.approx(np.tile([0.1, 0.2, 0.3], (6, 1)))
    whole = Shrinkage(order, np.ones(3), np.zeros(3), np.zeros(3))
    assert whole.apply(predicted) == pytest.approx(predicted)


def test_the_gate_opens_by_chance_in_one_of_twenty():
    opened = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        acc = (rng.random((300, 2)) < [0.6, 0.8]).astype(float)
        training = Training(acc, np.tile(COST, (300, 1)), np.ones(300), NAMES, None)
        mean, error = gains(rng.integers(0, 2, 300), training)
        opened += mean >= 1.64 * error
    assert 2 <= opened <= 22


def test_the_gate_counts_what_is_really_paid():
    _, table = clear(400)
    cost = np.column_stack([np.ones(400), 1 + 10 * (table.acc[:, 0] < 0.5)])  # dear where it helps
    training = Training(table.acc, cost, np.ones(400), NAMES, None)
    planned = np.tile(cost.mean(axis=0), (400, 1))
    gate = Gate.fit(table.acc, planned, training, used=True, also=(2.0,))
    chosen = solve(table.acc, planned, 2.0).actions
    gain, error = gains(chosen, training)
    assert gate.at(2.0) == pytest.approx((gain, error))
    spend = cost[np.arange(400), chosen].mean()
    assert spend > 2.5
    low, high, share = Mix.of(table.acc.mean(axis=0), cost.mean(axis=0)).at(spend)
    theirs = (1 - share) * table.acc[:, low] + share * table.acc[:, high]
    assert gain == pytest.approx((table.acc[np.arange(400), chosen] - theirs).mean())


def test_what_is_expected_of_one_question():
    """What it decides by: its prediction where the gate is open at the price, the mean row where it is closed."""
    x, table = clear()
    policy = PricedPolicy(budget=2.0).fit(x, table)
    for i in range(5):
        acc, cost = policy.expected(x[i])
        assert np.argmax(acc - policy.price_ * cost) == policy.decide(x[i : i + 1])[0]
    x, table = noise()
    closed = PricedPolicy(budget=2.0).fit(x, table)
    acc, cost = closed.expected(x[0])
    assert np.array_equal(acc, closed.mean_acc_)
    assert np.array_equal(cost, closed.cost_)

"""Certificates: the bound holds, the figures are those that one would work out by hand, intervals hold."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

import tcalloc
from tcalloc import Samples, Table, Vote
from tcalloc.errors import InputError
from tcalloc.learn.holdout.certify import certify


def random_case(rng):
    """A table of any kind, and what some policy picked."""
    n, k = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    acc = rng.random((n, k)) if rng.random() < 0.6 else rng.integers(0, 2, (n, k)).astype(float)
    cost = np.sort(rng.integers(0, 9, k)).astype(float) if rng.random() < 0.5 else 10 ** rng.normal(0, 1, (n, k))
    available = None
    if rng.random() < 0.4:
        available = rng.random((n, k)) < 0.7
        available[np.arange(n), rng.integers(0, k, n)] = True
    weights = rng.random(n) + 0.01 if rng.random() < 0.4 else None
    table = Table(acc, cost, available=available, weights=weights)
    there = np.ones((n, k), bool) if available is None else available
    chosen = np.array([rng.choice(np.flatnonzero(row)) for row in there])
    price = float(rng.choice([0.0, 10 ** rng.normal(-1, 1), math.inf]))
    budget = float(rng.choice([rng.uniform(0, 12), math.inf, np.nan]))
    return table, chosen, price, None if math.isnan(budget) or (math.isinf(budget) and price > 0) else budget


def test_the_bound_holds_on_1000_random_tables_and_policies():
    rng = np.random.default_rng(0)
    tight = told = 0
    for _ in range(1000):
        table, chosen, price, budget = random_case(rng)
        found = certify(chosen, table, price, budget=budget)
        if found.shortfall is None:  # no choice keeps the budget
            assert "no optimum" in found.notes[0]
            continue
        told += 1
        if math.isfinite(found.bound.value):
            assert found.shortfall <= found.bound.value + 1e-9
            tight += found.shortfall > found.bound.value - 1e-9
        assert found.regret.value >= 0
    assert told > 800
    assert tight > 100  # it is attained, too: at the optimal price


def test_the_bound_is_attained_at_the_optimal_price_and_not_below():
    rng = np.random.default_rng(1)
    for _ in range(100):
        table, chosen, _, _ = random_case(rng)
        found = certify(chosen, table)  # at the spend, and the price that is optimal there
        assert found.bound.value == pytest.approx(found.regret.value, abs=1e-12)
        assert found.shortfall == pytest.approx(found.regret.value, abs=1e-9)


@pytest.mark.parametrize(("budget", "price", "bound", "shortfall"), [(2.0, 0.5, 0.5, 0.5), (3.0, 1.0, 2.0, 1.0)])
def test_the_two_counterexamples(budget, price, bound, shortfall):
    # Actions (cost, utility) = (1, 0) and (3, 1), the policy plays (1, 0): its regret is 0, but not what it lacks.
    found = certify([0], Table([[0.0, 1.0]], [1.0, 3.0]), price, budget=budget)
    assert found.regret.value == 0.0
    assert found.bound.value == bound
    assert found.shortfall == shortfall


def test_figures_by_hand():
    table = Table([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6], [0.2, 0.2]], [1, 4], action_names=("vote1", "vote4"))
    found = certify([0, 1, 1, 0], table, 0.1, budget=3.0)
    # At price .1 the oracle pays 4 for the second question alone.
    assert found.fidelity.value == 0.75
    assert (found.majority.value, found.majority_action) == (0.75, "vote1")
    assert found.accuracy.value == pytest.approx((0.9 + 0.8 + 0.6 + 0.2) / 4)
    assert found.spend.value == 2.5
    assert found.regret.value == pytest.approx((0.3 - 0.1) / 4)
    assert found.bound.value == pytest.approx(0.05 + 0.1 * 0.5)
    # The mixture at 2.5: half and half. The policy took the best there is for 2.5.
    mixture = (1.9 / 4 + 2.5 / 4) / 2
    assert found.gain.value == pytest.approx(0.625 - mixture)
    assert found.captured is None or found.captured.value == pytest.approx(1.0)
    assert found.agreement is None
    assert not found.held_out


def test_captured_is_0_for_the_mixture_and_1_for_the_oracle():
    rng = np.random.default_rng(2)
    acc = np.sort(rng.random((400, 3)), axis=1)
    table = Table(acc, [1, 2, 4])
    plan = table.solve(2.2)
    found = certify(plan.actions, table, plan.price, budget=2.2)
    assert found.captured.value == pytest.approx(1.0, abs=0.01)
    assert found.captured.low <= found.captured.value <= found.captured.high
    for action in (0, 2):
        fixed = certify(np.full(400, action), table, plan.price)
        assert fixed.gain.value == pytest.approx(0.0, abs=1e-12)
    # Neighbours on the hull, at random, are a best fixed mixture.
    fixed = certify(np.where(rng.random(400) < 0.5, 0, 1), table, plan.price)
    assert fixed.captured.low < 0 < fixed.captured.high


def test_actions_that_no_question_has_do_not_matter():
    there = np.array([[True, False, True], [True, False, True]])
    table = Table([[0.5, 0.0, 0.9], [0.5, 9.0, 0.7]], [1, 0, 2], action_names=("a", "b", "c"), available=there)
    few = Table([[0.5, 0.9], [0.5, 0.7]], [1, 2], action_names=("a", "c"))
    assert certify([0, 2], table, 0.3) == certify([0, 1], few, 0.3)
    with pytest.raises(InputError, match=r"chosen\[0\] is 1, an action that no question"):
        certify([1, 2], table, 0.3)


def draws(rng, n, s):
    p = rng.beta(1, 1, n)
    return np.where(rng.random((n, s)) < p[:, None], 0, rng.integers(1, 4, (n, s))), p


def test_an_oracle_of_the_same_samples_flatters_itself_and_halves_do_not():
    rng = np.random.default_rng(3)
    codes, _ = draws(rng, 300, 24)
    samples = Samples(codes)
    actions = [Vote(1), Vote(3), Vote(9)]
    table = samples.table(actions, shrink=False)
    chosen = np.where(rng.random(300) < 0.5, 0, 1)
    plain = certify(chosen, table, 0.02)
    halved = certify(chosen, table, 0.02, samples=samples)
    assert halved.held_out
    assert not plain.held_out
    assert 0.5 < halved.agreement.value < 1
    # What the oracle gains over the mixture, captured by a policy that knows nothing, is 0 either way.
    assert halved.captured.low < 0.1
    same = certify(chosen, samples, 0.02, actions=actions)
    assert same == halved
    short = certify(chosen, samples.table([Vote(1), Vote(3), Vote(16)], shrink=False), 0.02, samples=samples)
    assert not short.held_out
    assert "is too few for some actions" in short.notes[-1]
    few = certify(chosen, samples.table([Vote(1), Vote(3)], shrink=False), 0.02, samples=samples)
    assert short.agreement == few.agreement
    none = certify([0, 0], Samples([[0], [1]]), 0.02, actions=[Vote(1)])
    assert none.agreement is None
    ragged = codes.copy()
    ragged[:50, 10:] = -2  # five in a half do not tell vote9
    some = certify(chosen, Samples(ragged), 0.02, actions=actions)
    assert 0.5 < some.agreement.value < 1
    assert not some.held_out
    assert certify(chosen, Samples(ragged), 0.02, actions=actions[:2]).held_out


def test_the_oracles_agree_as_often_as_two_independent_ones():
    rng = np.random.default_rng(4)
    p = rng.random(1500)
    codes = np.where(rng.random((1500, 32)) < p[:, None], 0, 1)
    actions = [Vote(1), Vote(3), Vote(9)]
    price = 0.02
    found = certify(np.zeros(1500, int), Samples(codes), price, actions=actions)
    fresh = [np.where(rng.random((1500, 16)) < p[:, None], 0, 1) for _ in range(2)]
    tables = [Samples(some).table(actions, shrink=False) for some in fresh]
    one, other = (tcalloc.decide(t.acc, np.broadcast_to(t.cost, t.acc.shape), price) for t in tables)
    assert found.agreement.value == pytest.approx(np.mean(one == other), abs=0.04)


def test_intervals_hold():
    # 400 draws of 150 questions from a population whose figures are known.
    rng = np.random.default_rng(5)
    n = 20_000
    acc = np.sort(rng.beta(1, 1, (n, 3)), axis=1)
    cost = np.array([1.0, 2, 4])
    chosen = rng.integers(0, 3, n)
    price, budget = 0.1, 2.5
    whole = certify(chosen, Table(acc, cost), price, budget=budget)
    names = ("accuracy", "spend", "fidelity", "regret", "bound", "gain", "captured", "majority")
    inside = dict.fromkeys(names, 0)
    for _ in range(400):
        rows = rng.integers(0, n, 150)
        found = certify(chosen[rows], Table(acc[rows], cost), price, budget=budget)
        for name in names:
            low, high = getattr(found, name)[1:]
            inside[name] += low <= getattr(whole, name).value <= high
    assert all(370 - 10 <= count <= 398 for count in inside.values()), inside


def test_five_right_answers_are_no_certainty():
    found = certify([0] * 5, Table(np.ones((5, 2)), [1, 4]), 0.1, budget=2.0)
    assert found.accuracy.value == 1.0
    # Clopper and Pearson's interval for 5 of 5.
    assert found.accuracy[1:] == pytest.approx((0.025 ** (1 / 5), 1.0))
    assert found.regret[1:] == pytest.approx((0.0, (1 - 0.025**0.2) * (1 + 0.1 * 3)))
    assert found.spend[1:] == pytest.approx((1.0, 1 + 3 * (1 - 0.025**0.2)))
    assert found.fidelity.low < 0.5
    wrong = certify([0] * 5, Table(np.zeros((5, 2)), [1, 4]), 0.1)
    assert wrong.accuracy[1:] == pytest.approx((0.0, 1 - 0.025 ** (1 / 5)))


def test_intervals_end_where_figures_end():
    rng = np.random.default_rng(8)
    for _ in range(200):
        table, chosen, _, _ = random_case(rng)
        found = certify(chosen, table, 0.1, budget=3.0)
        for figure in (found.accuracy, found.fidelity, found.majority):
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert 0 <= found.regret.low <= found.regret.value <= found.regret.high
        assert 0 <= found.spend.low <= found.spend.value <= found.spend.high


def test_few_questions_that_decide_the_mean_leave_it_open():
    rng = np.random.default_rng(9)
    n, whole = 30, 20_000
    acc = np.sort(rng.beta(1, 1, (whole, 3)), axis=1)
    cost = rng.lognormal(0, 1, (whole, 1)) * [1.0, 2.0, 4.0]
    chosen = np.where(rng.random(whole) < 0.5, (acc - 0.1 * cost).argmax(axis=1), rng.integers(0, 3, whole))
    names = ("accuracy", "spend", "regret", "bound", "gain", "captured", "fidelity")
    known = certify(chosen, Table(acc, cost), 0.1, budget=2.5)
    inside, opened = dict.fromkeys(names, 0), 0
    for _ in range(200):
        rows = rng.integers(0, whole, n)
        found = certify(chosen[rows], Table(acc[rows], cost[rows]), 0.1, budget=2.5)
        if math.isinf(found.regret.high):
            opened += 1
            assert found.regret.low >= 0
            assert f"at least {found.regret.low:.4f}" in str(found)
            assert "Some figures have a limit on one side only, or none" in found.notes[-1]
        for name in names:
            figure = getattr(found, name)
            inside[name] += figure is None or figure.low <= getattr(known, name).value <= figure.high
    assert all(count >= 180 for count in inside.values()), inside
    assert opened > 100
    # Even values are given both limits.
    even = certify(chosen, Table(acc, np.ones((whole, 3)) * [1.0, 2.0, 4.0]), 0.1, budget=2.5)
    assert all(math.isfinite(x) for name in names for x in getattr(even, name))
    assert not any("Few questions" in note for note in even.notes)


def test_words_and_json():
    rng = np.random.default_rng(6)
    codes, _ = draws(rng, 200, 12)
    samples = Samples(codes)
    found = certify(np.zeros(200, int), samples, 0.02, budget=2.0, actions=[Vote(1), Vote(3), Vote(5)])
    lines = str(found).splitlines()
    assert lines[0].startswith("200 questions")
    assert lines[0].endswith("95% interval")
    said = "\n".join(lines)
    for words in (
        "fidelity, %",
        "of always vote",
        "of two half-sample oracles",
        "regret at price 0.02",
        "budget 2",
        "on these",
        "gain over the best fixed mixture",
    ):
        assert words in said
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["fidelity"]["value"] == found.fidelity.value
    assert data["majority_action"] == found.majority_action
    one = certify([0], [[0.5, 0.6]], 0.0, cost=[1, 2])
    assert str(one).startswith("1 question  ")
    assert one.accuracy == (0.5, 0.0, 1.0)  # one question says nothing, but a share has ends
    assert one.spend == (1.0, 1.0, 2.0)
    assert "no limit" in str(certify([0], [[1.5, 2.5]], 0.0, cost=[1, 2]))
    json.dumps(one.to_dict(), allow_nan=False)
    unpriced = certify([1, 0], [[0.5, 0.6], [0.5, 0.9]], math.inf, cost=[1, 2])
    assert "optimal for the budget" in unpriced.notes[-1]


@pytest.mark.parametrize(
    ("chosen", "options", "words"),
    [
        ([0.5, 1.0], {}, "expected whole numbers"),
        ([0], {}, "X has 1 row, but table has 2"),
        ([0, 2], {}, r"chosen\[1\] is 2; the table has the columns 0 to 1"),
        ([1, 0], {}, r"chosen\[0\] is 1 \(b\), an action that the question does not have"),
        ([0, 0], {"price": -1.0}, "price is -1.0; expected at least 0"),
        ([0, 0], {"level": 1.0}, "level is 1.0"),
        ([0, 0], {"splits": 0}, "splits is 0"),
        ([0, 0], {"budget": math.nan}, "budget is nan"),
        ([0, 0], {"samples": Samples([[0, 1]] * 2)}, "it is not known what the table's actions are"),
        ([0, 0], {"samples": Samples([[0, 1]]), "actions": [Vote(1), Vote(3)]}, "samples has 1 question,"),
    ],
)
def test_refusals(chosen, options, words):
    table = Table(
        [[0.5, 0.0], [0.5, 0.9]], [1, 2], action_names=("a", "b"), available=np.array([[True, False], [True, True]])
    )
    with pytest.raises(InputError, match=words):
        certify(chosen, table, **({"price": 0.1} | options))

"""Policies that see nothing or next to nothing: mixtures, lots, length, the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import COST, EVERY, clear, noise
from sklearn.base import clone

from tcalloc import BudgetError, Table, solve
from tcalloc.learn.protocol import uniform
from tcalloc.learn.routing.baselines import Fixed, LengthHeuristic, Mixture, Oracle, Random
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.training import Mix


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 10)), min_size=1, max_size=7), st.floats(0, 12))
def test_the_mixture_is_the_linear_program(points, budget):
    acc, cost = np.array(points).T
    mix = Mix.of(acc, cost)
    assert np.all(np.diff(mix.cost) > 0)
    assert np.all(np.diff(mix.acc) > 0)
    low, high, share = mix.at(budget)
    reached = (1 - share) * acc[low] + share * acc[high]
    if budget < cost.min():
        assert share == 0
        assert cost[low] == cost.min()
        return
    assert (1 - share) * cost[low] + share * cost[high] <= budget * (1 + 1e-9) + 1e-12
    # The best of all pairs.
    best = max(acc[cost <= budget])
    for a in range(len(acc)):
        for b in range(len(acc)):
            if cost[a] <= budget < cost[b]:
                t = (budget - cost[a]) / (cost[b] - cost[a])
                best = max(best, (1 - t) * acc[a] + t * acc[b])
    assert reached == pytest.approx(best, abs=1e-9)


def test_lots_are_those_of_the_question():
    questions = [f"question {i}" for i in range(4000)]
    mixture = Mixture(2.0).fit(["a", "b"], [[0.5, 0.6], [0.4, 0.9]], cost=COST)
    chosen = mixture.decide(questions)
    assert COST[chosen].mean() == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(chosen == 1, np.array([uniform(0, q) for q in questions]) < 1 / 3)
    other = Mixture(2.0, random_state=1).fit(["a", "b"], [[0.5, 0.6], [0.4, 0.9]], cost=COST)
    assert (other.decide(questions) != chosen).any()
    even = Random(2.0).fit(["a", "b"], np.full((2, 3), 0.5), cost=[0, 1, 5])
    assert even.chances(2.0) @ [0, 1, 5] == pytest.approx(2.0)
    assert np.bincount(even.decide(questions), minlength=3) / 4000 == pytest.approx(even.chances(2.0), abs=0.03)
    assert np.bincount(Random().fit(["a"], [[0.1, 0.2]], cost=COST).decide(questions)).min() > 1800


def test_length_takes_the_longest():
    texts = ["x" * i for i in range(1, 301)]
    table = Table(np.tile([0.5, 0.9], (300, 1)), COST)
    chosen = LengthHeuristic(2.0).fit(texts, table).decide(texts)
    assert chosen.tolist() == [0] * 200 + [1] * 100
    shortest = LengthHeuristic(2.0, longest=False).fit(texts, table).decide(texts)
    assert shortest.tolist() == [1] * 100 + [0] * 200


def test_oracle_is_solve():
    x, table = noise()
    assert np.array_equal(Oracle().fit(x, table).decide(x, budget=2.0), solve(table.acc, table.cost, 2.0).actions)


@pytest.mark.parametrize("policy", EVERY, ids=repr)
def test_calibrate_keeps_the_budget_on_held_out_questions(policy):
    x, table = clear(600)
    more, held = clear(600, seed=1)
    fitted = clone(policy).fit(more if isinstance(policy, Oracle) else x, held if isinstance(policy, Oracle) else table)
    if isinstance(policy, Fixed):
        with pytest.raises(BudgetError):
            fitted.calibrate(more, held, budget=2.5)
        return
    fitted.calibrate(more, held, budget=2.5)
    spend = COST[fitted.decide(more)].mean()
    assert spend <= 2.5 * (1 + 1e-12)
    assert spend == pytest.approx(fitted.guarantee_.spend)
    if not isinstance(policy, Imitator):  # whose most probable actions cost what they cost
        assert spend > 2.2
    fitted.calibrate(more, held, budget=2.5, confidence=0.9)
    assert COST[fitted.decide(more)].mean() < 2.5
    assert fitted.guarantee_.confidence == 0.9
    assert "with confidence 0.9" in repr(fitted)


def test_calibrate_meets_the_budget_where_the_gate_is_closed():
    x, table = noise()
    policy = PricedPolicy().fit(x, table)
    assert not policy.gate_.open_budgets()
    policy.calibrate(x, table, budget=2.5)
    assert 2.4 < COST[policy.decide(x)].mean() <= 2.5

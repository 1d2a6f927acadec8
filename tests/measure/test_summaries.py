"""What is said of a plan and of a curve: each figure beside the same, worked out by hand."""

import itertools

import numpy as np
import pytest

from tcalloc import BudgetError, Table
from tcalloc.measure.summaries import action_uses, curve_points, fixed_mixture, mixture_beside


def a_table(seed=0, *, n=40, k=4, weights=False, scale=1.0):
    rng = np.random.default_rng(seed)
    acc = np.sort(rng.random((n, k)), axis=1)
    cost = np.cumsum(rng.random((n, k)), axis=1) * scale
    return Table(acc, cost, weights=rng.integers(1, 9, n).astype(float) if weights else None)


@pytest.mark.parametrize("weights", [False, True])
def test_uses_are_those_of_the_plan(weights):
    table = a_table(weights=weights)
    plan = table.solve(1.0)
    weight = np.ones(len(table.acc)) if table.weights is None else table.weights
    uses = action_uses(table, plan)
    for a, use in enumerate(uses):
        got = plan.actions == a
        assert (use.action, use.instances) == (str(a), int(got.sum()))
        assert use.share == pytest.approx(weight[got].sum() / weight.sum())
        if got.any():
            assert use.mean_cost == pytest.approx(np.average(table.cost[got, a], weights=weight[got]))
            assert use.mean_accuracy == pytest.approx(np.average(table.acc[got, a], weights=weight[got]))
        else:
            assert np.isnan([use.mean_cost, use.mean_accuracy]).all()
    assert sum(use.share * use.mean_cost for use in uses if use.instances) == pytest.approx(plan.spend)


@pytest.mark.parametrize("weights", [False, True])
def test_the_mixture_is_the_best_of_two_actions_for_everyone(weights):
    table = a_table(1, weights=weights)
    plan = table.solve(1.2)
    weight = np.ones(len(table.acc)) if table.weights is None else table.weights
    acc, cost = (np.average(values, axis=0, weights=weight) for values in (table.acc, table.cost))

    def best(budget):
        found = [acc[a] for a in range(4) if cost[a] <= budget]
        for a, b in itertools.permutations(range(4), 2):
            if cost[a] <= budget < cost[b]:
                part = (budget - cost[a]) / (cost[b] - cost[a])
                found.append((1 - part) * acc[a] + part * acc[b])
        return max(found)

    mixed = mixture_beside(table, plan)
    assert mixed.accuracy == pytest.approx(best(plan.spend))
    assert sum(share for _, share in mixed.parts) == pytest.approx(1.0)
    assert sum(share * cost[int(name)] for name, share in mixed.parts) <= plan.spend + 1e-12
    assert mixed.gain == pytest.approx(plan.accuracy - mixed.accuracy)
    assert mixed.gain > 0
    assert best(mixed.spend_for_the_same_accuracy) == pytest.approx(plan.accuracy)
    curve = fixed_mixture(table)
    for budget in np.linspace(cost.min(), cost.max(), 7).tolist():
        assert curve.accuracy_at(budget) == pytest.approx(best(budget))


def test_there_is_no_mixture_where_a_question_lacks_an_action():
    acc = np.array([[0.2, 0.8], [0.4, np.nan]])
    table = Table(np.nan_to_num(acc), [1.0, 2.0], available=~np.isnan(acc))
    assert fixed_mixture(table) is None
    assert mixture_beside(table, table.solve(2.0)) is None


def test_no_mixture_is_this_cheap():
    # Each question has a cheap action, but not the same one.
    table = Table([[0.5, 0.6], [0.6, 0.5]], [[1.0, 9.0], [9.0, 1.0]])
    with pytest.raises(BudgetError) as error:
        mixture_beside(table, table.solve(1.0))
    assert error.value.limit == 5.0
    points = curve_points(table.frontier(), fixed_mixture(table))
    assert np.isnan(points["best_fixed_mixture"][0])


def test_a_spend_that_only_rounding_moves_below_the_cheapest_action_is_enough():
    refused = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 300))
        cost = np.cumsum(rng.lognormal(0, 8, (n, 2)), axis=1)
        table = Table(np.sort(rng.random((n, 2)), axis=1), cost, weights=rng.lognormal(0, 3, n))
        plan = table.solve(table.frontier().budgets[0])
        assert mixture_beside(table, plan).parts[0] == ("0", pytest.approx(1.0))
        try:
            fixed_mixture(table).allocate(plan.spend)
        except BudgetError:
            refused += 1
    assert refused > 0


def test_the_same_choice_is_no_gain():
    table = Table(np.full((7, 2), 0.1), [0.1, 0.3])
    assert mixture_beside(table, table.solve(0.3))[2:] == (0.0, None)


def test_sums_of_huge_costs_do_not_overflow():
    table = a_table(2, scale=1e307)
    plan = table.solve(1e307)
    small = mixture_beside(a_table(2), a_table(2).solve(1.0))
    assert mixture_beside(table, plan).accuracy == pytest.approx(small.accuracy)
    assert np.isfinite([use.mean_cost for use in action_uses(table, plan) if use.instances]).all()


def test_points_span_the_curve():
    table = a_table(3)
    curve = table.frontier()
    points = curve_points(curve, fixed_mixture(table), 9)
    assert points["budget"][[0, -1]].tolist() == curve.budgets[[0, -1]].tolist()
    assert 5 <= len(points["budget"]) <= 9
    assert (np.diff(points["budget"]) > 0).all()
    assert points["accuracy"] == pytest.approx(curve.accuracy_at(points["budget"]))
    assert list(curve_points(curve, points=2)) == ["budget", "accuracy", "price"]
    flat = curve_points(Table([[0.5, 0.5]], [1.0, 2.0]).frontier())
    assert flat["budget"].tolist() == [1.0]

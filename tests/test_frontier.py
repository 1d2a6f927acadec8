"""The frontier: its curve is the linear program's, its actions are solve's, its blocks merge."""

import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from exact import lp_values, sums
from hypothesis import given
from hypothesis import strategies as st
from tables import problems, tables

import tcalloc
from tcalloc import Frontier, _search


def same_plan(plan, other):
    assert plan.actions.tolist() == other.actions.tolist()
    for name in ("price", "accuracy", "spend", "budget", "upper_bound", "split"):
        assert getattr(plan, name) == getattr(other, name), name


@given(problems(max_rows=40))
def test_allocate_is_solve_and_the_curve_its_upper_bound(problem):
    table, budget = problem
    curve = tcalloc.frontier(**table.inputs)
    plan = tcalloc.solve(**table.inputs, budget=budget)
    same_plan(plan, curve.allocate(budget))
    scale = float(np.abs(curve.accuracies).max()) or 1.0
    # Between costs a few ulps apart the tolerance of feasibility decides: the bound lies between two budgets' values.
    beyond = curve.accuracy_at(budget * (1 + 2.0**-49))
    assert curve.accuracy_at(budget) - 1e-12 * scale <= plan.upper_bound <= beyond + 1e-12 * scale
    weight = float(table.w.sum())
    if math.isfinite(budget * weight):
        same_plan(
            tcalloc.solve(**table.inputs, total=budget * weight * (1 + 2.0**-51)),
            curve.allocate(total=budget * weight * (1 + 2.0**-51)),
        )


@given(tables(max_rows=12))
def test_the_curve_is_concave_and_exact_at_its_vertices(table):
    curve = tcalloc.frontier(**table.inputs)
    budgets, accuracies, prices = curve.budgets, curve.accuracies, curve.prices
    assert (np.diff(budgets) >= 0).all()
    assert (np.diff(accuracies) >= 0).all()
    assert (np.diff(prices) <= 0).all()
    assert (prices > 0).all()
    weight = sum(Fraction(float(x)) for x in table.w)
    chosen = slice(None, None, max(1, len(budgets) // 5))
    # A vertex is rounded once: the exact value lies between those of budgets a few ulps below and above.
    limits = [Fraction(b) * weight for b in budgets[chosen].tolist()]
    low, high = (lp_values(table, [limit * (1 + sign * Fraction(1, 2**50)) for limit in limits])[0] for sign in (-1, 1))
    slop = 1e-12 * float(np.abs(accuracies).max())
    for accuracy, below, above in zip(accuracies[chosen].tolist(), low, high, strict=True):
        assert float(below / weight) - slop <= accuracy <= float(above / weight) + slop


@given(problems(max_rows=40, magnitudes=False), st.floats(0, 1))
def test_the_inverse_problem(problem, share):
    table, _ = problem
    curve = tcalloc.frontier(**table.inputs)
    low, high = curve.accuracies[[0, -1]]
    target = float(low + share * (high - low))
    budget = curve.budget_for(target)
    assert curve.budgets[0] <= budget <= curve.budgets[-1]
    assert curve.accuracy_at(budget * (1 + 2.0**-50)) >= target - 1e-9
    if budget > curve.budgets[0] * (1 + 2.0**-48):
        assert curve.accuracy_at(budget * (1 - 2.0**-49)) <= target + 1e-9
    plan = curve.allocate(accuracy=target)
    _, gain, weight = sums(table, plan.actions)
    assert gain / weight >= Fraction(target) - abs(Fraction(target)) * Fraction(1, 2**49)
    assert plan.budget == plan.spend
    assert plan.upper_bound >= plan.accuracy
    # At most one step above the cheapest spend that any choice could have.
    steps = np.diff(curve.budgets, prepend=curve.budgets[0])
    assert budget - 1e-9 <= plan.spend <= budget + steps.max() + 1e-9


def test_the_last_step_to_a_target_is_the_cheapest_that_suffices():
    acc = [[0.0, 1.0], [0.0, 0.6], [0.0, 0.3]]
    cost = [[0.0, 1.0], [0.0, 6.0], [0.0, 4.0]]
    plan = tcalloc.frontier(acc, cost).allocate(accuracy=1.2 / 3)
    assert plan.actions.tolist() == [1, 0, 1]
    assert plan.spend == pytest.approx(5 / 3)
    assert plan.price == pytest.approx(0.1)


def test_a_target_and_the_budget_that_it_takes_have_the_same_price():
    curve = tcalloc.frontier([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]], cost=[1, 4])
    plan = curve.allocate(accuracy=0.7)
    assert plan.price == curve.allocate(plan.spend).price == curve.price_at(plan.spend)


@given(tables(max_rows=30, magnitudes=False), st.lists(st.integers(0, 30), max_size=3), st.randoms())
def test_blocks_merge_to_the_whole_in_any_order(table, cuts, random):
    whole = tcalloc.frontier(**table.inputs)
    n = len(table.acc)
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    blocks = []
    for start, stop in itertools.pairwise(edges):
        rows = slice(start, stop)
        if not table.w[rows].any():
            return
        cost = table.cost if table.cost.ndim == 1 else table.cost[rows]
        blocks.append(
            tcalloc.frontier(
                table.acc[rows],
                cost,
                available=None if table.available is None else table.available[rows],
                weights=None if table.weights is None else table.weights[rows],
            )
        )
    merged = Frontier.merge(blocks)
    middle = float(whole.budgets.mean())
    assert merged.allocate(middle).actions.tolist() == whole.allocate(middle).actions.tolist()
    random.shuffle(blocks)
    shuffled = sum(blocks[1:], start=blocks[0])
    for other in (merged, shuffled, pickle.loads(pickle.dumps(merged))):
        grid = np.linspace(whole.budgets[0] * (1 + 1e-12), whole.budgets[-1] * 1.1 + 1e-9, 9)
        scale = np.abs(whole.accuracies).max()
        assert other.accuracy_at(grid) == pytest.approx(whole.accuracy_at(grid), rel=1e-12, abs=1e-12 * scale)


def test_merging_scaled_and_plain_blocks():
    big = tcalloc.frontier([[1e200, 3e200]], [1e150, 2e150])
    plain = tcalloc.frontier([[1e190, 2e190]], [1e140, 2e140])
    merged = big + plain
    whole = tcalloc.frontier([[1e200, 3e200], [1e190, 2e190]], [[1e150, 2e150], [1e140, 2e140]])
    assert merged.accuracies == pytest.approx(whole.accuracies, rel=1e-12)
    assert merged.budgets == pytest.approx(whole.budgets, rel=1e-12)


def test_merging_refuses_what_the_whole_table_would_be_refused_for():
    for name, small, large in (
        ("acc", ([[0.0, 1e-100]], [1, 2], None), ([[0.0, 1e100]], [1, 2], None)),
        ("cost", ([[0.1, 0.2]], [0, 1e-100], None), ([[0.1, 0.2]], [[1, 1e100]], None)),
        ("weights", ([[0.1, 0.2]], [1, 2], [1e-150]), ([[0.1, 0.2]], [1, 2], [1.0])),
    ):
        parts = [tcalloc.frontier(acc, cost, weights=weights) for acc, cost, weights in (small, large)]
        with pytest.raises(tcalloc.InputError, match=f"{name} of the frontiers together holds magnitudes from 1e-1"):
            Frontier.merge(parts)
        assert pickle.loads(pickle.dumps(parts[0] + parts[0])).allocate(2).accuracy == parts[0].allocate(2).accuracy
    # Together with a part of another size the exponent may change, and what was merged before still counts.
    middle = tcalloc.frontier([[0.0, 1.0]], [1, 2])
    first = middle + tcalloc.frontier([[0.0, 1e-60]], [1, 2])
    with pytest.raises(tcalloc.InputError, match="acc of the frontiers together"):
        first + tcalloc.frontier([[0.0, 1e70]], [1, 2])
    assert (first + middle).allocate(1.5).accuracy == pytest.approx(1 / 3)


@pytest.mark.parametrize("unit", [1e-320, 1e-300, 1e-60, 1.0, 1e60, 1e300])
@pytest.mark.parametrize("scale", [1e-310, 1e-60, 1.0, 1e300])
def test_the_curve_and_its_inverse_at_any_magnitude(unit, scale):
    acc, cost = np.array([[0.0, 0.5, 0.75], [-0.5, 0.25, 0.25]]) * scale, np.array([0.0, 1.0, 3.0]) * unit
    curve = tcalloc.frontier(acc, cost)
    for budget, accuracy in ((0.0, -0.25), (0.25, -0.0625), (0.5, 0.125), (1.0, 0.375), (1.5, 0.4375), (2.0, 0.5)):
        # Below 1e-308 numbers lie 5e-324 apart.
        assert curve.accuracy_at(budget * unit) == pytest.approx(accuracy * scale, rel=1e-12, abs=2e-323)
        assert curve.budget_for(accuracy * scale) == pytest.approx(budget * unit, rel=1e-12, abs=2e-323)
    assert curve.accuracy_at(1.7e308) == curve.accuracies[-1]
    assert curve.budget_for(-1.7e308) == 0.0


def test_the_curve_between_the_ends_of_float():
    curve = tcalloc.frontier([[-1.7e308, 1.7e308]], [0.0, 1.7e308])
    assert curve.accuracy_at([0.0, 0.85e308, 1.7e308]) == pytest.approx([-1.7e308, 0.0, 1.7e308], abs=1e293)
    assert curve.budget_for([-1.7e308, 0.85e308]) == pytest.approx([0.0, 1.275e308])
    assert curve.allocate(accuracy=-1.7e308).actions.tolist() == [0]


def test_steps_that_vanish_in_the_sums_are_still_paid_for():
    # The second row's cost is beyond the 106 bits of the sums behind the first row's step, which is not taken.
    table = {"acc": [[0.0, 1.0], [0.0, 1.0]], "cost": [0.0, 1.0], "weights": [1.0, 1e-100]}
    for budget in (0.0, 0.5):
        same_plan(tcalloc.solve(**table, budget=budget), tcalloc.frontier(**table).allocate(budget))
    parts = [tcalloc.frontier([[0.0, 1.0]], [0.0, 1.0], weights=[weight]) for weight in (1.0, 1e-100)]
    assert (parts[0] + parts[1]).allocate(0.0).actions.tolist() == [0, 0]


def test_merging_says_what_does_not_fit():
    one = tcalloc.frontier([[0.1, 0.2]], [1, 2], action_names=["a", "b"])
    two = tcalloc.frontier([[0.1, 0.2]], [1, 2], action_names=["a", "c"])
    with pytest.raises(tcalloc.InputError, match="different actions \\(a, b against a, c\\)"):
        one + two
    with pytest.raises(tcalloc.InputError, match="empty"):
        Frontier.merge([])
    for wrong in (one, None):
        with pytest.raises(tcalloc.InputError, match="is not a list of frontiers"):
            Frontier.merge(wrong)
    with pytest.raises(tcalloc.InputError, match="not a Frontier"):
        Frontier.merge([one, 3])
    with pytest.raises(TypeError):
        one + 3
    named = tcalloc.frontier([[0.1, 0.2]], [1, 2], action_names=["a", "b"], ids=["q1"])
    with pytest.raises(tcalloc.InputError, match="some have none"):
        one + named
    assert (named + named).allocate(2).ids.tolist() == ["q1", "q1"]


def test_questions_off_the_curve_are_refused_in_words():
    curve = tcalloc.frontier([[0.25, 0.75]], [1.0, 2.0])
    with pytest.raises(tcalloc.BudgetError, match="smallest feasible budget") as caught:
        curve.accuracy_at([1.5, 0.5])
    assert caught.value.limit == 1.0
    with pytest.raises(tcalloc.BudgetError, match="highest accuracy that any budget buys") as caught:
        curve.budget_for(0.9)
    assert caught.value.limit == 0.75
    for call in (curve.accuracy_at, curve.price_at, curve.budget_for, curve.allocate):
        with pytest.raises(tcalloc.InputError, match="nan"):
            call(math.nan)
    with pytest.raises(tcalloc.InputError, match="expected a number"):
        curve.accuracy_at("much")
    with pytest.raises(tcalloc.InputError, match="one of the three"):
        curve.allocate(1.5, accuracy=0.5)
    with pytest.raises(tcalloc.InputError, match="neither"):
        curve.allocate()
    assert pickle.loads(pickle.dumps(caught.value)).limit == 0.75


def test_curve_of_one_action_and_prices():
    single = tcalloc.frontier([[0.5], [0.25]], [2.0])
    assert (single.budgets.tolist(), single.accuracies.tolist(), single.prices.tolist()) == ([2.0], [0.375], [])
    assert (single.accuracy_at(3), single.price_at(2), single.budget_for(0.1)) == (0.375, 0.0, 2.0)
    assert single.allocate(accuracy=0.375).actions.tolist() == [0, 0]
    curve = tcalloc.frontier([[0.0, 0.5, 0.75]], [1.0, 2.0, 3.0])
    assert curve.price_at([1.0, 1.5, 2.0, 2.5, 3.0, math.inf]).tolist() == [0.5, 0.5, 0.25, 0.25, 0.0, 0.0]
    assert repr(curve) == "Frontier(N=1, K=3, steps=2, budget 1 to 3, accuracy 0 to 0.75)"


def test_large_frontier_allocates_as_solve_does():
    rng = np.random.default_rng(1)
    acc, cost = rng.random((30_000, 4)), rng.random((30_000, 4))
    curve = tcalloc.frontier(acc, cost, threads=2)
    assert len(acc) > _search.SMALL
    for budget in (0.25, 0.4, 0.6):
        same_plan(tcalloc.solve(acc, cost, budget), curve.allocate(budget))


def test_plot(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    rng = np.random.default_rng(0)
    curve = tcalloc.frontier(rng.random((5000, 4)), rng.random((5000, 4)))
    ax = curve.plot()
    assert curve.plot(ax, color="C3", label="again") is ax
    x, y = ax.lines[0].get_data()
    assert len(x) <= 2000
    assert (x[0], x[-1], y[-1]) == (curve.budgets[0], curve.budgets[-1], curve.accuracies[-1])
    ax.figure.savefig(tmp_path / "curve.png")
    matplotlib.pyplot.close(ax.figure)

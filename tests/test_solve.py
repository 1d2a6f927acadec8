"""The contract of solve: exact, feasible, canonical; against exact arithmetic, HiGHS and the reference kernel."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from exact import best_choice, lp_values, mean_cost, sums
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import Table, problems, seeded_problem, tables

import tcalloc
from tcalloc import _reference, _search

TOLERANCE = 1 + Fraction(1, 2**50)


def the_limit(table, budget):
    return math.inf if budget == math.inf else Fraction(budget) * sum(Fraction(float(x)) for x in table.w)


def scale(table):
    finite = np.abs(table.acc[table.mask].astype(np.float64))
    return float(finite.max(initial=0.0)) or 1.0


def check_contract(table, budget, plan):
    """Everything that design.md promises of an exact answer, in exact arithmetic."""
    limit = the_limit(table, budget)
    assert plan.actions.dtype == np.int32
    assert table.mask[np.arange(len(plan.actions)), plan.actions].all()
    spend, gain, weight = sums(table, plan.actions)
    assert limit == math.inf or spend <= limit * TOLERANCE
    # Sums are rounded once.
    assert plan.spend == pytest.approx(float(spend / weight), rel=2e-16, abs=0)
    assert plan.accuracy == pytest.approx(float(gain / weight), rel=2e-16, abs=1e-17 * scale(table))
    # The tolerance of feasibility matters only where costs are a few ulps apart; there the bound may be either's.
    high = weight * 10 * Fraction(float(table.full_cost[table.mask].max())) + 1
    limits = [high, high] if limit == math.inf else [max(limit, Fraction(0)), limit * TOLERANCE]
    (bound, relaxed), largest_step = lp_values(table, limits)
    slop = Fraction(scale(table)) * weight / 10**12
    assert float((bound - slop) / weight) <= plan.upper_bound <= float((relaxed + slop) / weight)
    # Within one step of the upper bound.
    assert bound - gain <= largest_step + slop
    assert plan.gap >= 0
    assert plan.upper_bound >= plan.accuracy
    assert plan.gap <= float(largest_step / weight) + 1e-12 * scale(table)
    assert plan.counts.sum() == len(plan.actions)
    assert plan.price >= 0
    if plan.split is not None:
        assert 0 < plan.split.fraction < 1 + 1e-9
        assert plan.price > 0


@given(problems())
def test_exact_contract_on_random_tables(problem):
    table, budget = problem
    check_contract(table, budget, tcalloc.solve(**table.inputs, budget=budget))


def test_exact_contract_on_ten_thousand_tables():
    for seed in range(10_000):
        table, budget = seeded_problem(seed)
        try:
            check_contract(table, budget, tcalloc.solve(**table.inputs, budget=budget))
        except Exception as error:
            error.add_note(f"seeded_problem({seed}): budget={budget!r}, {table!r}")
            raise


@given(problems(max_rows=4, max_actions=4, magnitudes=False))
def test_never_better_than_the_best_choice_and_never_a_step_worse(problem):
    table, budget = problem
    plan = tcalloc.solve(**table.inputs, budget=budget)
    limit = the_limit(table, budget)
    best = best_choice(table, 10**400 if limit == math.inf else limit * TOLERANCE)
    weight = sums(table, plan.actions)[2]
    assert sums(table, plan.actions)[1] <= best
    assert plan.upper_bound >= float(best / weight) - 1e-12 * scale(table)


def linear_program(table, budget):
    """The relaxation in SciPy's terms: variables x[i, a] of the available actions."""
    rows, columns = np.nonzero(table.mask)
    w, cost = table.w, table.full_cost.astype(np.float64)
    weight = w.sum()
    objective = -w[rows] * table.acc[rows, columns].astype(np.float64) / weight
    spend = (w[rows] * cost[rows, columns] / weight)[None, :]
    one = scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))))
    return objective, spend, one


@given(problems(max_rows=30, max_actions=6, magnitudes=False))
def test_upper_bound_is_that_of_highs(problem):
    table, budget = problem
    budget = min(budget, 1e6)
    plan = tcalloc.solve(**table.inputs, budget=budget)
    objective, spend, one = linear_program(table, budget)
    found = scipy.optimize.linprog(
        objective,
        A_ub=spend,
        b_ub=[budget * (1 + 2.0**-50)],
        A_eq=one,
        b_eq=np.ones(len(table.acc)),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.status == 0, found.message
    assert plan.upper_bound == pytest.approx(-found.fun, rel=1e-9, abs=1e-9 * scale(table))


@settings(max_examples=150)
@given(problems(max_rows=8, max_actions=4, magnitudes=False))
def test_never_better_than_milp(problem):
    table, budget = problem
    budget = min(budget, 1e6)
    plan = tcalloc.solve(**table.inputs, budget=budget)
    objective, spend, one = linear_program(table, budget)
    found = scipy.optimize.milp(
        objective,
        constraints=[
            scipy.optimize.LinearConstraint(spend, ub=budget * (1 + 2.0**-50)),
            scipy.optimize.LinearConstraint(one, 1, 1),
        ],
        integrality=np.ones(len(objective)),
        bounds=scipy.optimize.Bounds(0, 1),
        options={"mip_rel_gap": 0},
    )
    if found.status == 0:  # on a budget that only rounding makes feasible HiGHS may say otherwise
        assert plan.accuracy <= -found.fun + 1e-7
        assert plan.upper_bound >= -found.fun - 1e-7


def same(plan, other):
    assert plan.actions.tobytes() == other.actions.tobytes()
    for name in ("price", "accuracy", "spend", "budget", "upper_bound", "split"):
        assert getattr(plan, name) == getattr(other, name), name
    assert plan.counts.tolist() == other.counts.tolist()


@given(problems(max_rows=12))
@pytest.mark.parametrize("method", ["exact", "bisect"])
def test_reference_kernel_gives_the_same_bits(method, problem):
    table, budget = problem
    plan = tcalloc.solve(**table.inputs, budget=budget, method=method)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("tcalloc._search", "tcalloc._inputs"):
            patch.setattr(f"{module}.kernel", _reference)
        same(plan, tcalloc.solve(**table.inputs, budget=budget, method=method))


@given(problems(max_rows=300, max_actions=4), st.integers(0, 40))
def test_the_bracket_gives_the_same_bits_as_sorting_everything(problem, fill):
    """The short way (sample, bracket, one scan) and the long way (all steps) must not differ in a single bit."""
    table, budget = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "FILL", fill)
        plan = tcalloc.solve(**table.inputs, budget=budget)
        patch.setattr(_search, "SMALL", 16)
        same(plan, tcalloc.solve(**table.inputs, budget=budget))


def big(kind, n, k, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "curves":
        p = rng.beta(0.5, 0.5, (n, 1))
        samples = 2.0 ** np.arange(k)
        return Table(1 - (1 - p) ** samples, samples * rng.lognormal(0, 0.7, (n, 1)), None, None)
    if kind == "ties":
        return Table((rng.random((n, k)) < np.linspace(0.2, 0.8, k)).astype(float), np.arange(1.0, k + 1), None, None)
    if kind == "sorted":
        p = np.sort(rng.random((n, 1)), axis=0)
        return Table(1 - (1 - p) ** np.arange(1, k + 1), np.arange(1.0, k + 1), None, None)
    mask = rng.random((n, k)) < 0.8
    mask[:, 0] = True
    return Table(rng.random((n, k)), rng.random((n, k)), mask, rng.random(n) * (rng.random(n) < 0.9))


@pytest.mark.parametrize("kind", ["curves", "ties", "sorted", "masked"])
@pytest.mark.parametrize("share", [0.0, 1e-4, 0.1, 0.5, 0.9, 0.9999, 1.0])
def test_large_tables_take_the_short_way_to_the_same_bits(kind, share, monkeypatch):
    table = big(kind, 40_000, 5)
    curve = tcalloc.frontier(**table.inputs)
    low, high = curve.budgets[[0, -1]]
    budget = low + share * (high - low)
    plan = tcalloc.solve(**table.inputs, budget=budget)
    same(plan, curve.allocate(budget))
    for threads in (2, 5):
        same(plan, tcalloc.solve(**table.inputs, budget=budget, threads=threads))
    monkeypatch.setattr(_search, "CHUNK", 4096 * 5)
    same(plan, tcalloc.solve(**table.inputs, budget=budget, threads=3))
    monkeypatch.setattr(_search, "SMALL", 10**9)
    same(plan, tcalloc.solve(**table.inputs, budget=budget))


def test_a_misleading_sample_costs_time_never_the_answer(monkeypatch):
    table = big("curves", 40_000, 5)
    right = tcalloc.solve(**table.inputs, budget=3.0)
    for wrong in [(1e-9, 2e-9), (50.0, 60.0), (right.price * (1 - 1e-9), right.price * (1 + 1e-9))]:
        monkeypatch.setattr(_search, "_guess", lambda *args, wrong=wrong: wrong)
        same(right, tcalloc.solve(**table.inputs, budget=3.0))


# ------------------------------------------------------------------------------------------------- canonical answers


def test_ties_go_to_the_cheaper_then_to_the_lower_column():
    plan = tcalloc.solve([[0.5, 0.5, 0.5], [0.4, 0.9, 0.9]], [[2.0, 1.0, 1.0], [1.0, 2.0, 2.0]], budget=10)
    assert plan.actions.tolist() == [1, 1]
    assert plan.price == 0
    assert plan.split is None


def test_equal_steps_are_taken_in_row_order_and_the_next_one_is_the_split():
    plan = tcalloc.solve([[0.0, 1.0]] * 4, [0.0, 1.0], total=2.5)
    assert plan.actions.tolist() == [1, 1, 0, 0]
    assert plan.split == (2, 0, 1, 0.5)
    assert plan.upper_bound == 2.5 / 4
    assert plan.price == 1.0


def test_the_fill_goes_on_behind_the_split_and_respects_predecessors():
    # Efficiencies 1 (row 0), .5 (row 1: too dear, the split), .4 (row 1: its predecessor was not taken), .3 (row 2).
    acc = [[0.0, 1.0, 1.0], [0.0, 5.0, 5.4], [0.0, 0.3, 0.3]]
    cost = [[0.0, 1.0, 9.0], [0.0, 10.0, 11.0], [0.0, 1.0, 9.0]]
    plan = tcalloc.solve(acc, cost, total=3.0)
    assert plan.actions.tolist() == [1, 0, 1]
    assert plan.split.row == 1


def test_the_fill_looks_at_4096_steps_and_no_further():
    n = 4100
    acc = np.zeros((n + 1, 2))
    cost = np.zeros((n + 1, 2))
    acc[0, 1], cost[0, 1] = 10.0, 10.0  # the split: efficiency 1, too dear
    acc[1:, 1], cost[1:, 1] = 1.0, 2.0  # the next in order do not fit either ...
    acc[n, 1], cost[n, 1] = 0.1, 1.0  # ... but the last one would
    assert tcalloc.solve(acc, cost, total=1.5).counts.tolist() == [n + 1, 0]
    acc[1, 1], cost[1, 1] = 0.4, 1.0  # one that fits, within reach: behind the 4,098 dearer of higher efficiency?
    acc[2:n, 1] = 0.5
    assert tcalloc.solve(acc, cost, total=1.5).actions[1] == 1


def test_bisect_strands_what_ties_hide_and_exact_does_not():
    acc, cost = np.tile([0.0, 1.0], (100, 1)), [1.0, 2.0]
    exact, paper = (tcalloc.solve(acc, cost, 1.5, method=m) for m in ("exact", "bisect"))
    assert (exact.accuracy, exact.spend) == (0.5, 1.5)
    assert (paper.accuracy, paper.spend) == (0.0, 1.0)
    assert paper.upper_bound == pytest.approx(0.5)


@given(problems(max_rows=20))
def test_bisect_is_the_largest_spend_that_one_price_induces(problem):
    table, budget = problem
    plan = tcalloc.solve(**table.inputs, budget=budget, method="bisect")
    limit = the_limit(table, budget)
    assert limit == math.inf or sums(table, plan.actions)[0] <= limit * TOLERANCE
    best = tcalloc.solve(**table.inputs, budget=budget)
    assert plan.accuracy <= best.upper_bound + 1e-12 * scale(table)
    assert plan.upper_bound >= best.upper_bound - 1e-9 * scale(table)
    if 0 < plan.price < math.inf:
        assert (tcalloc.decide(table.acc, table.cost, plan.price, available=table.available) == plan.actions).all()
        # Utilities are rounded: within some units in the last place of acc, several prices give the same choice.
        cheaper = tcalloc.decide(table.acc, table.cost, plan.price * (1 - 1e-12), available=table.available)
        assert sums(table, cheaper)[0] > limit


# ------------------------------------------------------------------------------------------------- budgets


@given(tables(), st.integers(0, 2**32 - 1))
def test_the_rounded_mean_of_a_feasible_choice_is_a_feasible_budget(table, seed):
    rng = np.random.default_rng(seed)
    pick = np.array([rng.choice(np.flatnonzero(m)) for m in table.mask])
    tcalloc.solve(**table.inputs, budget=mean_cost(table, pick))


@given(tables())
def test_the_smallest_feasible_budget_of_the_error_is_feasible(table):
    cheapest = np.where(table.mask, table.full_cost, np.inf).min(axis=1)
    if not (cheapest * table.w).any():
        return
    for word in ("budget", "total"):
        with pytest.raises(tcalloc.BudgetError, match=f"smallest feasible {word}") as caught:
            tcalloc.solve(**table.inputs, **{word: 0.0})
        printed = float(re.search(r"already costs (\S+) ", str(caught.value))[1])
        for least in (caught.value.limit, printed):
            plan = tcalloc.solve(**table.inputs, **{word: least})
            assert plan.spend <= plan.budget * (1 + 2.0**-49)


@given(problems(magnitudes=False))
def test_total_is_budget_times_weight(problem):
    table, budget = problem
    weight = float(table.w.sum())
    plan = tcalloc.solve(**table.inputs, total=budget * weight * (1 + 1e-12))
    assert plan.budget == pytest.approx(budget, rel=1e-9)
    assert plan.spend <= budget * (1 + 1e-9)


def test_beyond_the_last_useful_budget_the_price_is_zero():
    for budget in (3.0, 100.0, 1e300, 1.7e308, math.inf):
        plan = tcalloc.solve([[0.1, 0.9], [0.5, 0.5]], [1.0, 4.0], budget)
        assert (plan.actions.tolist(), plan.price, plan.gap, plan.split) == ([1, 0], 0.0, 0.0, None)


def test_weights_are_counts_of_instances():
    rng = np.random.default_rng(3)
    acc, cost, w = rng.random((40, 4)), rng.random((40, 4)), rng.integers(0, 4, 40)
    weighted = tcalloc.solve(acc, cost, 0.4, weights=w)
    repeated = tcalloc.solve(np.repeat(acc, w, axis=0), np.repeat(cost, w, axis=0), 0.4)
    assert weighted.upper_bound == pytest.approx(repeated.upper_bound, rel=1e-12)
    assert weighted.price == repeated.price


@given(tables(plain=True, magnitudes=False), st.sampled_from([-700, -300, -60, 60, 300, 700]))
def test_powers_of_two_change_nothing_but_the_units(table, power):
    table.acc, table.cost = table.acc.astype(float), table.cost.astype(float)
    budget = mean_cost(table, table.full_cost.argmax(axis=1)) * 0.6 + table.full_cost.min(axis=1).mean() * 0.4
    plain = tcalloc.solve(table.acc, table.cost, budget)
    scaled = tcalloc.solve(np.ldexp(table.acc, power), np.ldexp(table.cost, power), math.ldexp(budget, power))
    assert scaled.actions.tolist() == plain.actions.tolist()
    assert scaled.accuracy == math.ldexp(plain.accuracy, power)
    assert scaled.price == plain.price


# ------------------------------------------------------------------------------------------------- the inputs


@given(problems(max_rows=20, magnitudes=False))
def test_views_and_dtypes_give_the_same_answer(problem):
    table, budget = problem
    plan = tcalloc.solve(**table.inputs, budget=budget)
    wide = np.full((len(table.acc) * 2, table.acc.shape[1] * 3), -7.5, table.acc.dtype)
    wide[::2, ::3] = table.acc
    views = [wide[::2, ::3], np.asfortranarray(table.acc), table.acc[::-1].copy()[::-1], table.acc.astype(">f8")]
    for view in views:
        if view.dtype.itemsize == table.acc.dtype.itemsize or table.acc.dtype == np.float32:
            same(plan, tcalloc.solve(**{**table.inputs, "acc": view}, budget=budget))
    same(plan, tcalloc.solve(**{**table.inputs, "cost": table.full_cost.copy()}, budget=budget))
    if table.acc.dtype == np.float32:
        same(plan, tcalloc.solve(**{**table.inputs, "acc": table.acc.astype(float)}, budget=budget))


@pytest.mark.parametrize("n", [50, 30_000])
def test_inputs_are_never_modified(n):
    table = big("masked", n, 4)
    frozen = {name: value.copy() for name, value in table.inputs.items()}
    for value in table.inputs.values():
        value.flags.writeable = False
    for method in ("exact", "bisect"):
        tcalloc.solve(**table.inputs, budget=0.4, method=method, threads=2)
    tcalloc.frontier(**table.inputs).allocate(0.4)
    tcalloc.decide(table.acc, table.cost, 0.3, available=table.available)
    for name, value in table.inputs.items():
        assert value.tobytes() == frozen[name].tobytes(), name


def test_allocation_shows_itself():
    plan = tcalloc.solve([[0.9, 0.9], [0.3, 0.8]], [1.0, 4.0], 2.5, ids=["a", "b"], action_names=["one", "four"])
    assert repr(plan) == ("Allocation(accuracy=0.85, spend=2.5 of 2.5, price=0, gap=0, N=2, counts={one: 1, four: 1})")
    with pytest.raises(AttributeError):
        plan.price = 1.0
    frame = plan.to_frame([[0.9, 0.9], [0.3, 0.8]], [1.0, 4.0])
    assert frame.to_dict("list") == {
        "id": ["a", "b"],
        "action": [0, 1],
        "name": ["one", "four"],
        "accuracy": [0.9, 0.8],
        "cost": [1.0, 4.0],
    }
    assert list(tcalloc.solve([[0.9, 0.9]], [1.0, 4.0], 2.5).to_frame().columns) == ["id", "action"]


# ------------------------------------------------------------------------------------------------- decide


@given(tables(magnitudes=False), st.sampled_from([0.0, 0.1, 0.125, 1.0, 3.7, math.inf]))
def test_decide_is_the_argmax_with_canonical_ties(table, price):
    found = tcalloc.decide(table.acc, table.cost, price, available=table.available)
    for i in range(len(table.acc)):

        def key(a, i=i):
            acc, cost = float(table.acc[i, a]), float(table.full_cost[i, a])
            return (cost, -acc, a) if price == math.inf else (-(acc - price * cost), cost, a)

        best = min(np.flatnonzero(table.mask[i]), key=key)
        assert found[i] == best
        if table.available is None:
            row = tcalloc.decide(table.acc[i], table.full_cost[i], price)
            assert isinstance(row, int)
            assert row == best
        else:
            assert tcalloc.decide(table.acc[i], table.full_cost[i], price, available=table.available[i]) == best


@pytest.mark.parametrize(
    ("acc", "cost", "price", "best"),
    [
        ([0.3, 0.8], [1e300, 1.7e308], 1e10, 0),  # the scaled price is beyond float64
        ([0.3, 0.8], [1e300, 1e300], 1e10, 1),
        ([0.3, 0.8], [2e300, 1e300], 1e308, 1),
        ([0.3, 0.8], [1e-300, 2e-300], 1e299, 1),
        ([0.3, 0.8], [1e-300, 2e-300], 1e300, 0),
        ([1e300, 1.7e308], [1.0, 2.0], 1e307, 1),
        ([1e300, 1.7e308], [1.0, 2.0], 1.75e308, 0),
        ([1e-320, 2e-320], [1e-160, 2e-160], 0.5e-160, 1),
        ([1e-320, 2e-320], [1e-160, 2e-160], 1.5e-160, 0),  # as floats, the products keep four digits
        ([0.3, 0.8], [1.0, 1.0], 1e20, 1),  # accuracies vanish in the utilities
        ([0.3, 0.8], [1.0, 1.0], 1.7e308, 1),
        ([0.3, 0.8], [1e200, 1e200], 1e200, 1),
        ([0.8, 0.3, 0.9], [1e-200, 0.0, 0.0], 1.7e308, 2),
        ([-1.7e308, 1.7e308], [0.0, 1.0], 1e300, 1),
        ([5e-324, 1e-323], [5e-324, 5e-324], 5e-324, 1),
    ],
)
def test_decide_at_any_magnitude(acc, cost, price, best):
    for convert in (list, np.array, lambda x: [x, x]):
        assert np.all(tcalloc.decide(convert(acc), convert(cost), price) == best)


def test_a_budget_without_end_and_rows_without_weight():
    """Infinity times a weight of 0 is no number; warnings are errors here."""
    rng = np.random.default_rng(0)
    acc, cost, weights = rng.random((20_000, 3)), rng.random((20_000, 3)), rng.integers(0, 3, 20_000).astype(float)
    endless, large = (tcalloc.solve(acc, cost, budget, weights=weights) for budget in (math.inf, 1e9))
    assert np.array_equal(endless.actions, large.actions)

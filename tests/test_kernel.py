"""Each kernel function against its readable twin, on inputs that the friendly layer would let through."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tables import tables

import tcalloc
from tcalloc import _oracle, _reference, _search
from tcalloc._inputs import prepare


def bits_of(x, dtype):
    return int(np.array(x, dtype=dtype).view(np.int32 if dtype == np.float32 else np.int64))


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda t: hnp.arrays(t, st.integers(0, 40), elements=st.floats(width=32 if t == np.float32 else 64))
    ),
    st.booleans(),
)
def test_within(values, signed):
    tiny, huge = bits_of(2.0**-100, values.dtype), bits_of(2.0**100, values.dtype)
    view = values.view(np.int32 if values.dtype == np.float32 else np.int64)
    found = _oracle.within(view, tiny, huge, signed)
    assert found == _reference.within(view, tiny, huge, signed)
    good = (values == 0) | ((abs(values) >= 2.0**-100) & (abs(values) <= 2.0**100))
    assert found == bool(good.all() and (signed or not np.signbit(values).any()))


@given(
    hnp.arrays(np.float64, (5, 3), elements=st.one_of(st.floats(-3, 3), st.sampled_from([np.nan, np.inf, 0.0, 1e300]))),
    st.one_of(st.none(), hnp.arrays(np.uint8, (5, 3), elements=st.integers(0, 1))),
    st.booleans(),
)
def test_survey(values, available, signed):
    assert _oracle.survey(values, available, signed) == _reference.survey(values, available, signed)


@given(
    hnp.arrays(np.float64, 4, elements=st.floats(-2, 2) | st.sampled_from([0.5, 0.25, np.nan])),
    hnp.arrays(np.float64, 4, elements=st.sampled_from([0.0, 1.0, 2.0, 3.5, -1.0, np.inf])),
    st.sampled_from([0.0, 0.5, 1e30, 1e300, 1e-300, np.inf, -1.0, np.nan]),
    st.sampled_from([1.0, 1e-30, 1e80, 1e-80, 1e300]),
)
def test_decide_row(acc, cost, price, unit):
    with np.errstate(over="ignore"):
        cost = cost * unit
    assert _oracle.decide_row(acc, cost, price) == _reference.decide_row(acc, cost, price)


def run_best_at(kernel, problem, price):
    n = problem.shape[0]
    actions, sums = np.full(n, -9, np.int32), np.zeros((-(-n // kernel.BLOCK), 6))
    code = kernel.best_at(problem.acc, problem.cost, problem.available, problem.weights, price, 0, n, actions, sums)
    assert code == kernel.OK
    return actions, sums[:, ::2] + sums[:, 1::2]


@given(tables(max_rows=9), st.sampled_from([0.0, 1e-3, 0.125, 1.0, 40.0, 1e30, 1e170, np.inf]))
def test_best_at(table, price):
    problem = prepare(**table.inputs)
    ours, twins = run_best_at(_oracle, problem, price), run_best_at(_reference, problem, price)
    assert ours[0].tolist() == twins[0].tolist()
    assert ours[1].tolist() == twins[1].tolist()


def run_scan(kernel, problem, lo, hi, *, listed=True):
    n, k = problem.shape
    room = n * (k - 1)
    actions, sums = np.full(n, -9, np.int32), np.zeros((-(-n // kernel.BLOCK), 6))
    out = np.full(room, -9.0), np.full(room, -9), np.full((room, 2), -9, np.int32), np.full((room, 4), -9.0)
    slack = [2.0**-48 * (problem.acc_bound + (0 if p == np.inf else p) * problem.cost_bound) for p in (lo, hi)]
    m = kernel.scan(
        problem.acc, problem.cost, problem.available, problem.weights,
        lo, hi, slack[0] if lo > 0 else 0.0, slack[1], 0, n, actions, sums, *out,
    )  # fmt: skip
    if not listed:
        return None
    assert all((x[m:] == -9).all() for x in out)
    efficiency, row, hop, delta = (x[:m] for x in out)
    return (
        actions.tolist(),
        (sums[:, ::2] + sums[:, 1::2]).tolist(),
        efficiency.tolist(),
        row.tolist(),
        hop.tolist(),
        (delta[:, ::2] + delta[:, 1::2]).tolist(),
    )


def curves(kind, rng, n, k):
    """Rows whose hulls have many vertices, or many points that nearly are: (acc, cost)."""
    x = np.arange(1.0, k + 1)
    acc = {
        "concave": lambda: 1 - np.exp(-x / k * rng.uniform(0.5, 6, (n, 1))),
        "dented": lambda: np.sqrt(x) - (rng.random((n, k)) < 0.2) * 1e-3 * rng.random((n, k)),
        "line on a grid": lambda: np.tile(x / 1024, (n, 1)),
        "line of decimals": lambda: np.tile(x / 1000, (n, 1)),
        "pieces of lines": lambda: np.minimum(np.minimum(0.01 * x, 0.1 + 0.003 * x), 0.3) + 0 * rng.random((n, 1)),
        "an ulp off": lambda: np.sqrt(x) + rng.integers(-2, 3, (n, k)) * 2.0**-52,
        "noisy": lambda: np.log(x) + 0.01 * rng.random((n, k)),
        "shares": lambda: np.sort(rng.integers(0, 65, (n, k)) / 64, axis=1),
        "negative": lambda: -((x - k) ** 2) / k * rng.random((n, 1)),
        "random": lambda: rng.random((n, k)),
    }[kind]()
    cost = np.tile(x, (n, 1))
    if rng.random() < 0.5:
        cost = cost * rng.choice([0.1, 1.0, 0.3]) + rng.choice([0.0, 1e6])
    if rng.random() < 0.3:
        cost[:, ::3] = cost[:, 1::3][:, : cost[:, ::3].shape[1]] if k % 3 == 0 else cost[:, ::3]
    if rng.random() < 0.3:
        some = rng.permutation(k)
        acc, cost = np.ascontiguousarray(acc[:, some]), np.ascontiguousarray(cost[:, some])
    return acc, cost


@pytest.mark.parametrize(
    "kind",
    ["concave", "dented", "line on a grid", "line of decimals", "pieces of lines", "an ulp off", "noisy", "shares",
     "negative", "random"],
)  # fmt: skip
@pytest.mark.parametrize("k", [25, 26, 60, 150])
def test_scan_of_many_actions(kind, k):
    """From some vertices on the kernel sorts a row; it must find the very vertices of the plain search."""
    rng = np.random.default_rng(k)
    for _ in range(4):
        acc, cost = curves(kind, rng, 3, k)
        available = rng.random(acc.shape) < 0.9 if rng.random() < 0.3 else None
        problem = prepare(acc, cost, available)
        found = run_scan(_reference, problem, 0.0, np.inf)
        assert run_scan(_oracle, problem, 0.0, np.inf) == found
        if found[2]:
            lo, hi = np.quantile(found[2], [0.3, 0.9])
            assert run_scan(_oracle, problem, lo, hi) == run_scan(_reference, problem, lo, hi)


@pytest.mark.parametrize("kind", ["concave", "dented", "line on a grid", "pieces of lines"])
def test_a_hull_takes_time_in_proportion_to_its_actions(kind):
    """Eight times the actions in an eighth of the rows: looking at every pair would take eight times as long."""
    rng = np.random.default_rng(0)
    times = []
    for k in (500, 4000):
        problem = prepare(*curves(kind, rng, 32_000 // k, k))
        best = np.inf
        for _ in range(5):
            start = time.process_time()
            run_scan(_oracle, problem, 0.0, np.inf, listed=False)
            best = min(best, time.process_time() - start)
        times.append(best)
    assert times[1] < 3.5 * times[0]


def brackets(steps):
    """Ends anywhere, on breakpoints, a hair beside them, at 0 and at infinity."""
    steps = sorted({0.5, *steps})
    spread = [steps[0] / 2, *(np.array(steps[:-1]) + np.diff(steps) / 2), steps[-1] * 2]
    ends = [0.0, np.inf, *spread[:: max(1, len(spread) // 3)]]
    for e in steps[:: max(1, len(steps) // 4)]:
        ends += [e, e * (1 - 1e-15), e * (1 + 1e-15)]
    return [(lo, hi) for lo in ends for hi in ends if lo < hi]


@settings(max_examples=100)
@given(tables(max_rows=5), st.randoms())
def test_scan(table, random):
    """With any bracket, its ends on breakpoints too, the short way must say exactly what the long way says."""
    problem = prepare(**table.inputs)
    pairs = brackets(run_scan(_reference, problem, 0.0, np.inf)[2])
    for lo, hi in random.sample(pairs, min(len(pairs), 12)):
        assert run_scan(_oracle, problem, lo, hi) == run_scan(_reference, problem, lo, hi), (lo, hi)


@given(tables(max_rows=8), st.floats(-0.1, 1.1), st.integers(0, 9))
def test_walk_and_running(table, share, fill):
    problem = prepare(**table.inputs)
    start, _, efficiency, row, hop, _ = run_scan(_oracle, problem, 0.0, np.inf)
    order = np.argsort(-np.array(efficiency), kind="stable").astype(int)
    row, hop = np.array(row, np.int64)[order], np.array(hop, np.int32).reshape(-1, 2)[order]
    rng = np.random.default_rng(len(order))
    delta = np.abs(rng.normal(size=(len(order), 4))) * [1, 1e-17, 1, 1e-17]
    limit = delta[:, 0].sum() * share
    results = []
    for kernel in (_oracle, _reference):
        actions, state = np.array(start, np.int32), np.zeros(8)
        split = kernel.walk(row, hop, delta, state, limit, 1e-18, fill, actions)
        path = np.zeros((len(order) + 1, 4))
        kernel.running(delta, path)
        results.append(
            (split, actions.tolist(), (state[::2] + state[1::2]).tolist(), (path[:, ::2] + path[:, 1::2]).tolist())
        )
    assert results[0] == results[1]


def test_sums_do_not_lose_small_costs_between_large_ones():
    n = 5000
    cost = np.where(np.arange(n) % 2 == 0, 1e16, 1.0)[:, None]
    sums = np.zeros((2, 6))
    _oracle.best_at(np.zeros((n, 1)), cost, None, None, 0.0, 0, n, np.empty(n, np.int32), sums)
    assert (sums[:, 0].sum() - 2500 * 1e16) + sums[:, 1].sum() == 2500


@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float32, np.float64), (np.float64, np.float32)])
def test_mixed_dtypes(dtypes):
    rng = np.random.default_rng(0)
    acc, cost = rng.random((50, 4)).astype(dtypes[0]), rng.random((50, 4)).astype(dtypes[1])
    problem, doubled = prepare(acc, cost), prepare(acc.astype(float), cost.astype(float))
    assert problem.acc.dtype == dtypes[0]
    assert run_scan(_oracle, problem, 0.3, 1.0) == run_scan(_oracle, doubled, 0.3, 1.0)


def test_efficiencies_of_a_row_never_rise_by_rounding():
    # On one line, but computed the second step is an ulp more efficient than the first: it must not overtake it.
    acc, cost = np.array([[0.0, 1.2, 1.5]]), np.array([[0.0, 2.0, 2.5]])
    assert (1.5 - 1.2) / (2.5 - 2.0) > 1.2 / 2.0
    found = run_scan(_oracle, prepare(acc, cost), 0.0, np.inf)
    assert found == run_scan(_reference, prepare(acc, cost), 0.0, np.inf)
    assert found[2] == [1.2 / 2.0] * 2
    assert found[4] == [[0, 1], [1, 2]]
    # Split at the price of the line: the order is that of the positions.
    assert tcalloc.solve(acc, cost, 2.25).actions.tolist() == [1]


def test_a_step_that_meets_the_limit_exactly_is_taken():
    row, hop = np.array([0, 1]), np.array([[0, 1], [0, 1]], np.int32)
    delta = np.array([[1.0, 2.0**-60, 1.0, 0.0], [2.0, 0.0, 1.0, 0.0]])
    for limit_low, taken in [(2.0**-60, 2), (2.0**-61, 1)]:
        for kernel in (_oracle, _reference):
            actions, state = np.zeros(2, np.int32), np.zeros(8)
            assert kernel.walk(row, hop, delta, state, 3.0, limit_low, 0, actions) == taken
            assert actions.tolist() == [1, taken - 1]


@given(st.lists(st.sampled_from([0.0, 0.125, 0.5, 0.7, 2.0]), max_size=40))
def test_the_canonical_order_is_a_stable_sort(values):
    efficiency = np.array(values, float)
    assert _search.canonical_order(efficiency).tolist() == np.argsort(-efficiency, kind="stable").tolist()

"""Another thread writes into acc and cost during a call: the answer is right for what was read, or one clear error."""

import threading
import time

import numpy as np
import pytest

import tcalloc
from tcalloc import TcallocError, _inputs, _oracle, _reference, _search

BOTH = [_oracle, _reference]


def table(n, k, seed=0):
    rng = np.random.default_rng(seed)
    return np.sort(rng.random((n, k)), axis=1), np.cumsum(rng.random((n, k)), axis=1)


def calls(acc, cost, budget):
    return {
        "solve": lambda: tcalloc.solve(acc, cost, budget),
        "bisect": lambda: tcalloc.solve(acc, cost, budget, method="bisect"),
        "threads": lambda: tcalloc.solve(acc, cost, budget, threads=2),
        "frontier": lambda: tcalloc.frontier(acc, cost),
        "decide": lambda: tcalloc.decide(acc, cost, 0.1),
    }


CALLS = sorted(calls(None, None, None))


def change(acc, cost, how):
    rows = slice(None, None, 3)
    if how == "dearer":
        cost *= 5.0
    elif how == "unavailable":
        acc[rows] = -np.inf
    elif how == "bits":
        acc.view(np.int64)[rows] = np.random.default_rng(1).integers(-(2**63), 2**63, acc[rows].shape)
        cost.view(np.int64)[rows] = np.random.default_rng(2).integers(-(2**63), 2**63, cost[rows].shape)
    else:
        {"acc": acc, "cost": cost}[how[0]][rows] = how[1]


HOWS = ["dearer", "unavailable", "bits", ("acc", np.nan), ("cost", np.nan), ("cost", -1.0), ("cost", np.inf),
        ("acc", np.inf), ("cost", 1e300)]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("how", HOWS, ids=str)
@pytest.mark.parametrize(("rows", "actions"), [(40, 3), (6000, 4), (400, 50)])
def test_written_after_the_check(name, how, rows, actions, monkeypatch):
    acc, cost = table(rows, actions)
    budget = float(cost.mean())
    right = _inputs._scale

    def scale(array, argument, *magnitudes):
        if argument == "cost":  # the last thing that is checked
            change(acc, cost, how)
        return right(array, argument, *magnitudes)

    monkeypatch.setattr(_inputs, "_scale", scale)
    with pytest.raises(TcallocError, match="changed during the call"):
        calls(acc, cost, budget)[name]()


@pytest.mark.parametrize("name", ["solve", "bisect"])
@pytest.mark.parametrize("how", HOWS, ids=str)
def test_written_between_two_passes(name, how, monkeypatch):
    acc, cost = table(6000, 4)
    budget = float(cost.mean())
    right, count = _search.each, iter(range(100))

    def each(*args):
        if next(count) == 1:
            change(acc, cost, how)
        return right(*args)

    monkeypatch.setattr(_search, "each", each)
    with pytest.raises(TcallocError, match="changed during the call"):
        calls(acc, cost, budget)[name]()


@pytest.mark.parametrize("kernel", BOTH)
@pytest.mark.parametrize("k", [1, 3, 60])
@pytest.mark.parametrize("bad", ["none left", "nan", "negative"])
def test_the_kernel_says_so(kernel, k, bad):
    acc, cost = table(200, k)
    mask = None
    if bad == "none left":
        acc[7] = -np.inf
    elif bad == "nan":
        acc[7] = cost[7] = np.nan
    else:
        cost[7] = -1.0
    for dtype in (np.float64, np.float32):
        a, c = acc.astype(dtype), cost.astype(dtype)
        actions, sums = np.zeros(200, np.int32), np.zeros((1, 6))
        room = 200 * (k - 1)
        out = np.empty(room), np.empty(room, np.int64), np.empty((room, 2), np.int32), np.empty((room, 4))
        for hi in (np.inf, 0.5):
            found = kernel.scan(a, c, mask, None, 0.0, hi, 0.0, 0.0, 0, 200, actions, sums, *out)
            assert found == -kernel.CHANGED
        for price in (0.0, 0.1, np.inf):
            for totals in (sums, None):
                assert kernel.best_at(a, c, mask, None, price, 0, 200, actions, totals) == kernel.CHANGED


@pytest.mark.parametrize("kernel", BOTH)
def test_the_kernel_says_so_of_a_mask(kernel):
    acc, cost = table(20, 3)
    mask = np.ones((20, 3), np.uint8)
    mask[4] = 0
    assert kernel.best_at(acc, cost, mask, None, 0.1, 0, 20, np.zeros(20, np.int32), None) == kernel.CHANGED


def test_infinite_costs_end_a_hull():
    """60 actions: the vertices are found by sorting, which must not stand still where no step has an efficiency."""
    acc, cost = np.sort(np.random.default_rng(0).random((50, 60)), axis=1), np.zeros((50, 60))
    cost[:] = np.arange(60) ** 2
    acc[:] = np.sqrt(np.arange(60.0))
    cost[:, 40:] = np.inf
    room = 50 * 59
    steps = np.empty(room), np.empty(room, np.int64), np.empty((room, 2), np.int32), np.empty((room, 4))
    found = _oracle.scan(acc, cost, None, None, 0.0, np.inf, 0.0, 0.0, 0, 50, np.zeros(50, np.int32), np.zeros((1, 6)),
                         *steps)  # fmt: skip
    assert found == 50 * 39


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("actions", [4, 40])
def test_a_thread_that_never_stops_writing(name, actions):
    acc, cost = table(160_000 // actions, actions)
    budget = float(cost.mean())
    first = acc.copy(), cost.copy()
    stop = threading.Event()

    def write():
        rng = np.random.default_rng(3)
        while not stop.is_set():
            for array, values in zip((acc, cost), first, strict=True):
                array[:] = values[rng.permutation(len(values))]
                array[:] = np.sort(values, axis=0)
            rows = rng.integers(0, len(acc), 50)
            acc[rows], cost[rows] = rng.choice([np.nan, np.inf, -np.inf, -1.0], (2, 50, 1))
            for array, values in zip((acc, cost), first, strict=True):
                array[:] = values

    thread = threading.Thread(target=write)
    thread.start()
    ends, refused, answers = time.monotonic() + 0.4, 0, 0
    try:
        while time.monotonic() < ends:
            try:
                found = calls(acc, cost, budget)[name]()
            except TcallocError:
                refused += 1
                continue
            answers += 1
            if isinstance(found, tcalloc.Allocation):
                assert 0 <= found.spend <= budget * (1 + 2.0**-49)
                assert 0 <= found.actions.min() <= found.actions.max() < actions
    finally:
        stop.set()
        thread.join()
    assert refused or answers


def test_shared_costs_weights_and_masks_are_read_once():
    acc, cost = table(3000, 4)
    weights, mask, shared = np.ones(3000), np.ones((3000, 4), bool), cost[0].copy()
    problem = _inputs.prepare(acc, shared, mask, weights)
    expected = _search.exact(problem, 3000 * 1.0, 1).actions
    weights[:], mask[:], shared[:] = np.nan, False, -1.0
    assert (_search.exact(problem, 3000 * 1.0, 1).actions == expected).all()


def test_an_array_that_is_left_alone_is_no_change():
    acc, cost = table(3000, 6)
    acc[5, 2] = cost[5, 2] = np.nan
    mask = np.isfinite(acc)
    plan = tcalloc.solve(acc, cost, 3.0, available=mask)
    for form in (np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x[::-1][::-1]):
        assert (tcalloc.solve(form(acc), form(cost), 3.0, available=mask).actions == plan.actions).all()
    tcalloc.decide(acc, cost, 0.1, available=mask)
    tcalloc.frontier(acc, cost, available=mask)

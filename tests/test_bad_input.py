"""Every bad input is refused before any work, in words: the argument, the place, what is allowed, the remedy."""

import inspect
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tcalloc
from tcalloc import InputError, TcallocError, errors

GOOD = [[0.1, 0.2], [0.3, 0.4]]


def with_value(place, value, shape=(2, 2)):
    array = np.full(shape, 0.5)
    array[place] = value
    return array


BAD = {
    # argument, message
    "nan": ({"acc": with_value((1, 0), np.nan)}, r"acc\[1, 0\] is nan, which is not finite.*available=numpy.isfinite"),
    "inf": ({"acc": with_value((0, 1), np.inf)}, r"acc\[0, 1\] is inf, which is not finite"),
    "-inf": ({"acc": with_value((0, 1), -np.inf)}, r"acc\[0, 1\] is -inf, which is not finite"),
    "cost nan": ({"cost": with_value((1, 1), np.nan)}, r"cost\[1, 1\] is nan.*at least 0.*available="),
    "cost inf": ({"cost": [1.0, np.inf]}, r"cost\[0, 1\] is inf"),
    "negative cost": ({"cost": with_value((1, 1), -2.0)}, r"cost\[1, 1\] is -2.0, which is negative.*at least 0"),
    "shape": ({"cost": np.ones((3, 2))}, r"cost has shape \(3, 2\), acc has \(2, 2\); expected \(2, 2\), or \(2,\)"),
    "shared": ({"cost": [1.0, 2.0, 3.0]}, r"cost has shape \(3,\).*or \(2,\) shared by all"),
    "rank": ({"acc": [0.1, 0.2]}, r"acc has shape \(2,\); expected \(N, K\)"),
    "rank 3": ({"acc": np.ones((2, 2, 2))}, r"acc has shape \(2, 2, 2\); expected \(N, K\)"),
    "scalar cost": ({"cost": 1.0}, r"cost has shape \(\); expected"),
    "ragged": ({"acc": [[0.1, 0.2], [0.3]]}, r"acc cannot be converted to an array of shape \(N, K\)"),
    "no rows": ({"acc": np.empty((0, 2)), "cost": [1.0, 2.0]}, r"acc has shape \(0, 2\): an empty table"),
    "no columns": ({"acc": np.empty((2, 0)), "cost": np.empty((2, 0))}, r"acc has shape \(2, 0\): an empty table"),
    "object": ({"acc": np.array([[0.1, None], [0.2, 0.3]])}, r"acc has dtype object; allowed are float32, float64"),
    "complex": ({"acc": np.ones((2, 2), complex)}, r"acc has dtype complex128; allowed"),
    "strings": ({"cost": [["a", "b"], ["c", "d"]]}, r"cost has dtype <U1; allowed"),
    "masked": ({"acc": np.ma.masked_equal(GOOD, 0.1)}, r"acc is a masked array.*available=~acc.mask"),
    "no action": ({"available": [[True, False], [False, False]]}, r"available\[1\] is False everywhere: row 1 has no"),
    "mask dtype": ({"available": [[1, 0], [0, 1]]}, r"available has dtype int64; expected booleans"),
    "mask shape": ({"available": [True, True]}, r"available has shape \(2,\); expected \(2, 2\)"),
    "weights nan": ({"weights": [1.0, np.nan]}, r"weights\[1\] is nan, which is not finite"),
    "weights negative": ({"weights": [-1.0, 2.0]}, r"weights\[0\] is -1.0, which is negative"),
    "weights zero": ({"weights": [0.0, 0.0]}, r"weights are all 0.*At least one weight must be positive"),
    "weights shape": ({"weights": [1.0]}, r"weights has shape \(1,\); expected \(2,\)"),
    "weights rank": ({"weights": [[1.0, 2.0]]}, r"weights has shape \(1, 2\); expected \(2,\)"),
    "budget nan": ({"budget": np.nan}, r"budget is nan; expected a number"),
    "budget -inf": ({"budget": -np.inf}, r"budget is -inf; expected a number"),
    "budget text": ({"budget": "much"}, r"budget is 'much'; expected a number"),
    "budget of thousands of digits": ({"budget": 10**4000}, r"budget is 1[0.]{20,60}; expected a number"),
    "budget array": ({"budget": [1.0, 2.0]}, r"budget is \[1.0, 2.0\]; expected a number"),
    "budget none": ({"budget": None}, r"neither of budget and total given"),
    "both": ({"total": 4.0}, r"both of budget and total given; expected one"),
    "low": ({"budget": 0.5}, r"budget is 0.5, but the cheapest.*costs 1.0 per instance.*smallest feasible budget"),
    "low total": ({"budget": None, "total": 1.5}, r"total is 1.5, but the cheapest.*costs 2.0 in all"),
    "negative budget": ({"budget": -3.0}, r"smallest feasible budget"),
    "method": ({"method": "simplex"}, r"method is 'simplex'; allowed are 'exact' and 'bisect'"),
    "threads": ({"threads": 0}, r"threads is 0; expected a whole number, at least 1"),
    "threads float": ({"threads": 1.5}, r"threads is 1.5; expected a whole number"),
    "threads bool": ({"threads": True}, r"threads is True; expected a whole number"),
    "ids": ({"ids": ["a"]}, r"ids has shape \(1,\); expected \(2,\)"),
    "names": ({"action_names": ["a"]}, r"action_names has 1 name for 2 actions"),
    "same names": ({"action_names": ["a", "a"]}, r"action_names repeats a name \(a, a\)"),
    "span": ({"cost": [1e-150, 1e150]}, r"cost holds magnitudes from 1e-150 to 1e\+150; at most a factor of 1e120"),
}


@pytest.mark.parametrize("name", BAD)
def test_solve_refuses_in_words(name):
    change, message = BAD[name]
    arguments = {"acc": GOOD, "cost": [1.0, 2.0], "budget": 1.5, **change}
    with pytest.raises(InputError, match=f"(?s){message}") as caught:
        tcalloc.solve(**arguments)
    assert isinstance(caught.value, TcallocError)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "name", [name for name, (change, _) in BAD.items() if {"acc", "cost", "available"} & set(change)]
)
def test_frontier_and_decide_refuse_the_same(name):
    change, message = BAD[name]
    arguments = {"acc": GOOD, "cost": [1.0, 2.0], **change}
    with pytest.raises(InputError, match=f"(?s){message}"):
        tcalloc.frontier(**arguments)
    if name not in ("rank", "rank 3", "ragged"):  # decide takes one row, too, and says so
        with pytest.raises(InputError, match=f"(?s){message}"):
            tcalloc.decide(price=0.1, **arguments)


@pytest.mark.parametrize(
    ("acc", "cost", "price", "message"),
    [
        ([0.1, np.nan], [1.0, 2.0], 0.1, r"acc\[0, 1\] is nan"),
        ([0.1, 0.2], [1.0, -2.0], 0.1, r"cost\[0, 1\] is -2.0"),
        ([0.1, 0.2], [1.0], 0.1, r"cost has shape \(1,\)"),
        ([0.1, 0.2], [[1.0, 2.0]], 0.1, r"cost has shape \(1, 2\) but acc is one row of 2 actions"),
        ([0.1, 0.2], [1.0, 2.0], np.nan, "price is nan"),
        ([0.1, 0.2], [1.0, 2.0], -0.5, "price is -0.5; expected at least 0"),
        ([0.1, 0.2], [1.0, 2.0], "dear", "price is 'dear'; expected a number"),
        (0.5, 1.0, 0.1, r"acc has shape \(\); expected \(K,\) for one row or \(N, K\) for many"),
        ([[0.1], [0.1, 0.2]], [1.0], 0.1, r"acc cannot be converted to an array of shape \(K,\) for one row"),
    ],
)
def test_decide_refuses_in_words(acc, cost, price, message):
    for convert in (list, np.asarray) if isinstance(acc, list) and not isinstance(acc[0], list) else (lambda x: x,):
        with pytest.raises(InputError, match=message):
            tcalloc.decide(convert(acc), convert(cost), price)


def test_unavailable_cells_are_not_looked_at():
    available = [[True, False], [True, True]]
    plan = tcalloc.solve([[0.1, np.nan], [0.2, 0.9]], [[1.0, -5.0], [1.0, 2.0]], 1.5, available=available)
    assert plan.actions.tolist() == [0, 1]


def test_nothing_is_computed_before_the_refusal(monkeypatch):
    def never(*args):
        raise AssertionError("worked on bad input")

    monkeypatch.setattr("tcalloc._search.sweep", never)
    for change, _ in BAD.values():
        if {"acc", "cost", "available", "weights"} & set(change):
            with pytest.raises(InputError):
                tcalloc.solve(**{"acc": GOOD, "cost": [1.0, 2.0], "budget": 1.5, **change})


def test_a_price_beyond_float_is_refused_not_wrong():
    acc, cost = [[0.0, 1e300]], [0.0, 1e-300]
    for call in (
        lambda: tcalloc.solve(acc, cost, 5e-301),
        lambda: tcalloc.solve(acc, cost, 5e-301, method="bisect"),
        lambda: tcalloc.frontier(acc, cost).prices,
        lambda: tcalloc.frontier(acc, cost).allocate(5e-301),
    ):
        with pytest.raises(InputError, match="beyond 1e308"):
            call()


def test_a_price_that_would_round_to_nothing_is_refused_not_zero():
    # 0 would say that the budget does not bind, and a policy that is given it would take the most accurate action.
    acc, cost = [[0.0, 1e-200]], [0.0, 1e150]
    curve = tcalloc.frontier(acc, cost)
    for call in (
        lambda: tcalloc.solve(acc, cost, 5e149),
        lambda: tcalloc.solve(acc, cost, 5e149, method="bisect"),
        lambda: curve.prices,
        lambda: curve.price_at(5e149),
        lambda: curve.allocate(5e149),
    ):
        with pytest.raises(InputError, match=r"below 1e-308.*Rescale"):
            call()
    # What needs no price is answered.
    assert curve.accuracy_at(5e149) == pytest.approx(5e-201)
    assert curve.budget_for(5e-201) == pytest.approx(5e149)
    assert tcalloc.solve(acc, cost, 1e150).price == 0


def test_errors_have_one_root_and_survive_pickling():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) == 4
    assert all(issubclass(c, TcallocError) for c in classes)
    error = pickle.loads(pickle.dumps(tcalloc.BudgetError("too little", 3.5)))
    assert (str(error), error.limit) == ("too little", 3.5)


def test_kernel_choice():
    code = "import tcalloc, tcalloc._kernel as k; print(k.kernel.__name__, tcalloc.solve([[0, 1.]], [0, 1.], .5).spend)"
    for value, expected in [("reference", "tcalloc._reference 0.0"), ("", "tcalloc._oracle 0.0")]:
        run = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "TCALLOC_KERNEL": value}, capture_output=True, text=True
        )
        assert run.stdout.strip() == expected, run.stderr
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TCALLOC_KERNEL": "gpu"}, capture_output=True, text=True
    )
    assert "TCALLOC_KERNEL is 'gpu': allowed are 'compiled' (the default) and 'reference'" in run.stderr

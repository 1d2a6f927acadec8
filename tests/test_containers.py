"""Data frames, Arrow tables and lists go in; their ids and names come out."""

import sys

import numpy as np
import pytest

import tcalloc

ACC = [[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]]
COST = [[1.0, 4.0]] * 3


def expected(plan):
    assert plan.actions.tolist() == [0, 1, 0]
    return plan


def test_lists_and_tuples():
    expected(tcalloc.solve(ACC, COST, 2.0))
    expected(tcalloc.solve(tuple(map(tuple, ACC)), (1, 4), 2))


def test_integers_booleans_and_other_floats():
    for dtype in (bool, np.int8, np.uint64, np.float16, np.longdouble):
        plan = tcalloc.solve(np.array([[0, 1], [1, 1]], dtype), np.array([1, 2], np.int64), 1.5)
        assert plan.actions.tolist() == [1, 0]


def test_pandas():
    pd = pytest.importorskip("pandas")
    acc = pd.DataFrame(ACC, columns=["one", "four"], index=["a", "b", "c"])
    plan = expected(tcalloc.solve(acc, pd.DataFrame(COST, columns=["one", "four"], index=["a", "b", "c"]), 2.0))
    assert (plan.ids.tolist(), plan.action_names) == (["a", "b", "c"], ("one", "four"))
    assert plan.to_frame()["name"].tolist() == ["one", "four", "one"]
    counted = expected(tcalloc.solve(pd.DataFrame(ACC), pd.Series([1.0, 4.0]), 2.0, weights=pd.Series([1.0, 1, 1])))
    assert counted.ids is None
    named = tcalloc.solve(acc, [1.0, 4.0], 2.0, ids=[7, 8, 9], action_names=["x", "y"])
    assert (named.ids.tolist(), named.action_names) == ([7, 8, 9], ("x", "y"))
    with pytest.raises(tcalloc.InputError, match=r"name their columns differently \(one, four against four, one\)"):
        tcalloc.solve(acc, pd.DataFrame(COST, columns=["four", "one"], index=acc.index), 2.0)
    with pytest.raises(tcalloc.InputError, match="different indexes"):
        tcalloc.solve(acc, pd.DataFrame(COST, columns=["one", "four"], index=["b", "a", "c"]), 2.0)
    with pytest.raises(tcalloc.InputError, match=r"acc\[1, 0\] is nan"):
        tcalloc.solve(pd.DataFrame(ACC).replace(0.3, np.nan), [1.0, 4.0], 2.0)


def test_pandas_that_is_in_another_order_is_refused():
    pd = pytest.importorskip("pandas")
    acc = pd.DataFrame(ACC, columns=["one", "four"], index=["a", "b", "c"])
    cost = pd.Series([1.0, 4.0], index=["one", "four"])
    expected(tcalloc.solve(acc, cost, 2.0, weights=pd.Series([1.0, 1, 1], index=["a", "b", "c"])))
    have = pd.DataFrame(True, columns=["one", "four"], index=["a", "b", "c"])
    expected(tcalloc.solve(acc, cost, 2.0, available=have))
    for change, message in [
        ({"cost": cost[::-1]}, r"acc and cost name their columns differently \(one, four against four, one\)"),
        ({"weights": pd.Series([1.0, 2, 3], index=["b", "a", "c"])}, "acc and weights have different indexes"),
        ({"available": have[::-1]}, "acc and available have different indexes"),
        ({"available": have[["four", "one"]]}, "acc and available name their columns differently"),
    ]:
        with pytest.raises(tcalloc.InputError, match=message):
            tcalloc.solve(**{"acc": acc, "cost": cost, "budget": 2.0, **change})


def test_polars():
    pl = pytest.importorskip("polars")
    acc = pl.DataFrame(ACC, schema=["one", "four"], orient="row")
    plan = expected(tcalloc.solve(acc, pl.Series([1.0, 4.0]), 2.0, available=pl.DataFrame([[True] * 3] * 2)))
    assert plan.action_names == ("one", "four")


def test_pyarrow():
    pa = pytest.importorskip("pyarrow")
    acc = pa.table({"one": [0.9, 0.3, 0.5], "four": [0.9, 0.8, 0.6]})
    plan = expected(tcalloc.solve(acc, pa.array([1.0, 4.0]), 2.0))
    assert plan.action_names == ("one", "four")
    with pytest.raises(tcalloc.InputError, match=r"acc\[1, 0\] is nan"):
        tcalloc.solve(pa.table({"one": [0.9, None, 0.5], "four": [0.9, 0.8, 0.6]}), [1.0, 4.0], 2.0)


def test_arrays_are_not_copied():
    from tcalloc._inputs import prepare

    for dtype in (np.float32, np.float64):
        acc = np.random.default_rng(0).random((100, 8)).astype(dtype)[::2, ::2]
        problem = prepare(acc, np.ones(4, dtype))
        assert np.shares_memory(problem.acc, acc)


def test_missing_extras_name_the_remedy(monkeypatch):
    plan, curve = tcalloc.solve(ACC, COST, 2.0), tcalloc.frontier(ACC, COST)
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(tcalloc.MissingExtraError, match="pip install pandas"):
        plan.to_frame()
    with pytest.raises(tcalloc.MissingExtraError, match=r"pip install 'tcalloc\[plot\]'"):
        curve.plot()

"""Tables and their files: round trips, what is not written, never half a file. (Malformed ones: test_bad_files.py.)"""

import dataclasses
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tcalloc
from tcalloc import InputError, MissingExtraError
from tcalloc._files import replacing
from tcalloc.measure import Table, load_table, save_table, table_files

SUFFIXES = ("csv", "parquet", "npz")


def small(**changes):
    fields = {
        "acc": np.array([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]]),
        "cost": np.array([1.0, 4.0]),
        "ids": np.array(["q1", "q2", "q3"]),
        "action_names": ("vote1", "vote4"),
    }
    return Table(**(fields | changes))


def same(a: Table, b: Table) -> None:
    """Assert that two tables say the same (of actions that are not available: nothing)."""
    mask = np.ones(a.acc.shape, bool) if a.available is None else a.available
    np.testing.assert_array_equal(mask, np.ones(b.acc.shape, bool) if b.available is None else b.available)
    for x, y in ((a.acc, b.acc), (a.cost, b.cost)):
        np.testing.assert_array_equal(np.broadcast_to(x, mask.shape)[mask], np.broadcast_to(y, mask.shape)[mask])
    assert (a.weights is None) == (b.weights is None)
    if a.weights is not None:
        np.testing.assert_array_equal(a.weights, b.weights)
    assert (None if a.ids is None else a.ids.tolist()) == (None if b.ids is None else b.ids.tolist())


# ---------------------------------------------------------------------------------------------- the class


def test_table_solves_like_solve():
    table = small()
    plan, direct = table.solve(2.0), tcalloc.solve(table.acc, table.cost, 2.0)
    assert plan.actions.tolist() == direct.actions.tolist() == [0, 1, 0]
    assert plan.ids is table.ids
    assert plan.action_names == ("vote1", "vote4")
    assert table.solve(total=6.0, method="bisect", threads=2).spend <= 2.0
    assert table.frontier().accuracy_at(2.0) == plan.upper_bound
    assert repr(table) == "Table(3 instances, 2 actions: vote1, vote4)"
    assert repr(Table([[1]], [1])) == "Table(1 instance, 1 action)"


def test_table_keeps_arrays_without_a_copy():
    acc, cost = np.ones((5, 2), np.float32), np.ones((5, 2))
    table = Table(acc, cost)
    assert table.acc is acc
    assert np.shares_memory(table.cost, cost)
    assert table.cost.shape == (5, 2)
    assert Table(acc, [1, 2]).cost.shape == (2,)


def test_table_takes_frames_and_scales_back():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [0.5, 0.25], "b": [1.0, 0.5]}, index=["x", "y"])
    table = Table(frame, [1, 2])
    assert table.action_names == ("a", "b")
    assert table.ids.tolist() == ["x", "y"]
    huge = Table([[1e-150, 3e-150]], [1e150, 2e150], weights=[1e100])
    np.testing.assert_array_equal(huge.acc, [[1e-150, 3e-150]])
    np.testing.assert_array_equal(huge.cost, [1e150, 2e150])
    np.testing.assert_array_equal(huge.weights, [1e100])


def test_table_is_valid_frozen_and_picklable():
    with pytest.raises(InputError, match=re.escape("acc[0, 1] is nan")):
        Table([[1, np.nan]], [1, 1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().acc = None
    same(pickle.loads(pickle.dumps(small())), small())
    same(dataclasses.replace(small(), weights=np.array([1.0, 2, 3])), small(weights=np.array([1.0, 2, 3])))


# ---------------------------------------------------------------------------------------------- round trips

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
NUMBERS = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-50)


@st.composite
def tables(draw):
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    single = draw(st.booleans())
    kind = np.float32 if single else np.float64
    numbers = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-30) if single else NUMBERS
    positive = numbers.map(abs)

    def array(strategy, *shape):
        flat = draw(st.lists(strategy, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, kind).reshape(shape)

    available = None
    if draw(st.booleans()):
        flat = draw(st.lists(st.booleans(), min_size=n * k, max_size=n * k))
        available = np.array(flat).reshape(n, k)
        available[:, draw(st.integers(0, k - 1))] = True
    names = draw(st.none() | st.lists(TEXT.map(str.strip).filter(bool), min_size=k, max_size=k, unique=True).map(tuple))
    ids = draw(st.none() | st.lists(TEXT.filter(str.strip), min_size=n, max_size=n, unique=True))
    weights = draw(st.none() | st.just(0))
    if weights is not None:
        weights = array(positive, n)
        weights[draw(st.integers(0, n - 1))] = 1
    return Table(
        array(numbers, n, k),
        array(positive, n, k) if draw(st.booleans()) else array(positive, k),
        ids=None if ids is None else np.array(ids, dtype=object),
        action_names=names,
        available=available,
        weights=weights,
    )


@given(table=tables())
def test_round_trip(table, tmp_path):
    counted = tuple(str(k) for k in range(table.acc.shape[1]))
    for suffix in SUFFIXES:
        path = tmp_path / f"table.{suffix}"
        save_table(table, path)
        back = load_table(str(path))
        same(table, back)
        assert back.action_names == (table.action_names if suffix == "npz" else table.action_names or counted)
        assert back.ignored == ()
        if suffix != "csv":
            assert back.acc.dtype == table.acc.dtype
        if suffix == "npz":
            assert back.cost.shape == table.cost.shape
    assert sorted(os.listdir(tmp_path)) == sorted(f"table.{suffix}" for suffix in SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ids_of_any_kind_are_written_as_text(suffix, tmp_path):
    path = tmp_path / f"t.{suffix}"
    save_table(small(ids=np.array([10, 2, -3])), path)
    assert load_table(path).ids.tolist() == ["10", "2", "-3"]


def test_csv_as_people_and_programs_write_it(tmp_path):
    path = tmp_path / "t.csv"
    text = (
        '\ufeff id , weight,cost:b,note, acc: b,acc:a,cost:a\r\n"q, 1",2,4,"two\nlines",.9,0.5,1\r\n\r\n'
        "q2,1.5e0,,,, 0.25 ,1\r\n"
    )
    path.write_bytes(text.encode())
    table = load_table(path)
    assert table.action_names == ("b", "a")  # the order of the acc: columns
    assert table.ids.tolist() == ["q, 1", "q2"]
    assert table.ignored == ("note",)
    assert table.weights.tolist() == [2, 1.5]
    assert table.available.tolist() == [[True, True], [False, True]]
    assert table.acc[:, 1].tolist() == [0.5, 0.25]
    assert table.cost[0].tolist() == [4, 1]
    assert table.solve(100.0).counts.tolist() == [1, 1]
    # The blank that is no number, in another row with a number beside it.
    path.write_text("acc:a,cost:a,acc:b,cost:b\n 1 ,1,  , \n")
    assert load_table(path).available.tolist() == [[True, False]]


def test_parquet_of_pandas(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "id": pd.Categorical(["x", "y"]),
            "acc:qwen2.5": [True, False],
            "cost:qwen2.5": [1, 2],
            "acc:b": [0.5, np.nan],
            "cost:b": pd.array([3, None], dtype="Int64"),
            "note": ["a", "b"],
        },
        index=[5, 6],
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = load_table(tmp_path / "t.parquet")
    assert table.ids.tolist() == ["x", "y"]
    assert table.available.tolist() == [[True, True], [True, False]]
    assert table.cost[:, 0].tolist() == [1, 2]
    assert table.ignored == ("note", "__index_level_0__")


def test_npz_ids_of_bytes_and_numbers_and_other_arrays(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, acc=np.ones((2, 1)), cost=np.ones(1), ids=np.array([b"\xc3\xbc", b"x"]), meta="{}")
    table = load_table(path)
    assert table.ids.tolist() == ["ü", "x"]
    assert table.ignored == ("meta",)
    assert table.action_names is None
    np.savez(path, acc=np.ones((2, 1)), cost=np.ones(1), ids=[3, 4])
    assert load_table(path).ids.tolist() == ["3", "4"]


# ---------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("work", [lambda path: save_table(small(), path), load_table])
def test_parquet_without_pyarrow(work, tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    save_table(small(), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pyarrow: pip install 'tcalloc\[parquet\]'"):
        work(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array(["a", "b", "a"])}, "ids[2] is 'a' like ids[0]; a file needs ids that differ."),
        ({"ids": np.array(["a", " ", "c"])}, "ids[1] is ' '; a file needs ids that are not empty and hold no NUL."),
        ({"action_names": ("a", " b")}, "the action name ' b' cannot be read back from a file"),
        ({"action_names": ("a", "")}, "the action name '' cannot be read back from a file"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(suffix, changes, message, tmp_path):
    with pytest.raises(InputError) as caught:
        save_table(small(**changes), tmp_path / f"t.{suffix}")
    assert str(caught.value).startswith(message)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_text_that_is_no_utf8_is_not_written(suffix, tmp_path):
    with pytest.raises(InputError, match="is not text that UTF-8 can hold"):
        save_table(small(ids=np.array(["a", "b", "\ud800"], dtype=object)), tmp_path / f"t.{suffix}")
    assert os.listdir(tmp_path) == []


def test_where_nothing_can_be_written(tmp_path):
    for name, message in (
        ("t.txt", "unknown suffix '.txt'"),
        ("no/t.csv", "does not exist. Create it first."),
        ("d.csv", "not a regular file"),
    ):
        (tmp_path / "d.csv").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=re.escape(message)):
            save_table(small(), tmp_path / name)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_file_is_replaced_at_once_or_not_at_all(error, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    path.chmod(0o640)

    def half():
        with replacing(str(path)) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        half()
    assert path.read_text() == "old"
    link = tmp_path / "link.csv"
    link.symlink_to("t.csv")
    save_table(small(), link)
    assert link.is_symlink()
    assert path.read_text().startswith("id,acc:vote1,acc:vote4,cost:vote1,cost:vote4\nq1,0.9,0.9,1.0,4.0\n")
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.csv", "t.csv"]


def test_the_documented_layout_is_read(tmp_path):
    doc = table_files.__doc__
    lines = [line.strip() for line in doc.splitlines()]
    start = lines.index("id,acc:vote1,acc:vote4,cost:vote1,cost:vote4")
    Path(tmp_path / "t.csv").write_text("\n".join(lines[start : start + 3]))
    assert load_table(tmp_path / "t.csv").solve(2.5).actions.tolist() == [0, 1]


@pytest.mark.slow
def test_a_large_csv_is_read_quickly_and_an_npz_without_a_second_copy(tmp_path):
    rng = np.random.default_rng(0)
    n = 100_000
    table = Table(rng.random((n, 8)).round(4), rng.random((n, 8)).round(3), ids=np.arange(n))
    save_table(table, tmp_path / "t.csv")
    start = time.process_time()
    load_table(tmp_path / "t.csv")
    assert time.process_time() - start < 6  # 1 to 1.5 s on a quiet machine
    save_table(Table(rng.random((1_000_000, 8)), rng.random((1_000_000, 8))), tmp_path / "t.npz")
    code = (
        "import resource, sys, tcalloc.measure as m; peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "a = peak(); t = m.load_table(sys.argv[1]); print((peak() - a) * 1024 / (t.acc.nbytes + t.cost.nbytes))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "t.npz"], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.2

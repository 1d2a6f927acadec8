"""X of every kind: what is taken, what it becomes, and what is refused with its place."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import InputError
from tcalloc.learn.protocol import uniform
from tcalloc.learn.rows import Schema, as_row, as_rows

TEXTS = ["How many?", "Why not, and what then?", "Name it."]
FRAME = pd.DataFrame(
    {
        "question": [f"What is {i} times {i}? Explain in a sentence." for i in range(6)],
        "task": ["math", "code"] * 3,
        "length": range(6),
        "hard": [True, False] * 3,
    }
)
ROLES = ("text", "category", "number", "number")


@pytest.mark.parametrize(
    "X",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, object),
        *([np.array(TEXTS, np.dtypes.StringDType())] if hasattr(np.dtypes, "StringDType") else ()),  # from NumPy 2 on
        pd.Series(TEXTS),
        pd.Series(TEXTS, dtype="string"),
        pd.Series(TEXTS, index=["a", "b", "c"]),
        pl.Series(TEXTS),
    ],
    ids=lambda X: type(X).__module__ + "." + type(X).__name__,
)
def test_texts_of_every_kind_are_the_same_rows(X):
    rows = as_rows(X)
    assert (rows.n, rows.kind, rows.texts, rows.feature_names) == (3, "texts", {"text": TEXTS}, None)
    assert rows.numbers.shape == (3, 0)
    assert all(type(text) is str for text in rows.texts["text"])
    assert rows.keys() == TEXTS
    assert rows.row(1) == TEXTS[1]


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.int8),
        np.array([[1, 2], [3, 4]], np.float32),
        np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1, 2], [3, 4]], object),
        pd.DataFrame([[1, 2], [3, 4]]),
    ],
)
def test_a_matrix_is_float64(X):
    rows = as_rows(X)
    assert rows.kind == "matrix"
    assert rows.numbers.dtype == np.float64
    assert rows.numbers.tolist() == [[1, 2], [3, 4]]
    assert rows.schema == Schema("matrix", None, ("number", "number"))


def test_the_users_matrix_is_not_shared():
    X = np.ones((2, 2))
    as_rows(X).numbers[:] = 7
    assert (X == 1).all()


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.astype({"task": "category", "question": "string", "length": "Int64"}),
        FRAME.set_index("length", drop=False),
        pl.from_pandas(FRAME),
        pl.from_pandas(FRAME).with_columns(pl.col("task").cast(pl.Categorical)),
        FRAME.to_dict("records"),
    ],
    ids=["pandas", "pandas dtypes", "pandas index", "polars", "polars categorical", "dicts"],
)
def test_frames_of_every_kind_are_the_same_rows(frame):
    rows = as_rows(frame)
    assert rows.schema == Schema("frame", ("question", "task", "length", "hard"), ROLES)
    assert rows.texts == {"question": FRAME["question"].tolist()}
    assert rows.categories == {"task": ["math", "code"] * 3}
    assert rows.number_names == ("length", "hard")
    assert rows.numbers.tolist() == [[i, (i + 1) % 2] for i in range(6)]
    assert rows.keys() == as_rows(FRAME).keys()


def test_few_short_values_are_categories_and_others_texts():
    def role(values):
        return as_rows(pd.DataFrame({"c": values})).schema.roles[0]

    assert role(["a", "b"] * 4) == "category"
    assert role(["a", "b", "c"]) == "text"  # all differ
    assert role(["x" * 65, "y"] * 4) == "text"  # no name is that long
    assert role([str(i) for i in range(51)] * 2) == "text"  # too many
    assert role(pd.Categorical(["a", "b", "c"])) == "category"
    assert role([1, 2.5, True]) == "number"
    assert as_rows(pl.DataFrame({"c": pl.Series(["a", "b", "c"], dtype=pl.Enum(["a", "b", "c"]))})).categories == {
        "c": ["a", "b", "c"]
    }


def test_what_was_text_stays_text_however_few_values_there_are():
    schema = as_rows(FRAME).schema
    again = as_rows(FRAME.iloc[[0, 0, 0, 0]], expected=schema)
    assert again.schema == schema
    assert set(again.texts) == {"question"}


@pytest.mark.parametrize(
    ("X", "said"),
    [
        ([], "X"),
        (["a", None], r"X\[1\] is missing"),
        (["a", float("nan")], r"X\[1\] is missing"),
        (["a", 3], r"X\[1\] is of type int"),
        ([b"a"], "X"),
        ("one text", "put it into a list"),
        ({"a": 1}, "put it into a list"),
        ([[1.0, np.nan]], r"X\[0, 1\] is NaN"),
        ([[1.0], [np.inf]], r"X\[1, 0\] is infinity"),
        ([[1.0, 2.0], [3.0]], "matrix"),
        ([1.0, 2.0], "Reshape your data"),
        (np.zeros((2, 0)), "0 feature"),
        (np.zeros((0, 2)), "0 sample"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.zeros((2, 2), complex), "omplex"),
        (np.zeros((2, 2), "datetime64[s]"), "dtype"),
        (np.array([["a", "b"]]), "matrix of numbers"),
        (3.0, "Reshape"),
        (None, "X"),
        (pd.Series([1.0, 2.0]), "Reshape"),
        (pd.DataFrame({"a": [1.0, None]}), "row 1, column 'a' is NaN"),
        (pd.DataFrame({"a": ["x", None]}), "row 1, column 'a' is missing"),
        (pd.DataFrame({"a": pd.Categorical(["x", None])}), "row 1, column 'a' is missing"),
        (pd.DataFrame({"a": [1, None]}, dtype="Int64"), "NaN"),
        (pd.DataFrame({"a": [1, "x"]}), "row 0, column 'a' is of type int"),
        (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), "column 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        (pd.DataFrame([["x", 2]], columns=["a", 1]), "the name of column 1 is 1"),
        (pd.DataFrame(index=range(3)), "X"),
        (pl.DataFrame({"a": [1.0, None]}), "row 1, column 'a' is NaN"),
        (pl.DataFrame({"a": [[1], [2]]}), "column 'a'"),
        ([{"a": 1}, {"b": 1}], r"X\[1\] has other columns"),
        ([{"a": 1}, 3], r"X\[1\] is int"),
    ],
)
def test_what_is_refused(X, said):
    with pytest.raises(InputError, match=said):
        as_rows(X)


def test_sparse_matrices_are_refused_with_the_remedy():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InputError, match="toarray"):
        as_rows(sparse.csr_array(np.eye(2)))


def test_names_that_differ_are_said():
    schema = as_rows(FRAME).schema
    with pytest.raises(InputError, match=r"yet now missing:\n- task"):
        as_rows(FRAME.drop(columns="task"), expected=schema)
    with pytest.raises(InputError, match=r"unseen at fit time:\n- more"):
        as_rows(FRAME.assign(more=1), expected=schema)
    with pytest.raises(InputError, match="same order"):
        as_rows(FRAME[FRAME.columns[::-1]], expected=schema)
    with pytest.raises(InputError, match="column 'length'"):
        as_rows(FRAME.assign(length="x"), expected=schema)


@pytest.mark.parametrize(
    ("fitted", "X"),
    [(TEXTS, [[1.0]]), ([[1.0]], TEXTS), ([[1.0]], [[1.0, 2.0]]), (FRAME, TEXTS), (TEXTS, FRAME), (FRAME, [[1.0] * 4])],
)
def test_another_kind_than_fitted_is_refused(fitted, X):
    with pytest.raises(InputError, match="fit"):
        as_rows(X, expected=as_rows(fitted).schema)


def test_a_frame_of_numbers_and_its_matrix_are_taken_for_each_other():
    numeric = FRAME[["length", "hard"]]
    by_name, by_place = as_rows(numeric), as_rows(numeric.to_numpy(float))
    assert as_rows(numeric.to_numpy(float), expected=by_name.schema).schema == by_name.schema
    assert as_rows(numeric, expected=by_place.schema).schema == by_place.schema


@pytest.mark.parametrize("X", [TEXTS, [[1.0, 2.0], [3.0, 4.0]], FRAME, FRAME[["length"]]], ids=str)
def test_one_row_is_the_row_of_many(X):
    rows = as_rows(X)
    for i in range(rows.n):
        one = as_row(rows.row(i), expected=rows.schema)
        assert one.schema == rows.schema
        assert one.n == 1
        assert uniform(3, one.keys()[0]) == uniform(3, rows.keys()[i])
        taken = rows.take([i])
        assert (taken.texts, taken.categories) == (one.texts, one.categories)
        assert np.array_equal(taken.numbers, one.numbers)


def test_one_row_of_every_kind():
    schema = as_rows(FRAME).schema
    assert as_row(FRAME.iloc[[2]], expected=schema).n == 1
    assert as_row(pl.from_pandas(FRAME)[2], expected=schema).n == 1
    assert as_row(np.str_("a")).texts == {"text": ["a"]}
    assert as_row([1.0, 2.0]).numbers.tolist() == [[1, 2]]
    assert as_row([[1.0, 2.0]]).numbers.tolist() == [[1, 2]]
    reordered = dict(reversed(FRAME.iloc[0].to_dict().items()))
    assert as_row(reordered, expected=schema).row(0) == as_row(FRAME.iloc[[0]], expected=schema).row(0)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (3.0, "one question"),
        (["a", "b"], "2 rows"),
        ([[1.0], [2.0]], "2 rows"),
        (FRAME, "6 rows"),
        (None, "one question"),
        ({"question": "a"}, "missing"),
    ],
)
def test_what_is_no_single_row(x, said):
    schema = as_rows(FRAME).schema if isinstance(x, dict) else None
    with pytest.raises(InputError, match=said):
        as_row(x, expected=schema)


def test_take_and_iteration():
    rows = as_rows(FRAME)
    assert len(rows) == 6
    mask = np.array([True, False] * 3)
    assert rows.take(mask).categories == {"task": ["math"] * 3}
    assert rows.take([5, 0]).numbers[:, 0].tolist() == [5, 0]
    assert as_rows(rows) is rows
    assert as_rows(rows, expected=rows.schema) is rows


def test_keys_tell_rows_apart():
    rows = as_rows(FRAME)
    assert len(set(rows.keys())) == 6
    zero, minus = as_rows([{"a": 0.0}]), as_rows([{"a": -0.0}])
    assert zero.keys() == minus.keys()


@pytest.mark.parametrize("X", [TEXTS, [[1.0, 2.0]], FRAME], ids=["texts", "matrix", "frame"])
def test_a_schema_survives_json(X):
    schema = as_rows(X).schema
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=9)
        | st.sampled_from(["frame", "matrix", "number"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.fixed_dictionaries({"kind": inner, "names": inner, "roles": inner})
        ),
        max_leaves=8,
    )
)
def test_a_schema_is_read_or_refused(data):
    try:
        schema = Schema.from_dict(data)
    except InputError:
        return
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.width >= 1

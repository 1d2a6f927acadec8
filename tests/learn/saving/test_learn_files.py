"""The files of a saved policy: arrays and trees are read, or refused with what is wrong."""

import dataclasses
import io
import json
import pickle
import re
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import InputError

pytest.importorskip("sklearn")
xgboost = pytest.importorskip("xgboost")

from tcalloc.learn.saving.arrays import read_arrays, write_arrays  # noqa: E402
from tcalloc.learn.saving.boosters import NODES, checked_booster, read_booster  # noqa: E402

# ---------------------------------------------------------------------------------------------- arrays


def test_arrays_survive():
    arrays = {
        "a/b.c": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "none": np.empty((0, 4)),
        "scalar": np.float64(2.5),
        "flags": np.array([True, False]),
        "texts": np.array(["é", "日本", ""]),
        "objects": np.array(["a", "bc"], object),
    }
    found = read_arrays(write_arrays(arrays), "x")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name], array), name
        assert found[name].dtype.isnative
    assert found["flags"].dtype == np.bool_


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([1.0, np.nan]), "not finite"),
        (np.array([{}, 1], object), "without pickle"),
        (np.array([1j]), "without pickle"),
        (np.array(["2020-01-01"], "datetime64[D]"), "without pickle"),
        (np.zeros(2, "f8,i4"), "without pickle"),
    ],
)
def test_arrays_that_cannot_be_saved(array, said):
    with pytest.raises(InputError, match=said):
        write_arrays({"x": array})


def npy(descr, shape, data, order=False):
    header = str({"descr": descr, "fortran_order": order, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def zipped(members, kind=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not an NPZ"),
        (zipped([("a.npy", b"x" * 10**6)], zipfile.ZIP_DEFLATED), "compressed"),
        (zipped([("a.txt", b"")]), "name"),
        (zipped([("a b.npy", npy("<f8", (1,), b"\0" * 8))]), "name"),
        (zipped([("a.npy", b"junk")]), "not in NPY format"),
        (zipped([("a.npy", npy("|O", (1,), pickle.dumps([1])))]), "of the type"),
        (zipped([("a.npy", npy("<f8", (10**12,), b"\0" * 8))]), "bytes do not fill"),
        (zipped([("a.npy", npy("<f8", (-1,), b""))]), "bytes do not fill"),
        (zipped([("a.npy", npy("<f8", (2**62, 4), b""))]), "bytes do not fill"),
        (zipped([("a.npy", npy("<f8", 1, b"\0" * 8))]), "bytes do not fill"),
        (zipped([("a.npy", npy("<f8", (1,), np.float64("nan").tobytes()))]), "not finite"),
        (zipped([("a.npy", npy("|b1", (1,), b"\x07"))]), "truth value"),
        (zipped([("a.npy", npy("<U1", (1,), b"\xff" * 4))]), "character"),
        (zipped([("a.npy", npy("<U0", (3,), b""))]), "bytes do not fill"),
        (zipped([("a.npy", npy("<f8", (1,), b"\0" * 8).replace(b"descr", b"x    "))]), "header"),
        (zipped([("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)]), "header of"),
        (zipped([("a.npy", b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000)]), "header"),
    ],
)
def test_arrays_that_are_not_read(data, said):
    with pytest.raises(InputError, match=said) as caught:
        read_arrays(data, "some.npz")
    assert str(caught.value).startswith("some.npz: ")


# ---------------------------------------------------------------------------------------------- trees


@given(st.binary(max_size=40) | st.text('{}[]",:0e-nul\\ \0\xff', max_size=40).map(lambda text: text.encode("latin-1")))
def test_bytes_that_are_no_booster_are_refused(data):
    with pytest.raises(InputError, match=r"^x: not a usable booster: "):
        checked_booster(data, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 10_000,
        b"[NaN]",
        b"\xff{}",
        b"{}{}",
        b'{"learner": {}, "version": [1e999]}',
    ],
)
def test_json_that_is_refused(data):
    with pytest.raises(InputError, match=r"^x: not a usable booster: "):
        checked_booster(data, "x")


def trained(kind="regression", **parameters):
    rng = np.random.default_rng(0)
    X = rng.random((200, 5)).astype(np.float32)
    settings = {"n_estimators": 6, "max_depth": 4, "n_jobs": 1, **parameters}
    if kind == "classes":
        return xgboost.XGBClassifier(**settings).fit(X, np.arange(200) % 3), X
    if kind == "binary":
        return xgboost.XGBClassifier(**settings).fit(X, X[:, 0] > 0.3), X
    y = rng.random((200, 3)) if kind == "targets" else X[:, 0] * X[:, 1]
    held = rng.random((50, 5)).astype(np.float32)
    stops = "early_stopping_rounds" in parameters
    extra = {"eval_set": [(held, rng.random(50))], "verbose": False} if stops else {}
    return xgboost.XGBRegressor(**settings).fit(X, y, **extra), X


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("regression", {}),
        ("regression", {"tree_method": "exact", "gamma": 0.05}),  # pruned: deleted nodes
        ("regression", {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}),
        ("regression", {"num_parallel_tree": 3, "subsample": 0.5}),
        ("regression", {"early_stopping_rounds": 2, "n_estimators": 60}),
        ("regression", {"objective": "reg:logistic", "base_score": 0.25}),
        ("targets", {}),
        ("classes", {}),
        ("binary", {"scale_pos_weight": 2.0}),
    ],
)
def test_a_checked_booster_predicts_the_same_bits(kind, parameters):
    model, X = trained(kind, **parameters)
    data = checked_booster(model.get_booster().save_raw("json"), "x")
    again = type(model)()
    again.load_model(bytearray(data))
    predict = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    assert np.array_equal(getattr(model, predict)(X), getattr(again, predict)(X))
    # What XGBoost read is what was written; and written anew it stays the same.
    theirs = read_booster(again.get_booster().save_raw("json"), "x")
    ours = read_booster(model.get_booster().save_raw("json"), "x")
    assert all(np.array_equal(theirs.nodes[name], ours.nodes[name]) for name in NODES)
    assert theirs.to_bytes() == data
    assert ours.features == 5
    if "early_stopping_rounds" in parameters:
        assert ours.best == model.best_iteration < ours.rounds - 1


@pytest.mark.parametrize("version", [(2, 1, 4), (3, 0, 5), (3, 2, 0)])
def test_the_base_score_has_as_many_digits_as_every_xgboost_reads(version):
    model, _ = trained()
    ours = dataclasses.replace(read_booster(model.get_booster().save_raw("json"), "x"), base=(1 / 3,), version=version)
    found = re.search(rb"base_score[^0-9]*([0-9.]+)", ours.to_bytes())
    assert found[1] == b"0.33333334"  # the float32, which is 0.3333333432674408


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: trained(booster="dart")[0], "the booster is 'dart'"),
        (lambda: trained(booster="gblinear", max_depth=None)[0], "gblinear"),
        (lambda: trained("targets", multi_strategy="multi_output_tree")[0], "vectors|one_output_per_tree"),
        (lambda: trained(objective="reg:pseudohubererror")[0], "the objective is"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # some of these are deprecated by XGBoost
def test_boosters_of_other_kinds_are_refused(model, said):
    with pytest.raises(InputError, match=said):
        checked_booster(model().get_booster().save_raw("json"), "model.json")


BOOSTER = bytes(trained()[0].get_booster().save_raw("json"))


def written(found):
    """What of it is an array, as a list."""
    return json.dumps(found, default=lambda array: array.tolist()).encode()


def set_node(field, index, value):
    def change(tree, learner):
        array = np.array(tree[field])
        array[index] = value
        tree[field] = array

    return change


def set_param(where, name, value):
    def change(tree, learner):
        (tree["tree_param"] if where == "tree" else learner[where])[name] = value

    return change


def cycle(tree, learner):
    """A child that points back to its parent's sibling: XGBoost would walk for ever."""
    inner = np.flatnonzero(np.array(tree["left_children"]) > 0)[-1]
    set_node("left_children", inner, tree["left_children"][0])(tree, learner)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_node("left_children", 0, 10**6), "out of range"),
        (set_node("right_children", 0, -5), "out of range"),
        (set_node("left_children", 0, 0), "out of range"),
        (set_node("left_children", 0, -1), "one child only"),
        (set_node("right_children", 0, 1), "parent|two ways"),
        (cycle, "parent|two ways"),
        (set_node("parents", 1, 2), "parent"),
        (set_node("split_indices", 0, 5), "none of the 5"),
        (set_node("split_indices", 0, -1), "none of the 5"),
        (set_node("split_conditions", 0, np.nan), "not finite"),
        (set_node("split_conditions", -1, np.inf), "not finite"),
        (set_node("base_weights", 0, np.inf), "not finite"),
        (set_node("split_type", 0, 1), "categories"),
        (set_node("default_left", 0, 2), "default_left"),
        (set_param("tree", "num_nodes", "2"), "2 nodes"),
        (set_param("tree", "num_nodes", "-1"), "num_nodes"),
        (set_param("tree", "num_feature", "4"), "num_feature"),
        (set_param("tree", "size_leaf_vector", "3"), "vectors"),
        (set_param("learner_model_param", "num_feature", "4"), "num_feature"),
        (set_param("learner_model_param", "num_feature", "99999999999"), "num_feature"),
        (set_param("learner_model_param", "num_target", "2"), "base_score|tree_info"),
        (set_param("learner_model_param", "num_class", "2"), "num_class"),
        (set_param("learner_model_param", "base_score", "[nan]"), "base_score|Error"),
        (set_param("learner_model_param", "base_score", "[1,2]"), "base_score"),
        (set_param("objective", "name", "multi:softprob"), "softmax_multiclass_param"),
        (lambda tree, learner: tree.pop("parents"), "no parents"),
        (lambda tree, learner: tree.update(categories=np.arange(3, dtype=np.int32)), "categories"),
        (lambda tree, learner: learner["gradient_booster"]["model"]["tree_info"].append(0), "tree_info"),
        (lambda tree, learner: learner["gradient_booster"]["model"]["trees"].pop(), "num_trees"),
        (lambda tree, learner: learner["gradient_booster"]["model"]["iteration_indptr"].append(9), "iteration_indptr"),
        (lambda tree, learner: learner["attributes"].update(best_iteration="77"), "best_iteration"),
        (lambda tree, learner: learner.clear(), "no learner_model_param"),
    ],
)
def test_trees_that_would_break_xgboost_are_refused(change, said):
    found = json.loads(BOOSTER)
    change(found["learner"]["gradient_booster"]["model"]["trees"][2], found["learner"])
    with pytest.raises(InputError, match=said) as caught:
        checked_booster(written(found), "model-x.json")
    assert str(caught.value).startswith("model-x.json: not a usable booster: ")


def test_a_tree_deeper_than_any_is_refused():
    found = json.loads(BOOSTER)
    tree = found["learner"]["gradient_booster"]["model"]["trees"][0]
    depth = 600
    size = 2 * depth + 1
    for name, kind in NODES.items():
        tree[name] = np.zeros(size, kind)
    spine = np.arange(depth)
    left = np.full(size, -1, np.int32)
    right = left.copy()
    inner = np.append(0, 2 * spine[:-1] + 2)
    left[inner], right[inner] = 2 * spine + 1, 2 * spine + 2
    parents = np.full(size, 2**31 - 1, np.int32)
    parents[2 * spine + 1] = parents[2 * spine + 2] = inner
    tree |= {"left_children": left, "right_children": right, "parents": parents}
    tree["tree_param"]["num_nodes"] = str(size)
    with pytest.raises(InputError, match="deeper than 512"):
        checked_booster(written(found), "x")


def test_what_was_not_checked_does_not_reach_xgboost():
    found = json.loads(BOOSTER)
    found["learner"]["attributes"]["scikit_learn"] = '{"_estimator_type": "classifier"}'
    found["learner"]["surprise"] = "x" * 100
    found["learner"]["gradient_booster"]["model"]["trees"][0]["surprise"] = np.arange(4, dtype=np.int32)
    data = checked_booster(written(found), "x")
    assert data == checked_booster(BOOSTER, "x")
    assert b"surprise" not in data

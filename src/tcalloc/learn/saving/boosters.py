"""XGBoost's files, checked by our own code before XGBoost sees them.

XGBoost trusts its files: a child's number out of range makes it read foreign memory, and a cycle makes it run forever.
So the file is read here with the standard library's JSON parser, and every number in it is checked. XGBoost gets a new
file that is written from the checked values; its parser never sees the original.

Only boosted trees on numeric features with the objectives in `OBJECTIVES` are accepted, because the policies train no
others.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import is_whole
from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.saving.ubjson import write_ubjson

__all__ = ["MOST_BYTES", "Booster", "checked_booster", "read_booster"]

OBJECTIVES = ("reg:squarederror", "reg:logistic", "binary:logistic", "multi:softprob", "multi:softmax")
MOST_BYTES = 1 << 28
MOST_FEATURES = 1 << 20
MOST_OUTPUTS = 1 << 12
# XGBoost's default is 6; even without a limit, its trees stay far below this.
DEEPEST = 512
ROOT_PARENT = 2147483647

# The arrays of a tree, one number for each node.
NODES = {"base_weights": np.float32, "default_left": np.uint8, "left_children": np.int32, "loss_changes": np.float32,
         "parents": np.int32, "right_children": np.int32, "split_conditions": np.float32, "split_indices": np.int32,
         "split_type": np.uint8, "sum_hessian": np.float32}  # fmt: skip
EMPTY = {"categories": np.int32, "categories_nodes": np.int32, "categories_segments": np.int64,
         "categories_sizes": np.int64}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Booster:
    """The contents of a checked file.

    Attributes
    ----------
    objective : str
    features : int
        Number of columns of the matrix that it predicts from.
    outputs : int
        Number of values that it predicts for a row: classes, targets, or 1.
    rounds : int
        Number of rounds of boosting, each of `outputs` × `parallel` trees.
    parallel : int
        Number of trees of one output in a round.
    best : int or None
        The round at which early stopping found the best score: predictions use the rounds up to it.
    base : tuple of float
        The values that predictions start from.
    version : tuple of int
        The version of XGBoost that wrote the file.
    sizes : ndarray of int64
        The number of nodes of each tree.
    nodes : dict of str to ndarray
        The arrays of the trees, one tree after the other.
    """

    objective: str
    features: int
    outputs: int
    rounds: int
    parallel: int
    best: int | None
    base: tuple[float, ...]
    version: tuple[int, int, int]
    sizes: NDArray[np.int64]
    nodes: dict[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """Return the bytes for XGBoost (UBJSON), each tree level by level."""
        trees = []
        for number, (start, size) in enumerate(zip(_starts(self.sizes).tolist(), self.sizes.tolist(), strict=True)):
            tree: dict[str, Any] = {name: self.nodes[name][start : start + size] for name in NODES}
            tree |= {name: np.empty(0, kind) for name, kind in EMPTY.items()}
            tree["id"] = number
            tree["tree_param"] = {"num_deleted": "0", "num_feature": str(self.features), "num_nodes": str(size)}
            tree["tree_param"]["size_leaf_vector"] = "1"
            trees.append(dict(sorted(tree.items())))
        a_round = self.outputs * self.parallel
        many = self.objective.startswith("multi:")
        model = {
            "gbtree_model_param": {"num_parallel_tree": str(self.parallel), "num_trees": str(len(trees))},
            "iteration_indptr": list(range(0, len(trees) + 1, a_round)),
            "tree_info": [tree // self.parallel % self.outputs for tree in range(len(trees))],
            "trees": trees,
        }
        objective: dict[str, Any] = {"name": self.objective}
        if many:
            objective["softmax_multiclass_param"] = {"num_class": str(self.outputs)}
        else:
            objective["reg_loss_param"] = {"scale_pos_weight": "1"}
        # At most 9 digits: before version 3.1, XGBoost takes 0.5 for a number with more, and says nothing.
        base = [str(np.float32(value)) for value in self.base]
        learner = {
            "attributes": {} if self.best is None else {"best_iteration": str(self.best)},
            "feature_names": [],
            "feature_types": [],
            "gradient_booster": {"model": model, "name": "gbtree"},
            "learner_model_param": {
                # Since version 3.1 there is one value per output.
                "base_score": f"[{','.join(base)}]" if self.version >= (3, 1, 0) else base[0],
                "boost_from_average": "1",
                "num_class": str(self.outputs if many else 0),
                "num_feature": str(self.features),
                "num_target": str(1 if many else self.outputs),
            },
            "objective": objective,
        }
        return write_ubjson({"learner": learner, "version": [*self.version]})


def checked_booster(data: bytes | bytearray, file: str) -> bytes:
    """Check a booster's bytes and return new ones, written from the checked values.

    Parameters
    ----------
    data : bytes
        The result of ``Booster.save_raw("json")``, or a file with it.
    file : str
        The name of the file in messages.

    Returns
    -------
    bytes
        UBJSON that is safe for XGBoost to read.

    Raises
    ------
    InputError
        If the file is damaged; the message names the file and the problem.
    """
    return read_booster(data, file).to_bytes()


def read_booster(data: bytes | bytearray, file: str) -> Booster:
    """Read and check a booster's bytes; see `checked_booster`."""
    try:
        if len(data) > MOST_BYTES:
            raise InputError(f"it has {len(data):,} bytes; at most {MOST_BYTES:,} are read.")
        return _model(json.loads(bytes(data)))
    except InputError as error:
        raise InputError(f"{file}: not a usable booster: {error}") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
        raise InputError(f"{file}: not a usable booster: {type(error).__name__}: {error}") from None


def _model(found: Any) -> Booster:
    learner = _inside(found, "learner")
    version = _numbers(_field(found, "version", "it"), np.int64, "version").tolist()
    if len(version) != 3 or not all(0 <= part < 10_000 for part in version) or version[0] not in (2, 3):
        raise InputError(f"version is {version}; XGBoost 2 and 3 are known. Fit the policy again.")
    param = _inside(learner, "learner_model_param")
    features = _whole(param, "num_feature", 1, MOST_FEATURES)
    classes = _whole(param, "num_class", 0, MOST_OUTPUTS)
    targets = _whole(param, "num_target", 1, MOST_OUTPUTS) if "num_target" in param else 1
    name = _field(_inside(learner, "objective"), "name", "objective")
    if name not in OBJECTIVES:
        raise InputError(f"the objective is {name!r}; allowed are {', '.join(OBJECTIVES)}.")
    many = name.startswith("multi:")
    if many:
        said = _whole(_inside(learner["objective"], "softmax_multiclass_param"), "num_class", 2, MOST_OUTPUTS)
    if (many and (said != classes or targets != 1)) or (not many and classes > 1):
        raise InputError(f"num_class {classes} and num_target {targets} do not fit the objective {name}.")
    outputs = classes if many else targets
    base = _base(_field(param, "base_score", "learner_model_param"), outputs, name)
    booster = _inside(learner, "gradient_booster")
    if booster.get("name") != "gbtree":
        raise InputError(f"the booster is {booster.get('name')!r}; allowed is gbtree. Fit with booster='gbtree'.")
    model = _inside(booster, "model")
    sizes, nodes = _forest(model, features)
    parallel = _whole(_inside(model, "gbtree_model_param"), "num_parallel_tree", 1, MOST_OUTPUTS)
    rounds = _rounds(model, len(sizes), outputs, parallel)
    best = learner.get("attributes", {})
    best = best.get("best_iteration") if isinstance(best, dict) else None
    if best is not None:
        best = _whole({"best_iteration": best}, "best_iteration", 0, rounds - 1)
    return Booster(
        name, features, outputs, rounds, parallel, best, base, (version[0], version[1], version[2]), sizes, nodes
    )


# ---------------------------------------------------------------------------------------------- fields


def _field(found: Any, name: str, where: str) -> Any:
    if not isinstance(found, dict) or name not in found:
        raise InputError(f"{where} has no {name}.")
    return found[name]


def _inside(found: Any, name: str) -> dict[str, Any]:
    inner = _field(found, name, "it")
    if not isinstance(inner, dict):
        raise InputError(f"{name} is {type(inner).__name__}; expected an object.")
    return inner


def _whole(found: dict[str, Any], name: str, least: int, most: int) -> int:
    """Read a whole number, which XGBoost writes as text."""
    value = _field(found, name, "a list of parameters")
    text = str(value) if is_whole(value) else value
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise InputError(f"{name} is {str(value)[:40]!r}; expected a whole number from {least} to {most}.")
    return int(text)


def _base(text: Any, outputs: int, objective: str) -> tuple[float, ...]:
    values = json.loads(text) if isinstance(text, str) and len(text) < 40 * MOST_OUTPUTS else None
    values = values if isinstance(values, list) else [values]
    fine = all(isinstance(value, int | float) and math.isfinite(value) and abs(value) <= 1e30 for value in values)
    if not fine or len(values) not in (1, outputs):
        raise InputError(f"base_score is {str(text)[:40]!r}; expected {outputs} finite number(s).")
    if objective.endswith(":logistic") and not all(0 < value < 1 for value in values):
        raise InputError(f"base_score is {str(text)[:40]!r}; expected a probability between 0 and 1.")
    return tuple(map(float, values * outputs if len(values) == 1 else values))


def _numbers(values: Any, kind: Any, name: str) -> NDArray[Any]:
    """Return an array of one type; raise an error for numbers that it cannot hold (whole numbers: exactly)."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iufb"):
        raise InputError(f"{name} is not a list of numbers.")
    if np.dtype(kind).kind == "f":
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"{name} holds a number that is not finite.")
        if (np.abs(array.astype(np.float64)) > np.finfo(np.float32).max).any():
            raise InputError(f"{name} holds a number too large for its type.")
        return array.astype(kind)
    whole = array.astype(np.int64) if array.dtype.kind != "f" or np.isfinite(array).all() else None
    if whole is None or (whole != array).any():
        raise InputError(f"{name} holds a number that is not whole.")
    info = np.iinfo(kind)
    if whole.size and not (info.min <= whole.min() and whole.max() <= info.max):
        raise InputError(f"{name} holds a number out of range.")
    return whole.astype(kind)


def _rounds(model: dict[str, Any], trees: int, outputs: int, parallel: int) -> int:
    a_round = outputs * parallel
    rounds = trees // a_round
    owners = _numbers(_field(model, "tree_info", "model"), np.int32, "tree_info")
    expected = np.tile(np.repeat(np.arange(outputs), parallel), rounds)
    if trees % a_round or not np.array_equal(owners, expected):
        raise InputError(f"tree_info does not share {counted(trees, 'tree')} among {outputs} output(s) in turn.")
    if "iteration_indptr" in model:
        starts = _numbers(model["iteration_indptr"], np.int64, "iteration_indptr")
        if not np.array_equal(starts, np.arange(0, trees + 1, a_round)):
            raise InputError(f"iteration_indptr does not cut {counted(trees, 'tree')} into rounds of {a_round}.")
    cats = model.get("cats")
    if cats is not None and (not isinstance(cats, dict) or any(len(value) for value in cats.values())):
        raise InputError("it has categorical features; only numeric ones are used here.")
    return rounds


# ---------------------------------------------------------------------------------------------- trees


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(sizes) - sizes


def _forest(model: dict[str, Any], features: int) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Check all trees; return their sizes and nodes, without deleted nodes, each tree level by level."""
    trees = _field(model, "trees", "model")
    count = _whole(_inside(model, "gbtree_model_param"), "num_trees", 1, 1 << 24)
    if not isinstance(trees, list) or len(trees) != count:
        raise InputError(
            f"num_trees is {count}, but the trees are {len(trees) if isinstance(trees, list) else 'none'}."
        )
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in NODES}
    sizes = []
    for number, tree in enumerate(trees):
        try:
            sizes.append(_tree(tree, features, parts))
        except InputError as error:
            raise InputError(f"tree {number}: {error}") from None
    size = np.array(sizes, np.int64)
    # The numbers of all trees at once: a hundred trees for each of ten actions are ten thousand short arrays.
    nodes = {name: _numbers(np.concatenate(arrays), NODES[name], name) for name, arrays in parts.items()}
    order, owner = _walk(size, nodes, features)
    kept = {name: array[order] for name, array in nodes.items()}
    sizes_kept = np.bincount(owner, minlength=len(size))
    # Children and parents by their new numbers.
    place = np.empty(len(nodes["parents"]), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(_starts(sizes_kept), sizes_kept)
    inner = kept["left_children"] >= 0
    first = _starts(size)[owner]
    for side in ("left_children", "right_children"):
        kept[side] = np.where(inner, place[first + np.where(inner, kept[side], 0)], -1).astype(np.int32)
    starts = np.repeat(_starts(sizes_kept), sizes_kept)
    here = np.flatnonzero(inner)
    kept["parents"] = np.full(len(order), ROOT_PARENT, np.int32)
    for side in ("left_children", "right_children"):
        kept["parents"][starts[here] + kept[side][here]] = here - starts[here]
    return sizes_kept, kept


def _tree(tree: Any, features: int, parts: dict[str, list[NDArray[Any]]]) -> int:
    """Check the sizes and types of one tree; its numbers are checked together with those of the others."""
    param = _inside(tree, "tree_param")
    size = _whole(param, "num_nodes", 1, 1 << 24)
    if _whole(param, "num_feature", 0, MOST_FEATURES) != features:
        raise InputError(f"num_feature is {param['num_feature']}, but the model has {features}.")
    if _whole(param, "size_leaf_vector", 0, MOST_OUTPUTS) > 1:
        raise InputError("its leaves are vectors. Fit with multi_strategy='one_output_per_tree'.")
    for name in NODES:
        array = np.asarray(_field(tree, name, "it"))
        if array.shape != (size,):
            raise InputError(f"{name} has the shape {array.shape}, but there are {counted(size, 'node')}.")
        parts[name].append(array)
    for name in EMPTY:
        if name in tree and len(tree[name]):
            raise InputError(f"{name} is not empty: it splits on categories; only numeric features are used here.")
    return size


def _walk(
    sizes: NDArray[np.int64], nodes: dict[str, NDArray[Any]], features: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk down all trees at once from their roots; return the nodes reached, tree by tree, and the tree of each."""
    starts = _starts(sizes)
    tree = np.arange(len(sizes))
    at = starts.copy()
    seen = np.zeros(len(nodes["parents"]), np.bool_)
    seen[at] = True
    found, owners = [at], [tree]
    for _ in range(DEEPEST):
        left, right = nodes["left_children"][at], nodes["right_children"][at]
        leaf = left == -1
        _refuse((right == -1) != leaf, tree, "a node has one child only.")
        at, tree, left, right = at[~leaf], tree[~leaf], left[~leaf], right[~leaf]
        if not len(at):
            break
        split = nodes["split_indices"][at]
        _refuse((split < 0) | (split >= features), tree, f"it splits on a feature that is none of the {features}.")
        _refuse(nodes["split_type"][at] != 0, tree, "it splits on categories; only numeric features are used here.")
        _refuse(nodes["default_left"][at] > 1, tree, "default_left is neither 0 nor 1.")
        for child in (left, right):
            _refuse((child <= 0) | (child >= sizes[tree]), tree, "a child's number is out of range.")
        parent = np.concatenate([at, at]) - starts[np.concatenate([tree, tree])]
        tree = np.concatenate([tree, tree])
        at = starts[tree] + np.concatenate([left, right])
        _refuse(nodes["parents"][at] != parent, tree, "a node's parent is not the node whose child it is.")
        # The nodes differ from each other and from all before: there is no cycle, and no node has two parents.
        order = np.argsort(at, kind="stable")
        at, tree = at[order], tree[order]
        _refuse(np.append(False, at[1:] == at[:-1]) | seen[at], tree, "a node is reached in two ways.")
        seen[at] = True
        found.append(at)
        owners.append(tree)
    else:
        raise InputError(f"tree {int(tree[0])}: it is deeper than {DEEPEST} levels.")
    nodes_found, owner = np.concatenate(found), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return nodes_found[order], owner[order]


def _refuse(bad: NDArray[np.bool_], trees: NDArray[np.int64], problem: str) -> None:
    if bad.any():
        raise InputError(f"tree {int(trees[int(bad.argmax())])}: {problem}")

"""Saved policies, broken in many ways, each read in a process of its own: what test_learn_saving and bench share.

    python tests/helpers/policy_mutations.py FOLDER --count 50 --seed 0

makes policies under FOLDER, mutates copies of them, and for each forks a process that loads the copy and decides a few
questions. It prints one JSON object: how many were refused, how many decided, and what must not be: crashes, hangs,
other errors.
"""

import argparse
import collections
import copy
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import time

import numpy as np

from tcalloc import Samples, Table, Vote
from tcalloc.errors import TcallocError
from tcalloc.learn.features import Features
from tcalloc.learn.protocol import Result
from tcalloc.learn.rivals import TunedRule
from tcalloc.learn.routing.baselines import LengthHeuristic, Mixture
from tcalloc.learn.routing.by_category import ByCategory
from tcalloc.learn.routing.fixed_choice import FixedChoice
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.saving.arrays import read_arrays
from tcalloc.learn.saving.boosters import EMPTY, NODES
from tcalloc.learn.saving.policy_folder import load_policy, save_policy, seal

ACTIONS = ("vote1", "vote2", "vote4")
KINDS = ("features", "imitator", "ridge", "xgboost", "knn", "mixture", "length", "probe", "rule", "category", "choice")
SECONDS = 30.0  # after which it hangs
MEMORY = 8 << 30  # bytes of address space that a child may have: more is a failure


def questions(n, seed=0):
    rng = random.Random(seed)
    words = ["apple", "pear", "train", "city", "number", "larger", "how", "many", "each", "half", "cost", "left"]
    return [f"{' '.join(rng.choices(words, k=rng.randint(3, 30)))} {rng.randint(1, 999)}?" for _ in range(n)]


def table(texts):
    long = np.array([len(text) > 80 for text in texts], float)
    acc = np.column_stack([0.9 - 0.4 * long, 0.9 - 0.2 * long, 0.9 - 0.05 * long])
    return Table(acc=acc, cost=np.array([1.0, 2.0, 4.0]), action_names=ACTIONS)


def samples(texts):
    rng = np.random.default_rng(0)
    right = np.array([0.9 if len(text) > 80 else 0.5 for text in texts])
    return Samples(
        answers=np.where(rng.random((len(texts), 8)) < right[:, None], 0, rng.integers(1, 4, (len(texts), 8)))
    )


def make_policies(folder):
    """Fit and save one policy of each kind; return their folders."""
    texts = questions(80)
    known = table(texts)
    small = {"features": Features(components=4), "budget": 2.0}
    made = {
        "features": Features(components=4).fit(texts),
        "imitator": Imitator(**small).fit(texts, known),
        "ridge": PricedPolicy(**small).fit(texts, known),
        "xgboost": PricedPolicy(regressor="xgboost", **small).fit(texts, known),
        "knn": PricedPolicy(regressor="knn", **small).fit(texts, known),
        "mixture": Mixture(2.0).fit(texts, known),
        "length": LengthHeuristic(2.0).fit(texts, known),
        "probe": PricedPolicy(probe=2, **small).fit(texts, samples(texts), actions=[Vote(1), Vote(3), Vote(5)]),
        "rule": TunedRule("AC Beta", 2.0).fit(None, samples(texts)),
        "category": ByCategory(2.0, column="text").fit(texts, known),
        "choice": FixedChoice(2.0).fit(None, known),
    }
    made = {name: policy for name, policy in made.items() if name in KINDS}
    for name, policy in made.items():
        save_policy(policy, os.path.join(folder, name))
    return {name: os.path.join(folder, name) for name in made}


# ---------------------------------------------------------------------------------------------- mutations


def files_of(folder, suffix=""):
    return sorted(name for name in os.listdir(folder) if name.endswith(suffix))


def models_of(folder):
    return [name for name in files_of(folder) if name.startswith("model-")]


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def entries(top):
    return [top["files"]["arrays"], *top["files"]["boosters"].values()]


def write_top(folder, top):
    write(folder, "policy.json", json.dumps(top | {"sha256": seal(top)}).encode())


def rehash(folder):
    """Make policy.json vouch for whatever the files hold now."""
    top = json.loads(read(folder, "policy.json"))
    for entry in entries(top):
        data = read(folder, entry["name"])
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_top(folder, top)


def noise(rng, data):
    """Flip, cut, insert, repeat or overwrite bytes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 8, 64])):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice([0, 255, 127, 128, *b"{}[]$#LldSU"])
        elif kind == 2:
            del data[at : at + rng.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif kind == 4:
            data[at : at + 8] = rng.choice([(1 << 62).to_bytes(8, "big"), b"\xff" * 8, (1 << 31).to_bytes(8, "big")])
        else:
            data[at:at] = data[at : at + rng.randrange(1, 200)]
    return bytes(data) if rng.random() < 0.8 else bytes(data[: rng.randrange(len(data) + 1)])


def raw_noise(rng, folder):
    name = rng.choice(files_of(folder))
    write(folder, name, noise(rng, read(folder, name)))


def vouched_noise(rng, folder):
    name = rng.choice(files_of(folder, ".npz") + 2 * models_of(folder))
    write(folder, name, noise(rng, read(folder, name)))
    rehash(folder)


ODD = [None, True, -1, 0, 1, 2, 10**6, 2**31, 2**63, 10**30, -0.5, 1e308, 1e-320, "", "x", "vote4", "0x1p+2000",
       "tfidf", "nan", [], [0], [[]], {}, {"a": 1}, "y" * 10_000, [1.0] * 1000]  # fmt: skip


def places(value, path=()):
    """All places inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def odd_json(rng, folder):
    top = json.loads(read(folder, "policy.json"))
    for _ in range(rng.choice([1, 1, 2, 4])):
        everywhere = [path for path in places(top) if path[0] != "files" or rng.random() < 0.05]
        path = rng.choice(everywhere)
        inner = top
        for key in path[:-1]:
            inner = inner[key]
        kind = rng.randrange(4)
        if kind == 0:
            del inner[path[-1]]
        elif kind == 1 and isinstance(inner, list):
            inner.insert(path[-1], copy.deepcopy(rng.choice(ODD)))
        elif kind == 2 and isinstance(inner[path[-1]], int | float):
            inner[path[-1]] = inner[path[-1]] * rng.choice([-1, 2, 1000, 0.5]) + rng.choice([0, 1])
        else:
            inner[path[-1]] = copy.deepcopy(rng.choice(ODD))
    write_top(folder, top)


def odd_arrays(rng, folder):
    (name,) = files_of(folder, ".npz")
    arrays = read_arrays(read(folder, name), name)
    if not arrays:
        return  # this policy keeps everything in policy.json
    label = rng.choice(sorted(arrays))
    array = arrays[label]
    kind = rng.randrange(7)
    if kind == 0:
        del arrays[label]
    elif kind == 1:
        arrays[label] = array[: len(array) // 2] if array.ndim else array
    elif kind == 2:
        arrays[label] = array.astype(rng.choice([np.float64, np.int64, np.uint8, np.bool_, np.float32, "U8"]))
    elif kind == 3:
        arrays[label] = array[..., None]
    elif kind == 4 and array.size:
        flat = array.astype(array.dtype).ravel()
        with np.errstate(over="ignore"):
            flat[rng.randrange(flat.size)] = (
                rng.choice([np.nan, np.inf, 1e300, -1e300]) if array.dtype.kind == "f" else 0
            )
        arrays[label] = flat.reshape(array.shape)
    elif kind == 5:
        arrays[label] = np.empty(rng.choice([(0,), (0, 3), ()]), array.dtype)
    else:
        arrays["more"] = np.arange(3)
    with open(os.path.join(folder, name), "wb") as file:
        np.savez(file, **arrays)
    rehash(folder)


def odd_trees(rng, folder):
    """Trees whose form is right and whose numbers are not: what makes XGBoost crash or run for ever."""
    names = models_of(folder)
    if not names:
        return odd_json(rng, folder)
    name = rng.choice(names)
    found = json.loads(read(folder, name))
    learner = found["learner"]
    model = learner["gradient_booster"]["model"]
    for _ in range(rng.choice([1, 1, 2, 5])):
        tree = rng.choice(model["trees"])
        size = len(tree["left_children"])
        kind = rng.randrange(12)
        if kind < 6:
            field = rng.choice(["left_children", "right_children", "parents", "split_indices", "split_conditions",
                                "split_type", "default_left", "base_weights"])  # fmt: skip
            array = np.array(tree[field], (NODES | EMPTY)[field])
            if array.dtype.kind == "f":
                array[rng.randrange(size)] = rng.choice([np.nan, np.inf, -np.inf, 3e38, 0.0])
            else:
                options = [0, 1, size - 1, size, size + 1, 255, 2**31 - 1, -1, -2, -(2**31), 10**6]
                info = np.iinfo(array.dtype)
                array[rng.randrange(size)] = np.clip(rng.choice(options), info.min, info.max)
            tree[field] = array.tolist()
        elif kind == 6:
            field = rng.choice([*NODES, *EMPTY])
            sizes = [0, 1, size - 1, size + 1]
            tree[field] = np.resize(tree[field], rng.choice(sizes)).tolist() if tree[field] else [0, 1, 2]
        elif kind == 7:
            tree["tree_param"][rng.choice(sorted(tree["tree_param"]))] = rng.choice(
                ["0", "-1", "99999999999", "7", "x"]
            )
        elif kind == 8:
            param = learner["learner_model_param"]
            param[rng.choice(sorted(param))] = rng.choice(
                ["0", "1", "[nan]", "[1E30]", "-1", "4294967297", "7", "[]", ""]
            )
        elif kind == 9:
            rng.choice([model["tree_info"], model["iteration_indptr"]])[0] = rng.choice([-1, 1, 7, 2**31 - 1])
        elif kind == 10:
            model["gbtree_model_param"]["num_trees"] = rng.choice(["0", "1", "99999999", "-1"])
        else:
            learner["objective"]["name"] = rng.choice(["rank:pairwise", "survival:aft", "reg:squarederror", "", "x"])
    write(folder, name, json.dumps(found).encode())
    rehash(folder)
    return None


MUTATIONS = {
    "bytes": raw_noise,
    "bytes, right hash": vouched_noise,
    "policy.json, right hash": odd_json,
    "arrays, right hash": odd_arrays,
    "trees, right hash": odd_trees,
}


# ---------------------------------------------------------------------------------------------- one process each


def child(folder, texts):
    """Load and decide; return what happened as text that begins with a word."""
    try:
        loaded = load_policy(folder)
    except TcallocError as error:
        return "refused" if str(error).startswith(folder) else f"ERROR names no file: {error}"
    except BaseException as error:
        return f"ERROR in load: {type(error).__name__}: {error}"
    try:
        repr(loaded)
        if isinstance(loaded, Features):
            values = loaded.transform(texts)
            return "decided" if np.isfinite(values).all() else "ERROR features that are not finite"
        if getattr(loaded, "probe", 0) or not hasattr(loaded, "decide"):
            return replayed(loaded, texts)
        chosen = loaded.decide(texts)
        fine = chosen.shape == (len(texts),) and ((chosen >= 0) & (chosen < len(loaded.action_names_))).all()
        return "decided" if fine else f"ERROR decided {chosen!r}"
    except TcallocError:
        return "refused at the decision"
    except BaseException as error:
        return f"ERROR in decide: {type(error).__name__}: {error}"


def replayed(policy, texts):
    """Run a policy that draws before it decides, on answers that take turns."""
    for text in texts:
        under_way, drawn = policy.start(text), 0
        while (draw := under_way.next()) is not None and drawn < 100:
            under_way.add([Result(str(i % 2), 1.0) for i in range(draw.n)])
            drawn += draw.n
        if drawn >= 100 or not 0 <= under_way.vote_share <= 1:
            return f"ERROR drew {drawn}, vote share {under_way.vote_share}"
    return "decided"


def in_process(folder, texts):
    """Run `child` in a forked process; say what it returned, or how it died."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os.close(reading)
            os.write(writing, child(folder, texts)[:4000].encode("utf-8", "replace"))
        finally:
            os._exit(0)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], SECONDS)
        if not ready:
            os.kill(process, signal.SIGKILL)
        data = os.read(reading, 4096) if ready else b""
    finally:
        os.close(reading)
        _, status = os.waitpid(process, 0)
    if not ready:
        return f"HANG: nothing for {SECONDS:g} s"
    return data.decode() if data else f"CRASH: status {status}"


def run(folder, count, seed, keep=None):
    """Mutate and read `count` times; return counts by mutation and outcome, and what must not be."""
    os.makedirs(folder, exist_ok=True)
    originals = make_policies(folder)
    texts = questions(5, seed=1)
    for name, original in originals.items():  # unbroken, all decide
        assert in_process(original, texts) == "decided", name
    outcomes, bad = collections.Counter(), []
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        # Every kind of policy and of mutation in turn.
        kind = list(MUTATIONS)[number % len(MUTATIONS)]
        name = list(originals)[(number // len(MUTATIONS)) % len(originals)]
        broken = os.path.join(folder, "copy")
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(originals[name], broken)
        MUTATIONS[kind](rng, broken)
        started = time.monotonic()
        outcome = in_process(broken, texts)
        word = (
            outcome if outcome in ("refused", "decided", "refused at the decision") else outcome.split()[0].rstrip(":")
        )
        outcomes[f"{kind}: {word}"] += 1
        if word in ("ERROR", "CRASH", "HANG") or time.monotonic() - started > 20:
            bad.append({"number": number, "policy": name, "mutation": kind, "outcome": outcome})
            if keep is not None:
                shutil.copytree(broken, os.path.join(keep, str(number)), dirs_exist_ok=True)
    return {"count": count, "outcomes": dict(sorted(outcomes.items())), "bad": bad}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep")
    options = parser.parse_args()
    found = run(options.folder, options.count, options.seed, options.keep)
    print(json.dumps(found, indent=1))
    return 1 if found["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())

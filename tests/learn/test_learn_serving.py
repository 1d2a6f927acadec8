"""Serving: after a fork, from many threads, and on features that are none."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")
pytest.importorskip("xgboost", reason="policies need XGBoost")

import tcalloc
from tcalloc.errors import InputError
from tcalloc.learn.features import Features
from tcalloc.learn.routing.baselines import LengthHeuristic, Mixture
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.saving.policy_folder import load_policy

COST = [1.0, 3.0, 9.0]
KINDS = {
    "ridge": lambda: PricedPolicy(budget=4),
    "xgboost": lambda: PricedPolicy("xgboost", budget=4),
    "knn": lambda: PricedPolicy("knn", budget=4),
    "imitator": lambda: Imitator(budget=4),
    "mixture": lambda: Mixture(budget=4),
    "length": lambda: LengthHeuristic(budget=4),
}


def questions(n, seed=0):
    """Texts whose length tells how much more samples help, and what they reach."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 40, n)
    texts = [" ".join(rng.choice(["sum", "apples", "7", "prove", "x + 1", "why"], k)) + "?" for k in size]
    gain = np.clip(size / 40 + rng.normal(0, 0.1, n), 0, 1)[:, None]
    return texts, 0.9 - 0.8 * gain * np.array([1.0, 0.6, 0.4])


@pytest.fixture(scope="module")
def fitted():
    texts, acc = questions(160)
    actions = [tcalloc.Vote(k) for k in (1, 3, 9)]
    return {name: make().fit(texts, acc, cost=COST, actions=actions) for name, make in KINDS.items()}


# The parent predicts first, so that whatever threads a library starts are there; then the child predicts, and has
# 60 seconds before SIGALRM ends it.
FORK = """
import os, signal, sys
import numpy as np
from test_learn_serving import questions
from tcalloc.learn.saving.policy_folder import load_policy

texts, _ = questions(1000, seed=1)
for folder in sys.argv[1:]:
    policy = load_policy(folder)
    before = policy.decide(texts)
    one = [policy.start(text).next().n for text in texts[:20]]
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            again = policy.decide(texts)
            np.testing.assert_array_equal(again, load_policy(folder).decide(texts))  # read anew in the child
            same = np.array_equal(before, again) and one == [policy.start(text).next().n for text in texts[:20]]
            os.write(send, b"same" if same else b"other")
        finally:
            os._exit(0)
    os.close(send)
    said = os.read(receive, 10)
    status = os.waitpid(child, 0)[1]
    after = np.array_equal(before, policy.decide(texts))
    print(folder.rpartition("/")[2], said.decode() or "nothing", status, after, len(set(before.tolist())))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_neither_hangs_nor_differs(fitted, tmp_path):
    for name, policy in fitted.items():
        policy.save(tmp_path / name)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}  # as many as there are
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(tcalloc.__file__).parents[1]), str(Path(__file__).parent)])
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    command += [str(tmp_path / name) for name in fitted]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:4] for line in lines] == [[name, "same", "0", "True"] for name in fitted]
    assert all(int(line[4]) > 1 for line in lines)  # and there was something to decide


@pytest.mark.parametrize("name", KINDS)
def test_eight_threads_agree(name, fitted):
    policy = fitted[name]
    texts, _ = questions(400, seed=2)
    whole = policy.decide(texts)
    parts = [texts[i : i + 50] for i in range(0, 400, 50)] * 4
    with ThreadPoolExecutor(8) as threads:
        batches = list(threads.map(policy.decide, parts))
        single = list(threads.map(lambda text: policy.start(text).next().n, texts))
        prices = list(threads.map(lambda price: policy.decide(texts, price=price), [0.01, 0.1] * 8))
    for k, batch in enumerate(batches):
        np.testing.assert_array_equal(batch, whole[50 * (k % 8) : 50 * (k % 8 + 1)])
    np.testing.assert_array_equal(single, np.array([1, 3, 9])[whole])
    for k, chosen in enumerate(prices):
        np.testing.assert_array_equal(chosen, prices[k % 2])


@pytest.mark.parametrize("name", KINDS)
def test_one_by_one_and_as_a_batch(name, fitted, tmp_path):
    texts, _ = questions(60, seed=3)
    policy = fitted[name]
    batch = policy.decide(texts)
    assert [int(policy.decide([text])[0]) for text in texts] == batch.tolist()
    policy.save(tmp_path / "policy")
    np.testing.assert_array_equal(load_policy(tmp_path / "policy").decide(texts), batch)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["ridge", "xgboost", "knn", "imitator"])
def test_features_that_are_not_finite_are_refused(name, bad):
    rng = np.random.default_rng(4)
    x, acc = rng.random((120, 3)), rng.random((120, 3))
    policy = KINDS[name]().fit(x, acc, cost=COST, actions=[tcalloc.Vote(k) for k in (1, 3, 9)])
    wrong = x[:5].copy()
    wrong[3, 1] = bad
    for call in (policy.decide, policy.predict, policy.start):
        with pytest.raises(InputError, match=r"X\[[03], 1\] is (NaN|infinity)") as caught:
            call(wrong[3] if call == policy.start else wrong)
        assert "finite" in str(caught.value)
    x[7, 2] = bad
    with pytest.raises(InputError, match=r"X\[7, 2\] is (NaN|infinity)"):
        KINDS[name]().fit(x, acc, cost=COST)


@pytest.mark.parametrize("name", ["ridge", "imitator"])
def test_an_embedding_that_is_not_finite_is_refused(name):
    texts, acc = questions(120)
    broken = []

    def embed(some):
        values = np.array([[len(text), text.count("7")] for text in some], float)
        if broken:
            values[-1, 0] = np.nan
        return values

    policy = KINDS[name]().set_params(features=Features(embed=embed)).fit(texts, acc, cost=COST)
    before = policy.decide(texts[:9])
    broken.append(True)
    with pytest.raises(InputError, match="embed"):
        policy.decide(texts[:9])
    broken.clear()
    np.testing.assert_array_equal(policy.decide(texts[:9]), before)

"""`Imitator`: the classifier of the oracle's actions."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import COST, clear
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from tcalloc import InputError, solve
from tcalloc.learn.routing.imitator import Imitator


def test_imitator_learns_the_oracle():
    x, table = clear(800)
    labels = solve(table.acc, COST, 2.0).actions
    more, held = clear(800, seed=1)
    for weights in ("plain", "regret"):
        policy = Imitator(2.0, loss=weights).fit(x, table)
        assert (policy.decide(x) == labels).mean() > 0.97
        assert (policy.decide(more) == held.solve(2.0).actions).mean() > 0.93
    assert policy.chances(more).sum(axis=1) == pytest.approx(np.ones(800))
    assert policy.classifier_.get_params()["n_estimators"] == 100
    assert policy.classifier_.get_params()["max_depth"] == 5


def test_imitator_with_actions_that_never_occur_and_a_single_one():
    x, table = clear(300)
    acc = np.column_stack([table.acc[:, 0], np.full(300, 0.01), table.acc[:, 1]])
    policy = Imitator(2.0).fit(x, acc, cost=[1, 2, 4])
    assert policy.labels_.tolist() == [0, 2]
    assert set(policy.decide(x).tolist()) == {0, 2}
    assert (policy.chances(x)[:, 1] == 0).all()
    assert 1 not in policy.decide(x, price=0.3)
    single = Imitator(4.0).fit(x, np.tile([0.1, 0.9], (300, 1)), cost=COST)
    assert single.classifier_ is None
    assert (single.decide(x) == 1).all()
    assert "1 100%" in repr(single)
    only = Imitator(1.0).fit(x, np.full((300, 1), 0.5), cost=[1])
    assert (only.decide(x) == 0).all()


def test_imitator_with_other_classifiers():
    x, table = clear(300)
    policy = Imitator(2.0, LogisticRegression(), loss="regret").fit(x, table)
    assert (policy.decide(x) == table.solve(2.0).actions).mean() > 0.9
    nearest = Imitator(2.0, KNeighborsClassifier(5)).fit(x, table)
    assert (nearest.decide(x) == table.solve(2.0).actions).mean() > 0.9
    with pytest.raises(InputError, match="KNeighborsClassifier takes no sample_weight"):
        Imitator(2.0, KNeighborsClassifier(5), loss="regret").fit(x, table)
    with pytest.raises(InputError, match="without pickle"):
        policy._state()


def test_regret_weights_care_for_what_is_at_stake():
    rng = np.random.default_rng(0)
    x = rng.random((3000, 1))
    # Most questions gain a little from the dear action, the others lose much: labels alone cannot be told from x.
    much = rng.random(3000) < 0.3 + 0.2 * x[:, 0]
    acc = np.column_stack([np.full(3000, 0.5), np.where(much, 1.0, 0.505)])
    plain = Imitator(1.9, LogisticRegression()).fit(x, acc, cost=[1, 2])
    careful = Imitator(1.9, LogisticRegression(), loss="regret").fit(x, acc, cost=[1, 2])
    every = np.arange(3000)
    utility = acc - plain.oracle_price_ * np.array([1, 2])
    assert utility[every, careful.decide(x)].mean() >= utility[every, plain.decide(x)].mean()

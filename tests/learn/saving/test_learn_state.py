"""The state of policies: what is saved goes round, what was edited is refused."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import clear, voted
from sklearn.base import clone

from tcalloc import InputError, Vote
from tcalloc.learn.features import Features
from tcalloc.learn.routing.baselines import Fixed, LengthHeuristic, Mixture, Random
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy


@pytest.mark.parametrize(
    "policy",
    [
        Fixed(1),
        Mixture(2.0),
        LengthHeuristic(2.0),
        Random(2.0),
        Imitator(2.0),
        PricedPolicy(budget=2.0),
        PricedPolicy("knn", budget=2.0),
        PricedPolicy("xgboost", budget=2.0),
    ],
    ids=repr,
)
def test_state_goes_round(policy):
    x, table = clear(200)
    fitted = clone(policy).fit(x, table)
    if not isinstance(policy, Fixed):
        fitted.calibrate(x, table, budget=2.2)
    meta, arrays, boosters = fitted._state()
    again = type(policy)._from_state(json.loads(json.dumps(meta)), arrays, boosters)
    assert np.array_equal(again.decide(x), fitted.decide(x))
    assert again.price_ == fitted.price_
    assert again.guarantee_ == fitted.guarantee_
    assert again.actions_ == fitted.actions_
    assert repr(again).split("\n")[1:] == repr(fitted).split("\n")[1:]


def test_state_of_a_probe_goes_round():
    texts, samples = voted(200)
    for features in (False, Features(components=8)):
        policy = PricedPolicy(probe=2, features=features, budget=3.0)
        policy.fit(texts, samples, actions=[Vote(k) for k in (1, 3, 5)])
        meta, arrays, boosters = policy._state()
        again = PricedPolicy._from_state(json.loads(json.dumps(meta)), arrays, boosters)
        mine, theirs = (each.replay(texts, samples) for each in (policy, again))
        assert np.array_equal(mine.accuracy, theirs.accuracy)
        assert np.array_equal(mine.spend, theirs.spend)
        broken = arrays | {"probe/after/curves": arrays["probe/after/curves"][:, :1]}
        with pytest.raises(InputError, match="curves: expected finite numbers"):
            PricedPolicy._from_state(meta, broken, boosters)


def test_edited_arrays_are_refused():
    x, table = clear(100)
    meta, arrays, boosters = PricedPolicy(budget=2.0).fit(x, table)._state()
    for name, value in (
        ("model/coefficients", arrays["model/coefficients"][:-1]),
        ("shrinkage/order", np.array([0, 0])),
        ("shrinkage/slopes", np.array([np.nan, 1])),
        ("gate/budgets", arrays["gate/budgets"][::-1]),
    ):
        with pytest.raises(InputError):
            PricedPolicy._from_state(meta, arrays | {name: value}, boosters)


@pytest.mark.parametrize("setting", ["two", [2.0], float("nan")])
def test_a_mixture_of_an_edited_setting_is_refused(setting):
    meta, arrays, boosters = Mixture(budget=2.0).fit(None, [[0.5, 0.6], [0.2, 0.9]], cost=[1, 4])._state()
    with pytest.raises(InputError, match="setting"):
        Mixture._from_state(meta | {"setting": setting}, arrays, boosters)

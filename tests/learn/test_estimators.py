"""Every policy is an estimator of scikit-learn's kind: cloned, set by name, and nothing is done before `fit`."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

from policy_cases import voted
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from tcalloc import InputError, Samples, Vote
from tcalloc.learn import Sequential, TunedRule
from tcalloc.learn.registry import entry_of, names

STOPPING = [Sequential, TunedRule]


def runs(policy):
    """Return how many samples the policy draws of some questions that all get other answers."""
    return [policy.start(f"question {i}").next().n for i in range(30)]


@pytest.mark.parametrize("name", names(deployable=True))
def test_a_policy_is_cloned_and_set_by_name(name):
    policy = entry_of(name).policy(budget=2.0, random_state=5)
    assert isinstance(policy, BaseEstimator) or type(policy) in STOPPING
    assert get_tags(policy) == get_tags(BaseEstimator())
    assert policy.get_params()["budget"] == 2.0
    again = clone(policy.set_params(budget=3.5))
    assert again is not policy
    assert again.get_params() == policy.get_params()
    assert again.budget == 3.5
    assert not [key for key in vars(again) if key not in again.get_params()]
    with pytest.raises(ValueError, match="bugdet"):
        policy.set_params(bugdet=1.0)


@pytest.mark.parametrize("name", names(deployable=True))
def test_nothing_is_done_before_fit(name):
    policy = entry_of(name).policy(budget="two", random_state=None)
    assert policy.budget == "two"  # it is refused by fit
    assert clone(policy).budget == "two"
    with pytest.raises(NotFittedError):
        check_is_fitted(policy)


@pytest.mark.parametrize("kind", STOPPING)
def test_a_fitted_policy_is_cloned_unfitted_and_learns_the_same(kind):
    _, samples = voted(60, 8, seed=1)
    policy = kind(budget=2.5, random_state=7).fit(None, samples)
    check_is_fitted(policy)
    again = clone(policy)
    with pytest.raises(InputError, match="not fitted"):
        again.start("q")
    again.fit(None, samples)
    assert runs(again) == runs(policy)
    assert repr(again) == repr(policy)


@pytest.mark.parametrize("kind", STOPPING)
def test_at_and_calibrate_leave_the_parameters_alone(kind):
    _, samples = voted(60, 8, seed=1)
    policy = kind(budget=2.5).fit(None, samples)
    other = policy.at(3.0)
    assert (policy.budget_, other.budget_) == (2.5, 3.0)
    assert other.budget == 2.5  # the parameter of fit
    other.calibrate(None, samples, budget=4.0)
    assert (policy.budget_, other.budget_, other.budget) == (2.5, 4.0, 2.5)
    assert policy.guarantee_ is None
    assert other.guarantee_ is not None


def test_parameters_are_kept_as_they_are_given():
    actions = {"": Vote(1)}
    policy = Sequential(waves=[1, 2], actions=actions, most={"": 4}, cap=np.inf)
    assert policy.actions is actions
    assert policy.waves == [1, 2]
    assert clone(policy).get_params() == policy.get_params()


def test_stopping_policies_work_without_scikit_learn():
    code = """
import sys
import tcalloc
policy = tcalloc.Sequential(budget=2.0).set_params(budget=3.0)
print(policy.get_params())
try:
    policy.set_params(bugdet=1)
except tcalloc.InputError as error:
    print(error)
answers = [[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]] * 8
print(tcalloc.learn.TunedRule("ESC", budget=2.0).fit(None, tcalloc.Samples(answers)).start("x").next().n > 0)
print(tcalloc.Sequential(budget=2.0).fit(None, tcalloc.Samples(answers)).start("x").next().n > 0)
print([name for name in ("sklearn", "scipy", "pandas") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert found[0] == repr(Sequential(budget=3.0).get_params())
    assert found[1].startswith("Sequential has no parameter 'bugdet'; allowed are actions, answer_by, budget, cap")
    assert found[2:] == ["True", "True", "[]"]


def test_samples_alone_are_no_questions():
    _, samples = voted(20, 4, seed=1)
    for kind in STOPPING:
        with pytest.raises(InputError, match="samples is NoneType; expected Samples"):
            kind().fit(samples, None)
    assert isinstance(samples, Samples)

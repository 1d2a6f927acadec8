"""What every policy promises: the one protocol, scikit-learn's conventions, refusals."""

import inspect

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import COST, EVERY, SEEING, clear
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tcalloc import Best, InputError, One, Table, Vote
from tcalloc.learn.protocol import Policy, Result, Run
from tcalloc.learn.routing.baselines import Fixed, LengthHeuristic, Oracle
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.training import parsed


@pytest.mark.parametrize("policy", EVERY, ids=repr)
def test_every_policy_speaks_the_protocol(policy):
    x, table = clear()
    before = repr(policy)
    fitted = clone(policy).fit(x, table)
    assert isinstance(fitted, Policy)
    assert repr(policy) == before
    assert not hasattr(policy, "action_names_")
    assert repr(fitted).startswith(before)
    assert "fitted on 400 questions; actions: vote1, vote4" in repr(fitted)
    chosen = fitted.decide(x)
    assert chosen.dtype == np.int32
    assert chosen.shape == (400,)
    assert np.array_equal(chosen, fitted.predict(x))
    run = fitted.start(x[7])
    assert isinstance(run, Run)
    draw = run.next()
    assert draw.action == [Vote(1), Vote(4)][chosen[7]]
    assert draw.n == draw.action.samples
    run.add([Result("a", 1.0)] * draw.n)
    assert run.next() is None
    assert run.answer == "a"
    assert run.spend == draw.n


@pytest.mark.parametrize("policy", EVERY, ids=repr)
def test_one_by_one_is_the_same_as_all_at_once(policy):
    x, table = clear(200)
    fitted = clone(policy).fit(x, table)
    chosen = fitted.decide(x)
    one = [[Vote(1), Vote(4)].index(fitted.start(row).next().action) for row in x[:60]]
    assert one == chosen[:60].tolist()
    shuffled = np.random.default_rng(1).permutation(200)
    assert np.array_equal(fitted.decide(x[shuffled]), chosen[shuffled])


@pytest.mark.parametrize("policy", SEEING, ids=repr)
def test_parameters_are_kept_and_clone_forgets(policy):
    assert set(policy.get_params(deep=False)) == set(inspect.signature(type(policy).__init__).parameters) - {"self"}
    x, table = clear(100)
    made = clone(policy.set_params(random_state=3)).fit(x, table)
    assert clone(made).get_params(deep=False) == policy.get_params(deep=False)
    policy.set_params(random_state=0)


@pytest.mark.parametrize("policy", SEEING, ids=repr)
def test_same_seed_same_decisions(policy):
    x, table = clear(150)
    first, second = (clone(policy).fit(x, table).decide(x) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("policy", SEEING, ids=repr)
def test_frames_keep_their_names(policy):
    pandas = pytest.importorskip("pandas")
    x, table = clear(120)
    frame = pandas.DataFrame(x, columns=["need", "b", "c"])
    fitted = clone(policy).fit(frame, table)
    assert fitted.feature_names_in_.tolist() == ["need", "b", "c"]
    assert fitted.n_features_in_ == 3
    chosen = fitted.decide(frame)
    assert chosen[5] == [Vote(1), Vote(4)].index(fitted.start(frame.iloc[5].to_dict()).next().action)
    with pytest.raises(InputError, match=r"(?s)should match those that were passed during fit.*missing.*need"):
        fitted.decide(frame.rename(columns={"need": "other"}))


def test_polars_and_pipelines_and_foreign_features():
    polars = pytest.importorskip("polars")
    x, table = clear(200)
    frame = polars.DataFrame({"need": x[:, 0], "b": x[:, 1], "c": x[:, 2]})
    expected = PricedPolicy(budget=2.0).fit(frame, table).decide(frame)
    assert np.array_equal(expected, PricedPolicy(budget=2.0).fit(x, table).decide(x))
    pipeline = make_pipeline(StandardScaler(), PricedPolicy(budget=2.0)).fit(x, table)
    assert (pipeline.predict(x) == expected).mean() > 0.95
    foreign = PricedPolicy(budget=2.0, features=StandardScaler()).fit(x, table)
    assert (foreign.decide(x) == expected).mean() > 0.95
    assert not hasattr(foreign.features, "scale_")
    with pytest.raises(InputError, match="without pickle"):
        foreign._state()


def test_non_finite_features_are_refused():
    x, table = clear(100)
    policy = PricedPolicy(budget=2.0).fit(x, table)
    bad = x[:5].copy()
    bad[3, 1] = np.nan
    with pytest.raises(InputError, match=r"X\[3, 1\] is NaN"):
        policy.decide(bad)
    with pytest.raises(InputError, match="NaN"):
        policy.start(bad[3])
    broken = FunctionTransformer(lambda rows: np.log(rows - rows))
    with np.errstate(divide="ignore"), pytest.raises(InputError, match="features returned -inf in row 0, column 0"):
        PricedPolicy(features=broken).fit(x, table)


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (lambda x, t: PricedPolicy().fit(x[:50], t), "X has 50 rows, but samples has 100"),
        (
            lambda x, t: PricedPolicy("lasso").fit(x, t),
            "regressor is 'lasso'; allowed are 'ridge', 'xgboost', 'knn'",
        ),
        (lambda x, t: PricedPolicy(known_costs="mine").fit(x, t), "known_costs is 'mine'"),
        (lambda x, t: PricedPolicy(probe=-1).fit(x, t), "probe is -1"),
        (lambda x, t: PricedPolicy(probe=2).fit(x, t), "only Samples show"),
        (lambda x, t: PricedPolicy(gate="yes").fit(x, t), "gate is 'yes'"),
        (lambda x, t: PricedPolicy(features="tfidf").fit(x, t), "features is 'tfidf'; expected Features"),
        (lambda x, t: PricedPolicy(budget=0.5).fit(x, t), "smallest feasible budget"),
        (lambda x, t: PricedPolicy().fit(x, t.acc), "together with cost="),
        (lambda x, t: PricedPolicy().fit(x, t, actions=[Vote(1)]), "actions has 1 entry, but samples has 2 columns"),
        (lambda x, t: Imitator().fit(x, t), r"needs a budget"),
        (lambda x, t: Imitator(2.0, loss="all").fit(x, t), "loss is 'all'"),
        (lambda x, t: Imitator(2.0, classifier=LogisticRegression).fit(x, t), "expected a scikit-learn classifier"),
        (lambda x, t: Fixed("vote9").fit(x, t), "action is 'vote9'; expected one of vote1, vote4"),
        (lambda x, t: LengthHeuristic(2.0, column="len").fit(x, t), "column is 'len'; expected one of"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x), "neither budget nor price given"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x, budget=2, price=1), "budget and price given"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x, price=-1), "price is -1.0"),
        (lambda x, t: PricedPolicy(known_costs="given").fit(x, t).decide(x, price=1), "no cost given"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x, price=1, cost=[1, 2, 3]), r"cost has shape \(3,\)"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x, price=1, cost=[1, -2]), r"cost\[1\] is -2"),
        (lambda x, t: PricedPolicy().fit(x, t).decide(x, price=1, available=[[True, True]]), "available has dtype"),
        (lambda x, t: Oracle(2.0).fit(x, t).decide(x + 1), "not in the oracle's table"),
        (lambda x, t: PricedPolicy().decide(x, price=1), "not fitted yet"),
    ],
)
def test_what_is_not_allowed_is_said(fit, words):
    from sklearn.exceptions import NotFittedError

    x, table = clear(100)
    with pytest.raises((InputError, NotFittedError), match=words):
        fit(x, table)


def test_actions_without_meaning_cannot_be_started():
    x, table = clear(100)
    policy = PricedPolicy(budget=2.0).fit(x, Table(table.acc, COST, action_names=("small", "large")))
    assert policy.actions_ is None
    with pytest.raises(InputError, match=r"what the actions \(small, large"):
        policy.start(x[0])
    told = PricedPolicy(budget=2.0).fit(x, table.acc, cost=COST, actions=[None, Vote(4)])
    assert told.action_names_ == ("nothing", "vote4")
    free = told.start(x[0])
    assert (free.next() is None) == (told.decide(x[:1])[0] == 0)


def test_names_are_parsed():
    assert parsed(("vote4 qwen", "best8", "nothing", "one")) == (
        Vote(4, "qwen"),
        Best(8),
        None,
        One(),
    )
    assert parsed(("vote4", "gpt")) is None


class Checked:
    """For scikit-learn's checks, which know no tables: y is what a second action reaches; the first does nothing."""

    def fit(self, X, y):
        given = np.asarray(y).reshape(len(y), -1)[:, 0]
        values = given.astype(float) if given.dtype.kind in "fiu" else np.unique(given, return_inverse=True)[1]
        return super().fit(X, np.column_stack([np.zeros(len(values)), values]), cost=[0.0, 1.0])


class CheckedPriced(Checked, PricedPolicy):
    __init__ = PricedPolicy.__init__


class CheckedImitator(Checked, Imitator):
    __init__ = Imitator.__init__


class CheckedLength(Checked, LengthHeuristic):
    __init__ = LengthHeuristic.__init__


@parametrize_with_checks(
    [CheckedPriced(budget=0.5), CheckedImitator(budget=0.5), CheckedLength(budget=0.5)],
    expected_failed_checks=lambda _: {
        "check_dtype_object": "wants a TypeError for a matrix of objects; ours is an InputError, which is a ValueError"
    },
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)

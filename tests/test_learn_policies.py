"""Policies that decide beforehand, or after a probe: what they promise, on data whose truth is known."""

import inspect
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from tcalloc import Best, BudgetError, InputError, Samples, Table, Vote, solve
from tcalloc.datasets import load_recorded
from tcalloc.learn._training import Mix, Training, as_table, fallback, parsed
from tcalloc.learn.baselines import Fixed, LengthHeuristic, Mixture, Oracle, Random
from tcalloc.learn.features import Features
from tcalloc.learn.gate import Gate, gains
from tcalloc.learn.imitator import Imitator
from tcalloc.learn.priced import PricedRegressor
from tcalloc.learn.probed import ProbedRun
from tcalloc.learn.protocol import Policy, Result, Run, combine, uniform
from tcalloc.learn.regressors import Neighbours, Ridge, folds_of
from tcalloc.learn.replay import replay
from tcalloc.learn.slopes import Shrinkage, slope_of

COST = np.array([1.0, 4.0])
NAMES = ("vote1", "vote4")
EVERY = [
    Fixed(1),
    Mixture(2.0),
    LengthHeuristic(2.0),
    Random(2.0),
    Oracle(2.0),
    Imitator(2.0),
    Imitator(2.0, weights="regret"),
    PricedRegressor(budget=2.0),
    PricedRegressor("knn", budget=2.0),
    PricedRegressor("xgboost", budget=2.0),
]
SEEING = [policy for policy in EVERY if not isinstance(policy, Oracle)]


def clear(n: int = 400, seed: int = 0) -> tuple[np.ndarray, Table]:
    """Questions whose first feature says how much the dear action helps."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 3))
    acc = np.column_stack([0.9 - 0.8 * x[:, 0], np.full(n, 0.9)])
    return x, Table(acc, COST, action_names=NAMES)


def noise(n: int = 400, seed: int = 0) -> tuple[np.ndarray, Table]:
    """Features that say nothing."""
    rng = np.random.default_rng(seed)
    acc = np.column_stack([rng.random(n) < 0.6, rng.random(n) < 0.8]).astype(float)
    return rng.random((n, 3)), Table(acc, COST, action_names=NAMES)


def voted(n: int = 400, s: int = 24, seed: int = 0) -> tuple[list[str], Samples]:
    """Samples of easy and hard questions, whose texts tell nothing."""
    rng = np.random.default_rng(seed)
    rate = np.where(rng.random(n) < 0.6, 0.97, 0.5)
    wrong = rng.integers(1, 4, (n, s))
    answers = np.where(rng.random((n, s)) < rate[:, None], 0, wrong)
    return [f"question number {i}" for i in range(n)], Samples(answers)


# ---------------------------------------------------------------------------------------------- the protocol


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
    expected = PricedRegressor(budget=2.0).fit(frame, table).decide(frame)
    assert np.array_equal(expected, PricedRegressor(budget=2.0).fit(x, table).decide(x))
    pipeline = make_pipeline(StandardScaler(), PricedRegressor(budget=2.0)).fit(x, table)
    assert (pipeline.predict(x) == expected).mean() > 0.95
    foreign = PricedRegressor(budget=2.0, features=StandardScaler()).fit(x, table)
    assert (foreign.decide(x) == expected).mean() > 0.95
    assert not hasattr(foreign.features, "scale_")
    with pytest.raises(InputError, match="without pickle"):
        foreign._state()


def test_non_finite_features_are_refused():
    x, table = clear(100)
    policy = PricedRegressor(budget=2.0).fit(x, table)
    bad = x[:5].copy()
    bad[3, 1] = np.nan
    with pytest.raises(InputError, match=r"X\[3, 1\] is NaN"):
        policy.decide(bad)
    with pytest.raises(InputError, match="NaN"):
        policy.start(bad[3])
    broken = FunctionTransformer(lambda rows: np.log(rows - rows))
    with np.errstate(divide="ignore"), pytest.raises(InputError, match="features returned -inf in row 0, column 0"):
        PricedRegressor(features=broken).fit(x, table)


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        (lambda x, t: PricedRegressor().fit(x[:50], t), "X has 50 rows, but the table has 100"),
        (
            lambda x, t: PricedRegressor("lasso").fit(x, t),
            "regressor is 'lasso'; allowed are 'ridge', 'xgboost', 'knn'",
        ),
        (lambda x, t: PricedRegressor(costs="mine").fit(x, t), "costs is 'mine'"),
        (lambda x, t: PricedRegressor(probe=-1).fit(x, t), "probe is -1"),
        (lambda x, t: PricedRegressor(probe=2).fit(x, t), "can only be learned from Samples"),
        (lambda x, t: PricedRegressor(gate="yes").fit(x, t), "gate is 'yes'"),
        (lambda x, t: PricedRegressor(features="tfidf").fit(x, t), "features is 'tfidf'; expected Features"),
        (lambda x, t: PricedRegressor(budget=0.5).fit(x, t), "smallest feasible budget"),
        (lambda x, t: PricedRegressor().fit(x, t.acc), "together with cost="),
        (lambda x, t: PricedRegressor().fit(x, t, actions=[Vote(1)]), "actions has 1 entries, but the table has 2"),
        (lambda x, t: Imitator().fit(x, t), r"needs a budget"),
        (lambda x, t: Imitator(2.0, weights="all").fit(x, t), "weights is 'all'"),
        (lambda x, t: Imitator(2.0, classifier=LogisticRegression).fit(x, t), "expected a scikit-learn classifier"),
        (lambda x, t: Fixed("vote9").fit(x, t), "action is 'vote9'; expected one of vote1, vote4"),
        (lambda x, t: LengthHeuristic(2.0, column="len").fit(x, t), "column is 'len'; expected one of"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x), "neither budget nor price given"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x, budget=2, price=1), "budget and price given"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x, price=-1), "price is -1.0"),
        (lambda x, t: PricedRegressor(costs="given").fit(x, t).decide(x, price=1), "no cost given"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x, price=1, cost=[1, 2, 3]), r"cost has shape \(3,\)"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x, price=1, cost=[1, -2]), r"cost\[1\] is -2"),
        (lambda x, t: PricedRegressor().fit(x, t).decide(x, price=1, available=[[True, True]]), "available has dtype"),
        (lambda x, t: Oracle(2.0).fit(x, t).decide(x + 1), "not in the oracle's table"),
        (lambda x, t: PricedRegressor().decide(x, price=1), "not fitted yet"),
    ],
)
def test_what_is_not_allowed_is_said(fit, words):
    from sklearn.exceptions import NotFittedError

    x, table = clear(100)
    with pytest.raises((InputError, NotFittedError), match=words):
        fit(x, table)


def test_actions_without_meaning_cannot_be_started():
    x, table = clear(100)
    policy = PricedRegressor(budget=2.0).fit(x, Table(table.acc, COST, action_names=("small", "large")))
    assert policy.actions_ is None
    with pytest.raises(InputError, match=r"what the actions \(small, large"):
        policy.start(x[0])
    told = PricedRegressor(budget=2.0).fit(x, table.acc, cost=COST, actions=[None, Vote(4)])
    assert told.action_names_ == ("nothing", "vote4")
    free = told.start(x[0])
    assert (free.next() is None) == (told.decide(x[:1])[0] == 0)


def test_names_are_parsed():
    assert parsed(("vote4 qwen", "best8", "nothing", "first")) == (
        Vote(4, "qwen"),
        Best(8),
        None,
        parsed(("first",))[0],
    )
    assert parsed(("vote4", "gpt")) is None


class Checked:
    """For scikit-learn's checks, which know no tables: y is what a second action reaches; the first does nothing."""

    def fit(self, X, y):
        given = np.asarray(y).reshape(len(y), -1)[:, 0]
        values = given.astype(float) if given.dtype.kind in "fiu" else np.unique(given, return_inverse=True)[1]
        return super().fit(X, np.column_stack([np.zeros(len(values)), values]), cost=[0.0, 1.0])


class CheckedPriced(Checked, PricedRegressor):
    __init__ = PricedRegressor.__init__


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


# ---------------------------------------------------------------------------------------------- mixtures


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 10)), min_size=1, max_size=7), st.floats(0, 12))
def test_the_mixture_is_the_linear_program(points, budget):
    acc, cost = np.array(points).T
    mix = Mix.of(acc, cost)
    assert np.all(np.diff(mix.cost) > 0)
    assert np.all(np.diff(mix.acc) > 0)
    low, high, share = mix.at(budget)
    reached = (1 - share) * acc[low] + share * acc[high]
    if budget < cost.min():
        assert share == 0
        assert cost[low] == cost.min()
        return
    assert (1 - share) * cost[low] + share * cost[high] <= budget * (1 + 1e-9) + 1e-12
    # The best of all pairs.
    best = max(acc[cost <= budget])
    for a in range(len(acc)):
        for b in range(len(acc)):
            if cost[a] <= budget < cost[b]:
                t = (budget - cost[a]) / (cost[b] - cost[a])
                best = max(best, (1 - t) * acc[a] + t * acc[b])
    assert reached == pytest.approx(best, abs=1e-9)


def test_lots_are_those_of_the_question():
    questions = [f"question {i}" for i in range(4000)]
    mixture = Mixture(2.0).fit(["a", "b"], [[0.5, 0.6], [0.4, 0.9]], cost=COST)
    chosen = mixture.decide(questions)
    assert COST[chosen].mean() == pytest.approx(2.0, abs=0.1)
    assert np.array_equal(chosen == 1, np.array([uniform(0, q) for q in questions]) < 1 / 3)
    other = Mixture(2.0, random_state=1).fit(["a", "b"], [[0.5, 0.6], [0.4, 0.9]], cost=COST)
    assert (other.decide(questions) != chosen).any()
    even = Random(2.0).fit(["a", "b"], np.full((2, 3), 0.5), cost=[0, 1, 5])
    assert even.chances(2.0) @ [0, 1, 5] == pytest.approx(2.0)
    assert np.bincount(even.decide(questions), minlength=3) / 4000 == pytest.approx(even.chances(2.0), abs=0.03)
    assert np.bincount(Random().fit(["a"], [[0.1, 0.2]], cost=COST).decide(questions)).min() > 1800


def test_length_takes_the_longest():
    texts = ["x" * i for i in range(1, 301)]
    table = Table(np.tile([0.5, 0.9], (300, 1)), COST)
    chosen = LengthHeuristic(2.0).fit(texts, table).decide(texts)
    assert chosen.tolist() == [0] * 200 + [1] * 100
    shortest = LengthHeuristic(2.0, longest=False).fit(texts, table).decide(texts)
    assert shortest.tolist() == [1] * 100 + [0] * 200


def test_oracle_is_solve():
    x, table = noise()
    assert np.array_equal(Oracle().fit(x, table).decide(x, budget=2.0), solve(table.acc, table.cost, 2.0).actions)


@pytest.mark.parametrize("policy", EVERY, ids=repr)
def test_calibrate_keeps_the_budget_on_held_out_questions(policy):
    x, table = clear(600)
    more, held = clear(600, seed=1)
    fitted = clone(policy).fit(more if isinstance(policy, Oracle) else x, held if isinstance(policy, Oracle) else table)
    if isinstance(policy, Fixed):
        with pytest.raises(BudgetError):
            fitted.calibrate(more, held, budget=2.5)
        return
    fitted.calibrate(more, held, budget=2.5)
    spend = COST[fitted.decide(more)].mean()
    assert spend <= 2.5 * (1 + 1e-12)
    assert spend == pytest.approx(fitted.guarantee_.spend)
    if not isinstance(policy, Imitator):  # whose most probable actions cost what they cost
        assert spend > 2.2
    fitted.calibrate(more, held, budget=2.5, confidence=0.9)
    assert COST[fitted.decide(more)].mean() < 2.5
    assert fitted.guarantee_.confidence == 0.9
    assert "with confidence 0.9" in repr(fitted)


def test_calibrate_meets_the_budget_where_the_gate_is_closed():
    x, table = noise()
    policy = PricedRegressor().fit(x, table)
    assert not policy.gate_.open_budgets()
    policy.calibrate(x, table, budget=2.5)
    assert 2.4 < COST[policy.decide(x)].mean() <= 2.5


# ---------------------------------------------------------------------------------------------- priced


@pytest.mark.parametrize(
    "regressor", ["ridge", "knn", "xgboost", LinearRegression(), DecisionTreeRegressor(max_depth=3)]
)
def test_where_there_is_signal_it_is_used(regressor):
    x, table = clear()
    more, held = clear(seed=1)
    policy = PricedRegressor(regressor).fit(x, table)
    every = np.arange(len(more))
    for budget in (1.5, 2.0, 3.0):
        chosen = policy.decide(more, budget=budget)
        assert COST[chosen].mean() <= budget * (1 + 1e-12)
        reached = held.acc[every, chosen].mean()
        best = held.solve(budget).accuracy
        low, high, share = Mix.of(held.acc.mean(axis=0), COST).at(budget)
        uniformly = (1 - share) * held.acc[:, low].mean() + share * held.acc[:, high].mean()
        assert reached - uniformly > 0.8 * (best - uniformly)
    assert "gate: open" in repr(policy)


@pytest.mark.parametrize("seed", range(5))
def test_where_there_is_none_it_serves_the_mixture(seed):
    x, table = noise(seed=seed)
    policy = PricedRegressor(budget=2.0).fit(x, table)
    assert np.array_equal(policy.decide(x), Mixture(2.0).fit(x, table).decide(x))
    assert np.array_equal(policy.decide(x, budget=3.0), Mixture(3.0).fit(x, table).decide(x))
    assert "gate: closed at every budget" in repr(policy)
    assert "mixture: 67% vote1, 33% vote4" in repr(policy)


def test_without_gate_and_slopes_it_is_the_bare_regression():
    x, table = noise()
    policy = PricedRegressor("ridge", gate=False, shrink=False).fit(x, table)
    assert policy.shrinkage_.slopes.tolist() == [1.0, 1.0]
    assert policy.gate_.open_at(2.0)
    rows = policy.model_.predict(policy.features_.transform(x))
    # Centred where out-of-fold predictions are, to rounding of the folds.
    assert policy.predict_rows(x) == pytest.approx(rows, abs=5e-3)
    assert "gate: none" in repr(policy)


def test_a_price_and_the_budget_that_it_spends_agree():
    x, table = clear(2000)
    policy = PricedRegressor(budget=2.0).fit(x, table)
    assert COST[policy.decide(x)].mean() == pytest.approx(2.0, abs=0.06)
    assert COST[policy.decide(x, price=math.inf)].mean() == 1.0
    spends = [COST[policy.decide(x, price=p)].mean() for p in (0.25, 0.2, 0.1, 0.05, 0.0)]
    assert spends == sorted(spends)


def test_costs_that_are_given():
    rng = np.random.default_rng(0)
    x, table = clear(500)
    cost = np.column_stack([np.ones(500), 2 + 4 * rng.random(500)])
    policy = PricedRegressor(costs="given").fit(x, table.acc, cost=cost)
    chosen = policy.decide(x, budget=2.0, cost=cost)
    every = np.arange(500)
    spend = cost[every, chosen].mean()
    assert 1.98 < spend <= 2.0
    blind = PricedRegressor().fit(x, table.acc, cost=cost).decide(x, budget=2.0)
    assert table.acc[every, chosen].mean() > table.acc[every, blind].mean()
    policy.calibrate(x, Table(table.acc, cost), budget=2.0)
    assert cost[every, policy.decide(x, cost=cost)].mean() <= 2.0


def test_costs_that_are_predicted():
    rng = np.random.default_rng(0)
    x = rng.random((800, 2))  # one feature says what helps, the other what it costs
    acc = np.column_stack([0.9 - 0.5 * x[:, 0], np.full(800, 0.9)])
    cost = np.column_stack([np.ones(800), 1 + 6 * x[:, 1]]) + rng.random((800, 2)) * 0.1
    first, second = slice(0, 400), slice(400, 800)
    every = np.arange(400)
    scores = {}
    for known in ("mean", "predicted"):
        policy = PricedRegressor(costs=known).fit(x[first], acc[first], cost=cost[first])
        chosen = policy.decide(x[second], budget=2.5)
        scores[known] = acc[second][every, chosen].mean(), cost[second][every, chosen].mean()
    assert scores["predicted"][0] > scores["mean"][0] + 0.02
    assert scores["predicted"][1] == pytest.approx(2.5, abs=0.1)
    assert "costs predicted by ridge" in repr(policy)
    policy.calibrate(x[second], Table(acc[second], cost[second]), budget=2.5)
    meta, arrays, boosters = policy._state()
    again = PricedRegressor._from_state(json.loads(json.dumps(meta)), arrays, boosters)
    assert np.array_equal(again.decide(x), policy.decide(x))
    same = [PricedRegressor(costs=c, budget=2.0).fit(x, acc, cost=COST).decide(x) for c in ("mean", "predicted")]
    assert np.array_equal(*same)


def test_actions_that_some_questions_lack():
    x, table = clear(400)
    available = np.ones((400, 2), bool)
    available[::4, 1] = False
    available[1::8, 0] = False
    lacking = Table(table.acc, COST, action_names=NAMES, available=available)
    for policy in SEEING:
        fitted = clone(policy).fit(x, lacking)
        chosen = fitted.decide(x, available=available)
        assert available[np.arange(400), chosen].all()
    nobody = np.tile([True, False], (400, 1))
    with pytest.raises(InputError, match="no question has the action 'vote4'"):
        PricedRegressor().fit(x, Table(table.acc, COST, action_names=NAMES, available=nobody))
    there = np.array([[True, False, True], [False, False, True], [False, True, False]])
    assert fallback(there, np.array([0, 1, 2]), 3).tolist() == [[0, 0, 2], [2, 2, 2], [1, 1, 1]]


@pytest.mark.parametrize("regressor", ["ridge", "knn", "xgboost"])
def test_weights_count_like_repeated_rows(regressor):
    x, table = clear(150)
    weights = np.random.default_rng(0).integers(1, 4, 150).astype(float)
    weighted = as_table(Table(table.acc, COST, weights=weights), 150, None, None)
    assert weighted.weights.mean() == pytest.approx(1.0)
    rows = np.repeat(np.arange(150), weights.astype(int))
    assert weighted.mean_acc == pytest.approx(table.acc[rows].mean(axis=0))
    once, many = Ridge(), Ridge()
    once.alpha = many.alpha = 0.5
    once.fit(x, table.acc, weights)
    many.fit(x[rows], table.acc[rows], np.ones(len(rows)))
    assert once.predict(x) == pytest.approx(many.predict(x))
    policy = PricedRegressor(regressor, budget=2.0).fit(x, Table(table.acc, COST, weights=weights))
    assert policy.mean_acc_ == pytest.approx(weighted.mean_acc)


def test_ridge_is_ridge():
    from sklearn.linear_model import Ridge as Reference

    rng = np.random.default_rng(0)
    x, y, weights = rng.random((60, 4)), rng.random((60, 3)), rng.random(60)
    y[:20, 2] = np.nan
    ours = Ridge()
    folds = folds_of(60, 0)
    predicted = ours.out_of_fold(x, y, weights, folds)
    ours.fit(x, y, weights)
    for a in range(3):
        there = np.isfinite(y[:, a])
        theirs = Reference(alpha=ours.alpha).fit(x[there], y[there, a], sample_weight=weights[there])
        assert ours.predict(x)[:, a] == pytest.approx(theirs.predict(x))
        for fold in range(5):
            seen = there & (folds != fold)
            theirs = Reference(alpha=ours.alpha).fit(x[seen], y[seen, a], sample_weight=weights[seen])
            assert predicted[folds == fold, a] == pytest.approx(theirs.predict(x[folds == fold]))


def test_neighbours_are_the_nearest():
    from sklearn.neighbors import KNeighborsRegressor

    rng = np.random.default_rng(0)
    x, y = rng.random((80, 3)), rng.random((80, 2))
    ours = Neighbours()
    ours.out_of_fold(x, y, np.ones(80), folds_of(80, 0))
    ours.fit(x, y, np.ones(80))
    theirs = KNeighborsRegressor(ours.count).fit(ours.x, y)
    assert ours.predict(ours.x[:20]) == pytest.approx(theirs.predict(ours.x[:20]))


def test_slopes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    ones = np.ones(2000)
    assert slope_of(x, 0.4 * x + rng.normal(size=2000) * 0.1, ones) == pytest.approx(0.4, abs=0.01)
    assert slope_of(x, 3 * x, ones) == 1.0
    assert slope_of(x, -x, ones) == 0.0
    assert slope_of(np.zeros(2000), x, ones) == 0.0
    # Ten copies of 200 rows tell no more than these do.
    few, y = np.tile(x[:200], 10), np.tile(0.06 * x[:200] + rng.normal(size=200), 10)
    assert slope_of(few, y, ones, np.tile(np.arange(200), 10)) == slope_of(few[:200], y[:200], ones[:200])
    truth = np.column_stack([x, x + 1 + 0.5 * x])
    found = Shrinkage.fit(np.column_stack([x, 2 * x]), truth, np.array([0, 1]), ones)
    assert found.slopes == pytest.approx([1.0, 0.5])
    assert found.apply(np.column_stack([x, 2 * x])) == pytest.approx(truth)
    assert found.apply(np.array([x[3], 2 * x[3]])) == pytest.approx(truth[3])


@given(st.integers(0, 10_000))
def test_shrunk_to_nothing_every_question_is_the_mean(seed):
    rng = np.random.default_rng(seed)
    predicted, order = rng.random((6, 3)), rng.permutation(3)
    flat = Shrinkage(order, np.zeros(3), predicted.mean(axis=0), np.array([0.1, 0.2, 0.3]))
    assert flat.apply(predicted) == pytest.approx(np.tile([0.1, 0.2, 0.3], (6, 1)))
    whole = Shrinkage(order, np.ones(3), np.zeros(3), np.zeros(3))
    assert whole.apply(predicted) == pytest.approx(predicted)


def test_the_gate_opens_by_chance_in_one_of_twenty():
    opened = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        acc = (rng.random((300, 2)) < [0.6, 0.8]).astype(float)
        training = Training(acc, np.tile(COST, (300, 1)), np.ones(300), NAMES, None)
        mean, error = gains(rng.integers(0, 2, 300), training)
        opened += mean >= 1.64 * error
    assert 2 <= opened <= 22


def test_the_gate_counts_what_is_really_paid():
    _, table = clear(400)
    cost = np.column_stack([np.ones(400), 1 + 10 * (table.acc[:, 0] < 0.5)])  # dear where it helps
    training = Training(table.acc, cost, np.ones(400), NAMES, None)
    planned = np.tile(cost.mean(axis=0), (400, 1))
    gate = Gate.fit(table.acc, planned, training, used=True, also=(2.0,))
    chosen = solve(table.acc, planned, 2.0).actions
    gain, error = gains(chosen, training)
    assert gate.at(2.0) == pytest.approx((gain, error))
    spend = cost[np.arange(400), chosen].mean()
    assert spend > 2.5
    low, high, share = Mix.of(table.acc.mean(axis=0), cost.mean(axis=0)).at(spend)
    theirs = (1 - share) * table.acc[:, low] + share * table.acc[:, high]
    assert gain == pytest.approx((table.acc[np.arange(400), chosen] - theirs).mean())


# ---------------------------------------------------------------------------------------------- imitator


def test_imitator_learns_the_oracle():
    x, table = clear(800)
    labels = solve(table.acc, COST, 2.0).actions
    more, held = clear(800, seed=1)
    for weights in ("plain", "regret"):
        policy = Imitator(2.0, weights=weights).fit(x, table)
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
    policy = Imitator(2.0, LogisticRegression(), weights="regret").fit(x, table)
    assert (policy.decide(x) == table.solve(2.0).actions).mean() > 0.9
    nearest = Imitator(2.0, KNeighborsClassifier(5)).fit(x, table)
    assert (nearest.decide(x) == table.solve(2.0).actions).mean() > 0.9
    with pytest.raises(InputError, match="KNeighborsClassifier takes no sample_weight"):
        Imitator(2.0, KNeighborsClassifier(5), weights="regret").fit(x, table)
    with pytest.raises(InputError, match="without pickle"):
        policy._state()


def test_regret_weights_care_for_what_is_at_stake():
    rng = np.random.default_rng(0)
    x = rng.random((3000, 1))
    # Most questions gain a little from the dear action, the others lose much: labels alone cannot be told from x.
    much = rng.random(3000) < 0.3 + 0.2 * x[:, 0]
    acc = np.column_stack([np.full(3000, 0.5), np.where(much, 1.0, 0.505)])
    plain = Imitator(1.9, LogisticRegression()).fit(x, acc, cost=[1, 2])
    careful = Imitator(1.9, LogisticRegression(), weights="regret").fit(x, acc, cost=[1, 2])
    every = np.arange(3000)
    utility = acc - plain.oracle_price_ * np.array([1, 2])
    assert utility[every, careful.decide(x)].mean() >= utility[every, plain.decide(x)].mean()


# ---------------------------------------------------------------------------------------------- probes


def test_a_probe_pays_where_text_says_nothing():
    texts, samples = voted()
    more, held = voted(seed=1)
    actions = [Vote(k) for k in (1, 3, 5, 9)]
    policy = PricedRegressor(probe=2, features=False, budget=3.0).fit(texts, samples, actions=actions)
    blind = PricedRegressor(features=Features(text=None)).fit(texts, samples, actions=actions)
    acc, spend = policy.simulate(more, held)
    assert spend.mean() == pytest.approx(3.0, abs=0.15)
    table = held.table(actions, False)
    low, high, share = Mix.of(table.acc.mean(axis=0), table.cost).at(spend.mean())
    mixed = (1 - share) * table.acc[:, low].mean() + share * table.acc[:, high].mean()
    assert acc.mean() > mixed + 0.01
    assert "probe: vote2, then enough, vote3, vote5, vote9" in repr(policy)
    assert not blind.gate_.open_at(3.0)
    with pytest.raises(InputError, match="decides after 2 samples"):
        policy.decide(more)


def test_simulation_is_replay():
    texts, samples = voted(120)
    policy = PricedRegressor(probe=2, features=False, budget=2.5).fit(
        texts, samples, actions=[Vote(k) for k in (1, 3, 5, 9)]
    )
    assert policy.gate_.open_at(2.5)
    acc, spend = policy.simulate(texts, samples, orders=20)
    found = replay(policy, samples, texts, orders=20)
    # Mixing two prices: one by lot, the other in expectation; so on average only.
    assert found.spend.mean() == pytest.approx(spend.mean(), abs=0.3)
    assert found.accuracy.mean() == pytest.approx(acc.mean(), abs=0.02)
    policy.setting_, policy.price_ = None, float(policy.probed_.prices[len(policy.probed_.prices) // 2])
    acc, spend = policy.simulate(texts, samples, orders=20)
    found = replay(policy, samples, texts, orders=20)
    probed = np.abs(spend - np.round(spend)) > 1e-9
    assert probed.any()
    assert found.spend == pytest.approx(spend)
    assert found.accuracy.mean() == pytest.approx(acc.mean(), abs=0.01)  # ties: first answer against evenly split


def test_a_probed_run_pays_for_its_probe_and_counts_it():
    texts, samples = voted()
    policy = PricedRegressor(probe=2, features=False, gate=False, budget=3.0)
    policy.fit(texts, samples, actions=[Vote(k) for k in (1, 3, 5, 9)])
    price = next(p for p in policy.probed_.prices if policy.probed_.first(np.tile(policy.mean_acc_, (1, 1)),
                 np.empty((1, 0)), p, policy.cost_)[0] == -1)  # fmt: skip
    for answers, more in ((("a", "a"), False), (("a", "b"), True)):
        run = ProbedRun(policy.probed_, np.empty((1, 0)), float(price), policy.actions_)
        draw = run.next()
        assert (draw.action, draw.n) == (Vote(2), 2)
        run.add([Result(answer, 1.0) for answer in answers])
        assert run.spend == 2
        following = run.next()
        if following is None:
            assert run.answer == "a"
            assert not more
            continue
        assert more
        assert following.n == following.action.samples - 2
        run.add([Result("b", 1.0)] * following.n)
        assert run.next() is None
        assert run.answer == "b"
        assert run.spend == following.action.samples
    empty = ProbedRun(policy.probed_, np.empty((1, 0)), float(price), policy.actions_)
    empty.next()
    empty.add([])
    assert empty.next() is None
    assert empty.answer is None


def test_a_verifier_stops_at_the_first_right_one():
    rng = np.random.default_rng(0)
    rate = np.where(rng.random(500) < 0.5, 0.9, 0.3)
    samples = Samples(correct=rng.random((500, 16)) < rate[:, None])
    texts = [f"question {i}" for i in range(500)]
    policy = PricedRegressor(probe=1, features=False, budget=3.0)
    policy.fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    acc, spend = policy.simulate(texts, samples)
    table = samples.table([Best(k) for k in (1, 2, 4, 8)], False)
    low, high, share = Mix.of(table.acc.mean(axis=0), table.cost).at(spend.mean())
    assert acc.mean() > (1 - share) * table.acc[:, low].mean() + share * table.acc[:, high].mean() + 0.02
    run = ProbedRun(policy.probed_, np.empty((1, 0)), 1e-3, policy.actions_)
    run.next()
    run.add([Result("x", 1.0, correct=True)])
    assert run.next() is None
    run = ProbedRun(policy.probed_, np.empty((1, 0)), 1e-3, policy.actions_)
    run.next()
    run.add([Result("x", 1.0, correct=False)])
    assert run.next() is not None


def test_a_probe_of_one_model_may_go_on_with_another():
    recorded = load_recorded()
    arms = {
        m: Samples(
            recorded.answers[m].astype(int), cost=recorded.relative_cost[m], logprobs=recorded.logprobs[m].astype(float)
        )
        for m in ("smollm2_135m", "qwen25_0p5b")
    }
    samples = Samples(arms=arms)
    texts = [row["question"] for row in recorded.questions]
    actions = [None, *(Vote(k, m) for m in arms for k in (1, 4))]
    policy = PricedRegressor(probe=1, budget=2.0).fit(texts, samples, actions=actions)
    assert policy.action_names_[0] == "nothing"
    plan = policy.probed_.plan
    assert plan.arm == "smollm2_135m"
    assert [plan.draws[c] for c in range(len(plan.columns))] == [1, 4, 0, 0]
    assert plan.cost == pytest.approx((1.0, 4.0, 3.6, 11.4))
    acc, spend = policy.simulate(texts, samples)
    assert spend.mean() == pytest.approx(2.0, abs=0.1)
    assert acc.mean() > 0.66
    spent = {float(s) for s in np.round(replay(policy, samples, texts).spend, 6)}
    assert spent <= {0.0, 1.0, 2.6, 3.6, 4.0, 10.4, 11.4}


def test_probe_needs_enough_samples_of_everything():
    texts, samples = voted(60)
    short = np.array(samples.answers)
    short[5, 4:] = -2
    with pytest.raises(InputError, match="every question needs at least 9 samples"):
        PricedRegressor(probe=9).fit(texts, Samples(short), actions=[Vote(1), Vote(3)])
    with pytest.raises(InputError, match="every question must have every action"):
        PricedRegressor(probe=2).fit(texts, Samples(short), actions=[Vote(1), Vote(9)])


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "policy",
    [
        Fixed(1),
        Mixture(2.0),
        LengthHeuristic(2.0),
        Random(2.0),
        Imitator(2.0),
        PricedRegressor(budget=2.0),
        PricedRegressor("knn", budget=2.0),
        PricedRegressor("xgboost", budget=2.0),
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
        policy = PricedRegressor(probe=2, features=features, budget=3.0)
        policy.fit(texts, samples, actions=[Vote(k) for k in (1, 3, 5)])
        meta, arrays, boosters = policy._state()
        again = PricedRegressor._from_state(json.loads(json.dumps(meta)), arrays, boosters)
        for mine, theirs in zip(policy.simulate(texts, samples), again.simulate(texts, samples), strict=True):
            assert np.array_equal(mine, theirs)
        broken = arrays | {"probe/after/curves": arrays["probe/after/curves"][:, :1]}
        with pytest.raises(InputError, match="curves: expected finite numbers"):
            PricedRegressor._from_state(meta, broken, boosters)


def test_edited_arrays_are_refused():
    x, table = clear(100)
    meta, arrays, boosters = PricedRegressor(budget=2.0).fit(x, table)._state()
    for name, value in (
        ("model/coefficients", arrays["model/coefficients"][:-1]),
        ("shrinkage/order", np.array([0, 0])),
        ("shrinkage/slopes", np.array([np.nan, 1])),
        ("gate/budgets", arrays["gate/budgets"][::-1]),
        ("mean_acc", np.array([np.inf, 1])),
    ):
        with pytest.raises(InputError):
            PricedRegressor._from_state(meta, arrays | {name: value}, boosters)


# ---------------------------------------------------------------------------------------------- real tables


def test_local_routing_gains_six_points_held_out():
    recorded = load_recorded()
    models = ("smollm2_135m", "qwen25_0p5b")
    arms = {m: Samples(recorded.answers[m].astype(int), cost=recorded.relative_cost[m]) for m in models}
    made = Samples(arms=arms).table([Vote(k, m) for m in models for k in (1, 4)], False)
    acc, cost = np.insert(made.acc, 0, 0.0, axis=1), np.insert(made.cost, 0, 0.0)
    texts = [row["question"] for row in recorded.questions]
    n = len(texts)
    folds = folds_of(n, 0)
    for budget in (1.5, 2.0):
        reached, paid = np.empty(n), np.empty(n)
        for fold in range(5):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            policy = PricedRegressor().fit([texts[i] for i in train], Table(acc[train], cost))
            chosen = policy.decide([texts[i] for i in test], budget=budget)
            reached[test], paid[test] = acc[test, chosen], cost[chosen]
        low, high, share = Mix.of(acc.mean(axis=0), cost).at(paid.mean())
        gain = reached - (1 - share) * acc[:, low] - share * acc[:, high]
        assert gain.mean() > 0.05
        assert gain.mean() > 3 * gain.std() / math.sqrt(n)


def test_cruxeval_is_the_mixture_exactly(shared_data):
    with np.load(shared_data / "cruxeval_codellama7b_n10.npz", allow_pickle=False) as found:
        samples = Samples(correct=found["correct_input"])
    import gzip

    with gzip.open(shared_data / "cruxeval_codellama7b_n10.questions.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["question"] for line in lines]
    policy = PricedRegressor().fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    mixture = Mixture().fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    for budget in (1.25, 2.0, 4.0):
        assert np.array_equal(policy.decide(texts, budget=budget), mixture.decide(texts, budget=budget))


def test_certificates_are_of_the_policy():
    x, table = clear(300)
    more, held = clear(300, seed=1)
    for policy in (PricedRegressor(budget=2.0), Imitator(2.0), Mixture(2.0)):
        fitted = clone(policy).fit(x, table)
        found = fitted.certify(more, held)
        assert found.spend.value == pytest.approx(COST[fitted.decide(more)].mean())
        assert found.regret.value >= -1e-12
        assert found.bound.value >= found.shortfall - 1e-9


def test_votes_that_start_with_a_probe_are_whole_votes():
    drawn = [Result(a, 1.0) for a in "aabbb"]
    assert combine(Vote(5), drawn) == ("b", 0.6)

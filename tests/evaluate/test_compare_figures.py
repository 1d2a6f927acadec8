"""The figures of `tcalloc.compare` one by one: intervals, tests, matched spends."""

import math
from dataclasses import replace

import numpy as np
import pytest
from compare_cases import Known, samples_of, stand, tiny
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tcalloc.evaluate import run_folds, statistics
from tcalloc.evaluate.contestants import Contestant
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import held_out, tabled
from tcalloc.learn.registry import REFERENCE


def test_holm_by_hand():
    found = statistics.holm(np.array([0.01, 0.04, 0.03, np.nan, 0.005]))
    assert found == pytest.approx([0.03, 0.06, 0.06, np.nan, 0.02], nan_ok=True)
    assert statistics.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_only_raises_and_keeps_the_order(p):
    p = np.array(p)
    found = statistics.holm(p)
    assert (found >= p).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def test_p_of_a_mean():
    rng = np.random.default_rng(0)
    scores = rng.normal(0.1, 1, (3, 40))
    assert statistics.two_sided(scores) == pytest.approx(stats.ttest_1samp(scores, 0, axis=1).pvalue, rel=1e-9)
    assert statistics.two_sided(np.zeros((1, 40))).tolist() == [1.0]
    # Five questions, all alike: no more than five signs can say.
    assert statistics.two_sided(np.full((1, 5), 0.2)).tolist() == [2.0**-4]
    few = np.zeros((1, 1000))
    few[0, :3] = 1.0
    assert statistics.two_sided(few)[0] >= 0.25


def test_gains_of_policies_that_learn_are_less_sure():
    assert statistics.dependence(5, True) == pytest.approx(math.sqrt(1.25))
    assert statistics.dependence(5, False) == 1.0
    contestants = [*tiny(200), replace(tiny(200)[1], name="a rule", group="counting")]
    found, _ = stand(contestants, 200, [1.3])
    learned, rule = (next(s for s in found if s.name == name) for name in ("threshold", "a rule"))
    assert learned.gain == rule.gain
    assert (learned.low, learned.high) == (rule.low, rule.high)
    width, narrow = (s.gain_high - s.gain_low for s in (learned, rule))
    assert width == pytest.approx(narrow * math.sqrt(1.25))


def test_interval_is_that_of_the_mean():
    scores = np.random.default_rng(1).normal(0.3, 1, (2, 400))
    low, high = statistics.resampled(scores, 0)
    expected = stats.t.ppf(0.975, 399) * scores.std(axis=1, ddof=1) / 20
    assert low == pytest.approx(scores.mean(axis=1) - expected, abs=0.01)
    assert high == pytest.approx(scores.mean(axis=1) + expected, abs=0.01)
    assert [end.tolist() for end in statistics.resampled(scores, 0)] == [low.tolist(), high.tolist()]
    # The same whatever stands beside it, and however many weights are held at a time.
    assert statistics.resampled(scores[:1], 0)[0] == pytest.approx(low[:1], abs=1e-12)


def test_interval_does_not_hang_on_how_many_weights_are_held(monkeypatch):
    scores = np.random.default_rng(1).random((2, 50))
    before = statistics.resampled(scores, 3)
    monkeypatch.setattr(statistics, "ROOM", 170)
    after = statistics.resampled(scores, 3)
    assert np.allclose(before, after, rtol=0, atol=1e-12)


def test_interval_of_what_is_all_alike_is_not_empty():
    low, high = statistics.resampled(np.ones((1, 5)), 0)
    assert low[0] == pytest.approx(0.025**0.2)
    assert high[0] > 1  # an accuracy is cut at 1 later
    # ... which is Clopper's and Pearson's.
    assert low[0] == pytest.approx(stats.binomtest(5, 5).proportion_ci().low)


def test_matching_is_that_of_held_out():
    data = samples_of(80, 8)
    problem = Problem.of(data)
    spend, accuracy = problem.fixed_cost.T, problem.fixed_accuracy.T
    rng = np.random.default_rng(0)
    spend = spend * rng.uniform(0.8, 1.2, (1, 80))  # then the folds differ in spend
    asked = [1.5, 2.5, 4.0]
    theirs = held_out(tabled(spend, accuracy), 80, asked, seeds=[3])
    ran = run_folds.run([Contestant("x", "policy", Known(spend, accuracy))], 80, folds=5, seed=3)
    ours = statistics.Family(ran.parts["x"][0], 80).at(asked)
    assert ours.reached.all()
    assert ours.spend.mean(axis=1) == pytest.approx(asked)
    assert ours.spend == pytest.approx(theirs.spend, abs=1e-6)
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-6)


@pytest.mark.parametrize(
    ("real", "asked", "accuracy"),
    [
        ([1, 3, 2], [0.5, 1.5, 2.5, 3.0, 9.0], [0.5, 0.575, 0.725, 0.8, 0.8]),
        ([2, 1, 3], [0.5, 1.5, 2.5], [0.8, 0.65, 0.65]),
        ([3, 2, 1], [0.5, 1.5, 2.5, 9.0], [0.6, 0.7, 0.65, 0.5]),
    ],
)
def test_a_spend_that_is_reached_is_found_where_spends_turn(real, asked, accuracy):
    """Settings that are dearer on the training questions may be cheaper on others."""
    spend, reached = (np.repeat(np.array(row, float)[:, None], 4, axis=1) for row in (real, [0.5, 0.8, 0.6]))
    part = run_folds.Part(np.array([1.0, 2.0, 3.0]), spend, reached, np.full(3, np.nan), np.arange(4))
    family = statistics.Family([part], 4)
    at = family.at(asked)
    assert at.spend.mean(axis=1) == pytest.approx(np.clip(asked, 1, 3))
    assert at.reached.tolist() == [1 <= target <= 3 for target in asked]
    assert at.accuracy.mean(axis=1) == pytest.approx(accuracy)
    assert family.ends == (1.0, 3.0)
    curve = family.curve(0.5, np.array([2.0]))
    assert (curve[0], curve[-1]) == (1.0, 3.0)
    assert family.at(curve).reached.all()


def test_an_interval_of_utilities_that_are_all_alike_is_in_their_unit():
    scores = np.full((1, 5), 40.0)
    low, high = statistics.ends(scores, statistics.bootstrap(scores, 0), scale=100.0)
    assert (low[0], high[0]) == pytest.approx((40 - 100 * (1 - 0.025**0.2), 40 + 100 * (1 - 0.025**0.2)))


def test_the_slope_is_that_of_the_frontier():
    found, _ = stand(tiny(), 60, [1.2, 1.5])
    ran = run_folds.run(tiny(), 60, folds=5)
    at = statistics.Family(ran.parts[REFERENCE][0], 60).at([1.5])
    # Two actions, mixed: the accuracy rises by their difference per unit.
    helped = float(np.mean(tiny()[1].fit.x > 0.5))
    assert at.slope == pytest.approx([0.4 * helped])
    assert found[0].spend == pytest.approx([1.2, 1.5])

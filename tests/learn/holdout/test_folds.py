"""Folds, hulls, spends that match, paired intervals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.scoring import on_test, paired
from tcalloc._student import beyond, quantile
from tcalloc.errors import InputError
from tcalloc.learn.holdout.folds import Frontier, Tuned, crossing, held_out, split, tabled


def test_every_question_is_held_out_once():
    parts = split(23, 5, 7)
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(23))
    for train, held in parts:
        assert sorted([*train.tolist(), *held.tolist()]) == list(range(23))
    assert [held.tolist() for _, held in split(23, 5, 7)] == [held.tolist() for _, held in parts]
    assert [held.tolist() for _, held in split(23, 5, 8)] != [held.tolist() for _, held in parts]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12))
def test_no_setting_and_no_mixture_of_two_beats_the_hull(points):
    x, y = np.array(points, float).T
    frontier = Frontier.of(x, y)
    assert (np.diff(frontier.spend) > 0).all()
    assert (np.diff(frontier.accuracy) > 0).all()
    slopes = np.diff(frontier.accuracy) / np.diff(frontier.spend)
    assert (np.diff(slopes) < 1e-12).all()
    for j in range(len(x)):
        low, high, share = frontier.mix(x[j])
        assert (1 - share) * y[low] + share * y[high] >= y[j] - 1e-9
        assert (1 - share) * x[low] + share * x[high] <= x[j] + 1e-9 or x[j] < frontier.spend[0]


def table(seed=0, n=200, j=9):
    """Return settings that spend and reach more and more, with question noise."""
    rng = np.random.default_rng(seed)
    level = np.linspace(1, 8, j)[:, None]
    spend = level * rng.uniform(0.5, 1.5, (1, n)) + rng.uniform(0, 0.1, (j, n))
    accuracy = 1 - np.exp(-level * rng.uniform(0.1, 1, (1, n))) + rng.normal(0, 0.1, (j, n))
    return spend, accuracy


def test_spends_are_matched_and_held_out_is_no_better_than_hindsight():
    spend, accuracy = table()
    found = held_out(tabled(spend, accuracy), 200, [1.5, 3, 6], seeds=(0, 1))
    assert found.spend.mean(axis=1) == pytest.approx([1.5, 3, 6], abs=1e-6)
    best = on_test(spend, accuracy, [1.5, 3, 6])
    assert best.spend.mean(axis=1) == pytest.approx([1.5, 3, 6])
    assert (found.accuracy.mean(axis=1) <= best.accuracy.mean(axis=1) + 1e-9).all()
    assert (found.accuracy.mean(axis=1) > best.accuracy.mean(axis=1) - 0.02).all()


def test_a_spend_is_matched_where_spends_turn_on_the_way():
    """The training questions say 1, 2, 3; the others really spend 1, 3, 2."""

    def fit(train, held, seed):
        spend, accuracy = np.array([[1.0], [3.0], [2.0]]), np.array([[0.5], [0.8], [0.6]])
        m = len(held)
        return Tuned(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.7, 0.8]), spend.repeat(m, 1), accuracy.repeat(m, 1))

    found = held_out(fit, 20, [0.5, 1.5, 2.5, 9.0], seeds=(0,))
    assert found.spend.mean(axis=1) == pytest.approx([1, 1.5, 2.5, 3])
    assert found.accuracy.mean(axis=1) == pytest.approx([0.5, 0.575, 0.725, 0.8])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.floats(-1, 8))
def test_a_crossing_is_one_wherever_there_is_one(real, asked):
    nominal, spends = np.arange(len(real), dtype=float), np.array(real, float)
    at = crossing(nominal, spends, np.array([asked]))
    assert np.interp(at, nominal, spends) == pytest.approx(np.clip(asked, min(real), max(real)), abs=1e-9)


def test_unmatched_spends_follow_the_training_questions():
    spend, accuracy = table(1)
    found = held_out(tabled(spend, accuracy), 200, [3.0], seeds=(0,), match=False)
    assert found.spend.mean() != pytest.approx(3.0, abs=1e-6)
    assert found.spend.mean() == pytest.approx(3.0, abs=0.3)


def test_spends_beyond_the_hull_are_not_spent():
    spend, accuracy = table()
    found = held_out(tabled(spend, accuracy), 200, [0.1, 1000.0], seeds=(0,))
    assert found.spend[0].mean() == pytest.approx(spend[0].mean())
    assert found.spend[1].mean() <= spend.mean(axis=1).max()


def test_labels_of_held_out_questions_choose_nothing():
    spend, accuracy = table(2)
    plain = held_out(tabled(spend, accuracy), 200, [2.0, 4.0], seeds=(0,))
    first_held = split(200, 5, 0)[0][1]

    def corrupted(train, held, seed):
        tuned = tabled(spend, accuracy)(train, held, seed)
        return replace(tuned, held_accuracy=tuned.held_accuracy[:, ::-1])

    other = held_out(corrupted, 200, [2.0, 4.0], seeds=(0,))
    assert np.array_equal(plain.spend, other.spend)  # what is played does not move when only held-out labels do
    assert other.accuracy[:, first_held].mean(axis=1) == pytest.approx(plain.accuracy[:, first_held].mean(axis=1))


def test_the_bootstrap_agrees_with_students_interval():
    rng = np.random.default_rng(0)
    first, second = rng.random(400), rng.random(400)
    normal, drawn = paired(first, second), paired(first, second, bootstrap=2000)
    assert (drawn.low, drawn.high) == pytest.approx((normal.low, normal.high), abs=0.006)
    assert paired(first, second, bootstrap=50) == paired(first, second, bootstrap=50)


def test_a_difference_says_what_it_shows():
    worse = paired([0.0, 0.1, 0.0, 0.1], [1.0, 1.0, 0.9, 1.0])
    assert worse.below
    assert not worse.above
    assert str(paired([1.0, 1.0], [0.5, 0.5])) == "+50.00 [+50.00, +50.00]"


@pytest.mark.parametrize("n", [5, 60])
def test_coverage_of_the_interval(n):
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        found = paired(rng.normal(0.3, 1.0, n), rng.normal(0.0, 1.0, n))
        inside += found.low <= 0.3 <= found.high
    assert 930 <= inside <= 970


@pytest.mark.parametrize("df", [1, 2, 4, 17, 100, 999])
def test_students_t(df):
    assert quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    assert quantile(df, 0.998) == pytest.approx(stats.t.ppf(0.999, df), rel=1e-7)
    for t in (0.0, 0.3, 2.0, 8.0):
        assert beyond(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)


def test_normal_beyond_a_thousand():
    assert quantile(5000) == pytest.approx(1.96, abs=1e-3)
    assert quantile(math.inf) == pytest.approx(stats.norm.ppf(0.975), abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(4, 5), "folds is 5; expected 2 to 4"),
        (lambda: split(4, 1), "folds is 1"),
        (lambda: Frontier.of([], []), "expected one number each per setting"),
        (lambda: Frontier.of([1, 2], [1]), "expected one number each"),
        (lambda: Frontier.of([1, np.nan], [1, 2]), "not finite"),
        (lambda: paired([1, 2], [1]), r"first has shape \(2,\), second \(1,\)"),
        (lambda: paired([1], [1]), "an interval needs at least two"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_spend_far_beyond_all_is_met_by_the_most():
    found = crossing(np.array([1.0, 2.0]), np.array([1.0, 1.5]), np.array([1e308, -1e308]))
    assert found.tolist() == [2.0, 1.0]

"""Claims of plans over several models, corrected by samples that chose nothing."""

import dataclasses
import pickle

import numpy as np
import pytest
from test_shrink import models

from tcalloc.measure import Best, Samples, Table, Vote
from tcalloc.measure.claims import Check

# A table of two models whose plan at this budget takes the first for the upper half of the questions.
ROWS = np.repeat([[0.9, 0.5], [0.3, 0.8]], 20, axis=0)


def two_models(gaps, **options):
    """Return a table and two checks with these gaps (40, 2), which claim what the table does."""
    check = Check(ROWS, np.asarray(gaps), ROWS, np.array([0, 1]), np.arange(40))
    other = dataclasses.replace(check, gaps=np.zeros((40, 2)))
    return Table(ROWS, [1.0, 1.0], se=np.full((40, 2), 0.1), checks=lambda: (check, other), **options)


def test_a_claim_falls_by_three_quarters_of_what_left_out_samples_miss():
    gaps = np.zeros((40, 2))
    gaps[:20, 0] = 0.2  # of what the plan takes, half of the questions
    gaps[:20, 1] = 9.0  # of what it does not take
    table = two_models(gaps)
    plan = table.solve(1.0)
    claim = table.claim(plan)
    # Half of the questions, one of two parts.
    assert claim.correction == pytest.approx(-0.75 * 0.2 / 2 / 2)
    assert claim.accuracy == pytest.approx(0.85 + claim.correction)
    assert claim.low < claim.accuracy < claim.high
    weighted = two_models(gaps, weights=np.repeat([3.0, 1.0], 20))
    assert weighted.claim(weighted.solve(1.0)).correction == pytest.approx(-0.75 * 0.2 * 0.75 / 2)
    # One action for everybody was not chosen by samples of the questions.
    fixed = dataclasses.replace(plan, actions=np.zeros_like(plan.actions))
    assert table.claim(fixed).correction == 0


def test_a_vote_moves_by_its_slope_over_one_sample():
    levels = np.repeat(np.linspace(0.1, 0.5, 40)[:, None], 2, axis=1)
    acc = np.column_stack([2 * levels[:, 0], np.where(np.arange(40) % 2, 0.0, 1.0)])
    gaps = np.column_stack([np.full(40, 0.1), np.zeros(40)])
    check = Check(acc, gaps, levels, np.array([0, 1]), np.arange(40))
    table = Table(acc, [1.0, 1.0], checks=lambda: (check,))
    plan = table.solve(1.0)
    share = float((plan.actions == 0).mean())
    assert 0.4 < share < 0.6
    assert table.claim(plan).correction == pytest.approx(-0.75 * 2 * 0.1 * share, rel=1e-6)


def test_gaps_do_not_move_the_mean_of_an_action():
    levels = np.repeat(np.linspace(0.1, 0.5, 40)[:, None], 2, axis=1)
    acc = np.column_stack([levels[:, 0] ** 2, np.where(np.arange(40) < 20, 0.0, 1.0)])
    gaps = np.column_stack([levels[:, 0] - 0.3, np.zeros(40)])
    check = Check(acc, gaps, levels, np.array([0, 1]), np.arange(40))
    table = Table(acc, [1.0, 1.0], checks=lambda: (check,))
    plan = table.solve(1.0)
    assert plan.actions.tolist() == [0] * 20 + [1] * 20
    product = 2 * levels[:, 0] * gaps[:, 0]
    # Over all questions the products would add up to more than 0, which the action's exact mean contradicts.
    assert table.claim(plan).correction == pytest.approx(-0.75 * (product[:20] - product.mean()).sum() / 40, rel=1e-6)


@pytest.fixture(scope="module")
def samples():
    rates = np.where(np.random.default_rng(0).random((60, 1)) < 0.5, [0.9, 0.3], [0.3, 0.9])
    return models(rates, 8, 1, votes=True)


def test_parts_see_each_sample_once(samples):
    table = samples.table([Vote(1, "m0"), Vote(3, "m1")])
    checks = table.checks()
    assert len(checks) == 4
    assert table.checks() is checks
    for m, name in enumerate(("m0", "m1")):
        parts = np.array([check.levels[:, m] - check.gaps[:, m] for check in checks])
        assert set(parts.round(6).ravel().tolist()) == {0.0, 0.5, 1.0}  # two of eight samples
        scored = parts.mean(axis=0)
        np.testing.assert_allclose(scored, (samples.arms[name].answers == 0).mean(axis=1))
        # The others know the mean over questions as well as the part does.
        assert abs(np.mean([check.gaps[:, m].mean() for check in checks])) < 0.04
    assert pickle.loads(pickle.dumps(table)).claim(table.solve(1.0)) == table.claim(table.solve(1.0))


@pytest.mark.parametrize("marks", [False, True])
def test_ragged_samples_and_questions_without_an_action(marks):
    rng = np.random.default_rng(2)
    arms, right = {}, {}
    for name in ("m0", "m1"):
        hits = (rng.random((50, 8)) < 0.6).astype(np.int8)
        lacking = np.zeros((50, 8), bool)
        lacking[:10, 3:] = True
        lacking[0] = True
        right[name] = np.where(lacking, np.nan, hits)
        arms[name] = Samples(correct=np.where(lacking, -1, hits)) if marks else Samples(np.where(lacking, -2, 1 - hits))
    combine = Best if marks else Vote
    table = Samples(arms=arms).table([combine(2, "m0"), combine(5, "m1")])
    assert len(table.acc) == 49
    for check in table.checks():
        assert check.choosing.shape == (49, 2)
        assert np.isfinite(check.gaps[9:]).all()
    scored = np.nanmean([check.levels[:, 0] - check.gaps[:, 0] for check in table.checks()], axis=0)
    np.testing.assert_allclose(scored, np.nanmean(right["m0"][1:], axis=1))
    claim = table.claim(table.solve(4.0))
    assert claim.low < claim.accuracy < claim.high


def test_one_model_and_few_samples_have_no_correction(samples):
    one = samples.arms["m0"].table([Vote(1), Vote(3)])
    assert one.checks is None
    assert one.claim(one.solve(2.0)).correction == 0
    few = Samples(arms={name: arm.columns(np.tile(np.arange(3), (60, 1))) for name, arm in samples.arms.items()})
    table = few.table([Vote(1, "m0"), Vote(1, "m1")])
    assert table.checks() == ()
    assert table.claim(table.solve(1.0)).correction == 0


def test_single_outcomes_that_move_an_estimate_by_nothing_one_can_see_have_no_interval():
    acc = np.column_stack([0.5 + 1e-13 * np.arange(10), np.full(10, 0.5)])
    acc[5:, 1] += 1e-12
    table = Table(acc, [1.0, 1.0], se=np.full((10, 2), 0.5), single=np.array([True, True]))
    plan = table.solve(1.0)
    assert len(set(plan.actions.tolist())) == 2
    assert np.isnan(table.claim(plan).low)
    assert "one sample cannot tell luck from skill" in table.claim(plan).why

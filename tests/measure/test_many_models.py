"""Leaderboards: tables of tens to hundreds of models come in seconds, and say the same as the slow way."""

import tracemalloc

import numpy as np

from tcalloc.measure import One, Samples, classes, joint, shrink


def leaderboard(n, models, samples, seed=0):
    """Return chances (N, M) of models that differ in ability on questions that differ in difficulty, and samples."""
    rng = np.random.default_rng(seed)
    logit = 1.5 * rng.normal(size=(n, 1)) + np.linspace(-1, 1.5, models) + 0.5 * rng.normal(size=(n, models))
    chances = 1 / (1 + np.exp(-logit))
    return chances, rng.random((n, models, samples)) < chances[:, :, None]


def table_of(right):
    arms = {f"m{m}": Samples(correct=right[:, m]) for m in range(right.shape[1])}
    return Samples(arms=arms).table([One(name) for name in arms])


def rates(right, drawn):
    found = classes.fit_classes(right, drawn)
    return found.chances(found.fit(right, drawn)) @ found.rates


def test_few_models_choose_the_classes_of_many(monkeypatch):
    chances, outcomes = leaderboard(200, 120, 1)
    right, drawn = outcomes.sum(axis=2), np.ones((200, 120), np.int64)
    seen = []
    em = classes._em
    monkeypatch.setattr(classes, "_em", lambda hits, *rest: (seen.append(hits.shape[1]), em(hits, *rest))[1])
    few = rates(right, drawn)
    assert seen
    assert max(seen) == classes.MANY
    monkeypatch.setattr(classes, "MANY", 1000)
    slow = rates(right, drawn)
    error_few, error_slow = (np.sqrt(np.mean((found - chances) ** 2)) for found in (few, slow))
    assert error_few < 1.03 * error_slow < 0.15


def test_models_with_the_most_samples_choose():
    """Models that answered a handful of questions say nothing of the others."""
    rng = np.random.default_rng(1)
    kind = rng.random(150) < 0.5
    chances = np.where(kind[:, None], 0.9, 0.2) * np.ones((1, 100))
    drawn = np.zeros((150, 100), np.int64)
    drawn[:, 40:] = 1
    drawn[:4, :40] = 1
    right = (rng.random(drawn.shape) < chances) * drawn
    found = classes.fit_classes(right, drawn)
    chance = found.chances(found.fit(right, drawn)) @ found.rates[:, 40:].mean(axis=1)
    assert ((chance > 0.5) == kind).mean() > 0.98


def test_equal_and_unequal_numbers_of_samples_have_the_same_likelihood():
    rng = np.random.default_rng(2)
    found = classes.Classes(rng.uniform(0.1, 0.9, (3, 5)), np.array([0.2, 0.3, 0.5]))
    size = np.full((7, 5), 4)
    hits = rng.binomial(size, 0.5)
    one_more = np.vstack([size, np.ones((1, 5), np.int64)])
    apart = found.fit(np.vstack([hits, np.zeros((1, 5), np.int64)]), one_more)
    np.testing.assert_allclose(found.fit(hits, size), apart[:7], rtol=1e-12)
    np.testing.assert_allclose(sum(found.fit(hits, size, slice(m, m + 1)) for m in range(5)), apart[:7], rtol=1e-12)


def test_what_slopes_cost_grows_with_the_models_and_not_with_their_square(monkeypatch):
    calls = []
    binomial = joint.binomial
    monkeypatch.setattr(joint, "binomial", lambda *given: (calls.append(1), binomial(*given))[1])
    counted = []
    for models in (10, 20):
        calls.clear()
        table_of(leaderboard(50, models, 2)[1])
        counted.append(len(calls))
    assert counted[1] - counted[0] == 10  # each model's own samples, once


def test_single_samples_need_no_mixture(monkeypatch):
    _, right = leaderboard(80, 30, 1)
    expected = table_of(right)

    def fail(*given):
        raise AssertionError("a mixture was fitted")

    monkeypatch.setattr(shrink, "success_mixture", fail)
    found = table_of(right)
    np.testing.assert_array_equal(found.acc, expected.acc)
    np.testing.assert_allclose(found.acc.mean(axis=0), found.exact.mean(axis=0), atol=0.1)


def test_means_of_many_models_have_a_bounded_number_of_atoms():
    rng = np.random.default_rng(0)
    true = np.repeat([0.4, 0.6], 1000)
    noisy, errors = true + rng.normal(0, 0.02, 2000), np.full(2000, 0.02)
    tracemalloc.start()
    found = shrink.drawn_together(noisy, errors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 8 * 2000 * (2 * shrink.ATOMS + 1)  # a few arrays of means times atoms; all means are 2,000 atoms
    assert np.abs(found - true).mean() < 0.006


def test_a_leaderboard():
    chances, right = leaderboard(150, 150, 1)
    table = table_of(right)
    assert np.sqrt(np.mean((table.acc - chances) ** 2)) < 0.8 * np.sqrt(np.mean((table.exact - chances) ** 2))
    plan = table.solve(1.0)
    assert abs(table.claim(plan).accuracy - chances[np.arange(150), plan.actions].mean()) < 0.05

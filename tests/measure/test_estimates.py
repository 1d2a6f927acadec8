"""Estimates: pass@k, best of k by score, votes by both kernels, and the jackknife, against enumeration."""

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tcalloc import _reference_votes, _votes
from tcalloc._kernel import votes_kernel
from tcalloc.datasets import load_recorded
from tcalloc.measure import estimates, votes
from tcalloc.measure.kinds import BestByScore, Graded


def subsets_mean(row, k, score):
    return math.fsum(score(some) for some in itertools.combinations(row, k)) / math.comb(len(row), k)


# ---------------------------------------------------------------------------------------------- votes, both kernels


def run(module, counts, ks):
    choose = votes.binomials(int(counts.samples.max()), max(ks))
    out = np.full((len(counts.gold), len(ks)), -1.0)
    wanted = np.array(ks, np.int32)
    code = module.hypergeometric(counts.gold, counts.silent, counts.rivals, wanted, choose, 0, len(out), out)
    assert code == module.OK
    return out


ragged = hnp.arrays(np.int16, st.tuples(st.integers(1, 6), st.integers(1, 14)), elements=st.integers(-2, 5))


@settings(max_examples=100)
@given(ragged, st.lists(st.integers(1, 14), min_size=1, max_size=4))
def test_kernel_and_twin_agree_for_many_k_on_ragged_rows(codes, ks):
    counts = votes.tally(codes)
    assert counts.samples[counts.which].tolist() == (codes != -2).sum(axis=1).tolist()
    np.testing.assert_allclose(run(_votes, counts, ks), run(_reference_votes, counts, ks), rtol=0, atol=1e-12)


def vote_score(votes):
    counted = [v for v in votes if v != -1]
    top = max((counted.count(v) for v in counted), default=0)
    winners = {v for v in counted if counted.count(v) == top}
    return 1 / len(winners) if 0 in winners else 0.0


@settings(max_examples=100)
@given(ragged.filter(lambda codes: codes.shape[1] <= 9))
def test_ragged_rows_equal_enumeration(codes):
    ks = list(range(1, codes.shape[1] + 1))
    found = votes.expected_votes(votes.tally(codes), ks)
    for row, values in zip(codes.tolist(), found.tolist(), strict=True):
        drawn = [v for v in row if v != -2]
        for k, value in zip(ks, values, strict=True):
            if k > len(drawn):
                assert math.isnan(value)
            else:
                assert value == pytest.approx(subsets_mean(drawn, k, vote_score), abs=1e-12)


def test_large_counts_and_threads_agree():
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.geometric(rng.uniform(0.2, 0.9, (10_000, 1)), (10_000, 24)), 9) - 1
    counts = votes.tally(codes)
    found = votes.pattern_votes(counts, [1, 5, 24])
    assert (votes.pattern_votes(counts, [1, 5, 24], threads=4) == found).all()
    few = votes.tally(codes[:40])
    np.testing.assert_allclose(run(_votes, few, [1, 5, 24]), run(_reference_votes, few, [1, 5, 24]), atol=1e-12)


shares = hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(3, 7)), elements=st.floats(0, 1)).filter(
    lambda x: (x.sum(axis=1) > 0.1).all()
)


@settings(max_examples=100)
@given(shares, st.lists(st.integers(1, 12), min_size=1, max_size=3))
def test_independent_draws_kernel_and_twin(x, ks):
    x = x / x.sum(axis=1, keepdims=True)
    rivals = np.ascontiguousarray(-np.sort(-x[:, 2:], axis=1))
    args = np.ascontiguousarray(x[:, 0]), np.ascontiguousarray(x[:, 1]), rivals, np.array(ks, np.int32), 0, len(x)
    a, b = np.empty((2, len(x), len(ks)))
    assert _votes.multinomial(*args, a) == _reference_votes.multinomial(*args, b) == 0
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_independent_draws_equal_enumeration_and_many_samples():
    p = {0: 0.4, -1: 0.1, 1: 0.3, 2: 0.2}
    found = votes.independent_votes(np.array([0.4]), np.array([0.1]), np.array([[0.2, 0.3]]), [1, 2, 5])
    for k, value in zip((1, 2, 5), found[0], strict=True):
        expected = sum(math.prod(p[v] for v in some) * vote_score(some) for some in itertools.product(p, repeat=k))
        assert value == pytest.approx(expected, abs=1e-12)
    # Two answers: a binomial majority, of many votes too.
    (value,) = votes.independent_votes(np.array([0.52]), np.array([0.0]), np.array([[0.48]]), [1001])[0]
    expected = sum(
        math.exp(math.lgamma(1002) - math.lgamma(g + 1) - math.lgamma(1002 - g) + g * math.log(0.52))
        * 0.48 ** (1001 - g)
        for g in range(501, 1002)
    )
    assert value == pytest.approx(expected, rel=1e-9)


def test_the_environment_selects_the_twin():
    assert votes_kernel is (_reference_votes if os.environ.get("TCALLOC_KERNEL") == "reference" else _votes)
    code = (
        "from tcalloc.measure import vote_accuracy; import tcalloc._kernel as k;"
        "print(k.votes_kernel.__name__, vote_accuracy([[0, 1, 2, 0]], 3)[0])"
    )
    for name, module in (("reference", "tcalloc._reference_votes"), ("compiled", "tcalloc._votes")):
        environment = os.environ | {"TCALLOC_KERNEL": name}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == module
        assert float(done.stdout.split()[1]) == pytest.approx(2 / 3)


# ---------------------------------------------------------------------------------------------- pass@k


@settings(max_examples=100)
@given(st.integers(1, 10).flatmap(lambda s: st.tuples(st.just(s), st.integers(0, s), st.integers(1, s))))
def test_pass_at_k_equals_enumeration(case):
    s, c, k = case
    expected = subsets_mean([1] * c + [0] * (s - c), k, max)
    assert estimates.pass_at_k([c], [s], [k])[0, 0] == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_is_not_known_beyond_the_samples():
    found = estimates.pass_at_k([3, 3], [3, 4], [3, 4])
    assert found[0].tolist() == pytest.approx([1.0, math.nan], nan_ok=True)
    assert found[1].tolist() == [1.0, 1.0]
    assert estimates.pass_at_k([1], [2000], [1000])[0, 0] == pytest.approx(0.5, abs=1e-12)


def test_reference_figures_of_pass_at_k():
    correct = load_recorded().correct["smollm2_135m"]
    found = estimates.pass_at_k(correct.sum(axis=1), np.full(len(correct), 32), [1, 2, 4, 8, 16]).mean(axis=0)
    np.testing.assert_allclose(found, [0.530, 0.611, 0.677, 0.736, 0.786], atol=5e-4)


def test_reference_figures_of_cruxeval(shared_data):
    with np.load(shared_data / "cruxeval_codellama7b_n10.npz", allow_pickle=False) as archive:
        right = archive["correct_input"].sum(axis=1)
    found = estimates.pass_at_k(right, np.full(len(right), 10), [1, 2, 4, 8, 10]).mean(axis=0)
    np.testing.assert_allclose(found, [0.360, 0.401, 0.439, 0.469, 0.475], atol=5e-4)


# ---------------------------------------------------------------------------------------------- best by score


def top_is_right(some):
    best = max(score for score, _ in some)
    tied = [right for score, right in some if score == best]
    return sum(tied) / len(tied)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, 0.0, 0.5, math.nan]), st.booleans(), st.booleans()), min_size=1, max_size=7
    )
)
def test_best_by_score_equals_enumeration(samples):
    scores, correct, drawn = (np.array([column]) for column in zip(*samples, strict=True))
    there = [(-math.inf if math.isnan(s) else s, r) for s, r, d in samples if d]
    ks = list(range(1, len(samples) + 1))
    found = estimates.best_by_score(correct, scores.astype(float), drawn, ks)[0]
    for k, value in zip(ks, found, strict=True):
        if k > len(there):
            assert math.isnan(value)
        else:
            assert value == pytest.approx(subsets_mean(there, k, top_is_right), abs=1e-12)


# ---------------------------------------------------------------------------------------------- standard errors


def jackknife(row, k, estimate):
    """Delete each sample in turn, as naively as possible; k = S has the error of S − 1."""
    s = len(row)
    if k > s or s < 2:
        return math.nan
    values = np.array([estimate(row[:j] + row[j + 1 :], min(k, s - 1)) for j in range(s)])
    return math.sqrt((s - 1) / s * ((values - values.mean()) ** 2).sum())


@settings(max_examples=40)
@given(ragged.filter(lambda codes: 1 < codes.shape[1] <= 7))
def test_jackknife_of_votes(codes):
    ks = list(range(1, codes.shape[1] + 1))
    found = estimates.vote_errors(votes.tally(codes), ks)
    single = estimates.success_errors((codes == 0).sum(axis=1), (codes != -2).sum(axis=1), [1])
    np.testing.assert_allclose(found[:, 0], single[:, 0])
    for row, values in zip(codes.tolist(), found.tolist(), strict=True):
        drawn = [v for v in row if v != -2]
        for k, value in zip(ks[1:], values[1:], strict=True):
            naive = jackknife(drawn, k, lambda some, k: subsets_mean(some, k, vote_score))
            if math.isnan(naive):
                assert math.isnan(value)
            elif naive > 1e-9:
                assert value == pytest.approx(naive, abs=1e-9)
            else:  # what never varied among the samples may vary among others
                assert 0 < value <= 0.5


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=2, max_size=6))
def test_jackknife_of_scores(samples):
    ks = list(range(2, len(samples) + 1))
    right = [r for _, r in samples]
    scores = np.array([[s for s, _ in samples]])
    found = BestByScore().errors(Graded(None, np.array([right]), scores, np.ones((1, len(right)), bool)), ks)[0]
    for k, value in zip(ks, found.tolist(), strict=True):
        naive = jackknife(samples, k, lambda some, k: subsets_mean(some, k, top_is_right))
        assert value == pytest.approx(naive, abs=1e-9) if naive > 1e-9 else 0 < value <= 0.5


@pytest.mark.parametrize("s", [2, 5, 12])
def test_errors_of_pass_at_k_are_those_of_fresh_samples(s):
    """Up to k = S, where a jackknife is up to six times too wide."""
    rng = np.random.default_rng(s)
    rates = rng.beta(0.7, 1.1, 20_000)
    ks = [1, 2, s // 2 + 1, s]
    right, drawn = rng.binomial(s, rates), np.full(len(rates), s)
    truth = 1 - (1 - rates[:, None]) ** np.array(ks)
    scatter = estimates.pass_at_k(right, drawn, ks) - truth
    errors = estimates.success_errors(right, drawn, ks)
    assert errors.min() > 0
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), scatter.std(axis=0), rtol=0.05)


def test_error_of_pass_at_k_by_enumeration():
    # Of one question with the rate 0.4 and 4 samples, taken 4,000 times: the beta distribution is a point.
    s, p = 4, 0.4
    chances = np.array([math.comb(s, c) * p**c * (1 - p) ** (s - c) for c in range(s + 1)])
    ks = [1, 2, 3, 4]
    values = estimates.pass_at_k(np.arange(s + 1), np.full(s + 1, s), ks)
    exact = np.sqrt(chances @ values**2 - (chances @ values) ** 2)
    right = np.random.default_rng(0).binomial(s, p, 200_000)
    errors = estimates.success_errors(right, np.full(len(right), s), ks)
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), exact, rtol=0.02)


def test_single_samples_and_unanimous_ones_have_errors():
    right = np.array([1] * 7 + [0] * 3)
    found = estimates.success_errors(right, np.ones(10, int), [1])[:, 0]
    # The pooled bound: how rates scatter is not known, and p(1 − p) is largest where they do not.
    np.testing.assert_allclose(found, math.sqrt(7.5 / 11 * 3.5 / 11), rtol=1e-3)
    for correct in (np.ones((20, 4), bool), np.zeros((20, 4), bool)):
        total = correct.sum(axis=1)
        assert (estimates.success_errors(total, np.full(20, 4), [1, 4]) > 0).all()
        codes = np.where(correct, 0, 1)
        assert (estimates.vote_errors(votes.tally(codes), [1, 3, 4]) > 0).all()
        graded = Graded(None, correct, np.zeros((20, 4)), np.ones((20, 4), bool))
        assert (BestByScore().errors(graded, [1, 3]) > 0).all()


def test_best_by_score_of_more_samples_than_a_binomial_coefficient_can_count():
    rng = np.random.default_rng(0)
    scores, correct = rng.random((2, 1100)), rng.random((2, 1100)) < 0.5
    drawn = np.ones((2, 1100), bool)
    drawn[0, 600:] = False
    found = estimates.best_by_score(correct, scores, drawn, [1, 550, 600])
    for row, size in ((0, 600), (1, 1100)):
        order = np.argsort(-scores[row, :size])
        ranked = correct[row, :size][order].tolist()
        assert found[row, 0] == pytest.approx(np.mean(ranked))
        for q, k in ((1, 550), (2, 600)):
            subsets = math.comb(size, k)
            expected = math.fsum(math.comb(size - 1 - r, k - 1) / subsets for r, ok in enumerate(ranked) if ok)
            assert found[row, q] == pytest.approx(expected, abs=1e-9)


def test_standard_errors_say_how_estimates_scatter():
    rng = np.random.default_rng(0)
    codes = (rng.random((4000, 20)) > 0.6).astype(int)  # one question, drawn again and again
    counts = votes.tally(codes)
    found = votes.expected_votes(counts, [1, 3, 9])
    errors = estimates.vote_errors(counts, [1, 3, 9])
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), found.std(axis=0), rtol=0.15)

"""Optimal stopping of votes: chances against all orders, induction against brute force, the kernel against its twin."""

import itertools
import json
import math
import time
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tcalloc import _reference_stopping, _stopping
from tcalloc.errors import InputError
from tcalloc.learn.sequential import Chances
from tcalloc.measure.votes import binomials, tally

tables = hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 8)), elements=st.integers(-2, 4)).filter(
    lambda codes: bool((codes > -2).any())
)


def counted(kernel, codes, cap, cost):
    counts = tally(codes)
    samples = int(counts.samples.max())
    cap = min(cap, samples)
    found = [np.zeros((cap + 1, cap + 1, cap // 2 + 1)) for _ in range(5)]
    kernel.subsets(
        counts.gold,
        counts.silent,
        counts.rivals,
        counts.frequency.astype(float),
        np.bincount(counts.which, cost, len(counts.gold)),
        binomials(samples, cap),
        *found,
    )
    return found


@settings(max_examples=150)
@given(tables, st.integers(1, 8), st.integers(0, 10))
def test_kernel_and_twin_count_the_same(codes, cap, seed):
    cost = np.random.default_rng(seed).random(len(codes))
    for ours, twins in zip(
        counted(_stopping, codes, cap, cost), counted(_reference_stopping, codes, cap, cost), strict=True
    ):
        np.testing.assert_allclose(ours, twins, rtol=0, atol=1e-12)


def state_of(seen):
    """Return (n, c1, c2) of some samples and what the vote scores, as naively as possible."""
    votes = [code for code in seen if code >= 0]
    counts = sorted(((votes.count(code), code) for code in set(votes)), reverse=True)
    if not counts:
        return (len(seen), 0, 0), 0.0
    tied = [code for count, code in counts if count == counts[0][0]]
    return (len(seen), counts[0][0], counts[1][0] if len(counts) > 1 else 0), (1 / len(tied) if 0 in tied else 0.0)


@settings(max_examples=40)
@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=st.integers(-1, 3)))
def test_chances_are_means_over_all_orders(codes):
    chances = Chances.of(codes, codes.shape[1])
    mass, right, up, side = (np.zeros_like(chances.mass) for _ in range(4))
    share = 1 / math.factorial(codes.shape[1])
    for row in codes.tolist():
        for order in itertools.permutations(row):
            for n in range(len(order) + 1):
                here, score = state_of(order[:n])
                mass[here] += share
                right[here] += share * score
                if n < len(order):
                    there, _ = state_of(order[: n + 1])
                    up[here] += share * (there[1] > here[1])
                    side[here] += share * (there[2] > here[2])
    np.testing.assert_allclose(chances.mass, mass, atol=1e-12)
    for ours, sums in ((chances.stop, right), (chances.up, up), (chances.side, side)):
        np.testing.assert_allclose(ours, np.divide(sums, mass, out=np.zeros_like(mass), where=mass > 1e-12), atol=1e-9)


@settings(max_examples=60)
@given(tables, st.integers(0, 1000), st.sampled_from([(1,), (1, 2), (2,), (1, 3, 4)]))
def test_kernel_and_twin_induce_and_follow_the_same(codes, seed, waves):
    rng = np.random.default_rng(seed)
    chances = Chances.of(codes, 8, rng.random(len(codes)) + 0.1)
    steps = (chances.going, chances.stop, chances.up, chances.side, chances.cost)
    prices, cap = rng.random(4) * 0.3, len(chances.mass) - 1
    sizes = np.array([k for k in waves if k <= cap], np.int32)
    results = []
    for kernel in (_stopping, _reference_stopping):
        wave, worth = np.zeros((4, *chances.mass.shape), np.uint8), np.empty(4)
        assert kernel.induct(*steps, prices, sizes, 0.2, 1.5, wave, worth) == kernel.OK
        followed = [np.empty(4) for _ in range(3)]
        kernel.follow(*steps, wave, *followed)
        results.append((wave, worth, followed))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], atol=1e-12)
    np.testing.assert_allclose(results[0][2], results[1][2], atol=1e-12)


# ------------------------------------------------------------------------------------- optimal by brute force


def renamed(seen):
    """What a policy sees: which samples agree, not what they say."""
    names = {}
    return tuple(code if code < 0 else names.setdefault(code, len(names)) for code in seen)


def best_of_all_policies(sequences, depth, price):
    """Return the value of the best policy that sees all that came so far, given (sequence, probability) pairs."""
    by_history = {}
    for sequence, probability in sequences:
        for n in range(depth + 1):
            by_history.setdefault(renamed(sequence[:n]), []).append((sequence, probability))

    @cache
    def worth(history):
        members, n = by_history[history], len(history)
        stop = math.fsum(p * state_of(sequence[:n])[1] for sequence, p in members)
        if n == depth:
            return stop
        total = math.fsum(p for _, p in members)
        later = {renamed(sequence[: n + 1]) for sequence, _ in members}
        return max(stop, math.fsum(worth(history) for history in later) - price * total)

    return worth(())


@pytest.mark.parametrize("price", [0.0, 0.003, 0.02, 0.05, 0.11])
@pytest.mark.parametrize("seed", range(6))
def test_recorded_samples_as_the_truth_give_the_optimum(seed, price):
    """Up to three answers, or two and samples without one: then (n, c1, c2) tells all that matters."""
    rng = np.random.default_rng(seed)
    low, answers = (0, 3) if seed % 2 else (-1, 2)
    codes = rng.integers(low, answers, (3, 6))
    sequences = [(order, 1 / (3 * 720)) for row in codes.tolist() for order in itertools.permutations(row)]
    rules = Chances.of(codes, 6).rules(np.array([price]), pseudo=0.0)
    ours = rules.accuracy[0] - price * rules.spend[0]
    assert ours == pytest.approx(best_of_all_policies(sequences, 6, price), abs=1e-9)


def dirichlet(alphas, depth):
    """Return all sequences of answers with their probabilities, shares being Dirichlet."""
    found = []
    for sequence in itertools.product(range(len(alphas)), repeat=depth):
        probability, counts = 1.0, list(alphas)
        for code in sequence:
            probability *= counts[code] / sum(counts)
            counts[code] += 1
        found.append((sequence, probability))
    return found


def chances_of(sequences, depth):
    """Return the chances of a known model: masses summed over all sequences, of which no question ever runs out."""
    shape = (depth + 1, depth + 1, depth // 2 + 1)
    mass, right, alone, going, outlay = (np.zeros(shape) for _ in range(5))
    for sequence, probability in sequences:
        for n in range(depth + 1):
            here, score = state_of(sequence[:n])
            counts = [sequence[:n].count(code) for code in set(sequence[:n])]
            mass[here] += probability
            right[here] += probability * score
            tie = here[1] == here[2]
            alone[here] += probability * (counts.count(here[2]) == (2 if tie else 1) and here[2] > 0)
            if n < depth:
                going[here] += probability
                outlay[here] += probability
    return Chances.from_masses(mass, right, alone, going, outlay)


@pytest.mark.parametrize("alphas", [(1.0, 1.0), (2.0, 0.5), (1.5, 1.0, 1.0), (0.6, 0.4, 0.3), (3.0, 1.0, 0.2)])
@pytest.mark.parametrize("price", [0.0, 0.01, 0.03, 0.08, 0.2, 0.9])
def test_known_dirichlet_questions_are_stopped_optimally(alphas, price):
    sequences = dirichlet(alphas, 6)
    rules = chances_of(sequences, 6).rules(np.array([price]), pseudo=0.0)
    ours = rules.accuracy[0] - price * rules.spend[0]
    assert ours == pytest.approx(best_of_all_policies(sequences, 6, price), abs=1e-9)


def test_waves_trade_samples_for_rounds():
    rng = np.random.default_rng(1)
    codes = np.where(rng.random((80, 16)) < rng.uniform(0.3, 0.95, (80, 1)), 0, rng.integers(1, 4, (80, 16)))
    chances = Chances.of(codes, 16)
    price = np.array([0.005])
    single = chances.rules(price, pseudo=0.0)
    free, dear = (chances.rules(price, (1, 2, 4), cost, pseudo=0.0) for cost in (0.0, 1.0))
    assert single.rounds[0] == pytest.approx(single.spend[0])
    assert free.accuracy[0] - 0.005 * free.spend[0] == pytest.approx(
        single.accuracy[0] - 0.005 * single.spend[0], abs=1e-12
    )
    assert dear.rounds[0] < 0.7 * single.rounds[0]
    own = dear.accuracy[0] - 0.005 * (dear.spend[0] + dear.rounds[0])
    assert own >= single.accuracy[0] - 0.005 * (single.spend[0] + single.rounds[0])


def test_shrinkage_is_towards_the_margin_and_then_the_layer():
    rng = np.random.default_rng(2)
    codes = np.where(rng.random((30, 8)) < 0.6, 0, rng.integers(1, 3, (30, 8)))
    # So strong a pull leaves one decision per layer.
    rules = Chances.of(codes, 8).rules(np.array([0.01]), pseudo=1e12)
    for n in range(8):
        there = [rules.wave[0, n, c1, c2] for c1 in range(n + 1) for c2 in range(min(c1, n - c1) + 1)]
        assert len(set(map(int, there))) == 1


def test_too_many_samples_are_refused():
    with pytest.raises(InputError, match="1029"):
        Chances.of(np.zeros((1, 2200), np.int64), 1100)


def test_the_recorded_table_takes_no_time(shared_data):
    with np.load(shared_data / "gsm8k_gpt4omini_n40.npz", allow_pickle=False) as archive:
        codes = archive["answer"].astype(np.int64)
        assert "gpt-4o-mini" in json.loads(str(archive["meta"]))["model"]
    began = time.process_time()
    chances = Chances.of(codes, 40)
    rules = chances.rules(np.geomspace(1e-4, 0.4, 40))
    assert time.process_time() - began < 2.0
    # Vote@40 of the source: all states of the last layer together.
    assert (chances.mass[40] * chances.stop[40]).sum() / 1318 == pytest.approx(0.9420, abs=5e-5)
    assert rules.spend[0] > 5 > 1 == round(rules.spend[-1], 9)

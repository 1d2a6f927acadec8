"""Accuracies and savings of an evaluation whose epochs are stopped: unbiased, checked by all outcomes there are."""

import itertools
import math

import numpy as np
import pytest

from tcalloc.learn.protocol import Result
from tcalloc.learn.rivals import ESC, MarginCap
from tcalloc.serve.inspect_ai import estimates
from tcalloc.serve.inspect_ai.estimates import mean_of, one_epoch, saved
from tcalloc.serve.inspect_ai.full_vote import FullVote
from tcalloc.serve.inspect_ai.question_epochs import needed

CHANCES = {"right": 0.6, "b": 0.3, "c": 0.1}


def outcomes(policy, epochs):
    """Yield the probability, answers and number of epochs that ran, of all that can come."""
    for answers in itertools.product(CHANCES, repeat=epochs):
        chance = math.prod(CHANCES[answer] for answer in answers)
        drawn = [Result(answer, 1.0) for answer in answers]
        yield chance, drawn, needed(policy.start("q"), drawn)[0]


@pytest.mark.parametrize("policy", [MarginCap(2, 5), MarginCap(1, 5), FullVote(5), ESC(2, 5)], ids=repr)
def test_stopping_does_not_bias_one_epoch(policy, monkeypatch):
    """Its expectation over everything that can come is the accuracy; the mean of the epochs is off."""
    monkeypatch.setattr(estimates, "EXACT", 5)
    found = mean = 0.0
    for chance, drawn, n in outcomes(policy, 5):
        values = [float(result.answer == "right") for result in drawn[:n]]
        found += chance * one_epoch(lambda: policy.start("q"), drawn[:n], values, 0)
        mean += chance * sum(values) / n
    assert found == pytest.approx(0.6, abs=1e-12)
    if policy != MarginCap(1, 5):  # which always stops after the first
        assert abs(mean - 0.6) > 0.005


def test_it_is_unbiased_with_random_orders_too(monkeypatch):
    """The order that came is one of those that are averaged: few orders cost precision, never a bias."""
    monkeypatch.setattr(estimates, "EXACT", 1)
    monkeypatch.setattr(estimates, "DRAWN", 2)
    policy, found = MarginCap(2, 5), []
    for seed in range(150):
        found.append(
            sum(
                chance
                * one_epoch(lambda: policy.start("q"), drawn[:n], [float(r.answer == "right") for r in drawn[:n]], seed)
                for chance, drawn, n in outcomes(policy, 4)
            )
        )
    assert np.mean(found) == pytest.approx(0.6, abs=4 * np.std(found) / math.sqrt(len(found)) + 1e-12)


def test_it_varies_less_than_the_first_epoch():
    policy = MarginCap(3, 5)
    square = sum(
        chance
        * one_epoch(lambda: policy.start("q"), drawn[:n], [float(r.answer == "right") for r in drawn[:n]], 0) ** 2
        for chance, drawn, n in outcomes(policy, 5)
    )
    assert square - 0.36 < 0.6 * 0.6 * 0.4


def test_equal_values_need_no_orders():
    runs = iter([MarginCap(2, 8).start("q")])

    def fails_if_run_twice():
        return next(runs)

    assert one_epoch(fails_if_run_twice, [Result("a", 1.0)] * 2, [1.0, 1.0], 0) == 1.0


def test_the_interval_of_what_is_saved_covers_it():
    """In 400 evaluations with costs that differ, 95 % of the intervals hold what the others would have cost."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        usual = rng.lognormal(0, 1, 60)
        costs = usual[:, None] * rng.gamma(9, 1 / 9, (60, 8))
        ran = rng.integers(1, 9, 60)
        found = saved([row[:n].tolist() for row, n in zip(costs, ran, strict=True)], (8 - ran).tolist())
        covered += found.low <= sum(row[n:].sum() for row, n in zip(costs, ran, strict=True)) <= found.high
    assert 0.85 < covered / 400 < 0.99


def test_what_is_saved():
    found = saved([[2.0, 4.0], [10.0]], [2, 1])
    assert found.value == 16
    assert found.low < 16 < found.high
    assert saved([[2.0], [4.0]], [0, 0]).value == 0
    assert saved([[2.0], []], [3, 1]).value == 8  # a question without an epoch costs what others do
    assert saved([[2.0]], [3]).low is None
    assert saved([], []).value == 0


def test_mean_of():
    found = mean_of([0.0, 1.0, 1.0, 1.0])
    assert found.value == 0.75
    assert found.high - found.value == pytest.approx(3.1824463 * 0.5 / 2, rel=1e-6)
    assert mean_of([]) is None
    assert mean_of([1.0]).low is None

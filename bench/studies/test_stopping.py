"""What `stopping.py` prints can be trusted: spends are met, hindsight flatters, fixed k is the exact expectation."""

import pytest

from bench.stopping import Found, add_rivals, static_oracle
from bench.studies.stopping_cases import cases
from tcalloc.learn.holdout.folds import SEEDS
from tcalloc.measure.votes import vote_accuracy


@pytest.fixture(scope="module")
def found() -> Found:
    case = next(case for case in cases() if case.name == "recorded qwen25_0p5b")
    result = Found(case)
    add_rivals(result, SEEDS[:2], 32)
    return result


def test_spends_are_met_or_nothing_more_is_found(found: Found) -> None:
    for held in found.held.values():
        assert (held.spend.mean(axis=1) <= held.asked + 1e-6).all()
        assert held.spend[:4].mean(axis=1) == pytest.approx(held.asked[:4], abs=1e-6)


def test_hindsight_is_never_below_what_was_held_out(found: Found) -> None:
    for name, held in found.held.items():
        best = found.hindsight[name]
        # Where less is spent, less may be reached; a thousandth is what other lots of the same mixture make.
        assert (held.accuracy.mean(axis=1) <= best.accuracy.mean(axis=1) + 1e-3).all(), name


def test_fixed_k_is_the_exact_expectation(found: Found) -> None:
    codes = found.case.samples.answers
    exact = [vote_accuracy(codes, k).mean() for k in (1, 3)]
    mixed = [exact[0] + (spend - 1) / 2 * (exact[1] - exact[0]) for spend in (1.25, 2.0)]
    assert found.hindsight["fixed k"].accuracy[[0, 2]].mean(axis=1) == pytest.approx(mixed, abs=2e-3)


def test_the_static_oracle_is_scored_on_samples_that_did_not_choose(found: Found) -> None:
    oracle = static_oracle(found.case, 4)
    for held in oracle.values():
        assert (held.spend.mean(axis=1) <= held.asked + 1e-9).all()
    chosen = found.held["fixed k"].accuracy.mean(axis=1)
    assert (oracle["static oracle"].accuracy.mean(axis=1)[:4] > chosen[:4]).all()

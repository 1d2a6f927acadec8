"""The comparison of two recordings says "agree" where it should, and only there; CI runs what is named 1e3."""

from dataclasses import replace

import numpy as np

from bench.studies.rerecord import MODEL, compare
from tcalloc.datasets import load_recorded


def halves(seed=0):
    recorded = load_recorded()
    shuffled = np.random.default_rng(seed).permuted(recorded.answers[MODEL], axis=1)
    before = replace(recorded, answers={MODEL: shuffled[:, :16]})
    tokens = recorded.tokens[MODEL].astype(float)
    return before, shuffled[:, 16:].copy(), tokens


def test_halves_of_one_recording_agree_1e3():
    rows = np.arange(293)
    found = [compare(before, rows, codes, tokens) for before, codes, tokens in map(halves, range(20))]
    assert all(comparison.agrees for comparison in found)
    # Halves are drawn without replacement: together they are the whole, and the ratio's mean is 1.
    assert abs(np.mean([comparison.noise for comparison in found]) - 1) < 0.05
    assert abs(np.mean([c.correlation - c.expected_correlation for c in found])) < 0.005
    assert "AGREE on 293 questions" in str(found[0])


def test_what_differs_is_said_1e3():
    before, codes, tokens = halves()
    rows = np.arange(293)
    weaker = np.where(np.random.default_rng(1).random(codes.shape) < 0.1, 1, codes).astype(np.int16)
    assert not compare(before, rows, weaker, tokens).agrees
    # The same mean, but on other questions.
    assert not compare(before, rows, codes[::-1].copy(), tokens).agrees

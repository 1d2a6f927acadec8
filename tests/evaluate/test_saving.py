"""What a policy saves against fixed choices: compared with the truth, with itself, and beyond all fixed choices."""

import numpy as np
import pytest

from tcalloc import Samples, Vote
from tcalloc.evaluate.saving import saving_of
from tcalloc.learn.protocol import Always
from tcalloc.learn.rivals import TunedRule


def drawn(n, seed, width=16):
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 1, (n, 1))
    codes = np.where(rng.random((n, width)) < chance, 0, rng.integers(1, 5, (n, width)))
    return Samples(codes, cost=rng.uniform(0.5, 1.5, (n, width)))


def test_a_rule_that_stops_saves_a_third_and_the_interval_says_so():
    policy = TunedRule("margin + cap", budget=3.0).fit(None, drawn(300, 1))
    found = [saving_of(policy, drawn(200, 1000 + seed).labelled("agreement"), None, seed) for seed in range(5)]
    # On 30,000 requests it is 28.9 %.
    assert sum(one.low <= 0.289 <= one.high for one in found) >= 4
    for one in found:
        assert one.low < one.share < one.high
        assert one.requests == 200
        assert one.share == pytest.approx(1 - one.spend / one.spend_fixed)
        assert one.agreement == pytest.approx(one.agreement_fixed)


def test_a_fixed_choice_saves_nothing_against_itself():
    found = saving_of(Always(Vote(1)), drawn(100, 7).labelled("agreement"), None)
    assert found.share == pytest.approx(0.0, abs=1e-6)
    assert found.low <= 0.0 <= found.high


def test_the_best_fixed_choice_is_the_last_to_compare_with():
    found = saving_of(Always(Vote(16)), drawn(100, 7).labelled("agreement"), None)
    assert found.agreement == found.agreement_fixed
    assert found.share == pytest.approx(0.0, abs=0.05)
    assert found.spend == pytest.approx(8.0, rel=0.05)  # half of the samples judges the other half

"""What a draw costs besides its samples: part of the spend, and what chooses how many samples are drawn at once."""

import numpy as np
import pytest
from test_sequential import compare, drawn, lengths

from tcalloc import Rates
from tcalloc.learn.protocol import Result
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential
from tcalloc.learn.sequential.rules.exact_votes import Chances
from tcalloc.measure import Samples


def priced(prompt, answer=100, **options):
    """Samples of prompts and answers of so many tokens, at a list price."""
    rates = Rates.per_million(0.15, 0.6, **options)
    first = rates.request_cost(prompt)
    later = rates.request_cost(prompt, cached_tokens=prompt)
    codes = drawn(120, 16, low=0.3, high=0.9)
    return Samples(codes, cost=rates.answer_cost(answer), round_cost=first, later_round_cost=later)


def at_four(samples, **options):
    """What a policy does for the price of four samples in one draw."""
    budget = float(samples.round_cost) + 4 * float(samples.cost)
    policy = Sequential(budget=budget, **options).fit(None, samples)
    done = policy.replay(None, samples)
    assert done.spend.mean() <= budget * 1.1
    return policy, done


def test_with_long_prompts_four_at_once_beat_four_in_turn():
    samples = priced(3000)
    policy, at_once = at_four(samples)
    _, in_turn = at_four(samples, waves=(1,))
    assert policy.start("q").next().n == 4
    assert at_once.rounds.mean() < 1.1
    assert at_once.accuracy.mean() > in_turn.accuracy.mean() + 0.05


def test_with_short_prompts_one_after_another_is_better():
    samples = priced(10)
    policy, chosen = at_four(samples)
    _, together = at_four(samples, waves=(4,))
    assert policy.start("q").next().n <= 2
    assert chosen.rounds.mean() > 1.5
    assert chosen.accuracy.mean() > together.accuracy.mean() + 0.01


def test_what_the_cache_gives_back_brings_turns_back():
    full, cached = (at_four(priced(1000, cached_input=price))[1].rounds.mean() for price in (0.15, 0.003))
    assert cached > full + 0.3


def test_without_costs_of_draws_nothing_changes():
    codes = drawn()
    plain = Sequential(budget=3.0).fit(None, Samples(codes))
    nothing = Sequential(budget=3.0).fit(None, Samples(codes, round_cost=0))
    assert plain._trained.settings.waves == nothing._trained.settings.waves == (1,)
    np.testing.assert_array_equal(plain.frontier().accuracy, nothing.frontier().accuracy)


@pytest.mark.parametrize("cap", [None, 6.0])
def test_the_fast_replay_charges_what_the_metered_one_does(cap):
    rng = np.random.default_rng(2)

    def samples(codes):
        n = len(codes)
        cost = rng.uniform(0.5, 1.0, codes.shape)
        return Samples(codes, cost=cost, round_cost=rng.uniform(0, 1, n), later_round_cost=rng.uniform(0, 0.5, n))

    policy = Sequential(budget=3.0, cap=cap).fit(None, samples(drawn()))
    compare(policy, samples(drawn(12, seed=9)), None, 5, False)


def test_two_models_pay_their_own_prompts():
    small, large = drawn(60, 8, seed=5, low=0.1), drawn(60, 8, seed=6, low=0.6)
    arms = {
        "large": Samples(large, cost=3.0, round_cost=2.0, later_round_cost=0.5, tokens=lengths(large)),
        "small": Samples(small, cost=1.0, round_cost=0.25, tokens=lengths(small)),
    }
    samples = Samples(arms=arms)
    policy = Sequential(budget=5.0, most={"small": 4, "large": 2}, waves=(1, 2)).fit(None, samples)
    assert policy.round_costs_ == {"small": (0.25, 0.25), "large": (2.0, 0.5)}
    compare(policy, samples.take(np.arange(8)), None, 4, False)


def test_a_live_run_never_exceeds_its_cap():
    policy = Sequential(budget=5.0, cap=5.0, waves=(1, 2, 4)).fit(None, Samples(drawn(), cost=1.0, round_cost=1.5))
    for number in range(20):
        run = policy.start(f"q{number}")
        asked = 0
        while (draw := run.next()) is not None:
            # The first result of a draw pays for it.
            run.add([Result(f"a{asked + i}", 1.0 + 1.5 * (i == 0)) for i in range(draw.n)])
            asked += draw.n
        assert run.spend <= 5.0


def test_files_keep_it(tmp_path):
    policy = Sequential(budget=3.0).fit(None, Samples(drawn(), round_cost=0.5, later_round_cost=0.25))
    policy.save(tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    assert again.round_costs_ == policy.round_costs_ == {"": (0.5, 0.25)}
    samples = Samples(drawn(12, seed=9), round_cost=0.5, later_round_cost=0.25)
    np.testing.assert_array_equal(again.replay(None, samples).spend, policy.replay(None, samples).spend)


def test_the_first_draw_only_decides_whether_to_begin():
    codes = drawn(60, 6)
    prices = np.geomspace(1e-3, 1.0, 20)
    chances = Chances.of(codes, 6)
    dear = chances.tables(prices, (1, 2), 3.0, 0.0, 0.5)
    cheap = chances.tables(prices, (1, 2), 0.5, 0.0, 0.5)
    begun = dear[:, 0, 0, 0] > 0
    assert 0 < begun.sum() < (cheap[:, 0, 0, 0] > 0).sum()
    np.testing.assert_array_equal(dear[begun], cheap[begun])

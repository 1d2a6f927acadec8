"""Guaranteed budgets of `Sequential`: kept, and not by leaving the money unspent."""

import itertools
import json

import numpy as np
import pytest

from tcalloc import Rates, Samples, Sequential, Vote
from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.protocol import Result
from tcalloc.learn.sequential.reach import most_drawn, room
from tcalloc.learn.sequential.replay import replayed
from tcalloc.learn.sequential.rules.families import Tables, adaptive, fixed, margins


def votes(seed, n, size=12, **more):
    rng = np.random.default_rng([seed, 77])
    right = rng.random((n, size)) < rng.beta(1, 1, (n, 1))
    return Samples(np.where(right, 0, rng.integers(1, 4, (n, size))), **more)


@pytest.fixture(scope="module")
def policy():
    return Sequential(2.0).fit(None, votes(0, 100))


@pytest.mark.parametrize("waves", [(1,), (2, 3)])
def test_the_most_drawn_is_what_the_worst_samples_lead_to(waves):
    rng = np.random.default_rng(5)
    cap = 4
    some = Tables.of(rng.choice([0, 1, 1, 2, 3], (40, cap + 1, cap + 1, cap // 2 + 1)))
    # Samples beyond the cap are not drawn.
    n = np.arange(cap + 1)[None, :, None, None]
    some = Tables.of(np.minimum(some.wave, cap - n))
    for family in (some, margins(cap, waves), adaptive(cap, waves), fixed(cap, waves), fixed(cap, waves, True)):
        rules = np.arange(family.settings)
        size = {i + 1: move.samples for i, move in enumerate(family.moves)} | {0: 0}
        most = np.zeros(family.settings, int)
        for answers in itertools.product(range(-1, 4), repeat=cap):
            counts = [np.bincount([a for a in answers[:k] if a >= 0], minlength=4) for k in range(cap + 1)]
            first, second = np.sort(counts, axis=1)[:, :-3:-1].T
            at = np.zeros(family.settings, int)
            for k in range(cap):  # what each rule draws of those that have so many
                moves = family.choose((k,), None, first[k : k + 1], second[k : k + 1], rules)[0]
                at += np.where(at == k, [size[int(move)] for move in moves], 0)
            most = np.maximum(most, at)
        np.testing.assert_array_equal(most_drawn(family, (cap,), rules)[:, 0], most)


def test_a_guarantee_spends_the_money_and_keeps_the_budget(policy):
    fresh = votes(1, 1000)
    spends = []
    for seed in range(2, 12):
        held = policy.at(2.0).calibrate(None, votes(seed, 150), budget=2.0, confidence=0.95)
        assert held.guarantee_.assumptions[-1] == "a sample costs at most 1"
        spends.append(float(replayed(held._trained, [held._mixture], fresh, None, 4, 3).spend.mean()))
    assert np.mean(spends) >= 0.88 * 2.0
    assert (np.array(spends) > 2.0).sum() <= 2


def test_few_questions_limit_what_one_may_cost(policy):
    held = policy.at(6.0).calibrate(None, votes(2, 60), budget=6.0, confidence=0.9)
    limit = held._mixture.limit
    assert limit == pytest.approx(6 * (1 + 0.06 * 60 / np.log(10)))
    assert f"a question costs at most {limit:.6g}" in repr(held)
    assert 4.5 < held.guarantee_.spend < 6
    run = held.start("q")
    for answer in itertools.cycle("abc"):  # who never agrees would be asked for all 12
        if (draw := run.next()) is None:
            break
        run.add([Result(answer, 1.0)] * draw.n)
    assert 6 < run.spend <= limit
    meta, arrays, boosters = held._state()
    again = Sequential._from_state(json.loads(json.dumps(meta)), arrays, boosters)
    assert again._mixture == held._mixture
    assert again.guarantee_ == held.guarantee_
    assert held.at(6.0)._mixture.limit is None
    with pytest.raises(InputError, match="limit"):
        Sequential._from_state({**meta, "mixture": [*meta["mixture"][:4], -1.0]}, arrays, boosters)
    plain = policy.at(6.0).calibrate(None, votes(2, 60), budget=6.0)
    assert plain._mixture.limit is None
    # The user's cap is a limit too: nothing is to be drawn beyond it.
    capped = Sequential(2.0, cap=3).fit(None, votes(0, 60))
    assert room(capped._trained.settings, np.ones(1), 2.0, 0.95, 150) is None
    capped.calibrate(None, votes(2, 60), budget=2.5, confidence=0.9)
    assert capped.guarantee_.spend > 2.2


def test_samples_that_differ_in_cost_need_a_limit():
    def drawn(seed, n):
        rng = np.random.default_rng([seed, 78])
        return votes(seed, n, cost=np.minimum(rng.lognormal(-0.3, 0.7, (n, 12)), 4.0))

    policy = Sequential(2.0).fit(None, drawn(0, 60))
    with pytest.raises(
        InputError, match=r"one sample may cost, which is not known.*Pass high= \(--high\), one number or one per"
    ):
        policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=0.9)
    with pytest.raises(InputError, match=r"high is 1\.5, but a recorded sample cost 4"):
        policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=0.9, high=1.5)
    with pytest.raises(InputError, match="high: no model 'small' among the samples"):
        policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=0.9, high={"small": 4})
    with pytest.raises(InputError, match="confidence is 95"):
        policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=95, high=4)
    policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=0.9, high=4.0)
    assert policy.guarantee_.assumptions[-1] == "a sample costs at most 4"
    assert replayed(policy._trained, [policy._mixture], drawn(2, 400), None, 4, 3).spend.mean() <= 2.0
    # A rare long answer: half of the recordings hold none. Equal records are no promise.
    with pytest.raises(InputError, match="Pass high="):
        policy.calibrate(None, votes(1, 80, cost=np.ones((80, 12))), budget=2.0, confidence=0.9)
    said = {"": Vote(1, max_tokens=400, rates=Rates(output=0.01))}
    policy.actions = said
    policy.calibrate(None, drawn(1, 80), budget=2.0, confidence=0.9)
    assert policy.guarantee_.assumptions[-1] == "a sample costs at most 4"
    with pytest.raises(BudgetError, match="may cost up to"):
        policy.calibrate(None, drawn(1, 10), budget=0.1, confidence=0.99, high=40.0)


def test_several_models_say_their_limits():
    def drawn(seed, n):
        return Samples(arms={"small": votes(seed, n, 8, cost=1.0), "large": votes(seed + 50, n, 4, cost=3.0)})

    policy = Sequential(2.0).fit(None, drawn(0, 40)).calibrate(None, drawn(1, 50), budget=2.5, confidence=0.8)
    assert policy.guarantee_.assumptions[-1] == "a sample costs of small at most 1, of large at most 3"
    assert policy._mixture.limit == pytest.approx(
        2 * 2.5 + 3
    )  # it never keeps one below twice the budget from a sample

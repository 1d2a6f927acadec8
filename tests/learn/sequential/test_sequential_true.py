"""What `Sequential` says of itself is true: worth of rules, held-out figures, probabilities, all recorded samples."""

import itertools
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tcalloc
from tcalloc.datasets import load_recorded
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.rivals import families
from tcalloc.learn.sequential import Chances, Sequential
from tcalloc.learn.sequential.crossfit import crossfitted
from tcalloc.learn.sequential.reach import most_drawn
from tcalloc.learn.sequential.rules.families import Outcomes, Tables, adaptive, fixed, margins, outcomes
from tcalloc.learn.sequential.rules.orders import Orders, sufficient
from tcalloc.learn.sequential.selection import Candidate, Choices
from tcalloc.learn.sequential.states.belief import levelled
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.learn.sequential.states.simulated_runs import SimulatedRuns
from tcalloc.learn.sequential.training import FOLDS
from tcalloc.measure import Samples

# Three questions whose states (3, 1, 1) are reached by different courses.
THREE = np.array([[1, 1, 1, 2], [3, -1, 3, 1], [0, 2, 1, 0]])


def diverse(seed, n=60, size=8, answers=6):
    rng = np.random.default_rng(seed)
    right = rng.random((n, size)) < rng.beta(0.8, 1.2, (n, 1))
    return np.where(right, 0, rng.integers(1, answers, (n, size)))


def by_hand(codes, table):
    """Return accuracy and spend of one table over all orders, as naively as possible."""
    found = []
    for row in codes.tolist():
        for order in itertools.permutations(row):
            n = 0
            while True:
                seen = [code for code in order[:n] if code >= 0]
                counts = [*sorted((seen.count(code) for code in set(seen)), reverse=True), 0, 0]
                more = int(table[n, counts[0], counts[1]])
                if n == len(order) or not more:
                    break
                n = min(n + more, len(order))
            tied = [code for code in set(seen) if seen.count(code) == counts[0]]
            found.append((1 / len(tied) if 0 in tied else 0.0, n, counts))
    return np.mean([part[0] for part in found]), np.mean([part[1] for part in found])


# ------------------------------------------------------------------------------------------ what rules are worth


def test_a_rule_is_worth_what_a_replay_over_all_orders_says():
    price = 0.01
    rules = Chances.of(THREE, 4).rules(np.array([price]), pseudo=0.0)
    assert (rules.accuracy[0], rules.spend[0]) == pytest.approx(by_hand(THREE, rules.wave[0]), abs=1e-12)
    # The induction on pooled chances makes a table that is worth 0.2992; 0.3064 is the best there is.
    assert rules.accuracy[0] - price * rules.spend[0] == pytest.approx(0.306389, abs=1e-6)
    pooled = Chances.of(THREE, 4)
    table = pooled.tables(np.array([price]), (1,), 0.0, 0.0)
    followed = pooled.follow(np.array([price]), table)
    assert (followed.accuracy[0], followed.spend[0]) == pytest.approx((1 / 3, 41 / 12), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1,), (1, 2), (3,)]))
def test_following_orders_is_the_replay_by_hand(seed, waves):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 5, (3, 5))
    table = rng.choice([0, *waves], (6, 6, 3))
    table[0, 0, 0] = waves[0]
    table[5] = 0
    accuracy, spend, rounds = Orders.of(codes, 5, np.ones(3)).follow(table[None].astype(np.uint8))
    assert (accuracy[0], spend[0]) == pytest.approx(by_hand(codes, table), abs=1e-12)
    assert rounds[0] <= spend[0]


@pytest.mark.parametrize("seed", range(4))
def test_no_rule_loses_to_margin_and_cap_on_its_own_data(seed):
    codes = diverse(seed, 40)
    chances, prices = Chances.of(codes, 8), np.array([0.001, 0.01, 0.03, 0.1])
    rules = chances.rules(prices, pseudo=0.0)
    n, c1, c2 = np.ogrid[:9, :9, :5]
    plain = np.stack([(c1 - c2 < m) & (n < cap) for m in range(1, 10) for cap in range(9)]).astype(np.uint8)
    accuracy, spend, _ = chances.orders.follow(plain)
    best = (accuracy - prices[:, None] * spend).max(axis=1)
    assert (rules.accuracy - prices * rules.spend >= best - 1e-12).all()


def test_the_optimum_on_the_shipped_table_is_not_below_margin_and_cap():
    codes = load_recorded().answers["gemma3_270m"].astype(int)
    chances, prices = Chances.of(codes, 16), np.array([0.001, 0.005])
    rules = chances.rules(prices, pseudo=0.0)
    # Other orders than those that the rules were improved and chosen along.
    orders = Orders.of(codes, 16, np.ones(len(codes)), 2)
    n, c1, c2 = np.ogrid[:17, :17, :9]
    plain = np.stack([(c1 - c2 < m) & (n < cap) for m in (1, 2, 3, 4, 17) for cap in range(0, 17, 2)]).astype(np.uint8)
    accuracy, spend, _ = orders.follow(plain)
    reached, paid, _ = orders.follow(rules.wave)
    assert (reached - prices * paid >= (accuracy - prices[:, None] * spend).max(axis=1) - 0.002).all()
    # What is claimed is what these other orders give.
    assert rules.accuracy == pytest.approx(reached, abs=0.006)
    assert rules.spend == pytest.approx(paid, rel=0.03)


def test_sequential_is_level_with_margin_and_cap_on_its_own_data():
    codes = load_recorded().answers["gemma3_270m"].astype(int)
    policy = Sequential().fit(None, Samples(codes))
    ours = policy.replay(None, Samples(codes), budgets=[1.5, 3.0, 5.0, 8.0], orders=32)
    spend, accuracy = Paths(Samples(codes), 32).outcomes(families(16)["margin + cap"])
    hull = tcalloc.learn.holdout.folds.Frontier.of(spend.mean(axis=1), accuracy.mean(axis=1))
    assert (ours.accuracy.mean(axis=1) >= np.interp(ours.spend.mean(axis=1), hull.spend, hull.accuracy) - 0.001).all()


def test_when_counts_say_all():
    assert sufficient(np.array([[0, 1, 2, 1], [3, 4, -2, -2]]))
    assert sufficient(np.array([[0, -1, 2, 2]]))
    assert not sufficient(np.array([[0, 1, 2, -1]]))
    assert not sufficient(np.array([[0, 1, 2, 3]]))


# ------------------------------------------------------------------------------------------ thresholds


def generic(family):
    """Return the same rules as tables of states."""
    n, c1, c2 = np.meshgrid(np.arange(9), np.arange(9), np.arange(5), indexing="ij")
    go = [(family.measured(c1, c2) < level) & (n < cap) for level, cap in zip(family.levels, family.caps, strict=True)]
    return Tables.of(np.stack(go))


@pytest.mark.parametrize("make", [margins, adaptive, fixed])
@pytest.mark.parametrize(("verifier", "limit"), [(False, np.inf), (False, 4.2), (True, np.inf), (True, 3.0)])
def test_thresholds_do_what_their_tables_do(make, verifier, limit):
    rng = np.random.default_rng(3)
    codes = diverse(1, 20)
    codes[:5, 5:] = -2
    samples = Samples(codes, cost=rng.uniform(0.5, 1.0, codes.shape))
    combine = "verifier" if verifier else "vote"
    reading = Reading.fit(samples, ("",), combine=combine)
    simulated = SimulatedRuns.walk(samples, reading, None, (8,), combine=combine, orders=6, counts_only=True)
    family = make(8, (1,))
    highest_cost = np.array([1.0])
    ours = outcomes(family, simulated, None, None, limit, highest_cost, np.zeros(1))
    theirs = outcomes(generic(family), simulated, None, None, limit, highest_cost, np.zeros(1))
    for name in ("spend", "accuracy", "rounds"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)


@pytest.mark.parametrize("make", [margins, adaptive])
@pytest.mark.parametrize("cap", [1, 7, 16, 40, 128])
def test_large_caps_stand_apart(make, cap):
    caps = np.unique(make(cap, (1,)).caps)
    assert caps[-1] == cap
    assert caps[: min(cap, 10) + 1].tolist() == [*range(min(cap, 10) + 1)]
    large = caps[caps > 10]
    assert (large[1:] / large[:-1] > 1.25).all()


def test_a_threshold_rule_can_draw_its_cap_and_no_more():
    family = margins(8, (1,))
    rules = np.arange(family.settings)
    np.testing.assert_array_equal(most_drawn(family, (6,), rules), np.minimum(family.caps, 6)[:, None])
    np.testing.assert_array_equal(most_drawn(family, (8,), rules[1:]), most_drawn(generic(family), (8,), rules[1:]))


# ------------------------------------------------------------------------------------------ verifiers


def test_with_a_verifier_all_recorded_samples_may_be_used():
    rng = np.random.default_rng(0)
    correct = rng.random((40, 120)) < rng.beta(0.3, 3.0, (40, 1))
    policy = Sequential(budget=1000.0, answer_by="verifier").fit(None, Samples(correct=correct))
    (candidate,) = policy._trained.choices.candidates
    assert set(candidate.family.caps.tolist()) == set(range(121))
    done = policy.replay(None, Samples(correct=correct), budgets=[1000.0], orders=2)
    assert done.accuracy.mean() == pytest.approx(correct.any(axis=1).mean())
    # Nothing is drawn after a success, and what is spent is what first successes take.
    count = correct.sum(axis=1)
    exact = np.mean([sum(comb(120 - int(c), j) / comb(120, j) for j in range(120)) for c in count])
    assert candidate.inner.spend[-1].mean() == pytest.approx(exact, rel=0.1)
    found = replay(policy, Samples(correct=correct), verifier=True)
    assert (found.drawn[count == 0] == 120).all()
    assert found.accuracy.mean() == correct.any(axis=1).mean()


# ------------------------------------------------------------------------------------------ held-out figures


class Plain:
    """All that the choice asks of a family."""

    blind = True


def test_the_frontier_does_not_claim_what_was_picked_from_noise():
    """Many rules that reach 0.5 at any spend, up to noise: the hull of their means is above 0.5, the claim is not."""
    claimed, flattered = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        spend = np.tile(np.linspace(0.5, 8.0, 60)[:, None], (1, 80))
        accuracy = (rng.random(spend.shape) < 0.5).astype(float)
        choices = Choices([Candidate("noise", Plain(), Outcomes(spend, accuracy, spend))], 1.0)
        found = crossfitted(choices, seed)
        claimed.append(found.accuracy[len(found) // 2 :].mean())
        flattered.append(choices.mixed(choices.mixtures(found.spend[len(found) // 2 :])).mean())
    assert np.mean(flattered) > 0.55
    assert np.mean(claimed) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_frontier_is_that_of_the_choice_where_there_is_no_noise(spread):
    """Also where questions cost differently: the folds' corners then lie at different spends, and none is cut off."""
    each = np.random.default_rng(0).lognormal(0.0, spread, 30)
    spend = np.array([0.0, 1.0, 2.0, 4.0])[:, None] * each
    accuracy = np.tile(np.array([0.0, 0.5, 0.7, 0.8])[:, None], (1, 30))
    choices = Choices([Candidate("sure", Plain(), Outcomes(spend, accuracy, spend))], 1.0)
    found = crossfitted(choices, 0)
    np.testing.assert_allclose(found.accuracy, np.interp(found.spend, spend.mean(axis=1), accuracy[:, 0]), atol=1e-9)


def test_what_is_claimed_of_a_question_knows_nothing_of_its_answers():
    """Whether a question is tried at all depends on its text alone, and on what other questions have taught."""
    codes = diverse(7, size=3)
    texts = [f"{('hard', 'easy')[int(row.mean() < 1.5)]} question {i % 7}" for i, row in enumerate(codes)]
    _, held = split(len(codes), FOLDS, 0)[0]
    turned = codes.copy()
    turned[held] = np.where(codes[held] == 0, 1, 0)
    one, two = (
        Sequential().fit(texts, Samples(answers))._trained.choices.candidates[-1] for answers in (codes, turned)
    )
    assert one.name == "questions"
    assert one.claimed is one.nested
    tried = one.nested.spend[:, held] > 0
    assert tried.any()
    assert not tried.all()
    np.testing.assert_array_equal(tried, two.nested.spend[:, held] > 0)
    # The figures that choose do know something: the other questions' predictions were learned from these answers.
    assert ((one.inner.spend[:, held] > 0) != (two.inner.spend[:, held] > 0)).any()


def test_the_frontier_claims_what_is_nested():
    """Rules that are chosen by figures that flatter them are claimed by those that do not."""
    spend = np.tile(np.array([0.0, 1.0, 2.0])[:, None], (1, 30))
    flattered, honest = (np.tile(np.array([0.0, *reached])[:, None], (1, 30)) for reached in ((0.6, 0.8), (0.5, 0.7)))
    inner, nested = (Outcomes(spend, accuracy, spend) for accuracy in (flattered, honest))
    choices = Choices([Candidate("texts", Plain(), inner, nested=nested)], 1.0)
    found = crossfitted(choices, 0)
    np.testing.assert_allclose(found.accuracy, np.interp(found.spend, spend[:, 0], honest[:, 0]), atol=1e-9)


def test_repr_and_frontier_say_the_same():
    policy = Sequential(budget=3.0).fit(None, Samples(diverse(5)))
    found = policy.frontier()
    assert policy.frontier() is found
    spend = policy._trained.choices.mixed([policy._mixture], "spend").mean()
    assert f"accuracy {np.interp(spend, found.spend, found.accuracy):.4f}" in repr(policy)


# ------------------------------------------------------------------------------------------ probabilities


def ended(policy, codes):
    """Return each run's probability, and whether its answer is right."""
    said, right = [], []
    for i, row in enumerate(codes.tolist()):
        run, at = policy.start(f"question {i}"), 0
        while (draw := run.next()) is not None:
            results = [tcalloc.Result(code, 1.0) for code in row[at : at + draw.n]]
            at += draw.n
            run.add(results)
        said.append(run.probability)
        right.append(run.answer == 0)
    return np.array(said), np.array(right)


def test_probabilities_come_true_on_other_questions():
    policy = Sequential(budget=3.0).fit(None, Samples(diverse(1, 300, 12)))
    said, right = ended(policy, diverse(2, 1200, 12))
    assert said.mean() == pytest.approx(right.mean(), abs=0.04)
    order = np.argsort(said, kind="stable")
    for part in np.array_split(order, 4):
        assert said[part].mean() == pytest.approx(right[part].mean(), abs=0.09)
    assert right[order[-300:]].mean() > right[order[:300]].mean() + 0.3


def test_probability_is_no_share_of_votes(tmp_path):
    policy = Sequential(budget=2.0).fit(None, Samples(diverse(1)))
    run = policy.start("q")
    assert (run.vote_share, run.probability) == (0.0, 0.0)
    run.next()
    run.add([tcalloc.Result("a", 1.0)])
    assert run.vote_share == 1.0
    assert 0.2 < run.probability < 0.8
    policy.save(tmp_path / "policy")
    again = tcalloc.load_policy(tmp_path / "policy").start("q")
    again.next()
    again.add([tcalloc.Result("a", 1.0)])
    assert again.probability == pytest.approx(run.probability, abs=1e-6)


def test_a_verifier_is_sure():
    policy = Sequential(budget=2.0, answer_by="verifier").fit(None, Samples(correct=diverse(1) == 0))
    run = policy.start("q")
    run.next()
    run.add([tcalloc.Result("a", 1.0, correct=True)])
    assert run.probability == 1.0


@pytest.mark.parametrize(("believed", "reached"), [(0.6, 0.5), (0.6, 0.8), (0.6, 0.6), (0.0, 0.0), (1.0, 1.0)])
def test_levelled_shares_have_the_mean_that_was_reached(believed, reached):
    share = np.clip(believed + np.array([-0.2, 0.2, 0.0]), 0, 1)
    share += believed - share.mean() if 0 < believed < 1 else 0
    found = levelled(share, believed, reached)
    assert ((found >= 0) & (found <= 1)).all()
    if 0 < believed < 1:
        assert found.mean() == pytest.approx(reached)
        assert (np.argsort(found) == np.argsort(share)).all()

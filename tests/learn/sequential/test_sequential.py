"""`Sequential`: what runs do, live and metered, one model and several, and that it pays."""

import numpy as np
import pytest

from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.protocol import Draw, Policy, Result, Run
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.sequential import Sequential
from tcalloc.learn.sequential.replay import replayed
from tcalloc.learn.sequential.selection import Mixture
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.measure import Samples, Vote


def drawn(n=80, s=12, seed=0, low=0.3, high=1.0, answers=4):
    rng = np.random.default_rng(seed)
    rate = rng.uniform(low, high, (n, 1))
    return np.where(rng.random((n, s)) < rate, 0, rng.integers(1, answers, (n, s)))


def lengths(codes, seed=1, gap=1.0):
    """Return token counts that are larger where a sample is right."""
    rng = np.random.default_rng(seed)
    return np.round(np.exp(4 + gap * (codes == 0) + rng.normal(0, 0.5, codes.shape)))


@pytest.fixture(scope="module")
def votes():
    return Sequential(budget=3.0).fit(None, Samples(drawn()))


@pytest.fixture(scope="module")
def rich():
    codes = drawn(seed=3)
    texts = [f"question {i} of {'hard' if (row == 0).mean() < 0.6 else 'easy'} kind" for i, row in enumerate(codes)]
    return Sequential(budget=2.5, waves=(1, 2), most=7).fit(
        texts, Samples(codes, tokens=lengths(codes), round_cost=0.3, later_round_cost=0.1)
    )


@pytest.fixture(scope="module")
def models():
    rng = np.random.default_rng(4)
    small, large = drawn(seed=5, low=0.1), drawn(s=8, seed=6, low=0.6)
    logprobs = {name: np.where(codes == 0, -1.0, -3.0) + rng.normal(0, 1, codes.shape)
                for name, codes in (("small", small), ("large", large))}  # fmt: skip
    samples = Samples(arms={"large": Samples(large, cost=3.0, logprobs=logprobs["large"]),
                            "small": Samples(small, cost=1.0, logprobs=logprobs["small"])})  # fmt: skip
    return Sequential(budget=3.0, most={"small": 5, "large": 3}).fit(None, samples), samples


# ------------------------------------------------------------------------------------- metered = all at once


def one_rule(policy, candidate, setting):
    """Return the policy with one rule in place of a mixture of two, so that no lot decides."""
    fixed = policy.at(policy.budget_)
    fixed._mixture = Mixture(candidate, setting, setting, 0.0)
    return fixed


def compare(policy, samples, X, settings, accuracy_exact):
    combine = policy._trained.settings.combine
    for c, candidate in enumerate(policy._trained.choices.candidates):
        for setting in np.linspace(0, candidate.family.settings - 1, settings).astype(int).tolist():
            rule = one_rule(policy, c, setting)
            slow = replay(rule, samples, X, orders=2, random_state=7, verifier=combine == "verifier")
            fast = replayed(rule._trained, [rule._mixture], samples, X, 2, 7)
            np.testing.assert_allclose(slow.spend, fast.spend[0], atol=1e-9)
            np.testing.assert_allclose(slow.rounds, fast.rounds[0], atol=1e-9)
            if accuracy_exact:
                np.testing.assert_allclose(slow.accuracy, fast.accuracy[0], atol=1e-6)
            else:  # ties: split evenly here, to the first there
                assert abs(slow.accuracy - fast.accuracy[0]).max() <= 0.67
                assert abs(slow.accuracy.mean() - fast.accuracy.mean()) < 0.1


def test_the_metered_replay_does_what_the_fast_one_does_votes(votes):
    compare(votes, Samples(drawn(12, seed=9)), None, 4, False)


def test_the_metered_replay_does_what_the_fast_one_does_with_texts_and_waves(rich):
    codes = drawn(10, seed=10)
    codes[2, 5:] = -2  # fewer samples than the rule may ask for
    codes[3, :4] = -1  # no answer
    compare(rich, Samples(codes, tokens=lengths(codes)), [f"hard {i}" for i in range(10)], 3, False)


def test_the_metered_replay_does_what_the_fast_one_does_of_two_models(models):
    policy, samples = models
    compare(policy, samples.take(np.arange(8)), None, 4, False)


def test_the_metered_replay_does_what_the_fast_one_does_with_a_verifier():
    right = drawn(seed=12) == 0
    policy = Sequential(budget=2.0, answer_by="verifier").fit(None, Samples(correct=right))
    compare(policy, Samples(correct=drawn(12, seed=13) == 0), None, 4, True)


def test_the_metered_replay_does_what_the_fast_one_does_with_a_cap(votes):
    codes = drawn(12, seed=14)
    cost = np.random.default_rng(0).uniform(0.5, 1.5, codes.shape)
    policy = Sequential(budget=3.0, cap=4.0).fit(
        None, Samples(drawn(), cost=np.random.default_rng(1).uniform(0.5, 1.5, (80, 12)))
    )
    compare(policy, Samples(codes, cost=cost), None, 3, False)
    last = one_rule(policy, 0, 0)
    assert replay(last, Samples(codes, cost=cost), orders=3).spend.max() <= 4.0


# ------------------------------------------------------------------------------------- runs


def test_a_run_keeps_the_protocol(votes):
    assert isinstance(votes, Policy)
    run = votes.start("which?")
    assert isinstance(run, Run)
    assert (run.answer, run.spend, run.vote_share) == (None, 0.0, 0.0)
    draw = run.next()
    assert draw == Draw(draw.action, 1)
    assert run.next() == draw  # asking twice changes nothing
    with pytest.raises(InputError, match="2 results"):
        run.add([Result("a", 1.0), Result("b", 1.0)])
    run.add([Result("a", 1.0)])
    with pytest.raises(InputError, match="nothing was drawn"):
        run.add([Result("a", 1.0)])
    assert (run.answer, run.spend, run.vote_share) == ("a", 1.0, 1.0)
    run = votes.start("which?")
    run.next()
    run.add([])  # nothing came: it ends
    assert run.next() is None
    assert run.answer is None


def test_agreement_ends_a_run_sooner_than_disagreement(votes):
    def length(labels):
        run, n = votes.start("q"), 0
        while run.next() is not None:
            run.add([Result(labels[n % len(labels)], 1.0)])
            n += 1
        return n

    assert length("a") < length("ab")
    assert length("abc") <= 12


def test_results_without_an_answer_do_not_vote(votes):
    run = votes.start("q")
    run.next()
    run.add([Result(None, 1.0)])
    assert run.answer is None
    assert run.vote_share == 0.0
    assert run.next() is not None


def test_a_tie_goes_to_the_first(votes):
    run = votes.start("q")
    for label in "ba":
        if run.next() is None:
            pytest.skip("the rule stops before two")
        run.add([Result(label, 1.0)])
    assert run.answer == "b"
    assert run.vote_share == 0.5


def test_a_deadline_ends_it():
    run = Sequential(budget=3.0, deadline=1e-9).fit(None, Samples(drawn(40))).start("q")
    assert run.next() is None


def test_two_models_are_drawn_from_the_cheapest_on(models):
    policy, samples = models
    assert policy.arms_ == ("small", "large")
    seen = set()
    for row in range(40):
        run, names = policy.start(str(row)), []
        while (draw := run.next()) is not None:
            names.append(draw.action.model)
            arm, k = samples.arms[draw.action.model], names.count(draw.action.model) - 1
            cost = {"small": 1.0, "large": 3.0}[draw.action.model]
            run.add([Result(int(arm.answers[row, k]), cost, logprob=float(arm.logprobs[row, k]))])
        assert names == sorted(names, key=("small", "large").index)
        seen |= set(names)
    assert seen == {"small", "large"}


def test_actions_carry_their_parameters():
    samples = Samples(arms={"small": Samples(drawn(40))})
    action = Vote(1, "small", temperature=0.7)
    policy = Sequential(budget=2.0, actions={"small": action}).fit(None, samples)
    assert policy.start("q").next().action == action
    with pytest.raises(InputError, match="no model 'other'"):
        Sequential(budget=2.0, actions={"other": action}).fit(None, samples)


def test_waves_save_rounds():
    codes = drawn(120, 16, low=0.3, high=0.8)
    one, many = (
        Sequential(budget=6.0, waves=waves).fit(None, Samples(codes, round_cost=1.0)).frontier()
        for waves in ((1,), (1, 2, 4))
    )
    at = [int(np.argmin(abs(found.spend - 6.0))) for found in (one, many)]
    assert many.rounds[at[1]] < 0.8 * one.rounds[at[0]]
    assert many.accuracy[at[1]] > one.accuracy[at[0]] + 0.01


# ------------------------------------------------------------------------------------- what it learns


def test_hopeless_questions_get_nothing():
    rng = np.random.default_rng(0)
    hopeless = rng.random(150) < 0.5
    codes = np.where(rng.random((150, 10)) < np.where(hopeless, 0.0, 0.75)[:, None], 0, rng.integers(1, 9, (150, 10)))
    texts = [
        ("impossible riddle about dragons" if h else "plain sum of numbers") + f" {i}" for i, h in enumerate(hopeless)
    ]
    policy = Sequential(budget=1.5).fit(texts, Samples(codes))
    assert policy.start("impossible riddle about dragons 999").next() is None
    assert policy.start("plain sum of numbers 999").next() is not None
    with pytest.raises(InputError, match="x is missing"):
        policy.start()


def test_weights_are_learned_within_questions():
    rng = np.random.default_rng(0)
    codes = drawn(200, 10, low=0.4, high=0.9)
    # Hard questions have long answers, but of one question's answers the right ones are longer.
    tokens = lengths(codes, gap=0.8) * np.exp(-2.0 * (codes == 0).mean(axis=1, keepdims=True))
    reading = Reading.fit(Samples(codes, tokens=tokens), ("",))
    assert reading.features == ("length",)
    assert reading.tilt[0, 0] > 0.1
    noise = Reading.fit(Samples(codes, tokens=np.exp(rng.normal(4, 1, codes.shape))), ("",))
    assert abs(noise.tilt[0, 0]) < 0.1


def test_lengths_are_used_where_they_help_and_only_there():
    codes = drawn(300, 10, seed=2, low=0.3, high=0.8)
    held = drawn(300, 10, seed=3, low=0.3, high=0.8)
    with_, without = (
        Sequential().fit(None, Samples(codes, tokens=tokens)) for tokens in (lengths(codes), np.full(codes.shape, 7.0))
    )
    found = with_.replay(None, Samples(held, tokens=lengths(held)), budgets=[2.0], orders=4)
    plain = without.replay(None, Samples(held, tokens=np.full(held.shape, 7.0)), budgets=[2.0], orders=4)
    assert with_.frontier().family[20] == "lengths"
    assert set(without.frontier().family) <= {"votes", "margin + cap", "Adaptive-Consistency", "lengths"}
    assert found.accuracy.mean() > plain.accuracy.mean() + 0.03
    assert abs(found.spend.mean() - 2.0) < 0.15


def test_stopping_beats_fixed_k_out_of_sample():
    codes, held = drawn(400, 16, seed=4), drawn(400, 16, seed=5)
    policy = Sequential(budget=3.0).fit(None, Samples(codes))
    found = policy.replay(None, Samples(held), budgets=[3.0], orders=8)
    from tcalloc.measure import vote_accuracy

    fixed = vote_accuracy(held, 3)
    gain = found.accuracy[0] - fixed
    # What was trained on and what is held out are both samples of 400.
    assert abs(found.spend.mean() - 3.0) < 4 * 2**0.5 * found.spend[0].std() / 20
    assert gain.mean() > 2 * gain.std() / 20


def test_a_verifier_gives_at_least_fixed_k_with_a_stop():
    right, held = (drawn(200, 12, seed=seed, low=0.0, high=0.6) == 0 for seed in (1, 2))
    policy = Sequential(answer_by="verifier").fit(None, Samples(correct=right))
    found = policy.replay(None, Samples(correct=held), budgets=[1.5, 2.5, 4.0], orders=48)
    c, s = held.sum(axis=1), 12
    from scipy.special import comb

    failing = np.array([(comb(s - c, k) / comb(s, k)).mean() for k in range(s + 1)])
    spend, accuracy = np.append(0, np.cumsum(failing[:-1])), 1 - failing
    fixed = np.interp(found.spend.mean(axis=1), spend, accuracy)
    assert (found.accuracy.mean(axis=1) >= fixed - 0.003).all()


def test_scores_choose():
    codes = drawn(150, 8)
    scores = (codes == 0) * 1.0 + np.random.default_rng(0).normal(0, 0.5, codes.shape)
    policy = Sequential(budget=2.0, answer_by="score").fit(None, Samples(codes, scores=scores))
    run = policy.start("q")
    assert run.next().action.by == "score"
    run.add([Result("a", 1.0, score=0.1)])
    assert run.answer == "a"
    found = policy.replay(None, Samples(codes, scores=scores), budgets=[2.0], orders=4)
    assert found.accuracy.mean() > (codes == 0).mean() + 0.05


def test_calibration_keeps_the_budget_with_confidence(votes):
    policy = votes.at(3.0)
    policy.calibrate(None, Samples(drawn(400, seed=21)), budget=2.5, confidence=0.9)
    assert policy.guarantee_.confidence == 0.9
    fresh = replayed(policy._trained, [policy._mixture], Samples(drawn(400, seed=22)), None, 4, 1)
    assert fresh.spend.mean() <= 2.5
    assert "confidence 0.9" in repr(policy)
    with pytest.raises(BudgetError):
        votes.at(3.0).calibrate(None, Samples(drawn(20, seed=21)), budget=1e-4, confidence=0.99)


def test_the_frontier_rises(votes):
    found = votes.frontier()
    assert (np.diff(found.spend) >= -1e-9).all()
    assert found.accuracy[-1] > found.accuracy[0] + 0.3
    assert "held out" in repr(found)
    assert "accuracy" in repr(votes)


def test_the_same_seed_gives_the_same_policy():
    samples = Samples(drawn(60))
    one, two = (Sequential(budget=2.0, random_state=3).fit(None, samples).frontier() for _ in range(2))
    np.testing.assert_array_equal(one.accuracy, two.accuracy)


# ------------------------------------------------------------------------------------- files


def test_what_is_saved_comes_back(rich, models, votes, tmp_path):
    saving = pytest.importorskip("tcalloc.learn.saving.policy_folder")
    if "Sequential" not in saving.CLASSES:
        pytest.skip("saving does not know Sequential yet")
    codes = drawn(10, seed=10)
    samples, texts = Samples(codes, tokens=lengths(codes)), [f"hard {i}" for i in range(10)]
    cases = [(rich, samples, texts), (models[0], models[1].take(np.arange(9)), None), (votes, Samples(codes), None)]
    for i, (policy, recorded, X) in enumerate(cases):
        policy.save(tmp_path / str(i))
        back = saving.load_policy(tmp_path / str(i))
        assert repr(back) == repr(policy)
        for one, two in zip(back._trained.choices.candidates, policy._trained.choices.candidates, strict=True):
            np.testing.assert_allclose(one.claimed.accuracy, two.claimed.accuracy, atol=1e-6)
        for budget in (1.0, 2.5):
            one, two = (p.replay(X, recorded, budgets=[budget], orders=2) for p in (policy, back))
            np.testing.assert_allclose(one.spend, two.spend, atol=1e-5)
            np.testing.assert_allclose(one.accuracy, two.accuracy, atol=1e-5)
        assert back.start("hard 1").next() == policy.start("hard 1").next()


def test_a_state_that_does_not_fit_is_refused(votes):
    meta, arrays, _ = votes._state()
    meta["trained"]["caps"] = [1, 2]
    with pytest.raises(InputError, match="do not fit"):
        Sequential._from_state(meta, arrays, {})
    meta, arrays, _ = votes._state()
    arrays["candidate0.inner.spend"] = arrays["candidate0.inner.spend"][:, :-1]
    with pytest.raises(InputError, match="expected finite numbers"):
        Sequential._from_state(meta, arrays, {})
    meta, arrays, _ = votes._state()
    meta["mixture"][0] = 17
    with pytest.raises(InputError, match="mixture"):
        Sequential._from_state(meta, arrays, {})


# ------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"budget": 0.0}, "budget is 0"),
        ({"budget": float("nan")}, "budget"),
        ({"cap": -1.0}, "cap is -1"),
        ({"deadline": -1.0}, "deadline is -1"),
        ({"deadline": 0.0}, "deadline is 0"),
        ({"cap": 0.9}, "cap is 0.9"),
        ({"answer_by": "mean"}, "answer_by is 'mean'"),
        ({"answer_by": "score"}, "no scores were recorded"),
        ({"waves": ()}, "waves is empty"),
        ({"waves": (0,)}, "one of waves is 0"),
        ({"most": 0}, "most is 0"),
        ({"most": {"other": 3}}, "no model 'other'"),
        ({"random_state": -1}, "random_state is -1"),
    ],
)
def test_bad_parameters_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        Sequential(**arguments).fit(None, Samples(drawn(20)))


def test_bad_data_is_refused(votes):
    with pytest.raises(InputError, match="expected Samples"):
        Sequential().fit(None, drawn(20))
    with pytest.raises(InputError, match="only right and wrong"):
        Sequential(answer_by="vote").fit(None, Samples(correct=drawn(20) == 0))
    with pytest.raises(InputError, match="at least two"):
        Sequential().fit(None, Samples(drawn(1)))
    with pytest.raises(InputError, match="X has 3 rows"):
        Sequential().fit(["a", "b", "c"], Samples(drawn(20)))
    with pytest.raises(InputError, match="not fitted"):
        Sequential(budget=2.0).start("q")
    with pytest.raises(InputError, match="no budget"):
        Sequential().fit(None, Samples(drawn(20))).start("q")


def test_fixed_k_of_votes_needs_no_more_rounds_than_waves_allow():
    from tcalloc.learn.sequential.rules.families import fixed

    family = fixed(7, (1, 4), together=True)
    assert family.wave[7, 0, 0, 0] == 4
    assert family.wave[7, 4, 2, 1] == 1
    assert family.wave[3, 0, 0, 0] == 1
    assert family.wave[7, 7, 4, 2] == 0


def test_few_questions_are_not_regressed_on():
    codes = drawn(40, 8)
    tokens = np.where(codes == 0, 300.0, 100.0)
    few = Sequential(budget=2.0).fit(None, Samples(codes, tokens=tokens))
    assert all(candidate.family.blind for candidate in few._trained.choices.candidates)

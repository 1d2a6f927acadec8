"""The metered replay, and the fast replay of rules of counts: nothing is seen that was not paid for; both agree."""

import gc
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.learn.protocol import DecidedRun, Draw
from tcalloc.learn.replay import metered as replaying
from tcalloc.learn.replay.all_orders import Paths, States, random_orders
from tcalloc.learn.replay.metered import Meter, drive, replay
from tcalloc.learn.rivals import ESC, SPRT, AdaptiveConsistency, FixedK, MarginCap, SuccessStop
from tcalloc.measure import Action, Best, Rates, Samples, Vote
from tcalloc.measure.votes import vote_accuracy


class Scripted:
    """A policy that draws what it is told to and keeps all it was given."""

    def __init__(self, *draws, answer=None):
        self.draws, self.final, self.seen, self.told = draws, answer, [], []

    def start(self, x):
        self.told.append(x)
        return ScriptedRun(self)


class ScriptedRun:
    spend, vote_share = 0.0, 0.5  # a run that claims to have paid nothing

    def __init__(self, policy):
        self.policy, self.left, self.results = policy, list(policy.draws), []

    def next(self):
        return self.left.pop(0) if self.left else None

    def add(self, results):
        self.results += results
        self.policy.seen.append(list(results))

    @property
    def answer(self):
        return self.policy.final(self.results) if self.policy.final else None


def some_samples(seed=0, n=30, s=12, **others):
    rng = np.random.default_rng(seed)
    answers = rng.integers(-1, 4, (n, s))
    answers[rng.random((n, s)) < 0.4] = 0
    return Samples(answers, **others)


# ---------------------------------------------------------------------------------------------- the meter


def test_spend_is_what_was_drawn_whatever_the_run_says():
    cost = np.arange(1.0, 13.0).reshape(2, 6)
    samples = Samples([[0, -1, 1, 2, 0, 3], [-1, -1, -1, -1, 1, 0]], cost=cost)
    policy = Scripted(Draw(Vote(1), 2), Draw(Vote(1), 3), Draw(Vote(1), 9))
    found = replay(policy, samples)
    assert found.spend == pytest.approx(cost.sum(axis=1))  # silent, ignored, and beyond the record: six of nine came
    assert found.drawn.tolist() == [6, 6]
    assert found.rounds.tolist() == [3, 3]
    assert [len(part) for part in policy.seen] == [2, 3, 1, 2, 3, 1]
    assert found.vote_share.tolist() == [0.5, 0.5]


def test_what_a_run_holds_never_leads_to_a_sample_it_did_not_pay_for():
    samples = Samples([[7, 5, 0, 5, 9, 0]], scores=np.linspace(0, 1, 6)[None], cost=np.full((1, 6), 2.0))
    order = random_orders(samples.drawn, 1, 0)[0]
    run = Scripted(Draw(Vote(1), 2)).start("x")
    drive(run, Meter(samples, 0, {"": order[0]}))
    seen, todo = {}, [run]
    while todo:
        thing = todo.pop()
        # Types and modules lead everywhere, and hold no samples.
        if id(thing) in seen or isinstance(thing, (type, types.ModuleType, types.FunctionType)):
            continue
        seen[id(thing)] = thing
        todo += gc.get_referents(thing)
    assert not any(isinstance(thing, (Samples, Meter, np.ndarray)) for thing in seen.values())
    assert [result.score for result in run.results] == samples.scores[0, order[0, :2]].tolist()


def test_answers_have_new_names_in_order_of_appearance():
    samples = Samples([[7, 5, -1, 7, 0, 5]])
    meter = Meter(samples, 0, {"": np.arange(6)})
    assert not meter.grade(2)  # nothing was sold yet
    assert [result.answer for result in meter.pay(Draw(Vote(1), 6))] == [0, 1, None, 0, 2, 1]
    assert [meter.grade(answer) for answer in (0, 1, 2, 3, None)] == [False, False, True, False, False]
    # Which code is the gold one, the names do not tell: swapped with another answer, the results are the same.
    swapped = np.where(samples.answers == 0, 7, np.where(samples.answers == 7, 0, samples.answers))
    other = Meter(Samples(swapped), 0, {"": np.arange(6)})
    assert other.pay(Draw(Vote(1), 6)) == Meter(samples, 0, {"": np.arange(6)}).pay(Draw(Vote(1), 6))


def test_right_and_wrong_is_said_only_by_a_verifier():
    samples = some_samples()
    policy = Scripted(Draw(Vote(1), 12))
    replay(policy, samples)
    assert all(result.correct is None for part in policy.seen for result in part)
    checked = Scripted(Draw(Best(1), 12))
    replay(checked, samples, verifier=True)
    assert sum(result.correct for part in checked.seen for result in part) == samples.correct.sum()
    alone = Scripted(Draw(Best(1), 2), answer=lambda results: results[0].answer)
    marks = Samples(correct=[[True, True, False], [False, False, False]])
    replay(policy, marks)
    assert all(result.correct is None for part in policy.seen for result in part)  # a verifier is never assumed
    found = replay(alone, marks, orders=30, verifier=True)
    assert all(result.correct is not None for part in alone.seen for result in part)
    assert all(part[0].answer != part[1].answer for part in alone.seen)  # right and wrong says not who agrees
    assert 0.4 < found.accuracy[0] < 0.9
    assert found.accuracy[1] == 0


def test_the_meter_says_all_that_a_real_client_would():
    samples = Samples([[0, 1]], logprobs=[[-1.5, np.nan]], scores=[[0.25, -np.inf]], tokens=[[3, 4]], cost=0.5)
    first, second = Meter(samples, 0, {"": np.arange(2)}).pay(Draw(Vote(1), 2))
    assert (first.logprob, first.score, first.tokens, first.cost) == (-1.5, 0.25, 3, 0.5)
    assert (second.logprob, second.score, second.tokens) == (None, -np.inf, 4)


def test_several_models_share_the_names_of_answers():
    samples = Samples(arms={"small": Samples([[3, 0]], cost=1.0), "large": Samples([[0, 3]], cost=2.5)})
    meter = Meter(samples, 0, {"small": np.arange(2), "large": np.arange(2)})
    small = meter.pay(Draw(Vote(1, "small"), 2))
    large = meter.pay(Draw(Vote(1, "large"), 5))
    assert [result.answer for result in small + large] == [0, 1, 1, 0]
    assert (meter.spend, meter.rounds, meter.drawn) == (7.0, 2, 4)
    with pytest.raises(InputError, match=r"draws from the model 'huge'; recorded are 'small', 'large'"):
        meter.pay(Draw(Vote(1, "huge"), 1))
    with pytest.raises(InputError, match="draws from the model None"):
        meter.pay(Draw(Vote(1), 1))


def test_rates_charge_the_prompt_once_per_draw():
    samples = Samples([[0, 1, 1]], tokens={"input": [[100, 100, 100]], "output": [[10, 20, 30]]})
    once = Action(rates=Rates(input=0.01, output=0.1))
    each = Action(rates=Rates(input=0.01, output=0.1, prompt_once=False))
    assert replay(Scripted(Draw(once, 3)), samples).spend[0] == pytest.approx(1 + 6)
    assert replay(Scripted(*[Draw(once, 1)] * 3), samples).spend[0] == pytest.approx(3 + 6)
    assert replay(Scripted(Draw(each, 3)), samples).spend[0] == pytest.approx(3 + 6)
    with pytest.raises(InputError, match="its input and output tokens were not recorded"):
        replay(Scripted(Draw(once, 1)), Samples([[0, 1]]))


@pytest.mark.parametrize("n", [0, -1, 1.0, True, None])
def test_a_draw_of_no_number_is_refused(n):
    with pytest.raises(InputError, match=r"Draw.n is .*at least 1"):
        replay(Scripted(Draw(Vote(1), n)), Samples([[0, 1]]))


def test_a_policy_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(replaying, "ENDLESS", 50)

    class Endless(ScriptedRun):
        def next(self):
            return Draw(Vote(1), 1)

        def add(self, results):
            pass

    with pytest.raises(InputError, match="without ending"):
        drive(Endless(Scripted()), Meter(Samples([[0, 1]]), 0, {"": np.arange(2)}))


def test_a_policy_that_draws_nothing_is_wrong_and_free():
    class Nothing:
        def start(self, x):
            return DecidedRun(None)

    found = replay(Nothing(), Samples([[0, 0], [1, 0]]))
    assert (found.spend.tolist(), found.accuracy.tolist(), found.rounds.tolist()) == ([0, 0], [0, 0], [0, 0])


# ---------------------------------------------------------------------------------------------- what is told, orders


def test_a_policy_is_told_its_row_of_x_or_the_id():
    pandas = pytest.importorskip("pandas")
    samples = Samples([[0], [1], [0]], ids=["q1", "q2", "q3"])
    for X, expected in [
        (None, ["q3", "q1"]),
        (["a", "b", "c"], ["c", "a"]),
        (np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), [[5.0, 6.0], [1.0, 2.0]]),
        (pandas.DataFrame({"words": [1, 2, 3]}), [[3], [1]]),
    ]:
        policy = Scripted()
        replay(policy, samples, X, rows=[2, 0])
        assert [list(x) if not isinstance(x, str) else x for x in policy.told] == expected
    with pytest.raises(InputError, match="X has 2 rows, but samples has 3 questions"):
        replay(Scripted(), samples, ["a", "b"])


def test_orders_are_seeded_and_depend_neither_on_rows_nor_on_their_number():
    samples = some_samples()
    order = random_orders(samples.drawn, 3, 5)
    assert np.array_equal(order[:2], random_orders(samples.drawn, 2, 5))
    assert not np.array_equal(order, random_orders(samples.drawn, 3, 6))
    assert np.array_equal(np.sort(order, axis=2), np.broadcast_to(np.arange(12), order.shape))
    all_rows, some = (
        replay(FixedK(3), samples, orders=3, random_state=5),
        replay(FixedK(3), samples, orders=3, random_state=5, rows=[4, 9]),
    )
    assert np.array_equal(all_rows.accuracy[[4, 9]], some.accuracy)


def test_a_turn_of_orders_has_every_sample_once_in_every_place():
    rng = np.random.default_rng(0)
    drawn = rng.random((9, 8)) < 0.8
    drawn[:, 0] = True
    order = random_orders(drawn, 16, 1)
    for i, size in enumerate(drawn.sum(axis=1)):
        assert (np.sort(order[:, i, :size], axis=1) == np.flatnonzero(drawn[i])).all()
        if size == 8:
            assert (np.sort(order[:8, i], axis=0) == np.arange(8)[:, None]).all()
    assert not np.array_equal(order[8:], order[:8])
    # Each order alone is uniformly random: over seeds, every sample comes first and last equally often.
    all_drawn = np.ones((3000, 4), bool)
    for r in (0, 3):
        one = random_orders(all_drawn, 4, 7)[r]
        assert np.abs(np.bincount(one[:, 0]) / 3000 - 0.25).max() < 0.03
        assert (
            np.abs(
                np.bincount(4 * one[:, 0] + one[:, 1], minlength=16) / 3000 - np.where(np.eye(4) > 0, 0, 1 / 12).ravel()
            ).max()
            < 0.025
        )


def test_samples_that_were_not_drawn_are_never_sold():
    answers = np.array([[0, -2, 1, -2, 0, 1], [-2, -2, -2, -2, -2, 0], [0, 1, 2, 3, 4, 5]])
    samples = Samples(answers)
    assert replay(FixedK(5), samples, orders=4).spend.tolist() == [4, 1, 5]
    assert Paths(samples, 4, 0).outcome(FixedK(5))[0].tolist() == [4, 1, 5]


# ---------------------------------------------------------------------------------------------- fast = slow

RULES = [
    FixedK(0),
    FixedK(4),
    FixedK(99),
    AdaptiveConsistency(0.8, 9),
    AdaptiveConsistency(0.93, 12, "dirichlet"),
    ESC(1, 12),
    ESC(2, 12),
    ESC(3, 11),
    SPRT(0.7, 0.15, 0.4, 12),
    SPRT(cap=12),
    MarginCap(1, 12),
    MarginCap(2, 7),
    SuccessStop(6, Vote(1)),
]


def short(rule):
    return str(rule).split(", action=")[0] if hasattr(rule, "cap") else None


@pytest.mark.parametrize("rule", RULES, ids=short)
def test_fast_replay_equals_the_metered_one(rule):
    rng = np.random.default_rng(1)
    samples = some_samples(1, cost=rng.random((30, 12)))
    answers = np.where(rng.random((30, 12)) < 0.1, -2, samples.answers)
    answers[:, 0] = 1
    samples = Samples(answers, cost=samples.cost)
    slow = replay(rule, samples, orders=4, random_state=3)
    paths = Paths(samples, 4, 3)
    spend, accuracy = paths.outcome(rule, ties="first")
    assert spend == pytest.approx(slow.spend, abs=1e-12)
    assert accuracy.tolist() == slow.accuracy.tolist()
    assert paths._rounds(rule).mean(axis=0).tolist() == slow.rounds.tolist()


@pytest.mark.parametrize("rule", [FixedK(4, Best(1)), SuccessStop(4, Best(1)), SuccessStop(0, Best(1))], ids=short)
@pytest.mark.parametrize("marks_alone", [True, False])
def test_fast_replay_equals_the_metered_one_with_a_verifier(rule, marks_alone):
    samples = some_samples(2)
    if marks_alone:
        samples = Samples(correct=samples.correct)
    slow = replay(rule, samples, orders=4, random_state=3, verifier=True)
    paths = Paths(samples, 4, 3, verifier=True)
    spend, accuracy = paths.outcome(rule, ties="first")
    assert (spend.tolist(), accuracy.tolist()) == (slow.spend.tolist(), slow.accuracy.tolist())
    assert paths._rounds(rule).mean(axis=0).tolist() == slow.rounds.tolist()


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(-2, 4), min_size=7, max_size=7), min_size=1, max_size=5), st.integers(0, 5))
def test_prefixes_are_counted_right(rows, seed):
    answers = np.array(rows)
    if (answers == -2).all():
        return
    samples = Samples(answers)
    paths, order = Paths(samples, 2, seed), random_orders(samples.drawn, 2, seed)
    for r in range(2):
        for i in range(len(answers)):
            sold = answers[i][order[r, i]]
            for j in range(paths.size[i]):
                prefix = [code for code in sold[: j + 1].tolist() if code >= 0]
                counts = sorted((prefix.count(code) for code in set(prefix)), reverse=True)
                at = paths.state[r, i, j]
                assert paths.states.n[at] == j + 1
                assert paths.states.voted[at] == len(prefix)
                assert paths.states.distinct[at] == len(counts)
                assert [c for c in paths.states.counts[at].tolist() if c] == counts[:5]
                streak = next((t for t in range(j + 1) if sold[j - t] != sold[j]), j + 1) if sold[j] >= 0 else 0
                assert paths.states.streak[at] == streak
                most = max(counts, default=0)
                tied = [code for code in dict.fromkeys(prefix) if prefix.count(code) == most]
                assert paths.even[r, i, j] == np.float32((0 in tied) / max(len(tied), 1))
                assert paths.first[r, i, j] == float(tied[:1] == [0])


def test_fixed_k_over_many_orders_is_the_exact_expectation():
    samples = some_samples(4, n=40)
    paths = Paths(samples, 400, 0)
    for k in (1, 3, 6, 12):
        exact = vote_accuracy(samples.answers, k)
        spend, accuracy = paths.outcome(FixedK(k))
        assert spend.tolist() == [k] * 40
        assert abs(accuracy.mean() - exact.mean()) < 0.005
        assert np.abs(accuracy - exact).max() < 0.12
    assert accuracy == pytest.approx(exact, abs=1e-6)  # all twelve: no chance left


def test_both_ways_to_split_ties_have_one_expectation():
    samples = some_samples(5, n=60)
    paths = Paths(samples, 300, 1)
    for rule in (ESC(2, 6), MarginCap(2, 5), AdaptiveConsistency(0.85, 6)):
        even, first = paths.outcome(rule)[1], paths.outcome(rule, ties="first")[1]
        assert abs(even.mean() - first.mean()) < 0.006


def test_a_plan_of_waves_looks_only_where_it_stands():
    paths = Paths(some_samples(8), 6, 2)
    states = paths.states
    # Two at once, then three at once while the margin is below two: a stop within a wave goes unseen.
    draws = np.where(states.counts[:, 0] - states.counts[:, 1] >= 2, 0, 3)

    class Waves(Scripted):
        def start(self, x):
            return WaveRun()

    class WaveRun:
        spend, vote_share = 0.0, 0.0

        def __init__(self):
            self.votes, self.n = {}, 0

        def next(self):
            top = [*sorted(self.votes.values(), reverse=True), 0, 0]
            if self.n >= 12 or (self.n and top[0] - top[1] >= 2):
                return None
            return Draw(Vote(1), 3 if self.n else 2)

        def add(self, results):
            self.n += len(results)
            for result in results:
                if result.answer is not None:
                    self.votes[result.answer] = self.votes.get(result.answer, 0) + 1

        @property
        def answer(self):
            return max(self.votes, key=self.votes.get, default=None)

    slow = replay(Waves(), some_samples(8), orders=6, random_state=2)
    drawn, rounds = paths.walk(draws, 2)
    spend, accuracy = paths.at(drawn, paths.first)
    assert spend.tolist() == slow.spend.tolist()
    assert accuracy == pytest.approx(slow.accuracy, abs=1e-12)
    assert rounds.mean(axis=0) == pytest.approx(slow.rounds, abs=1e-12)
    assert paths.walk(draws, 0)[0].sum() == 0


def test_many_rules_at_once_are_each_alone():
    paths = Paths(some_samples(6), 3, 0)
    together = paths.outcomes(RULES)
    for j, rule in enumerate(RULES):
        alone = paths.outcome(rule)
        assert (together[0][j].tolist(), together[1][j].tolist()) == (alone[0].tolist(), alone[1].tolist())


def test_a_rule_is_asked_per_state_without_question_or_future():
    class Watching:
        cap, threshold, key = 12, 1.0, "watching"

        def measure(self, states):
            assert isinstance(states, States)
            rows = np.column_stack(
                [states.n, states.voted, states.counts, states.distinct, states.streak, states.success]
            )
            assert len(np.unique(rows, axis=0)) == len(rows)  # no state stands for one question's one order
            return np.zeros(len(states))

        def batch(self, states):
            return np.ones(len(states), int)

    assert Paths(some_samples(7), 5, 0).outcome(Watching())[0].tolist() == [12] * 30


def test_long_records_count_alike():
    rng = np.random.default_rng(3)
    answers = np.where(rng.random((3, 150)) < 0.5, 0, rng.integers(-1, 5, (3, 150)))
    rule = AdaptiveConsistency(0.999, 140)
    slow, paths = replay(rule, Samples(answers)), Paths(Samples(answers), 1, 0)
    assert paths.outcome(rule, ties="first")[0].tolist() == slow.spend.tolist()
    assert paths.states.n.max() == 150


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Paths(Samples(arms={"a": Samples([[0]])})), "several arms; expected those of one model"),
        (lambda: Paths(Samples(correct=[[True]]), verifier=False), "a vote needs answers"),
        (lambda: Paths(Samples([[0]])).outcome(FixedK(1), ties="odd"), "ties is 'odd'"),
        (lambda: replay(FixedK(1), Samples([[0]]), orders=0), "orders is 0; expected a whole number, at least 1"),
        (lambda: replay(FixedK(1), Samples([[0, 1]], cost=[[1, np.nan]])), r"cost\[0, 1\] is NaN"),
        (
            lambda: replay(FixedK(1), Samples(arms={"a": Samples([[0]]), "b": Samples([[0]], cost=2)})),
            "'a' has no cost, but other models have",
        ),
        (lambda: Paths(Samples([[0, 1]], cost=[[1, np.nan]])), r"cost\[0, 1\] is NaN"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_real_table_vote_accuracy_and_published_beta_setting(shared_data):
    with np.load(shared_data / "gsm8k_qwen25_1p5b_n30.npz", allow_pickle=False) as found:
        samples = Samples(found["answer"].astype(int))
    paths = Paths(samples, 60, 0)
    assert paths.outcome(FixedK(1))[1].mean() == pytest.approx(0.6506, abs=0.006)
    assert paths.outcome(FixedK(8))[1].mean() == pytest.approx(0.7819, abs=0.006)
    spend, accuracy = paths.outcome(AdaptiveConsistency(0.95, 30))
    full = paths.outcome(FixedK(30))[1]
    assert spend.mean() < 15  # half of the samples and more are saved …
    assert accuracy.mean() > full.mean() - 0.01  # … at what the paper calls no loss


def test_rules_of_different_classes_share_no_measure():
    """A new rule that copies another one's key is not given its measure."""

    class Opposite(MarginCap):
        def measure(self, states):
            return -super().measure(states)

    samples = Samples(np.random.default_rng(0).integers(0, 3, (20, 8)))
    paths = Paths(samples, 4, 0)
    margin, opposite = MarginCap(2, 8), Opposite(2, 8)
    assert margin.key == opposite.key
    spends = [paths.outcome(rule)[0].mean() for rule in (margin, opposite)]
    assert spends[0] < spends[1] == 8.0

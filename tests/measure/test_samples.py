"""Samples: what arrays may be, what a run folder becomes, and the tables that follow."""

import pickle
import re
import time

import numpy as np
import pytest

from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure import Best, One, Rates, Samples, Vote, vote_accuracy


def codes(n=40, s=8, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random((n, 1))
    return np.where(rng.random((n, s)) < p, 0, rng.integers(-1, 4, (n, s)))


# ---------------------------------------------------------------------------------------------- tables


def test_exact_tables_are_the_exact_expectations():
    answers = codes()
    table = Samples(answers).table([Vote(1), Vote(3), Vote(8)], shrink=False)
    for a, k in enumerate((1, 3, 8)):
        assert table.acc[:, a].tolist() == vote_accuracy(answers, k).tolist()
    assert table.cost.tolist() == [1, 3, 8]
    assert table.action_names == ("vote1", "vote3", "vote8")
    assert table.se.shape == table.acc.shape
    assert table.available is None
    assert table.notes == ()


def test_one_question_without_and_with_shrinking():
    for shrink in (True, False, "window"):
        table = Samples([[0, 1, 0, 2]]).table([Vote(1), Vote(3), Best(2)], shrink=shrink)
        # What questions have in common is, of one question, itself.
        np.testing.assert_allclose(table.acc[0, 0], 0.5, atol=1e-12)
    assert table.acc[0].tolist() == [0.5, 1.0, 1.0]  # windows: the first three; (0, 1) and (0, 2)


def test_ragged_samples():
    answers = np.array([[0, 1, 0, 0], [1, 0, -2, -2], [-2, 0, 1, 1], [-2, -2, -2, -2]])
    samples = Samples(answers, ids=["a", "b", "c", "d"])
    assert repr(samples) == "Samples(4 questions, 0 to 4 samples)"
    for shrink in (True, False, "window"):
        table = samples.table([Vote(1), Vote(3), Best(4)], shrink=shrink)
        assert table.ids.tolist() == ["a", "b", "c"]
        assert table.available.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
        assert "1 of 4 questions has too few samples for any action." in table.notes
        assert "vote3 is not available for 1 of 3 questions, which has fewer than 3 samples." in table.notes
        table.solve(3.0)
    exact = samples.table([Vote(1), Vote(3)], shrink=False)
    assert exact.acc[2].tolist() == pytest.approx([1 / 3, 0.0])
    with pytest.raises(InputError, match=re.escape("actions[1] is vote5, but no question has more than 4 samples")):
        samples.table([Vote(1), Vote(5)])


def test_right_and_wrong_are_enough_for_one_sample_and_not_for_votes():
    correct = codes() == 0
    table = Samples(correct=correct).table([One(), Best(4)], shrink=False)
    assert table.action_names == ("one", "best4")
    np.testing.assert_allclose(table.acc[:, 0], correct.mean(axis=1))
    assert (table.acc[:, 1] >= table.acc[:, 0] - 1e-12).all()
    with pytest.raises(InputError, match="only right and wrong were recorded: how the wrong answers split"):
        Samples(correct=correct).table([Vote(3)])
    marks = np.where(correct, 1, 0).astype(np.int8)
    marks[0, 3:] = -1
    assert Samples(correct=marks).sizes[:2].tolist() == [3, 8]


def test_scores():
    scores = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, np.nan]])
    samples = Samples([[0, 1, 1], [0, 1, 1]], scores=scores)
    table = samples.table([Best(1, by="score"), Best(3, by="score")], shrink=False)
    assert table.acc.tolist() == pytest.approx(np.array([[1 / 3, 1], [1 / 3, 0]]))
    shrunk = samples.table([Best(1, by="score"), Best(3, by="score")])
    np.testing.assert_allclose(shrunk.acc.mean(axis=0), table.acc.mean(axis=0))
    with pytest.raises(InputError, match="no scores were recorded"):
        Samples([[0, 1]]).table([Best(2, by="score")])


def test_windows_are_those_of_the_paper():
    answers = np.array([[0, 1, 1, 0, 0, 0, 1]])
    table = Samples(answers).table([Vote(1), Vote(3), Vote(7)], "window")
    windows = [vote_accuracy(answers[:, :3], 3)[0], vote_accuracy(answers[:, 3:6], 3)[0]]
    assert table.acc[0].tolist() == pytest.approx([4 / 7, np.mean(windows), 1.0])


# ---------------------------------------------------------------------------------------------- several models


def test_models_by_name():
    recorded = load_recorded()
    arms = {m: Samples(recorded.answers[m], cost=recorded.relative_cost[m]) for m in recorded.models}
    samples = Samples(arms=arms, ids=recorded.ids)
    actions = [Vote(k, m) for m in recorded.models for k in (1, 5)]
    for shrink in (True, False, "window"):
        table = samples.table(actions, shrink=shrink)
        assert table.cost.tolist() == pytest.approx([1, 5, 1.2, 6, 2.6, 13])
        assert ((table.acc >= 0) & (table.acc <= 1)).all()
        assert table.claim(table.solve(2.0)).high < 1
    # Models are compared, so the shrunk level borrows from the other models; means stay.
    exact = samples.table(actions, shrink=False)
    np.testing.assert_allclose(samples.table(actions).acc.mean(axis=0), exact.acc.mean(axis=0), atol=0.003)
    with pytest.raises(InputError, match=r"actions\[0\] \(vote3\) names no model, but there are several: smollm2_135m"):
        samples.table([Vote(3)])
    with pytest.raises(InputError, match=re.escape("actions[0] asks for the model 'gpt'; there are smollm2_135m,")):
        samples.table([Vote(3, "gpt")])
    mixed = Samples(arms={"a": arms["gemma3_270m"], "b": Samples(recorded.answers["gemma3_270m"])})
    with pytest.raises(InputError, match="costs are in different units: recorded cost, samples"):
        mixed.table([Vote(1, "a"), Vote(1, "b")])


def test_one_sample_of_each_model():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    arms = {m: Samples(correct=rng.random((400, 1)) < p[:, None]) for m in "ab"}
    table = Samples(arms=arms).table([One("a"), One("b")])
    truth = p[np.arange(400)]
    # The better of two coins looks better than it is; what the coins share is what is believed.
    exact = Samples(arms=arms).table([One("a"), One("b")], shrink=False)
    assert exact.acc.max(axis=1).mean() - truth.mean() > 0.1
    assert abs(table.acc.max(axis=1).mean() - truth.mean()) < 0.05


# ---------------------------------------------------------------------------------------------- costs


def test_costs_shared_and_per_question():
    rng = np.random.default_rng(0)
    mean = rng.uniform(50, 150, (60, 1))
    cost = rng.normal(mean, 5, (60, 8))
    samples = Samples(codes(60), cost=cost)
    shared = samples.table([Vote(1), Vote(3)], shrink=False)
    np.testing.assert_allclose(shared.cost, [cost.mean(), 3 * cost.mean()])
    assert "costs are means over questions" in shared.notes[0]
    own = samples.table([Vote(1), Vote(3)], shrink=False, cost_per="question")
    assert own.cost.shape == (60, 2)
    np.testing.assert_allclose(own.cost[:, 0], cost.mean(axis=1), atol=2)  # reliable, so hardly shrunk
    noise = Samples(codes(60), cost=rng.normal(100, 30, (60, 8)))
    spread = noise.table([Vote(1)], shrink=False, cost_per="question").cost.std()
    assert spread < 0.6 * noise.cost.mean(axis=1).std()
    assert Samples(codes(3), cost=[1, 2, 3]).table([Vote(1)], cost_per="question").cost.shape == (3, 1)


def test_costs_by_rates():
    answers = codes(5, 4)
    tokens = {"input": np.full((5, 4), 100.0), "output": np.full((5, 4), 10.0), "reasoning": np.full((5, 4), 4.0)}
    samples = Samples(answers, tokens=tokens)
    once, each = Rates(1, 2, 3), Rates(1, 2, 3, prompt_once=False)
    table = samples.table([Vote(1, rates=once), Vote(4, rates=once)], shrink=False)
    np.testing.assert_allclose(table.cost, [100 + 24, 100 + 96])
    table = samples.table([Vote(1, rates=each), Vote(4, rates=each)], shrink=False)
    np.testing.assert_allclose(table.cost, [124, 4 * 124])
    with pytest.raises(InputError, match="has rates, but its tokens were not all recorded"):
        Samples(answers).table([Vote(1, rates=once)])


def test_usual_actions():
    arms = {"a": Samples(codes(5, 12)), "b": Samples(correct=codes(5, 3) == 0)}
    assert [a.name for a in arms["a"].usual_actions()] == ["vote1", "vote3", "vote5", "vote9"]
    assert [a.name for a in arms["b"].usual_actions()] == ["one"]  # nobody can tell which sample is the right one
    assert [a.name for a in arms["b"].usual_actions(verifier=True)] == ["best1", "best2"]
    both = Samples(arms=arms)
    assert [a.name for a in both.usual_actions()] == ["vote1 a", "vote3 a", "vote5 a", "vote9 a", "one b"]
    assert [a.name for a in both.usual_actions(verifier=True)] == [
        "best1 a", "best2 a", "best4 a", "best8 a", "best1 b", "best2 b",
    ]  # fmt: skip
    assert not both.answered
    assert arms["a"].answered
    for verifier in (False, True):
        both.table(both.usual_actions(verifier)).solve(2.0)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Samples(), "neither answers nor correct given"),
        (lambda: Samples([0, 1]), "answers has shape (2,); expected (N, S)"),
        (lambda: Samples([[0], [0, 1]]), "answers cannot be converted to an array"),
        (lambda: Samples([[0.5]]), "answers has dtype float64; expected integer codes"),
        (lambda: Samples([[0, -3]]), "answers[0, 1] is -3; allowed are -2 (not drawn)"),
        (lambda: Samples([[-2, -2]]), "not one sample was drawn"),
        (lambda: Samples(correct=[[0.0]]), "correct has dtype float64"),
        (lambda: Samples(correct=[[2, 0]]), "correct[0, 0] is 2; allowed are 1, 0 and -1."),
        (lambda: Samples([[0, 1]], correct=[[True]]), "correct has shape (1, 1), but answers has (1, 2)."),
        (lambda: Samples([[0, 1]], correct=[[True, True]]), "correct[0, 1] is True; allowed are True where, and only"),
        (lambda: Samples([[0, 1]], cost=[[1, -1]]), "cost[0, 1] is -1.0; allowed are numbers from 0 to 1e+100"),
        (lambda: Samples([[0, 1]], cost=[[1, 1e308]]), "cost[0, 1] is 1e+308; allowed are numbers from 0 to 1e+100"),
        (lambda: Samples([[0, 1]], cost=np.inf), "cost is inf; allowed are numbers from 0 to 1e+100"),
        (lambda: Samples([[0, 1]], cost=[1, 2, 3]), "cost has shape (3,); expected one number, (1,) per question"),
        (lambda: Samples([[0, 1]], cost="much"), "cost cannot be converted to an array of numbers"),
        (lambda: Samples([[0, 1]], cost=float("nan")), "cost is NaN everywhere"),
        (lambda: Samples([[0, 1]], scores=[[1]]), "scores has shape (1, 1); expected (1, 2), one per sample."),
        (lambda: Samples([[0, 1]], tokens={"out": [[1, 2]]}), "tokens: unknown kind 'out'"),
        (lambda: Samples([[0, 1]], tokens=[[1, -2]]), "tokens['output'][0, 1] is -2.0"),
        (lambda: Samples([[0, 1]], ids=["a", "b"]), "ids has shape (2,); expected (1,), one per question."),
        (lambda: Samples([[0]], arms={"a": Samples([[0]])}), "answers and arms given; expected one of them."),
        (lambda: Samples(arms={}), "arms is not a mapping of names to Samples, or empty."),
        (lambda: Samples(arms={"a": [[0]]}), "arms['a'] is list; expected Samples of one model."),
        (lambda: Samples(arms={"a": Samples([[0]]), "b": Samples([[0], [0]])}), "arms['b'] has 2 questions, but arms"),
        (lambda: Samples([[0, 1]]).table([]), "actions is empty"),
        (lambda: Samples([[0, 1]]).table([Vote(1), Vote(1)]), "actions[1] is 'vote1' like actions[0]"),
        (lambda: Samples([[0, 1]]).table([Vote(1)], shrink="no"), "shrink is 'no'; allowed are True"),
        (lambda: Samples([[0, 1]]).table([Vote(1)], cost_per="no"), "cost_per is 'no'; allowed are 'action' and"),
        (lambda: Samples([[0, 1]]).table([Vote(1)], cross_fit=0), "cross_fit is 0; expected a whole number of splits"),
        (lambda: Samples([[0, 1]]).table([Vote(2)], cross_fit=2), "cross_fit: actions[0] is vote2, but half of"),
    ],
)  # fmt: skip
def test_bad_input(make, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make()


def test_samples_are_picklable_and_leave_input_alone():
    answers = codes()
    answers.flags.writeable = False
    samples = Samples(answers, ids=np.arange(40))
    back = pickle.loads(pickle.dumps(samples))
    assert (back.answers == answers).all()
    assert back.table([Vote(3)]).acc.tolist() == samples.table([Vote(3)]).acc.tolist()


# ---------------------------------------------------------------------------------------------- speed


@pytest.mark.slow
@pytest.mark.parametrize("ragged", [False, True])
def test_a_hundred_thousand_questions_take_seconds(ragged):
    rng = np.random.default_rng(0)
    answers = np.minimum(rng.geometric(rng.uniform(0.2, 0.9, (100_000, 1)), (100_000, 40)), 12).astype(np.int16) - 1
    if ragged:
        answers[np.arange(40) >= rng.integers(10, 41, 100_000)[:, None]] = -2
    start = time.process_time()
    table = Samples(answers).table([Vote(k) for k in (1, 3, 5, 9, 16)])
    assert time.process_time() - start < 30  # 5 s on a quiet machine
    assert table.acc.shape == (100_000, 5)

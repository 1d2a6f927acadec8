"""The epochs of one question: what a policy asks for, whatever order they end in."""

import itertools
import random

import pytest

from tcalloc.learn.protocol import Always, Result
from tcalloc.learn.rivals import MarginCap
from tcalloc.measure.actions import Vote
from tcalloc.serve.inspect_ai.full_vote import FullVote
from tcalloc.serve.inspect_ai.question_epochs import Epoch, QuestionEpochs, needed
from tcalloc.serve.inspect_ai.votes import voted


def came(answer, cost=1.0):
    return Epoch(Result(answer, cost), float(answer == "right"))


def results(answers):
    return [Result(answer, 1.0) for answer in answers]


def drive(policy, answers, at_once, seed=0):
    """Run epochs as Inspect does, `at_once` at a time, each ending at random; return the question."""
    rng = random.Random(seed)
    question, running, waiting = QuestionEpochs(policy.start("q")), [], list(range(1, len(answers) + 1))
    while running or waiting:
        while waiting and len(running) < at_once:
            wish = question.wish()
            if wish == "wait":
                break
            epoch = waiting.pop(0)
            if wish == "stop":
                question.stopped.add(epoch)
            else:
                question.begin(epoch)
                running.append(epoch)
        if running:
            epoch = running.pop(rng.randrange(len(running)))
            question.finish(epoch, came(answers[epoch - 1]))
    return question


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_no_epoch_beyond_what_the_policy_asks_for(at_once):
    question = drive(MarginCap(2, 8), ["right", "right", *"abcdef"], at_once)
    assert sorted(question.done) == [1, 2]
    assert question.stopped == {3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("seed", range(5))
def test_epochs_are_told_in_their_order(seed):
    """Six are drawn at once and end at random; the tie is broken by the first epoch."""
    question = drive(Always(Vote(6)), list("abbacc"), 6, seed)
    assert question.run.answer is None or question.run.answer == "a"
    assert question.answers == list("abbacc")[: len(question.done)] or len(question.done) < 6


@pytest.mark.parametrize("answers", list(itertools.product("abc", repeat=5)))
def test_the_full_vote_answers_as_all_epochs_do(answers):
    """Whatever comes, the epochs that are left out cannot change the answer."""
    question = drive(FullVote(5), answers, 1)
    assert question.answers[voted(question.answers)] == answers[voted(answers)]
    assert len(question.done) + len(question.stopped) == 5


def test_the_full_vote_begins_with_a_majority():
    assert FullVote(8).start("q").next().n == 5
    assert FullVote(1).start("q").next().n == 1


def test_an_epoch_that_fails_makes_room_for_another():
    question = QuestionEpochs(MarginCap(2, 8).start("q"))
    question.begin(1)
    question.begin(2)
    assert question.wish() == "wait"
    question.leave(1)
    assert question.wish() == "run"
    assert question.failed == {1}
    question.begin(1)  # tried again
    assert question.failed == set()
    assert question.wish() == "wait"


def test_an_epoch_that_was_tried_again_in_vain_is_spare():
    """Three results for a draw of two: the third belongs to the next draw."""
    question = QuestionEpochs(MarginCap(2, 8).start("q"))
    for epoch, answer in ((1, "a"), (2, "b"), (3, "a")):
        question.begin(epoch)
        question.finish(epoch, came(answer))
    assert question.wish() == "wait" or question.wish() == "run"
    assert question.answers == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("answers", "n", "ends"),
    [("aab", 2, True), ("abb", 3, False), ("abcaa", 5, True), ("ab", 2, False), ("", 0, False), ("aa", 2, True),
     ("abababab", 8, True)],
)  # fmt: skip
def test_needed(answers, n, ends):
    assert needed(MarginCap(2, 8).start("q"), results(answers)) == (n, ends)


def test_needed_within_a_draw():
    """Five of eight are drawn at once; where it is settled within a draw, the others are not needed."""
    assert needed(FullVote(8).start("q"), results("aaaaabbb")) == (5, True)
    assert needed(Always(Vote(8)).start("q"), results("aaaaabbb")) == (5, True)
    assert needed(Always(Vote(8)).start("q"), results("aaaa")) == (4, False)


@pytest.mark.parametrize(
    ("answers", "place"), [("abb", 1), ("ab", 0), ([None, "b"], 1), ([None, None], 0), ([None, "b", "a", "a"], 2)]
)
def test_voted(answers, place):
    assert voted(list(answers)) == place

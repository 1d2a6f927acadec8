"""Who is told too much: by heart, in X or in the label; and who is only told the chances, and may be honest."""

import numpy as np
import pytest

from tcalloc import PricedPolicy, Samples, Table, Vote
from tcalloc.evaluate.compare import compare
from tcalloc.evaluate.conclusions.marks import to_check
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.protocol import Always


class Memory:
    """Has the outcomes of all questions in its pocket, and takes the cheapest action that is right."""

    def __init__(self, best=None):
        self.best = best

    def get_params(self, deep=True):
        return {"best": self.best}

    def __sklearn_clone__(self):
        return Memory(self.best)

    def fit(self, X, table):
        return self

    def decide(self, X, budget=None):
        return np.array([self.best[text] for text in X])


@pytest.fixture(scope="module")
def known():
    """Return samples of questions that differ much: some need many votes, some one, some are hopeless."""
    rng = np.random.default_rng(1)
    chance = rng.choice([0.05, 0.6, 0.97], 300)
    return Samples(np.where(rng.random((300, 16)) < chance[:, None], 0, rng.integers(1, 9, (300, 16))))


def suspicious(standing):
    return any("suspicious" in mark for mark in standing.marks)


def must_be_checked(standing, what="X"):
    """Whether it says what to check: that could be a cheat, or knowledge of each question's chances."""
    return to_check(standing) == what and f"{what} is known before anything is drawn" in " ".join(standing.marks)


def test_who_knows_the_outcomes_by_heart_must_be_checked(known):
    texts = [f"question {i}" for i in range(300)]
    acc, cost = Problem.of(known, X=texts).menu_filled
    best = {text: int(np.argmax(acc[i] - 0.02 * cost[i])) for i, text in enumerate(texts)}
    own = {"by heart": Memory(best=best), "honest": PricedPolicy(), "three votes": Always(Vote(3))}
    result = compare(known, ["ESC"], [1.5, 2.5], X=texts, own=own, orders=16)
    assert must_be_checked(result["by heart"])
    assert not any(suspicious(result[name]) or to_check(result[name]) for name in ("honest", "three votes", "ESC"))


def test_x_that_holds_the_answers_must_be_checked(known):
    rng = np.random.default_rng(2)
    noise = rng.random((300, 2))
    leak = np.column_stack([known.correct.mean(axis=1), noise[:, 0]])
    told, plain = (compare(known, ["kNN"], [1.2, 1.6, 2.0], X=x, orders=16)["kNN"] for x in (leak, noise))
    assert must_be_checked(told)
    assert not suspicious(plain)
    assert not to_check(plain)


def test_who_knows_which_of_few_samples_are_lucky_is_suspicious():
    """With two samples of even chances, a question that was right twice was lucky: no honest X tells which."""
    rng = np.random.default_rng(4)
    lucky = Samples(rng.integers(0, 2, (8000, 2)))
    acc, cost = Problem.of(lucky).menu_filled
    texts = [f"question {i}" for i in range(8000)]
    best = {text: int(np.argmax(acc[i] - 0.9 * cost[i])) for i, text in enumerate(texts)}
    result = compare(lucky, [], [0.25], X=texts, own={"by heart": Memory(best=best)}, orders=2)
    assert suspicious(result["by heart"])
    assert not to_check(result["by heart"])
    assert result.recommend().policy == result.reference


def test_who_knows_a_table_by_heart_is_suspicious():
    rng = np.random.default_rng(0)
    right, cost = (rng.random((400, 3)) < [0.4, 0.6, 0.8]).astype(float), np.array([1.0, 2.0, 4.0])
    texts = [f"question {i}" for i in range(400)]
    best = {text: int(np.argmax(right[i] - 0.05 * cost)) for i, text in enumerate(texts)}
    own = {"by heart": Memory(best=best), "honest": PricedPolicy()}
    result = compare(Table(right, cost), [], [1.5, 2.5], X=texts, own=own)
    assert suspicious(result["by heart"])
    assert not suspicious(result["honest"])


def test_if_x_holds_the_luck_all_who_look_at_it_are_suspicious():
    rng = np.random.default_rng(6)
    right = (rng.random((400, 2)) < [0.4, 0.6]).astype(float)
    result = compare(Table(right, [1.0, 2.0]), ["priced", "kNN"], [1.1, 1.2], X=right)
    assert suspicious(result["priced"])
    assert suspicious(result["kNN"])
    assert result.recommend().policy == result.reference


# ---------------------------------------------------------------------------------------------- and honest knowledge


@pytest.fixture(scope="module")
def kinds():
    """Return two models, two kinds of questions, each model good at one kind; and the kinds."""
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 300)
    arms = {}
    for name, chances in (("a", (0.85, 0.35)), ("b", (0.35, 0.85))):
        right = rng.random((300, 4)) < np.array(chances)[kind][:, None]
        arms[name] = Samples(np.where(right, 0, rng.integers(1, 6, (300, 4))))
    return Samples(arms=arms), kind


def test_who_is_told_the_chances_is_ranked_recommended_and_to_be_checked(kinds):
    samples, kind = kinds
    x = np.column_stack([kind, 1 - kind]).astype(float)
    result = compare(samples, ["kNN", "difficulty label", "AC Beta"], [1.0], X=x, difficulty=kind, orders=8)
    assert must_be_checked(result["kNN"])
    assert must_be_checked(result["difficulty label"], "the label")
    assert not any(suspicious(standing) for standing in result.standings)
    advice = result.recommend()
    what = {"kNN": "X", "difficulty label": "the label"}[advice.policy]
    assert advice.picks[0].check == what == advice.to_dict()["picks"][0]["check"]
    said = f"Its figures hold only if {what} is known before anything is drawn and was not made from the answers"
    assert said in " ".join(str(advice).split())
    assert sum(said in sentence for sentence in advice.sentences()) == 1


def test_a_label_that_tells_all_chances_of_answers_that_hardly_vary_is_not_suspicious():
    """Nearly all of what hindsight gains, and honest: with answers that are nearly always alike there is no luck."""
    rng = np.random.default_rng(5)
    kind = rng.integers(0, 2, 300)
    arms = {}
    for name, chances in (("a", (0.98, 0.02)), ("b", (0.02, 0.98))):
        right = rng.random((300, 3)) < np.array(chances)[kind][:, None]
        arms[name] = Samples(np.where(right, 0, 1))
    result = compare(Samples(arms=arms), ["difficulty label"], [1.0], difficulty=kind, orders=6)
    label, hindsight = result["difficulty label"], result["hindsight bound"]
    assert label.gain[0] > 0.9 * hindsight.gain[0]
    assert must_be_checked(label, "the label")
    assert not suspicious(label)


def test_sure_questions_that_an_honest_label_tells_are_not_suspicious():
    """At little spend only sure questions are answered: who knows which they are gains what hindsight does."""
    rng = np.random.default_rng(2)
    kind = rng.integers(0, 3, 600)
    right = rng.random((600, 6)) < np.array([0.0, 0.25, 0.97])[kind][:, None]
    answers = Samples(np.where(right, 0, 1 + rng.integers(0, 3, (600, 6))))
    result = compare(answers, ["difficulty label"], [0.3, 1.0], difficulty=kind, verifier=True, orders=6)
    assert result["difficulty label"].gain[0] > 0.9 * result["hindsight bound"].gain[0]
    assert must_be_checked(result["difficulty label"], "the label")
    assert result.recommend().policy == "difficulty label"


def test_who_knows_a_table_of_expectations_must_be_checked():
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 3, 300)
    acc = np.array([[0.3, 0.9], [0.8, 0.82], [0.1, 0.1]])[kind] + rng.normal(0, 0.01, (300, 2))
    table = Table(acc.clip(0, 1), np.array([1.0, 3.0]))
    result = compare(table, ["difficulty label", "priced"], [1.5, 2], difficulty=kind, X=np.eye(3)[kind])
    assert must_be_checked(result["difficulty label"], "the label")
    assert must_be_checked(result["priced"])
    assert not any(suspicious(standing) for standing in result.standings)
    assert result.recommend().policy in ("difficulty label", "priced")

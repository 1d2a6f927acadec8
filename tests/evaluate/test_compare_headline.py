"""What the first sentence is made from: which actions count, what they cost, who keeps a budget, who is better."""

import math

import numpy as np
import pytest
from compare_cases import samples_of
from comparisons import MIXTURE, made, replaced

from tcalloc import Samples, Table, compare
from tcalloc.evaluate import standings
from tcalloc.evaluate.conclusions.choice import affords, difference, learns
from tcalloc.evaluate.conclusions.headline import fixed, headline, saving
from tcalloc.evaluate.contestants import contestants_of
from tcalloc.evaluate.problem import Problem

# ---------------------------------------------------------------------------------------------- fixed actions


def test_the_spend_of_a_vote_is_what_it_really_costs():
    rng = np.random.default_rng(0)
    codes = samples_of(120, 12).answers
    ragged = Samples(np.where(np.arange(12) < rng.integers(2, 13, (120, 1)), codes, -2))
    result = compare(ragged, ["ESC"], [2.0, 3.0], orders=6)
    rows = fixed(result)
    assert [row[0] for row in rows][:2] == ["a single sample", "2 samples"]
    assert [row[1] for row in rows] == pytest.approx(result.action_spend[:12])
    assert rows[-1][1] < 9
    assert [row[2] for row in rows] == pytest.approx(result.vote_accuracy)


def test_a_saving_over_votes_that_cost_less_names_their_price():
    whole = made()
    assert "instead" not in headline(whole)[0]
    # Some questions have fewer samples: the same votes for three quarters.
    less = made(action_spend=0.75 * np.arange(1, 21.0))
    found = saving(less)
    count = int(found.action.split()[0])
    assert found.action_spend == pytest.approx(0.75 * count)
    assert found.spend < found.action_spend
    assert f" instead of {0.75 * count:.2g}" in headline(less)[0]


def test_what_is_free_and_answers_is_a_fixed_action():
    rng = np.random.default_rng(0)
    acc = np.column_stack([rng.random(200) < 0.5, rng.random(200) < 0.8]).astype(float)
    result = compare(Table(acc, [0.0, 1.0], action_names=("free", "dear")), [], [0.25, 0.5])
    assert fixed(result) == [("free", 0.0, acc[:, 0].mean(), 0), ("dear", 1.0, acc[:, 1].mean(), 1)]
    assert "is as good as any more expensive one" not in " ".join(headline(result))
    parts = {"votes": (), "vote_accuracy": np.zeros(0), "unit": "cost", "actions": ("one", "nothing")}
    kept = fixed(made(**parts, action_spend=np.array([1.0, 0.0]), action_accuracy=np.array([0.6, 0.0])))
    assert kept == [("one", 1.0, 0.6, 0)]


# ---------------------------------------------------------------------------------------------- budgets


def test_a_budget_of_nothing_hides_no_saving():
    plain, also = made(), made(budgets=(0.0, 1.5, 2.0, 3.0, 4.0))
    assert saving(also).policy == saving(plain).policy == "Sequential"
    assert also.budgets[saving(also).budget] == plain.budgets[saving(plain).budget]
    assert headline(also)[0] == headline(plain)[0]
    assert saving(made(budgets=(0.0,))) is None


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
def test_who_keeps_a_budget_does_not_depend_on_its_unit(unit):
    standing = replaced(made()["Sequential"], spend=unit * np.array([1.5, 2.02, 3.0, 0.0]))
    assert affords(standing, 1.5 * unit, 0)
    assert not affords(standing, 2.0 * unit, 1)
    assert affords(standing, 0.0, 3)
    assert not affords(standing, 0.0, 0)
    assert affords(replaced(standing, spend=unit * np.array([1e-12, 2.0, 3.0, 4.0])), 0.0, 0)


# ---------------------------------------------------------------------------------------------- differences


def test_a_difference_is_as_unsure_as_a_gain():
    result = made()
    one, mixture, rule = result["Sequential"], result[MIXTURE], result["AC Beta"]

    def plain(first, second):
        gap = first.question_accuracy[1] - second.question_accuracy[1]
        return gap.std(ddof=1) / math.sqrt(len(gap))

    for first, second, folds, wider in (
        (one, mixture, 5, math.sqrt(5 / 4)),
        (mixture, one, 2, math.sqrt(2)),
        (rule, one, 10, math.sqrt(10 / 9)),
        (rule, mixture, 5, 1.0),
    ):
        # Every question spends the same here, so that the slope adds nothing.
        assert difference(first, second, 1, folds)[1] == pytest.approx(wider * plain(first, second))


def test_the_interval_of_a_difference_from_the_mixture_is_that_of_the_gain():
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 2, 300)
    acc = (np.array([[0.3, 0.9], [0.6, 0.62]])[kind] + rng.normal(0, 0.25, (300, 2))).clip(0, 1)
    result = compare(Table(acc, [1.0, 3.0]), ["difficulty label"], [2.0], difficulty=kind, folds=2)
    found = result["difficulty label"]
    half = float(found.gain_high[0] - found.gain_low[0]) / 2
    assert 1.96 * difference(found, result[MIXTURE], 0, result.folds)[1] == pytest.approx(half, rel=0.08)


def test_who_learns_is_who_learns_where_gains_are_tested():
    data, texts = samples_of(40, 6, texts=True)
    some = made()["Sequential"]
    for checked in (False, True):
        problem = Problem.of(data, X=texts, difficulty=["a", "b"] * 20, verifier=checked, orders=4)
        everyone = contestants_of(problem, [2.0])[0]
        assert len(everyone) > 10
        for contestant in everyone:
            standing = replaced(some, name=contestant.name, kind=contestant.kind)
            assert learns(standing) == standings.learns(contestant), contestant.name

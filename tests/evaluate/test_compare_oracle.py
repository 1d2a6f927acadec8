"""The held-out oracle takes each question and model as it is: one short row does not hold back the others."""

import numpy as np
import pytest

from tcalloc import Samples, compare
from tcalloc.evaluate.contestants.bounds import Hindsight, halves
from tcalloc.evaluate.problem import Problem

ORACLE = "oracle, held out"


def answers(n, size, chance, rng):
    return np.where(rng.random((n, size)) < chance, 0, rng.integers(1, 4, (n, size)))


@pytest.fixture(scope="module")
def whole():
    rng = np.random.default_rng(3)
    return answers(250, 24, rng.beta(2, 1, (250, 1)), rng)


def gains(samples, budgets=(2.0, 4.0), policies=("ESC",), **more):
    result = compare(samples, list(policies), list(budgets), orders=8, **more)
    return result[ORACLE], result


@pytest.mark.parametrize("few", [3, 1])
def test_one_short_row_changes_next_to_nothing(whole, few):
    plain, result = gains(Samples(whole))
    short = whole.copy()
    short[7, few:] = -2
    found, other = gains(Samples(short))
    assert plain.gain_low[0] > 0.001
    assert found.gain == pytest.approx(plain.gain, abs=0.003)
    assert found.spend == pytest.approx(plain.spend, abs=1e-6)
    assert other["ESC"].captured == pytest.approx(result["ESC"].captured, abs=0.2)


def test_a_model_with_few_samples_does_not_hold_back_the_others():
    rng = np.random.default_rng(0)
    n = 200
    many = Samples(answers(n, 40, rng.beta(1, 1, (n, 1)), rng), cost=1.0)
    few = Samples(answers(n, 4, 0.5, rng), cost=20.0)
    alone, _ = gains(many, (3.0, 6.0), ["fixed k"])
    beside, _ = gains(Samples(arms={"many": many, "few": few}), (3.0, 6.0), ["fixed k"])
    assert beside.spend == pytest.approx([3.0, 6.0])
    # The mixture may use both models; the oracle is above it all the same, as it is without the second one.
    assert (beside.gain > alone.gain - 0.005).all()
    assert beside.gain_low[0] > 0


def test_a_model_with_single_samples_is_predicted_from_the_others():
    """A strong model was asked once per question: where the cheap one is known to fail, it is worth its cost."""
    rng = np.random.default_rng(1)
    n = 400
    chance = rng.choice([0.05, 0.95], (n, 1))
    cheap = Samples(answers(n, 12, chance, rng), cost=1.0)
    strong = Samples(answers(n, 1, 0.9, rng), cost=6.0)
    found, _ = gains(Samples(arms={"cheap": cheap, "strong": strong}), (3.5,), ["fixed k"])
    assert found.spend == pytest.approx([3.5])
    assert found.gain_low[0] > 0.1


def test_it_is_not_flattered_where_there_is_nothing_to_know():
    """All questions alike: whoever chooses by luck gains nothing on other samples."""
    rng = np.random.default_rng(2)
    n = 300
    arms = {name: Samples(answers(n, size, 0.6, rng), cost=1.0) for name, size in (("a", 12), ("b", 3), ("c", 1))}
    found, _ = gains(Samples(arms=arms), (1.0, 3.0), ["fixed k"])
    assert (found.gain_low <= 0.005).all()


def test_halves_are_a_lot_even_of_data_simulated_with_the_same_seed():
    """NumPy draws the same numbers from the seeds 0 and [0, 0]: halves by them would hold the right samples first."""
    rng = np.random.default_rng(0)
    drawn = rng.random((200, 40))
    samples = Samples(correct=drawn < rng.beta(0.3, 3, (200, 1)), cost=1.0)
    found, _ = gains(samples, (4.0, 8.0), ["fixed k"], verifier=True)
    assert (found.gain_low > 0.01).all()


def test_more_than_a_tenth_of_single_samples_is_too_much(whole):
    short = whole.copy()
    short[:30, 1:] = -2
    assert halves(Problem.of(Samples(short))) == 0
    result = compare(Samples(short), ["ESC"], [2.0], orders=4)
    assert "more than a tenth of the questions have one sample of each model" in result.skipped[ORACLE]
    short[:10] = whole[:10]
    assert halves(Problem.of(Samples(short))) == 230


def test_luck_is_not_told_by_one_short_row(whole):
    short = whole.copy()
    short[7, 2:] = -2
    assert Hindsight(Problem.of(Samples(short))).luck() == Hindsight(Problem.of(Samples(whole))).luck() == 0


def test_it_is_said_whose_single_samples_the_oracle_cannot_know():
    rng = np.random.default_rng(1)
    arms = {name: Samples(answers(60, size, 0.6, rng)) for name, size in (("cheap", 12), ("strong", 1))}
    found = " ".join(compare(Samples(arms=arms), ["fixed k"], [1.5], orders=4).remarks)
    assert "Some questions have a single sample of strong. The held-out oracle cannot know a sample" in found
    alone = " ".join(compare(arms["cheap"], ["fixed k"], [1.5], orders=4).remarks)
    assert "single sample" not in alone

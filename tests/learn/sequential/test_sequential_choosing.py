"""Which family `Sequential` uses at a budget: candidates made by hand, whose gains are known."""

from dataclasses import dataclass

import numpy as np
import pytest

from tcalloc.learn.sequential.rules.families import Outcomes
from tcalloc.learn.sequential.selection import HERE, PROOF, Candidate, Choices

SPENDS = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
PLAIN = np.array([0.0, 0.25, 0.5, 0.6, 0.7, 0.75])
N = 400


@dataclass(frozen=True)
class Kind:
    """All that the choice asks of a family."""

    blind: bool


# Half of the questions above the mean and half below, by as much as makes a standard error of .01.
NOISE = np.where(np.arange(N) % 2, 1.0, -1.0) * 0.01 * np.sqrt(N - 1)


def candidate(name, gains=0.0, errors=0.0, blind=False):
    """A family that gains so much over the plain one at each spend, each gain with so many hundredths of error."""
    spend = np.tile(SPENDS[:, None], (1, N))
    gains, errors = (np.broadcast_to(np.asarray(values, float), SPENDS.shape) for values in (gains, errors))
    accuracy = (PLAIN + gains)[:, None] + errors[:, None] * NOISE
    return Candidate(name, Kind(blind), Outcomes(spend, accuracy, spend))


def chosen(others, budget):
    candidates = [candidate("votes", blind=True), *others]
    return candidates[Choices(candidates, 1.0).at(budget).candidate].name


def test_counts_are_chosen_by_their_means():
    others = [candidate("worse", -0.01, blind=True), candidate("better", 0.001, errors=3.0, blind=True)]
    assert chosen(others, 2.0) == "better"
    assert chosen([candidate("worse", -0.01, blind=True)], 2.0) == "votes"


def test_what_reads_more_has_to_prove_it():
    gain = 0.01 * PROOF
    assert chosen([candidate("texts", 1.1 * gain, errors=1.0)], 2.0) == "texts"
    assert chosen([candidate("texts", 0.9 * gain, errors=1.0)], 2.0) == "votes"


def test_once_proven_less_is_enough_elsewhere():
    """At 2 it is proven; at 8 its gain is between the two gates, or below both."""
    at_two = np.where(SPENDS == 2.0, 0.01 * PROOF * 1.2, 0.0)

    def at_eight(share):
        return candidate("texts", at_two + np.where(SPENDS == 8.0, 0.01 * HERE * share, 0.0), errors=1.0)

    assert chosen([at_eight(1.2)], 8.0) == "texts"
    assert chosen([at_eight(0.8)], 8.0) == "votes"
    # Without the proof at 2 the same gain at 8 is not enough.
    assert chosen([candidate("texts", np.where(SPENDS == 8.0, 0.01 * HERE * 1.2, 0.0), errors=1.0)], 8.0) == "votes"


@pytest.mark.parametrize(("proven_at", "used_at", "expected"), [(0.5, 2.0, "votes"), (2.0, 0.5, "votes"),
                                                                (0.5, 1.0, "texts"), (2.0, 4.0, "texts")])  # fmt: skip
def test_knowing_whom_to_ask_is_no_proof_of_knowing_when_to_stop(proven_at, used_at, expected):
    """A proof below one sample each counts there alone, and so does one above."""
    gains = np.where(proven_at == SPENDS, 0.01 * PROOF * 1.2, 0.0) + np.where(used_at == SPENDS, 0.01 * HERE * 1.2, 0.0)
    assert chosen([candidate("texts", gains, errors=1.0)], used_at) == expected


def test_of_two_that_are_proven_the_better_is_used():
    others = [candidate("lengths", 0.05, errors=1.0), candidate("texts", 0.06, errors=1.0)]
    assert chosen(others, 2.0) == "texts"
    assert chosen(others[::-1], 2.0) == "texts"


def test_alike_is_no_gain():
    assert chosen([candidate("texts"), candidate("rules", blind=True)], 2.0) == "votes"


def test_one_question_proves_nothing():
    spend = SPENDS[:, None]
    made = [Candidate(name, Kind(name == "votes"), Outcomes(spend, spend * rise, spend))
            for name, rise in (("votes", 0.01), ("texts", 0.1))]  # fmt: skip
    choices = Choices(made, 1.0)
    assert made[choices.at(2.0).candidate].name == "votes"


def test_a_larger_budget_is_never_less_accurate():
    """Rules that read more reach a spend of 2 and end there; those of counts go on, and stay below them."""
    steps = SPENDS <= 2.0
    texts = candidate("texts", np.where(SPENDS > 0, 0.3, 0.0), errors=1.0)
    kept = Outcomes(*(part[steps] for part in (texts.inner.spend, texts.inner.accuracy, texts.inner.rounds)))
    texts = Candidate("texts", texts.family, kept)
    # Just below the gate at 8: what was picked for 2 is better, and costs less.
    high = candidate(
        "counts", np.where(SPENDS == 8.0, 0.14, 0.0), errors=np.where(SPENDS == 8.0, 50.0, 0.0), blind=True
    )
    choices = Choices([candidate("votes", blind=True), texts, high], 1.0)
    means = choices.mixed(choices.mixtures(np.array([2.0, 8.0]))).mean(axis=1).tolist()
    assert means[1] >= means[0]
    assert choices.at(8.0) == choices.mixtures(np.array([8.0]))[0] == choices.mixtures(np.array([2.0, 8.0]))[1]
    assert choices.at(8.0).candidate == 1
    # All budgets at once, those of the frontier or others, are as each alone.
    for budgets in (choices.budgets(), np.linspace(0.1, 9.0, 30)):
        for budget, mixture in zip(budgets.tolist(), choices.mixtures(budgets), strict=True):
            assert Choices(choices.candidates, 1.0).at(budget) == mixture

"""All folds share one dial: a fixed action is never better than the mixture that it belongs to, however costs vary."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from compare_cases import Known, stand
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc import Samples, Table, Vote, compare
from tcalloc.evaluate import run_folds
from tcalloc.evaluate.contestants import Contestant
from tcalloc.evaluate.standings import standings
from tcalloc.learn.holdout.folds import Dial, Frontier, Tuned, held_out, tabled
from tcalloc.learn.protocol import Always
from tcalloc.learn.registry import REFERENCE


@dataclass(frozen=True)
class Only:
    """One action for every question, as somebody's own policy."""

    spend: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        paid = self.spend[None, train].mean(axis=1)
        return Tuned(paid, np.zeros(1), self.spend[None, held], self.accuracy[None, held])


@dataclass(frozen=True)
class Closed:
    """A policy that serves the mixture of its training questions at each budget, as one whose gate is closed."""

    spend: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        hull = Frontier.of(self.spend[:, train].mean(axis=1), self.accuracy[:, train].mean(axis=1))
        dial = np.unique(np.concatenate([hull.spend, np.linspace(hull.spend[0], hull.spend[-1], 9)]))
        parts = [hull.mix(float(b)) for b in dial]
        paid, right = (
            np.array([(1 - share) * of[low][held] + share * of[high][held] for low, high, share in parts])
            for of in (self.spend, self.accuracy)
        )
        return Tuned(dial, np.log1p(dial), paid, right)


def votes(n=400, seed=0, noise=0.1):
    """Actions of rising accuracy, of questions whose costs differ: (J, N) spends and accuracies."""
    rng = np.random.default_rng(seed)
    k = np.array([1, 2, 4, 8])
    spend = k[:, None] * rng.lognormal(0, 0.8, n) * rng.lognormal(0, noise, (4, n))
    chance = rng.beta(2, 1, n)
    return spend, np.array([rng.binomial(24, 1 - (1 - chance) ** np.sqrt(many)) / 24 for many in k])


def judged(contestants, spend, accuracy, budgets):
    """How they stand, with the folds' dials as `compare` makes them."""
    n = spend.shape[1]
    ran = run_folds.run(contestants, n, folds=5, fixed=(spend.T, accuracy.T))
    return standings(contestants, ran.parts, np.asarray(budgets, float), n, 0)


def test_each_action_of_the_hull_gains_exactly_nothing_at_its_spend():
    spend, accuracy = votes()
    hull = Frontier.of(spend.mean(axis=1), accuracy.mean(axis=1))
    assert len(hull.settings) == 4
    contestants = [Contestant(REFERENCE, "baseline", Known(spend, accuracy))]
    contestants += [Contestant(f"only {j}", "own", Only(spend[j], accuracy[j])) for j in range(4)]
    found, _ = stand(contestants, 400, hull.spend)
    for j in range(4):
        standing = next(s for s in found if s.name == f"only {j}")
        assert standing.gain[j] == 0
        assert (standing.gain_low[j], standing.gain_high[j], standing.p[j]) == (0, 0, 1)


def test_folds_at_one_absolute_spend_would_be_below_their_own_action():
    """What it was before: the test above must be able to fail."""
    spend, accuracy = votes()

    @dataclass(frozen=True)
    class Unplaced(Known):
        def __call__(self, train, held, seed):
            return replace(tabled(self.spend, self.accuracy)(train, held, seed), places=None)

    contestants = [
        Contestant(REFERENCE, "baseline", Unplaced(spend, accuracy)),
        Contestant("only 1", "own", Only(spend[1], accuracy[1])),
    ]
    found, _ = stand(contestants, 400, [float(spend[1].mean())])
    assert next(s for s in found if s.name == "only 1").gain_low[0] > 0


def test_fixed_k_and_ones_own_single_sample_gain_nothing_where_costs_vary():
    rng = np.random.default_rng(0)
    n = 300
    chance = rng.beta(3, 1, n)
    answers = np.where(rng.random((n, 12)) < chance[:, None], 0, rng.integers(1, 4, (n, 12)))
    cost = np.repeat(rng.lognormal(0, 0.8, (n, 1)), 12, axis=1)
    cost /= cost.mean()
    result = compare(Samples(answers, cost=cost), ["fixed k"], [1.0, 1.25, 3.1], own={"one": Always(Vote(1))})
    assert result["fixed k"].gain.tolist() == [0.0, 0.0, 0.0]
    one = result["one"]
    assert one.spend == pytest.approx([1.0] * 3)
    assert (one.gain_low <= 1e-9).all()
    assert (one.gain_high >= -1e-9).all()
    assert (one.p > 0.05).all()
    assert abs(one.gain[0]) < 0.01


def test_a_policy_that_serves_the_mixture_gains_exactly_nothing():
    spend, accuracy = votes(noise=0.3)
    contestants = [
        Contestant(REFERENCE, "baseline", Known(spend, accuracy)),
        Contestant("closed", "policy", Closed(spend, accuracy)),
    ]
    found = judged(contestants, spend, accuracy, [1.7, 2.9, 5.5])
    closed = next(s for s in found if s.name == "closed")
    assert closed.gain.tolist() == [0, 0, 0]
    assert closed.p.tolist() == [1, 1, 1]


def test_the_mixture_is_not_below_the_line_between_its_actions():
    spend, accuracy = votes(2000)
    hull = Frontier.of(spend.mean(axis=1), accuracy.mean(axis=1))
    middle = (hull.spend[1:] + hull.spend[:-1]) / 2
    found = held_out(tabled(spend, accuracy), 2000, middle, seeds=(0,))
    line = (hull.accuracy[1:] + hull.accuracy[:-1]) / 2
    assert found.accuracy.mean(axis=1) == pytest.approx(line, abs=2e-4)


def test_costs_in_another_unit_change_nothing():
    spend, accuracy = votes(120)
    table = [Table(accuracy.T, spend.T * unit) for unit in (1.0, 1e-3)]
    one, other = (compare(t, ["fixed k"], [1.9 * u, 5.0 * u]) for t, u in zip(table, (1.0, 1e-3), strict=True))
    for name in (REFERENCE, "fixed k"):
        assert one[name].accuracy == pytest.approx(other[name].accuracy, abs=1e-9)
        assert one[name].gain == pytest.approx(other[name].gain, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=8))
@settings(max_examples=50)
def test_a_dial_never_turns_back(knots):
    spend = np.unique([float(x) for x, _ in knots])
    place = np.array([float(y) for _, y in knots][: len(spend)])
    dial = Dial.of(spend, place)
    asked = np.linspace(0, 12, 40)
    assert (np.diff(dial(asked)) >= -1e-12).all()
    assert dial(dial.spend) == pytest.approx(dial.place)

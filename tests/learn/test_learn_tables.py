"""What policies reach on real tables."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import COST, clear
from sklearn.base import clone

from tcalloc import Best, Samples, Table, Vote
from tcalloc.datasets import load_recorded
from tcalloc.learn.protocol import Result
from tcalloc.learn.regression.ridge_and_neighbours import folds_of
from tcalloc.learn.routing.baselines import Mixture
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.training import Mix


def test_local_routing_gains_six_points_held_out():
    recorded = load_recorded()
    models = ("smollm2_135m", "qwen25_0p5b")
    arms = {m: Samples(recorded.answers[m].astype(int), cost=recorded.relative_cost[m]) for m in models}
    made = Samples(arms=arms).table([Vote(k, m) for m in models for k in (1, 4)], False)
    acc, cost = np.insert(made.acc, 0, 0.0, axis=1), np.insert(made.cost, 0, 0.0)
    texts = [row["question"] for row in recorded.questions]
    n = len(texts)
    folds = folds_of(n, 0)
    for budget in (1.5, 2.0):
        reached, paid = np.empty(n), np.empty(n)
        for fold in range(5):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            policy = PricedPolicy().fit([texts[i] for i in train], Table(acc[train], cost))
            chosen = policy.decide([texts[i] for i in test], budget=budget)
            reached[test], paid[test] = acc[test, chosen], cost[chosen]
        low, high, share = Mix.of(acc.mean(axis=0), cost).at(paid.mean())
        gain = reached - (1 - share) * acc[:, low] - share * acc[:, high]
        assert gain.mean() > 0.05
        assert gain.mean() > 3 * gain.std() / math.sqrt(n)


def test_cruxeval_is_the_mixture_exactly(shared_data):
    with np.load(shared_data / "cruxeval_codellama7b_n10.npz", allow_pickle=False) as found:
        samples = Samples(correct=found["correct_input"])
    import gzip

    with gzip.open(shared_data / "cruxeval_codellama7b_n10.questions.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["question"] for line in lines]
    policy = PricedPolicy().fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    mixture = Mixture().fit(texts, samples, actions=[Best(k) for k in (1, 2, 4, 8)])
    for budget in (1.25, 2.0, 4.0):
        assert np.array_equal(policy.decide(texts, budget=budget), mixture.decide(texts, budget=budget))


def test_certificates_are_of_the_policy():
    x, table = clear(300)
    more, held = clear(300, seed=1)
    for policy in (PricedPolicy(budget=2.0), Imitator(2.0), Mixture(2.0)):
        fitted = clone(policy).fit(x, table)
        found = fitted.certify(more, held)
        assert found.spend.value == pytest.approx(COST[fitted.decide(more)].mean())
        assert found.regret.value >= -1e-12
        assert found.bound.value >= found.shortfall - 1e-9


def test_votes_that_start_with_a_probe_are_whole_votes():
    drawn = [Result(a, 1.0) for a in "aabbb"]
    assert Vote(5).kind.answer(drawn) == ("b", 0.6)

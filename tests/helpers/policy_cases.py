"""Policies to try, and tables whose truth is known."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from tcalloc import Samples, Table
from tcalloc.learn.routing.baselines import Fixed, LengthHeuristic, Mixture, Oracle, Random
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy

COST = np.array([1.0, 4.0])
NAMES = ("vote1", "vote4")
EVERY = [
    Fixed(1),
    Mixture(2.0),
    LengthHeuristic(2.0),
    Random(2.0),
    Oracle(2.0),
    Imitator(2.0),
    Imitator(2.0, loss="regret"),
    PricedPolicy(budget=2.0),
    PricedPolicy("knn", budget=2.0),
    PricedPolicy("xgboost", budget=2.0),
]
SEEING = [policy for policy in EVERY if not isinstance(policy, Oracle)]


def clear(n: int = 400, seed: int = 0) -> tuple[np.ndarray, Table]:
    """Questions whose first feature says how much the dear action helps."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 3))
    acc = np.column_stack([0.9 - 0.8 * x[:, 0], np.full(n, 0.9)])
    return x, Table(acc, COST, action_names=NAMES)


def noise(n: int = 400, seed: int = 0) -> tuple[np.ndarray, Table]:
    """Features that say nothing."""
    rng = np.random.default_rng(seed)
    acc = np.column_stack([rng.random(n) < 0.6, rng.random(n) < 0.8]).astype(float)
    return rng.random((n, 3)), Table(acc, COST, action_names=NAMES)


def voted(n: int = 400, s: int = 24, seed: int = 0) -> tuple[list[str], Samples]:
    """Samples of easy and hard questions, whose texts tell nothing."""
    rng = np.random.default_rng(seed)
    rate = np.where(rng.random(n) < 0.6, 0.97, 0.5)
    wrong = rng.integers(1, 4, (n, s))
    answers = np.where(rng.random((n, s)) < rate[:, None], 0, wrong)
    return [f"question number {i}" for i in range(n)], Samples(answers)

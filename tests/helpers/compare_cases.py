"""Samples and contestants of known merit, for tests of comparisons: one needs no training but a choice, one learns."""

from dataclasses import dataclass

import numpy as np

from tcalloc import InputError, Samples
from tcalloc.evaluate import run_folds
from tcalloc.evaluate.contestants import Contestant
from tcalloc.evaluate.standings import standings
from tcalloc.learn.holdout.folds import Tuned, tabled
from tcalloc.learn.registry import REFERENCE


def samples_of(n, size, seed=0, texts=False):
    rng = np.random.default_rng(seed)
    chance = rng.random((n, 1))
    made = Samples(np.where(rng.random((n, size)) < chance, 0, rng.integers(1, 4, (n, size))))
    return (made, [f"question {'hard ' * int(10 * (1 - c))}{i}" for i, c in enumerate(chance[:, 0])]) if texts else made


@dataclass(frozen=True)
class Known:
    spend: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        return tabled(self.spend, self.accuracy)(train, held, seed)


@dataclass(frozen=True)
class Threshold:
    """The dearer of two actions for questions whose x is above the training quantile."""

    x: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        shares = np.linspace(0, 1, 6)
        limits = np.quantile(self.x[train], 1 - shares)
        dear = self.x[held][None] > limits[:, None]
        at = np.where(dear, self.accuracy[held, 1], self.accuracy[held, 0])
        return Tuned(1 + shares, np.log1p(shares), 1.0 + dear, at, 0.5 + 0.1 * shares)


@dataclass(frozen=True)
class Refuses:
    def __call__(self, train, held, seed):
        raise InputError("too few questions for me.")


@dataclass(frozen=True)
class Broken:
    def __call__(self, train, held, seed):
        raise ZeroDivisionError("mine")


def tiny(n=60, seed=0):
    """Two actions at 1 and 2, the mixture of them, and who knows whom the second helps."""
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    accuracy = np.column_stack([np.full(n, 0.5), 0.5 + 0.4 * (x > 0.5)])
    cost = np.column_stack([np.ones(n), np.full(n, 2.0)])
    known = Known(cost.T.copy(), accuracy.T.copy())
    return [Contestant(REFERENCE, "baseline", known), Contestant("threshold", "policy", Threshold(x, accuracy))]


def stand(contestants, n, budgets, repeats=1, jobs=1, folds=5, seed=0):
    ran = run_folds.run(contestants, n, folds=folds, repeats=repeats, seed=seed, n_jobs=jobs)
    taking = [contestant for contestant in contestants if contestant.name in ran.parts]
    return standings(taking, ran.parts, np.array(budgets, float), n, seed), ran

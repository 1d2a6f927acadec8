"""Rules that stop by counts of votes: every rival at all its settings, on the same orders, tuned in fold.

Nothing of them depends on the training questions but the choice among settings, so each family is replayed once on all
questions, and `TunedRule` chooses again in every fold.
"""

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.contestants.base import OfRegistry
from tcalloc.evaluate.contestants.cache import once
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Tuned
from tcalloc.learn.registry import POLICIES
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.rivals import families
from tcalloc.learn.rivals.replayed import Replayed

__all__ = ["CountingFamily", "replayed"]

Rows = NDArray[np.intp]


class CountingFamily(OfRegistry):
    """One family of rules."""

    def __call__(self, train: Rows, held: Rows, seed: int) -> Tuned:
        """Return the settings that the training questions choose."""
        problem, samples = self.problem, self.problem.samples
        assert samples is not None
        found = once((problem.token, "counting"), lambda: replayed(problem))[self.entry.name]
        policy = self.entry.policy(verifier=problem.verifier, random_state=seed).tune(found, train)
        done = policy.replay(None, samples, policy.spend_, replayed=found.take(held))
        # A setting is the same rule in every fold, and stands at one place: its mean spend on all questions.
        places = found.spend[policy.settings_].mean(axis=1)
        return Tuned(done.budgets, policy.accuracy_, done.spend, done.accuracy, done.claimed, places=places)


def replayed(problem: Problem) -> dict[str, Replayed]:
    """Return each family at all its settings, on all questions."""
    samples = problem.samples
    assert samples is not None
    # The same orders as those in which `Sequential` is replayed: what is compared is paired to the sample.
    paths = [
        Paths(arm, problem.orders, a, verifier=problem.verifier) for a, arm in enumerate(samples.by_model.values())
    ]
    known = families(1, verifier=problem.verifier)
    rules = [entry.name for entry in POLICIES if entry.family == "rule" and entry.name in known]
    return {name: Replayed.of(samples, name, verifier=problem.verifier, paths=paths) for name in rules}

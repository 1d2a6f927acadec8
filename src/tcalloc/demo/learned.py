"""What the demonstration learns: a policy that decides from the question's text, judged on questions it never saw.

Five folds over the questions: a `PricedRegressor` is fitted on four of them (their text, and what each action reached
there) and decides the fifth at each budget. What it decides is scored by the exact vote expectation over the answers to
those questions, none of which it has seen, beside the best fixed mixture at the spend that it really incurred.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.frontier import frontier

__all__ = ["FOLDS", "Learned", "learned"]

FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Learned:
    """One budget, decided from the text. Accuracies are means over questions, costs are per question."""

    budget: float
    spend: float
    """What was really spent."""
    accuracy: float
    mixture: float
    """Of the best fixed mixture at that spend."""
    lead: float
    lead_low: float
    lead_high: float
    """Of accuracy over mixture, their difference, and its paired 95 % interval over questions."""


def learned(texts: list[str], acc: Floats, cost: Floats, budgets: Any, seed: int = 0) -> list[Learned]:
    """Fit on four folds, decide the fifth.

    Parameters
    ----------
    texts : list of str, (N,)
        The questions.
    acc : ndarray, (N, K)
        What each action reaches.
    cost : ndarray, (K,)
        What it costs.
    budgets : sequence of float
        Mean cost per question.
    seed : int
        Of the folds.

    Returns
    -------
    list of Learned
        One per budget.
    """
    from tcalloc.learn.priced import PricedRegressor

    n = len(texts)
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    chosen = np.empty((len(budgets), n), np.intp)
    for f in range(FOLDS):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        policy = PricedRegressor(random_state=seed).fit([texts[i] for i in train], acc[train], cost=cost)
        asked = [texts[i] for i in test]
        for b, budget in enumerate(budgets):
            chosen[b, test] = policy.decide(asked, budget=budget)
    fixed = frontier(acc.mean(axis=0)[None, :], cost)
    vertices = [int(fixed.allocate(budget).actions[0]) for budget in fixed.budgets]
    found = []
    for budget, actions in zip(budgets, chosen, strict=True):
        reached, spend = acc[np.arange(n), actions], float(cost[actions].mean())
        shares = [np.interp(spend, fixed.budgets, unit) for unit in np.eye(len(vertices))]
        mixed = acc[:, vertices] @ shares
        lead = reached - mixed
        half = 1.96 * float(lead.std(ddof=1)) / math.sqrt(n)
        mine, theirs, mean = (float(values.mean()) for values in (reached, mixed, lead))
        found.append(Learned(budget, spend, mine, theirs, mean, mean - half, mean + half))
    return found

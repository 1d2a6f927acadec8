"""What the demonstration learns: a policy that decides from the question's text, judged on questions it never saw.

Five folds over the questions: a `PricedPolicy` is fitted on four of them (their text, and what each action reached
there) and decides the fifth at each budget. What it decides is scored by the exact vote expectation over the answers to
those questions, none of which it has seen, beside the best fixed mixture at the spend that it really incurred.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.demo.curves import Mixture, interval, needed
from tcalloc.demo.progress import Progress

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
    needed: float | None
    """What the best fixed mixture has to spend for that accuracy; None if none reaches it."""
    needed_low: float | None
    needed_high: float | None
    """Its 95 % interval: the spends at which the two accuracies cannot be distinguished; None as above."""


def learned(
    texts: list[str], acc: Floats, cost: Floats, budgets: Any, seed: int = 0, progress: Progress | None = None
) -> list[Learned]:
    """Fit on four folds of the questions and decide the fifth, at each budget.

    `acc` (N, K) is what each action reaches on each question, `cost` (K,) what it costs.
    """
    from tcalloc.learn.routing.priced import PricedPolicy

    shown_to = Progress() if progress is None else progress
    shown_to.begin("a policy that decides by the text of a question", FOLDS)
    n = len(texts)
    fold = np.random.default_rng(seed).permutation(n) % FOLDS
    chosen = np.empty((len(budgets), n), np.intp)
    for f in range(FOLDS):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        policy = PricedPolicy(random_state=seed).fit([texts[i] for i in train], acc[train], cost=cost)
        asked = [texts[i] for i in test]
        for b, budget in enumerate(budgets):
            chosen[b, test] = policy.decide(asked, budget=budget)
        shown_to.step()
    fixed = Mixture(acc, cost)
    found = []
    for budget, actions in zip(budgets, chosen, strict=True):
        reached, spend = acc[np.arange(n), actions], float(cost[actions].mean())
        mixed = fixed.per_question(spend)
        lead, half = (float(value) for value in interval(reached - mixed))
        mine, theirs = float(reached.mean()), float(mixed.mean())
        found.append(Learned(budget, spend, mine, theirs, lead, lead - half, lead + half, *needed(reached, fixed)))
    return found

"""`Sequential` out of fold, for comparisons: see `tcalloc.learn.holdout.folds`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.holdout.folds import Fit, Tuned
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.sequential.policy import Sequential
from tcalloc.measure.samples import Samples

__all__ = ["price_family"]


def price_family(samples: Samples, X: Any = None, *, verifier: bool = False, orders: int = 8, **parameters: Any) -> Fit:
    """Return how `Sequential` is trained without, and then replayed on, held-out questions; one setting per budget.

    Parameters
    ----------
    samples : Samples
        Of all questions.
    X : sequence, optional
        The questions.
    verifier : bool
        Whether a verifier says what is right.
    orders : int
        Random orders in which held-out samples are replayed: for every seed the same, those of
        ``Paths(arm, orders, seed=number of the arm)``, so that rules of counts can be compared pair by pair.
    **parameters
        Of `Sequential`.

    Returns
    -------
    callable
        ``fit(training rows, held-out rows, seed) -> Tuned``. Of the training questions it keeps spend alone, with a
        concave curve in place of accuracies, so that every budget stays on the hull. A setting's place on the dial of
        all folds is what it spends on all questions, as for rules that need no training (`tabled`).
    """
    order = {arm: random_orders(model.drawn, orders, a) for a, (arm, model) in enumerate(samples.by_model.items())}

    def fit(train: NDArray[np.intp], held: NDArray[np.intp], seed: int) -> Tuned:
        def some(rows: NDArray[np.intp]) -> Any:
            if X is None:
                return None
            return [X[i] for i in rows] if isinstance(X, (list, tuple)) else X[rows]

        policy = Sequential(answer_by="verifier" if verifier else None, random_state=seed, **parameters).fit(
            some(train), samples.take(train)
        )
        # Where nothing was ever right, drawing nothing is all there is to replay: a budget is above 0.
        budgets = np.maximum(policy.frontier().spend, 1e-9)
        keep = np.append(True, np.diff(budgets) > 1e-9)
        columns = {arm: columns[:, held] for arm, columns in order.items()}
        found = policy.replay(some(held), samples.take(held), budgets=budgets[keep], columns=columns)
        spend = budgets[keep]
        places = (len(train) * spend + found.spend.sum(axis=1)) / (len(train) + len(held))
        return Tuned(spend, np.log(spend), found.spend, found.accuracy, places=places)

    return fit

"""What a question's text or features predict before sampling: how often each model is right on it.

What to use when
----------------
`Asking.fit`
    Learns from X; also returns the predictions of the training questions, each out of fold.
`Asking.predict`
    The predictions of new questions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.features import Features
from tcalloc.learn.regression.ridge_and_neighbours import Ridge, folds_of
from tcalloc.learn.rows import Rows
from tcalloc.measure.samples import Samples

__all__ = ["Asking"]

Floats = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Asking:
    """A ridge regression of each model's share of right samples on `Features`."""

    features: Features
    """Fitted."""
    ridge: Ridge
    """Fitted."""
    arms: tuple[str, ...]
    """Models."""

    @classmethod
    def fit(cls, rows: Rows, samples: Samples, arms: tuple[str, ...], seed: int) -> tuple["Asking", Floats]:
        """Return the fitted model, with out-of-fold predictions of the training questions, (N, arms).

        Features are learned without labels, on all questions. The ridge and its penalty are learned from the samples.
        """
        made = Features(random_state=seed)
        matrix = made.fit_transform(rows)
        shares = []
        for arm in arms:
            model = samples.by_model[arm]
            count = model.drawn.sum(axis=1)
            right = (model.correct & model.drawn).sum(axis=1)
            shares.append(np.where(count > 0, right / np.maximum(count, 1), np.nan))
        y = np.stack(shares, axis=1)
        weights = np.ones(len(y))
        ridge = Ridge()
        outside = ridge.out_of_fold(matrix, y, weights, folds_of(len(y), seed))
        ridge.fit(matrix, y, weights)
        return cls(made, ridge, arms), outside

    def predict(self, X: Any) -> Floats:
        """Return the predictions of questions, (n, arms)."""
        return self.ridge.predict(self.features.transform(X))

    def predict_one(self, x: Any) -> Floats:
        """Return the prediction of one question, (1, arms)."""
        return self.ridge.predict(self.features.transform_one(x)[None])

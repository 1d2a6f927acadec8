"""Regressors from other libraries: XGBoost's trees, and any scikit-learn estimator; one model per action."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError, MissingExtraError

__all__ = ["Boosted", "Estimator", "booster_of"]

Floats = NDArray[np.float64]


class _PerAction:
    """A model of its own for each action, fitted on the questions that have the action."""

    models: list[Any]

    def _fitted(self, x: Floats, y: Floats, weights: Floats) -> list[Any]:
        """Return the fitted models, one per action."""
        raise NotImplementedError

    @staticmethod
    def _predicted(models: list[Any], x: Floats) -> Floats:
        """Return the predictions of fitted models, (n, K)."""
        raise NotImplementedError

    def out_of_fold(self, x: Floats, y: Floats, weights: Floats, folds: NDArray[np.intp]) -> Floats:
        """Return out-of-fold predictions."""
        found = np.empty(y.shape)
        for fold in np.unique(folds):
            held = folds == fold
            found[held] = self._predicted(self._fitted(x[~held], y[~held], weights[~held]), x[held])
        return found

    def fit(self, x: Floats, y: Floats, weights: Floats) -> None:
        """Fit on all questions."""
        self.models = self._fitted(x, y, weights)

    def predict(self, x: Floats) -> Floats:
        """Return predictions."""
        return self._predicted(self.models, x)


class Boosted(_PerAction):
    """XGBoost, one model per action: 100 trees of depth 3, learning rate 0.1.

    The trees are shallow because accuracies are noisy. There is one thread: for one question a second thread costs more
    than it gives, and it may hang after a fork.
    """

    kind = "xgboost"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.models: list[Any] = []

    def _made(self) -> Any:
        try:
            from xgboost import XGBRegressor
        except ImportError:
            raise MissingExtraError("regressor='xgboost' needs XGBoost: pip install 'tcalloc[learn]'") from None
        return XGBRegressor(
            n_estimators=100, max_depth=3, learning_rate=0.1, min_child_weight=5, n_jobs=1, random_state=self.seed
        )

    def _fitted(self, x: Floats, y: Floats, weights: Floats) -> list[Any]:
        found = []
        for a in range(y.shape[1]):
            rows = np.isfinite(y[:, a])
            found.append(self._made().fit(x[rows], y[rows, a], sample_weight=weights[rows]).get_booster())
        return found

    @staticmethod
    def _predicted(models: list[Any], x: Floats) -> Floats:
        dense = np.ascontiguousarray(x, np.float32)
        return np.column_stack([model.inplace_predict(dense) for model in models]).astype(np.float64)

    def description(self) -> str:
        """Return a few words for `repr`."""
        return f"XGBoost, {counted(len(self.models), 'model')}"

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return what a file needs."""
        boosters = {f"{a}": bytes(model.save_raw("json")) for a, model in enumerate(self.models)}
        return {"kind": self.kind, "models": len(self.models)}, {}, boosters

    @classmethod
    def from_state(cls, meta: Any, arrays: Any, boosters: dict[str, bytes], width: int, k: int) -> "Boosted":
        """Return the model that `state` described; its files were checked before."""
        made = cls()
        if meta["models"] != k or sorted(boosters, key=int) != [str(a) for a in range(k)]:
            raise InputError(f"expected {counted(k, 'booster')}, one per action.")
        made.models = [booster_of(boosters[str(a)], width) for a in range(k)]
        return made


def booster_of(raw: bytes, width: int) -> Any:
    """Return a booster with one thread, from the bytes of a file (checked before)."""
    try:
        from xgboost import Booster
    except ImportError:
        raise MissingExtraError("this policy needs XGBoost: pip install 'tcalloc[learn]'") from None
    from threadpoolctl import threadpool_limits  # which scikit-learn requires

    booster = Booster({"nthread": 1})
    # Reading uses all threads of OpenMP, whatever the booster's settings. A forked child has none of them, and hangs.
    with threadpool_limits(1, user_api="openmp"):
        booster.load_model(bytearray(raw))
    booster.set_param({"nthread": 1})
    if booster.num_features() != width:
        raise InputError(f"a booster has {counted(booster.num_features(), 'feature')}; expected {width}.")
    return booster


class Estimator(_PerAction):
    """Any scikit-learn regressor: one per action, or one with several outputs if no action is missing."""

    kind = "estimator"

    def __init__(self, prototype: Any) -> None:
        self.prototype = prototype

    def _fitted(self, x: Floats, y: Floats, weights: Floats) -> list[Any]:
        from sklearn.base import clone
        from sklearn.utils.validation import has_fit_parameter

        weighted = has_fit_parameter(self.prototype, "sample_weight")
        if not weighted and np.ptp(weights) > 1e-12:
            raise InputError(
                f"{type(self.prototype).__name__} takes no sample_weight, but the table has weights. Leave them out, "
                "or use regressor='ridge'."
            )
        found = []
        for a in range(y.shape[1]):
            rows = np.isfinite(y[:, a])
            extra = {"sample_weight": weights[rows]} if weighted else {}
            found.append(clone(self.prototype).fit(x[rows], y[rows, a], **extra))
        return found

    @staticmethod
    def _predicted(models: list[Any], x: Floats) -> Floats:
        return np.column_stack([np.asarray(model.predict(x), np.float64).reshape(len(x)) for model in models])

    def description(self) -> str:
        """Return a few words for `repr`."""
        return f"{type(self.prototype).__name__}, {counted(len(self.models), 'model')}"

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Raise an error: only pickle could store the estimator."""
        raise InputError(
            f"{type(self.prototype).__name__} cannot be saved without pickle. Use regressor='ridge', 'knn' or "
            "'xgboost'."
        )

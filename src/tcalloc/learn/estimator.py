"""The base of policies that decide while samples come in: estimators of scikit-learn's kind that do not load it.

Such a policy needs NumPy alone. scikit-learn brings 90,000 objects. In a program that answers live, Python's garbage
collector would visit them again and again.
"""

import inspect
from typing import Any, Self

from tcalloc.errors import InputError
from tcalloc.learn.rows import RowLike
from tcalloc.learn.saving.common_state import Saved

__all__ = ["StoppingEstimator"]


class StoppingEstimator(Saved):
    """What policies share that decide while samples come in; not a policy itself.

    Parameters have the names that ``__init__`` gives them. `sklearn.base.clone`, ``check_is_fitted`` and ``get_tags``
    work as with an estimator of scikit-learn.
    """

    @property
    def quick(self) -> bool:
        """Whether it decides in about a millisecond, by computing alone."""
        return True

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise InputError(
                f"this {type(self).__name__} is not fitted yet. Call fit(X, samples) first; X may be None."
            )

    def __sklearn_is_fitted__(self) -> bool:
        raise NotImplementedError

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            As in scikit-learn; these policies hold no estimators, so that it changes nothing.
        """
        return {name: getattr(self, name) for name in self._get_param_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; they are checked in `fit`.

        Parameters
        ----------
        **params
            New values.

        Raises
        ------
        InputError
            If there is no such parameter.
        """
        known = self._get_param_names()
        for name, value in params.items():
            if name not in known:
                raise InputError(f"{type(self).__name__} has no parameter {name!r}; allowed are {', '.join(known)}.")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator  # only scikit-learn asks

        return BaseEstimator.__sklearn_tags__(self)

    def route(self, question: RowLike) -> str:
        """Raise an error: such a policy fixes no action before it has seen samples.

        Parameters
        ----------
        question : str, vector or mapping
            One row of X.

        Raises
        ------
        InputError
            Always; it names what to use instead.
        """
        raise InputError(
            f"a {type(self).__name__} decides while samples come in, so a question has no action beforehand. Use "
            "run = policy.start(question), then run.next() and run.add(…); or tcalloc.answer, which does that."
        )

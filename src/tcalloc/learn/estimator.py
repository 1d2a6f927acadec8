"""The base classes that make a policy a scikit-learn estimator, even where scikit-learn is not installed.

What to use when
----------------
`Estimator`
    `sklearn.base.BaseEstimator`. Where scikit-learn is not installed it is a class with the same ``get_params`` and
    ``set_params``.
`StoppingEstimator`
    The base of policies that decide while samples come in. They need nothing else from scikit-learn.
"""

import inspect
from typing import TYPE_CHECKING, Any, Self

from tcalloc.errors import InputError

__all__ = ["Estimator", "StoppingEstimator"]


class _Parameters:
    """Parameters with the names that ``__init__`` gives them."""

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            As in scikit-learn. It has no effect, because these policies hold no estimators.
        """
        return {name: getattr(self, name) for name in self._get_param_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name; `fit` checks their values.

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


if TYPE_CHECKING:
    Estimator = _Parameters
else:
    try:
        from sklearn.base import BaseEstimator as Estimator
    except ImportError:
        Estimator = _Parameters


class StoppingEstimator(Estimator):
    """What all policies that decide while samples come in share; not a policy itself."""

    def route(self, question: Any) -> str:
        """Raise an error: such a policy fixes no action before it has seen samples.

        Parameters
        ----------
        question : str, vector or mapping
            One row of X.

        Raises
        ------
        InputError
            Always; the message names what to use instead.
        """
        raise InputError(
            f"a {type(self).__name__} decides while samples come in, so a question has no action beforehand. Use "
            "run = policy.start(question), then run.next() and run.add(…); or tcalloc.answer, which does that."
        )

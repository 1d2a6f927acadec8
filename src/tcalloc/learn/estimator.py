"""What makes a policy an estimator of scikit-learn's kind, where scikit-learn may be missing.

`Estimator` is `sklearn.base.BaseEstimator`. Where scikit-learn is not installed it is a class with the same
``get_params`` and ``set_params``, since policies that stop while sampling need nothing else of it.
"""

import inspect
from typing import TYPE_CHECKING, Any, Self

from tcalloc.errors import InputError

__all__ = ["Estimator"]


class _Parameters:
    """Parameters by the names that ``__init__`` gives them."""

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


if TYPE_CHECKING:
    Estimator = _Parameters
else:
    try:
        from sklearn.base import BaseEstimator as Estimator
    except ImportError:
        Estimator = _Parameters

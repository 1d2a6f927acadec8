"""The part of a policy's state that all policies write and read."""

import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import is_whole
from tcalloc._inputs import scalar
from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import Calibration
from tcalloc.learn.rows import Schema
from tcalloc.learn.saving.policy_folder import save_policy
from tcalloc.measure.actions import Action

__all__ = ["Saved", "Stored"]


class Saved:
    """What can be written to a folder."""

    def _check_fitted(self) -> None:
        """Raise an error before `fit`."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy to a folder, without pickle; `tcalloc.load_policy` reads it.

        Parameters
        ----------
        path : path
            A new or empty folder, or one that holds a policy, which is replaced.
        """
        self._check_fitted()
        save_policy(self, path)


class Stored(Saved):
    """The common part of the state of policies that decide before sampling."""

    schema_: Schema
    n_: int
    n_features_in_: int
    action_names_: tuple[str, ...]
    actions_: tuple[Action | None, ...] | None
    cost_: NDArray[np.float64]
    mean_acc_: NDArray[np.float64]
    cost_range_: tuple[float, float]
    shared_costs_: bool
    price_: float | None
    budget_: float | None
    guarantee_: Any
    random_state: int
    get_params: Callable[..., dict[str, Any]]

    def _check_parameters(self) -> None:
        """Raise an error for parameters that are not allowed."""

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        """Return the state to save: values for JSON, arrays, boosters."""
        meta: dict[str, Any] = {
            "schema": self.schema_.to_dict(),
            "n": self.n_,
            "action_names": list(self.action_names_),
            "actions": None if self.actions_ is None else [a and a.to_dict() for a in self.actions_],
            "cost": self.cost_.tolist(),
            "mean_acc": self.mean_acc_.tolist(),
            "cost_range": list(self.cost_range_),
            "shared_costs": self.shared_costs_,
            "price": None if self.price_ is None else float(self.price_).hex(),
            "budget": None if self.budget_ is None else float(self.budget_).hex(),
            "guarantee": None if self.guarantee_ is None else self.guarantee_.to_dict(),
            "params": self.get_params(deep=False),
        }
        return meta, {}, {}

    @classmethod
    def _from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], boosters: dict[str, bytes]) -> Self:
        """Return the policy with this state; everything is checked as if a stranger had written it."""
        made = cls(**meta["params"])
        made._check_parameters()
        made._restore(meta)
        return made

    def _restore(self, meta: dict[str, Any]) -> None:
        """Set the state that `_state` returned."""
        if not is_whole(self.random_state):
            raise InputError(f"random_state is {self.random_state!r}; expected a whole number.")
        Schema.from_dict(meta["schema"]).set_on(self)
        self.n_ = int(meta["n"])
        self.action_names_ = tuple(str(name) for name in meta["action_names"])
        given = meta["actions"]
        self.actions_ = None if given is None else tuple(None if a is None else Action.from_dict(a) for a in given)
        self.cost_ = np.array(meta["cost"], np.float64)
        low, high = meta["cost_range"]
        self.cost_range_ = (float(low), float(high))
        if not isinstance(meta["shared_costs"], bool):
            raise InputError(f"shared_costs: {meta['shared_costs']!r}; allowed are true and false.")
        self.shared_costs_ = meta["shared_costs"]
        k = len(self.action_names_)
        if self.cost_.shape != (k,) or (self.actions_ is not None and len(self.actions_) != k):
            raise InputError("action_names, actions and cost differ in length.")
        if not (np.isfinite(self.cost_) & (self.cost_ >= 0)).all() or k == 0:
            raise InputError("cost: expected finite numbers, at least 0.")
        self.mean_acc_ = np.array(meta["mean_acc"], np.float64)
        if self.mean_acc_.shape != (k,) or not np.isfinite(self.mean_acc_).all():
            raise InputError("mean_acc: expected one finite number per action.")
        self.price_, self.budget_ = (
            None if meta[name] is None else scalar(float.fromhex(meta[name]), name) for name in ("price", "budget")
        )
        self.guarantee_ = None if meta["guarantee"] is None else Calibration.from_dict(meta["guarantee"])

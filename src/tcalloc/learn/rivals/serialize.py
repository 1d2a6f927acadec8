"""How a `TunedRule` is written to a file and read back."""

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import scalar
from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import Calibration
from tcalloc.learn.holdout.folds import Frontier
from tcalloc.learn.rivals.settings import families
from tcalloc.measure.actions import Action

if TYPE_CHECKING:
    from tcalloc.learn.rivals.tuned import TunedRule

__all__ = ["pack", "unpack"]

# The classes of all rules, by name.
RULES: dict[str, type[Any]] = {
    type(rule).__name__: type(rule) for verifier in (False, True) for rules in families(1, verifier=verifier).values()
    for rule in rules
}  # fmt: skip


def pack(policy: "TunedRule") -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what to save: values for JSON, and arrays."""
    rules = [
        {"rule": type(rule).__name__} | asdict(rule) | {"action": rule.action.to_dict()}  # type: ignore[call-overload]
        for rule in policy.rules_
    ]
    meta = {
        "parameters": {
            "family": policy.family,
            "budget": None if policy.budget is None else scalar(policy.budget, "budget"),
            "verifier": policy.verifier,
            "orders": int(policy.orders),
            "random_state": int(policy.random_state),
        },
        "n": policy.n_,
        "budget": policy.budget_,
        "spending": policy._spending,
        "rules": rules,
        "arms": list(policy.rule_arms_),
        "sample_costs": policy.sample_costs_,
        "round_costs": {arm: list(costs) for arm, costs in policy.round_costs_.items()},
        "highest_costs": policy.highest_costs_,
        "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
    }
    arrays = {"spend": policy.spend_, "accuracy": policy.accuracy_, "held": policy.held_}
    return meta, arrays | {"settings": policy.settings_.astype(np.int64)}


def unpack(policy: "TunedRule", meta: Any, arrays: dict[str, NDArray[Any]]) -> None:
    """Set the state that `pack` wrote, checked.

    Raises
    ------
    InputError
        If the parts do not fit.
    """
    rules = []
    for entry in meta["rules"]:
        given = dict(entry)
        kind = RULES.get(given.pop("rule"))
        if kind is None or set(given) != {field.name for field in fields(kind)}:
            raise InputError("rules: expected rules with their parameters.")
        rules.append(kind(**given | {"action": Action.from_dict(given["action"])}))
    policy.rules_, policy.rule_arms_ = tuple(rules), tuple(str(arm) for arm in meta["arms"])
    h = len(rules)
    spend, accuracy, held = (np.asarray(arrays[name], np.float64) for name in ("spend", "accuracy", "held"))
    fine = h and len(policy.rule_arms_) == h and spend.shape == accuracy.shape == (h,) and held.shape == (2, h)
    if not fine or not all(np.isfinite(x).all() for x in (spend, accuracy, held)) or (np.diff(spend) <= 0).any():
        raise InputError("rules, arms, spend, accuracy and held: expected one finite entry per rule, spends rising.")
    policy.spend_, policy.accuracy_, policy.held_ = spend, accuracy, held
    policy.settings_ = np.asarray(arrays["settings"], np.int64)
    if policy.settings_.shape != (h,):
        raise InputError("settings: expected one number per rule.")
    policy._hull = Frontier(np.arange(h), spend, accuracy)
    policy.n_ = int(meta["n"])
    policy.sample_costs_, policy.highest_costs_ = (
        {str(arm): scalar(cost, name) for arm, cost in meta[name].items()} for name in ("sample_costs", "highest_costs")
    )
    policy.round_costs_ = {
        str(arm): (scalar(first, "round_costs"), scalar(later, "round_costs"))
        for arm, (first, later) in meta["round_costs"].items()
    }
    policy._begin(None if meta["budget"] is None else scalar(meta["budget"], "budget"))
    policy._spending = None if meta["spending"] is None else scalar(meta["spending"], "spending")
    policy.guarantee_ = None if meta["guarantee"] is None else Calibration.from_dict(meta["guarantee"])

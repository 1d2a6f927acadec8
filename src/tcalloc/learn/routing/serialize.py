"""How a `PricedPolicy` is written to a file and read back."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._inputs import scalar
from tcalloc.learn.features.matrix import features_from_state, features_state
from tcalloc.learn.regression.ridge_and_neighbours import model_from_state, ridge_of
from tcalloc.learn.routing.gate import Gate
from tcalloc.learn.routing.probe_value import Probed
from tcalloc.learn.routing.shrinkage import Shrinkage
from tcalloc.learn.saving.arrays import part_of, with_prefix
from tcalloc.learn.training import Mix

if TYPE_CHECKING:
    from tcalloc.learn.routing.priced import PricedPolicy

__all__ = ["pack", "predicted_of", "unpack"]

Arrays = dict[str, NDArray[Any]]


def pack(policy: "PricedPolicy") -> tuple[dict[str, Any], Arrays, dict[str, bytes]]:
    """Return what to save beside what all policies save: values for JSON, arrays, and boosters."""
    features, of_features = ({}, {}) if policy.features_ is None else features_state(policy.features_)
    model, of_model, boosters = policy.model_.state()
    probe, of_probe = (None, {}) if policy.probed_ is None else policy.probed_.state()
    arrays: Arrays = {
        **with_prefix("features/", of_features),
        **with_prefix("model/", of_model),
        **with_prefix("shrinkage/", policy.shrinkage_.to_arrays()),
        **with_prefix("gate/", policy.gate_.to_arrays()),
        **with_prefix("probe/", of_probe),
    }
    if policy.costing_ is not None:
        arrays |= with_prefix("costs/", policy.costing_.state()[1])
    given = {"features": False if policy.features_ is None else None, "regressor": model["kind"]}
    meta = {
        "params": policy.get_params(deep=False) | given,
        "features": features,
        "model": model,
        "probe": probe,
        "costing": None if policy.costing_ is None else policy.costing_.alpha,
        "setting": None if policy.setting_ is None else float(policy.setting_),
        "predicted": policy.predicted_,
    }
    return meta, arrays, with_prefix("model/", boosters)


def unpack(policy: "PricedPolicy", meta: Any, arrays: Arrays, boosters: dict[str, bytes]) -> None:
    """Set the state that `pack` wrote, checked.

    Raises
    ------
    InputError
        If the parts do not fit.
    """
    k = policy.predicted_ = predicted_of(meta["predicted"], len(policy.action_names_))
    policy.features_, policy.width_ = None, 0
    if policy.features is not False:
        policy.features_, policy.width_ = features_from_state(meta["features"], part_of("features/", arrays))
        policy.features = policy.features_
    width = policy.width_
    of_model = part_of("model/", arrays), part_of("model/", boosters)
    policy.model_ = model_from_state(meta["model"], *of_model, width, k)
    policy.shrinkage_ = Shrinkage.from_arrays(part_of("shrinkage/", arrays), k)
    policy.mix_ = Mix.of(policy.mean_acc_, policy.cost_)
    gate, looks = part_of("gate/", arrays), float(policy.feature_cost)
    policy.gate_ = Gate.from_arrays(gate, used=bool(policy.gate), mix=policy.mix_, looks=looks)
    policy.setting_ = None if meta["setting"] is None else scalar(meta["setting"], "setting")
    policy.probed_ = policy.costing_ = None
    if meta["costing"] is not None:
        policy.costing_ = ridge_of(meta["costing"], part_of("costs/", arrays), width, k)
    if policy.probe:
        policy.probed_ = Probed.from_state(meta["probe"], part_of("probe/", arrays), width, k)


def predicted_of(asked: Any, k: int) -> int:
    """Return how many of the K actions are predicted; None: all."""
    return k if asked is None else whole("predicted", asked, 1, k, of="actions")

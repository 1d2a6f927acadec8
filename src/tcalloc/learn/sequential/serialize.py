"""How a `Sequential` is written to a file and read back: values for JSON, and arrays.

A file may come from a stranger. So everything is rebuilt through constructors, and shapes are checked against each
other before use.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc.errors import InputError
from tcalloc.learn.holdout.calibrate import Calibration
from tcalloc.learn.looking import feature_cost_of
from tcalloc.learn.regression.ridge_and_neighbours import Ridge
from tcalloc.learn.saving.arrays import finite, part_of, with_prefix
from tcalloc.learn.sequential.bounds import budget_of, limit_of
from tcalloc.learn.sequential.rules.families import FIGURES, Family, Move, Outcomes, Tables, Thresholds
from tcalloc.learn.sequential.rules.regression_induction import Basis, Induced
from tcalloc.learn.sequential.selection import Candidate, Choices, Mixture
from tcalloc.learn.sequential.settings import LARGEST_WAVE, MOST, Settings
from tcalloc.learn.sequential.states.belief import Belief
from tcalloc.learn.sequential.states.sample_features import FEATURES, TELLS, Reading
from tcalloc.learn.sequential.states.state import COMBINES, names_of
from tcalloc.learn.sequential.training import Trained

if TYPE_CHECKING:
    from tcalloc.learn.sequential.policy import Sequential

__all__ = ["pack", "unpack"]

Arrays = dict[str, NDArray[Any]]
Parts = tuple[dict[str, Any], Arrays]

# The level of a rule that draws nothing, because files hold finite numbers only.
NOTHING = -1e300
COLUMNS = ("columns", "centre", "scale", "index", "knots", "prediction_knots", "cells", "margins", "mean", "spread")


def pack(policy: "Sequential") -> Parts:
    """Return what to save: values for JSON, and arrays."""
    trained, arrays = _pack_trained(policy._fitted())
    budget, cap, deadline = policy._limits()
    meta = {
        "parameters": {
            "budget": budget,
            "answer_by": policy.answer_by,
            "waves": list(trained["waves"]),
            "most": dict(policy.most) if isinstance(policy.most, Mapping) else policy.most,
            "cap": cap,
            "deadline": deadline,
            "feature_cost": feature_cost_of(policy.feature_cost),
            "random_state": int(policy.random_state),
        },
        "budget": policy.budget_,
        "actions": None if policy.actions is None else {arm: a.to_dict() for arm, a in policy.actions.items()},
        "mixture": None if policy._mixture is None else [*astuple(policy._mixture)],
        "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
        "trained": trained,
    }
    return meta, arrays


def unpack(policy: "Sequential", meta: dict[str, Any], arrays: Arrays) -> None:
    """Set the state that `pack` wrote, checked; the policy has its parameters.

    Raises
    ------
    InputError
        If the parts do not fit.
    """
    policy._limits()
    trained = _unpack_trained(meta["trained"], arrays, feature_cost_of(policy.feature_cost))
    policy._begin(trained, None)
    policy.budget_ = None if meta["budget"] is None else budget_of(meta["budget"])
    if meta["mixture"] is not None:
        policy._mixture = _mixture(meta["mixture"], trained.choices)
    policy.guarantee_ = None if meta["guarantee"] is None else Calibration.from_dict(meta["guarantee"])


def _mixture(meta: Any, choices: Choices) -> Mixture:
    mixture = Mixture(*meta)
    fine = all(type(v) is int and v >= 0 for v in (mixture.candidate, mixture.low, mixture.high))
    if not fine or mixture.candidate >= len(choices.candidates) or not 0.0 <= mixture.share <= 1.0:
        raise InputError("the mixture of rules is not one.")
    limit = mixture.limit
    if limit is not None and limit_of(limit, "limit", "the most that a question may cost") is None:
        raise InputError("the limit of the mixture is not one.")
    if max(mixture.low, mixture.high) >= choices.candidates[mixture.candidate].family.settings:
        raise InputError("the mixture is of rules that are not there.")
    return mixture


def _pack_trained(trained: Trained) -> Parts:
    settings, reading = trained.settings, trained.reading
    meta: dict[str, Any] = {
        "arms": list(settings.arms),
        "combine": settings.combine,
        "waves": list(settings.waves),
        "caps": list(settings.caps),
        "unit": settings.unit,
        "usual": list(settings.usual),
        "limit": None if settings.limit == np.inf else settings.limit,
        "seed": settings.seed,
        "features": list(reading.features),
        "tells": reading.tells,
        "unscored": reading.unscored,
        "questions": trained.questions,
        "asking": None,
        "candidates": [],
    }
    arrays: Arrays = {
        "highest_costs": settings.highest_cost,
        "highest_round_cost": settings.highest_round_cost,
        "usual_rounds": np.array(settings.usual_rounds, np.float64).reshape(len(settings.arms), 2),
    }
    arrays |= {f"reading.{name}": getattr(reading, name) for name in ("centre", "scale", "tilt")}
    if trained.asking is not None:
        features, kept, _ = trained.asking.features._state()
        ridge, weights, _ = trained.asking.ridge.state()
        meta["asking"] = {"features": features, "ridge": ridge}
        arrays |= with_prefix("asking.features.", kept) | with_prefix("asking.ridge.", weights)
    if trained.belief is not None:
        meta["belief"] = list(trained.belief.caps)
        arrays["belief.share"] = trained.belief.share.astype(np.float32)
    for c, candidate in enumerate(trained.choices.candidates):
        words, kept = _pack_family(candidate.family)
        meta["candidates"].append({"name": candidate.name, **words})
        arrays |= with_prefix(f"candidate{c}.", kept)
        if candidate.believed is not None:
            arrays[f"candidate{c}.believed"] = candidate.believed
        for of, outcomes in (("inner", candidate.inner), ("nested", candidate.nested)):
            if outcomes is not None:
                arrays |= {f"candidate{c}.{of}.{name}": getattr(outcomes, name).astype(np.float32) for name in FIGURES}
    return meta, arrays


def _pack_family(family: Family) -> Parts:
    moves = [[move.arm, move.samples] for move in family.moves]
    arrays: Arrays
    if isinstance(family, Tables):
        return {"kind": "tables", "moves": moves}, {"wave": family.wave}
    if isinstance(family, Thresholds):
        levels = np.nan_to_num(family.levels, neginf=NOTHING)
        arrays = {"measure": family.measure, "levels": levels, "caps": family.caps}
        return {"kind": "thresholds", "moves": moves, "step": family.step}, arrays
    if not isinstance(family, Induced):
        raise InputError(f"a {type(family).__name__} cannot be saved.")
    meta: dict[str, Any] = {
        "kind": "induced",
        "moves": moves,
        "weighted": family.weighted,
        "predicts": family.predicts,
        "reads": family.reads,
        "settings": family.settings,
        "states": [],
    }
    arrays = {}
    for k, ((at, group), table) in enumerate(family.advantage.items()):
        basis = family.bases[at, group]
        meta["states"].append([list(at), group, basis.predictions])
        arrays[f"{k}.possible"] = np.isfinite(table[:, -1, 0])
        arrays[f"{k}.advantage"] = np.where(np.isfinite(table), table, 0.0).astype(np.float32)
        for name in COLUMNS:
            values = getattr(basis, name)
            arrays[f"{k}.{name}"] = np.where(np.isfinite(values), values, 0.0) if name == "spread" else values
    return meta, arrays


def _unpack_trained(meta: dict[str, Any], arrays: Arrays, looks: float) -> Trained:
    """Return the object that `_pack_trained` took apart; `looks` is what having X costs per question."""
    arms = tuple(str(arm) for arm in meta["arms"])
    caps = tuple(whole("one of caps", k, 1, MOST) for k in meta["caps"])
    waves = tuple(whole("one of waves", k, 1, LARGEST_WAVE) for k in meta["waves"])
    limit = np.inf if meta["limit"] is None else float(meta["limit"])
    features = tuple(meta["features"])
    highest_cost = finite(arrays, "highest_costs", (len(arms),))
    rounds = finite(arrays, "highest_round_cost", (len(arms),)), finite(arrays, "usual_rounds", (len(arms), 2))
    if any((costs < 0).any() for costs in rounds):
        raise InputError("what draws cost is negative.")
    if not arms or len(caps) != len(arms) or meta["combine"] not in COMBINES or not set(features) <= set(FEATURES):
        raise InputError("arms, caps, combine or features do not fit each other.")
    # Policies that were saved before did not have it.
    usual = tuple(None if cost is None else float(cost) for cost in meta.get("usual") or [None] * len(arms))
    if len(usual) != len(arms) or not all(cost is None or 0 <= cost < np.inf for cost in usual):
        raise InputError("what samples usually cost does not fit the arms.")
    settings = Settings(arms, meta["combine"], waves, caps, highest_cost, rounds[0], float(meta["unit"]), limit,
                        whole("seed", meta["seed"], 0, 1 << 62), usual,
                        tuple((first, later) for first, later in rounds[1].tolist()), looks)  # fmt: skip
    shape = (len(arms), len(features))
    reading = Reading(
        arms,
        features,
        finite(arrays, "reading.centre", shape),
        finite(arrays, "reading.scale", shape),
        finite(arrays, "reading.tilt", (shape[0], shape[1] + 1)),
    )
    # Policies that were saved before had neither of them.
    tells, unscored = meta.get("tells"), meta.get("unscored", False)
    if tells not in (None, *TELLS) or not isinstance(unscored, bool):
        raise InputError(f"answers tell {tells!r}; allowed are {', '.join(TELLS)}.")
    asking = None if meta["asking"] is None else _asking(meta["asking"], arrays, arms)
    questions = whole("questions", meta["questions"], 1, 1 << 40)
    candidates = []
    for c, words in enumerate(meta["candidates"]):
        own = part_of(f"candidate{c}.", arrays)
        family = _family(words, own, arms, features, asking is not None)
        size = (family.settings, questions)
        inner, nested = (
            Outcomes(*(finite(own, f"{of}.{name}", size) for name in FIGURES)) if f"{of}.spend" in own else None
            for of in ("inner", "nested")
        )
        if inner is None:
            raise InputError("there is a rule of which nothing was measured.")
        believed = finite(own, "believed", (family.settings,)) if "believed" in own else None
        candidates.append(Candidate(str(words["name"]), family, inner, believed, nested))
    if not candidates:
        raise InputError("there are no rules.")
    if tells is None:
        tells = _tells([candidate.family for candidate in candidates], settings.combine)
    reading = replace(reading, tells=tells, unscored=unscored)
    choices = Choices(candidates, settings.unit)
    return Trained(settings, reading, asking, choices, questions, _belief(meta.get("belief"), arrays, len(arms)))


def _belief(caps: Any, arrays: Arrays, arms: int) -> Belief | None:
    if caps is None:
        return None
    known = tuple(whole("one of caps", k, 1, MOST) for k in caps)
    nodes, most = int(np.prod([k + 1 for k in known])), sum(known)
    share = finite(arrays, "belief.share", (nodes, most + 1, most // 2 + 1))
    if len(known) != arms or share.min() < 0 or share.max() > 1:
        raise InputError("the shares of right answers are not such.")
    return Belief(share, known)


def _tells(families: list[Family], combine: str) -> str:
    """Return what answers show, for a policy that was saved without this; it is inferred from what its rules look at.

    With a verifier, training met a state without two different answers if answers were recorded. If it met none,
    answers showed nothing, and must not be read now.
    """
    induced = [family for family in families if isinstance(family, Induced)]
    if combine != "verifier" or any(group for family in induced for _, group in family.bases):
        return "which"
    counts = names_of((), (), ()).index("score")  # the columns before it
    bases = [basis for family in induced for basis in family.bases.values()]
    return "whether" if any((basis.columns < counts).any() or len(basis.cells) for basis in bases) else "nothing"


def _asking(meta: Any, arrays: Arrays, arms: tuple[str, ...]) -> Any:
    from tcalloc.learn.features.matrix import features_from_state
    from tcalloc.learn.sequential.question_model import Asking

    features, width = features_from_state(meta["features"], part_of("asking.features.", arrays))
    ridge = Ridge.from_state(meta["ridge"], part_of("asking.ridge.", arrays), {}, width, len(arms))
    return Asking(features, ridge, arms)


def _family(meta: Any, arrays: Arrays, arms: tuple[str, ...], features: tuple[str, ...], asked: bool) -> Family:
    moves = tuple(
        Move(whole("arm", arm, 0, len(arms) - 1), whole("samples", samples, 1, LARGEST_WAVE))
        for arm, samples in meta["moves"]
    )
    if meta["kind"] == "tables":
        wave = arrays["wave"]
        known = {0, *(move.samples for move in moves)}
        if wave.dtype != np.uint8 or wave.ndim != 4 or 0 in wave.shape or not set(np.unique(wave).tolist()) <= known:
            raise InputError("a table of rules is not one.")
        return Tables(wave, moves)
    if meta["kind"] == "thresholds":
        levels, limits = np.asarray(arrays["levels"], np.float64), np.asarray(arrays["caps"])
        measure = finite(arrays, "measure", np.shape(arrays["measure"]))
        fine = measure.ndim == 2 and measure.size and levels.ndim == 1 and len(levels) and np.isfinite(levels).all()
        if not fine or limits.shape != levels.shape or limits.dtype.kind != "i" or not 0 <= limits.min() <= MOST:
            raise InputError("rules with thresholds do not fit together.")
        return Thresholds(measure, levels, limits.astype(np.int64), whole("step", meta["step"], 1, LARGEST_WAVE))
    if meta["kind"] != "induced" or (meta["predicts"] and not asked):
        raise InputError(f"rules of an unknown kind {meta['kind']!r}, or of questions that are not looked at.")
    predictions = arms if meta["predicts"] else ()
    width, settings = len(names_of(arms, features, predictions)), whole("settings", meta["settings"], 1, 1 << 20)
    made = Induced(moves, {}, {}, bool(meta["weighted"]), settings, bool(meta["predicts"]), bool(meta["reads"]))
    for k, (at, group, known) in enumerate(meta["states"]):
        place = (tuple(whole("drawn", n, 0, MOST) for n in at), whole("group", group, 0, 1))
        own = part_of(f"{k}.", arrays)
        parts = {name: np.asarray(own[name]) for name in COLUMNS}
        parts["spread"] = np.where(parts["spread"] > 0, parts["spread"], np.inf)
        basis = Basis(predictions=whole("predictions", known, 0, len(predictions)), **parts)
        if len(place[0]) != len(arms) or basis.columns.dtype.kind != "i" or basis.columns.max(initial=0) >= width:
            raise InputError("a state of the rules does not fit the models.")
        columns = basis.of(np.zeros((1, width))).shape[1]  # fails if the parts do not fit each other
        table = finite(own, "advantage", (len(moves), columns + 1, settings)).astype(np.float32)
        table[~np.asarray(own["possible"], bool)] = -np.inf
        made.bases[place], made.advantage[place] = basis, table
    return made

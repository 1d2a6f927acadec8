"""What a gateway has explored, read for `tcalloc.refit`."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import is_number
from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.learn.columns import are_counts
from tcalloc.learn.protocol import models_of
from tcalloc.learn.saving.policy_folder import origin_of
from tcalloc.measure.labels import GOLD, parse_labels
from tcalloc.measure.load_run import load_run
from tcalloc.measure.samples import Samples
from tcalloc.runs.store import read_run

__all__ = ["Traffic", "whole_requests"]


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Explored requests with a reference."""

    samples: Samples
    """All of their samples."""
    X: list[Any] | None
    """Their texts, or the counts of the texts; None: no policy looks at them."""
    judging: NDArray[np.intp]
    """The rows that were explored while the policy was served, so that it has not learned from them."""
    notes: tuple[str, ...]
    """What was left out, each a sentence."""

    @classmethod
    def read(cls, path: str | os.PathLike[str], policy: Any, labels: str, looks: bool) -> "Traffic":
        """Read a run folder for the policy that is served.

        `looks` says whether the new policy looks at questions. If the served one does, both do.
        """
        run = read_run(os.fspath(path))
        asked = Counter(model for _, model in {(one["id"], str(one.get("model"))) for one in run.records})
        named = models_of(policy)
        (most, count), *others = asked.most_common() or [("", 0)]
        if len(named) < 2 and others:  # clients named several models to a policy that knows one
            arrays = load_run(path, gold=parse_labels(labels)[0] == GOLD.kind)
            samples = Samples(**arrays.arms[most], ids=arrays.ids)
            samples = samples.take(np.flatnonzero(samples.drawn.any(axis=1))).labelled(labels)
            notes = [f"the policy knows one model, so that only the {counted(count, 'request')} to {most} are used."]
        else:
            samples = Samples.load(path, labels)
            notes = list(samples.notes)
        if len(named) > 1:
            missing = sorted(named - set(samples.by_model))
            if missing:
                raise InputError(
                    f"{os.fspath(path)}: holds no samples of {', '.join(missing)}, which the policy chooses. Explore "
                    "with this policy first."
                )
            samples, _ = samples.of_every_model()
        whole = whole_requests(samples)
        if (lacking := len(samples) - len(whole)) > 0:
            notes.append(
                f"{counted(lacking, 'request')} with fewer samples than usual, as failures and deadlines leave them, "
                f"{agreeing(lacking, 'was', 'were')} left out."
            )
            samples = samples.take(whole)
        ids = [str(name) for name in (() if samples.ids is None else samples.ids)]
        known = {one["id"]: one for one in run.questions}
        X, told = _x_of([known[name] for name in ids], _form(policy), looks, os.fspath(path))
        if len(told) < len(ids):
            notes.append(
                f"{counted(len(ids) - len(told), 'request')} without a text, which the policy looks at, "
                f"{agreeing(len(ids) - len(told), 'was', 'were')} left out."
            )
            samples, ids = samples.take(np.array(told, np.intp)), [ids[row] for row in told]
        served = {name: one.get("policy") for name, one in known.items()}
        origin = origin_of(policy)
        learned = bool(origin)
        own = np.array([not learned or served[name] == origin for name in ids], bool)
        if learned and not any(served.values()):
            own[:] = True
            notes.append(
                "the folder does not say which policy was served. If this one was fitted on these requests, its "
                "figures here are too good."
            )
        return cls(samples, X, np.flatnonzero(own), tuple(notes))


def whole_requests(samples: Samples) -> NDArray[np.intp]:
    """Return the rows with the usual number of samples of each model (the median), or more."""
    sizes = np.stack([arm.drawn.sum(axis=1) for arm in samples.by_model.values()])
    return np.flatnonzero((sizes >= np.median(sizes, axis=1, keepdims=True)).all(axis=0))


def _form(policy: Any) -> str | None:
    """Return what a policy looks at: "texts", "counts" of them, or None; refuse anything else."""
    schema = None if getattr(policy, "blind", False) else getattr(policy, "schema_", None)
    if schema is None or schema.kind == "texts":
        return None if schema is None else "texts"
    if are_counts(schema.names):
        return "counts"
    raise InputError("the policy that is served looks at columns that the traffic of a gateway does not have.")


def _x_of(
    questions: Sequence[Mapping[str, Any]], form: str | None, looks: bool, place: str
) -> tuple[list[Any] | None, list[int]]:
    """Return texts, or the counts that are stored in their place, and the rows of the questions that have them."""
    everyone = list(range(len(questions)))
    if form is None and not looks:
        return None, everyone
    texts = {row: one["question"] for row, one in enumerate(questions) if one.get("question")}
    counts = {row: one["counts"] for row, one in enumerate(questions) if _is_row(one.get("counts"))}
    if texts and form != "texts":
        from tcalloc.learn.features import lexical_rows

        counts |= dict(zip(texts, lexical_rows(list(texts.values())), strict=True))
    if form is None:
        form = "texts" if len(texts) == len(questions) or len(counts) < len(questions) else "counts"
    found = texts if form == "texts" else counts
    if not found:
        raise InputError(
            f"{place}: a policy that looks at questions is asked for, and the folder holds no texts. Let the gateway "
            "store them (--store-texts), or name a kind of policy that does not look at them."
        )
    return [found[row] for row in sorted(found)], sorted(found)


def _is_row(counts: Any) -> bool:
    return isinstance(counts, Mapping) and are_counts(counts) and all(map(is_number, counts.values()))

"""What a gateway has explored, read for `tcalloc.refit`.

What to use when
----------------
`Traffic.read`
    The requests of a run folder that a policy can learn from, and those on which it can be judged.
`whole_requests`
    Those with all their samples.
"""

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.learn.protocol import models_of
from tcalloc.learn.question_rows import texts_of_run
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
    X: list[str] | None
    """Their texts; None if not all are stored."""
    judging: NDArray[np.intp]
    """The rows that were explored while the policy was served, so that it has not learned from them."""
    notes: tuple[str, ...]
    """What was left out, each a sentence."""

    @classmethod
    def read(cls, path: str | os.PathLike[str], policy: Any, labels: str) -> "Traffic":
        """Read a run folder.

        Parameters
        ----------
        path : path
            The folder.
        policy : Policy
            The policy that is served.
        labels : str
            What counts as the right answer: see `Samples.labelled`.

        Raises
        ------
        InputError
            If it is no run folder, or nothing in it can be used.
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
        served = {str(one["id"]): one.get("policy") for one in run.questions}
        origin = origin_of(policy)
        learned = bool(origin)
        own = np.array([not learned or served[name] == origin for name in ids], bool)
        if learned and not any(served.values()):
            own[:] = True
            notes.append(
                "the folder does not say which policy was served. If this one was fitted on these requests, its "
                "figures here are too good."
            )
        return cls(samples, texts_of_run(os.fspath(path), ids), np.flatnonzero(own), tuple(notes))


def whole_requests(samples: Samples) -> NDArray[np.intp]:
    """Return the rows with as many samples of each model as usual: without those that failures or a deadline cut off.

    Parameters
    ----------
    samples : Samples
        Explored requests.
    """
    sizes = np.stack([arm.drawn.sum(axis=1) for arm in samples.by_model.values()])
    return np.flatnonzero((sizes >= np.median(sizes, axis=1, keepdims=True)).all(axis=0))

"""Every setting of a rule, replayed on recorded samples: the choices of `tcalloc.learn.rivals.tuned`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.holdout.folds import held_out, tabled
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.rivals.counting import Counting
from tcalloc.learn.rivals.settings import families
from tcalloc.measure.samples import Samples

__all__ = ["ORDERS", "Replayed", "described", "outcomes_of", "unknown"]

Floats = NDArray[np.float64]

ORDERS = 32
"""Random orders of each question's samples on which settings are tuned."""
# Number of folds for the figures that `TunedRule.frontier` shows.
FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Every setting of a family on recorded samples."""

    rules: tuple[Counting, ...]
    """(J,) the settings of all models, one model after the other."""
    arms: tuple[str, ...]
    """(J,) the model from which each setting draws."""
    spend: Floats
    """(J, n) what each setting spends on each question, mean over the orders."""
    accuracy: Floats
    """(J, n) how often its answer is right there."""

    @classmethod
    def of(
        cls,
        samples: Samples,
        family: str,
        *,
        orders: int = ORDERS,
        verifier: bool = False,
        paths: Sequence[Paths] | None = None,
    ) -> "Replayed":
        """Replay all settings of a family.

        Parameters
        ----------
        samples : Samples
            Samples of one model or of several.
        family : str
            One of `tcalloc.learn.rivals.families`.
        orders : int
            Random orders of each question's samples.
        verifier : bool
            Whether a verifier marks right samples.
        paths : sequence of Paths, optional
            The orders, one entry per model, if they are computed already.

        Raises
        ------
        InputError
            If these samples allow no such family.
        """
        rules: list[Counting] = []
        names: list[str] = []
        parts = []
        for a, (model, arm) in enumerate(samples.by_model.items()):
            listed = families(arm.drawn.shape[1], verifier=verifier, model=model or None)
            if family not in listed:
                raise InputError(unknown(family, verifier))
            along = Paths(arm, orders, a, verifier=verifier) if paths is None else paths[a]
            parts.append(along.outcomes(listed[family]))
            rules += listed[family]
            names += [model] * len(listed[family])
        spend, accuracy = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        return cls(tuple(rules), tuple(names), spend, accuracy)

    def held_out(self, spends: Floats, accuracies: Floats) -> Floats:
        """Return spend and accuracy at the spends of a hull, tuned without the questions that score it, (2, H).

        `accuracies` are those of the hull: what is returned where a single question leaves nothing to hold out.
        """
        n = self.spend.shape[1]
        if n < 2:
            return np.array([spends, accuracies])
        found = held_out(tabled(self.spend, self.accuracy), n, spends, folds=min(FOLDS, n), seeds=(0,))
        return np.array([found.spend.mean(axis=1), found.accuracy.mean(axis=1)])

    def take(self, rows: Any) -> "Replayed":
        """Return the figures of some of the questions."""
        return Replayed(self.rules, self.arms, self.spend[:, rows], self.accuracy[:, rows])


def outcomes_of(
    rules: Sequence[Counting], arms: Sequence[str], samples: Samples, orders: int, *, verifier: bool
) -> tuple[Floats, Floats]:
    """Return spend and accuracy of rules, each of which draws from one model, (J, n) each.

    Raises
    ------
    InputError
        If the samples lack a model.
    """
    spend, accuracy = (np.empty((len(rules), len(samples))) for _ in range(2))
    for a, (model, arm) in enumerate(samples.by_model.items()):
        mine = [j for j, name in enumerate(arms) if name == model]
        if mine:
            paths = Paths(arm, orders, a, verifier=verifier)
            spend[mine], accuracy[mine] = paths.outcomes([rules[j] for j in mine])
    absent = set(arms) - set(samples.by_model)
    if absent:
        raise InputError(f"samples has no model {sorted(absent)[0]!r}, which this policy draws from.")
    return spend, accuracy


def unknown(family: str, verifier: bool) -> str:
    """Return the message about an unknown family."""
    listed = ", ".join(map(repr, families(1, verifier=verifier)))
    if verifier:
        return f"family is {family!r}; with a verifier, which makes votes needless, allowed are {listed}."
    return f"family is {family!r}; without a verifier allowed are {listed}."


def described(rule: Counting) -> str:
    """Return a rule with its settings in a few words, such as "margin 3, cap 12 of small"."""
    words = {"confident": "confidence", "p1": "share", "alpha": "alpha", "beta": "beta"}
    given = [
        f"{words.get(field.name, field.name)} {getattr(rule, field.name):.4g}"
        for field in fields(rule)  # type: ignore[arg-type]
        if field.name not in ("action", "criterion")
    ]
    model = rule.action.model
    return ", ".join(given) + (f" of {model}" if model else "")

"""What a policy that exists already does on samples that judge each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.evaluate.menu import arm_of
from tcalloc.learn.protocol import Always
from tcalloc.learn.training import as_table
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table

__all__ = ["outcomes_on", "shortened"]

Floats = NDArray[np.float64]


def outcomes_on(
    policy: Any, parts: Sequence[Samples], X: Any, budgets: Sequence[float] | None = None
) -> tuple[Floats, Floats]:
    """Return spend and share of right answers by question, (B, n) each: the means over all parts.

    The parts are the same questions, such as random halves of their samples. An action of more samples than a part
    holds is replaced by one of all its samples. Without budgets, the policy's own setting counts.
    """
    found = [_outcomes(policy, part, X, budgets) for part in parts]
    spend, accuracy = (np.mean([one[of] for one in found], axis=0) for of in (0, 1))
    return spend, accuracy


def shortened(action: Action, samples: Samples) -> Action:
    """Return an action that draws no more samples than every question has."""
    arm = samples.by_model[arm_of(action, samples)]
    return replace(action, samples=min(action.samples, int(arm.drawn.sum(axis=1).min())))


def _outcomes(policy: Any, part: Samples, X: Any, budgets: Sequence[float] | None) -> tuple[Floats, Floats]:
    if isinstance(policy, Always):
        made = as_table(part, len(part), [shortened(policy.action, part)], None)
        return made.cost.T, made.acc.T
    asked = None if budgets is None else list(budgets)
    known = None if getattr(policy, "blind", False) else X
    data: Any = part
    if getattr(policy, "probed_", None) is None and getattr(policy, "actions_", None):
        data = _table(policy.actions_, policy.action_names_, part)
    done = policy.replay(known, data, asked)
    return np.asarray(done.spend), np.asarray(done.accuracy)


def _table(actions: Sequence[Action | None], names: Sequence[str], part: Samples) -> Table:
    """Return what actions reach and cost; those of more samples than there are stand there by all samples."""
    short = [None if action is None else shortened(action, part) for action in actions]
    different = list(dict.fromkeys(short))
    made = as_table(part, len(part), different, None)
    columns = [different.index(action) for action in short]
    return Table(made.acc[:, columns], made.cost[:, columns], ids=part.ids, action_names=tuple(names))

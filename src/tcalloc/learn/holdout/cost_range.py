"""The least and the most that one question may cost, as far as this is known without the held-out questions.

What to use when
----------------
`CostRange.of`
    For a guarantee: from what the user gives, from costs that are the same for every question, or from the actions.
`sample_costs`, `cost_phrase`
    The same for one sample of each model, for policies that decide while sampling; the assumption in words.
`most_of`
    The most that one action can cost, by its rates and its limit on tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._rounding import COMPUTED
from tcalloc.errors import InputError
from tcalloc.learn.replay.all_orders import draw_costs
from tcalloc.learn.training import Training
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["CostRange", "cost_phrase", "most_of", "same_costs", "sample_costs"]

Floats = NDArray[np.float64]


def most_of(action: Action | None) -> float | None:
    """Return the most that one action can cost on any question; None if its settings do not determine it.

    `rates` and `max_tokens` determine it if the prompt is free, because nothing limits the length of a prompt.
    """
    if action is None:
        return 0.0
    rates = action.rates
    if rates is None or action.max_tokens is None or rates.most_per_input_token > 0:
        return None
    return rates.most(0, action.samples, action.max_tokens)


def same_costs(shared: bool, cost: Floats, held: Training) -> bool:
    """Return whether every question pays the same, by both tables.

    Costs that were recorded question by question do not count, even if equal: a rare expensive question may be missing.
    """
    return bool(shared and held.shared and np.allclose(held.mean_cost, cost, rtol=COMPUTED, atol=0))


@dataclass(frozen=True, slots=True)
class CostRange:
    """The range of the cost of any question, future ones included."""

    low: float
    high: float

    @classmethod
    def of(
        cls,
        known: tuple[float, float] | None,
        actions: Sequence[Action | None] | None,
        held: Training,
        low: Any,
        high: Any,
        seen: float,
        extra: Action | None = None,
    ) -> "CostRange":
        """Return the range, checked against the held-out costs.

        Parameters
        ----------
        known : tuple of float or None
            The range, if each action costs the same for every question.
        actions : sequence of Action, optional
            What the columns mean.
        held : Training
            The held-out questions.
        low, high : float or None
            Limits given by the user; they take precedence.
        seen : float
            The highest cost of a training question.
        extra : Action, optional
            The action that is drawn before any other.

        Raises
        ------
        InputError
            If the highest possible cost is not known, or a cost lies outside the range.
        """
        limits = [None] if actions is None else [most_of(action) for action in actions]
        before = most_of(extra)
        said = None if before is None or None in limits else before + max(each for each in limits if each is not None)
        least, most = (0.0, said) if known is None else known
        least = least if low is None else scalar(low, "low")
        if high is None and most is None:
            raise InputError(_unknown(actions))
        most = scalar(high, "high") if most is None or high is not None else most
        found = cls(least, most)
        found._check(held, seen)
        return found

    def _check(self, held: Training, seen: float) -> None:
        if not 0 <= self.low <= self.high < np.inf:
            raise InputError(
                f"low is {self.low!r} and high is {self.high!r}; expected 0 ≤ low ≤ high, both finite: the least and "
                "the most that one question may cost."
            )
        slack = COMPUTED * max(self.high, 1e-300)
        if seen > self.high + slack:
            raise InputError(
                f"high is {self.high!r}, but a training question cost {seen!r}. Pass the most that any question may "
                "cost, future ones included."
            )
        there = np.ones(held.cost.shape, bool) if held.available is None else held.available
        bad = there & ~((held.cost >= self.low - slack) & (held.cost <= self.high + slack))
        if bad.any():
            row, column = np.argwhere(bad)[0].tolist()
            raise InputError(
                f"table: question {row} costs {float(held.cost[row, column])!r} by {held.names[column]}, not between "
                f"low = {self.low!r} and high = {self.high!r}. Pass the least and the most that any question may cost, "
                "future ones included."
            )


def sample_costs(
    arms: Sequence[str], seen: Floats, samples: Samples, actions: Mapping[str, Action], high: Any
) -> Floats:
    """Return the most that one sample of each model can cost, what its draw costs included, (arms,).

    Parameters
    ----------
    arms : sequence of str
        The models.
    seen : ndarray, (arms,)
        The highest cost of a training sample of each model, with its draw.
    samples : Samples
        The held-out samples, under the same names.
    actions : mapping of str to Action
        The action of one draw from each model.
    high : float, mapping of str to float or None
        Limits given by the user; they take precedence.

    Raises
    ------
    InputError
        If the highest possible cost is not known, or a recorded sample costs more.
    """
    if isinstance(high, Mapping) and (unknown := [arm for arm in high if arm not in arms]):
        raise InputError(
            f"high: no model {unknown[0]!r} among the samples; there are {', '.join(map(repr, arms))}."
            f"{did_you_mean(unknown[0], arms)}"
        )
    recorded = draw_costs(samples)
    found = []
    for a, arm in enumerate(arms):
        of = f" of {arm}" if arm else ""
        model = samples.by_model[arm]
        given = high.get(arm) if isinstance(high, Mapping) else high
        most = None if given is None else scalar(given, f"high{of}")
        drawing = recorded[arm].highest_round
        same = all(value is None or np.ndim(value) == 0 for value in (model.cost, model.round_cost))
        if most is None and same:
            each = (1.0 if model.cost is None else float(model.cost)) + drawing
            # There is one cost for all samples, and the training samples had the same.
            most = each if math.isclose(float(seen[a]), each, rel_tol=COMPUTED) else None
        if most is None and arm in actions:
            most = most_of(actions[arm])
        if most is None:
            raise InputError(
                f"confidence needs the most that one sample{of} may cost, which is not known: samples cost different "
                "amounts (or were recorded one by one), and the highest cost seen is not the highest possible. Pass "
                "high= (--high), one number or one per model: max_tokens * the rate of an output token + the longest "
                "prompt * the rate of an input token. "
                "If all samples cost the same, say so: Samples(..., cost=one number)."
            )
        paid = max(recorded[arm].highest + drawing, float(seen[a]))
        if not 0 <= most < math.inf or paid > most * (1 + COMPUTED):
            raise InputError(
                f"high{of} is {most!r}, but a recorded sample cost {paid:.6g}; expected a finite number: the most that "
                "any sample may cost, future ones included."
            )
        found.append(most)
    return np.array(found)


def cost_phrase(arms: Sequence[str], most: Floats) -> str:
    """Return the assumption on costs in words."""
    parts = [f"of {arm} at most {each:.6g}" if arm else f"at most {each:.6g}"
             for arm, each in zip(arms, most.tolist(), strict=True)]  # fmt: skip
    return f"a sample costs {', '.join(parts)}"


def _unknown(actions: Sequence[Action | None] | None) -> str:
    """Return the message that says what to pass if the highest possible cost is not known."""
    drawn = [action for action in actions or () if action is not None]
    most = counted(max(action.samples for action in drawn), "sample") if drawn else "the largest number of samples"
    limits = {action.max_tokens for action in drawn}
    tokens = f"{max(n for n in limits if n is not None):,} tokens" if limits and None not in limits else "max_tokens"
    return (
        "confidence needs the most that one question may cost, which is not known: costs differ between questions (or "
        "were recorded one by one), and the highest cost seen is not the highest possible. Pass high= (--high), which "
        f"is {most} * ({tokens} * the rate of an output token + the longest prompt "
        "* the rate of an input token). "
        "If every question costs the same, say so instead: one cost per action, cost=[...] of shape (K,), or one cost "
        "per sample, Samples(..., cost=...)."
    )

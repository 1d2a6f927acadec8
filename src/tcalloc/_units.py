"""The user's units: from them to the scaled numbers of the kernel and back, rounded once.

The kernel works on accuracies, costs and weights that are scaled by powers of two (`_inputs.py`).
"""

import math
import sys
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tcalloc._inputs import Labels, Magnitudes, Problem, scale_of
from tcalloc._rounding import FEASIBLE
from tcalloc._search import Sums, exactly, sum_of
from tcalloc.errors import BudgetError, InputError

__all__ = [
    "beyond_float",
    "infeasible",
    "joined",
    "refuse_other_actions",
    "scaled_limit",
    "scaled_price",
    "unscale",
    "unscale_price",
    "unscaled",
    "weight_sum",
]


def scaled_limit(labels: Labels, weight: Fraction, asked: float, *, is_total: bool) -> Fraction | float:
    """Return the limit of Σ w·cost in scaled units, exactly; `weight` is Σ w there."""
    if asked == math.inf:
        return math.inf
    exponent = labels.cost_exponent + (labels.weight_exponent if is_total else 0)
    limit = Fraction(asked) / Fraction(2) ** exponent if exponent else Fraction(asked)
    return limit if is_total else limit * weight


def scaled_price(labels: Labels, price: float) -> float:
    """Return a price in scaled units; inf if it is so large that any difference of costs outweighs all accuracies.

    Scaled costs that differ do so by 2⁻⁴⁵² or more, and scaled accuracies by at most 2²⁰¹ (`_inputs`). 2⁸⁰⁰ times the
    former is far beyond the latter. A price that underflows is far too small to outweigh any accuracy.
    """
    if price == 0 or price == math.inf:
        return price
    mantissa, exponent = math.frexp(price)
    exponent += labels.cost_exponent - labels.acc_exponent
    return math.inf if exponent > 800 else math.ldexp(mantissa, exponent)


def weight_sum(problem: Problem) -> Fraction:
    """Return Σ w exactly (in scaled units)."""
    if problem.weights is None:
        return Fraction(problem.shape[0])
    return exactly(sum_of(problem.weights))


def unscale(value: Fraction, exponent: int) -> float:
    """Undo the scaling by a power of two, rounding once."""
    try:
        return float(value * Fraction(2) ** exponent if exponent else value)
    except OverflowError:
        raise beyond_float() from None


def unscale_price(value: float, labels: Labels) -> float:
    """Return a price in the user's units; raise an error if it would be 0 or keep only a few digits."""
    price = unscale(Fraction(value), labels.acc_exponent - labels.cost_exponent)
    if value > 0 and price < sys.float_info.min:
        raise beyond_float()
    return price


def unscaled(values: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """Undo the scaling by a power of two."""
    if exponent == 0:
        return values
    with np.errstate(over="ignore"):
        result = np.ldexp(values, exponent)
    if not np.isfinite(result).all():
        raise beyond_float()
    return result


def refuse_other_actions(first: Labels, other: Labels) -> None:
    """Raise an error if two tables differ in their actions."""
    if (first.actions, first.names) != (other.actions, other.names):
        one, two = (", ".join(each.names) if each.names else f"{each.actions} unnamed" for each in (first, other))
        raise InputError(
            f"frontiers have different actions ({one} against {two}); only tables with the same actions in the same "
            "order can be merged."
        )


def joined(parts: Sequence[Labels], magnitudes: Sequence[Magnitudes]) -> tuple[Labels, Magnitudes]:
    """Return labels and magnitudes of blocks of rows with the same actions, as those of one table."""
    found = {
        name: (min(each[name][0] for each in magnitudes), max(each[name][1] for each in magnitudes))
        for name in ("acc", "cost", "weights")
    }
    acc, cost, weight = (scale_of(f"{name} of the frontiers together", *ends) for name, ends in found.items())
    known = [part.ids for part in parts if part.ids is not None]
    if 0 < len(known) < len(parts):
        raise InputError("some frontiers have ids and some have none; give ids to all of them or to none.")
    ids = np.concatenate(known) if known else None
    return Labels(parts[0].actions, ids, parts[0].names, acc, cost, weight), found


def beyond_float() -> InputError:
    """Return the error for a result that no float64 can hold."""
    return InputError(
        "a result (a price, say) is beyond 1e308 or below 1e-308: the magnitudes of acc, cost and weights differ too "
        "much. Rescale them, for example to shares and dollars."
    )


def infeasible(labels: Labels, cheapest: Sums, asked: float, *, is_total: bool) -> BudgetError:
    """Return the error for a limit below the cheapest choice."""
    if is_total:
        word, unit = "total", "in all"
        least = unscale(exactly(cheapest.spend), labels.cost_exponent + labels.weight_exponent)
    else:
        word, unit = "budget", "per instance"
        least = unscale(exactly(cheapest.spend) / exactly(cheapest.weight), labels.cost_exponent)
    return BudgetError(
        f"{word} is {asked!r}, but the cheapest action of every instance already costs {_short(least)} {unit}: that is "
        f"the smallest feasible {word}. Raise it, or offer cheaper actions (a cost of 0 means: not answered).",
        least,
    )


def _short(value: float) -> str:
    """Return a number with as few digits as keep a budget of it feasible: 0.0001 for 0.00010000000000000002."""
    rounded = (float(f"{value:.{digits}g}") for digits in range(6, 17))
    return repr(next((one for one in rounded if abs(one - value) <= abs(value) * FEASIBLE / 2), value))

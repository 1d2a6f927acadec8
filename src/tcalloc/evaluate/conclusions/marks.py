"""Marks of policies: stars of p-values, what must be checked, and the share of the oracle's gain."""

import numpy as np

from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.learn.registry import ORACLE

__all__ = ["CHECK", "STARS", "share_captured", "stars", "to_check"]

# Below these p-values a gain gets these stars.
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
# A mark that begins so: the figures stand if what follows, up to the colon, was known beforehand.
CHECK = "check "


def stars(p: float) -> str:
    """Return the stars of a corrected p-value; none where it is 5 % or more, or NaN."""
    return next((mark for limit, mark in STARS if p < limit), "")


def to_check(standing: Standing) -> str:
    """Return what must be looked at before a policy is used, "X" or "the label"; "" if nothing."""
    found = (mark for mark in standing.marks if mark.startswith(CHECK))
    return next((mark[len(CHECK) :].split(":", 1)[0] for mark in found), "")


def share_captured(result: ComparisonFigures, standing: Standing) -> float:
    """Return the share of the held-out oracle's gain over all budgets where there is one; NaN if there is none.

    It is what the policy gains there in sum over what the oracle gains there in sum: in a mean of shares, the budget
    where the oracle gains least would count most.
    """
    known = np.isfinite(standing.captured)
    if not known.any():
        return float("nan")
    gains = next((one.gain for one in result.standings if one.name == ORACLE), np.ones(len(known)))
    weights = np.nan_to_num(gains[known]).clip(0.0)
    return float(np.average(standing.captured[known], weights=weights if weights.sum() > 0 else None))

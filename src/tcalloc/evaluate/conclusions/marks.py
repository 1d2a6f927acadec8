"""What is said of single policies: stars of p-values, marks, and the share of the oracle's gain."""

from collections.abc import Iterable

import numpy as np

from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.learn.registry import ORACLE

__all__ = ["CHECK", "STARS", "by_mark", "by_reason", "share_captured", "stars", "tests", "to_check"]

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


def tests(result: ComparisonFigures) -> int:
    """Return how many gains are tested, over all policies and budgets."""
    return sum(int(np.isfinite(standing.p).sum()) for standing in result.standings)


def by_mark(result: ComparisonFigures) -> dict[str, list[str]]:
    """Return the policies that carry each mark."""
    return _grouped((mark, standing.name) for standing in result.standings for mark in standing.marks)


def by_reason(result: ComparisonFigures) -> dict[str, list[str]]:
    """Return the policies that take no part for each reason."""
    return _grouped((why.rstrip("."), name) for name, why in result.skipped.items())


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return found


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

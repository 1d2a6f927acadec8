"""What more questions, or more samples per question, would show: `settles`."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.choice import trusted
from tcalloc.evaluate.conclusions.marks import tests
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.evaluate.thresholds import ALPHA, FAR, FEW_SAMPLES, POWER, RISING, WORTH

if TYPE_CHECKING:
    from tcalloc.evaluate.conclusions.recommend import Pick

__all__ = ["needed_for", "settles"]


def needed_for(result: ComparisonFigures, candidate: Standing, b: int) -> tuple[int | None, int | None]:
    """Return how many questions would let the interval exclude 0, and the corrected p fall below 5 %.

    In four of five cases: where the interval ends at 0 on average, it excludes 0 only with an even chance. Standard
    errors fall with the root of the number of questions. The correction is taken at its strictest (the first
    step of Holm's, which is Bonferroni's).
    """
    # The lower end is what must rise above 0; intervals of few questions are lopsided.
    gain, half = float(candidate.gain[b]), float(candidate.gain[b] - candidate.gain_low[b])
    if not (gain >= WORTH and half > 0 and math.isfinite(half)):
        return None, None
    usual, strict = (NormalDist().inv_cdf(1 - ALPHA / 2 / m) for m in (1, max(1, tests(result))))
    sure = NormalDist().inv_cdf(POWER)
    plainly, corrected = (result.questions * (half / gain * (limit + sure) / usual) ** 2 for limit in (usual, strict))
    return phrases.rounded(max(plainly, result.questions)), phrases.rounded(max(corrected, result.questions))


def settles(result: ComparisonFigures, picks: "Sequence[Pick]") -> list[str]:
    """Return what more questions or samples would settle, each a sentence or two."""
    found = []
    for pick in picks:
        if pick.questions is None or pick.questions_corrected is None or pick.candidate is None:
            continue
        where = phrases.at_spend(pick.budget, result.unit).capitalize()
        who = f"{where}, {phrases.clean(pick.candidate, phrases.LONGEST)}"
        if pick.questions > FAR * result.questions:
            found.append(
                f"{who} is as good as the mixture in practice: no affordable number of questions would show more."
            )
        elif pick.low > 0:
            found.append(
                f"{who} leads the mixture by {phrases.points(pick.gain)} points, and the interval excludes 0. With "
                f"the correction for all comparisons, about {pick.questions_corrected:,} questions like these would "
                f"show that in four of five cases; there are {result.questions:,}."
            )
        else:
            found.append(
                f"{who} leads the mixture by {phrases.points(pick.gain)} points. If that is true, about "
                f"{pick.questions:,} questions like these ({pick.questions_corrected:,} with the correction for all "
                f"comparisons) would show it in four of five cases; there are {result.questions:,}."
            )
    if not all(pick.shown for pick in picks):
        found += _of_questions(result)
    if result.data == "single answers":
        found.append(
            "Several samples per question would separate a question's chance from its luck. More questions average "
            "luck out too, but policies that stop while sampling can only be compared with several samples."
        )
    elif result.votes:
        found += _of_samples(result)
    if result.repeats == 1:
        found.append(
            "repeats=5 (--repeats 5) would show how much the figures change with other folds of the same questions. It "
            "needs no new data."
        )
    return found


def _of_questions(result: ComparisonFigures) -> list[str]:
    wide = [
        float(high - low) / 2
        for standing in result.standings
        if trusted(standing)
        for low, high in zip(standing.gain_low, standing.gain_high, strict=True)
        if 2 * WORTH < high - low < math.inf
    ]
    if not wide:
        return []
    return [
        f"With {phrases.counted(result.questions, 'question')} the gains are known to "
        f"±{100 * max(wide):.1f} points at worst. Four times as many questions would halve that."
    ]


def _of_samples(result: ComparisonFigures) -> list[str]:
    cap = result.votes[-1]
    half = int(np.searchsorted(result.votes, cap / 2))
    gain = float(result.vote_accuracy[-1] - result.vote_accuracy[half])
    if cap > 1 and gain >= RISING:
        return [
            f"{cap} samples for every question are {phrases.points(gain)} points better than {result.votes[half]}. "
            "More samples per question would show what larger budgets reach."
        ]
    if cap < FEW_SAMPLES and np.ptp(result.vote_accuracy) >= WORTH:
        return [f"More than {cap} samples per question would show what larger budgets reach."]
    return []

"""The limits of a comparison, in words: few questions, few samples, budgets out of reach."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tcalloc._amounts import digits
from tcalloc._counts import counted
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.result import Standing
from tcalloc.evaluate.thresholds import FEW_QUESTIONS, FEW_SAMPLES
from tcalloc.learn.training import NOTHING

__all__ = ["remarks"]

NO_GAIN = "{} recorded answer {}, so no policy can gain anything, and the cheapest action is best."


def remarks(problem: Problem, standings: Sequence[Standing], budgets: NDArray[np.float64], repeats: int) -> list[str]:
    """Return the caveats of a comparison, each a sentence or two."""
    found = [*_of_questions(problem, standings), *_of_answers(problem), *_of_budgets(standings, budgets)]
    if repeats == 1:
        found.append(
            "The intervals hold for the policies as they were trained. How much other folds would change them was not "
            "measured; repeats=5 (--repeats 5) measures it."
        )
    if NOTHING in problem.fixed_names:
        found.append(
            f"Policies and mixtures may leave a question without an answer, at no cost: the action {NOTHING!r}."
        )
    return [*found, *problem.notes]


def _of_questions(problem: Problem, standings: Sequence[Standing]) -> list[str]:
    n = problem.questions
    if n >= FEW_QUESTIONS:
        return []
    halves = [
        50 * float(high - low)
        for standing in standings
        if standing.kind in ("policy", "own")
        for low, high in zip(standing.gain_low, standing.gain_high, strict=True)
        if high > low
    ]
    words = f"There are only {counted(n, 'question')}"
    if halves:
        words += f": a gain must exceed about {float(np.median(halves)):.1f} points to stand out from chance"
    return [words + ". More questions help more than more samples of these."]


def _of_answers(problem: Problem) -> list[str]:
    acc, words = problem.fixed_accuracy, problem.reference.words
    real = [a for a, cost in enumerate(problem.fixed_cost.mean(axis=0)) if cost > 0 or acc[:, a].any()]
    known = acc[:, real] if real else acc
    if len(problem.menu.names) == 1:
        return ["There is only one action, so every policy does the same."]
    if not known.any():
        return [NO_GAIN.format("No", words.is_right)]
    if (known == 1).all():
        return [NO_GAIN.format("Every", words.is_right)]
    found = []
    if problem.data == "single answers":
        found.append(
            f"Each cell is a single answer, {words.outcome}. The hindsight bound chooses by these "
            "outcomes, so much of "
            "it is luck, and no policy can reach it. Several samples per question would separate luck from skill."
        )
    if problem.samples is not None:
        sizes = [arm.drawn.sum(axis=1) for arm in problem.samples.by_model.values()]
        least, most = (int(end) for end in (min(size.min() for size in sizes), max(size.max() for size in sizes)))
        # What the oracle cannot know of a model, it takes from the others.
        once = [name for name, arm in problem.samples.by_model.items() if (arm.drawn.sum(axis=1) == 1).any()]
        if once and most > 1:
            whose = f" of {', '.join(once)}" if len(problem.models) > 1 else ""
            found.append(
                f"Some questions have a single sample{whose}. The held-out oracle cannot know a sample and be scored "
                "on it, so there it decides by other samples."
            )
        if 1 < least < FEW_SAMPLES:
            who = "Each question has" if least == most else "Some questions have"
            found.append(
                f"{who} only {least} samples{' of a model' if len(problem.models) > 1 else ''}. What more samples "
                "reach is not known, and the held-out oracle decides by half of them."
            )
    return found


def _of_budgets(standings: Sequence[Standing], budgets: NDArray[np.float64]) -> list[str]:
    found = []
    for b, budget in enumerate(budgets):
        spends = np.array([standing.spend[b] for standing in standings if standing.kind != "bound"])
        if not len(spends) or any(s.reached[b] for s in standings if s.kind != "bound"):
            continue
        if (spends > budget).all():
            found.append(
                f"No policy can spend as little as {digits(budget)}: the least is {digits(float(spends.min()))}."
            )
        elif (spends < budget).all():
            most = digits(float(spends.max()))
            found.append(f"No policy can use {digits(budget)}: the most that any spends is {most}.")
        else:
            found.append(f"No policy spends {digits(budget)} exactly; the table shows what each really spends there.")
    return found

"""A comparison in words: the printed table, and what to bear in mind."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tcalloc._amounts import digits as _number
from tcalloc._amounts import unit_words
from tcalloc.evaluate import phrases
from tcalloc.learn.training import NOTHING

if TYPE_CHECKING:
    from tcalloc.evaluate.problem import Problem
    from tcalloc.evaluate.result import Comparison, Standing

__all__ = ["CHECK", "STARS", "remarks", "share_captured", "stars", "table", "to_check"]

WIDTH = 120
# p below which a gain gets so many stars.
STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
# A mark that begins so: the figures stand if what follows, up to the colon, was known beforehand.
CHECK = "check "
ORACLE = "oracle, held out"
# Fewer questions than this, or samples per question, are worth a word.
FEW_QUESTIONS, FEW_SAMPLES = 200, 10
# A spend that is farther off than this is told.
CLOSE = 0.005
SAME = (
    "same: it does what the best fixed mixture does at that spend, or nearly so: its gain and both ends of its "
    "interval are below 0.05 points."
)


def stars(p: float) -> str:
    """Return the stars of a corrected p-value; none where it is 5 % or more, or NaN."""
    return next((mark for limit, mark in STARS if p < limit), "")


def to_check(standing: "Standing") -> str:
    """Return what must be looked at before a policy is used, "X" or "the label"; "" if nothing."""
    found = (mark for mark in standing.marks if mark.startswith(CHECK))
    return next((mark[len(CHECK) :].split(":", 1)[0] for mark in found), "")


def share_captured(result: "Comparison", standing: "Standing") -> float:
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


# ---------------------------------------------------------------------------------------------- the table


def table(result: "Comparison") -> str:
    """Return one table, best first, at most 120 columns wide where names allow, and what must be said about it."""
    names = max([len(standing.name) for standing in result.standings] + [len("policy")])
    columns = [_column(result, b) for b in range(len(result.budgets))]
    captured = ["", "captured", *(_captured(result, standing) for standing in result.standings)]
    if not any(captured[2:]):
        captured = []
    room = WIDTH - names - (len("captured") + 2 if captured else 0)
    blocks: list[list[list[str]]] = [[]]
    taken = 0
    for column in columns:
        wide = len(column[0]) + 2
        if blocks[-1] and taken + wide > room:
            blocks.append([])
            taken = 0
        blocks[-1].append(column)
        taken += wide
    lines = [*_wrapped(_heading(result)), ""]
    for number, block in enumerate(blocks):
        if captured and number == len(blocks) - 1:
            block = [*block, _told(captured)]
        lines += ["", *_block(result, block, names)] if number else _block(result, block, names)
    return "\n".join([*lines, *_notes(result)])


def _heading(result: "Comparison") -> str:
    times = f", {result.repeats} times" if result.repeats > 1 else ""
    spend = unit_words(result.unit)
    return (
        f"{result.questions:,} questions{phrases.with_verifier(result.verifier)}, each scored by policies trained "
        f"without it ({result.folds} folds{times}). "
        f"Per mean spend ({spend} per question): accuracy in %, and gain in points over the "
        f"{result.reference} at the same spend, ± half of its 95 % interval."
    )


def _column(result: "Comparison", b: int) -> list[str]:
    """Return a budget's head and one cell per policy, of equal width; a cell's second line follows a line break."""
    cells = []
    for standing in result.standings:
        cell = f"{_percent(standing.accuracy[b]):>5} {_gain(result, standing, b)}"
        spend = float(standing.spend[b])
        if not standing.reached[b] and np.isfinite(spend):
            cell += f"\n{'':5} at {_number(spend)}"
        cells.append(cell)
    parts = [part for cell in cells for part in cell.split("\n")]
    wide = max(len(part) for part in [*parts, "accur.  gain"])
    head = f"{_number(float(result.budgets[b])):^{wide}}"
    return [head, f"{'acc.':>5} {'gain':<{wide - 6}}", *(f"{cell}" for cell in cells)]


def _told(captured: list[str]) -> list[str]:
    wide = max(len(cell) for cell in captured)
    return [f"{cell:>{wide}}" for cell in captured]


def _block(result: "Comparison", block: Sequence[Sequence[str]], names: int) -> list[str]:
    wides = [len(column[0]) for column in block]
    rows = ["", "policy", *(standing.name for standing in result.standings)]
    lines = []
    for r, name in enumerate(rows):
        if r == 2 or (r > 2 and _begins_bounds(result, r - 2)):
            lines.append("-" * (names + sum(wides) + 2 * len(wides)))
        parts = [column[r].split("\n") for column in block]
        for line in range(max(len(part) for part in parts)):
            cells = (
                f"{part[line] if line < len(part) else '':<{wide}}" for part, wide in zip(parts, wides, strict=True)
            )
            lines.append("  ".join([f"{name if line == 0 else '':<{names}}", *cells]).rstrip())
    return lines


def _begins_bounds(result: "Comparison", at: int) -> bool:
    return result.standings[at].kind == "bound" and result.standings[at - 1].kind != "bound"


def _gain(result: "Comparison", standing: "Standing", b: int) -> str:
    if standing.name == result.reference or not np.isfinite(standing.gain[b]):
        return ""
    if standing.does_the_same(b):
        return f"{'same':>5}"
    half = 50 * float(standing.gain_high[b] - standing.gain_low[b])
    points = round(100 * float(standing.gain[b]), 1) + 0.0  # no "-0.0"
    # A gain that is too small to be printed is too small to be praised, however sure it is.
    return f"{points:+5.1f} ±{half:.1f}{stars(float(standing.p[b])) if points else ''}"


def _captured(result: "Comparison", standing: "Standing") -> str:
    share = share_captured(result, standing)
    if not np.isfinite(share) or standing.kind == "bound" or not standing.gain.any():
        return ""
    return f"{round(100 * share) + 0:d} %"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if np.isfinite(value) else "-"


# ---------------------------------------------------------------------------------------------- below it


def _notes(result: "Comparison") -> list[str]:
    lines = [""]
    tested = sum(int(np.isfinite(standing.p).sum()) for standing in result.standings)
    if tested:
        levels = ", ".join(f"{mark} {limit:g}" for limit, mark in reversed(STARS))
        lines += _wrapped(f"p below {levels}: two-sided, corrected for {tested} comparisons (Holm).")
    halves = [
        50 * (standing.high[b] - standing.low[b])
        for standing in result.standings
        for b in range(len(result.budgets))
        if standing.kind != "bound" and np.isfinite(standing.high[b] - standing.low[b])
    ]
    if halves:
        lines += _wrapped(
            f"The accuracies themselves are known to ±{min(halves):.1f} to ±{max(halves):.1f} points (95 %). "
            "All figures, with the ends of their intervals: to_frame(), or --json."
        )
    if any(_captured(result, standing) for standing in result.standings):
        lines += _wrapped(
            "captured: share of what the held-out oracle gains, over all spends together where it gains and is not "
            "short of samples: it knows, and may draw, half of a question's. It decides before anything is drawn: who "
            "stops while sampling can gain more, and who is told a question's chances exactly."
        )
    if not all(standing.reached.all() for standing in result.standings):
        lines += _wrapped(
            "at: it finds nothing to spend more on, or cannot spend as little, and really spends this; its gain is "
            "over the mixture that spends the same."
        )
    budgets = range(len(result.budgets))
    if any(one.does_the_same(b) for one in result.standings if one.name != result.reference for b in budgets):
        lines += _wrapped(SAME)
    said: dict[str, list[str]] = {}
    for standing in result.standings:
        for mark in standing.marks:
            said.setdefault(mark, []).append(standing.name)
    for mark, names in said.items():
        lines += _wrapped(f"{'; '.join(names)}: {mark}.")
    reasons: dict[str, list[str]] = {}
    for name, why in result.skipped.items():
        reasons.setdefault(why, []).append(name)
    if reasons:
        lines += ["", "Take no part:"]
        for why, names in reasons.items():
            lines += _wrapped(f"- {'; '.join(names)}: {why.rstrip('.')}.", hang=2)
    if result.remarks:
        lines += ["", "To bear in mind:"]
        for remark in result.remarks:
            lines += _wrapped(f"- {remark}", hang=2)
    return lines


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False)


# ---------------------------------------------------------------------------------------------- what to bear in mind


def remarks(
    problem: "Problem", standings: Sequence["Standing"], budgets: "np.typing.NDArray[np.float64]", repeats: int
) -> list[str]:
    """Return the caveats of a comparison, each a sentence or two."""
    found = [*_of_questions(problem, standings), *_of_answers(problem), *_of_budgets(problem, standings, budgets)]
    if repeats == 1:
        found.append(
            "How much other trainings would change was not measured: the intervals are those of these policies. "
            "repeats=5 (--repeats 5) measures it."
        )
    if NOTHING in problem.fixed_names:
        found.append(
            f"Policies and mixtures may leave a question without an answer, for nothing: the action {NOTHING!r}."
        )
    return [*found, *problem.notes]


def _of_questions(problem: "Problem", standings: Sequence["Standing"]) -> list[str]:
    n = len(problem)
    halves = [
        50 * float(high - low)
        for standing in standings
        if standing.kind in ("policy", "own")
        for low, high in zip(standing.gain_low, standing.gain_high, strict=True)
        if high > low
    ]
    if n >= FEW_QUESTIONS:
        return []
    words = f"There are only {n} questions"
    if halves:
        words += f": a gain must exceed about {float(np.median(halves)):.1f} points to stand out from chance"
    return [words + ". More questions settle more than more samples of these."]


def _of_answers(problem: "Problem") -> list[str]:
    acc = problem.fixed_accuracy
    real = [a for a, cost in enumerate(problem.fixed_cost.mean(axis=0)) if cost > 0 or acc[:, a].any()]
    known = acc[:, real] if real else acc
    if len(problem.menu.names) == 1:
        return ["There is only one action: there is nothing to choose, and every policy does the same."]
    if not known.any():
        return [
            "Nothing was right on any question: no policy can gain anything, and the cheapest way to be wrong is best."
        ]
    if (known == 1).all():
        return ["Everything was right on every question: no policy can gain anything, and the cheapest action is best."]
    found = []
    if problem.data == "single answers":
        found.append(
            "Each cell is a single answer, right or wrong: what is chosen by it (the hindsight bound) owes much "
            "to luck, and no policy can reach that. Several samples per question would tell luck from skill."
        )
    if problem.samples is not None:
        sizes = [arm.drawn.sum(axis=1) for arm in problem.samples.by_model.values()]
        least, most = (int(end) for end in (min(size.min() for size in sizes), max(size.max() for size in sizes)))
        # What the oracle cannot know of a model, it is told from the others.
        once = [name for name, arm in problem.samples.by_model.items() if (arm.drawn.sum(axis=1) == 1).any()]
        if once and most > 1:
            whose = f" of {', '.join(once)}" if len(problem.models) > 1 else ""
            found.append(
                f"Some questions have a single sample{whose}. The oracle, held out, cannot know and judge by the same "
                "sample: there it goes by what other samples tell."
            )
        if 1 < least < FEW_SAMPLES:
            who = "Each question has" if least == most else "Some questions have"
            found.append(
                f"{who} only {least} samples{' of a model' if len(problem.models) > 1 else ''}: what lies beyond so "
                "many is not known, and the oracle, held out, decides by half of them."
            )
    return found


def _of_budgets(
    problem: "Problem", standings: Sequence["Standing"], budgets: "np.typing.NDArray[np.float64]"
) -> list[str]:
    found = []
    for b, budget in enumerate(budgets):
        spends = np.array([standing.spend[b] for standing in standings if standing.kind != "bound"])
        if not len(spends) or any(s.reached[b] for s in standings if s.kind != "bound"):
            continue
        if (spends > budget).all():
            found.append(
                f"Nobody can spend as little as {_number(budget)}: the least is {_number(float(spends.min()))}."
            )
        elif (spends < budget).all():
            most = _number(float(spends.max()))
            found.append(f"Nobody finds anything to spend {_number(budget)} on: the most is {most}; more buys nothing.")
        else:
            found.append(f"Nobody spends {_number(budget)}: see what each really spends there.")
    return found

"""A comparison as a printed table, with the notes below it."""

import textwrap
from collections.abc import Sequence

import numpy as np

from tcalloc._amounts import digits, unit_words
from tcalloc._counts import counted
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.marks import STARS, by_mark, by_reason, share_captured, stars, tests
from tcalloc.evaluate.result import ComparisonFigures, Standing

__all__ = ["table"]

WIDTH = 120
SAME = (
    "same: at that spend it does nearly what the best fixed mixture does. Its gain and both ends of its interval are "
    "below 0.05 points."
)


# ---------------------------------------------------------------------------------------------- the table


def table(result: ComparisonFigures) -> str:
    """Return one table, best first, at most 120 columns wide where names allow, and its notes."""
    names = max([len(standing.name) for standing in result.standings] + [len("policy")])
    captured = ["", "captured", *(_captured(result, standing) for standing in result.standings)]
    if not any(captured[2:]):
        captured = []
    room = WIDTH - names - (len("captured") + 2 if captured else 0)
    blocks: list[list[list[str]]] = [[]]
    for column in (_column(result, b) for b in range(len(result.budgets))):
        if blocks[-1] and sum(len(one[0]) + 2 for one in [*blocks[-1], column]) > room:
            blocks.append([])
        blocks[-1].append(column)
    said = result.labels.sentence()
    lines = [*([*_wrapped(said), ""] if said else []), *_wrapped(_heading(result)), ""]
    for number, block in enumerate(blocks):
        if captured and number == len(blocks) - 1:
            block = [*block, [f"{cell:>{max(map(len, captured))}}" for cell in captured]]
        lines += ["", *_block(result, block, names)] if number else _block(result, block, names)
    return "\n".join([*lines, *_notes(result)])


def _heading(result: ComparisonFigures) -> str:
    times = f", {result.repeats} times" if result.repeats > 1 else ""
    spend = unit_words(result.unit)
    return (
        f"{phrases.counted(result.questions, 'question')}{phrases.with_verifier(result.verifier)}. Each is scored by "
        f"policies that were trained without it ({counted(result.folds, 'fold')}{times}). For each mean spend "
        f"({spend} per question): {result.words.full} in %, and gain in points over the {result.reference} that spends "
        "the same, ± half of its 95 % interval."
    )


def _column(result: ComparisonFigures, b: int) -> list[str]:
    """Return a budget's head and one cell per policy, of equal width; a cell's second line follows a line break."""
    cells = []
    for standing in result.standings:
        accuracy, spend = float(standing.accuracy[b]), float(standing.spend[b])
        cell = f"{f'{100 * accuracy:.1f}' if np.isfinite(accuracy) else '-':>5} {_gain(result, standing, b)}"
        if not standing.reached[b] and np.isfinite(spend):
            cell += f"\n{'':5} at {digits(spend)}"
        cells.append(cell)
    parts = [part for cell in cells for part in cell.split("\n")]
    wide = max(len(part) for part in [*parts, "accur.  gain"])
    head = f"{digits(float(result.budgets[b])):^{wide}}"
    return [head, f"{result.words.short:>5} {'gain':<{wide - 6}}", *cells]


def _block(result: ComparisonFigures, block: Sequence[Sequence[str]], names: int) -> list[str]:
    wides = [len(column[0]) for column in block]
    rows = ["", "policy", *(standing.name for standing in result.standings)]
    lines = []
    bounds = next((r for r, standing in enumerate(result.standings, 2) if standing.kind == "bound"), 2)
    for r, name in enumerate(rows):
        if r in (2, bounds):
            lines.append("-" * (names + sum(wides) + 2 * len(wides)))
        parts = [column[r].split("\n") for column in block]
        for line in range(max(len(part) for part in parts)):
            cells = (
                f"{part[line] if line < len(part) else '':<{wide}}" for part, wide in zip(parts, wides, strict=True)
            )
            lines.append("  ".join([f"{name if line == 0 else '':<{names}}", *cells]).rstrip())
    return lines


def _gain(result: ComparisonFigures, standing: Standing, b: int) -> str:
    if standing.name == result.reference or not np.isfinite(standing.gain[b]):
        return ""
    if standing.does_the_same(b):
        return f"{'same':>5}"
    half = 50 * float(standing.gain_high[b] - standing.gain_low[b])
    points = round(100 * float(standing.gain[b]), 1) + 0.0  # no "-0.0"
    # A gain that is printed as 0.0 gets no stars, however small its p-value is.
    return f"{points:+5.1f} ±{half:.1f}{stars(float(standing.p[b])) if points else ''}"


def _captured(result: ComparisonFigures, standing: Standing) -> str:
    share = share_captured(result, standing)
    if not np.isfinite(share) or standing.kind == "bound" or not standing.gain.any():
        return ""
    return f"{round(100 * share) + 0:d} %"


# ---------------------------------------------------------------------------------------------- below it


def _notes(result: ComparisonFigures) -> list[str]:
    lines = [""]
    if tested := tests(result):
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
            f"The {result.words.plural} themselves are known to ±{min(halves):.1f} to ±{max(halves):.1f} points (95 "
            "%). to_frame() and --json give all figures, with both ends of each interval."
        )
    if any(_captured(result, standing) for standing in result.standings):
        lines += _wrapped(
            "captured: the policy's gain as a share of the held-out oracle's gain, summed over the spends where the "
            "oracle gains and has enough samples. The oracle knows half of each question's samples, draws no more than "
            "that half, and decides before anything is drawn. A policy that stops while sampling can gain more, and so "
            "can one that knows a question's chances exactly."
        )
    if not all(standing.reached.all() for standing in result.standings):
        lines += _wrapped(
            "at: the policy cannot spend as little, or finds nothing more to spend on. It really spends this, and its "
            "gain is over the mixture that spends the same."
        )
    budgets = range(len(result.budgets))
    if any(one.does_the_same(b) for one in result.standings if one.name != result.reference for b in budgets):
        lines += _wrapped(SAME)
    for mark, names in by_mark(result).items():
        lines += _wrapped(f"{'; '.join(names)}: {mark}.")
    if result.skipped:
        lines += ["", "Left out:"]
        for why, names in by_reason(result).items():
            lines += _wrapped(f"- {'; '.join(names)}: {why}.", hang=2)
    if result.remarks:
        lines += ["", "Keep in mind:"]
        for remark in result.remarks:
            lines += _wrapped(f"- {remark}", hang=2)
    return lines


def _wrapped(text: str, hang: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False)

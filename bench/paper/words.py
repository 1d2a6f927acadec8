"""The figures as text and as JSON: the paper's table's shape, and ours beside the paper's claims."""

import math
from typing import Any

import numpy as np

from bench.paper.figures import Figures, Row
from bench.paper.methods import IMITATOR, METHODS, OURS, UNIFORM
from bench.scoring import Difference

__all__ = ["CLAIMED_FIDELITY", "CLAIMED_GAIN", "OTHERS", "claims", "document", "legend", "show"]

CLAIMED_GAIN, CLAIMED_FIDELITY = 0.128, 0.91
"""The paper's abstract: up to 12.8 % relative accuracy gain on MATH; imitation accuracy above 91 %."""
OTHERS = {"oracle": 0.586, "learned": 0.575, "random": 0.534, "length": 0.529, "fixed": 0.517}
"""A row that others report of the paper; of which data set, model and budget is not known."""
WIDTH = 21


def show(found: Figures) -> str:
    """Return the tables of one data set by one model."""
    work, data = found.work, found.work.data
    votes = ", ".join(str(k) for k in work.votes)
    repeats = f"{work.folds} folds over questions" + (f", {len(work.seeds)} times" if len(work.seeds) > 1 else "")
    lines = [
        f"{data.name}: {len(data.texts):,} questions, {data.most} responses each; votes over {votes}",
        f"held out: {repeats}; the one call shows the {work.calls.what}",
        *data.notes,
    ]
    if data.dollars is not None:
        lines.append(f"A response cost ${data.dollars:.3g} on average.")
    lines += ["", _head("accuracy at mean responses", work.budgets)]
    lines += [_line(row.name, [_accuracy(row, b) for b in range(len(work.budgets))]) for row in found.rows]
    lines += ["", _head(f"points above the {UNIFORM}", work.budgets)]
    lines += [_line(row.name, [_points(one) for one in row.gain]) for row in found.rows if row.name != UNIFORM]
    if found.ahead:
        lines += [_line(f"{OURS} - {IMITATOR}", [_points(one) for one in found.ahead])]
    lines += ["", _head("relative gain, %", work.budgets)]
    lines += [
        _line(row.name, [f"{100 * r:+.2f}" if math.isfinite(r) else "-" for r in row.relative])
        for row in found.rows
        if row.kind != "baseline"
    ]
    lines += ["", *_fidelity(found)]
    lines += _levels(found)
    lines += [
        "",
        "*: at its own spend, not the budget: it finds nothing to spend more on, or cannot spend so little",
        *(f"   {row.name}: {', '.join(f'{s:.3g}' for s in row.spend)}" for row in found.rows if not row.met.all()),
        f"{found.seconds:.0f} s",
    ]
    return "\n".join(lines)


def legend(names: list[str]) -> str:
    """Say in a few words what methods are."""
    return "\n".join(f"{name}: {METHODS[name].what}" for name in names)


def _head(text: str, budgets: tuple[float, ...]) -> str:
    return f"{text:32}" + "".join(f"{b:>{WIDTH}g}" for b in budgets)


def _line(name: str, cells: list[str]) -> str:
    return f"{name:32}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)


def _accuracy(row: Row, b: int) -> str:
    one = row.accuracy[b]
    return f"{one.mean:.4f} ± {(one.high - one.low) / 2:.4f}" + (" " if row.met[b] else "*")


def _points(one: Difference) -> str:
    return f"{100 * one.mean:+.2f} ± {50 * (one.high - one.low):.2f}"


def _fidelity(found: Figures) -> list[str]:
    names = list(found.fidelity[0].of) if found.fidelity else []
    if not names:
        return []
    budgets = tuple(one.budget for one in found.fidelity)
    lines = [_head("fidelity, % (majority's beside)", budgets)]
    for name in names:
        cells = [f"{_share(one.of[name][0])} ({100 * one.majority.mean:.1f})" for one in found.fidelity]
        lines.append(_line(name, cells))
        lines.append(_line("  minus the majority's, points", [_points(one.of[name][1]) for one in found.fidelity]))
        lines.append(_line("  it spends", [f"{one.of[name][2]:.3g}" for one in found.fidelity]))
    lines.append(_line("always the majority action", [f"{_share(o.majority)} {o.action}" for o in found.fidelity]))
    cells = ["-" if o.agreement is None else _share(o.agreement) for o in found.fidelity]
    lines.append(_line("two half-sample oracles agree", cells))
    return lines


def _share(one: Difference) -> str:
    return f"{100 * one.mean:.1f} ± {50 * (one.high - one.low):.1f}"


def _levels(found: Figures) -> list[str]:
    if not found.levels:
        return []
    names = list(found.levels[0][4])
    most = found.work.votes[-1]
    head = f"{'level':16}{'questions':>10}{'1 response':>12}{f'vote of {most}':>12}"
    lines = ["", f"Where the responses go, at {found.level_budget:g} on average:"]
    lines.append(head + "".join(f"{name:>22}" for name in names))
    for level, count, single, largest, spends in found.levels:
        own = "".join(f"{spends[name]:>22.2f}" for name in names)
        lines.append(f"{level:16}{count:>10,}{single:>12.3f}{largest:>12.3f}{own}")
    return lines


# ---------------------------------------------------------------------------------------------- the paper's claims


def claims(all_figures: list[Figures]) -> str:
    """Return ours beside what the paper claims, and the row that others report, apart."""
    lines = [
        "Beside the paper's claims (arXiv 2604.14853); other data, unless it says MATH. The best cell of many",
        "flatters; intervals are of single cells.",
        f"  relative gain over uniform allocation: claimed up to {100 * CLAIMED_GAIN:.1f} % on MATH",
    ]
    for name in (IMITATOR, "imitator", OURS, "oracle, held out", "oracle, own samples"):
        cells = [
            (row.relative[b], figures, row, b)
            for figures in all_figures
            for row in figures.rows
            if row.name == name
            for b in range(len(row.relative))
            if math.isfinite(row.relative[b])
        ]
        if not cells:
            continue
        best, figures, row, b = max(cells, key=lambda cell: cell[0])
        one, base = row.gain[b], row.mixture[b]
        lines.append(
            f"    {name:22} {100 * best:+.2f} % [{100 * one.low / base:+.2f}, {100 * one.high / base:+.2f}], best of "
            f"{len(cells)} cells: {figures.work.data.name} at {figures.work.budgets[b]:g}"
        )
    lines.append(f"  fidelity: claimed more than {100 * CLAIMED_FIDELITY:.0f} %")
    for figures in all_figures:
        for told in figures.fidelity:
            imitators = [name for name in (IMITATOR, "imitator") if name in told.of]
            if not imitators:
                continue
            name = imitators[0]
            own, ahead, _ = told.of[name]
            agree = "" if told.agreement is None else f"; two half-sample oracles agree on {_share(told.agreement)}"
            lines.append(
                f"    {figures.work.data.name} at {told.budget:g}: {name} {_share(own)} %, always {told.action} "
                f"{_share(told.majority)} (difference {ahead}){agree}"
            )
    others = ", ".join(f"{name} {value:.3f}" for name, value in OTHERS.items())
    lines += ["", f"Reported by others of the paper, setting unknown, comparable with nothing here: {others}."]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------- JSON


def document(all_figures: list[Figures]) -> dict[str, Any]:
    """Return everything for JSON; what is not known is null."""
    claimed = {"relative_gain_math": CLAIMED_GAIN, "fidelity": CLAIMED_FIDELITY}
    reported = {"setting": "unknown", **OTHERS}
    return {"tables": [_table(figures) for figures in all_figures], "claimed": claimed, "reported_by_others": reported}


def _table(found: Figures) -> dict[str, Any]:
    work, data = found.work, found.work.data
    return {
        "dataset": data.dataset,
        "model": data.model,
        "questions": len(data.texts),
        "responses": data.most,
        "votes": work.votes,
        "budgets": list(work.budgets),
        "folds": work.folds,
        "seeds": list(work.seeds),
        "call": work.calls.what,
        "notes": list(data.notes),
        "dollars_per_response": data.dollars,
        "vote_accuracy": work.acc.mean(axis=0).tolist(),
        "rows": [
            {
                "name": row.name,
                "kind": row.kind,
                "accuracy": [_interval(one) for one in row.accuracy],
                "spend": row.spend.tolist(),
                "met": row.met.tolist(),
                "mixture": row.mixture.tolist(),
                "gain": [_interval(one) for one in row.gain],
                "relative_gain": [_number(r) for r in row.relative],
            }
            for row in found.rows
        ],
        "ours_minus_imitator": [_interval(one) for one in found.ahead],
        "fidelity": [
            {
                "budget": one.budget,
                "majority": _interval(one.majority),
                "majority_action": one.action,
                "half_sample_oracles": None if one.agreement is None else _interval(one.agreement),
                "policies": {
                    name: {"fidelity": _interval(own), "minus_majority": _interval(ahead), "spend": spend}
                    for name, (own, ahead, spend) in one.of.items()
                },
            }
            for one in found.fidelity
        ],
        "levels": [
            {"level": level, "questions": n, "one": single, "largest": largest, "responses": spends}
            for level, n, single, largest, spends in found.levels
        ],
        "seconds": round(found.seconds, 1),
    }


def _interval(one: Difference) -> list[float | None]:
    return [_number(one.mean), _number(one.low), _number(one.high)]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

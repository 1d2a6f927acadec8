"""Gold answers against agreement: the same policy trained on both, tested on gold answers, at the same spend.

  python -m bench.unlabelled --quick             a few minutes: one number of questions and of samples per table
  python -m bench.unlabelled --keep build/unlabelled   all tables; keeps each cell's figures, and goes on from there
  python -m bench.unlabelled --keep build/unlabelled --plot docs/unlabelled.svg
  python -m bench.unlabelled --table mcqa100 --labels agreement:gemini-1.5-pro-preview-0409   another reference

Every question is tested while it is held out. For each training set one policy learns from gold answers, the other
from the reference of the very same samples (`Samples.labelled`). Both are replayed on the recorded samples of the
held-out questions. Two neighbouring budgets are mixed, so that both spend the same. The gap is paired by question.
"""

import argparse
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.kept import kept
from bench.studies.unlabelled_cases import Case, cases, some_columns
from tcalloc._counts import counted
from tcalloc._student import beyond, quantile
from tcalloc.errors import TcallocError
from tcalloc.evaluate.gold_check import at_spend
from tcalloc.evaluate.recipe import Recipe
from tcalloc.evaluate.statistics import holm
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.registry import entry_of
from tcalloc.learn.rows import take_rows
from tcalloc.measure import Samples
from tcalloc.measure.labels import leading_codes
from tcalloc.measure.misleading import signs_of

Floats = NDArray[np.float64]

QUESTIONS = (10, 30, 100, 300, 1000)
SIZES = (4, 8, 16, 40)
FOLDS = 5
# Budgets of a replay, of the smallest to the largest spend that is compared.
BUDGETS = 9


def grid(case: Case, quick: bool) -> list[tuple[int, int]]:
    """Return the numbers of training questions with all samples, and the numbers of samples with all questions."""
    all_of = int(len(case.samples) * (1 - 1 / FOLDS))
    numbers = [n for n in QUESTIONS if n < all_of] + [all_of]
    sizes = [s for s in SIZES if s < case.size] + [case.size]
    if quick:
        return [(min(100, all_of), sizes[min(1, len(sizes) - 1)])]
    return [*((n, case.size) for n in numbers), *((all_of, s) for s in sizes[:-1])]


def shrunk(case: Case) -> Case:
    """Return a table's small version."""
    rows = np.sort(np.random.default_rng(0).permutation(len(case.samples))[:200])
    texts = take_rows(case.texts, rows)
    return Case(case.name, case.samples.take(rows), case.spends[1:3], case.policy, case.labels, texts)


def run(name: str, n: int, size: int, quick: bool, keep: Path | None, labels: str | None) -> list[dict[str, Any]]:
    """Return the figures of a table with so many training questions and samples, perhaps of an earlier run."""
    case = next(case for case in cases() if case.name == name)
    piece = f"{name}, {n} questions, {size} samples" + ", quick" * quick
    if labels is not None:
        case, piece = replace(case, labels=labels), f"{piece}, {labels}"
    found: list[dict[str, Any]] = kept(
        keep, piece, lambda: cell(shrunk(case), n, size, 2) if quick else cell(case, n, size, FOLDS)
    )
    print(f"{piece}: {counted(len(found), 'spend')}", flush=True)
    return found


def cell(case: Case, n: int, size: int, folds: int) -> list[dict[str, Any]]:
    """Return the figures at each spend, for a number of training questions and of samples."""
    count = len(case.samples)
    budgets = np.geomspace(0.6 * case.spends[0], 1.6 * case.spends[-1], BUDGETS)
    spend, accuracy = np.zeros((2, 2, len(budgets), count))
    signs, modes = [], []
    for f, (train, held) in enumerate(split(count, folds, 0)):
        rows = np.sort(np.random.default_rng([n, f]).permutation(train)[:n])
        gold = some_columns(case.samples.take(rows), size, f)
        try:
            guessed = gold.labelled(case.labels, gold=np.ones(len(gold), bool))
        except TcallocError as error:
            print(f"  {case.name}, {n} questions, {size} samples: {error}", flush=True)
            return []
        signs.append(signs_of(guessed))
        modes.append(float((guessed.gold == 0).mean()))
        for which, some in enumerate((gold, guessed)):
            kept = rows if which == 0 else rows[np.isin(np.arange(len(rows)), _kept(gold, guessed))]
            try:
                done = trained(case, some, take_rows(case.texts, kept), budgets[0]).replay(
                    take_rows(case.texts, held), case.samples.take(held), budgets
                )
            except TcallocError as error:
                print(f"  {case.name}, {n} questions, {size} samples: {error}", flush=True)
                return []
            spend[which][:, held], accuracy[which][:, held] = done.spend, done.accuracy
    found = []
    for target in case.spends:
        most = min(float(one.mean(axis=1).max()) for one in spend)
        least = max(float(one.mean(axis=1).min()) for one in spend)
        at = min(max(target, least), most)
        if abs(at - target) > 0.1 * target:
            continue
        by_gold, by_reference = (at_spend(at, spend[which], accuracy[which]) for which in (0, 1))
        gap = by_reference - by_gold
        se = float(gap.std(ddof=1)) / math.sqrt(count)
        found.append(
            {
                "table": case.name, "questions": n, "samples": size, "spend": round(at, 3),
                "gold": float(by_gold.mean()), "agreement": float(by_reference.mean()), "gap": float(gap.mean()),
                "half": quantile(count - 1) * se, "p": beyond(abs(gap.mean()) / se, count - 1) if se > 0 else 1.0,
                "mode": float(np.mean(modes)), "warned": float(np.mean([bool(one.warning()) for one in signs])),
                "signs": {
                    name: float(np.mean([getattr(one, name) for one in signs]))
                    for name in signs[0].__slots__
                    if name not in ("other", "rival")
                },
            }
        )  # fmt: skip
    return found


def _kept(gold: Samples, guessed: Samples) -> NDArray[np.intp]:
    """Return which questions have a reference: those in which some sample of the referee has an answer."""
    if len(gold) == len(guessed):
        return np.arange(len(gold))
    judge = gold.by_model[guessed.labels.model] if gold.arms is not None else gold
    return np.flatnonzero(leading_codes(judge.answers) >= 0)


def trained(case: Case, samples: Samples, texts: list[str] | None, budget: float) -> Any:
    """Return the policy of a case, trained on some questions."""
    entry = entry_of(case.policy)
    recipe = Recipe.of(entry, samples, text=texts is not None, label=False, budget=budget)
    return recipe.fit(texts, samples, budget=budget)


def table_of(cells: list[dict[str, Any]]) -> str:
    """Return all cells as a table, with Holm's correction over all of them."""
    p = holm(np.array([one["p"] for one in cells]))
    lines = [
        "| table | most frequent answer is right | questions | samples | spend | gold | agreement | gap, points | "
        "p, Holm | warned |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one, corrected in zip(cells, p.tolist(), strict=True):
        gap = f"{100 * one['gap']:+.2f} ± {100 * one['half']:.2f}"
        lines.append(
            f"| {one['table']} | {100 * one['mode']:.0f} % | {one['questions']} | {one['samples']} | {one['spend']:g} "
            "| "
            f"{one['gold']:.4f} | {one['agreement']:.4f} | {gap} | {corrected:.3f} | {100 * one['warned']:.0f} % |"
        )
    below = [o for o, c in zip(cells, p.tolist(), strict=True) if c < 0.05 and o["gap"] < 0]
    lines.append("")
    lines.append(
        f"{len(cells)} cells. Agreement-trained is significantly below gold-trained in {len(below)} of them (Holm); "
        f"{sum(o['warned'] >= 0.5 for o in below)} of these were warned of, and "
        f"{sum(o['mode'] >= 0.45 for o in below)} "
        "are of tables whose most frequent answer is right on at least 45 % of the questions."
    )
    return "\n".join(lines)


def plot(cells: list[dict[str, Any]], path: Path) -> None:
    """Draw the gap over the number of training questions and of samples."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    whole = {table: max(o["questions"] for o in cells if o["table"] == table) for table in {o["table"] for o in cells}}
    place = {table: i for i, table in enumerate(sorted(whole))}
    most = {table: max(o["samples"] for o in cells if o["table"] == table) for table in whole}
    for ax, what, chosen in (
        (axes[0], "questions", [o for o in cells if o["samples"] == most[o["table"]]]),
        (axes[1], "samples", [o for o in cells if o["questions"] == whole[o["table"]]]),
    ):
        for one in chosen:
            low = one["mode"] < 0.45
            ax.errorbar(
                one[what] * (1 + 0.02 * (place[one["table"]] % 7 - 3)), 100 * one["gap"], 100 * one["half"], fmt="o",
                ms=3, lw=0.7, color="#b3541e" if low else "#1257a8", alpha=0.6,
            )  # fmt: skip
        ax.axhline(0, color="#333333", lw=1)
        ax.set_xscale("log", base=2)
        ticks = QUESTIONS if what == "questions" else (1, *SIZES)
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel(f"{'training questions' if what == 'questions' else 'samples per question'}")
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("agreement-trained minus gold-trained, points")
    figure.suptitle("Same spend, tested on gold answers; orange: the most frequent answer is right on under 45 %")
    figure.savefig(path)


def main() -> None:
    """Run all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small version of each table")
    parser.add_argument("--table", default="", help="tables whose name holds one of these, separated by semicolons")
    parser.add_argument("--labels", help="the reference, in place of each table's own: agreement:MODEL, ...")
    parser.add_argument("--keep", type=Path, help="folder of each cell's figures; an interrupted run goes on there")
    parser.add_argument("--plot", type=Path, help="draw the gaps: .svg or .png")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, a process each (2)")
    args = parser.parse_args()
    chosen = [case for case in cases() if any(part.strip() in case.name for part in args.table.split(";"))]
    pieces = [
        (case.name, n, size, args.quick, args.keep, args.labels)
        for case in chosen
        for n, size in grid(shrunk(case) if args.quick else case, args.quick)
    ]
    # For the workers: two threads of linear algebra in each of two processes only wait for each other.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    # Spawned: a forked child would share the locks of threads that BLAS has started.
    with ProcessPoolExecutor(max(args.jobs, 1), mp_context=get_context("spawn")) as pool:
        found = [one for cells in pool.map(run, *zip(*pieces, strict=True)) for one in cells]
    if found:
        print(table_of(found))
    if args.plot is not None and found:
        plot(found, args.plot)


if __name__ == "__main__":
    main()

"""How much a table flatters itself, and whether the default estimates stop it.

    python bench/studies/winners_curse.py                   everything: about 15 minutes on one core
    python bench/studies/winners_curse.py --quick           fewer splits and repetitions: about 2 minutes
    python bench/studies/winners_curse.py --only real       (or: generator)
    python bench/studies/winners_curse.py --table smollm2   the tables whose name holds that

Real tables (those of ../shared/data with several samples a question, and the recorded one that ships): the samples of
every question are split at random into halves; a table made from one half chooses (at several budgets), the exact
expectation on the other half says what comes true. Both halves choose in turn. "claimed - true" is the mean over all
splits; "true" is the accuracy that was reached. "vs exact" is the true accuracy minus that of the exact expectation's
choice, paired by question, and z its mean over its standard error over questions: below -2 the estimate would have
cost accuracy.

A cross-fit splits the half again, so it can only offer half as many samples; it stands beside the exact expectation on
that smaller action set.

The generator knows the truth: questions with a success rate, wrong answers of more or less variety, and silence.
"these" is how often the 95 % interval of `Table.claim` for these questions holds the true accuracy of the chosen
actions, "like these" how often the wider one holds the mean true accuracy over all repetitions.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tcalloc.datasets import load_recorded
from tcalloc.errors import BudgetError
from tcalloc.measure import Action, Best, Samples, Table, Vote
from tcalloc.measure.votes import independent_votes

Floats = NDArray[np.float64]
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BUDGETS = (1.5, 2.0, 3.0, 4.0)
METHODS: dict[str, Callable[[Samples, list[Action]], Table]] = {
    "window": lambda samples, actions: samples.table(actions, "window"),
    "exact": lambda samples, actions: samples.table(actions, False),
    "default": lambda samples, actions: samples.table(actions),
}


@dataclass(frozen=True)
class Case:
    """A table and what is asked of it. Actions need at most half of its samples."""

    name: str
    samples: Samples
    actions: list[Action]
    budgets: tuple[float, ...] = BUDGETS


# ---------------------------------------------------------------------------------------------- real tables


def real_cases() -> list[Case]:
    recorded = load_recorded()
    cases = []

    def votes(name: str, answers: NDArray[np.int16], ks: tuple[int, ...]) -> None:
        cases.append(Case(f"{name}, votes", Samples(answers), [Vote(k) for k in ks]))

    def passes(name: str, correct: NDArray[np.bool_], ks: tuple[int, ...]) -> None:
        cases.append(Case(f"{name}, pass@k", Samples(correct=correct), [Best(k) for k in ks]))

    if DATA.is_dir():
        for name, ks in (("gsm8k_gpt4omini_n40", (1, 3, 5, 9, 16)), ("gsm8k_qwen25_1p5b_n30", (1, 3, 5, 9, 15))):
            with np.load(DATA / f"{name}.npz", allow_pickle=False) as found:
                votes(name, found["answer"], ks)
        with np.load(DATA / "cruxeval_codellama7b_n10.npz", allow_pickle=False) as found:
            votes("cruxeval output", found["answer_output"], (1, 3, 5))
            passes("cruxeval input", found["correct_input"], (1, 2, 3, 5))
        with np.load(DATA / "aime24_o3mini_effort3_n40.npz", allow_pickle=False) as found:
            efforts = [
                str(effort) for effort in json.loads(str(found["meta"])).get("efforts", ("low", "medium", "high"))
            ]
            arms = {
                effort: Samples(found["answer"][:, e].astype(int), cost=found["cost"][:, e].astype(float))
                for e, effort in enumerate(efforts)
            }
            actions = [Vote(k, effort) for effort in efforts for k in (1, 4, 8, 16)]
            cases.append(Case("aime24, effort x votes", Samples(arms=arms), actions, (2e3, 4e3, 8e3, 16e3)))
    else:
        print(f"{DATA}: not there; only the recorded table.", file=sys.stderr)
    for model in recorded.models:
        s = recorded.answers[model].shape[1]
        votes(f"recorded {model}", recorded.answers[model], (1, 3, 5, 9, 16) if s == 32 else (1, 3, 5, 8))
    passes("recorded smollm2_135m", recorded.correct["smollm2_135m"], (1, 2, 4, 8, 16))
    arms = {model: Samples(recorded.answers[model], cost=recorded.relative_cost[model]) for model in recorded.models}
    routing = [Vote(k, model) for model in recorded.models for k in (1, 3, 5, 8)]
    cases.append(Case("recorded, models x votes", Samples(arms=arms), routing))
    return cases


def halves(samples: Samples, rng: np.random.Generator) -> list[Samples]:
    """Split every question's samples in two."""
    parts: list[dict[str, Samples]] = [{}, {}]
    for name, arm in samples.by_model.items():
        order = np.argsort(rng.random(arm.drawn.shape), axis=1)
        half = arm.drawn.shape[1] // 2
        parts[0][name], parts[1][name] = arm.columns(order[:, :half]), arm.columns(order[:, half : 2 * half])
    return [part[""] if samples.arms is None else Samples(arms=part) for part in parts]


def at_budget(table: Table, truth: Floats, budget: float) -> tuple[float, Floats]:
    """Return what the table claims, and what comes true per question."""
    plan = table.solve(budget)
    return table.claim(plan).accuracy, truth[np.arange(len(truth)), plan.actions]


def run_real(splits: int, only: str) -> None:
    print(f"Real tables: {splits} splits, both halves choose in turn; points of accuracy.\n")
    for case in real_cases():
        if only not in case.name:
            continue
        quarter = [
            a
            for a in case.actions
            if 4 * a.samples <= min(arm.drawn.shape[1] for arm in case.samples.by_model.values())
        ]
        methods = {name: (case.actions, make) for name, make in METHODS.items()}
        if len({a.samples for a in quarter}) > 1:
            methods["exact, fewer"] = (quarter, METHODS["exact"])
            methods["cross-fit, fewer"] = (quarter, lambda half, actions: half.table(actions, False, cross_fit=2))
        claimed = {name: np.zeros(len(case.budgets)) for name in methods}
        true = {name: np.zeros((len(case.budgets), len(case.samples))) for name in methods}
        counted = np.zeros(len(case.budgets))
        for split in range(splits):
            parts = halves(case.samples, np.random.default_rng(split))
            for choosing, scoring in (parts, parts[::-1]):
                for name, (actions, make) in methods.items():
                    truth = scoring.table(actions, False).acc
                    table = make(choosing, actions)
                    for b, budget in enumerate(case.budgets):
                        try:
                            claim, reached = at_budget(table, truth, budget)
                        except BudgetError:
                            claim, reached = math.nan, np.full(len(truth), math.nan)
                        claimed[name][b] += claim
                        true[name][b] += reached
                counted += 1
        print(f"{case.name} ({len(case.samples)} questions); budgets {', '.join(f'{b:g}' for b in case.budgets)}")
        print(f"  {'':18}{'claimed - true':^32}{'true':^30}{'vs exact (z)':^32}")
        for name in methods:
            rival = "exact, fewer" if "fewer" in name else "exact"
            own, others = true[name] / counted[:, None], true[rival] / counted[:, None]
            gaps = 100 * (claimed[name] / counted - own.mean(axis=1))
            difference = own - others
            error = difference.std(axis=1, ddof=1) / math.sqrt(own.shape[1])
            z = difference.mean(axis=1) / np.where(error > 0, error, 1.0)
            print(
                f"  {name:18}"
                + "".join(f"{x:+8.2f}" for x in gaps)
                + "".join(f"{100 * x:7.2f}" for x in own.mean(axis=1))
                + "  "
                + (
                    ""
                    if name == rival
                    else "".join(f" {100 * d:+.2f} ({t:+.1f})" for d, t in zip(difference.mean(axis=1), z, strict=True))
                )
            )
        print(flush=True)


# ---------------------------------------------------------------------------------------------- the generator

WRONG = 12
# Success rates, and how concentrated the wrong answers of a question are (Dirichlet; small: one favourite).
SHAPES: dict[str, tuple[Callable[[np.random.Generator, int], Floats], float]] = {
    "easy or hopeless": (lambda rng, n: rng.beta(0.5, 0.3, n), 0.3),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "middling": (lambda rng, n: rng.beta(5, 4, n), 1.0),
    "mostly easy": (lambda rng, n: rng.beta(3, 0.4, n), 0.3),
    "two kinds": (lambda rng, n: np.where(rng.random(n) < 0.4, 0.25, 0.9), 0.2),
    "wrong answers vary": (lambda rng, n: rng.beta(1.2, 0.8, n), 20.0),
}


def generate(shape: str, n: int, s: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
    """Return answer codes (n, s) and the shares (n, 2 + WRONG): gold, wrong answers, silence."""
    rates, concentration = SHAPES[shape]
    p = rates(rng, n)[:, None]
    shares = np.column_stack(
        [0.98 * p, 0.98 * (1 - p) * rng.dirichlet(np.full(WRONG, concentration), n), np.full(n, 0.02)]
    )
    edges = np.cumsum(shares, axis=1)
    edges[:, -1] = 1.0
    codes = (rng.random((n, s))[:, :, None] > edges[:, None]).sum(axis=2)
    return np.where(codes == WRONG + 1, -1, codes), shares


def run_generator(repetitions: int, n: int = 1000, ks: tuple[int, ...] = (1, 3, 5, 9, 16)) -> None:
    print(
        f"Generator: {n} questions, {repetitions} repetitions, votes over {', '.join(map(str, ks))}; budgets {BUDGETS}"
    )
    head = f"{'claimed - true':^30}{'+- noise':^9}{'true':^28}{'these':^24}{'like these':^24}"
    print(f"{'S':>2} {'shape':19}{'estimate':9}{head}")
    actions = [Vote(k) for k in ks]
    overall: dict[str, list[float]] = {name: [] for name in METHODS}
    covered: dict[str, list[tuple[bool, bool]]] = {name: [] for name in METHODS}
    for s in (16, 40):
        for shape in SHAPES:
            found: dict[str, list[list[tuple[float, ...]]]] = {name: [] for name in METHODS}
            for repetition in range(repetitions):
                codes, shares = generate(shape, n, s, np.random.default_rng([repetition, s]))
                truth = independent_votes(shares[:, 0], shares[:, -1], shares[:, 1:-1], ks)
                for name, make in METHODS.items():
                    table = make(Samples(codes), actions)
                    line = []
                    for budget in BUDGETS:
                        plan = table.solve(budget)
                        claim = table.claim(plan)
                        reached = float(truth[np.arange(n), plan.actions].mean())
                        line.append(
                            (
                                claim.accuracy,
                                reached,
                                claim.low,
                                claim.high,
                                claim.population_low,
                                claim.population_high,
                            )
                        )
                    found[name].append(line)
            for name in METHODS:
                claimed, reached, low, high, wide_low, wide_high = np.moveaxis(np.array(found[name]), -1, 0)
                gap = claimed - reached
                inside = (low <= reached) & (reached <= high)
                middle = reached.mean(axis=0)
                inside_wide = (wide_low <= middle) & (middle <= wide_high)
                noise = 196 * gap.std(axis=0, ddof=1).max() / math.sqrt(repetitions) if repetitions > 1 else math.nan
                overall[name].extend((100 * gap.mean(axis=0)).tolist())
                covered[name].extend(zip(inside.ravel().tolist(), inside_wide.ravel().tolist(), strict=True))
                print(
                    f"{s:2} {shape:19}{name:9}"
                    + "".join(f"{100 * x:+7.2f}" for x in gap.mean(axis=0))
                    + f"  {noise:5.2f}  "
                    + "".join(f"{100 * x:7.2f}" for x in middle)
                    + "  "
                    + "".join(f"{x:5.2f}" for x in inside.mean(axis=0))
                    + "    "
                    + "".join(f"{x:5.2f}" for x in inside_wide.mean(axis=0)),
                    flush=True,
                )
    for name in METHODS:
        these, like = np.mean(covered[name], axis=0)
        print(
            f"{name}: mean claimed - true {np.mean(overall[name]):+.2f}, largest {np.max(np.abs(overall[name])):.2f}; "
            f"intervals hold {these:.1%} (these questions), {like:.1%} (questions like these)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=("real", "generator"))
    parser.add_argument("--quick", action="store_true", help="10 splits and 8 repetitions instead of 50 and 50")
    parser.add_argument("--table", default="", help="real tables whose name holds this")
    args = parser.parse_args()
    if args.only != "generator":
        run_real(10 if args.quick else 50, args.table)
    if args.only != "real":
        run_generator(8 if args.quick else 50)


if __name__ == "__main__":
    main()

"""Stopping while sampling: the rules of others, the static oracle and `Sequential`, out of fold, at the same spends.

    python -m bench.stopping                       everything
    python -m bench.stopping --quick               a quarter of the orders, two seeds
    python -m bench.stopping --table gsm8k         the tables whose name holds that
    python -m bench.stopping --rivals              without Sequential: 84 seconds of CPU
    python -m bench.stopping --keep FOLDER         keeps each table's figures, and goes on from there
    python -m bench.stopping --json out.json       all figures, with intervals

5 folds over questions × five fixed seeds. In every fold each rival's settings (thresholds, windows, caps) are those of
the hull on the training questions, and two neighbours are mixed to hit the spend (`tcalloc.learn.holdout.folds`).
Spends count samples, or what the table says. In brackets: the hull picked on the test questions, which flatters;
nothing is compared with it. "any rival" picks among all of them in fold.

The static oracle decides on one half of each question's samples, before any is drawn, and is scored on the other half:
knowing the question's own samples is more than any policy can know, deciding beforehand is less.

Sequential − best: paired by question against the rival that does best on these very questions, which flatters that
rival; 95 % intervals over questions. "BELOW": worse beyond the interval.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.kept import kept
from bench.scoring import on_test, paired
from bench.sequential_fit import price_family
from bench.studies.stopping_cases import Case, cases
from tcalloc.errors import BudgetError
from tcalloc.learn.holdout.folds import SEEDS, Fit, Held, Tuned, held_out, tabled
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.rivals import families
from tcalloc.measure import Best, Samples, Vote

Floats = NDArray[np.float64]

# What must hold: accuracy at least, by table and spend …
LEAST = {"gsm8k_gpt4omini": {1.25: 0.908, 1.5: 0.914, 2.0: 0.924, 3.0: 0.938}}
CASCADE = "recorded, smollm2 then qwen"
LEAST[CASCADE] = {1.5: 0.645, 2.0: 0.695, 2.6: 0.730, 3.0: 0.745}
# … and points above one of the others.
ABOVE = {
    "gsm8k_gpt4omini": {"AC": {1.25: 1.0, 1.5: 1.0, 2.0: 0.5}, "static oracle": {2.0: 0.0, 3.0: 0.0}},
    "gsm8k_qwen25_1p5b": {
        "AC": {2.0: 1.2, 3.0: 2.5, 4.0: 0.8},
        "ESC": {2.0: 0.5, 3.0: 0.7, 4.0: 0.3},
        "static oracle": {2.0: 0.0, 3.0: 0.0},
    },
    CASCADE: {"routing": {2.6: 2.0, 3.0: 2.0}},
}
# How far below fixed n with a stop at the first success, in points, on tables with a verifier.
VERIFIER = -0.3
GATED = "Sequential"


@dataclass
class Found:
    """One table's figures."""

    case: Case
    held: dict[str, Held] = field(default_factory=dict)
    hindsight: dict[str, Held] = field(default_factory=dict)
    others: dict[str, Held] = field(default_factory=dict)
    """What is printed and compared with, but is no rule of stopping."""

    def best(self, b: int) -> str:
        """Return the rival that does best at a spend on these questions."""
        rivals = [name for name in self.held if name not in (GATED, "any rival")]
        return max(rivals, key=lambda name: float(self.held[name].accuracy[b].mean()))

    def named(self, name: str, b: int) -> Held:
        """Return one by name; "AC" is the better of its two criteria."""
        if name == "AC":
            return max(
                (self.held["AC Beta"], self.held["AC Dirichlet"]), key=lambda held: float(held.accuracy[b].mean())
            )
        return self.others[name] if name in self.others else self.held[name]


# ---------------------------------------------------------------------------------------------- who takes part


def add_rivals(found: Found, seeds: tuple[int, ...], orders: int) -> None:
    case = found.case
    settings: dict[str, list[Any]] = {}
    for model, arm in case.samples.by_model.items():
        paths = Paths(arm, orders, verifier=case.verifier)
        for name, rules in families(arm.drawn.shape[1], verifier=case.verifier, model=model or None).items():
            settings.setdefault(name, []).append(paths.outcomes(rules))
    n = len(case.samples)
    together: list[tuple[Floats, Floats]] = []
    for name, parts in settings.items():
        spend, accuracy = (np.concatenate([part[i] for part in parts]) for i in range(2))
        found.held[name] = held_out(tabled(spend, accuracy), n, case.spends, seeds=seeds)
        found.hindsight[name] = on_test(spend, accuracy, case.spends)
        together.append((spend, accuracy))
    spend, accuracy = (np.concatenate([part[i] for part in together]) for i in range(2))
    found.held["any rival"] = held_out(tabled(spend, accuracy), n, case.spends, seeds=seeds)
    found.hindsight["any rival"] = on_test(spend, accuracy, case.spends)


def static_oracle(case: Case, splits: int) -> dict[str, Held]:
    """Decide on one half of the samples, with the exact expectations and with the shrunk ones; score on the other."""
    n, arms = len(case.samples), case.samples.by_model
    results = {}
    for label, shrink in (("static oracle", True), ("static oracle, unshrunk", False)):
        total = np.zeros((2, len(case.spends), n))
        times = 0
        for split in range(splits):
            rng = np.random.default_rng(split)
            halves: list[dict[str, Samples]] = [{}, {}]
            for name, arm in arms.items():
                order = np.argsort(rng.random(arm.drawn.shape), axis=1)
                half = arm.drawn.shape[1] // 2
                halves[0][name], halves[1][name] = arm.columns(order[:, :half]), arm.columns(order[:, half : 2 * half])
            parts = [part[""] if case.samples.arms is None else Samples(arms=part) for part in halves]
            make: Callable[..., Any] = Best if case.verifier else Vote
            actions = [
                make(k, name or None)
                for name, arm in halves[0].items()
                for k in (1, 2, 3, 4, 5, 7, 9, 13, 16, 20)
                if k <= arm.drawn.shape[1]
            ]
            for choosing, scoring in (parts, parts[::-1]):
                table, truth = choosing.table(actions, shrink), scoring.table(actions, False).acc
                times += 1
                for b, spend in enumerate(case.spends):
                    try:
                        plan = table.solve(spend)
                    except BudgetError:
                        total[:, b] = np.nan
                        continue
                    total[0, b] += np.asarray(table.cost)[plan.actions]
                    total[1, b] += truth[np.arange(n), plan.actions]
        results[label] = Held(np.asarray(case.spends), total[0] / times, total[1] / times)
    return results


def routing(case: Case) -> Fit:
    """Decide by the text which model answers, and how often: ridge, priced, shrunk and gated (`PricedPolicy`)."""
    from tcalloc.learn.routing.priced import PricedPolicy

    assert case.texts is not None
    actions = [Vote(k, model) for model in case.samples.by_model for k in (1, 4)]
    table = case.samples.table(actions, False)
    # … or nothing at all: right nowhere, for nothing.
    acc = np.column_stack([np.zeros(len(table.acc)), table.acc])
    cost = np.concatenate([[0.0], np.asarray(table.cost)])
    grid = np.concatenate([np.linspace(0.5, 4.0, 29), [6.0, cost.max()]])

    def fit(train: NDArray[np.intp], held: NDArray[np.intp], seed: int) -> Tuned:
        assert case.texts is not None
        policy = PricedPolicy(random_state=seed)
        policy.fit([case.texts[i] for i in train], acc[train], cost=cost)
        texts = [case.texts[i] for i in held]
        chosen = np.array([policy.decide(texts, budget=float(budget)) for budget in grid])
        # Its knob is the budget; a concave curve keeps every step of it.
        return Tuned(grid, np.log(grid), cost[chosen], acc[held[None], chosen])

    return fit


def sequential(case: Case, orders: int) -> Fit:
    """Return the family of `Sequential`, one setting per price."""
    return price_family(case.with_extras, case.texts, verifier=case.verifier, orders=orders)


# ---------------------------------------------------------------------------------------------- what is printed


def show(found: Found) -> tuple[str, list[dict[str, Any]]]:
    """Return a table as text, and its figures."""
    case = found.case
    text = [f"\n{case.name}: {len(case.samples)} questions"]
    text.append(f"  {'spend':24}" + "".join(f"{spend:^17g}" for spend in case.spends))
    for name, held in [*found.held.items(), *found.others.items()]:
        behind = found.hindsight.get(name)
        cells = []
        for b in range(len(case.spends)):
            mean = held.accuracy[b].mean()
            cell = "-" if np.isnan(mean) else f"{mean:.4f}"
            cell += "" if behind is None else f" ({behind.accuracy[b].mean():.4f})"
            short = held.spend[b].mean() < case.spends[b] * 0.995
            cells.append(f"{cell + ('*' if short else ''):^17}")
        text.append(f"  {name:24}" + "".join(cells))
    lines = []
    if GATED in found.held:
        text.append("  Sequential - best rival, points [95 %]:")
    for b, spend in enumerate(case.spends):
        best = found.best(b)
        line: dict[str, Any] = {"table": case.name, "spend": spend, "best": best}
        for name, held in [*found.held.items(), *found.others.items()]:
            line[name] = float(held.accuracy[b].mean())
            line[f"{name}: spend"] = float(held.spend[b].mean())
        if GATED in found.held:
            difference = paired(found.held[GATED].accuracy[b], found.held[best].accuracy[b])
            line["difference"] = [difference.mean, difference.low, difference.high]
            mark = "BELOW" if difference.below else "above" if difference.above else ""
            text.append(f"    {spend:<8g}{best:24}{difference!s:28}{mark}")
        lines.append(line)
    text.append("  *: spends less, it finds nothing to spend more on")
    return "\n".join(text), lines


def must_hold(found: Found) -> list[tuple[str, bool]]:
    """Return what must hold of a table, each with whether it does."""
    if GATED not in found.held:
        return []
    case, own = found.case, found.held[GATED]
    where = {spend: b for b, spend in enumerate(case.spends)}
    claims = []
    for spend, least in LEAST.get(case.name, {}).items():
        mean = float(own.accuracy[where[spend]].mean())
        claims.append((f"{case.name} at {spend:g}: {mean:.4f}, at least {least}", mean >= least))
    for other, gaps in ABOVE.get(case.name, {}).items():
        for spend, points in gaps.items():
            b = where[spend]
            difference = paired(own.accuracy[b], found.named(other, b).accuracy[b])
            claims.append(
                (
                    f"{case.name} at {spend:g} above {other}: {difference}, at least {points:g}",
                    100 * difference.mean >= points,
                )
            )
    for b, spend in enumerate(case.spends):
        best = found.best(b)
        difference = paired(own.accuracy[b], found.held[best].accuracy[b])
        claims.append((f"{case.name} at {spend:g} not below {best}: {difference}", not difference.below))
        if case.verifier:
            gap = paired(own.accuracy[b], found.held["fixed k, success stop"].accuracy[b])
            claims.append(
                (f"{case.name} at {spend:g} within .3 of fixed n with success stop: {gap}", 100 * gap.mean >= VERIFIER)
            )
    return claims


@dataclass(frozen=True)
class Settings:
    """What the command line asks for."""

    quick: bool
    rivals: bool
    keep: Path | None


def run(name: str, settings: Settings) -> tuple[str, list[dict[str, Any]], list[tuple[str, bool]]]:
    """Return one table's text, figures and claims, perhaps of an earlier run."""
    piece = name + " quick" * settings.quick + " rivals" * settings.rivals
    text, lines, claims = kept(settings.keep, piece, lambda: figures(name, settings))
    return text, lines, [(claim, holds) for claim, holds in claims]


def figures(name: str, settings: Settings) -> tuple[str, list[dict[str, Any]], list[tuple[str, bool]]]:
    """Return one table's text, figures and claims."""
    began = time.perf_counter()
    case = next(case for case in cases() if case.name == name)
    seeds = SEEDS[:2] if settings.quick else SEEDS
    orders = case.orders(0.25 if settings.quick else 1.0)
    found = Found(case)
    add_rivals(found, seeds, orders)
    found.others |= static_oracle(case, 4 if settings.quick else 16)
    if case.name == CASCADE:
        found.others["routing"] = held_out(routing(case), len(case.samples), case.spends, seeds=seeds)
    family = None if settings.rivals else sequential(case, orders)
    if family is not None:
        found.held[GATED] = held_out(family, len(case.samples), case.spends, seeds=seeds)
    text, lines = show(found)
    return f"{text}\n  {time.perf_counter() - began:.0f} s", lines, must_hold(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the orders, two seeds, four splits")
    parser.add_argument("--table", default="", help="tables whose name holds this")
    parser.add_argument("--rivals", action="store_true", help="without Sequential")
    parser.add_argument("--keep", type=Path, help="folder of each table's figures; an interrupted run goes on there")
    parser.add_argument("--json", help="where to write all figures")
    parser.add_argument("--jobs", type=int, default=2, help="tables at a time, a process each (2)")
    args = parser.parse_args()
    names = [case.name for case in cases() if args.table in case.name]
    claims, lines = [], []
    # For the workers: two threads of linear algebra in each of two processes only wait for each other.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    # Spawned: a forked child would share the locks of threads that BLAS has started.
    with ProcessPoolExecutor(max(args.jobs, 1), mp_context=get_context("spawn")) as pool:
        for text, more, claimed in pool.map(run, names, [Settings(args.quick, args.rivals, args.keep)] * len(names)):
            print(text, flush=True)
            lines += more
            claims += claimed
    if claims:
        failed = [text for text, holds in claims if not holds]
        print(f"\nMust hold: {len(claims) - len(failed)} of {len(claims)}")
        for text, holds in claims:
            if not holds or "not below" not in text:
                print(f"  {'pass' if holds else 'FAIL'}  {text}")
    elif not args.rivals:
        print("\nSequential is not there: rivals only.")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(lines, file, indent=1)
    return int(any(not holds for _, holds in claims))


if __name__ == "__main__":
    sys.exit(main())

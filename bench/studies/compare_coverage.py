"""Whether the 95 % intervals of `tcalloc.compare` cover what they say, in 93 to 97 of 100 comparisons.

    python -m bench.studies.compare_coverage                      1,000 comparisons; slow contestants take part in fewer
    python -m bench.studies.compare_coverage --quick              100, without the learned policies: a minute
    python -m bench.studies.compare_coverage --only "ESC;priced"  these
    python -m bench.studies.compare_coverage --costs              of questions that differ in what they cost
    python -m bench.studies.compare_coverage --json out.json      all figures

A population of 600 simulated questions with 10 samples each and three features is all there is, so that the truth is
known without error. Each comparison draws 200 of them with replacement, trains every contestant in 5 folds, and forms
the intervals of accuracy and gain as `tcalloc.compare` does. Each of the five trained policies is then scored on the
whole population: the truth is what they reach on average, at the nominal spend at which the population spends what was
asked (accuracy, gain: conditional on training, at the asked spend).

Gains of policies that learn have intervals wider by sqrt(5/4) (`tcalloc.evaluate.statistics.dependence`): without,
those of kNN, imitator, priced and probed covered in 88 to 94 % of 240 comparisons, the label's at 1.5 in 88 % of 400.

± is twice the Monte-Carlo error of the coverage itself. "plain" resamples the matched accuracies as if their spends had
not been matched: without it the intervals do not know that an expensive sample of questions buys less. "always": a
contestant that does just what the mixture does (a gate closed in all folds) gains exactly nothing, in truth too, and
its interval of no length covers that; such comparisons are counted apart, not as covered.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._threads import one_thread
from tcalloc.evaluate.contestants import Contestant, contestants_of
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.run_folds import Part, Plan, part_of
from tcalloc.evaluate.standings import gain_scores, learns
from tcalloc.evaluate.statistics import Family, dependence, resampled
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.registry import REFERENCE
from tcalloc.measure import Samples

Floats = NDArray[np.float64]

POPULATION, SAMPLES, QUESTIONS, FOLDS = 600, 10, 200, 5
BUDGETS = np.array([1.5, 3.0])
LOW, HIGH = 0.93, 0.97
# A contestant that is slow to train takes part in one of this many comparisons, unless asked for by name.
SELDOM = {"imitator": 2, "priced, probe 2": 2, "Sequential": 20}
# Who learns from X, or from probes: not in the quick run. The second imitator is the first with other weights.
LEARNED = ("kNN", "imitator", "priced", "priced, probe 2", "Sequential")
LEFT_OUT = ("imitator, cost-sensitive",)
KINDS = ("accuracy", "gain", "accuracy, plain", "gain, plain")


@cache
def population(seed: int = 0, *, costs: bool = False) -> Problem:
    """Return the questions: how often a sample of theirs is right hangs on two features, and on what nobody sees.

    Made once per process, since what contestants know of all its samples is remembered with it.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(POPULATION, 3))
    chance = 1 / (1 + np.exp(-(0.3 + 1.5 * x[:, 0] + 0.7 * x[:, 1] + 0.8 * rng.normal(size=POPULATION))))
    right = rng.random((POPULATION, SAMPLES)) < chance[:, None]
    wrong = rng.integers(1, 4, (POPULATION, SAMPLES))
    # Costs as those of answers of any length: they differ more between questions than between a question's samples.
    spread = rng.lognormal(0, 0.6, (POPULATION, 1)) * rng.lognormal(0, 0.3, (POPULATION, SAMPLES))
    cost = spread / spread.mean() if costs else None
    label = np.digitize(x[:, 0], [-0.7, 0.7])
    return Problem.of(Samples(np.where(right, 0, wrong), cost=cost), X=x, difficulty=label, orders=SAMPLES)


@dataclass
class Count:
    """How often the intervals of one contestant at one budget covered."""

    runs: int = 0
    same: int = 0
    """Comparisons in which it did just what the mixture did."""
    covered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    width: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))

    def add(self, other: "Count") -> None:
        """Count others too."""
        self.runs += other.runs
        self.same += other.same
        for kind in KINDS:
            self.covered[kind] += other.covered[kind]
            self.width[kind] += other.width[kind]

    def of(self, kind: str) -> tuple[float, float, int]:
        """Return the coverage, its standard error, and out of how many comparisons."""
        runs = self.runs - self.same if kind.startswith("gain") else self.runs
        share = self.covered[kind] / runs if runs else math.nan
        # Of the coverage that is claimed: the error must not vanish where all are covered.
        return share, math.sqrt(0.95 * 0.05 / runs) if runs else math.nan, runs


Counts = dict[tuple[str, int], Count]


def one(problem: Problem, contestants: Sequence[Contestant], run: int) -> Counts:
    """Do one comparison, and ask whether its intervals cover."""
    rows = np.random.default_rng([run, 1]).integers(POPULATION, size=QUESTIONS)
    everyone = np.arange(POPULATION)
    # The dial that all folds share, as `compare` makes it.
    plan = Plan(QUESTIONS, FOLDS, 1, run, (problem.fixed_cost, problem.fixed_accuracy))
    seen: dict[str, Family] = {}
    true: dict[str, Family] = {}
    for contestant in contestants:
        parts, whole = [], []
        for f, (train, held) in enumerate(split(QUESTIONS, FOLDS, run)):
            dial = plan.dial(rows[train]) if contestant.matched else None
            part = part_of(contestant.fit(rows[train], everyone, run), everyone, dial)
            chosen = rows[held]
            parts.append(Part(part.nominal, part.spend[:, chosen], part.accuracy[:, chosen], part.claimed, held))
            # Each trained policy on the population, one after the other.
            whole.append(Part(part.nominal, part.spend, part.accuracy, part.claimed, everyone + f * POPULATION))
        seen[contestant.name] = Family(parts, QUESTIONS, contestant.matched)
        true[contestant.name] = Family(whole, POPULATION * FOLDS, contestant.matched)
    blocks, truths = [], []
    for contestant in contestants:
        found, truth = (of[contestant.name].at(BUDGETS) for of in (seen, true))
        gains, plain = gain_scores(found, seen[REFERENCE])
        real, _ = gain_scores(truth, true[REFERENCE])
        blocks.append([found.scores, gains, found.accuracy, plain])
        truths.append([truth.accuracy.mean(axis=1), real.mean(axis=1)] * 2)
    low, high = resampled(np.concatenate([scores for block in blocks for scores in block]), run)
    ends = np.stack([low, high]).reshape(2, len(contestants), len(KINDS), len(BUDGETS))
    counts: Counts = {}
    for c, contestant in enumerate(contestants):
        middle = blocks[c][1].mean(axis=1)
        ends[:, c, 1] = middle + dependence(FOLDS, learns(contestant)) * (ends[:, c, 1] - middle)
        for b in range(len(BUDGETS)):
            count = counts[contestant.name, b] = Count(runs=1)
            same = np.abs(blocks[c][3][b]).max() <= 1e-9
            count.same = int(same)
            for k, kind in enumerate(KINDS):
                if same and kind.startswith("gain"):
                    continue
                first, last = ends[:, c, k, b]
                count.covered[kind] = int(first - 1e-9 <= truths[c][k][b] <= last + 1e-9)
                count.width[kind] = float(last - first)
    return counts


# ---------------------------------------------------------------------------------------------- many


def taking(problem: Problem, only: Sequence[str], quick: bool) -> list[Contestant]:
    """Return whose intervals are looked at; the mixture always comes first."""
    found, _ = contestants_of(problem, BUDGETS)
    first = [contestant for contestant in found if contestant.name == REFERENCE]
    for contestant in found:
        name = contestant.name
        wanted = name in only if only else name not in LEFT_OUT and not (quick and name in LEARNED)
        if wanted and name != REFERENCE:
            first.append(contestant)
    return first


def several(job: tuple[range, tuple[str, ...], bool, bool]) -> Counts:
    """Do some comparisons."""
    runs, only, quick, costs = job
    problem = population(costs=costs)
    contestants = taking(problem, only, quick)
    total: Counts = {}
    with one_thread():
        for run in runs:
            now = [c for c in contestants if run % SELDOM.get(c.name, 1) == 0 or only]
            for key, count in one(problem, now, run).items():
                total.setdefault(key, Count()).add(count)
    return total


def coverage(
    runs: int,
    *,
    only: Sequence[str] = (),
    quick: bool = False,
    jobs: int = 1,
    show: bool = False,
    costs: bool = False,
) -> Counts:
    """Return how often the intervals cover, per contestant and budget."""
    size = 20
    work = [(range(at, min(at + size, runs)), tuple(only), quick, costs) for at in range(0, runs, size)]
    total: Counts = {}

    def results() -> Iterator[Counts]:
        if jobs == 1:
            yield from map(several, work)
            return
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield from pool.map(several, work)

    began = time.perf_counter()
    for done, counts in enumerate(results(), 1):
        for key, count in counts.items():
            total.setdefault(key, Count()).add(count)
        if show:
            print(f"\r{min(done * size, runs)}/{runs}, {time.perf_counter() - began:.0f} s", end="", file=sys.stderr)
    if show:
        print(file=sys.stderr)
    return total


def report(counts: Counts) -> str:
    """Return the table, and the contestants that are out of bounds."""
    names = list(dict.fromkeys(name for name, _ in counts))
    wide = max(len(name) for name in names)
    heads = "".join(f"{kind:>18}" for kind in KINDS)
    lines = [f"{'contestant':{wide}}  spend{heads}   width: acc.   gain   runs  always"]
    out = []
    for name in names:
        for b, budget in enumerate(BUDGETS):
            count = counts[name, b]
            cells = []
            for kind in KINDS:
                share, error, runs = count.of(kind)
                if not runs or (name == REFERENCE and kind.startswith("gain")):
                    cells.append(f"{'-':>18}")
                    continue
                mark = " " if LOW <= share <= HIGH else "!"
                cells.append(f"{100 * share:7.1f} ± {200 * error:3.1f}{mark}".rjust(18))
                if "plain" not in kind and not LOW <= share <= HIGH:
                    sure = abs(share - min(max(share, LOW), HIGH)) > 2 * error
                    out.append(
                        f"{name} at {budget:g}, {kind}: {100 * share:.1f} of {runs}{'' if sure else ' (chance?)'}"
                    )
            gains = max(count.runs - count.same, 1)
            widths = f"{100 * count.width['accuracy'] / count.runs:14.2f} {100 * count.width['gain'] / gains:6.2f}"
            lines.append(f"{name:{wide}}  {budget:5g}{''.join(cells)}{widths} {count.runs:6} {count.same:7}")
    lines.append(f"Outside {100 * LOW:g} to {100 * HIGH:g} %: " + ("; ".join(out) if out else "none"))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, help="comparisons (1,000; quick: 100)")
    parser.add_argument("--quick", action="store_true", help="without the learned policies")
    parser.add_argument("--only", default="", help="contestants, separated by semicolons; the mixture is always there")
    parser.add_argument("--costs", action="store_true", help="questions and samples differ in what they cost")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--json", help="where to write all figures")
    args = parser.parse_args()
    began = time.perf_counter()
    runs = args.runs or (100 if args.quick else 1000)
    only = [name for name in args.only.split(";") if name]
    counts = coverage(runs, only=only, quick=args.quick, jobs=args.jobs, show=sys.stderr.isatty(), costs=args.costs)
    print(report(counts))
    print(f"{runs} comparisons of {QUESTIONS} questions, {FOLDS} folds; {time.perf_counter() - began:.0f} s")
    if args.json:
        found: list[dict[str, Any]] = [
            {"contestant": name, "spend": float(BUDGETS[b]), "runs": count.runs, "same": count.same,
             **{kind: count.of(kind)[0] for kind in KINDS}}
            for (name, b), count in counts.items()
        ]  # fmt: skip
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump([{k: None if v != v else v for k, v in row.items()} for row in found], file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

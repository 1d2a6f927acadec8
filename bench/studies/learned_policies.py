"""What learned policies gain over the best fixed mixture on real tables, held out, at the same spend.

    python bench/studies/learned_policies.py                          everything; the time it took is printed at the end
    python bench/studies/learned_policies.py --table ulab             the tables whose name holds that
    python bench/studies/learned_policies.py --seeds 1 --folds 5      fewer seeds
    python bench/studies/learned_policies.py --policy priced,length   the policies whose name begins so

Every policy is trained on four of five folds of the questions and decides on the fifth; five seeds of the folds. A cell
is its gain in points of accuracy over the best fixed mixture (of the training folds' means) that spends the same on the
very same questions, with its 95 % interval over questions (paired, averaged over seeds first), and in brackets what it
spends. Where a policy's gate is closed it serves that mixture, and its expectation is scored: the gain is then 0.

What counts: accuracies of votes are exact expectations over all subsets of the samples, which no policy sees; costs
that are known beforehand decide (means per action; ulab: price × (prompt characters / 4 + 200)), costs that were really
paid are charged (mmlupro, of which 4,000 questions: parameters × output, in units as in ../shared/data/README.md);
"costs too" predicts each question's costs beside its row. Probes are paid for; their policies are replayed on random
orders of each question's samples. "oracle" is the exact oracle: chosen on half of the samples and scored on the other
half, or, where there is one answer per cell, in hindsight, which nothing can reach.

Boosted classifiers take most of the time: in tables of more than 3,000 questions imitators see two of the seeds.
"""

import argparse
import gzip
import json
import math
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc import Best, Samples, Table, Vote, solve
from tcalloc.learn.features import Features
from tcalloc.learn.routing.baselines import LengthHeuristic
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.training import Mix

Floats = NDArray[np.float64]
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
DEFAULT = "priced: text"
# Of its 11,969 questions so many, at random: the whole takes three times as long.
MMLUPRO = 4000
# In tables of more questions imitators are trained with two of the seeds: boosted classifiers take most of the time.
LARGE = 3000


@dataclass
class Case:
    """A real table."""

    name: str
    texts: list[str]
    table: Table
    budgets: tuple[float, ...]
    actions: list[Any]
    categories: list[str] | None = None
    samples: Samples | None = None
    given: bool = False
    goals: dict[tuple[str, float], float] = field(default_factory=dict)

    def x(self, kind: str) -> Any:
        """X of a kind: the text, the category or both."""
        if kind == "text" or self.categories is None:
            return self.texts
        if kind == "category":
            return [{"kind": c} for c in self.categories]
        return [{"question": t, "kind": c} for t, c in zip(self.texts, self.categories, strict=True)]


# ---------------------------------------------------------------------------------------------- tables


def load(name: str) -> tuple[Any, list[dict[str, Any]]]:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as found:
        arrays = {key: found[key] for key in found.files}
    with gzip.open(DATA / f"{name}.questions.jsonl.gz", "rt", encoding="utf-8") as lines:
        return arrays, [json.loads(line) for line in lines]


def _gsm8k(file: str, budgets: tuple[float, ...], goals: dict[tuple[str, float], float]) -> Case:
    found, rows = load(file)
    samples = Samples(found["answer"].astype(int), tokens={"output": found["cost"].astype(float)})
    actions = [Vote(k) for k in (1, 2, 4, 8, 16)]
    table = samples.table(actions, False)
    return Case(
        file.rsplit("_", 1)[0], [row["question"] for row in rows], table, budgets, actions, None, samples, goals=goals
    )


def gpt4omini() -> Case:
    goals = {(DEFAULT, 2.0): 0.8, ("priced: probe 2", 3.0): 1.9}
    return _gsm8k("gsm8k_gpt4omini_n40", (1.5, 2.0, 3.0, 4.0), goals)


def qwen() -> Case:
    return _gsm8k("gsm8k_qwen25_1p5b_n30", (1.5, 2.0, 3.0, 4.0), {})


def mmlupro() -> Case:
    found, rows = load("mmlupro_28models")
    names = [str(name) for name in found["model"]]
    asked = (
        "Phi-3-mini-4k-instruct",
        "Meta-Llama-3_1-8B-Instruct",
        "Mixtral-8x7B-Instruct-v0.1",
        "Meta-Llama-3_1-70B-Instruct",
    )
    which = [names.index(name) for name in asked]
    some = np.sort(np.random.default_rng(0).permutation(len(rows))[:MMLUPRO])
    cost = found["active_params_b"][which] * np.minimum(found["out_chars"][some][:, which], 4000) / 4000
    table = Table(found["correct"][some][:, which].astype(float), cost.astype(float), action_names=asked)
    texts = ["\n".join([rows[i]["question"], *rows[i]["options"]]) for i in some]
    categories = [str(c) for c in found["category"][some]]
    return Case("mmlupro", texts, table, (1.0, 2.0, 4.0, 6.0), [Vote(1, name) for name in asked], categories)


def ulab() -> Case:
    found, rows = load("ulab_mixed_9models")
    which = [j for j, name in enumerate(found["model"]) if "chatqa" not in str(name)]
    names = [str(found["model"][j]) for j in which]
    # In thousandths of the table's unit, in which its budgets are.
    cost = found["price"][which] * (found["prompt_chars"][:, None] / 4 + 200) / 1000
    table = Table(found["score"][:, which].astype(float), cost.astype(float), action_names=names)
    goals = {(DEFAULT, 0.08): 4.5, ("priced: both", 0.08): 6.0}
    actions = [Vote(1, name) for name in names]
    tasks = [str(c) for c in found["task"]]
    texts = [row["question"] for row in rows]
    return Case("ulab", texts, table, (0.04, 0.08, 0.15), actions, tasks, given=True, goals=goals)


def cruxeval(part: str) -> Case:
    found, rows = load("cruxeval_codellama7b_n10")
    if part == "output":
        samples = Samples(found["answer_output"].astype(int), tokens={"output": found["cost_output"].astype(float)})
        actions = [Vote(k) for k in (1, 2, 4, 8)]
    else:
        samples = Samples(correct=found["correct_input"], tokens={"output": found["cost_input"].astype(float)})
        actions = [Best(k) for k in (1, 2, 4, 8)]
    texts = [row["question"] + "\n" + row["input" if part == "output" else "output"] for row in rows]
    goals = {(DEFAULT, b): 0.0 for b in (1.25, 2.0, 4.0)}
    return Case(
        f"cruxeval {part}", texts, samples.table(actions, False), (1.25, 2.0, 4.0), actions, None, samples, goals=goals
    )


def routing() -> Case:
    found, rows = load("recorded_local_llms")
    price = {"smollm2_135m": 1.0, "qwen25_0p5b": 2.6}
    arms = {
        name: Samples(
            found[f"answer_{name}"].astype(int),
            cost=price[name],
            tokens={"output": found[f"tokens_{name}"].astype(float)},
            logprobs=found[f"logprob_{name}"].astype(float),
        )
        for name in price
    }
    samples = Samples(arms=arms)
    actions = [None, *(Vote(k, name) for name in price for k in (1, 4))]
    made = samples.table(actions[1:], False)
    names = ("nothing", *(made.action_names or ()))
    table = Table(np.insert(made.acc, 0, 0.0, axis=1), np.insert(made.cost, 0, 0.0), action_names=names)
    goals = {(DEFAULT, 1.5): 6.0, (DEFAULT, 2.0): 6.0}
    texts, families = [row["question"] for row in rows], [str(c) for c in found["family"]]
    return Case("recorded_local_llms", texts, table, (1.0, 1.5, 2.0, 2.6), actions, families, samples, goals=goals)


CASES: dict[str, Callable[[], Case]] = {
    "gsm8k_gpt4omini": gpt4omini,
    "gsm8k_qwen25_1p5b": qwen,
    "mmlupro": mmlupro,
    "ulab": ulab,
    "cruxeval output": lambda: cruxeval("output"),
    "cruxeval input": lambda: cruxeval("input"),
    "recorded_local_llms": routing,
}


# ---------------------------------------------------------------------------------------------- one fold


@dataclass
class Fold:
    """What is trained on, and what is decided."""

    case: Case
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    seed: int

    def __post_init__(self) -> None:
        table = self.case.table
        acc, cost = np.asarray(table.acc, float), np.broadcast_to(np.asarray(table.cost, float), table.acc.shape)
        self.acc, self.cost = acc[self.test], cost[self.test]
        self.table = Table(acc[self.train], cost[self.train], action_names=table.action_names)
        self.mix = Mix.of(acc[self.train].mean(axis=0), cost[self.train].mean(axis=0))
        self.known = self.cost if self.case.given else None

    def part(self, kind: str) -> tuple[Any, Any]:
        """Return X of the training and of the test questions."""
        x = self.case.x(kind)
        return [x[i] for i in self.train], [x[i] for i in self.test]

    def scored(self, actions: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return what actions reach and cost on the test questions."""
        every = np.arange(len(self.test))
        return self.acc[every, actions], self.cost[every, actions]

    def mixed(self, spend: float, mix: Mix | None = None) -> tuple[Floats, Floats]:
        """Return the expectation of the best fixed mixture."""
        low, high, share = (mix or self.mix).at(spend)
        return tuple((1 - share) * values[:, low] + share * values[:, high] for values in (self.acc, self.cost))  # type: ignore[return-value]


Scores = dict[float, tuple[Floats, Floats]]


def priced(kind: str, **options: Any) -> Callable[[Fold], Scores]:
    def run(fold: Fold) -> Scores:
        train, test = fold.part(kind)
        chosen = {"known_costs": "given" if fold.case.given else "mean"} | options
        policy = PricedPolicy(random_state=fold.seed, **chosen)
        policy.fit(train, fold.table)
        found: Scores = {}
        for budget in fold.case.budgets:
            if not policy.gate_.open_at(budget):
                found[budget] = fold.mixed(budget)
            else:
                found[budget] = fold.scored(policy.decide(test, budget=budget, cost=fold.known))
        return found

    return run


def probed(m: int, *, text: bool) -> Callable[[Fold], Scores]:
    def run(fold: Fold) -> Scores:
        train, test = fold.part("both" if text else "text")
        assert fold.case.samples is not None
        drawn, held = fold.case.samples.take(fold.train), fold.case.samples.take(fold.test)
        policy = PricedPolicy(probe=m, features=None if text else False, random_state=fold.seed)
        policy.fit(train, drawn, actions=fold.case.actions)
        done = policy.replay(test, held, fold.case.budgets, random_state=fold.seed + 1)
        return {b: (done.accuracy[i], done.spend[i]) for i, b in enumerate(fold.case.budgets)}

    return run


def imitator(loss: str) -> Callable[[Fold], Scores]:
    def run(fold: Fold) -> Scores:
        train, test = fold.part("text")
        features = Ready(Features(random_state=fold.seed), train, test)
        found: Scores = {}
        for budget in fold.case.budgets:
            policy = Imitator(
                budget,
                loss=loss,
                features=features,
                known_costs="given" if fold.case.given else "mean",
                random_state=fold.seed,
            ).fit(train, fold.table)
            found[budget] = fold.scored(policy.decide(test, cost=fold.known))
        return found

    return run


class Ready:
    """Features that are computed once for several policies of a fold; fitted on the training questions alone."""

    def __init__(self, features: Features, train: Any, test: Any):
        made = features.fit(train)
        self.known = {len(x): made.transform(x) for x in (train, test)}
        assert len(self.known) == 2

    def __sklearn_clone__(self) -> "Ready":
        return self

    def fit(self, x: Any) -> "Ready":
        """Do nothing: they are fitted."""
        return self

    def transform(self, x: Any) -> Floats:
        """Return the training or the test questions' features."""
        return self.known[len(x)]


def length(fold: Fold) -> Scores:
    train, test = fold.part("text")
    policy = LengthHeuristic().fit(train, fold.table)
    return {b: fold.scored(policy.decide(test, budget=b)) for b in fold.case.budgets}


def oracle(fold: Fold) -> Scores:
    case, found = fold.case, {}
    if case.samples is None:
        return {b: fold.scored(solve(fold.acc, fold.cost, b).actions) for b in case.budgets}
    real = [action for action in case.actions if action is not None]
    rng = np.random.default_rng(fold.seed)
    halves: list[dict[str, Samples]] = [{}, {}]
    for name, arm in case.samples.take(fold.test).by_model.items():
        order = np.argsort(rng.random(arm.drawn.shape), axis=1)
        half = order.shape[1] // 2
        halves[0][name], halves[1][name] = arm.columns(order[:, :half]), arm.columns(order[:, half : 2 * half])
    able = [min(arm.drawn.shape[1] for arm in half.values()) for half in halves]
    kept = [a for a in real if a.samples <= min(able)]
    scores = []
    for half in halves:
        made = (half[""] if "" in half else Samples(arms=half)).table(kept, False).acc
        scores.append(np.insert(made, 0, 0.0, axis=1) if case.actions[0] is None else made)
    columns = [a for a, action in enumerate(case.actions) if action is None or action in kept]
    cost = fold.cost[:, columns]
    for b in case.budgets:
        both = []
        for choose, score in ((0, 1), (1, 0)):
            chosen = solve(scores[choose], cost, b).actions
            every = np.arange(len(chosen))
            both.append((scores[score][every, chosen], cost[every, chosen]))
        found[b] = tuple(np.mean([x[j] for x in both], axis=0) for j in (0, 1))
    return found  # type: ignore[return-value]


def policies_of(case: Case) -> dict[str, Callable[[Fold], Scores]]:
    found: dict[str, Callable[[Fold], Scores]] = {
        "length": length,
        "knn: text": priced("text", regressor="knn"),
        "imitator: plain": imitator("plain"),
        "imitator: cost-sensitive": imitator("regret"),
        DEFAULT: priced("text"),
    }
    if case.categories is not None:
        found |= {"priced: category": priced("category"), "priced: both": priced("both")}
    if case.samples is None and not case.given:
        found |= {
            f"priced: {kind}, costs too": priced(kind, known_costs="predicted") for kind in ("text", "category", "both")
        }
    if case.samples is not None:
        found |= {f"priced: probe {m}": probed(m, text=False) for m in (1, 2, 4)}
        found |= {f"priced: probe {m}, both": probed(m, text=True) for m in (1, 2, 4)}
    return found | {"oracle": oracle}


# ---------------------------------------------------------------------------------------------- all folds


def run_seed(
    job: tuple[str, int, int, tuple[str, ...]],
) -> tuple[str, int, dict[str, dict[float, tuple[Floats, float, float]]]]:
    """Return for each policy and budget the paired differences per question, the spend, and the mixture's accuracy."""
    name, seed, folds, asked = job
    case = CASES[name]()
    n = len(case.texts)
    fold_of = np.arange(n) % folds
    np.random.default_rng(seed).shuffle(fold_of)
    parts = [Fold(case, np.flatnonzero(fold_of != f), np.flatnonzero(fold_of == f), seed) for f in range(folds)]
    found: dict[str, dict[float, tuple[Floats, float, float]]] = {}
    for label, policy in policies_of(case).items():
        if (asked and not label.startswith(asked)) or (label.startswith("imitator") and n > LARGE and seed >= 2):
            continue
        start = time.perf_counter()
        every = [policy(part) for part in parts]
        took = time.perf_counter() - start
        print(f"  {name}, seed {seed}, {label}: {took:.1f} s", file=sys.stderr, flush=True)
        found[label] = {b: compared(parts, [scores[b] for scores in every], n) for b in case.budgets}
    return name, seed, found


def compared(parts: list[Fold], scores: list[tuple[Floats, Floats]], n: int) -> tuple[Floats, float, float]:
    """Compare with the mixture (of each fold's training means) that spends the same on all questions together."""
    acc, cost = np.empty(n), np.empty(n)
    for part, (mine, paid) in zip(parts, scores, strict=True):
        acc[part.test], cost[part.test] = mine, paid
    spend = float(cost.mean())

    def mixture(setting: float) -> tuple[Floats, Floats]:
        theirs, owed = np.empty(n), np.empty(n)
        for part in parts:
            theirs[part.test], owed[part.test] = part.mixed(setting)
        return theirs, owed

    low, high = 0.0, max(float(part.mix.cost[-1]) for part in parts)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mixture(middle)[1].mean() < spend else (low, middle)
    theirs, owed = mixture(high)
    near = [mixture(high * (1 + e)) for e in (-1e-3, 1e-3)]
    rise, run = (near[1][j].mean() - near[0][j].mean() for j in (0, 1))
    price = rise / run if run > 1e-12 else 0.0
    difference = acc - theirs - price * (cost - owed)
    # What is left of rounding in the search for the spend.
    difference[np.abs(difference) < 1e-9] = 0.0
    return difference, spend, float(theirs.mean())


def report(results: list[tuple[str, int, dict[str, dict[float, tuple[Floats, float, float]]]]]) -> None:
    below: list[tuple[float, str]] = []
    failed = []
    for name in dict.fromkeys(result[0] for result in results):
        case = CASES[name]()
        runs = [found for other, _, found in results if other == name]
        print(f"\n{name}: {len(case.texts)} questions; actions: {', '.join(case.table.action_names or ())}")
        print(f"{'budget':26}" + "".join(f"{b:>24g}" for b in case.budgets))
        first = next(iter(runs[0].values()))
        shares = [f"{np.mean([case_mixture(case, b)]):.4f}" for b in first]
        print(f"{'best fixed mixture':26}" + "".join(f"{s:>24}" for s in shares))
        for label in runs[0]:
            cells = []
            for b in case.budgets:
                v = np.mean([run[label][b][0] for run in runs if label in run], axis=0)
                spend = np.mean([run[label][b][1] for run in runs if label in run])
                gain, error = float(v.mean()), float(v.std(ddof=1) / math.sqrt(len(v)))
                cells.append(f"{100 * gain:+.2f} ± {196 * error:.2f} ({spend:.3g})")
                if label == DEFAULT:
                    below.append((NormalDist().cdf(gain / error) if error > 0 else 1.0, f"{name} at {b:g}"))
                goal = case.goals.get((label, b))
                if goal is not None and (abs(gain) > 1e-9 if goal == 0 else 100 * gain < goal):
                    failed.append(f"{name}, {label} at {b:g}: {100 * gain:+.2f}, goal {goal:+.1f}")
            print(f"{label:26}" + "".join(f"{cell:>24}" for cell in cells))
    below.sort()
    # Holm: the p-values from the smallest, each times the number of those not yet looked at.
    worse = []
    for rank, (p, cell) in enumerate(below):
        if p * (len(below) - rank) > 0.05:
            break
        worse.append(cell)
    if below:
        said = ", ".join(worse) if worse else "none"
        print(f"\nCells of the default policy significantly below the mixture (Holm, 5 %, {len(below)} cells): {said}")
    print("Goals missed: " + ("; ".join(failed) if failed else "none"))


def case_mixture(case: Case, budget: float) -> float:
    acc, cost = (
        np.asarray(case.table.acc, float),
        np.broadcast_to(np.asarray(case.table.cost, float), case.table.acc.shape),
    )
    mix = Mix.of(acc.mean(axis=0), cost.mean(axis=0))
    low, high, share = mix.at(budget)
    return float((1 - share) * acc[:, low].mean() + share * acc[:, high].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--table", default="", help="tables whose name holds one of these, separated by commas")
    parser.add_argument(
        "--policy", default="", help="policies whose name begins with one of these, separated by commas"
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the folds (default 5)")
    parser.add_argument("--folds", type=int, default=5, help="folds over questions (default 5)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    args = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"{DATA}: not there; the real tables are needed.")
    names = [name for name in CASES if any(part in name for part in args.table.split(","))]
    asked = tuple(part for part in args.policy.split(",") if part)
    jobs = [(name, seed, args.folds, asked) for seed in range(args.seeds) for name in names]
    # The large tables first, so that the processes end together.
    jobs.sort(key=lambda job: job[0] not in ("mmlupro", "ulab"))
    start = time.perf_counter()
    if args.jobs == 1:
        results = [run_seed(job) for job in jobs]
    else:
        with ProcessPoolExecutor(args.jobs) as pool:
            results = list(pool.map(run_seed, jobs))
    results.sort(key=lambda result: (names.index(result[0]), result[1]))
    report(results)
    print(f"{time.perf_counter() - start:.0f} s, {args.jobs} processes, {args.seeds} seeds × {args.folds} folds")


if __name__ == "__main__":
    main()

"""Claimed minus true on made-up tables that no estimator was chosen on: a check to be run, not to be tuned on.

    python bench/studies/shrink_holdout.py                       everything: about ten minutes on one core
    python bench/studies/shrink_holdout.py --repetitions 4       a look
    python bench/studies/shrink_holdout.py --only pass@k         (or: votes)

Twelve kinds of tables of 1,000 questions, with 8, 16 and 40 samples a question; the largest action takes all of them.
The kinds were written down before any estimator had seen them; whoever changes an estimator after looking at these
figures has to write new ones.

"claimed - true" is what the plan claims minus the true accuracy of its actions, mean over repetitions. A small table
errs by its samples too: the means of its actions are .2 to .5 points off, by chance and in no direction. To see the
rest with fewer repetitions, that part is taken off: sum over actions of the share of questions they serve times (mean
exact expectation - true mean), whose expectation is 0. "+-" is the largest standard error of what remains. "vs exact"
is the true accuracy minus that of the exact expectation's choice, with z over repetitions. "these": how often the 95 %
interval for these questions holds the true accuracy of the chosen actions; "like these": how often the wider one holds
its mean over repetitions. Intervals are judged with all errors in.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure import Best, Samples, Table, Vote
from tcalloc.measure.votes import independent_votes

Floats = NDArray[np.float64]
Generator = np.random.Generator

QUESTIONS = 1000
BOUND = 0.3
# Samples: what is asked of them.
VOTES = {8: (1, 3, 5, 8), 16: (1, 2, 4, 8, 12, 16), 40: (1, 3, 7, 15, 25, 40)}
PASSES = {8: (1, 2, 4, 8), 16: (1, 2, 4, 8, 16), 40: (1, 2, 5, 10, 20, 40)}
BUDGETS = {8: (1.4, 2.2, 3.2, 5.0), 16: (1.4, 2.2, 3.5, 6.0), 40: (1.4, 2.2, 3.5, 8.0)}


# ---------------------------------------------------------------------------------------------- the kinds


def _dirichlet(rng: Generator, concentration: Floats | float, answers: int, n: int) -> Floats:
    """Return n rows of shares; the concentration may differ between rows."""
    shares = rng.standard_gamma(np.broadcast_to(np.reshape(concentration, (-1, 1)), (n, answers))) + 1e-12
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _five_kinds(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    rates = rng.choice([0.0, 0.2, 0.5, 0.8, 1.0], n, p=[0.15, 0.2, 0.2, 0.2, 0.25])
    return rates, _dirichlet(rng, 0.4, 12, n), np.full(n, 0.05)


def _two_humps(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    rates = np.where(rng.random(n) < 0.5, rng.beta(2, 8, n), rng.beta(9, 2, n))
    return rates, _dirichlet(rng, 0.5, 12, n), rng.beta(1, 20, n)


def _multiple_choice(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.uniform(0.1, 0.9, n), _dirichlet(rng, 1.0, 3, n), np.zeros(n)


def _bimodal(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.beta(0.25, 0.25, n), _dirichlet(rng, 0.3, 12, n), np.full(n, 0.03)


def _hard(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.beta(0.6, 3.0, n), _dirichlet(rng, 1.0, 15, n), np.full(n, 0.1)


def _easy(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.beta(4.0, 0.7, n), _dirichlet(rng, 0.3, 12, n), np.full(n, 0.01)


def _ties(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.beta(1.5, 4.0, n), _dirichlet(rng, 50.0, 40, n), np.zeros(n)


def _attractors(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    spread = _dirichlet(rng, 2.0, 10, n)
    pull = np.where(rng.random(n) < 0.6, 0.85, 0.0)[:, None]
    return rng.beta(4, 3, n), np.column_stack([pull, (1 - pull) * spread]), np.full(n, 0.02)


def _silent(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.random(n), _dirichlet(rng, 0.5, 12, n), rng.beta(2, 4, n)


def _alike(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return np.clip(rng.normal(0.6, 0.08, n), 0.0, 1.0), _dirichlet(rng, 0.7, 12, n), np.full(n, 0.02)


def _triangle(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    return rng.triangular(0.0, 0.8, 1.0, n), _dirichlet(rng, 0.2, 12, n), np.full(n, 0.02)


def _misled(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    rates = rng.beta(2, 2, n)
    return rates, _dirichlet(rng, 0.05 + 3 * rates, 12, n), np.full(n, 0.02)


KINDS: dict[str, Callable[[Generator, int], tuple[Floats, Floats, Floats]]] = {
    "five kinds": _five_kinds,
    "two humps": _two_humps,
    "multiple choice": _multiple_choice,
    "bimodal": _bimodal,
    "skewed low": _hard,
    "skewed high": _easy,
    "heavy ties": _ties,
    "wrong attractors": _attractors,
    "often silent": _silent,
    "nearly alike": _alike,
    "triangle": _triangle,
    "misled where hard": _misled,
}


def vote_samples(kind: str, s: int, ks: tuple[int, ...], rng: Generator) -> tuple[Samples, Floats]:
    """Return samples and the true accuracies (QUESTIONS, len(ks))."""
    rates, wrong, silent = KINDS[kind](rng, QUESTIONS)
    said = 1 - silent[:, None]
    shares = np.column_stack([said * rates[:, None], said * (1 - rates[:, None]) * wrong, silent])
    edges = np.cumsum(shares, axis=1)
    edges[:, -1] = 1.0
    codes = (rng.random((QUESTIONS, s))[:, :, None] > edges[:, None]).sum(axis=2)
    codes = np.where(codes == shares.shape[1] - 1, -1, codes)
    return Samples(codes), independent_votes(shares[:, 0], shares[:, -1], shares[:, 1:-1], ks)


def pass_samples(kind: str, s: int, ks: tuple[int, ...], rng: Generator) -> tuple[Samples, Floats]:
    """Return samples and the true pass@k (QUESTIONS, len(ks))."""
    rates = KINDS[kind](rng, QUESTIONS)[0]
    samples = Samples(correct=rng.random((QUESTIONS, s)) < rates[:, None])
    return samples, np.column_stack([1 - (1 - rates) ** k for k in ks])


# ---------------------------------------------------------------------------------------------- the check


def measure(table: Table, truth: Floats, budget: float) -> tuple[list[float], Floats]:
    """Return claim, truth and interval ends; and the share of questions that each action serves."""
    plan = table.solve(budget)
    claim = table.claim(plan)
    reached = float(truth[np.arange(QUESTIONS), plan.actions].mean())
    ends = [claim.low, claim.high, claim.population_low, claim.population_high]
    return [claim.accuracy, reached, *ends], np.bincount(plan.actions, minlength=truth.shape[1]) / QUESTIONS


def check(name: str, repetitions: int) -> None:
    """Print one line for each kind and number of samples, and a summary."""
    asked, make, action = (VOTES, vote_samples, Vote) if name == "votes" else (PASSES, pass_samples, Best)
    print(f"{name}: {QUESTIONS} questions, {repetitions} repetitions; points of accuracy")
    for s, ks in asked.items():
        print(f"  S = {s}: k = {', '.join(map(str, ks))}; budgets {', '.join(f'{b:g}' for b in BUDGETS[s])}")
    head = f"{'claimed - true':^28}{'+-':^6}{'exact claims':^28}{'vs exact (z)':^44}{'these':^24}{'like these':^20}"
    print(f"{'S':>2} {'kind':18}{head}")
    gaps: dict[int, list[float]] = {s: [] for s in asked}
    held: dict[int, list[float]] = {s: [] for s in asked}
    held_wide: dict[int, list[float]] = {s: [] for s in asked}
    errors: list[float] = []
    scores: list[float] = []
    for s, ks in asked.items():
        actions = [action(k) for k in ks]
        for number, kind in enumerate(KINDS):
            lines: dict[bool, list[list[list[float]]]] = {True: [], False: []}
            chance = []
            served: dict[bool, list[list[Floats]]] = {True: [], False: []}
            for repetition in range(repetitions):
                samples, truth = make(kind, s, ks, np.random.default_rng([2026, repetition, s, number]))
                tables = {how: samples.table(actions, how) for how in (True, False)}
                chance.append((tables[False].acc - truth).mean(axis=0))
                for how, table in tables.items():
                    both = [measure(table, truth, budget) for budget in BUDGETS[s]]
                    lines[how].append([line for line, _ in both])
                    served[how].append([share for _, share in both])
            _, reached, low, high, wide_low, wide_high = np.moveaxis(np.array(lines[True]), -1, 0)
            rest = {}
            for how in lines:
                values = np.array(lines[how])
                share = np.mean(served[how], axis=0)
                rest[how] = 100 * (values[..., 0] - values[..., 1] - np.array(chance) @ share.T)
            error = rest[True].std(axis=0, ddof=1) / math.sqrt(repetitions)
            difference = 100 * (reached - np.array(lines[False])[..., 1])
            spread = difference.std(axis=0, ddof=1) / math.sqrt(repetitions)
            z = difference.mean(axis=0) / np.where(spread > 0, spread, 1.0)
            inside = ((low <= reached) & (reached <= high)).mean(axis=0)
            middle = reached.mean(axis=0)
            inside_wide = ((wide_low <= middle) & (middle <= wide_high)).mean(axis=0)
            gaps[s] += rest[True].mean(axis=0).tolist()
            held[s] += inside.tolist()
            held_wide[s] += inside_wide.tolist()
            errors += error.tolist()
            scores += z.tolist()
            print(
                f"{s:2} {kind:18}"
                + "".join(f"{x:+7.2f}" for x in rest[True].mean(axis=0))
                + f"{error.max():6.2f}"
                + "".join(f"{x:+7.2f}" for x in rest[False].mean(axis=0))
                + " "
                + "".join(f" {d:+.2f} ({t:+.1f})" for d, t in zip(difference.mean(axis=0), z, strict=True))
                + "   "
                + "".join(f"{x:5.2f}" for x in inside)
                + "   "
                + "".join(f"{x:5.2f}" for x in inside_wide),
                flush=True,
            )
    for s in asked:
        found = np.array(gaps[s])
        print(
            f"S = {s}: {int((np.abs(found) >= BOUND).sum())} of {len(found)} cells at {BOUND} or more; "
            f"{found.min():+.2f} to {found.max():+.2f}, mean {found.mean():+.2f}, root mean square "
            f"{math.sqrt((found**2).mean()):.2f}; intervals hold {np.mean(held[s]):.1%} ({min(held[s]):.2f} to "
            f"{max(held[s]):.2f}) and {np.mean(held_wide[s]):.1%} ({min(held_wide[s]):.2f} to {max(held_wide[s]):.2f})"
        )
    print(
        f"largest standard error {max(errors):.2f}; true accuracy against the exact expectation's choice: z from "
        f"{min(scores):+.1f} to {max(scores):+.1f}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=("votes", "pass@k"))
    parser.add_argument("--repetitions", type=int, default=40, help="40 if not said otherwise, at least 2")
    args = parser.parse_args()
    if args.repetitions < 2:
        parser.error("--repetitions: at least 2, else there is no noise to tell")
    for name in ("votes", "pass@k"):
        if args.only in (None, name):
            check(name, args.repetitions)


if __name__ == "__main__":
    main()

"""``tcalloc fit``, for policies that decide while sampling: the policy, and what it spends and reaches."""

import argparse
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tcalloc.cli import _shared as shared

if TYPE_CHECKING:
    from tcalloc.evaluate.recipe import Recipe
    from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
    from tcalloc.measure import Samples

__all__ = ["run"]

# Spends of the table, as shares of what all recorded samples would cost on a scale of ratios.
POINTS = 7
# Figures that differ by less than this, as a share, are the same.
ROUNDING = 1e-12

# Numbers of samples, their spends and accuracies.
Fixed = tuple[list[int], list[float], list[float]]


def run(args: argparse.Namespace, recipe: "Recipe", samples: "Samples", x: list[Any] | None) -> int:
    """Fit, save, and say what it reaches beside a fixed number of samples."""
    n = len(samples)
    learned, told, held = samples, x, None
    if args.confidence is not None:  # a quarter sets the price, the rest is learned from
        order = np.random.default_rng([args.seed, 1]).permutation(n)
        size = max(n // 4, 1)
        held, rows = np.sort(order[:size]), np.sort(order[size:])
        learned = samples.take(rows)
        told = None if x is None else [x[i] for i in rows]
    policy = recipe.fit(learned, told, budget=args.budget, seed=args.seed)
    if held is not None:
        given = None if x is None else [x[i] for i in held]
        limits = {"confidence": args.confidence, "low": args.low, "high": args.high}
        recipe.calibrate(policy, samples.take(held), given, budget=args.budget, **limits)
    policy.save(args.out)
    curve = policy.frontier() if hasattr(policy, "frontier") else _curve(args, recipe, policy, learned, told)
    fixed = _fixed(learned, args.verifier)
    most = float(curve.spend[-1])
    if args.budget > most * (1 + 1e-9):
        shared.say(
            f"a budget of {shared.cost(args.budget, args.unit)} does not bind: no rule finds a use for more than "
            f"{shared.cost(most, args.unit)} a question, and that is what the policy spends."
        )
    if args.json:
        shared.print_json(_document(args, recipe, policy, curve, fixed, n, len(learned)))
    else:
        print(_summary(args, policy, curve, fixed, n, len(learned)))
    return 0


# ---------------------------------------------------------------------------------------------- figures


def _curve(
    args: argparse.Namespace, recipe: "Recipe", policy: Any, samples: "Samples", x: list[Any] | None
) -> "StoppingFrontier":
    """Return what a policy with a probe spends and reaches, every question by a policy that has not seen it."""
    from tcalloc.evaluate.recipe import held_out_curve
    from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier

    low, high = float(policy.mix_.cost[0]), max(float(policy.probed_.spends[-1]), args.budget)
    budgets = np.unique(np.append(np.geomspace(max(low, high / 50), high, POINTS), args.budget))
    spend, accuracy = held_out_curve(recipe, samples, x, budgets, folds=args.folds, seed=args.seed)
    words = tuple("probe" if policy.gate_.open_at(float(b)) else "best fixed mixture" for b in budgets)
    order = np.argsort(spend, kind="stable")
    return StoppingFrontier(
        spend[order], accuracy[order], np.full(len(budgets), np.nan), tuple(words[b] for b in order)
    )


def _fixed(samples: "Samples", verifier: bool) -> Fixed | None:
    """Return what fixed numbers of samples spend and reach on the same questions; None for several models."""
    if len(samples.by_model) != 1:
        return None
    sizes = [k for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if k <= int(samples.sizes.min())]
    actions = samples.actions_of(next(iter(samples.by_model)), sizes, verifier)
    if not actions:
        return None
    ks = [action.samples for action in actions]
    table = samples.table(actions, shrink=False)
    cost = np.broadcast_to(table.cost, table.acc.shape).mean(axis=0)
    return ks, cost.tolist(), table.acc.mean(axis=0).tolist()


def _beside(fixed: Fixed | None, spend: float) -> float | None:
    """Return what the same number for everyone reaches at a spend, two neighbours mixed; None below one sample."""
    if fixed is None or spend < fixed[1][0] * (1 - ROUNDING):
        return None
    return float(np.interp(spend, fixed[1], fixed[2]))


def _half_width(accuracy: float, n: int) -> float:
    """Return half of the widest 95 % interval that an accuracy over n questions can have.

    Accuracies of single questions lie between 0 and 1; with the mean p their variance is p(1 - p) at most. Agresti
    and Coull's p keeps 0 and 1 from looking certain.
    """
    from tcalloc._student import quantile

    p = (n * accuracy + 2) / (n + 4)
    return quantile(n - 1) * math.sqrt(p * (1 - p) / (n - 1))


def _distinct(curve: "StoppingFrontier") -> list[int]:
    """Return which points of a frontier differ from the one before."""
    kept: list[int] = []
    for b in range(len(curve)):
        same = kept and all(
            math.isclose(values[b], values[kept[-1]], rel_tol=ROUNDING, abs_tol=ROUNDING)
            for values in (curve.spend, curve.accuracy, np.nan_to_num(curve.rounds))
        )
        if not same:
            kept.append(b)
    return kept


# ---------------------------------------------------------------------------------------------- words


def _rounds(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _summary(
    args: argparse.Namespace, policy: Any, curve: "StoppingFrontier", fixed: Fixed | None, n: int, learned: int
) -> str:
    spends = np.geomspace(curve.spend[0] if curve.spend[0] > 0 else curve.spend[-1] / 50, curve.spend[-1], POINTS)
    rows = []
    for spend in np.unique(np.append(spends, args.budget).clip(max=curve.spend[-1])).tolist():
        accuracy = float(np.interp(spend, curve.spend, curve.accuracy))
        beside = _beside(fixed, spend)
        rows.append(
            (
                shared.number(spend),
                f"{accuracy:.4f}",
                f"{_half_width(accuracy, learned):.3f}",
                "-" if beside is None else f"{beside:.4f}",
                _rounds(float(np.interp(spend, curve.spend, curve.rounds))),
                curve.family[int(np.abs(curve.spend - spend).argmin())],
            )
        )
    heads = ("spend", "accuracy", "±", "fixed number", "rounds", "rules")
    told = (
        "What it reaches, by cross-validation (every question by rules that have not seen it), beside the same\n"
        "number of samples for everyone (below one sample, some questions are left without an answer);\n"
        f"± is half of the 95 % interval over {shared.counted(learned, 'question')}, at most:"
    )
    head = f"{args.table}: {shared.counted(n, 'question')}{shared.costs_in(args.unit)}"
    padded = [(*row[:-1], row[-1].ljust(max(len(other[-1]) for other in rows))) for row in rows]
    table = shared.text_table((*heads[:-1], heads[-1].ljust(len(padded[0][-1]))), padded)
    return f"{head}\n\n{args.out}: {policy!r}\n\n{told}\n\n{table}"


def _document(
    args: argparse.Namespace,
    recipe: "Recipe",
    policy: Any,
    curve: "StoppingFrontier",
    fixed: Fixed | None,
    n: int,
    learned: int,
) -> dict[str, Any]:
    return {
        "run": args.table,
        "out": args.out,
        "policy": type(policy).__name__,
        "name": recipe.entry.name,
        "verifier": args.verifier,
        "questions": n,
        "learned_from": learned,
        "budget": shared.finite(args.budget),
        "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
        "facts": repr(policy).splitlines(),
        "frontier": [
            {
                "spend": float(curve.spend[b]),
                "accuracy": float(curve.accuracy[b]),
                "half_width": _half_width(float(curve.accuracy[b]), learned),
                "fixed_number": _beside(fixed, float(curve.spend[b])),
                "rounds": shared.finite(float(curve.rounds[b])),
                "rules": curve.family[b],
            }
            for b in _distinct(curve)
        ],
        "fixed_numbers": None
        if fixed is None
        else [{"samples": k, "spend": spend, "accuracy": acc} for k, spend, acc in zip(*fixed, strict=True)],
    }

"""``tcalloc fit --policy sequential``: the policy that stops while sampling, and what it reaches."""

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

from tcalloc.cli import _shared as shared

if TYPE_CHECKING:
    from tcalloc.learn.sequential import Sequential
    from tcalloc.measure import Samples

__all__ = ["run"]

# Spends of the table, as shares of what all recorded samples would cost on a scale of ratios.
POINTS = 7


def run(args: argparse.Namespace, samples: "Samples", x: list[Any]) -> int:
    """Fit, save, and say what it reaches beside a fixed number of samples."""
    from tcalloc.learn.sequential import Sequential

    policy = Sequential(args.budget, random_state=args.seed)
    if args.confidence is None:
        policy.fit(samples, x)
    else:  # a quarter sets the price, the rest is learned from
        order = np.random.default_rng([args.seed, 1]).permutation(len(samples))
        size = max(len(samples) // 4, 1)
        held, rows = np.sort(order[:size]), np.sort(order[size:])
        policy.fit(samples.take(rows), [x[i] for i in rows])
        policy.calibrate(samples.take(held), [x[i] for i in held], budget=args.budget, confidence=args.confidence)
    policy.save(args.out)
    curve = policy.frontier()
    fixed = _fixed(policy, samples)
    most = float(curve.spend[-1])
    if args.budget > most * (1 + 1e-9):
        shared.say(
            f"a budget of {shared.number(args.budget)} does not bind: no rule finds a use for more than "
            f"{shared.number(most)} a question, and that is what the policy spends."
        )
    if args.json:
        points = zip(curve.spend.tolist(), curve.accuracy.tolist(), curve.rounds.tolist(), curve.family, strict=True)
        names = ("spend", "accuracy", "rounds", "rules")
        shared.print_json(
            {
                "run": args.table,
                "out": args.out,
                "policy": "Sequential",
                "questions": len(samples),
                "budget": shared.finite(args.budget),
                "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
                "facts": repr(policy).splitlines(),
                "frontier": [dict(zip(names, point, strict=True)) for point in points],
            }
        )
        return 0
    spends = np.geomspace(curve.spend[0] if curve.spend[0] > 0 else curve.spend[-1] / 50, curve.spend[-1], POINTS)
    rows_ = [
        (
            shared.number(spend),
            f"{np.interp(spend, curve.spend, curve.accuracy):.4f}",
            "-" if fixed is None or spend < fixed[0][0] else f"{np.interp(spend, *fixed):.4f}",
            f"{np.interp(spend, curve.spend, curve.rounds):.2f}",
        )
        for spend in np.unique(np.append(spends, args.budget).clip(max=curve.spend[-1])).tolist()
    ]
    heads = ("spend", "accuracy", "fixed number", "rounds")
    told = (
        "What it reaches, by cross-validation (every question by rules that have not seen it), beside the same\n"
        "number of samples for everyone (below one sample, some questions are left without an answer):"
    )
    head = f"{args.table}: {shared.counted(len(samples), 'question')}"
    print(f"{head}\n\n{args.out}: {policy!r}\n\n{told}\n\n{shared.text_table(heads, rows_)}")
    return 0


def _fixed(policy: "Sequential", samples: "Samples") -> tuple[list[float], list[float]] | None:
    """Return spends and accuracies of fixed numbers of samples; None for several models."""
    from tcalloc.measure import Best, Vote

    if len(samples.by_model) != 1:
        return None
    sizes = samples.sizes
    make = Best if next(iter(samples.by_model.values())).answers is None else Vote
    model = next(iter(samples.by_model)) or None
    ks = [k for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64) if k <= int(sizes.min())]
    if not ks:
        return None
    table = samples.table([make(k, model) for k in ks], shrink=False)
    cost = np.broadcast_to(table.cost, table.acc.shape).mean(axis=0)
    return cost.tolist(), table.acc.mean(axis=0).tolist()

"""What every policy decides and reaches, to the bit: to show that a change of the code's layout changed nothing else.

    python -m bench.studies.behaviour before.json                     writes a snapshot (10 minutes on one core)
    python -m bench.studies.behaviour after.json --equals before.json the same, and names all that differs (exit code 1)
    python -m bench.studies.behaviour --table gsm8k out.json          the tables whose name holds that

On every table of the arena in its quick form (150 questions, two spends, three folds): the plan of `solve` and the
frontier, `compare`'s spends, accuracies and intervals, and, for each policy that can be fitted, what it spends and
reaches on every held-out question. Snapshots hold on one machine with one set of libraries.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.arena import Settings, contest
from bench.studies.arena_cases import Entry, entries
from tcalloc import Best, TcallocError, Vote, frontier, solve
from tcalloc.evaluate.recipe import Recipe
from tcalloc.learn.registry import POLICIES
from tcalloc.measure import Samples

# Of a contest, what differs from run to run or names the machine.
VARIES = ("seconds", "machine", "date", "versions")


def digest(values: Any) -> str:
    """Return a fingerprint of an array's bits."""
    array = np.ascontiguousarray(values)
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()[:16]}"


def plans(entry: Entry) -> dict[str, Any]:
    """Return what `solve` and `frontier` say of the table."""
    table = entry.data
    if isinstance(table, Samples):
        kind = Best if entry.verifier else Vote
        table = table.table([kind(k, model=model or None) for model in table.by_model for k in (1, 2, 4)])
    found: dict[str, Any] = {"acc": digest(table.acc), "cost": digest(table.cost)}
    curve = frontier(table.acc, table.cost, available=table.available)
    for budget in entry.budgets:
        try:
            plan = solve(table.acc, table.cost, budget, available=table.available)
        except TcallocError as error:
            found[f"solve {budget}"] = str(error)
            continue
        found[f"solve {budget}"] = [digest(plan.actions), plan.accuracy.hex(), plan.spend.hex(), plan.price.hex()]
        found[f"frontier {budget}"] = float(curve.accuracy_at(budget)).hex()
    return found


def fitted(entry: Entry) -> dict[str, Any]:
    """Return what each policy spends and reaches on every second question, fitted on the others."""
    if not isinstance(entry.data, Samples):
        return {}
    rows = np.arange(entry.questions)
    train, held = rows[::2], rows[1::2]
    found: dict[str, Any] = {}
    for policy in POLICIES:
        if not policy.deployable:
            continue
        try:
            recipe = Recipe.of(
                policy, entry.data, text=entry.x is not None, label=False, budget=entry.budgets[0],
                verifier=entry.verifier,
            )  # fmt: skip
            some = [None if entry.x is None else [entry.x[i] for i in part] for part in (train, held)]
            made = recipe.fit(some[0], entry.data.take(train), budget=entry.budgets[0])
            done = made.replay(some[1], entry.data.take(held), entry.budgets)
        except TcallocError as error:
            found[policy.name] = str(error)
            continue
        found[policy.name] = [digest(done.spend), digest(done.accuracy)]
        if policy.family != "sequential":
            found[policy.name].append(digest(done.claimed))
    return found


def snapshot(entry: Entry) -> dict[str, Any]:
    """Return all that is compared of one table."""
    small = entry.quick()
    compared = {key: value for key, value in contest(entry, Settings(quick=True, folds=3)).items() if key not in VARIES}
    return {"plans": plans(small), "fitted": fitted(small), "compared": compared}


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """Return the places at which two snapshots differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{where}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{where}/{i}")]
    return [] if before == after else [f"{where}: {before} -> {after}"]


def main() -> int:
    """Write a snapshot; compare it with another."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--equals", type=Path, help="a snapshot that this one must be equal to")
    parser.add_argument("--table", default="", help="tables whose name holds this")
    args = parser.parse_args()
    found = {}
    for entry in entries((args.table,)):
        found[entry.name] = snapshot(entry)
        print(entry.name, file=sys.stderr, flush=True)
        args.out.write_text(json.dumps(found, indent=1))
    if args.equals is None:
        return 0
    stored = json.loads(args.equals.read_text())
    changed = differences({name: stored.get(name) for name in found}, json.loads(args.out.read_text()))
    print("\n".join(changed) or f"equal on {len(found)} tables")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())

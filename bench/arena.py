"""Every policy on every recorded table at every spend, held out: what `bench/RESULTS.md` says.

    python -m bench.arena                     all tables; writes bench/RESULTS.md
    python -m bench.arena --keep build/arena  keeps each table's figures, and goes on from there when it is run again
    python -m bench.arena --table gsm8k       the tables whose name holds that, on standard output
    python -m bench.arena --quick             150 questions a table, two spends, three folds, on standard output
    python -m bench.arena --jobs 1            one process instead of two; the figures are the same

Nothing is computed here: `tcalloc.compare` is, with its defaults, on the tables of `studies/arena_cases.py`.
RESULTS.md is only written by a whole run (or with --out), so that it is always one run's.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tcalloc
from bench.studies.arena_cases import FEW_FOLDS, Entry, entries
from bench.studies.arena_words import page
from tcalloc import compare

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
# Figures per spend that are kept of a policy; what stands for single questions or for pictures is not.
KEPT = (
    "accuracy", "spend", "low", "high", "reached", "gain", "gain_low", "gain_high", "p", "captured", "claimed", "refit",
)  # fmt: skip
# The rooms whose code makes the figures, and what of it only shows them.
ROOMS = ("evaluate", "learn", "measure")
SHOWS = ("report", "plots", "conclusions", "printed_table", "caveats")


@dataclass(frozen=True)
class Settings:
    """What the figures depend on besides the table; the number of processes is not among it."""

    quick: bool = False
    policies: tuple[str, ...] | str = "all"
    folds: int = 5
    repeats: int = 1
    seed: int = 0


def contest(entry: Entry, settings: Settings, jobs: int = 1, progress: bool = False) -> dict[str, Any]:
    """Return one table's figures, ready for JSON."""
    if settings.quick:
        entry = entry.quick()
    began = time.perf_counter()
    result = compare(
        entry.data,
        settings.policies if isinstance(settings.policies, str) else list(settings.policies),
        list(entry.budgets),
        X=entry.x,
        difficulty=entry.label,
        verifier=entry.verifier,
        costs_known=entry.costs_known,
        folds=settings.folds,
        repeats=settings.repeats,
        random_state=settings.seed,
        n_jobs=jobs,
        progress=progress,
    )
    return {
        "name": entry.name,
        "about": entry.about,
        "questions": result.questions,
        "folds": result.folds,
        "repeats": result.repeats,
        "seed": result.seed,
        "unit": result.unit,
        "data": result.data,
        "budgets": _plain(result.budgets),
        "reference": result.reference,
        "standings": [
            {"name": one.name, "kind": one.kind, "marks": list(one.marks)}
            | {field: _plain(getattr(one, field)) for field in KEPT}
            for one in result.standings
        ],
        "skipped": dict(result.skipped),
        "remarks": list(result.remarks),
        "versions": dict(result.versions),
        "seconds": time.perf_counter() - began,
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _plain(values: Any) -> list[Any]:
    """Return an array as JSON can hold it: null for what is not finite."""
    listed = np.asarray(values).tolist()
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in listed]


# ---------------------------------------------------------------------------------------------- what is kept


def code() -> str:
    """Return a fingerprint of the code that makes the figures."""
    digest = hashlib.sha256()
    root = Path(tcalloc.__file__).parent
    files = [path for room in ROOMS for path in (root / room).rglob("*.py")] + list(root.glob("*.py*"))
    for path in sorted(files):
        if set(path.relative_to(root).with_suffix("").parts).intersection(SHOWS):
            continue
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def asked(entry: Entry, settings: Settings) -> dict[str, Any]:
    """Return what must be equal for a kept result to count, as it reads back from JSON."""
    form: dict[str, Any] = json.loads(json.dumps(asdict(settings) | {"table": entry.name, "budgets": entry.budgets}))
    return form


def path_of(folder: Path, entry: Entry) -> Path:
    """Return the file of a table's figures."""
    return folder / ("".join(c if c.isalnum() else "_" for c in entry.name) + ".json")


def kept(folder: Path, entry: Entry, settings: Settings, any_code: bool) -> dict[str, Any] | None:
    """Return a table's figures from an earlier run; None if there are none, or of other settings or other code."""
    path = path_of(folder, entry)
    if not path.exists():
        return None
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if document["asked"] != asked(entry, settings) or not (any_code or document["code"] == code()):
        return None
    found: dict[str, Any] = document["result"]
    return found


def keep(folder: Path, entry: Entry, settings: Settings, before: str, result: dict[str, Any]) -> None:
    """Write a table's figures, whole or not at all."""
    path = path_of(folder, entry)
    temporary = path.with_suffix(".tmp")
    document = {"asked": asked(entry, settings), "code": before, "result": result}
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    os.replace(temporary, path)


def machine() -> str:
    """Return what the figures were made on."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


# ---------------------------------------------------------------------------------------------- the command


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--table", default="", help="tables whose name holds one of these, separated by semicolons")
    parser.add_argument("--quick", action="store_true", help="a small version of each table")
    parser.add_argument("--repeats", type=int, default=1, help="times with other folds (1)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--keep", type=Path, help="folder of each table's figures; an interrupted run goes on there")
    parser.add_argument("--any-code", action="store_true", help="take kept figures even if the code has changed since")
    parser.add_argument("--out", type=Path, help=f"where to write the page (a whole run: {RESULTS.name})")
    args = parser.parse_args()
    settings = Settings(quick=args.quick, folds=FEW_FOLDS if args.quick else 5, repeats=args.repeats)
    listed = entries(args.table.split(";"))
    if not listed:
        raise SystemExit(f"no table's name holds {args.table!r}")
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
    results = []
    for number, entry in enumerate(listed, 1):
        found = None if args.keep is None else kept(args.keep, entry, settings, args.any_code)
        again = " (kept)" if found is not None else ""
        if found is None:
            before = code()
            found = contest(entry, settings, args.jobs, progress=True)
            if args.keep is not None:
                keep(args.keep, entry, settings, before, found)
        results.append(found)
        print(f"{number}/{len(listed)} {entry.name}: {found['seconds']:.0f} s{again}", file=sys.stderr, flush=True)
    text = page(results, "python -m bench.arena " + " ".join(_options(args)))
    # Without ../shared/data only the shipped tables are there: that is no whole run either.
    whole = not args.quick and not args.table and any("gsm8k" in entry.name for entry in listed)
    target = args.out or (RESULTS if whole else None)
    if target is None:
        print(text)
    else:
        target.write_text(text, encoding="utf-8")
        print(f"wrote {target}", file=sys.stderr)
    return 0


def _options(args: argparse.Namespace) -> list[str]:
    """Return the options that the figures depend on, and the number of processes, on which the times do."""
    found = [f"--table '{args.table}'"] if args.table else []
    found += ["--quick"] if args.quick else []
    return [*found, *([f"--repeats {args.repeats}"] if args.repeats > 1 else []), f"--jobs {args.jobs}"]


if __name__ == "__main__":
    sys.exit(main())

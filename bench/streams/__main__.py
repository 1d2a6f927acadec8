"""Runs all rules on all streams: ``python -m bench.streams --out DIR``. Tables as Markdown, figures as JSON, and plots.

Nothing is tuned on these streams. `--data DIR` is the folder of the real tables that do not ship; without it there is
only the one that does. `--quick` takes a tenth of each stream.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from bench.streams.plots import draw
from bench.streams.rules import RULES, VARIANTS
from bench.streams.run import hindsight, run
from bench.streams.worlds import STREAMS, N, Stream, real

REAL = ("recorded", "gsm8k_gpt4omini_n40", "mmlupro_28models")


def shortened(stream: Stream, share: float) -> Stream:
    """Return the first requests of a stream, which then is the whole of it."""
    n = max(int(len(stream) * share), min(len(stream), 500))
    times = None if stream.times is None else stream.times[:: len(stream) // n][:n]
    step = slice(None, None, len(stream) // n)
    return replace(
        stream, acc=stream.acc[step][:n], cost=stream.cost[step][:n], bill=stream.bill[step][:n], times=times
    )


def makers(data: Path | None, only: str | None) -> dict[str, Callable[[int], Stream | None]]:
    """Return all streams by name."""
    found: dict[str, Callable[[int], Stream | None]] = dict(STREAMS)
    for name in REAL:
        for order in ("shuffled", "sorted"):
            found[f"{name} {order}"] = lambda seed, name=name, order=order: real(name, N, order, seed, data)
    return {name: make for name, make in found.items() if only is None or only in name}


def rules_for(name: str, wanted: list[str] | None) -> dict[str, Callable]:
    """Return the rules that are run on a stream."""
    extra = {rule: make for rule, (make, where) in VARIANTS.items() if any(part in name for part in where)}
    rules = RULES | extra
    return {rule: make for rule, make in rules.items() if wanted is None or rule.startswith(tuple(wanted))}


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder for streams.json, streams.md and plots")
    parser.add_argument("--data", type=Path, help="the folder of the real tables")
    parser.add_argument("--only", help="only streams whose name contains this")
    parser.add_argument("--rules", nargs="+", help="only rules and variants whose names begin with one of these")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds of each stream (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of each stream")
    args = parser.parse_args()
    logging.getLogger("tcalloc.keeper").setLevel(logging.ERROR)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, make in makers(args.data, args.only).items():
        for seed in range(args.seeds):
            stream = make(seed)
            if stream is None:
                print(f"{name}: no such table in --data")
                continue
            if args.quick:
                stream = shortened(stream, 0.1)
            best = hindsight(stream)
            for rule, build in rules_for(name, args.rules).items():
                began = time.perf_counter()
                outcome = run(build(stream), stream)
                points = 100 * (outcome.accuracy - best)
                seconds = time.perf_counter() - began
                row = {
                    "stream": name,
                    "seed": seed,
                    "rule": rule,
                    "n": len(stream),
                    "hindsight": best,
                    "points": points,
                }
                rows.append(row | asdict(outcome) | {"seconds": seconds})
                print(f"{name:28} {rule:26} {points:+7.2f} {outcome.spend:.4f} {outcome.refused}", flush=True)
            (args.out / "streams.json").write_text(json.dumps(rows))
    (args.out / "streams.md").write_text(table(rows))
    draw(rows, args.out)


def table(rows: list[dict]) -> str:
    """Return the outcomes as a Markdown table: points from the price in hindsight / spend over budget."""
    streams = list(dict.fromkeys(row["stream"] for row in rows))
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    lines = ["| stream | " + " | ".join(rules) + " |", "| --- |" + " --- |" * len(rules)]
    for stream in streams:
        cells = []
        for rule in rules:
            mine = [row for row in rows if row["stream"] == stream and row["rule"] == rule]
            if not mine:
                cells.append("")
                continue
            points = sum(row["points"] for row in mine) / len(mine)
            spend = max((row["spend"] for row in mine), key=lambda share: abs(share - 1.0))
            cells.append(f"{points:+.2f} / {spend:.4f}".replace("-", "−"))
        lines.append(f"| {stream} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

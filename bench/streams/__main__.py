"""Runs all rules on all streams: ``python -m bench.streams --out DIR``. Tables as Markdown, figures as JSON, and plots.

Nothing is tuned on these streams. `--data DIR` is the folder of the real tables that do not ship; without it there is
only the one that does. `--quick` takes a tenth of each stream. Each figure is saved when it is there; the same command
goes on where it was stopped.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from bench.streams.goals import checked
from bench.streams.plots import draw
from bench.streams.rules import RULES, VARIANTS
from bench.streams.run import hindsight, run, under_cap
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
    parser.add_argument("--out", type=Path, required=True, help="a folder for streams.json and streams.md")
    parser.add_argument("--data", type=Path, help="the folder of the real tables")
    parser.add_argument("--stream", help="only streams whose name contains this")
    parser.add_argument("--picture", type=Path, help="where to draw (default: streams.png in that folder)")
    parser.add_argument("--rules", nargs="+", help="only rules and variants whose names begin with one of these")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds of each stream (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of each stream")
    args = parser.parse_args()
    logging.getLogger("tcalloc.keeper").setLevel(logging.ERROR)
    args.out.mkdir(parents=True, exist_ok=True)
    saved = args.out / "streams.json"
    rows: list[dict] = json.loads(saved.read_text()) if saved.exists() else []
    places = []
    for name, make in makers(args.data, args.stream).items():
        for seed in range(args.seeds):
            stream = make(seed)
            if stream is None:
                print(f"{name}: no such table in --data")
                continue
            if args.quick:
                stream = shortened(stream, 0.1)
            place = {"stream": name, "seed": seed, "n": len(stream)}
            places.append(place)
            done = {row["rule"] for row in rows if place.items() <= row.items()}
            best = hindsight(stream)
            for rule, build in rules_for(name, args.rules).items():
                if rule in done:
                    continue
                began = time.process_time()
                outcome = run(build(stream), stream)
                figures = {"points": 100 * (outcome.accuracy - best), "seconds": time.process_time() - began}
                bounds = bounds_of(stream, best) if rule == "keeper" else {}
                rows.append(place | {"rule": rule, "hindsight": best} | asdict(outcome) | figures | bounds)
                saved.write_text(json.dumps(rows))
                print(
                    f"{name:28} {rule:26} {figures['points']:+7.2f} {outcome.spend:.4f} {outcome.refused}", flush=True
                )
    rows = [row for row in rows if any(place.items() <= row.items() for place in places)]
    text = table(rows) + "\n" + goals(rows)
    (args.out / "streams.md").write_text(text)
    draw(rows, args.picture or args.out / "streams.png")
    print(f"\n{text}\n{sum(row['seconds'] for row in rows) / 60:.1f} minutes of CPU time for the rules")


def bounds_of(stream: Stream, best: float) -> dict[str, float]:
    """Return what the best in hindsight reaches under the hard cap, and what it costs there to spend 0.998."""
    found = {}
    for name, spend in (("cap", 0.0), ("cap_998", 0.998)):
        accuracy, spent = under_cap(stream, spend)
        found |= {f"{name}_points": 100 * (accuracy - best), f"{name}_spend": spent}
    return found


def goals(rows: list[dict]) -> str:
    """Return the goals, and what came of them, as a Markdown table."""
    lines = ["| stream | goal | measured | met |", "| --- | --- | --- | --- |"]
    for stream, words, figure, met in checked(rows):
        text = f"{figure:.4f}" if "spends" in words else f"{figure:+.3f}".replace("-", "−")
        lines.append(f"| {stream} | {words} | {text} | {'yes' if met else '**no**'} |")
    return "\n".join(lines) + "\n"


def table(rows: list[dict]) -> str:
    """Return the outcomes as a Markdown table: points from the price in hindsight / spend over budget."""
    streams = list(dict.fromkeys(row["stream"] for row in rows))
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    heads = ["stream", *rules, "bound by the hard cap", "the same at 0.998"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
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
        keeper = next((row for row in rows if row["stream"] == stream and row["rule"] == "keeper"), None)
        if keeper is not None:
            pairs = [(keeper[f"{name}_points"], keeper[f"{name}_spend"]) for name in ("cap", "cap_998")]
            cells += [f"{points:+.2f} / {spend:.4f}".replace("-", "−") for points, spend in pairs]
        lines.append(f"| {stream} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

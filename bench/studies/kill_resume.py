"""kill -9 at random points, many times: the same table as a clean run, and no finished call repeated.

python bench/studies/kill_resume.py --kills 100
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))

from chaos import Chaos
from sample_cli import kill_and_resume, table_of, write_questions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--longest", type=float, default=1.5, help="seconds that a process lives at most")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    options = ["--samples", args.samples, "--concurrency", args.concurrency, "--max-tokens", 50]
    options += ["--price-in", 1, "--price-out", 2]
    with tempfile.TemporaryDirectory() as folder:
        questions = write_questions(Path(folder) / "q.jsonl", args.questions)
        with Chaos(default=f"ok:{args.latency}") as server:
            started = time.perf_counter()
            pauses = [rng.uniform(0.1, args.longest) for _ in range(args.kills)]
            again = kill_and_resume(server, questions, Path(folder) / "killed", *options, pauses=pauses)
            seconds, requests = time.perf_counter() - started, len(server.requests)
        with Chaos() as server:
            kill_and_resume(server, questions, Path(folder) / "clean", *options, pauses=[])
        killed, clean = table_of(Path(folder) / "killed"), table_of(Path(folder) / "clean")
    if killed != clean:
        raise SystemExit("the tables differ")
    print(f"{args.kills} kills in {seconds:.0f} s: the same table of {len(clean):,} samples; {requests:,} requests.")
    print(f"{again:,} were under way when a process was killed ({args.concurrency} at a time).")
    print("No stored sample was asked for again.")


if __name__ == "__main__":
    main()

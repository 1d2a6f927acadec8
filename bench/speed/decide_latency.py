"""One question, text in, action out: the time per stage; and how many questions a second in batches. On one core.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python bench/speed/decide_latency.py

Questions are the 1,318 of GSM8K in ../shared/data (240 characters on average) if they are there, else made up of as
many words. Policies are fitted on them and three made-up actions; what they decide does not matter here, and the
gate is off, so that the model is asked. Each stage is timed by itself and then the whole, after a warm-up. p50 and
p99 over the questions are wall time, which a busy machine lengthens; beside them the same of the thread's own CPU
time, which it hardly does.
"""

import argparse
import gzip
import json
import os
import platform
import random
import time
from pathlib import Path

import numpy as np

from tcalloc import Table, __version__
from tcalloc.learn.features import Features
from tcalloc.learn.features._scan import scan
from tcalloc.learn.features.lexical import of_scan
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.rows import as_row

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k_gpt4omini_n40.questions.jsonl.gz"
COSTS = np.array([1.0, 2.0, 4.0])


def questions():
    if DATA.exists():
        with gzip.open(DATA, "rt", encoding="utf-8") as lines:
            return [json.loads(line)["question"] for line in lines]
    rng = random.Random(0)
    words = [f"word{i}" for i in range(3000)]
    return [" ".join(rng.choices(words, k=46)) + "?" for _ in range(1318)]


def table(texts):
    long = np.array([len(text) for text in texts]) / 500
    acc = np.column_stack([0.95 - 0.5 * long, 0.95 - 0.3 * long, 0.95 - 0.1 * long]).clip(0, 1)
    return Table(acc=acc, cost=COSTS, action_names=("vote1", "vote2", "vote4"))


def each(call, values):
    """Time one call per value; p50 and p99 of wall and CPU time in milliseconds."""
    for value in values[:50]:
        call(value)
    wall, cpu = np.empty(len(values)), np.empty(len(values))
    for i, value in enumerate(values):
        at, ticks = time.perf_counter_ns(), time.thread_time_ns()
        call(value)
        cpu[i], wall[i] = time.thread_time_ns() - ticks, time.perf_counter_ns() - at
    return np.concatenate([np.percentile(wall, [50, 99]), np.percentile(cpu, [50, 99])]) / 1e6


def line(name, figures):
    print(f"{name:<44} {figures[0]:>7.3f} {figures[1]:>7.3f}   {figures[2]:>7.3f} {figures[3]:>7.3f}")


def rate(name, call, batch, repeats):
    """Print questions per second of the best of some repeats: by wall and by CPU time."""
    best, least = np.inf, np.inf
    for _ in range(repeats):
        at, ticks = time.perf_counter(), time.process_time()
        call(batch)
        least = min(least, time.process_time() - ticks)
        best = min(best, time.perf_counter() - at)
    print(f"{name:<44} {len(batch) / best:>12,.0f}    {len(batch) / least:>12,.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    texts = questions()
    known = table(texts)
    rng = random.Random(1)
    asked = rng.sample(texts, 1000)
    default, lexical = Features().fit(texts), Features(text=None).fit(texts)
    hashing = Features(text="hashing").fit(texts)
    policies = {
        "priced ridge, default features": PricedPolicy(budget=2.0, gate=False),
        "priced ridge, lexical features": PricedPolicy(budget=2.0, gate=False, features=Features(text=None)),
        "priced XGBoost, default features": PricedPolicy(budget=2.0, gate=False, regressor="xgboost"),
        "imitator (XGBoost), default features": Imitator(budget=2.0),
    }
    policies = {name: policy.fit(texts, known) for name, policy in policies.items()}
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    print(f"tcalloc {__version__}, {platform.machine()}, OMP_NUM_THREADS {threads}, load {os.getloadavg()[0]:.1f}")
    print(f"{len(texts):,} questions of {np.mean([len(text) for text in texts]):.0f} characters on average\n")
    print(f"{'one question, milliseconds':<44} {'wall p50':>8} {'p99':>6}   {'CPU p50':>8} {'p99':>6}")
    line("check the input", each(as_row, asked))
    line("scan: classes, words, hashes", each(lambda text: scan([text]), asked))
    scans = [scan([text]) for text in asked]
    line("16 lexical counts", each(of_scan, scans))
    line("tf-idf and SVD", each(default.texts_["text"].of_scan, scans))
    line("features, lexical: all of it", each(lexical.transform_one, asked))
    line("features, default: all of it", each(default.transform_one, asked))
    line("features, hashing: all of it", each(hashing.transform_one, asked))
    for name, policy in policies.items():
        line(f"action: {name}", each(lambda text, start=policy.start: start(text).next(), asked))
    batch = [texts[i % len(texts)] for i in range(options.batch)]
    print(f"\n{f'a batch of {len(batch):,}, questions a second':<44} {'by wall time':>12}    {'by CPU time':>12}")
    rate("features, lexical", lexical.transform, batch, options.repeats)
    rate("features, default", default.transform, batch, options.repeats)
    rate("features, hashing", hashing.transform, batch, options.repeats)
    for name, policy in policies.items():
        rate(name, policy.decide, batch, options.repeats)


if __name__ == "__main__":
    main()

"""How late the ticks of an event loop are while its tasks answer questions, and how near those are to the ideal time.

    python bench/studies/event_loop_lag.py            20 tasks of answer_async at 8 requests each, a server of 50 ms
    python bench/studies/event_loop_lag.py --tasks 1 --concurrency 64

A tick sleeps for 5 ms again and again; its lag is what it slept longer. The server is a process of its own, and shares
the machine's cores with it. The ideal time is questions x samples x latency / requests at one time.

On a loaded machine the lag is mostly other processes' time. So the CPU time that this process took during a tick is
measured too: its own work cannot make a tick later than that. ``gc_ms_max`` is the longest run of Python's garbage
collector, which stops all threads.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tcalloc.learn.protocol import Always
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.measure import Vote
from tcalloc.serve.answer import answer_async

TICK = 0.005


async def lags(found):
    """Note how late each tick is, and the CPU time of all threads during it."""
    while True:
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(TICK)
        found.append((time.perf_counter() - started - TICK, time.process_time() - cpu))


def time_collector(found):
    """Note the CPU time of each run of the garbage collector."""
    began = []

    def note(phase, info):
        began.append(time.thread_time())
        if phase == "stop":
            found.append(began[-1] - began[-2])

    gc.callbacks.append(note)


async def measure(url, args):
    """Return the seconds that it took, all lags, and the most CPU time of a tick and of a garbage collection."""
    found, collected = [], [0.0]
    questions = [f"What is {i} + {i}?" for i in range(args.questions)]
    with ChatClient(url, "fake", Parameters(max_tokens=64), key=None) as client:
        time_collector(collected)
        ticking = asyncio.create_task(lags(found))
        started = time.perf_counter()
        works = (
            answer_async(questions, Always(Vote(args.samples)), client, concurrency=args.concurrency)
            for _ in range(args.tasks)
        )
        answers = await asyncio.gather(*works)
        seconds = time.perf_counter() - started
        ticking.cancel()
    if not all(one.complete for one in answers):
        raise SystemExit(f"incomplete: {answers[0]}")
    return seconds, sorted(late for late, _ in found), max(cpu for _, cpu in found), max(collected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=8)
    args = parser.parse_args()
    fake = str(Path(__file__).with_name("sampling_throughput.py"))
    command = [sys.executable, fake, "--serve", "--latency", str(args.latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            before = time.process_time()
            seconds, found, busiest, collected = asyncio.run(measure(url, args))
            cpu = time.process_time() - before
        finally:
            server.kill()
    samples = args.tasks * args.questions * args.samples
    ideal = samples * args.latency / (args.tasks * args.concurrency)
    print(
        json.dumps(
            {
                "samples": samples,
                "seconds": round(seconds, 2),
                "ratio": round(seconds / ideal, 3),
                "cpu_ms_per_sample": round(1e3 * cpu / samples, 3),
                "lag_ms_median": round(1e3 * found[len(found) // 2], 1),
                "lag_ms_99": round(1e3 * found[int(0.99 * len(found))], 1),
                "lag_ms_max": round(1e3 * found[-1], 1),
                "tick_cpu_ms_max": round(1e3 * busiest, 1),
                "gc_ms_max": round(1e3 * collected, 1),
                "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
                "load": os.getloadavg()[0],
            }
        )
    )


if __name__ == "__main__":
    main()

"""What the gateway adds to a request, beside bare pass-throughs and the proxy of LiteLLM, in one run.

    python -m bench.studies.gateway_latency
    python -m bench.studies.gateway_latency --litellm VENV/bin/litellm --starlette VENV/bin/python
    python -m bench.studies.gateway_latency --before ../other/src          # beside the gateway of another checkout

One client sends one request at a time. All go to the same fake server, which answers at once: directly, or through a
server in a process of its own. In each round every way gets so many requests, in an order drawn anew. "Added" is the
time of a request minus the median of the direct ones in the same round. The p50 is the median over the rounds of each
round's median; the p99 is that of all rounds together. Both have a 95 % interval by resampling the rounds. CPU time is
what the process between takes for a request: other work on the machine lengthens it far less than the times.

A vote of four asks four times, so it adds more than one request. What reads the text is the policy `priced`, fitted
on the recorded questions that ship; its gate is off, so that its model is asked. `Sequential` is fitted there too, and
draws until the fake server's equal answers convince it.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.gateway.processes import Process, bare, fake, gateway, litellm
from tcalloc.datasets import load_recorded
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.sequential import Sequential
from tcalloc.measure import Samples

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?"
)
BODY = json.dumps({"model": "fake", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 64}).encode()
DIRECT = "direct"


def policies(folder: Path) -> dict[str, str]:
    """Return the policies that are served, by name: actions, or folders of fitted policies."""
    recorded = load_recorded()
    texts = [str(one["question"]) for one in recorded.questions]
    samples = Samples(recorded.answers["smollm2_135m"])
    priced = PricedPolicy(budget=2.0, gate=False).fit(texts, samples)
    stopping = Sequential(budget=3.0).fit(None, samples)
    found = {"one": "one", "vote4": "vote4"}
    for name, policy in (("priced, by text", priced), ("Sequential", stopping)):
        found[name] = str(folder / name.partition(",")[0])
        policy.save(found[name])
    return found


class Client:
    """Sends the same request again and again over one connection."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self) -> float:
        """Return how many milliseconds a request takes."""
        started = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        data = reply.read()
        took = time.perf_counter() - started
        if reply.status != 200 or b"42" not in data:
            raise SystemExit(f"status {reply.status}: {data[:300]!r}")
        return 1e3 * took


def measure(ways: dict[str, Process], rounds: int, requests: int, seed: int) -> tuple[dict, dict]:
    """Return milliseconds of all requests, (rounds, requests) per way: their time, and CPU time of the server."""
    clients = {name: Client(way.port) for name, way in ways.items()}
    for client in clients.values():
        for _ in range(requests):
            client.ask()
    times, cpu = ({name: np.empty((rounds, requests)) for name in ways} for _ in range(2))
    order, rng = list(ways), random.Random(seed)
    for i in range(rounds):
        rng.shuffle(order)
        for name in order:
            before = ways[name].cpu()
            for j in range(requests):
                times[name][i, j] = clients[name].ask()
                after = ways[name].cpu()
                cpu[name][i, j], before = after - before, after
    return times, cpu


def table(times: dict, cpu: dict, seed: int) -> str:
    """Return the figures as Markdown."""
    rng = np.random.default_rng(seed)
    rounds = len(times[DIRECT])
    drawn = rng.integers(0, rounds, (1000, rounds))
    base = np.median(times[DIRECT], axis=1, keepdims=True)
    lines = [
        "| way | p50, added ms | p99, added ms | CPU p50, ms | CPU p99, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in times.items():
        added = found - base
        middle = np.median(added, axis=1)
        many = np.median(middle[drawn], axis=1)
        tails = [np.percentile(added[one], 99) for one in drawn]
        cells = [_cell(np.median(middle), many), _cell(np.percentile(added, 99), tails)]
        cells += [f"{value:.2f}" for value in np.percentile(cpu[name], [50, 99])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(value: float, resampled) -> str:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=50, help="of each way in a round (50)")
    parser.add_argument("--only", nargs="+", help="only gateways with these policies")
    parser.add_argument("--before", metavar="SRC", help="the folder src of another checkout, run beside this one")
    parser.add_argument("--litellm", metavar="PROGRAM", help="the command litellm, from an environment of its own")
    parser.add_argument("--starlette", metavar="PYTHON", help="an interpreter with Starlette, uvicorn and aiohttp")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(fake())
        ways = {DIRECT: server, "aiohttp, bare": stack.enter_context(bare("aiohttp", server.url))}
        if args.starlette:
            ways["Starlette, bare"] = stack.enter_context(bare("starlette", server.url, args.starlette))
        for name, policy in policies(Path(folder)).items():
            if args.only is None or name in args.only:
                ways[f"gateway: {name}"] = stack.enter_context(gateway(server.url, policy))
                if args.before:
                    before = gateway(server.url, policy, source=args.before)
                    ways[f"before: {name}"] = stack.enter_context(before)
        if args.litellm:
            ways["LiteLLM's proxy"] = stack.enter_context(litellm(server.url, args.litellm, Path(folder)))
        times, cpu = measure(ways, args.rounds, args.requests, args.seed)
    print(table(times, cpu, args.seed))
    print(
        f"\n{args.rounds} rounds of {args.requests} requests; a direct request takes "
        f"{np.median(times[DIRECT]):.2f} ms; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    )


if __name__ == "__main__":
    main()

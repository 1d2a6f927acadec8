"""A crowd of requests through the gateway, every fifth of them upstream with a fault: ``python -m bench.gateway.soak``.

    python -m bench.gateway.soak                       200 requests at a time for a minute
    python -m bench.gateway.soak --seconds 600         longer

``tcalloc serve`` is a process of its own, with a vote of three and a budget. The server behind it is that of the tests
(`tests/helpers/chaos.py`). Three things must hold:

- Each request for which the server gave a whole answer gets one of these answers.
- The budget's spending is what the server's own books say: the usage of each whole answer, nothing for what it refused,
  and the most that a request can cost where the reply was lost on the way, since it may have been billed.
- Memory is flat: the gateway is not larger in the last third of the time than in the third before.

Two kinds of the fault matrix are left out: replies without usage, whose cost can only be estimated, and those that
repeat the reply to another request that is still open, which nobody can tell from its own.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from bench.gateway.processes import Process, gateway
from tcalloc import Rates

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))

from chaos import Chaos, answer_text

MAX_TOKENS = 50
PRICES = (1.0, 2.0)
RATES = Rates.per_million(*PRICES)
OPTIONS = (
    "--total", "5", "--unit", "usd", "--price-in", str(PRICES[0]), "--price-out", str(PRICES[1]), "--max-tokens",
    str(MAX_TOKENS),
)  # fmt: skip
# What the server does, and what it then books: a whole answer, nothing, or a reply that is lost on its way.
ANSWERED = ("ok", "slow:0.2", "chunked", "twice", "length")
REFUSED = ("429:0", "status:500", "status:503", "loading", "error-200:500")
LOST = ("reset", "close", "cut", "cut-chunked", "truncated-json", "html", "no-choices", "stall:0.2", "huge")
FAULTS = (*REFUSED, *LOST, *ANSWERED[1:])
# Every so many requests have a fault.
EVERY = 5


class Books:
    """What the server did, and what it may bill. Threads share it.

    Parameters
    ----------
    latency : float
        Seconds until it answers.
    """

    def __init__(self, latency: float):
        self._latency, self._guard, self._count = latency, threading.Lock(), itertools.count()
        self.kinds: Counter[str] = Counter()
        self.answers: dict[str, set[str]] = {}
        """The texts of the whole answers to each question."""
        self.bill = 0.0

    def act(self, handler: Any, body: dict[str, Any]) -> None:
        """Do what is next in turn; `Chaos` calls it for each request."""
        with self._guard:
            i = next(self._count)
            kind = FAULTS[i // EVERY % len(FAULTS)] if i % EVERY == 0 else "ok"
            self.kinds[kind] += 1
            question, n = body["messages"][-1]["content"], body.get("n", 1)
            texts = [answer_text(question, body.get("seed"), j) for j in range(n)]
            if kind in ANSWERED:
                self.answers.setdefault(question, set()).update(texts)
                self.bill += RATES.request_cost(20) + sum(RATES.answer_cost(len(text.split()) + 1) for text in texts)
            elif kind in LOST:
                self.bill += RATES.most(int(handler.headers["Content-Length"]), n, MAX_TOKENS)
        if self._latency:
            time.sleep(self._latency)
        name, _, argument = kind.partition(":")
        getattr(handler, "fault_" + name.replace("-", "_"))(body, argument)


@dataclass
class Crowd:
    """What the clients got."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Questions that the server answered and that got nothing, or another answer."""
    got: dict[str, str | None] = field(default_factory=dict)

    def check(self, books: Books) -> None:
        """Compare what they got with what the server gave."""
        self.lost = [
            question
            for question, text in self.got.items()
            if (given := books.answers.get(question)) and text not in given
        ]


async def crowd(url: str, at_once: int, more: Callable[[int], bool], first: int = 0) -> Crowd:
    """Send requests, so many at a time, as long as `more` says of the next one's number; the first one has `first`."""
    found, numbers = Crowd(), itertools.count(first)

    async def work(session: aiohttp.ClientSession) -> None:
        while more(i := next(numbers)):
            question = f"{i}+{i % 97}"
            body: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": question}]}
            # Votes, votes as a stream, plain samples, and two choices at once.
            headers = {"x-tcalloc-extract": "none"} if i % 4 == 2 else {}
            body |= {"stream": True} if i % 4 == 1 else {"n": 2} if i % 4 == 3 else {}
            async with session.post(f"{url}/chat/completions", json=body, headers=headers) as reply:
                data = await reply.read()
            found.statuses[reply.status] += 1
            found.got[question] = _text(data, "stream" in body) if reply.status == 200 else None

    unlimited = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=unlimited, timeout=aiohttp.ClientTimeout(total=120)) as session:
        await asyncio.gather(*(work(session) for _ in range(at_once)))
    return found


def _text(data: bytes, streamed: bool) -> str | None:
    """Return the text of a reply."""
    if not streamed:
        return str(json.loads(data)["choices"][0]["message"]["content"])
    events = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
    if not events or events[-1] != "[DONE]":
        return None
    deltas = [json.loads(event)["choices"] for event in events[:-1]]
    return "".join(choices[0]["delta"].get("content") or "" for choices in deltas if choices)


async def counted(url: str) -> dict[str, float]:
    """Return the numbers on the page of a gateway's metrics."""
    root = url.removesuffix("/v1")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def problems(books: Books, found: Crowd, metrics: dict[str, float]) -> list[str]:
    """Return what must not be, in words."""
    said = []
    if found.lost:
        said.append(f"{len(found.lost)} answers of the server did not come through, such as that to {found.lost[0]}.")
    if abs(metrics["tcalloc_budget_spent"] - books.bill) > 1e-9 * max(books.bill, 1.0):
        said.append(f"{metrics['tcalloc_budget_spent']:.9g} is booked, {books.bill:.9g} is billed.")
    if metrics["tcalloc_budget_reserved"] or metrics["tcalloc_requests_open"]:
        said.append("requests are still open.")
    if set(found.statuses) - {200, 429, 500, 502, 503}:
        said.append(f"there were other statuses: {dict(found.statuses)}.")
    return said


async def _beside(work: Awaitable[Crowd], process: Process, sizes: list[tuple[float, float]]) -> Crowd:
    """Note the memory of a process, again and again, while something is done."""

    async def note() -> None:
        while True:
            sizes.append((time.monotonic(), process.resident()))
            await asyncio.sleep(0.25)

    noting = asyncio.create_task(note())
    try:
        return await work
    finally:
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await noting


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.05, help="of the server, in seconds (0.05)")
    parser.add_argument("--growth", type=float, default=3.0, help="megabytes that memory may grow by (3)")
    args = parser.parse_args()
    books, sizes = Books(args.latency), list[tuple[float, float]]()
    with Chaos(default=books.act) as server, gateway(server.url, "vote3", *OPTIONS) as process:
        started, cpu = time.monotonic(), process.cpu()
        ends = started + args.seconds
        work = crowd(process.url, args.at_once, lambda i: time.monotonic() < ends)
        found = asyncio.run(_beside(work, process, sizes))
        seconds, cpu = time.monotonic() - started, process.cpu() - cpu
        metrics = asyncio.run(counted(process.url))
    found.check(books)
    thirds = [
        [size for at, size in sizes if part * args.seconds / 3 <= at - started < (part + 1) * args.seconds / 3]
        for part in range(3)
    ]
    middle, last = float(np.median(thirds[1])), float(np.median(thirds[2]))
    requests = sum(found.statuses.values())
    figures = {
        "requests": requests,
        "seconds": round(seconds, 1),
        "statuses": dict(sorted(found.statuses.items())),
        "requests upstream": sum(books.kinds.values()),
        "with a fault": round(1 - books.kinds["ok"] / sum(books.kinds.values()), 3),
        "answers lost": len(found.lost),
        "booked": metrics["tcalloc_budget_spent"],
        "billed": round(books.bill, 12),
        "memory, MB": [round(float(np.median(third)), 1) for third in thirds],
        "CPU ms per request": round(cpu / requests, 2),
    }
    print(json.dumps(figures, indent=1))
    said = problems(books, found, metrics)
    if last - middle > args.growth:
        said.append(f"memory grew from {middle:.1f} to {last:.1f} MB.")
    if said:
        raise SystemExit("\n".join(said))


if __name__ == "__main__":
    main()

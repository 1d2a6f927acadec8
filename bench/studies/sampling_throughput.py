"""Sampling against a fake server on the loopback: how near to the ideal time, and how much memory.

    python bench/studies/sampling_throughput.py                      1,000 questions × 16 samples, 50 ms, 64 at a time
    python bench/studies/sampling_throughput.py --questions 4000     memory must not grow with it

The server is a process of its own (asyncio, answers after the latency). The ideal time is samples × latency /
concurrency; both processes and everything else on the machine share its cores.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Fake(asyncio.Protocol):
    """Answers every request after the latency; just enough of HTTP."""

    number = 0

    def __init__(self, latency):
        self.latency, self.data = latency, b""

    def connection_made(self, transport):
        """Keep it."""
        self.transport = transport

    def data_received(self, data):
        """Answer a whole request."""
        self.data += data
        head, gap, body = self.data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)  # none: a proxy asks what there is
        if not gap or len(body) < (int(length[1]) if length else 0):
            return
        self.data = b""
        Fake.number += 1
        reply = (
            b'{"id":"chatcmpl-%d","object":"chat.completion","created":1,"model":"fake","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",'
            b'"content":"Let us add the numbers one by one. The answer is 42."}}],'
            b'"usage":{"prompt_tokens":20,"completion_tokens":14,"total_tokens":34}}' % Fake.number
        )
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply)
        asyncio.get_running_loop().call_later(self.latency, self.transport.write, head + reply)


async def serve(latency):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Fake(latency), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def measure(args):
    from tcalloc import Rates
    from tcalloc.llm.client import ChatClient, Parameters
    from tcalloc.llm.graders import make_grader
    from tcalloc.llm.questions import Question
    from tcalloc.llm.sampler import sample

    command = [sys.executable, __file__, "--serve", "--latency", str(args.latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())
            questions = [
                Question(
                    str(i), ({"role": "user", "content": f"What is {i} + {i}?"},), f"What is {i} + {i}?", str(2 * i)
                )
                for i in range(args.questions)
            ]
            client = ChatClient(
                f"http://127.0.0.1:{port}/v1", "fake", Parameters(max_tokens=64), rates=Rates.per_million(1, 2)
            )
            with tempfile.TemporaryDirectory() as folder, client:
                before = resource.getrusage(resource.RUSAGE_SELF)
                started = time.perf_counter()
                outcome = sample(
                    questions,
                    client,
                    make_grader("numeric"),
                    args.samples,
                    out=folder + "/run",
                    concurrency=args.concurrency,
                )
                seconds = time.perf_counter() - started
                after = resource.getrusage(resource.RUSAGE_SELF)
        finally:
            server.kill()
    if outcome.drawn != args.questions * args.samples:
        raise SystemExit(f"incomplete: {outcome}")
    ideal = outcome.drawn * args.latency / args.concurrency
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps(
            {
                "samples": outcome.drawn,
                "seconds": round(seconds, 2),
                "ideal": round(ideal, 2),
                "ratio": round(seconds / ideal, 3),
                "cpu_ms_per_sample": round(1e3 * cpu / outcome.drawn, 3),
                "peak_mb_before": round(before.ru_maxrss / 1e3, 1),
                "peak_mb": round(after.ru_maxrss / 1e3, 1),
                "load": os.getloadavg()[0],
            }
        )
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    asyncio.run(serve(args.latency)) if args.serve else measure(args)


if __name__ == "__main__":
    main()

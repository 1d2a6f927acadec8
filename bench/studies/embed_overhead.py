"""What a wrapped client adds to a request, beside the plain client, in each stack that is installed.

    python bench/studies/embed_overhead.py                 200 rounds, a server that answers at once
    python bench/studies/embed_overhead.py --latency 0.5   what a vote adds where a sample takes half a second

Each round asks the plain client, the wrapped one for one sample, and the wrapped one for a vote of five, one after the
other. So whatever else the machine does falls on all three alike. The server is a process of its own. Milliseconds are
medians; CPU is that of this process.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import openai

import tcalloc

KINDS = ("plain", "one sample", "vote of 5")
QUESTION = "What is 17 + 25?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def clients(kind, url):
    """Return a blocking and an asynchronous client."""
    plain = [sdk(base_url=url, api_key="none") for sdk in (openai.OpenAI, openai.AsyncOpenAI)]
    if kind == "plain":
        return plain
    policy = "one" if kind == "one sample" else "vote5"
    keeper = tcalloc.BudgetKeeper(total=1e6, unit="usd", period="30d")
    prices = {"rates": tcalloc.Rates.per_million(0.15, 0.6), "max_tokens": 64}
    return [tcalloc.wrap(one, policy, keeper, **prices) for one in plain]


def blocking(sync, later):
    """Return one call of the blocking client."""
    return lambda: sync.chat.completions.create(model="fake", messages=MESSAGES)


def awaiting(sync, later):
    """Return one call of the asynchronous client."""
    return lambda: later.chat.completions.create(model="fake", messages=MESSAGES)


def pydantic_ai(sync, later):
    """Return one run of an agent of PydanticAI."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=later)))
    return lambda: agent.run(QUESTION)


def langchain(sync, later):
    """Return one run of an agent of LangChain."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="fake", root_client=sync, client=sync.chat.completions, api_key="none")
    agent = create_agent(model, tools=[])
    return lambda: agent.invoke({"messages": MESSAGES})


def dspy(sync, later):
    """Return one call of a model of DSPy."""
    from tcalloc.serve.wrapping.dspy_model import dspy_model

    model = dspy_model(sync, "fake", cache=False)
    return lambda: model(QUESTION)


STACKS = {
    "openai, blocking": ("openai", blocking), "openai, asynchronous": ("openai", awaiting),
    "PydanticAI": ("pydantic-ai-slim", pydantic_ai), "LangChain": ("langchain", langchain), "DSPy": ("dspy", dspy),
}  # fmt: skip


async def measured(calls, rounds):
    """Return the times and the CPU times of each kind, in seconds."""
    found = {kind: ([], []) for kind in KINDS}
    for i in range(rounds + 10):
        for kind in KINDS:
            started, cpu = time.perf_counter(), time.process_time()
            answer = calls[kind]()
            if asyncio.iscoroutine(answer):
                await answer
            if i >= 10:  # connections are there, and code is warm
                found[kind][0].append(time.perf_counter() - started)
                found[kind][1].append(time.process_time() - cpu)
    return found


async def table(url, rounds):
    """Print a row for each stack."""
    print(f"| stack | {' | '.join(f'{kind}, ms (CPU)' for kind in KINDS)} |\n| --- | --- | --- | --- |")
    for stack, (package, make) in STACKS.items():
        try:
            name = f"{stack} {version(package)}"
        except PackageNotFoundError:
            print(f"| {stack} | not installed | | |")
            continue
        asked = {kind: clients(kind, url) for kind in KINDS}
        found = await measured({kind: make(*both) for kind, both in asked.items()}, rounds)
        cells = [f"{1e3 * statistics.median(a):.1f} ({1e3 * statistics.mean(b):.1f})" for a, b in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        for sync, later in asked.values():
            sync.close()
            await later.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that the server takes for a sample")
    args = parser.parse_args()
    fake = str(Path(__file__).with_name("sampling_throughput.py"))
    command = [sys.executable, fake, "--serve", "--latency", str(args.latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            asyncio.run(table(f"http://127.0.0.1:{int(server.stdout.readline())}/v1", args.rounds))
        finally:
            server.kill()
    print(f"(Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.)")


if __name__ == "__main__":
    main()

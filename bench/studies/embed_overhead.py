"""What tcalloc adds to a request in each stack that is installed, beside the stack without it.

    python bench/studies/embed_overhead.py                 200 rounds, a server that answers at once
    python bench/studies/embed_overhead.py --latency 0.5   what a vote adds where a sample takes half a second

Each round asks without tcalloc, with it for one sample, and with it for a vote of five, one after the other. So
whatever else the machine does falls on all of them alike. The server is a process of its own, and so is optillm.
Milliseconds are medians; CPU is that of this process. The last lines are of lm-evaluation-harness, where nothing runs
in a request's path: what reading its results takes for each 1,000 samples.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import tcalloc

ROOT = Path(__file__).parents[2]

KINDS = ("plain", "one sample", "vote of 5")
QUESTION = "What is 17 + 25?"
MESSAGES = [{"role": "user", "content": QUESTION}]


RATES = tcalloc.Rates.per_million(0.15, 0.6)


class Asking:
    """One kind of request in a stack; `open` holds what is closed at the end."""

    def __init__(self, kind, url, open):
        self.kind, self.url, self.open = kind, url, open
        self.policy = {"plain": None, "one sample": "one"}.get(kind, "vote5")

    def keeper(self, **options):
        """Return a budget that is not spent."""
        return tcalloc.BudgetKeeper(total=1e6, unit="usd", period="30d", **options)

    def client(self, later=False):
        """Return a client of OpenAI's SDK: a plain one, or a wrapped one."""
        import openai

        plain = (openai.AsyncOpenAI if later else openai.OpenAI)(base_url=self.url, api_key="none")
        if self.policy is None:
            return plain
        return tcalloc.wrap(plain, self.policy, self.keeper(), rates=RATES, max_tokens=64)


def blocking(asking):
    """Return one call of the blocking client."""
    client = asking.open.enter_context(asking.client())
    return lambda: client.chat.completions.create(model="fake", messages=MESSAGES)


def awaiting(asking):
    """Return one call of the asynchronous client."""
    client = asking.client(later=True)
    asking.open.push_async_callback(client.close)
    return lambda: client.chat.completions.create(model="fake", messages=MESSAGES)


def pydantic_ai(asking):
    """Return one run of an agent of PydanticAI."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = asking.client(later=True)
    asking.open.push_async_callback(client.close)
    agent = Agent(OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client)))
    return lambda: agent.run(QUESTION)


def langchain(asking):
    """Return one run of an agent of LangChain, with middleware."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    from tcalloc.serve.wrapping.langchain_middleware import langchain_middleware

    added = []
    if asking.policy is not None:
        added = [langchain_middleware(asking.policy, asking.keeper(), rates=RATES, max_tokens=64)]
    model = ChatOpenAI(model="fake", base_url=asking.url, api_key="none")
    agent = create_agent(model, tools=[], middleware=added)
    return lambda: agent.invoke({"messages": MESSAGES})


def langchain_client(asking):
    """Return one run of an agent of LangChain, whose model has wrapped clients."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    client = asking.open.enter_context(asking.client())
    model = ChatOpenAI(model="fake", root_client=client, client=client.chat.completions, api_key="none")
    agent = create_agent(model, tools=[])
    return lambda: agent.invoke({"messages": MESSAGES})


def dspy(asking):
    """Return one call of a model of DSPy."""
    from tcalloc.serve.wrapping.dspy_model import dspy_model

    model = dspy_model(asking.open.enter_context(asking.client()), "fake", cache=False)
    return lambda: model(QUESTION)


def optillm(asking):
    """Return one request to optillm's server; plain: without an approach."""
    code = (
        (ROOT / "examples" / "optillm_plugin.py").read_text(encoding="utf-8").replace('"vote5"', f'"{asking.policy}"')
    )
    folder = Path(asking.open.enter_context(TemporaryDirectory()))
    (folder / "optillm" / "plugins").mkdir(parents=True)
    if asking.policy is not None:
        (folder / "optillm" / "plugins" / "tcalloc_plugin.py").write_text(code, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("optillm"), "--port", str(port), "--base-url", asking.url]
    output, key = asking.open.enter_context((folder / "log").open("w")), os.environ | {"OPENAI_API_KEY": "none"}
    process = asking.open.enter_context(subprocess.Popen(command, env=key, cwd=folder, stdout=output, stderr=output))
    asking.open.callback(process.terminate)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    import openai

    there = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    client = asking.open.enter_context(there)
    model = "none-fake" if asking.policy is None else "tcalloc-fake"
    return lambda: client.chat.completions.create(model=model, messages=MESSAGES)


def its_hub(asking, plain=1):
    """Return one vote of its_hub; plain: with a budget number that stands in the code."""
    import numpy as np
    from its_hub import OpenAICompatibleLanguageModel, SelfConsistency

    from tcalloc import PricedPolicy, Samples, Vote

    model = OpenAICompatibleLanguageModel(asking.url, "none", "fake", max_completion_tokens=64)
    asking.open.push_async_callback(model.close)
    vote = SelfConsistency(lambda text: text.rsplit(" ", 1)[-1])
    if asking.policy is None:
        return lambda: vote.ainfer(model, QUESTION, budget=plain)
    # Of a long question a vote of five knows more than one sample, of a short one less.
    long, answers = np.arange(60) % 2 == 1, np.zeros((60, 10), int)
    answers[long, ::3], answers[~long, :6] = 1, 1
    texts = [f"Please add these numbers for me: {i}" if long[i] else f"{i}+{i}" for i in range(60)]
    table = Samples(answers, cost=np.full((60, 10), 1e-4)).table([Vote(1), Vote(5)])
    policy = PricedPolicy(budget=3e-4).fit(texts, table)
    keeper = asking.keeper(rates=RATES, max_tokens=64)
    question, samples = (texts[0], 1) if asking.policy == "one" else (texts[1], 5)

    async def ask():
        with keeper.grant(policy, question) as grant:
            assert grant.run.next().n == samples
            result = await vote.ainfer(model, question, budget=samples, return_response_only=False)
            used = result.usage
            grant.settle(RATES.of(input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens))

    return ask


def its_hub_five(asking):
    """Return one vote of its_hub; plain: of five."""
    return its_hub(asking, plain=5)


STACKS = {
    "openai, blocking": ("openai", blocking), "openai, asynchronous": ("openai", awaiting),
    "PydanticAI": ("pydantic-ai-slim", pydantic_ai), "LangChain, middleware": ("langchain", langchain),
    "LangChain, wrapped client": ("langchain", langchain_client), "DSPy": ("dspy", dspy),
    "optillm": ("optillm", optillm), "its_hub, plain: budget=1": ("its_hub", its_hub),
    "its_hub, plain: budget=5": ("its_hub", its_hub_five),
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
        async with AsyncExitStack() as open:
            found = await measured({kind: make(Asking(kind, url, open)) for kind in KINDS}, rounds)
        cells = [f"{1e3 * statistics.median(a):.1f} ({1e3 * statistics.mean(b):.1f})" for a, b in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def read_results(questions, repeats=4, times=5):
    """Print what reading a results folder of lm-evaluation-harness takes: the recorded lines, as often as is asked."""
    (recorded,) = (ROOT / "tests" / "importing" / "recorded_lm_eval").glob("*/samples_*.jsonl")
    lines = [json.loads(line) for line in recorded.read_text(encoding="utf-8").splitlines()]
    for grader in (None, "numeric"):
        with TemporaryDirectory() as folder:
            path = Path(folder, recorded.parent.name, recorded.name)
            path.parent.mkdir()
            made = [lines[i % len(lines)] | {"doc_id": i} for i in range(questions)]
            path.write_text("".join(json.dumps(line) + "\n" for line in made), encoding="utf-8")
            taken = []
            for _ in range(times):
                started, cpu = time.perf_counter(), time.process_time()
                samples = tcalloc.from_lm_eval(folder, grader=grader)
                taken.append((time.perf_counter() - started, time.process_time() - cpu))
        assert samples.answers.shape == (questions, repeats)
        thousands = questions * repeats / 1000
        seconds, cpu = (1e3 * statistics.median(one) / thousands for one in zip(*taken, strict=True))
        graded = "as the harness graded them" if grader is None else "graded anew"
        print(
            f"lm-evaluation-harness, {questions:,} questions, {graded}: {seconds:.0f} ms per 1,000 samples ({cpu:.0f})"
        )


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
    for questions in (250, 2500):
        read_results(questions)
    print(f"(Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.)")


if __name__ == "__main__":
    main()

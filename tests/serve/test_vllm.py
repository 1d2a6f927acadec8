"""vLLM itself, on CPUs: what docs/embed.md says of it, and a crowd whose spend is what vLLM counted.

It runs in .ci/nightly, in an environment of its own.
"""

import asyncio
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
from gateway_client import send
from inspect_tasks import need
from places import ENVIRONMENT
from vllm_server import MODEL, vllm_server

from tcalloc import BudgetKeeper, Rates, wrap
from tcalloc.llm.local import _weights

need("vllm", "transformers", "gguf", "accelerate", "openai", "aiohttp")
pytestmark = pytest.mark.slow
CROWD, SAMPLES = 50, 2
BLOCK = 128  # tokens that vLLM's cache keeps together on CPUs; 16 on GPUs
ASKED = "Here is a list of {}: " + ", ".join(f"number {i}" for i in range(80)) + ". Which one is the last?"


@pytest.fixture(scope="module")
def vllm(tmp_path_factory):
    gguf = _weights.find(_weights.SMOLLM2, print)
    folder = tmp_path_factory.mktemp("vllm")
    with vllm_server(gguf, folder, "--enable-prompt-tokens-details", "--reasoning-parser", "deepseek_r1") as running:
        yield running


@contextmanager
def gateway(vllm, *options):
    command = [sys.executable, "-m", "tcalloc", "serve", "--upstream", vllm.url, "--port", "0", *options]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+/v1)\n", line)
        assert found, line + process.stderr.read()
        yield found[1]
    finally:
        process.kill()
        process.communicate()


def asked(url, content, **fields):
    body = {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 4} | fields
    got = send(url, "POST", "/v1/chat/completions", body, timeout=300)
    assert got.status == 200, got.data
    return got


@pytest.mark.parametrize("at_once", [1, 8])
def test_what_a_long_prompt_counts_and_computes(vllm, at_once):
    """By one request of 8 it counts once in the usage, and its whole blocks are computed once."""
    with gateway(vllm, "--policy", "vote8", "--n-per-request", str(at_once)) as url, vllm.counting() as counted:
        usage = asked(url, ASKED.format(f"things, {at_once} at once")).json["usage"]
    prompt = usage["prompt_tokens"] * at_once // 8
    assert prompt > 2 * BLOCK
    rest = prompt % BLOCK
    assert counted["choices"] == 8
    assert counted["prompt"] == 8 * prompt
    assert usage["completion_tokens"] == counted["output"]
    if at_once == 8:
        assert counted["computed"] == prompt + 7 * rest
    else:  # samples that are sent at the same time may be computed before any of them is kept
        assert prompt + 7 * rest <= counted["computed"]


def test_cached_tokens_of_many_choices_are_those_of_one(vllm):
    """The first choice found nothing in the cache, and yet the usage says that nearly all was cached."""
    with vllm.counting() as counted:
        usage = asked(vllm.url, ASKED.format("choices"), n=8).json["usage"]
    whole_blocks = usage["prompt_tokens"] // BLOCK * BLOCK
    assert usage["prompt_tokens_details"]["cached_tokens"] == whole_blocks
    assert counted["cached"] == 7 * whole_blocks
    single = asked(vllm.url, ASKED.format("single"), n=1).json["usage"]
    assert single["prompt_tokens_details"]["cached_tokens"] == 0


def test_a_bound_on_reasoning_passes_the_gateway(vllm):
    fields = {"ignore_eos": True, "max_tokens": 24, "logprobs": True, "n": 3}
    with gateway(vllm, "--policy", "one", "--n-per-request", "3") as url:
        free = asked(url, "Say hello.", **fields).json
        bound = asked(url, "Say hello.", thinking_token_budget=8, **fields).json
    for document, place in ((free, None), (bound, 8)):
        assert len(document["choices"]) == 3
        assert document["usage"]["completion_tokens"] == 3 * 24  # reasoning is output
        for choice in document["choices"]:
            tokens = [entry["token"] for entry in choice["logprobs"]["content"]]
            assert len(tokens) == 24
            assert all(entry["logprob"] <= 0 for entry in choice["logprobs"]["content"])
            if place is not None:
                assert tokens[place] == "</think>"
    assert all(choice["message"]["content"] for choice in bound["choices"])


def test_the_spend_of_a_crowd_is_what_vllm_counted(vllm):
    """Fifty requests at a time by a wrapped client: the keeper's spend is the price of vLLM's own counts."""
    from openai import AsyncOpenAI

    keeper = BudgetKeeper(total=10.0, unit="usd")
    rates = Rates.per_million(1.0, 2.0, cached_input=0.25)

    async def crowd():
        async with AsyncOpenAI(base_url=vllm.url, api_key="none", max_retries=0, timeout=300) as plain:
            client = wrap(plain, f"vote{SAMPLES}", keeper, rates=rates, max_tokens=8)
            asks = (
                client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": ASKED.format(f"group {i % 10}")}]
                )
                for i in range(CROWD)
            )
            return await asyncio.gather(*asks)

    with vllm.counting() as counted:
        replies = asyncio.run(crowd())
    assert len(replies) == CROWD
    assert counted["choices"] == CROWD * SAMPLES == sum(one.tcalloc["samples"] for one in replies)
    assert counted["cached"] > 0
    price = counted["computed"] + 0.25 * counted["cached"] + 2 * counted["output"]
    status = keeper.status()
    assert status.spent == pytest.approx(price / 1e6, rel=1e-12)
    assert (status.open_grants, status.reserved) == (0, 0)
    assert sum(one.usage.completion_tokens for one in replies) == counted["output"]

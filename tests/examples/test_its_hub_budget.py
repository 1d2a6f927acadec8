"""its_hub with the budget number that a policy chooses. It runs in .ci/nightly."""

import asyncio
import runpy
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from chaos import Chaos
from crowd_books import AT_A_TIME, Books
from places import CHECKOUT, ENVIRONMENT

from tcalloc import PricedPolicy, Samples, Vote

pytest.importorskip("sklearn")
pytestmark = pytest.mark.skipif(
    find_spec("its_hub") is None or find_spec("openai") is None,
    reason="its_hub[lm] is not installed; .ci/nightly installs it",
)
EXAMPLE = CHECKOUT / "examples" / "its_hub_budget.py"


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """One sample for a short question, five for a long one."""
    long = np.arange(60) % 2 == 1
    answers = np.zeros((60, 10), int)
    answers[long, ::3] = 1  # a vote is right, one sample often not
    texts = [f"Please add these numbers for me: {i}" if long[i] else f"{i}+{i}" for i in range(60)]
    samples = Samples(answers, cost=np.full((60, 10), 1e-4))
    folder = tmp_path_factory.mktemp("its_hub") / "policy"
    PricedPolicy(budget=3e-4).fit(texts, samples.table([Vote(1), Vote(5)])).save(folder)
    return folder


def load(policy, url, folder, total, monkeypatch):
    """Return the names of the example, with another total."""
    code = EXAMPLE.read_text(encoding="utf-8")
    assert "total=5," in code
    (folder / "example.py").write_text(code.replace("total=5,", f"total={total},"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["example.py", str(policy)])
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    return runpy.run_path(str(folder / "example.py"))


def test_the_example_runs_as_it_stands(policy, tmp_path):
    with Chaos() as server:
        done = subprocess.run(
            [sys.executable, EXAMPLE, policy], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            env=ENVIRONMENT | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The answer is" in done.stdout
    assert "$5 for 30 days" in done.stdout
    assert f" {len(server.requests)} samples" in done.stdout


@pytest.mark.parametrize("total", [5, 0.004])
def test_fifty_requests_at_a_time_with_faults(policy, tmp_path, monkeypatch, total):
    """What the keeper has paid is what its_hub counts, and the maximum where its_hub ends a vote with an error."""
    books, used, grants = Books(), [], {}
    long = [f"Please add these numbers for me: {i}" for i in range(AT_A_TIME // 2)]
    questions = long + [f"{i}+{i}" for i in range(AT_A_TIME // 2)]
    with Chaos(default=books) as server:
        there = load(policy, server.url, tmp_path, total, monkeypatch)
        infer, grant = there["vote"].ainfer, there["keeper"].grant

        async def counted(*args, **named):
            result = await infer(*args, **named)
            used.append(result.usage)
            return result

        def granted(policy, question):
            grants[question] = grant(policy, question)
            return grants[question]

        async def all_of_them():
            async with there["model"]:
                return await asyncio.gather(*map(there["ask"], questions), return_exceptions=True)

        monkeypatch.setattr(there["vote"], "ainfer", counted)
        monkeypatch.setattr(there["keeper"], "grant", granted)
        got = dict(zip(questions, asyncio.run(all_of_them()), strict=True))
    refused = {question for question, one in got.items() if str(one) == "the budget is spent"}
    # A reply of status 200 that holds an error: its_hub looks for its choices, and gives up the whole vote.
    ended = {question for question, one in got.items() if isinstance(one, Exception)} - refused
    assert all("KeyError" in str(got[question]) for question in ended)
    assert ended
    assert bool(refused) == (total < 1)
    answered = [one for question, one in got.items() if question not in refused | ended]
    assert {samples for _, samples in answered} == {1, 5}  # the policy decides, and its_hub draws as many
    assert sum(one.num_calls for one in used) <= sum(samples for _, samples in answered)  # some are given up
    tokens = sum(one.prompt_tokens for one in used), sum(one.completion_tokens for one in used)
    counted = 0.15e-6 * tokens[0] + 0.60e-6 * tokens[1]
    status = there["keeper"].status()
    assert status.spent == pytest.approx(counted + sum(grants[question].maximum for question in ended))
    billed = 0.15e-6 * 20 * books.answered + 0.60e-6 * (books.bill - 20 * books.answered) / 2
    assert counted <= billed <= status.spent <= total
    assert (status.open_grants, status.reserved) == (0, 0)


def test_with_tcalloc_removed_its_hub_asks_as_before(policy, tmp_path, monkeypatch):
    """Without tcalloc, with it, and without it again: the budget number is all that it chooses."""
    question, sent = "Please add these numbers for me: 3", []

    async def asked(there, adaptive):
        async with there["model"]:
            if adaptive:
                return await there["ask"](question)
            return (await there["vote"].ainfer(there["model"], question, budget=5))["content"], 5

    answers = []
    for adaptive in (False, True, False):
        with Chaos() as server:
            there = load(policy, server.url, tmp_path, 5, monkeypatch)
            answers.append(asyncio.run(asked(there, adaptive)))
            sent.append([(one["path"], one["body"], one["headers"]["Authorization"]) for one in server.requests])
    assert sent[0] == sent[1] == sent[2]
    assert answers[0] == answers[1] == answers[2]

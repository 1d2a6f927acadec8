"""The plugin of optillm in optillm's own server: loaded by it, and asked over HTTP. It runs in .ci/nightly."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from chaos import Chaos
from crowd_books import AT_A_TIME, Books
from places import CHECKOUT, ENVIRONMENT

from tcalloc import BudgetKeeper

pytestmark = pytest.mark.skipif(
    find_spec("optillm") is None or find_spec("openai") is None,
    reason="optillm and openai are not installed; .ci/nightly installs them",
)
PROGRAM = Path(sys.executable).with_name("optillm")


@contextmanager
def serving(folder, server, plugin=True, total=5):
    """Start optillm, and yield what asks it: a function that returns the status and the document."""
    if plugin:
        example = (CHECKOUT / "examples" / "optillm_plugin.py").read_text(encoding="utf-8")
        assert "total=5," in example
        (folder / "optillm" / "plugins").mkdir(parents=True)
        code = example.replace("total=5,", f"total={total},")
        (folder / "optillm" / "plugins" / "tcalloc_plugin.py").write_text(code, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ask(question, model="tcalloc-tiny", **fields):
        body = {"model": model, "messages": [{"role": "user", "content": question}]} | fields
        address, kind = f"http://127.0.0.1:{port}/v1/chat/completions", {"Content-Type": "application/json"}
        request = urllib.request.Request(address, json.dumps(body).encode(), kind)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "--port", str(port), "--base-url", server.url], env=ENVIRONMENT | {"OPENAI_API_KEY": "none"},
            cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            for _ in range(600):
                if process.poll() is not None:
                    pytest.fail((folder / "log").read_text(encoding="utf-8"))
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield ask
        finally:
            process.terminate()
            process.wait(30)


def test_the_plugin_is_loaded_and_votes(tmp_path):
    with Chaos() as server, serving(tmp_path, server) as ask:
        status, reply = ask("17 + 25", temperature=0.5)
        sent = [one["body"] for one in server.requests]
    assert status == 200
    assert reply["choices"][0]["message"]["content"] == "The answer is 42."
    assert reply["usage"]["completion_tokens"] == 5 * 5
    assert len(sent) == 5
    assert {one["temperature"] for one in sent} == {0.5}
    assert {one["messages"][-1]["content"] for one in sent} == {"17 + 25"}


@pytest.mark.parametrize("total", [5, 0.004])
def test_fifty_requests_at_a_time_with_faults(tmp_path, total):
    """The tokens that optillm counts are those that the server has billed and the keeper has paid."""
    books = Books()
    with Chaos(default=books) as server, serving(tmp_path, server, total=total) as ask:
        with ThreadPoolExecutor(AT_A_TIME) as threads:
            got = list(threads.map(lambda i: ask(f"{i}+{i}"), range(2 * AT_A_TIME)))
        budget = BudgetKeeper.open(tmp_path / "budget.db").status()
    answered = [reply for status, reply in got if status == 200]
    refused = [reply for status, reply in got if status != 200]
    tokens = sum(reply["usage"]["completion_tokens"] for reply in answered)
    assert tokens == (books.bill - 20 * books.answered) / 2  # a prompt is 20 tokens, an answer is billed at 2
    assert budget.spent == pytest.approx(0.15e-6 * 20 * books.answered + 0.60e-6 * tokens)
    assert budget.spent <= total
    assert (budget.open_grants, budget.reserved) == (0, 0)
    assert bool(refused) == (total < 1)
    assert all("the budget is spent" in reply["error"] for reply in refused)


def test_without_the_plugin_optillm_is_as_before(tmp_path):
    """Other approaches do not change with it either."""
    replies = []
    for plugin in (True, False):
        folder = tmp_path / str(plugin)
        folder.mkdir()
        with Chaos() as server, serving(folder, server, plugin) as ask:
            status, reply = ask("17 + 25", model="none-tiny", seed=3)
            replies.append((status, reply["choices"], reply["usage"], [one["body"] for one in server.requests]))
    assert replies[0] == replies[1]

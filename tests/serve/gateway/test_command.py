"""``tcalloc serve`` as a process: a real client, a change of the policy while it runs, and the end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from chaos import Chaos
from gateway_client import send
from places import ENVIRONMENT
from upstreams import Upstream

from tcalloc import Samples
from tcalloc.cli import main
from tcalloc.learn.routing.fixed_choice import FixedChoice
from tcalloc.learn.saving.policy_folder import save_policy
from tcalloc.measure.actions import One, Vote

SECRET = "sk-planted-0123456789abcdef"
KEYS = {"UPSTREAM_KEY": SECRET, "CLIENT_KEYS": "client-key-1, client-key-2"}


@contextmanager
def serving(server, *options):
    command = [sys.executable, "-m", "tcalloc", "serve", "--upstream", server.url, "--port", "0", *options]
    process = subprocess.Popen(
        command, env=ENVIRONMENT | KEYS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+/v1)\n", line)
        assert found, line + process.stderr.read()
        yield SimpleNamespace(url=found[1], process=process)
    finally:
        process.kill()
        process.communicate()


def ended(gateway):
    gateway.process.send_signal(signal.SIGTERM)
    out, err = gateway.process.communicate(timeout=20)
    return gateway.process.returncode, out, err


def test_curl(tmp_path):
    curl = shutil.which("curl") or pytest.skip("no curl")
    keys = ["--api-key-env", "UPSTREAM_KEY", "--client-keys-env", "CLIENT_KEYS"]
    with Upstream(["5", "7", "7"]) as server, serving(server, "--policy", "vote3", *keys) as gateway:
        body = '{"model": "tiny", "messages": [{"role": "user", "content": "6 + 1?"}]}'
        sent = [
            curl,
            "-sS",
            "-i",
            f"{gateway.url}/chat/completions",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
        ]
        refused = subprocess.run(sent, capture_output=True, text=True, timeout=20).stdout
        sent += ["-H", "Authorization: Bearer client-key-2"]
        answered = subprocess.run(sent, capture_output=True, text=True, timeout=20).stdout
        code, out, err = ended(gateway)
    assert refused.startswith("HTTP/1.1 401")
    assert answered.startswith("HTTP/1.1 200")
    assert '"content":"7"' in answered
    assert "x-tcalloc-vote-share: 0.6667" in answered
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {SECRET}"] * 3
    assert (code, err) == (0, "")
    assert SECRET not in refused + answered + out


def test_planted_keys_appear_nowhere(tmp_path):
    """Neither the server's key nor a client's is printed, answered, counted or stored; no redirect gets one."""
    faults = ["bad-key", "echo", "status:500", "echo", "reset", "cut", "html", "truncated-json", "error-200", "echo"]
    options = [
        "--policy", "vote2", "--api-key-env", "UPSTREAM_KEY", "--client-keys-env", "CLIENT_KEYS", "--total", "5",
        "--unit", "usd", "--price-in", "1", "--price-out", "1", "--max-tokens", "50", "--state",
        str(tmp_path / "budget.db"), "--explore", "0.5", "--traffic", str(tmp_path / "seen"), "--store-texts",
    ]  # fmt: skip
    given = {"Authorization": "Bearer client-key-2"}
    fields = [{}, {}, {"stream": True}, {"n": 2}, {"tools": [{"a": 1}]}, {"tools": [{"a": 1}], "stream": True}] * 2
    pieces = []
    with Chaos(faults, default="echo") as server, Chaos() as other, serving(server, *options) as gateway:

        def ask(path="/v1/chat/completions", method="POST", headers=given, **more):
            body = {"model": "tiny", "messages": [{"role": "user", "content": "1+1"}]} | more
            got = send(gateway.url, method, path, body if method == "POST" else None, headers)
            pieces.append(got.data.decode() + str(got.headers))
            return got

        for more in fields:
            ask(**more)
        server.script.append(f"redirect:{other.url}")
        assert ask(n=2).status == 502
        assert ask(headers={"Authorization": f"Bearer {SECRET}"}).status == 401
        assert ask(messages="none", **{"client-key-2": SECRET}).status == 400
        ask("/v1/nothing")
        for path in ("/metrics", "/v1/models", "/health", "/", "/status"):
            ask(path, "GET")
        os.kill(gateway.process.pid, getattr(signal, "SIGHUP", signal.SIGTERM))
        code, out, err = ended(gateway)
    assert code == 0
    assert not other.requests
    assert all(one["headers"]["Authorization"] == f"Bearer {SECRET}" for one in server.requests)
    assert "client-key" not in str(server.requests)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"budget.db"} < {path.name for path in files}
    whole = "".join([out, err, *pieces, *(path.read_bytes().decode("latin-1") for path in files)])
    assert "[key]" in whole  # the server said it, in answers and in errors
    assert SECRET not in whole
    assert "client-key" not in whole


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP")
def test_a_policy_is_swapped_without_a_lost_request(tmp_path):
    folder = tmp_path / "policy"
    save(folder, 1)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "6 + 1?"}]}
    got, stop = [], threading.Event()

    def asking():
        while not stop.is_set():
            got.append(send(gateway.url, "POST", "/v1/chat/completions", body))
            time.sleep(0.02)  # the change of the policy needs some time of the processor, too

    def samples_now():
        return got[-1].headers["x-tcalloc-samples"]

    with Upstream(pause=0.02) as server, serving(server, "--policy", str(folder)) as gateway:
        threads = [threading.Thread(target=asking) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            until = time.monotonic() + 60
            while not got and time.monotonic() < until:
                time.sleep(0.01)
            assert samples_now() == "1"
            shutil.rmtree(folder)
            save(folder, 3)
            os.kill(gateway.process.pid, signal.SIGHUP)
            while samples_now() != "3" and time.monotonic() < until:
                time.sleep(0.01)
            assert samples_now() == "3", len(got)
            shutil.rmtree(folder)  # what cannot be read does no harm
            os.kill(gateway.process.pid, signal.SIGHUP)
            time.sleep(0.3)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        _, _, err = ended(gateway)
    assert {one.status for one in got} == {200}
    assert samples_now() == "3"
    assert "is read again" in err
    assert "The old policy stays" in err


def save(folder, votes):
    rng = np.random.default_rng(0)
    samples = Samples(np.where(rng.random((60, 8)) < 0.7, 0, rng.integers(1, 5, (60, 8))))
    save_policy(FixedChoice(budget=votes).fit(None, samples.table([One(), Vote(3)])), folder)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--total", "5"], "--total needs --price-in, --price-out and --max-tokens"),
        (["--period", "30d"], "--period needs --total"),
        (["--explore", "0.1"], "--explore and --traffic"),
        (["--keep-texts", "12h"], "--keep-texts needs --store-texts"),
        (["--explore-samples", "8"], "--explore-samples needs --explore and --traffic"),
        (["--client-keys-env", "NOTHING_THERE"], "holds no keys"),
        (["--extract", "nothing"], "nothing"),
        (["--host", "0.0.0.0"], "--client-keys-env"),
        (["--upstream", "nowhere"], "not a URL"),
        (["--policy", "nothing"], "nor the name of an action"),
        (["--policy", "pass@4"], "pass@4"),
    ],
)
def test_what_is_refused_at_the_start(options, said, capsys):
    given = ["--upstream", "http://127.0.0.1:1/v1", "--policy", "vote3", "--port", "0", *options]
    assert main(["serve", *given]) in (1, 2)
    assert said in capsys.readouterr().err


SWAPPED = """
import gc, os, re, signal, sys, threading, urllib.request
from tcalloc.cli import main

def swap(text):
    url = re.search(r"http://[^/]*", text)[0] + "/admin/policy"
    kept = [[]]
    for how in ("POST", "SIGHUP"):
        kept.append([])
        if how == "POST":
            urllib.request.urlopen(urllib.request.Request(url, b"{}", {"Content-Type": "application/json"}), timeout=20)
        else:
            os.kill(os.getpid(), signal.SIGHUP)
            said.wait(20)
        visited = {id(one) for one in gc.get_objects()}
        print(how, any(id(one) in visited for one in kept), file=real)
    os.kill(os.getpid(), signal.SIGTERM)

class Out:
    def write(self, text):
        if "listening" in text:
            threading.Thread(target=swap, args=(text,), daemon=True).start()
        if "is read again" in text:
            said.set()
    def flush(self): pass

real, sys.stdout, said = sys.stdout, Out(), threading.Event()
sys.stderr = sys.stdout
main(["serve", "--upstream", "http://127.0.0.1:1/v1", "--policy", "vote3", "--port", "0"])
"""


def test_a_policy_that_is_read_again_is_out_of_the_collector():
    """By a signal as by a request: its full runs would visit all of it while requests wait."""
    done = subprocess.run([sys.executable, "-c", SWAPPED], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["POST False", "SIGHUP False"], done.stderr


def test_what_is_loaded_is_out_of_the_collector():
    import gc

    from tcalloc.cli.serve import _freeze

    kept = [[] for _ in range(1000)]
    try:
        for _ in range(2):  # at the start, and after a change of the policy
            _freeze()
            visited = {id(one) for one in gc.get_objects()}
            assert not any(id(one) in visited for one in kept)
            kept += [[] for _ in range(1000)]
            assert any(id(one) in {id(one) for one in gc.get_objects()} for one in kept[-1:])
    finally:
        gc.unfreeze()

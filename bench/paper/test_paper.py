"""The paper's experiment finds what is true of made-up data, goes on after kill -9, and asks before it pays.

A server on the loopback interface that misbehaves by script (tests/helpers/chaos.py) stands for the model; with
TCALLOC_TEST_LOCAL=1 the local model answers, too.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chaos import Chaos

import tcalloc
from bench.paper import small
from bench.paper.__main__ import main
from bench.paper.calls import calls_of
from bench.paper.data import Data, actions_of, budgets_of
from bench.paper.figures import compare
from bench.paper.methods import IMITATOR, METHODS, OURS, UNIFORM, Work
from bench.paper.presets import PRESETS, find
from bench.paper.recorded import replay
from bench.paper.words import OTHERS, claims, document, show
from tcalloc.errors import InputError
from tcalloc.llm.questions import load_questions
from tcalloc.measure import Samples, vote_accuracy
from tcalloc.runs.store import read_run

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(Path(tcalloc.__file__).parents[1]), str(ROOT)])
ENVIRONMENT = os.environ | {"PYTHONPATH": PATHS, "PYTHONDONTWRITEBYTECODE": "1"}
# Without those that are slow to train.
QUICK = ["oracle, own samples", "oracle, held out", "fixed", UNIFORM, "random", "length", "imitator", "priced"]


def rows_of(figures):
    return {row.name: row for row in figures.rows}


def means(differences):
    return np.array([one.mean for one in differences])


# ---------------------------------------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def shipped():
    """All methods on a part of the shipped table."""
    data = replay("recorded_qwen25_0p5b").take(40)
    return compare(Work(data, (2.0, 4.0)), list(METHODS))


def test_a_replay_says_what_the_samples_say_1e3(shipped):
    codes, rows = shipped.work.data.samples.answers, rows_of(shipped)
    assert shipped.work.votes == [1, 2, 4, 8, 16]
    exact = [vote_accuracy(codes, k).mean() for k in (2, 4)]
    assert means(rows["fixed"].accuracy) == pytest.approx(exact, abs=1e-12)
    budgets = np.array(shipped.work.budgets)
    for name, row in rows.items():
        assert (row.spend <= budgets + 1e-6).all(), name
        assert (row.spend >= 1 - 1e-9).all(), name
        for one in (*row.accuracy, *row.gain):
            assert one.low <= one.mean <= one.high
    # The oracle that is scored on the samples that chose it flatters itself.
    assert (means(rows["oracle, own samples"].gain) > means(rows["oracle, held out"].gain)).all()
    assert means(rows[UNIFORM].gain) == pytest.approx(0, abs=1e-9)
    assert rows[IMITATOR].met[0]
    assert rows[OURS].spend[0] == pytest.approx(2.0, abs=0.02)


def test_the_call_is_the_first_response_and_counts_1e3(shipped):
    work = shipped.work
    assert "log p" in work.calls.what
    # As many orders as responses: each comes first once, so that the means are exact.
    samples = work.data.samples
    entropy = -samples.logprobs / samples.tokens["output"]
    assert np.sort(work.calls.seen, axis=0) == pytest.approx(np.sort(entropy.T, axis=0))
    assert work.calls.accuracy[:, :, 0].mean(axis=0) == pytest.approx(work.acc[:, 0])
    assert work.calls.accuracy[:, :, 3].mean(axis=0) == pytest.approx(work.acc[:, 3], abs=0.35)
    assert work.calls.accuracy[0, :, -1] == pytest.approx(work.acc[:, -1])


def test_fidelity_stands_beside_the_majority_1e3(shipped):
    for one in shipped.fidelity:
        own, ahead, spend = one.of[IMITATOR]
        assert ahead.mean == pytest.approx(own.mean - one.majority.mean)
        assert 0 <= own.mean <= 1
        assert 1 <= spend <= 16
        assert one.agreement is not None
        assert 0.5 < one.agreement.mean <= 1
    text = show(shipped)
    assert "always the majority action" in text
    assert "two half-sample oracles agree" in text
    said = claims([shipped])
    assert "up to 12.8 % on MATH" in said
    assert "more than 91 %" in said
    assert all(f"{value:.3f}" in said for value in OTHERS.values())
    assert "setting unknown" in said
    written = json.loads(json.dumps(document([shipped]), allow_nan=False))
    assert written["tables"][0]["rows"][0]["name"] == "oracle, own samples"
    assert {row["name"] for row in written["tables"][0]["rows"]} == set(METHODS)


def made(n, shows):
    """Questions that one response settles, and such that eight do; the text shows which they are, or nothing does."""
    rng = np.random.default_rng(0)
    hard = rng.random(n) < 0.4
    codes = np.zeros((n, 24), int)
    codes[hard] = np.where(np.arange(24) < 10, 0, np.arange(24))  # ten right ones; no wrong answer comes twice
    seen = hard if shows else rng.random(n) < 0.4
    words = np.where(seen, "How many are left, and how many of these 12 + 7 are more than half of 9?", "Go.")
    return Data("made", "up", [f"{word} {i}" for i, word in enumerate(words)], Samples(codes))


def test_what_shows_is_learned_and_what_does_not_gains_nothing_1e3():
    budgets = (0.6 + 0.4 * 4, 0.6 + 0.4 * 8)
    found = compare(Work(made(200, True), budgets), QUICK)
    rows = rows_of(found)
    for b, one in enumerate(found.fidelity):
        own, ahead, _ = one.of["imitator"]
        assert own.mean > 0.9
        assert ahead.above  # better than always the majority action, beyond the interval
        for name in ("imitator", "priced", "length"):
            assert rows[name].gain[b].above, name
    found = compare(Work(made(200, False), budgets), QUICK)
    rows = rows_of(found)
    for name in ("length", "priced", "random", "imitator"):
        assert not any(one.above for one in rows[name].gain), name
    assert not any(one.of["imitator"][1].above for one in found.fidelity)
    for name in ("oracle, own samples", "oracle, held out"):  # these know
        assert all(one.above for one in rows[name].gain)


def test_the_same_every_time_1e3():
    data = replay("recorded_qwen25_0p5b").take(40)
    names = [IMITATOR, "oracle, held out"]
    one, other = (document([compare(Work(data, (2.0,), folds=3, seeds=(0, 1)), names)]) for _ in range(2))
    for found in (one, other):
        found["tables"][0].pop("seconds")
    assert one == other


@pytest.mark.parametrize("codes", [np.zeros((12, 4), int), np.ones((12, 4), int), np.full((12, 4), -1)])
def test_all_right_all_wrong_and_no_answers_1e3(codes):
    data = Data("flat", "one", [f"What is {i} + {i}?" for i in range(12)], Samples(codes))
    found = compare(Work(data, (1.5, 2.0)), list(METHODS))
    for row in found.rows:
        assert means(row.accuracy) == pytest.approx(float(codes[0, 0] == 0))
        assert means(row.gain) == pytest.approx(0)
    text = show(found) + claims([found])
    assert "nan" not in text.lower()
    assert "nothing (neither" in text
    json.dumps(document([found]), allow_nan=False)


def test_actions_and_budgets_follow_the_responses_1e3():
    assert [a.samples for a in actions_of(48)] == [1, 2, 4, 8, 16, 48]
    assert [a.samples for a in actions_of(40)] == [1, 2, 4, 8, 16, 40]
    assert [a.samples for a in actions_of(8)] == [1, 2, 4, 8]
    assert budgets_of(None, 8) == (1.5, 2.0, 3.0, 4.0)
    assert budgets_of((4.0, 2.0), 48) == (2.0, 4.0)
    with pytest.raises(InputError, match="9 leaves nothing to decide; with 8 responses"):
        budgets_of((9.0,), 8)
    with pytest.raises(InputError, match=r"4 questions; at least 10 .* larger --limit"):
        replay("recorded_qwen25_0p5b").take(4)


def test_calls_without_logprobs_show_lengths_1e3():
    codes = np.array([[0, 1, 1], [0, 0, 1]])
    calls = calls_of(Samples(codes, tokens=np.array([[3, 7, 1], [2, 2, 2]])), [1, 3], 3, 0)
    assert "length" in calls.what
    assert np.sort(calls.seen[:, 0]) == pytest.approx(np.log1p([1, 3, 7]))
    assert calls.accuracy[:, :, 1] == pytest.approx(np.array([[0, 1]] * 3))


# ---------------------------------------------------------------------------------------------- asking a server


def gsm8k(path, count=20):
    rows = [{"question": f"{i} + {i}", "answer": f"{i} + {i} = {2 * i}\n#### {2 * i}"} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(server, folder, *more, count=20, responses=6):
    questions = gsm8k(folder / "q.jsonl", count)
    own = ["--gsm8k", questions, "--model", "tiny", "--base-url", server.url, "--responses", responses]
    quick = ["--method", "fixed", "--method", UNIFORM]
    return [str(part) for part in [*own, "--out", folder / "runs", *quick, *more]]


PRICES = ["--price-in", "1", "--price-out", "2", "--max-tokens", "50"]


def test_nothing_is_sent_before_the_answer_is_yes_1e3(tmp_path, capsys, monkeypatch):
    with Chaos() as server:
        for answer, said in (("", "nobody answered, so nothing was spent"), ("n\n", "nothing more was spent")):
            monkeypatch.setattr("sys.stdin", io.StringIO(answer))
            assert main(command(server, tmp_path, *PRICES)) == 2
            out, err = capsys.readouterr()
            assert said in err
            assert "GSM8K x tiny        120       0       120" in err  # 20 questions, 6 responses
            assert "Spend up to $" in err
            assert not out
        assert main(command(server, tmp_path, *PRICES, "--forecast")) == 0
        assert server.requests == []
        assert not (tmp_path / "runs").exists()
        capsys.readouterr()
        monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
        assert main(command(server, tmp_path, *PRICES, "--method", "imitator, one call")) == 0
        assert len(server.requests) == 120
    out, err = capsys.readouterr()
    assert "20 questions, 6 responses each; votes over 1, 2, 4, 6" in out
    assert "A response cost $" in out
    assert "log p" in out
    assert "from 5 stored responses: 115 more" in err


def test_a_run_stops_at_what_was_agreed_to_1e3(tmp_path, capsys):
    with Chaos() as server:
        code = main(command(server, tmp_path, *PRICES, "--max-cost", "0.002", "--yes"))
        out, err = capsys.readouterr()
        assert (code, out) == (1, "")
        assert "max_cost = 0.002" in err
        assert "The same command goes on" in err
        run = tmp_path / "runs" / "gsm8k-20-tiny"
        spent = sum(record["cost"] for record in read_run(run).records)
        assert 0.001 < spent <= 0.002
        # Dearer than what lengths foretold: asked again, once a few calls were paid.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bench.paper.consent.ROOM", 0.01)
            assert main(command(server, tmp_path, *PRICES, "--yes")) in (0, 1)
        assert "That is more than was agreed to" in capsys.readouterr().err
        assert main(command(server, tmp_path, *PRICES, "--yes", "--json", str(tmp_path / "out.json"))) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    (table,) = document["tables"]
    assert table["responses"] == 6
    assert table["dollars_per_response"] == pytest.approx(np.mean([r["cost"] for r in read_run(run).records]))


def test_killed_and_gone_on_with_1e3(tmp_path, capsys):
    """Killed twice, then to the end: no stored response is asked for again; the table is that of a clean run."""
    found = tmp_path / "killed.json"
    with Chaos(default="ok:0.05") as server:
        argv = command(server, tmp_path, "--temperature", "0.8", "--json", found, count=40)
        run = tmp_path / "runs" / "gsm8k-40-tiny"
        for least in (40, 120):
            running = subprocess.Popen(
                [sys.executable, "-m", "bench.paper", *argv],
                env=ENVIRONMENT,
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            deadline = time.monotonic() + 60
            while stored(run) < least and time.monotonic() < deadline:
                time.sleep(0.02)
            assert running.poll() is None
            running.send_signal(signal.SIGKILL)
            running.wait()
        seeds = {record["seed"] for record in read_run(run).records}
        assert 120 <= len(seeds) < 240
        before = len(server.requests)
        assert main(argv) == 0
        again = [request for request in server.requests[before:] if request["body"]["seed"] in seeds]
        assert again == []
        assert len(server.requests) - before == 240 - len(seeds)
        assert {r["body"]["messages"][0]["role"] for r in server.requests} == {"system"}
        # Everything is there: nothing is asked.
        before = len(server.requests)
        assert main(argv) == 0
        assert len(server.requests) == before
    folder = tmp_path / "clean"
    folder.mkdir()
    clean = folder / "clean.json"
    with Chaos() as server:
        assert main(command(server, folder, "--temperature", "0.8", "--json", clean, count=40)) == 0
    capsys.readouterr()
    tables = [json.loads(path.read_text())["tables"][0] for path in (found, clean)]
    for table in tables:
        del table["seconds"], table["notes"]
    assert tables[0] == tables[1]
    single = np.mean([r["correct"] for r in read_run(run).records])
    assert tables[0]["vote_accuracy"][0] == pytest.approx(single)


def stored(run):
    try:
        return len(read_run(run).records)
    except InputError:
        return 0


def test_questions_that_are_not_complete_1e3(tmp_path, capsys):
    def refuse(handler, body):
        if body["messages"][-1]["content"] in ("3 + 3", "7 + 7"):
            handler.error(400, "content policy")
        else:
            handler.answer(body)

    with Chaos(default=refuse) as server:
        assert main(command(server, tmp_path)) == 1
        assert "108 of 120 responses are stored" in capsys.readouterr().err
        assert main(command(server, tmp_path, "--partial")) == 0
    out = capsys.readouterr().out
    assert "18 questions, 6 responses each" in out
    assert "2 of 20 questions have too few responses: left out." in out


def test_what_is_refused_1e3(tmp_path, capsys):
    def said(*argv):
        try:
            code = main([str(part) for part in argv])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    assert "what is compared?" in said()[1]
    assert said("--replay", "nothing")[0] == 1
    assert "expected one of gsm8k_gpt4omini" in said("--replay", "nothing")[1]
    assert "needs questions" in said("--model", "gpt-4o-mini")[1]
    assert "'none' is not one of" in said("--replay", "recorded_gemma3_270m", "--method", "none")[1]
    plain = tmp_path / "plain.jsonl"
    plain.write_text('{"question": "Why?"}\n' * 12)
    code, err = said("--gsm8k", plain, "--model", "gpt-4o-mini")
    assert code == 1
    assert "question '0' has no gold answer" in err
    questions = gsm8k(tmp_path / "q.jsonl")
    assert (
        "no preset of that name (gpt-4o-mini, deepseek-v3, qwen2.5-7b)" in said("--gsm8k", questions, "--model", "x")[1]
    )
    with Chaos() as server:
        assert main(command(server, tmp_path)) == 0
        capsys.readouterr()
        assert main(command(server, tmp_path, "--temperature", "0.1")) == 1
        assert "asked for in another way" in capsys.readouterr().err


def test_presets_1e3():
    for name, preset in PRESETS.items():
        assert "check before you trust" in preset.words
        assert find(name, None, None, None, None) == preset
    other = find("gpt-4o-mini", None, "gpt-4o-mini-2024-07-18", 0.3, 1.2)
    assert (other.model, other.price_in, other.listed) == ("gpt-4o-mini-2024-07-18", 0.3, "as given")
    # Another host has other prices.
    assert not find("qwen2.5-7b", "http://127.0.0.1:8000/v1", None, None, None).priced
    with pytest.raises(InputError, match="belong together"):
        find("gpt-4o-mini", None, None, 1.0, None)


def test_small_files_are_read_like_the_real_ones_1e3(tmp_path):
    for rows in (small.gsm8k_like(40), small.math_like(40)):
        questions = load_questions(small.write(tmp_path / "q.jsonl", rows))
        assert len({question.text for question in questions}) == 40
        for question in questions:
            assert question.gold.isdigit()
            assert len(question.few_shot) == 8
            assert question.extra["level"].startswith("Level ")
    # What a question says is what its answer follows from.
    for row in small.gsm8k_like(25):
        step, _, answer = row["answer"].split("\n")[0].partition(" = ")
        assert eval(step) == int(answer)  # of our own making: digits and signs


# ---------------------------------------------------------------------------------------------- the real model


@pytest.mark.skipif(not os.environ.get("TCALLOC_TEST_LOCAL"), reason="set TCALLOC_TEST_LOCAL=1 for the local model")
def test_end_to_end_on_the_local_model_1e3(tmp_path, capsys):
    found = tmp_path / "out.json"
    argv = ["--local", "--limit", "12", "--responses", "4", "--out", str(tmp_path / "runs"), "--json", str(found)]
    assert main(argv) == 0
    tables = json.loads(found.read_text())["tables"]
    assert [table["dataset"] for table in tables] == ["small GSM8K", "small MATH"]
    for table in tables:
        assert (table["questions"], table["responses"], table["votes"]) == (12, 4, [1, 2, 4])
        assert "log p" in table["call"]
        assert {row["name"] for row in table["rows"]} == set(METHODS)
    assert max(table["vote_accuracy"][0] for table in tables) > 0.05
    capsys.readouterr()
    # Once more: everything is there.
    assert main([*argv, "--method", "fixed"]) == 0
    rows = [line.split() for line in capsys.readouterr().err.splitlines() if line.startswith("small")]
    assert [row[4:6] for row in rows] == [["0", "48"]] * 2  # to draw, and stored

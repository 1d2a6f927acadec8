"""Someone without gold answers: sample or import, then fit and answer; nothing is called accuracy on the way."""

import json
import re

import numpy as np
import pytest
from chaos import Chaos

from tcalloc import cli
from tcalloc.runs.store import read_run

FORBIDDEN = re.compile(r"accura\w*|\bright\b|\bcorrect\b|\bwrong\b", re.IGNORECASE)


def call(capsys, *argv, code=0):
    found = cli.main([str(part) for part in argv])
    out, err = capsys.readouterr()
    assert found == code, err
    return out, err


def write_log(path, questions=40, samples=8, gold=0):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(questions):
        for right in rng.random(samples) < (0.5 if i % 2 else 0.95):
            answer = str(i) if right else str(1000 + rng.integers(4))
            row = {"id": f"q{i}", "question": f"{'Prove' if i % 2 else 'Add'} {i}", "answer": answer}
            rows.append(row | ({"gold": str(i)} if i < gold else {}))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_sampled_without_gold_answers_then_fitted_and_answered(tmp_path, capsys):
    pytest.importorskip("aiohttp")
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps({"question": f"{i} + {i}"}) + "\n" for i in range(24)))
    with Chaos() as server:
        where = ["--base-url", server.url, "--model", "tiny"]
        out, err = call(capsys, "sample", file, *where, "--out", tmp_path / "run", "--samples", 6)
        assert "use --labels agreement" in err.replace("\n", " ")
        # The command that it ends with works as it is printed.
        command = out.splitlines()[-1].split()
        assert command[:2] == ["tcalloc", "fit"]
        assert all(record["correct"] is None and not record["error"] for record in read_run(tmp_path / "run").records)
        command[command.index("policy/")] = str(tmp_path / "policy")
        out, _ = call(capsys, *command[1:])
        assert "in 3 other samples" in " ".join(out.split())
        assert not FORBIDDEN.search(out), FORBIDDEN.search(out)
        out, err = call(capsys, "answer", file, "--policy", tmp_path / "policy", *where)
        assert "24 of 24 questions answered" in out
        assert "learned without gold answers" in err
        assert not FORBIDDEN.search(out + err)
        out, _ = call(capsys, "sample", file, *where, "--out", tmp_path / "few", "--samples", 2)
        assert "needs 4 samples per question" in out


def test_imported_without_gold_answers_then_compared_solved_and_fitted(tmp_path, capsys):
    run = tmp_path / "run"
    call(capsys, "import", write_log(tmp_path / "log.jsonl"), "--out", run)
    for command in ("compare", "solve", "fit"):
        more = [] if command == "compare" else ["--budget", 2]
        more += ["--out", tmp_path / "none"] if command == "fit" else []
        _, err = call(capsys, command, run, *more, code=1)
        assert "--labels agreement" in err
    options = ["--labels", "agreement"]
    few = ["--policies", "margin + cap,fixed k", "--budgets", "1.5,2.5", "--folds", 2, "--jobs", 1]
    said = [call(capsys, "compare", run, *few, *options)[0]]
    assert "--labels agreement" in said[0]
    said.append(call(capsys, "solve", run, "--budget", 2, *options)[0])
    said.append(call(capsys, "frontier", run, *options)[0])
    said.append(call(capsys, "fit", run, "--budget", 2, "--out", tmp_path / "policy", *options)[0])
    for text in said:
        assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
        assert "in 4 other samples" in " ".join(text.split())
    documents = [
        json.loads(call(capsys, *argv, "--json", *options)[0])
        for argv in (["solve", run, "--budget", 2], ["frontier", run], ["compare", run, *few])
    ]
    assert {document["labels"]["measures"] for document in documents} == {"agreement with the reference"}
    _, err = call(capsys, "solve", run, "--budget", 2, "--labels", "agree", code=2)
    assert "Did you mean 'agreement'" in err


def test_gold_answers_of_some_questions_are_kept_for_the_report(tmp_path, capsys):
    run = tmp_path / "run"
    call(capsys, "import", write_log(tmp_path / "log.jsonl", gold=12), "--out", run)
    argv = [
        "fit",
        run,
        "--budget",
        2,
        "--policy",
        "margin + cap",
        "--out",
        tmp_path / "policy",
        "--labels",
        "agreement",
    ]
    out, err = call(capsys, *argv)
    text = " ".join(out.split())
    assert "40 questions" in text
    assert "Gold answers are known for 12 questions. On these, held out, the policy is right on" in text
    assert "have no gold answer" not in err
    document = json.loads(call(capsys, *argv, "--json")[0])
    assert document["gold"]["questions"] == 12
    assert document["labels"]["kind"] == "agreement"

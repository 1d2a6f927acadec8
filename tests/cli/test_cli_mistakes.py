"""The likely mistakes of a new user: each message names the place, what is allowed, and what to do next."""

import json
import shlex

import pytest

from tcalloc.cli import main

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files that a new user may have at hand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("id,acc:a,acc:b,cost:a,cost:b\nq1,0.9,0.95,0.0001,4\nq2,0.3,0.8,0.0002,4\n")
    (tmp_path / "semi.csv").write_text("acc:a;cost:a\n0.9;1\n")
    rows = [{"id": f"q{i}", "question": "x", "answer": "a", "correct": True} for i in range(3)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "words.jsonl").write_text('{"question": "The capital of Spain?", "answer": "Madrid"}\n')
    (tmp_path / "empty").mkdir()
    return tmp_path


SERVER = "--base-url http://127.0.0.1:9/v1 --model m --out s"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (
            "solve semi.csv --budget 2",
            1,
            "semi.csv: The header seems to be separated by semicolons; separate by commas.",
        ),
        ("solve log.jsonl --budget 2", 1, "A log is imported first: tcalloc import log.jsonl --out run/"),
        ("compare log.jsonl", 1, "A log is imported first: tcalloc import log.jsonl --out run/"),
        ("solve t.csv --accuracy 95", 1, "If it is meant in %, write 0.95."),
        ("solve t.csv --budget 0.0001", 1, "already costs 0.00015 per instance: that is the smallest feasible budget."),
        (
            "compare t.csv --budgets '2;3'",
            2,
            "'2;3' is not a budget; expected numbers of at least 0, with commas between",
        ),
        (
            "compare t.csv --budgets 2,-3",
            2,
            "'-3' is not a budget; expected numbers of at least 0, with commas between",
        ),
        (
            "import t.csv --out r",
            1,
            "t.csv, line 2: none of 'text', 'answer', 'correct'; name them, e.g. --field answer=NAME. The fields are",
        ),
        (f"sample words.jsonl {SERVER}", 1, "Correct it, or choose another grader, such as normalized (for texts)."),
        (
            f"sample t.csv {SERVER}",
            1,
            'Write one object a line, like {"question": "What is 6 times 7?", "answer": "42"}.',
        ),
        (
            f"sample words.jsonl --grader exact {SERVER}",
            1,
            "127.0.0.1:9 refused the connection. Is the server running, and is the URL right?",
        ),
    ],
)
def test_a_message_says_what_to_do(argv, code, words, run):
    pytest.importorskip("aiohttp")
    found, out, err = run(*shlex.split(argv))
    assert (found, out) == (code, "")
    assert words in err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (
            "fit t.csv --budget 2 --out p",
            1,
            "A table is fitted in Python, by the lines that this prints: tcalloc compare t.csv",
        ),
        ("fit log.jsonl --budget 2 --out p", 1, "A log is imported first: tcalloc import log.jsonl --out run/"),
        (
            "fit none --budget 2 --out p",
            1,
            "none: no such folder; expected a run folder that tcalloc sample or tcalloc ",
        ),
        (
            "fit t.csv --budget 2 --out p --policy 'oracle, held out'",
            2,
            "is 'oracle, held out', a bound, which cannot be",
        ),
        (
            "decide empty words.jsonl",
            1,
            "empty: holds no policy (no policy.json); expected a folder that tcalloc fit wrote.",
        ),
    ],
)
def test_a_message_about_policies_says_what_to_do(argv, code, words, run):
    pytest.importorskip("sklearn")
    found, out, err = run(*shlex.split(argv))
    assert (found, out) == (code, "")
    assert words in err


def test_the_command_in_a_message_runs(run):
    _, _, err = run("solve", "log.jsonl", "--budget", 2)
    command = err.partition("imported first: ")[2].strip()
    assert main(shlex.split(command)[1:]) == 0


def test_a_budget_that_pays_for_nothing_is_the_reason(run, folder):
    pytest.importorskip("sklearn")
    rows = [{"id": f"q{i}", "question": f"{i}?", "answer": a, "correct": a == "r", "cost": 2.0}
            for i in range(24) for a in "rw"]  # fmt: skip
    (folder / "priced.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["import", "priced.jsonl", "--out", "run"]) == 0
    code, _, err = run(
        "fit", "run", "--budget", "0.00001", "--policy", "best fixed mixture", "--unit", "usd", "--out", "p"
    )
    assert code == 0
    assert "leaves 24 of 24 questions without an answer, because the cheapest action costs $2." in err

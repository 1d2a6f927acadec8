"""``tcalloc compare``: what it prints and writes, what it refuses, and that Ctrl-C leaves nothing behind."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

from places import ENVIRONMENT, INTERRUPTED
from policy_cli import main, write_log

import tcalloc
import tcalloc.evaluate.comparison
from tcalloc.cli import compare as command
from tcalloc.cli._shared import UsageError
from tcalloc.evaluate import run_folds

SOME = "fixed k,best fixed mixture,AC Beta,random"


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run folder of 60 questions, the same without texts, and a table of 60 rows with texts and levels."""
    folder = tmp_path_factory.mktemp("home")
    before = os.getcwd()
    os.chdir(folder)
    try:
        write_log(folder / "log.jsonl", questions=60, tasks=True)
        assert main(["import", "log.jsonl", "--out", "run"]) == 0
        (folder / "bare").mkdir()
        write_log(folder / "bare" / "log.jsonl", questions=60, texts=False)
        assert main(["import", "bare/log.jsonl", "--out", "textless"]) == 0
        _write_tables(folder)
        yield folder
    finally:
        os.chdir(before)


def _write_tables(folder):
    rng = np.random.default_rng(0)
    hard = np.arange(60) % 2
    small, large = (np.where(hard, low, high) + 0.1 * rng.random(60) for low, high in ((0.2, 0.8), (0.8, 0.85)))
    texts = [f"{'Prove, ' if h else ''}what is {i}?" for i, h in enumerate(hard.tolist())]
    with open(folder / "table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "level", "question", "acc:small", "acc:large", "cost:small", "cost:large"])
        for i in range(60):
            writer.writerow([f"q{i}", "hard" if hard[i] else "easy", texts[i], small[i], large[i], 1, 4])
    np.savez(
        folder / "table.npz",
        acc=np.column_stack([small, large]),
        cost=np.array([1.0, 4.0]),
        actions=np.array(["small", "large"]),
        level=hard,
        question=np.array(texts),
        short=np.arange(3),
    )
    lines = [json.dumps({"id": f"q{i}", "question": texts[i], "level": int(hard[i])}) + "\n" for i in range(60)]
    (folder / "asked.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "few.jsonl").write_text("".join(lines[:50]), encoding="utf-8")


def standings(document):
    return {one["name"]: one for one in document["standings"]}


def test_a_run_folder(run):
    code, out, err = run("compare", "run", "--budgets", "2,4", "--policies", SOME, "--jobs", 1)
    assert code == 0, err
    assert out.startswith("run: 60 questions\n")
    for name in SOME.split(","):
        assert name in out
    # The last word is what to use.
    advice = tcalloc.compare("run", SOME.split(","), [2.0, 4.0]).recommend().text("run")
    assert out.endswith(f"\n\n{advice}\n")


def test_json_says_what_python_says(run, monkeypatch):
    argv = ["compare", "run", "--budgets", "2,4", "--policies", SOME, "--folds", 2, "--seed", 1, "--jobs", 1, "--json"]
    code, out, err = run(*argv)
    assert code == 0, err
    found = json.loads(out)
    samples = tcalloc.Samples.load("run")
    same = tcalloc.compare(samples, SOME.split(","), [2.0, 4.0], folds=2, random_state=1)
    assert (found["table"], found["questions"], found["folds"], found["seed"]) == ("run", 60, 2, 1)
    assert found["budgets"] == [2.0, 4.0]
    assert set(standings(found)) == {one.name for one in same.standings} >= set(SOME.split(","))
    for one in same.standings:
        assert standings(found)[one.name]["accuracy"] == pytest.approx(one.accuracy.tolist(), nan_ok=True)
    assert found["recommendation"] == json.loads(json.dumps(same.recommend().to_dict()))
    # Nobody's accuracy depends on how many processes there are (test_compare_standings.py); two are made where two are
    # asked for.
    asked = []

    def here(contestants, plan, pieces, count):
        asked.append(count)
        yield from ((piece, run_folds.timed(contestants, plan, piece)) for piece in pieces)

    monkeypatch.setattr(run_folds, "spread", here)
    again = json.loads(run(*argv[:-3], "--jobs", 2, "--json")[1])
    assert [one["accuracy"] for one in again["standings"]] == [one["accuracy"] for one in found["standings"]]
    assert asked == [2]


def test_the_report_and_the_plot(run, home):
    pytest.importorskip("matplotlib")
    argv = ["--budgets", "2,4", "--policies", SOME, "--jobs", 1]
    code, _, err = run("compare", "run", *argv, "--report", "report.html", "--plot", "curve.svg")
    assert code == 0, err
    assert "tcalloc: wrote report.html.\n" in err
    assert "tcalloc: wrote curve.svg.\n" in err
    page = Path("report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "AC Beta" in page
    assert not re.search(r"(src|href)=[\"']https?://", page)
    assert "<svg" in Path("curve.svg").read_text(encoding="utf-8")
    assert not [name for name in os.listdir() if name.endswith(".tmp")]


def test_what_took_minutes_is_printed_even_if_the_page_cannot_be_written(run, monkeypatch):
    pytest.importorskip("matplotlib")

    def full(self, path, source):
        assert source.run == "run"
        raise tcalloc.InputError(f"{path}: cannot be written.")

    monkeypatch.setattr(tcalloc.evaluate.comparison.Comparison, "report", full)
    argv = ["--budgets", "2", "--policies", "random", "--folds", 2, "--jobs", 1]
    code, out, err = run("compare", "run", *argv, "--report", "page.html")
    assert code == 1
    assert out.startswith("run: 60 questions\n")
    assert err == "tcalloc: error: page.html: cannot be written.\n"


def test_texts_categories_and_difficulty_of_a_run(run):
    argv = ["--budgets", "3", "--policies", "fixed k,prompt length,difficulty label,kNN", "--folds", 2, "--jobs", 1]
    argv += ["--questions", "questions.jsonl", "--category", "task", "--difficulty", "task", "--json"]
    code, out, err = run("compare", "run", *argv)
    assert code == 0, err
    found = standings(json.loads(out))
    assert {"prompt length", "difficulty label", "kNN"} <= set(found)
    # Hard questions are those of the one task: to know the task is to know where votes pay.
    assert found["difficulty label"]["accuracy"][0] > found["fixed k"]["accuracy"][0]


def test_a_run_without_texts_goes_without(run):
    argv = ["--budgets", "2", "--policies", "fixed k,AC Beta", "--folds", 2, "--jobs", 1]
    code, _, err = run("compare", "textless", *argv)
    assert code == 0, err
    assert "note: textless: holds no texts of its questions" in err
    code, _, err = run("compare", "textless", *argv, "--questions", "bare/questions.jsonl")
    assert code == 0
    assert "no texts" not in err


@pytest.mark.parametrize(
    "argv",
    [
        "table.csv --text question --difficulty level --category level",
        "table.csv --questions asked.jsonl --difficulty level",
        "table.npz --text question --difficulty level",
        "table.npz --questions asked.jsonl --category level --difficulty level",
    ],
)
def test_tables(argv, run):
    more = ["--budgets", "2", "--policies", "fixed k,prompt length,difficulty label", "--folds", 2, "--jobs", 1]
    code, out, err = run("compare", *argv.split(), *more, "--json")
    assert code == 0, err
    found = standings(json.loads(out))
    # Half of the questions are hard, and only there the large model pays: a label that says so decides all.
    assert found["difficulty label"]["accuracy"][0] > found["best fixed mixture"]["accuracy"][0] + 0.05


@pytest.mark.usefixtures("few_recorded")
def test_the_demonstration(run):
    code, out, err = run(
        "compare", "--demo", "--policies", "difficulty label,random", "--budgets", "1.5,3", "--folds", 2, "--jobs", 1
    )
    assert code == 0, err
    assert out.startswith("the recorded table: 49 questions\n")
    assert "\ndifficulty label  " in out  # it has labels


def test_names_of_policies_may_hold_commas():
    known = ["imitator", "imitator, cost-sensitive", "priced", "priced, probe 2", "fixed k"]
    assert command._named("imitator,priced, probe 2", known) == ["imitator", "priced, probe 2"]
    assert command._named("Imitator,Cost-Sensitive,imitator", known) == ["imitator, cost-sensitive", "imitator"]
    assert command._named("fixed k,fixed  k", known) == ["fixed k"]
    with pytest.raises(UsageError, match="there is no policy 'probe 2'; there are: imitator; imitator, cost-sensitive"):
        command._named("fixed k,probe 2", known)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ("", 2, "the following arguments are required: TABLE, or --demo"),
        ("run --budgets 1,x", 2, "argument --budgets: 'x' is not a budget"),
        ("run --budgets 1,,2", 2, "argument --budgets: '' is not a budget"),
        ("run --budgets=-1", 2, "argument --budgets: '-1' is not a budget"),
        ("run --budgets inf", 2, "argument --budgets: 'inf' is not a budget"),
        ("run --folds 1", 2, "argument --folds: '1' is not a whole number of at least 2"),
        ("run --repeats 0", 2, "argument --repeats: '0' is not a whole number of at least 1"),
        ("run --seed=-1", 2, "argument --seed: '-1' is not a whole number of at least 0"),
        ("run --jobs 0", 2, "argument --jobs: '0' is not a whole number of at least 1"),
        ("run --feature-cost=-1", 2, "argument --feature-cost: '-1' is not a cost: a number, at least 0"),
        ("run --report page.txt", 2, "argument --report: page.txt: allowed are names that end in .html"),
        ("run --plot curve.gif", 2, "argument --plot: curve.gif: allowed are names that end in .png, .svg or .pdf"),
        ("run --report no/page.html", 1, "no/page.html: the folder "),
        ("run --policies nobody", 2, "--policies: there is no policy 'nobody'; there are: "),
        ("run --text question", 2, "--text names a column of a table"),
        ("run --difficulty color", 1, "run: the question 'q0' has no category 'color'"),
        ("run --questions no.jsonl", 1, "no.jsonl: "),
        ("run --actions vote1,nonsense", 1, "nonsense"),
        ("textless --category task", 1, "textless: holds no text of its questions"),
        ("no", 1, "no: no such file"),
        ("log.jsonl", 1, "log.jsonl: unknown suffix '.jsonl'"),
        ("table.csv --actions vote1", 2, "--actions is for run folders"),
        ("table.csv --verifier", 2, "--verifier is for run folders"),
        ("table.csv --text question --questions asked.jsonl", 2, "--text and --questions both give the texts"),
        ("table.csv --text wording", 1, "table.csv: has no column 'wording'; there are: level, question."),
        ("table.csv --questions few.jsonl", 1, "few.jsonl: holds no text of the question 'q50' and 9 others"),
        ("table.npz --questions few.jsonl", 1, "few.jsonl: 50 questions, but the table has 60 rows and no ids"),
        ("table.npz --difficulty short", 1, "table.npz: short does not hold one value per instance (60)"),
        ("run --demo", 2, "--demo compares on the recorded table, which has its own; leave TABLE out"),
        ("--demo --difficulty level", 2, "leave --difficulty out"),
    ],
)
def test_refusals(argv, code, words, run):
    before = sorted(os.listdir())
    found, out, err = run("compare", *argv.split())
    assert (found, out) == (code, "")
    last = err.splitlines()[-1]
    assert last.startswith("tcalloc: error: ")
    assert words in last
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("option", "library"),
    [("--report page.html", "Matplotlib"), ("--report page.html", "Jinja2"), ("--plot curve.png", "Matplotlib")],
)
def test_pictures_need_an_extra_and_say_so_before_the_work(option, library, run, monkeypatch):
    monkeypatch.setitem(sys.modules, library.lower(), None)
    monkeypatch.setitem(sys.modules, f"{library.lower()}.figure", None)
    code, out, err = run("compare", "run", *option.split())
    name = option.split()[0]
    assert (code, out) == (1, "")
    assert err == f"tcalloc: error: {name} needs {library}: pip install 'tcalloc[plot]'\n"


def test_help_has_examples(run):
    code, out, _ = run("compare", "--help")
    assert code == 0
    assert "examples:" in out
    assert "exit codes:" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a group of processes")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c(jobs, home):
    argv = [sys.executable, "-m", "tcalloc", "compare", "--demo", "--repeats", "50", "--jobs", str(jobs)]
    argv += ["--report", "late.html", "--policies", "fixed k,random"]
    # On a terminal, its progress tells when it has begun to train.
    ours, its = os.openpty()
    # A group of its own: Ctrl-C reaches the workers, too.
    pipes = {"stdout": subprocess.PIPE, "stderr": its}
    process = subprocess.Popen(argv, env=ENVIRONMENT, cwd=home, start_new_session=True, **pipes)
    os.close(its)
    try:
        shown = b""
        while shown.count(b" trainings ") < 2:
            shown += os.read(ours, 4096)
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        with suppress(OSError):  # it has no more to show
            while more := os.read(ours, 4096):
                shown += more
    finally:
        os.close(ours)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode in INTERRUPTED, shown.decode()
    assert out == b""
    assert shown.decode().splitlines()[-1] == "tcalloc: interrupted."
    assert "Traceback" not in shown.decode()
    assert not [name for name in os.listdir(home) if name.startswith("late")]

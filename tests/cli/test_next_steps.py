"""The next steps that commands print run as pasted, on what the user has just used."""

import csv
import json
import os
import shlex
import subprocess

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")
pytest.importorskip("xgboost")

from policy_cli import main, write_log

import tcalloc
from tcalloc import cli
from tcalloc.demo.words import _NEXT
from tcalloc.evaluate.conclusions.next_step import Source, quoted
from tcalloc.evaluate.conclusions.recommend import Recommendation

QUICK = ["--folds", 2, "--jobs", 1]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of the user's: a run folder of questions of two tasks, and a table with texts and levels."""
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "log.jsonl", questions=60, tasks=True)
    hard = np.arange(60) % 2
    with open("a table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "level", "question", "acc:small", "acc:large", "cost:small", "cost:large"])
        for i, h in enumerate(hard.tolist()):
            text = f"{'Prove, ' if h else ''}what is {i}?"
            writer.writerow([f"q{i}", "hard" if h else "easy", text, 0.2 if h else 0.8, 0.8 if h else 0.85, 1, 4])
    lines = [json.dumps({"id": f"q{i}", "question": f"What is {i}?", "level": int(h)}) for i, h in enumerate(hard)]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def compared(run, *argv):
    """Return what comes after "To fit it" in the output of ``tcalloc compare``."""
    code, out, err = run("compare", *argv, *QUICK)
    assert code == 0, err
    return out.partition("\nTo fit it")[2].partition("\n")[2].strip()


def runs(command):
    """Run a command as a shell would, without another process."""
    words = shlex.split(command)
    assert words[0] == "tcalloc"
    return main(words[1:]) == 0


# ---------------------------------------------------------------------------------------------- after compare


@pytest.mark.parametrize(
    "more",
    [
        ["--policies", "AC Beta"],
        ["--policies", "difficulty label", "--questions", "questions.jsonl", "--difficulty", "task"],
        ["--policies", "kNN", "--questions", "questions.jsonl", "--category", "task"],
    ],
)
def test_a_run_folder_is_fitted_by_the_command(more, run, folder):
    assert main(["import", "log.jsonl", "--out", "my run"]) == 0
    command = compared(run, "my run", "--budgets", 3, *more)
    assert ("--category task" in command) == (len(more) > 2)
    assert runs(command)
    assert (folder / "policy" / "policy.json").exists()


@pytest.mark.parametrize(
    ("argv", "decides"),
    [
        (["--text", "question", "--policies", "kNN"], True),
        (["--policies", "fixed k"], True),
        (["--difficulty", "level", "--policies", "difficulty label"], False),
        (["--questions", "asked.jsonl", "--category", "level", "--policies", "kNN"], True),
    ],
)
def test_a_table_is_fitted_in_python(argv, decides, run, folder):
    lines = compared(run, "a table.csv", "--budgets", 2, *argv)
    assert ("rows_of(" in lines) == ("level" in argv)
    exec(lines, {})
    policy = tcalloc.load_policy("policy/")
    assert policy.budget_ is None or policy.budget_ == pytest.approx(2)
    if decides:
        assert main(["decide", "policy/", "asked.jsonl"]) == 0


@pytest.mark.parametrize("policy", ["margin + cap", "difficulty label"])
@pytest.mark.usefixtures("few_recorded")
def test_the_recorded_table_is_fitted_in_python(policy, run, folder):
    lines = compared(run, "--demo", "--budgets", 2, "--policies", policy)
    exec(lines.replace("out='policy/'", "folds=2, out='policy/'"), {})
    assert (folder / "policy" / "policy.json").exists()


def test_python_users_see_the_names_of_the_arguments(folder):
    table = tcalloc.load_table("a table.csv")
    advice = tcalloc.compare(table, ["fixed k"], [2.0], folds=2).recommend()
    lines = str(advice).partition("To fit it, in Python:")[2].strip()
    exec(lines, {"data": table, "X": None})
    assert (folder / "policy" / "policy.json").exists()


def test_a_label_without_a_name_is_a_place_to_fill_in():
    fields = dict.fromkeys(("picks", "reasons", "settles"), ())
    advice = Recommendation(
        policy="difficulty label", shown=True, questions=60, unit="samples", fits=("--x",), **fields
    )
    assert advice.command().endswith(" --category FIELD --out policy/")
    assert advice.command(Source("my run", label="a level")).startswith(
        'tcalloc fit "my run" --x --category "a level" '
    )


# ---------------------------------------------------------------------------------------------- after other commands


def parsed(command):
    """Return whether the command line is one that tcalloc accepts."""
    words = shlex.split(command)
    assert words.pop(0) == "tcalloc"
    return cli._parser(words).parse_args(words).run is not None


def test_the_demo_names_commands_that_exist():
    commands = [line.removeprefix("Next:").strip() for line in _NEXT.splitlines()]
    assert len(commands) == 3
    assert all(parsed(command.partition("  ")[0]) for command in commands)


def test_the_examples_name_commands_that_run(run):
    code, out, _ = run("example", "my files")
    assert code == 0
    commands = [line.partition(" Next: ")[2] for line in out.splitlines()]
    assert len(commands) == 3
    assert all(map(parsed, commands))
    assert runs(f"{commands[0]} --policies random --folds 2 --jobs 1")
    assert runs(commands[1])


def test_a_plan_of_single_outcomes_names_a_command_that_runs(run):
    assert main(["example", "my files"]) == 0
    code, out, err = run("solve", "my files/outcomes.csv", "--budget", "0.0002")
    assert code == 0, err
    command = next(line for line in out.splitlines() if "run: tcalloc" in line).partition("run: ")[2]
    assert runs(f"{command} --policies random --folds 2 --jobs 1")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_names_are_quoted_for_a_shell():
    names = ["run/", "a b", 'a"b', "$HOME", "`x`", "back\\slash", "it's"]
    script = "printf '%s\\n' " + " ".join(map(quoted, names))
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout.splitlines() == names

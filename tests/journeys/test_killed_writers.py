"""What kill -9 leaves of files that were being written: it counts as tcalloc's own, and the next start removes it."""

import os
import signal
import subprocess
import sys

import pytest
from places import ENVIRONMENT

from tcalloc.cli import main
from tcalloc.errors import InputError
from tcalloc.learn import Fixed
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.measure import Table
from tcalloc.runs.store import Store, read_run

TABLE = Table([[0.5, 0.6]] * 4, [1.0, 3.0], action_names=("vote1", "vote5"))
NAMES = ("run.json", "questions.jsonl", "samples.jsonl", "requests.jsonl", "answers.jsonl")


def made(path):
    with Store.create(path, {"arms": []}, [{"id": "a", "question": "1 + 1"}]) as store:
        store.append({"id": "a", "sample": 0, "params": "p", "answer": "2", "correct": True})
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_run_with_half_of_a_file(name, tmp_path):
    run = made(tmp_path / "run")
    for rest in (f"{name}.0123abcd.tmp", f"{name}.ffffffff.tmp"):
        (run / rest).write_text("half")
    kept = ["mine.0123abcd.tmp", f"{name}.0123abcd.tmp.txt", f"{name}.tmp", f"{name}.0123ABCD.tmp"]
    for theirs in kept:
        (run / theirs).write_text("mine")
    Store.open(run).close()
    assert sorted(os.listdir(run)) == sorted(["lock", "questions.jsonl", "run.json", "samples.jsonl", *kept])
    assert len(read_run(run).records) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_new_run_where_half_of_a_file_stands(name, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / f"{name}.0123abcd.tmp").write_text("half")
    made(run)
    assert sorted(os.listdir(run)) == ["lock", "questions.jsonl", "run.json", "samples.jsonl"]


def test_a_link_of_such_a_name_is_not_ours(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.write_text("mine")
    run = made(tmp_path / "run")
    (run / "samples.jsonl.0123abcd.tmp").symlink_to(theirs)
    Store.open(run).close()
    assert theirs.read_text() == "mine"
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "samples.jsonl.0123abcd.tmp").symlink_to(theirs)
    with pytest.raises(InputError, match="no file of yours is replaced"):
        made(tmp_path / "new")


SLOW = """
import sys, time, os
import tcalloc._files as files
replace = os.replace
def slow(*args):
    if args[1].endswith({name!r}):
        print("now", flush=True)
        time.sleep(60)
    replace(*args)
os.replace = slow
from tcalloc.cli import main
main({arguments!r})
"""


def killed(name, *arguments):
    """Run a command, and kill it when it is about to put a file into its place."""
    script = SLOW.format(name=name, arguments=[str(argument) for argument in arguments])
    with subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        while line and line != b"now\n":
            line = process.stdout.readline()
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_grading_again_killed_in_its_last_step(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"id": "a", "question": "1 + 1", "gold": "2", "completion": "It is 2."}\n' * 2)
    run = tmp_path / "run"
    assert main(["import", str(log), "--out", str(run), "--grader", "numeric", "--field", "text=completion"]) == 0
    killed("samples.jsonl", "grade", run, "--grader", "normalized")
    assert any(name.endswith(".tmp") for name in os.listdir(run))
    assert main(["grade", str(run), "--grader", "normalized"]) == 0
    assert not [name for name in os.listdir(run) if name.endswith(".tmp")]
    assert len(read_run(run).records) == 2


@pytest.mark.parametrize("rests", [["policy.json.0123abcd.tmp"], ["arrays-01234567.npz.0123abcd.tmp"]])
def test_a_policy_whose_first_save_was_killed(rests, tmp_path):
    folder = tmp_path / "policy"
    folder.mkdir()
    for rest in rests:
        (folder / rest).write_text("half")
        os.utime(folder / rest, (0, 0))
    (folder / "policy.json.ffffffff.tmp").write_text("half")  # perhaps of a process that is saving now
    policy = Fixed("vote5").fit(["a", "b", "c", "d"], TABLE)
    policy.save(folder)
    assert [name for name in os.listdir(folder) if name.endswith(".tmp")] == ["policy.json.ffffffff.tmp"]
    # A save that wrote its arrays, and was killed before policy.json was there.
    whole = sorted(os.listdir(folder))
    (folder / "policy.json").unlink()
    policy.save(folder)
    assert sorted(os.listdir(folder)) == whole
    assert load_policy(folder).column_ == policy.column_
    # A file of such a name whose contents are the user's.
    (folder / "policy.json").unlink()
    (folder / "arrays-01234567.npz").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        policy.save(folder)
    assert (folder / "arrays-01234567.npz").read_text() == "mine"


def test_an_import_that_was_killed(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"id": "a", "question": "1 + 1", "answer": "2", "correct": true}\n')
    left, theirs = made(tmp_path / "run.0123abcd.part"), made(tmp_path / "run.89abcdef.part")
    (theirs / "notes.txt").write_text("mine")
    with Store.create(tmp_path / "run.aaaaaaaa.part", {"arms": []}, []):  # of an import that goes on
        assert main(["import", str(log), "--out", str(tmp_path / "run")]) == 0
        assert (tmp_path / "run.aaaaaaaa.part").exists()
    assert not left.exists()
    assert (theirs / "notes.txt").read_text() == "mine"

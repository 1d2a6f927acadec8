"""Folders and files of others: nothing of the user's is written over, and a stranger's run costs one sentence."""

import csv
import io
import json
import os
import subprocess
import sys
import time

import pytest

import tcalloc
from tcalloc import InputError
from tcalloc._outputs import refuse_to_replace
from tcalloc._printing import clean
from tcalloc.cli import main
from tcalloc.measure import Samples
from tcalloc.measure.table_files.columns import layout
from tcalloc.measure.table_files.write import defused, plain_text, write_csv
from tcalloc.runs.held_samples import HeldSamples, refuse_count
from tcalloc.runs.lines import seal
from tcalloc.runs.run_files import is_run
from tcalloc.runs.store import Store, read_run

QUESTIONS = [{"id": "a", "question": "1+1?", "gold": "2", "accept": []}]
TABLE = "id,acc:v1,acc:v4,cost:v1,cost:v4\n{},0.5,0.9,1,4\n"


def record(**more):
    return {"id": "a", "sample": 0, "params": "p", "arm": "m", "model": "x", "answer": "2", "correct": True} | more


def made(path):
    with Store.create(path, {"arms": [{"arm": "m", "model": "x", "grader": "numeric"}]}, QUESTIONS) as store:
        store.append(record())
    return path


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


# ---------------------------------------------------------------------------------------------- the user's files


@pytest.mark.parametrize("name", ["questions.jsonl", "samples.jsonl", "answers.jsonl", "notes.txt", "run.json", "lock"])
def test_a_new_run_touches_no_folder_with_files(name, tmp_path):
    (tmp_path / name).write_text('{"id": "q"}\n')
    before = contents(tmp_path)
    with pytest.raises(InputError):
        Store.create(tmp_path, {}, QUESTIONS)
    with pytest.raises(InputError):
        Store.open(tmp_path)
    assert contents(tmp_path) == before


def test_sample_into_the_folder_of_its_questions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "questions.jsonl").write_text('{"question": "1+1?", "answer": "2", "more": 1}\n')
    before = contents(tmp_path)
    argv = ["questions.jsonl", "--out", ".", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"]
    assert main(["sample", *argv]) == 1
    assert "holds 'questions.jsonl', and no run of tcalloc's" in capsys.readouterr().err
    assert main(["answer", *argv, "--policy", "vote1"]) == 1
    assert contents(tmp_path) == before


def test_answers_of_the_user_in_a_run_are_kept(tmp_path):
    run = made(tmp_path / "run")
    (run / "answers.jsonl").write_text("mine")
    with Store.open(run) as store:
        with pytest.raises(InputError, match=r"holds answers\.jsonl, which tcalloc did not write"):
            store.claim("answers.jsonl")
        (run / "answers.jsonl").unlink()
        store.claim("answers.jsonl")
        (run / "answers.jsonl").write_text("tcalloc's")
        store.claim("answers.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege")
@pytest.mark.parametrize("name", ["samples.jsonl", "questions.jsonl", "run.json", "lock", "answers.jsonl"])
def test_nothing_is_written_through_a_link(name, tmp_path):
    run = made(tmp_path / "run")
    own = tmp_path / "own"
    own.write_bytes((run / name).read_bytes() if (run / name).exists() else b"mine")
    before = own.read_bytes()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(own)
    with pytest.raises(InputError, match="symbolic link"):
        Store.open(run)
    assert own.read_bytes() == before


def test_a_run_that_was_being_made_is_made_again(tmp_path):
    run = made(tmp_path / "run")
    manifest = json.loads((run / "run.json").read_text()) | {"unfinished": True}
    (run / "samples.jsonl").unlink()
    (run / "run.json").write_text(json.dumps(manifest))
    (run / "questions.jsonl.0123abcd.tmp").write_text("half")
    with pytest.raises(InputError, match="was being made"):
        read_run(run)
    assert not is_run(str(run))
    made(run)
    assert len(read_run(run).records) == 1


def test_outputs_replace_only_what_tcalloc_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE.format("q1"))
    (tmp_path / "mine.csv").write_text("my,data\n1,2\n")
    solve = ["solve", "t.csv", "--budget", "4", "--out"]
    assert main([*solve, "mine.csv"]) == 1
    assert "exists already, and tcalloc did not write it" in capsys.readouterr().err
    assert (tmp_path / "mine.csv").read_text() == "my,data\n1,2\n"
    assert [main([*solve, "plan.csv"]) for _ in range(2)] == [0, 0]
    assert main([*solve, "mine.csv", "--force"]) == 0
    assert main([*solve, "plan.npz"]) == main([*solve, "plan.npz"]) == 0


def test_plots_replace_only_plots_of_tcalloc(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE.format("q1"))
    for suffix in ("png", "svg", "pdf"):
        (tmp_path / f"mine.{suffix}").write_bytes(b"a picture")
        assert main(["frontier", "t.csv", "--plot", f"mine.{suffix}"]) == 1
        assert [main(["frontier", "t.csv", "--plot", f"new.{suffix}"]) for _ in range(2)] == [0, 0]
        assert (tmp_path / f"mine.{suffix}").read_bytes() == b"a picture"
    (tmp_path / "tcalloc-demo.png").write_bytes(b"a picture")
    assert main(["demo"]) == 1
    assert "--force" in capsys.readouterr().err
    refuse_to_replace("tcalloc-demo.png", force=True)


# ---------------------------------------------------------------------------------------------- strangers' runs


@pytest.mark.parametrize(
    "change",
    [
        {"sample": 2 * 10**10},
        {"cost": "1"},
        {"cost": -1},
        {"cost": 10**400},
        {"answer": ["a"]},
        {"correct": "yes"},
        {"model": 3},
        {"text": {}},
        {"output_tokens": []},
    ],
)
def test_values_of_a_wrong_type_or_range(change, tmp_path):
    run = made(tmp_path / "run")
    with open(run / "samples.jsonl", "wb") as file:
        file.write(seal(record(**change)))
    started = time.process_time()
    for read in (Samples.load, read_run):
        with pytest.raises(InputError, match=f"line 1: {next(iter(change))} is "):
            read(run)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","sample":0,"params":"p","x":' + b"[" * 100_000 + b"]" * 100_000,
        b'{"id":"a","sample":0,"params":"p","cost":1e999',
        b'{"id":"a","sample":0,"params":"p"},{"id":"b","sample":1,"params":"p"',
        b'{"id":"a","sample":0,"params":"p",junk',
        b'{"id":"a","sample":' + b"9" * 5000 + b',"params":"p"',
    ],
)
def test_sealed_lines_that_are_no_samples(body, tmp_path):
    import zlib

    run = made(tmp_path / "run")
    (run / "samples.jsonl").write_bytes(b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    with pytest.raises(InputError, match="line 1") as caught:
        read_run(run)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["run.json", "questions.jsonl", "samples.jsonl", "lock"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_are_not_waited_for(name, tmp_path):
    run = made(tmp_path / "run")
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(InputError, match="not a regular file"), Store.open(run):
        read_run(run)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": 1e999}', "NaN", " " * (1 << 25), '{"schema":1,"tcalloc":[]}']
)
def test_manifests_of_strangers(text, tmp_path):
    run = made(tmp_path / "run")
    (run / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        read_run(run)


def test_lines_without_a_checksum_are_not_blanked(tmp_path):
    run = made(tmp_path / "run")
    (run / "samples.jsonl").write_text('{"id": "mine"}\n')
    with pytest.raises(InputError, match="without a checksum"):
        Store.open(run)
    assert (run / "samples.jsonl").read_text() == '{"id": "mine"}\n'


def test_numbers_of_samples():
    held = HeldSamples()
    for number in (0, 5, 1023, 1024, 999_999):
        assert held.add(("a", "p"), number)
        assert not held.add(("a", "p"), number)
    assert held.bits(("a", "p")) == sum(1 << j for j in (0, 5, 1023, 1024, 999_999))
    with pytest.raises(InputError, match=r"--samples is 1,000,000,000,000; at most 1,000,000"):
        refuse_count(10**12, "--samples")


def test_a_policy_that_is_the_users_is_not_replaced(tmp_path):
    from tcalloc.learn.saving.policy_folder import load_policy, refuse_folder

    (tmp_path / "policy.json").write_text('{"mine": 1}')
    with pytest.raises(InputError, match="not a policy that tcalloc wrote"):
        refuse_folder(str(tmp_path))
    (tmp_path / "policy.json").write_text(" " * (1 << 26))
    with pytest.raises(InputError, match="larger than"):
        load_policy(tmp_path)


# ---------------------------------------------------------------------------------------------- what is printed


def test_escapes_are_printed_as_text(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    evil = "\x1b[31m\x9b2J\u202e"
    (tmp_path / "t.csv").write_text(f"id,acc:{evil},cost:{evil}\nq,0.5,1\n", encoding="utf-8")
    assert main(["solve", "t.csv", "--budget", "1"]) == 0
    out, err = capsys.readouterr()
    assert "\\u001b[31m\\u009b2J\\u202e" in out
    assert clean(out + err) == out + err
    assert main(["solve", f"no{evil}.csv", "--budget", "1"]) == 1
    err = capsys.readouterr().err
    assert clean(err) == err
    assert json.loads(clean(json.dumps("\x85\U000e0041", ensure_ascii=False))) == "\x85\U000e0041"


def test_cells_that_a_spreadsheet_would_run(tmp_path):
    import numpy as np

    for cell in ("=1+1", "+cmd", "-x", "@sum", "\t=1", "'=1", "''@x"):
        assert defused(cell) == "'" + cell
        assert plain_text(defused(cell)) == cell
    for cell in ("-5", "+1.5e3", "vote4", "'tis", ""):
        assert defused(cell) == plain_text(cell) == cell
    file = io.BytesIO()
    write_csv(file, {"id": np.array(["=HYPERLINK(1)", "b"], object), "cost": np.array([-1.0, 2])})
    rows = list(csv.reader(io.StringIO(file.getvalue().decode())))
    assert rows == [["id", "cost"], ["'=HYPERLINK(1)", "-1.0"], ["b", "2.0"]]
    (tmp_path / "t.csv").write_text(TABLE.format("'=1+1"))
    assert tcalloc.measure.load_table(tmp_path / "t.csv").ids.tolist() == ["=1+1"]


def test_layout_is_linear():
    headers = [f"{kind}:{i}" for kind in ("acc", "cost") for i in range(50_000)]
    started = time.process_time()
    assert len(layout("t", headers).names) == 50_000
    assert time.process_time() - started < 5


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(tmp_path):
    from tcalloc._files import naming

    with pytest.raises(OSError, match=r"No space") as caught, naming("plan.csv"), open("/dev/full", "wb") as file:
        file.write(b"x" * 100_000)
    assert caught.value.filename == "plan.csv"


# ---------------------------------------------------------------------------------------------- nearly empty tables


UNEVEN = """
import resource, sys
import tcalloc.measure as measure
from tcalloc import InputError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
try:
    print(measure.Samples.load(sys.argv[1]))
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc and RLIMIT_AS")
@pytest.mark.parametrize("kind", ["one question with many samples", "many models", "even"])
def test_memory_is_in_proportion_to_the_samples(kind, tmp_path):
    n = 8_000
    ids = [f"q{i}" for i in range(n)]
    records = [{"id": i, "sample": 0} for i in ids]
    if kind == "one question with many samples":
        records += [{"id": "q7", "sample": j} for j in range(1, n)]
    elif kind == "many models":
        records += [{"id": "q7", "sample": 0, "arm": f"m{j}", "model": f"m{j}", "params": f"p{j}"} for j in range(3000)]
    with Store.create(tmp_path / "run", {"arms": []}, [{"id": i, "gold": "2"} for i in ids]):
        pass
    (tmp_path / "run" / "samples.jsonl").write_bytes(b"".join(seal(record(**some)) for some in records))
    found = subprocess.run([sys.executable, "-c", UNEVEN, str(tmp_path / "run")], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert ("Samples(8,000 questions, 1 sample)" if kind == "even" else "'q7' has") in found.stdout
    assert found.stdout.count("\n") == 1

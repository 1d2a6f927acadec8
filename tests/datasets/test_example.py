"""``tcalloc example``: three small files, the commands that it names for them, and files of the user that stay."""

import json
import shlex

import numpy as np
import pytest

import tcalloc
from tcalloc import InputError, Samples, cli, load_table
from tcalloc.datasets import load_recorded, write_example

NAMES = ["outcomes.csv", "answers.jsonl", "questions.jsonl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("example")
    write_example(str(path))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_three_lines_each_with_the_next_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["example"]) == 0
    out, err = capsys.readouterr()
    said = out.splitlines()
    assert [line.partition(":")[0] for line in said] == NAMES
    for command, line in zip(("compare", "import", "sample"), said, strict=True):
        assert f". Next: tcalloc {command} " in line
    assert not err
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 200_000


def test_the_commands_that_it_names_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("aiohttp")
    pytest.importorskip("sklearn")
    from chaos import Chaos

    monkeypatch.chdir(tmp_path)
    compare, import_, sample = (shlex.split(file.command)[1:] for file in write_example("."))
    # All policies take five times as long.
    assert cli.main([*compare, "--policies", "priced,fixed k", "--folds", "2", "--jobs", "1"]) == 0
    assert "per question: priced" in capsys.readouterr().out
    assert cli.main(import_) == 0
    assert len(Samples.load("run/").ids) == 244
    with Chaos() as server:
        at = sample.index("--local")
        assert cli.main([*sample[:at], "--base-url", server.url, "--model", "tiny", *sample[at + 1 :]]) == 0
    assert Samples.load("sampled/").correct.shape == (48, 4)


def test_outcomes_are_first_answers_with_dollars(folder):
    recorded = load_recorded()
    table = load_table(folder / "outcomes.csv")
    rows = [recorded.ids.tolist().index(name) for name in table.ids]
    assert len(rows) == 244
    assert list(table.action_names) == ["smollm2", "gemma3", "qwen"]
    for column, model in enumerate(recorded.models):
        assert table.acc[:, column].tolist() == recorded.correct[model][rows, 0].tolist()
    np.testing.assert_allclose(table.cost[0], [0.0001, 0.00012, 0.00026])


def test_the_log_becomes_the_recorded_samples(folder, tmp_path, capsys):
    assert cli.main(["import", str(folder / "answers.jsonl"), "--out", str(tmp_path / "run")]) == 0
    recorded, samples = load_recorded(), Samples.load(tmp_path / "run")
    rows = [recorded.ids.tolist().index(name) for name in samples.ids]
    for name, model in (("smollm2", "smollm2_135m"), ("qwen", "qwen25_0p5b")):
        found = samples.by_model[name]
        assert found.correct.astype(bool).tolist() == recorded.correct[model][rows, :8].tolist()
        assert (found.answers >= 0).all()
    assert "note" not in capsys.readouterr().err


def test_new_questions_are_in_no_other_file(folder):
    known = {row["id"] for row in lines(folder / "answers.jsonl")}
    new = lines(folder / "questions.jsonl")
    assert len(new) == 48
    assert known.isdisjoint(row["id"] for row in new)
    assert len(known) + len(new) == len(load_recorded().ids) - 1  # one has a sample without an answer
    assert {row["question"] for row in new}.isdisjoint(row["question"] for row in lines(folder / "answers.jsonl"))


def test_the_same_files_again_are_no_conflict(folder):
    before = contents(folder)
    assert [file.path for file in write_example(str(folder))] == [str(folder / name) for name in NAMES]
    assert contents(folder) == before


@pytest.mark.parametrize("name", NAMES)
def test_files_of_the_user_stay(name, tmp_path, capsys):
    (tmp_path / name).write_text("mine\n")
    assert cli.main(["example", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path / name}: exists already" in err
    assert "--force" in err
    assert contents(tmp_path) == {name: b"mine\n"}
    assert cli.main(["example", str(tmp_path), "--force"]) == 0
    assert sorted(contents(tmp_path)) == sorted(NAMES)
    assert contents(tmp_path)[name] != b"mine\n"


def test_a_file_of_the_same_size_that_is_another(folder, tmp_path):
    write_example(str(tmp_path))
    changed = (tmp_path / "outcomes.csv").read_text().replace("local-0", "local-X", 1)
    (tmp_path / "outcomes.csv").write_text(changed)
    with pytest.raises(InputError, match="exists already"):
        write_example(str(tmp_path))
    assert (tmp_path / "outcomes.csv").read_text() == changed


def test_a_link_to_a_file_of_the_user(tmp_path):
    (tmp_path / "mine").write_text("mine\n")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "answers.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="exists already"):
        write_example(str(tmp_path / "new"))
    assert (tmp_path / "mine").read_text() == "mine\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["answers.jsonl"]


def test_a_folder_is_made_and_a_file_is_none(tmp_path, capsys):
    assert cli.main(["example", str(tmp_path / "a" / "b c")]) == 0
    said = capsys.readouterr().out
    assert f"tcalloc import '{tmp_path / 'a' / 'b c' / 'answers.jsonl'}'" in said
    (tmp_path / "file").write_text("")
    assert cli.main(["example", str(tmp_path / "file")]) == 1
    assert "not a folder" in capsys.readouterr().err


def test_from_python():
    assert tcalloc.datasets.write_example is write_example
    assert tcalloc.datasets.ExampleFile.__name__ == "ExampleFile"

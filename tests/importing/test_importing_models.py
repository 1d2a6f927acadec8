"""Whose samples they are: several files, columns that name models, and what is said of it."""

import pytest
from import_cases import imported, jsonl, refused, shares, taken

from tcalloc.errors import InputError
from tcalloc.importing.import_logs import import_logs


def rows(right, n=10, **more):
    return [{"id": f"q{i}", "answer": "y" if i < right else f"n{i}", "gold": "y", **more} for i in range(n)]


def several(tmp_path, files, **options):
    return import_logs([jsonl(tmp_path, some, name) for name, some in files.items()], tmp_path / "run", **options)


@pytest.mark.parametrize(
    ("files", "models"),
    [
        ({"small.jsonl": rows(3), "large.jsonl": rows(9)}, {"small": (10, 3), "large": (10, 9)}),
        ({"a.jsonl": rows(3), "b.jsonl.gz": rows(9), "c.jsonl": rows(5)}, {"a": (10, 3), "b": (10, 9), "c": (10, 5)}),
        ({"m1/out.jsonl": rows(3), "m2/out.jsonl": rows(9)}, {"m1": (10, 3), "m2": (10, 9)}),
        ({"m1/x/out.jsonl": rows(3), "m2/y/out.jsonl": rows(9)}, {"x": (10, 3), "y": (10, 9)}),
        ({"a.jsonl": rows(3), "b.jsonl": rows(4, 5)}, {"a": (10, 3), "b": (5, 4)}),
        ({"a.jsonl": rows(3), "b.jsonl": rows(9, model="B")}, {"a": (10, 3), "B": (10, 9)}),
        ({"a.jsonl": rows(3, model="A"), "b.jsonl": rows(9, model="B")}, {"A": (10, 3), "B": (10, 9)}),
    ],
)
def test_several_files_of_the_same_questions_are_several_models(tmp_path, files, models):
    report = several(tmp_path, files)
    assert shares(report) == models
    named = all("model" in row for some in files.values() for row in some)
    assert any("one model each" in note for note in report.notes) != named


def test_one_model_in_several_files(tmp_path):
    files = {"a.jsonl": rows(3), "b.jsonl": rows(9)}
    report = several(tmp_path, files, model="acme")
    assert (shares(report), report.per_question) == ({"acme": (20, 12)}, (2, 2))
    (tmp_path / "shards").mkdir()
    other = [row | {"id": f"other {row['id']}"} for row in rows(9)]
    assert shares(several(tmp_path / "shards", {"a.jsonl": rows(3), "b.jsonl": other})) == {"imported": (20, 12)}


def test_a_copy_is_warned_of(tmp_path):
    report = several(tmp_path, {"a.jsonl": rows(3), "b.jsonl": rows(3)})
    assert report.warnings[0].endswith("b.jsonl hold the same samples. If one is a copy of the other, leave it out.")


def test_files_of_two_tasks_with_the_same_ids_are_refused(tmp_path):
    files = {
        "a.jsonl": [{"id": 0, "problem": "A?", "correct": 1}],
        "b.jsonl": [{"id": 0, "problem": "B?", "correct": 1}],
    }
    with pytest.raises(
        InputError, match=r"b\.jsonl, line 1: the id '0' stands for two questions, 'B\?' here and 'A\?'"
    ):
        several(tmp_path, files)


@pytest.mark.parametrize("name", ["model", "model_name", "engine", "llm", "system", "agent", "deployment"])
def test_a_column_names_the_models(tmp_path, name):
    report, _ = imported(tmp_path, [*rows(3, **{name: "s"}), *rows(9, **{name: "l"})])
    assert shares(report) == {"s": (10, 3), "l": (10, 9)}


def test_an_unknown_column_that_may_name_models_is_warned_of(tmp_path):
    log = [*rows(3, flavour="s", split="test"), *rows(9, flavour="l", split="test")]
    report, _ = imported(tmp_path, log)
    assert report.warnings == [
        "all samples are taken as one model's, but 'flavour' has 2 values ('s', 'l') on the same questions. If these "
        "are models, use --field model=flavour."
    ]
    for options in ({"model": "acme"}, {"fields": {"model": ""}}, {"fields": {"model": "flavour"}}):
        folder = tmp_path / str(len(str(options)))
        folder.mkdir()
        assert not imported(folder, log, **options)[0].warnings


def test_lines_of_one_id_are_samples_and_that_is_said(tmp_path):
    report, _ = imported(tmp_path, [{"id": "a", "answer": answer, "gold": "3"} for answer in "343"])
    assert report.notes == ["3 lines of id a are taken as 3 samples."]
    (tmp_path / "numbered").mkdir()
    log = [{"id": "a", "answer": answer, "gold": "3", "sample": i} for i, answer in enumerate("343")]
    assert imported(tmp_path / "numbered", log)[0].notes == []


def test_models_whose_tokens_differ_and_have_no_cost(tmp_path):
    log = [*rows(3, model="s", output_tokens=50), *rows(9, model="l", output_tokens=400)]
    report, _ = imported(tmp_path, log)
    assert report.warnings == [
        "a sample of l has 8.0 times as many output tokens as one of s (400 and 50), but no cost is recorded: every "
        "sample counts as 1. Give each row a cost, e.g. --field cost=NAME."
    ]
    (tmp_path / "priced").mkdir()
    assert imported(tmp_path / "priced", [row | {"cost": 1} for row in log])[0].warnings == []


def test_options_of_another_format_are_refused(tmp_path):
    assert "--filter and --metric are for logs of lm-evaluation-harness, and none is given" in refused(
        tmp_path, rows(3), metric="acc"
    )
    assert taken(imported(tmp_path, rows(3))[0])["answer"] == "answer"

"""`from_lm_eval`: a results folder of lm-evaluation-harness as samples. The recorded one is real: version 0.4.13."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from import_cases import jsonl

import tcalloc
from tcalloc.errors import InputError
from tcalloc.runs.store import read_run

# 12 questions, asked 4 times each of SmolLM2-135M-Instruct (Apache 2.0) with the task file of examples/.
RECORDED = Path(__file__).parent / "recorded_lm_eval"
DATE = "2026-01-0{}T00-00-00.000000"


def row(doc_id, texts, target="1", filter="numbers"):
    return {
        "doc_id": doc_id, "doc": {"question": f"Question {doc_id}?"}, "target": target, "resps": [texts],
        "filtered_resps": [texts], "filter": filter, "metrics": ["exact_match"],
        "exact_match": float(texts[0] == target),
    }  # fmt: skip


def written(tmp_path, *runs):
    """Write logs of (model, task, day, rows)."""
    for model, task, day, rows in runs:
        jsonl(tmp_path, rows, f"{model}/samples_{task}_{DATE.format(day)}.jsonl")
    return tmp_path


def refused(results, **options):
    with pytest.raises(InputError) as caught:
        tcalloc.from_lm_eval(results, **options)
    words = str(caught.value)
    assert words.endswith((".", "?"))
    assert "--filter" not in words
    return words


def right(samples):
    return np.argwhere(samples.answers == 0).tolist()


def test_the_recorded_folder():
    samples = tcalloc.from_lm_eval(RECORDED)
    assert samples.answers.shape == (12, 4)
    assert right(samples) == [[0, 0], [11, 1]]  # by hand: 3 and 67, and nothing else, are the whole text
    assert (samples.answers == -1).sum() == 3  # one blank, and two that are empty


def test_graded_anew():
    assert right(tcalloc.from_lm_eval(RECORDED, grader="numeric")) == [[0, 0], [1, 0], [11, 1]]  # "2 + 5 = 7" too


def test_the_run_folder_is_kept_if_it_is_asked_for(tmp_path):
    tcalloc.from_lm_eval(RECORDED, tmp_path / "run")
    assert len(read_run(tmp_path / "run").records) == 48


def test_models_and_tasks(tmp_path):
    rows = [row(i, ["1", "2"]) for i in range(3)]
    results = written(tmp_path, *[(m, t, 1, rows) for m in ("small", "large") for t in ("easy", "hard")])
    samples = tcalloc.from_lm_eval(results)
    assert set(samples.arms) == {"small", "large"}
    assert sorted(samples.ids)[0] == "easy/0"
    assert len(tcalloc.from_lm_eval(results, tasks="easy").ids) == 3
    assert tcalloc.from_lm_eval(results / "small").answers.shape == (6, 2)
    assert "tasks is 'hrad'; allowed are 'easy' and 'hard'" in refused(results, tasks=["hrad"])


def test_several_runs_of_a_task(tmp_path):
    results = written(
        tmp_path,
        ("small", "sums", 1, [row(0, ["1"]), row(1, ["2"])]),
        ("small", "sums", 2, [row(0, ["2"]), row(1, ["2"])]),
    )
    assert "2 runs of the task 'sums'. Say which count: runs='latest', or runs='all'" in refused(results)
    assert (tcalloc.from_lm_eval(results, runs="latest").answers == 0).sum() == 0
    both = tcalloc.from_lm_eval(results, runs="all")
    assert both.answers.shape == (2, 2)
    assert (both.answers == 0).sum() == 1
    assert "runs is 'some'; allowed are 'latest' and 'all'" in refused(results, runs="some")
    written(tmp_path, ("large", "sums", 1, [row(0, ["1"])]))
    assert "there are the models large, small. Call it once for the folder of each" in refused(results, runs="all")


def test_several_filters_are_chosen_by_an_argument(tmp_path):
    rows = [row(i, ["1"], filter=name) for i in range(2) for name in ("strict", "flexible")]
    results = written(tmp_path, ("small", "sums", 1, rows))
    assert "choose one by filter=NAME" in refused(results)
    assert tcalloc.from_lm_eval(results, filter="strict").answers.shape == (2, 1)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "no folder. Pass what --output_path"),
        ([], "no samples_*.jsonl. Run lm-evaluation-harness with --log_samples"),
        (["results_2026.json"], "There are results without samples. Run"),
    ],
)
def test_folders_without_samples(tmp_path, files, words):
    results = tmp_path / "results"
    for name in files or ():
        (results / "small").mkdir(parents=True)
        (results / "small" / name).write_text("{}")
    if files is not None:
        results.mkdir(exist_ok=True)
    assert words in refused(results)


def test_repeats_in_which_the_filter_found_nothing(tmp_path):
    rows = [row(i, ["It is 1", "Hm"]) | {"filtered_resps": [["1", "[invalid]"]]} for i in range(2)]
    samples = tcalloc.from_lm_eval(written(tmp_path, ("small", "sums", 1, rows)))
    assert samples.answers.tolist() == [[0, -1], [0, -1]]


def test_repeats_that_are_all_alike_are_warned_of(tmp_path):
    """As the harness sends one seed with every request, a server that heeds it repeats itself."""
    alike = [row(i, [f"{i}"] * 4) for i in range(3)]
    notes = tcalloc.from_lm_eval(written(tmp_path, ("small", "sums", 1, alike))).notes
    assert any("the repeats of all 3 questions are the same text" in note and "seed: null" in note for note in notes)
    notes = tcalloc.from_lm_eval(RECORDED).notes
    assert not any("same text" in note for note in notes)
    other = [*alike, row(3, ["1", "2"])]
    shutil.rmtree(tmp_path / "small")
    notes = tcalloc.from_lm_eval(written(tmp_path, ("small", "sums", 1, other))).notes
    assert not any("same text" in note for note in notes)


def test_the_recorded_folder_is_as_the_harness_wrote_it():
    (log,) = RECORDED.glob("*/samples_*.jsonl")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [len(row["resps"][0]) for row in rows] == [4] * 12
    assert rows[0]["arguments"]["gen_args_0"]["arg_1"]["seed"] is None

"""Logs of other tools as a run folder: what is read, what is said, and that there is all of it or nothing."""

import gzip
import json
import os

import pandas as pd
import polars as pl
import pytest
from import_cases import imported, jsonl, refused, told

from tcalloc._files import MOST_LINE
from tcalloc.cli import import_ as command
from tcalloc.cli._parser import Parser
from tcalloc.errors import InputError
from tcalloc.importing.import_logs import import_frame, import_logs
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import Question
from tcalloc.measure import Samples
from tcalloc.runs.store import read_run

# ---------------------------------------------------------------------------------------------- JSON lines


def test_answers_with_gold(tmp_path):
    rows = [
        {"id": "q1", "answer": "42", "gold": "42.0", "cost": 0.5, "output_tokens": 7},
        {"id": "q1", "answer": "$42", "gold": "42.0"},
        {"id": 2, "answer": "The Paris", "gold": "Paris", "accept": ["Lutetia"]},
        {"id": 2, "answer": "lutetia", "finish": "length", "logprob": -1.5},
        {"id": 2, "answer": "Rome"},
    ]
    report, run = imported(tmp_path, rows)
    assert (report.questions, report.samples, report.marked, report.right) == (2, 5, 5, 4)
    assert (report.formats, report.models, report.per_question) == (["jsonl"], ["imported"], (2, 3))
    assert report.notes == ["3 lines of id 2 are taken as 3 samples, and likewise those of 1 other id."]
    assert told(run, "id", "sample", "answer", "correct") == [
        ("q1", 0, "42", True),
        ("q1", 1, "42", True),
        ("2", 0, "paris", True),
        ("2", 1, "paris", True),
        ("2", 2, "rome", False),
    ]
    first, second, *_ = run.records
    assert (first["cost"], first["output_tokens"], first["input_tokens"]) == (0.5, 7, None)
    assert (second["cost"], second["output_tokens"]) == (None, None)
    assert (run.records[3]["truncated"], run.records[3]["logprob"]) == (True, -1.5)
    assert run.questions[1] == {"id": "2", "question": "2", "gold": "Paris", "accept": ["Lutetia"]}
    assert run.manifest["imported"] == [{"log": "logs.jsonl", "format": "jsonl"}]
    assert [arm["model"] for arm in run.manifest["arms"]] == ["imported"]


def test_what_the_log_says_of_right_and_wrong_counts(tmp_path):
    rows = [
        {"question_id": "a", "prediction": "7", "is_correct": 1, "model": "small", "tokens": 5},
        {"question_id": "a", "prediction": "8", "is_correct": False, "model": "small"},
        {"question_id": "a", "prediction": "8", "is_correct": 0.0, "model": "large"},
    ]
    report, run = imported(tmp_path, rows, "logs.jsonl.gz")
    assert report.models == ["large", "small"]
    assert told(run, "model", "sample", "answer", "correct") == [
        ("small", 0, "7", True),
        ("small", 1, "8", False),
        ("large", 0, "8", False),
    ]
    assert report.notes == ["2 lines of id a by small are taken as 2 samples."]
    assert len({record["params"] for record in run.records}) == 2


def test_lists_hold_one_entry_per_sample(tmp_path):
    rows = [
        {
            "id": "q",
            "answer": ["a", None, "b"],
            "correct": [True, False, False],
            "cost": 0.25,
            "output_tokens": [1, 2, 3],
        }
    ]
    _, run = imported(tmp_path, rows)
    assert told(run, "sample", "answer", "correct", "cost", "output_tokens") == [
        (0, "a", True, 0.25, 1),
        (1, None, False, 0.25, 2),
        (2, "b", False, 0.25, 3),
    ]


def test_texts_are_graded(tmp_path):
    questions = jsonl(tmp_path, [{"id": "q", "question": "6 times 7?", "answer": "#### 42"}], "questions.jsonl")
    rows = [
        {"id": "q", "text": "It is 6 * 7 = 42.", "correct": False},
        {"id": "q", "text": "About 40"},
        {"id": "q", "text": "?"},
    ]
    report, run = imported(tmp_path, rows, questions=questions, grader="numeric")
    assert told(run, "answer", "correct") == [("42", True), ("40", False), (None, False)]
    assert run.records[0]["text"] == "It is 6 * 7 = 42."
    assert run.manifest["grader"] == "numeric"
    assert (report.marked, report.right) == (3, 1)


def test_a_graders_crash_marks_that_answer(tmp_path):
    def grade(question, text):
        if text == "b":
            raise RuntimeError("no luck")
        return text == "a"

    report, run = imported(
        tmp_path, [{"id": "q", "text": text, "gold": "a"} for text in "abc"], grader=grade, keep_text=False
    )
    assert told(run, "correct", "error") == [(True, None), (None, "RuntimeError: no luck"), (False, None)]
    assert (report.errors, report.error_reasons) == (1, {"RuntimeError: no luck": 1})
    assert (report.marked, report.right) == (2, 1)
    assert ["text" in record for record in run.records] == [False, True, False]  # needed to grade it again


def test_graders_in_processes(tmp_path):
    rows = [{"id": f"q{i}", "text": f"so = {i}.", "gold": str(i % 7)} for i in range(300)]
    grader = make_grader(r"regex:= (\d+)", limit=60.0)
    try:
        _, run = imported(tmp_path, rows, grader=grader)
    finally:
        grader.close()
    assert told(run, "id", "answer", "correct") == [(f"q{i}", str(i), i < 7) for i in range(300)]


def test_field_names_can_be_given(tmp_path):
    rows = [{"uid": "q", "out": {"final": "7"}, "truth": 7, "a.b": 3}]
    fields = {"id": "uid", "answer": "out.final", "gold": "truth", "cost": "a.b"}
    _, run = imported(tmp_path, rows, fields=fields)
    assert told(run, "id", "answer", "correct", "cost") == [("q", "7", True, 3)]


def test_ids_can_hold_the_sample(tmp_path):
    rows = [{"id": "q-1-1", "answer": "b"}, {"id": "q-1-0", "answer": "a"}]
    _, run = imported(tmp_path, rows, split_id=r"(?P<id>.+)-(?P<sample>\d+)")
    assert told(run, "id", "sample", "answer") == [("q-1", 1, "b"), ("q-1", 0, "a")]


def test_without_gold_the_words_say_so(tmp_path):
    report, run = imported(tmp_path, [{"id": "q", "answer": "a"}, {"id": "r", "answer": "a", "gold": "a"}])
    assert told(run, "correct") == [(None,), (True,)]
    assert report.marked == 1
    assert report.notes == [
        "1 of 2 questions has no gold answer. --labels agreement uses all questions by how often their answers agree; "
        "without it, these are left out."
    ]


def test_marks_without_answers(tmp_path):
    report, _ = imported(tmp_path, [{"id": "q", "correct": True}, {"id": "q", "correct": False}])
    assert report.notes == [
        "2 lines of id q are taken as 2 samples.",
        "2 samples are marked right or wrong but have no answer: the accuracy of one sample can be estimated, that of "
        "a vote cannot. For votes, record the answers too. If a verifier recognises right answers live, say "
        "verifier=True (--verifier).",
    ]
    # What the import says is what the run's samples are.
    samples = Samples.load(report.out)
    assert (samples.answers, samples.correct.tolist(), list(samples.notes)) == (None, [[True, False]], report.notes[1:])


def test_answers_that_only_some_samples_have(tmp_path):
    right, wrong = {"id": "q", "answer": "a", "correct": True}, {"id": "q", "correct": False}
    report, _ = imported(tmp_path, [right, wrong])
    assert report.notes == [
        "2 lines of id q are taken as 2 samples.",
        "1 wrong sample has no answer, while right samples have answers. A sample without an answer does not vote.",
    ]
    assert Samples.load(report.out).answers.tolist() == [[0, -1]]
    marks = [{"id": "q", "correct": True, "model": "m"}, {"id": "q", "correct": False, "model": "m"}]
    (tmp_path / "two").mkdir()
    report, _ = imported(tmp_path / "two", [right | {"model": "n"}, *marks])
    assert [note[:20] for note in report.notes] == ["2 lines of id q by m", "m: 2 samples are mar"]
    assert {name: arm.answers is None for name, arm in Samples.load(report.out).arms.items()} == {"n": False, "m": True}


BAD = {
    "not JSON": (["{"], "logs.jsonl, line 2: not JSON (Expecting property name"),
    "second line": ([{"id": 1, "answer": "a"}, "{bad"], "logs.jsonl, line 2: not JSON (Expecting property name"),
    "no id": ([{"answer": "a"}], "logs.jsonl, line 1: no field 'id'; say which one it is, e.g. --field id=NAME. The"),
    "nothing": ([{"id": 1, "x": 2}], "logs.jsonl, line 1: none of 'text', 'answer', 'correct'; name them, e.g. --fie"),
    "text alone": ([{"id": 1, "text": "a"}], "logs.jsonl, line 1: there is a text, but neither an answer nor whether"),
    "correct": (
        [{"id": 1, "correct": 0.5}],
        "logs.jsonl, line 1: 'correct' is '0.5'; expected true or false, 1 or 0, pass",
    ),
    "answer": ([{"id": 1, "answer": {}}], "logs.jsonl, line 1: 'answer' is '{}'; expected text; no other field is"),
    "lengths": (
        [{"id": 1, "answer": ["a", "b"], "correct": [1]}],
        "logs.jsonl, line 1: 'correct' has 1 entry, others 2",
    ),
    "one answer for several marks": (
        [{"id": i, "pred": ["a", "b"], "correct": [1, 0]} for i in range(3)]
        + [{"id": 4, "pred": "a", "correct": [1, 0]}],
        "logs.jsonl, line 4: 'answer' is one value beside a list of 2; write one entry per sample.",
    ),
    "sample twice": (
        [{"id": 1, "answer": "a", "sample": 0}] * 2,
        "logs.jsonl, line 2: sample 0 of question '1' by imported was already given. Number them apart.",
    ),
    "two golds": (
        [{"id": 1, "answer": "a", "gold": "a"}, {"id": 1, "answer": "a", "gold": "b"}],
        "logs.jsonl, line 2: question '1': the gold answer is 'b', on an earlier line it was 'a'. Give different",
    ),
    "marks alone, and one is missing": (
        [{"id": 1, "correct": True}, {"id": 2, "correct": None}],
        "logs.jsonl, line 2: 'correct' is empty, so whether the sample is right is not known. Fill it in, or",
    ),
    "empty": ([], "logs.jsonl: the file is empty; expected one JSON object a line, like"),
    "blank": ([" "], "logs.jsonl: only empty lines"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lines_are_refused_in_one_sentence(case, tmp_path):
    rows, message = BAD[case]
    assert refused(tmp_path, rows).startswith(message)


def test_bad_lines_can_be_skipped(tmp_path):
    rows = [{"id": 1, "answer": "a"}, "{bad", {"id": 2, "answer": {}}, {"id": 2, "answer": "b"}, "7"]
    report, run = imported(tmp_path, rows, skip_bad=True)
    assert told(run, "id", "answer") == [("1", "a"), ("2", "b")]
    assert report.skipped == 3
    assert [words.replace(str(tmp_path) + os.sep, "").partition(":")[0] for words in report.skipped_words] == [
        "logs.jsonl, line 2",
        "logs.jsonl, line 3",
        "logs.jsonl, line 5",
    ]


def test_what_skipping_does_not_help(tmp_path):
    assert "say how to grade" in refused(tmp_path, [{"id": 1, "text": "a"}], skip_bad=True)
    rows = [{"id": 1, "answer": "a", "sample": 0}, {"id": 2, "answer": "a", "sample": 0}]
    questions = jsonl(tmp_path, [{"id": "3", "question": "?"}], "q.jsonl")
    assert "no samples are left after skipping 2 rows; " in refused(tmp_path, rows, skip_bad=True, questions=questions)
    with pytest.raises(InputError, match="no such file"):
        import_logs(tmp_path / "missing.jsonl", tmp_path / "run")


def test_bad_options(tmp_path):
    rows = [{"id": 1, "answer": "a", "gold": "a"}]
    assert refused(tmp_path, rows, fields={"anwser": "x"}).startswith(
        "fields: 'anwser' is not a field here; allowed are id"
    )
    assert "no field 'x', which --field answer= names" in refused(tmp_path, rows, fields={"answer": "x"})
    assert "has no group 'id'" in refused(tmp_path, rows, split_id="(.*)")
    assert "does not match --split-id" in refused(tmp_path, rows, split_id=r"(?P<id>x)")
    assert refused(tmp_path, rows, format="csv").startswith(
        "format is 'csv'; allowed are 'auto', 'jsonl', 'lm-eval', 'openai-batch' and 'anth"
    )
    assert refused(tmp_path, rows, grader="numeric").startswith("question '1': the gold answer 'a' is not a number.")
    questions = jsonl(tmp_path, [{"id": "2", "question": "?"}], "q.jsonl")
    assert "line 1: the question '1' is not in the questions file" in refused(tmp_path, rows, questions=questions)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("x")
    with pytest.raises(InputError, match=r"run: exists already\. Import into a new folder"):
        import_logs(tmp_path / "logs.jsonl", tmp_path / "run")
    assert os.listdir(tmp_path / "run") == ["mine"]


def test_an_empty_folder_is_fine_and_an_interrupt_leaves_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    imported(tmp_path, [{"id": 1, "answer": "a"}])

    def interrupted(question, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_logs(jsonl(tmp_path, [{"id": 1, "text": "a"}]), tmp_path / "deep" / "other", grader=interrupted)
    assert os.listdir(tmp_path / "deep") == []


# ---------------------------------------------------------------------------------------------- data frames


@pytest.mark.parametrize("library", [pd, pl])
def test_data_frames(library, tmp_path):
    frame = library.DataFrame(
        {"id": ["a", "a", "b"], "answer": ["1", None, "2"], "correct": [True, False, False], "cost": [0.5, None, 1.5]}
    )
    report = import_frame(frame, tmp_path / "run", model="m")
    run = read_run(tmp_path / "run")
    assert report.models == ["m"]
    assert told(run, "id", "answer", "correct", "cost") == [
        ("a", "1", True, 0.5),
        ("a", None, False, None),
        ("b", "2", False, 1.5),
    ]
    with pytest.raises(InputError, match="frame, row 0: none of 'text', 'answer', 'correct'"):
        import_frame(library.DataFrame({"id": [1]}), tmp_path / "other")
    with pytest.raises(InputError, match="frame is a dict; expected a DataFrame"):
        import_frame({}, tmp_path / "other")


def test_questions_as_objects(tmp_path):
    questions = [Question("1", (), "?", "4"), Question("2", (), "?", "5")]
    frame = pd.DataFrame({"id": [1, 1], "answer": [4, 5.0]})
    report = import_frame(frame, tmp_path / "run", questions=questions)
    assert told(read_run(tmp_path / "run"), "answer", "correct") == [("4", True), ("5", False)]
    assert report.questions == 2


# ---------------------------------------------------------------------------------------------- the command


def run_command(*argv):
    parser = Parser("tcalloc import", command.DESCRIPTION, command.EPILOG)
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, argv)]))


def test_the_command(tmp_path, capsys):
    path = jsonl(
        tmp_path,
        [
            {"uid": "q", "answer": "1", "gold": 1, "note": "n", "latency": "1 s"},
            {"uid": "q", "answer": "2"},
            "{bad",
            {"uid": "r", "answer": "x"},
        ],
    )
    assert run_command(path, "--out", tmp_path / "run", "--field", "id=uid", "--skip-bad") == 0
    out, messages = capsys.readouterr()
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["questions", "2"],
        ["samples", "3", "1", "to", "2", "of", "each", "question", "that", "has", "any,", "of", "imported"],
        ["right", "50.0", "%", "of", "2", "that", "could", "be", "marked"],
        ["skipped", "1", "lines"],
    ]
    lines = messages.splitlines()
    assert lines[0].startswith(f"tcalloc: skipped: {path}, line 3: not JSON (")
    assert lines[1:] == [
        "field   taken from  example  rows",
        "id      uid         q           3",
        "gold    gold        1           1",
        "answer  answer      1           3",
        "not read: note",
        "not read: latency ('1 s' does not fit the field 'seconds')",
        "",
        "model     questions  samples   right",
        "imported          2        3  50.0 %",
        "",
        "tcalloc: note: 2 lines of id q are taken as 2 samples.",
        "tcalloc: note: 1 of 2 questions has no gold answer. --labels agreement uses all questions by how often their "
        "answers agree; without it, these are left out.",
    ]
    assert run_command(path, "--out", tmp_path / "two", "--field", "id=uid", "--skip-bad", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["samples"] == 3
    assert document["fields"][0] == {"field": "id", "source": "uid", "example": "q", "rows": 3}
    assert document["unread"] == {"note": "", "latency": "'1 s' does not fit the field 'seconds'"}
    assert document["by_model"] == [{"model": "imported", "questions": 2, "samples": 3, "marked": 2, "right": 1}]


def test_the_commands_errors(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_command("logs.jsonl", "--out", "run", "--field", "id")
    assert "argument --field: 'id' is not of the form OURS=THEIRS" in capsys.readouterr().err
    with pytest.raises(InputError, match="no such file"):
        run_command(tmp_path / "logs.jsonl", "--out", tmp_path / "run")
    with pytest.raises(SystemExit):
        run_command("--help")
    assert "--split-id" in capsys.readouterr().out


def test_an_endless_line_is_refused_before_it_fills_the_memory(tmp_path):
    """A few kilobytes of gzip may hold one line of many gigabytes."""
    path = tmp_path / "logs.jsonl"
    path.write_bytes(gzip.compress(b"0" * (MOST_LINE + 2), 1))
    with pytest.raises(InputError, match=r"logs.jsonl, line 1: longer than 16,777,216 bytes"):
        import_logs([str(path)], str(tmp_path / "run"))

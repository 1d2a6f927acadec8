"""Logs of other tools as a run folder: what is read, what is said, and that there is all of it or nothing."""

import gzip
import json
import os

import pandas as pd
import polars as pl
import pytest

from tcalloc.cli import import_ as command
from tcalloc.cli._shared import Parser
from tcalloc.errors import InputError
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import Question
from tcalloc.measure import Samples
from tcalloc.measure.importing import import_frame, import_logs
from tcalloc.measure.store import read_run


def jsonl(tmp_path, rows, name="logs.jsonl"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    return path


def imported(tmp_path, rows, name="logs.jsonl", **options):
    report = import_logs(jsonl(tmp_path, rows, name), tmp_path / "run", **options)
    assert report.out == str(tmp_path / "run")
    return report, read_run(tmp_path / "run")


def refused(tmp_path, rows, name="logs.jsonl", **options):
    with pytest.raises(InputError) as caught:
        import_logs(jsonl(tmp_path, rows, name), tmp_path / "run", **options)
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith("run")], "nothing half-written"
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said.replace(str(tmp_path) + os.sep, "")


def told(run, *keys):
    return [tuple(record[key] for key in keys) for record in run.records]


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
    assert (report.formats, report.models, report.per_question, report.notes) == (["jsonl"], ["imported"], (2, 3), [])
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
    assert report.notes == []
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
    assert told(run, "correct", "error") == [(True, None), (False, "RuntimeError: no luck"), (False, None)]
    assert report.errors == 1
    assert "text" not in run.records[0]


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
        "1 of 2 questions have no gold answer: of them only agreement between samples can be told, not accuracy."
    ]


def test_marks_without_answers(tmp_path):
    report, _ = imported(tmp_path, [{"id": "q", "correct": True}, {"id": "q", "correct": False}])
    assert report.notes == [
        "2 samples are marked right or wrong but have no answer: best-of-k (by a verifier, pass@k) can be estimated, "
        "votes cannot. For votes, record the answers too."
    ]
    # What the import says is what the run's samples are.
    samples = Samples.load(report.out)
    assert (samples.answers, samples.correct.tolist(), list(samples.notes)) == (None, [[True, False]], report.notes)


def test_answers_that_only_some_samples_have(tmp_path):
    right, wrong = {"id": "q", "answer": "a", "correct": True}, {"id": "q", "correct": False}
    report, _ = imported(tmp_path, [right, wrong])
    assert [note.split(":")[0] for note in report.notes] == [
        "1 wrong samples have no answer, while the right ones have"
    ]
    assert Samples.load(report.out).answers.tolist() == [[0, -1]]
    marks = [{"id": "q", "correct": True, "model": "m"}, {"id": "q", "correct": False, "model": "m"}]
    (tmp_path / "two").mkdir()
    report, _ = imported(tmp_path / "two", [right | {"model": "n"}, *marks])
    assert [note[:20] for note in report.notes] == ["m: 2 samples are mar"]
    assert {name: arm.answers is None for name, arm in Samples.load(report.out).arms.items()} == {"n": False, "m": True}


BAD = {
    "not JSON": (["{"], "logs.jsonl, line 1: one JSON document over many lines, not one object a line."),
    "second line": ([{"id": 1, "answer": "a"}, "{bad"], "logs.jsonl, line 2: not JSON (Expecting property name"),
    "no id": ([{"answer": "a"}], "logs.jsonl, line 1: no field 'id'; say which one it is, e.g. --field id=NAME. The"),
    "nothing": ([{"id": 1, "x": 2}], "logs.jsonl, line 1: none of 'text', 'answer', 'correct'; name them, e.g. --fie"),
    "text alone": ([{"id": 1, "text": "a"}], "logs.jsonl, line 1: there is a text, but neither an answer nor whether"),
    "correct": ([{"id": 1, "correct": 0.5}], "logs.jsonl, line 1: 'correct' is '0.5'; expected true, false, 1 or 0."),
    "cost": ([{"id": 1, "answer": "a", "cost": -1}], "logs.jsonl, line 1: 'cost' is -1; expected a number of at least"),
    "tokens": (
        [{"id": 1, "answer": "a", "tokens": "x"}],
        "logs.jsonl, line 1: 'output_tokens' is 'x'; expected a numb",
    ),
    "answer": ([{"id": 1, "answer": {}}], "logs.jsonl, line 1: 'answer' is '{}'; expected text."),
    "lengths": (
        [{"id": 1, "answer": ["a", "b"], "correct": [1]}],
        "logs.jsonl, line 1: 'correct' has 1 entries, others 2",
    ),
    "sample twice": (
        [{"id": 1, "answer": "a", "sample": 0}] * 2,
        "logs.jsonl, line 2: sample 0 of question '1' by imported was already given. Number them apart.",
    ),
    "two golds": (
        [{"id": 1, "answer": "a", "gold": "a"}, {"id": 1, "answer": "a", "gold": "b"}],
        "logs.jsonl, line 2: question '1': the gold answer is 'b', on an earlier line it was 'a'. Give different",
    ),
    "gold type": ([{"id": 1, "answer": "a", "gold": ["b"]}], "logs.jsonl, line 1, field 'gold': expected one answer"),
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
    assert "no samples are left after skipping 1 rows" in refused(tmp_path, [{"id": 1, "answer": {}}], skip_bad=True)
    with pytest.raises(InputError, match="no such file"):
        import_logs(tmp_path / "missing.jsonl", tmp_path / "run")


def test_bad_options(tmp_path):
    rows = [{"id": 1, "answer": "a", "gold": "a"}]
    assert refused(tmp_path, rows, fields={"anwser": "x"}).startswith(
        "fields: 'anwser' is none of ours; allowed are id"
    )
    assert "no field 'x', which --field answer= names" in refused(tmp_path, rows, fields={"answer": "x"})
    assert "has no group 'id'" in refused(tmp_path, rows, split_id="(.*)")
    assert "does not match --split-id" in refused(tmp_path, rows, split_id=r"(?P<id>x)")
    assert refused(tmp_path, rows, format="csv").startswith(
        "format is 'csv'; allowed are auto, jsonl, lm-eval, openai-ba"
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


# ---------------------------------------------------------------------------------------------- lm-evaluation-harness


def generated(doc_id, texts, answers, target, match, name="flexible-extract"):
    return {
        "doc_id": doc_id,
        "doc": {"question": f"Question {doc_id}?", "answer": f"Because.\n#### {target}"},
        "target": f"Because.\n#### {target}",
        "arguments": {"gen_args_0": {"arg_0": f"Question: {doc_id}?\nAnswer:", "arg_1": {"until": ["Question:"]}}},
        "resps": [texts],
        "filtered_resps": answers,
        "filter": name,
        "metrics": ["exact_match"],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": match,
    }


def chosen(doc_id, scores, target, acc, acc_norm):
    return {
        "doc_id": doc_id,
        "doc": {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": target},
        "target": str(target),
        "arguments": {f"gen_args_{i}": {"arg_0": "Which?\nAnswer:", "arg_1": f" {c}"} for i, c in enumerate("ABCD")},
        "resps": [[[str(score), "False"]] for score in scores],
        "filtered_resps": [[str(score), "False"] for score in scores],
        "filter": "none",
        "metrics": ["acc", "acc_norm"],
        "acc": acc,
        "acc_norm": acc_norm,
    }


SAMPLES = "some__model/samples_gsm8k_2025-01-31T10-00-00.123456.jsonl"


def test_harness_generated(tmp_path):
    rows = [generated(0, ["It is 18."], ["18"], "18", 1.0), generated(1, ["Hm"], ["[invalid]"], "3", 0.0)]
    report, run = imported(tmp_path, rows, SAMPLES)
    assert (report.formats, report.models) == (["lm-eval"], ["some__model"])
    assert told(run, "id", "answer", "correct", "text") == [("0", "18", True, "It is 18."), ("1", None, False, "Hm")]
    assert run.questions[0] == {"id": "0", "question": "Question: 0?\nAnswer:", "gold": "18", "accept": []}


def test_harness_filters(tmp_path):
    rows = [
        generated(0, ["18."], ["[invalid]"], "18", 0.0, "strict-match"),
        generated(0, ["18."], ["18"], "18", 1.0, "flexible-extract"),
    ]
    said = refused(tmp_path, rows)
    assert (
        "line 2: the log holds the results of several filters ('strict-match', 'flexible-extract'); choose one" in said
    )
    assert "no results of the filter 'x'; there are 'strict-match', 'flexible-extract'" in refused(
        tmp_path, rows, filter="x"
    )
    _, run = imported(tmp_path, rows, filter="flexible-extract", model="m")
    assert told(run, "model", "answer", "correct") == [("m", "18", True)]
    report = import_logs(tmp_path / "logs.jsonl", tmp_path / "graded", grader="numeric")
    assert (report.samples, report.right) == (1, 1)


def test_harness_repeats(tmp_path):
    row = generated(0, ["It is 18.", "19", "18"], [["18", "19", "18"]], "18", 1.0)
    _, run = imported(tmp_path, [row])
    assert told(run, "sample", "answer", "correct") == [(0, "18", True), (1, "19", False), (2, "18", True)]
    row = generated(0, ["It is 18.", "19", "18"], ["18"], "18", 1.0)
    with pytest.raises(InputError, match="3 responses, but one score for all of them; grade each by --grader"):
        import_logs(jsonl(tmp_path, [row]), tmp_path / "other")
    report = import_logs(jsonl(tmp_path, [row]), tmp_path / "other", grader="numeric")
    assert (report.samples, report.right) == (3, 2)


def test_harness_multiple_choice(tmp_path):
    rows = [chosen(0, [-1.5, -0.5, -2.0, -9.0], 1, 1.0, 0.0), chosen(1, [-1.5, -0.5, -2.0, -9.0], 3, 0.0, 1.0)]
    _, run = imported(tmp_path, rows, "samples_mmlu_2025-01-31T10-00-00.123456.jsonl")
    assert told(run, "answer", "correct") == [("b", True), ("b", False)]
    assert [question["gold"] for question in run.questions] == ["B", "D"]
    import_logs(tmp_path / "samples_mmlu_2025-01-31T10-00-00.123456.jsonl", tmp_path / "norm", metric="acc_norm")
    assert told(read_run(tmp_path / "norm"), "correct") == [(False,), (True,)]


def test_harness_tasks_keep_apart(tmp_path):
    row = generated(0, ["18"], ["18"], "18", 1.0)
    paths = [
        jsonl(tmp_path, [row], f"{model}/samples_{task}_2025-01-31T10-00-00.123456.jsonl")
        for model in ("small", "large")
        for task in ("gsm8k", "gsm8k_cot")
    ]
    report = import_logs(paths, tmp_path / "run")
    assert (report.questions, report.samples, report.models) == (2, 4, ["large", "small"])
    assert {record["id"] for record in read_run(tmp_path / "run").records} == {"gsm8k/0", "gsm8k_cot/0"}


def test_harness_metrics(tmp_path):
    row = generated(0, ["18"], ["18"], "18", 1.0)
    del row["exact_match"]
    assert "no metric that is known to say right or wrong; name one by --metric (there is 'bleu')" in refused(
        tmp_path, [row | {"metrics": ["bleu", "rouge"], "bleu": 0.3}]
    )
    assert "'bleu' is 0.3; expected 0 or 1" in refused(tmp_path, [row | {"metrics": ["bleu"], "bleu": 0.3}])
    assert "no metric 'x'; name one by --metric (there is none)" in refused(tmp_path, [row], metric="x")
    assert "'resps' and 'filtered_resps' must be lists" in refused(tmp_path, [{"doc_id": 0, "resps": "x"}])


# ---------------------------------------------------------------------------------------------- OpenAI batch output


def batch(name, *texts, usage=True, **changes):
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for i, text in enumerate(texts)
    ]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1711652795,
        "model": "gpt-x",
        "choices": choices,
    }
    if usage:
        details = {"reasoning_tokens": 4 * len(texts)}
        body["usage"] = {
            "prompt_tokens": 22,
            "completion_tokens": 10 * len(texts),
            "completion_tokens_details": details,
        }
    response = {"status_code": 200, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": name, "response": response, "error": None} | changes


def test_batches(tmp_path):
    questions = jsonl(
        tmp_path, [{"id": f"q{i}", "question": "?", "answer": str(i)} for i in range(4)], "questions.jsonl"
    )
    expired = {"code": "batch_expired", "message": "This request could not be executed."}
    rows = [
        batch("q1-1", "It is 1."),  # in any order
        batch("q1-0", "It is 7."),
        batch("q0-0", "0", "zero"),
        batch("q2-0", response=None, error=expired),
        batch("q2-1", response={"status_code": 400, "request_id": "r", "body": {"error": {"code": "bad_request"}}}),
        batch("q3-0", "It is 3.", usage=False),
    ]
    report, run = imported(
        tmp_path, rows, questions=questions, grader="numeric", split_id=r"(?P<id>.+)-(?P<sample>\d+)"
    )
    assert (report.formats, report.models, report.samples) == (["openai-batch"], ["gpt-x"], 5)
    assert report.failed == {"batch_expired": 1, "bad_request": 1}
    assert told(run, "id", "sample", "answer", "correct") == [
        ("q1", 1, "1", True),
        ("q1", 0, "7", False),
        ("q0", 0, "0", True),
        ("q0", 1, "0", True),
        ("q3", 0, "3", True),
    ]
    keys = ("input_tokens", "output_tokens", "reasoning_tokens", "estimated")
    assert told(run, *keys)[0] == (22, 10, 4, False)
    assert sum(record["output_tokens"] for record in run.records if record["id"] == "q0") == 20
    last = run.records[-1]
    assert (last["input_tokens"], last["estimated"]) == (None, True)  # no usage: estimated, never 0
    assert last["output_tokens"] >= 1


def test_batches_of_other_endpoints(tmp_path):
    completion = batch("a", "x")
    completion["response"]["body"] = {
        "model": "m",
        "choices": [{"index": 0, "text": "It is 5", "finish_reason": "length"}],
    }
    response = batch("b", "x")
    response["response"]["body"] = {
        "model": "m",
        "status": "completed",
        "output": [
            {"type": "reasoning", "summary": []},
            {
                "type": "message",
                "content": [{"type": "output_text", "text": "It is "}, {"type": "output_text", "text": "6"}],
            },
        ],
        "usage": {"input_tokens": 3, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 2}},
    }
    _, run = imported(tmp_path, [completion, response], grader="numeric")
    assert told(run, "answer", "truncated") == [("5", True), ("6", False)]
    assert told(run, "input_tokens", "output_tokens", "reasoning_tokens")[1] == (3, 9, 2)


def test_batches_that_cannot_be_read(tmp_path):
    failed = batch("q", response=None, error={"code": "batch_expired", "message": "x"})
    assert "no samples; all 1 requests failed (batch_expired 1)" in refused(tmp_path, [failed], grader="numeric")
    broken = batch("q", "x")
    broken["response"]["body"]["choices"] = []
    assert "line 1: response.body: it has no choices; expected a chat completion" in refused(
        tmp_path, [broken], grader="numeric"
    )
    assert "say how to grade" in refused(tmp_path, [batch("q", "x")])


# ---------------------------------------------------------------------------------------------- the command


def run_command(*argv):
    parser = Parser("tcalloc", "", "")
    commands = parser.add_subparsers(parser_class=Parser)
    command.add_parser(commands)
    args = parser.parse_args(["import", *map(str, argv)])
    return args.run(args)


def test_the_command(tmp_path, capsys):
    path = jsonl(
        tmp_path,
        [{"uid": "q", "answer": "1", "gold": 1}, {"uid": "q", "answer": "2"}, "{bad", {"uid": "r", "answer": "x"}],
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
    assert lines[1].startswith("tcalloc: note: 1 of 2 questions have no gold answer: of them only agreement")
    assert run_command(path, "--out", tmp_path / "two", "--field", "id=uid", "--skip-bad", "--json") == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 3


def test_the_commands_errors(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run_command("logs.jsonl", "--out", "run", "--field", "id")
    assert "argument --field: 'id' is not of the form OURS=THEIRS" in capsys.readouterr().err
    with pytest.raises(InputError, match="no such file"):
        run_command(tmp_path / "logs.jsonl", "--out", tmp_path / "run")
    with pytest.raises(SystemExit):
        run_command("--help")
    assert "--split-id" in capsys.readouterr().out

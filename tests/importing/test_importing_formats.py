"""Logs of lm-evaluation-harness and of the OpenAI batch API as a run folder."""

import pytest
from import_cases import imported, jsonl, refused, shares, taken, told

from tcalloc.errors import InputError
from tcalloc.importing.import_logs import import_logs
from tcalloc.runs.store import read_run

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
        "logs.jsonl: the log holds the results of several filters ('strict-match', 'flexible-extract'); choose one by "
        "--filter NAME." in said
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
    assert "no samples, because all requests failed (batch_expired 1)" in refused(tmp_path, [failed], grader="numeric")
    broken = batch("q", "x")
    broken["response"]["body"]["choices"] = []
    assert "line 1: response.body: it has no choices; expected a chat completion" in refused(
        tmp_path, [broken], grader="numeric"
    )
    assert "say how to grade" in refused(tmp_path, [batch("q", "x")])


# ---------------------------------------------------------------------------------------------- what is never guessed

TEXTS = [" 277+584=861\n#### 861", " Adding gives **862** beads.", " <think>maybe 277</think> It is 861.", " #### 860"]


def kept(doc_id, right, target="861", **more):
    """Return a row of a task with repeats whose filter keeps what was generated."""
    return generated(doc_id, TEXTS, [TEXTS], target, right, "keep_all") | {"pass@1": right, "pass@4": 1.0} | more


def test_harness_repeats_whose_filter_keeps_texts(tmp_path):
    rows = [kept(0, 0.5), kept(1, 0.25, "862"), kept(2, 1.0, "7")]
    for row in rows:
        del row["exact_match"]
    for metric in ("pass@1", None):
        (tmp_path / str(metric)).mkdir()
        report, run = imported(tmp_path / str(metric), rows, metric=metric)
        assert (report.samples, report.right, taken(report)["correct"]) == (12, 7, "pass@1 (share of 4)")
        assert "text" not in run.records[0]  # which of the texts is right is not known
        assert report.warnings[0].startswith(
            "the metric 'pass@1' says how many of a question's responses are right, not"
        )
    assert import_logs(tmp_path / "None" / "logs.jsonl", tmp_path / "run", grader="numeric").right == 3
    with pytest.raises(InputError, match="'pass@4' says whether any of 4 responses is right, not how many are"):
        import_logs(tmp_path / "None" / "logs.jsonl", tmp_path / "other", metric="pass@4")
    bare = [{key: value for key, value in row.items() if not key.startswith("pass@")} for row in rows]
    said = "4 responses, but the filter 'keep_all' keeps whole texts; grade each by --grader, e.g. --grader numeric"
    (tmp_path / "bare").mkdir()
    assert said in refused(tmp_path / "bare", bare)


def test_harness_metrics_of_several_responses(tmp_path):
    # A metric that the user names and that the answers contradict counts; one score of all of them does not.
    rows = [generated(i, ["18 it is", "17", "18"], [["18 it is", "17", "18 "]], "18", 0.0) for i in range(3)]
    report, _ = imported(tmp_path, [row | {"mean_match": 2 / 3} for row in rows], metric="mean_match")
    assert (report.right, taken(report)["correct"]) == (6, "mean_match (share of 3)")
    (tmp_path / "one").mkdir()
    assert "one score for all of them: 'exact_match' is 0.0" in refused(tmp_path / "one", rows, metric="exact_match")
    (tmp_path / "compared").mkdir()
    report, _ = imported(tmp_path / "compared", rows)
    assert (report.right, taken(report)["answer"]) == (3, "filtered_resps (flexible-extract)")


def test_harness_single_texts_are_no_answers(tmp_path):
    rows = [generated(i, [TEXTS[0]], [TEXTS[0]], "861", float(i % 2), "none") for i in range(3)]
    report, run = imported(tmp_path, rows)
    assert (report.right, told(run, "answer")) == (1, [(None,)] * 3)
    (tmp_path / "short").mkdir()
    _, run = imported(tmp_path / "short", [generated(i, ["7"], ["7"], "8", 0.0, "none") for i in range(3)])
    assert told(run, "answer") == [("7",)] * 3


def test_harness_answers_of_several_words_that_were_extracted_are_answers(tmp_path):
    texts = ["I say: the big red hat", "Surely the old blue bin"]
    report, run = imported(tmp_path, [generated(0, texts, [["the big red hat", "the old blue bin"]], "a cap", 0.0)])
    assert (report.right, told(run, "answer")) == (0, [("big red hat",), ("old blue bin",)])


@pytest.mark.parametrize("target", ["['Keeper 0', 'K0']", ["Keeper 0", "K0"], '["Keeper 0", "K0"]'])
def test_harness_targets_can_be_lists(tmp_path, target):
    rows = [
        generated(i, [text], [text], "", 1.0) | {"target": target} for i, text in enumerate(["keeper 0", "K0", "K1"])
    ]
    report, run = imported(tmp_path, rows, grader="normalized")
    assert (report.right, run.questions[0]["gold"], run.questions[0]["accept"]) == (2, "Keeper 0", ["K0"])
    (tmp_path / "code").mkdir()  # answers that are lists themselves
    rows = [generated(0, ["['a']"], ["['a']"], "", 1.0) | {"target": "['a']"}]
    _, run = imported(tmp_path / "code", rows)
    assert run.questions[0]["gold"] == "['a']"


def tasks(tmp_path, **filters):
    """Write one file per task, each with a row per filter; the answer of the filter named last is right."""
    paths = []
    for task, names in filters.items():
        rows = [
            generated(i, ["7 or 8"], ["7" if name == names[-1] else "8"], "7", float(name == names[-1]), name)
            for i in range(4)
            for name in names
        ]
        paths.append(jsonl(tmp_path, rows, f"model/samples_{task}_2026-01-01T00-00-00.000000.jsonl"))
    return paths


def test_harness_filters_are_chosen_for_each_task(tmp_path):
    report = import_logs(tasks(tmp_path, bins=["strip"], hats=["none"]), tmp_path / "both")
    assert (shares(report), report.questions) == ({"model": (8, 8)}, 8)
    sources = [use.source for use in report.fields if use.field == "answer"]
    assert sources == ["filtered_resps (strip)", "filtered_resps (none)"]
    report = import_logs(tasks(tmp_path, bins=["strip"], hats=["none"]), tmp_path / "named", filter="strip")
    assert (report.samples, len(report.notes)) == (8, 1)
    assert report.notes[0].endswith("has no filter 'strip'; its only filter 'none' is taken there.")
    paths = tasks(tmp_path, bins=["strict", "flexible"], hats=["none"], caps=["first", "last"])
    with pytest.raises(
        InputError, match=r"several filters \('strict', 'flexible'\); choose one by --filter bins=NAME\."
    ):
        import_logs(paths, tmp_path / "refused")
    with pytest.raises(InputError, match=r"several filters \('first', 'last'\); choose one by --filter caps=NAME\."):
        import_logs(paths, tmp_path / "refused", filter="flexible")
    report = import_logs(paths, tmp_path / "chosen", filter=["strict", "caps=last"])
    assert shares(report) == {"model": (12, 8)}
    assert report.unread == {"filter flexible": "'strict' was chosen", "filter first": "'last' was chosen"}
    with pytest.raises(
        InputError, match=r"no results of the filter 'x'; there are 'strict', 'flexible', 'none', 'first'"
    ):
        import_logs(paths, tmp_path / "refused", filter=["strict", "caps=x"])


def test_harness_runs_in_one_folder_are_told_apart_by_their_date(tmp_path):
    rows = [generated(0, ["18"], ["18"], "18", 1.0)]
    paths = [jsonl(tmp_path, rows, f"out/samples_gsm8k_2026-01-0{day}T00-00-00.000000.jsonl") for day in (1, 2)]
    report = import_logs(paths, tmp_path / "run")
    assert report.models == ["out 2026-01-01T00-00-00.000000", "out 2026-01-02T00-00-00.000000"]
    assert import_logs(paths, tmp_path / "one", model="m").models == ["m"]


def test_harness_files_of_two_tasks_without_their_names_are_refused(tmp_path):
    rows = [generated(0, ["18"], ["18"], "18", 1.0), generated(0, ["18"], ["18"], "18", 1.0)]
    rows[1]["doc"] = {"question": "Another?"}
    paths = [jsonl(tmp_path, [row], f"{name}.jsonl") for name, row in zip("ab", rows, strict=True)]
    with pytest.raises(InputError, match="the id '0' stands for two questions"):
        import_logs(paths, tmp_path / "run")


def test_what_was_taken_from_batches_and_their_fields(tmp_path):
    report, _ = imported(tmp_path, [batch("q1", "It is 1.")], grader="numeric")
    assert taken(report) == {
        "id": "custom_id",
        "text": "response.body.choices",
        "model": "response.body.model",
        "input_tokens": "response.body.usage",
        "output_tokens": "response.body.usage",
    }
    (tmp_path / "named").mkdir()
    assert "fields cannot be named in logs of the format openai-batch" in refused(
        tmp_path / "named", [batch("q1", "It is 1.")], grader="numeric", fields={"text": "x"}
    )

"""What a column is taken for does not hang on its name alone: gold answers, whole texts, marks, null, odd values."""

import pytest
from import_cases import imported, refused, shares, taken, told

PREDICTED = ["42", "41", "42", "9"]


def wrote(i):
    return f"Let me think: {i} times {i} is {i * i}, so the answer is {i * i}."


# ---------------------------------------------------------------------------------------------- gold answers


@pytest.mark.parametrize(
    "gold", ["gold", "answer_key", "gt", "target", "reference", "expected", "ground_truth", "label", "solution_answer"]
)
def test_a_gold_column_called_answer_is_not_the_models_answer(tmp_path, gold):
    rows = [{gold: "42", "id": i, "answer": "42", "prediction": p} for i, p in enumerate(PREDICTED)]
    report, _ = imported(tmp_path, rows)
    assert (taken(report)["answer"], taken(report)["gold"], report.right) == ("prediction", gold, 2)
    assert report.unread == {"answer": "'prediction' beside it is the model's answer"}


def test_answer_is_the_gold_answer_where_there_is_no_other(tmp_path):
    report, _ = imported(tmp_path, [{"id": i, "answer": "42", "pred": p} for i, p in enumerate(PREDICTED)])
    assert (taken(report)["answer"], taken(report)["gold"], report.right) == ("pred", "answer", 2)
    assert report.notes == ["'answer' is taken for the gold answer: 'pred' beside it is the model's answer."]


def test_one_value_for_a_list_of_samples_is_no_answer(tmp_path):
    rows = [{"idx": i, "gt": "1", "answer": "1", "pred": ["1", "2"], "is_right": [True, False]} for i in range(3)]
    report, _ = imported(tmp_path, rows)
    assert (taken(report)["id"], taken(report)["answer"], taken(report)["correct"]) == ("idx", "pred", "is_right")
    assert report.unread["answer"] == "one value for a list of samples, as a gold answer would be"
    assert report.right == 3


def test_what_never_varies_within_a_question_while_another_does_is_no_answer(tmp_path):
    # Not by its name: "parsed" comes after "final_answer" only if that varies.
    rows = [{"id": i // 4, "prediction": str(i // 4), "parsed": str(i % 3), "gold": str(i // 4)} for i in range(8)]
    report, _ = imported(tmp_path, rows)
    assert (taken(report)["answer"], report.right) == ("parsed", 4)
    assert report.unread["prediction"].startswith("the same for all samples of a question while 'parsed' varies")


@pytest.mark.parametrize("name", ["answer", "final_answer"])
def test_an_answer_that_never_varies_beside_texts_and_marks_that_do(tmp_path, name):
    rows = [{"id": i // 4, name: str(i // 4), "response": f"text {i}", "correct": i % 3 == i // 4} for i in range(8)]
    report, run = imported(tmp_path, rows)
    assert (taken(report).get("gold"), taken(report).get("answer")) == ("answer" if name == "answer" else None, None)
    assert {record["answer"] for record in run.records} == {None}


def test_a_copy_of_the_gold_answer_is_no_answer(tmp_path):
    rows = [{"id": i, "gold": "42", "final_answer": "42", "actual": p} for i, p in enumerate(PREDICTED)]
    report, _ = imported(tmp_path, rows)
    assert (taken(report)["answer"], report.right) == ("actual", 2)
    assert report.unread == {"final_answer": "it equals the gold answer on every row"}
    (tmp_path / "marks").mkdir()
    rows = [{"id": i, "gold": "42", "answer": "42", "correct": i > 1} for i in range(4)]
    report, _ = imported(tmp_path / "marks", rows)
    assert (taken(report).get("answer"), report.right) == (None, 2)


def test_an_extracted_answer_stands_in_its_text(tmp_path):
    rows = [{"id": i, "response": f"So it is {p}", "is_correct": p == "42"} for i, p in enumerate(PREDICTED)]
    report, _ = imported(tmp_path, [row | {"answer": "42"} for row in rows])
    assert (taken(report).get("gold"), taken(report).get("answer")) == ("answer", None)
    (tmp_path / "other").mkdir()
    report, _ = imported(tmp_path / "other", [row | {"answer": p} for row, p in zip(rows, PREDICTED, strict=True)])
    assert (taken(report).get("gold"), taken(report).get("answer")) == (None, "answer")


def test_a_grader_needs_the_gold_answer(tmp_path):
    rows = [{"id": i, "answer": "42", "response": f"So it is {p}"} for i, p in enumerate(PREDICTED)]
    report, _ = imported(tmp_path, rows, grader="numeric")
    assert (taken(report), report.right) == ({"id": "id", "gold": "answer", "text": "response"}, 2)


def test_a_gold_answer_can_be_a_list(tmp_path):
    # Lists, lists that were written as text, and the lists that question sets call "answer".
    rows = [
        {"id": i, "pred": p, "gold": g}
        for i, (p, g) in enumerate([("b", ["a", "b"]), ("B", "['a', 'b']"), ("c", ["a"])])
    ]
    assert imported(tmp_path, rows)[0].right == 2
    (tmp_path / "other").mkdir()
    rows = [{"id": i, "prediction": p, "answer": ["Paris", "paname"]} for i, p in enumerate(["Paname", "Rome"])]
    report, run = imported(tmp_path / "other", rows)
    assert (report.right, run.questions[0]["accept"]) == (1, ["paname"])
    (tmp_path / "object").mkdir()
    gold = {"value": "Paris", "aliases": ["Paname"]}
    rows = [{"id": i, "pred": p, "gold": gold} for i, p in enumerate(["a", "paname"])]
    assert imported(tmp_path / "object", rows)[0].right == 1
    # An answer that is itself a list is one answer.
    (tmp_path / "code").mkdir()
    rows = [{"id": i, "pred": p, "gold": "['x', 'y']"} for i, p in enumerate(["['x', 'y']", "['x']"])]
    assert told(imported(tmp_path / "code", rows)[1], "correct") == [(True,), (False,)]


# ---------------------------------------------------------------------------------------------- whole texts


@pytest.mark.parametrize("name", ["prediction", "answer", "preds"])
def test_whole_texts_are_no_answers(tmp_path, name):
    rows = [
        {"id": i, "gold": str(i * i), name: [wrote(i), wrote(i) + " Yes."] if name == "preds" else wrote(i)}
        for i in range(6)
    ]
    said = refused(tmp_path, rows)
    assert said.startswith(
        f"logs.jsonl, line 1: {name!r} holds whole texts that hardly ever equal each other or a gold"
    )
    assert said.endswith(f"Grade them, e.g. --grader numeric; or say that they are answers: --field answer={name}.")
    report, _ = imported(tmp_path, rows, grader="numeric")
    assert (taken(report)["text"], report.right) == (name, report.samples)


def test_whole_texts_that_the_user_calls_answers_are_warned_of(tmp_path):
    rows = [{"id": i, "gold": str(i * i), "out": wrote(i)} for i in range(6)]
    report, _ = imported(tmp_path, rows, fields={"answer": "out"})
    assert report.right == 0
    assert report.warnings[0].startswith("'out' was named as the model's answer, but it holds whole texts")
    assert report.warnings[1].startswith("imported: all 6 samples are wrong. The answer was taken from 'out', the gold")


def test_whole_texts_with_marks_are_texts(tmp_path):
    report, run = imported(tmp_path, [{"id": i, "answer": wrote(i), "correct": i % 2} for i in range(6)])
    assert (taken(report)["text"], report.right) == ("answer", 3)
    assert told(run, "text", "answer")[0] == (wrote(0), None)


def test_the_hint_names_the_grader_for_the_gold_answers(tmp_path):
    rows = [{"id": i, "gold": "ABCD"[i % 4], "answer": f"I would say option {'ABCD'[i % 4]}"} for i in range(6)]
    assert "Grade them, e.g. --grader choice;" in refused(tmp_path, rows)


def test_free_answers_are_not_whole_texts(tmp_path):
    names = ["The Duke of Wellington and his allied army", "Napoleon Bonaparte, the emperor of the French"]
    rows = [{"id": i, "gold": names[0], "answer": names[i % 2]} for i in range(6)]
    assert imported(tmp_path, rows)[0].right == 3


# ---------------------------------------------------------------------------------------------- null


def test_null_is_no_answer_and_stays_in_the_count(tmp_path):
    rows = [
        {"id": "a", "answer": "", "gold": "3"},
        {"id": "b", "answer": None, "gold": "3"},
        {"id": "c", "answer": "3", "gold": "3"},
    ]
    for skip_bad in (False, True):
        folder = tmp_path / str(skip_bad)
        folder.mkdir()
        report, run = imported(folder, rows, skip_bad=skip_bad)
        assert (report.samples, report.right, report.skipped) == (3, 1, 0)
        assert told(run, "answer", "correct") == [(None, False), (None, False), ("3", True)]
        assert report.notes == ["2 samples have no answer (null or empty), which is wrong and no vote."]


@pytest.mark.parametrize(
    ("rows", "options", "count"),
    [
        ([{"id": "a", "answer": ["3", None, "3"], "gold": "3"}], {}, (3, 2)),
        (
            [{"id": "a", "text": "it is 3", "gold": "3"}, {"id": "b", "text": None, "gold": "3"}],
            {"grader": "numeric"},
            (2, 1),
        ),
        ([{"id": "a", "gold": "3"}, {"id": "b", "answer": "3", "gold": "3"}], {}, (2, 1)),
        ([{"id": "a", "pred": [], "gold": "3"}, {"id": "b", "pred": ["3", "4"], "gold": "3"}], {}, (3, 1)),
        ([{"id": "a", "pred": ["3", None], "correct": [True, None]}], {}, (2, 1)),
        (
            [{"id": "a", "pred": None, "response": "well", "gold": "3"}, {"id": "b", "pred": "3", "gold": "3"}],
            {},
            (2, 1),
        ),
        ([{"id": "a", "answer": None, "correct": None}, {"id": "b", "answer": "3", "correct": True}], {}, (2, 1)),
    ],
)
def test_null_in_lists_texts_and_marks(tmp_path, rows, options, count):
    report, _ = imported(tmp_path, rows, **options)
    assert (report.samples, report.right) == count
    assert report.marked == report.samples


# ---------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize(
    "marks",
    [("True", "false"), ("1", "0"), (1.0, 0.0), ("pass", "fail"), ("C", "I"), ("correct", "Incorrect"), ("yes", "no")],
)
def test_marks_have_many_names(tmp_path, marks):
    rows = [{"id": i, "model": "m", "is_correct": marks[i % 2]} for i in range(3)]
    assert imported(tmp_path, rows)[0].right == 2


def test_evalplus_counts_what_passes_all_tests(tmp_path):
    kinds = [("pass", "fail"), ("pass", "pass"), ("fail", "pass")]
    rows = [
        {"task_id": "B/0", "solution": f"def f(): {i}", "base_status": a, "plus_status": b}
        for i, (a, b) in enumerate(kinds)
    ]
    report, _ = imported(tmp_path, rows)
    assert (taken(report)["correct"], report.right, report.unread) == ("plus_status", 1, {})


def test_a_score_is_a_mark_only_where_it_agrees_with_the_gold_answers(tmp_path):
    def made(name, scores, **more):
        (tmp_path / name).mkdir()
        rows = [
            {"id": i, "score": s, **more} | ({"answer": p} if "gold" in more else {})
            for i, (s, p) in enumerate(zip(scores, PREDICTED, strict=True))
        ]
        return imported(tmp_path / name, rows)[0]

    assert (
        made("alone", [1.0, 0.0, 1.0, 0.0]).right,
        taken(made("boolean", [True, False, False, False]))["correct"],
    ) == (2, "score")
    assert taken(made("agrees", [1, 1, 1, 0], gold="42"))["correct"] == "score"  # 41 is another form of it, say
    report = made("differs", [0, 1, 1, 1], gold="42")
    assert (taken(report)["score"], taken(report).get("correct"), report.right) == ("score", None, 2)
    assert taken(made("reward", [0.3, 0.9, 1.0, 0.0], gold="42"))["score"] == "score"


def test_marks_that_differ_are_warned_of(tmp_path):
    rows = [{"id": i, "correct": i % 2, "exact_match": 0} for i in range(4)]
    assert imported(tmp_path, rows)[0].warnings == [
        "right and wrong are taken from 'correct'; 'exact_match' says something else on some rows. To take that one, "
        "use --field correct=exact_match."
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": "q", "answer": ["42", "42", "42"], "correct": [1, 0, 1]}],
        [{"id": "q", "answer": "42", "correct": True}, {"id": "q", "answer": "42.0", "correct": False}],
        [{"id": "q", "answer": "Paris", "correct": "pass"}, {"id": "q", "answer": " paris.", "correct": "fail"}],
        [{"id": "q", "model": "a", "pred": "x", "correct": 1}, {"id": "q", "model": "b", "pred": "x", "correct": 0}],
        [{"id": "q", "response": ["one", "two"], "answer": ["42", "42"], "correct": [1, 0]}],
        [{"id": "q", "gold": "42", "answer": ["42", "42", "41"], "correct": [1, 0, 0]}],
    ],
)
def test_one_answer_both_right_and_wrong_is_refused(tmp_path, rows):
    said = refused(tmp_path, rows, skip_bad=True)
    assert "is marked both right and wrong, " in said
    assert ("on this line" if len(rows) == 1 else "here and on logs.jsonl, line 1") in said


def test_answers_that_only_normalizing_makes_equal_are_two(tmp_path):
    rows = [{"id": "q", "answer": "[1, 2)", "correct": 1}, {"id": "q", "answer": "(1, 2]", "correct": 0}]
    _, run = imported(tmp_path, rows)
    assert told(run, "answer", "correct") == [("1 2", True), ("(1, 2]", False)]


# ---------------------------------------------------------------------------------------------- values and names


@pytest.mark.parametrize(
    ("extra", "unread"),
    [
        ({"latency": "1.2s"}, {"latency": "'1.2s' does not fit the field 'seconds'"}),
        ({"tokens": [1, 2, 3]}, {"tokens": "a list beside one sample"}),
        ({"sample": "it is 3"}, {"sample": "'it is 3' does not fit the field 'sample'"}),
        ({"model": ["a", 1]}, {"model": "'[\"a\", 1]' does not fit the field 'model'"}),
        ({"question": {"options": ["x"]}}, {"question": "'{\"options\": [\"x\"]}' does not fit the field 'question'"}),
        ({"cost": -1}, {"cost": "'-1' does not fit the field 'cost'"}),
        ({"choices": ["only"]}, {"choices": "'[\"only\"]' does not fit the field 'choices'"}),
    ],
)
def test_a_field_nobody_asked_for_does_not_stop_the_import(tmp_path, extra, unread):
    report, _ = imported(tmp_path, [{"id": "a", "answer": "3", "gold": "3", **extra}])
    assert (report.right, report.unread) == (1, unread)
    if next(iter(extra)) not in ("question", "choices", "tokens"):
        named = {"latency": "seconds"}.get(next(iter(extra)), next(iter(extra)))
        (tmp_path / "named").mkdir()
        assert "expected" in refused(
            tmp_path / "named", [{"id": "a", "answer": "3", **extra}], fields={named: next(iter(extra))}
        )


@pytest.mark.parametrize(
    ("extra", "field", "source"),
    [
        (
            {"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]},
            "question",
            "prompt",
        ),
        ({"question": {"stem": "Why?", "options": ["x", "y"]}}, "question", "question"),
        ({"output": {"text": "it is 3"}}, "text", "output"),
        ({"model": {"name": "acme"}}, "model", "model"),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 7, "cost": 0.001}}, "cost", "usage.cost"),
        ({"cost": "0.002", "output_tokens": "12"}, "output_tokens", "output_tokens"),
    ],
)
def test_values_are_read_in_the_forms_that_logs_have(tmp_path, extra, field, source):
    report, run = imported(tmp_path, [{"id": "a", "answer": "3", "gold": "3", **extra}])
    assert taken(report)[field] == source
    assert run.records[0]["model"] == ("acme" if field == "model" else "imported")
    assert run.questions[0]["question"] == ("Why?" if field == "question" else "a")
    assert run.records[0]["cost"] == {"cost": 0.001, "output_tokens": 0.002}.get(field)


def test_a_value_that_does_not_fit_is_left_out_and_mentioned(tmp_path):
    rows = [{"id": i, "answer": "3", "gold": "3", "cost": cost} for i, cost in enumerate([1, "n/a", "0.5"])]
    report, run = imported(tmp_path, rows)
    assert told(run, "cost") == [(1,), (None,), (0.5,)]
    assert [(use.example, use.rows) for use in report.fields if use.field == "cost"] == [("1", 2)]
    assert report.notes == [
        "1 value was left out of 'cost', since 'n/a' does not fit the field 'cost'. To read another field use --field "
        "cost=NAME, or --field cost= for none."
    ]


def test_a_field_can_be_switched_off(tmp_path):
    rows = [{"id": "a", "answer": "3", "gold": "3", "cost": 2, "correct": False}]
    report, run = imported(tmp_path, rows, fields={"cost": "", "correct": ""})
    assert told(run, "cost", "correct") == [(None, True)]
    assert list(report.unread) == ["cost", "correct"]


@pytest.mark.parametrize("path", ["raw.choices.0.message.content", "raw.choices[0].message.content"])
def test_paths_reach_into_lists(tmp_path, path):
    rows = [{"id": "q", "gold": "42", "raw": {"choices": [{"message": {"content": "It is 42."}}]}}]
    report, _ = imported(tmp_path, rows, grader="numeric", fields={"text": path})
    assert (taken(report)["text"], report.right) == (path, 1)


def test_a_name_asked_of_a_list_is_asked_of_each_entry(tmp_path):
    rows = [{"id": "q", "samples": [{"a": "x", "ok": 1}, {"a": "y", "ok": 0}, {"a": "y"}]}]
    _, run = imported(tmp_path, rows, fields={"answer": "samples.a", "correct": "samples.ok"})
    assert told(run, "answer", "correct") == [("x", True), ("y", False), ("y", None)]


def test_whole_replies_in_a_field(tmp_path):
    usage = {"prompt_tokens": 5, "completion_tokens": 8}
    reply = {"model": "acme", "choices": [{"message": {"content": "it is 3"}, "finish_reason": "stop"}], "usage": usage}
    two = reply | {"choices": [{"index": i, "message": {"content": str(3 + i)}} for i in range(2)]}
    rows = [{"id": "a", "gold": "3", "response": reply, "cost": 0.5}, {"id": "b", "gold": "3", "response": two}]
    report, run = imported(tmp_path, rows, grader="numeric")
    assert told(run, "id", "model", "answer", "input_tokens", "cost") == [
        ("a", "acme", "3", 5, 0.5),
        ("b", "acme", "3", 5, None),
        ("b", "acme", "4", 5, None),
    ]
    assert (run.records[0]["output_tokens"], run.records[0]["finish"]) == (8, "stop")
    assert taken(report)["text"] == "response.choices"
    (tmp_path / "marked").mkdir()
    rows = [{"id": "b", "cost": 0.5, "response": two, "answer": ["3", "4"], "correct": [True, False]}]
    _, run = imported(tmp_path / "marked", [*rows, {"id": "c", "response": [reply, reply], "correct": [True, False]}])
    assert told(run, "answer", "correct", "cost") == [
        ("3", True, 0.25),
        ("4", False, 0.25),
        (None, True, None),
        (None, False, None),
    ]
    (tmp_path / "one").mkdir()
    said = "'correct' has 1 entry for 2 choices; write one entry per choice"
    rows = [{"id": i, "response": two if i == 2 else reply, "correct": True} for i in range(5)]
    assert said in refused(tmp_path / "one", rows)
    (tmp_path / "none").mkdir()
    assert "'correct' is not taken: one mark for a list of samples" in refused(tmp_path / "none", rows[2:3])
    (tmp_path / "parts").mkdir()
    parts = {"model": "acme", "content": [{"type": "text", "text": "it is 3"}], "usage": {"output_tokens": 9}}
    _, run = imported(tmp_path / "parts", [{"id": "a", "gold": "3", "response": parts}], grader="numeric")
    assert told(run, "model", "answer", "output_tokens") == [("acme", "3", 9)]


def test_requests_have_ids_of_their_own(tmp_path):
    rows = [{"id": f"gen-{i}", "question_id": f"q{i // 2}", "answer": "x", "gold": "x"} for i in range(6)]
    report, _ = imported(tmp_path, [row | {"prompt": f"Ask {row['question_id']}"} for row in rows])
    assert (taken(report)["id"], report.questions) == ("question_id", 3)
    (tmp_path / "named").mkdir()
    assert imported(tmp_path / "named", rows)[0].questions == 3
    (tmp_path / "other").mkdir()  # nothing shows which of them names the question
    rows = [{"task_id" if key == "question_id" else key: value for key, value in row.items()} for row in rows]
    report, _ = imported(tmp_path / "other", rows)
    assert report.questions == 6
    assert report.warnings[0] == (
        "'id' names the question and differs on every line, while 'task_id' repeats: if 'task_id' names the question, "
        "use --field id=task_id."
    )


def test_columns_that_come_late(tmp_path):
    rows = [{"id": 0, "pred": "1", "gold": "1"}, {"id": 1, "prediction": "2", "gold": "2", "cost": 3}]
    report, run = imported(tmp_path, rows)
    assert (report.right, run.records[1]["cost"]) == (2, 3)
    assert [use.source for use in report.fields if use.field == "answer"] == ["pred", "prediction"]
    (tmp_path / "beside").mkdir()  # a column that stands beside another does not stand in for it
    rows = [{"id": i, "pred": "1", "prediction": "2", "gold": "1"} for i in range(3)]
    del rows[0]["prediction"]
    _, run = imported(tmp_path / "beside", rows)
    assert told(run, "answer") == [(None,), ("2",), ("2",)]


# ---------------------------------------------------------------------------------------------- what looks wrong


def test_all_right_all_wrong_and_all_the_same_are_warned_of(tmp_path):
    rows = [{"id": i, "gold": str(i), "gt": str(i), "final": str(i // 2)} for i in range(4)]
    report, _ = imported(tmp_path, rows, fields={"answer": "gt"})
    assert report.warnings == [
        "imported: all 4 samples are right. The answer was taken from 'gt', the gold answer from 'gold'. If the "
        "model's answer is in another field, use --field answer=final."
    ]
    (tmp_path / "wrong").mkdir()
    report, _ = imported(tmp_path / "wrong", [row | {"answer": f"x{i}"} for i, row in enumerate(rows)])
    assert report.warnings == [
        "imported: all 4 samples are wrong. The answer was taken from 'answer', the gold answer from 'gold', e.g. 'x0' "
        "against '0'. If the model's answer is in another field, use --field answer=final; if these are whole texts, "
        "grade them, e.g. --grader numeric."
    ]
    (tmp_path / "same").mkdir()
    report, _ = imported(tmp_path / "same", [row | {"answer": "1"} for row in rows])
    assert report.warnings == [
        "imported: all 4 answers to 4 questions are '1'. They were taken from 'answer': if that is not the model's "
        "answer, use --field answer=final."
    ]
    (tmp_path / "marks").mkdir()
    report, _ = imported(tmp_path / "marks", [{"id": i, "passed": False} for i in range(3)])
    assert report.warnings == [
        "imported: all 3 samples are wrong. Right and wrong were taken from 'passed'. If another field says so, use "
        "--field correct=NAME."
    ]


def test_gold_answers_that_are_marked_wrong_are_warned_of(tmp_path):
    rows = [{"id": i, "answer": "x", "gold": "x" if i else "y", "correct": i == 0} for i in range(3)]
    assert imported(tmp_path, rows)[0].warnings[-1] == (
        "imported: 2 answers equal the gold answer but are marked wrong. Check the fields: right and wrong were taken "
        "from 'correct', the answer from 'answer', the gold answer from 'gold'."
    )


def test_one_id_for_two_questions_is_refused(tmp_path):
    rows = [
        {"id": 0, "question": "What holds rain?", "correct": 1},
        {"id": 0, "question": "Who lost a hat?", "correct": 0},
    ]
    said = refused(tmp_path, rows, skip_bad=True)
    assert said.startswith(
        "logs.jsonl, line 2: the id '0' stands for two questions, 'Who lost a hat?' here and 'What holds rain?' on "
        "logs.jsonl, line 1. Give different questions different ids"
    )
    assert imported(tmp_path, rows, fields={"question": ""})[0].samples == 2
    (tmp_path / "spaces").mkdir()
    rows = [row | {"question": text} for row, text in zip(rows, ["Why  not?", " Why not?\n"], strict=True)]
    assert shares(imported(tmp_path / "spaces", rows)[0]) == {"imported": (2, 1)}

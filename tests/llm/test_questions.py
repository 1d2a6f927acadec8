"""Reading a questions file: what is accepted, and one sentence for whatever is wrong."""

import gzip
import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.llm.final_answers import last_boxed
from tcalloc.llm.questions import Question, as_questions, gold_words, load_questions, question_from

ROW = '{"id": "q%d", "question": "What is %d?", "answer": "%d"}\n'
GOOD = '{"question": "1 + 1 = ?", "answer": "2"}\n'


def write(tmp_path, text, name="q.jsonl"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_one(tmp_path, **row):
    (question,) = load_questions(write(tmp_path, json.dumps(row)))
    return question


def test_the_layout_of_its_own(tmp_path):
    rows = [
        {"question": "6 times 7?", "answer": "42"},
        {"id": "q2", "question": "Capital?", "answer": "Amsterdam", "accept": ["A'dam", 5], "family": "capitals"},
        {"id": 7, "question": "2 + 2", "choices": ["3", "4"], "answer": 4, "few_shot": [["1 + 1", "2"]]},
        {"messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": "Why?"}]},
    ]
    path = write(tmp_path, "\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    first, second, third, fourth = load_questions(path)
    assert (first.id, first.gold, first.golds) == ("0", "42", ("42",))
    assert first.messages == ({"role": "user", "content": "6 times 7?"},)
    assert (second.id, second.golds, dict(second.extra)) == ("q2", ("Amsterdam", "A'dam", "5"), {"family": "capitals"})
    assert (third.id, third.gold, third.choices, third.few_shot) == ("7", "4", ("3", "4"), (("1 + 1", "2"),))
    assert [m["role"] for m in third.messages] == ["user", "assistant", "user"]
    assert [m["content"] for m in third.messages] == ["1 + 1", "2", "2 + 2"]
    assert (fourth.id, fourth.gold, fourth.text, len(fourth.messages)) == ("3", None, "Why?", 2)


def test_published_files_are_read_as_they_are(tmp_path):
    gsm8k = {"question": "Clips?", "answer": "Half of 48 is <<48/2=24>>24.\n48 + 24 = 72\n#### 72"}
    assert read_one(tmp_path, **gsm8k).gold == "72"
    solution = r"We have $x = 1$, \boxed{} no, so the answer is $\boxed{\frac{3}{4}}$."
    question = read_one(tmp_path, problem="Find it.", level="Level 5", solution=solution)
    assert (question.text, question.gold, question.extra["level"]) == ("Find it.", r"\frac{3}{4}", "Level 5")
    question = read_one(tmp_path, problem="p", solution="...", answer="12", unique_id="test/1.json")
    assert (question.id, question.gold) == ("test/1.json", "12")
    question = read_one(tmp_path, qid="local-0", question="3 + 1", gold="4", accept=["four"])
    assert (question.id, question.golds) == ("local-0", ("4", "four"))


def test_the_shipped_questions(shared_data):
    questions = load_questions(shared_data / "recorded_local_llms.questions.jsonl.gz")
    assert len(questions) == 293
    assert all(question.golds and len(question.messages) == 1 + 2 * len(question.few_shot) for question in questions)


def test_gzip_is_seen_whatever_the_name(tmp_path):
    for name in ("q.jsonl.gz", "q.jsonl"):
        assert load_questions(write(tmp_path, gzip.compress(GOOD.encode() * 3), name))[2].id == "2"


BAD = {
    "not JSON": (
        GOOD + '{"question": 1; 2}\n',
        ", line 2: not JSON (Expecting ',' delimiter, character 15). Write one object a "
        'line, like {"question": "What is 6 times 7?", "answer": "42"}.',
    ),
    "cut off": (GOOD + '{"question": "x', ", line 2: not JSON (Unterminated string starting at, character 14). Write"),
    "CSV": ("question,answer\n1,2\n", ", line 1: not JSON (Expecting value, character 1). Write one object a line"),
    "pretty-printed": (
        '[\n{"question": "a"}\n]',
        ", line 1: one JSON document over many lines, not one object a line.",
    ),
    "array": ('[{"question": "a"}]\n', ", line 1: a list, not an object. Write one object a line, like"),
    "number": ("1\n", ", line 1: a number, not an object."),
    "NaN": ('{"question": "a", "answer": NaN}', ", line 1: not usable JSON (NaN is no JSON). Write numbers and"),
    "long number": ('{"question": "a", "answer": ' + "9" * 5000 + "}", ", line 1: not usable JSON (Exceeds the limit"),
    "deep": ("[" * 200_000, ", line 1: not usable JSON (nested too deeply)."),
    "no question": ('{"q": "a", "answer": "b"}', ", line 1: no field 'question' (or 'messages'). Write it like {"),
    "null question": ('{"question": null}', ", line 1: no field 'question' (or 'messages')."),
    "question no text": ('{"question": ["a"]}', ", line 1, field 'question': expected text, got a list. Write the"),
    "question empty": ('{"question": "  "}', ", line 1, field 'question': expected text, got empty text."),
    "two questions": (
        '{"question": "a", "prompt": "b"}',
        ", line 1: 'question' and 'prompt' mean the same and differ.",
    ),
    "question and messages": (
        '{"question": "a", "messages": [{"role": "user", "content": "b"}]}',
        ", line 1: both 'question' and 'messages'. Keep one of them.",
    ),
    "duplicate id": (
        '{"id": "x", "question": "a"}\n\n{"id": "y", "question": "a"}\n{"id": "x", "question": "b"}\n',
        ", line 4: the id 'x' was already given to line 1. Give every question its own id, or drop the ids.",
    ),
    "default id taken": (
        '{"id": 1, "question": "a"}\n{"question": "b"}\n',
        ", line 2: the id '1' was already given to line 1.",
    ),
    "id type": (
        '{"id": 1.5, "question": "a"}',
        ", line 1, field 'id': expected text or a whole number, got the number",
    ),
    "id bool": ('{"id": true, "question": "a"}', ", line 1, field 'id': expected text or a whole number, got true."),
    "id empty": ('{"id": "", "question": "a"}', ", line 1, field 'id': expected text or a whole number, got empty"),
    "answer type": ('{"question": "a", "answer": ["b"]}', ", line 1, field 'answer': expected one answer (text or a"),
    "answer empty": (
        '{"question": "a", "answer": "so ####"}',
        ", line 1, field 'answer': the answer is empty. Fill it",
    ),
    "no box": ('{"problem": "a", "solution": "42"}', ", line 1, field 'solution': no \\boxed{...} in it. Write the"),
    "accept": (
        '{"question": "a", "accept": "b"}',
        ", line 1, field 'accept': expected a list like [\"a\", ",
    ),
    "accept entry": ('{"question": "a", "accept": [{}]}', ", line 1, field 'accept'[0]: expected one answer (text or"),
    "one choice": ('{"question": "a", "choices": ["b"]}', ", line 1, field 'choices': 1 of them; from 2 to 26"),
    "choices of ARC": ('{"question": "a", "choices": {"text": []}}', ", line 1, field 'choices': expected a list like"),
    "few_shot": ('{"question": "a", "few_shot": [["b"]]}', ", line 1, field 'few_shot': expected a list of pairs"),
    "messages": ('{"messages": []}', ", line 1, field 'messages': expected a list like [{"),
    "role": (
        '{"messages": [{"role": "me", "content": "b"}]}',
        ", line 1, field 'messages'[0]: expected an object whose",
    ),
    "content": (
        '{"messages": [{"role": "user", "content": [1]}]}',
        ", line 1, field 'messages'[0]: its content is a list",
    ),
    "latin1": (
        GOOD.encode() + b'{"question": "\xe9"}',
        ", line 2: not UTF-8 text (byte 0xe9). Save the file as UTF-8.",
    ),
    "UTF-16": (GOOD.encode("utf-16"), ": not UTF-8 text (it seems to be UTF-16). Save it as UTF-8."),
    "empty": ("", ": the file is empty; expected one JSON object a line, like {"),
    "blank": ("\n \n", ": only empty lines; expected one JSON object a line, like {"),
    "gzip cut off": (gzip.compress(GOOD.encode() * 999, mtime=0)[:-9], ": damaged gzip data after line "),
    "gzip damaged": (
        gzip.compress(GOOD.encode(), mtime=0)[:-5] + b"12345",
        ": damaged gzip data after line 1 (CRC check failed",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_one_sentence_for_a_bad_file(case, tmp_path):
    text, message = BAD[case]
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_questions(path)
    said = str(caught.value)
    assert said.startswith(f"{path}{message}")
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 400 + len(str(path))


def test_no_file_at_all(tmp_path):
    with pytest.raises(InputError, match=r"nothing.jsonl: no such file. Check the path\.$"):
        load_questions(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match=r": a folder; expected a .jsonl or .jsonl.gz file\.$"):
        load_questions(tmp_path)


def test_many_rows_take_little_time(tmp_path):
    n = 50_000  # a million take 20 times as long
    path = write(tmp_path, "".join(ROW % (i, i, i) for i in range(n)))
    started = time.process_time()
    questions = load_questions(path)
    assert time.process_time() - started < 3
    assert len(questions) == n
    assert questions[-1].gold == str(n - 1)
    with open(path, "a") as file:
        file.write('{"id": "q7", "question": "again"}\n')
    with pytest.raises(InputError, match=r"line 50001: the id 'q7' was already given to line 8"):
        load_questions(path)


def test_many_rows_take_little_memory(tmp_path):
    n = 5_000
    path = write(tmp_path, "".join(ROW % (i, i, i) for i in range(n)))
    tracemalloc.start(1)
    try:
        questions = load_questions(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(questions) == n
    assert (peak - 2**21) / n < 1000  # bytes; besides the buffers


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"\boxed{42}", "42"),
        (r"\boxed{1} then \boxed{ 2 }", "2"),
        (r"\boxed{\frac{1}{2}} and {more}", r"\frac{1}{2}"),
        (r"\boxed{a \} b}", r"a \} b"),
        (r"\fbox{x}", "x"),
        (r"$\boxed 42$", "42"),
        (r"\boxed{7} but \boxed{never closed", "7"),
        (r"\boxed{}", None),
        ("nothing", None),
    ],
)
def test_boxes(text, box):
    assert last_boxed(text) == box


def test_words_about_missing_answers():
    with_gold = Question("a", (), "?", "1")
    without = Question("b", (), "?")
    assert gold_words([with_gold]) is None
    assert gold_words([without]).startswith("No question has a gold answer, so that accuracy will not be known.")
    assert gold_words([with_gold, without]).startswith("1 of 2 questions has no gold answer. --labels agreement uses")


def test_whatever_a_caller_has(tmp_path):
    row = {"id": "a", "question": "1 + 1 = ?", "answer": "2"}
    path = write(tmp_path, json.dumps(row))
    (expected,) = load_questions(path)
    for given_ in (path, str(path), [row], (row,), iter([row]), [expected]):
        assert as_questions(given_) == [expected]
    assert [(one.id, one.text, one.gold) for one in as_questions(["1 + 1", "2 + 2"])] == [
        ("0", "1 + 1", None),
        ("1", "2 + 2", None),
    ]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ([], "questions is empty"),
        (5, "questions is 5; expected a questions file"),
        ({"question": "1 + 1"}, "expected a questions file, or texts in a list"),
        (b"questions.jsonl", "expected a questions file, or texts in a list"),
        (["1 + 1", 5], r"questions\[1\] is 5; expected a text"),
        ([["1 + 1"]], r"questions\[0\] is \['1 \+ 1'\]; expected a text"),
        ([{"text": "1 + 1"}], r"questions\[0\]: no field 'question'"),
        ([{"id": "1", "question": "a"}, "b"], r"questions\[1\] has the id '1' like questions\[0\]"),
        ("none.jsonl", "none.jsonl: no such file"),
    ],
)
def test_what_is_no_questions(given_, words):
    with pytest.raises(InputError, match=words):
        as_questions(given_)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("id", "question", "messages", "answer", "gold", "solution", "accept", "choices", "few_shot", "problem")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_any_object_is_a_question_or_refused(row):
    try:
        question = question_from(row, "f, line 1", "0")
    except InputError as error:
        said = str(error)
        question = None
    if question is None:
        assert said.startswith("f, line 1")
        assert said.endswith(".")
    else:
        assert question.text is not None
        assert question.messages[-1]["content"] is not None
        assert all(isinstance(gold, str) for gold in question.golds)

"""Grading that fails, and grading again: nothing becomes a wrong answer, and no verdict is lost."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from chaos import Chaos
from judges import Judge, honest
from sample_cli import ENVIRONMENT, main, write_questions

import tcalloc
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import Grade, check_golds, grade_safely, make_grader
from tcalloc.llm.questions import Question, load_questions
from tcalloc.llm.regrading import grade
from tcalloc.llm.sampler import sample
from tcalloc.measure import Samples
from tcalloc.runs.lines import read_samples
from tcalloc.runs.store import Store, read_run
from tcalloc.runs.verdicts import Session
from tcalloc.serve.answer import answer

# ---------------------------------------------------------------------------------------------- graders that misbehave


class Words(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Deep(BaseException):
    pass


class Text(str):
    def __str__(self):
        raise RuntimeError("no text")


def raising(error):
    def grader(question, text):
        raise error

    return grader


def returning(value):
    return lambda question, text: value


QUESTION = Question("q", ({"role": "user", "content": "6 times 7?"},), "6 times 7?", "42")
BAD = {
    "exits": (raising(SystemExit(0)), "SystemExit: 0"),
    "is interrupted": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "ends a generator": (raising(GeneratorExit()), "GeneratorExit"),
    "has no words": (raising(Words()), "Words"),
    "raises the root": (raising(Deep("x" * 10_000)), "Deep: xxx"),
    "has no memory": (raising(MemoryError()), "MemoryError"),
    "has no end": (lambda q, t: BAD["has no end"][0](q, t), "RecursionError"),
    "NaN": (returning(math.nan), "ValueError: the grader returned the number nan"),
    "infinity": (returning(-math.inf), "ValueError: the grader returned the number -inf"),
    "a huge number": (returning(10**5000), "ValueError"),
    "a NaN mark": (returning(("42", math.nan)), "TypeError: the grader's mark is of type float nan"),
    "half a mark": (returning(("42", 0.5)), "TypeError: the grader's mark is of type float 0.5"),
    "a word as mark": (returning(("42", "no")), "TypeError: the grader's mark is of type str"),
    "a list as mark": (returning(("42", [])), "TypeError: the grader's mark is of type list"),
    "text without text": (returning(Text("42")), "RuntimeError: no text"),
    "bytes": (returning(b"42"), "TypeError: the grader returned bytes"),
    "a grade of NaN": (returning(Grade("42", math.nan)), "TypeError: the grader's mark"),
    "a grade of a number": (returning(Grade(42, True)), "TypeError: the grade's answer is of type int"),
    "an error and a mark": (returning(Grade("42", False, "late")), "late"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_grader_costs_one_grade_at_most(name):
    found = []

    def call():  # as the threads that sample do
        found.append(grade_safely(make_grader(BAD[name][0]), QUESTION, "42"))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    [result] = found
    assert result.correct is None
    assert result.error.startswith(BAD[name][1])
    assert len(result.error) <= 300
    json.dumps(result.error)


def test_marks_of_any_library():
    import numpy as np

    for good, right in (
        (1, True),
        (0, False),
        (1.0, True),
        (np.True_, True),
        (np.float64(0), False),
        (np.int64(1), True),
    ):
        grade = grade_safely(make_grader(returning(("42", good))), QUESTION, "x")
        assert grade == Grade("42", right)
        assert grade.correct is right


@pytest.mark.parametrize(
    "code", ["import sys; sys.exit(0)", "raise KeyError('x')", "def f(:", "import sys; sys.path.clear(); 1 / 0"]
)
def test_a_module_that_fails(code, tmp_path, monkeypatch):
    name = f"failing_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(InputError, match="its module fails"):
        make_grader(f"python:{name}:f")


@pytest.mark.parametrize("gold", [42, None, b"42", ["42"], "", " "])
def test_golds_that_no_grader_can_find(gold):
    question = replace(QUESTION, accept=(gold,))
    for kind in ("numeric", "exact", "normalized"):
        with pytest.raises(InputError, match=r"question 'q': the gold answer"):
            check_golds(make_grader(kind), [question])

    class Own:
        name = "own"

        def check(self, question):
            raise ZeroDivisionError

    with pytest.raises(InputError, match="the grader's check of its gold answer failed"):
        check_golds(Own(), [QUESTION])


@pytest.mark.parametrize("gold", [float("nan"), float("inf"), 10**5000], ids=["nan", "inf", "huge"])
def test_numbers_that_are_no_answer(gold):
    with pytest.raises(InputError, match="too large or none"):
        answer(
            [{"question": "1 + 1", "answer": gold}], Always("vote1"), ChatClient("http://127.0.0.1:1/v1", "m", key=None)
        )


# ---------------------------------------------------------------------------------------------- while sampling

GRADING = """
import os, sys
def grade(question, text):
    mode = os.environ.get("MODE", "")
    if mode == "exit" or (mode == "some" and question.id in ("1", "3")):
        sys.exit(0)
    return text.split()[-1].strip(".")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "grading_of_tests.py").write_text(GRADING)
    write_questions(tmp_path / "q.jsonl", 5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MODE", raising=False)
    return tmp_path


def tcalloc_run(capsys, *argv):
    code = main([str(part) for part in argv])
    out, err = capsys.readouterr()
    return code, out, err


GRADER = ("--grader", "python:grading_of_tests:grade")


def asked(server, *argv):
    return ["q.jsonl", "--base-url", server.url, "--model", "m", "--out", "run", *GRADER, *argv]


def test_sample_says_it_and_grade_mends_it(folder, capsys, monkeypatch):
    with Chaos() as server:
        monkeypatch.setenv("MODE", "some")
        code, out, err = tcalloc_run(capsys, "sample", *asked(server, "--samples", "3", "--no-text"))
        assert code == 1
        assert "15 of 15 samples" in out
        words = "6 answers could not be graded: SystemExit: 0. They count as neither right nor wrong until graded"
        assert words in err
        assert "tcalloc grade run" in err
        assert [r["correct"] for r in read_run("run").records if r["id"] == "1"] == [None] * 3
        # It is said until it is mended, also where nothing is left to draw.
        assert tcalloc_run(capsys, "sample", *asked(server, "--samples", "3"))[0] == 1
        asked_so_far = len(server.requests)
        code, _, err = tcalloc_run(capsys, "solve", "run", "--budget", "1")
        assert code == 0
        assert "6 answers could not be graded" in err
        assert Samples.load("run").ids.tolist() == ["0", "2", "4"]
        # Again and it fails again: nothing changes.
        before = (folder / "run" / "samples.jsonl").read_bytes()
        code, out, err = tcalloc_run(capsys, "grade", "run")
        assert (code, (folder / "run" / "samples.jsonl").read_bytes()) == (1, before)
        assert "6 answers could not be graded: SystemExit: 0." in err
        assert "keeps its verdicts" in err
        monkeypatch.setenv("MODE", "")
        code, out, err = tcalloc_run(capsys, "grade", "run")
        assert (code, err) == (0, "")
        assert out.startswith("run: 6 of 15 samples graded by python:grading_of_tests:grade, 6 verdicts changed.")
        assert len(server.requests) == asked_so_far
        code, out, err = tcalloc_run(capsys, "sample", *asked(server, "--samples", "3"))
        assert (code, err) == (0, "")
        code, out, err = tcalloc_run(capsys, "grade", "run", "--json")
        assert code == 0
        assert json.loads(out)["graded"] == 0
    assert Samples.load("run").ids.tolist() == ["0", "1", "2", "3", "4"]


def test_answer_says_it(folder, capsys, monkeypatch):
    with Chaos() as server:
        monkeypatch.setenv("MODE", "some")
        code, out, err = tcalloc_run(capsys, "answer", *asked(server, "--policy", "vote3"))
        assert code == 1
        assert "6 answers could not be graded: SystemExit: 0" in err
        assert "because their samples could not be graded" in out
        answers = [json.loads(line) for line in (folder / "run" / "answers.jsonl").read_text().splitlines()]
        assert [a["correct"] for a in answers if a["id"] in "13"] == [None, None]
        assert [(a["ungraded"], a["error"]) for a in answers][:2] == [(0, None), (3, "SystemExit: 0")]
        monkeypatch.setenv("MODE", "")
        code, _, err = tcalloc_run(capsys, "grade", "run")
        assert code == 0
        assert "Run the same `tcalloc answer` again" in err
        drawn = len(server.requests)
        code, out, _ = tcalloc_run(capsys, "answer", *asked(server, "--policy", "vote3"))
        assert (code, len(server.requests)) == (0, drawn)
        assert "5 of 5 questions answered" in out


def test_answer_checks_golds_before_it_asks(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"question": "The capital?", "answer": "Paris"}\n')
    with Chaos() as server, ChatClient(server.url, "m", key=None) as client:
        for out in (None, str(tmp_path / "run")):
            with pytest.raises(InputError, match="the gold answer 'Paris' is not a number"):
                answer(str(tmp_path / "q.jsonl"), Always("vote1"), client, out=out)
        assert not server.requests
    assert not (tmp_path / "run").exists()


def test_import_says_it(folder, capsys, monkeypatch):
    rows = [{"id": str(i), "text": f"It is {2 * i}.", "gold": str(2 * i)} for i in range(4)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("MODE", "some")
    code, _, err = tcalloc_run(capsys, "import", "log.jsonl", "--out", "run", "--no-text", *GRADER)
    assert code == 1
    assert "2 answers could not be graded: SystemExit: 0" in err
    monkeypatch.setenv("MODE", "")
    code, out, _ = tcalloc_run(capsys, "grade", "run")
    assert code == 0
    assert "4 of 4 that could be marked are right" in out
    assert tcalloc_run(capsys, "grade", "run", "--grader", "numeric")[0] == 1  # two have no text


# ---------------------------------------------------------------------------------------------- grading again


@pytest.fixture
def sampled(folder):
    """A run of five questions, three samples each, graded as numbers."""
    with Chaos() as server, ChatClient(server.url, "m", key=None) as client:
        sample(load_questions("q.jsonl"), client, make_grader("numeric"), 3, out="run")
    return folder / "run"


def verdicts(run):
    return {(r["id"], r["sample"]): (r["answer"], r["correct"], r["error"]) for r in read_run(run).records}


def test_another_grader_and_back(sampled):
    numeric = verdicts(sampled)
    whole = {key: value for record in read_run(sampled).records for key, value in record.items()}
    result = grade(sampled, "exact")
    assert (result.graded, result.failures.count, result.right) == (15, 0, 0)
    assert read_run(sampled).manifest["arms"][0]["grader"] == "exact"
    assert whole.keys() == read_run(sampled).records[-1].keys()
    result = tcalloc.grade(sampled, make_grader("numeric"))
    assert verdicts(sampled) == numeric
    assert result.accuracy == sum(right for _, right, _ in numeric.values()) / 15
    lines = list(read_samples(str(sampled / "verdicts.jsonl"), []))
    assert [(line["by"], line["grader"]) for line in lines[::15]] == [
        ("before", "numeric"), ("session", "exact"), ("before", "exact"), ("session", "numeric"),
    ]  # fmt: skip
    assert {(r["id"], r["sample"]): (r["answer"], r["correct"], r["error"]) for r in lines[:15]} == numeric


def test_a_grader_that_fails_for_some(sampled):
    numeric = verdicts(sampled)

    def half(question, text):
        if question.id in "02":
            raise OSError("down")
        return "x", True

    result = grade(sampled, half)
    assert (result.graded, result.failures.count, result.applied) == (9, 6, True)
    found = verdicts(sampled)
    assert {found["0", j] for j in range(3)} == {(None, None, "OSError: down")}
    assert found["1", 0] == ("x", True, None)
    # What was replaced is still there.
    kept = {
        (r["id"], r["sample"]): r["answer"]
        for r in read_samples(str(sampled / "verdicts.jsonl"), [])
        if r["by"] == "before"
    }
    assert kept == {key: value[0] for key, value in numeric.items()}
    # Its name alone does not make a function.
    with pytest.raises(InputError, match=r"a function of your own\. Give it again"):
        grade(sampled)


def test_a_judge_that_is_down_half_of_the_time(sampled):
    calls = iter(range(10_000))

    def flaky(prompt):
        if next(calls) % 2:
            raise ConnectionError("the judge is down")
        return honest(prompt)

    total = 0
    for _ in range(12):
        judge = make_grader("judge", client=Judge(flaky))
        result = grade(sampled, judge, concurrency=3)
        total += judge.calls
        assert all((error is None) == (right is not None) for _, right, error in verdicts(sampled).values())
        if not result.failures.count:
            break
        assert "ConnectionError: the judge is down" in result.failures.words()
    assert result.failures.count == 0
    assert total == 15  # no verdict was asked for twice


def test_a_judge_that_is_down(sampled):
    before = (sampled / "samples.jsonl").read_bytes()
    judge = make_grader("judge", client=Judge(lambda prompt: "I am a teapot."))
    result = grade(sampled, judge)
    assert (result.applied, result.failures.count) == (False, 15)
    with Store.open(sampled) as store:  # more of them, and it is not asked for all
        record = next(store.records())
        for number in range(100, 150):
            store.append(record | {"sample": number})
    result = grade(sampled, judge, concurrency=2)
    assert "could grade none of the first" in result.stopped
    assert 16 <= result.failures.count <= 20
    assert (sampled / "samples.jsonl").read_bytes().startswith(before)


def test_choices_are_kept_for_graders_that_need_them(tmp_path):
    row = {"question": "2 + 2?", "choices": ["3", "5", "4"], "answer": "4", "topic": "sums"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")

    def third(handler, body):
        handler.reply(200, {"choices": [{"index": 0, "message": {"content": "C"}, "finish_reason": "stop"}]})

    run = tmp_path / "run"
    with Chaos(default=third) as server, ChatClient(server.url, "m", key=None) as client:
        sample(load_questions(tmp_path / "q.jsonl"), client, make_grader("numeric"), 1, out=str(run))
    assert grade(run, "choice").right == 1


def test_what_cannot_be_graded_is_refused(sampled, tmp_path):
    before = (sampled / "samples.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"not a run folder"):
        grade(tmp_path / "nowhere")
    with pytest.raises(InputError, match="concurrency is 0"):
        grade(sampled, concurrency=0)
    with Store.open(sampled), pytest.raises(InputError, match="another process is writing"):
        grade(sampled, "exact")
    with Store.open(sampled) as store:
        record = {key: value for key, value in next(store.records()).items() if key != "text"}
        store.append(record | {"sample": 99})
    with pytest.raises(InputError, match=r"1 of 16 samples to grade has no text \(question '0', sample 99\)"):
        grade(sampled, "exact")
    assert (sampled / "samples.jsonl").read_bytes().startswith(before)
    assert not (sampled / "verdicts.jsonl").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_nothing_is_written_through_a_link(sampled, tmp_path):
    (tmp_path / "mine").write_text("mine\n")
    (sampled / "verdicts.jsonl").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=r"verdicts\.jsonl"):
        grade(sampled, "exact")
    assert (tmp_path / "mine").read_text() == "mine\n"


def test_a_torn_line_of_verdicts_does_no_harm(sampled):
    grade(sampled, "exact")
    path = sampled / "verdicts.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert grade(sampled, "numeric").graded == 15
    assert grade(sampled, "exact").graded == 15
    assert len(list(read_samples(str(path), []))) == 6 * 15 - 1


SLOW = """
import sys, time
sys.path.insert(0, {here!r})
import tcalloc
def slow(question, text):
    with open("calls", "a") as file:
        file.write(text + "\\n")
    time.sleep(0.05)
    return text.split()[-1].strip("."), True
print("ready", flush=True)
result = tcalloc.grade("run", slow, concurrency=1, say=print)
print(result.interrupted, result.graded, result.applied)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_graded_before_the_end_is_kept(how, sampled):
    before = (sampled / "samples.jsonl").read_bytes()
    code = SLOW.format(here=os.getcwd())
    process = subprocess.Popen([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    calls = sampled.parent / "calls"
    deadline = time.monotonic() + 60
    while not calls.exists() or calls.read_text().count("\n") < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    out, _ = process.communicate(timeout=60)
    first = calls.read_text().count("\n")
    assert first < 15
    assert (sampled / "samples.jsonl").read_bytes() == before
    if how == signal.SIGINT:
        assert f"True {first} False" in out
    out = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert "False 15 True" in out
    again = calls.read_text().count("\n") - 15
    assert again == (0 if how == signal.SIGINT else again) <= 1  # the one under way
    assert all(right for _, right, _ in verdicts(sampled).values())


@pytest.mark.parametrize("step", ["before", "after"])
def test_killed_in_the_last_step(step, sampled, monkeypatch):
    class Killed(BaseException):
        pass

    plain = Store.change_manifest

    def dying(self, **changes):
        applying = (changes.get("regrading") or {}).get("applying")
        if step == "before" and applying:
            plain(self, **changes)
            raise Killed
        if step == "after" and "arms" in changes:
            raise Killed
        plain(self, **changes)

    numeric = verdicts(sampled)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "change_manifest", dying)
        with pytest.raises(Killed):
            grade(sampled, "exact")
    for refused in (lambda: Samples.load(sampled), lambda: grade(sampled, "normalized")):
        with pytest.raises(InputError, match="by 'exact' was killed in its last step"):
            refused()
    result = grade(sampled, "exact")
    assert (result.graded, result.applied) == (15, True)
    assert Samples.load(sampled).ids.size == 5
    assert grade(sampled, "numeric").applied
    assert verdicts(sampled) == numeric


def test_a_full_disk_leaves_whole_lines(sampled, monkeypatch):
    plain, left = os.write, [40]

    def full(file, data):
        if b'"session"' not in data:
            return plain(file, data)
        if not left[0]:
            raise OSError(28, "No space left on device")
        size = min(left[0], len(data)) if left[0] < 10_000 else len(data)
        left[0] -= size
        return plain(file, data[:size])

    before = (sampled / "samples.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left") as caught:
            grade(sampled, "exact")
    assert caught.value.filename.endswith("verdicts.jsonl")
    assert (sampled / "samples.jsonl").read_bytes() == before
    assert (sampled / "verdicts.jsonl").read_bytes() == b""
    assert grade(sampled, "exact").graded == 15


def test_sessions_of_strangers_do_no_harm(sampled):
    """run.json and verdicts.jsonl that somebody edited: other sessions, other types."""
    from tcalloc.runs.lines import seal

    grade(sampled, "exact")
    grade(sampled, "numeric")
    record = read_run(sampled).records[0]
    lines = [
        record | {"session": 10**30, "by": "session", "correct": True},
        record | {"session": "x", "by": "session"},
        record | {"session": 1, "by": ["session"]},
    ]
    (sampled / "verdicts.jsonl").write_bytes(b"".join(map(seal, lines)))
    for odd in ({"session": True}, {"session": 1.5}, [], "x", {"grader": "exact", "everything": False, "session": "1"}):
        with Store.open(sampled) as store:
            store.change_manifest(regrading=odd)
            assert not Session(store, "exact", False).verdicts
        assert grade(sampled, "exact").graded in (0, 15)
    (sampled / "verdicts.jsonl").write_bytes(seal(record | {"session": 1, "by": "session", "correct": "yes"}))
    with pytest.raises(InputError, match=r"verdicts\.jsonl, line 1: correct is 'yes'"):
        grade(sampled, "numeric")


def test_an_id_that_stands_twice_is_refused(sampled):
    """By which gold answer its samples would be graded is not known."""
    path = sampled / "questions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines) + json.dumps(json.loads(lines[0]) | {"gold": "other"}) + "\n", encoding="utf-8")
    before = (sampled / "samples.jsonl").read_bytes()
    with pytest.raises(InputError, match=f"line {len(lines) + 1}: the id .* was given on an earlier line"):
        grade(sampled, "exact")
    assert (sampled / "samples.jsonl").read_bytes() == before


def test_the_command_line(sampled, capsys):
    code, out, err = tcalloc_run(capsys, "grade", "run", "--grader", "exact")
    assert (code, err) == (0, "")
    assert (
        out == "run: 15 of 15 samples graded by exact, 15 verdicts changed. 0 of 15 that could be marked are right.\n"
    )
    assert tcalloc_run(capsys, "grade", "run", "--grader", "regex:([0-9]+)\\.$", "--all")[0] == 0
    code, _, err = tcalloc_run(capsys, "grade", "run", "--model", "m")
    assert code == 2
    assert "need --grader judge" in err
    code, _, err = tcalloc_run(capsys, "grade", "run", "--grader", "judge")
    assert code == 2
    assert "which model?" in err
    code, _, err = tcalloc_run(capsys, "grade", "nowhere")
    assert code == 1
    assert "not a run folder" in err

    def judge(handler, body):
        text = honest(body["messages"][-1]["content"].replace("The answer is ", "").replace('."\n', '"\n'))
        handler.reply(200, {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]})

    with Chaos(default=judge) as server:
        code, out, err = tcalloc_run(
            capsys, "grade", "run", "--grader", "judge", "--base-url", server.url, "--model", "big"
        )
        assert code == 0
        assert len(server.requests) == 15
        assert (server.requests[0]["body"]["temperature"], server.requests[0]["body"]["max_tokens"]) == (0.0, 1024)
    assert "graded by judge:big" in out
    graded = {record["correct"] for record in read_run("run").records}
    assert graded == {True, False}

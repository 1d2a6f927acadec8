"""Mathematics in worker processes: right answers, canonical votes, and processes that are killed, never left behind."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("math_verify")

import tcalloc
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.llm.graders import Grade, grade_safely, make_grader
from tcalloc.llm.graders._pool import WorkerError
from tcalloc.llm.questions import Question

PATIENT = 60.0  # seconds: no test of what is right should fail on a busy machine
SOURCE = str(Path(tcalloc.__file__).parents[1])  # installed or not


def asked(gold=None, accept=()):
    return Question("q", ({"role": "user", "content": "?"},), "?", gold, tuple(accept))


@pytest.fixture(scope="module")
def maths():
    grader = make_grader("math", limit=PATIENT, workers=2)
    yield grader
    grader.close()


def running(pid):
    """Say whether a process is there, zombies included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def alive(pid):
    """Say whether a process that is no child of this one does anything still."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return running(pid) and not Path("/proc/self/stat").exists()


def pids(pool):
    return [worker._process.pid for worker in pool._all]


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        (r"\frac{1}{2}", r"So $\boxed{0.5}$.", True),
        (r"\frac{1}{2}", r"\boxed{\dfrac{1}{2}}", True),
        ("42", r"\boxed{42.0}", True),
        ("(x+1)^2", r"\boxed{x^2+2x+1}", True),
        (r"\{1,2,3\}", r"The set is $\{3, 2, 1\}$.", True),
        ("5", r"\boxed{x=5}", True),
        (r"2\sqrt{2}", r"\boxed{\sqrt8}", True),
        (r"(3,\frac{\pi}{2})", r"The answer is $\left(3, \frac{\pi}{2}\right)$.", True),
        (r"\text{Evelyn}", r"\boxed{\text{Evelyn}}", True),
        (r"\frac{1}{2}", r"\boxed{0.6}", False),
        ("42", r"\boxed{43}", False),
        ("(1,2)", r"\boxed{(2,1)}", False),
        ("42", "No idea.", False),
        ("42", "<think>\\boxed{42}", False),
    ],
)
def test_expressions_are_compared(maths, gold, text, right):
    grade = maths(asked(gold), text)
    assert grade.error is None
    assert grade.correct is right


@pytest.mark.parametrize(
    ("votes", "key"),
    [
        ((r"\frac{84}{2}", "42", "42.0", "042"), "42"),
        ((r"\frac{3}{4}", "0.75"), "0.75"),
        ((r"\frac{2}{6}", r"\frac13"), "1/3"),
        ((r"\frac{1}{1+\sqrt2}", r"\sqrt{2}-1"), "0.414213562373"),
        ((r"\frac{x^2-1}{x-1}", "x+1", "1 + x"), "x + 1"),
        ((r"\{1,2\}", r"\{2,1\}"), "{1, 2}"),
        ((r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",), "[1, 2; 3, 4]"),
    ],
)
def test_equal_answers_vote_together(maths, votes, key):
    assert {maths(asked(), rf"\boxed{{{vote}}}") for vote in votes} == {Grade(key, None)}
    assert {maths(asked("7"), rf"\boxed{{{vote}}}") for vote in votes} == {Grade(key, False)}


def test_right_answers_carry_the_gold_answers_vote(maths):
    question = asked(r"\frac{1}{2}", ["50\\%"])
    grades = {maths(question, rf"\boxed{{{text}}}") for text in (r"\frac12", "0.5", r"\frac{2}{4}", "50\\%")}
    assert len(grades) == 1
    assert grades.pop().correct


@pytest.mark.parametrize("text", [r"\boxed{10^{10^{10}}}", r"\boxed{\binom{10000000}{5000000}}"])
def test_a_hang_is_killed_within_the_limit(text):
    pool_of = make_grader("math", limit=0.5, workers=1)
    try:
        pool_of._pool.call({"text": "$1$", "golds": []})  # starting does not count
        (before,) = pids(pool_of._pool)
        started = time.monotonic()
        grade = grade_safely(pool_of, asked("7"), text)
        assert time.monotonic() - started < 8
        assert grade.correct is (False if grade.error is None else None)
        assert grade.answer is not None  # it still votes, as text
        if grade.error is not None:  # some system may answer in time
            assert "took longer than 0.5 s; its process was killed" in grade.error or "died" in grade.error
            assert not running(before)
        assert pool_of(asked("x"), r"\boxed{x}").correct
    finally:
        pool_of.close()


def test_a_hundred_answers_from_eight_threads(maths):
    wrong = []

    def work(thread):
        for i in range(13):
            grade = maths(asked(rf"\frac{{{i}}}{{7}}"), rf"\boxed{{\frac{{{2 * i}}}{{14}}}}")
            other = maths(asked(str(thread)), rf"\boxed{{{thread}+x}}") if i == 0 else Grade("", False)
            if not grade.correct or grade.error or other.correct or other.error:
                wrong.append((thread, i, grade, other))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(maths._pool._all) <= 2


def test_no_process_is_left_behind():
    grader = make_grader("math", limit=PATIENT, workers=1)
    assert not grader._pool._all  # none until it is needed
    assert grader(asked("12"), r"\boxed{12.0}").correct
    assert not grader._pool._all  # plain numbers need none
    assert grader(asked("x"), r"\boxed{x+0}").correct
    (pid,) = pids(grader._pool)
    assert running(pid)
    grader.close()
    assert not running(pid)  # not even a zombie
    assert grader(asked("x"), r"\boxed{x+0}").correct  # and on with a new one
    (pid,) = pids(grader._pool)
    del grader
    assert not running(pid)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_processes_end_with_the_one_that_started_them(tmp_path):
    # No guard of the main module is needed, and the script is not run again.
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import os, sys, threading, time
        print("ran", flush=True)
        from tcalloc.llm.graders import make_grader
        from tcalloc.llm.questions import Question
        question = Question("q", (), "?", "7")
        grader = make_grader("math", limit=2.0, workers=1)
        grader(question, r"\\boxed{x}")
        pid = next(iter(grader._pool._all))._process.pid
        print(pid, flush=True)
        if sys.argv[1] == "kill":
            threading.Thread(target=grader, args=(question, r"\\boxed{9^{9^{9^9}}}"), daemon=True).start()
            time.sleep(0.3)
            os.kill(os.getpid(), 9)
        """)
    )
    environment = os.environ | {"PYTHONPATH": SOURCE, "PYTHONWARNINGS": "error"}
    started = [
        subprocess.Popen(
            [sys.executable, script, how], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for how in ("exit", "kill")
    ]
    workers = []
    for process in started:
        with process:
            out, errors = process.communicate(timeout=60)
        assert out.split()[:1] == ["ran"]
        assert len(out.split()) == 2, errors
        workers.append(int(out.split()[1]))
    assert (started[0].returncode, errors) == (0, "")
    deadline = time.monotonic() + 15  # busy, it is ended by its own alarm after 4 seconds
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_a_dead_worker_is_replaced(maths):
    for worker in list(maths._pool._all):
        worker._process.kill()
        worker._process.wait()
    assert maths(asked("x"), r"\boxed{x+0}").correct


def test_bad_requests_and_options(maths):
    with pytest.raises(WorkerError, match="KeyError"):
        maths._pool.call({})
    assert maths._pool.call({"text": "$1$", "golds": ["1"]})["right"] == 0
    for limit in (0, -1, True, 1e9, "1"):
        with pytest.raises(InputError, match="expected a number of seconds between 0 and 3600"):
            make_grader("math", limit=limit)
    make_grader("math", limit=3600).close()
    with pytest.raises(InputError, match="workers is 0; expected a whole number, at least 1"):
        make_grader("math", workers=0)


def test_without_math_verify(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs math-verify: pip install 'tcalloc\[math\]'"):
        make_grader("math")

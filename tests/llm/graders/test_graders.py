"""Graders: what answer is found, which answers are the same vote, and that nothing hangs or stops a run."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.llm.graders import Grade, check_golds, grade_safely, make_grader
from tcalloc.llm.graders.numbers import fraction_key, number_key, words_to_number
from tcalloc.llm.graders.text import any_key, text_key
from tcalloc.llm.questions import Question

CITIES = ("London", "Paris", "New York", "York")


def asked(gold=None, accept=(), choices=()):
    return Question("q", ({"role": "user", "content": "?"},), "?", gold, tuple(accept), tuple(choices))


def answer(grader, text, **question):
    return make_grader(grader)(asked(**question), text).answer


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 42", "42"),
        ("48 + 24 = 72 clips\n#### 72", "72"),
        ("#### 72 clips", "72"),
        ("#### $1,234.00", "1234"),
        ("#### 5\n\nQ: And 6 times 7?\nA: 42\n#### 42", "5"),  # what follows is the model's own question
        ("#### Step 1\nAdd 3 and 4.\n#### 2. Double it\nThe answer is 14.", "14"),  # headings
        ("The answer is 42.", "42"),
        ("The answer is 42. I checked it 3 times.", "42"),
        ("**Answer:** 42", "42"),
        ("**Final answer**: $42.00", "42"),
        ("Answer:\n\n42", "42"),
        ("The answer is 3 + 4 = 7 apples for 2 people.", "7"),
        ("The answer to question 3 is 12.", "12"),
        ("The final answer is $\\boxed{12}$. That is 2 dozen minus 12.", "12"),
        ("\\boxed{1{,}000}", "1000"),
        ("First 10, then 20, so 30", "30"),
        ("I hope this answer is helpful! So: 7", "7"),
        ("$1,234.50", "1234.5"),
        ("€ 5", "5"),
        ("USD42", "42"),
        ("Rs.500", "500"),
        ("1,234,567", "1234567"),
        ("1\u202f234\u202f567", "1234567"),
        ("50%", "50"),
        ("12.5 percent", "12.5"),
        ("3/4", "0.75"),
        ("\\frac{3}{4}", "0.75"),
        ("\\dfrac34", "0.75"),
        ("-\\frac{1}{3}", "-1/3"),
        ("1 1/2", "1.5"),
        ("3½", "3.5"),
        ("½", "0.5"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("10-5", "5"),  # a difference, not a negative number
        ("- 3 apples", "3"),  # a list
        ("+7", "7"),
        ("1.5e3", "1500"),
        ("1.5 × 10^6", "1500000"),
        ("2 \\times 10^{-3}", "0.002"),
        ("10⁶", "1000000"),
        ("2.5 million", "2500000"),
        (".5", "0.5"),
        ("007", "7"),
        ("42.", "42"),
        ("(42)", "42"),
        ("forty-two", "42"),
        ("The answer is one hundred and five.", "105"),
        ("minus twelve", "-12"),
        ("two thousand three hundred and four", "2304"),
        ("<think>Perhaps 7? No, 8.</think>\nIt is 9.", "9"),
        ("<think>Perhaps 7", None),  # cut off while thinking
        ("", None),
        ("No idea.", None),
        ("1e999999999", None),  # no number is made of it
        ("9" * 100_000, None),
    ],
)
def test_numbers_are_found(text, number):
    assert answer("numeric", text) == number


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("42", "42.0", True),
        ("1,234", "It costs $1234.", True),
        ("72 clips", "72", True),
        ("0.5", "1/2", True),
        ("0.5", "50%", True),
        ("50", "50%", True),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("5", "50%", False),
        ("42", "43", False),
        ("42", "", False),
        ("1/3", "0.333", False),
    ],
)
def test_numbers_are_compared(gold, text, right):
    grade = make_grader("numeric")(asked(gold), text)
    assert grade.correct is right
    if right:  # all right answers are one vote
        assert grade.answer == make_grader("numeric")(asked(gold), gold).answer


def test_numeric_options():
    assert make_grader("numeric", tolerance=0.01)(asked("1/3"), "0.333").correct
    assert not make_grader("numeric", tolerance=0.001)(asked("1/3"), "0.33").correct
    assert make_grader("numeric", decimal_comma=True)(asked("1234.5"), "Es sind 1.234,5.").correct
    with pytest.raises(InputError, match="tolerance is 2; allowed are numbers from 0"):
        make_grader("numeric", tolerance=2)


@given(st.fractions() | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9))
def test_a_number_as_text_is_that_number(value):
    value = Fraction(value)
    if value.denominator > 10**30:
        return
    key = fraction_key(value)
    assert Fraction(key) == value
    assert number_key(key) == key
    assert answer("numeric", f"The answer is {key}.") == key
    if value.denominator == 1:
        assert answer("numeric", f"So it costs ${value.numerator:,}.00 in all.") == str(value.numerator)


@given(st.integers(0, 10**6 - 1))
def test_number_words(n):
    small = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    small = (small + "seventeen eighteen nineteen").split()
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

    def words(n):
        if n < 20:
            return small[n]
        if n < 100:
            return tens[n // 10 - 2] + (f"-{small[n % 10]}" if n % 10 else "")
        if n < 1000:
            return f"{small[n // 100]} hundred" + (f" and {words(n % 100)}" if n % 100 else "")
        return f"{words(n // 1000)} thousand" + (f" {words(n % 1000)}" if n % 1000 else "")

    assert words_to_number(f"It is {words(n)}.") == n


# ---------------------------------------------------------------------------------------------- choices


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("C", "C"),
        ("c", "C"),
        ("(C)", "C"),
        ("C.", "C"),
        ("C) New York", "C"),
        ("**C**", "C"),
        ("The answer is C.", "C"),
        ("The answer is (C)", "C"),
        ("The best answer is “C”.", "C"),
        ("**Answer: C**", "C"),
        ("Answer: **C**", "C"),
        ("The correct answer is: C. New York", "C"),
        ("the correct option is C", "C"),
        ("Therefore, the answer is\n\nC", "C"),
        ("\\boxed{C}", "C"),
        ("$\\boxed{\\text{C}}$", "C"),
        ("I choose C because it is large.", "C"),
        ("I'd go with C", "C"),
        ("A dog is nice. The answer is c.", "C"),
        ("C\n\nExplanation: because A is wrong", "C"),
        ("A. London is too wet.\nB. Paris is not.\nC. New York fits.\n\nSo C is correct.", "C"),
        ("C is the answer", "C"),
        ("B is wrong. C is correct.", "C"),
        ("New York", "C"),
        ("It is New York.", "C"),
        ("The answer is a city: Paris", "B"),
        ("It is a long way to York", "D"),
        ("London or Paris", None),
        ("The answer is a good question", None),
        ("I don't know", None),
        ("The answer is Z.", None),
        ("", None),
    ],
)
def test_choices_are_found(text, letter):
    assert answer("choice", text, choices=CITIES) == letter


def test_gold_choices():
    choice = make_grader("choice")
    for gold in ("B", "b", "(B)", "Paris", "paris", "1"):
        assert choice(asked(gold, choices=CITIES), "The answer is B.") == Grade("B", True)
    # Choices that are numbers: their text goes before their position.
    assert choice(asked("4", choices=("3", "4", "5")), "B").correct
    with pytest.raises(InputError, match="the gold answer 'Rome' is not one of the choices A to D"):
        check_golds(choice, [asked("B", choices=CITIES), asked("Rome", choices=CITIES)])
    with pytest.raises(InputError, match="one of the choices A to D"):
        check_golds(make_grader("choice", choices=4), [asked("E")])


# ---------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("Paris", "paris", True),
        ("Paris", "The answer is Paris.", True),
        ("New York", "Answer: **New York**", True),
        ("The Eiffel Tower", "eiffel tower!", True),
        ("don't", "dont", True),
        ("“x”", '"x"', True),
        ("fine", "ﬁne", True),
        ("1,000", "1000", True),
        ("A", "a", True),
        ("naïve", "naive", False),
        ("3.5", "35", False),
        ("-5", "5", False),
        ("C++", "C", False),
        ("Paris", "Paris is in France, I think", False),
        ("Paris", "...", False),
    ],
)
def test_normalized_text(gold, text, right):
    assert make_grader("normalized")(asked(gold), text).correct is right


def test_text_options():
    assert make_grader("normalized", accents=False)(asked("naïve"), "naive").correct
    exact = make_grader("exact")
    assert exact(asked("Paris", accept=["Lutetia"]), " Lutetia\n") == Grade("Paris", True)
    assert exact(asked("Paris"), "paris") == Grade("paris", False)
    long = exact(asked("Paris"), "x" * 5000).answer
    assert len(long) <= 200
    assert long != exact(asked("Paris"), "x" * 5001).answer


@given(st.text(max_size=60))
def test_normalizing_twice_changes_nothing(text):
    key = text_key(text)
    assert key is None or text_key(key) in (key, None)
    assert any_key(text) is None or any_key(any_key(text)) is not None


@given(st.text(max_size=200))
def test_no_completion_breaks_a_grader(text):
    for grader in (make_grader("numeric"), make_grader("choice"), make_grader("normalized"), make_grader("exact")):
        grade = grade_safely(grader, asked("1" if grader.name == "numeric" else "B", choices=CITIES), text)
        assert grade.error is None
        assert grade.correct in (True, False)


@pytest.mark.parametrize("grader", ["numeric", "choice", "normalized", "exact"])
def test_long_completions_take_little_time(grader):
    pieces = ("answer is ", "A\n", "\n", "1,", "9", "\\boxed{", "a. ", "$", "-", "( ", "C is ", "#### ", "one hundred ")
    for piece in pieces:
        started = time.process_time()
        grade_safely(
            make_grader(grader), asked("B" if grader == "choice" else "4", choices=CITIES), piece * 10_000 + "x"
        )
        assert time.process_time() - started < 4, piece


# ---------------------------------------------------------------------------------------------- regular expressions


def test_regular_expressions():
    grader = make_grader(r"regex:= (\d+)", limit=30.0)
    try:
        assert grader(asked("5"), "2+2 = 4, 2+3 = 5.") == Grade("5", True)
        assert grader(asked("5.0"), "2+2 = 4, 2+3 = 5.") == Grade("5", True)
        assert grader(asked("5"), "no") == Grade(None, False)
        assert grader(asked(), "1 = 1") == Grade("1", None)
        assert grader.name == r"regex:= (\d+)"
    finally:
        grader.close()
    first = make_grader(r"regex:(?P<x>\w)(?P<answer>\d)", which="first", compare="exact", limit=30.0)
    try:
        assert first(asked("1"), "a1 b2").answer == "1"
    finally:
        first.close()


def test_a_catastrophic_pattern_is_stopped():
    grader = make_grader("regex:(a+)+$", limit=0.5, workers=1)
    try:
        assert grader(asked("aa"), "aa").correct
        started = time.monotonic()
        grade = grade_safely(grader, asked("aa"), "a" * 50 + "b")
        assert time.monotonic() - started < 10
        assert grade.answer is None
        assert grade.correct is None  # not known, and not wrong
        assert "took longer than 0.5 s; its process was killed" in grade.error
        assert grader(asked("aa"), "aa").correct  # a new process
    finally:
        grader.close()


def test_bad_patterns_are_refused():
    with pytest.raises(InputError, match=r"regex:\(: not a regular expression \(missing \), unterminated"):
        make_grader("regex:(")
    with pytest.raises(InputError, match="which must be 'last' or 'first'"):
        make_grader("regex:a", which="middle")


# ---------------------------------------------------------------------------------------------- functions


def test_functions():
    question = asked("42")
    assert make_grader(lambda q, t: t == "yes")(question, "yes") == Grade("yes", True)
    assert make_grader(lambda q, t: "42.0")(question, "") == Grade("42", True)
    assert make_grader(lambda q, t: 42)(question, "") == Grade("42", True)
    assert make_grader(lambda q, t: None)(question, "") == Grade(None, False)
    assert make_grader(lambda q, t: ("x", True))(question, "") == Grade("x", True)
    assert make_grader(lambda q, t: ("x", None))(asked(), "") == Grade("x", None)
    assert make_grader(lambda q, t: Grade("y", False))(question, "") == Grade("y", False)

    def named(question, text):
        return text

    assert make_grader(named).name.endswith("named")
    numeric = make_grader("numeric")
    assert make_grader(numeric) is numeric


def test_a_crash_marks_that_answer_only():
    def broken(question, text):
        raise RuntimeError("no\nluck")

    assert grade_safely(make_grader(broken), asked("1"), "x") == Grade(None, None, "RuntimeError: no luck")
    assert grade_safely(make_grader(broken), asked(), "x") == Grade(None, None, "RuntimeError: no luck")
    assert grade_safely(make_grader(lambda q, t: object()), asked("1"), "x").error.startswith(
        "TypeError: the grader ret"
    )
    assert grade_safely(make_grader("numeric"), asked("1"), None) == Grade(None, False)

    def interrupted(question, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_safely(make_grader(interrupted), asked("1"), "x")


def test_a_function_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_grading.py").write_text("def grade(question, text):\n    return text.upper()\n")
    monkeypatch.chdir(tmp_path)
    grader = make_grader("python:my_grading:grade")
    assert grader.name == "python:my_grading:grade"
    assert grader(asked("x"), "x").correct
    with pytest.raises(InputError, match="cannot be imported"):
        make_grader("python:my_grading:missing")
    with pytest.raises(InputError, match="expected python:MODULE:FUNCTION"):
        make_grader("python:my_grading")


# ---------------------------------------------------------------------------------------------- all of them


def test_without_a_gold_answer_only_agreement():
    for kind, text in (("numeric", "42"), ("choice", "B"), ("exact", "x"), ("normalized", "x")):
        grade = make_grader(kind)(asked(), text)
        assert grade.correct is None
        assert grade.answer is not None


def test_accepted_answers_are_the_gold_answers_vote():
    question = asked("Netherlands", accept=["Holland"])
    grader = make_grader("normalized")
    assert grader(question, "holland") == grader(question, "The Netherlands.") == Grade("netherlands", True)
    assert grader(asked(accept=["Holland"]), "holland").correct


def test_unknown_graders_and_options():
    with pytest.raises(
        InputError, match=r"grader 'nummeric': unknown; allowed are numeric, choice, exact, normalized, m"
    ):
        make_grader("nummeric")
    with pytest.raises(InputError, match="regex needs its pattern"):
        make_grader("regex")
    with pytest.raises(InputError, match=r"grader 'exact': got an unexpected keyword argument 'x'\."):
        make_grader("exact", x=1)
    with pytest.raises(InputError, match="grader is a int"):
        make_grader(3)
    with pytest.raises(InputError, match="the gold answer 'Paris' is not a number"):
        check_golds(make_grader("numeric"), [asked("1"), asked("Paris")])
    assert "gold answer 'Paris'" in grade_safely(make_grader("numeric"), asked("Paris"), "1").error

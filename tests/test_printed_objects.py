"""What users print in their own scripts: names and answers of strangers do not steer their terminal."""

import ast
import copy
import pickle
import traceback

import numpy as np
import pytest
from syntax import modules

import tcalloc
from tcalloc import BudgetError, InputError, MissingExtraError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.regrading import Grading
from tcalloc.measure import Samples, Vote
from tcalloc.measure.table import Table
from tcalloc.runs.verdicts import Failures
from tcalloc.serve.answers import Answered

EVIL = "m\x1b]0;title\x07\x9b2J\u202e"


def samples():
    return Samples(answers=np.random.default_rng(0).integers(0, 2, (40, 9)))


def harmless(text):
    return not set("\x1b\x07\x9b\u202e") & set(text)


def printed():
    acc = [[0.1, 0.9], [0.2, 0.3]]
    names = [EVIL, "other"]
    yield tcalloc.solve(acc, [1, 2], 1.5, action_names=names)
    yield Table(acc=np.array(acc), cost=np.array([1.0, 2.0]), action_names=names)
    yield Samples(arms={EVIL: samples(), "other": samples()})
    yield Vote(3, EVIL)
    yield Failures(count=1, reasons={EVIL: 1})
    yield Grading(EVIL, EVIL, samples=2, graded=2, changed=0, marked=2, right=1)
    yield Answered(EVIL, EVIL, EVIL, 1.0, 1, 1, 1.0, None)
    yield InputError(f"a server said {EVIL}")
    yield BudgetError(EVIL, 1.0)
    yield MissingExtraError(EVIL)


@pytest.mark.parametrize("found", list(printed()), ids=lambda found: type(found).__name__)
def test_nothing_steers_the_terminal(found):
    for text in (str(found), f"{found}", repr(found)):
        assert harmless(text)
        assert "\\u001b" in text or "\\x1b" in text


def test_a_client_and_a_policy():
    from tcalloc.learn import Sequential

    with ChatClient("http://127.0.0.1:9/v1", EVIL) as client:
        assert harmless(repr(client))
    policy = Sequential(budget=2.0).fit(None, Samples(arms={EVIL: samples()}))
    assert harmless(str(policy))
    assert harmless(str(policy.start(None)))


def test_a_report():
    report = tcalloc.fit(samples=Samples(arms={EVIL: samples()}), budget=2.0)
    for text in (str(report), repr(report), report.text(run=EVIL, out=EVIL), report.note(unit=EVIL)):
        assert harmless(text)
    assert "\\u001b" in report.text(run=EVIL)


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])
def test_errors_stay_what_they_are(again):
    error = BudgetError(f"two\nlines {EVIL}", 3.0)
    error.add_note("a note")
    same = again(error)
    assert (same.limit, same.args, same.__notes__) == (3.0, (f"two\nlines {EVIL}",), ["a note"])
    assert str(same).startswith("two\nlines")
    assert harmless(str(same))
    missing = again(MissingExtraError(EVIL))
    assert (type(missing), missing.args) == (MissingExtraError, (EVIL,))
    assert isinstance(missing, ImportError)
    assert harmless("".join(traceback.format_exception(same)))


# Methods that users print. Reprs that data classes generate need nothing: Python writes strings in them as literals.
WORDS = ("__str__", "__repr__", "__format__", "text", "note", "summary", "words")


def returns_text(node):
    """Whether it is a method that makes words of its own; abstract ones and properties of a reply do not."""
    public = (
        ast.unparse(node.returns or ast.Name("None")) == "str"
        and [each.arg for each in node.args.args][: 1 + (node.name == "text")] == ["self"]  # not a part by its number
    )
    return (
        public and not isinstance(node.body[-1], ast.Raise) and "property" not in map(ast.unparse, node.decorator_list)
    )


def test_every_class_that_words_itself_is_cleaned():
    missing = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.FunctionDef)
                and node.name in WORDS
                and returns_text(node)
                and "cleaned" not in [ast.unparse(one) for one in node.decorator_list]
            ):
                missing.append(f"{path.name}:{node.lineno}")
    assert not missing

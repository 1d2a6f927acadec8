"""What users print in their own scripts: names and answers of strangers do not steer their terminal."""

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import tcalloc
from tcalloc import BudgetError, InputError, MissingExtraError
from tcalloc.llm.client import ChatClient
from tcalloc.measure import Samples, Vote
from tcalloc.measure.table import Table

SOURCE = Path(tcalloc.__file__).parent
EVIL = "m\x1b]0;title\x07\x9b2J\u202e"


def samples():
    return Samples(answers=np.random.default_rng(0).integers(0, 2, (40, 9)))


def printed():
    acc = [[0.1, 0.9], [0.2, 0.3]]
    names = [EVIL, "other"]
    yield tcalloc.solve(acc, [1, 2], 1.5, action_names=names)
    yield Table(acc=np.array(acc), cost=np.array([1.0, 2.0]), action_names=names)
    yield Samples(arms={EVIL: samples(), "other": samples()})
    yield Vote(3, EVIL)
    yield InputError(f"a server said {EVIL}")
    yield BudgetError(EVIL, 1.0)
    yield MissingExtraError(EVIL)


@pytest.mark.parametrize("found", list(printed()), ids=lambda found: type(found).__name__)
def test_nothing_steers_the_terminal(found):
    for text in (str(found), f"{found}", repr(found)):
        assert not set(EVIL[1:]) - set("]0;title2J") & set(text)
        assert "\\u001b" in text or "\\x1b" in text


def test_a_client_and_a_policy():
    from tcalloc.learn import Sequential

    with ChatClient("http://127.0.0.1:9/v1", EVIL) as client:
        assert "\x1b" not in repr(client)
    policy = Sequential(budget=2.0).fit(None, Samples(arms={EVIL: samples()}))
    assert "\x1b" not in str(policy)
    assert "\x1b" not in str(policy.start(None))


def test_errors_stay_what_they_are():
    error = BudgetError("two\nlines", 3.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.limit, copy.args) == ("two\nlines", 3.0, ("two\nlines",))


def test_every_class_that_words_itself_is_cleaned():
    missing = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            printed = isinstance(node, ast.FunctionDef) and node.name in ("__str__", "__repr__", "__format__")
            if printed and "cleaned" not in [ast.unparse(one) for one in node.decorator_list]:
                missing.append(f"{path.name}:{node.lineno}")
    assert not missing

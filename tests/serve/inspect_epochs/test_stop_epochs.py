"""`stop_epochs` without Inspect: its arguments, bills and answers. With the real one: test_inspect_evaluations.py."""

import logging
import sys
from types import ModuleType, SimpleNamespace

import pytest

from tcalloc import BudgetKeeper, InputError, MissingExtraError
from tcalloc.learn.protocol import Result
from tcalloc.learn.rivals import MarginCap
from tcalloc.measure.actions import Best
from tcalloc.serve.inspect_ai import TESTED, stop_epochs, summary, vote
from tcalloc.serve.inspect_ai.epoch_bills import EpochBills
from tcalloc.serve.inspect_ai.question_epochs import Epoch, QuestionEpochs
from tcalloc.serve.inspect_ai.votes import answer_reader


@pytest.fixture
def protocol(monkeypatch):
    """Stand for an installed Inspect, of which the arguments' checks need nothing but that it is there."""
    monkeypatch.setitem(sys.modules, "inspect_ai", ModuleType("inspect_ai"))
    util = ModuleType("inspect_ai.util")
    util.EarlyStopping = object
    monkeypatch.setitem(sys.modules, "inspect_ai.util", util)


def used(tokens, cost=None):
    return SimpleNamespace(total_tokens=tokens, total_cost=cost)


def score(answer, value="C"):
    return SimpleNamespace(answer=answer, value=value)


def test_without_inspect_one_sentence_says_what_to_install(monkeypatch):
    for name in ("inspect_ai", "inspect_ai.util", "inspect_ai.scorer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=f"pip install 'inspect_ai>={TESTED}'"):
        stop_epochs()


def test_an_inspect_without_early_stopping_is_named_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai", ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.util", ModuleType("inspect_ai.util"))
    with pytest.raises(MissingExtraError, match="with early stopping"):
        stop_epochs()


KEEPER = BudgetKeeper(total=10, unit="tokens")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"policy": 3.0}, "policy is 3.0; expected a fitted policy, the path of its folder, or None"),
        ({"policy": MarginCap(2, 8, Best(1))}, "verifier"),
        ({"keeper": 5}, "keeper is a int; expected a tcalloc.BudgetKeeper"),
        ({"keeper": BudgetKeeper(total=1, unit="eur"), "maximum": 1}, "unit 'eur'; expected 'tokens' or 'usd'"),
        ({"keeper": KEEPER}, "maximum is missing: the most that one epoch can cost, in tokens"),
        ({"keeper": KEEPER, "maximum": 0}, "maximum is 0"),
        ({"keeper": KEEPER, "maximum": 1, "tenant": "x"}, "the keeper has no tenants"),
        ({"maximum": 1}, "belong to a keeper, and there is none"),
        ({"scorer": 1}, "scorer is 1; expected the name of a scorer"),
        ({"patience": -1}, "patience is -1"),
        ({"answer": "numerical"}, "did you mean 'numeric'|allowed are numeric"),
    ],
)
def test_bad_arguments(protocol, arguments, words):
    with pytest.raises(InputError, match=words):
        stop_epochs(**arguments)


def test_a_policy_of_several_models_is_refused(protocol):
    policy = SimpleNamespace(start=MarginCap(2, 8).start, arms_=("small", "large"))
    with pytest.raises(
        InputError, match="chooses between the models large, small, but the epochs of a task are of one"
    ):
        stop_epochs(policy)


@pytest.mark.parametrize(
    ("how", "given", "answer"),
    [
        (None, "42.0", "42"),
        (None, "So it is \\boxed{7}", "7"),
        (None, "He has 3. #### 12", "12"),
        (None, "The Cat!", "cat"),
        (None, None, None),
        (None, "", None),
        ("numeric", "the answer is $1,000", "1000"),
        ("choice", "(B)", "B"),
        ("numeric", None, None),
        (lambda one: one.value, "x", "C"),
    ],
)
def test_answers(how, given, answer):
    assert answer_reader(how)(score(given)) == answer


def test_bills_are_settled_by_the_last_figures():
    keeper = BudgetKeeper(total=100, unit="tokens")
    bills = EpochBills(keeper, 40, None)
    one, two = bills.begin("a", 1), bills.begin("a", 2)
    assert bills.begin("b", 1) is None  # 80 of 100 are reserved
    one.note("m", used(10))
    bills.close(one, {"m": used(12)})
    bills.close(one, {"m": used(99)})  # the second time changes nothing
    two.note("m", used(30))
    again = bills.begin("a", 2)  # its first end was not reported
    assert keeper.status().spent == 42
    assert bills.waiting
    bills.close_all()
    assert not again.open
    assert keeper.status().spent == bills.tokens == 42
    assert bills.usd is None


def test_dollars_are_those_of_inspect():
    keeper = BudgetKeeper(total=1, unit="usd")
    bills = EpochBills(keeper, 0.5, None)
    bills.close(bills.begin("a", 1), {"m": used(10, 0.125), "judge": used(5, 0.25)})
    assert keeper.status().spent == bills.usd == 0.375


def test_a_call_without_a_price_counts_as_its_maximum(caplog):
    keeper = BudgetKeeper(total=1, unit="usd")
    bills = EpochBills(keeper, 0.25, None)
    for epoch in (1, 2):
        bills.close(bills.begin("a", epoch), {"m": used(10)})
    assert keeper.status().spent == 0.5
    assert [record.message.count("set_model_cost") for record in caplog.records] == [1]


def test_a_keeper_that_fails_costs_the_cap_and_not_the_evaluation(monkeypatch, caplog):
    keeper = BudgetKeeper(total=1, unit="tokens")
    bills = EpochBills(keeper, 0.5, None)

    def fails(*_, **__):
        raise OSError("redis://:secret@host")

    granted = bills.begin("a", 1)
    monkeypatch.setattr(keeper, "choose", fails)
    monkeypatch.setattr(keeper.store, "settle", fails)
    with caplog.at_level(logging.DEBUG):
        bills.close(granted, {"m": used(1)})
        assert bills.begin("a", 2) is not None
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    assert bills.tokens == 1


def test_the_reducer_is_that_of_the_majority(protocol, monkeypatch):
    scorer = ModuleType("inspect_ai.scorer")
    scorer.score_reducer = lambda name: lambda make: make
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", scorer)
    from tcalloc.serve.inspect_ai import votes

    votes._registered.cache_clear()
    scores = [score("7", "I"), score("42", "C"), score("42.0", "C")]
    assert vote()(scores) is scores[1]
    assert vote(lambda one: None)(scores) is scores[0]
    votes._registered.cache_clear()


def test_each_question_has_orders_of_its_own(monkeypatch):
    """With one seed for all, what few orders are off by would not average out over the questions."""
    seeds = []
    monkeypatch.setattr(summary, "one_epoch", lambda start, results, values, seed: seeds.append(seed) or 0.5)
    questions = [QuestionEpochs(MarginCap(2, 8).start("q")) for _ in range(3)]
    for question in questions:
        question.begin(1)
        question.finish(1, Epoch(Result("a", 2.0), 1.0))
    found = summary.summary_of(questions, [lambda: MarginCap(2, 8).start("q")] * 3, 8, EpochBills(None, None, None))
    assert seeds == [0, 1, 2]
    assert found["mean_of_epochs_is_too_high_by"]["value"] == 0.5
    assert found["accuracy_of_the_vote"]["value"] == 1

"""Run folders as samples: the arrays, what has no answer, what a policy selected, what is refused."""

import json
import re

import numpy as np
import pytest

import tcalloc
from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure import Action, Best, Samples, Vote
from tcalloc.measure.load_run import load_run
from tcalloc.runs.store import Store


def record(question, sample, **fields):
    base = {
        "id": question, "sample": sample, "params": "p1", "model": "m", "answer": "4", "correct": False, "error": None,
        "input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 0, "estimated": False, "logprob": -1.0,
        "cost": None,
    }  # fmt: skip
    return base | fields


def write_run(path, records, questions=("q1", "q2")):
    store = Store.create(path, {"arms": []}, [{"id": name, "gold": "42"} for name in questions])
    for one in records:
        store.append(one)
    store.close()


def test_a_run_folder_becomes_samples(tmp_path):
    write_run(
        tmp_path / "run",
        [
            record("q1", 1, answer="7"),
            record("q1", 0, answer="42", correct=True),
            record("q1", 2, answer="8"),
            record("q1", 3, answer="7"),
            record("q2", 0, answer=None, correct=False),
            record("q2", 1, answer="42", correct=True),
        ],
    )
    samples = Samples.load(tmp_path / "run")
    assert samples.ids.tolist() == ["q1", "q2"]
    assert samples.answers.tolist() == [[0, 1, 2, 1], [-1, 0, -2, -2]]
    assert samples.cost is None
    assert samples.tokens["output"][0, 0] == 5
    assert samples.logprobs[0, 0] == -1.0
    table = samples.table([Vote(1), Vote(4)])
    assert table.available.tolist() == [[True, True], [True, False]]


def test_what_could_not_be_graded_is_neither_right_nor_wrong(tmp_path):
    failure = {"answer": None, "correct": None, "error": "TimeoutError: late"}
    records = [record("q1", 0, answer="42", correct=True), record("q1", 1, **failure), record("q2", 0, **failure)]
    write_run(tmp_path / "run", records)
    samples = Samples.load(tmp_path / "run")
    assert samples.answers.tolist() == [[0]]
    told = " ".join(samples.notes)
    assert "2 answers could not be graded: TimeoutError: late." in told
    assert "tcalloc grade" in told
    assert "no samples yet" not in told
    write_run(tmp_path / "none", records[1:])
    with pytest.raises(InputError, match="2 answers could not be graded: TimeoutError"):
        Samples.load(tmp_path / "none")


def test_a_run_of_two_models_with_costs_and_gaps(tmp_path):
    write_run(
        tmp_path / "run",
        [
            record("q1", 0, answer="1", cost=0.1, estimated=True),
            record("q1", 1, answer="2", cost=0.3),
            record("q1", 0, model="big", params="p2", answer="2", cost=1.0),
            record("q2", 0, model="big", params="p2", answer="42", correct=True, cost=1.0),
            record("q2", 0, model="big", params="p3", answer="41", cost=3.0),
            record("q3", 0, answer="1", correct=None),
        ],
        questions=("q1", "q2", "q3", "q4"),
    )
    samples = Samples.load(str(tmp_path / "run"))
    assert list(samples.arms) == ["m", "big p2", "big p3"]
    # The same answer has the same code in all arms.
    assert samples.arms["m"].answers.tolist() == [[1, 2], [-2, -2]]
    assert samples.arms["big p2"].answers.tolist() == [[2], [0]]
    assert samples.arms["big p3"].answers.tolist() == [[-2], [1]]
    assert samples.notes == (
        "1 of 4 questions has no gold answer and is left out. To use all questions, judge answers by how often they "
        "agree: labels='agreement' (--labels agreement).",
        "1 of 4 questions has no samples yet and is left out.",
        "the token counts of 1 sample are estimates, because the server gave none.",
    )
    table = samples.table([Vote(1, "m"), Vote(2, "m"), Vote(1, "big p2")], shrink=False)
    np.testing.assert_allclose(table.cost, [0.2, 0.4, 1.0])
    assert table.available.tolist() == [[True, True, True], [False, False, True]]


def test_marks_without_answers_are_no_votes(tmp_path):
    marks = [[1, 0, 0], [0, 1, -1]]
    write_run(
        tmp_path / "run",
        [
            record(f"q{q + 1}", j, answer=None, correct=bool(mark), cost=0.5 + j)
            for q, row in enumerate(marks)
            for j, mark in enumerate(row)
            if mark >= 0
        ],
    )
    samples = Samples.load(tmp_path / "run")
    assert samples.answers is None
    assert samples.correct.tolist() == [[True, False, False], [False, True, False]]
    assert samples.drawn.tolist() == [[True] * 3, [True, True, False]]
    assert samples.cost[0].tolist() == [0.5, 1.5, 2.5]
    assert samples.notes == (
        "5 samples are marked right or wrong but have no answer: the accuracy of one sample can be estimated, that of "
        "a vote cannot. For votes, record the answers too. If a verifier recognises right answers live, say "
        "verifier=True (--verifier).",
    )
    assert [action.name for action in samples.usual_actions()] == ["one"]
    words = "actions[0] is vote3, but only right and wrong were recorded: how the wrong answers split decides a vote. "
    with pytest.raises(InputError, match=re.escape(words + "Record the answers too, or use One(), called 'one'")):
        samples.table([Vote(3)])
    assert samples.table([Best(2)], shrink=False).acc.ravel().tolist() == pytest.approx([2 / 3, 1.0])


MIXED = {
    # What the samples say (answer, right), whether a grader looked, the codes, and what is noted.
    "abstentions of a log": (
        [("42", 1), (None, 0), ("7", 0)], False, [0, -1, 1], "1 wrong sample has no answer, while right samples have"
    ),
    "abstentions seen by a grader": ([("42", 1), (None, 0), ("7", 0)], True, [0, -1, 1], None),
    "nothing but abstentions": ([(None, 0), (None, 0)], True, [-1, -1], None),
    "nothing right in a log": ([(None, 0), (None, 0)], False, None, "2 samples are marked right or wrong but have no"),
    "nothing wrong in a log": ([(None, 1), (None, 1)], False, None, "2 samples are marked right or wrong but have no"),
    "answers of some samples": (
        [("42", 1), (None, 1), (None, 0), ("7", 0)], False, None,
        "2 samples are marked right or wrong but have no answer, and the answers of 2 other samples are not used",
    ),
    "the same of a grader that only marks": ([(None, 1), (None, 0)], True, None, "2 samples are marked right or wrong"),
    "every wrong answer is known": ([(None, 1), ("7", 0), ("42", 1), ("8", 0)], False, [0, 1, 0, 2], None),
    "hardly any without": (
        [("42", 1)] * 199 + [(None, 1), (None, 0), ("7", 0)], False, [0] * 200 + [-1, 1], "1 wrong sample has no"
    ),
    "too many without": (
        [("42", 1)] * 97 + [(None, 1)] * 3 + [(None, 0)], False, None, "4 samples are marked right or wrong but have"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXED)
def test_samples_with_and_without_answers(case, tmp_path):
    told, graded, wanted, words = MIXED[case]
    arm = {"arm": "a1", "model": "m"} | ({"grader": "numeric"} if graded else {})
    store = Store.create(tmp_path / "run", {"arms": [arm]}, [{"id": "q1", "gold": "42"}])
    for j, (answer, right) in enumerate(told):
        store.append(record("q1", j, arm="a1", answer=answer, correct=bool(right)))
    store.close()
    samples = Samples.load(tmp_path / "run")
    assert samples.correct.tolist() == [[bool(right) for _, right in told]]
    assert (None if samples.answers is None else samples.answers.tolist()) == (None if wanted is None else [wanted])
    assert [note.startswith(words) for note in samples.notes] == ([] if words is None else [True])


def test_models_with_and_without_answers(tmp_path):
    big = {"model": "big", "params": "p2", "answer": None}
    own = [record("q1", 0, answer="42", correct=True), record("q1", 1, answer="7"), record("q2", 0, answer="8")]
    theirs = [record("q1", 0, **big), record("q1", 1, correct=True, **big), record("q2", 0, correct=True, **big)]
    write_run(tmp_path / "run", [*own, *theirs])
    samples = Samples.load(tmp_path / "run")
    assert samples.arms["m"].answers.tolist() == [[0, 1], [1, -2]]
    assert samples.arms["big"].answers is None
    assert samples.arms["big"].correct.tolist() == [[False, True], [True, False]]
    assert samples.notes[0].startswith(
        "big: 3 samples are marked right or wrong but have no answer: the accuracy of one"
    )
    assert [action.name for action in samples.usual_actions()] == ["vote1 m", "one big"]
    assert samples.table([Vote(1, "m"), Best(1, "big")], shrink=False).acc.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    with pytest.raises(InputError, match=r"vote1 big, but only right and wrong were recorded of big.*'one big'"):
        samples.table([Vote(1, "big")])


@pytest.mark.parametrize("left", ["decisions.jsonl", "answers.jsonl"])
def test_samples_that_a_policy_selected(left, tmp_path):
    drawn = [record("q1", 0), record("q1", 1, correct=True), record("q1", 2), record("q2", 0, correct=True)]
    write_run(tmp_path / "run", drawn)
    assert Samples.load(tmp_path / "run").notes == ()  # a run that was interrupted
    (tmp_path / "run" / left).touch()
    samples = Samples.load(tmp_path / "run")
    assert samples.notes == (
        "tcalloc answer drew these samples, and a policy decided how many each question gets (1 to 3): where it "
        "stopped by what the first ones said, all that is estimated or learned from them is biased. Draw the same "
        "number for every question with tcalloc sample.",
    )
    assert samples.notes[0] in samples.table([Vote(1)]).notes
    with Store.open(tmp_path / "run") as store:
        for j in (1, 2):
            store.append(record("q2", j))
    assert Samples.load(tmp_path / "run").notes == ()  # the same number for everyone: nothing is selected


def test_models_that_a_policy_selected(tmp_path):
    escalated = record("q1", 0, model="big", params="p2", correct=True)
    write_run(tmp_path / "run", [record("q1", 0), record("q2", 0, correct=True), escalated])
    (tmp_path / "run" / "decisions.jsonl").touch()
    assert "how many each question gets (1 to 2)" in Samples.load(tmp_path / "run").notes[0]


def test_runs_that_make_no_table(tmp_path):
    write_run(tmp_path / "empty", [])
    with pytest.raises(InputError, match="holds no samples yet"):
        Samples.load(tmp_path / "empty")
    write_run(tmp_path / "ungraded", [record("q1", 0, correct=None)])
    with pytest.raises(InputError, match=r"no question has a gold answer.*labels='agreement' \(--labels agreement\)"):
        Samples.load(tmp_path / "ungraded")
    with pytest.raises(InputError):
        Samples.load(tmp_path / "nowhere")


def test_the_recorded_table_through_a_run_folder(tmp_path):
    recorded = load_recorded()
    answers = recorded.answers["gemma3_270m"][:50]
    write_run(
        tmp_path / "run",
        [
            record(str(i), j, answer=None if code == -1 else str(code), correct=bool(code == 0))
            for i, row in enumerate(answers.tolist())
            for j, code in enumerate(row)
        ],
        questions=[str(i) for i in range(50)],
    )
    ours = Samples.load(tmp_path / "run").table([Vote(1), Vote(4), Vote(16)], shrink=False)
    assert ours.acc.tolist() == Samples(answers).table([Vote(1), Vote(4), Vote(16)], shrink=False).acc.tolist()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["schema"] == 1
    assert isinstance(ours.solve(2.0), tcalloc.Allocation)
    assert isinstance(load_run(tmp_path / "run").arms, dict)


@pytest.mark.parametrize("path", [None, "no/such/folder", __file__])
def test_what_is_no_run_folder_is_refused(path):
    with pytest.raises(tcalloc.InputError, match="no run folder"):
        tcalloc.Samples.load(path)


def test_arms_of_one_model_are_named_by_what_tells_them_apart(tmp_path):
    shared = {"max_tokens": 64, "logprobs": True}
    arms = [
        {"arm": "a1", "model": "m", "parameters": shared | {"temperature": 0.5}},
        {"arm": "a2", "model": "m", "parameters": shared | {"temperature": 1.0, "system": "Think hard."}},
        {"arm": "a3", "model": "other", "parameters": shared},
    ]
    store = Store.create(tmp_path / "run", {"arms": arms}, [{"id": "q1", "gold": "42"}])
    for arm, model in (("a1", "m"), ("a2", "m"), ("a3", "other")):
        for j in range(2):
            store.append(record("q1", j, params=arm + "x", model=model, arm=arm, correct=bool(j)))
    store.close()
    samples = Samples.load(tmp_path / "run")
    assert list(samples.arms) == ["m temperature=0.5", "m temperature=1 system=Think_hard.", "other"]
    asked = [Vote(1, "m", temperature=0.5), Action.parse("vote2 m temperature=0.5"), Vote(1, "other")]
    table = samples.table(asked, shrink=False)
    assert table.actions == tuple(asked)
    assert table.acc.tolist() == [[0.5, 0.5, 0.5]]


def test_a_run_without_gold_answers_is_loaded_by_agreement(tmp_path):
    """Gold answers of some questions are kept aside; what could not be graded stays out."""
    records = [record("q1", j, answer=answer, correct=None) for j, answer in enumerate("7787")]
    records += [record("q2", j, answer=a, correct=a == "42") for j, a in enumerate(["41", "42", "41", "41", "42"])]
    records += [record("q2", 5, answer=None, correct=None, error="TimeoutError: late.")]
    write_run(tmp_path / "run", records)
    samples = Samples.load(tmp_path / "run", labels="agreement")
    assert samples.answers.tolist() == [[0, 0, 2, 0, -2], [0, 1, 0, 0, 1]]
    assert samples.gold.tolist() == [-2, 1]
    assert samples.labels.samples == 4
    right, rows = samples.by_gold()
    assert rows.tolist() == [1]
    assert right.correct.tolist() == [[False, True, False, False, True]]
    # The name of the only model may be given.
    assert np.array_equal(Samples.load(tmp_path / "run", labels="agreement:m").answers, samples.answers)
    with pytest.raises(InputError, match="run: labels is 'model:other'"):
        Samples.load(tmp_path / "run", labels="model:other")
    write_run(tmp_path / "silent", [record("q1", 0, answer=None, correct=None)])
    with pytest.raises(InputError, match="No answers were recorded either"):
        Samples.load(tmp_path / "silent", labels="agreement")

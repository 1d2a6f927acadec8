"""Logs of known truth in every layout that people have: the import finds it whatever the columns are called."""

import json

import numpy as np
import pytest

from tcalloc.importing.import_logs import import_logs

GOLDS = (
    "gold",
    "target",
    "reference",
    "expected",
    "gt",
    "answer_key",
    "ground_truth",
    "correct_answer",
    "answer",
    None,
)
ANSWERS = ("prediction", "pred", "model_answer", "extracted_answer", "parsed_answer", "answer", None)
TEXTS = ("response", "completion", "output", "text", "generation", None)
MARKS = ("correct", "is_correct", "passed", "exact_match", "score", None)
IDS = ("id", "question_id", "idx", "task_id", "problem_id")
FORMS = ((True, False), (1, 0), ("True", "False"), ("pass", "fail"), (1.0, 0.0))


def world(rng, low=20, high=40):
    """Return rows, options, and the samples and right ones of each model; the columns stand in any order."""
    pick = lambda choices: choices[rng.integers(len(choices))]  # noqa: E731
    while True:
        gold, answer, text, mark = pick(GOLDS), pick(ANSWERS), pick(TEXTS), pick(MARKS)
        graded = text is not None and gold is not None and bool(rng.random() < 0.3)
        told = mark is not None or graded or (gold is not None and answer is not None)
        # Two columns cannot share a name; and a gold answer that is called answer shows in something beside it.
        if told and gold != answer and (gold != "answer" or answer is not None or text is not None):
            break
    n, size, models = int(rng.integers(low, high)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    listed, yes = size > 1 and bool(rng.random() < 0.5), pick(FORMS)
    name, order, truth, rows = pick(IDS), rng.permutation(20), {}, []
    golds = [str(value) for value in rng.integers(100, 999, n)]
    empty = 0.1 * (rng.random() < 0.3)  # some samples gave no answer
    decoys = {"latency": "1.2 s", "solution": "See above.", "note": "n"} if rng.random() < 0.3 else {}
    copied = gold not in (None, "answer") and answer is not None and answer != "answer" and rng.random() < 0.3
    for m in range(models):
        chance = rng.uniform(0.3, 0.8)
        samples = 0
        for i, right in enumerate(golds):
            made = [right if rng.random() < chance else str(rng.integers(1000, 1100)) for _ in range(size)]
            made = [None if rng.random() < empty else value for value in made]
            samples += sum(value == right for value in made)
            cells = {answer: made, mark: [yes[value != right] for value in made]}
            cells |= {
                text: [
                    f"Let me see: {rng.integers(99)} and so on, so it is {value}." if value else value for value in made
                ]
            }
            shared = {name: f"q{i}", "question": f"What is number {i}?", gold: right, "cost": 0.5 + m}
            shared |= decoys | ({"model": f"m{m}"} if models > 1 else {}) | ({"answer": right} if copied else {})
            for cell in [cells] if listed else [{k: v[j] for k, v in cells.items()} for j in range(size)]:
                row = [(key, value) for key, value in (shared | cell).items() if key is not None]
                rows.append(dict(row[k] for k in order if k < len(row)))
        truth[f"m{m}" if models > 1 else "imported"] = (n * size, samples)
    options = {"grader": "numeric"} if graded else {}
    return [rows[k] for k in rng.permutation(len(rows))], options, truth


@pytest.mark.parametrize("seed", range(40))
def test_the_truth_is_found_whatever_the_columns_are_called(tmp_path, seed):
    rows, options, truth = world(np.random.default_rng(seed))
    path = tmp_path / "logs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = import_logs(path, tmp_path / "run", **options)
    assert {count.model: (count.samples, count.right) for count in report.by_model} == truth, json.dumps(rows[0])

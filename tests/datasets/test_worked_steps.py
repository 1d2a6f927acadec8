"""The shipped answers with worked steps: whole, read-only, and what they say of confidence."""

import numpy as np
import pytest

from tcalloc.datasets import WorkedSteps, load_worked_steps
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.recorded import worked_samples


def test_it_is_whole_and_read_only():
    found = load_worked_steps()
    assert isinstance(found, WorkedSteps)
    n, s = found.answers.shape
    assert (n, s) == (60, 7)
    assert found.confidences.shape == found.logprobs.shape == (n, s, 110)
    assert len(set(found.questions.tolist())) == n == len(found.gold) == len(found.kinds)
    assert (found.answers == 0).mean() == pytest.approx(0.329, abs=1e-3)
    assert found.tokens.min() >= 30
    there = np.arange(110) < found.tokens[..., None]
    assert (found.confidences[there] > 0).all()
    assert (found.logprobs[there] <= 0).all()
    assert not found.confidences[~there].any()
    assert set(found.meta) == {"model", "sampling", "top"}
    with pytest.raises(ValueError, match="read-only"):
        found.answers[0, 0] = 1


def test_gold_answers_are_what_the_questions_say():
    found = load_worked_steps()
    for question, gold in zip(found.questions.tolist(), found.gold.tolist(), strict=True):
        words = question.split()
        held, moved = int(words[3]), int(words[5])
        assert gold == (held - moved if "taken out" in question else held + moved)


def test_samples_hold_the_figures_of_each_answer():
    found, samples = load_worked_steps(), worked_samples()
    assert np.array_equal(samples.cost, found.tokens)
    row = found.confidences[7, 3, : found.tokens[7, 3]].astype(float)
    assert [samples.confidence[name][7, 3] for name in Confidence._fields] == pytest.approx(Confidence.of(row))
    # A right answer is usually surer than a wrong one to the same question.
    right = samples.answers == 0
    gaps = [
        tail[good].mean() - tail[~good].mean()
        for tail, good in zip(samples.confidence["tail"], right, strict=True)
        if good.any() and not good.all()
    ]
    assert np.mean(gaps) > 2 * np.std(gaps) / np.sqrt(len(gaps))

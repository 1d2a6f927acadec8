"""The shipped table: what is in it, that it is whole, and that nobody can spoil it."""

import gzip
import hashlib
import json
import pickle
from importlib import resources

import numpy as np
import pytest
from places import SHARED_DATA

from tcalloc.datasets import Recorded, load_recorded

FILES = ("recorded_local_llms.npz", "recorded_local_llms.questions.jsonl.gz")


@pytest.fixture(scope="module")
def recorded():
    return load_recorded()


def test_shapes_and_types(recorded):
    assert isinstance(recorded, Recorded)
    assert recorded.models == ("smollm2_135m", "gemma3_270m", "qwen25_0p5b")
    assert recorded.relative_cost == {"smollm2_135m": 1.0, "gemma3_270m": 1.2, "qwen25_0p5b": 2.6}
    for model, samples in zip(recorded.models, (32, 16, 16), strict=True):
        for values, dtype in (
            (recorded.answers, np.int16),
            (recorded.correct, np.bool_),
            (recorded.tokens, np.int16),
            (recorded.logprobs, np.float32),
        ):
            assert tuple(values) == recorded.models
            assert values[model].shape == (293, samples)
            assert values[model].dtype == dtype
    assert recorded.ids.shape == recorded.families.shape == recorded.difficulty.shape == (293,)
    assert len(recorded.questions) == 293
    assert set(recorded.meta) == {"models", "cost_unit", "sampling", "answer"}
    assert repr(recorded) == (
        "Recorded(N=293, smollm2_135m: 32 samples, gemma3_270m: 16 samples, qwen25_0p5b: 16 samples)"
    )


def test_values_mean_what_they_say(recorded):
    for model, mean in zip(recorded.models, (0.530, 0.389, 0.704), strict=True):
        assert ((recorded.answers[model] == 0) == recorded.correct[model]).all()
        assert recorded.answers[model].min() >= -1
        assert recorded.correct[model].mean() == pytest.approx(mean, abs=5e-4)
        assert (recorded.tokens[model] > 0).all()
        assert (recorded.logprobs[model] <= 0).all()
    assert len(set(recorded.ids.tolist())) == 293
    assert len(set(recorded.families.tolist())) == 10
    assert set(recorded.difficulty.tolist()) == {0, 1, 2, 3, 4}
    # The unit of cost is documented in the table itself.
    for model in recorded.models:
        assert f"{model.partition('_')[0]} {recorded.relative_cost[model]:g}" in recorded.meta["cost_unit"]


def test_questions_are_in_the_order_of_the_rows(recorded):
    text = (resources.files("tcalloc.datasets") / FILES[1]).read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(text).splitlines()]
    assert [row["qid"] for row in rows] == recorded.ids.tolist()
    assert [row["family"] for row in rows] == recorded.families.tolist()
    assert [row["difficulty"] for row in rows] == recorded.difficulty.tolist()
    for row, question in zip(rows, recorded.questions, strict=True):
        assert set(question) == {"question", "gold", "accept", "few_shot"}
        assert question["question"] == row["question"]
        assert question["gold"].lower() in question["accept"]


def test_read_only_and_no_shared_state(recorded):
    for values in (recorded.answers, recorded.correct, recorded.tokens, recorded.logprobs):
        for array in values.values():
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 0
    for array in (recorded.ids, recorded.families, recorded.difficulty):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    with pytest.raises(AttributeError):
        recorded.models = ()
    other = load_recorded()
    other.relative_cost["smollm2_135m"] = 7.0
    other.questions.clear()
    assert load_recorded().relative_cost["smollm2_135m"] == 1.0
    assert len(load_recorded().questions) == 293


def test_pickles(recorded):
    again = pickle.loads(pickle.dumps(recorded))
    assert again.models == recorded.models
    assert (again.answers["qwen25_0p5b"] == recorded.answers["qwen25_0p5b"]).all()


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_the_recorded_ones(name):
    if not (SHARED_DATA / name).exists():
        pytest.skip("../shared/data is not beside this checkout: nothing to compare with")
    shipped = (resources.files("tcalloc.datasets") / name).read_bytes()
    assert hashlib.sha256(shipped).digest() == hashlib.sha256((SHARED_DATA / name).read_bytes()).digest()

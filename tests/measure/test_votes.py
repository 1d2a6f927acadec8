"""Votes: the exact expectation against the enumeration of all subsets, and against published figures."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from places import SHARED_DATA

from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure import vote_accuracy


def score(votes):
    """The vote of some samples, written as naively as possible."""
    counted = [v for v in votes if v != -1]
    if not counted:
        return 0.0
    top = max(counted.count(v) for v in counted)
    winners = {v for v in counted if counted.count(v) == top}
    return 1 / len(winners) if 0 in winners else 0.0


def brute_force(answers, k):
    rows = np.asarray(answers).tolist()
    return [math.fsum(score(s) for s in itertools.combinations(row, k)) / math.comb(len(row), k) for row in rows]


tables = hnp.arrays(
    st.sampled_from([np.int8, np.int16, np.int64]),
    st.tuples(st.integers(1, 4), st.integers(1, 9)),
    elements=st.integers(-1, 5),
)


@settings(max_examples=400, deadline=None)
@given(tables, st.data())
def test_equals_the_mean_over_all_subsets(answers, data):
    k = data.draw(st.integers(1, answers.shape[1]))
    np.testing.assert_allclose(vote_accuracy(answers, k), brute_force(answers, k), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "row",
    [
        [-1] * 8,
        [0] * 8,
        [3] * 8,
        [0, 0, 1, 1, 2, 2, 3, 3],
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [-1, -1, -1, -1, -1, 0, 1, 2],
        [0, -1, -1, -1, 7, 7, 7, 30000],
    ],
)
def test_equals_the_mean_over_all_subsets_on_hard_rows(row):
    for k in range(1, 9):
        np.testing.assert_allclose(vote_accuracy([row], k), brute_force([row], k), rtol=0, atol=1e-12)


def test_a_hand_worked_case():
    # Of the three pairs, two hold gold and a rival (one half each), one holds both rivals, which differ.
    assert vote_accuracy([[0, 1, 2]], 2).tolist() == [1 / 3]
    # A sample without an answer leaves the other to decide.
    assert vote_accuracy([[0, -1]], 2).tolist() == [1.0]
    assert vote_accuracy([[-1, -1]], 2).tolist() == [0.0]


@settings(max_examples=100, deadline=None)
@given(tables, st.randoms(use_true_random=False), st.data())
def test_order_of_samples_and_names_of_wrong_answers_do_not_matter(answers, random, data):
    k = data.draw(st.integers(1, answers.shape[1]))
    columns = random.sample(range(answers.shape[1]), answers.shape[1])
    names = np.array([0, *random.sample(range(1, 100), 5), -1])  # names[-1] is -1
    assert vote_accuracy(names[answers][:, columns], k).tolist() == vote_accuracy(answers, k).tolist()


@settings(max_examples=100, deadline=None)
@given(tables)
def test_one_and_two_samples_are_shares_and_equal_without_silence(answers):
    assert vote_accuracy(answers, 1).tolist() == (answers == 0).mean(axis=1).tolist()
    if answers.shape[1] > 1:
        voiced = np.maximum(answers, 0)
        # Ties between actions must stay ties: the same floats, not nearly the same.
        assert vote_accuracy(voiced, 2).tolist() == vote_accuracy(voiced, 1).tolist()


def test_a_certain_question_is_exactly_certain_for_every_k():
    for k in range(1, 41):
        assert vote_accuracy([[0] * 40, [5] * 40], k).tolist() == [1.0, 0.0]
        if k > 2:
            assert vote_accuracy([[0] * 39 + [1]], k).tolist() == [1.0]


def test_many_samples():
    # Two answers only: gold wins a hypergeometric majority.
    s, gold, k = 300, 160, 101
    ways = sum(math.comb(gold, g) * math.comb(s - gold, k - g) for g in range(51, 102))
    row = [0] * gold + [1] * (s - gold)
    assert vote_accuracy([row], k)[0] == pytest.approx(ways / math.comb(s, k), rel=1e-12)
    with pytest.raises(InputError, match=r"k is 1000 of 2,000 samples: the number of subsets does not fit"):
        vote_accuracy([[0] * 2000], 1000)
    assert vote_accuracy([[0] * 1500 + [1] * 500], 3)[0] == pytest.approx(0.75**3 + 3 * 0.75**2 * 0.25, abs=1e-3)


def test_input_is_left_alone_and_any_layout_will_do():
    answers = np.array([[0, 1, 0, -1], [2, 0, 1, 1]], np.int16, order="F")
    answers.flags.writeable = False
    expected = vote_accuracy(answers.tolist(), 3)
    assert vote_accuracy(answers, 3).tolist() == expected.tolist()
    assert vote_accuracy(np.repeat(answers, 2, axis=1)[:, ::2], 3).tolist() == expected.tolist()
    assert vote_accuracy(np.maximum(answers, 0).astype(np.uint8), np.int64(3)).shape == (2,)


@pytest.mark.parametrize(
    ("answers", "k", "message"),
    [
        ([[0, 1, 2]], 4, r"k is 4, but answers has only 3 samples per question: .* Draw more, or use a smaller k"),
        ([[0, 1]], 0, r"k is 0; expected a whole number of samples, at least 1"),
        ([[0, 1]], -1, r"k is -1; expected"),
        ([[0, 1]], 1.0, r"k is 1\.0; expected"),
        ([[0, 1]], True, r"k is True; expected"),
        ([0, 1], 1, r"answers has shape \(2,\); expected \(N, S\)"),
        (np.zeros((0, 3), int), 1, r"answers has shape \(0, 3\): an empty table"),
        (np.zeros((3, 0), int), 1, r"answers has shape \(3, 0\): an empty table"),
        ([[0.0, 1.0]], 1, r"answers has dtype float64; expected integer codes"),
        ([[True, False]], 1, r"answers has dtype bool; expected integer codes"),
        ([[0, 1], [0, -2]], 1, r"answers\[1, 1\] is -2; allowed are -1"),
        ([[0, 1], [0]], 1, r"answers cannot be converted to an array"),
    ],
)
def test_bad_input(answers, k, message):
    with pytest.raises(InputError, match=message):
        vote_accuracy(answers, k)


# The reference figures of ../shared/data/README.md: vote@k of whole tables.
RECORDED = {
    "smollm2_135m": {1: 0.5302, 2: 0.5303, 3: 0.5508, 4: 0.5577, 8: 0.5706, 16: 0.5761},
    "gemma3_270m": {1: 0.3893, 2: 0.4023, 3: 0.4320, 4: 0.4439, 8: 0.4669, 16: 0.4766},
    "qwen25_0p5b": {1: 0.7037, 2: 0.7040, 3: 0.7219, 4: 0.7289, 8: 0.7435, 16: 0.7537},
}
PUBLIC = {
    ("gsm8k_gpt4omini_n40", "answer"): {
        1: 0.8885, 2: 0.8885, 3: 0.9153, 4: 0.9234, 8: 0.9357, 16: 0.9410, 32: 0.9426, 40: 0.941622 * 1319 / 1318
    },
    ("gsm8k_qwen25_1p5b_n30", "answer"): {
        1: 0.6506, 2: 0.6551, 3: 0.7080, 4: 0.7356, 8: 0.7819, 16: 0.8056, 30: 0.8202
    },
    ("cruxeval_codellama7b_n10", "answer_output"): {
        1: 0.3421, 2: 0.3421, 3: 0.3437, 4: 0.3443, 8: 0.3437, 10: 0.3429
    },
}  # fmt: skip


@pytest.mark.parametrize("model", RECORDED)
def test_reference_figures_of_the_shipped_table(model):
    answers = load_recorded().answers[model]
    for k, expected in RECORDED[model].items():
        assert vote_accuracy(answers, k).mean() == pytest.approx(expected, abs=5e-4), k


@pytest.mark.parametrize("table", PUBLIC, ids=lambda table: table[0])
def test_reference_figures_of_public_tables(table):
    name, field = table
    path = SHARED_DATA / f"{name}.npz"
    if not path.exists():
        pytest.skip("../shared/data is not beside this checkout: its tables are not shipped")
    with np.load(path, allow_pickle=False) as archive:
        answers = archive[field]
        assert json.loads(str(archive["meta"]))
    for k, expected in PUBLIC[table].items():
        # The figure for all 40 samples of the first table is its source's, who split ties otherwise.
        assert vote_accuracy(answers, k).mean() == pytest.approx(expected, abs=1e-3 if k == 40 else 5e-4), k

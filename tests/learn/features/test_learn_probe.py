"""Probe features: what the first paid samples show, and nothing of the gold answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import InputError

pytest.importorskip("sklearn")

from tcalloc.learn.features import PROBE, probe_features, probe_names
from tcalloc.learn.protocol import Result


def test_probe_by_hand():
    found = probe_features(
        [[4, 4, 7, -1], [-1, -1, -1, -1], [1, 2, 3, -2], [-2, -2, -2, -2]],
        lengths=[[9, 9, 9, 99], [0, 0, 0, 0], [1, 2, 3, np.nan], [np.nan] * 4],
        verified=[[True, False, False, False]] * 4,
    )
    names = probe_names(lengths=True, verified=True)
    assert names == tuple(f"probe:{name}" for name in PROBE if name != "logprob")
    values = dict(zip(names, found.T, strict=True))
    assert values["probe:agreement"].tolist() == pytest.approx([2 / 4, 0, 1 / 3, 0])
    entropy = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
    assert values["probe:entropy"].tolist() == pytest.approx([entropy, 0, np.log(3), 0])
    assert values["probe:distinct"].tolist() == pytest.approx([2 / 4, 0, 1, 0])
    assert values["probe:no_answer"].tolist() == pytest.approx([1 / 4, 1, 0, 0])
    assert values["probe:length_max"].tolist() == pytest.approx([np.log(100), 0, np.log(4), 0])
    assert values["probe:length_min"].tolist() == pytest.approx([np.log(10), 0, np.log(2), 0])
    assert values["probe:successes"].tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 3, 0])


@given(
    st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3), min_size=1, max_size=5), st.permutations(range(5))
)
def test_no_feature_knows_which_answer_is_right(codes, names):
    renamed = [[names[code] if code >= 0 else code for code in row] for row in codes]
    assert np.allclose(probe_features(codes), probe_features(renamed), rtol=0, atol=1e-12)
    turned = [row[::-1] for row in codes]
    assert np.allclose(probe_features(codes), probe_features(turned), rtol=0, atol=1e-12)


def test_probe_of_results_is_that_of_arrays():
    results = [
        [Result("12", 1.0, True, logprob=-3.0, tokens=10), Result("13", 1.0, False, logprob=-5.0, tokens=20)],
        [Result(None, 1.0, False, logprob=-1.0, tokens=5)],
    ]
    found = probe_features(results)
    expected = probe_features(
        [[0, 1], [-1, -2]],
        lengths=[[10, 20], [5, 0]],
        logprobs=[[-3, -5], [-1, 0]],
        verified=[[True, False], [False, False]],
    )
    assert np.array_equal(found, expected)
    assert found.shape[1] == len(probe_names(lengths=True, logprobs=True, verified=True))
    bare = [[Result("a", 1.0), Result("a", 1.0, True)]]
    assert probe_features(bare).shape == (1, len(probe_names()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1, 2],), "samples has shape"),
        (([[1.5, 2.0]],), "dtype"),
        (([[1, 2]], [[1]]), "lengths has shape"),
        (([[1, 2]], [[1, -1]]), r"lengths\[0, 1\] is -1"),
        (([[1, 2]], None, [[1, np.nan]]), r"logprobs\[0, 1\]"),
        (([[1, 2]], None, None, [[1, 0]]), "verified has dtype"),
        (([[Result("a", 1.0)]], [[1]]), "taken from the results"),
    ],
)
def test_probe_refuses(arguments, said):
    samples, *others = arguments
    with pytest.raises(InputError, match=said):
        probe_features(samples, **dict(zip(("lengths", "logprobs", "verified"), others, strict=False)))

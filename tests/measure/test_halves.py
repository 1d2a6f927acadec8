"""Random halves: equal, disjoint, of what was drawn."""

import numpy as np

from tcalloc.measure.halves import halves, mask_of, random_order


def test_halves_are_equal_and_disjoint_and_hold_only_what_was_drawn():
    rng = np.random.default_rng(0)
    for width in range(1, 9):
        drawn = rng.random((40, width)) < 0.7
        first, second = (mask_of(columns, width) for columns in halves(drawn, rng))
        assert not (first & second).any()
        assert ((first | second) <= drawn).all()
        assert np.array_equal(first.sum(axis=1), drawn.sum(axis=1) // 2)
        assert np.array_equal(second.sum(axis=1), drawn.sum(axis=1) // 2)


def test_every_sample_comes_first_as_often():
    drawn = np.tile([True, False, True, True], (6000, 1))
    first = random_order(drawn, np.random.default_rng(1))[:, 0]
    assert np.bincount(first, minlength=4)[1] == 0
    assert np.abs(np.bincount(first, minlength=4)[[0, 2, 3]] / 6000 - 1 / 3).max() < 0.02

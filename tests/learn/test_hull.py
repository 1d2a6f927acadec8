"""The one hull: what is on it, and the mixture of two neighbours."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tcalloc.learn.hull import neighbours, neighbours_of_each, upper_hull

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_the_hull_is_what_no_mixture_beats(points):
    x, y = np.array(points, float).T
    kept = upper_hull(x, y)
    spend, reached = x[kept], y[kept]
    assert (np.diff(spend) > 0).all()
    assert (np.diff(reached) > 0).all()
    assert (np.diff(np.diff(reached) / np.diff(spend)) < 0).all()  # no point on a straight line between two others
    assert spend[0] == x.min()
    assert reached[0] == y[x == x.min()].max()
    assert reached[-1] == y.max()
    inside = x <= spend[-1]
    assert (y[inside] <= np.interp(x[inside], spend, reached) + 1e-12).all()


def test_of_equal_points_the_first_counts():
    assert upper_hull([2, 1, 1, 2], [5, 3, 3, 5]).tolist() == [1, 0]


def test_neighbours_spend_what_is_asked():
    spends = np.array([1.0, 2.0, 4.0])
    assert neighbours(spends, 2.5) == (1, 2, 0.25)
    for spend, place in ((0.5, 0), (1.0, 0), (2.0, 1), (4.0, 2), (np.inf, 2)):
        assert neighbours(spends, spend) == (place, place, 0.0)
    assert neighbours(spends[:1], 3.0) == (0, 0, 0.0)
    found = neighbours_of_each(spends, np.array([2.5, 0.5, 4.0, 3.0]))
    assert [part.tolist() for part in found] == [[1, 0, 2, 1], [2, 0, 2, 2], [0.25, 0.0, 0.0, 0.5]]

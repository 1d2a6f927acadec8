"""What a gateway remembers: bounded, whole in its sums, and quick."""

import random

import pytest

from tcalloc.serve.gateway.history import LAST, MOST, TIMED, History, Served


def served(time, **fields):
    known = {"action": "vote3", "outcome": "answered", "reason": "policy", "samples": 3, "spend": 0.5}
    known |= {"vote_share": 0.75, "seconds": 0.2, "price": 2.0}
    return Served(time, **known | fields)


@pytest.mark.parametrize("gap", [0.0, 0.01, 3.0, 1000.0, 1e7])
def test_nothing_is_lost_and_nothing_grows(gap):
    history = History(100.0)
    for i in range(3000):
        history.add(served(100.0 + i * gap, vote_share=None if i % 3 else 0.5, price=float(i)))
    for most in (MOST, 60, 1):
        width, places = history.course(most)
        assert len(places) <= most
        assert sum(one.requests for one in places) == sum(one.answered for one in places) == 3000
        assert sum(one.samples for one in places) == 9000
        assert sum(one.spend for one in places) == pytest.approx(1500.0)
        assert (sum(one.votes for one in places), sum(one.shares for one in places)) == (1000, 500.0)
        assert places[-1].price == 2999.0
        numbers = [one.number for one in places]
        assert numbers == sorted(set(numbers))
        # The last one ended where its place says.
        assert places[-1].number * width <= 2999 * gap <= (places[-1].number + 1) * width * (1 + 1e-12)
    assert len(history.last()) == LAST


def test_the_newest_come_first_and_old_places_keep_their_time():
    history = History(0.0)
    for time in (0.0, 10.0, 5000.0):
        history.add(served(time, action=f"at {time:g}"))
    assert [one["action"] for one in history.last()] == ["at 5000", "at 10", "at 0"]
    width, places = history.course()
    assert width == 16.0  # the smallest power of 2 with which 5000 s have at most 500 places
    assert [one.number for one in places] == [0, 312]


def test_a_clock_that_is_set_back_or_far_ahead():
    history = History(1000.0)
    for time in (1010.0, 990.0, -1e9, 1011.0, 1e12, 1012.0):
        history.add(served(time))
    _, places = history.course()
    assert sum(one.requests for one in places) == 6
    assert [one.number for one in places] == sorted({one.number for one in places})


def test_quantiles_are_those_of_the_last_answers():
    history = History(0.0)
    assert history.quantiles() == {"requests": 0, "p50": None, "p90": None, "p99": None}
    history.add(served(0.0, seconds=7.0))
    assert history.quantiles() == {"requests": 1, "p50": 7.0, "p90": 7.0, "p99": 7.0}
    times = [float(i) for i in range(1, TIMED + 1)]
    random.Random(0).shuffle(times)
    for time in times:
        history.add(served(1.0, seconds=time))
        history.add(served(1.0, seconds=1e6, outcome="refused"))  # no answer
    assert history.quantiles() == {"requests": TIMED, "p50": 500.0, "p90": 900.0, "p99": 990.0}

"""The budget ledger: never over the total, first samples kept, nothing lost between settled, reserved and free."""

import math
import threading
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.serve.budget_ledger import BudgetLedger

PRICES = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 1.0, 2.5, 7.0, 1e-9])


@settings(max_examples=300, deadline=None)
@given(total=st.sampled_from([0.0, 1.0, 2.1, 10.0, 33.3]), small=PRICES, data=st.data())
def test_any_order_of_calls(total, small, data):
    """Reservations, bills, losses and drops in any order."""
    ledger = BudgetLedger(total)
    ledger.set_price("small", small)
    names = [f"q{i}" for i in range(data.draw(st.integers(1, 12)))]
    for name in names:
        ledger.expect(name, "small")
    affordable = len(names) * Fraction(small) <= Fraction(total)
    never, held = set(names), []
    for _ in range(data.draw(st.integers(1, 40))):
        what = data.draw(st.sampled_from(["reserve", "reserve", "reserve", "settle", "settle", "lose", "drop"]))
        if what == "reserve":
            name, cost = data.draw(st.sampled_from(names)), data.draw(PRICES)
            n = data.draw(st.integers(1, 9))
            room = ledger.room(name, cost, n)
            granted = ledger.reserve(name, cost, n)
            assert granted == room <= n
            if granted:
                never.discard(name)
                held += [(name, cost)] * granted
        elif what == "drop":
            name = data.draw(st.sampled_from(names))
            ledger.drop(name)
            never.discard(name)
        elif held:
            name, cost = held.pop(data.draw(st.integers(0, len(held) - 1)))
            ledger.settle(cost, cost * data.draw(st.sampled_from([0.0, 0.5, 1.0])))
            if what == "lose" and name not in never:
                ledger.expect(name, "small", again=True)
        limit = total * (1 + 2**-39)
        assert ledger.settled + ledger.reserved <= limit
        assert ledger.settled + ledger.reserved + ledger.free == pytest.approx(total, rel=1e-12, abs=1e-12)
        assert ledger.reserved == pytest.approx(math.fsum(cost for _, cost in held), rel=1e-12, abs=1e-20)
        assert all(ledger.first(name) for name in never)
        if affordable:  # whoever had nothing yet can still have one sample, whatever the others did
            assert ledger.free >= len(never) * small - limit * 2**-38
    if affordable:
        for name in sorted(never):
            assert ledger.reserve(name, small, 1) == 1
    for _, cost in held:
        ledger.settle(cost, 0.0)


@settings(max_examples=150, deadline=None)
@given(tries=st.integers(1, 4), extra=st.floats(0, 3), data=st.data())
def test_first_samples_need_all_their_tries(tries, extra, data):
    """Whatever others were granted, a question that loses all tries but the last still has that one."""
    names = [f"q{i}" for i in range(data.draw(st.integers(1, 8)))]
    ledger = BudgetLedger((tries + extra) * len(names), tries)
    ledger.set_price("m", 1.0)
    for name in names:
        ledger.expect(name, "m")
    left = dict.fromkeys(names, tries)  # tries that a question without a sample still has
    having = []
    while left:
        name = data.draw(st.sampled_from(names))
        if name not in left:
            more = ledger.reserve(name, 1.0, data.draw(st.integers(1, 9)))
            ledger.settle(1.0, more, more)
            continue
        granted = ledger.reserve(name, 1.0, data.draw(st.integers(1, 9)))
        assert granted >= 1
        left[name] -= 1
        if left[name] and data.draw(st.booleans()):
            ledger.settle(1.0, granted, granted)
            ledger.expect(name, "m", again=True)
            continue
        ledger.settle(1.0, granted, granted)
        ledger.drop(name)
        having.append(name)
        del left[name]
        assert ledger.without == len(left)
    assert sorted(having) == sorted(names)
    assert ledger.settled <= ledger.total * (1 + 2**-39)


def test_others_wait_while_first_samples_may_need_more_tries():
    ledger = BudgetLedger(10.0, tries=3)
    ledger.set_price("m", 1.0)
    ledger.expect("a", "m")
    ledger.expect("b", "m")
    assert ledger.reserve("a", 1.0, 9) == 5  # 2 more tries of a itself and 3 of b are left
    ledger.drop("a")
    assert (ledger.without, ledger.room("a", 1.0, 9)) == (1, 2)
    assert ledger.reserve("b", 1.0) == 1
    assert ledger.room("a", 1.0, 9) == 2  # b may lose that one, and the next
    ledger.drop("b")
    assert ledger.room("a", 1.0, 9) == 4


def test_what_samples_probably_cost():
    """The total holds for the most that samples can cost; what is left for others goes by what they probably cost."""
    ledger = BudgetLedger(14.0)
    ledger.set_price("m", 1.0)
    for name in "abcdef":
        ledger.expect(name, "m")
    assert [ledger.reserve(name, 4.0, likely=1.0) for name in "abcd"] == [1, 1, 1, 0]
    assert ledger.room("d", 1.0, 1, hopeful=True) == 1
    ledger.settle(4.0, 1.0, likely=1.0)
    assert ledger.free == 5.0
    ledger.settle(4.0, 1.0, likely=1.0)
    assert ledger.reserve("d", 4.0, likely=1.0) == 1
    ledger.settle(4.0, 0.0, likely=1.0)
    ledger.settle(4.0, 1.0, likely=1.0)
    assert (ledger.settled, ledger.reserved, ledger.free) == (3.0, 0.0, 11.0)
    assert ledger.reserve("e", 10.0, likely=20.0) == 1  # never more than the most


def test_votes_are_cut_to_what_the_money_pays():
    """50 questions, a vote of 50 each, money for 50 samples: one sample for every question."""
    ledger = BudgetLedger(50.0)
    ledger.set_price("m", 1.0)
    for i in range(50):
        ledger.expect(str(i), "m")
    assert [ledger.reserve(str(i), 1.0, 50) for i in range(50)] == [1] * 50
    assert ledger.free == 0.0
    assert ledger.reserve("0", 1.0) == 0


def test_less_money_than_first_samples():
    ledger = BudgetLedger(3.0)
    ledger.set_price("m", 1.0)
    for i in range(5):
        ledger.expect(str(i), "m")
    assert ledger.reserve("0", 3.0) == 0  # more expensive than what is kept for it
    assert [ledger.reserve(str(i), 1.0, 4) for i in range(5)] == [1, 1, 1, 0, 0]


def test_a_lost_first_sample_waits_for_those_that_had_none():
    ledger = BudgetLedger(3.0)
    ledger.set_price("m", 1.0)
    for name in "abc":
        ledger.expect(name, "m")
    assert ledger.reserve("a", 1.0) == 1
    ledger.settle(1.0, 1.0)
    ledger.expect("a", "m", again=True)
    assert ledger.reserve("a", 1.0) == 0  # two are left, for b and c
    assert ledger.reserve("b", 1.0) == 1
    ledger.settle(1.0, 0.0)  # refused by the server
    assert ledger.reserve("b", 1.0, 3) == 0  # not before a, which has nothing
    assert ledger.reserve("a", 1.0) == 1
    assert ledger.reserve("c", 1.0) == 1
    assert ledger.free == 0.0


def test_sums_are_exact():
    ledger = BudgetLedger(0.3)
    assert ledger.reserve("a", 0.1, 5) == 3  # 3 * 0.1 > 0.3 in floating point
    for _ in range(3):
        ledger.settle(0.1, 0.1)
    assert ledger.reserved == 0.0
    assert abs(ledger.free) < 1e-15
    ledger = BudgetLedger(1e6)
    for _ in range(10_000):
        ledger.reserve("a", 0.1)
        ledger.settle(0.1, 0.1)
    assert ledger.settled == pytest.approx(1000.0, rel=1e-15)
    assert ledger.reserved == 0.0


def test_bills_above_what_was_reserved_count():
    ledger = BudgetLedger(10.0)
    assert ledger.reserve("a", 4.0) == 1
    ledger.settle(4.0, 9.0)
    ledger.count(3.0)
    assert (ledger.settled, ledger.free) == (12.0, -2.0)
    assert ledger.reserve("b", 1.0) == 0
    assert ledger.reserve("b", 0.0) == 1  # what is free is always granted
    free = BudgetLedger(None)
    assert free.reserve("a", 5.0, 7) == 7
    free.settle(5.0, 30.0, 7)
    assert (free.settled, free.reserved, free.free) == (30.0, 0.0, math.inf)


def test_threads():
    """A thread each for 64 questions, all at once, three tries of four samples; half of the replies are lost."""
    ledger = BudgetLedger(100.0)
    ledger.set_price("m", 1.0)
    names = [str(i) for i in range(64)]
    for name in names:
        ledger.expect(name, "m")
    barrier, granted = threading.Barrier(64), []

    def work(name):
        barrier.wait()
        for _ in range(3):
            n = ledger.reserve(name, 1.0, 4)
            granted.append((name, n))
            for k in range(n):
                ledger.settle(1.0, 1.0 if k % 2 else 0.5)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name for name, n in granted if n} == set(names)
    assert 64 <= ledger.settled <= 100.0
    assert ledger.reserved == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: BudgetLedger(math.nan), "total is nan; expected a finite number of at least 0"),
        (lambda: BudgetLedger(-1.0), "total is -1"),
        (lambda: BudgetLedger(1.0).reserve("a", math.inf), "cost is inf"),
        (lambda: BudgetLedger(1.0).set_price("m", -1.0), "the price of 'm' is -1.0"),
        (lambda: BudgetLedger(1.0).settle(0.5, 0.5), "Settle every grant once"),
        (lambda: BudgetLedger(1.0).count(-1.0), "bill is -1.0"),
    ],
)
def test_bad_amounts(call, words):
    with pytest.raises(InputError, match=words):
        call()

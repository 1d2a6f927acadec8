"""The pacing rule and its parts: demand, bills, arrivals and fair shares."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc import solve
from tcalloc.serve.keeper.arrivals import DAY, Arrivals
from tcalloc.serve.keeper.bills import Bills
from tcalloc.serve.keeper.demand import Demand, Ladder, ladder_of
from tcalloc.serve.keeper.horizon import fair_shares
from tcalloc.serve.keeper.learned import Learned
from tcalloc.serve.keeper.menus import stated_menu
from tcalloc.serve.keeper.pacing import Pace, Pacer
from tcalloc.serve.keeper.period import period_of


def requests(n, seed=0):
    """Return n rows of accuracies that rise with the cost, and the costs."""
    rng = np.random.default_rng(seed)
    gains = np.sort(rng.random((n, 3)), axis=1)[:, ::-1] * 0.2
    return 0.3 + np.cumsum(gains, axis=1), [1.0, 2.0, 5.0]


def test_the_price_is_the_solver_s():
    """On recent demand and a budget, the price is that of the exact optimum, up to the width of a bin."""
    acc, cost = requests(4000)
    pacer = Pacer(math.inf)
    for row in acc.tolist():
        pacer.demand.add(ladder_of(row, cost), 0.0)
    for budget in (1.2, 2.0, 3.5, 4.9):
        pacer.set_price(Pace(budget * 100, 100.0))
        assert pacer.price == pytest.approx(solve(acc, cost, budget).price, rel=0.03)
        assert pacer.demand.spend_at(pacer.price) == pytest.approx(budget, rel=1e-9)
    pacer.set_price(Pace(600.0, 100.0))
    assert pacer.price == 0.0
    pacer.set_price(Pace(90.0, 100.0))
    assert pacer.price == math.inf


def test_late_grants_count_with_their_maximum():
    """With bills that come late and may be doubled, less is planned, so that the price is higher."""
    acc, cost = requests(1000)
    prices = []
    for lag in (0, 50, 100):
        pacer = Pacer(math.inf)
        for row in acc.tolist():
            pacer.demand.add(ladder_of(row, cost), 0.0)
        for _ in range(1000):
            pacer.note_bill(lag)
            pacer.note_grant(1.0, 2.0)
        pacer.set_price(Pace(300.0, 100.0))
        prices.append(pacer.price)
        assert [pacer.caution(left) for left in (1000.0, 1.5 * max(lag, 1), 1.0)] == pytest.approx([0.0, 0.5, 1.0])
    assert prices == sorted(prices)
    assert prices[2] > 1.2 * prices[0]


def test_something_is_left_for_the_requests_to_come():
    """Each of them needs the cheapest action."""
    pacer, ladder = Pacer(math.inf), ladder_of([0.5, 0.9], [1.0, 8.0])
    assert pacer.places(Pace(12.0, 5.0), ladder, ladder.costs, 0.5) == ([1, 0], False)
    assert pacer.places(Pace(11.9, 5.0), ladder, ladder.costs, 0.5) == ([0], True)


def test_equal_requests_are_split():
    """If all requests are alike, a share of them takes the step, as the money allows."""
    pacer = Pacer(math.inf)
    ladder = ladder_of([0.5, 0.8], [1.0, 3.0])
    for _ in range(100):
        pacer.demand.add(ladder, 0.0)
    pacer.set_price(Pace(160.0, 100.0))
    luck = (np.arange(1000) + 0.5) / 1000
    taken = [pacer.places(Pace(math.inf, math.inf), ladder, ladder.costs, one)[0][0] for one in luck]
    assert 0.0 <= np.mean(taken) <= 0.8  # 0.3, up to where in its bin the step lies
    assert 0 < sum(taken) < 1000


def test_the_demand_forgets_and_joins():
    acc, cost = requests(300)
    one, two = Demand(1000.0), Demand(1000.0)
    for i, row in enumerate(acc.tolist()):
        (one if i % 2 else two).add(ladder_of(row, cost), float(i))
    both = Demand(1000.0)
    for i, row in enumerate(acc.tolist()):
        both.add(ladder_of(row, cost), float(i))
    one.join([Demand.of_state(two.state(), 1000.0, 299.0)])
    joined = one.seen, one.spend_at(0.03)
    assert joined[0] == pytest.approx(both.seen, rel=0.02)  # the first 50 requests are not forgotten, so 100 of two
    for price in (0.01, 0.03, 0.1, 1.0):
        assert one.spend_at(price) == pytest.approx(both.spend_at(price), rel=0.02)
    one.join([])
    one.absorb(Demand.of_state(two.state(), 1000.0, 299.0))
    assert (one.seen, one.spend_at(0.03)) == pytest.approx(joined, rel=1e-9)
    for i in range(300, 30_000):
        both.add(Ladder([0], [1.0], []), float(i))
    assert both.spend_at(0.0) == pytest.approx(1.0, abs=1e-6)


def test_an_efficient_first_request_moves_no_scale():
    """A price range of eight decades begins where the first request is; what lies outside counts at its end."""
    demand = Demand(math.inf)
    demand.add(ladder_of([0.1, 0.9], [1.0, 1.0 + 1e-9]), 0.0)
    demand.add(ladder_of([0.1, 0.9], [1.0, 2.0]), 0.0)
    assert demand.spend_at(0.0) == pytest.approx(1.5)
    assert Demand(1.0).spend_at(0.0) == 0.0


def test_a_forecast_takes_the_place_of_recent_requests():
    """From easy to hard: the price of the first requests is that of the whole."""
    acc, cost = requests(2000)
    acc = acc[np.argsort(acc[:, 2] - acc[:, 0])]
    pacer = Pacer(math.inf)
    pacer.expect([ladder_of(row, cost) for row in acc[::4].tolist()], 2000.0)
    for row in acc[:200].tolist():
        pacer.note_request(ladder_of(row, cost), 0.0)
    pacer.set_price(Pace(2.5 * 1800, 1800.0))
    assert pacer.price == pytest.approx(solve(acc[200:], cost, 2.5).price, rel=0.05)
    for row in acc[200:].tolist():
        pacer.note_request(ladder_of(row, cost), 0.0)
    pacer.set_price(Pace(100.0, 50.0))  # the forecast is used up
    assert pacer.demand.spend_at(pacer.price) == pytest.approx(2.0)


def test_the_ratio_of_bills():
    """Only significant deviations are believed; a price that doubles is."""
    rng = np.random.default_rng(0)
    fair, double = Bills(), Bills()
    for at, noise in enumerate(rng.uniform(0.5, 1.5, 2000).tolist()):
        fair.add(noise, 1.0, 2.0, at)
        double.add(2 * noise, 1.0, 3.5, at)
    assert fair.ratio() == pytest.approx(1.0, abs=0.02)
    assert double.ratio() == pytest.approx(2.0, abs=0.05)
    assert Bills().ratio() == 1.0
    few = Bills()
    few.add(5.0, 1.0, 9.0, 1)
    assert few.ratio() == 1.0


def test_a_model_with_few_bills_follows_the_others():
    """All bills double; a model that is seldom used is corrected too. One whose many bills are fair stays as it is."""
    rng = np.random.default_rng(1)
    learned = Learned(period_of(10_000, False), [""])
    menu = stated_menu(["often", "seldom", "fair", "new"], [0.5] * 4, [1.0, 10.0, 1.0, 2.0], [3.0, 30.0, 3.0, 6.0])

    def bill(name, cost, expected, at):
        learned.note_bill("", name, name, cost * rng.uniform(0.9, 1.1), (expected, 3.0 * expected), None, at)

    for at in range(2000):
        bill("often", 2.0, 1.0, at)
        if at % 50 == 0:
            bill("seldom", 10.0 if at < 2 else 20.0, 10.0, at)
    assert learned.level == pytest.approx(2.0, abs=0.05)
    costs, _ = learned.corrected(menu)
    assert costs == pytest.approx([2.0, 20.0, 2.0, 4.0], rel=0.1)
    for at in range(2000, 2500):
        bill("fair", 1.0, 1.0, at)
        bill("often", 2.0, 1.0, at)
    costs, _ = learned.corrected(menu)
    assert (costs[0], costs[2]) == pytest.approx((2.0, 1.0), rel=0.05)


def test_the_ratio_is_that_of_its_formula():
    """r = R + max(0, 1 - 4/z^2)(C/P - R), with z^2 = (C - RP)^2 / sum((c - Rp)^2), by its definition."""
    rng = np.random.default_rng(2)
    expected = rng.uniform(1.0, 3.0, 30)
    bills = expected * rng.uniform(0.5, 1.9, 30)
    seen = Bills()
    for bill, likely in zip(bills.tolist(), expected.tolist(), strict=True):
        seen.add(bill, likely, 9.0, 0)
    for common in (1.0, 0.7, 2.0):
        z2 = (bills - common * expected).sum() ** 2 / ((bills - common * expected) ** 2).sum()
        raw = bills.sum() / expected.sum()
        assert 1.0 - 4.0 / z2 > 0.0 or common == 1.0
        assert seen.ratio(common) == pytest.approx(common + max(0.0, 1.0 - 4.0 / z2) * (raw - common), rel=1e-9)


def test_when_bills_double_the_demand_is_known_at_once():
    """Demand is remembered in stated costs, so that a new level of bills changes the price, not what is known."""
    acc, cost = requests(2000)
    ladders = [ladder_of(row, cost) for row in acc.tolist()]
    doubled = [ladder_of(row, [2.0 * c for c in cost]) for row in acc.tolist()]
    recent, planned = Pacer(math.inf), Pacer(math.inf)
    planned.expect(ladders, 2000.0)
    for ladder in ladders[:1000]:
        recent.note_request(ladder, 0.0)
        planned.note_request(ladder, 0.0)
    for pacer in (recent, planned):
        pacer.level = 2.0
        pacer.set_price(Pace(500.0 * 5.0, 500.0))
        assert pacer.price == pytest.approx(solve(acc, [2.0 * c for c in cost], 5.0).price, rel=0.05)
        assert pacer.spend_at(pacer.price) == pytest.approx(5.0, rel=0.03)
        assert (pacer.spend_at(0.0), pacer.spend_at(math.inf)) == (pytest.approx(10.0), pytest.approx(2.0))
    for ladder in doubled[1000:1800]:
        planned.note_request(ladder, 0.0)
    planned.set_price(Pace(200.0 * 5.0, 200.0))  # what came is taken from the forecast
    assert planned.price == pytest.approx(solve(acc[1800:], [2.0 * c for c in cost], 5.0).price, rel=0.05)
    for pacer in (recent, planned):
        for ladder in doubled[1000:]:
            pacer.note_request(ladder, 0.0)
        assert pacer.spend_at(0.0) == pytest.approx(10.0)


def test_bills_above_the_maximum_raise_it():
    """One such bill may be wrong; the second one is believed, also if other keepers tell of it."""
    bills = Bills()
    assert not bills.add(2.0, 1.0, 2.0, 1)
    assert bills.add(100.0, 1.0, 2.0, 2)
    assert bills.excess == 1.0
    other = Bills()
    other.add(2.5, 1.0, 2.0, 3)
    for _ in range(2):
        other.join([Bills.of_state(bills.state(), 3)])
        assert other.excess == 1.25
    assert bills.add(3.0, 1.0, 2.0, 4)
    assert bills.excess == 1.5


def test_replicas_forget_bills_as_one_keeper_does():
    """A price that doubles is seen as soon by eight keepers that tell each other as by one."""
    one, eight = Bills(), [Bills() for _ in range(8)]
    for at in range(8000):
        bill = 1.0 + (at >= 4000) + 0.1 * (-1) ** (at // 8)
        one.add(bill, 1.0, 3.0, at)
        eight[at % 8].add(bill, 1.0, 3.0, at)
    eight[0].join([Bills.of_state(other.state(), 7999) for other in eight[1:]])
    assert one.ratio() == pytest.approx(2.0, abs=0.03)
    assert eight[0].ratio() == pytest.approx(one.ratio(), abs=0.01)
    before = Bills()
    for at in range(0, 4000, 8):
        before.add(1.1 if at % 16 else 0.9, 1.0, 3.0, at)
    before.join([Bills.of_state(before.state(), 4000)] * 7)
    for at in range(4000, 6000, 8):
        before.add(2.1 if at % 16 else 1.9, 1.0, 3.0, at)
    assert before.ratio() > 1.4  # old news of seven others do not outweigh what it sees itself


def test_arrivals_know_the_night():
    """After three days with quiet nights, the forecast of a night is low, and that of a day is exact."""
    arrivals, count = Arrivals(30 * DAY), 0
    for hour in range(72):
        for minute in range(0, 60, 5):
            count += 50 if 8 <= hour % 24 < 20 else 5
            arrivals.note(hour * 3600.0 + minute * 60.0 + 300.0, count)
    now = 72 * 3600.0
    assert arrivals.expected(now, now + DAY) == pytest.approx(12 * 12 * 55, rel=0.02)
    assert arrivals.expected(now, now + 6 * 3600.0) == pytest.approx(6 * 12 * 5, rel=0.8)
    assert arrivals.expected(now + 9 * 3600.0, now + 12 * 3600.0) == pytest.approx(3 * 12 * 50, rel=0.1)
    other = Arrivals(30 * DAY)
    assert other.expected(now, now + DAY) is None
    other.take(arrivals.state())
    assert other.expected(now, now + DAY) == arrivals.expected(now, now + DAY)


@settings(max_examples=200, deadline=None)
@given(
    tenants=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0, 50), st.floats(0, 100)), min_size=1, max_size=6),
    money=st.floats(1, 300),
)
def test_fair_shares(tenants, money):
    """Nobody is below what it has spent or above what it needs, and nobody could get more from one that has more."""
    weights, spent, needs = map(list, zip(*tenants, strict=True))
    shares = fair_shares(money, weights, spent, needs)
    for share, (_, used, need) in zip(shares, tenants, strict=True):
        assert used - 1e-9 <= share <= used + need + 1e-9
    if sum(spent) <= money <= sum(spent) + sum(needs):
        assert sum(shares) == pytest.approx(money)
        hungry = [s / w for s, (w, u, n) in zip(shares, tenants, strict=True) if s < u + n - 1e-6]
        giving = [s / w for s, (w, u, n) in zip(shares, tenants, strict=True) if s > u + 1e-6]
        if hungry and giving:
            assert max(giving) <= min(hungry) * (1 + 1e-9) + 1e-6

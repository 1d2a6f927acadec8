"""The price of a budget: plain it is the held-out mean, with a confidence it is a guarantee."""

import json
import math

import numpy as np
import pytest

from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.holdout.calibrate import Calibration, calibrate_price, keeps

PRICES = np.linspace(1, 0, 41)


def spends_of(rng, n):
    """A question costs 1, or 5 where its gain exceeds the price: the expected spend at price λ is 1 + 4·(1 − λ)."""
    return np.where(rng.random(n)[:, None] > PRICES, 5.0, 1.0)


def test_plain_is_the_smallest_price_within_the_held_out_mean():
    spends = spends_of(np.random.default_rng(0), 300)
    found = calibrate_price(PRICES, spends, 2.0, low=1, high=5)
    mean = spends.mean(axis=0)
    assert found.price == PRICES[mean <= 2.0].min()
    assert found.spend == mean[found.price == PRICES][0]
    assert (found.confidence, found.bound, found.assumptions, found.method) == (None, None, (), "plain")
    assert "no guarantee" in str(found)


def test_a_budget_that_is_the_rounded_mean_is_kept():
    spends = np.full((10, 1), 0.1)
    assert calibrate_price([math.inf], spends, 0.1, low=0, high=1).price == math.inf


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_guarantee_holds_where_the_plain_price_fails(confidence):
    rng = np.random.default_rng(1)
    budget, draws = 2.01, 150
    broken = {"plain": 0, "kept": 0}
    unused = []
    for _ in range(draws):
        spends = spends_of(rng, 120)
        plain = calibrate_price(PRICES, spends, budget, low=1, high=5)
        kept = calibrate_price(PRICES, spends, budget, confidence, low=1, high=5)
        assert kept.price >= plain.price
        broken["plain"] += 5 - 4 * plain.price > budget
        broken["kept"] += 5 - 4 * kept.price > budget
        unused.append(budget - (5 - 4 * kept.price))
    allowed = 1 - confidence
    assert broken["plain"] > 0.3 * draws
    assert broken["kept"] <= draws * (allowed + 3 * math.sqrt(allowed * (1 - allowed) / draws))
    # Not by spending nothing: a z-test that knows the deviation (1.73) leaves about z·1.73/√120 = .26 at 95 %.
    assert np.mean(unused) < 0.36


def test_the_test_keeps_its_level_on_costs_that_deceive_the_mean():
    # One question in 300 costs 60, the expectation is just above the budget, and half of all samples do not hold one.
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(250):
        costs = np.where(rng.random((200, 1)) < 1 / 300, 60.0, 1.0)
        rejected += bool(keeps(costs, 1 + 59 / 300 - 1e-9, 0.1, 1.0, 60.0)[0])
    assert rejected / 250 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 250)


def test_the_first_failure_ends_the_search():
    # The fourth price spends little again by chance; what lies behind a failure is not looked at.
    spends = np.column_stack([np.full(500, 1.0), np.full(500, 1.2), np.full(500, 4.0), np.full(500, 1.0)])
    for confidence in (None, 0.95):
        assert calibrate_price([4, 3, 2, 1], spends, 2.0, confidence, low=1, high=5).price == 3


def test_more_confidence_costs_more_and_more_questions_less():
    rng = np.random.default_rng(3)
    spends = spends_of(rng, 4000)
    prices = [calibrate_price(PRICES, spends[:400], 2.0, c, low=1, high=5).price for c in (0.5, 0.9, 0.99, 0.9999)]
    assert prices == sorted(prices)
    assert prices[0] < prices[-1]
    some, many = (calibrate_price(PRICES, spends[:n], 2.0, 0.95, low=1, high=5).price for n in (100, 4000))
    assert many < some


def test_the_order_of_the_questions_is_drawn():
    rng = np.random.default_rng(4)
    spends = spends_of(rng, 300)
    ordered = spends[np.argsort(spends.sum(axis=1))]  # as a table sorted by difficulty would be
    for direction in (1, -1):
        found = calibrate_price(PRICES, ordered[::direction], 2.0, 0.95, low=1, high=5)
        assert 0.75 < found.price < 0.9
    assert found == calibrate_price(PRICES, ordered[::-1], 2.0, 0.95, low=1, high=5)


def test_many_questions_bet_in_blocks():
    spends = spends_of(np.random.default_rng(5), 60_000)
    found = calibrate_price(PRICES, spends, 2.0, 0.95, low=1, high=5)
    assert found.price == PRICES[PRICES > 0.75].min()


def test_budgets_at_the_ends():
    spends = spends_of(np.random.default_rng(6), 50)
    assert calibrate_price(PRICES, spends, 5.0, 0.99, low=1, high=5).price == 0.0
    assert calibrate_price(PRICES, spends, math.inf, 0.99, low=1, high=5).price == 0.0
    same = calibrate_price([math.inf], np.full((3, 1), 2.0), 2.0, 0.9, low=2, high=2)
    assert same.spend == 2.0
    with pytest.raises(BudgetError) as caught:
        calibrate_price([math.inf], np.full((50, 1), 1.0), 1.0, 0.9, low=1, high=5)
    # Fifty cheap ones say that at most 4.5 % (= 1 − .1^(1/50)) are dear: not less than 1.18.
    assert 1 + 4 * (1 - 0.1 ** (1 / 50)) <= caught.value.limit < 1.2


def test_the_smallest_budget_is_said_and_works():
    spends = spends_of(np.random.default_rng(7), 200)
    for confidence in (None, 0.95):
        with pytest.raises(BudgetError, match="Raise the budget") as caught:
            calibrate_price(PRICES[20:], spends[:, 20:], 2.0, confidence, low=1, high=5)
        limit = caught.value.limit * (1 + 1e-9)
        assert calibrate_price(PRICES[20:], spends[:, 20:], limit, confidence, low=1, high=5).price == PRICES[20]


def test_it_goes_through_json():
    spends = spends_of(np.random.default_rng(8), 200)
    for grid, confidence in ((PRICES, 0.95), (PRICES, None), (np.array([math.inf, *PRICES[1:]]), 0.99)):
        found = calibrate_price(grid, spends, 2.0, confidence, low=1, high=5)
        assert Calibration.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    whole = calibrate_price([math.inf], np.ones((9, 1)), 2.0, low=1, high=5)
    assert Calibration.from_dict(json.loads(json.dumps(whole.to_dict(), allow_nan=False))).price == math.inf
    said = str(calibrate_price(PRICES, spends, 2.0, 0.95, low=1, high=5))
    assert "expected spend at most 2 with confidence 0.95, if (1) the held-out questions are independent" in said
    assert "between 1 and 5" in said
    good = found.to_dict()
    for bad in ({}, {"price": 1}, good | {"more": 1}, good | {"n": 0}, good | {"n": 2.5}, good | {"price": "much"},
                good | {"method": None}, good | {"assumptions": 3}, good | {"assumptions": [1]}):  # fmt: skip
        with pytest.raises(InputError, match=r"calibration|price"):
            Calibration.from_dict(bad)


def test_plain_is_weighted():
    spends = np.array([[1.0, 2.0], [1.0, 6.0]])
    assert calibrate_price([1, 0], spends, 4.0).price == 0
    assert calibrate_price([1, 0], spends, 4.0, weights=[1, 3]).price == 1
    found = calibrate_price([1, 0], spends, 5.0, weights=[1, 3])
    assert (found.price, found.spend) == (0, 5.0)
    # Equal weights are none.
    many = spends_of(np.random.default_rng(9), 200)
    same = calibrate_price(PRICES, many, 2.0, 0.9, low=1, high=5, weights=np.full(200, 7.0))
    assert same == calibrate_price(PRICES, many, 2.0, 0.9, low=1, high=5)


def test_each_price_may_have_its_own_highest_cost():
    # The same spends: what is known to lie close together needs less room.
    spends = 2 + 0.2 * np.random.default_rng(10).random((100, 3))
    assert keeps(spends, 2.3, 0.05, 0.0, np.array([3.0, 3.0, 60.0])).tolist() == [True, True, False]
    apart = [bool(keeps(spends[:, :1], 2.3, 0.05, 0.0, high)[0]) for high in (3.0, 60.0)]
    assert apart == [True, False]
    found = calibrate_price([3, 2, 1], spends, 2.3, 0.95, high=[3, 3, 60])
    assert found.price == 2
    assert "between 0 and 3" in found.assumptions[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prices": [1, 2]}, "from the largest down"),
        ({"prices": [math.nan, 0]}, "at least 0"),
        ({"prices": [1, -1]}, "at least 0"),
        ({"spends": [[1, 2, 3]]}, r"spends has shape \(1, 3\); expected \(n, 2\)"),
        ({"spends": np.zeros((0, 2))}, "at least one"),
        ({"spends": [[1, 9]]}, r"spends\[0, 1\] is 9.0, not between low = 1.0 and high = 5.0"),
        ({"spends": [[1, math.nan]]}, r"spends\[0, 1\] is nan"),
        ({"spends": [[1, -2]]}, r"spends\[0, 1\] is -2.0; expected a finite cost"),
        ({"high": [5, 5, 5]}, r"high has shape \(3,\); expected one number, or 2"),
        ({"high": [5, 2.5]}, r"spends\[1, 1\] is 3.0, not between low = 1.0 and high = 2.5"),
        ({"confidence": 0.9, "high": None}, "high is missing"),
        ({"weights": [1]}, "weights: expected 2 finite numbers"),
        ({"weights": [1, 2], "confidence": 0.9}, "weights differ, but a guarantee needs"),
        ({"low": 6}, "low is 6.0 and high is 5.0"),
        ({"high": math.inf}, "both finite"),
        ({"budget": math.nan}, "budget is nan"),
        ({"confidence": 1.0}, "confidence is 1.0; expected a number between 0 and 1"),
        ({"confidence": True}, "confidence is True"),
        ({"confidence": "95%"}, "confidence is '95%'"),
    ],
)
def test_refusals(change, words):
    given = {"prices": [2, 1], "spends": [[1, 2], [1, 3]], "budget": 3.0, "low": 1, "high": 5} | change
    with pytest.raises(InputError, match=words):
        calibrate_price(given.pop("prices"), given.pop("spends"), given.pop("budget"), **given)

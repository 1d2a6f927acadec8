"""The budget keeper as users have it: grants, caps, tenants, policies, what it reports, and what it refuses."""

import json
import logging
import math

import numpy as np
import pytest
from budgets import Hands, book

import tcalloc
from tcalloc import BudgetKeeper, InputError, Rates, Vote
from tcalloc.serve.keeper.store import MemoryStore

NAMES, ACC, COST = ["small", "large"], [0.6, 0.9], [1.0, 4.0]


def paced(keeper, n, *, tenant=None, bill=1.0, seed=0):
    """Send n requests, each with a gain of its own; return the costs of what was done."""
    rng = np.random.default_rng(seed)
    done = []
    for gain in rng.random(n).tolist():
        grant = keeper.choose(NAMES, [0.4, 0.4 + 0.5 * gain], COST, tenant=tenant)
        if grant.action is not None:
            done.append(bill * COST[NAMES.index(grant.action)])  # `expected` is corrected by earlier bills
            grant.settle(done[-1])
        else:
            done.append(0.0)
    return done


def test_the_money_lasts_to_the_end():
    keeper = BudgetKeeper(total=2000.0, period=1000)
    done = paced(keeper, 1000)
    assert 1990.0 < sum(done) <= 2000.0
    assert sum(done[:500]) == pytest.approx(1000.0, abs=80.0)
    status = keeper.status()
    assert status.spent == pytest.approx(sum(done))
    assert status.requests == 1000
    more = paced(keeper, 500)  # the next period
    assert sum(more) == pytest.approx(1000.0, abs=80.0)


def test_bills_that_are_twice_what_was_expected():
    keeper = BudgetKeeper(total=4000.0, period=1000)
    done = paced(keeper, 1000, bill=2.0)
    assert 3900.0 < sum(done) <= 4000.0


def test_a_rolling_window_is_paced():
    keeper = BudgetKeeper(total=600.0, period=300, rolling=True)
    done = paced(keeper, 1500)
    for end in range(300, 1500):
        assert sum(done[end - 300 : end]) <= 600.0
    assert sum(done[600:]) > 0.9 * 2 * 900


def test_a_period_of_time_is_paced():
    """30 days with a request every half hour; nothing is told of how many will come."""
    hands = Hands()
    keeper = BudgetKeeper(
        total=2880.0, period="30d", store=MemoryStore(book(2880.0, "30d"), hands.clock()), lifetime=1e9
    )
    done = []
    rng = np.random.default_rng(0)
    for gain in rng.random(1440).tolist():
        hands.pass_time(1800.0)
        grant = keeper.choose(NAMES, [0.4, 0.4 + 0.5 * gain], COST)
        grant.settle(grant.expected)
        done.append(grant.expected)
    assert 2780.0 < sum(done) <= 2880.0
    assert sum(done[:720]) == pytest.approx(1440.0, abs=150.0)


@pytest.mark.parametrize("rolling", [False, True])
@pytest.mark.parametrize("gap", [0.0, 0.01, 0.5, 60.0, 3600.0])
def test_the_first_seconds_of_a_month_are_no_rate(gap, rolling):
    """With $500 for 30 days, 20 requests within a second get the best, as 20 within a day do; 6,000 do not."""
    hands = Hands()
    store = MemoryStore(book(500.0, "30d", rolling=rolling), hands.clock())
    keeper = BudgetKeeper(500.0, period="30d", rolling=rolling, store=store)

    def best_of(n):
        found = 0
        for _ in range(n):
            hands.pass_time(gap)
            grant = keeper.choose(["small", "large"], [0.71, 0.88], [0.001, 0.012])
            grant.settle(0.001 if grant.action == "small" else 0.012)
            found += grant.action == "large"
        return found

    assert best_of(20) == 20
    if gap == 0.5:
        assert best_of(6000) < 1000  # the rate is believed after some minutes
        assert keeper.status().spent < 0.03 * 500.0


def test_a_little_money_for_a_month():
    """Where the whole month has money for 33 of the best, one request does not use up the hope for the others."""
    hands = Hands()
    keeper = BudgetKeeper(10.0, period="30d", store=MemoryStore(book(10.0, "30d"), hands.clock()))
    actions = []
    for _ in range(10):
        grant = keeper.choose(["small", "large"], [0.71, 0.88], [0.02, 0.3])
        grant.settle(0.02 if grant.action == "small" else 0.3)
        actions.append(grant.action)
        hands.pass_time(0.5)
    assert actions[:2] == ["large", "large"]
    assert "small" in actions


def test_the_cap_per_question_and_the_fallback():
    keeper = BudgetKeeper(total=100.0, period=10, cap_per_question=2.0, fallback="free")
    assert keeper.choose(NAMES, ACC, COST).action == "small"
    grant = keeper.choose([*NAMES, "free"], [0.6, 0.9, 0.1], [1.0, 4.0, 0.0], [2.5, 8.0, 0.0])
    assert (grant.action, grant.maximum) == ("free", 0.0)
    grant.settle(0.0)
    nothing = keeper.choose(NAMES, ACC, COST, [2.5, 8.0])
    assert (nothing.action, nothing.short) == (None, True)
    with pytest.raises(InputError, match="has no action"):
        nothing.settle(1.0)


def test_the_fallback_keeps_the_cap_per_question():
    keeper = BudgetKeeper(total=100.0, cap_per_question=0.5, fallback="small")
    assert keeper.choose(NAMES, ACC, COST).action is None


def test_a_status_takes_nothing_from_other_keepers():
    """Two keepers of one store: what the first has learnt stays known after its status."""
    store = MemoryStore(book(200.0, 100))
    first, second = (BudgetKeeper(total=200.0, period=100, store=store) for _ in range(2))
    paced(first, 30)
    price = first.status().price
    assert second.status().price == pytest.approx(price)
    first.status()
    assert second.status().price == pytest.approx(price)
    first.close()
    assert second.status().price == pytest.approx(price)


@pytest.mark.parametrize(("period", "seconds"), [(60, 0.0), ("30d", 61.0)])
def test_keepers_tell_each_other(period, seconds):
    """At each sixtieth of the period, and after a minute, whichever comes first."""
    hands = Hands()
    store = MemoryStore(book(200.0, period), hands.clock())
    first, second = (BudgetKeeper(total=200.0, period=period, store=store) for _ in range(2))
    paced(first, 30)
    hands.pass_time(seconds)
    paced(first, 25)
    paced(second, 1)
    assert second._learned.pacers[""].demand.seen > 20


def test_what_all_keepers_have_learnt_goes_on(tmp_path):
    first, second = (BudgetKeeper(total=200.0, period=1000, state=tmp_path / "budget.db") for _ in range(2))
    for keeper in (first, second):
        paced(keeper, 30)
    for keeper in (first, second):
        keeper.close()
    with BudgetKeeper.open(tmp_path / "budget.db") as keeper:
        assert keeper._learned.pacers[""].demand.seen == pytest.approx(60, abs=1)


def test_a_first_price_gives_way_to_what_is_seen():
    keeper = BudgetKeeper(total=2000.0, period=1000, price=1e6)
    done = paced(keeper, 1000)
    assert done[:19] == [1.0] * 19
    assert 1900.0 < sum(done) <= 2000.0


def test_a_forecast_holds_if_bills_double():
    """The forecast is in stated costs; what bills really are is learnt."""
    keeper = BudgetKeeper(total=4000.0, period=1000)
    keeper.forecast([[0.4, 0.4 + 0.5 * gain] for gain in np.linspace(0.0, 1.0, 200).tolist()], COST)
    done = paced(keeper, 1000, bill=2.0)
    assert sum(done[200:600]) == pytest.approx(1600.0, abs=200.0)


@pytest.mark.parametrize(
    ("accuracy", "costs", "said"),
    [
        ([[0.4, "high"]], [1.0, 2.0], "accuracy holds what is no number"),
        ([[0.4, 0.5], [0.4]], [1.0, 2.0], "accuracy holds what is no number"),
        ([[0.4, np.nan]], [1.0, 2.0], "accuracy holds NaN"),
        ([0.4, 0.5], [1.0, 2.0], r"accuracy has shape \(2,\)"),
        ([[0.4, 0.5]], [1.0, 2.0, 3.0], r"costs has shape \(3,\); expected \(1, 2\) or \(2,\)"),
        ([[0.4, 0.5]], [1.0, np.inf], "costs holds NaN or infinity"),
        ([[0.4, 0.5]], [1.0, -2.0], "numbers of at least 0"),
    ],
)
def test_a_forecast_that_is_no_table_is_refused(accuracy, costs, said):
    keeper = BudgetKeeper(total=100.0, period=50)
    with pytest.raises(InputError, match=said):
        keeper.forecast(accuracy, costs)


def test_the_forecast_of_the_period_s_end():
    keeper = BudgetKeeper(total=20.0, period=10)
    for done in range(10):
        if done:
            assert keeper.status().forecast == pytest.approx(10.0)
        keeper.choose(["a"], [0.5], [1.0]).settle(1.0)
    assert keeper.status().forecast == pytest.approx(10.0)


def test_when_money_is_short():
    """What is reserved by open grants cannot be granted again; the fallback is free."""
    keeper = BudgetKeeper(total=10.0, fallback="local")
    names, acc, cost = ["local", "large"], [0.1, 0.9], [0.0, 4.0]
    grants = [keeper.choose(names, acc, cost) for _ in range(4)]
    assert [grant.action for grant in grants] == ["large", "large", "local", "local"]
    assert [grant.short for grant in grants] == [False, False, True, True]
    grants[0].settle(1.0)
    assert keeper.choose(names, acc, cost).action == "large"


def test_leaving_a_block_without_a_bill_counts_the_maximum():
    keeper = BudgetKeeper(total=10.0)
    with pytest.raises(RuntimeError), keeper.choose(NAMES, ACC, COST, [2.0, 5.0]):
        raise RuntimeError
    with keeper.choose(NAMES, ACC, COST) as grant:
        grant.release()
    assert keeper.status().spent == 5.0
    with pytest.raises(InputError, match="settled already"):
        grant.settle(0.0)


def test_money_that_one_tenant_does_not_need_goes_to_the_others():
    """Weights 2 to 1, and the heavier one sends a tenth of the requests: the other gets what it leaves."""
    keeper = BudgetKeeper(total=2000.0, period=1000, tenants={"quiet": 2, "busy": 1})
    done = {"quiet": [], "busy": []}
    for i in range(1000):
        tenant = "busy" if i % 10 else "quiet"
        done[tenant] += paced(keeper, 1, tenant=tenant, seed=i)
    quiet, busy = sum(done["quiet"]), sum(done["busy"])
    assert quiet / 100 > 3.8  # all that it can use
    assert 1950.0 < quiet + busy <= 2000.0
    status = keeper.status()
    assert {name: one.requests for name, one in status.tenants.items()} == {"quiet": 100, "busy": 900}
    assert status.tenants["quiet"].spent + status.tenants["busy"].spent == pytest.approx(status.spent)


def test_tenants_that_both_need_money_share_by_weight():
    keeper = BudgetKeeper(total=1500.0, period=1000, tenants={"a": 2, "b": 1})
    done = {"a": 0.0, "b": 0.0}
    for i in range(1000):
        tenant = "ab"[i % 2]
        done[tenant] += sum(paced(keeper, 1, tenant=tenant, seed=i))
    assert done["a"] / done["b"] == pytest.approx(2.0, abs=0.15)


def test_a_bill_above_its_maximum_is_named(caplog):
    keeper = BudgetKeeper(total=1000.0)
    with caplog.at_level(logging.WARNING):
        for maximum in (5.0, 5.0, 10.0):
            grant = keeper.choose(["large"], [0.9], [4.0], [5.0])
            assert grant.maximum == maximum
            grant.settle(10.0)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "a bill of 'large' is 10, above its stated maximum of 5"
    ]
    status = keeper.status()
    assert status.exceeded == {"large": 3}
    assert "3 bills above the stated maximum of 'large'" in str(status)


def test_the_same_question_gets_the_same_action():
    keeper = BudgetKeeper(total=200.0, period=100)
    for i in range(40):
        keeper.choose(NAMES, ACC, COST, question=f"question {i}").settle(1.0)
    chosen = {keeper.choose(NAMES, ACC, COST, question="again").action for _ in range(10)}
    assert len(chosen) == 1


@pytest.fixture(scope="module")
def learned():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    texts = [("hard " if hard else "easy ") + str(i) for i, hard in enumerate(rng.random(300) < 0.5)]
    hard = np.array([text.startswith("hard") for text in texts])
    acc = np.stack([np.where(hard, 0.3, 0.9), np.where(hard, 0.8, 0.92)], axis=1)
    acc = (rng.random(acc.shape) < acc).astype(float)
    return texts, acc


def test_a_policy_that_predicts(learned):
    """Hard questions get more samples, as long as the money pays for it."""
    texts, acc = learned
    policy = tcalloc.PricedPolicy(budget=2.5).fit(texts, acc, cost=[1.0, 4.0], actions=[Vote(1), Vote(4)])
    keeper = BudgetKeeper(total=2.5 * 200, unit="samples", period=200)
    samples = {"hard": [], "easy": []}
    for i in range(200):
        kind = "hard" if i % 2 else "easy"
        with keeper.grant(policy, f"{kind} {1000 + i}") as grant:
            draw = grant.run.next()
            assert grant.action == f"vote{draw.n}"
            assert grant.maximum == draw.n
            samples[kind].append(draw.n)
            grant.settle(draw.n)
    assert np.mean(samples["hard"]) > 3.0 > 1.5 > np.mean(samples["easy"])
    assert 490 < sum(map(sum, samples.values())) <= 500


def test_rates_bound_a_bill(learned):
    texts, acc = learned
    policy = tcalloc.PricedPolicy(budget=2.5).fit(texts, acc, cost=[1.0, 4.0], actions=[Vote(1), Vote(4)])
    rates = Rates.per_million(1, 4)
    keeper = BudgetKeeper(total=500.0, rates=rates, max_tokens=100)
    grant = keeper.grant(policy, "hard 1")
    assert grant.maximum == rates.most(len("hard 1"), 4, 100)
    assert keeper.grant(policy, "hard 1", maximum=7.0).maximum == 7.0
    assert keeper.grant(policy, "hard 1", maximum={"vote1": 1.0, "vote4": 9.0}).maximum == 9.0
    assert keeper.grant(policy, "hard 1", maximum=lambda name: 3.0).maximum == 3.0


def test_a_policy_that_decides_by_itself(learned):
    """Its own decision, or something cheaper where the money is short."""
    texts, acc = learned
    imitator = tcalloc.Imitator(budget=2.5).fit(texts, acc, cost=[1.0, 4.0], actions=[Vote(1), Vote(4)])
    keeper = BudgetKeeper(total=1e6, period=10_000)
    routed = {imitator.route(text) for text in texts[:40]}
    assert {keeper.grant(imitator, text).action for text in texts[:40]} == routed
    poor = BudgetKeeper(total=12.0, period=10)
    assert [poor.grant(imitator, "hard 1").maximum for _ in range(10)].count(1.0) >= 8


def test_a_policy_that_stops_while_sampling():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    answers = np.where(rng.random((60, 16)) < rng.uniform(0.4, 0.95, (60, 1)), 0, rng.integers(1, 4, (60, 16)))
    policy = tcalloc.Sequential(budget=3.0).fit(None, tcalloc.Samples(answers))
    keeper = BudgetKeeper(total=130.0, unit="samples", period=30)
    with pytest.raises(InputError, match="decides while sampling has no highest cost of its own"):
        keeper.grant(policy, "a question")
    spent = 0
    for i in range(30):
        with keeper.grant(policy, f"question {i}", maximum=16) as grant:
            used = 0
            if grant.action is None:  # at the end, 16 samples are more than what is left
                continue
            while (draw := grant.run.next()) is not None:
                grant.run.add([tcalloc.Result(int(a), 1.0) for a in answers[i, used : used + draw.n]])
                used += draw.n
            assert grant.action.startswith("budget ")
            grant.settle(used)
            spent += used
    assert 60 <= spent <= 130


def test_a_policy_with_a_probe():
    """It draws its probe, and goes on as its budget allows; the budgets that are given keep to the money."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.5
    answers = np.where(rng.random((200, 9)) < np.where(right, 0.95, 0.55)[:, None], 0, rng.integers(1, 9, (200, 9)))
    policy = tcalloc.PricedPolicy(probe=2, features=False, gate=False, budget=4.0)
    policy.fit([f"question {i}" for i in range(200)], tcalloc.Samples(answers), actions=[Vote(1), Vote(3), Vote(9)])
    keeper = BudgetKeeper(total=4.0 * 100, unit="samples", period=100)
    with pytest.raises(InputError, match="no highest cost of its own"):
        keeper.grant(policy, "a question")
    spent, drawn = 0, set()
    for i in range(100):
        with keeper.grant(policy, f"question {i}", maximum=9) as grant:
            if grant.action is None:
                continue
            used = 0
            while (draw := grant.run.next()) is not None:
                grant.run.add([tcalloc.Result(int(a), 1.0) for a in answers[i, used : used + draw.n]])
                used += draw.n
            grant.settle(used)
        spent += used
        drawn.add(used)
    assert 300 <= spent <= 400
    assert {2, 9} <= drawn  # the probe was enough, or it was not


def test_a_status_as_text_json_and_picture(tmp_path):
    keeper = BudgetKeeper(total=100.0, unit="usd", period=100, tenants={"a": 1, "b": 1})
    paced(keeper, 30, tenant="a")
    grant = keeper.choose(NAMES, ACC, COST, tenant="b")
    status = keeper.status()
    text = str(status)
    assert text.splitlines()[0] == "$100 for 100 requests; 31.0 % of the period has passed"
    assert text.splitlines()[2].split() == ["weight", "spent", "reserved", "requests", "price", "forecast"]
    assert "1 grant open" in text
    assert status.reserved == grant.maximum
    assert status.free == pytest.approx(100.0 - status.spent - status.reserved)
    assert 0 < status.forecast <= 100.0
    document = json.loads(json.dumps(status.as_dict(), allow_nan=False))
    assert document["tenants"]["a"]["requests"] == 30
    pytest.importorskip("matplotlib")
    ax = status.plot()
    assert ax.get_ylabel() == "spent ($)"
    ax.figure.savefig(tmp_path / "period.png")
    import matplotlib.pyplot as plt

    plt.close(ax.figure)


def test_a_state_goes_on(tmp_path):
    """What one keeper has spent and learnt, the next one knows; grants can be settled by another."""
    state = tmp_path / "budget.db"
    with BudgetKeeper(total=200.0, period=100, state=state) as keeper:
        done = paced(keeper, 50)
        grant = keeper.choose(NAMES, ACC, COST)
    with BudgetKeeper(total=200.0, period=100, state=state) as keeper:
        first = keeper.choose(NAMES, ACC, COST)
        assert first.price > 0
        keeper.settle(grant.id, 1.0)
        with pytest.raises(InputError, match="there is no open grant"):
            keeper.settle(grant.id, 1.0)
        status = keeper.status()
        assert status.spent == pytest.approx(sum(done) + 1.0)
        first.settle(1.0)
        assert 190.0 < status.forecast <= 200.0
    with BudgetKeeper.open(state) as keeper:
        assert keeper.period.length == 100


def test_another_total(tmp_path):
    """Raised midway, twice as much is spent from then on; other keepers and later ones follow."""
    state = tmp_path / "budget.db"
    first, second = (BudgetKeeper(total=100.0, period=100, state=state) for _ in range(2))
    done = paced(first, 50)
    first.change_total(180.0)
    assert (first.total, second.status().total, repr(second)) == (180.0, 180.0, "BudgetKeeper(180 for 100 requests)")
    assert second.status().forecast == pytest.approx(180.0, abs=9.0)
    done += paced(second, 50, seed=1)
    assert 40.0 < sum(done[:50]) <= 60.0
    assert 170.0 < sum(done) <= 180.0
    for keeper in (first, second):
        keeper.close()
    for total in (100.0, 180.0):  # what the state was made with, and what it has now
        with BudgetKeeper(total=total, period=100, state=state) as keeper:
            assert keeper.total == 180.0
    with BudgetKeeper.open(state) as keeper:
        assert keeper.total == 180.0
    with pytest.raises(InputError, match=r"total is 170.0, but the state was made with 100.0"):
        BudgetKeeper(total=170.0, period=100, state=state)


def test_a_total_is_not_lowered_below_what_is_spent_and_reserved():
    keeper = BudgetKeeper(total=50.0, period=10)
    grant = keeper.choose(["a"], [0.5], [10.0], [12.0])
    keeper.choose(["a"], [0.5], [5.0]).settle(5.0)
    with pytest.raises(InputError, match=r"total is 16, but 5 is spent and 12 is reserved.*at least 17"):
        keeper.change_total(16.0)
    assert keeper.total == 50.0
    keeper.change_total(17.0)
    assert keeper.choose(["a"], [0.5], [1.0]).action is None
    grant.settle(2.0)
    assert keeper.choose(["a"], [0.5], [1.0]).action == "a"
    with pytest.raises(InputError, match="expected at most 5000, which is 100 times"):
        keeper.change_total(5001.0)
    with pytest.raises(InputError, match="total is 0; expected a number above 0"):
        keeper.change_total(0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BudgetKeeper(total=0), "total is 0; expected a number above 0"),
        (lambda: BudgetKeeper(total=math.inf), "total is inf"),
        (lambda: BudgetKeeper(total=1, period="30 fortnights"), "expected a length of time such as '30d'"),
        (lambda: BudgetKeeper(total=1, period=3600.0), "For seconds write a text, such as '3600s'"),
        (lambda: BudgetKeeper(total=1, rolling=True), "rolling is True, but there is no period"),
        (lambda: BudgetKeeper(total=1, tenants={"a": 0}), r"tenants\['a'\] is 0; expected a number above 0"),
        (lambda: BudgetKeeper(total=1, tenants={" ": 1}), "expected texts that are not empty"),
        (lambda: BudgetKeeper(total=1, rates=Rates()), "rates and max_tokens bound a bill together"),
        (lambda: BudgetKeeper(total=1, lost="half"), "allowed are 'maximum' and 'nothing'"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [0.5], [1.0], [1.0, 2.0]), "1 costs and 2 maxima"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [math.nan], [1.0]), r"accuracy\[0\] \('a'\) is nan"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [0.5], [-1.0]), r"costs\[0\] \('a'\) is -1.0"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [0.5], [1.0], tenant="t"), "the keeper has no tenants"),
        (lambda: BudgetKeeper(total=1, tenants={"a": 1}).choose(["x"], [0.5], [1.0]), "tenant is missing"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [0.5], [1.0]).settle(5000.0), "more than 1,000 times the total"),
        (lambda: BudgetKeeper(total=1).choose(["a"], [0.5], [1.0]).settle(-1.0), "cost is -1.0"),
        (lambda: BudgetKeeper(total=1).grant(object(), "x"), "object does not say what its actions reach"),
        (lambda: BudgetKeeper(total=1, period="1h").forecast([[0.5]], [1.0]), "a forecast needs a number of requests"),
    ],
)
def test_what_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()

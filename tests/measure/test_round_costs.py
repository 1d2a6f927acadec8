"""What a draw costs besides its samples, in tables, in replays and from run folders."""

import numpy as np
import pytest

import tcalloc
from tcalloc import InputError, Rates
from tcalloc.learn.protocol import Draw
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.replay.metered import Meter, replay
from tcalloc.learn.rivals import FixedK
from tcalloc.learn.rivals.margin import MarginCap
from tcalloc.measure import Action, Samples, Vote
from tcalloc.measure.load_run import load_run
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.runs.store import Store

CODES = np.array([[0, 0, 1, 0], [1, 0, 0, 1], [1, 1, 2, 0]])


def test_a_question_pays_its_first_draw_and_less_for_later_ones():
    costs = RoundCosts.of(Samples(CODES, cost=1.0, round_cost=[3, 4, 5], later_round_cost=0.5))
    assert costs.of_rounds(0).tolist() == [0, 0, 0]
    assert costs.of_rounds([1, 2, 4]).tolist() == [3, 4.5, 6.5]
    assert RoundCosts.of(Samples(CODES, round_cost=2)).later.tolist() == [2, 2, 2]
    assert not RoundCosts.of(Samples(CODES)).any
    assert RoundCosts.of(Samples(CODES, round_cost=[3, 4, 5]).take([2, 0])).first.tolist() == [5, 3]


def test_requests_that_find_the_prompt_in_the_cache():
    nan = np.nan
    found = RoundCosts.of_requests(np.array([[3, 1, 2], [nan, 4, 2], [6, nan, nan], [nan] * 3]))
    # Questions with one request pay as much less for later ones as the others: (1.5 + 2) / (3 + 4).
    assert found.first.tolist() == [3, 4, 6, pytest.approx(13 / 3)]
    assert found.later.tolist() == [1.5, 2, 3, pytest.approx(6.5 / 3)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"round_cost": -1}, r"round_cost.* is -1.0; allowed are numbers from 0 to 1e\+100"),
        ({"round_cost": [1, 2]}, r"round_cost has shape \(2,\); expected one number, or \(3,\), one per question"),
        ({"round_cost": [1, 2, np.inf]}, r"round_cost\[2\] is inf"),
        ({"later_round_cost": 1}, "later_round_cost is given without round_cost"),
        ({"round_cost": "much"}, "round_cost cannot be converted to an array of numbers"),
    ],
)
def test_what_is_no_cost_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        Samples(CODES, **given)


def test_tables_and_replays_charge_each_draw():
    samples = Samples(CODES, cost=2.0, round_cost=[3, 4, 5], later_round_cost=1.0)
    table = samples.table([Vote(1), Vote(3)], shrink=False)
    np.testing.assert_allclose(table.cost, [4 + 2, 4 + 6])
    own = samples.table([Vote(3)], shrink=False, cost_per="question")
    np.testing.assert_allclose(own.cost[:, 0], [3 + 6, 4 + 6, 5 + 6])
    assert replay(FixedK(3), samples).spend.tolist() == [3 + 6, 4 + 6, 5 + 6]  # one draw of three
    rule = MarginCap(margin=2, cap=4)
    done = replay(rule, samples, orders=4)
    np.testing.assert_allclose(done.spend, 2 * done.drawn + [3, 4, 5] + (done.rounds - 1))
    # The replay of all orders at once charges the same.
    np.testing.assert_allclose(Paths(samples, 4).outcome(rule, ties="first")[0], done.spend)


def test_rates_charge_the_first_request_in_full_and_later_ones_by_the_cache():
    tokens = {
        "input": np.full((1, 4), 100.0),
        "cached": np.array([[0.0, 80, 80, 80]]),
        "output": np.full((1, 4), 10.0),
    }
    samples = Samples([[0, 1, 0, 0]], tokens=tokens)
    rates = Rates(1, 2, cached_input=0.25, request=7)
    first, later = 7 + 100, 7 + 20 + 80 * 0.25
    meter = Meter(samples, 0, {"": np.array([3, 2, 1, 0])})
    action = Action(rates=rates)
    assert [r.cost for r in meter.pay(Draw(action, 2))] == [first + 20, 20]
    assert [r.cost for r in meter.pay(Draw(action, 1))] == [later + 20]
    each = Action(rates=Rates(1, 2, cached_input=0.25, request=7, prompt_once=False))
    meter = Meter(samples, 0, {"": np.array([3, 2, 1, 0])})
    assert [r.cost for r in meter.pay(Draw(each, 3))] == [first + 20, later + 20, later + 20]
    np.testing.assert_allclose(samples.table([Vote(3, rates=rates)], shrink=False).cost, [first + 60])
    np.testing.assert_allclose(samples.table([Vote(3, rates=each.rates)], shrink=False).cost, [first + 2 * later + 60])


def folder(path, requests, seconds=None, **arm):
    """Write a run folder: per question, requests as (what each of its samples pays for it, how many samples)."""
    questions = [{"id": f"q{i}", "question": "2 + 2", "gold": "4"} for i in range(len(requests))]
    store = Store.create(path, {"arms": [{"arm": "a", "model": "m", "grader": "numeric", **arm}]}, questions)
    for i, asked in enumerate(requests):
        number = 0
        for share, choices in asked:
            for place in range(choices):
                store.append({
                    "id": f"q{i}", "sample": number, "params": "p", "arm": "a", "model": "m", "answer": "4",
                    "correct": True, "choice": place, "choices": choices, "request_cost": share,
                    "cost": (share or 0.0) + 2.0, "seconds": seconds and seconds * (i + 1),
                })  # fmt: skip
                number += 1
    store.close()
    return str(path)


def test_run_folders_tell_prompts_from_answers(tmp_path):
    requests = [[(3.0, 2), (1.0, 1)], [(4.0, 2), (2.0, 1)]]
    found = load_run(folder(tmp_path / "run", requests, rates={"input": 1.0, "output": 1.0, "prompt_once": True}))
    [arm] = found.arms.values()
    np.testing.assert_allclose(arm["cost"], 2.0)
    assert arm["round_cost"].tolist() == [6, 8]  # both samples of the first request pay a half
    assert arm["later_round_cost"].tolist() == [1, 2]
    samples = Samples.load(tmp_path / "run")
    assert replay(FixedK(2), samples).spend.tolist() == [10, 12]


def test_samples_of_requests_of_their_own_share_nothing(tmp_path):
    requests = [[(3.0, 1), (1.0, 1), (1.0, 1)], [(4.0, 1), (2.0, 1), (2.0, 1)]]
    samples = Samples.load(folder(tmp_path / "run", requests, rates={"input": 1.0, "output": 1.0}))
    assert replay(FixedK(3), samples, orders=3).spend.tolist() == [3 + 1 + 1 + 6, 4 + 2 + 2 + 6]  # in any order


def test_requests_of_several_samples_may_pay_a_prompt_for_each(tmp_path):
    path = folder(tmp_path / "run", [[(3.0, 2)], [(4.0, 2)]], rates={"input": 1.0, "output": 1.0, "prompt_once": False})
    assert replay(FixedK(2), Samples.load(path), orders=2).spend.tolist() == [2 * 3 + 4, 2 * 4 + 4]


def test_folders_without_prices_of_requests_cost_what_they_did(tmp_path):
    path = folder(tmp_path / "run", [[(3.0, 1), (None, 1)], [(3.0, 1), (1.0, 1)]])
    samples = Samples.load(path)
    assert samples.round_cost is None
    np.testing.assert_allclose(samples.cost, [[5, 2], [5, 3]])


def test_a_second_has_a_price(tmp_path):
    path = folder(tmp_path / "run", [[(3.0, 2)], [(4.0, 2)]], seconds=2.0)
    plain, timed = Samples.load(path), Samples.load(path, per_second=0.5)
    np.testing.assert_allclose(timed.round_cost, plain.round_cost + np.array([1.0, 2.0]))
    np.testing.assert_allclose(timed.later_round_cost, plain.later_round_cost + np.array([1.0, 2.0]))
    np.testing.assert_array_equal(timed.cost, plain.cost)
    untimed = folder(tmp_path / "untimed", [[(3.0, 2)], [(4.0, 2)]])
    with pytest.raises(InputError, match="per_second is given, but it was not recorded how long requests of 'm' took"):
        Samples.load(untimed, per_second=0.5)
    with pytest.raises(InputError, match="per_second is -1; expected a cost per second, at least 0"):
        Samples.load(path, per_second=-1)


def test_compare_charges_every_policy_for_its_draws():
    rng = np.random.default_rng(0)
    codes = np.where(rng.random((60, 8)) < rng.uniform(0.3, 1, (60, 1)), 0, rng.integers(1, 4, (60, 8)))
    plain, drawing = Samples(codes), Samples(codes, round_cost=2.0)
    found = [
        tcalloc.compare(samples, policies=["margin + cap"], budgets=[budget], folds=2)
        for samples, budget in ((plain, 5.0), (drawing, 7.0))
    ]
    drawn = np.array([name != "nothing" for name in found[0].actions])
    np.testing.assert_allclose(found[1].action_spend, found[0].action_spend + 2.0 * drawn)
    # Rounds have a price now, so rules that stop between draws gain less over votes that are drawn at once.
    gains = [next(s.gain[0] for s in one.standings if s.name == "margin + cap") for one in found]
    assert gains[1] < min(0.0, gains[0]) - 0.005

"""What a draw costs besides its samples, in tables, in replays and from run folders."""

import numpy as np
import pytest

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
        ({"round_cost": -1}, "round_cost.* is -1.0; allowed are finite numbers, at least 0"),
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


def folder(path, requests, **arm):
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
                    "cost": (share or 0.0) + 2.0,
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

"""Which policy is recommended: one default among those that are level, for every seed and unit."""

import html
import math
from dataclasses import replace

import numpy as np
import pytest
from comparisons import MIXTURE, curve, made, replaced, with_standings

from tcalloc import Samples, compare
from tcalloc.datasets import load_recorded
from tcalloc.evaluate import statistics
from tcalloc.evaluate.conclusions.choice import by_construction, chosen, leaders
from tcalloc.evaluate.conclusions.headline import headline, saving
from tcalloc.evaluate.contestants import COUNTING, NAMES
from tcalloc.evaluate.report import render
from tcalloc.evaluate.thresholds import MARGIN
from tcalloc.learn.registry import PREFERENCE, REFERENCE, SUCCESS_STOP

RULES = ["AC Beta", "AC Dirichlet", "ESC", "SPRT", "margin + cap"]


def level(names, **more):
    """Policies whose curves are the same; which one leads is luck."""
    return made([(name, "policy", lambda s: curve(s, half=1.2), {}) for name in names], **more)


def leading(result):
    return next(one.name for one in result.standings if one.kind == "policy")


# ---------------------------------------------------------------------------------------------- the default


def test_every_policy_has_its_place():
    baselines = {"fixed k", REFERENCE, "random", "prompt length", "oracle, held out", "hindsight bound"}
    assert sorted(PREFERENCE) == sorted(set(NAMES) - baselines)
    assert len(set(PREFERENCE)) == len(PREFERENCE)
    assert set(COUNTING) <= set(PREFERENCE)


@pytest.mark.parametrize("order", [["ESC", "AC Beta", "margin + cap"], ["margin + cap", "ESC", "AC Beta"]])
def test_of_policies_that_are_level_the_default_is_recommended(order):
    result = level(order)
    assert chosen(result).name == "margin + cap"
    advice = result.recommend()
    assert [pick.policy for pick in advice.picks] == ["margin + cap"] * 4
    assert set(advice.picks[0].level) == {"ESC", "AC Beta"}
    if leading(result) != "margin + cap":
        assert "Among such policies one default is recommended" in " ".join(advice.reasons)


def test_the_default_need_not_be_shown_alone():
    def unsure(one):
        return replaced(one, p=one.p * 0 + 0.06) if one.name == "margin + cap" else one

    advice = with_standings(level(["AC Beta", "margin + cap"]), unsure).recommend()
    assert advice.policy == "margin + cap"
    assert advice.shown
    text = " ".join(str(advice).split())
    assert text.startswith(
        "Use margin + cap. On these 400 questions its own gain over the best fixed mixture is not shown"
    )
    assert "that of AC Beta is. No test here shows a difference between them" in text
    nobody = with_standings(level(["AC Beta", "margin + cap"]), lambda one: replaced(one, p=one.p * 0 + 0.06))
    assert nobody.recommend().policy == MIXTURE


def test_a_default_that_gains_nothing_is_none():
    nothing = ("Sequential", "policy", lambda s: curve(s, half=3.0), {})
    gaining = ("AC Beta", "policy", lambda s: curve(s, half=2.0), {})
    assert made([nothing, gaining]).recommend().policy == "AC Beta"


@pytest.mark.parametrize(("more", "expected"), [(0.03, "kNN"), (0.001, "Sequential")])
def test_another_policy_is_recommended_only_if_it_is_better_by_more_than_the_margin(more, expected):
    usual = ("Sequential", "policy", lambda s: curve(s, half=1.2), {})
    other = ("kNN", "policy", lambda s: curve(s, half=1.2) + more, {})
    assert MARGIN == 0.001
    assert chosen(made([usual, other], n=20_000)).name == expected


def test_the_users_own_is_recommended_only_if_it_is_better_than_the_default():
    usual = ("AC Beta", "policy", lambda s: curve(s, half=1.2), {})
    for more, expected in ((0.0, "AC Beta"), (0.03, "mine")):
        advice = made([usual, ("mine", "own", lambda s, more=more: curve(s, half=1.2) + more, {})]).recommend()
        assert advice.policy == expected
        assert bool(advice.command()) == (expected == "AC Beta")


def test_seeds_and_units_do_not_change_the_recommendation():
    rng = np.random.default_rng(5)
    n = 300
    answers = np.where(rng.random((n, 10)) < rng.beta(1.2, 1, (n, 1)), 0, rng.integers(1, 4, (n, 10)))
    cost = rng.lognormal(0, 0.4, (n, 10))
    found, leads = set(), set()
    for seed in range(3):
        for unit in (1.0, 1e-3):
            budgets = np.array([2.0, 4.0]) * cost.mean() * unit
            result = compare(Samples(answers, cost=cost * unit), RULES, budgets, random_state=seed, orders=5)
            found.add(result.recommend().policy)
            leads.add(leading(result))
    assert len(leads) > 1  # the highest mean would change with the seed
    assert found == {"margin + cap"}


def test_seeds_do_not_change_the_recommendation_on_recorded_answers():
    recorded = load_recorded()
    samples = Samples(recorded.answers["qwen25_0p5b"][:, :12])
    found = [compare(samples, RULES, [1.5, 3.0], random_state=seed, orders=6).recommend() for seed in range(3)]
    assert len({(advice.policy, advice.picks[0].policy) for advice in found}) == 1


# ---------------------------------------------------------------------------------------------- with a verifier


@pytest.fixture(scope="module")
def puzzles():
    rng = np.random.default_rng(1)
    samples = Samples(correct=rng.random((100, 12)) < rng.beta(0.6, 1.2, (100, 1)))
    return compare(samples, ["fixed k", SUCCESS_STOP], [1.1, 4.0], verifier=True, orders=12)


def test_stopping_at_the_first_success_needs_no_test(puzzles):
    unsure = with_standings(puzzles, lambda one: replaced(one, p=one.p * 0 + 1.0, gain_low=one.gain_low - 1))
    for result in (puzzles, unsure):
        assert by_construction(result, result[SUCCESS_STOP])
        advice = result.recommend()
        assert advice.policy == SUCCESS_STOP
        assert [pick.policy for pick in advice.picks] == [SUCCESS_STOP] * 2
        assert advice.untested
        assert "It needs no test" in " ".join(str(advice).split())
    assert not unsure.recommend().shown
    assert replace(unsure, verifier=False).recommend().policy == MIXTURE


def test_every_first_sentence_says_that_there_is_a_verifier(puzzles):
    said = "with a verifier that recognises right answers"
    assert f"On your 100 questions, {said}, stopping at the first success" in headline(puzzles)[0]
    assert str(puzzles).startswith(f"100 questions, {said}. Each is scored")
    assert str(puzzles.recommend()).startswith("With a verifier that recognises right answers, use stopping at")
    page = render(puzzles)
    assert said in page[: page.index("</header>")] if "</header>" in page else said in page
    for text in (str(made()), str(made().recommend()), " ".join(headline(made()))):
        assert "verifier" not in text


def test_headline_and_box_of_the_report_name_the_same_policy():
    usual = ("Sequential", "policy", lambda s: curve(s, half=1.2), {})
    cheaper = ("AC Beta", "policy", lambda s: curve(s, half=1.19), {})
    result = made([usual, cheaper])
    assert saving(result).policy == result.recommend().policy == "Sequential"
    assert "(Sequential)" in headline(result)[0]


# ---------------------------------------------------------------------------------------------- the command


def test_the_recommendation_ends_with_the_command_that_fits_it(puzzles):
    advice = level(["AC Beta"]).recommend()
    assert str(advice).split("\n")[-1].strip() == advice.command()
    assert advice.command("my runs/a/") == (
        f'tcalloc fit "my runs/a/" --policy "AC Beta" --budget {advice.fits[3]} --out policy/'
    )
    assert "--verifier" in puzzles.recommend().command()
    none = made([("kNN", "policy", lambda s: curve(s, half=3.0), {})])
    assert f'--policy "{MIXTURE}"' in none.recommend().command()
    assert advice.command() in render(level(["AC Beta"])).replace("&quot;", '"').replace("&#34;", '"')


def test_a_table_of_expectations_has_no_run_to_fit():
    advice = level(["kNN"], data="table", from_table=True).recommend()
    assert advice.command() == ""
    assert "To fit it, in Python:" in str(advice)
    page = render(level(["kNN"], data="table", from_table=True))
    assert "entry_of(&#39;kNN&#39;)" in page
    # Its lines are those of the text, as they can be pasted.
    shown = html.unescape(page.partition("<pre><code>")[2].partition("</code></pre>")[0])
    assert shown.strip() == str(advice).partition("To fit it, in Python:")[2].strip()
    # Of a table of single outcomes it said "tcalloc fit run/", a folder that does not exist.
    assert level(["kNN"], data="single answers", from_table=True).recommend().command() == ""


def test_the_command_to_fit_names_the_unit_and_is_one_that_fit_accepts():
    assert level(["kNN"], unit="usd").recommend().command().endswith("--unit usd --out policy/")
    assert "--unit" not in level(["kNN"], unit="cost").recommend().command()
    few = level(["kNN"], questions=19).recommend()
    assert few.command() == ""
    assert "tcalloc fit needs at least 20 questions, and there are 19." in str(few)
    assert level(["kNN"], questions=20).recommend().command()


# ---------------------------------------------------------------------------------------------- savings


def test_a_saving_carries_its_interval():
    rng = np.random.default_rng(0)
    n = 300
    answers = np.where(rng.random((n, 16)) < rng.beta(1.2, 1, (n, 1)), 0, rng.integers(1, 4, (n, 16)))
    result = compare(Samples(answers), ["ESC", "margin + cap"], [2.0, 4.0, 8.0], orders=16)
    found = saving(result)
    assert found.policy == result.recommend().policy
    assert 0 < found.low < found.share < found.high < 1
    assert found.share == pytest.approx(1 - found.spend / found.action_spend)
    assert (
        f"(saving {100 * found.share:.0f} %, 95 % interval {100 * found.low:.0f} to {100 * found.high:.0f} %)"
        in (headline(result)[0])
    )
    unsure = with_standings(result, lambda one: replaced(one, saved_low=one.saved_low - 1))
    assert saving(unsure) is None


def test_the_interval_of_a_saving_covers():
    """A policy that reaches 0.5 + 0.1·s for s, and an action of accuracy 0.7 for 4: half is saved."""
    spend = np.linspace(1, 3, 9)
    inside = 0
    for run in range(100):
        rng = np.random.default_rng(run)
        shared = rng.normal(0, 0.3, 150)
        curves = (0.5 + 0.1 * spend)[:, None] + shared + rng.normal(0, 0.2, 150)
        action = 0.7 + shared + rng.normal(0, 0.2, 150)
        cost = 4 * rng.lognormal(0, 0.3, 150) / math.exp(0.045)
        means = statistics.bootstrap(np.vstack([curves, action, cost]), run)
        share, low, high = statistics.saved(
            spend, curves.mean(axis=1), means[:, :9], (action.mean(), cost.mean()), (means[:, 9], means[:, 10]), 1.0
        )
        assert math.isnan(share) or math.isnan(low) or low <= share <= high
        inside += (math.isnan(low) or low <= 0.5) and high >= 0.5
    assert 89 <= inside <= 100


def test_what_is_not_reached_saves_nothing():
    spend, curve_ = np.array([1.0, 2.0]), np.array([0.5, 0.6])
    means = np.tile(curve_, (10, 1))
    action = np.full(10, 0.7), np.full(10, 4.0)
    assert all(math.isnan(one) for one in statistics.saved(spend, curve_, means, (0.7, 4.0), action, 1.0))
    some = means + np.r_[np.full(5, 0.2), np.zeros(5)][:, None]
    share, low, high = statistics.saved(spend, curve_ + 0.2, some, (0.7, 4.0), action, 1.0)
    assert share == high == 0.75
    assert math.isnan(low)


def test_leaders_stand_in_the_order_of_preference():
    assert [one.name for one in leaders(level(["ESC", "AC Beta", "Sequential"]))[0]] == ["Sequential", "AC Beta", "ESC"]

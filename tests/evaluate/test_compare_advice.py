"""What is recommended follows from what is shown, and says how sure that is."""

import json
import math

import numpy as np
import pytest
from comparisons import MIXTURE, curve, made, replaced, with_standings

import tcalloc
from tcalloc import Samples
from tcalloc.evaluate import phrases
from tcalloc.evaluate.caveats import _of_answers
from tcalloc.evaluate.conclusions.choice import difference
from tcalloc.evaluate.conclusions.headline import headline, saving, spend_for
from tcalloc.evaluate.conclusions.recommend import recommend
from tcalloc.evaluate.problem import Problem

# Of half an interval: so far from 0 is what is found to be above 0 in four of five cases.
POWER = (1.959964 + 0.841621) / 1.959964


@pytest.fixture(scope="module")
def result():
    return made()


def words(advice):
    """What it says, on one line."""
    return " ".join(str(advice).split())


def level(**more):
    """A comparison in which a policy gains a little, less than chance."""
    return made([("kNN", "policy", lambda s: curve(s, half=3.0) + 0.001, {})], n=100, **more)


def test_the_best_policy_that_is_shown_is_recommended(result):
    advice = result.recommend()
    assert advice.policy == "Sequential"
    assert advice.shown
    assert [pick.policy for pick in advice.picks] == ["Sequential"] * 4
    text = words(advice)
    assert text.startswith("Use Sequential. On these 400 questions it is shown to be better")
    assert "at all budgets" in text
    assert "p < 0.001 (corrected)" in text


def test_figures_of_a_pick_are_the_standings(result):
    standing = result["Sequential"]
    for b, pick in enumerate(result.recommend().picks):
        assert (pick.gain, pick.low, pick.high, pick.p) == (
            standing.gain[b],
            standing.gain_low[b],
            standing.gain_high[b],
            standing.p[b],
        )
        assert pick.questions is None


def test_where_nothing_is_shown_the_mixture_is_recommended_and_it_says_so():
    advice = recommend(level())
    assert not advice.shown
    assert advice.policy == MIXTURE
    assert "no policy is shown to be better than the mixture" in words(advice)
    assert all(pick.policy == MIXTURE and not pick.shown for pick in advice.picks)


def test_questions_that_would_settle_it_follow_from_the_standard_error():
    result = level()
    standing = result["kNN"]
    for b, pick in enumerate(recommend(result).picks):
        half = standing.gain[b] - standing.gain_low[b]
        assert pick.candidate == "kNN"
        assert pick.questions == phrases.rounded(max(100 * (POWER * half / standing.gain[b]) ** 2, 100))
        assert pick.questions_corrected >= pick.questions
    assert f"{recommend(result).picks[0].questions:,} questions like these" in words(recommend(result))


def test_with_so_many_questions_the_interval_would_exclude_zero():
    few = level(seed=3)
    pick = recommend(few).picks[0]
    many = made([("kNN", "policy", lambda s: curve(s, half=3.0) + 0.001, {})], n=2 * pick.questions, seed=4)
    assert many["kNN"].gain_low[0] > 0


def test_so_many_questions_show_it_in_four_of_five_cases():
    result = level()
    gaps = result["kNN"].question_accuracy[0] - result[MIXTURE].question_accuracy[0]
    needed = recommend(result).picks[0].questions
    drawn = np.random.default_rng(0).normal(gaps.mean(), gaps.std(ddof=1), (400, needed))
    shown = drawn.mean(axis=1) - 1.96 * drawn.std(axis=1, ddof=1) / math.sqrt(needed) > 0
    assert 0.73 < shown.mean() < 0.87
    assert "would show it in four of five cases" in words(recommend(result))


def test_a_claim_that_was_kept_is_not_said_to_be_off():
    def kept(one):
        return replaced(one, claimed=one.accuracy - 1e-5)

    said = words(recommend(with_standings(made(), kept)))
    assert "claimed, from training questions alone, was exact to a tenth of a point" in said
    assert "at most 0.0" not in said


def test_how_many_samples_there_are_is_said_of_those_that_have_so_many():
    answers = np.random.default_rng(0).integers(0, 3, (30, 8))
    ragged = Samples(np.where(np.arange(8) < np.where(np.arange(30) < 3, 4, 8)[:, None], answers, -2))
    all_alike, some = (_of_answers(Problem.of(data))[-1] for data in (Samples(answers), ragged))
    assert all_alike.startswith("Each question has only 8 samples.")
    assert some.startswith("Some questions have only 4 samples.")


def test_a_gain_too_small_to_matter_is_not_recommended_however_sure():
    sure = made([("kNN", "policy", lambda s: curve(s, half=3.0) + 0.0003, {})], n=100_000)
    assert (sure["kNN"].p < 0.05).any()
    assert not recommend(sure).shown


@pytest.mark.parametrize("mark", ["suspicious: better than the bound", "not trained here: it may have seen them"])
def test_who_may_have_seen_the_answers_is_not_recommended(mark):
    honest = ("AC Beta", "policy", lambda s: curve(s, half=1.5), {})
    cheat = ("mine", "own", lambda s: curve(s, half=0.5), {"marks": (mark,)})
    advice = recommend(made([cheat, honest]))
    assert advice.policy == "AC Beta"
    assert not any("mine" in pick.level for pick in advice.picks)
    assert f"mine is never recommended: {mark}" in words(advice)


def test_what_must_be_checked_is_recommended_and_said_once():
    mark = "check X: it gains much; it is right if X is known before anything is drawn"
    said = (
        "kNN reads X. Its figures hold only if X is known before anything is drawn and was not made from the answers."
    )
    best = ("kNN", "policy", lambda s: curve(s, half=1.0), {"marks": (mark,)})
    other = ("Sequential", "policy", lambda s: curve(s, half=1.2), {})
    advice = recommend(made([best, other]))
    assert advice.policy == "kNN"
    assert [pick.check for pick in advice.picks] == ["X"] * 4
    assert words(advice).count(said) == 1
    assert said in advice.sentences()[-1]  # so that the report says it, too


def test_who_else_may_read_x_is_told_where_one_policy_calls_for_a_check():
    mark = "check X: it gains much; it is right if X is known before anything is drawn"
    best = ("cascade", "policy", lambda s: curve(s, half=1.0), {})
    advice = recommend(made([best, ("kNN", "policy", lambda s: curve(s, half=1.2), {"marks": (mark,)})]))
    assert advice.policy == "cascade"
    assert {pick.check for pick in advice.picks} == {""}
    assert (
        "With X, kNN gains so much that X must be checked: the figures of policies that read X hold only if"
        in words(advice)
    )
    assert "must be checked" not in words(recommend(made([best])))


def test_policies_that_questions_do_not_tell_apart_are_named():
    same = [(name, "policy", lambda s: curve(s, half=1.2), {}) for name in ("Sequential", "SPRT")]
    for pick in recommend(made(same)).picks:
        assert pick.level == ("SPRT",)
    apart = [("Sequential", "policy", lambda s: curve(s, half=1.2), {}), ("SPRT", "policy", lambda s: curve(s), {})]
    for pick in recommend(made(apart)).picks:
        assert pick.level == ()


def test_another_policy_is_picked_where_it_is_shown_to_be_better():
    cheap = ("cascade", "policy", lambda s: curve(s, half=1.2) + 0.05 * (np.asarray(s) < 1.8), {})
    steady = ("Sequential", "policy", lambda s: curve(s, half=1.0), {})
    advice = recommend(made([steady, cheap]))
    assert [pick.policy for pick in advice.picks] == ["cascade", "Sequential", "Sequential", "Sequential"]
    assert "or what is named below" in words(advice)


def test_who_cannot_spend_so_little_is_not_picked():
    def dearer(one):
        return replaced(one, spend=one.spend + 1, reached=one.reached & False) if one.name == "Sequential" else one

    assert recommend(with_standings(made(), dearer)).policy == "AC Beta"


def test_difference_is_paired():
    result = made()
    one, other = result["Sequential"], result["AC Beta"]
    mean, error = difference(one, other, 1)
    assert mean == pytest.approx(one.accuracy[1] - other.accuracy[1])
    # The questions' common luck, .3 each, cancels; what is left is .02 on both sides.
    assert error == pytest.approx(0.02 * math.sqrt(2 / 400), rel=0.2)


def test_advice_as_json_holds_no_nan():
    for result in (made(), level()):
        json.dumps(recommend(result).to_dict(), allow_nan=False)


def test_single_answers_call_for_samples():
    advice = recommend(made(data="single answers", votes=(), vote_accuracy=np.zeros(0)))
    assert any("Several samples per question" in sentence for sentence in advice.settles)
    assert any("20 samples for every question are" in sentence for sentence in recommend(made()).settles)


# ---------------------------------------------------------------------------------------------- the first sentence


def test_headline_names_the_accuracy_of_the_dearest_sensible_action_and_its_price(result):
    found = saving(result)
    # half of the way up for 3: a vote of 10 has nine tenths of what 20 gain; only 4 may be spent.
    at = found.accuracy
    assert found.policy == "Sequential"
    assert curve(found.spend, half=1.2) == pytest.approx(at, abs=0.002)
    assert curve(found.mixture_spend, half=3.0) == pytest.approx(at, abs=0.002)
    assert found.spend < 0.98 * min(found.action_spend, found.mixture_spend)
    assert found.spend <= 4
    first = headline(result)[0]
    assert first == (
        f"On your 400 questions, stopping early (Sequential) reaches {phrases.percent(at)}, the accuracy of "
        f"{found.action} on every question, for {phrases.about_price(found.spend, result.unit)}. That is "
        f"{phrases.saved(found.action_spend - found.spend, result.unit)} (saving {100 * found.share:.0f} %)."
    )


def test_headline_takes_no_policy_whose_gain_is_not_shown():
    def unsure(one):
        unknown = {"p": one.p * 0 + 0.3, "gain": one.gain * 0 - 0.01, "gain_low": one.gain * 0 - 0.05}
        return replaced(one, **unknown) if one.name == "Sequential" else one

    assert saving(with_standings(made(), unsure)).policy == "AC Beta"
    none = with_standings(made(), lambda one: replaced(one, p=one.p * 0 + 0.3))
    assert saving(none) is None
    assert headline(none)[0].endswith(
        "no policy is shown to be better than the best fixed mixture that spends the same."
    )


def test_headline_stays_within_the_budgets():
    result = made(budgets=(1.2, 1.5))
    assert saving(result).spend <= 1.5 * 1.005


def test_headline_without_a_saving_says_the_gain():
    """A policy that is better than the mixture, but no single action is as good as what it reaches."""
    alone = made(votes=(1,), vote_accuracy=np.array([0.6]))
    assert saving(alone) is None
    assert "points over the best fixed mixture" in headline(alone)[0]


def test_spend_for_is_the_inverse_of_the_curve(result):
    standing = result["Sequential"]
    span = spend_for(standing, 0.85)
    assert np.interp(span.spend, standing.curve_spend, standing.curve_accuracy) == pytest.approx(0.85)
    assert span.low < span.spend < span.high
    assert math.isnan(spend_for(standing, 0.999).spend)
    assert spend_for(standing, 0.1).at_least


@pytest.mark.parametrize(
    ("value", "expected"), [(3.2, 4), (10, 10), (1318, 1400), (1400, 1400), (1401, 1500), (99_001, 100_000)]
)
def test_counts_are_rounded_up(value, expected):
    assert phrases.rounded(value) == expected


# ---------------------------------------------------------------------------------------------- of real comparisons


def test_advice_of_a_real_comparison():
    rng = np.random.default_rng(0)
    chance = rng.random((200, 1))
    samples = Samples(np.where(rng.random((200, 16)) < chance, 0, rng.integers(1, 5, (200, 16))))
    result = tcalloc.compare(samples, policies=["ESC", "AC Beta"], budgets=[3, 5], orders=16)
    advice = result.recommend()
    assert advice.policy in ("ESC", "AC Beta")
    assert advice.shown
    assert advice.picks[0].gain == result[advice.picks[0].policy].gain[0]


@pytest.mark.parametrize("answers", [np.zeros((12, 6), int), np.ones((12, 6), int)], ids=["right", "wrong"])
def test_advice_where_there_is_nothing_to_gain(answers):
    advice = tcalloc.compare(Samples(answers), policies=["ESC", "AC Beta"]).recommend()
    assert not advice.shown
    assert "nan" not in str(advice).lower()


def test_a_lopsided_interval_is_settled_by_its_lower_end():
    """On few questions the interval's middle is not the gain: the number must still exceed what is there."""

    def lopsided(one):
        if one.name != "kNN":
            return one
        gain = np.full(4, 0.014)
        return replaced(one, gain=gain, gain_low=gain - 0.016, gain_high=gain + 0.008, p=gain * 0 + 1)

    pick = recommend(with_standings(level(), lopsided)).picks[0]
    assert pick.questions == phrases.rounded(100 * (POWER * 16 / 14) ** 2) > 100


def test_an_interval_without_zero_is_not_enough_if_the_corrected_p_is_not():
    def unsure(one):
        if one.name != "kNN":
            return one
        gain = np.full(4, 0.01)
        return replaced(one, gain=gain, gain_low=gain / 2, gain_high=2 * gain, p=gain * 0 + 0.2)

    advice = recommend(with_standings(level(), unsure))
    assert not advice.shown
    assert "the interval excludes 0. With the correction for all comparisons, about" in words(advice)

"""Comparing and fitting without gold answers: halves judge each other, and nothing is called accuracy."""

import html
import json
import re

import numpy as np
import pytest

import tcalloc
from tcalloc.errors import InputError
from tcalloc.evaluate.gold_check import answers_needed, check_by_gold
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.recipe import Recipe
from tcalloc.evaluate.run_folds import Plan
from tcalloc.learn.registry import entry_of
from tcalloc.measure import Samples, Vote

# What is not known without gold answers may not be said.
FORBIDDEN = re.compile(r"accura\w*|\bright\b|\bcorrect\b|\bwrong\b", re.IGNORECASE)
REFERENCE = "The reference of a question is the most frequent answer in 4 other samples."


def drawn(n=60, size=8, seed=0):
    """Return codes of questions that are easy or hard; 0 is the gold answer."""
    rng = np.random.default_rng(seed)
    chance = np.where(np.arange(n) % 2, 0.5, 0.95)[:, None]
    return np.where(rng.random((n, size)) < chance, 0, rng.integers(1, 5, (n, size)))


TEXTS = [f"{'Prove the lemma' if i % 2 else 'Add'} {i}" for i in range(60)]


@pytest.fixture(scope="module")
def compared():
    return tcalloc.compare(Samples(drawn()), ["margin + cap", "fixed k"], [1.5, 2.5], labels="agreement")


def seen(page):
    """Return the words of a page."""
    without = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]*>", " ", without))


def test_a_comparison_says_agreement(compared, tmp_path):
    said = [str(compared), str(compared.recommend())]
    compared.report(tmp_path / "page.html")
    said.append(seen((tmp_path / "page.html").read_text(encoding="utf-8")))
    axes = compared.plot()
    said += [axes.get_ylabel(), axes.get_xlabel()]
    for text in said:
        assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    assert str(compared).startswith("No gold answers are used. The reference")
    assert REFERENCE in " ".join(said[0].split())
    assert REFERENCE in " ".join(said[2].split())
    assert compared.to_dict()["labels"]["measures"] == "agreement with the reference"
    assert "--labels agreement" in compared.recommend().command()
    assert json.dumps(compared.recommend().to_dict())
    by_gold = tcalloc.compare(Samples(drawn()), ["fixed k"], [1.5])
    assert "accuracy in %" in str(by_gold)
    assert "--labels" not in by_gold.recommend().command()


def test_a_question_is_held_out_with_all_its_halves(compared):
    """A figure is the mean over the halves; a copy of a question never trains what is scored on another copy."""
    problem = Problem.of(Samples(drawn()), labels="agreement", X=TEXTS)
    assert (problem.questions, problem.copies, len(problem)) == (60, 4, 240)
    assert problem.rows.texts["text"] == TEXTS * 4
    plan = Plan(problem.questions, 5, 1, 0, copies=problem.copies)
    assert plan.rows(np.array([3, 7])).tolist() == [3, 7, 63, 67, 123, 127, 183, 187]
    # A single sample agrees with the reference of the other half as the table of halves says.
    table = Samples(drawn()).labelled("agreement").table([Vote(1), Vote(3)], shrink=False)
    place = [compared.actions.index(name) for name in ("vote1", "vote3")]
    assert np.abs(compared.action_accuracy[place] - table.acc.mean(axis=0)).max() < 0.02
    assert max(compared.votes) == 4
    # What a policy reaches on a question is the mean over all four of its copies.
    single = compared.actions.index("vote1")
    expected = problem.per_question(problem.fixed_accuracy)[:, single]
    assert compared["fixed k"].spend[0] == 1.0
    assert np.abs(compared["fixed k"].question_accuracy[0] - expected).max() < 1e-12


def test_agreement_is_that_of_fresh_samples(compared):
    """Eight samples a question claim what four fresh ones reach against four other ones."""
    truth = []
    for seed in range(1, 25):
        codes = drawn(n=240, seed=seed)
        both = Samples(codes[:, :4]).labelled("agreement"), Samples(codes[:, 4:]).labelled("agreement")
        raw = [np.array([np.bincount(row).argmax() for row in codes[:, part]]) for part in (slice(4), slice(4, 8))]
        assert len(both[0]) == len(codes)
        truth.append((codes[:, 0] == raw[1]).mean())
    single = compared.action_accuracy[compared.actions.index("vote1")]
    assert abs(single - np.mean(truth)) < 0.06
    inflated = (Samples(drawn()).labelled("agreement").answers == 0).mean()
    assert inflated > single + 0.02


@pytest.mark.parametrize("policy", ["margin + cap", "priced"])
def test_a_fitted_policy_reports_agreement_and_remembers_its_labels(policy, tmp_path):
    report = tcalloc.fit(Samples(drawn()), 2.0, policy, X=TEXTS, labels="agreement", folds=2, out=tmp_path / "policy")
    text = str(report)
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    assert REFERENCE in " ".join(text.split())
    assert report.labels.held_out
    assert report.gold is None
    assert report.to_dict()["labels"]["samples"] == 4
    # The policy itself learned from all samples.
    assert report.policy.trained_on_.samples == 8
    loaded = tcalloc.load_policy(tmp_path / "policy")
    assert loaded.trained_on_ == report.policy.trained_on_
    assert not FORBIDDEN.search(repr(loaded))
    assert json.loads((tmp_path / "policy" / "policy.json").read_text())["trained_on"]["kind"] == "agreement"
    if policy == "margin + cap":
        assert "4 samples per question give the same answer as 4 other samples on" in " ".join(text.split())


def test_a_few_gold_answers_are_reported(tmp_path):
    codes = drawn()
    samples = Samples(codes).labelled("agreement", gold=np.arange(60) < 40)
    report = tcalloc.fit(samples, 2.0, "margin + cap", folds=2)
    found = report.gold
    assert found.questions == 40
    assert found.samples == 8
    # The vote over all samples, by the gold answers that are known.
    right = Samples(codes[:40]).table([Vote(8)], shrink=False).acc.mean()
    assert found.whole_accuracy == pytest.approx(right)
    assert found.low < found.accuracy < found.high
    assert found.difference_low <= found.difference <= found.difference_high
    text = " ".join(str(report).split())
    assert "Gold answers are known for 40 questions" in text
    assert "the same policy trained on these gold answers" in text
    few = tcalloc.fit(Samples(codes).labelled("agreement", gold=np.arange(60) < 10), 2.0, "margin + cap", folds=2)
    assert np.isnan(few.gold.difference)
    assert few.gold.to_dict()["difference"] is None
    assert "30 gold answers are needed" in str(few).replace("\n", " ")


def test_gold_answers_are_held_out_from_the_policy_they_judge():
    """A category that gives each gold question away cannot help, since its answers trained nothing."""
    codes = drawn(80)
    samples = Samples(codes).labelled("agreement", gold=np.arange(80) < 30)
    recipe = Recipe.of(entry_of("margin + cap"), samples, text=False, label=False, budget=2.0)
    seen = []

    class Spy:
        entry = recipe.entry

        def fit(self, X, some, **options):
            seen.append(some)
            return recipe.fit(X, some, **options)

    check_by_gold(Spy(), samples, None, budget=2.0, folds=3, random_state=0)
    assert len(seen[0]) == 50
    assert [len(some) for some in seen[1:]] == [20, 20, 20]
    assert all(some.labels.gold for some in seen[1:])


def test_the_number_of_gold_answers_has_the_power_it_says():
    rng = np.random.default_rng(0)
    gaps = rng.choice([-1.0, 0.0, 1.0], 4000, p=[0.05, 0.9, 0.05])
    needed = answers_needed(gaps, 0.02)
    shown = 0
    for _ in range(400):
        some = rng.choice([-1.0, 0.0, 1.0], needed, p=[0.04, 0.9, 0.06])
        shown += abs(some.mean()) > 1.96 * some.std() / np.sqrt(needed)
    assert 0.74 < shown / 400 < 0.87
    assert answers_needed(np.zeros(5)) is None


def test_a_comparison_reports_the_accuracy_on_a_few_gold_answers(compared, tmp_path):
    assert compared.gold is None  # there were none
    assert compared.to_dict()["gold"] is None
    samples = Samples(drawn()).labelled("agreement", gold=np.arange(60) < 40)
    found = tcalloc.compare(samples, ["margin + cap"], [1.5, 2.5])
    advice = found.recommend()
    assert found.gold.questions == 40
    recipe = Recipe.of(entry_of(advice.policy), samples, text=False, label=False, budget=advice.budget)
    again = check_by_gold(recipe, samples, None, budget=advice.budget, folds=5, random_state=0)
    assert found.gold == again
    said = " ".join(str(found).split())
    assert f"{advice.policy}, at a budget of {advice.budget:g}. Gold answers are known for 40 questions" in said
    assert found.to_dict()["gold"]["accuracy"] == pytest.approx(found.gold.accuracy)
    found.report(tmp_path / "page.html")
    assert "Gold answers are known for 40" in " ".join(seen((tmp_path / "page.html").read_text()).split())
    by_gold = tcalloc.compare(Samples(drawn()), ["margin + cap"], [1.5])
    assert by_gold.gold is None


def test_what_contradicts_itself_is_refused():
    samples = Samples(drawn())
    with pytest.raises(InputError, match="a reference is not known to be right"):
        tcalloc.fit(samples, 2.0, labels="agreement", verifier=True)
    with pytest.raises(InputError, match="a reference is not known to be right"):
        tcalloc.compare(samples, labels="agreement", verifier=True)
    with pytest.raises(InputError, match="so 4 are needed"):
        tcalloc.fit(Samples(drawn(size=3)), 2.0, labels="agreement")
    with pytest.raises(InputError, match="data is a table"):
        tcalloc.compare(samples.table([Vote(1), Vote(3)]), labels="agreement")


def test_a_stronger_model_gives_the_reference():
    """The teacher is no choice; a model with one answer stays one, and agrees with itself."""
    codes = drawn(n=40)
    arms = {"small": Samples(codes, cost=1.0), "large": Samples(np.zeros((40, 1), int), cost=9.0)}
    both = Samples(arms=arms)
    taught = tcalloc.compare(both, ["fixed k"], [2.0], labels="teacher:large")
    assert not any("large" in name for name in taught.actions)
    assert taught.labels.reference == "the one recorded answer of large"
    kept = tcalloc.compare(both, ["fixed k"], [2.0], labels="model:large")
    assert kept.action_accuracy[kept.actions.index("vote1 large")] == 1.0
    assert "agrees with itself by construction" in str(kept).replace("\n", " ")

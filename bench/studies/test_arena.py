"""What `python -m bench.arena` prints can be trusted: a small arena on the shipped table, and its words."""

import dataclasses
import json
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

from bench import arena
from bench.studies import arena_cases, arena_words
from bench.studies.arena_cases import Entry, entries
from tcalloc import compare

SETTINGS = arena.Settings(folds=3)
SMALL = arena.Settings(folds=3, policies=("fixed k", "AC Beta", "kNN", "random"))
BUDGETS = (1.5, 3.0)


@pytest.fixture(scope="module")
def entry() -> Entry:
    found = next(entry for entry in entries() if entry.name == "recorded qwen25_0p5b")
    return dataclasses.replace(found.take(range(0, 293, 3)), budgets=BUDGETS)


@pytest.fixture(scope="module")
def whole(entry: Entry) -> dict:
    """Everybody, on a third of the shipped table."""
    return arena.contest(entry, SETTINGS)


@pytest.fixture(scope="module")
def small(entry: Entry) -> dict:
    return arena.contest(entry, SMALL)


def named(result: dict) -> dict[str, dict]:
    return {one["name"]: one for one in result["standings"]}


def test_the_number_of_workers_changes_nothing(entry: Entry, small: dict) -> None:
    both = arena.contest(entry, SMALL, jobs=2)
    for key in ("standings", "skipped", "remarks", "budgets", "reference"):
        assert both[key] == small[key], key


def test_the_mixture_gains_exactly_nothing(whole: dict) -> None:
    mixture = named(whole)[whole["reference"]]
    assert mixture["gain"] == mixture["gain_low"] == mixture["gain_high"] == [0.0] * len(BUDGETS)


def test_everybody_takes_part_or_says_why(whole: dict) -> None:
    from tcalloc.evaluate.contestants import NAMES

    # Of one model the policy is called Sequential, of several cascade.
    assert set(named(whole)) | set(whole["skipped"]) | {"cascade"} == set(NAMES)
    assert all(why.strip() for why in whole["skipped"].values())


def test_spends_are_met_or_said(whole: dict) -> None:
    for one in whole["standings"]:
        for budget, spend, reached in zip(whole["budgets"], one["spend"], one["reached"], strict=True):
            if reached:
                assert spend == pytest.approx(budget, abs=1e-6), one["name"]
            else:
                assert spend is None or abs(spend - budget) > 1e-9, one["name"]


def test_figures_are_the_sums_of_the_questions(entry: Entry) -> None:
    asked = ["fixed k", "AC Beta", "best fixed mixture"]
    result = compare(entry.data, asked, list(BUDGETS), X=entry.x, difficulty=entry.label, folds=3)
    mixture = result["best fixed mixture"]
    for one in result.standings:
        assert one.question_accuracy.mean(axis=1) == pytest.approx(one.accuracy, nan_ok=True)
        assert one.question_spend.mean(axis=1) == pytest.approx(one.spend, nan_ok=True)
        at = one.reached & mixture.reached
        # Where both spend the same, a gain is a plain difference.
        assert one.gain[at] == pytest.approx((one.accuracy - mixture.accuracy)[at], abs=1e-6)


def test_intervals_hold_their_figures(whole: dict) -> None:
    for one in whole["standings"]:
        for b in range(len(BUDGETS)):
            if one["accuracy"][b] is not None:
                assert 0 <= one["low"][b] <= one["accuracy"][b] <= one["high"][b] <= 1, one["name"]
            if one["gain"][b] is not None:
                assert one["gain_low"][b] - 1e-12 <= one["gain"][b] <= one["gain_high"][b] + 1e-12, one["name"]


def test_bounds_are_above_the_policies(whole: dict) -> None:
    found = named(whole)
    assert [one["kind"] == "bound" for one in whole["standings"]] == sorted(
        one["kind"] == "bound" for one in whole["standings"]
    )
    for b in range(len(BUDGETS)):
        best = max(
            one["accuracy"][b]
            for one in whole["standings"]
            if one["kind"] != "bound" and one["accuracy"][b] is not None and one["spend"][b] <= BUDGETS[b] + 1e-6
        )
        assert found["hindsight bound"]["accuracy"][b] > best
        # Of those that decide before anything is drawn nobody knows as much as the oracle.
        assert found["oracle, held out"]["accuracy"][b] > found["best fixed mixture"]["accuracy"][b]


def test_the_exact_votes_stand_in_the_result(entry: Entry) -> None:
    from tcalloc.measure.votes import vote_accuracy

    result = compare(entry.data, ["fixed k"], [3.0], folds=3)
    exact = [float(vote_accuracy(entry.data.answers, k).mean()) for k in result.votes]
    assert result.vote_accuracy == pytest.approx(exact)
    # All folds agree that three samples are what 3 affords best, or that fewer are as good.
    assert float(result["fixed k"].accuracy[0]) <= max(exact[:3]) + 1e-9


# ---------------------------------------------------------------------------------------------- words and files


def made(name: str, gains: list[float], p: list[float], kind: str = "policy") -> dict:
    count = len(gains)
    return {
        "name": name,
        "kind": kind,
        "marks": [f"a mark of {name}"],
        "accuracy": [0.7 + gain for gain in gains],
        "spend": [1.5, 3.0],
        "low": [0.65 + gain for gain in gains],
        "high": [0.75 + gain for gain in gains],
        "reached": [True] * count,
        "gain": gains,
        "gain_low": [gain - 0.01 for gain in gains],
        "gain_high": [gain + 0.01 for gain in gains],
        "p": p,
        "captured": [None] * count,
        "claimed": [None] * count,
        "refit": [None] * count,
    }


@pytest.fixture
def by_hand(small: dict) -> dict:
    standings = [
        made("good", [0.0205, 0.0011], [0.001, 1.0]),
        made("best fixed mixture", [0.0, 0.0], [1.0, 1.0], "baseline"),
        made("bad", [-0.0205, -0.0001], [0.001, 1.0]),
        made("chance", [-0.06, -0.001], [None, None], "baseline"),
        made("tiny", [-0.00001, 0.0], [0.001, 1.0]),
        made("hindsight bound", [0.2, 0.2], [0.001, 0.001], "bound"),
    ]
    return small | {"standings": standings, "reference": "best fixed mixture", "skipped": {"kNN": "no texts"}}


def test_losses_are_printed_as_plainly_as_gains(by_hand: dict) -> None:
    text = arena_words.page([by_hand], "python -m bench.arena")
    assert "| good | **+2.05** [+1.05, +3.05] | +0.11 [−0.89, +1.11] |" in text
    assert "| bad | **−2.05** [−3.05, −1.05] | −0.01 [−1.01, +0.99] |" in text
    losses, gains = text.split("## Losses")[1].split("## Gains")
    assert "bad −2.05 [−3.05, −1.05] at 1.5" in losses
    assert "good" not in losses
    assert "good +2.05 [+1.05, +3.05] at 1.5" in gains.split("## Best")[0]
    # Level is level, and bounds win nothing.
    assert "| good | 1 | 1 | 0 | +1.08 | +0.11 | +2.05 | 0 |" in text
    assert "| bad | 0 | 1 | 1 | −1.03 | −2.05 | −0.01 | 0 |" in text
    # Baselines have no p: their intervals say it.
    assert "chance −6.00 [−7.00, −5.00] at 1.5" in losses
    # What is shown as nothing is nothing, however sure.
    assert "| tiny | 0 | 2 | 0 |" in text
    assert "hindsight" not in losses
    assert "hindsight" not in gains.split("## Best")[0]
    assert "- bad: a mark of bad" in text
    assert "- kNN: no part: no texts" in text
    assert by_hand["machine"] in text
    assert f"numpy {np.__version__}" in text.lower()


def test_nothing_lost_is_said(by_hand: dict) -> None:
    by_hand["standings"] = [one for one in by_hand["standings"] if one["name"] not in ("bad", "chance")]
    text = arena_words.page([by_hand], "x")
    assert "No policy is significantly below the best fixed mixture at any spend of any table." in text


def test_small_figures_have_one_sign(by_hand: dict) -> None:
    assert [arena_words.points(x) for x in (0.0, 1e-9, -1e-9, -0.0205, None)] == ["0.00", "0.00", "0.00", "−2.05", "–"]
    assert [arena_words.accuracy(x) for x in (0.91052, 1.0, 0.0, None)] == ["0.9105", "1.0000", "0.0000", "–"]


def test_an_interrupted_run_goes_on(entry: Entry, small: dict, tmp_path) -> None:
    assert arena.kept(tmp_path, entry, SMALL, False) is None
    arena.keep(tmp_path, entry, SMALL, arena.code(), small)
    assert arena.kept(tmp_path, entry, SMALL, False) == json.loads(json.dumps(small))
    # Other settings, other spends or other code are another result.
    assert arena.kept(tmp_path, entry, SETTINGS, False) is None
    assert arena.kept(tmp_path, dataclasses.replace(entry, budgets=(2.0,)), SMALL, False) is None
    arena.keep(tmp_path, entry, SMALL, "another", small)
    assert arena.kept(tmp_path, entry, SMALL, False) is None
    assert arena.kept(tmp_path, entry, SMALL, True) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["recorded_qwen25_0p5b.json"]


def test_the_command(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(arena_cases, "FEW", 40)
    # Whoever edits the package while this runs shall not disturb it.
    monkeypatch.setattr(arena, "code", lambda: "this")
    argv = ["--quick", "--table", "recorded smollm2_135m, verifier", "--jobs", "1", "--keep", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["arena", *argv])
    assert arena.main() == 0
    first = capsys.readouterr()
    assert first.out.startswith("# Every policy, every table, every spend\n")
    assert "## recorded smollm2_135m, verifier" in first.out
    assert "(kept)" not in first.err
    assert arena.main() == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "(kept)" in again.err

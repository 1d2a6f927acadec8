"""From what contestants did to their standings, and how they are run: two tiny contestants of known merit."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from compare_cases import Broken, Known, Refuses, Threshold, samples_of, stand, tiny
from comparisons import made, replaced, with_standings

from tcalloc import InputError, Samples, Table, compare
from tcalloc.evaluate import run_folds, standings, statistics
from tcalloc.evaluate.conclusions.marks import share_captured, to_check
from tcalloc.evaluate.contestants import Contestant
from tcalloc.evaluate.contestants.bounds import Halved
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.standings import measure
from tcalloc.learn.registry import REFERENCE
from tcalloc.learn.rivals import ESC

# ---------------------------------------------------------------------------------------------- standings


def test_who_knows_better_gains_what_he_should():
    found, _ = stand(tiny(400), 400, [1.25, 1.5])
    best, mixture = found
    assert (best.name, mixture.name) == ("threshold", REFERENCE)
    # A quarter of the questions, all helped, against a quarter of which half are: .1 of .4 · .25.
    assert best.gain[0] == pytest.approx(0.05, abs=0.01)
    assert (best.gain_low > 0).all()
    assert (best.p < 0.001).all()
    assert (best.low < best.accuracy).all()
    assert (best.accuracy < best.high).all()
    assert best.claimed == pytest.approx([0.525, 0.55], abs=0.005)
    assert mixture.gain.tolist() == mixture.gain_low.tolist() == mixture.gain_high.tolist() == [0.0, 0.0]
    assert np.isnan(mixture.p).all()
    assert np.isnan(mixture.refit).all()
    assert best.question_accuracy.mean(axis=1) == pytest.approx(best.accuracy)
    assert best.curve_spend[0] == pytest.approx(1.0, abs=0.01)
    assert best.curve_spend[-1] == pytest.approx(2.0, abs=0.01)
    assert (np.diff(best.curve_spend) > 0).all()
    assert (best.curve_low <= best.curve_accuracy).all()
    assert (best.curve_accuracy <= best.curve_high).all()


def test_gain_where_a_spend_is_not_reached_is_over_the_mixture_at_what_it_spends():
    n = 100
    contestants = tiny(n)
    only = contestants[1].fit.accuracy[:, :1]
    contestants.append(Contestant("first", "policy", Known(np.ones((1, n)), only.T.copy())))
    found, _ = stand(contestants, n, [0.5, 1.5, 9.0])
    first = next(standing for standing in found if standing.name == "first")
    assert first.reached.tolist() == [False] * 3
    assert first.spend.tolist() == [1.0] * 3
    assert first.gain.tolist() == [0.0] * 3
    mixture = next(standing for standing in found if standing.name == REFERENCE)
    assert mixture.reached.tolist() == [False, True, False]
    assert mixture.spend == pytest.approx([1.0, 1.5, 2.0])


def test_who_cannot_spend_as_little_does_not_rise_by_it():
    n = 100
    contestants = tiny(n)
    dear = contestants[1].fit.accuracy[:, 1:] - 0.01
    contestants.append(Contestant("dear", "policy", Known(np.full((1, n), 2.0), dear.T.copy())))
    found, _ = stand(contestants, n, [1.0])
    by_name = {standing.name: standing for standing in found}
    assert by_name["dear"].accuracy[0] > by_name[REFERENCE].accuracy[0] + 0.1
    assert by_name["dear"].gain == pytest.approx([-0.01])
    assert found[-1].name == "dear"


def test_bounds_stand_last_and_are_not_tested():
    n = 60
    contestants = tiny(n)
    contestants.insert(0, replace(contestants[1], name="hindsight bound", kind="bound"))
    found, _ = stand(contestants, n, [1.5])
    assert found[-1].name == "hindsight bound"
    assert np.isnan(found[-1].p).all()


def test_better_than_hindsight_is_suspicious():
    n = 60
    contestants = tiny(n)
    contestants.append(replace(contestants[0], name="hindsight bound", kind="bound"))
    found, _ = stand(contestants, n, [1.5])
    marks = {standing.name: standing.marks for standing in found}
    assert any("suspicious" in mark for mark in marks["threshold"])
    assert not marks[REFERENCE]


def test_who_decides_beforehand_and_beats_the_oracle_must_be_checked():
    n = 600
    contestants = tiny(n)
    x, accuracy = contestants[1].fit.x, contestants[1].fit.accuracy
    # An oracle that knows whom it helps in three of four questions; the other knows it always.
    noisy = np.where(np.random.default_rng(1).random(n) < 0.25, 1 - x, x)
    contestants.append(Contestant("oracle, held out", "bound", Threshold(noisy, accuracy)))
    contestants[1] = replace(contestants[1], beforehand=True, group="text")
    # Who stops while sampling and looks at X too is not suspected for it.
    contestants.append(replace(contestants[1], name="sequential", beforehand=False, group="stopping"))
    found, _ = stand(contestants, n, [1.4])
    by_name = {standing.name: standing for standing in found}
    marks = {name: standing.marks for name, standing in by_name.items()}
    assert marks["threshold"][0].startswith("check X: it decides before anything is drawn, and gains at 1.4 more than")
    assert to_check(by_name["threshold"]) == "X"
    assert marks["sequential"] == marks[REFERENCE] == ()


def test_captured_is_a_share_of_what_the_oracle_gains():
    n = 200
    contestants = tiny(n)
    contestants.append(replace(contestants[1], name="oracle, held out", kind="bound"))
    found, _ = stand(contestants, n, [1.2])
    by_name = {standing.name: standing for standing in found}
    assert by_name["threshold"].captured == pytest.approx([1.0])
    assert by_name[REFERENCE].captured == pytest.approx([0.0], abs=1e-9)
    # Without an oracle, or where it gains nothing, there is no share.
    nothing, _ = stand([*tiny(n), replace(tiny(n)[0], name="oracle, held out", kind="bound")], n, [1.2])
    assert all(np.isnan(standing.captured).all() for standing in nothing)


def test_captured_is_unknown_where_the_oracle_is_short_of_samples():
    """It draws half of the samples at most: with few of them, its gain says how many were recorded."""
    rng = np.random.default_rng(3)
    chance = rng.choice([0, 0.35, 0.7, 1.0], 300)[:, None]
    answers = np.where(rng.random((300, 32)) < chance, 0, rng.integers(1, 8, (300, 32)))
    asked = ["margin + cap"], [2, 3.5]
    many, few = (compare(Samples(answers[:, :size]), *asked, orders=16) for size in (32, 8))
    assert 0 < many["margin + cap"].captured.min() <= many["margin + cap"].captured.max() < 0.7
    assert np.isnan(few["margin + cap"].captured).all()
    assert "captured" not in str(few)
    assert "draws no more than that half" in " ".join(str(many).split())
    # ... nor where it cannot spend more.
    spends = np.array([1.0, 1.5, 2.0])
    limited = Halved(Problem.of(Samples(answers[:, :16])))
    assert 2 < limited.limit() < 4
    assert Halved(Problem.of(Samples(answers))).limit() > limited.limit()
    contestants = [*tiny(200), replace(tiny(200)[1], name="oracle, held out", kind="bound")]
    ran = run_folds.run(contestants, 200, folds=5)
    families = {c.name: [statistics.Family(folds, 200) for folds in ran.parts[c.name]] for c in contestants}
    found = measure(contestants[1], families, spends, limit=1.5).captured
    assert np.isfinite(found).tolist() == [False, True, False]  # at 1 it gains nothing


def test_gains_are_those_whose_coverage_is_measured(monkeypatch):
    """What is printed is what `bench/studies/compare_coverage.py` measures of `gain_scores`."""
    before, _ = stand(tiny(), 60, [1.5])
    real = standings.gain_scores
    monkeypatch.setattr(standings, "gain_scores", lambda at, family: (real(at, family)[0] + 0.25, None))
    after, _ = stand(tiny(), 60, [1.5])
    assert [s.gain for s in after] == [pytest.approx(s.gain + 0.25) for s in before]


def test_captured_of_all_budgets_is_a_ratio_of_sums():
    def shares(one):
        gains = {"AC Beta": [0.01, 0.01, 0.0, 0.02], "oracle, held out": [0.1, 0.002, 0.05, 0.0]}.get(one.name)
        told = {"AC Beta": [0.1, 5.0, 0.0, np.nan], "oracle, held out": [1.0, 1.0, 1.0, np.nan]}.get(one.name)
        return one if gains is None else replaced(one, gain=np.array(gains), captured=np.array(told))

    result = with_standings(made(), shares)
    assert share_captured(result, result["AC Beta"]) == pytest.approx(0.02 / 0.152)
    assert "13 %" in next(line for line in str(result).splitlines() if line.startswith("AC Beta"))
    assert math.isnan(share_captured(result, result["kNN"]))


def test_utilities_are_not_taken_for_shares():
    """A table may hold any utility: nothing is cut at 0 and 1, and everything grows with the unit."""
    rng = np.random.default_rng(0)
    acc, cost = rng.random((200, 3)) * np.array([0.2, 0.5, 1.0]), np.array([1.0, 2.0, 4.0])
    label = (acc[:, 2] > 0.5).astype(int)
    one, ten = (
        compare(Table(times * acc, cost), ["difficulty label"], [1.5, 3.0], difficulty=label) for times in (1, 10)
    )
    for standing in one.standings:
        other = ten[standing.name]
        for name in ("accuracy", "low", "high", "gain", "gain_low", "gain_high", "curve_low", "curve_high"):
            assert getattr(other, name) == pytest.approx(10 * getattr(standing, name), abs=1e-9), name
        assert (other.low < other.accuracy).all()
        assert (other.accuracy < other.high).all()


def test_who_does_the_same_as_the_mixture_has_no_p_below_1():
    n = 400
    contestants = tiny(n)
    known = contestants[0].fit
    off = 3e-11 + 1e-12 * np.random.default_rng(0).normal(size=n)  # what rounding may leave
    contestants[1] = Contestant("same", "policy", Known(known.spend, known.accuracy + off))
    found, _ = stand(contestants, n, [1.0, 1.5])
    same = next(standing for standing in found if standing.name == "same")
    assert same.gain.tolist() == [0.0, 0.0]
    assert same.p.tolist() == [1.0, 1.0]


def test_repeats_measure_the_noise_of_training():
    found, ran = stand(tiny(60), 60, [1.3], repeats=3)
    assert len(ran.parts["threshold"]) == 3
    policy = next(standing for standing in found if standing.name == "threshold")
    assert 0 < policy.refit[0] < 0.05
    singles = [stand(tiny(60), 60, [1.3], seed=s)[0] for s in range(3)]
    one = [next(s for s in found if s.name == "threshold").accuracy[0] for found in singles]
    assert policy.accuracy[0] == pytest.approx(np.mean(one))
    assert policy.refit[0] == pytest.approx(np.std(one, ddof=1))


# ---------------------------------------------------------------------------------------------- running


def test_the_same_for_any_number_of_workers():
    data, texts = samples_of(40, 4, texts=True)
    asked = ["ESC", "prompt length", "kNN"]
    # One's own need not be picklable: it runs in this process.
    settings = {"X": texts, "own": {"mine": lambda x, train, budget: ESC(2, 4)}, "folds": 2, "repeats": 2, "orders": 4}
    one, two = (compare(data, asked, [1.5, 3.0], n_jobs=jobs, **settings) for jobs in (1, 2))
    first, second = one.to_dict(questions=True), two.to_dict(questions=True)
    assert first.pop("seconds") > 0
    assert second.pop("seconds") > 0
    assert first == second
    assert one["mine"].kind == "own"


def test_who_cannot_be_trained_is_skipped_with_the_words():
    found, ran = stand([*tiny(), Contestant("shy", "policy", Refuses())], 60, [1.5])
    assert ran.skipped == {"shy": "it could not be trained: too few questions for me."}
    assert len(found) == 2


def test_what_the_users_own_raises_comes_through_and_is_named():
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        run_folds.run([*tiny(), Contestant("my own", "own", Broken())], 60, folds=5)
    assert "own['my own'], in fold 0" in caught.value.__notes__[0]


def test_members_of_a_group_are_trained_together(monkeypatch):
    seen = []
    monkeypatch.setattr(run_folds, "part_of", lambda tuned, held, *_: seen.append(tuned) or held)
    contestants = [replace(contestant, group="g") for contestant in tiny()]
    plan = run_folds.Plan(60, 5, 1, 0)
    parts = run_folds.work(contestants, plan, run_folds.Piece((0, 1), 0, 2))
    assert sorted(parts) == [0, 1]
    assert len(seen) == 2


def test_workers():
    assert run_folds.workers(3) == 3
    assert run_folds.workers(10**9) <= max(4, os.cpu_count())  # each takes 200 MB
    assert run_folds.workers(-1) >= 1
    for wrong in (0, -2, 1.5, True, "2"):
        with pytest.raises(InputError, match="n_jobs is"):
            run_folds.workers(wrong)


def test_workers_that_cannot_start_are_no_reason_to_fail(tmp_path):
    # A program without the guard: each worker imports it, begins again and is refused.
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np, tcalloc\n"
        "answers = np.random.default_rng(0).integers(0, 3, (20, 4))\n"
        "result = tcalloc.compare(tcalloc.Samples(answers), ['ESC', 'SPRT'], [2.0], n_jobs=2)\n"
        "print(result.remarks[0])\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "worker processes ended unexpectedly" in done.stdout

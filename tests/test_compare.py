"""`tcalloc.compare` end to end, and its figures one by one. Who takes part is tested elsewhere."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tcalloc
from tcalloc import InputError, MissingExtraError, Samples, Table, compare
from tcalloc.evaluate import figures, running, words
from tcalloc.evaluate.compare import default_budgets, difficulty_of
from tcalloc.evaluate.contestants import REFERENCE, Contestant
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.standings import standings
from tcalloc.learn.folds import Tuned, held_out, tabled
from tcalloc.learn.rivals import ESC

QUICK = ["ESC", "AC Beta", "margin + cap"]


def samples_of(n, size, seed=0, texts=False):
    rng = np.random.default_rng(seed)
    chance = rng.random((n, 1))
    made = Samples(np.where(rng.random((n, size)) < chance, 0, rng.integers(1, 4, (n, size))))
    return (made, [f"question {'hard ' * int(10 * (1 - c))}{i}" for i, c in enumerate(chance[:, 0])]) if texts else made


# Two tiny contestants: one needs no training but a choice, the other learns from the training questions.


@dataclass(frozen=True)
class Known:
    spend: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        return tabled(self.spend, self.accuracy)(train, held, seed)


@dataclass(frozen=True)
class Threshold:
    """The dearer of two actions for questions whose x is above the training quantile."""

    x: np.ndarray
    accuracy: np.ndarray

    def __call__(self, train, held, seed):
        shares = np.linspace(0, 1, 6)
        limits = np.quantile(self.x[train], 1 - shares)
        dear = self.x[held][None] > limits[:, None]
        at = np.where(dear, self.accuracy[held, 1], self.accuracy[held, 0])
        return Tuned(1 + shares, np.log1p(shares), 1.0 + dear, at, 0.5 + 0.1 * shares)


@dataclass(frozen=True)
class Refuses:
    def __call__(self, train, held, seed):
        raise InputError("too few questions for me.")


@dataclass(frozen=True)
class Broken:
    def __call__(self, train, held, seed):
        raise ZeroDivisionError("mine")


def tiny(n=60, seed=0):
    """Two actions at 1 and 2, the mixture of them, and who knows whom the second helps."""
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    accuracy = np.column_stack([np.full(n, 0.5), 0.5 + 0.4 * (x > 0.5)])
    cost = np.column_stack([np.ones(n), np.full(n, 2.0)])
    known = Known(cost.T.copy(), accuracy.T.copy())
    return [Contestant(REFERENCE, "baseline", known), Contestant("threshold", "policy", Threshold(x, accuracy))]


def stand(contestants, n, budgets, repeats=1, jobs=1, folds=5, seed=0):
    ran = running.run(contestants, n, folds=folds, repeats=repeats, seed=seed, jobs=jobs)
    taking = [contestant for contestant in contestants if contestant.name in ran.parts]
    return standings(taking, ran.parts, np.array(budgets, float), n, seed), ran


# ---------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("df", [1, 2, 4, 17, 100, 999])
def test_students_t(df):
    assert figures.quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    for t in (0.0, 0.3, 2.0, 8.0):
        assert figures.beyond(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)


def test_normal_beyond_a_thousand():
    assert figures.quantile(5000) == pytest.approx(1.96, abs=1e-3)
    assert figures.quantile(math.inf) == pytest.approx(stats.norm.ppf(0.975), abs=1e-9)


def test_holm_by_hand():
    found = figures.holm(np.array([0.01, 0.04, 0.03, np.nan, 0.005]))
    assert found == pytest.approx([0.03, 0.06, 0.06, np.nan, 0.02], nan_ok=True)
    assert figures.holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_only_raises_and_keeps_the_order(p):
    p = np.array(p)
    found = figures.holm(p)
    assert (found >= p).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def test_p_of_a_mean():
    rng = np.random.default_rng(0)
    scores = rng.normal(0.1, 1, (3, 40))
    assert figures.two_sided(scores) == pytest.approx(stats.ttest_1samp(scores, 0, axis=1).pvalue, rel=1e-9)
    assert figures.two_sided(np.zeros((1, 40))).tolist() == [1.0]
    # Five questions, all alike: no more than five signs can say.
    assert figures.two_sided(np.full((1, 5), 0.2)).tolist() == [2.0**-4]
    few = np.zeros((1, 1000))
    few[0, :3] = 1.0
    assert figures.two_sided(few)[0] >= 0.25


def test_gains_of_policies_that_learn_are_less_sure():
    assert figures.dependence(5, True) == pytest.approx(math.sqrt(1.25))
    assert figures.dependence(5, False) == 1.0
    contestants = [*tiny(200), replace(tiny(200)[1], name="a rule", group="counting")]
    found, _ = stand(contestants, 200, [1.3])
    learned, rule = (next(s for s in found if s.name == name) for name in ("threshold", "a rule"))
    assert learned.gain == rule.gain
    assert (learned.low, learned.high) == (rule.low, rule.high)
    width, narrow = (s.gain_high - s.gain_low for s in (learned, rule))
    assert width == pytest.approx(narrow * math.sqrt(1.25))


def test_interval_is_that_of_the_mean():
    scores = np.random.default_rng(1).normal(0.3, 1, (2, 400))
    low, high = figures.resampled(scores, 0)
    expected = stats.t.ppf(0.975, 399) * scores.std(axis=1, ddof=1) / 20
    assert low == pytest.approx(scores.mean(axis=1) - expected, abs=0.01)
    assert high == pytest.approx(scores.mean(axis=1) + expected, abs=0.01)
    assert [end.tolist() for end in figures.resampled(scores, 0)] == [low.tolist(), high.tolist()]
    # The same whatever stands beside it, and however many weights are held at a time.
    assert figures.resampled(scores[:1], 0)[0] == pytest.approx(low[:1], abs=1e-12)


def test_interval_does_not_hang_on_how_many_weights_are_held(monkeypatch):
    scores = np.random.default_rng(1).random((2, 50))
    before = figures.resampled(scores, 3)
    monkeypatch.setattr(figures, "ROOM", 170)
    after = figures.resampled(scores, 3)
    assert np.allclose(before, after, rtol=0, atol=1e-12)


def test_interval_of_what_is_all_alike_is_not_empty():
    low, high = figures.resampled(np.ones((1, 5)), 0)
    assert low[0] == pytest.approx(0.025**0.2)
    assert high[0] > 1  # an accuracy is cut at 1 later
    # ... which is Clopper's and Pearson's.
    assert low[0] == pytest.approx(stats.binomtest(5, 5).proportion_ci().low)


def test_matching_is_that_of_held_out():
    data = samples_of(80, 8)
    problem = Problem.of(data)
    spend, accuracy = problem.fixed_cost.T, problem.fixed_accuracy.T
    rng = np.random.default_rng(0)
    spend = spend * rng.uniform(0.8, 1.2, (1, 80))  # then the folds differ in spend
    asked = [1.5, 2.5, 4.0]
    theirs = held_out(tabled(spend, accuracy), 80, asked, seeds=[3])
    ran = running.run([Contestant("x", "policy", Known(spend, accuracy))], 80, folds=5, seed=3)
    ours = figures.Family(ran.parts["x"][0], 80).at(asked)
    assert ours.reached.all()
    assert ours.spend.mean(axis=1) == pytest.approx(asked)
    assert ours.spend == pytest.approx(theirs.spend, abs=1e-6)
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-6)


def test_the_slope_is_that_of_the_frontier():
    found, _ = stand(tiny(), 60, [1.2, 1.5])
    ran = running.run(tiny(), 60, folds=5)
    at = figures.Family(ran.parts[REFERENCE][0], 60).at([1.5])
    # Two actions, mixed: the accuracy rises by their difference per unit.
    helped = float(np.mean(tiny()[1].fit.x > 0.5))
    assert at.slope == pytest.approx([0.4 * helped])
    assert found[0].spend == pytest.approx([1.2, 1.5])


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


def test_who_decides_beforehand_and_beats_the_oracle_is_suspicious():
    n = 600
    contestants = tiny(n)
    x, accuracy = contestants[1].fit.x, contestants[1].fit.accuracy
    # An oracle that knows whom it helps in three of four questions; the other knows it always.
    noisy = np.where(np.random.default_rng(1).random(n) < 0.25, 1 - x, x)
    contestants.append(Contestant("oracle, held out", "bound", Threshold(noisy, accuracy)))
    contestants[1] = replace(contestants[1], beforehand=True)
    contestants.append(replace(contestants[1], name="sequential", beforehand=False))
    found, _ = stand(contestants, n, [1.4])
    marks = {standing.name: standing.marks for standing in found}
    assert "look whether X, or the label, holds the answers" in marks["threshold"][0]
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
    settings = {"X": texts, "own": {"mine": lambda train, x, budget: ESC(2, 4)}, "folds": 2, "repeats": 2, "orders": 4}
    one, two = (compare(data, asked, [1.5, 3.0], jobs=jobs, **settings) for jobs in (1, 2))
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
        running.run([*tiny(), Contestant("my own", "own", Broken())], 60, folds=5)
    assert "own['my own'], in fold 0" in caught.value.__notes__[0]


def test_members_of_a_group_are_trained_together(monkeypatch):
    seen = []
    monkeypatch.setattr(running, "part_of", lambda tuned, held: seen.append(tuned) or held)
    contestants = [replace(contestant, group="g") for contestant in tiny()]
    plan = running.Plan(60, 5, 1, 0)
    parts = running.work(contestants, plan, running.Piece((0, 1), 0, 2))
    assert sorted(parts) == [0, 1]
    assert len(seen) == 2


def test_workers():
    assert running.workers(3) == 3
    assert running.workers(-1) >= 1
    for wrong in (0, -2, 1.5, True, "2"):
        with pytest.raises(InputError, match="jobs is"):
            running.workers(wrong)


def test_workers_that_cannot_start_are_no_reason_to_fail(tmp_path):
    # A program without the guard: each worker imports it, begins again and is refused.
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np, tcalloc\n"
        "answers = np.random.default_rng(0).integers(0, 3, (20, 4))\n"
        "result = tcalloc.compare(tcalloc.Samples(answers), ['ESC', 'SPRT'], [2.0], jobs=2)\n"
        "print(result.remarks[0])\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "worker processes ended unexpectedly" in done.stdout


def test_the_bar(capsys):
    class Terminal:
        text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    terminal = Terminal()
    bar = running.Bar(4, True, terminal)
    bar._every = 0.0
    for _ in range(4):
        bar.step()
    bar.end()
    assert "0/4 trainings" in terminal.text
    assert "4/4 trainings (0:00, 0:00 left)" in terminal.text
    assert terminal.text.endswith("\n")
    silent = running.Bar(4, False)
    silent.step()
    silent.end()
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------------------------------------- the call


@pytest.fixture(scope="module")
def result():
    data, texts = samples_of(80, 6, texts=True)
    return compare(data, [*QUICK, "random", "fixed k", "prompt length"], [1.5, 3.0], X=texts, orders=12)


def test_the_lazy_name():
    assert tcalloc.compare is compare
    assert "compare" in dir(tcalloc)


def test_result(result):
    assert result.questions == 80
    assert result.budgets.tolist() == [1.5, 3.0]
    assert result.reference == REFERENCE
    assert result.unit == "samples"
    assert result.data == "samples"
    assert result.votes == (1, 2, 3, 4, 5, 6)
    assert len(result.vote_accuracy) == 6
    assert result.difficulty.shape == (80,)
    assert set(np.unique(result.difficulty)) <= {0, 1, 2}
    assert result["ESC"].name == "ESC"
    assert result["ESC"].gain_low[0] > 0
    for standing in result.standings:
        assert standing.question_spend.shape == (2, 80)
    levels = [s.accuracy.mean() for s in result.standings if s.kind != "bound" and s.reached.all()]
    assert levels == sorted(levels, reverse=True)
    with pytest.raises(InputError, match="there is no 'Nobody'; there are: "):
        result["Nobody"]


def test_skipped_says_why():
    found = compare(samples_of(30, 4), ["kNN", "ESC"], [2.0], orders=4)
    assert "kNN" in found.skipped
    with pytest.raises(InputError, match="'kNN' took no part"):
        found["kNN"]


def test_what_is_printed(result):
    text = str(result)
    assert repr(result) == text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert "80 questions, each scored by policies trained without it (5 folds)" in text
    rows = [line for line in lines if line.startswith(("ESC", "best fixed mixture", "hindsight bound"))]
    assert len([line for line in rows if line.startswith("ESC")]) >= 1
    assert f"{100 * result['ESC'].accuracy[0]:.1f}" in text
    assert "±" in text
    assert "***" in text
    assert "Holm" in text
    assert "nan" not in text.lower()
    names = [s.name for s in result.standings]
    places = [next(i for i, line in enumerate(lines) if line.startswith(name + " ")) for name in names]
    assert places == sorted(places)


def test_many_budgets_are_printed_in_blocks():
    text = str(compare(samples_of(30, 12), ["ESC"], np.linspace(1.5, 6, 10), orders=12))
    assert max(map(len, text.splitlines())) <= 120
    assert text.count("best fixed mixture  ") >= 2


def test_to_dict(result):
    text = json.dumps(result.to_dict(), allow_nan=False)
    found = json.loads(text)
    assert found["standings"][0]["name"] == result.standings[0].name
    assert found["standings"][0]["refit"] == [None, None]
    assert "question_spend" not in found["standings"][0]
    assert "difficulty" not in found
    whole = result.to_dict(questions=True)
    assert np.shape(whole["standings"][0]["question_spend"]) == (2, 80)
    assert len(whole["difficulty"]) == 80


def test_to_frame(result, monkeypatch):
    frame = result.to_frame()
    assert len(frame) == 2 * len(result)
    assert frame["policy"].iloc[0] == result.standings[0].name
    row = frame[(frame["policy"] == "ESC") & (frame["budget"] == 3.0)].iloc[0]
    assert row["gain"] == result["ESC"].gain[1]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        result.to_frame()


def test_difficulty_and_budgets():
    answers = np.array([[0] * 10, [1] * 10, [0, 1] * 5])
    problem = Problem.of(Samples(answers))
    assert difficulty_of(problem).tolist() == [0, 2, 1]
    budgets = default_budgets(Problem.of(samples_of(200, 16)))
    assert len(budgets) == 4
    assert budgets[0] > 1
    assert budgets[-1] < 16
    assert default_budgets(Problem.of(Table(np.full((5, 1), 0.5), [3.0]))).tolist() == [3.0]
    # Nothing pays, not even the first sample: what one costs, all the same.
    assert default_budgets(Problem.of(Samples(np.ones((5, 3), int)))).tolist() == [1.0]


@pytest.mark.parametrize(
    ("wrong", "words_"),
    [
        ({"budgets": []}, "budgets has shape"),
        ({"budgets": [1.0, math.nan]}, r"budgets\[1\] is nan"),
        ({"budgets": [-1.0]}, r"budgets\[0\] is -1"),
        ({"budgets": "many"}, "budgets is 'many'"),
        ({"folds": 1}, "folds is 1"),
        ({"folds": 2.5}, "folds is 2.5"),
        ({"repeats": 0}, "repeats is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"jobs": 0}, "jobs is 0"),
        ({"policies": ["Nobody"]}, "Nobody"),
        ({"X": ["a"]}, "X has 1 row"),
    ],
)
def test_bad_input_is_refused_before_any_work(wrong, words_, monkeypatch):
    monkeypatch.setattr(running, "work", lambda *_: pytest.fail("work was done"))
    with pytest.raises(InputError, match=words_):
        compare(samples_of(20, 4), **wrong)


def test_a_single_budget_may_be_a_number():
    assert compare(samples_of(20, 4), ["ESC"], 2.0, orders=4).budgets.tolist() == [2.0]


# ---------------------------------------------------------------------------------------------- degenerate data


def sound(found):
    """Return the text after asking for what must hold of every result."""
    text = str(found)
    assert "nan" not in text.lower()
    assert "inf " not in text.lower()
    json.dumps(found.to_dict(questions=True), allow_nan=False)
    for standing in found.standings:
        assert np.isfinite(standing.accuracy).all(), standing.name
        assert (standing.low <= standing.accuracy + 1e-12).all(), standing.name
        assert (standing.accuracy <= standing.high + 1e-12).all(), standing.name
        assert (standing.gain_low <= standing.gain + 1e-12).all(), standing.name
        assert (standing.gain <= standing.gain_high + 1e-12).all(), standing.name
    return text


def test_empty_and_one_question():
    with pytest.raises(InputError, match="1 question; a comparison needs at least 2"):
        compare(Samples([[0, 1, 0]]))
    with pytest.raises(InputError):
        compare(Table(np.zeros((0, 2)), [1.0, 2.0]))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_tiny(n):
    found = compare(samples_of(n, 4, seed=n), X=[f"question {i}" for i in range(n)], orders=4)
    text = sound(found)
    assert f"only {n} questions" in text
    if n < 5:
        assert f"{n} folds instead of 5" in text
    assert all(not (standing.p < 0.05).any() for standing in found.standings)


def test_all_right():
    found = compare(Samples(np.zeros((30, 4), int)), X=[f"question {i}" for i in range(30)], orders=4)
    text = sound(found)
    assert "Everything was right on every question" in text
    for standing in found.standings:
        assert standing.accuracy == pytest.approx([1.0]), standing.name
        assert (standing.low < 0.95).all(), standing.name


@pytest.mark.parametrize("code", [1, -1])
def test_all_wrong(code):
    found = compare(Samples(np.full((30, 4), code)), X=[f"question {i}" for i in range(30)], orders=4)
    text = sound(found)
    assert "Nothing was right on any question" in text
    assert all((standing.accuracy == 0).all() for standing in found.standings)


def test_one_action():
    rng = np.random.default_rng(0)
    found = compare(Table(rng.random((30, 1)), [2.0]), X=rng.random((30, 2)))
    assert "only one action" in sound(found)
    assert found.budgets.tolist() == [2.0]
    assert all((standing.gain == 0).all() for standing in found.standings if standing.kind != "bound")


def test_budgets_that_nobody_reaches():
    rng = np.random.default_rng(0)
    found = compare(Table(rng.random((40, 3)), [1.0, 2.0, 4.0]), budgets=[0.5, 2.0, 50.0], X=rng.random((40, 2)))
    text = sound(found)
    assert "Nobody can spend as little as 0.5: the least is 1" in text
    assert "Nobody finds anything to spend 50 on" in text
    assert not any(standing.reached[[0, 2]].any() for standing in found.standings if standing.kind != "bound")
    assert found[REFERENCE].reached[1]


def test_single_answers_are_said_to_be_flattering():
    rng = np.random.default_rng(0)
    found = compare(Table(rng.integers(0, 2, (60, 3)).astype(float), [1.0, 2.0, 4.0]), budgets=[2.0])
    assert "single answer" in sound(found)
    assert found.data == "single answers"


def test_few_samples_are_said():
    assert "only 4 samples" in str(compare(samples_of(30, 4), ["ESC"], [2.0], orders=4))


def test_stars():
    assert [words.stars(p) for p in (0.2, 0.05, 0.049, 0.0099, 0.0001, math.nan)] == ["", "", "*", "**", "***", ""]


# ---------------------------------------------------------------------------------------------- real data


def test_stopping_rules_gain_on_real_questions(shared_data):
    with np.load(shared_data / "gsm8k_qwen25_1p5b_n30.npz") as archive:
        data = Samples(archive["answer"].astype(int))
    found = compare(data, ["ESC", "AC Beta"], [2.0, 3.0], orders=30)
    assert found[REFERENCE].accuracy == pytest.approx([0.68, 0.708], abs=0.01)
    assert (found["ESC"].gain_low > 0).all()
    assert (found["oracle, held out"].gain > 0.015).all()
    assert (found["hindsight bound"].accuracy > 0.9).all()


# ---------------------------------------------------------------------------------------------- coverage


def test_intervals_cover(request):
    sys.path.insert(0, str(request.config.rootpath))
    try:
        from bench.compare_coverage import coverage
    finally:
        sys.path.pop(0)
    counts = coverage(60, only=["ESC", "hindsight bound"])
    for (name, b), count in counts.items():
        assert count.runs == 60
        for kind in ("accuracy", "gain"):
            share, error, runs = count.of(kind)
            if runs:
                # No fewer than three standard errors below what is claimed: intervals half as wide cover 67 %.
                assert share >= 0.95 - 3 * error, (name, b, kind, share)
    # Not by being wide: the bound's spend differs most between questions, and matching it takes off a third.
    bound = counts["hindsight bound", 0]
    assert bound.width["gain"] < 0.8 * bound.width["gain, plain"]

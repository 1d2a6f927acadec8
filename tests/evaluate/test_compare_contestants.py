"""Who is compared: what each contestant knows, does and is charged."""

import functools
import pickle
from dataclasses import replace

import numpy as np
import pytest

from bench.sequential_fit import price_family
from tcalloc import Best, BudgetError, InputError, Samples, Table, Vote, datasets
from tcalloc.evaluate.contestants import NAMES, cache, contestants_of
from tcalloc.evaluate.contestants.base import hull, rounding
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Frontier, held_out, split
from tcalloc.learn.replay.all_orders import Paths
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.rivals import MarginCap, TunedRule, families
from tcalloc.learn.routing.baselines import Fixed
from tcalloc.learn.routing.imitator import imitated_columns
from tcalloc.learn.rows import as_rows
from tcalloc.learn.training import LEAST_STEP
from tcalloc.measure.votes import vote_accuracy

HARD = "explain in detail why the quantity which we have named above must converge"
EASY = "add two numbers"


def rates(n, rng):
    """Return what the questions are like: half of them hard, and how often a sample is right."""
    hard = np.arange(n) % 2 == 1
    return hard, np.where(hard, rng.uniform(0.3, 0.6, n), rng.uniform(0.92, 1.0, n))


def coded(p, size, rng):
    return np.where(rng.random((len(p), size)) < p[:, None], 0, rng.integers(1, 6, (len(p), size)))


def told(hard):
    return [f"{HARD if h else EASY} {i}" for i, h in enumerate(hard)]


@pytest.fixture(scope="module")
def signal():
    """Return samples of 240 questions whose texts say which are hard."""
    rng = np.random.default_rng(5)
    hard, p = rates(240, rng)
    return Problem.of(Samples(coded(p, 12, rng)), X=told(hard), difficulty=np.where(hard, "hard", "easy"), orders=12)


@pytest.fixture(scope="module")
def routed():
    """Return a table of three models, one answer each; the text says when the dear one is needed."""
    rng = np.random.default_rng(6)
    hard, _ = rates(300, rng)
    p = np.column_stack([np.where(hard, 0.2, 0.9), np.where(hard, 0.4, 0.9), np.where(hard, 0.8, 0.9)])
    cost = np.array([1.0, 2.0, 4.0]) * rng.uniform(0.8, 1.2, (300, 1))
    return Problem.of(Table((rng.random(p.shape) < p).astype(float), cost), X=told(hard), difficulty=hard)


def named(problem, name, budgets=(1.5, 3.0), **more):
    return next(c for c in contestants_of(problem, budgets, **more)[0] if c.name == name)


def reached(problem, name, budgets=(1.5, 3.0)):
    contestant = named(problem, name, budgets)
    return held_out(contestant.fit, len(problem), budgets, seeds=(0,), match=contestant.matched)


def first_fold(problem):
    return (*split(len(problem), 5, 0)[0], 0)


# ---------------------------------------------------------------------------------------------- the problem


def test_fixed_actions_are_exact_expectations_at_real_costs():
    rng = np.random.default_rng(0)
    codes, cost = coded(rng.uniform(0.2, 1, 30), 6, rng), rng.uniform(1, 3, (30, 6))
    problem = Problem.of(Samples(codes, cost=cost))
    for k in (1, 2, 5):
        at = problem.fixed_names.index(f"vote{k}")
        assert problem.fixed_accuracy[:, at] == pytest.approx(vote_accuracy(codes, k))
        assert problem.fixed_cost[:, at] == pytest.approx(k * cost.mean(axis=1))
    assert problem.fixed_accuracy[:, -1].tolist() == [0.0] * 30  # nothing, for nothing
    assert problem.votes == (1, 2, 3, 4, 5, 6)
    assert problem.vote_accuracy == pytest.approx([vote_accuracy(codes, k).mean() for k in problem.votes])
    assert (problem.unit, problem.data) == ("cost", "samples")


def test_a_missing_action_is_the_next_cheaper_one():
    codes = np.array([[0, 0, 0, 0], [0, 1, -2, -2], [1, 1, 0, 0]])
    problem = Problem.of(Samples(codes))
    at = problem.fixed_names.index("vote4")
    assert problem.fixed_accuracy[1, at] == problem.fixed_accuracy[1, problem.fixed_names.index("vote2")]
    assert problem.fixed_cost[1, at] == 2
    assert np.isnan(problem.menu.acc[1, problem.menu.names.index("vote3")])


def test_words_for_the_data(signal, routed):
    assert (signal.data, signal.unit, signal.verifier) == ("samples", "samples", False)
    assert (routed.data, routed.unit) == ("single answers", "cost")
    assert Problem.of(Table([[0.5, 0.7]], [1, 2])).data == "table"
    assert Problem.of(Samples([[0], [1]])).data == "single answers"
    marks = Problem.of(Samples(correct=[[1, 0], [0, 0]]))
    assert (marks.verifier, marks.menu.names, marks.fixed_names) == (False, ("nothing", "one"), ("one", "nothing"))
    assert Problem.of(Samples(correct=[[1, 0], [0, 0]]), verifier=True).fixed_names == ("best1", "best2", "nothing")
    assert Problem.of(Samples([[0, 1], [1, 1]]), verifier=True).menu.names[1] == "best1"
    numbers = Problem.of(Samples(np.zeros((100, 2), int)), difficulty=np.arange(100.0))
    assert np.bincount(numbers.labels).tolist() == [20] * 5
    assert set(signal.labels.tolist()) == {0, 1}


def test_marks_are_seen_only_where_a_verifier_was_given():
    right = np.random.default_rng(0).random((30, 4)) < 0.6
    both = Samples(arms={"a": Samples(np.where(right, 0, 1)), "b": Samples(correct=right)})
    remedy = "If a verifier recognises right answers live, say verifier=True (--verifier)"
    for data, of in ((Samples(correct=right), ""), (both, " of b")):
        problem = Problem.of(data, orders=4)
        found, why = contestants_of(problem, [1.0])
        looking = {"Sequential", "cascade", "AC Beta", "AC Dirichlet", "ESC", "SPRT", "margin + cap", "priced, probe 2"}
        assert not looking & {contestant.name for contestant in found}
        assert why["ESC"] == f"it compares answers, and only right and wrong were recorded{of}. {remedy}"
        assert len(looking & set(why)) == len(looking) - 1  # Sequential and cascade are one policy
        assert why["fixed k, success stop"].endswith(remedy)
        assert {"fixed k", "best fixed mixture", "random", "oracle, held out"} <= {one.name for one in found}
        given = {one.name for one in contestants_of(Problem.of(data, orders=4, verifier=True), [1.0])[0]}
        assert "fixed k, success stop" in given
        assert given & {"Sequential", "cascade"}
    assert Problem.of(both).fixed_names == ("vote1 a", "vote2 a", "vote3 a", "vote4 a", "one b", "nothing")


GOOD = Samples([[0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        ([[0, 1]], {}, "expected Samples, a Table"),
        (GOOD, {"X": ["a"]}, "X has 1 row, but there are 2 questions"),
        (GOOD, {"difficulty": [1]}, r"expected \(2,\), one label"),
        (GOOD, {"difficulty": [1.0, np.nan]}, r"difficulty\[1\] is nan"),
        (GOOD, {"difficulty": [None, "easy"]}, r"difficulty\[0\] is None; expected a label"),
        (GOOD, {"difficulty": ["easy", float("nan")]}, r"difficulty\[1\] is nan; expected a label"),
        (GOOD, {"difficulty": np.array(["easy", np.nan], object)}, r"difficulty\[1\] is nan; expected a label"),
        (GOOD, {"difficulty": np.array(["2026-01-01", "NaT"], "datetime64[D]")}, r"difficulty\[1\] is None"),
        (GOOD, {"feature_cost": -1}, "feature_cost is -1"),
        (GOOD, {"feature_cost": np.nan}, "feature_cost"),
        (GOOD, {"costs_known": 1}, "costs_known is 1"),
        (GOOD, {"verifier": "yes"}, "verifier is 'yes'"),
        (GOOD, {"orders": 0}, "orders is 0"),
        (GOOD, {"seed": -1}, "seed is -1"),
        (GOOD, {"actions": [Vote(9)]}, "no question has more than 3"),
        (GOOD, {"actions": "vote1"}, "expected a list"),
        (GOOD, {"actions": [Best(2)]}, "needs a verifier"),
        (GOOD, {"verifier": None}, "verifier is None; allowed are True and False"),
        (Samples(correct=[[1, 0]]), {"actions": [Best(2)]}, r"say verifier=True \(--verifier\); else use One\(\)"),
        (Samples([[0, 1], [-2, -2]]), {}, "question 1 has no samples"),
        (Samples([[0, 1]], cost=0.0), {}, "every cost is 0"),
        (Samples([[0, 1]], cost=[[1.0, np.nan]]), {}, "is NaN"),
        (Table([[1.0, 0.0]], [1, 2]), {"verifier": True}, "needs Samples"),
        (Table([[1.0], [0.0]], [1], weights=[1, 2]), {}, "weights"),
        ("no such file.csv", {}, "no such file"),
    ],
)
def test_bad_problems_are_refused(data, options, words):
    with pytest.raises(InputError, match=words):
        Problem.of(data, **options)


def test_labels_of_frames_that_are_missing_are_refused_and_words_are_not():
    pd = pytest.importorskip("pandas")
    for missing in (pd.NA, None, np.nan):
        with pytest.raises(InputError, match=r"difficulty\[1\] is .*expected a label"):
            Problem.of(GOOD, difficulty=pd.Series(["easy", missing]))
    assert Problem.of(GOOD, difficulty=["nan", "None"]).labels.tolist() == [1, 0]


def test_rows_of_an_arrow_table_are_had_like_those_of_a_matrix():
    pa = pytest.importorskip("pyarrow")
    x = np.random.default_rng(0).random((30, 2))
    table = pa.table({"a": x[:, 0], "b": x[:, 1]})
    samples = Samples(coded(np.full(30, 0.6), 4, np.random.default_rng(1)))
    seen = []

    class Told:
        """Notes what it is told of a question."""

        def start(self, row):
            seen.append(np.asarray(row))
            return MarginCap(1, 1).start(row)

    for given, numbers in ((table, np.asarray), (as_rows(x), lambda rows: rows.numbers)):
        problem = Problem.of(samples, X=given)
        assert np.array_equal(numbers(problem.said([4, 0])), x[[4, 0]])
        train, held, seed = first_fold(problem)
        contestant = contestants_of(problem, [2.0], [], {"mine": Fixed(action=1)})[0][0]
        assert contestant.fit(train, held, seed).held_spend == pytest.approx(1.0)
        seen.clear()
        contestants_of(problem, [2.0], [], {"mine": Told()})[0][0].fit(train, held, seed)
        assert {tuple(row) for row in seen} == {tuple(row) for row in x[held]}


def test_one_policy_under_two_names(signal, routed):
    both = Problem.of(Samples(arms={"small": GOOD, "large": GOOD}))
    for problem, asked, taking in ((both, "Sequential", "cascade"), (signal, "cascade", "Sequential")):
        found, skipped = contestants_of(problem, [2.0], [asked])
        assert taking in [c.name for c in found]
        assert f"it is called {taking!r}" in skipped[asked]
        assert asked not in contestants_of(problem, [2.0])[1]  # nobody asked for it by name
        assert taking not in skipped
    assert "one number per question" in contestants_of(routed, [2.0], ["cascade"])[1]["cascade"]


def test_who_takes_part_and_why_not(signal, routed):
    names = [c.name for c in contestants_of(signal, [2.0])[0]]
    assert set(names) == set(NAMES) - {"cascade", "fixed k, success stop"}
    everyone, skipped = contestants_of(routed, [2.0])
    assert {c.name for c in everyone} | set(skipped) == set(NAMES) - {"cascade"}
    assert "one number per question" in skipped["Sequential"]
    blind = Problem.of(Samples(np.zeros((30, 4), int)))
    assert "not given" in contestants_of(blind, [2.0])[1]["priced"]
    assert "at least 20 questions" in contestants_of(Problem.of(GOOD, X=["a", "b"]), [1.0])[1]["kNN"]
    few = [c.name for c in contestants_of(signal, [2.0], ["ESC", "cascade"])[0]]
    assert few == ["best fixed mixture", "Sequential", "ESC", "oracle, held out", "hindsight bound"]
    for bad in ("some", ["ESC", "nobody"], 3):
        with pytest.raises(InputError, match=r"there is no 'nobody'|expected 'all'"):
            contestants_of(signal, [2.0], bad)


# ---------------------------------------------------------------------------------------------- one by one


def test_fixed_k_mixes_nothing_and_the_mixture_does(signal):
    single, mixed = reached(signal, "fixed k", (1.0, 2.5, 3.0)), reached(signal, "best fixed mixture", (1.0, 2.5, 3.0))
    assert set(np.unique(single.spend).tolist()) <= set(range(13))
    assert (single.spend.mean(axis=1) <= np.array([1.0, 2.5, 3.0]) + 1e-9).all()
    assert single.spend[2].mean() == pytest.approx(3.0)
    assert mixed.spend.mean(axis=1) == pytest.approx([1.0, 2.5, 3.0])
    assert mixed.accuracy[1].mean() > single.accuracy[1].mean()


def test_a_dearer_fixed_action_must_be_worth_it():
    spread = np.random.default_rng(0).uniform(-0.1, 0.1, (40, 1))

    def of(*levels):
        return Problem.of(Table(np.array(levels) + spread, [1.0, 2.0, 4.0]))

    hardly, slowly = of(0.5, 0.5 + LEAST_STEP / 2, 0.7), of(0.5, 0.5 + 0.6 * LEAST_STEP, 0.5 + 1.2 * LEAST_STEP)
    enough = of(0.5, 0.5 + 1.5 * LEAST_STEP, 0.7)
    assert reached(hardly, "fixed k", (3.0, 4.0)).spend.mean(axis=1) == pytest.approx([1.0, 4.0])
    assert reached(enough, "fixed k", (3.0, 4.0)).spend.mean(axis=1) == pytest.approx([2.0, 4.0])
    # Small steps that add up are taken at once.
    assert reached(slowly, "fixed k", (3.0, 4.0)).spend.mean(axis=1) == pytest.approx([1.0, 4.0])
    assert "0.1 points" in named(hardly, "fixed k").marks[0]


def test_a_vote_of_two_that_is_one_sample_is_not_paid_for():
    recorded = datasets.load_recorded()
    names = ("smollm2_135m", "qwen25_0p5b")
    arms = {name: Samples(recorded.answers[name].astype(int)) for name in names}
    problem = Problem.of(Samples(arms=arms))
    found = reached(problem, "fixed k", (2.0,))
    assert problem.fixed_accuracy[:, 1].mean() == pytest.approx(problem.fixed_accuracy[:, 0].mean(), abs=LEAST_STEP)
    assert set(np.unique(found.spend).tolist()) == {1.0}


@functools.cache
def in_units(unit):
    """Return what fixed k and Sequential do where costs have this unit."""
    rng = np.random.default_rng(0)
    codes, cost = coded(rng.random(60), 8, rng), rng.uniform(0.5, 1.5, (60, 8))
    problem = Problem.of(Samples(codes, cost=cost * unit), orders=8)
    fixed = reached(problem, "fixed k", np.array([1.5, 2.0, 2.5, 4.0]) * unit)
    return fixed, named(problem, "Sequential").fit(*first_fold(problem))


@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1e6])
def test_the_unit_of_the_costs_changes_nothing(unit):
    (single, stopping), (again, there) = in_units(1.0), in_units(unit)
    assert again.accuracy == pytest.approx(single.accuracy, abs=1e-12)
    assert again.spend == pytest.approx(single.spend * unit, rel=1e-9)
    assert len(there.spend) == len(stopping.spend) > 10
    assert there.spend == pytest.approx(stopping.spend * unit, rel=1e-6)
    assert there.held_accuracy == pytest.approx(stopping.held_accuracy, abs=1e-6)


def test_steps_of_fixed_k_never_meet():
    level = np.tile([0.2, 0.5, 0.8], (40, 1))
    problem = Problem.of(Table(level, [1.0, 1.0 + 1e-6, 2.0]))
    tuned = named(problem, "fixed k").fit(*first_fold(problem))
    # The last one ends nowhere; every other ends before the next begins, and after it has begun.
    assert (np.diff(tuned.spend) > 0).all()
    assert rounding([-2e9, 1.0]) == 2.0
    assert rounding([]) == 0.0


def test_rules_of_counts_are_the_papers_at_all_settings(signal):
    train, held, seed = first_fold(signal)
    tuned = named(signal, "margin + cap").fit(train, held, seed)
    rules = families(12)["margin + cap"]
    paths = Paths(signal.samples, signal.orders, 0)
    spends, scores = paths.outcomes(rules)
    best = Frontier.of(spends[:, train].mean(axis=1), scores[:, train].mean(axis=1))
    assert len(tuned.spend) > 3
    assert np.array_equal(tuned.spend, best.spend)
    assert np.array_equal(tuned.held_spend, spends[best.settings][:, held])
    assert np.array_equal(tuned.held_accuracy, scores[best.settings][:, held])
    rule = rules[best.settings[2]]
    metered = replay(rule, signal.samples, rows=held, orders=4)
    assert tuned.held_accuracy[2].mean() == pytest.approx(metered.accuracy.mean(), abs=0.08)
    # The deployed policy has the same settings: what is judged is what is fitted.
    policy = TunedRule("margin + cap", orders=signal.orders).fit(None, signal.samples.take(train))
    assert len(policy.rules_) > 3


def test_random_is_its_expectation(routed):
    train, held, seed = first_fold(routed)
    tuned = named(routed, "random").fit(train, held, seed)
    acc, cost = routed.fixed_accuracy[held], routed.fixed_cost[held]
    assert tuned.held_accuracy[0] == pytest.approx(acc[:, 0])
    assert tuned.held_spend[-1] == pytest.approx(cost[:, 2])
    assert (np.diff(tuned.held_spend.mean(axis=1)) > 0).all()
    assert "nothing" in Problem.of(GOOD).fixed_names  # who answers by lot answers all the same
    assert named(Problem.of(GOOD), "random").fit(np.arange(1), np.arange(1, 2), 0).held_spend.min() == pytest.approx(1)


@pytest.mark.parametrize("name", ["prompt length", "difficulty label", "kNN", "imitator", "priced", "priced, probe 2"])
def test_what_looks_gains_where_there_is_something_to_see(signal, name):
    found, mixture = reached(signal, name, (2.5,)), reached(signal, "best fixed mixture", (2.5,))
    spent = float(found.spend.mean())
    assert spent <= 2.5 + 1e-6
    if spent < 2.49:
        mixture = reached(signal, "best fixed mixture", (spent,))
    assert found.accuracy.mean() > mixture.accuracy.mean() + 0.01


def test_a_closed_gate_serves_the_mixture_to_the_bit():
    rng = np.random.default_rng(7)
    _, p = rates(150, rng)
    rng.shuffle(p)
    words = ["red", "green", "blue", "one", "two", "three", "sum", "of"]
    problem = Problem.of(Samples(coded(p, 8, rng)), X=[" ".join(rng.choice(words, 6)) for _ in p], feature_cost=0.25)
    mixture = reached(problem, "best fixed mixture")
    for name in ("priced", "kNN"):
        found = reached(problem, name)
        assert found.accuracy == pytest.approx(mixture.accuracy, abs=1e-9)  # and nobody looked at X: it is not paid
        assert found.spend.mean(axis=1) == pytest.approx([1.5, 3.0])


@pytest.mark.parametrize("name", ["prompt length", "kNN", "imitator", "priced", "priced, probe 2"])
def test_looking_at_x_is_charged(signal, name):
    charged = replace(signal, feature_cost=0.5, token="charged")
    train, held, seed = first_fold(signal)
    free, paid = (named(p, name).fit(train, held, seed) for p in (signal, charged))
    looked = (np.abs(paid.held_spend - free.held_spend - 0.5) < 1e-9).all(axis=1)
    assert looked.any()
    assert np.array_equal(paid.held_accuracy[looked], free.held_accuracy[looked])
    mixture = hull(signal, train)
    for j in np.flatnonzero(~looked):  # who does not look serves the mixture
        low, high, share = mixture.mix(float(paid.spend[j]))
        for mine, fixed in ((paid.held_spend, signal.fixed_cost), (paid.held_accuracy, signal.fixed_accuracy)):
            assert mine[j] == pytest.approx((1 - share) * fixed[held, low] + share * fixed[held, high])


def test_sequential_is_trained_and_replayed_as_everywhere(signal):
    train, held, seed = first_fold(signal)
    blind = replace(signal, given=None, rows=None, token="blind")
    tuned = named(blind, "Sequential").fit(train, held, seed)
    other = price_family(signal.samples, orders=signal.orders)(train, held, seed)
    assert np.array_equal(tuned.held_spend, other.held_spend)
    assert np.array_equal(tuned.held_accuracy, other.held_accuracy)
    assert tuned.claimed is not None
    assert abs(tuned.claimed[-1] - tuned.held_accuracy[-1].mean()) < 0.15
    charged = replace(signal, feature_cost=3.0, token="dear")
    dear = named(charged, "Sequential").fit(train, held, seed)
    kept_ones = Frontier.of(dear.spend, dear.accuracy).settings
    assert (dear.held_spend[kept_ones[:3]].mean(axis=1) < 3).all()  # so dear a look is not taken


def test_probes_are_paid_for(signal):
    train, held, seed = first_fold(signal)
    tuned = named(signal, "priced, probe 2").fit(train, held, seed)
    probed = (tuned.held_spend >= 2).all(axis=1)
    assert probed.any()
    assert set(np.unique(tuned.held_spend).round(6)) - set(range(13))  # mixtures of what went on and what did not


def test_imitators_tell_eight_actions_apart_and_always_answer():
    rng = np.random.default_rng(3)
    p = rng.uniform(0.2, 0.9, (80, 14))
    problem = Problem.of(Table((rng.random(p.shape) < p).astype(float), np.arange(1.0, 15)), X=rng.random((80, 3)))
    contestant = named(problem, "imitator", (3.0, 6.0))
    assert contestant.marks == ("distinguishes 8 of the 14 actions",)
    assert len(imitated_columns(problem.menu, (3.0, 6.0))) == 8
    best = int(problem.menu.mean_acc.argmax())
    assert best in imitated_columns(problem.menu, (3.0, 6.0))
    usual = Problem.of(Samples(coded(np.full(30, 0.1), 4, rng)), X=rng.random((30, 2)))
    assert usual.menu.names[0] == "nothing"
    assert 0 not in imitated_columns(usual.menu, (1.5,), nothing=False)
    tuned = named(usual, "imitator").fit(*first_fold(usual))
    assert tuned.held_spend.min() >= 1


def test_a_label_that_training_never_saw_is_like_all():
    rng = np.random.default_rng(2)
    codes = coded(rng.uniform(0.3, 1, 40), 5, rng)
    labels = np.array(["a", "b"] * 19 + ["rare", "rare"])
    problem = Problem.of(Samples(codes), difficulty=labels)
    tuned = named(problem, "difficulty label").fit(np.arange(38), np.arange(38, 40), 0)
    assert np.isfinite(tuned.held_accuracy).all()
    assert len(tuned.spend) > 1


# ---------------------------------------------------------------------------------------------- the user's own


class Least:
    """Can be set to a budget of 1 or more."""

    def at(self, budget):
        if budget < 1:
            raise BudgetError("a sample costs 1", 1.0)
        return MarginCap(1, int(budget))


def making(train, x, budget):
    return Least().at(budget)


class Set(Least):
    """The same, as a policy that is there."""

    def start(self, x):
        return MarginCap(1, 1).start(x)


@pytest.mark.parametrize("policy", [making, Set()], ids=["a function", "a policy with at"])
def test_a_budget_that_is_too_small_for_an_own_policy_is_left_out(signal, policy):
    fold = first_fold(signal)
    both = contestants_of(signal, (0.5, 2.0), [], {"mine": policy})[0][0].fit(*fold)
    alone = contestants_of(signal, (2.0,), [], {"mine": policy})[0][0].fit(*fold)
    assert both.spend.tolist() == [2.0]
    assert np.array_equal(both.held_accuracy, alone.held_accuracy)
    with pytest.raises(InputError, match=r"own\['mine'\] cannot keep any of the budgets \[0.25, 0.5\]: a sample costs"):
        contestants_of(signal, (0.25, 0.5), [], {"mine": policy})[0][0].fit(*fold)


# ---------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("which", ["signal", "routed"])
def test_no_policy_is_beyond_the_hindsight_bound(which, request):
    problem = request.getfixturevalue(which)
    fold = first_fold(problem)
    found = contestants_of(problem, (1.25, 3.0))[0]
    best = found[-1].fit(*fold)
    assert found[-1].name == "hindsight bound"
    for contestant in found[:-1]:
        tuned = contestant.fit(*fold)
        spend, accuracy = tuned.held_spend.mean(axis=1), tuned.held_accuracy.mean(axis=1)
        limit = np.interp(spend, best.held_spend.mean(axis=1), best.held_accuracy.mean(axis=1))
        assert (accuracy <= limit + 1e-9).all(), contestant.name


def test_the_oracle_held_out_is_above_the_mixture_and_does_not_score_what_chose():
    rng = np.random.default_rng(1)
    _, p = rates(200, rng)
    problem = Problem.of(Samples(coded(p, 12, rng)))
    oracle, mixture = reached(problem, "oracle, held out"), reached(problem, "best fixed mixture")
    assert (oracle.accuracy.mean(axis=1) > mixture.accuracy.mean(axis=1)).all()
    # Questions that are all alike: whoever scored on what chose would gain by noise alone.
    alike = Problem.of(Samples(coded(np.full(400, 0.6), 12, rng)))
    gain = reached(alike, "oracle, held out").accuracy[1] - reached(alike, "best fixed mixture").accuracy[1]
    assert abs(gain.mean()) < 4 * gain.std() / 20


# ---------------------------------------------------------------------------------------------- all of them


def outcome(tuned):
    claimed = np.empty(0) if tuned.claimed is None else tuned.claimed
    return [tuned.spend, tuned.accuracy, tuned.held_spend, tuned.held_accuracy, claimed]


def test_results_depend_neither_on_who_came_first_nor_on_the_process(routed):
    budgets, fold = (1.5, 3.0), first_fold(routed)
    found = {c.name: outcome(c.fit(*fold)) for c in contestants_of(routed, budgets)[0]}
    for contestant in reversed(contestants_of(routed, budgets)[0]):
        cache._KNOWN.clear()
        again = outcome(pickle.loads(pickle.dumps(contestant)).fit(*fold))
        assert all(np.array_equal(a, b) for a, b in zip(found[contestant.name], again, strict=True)), contestant.name


@pytest.mark.parametrize("which", ["signal", "routed"])
def test_outcomes_of_held_out_questions_choose_nothing(which, request):
    """Whatever is recorded of the held-out questions, what was learned and promised stays the same."""
    problem = request.getfixturevalue(which)
    train, held, seed = first_fold(problem)
    if problem.samples is None:
        acc = problem.menu.acc.copy()
        acc[held] = 1 - acc[held]
        other = Problem.of(Table(acc, problem.menu.cost), X=problem.given, difficulty=problem.labels)
    else:
        codes = problem.samples.answers.copy()
        codes[held] = np.where(codes[held] == 0, 1, 0)
        other = Problem.of(Samples(codes), X=problem.given, difficulty=problem.labels, orders=problem.orders)
    pairs = zip(contestants_of(problem, (1.5, 3.0))[0], contestants_of(other, (1.5, 3.0))[0], strict=True)
    for one, two in pairs:
        if one.kind == "bound":
            continue
        first, second = (c.fit(train, held, seed) for c in (one, two))
        assert np.array_equal(first.spend, second.spend), one.name
        assert np.array_equal(first.accuracy, second.accuracy), one.name
        assert (first.claimed is None) == (second.claimed is None)
        if first.claimed is not None:
            assert np.array_equal(first.claimed, second.claimed), one.name
        if one.beforehand:  # what it decides does not change either; here every action costs what it costs
            assert np.array_equal(first.held_spend, second.held_spend), one.name


RNG = np.random.default_rng(11)
CODES = coded(RNG.uniform(0.2, 1, 40), 6, RNG)
RAGGED = np.where(np.arange(6) < RNG.integers(1, 7, (40, 1)), CODES, -2)
DEGENERATE = {
    "five questions": Samples(CODES[:5]),
    "all right": Samples(np.zeros((30, 4), int)),
    "all wrong": Samples(np.ones((30, 4), int)),
    "no answers": Samples(np.full((30, 4), -1)),
    "one sample": Samples(CODES[:30, :1]),
    "fewer samples of some": Samples(RAGGED),
    "right and wrong alone": Samples(correct=CODES == 0),
    "two models, few samples of one": Samples(
        arms={"small": Samples(RAGGED, cost=1.0), "large": Samples(CODES[:, :1], cost=3.0)}
    ),
    "one action": Table((CODES[:, :1] == 0).astype(float), [1.0]),
    "a table, all right": Table(np.ones((30, 3)), [1, 2, 3]),
    "a table of five": Table((CODES[:5, :3] == 0).astype(float), [1, 2, 3]),
    "actions that are not everywhere": Table(
        (CODES[:, :3] == 0).astype(float),
        [1.0, 2, 3],
        available=np.column_stack([np.ones(40, bool), RNG.random((40, 2)) < 0.6]),
    ),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_data_give_numbers(case):
    data = DEGENERATE[case]
    n = len(data) if isinstance(data, Samples) else len(data.acc)
    for x in (None, [f"how many are {i} and {i * i % 7}?" for i in range(n)]):
        problem = Problem.of(data, X=x, difficulty=np.arange(n) % 3, orders=6)
        for contestant in contestants_of(problem, (1.0, 1.5))[0]:
            tuned = contestant.fit(*first_fold(problem))
            shape = (len(tuned.spend), len(first_fold(problem)[1]))
            for values in (tuned.spend, tuned.accuracy, tuned.held_spend, tuned.held_accuracy):
                assert np.isfinite(values).all(), contestant.name
            assert tuned.held_spend.shape == tuned.held_accuracy.shape == shape, contestant.name
            assert tuned.held_accuracy.min() >= 0, contestant.name
            assert tuned.held_accuracy.max() <= 1 + 1e-6, contestant.name


def test_on_a_real_table_the_figures_are_where_they_were(shared_data):
    with np.load(shared_data / "gsm8k_qwen25_1p5b_n30.npz") as table:
        problem = Problem.of(Samples(table["answer"].astype(int)), orders=30)
    margin, mixture = (reached(problem, name, (3.0,)) for name in ("margin + cap", "best fixed mixture"))
    assert mixture.accuracy.mean() == pytest.approx(0.708, abs=0.005)
    assert margin.accuracy.mean() == pytest.approx(0.745, abs=0.01)

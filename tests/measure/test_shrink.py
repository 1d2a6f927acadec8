"""Against the winner's curse: what shrunk tables claim where the truth is known, and how often intervals hold."""

import dataclasses
import math
import re

import numpy as np
import pytest

from tcalloc._student import quantile
from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure import Best, Claim, Samples, Table, Vote, classes, joint, shrink
from tcalloc.measure.claims import Trial
from tcalloc.measure.votes import independent_votes, tally, vote_accuracy

KS = (1, 3, 5, 9, 16)
BUDGETS = (1.5, 2.0, 3.0, 4.0)


def generate(rates, concentration, s, seed, n=1000):
    rng = np.random.default_rng(seed)
    p = rates(rng, n)[:, None]
    shares = np.column_stack([0.98 * p, 0.98 * (1 - p) * rng.dirichlet(np.full(8, concentration), n), np.full(n, 0.02)])
    edges = np.cumsum(shares, axis=1)
    edges[:, -1] = 1.0
    codes = (rng.random((n, s, 1)) > edges[:, None]).sum(axis=2)
    return np.where(codes == 9, -1, codes), shares


def chosen(values, plan):
    return values[np.arange(len(values)), plan.actions].mean()


SHAPES = {
    "easy or hopeless": (lambda rng, n: rng.beta(0.5, 0.3, n), 0.3),
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "middling": (lambda rng, n: rng.beta(5, 4, n), 1.0),
    "two kinds": (lambda rng, n: np.where(rng.random(n) < 0.4, 0.25, 0.9), 0.3),
}


@pytest.mark.parametrize("s", [16, 40])
@pytest.mark.parametrize("shape", SHAPES)
def test_claims_come_true_where_the_exact_expectation_flatters_itself(shape, s):
    gaps = {True: [], False: []}
    held = []
    for seed in range(4):
        codes, shares = generate(*SHAPES[shape], s, seed)
        truth = independent_votes(shares[:, 0], shares[:, -1], shares[:, 1:-1], KS)
        for how in gaps:
            table = Samples(codes).table([Vote(k) for k in KS], how)
            plans = [table.solve(budget) for budget in BUDGETS]
            gaps[how].append([plan.accuracy - chosen(truth, plan) for plan in plans])
            if how:
                for plan in plans:
                    low, high = table.interval(plan)
                    held.append(low <= chosen(truth, plan) <= high)
    shrunk, exact = (np.mean(gaps[how], axis=0) for how in (True, False))
    # Four repetitions leave .1 to .2 points of noise; bench/studies/winners_curse.py has fifty.
    assert np.abs(shrunk).max() < 0.006
    assert (np.abs(shrunk) < exact).all()
    assert np.mean(held) >= 0.5  # sixteen that depend on each other; the bench counts them properly


def test_pass_at_k_claims_come_true():
    gaps = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        p = rng.beta(0.4, 1.5, 1000)
        table = Samples(correct=rng.random((1000, 16)) < p[:, None]).table([Best(k) for k in (1, 2, 4, 8, 16)])
        truth = np.column_stack([1 - (1 - p) ** k for k in (1, 2, 4, 8, 16)])
        gaps.append([plan.accuracy - chosen(truth, plan) for plan in map(table.solve, BUDGETS)])
    assert np.abs(np.mean(gaps, axis=0)).max() < 0.005


def test_means_stay_those_of_the_exact_expectation():
    samples = Samples(load_recorded().answers["smollm2_135m"])
    actions = [Vote(k) for k in KS] + [Best(k) for k in (2, 8)]
    shrunk, exact = samples.table(actions), samples.table(actions, shrink=False)
    np.testing.assert_allclose(shrunk.acc.mean(axis=0), exact.acc.mean(axis=0), atol=2e-3)
    assert (shrunk.acc.std(axis=0) < exact.acc.std(axis=0)).all()
    assert (shrunk.acc >= 0).all()
    assert (shrunk.acc <= 1).all()


def test_the_same_samples_give_the_same_table_in_any_order():
    codes, _ = generate(*SHAPES["uniform"], 16, 0, n=300)
    actions = [Vote(k) for k in KS]
    first = Samples(codes).table(actions).acc
    assert Samples(codes).table(actions, threads=3).acc.tolist() == first.tolist()
    columns = np.random.default_rng(0).permutation(16)
    np.testing.assert_allclose(Samples(codes[:, columns]).table(actions).acc, first, atol=0.02)


def test_held_out_on_the_public_table(shared_data):
    with np.load(shared_data / "gsm8k_gpt4omini_n40.npz", allow_pickle=False) as archive:
        answers = archive["answer"]
    gaps = {True: [], False: []}
    reached = {True: [], False: []}
    for split in range(2):
        order = np.argsort(np.random.default_rng(split).random(answers.shape), axis=1)
        halves = [np.take_along_axis(answers, order[:, part], axis=1) for part in (slice(20), slice(20, 40))]
        for choosing, scoring in (halves, halves[::-1]):
            truth = np.column_stack([vote_accuracy(scoring, k) for k in KS])
            for how in gaps:
                table = Samples(choosing).table([Vote(k) for k in KS], how)
                plans = [table.solve(budget) for budget in BUDGETS]
                gaps[how].append([plan.accuracy - chosen(truth, plan) for plan in plans])
                reached[how].append([chosen(truth, plan) for plan in plans])
    assert np.abs(np.mean(gaps[True], axis=0)).max() < 0.003
    assert np.mean(gaps[False], axis=0).min() > 0.004
    assert (np.mean(reached[True], axis=0) > np.mean(reached[False], axis=0) - 0.001).all()


@pytest.mark.parametrize("s", [8, 16])
def test_votes_over_all_samples_neither_boast_nor_understate(s):
    # Three kinds of questions, wrong answers that gather on one, actions up to all samples: two estimates that differ.
    kinds = (lambda rng, n: rng.choice([0.05, 0.45, 0.97], n, p=[0.3, 0.3, 0.4])), 0.1
    ks = [k for k in KS if k <= s // 2] + [s]
    gaps = []
    for seed in range(4):
        codes, shares = generate(*kinds, s, seed)
        truth = independent_votes(shares[:, 0], shares[:, -1], shares[:, 1:-1], ks)
        table, exact = (Samples(codes).table([Vote(k) for k in ks], how) for how in (True, False))
        noise = (exact.acc - truth).mean(axis=0)
        for budget in (2.0, 4.0):
            plan = table.solve(budget)
            # What the actions' means are off by chance is no bias.
            gaps.append(plan.accuracy - chosen(truth, plan) - noise @ plan.counts / len(truth))
    assert np.abs(np.mean(np.reshape(gaps, (4, 2)), axis=0)).max() < 0.004


# ---------------------------------------------------------------------------------------------- its parts


def test_linear_by_hand():
    exact = np.array([[0.5, 0.9], [0.5, 0.5]])
    base = np.array([0.5, 0.5])
    drawn = np.ones((2, 8), bool)
    # Halves that agree perfectly leave everything, halves that do not agree leave the mean; w = 2r/(1 + r).
    np.testing.assert_allclose(shrink.linear(exact, base, 1.0, drawn), exact)
    np.testing.assert_allclose(shrink.linear(exact, base, 0.0, drawn), [[0.5, 0.7], [0.5, 0.7]])
    np.testing.assert_allclose(shrink.linear(exact, base, 1 / 3, drawn), [[0.5, 0.8], [0.5, 0.6]])
    np.testing.assert_allclose(shrink.linear(exact, base, math.nan, drawn), [[0.5, 0.8], [0.5, 0.6]])


def test_reliability_of_pure_signal_and_pure_noise():
    rng = np.random.default_rng(0)
    drawn = np.ones((500, 10), bool)
    drawn[:250, 6:] = False
    values = rng.normal(size=(500, 10))
    same = np.repeat(values[:, :1], 10, axis=1)

    def of(array):
        def mean(columns):
            some = np.where(columns >= 0, np.take_along_axis(array, np.maximum(columns, 0), axis=1), np.nan)
            return np.nanmean(some, axis=1)[:, None]

        return shrink.reliability(mean, drawn)

    assert of(same) == pytest.approx(1.0)
    assert of(values) < 0.1
    assert math.isnan(of(np.zeros((500, 10))))


def test_latent_votes_of_questions_that_are_alike():
    # One kind of question only: what differs is chance, and little of it is believed.
    codes, shares = generate(lambda rng, n: np.full(n, 0.6), 1e6, 16, 0)
    exact = np.column_stack([vote_accuracy(codes, k) for k in KS])
    found = shrink.matched(shrink.vote_mixture(tally(codes), exact, KS).means(), exact)
    assert (found.std(axis=0) < 0.4 * exact.std(axis=0)).all()
    del shares


def test_means_are_matched_where_there_is_doubt():
    found = shrink.matched(
        np.array([[0.0], [0.5], [0.9], [1.0], [0.2]]), np.array([[0.1], [0.9], [0.9], [0.9], [np.nan]])
    )
    assert found[[0, 3], 0].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    assert found[:4].mean() == pytest.approx(0.7, abs=1e-9)
    assert math.isnan(found[4, 0])
    assert found[1, 0] - 0.5 > found[2, 0] - 0.9 > 0
    # Means that nothing can reach: as near as it gets, and no overflow.
    assert shrink.matched(np.full((3, 1), 0.5), np.ones((3, 1))).min() > 0.99


def test_how_wrong_answers_split_is_partial_evidence():
    # One class whose wrong answers agree, one whose do not; a question that looks like the first.
    shares = np.array([[0.5, 0.0, 0.45, 0.05], [0.5, 0.0, 0.05, 0.45]])
    odds = np.divide(*shrink._belonging(np.array([[8.0, 0.0, 2.0, 0.0]]), shares, np.array([0.5, 0.5]))[0])
    assert odds == pytest.approx(9.0 ** (2 * shrink.EVIDENCE))


# ---------------------------------------------------------------------------------------------- several models


def models(rates, s, seed, *, votes=False):
    """Return samples of several models with these success rates (N, M)."""
    rng = np.random.default_rng(seed)
    right = rng.random((*rates.shape, s)) < rates[:, :, None]
    codes = np.where(right, 0, rng.integers(1, 6, right.shape))
    kind = (lambda m: Samples(codes[:, m])) if votes else (lambda m: Samples(correct=right[:, m]))
    return Samples(arms={f"m{m}": kind(m) for m in range(rates.shape[1])})


def specialists(rng, n):
    return np.where(rng.integers(0, 4, n)[:, None] == np.arange(4), 0.9, 0.3)


MODELS = {
    "specialists": (specialists, 0.015),
    "identical": (lambda rng, n: np.repeat(rng.random((n, 1)), 4, axis=1), 0.012),
    "five times 0.5": (lambda rng, n: np.full((n, 5), 0.5), 0.012),
    "opposite": (lambda rng, n: np.abs(rng.random((n, 1)) - [0, 1]), 0.015),
}


@pytest.mark.parametrize("world", MODELS)
def test_claims_of_several_models_come_true(world):
    make, bound = MODELS[world]
    gaps, flattery = [], []
    for seed in range(3):
        rates = make(np.random.default_rng([7, seed]), 300)
        samples = models(rates, 8, seed)
        table = samples.table([Best(1, f"m{m}") for m in range(rates.shape[1])])
        for found, estimate in ((gaps, table), (flattery, samples.table(table.actions, shrink=False))):
            plan = estimate.solve(1.0)
            # What the models' means are off by chance, in no direction, is no bias.
            off = (table.exact.mean(axis=0) - rates.mean(axis=0)).mean()
            found.append(estimate.claim(plan).accuracy - chosen(rates, plan) - off)
        claim = table.claim(table.solve(1.0))
        assert claim.population_low < claim.low < claim.accuracy < claim.high < claim.population_high
    assert abs(np.mean(gaps)) < bound
    # Specialists differ by so much that choosing among them hardly flatters.
    assert np.mean(flattery) > (0.0 if world == "specialists" else bound)


def test_votes_of_specialists_come_true():
    rates = specialists(np.random.default_rng(1), 500)
    samples = models(rates, 8, 2, votes=True)
    table = samples.table([Vote(k, f"m{m}") for m in range(4) for k in (1, 3, 8)])
    silent = np.zeros(rates.size)
    wrong = np.repeat((1 - rates.reshape(-1, 1)) / 5, 5, axis=1)
    truth = independent_votes(rates.reshape(-1), silent, wrong, [1, 3, 8]).reshape(500, 12)
    for budget in (1.0, 3.0, 8.0):
        plan = table.solve(budget)
        assert abs(table.claim(plan).accuracy - chosen(truth, plan)) < 0.02


def test_one_class_leaves_each_model_on_its_own():
    rng = np.random.default_rng(0)
    mixture = shrink.success_mixture(rng.binomial(8, rng.random(200)), np.full(200, 8), [3, 1])
    alone = mixture.means()
    everyone = np.ones((200, 1))
    weights = joint.conditional_weights(mixture, everyone)
    np.testing.assert_allclose(joint.conditional_means(mixture, everyone, weights, alone[:, 1]), alone, atol=1e-4)
    # Tilted to other rates, the posterior has them as its means.
    target = np.linspace(0.05, 0.95, 200)
    np.testing.assert_allclose(joint.conditional_means(mixture, everyone, weights, target)[:, 1], target, atol=1e-4)
    # Rates that no kind has give the nearest that the largest tilt reaches.
    some = dataclasses.replace(mixture, reached=0.2 + 0.6 * mixture.reached)
    found = joint.conditional_means(some, everyone, weights, target)[:, 1]
    np.testing.assert_allclose(found, np.clip(target, 0.2, 0.8), atol=0.03)


def test_kinds_and_levels_are_found():
    rng = np.random.default_rng(0)
    size = np.full((600, 4), 8)
    found = classes.fit_classes(rng.binomial(8, specialists(rng, 600)), size)
    kinds = len(found.shares) // found.levels
    assert kinds == 4
    best = found.rates.reshape(4, -1, 4).mean(axis=1)
    assert sorted(best.argmax(axis=1).tolist()) == [0, 1, 2, 3]
    assert best.max(axis=1) == pytest.approx([0.9] * 4, abs=0.06)
    # Models that never differ need one kind, and questions of all sorts several levels.
    found = classes.fit_classes(rng.binomial(8, np.repeat(rng.random((600, 1)), 4, axis=1)), size)
    assert len(found.shares) == found.levels > 2
    assert np.ptp(found.rates, axis=1).max() < 0.1
    assert len(classes.fit_classes(rng.binomial(8, np.full((600, 4), 0.5)), size).shares) == 1


def test_means_that_may_be_equal_become_equal():
    errors = np.full(5, 0.01)
    found = joint.drawn_together(np.array([0.49, 0.50, 0.505, 0.51, 0.90]), errors)
    assert np.ptp(found[:4]) < 0.004
    assert found[4] == pytest.approx(0.90, abs=0.002)
    apart = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(joint.drawn_together(apart, errors), apart, atol=0.002)
    # Rows stand alone, also where some means of a row are equal.
    rows = np.array([[0.49, 0.50, 0.505, 0.51, 0.90], apart, np.full(5, 0.5)])
    alone = [joint.drawn_together(row, errors) for row in rows]
    np.testing.assert_allclose(joint.drawn_together(rows, np.tile(errors, (3, 1))), alone, atol=1e-5)
    assert alone[2].tolist() == pytest.approx([0.5] * 5)


def test_differences_between_models_are_kept_as_far_as_they_predict():
    rng = np.random.default_rng(0)
    size = np.full((300, 3), 8)
    apart = joint.Together.of(rng.binomial(8, rng.random((300, 3))), size)
    alike = joint.Together.of(rng.binomial(8, np.repeat(rng.random((300, 1)), 3, axis=1)), size)
    assert apart.slopes[1] > 0.7
    assert alike.slopes[1] < 0.3
    assert np.abs(alike.luck()).mean() > 2 * np.abs(apart.luck()).mean()


# ---------------------------------------------------------------------------------------------- claims


def test_one_sample_of_one_model_has_the_binomial_interval():
    right = np.arange(881) < 603
    for samples in (Samples(correct=right[:, None]), Samples(np.where(right, 0, 1)[:, None])):
        for how in (True, False):
            table = samples.table([Best(1)] if samples.answers is None else [Vote(1)], how)
            assert (table.se > 0.4).all()
            claim = table.claim(table.solve(1.0))
            half = 1.96 * math.sqrt(603 / 881 * 278 / 881 / 881)
            for low, high in ((claim.low, claim.high), (claim.population_low, claim.population_high)):
                assert low == pytest.approx(603 / 881 - half, abs=5e-4)
                assert high == pytest.approx(603 / 881 + half, abs=5e-4)


def test_one_sample_of_several_models_has_an_interval_only_where_nothing_is_known():
    rng = np.random.default_rng(0)
    ability = rng.random((500, 1)) < 0.6
    actions = [Best(1, "m0"), Best(1, "m1")]
    shared = models(np.where(ability, 0.95, [0.1, 0.4]), 1, 0)
    table = shared.table(actions, shrink=False)
    plan = dataclasses.replace(table, cost=np.array([1.0, 3.0])).solve(2.0)
    claim = table.claim(plan)
    assert [math.isnan(x) for x in (claim.low, claim.high, claim.population_low, claim.population_high)] == [True] * 4
    assert "knows which model was right" in claim.why
    assert "nan" not in str(claim)
    assert "tcalloc compare" in str(claim)
    # One model for everybody is no choice: its outcomes are a fair sample.
    everybody = table.solve(1.0)
    everybody = dataclasses.replace(everybody, actions=np.zeros_like(everybody.actions))
    assert table.claim(everybody).why == ""
    # Nor is a mixture of models whose outcomes say nothing about each other.
    apart = models(np.broadcast_to([0.5, 0.7], (300, 2)), 1, 1).table(actions)
    plan = dataclasses.replace(apart, cost=np.array([1.0, 4.0])).solve(3.0)
    claim = apart.claim(plan)
    assert set(plan.actions.tolist()) == {0, 1}
    assert (claim.high - claim.low) / 2 == pytest.approx(1.96 * math.sqrt(0.23 / 300), rel=0.1)
    assert (claim.population_high - claim.population_low) / 2 == pytest.approx(0.054, abs=0.005)


@pytest.mark.parametrize("value", [True, False])
def test_no_interval_is_empty_where_all_samples_agreed(value):
    for s in (1, 4):
        table = Samples(correct=np.full((20, s), value)).table([Best(k) for k in (1, 2, 4) if k <= s])
        claim = table.claim(table.solve(1.0))
        assert 0.03 < claim.high - claim.low < 0.3
        assert claim.population_high - claim.population_low >= claim.high - claim.low - 1e-12
        assert "nan" not in str(claim)
    one = Samples(correct=[[value]]).table([Best(1)])
    assert "nan" not in str(one.claim(one.solve(1.0)))


@pytest.mark.parametrize("s", [1, 4])
def test_intervals_of_few_questions_hold(s):
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rates = rng.beta(3.0, 0.6, 20)
        table = Samples(correct=rng.random((20, s)) < rates[:, None]).table([Best(k) for k in (1, 2, 4) if k <= s])
        plan = table.solve(2.0)
        claim = table.claim(plan)
        true = 1 - (1 - rates) ** np.array([1, 2, 4])[plan.actions]
        held.append(
            (claim.low <= true.mean() <= claim.high, claim.population_low <= 3.0 / 3.6 <= claim.population_high)
        )
    # 90 % is promised; 60 draws leave 4 points of noise.
    assert np.mean([these for these, _ in held]) > 0.85
    if s == 1:
        assert np.mean([like for _, like in held]) > 0.85


def test_intervals():
    codes, _ = generate(*SHAPES["uniform"], 16, 0, n=400)
    table = Samples(codes).table([Vote(k) for k in KS])
    plan = table.solve(3.0)
    claim = table.claim(plan)
    assert isinstance(claim, Claim)
    assert claim.accuracy == pytest.approx(plan.accuracy)
    assert table.interval(plan) == (claim.low, claim.high)
    assert table.interval(plan, of="population") == (claim.population_low, claim.population_high)
    # Questions like these add the differences between questions.
    assert claim.population_low < claim.low < claim.accuracy < claim.high < claim.population_high
    wider = table.interval(plan, level=0.99)
    assert wider[0] < claim.low
    assert wider[1] > claim.high
    assert re.fullmatch(
        r"accuracy 0\.\d{4} \(95% interval: 0\.\d{4} to 0\.\d{4} on these questions, 0\.\d{4} to 0\.\d{4} on questions "
        r"like these\)",
        str(claim),
    )


def test_intervals_by_hand_and_weighted():
    acc, se = np.array([[0.5], [0.7]] * 20), np.array([[0.03], [0.04]] * 20)

    def half(table):
        low, high = table.interval(table.solve(1.0))
        return (high - low) / 2

    def expected(variance, size, samples):
        # Four imagined questions with the variance 1/4, sampled as often as the others are.
        return quantile(size - 1) * math.sqrt(variance + 4 * 0.25 / size**2 / samples)

    samples = (0.25 + 0.21) / (0.03**2 + 0.04**2)
    assert half(Table(acc, [1.0], se=se)) == pytest.approx(expected(0.025**2 * 2 / 40, 40, samples), rel=1e-6)
    weighted = Table(acc, [1.0], se=se, weights=[3.0, 1.0] * 20)
    samples = (3 * 0.25 + 0.21) / (3 * 0.03**2 + 0.04**2)
    variance = (0.75**2 * 0.03**2 + 0.25**2 * 0.04**2) / 20
    assert half(weighted) == pytest.approx(expected(variance, 32, samples), rel=1e-6)
    utilities = Table(10 * acc, [1.0], se=se)
    assert half(utilities) == pytest.approx(quantile(39) * 0.025 * math.sqrt(2 / 40), rel=1e-6)
    bare = Table(acc, [1.0])
    assert bare.claim(bare.solve(1.0)).population_low < 0.6
    assert "on these questions" not in str(bare.claim(bare.solve(1.0)))
    with pytest.raises(InputError, match="this table has no standard errors"):
        bare.interval(bare.solve(1.0))


def test_cross_fit():
    codes, _ = generate(*SHAPES["uniform"], 16, 0, n=300)
    samples = Samples(codes)
    actions = [Vote(k) for k in (1, 3, 5, 8)]
    table = samples.table(actions, shrink=False, cross_fit=3)
    assert len(table.trials) == 6
    assert isinstance(table.trials[0], Trial)
    plan = table.solve(2.5)
    claim = table.claim(plan)
    assert claim.cross_fitted
    assert "cross-fitted" in str(claim)
    # Chosen on all samples, the exact expectation flatters itself.
    assert claim.accuracy < plan.accuracy - 0.005
    # A split's halves are disjoint: together they are the samples.
    first, second = table.trials[0], table.trials[1]
    both = (first.choosing[:, 0] + second.choosing[:, 0]) / 2
    np.testing.assert_allclose(both, (codes == 0).mean(axis=1))
    assert (first.scoring == second.choosing).all()
    ragged = codes.copy()
    ragged[:5, 1:] = -2
    ragged[5:9, 5:] = -2
    found = Samples(ragged).table(actions, cross_fit=2)
    assert math.isfinite(found.claim(found.solve(2.5)).accuracy)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda table: table.claim(Table([[1.0]], [1]).solve(1.0)),
            "plan has 1 instance and 1 action, but the table",
        ),
        (lambda table: table.claim(table.solve(1.0), level=95), "level is 95; expected a number between 0 and 1"),
        (lambda table: table.interval(table.solve(1.0), of="all"), "of is 'all'; allowed are 'questions' and"),
        (lambda table: Table(table.acc, [1.0], se=[[0.1]]), "se has shape (1, 1), but acc has (2, 1)."),
        (lambda table: Table(table.acc, [1.0], se=[[0.1], [-1]]), "se[1, 0] is -1.0; expected a finite number"),
        (lambda table: Table(table.acc, [1.0], exact=[[0.1]]), "exact has shape (1, 1); expected (2, 1)"),
        (lambda table: Table(table.acc, [1.0], single=[True, False]), "single has shape (2,); expected (1,)"),
        (lambda table: Table(table.acc, [1.0], se=[["x"], [1]]), "se cannot be converted to an array"),
    ],
)
def test_bad_claims(call, message):
    with pytest.raises(InputError, match=re.escape(message)):
        call(Table([[0.5], [0.7]], [1.0]))

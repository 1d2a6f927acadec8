"""The rivals: against the authors' packages where they are installed, against their formulas, and run by run."""

import importlib.util
import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.learn import rivals
from tcalloc.learn.protocol import Policy, Result, Run
from tcalloc.learn.replay.all_orders import TOP, States
from tcalloc.learn.rivals import (
    ESC,
    SPRT,
    AdaptiveConsistency,
    FixedK,
    MarginCap,
    SuccessStop,
    families,
)
from tcalloc.learn.rivals.adaptive_consistency import beta_criterion, dirichlet_criterion
from tcalloc.learn.rivals.serialize import RULES
from tcalloc.measure import Best, Vote


def drawn(policy, answers, correct=None):
    """Feed one stream of answers; return the run and how many samples each draw asked for."""
    run, asked, at = policy.start("a question"), [], 0
    while (draw := run.next()) is not None:
        part = answers[at : at + draw.n]
        marks = [None] * len(part) if correct is None else correct[at : at + draw.n]
        run.add([Result(answer, 1.0, mark) for answer, mark in zip(part, marks, strict=True)])
        at += len(part)
        asked.append(draw.n)
        if not part:
            break
    return run, asked


def states_of(counts):
    counts = np.array([list(row) + [0] * (TOP - len(row)) for row in counts])
    total = counts.sum(axis=1)
    return States(total, total, counts, (counts > 0).sum(axis=1), np.zeros_like(total), np.zeros(len(total), bool))


# ---------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 0), (4, 2), (7, 7), (25, 12), (40, 0)])
def test_beta_criterion_is_the_integral_of_the_paper(first, second):
    # ∫_½^1 x^a (1 − x)^b dx / B(a + 1, b + 1), term by term with fractions
    def integral(low, high):
        return sum(
            Fraction((-1) ** j * math.comb(second, j), first + j + 1)
            * (high ** (first + j + 1) - low ** (first + j + 1))
            for j in range(second + 1)
        )

    half = Fraction(1, 2)
    exact = integral(half, Fraction(1)) / integral(Fraction(0), Fraction(1))
    found = beta_criterion(np.array([first]), np.array([second]))[0]
    assert found == pytest.approx(float(exact), abs=1e-14)


@pytest.mark.parametrize(
    "counts", [(1, 1, 1, 0, 0), (2, 1, 1, 0, 0), (3, 2, 1, 1, 1), (9, 4, 1, 0, 0), (20, 10, 5, 4, 1), (1, 1, 1, 1, 1)]
)
def test_dirichlet_criterion_is_the_exact_expansion(counts):
    # Σ over subsets of the others of (−1)^|T| ∫ x^{c₁} e^{−x}/c₁! Π_{j ∈ T} e^{−x} Σ_{i ≤ c_j} x^i/i! dx, in fractions
    others = [c for c in counts[1:] if c]
    exact = Fraction(0)
    for size in range(len(others) + 1):
        for chosen in itertools.combinations(others, size):
            polynomial = {0: Fraction(1)}
            for c in chosen:
                product = {}
                for degree, value in polynomial.items():
                    for i in range(c + 1):
                        product[degree + i] = product.get(degree + i, Fraction(0)) + value / math.factorial(i)
                polynomial = product
            for degree, value in polynomial.items():
                power = counts[0] + degree
                exact += (
                    (-1) ** size
                    * value
                    * Fraction(math.factorial(power), math.factorial(counts[0]) * (1 + size) ** (power + 1))
                )
    assert dirichlet_criterion(np.array([counts]))[0] == pytest.approx(float(exact), abs=1e-12)


def test_dirichlet_criterion_agrees_with_drawing_and_with_beta_below_three_answers():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([5, 3, 3, 2], 200_000)
    drawn_share = (shares.argmax(axis=1) == 0).mean()
    assert dirichlet_criterion(np.array([[4, 2, 2, 1, 0]]))[0] == pytest.approx(drawn_share, abs=0.005)
    two = np.array([[5, 2, 0, 0, 0], [3, 0, 0, 0, 0]])
    assert dirichlet_criterion(two) == pytest.approx(beta_criterion(two[:, 0], two[:, 1]), abs=0)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.5001, 0.95), st.floats(0.01, 0.4), st.floats(0.01, 0.5))
def test_sprt_accepts_where_walds_bounds_are_reached(first, second, p1, alpha, beta):
    first, second = max(first, second, 1), min(first, second)
    ratio = first * math.log(p1 / 0.5) + second * math.log((1 - p1) / 0.5)
    low, high = math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha)
    if min(abs(ratio - low), abs(ratio - high)) < 1e-9:
        return
    found = SPRT(p1, alpha, beta).measure(states_of([(first, second)]))[0]
    assert found == float(ratio >= high or ratio <= low)


def test_sprt_at_the_papers_setting_is_a_margin_of_three():
    grid = [(first, second) for first in range(1, 41) for second in range(first + 1) if first + second <= 40]
    found = SPRT().measure(states_of(grid))
    assert found.tolist() == [float(first - second >= 3) for first, second in grid]


# ---------------------------------------------------------------------------------------------- the authors' packages


def test_beta_and_dirichlet_agree_with_the_authors_package():
    package = pytest.importorskip("adaptive_consistency", reason="PyPI package AdaptiveConsistency is not installed")
    beta = package.BetaStoppingCriteria()
    for first, second in [(1, 0), (3, 0), (5, 2), (12, 11), (30, 10)]:
        answers = ["a"] * first + ["b"] * second
        ours = beta_criterion(np.array([first]), np.array([second]))[0]
        assert beta.should_stop(answers)["prob"] == pytest.approx(ours, abs=1e-7)
        assert beta.should_stop(answers)["stop"] == (ours >= 0.95)
    # By quadrature: the package's Monte Carlo makes arrays of lists of unequal lengths, as NumPy did before 1.24.
    dirichlet = package.DirichletStoppingCriteria(use_markov=False)
    for counts in [(2, 1, 1), (4, 2, 1), (9, 3, 1), (6, 2, 2, 1)]:
        answers = [letter for letter, count in zip("abcde", counts, strict=False) for _ in range(count)]
        ours = dirichlet_criterion(np.array([[*counts, 0, 0][:5]]))[0]
        assert dirichlet.should_stop(answers)["prob"] == pytest.approx(ours, abs=0.01)


def consols_tests():
    """Load the one module of `consol` that holds its tests: the package itself imports clients of five vendors."""
    pytest.importorskip("pydantic", reason="pydantic, which consol needs, is not installed")
    found = importlib.util.find_spec("consol")
    if found is None or not found.submodule_search_locations:
        pytest.skip("PyPI package consol is not installed")
    path = Path(next(iter(found.submodule_search_locations))) / "confidence_models.py"
    spec = importlib.util.spec_from_file_location("consol_confidence_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sprt_agrees_with_the_authors_package():
    models = consols_tests()
    ours = SPRT()
    theirs = models.SprtConfidenceModel()
    for first in range(1, 30):
        for second in range(first + 1):
            assert bool(ours.measure(states_of([(first, second)]))[0]) == bool(theirs.test(first, second))
    for p1, alpha, beta in [(0.7, 0.05, 0.2), (0.6, 0.1, 0.1), (0.9, 0.01, 0.3)]:
        theirs = models.SprtConfidenceModel(p1=p1, alpha=alpha, beta=beta)
        for first, second in [(1, 0), (3, 1), (5, 5), (9, 2), (12, 12), (20, 1)]:
            mine = SPRT(p1, alpha, beta).measure(states_of([(first, second)]))[0]
            assert bool(mine) == bool(theirs.test(first, second))


# ---------------------------------------------------------------------------------------------- run by run


def test_fixed_k_draws_at_once_and_votes():
    run, asked = drawn(FixedK(5), ["a", "b", "b", None, "a", "b"])
    assert asked == [5]
    assert (run.answer, run.spend, run.vote_share) == ("a", 5.0, 0.4)  # a tie goes to the answer that came first
    run, asked = drawn(FixedK(0), ["a"])
    assert (asked, run.answer, run.spend, run.vote_share) == ([], None, 0.0, 0.0)


def test_success_stop_ends_at_the_first_right_sample():
    run, asked = drawn(SuccessStop(5), ["a", "b", "c", "d"], [False, False, True, True])
    assert (asked, run.answer, run.vote_share) == ([1, 1, 1], "c", 1.0)
    run, asked = drawn(SuccessStop(2), ["a", "b", "c"], [False, False, True])
    assert (asked, run.answer, run.vote_share) == ([1, 1], "a", 0.0)


def test_adaptive_consistency_stops_at_its_confidence():
    run, asked = drawn(AdaptiveConsistency(0.95), ["a"] * 9)
    assert asked == [1, 1, 1, 1]  # (3, 0) is .9375, (4, 0) .96875
    assert run.vote_share == 1.0
    run, asked = drawn(AdaptiveConsistency(0.95, criterion="dirichlet"), ["a", "b", "c", *"aaaaaaaa"])
    at = next(a for a in range(1, 9) if dirichlet_criterion(np.array([[a, 1, 1, 0, 0]]))[0] >= 0.95)
    assert len(asked) == at + 2
    assert drawn(AdaptiveConsistency(1.0, cap=7), ["a"] * 9)[1] == [1] * 7


def test_adaptive_consistency_does_not_stop_without_an_answer():
    assert len(drawn(AdaptiveConsistency(0.4, cap=6), [None] * 9)[1]) == 6
    assert len(drawn(AdaptiveConsistency(0.4, cap=6), [None, None, "a"])[1]) == 3


def test_esc_looks_at_whole_windows_and_votes_over_all():
    run, asked = drawn(ESC(3, 10), ["a", "b", "b", "b", "b", "b", "c"])
    assert (asked, run.answer) == ([3, 3], "b")  # the streak of three that crosses windows does not count
    assert drawn(ESC(3, 10), ["a", None, "a", "a", "a", "a"])[1] == [3, 3]
    assert drawn(ESC(4, 10), list("abababababab"))[1] == [4, 4, 2]
    run, _ = drawn(ESC(2, 40), ["a", "c", "a", "d", "a", "e", "b", "b"])
    assert run.answer == "a"


def test_margin_stops_at_its_margin_and_draws_what_it_lacks():
    run, asked = drawn(MarginCap(3, 40), ["a", "b", "a", "a", "a", "a"])
    assert (asked, run.spend) == ([3, 2], 5.0)
    assert sum(drawn(MarginCap(3, 6), list("abababab"))[1]) == 6


@settings(max_examples=150)
@given(
    st.sampled_from(
        [MarginCap(2, 12), MarginCap(4, 20), SPRT(0.7, 0.1, 0.3, 20), SPRT(cap=20), SPRT(0.9, 0.05, 0.4, 20)]
    ),
    st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=24, max_size=24),
)
def test_batches_stop_where_one_by_one_would(policy, answers):
    single = type(policy)(**{name: getattr(policy, name) for name in policy.__dataclass_fields__})
    alone, n = single.start("x"), 0
    while n < policy.cap and not (n and policy.measure(alone._state())[0] >= policy.threshold):
        alone._asked = True
        alone.add([Result(answers[n], 1.0)])
        n += 1
    assert sum(drawn(policy, answers)[1]) == n


def test_runs_are_runs_and_end_when_nothing_comes():
    for name, policies in {**families(6), **families(6, verifier=True)}.items():
        for policy in policies:
            assert isinstance(policy, Policy), name
            run = policy.start(np.arange(3.0))
            assert isinstance(run, Run)
            if run.next() is not None:
                run.add([])
                assert (run.next(), run.answer, run.spend, run.vote_share) == (None, None, 0.0, 0.0)


def test_add_before_next_is_refused():
    with pytest.raises(InputError, match=r"add: nothing was asked for. Call next\(\) first"):
        FixedK(3).start("x").add([])


def test_families_hold_every_rival_and_the_papers_defaults():
    votes = families(40, model="small")
    assert set(votes) == {"fixed k", "AC Beta", "AC Dirichlet", "ESC", "SPRT", "margin + cap"}
    assert ESC(5, 40, Vote(1, "small")) in votes["ESC"]
    assert all(policy.action.model == "small" and policy.cap <= 40 for some in votes.values() for policy in some)
    public = {kind for kind in vars(rivals).values() if isinstance(kind, type) and issubclass(kind, rivals.Counting)}
    assert set(RULES.values()) == public - {rivals.Counting}  # what a saved policy may hold
    assert set(families(10, verifier=True)) == {"fixed k", "fixed k, success stop"}
    assert families(3, verifier=True)["fixed k, success stop"][3] == SuccessStop(3, Best(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedK(-1), "cap is -1; expected a whole number, at least 0"),
        (lambda: FixedK(2.5), "cap is 2.5; expected a whole number"),
        (lambda: FixedK(True), "cap is True"),
        (lambda: FixedK(1, "vote"), "action is 'vote'; expected an action"),
        (lambda: MarginCap(2, 4, Best(1, by="score")), "whose answer does not follow from counts"),
        (lambda: AdaptiveConsistency(1.2), "confident is 1.2; expected a number from 0 to 1"),
        (lambda: AdaptiveConsistency(float("nan")), "confident is nan"),
        (lambda: AdaptiveConsistency(criterion="gamma"), "criterion is 'gamma'; allowed are 'beta' and 'dirichlet'"),
        (lambda: AdaptiveConsistency(cap=0), "cap is 0; expected a whole number, at least 1"),
        (lambda: ESC(0), "window is 0"),
        (lambda: MarginCap(0), "margin is 0"),
        (lambda: SPRT(0.5), "p1 is 0.5; expected a number between 0.5 and 1"),
        (lambda: SPRT(0.6, 0.6, 0.5), r"alpha \+ beta is 1.1; expected less than 1"),
        (lambda: families(0), "size is 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()

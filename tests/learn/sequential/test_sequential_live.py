"""`Sequential` live: runs do what replays say, whatever answers are called, and refuse what they cannot use."""

import functools
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import tcalloc
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Result
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.sequential import Sequential
from tcalloc.learn.sequential.replay import replayed
from tcalloc.learn.sequential.selection import Mixture
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.measure import Samples, Vote

ORDERS = 3


def codes(n, s, seed, low=0.0, high=1.0, silent=0.0):
    rng = np.random.default_rng(seed)
    found = np.where(rng.random((n, s)) < rng.uniform(low, high, (n, 1)), 0, rng.integers(1, 5, (n, s)))
    return np.where(rng.random((n, s)) < silent, -1, found)


def extras(answers, seed):
    """Return what else may be recorded, all of it telling a little: lengths with fractions, some values unknown."""
    rng = np.random.default_rng([seed, 1])
    right = answers == 0
    tokens = np.exp(4 + right + rng.normal(0, 0.5, answers.shape))
    logprobs = np.where(rng.random(answers.shape) < 0.1, np.nan, right * 2.0 - 3.0 + rng.normal(0, 1, answers.shape))
    return {"tokens": tokens, "logprobs": logprobs}


def scores(answers, seed, unknown=0.0):
    rng = np.random.default_rng([seed, 2])
    found = (answers == 0) + rng.normal(0, 0.7, answers.shape)
    return np.where(rng.random(answers.shape) < unknown, np.nan, found)


def ragged(answers, seed):
    size = np.random.default_rng([seed, 3]).integers(0, answers.shape[1] + 1, len(answers))
    return np.where(np.arange(answers.shape[1]) < size[:, None], answers, -2)


def priced(answers, seed, mean=1.0):
    return mean * np.random.default_rng([seed, 4]).uniform(0.5, 1.5, answers.shape)


def two(n, seed, make):
    small, large = codes(n, 7, seed, high=0.8), codes(n, 5, seed + 100, low=0.3)
    return Samples(arms={"large": Samples(**make(large, seed + 100), cost=priced(large, seed, 4.0)),
                         "small": Samples(**make(small, seed), cost=priced(small, seed + 1))})  # fmt: skip


def answers_of(a, seed):
    return {"answers": a}


def marks_of(a, seed):
    return {"correct": a == 0}


# What is recorded of n questions, and what policy is made of it. Of each kind there are others to replay.
KINDS = {
    "votes": (lambda n, s: Samples(codes(n, 7, s)), {}),
    "votes, silent": (lambda n, s: Samples(codes(n, 7, s, silent=0.3)), {"waves": (1, 2)}),
    "votes, ragged": (lambda n, s: Samples(ragged(codes(n, 7, s), s)), {"waves": (1, 3)}),
    "votes, cap": (lambda n, s: Samples(a := codes(n, 7, s), cost=priced(a, s)), {"cap": 4.2, "waves": (1, 2)}),
    "votes, free": (lambda n, s: Samples(codes(n, 5, s), cost=0.0), {"cap": 1.0}),
    "weighted votes": (lambda n, s: Samples(a := codes(n, 7, s, 0.3, 0.8, 0.1), **extras(a, s)), {}),
    "verifier, answers": (
        lambda n, s: Samples(a := codes(n, 7, s, high=0.5), **extras(a, s)), {"answer_by": "verifier"}),
    "verifier, answers, silent": (
        lambda n, s: Samples(a := codes(n, 7, s, high=0.4, silent=0.4), **extras(a, s)), {"answer_by": "verifier"}),
    "verifier, one wrong answer, silent": (
        lambda n, s: Samples(a := np.minimum(codes(n, 7, s, high=0.4, silent=0.4), 1), **extras(a, s)),
        {"answer_by": "verifier"}),
    "verifier, only right answers": (
        lambda n, s: Samples(np.where((a := codes(n, 7, s, high=0.4)) > 0, -1, 0), **extras(a, s)),
        {"answer_by": "verifier"}),
    "verifier, right and wrong": (
        lambda n, s: Samples(correct=(a := codes(n, 7, s, high=0.4)) == 0, **extras(a, s)),
        {"answer_by": "verifier", "waves": (1, 2)}),
    "scores": (lambda n, s: Samples(a := codes(n, 7, s), scores=scores(a, s)), {"answer_by": "score"}),
    "scores, some unknown": (
        lambda n, s: Samples(a := codes(n, 7, s, silent=0.2), scores=scores(a, s, 0.3)), {"answer_by": "score"}),
    "scores, right and wrong": (
        lambda n, s: Samples(correct=(a := codes(n, 7, s)) == 0, scores=scores(a, s)), {"answer_by": "score"}),
    "two models": (lambda n, s: two(n, s, answers_of), {}),
    "two models, weighted": (lambda n, s: two(n, s, lambda a, t: {"answers": a, **extras(a, t)}), {}),
    "two models, cap": (lambda n, s: two(n, s, answers_of), {"cap": 9.0, "waves": (1, 2)}),
    "two models, verifier, answers": (lambda n, s: two(n, s, answers_of), {"answer_by": "verifier"}),
    "two models, verifier, right and wrong": (lambda n, s: two(n, s, marks_of), {"answer_by": "verifier"}),
    "two models, verifier, answers of one": (
        lambda n, s: two(n, s, lambda a, t: answers_of(a, t) if t < 100 else marks_of(a, t)),
        {"answer_by": "verifier"}),
    "two models, scores": (
        lambda n, s: two(n, s, lambda a, t: {"answers": a, "scores": scores(a, t)}), {"answer_by": "score"}),
}  # fmt: skip
MARKS = [kind for kind in KINDS if "right and wrong" in kind or "answers of one" in kind]


@functools.cache
def trained(kind, seed=0, n=52):
    make, parameters = KINDS[kind]
    most = {"small": 4, "large": 2} if "two" in kind else 5
    return Sequential(budget=3.0, most=most, random_state=seed, **parameters).fit(None, make(n, seed))


@functools.cache
def stocked(budget=3.0, seed=0, **parameters):
    return Sequential(budget, random_state=seed, most=6, **parameters).fit(None, STOCK)


def rules(policy, budgets):
    """Return each of the two rules that are mixed at some budgets, of the family chosen and of all others."""
    choices = policy._trained.choices
    found = {(m.candidate, rule) for budget in budgets for m in [choices.at(budget)] for rule in (m.low, m.high)}
    for c, hull in enumerate(choices.hulls):
        low, high, _ = hull.mix(budgets[-1])
        found |= {(c, low), (c, high)}
    return [Mixture(c, rule, rule, 0.0) for c, rule in sorted(found)]


def live(policy, samples, row, order, name, combine):
    """Drive a run by hand with recorded samples in a given order; return it, its rounds, and what its answer scores."""
    run, place, rounds, sold = policy.start(f"q{row}"), dict.fromkeys(samples.by_model, 0), 0, []
    while (draw := run.next()) is not None:
        arm = draw.action.model or ""
        model = samples.by_model[arm]
        there = [c for c in order[arm][row] if model.drawn[row, c]][place[arm] : place[arm] + draw.n]
        place[arm] += len(there)
        came = []
        for column in there:
            right = bool(model.correct[row, column])
            cost = 1.0 if model.cost is None else float(np.broadcast_to(model.cost, model.drawn.shape)[row, column])
            answer = name(None if model.answers is None else int(model.answers[row, column]), right, len(sold))
            known = {key: None if values is None or np.isnan(values[row, column]) else float(values[row, column])
                     for key, values in (("score", model.scores), ("logprob", model.logprobs))}  # fmt: skip
            length = None if model.tokens is None else int(model.tokens["output"][row, column])
            came.append(Result(answer, cost, right if combine == "verifier" else None, **known, tokens=length))
            sold.append((arm, column, came[-1], right))
        rounds += bool(came)
        run.add(came)
    return run, rounds, sold


def score(policy, run, sold, combine, weighted):
    """Return what a run's answer scores, by what it was sold alone; ties of votes in even shares."""
    answered = [(result, right) for _, _, result, right in sold if result.answer is not None]
    if combine == "verifier":
        return float(any(right for *_, right in sold))
    if combine == "score":
        best = max(answered, key=lambda one: -1e300 if one[0].score is None else one[0].score, default=(None, False))
        assert run.answer == (None if best[0] is None else best[0].answer)
        return float(best[1])
    reading, votes = policy._trained.reading, {}
    for arm, _, result, right in sold:
        if result.answer is not None:
            a = reading.arms.index(arm)
            weight = float(reading.weights(reading.of_result(result, a), a, weighted))
            votes[result.answer] = (votes.get(result.answer, (0.0, right))[0] + weight, right)
    top = max((weight for weight, _ in votes.values()), default=0.0)
    tied = [answer for answer, (weight, _) in votes.items() if weight >= top * (1 - 1e-12)]
    assert run.answer == (tied[0] if tied else None)
    assert run.vote_share == pytest.approx(top / sum(weight for weight, _ in votes.values()) * len(answered) / len(sold)
                                           if votes else 0.0)  # fmt: skip
    return sum(votes[answer][1] for answer in tied) / max(len(tied), 1)


def as_recorded(code, right, place):
    """Return an answer's text; where only right and wrong are known, each sample is an answer of its own."""
    return f"sample {place}" if code is None else None if code < 0 else f"answer {code}"


NAMES = {
    "each its own": lambda code, right, place: f"sample {place}",
    "one for all": lambda code, right, place: "the same",
    "right or none": lambda code, right, place: "right" if right else None,
    "right or wrong": lambda code, right, place: int(not right),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_live_runs_both_replays_and_each_mixed_rule_agree(kind, seed):
    policy = trained(kind, seed)
    samples = KINDS[kind][0](10, seed + 50)
    combine = policy._trained.settings.combine
    orders = {arm: random_orders(model.drawn, ORDERS, 9) for arm, model in samples.by_model.items()}
    for mixture in rules(policy, (0.7, 2.0, 4.0)):
        rule = policy.at(3.0)
        rule._mixture = mixture
        fast = replayed(policy._trained, [mixture], samples, None, ORDERS, 9)
        given = replayed(policy._trained, [mixture], samples, None, 1, 0, orders)
        metered = replay(rule, samples, orders=ORDERS, random_state=9, verifier=combine == "verifier")
        np.testing.assert_allclose(given.spend, fast.spend)
        np.testing.assert_allclose(metered.spend, fast.spend[0], atol=1e-9)
        np.testing.assert_allclose(metered.rounds, fast.rounds[0], atol=1e-9)
        totals = np.zeros((3, len(samples)))
        weighted = policy._trained.choices.candidates[mixture.candidate].family.weighted
        for r in range(ORDERS):
            order = {arm: found[r] for arm, found in orders.items()}
            for row in range(len(samples)):
                run, rounds, sold = live(rule, samples, row, order, as_recorded, combine)
                assert run.rounds == rounds
                totals[:, row] += run.spend, score(policy, run, sold, combine, weighted), rounds
        for found, total in zip((fast.spend, fast.accuracy, fast.rounds), totals / ORDERS, strict=True):
            np.testing.assert_allclose(total, found[0], atol=1e-6)
        if combine != "vote":  # where nothing is tied, also the answers' marks are the same
            np.testing.assert_allclose(metered.accuracy, fast.accuracy[0], atol=1e-6)


@pytest.mark.parametrize("kind", [*MARKS, "verifier, only right answers"])
def test_answers_that_were_not_known_in_training_are_not_read_live(kind):
    policy = trained(kind)
    samples = KINDS[kind][0](12, 60)
    combine = policy._trained.settings.combine
    order = {arm: random_orders(model.drawn, 1, 0)[0] for arm, model in samples.by_model.items()}
    drawn = 0
    for mixture in rules(policy, (0.7, 2.0, 4.0)):
        rule = policy.at(3.0)
        rule._mixture = mixture
        for row in range(len(samples)):
            spent = set()
            for which, name in NAMES.items():
                if combine == "score" and which == "right or none":
                    continue  # without an answer its score does not count, which is another sample
                run, _, sold = live(rule, samples, row, order, name, combine)
                spent.add((run.spend, run.rounds))
                drawn += len(sold)
                won = next((result.answer for _, _, result, right in sold if right), None)
                if combine == "verifier" and won is not None:
                    assert run.answer == won
                    assert run.vote_share == 1.0
            assert len(spent) == 1
    assert drawn > 50


def test_what_answers_tell_is_what_recorded_ones_did():
    wrong = Samples([[1, 1, 0], [2, 2, 2]])
    assert Reading.fit(wrong, ("",)).tells == "which"
    assert Reading.fit(wrong, ("",), combine="verifier").tells == "nothing"
    assert Reading.fit(wrong, ("",), combine="score").tells == "which"
    assert Reading.fit(Samples([[1, -1, 0], [2, 2, -2]]), ("",), combine="verifier").tells == "whether"
    assert Reading.fit(Samples([[1, 2, 0], [2, 2, 2]]), ("",), combine="verifier").tells == "which"
    assert Reading.fit(Samples([[-1, 0], [0, -2]]), ("",), combine="verifier").tells == "nothing"
    assert Reading.fit(Samples(correct=[[True, False]]), ("",), combine="verifier").tells == "nothing"


def test_what_a_verifier_accepts_without_a_name_is_no_other_answer():
    run = trained("verifier, right and wrong").at(4.0).start("q")
    run.next()
    run.add([Result("wrong", 1.0, False)])
    if run.next() is None:
        pytest.skip("the rule draws one")
    run.add([Result(None, 1.0, True)])
    assert (run.next(), run.answer, run.vote_share) == (None, None, 1.0)


# ------------------------------------------------------------------------------------- saved before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "verifier" in kind or kind == "votes"])
def test_a_policy_saved_before_reads_what_its_training_knew(kind, tmp_path):
    policy = trained(kind)
    meta, arrays, _ = policy._state()
    assert meta["trained"].pop("tells") == policy._trained.reading.tells
    del meta["trained"]["unscored"]
    back = Sequential._from_state(meta, arrays, {})
    samples = KINDS[kind][0](10, 70)
    one, two = (p.replay(None, samples, budgets=[1.0, 3.0]) for p in (policy, back))
    np.testing.assert_allclose(one.spend, two.spend, atol=1e-5)
    if policy._trained.reading.tells == "nothing":
        assert back._trained.reading.tells == "nothing"
    policy.save(tmp_path / "p")
    assert tcalloc.load_policy(tmp_path / "p")._trained.reading.tells == policy._trained.reading.tells


def test_what_a_saved_policy_says_is_checked():
    meta, arrays, _ = trained("votes")._state()
    with pytest.raises(InputError, match="deadline is 0"):
        Sequential._from_state(meta | {"parameters": meta["parameters"] | {"deadline": 0.0}}, arrays, {})
    with pytest.raises(InputError, match="budget is -1"):
        Sequential._from_state(meta | {"budget": -1.0}, arrays, {})
    meta["trained"]["tells"] = "all"
    with pytest.raises(InputError, match="tell 'all'"):
        Sequential._from_state(meta, arrays, {})


# ------------------------------------------------------------------------------------- the lot without x


def spends(policy, runs):
    found = []
    for i in range(runs):
        run, order = policy.start(), np.random.default_rng(i)
        recorded = iter(order.permutation(STOCK.answers[i % len(STOCK)]))
        while (draw := run.next()) is not None:
            run.add([Result(int(next(recorded)), 1.0) for _ in range(draw.n)])
        found.append(run.spend)
    return np.array(found)


STOCK = Samples(codes(60, 8, 0))


@pytest.mark.parametrize("budget", [0.5, 2.0])
def test_without_x_the_mean_spend_over_runs_is_the_budget(budget):
    found = np.array([spends(stocked(seed=seed).at(budget), 240) for seed in range(3)])
    assert np.abs(found.mean(axis=1) - budget).max() < 0.2 * budget
    assert (found[0] != found[1]).any()
    again = Sequential(budget, random_state=0, most=6).fit(None, STOCK)
    np.testing.assert_array_equal(spends(again, 240), found[0])
    assert (spends(again, 240) != found[0]).any()  # it goes on, and begins anew at another budget
    np.testing.assert_array_equal(spends(again.at(budget), 240), found[0])


def test_the_same_question_gets_the_same_lot():
    policy = stocked().at(0.5)
    policy.start()
    lots = [[policy.start(f"q{i}").next() is None for i in range(200)] for _ in range(2)]
    assert lots[0] == lots[1]
    assert 60 < sum(lots[0]) < 140


# ------------------------------------------------------------------------------------- limits that leave nothing


def test_a_cap_below_any_sample_is_refused():
    with pytest.raises(InputError, match=r"cap is 0.5, but a sample costs up to 1 .* at least 1,"):
        Sequential(3.0, cap=0.5).fit(None, STOCK)
    models = two(40, 0, answers_of)
    cheapest = float(models.arms["small"].cost.max())
    with pytest.raises(InputError, match=f"a sample of small costs up to {cheapest:g}"):
        Sequential(3.0, cap=cheapest - 0.01).fit(None, models)
    some = Sequential(3.0, cap=cheapest + 0.01, most=1).fit(None, models)
    assert some.replay(None, models, budgets=[3.0]).spend.max() > 0
    assert f"a question costs at most {cheapest + 0.01:g}" in repr(some)


def test_a_deadline_of_nothing_is_refused_and_one_is_said():
    with pytest.raises(InputError, match=r"deadline is 0; expected seconds .* above 0, or None"):
        Sequential(3.0, deadline=0).fit(None, STOCK)
    assert "ends after 2.5 s" in repr(stocked(deadline=2.5))
    assert not [line for line in repr(stocked(cap=np.inf, deadline=np.inf)).splitlines() if "inf" in line]


# ------------------------------------------------------------------------------------- what is refused live

POLICIES = {kind: trained(kind) for kind in ("votes", "verifier, right and wrong", "scores", "scores, some unknown")}


def waiting(kind):
    run = POLICIES[kind].at(4.0).start("q")
    while run.next() is None:
        raise AssertionError("draws nothing")
    return run


BAD = [
    ("votes", {"cost": float("nan")}, r"add: results\[0\].cost is nan; expected .* finite number, at least 0"),
    ("votes", {"cost": float("inf")}, "cost is inf"),
    ("votes", {"cost": -1.0}, r"cost is -1\.0"),
    ("votes", {"cost": "1"}, "cost is '1'"),
    ("votes", {"cost": None}, "cost is None"),
    ("votes", {"cost": True}, "cost is True"),
    ("votes", {"cost": np.ones(2)}, "cost is array"),
    ("votes", {"answer": [4]}, r"add: results\[0\].answer is \[4\], which cannot be hashed"),
    ("votes", {"answer": ("a", {})}, "cannot be hashed"),
    ("votes", {"tokens": "7"}, "tokens is '7'"),
    ("votes", {"tokens": -1}, "tokens is -1"),
    ("votes", {"logprob": "x"}, "logprob is 'x'"),
    ("votes", {"score": float("inf")}, "score is inf"),
    ("verifier, right and wrong", {}, r"correct is None, but this policy needs a verifier's marks; .* verifier=True"),
    ("verifier, right and wrong", {"correct": "yes"}, "correct is 'yes'"),
    ("verifier, right and wrong", {"correct": 2}, "correct is 2"),
    ("scores", {}, "score is None, but this policy decides by scores"),
    ("scores", {"score": float("nan")}, "score is nan"),
    ("scores", {"score": float("-inf")}, "score is -inf"),
    ("scores, some unknown", {"score": "high"}, "score is 'high'"),
]


@pytest.mark.parametrize(("kind", "given", "said"), BAD)
def test_a_refused_result_changes_nothing_in_the_run(kind, given, said):
    run = waiting(kind)
    good = {"correct": False} if "verifier" in kind else {"score": 0.5}
    before = repr(run), run.next()
    seen = {name: np.copy(value) for name, value in vars(run._evidence).items()}
    with pytest.raises(InputError, match=said):
        run.add([Result(**{"answer": "4", "cost": 1.0, **given})])
    assert (repr(run), run.next()) == before
    for name, value in vars(run._evidence).items():
        np.testing.assert_array_equal(value, seen[name])
    run.add([Result("4", 1.0, **good)])
    assert (run.answer, run.spend) == ("4", 1.0)


def test_of_several_results_none_is_counted_if_one_is_refused():
    run = stocked(waves=(3,)).at(5.0).start("q")
    assert run.next().n == 3
    with pytest.raises(InputError, match=r"results\[2\].cost is nan"):
        run.add([Result("a", 1.0), Result("b", 1.0), Result("a", float("nan"))])
    assert (run.spend, run.answer, run.rounds) == (0.0, None, 0)
    run.add([Result("b", Decimal("0.5")), Result("b", np.float32(0.25)), Result(None, Fraction(1, 4))])
    assert (run.spend, run.answer, run.rounds) == (1.0, "b", 1)


def test_what_training_allows_a_run_takes():
    run = waiting("scores, some unknown")
    run.add([Result("4", 1.0)])  # answers without a score were recorded: it ranks last
    assert run.answer == "4"
    run = waiting("scores")
    run.add([Result(None, 1.0)])  # no answer, no score
    assert (run.answer, run.spend) == (None, 1.0)
    run = waiting("verifier, right and wrong")
    run.add([Result(None, 1.0)])  # nothing that could be right
    assert (run.answer, run.spend, run.vote_share) == (None, 1.0, 0.0)
    run = waiting("verifier, right and wrong")
    run.add([Result("4", 1.0, np.bool_(True))])
    assert (run.answer, run.vote_share, run.next()) == ("4", 1.0, None)


def test_scores_that_training_never_lacked_are_not_lacked_by_what_is_replayed():
    with pytest.raises(InputError, match=r"scores\[\d+, \d+\] is nan, but every answer"):
        POLICIES["scores"].replay(None, KINDS["scores, some unknown"][0](20, 3), budgets=[2.0])
    with pytest.raises(InputError, match="score is None"):
        replay(POLICIES["scores"].at(4.0), KINDS["scores, some unknown"][0](20, 3))


def test_a_run_says_what_it_is():
    run = waiting("votes")
    assert repr(run) == "SequentialRun(0 drawn in 0 rounds, spend 0, answer None, vote share 0; waits for 1)"
    run.add([Result("x" * 500, 1.5)])
    assert repr(run).startswith("SequentialRun(1 drawn in 1 round, spend 1.5, answer 'xxx")
    assert len(repr(run)) < 200
    models = trained("two models").at(6.0).start("q")
    draw = models.next()
    assert "0 of small and 0 of large drawn" in repr(models)
    assert f"waits for 1 of {draw.action.model}" in repr(models)
    models.add([])
    assert "ended" in repr(models)


# ------------------------------------------------------------------------------------- what is refused of records

VOTES, TWO = POLICIES["votes"], trained("two models")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: VOTES.replay(None, two(9, 0, answers_of), budgets=[2.0]),
            "trained on one model without a name.*large, small",
        ),
        (lambda: TWO.replay(None, STOCK, budgets=[2.0]), "trained on small, large, but these are of one model without"),
        (lambda: VOTES.replay(None, STOCK.answers, budgets=[2.0]), "samples is ndarray; expected Samples"),
        (lambda: VOTES.replay(None, STOCK, budgets=[]), r"budgets is empty; .* such as \[1.0, 3.0\]"),
        (lambda: VOTES.replay(None, STOCK, budgets=2.0), "budgets is 2.0; expected a sequence"),
        (lambda: VOTES.replay(None, STOCK, budgets="23"), "budgets is '23'"),
        (lambda: VOTES.replay(None, STOCK, budgets=[1.0, "x"]), "budget is 'x'; expected a number"),
        (lambda: VOTES.replay(None, STOCK, budgets=[-2]), "budget is -2"),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], orders=0), "orders is 0"),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], orders="8"), "orders is '8'"),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], random_state=-1), "random_state is -1"),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], columns=[1]), "columns is list; expected a mapping"),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], columns={"a": 1}), r"columns\[''\]: nothing; expected whole"),
        (
            lambda: VOTES.replay(None, STOCK, budgets=[2.0], columns={"": np.zeros((1, 3, 8), int)}),
            r"shape \(1, 3, 8\)",
        ),
        (lambda: VOTES.replay(None, STOCK, budgets=[2.0], columns={"": np.full((1, 60, 8), 8)}), "columns from 0 to 7"),
        (
            lambda: VOTES.replay(None, Samples(correct=STOCK.correct), budgets=[2.0]),
            "only right and wrong were recorded",
        ),
        (lambda: POLICIES["scores"].replay(None, STOCK, budgets=[2.0]), "decides by scores, but none were recorded"),
        (lambda: VOTES.at(float("nan")), "budget is nan; expected .* a finite number above 0"),
        (
            lambda: Sequential(actions={"x": Vote(1)}).fit(None, STOCK),
            "no model 'x' .* one model without a name, which is ''",
        ),
        (lambda: Sequential(actions=[Vote(1)]).fit(None, STOCK), "actions is list; expected a mapping of models to"),
        (lambda: Sequential(actions={"": 1}).fit(None, STOCK), r"actions\[''\] is 1; expected an Action"),
        (lambda: replay(7, STOCK), r"policy is int; expected a policy, which has start\(x\)"),
        (lambda: replay(VOTES, STOCK.answers), "samples is ndarray; expected Samples"),
        (lambda: replay(VOTES, STOCK, random_state="a"), "random_state is 'a'"),
        (lambda: replay(VOTES, STOCK, 5), "X is 5; expected a sequence"),
        (lambda: replay(VOTES, STOCK, rows=[99]), r"rows is \[99\]; expected numbers of questions, up to 59"),
        (lambda: replay(VOTES, STOCK, rows="all"), "rows is 'all'"),
        (lambda: replay(VOTES, STOCK, rows=[[0]]), r"rows is \[\[0\]\]"),
        (lambda: replay(VOTES, STOCK, verifier="yes"), "verifier is 'yes'"),
        (lambda: replay(trained("verifier, answers"), STOCK), r"replay\(…, verifier=True\)"),
    ],
)
def test_bad_records_and_arguments_are_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_one_model_without_a_name_is_the_one_that_the_policy_knows():
    named = Samples(arms={"small": STOCK})
    plain, other = stocked(), Sequential(2.0, most=6).fit(None, named)
    expected = plain.replay(None, STOCK, budgets=[2.0])
    np.testing.assert_array_equal(plain.replay(None, named, budgets=[2.0]).spend, expected.spend)
    np.testing.assert_array_equal(other.replay(None, STOCK, budgets=[2.0]).spend, expected.spend)
    with pytest.raises(InputError, match="trained on small, but these are of large"):
        other.replay(None, Samples(arms={"large": STOCK}), budgets=[2.0])

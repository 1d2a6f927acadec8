"""One registry: every policy that is compared can be fitted, saved, loaded and run; none is forgotten."""

import ast
import inspect
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("xgboost")

from policy_cases import voted
from syntax import modules

from tcalloc import BudgetError, InputError, Samples, Table, compare, learn
from tcalloc.evaluate import contestants as judged
from tcalloc.evaluate.contestants import NAMES, contestants_of
from tcalloc.evaluate.phrases import phrase
from tcalloc.evaluate.problem import Problem
from tcalloc.evaluate.recipe import Recipe, held_out_curve
from tcalloc.learn.holdout.folds import Frontier, split
from tcalloc.learn.protocol import Policy
from tcalloc.learn.registry import POLICIES, REFERENCE, Entry, entry_of, names
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.rivals.counting import Counting
from tcalloc.learn.routing import baselines
from tcalloc.learn.routing.gate import Gate
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.saving.policy_folder import load_policy

DEPLOYABLE = names(deployable=True)
# Public classes that no entry makes, each with the reason.
OTHERS = {
    "LearnedPolicy": "what policies share",
    "ProbingPolicy": "what policies share",
    "Fixed": "one action that the user names",
    "Oracle": "a bound",
    "Always": "one action that the user names",
    "Policy": "the protocol",
}


@pytest.fixture(scope="module")
def asked():
    """Return questions with a kind each, and their samples."""
    texts, samples = voted(80, 10, seed=3)
    hard = (samples.answers != 0).mean(axis=1) > 0.2
    rows = [
        {"text": f"{'Prove that' if h else 'Add'} {text}", "kind": "hard" if h else "easy"}
        for h, text in zip(hard, texts, strict=True)
    ]
    return rows, samples


@pytest.fixture(scope="module")
def fitted(asked):
    """Return a function that fits the policy of a name, once for all tests, which do not change it."""
    rows, samples = asked
    return cache(lambda name: recipe_of(name, samples).fit(rows, samples, budget=2.5))


def recipe_of(name, samples, budget=2.5, **more):
    options = {"text": True, "label": True, "verifier": name == "fixed k, success stop"} | more
    return Recipe.of(entry_of(name), samples, budget=budget, **options)


# ---------------------------------------------------------------------------------------------- nobody is forgotten


def unregistered():
    """Return the public classes of `tcalloc.learn` that start runs but are in no entry: nothing compares them."""
    made = {entry.made_by.replace(":", ".") for entry in POLICIES if entry.deployable}
    known = {getattr(import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in made}
    found = set()
    for module in pkgutil.walk_packages(learn.__path__, "tcalloc.learn."):
        for name, value in vars(import_module(module.name)).items():
            public = isinstance(value, type) and not name.startswith("_") and hasattr(value, "start")
            own = public and value.__module__.startswith("tcalloc.learn.")
            # Each rule is one setting of what `TunedRule` makes.
            if own and value not in known and not issubclass(value, Counting):
                found.add(f"{value.__module__}.{value.__qualname__}")
    return sorted(path for path in found if path.rpartition(".")[2] not in OTHERS)


def test_every_public_policy_is_registered(monkeypatch):
    assert unregistered() == []
    made = type(
        "Newest", (baselines.Fixed,), {"__module__": "tcalloc.learn.routing.baselines", "__qualname__": "Newest"}
    )
    monkeypatch.setattr(baselines, "Newest", made, raising=False)
    assert unregistered() == ["tcalloc.learn.routing.baselines.Newest"]


def test_a_policy_that_no_contestant_runs_is_an_error(monkeypatch):
    problem = Problem.of(Samples(np.zeros((30, 4), int)))
    entry = Entry("newest", "trying what is new", "new kind", made_by="tcalloc.learn.routing.baselines:Fixed")
    monkeypatch.setattr(judged, "POLICIES", (*POLICIES, entry))
    with pytest.raises(LookupError, match="'newest' is of the family 'new kind', which no contestant runs"):
        contestants_of(problem, [2.0])


def test_names_stand_in_one_place():
    assert names() == NAMES
    assert set(NAMES) - set(DEPLOYABLE) == {"oracle, held out", "hindsight bound"}
    assert [phrase(entry.name) for entry in POLICIES] == [entry.phrase for entry in POLICIES]
    assert entry_of("KNN").name == "kNN"
    assert entry_of(" ac  beta").name == "AC Beta"
    with pytest.raises(InputError, match=r"policy is 'ESD'; allowed are 'fixed k', .*'hindsight bound'"):
        entry_of("ESD")
    with pytest.raises(InputError, match=r"'hindsight bound', a bound, .*; allowed are .*'fixed k, success stop'\."):
        entry_of("hindsight bound", deployable=True)
    with pytest.raises(InputError, match="'hindsight bound' is a bound"):
        entry_of("hindsight bound").policy()


def spelt_out(tree):
    """Yield the texts of a module that are no docstrings, with their lines."""
    nodes = list(ast.walk(tree))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def test_no_other_module_spells_a_name_or_a_phrase_out():
    # Names of families too; and a class of this name is exported, as its own module says.
    allowed = {entry.family for entry in POLICIES} | {"Sequential", "ESC", "SPRT"}
    words = ({entry.name for entry in POLICIES} | {entry.phrase for entry in POLICIES}) - allowed - {REFERENCE}
    found = []
    for path, tree in modules():
        if path != Path("learn", "registry.py"):
            found += [f"{path}:{line}: {word!r}" for line, word in spelt_out(tree) if word in words]
    assert found == []


@pytest.mark.parametrize("name", DEPLOYABLE)
def test_a_request_is_routed_to_the_action_that_the_batch_gets(name, asked, fitted):
    rows, policy = asked[0], fitted(name)
    if getattr(policy, "probe", 0) or not hasattr(policy, "decide"):
        with pytest.raises(InputError, match=r"decides (while|after).*start\("):
            policy.route(rows[0])
        return
    chosen = [policy.action_names_[a] for a in policy.decide(rows)]
    assert [policy.route(row) for row in rows] == chosen
    actions = dict(zip(policy.action_names_, policy.actions_, strict=True))
    for row, each in zip(rows, chosen, strict=True):
        draw = policy.start(row).next()
        assert (None if draw is None else draw.action) == actions[each]


def test_a_request_with_costs_of_its_own(asked):
    rows, samples = asked
    policy = PricedPolicy(known_costs="given", gate=False, shrink=False).fit(rows, samples)
    policy.price_ = 0.01
    k = len(policy.cost_)
    assert policy.route(rows[0], cost=[1e9] * (k - 1) + [0.0]) == policy.action_names_[-1]
    assert policy.route(rows[0], cost=[0.0] + [1e9] * (k - 1)) == policy.action_names_[0]
    with pytest.raises(InputError, match="no cost given"):
        policy.route(rows[0])


def test_all_policies_take_the_questions_first_and_the_samples_second():
    for entry in POLICIES:
        if entry.deployable:
            policy = entry.policy(budget=2.5)
            for method in ("fit", "calibrate", "certify", "replay"):
                if hasattr(policy, method):
                    first = list(inspect.signature(getattr(policy, method)).parameters.values())[:2]
                    assert [each.name for each in first] == ["X", "samples"], (entry.name, method)
                    assert all(each.default is each.empty for each in first), (entry.name, method)


# ---------------------------------------------------------------------------------------------- all can be used


@pytest.mark.parametrize("name", DEPLOYABLE)
def test_every_name_that_compare_prints_is_fitted_saved_and_run(name, asked, fitted, tmp_path):
    rows, samples = asked
    policy, verifier = fitted(name), recipe_of(name, samples).verifier
    policy.save(tmp_path / "policy")
    again = load_policy(tmp_path / "policy")
    assert isinstance(again, Policy)
    assert repr(again).splitlines()[1:] == repr(policy).splitlines()[1:]
    some = list(range(0, 80, 4))
    told = [rows[i] for i in some]
    both = [replay(p, samples, rows, rows=some, orders=2, verifier=verifier) for p in (policy, again)]
    assert np.array_equal(both[0].spend, both[1].spend)
    assert np.array_equal(both[0].accuracy, both[1].accuracy)
    assert 0 < both[0].spend.mean() < 7
    if hasattr(policy, "replay"):
        found, loaded = (p.replay(told, samples.take(some), [2.0, 3.0]) for p in (policy, again))
        assert found.spend == pytest.approx(loaded.spend)
        assert found.accuracy == pytest.approx(loaded.accuracy)
        assert found.spend.shape == found.accuracy.shape == (2, 20)
        assert found.spend[1].mean() >= found.spend[0].mean() - 1e-9
        assert found.accuracy.min() >= 0
        assert found.accuracy.max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("name", "missing", "words"),
    [
        ("priced", {"text": False}, r"'priced' cannot be fitted: it decides by the questions.*--questions FILE"),
        ("prompt length", {"text": False}, "cannot be fitted: it decides by the questions"),
        ("difficulty label", {"label": False}, r"it decides by a category of each question.*--category FIELD"),
        ("fixed k, success stop", {"verifier": False}, r"it needs a verifier.*--verifier"),
        ("ESC", {"verifier": True}, "it votes, and with a verifier the first right sample is the answer"),
    ],
)
def test_what_is_missing_is_said(name, missing, words, asked):
    with pytest.raises(InputError, match=words) as caught:
        recipe_of(name, asked[1], **missing)
    assert f"or use {REFERENCE!r}." in str(caught.value)


@pytest.mark.parametrize("name", ["fixed k", REFERENCE, "random", "Sequential", "margin + cap"])
def test_without_questions(name, asked):
    _, samples = asked
    policies = [recipe_of(name, samples).fit(None, samples, budget=2.5) for _ in range(2)]
    names = None if name == "Sequential" else [str(i) for i in range(len(samples))]
    blind, named = (policy.calibrate(X, samples, budget=3.0) for policy, X in zip(policies, (None, names), strict=True))
    assert blind.guarantee_ == named.guarantee_
    if hasattr(blind, "certify"):
        assert blind.certify(None, samples) == named.certify(names, samples)


@pytest.mark.parametrize("name", ["priced", "imitator"])
def test_a_policy_that_decides_by_the_questions_says_that_it_needs_them(name, asked):
    rows, samples = asked
    recipe = recipe_of(name, samples)
    with pytest.raises(InputError, match=r"X is None, but a .* decides by the questions"):
        recipe.fit(None, samples, budget=2.5)
    policy = recipe.fit(rows, samples, budget=2.5)
    for use in (policy.certify, lambda X, s: policy.calibrate(X, s, budget=3.0), policy.replay):
        with pytest.raises(InputError, match=r"X is None, but a .* decides by the questions"):
            use(None, samples)


def test_marks_alone_are_no_answers():
    marks = Samples(correct=np.tile([[1, 0, 1, 1]], (30, 1)))
    for name in ("Sequential", "margin + cap", "priced, probe 2"):
        with pytest.raises(InputError, match="it compares answers, and only right and wrong were recorded"):
            recipe_of(name, marks)
    assert recipe_of("Sequential", marks, verifier=True).fit(None, marks, budget=1.2).start().next().n == 1


def test_nobody_is_left_without_an_answer_if_so_asked(asked):
    rows, samples = asked
    for name in ("priced", "best fixed mixture", "difficulty label"):
        assert None in recipe_of(name, samples).actions
        assert None not in recipe_of(name, samples, answer_all=True).actions
    with pytest.raises(BudgetError, match="the cheapest action costs 1"):
        recipe_of("best fixed mixture", samples, answer_all=True).fit(rows, samples, budget=0.5)


# ---------------------------------------------------------------------------------------------- what is judged


def test_closing_a_gate_moves_what_compare_prints(asked, monkeypatch):
    rows, samples = asked
    problem = Problem.of(samples, X=[row["text"] for row in rows], orders=10)
    fold = (*split(80, 5, 0)[0], 0)

    def done(name):
        tuned = next(c for c in contestants_of(problem, (2.0, 3.0))[0] if c.name == name).fit(*fold)
        return tuned.spend, tuned.held_accuracy, tuned.held_spend

    mixture = done(REFERENCE)
    for name in ("priced", "kNN", "priced, probe 2"):
        before = done(name)
        with monkeypatch.context() as patched:
            patched.setattr(Gate, "open_at", lambda self, budget: False)
            spend, accuracy, paid = done(name)
        assert not np.array_equal(before[1], accuracy), name
        for values, fixed in ((accuracy, mixture[1]), (paid, mixture[2])):
            hull = judged.base.hull(problem, fold[0])
            served = [hull.mix(float(b)) for b in spend]
            assert values == pytest.approx(
                np.array([(1 - share) * fixed[low] + share * fixed[high] for low, high, share in served])
            )


@pytest.mark.parametrize("name", ["margin + cap", "AC Beta", "priced", "best fixed mixture"])
def test_what_is_judged_is_what_is_deployed(name, asked):
    rows, samples = asked
    texts = [row["text"] for row in rows]
    train, held, seed = (*split(80, 5, 0)[0], 0)
    problem = Problem.of(samples, X=texts, orders=32)
    tuned = next(c for c in contestants_of(problem, (2.0, 3.0))[0] if c.name == name).fit(train, held, seed)
    recipe = Recipe.of(entry_of(name), samples.take(train), text=True, label=False, budget=2.0)
    policy = recipe.fit([texts[i] for i in train], samples.take(train), budget=2.0, random_state=seed)
    kept = Frontier.of(tuned.spend, tuned.accuracy).settings
    rows_of = kept[(tuned.spend[kept] >= 1) & (tuned.spend[kept] <= 5)]
    found = policy.replay([texts[i] for i in held], samples.take(held), tuned.spend[rows_of])
    if name in ("margin + cap", "AC Beta"):  # orders of their own
        assert found.accuracy.mean() == pytest.approx(tuned.held_accuracy[rows_of].mean(), abs=0.03)
        assert found.claimed == pytest.approx(tuned.claimed[rows_of], abs=0.03)
    else:
        assert found.spend == pytest.approx(tuned.held_spend[rows_of])
        assert found.accuracy == pytest.approx(tuned.held_accuracy[rows_of], abs=1e-6)


def test_the_curve_is_held_out(asked):
    _, samples = asked
    recipe = recipe_of("priced, probe 2", samples, text=False)
    assert recipe.options == (("features", False),)
    spend, accuracy = held_out_curve(recipe, samples, None, [1.5, 3.0], folds=2)
    assert spend == pytest.approx([1.5, 3.0], rel=0.2)
    assert accuracy[1] > accuracy[0]


def test_known_costs_that_differ_between_folds_leave_nobody_out():
    rng = np.random.default_rng(3)
    n = 100
    size = rng.lognormal(0, 1, n)
    acc = (rng.random((n, 2)) < [0.4, 0.8]).astype(float)
    table = Table(acc, np.outer(size, [1.0, 5.0]))
    cheapest = float(size.mean())
    found = compare(table, ["priced", "kNN"], [1.05 * cheapest, 2 * cheapest], X=size[:, None], costs_known=True)
    assert not {"priced", "kNN"} & set(found.skipped)

"""Planted cheats: what a policy of the user's might try, and why it gains nothing by it, or is told apart."""

import numpy as np
import pytest

from tcalloc import Action, InputError, PricedPolicy, Rates, Samples, Sequential, Table, Vote
from tcalloc.evaluate.contestants import contestants_of
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.protocol import Always, Draw
from tcalloc.learn.replay.metered import replay
from tcalloc.learn.rivals import MarginCap
from tcalloc.learn.routing.baselines import Fixed

N, SIZE = 60, 10
RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(0.1, 1.0, N)
CODES = np.where(RNG.random((N, SIZE)) < CHANCE[:, None], 0, RNG.integers(1, 5, (N, SIZE)))
TEXTS = [f"question number {i}" for i in range(N)]
BUDGETS = (2.0, 4.0)


@pytest.fixture
def problem():
    return Problem.of(Samples(CODES, cost=RNG.uniform(1, 2, (N, SIZE))), X=list(TEXTS))


def fitted(problem, policy, fold=0, **more):
    """Return what one fold says of a policy of the user's."""
    contestant = contestants_of(problem, BUDGETS, [], {"mine": policy, **more})[0][0]
    train, held = split(len(problem), 5, 0)[fold]
    return contestant, contestant.fit(train, held, 0), train, held


class Estimator:
    """An honest estimator that notes all that it is given."""

    def __init__(self, log=None, column=1):
        self.log = [] if log is None else log
        self.column = column

    def get_params(self, deep=True):
        return {"log": self.log, "column": self.column}

    def __sklearn_clone__(self):
        return type(self)(self.log, self.column)

    def fit(self, X, table):
        self.log.append(("fit", list(X), table))
        self.fitted_ = True
        return self

    def decide(self, X):
        self.log.append(("decide", list(X)))
        return np.full(len(X), self.column)


# ---------------------------------------------------------------------------------------------- test folds


def test_an_estimator_is_trained_without_the_questions_that_it_decides(problem):
    mine = Estimator()
    contestant, _, train, held = fitted(problem, mine)
    (_, seen, table), *rest = mine.log
    assert seen == [TEXTS[i] for i in train]
    assert table.acc.shape == (len(train), len(problem.menu.names))
    assert table.ids is None  # no names of questions, by which it could look them up
    assert {text for _, said, *_ in rest for text in said} >= {TEXTS[i] for i in held}
    assert not hasattr(mine, "fitted_")  # a copy was trained
    assert contestant.beforehand
    assert contestant.marks == ()


def test_what_an_estimator_learned_before_is_forgotten_or_said(problem):
    policy = PricedPolicy(budget=2.0).fit(TEXTS, problem.table(np.arange(N)))
    again, tuned, *_ = fitted(problem, policy)
    fresh, other, *_ = fitted(problem, PricedPolicy(budget=2.0))
    assert "trained anew in every fold" in again.marks[0]
    assert fresh.marks == ()
    assert np.array_equal(tuned.held_spend, other.held_spend)
    assert np.array_equal(tuned.held_accuracy, other.held_accuracy)

    class Plain:  # nobody knows how to make it forget
        def fit(self, X, table):
            return self

        def decide(self, X):
            return np.zeros(len(X), int)

    assert "may still be in it" in fitted(problem, Plain())[0].marks[0]
    stopping = Sequential(budget=2.0).fit(None, problem.samples)
    assert "trained anew" in fitted(problem, stopping)[0].marks[0]


def test_a_function_gets_the_training_samples_alone(problem):
    seen = []

    def make(X, samples, budget):
        seen.append((X, samples, budget))
        return MarginCap(2, 6)

    _, tuned, train, _ = fitted(problem, make)
    assert [budget for *_, budget in seen] == [2.0, 4.0]
    for X, samples, _ in seen:
        assert np.array_equal(samples.answers, CODES[train])
        assert list(X) == [TEXTS[i] for i in train]
    assert len(tuned.spend) == 2


def test_scribbling_on_what_was_given_changes_nothing(problem):
    class Vandal(Estimator):
        def fit(self, X, table):
            for values in (table.acc, table.cost):  # they may be views of what tcalloc has checked
                if values.flags.writeable:
                    values[:] = 1.0
            X[:] = ["gone"] * len(X)
            return self

        def decide(self, X):
            X[:] = ["gone"] * len(X)
            return np.full(len(X), 1)

    def vandal(X, samples, budget):
        samples.answers[:], samples.correct[:], samples.cost[:] = 0, True, 0.0
        return MarginCap(2, 6)

    before = [problem.menu.acc.copy(), problem.menu.cost.copy(), problem.samples.answers.copy(), list(problem.given)]
    fitted(problem, Vandal())
    fitted(problem, vandal)
    after = [problem.menu.acc, problem.menu.cost, problem.samples.answers, list(problem.given)]
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before[:3], after[:3], strict=True))
    assert before[3] == after[3]


# ---------------------------------------------------------------------------------------------- true costs


def test_true_costs_are_told_only_where_they_are_known():
    given = []

    class Curious(Estimator):
        def decide(self, X, cost=None, available=None):
            given.append(cost)
            return np.zeros(len(X), int)

    samples = Samples(CODES, cost=RNG.uniform(1, 2, (N, SIZE)))
    fitted(Problem.of(samples, X=TEXTS), Curious())
    assert given
    assert all(cost is None for cost in given)
    given.clear()
    known = Problem.of(samples, X=TEXTS, costs_known=True)
    _, _, train, held = fitted(known, Curious())
    assert np.array_equal(given[-1], known.menu.cost[held])
    assert np.array_equal(given[0], known.menu.cost[train])


# ---------------------------------------------------------------------------------------------- undrawn samples


class Run:
    """A run that draws, and says what it likes."""

    def __init__(self, draws, answer=0, ends=True):
        self.left, self._answer, self.ends = list(draws), answer, ends
        self.seen = []
        self.spend = 0.0  # whatever it paid
        self.vote_share = 1.0

    def next(self):
        if not self.left:
            return None
        return Draw(Vote(1), self.left.pop(0) if self.ends else self.left[0])

    def add(self, results):
        self.seen += list(results)

    @property
    def answer(self):
        return self._answer


class Ready:
    """A policy that is there already; it keeps its runs."""

    def __init__(self, draws, answer=0, ends=True):
        self.given, self.runs, self.told = (draws, answer, ends), [], []

    def start(self, x):
        self.told.append(x)
        self.runs.append(Run(*self.given))
        return self.runs[-1]


def test_the_meter_says_what_was_spent(problem):
    """It draws three samples, looks at the first alone, and says that it spent nothing."""
    contestant, tuned, _, held = fitted(problem, Ready([1, 2]))
    assert "not trained here" in contestant.marks[0]
    assert tuned.held_spend.shape == (1, len(held))
    three = replay(Always(Vote(3)), problem.samples, rows=held, orders=8)
    assert tuned.held_spend[0] == pytest.approx(three.spend)


def test_an_answer_that_was_not_drawn_is_wrong(problem):
    _, tuned, *_ = fitted(problem, Ready([]))  # the gold answer has the code 0, and it says 0
    assert tuned.held_accuracy.max() == 0
    assert tuned.held_spend.max() == 0
    _, tuned, *_ = fitted(problem, Ready([1], "gold"))
    assert tuned.held_accuracy.max() == 0


def test_a_run_sees_what_it_paid_for_and_no_gold_answer(problem):
    mine = Ready([1, 1])
    _, tuned, _, held = fitted(problem, mine)
    assert {len(run.seen) for run in mine.runs} == {2}
    results = [result for run in mine.runs for result in run.seen]
    assert {result.correct for result in results} == {None}
    assert {result.answer for result in results} <= {0, 1}  # new names, in order of appearance
    right = np.repeat([CODES[i] == 0 for i in held], 1, axis=0)
    assert tuned.held_accuracy.mean() == pytest.approx(right.mean(), abs=0.1)  # its answer 0 is the first one drawn
    assert set(mine.told) == {TEXTS[i] for i in held}


def test_a_run_without_end_is_stopped(problem):
    with pytest.raises(InputError, match="without ending"):
        fitted(problem, Ready([1], ends=False))


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (["mine"], "expected a dictionary"),
        ({"": Estimator()}, "not a text, or empty"),
        ({"ESC": Estimator()}, "taken"),
        ({"mine": 3}, "expected an estimator with fit"),
    ],
)
def test_what_is_no_policy_is_refused(problem, own, words):
    with pytest.raises(InputError, match=words):
        contestants_of(problem, BUDGETS, [], own)


def test_what_a_policy_needs_must_be_there():
    table = Problem.of(Table((CODES[:, :3] == 0).astype(float), [1, 2, 3]), X=TEXTS)
    for policy in (Always(Vote(1)), Sequential(), lambda *_: None, PricedPolicy(probe=2)):
        with pytest.raises(InputError, match="draws samples, and data is a table"):
            contestants_of(table, BUDGETS, [], {"mine": policy})
    blind = Problem.of(Samples(CODES))
    with pytest.raises(InputError, match="were not given"):
        contestants_of(blind, BUDGETS, [], {"mine": Estimator()})


@pytest.mark.parametrize("bad", [np.zeros(3, int), np.full(12, 99), np.full(12, 0.5), np.full(12, -1)])
def test_decisions_that_are_no_columns_are_refused(problem, bad):
    class Wrong(Estimator):
        def decide(self, X, budget=None):
            return bad

    with pytest.raises(InputError, match="each a column from 0 to"):
        fitted(problem, Wrong())


def test_a_function_must_return_a_policy(problem):
    with pytest.raises(InputError, match="returned int; expected a policy"):
        fitted(problem, lambda X, samples, budget: 3)


# ---------------------------------------------------------------------------------------------- and what is honest


def test_own_policies_are_scored_as_tcallocs_are(problem):
    train, held = split(N, 5, 0)[0]
    _, tuned, *_ = fitted(problem, Fixed("vote3"))
    at = problem.menu.names.index("vote3")
    assert tuned.held_accuracy[0] == pytest.approx(problem.menu.acc[held, at])
    assert tuned.held_spend[0] == pytest.approx(problem.menu.cost[held, at])
    _, metered, *_ = fitted(problem, Always(Vote(3)))
    assert metered.held_accuracy.mean() == pytest.approx(tuned.held_accuracy[0].mean(), abs=0.05)
    assert metered.held_spend.mean() == pytest.approx(tuned.held_spend[0].mean(), rel=0.05)
    # A Sequential of the user's is trained and replayed like the one that is always there.
    own = fitted(problem, Sequential())[1]
    ours = next(c for c in contestants_of(problem, BUDGETS)[0] if c.name == "Sequential").fit(train, held, 0)
    assert np.array_equal(own.held_accuracy, ours.held_accuracy)


def test_a_policy_with_a_probe_is_replayed_and_pays_for_it(problem):
    probing = PricedPolicy(probe=2, gate=False)
    contestant, tuned, train, held = fitted(problem, probing)
    assert not contestant.beforehand
    made = PricedPolicy(probe=2, gate=False)
    made.fit([TEXTS[i] for i in train], problem.samples.take(train), actions=list(problem.menu.actions))
    for b, budget in enumerate(BUDGETS):
        other = replay(made.at(budget), problem.samples, TEXTS, rows=held, orders=8)
        assert np.array_equal(tuned.held_spend[b], other.spend)
        assert np.array_equal(tuned.held_accuracy[b], other.accuracy)


def test_frames_reach_own_policies_in_every_way():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "size": np.arange(N) % 7})
    framed = Problem.of(Samples(CODES), X=frame, orders=4)
    for policy in (PricedPolicy(), PricedPolicy(probe=2), lambda x, s, b: Sequential(budget=b).fit(x, s)):
        _, tuned, _, held = fitted(framed, policy)
        assert tuned.held_spend.shape[1] == len(held)
    mine = Ready([1])
    _, _, _, held = fitted(framed, mine)
    assert mine.told[0] == {"text": TEXTS[held[0]], "size": float(held[0] % 7)}


def test_looking_at_x_is_charged_to_own_policies_too():
    samples = Samples(CODES)
    free, paid = (Problem.of(samples, X=TEXTS, feature_cost=charge) for charge in (0.0, 0.5))
    for policy in (Fixed(1), MarginCap(2, 6)):
        one, two = (fitted(p, policy)[1] for p in (free, paid))
        assert two.held_spend == pytest.approx(one.held_spend + 0.5)


class Cheap(Run):
    """Says itself what its samples cost."""

    def next(self):
        draw = super().next()
        return None if draw is None else Draw(Action(samples=1, rates=Rates(input=0.0, output=0.001)), draw.n)


class Cheaply(Ready):
    def start(self, x):
        return Cheap(*self.given)


def test_nobody_sets_the_price_of_their_own_draws():
    samples = Samples(CODES, cost=1.0, tokens={"output": np.full(CODES.shape, 100.0)})
    _, tuned, *_ = fitted(Problem.of(samples, orders=4), Cheaply([5]))
    assert (tuned.held_spend >= 5 - 1e-9).all()

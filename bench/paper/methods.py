"""Who takes part, each held out: from the work to accuracy and spend of every question while it was held out.

What to use when
----------------
`Work`
    What is compared: data, actions, exact table, replays, folds.
`METHODS`
    The contestants by name.
`run`
    One of them, at the work's budgets.

A policy whose knob is a budget is asked at a grid of budgets and mixed between two neighbours so that its real spend is
the one asked for, as `bench/stopping.py` does it: of the training questions only budgets count, so that a learner that
fits them too well cannot choose by what it learned by heart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.paper.calls import Calls, calls_of
from bench.paper.data import Data, actions_of
from bench.sequential_fit import price_family
from tcalloc._solve import solve
from tcalloc.learn.features import Features
from tcalloc.learn.features.lexical import lexical_features
from tcalloc.learn.holdout.folds import Fit, Held, Tuned, held_out, tabled
from tcalloc.learn.holdout.half_samples import Halves
from tcalloc.learn.routing.baselines import LengthHeuristic, Random
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.training import Training

__all__ = ["IMITATOR", "METHODS", "OURS", "UNIFORM", "Method", "Result", "Work", "run"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Choice = tuple[Floats | None, Floats, Floats]
"""What a policy does at one budget: the odds of each action (m, K) (None: it has none beforehand), and each held-out
question's accuracy and spend, (m,)."""

UNIFORM, IMITATOR, OURS = "best fixed mixture", "imitator, one call", "Sequential"
# Random halvings of the samples for oracles.
SPLITS = 8


@dataclass(eq=False)
class Work:
    """One data set by one model, as it is compared."""

    data: Data
    budgets: tuple[float, ...]
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    turns: int = 1
    """Number of times that each response comes first in the replays."""

    @cached_property
    def votes(self) -> list[int]:
        """The actions' responses."""
        return [action.samples for action in self.actions]

    @cached_property
    def actions(self) -> list[Any]:
        """The paper's, as far as there are responses."""
        return actions_of(self.data.most)

    @cached_property
    def cost(self) -> Floats:
        """(K,) responses."""
        return np.array(self.votes, float)

    @cached_property
    def acc(self) -> Floats:
        """(N, K) exact expectations over all subsets of the responses, not shrunk."""
        return np.asarray(self.data.samples.table(self.actions, shrink=False).acc, np.float64)

    @cached_property
    def calls(self) -> Calls:
        """The replays."""
        return calls_of(self.data.samples, self.votes, self.orders, 0)

    @cached_property
    def lexical(self) -> Floats:
        """(N, 16)."""
        return lexical_features(self.data.texts)

    @cached_property
    def halves(self) -> Halves:
        """What two halves of the responses say."""
        n = len(self.acc)
        costs = np.broadcast_to(self.cost, self.acc.shape)
        names = tuple(action.name for action in self.actions)
        found = Training(self.acc, costs, np.ones(n), names, tuple(self.actions))
        return Halves.of(self.data.samples, found, SPLITS, 0)

    @property
    def orders(self) -> int:
        """Replays of every question."""
        return self.turns * self.data.most

    def grid(self, fine: bool) -> Floats:
        """Return the budgets at which a policy is asked: those of the work, some between, and both ends."""
        asked = np.array(self.budgets)
        between = np.sqrt(asked[1:] * asked[:-1])
        # Beyond the last one too: a method that spends less than it is made for still reaches it.
        beyond = np.minimum(np.array([1.4, 2.0, 3.0]) * asked[-1], self.cost[-1])
        more = np.geomspace(1.0, self.cost[-1], 24) if fine else beyond
        return np.unique(np.concatenate([[1.0], asked, between, more]))

    def texts(self, rows: Rows) -> list[str]:
        """Return some questions."""
        return [self.data.texts[i] for i in rows]

    def price(self, train: Rows, budget: float) -> float:
        """Return the oracle's price on training questions."""
        return solve(self.acc[train], self.cost, budget).price


@dataclass(eq=False)
class Result:
    """What a method reached.

    Attributes
    ----------
    held : Held
        At the work's budgets.
    odds : dict
        By seed and budget: (N, K), how likely each question got each action while it was held out, when the method was
        made for that budget and not moved to its spend. Empty for methods that do not decide beforehand.
    """

    held: Held
    odds: dict[tuple[int, float], Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A contestant.

    Attributes
    ----------
    kind : {"bound", "baseline", "paper", "ours"}
        What it is here for.
    what : str
        In a few words.
    reach : callable
        From the work to a `Result`.
    """

    kind: str
    what: str
    reach: Callable[[Work], Result]


def run(name: str, work: Work) -> Result:
    """Return what a method reaches at the work's budgets."""
    return METHODS[name].reach(work)


# ---------------------------------------------------------------------------------------------- decided beforehand


Learn = Callable[[Work, Rows, Rows, int], Callable[[float], Choice]]
"""From the work, training rows, held-out rows and a seed to what is done at a budget."""


def _knob(learn: Learn, *, fine: bool = True) -> Callable[[Work], Result]:
    def reach(work: Work) -> Result:
        grid = work.grid(fine)
        odds: dict[tuple[int, float], Floats] = {}

        def fit(train: Rows, held: Rows, seed: int) -> Tuned:
            ask = learn(work, train, held, seed)
            done = [ask(float(budget)) for budget in grid]
            for budget, (chances, _, _) in zip(grid.tolist(), done, strict=True):
                if budget in work.budgets and chances is not None:
                    odds.setdefault((seed, budget), np.zeros(work.acc.shape))[held] = chances
            spend, accuracy = (np.array([one[i] for one in done]) for i in (2, 1))
            return Tuned(grid, np.log(grid), spend, accuracy)

        return Result(_held(work, fit), odds)

    return reach


def _held(work: Work, fit: Fit) -> Held:
    return held_out(fit, len(work.acc), work.budgets, folds=work.folds, seeds=work.seeds)


def _sure(work: Work, held: Rows, chosen: NDArray[Any]) -> Choice:
    """Score actions, (m,): by the exact expectations, which no decision has seen."""
    return _by_lot(work, held, np.eye(len(work.cost))[chosen])


def _by_lot(work: Work, held: Rows, odds: Floats) -> Choice:
    """Score actions that are drawn, by their expectation."""
    return odds, (odds * work.acc[held]).sum(axis=1), odds @ work.cost


def _random(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    policy = Random().fit(work.texts(train), work.acc[train], cost=work.cost)
    return lambda budget: _by_lot(work, held, np.tile(policy.chances(budget), (len(held), 1)))


def _length(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    policy = LengthHeuristic().fit(work.texts(train), work.acc[train], cost=work.cost)
    texts = work.texts(held)
    return lambda budget: _sure(work, held, policy.decide(texts, budget=budget))


def _imitator(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    def ask(budget: float) -> Choice:
        policy = Imitator(budget, random_state=seed).fit(work.lexical[train], work.acc[train], cost=work.cost)
        return _sure(work, held, policy.decide(work.lexical[held]))

    return ask


def _imitator_call(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    calls, every = work.calls, np.arange(len(held))
    # One call for each training question, as in the paper; each held-out question is replayed in all orders.
    known = np.column_stack([work.lexical[train], calls.seen[0, train]])
    asked = np.concatenate([np.column_stack([work.lexical[held], seen]) for seen in calls.seen[:, held]])

    def ask(budget: float) -> Choice:
        policy = Imitator(budget, random_state=seed).fit(known, work.acc[train], cost=work.cost)
        chosen = np.asarray(policy.decide(asked)).reshape(-1, len(held))
        odds = np.eye(len(work.cost))[chosen].mean(axis=0)
        reached = np.mean([acc[every, a] for acc, a in zip(calls.accuracy[:, held], chosen, strict=True)], axis=0)
        return odds, reached, odds @ work.cost

    return ask


def _priced(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    policy = PricedPolicy(features=Features(text=None), random_state=seed)
    policy.fit(work.texts(train), work.acc[train], cost=work.cost)
    texts = work.texts(held)

    def ask(budget: float) -> Choice:
        if policy.gate_.open_at(budget):
            return _sure(work, held, policy.decide(texts, budget=budget))
        low, high, share = policy.mix_.at(budget)  # the mixture's expectation rather than its lots
        odds = np.zeros(len(work.cost))
        odds[low] += 1 - share
        odds[high] += share
        return _by_lot(work, held, np.tile(odds, (len(held), 1)))

    return ask


def _priced_call(work: Work, train: Rows, held: Rows, seed: int) -> Callable[[float], Choice]:
    policy = PricedPolicy(probe=1, features=Features(text=None), random_state=seed)
    policy.fit(work.texts(train), work.data.samples.take(train), actions=work.actions)
    texts, samples = work.texts(held), work.data.samples.take(held)

    def ask(budget: float) -> Choice:
        done = policy.replay(texts, samples, [budget], orders=work.orders, random_state=1)
        return None, done.accuracy[0], done.spend[0]

    return ask


# ---------------------------------------------------------------------------------------------- the others


def _mixture(work: Work) -> Result:
    return Result(_held(work, mixture_fit(work)))


def mixture_fit(work: Work) -> Fit:
    """Return the family of fixed actions, mixed: what is reached without a look at the questions."""
    return tabled(np.broadcast_to(work.cost[:, None], work.acc.T.shape), work.acc.T)


def _fixed(work: Work) -> Result:
    """Take the most expensive action that the budget allows."""
    best = np.searchsorted(work.cost, np.array(work.budgets), side="right") - 1
    spend = np.broadcast_to(work.cost[best][:, None], (len(best), len(work.acc)))
    return Result(Held(np.array(work.budgets), spend, work.acc.T[best]))


def _sequential(work: Work) -> Result:
    return Result(_held(work, price_family(work.data.samples, work.data.texts, orders=work.orders)))


def _oracle(work: Work) -> Result:
    """Chooses on one half of the samples, both ways, among the actions that halves can tell; the other half scores."""
    able = np.flatnonzero(work.halves.enough.all(axis=0))
    scores = [np.stack(pair)[:, :, able] for pair in work.halves.pairs]
    return _knowing(work, [(pair[j], pair[1 - j]) for pair in scores for j in (0, 1)], work.cost[able])


def _flattered(work: Work) -> Result:
    """Chooses by the very samples that score it."""
    return _knowing(work, [(work.acc, work.acc)], work.cost)


def _knowing(work: Work, tables: list[tuple[Floats, Floats]], cost: Floats) -> Result:
    every = np.arange(len(work.acc))
    found = np.zeros((2, len(work.budgets), len(work.acc)))
    for choosing, scoring in tables:
        for b, budget in enumerate(work.budgets):
            chosen = solve(choosing, cost, budget).actions
            found[0, b] += cost[chosen]
            found[1, b] += scoring[every, chosen]
    return Result(Held(np.array(work.budgets), *(found / len(tables))))


METHODS: dict[str, Method] = {
    "oracle, own samples": Method("bound", "scored on the samples that chose: flatters itself", _flattered),
    "oracle, held out": Method("bound", "chose on half of the samples, scored on the other", _oracle),
    "fixed": Method("baseline", "the largest vote that the budget allows", _fixed),
    UNIFORM: Method("baseline", "two fixed votes by lot: uniform allocation at that spend", _mixture),
    "random": Method("baseline", "all votes by lot", _knob(_random)),
    "length": Method("baseline", "the more expensive vote for the longest questions", _knob(_length)),
    "imitator": Method("paper", "XGBoost on the oracle's actions, 16 lexical features", _knob(_imitator, fine=False)),
    IMITATOR: Method("paper", "the same, and what the first response shows", _knob(_imitator_call, fine=False)),
    "priced": Method(
        "ours",
        "predicts the row from the 16 features, then prices it; where that gains nothing, the mixture",
        _knob(_priced),
    ),
    "priced, one call": Method("ours", "the same after one paid response", _knob(_priced_call)),
    OURS: Method("ours", "stops at a price; sees texts, answers and lengths as they come", _sequential),
}
"""The contestants by name, in the order in which they are printed."""

"""Policies that learn nothing or next to nothing: the baselines of every learned policy.

What to use when
----------------
`Fixed`
    The same action for every question.
`Mixture`
    The best fixed mixture: the best use of a budget without looking at the question. The baseline to beat.
`LengthHeuristic`
    The same two actions, but the more expensive one goes to the longest questions instead of at random.
`Random`
    All actions at random.
`Oracle`
    Knows the outcomes: the most that any policy could reach.
"""

import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import did_you_mean, is_whole
from tcalloc._inputs import scalar
from tcalloc._solve import decide, solve
from tcalloc.errors import InputError
from tcalloc.learn.outcomes import Part, Served, drawn
from tcalloc.learn.routing.base import Actions, LearnedPolicy
from tcalloc.learn.routing.batch import Batch, mixed, named, obtainable
from tcalloc.learn.rows import Rows
from tcalloc.learn.training import Mix, Training

__all__ = ["Fixed", "LengthHeuristic", "Mixture", "Oracle", "Random"]

Floats = NDArray[np.float64]


class Fixed(LearnedPolicy):
    """The same action for every question.

    Parameters
    ----------
    action : int, str or Action
        The table's column, the name of the column, or the action.
    random_state : int
        Not used; all policies have it.

    Examples
    --------
    >>> from tcalloc.learn.routing.baselines import Fixed
    >>> Fixed("vote4").fit(["a", "b"], [[0.5, 0.6], [0.2, 0.9]], cost=[1, 4]).decide(["c"])
    Traceback (most recent call last):
        ...
    tcalloc.errors.InputError: action is 'vote4'; expected one of 0, 1, or a column from 0 to 1.
    >>> Fixed(1).fit(["a", "b"], [[0.5, 0.6], [0.2, 0.9]], cost=[1, 4]).decide(["c"]).tolist()
    [1]
    """

    blind = True

    def __init__(self, action: Any = 0, random_state: int = 0):
        self.action = action
        self.random_state = random_state

    def _learn(self, rows: Rows, training: Training) -> None:
        self.column_ = named(training.names, self.action, "action")

    def _own(self) -> tuple[float | None, float | None]:
        return (0.0, None) if self.price_ is None else (self.price_, None)

    def _price_of(self, budget: float) -> float:
        Mix.of([0.0], [self.cost_[self.column_]]).check(budget)
        return 0.0

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        if budget is not None:
            Mix.of([0.0], [batch.mean_cost[self.column_]]).check(budget)
        return obtainable(np.full(batch.rows.n, self.column_), batch)

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        return np.zeros(1), [{"price": 0.0}]

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        meta, arrays, boosters = super()._state()
        return meta | {"params": {"action": self.column_, "random_state": int(self.random_state)}}, arrays, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: Any, boosters: Any) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        made.column_ = named(made.action_names_, made.action, "action")
        return made


class Mixture(LearnedPolicy):
    """The best fixed mixture: two neighbouring actions on the hull of the training means, chosen between at random.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default.
    random_state : int
        Seed of the random choices. The same question always gets the same action.

    Notes
    -----
    At a budget, the mean cost of the batch, in expectation over the random choices, is the budget. At a price, it takes
    the one action that is best on average. It does not look at the questions, so X may be None in fit.

    Examples
    --------
    >>> from tcalloc.learn.routing.baselines import Mixture
    >>> mixture = Mixture(budget=2).fit(["a", "b"], [[0.5, 0.6], [0.2, 0.9]], cost=[1, 4])
    >>> round(float(mixture.decide([f"question {i}" for i in range(1000)]).mean()), 2)
    0.35
    >>> mixture.mix_.at(2.0)
    (0, 1, 0.3333333333333333)
    """

    blind = True

    def __init__(self, budget: float | None = None, random_state: int = 0):
        self.budget = budget
        self.random_state = random_state

    def _learn(self, rows: Rows, training: Training) -> None:
        self.mix_ = Mix.of(self.mean_acc_, self.cost_)

    def _price_of(self, budget: float) -> float:
        self.mix_.check(budget)
        return self.mix_.price(budget)

    def _setting_at(self, budget: float) -> float | None:
        # Its price says too little: all points of a segment of the hull have the same price.
        return budget

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        if budget is None:
            assert price is not None
            return obtainable(np.full(batch.rows.n, decide(self.mean_acc_, batch.mean_cost, price)), batch)
        return self._drawn(batch, self._served(batch, [budget])[0].parts)

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        return [mixed(self._mix_for(batch), batch, budget) for budget in budgets]

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        budgets = np.unique(np.concatenate([np.linspace(self.mix_.cost[0], self.mix_.cost[-1], 400), self.mix_.cost]))
        # Any falling numbers will do: what is calibrated here is the share.
        return np.arange(len(budgets), 0.0, -1.0), [{"budget": float(budget)} for budget in budgets]

    def _set_dial(self, found: Any, setting: dict[str, float]) -> None:
        self.setting_ = setting["budget"]
        self.price_, self.budget_ = self.mix_.price(self.setting_), found.budget
        self.guarantee_ = replace(found, price=self.price_)

    def _repr_lines(self) -> list[str]:
        if self.setting_ is None:
            return []
        return [self.mix_.described(self.setting_, self.action_names_)]

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        meta, arrays, boosters = super()._state()
        setting = None if self.setting_ is None else float(self.setting_)
        return meta | {"setting": setting}, arrays, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: Any, boosters: Any) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        made.setting_ = None if meta["setting"] is None else scalar(meta["setting"], "setting")
        made.mix_ = Mix.of(made.mean_acc_, made.cost_)
        return made


class LengthHeuristic(Mixture):
    """The two actions of the best fixed mixture; the more expensive one goes to the longest questions.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default.
    column : str or int, optional
        The column to decide by: the number of characters of a text, or a number itself. Default: all characters of all
        texts, or the first column of a matrix.
    longest : bool
        False: the more expensive action goes to the shortest questions.
    random_state : int
        Not used; all policies have it.
    """

    blind = False

    def __init__(
        self,
        budget: float | None = None,
        column: str | int | None = None,
        longest: bool = True,
        random_state: int = 0,
    ):
        super().__init__(budget, random_state)
        self.column = column
        self.longest = longest

    def _learn(self, rows: Rows, training: Training) -> None:
        super()._learn(rows, training)
        self.lengths_ = np.sort(self._length(rows))

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        # The action depends only on the length of the question, so nothing is random.
        length = self._order(batch.rows)
        return [Served([Part(1.0, drawn(one.parts, length))]) for one in super()._served(batch, budgets)]

    def _length(self, rows: Rows) -> Floats:
        if self.column is None:
            if rows.texts:
                lengths = [[len(text) for text in column] for column in rows.texts.values()]
                return np.asarray(np.sum(lengths, axis=0), np.float64)
            name: Any = 0
        else:
            name = self.column
        if isinstance(name, str) and name in rows.texts:
            return np.array([len(text) for text in rows.texts[name]], float)
        if isinstance(name, str) and name in rows.number_names:
            return rows.numbers[:, rows.number_names.index(name)]
        if is_whole(name) and 0 <= name < rows.numbers.shape[1]:
            return rows.numbers[:, name]
        have = [*rows.texts, *rows.number_names]
        raise InputError(
            f"column is {self.column!r}; expected one of {', '.join(have)}, or the number of a numeric column."
            f"{did_you_mean(self.column, have)}"
        )

    def _order(self, rows: Rows) -> Floats:
        # The middle of the range of equal training lengths, so that ties do not all fall on one side.
        length = self._length(rows)
        below = np.searchsorted(self.lengths_, length) + np.searchsorted(self.lengths_, length, side="right")
        place = below / (2 * len(self.lengths_) + 1e-9)
        return np.asarray(1 - place if self.longest else place)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        meta, arrays, boosters = super()._state()
        return meta, arrays | {"lengths": self.lengths_}, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: Any, boosters: Any) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        made.lengths_ = np.sort(np.asarray(arrays["lengths"], float))
        if made.lengths_.ndim != 1 or not len(made.lengths_) or not np.isfinite(made.lengths_).all():
            raise InputError("lengths: expected finite numbers.")
        return made


class Random(LearnedPolicy):
    """All actions at random. All are equally likely unless a budget tilts the chances towards cheap or expensive ones.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default. Without any budget or price all actions are equally likely.
    random_state : int
        Seed of the random choices. The same question always gets the same action.

    Notes
    -----
    Chances are proportional to exp(−θ·cost): among those that spend the budget, the most even ones (largest entropy).
    It does not look at the questions, so X may be None in fit.
    """

    blind = True

    def __init__(self, budget: float | None = None, random_state: int = 0):
        self.budget = budget
        self.random_state = random_state

    def _learn(self, rows: Rows, training: Training) -> None:
        return None

    def _price_of(self, budget: float) -> float:
        Mix.of([0.0], [self.cost_.min()]).check(budget)
        return 0.0

    def _own(self) -> tuple[float | None, float | None]:
        return None, math.inf if self.budget_ is None else self.budget_

    def _worth(self) -> float | None:
        return None

    def chances(self, budget: float, cost: ArrayLike | None = None) -> Floats:
        """Return each action's chance at a budget, (K,).

        Parameters
        ----------
        budget : float
            Mean cost per question.
        cost : array_like, (K,), optional
            Costs to use instead of the training questions' means.
        """
        costs = self.cost_ if cost is None else np.asarray(cost, float)
        even = np.full(len(costs), 1 / len(costs))
        if math.isinf(budget):
            return even
        Mix.of([0.0], [costs.min()]).check(budget)
        spread = float(np.ptp(costs))
        if spread == 0:
            return even
        if budget >= costs.max():
            highest = costs == costs.max()
            return np.asarray(highest / highest.sum())
        scaled = (costs - costs.min()) / spread
        low, high = -200.0, 200.0
        for _ in range(60):
            middle = (low + high) / 2
            weights = np.exp(-middle * scaled - (-middle * scaled).max())
            weights /= weights.sum()
            low, high = (middle, high) if weights @ costs > budget else (low, middle)
        return np.asarray(weights)

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        return self._drawn(batch, self._served(batch, [math.inf if budget is None else budget])[0].parts)

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        found = []
        for budget in budgets:
            chances = self.chances(budget, batch.mean_cost)
            parts = [
                Part(float(chance), obtainable(np.full(batch.rows.n, a), batch))
                for a, chance in enumerate(chances.tolist())
            ]
            found.append(Served(parts, float(chances @ self.mean_acc_), looks=False))
        return found

    def _dial(self) -> tuple[Floats, list[dict[str, float]]]:
        budgets = np.linspace(self.cost_.min(), self.cost_.max(), 200)
        return np.arange(len(budgets), 0.0, -1.0), [{"budget": float(budget)} for budget in budgets]

    def _set_dial(self, found: Any, setting: dict[str, float]) -> None:
        self.price_, self.budget_ = 0.0, setting["budget"]
        self.guarantee_ = replace(found, price=0.0)


class Oracle(LearnedPolicy):
    """Knows what each action reaches on the questions of its table, and only on those. Fit it on the test questions.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default.
    random_state : int
        Not used; all policies have it.

    Notes
    -----
    On tables with one answer per cell it is a hindsight bound that no policy can reach. On tables estimated from few
    samples it overstates accuracy. Therefore let it decide on other samples than those that score it.
    """

    def __init__(self, budget: float | None = None, random_state: int = 0):
        self.budget = budget
        self.random_state = random_state

    def _learn(self, rows: Rows, training: Training) -> None:
        self.training_ = training
        self.rows_: dict[Any, int] = {}
        for i, key in enumerate(_hashable(rows)):
            self.rows_.setdefault(key, i)

    def _price_of(self, budget: float) -> float:
        known = self.training_
        plan = solve(np.nan_to_num(known.acc), known.cost, budget, available=known.available, weights=known.weights)
        return plan.price

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        try:
            at = np.array([self.rows_[key] for key in _hashable(batch.rows)])
        except KeyError as error:
            raise InputError(
                f"X holds a question that is not in the oracle's table: {str(error.args[0])[:80]!r}."
            ) from None
        known = self.training_.take(at)
        there = known.available
        if batch.available is not None:
            there = batch.available if there is None else there & batch.available
        acc = np.nan_to_num(known.acc)
        if budget is not None:
            return solve(acc, known.cost, budget, available=there).actions
        assert price is not None
        return np.asarray(decide(acc, known.cost, price, available=there), np.int32)

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        raise InputError("an Oracle is its table; write the table instead (save_table), and fit a new one.")


def _hashable(rows: Rows) -> list[Any]:
    return [key if isinstance(key, str) else np.asarray(key, "<f8").tobytes() for key in rows.keys()]  # noqa: SIM118

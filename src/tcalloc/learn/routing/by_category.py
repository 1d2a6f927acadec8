"""Decide by a category of each question, such as a difficulty label: each category gets its best action at a price.

What to use when
----------------
`ByCategory`
    For questions of a few kinds that gain differently from more compute, if the kind is known before sampling.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean, is_whole
from tcalloc._counts import counted
from tcalloc._solve import decide
from tcalloc.errors import InputError
from tcalloc.learn.outcomes import Part, Served
from tcalloc.learn.routing.base import Actions
from tcalloc.learn.routing.baselines import Mixture
from tcalloc.learn.routing.batch import Batch, obtainable
from tcalloc.learn.rows import Rows
from tcalloc.learn.training import Mix, Training

__all__ = ["ByCategory"]

Floats = NDArray[np.float64]

# The means of all questions count in each category's means like this many questions.
PSEUDO = 10.0
# Each price at which a category is undecided is tried just below and just above, by this factor.
BESIDE = 1e-9


class ByCategory(Mixture):
    """Takes the best action of each category at a price, by the training means of the category.

    Parameters
    ----------
    budget : float, optional
        The budget at which it decides by default.
    column : str or int, optional
        The column of X that names the category. Default: all columns of categories together; in a matrix all columns.
    random_state : int
        Seed of the random choices. The same question always gets the same action.

    Attributes
    ----------
    categories_ : tuple of str, (C,)
        The categories of the training questions, sorted.
    means_ : ndarray, (C + 1, K)
        Mean accuracy of each action in each category, shrunk towards the mean of all questions by the weight of 10
        questions. The last row, the mean of all questions, is for categories that were not seen.
    mix_ : Mix
        The hull of what each price spends and reaches on the training questions.

    Notes
    -----
    A budget is kept by a random choice between two neighbouring prices. A category that was not seen in training is
    decided by the means of all questions.

    Examples
    --------
    >>> from tcalloc.learn.routing.by_category import ByCategory
    >>> policy = ByCategory(budget=2, column=0)
    >>> policy = policy.fit([[0], [1]] * 50, [[0.9, 0.9], [0.2, 0.9]] * 50, cost=[1, 3])
    >>> policy.decide([[0], [1]]).tolist()
    [0, 1]
    """

    blind = False

    def __init__(self, budget: float | None = None, column: str | int | None = None, random_state: int = 0):
        super().__init__(budget, random_state)
        self.column = column

    # ------------------------------------------------------------------------------------------ fit

    def _learn(self, rows: Rows, training: Training) -> None:
        names = self._named(rows)
        self.categories_ = tuple(sorted(set(names)))
        codes = np.array([self.categories_.index(name) for name in names])
        self.means_ = self._means(training.acc, codes, training, self.mean_acc_)
        self.paid_ = self._means(training.cost, codes, training, self.cost_)
        steps = []
        for means, paid in zip(self.means_, self.paid_, strict=True):
            mix = Mix.of(means, paid)
            if len(mix.hull) > 1:
                steps.append(np.diff(mix.acc) / np.diff(mix.cost))
        found = np.unique(np.concatenate(steps)) if steps else np.empty(0)
        found = found[found > 0]
        # Just beside each price at which some category is undecided, and beyond the first and the last of them.
        prices = np.concatenate([[0.0], found * (1 + BESIDE), found[:1] / 2]) if len(found) else np.zeros(1)
        chosen = np.unique([decide(self.means_, self.paid_, float(price)) for price in prices], axis=0)
        # What each choice does on the training questions. If a question lacks the action, its category's mean counts.
        share_of = training.weights / training.weights.sum()
        every = np.arange(len(codes))
        columns = chosen[:, codes]
        acc = np.where(np.isfinite(training.acc), training.acc, self.means_[codes])
        self._hulled(chosen, acc[every, columns] @ share_of, training.cost[every, columns] @ share_of)

    def _means(self, values: Floats, codes: NDArray[np.intp], training: Training, overall: Floats) -> Floats:
        there = np.isfinite(training.acc) * training.weights[:, None]
        count, total = (np.zeros((len(self.categories_) + 1, values.shape[1])) for _ in range(2))
        np.add.at(count, codes, there)
        np.add.at(total, codes, there * np.nan_to_num(values))
        # Little is known about a category with few questions.
        return np.asarray((total + PSEUDO * overall) / (count + PSEUDO))

    def _hulled(self, chosen: NDArray[Any], acc: Floats, cost: Floats) -> None:
        """Keep the choices that are on the hull; `mix_` counts each of them as an action."""
        hull = Mix.of(acc, cost)
        self.choices_ = np.asarray(chosen[hull.hull], np.int64)
        self.mix_ = Mix.of(hull.acc, hull.cost)

    def _named(self, rows: Rows) -> list[str]:
        """Return each row's category."""
        columns: dict[str, Any] = dict(rows.categories)
        numbers = {
            name: [f"{value:g}" for value in column]
            for name, column in zip(rows.number_names, rows.numbers.T.tolist(), strict=True)
        }
        if rows.kind == "matrix":
            columns = numbers
        if self.column is None:
            if not columns:
                raise InputError(
                    "X has no column of categories, and this policy decides by them. Pass a frame or dictionaries with "
                    "a field of few different texts, or name the field: ByCategory(column=…)."
                )
            return ["\x1f".join(cells) for cells in zip(*columns.values(), strict=True)]
        known = {**rows.texts, **numbers, **rows.categories}
        if isinstance(self.column, str) and self.column in known:
            return list(known[self.column])
        if is_whole(self.column) and 0 <= self.column < len(numbers):
            return numbers[rows.number_names[self.column]]
        raise InputError(
            f"column is {self.column!r}; expected one of {', '.join(known)}, or a numeric column's number."
            f"{did_you_mean(self.column, known)}"
        )

    # ------------------------------------------------------------------------------------------ decide

    def settings(self) -> Floats:
        """Return the budgets at which nothing is random, (H,) rising: each is spent by one price."""
        self._check_fitted()
        return self.mix_.cost.copy()

    def _codes(self, batch: Batch) -> NDArray[np.intp]:
        """Return each question's category as a row of `means_`; a category that was not seen is the last row."""
        place = {name: code for code, name in enumerate(self.categories_)}
        return np.array([place.get(name, len(place)) for name in self._named(batch.rows)], np.intp)

    def _choose(self, batch: Batch, price: float | None, budget: float | None) -> Actions:
        if price is None:
            return super()._choose(batch, price, budget)
        return obtainable(np.asarray(decide(self.means_, self.paid_, price))[self._codes(batch)], batch)

    def _served(self, batch: Batch, budgets: list[float]) -> list[Served]:
        codes = self._codes(batch)
        made = []
        for budget in budgets:
            self.mix_.check(budget)
            low, high, share = self.mix_.at(budget)
            parts = [Part(share, obtainable(self.choices_[high][codes], batch))] if share else []
            parts.append(Part(1.0 - share, obtainable(self.choices_[low][codes], batch)))
            made.append(Served(parts, self.mix_.reached(budget), looks=False))
        return made

    # ------------------------------------------------------------------------------------------ words and files

    def _repr_lines(self) -> list[str]:
        if self.setting_ is None:
            return [counted(len(self.categories_), "category")]
        low, high, share = self.mix_.at(self.setting_)
        names = self.action_names_
        lines = []
        for code, category in enumerate(self.categories_[:8]):
            one, other = names[self.choices_[low][code]], names[self.choices_[high][code]]
            what = one if one == other or not share else f"{1 - share:.0%} {one}, {share:.0%} {other}"
            lines.append(f"{category.replace(chr(31), ', ')}: {what}")
        return lines + ([f"and {len(self.categories_) - 8} further categories"] if len(self.categories_) > 8 else [])

    def _state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, bytes]]:
        meta, arrays, boosters = super()._state()
        arrays |= {"means": self.means_, "paid": self.paid_, "choices": self.choices_}
        arrays |= {"reached": self.mix_.acc, "spent": self.mix_.cost}
        return meta | {"categories": list(self.categories_)}, arrays, boosters

    @classmethod
    def _from_state(cls, meta: Any, arrays: Any, boosters: Any) -> Self:
        made = super()._from_state(meta, arrays, boosters)
        made.categories_ = tuple(str(name) for name in meta["categories"])
        c, k = len(made.categories_), len(made.action_names_)
        choices = np.asarray(arrays["choices"], np.int64)
        h = len(choices)
        for name, shape in (("means", (c + 1, k)), ("paid", (c + 1, k)), ("reached", (h,)), ("spent", (h,))):
            values = np.asarray(arrays[name], np.float64)
            if values.shape != shape or not np.isfinite(values).all() or not values.size:
                raise InputError(f"{name}: expected finite numbers of shape {shape}.")
        if choices.shape != (h, c + 1) or (choices < 0).any() or (choices >= k).any():
            raise InputError(f"choices: expected columns from 0 to {k - 1}, one per category.")
        made.means_, made.paid_ = (np.asarray(arrays[name], np.float64) for name in ("means", "paid"))
        made._hulled(choices, np.asarray(arrays["reached"], np.float64), np.asarray(arrays["spent"], np.float64))
        if len(made.choices_) != h:
            raise InputError("reached and spent: expected points on a concave curve.")
        return made

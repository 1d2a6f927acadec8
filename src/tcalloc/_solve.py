"""The functions for users: solve one budget, decide at a price.

What to use when
----------------
`solve`
    One table, one budget: the exact answer with its bound.
`tcalloc.frontier`
    One table, and many budgets or a target accuracy: sort once, query often.
`decide`
    One row or many, at a known price: what a server does per question.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc import _search
from tcalloc._checks import one_of, whole
from tcalloc._frames import frame_of
from tcalloc._inputs import Labels, prepare, prepare_rows, scalar
from tcalloc._kernel import kernel
from tcalloc._printing import cleaned, whole_characters
from tcalloc._search import Infeasible, Outcome, Split, exactly
from tcalloc._units import infeasible, scaled_limit, scaled_price, unscale, unscale_price, weight_sum
from tcalloc.errors import InputError

if TYPE_CHECKING:
    import pandas

__all__ = ["Allocation", "Split", "allocation", "check_limit", "decide", "solve"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Allocation:
    """One action per instance, the accuracy reached, and the largest possible distance from the optimum.

    All means are weighted by the instances' weights, and in the units of the input.

    Attributes
    ----------
    actions : ndarray of int32
        (N,) the chosen column of each instance.
    price : float
        λ, accuracy that one more unit of cost must buy; 0 if the budget does not bind.
    accuracy : float
        Mean expected accuracy of the chosen actions.
    spend : float
        Mean expected cost of the chosen actions, at most the budget.
    budget : float
        The mean budget that was given (``total`` divided by the sum of the weights).
    upper_bound : float
        No choice within the budget has a higher mean accuracy. It is the optimum of the linear program (for
        ``method="bisect"`` the dual value at the price found).
    split : Split or None
        The instance that the linear program divides; None if there is none.
    n_actions : int
        K.
    ids : ndarray, optional
        (N,) the instances' ids, if given.
    action_names : tuple of str, optional
        (K,) the actions' names, if given.
    hindsight : bool
        Whether it was chosen by the outcomes themselves (`Table.single_outcomes`). If so, its accuracy is a bound that
        no policy attains.
    measures : str
        What `accuracy` is the mean of: "accuracy", or "agreement" where the table holds agreement with a reference.
    """

    actions: NDArray[np.int32]
    price: float
    accuracy: float
    spend: float
    budget: float
    upper_bound: float
    split: Split | None
    n_actions: int
    ids: NDArray[Any] | None = None
    action_names: tuple[str, ...] | None = None
    hindsight: bool = False
    measures: str = "accuracy"

    @property
    def gap(self) -> float:
        """Upper bound minus accuracy: the most that a better choice could gain."""
        return max(0.0, self.upper_bound - self.accuracy)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(K,) how many instances got each action (rows, not weights)."""
        return np.bincount(self.actions, minlength=self.n_actions)

    def to_frame(self, acc: ArrayLike | None = None, cost: ArrayLike | None = None) -> "pandas.DataFrame":
        """Return a pandas DataFrame with one row per instance.

        Parameters
        ----------
        acc, cost : optional
            The table that was solved; it adds the ``accuracy`` and ``cost`` of the chosen action.

        Returns
        -------
        pandas.DataFrame
            Columns ``id`` (the row number if no ids were given), ``action`` (the column), ``name`` (if the actions have
            names), and ``accuracy`` and ``cost`` if `acc` and `cost` are given.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        n = len(self.actions)
        columns: dict[str, Any] = {
            "id": np.arange(n) if self.ids is None else _readable(self.ids),
            "action": self.actions,
        }
        if self.action_names is not None:
            columns["name"] = _readable(np.asarray(self.action_names, dtype=object))[self.actions]
        if acc is not None or cost is not None:
            k = self.n_actions
            zero = np.zeros(k)
            problem = prepare(np.zeros((n, k)) if acc is None else acc, zero if cost is None else cost)
            rows = np.arange(n)
            for name, given, values, exponent in (
                ("accuracy", acc, problem.acc, problem.labels.acc_exponent),
                ("cost", cost, problem.cost, problem.labels.cost_exponent),
            ):
                if given is not None:
                    columns[name] = np.ldexp(values[rows, self.actions], exponent)
        return frame_of(columns)

    @cleaned
    def __repr__(self) -> str:
        names = self.action_names or tuple(str(k) for k in range(self.n_actions))
        used = [(name, int(c)) for name, c in zip(names, self.counts, strict=True) if c]
        shown = ", ".join(f"{name}: {c}" for name, c in used[:8]) + (", …" if len(used) > 8 else "")
        known = " in hindsight" if self.hindsight else ""
        return (
            f"Allocation({self.measures}={self.accuracy:.6g}{known}, spend={self.spend:.6g} of {self.budget:.6g}, "
            f"price={self.price:.4g}, gap={self.gap:.2g}, N={len(self.actions)}, counts={{{shown}}})"
        )


def solve(
    acc: ArrayLike,
    cost: ArrayLike,
    budget: float | None = None,
    *,
    total: float | None = None,
    available: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    method: str = "exact",
    threads: int = 1,
    ids: ArrayLike | None = None,
    action_names: list[str] | tuple[str, ...] | None = None,
) -> Allocation:
    """Choose one action per instance: the highest mean accuracy whose mean cost is within the budget.

    Parameters
    ----------
    acc : array_like, (N, K)
        Expected accuracy (or any utility) of each action on each instance. float32 and float64 arrays are
        used as they are, strided and read-only ones too; pandas, polars and pyarrow tables and lists are
        converted. Never modified.
    cost : array_like, (N, K) or (K,)
        Expected cost, ≥ 0, in any unit; (K,) is shared by all instances.
    budget : float
        Average cost per instance that may be spent, in the unit of `cost`; ``inf`` for no limit.
    total : float
        Instead of `budget`: the sum Σ w·cost that may be spent.
    available : array_like of bool, (N, K), optional
        False if an instance does not have the action; the values of acc and cost there are ignored.
    weights : array_like, (N,), optional
        How often each instance occurs, ≥ 0.
    method : {"exact", "bisect"}
        "exact" takes the hull steps of all rows in order of efficiency, and is within one step of the upper bound.
        "bisect" is the procedure of the paper, the largest spend within the budget that a single price induces. It is
        meant for comparison, and loses if many rows tie.
    threads : int
        Threads for the passes over the table; the answer has the same bits for any number. Below 1e5 rows they cost
        more than they give.
    ids : array_like, (N,), optional
        Names of the instances; taken from a pandas index if there is one.
    action_names : sequence of str, (K,), optional
        Names of the actions; taken from a data frame's columns if there are any.

    Returns
    -------
    Allocation
        Always feasible: Σ w·cost ≤ budget·Σ w·(1 + 2⁻⁵⁰). Equal utilities go to the cheaper, then to the lower column.

    Raises
    ------
    InputError
        If an argument is not allowed; the message names the argument, the place and the remedy. Also if another thread
        was seen to write into `acc` or `cost` during the call.
    BudgetError
        If even the cheapest choice exceeds the budget; its ``limit`` is the smallest feasible budget.

    Notes
    -----
    Source of the relaxation: arXiv 2604.14853, section 3. The exact method is the greedy solution of the linear
    relaxation of the multiple-choice knapsack problem (Sinha & Zoltners 1979; Kellerer, Pferschy & Pisinger,
    *Knapsack Problems*, 2004, section 11.2), without its sort.

    Examples
    --------
    Three questions, answered by 1 or by 4 samples:

    >>> import tcalloc
    >>> plan = tcalloc.solve([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]], cost=[1, 4], budget=2.0)
    >>> plan.actions.tolist(), round(plan.accuracy, 3), plan.spend
    ([0, 1, 0], 0.733, 2.0)
    """
    one_of("method", method, ("exact", "bisect"))
    workers = whole("threads", threads, 1)
    asked = check_limit(budget, total)
    problem = prepare(acc, cost, available, weights, ids, action_names)
    is_total = total is not None
    limit = scaled_limit(problem.labels, weight_sum(problem), asked, is_total=is_total)
    try:
        outcome = (_search.exact if method == "exact" else _search.bisect)(problem, limit, workers)
    except Infeasible as error:
        problem.refuse_changed()
        raise infeasible(problem.labels, error.cheapest, asked, is_total=is_total) from None
    problem.refuse_changed()
    return allocation(problem.labels, outcome, asked, is_total=is_total)


def _readable(texts: NDArray[Any]) -> NDArray[Any]:
    """Return ids or names as pandas takes them."""
    if texts.dtype.kind not in "OU":
        return texts
    found = np.empty(texts.shape, object)
    found[:] = [whole_characters(text) for text in texts.tolist()]
    return found


def check_limit(budget: Any, total: Any) -> float:
    """Return whichever of the two was given."""
    if (budget is None) == (total is None):
        given = "neither" if budget is None else "both"
        raise InputError(f"{given} of budget and total given; expected one: a mean per instance, or a sum.")
    return scalar(budget, "budget") if total is None else scalar(total, "total")


def allocation(labels: Labels, outcome: Outcome, asked: float, *, is_total: bool) -> Allocation:
    """Return an outcome in the user's units and names."""
    weight = exactly(outcome.weight)
    spend = unscale(exactly(outcome.spend) / weight, labels.cost_exponent)
    mean = asked
    if is_total and asked != math.inf:
        mean = float(Fraction(asked) / (weight * Fraction(2) ** labels.weight_exponent))
    price, bound = outcome.price, math.inf
    if price < math.inf:
        price = unscale_price(price, labels)
    if outcome.bound != math.inf:
        bound = unscale(Fraction(outcome.bound) / weight, labels.acc_exponent)
    return Allocation(
        actions=outcome.actions,
        price=price,
        accuracy=unscale(exactly(outcome.gain) / weight, labels.acc_exponent),
        spend=spend,
        budget=mean,
        upper_bound=bound,
        split=outcome.split,
        n_actions=labels.actions,
        ids=labels.ids,
        action_names=labels.names,
    )


@overload
def decide(acc: Sequence[float], cost: ArrayLike, price: float, *, available: ArrayLike | None = None) -> int: ...


@overload
def decide(
    acc: Sequence[Sequence[float]], cost: ArrayLike, price: float, *, available: ArrayLike | None = None
) -> NDArray[np.int32]: ...


@overload
def decide(
    acc: ArrayLike, cost: ArrayLike, price: float, *, available: ArrayLike | None = None
) -> int | NDArray[np.int32]: ...


def decide(
    acc: ArrayLike, cost: ArrayLike, price: float, *, available: ArrayLike | None = None
) -> int | NDArray[np.int32]:
    """Choose the action of the largest utility acc − price·cost, for one row or for many.

    Parameters
    ----------
    acc : array_like, (K,) or (N, K)
        Expected accuracy of each action.
    cost : array_like, (K,) or (N, K)
        Expected cost, ≥ 0.
    price : float
        λ ≥ 0, accuracy per unit of cost; ``inf`` picks the cheapest (ties: the most accurate).
    available : array_like of bool, like `acc`, optional
        False if an action does not exist.

    Returns
    -------
    int or ndarray of int32, (N,)
        The column of one row, (K,), or the columns of many, (N, K). Equal utilities go to the cheaper, then to the
        lower column. If price·cost is so large that accuracies vanish in its rounding, equal costs go to the more
        accurate.

    Raises
    ------
    InputError
        If an argument is not allowed.

    Examples
    --------
    >>> import tcalloc
    >>> tcalloc.decide([0.3, 0.8], [1, 4], price=0.1), tcalloc.decide([0.3, 0.8], [1, 4], price=0.2)
    (1, 0)
    """
    if (
        type(acc) is np.ndarray
        and type(cost) is np.ndarray
        and available is None
        and isinstance(price, (float, int))
        and acc.ndim == 1
        and acc.shape == cost.shape
        and acc.dtype == np.float64
        and cost.dtype == np.float64
    ):
        # The fast path for a server; if anything is wrong with the input, the slow path makes the message.
        found = kernel.decide_row(acc, cost, price)
        if found >= 0:
            return int(found)
    rate = scalar(price, "price")
    if rate < 0:
        raise InputError(f"price is {rate!r}; expected at least 0 (accuracy per unit of cost).")
    problem, one = prepare_rows(acc, cost, available)
    rate = scaled_price(problem.labels, rate)
    n = problem.shape[0]
    actions = np.empty(n, np.int32)
    _search._obey(kernel.best_at(problem.acc, problem.cost, problem.available, None, rate, 0, n, actions, None))
    problem.refuse_changed()
    return int(actions[0]) if one else actions

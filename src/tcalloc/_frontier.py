"""Every budget at once: all hull steps of all rows, sorted once for any number of queries.

The curve is that of the linear program (concave, piecewise linear). `Frontier.allocate` turns a point of the curve into
actions, the same that `tcalloc.solve` returns.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc import _search
from tcalloc._checks import whole
from tcalloc._frames import new_axes
from tcalloc._hull_path import HullPath
from tcalloc._inputs import Labels, Magnitudes, changed, magnitudes, prepare, scalar, scalars
from tcalloc._kernel import kernel
from tcalloc._printing import cleaned
from tcalloc._rounding import FEASIBLE
from tcalloc._search import FILL, Outcome, exactly, slack_limit
from tcalloc._solve import Allocation, allocation, check_limit
from tcalloc._units import beyond_float, infeasible, joined, refuse_other_actions, scaled_limit, unscale, unscaled
from tcalloc.errors import BudgetError, InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Frontier", "frontier"]

# More points than a plot has pixels are useless.
PLOT_POINTS = 2000


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frontier:
    """The best accuracy at every budget; made by `frontier`, merged with ``+`` or `merge`. It can be pickled.

    Its arrays hold one entry per hull step: at most N·(K − 1), about 100 bytes each.

    Attributes
    ----------
    budgets : ndarray, (M + 1,)
        The vertices' mean costs, rising: from the smallest feasible budget to the last useful one.
    accuracies : ndarray, (M + 1,)
        The vertices' mean accuracies, rising.
    hindsight : bool
        Whether it was computed from single outcomes (`Table.single_outcomes`). If so, no policy attains its accuracies.
    measures : str
        What `accuracies` are means of: "accuracy", or "agreement" where the table holds agreement with a reference.
    """

    _labels: Labels
    _path: HullPath  # in scaled units
    _magnitudes: Magnitudes
    hindsight: bool = False
    measures: str = "accuracy"

    budgets: NDArray[np.float64] = field(init=False)
    accuracies: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        exponents = self._labels.cost_exponent, self._labels.acc_exponent
        for name, column, exponent in zip(("budgets", "accuracies"), (0, 2), exponents, strict=True):
            means = unscaled(self._path.sums[:, column] / self._path.weight[0], exponent)
            means.flags.writeable = False
            object.__setattr__(self, name, means)  # frozen for users, not for this

    # ------------------------------------------------------------------------------------------ the curve

    @property
    def prices(self) -> NDArray[np.float64]:
        """(M,) the accuracy that one more unit of cost buys between two vertices, falling."""
        return self._unscaled_prices(self._path.steps.efficiency)

    def _unscaled_prices(self, prices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return prices in the user's units; raise an error if they would be 0 or keep only a few digits."""
        found = unscaled(prices, self._labels.acc_exponent - self._labels.cost_exponent)
        if ((prices > 0) & (found < np.finfo(np.float64).tiny)).any():
            raise beyond_float()
        return found

    @overload
    def accuracy_at(self, budget: float) -> float: ...

    @overload
    def accuracy_at(self, budget: list[float] | tuple[float, ...] | NDArray[Any]) -> NDArray[np.float64]: ...

    def accuracy_at(self, budget: ArrayLike) -> Any:
        """Return the highest mean accuracy at a mean budget: the linear program's, an upper bound for any choice.

        Parameters
        ----------
        budget : float or array_like
            In the unit of the costs; ``inf`` for no limit.

        Returns
        -------
        float or ndarray
            Like `budget`. Above the last useful budget the curve is flat.

        Raises
        ------
        BudgetError
            If a budget is below the smallest feasible one.
        """
        return _like(self._accuracy(self._feasible(budget)), budget)

    def _accuracy(self, budget: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate between the two vertices beside a budget, in scaled units, where no difference leaves float64."""
        path, last = self._path, len(self.budgets) - 1
        right = np.clip(np.searchsorted(self.budgets, budget, side="right"), min(1, last), last)
        left = np.maximum(right - 1, 0)
        with np.errstate(over="ignore"):  # far beyond the last useful budget: inf
            asked = np.minimum(np.ldexp(budget, -self._labels.cost_exponent), path.sums[last, 0] / path.weight[0])
        (x0, x1), (y0, y1) = (
            (path.sums[left, column] / path.weight[0], path.sums[right, column] / path.weight[0]) for column in (0, 2)
        )
        width = x1 - x0
        share = np.where(width > 0, (asked - x0) / np.where(width > 0, width, 1.0), 1.0)
        # At its end a piece has the vertex's very value.
        gains = np.where(share < 1.0, y0 + np.maximum(share, 0.0) * (y1 - y0), y1)
        return unscaled(gains, self._labels.acc_exponent)

    @overload
    def price_at(self, budget: float) -> float: ...

    @overload
    def price_at(self, budget: list[float] | tuple[float, ...] | NDArray[Any]) -> NDArray[np.float64]: ...

    def price_at(self, budget: ArrayLike) -> Any:
        """Return the price at a mean budget: what one more unit of cost buys there; 0 if it buys nothing more.

        Parameters
        ----------
        budget : float or array_like
            Mean cost per instance.
        """
        asked = self._feasible(budget)
        # As in solve, a budget that is the rounded mean of a vertex reaches that vertex.
        after = np.atleast_1d(np.searchsorted(self.budgets, asked * (1 + FEASIBLE), side="right") - 1)
        priced = after < len(self._path.steps)
        prices = np.zeros(after.shape)
        prices[priced] = self._path.steps.efficiency[after[priced]]
        return _like(self._unscaled_prices(prices).reshape(asked.shape), budget)

    @overload
    def budget_for(self, accuracy: float) -> float: ...

    @overload
    def budget_for(self, accuracy: list[float] | tuple[float, ...] | NDArray[Any]) -> NDArray[np.float64]: ...

    def budget_for(self, accuracy: ArrayLike) -> Any:
        """Return the smallest mean budget whose curve reaches a mean accuracy (the inverse of `accuracy_at`).

        No choice reaches the accuracy for less. ``allocate(accuracy=…)`` returns actions that reach it, for at most one
        step more.

        Parameters
        ----------
        accuracy : float or array_like

        Returns
        -------
        float or ndarray
            Like `accuracy`.

        Raises
        ------
        BudgetError
            If an accuracy cannot be reached; its ``limit`` is the highest that can be reached.
        """
        target = scalars(accuracy, "accuracy")
        self._reachable(float(target.max(initial=-math.inf)))
        found = [self._least_budget(one) for one in target.ravel().tolist()]
        return _like(np.array(found, np.float64).reshape(target.shape), accuracy)

    def _least_budget(self, target: float) -> float:
        """Return the budget at which the curve reaches a target, rounded once."""
        wanted = self._gain_of(target)
        # A target that is the rounded accuracy of a vertex is reached there.
        at = self._path.first_reaching(wanted - abs(wanted) * _search.TOLERANCE)
        if at == 0:
            return float(self.budgets[0])
        here, before = self._path.at(at), self._path.at(at - 1)
        share = (wanted - before[1]) / (here[1] - before[1])
        spend = before[0] + min(max(share, Fraction(0)), Fraction(1)) * (here[0] - before[0])
        budget = unscale(spend / exactly(self._path.weight), self._labels.cost_exponent)
        return min(max(budget, float(self.budgets[0])), float(self.budgets[-1]))  # those are rounded twice

    def _feasible(self, budget: ArrayLike) -> NDArray[np.float64]:
        asked = scalars(budget, "budget")
        low = asked.min(initial=math.inf)
        if low < math.inf and Fraction(low) * (1 + _search.TOLERANCE) < Fraction(float(self.budgets[0])):
            raise infeasible(self._labels, self._path.base, float(low), is_total=False)
        return asked

    def _reachable(self, target: float) -> None:
        best = float(self.accuracies[-1])
        if target > best + abs(best) * FEASIBLE:
            percent = f"If it is meant in %, write {target / 100:g}. " if best <= 1 < target <= 100 else ""
            raise BudgetError(
                f"accuracy is {target!r}, but the best action of every instance reaches {best!r}: that is the highest "
                f"accuracy that any budget buys. {percent}Ask for less, or offer better actions.",
                best,
            )

    # ------------------------------------------------------------------------------------------ actions

    def allocate(
        self, budget: float | None = None, *, total: float | None = None, accuracy: float | None = None
    ) -> Allocation:
        """Return the actions at one budget, as `tcalloc.solve` does, or actions that reach a target accuracy.

        Parameters
        ----------
        budget, total, accuracy : float
            Exactly one of them: the mean cost or the sum that may be spent, or the mean accuracy that must be reached.

        Returns
        -------
        Allocation
            For a target accuracy: it is reached, and ``budget`` is the spend. That is at most one step (w·Δcost of one
            question, divided by Σ w) above `budget_for`, below which no choice reaches the target. Another choice may
            cost a little less; to find the cheapest is a knapsack problem, which is not solved here.

        Raises
        ------
        BudgetError
            If the budget cannot be kept, or the accuracy not reached.
        """
        if accuracy is not None:
            if budget is not None or total is not None:
                raise InputError("accuracy is given together with budget or total; expected one of the three.")
            return self._reach(scalar(accuracy, "accuracy"))
        asked = check_limit(budget, total)
        is_total = total is not None
        limit = scaled_limit(self._labels, exactly(self._path.weight), asked, is_total=is_total)
        allowed = slack_limit(limit)
        if _search.exceeds(self._path.base, allowed):
            raise infeasible(self._labels, self._path.base, asked, is_total=is_total)
        split = self._path.first_above(allowed) - 1
        actions, steps, state = self._path.stand_at(split)
        kernel.walk(steps.row, steps.hop, steps.delta, state, *allowed, FILL, actions)
        outcome = _search.outcome(actions, steps, 0, state, self._path.weight, limit)
        plan = allocation(self._labels, outcome, asked, is_total=is_total)
        return replace(plan, hindsight=self.hindsight, measures=self.measures)

    def _gain_of(self, accuracy: float) -> Fraction:
        """Return the Σ w·acc, in scaled units, of a mean accuracy."""
        return Fraction(accuracy) / Fraction(2) ** self._labels.acc_exponent * exactly(self._path.weight)

    def _reach(self, target: float) -> Allocation:
        """Take steps until the target is reached; the last step is the cheapest that suffices."""
        self._reachable(target)
        wanted = self._gain_of(target)
        wanted -= abs(wanted) * _search.TOLERANCE
        actions, split, spend, gain = self._path.reach(wanted)
        efficiency = self._path.steps.efficiency
        price = float(efficiency[split]) if split < len(efficiency) else 0.0
        mean = unscale(exactly(spend) / exactly(self._path.weight), self._labels.cost_exponent)
        bound = float(self._accuracy(np.array(mean)))
        found = Outcome(actions, price, self._path.weight, spend, gain, math.inf, None)
        plan = allocation(self._labels, found, mean, is_total=False)
        return replace(plan, upper_bound=max(bound, plan.accuracy), hindsight=self.hindsight, measures=self.measures)

    # ------------------------------------------------------------------------------------------ merging

    @classmethod
    def merge(cls, frontiers: Iterable["Frontier"]) -> "Frontier":
        """Join the frontiers of blocks of rows (or of separate tables with the same actions) into one.

        Parameters
        ----------
        frontiers : iterable of Frontier
            In the order of their rows; the curve is the same (to 1e-12) in any order.

        Raises
        ------
        InputError
            If there are none, their actions differ, or their magnitudes are so far apart that `frontier` would refuse
            the whole table.
        """
        if isinstance(frontiers, Frontier) or not isinstance(frontiers, Iterable):
            raise InputError("frontiers is not a list of frontiers; expected e.g. Frontier.merge([first, second]).")
        parts = list(frontiers)
        if not parts:
            raise InputError("frontiers is empty; expected at least one Frontier.")
        if not all(isinstance(part, Frontier) for part in parts):
            raise InputError("frontiers holds something that is not a Frontier; make each with tcalloc.frontier.")
        for part in parts[1:]:
            refuse_other_actions(parts[0]._labels, part._labels)
            if part.measures != parts[0].measures:
                raise InputError(
                    f"frontiers hold {parts[0].measures} and {part.measures}; only tables of one kind can be merged. "
                    "Make all tables with the same labels."
                )
        labels, ranges = joined([part._labels for part in parts], [part._magnitudes for part in parts])
        path = HullPath.merged([part._path.rescaled(part._labels, labels) for part in parts])
        return cls(labels, path, ranges, any(part.hindsight for part in parts), parts[0].measures)

    def __add__(self, other: "Frontier") -> "Frontier":
        return self.merge([self, other]) if isinstance(other, Frontier) else NotImplemented

    # ------------------------------------------------------------------------------------------ for people

    def plot(self, ax: "Axes | None" = None, **style: Any) -> "Axes":
        """Draw accuracy against budget.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            The axes to draw on. Default: those of a new figure.
        **style
            Passed to ``ax.plot``.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingExtraError
            If Matplotlib is not installed.
        """
        if ax is None:
            ax = new_axes()
            ax.set_xlabel("budget (mean cost per instance)")
            ax.set_ylabel("mean expected accuracy")
            ax.set_title(f"Best accuracy at every budget ({len(self._path.cheapest):,} instances)")
            ax.grid(alpha=0.25)
        budgets, accuracies = self.budgets, self.accuracies
        if len(budgets) > PLOT_POINTS:
            even = np.linspace(budgets[0], budgets[-1], PLOT_POINTS)
            budgets, accuracies = even, np.interp(even, budgets, accuracies)
        ax.plot(budgets, accuracies, **({"color": "C0", "marker": "o" if len(budgets) == 1 else None} | style))
        return ax

    @cleaned
    def __repr__(self) -> str:
        (low, high), (worst, best) = (x[[0, -1]].tolist() for x in (self.budgets, self.accuracies))
        return (
            f"Frontier(N={len(self._path.cheapest)}, K={self._labels.actions}, steps={len(self._path.steps)}, "
            f"budget {low:.6g} to {high:.6g}, {self.measures} {worst:.6g} to {best:.6g})"
        )


def frontier(
    acc: ArrayLike,
    cost: ArrayLike,
    *,
    available: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    threads: int = 1,
    ids: ArrayLike | None = None,
    action_names: list[str] | tuple[str, ...] | None = None,
) -> Frontier:
    """Compute the best mean accuracy at every budget, with one sort.

    Parameters
    ----------
    acc, cost, available, weights, threads, ids, action_names
        As in `tcalloc.solve`.

    Returns
    -------
    Frontier
        Its curve is that of the linear program (concave); ``allocate`` returns the feasible actions.

    Raises
    ------
    InputError
        If an argument is not allowed.

    Examples
    --------
    >>> import tcalloc
    >>> curve = tcalloc.frontier([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]], cost=[1, 4])
    >>> curve
    Frontier(N=3, K=2, steps=2, budget 1 to 3, accuracy 0.566667 to 0.766667)
    >>> round(curve.accuracy_at(2.0), 4), round(curve.budget_for(0.75), 4)
    (0.7333, 2.5)
    """
    workers = whole("threads", threads, 1)
    problem = prepare(acc, cost, available, weights, ids, action_names)
    cheapest, totals, steps = _search.ordered_steps(problem, workers)
    path = HullPath.of(cheapest, totals, steps)
    found = magnitudes(problem)
    if not np.isfinite(path.sums[-1]).all():
        raise changed()
    problem.refuse_changed()
    return Frontier(problem.labels, path, found)


def _like(result: Any, asked: ArrayLike) -> Any:
    return float(result) if np.ndim(asked) == 0 else np.asarray(result)

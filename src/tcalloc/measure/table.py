"""A table: what each action reaches and costs on each instance."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._frontier import Frontier, frontier
from tcalloc._inputs import prepare
from tcalloc._printing import cleaned
from tcalloc._solve import Allocation, solve
from tcalloc.errors import InputError
from tcalloc.measure.actions import Action, check_actions
from tcalloc.measure.claims import Check, Claim, Trial, claim
from tcalloc.measure.labels import GOLD, Labels

__all__ = ["Table", "only_outcomes"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Table:
    """Accuracy and cost of each action on each instance; checked when it is made, so that what it holds can be solved.

    Arrays are kept as they are (float32 and float64 are not copied); what else `tcalloc.solve` takes is converted.

    Parameters
    ----------
    acc : ndarray
        (N, K) expected accuracy.
    cost : ndarray
        (N, K) expected cost, or (K,) shared by all instances.
    ids : ndarray, optional
        (N,) the instances' names; None: counted from 0.
    action_names : tuple of str, optional
        (K,) the actions' names.
    available : ndarray of bool, optional
        (N, K) False where an instance does not have the action; None: every instance has every action.
    weights : ndarray, optional
        (N,) how often each instance occurs; None: equally often.
    ignored : tuple of str
        Columns (or arrays) of the file that are no part of a table and were not read.
    se : ndarray or None
        (N, K) standard errors of `acc`, as far as fresh samples of the same questions would change it; None: not known
        (files do not hold them).
    exact : ndarray or None
        (N, K) the estimates before they were shrunk, each unbiased for its action; None: `acc` itself. How far they
        scatter between questions says how far a mean over questions may be off.
    single : ndarray of bool or None
        (K,) actions of one of several models with one sample per question: choosing by such outcomes, a plan would know
        them, and what it claims has no interval. None: no action.
    notes : tuple of str
        What was noticed while the table was made; each is a sentence.
    actions : tuple[Action, ...] or None
        (K,) what the columns stand for, where it is known: what a policy needs to act (files do not hold them).
    trials : tuple[Trial, ...]
        Halves of the samples for cross-fitted claims; made by ``Samples.table(cross_fit=...)``.
    checks : Callable[[], tuple[Check, ...]] or None
        Returns the parts of the samples that correct the claims of plans over several models; computed when the first
        claim is made. Set by ``Samples.table``.
    single_outcomes : bool
        Whether every cell is what a single answer was, right or wrong, and so no expectation. A plan of such a table
        knows the outcomes beforehand, and its accuracy is a bound that no policy attains; `tcalloc.compare` gives
        attainable figures. Found by itself where all cells are 0 or 1; `Samples.table` sets it where every question has
        one sample per model. It is False where choosing per instance pays nothing, as with a single action.
    labels : Labels
        What the accuracies are shares of: samples that give the gold answer or, without gold answers, a reference.

    Raises
    ------
    InputError
        If `tcalloc.solve` would refuse it.

    Examples
    --------
    >>> from tcalloc.measure import Table
    >>> table = Table([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]], [1, 4], action_names=("vote1", "vote4"))
    >>> table
    Table(3 instances, 2 actions: vote1, vote4)
    >>> table.solve(budget=2.0).actions.tolist()
    [0, 1, 0]
    """

    acc: NDArray[Any]
    cost: NDArray[Any]
    ids: NDArray[Any] | None = None
    action_names: tuple[str, ...] | None = None
    available: NDArray[np.bool_] | None = None
    weights: NDArray[Any] | None = None
    ignored: tuple[str, ...] = field(default=(), kw_only=True)
    se: NDArray[np.float64] | None = field(default=None, kw_only=True)
    exact: NDArray[np.float64] | None = field(default=None, kw_only=True)
    single: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    actions: tuple[Action, ...] | None = field(default=None, kw_only=True)
    trials: tuple[Trial, ...] = field(default=(), kw_only=True)
    checks: Callable[[], tuple[Check, ...]] | None = field(default=None, kw_only=True)
    single_outcomes: bool = field(default=False, kw_only=True)
    labels: Labels = field(default=GOLD, kw_only=True)

    def __post_init__(self) -> None:
        problem = prepare(self.acc, self.cost, self.available, self.weights, self.ids, self.action_names)
        labels = problem.labels
        shared = np.ndim(self.cost) == 1
        put = object.__setattr__  # frozen for users, not for this
        put(self, "acc", _unscaled(problem.acc, labels.acc_exponent))
        put(self, "cost", _unscaled(problem.cost[0] if shared else problem.cost, labels.cost_exponent))
        put(self, "ids", labels.ids)
        put(self, "action_names", labels.names)
        if problem.available is not None:
            put(self, "available", problem.available.view(np.bool_))
        if problem.weights is not None:
            put(self, "weights", _unscaled(problem.weights, labels.weight_exponent))
        if self.se is not None:
            put(self, "se", _checked_errors(self.se, self.acc.shape))
        for name, shape in (("exact", self.acc.shape), ("single", self.acc.shape[1:])):
            if (values := getattr(self, name)) is not None and np.shape(values) != shape:
                raise InputError(f"{name} has shape {np.shape(values)}; expected {shape}, as acc has.")
        if self.actions is not None:
            put(self, "actions", check_actions(self.actions))
            if len(self.actions) != self.acc.shape[1]:
                raise InputError(
                    f"actions has {counted(len(self.actions), 'action')}, but acc has {self.acc.shape[1]} columns."
                )

        put(self, "single_outcomes", (self.single_outcomes or only_outcomes(self)) and _chooses(self.acc))

    def solve(
        self, budget: float | None = None, *, total: float | None = None, method: str = "exact", threads: int = 1
    ) -> Allocation:
        """Choose one action per instance: `tcalloc.solve` on this table, with its `total`, `method` and `threads`.

        Of a table of single outcomes (`single_outcomes`) the plan's `hindsight` is True.

        Parameters
        ----------
        budget : float, optional
            Mean cost per instance; or give `total`.
        total : float, optional
            Sum of costs, each times its weight.
        method : {"exact", "bisect"}
            How it is solved: exactly, or as the paper does.
        threads : int
            Threads of the kernel.
        """
        plan = solve(self.acc, self.cost, budget, total=total, method=method, threads=threads, **self._labelled())
        return replace(plan, hindsight=self.single_outcomes, measures=self.labels.words.noun)

    def frontier(self, *, threads: int = 1) -> Frontier:
        """Answer for every budget at once: `tcalloc.frontier` on this table, with its `threads`.

        Parameters
        ----------
        threads : int
            Threads of the kernel.
        """
        curve = frontier(self.acc, self.cost, threads=threads, **self._labelled())
        return replace(curve, hindsight=self.single_outcomes, measures=self.labels.words.noun)

    def claim(self, plan: Allocation, level: float = 0.95) -> Claim:
        """Return what a plan of this table may claim: its accuracy with its intervals.

        Parameters
        ----------
        plan : Allocation
            What `solve` of this table returned.
        level : float
            How often the intervals shall hold.

        Returns
        -------
        Claim
            The accuracy; the interval for these questions, answered with fresh samples (NaN if the table has no `se`);
            and the wider one for questions like these. Printed, it is one line.

        Raises
        ------
        InputError
            If the plan is not of this table.

        Examples
        --------
        >>> from tcalloc.measure import Samples, Vote
        >>> table = Samples([[0, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 1]]).table([Vote(1), Vote(3)], shrink=False)
        >>> claim = table.claim(table.solve(budget=2.0))
        >>> round(claim.accuracy, 3), claim.low < claim.accuracy < claim.high
        (0.667, True)
        """
        return claim(self, plan, level)

    def interval(self, plan: Allocation, level: float = 0.95, of: str = "questions") -> tuple[float, float]:
        """Return one of the intervals of `claim`.

        Parameters
        ----------
        plan, level
            As in `claim`.
        of : {"questions", "population"}
            "questions": these questions, answered with fresh samples. "population": questions like these.

        Returns
        -------
        tuple of float
            Low and high.

        Raises
        ------
        InputError
            If the plan is not of this table, or the table has no standard errors, which "questions" needs.
        """
        if of not in ("questions", "population"):
            raise InputError(f"of is {of!r}; allowed are 'questions' and 'population'.")
        found = self.claim(plan, level)
        if of == "population":
            return found.population_low, found.population_high
        if self.se is None:
            raise InputError(
                "this table has no standard errors (se), so how far its samples may mislead is not known. Make it with "
                "Samples.table, or ask of='population'."
            )
        return found.low, found.high

    def _labelled(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("available", "weights", "ids", "action_names")}

    @cleaned
    def __repr__(self) -> str:
        n, k = self.acc.shape
        names = ""
        if self.action_names is not None:
            names = ": " + ", ".join(self.action_names[:8]) + (", ..." if k > 8 else "")
        return f"Table({counted(n, 'instance')}, {counted(k, 'action')}{names})"


# Gains that differ by less than this are alike.
ALIKE = 1e-6


def _chooses(acc: NDArray[Any]) -> bool:
    """Whether what one action gains over another differs between instances, so that choosing per instance pays."""
    with np.errstate(over="ignore", invalid="ignore"):
        gains = acc - acc[:, :1]
        return bool((np.abs(gains[1:] - gains[0]) > ALIKE).any())


def only_outcomes(table: Table, rows: int = 4096) -> bool:
    """Return whether all available cells are 0 or 1; ends at the first block of rows that holds another number."""
    for start in range(0, len(table.acc), rows):
        block = slice(start, start + rows)
        good = (table.acc[block] == 0) | (table.acc[block] == 1)
        if table.available is not None:
            good |= ~table.available[block]
        if not good.all():
            return False
    return True


def _checked_errors(se: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        errors = np.asarray(se, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"se cannot be converted to an array of shape {shape}: {error}") from error
    if errors.shape != shape:
        raise InputError(f"se has shape {errors.shape}, but acc has {shape}.")
    bad = ~(np.isfinite(errors) & (errors >= 0))
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InputError(f"se[{row}, {column}] is {errors[row, column]}; expected a finite number, at least 0.")
    return errors


def _unscaled(values: NDArray[Any], exponent: int) -> NDArray[Any]:
    return values if exponent == 0 else np.ldexp(values, exponent)

"""Rules that see more than counts: the advantage of another sample, regressed on the state, for all prices at once.

The induction goes from the last state back. Each recorded run knows what continuing along its own path brings under the
rule so far (value later − price·cost − value of stopping here). The mean of this, given the state, is the advantage;
drawing more pays if it is positive (Longstaff and Schwartz 2001, doi:10.1093/rfs/14.1.113). The regression is a ridge
towards the mean of all runs after as many samples. It is on an index (the log odds that the answer is right), hinges of
the index, the features seen, and the cells of counts. The rows are the same at every price, so one factorization serves
all prices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.sequential.rules.families import Choice, Move
from tcalloc.learn.sequential.states.simulated_runs import Drawn, SimulatedRuns

__all__ = ["Basis", "Induced"]

Floats = NDArray[np.float64]

CLIP = 4.0
# Positions of the columns of `Evidence.describe` that are counts.
VOTES, SECOND, COUNTS = 3, 4, 10
# Cells of counts that get a column of their own: at most this many, each with at least this share of the runs.
CELLS, RARE = 48, 0.002
# Columns of cells count as if they were twice as large, so they are shrunk less than the features of samples.
CELL = 0.5
GROUPS = 2
# Penalty, in questions, of the logistic regression that gives the index.
INDEX_PENALTY = 5.0
# Number of runs from which columns, knots and index are found; more only take longer.
ENOUGH = 4000


@dataclass(slots=True, eq=False)
class Basis:
    """The columns of one regression."""

    columns: NDArray[np.intp]
    """The columns of x that vary."""
    centre: Floats
    scale: Floats
    index: Floats
    """Coefficients of the log odds; the last is the constant."""
    knots: Floats
    predictions: int
    """Number of the last columns of x that were known before sampling; they get hinges too."""
    prediction_knots: Floats
    cells: NDArray[np.int64]
    margins: NDArray[np.int64]
    mean: Floats
    spread: Floats

    @classmethod
    def fit(cls, x: Floats, right: Floats, predictions: int, penalty: float, only: int | None) -> "Basis":
        """Choose columns (of the first `only`), index and knots for states x, (M, columns), which score `right`."""
        spread = x.std(axis=0)
        spread[len(spread) if only is None else only :] = 0.0
        columns = np.flatnonzero(spread > 1e-6)
        centre, scale = x[:, columns].mean(axis=0), 1.0 / spread[columns]
        z = np.clip((x[:, columns] - centre) * scale, -CLIP, CLIP)
        index = _logistic(z, right, penalty)
        odds = z @ index[:-1] + index[-1]
        knots = np.quantile(odds, [0.2, 0.4, 0.6, 0.8]) if len(columns) else np.zeros(0)
        known = x[:, x.shape[1] - predictions :] if predictions else np.zeros((len(x), 0))
        prediction_knots = np.quantile(known, [0.25, 0.5, 0.75], axis=0).T if predictions else np.zeros((0, 3))
        ids, count = np.unique(_cell(x), return_counts=True)
        often = np.argsort(-count, kind="stable")[:CELLS]
        cells = ids[often][count[often] >= RARE * len(x)]
        margins = np.unique(_margin(x))
        cells = cells if len(cells) > 1 else cells[:0]
        made = cls(columns, centre, scale, index, knots, predictions, prediction_knots, cells,
                   margins if len(margins) > 1 else margins[:0], np.zeros(0), np.ones(0))  # fmt: skip
        raw = made._raw(x)
        deviation = raw.std(axis=0)
        made.mean = raw.mean(axis=0)
        # A cell's column keeps its size, so that rare cells are shrunk more; other columns are scaled by their spread.
        deviation[raw.shape[1] - len(made.cells) - len(made.margins) :] = CELL
        made.spread = np.where(deviation > 1e-9, deviation, np.inf)
        return made

    def _raw(self, x: Floats) -> Floats:
        z = np.clip((x[:, self.columns] - self.centre) * self.scale, -CLIP, CLIP)
        odds = z @ self.index[:-1] + self.index[-1]
        parts = [z, odds[:, None], np.maximum(odds[:, None] - self.knots, 0.0)]
        for j, knots in enumerate(self.prediction_knots):
            parts.append(np.maximum(x[:, x.shape[1] - self.predictions + j, None] - knots, 0.0))
        parts.append((_cell(x)[:, None] == self.cells).astype(np.float64))
        parts.append((_margin(x)[:, None] == self.margins).astype(np.float64))
        return np.concatenate(parts, axis=1)

    def of(self, x: Floats) -> Floats:
        """Return the columns of states, (M, width)."""
        return np.asarray((self._raw(np.asarray(x, np.float64)) - self.mean) / self.spread)


def _group(x: Any) -> Any:
    """Return the regression of a state: features mean different things if all answers agree and if they do not."""
    return (x[:, SECOND] > 0).astype(np.int64)


def _cell(x: Floats) -> NDArray[np.int64]:
    return np.asarray(x[:, VOTES] * 4096 + x[:, SECOND], np.int64)


def _margin(x: Floats) -> NDArray[np.int64]:
    return np.asarray(x[:, VOTES] - x[:, SECOND], np.int64)


def _logistic(z: Floats, right: Floats, penalty: float) -> Floats:
    wide = np.column_stack([z, np.ones(len(z))])
    ridge = np.full(wide.shape[1], penalty)
    ridge[-1] = 1e-6
    beta = np.zeros(wide.shape[1])
    for _ in range(10):
        chance = 1.0 / (1.0 + np.exp(-np.clip(wide @ beta, -30, 30)))
        curve = (wide * (chance * (1 - chance))[:, None]).T @ wide + np.diag(ridge)
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(beta)), wide.T @ (right - chance) - ridge * beta)
        beta += np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-3:
            break
    return np.asarray(beta)


@dataclass(slots=True, eq=False)
class Induced:
    """One rule per price, of one model or of several."""

    moves: tuple[Move, ...]
    """The possible draws."""
    bases: dict[tuple[Drawn, int], Basis]
    """The regressions by samples of each model, and by group of states (`_group`)."""
    advantage: dict[tuple[Drawn, int], NDArray[np.float32]]
    """(moves, width + 1, J) coefficients; the last is the mean; -inf if a draw is not possible."""
    weighted: bool
    """Whether votes are weighted."""
    settings: int
    """J."""
    predicts: bool
    """Whether they look at the question."""
    reads: bool
    """Whether they look at the features of samples; if not, only at counts."""

    blind = False

    def choose(self, at: Drawn, x: Any, first: Any, second: Any, settings: Any) -> Choice:
        """Return the moves of some rules in some states; see `Family`."""
        chosen = np.arange(self.settings)[settings]
        move = np.zeros((len(x), len(chosen)), np.uint8)
        group = _group(x)
        for g in range(GROUPS):
            there = self.advantage.get((at, g))
            rows = np.flatnonzero(group == g)
            if there is None or not len(rows):
                continue
            basis = self.bases[at, g].of(x[rows])
            best: Any = 0.0
            found = np.zeros((len(rows), len(chosen)), np.uint8)
            for m, part in enumerate(there):
                some = part[:, chosen].astype(np.float64)
                if some[-1, 0] == -np.inf:
                    continue
                gain = basis @ some[:-1] + some[-1]
                found[gain > best] = m + 1
                best = np.maximum(best, gain)
            move[rows] = found
        return move

    @classmethod
    def fit(
        cls,
        simulated: SimulatedRuns,
        prices: Floats,
        waves: Sequence[int],
        pseudo: float,
        predictions: int,
        weighted: bool,
        rows: Any = None,
        reads: bool = True,
    ) -> "Induced":
        """Learn the rules from recorded runs.

        Parameters
        ----------
        simulated : SimulatedRuns
            The runs.
        prices : ndarray, (J,)
            In accuracy per unit of cost.
        waves : sequence of int
            How many samples may be drawn at once.
        pseudo : float
            Penalty, in questions.
        predictions : int
            Number of the last columns that were known before sampling.
        weighted : bool
            Whether votes are weighted.
        rows : ndarray of int, optional
            Only these questions.
        reads : bool
            Whether to look at the features of samples.
        """
        runs = simulated.runs_of(rows)
        moves = tuple(
            Move(a, int(k)) for a in range(len(simulated.caps)) for k in sorted(waves) if k <= simulated.caps[a]
        )
        made = cls(moves, {}, {}, weighted, len(prices), predictions > 0, reads)
        value: dict[Drawn, NDArray[np.float32]] = {}
        penalty = pseudo * simulated.orders
        for at in reversed(list(simulated.nodes)):
            node = simulated.nodes[at]
            stop = node.score[runs].astype(np.float64)
            value[at] = np.repeat(stop[:, None], len(prices), axis=1).astype(np.float32)
            steps = list(_steps(at, moves, simulated))
            if not steps or node.x is None:
                continue
            x = node.x[runs].astype(np.float64)
            open_ = ~node.done[runs] & simulated.there(at)[runs]
            group = _group(x)
            after = value[at].copy()
            for g in range(GROUPS):
                rows_ = open_ & (group == g)
                # With fewer runs than those of two questions there is nothing to learn.
                if rows_.sum() < 2 * simulated.orders:
                    continue
                some = np.flatnonzero(rows_)
                some = some[:: -(-len(some) // ENOUGH)]
                penalized = INDEX_PENALTY * simulated.orders * len(some) / rows_.sum()
                basis = made.bases[at, g] = Basis.fit(
                    x[some], stop[some], predictions, penalized, None if reads else COUNTS
                )
                table, best = None, np.zeros((len(runs), len(prices)), np.float32)
                solved: Any = (None, None, None)
                for m, to in steps:
                    able = np.flatnonzero(rows_ & simulated.there(to)[runs])
                    if len(able) < 2 * simulated.orders:
                        continue
                    if solved[0] is None or not np.array_equal(solved[0], able):
                        seen = basis.of(x[able])
                        gram = seen.T @ seen
                        gram[np.diag_indices_from(gram)] += penalty
                        # In single precision, which halves the time; the equations are solved in double precision.
                        solved = (able, seen.astype(np.float32), np.linalg.inv(gram))
                    _, seen, inverse = solved
                    if table is None:
                        table = np.full((len(moves), seen.shape[1] + 1, len(prices)), -np.inf, np.float32)
                    extra = (simulated.cost(to) - simulated.cost(at) + simulated.round_cost(at, moves[m].arm))[runs][
                        able
                    ]
                    target = value[to][able] - extra.astype(np.float32)[:, None] * prices.astype(np.float32)
                    gain = target - stop[able][:, None].astype(np.float32)
                    mean = gain.mean(axis=0, dtype=np.float64)
                    gain -= mean.astype(np.float32)
                    table[m, :-1], table[m, -1] = inverse @ (seen.T @ gain), mean
                    predicted = seen @ table[m, :-1] + table[m, -1]
                    before = best[able]
                    better = predicted > before
                    best[able] = np.where(better, predicted, before)
                    after[able] = np.where(better, target, after[able])
                if table is not None:
                    made.advantage[at, g] = table
            value[at] = after
        return made


def _steps(at: Drawn, moves: tuple[Move, ...], simulated: SimulatedRuns) -> Any:
    """Yield the possible draws after given numbers of samples, and where they lead; earlier models are not drawn."""
    latest = max((a for a, n in enumerate(at) if n), default=0)
    for m, move in enumerate(moves):
        to = (*at[: move.arm], at[move.arm] + move.samples, *at[move.arm + 1 :])
        if move.arm >= latest and to in simulated.nodes:
            yield m, to

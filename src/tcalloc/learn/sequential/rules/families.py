"""Families of rules: for each setting (price, threshold, …), what to draw next in each state.

What to use when
----------------
`Tables`
    Rules of one model that look at counts only, as tables of states: stopping at a price by the chances of votes.
`Thresholds`
    Rules of one model with a threshold on counts and a cap: margin + cap, Adaptive-Consistency, fixed k, and with a
    verifier "first success, at most k".
`Family`
    The interface of all families; the third one is `tcalloc.learn.sequential.rules.regression_induction.Induced`.
`outcomes`
    Spend and accuracy of all rules of a family on recorded samples at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.rivals.adaptive_consistency import beta_criterion
from tcalloc.learn.sequential.rules.exact_votes import Chances
from tcalloc.learn.sequential.states.simulated_runs import Drawn, SimulatedRuns
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.samples import Samples

__all__ = [
    "FIGURES",
    "Choice",
    "Family",
    "Move",
    "Outcomes",
    "Tables",
    "Thresholds",
    "adaptive",
    "affordable",
    "fixed",
    "margins",
    "optimal",
    "outcomes",
]

Floats = NDArray[np.float64]
Choice = NDArray[np.uint8]

# More samples than any question gets.
ANY_NUMBER = 1 << 31
# Margins up to this have a rule each; beyond it, there is one that only its cap stops.
MARGINS = 10
# All caps up to this have rules. Each larger cap is the next one divided by √2. Rules with caps in between differ by
# less than their noise, and choosing the best of many of them costs accuracy on other questions.
FINE = 10
CONFIDENCES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True, slots=True)
class Move:
    """One possible draw."""

    arm: int
    """The number of the model."""
    samples: int
    """Number of samples at once."""


class Family(Protocol):
    """Rules that were learned together, one per setting."""

    @property
    def moves(self) -> tuple[Move, ...]:
        """The possible draws; in a choice, 0 means stop, and i means moves[i - 1]."""

    @property
    def settings(self) -> int:
        """Number of rules."""

    @property
    def weighted(self) -> bool:
        """Whether votes are weighted."""

    @property
    def predicts(self) -> bool:
        """Whether it looks at the question."""

    @property
    def blind(self) -> bool:
        """Whether it looks at counts only."""

    def choose(self, at: Drawn, x: Any, first: Any, second: Any, settings: Any) -> Choice:
        """Return the moves of some rules in some states, (M, len(settings)).

        Parameters
        ----------
        at : tuple of int
            Samples drawn from each model.
        x : ndarray, (M, columns)
            `Evidence.describe`.
        first, second : ndarray of int, (M,)
            The two highest counts of votes.
        settings : ndarray of int or slice
            The numbers of the rules.
        """


class _OfCounts:
    """Rules that look at counts only, not at the question; every vote weighs the same."""

    __slots__ = ()
    weighted = predicts = False
    blind = True


@dataclass(frozen=True, slots=True, eq=False)
class Tables(_OfCounts):
    """Rules of one model that look at counts only."""

    wave: Choice
    """(J, cap + 1, cap + 1, cap//2 + 1) samples to draw next, by the samples so far and the two highest counts."""
    moves: tuple[Move, ...]
    """One draw per number of samples that occurs."""

    @property
    def settings(self) -> int:
        """Number of rules."""
        return len(self.wave)

    def choose(self, at: Drawn, x: Any, first: Any, second: Any, settings: Any) -> Choice:
        """Return the moves of some rules in some states; see `Family`."""
        (n,) = at
        table = self.wave[settings, min(n, self.wave.shape[1] - 1)]
        waves = table[:, np.minimum(first, table.shape[1] - 1), np.minimum(second, table.shape[2] - 1)].T
        code = np.zeros(256, np.uint8)
        for i, move in enumerate(self.moves):
            code[move.samples] = i + 1
        return np.asarray(code[waves])

    @classmethod
    def of(cls, wave: NDArray[Any]) -> "Tables":
        """Make a family of its tables."""
        found = np.ascontiguousarray(wave, np.uint8)
        return cls(found, tuple(Move(0, int(k)) for k in np.unique(found) if k))


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds(_OfCounts):
    """Rules of one model that continue while a measure of the counts is below a level and n is below a cap."""

    measure: Floats
    """The measure by the two highest counts; counts beyond the table are read as its largest."""
    levels: Floats
    """(J,) the rule stops when the measure is at least this."""
    caps: NDArray[np.int64]
    """(J,) the rule stops after this many samples."""
    step: int
    """Number of samples at once, as long as the cap leaves room."""

    @property
    def moves(self) -> tuple[Move, ...]:
        """One per number of samples up to the step."""
        return tuple(Move(0, k) for k in range(1, self.step + 1))

    @property
    def settings(self) -> int:
        """Number of rules."""
        return len(self.levels)

    def measured(self, first: Any, second: Any) -> Floats:
        """Return the measure of some counts, (M,)."""
        rows, columns = self.measure.shape
        return np.asarray(self.measure[np.minimum(first, rows - 1), np.minimum(second, columns - 1)])

    def choose(self, at: Drawn, x: Any, first: Any, second: Any, settings: Any) -> Choice:
        """Return the moves of some rules in some states; see `Family`."""
        (n,) = at
        going = self.measured(first, second)[:, None] < self.levels[settings]
        room = np.clip(self.caps[settings] - n, 0, self.step)
        return np.asarray(going * room, np.uint8)


def optimal(samples: Samples, cap: int, prices: Floats, waves: Sequence[int], pseudo: float) -> Tables:
    """Return rules that stop at a price, by the chances of votes in recorded answers; one rule per price."""
    cost = None if samples.cost is None else _mean_costs(samples)
    rounds = RoundCosts.of(samples)
    first, later = float(rounds.first.mean()), float(rounds.later.mean())
    wave = Chances.of(samples.answers, cap, cost).tables(prices, tuple(waves), first, pseudo, later)
    return Tables.of(wave)


def _mean_costs(samples: Samples) -> Floats:
    cost = np.asarray(samples.cost, np.float64)
    if cost.ndim < 2:
        return np.broadcast_to(cost, (len(samples),)).astype(np.float64)
    there = samples.drawn & np.isfinite(cost)
    count = np.maximum(there.sum(axis=1), 1)
    return np.asarray(np.where(there, cost, 0.0).sum(axis=1) / count)


def margins(cap: int, waves: Sequence[int]) -> Thresholds:
    """Return margin + cap: stop when c₁ − c₂ ≥ m or n = cap; one rule per m and cap."""
    levels = [*range(1, min(cap, MARGINS) + 1), cap + 1]
    c1, c2 = _counts(cap)
    return _thresholds(c1 - c2, levels, _caps(cap), waves)


def adaptive(cap: int, waves: Sequence[int]) -> Thresholds:
    """Return Adaptive-Consistency with the Beta criterion; one rule per confidence and cap."""
    c1, c2 = _counts(cap)
    sure = np.where(c1 > 0, beta_criterion(c1, np.minimum(c1, c2)), 0.0)
    return _thresholds(sure, CONFIDENCES, _caps(cap), waves)


def fixed(cap: int, waves: Sequence[int], together: bool = False) -> Tables | Thresholds:
    """Return fixed k, one rule per k; with a verifier each is "first success, at most k".

    Every k up to `cap` is there. With `together` the samples come in as few rounds as the waves allow: where nothing
    is looked at on the way.
    """
    if not together or max(waves) == 1:
        return _thresholds(np.zeros((1, 1)), [1.0], range(1, cap + 1), waves)
    n, _, _ = np.meshgrid(np.arange(cap + 1), np.arange(cap + 1), np.arange(cap // 2 + 1), indexing="ij")
    some = []
    for limit in range(cap + 1):
        left = np.maximum(limit - n, 0)
        fitting = np.max([np.where(k <= left, k, 0) for k in waves], axis=0)
        # What is left and smaller than any wave is drawn as the other rules do.
        some.append(np.where(fitting > 0, fitting, left))
    return Tables.of(np.stack(some))


def _counts(cap: int) -> tuple[Any, Any]:
    return np.meshgrid(np.arange(cap + 1), np.arange(cap // 2 + 1), indexing="ij")


def _caps(cap: int) -> list[int]:
    """Return all small caps, the largest, and between them some that differ by a factor of √2."""
    larger = [round(cap / 2 ** (j / 2)) for j in range(2 * cap.bit_length())]
    return sorted({*range(1, min(cap, FINE) + 1), *(k for k in larger if k > FINE), cap})


def _thresholds(measure: Any, levels: Any, caps: Any, waves: Sequence[int]) -> Thresholds:
    """Return one rule per level and cap, with the smallest number of samples at once; the first draws nothing."""
    pairs = np.array([(-np.inf, 0), *((level, cap) for level in levels for cap in caps)])
    return Thresholds(np.asarray(measure, np.float64), pairs[:, 0], pairs[:, 1].astype(np.int64), int(min(waves)))


FIGURES = ("spend", "accuracy", "rounds")
"""The names of the figures in `Outcomes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The figures of each rule on each question, means over the orders; all are (J, N)."""

    spend: Floats
    """Cost, with what draws cost besides their samples."""
    accuracy: Floats
    """Accuracy."""
    rounds: Floats
    """Draws."""

    def of(self, questions: Any) -> "Outcomes":
        """Return those on some of the questions."""
        return Outcomes(self.spend[:, questions], self.accuracy[:, questions], self.rounds[:, questions])


def outcomes(
    family: Family,
    simulated: SimulatedRuns,
    rows: Any = None,
    settings: Any = None,
    limit: float = np.inf,
    highest_cost: Any = None,
    highest_round_cost: Any = None,
) -> Outcomes:
    """Return the outcomes of rules along simulated runs.

    Parameters
    ----------
    family : Family
        The rules.
    simulated : SimulatedRuns
        Recorded samples in random orders.
    rows : ndarray of int, optional
        Only these questions.
    settings : ndarray of int, optional
        Only these rules.
    limit : float
        The most that a question may cost; nothing is drawn that could exceed it.
    highest_cost, highest_round_cost : ndarray, (arms,), optional
        What a sample of each model costs at most, and a draw besides its samples; needed with `limit`.
    """
    settings = np.arange(family.settings) if settings is None else np.asarray(settings)
    runs = simulated.runs_of(rows)
    if isinstance(family, Thresholds) and family.step == 1:
        return _stopped(family, simulated, runs, settings, limit, highest_cost, highest_round_cost)
    # A rule is a row, so that rules which no run follows any more are left out.
    shape = (len(settings), len(runs))
    totals = np.zeros((3, len(settings), len(runs) // simulated.orders))
    alive: dict[Drawn, NDArray[np.bool_]] = {tuple(0 for _ in simulated.caps): np.ones(shape, bool)}
    rounds = np.zeros(shape, np.uint16)
    # What the draws so far cost besides their samples.
    extra = np.zeros(shape) if simulated.rounds_cost else None
    for at, node in simulated.nodes.items():
        everywhere = alive.pop(at, None)
        if everywhere is None:
            continue
        rules = np.flatnonzero(everywhere.any(axis=1))
        here = everywhere[rules]
        some = np.flatnonzero(here.any(axis=0))
        if not len(some):
            continue
        which = runs[some]
        x = None if node.x is None else node.x[which]
        leading, behind = node.first[which], node.second[which]
        if family.blind:
            moves = family.choose(at, x, leading, behind, settings[rules]).T
        else:  # of all rules: the last bits of a product of matrices depend on the number of its columns
            moves = family.choose(at, x, leading, behind, settings).T[rules]
        moves = np.where(here[:, some] & ~node.done[which], moves, 0)
        stopped = here.copy()
        paid = simulated.cost(at)[runs]
        for m, move in enumerate(family.moves):
            moving = np.zeros(here.shape, bool)
            moving[:, some] = moves == m + 1
            if not moving.any():
                continue
            room = min(move.samples, simulated.caps[move.arm] - at[move.arm])
            left = simulated.size[move.arm, runs] - at[move.arm]
            if limit < np.inf:
                rest = limit - paid - (0.0 if extra is None else extra[rules])
                left = np.minimum(left, affordable(rest, highest_cost[move.arm], highest_round_cost[move.arm]))
            for k in range(1, room + 1):
                # A draw that finds fewer samples than it asks for gets what there is.
                able = moving & ((left >= k) if k == room else (left == k))
                if able.any():
                    to = (*at[: move.arm], at[move.arm] + k, *at[move.arm + 1 :])
                    if to not in alive:
                        alive[to] = np.zeros(shape, bool)
                    alive[to][rules] |= able
                    rounds[rules] += able
                    stopped &= ~able
                    if extra is not None:
                        extra[rules] += able * simulated.round_cost(at, move.arm)[runs]
        ended = np.flatnonzero(stopped.any(axis=1))
        stopped, rules = stopped[ended], rules[ended]
        parts: tuple[Any, ...] = (
            stopped * (paid if extra is None else paid + extra[rules]),
            stopped * node.score[runs].astype(np.float64),
            stopped * rounds[rules],
        )
        for total, part in zip(totals, parts, strict=True):
            total[rules] += part.reshape(len(rules), simulated.orders, totals.shape[2]).sum(axis=1)
    return Outcomes(*(totals / simulated.orders))


def _stopped(
    family: Thresholds,
    simulated: SimulatedRuns,
    runs: NDArray[np.intp],
    settings: NDArray[np.intp],
    limit: float,
    highest_cost: Any,
    highest_round_cost: Any,
) -> Outcomes:
    """Return what `outcomes` returns, of rules that draw one by one: when each level is met serves all its caps."""
    last = simulated.caps[0]
    end = np.minimum(simulated.size[0, runs], last)
    score, paid = np.zeros((last + 1, len(runs)), np.float32), simulated.paid[0][:, runs]
    if simulated.rounds_cost:
        paid = paid + simulated.rounds[0].take(runs).of_rounds(np.arange(last + 1)[:, None])
    measure = np.empty((last + 1, len(runs)))
    for (n,), node in simulated.nodes.items():
        score[n], measure[n] = node.score[runs], family.measured(node.first[runs], node.second[runs])
        first = node.done[runs]
        if limit < np.inf:
            first = first | (affordable(limit - paid[n], highest_cost[0], highest_round_cost[0]) < 1)
        end[first] = np.minimum(end[first], n)
    totals = np.zeros((3, len(settings), len(runs) // simulated.orders))
    every = np.arange(len(runs))
    costs, scores = paid.ravel(), score.ravel()
    for level in np.unique(family.levels[settings]):
        met = measure >= level
        stop = np.minimum(np.where(met.any(axis=0), met.argmax(axis=0), last), end)
        for j in np.flatnonzero(family.levels[settings] == level):
            n = np.minimum(stop, family.caps[settings[j]])
            place = n * len(runs) + every
            for total, part in zip(totals, (costs[place], scores[place], n), strict=True):
                total[j] = part.reshape(simulated.orders, -1).mean(axis=0, dtype=np.float64)
    return Outcomes(*totals)


def affordable(rest: Any, highest_cost: float, highest_round_cost: float = 0.0) -> Any:
    """Return how many samples of one draw fit into what is left, whatever they turn out to cost."""
    # Bounded, so that samples for nothing are a number too.
    found = np.clip(np.floor((rest - highest_round_cost) / max(highest_cost, 1e-300) + 1e-9), 0, ANY_NUMBER)
    return found.astype(np.int64)

"""From what the methods reached to figures with intervals: gains at the same real spend, relative gains, fidelity.

Intervals are over questions, 95 %, paired where two are compared. A mixture whose spend is matched on the questions
that score it moves with them; so differences in spend are charged at the mixture's local slope, question by question,
which leaves means as they are and makes the intervals know it (`bench/studies/learned_policies.py` does the same).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.paper.methods import IMITATOR, METHODS, OURS, Result, Work, mixture_fit, run
from bench.scoring import Difference, paired
from tcalloc._solve import decide
from tcalloc.learn.holdout.folds import Held, held_out, split

__all__ = ["Fidelity", "Figures", "Row", "compare"]

Floats = NDArray[np.float64]
# A spend this close to what was asked for is met.
CLOSE = 0.01


@dataclass(frozen=True, eq=False)
class Row:
    """One method; arrays are (B,), a number per budget."""

    name: str
    kind: str
    what: str
    accuracy: list[Difference]
    """Accuracy with its interval (minus nothing)."""
    spend: Floats
    """What it really spent."""
    met: NDArray[np.bool_]
    """Whether that is the budget; else it finds nothing to spend more on, or cannot spend so little."""
    mixture: Floats
    """What the best fixed mixture reaches at that spend."""
    gain: list[Difference]
    """Accuracy minus the mixture's."""

    @property
    def relative(self) -> Floats:
        """The gain as a share of the mixture's accuracy; NaN where that is 0."""
        gains = np.array([one.mean for one in self.gain])
        with np.errstate(all="ignore"):
            return np.asarray(np.where(self.mixture > 0, gains / self.mixture, np.nan))


@dataclass(frozen=True, eq=False)
class Fidelity:
    """How often policies pick the oracle's action on held-out questions, at one budget that they were made for."""

    budget: float
    majority: Difference
    """What always saying the oracle's most frequent action reaches,"""
    action: str
    """which is this one."""
    agreement: Difference | None
    """How often two oracles agree, each from one half of the responses; None: too few responses to say."""
    of: dict[str, tuple[Difference, Difference, float]]
    """By policy: its fidelity, that minus the majority's, and what it really spends."""


@dataclass(frozen=True, eq=False)
class Figures:
    """One data set by one model."""

    work: Work
    rows: list[Row]
    ahead: list[Difference]
    """`OURS` minus `IMITATOR` at each budget, where both take part."""
    fidelity: list[Fidelity]
    levels: list[tuple[str, int, float, float, dict[str, float]]]
    """Level, questions, accuracy of one response and of the largest vote, mean responses by method (`level_budget`)."""
    level_budget: float
    seconds: float


def compare(work: Work, names: Sequence[str], say: Callable[[str], object] = lambda line: None) -> Figures:
    """Run methods and return their figures; `say` gets lines on the progress."""
    began = time.perf_counter()
    results: dict[str, Result] = {}
    for name in names:
        start = time.perf_counter()
        results[name] = run(name, work)
        say(f"{work.data.name}: {name}, {time.perf_counter() - start:.1f} s")
    rows = [_row(work, name, result.held) for name, result in results.items()]
    ahead = []
    if IMITATOR in results and OURS in results:
        ours, theirs = results[OURS].held.accuracy, results[IMITATOR].held.accuracy
        ahead = [paired(mine, other) for mine, other in zip(ours, theirs, strict=True)]
    middle = len(work.budgets) // 2
    shown = {name: results[name].held.spend[middle] for name in (IMITATOR, OURS) if name in results}
    fidelity = _fidelity(work, {name: result for name, result in results.items() if METHODS[name].kind != "baseline"})
    return Figures(work, rows, ahead, fidelity, _levels(work, shown), work.budgets[middle], time.perf_counter() - began)


def _plain(values: Floats) -> Difference:
    return paired(values, np.zeros(len(values)))


def _row(work: Work, name: str, held: Held) -> Row:
    method = METHODS[name]
    spend = held.spend.mean(axis=1)
    same, slope = _mixtures(work, spend)
    accuracy, gain = [], []
    for b, own in enumerate(held.accuracy):
        accuracy.append(_plain(own - slope[b] * (held.spend[b] - spend[b])))
        # Rounding of the search for the spend is no gain.
        left = own - same.accuracy[b] - slope[b] * (held.spend[b] - same.spend[b])
        gain.append(_plain(np.where(np.abs(left) < 1e-9, 0.0, left)))
    budgets = np.array(work.budgets)
    met = np.abs(spend - budgets) <= CLOSE * budgets
    return Row(name, method.kind, method.what, accuracy, spend, met, same.accuracy.mean(axis=1), gain)


def _mixtures(work: Work, spends: Floats) -> tuple[Held, Floats]:
    """Return the best fixed mixture at these spends, held out, and its slope there: accuracy per response."""
    b, step = len(spends), 0.01
    around = np.concatenate([spends, spends * (1 - step), spends * (1 + step)])
    found = held_out(mixture_fit(work), len(work.acc), around, folds=work.folds, seeds=work.seeds)
    at = Held(found.asked[:b], found.spend[:b], found.accuracy[:b])
    rise, run_ = (
        values[2 * b :].mean(axis=1) - values[b : 2 * b].mean(axis=1) for values in (found.accuracy, found.spend)
    )
    return at, np.where(run_ > 1e-9, rise / np.maximum(run_, 1e-9), 0.0)


# ---------------------------------------------------------------------------------------------- fidelity


def _fidelity(work: Work, results: dict[str, Result]) -> list[Fidelity]:
    """Compare with the oracle's actions on the held-out questions, at the price of the questions trained on.

    The oracle's actions are those of the exact expectations over all responses, the one that a call showed among them:
    a policy with a call is flattered by that, a little.
    """
    n, k = work.acc.shape
    found = []
    for budget in work.budgets:
        labels, agreed = [], []
        for seed in work.seeds:
            label, same = np.empty(n, np.intp), np.full(n, np.nan)
            for train, held in split(n, work.folds, seed):
                price = work.price(train, budget)
                label[held] = decide(work.acc[held], work.cost, price)
                told = work.halves.agreement(price) if work.halves.pairs else None
                if told is not None:
                    whole = np.full(n, np.nan)
                    whole[told[1]] = told[0]
                    same[held] = whole[held]
            labels.append(np.eye(k)[label])
            agreed.append(same)
        share = np.mean(labels, axis=0)
        most = int(share.mean(axis=0).argmax())
        of = {}
        for name, result in results.items():
            if all((seed, budget) in result.odds for seed in work.seeds):
                picked = [result.odds[seed, budget] for seed in work.seeds]
                own = np.mean([(odds * label).sum(axis=1) for odds, label in zip(picked, labels, strict=True)], axis=0)
                spend = float(np.mean([odds @ work.cost for odds in picked]))
                of[name] = _plain(own), paired(own, share[:, most]), spend
        both = np.mean(agreed, axis=0)
        told_by = None if np.isnan(both).any() else _plain(both)
        found.append(Fidelity(budget, _plain(share[:, most]), work.actions[most].name, told_by, of))
    return found


def _levels(work: Work, spends: dict[str, Floats]) -> list[tuple[str, int, float, float, dict[str, float]]]:
    levels = work.data.levels
    if levels is None:
        return []
    known = np.array(levels)
    found = []
    for level in sorted(set(levels)):
        rows = known == level
        by_method = {name: float(spend[rows].mean()) for name, spend in spends.items()}
        single, largest = (float(work.acc[rows, a].mean()) for a in (0, -1))
        found.append((level, int(rows.sum()), single, largest, by_method))
    return found

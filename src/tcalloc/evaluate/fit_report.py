"""What `tcalloc.fit` reports: the policy, its figures on held-out questions, and both in words.

`RoutingReport` is of policies that decide beforehand, `StoppingReport` of those that decide while sampling.
"""

import math
import os
import textwrap
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcalloc import _amounts
from tcalloc._counts import counted
from tcalloc._printing import cleaned, text_table
from tcalloc._rounding import SUMMED
from tcalloc.evaluate.gold_check import GoldCheck
from tcalloc.evaluate.result import plain
from tcalloc.evaluate.statistics import half_width
from tcalloc.learn.holdout.certify import Certificate
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.measure.labels import GOLD, Labels

__all__ = ["FitReport", "FixedNumbers", "Point", "RoutingReport", "StoppingReport"]

Floats = NDArray[np.float64]

WIDTH = 98
# Spends of the printed table, as shares of what all recorded samples would cost on a scale of ratios.
POINTS = 7


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class FitReport:
    """A fitted policy, and what it reaches on questions that it has not seen.

    Attributes
    ----------
    policy : policy
        Fitted on all questions, or on three quarters of them where the budget is guaranteed.
    name : str
        Its name in `tcalloc.learn.registry`.
    questions : int
        How many questions there were.
    budget : float
        Mean cost per question that may be spent.
    verifier : bool
        Whether a verifier recognises right answers live.
    unanswered : int
        How many held-out questions get no answer. 0 where the policy decides while sampling: it always answers.
    labels : Labels
        What accuracies are shares of: answers that equal the gold answer, or a reference that other samples give.
    gold : GoldCheck or None
        Accuracy of a policy that learned without gold answers, on the questions whose gold answer is known.
    looks : float
        What is paid for X per question, a part of the budget; 0 where the policy does not read X at this budget.
    """

    policy: Any
    name: str
    questions: int
    budget: float
    verifier: bool
    unanswered: int = 0
    labels: Labels = GOLD
    gold: GoldCheck | None = None
    looks: float = 0.0

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Store the policy in a folder, which `tcalloc.load_policy` reads.

        Parameters
        ----------
        folder : path
            A policy that is there is replaced.

        Raises
        ------
        InputError
            If the folder holds something else.
        """
        self.policy.save(folder)

    def text(self, *, run: str = "", out: str = "", unit: str | None = None) -> str:
        """Return the report as ``tcalloc fit`` prints it.

        Parameters
        ----------
        run, out : str
            The folder of the samples and that of the policy, where the text shall name them.
        unit : str, optional
            What costs are counted in, such as "usd".
        """
        raise NotImplementedError

    def note(self, unit: str | None = None) -> str:
        """Return what must be said besides, as one sentence; "" where there is nothing."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a dictionary for JSON; what is not finite is None."""
        raise NotImplementedError

    def _common(self) -> dict[str, Any]:
        """Return the first figures of every report, as `to_dict` does."""
        return {
            "policy": type(self.policy).__name__,
            "name": self.name,
            "verifier": self.verifier,
            "labels": self.labels.to_dict(),
            "gold": None if self.gold is None else self.gold.to_dict(),
            "questions": self.questions,
        }

    @cleaned
    def __str__(self) -> str:
        return "\n\n".join(part for part in (self.text(), textwrap.fill(self.note(), WIDTH)) if part)

    @cleaned
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {counted(self.questions, 'question')}, budget={self.budget:g})"

    def _below(self, unit: str | None) -> list[str]:
        """Return what the features cost and what the gold answers say, as lines; nothing where there is neither."""
        said = [self._looking(unit)] if self.looks else []
        said += [] if self.gold is None else [self.gold.text(unit)]
        return [textwrap.fill(one, WIDTH) for one in said]

    def _looking(self, unit: str | None) -> str:
        """Return what is paid for X, as one sentence."""
        raise NotImplementedError

    def _head(self, run: str, more: str, unit: str | None) -> str:
        costs = "" if unit is None else f", costs in {_amounts.unit_words(unit)}"
        head = f"{_before(run)}{counted(self.questions, 'question')}{more}{costs}"
        said = self.labels.sentence()
        return f"{head}\n\n{textwrap.fill(said, WIDTH)}" if said else head


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class RoutingReport(FitReport):
    """What a policy that decides beforehand is known to lose, in cross-validation.

    Attributes
    ----------
    certificate : Certificate
        Fidelity, regret, gain and spend on held-out questions.
    categories : tuple of str
        The columns of X beside the text.
    folds : int
        Number of folds of the cross-validation.
    """

    certificate: Certificate
    categories: tuple[str, ...]
    folds: int

    def _looking(self, unit: str | None) -> str:
        return (
            f"Of the budget of {_amounts.amount(self.budget, unit, 4)}, the features of a question cost "
            f"{_amounts.amount(self.looks, unit, 4)}. The figures above are of the rest, which pays for samples."
        )

    def facts(self) -> list[str]:
        """Return what the policy says of itself, line by line."""
        lines = [line.strip() for line in repr(self.policy).splitlines() if line.startswith("  ")]
        start = next((i for i, line in enumerate(lines) if line.startswith("fitted on")), len(lines))
        return lines[start:]

    @cleaned
    def text(self, *, run: str = "", out: str = "", unit: str | None = None) -> str:
        """Return the report as ``tcalloc fit`` prints it; see `FitReport.text`."""
        facts = "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in self.facts())
        how = f"Held out, in {self.folds}-fold cross-validation"
        held_out = f"{how} (every question decided by a policy that has not seen it):"
        return "\n\n".join(
            [
                self._head(run, f", {counted(len(self.policy.action_names_), 'action')}", unit),
                f"{_before(out)}{type(self.policy).__name__} ({self.name})\n{facts}",
                # The notes stand below, each in lines of its own.
                f"{held_out}\n\n{replace(self.certificate, notes=())}",
                *(textwrap.fill(note, WIDTH) for note in self.certificate.notes),
                *self._below(unit),
            ]
        )

    @cleaned
    def note(self, unit: str | None = None) -> str:
        """Return how many questions are left without an answer, as one sentence; "" where there are none."""
        if not self.unanswered:
            return ""
        why = "the compute brings more on others"
        if self.unanswered == self.questions:
            actions = zip(self.policy.actions_, self.policy.cost_, strict=True)
            cheapest = float(min(cost for action, cost in actions if action is not None))
            why = f"the cheapest action costs {_amounts.amount(cheapest, unit)}"
            if self.budget >= cheapest * (1 - SUMMED):
                why = f"no action was ever {self.labels.words.right}"
        return f"leaves {self.unanswered:,} of {counted(self.questions, 'question')} without an answer, because {why}."

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a dictionary for JSON; what is not finite is None."""
        policy = self.policy
        return self._common() | {
            "budget": plain(float(self.budget)),
            "price": plain(float(policy.price_)),
            "action_names": list(policy.action_names_),
            "action_costs": [plain(float(value)) for value in policy.cost_],
            "categories": list(self.categories),
            "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
            "facts": self.facts(),
            "folds": self.folds,
            "looks": plain(float(self.looks)),
            "certificate": self.certificate.to_dict(),
        }


class FixedNumbers(NamedTuple):
    """What the same number of samples for every question spends and reaches."""

    samples: tuple[int, ...]
    """(K,) numbers of samples."""
    spend: Floats
    """(K,) mean cost per question."""
    accuracy: Floats
    """(K,) mean accuracy."""

    def at(self, spend: float) -> float | None:
        """Return the accuracy at a spend, two neighbours mixed; None below one sample."""
        if spend < self.spend[0] * (1 - SUMMED):
            return None
        return float(np.interp(spend, self.spend, self.accuracy))


class Point(NamedTuple):
    """What stopping reaches at one spend, held out."""

    spend: float
    """Mean cost per question."""
    accuracy: float
    half_width: float
    """Half of the 95 % interval of the accuracy, at most."""
    fixed_number: float | None
    """What the same number of samples for every question reaches; None where it cannot be this cheap, or where there
    are several models."""
    rounds: float
    """Draws of one or more samples at once; NaN where they are not known."""
    rules: str
    """Which rules the policy uses."""


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class StoppingReport(FitReport):
    """What a policy that decides while sampling reaches for which spend, in cross-validation.

    Attributes
    ----------
    frontier : StoppingFrontier
        Held-out spends and accuracies.
    fixed : FixedNumbers or None
        What fixed numbers of samples reach on the same questions; None where there are several models.
    learned_from : int
        How many questions the policy learned from. The others set the price, where the budget is guaranteed.
    one_sample : float
        What one sample of the cheapest model costs. The printed table begins there: who spends less leaves questions
        without an answer.
    """

    frontier: StoppingFrontier
    fixed: FixedNumbers | None
    learned_from: int
    one_sample: float

    def _looking(self, unit: str | None) -> str:
        return (
            f"At this budget, the features of a question cost {_amounts.amount(self.looks, unit, 4)} of it. All spends "
            "include them where the rules read them."
        )

    def at(self, spend: float) -> Point:
        """Return what is reached at a spend, between two points of the frontier in a straight line."""
        curve = self.frontier
        return self._point(
            spend,
            float(np.interp(spend, curve.spend, curve.accuracy)),
            float(np.interp(spend, curve.spend, curve.rounds)),
            curve.family[int(np.abs(curve.spend - spend).argmin())],
        )

    def points(self) -> list[Point]:
        """Return the points of the frontier, without those that only repeat the one before."""
        curve = self.frontier
        kept: list[int] = []
        for b in range(len(curve)):
            same = kept and all(
                math.isclose(values[b], values[kept[-1]], rel_tol=SUMMED, abs_tol=SUMMED)
                for values in (curve.spend, curve.accuracy, np.nan_to_num(curve.rounds))
            )
            if not same:
                kept.append(b)
        return [
            self._point(float(curve.spend[b]), float(curve.accuracy[b]), float(curve.rounds[b]), curve.family[b])
            for b in kept
        ]

    def _point(self, spend: float, accuracy: float, rounds: float, rules: str) -> Point:
        beside = None if self.fixed is None else self.fixed.at(spend)
        return Point(spend, accuracy, half_width(accuracy, self.learned_from), beside, rounds, rules)

    @cleaned
    def text(self, *, run: str = "", out: str = "", unit: str | None = None) -> str:
        """Return the report as ``tcalloc fit`` prints it; see `FitReport.text`."""
        first, high = self.frontier.spend[[0, -1]].tolist()
        low = min(max(first, self.one_sample), high)
        spends = np.append(np.geomspace(low if low > 0 else high / 50, high, POINTS), max(self.budget, first))
        points = [self.at(spend) for spend in np.unique(spends.clip(max=high)).tolist()]
        below = " (below one sample, some questions are left without an answer)" if points[0].spend < low else ""
        wide = max(len(point.rules) for point in points)
        rows = [
            (
                _amounts.digits(point.spend, 4),
                f"{point.accuracy:.4f}",
                f"{point.half_width:.3f}",
                "-" if point.fixed_number is None else f"{point.fixed_number:.4f}",
                f"{point.rounds:.2f}" if math.isfinite(point.rounds) else "-",
                point.rules.ljust(wide),
            )
            for point in points
        ]
        table = text_table(("spend", self.labels.words.noun, "±", "fixed number", "rounds", "rules".ljust(wide)), rows)
        held_out = (
            "What it reaches, by cross-validation (every question by rules that have not seen it), beside the same\n"
            f"number of samples for everyone{below};\n"
            f"± is half of the 95 % interval over {counted(self.learned_from, 'question')}, at most:"
        )
        said = self.comparison(unit)
        parts = [self._head(run, "", unit), f"{_before(out)}{self.policy!r}", held_out, table]
        return "\n\n".join([*parts, *([textwrap.fill(said, WIDTH)] if said else []), *self._below(unit)])

    def comparison(self, unit: str | None = None) -> str:
        """Return what the policy gives up and saves against all samples that were judged; "" with gold answers."""
        if self.labels.gold or self.fixed is None:
            return ""
        own = self.at(min(self.budget, float(self.frontier.spend[-1])))
        n, paid = self.fixed.samples[-1], float(self.fixed.spend[-1])
        share = 1 - own.spend / paid
        judge = f"{self.labels.samples} other samples" if self.labels.held_out else "the reference"
        reached = np.flatnonzero(self.frontier.accuracy >= self.fixed.accuracy[-1] - SUMMED)
        as_often = ""
        if len(reached) and (least := float(self.frontier.spend[reached[0]])) < paid:
            as_often = (
                f" To do so as often as {n} samples, it needs {_amounts.amount(least, unit, 3)}: "
                f"{100 * (1 - least / paid):.0f} % less."
            )
        return (
            f"{n} samples per question give the same answer as {judge} on {100 * self.fixed.accuracy[-1]:.1f} % of the "
            f"questions. At a spend of {_amounts.amount(own.spend, unit, 3)} the policy does so on "
            f"{100 * own.accuracy:.1f} % (± {100 * own.half_width:.1f}), and costs {abs(100 * share):.0f} % "
            f"{'less' if share >= 0 else 'more'}.{as_often}"
        )

    @cleaned
    def note(self, unit: str | None = None) -> str:
        """Return that the budget is more than the policy finds a use for, as one sentence; "" where it is not."""
        most = float(self.frontier.spend[-1])
        if self.budget <= most * (1 + 1e-9):
            return ""
        if self.labels.held_out:
            return (
                f"the figures end at a spend of {_amounts.amount(most, unit, 4)}, since one half of the samples judges "
                f"the other half. What the budget of {_amounts.amount(self.budget, unit, 4)} reaches is not known."
            )
        return (
            f"a budget of {_amounts.amount(self.budget, unit, 4)} does not bind: no rule finds a use for more than "
            f"{_amounts.amount(most, unit, 4)} a question, and that is what the policy spends."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a dictionary for JSON; what is not finite is None."""
        policy, fixed = self.policy, None
        if self.fixed is not None:
            fixed = [
                dict(zip(self.fixed._fields, row, strict=True)) for row in plain(list(zip(*self.fixed, strict=True)))
            ]
        return self._common() | {
            "learned_from": self.learned_from,
            "budget": plain(float(self.budget)),
            "guarantee": None if policy.guarantee_ is None else policy.guarantee_.to_dict(),
            "looks": plain(float(self.looks)),
            "facts": repr(policy).splitlines(),
            "frontier": [{key: plain(value) for key, value in point._asdict().items()} for point in self.points()],
            "fixed_numbers": fixed,
        }


def _before(name: str) -> str:
    return f"{name}: " if name else ""

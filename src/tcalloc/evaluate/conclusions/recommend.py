"""Which policy to use, how sure that is, and what would make it surer: `recommend`.

A policy is recommended only where one is *shown* to be better than the best fixed mixture that spends the same: its
corrected p-value is below 5 %, its interval excludes 0, and its gain is at least 0.05 points. Otherwise the mixture is
recommended, which needs no learning. Among policies between which no test shows a difference, one default is
recommended (`tcalloc.evaluate.conclusions.choice`). With a verifier, stopping at the first success is recommended
without a test.
A policy that may have seen the answers is never recommended. One that gains so much that it must be checked can be
recommended, together with what to check.
"""

import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tcalloc._printing import cleaned, shown_shortly
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions.choice import (
    affords,
    apart,
    by_construction,
    chosen,
    chosen_at,
    leaders,
    shown,
    trusted,
)
from tcalloc.evaluate.conclusions.headline import UNTESTED, headline
from tcalloc.evaluate.conclusions.marks import share_captured, to_check
from tcalloc.evaluate.conclusions.next_step import Source, arguments, obstacle, statements
from tcalloc.evaluate.conclusions.settles import needed_for, settles
from tcalloc.evaluate.result import ComparisonFigures, Standing, plain
from tcalloc.evaluate.thresholds import WORTH
from tcalloc.learn.registry import REFERENCE
from tcalloc.measure.labels import GOLD, Labels
from tcalloc.measure.vocabulary import Vocabulary

__all__ = ["Pick", "Recommendation", "recommend"]

WIDTH = 98


@dataclass(frozen=True, slots=True)
class Pick:
    """What to use at one budget."""

    budget: float
    """Mean spend per question that was asked for."""
    policy: str
    """What to use; the best fixed mixture where nothing is shown to be better."""
    accuracy: float
    """Its held-out accuracy."""
    spend: float
    """What it really spends."""
    shown: bool
    """Whether `policy` is shown to be better than the mixture."""
    candidate: str | None
    """Whose figures follow: `policy` itself or, where that is the mixture, what comes nearest to beating it."""
    gain: float
    """The candidate's accuracy minus that of the best fixed mixture at the same real spend; NaN without a candidate."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p: float
    """Two-sided, Holm's correction over all policies and budgets."""
    questions: int | None
    """How many questions would let the interval exclude 0 in four of five cases, if the true difference is what it is
    here; None if it is shown already, or if there is no difference."""
    questions_corrected: int | None
    """The same for the corrected p-value."""
    level: tuple[str, ...]
    """Other policies that are shown to be better than the mixture, and not shown to differ from `policy`."""
    check: str = ""
    """What must be checked, because `policy` gains so much by it: "X" or "the label"; "" if nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Recommendation:
    """Which policy to use, how sure that is, and what would make it surer; `str` gives it in words."""

    policy: str
    """For all budgets together: the default among equally good ones; the best fixed mixture if none is better."""
    shown: bool
    """Whether it, or a policy not shown to differ from it, is shown to be better than the mixture at some budget."""
    picks: tuple[Pick, ...]
    """One per budget."""
    reasons: tuple[str, ...]
    """Why, in sentences."""
    settles: tuple[str, ...]
    """What more questions or more samples would show."""
    questions: int
    """How many questions all this rests on."""
    unit: str
    """"samples" or "cost"."""
    verifier: bool = False
    """Whether all this holds only with a verifier that recognises right answers."""
    untested: bool = False
    """Whether `policy` needs no test: it stops at the first success."""
    fits: tuple[str, ...] = ()
    """Options of ``tcalloc fit`` that make `policy`; empty if that cannot make it."""
    statements: tuple[str, ...] = ()
    """Lines of Python that make it from `data` and `X` of the comparison; empty if tcalloc cannot make it."""
    unfit: str = ""
    """Why tcalloc cannot make it."""
    labels: Labels = GOLD
    """What accuracies are shares of."""
    budget: float = math.nan
    """The budget at which `policy` gains most: that of `fits`."""

    __repr__ = shown_shortly

    def command(self, source: Source | str = "run/") -> str:
        """Return the command that fits the recommended policy; "" if there is none.

        Parameters
        ----------
        source : Source or str
            Where the data came from, such as the name of the run folder.
        """
        return _source(source).command(self.policy, self.fits)

    def python(self, source: Source | str = "run/") -> str:
        """Return the lines of Python that fit the recommended policy; "" if there are none.

        Parameters
        ----------
        source : Source or str
            Where the data came from.
        """
        return _source(source).python(self.policy, self.statements)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold; null (None) where there is no number."""
        found: dict[str, Any] = plain(asdict(self) | {"labels": self.labels})
        return found

    def sentences(self) -> list[str]:
        """Return for each budget what to use and how sure that is; then what to check of that."""
        checks = dict.fromkeys((pick.policy, pick.check) for pick in self.picks if pick.check)
        said = [_told(pick, self.unit, self.labels.words) for pick in self.picks]
        return [*said, *(_checked(*check) for check in checks)]

    @cleaned
    def __str__(self) -> str:
        return self.text()

    @cleaned
    def text(self, source: Source | str = "run/") -> str:
        """Return it in words; the command, or the lines of Python, that fit the policy come last.

        Parameters
        ----------
        source : Source or str
            Where the data came from, such as the name of the run folder.
        """
        lines = [_wrapped(_verdict(self), "")]
        lines += [_wrapped(sentence, "- ") for sentence in self.sentences()]
        for title, sentences in (("Why:", self.reasons), ("To be more certain:", self.settles)):
            if sentences:
                lines += ["", title, *(_wrapped(sentence, "- ") for sentence in sentences)]
        if self.unfit:
            lines += ["", "To fit it:", _wrapped(self.unfit, "  ")]
        elif command := self.command(source):
            lines += ["", "To fit it:", f"  {command}"]
        elif python := self.python(source):
            lines += ["", "To fit it, in Python:", "", python]
        return "\n".join(lines)


def recommend(result: ComparisonFigures) -> Recommendation:
    """Return which policy to use, how sure that is, and what would make it surer.

    One policy is recommended for all budgets: the default, unless another one is shown to be better
    (`tcalloc.evaluate.conclusions.choice`). At a single budget it is another one only if that is shown to be better
    there.
    """
    able = leaders(result)
    overall = chosen(result)
    picks = tuple(_pick(result, b, row, overall) for b, row in enumerate(able))
    policy = result.reference if overall is None else overall.name
    # Where it gains most; the first one for the mixture.
    best = 0 if overall is None else int(np.nanargmax(np.nan_to_num(overall.gain, nan=-np.inf)))
    budget = float(result.budgets[best])
    unfit = obstacle(result, overall)
    return Recommendation(
        policy=policy,
        shown=any(shown(standing, b) for b, row in enumerate(able) for standing in row),
        picks=picks,
        reasons=tuple(_reasons(result, overall)),
        settles=tuple(settles(result, picks)),
        questions=result.questions,
        unit=result.unit,
        verifier=result.verifier,
        untested=overall is not None and by_construction(result, overall),
        fits=() if unfit else arguments(result, policy, budget),
        statements=() if unfit else statements(result, policy, budget),
        unfit=unfit,
        labels=result.labels,
        budget=budget,
    )


# ---------------------------------------------------------------------------------------------- one budget


def _pick(result: ComparisonFigures, b: int, able: list[Standing], overall: Standing | None) -> Pick:
    use = chosen_at(result, b, able, overall)
    if use is None:
        return _made(result, b, result[result.reference], _nearest(result, b), shown=False, level=())
    tests = max(1, len(able) - 1) * len(result.budgets)
    level = [other for other in able if other is not use and not apart(use, other, [b], tests, result.folds)]
    return _made(result, b, use, use, shown=shown(use, b), level=tuple(other.name for other in level))


def _nearest(result: ComparisonFigures, b: int) -> Standing | None:
    """Return the policy that gains most where none is shown to gain: what more questions might show."""
    budget = float(result.budgets[b])
    found = [s for s in result.standings if trusted(s) and affords(s, budget, b) and np.isfinite(s.gain[b])]
    return max(found, key=lambda standing: float(standing.gain[b]), default=None)


def _made(
    result: ComparisonFigures, b: int, use: Standing, candidate: Standing | None, *, shown: bool, level: tuple[str, ...]
) -> Pick:
    needed: tuple[int | None, int | None] = (None, None)
    if candidate is not None and not shown and not by_construction(result, candidate):
        needed = needed_for(result, candidate, b)
    figures = [math.nan] * 4
    if candidate is not None:
        figures = [float(each[b]) for each in (candidate.gain, candidate.gain_low, candidate.gain_high, candidate.p)]
    gain, low, high, p = figures
    return Pick(
        budget=float(result.budgets[b]),
        policy=use.name,
        accuracy=float(use.accuracy[b]),
        spend=float(use.spend[b]),
        shown=shown,
        candidate=None if candidate is None else candidate.name,
        gain=gain,
        low=low,
        high=high,
        p=p,
        questions=needed[0],
        questions_corrected=needed[1],
        level=level,
        check=to_check(use),
    )


# ---------------------------------------------------------------------------------------------- words


def _source(source: Source | str) -> Source:
    return Source(source) if isinstance(source, str) else source


def _verdict(advice: Recommendation) -> str:
    who = phrases.counted(advice.questions, "question")
    use = "With a verifier that recognises right answers, use" if advice.verifier else "Use"
    if advice.policy == REFERENCE:
        return (
            f"{use} {phrases.phrase(advice.policy)}. On these {who} no policy is shown to be better than the mixture "
            "at the same spend."
        )
    name = phrases.clean(advice.policy, phrases.LONGEST)
    where = sum(pick.shown for pick in advice.picks)
    everywhere = where == len(advice.picks)
    places = "all budgets" if everywhere and where > 1 else f"{where} of {phrases.counted(len(advice.picks), 'budget')}"
    if advice.untested:
        first = f"{use} {phrases.phrase(advice.policy)}. {UNTESTED}"
        return f"{first} On these {who} it gains over the best fixed mixture at {places}." if where else first
    named = {pick.policy for pick in advice.picks if pick.policy != REFERENCE}
    if not any(pick.shown and pick.policy == advice.policy for pick in advice.picks):
        others = list(dict.fromkeys(other for pick in advice.picks for other in pick.level)) or ["another policy"]
        return (
            f"{use} {name}. On these {who} its own gain over the best fixed mixture is not shown after the correction "
            f"for the number of policies; that of {phrases.listed(others)} is. No test here shows a difference between "
            f"them, and {name} is the default."
        )
    others_than = "" if everywhere else "; at the others no policy is shown to be better"
    if len(named) > 1:
        return f"{use} {name}, or what is named below. On these {who} the mixture is beaten at {places}{others_than}."
    return (
        f"{use} {name}. On these {who} it is shown to be better than the best fixed mixture at the same spend, at "
        f"{places}{others_than}."
    )


def _told(pick: Pick, unit: str, words: Vocabulary) -> str:
    name = phrases.clean(pick.policy, phrases.LONGEST)
    where = phrases.at_spend(pick.budget, unit).capitalize()
    close = math.isclose(pick.spend, pick.budget, rel_tol=0.006)
    really = "" if close else f", really spending {phrases.number(pick.spend)}"
    reached = f"{where}: {name}, {phrases.percent(pick.accuracy)} {words.right}{really}"
    figures = f"{phrases.points(pick.gain)} points {phrases.interval(pick.low, pick.high)}"
    if pick.policy != REFERENCE:
        level = [phrases.clean(other, phrases.LONGEST) for other in pick.level]
        same = f" No test here shows a difference from {phrases.listed(level)}." if level else ""
        return f"{reached}; {figures} over the mixture at the same spend, {phrases.chance(pick.p)} (corrected).{same}"
    none = f"{reached}. No policy is shown to be better than the mixture"
    if pick.candidate is None:
        return f"{none}: none that can be recommended reaches that spend."
    if pick.gain < WORTH:
        return f"{none}: none gains anything."
    nearest = phrases.clean(pick.candidate, phrases.LONGEST)
    return f"{none}. {nearest} comes nearest: {figures}, {phrases.chance(pick.p)} (corrected)."


def _checked(policy: str, what: str) -> str:
    return (
        f"{phrases.clean(policy, phrases.LONGEST)} reads {what}. Its figures hold only if {what} is known before "
        "anything is drawn and was not made from the answers. It gains so much that this must be checked."
    )


def _reasons(result: ComparisonFigures, overall: Standing | None) -> list[str]:
    found = []
    if overall is not None:
        found.append(" ".join(headline(result)))
    if overall is not None and (ahead := _ahead(result, overall)) is not None:
        found.append(
            f"{phrases.clean(ahead.name, phrases.LONGEST)} has the highest {result.words.noun} over the budgets, but "
            f"no test here shows a difference from {phrases.clean(overall.name, phrases.LONGEST)}. Among such "
            "policies one default is recommended, so that the recommendation does not change with the random seed."
        )
    if overall is not None:
        share = share_captured(result, overall)
        if share > 0:
            found.append(_captures(overall, share))
        off = overall.claimed - overall.accuracy
        if np.isfinite(off).any():
            worst = float(off[np.nanargmax(np.abs(off))])
            size = phrases.points(abs(worst)).lstrip("+")
            far = f"at most {size} points too {'high' if worst > 0 else 'low'}"
            kept = "exact to a tenth of a point" if float(size) == 0 else far
            found.append(f"The {result.words.noun} that it claimed, from training questions alone, was {kept}.")
    telling = [one.name for one in result.standings if trusted(one) and to_check(one) == "X" and one is not overall]
    if overall is not None and telling and not to_check(overall):
        found.append(
            f"With X, {phrases.listed([phrases.clean(name, phrases.LONGEST) for name in telling])} gains so much that "
            "X must be checked: the figures of policies that read X hold only if X is known before anything is drawn "
            "and was not made from the answers."
        )
    tested = sum(map(trusted, result.standings))
    if tested > 1:
        found.append(
            f"{tested} policies were compared on the same questions. The best of many looks a little better than it "
            f"is: p-values are corrected for that, {result.words.plural} are not."
        )
    for standing in result.standings:
        if standing.kind in ("policy", "own") and not trusted(standing):
            who = phrases.clean(standing.name, phrases.LONGEST)
            found.append(f"{who} is never recommended: {'; '.join(standing.marks)}.")
    return found


def _ahead(result: ComparisonFigures, overall: Standing) -> Standing | None:
    """Return the policy of the highest accuracy among those that may be recommended; None: it is recommended."""
    best = next((one for one in result.standings if trusted(one) and any(one in row for row in leaders(result))), None)
    return None if best is overall else best


def _captures(overall: Standing, share: float) -> str:
    name = phrases.clean(overall.name, phrases.LONGEST)
    if share > 1:
        return (
            f"{name} gains {share:.1f} times as much as the held-out oracle. The oracle has seen half of the answers "
            "to each question, draws no more than that, and decides before anything is drawn."
        )
    return (
        f"{name} captures {100 * share:.0f} % of the held-out oracle's gain. The oracle has seen other answers to the "
        "same question."
    )


def _wrapped(text: str, bullet: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip

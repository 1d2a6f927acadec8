"""The report's sections, in their order; each takes a comparison and fills the macro of its name in the templates."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tcalloc._counts import counted
from tcalloc.evaluate import phrases
from tcalloc.evaluate.conclusions import findings
from tcalloc.evaluate.conclusions.headline import Span
from tcalloc.evaluate.conclusions.marks import STARS, by_mark, by_reason, stars, tests
from tcalloc.evaluate.conclusions.next_step import Source
from tcalloc.evaluate.conclusions.recommend import Recommendation
from tcalloc.evaluate.plots import contenders, stepwise
from tcalloc.evaluate.report import pictures
from tcalloc.evaluate.report.templating import Markup, fill, macro, name
from tcalloc.evaluate.result import KINDS, ComparisonFigures, Standing
from tcalloc.evaluate.thresholds import WORTH

__all__ = ["accuracy", "advised", "caveats", "claimed", "destinations", "everyone", "gained", "method", "wanted"]

# How many names of actions are listed; of the others only the number is given.
LISTED = 12
# A segment of a bar narrower than this has no room for its number.
ROOM = 0.12
# Code of the questions that are neither easy nor hopeless.
MEDIUM = 1


class Cell(NamedTuple):
    """A cell of a table: a figure, smaller lines below it, and whether it is what to use."""

    main: object
    below: Sequence[object] = ()
    pick: bool = False


class Row(NamedTuple):
    """A row of a table: its head, smaller lines below that, and its cells."""

    head: object
    cells: Sequence[Cell]
    kind: Sequence[object] = ()


class Rows(NamedTuple):
    """Rows under a title ("": none)."""

    title: object
    rows: Sequence[Row]


class Segment(NamedTuple):
    """A part of a bar: the questions' difficulty, the width in percent, and the number in it ("": no room)."""

    code: int
    width: str
    label: str


class Compute(NamedTuple):
    """Where compute goes at one budget: bars of the policy and of the mixture, and their rows of the table."""

    title: object
    spent: Sequence[Segment]
    mixture_spent: Sequence[Segment]
    rows: Sequence[Row]


def advised(advice: Recommendation, source: Source | str = "run/") -> Markup:
    """Say what to use at each budget, how sure that is, and what would make it surer."""
    return macro(
        "advised",
        verdict=str(advice).split("\n- ", 1)[0],
        sentences=advice.sentences(),
        command=advice.command(source),
        python=advice.python(source),
        unfit=advice.unfit,
        settles=advice.settles,
    )


def accuracy(result: ComparisonFigures, standing: Standing | None) -> Markup:
    """Draw accuracy over spend."""
    words = _curve_words(result, standing)
    picture, lines = pictures.curves(result, f"{result.words.noun.capitalize()} over spend", words)
    banded = "The best fixed mixture carries a 95 % band"
    if standing is not None:
        banded = f"{phrases.clean(standing.name)} and the best fixed mixture carry 95 % bands"
    caption = (
        f"Held-out {result.words.full} over {phrases.spending(result.unit)}. {banded}: so far it may be off on all "
        "questions of this kind. All lines share the luck of the questions, so differences between policies are known "
        "better than the bands suggest; the gains below have their own intervals."
    )
    for one in filter(stepwise, result.standings):
        caption += (
            f" {one.name} goes in steps: it does not mix actions, so it spends no more until it can pay the next one."
        )
    return macro("accuracy", noun=result.words.noun, picture=picture, lines=lines, caption=caption)


def _curve_words(result: ComparisonFigures, standing: Standing | None) -> str:
    mixture = result[result.reference]
    parts = []
    for one in [mixture] if standing is None else [standing, mixture]:
        found = [
            f"{phrases.percent(float(a))} at {phrases.number(float(s))}"
            for a, s in zip(one.accuracy, one.spend, strict=True)
            if math.isfinite(a)
        ]
        parts.append(f"{one.name}: {', '.join(found)}")
    return (
        f"{result.words.noun.capitalize()} over {phrases.spending(result.unit)}. {'; '.join(parts)}. All figures are "
        "in the table of policies."
    )


def gained(result: ComparisonFigures) -> Markup:
    """Draw gains with their paired intervals."""
    words = (
        "Gain in points over the best fixed mixture that spends the same, for "
        f"{phrases.counted(len(result.budgets), 'budget')}. All figures are in the table of policies."
    )
    picture, lines = pictures.gains(result, "Gain over the best fixed mixture", words)
    if not any(np.abs(standing.gain).max(initial=0.0) > 0 for standing in contenders(result)):
        return Markup("")  # all do what the mixture does
    caption = (
        f"Gain in {result.words.noun} over the best fixed mixture that really spends the same, paired by question, "
        "with "
        "95 % intervals. The intervals are not corrected for the number of policies; the p-values in the table are."
    )
    return macro("gained", picture=picture, lines=lines, caption=caption)


# ---------------------------------------------------------------------------------------------- the table


def everyone(result: ComparisonFigures, advice: Recommendation) -> Markup:
    """Tabulate all policies, best first, bounds apart."""
    levels = ", ".join(f"{mark} p < {limit:g}" for limit, mark in reversed(STARS))
    caption = (
        f"For each {phrases.spending(result.unit)}: {result.words.noun}, and below it the gain in points over the best "
        f"fixed mixture that spends the same, with its 95 % interval. {levels}: two-sided, corrected for "
        f"{tests(result)} comparisons (Holm). at: what the policy really spends, where it cannot spend the budget or "
        "needs less."
    )
    real = [_row(result, advice, standing) for standing in result.standings if standing.kind != "bound"]
    bounds = [_row(result, advice, standing) for standing in result.standings if standing.kind == "bound"]
    groups = [Rows("", real), *([Rows("bounds, not policies", bounds)] if bounds else [])]
    return macro("everyone", caption=caption, budgets=_budgets(result), groups=groups, notes=by_mark(result))


def _budgets(result: ComparisonFigures) -> list[str]:
    return [f"at {phrases.number(budget)}" for budget in result.budgets.tolist()]


def _row(result: ComparisonFigures, advice: Recommendation, standing: Standing) -> Row:
    kind = () if standing.kind in ("policy", "bound") else (KINDS.get(standing.kind, standing.kind),)
    cells = []
    for b, pick in enumerate(advice.picks):
        below = []
        if not standing.reached[b] and math.isfinite(standing.spend[b]):
            below.append(f"at {phrases.number(float(standing.spend[b]))}")
        if standing.name != result.reference and math.isfinite(standing.gain[b]):
            gain, low, high = (float(v[b]) for v in (standing.gain, standing.gain_low, standing.gain_high))
            # A gain that is printed as 0 gets no stars, however sure it is.
            sure = stars(float(standing.p[b])) if abs(gain) >= WORTH else ""
            known = f"{phrases.points(gain)} {phrases.interval(low, high)}{sure}"
            below.append("same as the mixture" if standing.does_the_same(b) else known)
        cells.append(Cell(phrases.percent(float(standing.accuracy[b])), below, standing.name == pick.policy))
    return Row(name(standing.name), cells, kind)


# ---------------------------------------------------------------------------------------------- where compute goes


def destinations(result: ComparisonFigures, standing: Standing | None) -> Markup:
    """Tabulate shares of spend and accuracy over easy, medium and hopeless questions."""
    if standing is None or not result.difficulty_names:
        return Markup("")
    mixture, budgets = result[result.reference], []
    unequal = False
    for b, budget in enumerate(result.budgets.tolist()):
        found = findings.groups(result, standing, b)
        title: object = phrases.at_spend(budget, result.unit)
        spends = [float(one.spend[b]) for one in (standing, mixture)]
        if any(findings.elsewhere(spend, budget) for spend in spends):
            own, other = map(phrases.number, spends)
            title = fill("{}; really spent: {} {}, mixture {}", title, name(standing.name), own, other)
            unequal |= findings.elsewhere(*spends)
        rows = []
        for group in found:
            shares = [phrases.percent(share, 0) for share in (group.share, group.spent, group.mixture_spent)]
            reached = [phrases.percent(share) for share in (group.accuracy, group.mixture_accuracy)]
            rows.append(Row(group.name, [Cell(value) for value in (*shares, *reached)]))
        bars = (_bar([group.spent for group in found]), _bar([group.mixture_spent for group in found]))
        budgets.append(Compute(title, *bars, rows))
    caption = "Where the compute goes, and what comes of it, beside the best fixed mixture."
    if unequal:
        caption += (
            " Where the two really spend different amounts, shares are of each one's own spend, and the "
            f"{result.words.plural} here are not at the same spend. The gains in the table of all policies are."
        )
    return macro(
        "destinations",
        noun=result.words.noun,
        meaning=_meaning(result),
        labels=result.difficulty_names,
        policy=standing.name,
        budgets=budgets,
        caption=caption,
    )


def _meaning(result: ComparisonFigures) -> str:
    """Say which questions are called easy and hopeless: `tcalloc.evaluate.compare.difficulty_of`."""
    source = "The groups are made from all recorded answers, which no policy sees."
    if result.data == "samples":
        one = "a single sample" if result.votes else "a single sample of whichever model is best on the question"
        word = result.words.is_right
        return f"Easy: {one} {word} at least 9 times in 10. Hopeless: none {word} more than 1 time in 10. {source}"
    if result.data == "single answers" and not (result.difficulty == MEDIUM).any():
        # One recorded answer of each model: its best is right or wrong, and nothing lies between. Where nothing lies
        # between in a table of 0 and 1 either, it says the same of that.
        word = result.words.is_right
        return f"Easy: at least one action {word}. Hopeless: none {result.words.does}. {source}"
    return (
        f"Easy: the actions {result.words.are_right} at least 9 times in 10, on average over them. Hopeless: not even "
        f"the best one {result.words.is_right} more than 1 time in 10. The groups are made from the whole table, which "
        "no policy sees."
    )


def _bar(shares: Sequence[float]) -> list[Segment]:
    return [
        Segment(code, f"{100 * share:.2f}", f"{100 * share:.0f} %" if share >= ROOM else "")
        for code, share in enumerate(shares)
        if math.isfinite(share) and share > 0
    ]


# ---------------------------------------------------------------------------------------------- claims


def claimed(result: ComparisonFigures, standing: Standing | None) -> Markup:
    """Set what was claimed from training questions beside what was reached on others."""
    found = findings.claims(result)
    if not found:
        return Markup("")
    # Of baselines, which learn next to nothing, claims come true by themselves: among others they would flatter.
    learned = [claim for claim in found if result[claim.policy].kind != "baseline"]
    counted = f"{phrases.counted(len(learned), 'claim')} of policies" if learned else "all claims"
    worst = max(learned or found, key=lambda claim: abs(claim.off))
    off = np.array([claim.off for claim in learned or found])
    words = (
        f"Over {counted}, claimed minus reached is {phrases.points(float(off.mean()))} points on average, and "
        f"{100 * float(np.abs(off).mean()):.1f} in absolute value. Farthest off was "
        f"{phrases.clean(worst.policy, phrases.LONGEST)} at {phrases.number(worst.budget)}{_really(worst)}: claimed "
        f"{phrases.percent(worst.claimed)}, reached {phrases.percent(worst.accuracy)}."
    )
    who, noun = "" if standing is None else standing.name, result.words.noun
    caption = "Points on the line reached what was claimed. Points below it claimed too much."
    if any(claim.policy == who for claim in found):
        caption += f" In colour: {phrases.clean(who, phrases.LONGEST)}."
    described = f"Held-out {noun} over claimed {noun}. {words}"
    picture = pictures.calibration(found, who, f"Claimed and held-out {noun}", described)
    rows = []
    for one in dict.fromkeys(claim.policy for claim in found):
        by = {claim.budget: _claim_cell(claim) for claim in found if claim.policy == one}
        rows.append(Row(name(one), [by.get(budget, Cell("none")) for budget in result.budgets.tolist()]))
    below = (
        "Claimed / held out; below that, claimed minus held out in points. really: what was spent, where it differs "
        "from the budget by more than 1 %."
    )
    return macro(
        "claimed",
        plural=result.words.plural,
        words=words,
        picture=picture,
        caption=caption,
        below=below,
        budgets=_budgets(result),
        rows=rows,
    )


def _claim_cell(claim: findings.Claim) -> Cell:
    both = f"{100 * claim.claimed:.1f} / {phrases.percent(claim.accuracy)}"
    return Cell(both, [f"{phrases.points(claim.off)}{_really(claim)}"])


def _really(claim: findings.Claim) -> str:
    return f", really {phrases.number(claim.spend)}" if findings.elsewhere(claim.spend, claim.budget) else ""


# ---------------------------------------------------------------------------------------------- targets


def wanted(result: ComparisonFigures, standing: Standing | None) -> Markup:
    """Tabulate what budgets target accuracies take."""
    mixture = result[result.reference]
    standings = [mixture] if standing is None else [standing, mixture]
    found = findings.targets(result, standings)
    digits = 0 if all(abs(100 * t.accuracy - round(100 * t.accuracy)) < 1e-6 for t in found) else 1
    rows = []
    for target in found:
        cells = [_span(one, span) for one, span in zip(standings, target.spans, strict=True)]
        rows.append(Row(phrases.percent(target.accuracy, digits), [*cells, _cheapest(target)]))
    caption = (
        f"{phrases.spending(result.unit).capitalize()} at which the held-out curve reaches a target; below that, "
        "where the ends of its 95 % band do. Beyond the budgets that were asked for, this is read off the curve and "
        "not tested."
    )
    policies = [name(one.name) for one in standings]
    words = result.words
    return macro("wanted", noun=words.noun, plural=words.plural, caption=caption, policies=policies, rows=rows)


def _cheapest(target: findings.Target) -> Cell:
    if target.action is None:
        return Cell("none")
    spend = phrases.number(target.action_spend)
    plain = target.action == f"{spend} samples" or (spend == "1" and target.action == phrases.of_answer(1))
    return Cell(spend, () if plain else [name(phrases.action(target.action))])


def _span(standing: Standing, span: Span) -> Cell:
    curve = standing.curve_accuracy
    if not math.isfinite(span.spend):
        top = int(np.nanargmax(curve))
        most = f"at most {phrases.percent(float(curve[top]))}"
        if math.isfinite(span.low):
            most += f"; within its band from {phrases.number(span.low)}"
        return Cell("not reached", [most])
    first, last = float(standing.curve_spend[0]), float(standing.curve_spend[-1])
    low = f"{phrases.number(first)} or less" if span.low <= first else phrases.number(span.low)
    high = phrases.number(span.high) if math.isfinite(span.high) else f"more than {phrases.number(last)}"
    spend = phrases.number(span.spend)
    return Cell(f"{spend} or less" if span.at_least else spend, [f"{low} to {high}"])


# ---------------------------------------------------------------------------------------------- the rest


def caveats(result: ComparisonFigures) -> Markup:
    """Say what to keep in mind, and which policies were left out."""
    found = [*result.remarks]
    varying = [float(v) for s in result.standings if s.kind in ("policy", "own") for v in s.refit if math.isfinite(v)]
    if result.repeats > 1 and varying:
        found.append(
            f"With other folds, a policy's {result.words.noun} varies by a standard deviation of up to "
            f"{100 * max(varying):.1f} points. The intervals do not include that."
        )
    found.append(
        "The figures hold for new questions of the same kind. For questions of another kind they need not hold."
    )
    found.append("The best of many policies on the same questions looks a little better than it is.")
    return macro("caveats", remarks=found, reasons=by_reason(result))


def method(result: ComparisonFigures) -> Markup:
    """Say how it was computed."""
    kinds = {
        "samples": "recorded samples, replayed: a policy sees only what it has paid for",
        "table": "a table with one expectation per question and action",
        "single answers": f"a single answer, {result.words.outcome}, per question and action",
    }
    times = f", {result.repeats} times with other folds" if result.repeats > 1 else ""
    same = "each policy's price (or other setting) is moved until the held-out questions really spend the budget"
    for one in filter(stepwise, result.standings):
        same += f"; {one.name} has none, and uses the best single action that the budget affords in training"
    actions = Markup("; ").join(map(name, result.actions[:LISTED]))
    if len(result.actions) > LISTED:
        actions += f"; and {len(result.actions) - LISTED} more"
    rows = [
        ("questions", f"{result.questions:,}"),
        ("data", kinds.get(result.data, result.data)),
        *([] if result.labels.gold else [("reference", result.labels.reference)]),
        ("fixed actions", fill("{}: {}", len(result.actions), actions)),
        (
            "spend",
            f"{phrases.spending(result.unit)}; budgets {', '.join(map(phrases.number, result.budgets.tolist()))}",
        ),
        (
            "held out",
            f"{counted(result.folds, 'fold')} over questions{times}: every question is scored by policies trained "
            "without it",
        ),
        ("same spend", same),
        ("intervals", "95 %, by a bootstrap over questions, paired; they hold for the policies as they were trained"),
        ("p-values", "two-sided, Holm's correction over all policies and budgets"),
        ("seed", str(result.seed)),
        ("took", f"{result.seconds:,.0f} seconds"),
        ("versions", ", ".join(f"{what} {which}" for what, which in result.versions.items())),
    ]
    return macro("method", facts=dict(rows))

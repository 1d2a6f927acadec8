"""From what every contestant did in every fold to how it stands: `standings`.

The user's questions are a sample. Intervals say how far the accuracy of *these* trained policies may lie from that on
all questions of the kind (conditional on training); how much other trainings would change is `Standing.refit`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._rounding import COMPUTED
from tcalloc.evaluate.conclusions.marks import CHECK
from tcalloc.evaluate.contestants import Contestant
from tcalloc.evaluate.contestants.base import rounding
from tcalloc.evaluate.contestants.bounds import Halved, Hindsight
from tcalloc.evaluate.result import Standing
from tcalloc.evaluate.run_folds import Part
from tcalloc.evaluate.statistics import At, Family, bootstrap, dependence, ends, expansion, holm, saved, two_sided
from tcalloc.evaluate.thresholds import CLEAR, LUCK, NEARLY, SUSPICIOUS
from tcalloc.learn.registry import DIFFICULTY_LABEL, HINDSIGHT, ORACLE, REFERENCE

__all__ = ["standings"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# The group of those that replay rules, which are what they are, whatever they are trained on.
RULES = "counting"
# Groups of contestants that look at X.
TEXT, LOOKING = "text", ("text", "stopping")
# Whose gains are tested.
TESTED = ("policy", "own")
# A curve begins at so much of the smallest budget, if the policy can spend as little.
BELOW = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One contestant at all budgets, mean over the repeats."""

    spend: Floats
    """(B, N)."""
    accuracy: Floats
    """(B, N)."""
    scores: Floats
    """(B, N) whose means are the accuracies."""
    gains: Floats
    """(B, N) whose means are the gains."""
    reached: Bools
    """(B,)."""
    claimed: Floats
    """(B,)."""
    captured: Floats
    """(B,)."""
    refit: Floats
    """(B,)."""
    beyond: Bools
    """(B,) whether it is better than the hindsight bound, beyond chance."""
    ahead: Bools
    """(B,) whether it is better than the held-out oracle, beyond chance."""
    nearly: Bools
    """(B,) whether it gains nearly all that the hindsight bound gains, beyond chance."""
    curve_spend: Floats
    """(G,)."""
    curve_scores: Floats
    """(G, N)."""


def standings(
    contestants: Sequence[Contestant],
    parts: Mapping[str, list[list[Part]]],
    budgets: Floats,
    n: int,
    seed: int,
    fixed: tuple[Floats, Floats] | None = None,
) -> tuple[Standing, ...]:
    """Return how everyone stands, best first, bounds last; the best fixed mixture must be among them.

    `parts` is what `tcalloc.evaluate.run_folds.run` found, `budgets` are (B,) mean spends per question, and `fixed` are
    costs and accuracies of the fixed actions, (N, F) each, against which savings are counted.
    """
    families = {c.name: [Family(folds, n, c.matched) for folds in parts[c.name]] for c in contestants}
    limit = min((c.fit.limit() for c in contestants if isinstance(c.fit, Halved)), default=math.inf)
    found = [measure(c, families, budgets, limit) for c in contestants]
    least, most, scale = range_of(parts)
    rows = [block for m in found for block in (m.scores, m.gains, m.curve_scores)]
    scores = np.concatenate(rows)
    costs, reached = (np.zeros((n, 0)),) * 2 if fixed is None else fixed
    means = bootstrap(np.concatenate([scores, reached.T, costs.T]), seed)
    low, high = ends(scores, means[:, : len(scores)], scale)
    actions = means[:, len(scores) : len(scores) + reached.shape[1]], means[:, len(scores) + reached.shape[1] :]
    tested = np.array([c.kind in TESTED for c in contestants])
    wider = [dependence(len(parts[c.name][0]), learns(c)) for c in contestants]
    p = np.array([two_sided(m.gains, w) for m, w in zip(found, wider, strict=True)])
    # It did the very same: no question would tell them apart, and what rounding leaves is not to look like a gain.
    alike = np.array([np.abs(m.gains).max(axis=1) <= COMPUTED * max(scale, 1.0) for m in found])
    p[alike] = 1.0
    p[~tested] = np.nan
    p = holm(p.ravel()).reshape(p.shape)
    made, at, count = [], 0, len(budgets)
    lucky = all(c.fit.luck() > LUCK for c in contestants if isinstance(c.fit, Hindsight))
    # If one policy shows that X holds the answers, all that look at X know them.
    leaking = [
        contestant.name
        for contestant, m in zip(contestants, found, strict=True)
        if contestant.group == TEXT and contestant.beforehand and ((lucky and m.nearly.any()) or m.beyond.any())
    ]
    for contestant, m, own_p, w, same in zip(contestants, found, p, wider, alike, strict=True):
        accuracy, gain = slice(at, at + count), slice(at + count, at + 2 * count)
        curve = slice(at + 2 * count, at + 2 * count + len(m.curve_spend))
        at = curve.stop
        accuracies = m.curve_scores.mean(axis=1)
        savings = np.full((3, reached.shape[1]), np.nan)
        for a in range(reached.shape[1] if contestant.kind in TESTED and n > 1 else 0):
            savings[:, a] = saved(
                m.curve_spend, accuracies, means[:, curve], (float(reached[:, a].mean()), float(costs[:, a].mean())),
                (actions[0][:, a], actions[1][:, a]), w * expansion(n),
            )  # fmt: skip
        mean_gain = np.where(same, 0.0, m.gains.mean(axis=1))
        gain_low, gain_high = (
            np.where(same, 0.0, (mean_gain + w * (end[gain] - mean_gain)).clip(least - most, most - least))
            for end in (low, high)
        )
        made.append(
            Standing(
                name=contestant.name,
                kind=contestant.kind,
                marks=marks_of(contestant, m, budgets, leaking, lucky),
                accuracy=m.accuracy.mean(axis=1),
                spend=m.spend.mean(axis=1),
                low=low[accuracy].clip(least, most),
                high=high[accuracy].clip(least, most),
                reached=m.reached,
                gain=mean_gain,
                gain_low=gain_low,
                gain_high=gain_high,
                p=own_p,
                captured=m.captured,
                claimed=m.claimed,
                refit=m.refit,
                curve_spend=m.curve_spend,
                curve_accuracy=accuracies,
                curve_low=low[curve].clip(least, most),
                curve_high=high[curve].clip(least, most),
                question_spend=m.spend,
                question_accuracy=m.accuracy,
                saved=savings[0],
                saved_low=savings[1],
                saved_high=savings[2],
            )
        )
    return ordered(made, budgets)


def learns(contestant: Contestant) -> bool:
    """Return whether it learns more of its training questions than which of its settings to use."""
    return contestant.kind in TESTED and contestant.group != RULES


def range_of(parts: Mapping[str, list[list[Part]]]) -> tuple[float, float, float]:
    """Return between what accuracies must lie, and by how much they can differ.

    That is 0, 1 and 1. Utilities of a table may be any numbers: where some are not from 0 to 1 nothing bounds the mean
    of others, and what was seen says how much they differ.
    """
    seen = [part.accuracy for folds in parts.values() for fold in folds for part in fold]
    low, high = min(float(a.min()) for a in seen), max(float(a.max()) for a in seen)
    if low >= -COMPUTED and high <= 1 + COMPUTED:
        return 0.0, 1.0, 1.0
    return -math.inf, math.inf, high - low


def measure(
    contestant: Contestant, families: Mapping[str, list[Family]], budgets: Floats, limit: float = math.inf
) -> Measured:
    """Return what one contestant did, beside the mixture (and the bounds) at what it really spent.

    Beyond a mean spend of `limit` the oracle is short of samples, and a share of what it gains says nothing.
    """
    own, reference = families[contestant.name], families[REFERENCE]
    oracle, hindsight = families.get(ORACLE), families.get(HINDSIGHT)
    bound = contestant.kind == "bound"
    count, n = len(budgets), own[0].n
    spend, accuracy, scores, gains, best, over = (np.zeros((count, n)) for _ in range(6))
    claimed, reached = np.zeros(count), np.ones(count, bool)
    affordable, equal, bounded, free = (np.ones(count, bool) for _ in range(4))
    means = []
    repeats = len(own)
    for r, family in enumerate(own):
        at = family.at(budgets)
        paid = at.spend.mean(axis=1)
        gain, _ = gain_scores(at, reference[r])
        spend += at.spend / repeats
        accuracy += at.accuracy / repeats
        scores += at.scores / repeats
        gains += gain / repeats
        claimed += at.claimed / repeats
        reached &= at.reached
        means.append(at.accuracy.mean(axis=1))
        if oracle is not None:
            known = oracle[r].at(paid)
            best += (known.scores - at.scores + gain) / repeats
            affordable &= known.spend.mean(axis=1) <= paid + rounding(paid)
            equal &= known.reached
            free &= paid <= limit + rounding(paid)
        if hindsight is not None and not bound:
            seen = hindsight[r].at(paid)
            over += (at.scores - seen.scores) / repeats
            bounded &= seen.spend.mean(axis=1) <= paid + rounding(paid)
    captured, ahead, nearly = np.full(count, np.nan), np.zeros(count, bool), np.zeros(count, bool)
    if oracle is not None and contestant.name != HINDSIGHT:
        clear = affordable & above(best, CLEAR)
        whole = clear & equal & free
        captured[whole] = gains.mean(axis=1)[whole] / best.mean(axis=1)[whole]
        ahead = clear & equal & above(gains - best, SUSPICIOUS)
    if hindsight is not None and not bound:
        most = gains - over
        nearly = bounded & above(most, CLEAR) & above(gains - NEARLY * most, CLEAR)
    beyond = bounded & above(over, SUSPICIOUS)
    curve_spend, curve_scores = curve_of(own, budgets)
    refit = np.std(means, axis=0, ddof=1) if repeats > 1 else np.full(count, np.nan)
    return Measured(
        spend, accuracy, scores, gains, reached, claimed, captured, refit, beyond, ahead, nearly,
        curve_spend, curve_scores,
    )  # fmt: skip


def above(scores: Floats, errors: float) -> Bools:
    """Return which means of scores, (T, N), are above 0 by that many standard errors."""
    error = scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    return np.asarray(scores.mean(axis=1) > np.maximum(errors * error, COMPUTED))


def gain_scores(at: At, reference: Family) -> tuple[Floats, Floats]:
    """Return the scores of a policy's gain over the mixture, (T, N), and its plain gain on each question."""
    mixture = reference.at(at.spend.mean(axis=1))
    # Where the policy's spend was not matched, it is the mixture's that was, to what the policy happened to spend.
    around = np.where(at.turned[:, None], mixture.spend.mean(axis=1, keepdims=True), at.spend)
    level = mixture.accuracy - mixture.slope[:, None] * (mixture.spend - around)
    return at.scores - level, at.accuracy - mixture.accuracy


def curve_of(own: Sequence[Family], budgets: Floats) -> tuple[Floats, Floats]:
    """Return rising spends that all repeats reach, (G,), and the scores there, (G, N)."""
    grids = [family.curve(BELOW * float(budgets[0]), budgets) for family in own]
    low, high = max(grid[0] for grid in grids), min(grid[-1] for grid in grids)
    grid = np.unique(np.concatenate(grids).clip(low, high)) if high >= low else grids[0][:1]
    spend, scores = np.zeros(len(grid)), np.zeros((len(grid), own[0].n))
    for family in own:
        at = family.at(grid)
        spend += at.spend.mean(axis=1) / len(own)
        scores += at.scores / len(own)
    # A policy that mixes nothing stands still between its steps.
    kept = np.concatenate([[True], np.diff(np.maximum.accumulate(spend)) > COMPUTED * max(float(spend.max()), 1e-300)])
    return spend[kept], scores[kept]


def marks_of(
    contestant: Contestant, m: Measured, budgets: Floats, leaking: Sequence[str], lucky: bool
) -> tuple[str, ...]:
    """Return the contestant's own marks and what the figures give away.

    Who does better than hindsight allows, or nearly as well where that takes luck, is suspicious. Who decides
    beforehand and is only better than the held-out oracle may be honest: that oracle sees a few samples and may draw no
    more than a few, where X can tell a question's chances exactly. Then it is said what to check.

    `leaking` are the policies that show that X holds too much. `lucky` says whether it is luck which answers are right:
    then a policy that knows only the chances gains far less than the hindsight bound.
    """
    marks = list(contestant.marks)
    if contestant.group in LOOKING and leaking and contestant.name not in leaking:
        marks.append(f"suspicious: it looks at X too, which seems to hold the answers (see {', '.join(leaking)})")

    def named(some: Bools) -> str:
        return ", ".join(f"{budget:g}" for budget in budgets[some])

    seen = "the label" if contestant.name == DIFFICULTY_LABEL else "X"
    nearly = m.nearly & contestant.beforehand
    if lucky and nearly.any():
        marks.append(
            f"suspicious: it decides before anything is drawn, and at {named(nearly)} it gains more than nine tenths "
            f"of what the hindsight bound gains, which knows the luck of every answer; check whether {seen} holds the "
            "answers"
        )
    if m.beyond.any():
        marks.append(
            f"suspicious: better at {named(m.beyond)} than the hindsight bound, which no policy that pays for what it "
            "sees can be; it may have seen the answers"
        )
    much = [
        f"at {named(some)} {words}"
        for some, words in (
            (m.ahead & contestant.beforehand, "more than the oracle that knows half of each question's samples"),
            (nearly, "more than nine tenths of what the hindsight bound gains"),
        )
        if some.any()
    ]
    if much and not (lucky and nearly.any()) and not m.beyond.any():
        others = "" if seen != "X" else ", as do those of all policies that read it"
        marks.append(
            f"{CHECK}{seen}: it decides before anything is drawn, and gains {' and '.join(much)}; its figures hold "
            f"only if {seen} is known before anything is drawn and was not made from the answers{others}"
        )
    return tuple(marks)


def ordered(found: Sequence[Standing], budgets: Floats) -> tuple[Standing, ...]:
    """Return them best first by mean accuracy over the budgets, bounds last.

    Who cannot spend as little as a budget is not to rise by that: there, its gain over the mixture counts on top of
    what the mixture reaches for the budget.
    """
    mixture = next(standing for standing in found if standing.name == REFERENCE)

    def key(standing: Standing) -> tuple[bool, float]:
        above = standing.spend > budgets * 1.005
        level = np.where(above, np.minimum(standing.accuracy, mixture.accuracy + standing.gain), standing.accuracy)
        return standing.kind == "bound", -float(np.nan_to_num(level).mean())

    return tuple(sorted(found, key=key))

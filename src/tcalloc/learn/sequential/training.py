"""The fit of `Sequential`: candidates, each judged on the training questions while they are held out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.holdout.folds import Frontier, split
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.registry import FIXED_K, MARGIN_CAP
from tcalloc.learn.rows import as_rows
from tcalloc.learn.sequential.crossfit import crossfitted
from tcalloc.learn.sequential.rules.families import (
    FIGURES,
    Family,
    Outcomes,
    adaptive,
    fixed,
    margins,
    optimal,
)
from tcalloc.learn.sequential.rules.regression_induction import Induced
from tcalloc.learn.sequential.selection import Candidate, Choices, Mixture
from tcalloc.learn.sequential.settings import Settings
from tcalloc.learn.sequential.states.belief import Belief, levelled
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.learn.sequential.states.simulated_runs import Drawn, SimulatedRuns
from tcalloc.measure.samples import Samples

if TYPE_CHECKING:
    from tcalloc.learn.sequential.question_model import Asking

__all__ = ["Trained", "train"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Number of samples after which only rules with a threshold on counts continue; the others look no further ahead.
AHEAD = 40
# Prices, in accuracy per cost of the cheapest sample: from where nothing is gained to where nothing is drawn.
PRICES = np.geomspace(1e-4, 1.5, 48)
# Weights, in questions, by which the advantages of cells, and of regressions, are shrunk.
PSEUDO_CELLS, PSEUDO_REGRESSION = 5.0, 3.0
# Number of runs to learn from, for one model and for several: more orders if there are few questions.
RUNS_ONE, RUNS_SEVERAL = 4000, 3000
ENOUGH_ORDERS, MOST_RUNS = 12, 16_000
# Runs on which rules of counts are judged, if those are more, in whole turns of the record, so that each sample comes
# first equally often.
RUNS_COUNTS, MOST_ORDERS = 16_000, 240
FOLDS = 4
# With fewer questions, a regression on lengths or texts learns noise, and the figures cannot show that.
ENOUGH_QUESTIONS = 50


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything that was learned."""

    settings: Settings
    reading: Reading
    asking: "Asking | None"
    choices: Choices
    questions: int
    """Number of training questions."""
    belief: Belief | None
    """The probability that an answer is right; None: a verifier decides, or the policy was saved without it."""

    @cached_property
    def frontier(self) -> StoppingFrontier:
        """Accuracy at each spend, held out; computed on first use."""
        return crossfitted(self.choices, self.settings.seed)

    def described(self, mixture: Mixture, *, gold: bool) -> list[str]:
        """Return what `repr` says of a mixture; without gold answers, its accuracy is left out."""
        spend, rounds = (float(self.choices.mixed([mixture], what).mean()) for what in ("spend", "rounds"))
        # By a reference of its own samples, a policy agrees with itself: only other samples tell its agreement.
        accuracy = float(np.interp(spend, self.frontier.spend, self.frontier.accuracy))
        reached = f"accuracy {accuracy:.4f} at " if gold else ""
        limit = mixture.limit
        held = "held out" if limit is None else "held out, without the limit below"
        name = self.choices.candidates[mixture.candidate].name
        lines = [f"  {name}: {reached}spend {spend:.4g}, {rounds:.3g} rounds ({held})"]
        if limit is not None:
            lines.append(f"  a question costs at most {limit:.6g}, which makes the guarantee sharper")
        return lines

    def believing(self, candidate: Candidate, setting: int) -> Callable[[Drawn, Any, Any], float] | None:
        """Return a function from a run's state to the probability that its answer is right; None: not known."""
        belief = self.belief
        if belief is None or candidate.believed is None:
            return None
        mean, reached = float(candidate.believed[setting]), float(candidate.claimed.accuracy[setting].mean())
        return lambda drawn, first, second: float(levelled(belief.at(drawn, first, second), mean, reached)[0])


Maker = Callable[[Rows], Family]


def train(samples: Samples, X: Any, settings: Settings) -> Trained:
    """Fit all candidates on all questions, and judge each out of fold."""
    asking, predictions = None, None
    if X is not None:
        from tcalloc.learn.sequential.question_model import Asking  # needs the [learn] extra

        if len(X) != len(samples):
            raise InputError(
                f"X has {counted(len(X), 'row')}, but samples has {counted(len(samples), 'question')}; expected the "
                "same questions in order."
            )
        rows = as_rows(X)
        asking, predictions = Asking.fit(rows, samples, settings.arms, settings.seed)
    reading = Reading.fit(samples, settings.arms, combine=settings.combine)
    several = len(settings.arms) > 1
    enough = min(ENOUGH_ORDERS, MOST_RUNS // len(samples))
    orders = int(np.clip((RUNS_SEVERAL if several else RUNS_ONE) // len(samples), max(enough, 4), 40))
    prices = PRICES / settings.unit
    candidates: list[Candidate] = []
    belief: Belief | None = None

    def walk(telling: Floats | None, weighted: bool) -> SimulatedRuns:
        ahead = settings.caps if several else (min(settings.caps[0], AHEAD),)
        return SimulatedRuns.walk(samples, reading, telling, ahead, combine=settings.combine,
                           weighted=weighted, orders=orders, seed=settings.seed)  # fmt: skip

    def count() -> SimulatedRuns:
        size = samples.by_model[settings.arms[0]].drawn.shape[1]
        many = min(RUNS_COUNTS // len(samples), MOST_ORDERS)
        many = max(orders, many // size * size or many)
        return SimulatedRuns.walk(samples, reading, None, settings.caps, combine=settings.combine,
                           orders=many, seed=settings.seed, counts_only=True)  # fmt: skip

    def judge(name: str, simulated: SimulatedRuns, make: Maker, learns: bool) -> None:
        everything = np.arange(len(samples))
        family = make(everything)
        if learns and len(samples) >= FOLDS:
            inner = _out_of_fold(lambda train, _: (make(train), simulated), len(samples), settings)
        else:
            inner = settings.played(family, simulated)
        candidates.append(Candidate(name, family, inner, believed(family, inner, simulated)))

    def believed(family: Family, inner: Outcomes, simulated: SimulatedRuns) -> Floats | None:
        nonlocal belief
        if settings.combine == "verifier":
            return None
        if belief is None:
            belief = Belief.fit(simulated, tuple(min(cap, AHEAD) for cap in simulated.caps))
        hull = Frontier.of(inner.spend.mean(axis=1), inner.accuracy.mean(axis=1)).settings
        mean = np.zeros(family.settings)
        found = settings.played(family, belief.along(simulated), None, hull)
        mean[hull] = found.accuracy.mean(axis=1)
        return mean

    def induced(simulated: SimulatedRuns, telling: Floats | None, weighted: bool, reads: bool = True) -> Maker:
        width = 0 if telling is None else telling.shape[1]
        return lambda rows: Induced.fit(
            simulated, prices, settings.waves, PSEUDO_REGRESSION, width, weighted, rows, reads
        )

    if several or settings.combine == "score":
        simulated = walk(None, False)
        judge("samples", simulated, induced(simulated, None, False, reads=False), True)
    if not several:
        model = samples.by_model[settings.arms[0]]
        cap, simulated = settings.caps[0], count()
        if settings.combine == "vote":
            judge("votes", simulated, lambda rows: optimal(model.take(rows), min(cap, AHEAD), prices, settings.waves,
                                                        PSEUDO_CELLS), True)  # fmt: skip
            judge(MARGIN_CAP, simulated, lambda rows: margins(cap, settings.waves), False)
            judge("Adaptive-Consistency", simulated, lambda rows: adaptive(cap, settings.waves), False)
        # With a verifier a run ends at its first success, so no sample is drawn in vain.
        name = "first success, at most k" if settings.combine == "verifier" else FIXED_K
        together = settings.combine != "verifier"
        most = min(cap, AHEAD) if together and max(settings.waves) > 1 else cap
        judge(name, simulated, lambda rows: fixed(most, settings.waves, together), False)
    many = len(samples) >= ENOUGH_QUESTIONS
    weighted = settings.combine == "vote" and bool(reading.tilt.any())
    if many and reading.features and (settings.combine != "score" or several):
        simulated = walk(None, weighted)
        judge("lengths", simulated, induced(simulated, None, weighted), True)
    if many and predictions is not None:
        simulated = walk(predictions, weighted)
        judge("questions", simulated, induced(simulated, predictions, weighted), True)

        def anew(train: Rows, held: Rows) -> tuple[Family, SimulatedRuns]:
            """Predict without the held-out questions too, because their outcomes help to predict the others."""
            asked, outside = Asking.fit(rows.take(train), samples.take(train), settings.arms, settings.seed)
            telling = np.empty(predictions.shape)
            telling[train], telling[held] = outside, asked.predict(rows.take(held))
            again = simulated.with_predictions(telling)
            return induced(again, telling, weighted)(train), again

        candidates[-1] = replace(candidates[-1], nested=_out_of_fold(anew, len(samples), settings))
    choices = Choices(candidates, settings.unit)
    return Trained(settings, reading, asking, choices, len(samples), belief)


def _out_of_fold(learn: Callable[[Rows, Rows], tuple[Family, SimulatedRuns]], n: int, settings: Settings) -> Outcomes:
    """Return the outcomes of rules on each question, learned without it: ``learn(training rows, held-out rows)``."""
    found, order = [], []
    for train_rows, held in split(n, FOLDS, settings.seed):
        family, simulated = learn(train_rows, held)
        found.append(settings.played(family, simulated, held))
        order.append(held)
    back = np.argsort(np.concatenate(order))
    return Outcomes(*(np.concatenate([getattr(part, name) for part in found], axis=1)[:, back] for name in FIGURES))

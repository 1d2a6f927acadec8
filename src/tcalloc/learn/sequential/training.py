"""The fit of `Sequential`: candidates, each judged on the training questions while they are held out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean, one_of, whole
from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.holdout.folds import Frontier, split
from tcalloc.learn.holdout.stopping_frontier import StoppingFrontier
from tcalloc.learn.registry import FIXED_K, MARGIN_CAP
from tcalloc.learn.replay.all_orders import arm_costs, round_costs
from tcalloc.learn.rows import as_rows
from tcalloc.learn.sequential.crossfit import crossfitted
from tcalloc.learn.sequential.rules.families import (
    Family,
    Outcomes,
    adaptive,
    affordable,
    fixed,
    margins,
    optimal,
    outcomes,
)
from tcalloc.learn.sequential.rules.regression_induction import Induced
from tcalloc.learn.sequential.selection import Candidate, Choices
from tcalloc.learn.sequential.states.belief import Belief
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.learn.sequential.states.simulated_runs import SimulatedRuns
from tcalloc.learn.sequential.states.state import COMBINES
from tcalloc.measure.samples import Samples

if TYPE_CHECKING:
    from tcalloc.learn.sequential.question_model import Asking

__all__ = [
    "LARGEST_WAVE",
    "MOST",
    "Settings",
    "Trained",
    "names_of_arms",
    "train",
    "unknown_arm",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# With one model, all recorded samples may be drawn; with several, this many of the cheapest and of each other model.
MOST_FIRST, MOST_OTHERS = 8, 4
# Number of samples after which only rules with a threshold on counts continue; the others look no further ahead.
AHEAD = 40
# More samples per question than anyone records.
MOST = 65_535
# Samples at once that there is a choice of where several at once save rounds that cost something.
USUAL_WAVES = (1, 2, 4, 8)
LARGEST_WAVE = 255  # the tables of choices hold it in 8 bits
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


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """Checked parameters."""

    arms: tuple[str, ...]
    """The models, from the cheapest on."""
    combine: str
    waves: tuple[int, ...]
    caps: tuple[int, ...]
    """The most samples of each model."""
    highest_cost: Floats
    """(arms,) the cost of the most expensive recorded sample."""
    highest_round_cost: Floats
    """(arms,) what the most expensive draw cost besides its samples."""
    unit: float
    """The mean cost of a first draw of one sample of the cheapest model."""
    limit: float
    """The most that a question may cost."""
    seed: int
    usual: tuple[float | None, ...]
    """(arms,) the mean cost of a recorded sample; None: not known."""
    usual_rounds: tuple[tuple[float, float], ...]
    """(arms,) what a question's first draw and its later ones cost besides their samples, on average."""
    looks: float = 0.0
    """What having X costs per question, for rules that read it."""

    def looking(self, family: Family) -> float:
        """Return what a question pays for X under the rules of a family."""
        return self.looks if family.predicts else 0.0

    def room(self, family: Family, limit: float | None = None) -> float:
        """Return the most that the samples of a question may cost, within a guarantee's limit if there is one."""
        return min(self.limit, np.inf if limit is None else limit) - self.looking(family)

    def played(
        self, family: Family, simulated: SimulatedRuns, rows: Rows | None = None, rules: Rows | None = None,
        limit: float | None = None,
    ) -> Outcomes:  # fmt: skip
        """Return what rules do on simulated runs; X is paid for where they read it.

        Parameters
        ----------
        family, simulated, rows, rules
            Those of `tcalloc.learn.sequential.rules.families.outcomes`.
        limit : float, optional
            The most that a question may cost, if a guarantee limits it.
        """
        found = outcomes(
            family, simulated, rows, rules, self.room(family, limit), self.highest_cost, self.highest_round_cost
        )
        return replace(found, spend=found.spend + self.looking(family)) if self.looking(family) else found

    @property
    def highest_draw_costs(self) -> Floats:
        """(arms,) the most that a draw of one sample cost."""
        return self.highest_cost + self.highest_round_cost

    @classmethod
    def of(
        cls, samples: Samples, combine: Any, waves: Any, most: Any, cap: float | None, seed: Any, looks: float = 0.0
    ) -> "Settings":
        """Check the parameters against the samples."""
        if not isinstance(samples, Samples):
            raise InputError(f"samples is {type(samples).__name__}; expected Samples (see tcalloc.measure).")
        models = samples.by_model
        if combine is None:
            if not samples.answered:
                raise InputError(
                    "answer_by is None and only right and wrong were recorded, so nothing shows when to stop. If a "
                    "verifier recognises right answers live, pass answer_by='verifier'. Otherwise use a policy that "
                    "draws one sample, such as Mixture or PricedPolicy on One actions."
                )
            combine = "vote"
        one_of("answer_by", combine, COMBINES)
        if combine == "vote" and not samples.answered:
            raise InputError(
                "answer_by is 'vote', but only right and wrong were recorded. Record the answers; or, if a verifier "
                "recognises right answers live, say answer_by='verifier'."
            )
        if combine == "score" and any(model.scores is None for model in models.values()):
            raise InputError("answer_by is 'score', but no scores were recorded. Give Samples(scores=…).")
        if len(samples) < 2:
            raise InputError(f"{len(samples)} question: learning when to stop needs at least two, better hundreds.")
        whole("random_state", seed)
        costs, rounds = arm_costs(samples), round_costs(samples)
        sizes = _waves(waves, any(of.later.any() for of in rounds.values()))
        mean = {arm: float(costs[arm][model.drawn].mean()) if model.drawn.any() else np.inf
                for arm, model in models.items()}  # fmt: skip
        single = {arm: mean[arm] + float(rounds[arm].first.mean()) for arm in models}
        arms = tuple(sorted(models, key=lambda arm: single[arm]))
        unit = next((single[arm] for arm in arms if 0 < single[arm] < np.inf), 1.0)
        caps = _caps(most, arms, {arm: int(model.drawn.sum(axis=1).max()) for arm, model in models.items()})
        highest_cost = np.array([float(costs[arm].max()) for arm in arms])
        drawing = np.array([max(rounds[arm].first.max(), rounds[arm].later.max()) for arm in arms])
        limit = np.inf if cap is None else float(cap)
        if not any(
            affordable(limit, float(most), float(extra)) for most, extra in zip(highest_cost, drawing, strict=True)
        ):
            a = int((highest_cost + drawing).argmin())
            least = highest_cost[a] + drawing[a]
            raise InputError(
                f"cap is {limit:g}, but a sample{f' of {arms[a]}' if arms[a] else ''} costs up to {least:g} among "
                f"those recorded: nothing could ever be drawn. Give a cap of at least {least:g}, in the unit of "
                "the samples' costs, or none."
            )
        usual = tuple(mean[arm] if mean[arm] < np.inf else None for arm in arms)
        means = tuple((float(rounds[arm].first.mean()), float(rounds[arm].later.mean())) for arm in arms)
        return cls(arms, combine, sizes, caps, highest_cost, drawing, unit, limit, int(seed), usual, means, looks)


def names_of_arms(arms: tuple[str, ...]) -> str:
    """Return the models' names for a message; the one model of plain samples has none."""
    return "one model without a name, which is ''" if arms == ("",) else ", ".join(arms)


def unknown_arm(arm: str, arms: tuple[str, ...]) -> str:
    """Return the message about an unknown model."""
    return f"no model {arm!r} among the samples; there are {names_of_arms(arms)}.{did_you_mean(arm, arms)}"


def _waves(waves: Any, paid: bool) -> tuple[int, ...]:
    if waves is None:
        return USUAL_WAVES if paid else (1,)
    found = [waves] if isinstance(waves, int) else list(waves)
    for k in found:
        whole("one of waves", k, 1, LARGEST_WAVE, of="samples")
    if not found:
        raise InputError("waves is empty; expected at least one number of samples, such as (1, 2, 4, 8).")
    return tuple(sorted({int(k) for k in found}))


def _caps(most: Any, arms: tuple[str, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    if isinstance(most, Mapping):
        unknown = [arm for arm in most if arm not in arms]
        if unknown:
            raise InputError(f"most: {unknown_arm(unknown[0], arms)}")
    found = []
    for a, arm in enumerate(arms):
        usual = sizes[arm] if len(arms) == 1 else MOST_FIRST if a == 0 else MOST_OTHERS
        usual = max(usual, 1)
        asked = most.get(arm, usual) if isinstance(most, Mapping) else usual if most is None else most
        found.append(min(whole("most", asked, 1, MOST, of="samples"), sizes[arm]))
    return tuple(found)


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

    def induced(
        simulated: SimulatedRuns, telling: Floats | None, weighted: bool, name: str, reads: bool = True
    ) -> Maker:
        width = 0 if telling is None else telling.shape[1]
        return lambda rows: Induced.fit(
            simulated, prices, settings.waves, PSEUDO_REGRESSION, width, weighted, name, rows, reads
        )

    if several or settings.combine == "score":
        simulated = walk(None, False)
        judge("samples", simulated, induced(simulated, None, False, "samples", False), True)
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
    if many and reading.features and (settings.combine != "score" or several):
        weighted = settings.combine == "vote" and bool(reading.tilt.any())
        simulated = walk(None, weighted)
        judge("lengths", simulated, induced(simulated, None, weighted, "lengths"), True)
    if many and predictions is not None:
        weighted = settings.combine == "vote" and bool(reading.tilt.any())
        simulated = walk(predictions, weighted)
        judge("questions", simulated, induced(simulated, predictions, weighted, "questions"), True)

        def anew(train: Rows, held: Rows) -> tuple[Family, SimulatedRuns]:
            """Predict without the held-out questions too, because their outcomes help to predict the others."""
            asked, outside = Asking.fit(rows.take(train), samples.take(train), settings.arms, settings.seed)
            telling = np.empty(predictions.shape)
            telling[train], telling[held] = outside, asked.predict(rows.take(held))
            again = simulated.with_predictions(telling)
            return induced(again, telling, weighted, "questions")(train), again

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
    parts = (np.concatenate([getattr(part, name) for part in found], axis=1)[:, back]
             for name in ("spend", "accuracy", "rounds"))  # fmt: skip
    return Outcomes(*parts)

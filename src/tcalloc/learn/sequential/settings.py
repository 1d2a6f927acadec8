"""The parameters of a `Sequential`, checked against its samples: models, caps, waves, and what draws cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean, one_of, whole
from tcalloc.errors import InputError
from tcalloc.learn.replay.all_orders import draw_costs
from tcalloc.learn.sequential.rules.families import Family, Outcomes, affordable, outcomes
from tcalloc.learn.sequential.states.simulated_runs import SimulatedRuns
from tcalloc.learn.sequential.states.state import COMBINES
from tcalloc.measure.actions import Action
from tcalloc.measure.samples import Samples

__all__ = ["LARGEST_WAVE", "MOST", "Settings", "check_actions", "names_of_arms"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# With one model, all recorded samples may be drawn; with several, this many of the cheapest and of each other model.
MOST_FIRST, MOST_OTHERS = 8, 4
# More samples per question than anyone records.
MOST = 65_535
# Samples at once that there is a choice of where several at once save rounds that cost something.
USUAL_WAVES = (1, 2, 4, 8)
LARGEST_WAVE = 255  # the tables of choices hold it in 8 bits


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

    def actions(self, given: Mapping[str, Action]) -> tuple[Action, ...]:
        """Return the action of a draw from each model: the given one, or just the model's name."""
        combine, by = ("vote", None) if self.combine == "vote" else ("best", self.combine)
        return tuple(given.get(arm, Action(samples=1, combine=combine, by=by, model=arm or None)) for arm in self.arms)

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
        costs = draw_costs(samples)
        sizes = _waves(waves, any(of.rounds[1] for of in costs.values()))
        single = {arm: np.inf if of.mean is None else of.mean + of.rounds[0] for arm, of in costs.items()}
        arms = tuple(sorted(models, key=lambda arm: single[arm]))
        unit = next((single[arm] for arm in arms if 0 < single[arm] < np.inf), 1.0)
        caps = _caps(most, arms, {arm: int(model.drawn.sum(axis=1).max()) for arm, model in models.items()})
        highest_cost = np.array([costs[arm].highest for arm in arms])
        drawing = np.array([costs[arm].highest_round for arm in arms])
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
        usual, means = tuple(costs[arm].mean for arm in arms), tuple(costs[arm].rounds for arm in arms)
        return cls(arms, combine, sizes, caps, highest_cost, drawing, unit, limit, int(seed), usual, means, looks)


def names_of_arms(arms: tuple[str, ...]) -> str:
    """Return the models' names for a message; the one model of plain samples has none."""
    return "one model without a name, which is ''" if arms == ("",) else ", ".join(arms)


def unknown_arm(arm: str, arms: tuple[str, ...]) -> str:
    """Return the message about an unknown model."""
    return f"no model {arm!r} among the samples; there are {names_of_arms(arms)}.{did_you_mean(arm, arms)}"


def check_actions(actions: Any, arms: tuple[str, ...]) -> None:
    """Raise an error if the actions of draws are not a mapping from models of the samples to actions."""
    if not isinstance(actions, Mapping | None):
        raise InputError(f"actions is {type(actions).__name__}; expected a mapping of models to actions.")
    for arm, action in (actions or {}).items():
        if arm not in arms:
            raise InputError(f"actions: {unknown_arm(arm, arms)}")
        if not isinstance(action, Action):
            raise InputError(f"actions[{arm!r}] is {action!r}; expected an Action such as tcalloc.Vote(1).")


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

"""The cost of one live sample, and the cheaper actions, as far as a policy knows them from its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure.actions import Action, One

__all__ = ["LiveCosts", "ladder_of", "refuse_action", "refuse_unverified"]


@dataclass(frozen=True, slots=True)
class LiveCosts:
    """The cost of one sample, in the policy's unit, by model or by action."""

    by_model: Mapping[str, float]
    """The cost of a sample of each model, by the names of the clients."""
    by_action: Mapping[str, float] = field(default_factory=dict)
    """The cost of a sample of each action, by the action's name, if that is known more precisely."""
    rounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What a question's first draw of each model and its later ones cost besides their samples."""

    @classmethod
    def trained(cls, policy: Any, models: Sequence[str]) -> "LiveCosts":
        """Return the cost of a sample in the policy's training; empty if the policy does not know it.

        Parameters
        ----------
        policy : Policy
            It knows costs if it has `sample_costs_` (by model), or `cost_` and `actions_` (by action).
        models : sequence of str
            The models that can be asked. If there is one, it stands for the policy's only model, whatever its name.
        """
        by_model = dict(getattr(policy, "sample_costs_", None) or {})
        drawing = getattr(policy, "round_costs_", None) or {}
        rounds = {model: costs for model, costs in drawing.items() if any(costs)}
        by_action: dict[str, float] = {}
        if not by_model:
            known = [(a.samples, a, float(cost) / a.samples) for a, cost in _priced(policy)]
            for _, action, each in sorted(known, key=lambda one: one[0]):
                by_action[action.name] = each
                by_model.setdefault(action.model or "", each)  # the first action has the fewest samples
        if len(models) == 1 and len(by_model) == 1:
            rounds = dict.fromkeys(models, *rounds.values()) if rounds else {}
            return cls({models[0]: next(iter(by_model.values()))}, by_action, rounds)
        return cls({name: by_model[name] for name in models if name in by_model}, by_action, rounds)

    @property
    def by_key(self) -> dict[str, float]:
        """All costs, by the names that `key` returns."""
        return {**self.by_model, **self.by_action}

    def round_cost(self, model: str, again: bool) -> float:
        """Return what a draw of a model costs besides its samples; 0 where replies say what they cost."""
        return self.rounds.get(model, (0.0, 0.0))[again] if model in self.by_model else 0.0

    def key(self, action: Action, model: str) -> str:
        """Return the name by which the cost of a sample is known."""
        return action.name if action.name in self.by_action else model


def ladder_of(policy: Any, models: Sequence[str] | None) -> list[Action]:
    """Return the policy's actions that draw samples, from the cheapest to the most expensive; empty if not known.

    If the policy knows the accuracy of its actions, each one here is more accurate than all before it.

    Parameters
    ----------
    policy : Policy
        Its costs are found as in `LiveCosts.trained`; its `mean_acc_` is used if it has one.
    models : sequence of str or None
        The models that can be asked, by the policy's names; None: any.
    """
    known = _priced(policy)
    accuracy = getattr(policy, "mean_acc_", None)
    reached = {} if accuracy is None else dict(zip(policy.action_names_, accuracy, strict=True))
    if not known:
        costs = dict(getattr(policy, "sample_costs_", None) or {})
        known = [(One(model or None), cost) for model, cost in costs.items()]
    found: list[Action] = []
    for action, _ in sorted(known, key=lambda one: one[1]):
        if models is not None and action.model not in models:
            continue
        if not found or not reached or reached[action.name] > reached[found[-1].name]:
            found.append(action)
    return found


def refuse_unverified(policy: Any, verifier: Any) -> None:
    """Before anything is paid, raise an error for a policy that needs a verifier or scores that are not there.

    Raises
    ------
    InputError
        If it chooses by scores, or by a verifier and none was given.
    """
    choices = list(getattr(policy, "actions_", None) or ())
    if (column := getattr(policy, "column_", None)) is not None:  # a policy with one fixed action
        choices = choices[column : column + 1]
    stopping = [rule.action for rule in getattr(policy, "rules_", ())]
    if (by := getattr(policy, "answer_by", None)) in ("verifier", "score"):
        stopping.append(Action(1, "best", by))
    for action in (*choices, getattr(policy, "action", None), *stopping):
        if isinstance(action, Action):
            refuse_action(action, verifier)


def refuse_action(action: Action, verifier: Any) -> None:
    """Raise an error for one action that needs what is not there, as in `refuse_unverified`."""
    if "scores" in action.kind.needs:
        raise InputError(
            f"the policy asks for {action.name!r}, which needs scores, and no server gives any. Fit the policy on "
            "votes or single samples (Vote or One)."
        )
    if "verifier" in action.kind.needs and verifier is None:
        raise InputError(
            f"the policy asks for {action.name!r}, which needs a verifier, and none was given. In Python pass one that "
            "recognises right answers: tcalloc.answer(…, verifier=function). Without a verifier, fit the policy on "
            "votes or single samples (Vote or One)."
        )


def _priced(policy: Any) -> list[tuple[Action, float]]:
    """Return the actions of a policy with their known costs, without the action that does nothing."""
    actions, costs = getattr(policy, "actions_", None), getattr(policy, "cost_", None)
    if actions is None or costs is None:
        return []
    return [(action, float(cost)) for action, cost in zip(actions, costs, strict=True) if action is not None]

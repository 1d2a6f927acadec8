"""What one live sample costs, and which actions are cheaper: as far as a policy knows it from its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure.actions import Action, One

__all__ = ["LiveCosts", "ladder_of", "refuse_action", "refuse_unverified"]


@dataclass(frozen=True, slots=True)
class LiveCosts:
    """What one sample costs, in the policy's unit, by model or by action."""

    by_model: Mapping[str, float]
    """What a sample of each model costs, by the name that clients are given under."""
    by_action: Mapping[str, float] = field(default_factory=dict)
    """What a sample of each action costs, by the action's name, where that is known better."""

    @classmethod
    def trained(cls, policy: Any, models: Sequence[str]) -> "LiveCosts":
        """Return what a sample cost where a policy was trained; empty where the policy does not know.

        Parameters
        ----------
        policy : Policy
            It knows costs if it has `sample_costs_` (by model), or `cost_` and `actions_` (by action).
        models : sequence of str
            The models that can be asked. The only one stands for whatever the policy's only model is called.
        """
        by_model = dict(getattr(policy, "sample_costs_", None) or {})
        by_action: dict[str, float] = {}
        if not by_model:
            known = [(a.samples, a, float(cost) / a.samples) for a, cost in _priced(policy)]
            for _, action, each in sorted(known, key=lambda one: one[0]):
                by_action[action.name] = each
                by_model.setdefault(action.model or "", each)  # of several actions the one with the fewest samples
        if len(models) == 1 and len(by_model) == 1:
            return cls({models[0]: next(iter(by_model.values()))}, by_action)
        return cls({name: by_model[name] for name in models if name in by_model}, by_action)

    @property
    def by_key(self) -> dict[str, float]:
        """All costs, by what `key` returns."""
        return {**self.by_model, **self.by_action}

    def key(self, action: Action, model: str) -> str:
        """Return the name under which the cost of a sample is known."""
        return action.name if action.name in self.by_action else model


def ladder_of(policy: Any, models: Sequence[str] | None) -> list[Action]:
    """Return the policy's actions that draw something, from the cheapest to the most expensive; empty: not known.

    Where the policy knows how accurate its actions are, each is more accurate than all before it.

    Parameters
    ----------
    policy : Policy
        Its costs as in `LiveCosts.trained`; its `mean_acc_` is used if there is one.
    models : sequence of str or None
        The models that can be asked, as the policy calls them; None: any.
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
    """Refuse a policy that needs what is not there, before anything is paid.

    Raises
    ------
    InputError
        If it chooses by scores, or by a verifier and none was given.
    """
    choices = list(getattr(policy, "actions_", None) or ())
    if (column := getattr(policy, "column_", None)) is not None:  # of all actions it does this one
        choices = choices[column : column + 1]
    for action in (*choices, getattr(policy, "action", None)):
        if isinstance(action, Action):
            refuse_action(action, verifier)
    combine = getattr(policy, "combine", None)  # of a policy that stops while it samples
    if combine in ("verifier", "score"):
        refuse_action(Action(1, "best", combine), verifier)


def refuse_action(action: Action, verifier: Any) -> None:
    """Refuse one action that needs what is not there; errors as in `refuse_unverified`."""
    if action.by == "score":
        raise InputError(
            f"the policy asks for {action.name!r}, which needs scores, and no server gives any. Fit the policy on "
            "votes or single samples (Vote or One)."
        )
    if action.by == "verifier" and verifier is None:
        raise InputError(
            f"the policy asks for {action.name!r}, which needs a verifier, and none was given. In Python pass one that "
            "recognises right answers: tcalloc.answer(…, verifier=function). Without a verifier, fit the policy on "
            "votes or single samples (Vote or One)."
        )


def _priced(policy: Any) -> list[tuple[Action, float]]:
    """Return the actions of a policy that knows what each of them cost, without the one that does nothing."""
    actions, costs = getattr(policy, "actions_", None), getattr(policy, "cost_", None)
    if actions is None or costs is None:
        return []
    return [(action, float(cost)) for action, cost in zip(actions, costs, strict=True) if action is not None]

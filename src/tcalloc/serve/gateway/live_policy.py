"""The policy that live requests are decided by: found by its name, and checked before anything is served."""

import os

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, Policy
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.decisions import ServedPolicy
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

__all__ = ["policy_named", "served_policy"]


def policy_named(where: str, text: str) -> Policy:
    """Return the policy in a folder, or of an action's name such as "vote3"; `where` names the argument in an error."""
    if os.path.isdir(text):
        found: Policy = load_policy(text)
        return found
    try:
        return Always(Action.parse(text))
    except InputError:
        raise InputError(
            f"{where} {text}: neither a policy's folder (tcalloc fit makes one) nor the name of an action like vote3."
        ) from None


def served_policy(
    policy: Policy, keeper: BudgetKeeper | None, cap: str, explore_samples: int | None = None
) -> ServedPolicy:
    """Return a policy as live requests use it; `InputError` if it cannot be served.

    `cap` is the argument that sets the most that a question may cost, for the error. `explore_samples` is as in
    `Gateway`.
    """
    served = ServedPolicy(policy, keeper is not None, explore_samples)
    if keeper is not None and served.settable and keeper.cap_per_question == float("inf"):
        raise InputError(
            f"a policy that decides while sampling has no highest cost of its own. Give the most that a question may "
            f"cost ({cap})."
        )
    return served

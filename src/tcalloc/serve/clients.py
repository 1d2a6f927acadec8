"""The clients of a call: which one an action's samples come from."""

from collections.abc import Callable, Mapping
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Policy, models_of
from tcalloc.llm.client import ChatClient
from tcalloc.measure.actions import Action
from tcalloc.serve.live_costs import refuse_action

__all__ = ["Clients", "decides_quickly", "named_clients"]

# Characters that a quick policy reads in about a millisecond.
_SHORT = 20_000


def decides_quickly(policy: Any, text: str) -> bool:
    """Return whether a policy decides on a question in less time than it takes to wake a thread for it."""
    return bool(getattr(policy, "quick", False)) and len(text) <= _SHORT


def named_clients(client: Any) -> dict[str, ChatClient]:
    """Return all clients, checked, by the policy's names of their models."""
    found = dict(client) if isinstance(client, Mapping) else {getattr(client, "model", ""): client}
    if not found or not all(isinstance(one, ChatClient) for one in found.values()):
        raise InputError("client must be a ChatClient, or a mapping from models' names to such clients.")
    return found


class Clients:
    """One client, or one for each model by the name that the policy has for it.

    The policy's models are known before it asks for them, where it says them. An action may need the verifier.
    """

    def __init__(
        self,
        given: ChatClient | Mapping[str, ChatClient],
        policy: Policy,
        verifier: Callable[[str, str], bool] | None,
    ):
        named = named_clients(given)
        self.all = list(named.values())
        self.names = {client.arm: name for name, client in named.items()}
        """The policy's name of each model, by the name that stored samples have for it."""
        self._given, self._verifier, self._models = given, verifier, models_of(policy)

    @property
    def priced(self) -> bool:
        """Whether every client has prices."""
        return all(client.rates is not None for client in self.all)

    def of(self, action: Action) -> tuple[ChatClient, str]:
        """Return the client to ask, and the model's name in `costs`; raise an error for what cannot be done live."""
        refuse_action(action, self._verifier)
        model = action.model
        if isinstance(self._given, Mapping):
            if model is not None and model in self._given:
                return self._given[model], model
            what = "no model by name" if model is None else f"the model {model!r}"
            raise InputError(
                f"the policy asks for {what}; clients are given for {', '.join(self._given)}. "
                "Give one by the name that the policy's log has (--model and --also-model)."
            )
        if model is not None:
            self._models.add(model)
        if len(self._models) > 1:
            names = ", ".join(sorted(self._models))
            raise InputError(
                f"the policy chooses between {names}, but there is one client. Give one for each, by the names "
                "that the policy's log has (--model and --also-model)."
            )
        return self._given, self._given.model

"""Requests under way: what was decided, until LiteLLM says what they cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcalloc.llm.graders import Grader
from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.asked import Asked
from tcalloc.serve.gateway.deciding import headers_of
from tcalloc.serve.gateway.decisions import Decision, ServedPolicy
from tcalloc.serve.litellm.serving import Setup
from tcalloc.serve.litellm.votes import Votes

__all__ = ["Request", "Requests"]

# So many requests are remembered. The grant of an older one that was not settled is lost, and counts as its maximum.
MOST = 10_000


@dataclass(slots=True)
class Request:
    """One request under way."""

    setup: Setup
    served: ServedPolicy
    decision: Decision
    asked: Asked
    grader: Grader | None
    most: Callable[[str | None, int], float]
    """The most that so many samples of a model can cost."""
    data: Mapping[str, Any]
    """The fields of the call, without those that an action sets."""
    of_proxy: bool = True
    """Whether the proxy's router is asked; otherwise it is a call of the SDK."""
    first: int = 1
    """Samples that the first call asks for."""
    drawn: bool = False
    settled: bool = False
    headers: dict[str, str] = field(init=False)
    """What the client is told."""

    def __post_init__(self) -> None:
        self.headers = headers_of(self.decision.action, self.decision.reason)

    def fields(self, action: Action | None) -> dict[str, Any]:
        """Return the fields of a call that an action sets, where the request does not name them."""
        if action is None:
            return {}
        body, limit = self.asked.body, self.setup.settings.max_tokens
        wanted: dict[str, Any] = {"temperature": action.temperature, "reasoning_effort": action.reasoning_effort}
        if self.asked.max_tokens is None and action.max_tokens is not None:
            wanted["max_tokens"] = min(action.max_tokens, limit or action.max_tokens)
        if action.thinking_tokens:
            wanted["thinking"] = {"type": "enabled", "budget_tokens": action.thinking_tokens}
        return {name: value for name, value in wanted.items() if value is not None and body.get(name) is None}

    def note(self, votes: Votes) -> None:
        """Note what came of a vote, for the headers."""
        reason = self.decision.reason
        if votes.broken:
            reason = "policy failed"
        elif votes.winner() is None:
            reason = "no answer found"
        share = 0.0 if votes.broken else self.decision.run.vote_share if self.decision.run is not None else None
        self.headers = headers_of(self.decision.action, reason, votes.samples, votes.spend, share)


class Requests:
    """The requests under way, by the names that LiteLLM gives to them."""

    def __init__(self) -> None:
        self._known: dict[str, Request] = {}

    def get(self, call_id: str | None) -> Request | None:
        """Return a request; None if nothing was decided on it."""
        return None if call_id is None else self._known.get(call_id)

    def put(self, call_id: str, request: Request) -> None:
        """Take a request up, and forget the oldest if there are too many."""
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[call_id] = request

    def drop(self, call_id: str) -> None:
        """Forget a request."""
        self._known.pop(call_id, None)

"""Checks of what clients send: a value of the wrong kind is refused with its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc.serve.gateway.asked import BadRequest

__all__ = ["chosen", "content_of", "list_at", "object_at", "passed_on", "text_at"]


def text_at(value: Any, place: str) -> str:
    """Return a value that must be a text."""
    if not isinstance(value, str):
        raise BadRequest(f"'{place}' must be a text.", place)
    return value


def object_at(value: Any, place: str) -> Mapping[str, Any]:
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise BadRequest(f"'{place}' must be an object.", place)
    return value


def list_at(value: Any, place: str, allowed: str = "a list") -> list[Any]:
    """Return a value that must be a list; the message says what is allowed, if the caller allows more."""
    if not isinstance(value, list):
        raise BadRequest(f"'{place}' must be {allowed}.", place)
    return value


def chosen(value: Any, place: str, allowed: Sequence[str], remedy: str = "") -> str:
    """Return a value that must be one of some names; the remedy says what to do about others."""
    if isinstance(value, str) and value in allowed:
        return value
    given = f" is '{value[:60]}';" if isinstance(value, str) else ":"
    raise BadRequest(f"'{place}'{given} allowed here: {', '.join(allowed)}.{remedy and ' '}{remedy}", place)


def passed_on(body: Mapping[str, Any], known: frozenset[str], refused: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that go to the server as they are: those that the form does not know.

    `known` are translated, or mean nothing to the server. `refused` ask for what the gateway cannot do, each with the
    reason and what to do instead; they raise `BadRequest`.
    """
    for name, remedy in refused.items():
        if body.get(name):
            raise BadRequest(f"'{name}' {remedy}", name)
    if body.get("n") not in (None, 1):
        raise BadRequest("'n' must be 1: a reply in this form has one answer. /v1/chat/completions gives several.", "n")
    chat = {name: value for name, value in body.items() if name not in known and name not in refused and name != "n"}
    if body.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    return chat


def content_of(parts: Sequence[Mapping[str, Any]]) -> Any:
    """Return the content of a message: a text if that is all, as every server takes it; else the parts."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else list(parts)

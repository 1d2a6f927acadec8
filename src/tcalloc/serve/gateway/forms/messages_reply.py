"""Anthropic's messages: a completion as a message, as its events, and errors."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tcalloc.serve.gateway.forms.form import Writer
from tcalloc.serve.gateway.forms.parts import Part, Step

__all__ = ["MessagesWriter", "messages_error"]

_REASONS = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def messages_error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an error, given as in chat completions, by the reply's status."""
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = error.get("message")
    said = message if isinstance(message, str) and message else f"status {status}."
    more = {name: error[name] for name in ("code", "param") if isinstance(error.get(name), str)}
    return {"type": "error", "error": {"type": kind, "message": said} | more}


class MessagesWriter(Writer):
    """Writes the message that answers a client's body."""

    def __init__(self, body: Mapping[str, Any]):
        thinking, stops = body.get("thinking"), body.get("stop_sequences")
        super().__init__(isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"))
        self._stops = stops if isinstance(stops, list) else []

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the message without content; its tokens are not known yet."""
        usage = {"input_tokens": 0, "output_tokens": 0}
        yield {"type": "message_start", "message": self._message([], None, None, usage)}

    def step(self, step: Step) -> Iterator[dict[str, Any]]:
        """Yield the event of a content block."""
        place = {"index": step.place}
        if step.what == "begin":
            yield {"type": "content_block_start", **place, "content_block": _block(step.part, "")}
            return
        if step.what == "end":
            yield {"type": "content_block_stop", **place}
            return
        kind, field = {
            "call": ("input_json_delta", "partial_json"),
            "reasoning": ("thinking_delta", "thinking"),
        }.get(step.part.kind, ("text_delta", "text"))
        yield {"type": "content_block_delta", **place, "delta": {"type": kind, field: step.piece}}

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield why the answer ended with its tokens, and the last event."""
        reason, stop = self._reason()
        delta = {"stop_reason": reason, "stop_sequence": stop}
        yield {"type": "message_delta", "delta": delta, "usage": self._usage()}
        yield {"type": "message_stop"}

    def failed(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event of an error."""
        return messages_error(500, error)

    def whole(self) -> dict[str, Any]:
        """Return the message."""
        content = [_block(part, part.text) for part in self.parts.parts]
        return self._message(content, *self._reason(), self._usage())

    def _message(
        self, content: list[dict[str, Any]], reason: str | None, stop: str | None, usage: dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": f"msg_{self.parts.id}", "type": "message", "role": "assistant", "model": self.parts.model,
            "content": content, "stop_reason": reason, "stop_sequence": stop, "usage": usage,
        }  # fmt: skip

    def _reason(self) -> tuple[str, str | None]:
        """Return why the answer ended, and the text at which it was stopped, if the server says so."""
        if self.parts.finish in _REASONS:
            return _REASONS[self.parts.finish], None
        if self.parts.called:
            return "tool_use", None
        if any(part.kind == "refusal" for part in self.parts.parts):
            return "refusal", None
        if self.parts.stop in self._stops:
            return "stop_sequence", self.parts.stop
        return "end_turn", None

    def _usage(self) -> dict[str, int]:
        """Return the tokens; those of the prompt that the cache read or wrote are not in `input_tokens`."""
        usage = self.parts.usage
        beside = usage.cached_tokens + usage.cache_write_tokens
        return {
            "input_tokens": max((usage.input_tokens or 0) - beside, 0),
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens or 0,
        }


def _block(part: Part, text: str) -> dict[str, Any]:
    if part.kind == "call":
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(text)}
    if part.kind == "reasoning":
        return {"type": "thinking", "thinking": text, "signature": ""}
    return {"type": "text", "text": text}


def _input(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call as an object; what is none is put into one as a text."""
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"arguments": arguments}

"""Replies of the gateway: one ordinary completion, as a document or as a stream of chunks."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tcalloc.llm.http.streams import EventBytes
from tcalloc.runs.records import SampleRecord

__all__ = ["Events", "completion", "content_of_message", "event", "events_of", "summed"]


def completion(
    documents: Sequence[Mapping[str, Any]], records: Sequence[SampleRecord], text: str | None, model: str
) -> dict[str, Any]:
    """Return the completion with the winning text, as the server sent it, with the usage of all.

    Without a text, it is the first that came. `model` is named where no reply holds the text.
    """
    for document in documents:
        for choice in document["choices"]:
            if text is None or _content(choice) == text:
                return {**document, "choices": [{**choice, "index": 0}], "usage": summed(documents, records)}
    # The text was complete when its reply was cut off, so no document holds it.
    finish = next((one.get("finish") for one in records if one.get("text") == text), None)
    choice = {
        "index": 0, "message": {"role": "assistant", "content": text or ""}, "finish_reason": finish or "stop",
    }  # fmt: skip
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}", "object": "chat.completion", "created": int(time.time()),
        "model": model, "choices": [choice], "usage": summed(documents, records),
    }  # fmt: skip


def _content(choice: Any) -> str | None:
    message = choice.get("message") if isinstance(choice, dict) else None
    return content_of_message(message) if isinstance(message, dict) else None


def content_of_message(message: Mapping[str, Any]) -> str | None:
    """Return the text of a message, or of a part of one, as records hold it; None if it has none."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content.encode("utf-8", "replace").decode() if isinstance(content, str) else None


def summed(documents: Sequence[Mapping[str, Any]], records: Sequence[SampleRecord] = ()) -> dict[str, Any]:
    """Return the usage of several replies; if one does not count its tokens, all are those of the records."""
    counted = [document.get("usage") for document in documents]
    if counted and all(isinstance(one, Mapping) and one.get("completion_tokens") for one in counted):
        total: dict[str, Any] = {}
        for one in counted:
            _add(total, one)
        return total
    prompt = round(sum((one.get("input_tokens") or 0) / (one.get("choices") or 1) for one in records))
    answers = round(sum(one.get("output_tokens") or 0 for one in records))
    return {"prompt_tokens": prompt, "completion_tokens": answers, "total_tokens": prompt + answers}


def _add(total: dict[str, Any], part: Any) -> None:
    for name, value in part.items():
        if isinstance(value, Mapping):
            inner = total.get(name)
            total[name] = inner if isinstance(inner, dict) else {}
            _add(total[name], value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            before = total.get(name)
            total[name] = value + (before if isinstance(before, int | float) else 0)
        else:
            total.setdefault(name, value)


def events_of(document: Mapping[str, Any], usage: bool) -> Iterator[bytes]:
    """Yield a whole completion as the events of a stream; a chunk with the usage ends it, if that is wanted."""
    head = {key: value for key, value in document.items() if key not in ("choices", "usage")}
    head |= {"object": "chat.completion.chunk"}
    for choice in document["choices"]:
        place = {"index": choice.get("index", 0)}
        logprobs = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        delta = {key: value for key, value in choice.get("message", {}).items() if value is not None}
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls) if isinstance(call, dict)]
        yield event(head | {"choices": [place | {"delta": delta, "finish_reason": None} | logprobs]})
        yield event(head | {"choices": [place | {"delta": {}, "finish_reason": choice.get("finish_reason")}]})
    if usage:
        yield event(head | {"choices": [], "usage": document.get("usage")})
    yield b"data: [DONE]\n\n"


def event(document: Mapping[str, Any]) -> bytes:
    """Return one event of a stream."""
    return b"data: " + json.dumps(document, separators=(",", ":")).encode() + b"\n\n"


class Events:
    """The events in the pieces of a stream, one by one, without a usage that the client did not ask for.

    `redact` removes the server's key from a text.
    """

    def __init__(self, usage: bool, redact: Any):
        self._usage, self._redact = usage, redact
        self._events = EventBytes()
        self._document = False

    def take(self, piece: bytes) -> list[bytes]:
        """Return the events that are complete now; none from where the server sends a document."""
        found: list[bytes] = []
        for one in () if self._document else self._events.feed(piece):
            self._document = self._document or one.lstrip()[:1] in (b"{", b'"')
            if one.strip() and not self._document and not self._hidden(one):
                found.append(self._clean(one))
        return found

    def _hidden(self, one: bytes) -> bool:
        if self._usage or b'"usage"' not in one:
            return False
        try:
            chunk = json.loads(one.partition(b"data:")[2])
        except ValueError:
            return False
        return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))

    def _clean(self, one: bytes) -> bytes:
        text = one.decode("utf-8", "replace")
        clean = self._redact(text)
        return (one if clean == text else clean.encode()) + b"\n\n"

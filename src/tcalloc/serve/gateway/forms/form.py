"""A form of requests, and the translation of a reply from chat completions to it."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tcalloc.serve.gateway.forms.parts import Parts, Step
from tcalloc.serve.gateway.requests import Reply

__all__ = ["CHAT", "Form", "Writer"]


class Writer(ABC):
    """Writes one answer in a form: as events while it comes, or as one document.

    `reasoning` says whether the client wants reasoning that the server sends separately.
    """

    def __init__(self, reasoning: bool):
        self.parts = Parts(reasoning)

    def document(self, completion: Mapping[str, Any]) -> dict[str, Any]:
        """Return a whole completion in this form."""
        self.parts.take(completion)
        self.parts.end()
        return self.whole()

    @abstractmethod
    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the first events."""

    @abstractmethod
    def step(self, step: Step) -> Iterator[dict[str, Any]]:
        """Yield the events of one step."""

    @abstractmethod
    def end(self) -> Iterator[dict[str, Any]]:
        """Yield the last events, after the steps have ended."""

    @abstractmethod
    def failed(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event of an error, after which nothing more comes."""

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """Return the document of all that came."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of requests."""

    name: str
    chat: Callable[[dict[str, Any]], dict[str, Any]]
    """Returns a body as one of chat completions."""
    writer: Callable[[Mapping[str, Any]], Writer] | None
    """Returns what writes the answer to a body; None: a completion is in this form already."""
    error: Callable[[int, Mapping[str, Any]], dict[str, Any]]
    """Returns the document of an error with a status."""
    missing: str = ""
    """The message for addresses below its own."""

    def reply(self, body: Mapping[str, Any], reply: Reply) -> Reply:
        """Return a reply of chat completions, to a client's body, in this form; status and headers stay."""
        if self.writer is None:
            return reply
        if reply.stream is not None:
            return replace(reply, stream=_events(self.writer(body), reply.stream))
        document = reply.document or {}
        if reply.status != 200:
            return replace(reply, document=self.error(reply.status, document["error"]))
        return replace(reply, document=self.writer(body).document(document))


def _same(body: dict[str, Any]) -> dict[str, Any]:
    return body


def _error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": error}


CHAT = Form("chat completions", _same, None, _error)


async def _events(writer: Writer, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the events of a stream of chunks in another form; an error is the last one."""
    begun = failed = False
    async for piece in stream:
        for chunk in _chunks(piece):
            if failed:
                continue
            if chunk is None:
                yield b": \n\n"
                continue
            steps = writer.parts.take(chunk)
            found = [] if begun else list(writer.begin())
            begun = True
            for step in steps:
                found += writer.step(step)
            if chunk.get("error"):
                failed = True
                error = chunk["error"]
                found.append(writer.failed(error if isinstance(error, dict) else {"message": error}))
            if found:
                yield _written(found)
    if not failed:
        steps = writer.parts.end()
        found = [] if begun else list(writer.begin())
        for step in steps:
            found += writer.step(step)
        yield _written([*found, *writer.end()])


def _chunks(piece: bytes) -> Iterator[dict[str, Any] | None]:
    """Yield the chunks in whole events of a stream; None for a sign of life."""
    for event in piece.split(b"\n\n"):
        data = b"\n".join(line[5:] for line in event.split(b"\n") if line.startswith(b"data:")).strip()
        if not data and event.startswith(b":"):
            yield None
        if not data or data == b"[DONE]":
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(chunk, dict):
            yield chunk


def _written(events: Iterable[Mapping[str, Any]]) -> bytes:
    """Return events whose names are their types."""
    texts = (f"event: {one['type']}\ndata: {json.dumps(one, separators=(',', ':'))}\n\n" for one in events)
    return "".join(texts).encode()

"""One completion as its parts, in the order in which they begin, whether it comes whole or as a stream."""

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._checks import is_whole
from tcalloc.llm.http.usage import Usage, read_usage
from tcalloc.serve.gateway.completions import content_of_message

__all__ = ["Part", "Parts", "Step"]


@dataclass(slots=True)
class Part:
    """A part of an answer."""

    kind: str
    """reasoning, text, refusal or call."""
    text: str = ""
    """What came of it; of a call: its arguments."""
    id: str = ""
    """The id of a call."""
    name: str = ""
    """The name of the function that is called."""
    index: int = 0
    """The server's number of a call."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a part."""

    what: str
    """begin, more or end."""
    place: int
    """The number of the part."""
    part: Part
    piece: str = ""
    """What is added to its text."""


class Parts:
    """The parts of one answer that have begun, and its id, model and time as the server named them.

    `reasoning` says whether reasoning that the server sends separately is a part. `finish` is why the answer ended, in
    the server's word, and `stop` the text at which it was stopped, if the server says so.
    """

    def __init__(self, reasoning: bool):
        self.parts: list[Part] = []
        self.finish: str | None = None
        self.stop: str | None = None
        self.id, self.model, self.created = secrets.token_hex(12), "", int(time.time())
        self._reasoning, self._open = reasoning, False
        self._named = False
        self._usage: Any = None

    @property
    def usage(self) -> Usage:
        """The tokens of all samples."""
        return read_usage(self._usage)

    @property
    def called(self) -> bool:
        """Whether a tool is called."""
        return any(part.kind == "call" for part in self.parts)

    def take(self, document: Mapping[str, Any]) -> list[Step]:
        """Take a completion as the server sent it, or a chunk of its stream; only the first choice is read."""
        self._head(document)
        steps: list[Step] = []
        choices = document.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index") in (None, 0):
                steps += self._choice(choice)
        return steps

    def end(self) -> list[Step]:
        """End the last part. An answer without any has an empty text."""
        begun = [] if self.parts else list(self._begin(Part("text")))
        return begun + list(self._end())

    def _head(self, document: Mapping[str, Any]) -> None:
        if not self._named and isinstance(document.get("id"), str) and document["id"]:
            self._named = True  # all chunks have the first id
            self.id = document["id"].removeprefix("chatcmpl-")
        if isinstance(document.get("model"), str):
            self.model = document["model"]
        if is_whole(document.get("created")):
            self.created = document["created"]
        if isinstance(document.get("usage"), dict):
            self._usage = document["usage"]

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Step]:
        message = choice.get("message") or choice.get("delta")
        if isinstance(message, dict):
            if self._reasoning:
                yield from self._add("reasoning", message.get("reasoning_content") or message.get("reasoning"))
            yield from self._add("text", content_of_message(message))
            yield from self._add("refusal", message.get("refusal"))
            calls = message.get("tool_calls")
            for place, call in enumerate(calls if isinstance(calls, list) else ()):
                if isinstance(call, dict):
                    yield from self._call(place, call)
        if isinstance(choice.get("finish_reason"), str):
            self.finish = choice["finish_reason"]
        if isinstance(choice.get("stop_reason"), str):  # vLLM
            self.stop = choice["stop_reason"]

    def _add(self, kind: str, piece: Any) -> Iterator[Step]:
        if not isinstance(piece, str) or not piece:
            return
        if not self._open or self.parts[-1].kind != kind:
            yield from self._begin(Part(kind))
        yield self._more(len(self.parts) - 1, piece)

    def _call(self, place: int, call: Mapping[str, Any]) -> Iterator[Step]:
        given = call.get("function")
        function = given if isinstance(given, dict) else {}
        index = call["index"] if is_whole(call.get("index")) else place
        name = call["id"] if isinstance(call.get("id"), str) else ""
        # Some servers give all calls one number; then their ids tell them apart.
        known = (i for i, part in enumerate(self.parts) if part.kind == "call" and part.index == index)
        at = next((i for i in reversed(list(known)) if name in ("", self.parts[i].id)), None)
        if at is None:
            called = function["name"] if isinstance(function.get("name"), str) else ""
            yield from self._begin(Part("call", "", name or f"call_{secrets.token_hex(12)}", called, index))
            at = len(self.parts) - 1
        arguments = function.get("arguments")
        if arguments and not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        if arguments:
            yield self._more(at, arguments)

    def _begin(self, part: Part) -> Iterator[Step]:
        yield from self._end()
        self.parts.append(part)
        self._open = True
        yield Step("begin", len(self.parts) - 1, part)

    def _more(self, place: int, piece: str) -> Step:
        self.parts[place].text += piece
        return Step("more", place, self.parts[place], piece)

    def _end(self) -> Iterator[Step]:
        if self._open:
            self._open = False
            yield Step("end", len(self.parts) - 1, self.parts[-1])

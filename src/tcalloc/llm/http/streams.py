"""Replies that are wrapped: as a stream of events, asked for or not, or as JSON inside a JSON string."""

import json
from collections.abc import Collection
from typing import Any

__all__ = ["EventBytes", "Stream", "unwrapped"]

_OF_ANSWERS = ("completion_tokens", "output_tokens", "total_tokens")


def unwrapped(body: bytes) -> bytes:
    """Return the document in a reply's body: as it is, out of a JSON string, or put together from its events.

    Some servers send server-sent events (lines that begin with ``data:``) whether ``stream`` was asked for or not, and
    some gateways encode the document twice.
    """
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
            return _put_together(body)
        if start.startswith(b'"'):
            inner = json.loads(body)
            return inner.encode() if isinstance(inner, str) and inner.lstrip().startswith("{") else body
    except (ValueError, RecursionError):  # cut off or no stream: the parser of the body reports it
        return body
    return body


def _put_together(body: bytes) -> bytes:
    """Return one document from the chunks of a stream; the body itself if the stream is incomplete."""
    stream = Stream()
    stream.feed(body, last=True)
    return stream.document() if stream.whole else body


class EventBytes:
    """The events in the pieces of a stream. The time grows with the bytes alone, however small the pieces are."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = self._before = b""
        self._mark = b"\xef\xbb\xbf"  # it may stand before the first event

    def feed(self, piece: bytes, *, last: bool = False) -> list[bytes]:
        """Take a piece; return the events that are complete now, with single line feeds at the ends of lines.

        After the last piece, an event without an empty line after it is one too.
        """
        piece = self._held + piece
        # The end of a line may come in two pieces.
        self._held = b"\r" if piece.endswith(b"\r") and not last else b""
        piece = piece[: len(piece) - len(self._held)].replace(b"\r\n", b"\n")
        self._pieces.append(piece)
        near = self._before + piece
        self._before = near[-1:]
        if b"\n\n" not in near and not last:
            return []
        events = b"".join(self._pieces).removeprefix(self._mark).split(b"\n\n")
        self._mark = b""
        self._pieces = [] if last else [events.pop()]
        self._before = b"" if last else self._pieces[0][-1:]
        return events


class Stream:
    """A stream of events as it comes, put together."""

    def __init__(self) -> None:
        self._events = EventBytes()
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._ended = self._broken = False

    @property
    def whole(self) -> bool:
        """Whether it came to its end."""
        return (self._ended or len(self.ended) == len(self._choices)) and not self._broken

    def feed(self, piece: bytes, *, last: bool = False) -> list[int]:
        """Take a piece of the body, perhaps the last; return the numbers of the choices that it brought to an end."""
        ended = []
        for event in self._events.feed(piece, last=last):
            lines = [line[5:].removeprefix(" ") for line in event.decode("utf-8", "replace").split("\n")
                     if line.startswith("data:")]  # fmt: skip
            if lines and not self._ended and not self._broken:
                ended += self._take("\n".join(lines))
        return ended

    def _take(self, data: str) -> list[int]:
        """Take one event."""
        if data.strip() == "[DONE]":
            self._ended = True
            return []
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            self._broken = True
            return []
        if chunk.get("error"):
            self._head, self._ended = {"error": chunk["error"]}, True
            return []
        self._head |= {key: value for key, value in chunk.items() if key != "choices" and value is not None}
        before = self.ended
        for item in chunk.get("choices") or []:
            _add(self._choices, item)
        return [index for index in self.ended if index not in before]

    def document(self, only: Collection[int] | None = None) -> bytes:
        """Return what came as the document of a reply; of these choices alone, if any are named."""
        if "error" in self._head:
            return json.dumps(self._head).encode()
        head = self._head
        kept = [self._choices[index] for index in sorted(self._choices) if only is None or index in only]
        if len(kept) < len(self._choices) and isinstance(usage := head.get("usage"), dict):
            # What is counted of answers is of all of them.
            head = head | {"usage": {name: value for name, value in usage.items() if name not in _OF_ANSWERS}}
        return json.dumps(head | {"choices": kept}).encode()

    def completion(self, index: int) -> str:
        """Return the completion of one choice as far as it came."""
        return str(self._choices[index]["message"].get("content") or "")

    @property
    def under_way(self) -> list[int]:
        """Characters of each choice that did not come to its end, reasoning included."""
        return [
            sum(len(value) for key, value in choice["message"].items() if key != "role")
            for choice in self._choices.values()
            if not choice.get("finish_reason")
        ]

    @property
    def ended(self) -> list[int]:
        """The numbers of the choices that came to their end."""
        return [index for index, choice in self._choices.items() if choice.get("finish_reason")]


def _add(choices: dict[int, dict[str, Any]], item: Any) -> None:
    """Add one chunk's part of a choice."""
    if not isinstance(item, dict):
        raise ValueError
    given = item.get("index")
    index = given if isinstance(given, int) else 0
    choice = choices.setdefault(index, {"index": index, "message": {"role": "assistant", "content": ""}})
    part = item.get("delta") or item.get("message") or {}
    if not isinstance(part, dict):
        raise ValueError
    for key, value in part.items():
        if isinstance(value, str) and key != "role":
            choice["message"][key] = (choice["message"].get(key) or "") + value
    if item.get("finish_reason"):
        choice["finish_reason"] = item["finish_reason"]
    entries = (item.get("logprobs") or {}).get("content") if isinstance(item.get("logprobs"), dict) else None
    if isinstance(entries, list):
        choice.setdefault("logprobs", {"content": []})["content"].extend(entries)

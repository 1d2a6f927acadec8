"""Replies that are wrapped: as a stream of events that nobody asked for, or as JSON inside a JSON string."""

import json
from typing import Any

__all__ = ["unwrapped"]


def unwrapped(body: bytes) -> bytes:
    """Return the document in a reply's body: as it is, out of a JSON string, or put together from its events.

    Parameters
    ----------
    body : bytes
        Some servers send server-sent events (lines that begin with ``data:``) whether ``stream`` was asked for or not,
        and some gateways encode the document twice.
    """
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
            return _put_together(body)
        if start.startswith(b'"'):
            inner = json.loads(body)
            return inner.encode() if isinstance(inner, str) and inner.lstrip().startswith("{") else body
    except (ValueError, RecursionError):  # cut off or no stream: the one who parses it says so
        return body
    return body


def _put_together(body: bytes) -> bytes:
    """Return one document from the chunks of a stream; the body itself if the stream did not come to its end."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    ended = False
    for data in _events(body.decode("utf-8-sig", "replace")):
        if data.strip() == "[DONE]":
            ended = True
            break
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            return body
        if chunk.get("error"):
            return json.dumps({"error": chunk["error"]}).encode()
        whole |= {key: value for key, value in chunk.items() if key != "choices" and value is not None}
        for item in chunk.get("choices") or []:
            _add(choices, item)
    if not ended and not all(choice.get("finish_reason") for choice in choices.values()):
        return body
    return json.dumps(whole | {"choices": [choices[index] for index in sorted(choices)]}).encode()


def _events(text: str) -> list[str]:
    """Return the data of each event; several data lines of one event are its lines."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if not line:
            found.append([])
        elif line.startswith("data:"):
            found[-1].append(line[5:].removeprefix(" "))
    return ["\n".join(lines) for lines in found if lines]


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

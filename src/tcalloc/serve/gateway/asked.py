"""What a client asks for: one body of chat completions, and whether its samples can be voted on."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._checks import is_whole
from tcalloc.llm.client import Parameters
from tcalloc.llm.questions import Question

__all__ = ["EXTRACTORS", "Asked", "BadRequest", "asked_of", "body_of"]

# What a request may name in the header x-tcalloc-extract, beside "none". Others run code or patterns, so a client
# cannot choose them.
EXTRACTORS = ("numeric", "choice", "exact", "normalized")
# Fields that `ChatClient` sets itself; all others go to the server as they are.
_OWN = ("model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens")
# Fields whose replies cannot be voted on, and the reason that is given.
_UNVOTED = {
    "tools": "tools",
    "functions": "tools",
    "response_format": "response_format",
    "audio": "audio",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
}


def _no_number(word: str) -> None:
    raise ValueError(word)


class BadRequest(Exception):
    """The body is no request; the message is for the client.

    Parameters
    ----------
    message : str
        What is wrong, and what to do.
    param : str, optional
        The field.
    """

    def __init__(self, message: str, param: str | None = None):
        super().__init__(message)
        self.param = param


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise BadRequest("a number in the body is too large; numbers are at most 1.8e308.")
    return value


# Python reads and writes NaN and Infinity; JSON has no words for them. 1e999 is JSON, but no number that Python has.
_JSON = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes
    ----------
    body : dict
        As the client sent it.
    model : str
        The model that it names.
    messages : tuple of dict
        The conversation.
    text : str
        The last message of the user, which policies look at.
    n : int
        Choices that it wants.
    stream, usage : bool
        Whether it wants a stream, and a last chunk with the usage in it.
    max_tokens : int or None
        The most tokens of an answer.
    unvoted : str or None
        Why its samples cannot be voted on; None: they can.
    """

    body: Mapping[str, Any]
    model: str
    messages: tuple[dict[str, Any], ...]
    text: str
    n: int
    stream: bool
    usage: bool
    max_tokens: int | None
    unvoted: str | None

    def question(self) -> Question:
        """Return the question as policies and extractors know it; its messages are texts."""
        return Question("0", tuple({"role": "user", "content": _text(one) or ""} for one in self.messages), self.text)

    def parameters(self, *, seeded: bool, max_tokens: int | None) -> Parameters:
        """Return the fields that go with every sample.

        Parameters
        ----------
        seeded : bool
            Whether the samples get different seeds, made from the one that was asked for.
        max_tokens : int or None
            The most tokens where the request names none.
        """
        extra = {name: value for name, value in self.body.items() if name not in _OWN}
        seed = extra.pop("seed", None) if seeded and is_whole(self.body.get("seed")) else None
        # `extra` has the messages as they came, with all their parts.
        return Parameters(max_tokens=self.max_tokens or max_tokens, seed=seed, extra=tuple(extra.items()))


def body_of(data: bytes) -> dict[str, Any]:
    """Return the object in a body.

    Raises
    ------
    BadRequest
        If it holds none.
    """
    try:
        body = _JSON.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object.")
    return body


def asked_of(body: Mapping[str, Any]) -> Asked:
    """Return the request in a body of chat completions.

    Raises
    ------
    BadRequest
        If it is none; the server would refuse it too.
    """
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("'model' must be the name of a model.")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequest("'messages' must be a list of objects with a role and content, at least one.")
    n = 1 if body.get("n") is None else body["n"]
    if not is_whole(n) or not 1 <= n <= 128:
        raise BadRequest("'n' must be a whole number from 1 to 128.")
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None and (not is_whole(limit) or limit < 1):
        raise BadRequest("'max_tokens' must be a whole number of at least 1.")
    options = body.get("stream_options")
    usage = isinstance(options, dict) and bool(options.get("include_usage"))
    users = [one for one in messages if one.get("role") == "user"]
    text = (_text(users[-1]) if users else None) or ""
    unvoted = next((why for name, why in _UNVOTED.items() if body.get(name)), None)
    if n > 1:
        unvoted = "n"
    elif unvoted is None and any(_text(one) is None for one in messages):
        unvoted = "parts that are no text"
    elif unvoted is None and (not text.strip() or not _whole(text)):
        unvoted = "no text"
    return Asked(body, model, tuple(messages), text, n, bool(body.get("stream")), usage, limit, unvoted)


def _text(message: Mapping[str, Any]) -> str | None:
    """Return the text of a message; None if it holds something else, such as an image or the call of a tool."""
    content = message.get("content")
    if isinstance(content, str):
        return content if not message.get("tool_calls") else None
    if not isinstance(content, list) or not content:
        return None
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
    return "\n".join(texts) if all(isinstance(one, str) for one in texts) else None  # type: ignore[arg-type]


def _whole(text: str) -> bool:
    """Return whether a text has no half of a surrogate pair, which UTF-8 cannot hold."""
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False

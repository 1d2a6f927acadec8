"""The reply of a server as choices with their tokens, and a check of its `usage`.

Servers count differently: some send no usage, some count only the first of n choices, some leave reasoning out of the
completion's tokens. Counts that are missing or impossible are estimated and marked, never taken as 0.
"""

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from tcalloc._checks import is_number, is_whole
from tcalloc._printing import shown_shortly
from tcalloc.llm.confidence import Confidence, token_confidences
from tcalloc.llm.http.usage import LARGEST, Usage, read_usage

__all__ = [
    "BadReply",
    "Choice",
    "Reply",
    "ServerError",
    "TokenCounter",
    "error_of",
    "is_quota",
    "message_of",
    "parse_reply",
    "prompt_size",
]

Redact: TypeAlias = Callable[[str], str]

TEXT_PARTS = ("text", "output_text")
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")


class BadReply(Exception):
    """A reply with status 200 that is no answer."""


class ServerError(Exception):
    """An error that came with status 200; `status` is what it should have been."""

    def __init__(self, status: int | None, body: dict[str, Any]):
        super().__init__(status)
        self.status, self.body = status, body


@dataclass(frozen=True, slots=True, repr=False)
class Choice:
    """One sample.

    Attributes
    ----------
    text : str
        The completion, without reasoning that the server sends separately.
    finish : str
        The reason of its end: stop, length, content_filter, ...
    output_tokens, reasoning_tokens : int
        Tokens of the completion, and those among them that are reasoning.
    estimated : bool
        Whether the tokens are estimated, because the server did not count them or counted wrong.
    logprob : float or None
        Sum over the tokens, if the server gives it.
    confidence : Confidence or None
        How sure the model was, if the server gives several of the likeliest tokens at each place.
    """

    text: str
    finish: str
    output_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    logprob: float | None = None
    confidence: Confidence | None = None
    counted: int | None = None  # tokens as counted from logprobs
    reasoning: int = 0  # characters of reasoning that came apart

    __repr__ = shown_shortly

    @property
    def truncated(self) -> bool:
        """Whether it was cut off by max_tokens."""
        return self.finish == "length"


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """The reply to one request.

    Attributes
    ----------
    choices : tuple of Choice
        At least one, if nothing was cut off; perhaps fewer than were asked for.
    input_tokens : int
        Tokens of the whole prompt, charged once for all choices.
    input_estimated : bool
        Whether they are estimated, or counted in ways that contradict each other.
    id, model : str
        The names that the server gave.
    seconds : float
        From sending the request to the end of its reply.
    seed : int or None
        The seed that was sent.
    cached_tokens, cache_write_tokens, cache_write_1h_tokens : int
        Tokens of the prompt that were read from the provider's cache, written to it, and written to be kept for an hour
        (see `tcalloc.llm.http.usage.Usage`).
    cut : tuple of int
        For each choice that was cut off, the estimated number of tokens generated until then.
    """

    choices: tuple[Choice, ...]
    input_tokens: int
    input_estimated: bool
    id: str
    model: str
    seconds: float = 0.0
    seed: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cut: tuple[int, ...] = ()

    __repr__ = shown_shortly

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].text

    @property
    def prompt(self) -> tuple[int, int, int, int]:
        """The tokens of the prompt, as `Rates.request_cost` takes them."""
        return self.input_tokens, self.cached_tokens, self.cache_write_tokens, self.cache_write_1h_tokens

    @property
    def output_tokens(self) -> int:
        """Tokens of all completions."""
        return sum(choice.output_tokens for choice in self.choices)


class TokenCounter:
    """Estimates tokens, better with every reply whose count can be trusted. Threads share it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._characters = 0.0
        self._tokens = 0.0

    def learn(self, characters: int, tokens: int) -> None:
        """Record a text whose tokens were counted."""
        with self._guard:
            self._characters += characters
            self._tokens += tokens

    @property
    def calibrated(self) -> bool:
        """Whether enough was counted to decide that a server counts wrong."""
        return self._characters >= 200 or (self._characters > 0 and self._tokens >= 20)

    def estimate(self, characters: int, words: int = 0) -> int:
        """Return an estimate of a text's tokens, of which its end is one."""
        # English has 4 to 5 characters per token, mathematics 2 to 3; 4 is used until something was counted.
        with self._guard:
            ratio = self._tokens / self._characters if self.calibrated else 0.25
        return max(1 + (characters > 0), words, math.ceil(ratio * characters))


def prompt_size(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return how many characters a prompt has."""
    return sum(len(str(message.get("content", ""))) for message in messages)


def parse_reply(
    body: bytes, n: int, prompt_characters: int, counter: TokenCounter, redact: Redact | None = None
) -> Reply:
    """Return the choices in the body of a reply.

    Parameters
    ----------
    body : bytes
        The body as received.
    n : int
        Number of choices asked for; further choices, and those that repeat an index, are dropped.
    prompt_characters : int
        The prompt's length, for its tokens if the server does not count them.
    counter : TokenCounter
        Estimates missing counts.
    redact : callable, optional
        Removes the key from a decoded text (see `tcalloc.llm.http.keys.Key.redact`).

    Raises
    ------
    BadReply
        If it is no answer.
    ServerError
        If it is an error that the server reports.
    """
    try:
        return _parsed(body, n, prompt_characters, counter, redact or str)
    except (BadReply, ServerError):
        raise
    except Exception as error:  # no reply of a server may end the run
        raise BadReply(f"it cannot be read ({type(error).__name__})") from None


def _parsed(body: bytes, n: int, prompt_characters: int, counter: TokenCounter, redact: Redact) -> Reply:
    document = _load(body, redact)
    listed = document.get("choices")
    if not isinstance(listed, list) or not listed:
        raise BadReply("it has no choices")
    choices: dict[Any, Choice] = {}
    for place, item in enumerate(listed):
        choice = _choice(item, redact)
        index = item.get("index")
        index = index if is_whole(index) else place
        if index not in choices and len(choices) < n:
            choices[index] = choice
    usage = read_usage(document.get("usage"))
    prompt = usage.input_tokens
    if prompt is None:  # at least the tokens that concern the cache
        counted = usage.cached_tokens + usage.cache_write_tokens
        prompt = max(1 + (prompt_characters > 0), math.ceil(prompt_characters / 4), counted)
    return Reply(
        choices=_count(tuple(choices[index] for index in sorted(choices)), usage, counter),
        input_tokens=prompt,
        input_estimated=usage.input_tokens is None or usage.doubtful,
        id=_name(document.get("id"), redact),
        model=_name(document.get("model"), redact),
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
    )


def _load(body: bytes, redact: Redact) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadReply("it is not a JSON object, or the end is missing")
    error = document.get("error")
    if error and not document.get("choices"):
        error = _error(error, redact)
        status = next(
            (c for c in (error.get("code"), error.get("status")) if isinstance(c, int) and 400 <= c < 600), None
        )
        raise ServerError(status, {"error": error})
    return document


def _choice(item: Any, redact: Redact) -> Choice:
    message = item.get("message") if isinstance(item, dict) else None
    if not isinstance(message, dict):
        raise BadReply("a choice has no message")
    if error := item.get("error"):
        raise ServerError(None, {"error": _error(error, redact)})
    content = _joined(message.get("content"))
    if content is None:
        content = _joined(message.get("refusal")) or ""
    reasoning = _joined(message.get("reasoning_content"), strict=False)
    reasoning = reasoning or _joined(message.get("reasoning"), strict=False) or ""
    finish = _name(item.get("finish_reason"), redact)
    logprob, confidence, counted = _logprobs(item.get("logprobs"), finish)
    return Choice(
        _text(content, redact), finish,
        logprob=logprob, confidence=confidence, counted=counted, reasoning=len(reasoning),
    )  # fmt: skip


def _joined(content: Any, *, strict: bool = True) -> str | None:
    """Return a message's content: text, or the texts of its parts; None if there is none, or it is not text."""
    if content is None or isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    # Parts of other types (images, tool calls) hold nothing to grade.
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") in TEXT_PARTS]
    if strict and not all(text is None or isinstance(text, str) for text in texts):
        raise BadReply("a part of its content is not text")
    if strict and not all(isinstance(part, dict) for part in parts):
        raise BadReply("a choice's content is not text")
    return "".join(text for text in texts if isinstance(text, str))


def _logprobs(given: Any, finish: str) -> tuple[float | None, Confidence | None, int | None]:
    """Return the sum of a choice's logprobs, how sure the model was, and how many tokens they count."""
    entries = given.get("content") if isinstance(given, dict) else None
    if not isinstance(entries, list) or not entries:
        return None, None, None
    values: list[Any] = [entry.get("logprob") if isinstance(entry, dict) else None for entry in entries]
    if not all(is_number(value) and abs(value) < LARGEST for value in values):
        return None, None, None
    sure = token_confidences(entries)
    # The end of the text is a token that was generated, and has no entry.
    return math.fsum(values), None if sure is None else Confidence.of(sure), len(entries) + (finish == "stop")


def _count(choices: tuple[Choice, ...], usage: Usage, counter: TokenCounter) -> tuple[Choice, ...]:
    """Set the tokens of every choice: counted by its logprobs, counted by the server, or estimated."""
    total, reasoning = usage.output_tokens, usage.reasoning_tokens
    apart = sum(choice.reasoning for choice in choices)
    sizes = [len(choice.text) + choice.reasoning for choice in choices]
    guesses = [counter.estimate(size, len(c.text.split())) for size, c in zip(sizes, choices, strict=True)]
    estimated = False
    if total and len(choices) == 1:
        counts = [total]
        if total <= 4 * sizes[0] + 16:  # no text has more tokens; a wrong count must not affect later estimates
            counter.learn(sizes[0], total)
    elif not apart and not reasoning and all(choice.counted for choice in choices):
        counts = [choice.counted or 1 for choice in choices]
    elif not total:
        counts, estimated = guesses, True
    elif total < (0.75 if counter.calibrated else 0.6) * sum(guesses) or total < len(choices):
        # It evidently counted only the first choice; the others are in proportion to it.
        scale = max(0.5, min(2.0, total / guesses[0]))
        counts, estimated = [total, *(max(1, round(scale * guess)) for guess in guesses[1:])], True
        reasoning *= len(choices)
    else:
        counts = _share(total, guesses)
    if not reasoning and apart:
        # The reasoning was sent but not counted: its share of the tokens is taken from its share of the characters.
        parts = [
            round(count * c.reasoning / size) if size else 0
            for count, c, size in zip(counts, choices, sizes, strict=True)
        ]
    elif reasoning:
        weights = [choice.reasoning for choice in choices] if apart else counts
        parts = _share(min(reasoning, sum(counts)), weights)
    else:
        parts = [0] * len(choices)
    return tuple(
        replace(choice, output_tokens=count, reasoning_tokens=min(part, count), estimated=estimated)
        for choice, count, part in zip(choices, counts, parts, strict=True)
    )


def _share(total: int, weights: list[int]) -> list[int]:
    """Divide whole tokens in proportion, so that they add up."""
    whole = sum(weights) or 1
    shares, taken, seen = [], 0, 0
    for weight in weights:
        seen += weight
        upto = round(total * seen / whole)
        shares.append(upto - taken)
        taken = upto
    return shares


def _text(value: Any, redact: Redact) -> str:
    """Return text that UTF-8 can hold (JSON may escape half of a surrogate pair), without the key."""
    return redact(value).encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _name(value: Any, redact: Redact) -> str:
    """Return a short text: an id, a model, a reason."""
    return _text(value[:4096], redact)[:256] if isinstance(value, str) else ""


def _redacted(value: Any, redact: Redact, depth: int = 0) -> Any:
    """Return a decoded document without the key, cut off where it is nested too deeply for a message."""
    if isinstance(value, str):
        return redact(value)
    if depth > 8 and isinstance(value, dict | list):
        return "..."
    if isinstance(value, dict):
        return {redact(key): _redacted(inner, redact, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner, redact, depth + 1) for inner in value]
    return value


def _error(error: Any, redact: Redact) -> dict[str, Any]:
    """Return an error without the key, as an object; anything else is taken as its message."""
    found: dict[str, Any] = _redacted(error if isinstance(error, dict) else {"message": error}, redact)
    return found


def error_of(body: bytes, redact: Redact | None = None) -> dict[str, Any]:
    """Return the error object in a body, without the key; anything else is taken as its message."""
    try:
        document = json.loads(body[: 1 << 16])
    except (ValueError, RecursionError):
        return {}  # the HTML of a proxy says less than the status
    if not isinstance(document, dict):
        return {}
    return _error(document.get("error", document), redact or str)


def message_of(error: Mapping[str, Any]) -> str:
    """Return the message of an error, short and on one line."""
    message = error.get("message") or error.get("detail") or ""
    text = " ".join(str(message).split()).rstrip(".")
    return text if len(text) <= 200 else text[:197] + "..."


def is_quota(error: Mapping[str, Any]) -> bool:
    """Return whether an error means that the account has no money left."""
    return any(str(error.get(key, "")) in _QUOTA for key in ("code", "type"))

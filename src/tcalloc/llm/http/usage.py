"""What a provider's `usage` counts, as one kind of numbers.

Providers name the same tokens differently, and not all count the same. One reader serves replies and logs:

=====================  =============================================================================================
OpenAI, vLLM           ``prompt_tokens`` are the whole prompt; ``prompt_tokens_details.cached_tokens`` of them were read
                       from the cache. vLLM sends null for details unless it is asked for them.
OpenAI Responses API   The same as ``input_tokens`` and ``input_tokens_details.cached_tokens``.
DeepSeek               ``prompt_tokens`` are the sum of ``prompt_cache_hit_tokens`` and ``prompt_cache_miss_tokens``.
Anthropic              ``input_tokens`` are those that the cache had no part in. What was read from it and written to it
                       stands beside: ``cache_read_input_tokens`` and ``cache_creation_input_tokens``.
=====================  =============================================================================================

A count that is missing, negative, huge, broken or no number is not known, which is never taken as 0 of a prompt or of
an answer: whoever asks estimates it and marks the estimate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._checks import is_number

__all__ = ["BESIDE", "LARGEST", "Usage", "counted", "read_usage"]

# Anthropic's counts of the cache, which `input_tokens` does not include.
BESIDE = ("cache_read_input_tokens", "cache_creation_input_tokens")
# No reply holds as many tokens: larger numbers are not what they claim to be.
LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one request.

    Attributes
    ----------
    input_tokens : int or None
        Tokens of the whole prompt, cached or not. None: not known.
    cached_tokens : int
        Those among them that were read from the provider's cache.
    cache_write_tokens : int
        Those among them that were written to the cache.
    cache_write_1h_tokens : int
        Those among the written ones that are kept for an hour.
    output_tokens : int or None
        Tokens of all choices, reasoning included. None: not known.
    reasoning_tokens : int
        Those among them that are reasoning.
    doubtful : bool
        Whether counts of the prompt contradict each other, so that they are the most that they can mean.
    """

    input_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int | None = None
    reasoning_tokens: int = 0
    doubtful: bool = False


def counted(value: Any) -> int | None:
    """Return a count of tokens; None for what is none: negative, huge, with a fraction, or no number."""
    if value is None or not is_number(value) or not 0 <= value < LARGEST or value != int(value):
        return None
    return int(value)


def read_usage(usage: Any) -> Usage:
    """Return what a `usage` object counts, as a provider sent it; what is no mapping counts nothing."""
    if not isinstance(usage, Mapping):
        return Usage()
    inside = _details(usage, "prompt", "input")
    kept = usage.get("cache_creation")
    short, hour, bad = 0, 0, False
    if isinstance(kept, Mapping):
        (short, bad), (hour, worse) = (_first(kept.get(f"ephemeral_{time}_input_tokens")) for time in ("5m", "1h"))
        bad |= worse
    read, bad_read = _first(
        inside.get("cached_tokens"),
        usage.get("cache_read_input_tokens"),
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cached_tokens"),
    )
    written, bad_written = _first(
        inside.get("cache_write_tokens"),
        inside.get("cache_creation_tokens"),
        usage.get("cache_creation_input_tokens"),
        usage.get("cache_write_tokens"),
        short + hour or None,
    )
    doubtful = bad or bad_read or bad_written
    if short + hour and written != short + hour:  # which of the two is billed is not known
        written, doubtful = max(written, short + hour), True
    whole = counted(usage.get("prompt_tokens"))
    if whole is None:
        hit, miss = counted(usage.get("prompt_cache_hit_tokens")), counted(usage.get("prompt_cache_miss_tokens"))
        whole = None if hit is None or miss is None else hit + miss  # DeepSeek
    if whole is None:
        whole = counted(usage.get("input_tokens"))
        if whole is not None and not inside and any(name in usage for name in BESIDE):
            whole += read + written  # Anthropic
    if whole is not None and read + written > whole:  # no part is larger than the whole: it stands beside
        whole, doubtful = whole + read + written, True
    output, reasoning = _output(usage, whole)
    # No prompt is empty: 0 is not known.
    return Usage(whole or None, read, written, min(hour, written), output, reasoning, doubtful)


def _output(usage: Mapping[str, Any], whole: int | None) -> tuple[int | None, int]:
    """Return the tokens of all answers, and those that are reasoning."""
    output = counted(usage.get("completion_tokens"))
    output = counted(usage.get("output_tokens")) if output is None else output
    inside = _details(usage, "completion", "output")
    reasoning, _ = _first(inside.get("reasoning_tokens"), inside.get("thinking_tokens"), usage.get("reasoning_tokens"))
    if not output:  # an answer has at least its end
        return None, reasoning
    apart = counted(usage.get("total_tokens")) == (whole or 0) + output + reasoning
    if reasoning and (reasoning > output or apart):
        output += reasoning  # a server that counts it beside the completion
    return output, reasoning


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return the details of the first of some counts that has any."""
    for name in names:
        found = usage.get(f"{name}_tokens_details")
        if found is not None and isinstance(found, Mapping):
            return found
    return {}


def _first(*values: Any) -> tuple[int, bool]:
    """Return the first of some counts that is one, 0 if none is; and whether one before it is broken."""
    broken = False
    for value in values:
        if (count := counted(value)) is not None:
            return count, broken
        broken |= value is not None
    return 0, broken

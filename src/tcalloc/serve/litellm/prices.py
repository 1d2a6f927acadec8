"""The most that a request can cost by LiteLLM's own prices."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tcalloc._checks import is_number
from tcalloc._rates import Rates

__all__ = ["most_cost", "most_rates"]

# How LiteLLM calls prices: of the prompt, of the answer and of a request. Each has variants, such as above 128k tokens.
_PROMPT = ("input_cost_per_token", "cache_creation_input_token_cost", "cache_read_input_token_cost")
_ANSWER = ("output_cost_per_token", "output_cost_per_reasoning_token")
_REQUEST = ("input_cost_per_request", "cost_per_query")
# What is sent with the messages, and counted as the prompt.
_SENT = ("messages", "tools", "functions", "response_format")


def most_rates(prices: Iterable[Mapping[str, Any] | None]) -> Rates:
    """Return the highest rates among those of some deployments.

    Parameters
    ----------
    prices : iterable of mapping or None
        What LiteLLM knows of each.
    """
    known = [one for one in prices if one]

    def highest(names: tuple[str, ...]) -> float:
        found = [v for one in known for name, v in one.items() if name.startswith(names) and is_number(v)]
        return max([0.0, *map(float, found)])

    return Rates(highest(_PROMPT), highest(_ANSWER), request=highest(_REQUEST))


def most_cost(body: Mapping[str, Any], rates: Rates, max_tokens: int | None) -> float:
    """Return the most that one sample can cost.

    Parameters
    ----------
    body : mapping
        The request.
    rates : Rates
        The prices.
    max_tokens : int or None
        The most tokens of an answer; None: they are not bounded, and count as none.
    """
    sent = json.dumps({name: body[name] for name in _SENT if body.get(name)}, default=str, ensure_ascii=False)
    return rates.most(len(sent.encode("utf-8", "replace")), 1, max_tokens or 0)

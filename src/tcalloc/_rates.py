"""The cost of requests and of their tokens: `Rates`, for clients that pay and for actions that are priced.

A bill has two parts. `Rates.request_cost` is what a request costs whatever its answers: its price, and its prompt.
`Rates.answer_cost` is what each answer costs. Every cost in this package, recorded, expected or live, is made of these.
"""

from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, number

__all__ = ["Rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """The cost of a request and of its tokens, in a unit of your choice (dollars, seconds).

    `Rates.per_million` takes prices per million tokens, as providers list them.

    Parameters
    ----------
    input : float
        Cost per token of the prompt that is neither read from the provider's cache nor written to it.
    output : float
        Cost per token of an answer, without reasoning tokens.
    reasoning : float, optional
        Cost per reasoning token; None: like output.
    prompt_once : bool
        The prompt and the price of a request are charged once for all choices of a request (``n``). False: once per
        sample, for servers that ignore ``n`` or if each sample is a call.
    cached_input : float, optional
        Cost per token of the prompt that is read from the provider's cache; None: like input.
    cache_write : float, optional
        Cost per token of the prompt that is written to the provider's cache; None: like input.
    cache_write_1h : float, optional
        Cost per token that is written to be kept for an hour; None: like cache_write.
    request : float
        Cost per request, whatever its tokens.

    Raises
    ------
    InputError
        If a rate is negative or not finite.

    Examples
    --------
    One dollar per million input tokens, four per million output tokens, with the prompt charged once per request:

    >>> from tcalloc import Rates
    >>> rates = Rates.per_million(1, 4)
    >>> round(rates.of(input_tokens=500, output_tokens=100, samples=4) * 1e6)
    2100

    Of the prompt, 400 tokens were read from the cache, at a tenth of the price:

    >>> rates = Rates.per_million(1, 4, cached_input=0.1)
    >>> round(rates.of(input_tokens=500, output_tokens=100, samples=4, cached_tokens=400) * 1e6)
    1740
    """

    input: float = 0.0
    output: float = 0.0
    reasoning: float | None = None
    prompt_once: bool = True
    cached_input: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    request: float = 0.0

    def __post_init__(self) -> None:
        for name, default in _AMOUNTS.items():
            value = getattr(self, name)
            if value is None and default is None:
                continue
            of = "a rate per request" if name == "request" else "a rate per token"
            object.__setattr__(self, name, number(f"Rates.{name}", value, ends=True, of=of))
        flag("Rates.prompt_once", self.prompt_once)

    @classmethod
    def per_million(
        cls,
        input: float,
        output: float,
        reasoning: float | None = None,
        *,
        cached_input: float | None = None,
        cache_write: float | None = None,
        cache_write_1h: float | None = None,
        request: float = 0.0,
        prompt_once: bool = True,
    ) -> "Rates":
        """Return the rates of prices per million tokens.

        Parameters
        ----------
        input, output : float
            Prices of the prompt's tokens and of the completion's tokens.
        reasoning : float, optional
            Price of the completion's reasoning tokens; like `output` if not given.
        cached_input : float, optional
            Price of prompt tokens that are read from the provider's cache; like `input` if not given.
        cache_write : float, optional
            Price of prompt tokens that are written to the provider's cache; like `input` if not given.
        cache_write_1h : float, optional
            Price of written tokens that are kept for an hour; like `cache_write` if not given.
        request : float
            Price of a million requests: 10,000 dollars are one cent per request.
        prompt_once : bool
            As in `Rates`.
        """

        def rate(name: str, price: float) -> float:
            of = f"a price per million {'requests' if name == 'requests' else 'tokens'}"
            return number(f"the price of {name}", price, ends=True, of=of) / 1e6

        def optional(name: str, price: float | None) -> float | None:
            return None if price is None else rate(name, price)

        return cls(
            rate("input tokens", input),
            rate("output tokens", output),
            optional("reasoning tokens", reasoning),
            prompt_once,
            optional("cached input tokens", cached_input),
            optional("tokens written to the cache", cache_write),
            optional("tokens written to the cache for an hour", cache_write_1h),
            rate("requests", request),
        )

    @overload
    def request_cost(
        self,
        input_tokens: float,
        cached_tokens: float = 0,
        cache_write_tokens: float = 0,
        cache_write_1h_tokens: float = 0,
    ) -> float: ...

    @overload
    def request_cost(
        self,
        input_tokens: NDArray[Any],
        cached_tokens: Any = 0,
        cache_write_tokens: Any = 0,
        cache_write_1h_tokens: Any = 0,
    ) -> NDArray[np.float64]: ...

    def request_cost(
        self, input_tokens: Any, cached_tokens: Any = 0, cache_write_tokens: Any = 0, cache_write_1h_tokens: Any = 0
    ) -> Any:
        """Return the cost of one request before any answer: its price, and its prompt.

        Parameters
        ----------
        input_tokens : float or array
            Tokens of the whole prompt, cached or not.
        cached_tokens : float or array
            Tokens among them that were read from the provider's cache.
        cache_write_tokens : float or array
            Tokens among them that were written to the cache.
        cache_write_1h_tokens : float or array
            Written tokens that are kept for an hour.
        """
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        hour = write if self.cache_write_1h is None else self.cache_write_1h
        plain = input_tokens - cached_tokens - cache_write_tokens
        written = (cache_write_tokens - cache_write_1h_tokens) * write + cache_write_1h_tokens * hour
        return plain * self.input + cached_tokens * cached + written + self.request

    @overload
    def answer_cost(self, output_tokens: float, reasoning_tokens: float = 0) -> float: ...

    @overload
    def answer_cost(self, output_tokens: NDArray[Any], reasoning_tokens: Any = 0) -> NDArray[np.float64]: ...

    def answer_cost(self, output_tokens: Any, reasoning_tokens: Any = 0) -> Any:
        """Return the cost of one answer, without its request.

        Parameters
        ----------
        output_tokens, reasoning_tokens : float or array
            Tokens of the answer. As in OpenAI's ``usage``, output tokens include the reasoning tokens.
        """
        reasoning = self.output if self.reasoning is None else self.reasoning
        return (output_tokens - reasoning_tokens) * self.output + reasoning_tokens * reasoning

    @overload
    def of(
        self,
        input_tokens: float,
        output_tokens: float,
        reasoning_tokens: float = 0,
        samples: int = 1,
        *,
        cached_tokens: float = 0,
        cache_write_tokens: float = 0,
        cache_write_1h_tokens: float = 0,
    ) -> float: ...

    @overload
    def of(
        self,
        input_tokens: float,
        output_tokens: NDArray[Any],
        reasoning_tokens: Any = 0,
        samples: int = 1,
        *,
        cached_tokens: Any = 0,
        cache_write_tokens: Any = 0,
        cache_write_1h_tokens: Any = 0,
    ) -> NDArray[np.float64]: ...

    @overload
    def of(
        self,
        input_tokens: NDArray[Any],
        output_tokens: Any,
        reasoning_tokens: Any = 0,
        samples: int = 1,
        *,
        cached_tokens: Any = 0,
        cache_write_tokens: Any = 0,
        cache_write_1h_tokens: Any = 0,
    ) -> NDArray[np.float64]: ...

    def of(
        self,
        input_tokens: Any,
        output_tokens: Any,
        reasoning_tokens: Any = 0,
        samples: int = 1,
        *,
        cached_tokens: Any = 0,
        cache_write_tokens: Any = 0,
        cache_write_1h_tokens: Any = 0,
    ) -> Any:
        """Return the cost of some samples of one question, drawn by one request.

        Parameters
        ----------
        input_tokens : float or array
            Tokens of the prompt.
        output_tokens, reasoning_tokens : float or array
            Tokens of one answer. As in OpenAI's ``usage``, output tokens include the reasoning tokens.
        samples : int
            Number of samples drawn.
        cached_tokens, cache_write_tokens, cache_write_1h_tokens : float or array
            As in `request_cost`.

        Returns
        -------
        float or array
            Like the tokens.
        """
        request = self.request_cost(input_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens)
        return request * self.prompts(samples) + self.answer_cost(output_tokens, reasoning_tokens) * samples

    def prompts(self, n: int) -> int:
        """Return how often the prompt is charged for n choices of a request.

        Parameters
        ----------
        n : int
            Number of choices; each is a sample of the same question.
        """
        return 1 if self.prompt_once else n

    @property
    def most_per_input_token(self) -> float:
        """The most that a token of the prompt can cost, whatever the cache does with it."""
        return max(self.input, self.cached_input or 0.0, self.cache_write or 0.0, self.cache_write_1h or 0.0)

    @property
    def most_per_output_token(self) -> float:
        """The most that a token of an answer can cost, reasoning or not."""
        return max(self.output, self.reasoning or 0.0)

    def most(self, prompt_bytes: int, n: int, max_tokens: int) -> float:
        """Return the most that a request of n choices can cost.

        Parameters
        ----------
        prompt_bytes : int
            Bytes of the request. No tokenizer makes more tokens than there are bytes, apart from chat templates.
        n, max_tokens : int
            Number of choices, and the most tokens of each.
        """
        request = prompt_bytes * self.most_per_input_token + self.request
        return request * self.prompts(n) + n * max_tokens * self.most_per_output_token

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, as files hold it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


_AMOUNTS: dict[str, Any] = {field.name: field.default for field in fields(Rates) if field.name != "prompt_once"}

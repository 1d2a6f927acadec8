"""The cost of tokens: `Rates`, for clients that pay and for actions that are priced."""

from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, number

__all__ = ["Rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """The cost of a token, in a unit of your choice (dollars, seconds).

    `Rates.per_million` takes prices per million tokens, as providers list them.

    Parameters
    ----------
    input : float
        Cost per token of the prompt.
    output : float
        Cost per token of an answer, without reasoning tokens.
    reasoning : float, optional
        Cost per reasoning token; None: like output.
    prompt_once : bool
        The prompt is charged once for all choices of a request (``n``). False: once per sample, for servers that
        ignore ``n`` or if each sample is a call.

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
    """

    input: float = 0.0
    output: float = 0.0
    reasoning: float | None = None
    prompt_once: bool = True

    def __post_init__(self) -> None:
        for name in ("input", "output", "reasoning"):
            value = getattr(self, name)
            if value is None and name == "reasoning":
                continue
            object.__setattr__(self, name, number(f"Rates.{name}", value, ends=True, of="a rate per token"))
        flag("Rates.prompt_once", self.prompt_once)

    @classmethod
    def per_million(cls, input: float, output: float, reasoning: float | None = None) -> "Rates":
        """Return the rates of prices per million tokens.

        Parameters
        ----------
        input, output : float
            Prices of the prompt's tokens and of the completion's tokens.
        reasoning : float, optional
            Price of the completion's reasoning tokens; like `output` if not given.
        """

        def rate(name: str, price: float) -> float:
            return number(f"the price of {name} tokens", price, ends=True, of="a price per million tokens") / 1e6

        return cls(
            rate("input", input),
            rate("output", output),
            None if reasoning is None else rate("reasoning", reasoning),
        )

    @overload
    def of(self, input_tokens: float, output_tokens: float, reasoning_tokens: float = 0, samples: int = 1) -> float: ...

    @overload
    def of(
        self, input_tokens: float, output_tokens: NDArray[Any], reasoning_tokens: Any = 0, samples: int = 1
    ) -> NDArray[np.float64]: ...

    @overload
    def of(
        self, input_tokens: NDArray[Any], output_tokens: Any, reasoning_tokens: Any = 0, samples: int = 1
    ) -> NDArray[np.float64]: ...

    def of(self, input_tokens: Any, output_tokens: Any, reasoning_tokens: Any = 0, samples: int = 1) -> Any:
        """Return the cost of some samples of one question.

        Parameters
        ----------
        input_tokens : float or array
            Tokens of the prompt.
        output_tokens, reasoning_tokens : float or array
            Tokens of one answer. As in OpenAI's ``usage``, output tokens include the reasoning tokens.
        samples : int
            Number of samples drawn.

        Returns
        -------
        float or array
            Like the tokens.
        """
        reasoning = self.output if self.reasoning is None else self.reasoning
        answer = (output_tokens - reasoning_tokens) * self.output + reasoning_tokens * reasoning
        return input_tokens * self.input * self.prompts(samples) + answer * samples

    def prompts(self, n: int) -> int:
        """Return how often the prompt is charged for n choices of a request.

        Parameters
        ----------
        n : int
            Number of choices; each is a sample of the same question.
        """
        return 1 if self.prompt_once else n

    def most(self, prompt_bytes: int, n: int, max_tokens: int) -> float:
        """Return the most that a request of n choices can cost.

        Parameters
        ----------
        prompt_bytes : int
            Bytes of the request. No tokenizer makes more tokens than there are bytes, apart from chat templates.
        n, max_tokens : int
            Number of choices, and the most tokens of each.
        """
        return prompt_bytes * self.input * self.prompts(n) + n * max_tokens * max(self.output, self.reasoning or 0.0)

"""The fields of a request besides the question."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from tcalloc._checks import whole
from tcalloc.errors import InputError

__all__ = ["Parameters"]

# Servers give 5 to 20; llama.cpp gives any number.
MOST_TOP = 1000


@dataclass(frozen=True, slots=True)
class Parameters:
    """The fields of a request besides the question; None is left to the server.

    Parameters
    ----------
    temperature, top_p : float or None
        How samples are drawn.
    max_tokens : int or None
        Number of tokens after which an answer is cut off.
    stop : tuple of str
        Texts that end an answer.
    reasoning_effort : str or None
        low, medium, high, or another level that the server knows.
    system : str or None
        A system message before the question.
    logprobs : bool
        Whether to ask for the tokens' log-probabilities.
    top_logprobs : int or None
        For how many of the likeliest tokens at each place. From 2 on, samples keep how sure the model was
        (`tcalloc.llm.confidence`); DeepConf takes 20. It implies `logprobs`. Replies then are some kilobytes per token.
    seed : int or None
        The random seed from which the samples' seeds derive, with question and sample number; None sends no seeds.
    extra : tuple of (str, value)
        Further fields of the request, sent unchanged.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    system: str | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    seed: int | None = 0
    extra: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name, least, most in (("temperature", 0.0, 100.0), ("top_p", 0.0, 1.0)):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                raise InputError(f"{name} = {value}; allowed is a number from {least:g} to {most:g}.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(f"max_tokens = {self.max_tokens}; allowed is a whole number of at least 1.")
        if self.top_logprobs is not None:
            whole("top_logprobs", self.top_logprobs, 1, MOST_TOP, of="tokens")
            object.__setattr__(self, "logprobs", True)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that are set, for a run's manifest."""
        values = asdict(self)
        values["stop"], values["extra"] = list(self.stop), dict(self.extra)
        return {k: v for k, v in values.items() if v is not None and v is not False and v != [] and v != {}}

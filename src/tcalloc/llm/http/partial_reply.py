"""A reply that was cut off: the choices that arrived, and the estimated bill of the rest."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tcalloc.llm.http.replies import Reply, TokenCounter, parse_reply, prompt_size
from tcalloc.llm.http.streams import Stream

__all__ = ["PartialReply"]


class PartialReply:
    """A reply that arrives piece by piece.

    `look` is called with the text of each choice that ends before the whole reply does.
    """

    def __init__(self, look: Callable[[str], object] | None = None):
        self._stream = Stream()
        self._look = look
        self._broken = False

    def take(self, piece: bytes) -> None:
        """Add a piece of the body; pieces that are no stream are ignored."""
        if self._broken:
            return
        try:
            ended = self._stream.feed(piece)
        except (ValueError, RecursionError):
            self._broken = True
            return
        for index in ended if self._look is not None else ():
            self._look(self._stream.completion(index))  # type: ignore[misc]

    def reply(
        self,
        n: int,
        messages: list[dict[str, Any]],
        prompts: TokenCounter,
        answers: TokenCounter,
        usual: float,
    ) -> Reply:
        """Return the choices that ended, of n asked for, and the estimated tokens of the others.

        `prompts` and `answers` estimate tokens from characters. Where it is not known how much was generated, an answer
        has its `usual` number of tokens.
        """
        size = prompt_size(messages)
        ended = [] if self._broken else self._stream.ended[:n]
        found = Reply((), prompts.estimate(size), True, "", "")
        if ended:
            found = parse_reply(self._stream.document(ended), n, size, answers)
            if found.input_estimated and not found.cached_tokens:
                found = replace(found, input_tokens=prompts.estimate(size))
        under_way = [] if self._broken else self._stream.under_way
        tokens = [answers.estimate(characters) for characters in under_way][: n - len(ended)]
        # How far a choice got of which nothing arrived is not known; it is at most as far as the others.
        silent = math.ceil(usual) if not tokens and not ended else max(tokens, default=math.ceil(usual))
        tokens += [silent] * (n - len(ended) - len(tokens))
        return replace(found, cut=tuple(tokens))

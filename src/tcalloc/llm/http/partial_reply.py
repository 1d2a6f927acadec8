"""A reply that was cut off: what came of it, and what is billed of the rest."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tcalloc.llm.http._streams import Stream
from tcalloc.llm.http.replies import Reply, TokenCounter, parse_reply, prompt_size

__all__ = ["PartialReply"]


class PartialReply:
    """A reply as it comes, piece by piece.

    Parameters
    ----------
    look : callable, optional
        Called with the text of each choice that comes to its end before the whole reply does.
    """

    def __init__(self, look: Callable[[str], object] | None = None):
        self._stream = Stream()
        self._look = look
        self._broken = False

    def take(self, piece: bytes) -> None:
        """Take a piece of the body; what is no stream is passed over."""
        if self._broken:
            return
        try:
            ended = self._stream.feed(piece)
        except (ValueError, RecursionError):
            self._broken = True
            return
        for index in ended if self._look is not None else ():
            self._look(self._stream.text(index))  # type: ignore[misc]

    def reply(
        self,
        n: int,
        messages: list[dict[str, Any]],
        prompts: TokenCounter,
        answers: TokenCounter,
        usual: float,
    ) -> Reply:
        """Return what came: the choices that came to their end, and the tokens of the others, estimated.

        Parameters
        ----------
        n : int
            Choices that were asked for.
        messages : list of dict
            What was sent.
        prompts, answers : TokenCounter
            Estimate tokens from characters.
        usual : float
            Tokens that an answer usually has: what counts where it is not known how much was generated.
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
        # Of a choice of which nothing came, it is not known how far it got: at most as far as the others.
        silent = math.ceil(usual) if not tokens and not ended else max(tokens, default=math.ceil(usual))
        tokens += [silent] * (n - len(ended) - len(tokens))
        return replace(found, cut=tuple(tokens))

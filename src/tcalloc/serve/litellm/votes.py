"""Further samples of a request, as its run asks for them, and the reply that they make."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcalloc.learn.protocol import Draw, Result
from tcalloc.llm.concurrency.event_loop import crew
from tcalloc.llm.drawing import graded
from tcalloc.llm.graders import Grader
from tcalloc.llm.questions import Question
from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.decisions import Begun

__all__ = ["Reply", "Votes"]

_log = logging.getLogger("tcalloc.litellm")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of LiteLLM."""

    document: Any
    """A ``ModelResponse``."""
    cost: float
    """What it cost, as LiteLLM computes it."""

    @property
    def usage(self) -> Mapping[str, Any]:
        """The usage as a mapping."""
        usage = getattr(self.document, "usage", None)
        return {} if usage is None else usage.model_dump(exclude_none=True)


@dataclass(slots=True)
class Votes:
    """The votes of one request.

    Parameters
    ----------
    run : Begun
        The policy's run.
    question : Question
        For the grader.
    grader : Grader
        Finds the answers.
    ask : callable
        Asks for so many samples of an action; raises if nothing came. Its second argument is the number of samples, its
        third the number of samples that were asked for before.
    most : callable
        The most that so many samples of a model can cost.
    maximum : float
        The most that the request may cost.
    cost : callable
        From a model and the cost of a sample to what the policy counts.
    at_once : int
        The most samples that `ask` is asked for.
    """

    run: Begun
    question: Question
    grader: Grader
    ask: Callable[[Action, int, int], Awaitable[Reply]]
    most: Callable[[str | None, int], float]
    maximum: float
    cost: Callable[[str | None, float], float]
    at_once: int = 1
    replies: list[Reply] = field(default_factory=list)
    broken: bool = False
    """Whether the policy failed."""
    _choices: list[tuple[Any, Any, Any]] = field(default_factory=list)
    _asked: int = 0

    @property
    def spend(self) -> float:
        """What all replies cost."""
        return sum(reply.cost for reply in self.replies)

    @property
    def samples(self) -> int:
        """How many samples came."""
        return len(self._choices)

    async def draw(self, first: Reply, asked: int = 1) -> None:
        """Draw until the run ends.

        Parameters
        ----------
        first : Reply
            The reply that is there already.
        asked : int
            How many samples it was asked for.
        """
        aside = crew().run  # policies and graders may take long
        came, self._asked = [first], asked
        try:
            draw = await aside(self.run.next)
            while draw is not None:
                results = await aside(self._taken, came, draw)
                if (missing := self._missing(draw, len(results))) > 0:
                    results += await aside(self._taken, await self._more(draw.action, missing), draw)
                await aside(self.run.add, results[: draw.n])
                draw, came = (await aside(self.run.next) if results else None), []
        except Exception as error:  # what came is still there
            _log.warning("the policy failed (%s); the first sample is returned", type(error).__name__)
            self.broken = True

    def _missing(self, draw: Draw, had: int) -> int:
        """Return how many more samples of a draw there is money for."""
        missing, each = draw.n - had, self.most(draw.action.model, 1)
        if each > 0 and self.maximum < math.inf:
            missing = min(missing, int((self.maximum - self.spend) / each * (1 + 2**-40)))
        return missing

    async def _more(self, action: Action, n: int) -> list[Reply]:
        sizes = [min(self.at_once, n - start) for start in range(0, n, self.at_once)]
        places = [self._asked + sum(sizes[:i]) for i in range(len(sizes))]
        self._asked += n
        asked = [self.ask(action, size, place) for size, place in zip(sizes, places, strict=True)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [one for one in found if isinstance(one, Reply)]

    def _taken(self, replies: Sequence[Reply], draw: Draw) -> list[Result]:
        """Take what came; return it as the run gets it."""
        found = []
        for reply in replies:
            self.replies.append(reply)
            choices = list(reply.document.choices)
            tokens = (reply.usage.get("completion_tokens") or 0) / max(len(choices), 1)
            cost = self.cost(draw.action.model, reply.cost / max(len(choices), 1))
            for choice in choices:
                answer = graded(self.grader, self.question, choice.message.content or "", blind=True).answer
                self._choices.append((answer, choice, reply.document))
                found.append(Result(answer, cost, tokens=round(tokens), truncated=choice.finish_reason == "length"))
        return found

    def winner(self) -> tuple[Any, Any] | None:
        """Return the first choice that gives the run's answer, with its document; None if there is no answer."""
        answer = None if self.broken else self.run.answer
        if answer is None:
            return None
        return next(((choice, document) for found, choice, document in self._choices if found == answer), None)

"""One request of one question: asked, graded, and made into the records that a run folder holds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import Grade, grade_safely
from tcalloc.llm.meter import Meter
from tcalloc.llm.questions import Question
from tcalloc.llm.replies import Reply

__all__ = ["Drawer", "graded"]


class Drawer:
    """Asks one model. Threads may share it.

    Parameters
    ----------
    client : ChatClient
        Whom to ask, and how.
    grader : Grader
        See `tcalloc.llm.graders`.
    meter : Meter
        Counts requests and what they cost.
    text : bool
        Whether records hold the completions.
    blind : bool
        Whether the answer to vote by is found without the gold answer, as it must be where a policy looks at it; the
        record still says whether it is right.
    """

    def __init__(self, client: ChatClient, grader: Any, meter: Meter, *, text: bool = True, blind: bool = False):
        self.client, self.grader, self.meter = client, grader, meter
        self._text, self._blind = text, blind

    def ask(self, question: Question, params: str, samples: Sequence[int]) -> list[dict[str, Any]]:
        """Send one request for some samples; return the records of those that came, at least one.

        Parameters
        ----------
        question : Question
            The question.
        params : str
            What the client's `params` says of its messages.
        samples : sequence of int
            The numbers of the samples; the seed is the first one's.
        """
        seed = self.client.seed(f"{question.id}\0{question.text}", samples[0])
        reply = self.client.complete(question.messages, len(samples), seed, self.meter)
        return [self._record(question, params, j, i, reply) for i, j in enumerate(samples[: len(reply.choices)])]

    def _record(self, question: Question, params: str, number: int, place: int, reply: Reply) -> dict[str, Any]:
        choice = reply.choices[place]
        grade = graded(self.grader, question, choice.text, blind=self._blind)
        share = reply.input_tokens / len(reply.choices)  # the prompt is paid once for all choices
        rates = self.client.rates
        cost = None if rates is None else rates.cost(share, choice.output_tokens, choice.reasoning_tokens)
        record = {
            "id": question.id,
            "sample": number,
            "params": params,
            "arm": self.client.arm,
            "model": self.client.model,
            "text": choice.text,
            "answer": grade.answer,
            "correct": grade.correct,
            "error": grade.error,
            "finish": choice.finish,
            "truncated": choice.truncated,
            "input_tokens": reply.input_tokens,
            "output_tokens": choice.output_tokens,
            "reasoning_tokens": choice.reasoning_tokens,
            "estimated": choice.estimated or reply.input_estimated,
            "logprob": choice.logprob,
            "seed": reply.seed,
            "choice": place,
            "choices": len(reply.choices),
            "cost": cost,
            "seconds": round(reply.seconds, 6),
        }
        if not self._text and grade.error is None:  # to be graded again, the text is needed
            del record["text"]
        return record


def graded(grader: Any, question: Question, text: str, *, blind: bool) -> Grade:
    """Grade one completion; the answer is found without the gold answer if `blind`."""
    grade = grade_safely(grader, question, text)
    if not blind or not question.golds:
        return grade
    seen = grade_safely(grader, replace(question, gold=None, accept=()), text)
    error = grade.error or seen.error
    return Grade(seen.answer, None if error is not None else grade.correct, error, grade.tokens + seen.tokens)

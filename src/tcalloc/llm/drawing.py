"""One request for one question: sent, graded, made into records of a run folder, and stored."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.llm.concurrency.event_loop import Stop
from tcalloc.llm.confidence import stored
from tcalloc.llm.graders import Grade, grade_safely
from tcalloc.llm.http.replies import Reply
from tcalloc.llm.money.bill import Bill
from tcalloc.llm.money.journal import Journal
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.questions import Question
from tcalloc.runs.records import SampleRecord

__all__ = ["Drawer", "graded"]


class Drawer:
    """Asks one model for samples, on the loop of `tcalloc.llm.concurrency.event_loop`.

    Parameters
    ----------
    client : ChatClient
        The client of the model.
    grader : Grader
        See `tcalloc.llm.graders`.
    meter : Meter
        Counts requests and their cost.
    keep : callable
        Stores a record, before it is used in any other way.
    text : bool
        Whether records hold the completions.
    journal : Journal, optional
        Records requests that were paid and lost.
    blind : bool
        Whether the answer for the vote is found without the gold answer, as it must be if a policy looks at it. The
        record still says whether it is right.
    """

    def __init__(
        self,
        client: ChatClient,
        grader: Any,
        meter: Meter,
        keep: Callable[[SampleRecord], object] = lambda record: None,
        *,
        text: bool = True,
        journal: Journal | None = None,
        blind: bool = False,
    ):
        self.client, self.grader, self.meter = client, grader, meter
        self._looked: dict[tuple[str, str], Grade] = {}
        self._keep, self._text, self._journal, self._blind = keep, text, journal, blind

    async def ask(
        self,
        question: Question,
        params: str,
        samples: Sequence[int],
        stop: Stop,
        lost: Callable[[float], object] = lambda most: None,
        another: Callable[[], bool] = lambda: True,
        cut: Cut | None = None,
        look: Callable[[str], object] | None = None,
    ) -> list[SampleRecord]:
        """Send one request for some samples; return the records of those that came, at least one, stored.

        If a request is cut off: the samples that came until then, perhaps none. `cut` counts the others.

        Parameters
        ----------
        question : Question
            The question.
        params : str
            The client's `params` for the messages.
        samples : sequence of int
            The numbers of the samples; the seed is the first one's.
        stop : Stop
            Once it is set, nothing more is sent.
        lost, another : callable, optional
            As in `Bill`.
        cut, look : optional
            As of `ChatClient.complete_async`.
        """
        bill = Bill(self.meter, self._journal, self.client.arm, len(samples), lost, another)
        seed = self.client.seed(f"{question.id}\0{question.text}", samples[0])
        reply = await self.client.complete_async(question.messages, len(samples), seed, bill, stop, cut, look)
        quick = getattr(self.grader, "quick", False)
        records = await event_loop.crew().call(quick, self._records, question, params, samples, reply)
        if cut is not None and reply.cut:
            billed = bill.cost - math.fsum(record.get("cost") or 0.0 for record in records)
            sent = len(reply.cut) if reply.input_tokens else 0
            cut.count(len(reply.cut), sent, max(billed, 0.0))
            bill.cut(sent, max(billed, 0.0))
        bill.stored()
        return records

    def answer_of(self, question: Question, text: str) -> Grade:
        """Return what is made of a completion that came to its end while others of its request are under way."""
        grade = graded(self.grader, question, text, blind=self._blind)
        self._looked[question.id, text] = grade  # so that it is not graded again
        return grade

    def _records(self, question: Question, params: str, samples: Sequence[int], reply: Reply) -> list[SampleRecord]:
        records = []
        for place, number in enumerate(samples[: len(reply.choices)]):
            records.append(self._record(question, params, number, place, reply))
            self._keep(records[-1])
        return records

    def _record(self, question: Question, params: str, number: int, place: int, reply: Reply) -> SampleRecord:
        choice = reply.choices[place]
        grade = self._looked.pop((question.id, choice.text), None)
        if grade is None:
            grade = graded(self.grader, question, choice.text, blind=self._blind)
        rates, request, cost = self.client.rates, None, None
        if rates is not None:
            share = rates.prompts(len(reply.choices)) / len(reply.choices)  # the prompt is paid once for all that came
            request = share * rates.request_cost(*reply.prompt)
            cost = request + rates.answer_cost(choice.output_tokens, choice.reasoning_tokens)
        record: SampleRecord = {
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
            "cached_tokens": reply.cached_tokens,
            "cache_write_tokens": reply.cache_write_tokens,
            "cache_write_1h_tokens": reply.cache_write_1h_tokens,
            "output_tokens": choice.output_tokens,
            "reasoning_tokens": choice.reasoning_tokens,
            "estimated": choice.estimated or reply.input_estimated,
            "logprob": choice.logprob,
            "seed": reply.seed,
            "choice": place,
            "choices": len(reply.choices),
            "cost": cost,
            "request_cost": request,
            "seconds": round(reply.seconds, 6),
        }
        if not self._text and grade.error is None:  # otherwise the text is needed to grade it again
            del record["text"]
        return record | cast("SampleRecord", stored(choice.confidence))


def graded(grader: Any, question: Question, text: str, *, blind: bool) -> Grade:
    """Grade one completion; the answer is found without the gold answer if `blind`."""
    grade = grade_safely(grader, question, text)
    if not blind or not question.golds:
        return grade
    seen = grade_safely(grader, replace(question, gold=None, accept=()), text)
    error = grade.error or seen.error
    return Grade(seen.answer, None if error is not None else grade.correct, error, grade.tokens + seen.tokens)

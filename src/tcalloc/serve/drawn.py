"""The samples drawn for one question: what the policy sees of them, and the answer that they give."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tcalloc.learn.protocol import Draw, Result, Run
from tcalloc.llm.confidence import restored
from tcalloc.llm.questions import Question
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.verdicts import failed
from tcalloc.serve.answers import Answered
from tcalloc.serve.decisions import Decision

__all__ = ["Drawn", "answered_of", "result_of"]


@dataclass(slots=True)
class Drawn:
    """What one question has so far."""

    question: Question
    run: Run
    draw: Draw | None
    """What it draws now; None: its run has ended."""
    decided: list[Decision] | None
    """What an earlier call decided, which is followed as long as the policy asks for the same."""
    records: list[SampleRecord] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    """The samples of each client's arm."""
    draws: list[Decision] = field(default_factory=list)
    """Each draw: the arm, the samples asked for and received, and what was billed of samples that were cut off."""
    failed: bool = False
    """Whether a request failed; the missing samples may be drawn later."""
    halted: bool = False
    """Whether a request was not sent, because everything is to stop."""
    cheaper: bool = False
    """Whether the money did not allow what was decided."""
    late: bool = False
    """Whether the deadline came before the policy had ended."""
    cut: int = 0
    """Samples that were cut off."""
    drawing: float = 0.0
    """What the last draw cost besides its samples, where replies do not say it."""
    seconds: float = 0.0
    """How long its samples were waited for."""

    @property
    def status(self) -> str:
        """What happened to the policy's decision; see `Answered.status`."""
        if self.failed or self.halted:
            return "incomplete"
        if self.late:
            return "late"
        if not self.cheaper:
            return "as decided"
        return "cheaper than decided" if self.records else "left out"


def result_of(
    question: Question, record: SampleRecord, cost: float, verifier: Callable[[str, str], bool] | None
) -> Result:
    """Return what a policy sees of one sample, whose cost is in the policy's unit."""
    tokens = record.get("output_tokens")
    return Result(
        record["answer"],
        cost,
        None if verifier is None else bool(verifier(question.text, record["text"] or "")),
        logprob=record.get("logprob"),
        tokens=None if tokens is None else int(tokens),
        truncated=bool(record.get("truncated")),
        confidence=restored(record),
    )


def answered_of(drawn: Drawn, looks: float) -> Answered:
    """Return the answer of a question's run, as it is now; `looks` was paid for its row of X."""
    question, run = drawn.question, drawn.run
    broken = [record for record in drawn.records if failed(record)]
    voters = [r for r in drawn.records if r["answer"] is not None and r["answer"] == run.answer]
    with_it = next((r for r in voters if not failed(r)), voters[0] if voters else None)
    return Answered(
        question.id,
        None if run.answer is None else str(run.answer),
        None if with_it is None else with_it.get("text"),
        run.spend + looks,
        len(drawn.records),
        sum(had > 0 for _, _, had, _ in drawn.draws),
        run.vote_share,
        (with_it["correct"] if with_it is not None else None if broken else False) if question.golds else None,
        drawn.status,
        getattr(run, "probability", None),
        len(broken),
        broken[0]["error"] if broken else None,
        drawn.seconds,
        drawn.cut,
        math.fsum(cut or 0.0 for _, _, _, cut in drawn.draws),
    )

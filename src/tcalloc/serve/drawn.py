"""What one question has drawn: what a policy is told of it, and the answer that it gives."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tcalloc.learn.protocol import Result, Run
from tcalloc.llm.questions import Question
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.verdicts import failed
from tcalloc.serve.answers import Answered

__all__ = ["Drawn", "answered_of", "result_of"]


@dataclass(slots=True)
class Drawn:
    """What one question has so far."""

    records: list[SampleRecord] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    """Per client's arm: samples taken."""
    draws: list[tuple[str, int, int]] = field(default_factory=list)
    """Of whom, asked for, had."""
    failed: bool = False
    """Whether a request failed: what is missing may be had later."""
    halted: bool = False
    """Whether one was not sent, because all is to stop."""
    cheaper: bool = False
    """Whether the money did not allow what was decided."""

    @property
    def status(self) -> str:
        """What became of the policy's decision; see `Answered.status`."""
        if self.failed or self.halted:
            return "incomplete"
        if not self.cheaper:
            return "as decided"
        return "cheaper than decided" if self.records else "left out"


def result_of(
    question: Question, record: SampleRecord, cost: float, verifier: Callable[[str, str], bool] | None
) -> Result:
    """Return what a policy is told of one sample.

    Parameters
    ----------
    question : Question
        The question.
    record : SampleRecord
        The sample, as a run folder holds it.
    cost : float
        What it cost, in the policy's unit.
    verifier : callable or None
        Says whether a completion is right.
    """
    tokens = record.get("output_tokens")
    return Result(
        record["answer"],
        cost,
        None if verifier is None else bool(verifier(question.text, record["text"] or "")),
        logprob=record.get("logprob"),
        tokens=None if tokens is None else int(tokens),
        truncated=bool(record.get("truncated")),
    )


def answered_of(question: Question, run: Run, drawn: Drawn) -> Answered:
    """Return the answer that a question's run has come to."""
    broken = [record for record in drawn.records if failed(record)]
    voters = [r for r in drawn.records if r["answer"] is not None and r["answer"] == run.answer]
    with_it = next((r for r in voters if not failed(r)), voters[0] if voters else None)
    return Answered(
        question.id,
        None if run.answer is None else str(run.answer),
        None if with_it is None else with_it.get("text"),
        run.spend,
        len(drawn.records),
        sum(had > 0 for _, _, had in drawn.draws),
        run.vote_share,
        (with_it["correct"] if with_it is not None else None if broken else False) if question.golds else None,
        drawn.status,
        getattr(run, "probability", None),
        len(broken),
        broken[0]["error"] if broken else None,
    )

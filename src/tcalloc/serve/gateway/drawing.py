"""Carrying out a decision: one plain sample, passed on as it is, or a vote over several."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tcalloc.learn.protocol import Policy
from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.llm.concurrency.event_loop import Call, Stop
from tcalloc.llm.failures import LimitReached, LlmError
from tcalloc.llm.graders import Grader
from tcalloc.llm.money.meter import Meter
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.answer import MOST_AT_ONCE, make_job
from tcalloc.serve.gateway.asked import Asked
from tcalloc.serve.gateway.completions import completion
from tcalloc.serve.gateway.decisions import Begun, Decision, ServedPolicy
from tcalloc.serve.gateway.upstream import Recorder, Upstream

__all__ = ["NO_RETRY", "SPENT", "Drawn", "Refused", "Sending", "Spending", "draw_one", "draw_vote", "most_cost"]

# Requests that one question may have open at a time.
WIDTH = 64


class Refused(Exception):
    """Nothing came. It holds what the client gets instead: status, error and headers."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Mapping[str, str]):
        super().__init__(status)
        self.status, self.error, self.headers = status, error, headers


@dataclass(frozen=True, slots=True)
class Sending:
    """How samples are asked for.

    Parameters
    ----------
    max_tokens : int, optional
        The most tokens of an answer, where a request names none.
    n_per_request : int, optional
        The most samples that one request asks for.
    cancel : bool
        Whether samples that are not needed any more are cut off.
    deadline : float, optional
        Seconds to wait for samples. Then those that came give the answer.
    """

    max_tokens: int | None = None
    n_per_request: int | None = None
    cancel: bool = False
    deadline: float | None = None


@dataclass(slots=True)
class Spending:
    """What one request has spent so far, whatever becomes of it."""

    meters: list[Meter] = field(default_factory=list)
    drawn: "Drawn | None" = None
    """What came of it, once that is known."""
    reason: str | None = None
    """Why this is not what was decided."""

    @property
    def total(self) -> float:
        """By the rates; replies that were paid and lost count as the most that they can cost."""
        return sum(meter.spent + meter.lost for meter in self.meters)

    def meter(self, most: float | None) -> Meter:
        """Return the meter of a part of it, which may bring the total to `most`."""
        self.meters.append(Meter(None if most is None else max(most - self.total, 0.0)))
        return self.meters[-1]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of a request."""

    document: dict[str, Any]
    samples: int
    spend: float
    vote_share: float | None
    """None: there was no vote."""
    records: list[SampleRecord]
    reason: str | None = None
    """Why it is not what was decided."""


def most_cost(upstream: Upstream, asked: Asked, sending: Sending, model: str | None, n: int) -> float:
    """Return the most that `n` samples can cost; 0 without rates."""
    rates = upstream.rates
    if rates is None:
        return 0.0
    parameters = asked.parameters(seeded=True, max_tokens=sending.max_tokens)
    client = upstream.client(model or asked.model)
    most = client.variant(parameters, client.transport).most_cost(asked.messages, 1)
    # Fields that ask for a stream have fewer than 64 bytes, and a token has at least one.
    return n * ((most or 0.0) + 64 * rates.most_per_input_token)


async def draw_one(
    upstream: Upstream, asked: Asked, sending: Sending, decision: Decision, served: ServedPolicy, spending: Spending,
    relay: Callable[[bytes], object] | None = None, stop: Stop | None = None,
) -> Drawn:  # fmt: skip
    """Pass a request on, once, and return what came; `Refused` is raised if nothing came.

    `relay` is called with every piece of a stream. Once `stop` is set, there is no other try.
    """
    model = decision.model or asked.model
    recorder = upstream.recorder(model, relay)
    client = upstream.variant(model, asked.parameters(seeded=False, max_tokens=sending.max_tokens), recorder)
    meter = spending.meter(None if decision.grant is None else decision.grant.maximum)
    cut = Cut() if relay is not None else None  # its reply is asked for as a stream
    try:
        reply = await client.complete_async(asked.messages, asked.n, None, meter, stop, cut)
    except LlmError as error:
        raise _refused(upstream, recorder, error) from None
    documents = upstream.documents(recorder.bodies[-1:])
    if not documents:
        raise Refused(*upstream.refusal(recorder.last))
    samples = len(reply.choices)
    spend = meter.spent + meter.lost if upstream.rates is not None else samples * served.cost(model)
    return Drawn(documents[0], samples, spend, None, [])


async def draw_vote(
    upstream: Upstream, asked: Asked, sending: Sending, decision: Decision, served: ServedPolicy, grader: Grader,
    spending: Spending,
) -> Drawn:  # fmt: skip
    """Draw what a policy's run asks for, and return the completion that gives its answer.

    `Refused` is raised if nothing came.
    """
    run = decision.run
    assert run is not None
    parameters = asked.parameters(seeded=True, max_tokens=sending.max_tokens)
    models = served.models or (asked.model,)
    recorders = {model: upstream.recorder(model) for model in models}
    named = {model: upstream.variant(model, parameters, recorders[model]) for model in models}
    client: ChatClient | dict[str, ChatClient] = named if served.models else named[asked.model]
    records: list[SampleRecord] = []
    maximum = None if decision.grant is None else decision.grant.maximum
    with ExitStack() as stack:
        job = make_job(
            [asked.question()], _Given(run, served.policy), client, stack, Call(), budget=None, X=[asked.text],
            grader=grader, verifier=None,
            costs=None if upstream.rates else {model: served.cost(model) for model in models},
            out=None, max_cost=maximum, max_requests=None, concurrency=WIDTH,
            n_per_request=sending.n_per_request or (MOST_AT_ONCE if served.shared else 1), cancel=sending.cancel,
            deadline=sending.deadline, per_second=0.0, keeper=None, tenant=None, keep=records.append,
        )  # fmt: skip
        spending.meters.append(job.meter)
        broken = None
        try:
            answers = await job.run(progress=False)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the policy or the extractor failed; what came is still there
            answers, broken = None, error
    bodies = [body for recorder in recorders.values() for body in recorder.bodies]
    documents = upstream.documents(bodies)
    if not documents and not records:
        if broken is not None:
            raise broken
        last = next((one.last for one in recorders.values() if one.last is not None), None)
        if last is None and maximum is not None:  # no request was sent: each may cost more than the grant
            raise Refused(429, SPENT, NO_RETRY)
        raise Refused(*upstream.refusal(last))
    answered = answers[0] if answers else None
    spend = spending.total
    if upstream.rates is None:
        spend = float(len(records)) if answered is None else answered.spend
    text = answered.text if answered is not None and answered.answer is not None else None
    if text is None and not documents:
        text = records[0].get("text")
    reason = None
    if broken is not None:
        reason = "policy failed"
    elif text is None or answered is None or answered.answer is None:
        reason = "no answer found"
    elif answered.status not in ("as decided", "cheaper than decided"):
        reason = answered.status
    document = completion(documents, records, text, asked.model)
    share = answered.vote_share if answered is not None else 0.0
    return Drawn(document, len(records), spend, share, records, reason)


def _refused(upstream: Upstream, recorder: Recorder, error: LlmError) -> Refused:
    # After a reply that was paid and lost, the grant may not pay for another: then the server is at fault.
    if isinstance(error, LimitReached) and recorder.last is None:
        return Refused(429, SPENT, NO_RETRY)
    return Refused(*upstream.refusal(recorder.last))


SPENT = {
    "message": "the budget is spent.",
    "type": "insufficient_quota",
    "code": "insufficient_quota",
}
NO_RETRY = {"x-should-retry": "false"}  # without it, OpenAI's clients ask again


class _Given:
    """The policy of one question, whose run has begun."""

    def __init__(self, run: Begun, policy: Policy):
        self._run = run
        self.quick = getattr(policy, "quick", False)

    def start(self, x: Any) -> Begun:
        """Return the run."""
        return self._run

"""Answering questions by a policy, live: what it asks for is drawn from real models, within a budget.

    with ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(max_tokens=256)) as client:
        answers = answer("questions.jsonl", policy, client, budget=3.0, out="run/")
    print(answers)

Samples go to a run folder as those of ``tcalloc sample`` do, so that a run that was killed goes on: a policy decides
the same on the same samples, and those that are stored are not drawn again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn._answering_job import Job, clients_of
from tcalloc.learn._answers import Answers
from tcalloc.learn._decisions import Decisions
from tcalloc.learn._ledger import Ledger
from tcalloc.learn.protocol import Policy
from tcalloc.llm._folder import arm_of, open_run, spent_before
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import make_grader
from tcalloc.llm.meter import Meter
from tcalloc.llm.questions import Question, question_from, read_questions

__all__ = ["answer", "answer_async"]


def answer(
    questions: Any,
    policy: Policy,
    client: ChatClient | Mapping[str, ChatClient],
    *,
    budget: float | None = None,
    X: Any = None,
    grader: Any = "numeric",
    verifier: Callable[[str, str], bool] | None = None,
    costs: Mapping[str, float] | None = None,
    out: str | None = None,
    max_cost: float | None = None,
    max_requests: int | None = None,
    concurrency: int = 8,
    progress: bool = False,
    grace: float = 10.0,
    say: Callable[[str], object] = lambda message: None,
) -> Answers:
    """Answer questions by a policy.

    Parameters
    ----------
    questions : path, or sequence of str, mapping or Question
        A questions file, or texts, or what its lines hold. Gold answers, where given, only score; neither policy nor
        vote sees them.
    policy : Policy
        What decides; see `tcalloc.learn.protocol`.
    client : ChatClient or mapping of str to ChatClient
        Whom to ask; by model's name if the policy chooses between several.
    budget : float, optional
        Average cost per question, in the unit of `costs`. The policy is set to it (its ``at(budget)``), and it is held:
        a draw that would leave too little for the first draws of the questions that still wait is cut, and in the end
        left out. With prices that are only known afterwards, samples under way that are dearer than any before can
        exceed the total.
    X : array_like, optional
        What the policy looks at, a row per question; the questions' texts if not given.
    grader : str or Grader
        Finds the answer in a completion (and scores it, where there is a gold answer); see `make_grader`.
    verifier : callable, optional
        Called with question and completion: whether it is right. For policies that stop at a success.
    costs : mapping of str to float, optional
        What one sample of each model costs, in the unit that the policy was trained with. If not given: the price by
        the client's rates where it has some; else what it cost on average where the policy was trained, as far as the
        policy knows, else 1.
    out : str, optional
        A run folder, made or gone on with: samples in it are not drawn again, and count as spent. A call that is
        repeated asks for nothing new: what was decided for each finished question is kept there too.
    max_cost, max_requests
        As in `tcalloc.llm.sampler.sample`: money and requests, whatever the budget.
    concurrency : int
        Requests under way at one time.
    progress : bool
        Whether to show on standard error how far it is.
    grace : float
        After ctrl-C, seconds in which requests under way may come back.
    say : callable
        Told one line when ctrl-C came.

    Returns
    -------
    Answers
        An answer per question, and what they cost. Limits, ctrl-C and servers that fail end it early and raise nothing.

    Raises
    ------
    InputError
        For what cannot be asked: no questions, a model that no client has, a budget that is no number.
    """
    if concurrency < 1:
        raise InputError("concurrency must be at least 1.")
    if max_requests is not None and max_requests < 1:
        raise InputError(f"max_requests is {max_requests!r}; expected at least 1, or leave it out for no limit.")
    if max_cost is not None and any(c.rates is None or c.parameters.max_tokens is None for c in clients_of(client)):
        raise InputError(
            "max_cost needs rates and max_tokens of every client: without them no request has a highest cost."
        )
    asked = _questions(questions)
    rows = [question.text for question in asked] if X is None else list(X)
    if len(rows) != len(asked):
        raise InputError(f"X has {len(rows)} rows, but there are {len(asked)} questions.")
    if budget is not None:
        at = getattr(policy, "at", None)
        policy = policy if at is None else at(budget)
    with ExitStack() as stack:
        store = None
        grader = make_grader(grader) if isinstance(grader, str) else grader
        if out is not None:
            store = stack.enter_context(open_run(out, asked, clients_of(client)[0], grader))
            for other in clients_of(client)[1:]:
                store.add_arm(arm_of(other, grader))
        spent = spent_before(store, clients_of(client)[0]) if store is not None else 0.0
        meter = Meter(max_cost, max_requests, spent)
        trained = _trained_costs(policy, client)
        unpriced = all(one.rates is None for one in clients_of(client))
        given = trained if unpriced and costs is None else costs
        ledger = Ledger(budget, len(asked), given, 1.0 if unpriced and given is None else None)
        decisions = Decisions(out, budget)
        job = Job(
            asked, rows, policy, client, grader, verifier, store, meter, ledger, decisions, trained or {}, concurrency
        )
        return job.run(progress, grace, say)


async def answer_async(questions: Any, policy: Policy, client: Any, **options: Any) -> Answers:
    """Answer questions by a policy without blocking the event loop: `answer` in a thread.

    If the task is cancelled, nothing more is sent; what comes back is stored.
    """
    try:
        return await asyncio.to_thread(answer, questions, policy, client, **options)
    except asyncio.CancelledError:
        for one in clients_of(client):
            one.stop()
        raise


def _questions(given: Any) -> list[Question]:
    if isinstance(given, str) or hasattr(given, "__fspath__"):
        return read_questions(given)
    if not isinstance(given, Iterable):
        raise InputError(f"questions is {given!r}; expected a questions file, or texts in a list.")
    found = []
    for i, one in enumerate(given):
        if isinstance(one, Question):
            found.append(one)
        elif not isinstance(one, (str, Mapping)):
            raise InputError(f"questions[{i}] is {one!r}; expected a text, or what a line of a questions file holds.")
        else:
            row = {"question": one} if isinstance(one, str) else one
            found.append(question_from(row, f"questions[{i}]", str(i)))
    if not found:
        raise InputError("questions is empty; expected at least one.")
    seen: dict[str, int] = {}
    for i, question in enumerate(found):
        if seen.setdefault(question.id, i) != i:
            raise InputError(f"questions[{i}] has the id {question.id!r} like questions[{seen[question.id]}].")
    return found


def _trained_costs(policy: Any, client: ChatClient | Mapping[str, ChatClient]) -> dict[str, float] | None:
    """Return what a sample of each model that can be asked cost where the policy was trained; None: not known."""
    known = dict(getattr(policy, "sample_costs_", None) or {})
    if isinstance(client, ChatClient):
        return {client.model: next(iter(known.values()))} if len(known) == 1 else None
    return {name: known[name] for name in client} if known and set(client) <= set(known) else None

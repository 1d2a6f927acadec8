"""Answering questions by a policy, live: what it asks for is drawn from real models, within a budget.

    with ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(max_tokens=256)) as client:
        answers = answer("questions.jsonl", policy, client, budget=3.0, out="run/")
    print(answers)

Samples go to a run folder as those of ``tcalloc sample`` do, so that a run that was killed goes on: a policy decides
the same on the same samples, and those that are stored are not drawn again.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from tcalloc._checks import whole
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Policy
from tcalloc.llm.client import ChatClient
from tcalloc.llm.event_loop import Call, crew, supervise, supervise_async
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.meter import Meter
from tcalloc.llm.questions import as_questions, refuse_half_pairs
from tcalloc.llm.run_folder import arm_of, journal_of, open_run, spent_before
from tcalloc.serve.answers import Answers
from tcalloc.serve.decisions import Decisions
from tcalloc.serve.job import Job, clients_of
from tcalloc.serve.live_costs import LiveCosts, ladder_of, refuse_unverified
from tcalloc.serve.payments import Payments, Prices

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
        Average cost per question, in the policy's unit: that of `costs`. The policy is set to it (its ``at(budget)``),
        and the budget is held. Every question gets a first sample before any gets a second one, unless the money covers
        both, lost tries included. A draw that the rest does not pay is cut, or replaced by a cheaper action of the
        policy, and marked in `Answered.status`. A question is left out only when the money is spent.

        Replies that were paid and lost count too, as the most expensive sample of their model so far where prices are
        known only afterwards (rates). The total then holds if clients have `max_tokens`, which bound what a request can
        cost. Two exceptions: a first sample goes out alone if what samples cost on average is left, and may cost more;
        and without `max_tokens`, requests under way may cost more than any before. `max_cost` has no exceptions.
    X : array_like, optional
        What the policy looks at, a row per question; the questions' texts if not given.
    grader : str or Grader
        Finds the answer in a completion (and scores it, where there is a gold answer); see `make_grader`.
    verifier : callable, optional
        Called with question and completion; returns whether the completion is right. Policies that choose by a verifier
        need one, and are refused at the start without it.
    costs : mapping of str to float, optional
        What one sample of each model costs, in the unit that the policy was trained with. Default: the price by the
        client's rates where it has some. Else what the policy knows from its training: what a sample of the action, or
        of the model, cost there on average. Else 1.
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
        An answer per question, what it cost, and whether the budget allowed what the policy decided. Limits, ctrl-C and
        servers that fail end it early and raise nothing.

    Raises
    ------
    InputError
        For what cannot be asked: no questions, a gold answer that the grader can never find, a model that no client
        has, an action that needs a verifier where none was given, a budget that is no number.
    BudgetError
        If the policy cannot spend as little as the budget.
    """
    call = Call()
    make = partial(
        _job,
        questions,
        policy,
        client,
        budget=budget,
        X=X,
        grader=grader,
        verifier=verifier,
        costs=costs,
        out=out,
        max_cost=max_cost,
        max_requests=max_requests,
        concurrency=concurrency,
    )
    return supervise(_answer(make, call, progress), call, grace, say)


async def answer_async(
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
    grace: float | None = None,
) -> Answers:
    """Answer questions by a policy without blocking the event loop.

    Any number of tasks may do so at the same time, with one client or several. Requests, policies, graders and
    verifiers run on threads of tcalloc, so what those take does not hold up the caller's loop.

    If the task is cancelled, nothing more is sent. What is under way is awaited and stored, the run folder is let go,
    and then `asyncio.CancelledError` is raised. Other tasks with the same client go on. A second cancellation drops
    what is under way.

    Parameters
    ----------
    questions, policy, client, budget, X, grader, verifier, costs, out, max_cost, max_requests, concurrency, progress
        As of `answer`.
    grace : float, optional
        Seconds after a cancellation in which requests under way may come back. Default: as long as they take.

    Returns
    -------
    Answers
        As of `answer`.

    Raises
    ------
    InputError, BudgetError
        As of `answer`.
    """
    call = Call()
    make = partial(
        _job,
        questions,
        policy,
        client,
        budget=budget,
        X=X,
        grader=grader,
        verifier=verifier,
        costs=costs,
        out=out,
        max_cost=max_cost,
        max_requests=max_requests,
        concurrency=concurrency,
    )
    return await supervise_async(_answer(make, call, progress), call, grace)


async def _answer(make: Callable[..., Job], call: Call, progress: bool) -> Answers:
    """Make the job and run it, on the loop of `tcalloc.llm.event_loop`; files are read and closed in threads."""
    stack = ExitStack()
    try:
        job = await crew().run(make, stack, call)
        return await job.run(progress)
    finally:
        await crew().run(stack.close)


def _job(
    questions: Any,
    policy: Policy,
    client: ChatClient | Mapping[str, ChatClient],
    stack: ExitStack,
    call: Call,
    *,
    budget: float | None,
    X: Any,
    grader: Any,
    verifier: Callable[[str, str], bool] | None,
    costs: Mapping[str, float] | None,
    out: str | None,
    max_cost: float | None,
    max_requests: int | None,
    concurrency: int,
) -> Job:
    """Check the arguments, open the run folder and make the job; `stack` closes the folder."""
    refuse_unverified(policy, verifier)
    clients_of(client)
    named = dict(client) if isinstance(client, Mapping) else {client.model: client}
    whole("concurrency", concurrency, 1)
    if max_requests is not None:
        whole("max_requests", max_requests, 1, hint=". Leave it out for no limit")
    if max_cost is not None and any(c.rates is None or c.parameters.max_tokens is None for c in named.values()):
        raise InputError(
            "max_cost needs rates and max_tokens of every client: without them no request has a highest cost."
        )
    asked = as_questions(questions)
    refuse_half_pairs(asked)
    rows = [question.text for question in asked] if X is None else list(X)
    if len(rows) != len(asked):
        raise InputError(f"X has {len(rows)} rows, but there are {len(asked)} questions.")
    if budget is not None:
        at = getattr(policy, "at", None)
        policy = policy if at is None else at(budget)
    store = None
    grader = make_grader(grader)
    check_golds(grader, asked)
    if out is not None:
        store = stack.enter_context(open_run(out, asked, clients_of(client)[0], grader))
        store.claim("decisions.jsonl")
        for other in clients_of(client)[1:]:
            store.add_arm(arm_of(other, grader))
    journal = None
    spent = lost = 0.0
    if store is not None:
        spent = spent_before(store, clients_of(client)[0])
        journal = journal_of(store)
        stack.callback(journal.close)
        lost = journal.lost_cost()
    meter = Meter(max_cost, max_requests, spent, lost)
    trained = LiveCosts.trained(policy, list(named))
    live = _live_costs(trained, named, costs)
    ladder = ladder_of(policy, None if isinstance(client, ChatClient) else list(client))
    known = bool(live.by_key) or any(one.rates is not None for one in named.values())
    tries = max(one.most_tries for one in named.values())
    payments = Payments(budget, len(asked), Prices(live.by_key, None if known else 1.0, trained.by_key), tries)
    decisions = Decisions(out, budget)
    return Job(
        asked, rows, policy, client, grader, verifier, store, journal, meter, payments, decisions, live, trained,
        ladder, concurrency, call,
    )  # fmt: skip


def _live_costs(trained: LiveCosts, clients: Mapping[str, ChatClient], costs: Mapping[str, float] | None) -> LiveCosts:
    """Return what samples cost as far as it is known before they are drawn: given, or as in training."""
    if costs is not None:
        for name in clients:
            if name not in costs:
                raise InputError(f"costs has no entry for the model {name!r}; add one.")
        return LiveCosts(costs)
    unpriced = [name for name, client in clients.items() if client.rates is None]
    if len(unpriced) == len(clients):
        return trained
    return LiveCosts({name: cost for name, cost in trained.by_model.items() if name in unpriced})

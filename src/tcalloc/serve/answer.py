"""Answering questions live with a policy: the samples that it asks for come from real models, within a budget.

    with ChatClient("http://127.0.0.1:8080/v1", "smollm2", Parameters(max_tokens=256)) as client:
        answers = answer("questions.jsonl", policy, client, budget=3.0, out="run/")
    print(answers)

Samples go to a run folder, like those of ``tcalloc sample``, so that a killed run can continue. A policy decides the
same on the same samples, and stored samples are not drawn again.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from tcalloc._checks import flag, number, whole
from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.learn.looking import looking_cost, spending
from tcalloc.learn.protocol import Policy
from tcalloc.learn.rows import RowsLike
from tcalloc.llm.client import ChatClient
from tcalloc.llm.concurrency.event_loop import Call, crew, supervise, supervise_async
from tcalloc.llm.concurrency.limits import affordable
from tcalloc.llm.drawing import Drawer
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.money.meter import Meter
from tcalloc.llm.questions import QuestionsLike, as_questions, refuse_half_pairs
from tcalloc.llm.run_folder import arm_of, journal_of, open_run, spent_before
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.answers import Answers
from tcalloc.serve.clients import Clients, named_clients
from tcalloc.serve.decisions import Decisions
from tcalloc.serve.draws import Draws
from tcalloc.serve.job import Job
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.kept_meter import KeptMeter, checked_keeper
from tcalloc.serve.live_costs import LiveCosts, ladder_of, refuse_unverified
from tcalloc.serve.payments import Payments
from tcalloc.serve.prices import Prices
from tcalloc.serve.wave import shared_by

__all__ = ["MOST_AT_ONCE", "answer", "answer_async", "make_job"]

# Servers take no more choices in one request.
MOST_AT_ONCE = 128


def answer(
    questions: QuestionsLike,
    policy: Policy,
    client: ChatClient | Mapping[str, ChatClient],
    *,
    budget: float | None = None,
    X: RowsLike | None = None,
    grader: str | Callable[..., Any] = "numeric",
    verifier: Callable[[str, str], bool] | None = None,
    costs: Mapping[str, float] | None = None,
    out: str | None = None,
    max_cost: float | None = None,
    max_requests: int | None = None,
    concurrency: int = 8,
    n_per_request: int | None = None,
    cancel: bool = False,
    deadline: float | None = None,
    per_second: float = 0.0,
    keeper: BudgetKeeper | None = None,
    tenant: str | None = None,
    progress: bool = False,
    grace: float = 10.0,
    say: Callable[[str], object] = lambda message: None,
) -> Answers:
    """Answer questions with a policy.

    Parameters
    ----------
    questions : path, or sequence of str, mapping or Question
        A questions file, or a list of texts, or of the objects in its lines. Gold answers are only for scoring; neither
        the policy nor the vote sees them.
    policy : Policy
        The policy that decides; see `tcalloc.learn.protocol`.
    client : ChatClient or mapping of str to ChatClient
        The client to ask; a mapping by the models' names if the policy chooses between several models.
    budget : float, optional
        Average cost per question, in the policy's unit (that of `costs`). The policy is set to it by its
        ``at(budget)``, and the budget is kept. Every question gets a first sample before any gets a second one, unless
        the money covers both, lost tries included. If the remaining money does not cover a draw, fewer samples are
        drawn, or a cheaper action of the policy is taken, and `Answered.status` says so. A question is left out only
        when the money is spent.

        Replies that were paid and lost count too. If prices are known only afterwards (rates), such a reply counts as
        the most expensive sample of its model so far. The total holds if clients have `max_tokens`, which limits what a
        request can cost. There are two exceptions. A first sample is sent alone if the average cost of a sample is
        left, and may cost more. Without `max_tokens`, requests that are already sent may cost more than any before.
        `max_cost` has no exceptions.
    X : array_like, optional
        The features that the policy looks at, one row per question. Default: the texts of the questions. If the policy
        has a `feature_cost` and reads X at this budget, that is paid for every question, as a part of the budget.
    grader : str or Grader
        Finds the answer in a completion, and scores it if there is a gold answer; see `make_grader`.
    verifier : callable, optional
        Called with question and completion; returns whether the completion is right. Policies that choose by a verifier
        need one, and are refused at the start without it.
    costs : mapping of str to float, optional
        Cost of one sample of each model, in the unit that the policy was trained with. Default: the price by the
        client's rates if it has rates. Otherwise the mean cost of a sample of the action or model in the policy's
        training, or 1 if that is unknown.
    out : str, optional
        A run folder, new or one to continue. Samples in it are not drawn again, and count as spent. A repeated call
        asks for nothing new, because the folder also holds what was decided for each finished question.
    max_cost, max_requests
        Limits on money and requests, as in `tcalloc.llm.sampler.sample`, whatever the budget.
    concurrency : int
        The largest number of requests at one time.
    n_per_request : int, optional
        The most samples of a draw that one request asks for (``n``), so that its prompt is paid once. Default: all of a
        draw, if the policy was trained on samples that came so; else 1.
    cancel : bool
        Whether to cut off samples of a draw that are not needed any more: the policy would end with those that came, or
        the others cannot change its answer. Their streams are closed, and what was billed of them counts. Answers that
        come early are then preferred, and how many samples are drawn depends on how fast the server is.
    deadline : float, optional
        Seconds, above 0, that a question's samples are waited for. Then what is under way is cut off, and the answer is
        what the samples so far say.
    per_second : float
        Cost of a second of waiting for a draw, in the policy's unit. It counts in the spend and in the budget, as in
        training (``Samples.load(…, per_second=…)``).
    keeper : BudgetKeeper, optional
        A budget on live traffic that this call shares with others, in the unit of the clients' rates. Every request
        reserves the most that it can cost, so all clients need rates and `max_tokens`. If the keeper has no money, the
        call ends early, as at `max_cost`.
    tenant : str, optional
        Whose part of the keeper's budget it counts for.
    progress : bool
        Whether to show progress on standard error.
    grace : float
        After ctrl-C, the number of seconds in which open requests may still finish.
    say : callable
        Called with one line of text after ctrl-C.

    Returns
    -------
    Answers
        An answer per question, its cost, and whether the budget allowed what the policy decided. Limits, ctrl-C and
        servers that fail end the call early without an error.

    Raises
    ------
    InputError
        If something cannot be asked: no questions, a gold answer that the grader can never find, a model that no client
        has, an action that needs a verifier that was not given, a budget that is no number.
    BudgetError
        If the policy cannot spend as little as the budget.
    """
    call = Call()
    make = partial(
        make_job, questions, policy, client, budget=budget, X=X, grader=grader, verifier=verifier, costs=costs, out=out,
        max_cost=max_cost, max_requests=max_requests, concurrency=concurrency, n_per_request=n_per_request,
        cancel=cancel, deadline=deadline, per_second=per_second, keeper=keeper, tenant=tenant,
    )  # fmt: skip
    return supervise(_answer(make, call, progress), call, grace, say)


async def answer_async(
    questions: QuestionsLike,
    policy: Policy,
    client: ChatClient | Mapping[str, ChatClient],
    *,
    budget: float | None = None,
    X: RowsLike | None = None,
    grader: str | Callable[..., Any] = "numeric",
    verifier: Callable[[str, str], bool] | None = None,
    costs: Mapping[str, float] | None = None,
    out: str | None = None,
    max_cost: float | None = None,
    max_requests: int | None = None,
    concurrency: int = 8,
    n_per_request: int | None = None,
    cancel: bool = False,
    deadline: float | None = None,
    per_second: float = 0.0,
    keeper: BudgetKeeper | None = None,
    tenant: str | None = None,
    progress: bool = False,
    grace: float | None = None,
) -> Answers:
    """Answer questions with a policy without blocking the event loop.

    Any number of tasks may call it at the same time, with one client or several. Requests, policies, graders and
    verifiers run on threads of tcalloc, so they do not block the caller's loop.

    If the task is cancelled, nothing more is sent. Open requests are awaited and stored, the run folder is released,
    and then `asyncio.CancelledError` is raised. Other tasks with the same client continue. A second cancellation drops
    the open requests.

    Parameters
    ----------
    questions, policy, client, budget, X, grader, verifier, costs, out, max_cost, max_requests, concurrency
        As in `answer`.
    n_per_request, cancel, deadline, per_second, keeper, tenant, progress
        As in `answer`.
    grace : float, optional
        Number of seconds after a cancellation in which open requests may still finish. Default: as long as they take.

    Returns
    -------
    Answers
        As in `answer`.

    Raises
    ------
    InputError, BudgetError
        As in `answer`.
    """
    call = Call()
    make = partial(
        make_job, questions, policy, client, budget=budget, X=X, grader=grader, verifier=verifier, costs=costs, out=out,
        max_cost=max_cost, max_requests=max_requests, concurrency=concurrency, n_per_request=n_per_request,
        cancel=cancel, deadline=deadline, per_second=per_second, keeper=keeper, tenant=tenant,
    )  # fmt: skip
    return await supervise_async(_answer(make, call, progress), call, grace)


async def _answer(make: Callable[..., Job], call: Call, progress: bool) -> Answers:
    """Make the job and run it on the loop of `llm.concurrency.event_loop`; files are read and closed in threads."""
    stack = ExitStack()
    try:
        job = await crew().run(make, stack, call)
        return await job.run(progress)
    finally:
        await crew().run(stack.close)


def make_job(
    questions: QuestionsLike,
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
    n_per_request: int | None,
    cancel: bool,
    deadline: float | None,
    per_second: float,
    keeper: BudgetKeeper | None,
    tenant: str | None,
    keep: Callable[[SampleRecord], object] = lambda record: None,
) -> Job:
    """Check the arguments of `answer`, open the run folder and make the job.

    `stack` closes the folder. Without a folder, `keep` is called with every sample that came.
    """
    refuse_unverified(policy, verifier)
    named = named_clients(client)
    main = next(iter(named.values()))
    whole("concurrency", concurrency, 1)
    if n_per_request is not None:
        whole("n_per_request", n_per_request, 1, of="samples")
    flag("cancel", cancel)
    number("per_second", per_second, ends=True, of="a cost per second")
    if deadline is not None:
        number("deadline", deadline, hint=": seconds per question. Leave it out for no limit")
    if max_requests is not None:
        whole("max_requests", max_requests, 1, hint=". Leave it out for no limit")
    priced = all(one.rates is not None for one in named.values())
    bounded = priced and all(one.parameters.max_tokens is not None for one in named.values())
    kept = checked_keeper(keeper, tenant, bounded)
    if max_cost is not None and not bounded:
        raise InputError(
            "max_cost needs rates and max_tokens of every client: without them no request has a highest cost."
        )
    asked = as_questions(questions)
    refuse_half_pairs(asked)
    rows = [question.text for question in asked] if X is None else list(X)
    if len(rows) != len(asked):
        raise InputError(
            f"X has {counted(len(rows), 'row')}, but there {agreeing(len(asked), 'is', 'are')} "
            f"{counted(len(asked), 'question')}."
        )
    if budget is not None:
        policy = spending(policy, budget)
    looks = looking_cost(policy)
    store = journal = None
    spent = lost = 0.0
    grader = make_grader(grader)
    check_golds(grader, asked)
    if out is not None:
        store = stack.enter_context(open_run(out, asked, main, grader))
        store.claim("decisions.jsonl")
        for one in named.values():
            store.add_arm(arm_of(one, grader))
        spent = spent_before(store, main)
        journal = journal_of(store)
        stack.callback(journal.close)
        spent += journal.cut_cost()
        lost = journal.lost_cost()
    limits = max_cost, max_requests, spent, lost
    meter = Meter(*limits) if kept is None else KeptMeter(kept, tenant, *limits)
    trained = LiveCosts.trained(policy, list(named))
    live = _live_costs(trained, named, costs)
    ladder = ladder_of(policy, None if isinstance(client, ChatClient) else list(client))
    known = bool(live.by_key) or any(one.rates is not None for one in named.values())
    tries = max(one.most_tries for one in named.values())
    at_once = n_per_request or (MOST_AT_ONCE if shared_by(policy) else 1)
    firsts = {model: live.round_cost(model, False) for model in live.by_model}
    payments = Payments(
        budget, len(asked), Prices(live.by_key, None if known else 1.0, trained.by_key), tries, priced, firsts, at_once
    )
    payments.ledger.count(looks * len(asked))
    concurrency, note = affordable(concurrency)
    keep = keep if store is None else store.append
    drawers = {one.arm: Drawer(one, grader, meter, keep, journal=journal, blind=True) for one in named.values()}
    draws = Draws(
        Clients(client, policy, verifier), drawers, payments, live, verifier, call.stop, concurrency,
        at_once=at_once, cancel=cancel, deadline=deadline, per_second=per_second,
    )  # fmt: skip
    if store is not None and journal is not None:
        draws.read(store.path, journal)
    return Job(
        asked, rows, policy, draws, Decisions(out, budget), meter, trained, ladder, call,
        concurrency=concurrency, note=note, looks=looks, stored=store is not None,
    )  # fmt: skip


def _live_costs(trained: LiveCosts, clients: Mapping[str, ChatClient], costs: Mapping[str, float] | None) -> LiveCosts:
    """Return what samples cost, as far as it is known before they are drawn: as given, or as in training."""
    if costs is not None:
        for name in clients:
            if name not in costs:
                raise InputError(f"costs has no entry for the model {name!r}; add one.")
        return LiveCosts(costs)
    unpriced = [name for name, client in clients.items() if client.rates is None]
    if len(unpriced) == len(clients):
        return trained
    return LiveCosts({name: cost for name, cost in trained.by_model.items() if name in unpriced}, rounds=trained.rounds)

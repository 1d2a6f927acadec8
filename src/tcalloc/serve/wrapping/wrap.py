"""`tcalloc.wrap`: an OpenAI client whose chat completions are adaptive."""

import logging
import os
import sys
from typing import TypeVar

from tcalloc._checks import flag, number, whole
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Policy
from tcalloc.llm.graders import Grader, make_grader
from tcalloc.serve.gateway.asked import EXTRACTORS
from tcalloc.serve.gateway.decisions import policy_named, served_policy
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.requests import Answering
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.wrapping.handling import Handling
from tcalloc.serve.wrapping.http_clients import is_replacing, library_of, replacing
from tcalloc.serve.wrapping.sending import ClientUpstream

__all__ = ["wrap"]

_log = logging.getLogger("tcalloc.wrap")

C = TypeVar("C")


def wrap(
    client: C,
    policy: Policy | str | os.PathLike[str],
    keeper: BudgetKeeper | None = None,
    *,
    extract: str | Grader = "numeric",
    rates: Rates | None = None,
    max_tokens: int | None = None,
    n_per_request: int | None = None,
    cancel: bool = False,
    deadline: float | None = None,
) -> C:
    """Return an OpenAI client that draws as many samples of a chat completion as a policy decides.

    It is used as before: the same calls, the same types, streams and errors. A completion is the one with the winning
    answer, with the usage of all samples added up. Its field ``tcalloc`` says what was decided. Whatever is no chat
    completion is passed on. If tcalloc itself fails, a request is sent as it is, and one line is logged.

    Parameters
    ----------
    client : openai.OpenAI or openai.AsyncOpenAI
        The client, or one of a class below these, such as ``AzureOpenAI``. It stays as it is. Both share the HTTP
        client, so closing one closes the other.
    policy : Policy, path or str
        Decides how much is spent on each request: a fitted policy, its folder, or an action's name such as "vote5".
    keeper : BudgetKeeper, optional
        A budget that all requests share; needs `rates` and `max_tokens`.
    extract : str or Grader
        Finds the answers that are voted on: numeric, choice, exact, normalized, math, or "none" for no votes.
    rates : Rates, optional
        What the server's tokens cost.
    max_tokens : int, optional
        The most tokens of an answer, where a request names no limit.
    n_per_request : int, optional
        The most samples that one HTTP request asks for. Default: 1.
    cancel : bool
        Whether samples that are not needed any more are cut off.
    deadline : float, optional
        Seconds after which the answer is what came until then.

    Returns
    -------
    openai.OpenAI or openai.AsyncOpenAI
        Of the same class as `client`.

    Raises
    ------
    InputError
        If an argument is not allowed, or the policy cannot be served.
    MissingExtraError
        If aiohttp is not installed.
    """
    sdk = sys.modules.get("openai")  # who has such a client has imported it
    if sdk is None or not isinstance(client, sdk.OpenAI | sdk.AsyncOpenAI):
        raise InputError(f"client is {type(client).__name__}; expected an openai.OpenAI or an openai.AsyncOpenAI.")
    if keeper is not None and not isinstance(keeper, BudgetKeeper):
        raise InputError(f"keeper is {type(keeper).__name__}; expected a tcalloc.BudgetKeeper.")
    if keeper is not None and (rates is None or max_tokens is None):
        raise InputError("a keeper needs rates= and max_tokens=: without them no request has a highest cost.")
    if keeper is not None and keeper.tenants:
        raise InputError("the keeper has tenants, which requests do not name. Give each tenant a keeper of its own.")
    for name, count in (("max_tokens", max_tokens), ("n_per_request", n_per_request)):
        if count is not None:
            whole(name, count, 1, hint=". Leave it out for no limit")
    if deadline is not None:
        number("deadline", deadline, hint=": seconds per request. Leave it out for no limit")
    if isinstance(policy, str | os.PathLike):
        policy = policy_named("policy", os.fspath(policy))
    elif not callable(getattr(policy, "start", None)):
        raise InputError(
            f"policy is {type(policy).__name__}; expected a fitted policy, its folder, or an action's name ('vote3')."
        )
    served = served_policy(policy, keeper, "BudgetKeeper(…, cap_per_question=…)")
    graders: dict[str, Grader | None] = {name: make_grader(name) for name in EXTRACTORS}
    graders |= {"none": None, "default": None if extract == "none" else make_grader(extract)}
    http = getattr(client, "_client", None)
    if is_replacing(http):
        raise InputError("client is wrapped already: its samples would be votes. Wrap the client that it was made of.")
    library = library_of(http)
    if library is None:
        words = f"openai {getattr(sdk, '__version__', '')} keeps its HTTP client in a way that tcalloc does not know"
        if keeper is not None:  # the cap would not hold
            raise InputError(f"{words}. Use the gateway (tcalloc serve), or a version that docs/embed.md names.")
        _log.warning("%s; the client is returned as it is", words)
        return client
    sending = Sending(max_tokens, n_per_request, flag("cancel", cancel), deadline)
    upstream = ClientUpstream(str(client.base_url), rates)
    answering = Answering(upstream, served, sending, keeper, Metrics())
    wrapped: C = client.with_options(http_client=replacing(http, library, Handling(library, answering, graders)))
    return wrapped

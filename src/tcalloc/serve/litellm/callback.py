"""The callback that LiteLLM calls: decisions before a request, further samples after its first one, and the bill.

LiteLLM calls these hooks in this order:

1. ``async_pre_call_hook`` (proxy) or ``async_pre_call_deployment_hook`` (SDK): the decision.
2. ``async_should_run_...`` and ``async_run_..._agentic_loop``: the first sample is there; the others are drawn.
3. ``async_post_call_response_headers_hook`` (proxy): what is told to the client.
4. ``async_log_success_event``, or one of the hooks for failures: the budget gets the bill that LiteLLM computed.
"""

import functools
import logging
import math
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import litellm
from litellm._internal_context import is_internal_call
from litellm.exceptions import BudgetExceededError
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.llms.base_llm.base_model_iterator import MockResponseIterator

from tcalloc.errors import InputError
from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.asked import BadRequest, asked_of
from tcalloc.serve.gateway.completions import summed
from tcalloc.serve.gateway.deciding import decided, settled
from tcalloc.serve.gateway.decisions import NoMoney
from tcalloc.serve.litellm.prices import most_cost, most_rates
from tcalloc.serve.litellm.requests import Request, Requests
from tcalloc.serve.litellm.serving import Serving, Setup
from tcalloc.serve.litellm.settings import Settings, settings_of
from tcalloc.serve.litellm.votes import Reply, Votes

__all__ = ["Hook"]

_log = logging.getLogger("tcalloc.litellm")

# The kinds of calls that are decided on.
_CHAT = ("completion", "acompletion")
# What LiteLLM adds to a request for itself, or what further samples do not share with the first one.
_NOT_AGAIN = (
    "litellm_call_id",
    "litellm_logging_obj",
    "stream",
    "stream_options",
    "n",
    "model",
    "proxy_server_request",
)


def _harmless(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make a hook that never fails a request: LiteLLM goes on as without it."""

    @functools.wraps(method)
    async def hook(self: "Hook", *args: Any, **kwargs: Any) -> Any:
        try:
            return await method(self, *args, **kwargs)
        except BudgetExceededError:
            raise
        except Exception as error:
            _log.warning("%s failed (%s); LiteLLM goes on without it", method.__name__, type(error).__name__)
            return (False, {}) if "_should_" in method.__name__ else None

    return hook


class Hook(CustomLogger):  # type: ignore[misc]
    """Draws as many samples of a request as a policy decides, and returns one voted answer.

    Parameters
    ----------
    settings : Settings, optional
        What it does. Default: ``litellm.tcalloc`` (``litellm_settings: tcalloc:`` in the proxy's config) and
        environment variables, read when the first request comes.
    """

    def __init__(self, settings: Settings | None = None):
        super().__init__()
        self._serving = Serving(lambda: settings or settings_of(getattr(litellm, "tcalloc", None)))
        self._requests = Requests()

    # ------------------------------------------------------------------------------------------ deciding

    @_harmless
    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Decide on a request of the proxy."""
        if call_type not in _CHAT or is_internal_call.get():
            return None
        try:
            await self._decide(data, _headers_in(data), functools.partial(_prices_of_group, data.get("model")))
        except NoMoney:
            from fastapi import HTTPException  # what LiteLLM's own budgets refuse with; the proxy has it

            return HTTPException(429, detail=SPENT, headers={"x-should-retry": "false"})
        return data

    @_harmless
    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> Any:
        """Decide on a call of the SDK; note what the first sample is asked with."""
        if getattr(call_type, "value", call_type) not in _CHAT or is_internal_call.get():
            return None
        request = self._requests.get(kwargs.get("litellm_call_id"))
        if request is None and not kwargs.get("proxy_server_request"):
            kwargs = dict(kwargs)
            try:
                request = await self._decide(kwargs, {}, lambda model: _prices_of_call(kwargs, model))
            except NoMoney:
                raise BudgetExceededError(0.0, 0.0, message=SPENT) from None
            if request is not None:
                request.again = kwargs, _sent_to_litellm
        if request is not None and request.decision.run is not None and kwargs.get("stream"):
            kwargs = {name: value for name, value in kwargs.items() if name != "stream_options"} | {"stream": False}
        return kwargs

    async def _decide(
        self, data: dict[str, Any], headers: Mapping[str, str], prices: Callable[[str | None], Any]
    ) -> Request | None:
        """Decide on a request, and write the decision into it."""
        setup = await self._serving.setup()
        call_id = data.get("litellm_call_id")
        if setup is None or not call_id:
            return None
        try:
            asked = asked_of(data)
        except BadRequest:  # LiteLLM has the last word
            return None
        settings, served = setup.settings, setup.served
        if settings.max_tokens is not None and asked.max_tokens is None:
            data["max_tokens"] = settings.max_tokens
        grader = setup.graders.get(headers.get("x-tcalloc-extract", "default"), setup.graders["default"])
        why = asked.unvoted or ("not voted on" if grader is None else None)

        def most(model: str | None, n: int) -> float:
            limit = asked.max_tokens or settings.max_tokens
            return n * most_cost(data, most_rates(prices(model)), limit)

        decision = await decided(served, setup.keeper, asked, why, most, False, lambda reason: None)
        first = None if decision.run is None else decision.run.first
        request = Request(setup, decision, asked, grader, most)
        if decision.model is not None:
            data["model"] = decision.model
        data.update(request.fields(_action(decision.action) if first is None else first.action))
        if first is not None and (at_once := min(first.n, settings.n_per_request)) > 1:
            data["n"] = request.first = at_once
        request.again = data, _sent_to_router
        self._requests.put(call_id, request)
        return request

    # ------------------------------------------------------------------------------------------ drawing

    @_harmless
    async def async_should_run_chat_completion_agentic_loop(
        self, response: Any, model: Any, messages: Any, tools: Any, stream: Any, custom_llm_provider: Any, kwargs: Any
    ) -> Any:
        """Return whether a request has samples that are still to be drawn."""
        request = None if is_internal_call.get() else self._requests.get(kwargs.get("litellm_call_id"))
        waits = request is not None and request.decision.run is not None and not request.drawn
        return waits, {"tcalloc": "further samples"} if waits else {}

    @_harmless
    async def async_run_chat_completion_agentic_loop(
        self, tools: Any, model: Any, messages: Any, response: Any, optional_params: Any, logging_obj: Any, stream: Any,
        kwargs: Any,
    ) -> Any:  # fmt: skip
        """Draw these samples; return the completion that gives the answer, with the usage and the cost of all."""
        request = self._requests.get(logging_obj.litellm_call_id)
        if request is None or request.decision.run is None or request.grader is None:
            return response
        request.drawn = True
        setup, grant = request.setup, request.decision.grant
        votes = Votes(
            request.decision.run, request.asked.question(), request.grader, functools.partial(_another, request),
            request.most, math.inf if grant is None else grant.maximum,
            lambda model, cost: cost if setup.keeper is not None else setup.served.cost(model or request.asked.model),
            setup.settings.n_per_request,
        )  # fmt: skip
        first = Reply(response, logging_obj._response_cost_calculator(result=response) or 0.0)
        await votes.draw(first, request.first)
        _make_one(response, votes)
        request.note(votes)
        if request.asked.stream:
            return _streamed(response, model, kwargs, logging_obj)
        return response

    # Providers that do not ask the hook above ask this one, for all kinds of requests.

    @_harmless
    async def async_should_run_agentic_loop(
        self, response: Any, model: Any, messages: Any, tools: Any, stream: Any, custom_llm_provider: Any, kwargs: Any
    ) -> Any:
        """Do as the hook for chat completions does."""
        if kwargs.get("_agentic_loop_api_surface") != "chat_completions":
            return False, {}
        return await self.async_should_run_chat_completion_agentic_loop(
            response, model, messages, tools, stream, custom_llm_provider, kwargs
        )

    @_harmless
    async def async_run_agentic_loop(
        self, tools: Any, model: Any, messages: Any, response: Any, anthropic_messages_provider_config: Any,
        anthropic_messages_optional_request_params: Any, logging_obj: Any, stream: Any, kwargs: Any,
    ) -> Any:  # fmt: skip
        """Do as the hook for chat completions does."""
        return await self.async_run_chat_completion_agentic_loop(
            tools, model, messages, response, {}, logging_obj, stream, kwargs
        )

    # ------------------------------------------------------------------------------------------ telling and settling

    @_harmless
    async def async_post_call_response_headers_hook(
        self, data: Any, user_api_key_dict: Any, response: Any, request_headers: Any = None,
        litellm_call_info: Any = None,
    ) -> Any:  # fmt: skip
        """Return the headers that tell what was decided."""
        request = self._requests.get(data.get("litellm_call_id"))
        return None if request is None else request.headers

    @_harmless
    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Settle a request at the cost that LiteLLM computed for it."""
        if (request := self._requests.get(kwargs.get("litellm_call_id"))) is not None:
            await self._settle(request, kwargs.get("response_cost") or 0.0)

    @_harmless
    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Settle a call of the SDK that failed; another try is decided on anew."""
        await self._failed(kwargs)

    @_harmless
    async def async_post_call_failure_deployment_hook(
        self, request_data: Any, exception: Any, call_type: Any, fallback_depth: Any = None
    ) -> None:
        """Settle a call of the SDK that failed, which is not always logged."""
        await self._failed(request_data)

    @_harmless
    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        """Settle a request of the proxy of which all tries failed."""
        if (request := self._requests.get(request_data.get("litellm_call_id"))) is not None:
            await self._settle(request, 0.0)

    async def _failed(self, data: Mapping[str, Any]) -> None:
        request = self._requests.get(data.get("litellm_call_id"))
        if request is not None and request.again[1] is _sent_to_litellm and not is_internal_call.get():
            self._requests.drop(data["litellm_call_id"])
            await self._settle(request, 0.0)

    async def _settle(self, request: Request, bill: float) -> None:
        """Give the budget the bill of a request, once."""
        grant = request.decision.grant
        if grant is not None and grant.open and not request.settled:
            request.settled = True
            await settled(grant, bill, request.setup.keeper)


# ---------------------------------------------------------------------------------------------- what LiteLLM knows


def _headers_in(data: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers of a request of the proxy, by lower-case names."""
    sent = data.get("proxy_server_request")
    headers = sent.get("headers") if isinstance(sent, Mapping) else None
    return {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}


def _router() -> Any:
    """Return the router of the proxy, if this process is one."""
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)


def _prices_of_group(own: str | None, model: str | None) -> list[Mapping[str, Any]]:
    """Return the prices of all deployments of a model of the proxy."""
    found = []
    for one in getattr(_router(), "model_list", None) or ():
        if one.get("model_name") == (model or own):
            names = (one.get("model_info") or {}).get("id"), one["litellm_params"].get("model")
            found += [_known(name) for name in names if name] + [one["litellm_params"]]
    return found


def _prices_of_call(kwargs: Mapping[str, Any], model: str | None) -> list[Mapping[str, Any]]:
    """Return the prices of a call of the SDK."""
    names = (kwargs.get("model_info") or {}).get("id"), model or kwargs.get("model")
    return [_known(name) for name in names if name] + [kwargs]


def _known(name: str) -> Mapping[str, Any]:
    try:
        return dict(litellm.get_model_info(model=name))
    except Exception:  # it has no prices
        return {}


def _action(name: str) -> Action | None:
    """Return an action by its name; None if it is the name of something else, such as a budget."""
    try:
        return Action.parse(name)
    except InputError:
        return None


SPENT = "the budget that tcalloc keeps is spent."


async def _another(request: Request, action: Action, n: int, place: int) -> Reply:
    """Ask for further samples by a call that LiteLLM neither logs nor bills: the first one stands for all."""
    data, send = request.again
    fields = {name: value for name, value in data.items() if name not in _NOT_AGAIN and not name.startswith("_")}
    fields |= request.fields(action) | {"cache": {"no-cache": True, "no-store": True}}
    if isinstance(fields.get("metadata"), dict):
        fields["metadata"] = dict(fields["metadata"])
    if isinstance(fields.get("seed"), int):  # choice i of a request has the seed + i
        fields["seed"] = (fields["seed"] + 7919 * place) & 0x7FFFFFFF
    model = (action.model if request.setup.served.models else None) or data["model"]
    is_internal_call.set(True)  # in this task alone
    found = await send(model=model, **fields, **({"n": n} if n > 1 else {}))
    return Reply(found, found._hidden_params.get("response_cost") or 0.0)


async def _sent_to_router(**fields: Any) -> Any:
    return await _router().acompletion(**fields)


async def _sent_to_litellm(**fields: Any) -> Any:
    return await litellm.acompletion(**fields)


def _streamed(response: Any, model: str, kwargs: Mapping[str, Any], logging_obj: Any) -> Any:
    """Return a completion as the stream that the client asked for."""
    return CustomStreamWrapper(
        completion_stream=MockResponseIterator(model_response=response), model=model,
        custom_llm_provider=kwargs.get("custom_llm_provider") or "openai", logging_obj=logging_obj,
    )  # fmt: skip


def _make_one(response: Any, votes: Votes) -> None:
    """Make the first response the winner of a vote, with the usage and the cost of all samples."""
    if (found := votes.winner()) is not None:
        choice, document = found
        response.id, response.model = document.id, document.model
        choice.index = 0
        response.choices = [choice]
    else:
        response.choices = response.choices[:1]
    response.usage = litellm.Usage(**summed([{"usage": dict(reply.usage)} for reply in votes.replies]))
    response._hidden_params["response_cost"] = votes.spend

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
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import litellm
from litellm._internal_context import is_internal_call
from litellm.exceptions import BudgetExceededError
from litellm.integrations.custom_logger import CustomLogger

from tcalloc._printing import clean_line
from tcalloc.errors import InputError
from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.asked import BadRequest, asked_of
from tcalloc.serve.gateway.deciding import decided, settled
from tcalloc.serve.gateway.decisions import NoMoney
from tcalloc.serve.litellm.calls import (
    another,
    headers_in,
    make_one,
    placed_in,
    prices_of_call,
    prices_of_group,
    streamed,
)
from tcalloc.serve.litellm.prices import most_cost, most_rates
from tcalloc.serve.litellm.requests import Request, Requests
from tcalloc.serve.litellm.serving import Serving
from tcalloc.serve.litellm.settings import Settings, settings_of
from tcalloc.serve.litellm.votes import Reply, Votes

__all__ = ["Hook"]

_log = logging.getLogger("tcalloc.litellm")

# The kinds of calls that are decided on.
_CHAT = ("completion", "acompletion")
SPENT = "the budget that tcalloc keeps is spent."


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
        self._said = set[str]()

    # ------------------------------------------------------------------------------------------ deciding

    @_harmless
    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Decide on a request of the proxy."""
        if call_type not in _CHAT or is_internal_call.get():
            return None
        try:
            prices = functools.partial(prices_of_group, data.get("model"))
            await self._decide(data, headers_in(data), prices, lambda model: bool(prices(model)))
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
            placed = placed_in(kwargs)
            try:
                prices = functools.partial(prices_of_call, kwargs | placed)
                # A router has not chosen a deployment, and the caller has not given a model that cannot be replaced.
                free = not kwargs.get("model_info") and "model" not in placed
                kwargs |= placed
                request = await self._decide(kwargs, {}, prices, lambda model: free)
            except NoMoney:
                raise BudgetExceededError(0.0, 0.0, message=SPENT) from None
            kwargs = {name: value for name, value in kwargs.items() if name not in placed}
            if request is not None:
                request.of_proxy = False
        if request is not None and request.decision.run is not None and kwargs.get("stream"):
            kwargs = {name: value for name, value in kwargs.items() if name != "stream_options"} | {"stream": False}
        return kwargs

    async def _decide(
        self, data: dict[str, Any], headers: Mapping[str, str], prices: Callable[[str | None], Any],
        reached: Callable[[str], bool],
    ) -> Request | None:  # fmt: skip
        """Decide on a request, and write the decision into it."""
        setup = await self._serving.setup()
        call_id = data.get("litellm_call_id")
        if setup is None or not call_id:
            return None
        own = dict(data)  # as it came: what an action sets is written into `data`
        try:
            asked = asked_of(dict(own))
        except BadRequest:  # LiteLLM has the last word
            return None
        settings, served = setup.settings, setup.served
        if strange := [model for model in served.models if not reached(model)]:
            served = setup.plain
            self._say_once(
                f"the policy chooses between models that cannot be asked for here ({', '.join(strange)}), so that each "
                "request gets one sample of its own. Give the proxy a model_name for each; with the SDK, use no Router."
            )
        if settings.max_tokens is not None and asked.max_tokens is None:
            own["max_tokens"] = data["max_tokens"] = settings.max_tokens
        grader = setup.graders.get(headers.get("x-tcalloc-extract", "default"), setup.graders["default"])
        why = asked.unvoted or ("not voted on" if grader is None else None)

        def most(model: str | None, n: int) -> float:
            limit = asked.max_tokens or settings.max_tokens
            return n * most_cost(data, most_rates(prices(model)), limit)

        decision = await decided(served, setup.keeper, asked, why, most, False, lambda reason: None)
        first = None if decision.run is None else decision.run.first
        request = Request(setup, served, decision, asked, grader, most, own)
        if decision.model is not None:
            data["model"] = decision.model
        data.update(request.fields(_action(decision.action) if first is None else first.action))
        if first is not None and (at_once := min(first.n, settings.n_per_request)) > 1:
            data["n"] = request.first = at_once
        self._requests.put(call_id, request)
        return request

    def _say_once(self, words: str) -> None:
        if words not in self._said:
            self._said.add(words)
            _log.error("%s", clean_line(words))

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
            request.decision.run, request.asked.question(), request.grader, functools.partial(another, request),
            request.most, math.inf if grant is None else grant.maximum,
            lambda model, cost: cost if setup.keeper is not None else request.served.cost(model or request.asked.model),
            setup.settings.n_per_request,
        )  # fmt: skip
        first = Reply(response, logging_obj._response_cost_calculator(result=response) or 0.0)
        await votes.draw(first, request.first)
        make_one(response, votes)
        request.note(votes)
        if request.asked.stream:
            return streamed(response, model, kwargs, logging_obj)
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
        if request is not None and not request.of_proxy and not is_internal_call.get():
            self._requests.drop(data["litellm_call_id"])
            await self._settle(request, 0.0)

    async def _settle(self, request: Request, bill: float) -> None:
        """Give the budget the bill of a request, once."""
        grant = request.decision.grant
        if grant is not None and grant.open and not request.settled:
            request.settled = True
            await settled(grant, bill, request.setup.keeper)


def _action(name: str) -> Action | None:
    """Return an action by its name; None if it is the name of something else, such as a budget."""
    try:
        return Action.parse(name)
    except InputError:
        return None

"""Calls of LiteLLM: what one costs at most, how further samples are asked for, and the reply that they make."""

import sys
from collections.abc import Mapping
from typing import Any

import litellm
from litellm._internal_context import is_internal_call
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.llms.base_llm.base_model_iterator import MockResponseIterator

from tcalloc.measure.actions import Action
from tcalloc.serve.gateway.completions import summed
from tcalloc.serve.litellm.requests import Request
from tcalloc.serve.litellm.votes import Reply, Votes

__all__ = [
    "another",
    "headers_in",
    "make_one",
    "placed_in",
    "prices_of_call",
    "prices_of_group",
    "streamed",
]

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


def headers_in(data: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers of a request of the proxy, by lower-case names."""
    sent = data.get("proxy_server_request")
    headers = sent.get("headers") if isinstance(sent, Mapping) else None
    return {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {}


def placed_in(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model and the messages of a call of the SDK that gave them by position: LiteLLM shows names alone."""
    known = kwargs.get("litellm_logging_obj")
    return {name: getattr(known, name) for name in ("model", "messages") if name not in kwargs and known is not None}


def _router() -> Any:
    """Return the router of the proxy, if this process is one."""
    return getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)


def prices_of_group(own: str | None, model: str | None) -> list[Mapping[str, Any]]:
    """Return the prices of all deployments of a model of the proxy."""
    found = []
    for one in getattr(_router(), "model_list", None) or ():
        if one.get("model_name") == (model or own):
            names = (one.get("model_info") or {}).get("id"), one["litellm_params"].get("model")
            found += [_known(name) for name in names if name] + [one["litellm_params"]]
    return found


def prices_of_call(kwargs: Mapping[str, Any], model: str | None) -> list[Mapping[str, Any]]:
    """Return the prices of a call of the SDK."""
    names = (kwargs.get("model_info") or {}).get("id"), model or kwargs.get("model")
    return [_known(name) for name in names if name] + [kwargs]


def _known(name: str) -> Mapping[str, Any]:
    try:
        return dict(litellm.get_model_info(model=name))
    except Exception:  # it has no prices
        return {}


async def another(request: Request, action: Action, n: int, place: int) -> Reply:
    """Ask for further samples by a call that LiteLLM neither logs nor bills: the first one stands for all."""
    data, send = request.data, _router().acompletion if request.of_proxy else litellm.acompletion
    fields = {name: value for name, value in data.items() if name not in _NOT_AGAIN and not name.startswith("_")}
    fields |= request.fields(action) | {"cache": {"no-cache": True, "no-store": True}}
    if isinstance(fields.get("metadata"), dict):
        fields["metadata"] = dict(fields["metadata"])
    if isinstance(fields.get("seed"), int):  # choice i of a request has the seed + i
        fields["seed"] = (fields["seed"] + 7919 * place) & 0x7FFFFFFF
    model = (action.model if request.served.models else None) or data["model"]
    is_internal_call.set(True)  # in this task alone
    found = await send(model=model, **fields, **({"n": n} if n > 1 else {}))
    return Reply(found, found._hidden_params.get("response_cost") or 0.0)


def streamed(response: Any, model: str, kwargs: Mapping[str, Any], logging_obj: Any) -> Any:
    """Return a completion as the stream that the client asked for."""
    return CustomStreamWrapper(
        completion_stream=MockResponseIterator(model_response=response), model=model,
        custom_llm_provider=kwargs.get("custom_llm_provider") or "openai", logging_obj=logging_obj,
    )  # fmt: skip


def make_one(response: Any, votes: Votes) -> None:
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

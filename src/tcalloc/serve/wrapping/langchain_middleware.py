"""LangChain: middleware that makes the model calls of an agent adaptive. Tried with LangChain 1.5.2."""

import logging
from functools import lru_cache
from typing import Any

from tcalloc.errors import InputError, MissingExtraError
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.wrapping.wrap import wrap

__all__ = ["langchain_middleware"]


def langchain_middleware(policy: Any, keeper: BudgetKeeper | None = None, **options: Any) -> Any:
    """Return middleware for ``create_agent`` that sends model calls to a copy of the model whose clients are wrapped.

    Parameters
    ----------
    policy : Policy, path or str
        Decides how much is spent on each call, as in `tcalloc.wrap`.
    keeper : BudgetKeeper, optional
        A budget that all calls share. Models that have no OpenAI client are then refused.
    **options
        Those of `tcalloc.wrap`, such as ``rates`` and ``max_tokens``.

    Raises
    ------
    InputError
        If `tcalloc.wrap` refuses an argument.
    MissingExtraError
        If LangChain is not installed, or is older than 1.0.
    """
    try:
        import openai
        from langchain.agents.middleware import AgentMiddleware
    except ImportError:
        raise MissingExtraError("middleware for LangChain needs: pip install 'langchain>=1' langchain-openai") from None
    warn = logging.getLogger("tcalloc.wrap").warning
    warn_once = lru_cache(lambda kind: warn("a model of class %s has no OpenAI client: its calls stay plain", kind))
    wrapped = lru_cache(maxsize=64)(lambda client: wrap(client, policy, keeper, **options))
    with openai.OpenAI(base_url="http://127.0.0.1", api_key="none") as unused:
        wrap(unused, policy, keeper, **options)  # what is not allowed is refused now, not in the first call

    def adaptive(request: Any) -> Any:
        model, kind = request.model, type(request.model).__name__
        clients = {name: getattr(model, name, None) for name in ("root_client", "root_async_client")}
        fields = {name: wrapped(client) for name, client in clients.items() if client is not None}
        if not fields and keeper is not None:
            raise InputError(f"a model of class {kind} has no OpenAI client, so the budget would not hold.")
        fields |= {name.removeprefix("root_"): client.chat.completions for name, client in fields.items()}
        return request.override(model=model.model_copy(update=fields)) if fields else warn_once(kind) or request

    class Adaptive(AgentMiddleware):  # type: ignore[misc]
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(adaptive(request))

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            return await handler(adaptive(request))

    return Adaptive()

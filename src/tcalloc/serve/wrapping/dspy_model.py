"""DSPy on a wrapped client: a ``dspy.LM`` that asks it. Tried with DSPy 3.4.1."""

import asyncio
import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from tcalloc.errors import MissingExtraError

__all__ = ["dspy_model"]


def dspy_model(client: Any, model: str, **options: Any) -> Any:
    """Return a ``dspy.LM`` that asks a client from `tcalloc.wrap`.

    Parameters
    ----------
    client : openai.OpenAI
        The client. DSPy raises its errors as errors of its own, and is the only one that asks again.
    model : str
        The model's name, as the server knows it.
    **options
        Those of ``dspy.LM``, such as ``temperature`` and ``cache``.

    Raises
    ------
    MissingExtraError
        If DSPy is not installed, or is older than 3.4.
    """
    try:
        import dspy
        import openai
        from dspy import lm15
    except ImportError:
        raise MissingExtraError("a model for DSPy needs 3.4 of it: pip install 'dspy>=3.4'") from None
    chat = client.with_options(max_retries=0).chat.completions.with_raw_response

    def stream(request: Any) -> Any:
        fields = json.loads(request.body)
        try:
            response = chat.create(model=model, messages=fields.pop("messages"), extra_body=fields).http_response
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            raise lm15.TransportError(str(error)) from None
        body = response.content
        reply = SimpleNamespace(
            status=response.status_code, reason=response.reason_phrase, headers=list(response.headers.items()),
            http_version="HTTP/1.1", read=lambda: body, iter_lines=lambda: body.splitlines(keepends=True),
        )  # fmt: skip
        return nullcontext(reply)

    engine = lm15.OpenAIChatLM(api_key="the client's", transport=SimpleNamespace(stream=stream))

    async def complete(request: Any) -> Any:
        return await asyncio.to_thread(engine.complete, request)

    return dspy.LM(model, engine=engine, async_engine=SimpleNamespace(complete=complete), **options)

"""Replies of servers, as samples: batch output of OpenAI and of Anthropic, and logs that keep whole replies."""

import json
from collections.abc import Mapping
from typing import Any

from tcalloc._checks import is_number
from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.rows import Reader, Row, Sample
from tcalloc.importing.values import Failed
from tcalloc.llm.confidence import stored
from tcalloc.llm.http.replies import BadReply, ServerError, TokenCounter, parse_reply

__all__ = ["AnthropicReader", "BatchReader", "reply_samples"]


class BatchReader(Reader):
    """Reads the output of the OpenAI batch API."""

    def read(self, row: Mapping[str, Any]) -> Row | None:
        """Return what one row holds."""
        if row.get("custom_id") is None:
            raise InputError("no field 'custom_id'; expected a line of an OpenAI batch's output")
        response, error = row.get("response"), row.get("error")
        if not isinstance(response, dict):
            raise Failed(_reason(error))
        status, body = response.get("status_code", 200), response.get("body")
        if status != 200 or not isinstance(body, dict):
            raise Failed(_reason(body.get("error") if isinstance(body, dict) else error, status))
        name = values.name(row["custom_id"], "custom_id")
        model, samples, taken = reply_samples(body, "response.body")
        return Row(name, samples, model, taken=[("id", "custom_id", row["custom_id"]), *taken])


class AnthropicReader(Reader):
    """Reads the results of Anthropic's message batches."""

    def read(self, row: Mapping[str, Any]) -> Row | None:
        """Return what one row holds."""
        result = row.get("result")
        if row.get("custom_id") is None or not isinstance(result, dict):
            raise InputError("no fields 'custom_id' and 'result'; expected a line of an Anthropic batch's results")
        message = result.get("message")
        if result.get("type") != "succeeded" or not isinstance(message, dict):
            error = result.get("error")
            inner = error.get("error") if isinstance(error, dict) else None
            raise Failed(_reason(inner or error or {"type": str(result.get("type"))}))
        name = values.name(row["custom_id"], "custom_id")
        model, samples, taken = reply_samples(_of_anthropic(message), "result.message")
        taken = [(ours, path.replace(".choices", ".content"), value) for ours, path, value in taken]
        return Row(name, samples, model, taken=[("id", "custom_id", row["custom_id"]), *taken])


def reply_samples(body: Mapping[str, Any], path: str) -> tuple[str | None, list[Sample], list[tuple[str, str, Any]]]:
    """Return model, samples (one per choice) and (field, path, value) of what was found in a reply.

    The reply is a body of /v1/chat/completions, /v1/completions or /v1/responses. `Failed` is raised if it holds an
    error, InputError with the path if it is no reply.
    """
    chat = _as_chat(dict(body))
    listed = chat.get("choices")
    n = len(listed) if isinstance(listed, list) else 1
    try:
        reply = parse_reply(json.dumps(chat).encode(), n, 0, TokenCounter())
    except ServerError as failure:
        raise Failed(_reason(failure.body.get("error"))) from None
    except BadReply as failure:
        raise InputError(f"{path}: {failure}; expected a chat completion") from None
    samples = []
    for choice in reply.choices:
        facts: dict[str, Any] = {
            "output_tokens": choice.output_tokens,
            "reasoning_tokens": choice.reasoning_tokens,
            "estimated": choice.estimated,
            "finish": choice.finish,
        }
        if not reply.input_estimated:
            facts |= {
                "input_tokens": reply.input_tokens,
                "cached_tokens": reply.cached_tokens,
                "cache_write_tokens": reply.cache_write_tokens,
                "cache_write_1h_tokens": reply.cache_write_1h_tokens,
            }
        if choice.logprob is not None:
            facts["logprob"] = choice.logprob
        facts |= stored(choice.confidence)
        samples.append(Sample(choice.text, facts=facts))
    dot = f"{path}." if path else ""
    taken: list[tuple[str, str, Any]] = [
        ("text", f"{dot}{'output' if 'output' in body else 'choices'}", samples[0].text if samples else None)
    ]
    if reply.model:
        taken.append(("model", f"{dot}model", reply.model))
    if not reply.input_estimated:
        taken.append(("input_tokens", f"{dot}usage", reply.input_tokens))
    if not any(choice.estimated for choice in reply.choices):
        taken.append(("output_tokens", f"{dot}usage", reply.output_tokens))
    return reply.model or None, samples, taken


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of /v1/completions or /v1/responses as one of /v1/chat/completions."""
    if isinstance(body.get("output"), list):  # /v1/responses
        parts = [
            part.get("text") or ""
            for item in body["output"]
            if isinstance(item, dict) and item.get("type") == "message"
            for part in item.get("content") or []
            if isinstance(part, dict) and part.get("type") == "output_text"
        ]
        finish = "length" if body.get("status") == "incomplete" else "stop"
        return {
            "model": body.get("model"),
            "choices": [{"index": 0, "message": {"content": "".join(parts)}, "finish_reason": finish}],
            "usage": body.get("usage"),
        }
    choices = body.get("choices")
    if isinstance(choices, list) and any(isinstance(c, dict) and "message" not in c and "text" in c for c in choices):
        choices = [
            {**c, "message": {"content": c.get("text")}, "logprobs": None} for c in choices if isinstance(c, dict)
        ]
        return body | {"choices": choices}
    return body


def _of_anthropic(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of Anthropic's as the body of a chat completion."""
    usage: Mapping[str, Any] = message["usage"] if isinstance(message.get("usage"), dict) else {}
    read = [usage.get(key) for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")]
    known = [count for count in read if is_number(count)]
    return {
        "model": message.get("model"),
        "choices": [
            {
                "index": 0,
                "message": {"content": values.message_text(message.get("content")) or ""},
                "finish_reason": "length" if message.get("stop_reason") == "max_tokens" else "stop",
            }
        ],
        "usage": {"prompt_tokens": sum(known) if known else None, "completion_tokens": usage.get("output_tokens")},
    }


def _reason(error: Any, status: Any = None) -> str:
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or error.get("message") or "unknown")[:60]
    return f"status {status}" if status is not None else "no response"

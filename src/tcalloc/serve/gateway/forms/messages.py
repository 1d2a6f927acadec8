"""Anthropic's messages: a body of ``/v1/messages`` as one of chat completions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tcalloc.serve.gateway.asked import BadRequest
from tcalloc.serve.gateway.forms.form import Form
from tcalloc.serve.gateway.forms.messages_reply import MessagesWriter, messages_error
from tcalloc.serve.gateway.forms.reading import chosen, content_of, list_at, object_at, passed_on, text_at

__all__ = ["MESSAGES"]

# Fields that are translated, or that mean nothing to a server of chat completions; all others go there unchanged.
_KNOWN = frozenset(
    {"messages", "system", "stop_sequences", "metadata", "service_tier", "tools", "tool_choice", "output_config",
     "stream_options", "cache_control"}
)  # fmt: skip
_REFUSED = {
    "mcp_servers": "cannot be used: the gateway calls no servers of tools. Call them in the client, and name their "
    "tools in 'tools'.",
    "container": "cannot be used: the gateway runs no code. Leave it out.",
}
_TIERS = {"standard_only": "default"}
# Anthropic's models go on from their earlier thoughts; servers of chat completions do not take these back.
_THOUGHTS = ("thinking", "redacted_thinking")


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as one of chat completions; `BadRequest` if it is none, or asks for what cannot be done."""
    chat = passed_on(body, _KNOWN, _REFUSED)
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": _content(body["system"], "system")})
    given = list_at(body.get("messages"), "messages")
    if not given:
        raise BadRequest("'messages' must hold at least one message.", "messages")
    for i, one in enumerate(given):
        messages += _translated(object_at(one, f"messages[{i}]"), f"messages[{i}]")
    chat["messages"] = messages
    if body.get("stop_sequences") is not None:
        chat["stop"] = list_at(body["stop_sequences"], "stop_sequences")
    if body.get("service_tier") is not None:
        tier = text_at(body["service_tier"], "service_tier")
        chat["service_tier"] = _TIERS.get(tier, tier)
    if body.get("metadata") is not None:
        metadata = dict(object_at(body["metadata"], "metadata"))
        if (user := metadata.pop("user_id", None)) is not None:
            chat["user"] = text_at(user, "metadata.user_id")
        if metadata:
            chat["metadata"] = metadata
    if body.get("tools"):
        tools = enumerate(list_at(body["tools"], "tools"))
        chat["tools"] = [_tool(object_at(one, f"tools[{i}]"), f"tools[{i}]") for i, one in tools]
    if body.get("tool_choice") is not None:
        chat |= _choice(object_at(body["tool_choice"], "tool_choice"))
    if body.get("output_config") is not None:
        chat |= _output(object_at(body["output_config"], "output_config"))
    return chat


def _translated(message: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """Yield a message as messages of chat completions: first the results of tools, each as a message of its own."""
    role = chosen(message.get("role"), f"{place}.role", ("user", "assistant", "system"))
    content = message.get("content")
    if isinstance(content, str):
        yield {"role": role, "content": content}
        return
    parts, calls, returned = [], [], False
    for i, given in enumerate(list_at(content, f"{place}.content", "a text or a list")):
        at = f"{place}.content[{i}]"
        block = object_at(given, at)
        kind = block.get("type")
        if role == "user" and kind == "tool_result":
            returned = True
            call = text_at(block.get("tool_use_id"), f"{at}.tool_use_id")
            yield {"role": "tool", "tool_call_id": call, "content": _content(block.get("content", ""), f"{at}.content")}
        elif role == "assistant" and kind == "tool_use":
            calls.append(_call(block, at))
        elif not (role == "assistant" and kind in _THOUGHTS):
            parts.append(_part(block, at))
    if parts or calls or not returned:
        yield {"role": role, "content": content_of(parts)} | ({"tool_calls": calls} if calls else {})


def _content(given: Any, place: str) -> Any:
    """Return the content of a message that is one text or a list of blocks."""
    if isinstance(given, str):
        return given
    blocks = enumerate(list_at(given, place, "a text or a list"))
    return content_of([_part(object_at(one, f"{place}[{i}]"), f"{place}[{i}]") for i, one in blocks])


def _part(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    kind = chosen(block.get("type"), f"{place}.type", ("text", "image", "document"))
    if kind == "text":
        return {"type": "text", "text": text_at(block.get("text"), f"{place}.text")}
    source, at = object_at(block.get("source"), f"{place}.source"), f"{place}.source"
    if kind == "image":
        if chosen(source.get("type"), f"{at}.type", ("base64", "url"), "The gateway keeps no files.") == "url":
            return {"type": "image_url", "image_url": {"url": text_at(source.get("url"), f"{at}.url")}}
        return {"type": "image_url", "image_url": {"url": _data(source, at)}}
    if chosen(source.get("type"), f"{at}.type", ("base64", "text"), "The gateway keeps no files.") == "text":
        return {"type": "text", "text": text_at(source.get("data"), f"{at}.data")}
    title = block.get("title")
    name = title if isinstance(title, str) else "document"
    return {"type": "file", "file": {"filename": name, "file_data": _data(source, at)}}


def _data(source: Mapping[str, Any], place: str) -> str:
    kind = text_at(source.get("media_type"), f"{place}.media_type")
    return f"data:{kind};base64,{text_at(source.get('data'), f'{place}.data')}"


def _call(block: Mapping[str, Any], place: str) -> dict[str, Any]:
    arguments = json.dumps(object_at(block.get("input"), f"{place}.input"))
    function = {"name": text_at(block.get("name"), f"{place}.name"), "arguments": arguments}
    return {"id": text_at(block.get("id"), f"{place}.id"), "type": "function", "function": function}


def _tool(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    if tool.get("type") is not None:
        remedy = "Tools that Anthropic defines or runs are not known here; describe each by 'input_schema'."
        chosen(tool["type"], f"{place}.type", ("custom",), remedy)
    schema = object_at(tool.get("input_schema"), f"{place}.input_schema")
    function = {"name": text_at(tool.get("name"), f"{place}.name"), "parameters": schema}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    kind = chosen(choice.get("type"), "tool_choice.type", ("auto", "any", "tool", "none"))
    found: dict[str, Any] = {"tool_choice": "required" if kind == "any" else kind}
    if kind == "tool":
        function = {"name": text_at(choice.get("name"), "tool_choice.name")}
        found["tool_choice"] = {"type": "function", "function": function}
    if choice.get("disable_parallel_tool_use"):
        found["parallel_tool_calls"] = False
    return found


def _output(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.get("effort") is not None:
        found["reasoning_effort"] = text_at(config["effort"], "output_config.effort")
    if config.get("format") is not None:
        shape = object_at(config["format"], "output_config.format")
        chosen(shape.get("type"), "output_config.format.type", ("json_schema",))
        schema = object_at(shape.get("schema"), "output_config.format.schema")
        found["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return found


MESSAGES = Form(
    "messages", _chat, MessagesWriter, messages_error,
    "this gateway counts no tokens beforehand and keeps no batches. The 'usage' of each reply counts its tokens.",
)  # fmt: skip

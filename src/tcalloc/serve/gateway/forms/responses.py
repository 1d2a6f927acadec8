"""OpenAI's responses: a body of ``/v1/responses`` as one of chat completions."""

from collections.abc import Mapping
from typing import Any

from tcalloc._checks import is_whole
from tcalloc.serve.gateway.asked import BadRequest
from tcalloc.serve.gateway.forms.form import Form
from tcalloc.serve.gateway.forms.reading import chosen, content_of, list_at, object_at, passed_on, text_at
from tcalloc.serve.gateway.forms.responses_reply import ResponsesWriter, responses_error

__all__ = ["RESPONSES"]

# Fields that are translated or that only the reply shows; all others go to the server unchanged.
_KNOWN = frozenset(
    {"input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "text", "reasoning", "tools",
     "tool_choice", "include", "stream_options", "truncation"}
)  # fmt: skip
_KEPT = "cannot be used: this gateway stores no responses."
_REFUSED = {
    "previous_response_id": f"{_KEPT} Send the earlier items in 'input'.",
    "conversation": f"{_KEPT} Send the earlier items in 'input'.",
    "store": f'{_KEPT} Send "store": false.',
    "background": f"{_KEPT} Leave it out, and wait for the reply or ask for a stream.",
    "prompt": "cannot be used: this gateway keeps no prompts. Send its text in 'instructions' or 'input'.",
    "context_management": "cannot be used: this gateway shortens no conversations. Leave out items of 'input'.",
    "top_logprobs": "cannot be used in this form. /v1/chat/completions gives log-probabilities.",
}
# Items that the server would not take back: the thoughts of a model.
_LEFT_OUT = ("reasoning",)
_NO_FILES = "The gateway keeps no files."


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as one of chat completions; `BadRequest` if it is none, or asks for what cannot be done."""
    chat = passed_on(body, _KNOWN, _REFUSED)
    chat["messages"] = _messages(body)
    limit = body.get("max_output_tokens")
    if limit is not None:
        if not is_whole(limit) or limit < 1:
            raise BadRequest("'max_output_tokens' must be a whole number of at least 1.", "max_output_tokens")
        chat["max_tokens"] = limit
    if body.get("truncation") is not None:
        chosen(body["truncation"], "truncation", ("disabled",), "Leave out items of 'input'.")
    if "message.output_text.logprobs" in list_at(body.get("include") or [], "include"):
        raise BadRequest("'include' asks for log-probabilities. /v1/chat/completions gives them.", "include")
    if body.get("metadata") is not None:
        object_at(body["metadata"], "metadata")
    if body.get("reasoning") is not None:
        effort = object_at(body["reasoning"], "reasoning").get("effort")
        chat |= {} if effort is None else {"reasoning_effort": text_at(effort, "reasoning.effort")}
    if body.get("text") is not None:
        chat |= _text(object_at(body["text"], "text"))
    if body.get("tools"):
        tools = enumerate(list_at(body["tools"], "tools"))
        chat["tools"] = [_tool(object_at(one, f"tools[{i}]"), f"tools[{i}]") for i, one in tools]
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = _choice(body["tool_choice"])
    return chat


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": text_at(body["instructions"], "instructions")})
    given = body.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("'input' must be a text, or a list of at least one item.", "input")
    for i, one in enumerate(given):
        _add(messages, object_at(one, f"input[{i}]"), f"input[{i}]")
    return messages


def _add(messages: list[dict[str, Any]], item: Mapping[str, Any], place: str) -> None:
    """Add an item to the messages; calls belong to the message before them."""
    kinds = ("message", "function_call", "function_call_output", *_LEFT_OUT)
    kind = chosen(item.get("type", "message"), f"{place}.type", kinds)
    if kind == "message":
        role = chosen(item.get("role"), f"{place}.role", ("user", "assistant", "system", "developer"))
        content = _content(item.get("content"), f"{place}.content")
        # Not every server knows developers.
        messages.append({"role": "system" if role == "developer" else role, "content": content})
    elif kind == "function_call":
        if not messages or messages[-1]["role"] != "assistant":
            messages.append({"role": "assistant", "content": ""})
        function = {name: text_at(item.get(name), f"{place}.{name}") for name in ("name", "arguments")}
        call = {"id": text_at(item.get("call_id"), f"{place}.call_id"), "type": "function", "function": function}
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        call_id = text_at(item.get("call_id"), f"{place}.call_id")
        output = _content(item.get("output"), f"{place}.output")
        messages.append({"role": "tool", "tool_call_id": call_id, "content": output})


def _content(given: Any, place: str) -> Any:
    if isinstance(given, str):
        return given
    parts = enumerate(list_at(given, place, "a text or a list"))
    return content_of([_part(object_at(one, f"{place}[{i}]"), f"{place}[{i}]") for i, one in parts])


def _part(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    kinds = ("input_text", "output_text", "input_image", "input_file", "refusal")
    kind = chosen(part.get("type"), f"{place}.type", kinds)
    if part.get("file_id"):
        raise BadRequest(f"'{place}.file_id' cannot be used. {_NO_FILES} Send the data.", f"{place}.file_id")
    if kind == "refusal":
        return {"type": "refusal", "refusal": text_at(part.get("refusal"), f"{place}.refusal")}
    if kind == "input_image":
        image = {"url": text_at(part.get("image_url"), f"{place}.image_url")}
        image |= {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        file = {"file_data": text_at(part.get("file_data"), f"{place}.file_data")}
        file |= {"filename": part["filename"]} if isinstance(part.get("filename"), str) else {}
        return {"type": "file", "file": file}
    return {"type": "text", "text": text_at(part.get("text"), f"{place}.text")}


def _tool(tool: Mapping[str, Any], place: str) -> dict[str, Any]:
    remedy = "The gateway runs no tools itself; call them in the client."
    chosen(tool.get("type"), f"{place}.type", ("function",), remedy)
    function = {"name": text_at(tool.get("name"), f"{place}.name")}
    function |= {name: tool[name] for name in ("description", "parameters", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        chosen(choice.get("type"), "tool_choice.type", ("function",))
        return {"type": "function", "function": {"name": text_at(choice.get("name"), "tool_choice.name")}}
    return chosen(choice, "tool_choice", ("none", "auto", "required"))


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if text.get("verbosity") is not None:
        found["verbosity"] = text_at(text["verbosity"], "text.verbosity")
    if text.get("format") is not None:
        shape = object_at(text["format"], "text.format")
        kind = chosen(shape.get("type"), "text.format.type", ("text", "json_object", "json_schema"))
        if kind == "json_schema":
            inner = {name: value for name, value in shape.items() if name != "type"}
            found["response_format"] = {"type": kind, "json_schema": inner}
        elif kind == "json_object":
            found["response_format"] = {"type": kind}
    return found


RESPONSES = Form(
    "responses", _chat, ResponsesWriter, responses_error,
    "this gateway stores no responses and counts no tokens beforehand. Read the reply, or its stream, as it comes.",
)  # fmt: skip

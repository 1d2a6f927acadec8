"""OpenAI's responses: a completion as a response, as its events, and errors."""

from collections.abc import Iterator, Mapping
from typing import Any

from tcalloc.llm.http.replies import message_of
from tcalloc.serve.gateway.forms.form import Writer
from tcalloc.serve.gateway.forms.parts import Part, Step

__all__ = ["ResponsesWriter", "responses_error"]

# Fields of a request that its response shows, with what they are where the request has none.
_SHOWN: dict[str, Any] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True, "reasoning": None,
    "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None,
    "user": None,
}  # fmt: skip
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# For each kind of content: the events' name, and the field that holds its text.
_CONTENT = {
    "text": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning": ("reasoning_text", "text"),
}
_PREFIX = {"text": "msg", "refusal": "msg", "reasoning": "rs", "call": "fc"}


def responses_error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an error, which is that of chat completions."""
    return {"error": error}


class ResponsesWriter(Writer):
    """Writes the response that answers a client's body."""

    def __init__(self, body: Mapping[str, Any]):
        super().__init__(body.get("reasoning") is not None)
        given = {name: body[name] for name in _SHOWN if body.get(name) is not None}
        self._shown = _SHOWN | given
        self._events = 0

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the response without output."""
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", response=self._response("in_progress", [], None))

    def step(self, step: Step) -> Iterator[dict[str, Any]]:
        """Yield the events of an output item."""
        part = step.part
        where = {"output_index": step.place, "item_id": self._name(step.place, part)}
        if part.kind == "call":
            name, field = "function_call_arguments", "arguments"
        else:
            content, field = _CONTENT[part.kind]
            name, where = content, where | {"content_index": 0}
        logprobs: dict[str, Any] = {"logprobs": []} if part.kind == "text" else {}
        if step.what == "more":
            yield self._event(f"response.{name}.delta", **where, delta=step.piece, **logprobs)
            return
        if step.what == "begin":
            item = self._item(step.place, part, "in_progress", begun=False)
            yield self._event("response.output_item.added", output_index=step.place, item=item)
            if part.kind != "call":
                yield self._event("response.content_part.added", **where, part=_content(part, ""))
            return
        more = {"name": part.name} if part.kind == "call" else logprobs
        yield self._event(f"response.{name}.done", **where, **{field: part.text}, **more)
        if part.kind != "call":
            yield self._event("response.content_part.done", **where, part=_content(part, part.text))
        item = self._item(step.place, part, self._status_of(step.place))
        yield self._event("response.output_item.done", output_index=step.place, item=item)

    def end(self) -> Iterator[dict[str, Any]]:
        """Yield the whole response."""
        response = self.whole()
        yield self._event(f"response.{response['status']}", response=response)

    def failed(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event of an error: as it is documented, and as OpenAI's clients look for it."""
        code = error.get("code") or error.get("type")
        message = f"{message_of(error) or 'the server failed'}."
        said = {"code": code if isinstance(code, str) else None, "message": message, "param": None}
        return self._event("error", **said, error=said)

    def whole(self) -> dict[str, Any]:
        """Return the response."""
        output = [self._item(i, part, self._status_of(i)) for i, part in enumerate(self.parts.parts)]
        return self._response(self._status, output, self._usage())

    @property
    def _status(self) -> str:
        return "incomplete" if self.parts.finish in _INCOMPLETE else "completed"

    def _status_of(self, place: int) -> str:
        """Return the status of an item: only the last one can have been cut off."""
        return self._status if place == len(self.parts.parts) - 1 else "completed"

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._events += 1
        return {"type": kind, "sequence_number": self._events - 1, **fields}

    def _response(self, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        why = _INCOMPLETE.get(self.parts.finish or "") if status == "incomplete" else None
        return {
            "id": f"resp_{self.parts.id}", "object": "response", "created_at": self.parts.created, "status": status,
            "background": False, "error": None, "incomplete_details": None if why is None else {"reason": why},
            "model": self.parts.model, "output": output, "previous_response_id": None, "store": False,
            "truncation": "disabled", "usage": usage, **self._shown,
        }  # fmt: skip

    def _name(self, place: int, part: Part) -> str:
        return f"{_PREFIX[part.kind]}_{self.parts.id}_{place}"

    def _item(self, place: int, part: Part, status: str, begun: bool = True) -> dict[str, Any]:
        name = {"id": self._name(place, part), "status": status}
        if part.kind == "call":
            arguments = part.text if begun else ""
            return {"type": "function_call", **name, "call_id": part.id, "name": part.name, "arguments": arguments}
        content = [_content(part, part.text)] if begun else []
        if part.kind == "reasoning":
            return {"type": "reasoning", **name, "summary": [], "content": content}
        return {"type": "message", **name, "role": "assistant", "content": content}

    def _usage(self) -> dict[str, Any]:
        usage = self.parts.usage
        given, answered = usage.input_tokens or 0, usage.output_tokens or 0
        return {
            "input_tokens": given, "input_tokens_details": {"cached_tokens": usage.cached_tokens},
            "output_tokens": answered, "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            "total_tokens": given + answered,
        }  # fmt: skip


def _content(part: Part, text: str) -> dict[str, Any]:
    name, field = _CONTENT[part.kind]
    more: dict[str, Any] = {"annotations": [], "logprobs": []} if part.kind == "text" else {}
    return {"type": name, field: text, **more}

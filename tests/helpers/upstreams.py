"""An OpenAI-compatible server that streams, for tests of the gateway: a real aiohttp server on the loopback.

    with Upstream(["5", "7", "7"]) as server:      # what each request is answered; then "42"
        ...  # requests to server.url
    server.bodies, server.headers                  # what came

A text may be a callable(request, body) that returns a response. Streams come in pieces, `pause` seconds apart.
"""

import asyncio
import json
import random
import re

from aiohttp import web

from tcalloc.llm.concurrency import event_loop


def document(body, text, tokens=7, **fields):
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for i in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": tokens * len(choices), "total_tokens": 10 + tokens}
    usage["prompt_tokens_details"] = {"cached_tokens": 2}
    return {
        "id": f"chatcmpl-{next(NUMBERS)}", "object": "chat.completion", "created": 1, "model": body["model"],
        "system_fingerprint": "fp_1", "choices": choices, "usage": usage,
    } | fields  # fmt: skip


NUMBERS = iter(range(1 << 30))


class Upstream:
    def __init__(self, texts=(), default="The answer is 42.", pause=0.0):
        self.texts, self.default, self.pause = list(texts), default, pause
        self.bodies, self.headers, self.cut = [], [], 0
        self._runner = None

    def __enter__(self):
        event_loop.run(self._start())
        return self

    def __exit__(self, *_):
        event_loop.run(self._runner.cleanup())

    async def _start(self):
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._chat), web.get("/v1/models", self._models)])
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _models(self, request):
        return web.json_response({"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    async def _chat(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        text = self.texts.pop(0) if self.texts else self.default
        try:
            if callable(text):
                return await text(request, body)
            if body.get("stream"):
                return await self.stream(request, body, text)
            await asyncio.sleep(self.pause)
            return web.json_response(document(body, text))
        except asyncio.CancelledError:
            self.cut += 1
            raise

    async def stream(self, request, body, text, breaks=False):
        whole = document(body, text)
        head = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(choices, **fields):
            await response.write(b"data: " + json.dumps(head | {"choices": choices} | fields).encode() + b"\n\n")

        for word in text.split(" "):
            await send([{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}])
            await asyncio.sleep(self.pause)
        if breaks:
            request.transport.abort()
            return response
        await send([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if body.get("stream_options", {}).get("include_usage"):
            await send([], usage=whole["usage"])
        await response.write(b"data: [DONE]\n\n")
        return response


class Simulated(Upstream):
    """A model that is right with a chance of its own for each question: 0.95 if its first number is even, else `hard`.

    `usual` is the answer that it gives then; it may be changed at any time, as `hard` may.
    """

    def __init__(self, hard=0.5, seed=0, **options):
        super().__init__(**options)
        self.hard, self.tokens, self._random = hard, 7, random.Random(seed)

    async def _chat(self, request):
        body = await request.json()
        self.bodies.append(body)
        number = int(re.search(r"\d+", body["messages"][-1]["content"])[0])
        await asyncio.sleep(self.pause)
        texts = []
        for _ in range(body.get("n", 1)):
            right = self._random.random() < (self.hard if number % 2 else 0.95)
            texts.append(f"It is {number if right else self._random.randrange(5000, 5005)}.")
        whole = document(body, "", self.tokens)
        for choice, text in zip(whole["choices"], texts, strict=True):
            choice["message"]["content"] = text
        return web.json_response(whole)


def refusal(status, message="no", headers=None, **fields):
    async def answer(request, body):
        return web.json_response({"error": {"message": message, **fields}}, status=status, headers=headers)

    return answer


def whole(message, finish_reason="stop", **choice):
    """One choice with this message."""

    async def answer(request, body):
        found = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish_reason} | choice
        return web.json_response(document(body, None, choices=[found]))

    return answer


def streamed(deltas, finish_reason="stop"):
    """A stream of these deltas."""

    async def answer(request, body):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
        chunks.append({"choices": [], "usage": document(body, None)["usage"]})
        for chunk in chunks:
            head = {"id": "chatcmpl-7", "model": "tiny", "object": "chat.completion.chunk"}
            await response.write(b"data: " + json.dumps(head | chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    return answer


def call(text, name="weather", id="c1", index=None):
    """A call of a tool; with its number in a stream."""
    found = {"id": id, "type": "function", "function": {"name": name, "arguments": text}}
    return found if index is None else found | {"index": index}


def more(text, index):
    """A delta: more arguments of a call."""
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}

"""A server that holds recorded samples, and answers with them in the recorded order.

The gateway gives each sample of a vote a seed of its own, made from the seed of the request, the question and the
sample's number. This server makes the same seeds, and so knows which of the recorded samples is asked for, however
many requests come at a time. A request with another seed gets the first sample.
"""

import json
from typing import Any, Self

from aiohttp import web

from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.concurrency import event_loop
from tcalloc.measure import Samples

__all__ = ["NONE", "SEED", "RecordedServer", "answer_text", "code_of"]

# What requests to the gateway name as their seed.
SEED = 20_240
# The answer code of a sample that has none.
NONE = -1
_SILENT = "I do not know."


def answer_text(code: int) -> str:
    """Return a completion that gives an answer, by its code in the table."""
    return _SILENT if code == NONE else f"The answer is {code}."


def code_of(text: str) -> int:
    """Return the code of the answer in a completion."""
    return NONE if text == _SILENT else int(text.removeprefix("The answer is ").removesuffix("."))


class RecordedServer:
    """Recorded samples behind ``/v1/chat/completions``, on a loopback port of this process.

    Parameters
    ----------
    samples : Samples
        Those of one model or several.
    texts : list of str
        The questions, one per row.
    """

    def __init__(self, samples: Samples, texts: list[str]):
        self._arms, self._rows = samples.by_model, {text: row for row, text in enumerate(texts)}
        self._size = max(arm.drawn.shape[1] for arm in self._arms.values())
        self._seeds: dict[str, dict[int, int]] = {}
        self._seed = ChatClient("http://127.0.0.1/v1", "recorded", Parameters(seed=SEED), key=None).seed
        self.requests = 0
        self.billed = 0
        """Completion tokens of all replies."""

    def __enter__(self) -> Self:
        event_loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        event_loop.run(self._runner.cleanup())

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._chat)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _chat(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.json()
        document = self.completion(body)
        if document is None:
            return web.json_response({"error": {"message": "no more samples were recorded."}}, status=400)
        self.billed += document["usage"]["completion_tokens"]
        return web.Response(body=json.dumps(document).encode(), content_type="application/json")

    def completion(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the reply to a request; None if so many samples were not recorded.

        Parameters
        ----------
        body : dict
            The request.
        """
        text, model = body["messages"][-1]["content"], body["model"]
        arm, row = self._arms[model if model in self._arms else next(iter(self._arms))], self._rows[text]
        number = self._numbers(text).get(body.get("seed"), 0)
        if number >= arm.drawn.shape[1] or not arm.drawn[row, number]:
            return None
        tokens = 1 if arm.tokens is None else int(arm.tokens["output"][row, number])
        said = {"role": "assistant", "content": answer_text(int(arm.answers[row, number]))}
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
        return {
            "id": f"chatcmpl-{self.requests}", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": said, "finish_reason": "stop"}], "usage": usage,
        }  # fmt: skip

    def _numbers(self, text: str) -> dict[int, int]:
        """Return the number of each sample of a question, by its seed."""
        found = self._seeds.get(text)
        if found is None:
            # "0" is the name of the question of each request; see `Asked.question`.
            found = self._seeds[text] = {self._seed(f"0\0{text}", j) or 0: j for j in range(self._size)}
        return found

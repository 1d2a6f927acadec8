"""One call of a wrapped client: from what the SDK sends to what it receives."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tcalloc._checks import one_of
from tcalloc.errors import InputError
from tcalloc.llm.concurrency.event_loop import Call, bridge, run, supervise_async
from tcalloc.llm.graders import Grader
from tcalloc.serve.gateway.asked import Asked, BadRequest, asked_of, body_of
from tcalloc.serve.gateway.requests import BROKEN, Answering, Reply
from tcalloc.serve.wrapping.sending import EXTRACT, ClientUpstream, LoopCarrier, OwnRequest, ThreadCarrier

__all__ = ["Handling", "Taken"]

_log = logging.getLogger("tcalloc.wrap")

# Headers of a server's reply that belong to its connection or its body.
_OF_THE_REPLY = ("content-length", "content-encoding", "content-type", "transfer-encoding", "connection")


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that is answered here."""

    asked: Asked
    grader: Grader | None


class Handling:
    """What a wrapped client does with chat completions.

    `library` is the HTTP library of the SDK: httpx, or httpx2. The upstream of `answering` is a `ClientUpstream`. A
    request may choose what finds the answers by its name in `graders`; "default" is that of the others.
    """

    def __init__(self, library: Any, answering: Answering, graders: Mapping[str, Grader | None]):
        self._library, self._answering, self._graders = library, answering, graders

    # ------------------------------------------------------------------------------------------ what is answered here

    def take(self, request: Any) -> Any:
        """Return what is answered here (`Taken`); None for a request that is sent as it is, or else its refusal."""
        if request.method != "POST" or not request.url.path.rstrip("/").endswith("/chat/completions"):
            return None
        try:
            name = request.headers.get(EXTRACT, "default")
            one_of(EXTRACT, name, self._graders)
            asked = asked_of(body_of(request.content))
        except InputError as error:
            return self._refusal(request, str(error))
        except BadRequest as error:
            # The server would say so too; without a budget it has the last word.
            return None if self._answering.keeper is None else self._refusal(request, str(error))
        except Exception as error:  # a body that is sent piece by piece
            if self._answering.keeper is not None:
                return self._refusal(request, "the body cannot be read before it is sent.")
            self._plainly("it could not be read", error)
            return None
        if "idempotency-key" in request.headers and asked.unvoted is None:
            asked = replace(asked, unvoted="idempotency key")  # one key for all samples would be one sample
        return Taken(asked, self._graders[name])

    def _refusal(self, request: Any, message: str) -> Any:
        error = {"message": message, "type": "invalid_request_error", "code": "invalid_request"}
        return self._library.Response(400, json={"error": error}, request=request)

    # ------------------------------------------------------------------------------------------ answering it

    def blocking(self, taken: Taken, client: Any, request: Any, options: Mapping[str, Any]) -> Any | None:
        """Return the response to a request, and block until it is there; None: send it as it is."""
        own = OwnRequest(request, taken.asked.model, ThreadCarrier(client, options))
        try:
            reply = run(self._reply(taken, own))
        except Exception as error:
            self._plainly("it failed", error)
            return None
        return self._guarded(reply, own, request, self._library.SyncByteStream, _blocking_methods)

    async def awaiting(self, taken: Taken, client: Any, request: Any, options: Mapping[str, Any]) -> Any | None:
        """Return the response to a request; None: send it as it is."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._plainly("its event loop is not one of asyncio", None)
            return None
        own = OwnRequest(request, taken.asked.model, LoopCarrier(client, options, loop))
        try:
            reply = await _to_its_end(self._reply(taken, own))
        except Exception as error:
            self._plainly("it failed", error)
            return None
        return self._guarded(reply, own, request, self._library.AsyncByteStream, _awaiting_methods)

    def _reply(self, taken: Taken, own: OwnRequest) -> Coroutine[Any, Any, Reply]:
        upstream = self._answering.upstream
        assert isinstance(upstream, ClientUpstream)
        return replace(self._answering, upstream=upstream.by(own)).reply(taken.asked, taken.grader)

    def _plainly(self, what: str, error: Exception | None) -> None:
        why = "" if error is None else f" ({type(error).__name__})"
        _log.warning("a request is sent as it is, without tcalloc: %s%s", what, why)

    def _guarded(self, reply: Reply, own: OwnRequest, *how: Any) -> Any | None:
        """Return the response; None if it cannot be made."""
        try:
            return self._response(reply, own, *how)
        except Exception as error:
            if error is own.error:
                raise
            self._plainly("its reply could not be made", error)
            return None

    def _response(
        self, reply: Reply, own: OwnRequest, request: Any, base: Any, methods: Callable[..., dict[str, Any]]
    ) -> Any | None:
        """Return a reply as the HTTP library's response; raise what the connection was lost by."""
        document = reply.document
        if document is not None and document.get("error") is BROKEN:
            self._plainly("it failed", None)
            return None
        if reply.status >= 500 and own.error is not None:
            raise own.error  # what the SDK knows: it asks again, or raises its own error
        headers = {name: own.redact(value) for name, value in own.headers.items() if name not in _OF_THE_REPLY}
        headers |= reply.headers
        body: dict[str, Any]
        if reply.stream is not None:
            headers["content-type"] = "text/event-stream; charset=utf-8"
            body = {"stream": type("Pieces", (base,), methods(reply))()}
        else:
            if reply.status == 200:
                document = {**(document or {}), "tcalloc": _decided(reply.headers)}
            headers["content-type"] = "application/json"
            body = {"content": json.dumps(document, separators=(",", ":")).encode()}
        response = self._library.Response(reply.status, headers=headers, request=request, **body)
        response.elapsed = timedelta(seconds=time.monotonic() - own.started)
        return response


def _decided(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return what was decided, as the field of a completion."""
    said = {name.removeprefix("x-tcalloc-").replace("-", "_"): value for name, value in headers.items()}
    share = said.get("vote_share")
    return {
        "action": said.get("action"),
        "reason": said.get("reason"),
        "samples": int(said.get("samples", 0)),
        "spend": float(said.get("spend", 0.0)),
        "vote_share": None if share is None else float(share),
    }


async def _to_its_end(work: Coroutine[Any, Any, Reply]) -> Reply:
    """Await a reply from any loop; a caller that is cancelled waits until what was spent is settled."""
    call, found = Call(), list[Reply | Exception]()

    async def keep() -> None:
        try:
            found.append(await work)
        except Exception as error:
            found.append(error)

    await supervise_async(call.side_by_side([keep()]), call, grace=0.0)
    if not found:
        raise asyncio.CancelledError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class _Pieces:
    """A reply's stream, piece by piece, on the loop of all requests."""

    def __init__(self, reply: Reply):
        assert reply.stream is not None
        self._stream, self._end = reply.stream, reply.end

    async def next(self) -> bytes | None:
        """Return the next piece; None: there is none."""
        return await anext(self._stream, None)

    async def close(self) -> None:
        """Settle what it cost, once."""
        end, self._end = self._end, None
        if end is not None:
            await end()


def _blocking_methods(reply: Reply) -> dict[str, Any]:
    """Return the methods of a ``SyncByteStream``."""
    pieces = _Pieces(reply)

    def each(self: Any) -> Any:
        while (piece := run(pieces.next())) is not None:
            yield piece

    return {"__iter__": each, "close": lambda self: run(pieces.close())}


def _awaiting_methods(reply: Reply) -> dict[str, Any]:
    """Return the methods of an ``AsyncByteStream``."""
    pieces = _Pieces(reply)

    async def each(self: Any) -> Any:
        while (piece := await bridge(pieces.next())) is not None:
            yield piece

    async def close(self: Any) -> None:
        await bridge(pieces.close())

    return {"__aiter__": each, "aclose": close}

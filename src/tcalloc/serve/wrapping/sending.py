"""How the samples of one wrapped request are sent: by the user's own HTTP client.

So proxies, certificates, headers, keys and time-outs are those that the user has set. A blocking client sends from
threads of tcalloc, an asynchronous one on the event loop of its caller.
"""

import asyncio
import copy
import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote

from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.crew import Crew
from tcalloc.llm.concurrency.limits import most_threads
from tcalloc.llm.http.keys import Key
from tcalloc.llm.http.transport import Exchange, Lost, Sender, Timeouts
from tcalloc.serve.gateway.upstream import Recorder, Upstream

__all__ = ["EXTRACT", "Carrier", "ClientUpstream", "LoopCarrier", "OwnRequest", "ThreadCarrier"]

# The header by which one request chooses what finds its answers; the server does not get it.
EXTRACT = "x-tcalloc-extract"
# Headers of a request that depend on its body.
_OF_THE_BODY = ("content-length", "transfer-encoding", EXTRACT)
# Errors after which no server can have billed anything.
_UNSENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError")

Look = Callable[[bytes], object]
# Gets a response and a piece of its body, in the thread that reads it.
Piece = Callable[[Any, bytes], object]


class Carrier(Protocol):
    """Sends one request, and reads its reply."""

    async def carry(self, request: Any, piece: Piece) -> tuple[Any, bytes]:
        """Return the response and its body; `piece` gets the body as it comes."""


class ThreadCarrier:
    """Sends by a blocking client, from threads; `options` are how the SDK has it send, such as ``follow_redirects``."""

    def __init__(self, client: Any, options: Mapping[str, Any]):
        self._client, self._options = client, options

    async def carry(self, request: Any, piece: Piece) -> tuple[Any, bytes]:
        """Return the response and its body."""
        given_up = threading.Event()
        try:
            return await _threads(os.getpid()).run(self._carry, request, piece, given_up)
        except asyncio.CancelledError:
            given_up.set()  # the thread ends with the next piece that comes
            raise

    def _carry(self, request: Any, piece: Piece, given_up: threading.Event) -> tuple[Any, bytes]:
        if given_up.is_set():
            return None, b""
        response = self._client.send(request, stream=True, **self._options)
        pieces = []
        try:
            for one in response.iter_bytes():
                if given_up.is_set():
                    break
                pieces.append(one)
                piece(response, one)
        finally:
            response.close()
        return response, b"".join(pieces)


class LoopCarrier:
    """Sends by an asynchronous client, on the loop of its caller, which is running."""

    def __init__(self, client: Any, options: Mapping[str, Any], loop: asyncio.AbstractEventLoop):
        self._client, self._options, self._loop = client, options, loop

    async def carry(self, request: Any, piece: Piece) -> tuple[Any, bytes]:
        """Return the response and its body."""
        work = self._carry(request, piece)
        if self._loop is asyncio.get_running_loop():
            return await work
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the caller's loop is closed
            work.close()
            raise
        return await asyncio.wrap_future(future)

    async def _carry(self, request: Any, piece: Piece) -> tuple[Any, bytes]:
        response = await self._client.send(request, stream=True, **self._options)
        pieces = []
        try:
            async for one in response.aiter_bytes():
                pieces.append(one)
                piece(response, one)
        finally:
            await response.aclose()
        return response, b"".join(pieces)


class OwnRequest:
    """One request of the SDK, which names a model; those for its samples are made from it."""

    def __init__(self, request: Any, model: str, carrier: Carrier):
        self._request, self._model, self._carrier = request, model, carrier
        self.headers: Mapping[str, str] = {}
        """Those of the last reply."""
        self.error: Exception | None = None
        """Why the last try brought no reply."""
        self.key = _key_of(request)
        self.started = time.monotonic()

    def redact(self, text: str) -> str:
        """Return a text of the server without the key."""
        return text if self.key is None else self.key.redact(text)

    def sender(self, model: str) -> Sender:
        """Return what sends the samples of a model."""
        return _Sender(self, model)

    async def exchange(self, model: str, body: bytes | None, look: Look | None) -> Exchange | Lost:
        """Send one body, on the loop of `tcalloc.llm.concurrency.event_loop`; see `Transport.exchange`."""
        loop, here = asyncio.get_running_loop(), threading.current_thread()

        def relay(response: Any, piece: bytes) -> None:
            self.headers = response.headers
            if look is None or response.status_code != 200:
                return
            if threading.current_thread() is here:
                look(piece)
            else:
                loop.call_soon_threadsafe(look, piece)

        self.error = None
        try:
            async with event_loop.request_slot():
                response, content = await self._carrier.carry(self._made(model, body), relay)
        except Exception as error:
            self.error = error
            host = self._request.url.host
            sent = not any(one.__name__ in _UNSENT for one in type(error).__mro__)
            return Lost(f"the connection to {host} was lost" if sent else f"no connection to {host}", sent)
        self.headers = response.headers
        return Exchange.of(response.status_code, response.headers, content, self.key)

    def _made(self, model: str, body: bytes | None) -> Any:
        request = self._request
        url = str(request.url)
        if model != self._model:  # Azure has the model in the path
            url = url.replace(f"/deployments/{quote(self._model)}/", f"/deployments/{quote(model)}/", 1)
        headers = [pair for pair in request.headers.raw if pair[0].lower().decode() not in _OF_THE_BODY]
        return type(request)(request.method, url, headers=headers, content=body, extensions=request.extensions)


class _Sender:
    """Sends the samples of one model; see `tcalloc.llm.http.transport.Sender`."""

    def __init__(self, own: OwnRequest, model: str):
        self._own, self._model = own, model

    async def exchange(self, body: bytes | None, look: Look | None = None) -> Exchange | Lost:
        """Send one body."""
        return await self._own.exchange(self._model, body, look)

    def reconnect(self) -> None:
        """Do nothing: the connections are the user's."""

    def close(self) -> None:
        """Do nothing, for the same reason."""


class ClientUpstream(Upstream):
    """The server that a wrapped client asks, by the URL that the SDK has."""

    def __init__(self, base_url: str, rates: Rates | None):
        super().__init__(base_url, None, rates, Timeouts())
        self._own: OwnRequest | None = None

    def by(self, own: OwnRequest) -> "ClientUpstream":
        """Return the same server for one request; what is known of it is shared."""
        other = copy.copy(self)
        other._own, other._key = own, own.key
        return other

    def recorder(self, model: str, relay: Look | None = None) -> Recorder:
        """Return the transport of one request."""
        assert self._own is not None
        return Recorder(self._own.sender(model), relay)


@lru_cache(maxsize=1)
def _threads(process: int) -> Crew:
    """Return the threads that send for blocking clients; the child of a fork has its own."""
    return Crew(4 * most_threads())


def _key_of(request: Any) -> Key | None:
    """Return the key that a request carries, to remove it from what a server says."""
    _, _, secret = request.headers.get("authorization", "").partition(" ")
    secret = secret.strip() or request.headers.get("api-key", "")
    try:
        return Key(secret, request.url.host) if secret else None
    except InputError:
        return None

"""The gateway's server: routes, keys, start, stop and the change of the policy while it runs.

It runs on the event loop of all requests (`tcalloc.llm.concurrency.event_loop`), so nothing is handed from one loop to
another.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from tcalloc._checks import one_of
from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.protocol import Policy
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.graders import Grader, make_grader
from tcalloc.llm.http.keys import Key, is_loopback
from tcalloc.llm.http.transport import Exchange, Timeouts
from tcalloc.serve.gateway.asked import BadRequest, asked_of, body_of
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.exploring import Explored
from tcalloc.serve.gateway.live_policy import served_policy
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.requests import Answering, Reply
from tcalloc.serve.gateway.upstream import Upstream
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

__all__ = ["EXTRACTORS", "Gateway"]

_log = logging.getLogger("tcalloc.gateway")

# What a request may name in the header x-tcalloc-extract. Others are set at the start: they run code or patterns.
EXTRACTORS = ("numeric", "choice", "exact", "normalized")
MOST_BYTES = 64 << 20
# How its command line calls the most that a question may cost.
CAP = "--cap-per-question"


class Gateway:
    """An OpenAI-compatible server that draws as many samples as a policy decides, and returns one voted answer.

    Parameters
    ----------
    upstream : str
        The URL of the server that answers, up to ``/v1``.
    policy : Policy
        Decides how much is spent on each request.
    key : Key, optional
        The key of that server. The keys of clients never go there.
    rates : Rates, optional
        What its tokens cost.
    sending : Sending, optional
        How samples are asked for.
    keeper : BudgetKeeper, optional
        A budget that all requests share; needs `rates`, and `Sending.max_tokens`.
    extract : str or Grader
        Finds the answers that are voted on; "none": no votes. See `make_grader`.
    client_keys : sequence of str
        The keys of clients; empty: none is asked for, which is allowed on the loopback alone.
    host, port
        Where it listens; port 0 is any free one.
    explore : float
        The share of requests of which all samples are drawn and stored.
    store : path, optional
        The run folder of these.
    store_texts : bool
        Whether it holds texts.
    timeouts : Timeouts, optional
        How long the server is waited for.

    Raises
    ------
    InputError
        If an argument is not allowed, or the policy cannot be served.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(
        self,
        upstream: str,
        policy: Policy,
        *,
        key: Key | None = None,
        rates: Rates | None = None,
        sending: Sending | None = None,
        keeper: BudgetKeeper | None = None,
        extract: Any = "numeric",
        client_keys: Sequence[str] = (),
        host: str = "127.0.0.1",
        port: int = 9000,
        explore: float = 0.0,
        store: str | os.PathLike[str] | None = None,
        store_texts: bool = False,
        timeouts: Timeouts | None = None,
    ):
        try:
            from aiohttp import web
        except ImportError:
            raise MissingExtraError("the gateway needs aiohttp: pip install 'tcalloc[llm]'") from None
        self._web: Any = web
        sending = sending or Sending()
        if not client_keys and not is_loopback(host):
            raise InputError(
                f"host is {host!r}: others than this machine could spend your money. Name the keys of clients "
                "(--client-keys-env), or listen on 127.0.0.1."
            )
        if keeper is not None and (rates is None or sending.max_tokens is None):
            raise InputError("a budget needs rates and max_tokens: without them no request has a highest cost.")
        if not 0.0 <= explore <= 1.0:
            raise InputError(f"explore is {explore}; expected a share from 0 to 1.")
        if (explore > 0) != (store is not None):
            raise InputError("explore and its run folder (--traffic) belong together; give both.")
        served = served_policy(policy, keeper, CAP)
        self._graders: dict[str, Grader | None] = {"none": None}
        self._extract = "default"
        self._graders["default"] = None if extract == "none" else make_grader(extract)
        for name in EXTRACTORS:
            self._graders[name] = make_grader(name)
        # Compared by their hashes, so that nothing that prints attributes prints a key.
        self._keys = tuple(hashlib.sha256(one.encode()).digest() for one in client_keys)
        self._at, self._keeper = (host, port), keeper
        self.metrics = Metrics()
        self._explored = None if store is None else Explored(store, store_texts)
        self._answering = Answering(
            Upstream(upstream, key, rates, timeouts or Timeouts()), served, sending, keeper, self.metrics,
            self._explored, explore,
        )  # fmt: skip
        self._runner: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cleaned
    def __repr__(self) -> str:
        return f"Gateway({self.url!r})"

    @property
    def url(self) -> str:
        """The URL for clients, up to ``/v1``."""
        host, port = self._at
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"

    def start(self) -> None:
        """Listen.

        Raises
        ------
        InputError
            If the address is taken.
        """
        event_loop.run(self._start())

    def close(self) -> None:
        """Take no more requests, wait for those under way, and close everything."""
        if self._runner is not None:
            event_loop.run(self._runner.cleanup())
            self._runner = None
        self._answering.upstream.close()
        if self._explored is not None:
            self._explored.close()
        for grader in self._graders.values():
            close = getattr(grader, "close", None)
            if close is not None:
                close()

    def serve(self, policy: Policy) -> None:
        """Serve another policy from now on; requests under way end with the one they began with.

        Raises
        ------
        InputError
            If it cannot be served; the old one stays.
        """
        self._answering.served = served_policy(policy, self._keeper, CAP)

    async def _start(self) -> None:
        web = self._web
        app = web.Application(client_max_size=MOST_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._completions),
                web.get("/v1/models", self._models),
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=10.0)
        await runner.setup()
        host, port = self._at
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise InputError(f"{host}:{port} cannot be listened on ({error.strerror or 'taken'}).") from None
        self._runner, self._at = runner, (host, runner.addresses[0][1])

    # ------------------------------------------------------------------------------------------ routes

    def _refused(self, request: Any) -> Any | None:
        """Return the refusal of a client without a key; None: it may go on."""
        if not self._keys:
            # A page in a browser can give its own name the address of this machine.
            if is_loopback(urlsplit(f"//{request.host}").hostname):
                return None
            return self._error(403, "the Host must be this machine's.", "forbidden")
        given = request.headers.get("Authorization", "")
        word, _, key = given.partition(" ")
        key = key.strip() if word.lower() == "bearer" else request.headers.get("x-api-key", "")
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        matches = [hmac.compare_digest(digest, one) for one in self._keys]
        if any(matches):  # after all were compared
            return None
        return self._error(401, "a key of this gateway is needed: Authorization: Bearer KEY.", "invalid_api_key")

    def _error(self, status: int, message: str, code: str) -> Any:
        kind = "invalid_request_error"
        return self._json(status, {"error": {"message": message, "type": kind, "code": code}}, {})

    def _json(self, status: int, document: Any, headers: Any) -> Any:
        body = json.dumps(document, separators=(",", ":")).encode()
        return self._web.Response(status=status, body=body, content_type="application/json", headers=headers)

    async def _completions(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        if request.content_type != "application/json":  # a page in a browser can send all others unasked
            return self._error(415, "the Content-Type must be application/json.", "unsupported_media_type")
        name = request.headers.get("x-tcalloc-extract", self._extract)
        try:
            one_of("x-tcalloc-extract", name, (*EXTRACTORS, "none", "default"))
            asked = asked_of(body_of(await request.read()))
        except (BadRequest, InputError) as error:
            return self._error(400, str(error), "invalid_request")
        except self._web.HTTPRequestEntityTooLarge:
            return self._error(413, f"the body is larger than {MOST_BYTES:,} bytes.", "too_large")
        reply = await self._answering.reply(asked, self._graders[name])
        if reply.stream is None:
            return self._json(reply.status, reply.document, reply.headers)
        return await self._streamed(request, reply, reply.stream)

    async def _streamed(self, request: Any, reply: Reply, stream: AsyncIterator[bytes]) -> Any:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **reply.headers}
        response = self._web.StreamResponse(status=reply.status, headers=headers)
        try:
            with contextlib.suppress(ConnectionError):  # the client is gone
                await response.prepare(request)
                async for piece in stream:
                    await response.write(piece)
                await response.write_eof()
        finally:
            if reply.end is not None:
                await reply.end()
        return response

    async def _models(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        found = await self._answering.upstream.models()
        if isinstance(found, Exchange) and found.status == 200:
            text = self._answering.upstream.redact(found.body.decode("utf-8", "replace"))
            return self._web.Response(body=text.encode(), content_type="application/json")
        status, error, headers = self._answering.upstream.refusal(found)
        return self._json(status, {"error": error}, headers)

    async def _health(self, request: Any) -> Any:
        return self._json(200, {"status": "ok"}, {})

    async def _metrics(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        status = None
        if self._keeper is not None:
            try:
                status = await event_loop.crew().run(self._keeper.status)
            except Exception as error:  # the state is not reachable; the rest is known
                _log.warning("the budget could not be read (%s)", type(error).__name__)
        body = self.metrics.text(status).encode()
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return self._web.Response(body=body, headers=kind)

"""The gateway's server: routes, keys, start, stop, and another policy while it runs.

It runs on the event loop of all requests (`tcalloc.llm.concurrency.event_loop`), so nothing is handed from one loop to
another.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self
from urllib.parse import urlsplit

from tcalloc._checks import number, one_of, whole
from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError, MissingExtraError, TcallocError
from tcalloc.learn.protocol import Policy
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.graders import Grader, make_grader
from tcalloc.llm.http.keys import Key, is_loopback
from tcalloc.llm.http.transport import Exchange, Timeouts
from tcalloc.measure.labels import FEWEST
from tcalloc.serve.gateway.asked import EXTRACTORS, BadRequest
from tcalloc.serve.gateway.bodies import MOST_BYTES, asked_in
from tcalloc.serve.gateway.decisions import served_policy
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.exploring import Explored
from tcalloc.serve.gateway.forms.form import CHAT, Form
from tcalloc.serve.gateway.forms.messages import MESSAGES
from tcalloc.serve.gateway.forms.responses import RESPONSES
from tcalloc.serve.gateway.http_faults import tidied
from tcalloc.serve.gateway.learning import Learning
from tcalloc.serve.gateway.listening import Listener
from tcalloc.serve.gateway.metrics import Metrics
from tcalloc.serve.gateway.page.routes import Page
from tcalloc.serve.gateway.requests import Answering, Reply
from tcalloc.serve.gateway.upstream import Upstream
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.status import Status

__all__ = ["Gateway"]

_log = logging.getLogger("tcalloc.gateway")

# How its command line calls the most that a question may cost.
CAP = "--cap-per-question"
TWICE = "this URL has /v1 twice. Anthropic's clients add it themselves: give them a base_url without it."
# Samples of one model on an explored request.
MOST_EXPLORED = 256
# Seconds.
MONTH = 30 * 86400.0


class Gateway:
    """A server that draws as many samples as a policy decides, and returns one voted answer.

    It answers in the forms of OpenAI's chat completions and responses, and of Anthropic's messages. The server behind
    it needs the first of these alone.

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
        The keys of clients; empty: none is asked for, which is allowed on this machine's own addresses only.
    host, port
        Where it listens; port 0 is any free one.
    explore : float
        The share of the requests that are explored: all their samples are drawn and stored.
    explore_samples : int, optional
        Samples of each model on an explored request. Default: the most that the policy may draw, and at least 8.
    store : path, optional
        The run folder of explored requests.
    store_texts : bool
        Whether this folder holds questions, completions and answers.
    keep_texts : float
        Seconds after which these are removed, at the start and every hour. Default: 30 days.
    reload : callable, optional
        Returns the policy anew, for `Gateway.reload`.
    timeouts : Timeouts, optional
        How long the server is waited for.
    client_timeout : float
        Seconds within which a client must send a header, and then a body, and take the next piece of a stream.

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
        explore_samples: int | None = None,
        store: str | os.PathLike[str] | None = None,
        store_texts: bool = False,
        keep_texts: float = MONTH,
        reload: Callable[[], Policy] | None = None,
        timeouts: Timeouts | None = None,
        client_timeout: float = 60.0,
    ):
        try:
            from aiohttp import web
        except ImportError:
            raise MissingExtraError("the gateway needs aiohttp: pip install 'tcalloc[serve]'") from None
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
        if explore_samples is not None:
            whole("explore_samples", explore_samples, FEWEST, MOST_EXPLORED)
        self._explore_samples = explore_samples
        served = served_policy(policy, keeper, CAP, explore_samples)
        usual: Grader | None = None if extract == "none" else make_grader(extract)
        self._graders = {"none": None, "default": usual} | {name: make_grader(name) for name in EXTRACTORS}
        # Compared by their hashes, so that nothing that prints attributes prints a key.
        self._keys = tuple(hashlib.sha256(one.encode()).digest() for one in client_keys)
        self._at, self._keeper = (host, port), keeper
        self.metrics = Metrics()
        self._learning = None if store is None else Learning(Explored(store, store_texts, keep_texts), served)
        self._answering = Answering(
            Upstream(upstream, key, rates, timeouts or Timeouts()), served, sending, keeper, self.metrics,
            self._learning, explore,
        )  # fmt: skip
        self._reload, self._reloading = reload, threading.Lock()
        self._patience = number("client_timeout", client_timeout)
        self._listener = Listener(web, self._patience)
        self._reviews: asyncio.Task[None] | None = None

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
        event_loop.run(self._stop())
        self._answering.upstream.close()
        if self._learning is not None:
            self._learning.close()
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
        served = served_policy(policy, self._keeper, CAP, self._explore_samples)
        if self._learning is not None:
            self._learning.serve(served)
        self._answering.served = served

    def reload(self) -> None:
        """Read the policy anew, and serve it; SIGHUP and ``POST /admin/policy`` do it.

        Raises
        ------
        InputError
            If it cannot be read or served, or the gateway does not know where it is; the old one stays.
        """
        if self._reload is None:
            raise InputError("the gateway does not know where its policy comes from. Pass reload=.")
        with self._reloading:
            self.serve(self._reload())

    @property
    def savings(self) -> Mapping[str, float] | None:
        """What is saved against the cheapest fixed choice with the same agreement, from explored requests.

        None until 20 requests were explored since the policy was loaded. See `Savings.summary`.
        """
        return None if self._learning is None else self._learning.savings.summary

    @property
    def drift(self) -> Mapping[str, Mapping[str, float]]:
        """What has changed since the policy was loaded: price, difficulty and agreement; see `Drift.summary`."""
        return {} if self._learning is None else self._learning.drift.summary

    def review(self) -> None:
        """Make the figures of explored requests anew; the gateway does it by itself every hour."""
        if self._learning is not None:
            self._learning.review()

    async def _start(self) -> None:
        web = self._web
        routes = [
            web.post("/v1/chat/completions", partial(self._answered, form=CHAT)),
            web.post("/v1/messages", partial(self._answered, form=MESSAGES)),
            web.post("/v1/responses", partial(self._answered, form=RESPONSES)),
            web.route("*", "/v1/messages/{more:.+}", partial(self._missing, form=MESSAGES)),
            web.route("*", "/v1/responses/{more:.+}", partial(self._missing, form=RESPONSES)),
            web.route("*", "/v1/v1/{more:.+}", partial(self._missing, form=MESSAGES, said=TWICE)),
            web.post("/admin/policy", self._swap),
            web.get("/v1/models", self._models),
            web.get("/health", self._health),
            web.get("/metrics", self._metrics),
            *Page(web, self._refused, self._answering, self._budget, lambda: (self.savings, self.drift)).routes(),
        ]
        host, port = self._at
        self._at = host, await self._listener.start(routes, tidied(web, self._error), MOST_BYTES, host, port)
        if self._learning is not None:
            self._reviews = asyncio.ensure_future(self._learning.run())

    async def _stop(self) -> None:
        await self._listener.stop()
        if self._reviews is not None:
            self._reviews.cancel()

    # ------------------------------------------------------------------------------------------ routes

    def _refused(self, request: Any, form: Form = CHAT) -> Any | None:
        """Return the refusal of a client without a key; None: it may go on."""
        if not self._keys:
            # A page in a browser can give its own name the address of this machine.
            with contextlib.suppress(ValueError):  # an address of IPv6 that does not end
                if is_loopback(urlsplit(f"//{request.host}").hostname):
                    return None
            return self._error(403, "the Host must be this machine's.", "forbidden", form)
        given = request.headers.get("Authorization", "")
        word, _, key = given.partition(" ")
        key = key.strip() if word.lower() == "bearer" else request.headers.get("x-api-key", "")
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        matches = [hmac.compare_digest(digest, one) for one in self._keys]
        if any(matches):  # after all were compared
            return None
        said = "a key of this gateway is needed: Authorization: Bearer KEY, or x-api-key: KEY."
        return self._error(401, said, "invalid_api_key", form)

    def _untyped(self, request: Any, form: Form = CHAT) -> Any | None:
        """Return the refusal of a body of another type than JSON: a page in a browser can send such a body unasked."""
        if request.content_type == "application/json":
            return None
        return self._error(415, "the Content-Type must be application/json.", "unsupported_media_type", form)

    def _error(self, status: int, message: str, code: str, form: Form = CHAT, param: str | None = None) -> Any:
        error = {"message": message, "type": "invalid_request_error", "code": code}
        return self._json(status, form.error(status, error if param is None else error | {"param": param}), {})

    def _json(self, status: int, document: Any, headers: Any) -> Any:
        body = json.dumps(document, separators=(",", ":")).encode()
        return self._web.Response(status=status, body=body, content_type="application/json", headers=headers)

    async def _answered(self, request: Any, form: Form) -> Any:
        if (refused := self._refused(request, form) or self._untyped(request, form)) is not None:
            return refused
        name = request.headers.get("x-tcalloc-extract", "default")
        try:
            one_of("x-tcalloc-extract", name, (*EXTRACTORS, "none", "default"))
            body, asked = await asked_in(request, form, self._patience)
        except (BadRequest, InputError) as error:
            return self._error(400, str(error), "invalid_request", form, getattr(error, "param", None))
        except self._web.HTTPRequestEntityTooLarge:
            return self._error(413, f"the body is larger than {MOST_BYTES:,} bytes.", "too_large", form)
        except TimeoutError:
            return self._error(408, f"the body did not come within {self._patience:g} seconds.", "too_slow", form)
        reply = form.reply(body, await self._answering.reply(asked, self._graders[name]))
        if reply.stream is None:
            return self._json(reply.status, reply.document, reply.headers)
        return await self._streamed(request, reply, reply.stream)

    async def _missing(self, request: Any, form: Form, said: str = "") -> Any:
        return self._refused(request, form) or self._error(404, said or form.missing, "not_found", form)

    async def _swap(self, request: Any) -> Any:
        """Read the policy again, from where it was read at the start: a client cannot name a folder."""
        if (refused := self._refused(request) or self._untyped(request)) is not None:
            return refused
        try:
            await event_loop.crew().run(self.reload)
        except Exception as error:
            said = str(error) if isinstance(error, TcallocError) else type(error).__name__
            _log.warning("the policy could not be read again; the old one stays: %s", said)
            message = "the policy could not be read again; the old one stays. The gateway's log says why."
            return self._error(409, message, "policy_not_read")
        return self._json(200, {"status": "the policy is read again"}, {})

    async def _streamed(self, request: Any, reply: Reply, stream: AsyncIterator[bytes]) -> Any:
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", **reply.headers}
        response = self._web.StreamResponse(status=reply.status, headers=headers)
        try:
            with contextlib.suppress(ConnectionError):  # the client is gone
                await response.prepare(request)
                async for piece in stream:
                    await self._write(request, response, piece)
                await response.write_eof()
        finally:
            if reply.end is not None:
                await reply.end()
        return response

    async def _write(self, request: Any, response: Any, piece: bytes) -> None:
        """Send a piece of a stream; a client that does not take it is cut off."""
        try:
            async with asyncio.timeout(self._patience):
                await response.write(piece)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not read") from None

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
        status, _ = await self._budget()
        body = self.metrics.text(status, self.savings, self.drift).encode("utf-8", "replace")
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return self._web.Response(body=body, headers=kind)

    async def _budget(self) -> tuple[Status | None, bool]:
        """Return the state of the budget, if one is kept, and whether it could not be read."""
        if self._keeper is None:
            return None, False
        try:
            return await event_loop.crew().run(self._keeper.status), False
        except Exception as error:  # the state is not reachable; the rest is known
            _log.warning("the budget could not be read (%s)", type(error).__name__)
            return None, True

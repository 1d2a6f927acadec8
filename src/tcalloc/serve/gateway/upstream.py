"""The server behind the gateway: one client per model, and a transport per request that keeps what came.

Requests go through `ChatClient`, so retries, limits and keys are those of all of tcalloc.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from tcalloc._rates import Rates
from tcalloc.llm.client import ChatClient
from tcalloc.llm.http.keys import Key
from tcalloc.llm.http.replies import error_of
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.http.streams import unwrapped
from tcalloc.llm.http.transport import Exchange, Lost, Sender, Timeouts, Transport
from tcalloc.llm.parameters import Parameters

__all__ = ["TOO_LARGE", "Recorder", "Upstream"]

# The code of a reply that was cut off because of its size.
TOO_LARGE = "upstream_reply_too_large"

# The gateway's clients wait meanwhile, and have retries of their own.
BACKOFF = Backoff(retries=2, bad_replies=1, base=0.1, cap=1.0, longest=2.0)
# Models with a `ChatClient` of their own. Requests name models as they like, so there must be a limit.
MOST_MODELS = 64


def _finite(word: str) -> float | None:
    value = float(word)
    return value if math.isfinite(value) else None


# Python reads and writes NaN and Infinity, as servers do that are written in it; other clients do not.
_JSON = json.JSONDecoder(parse_constant=lambda word: None, parse_float=_finite)


class Recorder:
    """The transport of one request of a client; it keeps the whole replies.

    `relay` is called with every piece of a reply with status 200, as it comes.
    """

    def __init__(self, transport: Sender, relay: Callable[[bytes], object] | None = None):
        self._transport, self._relay = transport, relay
        self.bodies: list[bytes] = []
        self.last: Exchange | Lost | None = None

    async def exchange(self, body: bytes | None, look: Callable[[bytes], object] | None = None) -> Exchange | Lost:
        """Send one body; see `Transport.exchange`."""
        relay = self._relay

        def both(piece: bytes) -> None:
            if look is not None:
                look(piece)
            if relay is not None:
                relay(piece)

        self.last = await self._transport.exchange(body, look if relay is None else both)
        if isinstance(self.last, Exchange) and self.last.status == 200:
            self.bodies.append(self.last.body)
        return self.last

    def reconnect(self) -> None:
        """Use new connections from now on."""
        self._transport.reconnect()

    def close(self) -> None:
        """Do nothing: the connections are shared."""


class Upstream:
    """The server at a URL, up to ``/v1``. The key is sent with every request."""

    def __init__(self, base_url: str, key: Key | None, rates: Rates | None, timeouts: Timeouts):
        self.base_url, self.rates, self._key, self._timeouts = base_url, rates, key, timeouts
        self._clients: dict[str, ChatClient] = {}
        self._list = Transport(base_url.rstrip("/") + "/models", key, timeouts, 8 << 20)
        self.client("probe")  # a URL that cannot be asked is refused at the start

    def client(self, model: str) -> ChatClient:
        """Return the client of a model."""
        found = self._clients.get(model)
        if found is None:
            if len(self._clients) >= MOST_MODELS:
                self._clients.pop(next(iter(self._clients))).close()
            # With max_tokens and a seed, so that both are left out if the server refuses them.
            found = self._clients[model] = ChatClient(
                self.base_url, model, Parameters(max_tokens=1, seed=0), key=self._key, rates=self.rates,
                timeouts=self._timeouts, backoff=BACKOFF,
            )  # fmt: skip
        return found

    def variant(self, model: str, parameters: Parameters, recorder: Recorder) -> ChatClient:
        """Return the client of one request."""
        return self.client(model).variant(parameters, recorder)

    def recorder(self, model: str, relay: Callable[[bytes], object] | None = None) -> Recorder:
        """Return the transport of one request."""
        return Recorder(self.client(model).transport, relay)

    async def models(self) -> Exchange | Lost:
        """Return what the server says of its models."""
        return await self._list.exchange(None)

    def close(self) -> None:
        """Close all connections."""
        self._list.close()
        for client in self._clients.values():
            client.close()

    # ------------------------------------------------------------------------------------------ what came

    def redact(self, text: str) -> str:
        """Return a text of the server without the key."""
        return text if self._key is None else self._key.redact(text)

    def documents(self, bodies: list[bytes]) -> list[dict[str, Any]]:
        """Return the completions among the bodies of replies, without the key."""
        found = []
        for body in bodies:
            try:
                document = _JSON.decode(self.redact(unwrapped(body).decode("utf-8", "replace")))
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict) and isinstance(document.get("choices"), list) and document["choices"]:
                found.append(document)
        return found

    def refusal(self, last: Exchange | Lost | None) -> tuple[int, Mapping[str, Any], dict[str, str]]:
        """Return status, error and headers for a request that brought nothing: the server's own, if it refused."""
        if isinstance(last, Exchange) and last.status >= 400:
            error = error_of(last.body, self.redact) or {"message": f"the server said status {last.status}."}
            headers = {} if last.retry_after is None else {"Retry-After": last.retry_after}
            return last.status, error, headers
        if isinstance(last, Exchange) and last.status == 200:
            error = error_of(last.body, self.redact)
            if error.get("message") and "choices" not in error:
                return 502, error, {}
        code = "upstream_error"
        if isinstance(last, Exchange):
            said = "the server's reply is no completion"
        elif last is not None and last.bad:
            said, code = f"the server answered, but {last.reason}", TOO_LARGE
        else:
            said = "the server did not answer"
        return 502, {"message": f"{said}.", "type": "upstream_error", "code": code}, {}

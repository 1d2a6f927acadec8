"""One HTTP exchange: sends a body and returns status, headers and body, or how the connection was lost.

On aiohttp: no redirects, no .netrc, no cookies, no proxies from the environment for this machine, a bound on the body,
a deadline for the whole exchange. Nothing that holds the key leaves this module: exceptions of aiohttp carry the
request with its headers, so they are turned into words here.
"""

import asyncio
import errno
import os
import select
import ssl
import time
import weakref
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from tcalloc._printing import cleaned
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.http._proxies import proxy_for
from tcalloc.llm.http.keys import Key

__all__ = ["Exchange", "Lost", "Sender", "Timeouts", "Transport"]

# The environment variables that name certificates to trust, the first that is set.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes
    ----------
    connect : float
        For the connection.
    read : float
        For the first byte, and between two bytes. A busy local server does not answer 429, its requests queue; so
        this must cover the queue.
    total : float
        For the whole exchange, whatever the server sends in the meantime.
    """

    connect: float = 10.0
    read: float = 600.0
    total: float = 1800.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A complete reply."""

    status: int
    kind: str  # the content type, without parameters
    retry_after: str | None
    location: str | None
    body: bytes
    retry_after_ms: str | None = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes, key: Key | None) -> "Exchange":
        """Return a reply whose headers are without the key; a body is decoded first (`tcalloc.llm.http.replies`)."""

        def header(name: str) -> str | None:
            value = headers.get(name)
            return value if value is None or key is None else key.redact(value)

        kind = (header("Content-Type") or "").partition(";")[0].strip().lower()
        return cls(status, kind, header("Retry-After"), header("Location"), body, header("Retry-After-Ms"))


@dataclass(frozen=True, slots=True)
class Lost:
    """No reply, or an incomplete one. `sent` says whether the server may have answered, and billed."""

    reason: str
    sent: bool
    bad: bool = False  # it came, but is too large to be used


class Sender(Protocol):
    """What a client sends by: a `Transport`, or what stands before one."""

    async def exchange(self, body: bytes | None, look: Callable[[bytes], object] | None = None) -> Exchange | Lost:
        """Send one body and await the reply; see `Transport.exchange`."""

    def reconnect(self) -> None:
        """Use new connections from now on."""

    def close(self) -> None:
        """Close all connections."""


class Transport:
    """Sends to one URL. Threads and event loops share it; its connections are kept alive.

    Parameters
    ----------
    url : str
        The URL to which bodies are posted.
    key : Key or None
        The key, which is sent with each body.
    timeouts : Timeouts
        How long to wait.
    max_body : int
        The largest reply that is read, in bytes.

    Raises
    ------
    InputError
        If the URL cannot be asked, a file of certificates is missing, or a proxy is of another kind than http.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(self, url: str, key: Key | None, timeouts: Timeouts, max_body: int):
        try:
            import aiohttp
            import certifi
            import yarl
        except ImportError:
            raise MissingExtraError("talking to a server needs aiohttp: pip install 'tcalloc[llm]'") from None
        self._aiohttp: Any = aiohttp
        self.url = url
        self._timeouts = timeouts
        self._waits = aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_read=timeouts.read)
        self._max_body = max_body
        self._key = key
        if key is not None:
            key.header(url)  # refused here if it is another host's
        try:
            self._target = yarl.URL(url, encoded=True)
            good = bool(yarl.URL(url).host) and (self._target.host or "").encode("idna") != b""
        except ValueError:  # UnicodeError too: a label that is empty or too long
            good = False
        if not good:
            raise InputError(f"{url!r} is not a URL that can be asked. Write it like http://127.0.0.1:8080/v1.")
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        self._proxy = proxy_for(url)
        self._context: Any = True
        if self._target.scheme == "https" or (self._proxy and self._proxy.startswith("https")):
            variable = next((name for name in _BUNDLES if os.environ.get(name)), None)
            self._context = _trusting(os.environ[variable] if variable else certifi.where(), variable)
        self._sessions = _Sessions(aiohttp)
        weakref.finalize(self, self._sessions.close)

    @cleaned
    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    def close(self) -> None:
        """Close all connections."""
        self._sessions.close()

    def reconnect(self) -> None:
        """Use new connections from now on, because further data on the existing ones cannot be trusted."""
        self._sessions.retire()

    def send(self, body: bytes) -> Exchange | Lost:
        """Send one body and wait for the reply in this thread."""
        return event_loop.run(self.exchange(body))

    async def exchange(self, body: bytes | None, look: Callable[[bytes], object] | None = None) -> Exchange | Lost:
        """Send one body and await the reply, on the loop of `tcalloc.llm.concurrency.event_loop`.

        A task that is cancelled meanwhile closes the connection.

        Parameters
        ----------
        body : bytes or None
            The body to send; None gets what is at the URL.
        look : callable, optional
            Called with every piece of a reply with status 200, as it comes.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tcalloc"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._key is not None:
            headers["Authorization"] = self._key.header(self.url)
        problem: BaseException
        async with event_loop.request_slot():
            started = time.monotonic()
            with self._sessions.lend() as session:
                try:
                    async with (
                        asyncio.timeout(self._timeouts.total),
                        session.request(
                            "GET" if body is None else "POST",
                            self._target,
                            data=body,
                            headers=headers,
                            timeout=self._waits,
                            ssl=self._context,
                            proxy=self._proxy,
                            allow_redirects=False,
                        ) as response,
                    ):
                        content = await self._read(response, look if response.status == 200 else None)
                        if isinstance(content, Lost):
                            return content
                        return Exchange.of(response.status, response.headers, content, self._key)
                except (self._aiohttp.ClientError, OSError, ValueError, EOFError, zlib.error, MemoryError) as error:
                    problem = error  # TimeoutError is an OSError
        return self._words(problem, time.monotonic() - started)

    async def _read(self, response: Any, look: Callable[[bytes], object] | None) -> bytes | Lost:
        """Read the body piece by piece, at most so many bytes."""
        large = Lost(f"its reply is larger than {self._max_body:,} bytes", sent=True, bad=True)
        if response.content_length is not None and response.content_length > self._max_body:
            response.close()
            return large
        pieces: list[bytes] = []
        size = 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            size += len(piece)
            if look is not None:
                look(piece)
            if size > self._max_body:
                response.close()
                return large
        body = b"".join(pieces)
        if response.headers.get("Content-Encoding", "identity").lower() == "identity":
            return body
        # It was asked not to; whoever does it all the same uses one of these two.
        inflate = zlib.decompressobj(wbits=47)
        body = inflate.decompress(body, self._max_body)
        return large if inflate.unconsumed_tail else body

    def _words(self, error: BaseException, seconds: float) -> Lost:
        """Say what happened, without what the exception holds."""
        a, host, timeouts = self._aiohttp, self._host, self._timeouts
        if isinstance(error, MemoryError):
            return Lost("this process has no memory left for its reply; ask for fewer at one time", sent=True)
        if isinstance(error, a.ConnectionTimeoutError):
            return Lost(f"no connection to {host} within {timeouts.connect:g} s", sent=False)
        if isinstance(error, a.SocketTimeoutError):
            return Lost(f"{host} sent nothing for {timeouts.read:g} s", sent=True)
        if isinstance(error, TimeoutError) and seconds >= 0.99 * timeouts.total:
            return Lost(f"its reply took longer than {timeouts.total:g} s", sent=True)
        if isinstance(error, a.ClientSSLError | ssl.SSLError | a.ServerFingerprintMismatch):
            return Lost(
                f"no secure connection to {host}: the certificate is not trusted or it is not https", sent=False
            )
        if isinstance(error, a.ClientProxyConnectionError | a.ClientHttpProxyError):
            return Lost(f"the proxy for {host} does not answer", sent=False)
        if isinstance(error, a.ClientConnectorDNSError):
            return Lost(f"the host {host} is not known", sent=False)
        if isinstance(error, a.ClientConnectorError):
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return Lost("too many files are open: ask for fewer at one time, or raise ulimit -n", sent=False)
            return Lost(f"{host} refused the connection", sent=False)
        if isinstance(error, zlib.error):
            return Lost(f"what {host} sent is not compressed as it says", sent=True)
        if isinstance(error, a.ClientResponseError):
            return Lost(f"what {host} sent is not HTTP, or its headers are too large", sent=True)
        return Lost(f"the connection to {host} was lost", sent=True)


@lru_cache(maxsize=8)
def _trusting(bundle: str, variable: str | None) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file or folder."""
    bundle_name = f"the file of certificates {bundle} ({variable})" if variable else f"certifi's file {bundle}"
    if not os.path.exists(bundle):
        raise InputError(f"{bundle_name} is not there. Name one that is, or unset {variable}.")
    try:
        if os.path.isdir(bundle):
            return ssl.create_default_context(capath=bundle)
        return ssl.create_default_context(cafile=bundle)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        problem = InputError(f"{bundle_name} cannot be read. Expected certificates in PEM format.")
    raise problem


class _Sessions:
    """The session that is used, and those that end when their last exchange does."""

    def __init__(self, aiohttp: Any):
        self._aiohttp = aiohttp
        self._now: _Session | None = None

    def lend(self) -> "_Session":
        """Return the session to use, on the loop."""
        loop = asyncio.get_running_loop()
        if self._now is None or self._now.loop is not loop:  # after a fork there is another
            self._now = _Session(self._aiohttp, loop)
        return self._now

    def retire(self) -> None:
        """Use a new one from now on. Any thread may call it."""
        now, self._now = self._now, None
        if now is not None:
            now.retire()

    close = retire


class _Session:
    """One session, lent to exchanges."""

    def __init__(self, aiohttp: Any, loop: asyncio.AbstractEventLoop):
        self.loop = loop
        self._lent = 0
        self._retired = False
        # Slots bound the connections; see `tcalloc.llm.concurrency.event_loop.request_slot`.
        self._session = aiohttp.ClientSession(
            connector=_connector(aiohttp)(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    def __enter__(self) -> Any:
        self._lent += 1
        return self._session

    def __exit__(self, *_: object) -> None:
        self._lent -= 1
        self._end()

    def retire(self) -> None:
        """Close it when it is lent no more."""
        if event_loop.is_serving(self.loop):
            self.loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        self._retired = True
        self._end()

    def _end(self) -> None:
        if self._retired and not self._lent and not self._session.closed:
            self._closing = self.loop.create_task(self._session.close())


@lru_cache(maxsize=1)
def _connector(aiohttp: Any) -> Any:
    class Connector(aiohttp.TCPConnector):  # type: ignore[misc]
        """Never lends a connection on which something came unasked: it would be taken for the next reply."""

        async def _get(self, *args: Any) -> Any:
            while (found := await super()._get(*args)) is not None:
                if not found.protocol.should_close and not _readable(found.transport):
                    return found
                found.close()
            return None

    return Connector


def _readable(transport: Any) -> bool:
    """Whether something can be read from an idle connection: its end, or what nobody asked for."""
    sock = transport.get_extra_info("socket")
    if sock is None or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))

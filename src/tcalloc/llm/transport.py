"""One HTTP exchange: sends a body, returns status, headers and body, or says how the connection was lost.

On requests' connection pools: no redirects, no .netrc, no proxies from the environment for this machine, a bound on
the body, a deadline for the whole reply. Nothing that holds the key leaves this module: exceptions of requests carry
the request with its headers, so they are turned into words here.
"""

import contextlib
import os
import ssl
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from tcalloc.errors import InputError, MissingExtraError
from tcalloc.llm.keys import Key, is_loopback

__all__ = ["Exchange", "Lost", "Timeouts", "Transport"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes
    ----------
    connect : float
        For the connection.
    read : float
        For the first byte, and between two. A busy local server does not say 429: its requests queue, so this must
        cover the queue.
    total : float
        For the whole reply.
    """

    connect: float = 10.0
    read: float = 600.0
    total: float = 1800.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A reply that came whole."""

    status: int
    kind: str  # the content type, without parameters
    retry_after: str | None
    location: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No reply, or not all of it. `sent` is whether the server may have answered, and billed."""

    reason: str
    sent: bool
    bad: bool = False  # it came, and is not to be used: too large


class Transport:
    """Sends to one URL. Threads share it; each has its own connection."""

    def __init__(self, url: str, key: Key | None, timeouts: Timeouts, max_body: int):
        try:
            import requests
            import urllib3
        except ImportError:
            raise MissingExtraError("talking to a server needs requests: pip install 'tcalloc[llm]'") from None
        self._requests: Any = requests
        self._urllib3: Any = urllib3
        self.url = url
        self._timeouts = timeouts
        self._max_body = max_body
        self._key = key
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tcalloc"}
        headers["Content-Type"] = "application/json"
        if key is not None:
            key.header(url)  # refuses another host; what it returns is kept by no object
        try:
            self._prepared = requests.Request("POST", url, headers=headers, data=b"{}").prepare()
        except (requests.RequestException, ValueError):
            problem = True
        else:
            problem = False
        if problem:
            raise InputError(f"{url!r} is not a URL that can be asked. Write it like http://127.0.0.1:8080/v1.")
        # requests' trust_env would bring .netrc, whose credentials replace the key. What else it brings is taken here.
        local = is_loopback(urlsplit(url).hostname)
        self._proxies: dict[str, str] = {} if local else dict(requests.utils.get_environ_proxies(url))
        self._verify: Any = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._headers = dict(self._prepared.headers)
        self._headers.pop("Content-Length", None)
        self._target = ""
        self._here = threading.local()
        self._guard = threading.Lock()
        self._adapters: list[Any] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    def close(self) -> None:
        """Drop all connections."""
        self._closed = True
        with self._guard:
            adapters, self._adapters = self._adapters, []
        for adapter in adapters:
            adapter.close()

    def reconnect(self) -> None:
        """Drop this thread's connection: what else comes over it cannot be trusted."""
        pool = getattr(self._here, "pool", None)
        if pool is not None:
            self._here.pool = None
            pool.close()

    def send(self, body: bytes) -> Exchange | Lost:
        """Send one body and wait for the reply."""
        deadline = time.monotonic() + self._timeouts.total
        pool = conn = response = None
        try:
            pool = self._pool()
            if pool.proxy is None:
                # What urlopen does besides (retries, redirects, statistics) costs more than the request.
                conn = pool._get_conn()  # this thread's; closed if the server dropped it
                if conn.sock is None:
                    self._connect(conn)
                response = conn.ask(self._target, body, self._whole())
            else:
                response = self._by_proxy(pool, body)
            content = self._read(response, deadline)
            if isinstance(content, Lost):
                return content
            headers = response.headers
            kind = (self._header(headers, "Content-Type") or "").partition(";")[0].strip().lower()
            retry, location = (self._header(headers, name) for name in ("Retry-After", "Location"))
            exchange = Exchange(response.status, kind, retry, location, content)
            if conn is None:
                response.release_conn()
            else:
                response.close()  # not the connection, unless the server said so
                pool._put_conn(conn)
            response = conn = None
            return exchange
        except (self._urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError, zlib.error) as error:
            return self._words(error)  # those of requests are OSErrors
        finally:
            for thing in (response, conn):  # whatever else may come over it is not to be read
                if thing is not None:
                    with contextlib.suppress(Exception):
                        thing.close()

    def _whole(self) -> dict[str, str]:
        """Return the headers with the key, which stands in them no longer than it takes to send them."""
        return self._headers if self._key is None else self._headers | {"Authorization": self._key.header(self.url)}

    def _header(self, headers: Any, name: str) -> str | None:
        """Return a header of a reply, without the key; the body is decoded first (see `tcalloc.llm.replies`)."""
        value: str | None = headers.get(name)
        return value if value is None or self._key is None else self._key.redact(value)

    def _pool(self) -> Any:
        """Return this thread's connection pool (of one)."""
        pool = getattr(self._here, "pool", None)
        if pool is None:
            # A session would follow redirects, read .netrc and keep cookies; its adapter does none of that, and knows
            # about certificates and proxies.
            adapter: Any = self._requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
            if hasattr(adapter, "get_connection_with_tls_context"):  # requests 2.32
                pool = adapter.get_connection_with_tls_context(self._prepared, self._verify, proxies=self._proxies)
            else:
                pool = adapter.get_connection(self.url, self._proxies)
            adapter.cert_verify(pool, self.url, self._verify, None)
            pool.ConnectionCls = type("Asking", (_Asking, pool.ConnectionCls), {})
            self._here.pool = pool
            self._target = adapter.request_url(self._prepared, self._proxies)
            with self._guard:
                self._adapters.append(adapter)
        return pool

    def _connect(self, conn: Any) -> None:
        conn.timeout = self._timeouts.connect
        try:
            conn.connect()
        except TimeoutError:  # in the TLS handshake
            raise self._urllib3.exceptions.ConnectTimeoutError from None
        conn.sock.settimeout(self._timeouts.read)

    def _by_proxy(self, pool: Any, body: bytes) -> Any:
        return pool.urlopen(
            "POST",
            self._target,
            body=body,
            headers=self._whole(),
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            timeout=self._urllib3.Timeout(connect=self._timeouts.connect, read=self._timeouts.read),
        )

    def _read(self, response: Any, deadline: float) -> bytes | Lost:
        """Read the body piece by piece: at most so many bytes, until the deadline at latest."""
        told = response.headers.get("Content-Length", "")
        length = int(told) if told.isdigit() else None
        large = Lost(f"its reply is larger than {self._max_body:,} bytes", sent=True, bad=True)
        if length is not None and length > self._max_body:
            return large
        pieces: list[bytes] = []
        size = 0
        for piece in _pieces(response):
            pieces.append(piece)
            size += len(piece)
            if size > self._max_body:
                return large
            if time.monotonic() > deadline:
                return Lost(f"its reply took longer than {self._timeouts.total:g} s", sent=True)
        if length is not None and size < length:
            raise HTTPException  # the connection ended before the body
        body = b"".join(pieces)
        if response.headers.get("Content-Encoding", "identity") == "identity":
            return body
        # It was asked not to; whoever does it all the same uses one of these two.
        inflate = zlib.decompressobj(wbits=47)
        body = inflate.decompress(body, self._max_body)
        return large if inflate.unconsumed_tail else body

    def _words(self, error: Exception) -> Lost:
        """Say what happened, without what the exception holds."""
        r, u = self._requests.exceptions, self._urllib3.exceptions
        host = urlsplit(self.url).netloc.rpartition("@")[2]
        if isinstance(error, r.ConnectTimeout | u.ConnectTimeoutError) and not isinstance(error, u.NewConnectionError):
            return Lost(f"no connection to {host} within {self._timeouts.connect:g} s", sent=False)
        if isinstance(error, r.ReadTimeout | u.ReadTimeoutError | TimeoutError):
            return Lost(f"{host} sent nothing for {self._timeouts.read:g} s", sent=True)
        if isinstance(error, r.SSLError | u.SSLError | ssl.SSLError):
            return Lost(
                f"no secure connection to {host}: the certificate is not trusted or it is not https", sent=False
            )
        if isinstance(error, r.ProxyError | u.ProxyError):
            return Lost(f"the proxy for {host} does not answer", sent=False)
        if isinstance(error, getattr(u, "NameResolutionError", ())) or "getaddrinfo" in str(error):
            return Lost(f"the host {host} is not known", sent=False)
        if isinstance(error, u.NewConnectionError):
            return Lost(f"{host} refused the connection", sent=False)
        return Lost(f"the connection to {host} was lost", sent=True)


class _Asking:
    """Goes before a class of connections: asks with the request in one piece, returns the reply as it comes."""

    _held: list[bytes] | None = None
    putheader = HTTPConnection.putheader  # urllib3's looks for headers to skip, at each

    def ask(self: Any, target: str, body: bytes, headers: dict[str, str]) -> Any:
        self._held = []
        try:
            HTTPConnection.request(self, "POST", target, body, headers)
            whole = b"".join(self._held)
        finally:
            self._held = None
        self.send(whole)  # head and body in two would wake the server twice
        return HTTPConnection.getresponse(self)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


def _pieces(response: Any) -> Iterator[bytes]:
    """Yield what is there, not as much as could be asked for, so that the deadline is looked at between."""
    if hasattr(response, "stream"):  # urllib3's own, by way of a proxy: its read1 knows no chunks
        yield from response.stream(1 << 16, decode_content=False)
        return
    while piece := response.read1(1 << 16):
        yield piece

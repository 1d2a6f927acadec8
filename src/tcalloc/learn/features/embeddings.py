"""Embeddings of texts from any OpenAI-compatible server (``POST /v1/embeddings``).

The key is found as that of the sampler is (`tcalloc.llm.http.keys`). It is bound to its host, and it is in no repr, no
message and no file.
"""

import json
import os
import threading
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._counts import counted
from tcalloc._printing import cleaned
from tcalloc.errors import InputError
from tcalloc.llm.failures import AccessError, RefusedError, UnreachableError
from tcalloc.llm.http.attempts import endpoint
from tcalloc.llm.http.keys import Key, find_key
from tcalloc.llm.http.replies import error_of, message_of
from tcalloc.llm.http.retry import Backoff, is_busy, retry_after
from tcalloc.llm.http.transport import Exchange, Lost, Timeouts, Transport

__all__ = ["EmbeddingsEndpoint"]

MOST_BODY = 1 << 28


class EmbeddingsEndpoint:
    """A function from n texts to an array (n, d), computed by a server.

    Parameters
    ----------
    base_url : str
        For example http://127.0.0.1:8080/v1; /embeddings is added.
    model : str
        The name of the model on the server.
    key : Key, optional
        Default: the one that `tcalloc.llm.http.keys.find_key` finds for the host.
    dimensions : int, optional
        The length of the embeddings to ask for, if the server can shorten them.
    batch : int
        Number of texts in one request.
    backoff : Backoff, optional
        When to try again.
    timeouts : Timeouts, optional
        How long to wait. A policy on live traffic waits for this before each decision.

    Raises
    ------
    InputError
        If the URL or a number is not allowed.
    MissingExtraError
        If aiohttp is not installed.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key: Key | None = None,
        dimensions: int | None = None,
        batch: int = 64,
        backoff: Backoff | None = None,
        timeouts: Timeouts | None = None,
    ):
        url = urlsplit(endpoint(base_url))  # checks it, and adds the path of chat requests
        path = url.path.removesuffix("/chat/completions").removesuffix("/embeddings")
        self.url = urlunsplit((url.scheme, url.netloc, path + "/embeddings", "", ""))
        if not isinstance(model, str) or not model.strip():
            raise InputError(f"model is {model!r}; expected the name that the server gives it.")
        whole("batch", batch, 1)
        if dimensions is not None:
            whole("dimensions", dimensions, 1)
        if key is not None and not isinstance(key, Key):
            raise InputError("key is not a tcalloc.llm.http.keys.Key. Leave it out, and it is found for the host.")
        self.model = model
        self.dimensions = dimensions
        self.batch = batch
        self._key = find_key(self.url) if key is None else key
        self._backoff = Backoff(retries=4) if backoff is None else backoff
        self._timeouts = Timeouts(connect=10.0, read=60.0, total=120.0) if timeouts is None else timeouts
        self._guard = threading.Lock()
        self._transport: Transport | None = None
        self._process = -1
        self._connected()

    @cleaned
    def __repr__(self) -> str:
        return f"EmbeddingsEndpoint({self.url!r}, {self.model!r})"

    def __deepcopy__(self, memo: Any) -> "EmbeddingsEndpoint":
        return self  # scikit-learn's clone copies parameters; nothing in here changes, and a key must not be copied

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        """Embed texts.

        Parameters
        ----------
        texts : list of str

        Returns
        -------
        ndarray of shape (n, d)

        Raises
        ------
        LlmError
            If the server refuses, or does not answer after all retries.
        """
        parts = [self._embed(texts[start : start + self.batch]) for start in range(0, len(texts), self.batch)]
        if not parts:
            return np.empty((0, 0))
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise UnreachableError(f"{self.url}: its embeddings have different lengths ({sorted(widths)}).")
        return np.concatenate(parts)

    def close(self) -> None:
        """Close the connections."""
        with self._guard:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _connected(self) -> Transport:
        """Return the connections of this process; after a fork, those of the parent are not used."""
        with self._guard:
            if self._transport is None or self._process != os.getpid():
                self._transport = Transport(self.url, self._key, self._timeouts, MOST_BODY)
                self._process = os.getpid()
            return self._transport

    def _embed(self, texts: list[str]) -> NDArray[np.float64]:
        asked: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self.dimensions is not None:
            asked["dimensions"] = self.dimensions
        body = json.dumps(asked).encode()
        transport = self._connected()
        problem, wait = "", None
        for attempt in range(self._backoff.retries + 1):
            if attempt:
                time.sleep(self._backoff.pause(attempt - 1, wait))
            reply = transport.send(body)
            wait = None
            if isinstance(reply, Lost):
                transport.reconnect()
                problem = reply.reason
                if reply.bad:
                    break
            elif reply.status == 200:
                found, problem = _vectors(reply.body, len(texts))
                if found is not None:
                    return found
            elif is_busy(reply.status):
                wait = retry_after(reply.retry_after, reply.retry_after_ms)
                problem = f"status {reply.status}{self._quoted(reply)}"
            else:
                self._refused(reply)
        raise UnreachableError(f"{self.url}: no embeddings after {counted(attempt + 1, 'try')}: {problem}.")

    def _refused(self, reply: Exchange) -> None:
        """Raise the error for a status that another try would not change."""
        words = f"{self.url}: status {reply.status}{self._quoted(reply)}"
        if reply.status in (401, 403):
            raise AccessError(f"{words}. Check the key.")
        if reply.status in (404, 405) or 300 <= reply.status < 400:
            raise AccessError(f"{words}. Check the URL and the model {self.model!r}.")
        raise RefusedError(f"{words}. Another try would be refused too.")

    def _quoted(self, reply: Exchange) -> str:
        """Return the server's message about its refusal, shortened and without the key."""
        redact = None if self._key is None else self._key.redact
        text = message_of(error_of(reply.body, redact))
        return f" ({text})" if text else ""


def _vectors(body: bytes, n: int) -> tuple[NDArray[np.float64] | None, str]:
    """Return the embeddings in the order of the texts; or None and what is wrong with the reply."""
    try:
        data = json.loads(body)["data"]
        places = [entry.get("index", i) for i, entry in enumerate(data)]
        vectors = np.array([entry["embedding"] for entry in data], np.float64)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None, "its reply is not an OpenAI-compatible list of embeddings"
    if vectors.ndim != 2 or vectors.shape[1] == 0 or sorted(map(str, places)) != sorted(map(str, range(n))):
        return (
            None,
            f"its reply holds {counted(len(places), 'embedding')} for {counted(n, 'text')}, or of different lengths",
        )
    if not np.isfinite(vectors).all():
        return None, "its reply holds numbers that are not finite"
    return vectors[np.argsort(np.array(places, np.int64))], ""

"""The address of requests, and the results of a request that brought no reply."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tcalloc.errors import InputError
from tcalloc.llm.failures import LlmError

__all__ = ["Adapted", "Failed", "endpoint"]


@dataclass(frozen=True, slots=True)
class Failed:
    """A request without a reply: whether to send it again, and whether it may have been billed."""

    error: LlmError
    again: bool = False
    after: float | None = None
    billed: bool = False
    bad: bool = False
    gone: bool = False
    repeated: bool = False  # the reply came before, over a connection that sent it twice


@dataclass(frozen=True, slots=True)
class Adapted:
    """A refused request that is sent again at once, without the refused field."""

    n: int
    said: str


def endpoint(base_url: str) -> str:
    """Return the URL to which chat completions are posted; raise an error if it is no URL of a server."""
    shown = re.sub(r"//[^/]*@", "//", base_url)  # without user and password
    try:
        parts = urlsplit(base_url)  # refuses brackets that are open, and letters that turn into / or ?
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, too
        good = False
    if not good:
        raise InputError(f"{shown!r} is not a URL of a server. Write it like http://127.0.0.1:8080/v1.")
    if parts.username is not None or parts.query or parts.fragment:
        shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        raise InputError(
            f"{shown}: a user, a query or a fragment in the URL is not taken. Keys come from --api-key-env or a file."
        )
    path = parts.path.rstrip("/")
    path = path if path.endswith("/chat/completions") else path + "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))

"""HTTP clients that stand in the place of the user's: chat completions are answered here, all else is passed on."""

import sys
from typing import Any

from tcalloc.serve.wrapping.handling import Handling, Taken

__all__ = ["is_replacing", "library_of", "replacing"]

# The libraries that OpenAI's SDK has used, the newest first.
_LIBRARIES = ("httpx2", "httpx")


def library_of(client: Any) -> Any | None:
    """Return the HTTP library that a client is of; None: it is no HTTP client that is known."""
    for name in _LIBRARIES:
        library = sys.modules.get(name)
        if library is not None and isinstance(client, library.Client | library.AsyncClient):
            return library
    return None


def is_replacing(client: Any) -> bool:
    """Return whether an HTTP client was made by `replacing`."""
    return type(client).__module__ == __name__


def replacing(client: Any, library: Any, handling: Handling) -> Any:
    """Return an HTTP client that takes another's place in the SDK.

    The user's client sends whatever is sent, and is closed with this one.
    """
    if isinstance(client, library.AsyncClient):
        return _awaiting(client, library, handling)
    return _blocking(client, library, handling)


def _blocking(client: Any, library: Any, handling: Handling) -> Any:
    class Wrapped(library.Client):  # type: ignore[misc]
        """See `replacing`."""

        @property
        def is_closed(self) -> bool:
            return bool(client.is_closed)

        def build_request(self, *args: Any, **named: Any) -> Any:
            return client.build_request(*args, **named)

        def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            taken = handling.take(request)
            if isinstance(taken, Taken):
                taken = handling.blocking(taken, client, request, options)
            return client.send(request, stream=stream, **options) if taken is None else taken

        def close(self) -> None:
            client.close()

    return Wrapped(timeout=client.timeout, transport=library.BaseTransport())


def _awaiting(client: Any, library: Any, handling: Handling) -> Any:
    class Wrapped(library.AsyncClient):  # type: ignore[misc]
        """See `replacing`."""

        @property
        def is_closed(self) -> bool:
            return bool(client.is_closed)

        def build_request(self, *args: Any, **named: Any) -> Any:
            return client.build_request(*args, **named)

        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            taken = handling.take(request)
            if isinstance(taken, Taken):
                taken = await handling.awaiting(taken, client, request, options)
            return await client.send(request, stream=stream, **options) if taken is None else taken

        async def aclose(self) -> None:
            await client.aclose()

    return Wrapped(timeout=client.timeout, transport=library.AsyncBaseTransport())

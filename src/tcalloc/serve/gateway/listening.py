"""The HTTP server of the gateway: where it listens, and which connections it closes.

aiohttp waits without end for the first header of a connection, and an hour for another one.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from tcalloc.errors import InputError
from tcalloc.serve.gateway.http_faults import Handler, http_log

__all__ = ["Listener"]

# Seconds without a request after which a connection is closed. Proxies keep theirs for up to 600, and must close first.
KEPT = 630.0
# Seconds between two looks at the connections, at most.
LOOKS = 5.0
# Seconds that requests under way get when the gateway ends.
LAST = 10.0


class Listener:
    """The server. A connection must have sent its first header within so many seconds."""

    def __init__(self, web: Any, seconds: float):
        self._web, self._seconds = web, seconds
        self._asked: set[Any] = set()
        self._runner: Any = None

    async def start(self, routes: Sequence[Any], tidied: Any, most_bytes: int, host: str, port: int) -> int:
        """Listen with aiohttp's routes; return the port, or raise `InputError` if the address is taken.

        The middleware `tidied` makes errors of the gateway of all that goes wrong.
        """
        web = self._web

        async def noted(request: Any, handler: Handler) -> Any:
            self._asked.add(request.protocol)
            return await handler(request)

        app = web.Application(client_max_size=most_bytes, middlewares=[web.middleware(noted), tidied])
        app.add_routes(routes)
        runner = web.AppRunner(
            app, access_log=None, logger=http_log(), handler_cancellation=True, shutdown_timeout=LAST,
            keepalive_timeout=KEPT,
        )  # fmt: skip
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise InputError(
                f"{host}:{port} cannot be listened on ({error.strerror or 'taken'}). Give another host or port."
            ) from None
        self._runner, self._watch = runner, asyncio.ensure_future(self._close_silent(runner.server))
        found: int = runner.addresses[0][1]
        return found

    async def stop(self) -> None:
        """Take no more requests, and wait for those under way."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            self._watch.cancel()
            await runner.cleanup()

    async def _close_silent(self, server: Any) -> None:
        """Close the connections without a whole header, for as long as the server runs."""
        now = asyncio.get_running_loop().time
        since: dict[Any, float] = {}
        while True:
            await asyncio.sleep(min(self._seconds / 4, LOOKS))
            since = {one: since.get(one, now()) for one in server.connections}
            self._asked.intersection_update(since)
            for one, began in since.items():
                if one not in self._asked and now() - began >= self._seconds:
                    one.force_close()

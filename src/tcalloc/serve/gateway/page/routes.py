"""The three addresses of the page: the page, its figures as HTML, and the same as JSON."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tcalloc.llm.concurrency import event_loop
from tcalloc.serve.gateway.page.status import Known, status_document

__all__ = ["Page"]

MISSING = "the page needs Jinja2: pip install 'tcalloc[serve]'. /status and /metrics work without."
# For every reply of the page: nobody keeps it, frames it, or reads it as something else.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The page of one gateway.

    Parameters
    ----------
    web : module
        ``aiohttp.web``.
    refused : callable
        Returns the refusal of a client without a key; None: it may go on.
    look : callable
        Returns what is known now.
    """

    def __init__(
        self, web: Any, refused: Callable[[Any], Any | None], look: Callable[[], Awaitable[Known]]
    ):  # fmt: skip
        self._web, self._refused, self._look = web, refused, look

    def routes(self) -> list[Any]:
        """Return its routes."""
        get = self._web.get
        return [get("/", self._document), get("/status", self._status), get("/status.html", self._figures)]

    async def _document(self, request: Any) -> Any:
        """Return the page, to everybody: it holds nothing that is not in this package."""
        try:
            from tcalloc.serve.gateway.page.document import document
        except ImportError:
            return self._web.Response(status=501, text=MISSING, headers=HEADERS)
        made = await event_loop.crew().run(document)
        headers = HEADERS | {"Content-Security-Policy": made.content_security_policy}
        return self._web.Response(text=made.text, content_type="text/html", headers=headers)

    async def _figures(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        try:
            from tcalloc.serve.gateway.page.figures import figures
        except ImportError:
            return self._web.Response(status=501, text=MISSING, headers=HEADERS)
        known = await self._look()
        # On a thread, so that no request waits for it.
        text = await event_loop.crew().run(lambda: figures(status_document(known)))
        return self._web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _status(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        known = await self._look()
        text = await event_loop.crew().run(lambda: json.dumps(status_document(known), separators=(",", ":")))
        return self._web.Response(text=text, content_type="application/json", headers=HEADERS)

"""The three addresses of the page: the page, its figures as HTML, and the same as JSON."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tcalloc.llm.concurrency import event_loop
from tcalloc.serve.gateway.page.status import Learned, known_of, status_document
from tcalloc.serve.gateway.requests import Answering
from tcalloc.serve.keeper.status import Status

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

    `refused` returns the refusal of a client without a key (None: it may go on), `budget` the state of the budget and
    whether it could not be read, and `learned` what was learned from the traffic.
    """

    def __init__(
        self, web: Any, refused: Callable[[Any], Any | None], answering: Answering,
        budget: Callable[[], Awaitable[tuple[Status | None, bool]]], learned: Callable[[], Learned],
    ):  # fmt: skip
        self._web, self._refused, self._answering = web, refused, answering
        self._budget, self._learned = budget, learned

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
        return await self._told(figures, "text/html")

    async def _status(self, request: Any) -> Any:
        if (refused := self._refused(request)) is not None:
            return refused
        return await self._told(lambda status: json.dumps(status, separators=(",", ":")), "application/json")

    async def _told(self, form: Callable[[dict[str, Any]], str], kind: str) -> Any:
        """Return what is known now, in a form that is made in a thread, so that no request waits for it."""
        known = known_of(self._answering, *await self._budget(), self._learned())
        text = await event_loop.crew().run(lambda: form(status_document(known)))
        return self._web.Response(text=text, content_type=kind, headers=HEADERS)

"""What comes to the gateway and is no request that it knows: the reply, and what the log says of it.

Errors of aiohttp quote what came, also a header with a client's key. So their words go nowhere.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Handler", "http_log", "tidied"]

_log = logging.getLogger("tcalloc.gateway")

NO_ADDRESS = (
    "nothing is at this address. There are /v1/chat/completions, /v1/messages, /v1/responses, /v1/models, /health, "
    "/status, /metrics and the page at /."
)
NO_METHOD = "this address does not take this method; the header Allow names those that it takes."
NOT_READ = "the body could not be read: it is not compressed as its Content-Encoding says."
FAILED = "the gateway failed."

NO_FILES = "no other client can connect: too many files are open. Raise ulimit -n."
# Seconds between two lines that say so.
SAYS = 60.0
_said = -SAYS

Handler = Callable[[Any], Awaitable[Any]]


def tidied(web: Any, error: Callable[[int, str, str], Any]) -> Any:
    """Return the middleware that turns everything that goes wrong into an error of the gateway.

    `error` returns the reply for a status, a message and a code.
    """

    async def middleware(request: Any, handler: Handler) -> Any:
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return error(404, NO_ADDRESS, "not_found")
        except web.HTTPMethodNotAllowed as refusal:
            reply = error(405, NO_METHOD, "method_not_allowed")
            reply.headers["Allow"] = refusal.headers["Allow"]
            return reply
        except web.HTTPException:
            raise
        except web.RequestPayloadError:
            return error(400, NOT_READ, "invalid_request")
        except ConnectionError:  # the client is gone
            raise
        except Exception as failure:
            _log.warning("a request failed (%s)", type(failure).__name__)
            return error(500, FAILED, "gateway_error")

    return web.middleware(middleware)


def http_log() -> logging.Logger:
    """Return the log for aiohttp's server: one line for each fault, without its words; none for what clients send."""
    log = logging.getLogger("tcalloc.gateway.http")
    log.addFilter(_one_line)  # the same one is added once
    logging.getLogger("asyncio").addFilter(_seldom)
    return log


def _seldom(record: logging.LogRecord) -> bool:
    """Make one line per minute of asyncio's hundreds per second that no file is left for another connection."""
    if "socket.accept() out of system resource" not in record.getMessage():
        return True
    global _said
    now = time.monotonic()
    if now - _said < SAYS:
        return False
    _said = now
    record.msg, record.args, record.exc_info, record.exc_text = NO_FILES, (), None, None
    return True


def _one_line(record: logging.LogRecord) -> bool:
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError

    failure = record.exc_info[1] if record.exc_info else None
    record.exc_info = record.exc_text = None
    if failure is None:
        return True
    record.msg, record.args = "a request failed (%s)", (type(failure).__name__,)
    return not isinstance(failure, HttpProcessingError | web.RequestPayloadError)

"""The body of a request: when it must have come, how much it may hold, and where it is read.

Reading 100,000 messages takes a second, and copying them for each sample some more. Other requests must not wait for
it. So large bodies are read in a thread, and what holds too many values is refused.
"""

import asyncio
from typing import Any

from tcalloc.llm.concurrency.event_loop import crew
from tcalloc.serve.gateway.asked import Asked, BadRequest, asked_of, body_of
from tcalloc.serve.gateway.forms.form import Form

__all__ = ["MOST_BYTES", "asked_in"]

MOST_BYTES = 64 << 20
# Values in lists and objects. Bodies of fewer than twice as many bytes cannot hold more.
MOST_VALUES = 100_000
# Commas and opening brackets, those in texts included: Python needs a second and 1.6 GB for 20 million empty lists.
MOST_MARKS = 2_000_000


async def asked_in(request: Any, form: Form, seconds: float) -> tuple[dict[str, Any], Asked]:
    """Return the body of a request in a form, and what it asks for; it must have come within so many seconds.

    Raises
    ------
    BadRequest
        If it is no request of this form, or too much for one.
    TimeoutError, aiohttp.web.HTTPRequestEntityTooLarge
        If it has not come, or is larger than the server allows.
    """
    async with asyncio.timeout(seconds):
        data = await request.read()
    if len(data) <= 2 * MOST_VALUES:
        body = body_of(data)
        return body, asked_of(form.chat(body))
    return await crew().run(_read_large, data, form)


def _read_large(data: bytes, form: Form) -> tuple[dict[str, Any], Asked]:
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_MARKS:
        raise BadRequest(f"the body has more than {MOST_MARKS:,} commas and brackets.")
    body = body_of(data)
    left = MOST_VALUES
    waiting: list[Any] = [body]
    while waiting:
        one = waiting.pop()
        left -= len(one)
        if left < 0:
            raise BadRequest(f"the body holds more than {MOST_VALUES:,} values, such as messages and their fields.")
        values = one.values() if isinstance(one, dict) else one
        waiting += [value for value in values if isinstance(value, dict | list)]
    return body, asked_of(form.chat(body))

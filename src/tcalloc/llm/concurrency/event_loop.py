"""The event loop on which all requests run: one thread of this process, however many requests are open.

Callers with and without an event loop of their own can use it: `run` blocks a thread, `bridge` is awaited on any loop.
So a client is bound to no loop of a caller, and a slow policy or grader never blocks the caller's loop.
"""

import asyncio
import concurrent.futures
import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tcalloc.errors import TcallocError
from tcalloc.llm.concurrency.crew import Crew
from tcalloc.llm.concurrency.limits import most_requests, most_threads

__all__ = ["Call", "Stop", "bridge", "crew", "is_serving", "request_slot", "run", "supervise", "supervise_async"]

T = TypeVar("T")


class _Here:
    """The objects of this process; the child of a fork makes its own."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None
        self.crew: Crew | None = None
        self.slots: asyncio.Semaphore | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started."""
    with _here.guard:
        if _here.loop is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop,), name="tcalloc requests", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                loop.close()
                raise TcallocError(
                    "no thread could be started for requests: this process is at its limit of memory or threads. "
                    "Raise the limit (ulimit -v, ulimit -u)."
                ) from None
            _here.loop, _here.thread = loop, thread
        return _here.loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        # A task that ends with SystemExit passes it on to the loop, which other tasks still need.
        with contextlib.suppress(BaseException):
            loop.run_forever()
            return


def _start(work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
    """Begin a coroutine on the loop, from any thread."""
    try:
        return asyncio.run_coroutine_threadsafe(work, _loop())
    except BaseException:
        work.close()
        raise


def is_serving(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a loop is the one that runs in this process, not that of its parent before a fork."""
    return loop is _here.loop and not loop.is_closed()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop and wait for it in this thread."""
    if threading.current_thread() is _here.thread:
        work.close()
        raise RuntimeError("a blocking request on the thread of all requests would wait for itself; await it instead.")
    future = _start(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # after ctrl-C it still runs
        raise


async def bridge(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop and await it on the caller's; a cancelled caller cancels it."""
    if threading.current_thread() is _here.thread:
        return await work
    return await asyncio.wrap_future(_start(work))


# ------------------------------------------------------------------------------------------ one call


class Stop:
    """Ends one call: requests that wait for their turn or a retry are not sent. Any thread may set it."""

    def __init__(self) -> None:
        self._on = False
        self._event = asyncio.Event()

    @property
    def on(self) -> bool:
        """Whether it is set."""
        return self._on

    def set(self) -> None:
        """Stop sending."""
        self._on = True
        _loop().call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Wait on the loop for at most `seconds`; return whether it is set."""
        if not self._on and seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        return self._on


class Call:
    """Tasks of one call of `sample`, `answer` or `grade`, side by side, with the call's own stop.

    Attributes
    ----------
    stop : Stop
        Ends the call.
    interrupted : bool
        Whether ctrl-C stopped it.
    """

    def __init__(self) -> None:
        self.stop = Stop()
        self.interrupted = False
        self._tasks: list[asyncio.Task[None]] = []
        self._dropped = False

    async def side_by_side(
        self, works: "list[Coroutine[Any, Any, None]]", look: Callable[[], object] | None = None
    ) -> None:
        """Run coroutines until all have ended or are dropped; call `look` now and then until the call is stopped."""
        self._tasks = [asyncio.ensure_future(work) for work in works]
        if self._dropped:
            self._cancel()
        looking = None if look is None else asyncio.ensure_future(self._repeat(look))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if looking is not None:
            looking.cancel()

    async def _repeat(self, look: Callable[[], object]) -> None:
        while not await self.stop.wait(0.05):
            await crew().run(look)  # a terminal may block

    def drop(self) -> None:
        """Send nothing more, and do not wait for open requests. Any thread may call it."""
        self.stop.set()
        _loop().call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._dropped = True
        for task in self._tasks:
            task.cancel()


def supervise(
    work: Coroutine[Any, Any, T],
    call: Call,
    grace: float,
    say: Callable[[str], object],
    what: str = "requests",
) -> T:
    """Run one call from a thread; the first ctrl-C stops it, a second one or the end of `grace` drops it.

    Parameters
    ----------
    work : coroutine
        The work of the call.
    call : Call
        The call that ctrl-C stops.
    grace : float
        Number of seconds after ctrl-C in which open requests may still finish.
    say : callable
        Called with one line after ctrl-C.
    what : str
        The name of what is still open, for that line.
    """
    future = _start(work)
    deadline, pause = None, 0.001
    while not future.done():
        try:
            time.sleep(pause)  # not a join, which ctrl-C breaks (Python up to 3.12)
            pause = min(0.02, 1.5 * pause)
            if deadline is not None and time.monotonic() > deadline:
                call.drop()
                deadline = math.inf
        except KeyboardInterrupt:
            if deadline is not None:
                call.drop()
                continue
            deadline = time.monotonic() + grace
            call.interrupted = True
            call.stop.set()
            say(f"interrupted: waiting up to {grace:g} s for {what} under way; ctrl-C again drops them.")
    return future.result()


async def supervise_async(work: Coroutine[Any, Any, T], call: Call, grace: float | None = None) -> T:
    """Await one call on the caller's loop; a cancellation stops it and waits, a second one drops it.

    Parameters
    ----------
    work : coroutine
        The work of the call.
    call : Call
        The call that a cancellation stops.
    grace : float, optional
        Number of seconds after a cancellation in which open requests may still finish. Default: as long as they take.
    """
    future = asyncio.wrap_future(_start(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        call.stop.set()
        if future.cancelled():
            raise
        while not future.done():
            try:
                await asyncio.wait([future], timeout=grace)
                if not future.done():
                    call.drop()
                    grace = None
            except asyncio.CancelledError:
                call.drop()
        future.exception()  # looked at: the cancellation is what the caller gets
        raise


# ------------------------------------------------------------------------------------------ of this process


def crew() -> Crew:
    """Return the threads that all calls share."""
    with _here.guard:
        if _here.crew is None:
            _here.crew = Crew(most_threads())
        return _here.crew


def request_slot() -> asyncio.Semaphore:
    """Return the semaphore that limits open exchanges, so that files do not run out over many calls."""
    if _here.slots is None:
        _here.slots = asyncio.Semaphore(most_requests())
    return _here.slots


def _after_fork() -> None:
    global _here
    _left_behind.append(_here)  # its connections belong to the parent and must not be closed here
    _here = _Here()


_here = _Here()
_left_behind: list[_Here] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

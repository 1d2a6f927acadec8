"""Threads for work that may block while requests continue: graders, verifiers and policies."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["Crew", "call_guarded"]

T = TypeVar("T")


class Crew:
    """Threads that start when they are needed, and never delay the end of the program.

    Parameters
    ----------
    most : int
        The largest number of threads. If the process may start no more, the existing threads do the work.
    """

    def __init__(self, most: int):
        self._most = most
        self._work: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]]
        self._work = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads = 0  # only changed on the loop

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread."""
        if not self._idle.acquire(blocking=False) and self._threads < self._most:
            try:
                threading.Thread(target=self._serve, name="tcalloc worker", daemon=True).start()
                self._threads += 1
            except RuntimeError:  # the process has no memory for one more
                if not self._threads:
                    return call_guarded(function, *args)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._work.put((loop, future, lambda: call_guarded(function, *args)))
        return await future

    async def call(self, quick: bool, function: Callable[..., T], *args: Any) -> T:
        """Call a function in a thread, or here if it is quick: waking a thread would take longer."""
        return call_guarded(function, *args) if quick else await self.run(function, *args)

    def _serve(self) -> None:
        while True:
            try:
                loop, future, function = self._work.get_nowait()
            except queue.Empty:
                self._idle.release()
                loop, future, function = self._work.get()
            result, error = None, None
            try:
                result = function()
            except Exception as raised:
                error = raised
            loop.call_soon_threadsafe(_settle, future, result, error)
            del loop, future, function, result, error  # nothing is kept alive until the next call


def _settle(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def call_guarded(function: Callable[..., T], *args: Any) -> T:
    """Call a function of the user's; an exit of the program becomes an error of the call."""
    try:
        return function(*args)
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):  # which no future takes
            raise
        words = f"a policy, grader or verifier raised {type(error).__name__}({error}), which would end the program."
    raise RuntimeError(f"{words} Let it raise another error, such as ValueError.")

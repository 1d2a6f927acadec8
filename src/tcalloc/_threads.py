"""How many threads work: pieces of work for several of them, libraries that are held to one, and processors."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

__all__ = ["each", "one_thread", "processors"]

_T = TypeVar("_T")


def each(work: Callable[[int, int], _T], pieces: Sequence[tuple[int, int]], threads: int) -> list[_T]:
    """Call ``work(start, stop)`` for each piece, by at most so many threads, and return the results in order.

    The kernels let go of the interpreter, so that several threads can work. An exception, such as that of an interrupt,
    stops the work between pieces.
    """
    if threads == 1 or len(pieces) <= 1:
        return [work(*piece) for piece in pieces]
    from concurrent.futures import ThreadPoolExecutor  # which one thread does without: it loads logging, and much else

    pool = ThreadPoolExecutor(min(threads, len(pieces)))
    try:
        return list(pool.map(lambda piece: work(*piece), pieces))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_thread() -> AbstractContextManager[Any]:
    """Hold the libraries underneath to one thread, where threadpoolctl is there, which scikit-learn brings.

    Linear algebra on small matrices is faster so: a second thread waits more than it works, and it keeps a processor
    busy while it waits.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limited: AbstractContextManager[Any] = threadpool_limits(1)
    return limited

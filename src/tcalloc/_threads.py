"""Work that is cut into pieces, done by one thread or by several: the kernels let go of the interpreter meanwhile."""

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["each"]

_T = TypeVar("_T")


def each(work: Callable[[int, int], _T], pieces: Sequence[tuple[int, int]], threads: int) -> list[_T]:
    """Call ``work(start, stop)`` for each piece and return the results in order.

    An exception, such as that of an interrupt, stops the work between pieces.

    Parameters
    ----------
    work : callable
        What to call, from several threads at once if there are several.
    pieces : sequence of tuple of int
        The arguments of each call.
    threads : int
        At most this number of threads works.

    Returns
    -------
    list
        One result per piece.
    """
    if threads == 1 or len(pieces) <= 1:
        return [work(*piece) for piece in pieces]
    from concurrent.futures import ThreadPoolExecutor  # which one thread does without: it loads logging, and much else

    pool = ThreadPoolExecutor(min(threads, len(pieces)))
    try:
        return list(pool.map(lambda piece: work(*piece), pieces))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

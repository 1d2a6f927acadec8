"""The number of requests and threads that this process may have at one time, by its limits of files and memory."""

import contextlib
import os

__all__ = ["affordable", "most_requests", "most_threads"]

# Files that the process may need besides its connections: the run folder, graders' pipes, the caller's own.
_OTHER_FILES = 64
# Address space of one open request, estimated generously: its task, its connection's buffers and its reply.
_BYTES_PER_REQUEST = 512 << 10
# Address space of one thread: its stack, and the allocator's memory for it.
_BYTES_PER_THREAD = 16 << 20
_MOST_THREADS = 64
_MOST_REQUESTS = 1 << 20


def affordable(concurrency: int) -> tuple[int, str | None]:
    """Return how many requests can be open at one time, and a note if that is fewer than asked for."""
    files, memory = _files(), _memory()
    by_memory = _MOST_REQUESTS if memory is None else max(1, memory // 2 // _BYTES_PER_REQUEST)
    most = min(files, by_memory)
    if concurrency <= most:
        return concurrency, None
    why = "open files (ulimit -n)" if files <= by_memory else "memory (ulimit -v)"
    return most, (
        f"concurrency is {most:,} instead of {concurrency:,}: this process's limit of {why} allows no more. "
        "Raise that limit, or ask for fewer."
    )


def most_requests() -> int:
    """Return how many requests can be open at one time."""
    return affordable(_MOST_REQUESTS)[0]


def most_threads() -> int:
    """Return how many threads may be started for what blocks."""
    memory = _memory()
    return _MOST_THREADS if memory is None else max(1, min(_MOST_THREADS, memory // 4 // _BYTES_PER_THREAD))


def _files() -> int:
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY:
            return max(1, most - _OTHER_FILES)
    return _MOST_REQUESTS


def _memory() -> int | None:
    """Return how many bytes the process may still take; None without a limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            with open("/proc/self/statm") as file:
                return max(0, most - int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE"))
    return None

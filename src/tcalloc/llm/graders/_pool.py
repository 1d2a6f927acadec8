"""Worker processes that can be killed, for work that may hang: math-verify, and regular expressions.

Why not `multiprocessing`: its spawned processes run the user's main script again (so every script would need a guard),
its pools cannot kill one task, and it speaks pickle. Why not threads or signals: Python cannot stop a thread, and a
signal reaches only the main thread, and that only between two steps of the interpreter, of which a hang in C has none.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

from tcalloc._checks import number, whole
from tcalloc.errors import MissingExtraError, TcallocError

__all__ = ["WorkerError", "WorkerPool"]

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_worker.py")
# Starting is not the request's fault: on a busy machine, importing SymPy alone can take many seconds.
START_LIMIT = 120.0
LONGEST = 3600.0
MEMORY = 4 << 30


class WorkerError(TcallocError):
    """A worker process failed or died."""


class WorkerPool:
    """Up to `workers` processes, started when they are needed, killed when they exceed the limit, all ended at exit.

    Parameters
    ----------
    job : {"math", "regex"}
        What the processes do.
    limit : float
        Seconds that one request may take, from when a process has it.
    workers : int, optional
        How many processes at most; by default one per processor, at most 4.
    """

    def __init__(self, job: str, *, limit: float, workers: int | None = None):
        if limit != LONGEST:  # which is allowed itself
            number("limit", limit, 0, LONGEST, of="a number of seconds", hint=" (or 3600)")
        self._job, self.limit = job, float(limit)
        if workers is not None:
            whole("workers", workers, 1, hint=", or None")
        self._most = workers or max(1, min(4, os.cpu_count() or 1))
        self._free = threading.Condition()
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._starting = 0
        self._process = os.getpid()
        # At exit, and when the pool is no longer used.
        self._finalizer = weakref.finalize(self, _end, self._all)

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Have a process answer a request, as JSON; threads may call at the same time.

        Raises
        ------
        TimeoutError
            If it takes longer than the limit; the process is killed.
        WorkerError
            If the request fails, or the process dies of it.
        """
        worker = self._take()
        try:
            reply = worker.ask(request, self.limit)
        except BaseException:  # also Ctrl-C: the process is in the middle of something
            self._drop(worker)
            raise
        with self._free:
            self._idle.append(worker)
            self._free.notify()
        if "failed" in reply:
            raise WorkerError(str(reply["failed"]))
        return reply

    def close(self) -> None:
        """End all processes; the next call starts new ones."""
        with self._free:
            self._idle.clear()
            _end(self._all)

    def _take(self) -> "_Worker":
        with self._free:
            if self._process != os.getpid():  # after a fork the processes belong to the parent
                self._process, self._starting = os.getpid(), 0
                self._idle.clear()
                self._all.clear()
            while True:
                while self._idle:
                    worker = self._idle.pop()
                    if worker.alive():
                        return worker
                    self._all.discard(worker)
                    worker.end()
                if len(self._all) + self._starting < self._most:
                    self._starting += 1
                    break
                self._free.wait()
        new: _Worker | None = None
        try:
            new = _Worker(self._job, self.limit)
        finally:
            with self._free:
                self._starting -= 1
                if new is not None:
                    self._all.add(new)
                else:
                    self._free.notify()
        return new

    def _drop(self, worker: "_Worker") -> None:
        worker.end()
        with self._free:
            self._all.discard(worker)
            self._free.notify()


def _end(workers: "set[_Worker]") -> None:
    while workers:
        workers.pop().end()


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self, job: str, limit: float):
        if not sys.executable:
            raise WorkerError("a worker process is needed, but Python does not know its own program (sys.executable).")
        self._owner = os.getpid()
        self._guard = threading.Lock()
        # -P: the folder of the worker's file is not where modules are looked for.
        self._process = subprocess.Popen(
            [sys.executable, "-P", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )
        hello = {"job": job, "path": [str(p) for p in sys.path], "limit": limit, "memory": MEMORY}
        try:
            ready = self.ask(hello, START_LIMIT)
        except BaseException:
            self.end()
            raise
        if "ready" not in ready:
            self.end()
            if "missing" in ready:
                raise MissingExtraError(
                    f"grader math: needs math-verify ({ready['missing']}): pip install 'tcalloc[math]'"
                )
            raise WorkerError(f"a worker process does not start ({ready.get('failed')}).")

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """Send a request and wait for its reply, at most `limit` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        done = late = False

        def kill() -> None:
            nonlocal late
            with self._guard:
                if not done:
                    late = True
                    self._process.kill()

        # A timer works on every system; waiting for a pipe with a limit does not.
        timer = threading.Timer(limit, kill)
        timer.daemon = True
        timer.start()
        line = b""
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
        finally:
            with self._guard:
                done = True
            timer.cancel()
        if late:
            raise TimeoutError(f"took longer than {limit:g} s; its process was killed")
        try:
            reply: dict[str, Any] = json.loads(line)
        except ValueError:
            raise WorkerError("the worker process died (out of memory, or a crash in a library)") from None
        return reply

    def end(self) -> None:
        """Kill the process, reap it, and close the pipes; more than once does no harm."""
        if self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if pipe is not None:
                    pipe.close()

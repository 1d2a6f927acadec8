"""Books, stores and clocks for the tests of the budget keeper, and a real redis-server."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

import pytest

from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import Book
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.period import period_of
from tcalloc.serve.keeper.redis_store import RedisStore
from tcalloc.serve.keeper.sqlite_store import SQLiteStore
from tcalloc.serve.keeper.store import MemoryStore

CONFIG = {"total": 100.0}


class Hands:
    """A machine's two clocks, moved by hand."""

    def __init__(self, wall=1_000_000.0):
        self.monotonic, self.wall = 5.0, wall

    def clock(self):
        return LedgerClock(lambda: self.monotonic, lambda: self.wall)

    def pass_time(self, seconds):
        self.monotonic += seconds
        self.wall += seconds


def book(total=100.0, period=None, *, rolling=False, lost_counts=True):
    return Book(Units(total, BITS).limit, period_of(period, rolling), lost_counts)


def store_of(kind, where, given, clock=None):
    """Return a store of a kind: "memory", "sqlite" (`where` is a folder) or "redis" (`where` is an address)."""
    if kind == "memory":
        return MemoryStore(given, clock)
    if kind == "sqlite":
        return SQLiteStore(os.path.join(where, "budget.db"), CONFIG, given, clock)
    return RedisStore(where, CONFIG, given, clock)


@contextlib.contextmanager
def redis_server(folder, *, durable=False):
    """Run a redis-server of its own on a free port, with its append-only file if `durable`; skip if there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    pytest.importorskip("redis")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    command += ["--appendonly", "yes" if durable else "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
                    break
                time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


MENU = ["small", "large"], [0.6, 0.9], [0.4, 1.0], [0.8, 2.0]


def spend(state, barrier, ledger, seed, killed):
    """A process that spends from a state: 40 grants, each bill written to a file before it is settled.

    If it is to be killed, it kills itself in the midst of it, with open grants.
    """
    import random
    import signal

    from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

    luck = random.Random(seed)
    keeper = BudgetKeeper(total=60.0, period=10_000, lifetime=2.0, state=state)
    if killed:
        keeper.choose(*MENU)  # never settled
    barrier.wait(60)
    with open(ledger, "a", buffering=1) as file:
        for i in range(40):
            grant = keeper.choose(*MENU)
            bill = luck.uniform(0.2, 1.0) * grant.maximum
            file.write(f"{bill}\n")
            if killed and i == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if grant.action is not None:
                grant.settle(bill)
    keeper.close()

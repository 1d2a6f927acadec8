"""64 threads, 8 processes and killed holders: the cap is never crossed, and no grant outlives its expiry."""

import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from budgets import MENU, spend

from tcalloc import BudgetKeeper


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_threads(kind, tmp_path):
    """64 threads from one barrier; a quarter of the grants is never settled."""
    state = None if kind == "memory" else tmp_path / "budget.db"
    keeper = BudgetKeeper(total=100.0, period=100_000, lifetime=0.5, state=state)
    barrier, guard, paid, wrong = threading.Barrier(64), threading.Lock(), [0.0], []

    def work(seed):
        luck = random.Random(seed)
        barrier.wait()
        for _ in range(12):
            grant = keeper.choose(*MENU)
            if grant.action is None:
                continue
            bill = luck.uniform(0.3, 1.0) * grant.maximum
            with guard:
                paid[0] += bill
                if paid[0] > 100.0:
                    wrong.append(paid[0])
            if luck.random() < 0.75:
                grant.settle(bill)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert 50.0 < paid[0] <= 100.0
    time.sleep(0.6)
    status = keeper.status()
    assert (status.reserved, status.open_grants) == (0.0, 0)
    assert status.lost > 0
    assert paid[0] <= status.spent <= 100.0
    keeper.close()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_processes(kind, tmp_path, request):
    """8 processes from one barrier, three of which are killed with open grants."""
    state = str(tmp_path / "budget.db")
    if kind == "redis":
        state = f"{request.getfixturevalue('redis_address')}#crowd"
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(9)
    ledgers = [tmp_path / f"bills{i}" for i in range(8)]
    BudgetKeeper(total=60.0, period=10_000, lifetime=2.0, state=state).close()
    processes = [
        context.Process(target=spend, args=(state, barrier, str(ledger), i, i < 3)) for i, ledger in enumerate(ledgers)
    ]
    for process in processes:
        process.start()
    barrier.wait(60)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [-signal.SIGKILL] * 3 + [0] * 5
    paid = sum(float(line) for ledger in ledgers for line in ledger.read_text().split())
    assert 30.0 < paid <= 60.0
    time.sleep(2.1)
    with BudgetKeeper.open(state) as keeper:
        status = keeper.status()
    assert (status.reserved, status.open_grants) == (0.0, 0)
    assert status.lost > 0
    assert paid <= status.spent <= 60.0


LOOP = """
import sys
from tcalloc import BudgetKeeper
keeper = BudgetKeeper(total=1e6, period="1h", lifetime=1000.0, state=sys.argv[1])
print("ready", flush=True)
while True:
    held = keeper.choose(["a"], [0.5], [1.0], [2.0])
    with keeper.choose(["a"], [0.5], [1.0], [2.0]) as grant:
        grant.settle(1.0)
"""


def test_kill_9_in_the_midst_of_it(tmp_path):
    """A killed process leaves whole transactions: what is reserved is the sum of the open grants."""
    state = tmp_path / "budget.db"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", LOOP, state], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.15)
            process.kill()
        with sqlite3.connect(state) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            reserved, count, requests = db.execute("SELECT reserved, count, requests FROM head").fetchone()
            grants, most = db.execute("SELECT count(*), sum(most) FROM grants").fetchone()
        db.close()
        assert (reserved, count) == (most, requests)
    with BudgetKeeper.open(state) as keeper:
        status = keeper.status()
    assert status.open_grants == grants > 10
    assert status.reserved == pytest.approx(2.0 * grants)

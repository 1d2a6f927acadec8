"""What a long-lived process needs: no leaks, threads that agree, ctrl-C that stops, an import that stays light."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tcalloc
from tcalloc import _oracle


def table(n=30_000, k=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, k)), rng.random((n, k))


def resident():
    """Bytes of memory this process holds."""
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def leaks(work, rounds=60, warm=15):
    """Bytes a round that stay, in Python's allocator and in the process."""
    for _ in range(warm):
        work()
    tracemalloc.start()
    before, held = tracemalloc.get_traced_memory()[0], resident()
    for _ in range(rounds):
        work()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / rounds, (resident() - held) / rounds


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_nothing_leaks():
    acc, cost = table(20_000)
    rows = [(a, c) for a, c in zip(acc[:200], cost[:200], strict=True)]

    def work():
        tcalloc.solve(acc, cost, 0.4, threads=2)
        tcalloc.frontier(acc[:2000], cost[:2000]).allocate(0.4)
        for a, c in rows:
            tcalloc.decide(a, c, 0.3)
        with pytest.raises(tcalloc.InputError):
            tcalloc.solve(acc, cost, -1.0)

    python, process = leaks(work)
    assert python < 2_000
    assert process < 100_000


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_the_leak_test_can_fail():
    kept = []  # arrays so large that no memory that was freed before can serve
    python, process = leaks(lambda: kept.append(np.ones(5_000_000)), rounds=5, warm=1)
    assert python > 30_000_000
    assert process > 10_000_000


def test_many_threads_agree():
    acc, cost = table()
    alone = [tcalloc.solve(acc, cost, b).actions.tobytes() for b in (0.2, 0.3, 0.5)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            found = list(
                pool.map(lambda b: tcalloc.solve(acc, cost, b, threads=2).actions.tobytes(), (0.2, 0.3, 0.5) * 3)
            )
            assert found == alone * 3


def test_the_kernel_lets_other_threads_run():
    acc, cost = table(400_000)
    actions, ticks, done = np.empty(len(acc), np.int32), [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.01)
    # If the kernel held the interpreter's lock, a tick could fall in only before its start and after its end. On a busy
    # machine the other thread may have to wait, so there are several tries.
    most = 0
    for _ in range(50):
        start = time.perf_counter()
        _oracle.best_at(acc, cost, None, None, 0.3, 0, len(acc), actions, None)
        stop = time.perf_counter()
        most = max(most, sum(start < t < stop for t in ticks))
        if most > 2:
            break
    done.set()
    thread.join()
    assert most > 2


INTERRUPTED = """
    import os, signal, threading, time, numpy as np, tcalloc
    rng = np.random.default_rng(0)
    acc, cost = rng.random((300_000, 8)), rng.random((300_000, 8))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        while True:
            tcalloc.solve(acc, cost, 0.4, method="bisect", threads={threads})
    except KeyboardInterrupt:
        took = time.perf_counter() - start
    again = tcalloc.solve(acc, cost, 0.4, threads={threads})
    print("stopped" if took < 5 else f"late: {{took}}", again.counts.sum())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_long_solve_and_leaves_things_whole(threads):
    code = textwrap.dedent(INTERRUPTED.format(threads=threads))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "stopped 300000", run.stderr


def test_importing_needs_numpy_alone():
    code = (
        "import sys, tcalloc\n"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'pyarrow', 'polars', 'xgboost', 'sklearn', 'aiohttp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_solving_after_fork():
    acc, cost = table(40_000)
    expected = tcalloc.solve(acc, cost, 0.4, threads=2).accuracy
    child = os.fork()
    if child == 0:
        os._exit(0 if tcalloc.solve(acc, cost, 0.4, threads=2).accuracy == expected else 1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child hangs")

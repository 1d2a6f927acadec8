"""Workers of a comparison are ended at once, also in the midst of a result."""

import subprocess
import sys

import pytest
from places import ENVIRONMENT

# Results of 20 MB take longer than a worker has; a pool that waits for the rest of one ends by the alarm.
SCRIPT = """
import signal, time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from tcalloc.evaluate.run_folds import end_workers

for i in range(4):
    pool = ProcessPoolExecutor(2, mp_context=get_context("fork"))
    futures = [pool.submit(bytes, 20_000_000) for _ in range(30)]
    wait(futures, return_when=FIRST_COMPLETED)
    time.sleep(0.003 * i)
    end_workers(pool)
    signal.alarm(20)
    pool.shutdown(wait=True, cancel_futures=True)
    signal.alarm(0)
print("ended")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and alarms")
def test_a_worker_that_was_ended_in_the_midst_of_a_result_is_not_waited_for():
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr

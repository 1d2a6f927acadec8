"""What the kernels declare to Python: they run without the GIL, and in the main interpreter alone."""

import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest
from places import ENVIRONMENT

import tcalloc
from tcalloc import _oracle, _stopping, _votes

KERNELS = [_oracle, _stopping, _votes]
# Python has a public module for this from 3.14 on; the private ones of 3.11 to 3.13 differ in name and in their answer.
IN_ANOTHER_INTERPRETER = """
import importlib.util, sys
try:
    import _interpreters as interpreters
    kinds = [interpreters.create("isolated"), interpreters.create("legacy")]
except ImportError:
    import _xxsubinterpreters as interpreters
    kinds = [interpreters.create(isolated=True), interpreters.create(isolated=False)]
code = '''
import importlib.util
spec = importlib.util.spec_from_file_location({name!r}, {file!r})
try:
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    print("loaded")
except ImportError as error:
    print("refused:", error)
'''
exec(code)
for kind in kinds:
    interpreters.run_string(kind, code)
    interpreters.destroy(kind)
exec(code)
"""


def python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_another_interpreter_is_refused(kernel):
    """NumPy cannot be loaded there either. A refusal is a sentence; shared static data would be a crash."""
    code = IN_ANOTHER_INTERPRETER.replace("{name!r}", repr(kernel.__name__)).replace("{file!r}", repr(kernel.__file__))
    lines = python(code).splitlines()
    assert [line.split(":")[0] for line in lines] == ["loaded", "refused", "refused", "loaded"]
    assert all("interpreter" in line for line in lines[1:3])


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_the_gil_stays_off():
    assert python("import sys; from tcalloc import solve, Samples; print(sys._is_gil_enabled())") == "False\n"


def test_threads_give_the_same_bits():
    rng = np.random.default_rng(1)
    acc, cost = rng.random((3000, 6)), rng.random((3000, 6)) + 0.1
    budgets = np.linspace(0.35, 0.9, 8)
    alone = [tcalloc.solve(acc, cost, budget) for budget in budgets]
    together = [None] * len(budgets)
    start = threading.Barrier(len(budgets))

    def work(i):
        start.wait()
        together[i] = [tcalloc.solve(acc, cost, budgets[i]) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(budgets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, several in zip(alone, together, strict=True):
        for each in several:
            assert each.actions.tobytes() == one.actions.tobytes()
            assert (each.spend, each.accuracy, each.price) == (one.spend, one.accuracy, one.price)

"""Print what imports and the shortest commands cost: times of new processes, in turn, and how many objects are left.

Usage: python .ci/import_time.py [ROUNDS]. Compiled files go to a folder of their own, as an installed package has them.
The objects are those that Python's garbage collector visits: a full collection stops all threads meanwhile.
"""

import os
import statistics
import subprocess
import sys
import tempfile

# What is measured: what runs before the clock, and what it times.
CASES = {
    "import numpy": ("", "import numpy"),
    "import tcalloc, beyond NumPy": ("import numpy", "import tcalloc"),
    "import tcalloc and a first plan, beyond NumPy": (
        "import numpy",
        "import tcalloc; tcalloc.solve([[0.5, 0.9]], [[1.0, 4.0]], 4.0)",
    ),
    "tcalloc.Samples and tcalloc.Table, beyond NumPy": (
        "import numpy",
        "import tcalloc; tcalloc.Samples; tcalloc.Table",
    ),
    "tcalloc --version": ("", "from tcalloc.cli import main; main(['--version'])"),
    "tcalloc --help": ("", "from tcalloc.cli import main; main(['--help'])"),
    "tcalloc solve --help": ("", "from tcalloc.cli import main; main(['solve', '--help'])"),
    "answer_async and aiohttp": ("", "from tcalloc import answer_async; import aiohttp"),
    "the same, with a policy that stops": (
        "",
        "from tcalloc import Sequential, answer_async, load_policy; import aiohttp",
    ),
}
MEASURE = """
import gc, sys, time
{first}
wall, cpu = time.perf_counter(), time.process_time()
{then}
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(cpu, wall, len(gc.get_objects()), len(sys.modules), file=sys.stderr)
"""


def main() -> None:
    """Measure, and print one line for each case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for i in range(rounds + 1):  # the first round writes the compiled files
            for name, (first, then) in CASES.items():
                command = [sys.executable, "-c", MEASURE.format(first=first, then=then)]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    found.pop(name, None)  # it needs an extra that is not here
                elif i:
                    found[name].append(tuple(map(float, done.stderr.split()[-4:])))
    print(f"{rounds} processes each         processor time (ms)   time that passed (ms)")
    print(f"{'':47}  least median   least median   objects  modules")
    for name, runs in found.items():
        cpu, wall, objects, modules = zip(*runs, strict=True)
        times = [f"{1000 * min(each):7.1f}{1000 * statistics.median(each):7.1f}" for each in (cpu, wall)]
        print(f"{name:47} {times[0]} {times[1]} {min(objects):9,.0f} {min(modules):8,.0f}")


if __name__ == "__main__":
    main()

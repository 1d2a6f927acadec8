"""Print how long ``import tcalloc`` takes beyond NumPy, in processor time: the best of several new processes."""

import subprocess
import sys

MEASURE = "import time, {first}; start = time.process_time(); import tcalloc; print(time.process_time() - start)"
ROUNDS = 7


def main() -> None:
    """Measure, and print one line."""
    command = [sys.executable, "-c", MEASURE.format(first="numpy")]
    subprocess.run(command, check=True, capture_output=True)  # so that all later ones read cached files
    seconds = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(ROUNDS)]
    print(f"import tcalloc takes {1000 * min(seconds):.0f} ms of processor time beyond NumPy (at most 40 are wanted)")


if __name__ == "__main__":
    main()

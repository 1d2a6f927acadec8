"""Show that a broken wheel is refused: break a good one in four ways, and check each.

Usage: python .ci/break_wheel.py WHEEL SDIST FOLDER, with the compiler in CC and `abi3audit` on the PATH. A wheel lacks
a file, one of its modules exports too much, one was compiled with fused multiply-add, and one is not of the stable ABI.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from check_wheel import faults

MODULE = "_stopping"
# The flags of setup.py; each breach adds its own.
FLAGS = ["-O3", "-g0", "-fPIC", "-shared", "-s", "-fno-math-errno"]
STABLE = ["-DCYTHON_LIMITED_API=1", "-DPy_LIMITED_API=0x030B0000"]
HIDDEN, EXACT = ["-fvisibility=hidden"], ["-ffp-contract=off"]


def compiled(c_file: Path, to: Path, flags: list[str]) -> bytes:
    """Compile the module of `c_file` with these flags."""
    command = [os.environ["CC"], *FLAGS, *flags, f"-I{sysconfig.get_path('include')}", str(c_file), "-o", str(to)]
    subprocess.run(command, check=True, capture_output=True)
    return to.read_bytes()


def changed(wheel: Path, into: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Write a copy of a wheel whose files went through `change`: new bytes, or None for no file."""
    into.mkdir(parents=True)
    copy = into / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            content = change(item.filename, old.read(item))
            if content is not None:
                new.writestr(item, content)
    return copy


def main() -> int:
    """Break the wheel in each way, and print what the checks say."""
    wheel, sdist, folder = map(Path, sys.argv[1:])
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    [source] = (folder / "source").iterdir()
    c_file = folder / f"{MODULE}.c"
    pyx = source / "src" / "tcalloc" / f"{MODULE}.pyx"
    subprocess.run([sys.executable, "-m", "cython", "-3", str(pyx), "-o", str(c_file)], check=True)

    def with_module(name: str, flags: list[str]) -> Path:
        library = compiled(c_file, folder / f"{name}.so", flags)
        return changed(
            wheel, folder / name, lambda path, old: library if path.startswith(f"tcalloc/{MODULE}.abi3") else old
        )

    missing = changed(
        wheel, folder / "missing", lambda path, old: None if path == "tcalloc/datasets/recorded_local_llms.npz" else old
    )
    fused = ["-ffp-contract=fast", *(["-mfma"] if os.uname().machine == "x86_64" else [])]
    broken = {
        "lacks a file": faults(missing, sdist),
        "exports a symbol": faults(with_module("exports", [*STABLE, *EXACT]), sdist),
        "fuses multiply and add": faults(with_module("fused", [*STABLE, *HIDDEN, *fused]), sdist),
        "is not of the stable ABI": not_stable(with_module("unstable", [*HIDDEN, *EXACT])),
    }
    good = faults(with_module("good", [*STABLE, *HIDDEN, *EXACT]), sdist)
    for breach, found in broken.items():
        print(f"a wheel that {breach}: {found[0] if found else 'NOT NOTICED'}")
    print(f"the same module compiled as it should be: {good or 'accepted'}")
    return int(bool(good) or not all(broken.values()))


def not_stable(wheel: Path) -> list[str]:
    """Return what abi3audit has against a wheel."""
    done = subprocess.run(["abi3audit", "--strict", "--report", str(wheel)], capture_output=True, text=True)
    return [f"abi3audit refuses it, exit code {done.returncode}."] if done.returncode else []


if __name__ == "__main__":
    sys.exit(main())
